"""Tests of constant coefficients: CUSUM and Chow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice
from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.recursive import recursive_residuals
from fastnn.stats.diagnostics.rows import f_test, rows_in_order, split_at, sum_of_squares
from fastnn.stats.linalg.basis import has_constant

_CONSTANT = "the coefficients are the same in all rows"


@dataclass(frozen=True)
class CusumResult(TestResult):
    """The result of `cusum`: a `TestResult` with the process and its boundary.

    Attributes
    ----------
    statistic, pvalue : float
    name, distribution, null, alternative : str
        As in `TestResult`.
    process : (m,) array
        Cumulated residuals, in standard deviations times the root of their number.
    boundary : (m,) array
        The test rejects at level 0.05 where the absolute process exceeds it.
    """

    process: Any = None
    boundary: Any = None


def cusum(result: Any, *, kind: str = "recursive", order_by: object = None) -> CusumResult:
    """Test the constancy of coefficients by cumulated residuals.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    kind : {"recursive", "ols"}
        Recursive residuals, with the boundary ``a (1 + 2 t)``, or least-squares residuals, with a
        constant boundary.
    order_by : (n,) array_like or str, optional
        Numbers or times that define the order of the rows, or the name of a regressor.

    Returns
    -------
    CusumResult
        The statistic is the largest ``|W(t)| / (1 + 2 t)``, or the largest ``|W(t)|``.  Both laws
        are asymptotic.

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression, has fewer than three recursive residuals, or has no
        intercept for ``"ols"``: the residuals then have no mean of zero.

    References
    ----------
    Brown, Durbin & Evans (1975), "Techniques for testing the constancy of regression relationships
    over time".  Ploberger & Krämer (1992), "The CUSUM test with OLS residuals", Econometrica 60.
    The p-value for recursive residuals is the probability that a Brownian motion crosses one line,
    twice, as in ``strucchange`` of R; 5 % is at 0.948.
    """
    from scipy import special

    check_choice(kind, "kind", ("recursive", "ols"))
    residuals, basis = rows_in_order(result, order_by)
    if kind == "recursive":
        series = recursive_residuals(residuals, basis)
        spread = float(np.std(series, ddof=1))
        slope, critical = 2.0, 0.947898
    else:
        if not has_constant(basis):
            raise ValueError('kind="ols" needs a regression with an intercept')
        series = residuals
        spread = float(np.sqrt(series @ series / (len(series) - basis.shape[1])))
        slope, critical = 0.0, 1.358099
    m = len(series)
    process = np.cumsum(series) / (spread * m**0.5)
    line = 1 + slope * np.arange(1, m + 1) / m
    statistic = float(np.max(np.abs(process) / line))
    pvalue = _crossing(statistic) if slope else float(special.kolmogorov(statistic))
    law = "a Brownian motion" if slope else "a Brownian bridge"
    return CusumResult(
        statistic, pvalue, f"CUSUM test, {kind} residuals", law, _CONSTANT,
        process=process, boundary=critical * line,
    )  # fmt: skip


def _crossing(a: float) -> float:
    """Probability that |W(t)| exceeds a (1 + 2 t) for some t up to 1, from above for small a."""
    from scipy.special import ndtr

    one = ndtr(-3 * a) + np.exp(-4 * a * a) * (ndtr(a) + ndtr(5 * a) - 1)
    one -= np.exp(-16 * a * a) * ndtr(-a)
    return float(min(1.0, 2 * one))


def chow(
    result: Any, point: float = 0.5, *, form: str = "break", order_by: object = None
) -> TestResult:
    """Chow's test of a break of the coefficients at a known row.

    Parameters
    ----------
    result : RegressionResult
        Result of an unweighted regression of one response.
    point : float, default 0.5
        Number of rows before the break, or their part of all rows if it is below 1.
    form : {"break", "forecast"}
        "break" compares the fits before and after the break with one fit.  "forecast" tests the
        rows after the break against the fit before it, and needs no more than one such row.
    order_by : (n,) array_like or str, optional
        Numbers or times that define the order of the rows, or the name of a regressor.

    Returns
    -------
    TestResult

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression, or a part has too few rows.

    References
    ----------
    Chow (1960), "Tests of equality between sets of coefficients in two linear regressions",
    Econometrica 28.
    """
    check_choice(form, "form", ("break", "forecast"))
    residuals, basis = rows_in_order(result, order_by)
    n = len(residuals)
    before = split_at(point, n)
    total = float(residuals @ residuals)
    first, rank = sum_of_squares(residuals[:before], basis[:before], "the part before the break")
    name = f"Chow test, {form} after {before} rows"
    if form == "forecast":
        if before >= n:
            raise ValueError(f"point must leave rows after the break, got {point}")
        return f_test(name, total - first, n - before, first, before - rank, _CONSTANT)
    second, rank_after = sum_of_squares(
        residuals[before:], basis[before:], "the part after the break"
    )
    freedom = rank + rank_after - basis.shape[1]
    if freedom < 1:
        raise ValueError("the parts share no coefficients that could differ")
    rest = first + second
    return f_test(name, total - rest, freedom, rest, n - rank - rank_after, _CONSTANT)
