"""Regressions with errors of a first-order autoregression."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import qr

from fastnn._shared.numbers import check_integer, check_number
from fastnn._shared.warnings import warn
from fastnn.stats.diagnostics.durbin_watson.statistic_and_test import durbin_watson
from fastnn.stats.diagnostics.residuals import (
    centred_design,
    is_fitted,
    least_squares,
    residual_series,
)
from fastnn.stats.forecasts import ErrorModel
from fastnn.stats.least_squares import linear_regression
from fastnn.stats.linalg.basis import unit_columns
from fastnn.stats.regression.influence import Influence
from fastnn.stats.regression.labels import framed
from fastnn.stats.regression.tails import t_quantile
from fastnn.stats.result import ConfidenceIntervals, RegressionResult
from fastnn.stats.tables.frames import table
from fastnn.stats.tables.sheet import Sheet
from fastnn.stats.tables.shown import Shown


@dataclass(frozen=True)
class AutoregressiveResult(Shown):
    """A regression ``y = X b + u`` with ``u_t = rho u_{t-1} + innovation_t``.

    Attributes
    ----------
    rho : float
        Correlation of successive errors, estimated or given.
    iterations : int
        Number of rounds that estimated rho; 0 where rho was given.
    converged : bool
        Whether the last round changed rho by at most the tolerance.
    regression : RegressionResult
        Regression of the transformed data, whose errors are the innovations.  Its coefficients,
        standard errors and t tests are those of the model, conditional on rho.  R^2 and F refer
        to the transformed data, and for Prais-Winsten, which has no constant, to sums of squares
        about zero.
    residuals : (n,) array or Series
        ``y - X b``, the estimates of the errors u.  Coefficients, standard errors and residuals
        are Series where the data were pandas objects.
    method : str
    ordinary : RegressionResult
        Ordinary regression of the same data.
    """

    rho: float
    iterations: int
    converged: bool
    regression: RegressionResult
    residuals: Any
    method: str
    ordinary: Influence

    @property
    def coefficients(self) -> Any:
        """Estimated coefficients of the columns `names`."""
        return self.regression.coefficients

    @property
    def standard_errors(self) -> Any:
        """Standard errors of the coefficients, conditional on rho."""
        return self.regression.standard_errors

    @property
    def tvalues(self) -> Any:
        """Coefficients divided by their standard errors."""
        return self.regression.tvalues

    @property
    def pvalues(self) -> Any:
        """Two-sided p-values of the coefficients, conditional on rho."""
        return self.regression.pvalues

    @property
    def covariance(self) -> Any:
        """Covariance matrix of the coefficients, conditional on rho."""
        return self.regression.covariance

    def confidence_intervals(self, level: float = 0.95) -> ConfidenceIntervals:
        """Confidence intervals of the coefficients, conditional on rho.

        Parameters
        ----------
        level : float, default 0.95

        Returns
        -------
        ConfidenceIntervals
        """
        return self.regression.confidence_intervals(level)

    def predict(
        self,
        X: object,
        interval: str | None = None,
        level: float = 0.95,
        *,
        following: bool = False,
    ) -> Any:
        """Predict the response at new rows.

        Parameters
        ----------
        X : (h, k) array_like or DataFrame
            As in `RegressionResult.predict`.
        interval : None, "confidence" or "prediction"
            Without `following`, an interval of the mean or of an observation at any other time.
        level : float, default 0.95
        following : bool, default False
            Whether the rows are the h times after the sample, in order.  The mean then contains
            the forecast of the error, rho^h times the last residual, and the interval its growing
            variance (Goldberger 1962).

        Returns
        -------
        (h,) array or Series, or Prediction
            Intervals are conditional on rho.
        """
        solution = self.regression.problem.solution
        model = ErrorModel(
            ordinary=self.ordinary,
            coefficients=solution.coefficients[:, 0],
            root=solution.root,
            middle=self.regression.law.middles[0],
            ar=np.array([self.rho]),
            variance=float(self.regression.residual_standard_deviation**2),
            residuals=np.asarray(self.residuals),
        )
        df = self.regression.df_residual
        return model.predict(X, interval, level, following, lambda one: t_quantile(one, df))

    @property
    def names(self) -> Any:
        """Names of the coefficients."""
        return self.regression.names

    @property
    def innovations(self) -> np.ndarray:
        """Residuals of the transformed regression, which estimate the innovations."""
        return np.asarray(self.regression.residuals)

    def _sheets(self) -> tuple[Sheet, ...]:
        state = "" if self.converged else ", NOT converged"
        rounds = f"after {self.iterations} rounds{state}" if self.iterations else "given"
        own = f"{self.method}: rho = {self.rho:.6g} ({rounds})"
        lead = (*self.ordinary.problem.labels.lead, own)
        return tuple(replace(sheet, lead=lead) for sheet in self.regression.sheets())

    def to_frame(self, level: float = 0.95) -> Any:
        """The coefficients as a pandas DataFrame with one row for each term.

        Parameters
        ----------
        level : float, default 0.95
            Level of the confidence intervals.

        Returns
        -------
        DataFrame
            The columns are those of `RegressionResult.to_frame`.
        """
        return self.regression.to_frame(level)

    def glance(self) -> Any:
        """Measures of the fit as a pandas DataFrame with one row.

        Returns
        -------
        DataFrame
            Columns ``rho``, ``iterations``, ``converged``, ``residual_standard_deviation`` (of the
            innovations), ``durbin_watson_original`` and ``durbin_watson_transformed`` (the
            statistic of the ordinary residuals and of the innovations), ``df_residual`` and
            ``n_observations``.
        """
        columns = {
            "rho": self.rho,
            "iterations": self.iterations,
            "converged": self.converged,
            "residual_standard_deviation": self.regression.residual_standard_deviation,
            "durbin_watson_original": durbin_watson(np.asarray(self.ordinary.residuals)),
            "durbin_watson_transformed": durbin_watson(self.innovations),
            "df_residual": self.regression.df_residual,
            "n_observations": len(self.residuals),
        }
        return table({name: [value] for name, value in columns.items()})


def cochrane_orcutt(
    X: object,
    y: object = None,
    *,
    data: object = None,
    rho: float | None = None,
    add_intercept: bool = True,
    names: object = None,
    tolerance: float = 1e-8,
    max_iterations: int = 100,
) -> AutoregressiveResult:
    """Regression with errors of a first-order autoregression, without the first observation.

    Each round regresses ``y_t - rho y_{t-1}`` on ``x_t - rho x_{t-1}``, and estimates rho from the
    residuals ``e = y - X b`` by ``sum e_t e_{t-1} / sum e_{t-1}^2``, until rho converges.

    Parameters
    ----------
    X : (n, k) array_like, table, RegressionResult or str
        Regressors without a column of ones, in the order of time; or a fitted regression, which
        provides the data (`y`, `names` and `add_intercept` must then be omitted); or a formula
        about the columns of `data`.
    y : (n,) array_like
        Response.
    data : table or mapping of columns, optional
        Data of a formula, as in `linear_regression`.  Rows with missing values are left out at
        the ends of the series only.
    rho : float, optional
        Correlation of successive errors, between -1 and 1; by default it is estimated.
    add_intercept : bool, default True
        Whether a column of ones is added.
    names : sequence of str, optional
        Names of the columns of X.
    tolerance : float, default 1e-8
        The iteration ends when rho changes by at most this number.
    max_iterations : int, default 100
        Largest number of rounds; without convergence, a warning is issued.

    Returns
    -------
    AutoregressiveResult

    Raises
    ------
    TypeError, ValueError
        If shapes do not match; if the regression has weights, a penalty, streamed rows, dependent
        columns or a perfect fit; or if rho is not in (-1, 1): use differences of the series then.

    References
    ----------
    Cochrane & Orcutt (1949), "Application of least squares regression to relationships
    containing auto-correlated error terms".
    """
    iteration = _Iteration.checked("Cochrane-Orcutt", rho, tolerance, max_iterations)
    return iteration.run(ordinary_regression(X, y, data, add_intercept, names))


def prais_winsten(
    X: object,
    y: object = None,
    *,
    data: object = None,
    rho: float | None = None,
    add_intercept: bool = True,
    names: object = None,
    tolerance: float = 1e-8,
    max_iterations: int = 100,
) -> AutoregressiveResult:
    """`cochrane_orcutt` with the first observation, multiplied by ``sqrt(1 - rho^2)``.

    This is generalised least squares for the estimated rho, and more efficient in small samples.

    Parameters
    ----------
    X, y, data, rho, add_intercept, names, tolerance, max_iterations
        As in `cochrane_orcutt`.

    Returns
    -------
    AutoregressiveResult

    Raises
    ------
    TypeError, ValueError
        As `cochrane_orcutt` does.

    References
    ----------
    Prais & Winsten (1954), "Trend estimators and serial correlation".
    """
    iteration = _Iteration.checked("Prais-Winsten", rho, tolerance, max_iterations)
    return iteration.run(ordinary_regression(X, y, data, add_intercept, names))


@dataclass(frozen=True)
class _Iteration:
    """The computation of rho: a given number, or an iteration.

    Attributes
    ----------
    method : str
    rho : float or None
        None for an estimated rho.
    tolerance : float
    max_iterations : int
    """

    method: str
    rho: float | None
    tolerance: float
    max_iterations: int

    @classmethod
    def checked(
        cls, method: str, rho: object, tolerance: object, max_iterations: object
    ) -> _Iteration:
        """From the arguments of a caller."""
        return cls(
            method,
            None if rho is None else _check_rho(check_number(rho, "rho")),
            check_number(tolerance, "tolerance", 0.0),
            check_integer(max_iterations, "max_iterations", 1),
        )

    def run(self, start: Influence) -> AutoregressiveResult:
        """The regression of the transformed data, from an ordinary regression."""
        stored, labels = start.problem.rows, start.problem.labels
        design, response = stored.design.matrix, stored.response[:, 0]
        residuals = residual_series(start)  # refuses a perfect fit
        rho, rounds, converged = self.rho, 0, True
        if rho is None:
            columns = unit_columns(centred_design(start))
            basis = qr(columns, mode="economic", pivoting=True)[0][:, : start.rank]
            rho, rounds, converged = self._estimated(basis, residuals)
        X, y = transformed(self.method, design, rho), transformed(self.method, response, rho)
        if labels.pandas:
            rows = labels.rows[-len(y) :]
            X, y = framed(X, rows, labels.columns), framed(y, rows, name=labels.responses[0])
        regression = linear_regression(X, y, add_intercept=False, names=list(start.names))
        residuals = response - design @ np.asarray(regression.coefficients)
        if labels.pandas:
            residuals = framed(residuals, labels.rows, name=labels.responses[0])
        return AutoregressiveResult(
            rho, rounds, converged, regression, residuals, self.method, start
        )

    def _estimated(self, basis: np.ndarray, start: np.ndarray) -> tuple[float, int, bool]:
        """rho, the number of rounds, and whether rho converged.

        Each round regresses the residuals `start` of the ordinary regression, instead of the
        response, on an orthonormal basis of the design.  The residuals are the same, and rho
        does not depend on units and origins.
        """
        rho = _correlation(start)
        for rounds in range(1, self.max_iterations + 1):
            X, y = transformed(self.method, basis, rho), transformed(self.method, start, rho)
            residuals = start - basis @ np.linalg.lstsq(X, y, rcond=None)[0]
            before, rho = rho, _correlation(residuals)
            if abs(rho - before) <= self.tolerance:
                return rho, rounds, True
        warn(f"rho still changes by {abs(rho - before):.2g} after {rounds} rounds")
        return rho, rounds, False


def ordinary_regression(
    X: Any, y: Any, data: Any, add_intercept: bool, names: Any
) -> Influence:  # fmt: skip
    """The ordinary regression of data in order of time, or of a fitted regression."""
    start = X
    if isinstance(X, str) or data is not None:
        start = linear_regression(X, y, data=data, add_intercept=add_intercept, names=names)
    elif not is_fitted(X, y, named=names is not None, add_intercept=add_intercept):
        start = linear_regression(X, y, add_intercept=add_intercept, names=names)
    start = least_squares(start, in_order=True, weighted=False)
    if start.problem.labels.formula is not None:
        start.problem.labels.formula.refuse_gaps("a regression with autoregressive errors")
    if start.rank < start.n_parameters:
        raise ValueError("the columns of the regression are linearly dependent; drop some first")
    return start


def transformed(method: str, values: np.ndarray, rho: float) -> np.ndarray:
    """Transformed rows, whose errors are uncorrelated if rho is right."""
    differences = values[1:] - rho * values[:-1]
    if method == "Cochrane-Orcutt":
        return differences
    return np.concatenate([math.sqrt((1 - rho) * (1 + rho)) * values[:1], differences])


def _correlation(residuals: np.ndarray) -> float:
    before = residuals[:-1]
    total = float(before @ before)
    if total == 0:
        raise ValueError("all residuals but the last are zero: they have no autocorrelation")
    return _check_rho(float(residuals[1:] @ before) / total)


def _check_rho(rho: float) -> float:
    if not abs(rho) < 1:
        raise ValueError(
            f"rho is {rho:.4g}, expected between -1 and 1: the errors do not return to "
            "their mean; regress the differences of the series instead"
        )
    return rho
