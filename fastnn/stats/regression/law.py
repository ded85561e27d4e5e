"""The estimated distribution of coefficients: their covariance and degrees of freedom.

Inside `fastnn.stats`, results give it as `law`, beside the solved problem, `problem`.  The arrays
here have a value for every column and response, and no labels.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from fastnn._shared.warnings import warn
from fastnn.stats.regression.clustered import Clusters
from fastnn.stats.regression.covariance import CovarianceType, Meats, meats
from fastnn.stats.regression.fit import Fit
from fastnn.stats.regression.tails import t_quantile

_NAMED = 6  # largest number of rows that a warning lists


class CoefficientLaw:
    """Covariance, standard errors and t statistics of the coefficients of a fit.

    Parameters
    ----------
    fit : Fit
    cov : CovarianceType
    """

    def __init__(self, fit: Fit, cov: CovarianceType) -> None:
        self.cov = cov
        self._fit = fit

    @property
    def df_residual(self) -> float:
        """Number of rows less the effective parameters."""
        df = self._fit.n - self._fit.solution.effective_parameters
        return df if self._fit.ridge else int(df)

    @property
    def residual_variances(self) -> np.ndarray:
        """(m,) estimated variances of the errors; nan without degrees of freedom."""
        df = self.df_residual
        if df <= 0:
            return np.full_like(self._fit.residual_squares, np.nan)
        return self._fit.residual_squares / df

    @property
    def is_robust(self) -> bool:
        """Whether the covariance is another one than the classical one."""
        return self.cov.kind != "classical"

    @cached_property
    def clusters(self) -> Clusters | None:
        """Clusters of the rows; None where the covariance has none."""
        groups = self.cov.groups
        return None if groups is None else Clusters(self._fit, groups, self.cov.kind)

    def df_of(self, directions: np.ndarray) -> Any:
        """Degrees of freedom of the t statistics of (k, r) directions: a number, or (k, 1)."""
        if self.clusters is None:
            return self.df_residual
        return self.clusters.degrees_of_freedom(directions)[:, None]

    @cached_property
    def df_of_columns(self) -> Any:
        """Degrees of freedom of the t statistics of coefficients: a number, or (p, 1)."""
        if self.cov.groups is None:
            return self.df_residual
        return self.df_of(self._fit.solution.root)

    @cached_property
    def meats(self) -> Meats:
        """The meat of a robust covariance."""
        return meats(self._fit, self.cov, self.df_residual)

    def is_unknown(self, directions: np.ndarray) -> np.ndarray:
        """(k,) whether (k, r) directions have no estimate of their variance."""
        if not self.is_robust:
            return np.zeros(len(directions), bool)
        return self.meats.involves(directions)

    @cached_property
    def middles(self) -> np.ndarray:
        """(m, r, r) matrices M of the covariances T M T', with T the root of the solution."""
        if self.is_robust:
            return self.meats.matrices
        solution = self._fit.solution
        middle = np.eye(solution.root.shape[1]) if solution.middle is None else solution.middle
        return self.residual_variances[:, None, None] * middle

    @property
    def orthonormal(self) -> np.ndarray:
        """(r, p) coordinates of the columns of the design, where its rows are orthonormal."""
        solution = self._fit.solution
        return np.asarray((solution.R @ solution.root).T @ solution.R)

    @property
    def estimated(self) -> np.ndarray:
        """(p,) True for coefficients that the data determine."""
        estimated = np.ones(len(self._fit.labels.columns), bool)
        estimated[list(self._fit.solution.left_out)] = False
        return estimated

    def shown(self, values: np.ndarray) -> np.ndarray:
        """(p, m) values, a copy, with nan for columns that were left out."""
        if not self._fit.solution.left_out:  # spares small problems some time
            return np.array(values)
        return np.where(self.estimated[:, None], values, np.nan)

    @property
    def coefficients(self) -> np.ndarray:
        """(p, m) coefficients; nan for columns that were left out."""
        return self.shown(self._fit.solution.coefficients)

    @cached_property
    def covariances(self) -> np.ndarray:
        """(m, p, p) covariance matrices of the coefficients."""
        if not self.is_robust:
            return self.residual_variances[:, None, None] * self._fit.solution.covariance
        root = self._fit.solution.root
        covariances = root @ self.middles @ root.T
        involved = self.meats.involves(root) & self.estimated
        if involved.any():
            covariances[:, involved] = covariances[:, :, involved] = np.nan
            self._warn_of_certain_rows(involved)
        return covariances

    def _warn_of_certain_rows(self, involved: np.ndarray) -> None:
        labels, kind = self._fit.labels, self.cov.kind
        places = self.meats.rows
        rows = places if labels.rows is None else [labels.rows[i] for i in places]
        names = ", ".join(np.array(labels.columns)[involved])
        if self.clusters is not None:
            warn(
                f"cov_type={kind!r} has no variance where one cluster alone determines "
                f"a coefficient: standard errors of {names} are nan; the others do not depend on "
                "it"
            )
            return
        shown = ", ".join(map(str, rows[:_NAMED])) + (", ..." if len(rows) > _NAMED else "")
        warn(
            f"cov_type={kind!r} has no variance for rows of leverage 1 (row {shown}): "
            f"standard errors of {names} are nan; the others do not depend on these rows"
        )

    @property
    def errors(self) -> np.ndarray:
        """(p, m) standard errors."""
        variances = np.diagonal(self.covariances, axis1=1, axis2=2).T
        return self.shown(np.sqrt(variances))

    @property
    def t(self) -> np.ndarray:
        """(p, m) coefficients divided by their standard errors."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self._fit.solution.coefficients / self.errors)

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Limits of the confidence intervals, each (p, m)."""
        margin = t_quantile(level, self.df_of_columns) * self.errors
        middle = self._fit.solution.coefficients
        return middle - margin, middle + margin
