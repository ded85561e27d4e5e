"""Tests of the functional form of a regression: RESET, rainbow, Harvey-Collier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice, check_integer, check_number
from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.recursive import recursive_residuals
from fastnn.stats.diagnostics.residuals import centred_design, regression_parts
from fastnn.stats.diagnostics.rows import f_test, rows_in_order, sum_of_squares
from fastnn.stats.linalg.basis import auxiliary, centred_columns

_LINEAR = "the expectation of the response is linear in the regressors"


def reset(result: Any, powers: int | Sequence[int] = (2, 3), *, kind: str = "fitted") -> TestResult:
    """Ramsey's RESET: whether powers of the fit or of the regressors improve a regression.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    powers : int or sequence of int, default (2, 3)
        Powers from 2 on that are added to the regression.
    kind : {"fitted", "regressors", "princomp"}
        Powers of the fitted values, of each regressor, or of the first principal component of
        the regressors, as ``lmtest::resettest`` of R.  The principal component depends on the
        units of the regressors.

    Returns
    -------
    TestResult
        The F test of the added columns; linearly dependent columns count once.

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression, powers are below 2, the powers are combinations of the
        regressors, or there are too few observations.

    Notes
    -----
    With an intercept, variables are centred first.  The powers 2, 3, ..., m then span the same
    columns, and the test does not depend on origins; it does for powers with gaps, such as (3,),
    which are taken without centring.

    References
    ----------
    Ramsey (1969), "Tests for specification errors in classical linear least-squares regression
    analysis", Journal of the Royal Statistical Society B 31.
    """
    residuals, design = regression_parts(result)
    check_choice(kind, "kind", ("fitted", "regressors", "princomp"))
    orders = sorted({check_integer(power, "powers", 2) for power in np.ravel(powers).tolist()})
    if not orders:
        raise ValueError("powers is empty")
    centre = result.has_intercept and orders == list(range(2, orders[-1] + 1))
    bases = _scaled(_bases(result, design, kind), centre)
    added = np.column_stack([bases**order for order in orders])
    columns = np.column_stack([centred_design(result), added])
    rest, rank = auxiliary(residuals, columns)
    freedom = rank - result.rank
    if freedom < 1:
        raise ValueError("the powers are linear combinations of the regressors: nothing to test")
    total = float(residuals @ residuals)
    name = f"RESET, powers {', '.join(map(str, orders))} of {_WORDS[kind]}"
    return f_test(name, total - rest, freedom, rest, len(residuals) - rank, _LINEAR)


_WORDS = {
    "fitted": "the fitted values",
    "regressors": "the regressors",
    "princomp": "the first principal component",
}


def _bases(result: Any, design: np.ndarray, kind: str) -> np.ndarray:
    """The variables whose powers are added."""
    if kind == "fitted":
        return np.asarray(result.problem.rows.fitted[:, :1])
    columns = design[:, np.ptp(design, axis=0) > 0]
    if kind == "regressors" or not columns.shape[1]:
        return columns
    largest = np.abs(columns).max()
    centred = columns / largest - (columns / largest).mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    return (columns @ direction)[:, np.newaxis]


def _scaled(bases: np.ndarray, centre: bool) -> np.ndarray:
    """Columns of size 1, so that powers do not overflow."""
    if not bases.shape[1] or not np.ptp(bases, axis=0).any():
        raise ValueError("the variables are constant: their powers add nothing to the regression")
    columns = centred_columns(bases) if centre else bases
    largest = np.abs(columns).max(axis=0)
    scaled: np.ndarray = columns / np.where(largest > 0, largest, 1.0)
    return scaled


def rainbow(
    result: Any, *, fraction: float = 0.5, center: float = 0.5, order_by: object = None
) -> TestResult:
    """Utts's rainbow test: whether the middle rows fit better than all rows.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    fraction : float, default 0.5
        Part of the rows in the middle, between 0 and 1.
    center : float, default 0.5
        Position of the middle, between 0 and 1.
    order_by : (n,) array_like or str, optional
        Numbers or times that define the order of the rows, or the name of a regressor.

    Returns
    -------
    TestResult

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression, or the middle has too few rows.

    References
    ----------
    Utts (1982), "The rainbow test for lack of fit in regression", Communications in Statistics 11.
    The middle rows are those of ``linear_rainbow`` of statsmodels.
    """
    fraction = check_number(fraction, "fraction", low=0.0, high=1.0)
    center = check_number(center, "center", low=0.0, high=1.0)
    residuals, design = rows_in_order(result, order_by)
    n = len(residuals)
    first = math.ceil(round((center - fraction / 2) * n, 9))
    last = math.floor(round(first + fraction * n, 9))
    if first < 0 or last > n:
        raise ValueError(
            f"center {center} and fraction {fraction} reach beyond the {n} rows of the regression"
        )
    inner, rank = sum_of_squares(residuals[first:last], design[first:last], "the middle")
    total = float(residuals @ residuals)
    outside = n - (last - first)
    if outside < 1:
        raise ValueError(f"fraction must leave rows outside the middle, got {fraction}")
    return f_test(
        "rainbow test", total - inner, outside, inner, last - first - rank, _LINEAR
    )  # fmt: skip


def harvey_collier(result: Any, *, order_by: object = None) -> TestResult:
    """The Harvey-Collier test: whether the mean of the recursive residuals is zero.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    order_by : (n,) array_like or str, optional
        Numbers or times that define the order of the rows, or the name of a regressor.

    Returns
    -------
    TestResult
        The absolute value of Student's t, as in ``lmtest::harvtest`` of R.

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression, or there are fewer than three recursive residuals.

    References
    ----------
    Harvey & Collier (1977), "Testing for functional misspecification in regression analysis",
    Journal of Econometrics 6.
    """
    from scipy import stats

    recursive = recursive_residuals(*rows_in_order(result, order_by))
    m = len(recursive)
    spread = float(np.std(recursive, ddof=1))
    statistic = abs(float(recursive.mean())) * math.sqrt(m) / spread
    pvalue = 2 * float(stats.t.sf(statistic, m - 1))
    return TestResult(statistic, pvalue, "Harvey-Collier test", f"t({m - 1})", _LINEAR, "two-sided")
