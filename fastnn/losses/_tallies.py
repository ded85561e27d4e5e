"""Losses and scores of many rows, added up in float64 block by block, in the order of the rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

Array = np.ndarray


class Scorer(Protocol):
    """What adds up a score over blocks of rows."""

    def add(self, output: Array, target: Array, weights: Array | None) -> None:
        """Count the rows of a block: outputs (N, K), prepared targets, weights (N,) or None."""

    @property
    def value(self) -> float:
        """The score of all rows so far."""


class LossTally:
    """A loss over blocks of rows.

    Parameters
    ----------
    loss : Loss
        One whose rows count by themselves.
    kernels : module
        Of the backend that computes it.

    Attributes
    ----------
    value : float
        The loss of all rows so far; of a single block what `Loss.value` gives, to the last bit.
    """

    def __init__(self, loss: Any, kernels: Any) -> None:
        self._loss = loss
        self._kernels = kernels
        self._weight = 0.0
        self.value = 0.0

    def add(self, output: Array, target: Array, weights: Array | None) -> None:
        """Count the rows of a block: outputs (N, K), prepared targets, weights (N,) or None."""
        value = self._loss.value(output, target, weights, self._kernels)
        if self._loss.reduction != "mean":
            self.value += value
            return
        weight = self._loss.total_weight(target, weights, output.shape[1])
        if not self._weight:
            self.value, self._weight = value, weight
        elif weight:
            total = self._weight + weight
            self.value = (self.value * self._weight + value * weight) / total
            self._weight = total


class Accuracy:
    """The weighted share of what is right; nan where nothing counts.

    Parameters
    ----------
    judge : callable
        (output, target, weights) -> what is right, and the weights of this, arrays of a shape.
    """

    def __init__(self, judge: Callable[..., tuple[Array, Array]]) -> None:
        self._judge = judge
        self._right = self._total = 0.0

    def add(self, output: Array, target: Array, weights: Array | None) -> None:
        """Count the rows of a block."""
        right, counted = self._judge(output, target, weights)
        self._right += float((right * counted).sum())
        self._total += float(counted.sum())

    @property
    def value(self) -> float:
        """The accuracy of all rows so far."""
        return self._right / self._total if self._total > 0 else math.nan


class RSquared:
    """R^2 of each column, averaged over the columns that have targets.

    A column whose targets are all equal counts 1 if it is predicted exactly, else 0, as
    scikit-learn's ``r2_score`` has it; fewer than two samples give nan.

    Parameters
    ----------
    observed : callable
        Where targets are not ignored: a bool array of their shape.
    """

    def __init__(self, observed: Callable[[Array], Array]) -> None:
        self._observed = observed
        self._columns: list[_Column] = []

    def add(self, output: Array, target: Array, weights: Array | None) -> None:
        """Count the rows of a block."""
        row_weights = np.ones(len(target)) if weights is None else weights.astype(np.float64)
        self._columns = self._columns or [_Column() for _ in range(target.shape[1])]
        for k, (column, seen) in enumerate(
            zip(self._columns, self._observed(target).T, strict=True)
        ):
            if seen.any():
                column.add(output[seen, k], target[seen, k], row_weights[seen])

    @property
    def value(self) -> float:
        """R^2 of all rows so far."""
        found = [column.r_squared() for column in self._columns if column.is_observed]
        return float(np.mean(found)) if found else math.nan


class _Column:
    """Sums of squares of one column, as samples come.

    Deviations of targets are from the mean so far; those of two blocks are joined by the
    formula of Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance".
    Targets are counted from the first of them, so that equal ones have no spread at all.
    """

    def __init__(self) -> None:
        self.is_observed = False
        self._count = 0
        self._weight = self._residual = 0.0
        self._origin = self._mean = self._spread = 0.0

    def add(self, output: Array, target: Array, weights: Array) -> None:
        self.is_observed = True
        counted = weights > 0
        if not counted.any():
            return
        y, w = target[counted].astype(np.float64), weights[counted]
        self._residual += float(w @ (output[counted] - y) ** 2)
        if not self._count:
            self._origin = y[0]
        y -= self._origin
        weight = w.sum()
        mean = w @ y / weight
        total, step = self._weight + weight, mean - self._mean
        self._spread += float(w @ (y - mean) ** 2 + step**2 * self._weight * weight / total)
        self._mean += step * weight / total
        self._weight = total
        self._count += len(y)

    def r_squared(self) -> float:
        """1 - residual sum of squares / total sum of squares."""
        if self._count < 2:
            return math.nan
        if self._spread == 0:
            return 1.0 if self._residual == 0 else 0.0
        return 1.0 - self._residual / self._spread
