"""Tests of residuals against unequal variance, other laws than the normal, and order."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice
from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.residuals import (
    ALTERNATIVES,
    auxiliary,
    moderate,
    regression_parts,
    residual_series,
    unit_columns,
)
from fastnn.stats.regression.inputs import read_columns, refuse_bad_values

_EQUAL_VARIANCE = "the errors have one variance"


def breusch_pagan(result: Any, Z: Any = None, *, studentize: bool = True) -> TestResult:
    """Test whether the variance of a regression's errors depends on some variables.

    Parameters
    ----------
    result : RegressionResult
        Of an unweighted regression of one response.
    Z : (n, q) array_like, optional
        The variables, without a column of ones; by default the regression's own.
    studentize : bool, default True
        Koenker's form, n R^2 of the squared residuals on Z, which does not need normal
        errors; otherwise Breusch and Pagan's half of the explained sum of squares.

    Returns
    -------
    TestResult

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression, or Z does not fit it or is constant.

    References
    ----------
    Breusch & Pagan (1979), "A simple test for heteroscedasticity and random coefficient
    variation".  Koenker (1981), "A note on studentizing a test for heteroscedasticity".
    """
    residuals, design = regression_parts(result)
    columns = design
    if Z is not None:
        columns = read_columns(Z, "Z", len(residuals))
        refuse_bad_values(columns, "Z")
    name = "Breusch-Pagan test" + (", studentized" if studentize else "")
    return variance_test(name, residuals, columns, studentize)


def white(result: Any) -> TestResult:
    """Test whether the errors' variance depends on the regressors, to second order.

    Parameters
    ----------
    result : RegressionResult
        Of an unweighted regression of one response.

    Returns
    -------
    TestResult
        n R^2 of the squared residuals on the regressors, their squares and products.

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression, or has no more observations than there are
        squares and products.

    References
    ----------
    White (1980), "A heteroskedasticity-consistent covariance matrix estimator and a direct
    test for heteroskedasticity".
    """
    residuals, design = regression_parts(result)
    # Scaled, so that neither products of large columns overflow nor those of small ones vanish.
    scaled = unit_columns(design)
    products = [
        scaled[:, i] * scaled[:, j]
        for i, j in combinations_with_replacement(range(design.shape[1]), 2)
    ]
    columns = np.column_stack([scaled, *products])
    return variance_test("White test", residuals, columns, True)


def variance_test(
    name: str, residuals: np.ndarray, columns: np.ndarray, studentize: bool
) -> TestResult:
    """Regress the squared residuals on columns and a constant; see `breusch_pagan`."""
    from scipy import stats

    n = len(residuals)
    residuals = moderate(residuals)
    squares = residuals**2 / np.mean(residuals**2)
    rest, rank = auxiliary(squares, np.column_stack([np.ones(n), columns]))
    freedom = rank - 1
    if freedom < 1:
        raise ValueError("the variables are constant: the variance cannot depend on them")
    if rank >= n:
        raise ValueError(f"{n} observations are too few for {rank} columns")
    total = float(np.sum((squares - 1) ** 2))
    if total == 0:  # residuals of one size: nothing to explain
        return TestResult(0.0, 1.0, name, f"chi2({freedom})", _EQUAL_VARIANCE)
    explained = max(total - rest, 0.0)
    statistic = n * explained / total if studentize else explained / 2
    pvalue = float(stats.chi2.sf(statistic, freedom))
    return TestResult(statistic, pvalue, name, f"chi2({freedom})", _EQUAL_VARIANCE)


def jarque_bera(residuals: Any) -> TestResult:
    """Test residuals for the skewness and kurtosis of a normal law.

    Parameters
    ----------
    residuals : (n,) array_like or RegressionResult

    Returns
    -------
    TestResult
        The chi-squared law holds for large n only; below some hundred residuals the test
        rejects less often than its level says.

    Raises
    ------
    TypeError, ValueError
        If the residuals are no series.

    References
    ----------
    Jarque & Bera (1987), "A test for normality of observations and regression residuals";
    computed by `scipy.stats.jarque_bera`.
    """
    from scipy import stats

    series = moderate(residual_series(residuals))
    if np.ptp(series) <= len(series) * np.finfo(float).eps * np.abs(series).max():
        raise ValueError("residuals are constant: their skewness and kurtosis are undefined")
    found = stats.jarque_bera(series)
    return TestResult(
        float(found.statistic), float(found.pvalue), "Jarque-Bera test", "chi2(2)",
        "the errors have the skewness and kurtosis of a normal law",
    )  # fmt: skip


def runs_test(
    residuals: Any, *, alternative: str = "two-sided", method: str = "exact"
) -> TestResult:
    """Wald and Wolfowitz's test of order: the number of runs of one sign.

    Few runs speak for positive autocorrelation, many for negative.  Residuals that are
    exactly 0 have no sign and are left out.

    Parameters
    ----------
    residuals : (n,) array_like or RegressionResult
    alternative : {"two-sided", "positive", "negative"}
        The autocorrelation to test against.  Two-sided p-values are twice the smaller tail,
        at most 1.
    method : {"exact", "normal"}
        The law of the number of runs given how many residuals have each sign, or its normal
        approximation without continuity correction, as in R's ``randtests::runs.test``.

    Returns
    -------
    TestResult
        The statistic is the number of runs, or for "normal" its standardised value.

    Raises
    ------
    TypeError, ValueError
        If the residuals are no series, or all have one sign.

    References
    ----------
    Wald & Wolfowitz (1940), "On a test whether two samples are from the same population".
    """
    from scipy import stats

    series = residual_series(residuals, in_order=True)
    check_choice(alternative, "alternative", ALTERNATIVES)
    check_choice(method, "method", ("exact", "normal"))
    signs = series[series != 0] > 0
    n, above = len(signs), int(np.count_nonzero(signs))
    below = n - above
    if not above or not below:
        raise ValueError("residuals all have one sign: there is only one run")
    runs = 1 + int(np.count_nonzero(signs[1:] != signs[:-1]))
    if method == "exact":
        weights = _law_of_runs(above, below)
        fewer, more = float(weights[: runs + 1].sum()), float(weights[runs:].sum())
        statistic: float = runs
        law = f"exact, {above} above and {below} below 0"
    else:
        mean = 1 + 2 * above * below / n
        variance = (mean - 1) * (mean - 2) / (n - 1)
        if variance <= 0:
            raise ValueError('method="normal" needs more than one residual of some sign')
        statistic = (runs - mean) / variance**0.5
        fewer, more = float(stats.norm.cdf(statistic)), float(stats.norm.sf(statistic))
        law = "normal"
    tails = {"positive": fewer, "negative": more, "two-sided": 2 * min(fewer, more)}
    return TestResult(
        statistic, min(tails[alternative], 1.0), "runs test", law,
        "residuals of either sign come in random order", alternative,
    )  # fmt: skip


def _law_of_runs(above: int, below: int) -> np.ndarray:
    """Probability of 0, 1, 2, ... runs of `above` and `below` signs in random order."""
    from scipy import special

    def log_choose(n: int, k: np.ndarray) -> np.ndarray:
        chosen: np.ndarray = (
            special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
        )
        return chosen

    few = min(above, below)
    law = np.zeros(2 * few + 2)
    total = log_choose(above + below, np.array(float(above)))
    k = np.arange(1.0, few + 1)  # 2 k runs: k of each sign, beginning with either
    even = log_choose(above - 1, k - 1) + log_choose(below - 1, k - 1)
    law[2 : 2 * few + 1 : 2] = 2 * np.exp(even - total)
    with np.errstate(invalid="ignore"):  # 2 k + 1 runs: one more of the sign it begins with
        for a, b in ((above, below), (below, above)):
            fits = k <= a - 1
            odd = log_choose(a - 1, k[fits]) + log_choose(b - 1, k[fits] - 1)
            law[3 : 2 * few + 2 : 2][: len(odd)] += np.exp(odd - total)
    return law
