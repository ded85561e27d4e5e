"""Norms and spreads of numbers whose squares overflow."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F

ROW = np.array([1.0, 2.0, 3.0, 4.5])
LARGE = {"float32": [1e15, 1e30, 1e37], "float64": [1e150, 1e200, 1e306]}
HUGE = {"float32": [1e18, 1e30, 1e38], "float64": [1e150, 1e200, 1e300]}
RTOL = {"float32": 1e-6, "float64": 1e-14}


@pytest.mark.parametrize("i", range(3))
def test_layer_norm_does_not_depend_on_the_unit(backend, dtype, i):
    unit = np.dtype(dtype).type(LARGE[dtype][i])
    expected = (ROW - ROW.mean()) / ROW.std()
    found = F.layer_norm((ROW.astype(dtype) * unit)[None, :])
    np.testing.assert_allclose(found[0], expected, rtol=RTOL[dtype])


@pytest.mark.parametrize("offset", [0.0, 3.0, -1e3])
def test_layer_norm_of_large_rows_keeps_its_digits_far_from_zero(backend, dtype, offset):
    unit = np.dtype(dtype).type(LARGE[dtype][1])
    x = ((ROW + offset).astype(dtype) * unit)[None, :]
    exact = x[0].astype(np.longdouble) / np.longdouble(unit)
    expected = (exact - exact.mean()) / exact.std()
    np.testing.assert_allclose(F.layer_norm(x)[0], expected.astype(float), rtol=50 * RTOL[dtype])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_layer_norm_of_a_row_that_is_not_finite_is_nan(backend, dtype, bad):
    x = np.array([[1.0, bad, 2.0], [1.0, 2.0, 4.0]], dtype)
    result = F.layer_norm(x)
    assert np.isnan(result[0]).all()
    assert np.isfinite(result[1]).all()


@pytest.mark.parametrize("i", range(3))
def test_clipping_brings_any_norm_down(backend, dtype, i):
    g = np.array([3.0, -4.0, 0.0], dtype) * np.dtype(dtype).type(HUGE[dtype][i] / 4)
    norm = F.clip_by_norm(g, 1.0)
    np.testing.assert_allclose(g, [0.6, -0.8, 0], rtol=RTOL[dtype])
    assert norm == pytest.approx(1.25 * HUGE[dtype][i], rel=RTOL[dtype])


def test_clipping_leaves_a_gradient_that_is_not_finite(backend, dtype):
    g = np.array([np.inf, 1.0], dtype)
    assert F.clip_by_norm(g, 1.0) == np.inf
    np.testing.assert_array_equal(g, [np.inf, 1])


@pytest.mark.parametrize("threads", [1, 2])
def test_a_step_clips_a_gradient_whose_squares_overflow(backend, dtype, threads):
    """The loss is linear in the outputs, and its slope is the large number."""
    large = {"float32": 1e30, "float64": 1e200}[dtype]

    def linear(prediction, target):
        return float((prediction / prediction.size).sum()), np.full_like(prediction, large)

    net = fnn.Sequential([fnn.Dense(3, 2)], dtype=dtype)
    net.compile(fnn.CustomLoss(linear), fnn.GradientDescent(1.0, clip_norm=1.0))
    net.set_flat(np.zeros(8))
    X = np.ones((5, 3), dtype)
    previous = fnn.get_num_threads()
    fnn.set_num_threads(threads)
    try:
        net.train_step(X, np.zeros((5, 2), dtype))
    finally:
        fnn.set_num_threads(previous)
    np.testing.assert_allclose(net.get_flat(), -np.ones(8) / np.sqrt(8), rtol=RTOL[dtype])
