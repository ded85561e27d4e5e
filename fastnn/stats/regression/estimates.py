"""Estimates of a fitted regression: coefficients, their tests, measures of the fit."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy import special

from fastnn._shared.numbers import check_number
from fastnn._shared.warnings import warn
from fastnn.stats.linalg.solvers import PERFECT
from fastnn.stats.regression.clustered import Clusters
from fastnn.stats.regression.covariance import CovarianceType, Meats, meats
from fastnn.stats.regression.fit import Fit, described
from fastnn.stats.regression.labels import Labels

_CONSTANT = 1e-14  # share of the length of a column that centring may leave by rounding
_NAMED = 6  # largest number of rows that a warning lists


class Estimates:
    """Coefficients with their standard errors and tests, and measures of the fit.

    Base class of `RegressionResult`, whose docstring describes every attribute.
    """

    def __init__(self, fit: Fit, cov: CovarianceType) -> None:
        self._fit = fit
        self._cov = cov
        if cov.kind != "classical":  # errors and warnings come with the fit
            self._covariances  # noqa: B018

    @property
    def _labels(self) -> Labels:
        return self._fit.labels

    # ------------------------------------------------------------ the problem

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of the design, the intercept included."""
        return self._labels.columns

    @property
    def response_names(self) -> tuple[str, ...]:
        """Names of the responses."""
        return self._labels.responses

    @property
    def method(self) -> str:
        """Method of solution."""
        return self._fit.method

    @property
    def ridge(self) -> float:
        """Penalty of the squared coefficients; 0 without ridge regression."""
        return self._fit.ridge

    @property
    def cov_type(self) -> str:
        """Kind of covariance of the coefficients."""
        return self._cov.kind

    @property
    def has_intercept(self) -> bool:
        """Whether a constant is in the span of the columns."""
        return self._fit.constant is not None

    @property
    def n_observations(self) -> int:
        """Number of rows."""
        return self._fit.n

    @property
    def n_parameters(self) -> int:
        """Number of columns of the design."""
        return len(self.names)

    @property
    def rank(self) -> int:
        """Number of linearly independent columns."""
        return self._fit.solution.rank

    @property
    def dependencies(self) -> tuple[str, ...]:
        """Each dependent column as an equation."""
        return tuple(described(d, self._labels) for d in self._fit.solution.dependencies)

    @property
    def effective_parameters(self) -> float:
        """Trace of the hat matrix."""
        return self._fit.solution.effective_parameters

    @property
    def df_model(self) -> float:
        """Effective parameters without the constant."""
        return self.effective_parameters - self.has_intercept

    @property
    def df_residual(self) -> float:
        """Number of rows less the effective parameters."""
        df = self.n_observations - self.effective_parameters
        return df if self.ridge else int(df)

    @property
    def condition_number(self) -> float:
        """Condition number of the (weighted) design."""
        return self._fit.solution.condition

    @property
    def scaled_condition_number(self) -> float:
        """Condition number of the design with columns of unit length."""
        return self._fit.solution.scaled_condition

    @cached_property
    def variance_inflation(self) -> Any:
        """Variance inflation factors of the columns; nan for a constant column.

        The columns are centred where there is a constant.
        """
        orthonormal, root = self._orthonormal, self._fit.solution.root
        centred = orthonormal
        if self._fit.constant is not None:
            direction = orthonormal @ self._fit.constant
            direction /= np.linalg.norm(direction)
            centred = orthonormal - np.outer(direction, direction @ orthonormal)
        length = np.linalg.norm(centred, axis=0)
        constant = length <= _CONSTANT * np.linalg.norm(orthonormal, axis=0)
        factors = (length * np.linalg.norm(root, axis=1)) ** 2
        return self._labels.of_columns(np.where(self._estimated & ~constant, factors, np.nan))

    # ------------------------------------------------------------ coefficients

    @property
    def _estimated(self) -> np.ndarray:
        """(p,) True for coefficients that the data determine."""
        estimated = np.ones(self.n_parameters, bool)
        estimated[list(self._fit.solution.left_out)] = False
        return estimated

    def _shown(self, values: np.ndarray) -> np.ndarray:
        """(p, m) values, a copy, with nan for columns that were left out."""
        if not self._fit.solution.left_out:  # spares small problems some time
            return np.array(values)
        return np.where(self._estimated[:, None], values, np.nan)

    @cached_property
    def coefficients(self) -> Any:
        """Estimated coefficients; nan for columns that were left out."""
        return self._labels.by_column(self._shown(self._fit.solution.coefficients))

    @property
    def _errors(self) -> np.ndarray:
        variances = np.diagonal(self._covariances, axis1=1, axis2=2).T
        return self._shown(np.sqrt(variances))

    @cached_property
    def standard_errors(self) -> Any:
        """Standard errors of the coefficients."""
        return self._labels.by_column(self._errors)

    @cached_property
    def covariance(self) -> Any:
        """Covariance matrix of the coefficients."""
        both = self._estimated[:, None] & self._estimated
        return self._labels.square(np.where(both, self._covariances, np.nan))

    @property
    def _is_perfect(self) -> bool:
        """Whether residuals of all responses are rounding errors, by the criterion of R."""
        if self.df_residual <= 0:
            return False
        fitted = self._fit.solution.R @ self._fit.solution.coefficients
        squares = np.einsum("ij,ij->j", fitted, fitted)
        return bool((self._fit.residual_squares <= PERFECT**2 * squares).all())

    @property
    def _t(self) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._fit.solution.coefficients / self._errors

    @cached_property
    def tvalues(self) -> Any:
        """Coefficients divided by their standard errors."""
        return self._labels.by_column(self._t)

    @cached_property
    def pvalues(self) -> Any:
        """Two-sided p-values of the coefficients."""
        if self._is_perfect:
            warn(
                "the fit is essentially perfect: the residuals are rounding errors, and so are "
                "standard errors, t and p-values"
            )
        return self._labels.by_column(t_pvalue(self._t, self._df_of_columns))

    @cached_property
    def _clusters(self) -> Clusters | None:
        """Clusters of the rows; None where the covariance has none."""
        groups = self._cov.groups
        return None if groups is None else Clusters(self._fit, groups, self._cov.kind)

    def _df_of(self, directions: np.ndarray) -> Any:
        """Degrees of freedom of the t statistics of (k, r) directions: a number, or (k, 1)."""
        if self._clusters is None:
            return self.df_residual
        return self._clusters.degrees_of_freedom(directions)[:, None]

    @cached_property
    def _df_of_columns(self) -> Any:
        """Degrees of freedom of the t statistics of coefficients: a number, or (p, 1)."""
        if self._cov.groups is None:
            return self.df_residual
        return self._df_of(self._fit.solution.root)

    @cached_property
    def df_coefficients(self) -> Any:
        """Degrees of freedom of the t tests and intervals of the coefficients."""
        df = np.broadcast_to(self._df_of_columns, (self.n_parameters, 1))
        return self._labels.of_columns(np.where(self._estimated, df[:, 0], np.nan))

    @property
    def bandwidth(self) -> Any:
        """Bandwidth of a HAC covariance that was chosen from the data; None for the others."""
        if self._cov.kind != "HAC" or self._meats.bandwidths is None:
            return None
        return self._labels.scalar(self._meats.bandwidths)

    def _interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        margin = t_quantile(check_level(level), self._df_of_columns) * self._errors
        middle = self._fit.solution.coefficients
        return middle - margin, middle + margin

    @cached_property
    def _covariances(self) -> np.ndarray:
        """(m, p, p) covariance matrices of the coefficients."""
        if self._cov.kind == "classical":
            return self._residual_variances[:, None, None] * self._fit.solution.covariance
        root = self._fit.solution.root
        covariances = root @ self._middles @ root.T
        involved = self._meats.involves(root) & self._estimated
        if involved.any():
            covariances[:, involved] = covariances[:, :, involved] = np.nan
            self._warn_of_certain_rows(involved)
        return covariances

    def _warn_of_certain_rows(self, involved: np.ndarray) -> None:
        places = self._meats.rows
        rows = places if self._labels.rows is None else [self._labels.rows[i] for i in places]
        names = ", ".join(np.array(self.names)[involved])
        if self._clusters is not None:
            warn(
                f"cov_type={self.cov_type!r} has no variance where one cluster alone determines "
                f"a coefficient: standard errors of {names} are nan; the others do not depend on "
                "it"
            )
            return
        shown = ", ".join(map(str, rows[:_NAMED])) + (", ..." if len(rows) > _NAMED else "")
        warn(
            f"cov_type={self.cov_type!r} has no variance for rows of leverage 1 (row {shown}): "
            f"standard errors of {names} are nan; the others do not depend on these rows"
        )

    @cached_property
    def _meats(self) -> Meats:
        return meats(self._fit, self._cov, self.df_residual)

    @cached_property
    def _middles(self) -> np.ndarray:
        """(m, r, r) matrices M of the covariances T M T', with T the root of the solution."""
        if self._cov.kind != "classical":
            return self._meats.matrices
        solution = self._fit.solution
        middle = np.eye(solution.root.shape[1]) if solution.middle is None else solution.middle
        return self._residual_variances[:, None, None] * middle

    # -------------------------------------------------------------- of the fit

    @cached_property
    def residual_sum_of_squares(self) -> Any:
        """Weighted sum of squared residuals."""
        return self._labels.scalar(self._fit.residual_squares)

    @cached_property
    def total_sum_of_squares(self) -> Any:
        """Weighted sum of squares of the response, about the mean where there is a constant."""
        return self._labels.scalar(self._fit.total_squares)

    @property
    def _residual_variances(self) -> np.ndarray:
        if self.df_residual <= 0:
            return np.full_like(self._fit.residual_squares, np.nan)
        return self._fit.residual_squares / self.df_residual

    @cached_property
    def residual_standard_deviation(self) -> Any:
        """Estimated standard deviation of the errors."""
        return self._labels.scalar(np.sqrt(self._residual_variances))

    @property
    def _r_squared(self) -> np.ndarray:
        total = np.where(self._fit.total_squares > 0, self._fit.total_squares, np.nan)
        return 1.0 - self._fit.residual_squares / total

    @cached_property
    def r_squared(self) -> Any:
        """Coefficient of determination."""
        return self._labels.scalar(self._r_squared)

    @cached_property
    def adjusted_r_squared(self) -> Any:
        """Coefficient of determination, corrected for the degrees of freedom."""
        df = self.df_residual if self.df_residual > 0 else np.nan
        ratio = (self.n_observations - self.has_intercept) / df
        return self._labels.scalar(1.0 - ratio * (1.0 - self._r_squared))

    @cached_property
    def _f(self) -> np.ndarray:
        if self.df_model <= 0 or self.df_residual <= 0 or self.ridge:
            return np.full_like(self._fit.residual_squares, np.nan)
        if self._cov.kind == "classical":
            total = np.where(self._fit.total_squares > 0, self._fit.total_squares, np.nan)
            explained = np.maximum(total - self._fit.residual_squares, 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                return explained / self.df_model / self._residual_variances
        return self._wald() * self._f_law[0]

    @cached_property
    def _f_law(self) -> tuple[float, float]:
        """Factor of the Wald statistic, and the denominator degrees of freedom, of F."""
        if self._clusters is None or self.df_model <= 0:
            return 1 / self.df_model if self.df_model > 0 else np.nan, self.df_residual
        return self._clusters.f_law(self._contrasts)

    @property
    def df_f(self) -> tuple[float, float]:
        """Numerator and denominator degrees of freedom of the F test."""
        return self.df_model, self._f_law[1]

    @property
    def _orthonormal(self) -> np.ndarray:
        """(r, p) coordinates of the columns of the design, where its rows are orthonormal."""
        solution = self._fit.solution
        return np.asarray((solution.R @ solution.root).T @ solution.R)

    @property
    def _contrasts(self) -> np.ndarray:
        """Orthonormal directions of all coefficients but the constant."""
        orthonormal = self._orthonormal
        if self._fit.constant is None:
            return np.eye(len(orthonormal))
        direction = orthonormal @ self._fit.constant
        return np.linalg.qr(direction[:, None], mode="complete").Q[:, 1:].T

    def _wald(self) -> np.ndarray:
        """(m,) Wald statistics of the hypothesis that all coefficients but the constant are 0.

        In the coordinates T' X'X b, where the rows of the design are orthonormal: statistics
        depend neither on units nor on origins.
        """
        scores = self._orthonormal @ self._fit.solution.coefficients
        contrasts = self._contrasts
        if self._meats.involves(contrasts).any():
            return np.full_like(self._fit.residual_squares, np.nan)
        statistics = []
        for differences, middle in zip((contrasts @ scores).T, self._middles, strict=True):
            spread = contrasts @ middle @ contrasts.T
            statistics.append(differences @ np.linalg.pinv(spread, hermitian=True) @ differences)
        return np.array(statistics)

    @cached_property
    def fvalue(self) -> Any:
        """F statistic of all coefficients but the constant."""
        return self._labels.scalar(self._f)

    @cached_property
    def f_pvalue(self) -> Any:
        """p-value of the F statistic."""
        return self._labels.scalar(f_pvalue(self._f, *self.df_f))

    @cached_property
    def log_likelihood(self) -> Any:
        """Log-likelihood of normal errors."""
        n = self.n_observations
        with np.errstate(divide="ignore"):
            per_row = np.log(2 * np.pi * self._fit.residual_squares / n) + 1
        return self._labels.scalar(0.5 * (self._fit.log_weights - n * per_row))

    @property
    def aic(self) -> Any:
        """Akaike's information criterion."""
        return -2 * self.log_likelihood + 2 * self.effective_parameters

    @property
    def bic(self) -> Any:
        """Bayesian information criterion of Schwarz."""
        return -2 * self.log_likelihood + np.log(self.n_observations) * self.effective_parameters


def check_level(level: object) -> float:
    """A confidence level, between 0 and 1."""
    return check_number(level, "level", above=0.0, below=1.0)


def t_pvalue(t: np.ndarray, df: Any) -> np.ndarray:
    """Two-sided p-values of Student's t, accurate in the far tails."""
    return f_pvalue(t * t, 1, df)


def t_quantile(level: float, df: Any) -> Any:
    """Quantile of Student's t: half the width of an interval, in standard errors."""
    if isinstance(df, np.ndarray):
        return special.stdtrit(df, 0.5 + level / 2)
    return float(special.stdtrit(df, 0.5 + level / 2)) if df > 0 else np.nan


def f_pvalue(f: np.ndarray, df_model: float, df_residual: Any) -> np.ndarray:
    """Upper tail of the F distribution, by the incomplete beta function.

    Of the two shares, whose sum is 1, the smaller one is computed: it loses no digits.
    Denominator degrees of freedom may be an array; nan gives nan.
    """
    if df_model <= 0 or (not isinstance(df_residual, np.ndarray) and not df_residual > 0):
        return np.full_like(f, np.nan)
    a, b = df_model / 2, df_residual / 2
    with np.errstate(invalid="ignore", over="ignore"):
        odds = f * (df_model / df_residual)
        near = special.betaincc(a, b, odds / (1 + odds))
        far = special.betainc(b, a, 1 / (1 + odds))
    return np.where(odds < 1, near, far)
