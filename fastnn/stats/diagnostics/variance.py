"""Tests of residuals against unequal variance (heteroskedasticity)."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from fastnn._shared.frames import local
from fastnn._shared.numbers import check_choice, check_flag, check_integer, check_number
from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.residuals import moderate, regression_parts, residual_series
from fastnn.stats.diagnostics.rows import f_test, rows_in_order, split_at, sum_of_squares
from fastnn.stats.linalg.basis import auxiliary, centred_columns
from fastnn.stats.regression.inputs import check_alignment, read_columns, refuse_bad_values

_EQUAL_VARIANCE = "the errors have one variance"


def breusch_pagan(result: Any, Z: Any = None, *, studentize: bool = True) -> TestResult:
    """Test a regression for heteroskedasticity that depends on given variables.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    Z : (n, q) array_like, str or list of str, optional
        Variables, without a column of ones, or their names in the data of a formula; by default
        the regressors.
    studentize : bool, default True
        Whether the statistic is Koenker's, n R^2 of the squared residuals on Z, which is valid
        without normal errors; otherwise that of Breusch and Pagan, half of the explained sum of
        squares.

    Returns
    -------
    TestResult

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression, or Z is constant or has another number of rows.

    References
    ----------
    Breusch & Pagan (1979), "A simple test for heteroscedasticity and random coefficient
    variation".  Koenker (1981), "A note on studentizing a test for heteroscedasticity".
    """
    residuals, design = regression_parts(result)
    columns = design
    if Z is not None:
        Z = local(result.problem.labels.by_name(Z, "Z"))
        if isinstance(Z, tuple):
            Z = np.column_stack(Z)
        check_alignment(result.problem.labels.rows, Z, "Z")
        columns = read_columns(Z, "Z", len(residuals))
        refuse_bad_values(columns, "Z")
    name = "Breusch-Pagan test" + (", studentized" if studentize else "")
    return variance_test(name, residuals, columns, studentize)


def white(result: object, *, cross_terms: bool = True, form: str = "chi2") -> TestResult:
    """White's test for heteroskedasticity that depends on the regressors, to second order.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    cross_terms : bool, default True
        Whether products of different regressors are among the variables.
    form : {"chi2", "f"}, default "chi2"
        n R^2 of the auxiliary regression, or its F statistic.

    Returns
    -------
    TestResult
        The statistic is n R^2 or F of the squared residuals on the regressors, their squares and
        products.

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
    check_flag(cross_terms, "cross_terms")
    check_choice(form, "form", ("chi2", "f"))
    # With a constant, products of centred columns span the same space and cancel less.
    centred = centred_columns(design)
    products = [
        centred[:, i] * centred[:, j]
        for i, j in combinations_with_replacement(range(design.shape[1]), 2)
        if cross_terms or i == j
    ]
    columns = np.column_stack([centred, *products])
    name = "White test" + ("" if cross_terms else " without cross terms")
    return variance_test(name, residuals, columns, True, form)


def variance_test(
    name: str, residuals: np.ndarray, columns: np.ndarray, studentize: bool, form: str = "chi2"
) -> TestResult:
    """Regress the squared residuals on columns and a constant; see `breusch_pagan`."""
    from scipy import stats

    n = len(residuals)
    residuals = moderate(residuals)
    squares = residuals**2 / np.mean(residuals**2)
    rest, rank = auxiliary(squares, np.column_stack([np.ones(n), centred_columns(columns)]))
    freedom = rank - 1
    if freedom < 1:
        raise ValueError("the variables are constant: the variance cannot depend on them")
    if rank >= n:
        raise ValueError(f"{n} observations are too few for {rank} columns")
    total = float(np.sum((squares - 1) ** 2))
    if total == 0:  # residuals of one size: nothing to explain
        return TestResult(0.0, 1.0, name, f"chi2({freedom})", _EQUAL_VARIANCE)
    explained = max(total - rest, 0.0)
    if form == "f":
        return f_test(name, explained, freedom, rest, n - rank, _EQUAL_VARIANCE)
    statistic = n * explained / total if studentize else explained / 2
    pvalue = float(stats.chi2.sf(statistic, freedom))
    return TestResult(statistic, pvalue, name, f"chi2({freedom})", _EQUAL_VARIANCE)


