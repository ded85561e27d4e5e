"""Prediction by regressions whose errors follow an autoregression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.frames import local
from fastnn._shared.numbers import check_choice, check_flag
from fastnn.stats.regression.estimates import check_level
from fastnn.stats.regression.influence import Influence
from fastnn.stats.regression.prediction import INTERVALS, Prediction, labelled, new_design


@dataclass(frozen=True)
class ErrorModel:
    """Estimates that predictions need.

    Attributes
    ----------
    ordinary : Influence
        Ordinary regression of the same data.
    coefficients : (p,) array
    root, middle : (p, r), (r, r) array
        The covariance of the coefficients is root middle root'.
    ar : (q,) array
        Autoregressive coefficients of the errors.
    variance : float
        Of the innovations.
    residuals : (n,) array
        Estimates of the errors.
    """

    ordinary: Influence
    coefficients: np.ndarray
    root: np.ndarray
    middle: np.ndarray
    ar: np.ndarray
    variance: float
    residuals: np.ndarray

    def predict(
        self, X: object, interval: object, level: object, following: object, quantile: Any
    ) -> Any:
        """Means of new rows, or a Prediction; `quantile` maps a level to standard errors."""
        if interval is not None:
            check_choice(interval, "interval", INTERVALS)
        level = check_level(level)
        X = local(X)
        design = new_design(self.ordinary, X).matrix
        mean, rows = design @ self.coefficients, design @ self.root
        count = len(design)
        spread = np.full(count, self.variance * _long_run(self.ar))
        if check_flag(following, "following"):
            q = len(self.ar)
            past = (
                self.ordinary.problem.rows.design.matrix[self.ordinary.n_observations - q :]
                @ self.root
            )
            mean = mean + _continued(self.residuals[-q:, None], self.ar, count)[:, 0]
            rows = rows - _continued(past, self.ar, count)
            spread = self.variance * np.cumsum(impulses(self.ar, count) ** 2)
        if interval is None:
            return labelled(self.ordinary, X, mean[:, None])
        variances = np.maximum(np.einsum("ij,jk,ik->i", rows, self.middle, rows), 0.0)
        errors = np.sqrt(variances)
        if interval == "prediction":
            variances = variances + spread
        margin = quantile(level) * np.sqrt(variances)
        parts = (mean, mean - margin, mean + margin, errors)
        return Prediction(*(labelled(self.ordinary, X, part[:, None]) for part in parts))


def impulses(ar: np.ndarray, count: int) -> np.ndarray:
    """Effects of an innovation on the error 0, 1, ... steps later."""
    effects = np.zeros(count)
    for h in range(count):
        reach = min(h, len(ar))
        effects[h] = ar[:reach] @ effects[h - reach : h][::-1] + (h == 0)
    return effects


def _continued(past: np.ndarray, ar: np.ndarray, count: int) -> np.ndarray:
    """(count, k) forecasts that follow the (q, k) values of the last q times."""
    q = len(ar)
    series = np.vstack([past, np.zeros((count, past.shape[1]))])
    for t in range(q, q + count):
        series[t] = ar @ series[t - q : t][::-1]
    return series[q:]


def _long_run(ar: np.ndarray) -> float:
    """Variance of the error, divided by that of the innovations."""
    ratio, phi = 1.0, ar.copy()
    while len(phi):
        r = phi[-1]
        ratio /= (1 - r) * (1 + r)
        phi = (phi[:-1] + r * phi[:-1][::-1]) / ((1 - r) * (1 + r))
    return float(ratio)
