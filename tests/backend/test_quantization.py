"""Numbers of eight bits: rounding, exact sums, limits."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.backend import quantization
from fastnn.program import ProgramBuilder


def test_a_weight_is_off_by_half_a_step_at_most(rng):
    weight = (rng.normal(size=(200, 40)) * 10.0 ** rng.integers(-6, 6, 40)).astype(np.float32)
    codes, scales = quantization.quantized_weight(weight)
    assert codes.dtype == np.int8
    assert np.abs(codes).max() == 127
    error = np.abs(codes * scales.astype(np.float64) - weight)
    assert (error <= 0.5001 * scales).all()


def test_columns_of_zeros_and_of_tiny_numbers_are_zero():
    weight = np.array([[0, 1e-42, 1], [0, -1e-42, -2]], np.float32)
    codes, scales = quantization.quantized_weight(weight)
    np.testing.assert_array_equal(codes[:, :2], 0)
    np.testing.assert_array_equal(scales[:2], 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_column_that_is_not_finite_has_no_scale(value):
    weight = np.array([[1, value], [2, 3]], np.float32)
    codes, scales = quantization.quantized_weight(weight)
    assert np.isnan(scales).tolist() == [False, True]
    np.testing.assert_array_equal(codes[:, 1], 0)


def test_zero_is_exact_and_rows_are_off_by_half_a_step(rng):
    x = (rng.normal(size=(50, 30)) + rng.normal(size=(50, 1)) * 3).astype(np.float32)
    x[:, 7] = 0
    for attributes in ({}, {"low": float(x.min()), "high": float(x.max())}):
        codes, scales = quantization.quantized_rows(x, attributes)
        np.testing.assert_array_equal(codes[:, 7], 0)
        # The zero point is rounded too: an end of the range may be off by another half.
        error = np.abs(codes * scales.astype(np.float64) - x)
        assert (error <= 1.001 * scales).all()
        assert error.mean() < 0.3 * scales.mean()


def test_numbers_beyond_the_range_are_clipped():
    x = np.array([[-5, -1, 0, 2, 3e38, 1]], np.float32)
    codes, scales = quantization.quantized_rows(x, {"low": -1.0, "high": 2.0})
    np.testing.assert_allclose(codes[0] * scales[0], [-1, -1, 0, 2, 2, 1], atol=0.006)


def test_positive_rows_use_all_levels():
    codes, _ = quantization.quantized_rows(np.array([[0, 1, 4]], np.float32), {})
    np.testing.assert_array_equal(codes, [[0, 64, 255]])


def test_a_row_that_is_not_finite_is_nan_alone():
    x = np.array([[1, np.nan], [1, 2], [np.inf, 0]], np.float32)
    weight = quantization.quantized_weight(np.eye(2, dtype=np.float32))
    z = quantization.product(x, weight, None, {})
    assert np.isnan(z).all(axis=1).tolist() == [True, False, True]


def test_the_sum_is_exact_up_to_the_largest_number_of_inputs():
    k = quantization.MOST_INPUTS
    x, weight = np.ones((1, k), np.float32), np.ones((k, 1), np.float32)
    total = k * quantization.LEVELS * quantization.WEIGHT_LEVELS
    assert total < 2**31 <= total + quantization.LEVELS * quantization.WEIGHT_LEVELS
    z = quantization.product(x, quantization.quantized_weight(weight), None, {})
    assert z[0, 0] == np.float32(total) * (np.float32(1 / 255) * np.float32(1 / 127))


def test_the_largest_numbers_of_float32_do_not_overflow():
    x = np.array([[3.4e38, -3.4e38, 0]], np.float32)
    codes, scales = quantization.quantized_rows(x, {})
    assert np.isfinite(scales).all()
    np.testing.assert_allclose(codes[0].astype(float) * scales[0, 0], x[0], rtol=0.01)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"precision": "int4"}, "precision must be"),
        ({"precision": "int8", "low": 1.0, "high": -1.0}, "finite range"),
        ({"precision": "int8", "low": 0.0, "high": float("inf")}, "finite range"),
    ],
)
def test_a_program_knows_its_precisions(attributes, message):
    builder = ProgramBuilder()
    x, weight = builder.input("x", 3), builder.parameter("w", (3, 2))
    with pytest.raises(ValueError, match=message):
        builder.add("dense", [x], "z", [weight], **attributes)
