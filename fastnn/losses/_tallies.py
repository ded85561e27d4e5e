"""Losses and scores of many rows, added up in float64 block by block, in the order of the rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from fastnn.backend.protocol import Kernels


Array = np.ndarray


class Scorer(Protocol):
    """What adds up a score over blocks of rows."""

    def add(self, output: Array, target: Array, weights: Array | None) -> None:
        """Count the rows of a block: outputs (N, K), prepared targets, and weights.

        These are None or (N,), for a loss of single elements also (N, K).
        """

    @property
    def value(self) -> float:
        """The score of all rows so far."""


class LossTally:
    """A loss over blocks of rows; nan where no row counts.

    Parameters
    ----------
    loss : Loss
        One whose rows count by themselves.
    kernels : mapping from dtype to module
        Of the backend that computes it, for each dtype that outputs may have.

    Attributes
    ----------
    value : float
        The loss of all rows so far; of a single block what `Loss.value` gives, to the last bit.
    """

    def __init__(self, loss: Any, kernels: Mapping[np.dtype, Kernels]) -> None:
        self._loss = loss
        self._kernels = kernels
        self._weight = 0.0
        self.value = math.nan

    @property
    def has_weight(self) -> bool:
        """Whether any row counts."""
        return self._weight > 0

    def add(self, output: Array, target: Array, weights: Array | None) -> None:
        """Count the rows of a block: outputs (N, K), prepared targets, and weights.

        These are None or (N,), for a loss of single elements also (N, K).
        """
        weight = float(self._loss.row_weights(target, weights, output.shape[1]).sum())
        if not weight:
            return
        value = self._loss.value(output, target, weights, self._kernels[output.dtype])
        total = self._weight + weight
        if not self._weight:
            self.value = value
        elif self._loss.reduction == "mean":
            self.value = (self.value * self._weight + value * weight) / total
        else:
            self.value += value
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


class Column(Protocol):
    """What adds up the score of one column."""

    def add(self, output: Array, target: Array, weights: Array) -> None:
        """Count samples, (N,) each, none of them ignored."""

    def score(self) -> float:
        """The score of all samples so far."""


class ByColumn:
    """The score of each column, averaged over the columns that have targets.

    Parameters
    ----------
    observed : callable
        Where targets are not ignored: a bool array of their shape.
    new_column : callable
        Makes what adds up the score of one column.
    """

    def __init__(
        self, observed: Callable[[Array], Array], new_column: Callable[[], Column]
    ) -> None:
        self._observed = observed
        self._new_column = new_column
        self._columns: list[Column] = []
        self._has_targets: list[bool] = []

    def add(self, output: Array, target: Array, weights: Array | None) -> None:
        """Count the rows of a block."""
        row_weights = np.ones(len(target)) if weights is None else weights.astype(np.float64)
        if not self._columns:
            self._columns = [self._new_column() for _ in range(target.shape[1])]
            self._has_targets = [False] * len(self._columns)
        for k, (column, seen) in enumerate(
            zip(self._columns, self._observed(target).T, strict=True)
        ):
            if seen.any():
                self._has_targets[k] = True
                column_weights = row_weights if row_weights.ndim == 1 else row_weights[:, k]
                column.add(output[seen, k], target[seen, k], column_weights[seen])

    @property
    def value(self) -> float:
        """The score of all rows so far."""
        parts = zip(self._columns, self._has_targets, strict=True)
        scores = [column.score() for column, has_targets in parts if has_targets]
        return float(np.mean(scores)) if scores else math.nan


class RSquared:
    """R^2: the share of the squared deviations from the mean that predictions explain.

    Targets that are all equal give 1 if they are predicted exactly, else 0, as scikit-learn's
    ``r2_score`` has it; fewer than two samples give nan.

    Deviations of targets are from the mean so far; those of two blocks are joined by the
    formula of Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance".
    Targets are counted from the first of them, so that equal ones have no spread at all.  All
    numbers are multiplied by a power of two by which their squares neither overflow nor vanish.
    """

    def __init__(self) -> None:
        self._count = 0
        self._factor = 0.0
        self._weight = self._residual = 0.0
        self._origin = self._mean = self._spread = 0.0

    def add(self, output: Array, target: Array, weights: Array) -> None:
        """Count samples, (N,) each."""
        counted = weights > 0
        if not counted.any():
            return
        y, w = target[counted].astype(np.float64), weights[counted]
        errors = output[counted] - y
        if not self._count:
            self._origin = y[0]
        y -= self._origin
        if not self._factor:
            self._factor = _power(float(max(np.abs(errors).max(), np.abs(y).max())))
        if self._factor not in (0.0, 1.0):
            errors, y = errors * self._factor, y * self._factor
        self._residual += float(w @ errors**2)
        weight = w.sum()
        mean = w @ y / weight
        total, step = self._weight + weight, mean - self._mean
        self._spread += float(w @ (y - mean) ** 2 + step**2 * self._weight * weight / total)
        self._mean += step * weight / total
        self._weight = total
        self._count += len(y)

    def score(self) -> float:
        """1 - residual sum of squares / total sum of squares."""
        if self._count < 2:
            return math.nan
        if self._spread == 0:
            return 1.0 if self._residual == 0 else 0.0
        return 1.0 - self._residual / self._spread


def _power(size: float) -> float:
    """The power of two that brings numbers of an extreme size to about 1; 0 for the size 0."""
    if not 0 < size < math.inf or 1e-100 < size < 1e100:
        return 1.0 if size else 0.0
    return math.ldexp(1.0, min(-math.frexp(size)[1], 1023))


class ExplainedPinball:
    """D^2 of quantiles: the share of the pinball loss of a constant that predictions avoid.

    1 - loss(outputs) / loss(quantile of the targets), as scikit-learn's ``d2_pinball_score`` has
    it for weighted targets: the constant is the least target up to which their weights make the
    share `level`.  Targets that are all equal give 1 if they are predicted exactly, else 0; fewer
    than two samples give nan.

    Parameters
    ----------
    level : float
        That of the quantile, in (0, 1).
    """

    def __init__(self, level: float) -> None:
        self._level = level
        self._loss = 0.0
        self._targets: list[Array] = []
        self._weights: list[Array] = []

    def add(self, output: Array, target: Array, weights: Array) -> None:
        """Count samples, (N,) each."""
        counted = weights > 0
        y, w = target[counted].astype(np.float64), weights[counted]
        self._loss += float(w @ self._of(output[counted], y))
        self._targets.append(y)
        self._weights.append(w)

    def _of(self, output: Array | float, target: Array) -> Array:
        residual = target - output
        losses: Array = np.maximum(self._level * residual, (self._level - 1) * residual)
        return losses

    def score(self) -> float:
        """1 - loss of the outputs / loss of the constant."""
        if sum(map(len, self._targets)) < 2:
            return math.nan
        y, w = np.concatenate(self._targets), np.concatenate(self._weights)
        order = np.argsort(y, kind="stable")
        share = np.cumsum(w[order])
        place = np.searchsorted(share, self._level * share[-1])
        constant = float(w @ self._of(y[order][place], y))
        if constant == 0:
            return 1.0 if self._loss == 0 else 0.0
        return 1.0 - self._loss / constant


class ExplainedDeviance:
    """D^2: the share of the deviance from the mean that predictions explain.

    1 - deviance(outputs) / deviance(mean of the targets), as scikit-learn's
    ``d2_tweedie_score`` has it.  Targets that are all equal give 1 if they are predicted exactly,
    else 0; fewer than two samples give nan.

    Parameters
    ----------
    deviance : callable
        From (numpy, outputs, targets) to unit deviances d, of a loss whose link is the natural
        one of its family.
    link : callable
        From a mean of targets to the output that stands for it.
    """

    def __init__(
        self, deviance: Callable[[Any, Array, Array], Array], link: Callable[[float], float]
    ) -> None:
        self._deviance = deviance
        self._link = link
        self._count = 0
        self._origin: float | None = None
        self._weight = self._targets = self._residual = self._spread = 0.0

    def add(self, output: Array, target: Array, weights: Array) -> None:
        """Count samples, (N,) each."""
        counted = weights > 0
        if not counted.any():
            return
        z, y, w = (a[counted].astype(np.float64) for a in (output, target, weights))
        if self._origin is None:
            mean = float(w @ y / w.sum())
            self._origin = mean if mean > 0 else 1.0
        self._residual += float(w @ self._of(z, y))
        self._spread += float(w @ self._of(np.full_like(y, self._link(self._origin)), y))
        self._weight += float(w.sum())
        self._targets += float(w @ y)
        self._count += len(y)

    def _of(self, output: Array, target: Array) -> Array:
        with np.errstate(all="ignore"):
            return self._deviance(np, output, target)

    def score(self) -> float:
        """1 - deviance of the outputs / deviance of the mean.

        Sums are of deviances from an origin c near the mean m, from which it follows by
        sum(w d(y, m)) = sum(w d(y, c)) - sum(w) d(m, c) (Banerjee et al. 2005, "Clustering with
        Bregman divergences").
        """
        if self._count < 2 or self._origin is None:
            return math.nan
        mean = np.array([self._targets / self._weight])
        shift = self._of(np.array([self._link(self._origin)]), mean)[0]
        spread = self._spread - self._weight * float(shift)
        if spread <= 0:
            return 1.0 if self._residual == 0 else 0.0
        return 1.0 - self._residual / spread
