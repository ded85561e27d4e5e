"""Log-sum-exp, softmax and log-softmax along any axes mean what SciPy's functions mean."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastnn.functional as F

INF, NAN = math.inf, math.nan
HYPOTHESIS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SOFTMAX = pytest.mark.parametrize("name", ["softmax", "log_softmax"])


@st.composite
def axes(draw, ndim):
    """One axis, several in any order, or all."""
    each = st.integers(-max(ndim, 1), max(ndim, 1) - 1)
    if ndim == 0:
        return draw(st.one_of(st.none(), each))
    order = st.permutations(range(ndim))
    some = st.builds(lambda axes, n: tuple(axes[:n]), order, st.integers(1, ndim))
    return draw(st.one_of(st.none(), each, some))


@st.composite
def arrays_and_axes(draw, dtype, min_side=1):
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=min_side, max_side=5))
    numbers = st.floats(-50, 50, width=16)
    x = draw(hnp.arrays(np.float64, shape, elements=numbers)).astype(dtype)
    return x, draw(axes(x.ndim))


def ulps(dtype, scale):
    """A few units in the last place of numbers of this size."""
    return 8 * float(np.finfo(dtype).eps) * scale


# Without weights


@HYPOTHESIS
@given(data=st.data())
def test_logsumexp_equals_that_of_scipy(backend, dtype, data):
    x, axis = data.draw(arrays_and_axes(dtype))
    keep = data.draw(st.booleans())
    expected = scipy.special.logsumexp(x.astype(float), axis=axis, keepdims=keep and x.ndim > 0)
    got = F.logsumexp(x, axis=axis, keepdims=keep)
    assert got.dtype == dtype
    assert got.shape == expected.shape
    size = np.abs(x).max(initial=1.0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=ulps(dtype, size + 1))


@SOFTMAX
@HYPOTHESIS
@given(data=st.data())
def test_softmax_equals_that_of_scipy(backend, dtype, name, data):
    x, axis = data.draw(arrays_and_axes(dtype))
    expected = getattr(scipy.special, name)(x.astype(float), axis=axis)
    got = getattr(F, name)(x, axis=axis)
    assert got.dtype == dtype
    assert got.shape == expected.shape
    # Near 0, SciPy's logarithm of a number near 1 has the error of that number.
    least = float(np.finfo(dtype).smallest_subnormal)
    atol = ulps(dtype, 1) if name == "log_softmax" else least
    np.testing.assert_allclose(got, expected, rtol=ulps(dtype, 16), atol=atol)


@SOFTMAX
@HYPOTHESIS
@given(data=st.data())
def test_backward_along_axes_is_that_of_the_rows(backend, dtype, name, data):
    x, axis = data.draw(arrays_and_axes(dtype))
    x = np.asarray(x)
    upstream = np.asarray(np.random.default_rng(0).standard_normal(x.shape)).astype(dtype)
    output = getattr(F, name)(x, axis=axis)
    got = getattr(F, f"{name}_backward")(output, upstream, axis=axis)
    assert got.shape == x.shape
    y, dy = np.asarray(output, float), upstream.astype(float)
    chosen = tuple(range(x.ndim)) if axis is None else axis
    if name == "softmax":
        expected = y * (dy - np.sum(dy * y, axis=chosen, keepdims=True))
    else:
        expected = dy - np.exp(y) * np.sum(dy, axis=chosen, keepdims=True)
    np.testing.assert_allclose(got, expected, atol=ulps(dtype, 100))


@SOFTMAX
@pytest.mark.parametrize("axis", [0, 1, (0, 2), None])
def test_out_along_axes(backend, dtype, rng, name, axis):
    x = rng.standard_normal((2, 3, 4)).astype(dtype)
    expected = getattr(F, name)(x, axis=axis)
    out = np.empty_like(x)
    assert getattr(F, name)(x, out, axis=axis) is out
    np.testing.assert_array_equal(out, expected)
    assert getattr(F, name)(x, x, axis=axis) is x
    np.testing.assert_array_equal(x, expected)


def test_out_of_logsumexp_along_axes(backend, dtype, rng):
    x = rng.standard_normal((2, 3, 4)).astype(dtype)
    out = np.empty((2, 1, 4), dtype)
    assert F.logsumexp(x, out, axis=1, keepdims=True) is out
    np.testing.assert_array_equal(out[:, 0], F.logsumexp(np.moveaxis(x, 1, 2)))


# With weights


@HYPOTHESIS
@given(data=st.data())
def test_weighted_logsumexp_equals_that_of_scipy(backend, dtype, data):
    x, axis = data.draw(arrays_and_axes(dtype))
    shape = x.shape
    if x.ndim:
        narrow = data.draw(st.lists(st.booleans(), min_size=x.ndim, max_size=x.ndim))
        shape = tuple(1 if one else n for one, n in zip(narrow, shape, strict=True))
    weights = st.one_of(st.just(0.0), st.floats(-4, 4, width=16))
    b = data.draw(hnp.arrays(np.float64, shape, elements=weights)).astype(dtype)
    # SciPy before 1.15 refuses weights of an array without dimensions.
    z, w = np.atleast_1d(x.astype(float), b.astype(float))
    with np.errstate(all="ignore"):
        expected, sign = scipy.special.logsumexp(z, axis=axis, b=w, return_sign=True)
        size = scipy.special.logsumexp(z, axis=axis, b=np.abs(w))
    got, got_sign = F.logsumexp(x, axis=axis, b=b, return_sign=True)
    assert got.dtype == got_sign.dtype == dtype
    assert got.shape == got_sign.shape == expected.shape
    # Terms of both signs cancel: what rounding changes in the sum counts by its share in it.
    with np.errstate(invalid="ignore"):
        error = np.abs(np.asarray(got, float) - expected)
        share = np.exp(np.minimum(size - expected, 700))
    certain = np.isfinite(share) & (share * 64 * np.finfo(dtype).eps < 1)
    np.testing.assert_array_equal(np.asarray(got_sign)[certain], np.asarray(sign)[certain])
    tolerance = ulps(dtype, np.abs(x).max(initial=1.0) + 2 + 4 * np.where(certain, share, 1))
    assert (error[certain] <= np.broadcast_to(tolerance, error.shape)[certain]).all()
    unsigned = F.logsumexp(x, axis=axis, b=b)
    np.testing.assert_array_equal(unsigned, np.where(np.asarray(got_sign) < 0, NAN, got))


@pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 40, 1500])
def test_weighted_logsumexp_equals_the_exact_one(backend, dtype, rng, width):
    x = (10 * rng.standard_normal(width)).astype(dtype)
    b = rng.standard_normal(width).astype(dtype)
    with mpmath.workprec(300):
        terms = [
            mpmath.mpf(float(w)) * mpmath.exp(mpmath.mpf(float(z)))
            for z, w in zip(x, b, strict=True)
        ]
        total, size = mpmath.fsum(terms), mpmath.fsum(map(abs, terms))
        expected, share = float(mpmath.log(abs(total))), float(size / abs(total))
    got, sign = F.logsumexp(x, b=b, return_sign=True)
    assert sign == mpmath.sign(total)
    assert got == pytest.approx(expected, rel=0, abs=ulps(dtype, float(abs(x).max()) + share))


@pytest.mark.parametrize(
    ("x", "b", "expected", "sign"),
    [
        ([1.0, 1.0], [1, -1], -INF, 0),
        ([0.0, 0.0], [-0.0, 0.0], -INF, 0),
        ([INF, 2.0], [0, 1], 2.0, 1),
        ([NAN, 2.0], [0, 1], 2.0, 1),
        ([NAN, 2.0], [1, 1], NAN, NAN),
        ([INF, INF], [1, -1], NAN, NAN),
        ([INF, INF], [1, 2], INF, 1),
        ([INF, 2.0], [-1, 1], INF, -1),
        ([1.0, 2.0], [INF, 1], INF, 1),
        ([1.0, 2.0], [NAN, 1], NAN, NAN),
        ([-INF, 2.0], [INF, 1], NAN, NAN),
        ([-INF, -INF], [-1, -1], -INF, 0),
    ],
)
def test_limits_of_the_weighted_logsumexp_are_those_of_scipy(backend, dtype, x, b, expected, sign):
    with np.errstate(all="ignore"):
        of_scipy = scipy.special.logsumexp(x, b=b, return_sign=True)
    np.testing.assert_array_equal(of_scipy, (expected, sign))
    x, b = np.array(x, dtype), np.array(b, dtype)
    np.testing.assert_array_equal(F.logsumexp(x, b=b, return_sign=True), (expected, sign))


@pytest.mark.parametrize(
    ("x", "b", "expected", "sign"),
    [
        ([1000.0, 1000.0], [1, -1], -INF, 0),
        ([1000.0, 1000.0, 3.0], [1, -1, 1], 3.0, 1),
        ([1000.0, 3.0, 1000.0, 3.0, -5.0], [2, 1, -2, -1, -1], -5.0, -1),
        ([NAN, INF], [0, 1], INF, 1),
        ([INF, -INF], [0, 1], -INF, 0),
    ],
)
def test_where_scipy_has_nan_the_sum_of_what_is_left_decides(backend, dtype, x, b, expected, sign):
    x, b = np.array(x, dtype), np.array(b, dtype)
    np.testing.assert_array_equal(F.logsumexp(x, b=b, return_sign=True), (expected, sign))


def test_sign_without_weights(backend, dtype):
    x = np.array([[1, 2], [-INF, -INF], [NAN, 1], [INF, 1]], dtype)
    logs, sign = F.logsumexp(x, return_sign=True)
    np.testing.assert_array_equal(logs, F.logsumexp(x))
    np.testing.assert_array_equal(sign, [1, 0, NAN, 1])
    assert sign.dtype == dtype


@pytest.mark.parametrize(
    ("b", "expected"),
    [(2, "float32"), (2.0, "float32"), ([2.0, 1.0], "float64"), (np.ones(2, "f4"), "float32")],
)
def test_dtype_of_weights_counts_as_in_numpy(b, expected):
    x = np.ones((3, 2), np.float32)
    assert F.logsumexp(x, b=b).dtype == (x * b).dtype == expected


def test_weights_and_x_broadcast_with_each_other(backend):
    x, b = np.arange(3.0), np.array([[1.0], [2.0]])
    np.testing.assert_allclose(
        F.logsumexp(x, b=b, axis=0), scipy.special.logsumexp(x, b=b, axis=0), rtol=1e-15
    )


# Scalars and empty arrays


@pytest.mark.parametrize("x", [1.5, np.float32(1.5), np.array(1.5), 3, True])
def test_scalars_give_scalars(backend, x):
    kind = np.float32 if isinstance(x, np.float32) else np.float64
    for got, expected in (
        (F.logsumexp(x), x),
        (F.softmax(x), 1),
        (F.log_softmax(x), 0),
        (F.softmax_backward(F.softmax(x), kind(2)), 0),
        (F.log_softmax_backward(F.log_softmax(x), kind(2)), 0),
        (F.logsumexp(x, keepdims=True), x),
        (F.logsumexp([x], axis=0).astype(kind), x),
        *(
            (part, value)
            for part, value in zip(F.logsumexp(x, b=-1, return_sign=True), (x, -1), strict=True)
        ),
    ):
        assert type(got) is kind
        assert got == expected


def test_reduction_to_no_dimensions_is_a_scalar(backend, dtype):
    x = np.ones((2, 3), dtype)
    assert type(F.logsumexp(x, axis=None)) is np.dtype(dtype).type
    assert type(F.logsumexp(x[0])) is np.dtype(dtype).type
    out = np.empty((), dtype)
    assert F.logsumexp(x[0], out) is out


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((0,), -1), ((3, 0), -1), ((3, 0), 0), ((0, 3), 0), ((3, 0, 2), 1), ((3, 0, 2), 0)],
)
def test_logsumexp_of_nothing_is_the_logarithm_of_0(backend, dtype, shape, axis):
    x = np.empty(shape, dtype)
    expected = np.full(x.sum(axis=axis).shape, -INF)
    np.testing.assert_array_equal(F.logsumexp(x, axis=axis), expected)
    logs, sign = F.logsumexp(x, axis=axis, b=x, return_sign=True)
    np.testing.assert_array_equal(logs, expected)
    np.testing.assert_array_equal(sign, np.zeros_like(expected))


@SOFTMAX
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (3, 0, 2), (0, 0)])
def test_softmax_of_nothing_is_that_of_scipy(backend, dtype, name, shape):
    x = np.empty(shape, dtype)
    for axis in (None, *range(len(shape))):
        try:
            expected = getattr(scipy.special, name)(x, axis=axis)
        except ValueError:
            with pytest.raises(ValueError, match="x must have at least 1 element along axis"):
                getattr(F, name)(x, axis=axis)
        else:
            got = getattr(F, name)(x, axis=axis)
            assert got.shape == expected.shape
            assert got.dtype == dtype


@pytest.mark.parametrize("axis", [(), 0, (1,)])
def test_sum_along_no_axis_is_its_only_term(backend, dtype, axis):
    x = np.arange(3, dtype=dtype).reshape(3, 1)
    got = F.logsumexp(x, axis=axis, keepdims=axis != 0)
    assert got.shape == ((1,) if axis == 0 else (3, 1))
    if axis != 0:
        np.testing.assert_array_equal(got, x)


# What is refused


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
@pytest.mark.parametrize(
    ("axis", "error", "message"),
    [
        (2, np.exceptions.AxisError, "axis must be from -2 to 1 for x of 2 dimensions, got 2"),
        (-3, ValueError, "axis must be from -2 to 1 for x of 2 dimensions, got -3"),
        ((0, 0), ValueError, r"axis must not be repeated, got \(0, 0\)"),
        ((0, -2), ValueError, r"axis must not be repeated, got \(0, -2\)"),
        (1.0, TypeError, "axis must be an integer, a tuple of integers or None, got 1.0"),
        ("x", TypeError, "axis must be an integer, a tuple of integers or None, got 'x'"),
    ],
)
def test_axis_that_does_not_fit_is_refused(backend, name, axis, error, message):
    with pytest.raises(error, match=message):
        getattr(F, name)(np.ones((2, 3)), axis=axis)


def test_options_of_logsumexp_that_do_not_fit_are_refused(backend):
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"broadcasts with that of x, \(2, 3\), got \(2,\)"):
        F.logsumexp(x, b=np.ones(2))
    with pytest.raises(TypeError, match="b must hold real numbers, got dtype complex128"):
        F.logsumexp(x, b=np.ones(3, complex))
    with pytest.raises(TypeError, match="keepdims must be True or False, got 1"):
        F.logsumexp(x, keepdims=1)
    with pytest.raises(ValueError, match="out must share no memory with b"):
        F.logsumexp(np.ones((2, 3)), x[0, :2], b=x)
