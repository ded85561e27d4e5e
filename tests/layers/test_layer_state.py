"""What a layer keeps from call to call, and what it takes along into a network."""

import copy
import pickle

import numpy as np
import pytest

from fastnn.layers import Dense, Dropout
from fastnn.network import Sequential


def both_ways(layer):
    """Copies of a layer by each of the ways there are."""
    return [layer.copy(), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]


# -------------------------------------------------------------- initial values


def test_given_bias_leaves_the_weights_to_the_seed_of_the_network():
    given = Sequential([Dense(4, 3, bias=[1.0, 2.0, 3.0])], seed=0)
    plain = Sequential([Dense(4, 3)], seed=0)
    np.testing.assert_array_equal(
        given.parameters["dense_1.weight"], plain.parameters["dense_1.weight"]
    )
    np.testing.assert_array_equal(given.parameters["dense_1.bias"], [1, 2, 3])


def test_given_weights_keep_the_precision_of_the_network():
    net = Sequential([Dense(1, 1, weight=[[0.1]])], dtype="float64")
    assert net.parameters["dense_1.weight"][0, 0] == 0.1


def test_copies_of_a_layer_not_used_yet_take_given_values_into_a_network():
    expected = Sequential([Dense(2, 2, bias=[0.1, 0.2])], dtype="float64", seed=3).get_flat()
    for twin in both_ways(Dense(2, 2, bias=[0.1, 0.2])):
        np.testing.assert_array_equal(
            Sequential([twin], dtype="float64", seed=3).get_flat(), expected
        )


def test_copies_of_a_layer_in_use_have_its_values_rather_than_the_given_ones():
    layer = Dense(1, 1, weight=[[2.0]])
    layer.parameters["weight"][...] = 5
    for twin in both_ways(layer):
        assert twin.parameters["weight"][0, 0] == 5


# ----------------------------------------------------------------------- dtype


def test_layer_without_a_dtype_keeps_that_of_its_first_call(backend):
    layer = Dense(2, 2, dtype=None)
    assert layer(np.ones((1, 2), np.float32)).dtype == np.float32
    assert layer(np.ones((1, 2), np.float64)).dtype == np.float32


def test_layer_without_dtype_and_parameters_follows_each_array(backend):
    layer = Dropout(0.5)
    assert layer(np.ones((1, 2), np.float32)).dtype == np.float32
    assert layer(np.ones((1, 2), np.float64)).dtype == np.float64


# ------------------------------------------------------------------- gradients


@pytest.mark.parametrize("training", [True, False])
def test_gradients_end_with_the_next_call(backend, training):
    layer = Dense(2, 1)
    layer(np.ones((3, 2)))
    layer.backward(np.ones((3, 1)))
    layer(np.ones((3, 2)), training=training)
    with pytest.raises(RuntimeError, match="no gradients before a call of backward"):
        _ = layer.gradients


def test_backward_after_a_call_that_failed_is_refused(backend, monkeypatch):
    layer = Dense(2, 1)
    layer(np.ones((3, 2)))

    class Failing:
        def forward(self, *arguments):
            raise MemoryError

    monkeypatch.setattr(layer._last, "engine", Failing())
    with pytest.raises(MemoryError):
        layer(np.ones((5, 2)))
    with pytest.raises(RuntimeError, match="needs a call with training=True"):
        layer.backward(np.ones((5, 1)))
