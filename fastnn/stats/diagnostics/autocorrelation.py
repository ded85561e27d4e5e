"""Tests of residuals for autocorrelation, other than the Durbin-Watson test."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._shared.figures import BLUE, SKY, axes_or_new, finished
from fastnn._shared.numbers import check_choice, check_integer, check_number
from fastnn.stats.diagnostics.durbin_watson.statistic_and_test import durbin_watson
from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.residuals import (
    ALTERNATIVES,
    NO_AUTOCORRELATION,
    centred_design,
    moderate,
    regression_parts,
    residual_series,
    shifted,
)
from fastnn.stats.linalg.basis import auxiliary, centred_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LAGS = 10  # of the Ljung-Box and Box-Pierce tests, by default
_LAGGED = 1e-8  # of the range of the response: tolerance of a column that holds it one step before


def breusch_godfrey(result: Any, lags: int = 1, *, form: str = "chi2") -> TestResult:
    """Test a regression for autocorrelation of its errors up to some lag.

    The residuals are regressed on the design and on their own lags 1 to `lags`, with zeros before
    the first row.  Unlike the Durbin-Watson test, it is valid for large n where lagged responses
    are among the regressors.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    lags : int, default 1
        The alternative: autocorrelation of order 1 to `lags`.
    form : {"chi2", "f"}, default "chi2"
        n R^2 of the auxiliary regression, or the F statistic of its lagged columns, whose level
        is more accurate in small samples.

    Returns
    -------
    TestResult

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression, or has too few observations for this number of lags.

    References
    ----------
    Breusch (1978), "Testing for autocorrelation in dynamic linear models".
    Godfrey (1978), "Testing against general autoregressive and moving average error models".
    """
    from scipy import stats

    residuals, _ = regression_parts(result, in_order=True)
    n = len(residuals)
    lags = check_integer(lags, "lags", 1)
    check_choice(form, "form", ("chi2", "f"))
    freedom = n - result.rank - lags
    if freedom < 1:
        raise ValueError(
            f"lags is {lags}, but {n} observations of {result.rank} columns allow "
            f"at most {n - result.rank - 1}"
        )
    columns = [shifted(residuals, lag) for lag in range(1, lags + 1)]
    total = float(residuals @ residuals)
    rest, _ = auxiliary(residuals, np.column_stack([centred_design(result), *columns]))
    name = f"Breusch-Godfrey test, lags 1 to {lags}"
    if form == "f":
        statistic = (total - rest) / lags / (rest / freedom)
        law, pvalue = f"F({lags}, {freedom})", float(stats.f.sf(statistic, lags, freedom))
    else:
        statistic = n * (1 - rest / total)
        law, pvalue = f"chi2({lags})", float(stats.chi2.sf(statistic, lags))
    return TestResult(statistic, pvalue, name, law, NO_AUTOCORRELATION)


def ljung_box(
    residuals: object, lags: int | Sequence[int] | None = None, *, fitted_parameters: int = 0
) -> TestResult:
    """Test a series for autocorrelation by the sum of its first squared autocorrelations.

    ``Q = n (n + 2) sum_k r_k^2 / (n - k)``.

    Parameters
    ----------
    residuals : (n,) array_like or RegressionResult
    lags : int or sequence of int, optional
        Number of autocorrelations in the sum; with several numbers, the result holds arrays.
        The default is 10, or n - 1 for shorter series.
    fitted_parameters : int, default 0
        Number of parameters of an ARMA model that was fitted to the series; it is subtracted
        from the degrees of freedom.

    Returns
    -------
    TestResult

    Raises
    ------
    TypeError, ValueError
        If the residuals are not a series that is longer than the lags.

    References
    ----------
    Ljung & Box (1978), "On a measure of lack of fit in time series models".
    """
    return _portmanteau("Ljung-Box test", residuals, lags, fitted_parameters, refined=True)


def box_pierce(
    residuals: object, lags: int | Sequence[int] | None = None, *, fitted_parameters: int = 0
) -> TestResult:
    """The Box-Pierce test, ``Q = n sum_k r_k^2``; `ljung_box` is more accurate in small samples.

    Parameters
    ----------
    residuals, lags, fitted_parameters
        As in `ljung_box`.

    Returns
    -------
    TestResult

    Raises
    ------
    TypeError, ValueError
        As `ljung_box` does.

    References
    ----------
    Box & Pierce (1970), "Distribution of residual autocorrelations in autoregressive-integrated
    moving average time series models".
    """
    return _portmanteau("Box-Pierce test", residuals, lags, fitted_parameters, refined=False)


def _portmanteau(
    name: str, residuals: object, lags: int | Sequence[int] | None, fitted: int, refined: bool
) -> TestResult:
    from scipy import stats

    series = residual_series(residuals, in_order=True)
    n = len(series)
    fitted = check_integer(fitted, "fitted_parameters", 0)
    lags = min(_LAGS, n - 1) if lags is None else lags
    single = np.ndim(lags) == 0
    orders = [check_integer(lag, "lags", 1, n - 1) for lag in np.atleast_1d(lags).tolist()]
    if not orders:
        raise ValueError("lags is empty")
    if min(orders) <= fitted:
        raise ValueError(
            f"lags is {min(orders)}, expected more than the {fitted} fitted_parameters"
        )
    r = autocorrelation(series, max(orders))[1:]
    factors = (n + 2) / (n - np.arange(1, len(r) + 1)) if refined else np.ones(len(r))
    sums = n * np.cumsum(factors * r**2)
    statistics = np.array([sums[lag - 1] for lag in orders])
    freedoms = np.array(orders) - fitted
    pvalues = stats.chi2.sf(statistics, freedoms)
    law = "; ".join(f"chi2({freedom})" for freedom in freedoms)
    if single:
        return TestResult(
            float(statistics[0]), float(pvalues[0]), name, law, NO_AUTOCORRELATION
        )  # fmt: skip
    return TestResult(statistics, pvalues, name, law, NO_AUTOCORRELATION)


def durbin_h(result: Any, lagged: str | int, *, alternative: str = "two-sided") -> TestResult:
    """Durbin's h test for autocorrelation, for regressions on the lagged response.

    With a lagged response, the Durbin-Watson statistic is biased towards 2 and its p-value is
    invalid.  ``h = (1 - d / 2) sqrt(n / (1 - n v))`` is asymptotically standard normal; v is the
    estimated variance of the coefficient of the lagged response.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    lagged : str or int
        Name or index of the column of the design that holds the lagged response.
    alternative : {"two-sided", "positive", "negative"}
        Sign of the autocorrelation under the alternative hypothesis.

    Returns
    -------
    TestResult

    Raises
    ------
    TypeError, ValueError
        If there is no such column, or if n v >= 1, where h is undefined (use
        `breusch_godfrey`).

    References
    ----------
    Durbin (1970), "Testing for serial correlation in least-squares regression when some of
    the regressors are lagged dependent variables".
    """
    from scipy import stats

    residuals, design = regression_parts(result, in_order=True)
    check_choice(alternative, "alternative", ALTERNATIVES)
    column = _column(lagged, list(result.names), design.shape[1])
    response = np.asarray(result.response, np.float64).reshape(-1)
    differences = np.abs(design[1:, column] - response[:-1])
    if differences.max() > _LAGGED * np.ptp(response):
        raise ValueError(
            f"lagged: column {result.names[column]!r} does not hold the response one step before"
        )
    n = len(residuals)
    total = float(residuals @ residuals)
    others = np.delete(design, column, axis=1)
    rest, _ = auxiliary(*_centred(design[:, column], others, result.has_intercept))
    variance = total / (n - result.rank) / rest
    if n * variance >= 1:
        raise ValueError(
            f"h is undefined: n times the variance of the coefficient of "
            f"{result.names[column]!r} is {n * variance:.4g}, not below 1; use breusch_godfrey"
        )
    d = float(durbin_watson(residuals))
    h = (1 - d / 2) * math.sqrt(n / (1 - n * variance))
    tails = {
        "positive": stats.norm.sf(h),
        "negative": stats.norm.cdf(h),
        "two-sided": 2 * stats.norm.sf(abs(h)),
    }
    return TestResult(
        h, float(tails[alternative]), "Durbin's h test", "normal", NO_AUTOCORRELATION, alternative
    )


def _centred(
    column: np.ndarray, others: np.ndarray, has_intercept: bool
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A column and the other columns of a design, less their means if there is a constant."""
    if not has_intercept:
        return column, others
    constant = np.ones(len(column))
    return column - column.mean(), np.column_stack([constant, centred_columns(others)])


