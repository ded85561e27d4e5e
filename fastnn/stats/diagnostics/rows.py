"""Rows of a regression in a chosen order, and F tests of parts of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._shared.frames import local
from fastnn._shared.numbers import check_number
from fastnn.stats.diagnostics.durbin_watson.order import order_of
from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.residuals import (
    centred_design,
    least_squares,
    moderate,
    residual_series,
)
from fastnn.stats.linalg.basis import auxiliary, orthonormal_basis
from fastnn.stats.regression.inputs import check_alignment


def rows_in_order(result: Any, order_by: object = None) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (n,) and an orthonormal basis (n, rank) of the design, ordered by `order_by`.

    Raises
    ------
    TypeError, ValueError
        If `result` is no unweighted regression of one response, or `order_by` has other rows.
    """
    result = least_squares(result, in_order=order_by is None, weighted=False)
    residuals = moderate(residual_series(result))
    basis = orthonormal_basis(centred_design(result))
    if order_by is None:
        return residuals, basis
    order_by = local(result.problem.labels.key(order_by))
    check_alignment(result.problem.labels.rows, order_by, "order_by")
    order = order_of(order_by, result.problem.rows.design.matrix, result.names)
    return residuals[order], basis[order]


def sum_of_squares(residuals: np.ndarray, columns: np.ndarray, part: str) -> tuple[float, int]:
    """Residual sum of squares of a regression on some rows, and its rank.

    Raises
    ------
    ValueError
        If the rows determine the coefficients and leave no residual.
    """
    n, k = columns.shape
    if n <= k:
        raise ValueError(f"{part} has {n} rows, expected more than the {k} coefficients")
    rest, rank = auxiliary(residuals, columns)
    if rest <= 1e-28 * float(residuals @ residuals):
        raise ValueError(f"{part} is fitted perfectly, which leaves no variance to compare with")
    return rest, rank


def split_at(point: float, n: int) -> int:
    """Number of rows before a break: `point` rows, or that part of n rows if it is below 1."""
    point = check_number(point, "point", low=0.0, high=float(n))
    if point >= 1 and point != int(point):
        raise ValueError(f"point must be a number of rows or a part below 1, got {point}")
    return int(point) if point >= 1 else int(np.floor(round(point * n, 9)))


def f_test(
    name: str, explained: float, freedom: int, rest: float, freedom_rest: int, null: str
) -> TestResult:
    """The F test of two sums of squares."""
    from scipy import stats

    if freedom_rest < 1:
        raise ValueError(f"{name}: too few observations, no degrees of freedom remain")
    if not rest > 0:
        raise ValueError(f"{name}: the extended regression fits perfectly")
    statistic = max(explained, 0.0) / freedom / (rest / freedom_rest)
    pvalue = float(stats.f.sf(statistic, freedom, freedom_rest))
    return TestResult(statistic, pvalue, name, f"F({freedom}, {freedom_rest})", null)
