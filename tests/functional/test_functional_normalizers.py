"""Log-sum-exp, softmax, log-softmax and their derivatives over the last axis."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.special

import fastnn.functional as F

INF, NAN = math.inf, math.nan
TOLERANCE = {"float32": 5e-7, "float64": 1e-15}
WIDTHS = pytest.mark.parametrize("width", [1, 2, 3, 15, 16, 17, 33, 100, 1000])


def exact_logsumexp(row):
    return float(mpmath.log(sum(mpmath.exp(mpmath.mpf(float(x))) for x in row)))


@WIDTHS
def test_logsumexp_equals_that_of_scipy(backend, dtype, rng, width):
    z = (5 * rng.standard_normal((7, width))).astype(dtype)
    expected = scipy.special.logsumexp(z.astype(float), axis=-1)
    np.testing.assert_allclose(F.logsumexp(z), expected, rtol=4 * TOLERANCE[dtype])


@WIDTHS
def test_softmax_equals_that_of_scipy(backend, dtype, rng, width):
    z = (5 * rng.standard_normal((7, width))).astype(dtype)
    expected = scipy.special.softmax(z.astype(float), axis=-1)
    np.testing.assert_allclose(F.softmax(z), expected, rtol=8 * TOLERANCE[dtype])


@WIDTHS
def test_log_softmax_equals_that_of_scipy(backend, dtype, rng, width):
    z = (5 * rng.standard_normal((7, width))).astype(dtype)
    expected = scipy.special.log_softmax(z.astype(float), axis=-1)
    np.testing.assert_allclose(
        F.log_softmax(z), expected, rtol=8 * TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )


@pytest.mark.parametrize(
    "row",
    [[1000.0, 1000.0], [-1000.0, -1001.0], [0.0, -50.0, -60.0], [80.0, 79.0, -80.0], [1e30, -1e30]],
)
def test_logsumexp_is_accurate_where_the_naive_sum_is_not(backend, dtype, row):
    z = np.array(row, dtype)
    assert F.logsumexp(z) == pytest.approx(exact_logsumexp(z), rel=2 * TOLERANCE[dtype])


def test_log_softmax_of_a_dominating_entry_keeps_its_digits(backend):
    # -log(1 + exp(-40)) is 4e-18: computed as log of a sum near 1, it would be 0.
    assert F.log_softmax(np.array([40.0, 0.0]))[0] == pytest.approx(
        -math.log1p(math.exp(-40)), rel=1e-14
    )


def test_softmax_of_equal_logits_is_uniform(backend, dtype):
    np.testing.assert_allclose(F.softmax(np.full(7, 300, dtype)), 1 / 7, rtol=TOLERANCE[dtype])


@WIDTHS
def test_limits_of_rows_with_infinities(backend, dtype, width):
    z = np.zeros((3, width), dtype)
    z[0] = -INF
    z[1, -1] = INF
    z[2, 0] = NAN
    np.testing.assert_array_equal(F.logsumexp(z), [-INF, INF, NAN])
    one_hot = np.zeros(width)
    one_hot[-1] = 1
    expected = np.array([np.full(width, NAN), one_hot, np.full(width, NAN)])
    np.testing.assert_array_equal(F.softmax(z), expected)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(F.log_softmax(z), np.log(expected))


@WIDTHS
def test_entries_of_plus_infinity_share_the_softmax(backend, dtype, width):
    z = np.zeros(width + 2, dtype)
    z[[0, -1]] = INF
    expected = np.zeros(width + 2)
    expected[[0, -1]] = 0.5
    np.testing.assert_array_equal(F.softmax(z), expected)
    np.testing.assert_allclose(F.log_softmax(z)[[0, -1]], -math.log(2), rtol=TOLERANCE[dtype])


def test_minus_infinity_among_numbers_has_probability_zero(backend, dtype):
    z = np.array([1, -INF, 2], dtype)
    np.testing.assert_allclose(F.softmax(z), scipy.special.softmax([1, -INF, 2]), rtol=1e-6)
    assert F.log_softmax(z)[1] == -INF
    assert F.logsumexp(z) == pytest.approx(2 + math.log1p(math.exp(-1)), rel=1e-6)


def test_nan_wins_over_infinity(backend, dtype):
    z = np.array([INF, NAN, -INF], dtype)
    assert np.isnan(F.logsumexp(z))
    assert np.isnan(F.softmax(z)).all()


def test_row_of_one_has_softmax_one(backend, dtype):
    z = np.array([[3], [-1e30]], dtype)
    np.testing.assert_array_equal(F.softmax(z), [[1], [1]])
    np.testing.assert_array_equal(F.log_softmax(z), [[0], [0]])
    np.testing.assert_array_equal(F.logsumexp(z), z[:, 0])


def central_differences(function, z, h=1e-6):
    """d sum(function) / dz for a function whose rows are independent."""
    gradient = np.empty_like(z)
    for j in range(z.shape[-1]):
        step = np.zeros_like(z)
        step[..., j] = h
        difference = function(z + step) - function(z - step)
        gradient[..., j] = difference / (2 * h)
    return gradient


def long_row(kind, dtype):
    """A row of 30,000 elements, more than are summed in one piece."""
    z = np.random.default_rng(0).standard_normal(30_000)
    if kind == "rising":
        z = np.sort(z) * 30
    elif kind == "falling":
        z = np.sort(z)[::-1] * 30
    elif kind == "largest last":
        z[-1] = 50
    elif kind == "begins with -inf":
        z[:20_000] = -INF
    elif kind == "equal":
        z[:] = 3
    return z.astype(dtype)


@pytest.mark.parametrize(
    "kind", ["normal", "rising", "falling", "largest last", "begins with -inf", "equal"]
)
def test_logsumexp_of_a_long_row_equals_the_exact_one(backend, dtype, kind):
    z = long_row(kind, dtype)
    finite = z[np.isfinite(z)].astype(np.longdouble)
    top = finite.max()
    expected = float(top + np.log(np.sum(np.exp(finite - top))))
    assert F.logsumexp(z) == pytest.approx(expected, rel=4 * TOLERANCE[dtype])


@pytest.mark.parametrize("place", [0, 8191, 15_000, 29_999])
def test_limits_of_logsumexp_hold_anywhere_in_a_long_row(backend, dtype, place):
    for value, expected in ((INF, INF), (NAN, NAN)):
        z = long_row("normal", dtype)
        z[place] = value
        np.testing.assert_array_equal(F.logsumexp(z), expected)
        z[:] = -INF
        np.testing.assert_array_equal(F.logsumexp(z), -INF)
        z[place] = value
        np.testing.assert_array_equal(F.logsumexp(z), expected)


def test_derivative_of_logsumexp_is_softmax(backend, rng):
    z = rng.standard_normal((4, 5))
    np.testing.assert_allclose(F.softmax(z), central_differences(F.logsumexp, z), atol=1e-9)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("width", [1, 5, 40])
def test_backward_equals_central_differences(backend, rng, name, width):
    z, upstream = rng.standard_normal((2, 3, width))
    forward = getattr(F, name)
    expected = central_differences(lambda v: np.sum(forward(v) * upstream, axis=-1), z)
    got = getattr(F, f"{name}_backward")(forward(z), upstream)
    np.testing.assert_allclose(got, expected, atol=1e-8)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_backward_in_float32_agrees_with_float64(backend, rng, name):
    z, upstream = rng.standard_normal((2, 6, 37)).astype(np.float32)
    forward, backward = getattr(F, name), getattr(F, f"{name}_backward")
    expected = backward(forward(z.astype(float)), upstream.astype(float))
    np.testing.assert_allclose(backward(forward(z), upstream), expected, atol=2e-5)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_backward_writes_into_its_first_argument(backend, dtype, rng, name):
    z, upstream = rng.standard_normal((2, 6, 20)).astype(dtype)
    output = getattr(F, name)(z)
    backward = getattr(F, f"{name}_backward")
    expected = backward(output, upstream)
    assert backward(output, upstream, out=output) is output
    np.testing.assert_array_equal(output, expected)


def test_rows_of_any_leading_shape(backend, dtype, rng):
    z = rng.standard_normal((2, 3, 4, 5)).astype(dtype)
    assert F.logsumexp(z).shape == (2, 3, 4)
    np.testing.assert_array_equal(F.softmax(z)[1, 2], F.softmax(z[1, 2]))
    assert F.logsumexp(z[0, 0, 0]).shape == ()


def test_no_rows_give_no_rows(backend, dtype):
    z = np.empty((0, 4), dtype)
    assert F.logsumexp(z).shape == (0,)
    assert F.softmax(z).shape == F.log_softmax(z).shape == (0, 4)
    assert F.softmax_backward(z, z).shape == (0, 4)


def test_upstream_of_another_shape_is_refused(backend):
    with pytest.raises(ValueError, match=r"dp must have shape \(2, 3\), got \(3, 2\)"):
        F.softmax_backward(np.ones((2, 3)), np.ones((3, 2)))


def test_upstream_of_another_dtype_is_refused(backend):
    with pytest.raises(TypeError, match="dlogp must be float32 as logp is, got float64"):
        F.log_softmax_backward(np.ones((2, 3), np.float32), np.ones((2, 3)))


def test_upstream_may_not_be_out(backend):
    p, dp = np.ones((2, 2, 3))
    with pytest.raises(ValueError, match="out must share no memory with dp, got the same array"):
        F.softmax_backward(p, dp, out=dp)


def test_logsumexp_into_out(backend, dtype, rng):
    z = rng.standard_normal((3, 4)).astype(dtype)
    out = np.empty(3, dtype)
    assert F.logsumexp(z, out=out) is out
    np.testing.assert_array_equal(out, F.logsumexp(z))