def _column(column: str | int, names: list[str], p: int) -> int:
    if isinstance(column, str):
        if column not in names:
            raise ValueError(f"lagged: no column {column!r}; the design has {', '.join(names)}")
        return names.index(column)
    return check_integer(column, "lagged", 0, p - 1)


def autocorrelation(residuals: object, lags: int | None = None) -> np.ndarray:
    """Autocorrelations of a series with mean m.

    ``r_k = sum_t (e_t - m)(e_{t-k} - m) / sum_t (e_t - m)^2``.

    Parameters
    ----------
    residuals : (n,) array_like or RegressionResult
    lags : int, optional
        The largest lag; by default min(10 log10(n), n - 1) as in R.

    Returns
    -------
    (lags + 1,) array
        Autocorrelations from lag 0, which is 1, to `lags`.

    Raises
    ------
    TypeError, ValueError
        If the residuals are constant, or not a series that is longer than the lags.
    """
    series = moderate(residual_series(residuals))
    n = len(series)
    lags = _largest_lag(lags, n)
    centred = series - series.mean()
    total = float(centred @ centred)
    if total <= (n * np.finfo(float).eps * np.abs(series).max()) ** 2:
        raise ValueError("residuals are constant: their autocorrelation is undefined")
    return np.array([centred[k:] @ centred[: n - k] / total for k in range(lags + 1)])


