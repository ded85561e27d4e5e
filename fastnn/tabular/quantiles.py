"""Order statistics of a column: its median and scale, and bins with about equally many rows."""

from __future__ import annotations

import numpy as np

__all__ = ["Bins", "edges_of", "median_and_scale"]

_MANY = 4096
_INTERVALS = (1 << 10, 1 << 13)
_MOST_STEPS = 3


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


def edges_of(ordered: np.ndarray, bins: int, whole: int = 0) -> tuple[float, ...]:
    """Edges of bins, in ascending order, for ascending numbers.

    The edges are quantiles of the rows.  Equal values make some of them coincide; as many edges
    are then taken from the quantiles of the rows whose value is not among the most frequent ones,
    those of more than a share of ``1 / bins`` of the rows.

    Parameters
    ----------
    ordered : (N,) array of float64, ascending
    bins : int
        Largest number of bins between quantiles.
    whole : int, default 0
        Whole numbers with at most so many different values have an edge at each value: they are
        often hours, months, counts or codes, and a value may differ from both its neighbours.

    Returns
    -------
    edges : tuple of float
        At least 3, and at most ``bins + 1`` or `whole`; none if the numbers have fewer than 3
        different values, or the rule gives one bin.
    """
    if bins < 2 or ordered[0] == ordered[-1]:
        return ()
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    if len(starts) <= 2:
        return ()
    values = ordered[starts]
    if len(values) <= whole and np.array_equal(values, np.rint(values)):
        return tuple(values.tolist())
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


class Bins:
    """Bins of many numbers: their edges, and where to begin the search for a number.

    For many numbers, equal intervals of the range each know the first bin that they touch; few
    comparisons with edges give the bin.

    Parameters
    ----------
    edges : (bins + 1,) array of float64, ascending
        Empty for no bins.
    center : float
        The number that stands for nan.
    n : int
        Number of the numbers.
    """

    def __init__(self, edges: np.ndarray, center: float, n: int) -> None:
        self._edges, self._center = edges, center
        self._steps = 0
        if not len(edges):
            return
        self._widths = np.diff(edges)
        self._ends = np.append(edges[1:-1], np.inf)
        if n >= _MANY:
            for size in _INTERVALS:
                self._divide(size)
                if self._steps:
                    break

    def _divide(self, size: int) -> None:
        """Divide the range into intervals, unless one of them has many edges."""
        edges = self._edges
        with np.errstate(over="ignore", divide="ignore"):
            factor = size / (edges[-1] - edges[0])
        if not 0 < factor < np.inf:
            return
        # `_interval` ascends with the number: edges in lower intervals are lower numbers.
        interval = ((edges[1:-1] - edges[0]) * factor).astype(np.intp)
        steps = int(np.bincount(interval).max())
        if steps <= _MOST_STEPS:
            self._factor, self._steps = factor, steps
            self._starts = np.searchsorted(interval, np.arange(size + 2)).astype(np.intp)

    def _of(self, values: np.ndarray) -> np.ndarray:
        """The index of the bin of each number in the range of the edges."""
        if not self._steps:
            return np.searchsorted(self._ends[:-1], values, side="right")
        place = values - self._edges[0]
        place *= self._factor
        bins = self._starts.take(place.astype(np.intp))
        for _ in range(self._steps):
            bins += values >= self._ends.take(bins)
        return bins

    def positions(self, values: np.ndarray) -> np.ndarray:
        """The position of each number: the index of its bin plus the fraction in it.

        Parameters
        ----------
        values : (N,) array of float64

        Returns
        -------
        (N,) array of float64
            In [0, bins]; 0 below the first edge, `bins` above the last.
        """
        result = np.clip(values, self._edges[0], self._edges[-1])
        result[np.isnan(result)] = np.clip(self._center, self._edges[0], self._edges[-1])
        bins = self._of(result)
        result -= self._edges.take(bins)
        result /= self._widths.take(bins)
        result += bins
        return result
