"""The result of a regression."""

from __future__ import annotations

import operator
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn.stats.regression.covariance import CovarianceType
from fastnn.stats.regression.estimates import check_level
from fastnn.stats.regression.influence import Influence
from fastnn.stats.regression.prediction import predict
from fastnn.stats.regression.summary import summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ConfidenceIntervals(NamedTuple):
    """Ends of intervals: (p,) arrays, (p, m) for several responses, or Series."""

    lower: Any
    upper: Any


class RegressionResult(Influence):
    """A fitted linear regression, as `linear_regression` returns it; `print` shows a summary.

    The shapes here are those of one response, given as a vector: arrays of p coefficients or n
    rows, and floats.  With m responses, (p,) becomes (p, m), (n,) becomes (n, m), a float (m,),
    and the covariance (m, p, p).  Where X was a pandas DataFrame, coefficients and what belongs
    to them are Series with the names of columns, and residuals and what belongs to rows are
    Series with the index of X; `design`, `weights` and `names` never are.

    Attributes
    ----------
    coefficients : (p,) array
        The intercept first.  nan where a column is a combination of columns to its left (see
        `dependencies`), unless ``method="svd"``, which gives the coefficients of least norm.
    standard_errors, tvalues, pvalues : (p,) array
        The p-values are two-sided, of Student's t with `df_residual` degrees of freedom, for
        every `cov_type`.
    covariance : (p, p) array
        Of the coefficients.
    names, response_names : tuple of str
        Of the columns of `design`, and of the responses.
    design : (n, p) array or None
        What was fitted, in float64, the intercept first; None where rows were streamed.
    response, weights : (n,) array
        What was fitted; `weights` is None where there were none.
    residuals, fitted : (n,) array
        Not weighted.
    leverage : (n,) array
        Diagonal of the hat matrix.
    standardized_residuals : (n,) array
        Internally studentised: divided by their estimated standard deviation.  nan where the
        leverage is 1.
    studentized_residuals : (n,) array
        Externally studentised: the standard deviation is estimated without the row itself.
    cooks_distance : (n,) array
        How far the coefficients move when a row is left out.
    method, cov_type, ridge
        As in `linear_regression`.
    has_intercept : bool
        Whether a constant is among the columns or a combination of them.
    n_observations, n_parameters, rank : int
        Rows, columns of the design, and how many of these are independent.
    dependencies : tuple of str
        Each dependent column as an equation, ``"x3 = 2*x1 - intercept"``.
    effective_parameters : float
        Trace of the hat matrix: the rank, or less under a ridge penalty.
    df_model, df_residual : int, or float under a ridge penalty
        Effective parameters less the constant, and n less the effective parameters.
    residual_sum_of_squares, total_sum_of_squares : float
        Weighted; the total is about the mean where there is a constant, else about zero.
    residual_standard_deviation : float
        Square root of the residual sum of squares over `df_residual`.
    r_squared, adjusted_r_squared : float
    fvalue, f_pvalue : float
        Of the hypothesis that all coefficients but the constant are zero: by sums of squares,
        or a Wald test where the covariance is robust.  nan under a ridge penalty.
    log_likelihood, aic, bic : float
        Of normal errors, by the conventions of statsmodels: aic is -2 log_likelihood + 2 k with
        k effective parameters, the variance not counted (R counts it, which adds 2 to every
        aic and log(n) to every bic).
    condition_number, scaled_condition_number : float
        Ratio of the extreme singular values of the (weighted) design, and of the design with
        columns of unit length, which does not depend on units.
    """

    def __repr__(self) -> str:
        return (
            f"<RegressionResult: {', '.join(self.response_names)} on {len(self.names)} columns, "
            f"{self.n_observations} observations>"
        )

    def __str__(self) -> str:
        return self.summary()

    def summary(self, level: float = 0.95) -> str:
        """The result as text: coefficients, quality of the fit, residuals.

        With several responses one table follows the other.  Where the exact p-value of the
        Durbin-Watson statistic takes many seconds (a million rows by 10 columns), the statistic
        stands alone, and `durbin_watson` gives the rest.

        Parameters
        ----------
        level : float, default 0.95
            Of the confidence intervals.

        Returns
        -------
        str
        """
        level = check_level(level)
        results = [self]
        if not self._labels.single:
            results = [self.for_response(name) for name in self.response_names]
        return "\n\n".join(summary(one, level, one._diagnostics()) for one in results)

    def _diagnostics(self) -> list[tuple[str, str]]:
        """What the summary shows of the residuals of one response."""
        from fastnn.stats.diagnostics.summary import diagnostic_entries

        return [] if self.design is None else diagnostic_entries(self, self.durbin_watson)

    def confidence_intervals(self, level: float = 0.95) -> ConfidenceIntervals:
        """Intervals that hold each true coefficient with probability `level`.

        Parameters
        ----------
        level : float, default 0.95

        Returns
        -------
        ConfidenceIntervals
            ``lower`` and ``upper``, each (p,) or (p, m).
        """
        ends = (self._labels.by_column(self._shown(end)) for end in self._interval(level))
        return ConfidenceIntervals(*ends)

    def predict(self, X: Any, interval: str | None = None, level: float = 0.95) -> Any:
        """Means of the response at new rows.

        Parameters
        ----------
        X : (n, k) array_like or DataFrame
            Without the intercept column.  A table is matched by the names of its columns if
            the fit was to a table, and may have more columns.
        interval : None, "confidence" or "prediction"
            Ask for an interval that holds the mean, or a new observation (of weight 1), with
            probability `level`.
        level : float, default 0.95

        Returns
        -------
        (n,) or (n, m) array, or Prediction
            The means alone, or with ``interval`` a named tuple of ``mean``, ``lower``,
            ``upper`` and ``standard_error`` of the mean.  Series or DataFrames where X is a
            DataFrame and the fit was to one.

        Raises
        ------
        ValueError
            If X has other columns than the fit, or values that are not finite.

        Warns
        -----
        RankDeficiencyWarning
            If columns of the fit depend on others and new rows break the dependence.
        """
        return predict(self, X, interval, level)

    def with_covariance(
        self, cov_type: str, *, lags: int | None = None, kernel: str | None = None
    ) -> RegressionResult:
        """The same fit with another covariance of the coefficients.

        Parameters
        ----------
        cov_type, lags, kernel
            As in `linear_regression`.

        Returns
        -------
        RegressionResult
        """
        return RegressionResult(self._fit, CovarianceType.checked(cov_type, lags, kernel))

    def for_response(self, response: int | str) -> RegressionResult:
        """The result for one of several responses, as if it had been fitted alone.

        Parameters
        ----------
        response : int or str
            Its place or its name.

        Returns
        -------
        RegressionResult
        """
        names = self.response_names
        if isinstance(response, str):
            if response not in names:
                raise ValueError(f"response must be one of {', '.join(names)}, got {response!r}")
            place = names.index(response)
        else:
            place = operator.index(response)
            if not 0 <= place < len(names):
                raise IndexError(f"response must be from 0 to {len(names) - 1}, got {place}")
        return RegressionResult(self._fit.select(place), self._cov)

    def durbin_watson(self, alternative: str = "two-sided") -> Any:
        """The Durbin-Watson test of the residuals in the order of the rows, with exact p-value.

        `durbin_watson_test` has more to choose from: the order, the lag.

        Parameters
        ----------
        alternative : {"two-sided", "positive", "negative"}
            Autocorrelation of which sign to test for.

        Returns
        -------
        DurbinWatsonResult

        Raises
        ------
        ValueError
            Where the law of the statistic is not known: streamed rows, a ridge penalty, several
            responses, a lagged response among the regressors, residuals of zeros.
        """
        from fastnn.stats.diagnostics.durbin_watson.statistic_and_test import durbin_watson_test

        if alternative not in self._tested:
            self._tested[alternative] = durbin_watson_test(self, alternative=alternative)
        return self._tested[alternative]

    @cached_property
    def _tested(self) -> dict[str, Any]:
        return {}

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """The four residual plots, in one figure.

        Residuals against fitted values, normal quantiles, scale against location, and
        residuals against leverage with contours of Cook's distance; the three most extreme
        rows of each are named.  Of more than 5000 rows a part is drawn, evenly taken and with
        all extreme ones.

        Parameters
        ----------
        path : str or path-like, optional
            Where to save the figure; its ending chooses the format.

        Returns
        -------
        Figure

        Raises
        ------
        ValueError
            If there are several responses: take one with `for_response`.
        ImportError
            If matplotlib is not installed.
        """
        from fastnn.stats.regression.plots import residual_plots

        self._refuse_streamed()
        if len(self.response_names) > 1:
            raise ValueError(
                f"plot draws one response, and there are {len(self.response_names)}; "
                "use result.for_response(name).plot()"
            )
        return residual_plots(self, path)
