"""Conformal intervals and sets: predictions that hold the truth in a chosen share of new rows.

The rows of a calibration are predicted by networks that have not seen them.  For new rows drawn
like these, the theory bounds the coverage whatever the distribution and the networks are.

References
----------
Barber, Candes, Ramdas & Tibshirani (2021), "Predictive inference with the jackknife+": CV+.
Romano, Patterson & Candes (2019), "Conformalized quantile regression".
Sadinle, Lei & Wasserman (2019), "Least ambiguous set-valued classifiers with bounded error levels".
Romano, Sesia & Candes (2020), "Classification with valid and adaptive coverage": sets by CV+.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_integer
from fastnn.tabular import stored
from fastnn.tabular.objectives import Classification, Objective, Regression

__all__ = ["MOST_ROWS", "Calibration"]

MOST_ROWS = 2000
"""Largest number of rows of a calibration; of more, so many are drawn at random."""

_NUMBERS_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far predictions of n rows are from the truth.

    Every row counts once, whatever its weight in the training.

    Attributes
    ----------
    residuals : (n, Q) array
        For regression target minus prediction, for each quantile; of counts divided by the square
        root of the rate.  For classification 1 minus the probability of the row's class, (n, 1).
    groups : (n,) array of int
        The predictor of each row, by its position in `predictors`.
    predictors : tuple of tuple of int
        For each group the network of each bag that has not seen its rows.  An empty tuple stands
        for all networks together.
    rows : (n,) array of int, optional
        The rows of the training, where the calibration is by held-out rows; files do not have it.
    """

    residuals: np.ndarray
    groups: np.ndarray
    predictors: tuple[tuple[int, ...], ...] = ((),)
    rows: np.ndarray | None = None

    @classmethod
    def of_held_out(
        cls, objective: Objective, values: np.ndarray, y: np.ndarray, folds: np.ndarray
    ) -> Calibration | None:
        """The calibration by rows of the training; None if all networks have seen all of them.

        Parameters
        ----------
        objective : Objective
        values : (N,) or (N, K) array
            Predictions of the rows by networks that have not seen them.
        y : (N,) array
            Indices of classes, or numbers in their unit.
        folds : (N, B) array of int
            For each of B bags the network that has not seen the row, or -1.
        """
        rows = _drawn(np.flatnonzero((folds >= 0).all(axis=1)))
        if not len(rows):
            return None
        unique, groups = np.unique(folds[rows], axis=0, return_inverse=True)
        predictors = tuple(tuple(row) for row in unique.tolist())
        residuals = _residuals(objective, values[rows], y[rows])
        return cls(residuals, groups.reshape(-1), predictors, rows)

    @classmethod
    def of_predictions(cls, objective: Objective, values: np.ndarray, y: np.ndarray) -> Calibration:
        """The calibration by rows that no network has seen, predicted by all networks together."""
        rows = _drawn(np.arange(len(y)))
        residuals = _residuals(objective, values[rows], y[rows])
        return cls(residuals, np.zeros(len(rows), np.intp))

    def intervals(self, objective: Regression, parts: np.ndarray, coverage: float) -> np.ndarray:
        """Intervals (N, 2) of targets.

        The end is infinite where the rows of the calibration are too few for the coverage: fewer
        than coverage / (1 - coverage).

        Parameters
        ----------
        objective : Regression
        parts : (G, N) or (G, N, Q) array
            Predictions of new rows by each of the `predictors`.
        coverage : float
            In (0, 1).
        """
        groups, n = parts.shape[:2]
        parts = parts.reshape(groups, n, -1)
        low, high = objective.columns_of(coverage)
        scores = np.maximum(-self.residuals[:, low], self.residuals[:, high])
        spread = objective.spread(parts)
        upper = self._bound(parts[:, :, high], spread[:, :, high], scores, coverage)
        lower = -self._bound(-parts[:, :, low], spread[:, :, low], scores, coverage)
        ends = np.sort(np.stack([lower, upper], axis=1), axis=1)
        return np.maximum(ends, 0) if objective.name == "poisson" else ends

    def _bound(
        self, centres: np.ndarray, spread: np.ndarray, scores: np.ndarray, coverage: float
    ) -> np.ndarray:
        """The k-th smallest of the upper ends that the rows of the calibration give: (N,)."""
        k = _rank(len(scores), coverage)
        n = centres.shape[1]
        if k > len(scores):
            return np.full(n, math.inf)
        if len(centres) == 1:
            return centres[0] + np.partition(scores, k - 1)[k - 1] * spread[0]
        result = np.empty(n)
        step = max(1, _NUMBERS_AT_ONCE // len(scores))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            ends = centres[:, rows][self.groups]
            ends += scores[:, np.newaxis] * spread[:, rows][self.groups]
            result[rows] = np.partition(ends, k - 1, axis=0)[k - 1]
        return result

    def sets(self, parts: np.ndarray, coverage: float) -> np.ndarray:
        """Which classes the sets of new rows have: (N, K) bool; never none.

        Parameters
        ----------
        parts : (G, N, K) array
            Probabilities of new rows by each of the `predictors`.
        coverage : float
            In (0, 1).
        """
        counts = np.zeros(parts.shape[1:], np.intp)
        for group, probabilities in enumerate(parts):
            own = np.sort(self.residuals[self.groups == group, 0])
            counts += np.searchsorted(own, 1 - probabilities, side="left")
        result = counts < _rank(len(self.residuals), coverage)
        best = parts.mean(axis=0).argmax(axis=1)
        result[np.arange(len(result)), best] = True
        return result

    # ------------------------------------------------------------------- files

    def to_state(self) -> dict[str, Any]:
        """The calibration as data for JSON."""
        return {
            "residuals": self.residuals.tolist(),
            "groups": self.groups.tolist(),
            "predictors": [list(folds) for folds in self.predictors],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], objective: Objective) -> Calibration:
        """A calibration from what `to_state` has returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the data do not describe one.
        """
        width = objective.n_outputs if isinstance(objective, Regression) else 1
        rows = [[stored.finite(value) for value in row] for row in state["residuals"]]
        if not rows or {len(row) for row in rows} != {width}:
            raise ValueError("the residuals do not fit the objective")
        predictors = tuple(
            tuple(check_integer(fold, "fold", 0) for fold in folds) for folds in state["predictors"]
        )
        last = len(predictors) - 1
        groups = [check_integer(group, "group", 0, last) for group in state["groups"]]
        if len(groups) != len(rows) or len({len(folds) for folds in predictors}) != 1:
            raise ValueError("the groups do not fit the residuals")
        return cls(np.array(rows), np.array(groups, np.intp), predictors)


def _drawn(rows: np.ndarray) -> np.ndarray:
    """At most so many of the rows, drawn at random."""
    if len(rows) <= MOST_ROWS:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))


def _rank(n: int, coverage: float) -> int:
    """The place among n ascending scores of the bound that holds the coverage, from 1.

    The least k with k / (n + 1) >= coverage, but for a rounding error.
    """
    return max(1, math.ceil(coverage * (n + 1) - 1e-9 * n))


def _residuals(objective: Objective, values: np.ndarray, y: np.ndarray) -> np.ndarray:
    if isinstance(objective, Classification):
        of_class = values[np.arange(len(y)), y].astype(np.float64)
        return 1 - of_class[:, np.newaxis]
    values = values.reshape(len(y), -1)
    residuals: np.ndarray = (y[:, np.newaxis] - values) / objective.spread(values)
    return residuals
