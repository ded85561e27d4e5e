"""Tests of residuals against unequal variance (heteroskedasticity)."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.residuals import moderate, regression_parts
from fastnn.stats.linalg.basis import auxiliary, centred_columns
from fastnn.stats.regression.inputs import check_alignment, read_columns, refuse_bad_values

_EQUAL_VARIANCE = "the errors have one variance"


def breusch_pagan(result: Any, Z: Any = None, *, studentize: bool = True) -> TestResult:
    """Test a regression for heteroskedasticity that depends on given variables.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    Z : (n, q) array_like, optional
        Variables, without a column of ones; by default the regressors.
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
        check_alignment(result._labels.rows, Z, "Z")
        columns = read_columns(Z, "Z", len(residuals))
        refuse_bad_values(columns, "Z")
    name = "Breusch-Pagan test" + (", studentized" if studentize else "")
    return variance_test(name, residuals, columns, studentize)


def white(result: object) -> TestResult:
    """White's test for heteroskedasticity that depends on the regressors, to second order.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.

    Returns
    -------
    TestResult
        The statistic is n R^2 of the squared residuals on the regressors, their squares and
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
    # With a constant, products of centred columns span the same space and cancel less.
    centred = centred_columns(design)
    products = [
        centred[:, i] * centred[:, j]
        for i, j in combinations_with_replacement(range(design.shape[1]), 2)
    ]
    columns = np.column_stack([centred, *products])
    return variance_test("White test", residuals, columns, True)


def variance_test(
    name: str, residuals: np.ndarray, columns: np.ndarray, studentize: bool
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
    statistic = n * explained / total if studentize else explained / 2
    pvalue = float(stats.chi2.sf(statistic, freedom))
    return TestResult(statistic, pvalue, name, f"chi2({freedom})", _EQUAL_VARIANCE)
