"""Numbers of eight bits for predictions: what weights and activations become, and at what cost.

A weight is whole numbers from -127 to 127 times the scale of its column.  A row of activations is
whole numbers u from 0 to 255, with the zero point z among them::

    w = s_j q,   x = s (u - z),   x w = s s_j sum (u - z) q

The sum is exact in 32 bits for up to `MOST_INPUTS` inputs, so every executor has the same one in
any order.  What follows it, `z = float(sum) * (s * s_j) + b`, is rounded to float32 operation by
operation.  The range of the activations is that of each row, or one range for all rows.

Jacob et al. (2018), "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", have the scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn.program import aligned_zeros

Array = np.ndarray

LEVELS = 255
"""The largest whole number for an activation; the least is 0."""

WEIGHT_LEVELS = 127
"""The largest whole number for a weight; the least is its negative."""

MOST_INPUTS = (2**31 - 1) // (LEVELS * WEIGHT_LEVELS)
"""Inputs of a product whose sums a 32-bit integer always holds."""

INSTRUCTIONS = ("v4b",)
"""Instruction sets that multiply and add four bytes at once."""

LEAST_INPUTS, LEAST_OUTPUTS = 64, 32
"""Products with fewer of either are no faster in integers than in float32."""

_ROWS = 4096
"""Rows of a product that are float64 at a time."""


class QuantizedWeight(NamedTuple):
    """A weight (K, N) as codes (K, N) of int8 times scales (N,) of float32."""

    codes: Array
    scales: Array


class PackedWeight(NamedTuple):
    """A weight as the compiled core reads it; integers of 32 bits in the bits of float32.

    Words (K / 4, ld) of four codes of a column, scales (ld,) and the sums (ld,) of the codes.
    """

    words: Array
    scales: Array
    sums: Array


class Grid(NamedTuple):
    """The numbers that activations are rounded to: scale, 1 / scale or 0, zero point; float32."""

    scale: Array
    inverse: Array
    zero: Array


def quantized_weight(weight: Array) -> QuantizedWeight:
    """The nearest codes of a weight, with the scale of each column.

    A column that is not finite has nan for its scale, and codes of 0.

    Parameters
    ----------
    weight : (K, N) array of float32
    """
    with np.errstate(all="ignore"):
        scales = np.abs(weight).max(axis=0) / np.float32(WEIGHT_LEVELS)
        scales, inverse = _usable(scales)
        codes = np.clip(np.rint(weight * inverse), -WEIGHT_LEVELS, WEIGHT_LEVELS)
    finite = np.isfinite(weight).all(axis=0)
    codes = np.where(finite, codes, np.float32(0))
    return QuantizedWeight(codes.astype(np.int8), np.where(finite, scales, np.float32(np.nan)))


def packed(weight: QuantizedWeight, ld: int) -> PackedWeight:
    """A weight in rows of `ld` words, with zeros behind its columns and its last codes."""
    n_in, n_out = weight.codes.shape
    codes = np.zeros((-(-n_in // 4), 4, ld), np.int8)
    codes.reshape(-1, ld)[:n_in, :n_out] = weight.codes
    scales, sums = np.zeros(ld, np.float32), np.zeros(ld, np.int32)
    scales[:n_out] = weight.scales
    sums[:n_out] = weight.codes.sum(axis=0, dtype=np.int32)
    words = aligned_zeros(codes.size // 4, np.int32).reshape(-1, ld)
    words[...] = np.ascontiguousarray(codes.transpose(0, 2, 1)).view(np.int32)[..., 0]
    return PackedWeight(words.view(np.float32), scales, sums.view(np.float32))


def grid(low: Any, high: Any) -> Grid:
    """The grid from the least to the largest number, or to 0 where that lies outside.

    Parameters
    ----------
    low, high : float or array
    """
    zero = np.float32(0)
    low = np.minimum(np.asarray(low, np.float32), zero)
    high = np.maximum(np.asarray(high, np.float32), zero)
    levels = np.float32(LEVELS)
    with np.errstate(all="ignore"):
        scale, inverse = _usable(high / levels - low / levels)
        return Grid(scale, inverse, np.rint(-low * inverse))


def _usable(scale: Array) -> tuple[Array, Array]:
    """Scales and their inverses: both 0 where the inverse might overflow."""
    normal = scale >= np.finfo(np.float32).tiny
    inverse = np.divide(np.float32(1), scale, where=normal, out=np.zeros_like(scale))
    return np.where(normal, scale, np.float32(0)), inverse


def quantized_rows(x: Array, attributes: Mapping[str, Any]) -> tuple[Array, Array]:
    """The whole numbers u - z of activations (n, K), in float32, and the scales (n, 1) of the rows.

    A row that is not finite has nan for its scale, and zeros.

    Parameters
    ----------
    x : (n, K) array of float32
    attributes : mapping
        Those of the operation: with `low` and `high`, one range for all rows.
    """
    finite = np.isfinite(x).all(axis=1, keepdims=True)
    x = np.where(finite, x, np.float32(0))
    if "low" in attributes:
        rounding = grid(attributes["low"], attributes["high"])
    else:
        rounding = grid(x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True))
    with np.errstate(over="ignore"):
        codes = np.clip(x * rounding.inverse, -rounding.zero, LEVELS - rounding.zero)
    scales = np.where(finite, rounding.scale, np.float32(np.nan))
    return np.rint(codes), scales


def product(
    x: Array, weight: QuantizedWeight, bias: Array | None, attributes: Mapping[str, Any]
) -> Array:
    """X W + b by whole numbers: (n, N) of float32.

    Parameters
    ----------
    x : (n, K) array of float32
    weight : QuantizedWeight
    bias : (N,) array, optional
    attributes : mapping
        As in `quantized_rows`.
    """
    z = np.empty((len(x), len(weight.scales)), np.float32)
    factors = weight.codes.astype(np.float64)
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        codes, scales = quantized_rows(x[rows], attributes)
        total = codes.astype(np.float64) @ factors  # exact: below 2**53
        with np.errstate(all="ignore"):
            z[rows] = total.astype(np.float32) * (scales * weight.scales)
            if bias is not None:
                z[rows] += bias
    return z
