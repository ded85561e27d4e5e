"""Errors of exponentials, logarithms and activations against mpmath, in ULP."""

from __future__ import annotations

import math
from functools import cache

import accuracy
import accuracy_float32
import exact
import numpy as np
import pytest

from fastnn.backend import kernels

EACH_FUNCTION = pytest.mark.parametrize("function", accuracy.FUNCTIONS)
RANDOM = 600


@cache
def cases(function, dtype, lowest):
    """Hard and random arguments and the exact values there."""
    z = np.concatenate(
        [
            accuracy.hard_arguments(function, dtype),
            accuracy.random_arguments(function, dtype, RANDOM),
        ]
    )
    z = z[z >= lowest]
    return z, [accuracy.exact_value(function, x) for x in z.tolist()]


def worst(function, z, expected):
    """Largest error of the backend in use, with its argument."""
    results = accuracy.evaluate(kernels(z.dtype), function, z)
    error = accuracy.errors(function, z, results, expected)
    i = int(error.argmax())
    return error[i], z[i]


@EACH_FUNCTION
def test_error_is_within_the_promised_bound(backend, dtype, function):
    z, expected = cases(function, dtype, accuracy.promised(function, backend, dtype))
    error, argument = worst(function, z, expected)
    assert error <= accuracy.bound(function, backend, dtype), f"at {argument!r}"


@pytest.mark.parametrize("beta", [0.7, -1.7, 30.0, 1e-3])
@pytest.mark.parametrize("slope", [False, True], ids=["value", "derivative"])
def test_swish_is_as_accurate_for_any_beta(backend, dtype, beta, slope):
    beta = float(np.dtype(dtype).type(beta))
    z = accuracy.random_arguments("swish", dtype, 400)
    z = z[np.abs(z) < 700 / abs(beta)]
    z = z[np.abs(beta * z - accuracy.ZEROS["swish'"]) > accuracy.NEAR]
    scaled = [exact.mpf(beta) * exact.mpf(x) for x in z.tolist()]
    out = np.empty_like(z)
    if slope:
        kernels(dtype).activation_derivative("swish", z, beta, out)
        expected = [accuracy.DERIVATIVES["swish"](w) for w in scaled]
    else:
        kernels(dtype).activation("swish", z, beta, out)
        sigmoid = accuracy.DERIVATIVES["softplus"]
        expected = [x * sigmoid(w) for x, w in zip(z.tolist(), scaled, strict=True)]
    allowed = accuracy.bound("swish'" if slope else "swish", backend, dtype)
    if backend == "reference":
        # It rounds beta z, and the exponential multiplies that error by |beta z|.
        allowed = allowed + np.abs(beta * z)
    assert (accuracy.errors("swish", z, out, expected) <= allowed).all()


@pytest.mark.parametrize("name", sorted(accuracy.DERIVATIVES))
def test_formulas_for_derivatives_agree_with_differences(name):
    for z in (-4.25, -1.5, -0.3, 0.4, 1.75, 6.5):
        difference = exact.taylor(name, z, 1.0)[1]
        assert abs(accuracy.DERIVATIVES[name](exact.mpf(z)) - difference) < 1e-30


@pytest.mark.parametrize("function", ["expm1", "log1p", "tanh"])
def test_sign_of_zero_is_kept(backend, dtype, function):
    results = accuracy.evaluate(kernels(dtype), function, np.array([0.0, -0.0], dtype))
    np.testing.assert_array_equal(np.signbit(results), [False, True])
    np.testing.assert_array_equal(results, 0)


@pytest.mark.parametrize("function", ["expm1", "log1p", "tanh", "elu"])
def test_subnormal_argument_comes_back_unchanged(backend, dtype, function):
    z = np.finfo(dtype).smallest_subnormal * np.array([1, -1, 3, 12345], dtype)
    np.testing.assert_array_equal(accuracy.evaluate(kernels(dtype), function, z), z)


def test_tanh_is_odd_to_the_last_bit(backend, dtype):
    z = np.abs(accuracy.random_arguments("tanh", dtype, 3000))
    positive, negative = (accuracy.evaluate(kernels(dtype), "tanh", x) for x in (z, -z))
    np.testing.assert_array_equal(negative, -positive)


def test_tanh_is_one_from_where_it_rounds_to_one_and_less_before(backend, dtype):
    # 1 - tanh(z) is 2 exp(-2 z) here; half the spacing below 1 is eps / 4.
    end = math.log(8 / np.finfo(dtype).eps) / 2
    z = np.array([end - 1, end + 0.01, 1.5 * end, 2 * end, 100 * end], dtype)
    results = accuracy.evaluate(kernels(dtype), "tanh", z)
    np.testing.assert_array_equal(results == 1, [False, True, True, True, True])


def test_tanh_never_decreases_where_its_pieces_meet(backend):
    starts = np.array([0.625, 0.75, 0.875, *np.outer([1, 2, 4], [1, 1.25, 1.5, 1.75]).flat, 8])
    borders = np.append(starts[1:] - starts[0], 9.25).astype(np.float32)
    neighbours = borders.view(np.int32)[:, np.newaxis] + np.arange(-2000, 2000, dtype=np.int32)
    results = accuracy.evaluate(kernels("float32"), "tanh", neighbours.view(np.float32).ravel())
    assert (np.diff(results) >= 0).all()


@pytest.mark.parametrize("function", accuracy.FUNCTIONS)
def test_nan_gives_nan(backend, dtype, function):
    results = accuracy.evaluate(kernels(dtype), function, np.full(37, np.nan, dtype))
    assert np.isnan(results).all()


@EACH_FUNCTION
def test_expected_values_in_float64_are_exact_to_a_millionth_of_a_float32_ulp(function):
    z, exact_values = cases(function, "float32", -math.inf)
    size = np.abs(z)
    ranges = [size >= accuracy_float32.FAR, size < accuracy_float32.TINY]
    ranges.append(~(ranges[0] | ranges[1]))
    for sign in (-1, 0, 1):
        for inside in ranges:
            (rows,) = np.nonzero(inside & (np.sign(z) == sign))
            if len(rows):
                with np.errstate(all="ignore"):
                    values = accuracy_float32.expected_values(function, z[rows])
                values[np.abs(values) >= 2.0**128] *= np.inf
                error = accuracy.errors(function, z[rows], values, [exact_values[i] for i in rows])
                assert error.max() < 1e-6


@pytest.mark.parametrize("function", accuracy.FUNCTIONS)
def test_error_on_a_sample_of_all_float32_arguments(backend, function):
    # A prime stride reaches every exponent and all patterns of low bits.
    [worst] = accuracy_float32.measure(function, {backend: kernels("float32")}, 9973).values()
    assert worst.largest <= accuracy.bound(function, backend, "float32"), worst


@pytest.mark.exhaustive
@pytest.mark.parametrize("function", accuracy.FUNCTIONS)
def test_error_on_every_float32_argument(backend, function):
    [worst] = accuracy_float32.measure(function, {backend: kernels("float32")}).values()
    assert worst.largest <= accuracy.bound(function, backend, "float32"), worst
