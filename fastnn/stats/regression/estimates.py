"""Estimates of a fitted regression: coefficients, their tests, measures of the fit."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_number
from fastnn._shared.warnings import warn
from fastnn.stats.linalg.solvers import PERFECT
from fastnn.stats.regression.covariance import CovarianceType
from fastnn.stats.regression.fit import Fit, described
from fastnn.stats.regression.labels import Labels
from fastnn.stats.regression.law import CoefficientLaw
from fastnn.stats.regression.tails import f_pvalue, t_pvalue

_CONSTANT = 1e-14  # share of the length of a column that centring may leave by rounding


class Estimates:
    """Coefficients with their standard errors and tests, and measures of the fit.

    Base class of `RegressionResult`, whose docstring describes every attribute.  Inside
    `fastnn.stats`, functions read the arrays of `problem`, the solved problem, and of `law`, the
    distribution of the coefficients.
    """

    def __init__(self, fit: Fit, cov: CovarianceType) -> None:
        self._fit = self.problem = fit
        self.law = CoefficientLaw(fit, cov)
        if cov.kind != "classical":  # errors and warnings come with the fit
            self.law.covariances  # noqa: B018

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
        return self.law.cov.kind

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
        return self.law.df_residual

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
        orthonormal, root = self.law.orthonormal, self._fit.solution.root
        centred = orthonormal
        if self._fit.constant is not None:
            direction = orthonormal @ self._fit.constant
            direction /= np.linalg.norm(direction)
            centred = orthonormal - np.outer(direction, direction @ orthonormal)
        length = np.linalg.norm(centred, axis=0)
        constant = length <= _CONSTANT * np.linalg.norm(orthonormal, axis=0)
        factors = (length * np.linalg.norm(root, axis=1)) ** 2
        return self._labels.of_columns(np.where(self.law.estimated & ~constant, factors, np.nan))

    # ------------------------------------------------------------ coefficients

    @cached_property
    def coefficients(self) -> Any:
        """Estimated coefficients; nan for columns that were left out."""
        return self._labels.by_column(self.law.coefficients)

    @cached_property
    def standard_errors(self) -> Any:
        """Standard errors of the coefficients."""
        return self._labels.by_column(self.law.errors)

    @cached_property
    def covariance(self) -> Any:
        """Covariance matrix of the coefficients."""
        estimated = self.law.estimated
        both = estimated[:, None] & estimated
        return self._labels.square(np.where(both, self.law.covariances, np.nan))

    @property
    def is_perfect(self) -> bool:
        """Whether residuals of all responses are rounding errors, by the criterion of R."""
        if self.df_residual <= 0:
            return False
        fitted = self._fit.solution.R @ self._fit.solution.coefficients
        squares = np.einsum("ij,ij->j", fitted, fitted)
        return bool((self._fit.residual_squares <= PERFECT**2 * squares).all())

    @cached_property
    def tvalues(self) -> Any:
        """Coefficients divided by their standard errors."""
        return self._labels.by_column(self.law.t)

    @cached_property
    def pvalues(self) -> Any:
        """Two-sided p-values of the coefficients."""
        if self.is_perfect:
            warn(
                "the fit is essentially perfect: the residuals are rounding errors, and so are "
                "standard errors, t and p-values"
            )
        return self._labels.by_column(t_pvalue(self.law.t, self.law.df_of_columns))

    @cached_property
    def df_coefficients(self) -> Any:
        """Degrees of freedom of the t tests and intervals of the coefficients."""
        df = np.broadcast_to(self.law.df_of_columns, (self.n_parameters, 1))
        return self._labels.of_columns(np.where(self.law.estimated, df[:, 0], np.nan))

    @property
    def bandwidth(self) -> Any:
        """Bandwidth of a HAC covariance that was chosen from the data; None for the others."""
        if self.cov_type != "HAC" or self.law.meats.bandwidths is None:
            return None
        return self._labels.scalar(self.law.meats.bandwidths)

    # -------------------------------------------------------------- of the fit

    @cached_property
    def residual_sum_of_squares(self) -> Any:
        """Weighted sum of squared residuals."""
        return self._labels.scalar(self._fit.residual_squares)

    @cached_property
    def total_sum_of_squares(self) -> Any:
        """Weighted sum of squares of the response, about the mean where there is a constant."""
        return self._labels.scalar(self._fit.total_squares)

    @cached_property
    def residual_standard_deviation(self) -> Any:
        """Estimated standard deviation of the errors."""
        return self._labels.scalar(np.sqrt(self.law.residual_variances))

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
        if not self.law.is_robust:
            total = np.where(self._fit.total_squares > 0, self._fit.total_squares, np.nan)
            explained = np.maximum(total - self._fit.residual_squares, 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                return explained / self.df_model / self.law.residual_variances
        return self._wald() * self._f_law[0]

    @cached_property
    def _f_law(self) -> tuple[float, float]:
        """Factor of the Wald statistic, and the denominator degrees of freedom, of F."""
        if self.law.clusters is None or self.df_model <= 0:
            return 1 / self.df_model if self.df_model > 0 else np.nan, self.df_residual
        return self.law.clusters.f_law(self._contrasts)

    @property
    def df_f(self) -> tuple[float, float]:
        """Numerator and denominator degrees of freedom of the F test."""
        return self.df_model, self._f_law[1]

    @property
    def _contrasts(self) -> np.ndarray:
        """Orthonormal directions of all coefficients but the constant."""
        orthonormal = self.law.orthonormal
        if self._fit.constant is None:
            return np.eye(len(orthonormal))
        direction = orthonormal @ self._fit.constant
        return np.linalg.qr(direction[:, None], mode="complete").Q[:, 1:].T

    def _wald(self) -> np.ndarray:
        """(m,) Wald statistics of the hypothesis that all coefficients but the constant are 0.

        In the coordinates T' X'X b, where the rows of the design are orthonormal: statistics
        depend neither on units nor on origins.
        """
        scores = self.law.orthonormal @ self._fit.solution.coefficients
        contrasts = self._contrasts
        if self.law.is_unknown(contrasts).any():
            return np.full_like(self._fit.residual_squares, np.nan)
        statistics = []
        for differences, middle in zip((contrasts @ scores).T, self.law.middles, strict=True):
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
