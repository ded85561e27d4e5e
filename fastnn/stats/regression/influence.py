"""Influence of single observations: leverage, studentised residuals, changes by deletion.

References
----------
Belsley, Kuh & Welsch (1980), Regression Diagnostics: DFFITS, DFBETAS and the covariance ratio.
Cook & Weisberg (1982), Residuals and Influence in Regression.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from fastnn.stats.regression.estimates import Estimates

_CERTAIN = 1e-12  # 1 - leverage below this: the row alone determines a coefficient


class Influence(Estimates):
    """Statistics of the n rows, computed at their first use.

    Base class of `RegressionResult`, whose docstring describes every attribute.
    """

    @property
    def is_weighted(self) -> bool:
        """Whether the fit has weights."""
        return self._fit.is_weighted

    @property
    def design(self) -> np.ndarray | None:
        """(n, p) matrix that was fitted; None where rows were streamed."""
        return None if self._fit.design is None else self._fit.design.matrix

    @property
    def weights(self) -> np.ndarray | None:
        """(n,) weights; None where there are none."""
        return self._fit.weights

    @cached_property
    def response(self) -> Any:
        """Responses that were fitted."""
        return self._labels.by_row(self.problem.rows.response)

    @cached_property
    def residuals(self) -> Any:
        """Responses less fitted values, not weighted."""
        return self._labels.by_row(self.problem.rows.residuals)

    @cached_property
    def fitted(self) -> Any:
        """Fitted values, not weighted."""
        return self._labels.by_row(self.problem.rows.fitted)

    @cached_property
    def _leverage(self) -> np.ndarray:
        leverage = np.empty(self.n_observations)
        root = self._fit.solution.root
        for place, block in self.problem.rows.design.blocks():
            rows = block @ root
            np.einsum("ij,ij->i", rows, rows, out=leverage[place])
        if self._fit.weights is not None:
            leverage *= self._fit.weights
        return np.minimum(leverage, 1.0, out=leverage)

    @property
    def leverage(self) -> Any:
        """Diagonal of the hat matrix."""
        return self._labels.of_rows(self._leverage)

    @cached_property
    def _standardized(self) -> np.ndarray:
        """(n, m) internally studentised residuals; nan for rows of leverage 1."""
        free_share = 1.0 - self._leverage
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.sqrt(np.where(free_share > _CERTAIN, free_share, np.nan))
            return (
                self.problem.rows.weighted_residuals
                / scale[:, None]
                / np.sqrt(self.law.residual_variances)
            )

    @cached_property
    def standardized_residuals(self) -> Any:
        """Internally studentised residuals."""
        return self._labels.by_row(self._standardized)

    @property
    def _variance_ratios(self) -> np.ndarray:
        """(n, m) residual variances without the row, divided by those of all rows."""
        r, df = self._standardized, self.df_residual
        # By the residual of the row itself; at least 0 by rounding.
        return np.maximum(df - r**2, 0.0) / (df - 1 if df > 1 else np.nan)

    @property
    def _studentized(self) -> np.ndarray:
        """(n, m) externally studentised residuals."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._standardized / np.sqrt(self._variance_ratios)

    @cached_property
    def studentized_residuals(self) -> Any:
        """Externally studentised residuals."""
        return self._labels.by_row(self._studentized)

    @property
    def _free_share(self) -> np.ndarray:
        """(n, 1) 1 - leverage; nan for rows of leverage 1."""
        free_share = 1.0 - self._leverage
        return np.where(free_share > _CERTAIN, free_share, np.nan)[:, None]

    @cached_property
    def dffits(self) -> Any:
        """Change of the fitted value when the row is deleted, in standard errors."""
        share = self._free_share
        return self._labels.by_row(self._studentized * np.sqrt((1.0 - share) / share))

    @cached_property
    def dfbetas(self) -> Any:
        """Change of each coefficient when the row is deleted, in standard errors."""
        pulls = self.problem.rows.pulls(self._fit.solution.root)
        with np.errstate(divide="ignore", invalid="ignore"):
            pulls = pulls / np.linalg.norm(self._fit.solution.root, axis=1)
            scaled = self._studentized / np.sqrt(self._free_share)
            changes = scaled.T[:, :, None] * np.where(self.law.estimated, pulls, np.nan)
        return self._labels.by_row_and_column(changes)

    @cached_property
    def covariance_ratio(self) -> Any:
        """Determinant of the covariance without the row, divided by that of all rows."""
        ratios = self._variance_ratios**self.effective_parameters
        return self._labels.by_row(ratios / self._free_share)

    @cached_property
    def cooks_distance(self) -> Any:
        """Cook's distance of each row."""
        return self._labels.by_row(self._cook)

    @property
    def _cook(self) -> np.ndarray:
        free_share = 1.0 - self._leverage
        with np.errstate(divide="ignore", invalid="ignore"):
            pull = np.where(free_share > _CERTAIN, self._leverage / free_share, np.nan)
            return self._standardized**2 * pull[:, None] / self.effective_parameters
