"""Order statistics of a column: its median and scale, and bins with about equally many rows."""

from __future__ import annotations

import numpy as np

__all__ = ["edges_of", "median_and_scale", "positions"]


def median_and_scale(ordered: np.ndarray) -> tuple[float, float]:
    """Median and scale of ascending numbers.

    The scale is the distance of the quartiles, or half of the range where that is 0.
    """
    first, median, third = quantiles(ordered, np.array([0.25, 0.5, 0.75])).tolist()
    scale = third - first
    if scale == 0:
        scale = 0.5 * float(ordered[-1] - ordered[0])
    return median, scale


def quantiles(ordered: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Quantiles of ascending numbers, linear between them as those of `numpy.quantile`."""
    place = shares * (len(ordered) - 1)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    # No quantile lies outside its two neighbours, and equal neighbours give themselves.
    return np.clip(low + (place - below) * (high - low), low, high)


def edges_of(ordered: np.ndarray, bins: int) -> tuple[float, ...]:
    """Edges of bins, in ascending order, for ascending numbers.

    The edges are quantiles of the rows.  Equal values make some of them coincide; as many edges
    are then taken from the quantiles of the rows whose value is not among the most frequent ones,
    those of more than a share of ``1 / bins`` of the rows.

    Returns
    -------
    edges : tuple of float
        At least 3 and at most ``bins + 1``; none if the numbers have fewer than 3 different
        values, or the rule gives one bin.
    """
    if bins < 2 or ordered[0] == ordered[-1]:
        return ()
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    if len(starts) <= 2:
        return ()
    edges = np.unique(quantiles(ordered, np.linspace(0, 1, bins + 1)))
    free = bins + 1 - len(edges)
    if free > 0:
        counts = np.diff(np.r_[starts, len(ordered)])
        rest = ordered[np.repeat(counts <= len(ordered) / bins, counts)]
        if len(rest):
            more = np.setdiff1d(quantiles(rest, np.linspace(0, 1, free + 2)), edges)
            if len(more) > free:
                more = np.setdiff1d(quantiles(rest, np.linspace(0, 1, free)), edges)
            edges = np.union1d(edges, more)
    return tuple(edges.tolist()) if len(edges) > 2 else ()


def positions(values: np.ndarray, edges: np.ndarray, center: float) -> np.ndarray:
    """The position of each number among the bins: the index of its bin plus the fraction in it.

    Parameters
    ----------
    values : (N,) array of float64
        nan has the position of `center`.
    edges : (bins + 1,) array of float64, ascending
    center : float

    Returns
    -------
    (N,) array of float64
        In [0, bins]; 0 below the first edge, `bins` above the last.
    """
    values = np.clip(np.where(np.isnan(values), center, values), edges[0], edges[-1])
    bin_of = np.searchsorted(edges[1:-1], values, side="right")
    result: np.ndarray = (values - edges[bin_of]) / np.diff(edges)[bin_of] + bin_of
    return result
