"""Mistakes with layers, and what the messages name."""

import math

import numpy as np
import pytest

from fastnn import layers
from fastnn.layers import (
    Activation,
    Add,
    Dense,
    Dropout,
    Input,
    LayerNorm,
    LeakyReLU,
    ReLU,
    Subtract,
)
from fastnn.network import Sequential


def called(layer):
    layer([[1.0, 2.0]])
    return layer


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: Dense(2.5, 1), TypeError, "n_in must be an integer, got float"),
        (lambda: Dense(2, 0), ValueError, "n_out must be an integer >= 1, got 0"),
        (lambda: Dense(2, 1, activation="rely"), ValueError, "unknown activation 'rely'"),
        (lambda: Dense(2, 1, alpha=0.1), ValueError, "alpha is 0.1, but identity has no parameter"),
        (lambda: Dense(2, 1, LeakyReLU(0.1), alpha=0.2), ValueError, "has its own"),
        (lambda: Dense(2, 1, weight=[[1.0, 2.0]]), ValueError, r"shape \(2, 1\), got \(1, 2\)"),
        (
            lambda: Dense(2, 1, bias=[1.0, 2.0]),
            ValueError,
            r"bias must have shape \(1,\), got \(2,\)",
        ),
        (lambda: Dense(2, 1, use_bias=False, bias=[1.0]), ValueError, "but use_bias is False"),
        (lambda: Dense(2, 1, dtype="float16"), TypeError, "dtype must be float32 or float64"),
        (lambda: Dense(2, 1, dtype="int32"), TypeError, "dtype must be float32 or float64"),
        (lambda: Dense(2, 1, name="a.b"), ValueError, "name is 'a.b', expected letters"),
        (lambda: Dense(2, 1, name=3), TypeError, "name must be a string"),
        (lambda: Dense(2, 1, seed=-1), ValueError, "seed must be an integer >= 0"),
        (lambda: Dense(2, 1, use_bias="no"), TypeError, "use_bias must be True or False"),
        (lambda: layers.GELU(approximate="no"), TypeError, "approximate must be True or False"),
        (lambda: Dropout(0.1)([[1.0]], training="no"), TypeError, "training must be True or False"),
        (lambda: Dense(2, 1, ReLU), TypeError, r"class ReLU, expected a name .* or an instance"),
        (lambda: Activation(ReLU), TypeError, r"class ReLU, expected a name .* or an instance"),
        (lambda: Dense(2, 1, trainable=1), TypeError, "trainable must be True or False"),
        (lambda: Input(0), ValueError, "width must be an integer >= 1"),
        (lambda: Dropout(1.0), ValueError, "rate must be a finite number .* < 1, got 1.0"),
        (lambda: Dropout(-0.1), ValueError, "rate must be"),
        (lambda: Dropout("half"), TypeError, "rate must be a real number"),
        (lambda: LayerNorm(0), ValueError, "width must be an integer >= 1, got 0"),
        (lambda: LayerNorm(2, epsilon=0), ValueError, "epsilon must be a finite number > 0"),
        (lambda: LayerNorm(2, use_scale=1), TypeError, "use_scale must be True or False"),
        (
            lambda: LayerNorm(2, scale=[1.0]),
            ValueError,
            r"scale must have shape \(2,\), got \(1,\)",
        ),
        (lambda: LayerNorm(1, use_scale=False, scale=[2.0]), ValueError, "but use_scale is False"),
        (lambda: LayerNorm(1, use_shift=False, shift=[2.0]), ValueError, "but use_shift is False"),
        (lambda: LayerNorm(3)([[1.0, 2.0]]), ValueError, "width 3, but x has width 2"),
        (lambda: LeakyReLU(math.nan), ValueError, "alpha must be a finite number"),
        (lambda: Dense(2, 1)([[1.0, 2.0, 3.0]]), ValueError, "width 2, but x has width 3"),
        (lambda: Dense(2, 1)(np.zeros((0, 2))), ValueError, "x must have at least one row"),
        (
            lambda: Dense(2, 1)(np.zeros((1, 1, 2))),
            ValueError,
            r"x must have shape .*, got \(1, 1, 2\)",
        ),
        (lambda: Dense(2, 1)(3.0), ValueError, r"x must have shape .*, got \(\)"),
        (lambda: Dense(2, 1)([["a", "b"]]), TypeError, "x must hold real numbers"),
        (lambda: Dense(2, 1)(np.zeros((1, 2), complex)), TypeError, "x must hold real numbers"),
        (lambda: Dense(2, 1).backward([[1.0]]), RuntimeError, "backward needs a call"),
        (lambda: Dense(2, 1).gradients, RuntimeError, "no gradients before"),
        (lambda: called(Dense(2, 1)).gradients, RuntimeError, "no gradients before"),
        (lambda: called(Dense(2, 1)).backward([1.0]), ValueError, r"shape \(1, 1\), got \(1,\)"),
        (lambda: called(Dense(2, 1)).backward([["a"]]), TypeError, "dy must hold real numbers"),
        (lambda: Add()(np.zeros((2, 2))), TypeError, "Add takes a list of inputs, got ndarray"),
        (lambda: Add()([np.zeros((2, 2))]), ValueError, "at least two inputs, got 1"),
        (lambda: Subtract()([np.zeros((1, 1))] * 3), ValueError, "exactly two inputs, got 3"),
        (lambda: Add()([Input(2), np.zeros((2, 2))]), TypeError, "tensors and ndarray in one list"),
        (lambda: Add()([[[1.0]], [[1.0, 2.0]]]), ValueError, r"got 1 from x\[0\], 2 from x\[1\]"),
        (
            lambda: Add()([[[1.0]], [[1.0], [2.0]]]),
            ValueError,
            r"x\[1\] must have 1 rows as x\[0\] has, got 2",
        ),
        (lambda: Dense(2, 1)(Dense(2, 3)(Input(2))), ValueError, r"but Dense\(2, 3\) has width 3"),
    ],
)  # fmt: skip
def test_mistakes_are_named(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_backward_after_a_call_without_training_is_refused(backend):
    layer = Dense(2, 1)
    layer([[1.0, 2.0]], training=False)
    with pytest.raises(RuntimeError, match="training=True"):
        layer.backward([[1.0]])


def test_widths_that_do_not_fit_name_the_layers():
    with pytest.raises(
        ValueError, match="'second' takes inputs of width 4, but 'first' has width 3"
    ):
        Dense(4, 1, name="second")(Dense(2, 3, name="first")(Input(2)))


def test_a_layer_of_a_network_cannot_join_another_graph():
    layer = Dense(2, 1)
    Sequential([layer])
    with pytest.raises(ValueError, match=r"'dense_1' belongs to a Sequential .* layer\.copy\(\)"):
        layer(Input(2))