def _largest_lag(lags: int | None, n: int) -> int:
    if lags is None:
        return min(int(10 * math.log10(n)), n - 1)
    return check_integer(lags, "lags", 1, n - 1)


def plot_autocorrelation(
    residuals: object,
    lags: int | None = None,
    *,
    level: float = 0.95,
    path: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the autocorrelations of residuals, with a band for white noise.

    Parameters
    ----------
    residuals, lags
        As in `autocorrelation`.
    level : float, default 0.95
        Probability that a single autocorrelation of white noise lies in the band,
        ``+-z / sqrt(n)``.
    path : str or path-like, optional
        File to save the figure to; the suffix determines the format.
    ax : matplotlib Axes, optional
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    Figure
    """
    from scipy import stats

    n = len(residual_series(residuals, in_order=True))
    level = check_number(level, "level", above=0.0, below=1.0)
    r = autocorrelation(residuals, lags)
    band = float(stats.norm.isf((1 - level) / 2)) / math.sqrt(n)
    ax = axes_or_new(ax)
    steps = np.arange(1, len(r))
    ax.axhspan(-band, band, color=SKY, alpha=0.25, label=f"{level:.0%} band of white noise")
    ax.vlines(steps, 0, r[1:], color=BLUE, linewidth=2)
    ax.plot(steps, r[1:], "o", color=BLUE, markersize=4)
    ax.axhline(0, color="0.3", linewidth=0.8)
    ax.set(xlabel="lag", ylabel="autocorrelation", xlim=(0.2, len(r) - 0.2))
    ax.legend(loc="best")
    return finished(ax.figure, path)
