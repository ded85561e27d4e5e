"""Parameters and gradients by name: live views that can be assigned to."""

import numpy as np
import pytest
from networks import classifier

from fastnn.layers import Dense


def test_assigning_a_parameter_changes_the_network(backend):
    net = classifier()
    net.parameters["dense_2.weight"] = np.zeros((8, 3))
    net.parameters["dense_2.bias"] = [1, 2, 3]
    np.testing.assert_array_equal(net.predict(np.ones((1, 4))), [[1, 2, 3]])


def test_assigned_values_are_copied():
    net, bias = classifier(), np.ones(3)
    net.parameters["dense_2.bias"] = bias
    bias[:] = 7
    np.testing.assert_array_equal(net.parameters["dense_2.bias"], [1, 1, 1])


def test_a_parameter_can_be_changed_in_place_by_an_operator():
    net = classifier()
    net.parameters["dense_2.bias"] += 2
    np.testing.assert_array_equal(net.parameters["dense_2.bias"], [2, 2, 2])


@pytest.mark.parametrize(
    ("name", "values", "error", "message"),
    [
        (
            "dense_2.bias",
            np.ones(2),
            ValueError,
            r"dense_2.bias must have shape \(3,\), got \(2,\)",
        ),
        ("dense_2.bias", 1.0, ValueError, r"dense_2.bias must have shape \(3,\), got \(\)"),
        ("dense_2.bias", ["a", "b", "c"], TypeError, "dense_2.bias must hold real numbers"),
        ("dense_2.bias", [1j, 0, 0], TypeError, "dense_2.bias must hold real numbers"),
        ("dense_9.bias", np.ones(3), KeyError, "no 'dense_9.bias'; there is 'dense_1.weight'"),
    ],
)
def test_what_does_not_fit_is_refused(name, values, error, message):
    net = classifier()
    before = net.get_flat()
    with pytest.raises(error, match=message):
        net.parameters[name] = values
    np.testing.assert_array_equal(net.get_flat(), before)


def test_numbers_too_large_for_the_dtype_are_refused():
    layer = Dense(2, 1, dtype="float32")
    with pytest.raises(
        ValueError, match=r"bias must be within the range of float32, got bias\[0\] = 1e\+300"
    ):
        layer.parameters["bias"] = [1e300]


def test_parameters_cannot_be_removed():
    parameters = classifier().parameters
    with pytest.raises(AttributeError):
        del parameters["dense_2.bias"]
    assert not hasattr(parameters, "pop")


def test_gradients_read_as_a_mapping_from_the_parameters_names():
    net = classifier()
    assert list(net.gradients) == list(net.parameters)
    assert net.gradients["dense_1.weight"].shape == (4, 8)


def test_repr_shows_names_dtypes_and_shapes():
    assert repr(Dense(2, 3).parameters) == "<Views: weight float32[2, 3], bias float32[3]>"


def test_assigning_the_weight_of_a_layer_changes_its_network():
    net = classifier()
    net.layer("dense_2").weight = np.zeros((8, 3))
    net.layer("dense_2").bias = [1, 2, 3]
    np.testing.assert_array_equal(net.predict(np.ones((1, 4))), [[1, 2, 3]])


def test_weight_of_a_layer_is_a_live_view():
    layer = Dense(2, 1, weight=[[1.0], [2.0]])
    layer.weight[0] = 5
    np.testing.assert_array_equal(layer(np.array([[1.0, 1.0]])), [[7]])


def test_a_layer_without_bias_takes_none():
    layer = Dense(2, 1, use_bias=False)
    assert layer.bias is None
    with pytest.raises(AttributeError, match=r"Dense\(2, 1, use_bias=False\) has no bias"):
        layer.bias = [1.0]
