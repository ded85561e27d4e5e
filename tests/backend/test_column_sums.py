"""Sums over rows, such as the gradients of biases: the error does not grow with their number."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F

COUNTS = [1, 31, 32, 33, 1000, 100_000, 1_000_000]
TOLERANCE = {"float32": 2e-7, "float64": 2e-13}


def positive_rows(n, dtype, columns=3):
    """Positive numbers of several sizes, and the sums of the columns."""
    rows = np.random.default_rng(n).uniform(0.1, 3, (n, columns)).astype(dtype)
    return rows, rows.astype(np.longdouble).sum(axis=0)


def largest_error(sums, expected):
    return float(np.max(np.abs(sums - expected) / expected))


@pytest.mark.parametrize("n", COUNTS)
def test_bias_gradient_of_a_network(backend, dtype, n):
    rows, expected = positive_rows(n, dtype)
    net = fnn.Sequential([fnn.Dense(1, 3)], dtype=dtype)
    net.compile(fnn.MeanSquaredError(reduction="sum"))
    net.set_flat(np.zeros(6))
    _, gradients = net.loss_and_gradients(np.zeros((n, 1), dtype), -rows)
    (bias,) = [g for name, g in gradients.items() if name.endswith("bias")]
    assert largest_error(bias, 2 * expected) <= TOLERANCE[dtype]


@pytest.mark.parametrize("n", COUNTS)
def test_gradients_of_layer_norm(backend, dtype, n):
    """The rows are 1 and -1: their normalised form is known, and shift and scale have one sum."""
    rows, expected = positive_rows(n, dtype, 2)
    net = fnn.Sequential([fnn.Input(2), fnn.LayerNorm(2, epsilon=1e-30)], dtype=dtype)
    net.compile(fnn.MeanSquaredError(reduction="sum"))
    X = np.tile(np.array([1, -1], dtype), (n, 1))
    net.set_flat(np.zeros_like(net.get_flat()))
    _, gradients = net.loss_and_gradients(X, -rows)
    scale, shift = (np.abs(g) for _, g in sorted(gradients.items()))
    assert largest_error(shift, 2 * expected) <= TOLERANCE[dtype]
    assert largest_error(scale, 2 * expected) <= 2 * TOLERANCE[dtype]


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("columns", [1, 3, 40])
def test_bias_gradient_of_a_function(backend, dtype, n, columns):
    if n * columns > 10**7:
        pytest.skip("takes long")
    rows, expected = positive_rows(n, dtype, columns)
    x, weight = np.ones((n, 1), dtype), np.ones((1, columns), dtype)
    gradients = F.dense_backward(x, weight, rows, rows, activation="identity")
    assert largest_error(gradients[-1], expected) <= TOLERANCE[dtype]


def test_an_infinite_sum_stays_infinite(backend, dtype):
    rows = np.ones((100, 1), dtype)
    rows[5] = np.inf
    gradients = F.dense_backward(np.ones((100, 1), dtype), np.ones((1, 1), dtype), rows, rows)
    assert gradients[-1][0] == np.inf
