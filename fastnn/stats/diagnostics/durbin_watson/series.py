"""Differences within groups and between successive times: gaps are not bridged.

The rows are sorted into runs of successive times.  The difference matrix is then the Laplacian of
one path for each run, and runs of equal length, interleaved, are what the elimination for a lag
computes.  The vector of ones of a group is in the null space of that matrix, so that fixed effects
remove one eigenvalue 0 for each group and change nothing else.

References
----------
Bhargava, Franzini & Narendranathan (1982), "Serial correlation and the fixed effects model",
Review of Economic Studies 49.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import backend
from fastnn.stats.diagnostics.durbin_watson.quadratic_forms import (
    log1p,
    log_det_by_pivots,
    path_eigenvalues,
    path_log_det,
)
from fastnn.stats.diagnostics.durbin_watson.times import steps_of
from fastnn.stats.regression.groups import Groups
from fastnn.stats.regression.inputs import check_alignment

_EQUAL = 1e-12  # largest variance of eigenvalues that differ by rounding only


@dataclass(frozen=True)
class Runs:
    """Rows sorted into runs of successive times.

    Attributes
    ----------
    order : (n,) array of int
        Rows in the order of the runs.
    lengths : (r,) array of int
        Number of rows of each run.
    codes : (n,) array of int
        Number of the group of each row, in the order of the data.
    """

    order: np.ndarray
    lengths: np.ndarray
    codes: np.ndarray

    @classmethod
    def read(cls, groups: Any, time: Any, n: int, index: Any, lag: int) -> Runs:
        """From the arguments of a caller; without times, the rows of a group are successive."""
        check_alignment(index, time, "time")
        codes = np.zeros(n, int)
        if groups is not None:
            labels = Groups.read(groups, n, index)
            if labels.is_two_way:
                raise ValueError("groups must be one grouping, got two")
            codes = labels.codes[0]
        steps = _positions(codes) if time is None else steps_of(time, codes)
        order = np.lexsort((steps, steps % lag, codes))
        earlier, later = order[:-1], order[1:]
        joined = (codes[later] == codes[earlier]) & (steps[later] - steps[earlier] == lag)
        starts = np.concatenate([[0], np.flatnonzero(~joined) + 1])
        if not joined.any():
            raise ValueError("no two rows of a group are successive: there are no differences")
        return cls(order, np.diff(np.append(starts, n)), codes)

    @property
    def differences(self) -> int:
        """Number of differences."""
        return int(len(self.order) - len(self.lengths))

    def statistic(self, residuals: np.ndarray) -> float:
        """Sum of squared differences within the runs over the sum of squares."""
        ordered = residuals[self.order]
        ordered = ordered / np.abs(ordered).max()
        steps = np.delete(np.diff(ordered), np.cumsum(self.lengths)[:-1] - 1)
        return float(steps @ steps / (ordered @ ordered))

    def demeaned(self, columns: np.ndarray) -> np.ndarray:
        """Columns less their means in each group."""
        sums = np.zeros((self.codes.max() + 1, columns.shape[1]))
        np.add.at(sums, self.codes, columns)
        rest: np.ndarray = columns - (sums / np.bincount(self.codes)[:, None])[self.codes]
        return rest


def _positions(codes: np.ndarray) -> np.ndarray:
    """Number of each row in its group."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    positions = np.empty(len(codes), int)
    positions[order] = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return positions


class RunsLaw:
    """The distribution of the statistic of `Runs`; see `Law`.

    Parameters
    ----------
    runs : Runs
    basis : (n, k) array
        Orthonormal basis of the regressors in the order of the data; orthogonal to the groups where
        they have effects.
    effects : int
        Number of fixed effects.
    """

    def __init__(self, runs: Runs, basis: np.ndarray, effects: int) -> None:
        n, k = basis.shape
        lengths, counts = np.unique(runs.lengths, return_counts=True)
        self._paths = [*zip(lengths.tolist(), counts.tolist(), strict=True)]
        self._zeros = len(runs.lengths) - effects
        ordered = basis[runs.order]
        of_row = np.repeat(runs.lengths, runs.lengths)
        self._blocks = []
        removed = 0.0
        for length, count in self._paths:
            rows = ordered[of_row == length].reshape(count, length, k)
            removed += float(np.sum(np.diff(rows, axis=1) ** 2))
            block = np.ascontiguousarray(rows.transpose(1, 0, 2).reshape(-1, k))
            self._blocks.append((block, count))
        self.size = n - k - effects
        self.trace = 2.0 * runs.differences - removed
        full = sum(count * (6.0 * length - 8) for length, count in self._paths if length > 1)
        self.square = full * self.size / n
        self._is_constant = self._has_one_eigenvalue(runs, ordered, full)
        longest = self._paths[-1][0]
        ends = np.array([0 if self._zeros else 1, longest - 1])
        self.low, self.high = path_eigenvalues(longest, ends).tolist()
        if longest == 2 and not self._zeros:
            self.low -= 1.0  # all eigenvalues are equal

    def _has_one_eigenvalue(self, runs: Runs, ordered: np.ndarray, full: float) -> bool:
        """Whether the eigenvalues have no variance, by traces of the matrix and of its square."""
        joined = np.ones(len(ordered) - 1, bool)
        joined[np.cumsum(runs.lengths)[:-1] - 1] = False
        steps = np.diff(ordered, axis=0) * joined[:, np.newaxis]
        product = np.zeros_like(ordered)
        product[1:] += steps
        product[:-1] -= steps
        squares = full + float(np.sum((ordered.T @ product) ** 2)) - 2 * float(np.sum(product**2))
        return bool(abs(squares / self.size - (self.trace / self.size) ** 2) <= _EQUAL)

    def refuse_constant(self) -> None:
        """Raise ValueError if the statistic is the same for every response."""
        if self._is_constant:
            raise ValueError(
                f"the statistic is {self.trace / self.size:.6g} for every response: with these "
                "groups and times, the residuals have no autocorrelation to test for"
            )

    def log_det(self, s: np.ndarray, d: float) -> np.ndarray:
        """Sum of the principal logarithms of 1 - 2 s (nu_i - d)."""
        result = self._zeros * log1p(2 * s * d)
        for length, count in self._paths:
            if length > 1:
                result = result + count * path_log_det(length, s, d)
        return result + log_det_by_pivots(self._gram(s, d))

    def _gram(self, s: np.ndarray, d: float) -> np.ndarray:
        """Q' T^-1 Q for each s, summed over runs of equal length."""
        z = 1 / (2 * s)
        pairs = np.stack([d + z.real, z.imag], axis=1)
        k = self._blocks[0][0].shape[1]
        total = np.zeros((len(s), k, k), np.complex128)
        for block, count in self._blocks:
            if len(block) == count:  # single rows, where the difference matrix is 0
                total += (block.T @ block) / (d + z)[:, np.newaxis, np.newaxis]
                continue
            out = np.empty((len(s), k, k, 2))
            backend.kernels(np.float64).difference_resolvent(block, count, pairs, out)
            total += out.view(np.complex128)[..., 0]
        return z[:, np.newaxis, np.newaxis] * total