def goldfeld_quandt(
    result: object,
    *,
    point: float = 0.5,
    fraction: float = 0.0,
    alternative: str = "greater",
    order_by: object = None,
) -> TestResult:
    """The Goldfeld-Quandt test: the variance of the last rows over that of the first rows.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    point : float, default 0.5
        Number of rows before the split, or their part of all rows if it is below 1.
    fraction : float, default 0
        Part of all rows that is left out in the middle, from 0 to below 1.
    alternative : {"greater", "less", "two-sided"}
        Whether the variance increases, decreases, or changes.
    order_by : (n,) array_like or str, optional
        Numbers or times that define the order of the rows, or the name of a regressor.

    Returns
    -------
    TestResult
        The law is exact for normal errors.

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression, or a part has too few rows.

    References
    ----------
    Goldfeld & Quandt (1965), "Some tests for homoskedasticity", Journal of the American
    Statistical Association 60.  Options as ``lmtest::gqtest`` of R.
    """
    from scipy import stats

    check_choice(alternative, "alternative", ("greater", "less", "two-sided"))
    fraction = check_number(fraction, "fraction", low=0.0, high=1.0)
    residuals, basis = rows_in_order(result, order_by)
    n = len(residuals)
    place = point * n if point < 1 else split_at(point, n)
    first = max(int(np.floor(round(place - fraction * n / 2, 9))), 0)
    last = min(int(np.ceil(round(place + fraction * n / 2 + 0.01, 9))) - 1, n)
    before, rank = sum_of_squares(residuals[:first], basis[:first], "the first part")
    after, rank_after = sum_of_squares(residuals[last:], basis[last:], "the last part")
    freedoms = n - last - rank_after, first - rank
    statistic = after / freedoms[0] / (before / freedoms[1])
    greater, less = (
        float(stats.f.sf(statistic, *freedoms)),
        float(stats.f.cdf(statistic, *freedoms)),
    )
    pvalue = {"greater": greater, "less": less, "two-sided": 2 * min(greater, less)}[alternative]
    law = f"F({freedoms[0]}, {freedoms[1]})"
    return TestResult(
        statistic, min(pvalue, 1.0), "Goldfeld-Quandt test", law, _EQUAL_VARIANCE, alternative
    )


def arch_lm(residuals: object, lags: int = 1, *, form: str = "chi2") -> TestResult:
    """Engle's test of autoregressive conditional heteroskedasticity.

    Squared residuals are regressed on a constant and their own lags 1 to `lags`.

    Parameters
    ----------
    residuals : (n,) array_like or RegressionResult
    lags : int, default 1
    form : {"chi2", "f"}, default "chi2"
        (n - lags) R^2, or the F statistic.

    Returns
    -------
    TestResult

    Raises
    ------
    TypeError, ValueError
        If the residuals are not a series, or are too few for this number of lags.

    References
    ----------
    Engle (1982), "Autoregressive conditional heteroscedasticity with estimates of the variance of
    United Kingdom inflation", Econometrica 50.
    """
    from scipy import stats

    check_choice(form, "form", ("chi2", "f"))
    series = moderate(residual_series(residuals, in_order=True))
    lags = check_integer(lags, "lags", 1)
    m = len(series) - lags
    if m <= lags + 1:
        raise ValueError(f"lags is {lags}, but {len(series)} residuals allow fewer")
    squares = series**2 / np.mean(series**2)
    earlier = np.column_stack([squares[lags - lag : lags - lag + m] for lag in range(1, lags + 1)])
    later = squares[lags:] - squares[lags:].mean()
    rest, rank = auxiliary(later, np.column_stack([np.ones(m), centred_columns(earlier)]))
    total, freedom = float(later @ later), rank - 1
    name, null = f"ARCH test, lags 1 to {lags}", "the variance does not depend on earlier errors"
    if freedom < 1 or total <= 1e-28 * m:
        raise ValueError("the squared residuals are constant: their lags explain nothing")
    if form == "f":
        return f_test(name, total - rest, freedom, rest, m - rank, null)
    statistic = max(m * (1 - rest / total), 0.0)
    return TestResult(
        statistic, float(stats.chi2.sf(statistic, freedom)), name, f"chi2({freedom})", null
    )
