"""Graphs: names, sharing, and mistakes in building them."""

import numpy as np
import pytest

from fastnn.layers import (
    Add,
    BinaryStep,
    Dense,
    Dropout,
    Input,
    ReLU,
)
from fastnn.network import Network, Sequential


def test_layers_are_numbered_by_kind_in_order_of_appearance():
    net = Sequential([Dense(4, 3), ReLU(), Dense(3, 3), Dropout(0.1), ReLU(), Dense(3, 2)])
    names = [layer.name for layer in net.layers]
    assert names == ["dense_1", "relu_1", "dense_2", "dropout_1", "relu_2", "dense_3"]


def test_numbers_leave_out_names_that_are_taken():
    net = Sequential([Dense(4, 3), Dense(3, 2, name="dense_1")])
    assert [layer.name for layer in net.layers] == ["dense_2", "dense_1"]


def test_buffers_are_named_after_layers_and_calls():
    shared = Dense(3, 3, activation="relu", name="s")
    x = Input(3, name="x")
    net = Network(x, Add(name="sum")([shared(shared(x)), Dense(3, 3, name="d")(x)]))
    assert [b.name for b in net.program.buffers] == [
        "x", "s.Z", "s.A", "s:2.Z", "s:2.A", "d.Z", "sum.A",
    ]  # fmt: skip
    assert list(net.parameters) == ["s.weight", "s.bias", "d.weight", "d.bias"]


def test_a_layer_may_appear_twice_in_a_chain():
    layer = Dense(3, 3, weight=2 * np.eye(3))
    net = Sequential([layer, layer])
    np.testing.assert_array_equal(net.predict([[1.0, 2.0, 3.0]]), [[4, 8, 12]])
    assert len(net.layers) == 1


def test_a_chain_takes_its_width_from_its_first_dense_layer():
    assert Sequential([Dropout(0.2), ReLU(), Dense(5, 2)]).predict(np.zeros((1, 5))).shape == (1, 2)


def test_a_chain_may_start_with_an_input():
    assert Sequential([Input(3, name="x"), ReLU()]).input_names == ["x"]


def test_deep_graphs_need_no_deep_stack():
    assert len(Sequential([Dense(2, 2) for _ in range(1200)]).layers) == 1200


def graph_errors():
    x, other = Input(2, name="x"), Input(2, name="other")
    y = Dense(2, 2, name="y")(x)
    both = Add(name="sum")([y, Dense(2, 2)(other)])
    return [
        (lambda: Network([x, other], y), ValueError, "input 'other' is not used by any output"),
        (lambda: Network(x, both), ValueError, "depend on 'other', which is not among"),
        (lambda: Network(x, x), ValueError, "output 'x' is an input"),
        (lambda: Network([x, x], y), ValueError, "given twice among the inputs"),
        (lambda: Network(x, [y, y]), ValueError, "given twice among the outputs"),
        (lambda: Network([], y), ValueError, "at least one input"),
        (lambda: Network(x, []), ValueError, "at least one output"),
        (lambda: Network(y, Dense(2, 1)(y)), TypeError, "inputs must be Input objects, got Tensor"),
        (lambda: Network(x, Dense(2, 1)), TypeError, "outputs must be Tensor objects, got Dense"),
        (lambda: Network(x, Dense(2, 1, name="y")(y)), ValueError, "are called 'y'"),
        (lambda: Network(x, Dense(2, 1, name="x")(y)), ValueError, "are called 'x'"),
        (lambda: Add(name="sum")([y, Dense(2, 3, name="z")(x)]), ValueError,
         "'sum' takes inputs of equal width, got 2 from 'y', 3 from 'z'"),
        (lambda: Network(x, y, dtype="int8"), TypeError, "dtype must be float32 or float64"),
        (lambda: Network(x, y, seed=-1), ValueError, "seed must be"),
        (lambda: Network(x, y, name=""), ValueError, "name is ''"),
        (lambda: Sequential([]), ValueError, "layers is empty"),
        (lambda: Sequential([Dropout(0.1)]), ValueError, r"put an Input\(width\) first"),
        (lambda: Sequential([Dense]), TypeError, r"layers\[0\] is the class Dense"),
        (lambda: Sequential([Dense(2, 2), "relu"]), TypeError, r"\[1\] must be a layer, got str"),
        (lambda: Sequential([Dense(2, 2), Add()]), TypeError, r"\[1\], Add\(\), merges"),
        (lambda: Sequential([Dense(2, 3), Dense(4, 1)]), ValueError, r"Dense\(2, 3\) has width 3"),
    ]  # fmt: skip


@pytest.mark.parametrize(("build", "error", "message"), graph_errors())
def test_graphs_that_make_no_sense_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_network_that_cannot_be_built_leaves_its_layers_free():
    x = Input(2)
    layer = Dense(2, 2, name="d")
    with pytest.raises(ValueError, match="are called"):
        Network(x, Dense(2, 2, name="d")(layer(x)))
    assert layer.network is None
    Sequential([layer])


def test_training_below_a_binary_step_warns_and_names_the_layers():
    net = Sequential([Dense(2, 3), BinaryStep(name="indicator"), Dense(3, 1)])
    with pytest.warns(UserWarning, match="'indicator' is 0: no gradient reaches dense_1,"):
        net.compile("mean_squared_error")


def test_a_step_above_frozen_layers_needs_no_warning():
    net = Sequential([Dense(2, 3, "binary_step", trainable=False), Dense(3, 1)])
    net.compile("mean_squared_error")  # a warning would be an error
