"""Rows of a table by codes, and between the edges of bins by positions.

Column j of an input has `sizes[j]` rows of the table; the columns' rows stand one after the
other.  An embedding reads the row of a code.  A piecewise-linear operation has a row W_k for each
bin k.  With

    V_m = sum_{k < m} W_k - sum_{k >= m} W_k

at the m-th edge, its value at position u = b + t, a fraction t within bin b, is

    (1 - t) V_b + t V_{b+1} = sum_{k < b} W_k + (2 t - 1) W_b - sum_{k > b} W_k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Sizes = Sequence[int]


def codes(x: Array, sizes: Sizes) -> Array:
    """The nearest codes to an input (N, c): (N, c) of int64; that of nan is 0."""
    limits = np.array(sizes) - 1
    return np.clip(np.nan_to_num(x, nan=0.0), 0, limits).astype(np.int64)


def are_codes(x: Array, sizes: Sizes) -> Array:
    """For each number of an input (N, c), whether it is a code of its column."""
    return np.asarray((x >= 0) & (x < np.array(sizes)) & (x == np.floor(x)))


@dataclass(frozen=True)
class Positions:
    """Where the numbers of an input (N, c) are among the edges of the bins.

    Attributes
    ----------
    bins : (N, c) array of int64
        Numbers of the bins.
    shares : (N, c) array
        Fractions within the bins, from 0 to 1; nan for a number that is nan.
    are_inside : (N, c) array of bool
        Whether the numbers are between the first edge and the last, both included.
    """

    bins: Array
    shares: Array
    are_inside: Array


def positions(x: Array, sizes: Sizes) -> Positions:
    """The positions of an input (N, c); those outside the bins are at their ends."""
    limits = np.array(sizes).astype(x.dtype)
    u = np.clip(x, 0, limits)
    bins = np.minimum(np.nan_to_num(u), limits - 1).astype(np.int64)
    return Positions(bins, u - bins.astype(x.dtype), (x >= 0) & (x <= limits))


def at_edges(weight: Array) -> Array:
    """V (K + 1, width) from the rows W (K, width) of one column."""
    edges = np.zeros((len(weight) + 1, weight.shape[1]), weight.dtype)
    np.cumsum(weight, axis=0, out=edges[1:])
    above = np.cumsum(weight[::-1], axis=0)[::-1]
    edges[:-1] -= above
    return edges


def from_edges(dv: Array) -> Array:
    """The gradient of W (K, width) from that of V (K + 1, width)."""
    above = np.cumsum(dv[:0:-1], axis=0)[::-1]
    return np.asarray(above - np.cumsum(dv[:-1], axis=0))


def parts(weight: Array, sizes: Sizes) -> list[Array]:
    """Views of the rows of each column."""
    return np.split(weight, np.cumsum(sizes)[:-1])


def combine(values: Sequence[Array], combination: str) -> Array:
    """The values (N, width) of the columns as one matrix."""
    if combination == "concatenate":
        return np.concatenate(values, axis=1)
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def split(dy: Array, n_columns: int, combination: str) -> list[Array]:
    """The gradients of the columns' values from that of `combine`."""
    if combination == "concatenate":
        return np.split(dy, n_columns, axis=1)
    return [dy] * n_columns
