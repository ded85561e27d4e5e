"""Fitting linear regressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn._checks import check_choice, check_flag, check_number
from fastnn.stats._covariance import CovarianceType
from fastnn.stats._fit import fit_data
from fastnn.stats._inputs import read_data
from fastnn.stats._result import RegressionResult
from fastnn.stats._solvers import METHODS


def linear_regression(
    X: Any,
    y: Any,
    *,
    add_intercept: bool = True,
    weights: Any = None,
    method: str = "qr",
    names: Sequence[str] | None = None,
    ridge: float = 0.0,
    cov_type: str = "classical",
    lags: int | None = None,
    kernel: str | None = None,
    copy: bool | None = None,
) -> RegressionResult:
    """Fit y = X b by least squares.

    Parameters
    ----------
    X : (n, k) or (n,) array_like, or DataFrame
        Real numbers of any dtype.
    y : (n,) or (n, m) array_like, Series or DataFrame
        One response, or several that are fitted at once.

    Returns
    -------
    RegressionResult
    """
    cov = CovarianceType.checked(cov_type, lags, kernel)
    method = check_choice(method, "method", METHODS)
    ridge = check_number(ridge, "ridge", low=0.0)
    data = read_data(
        X,
        y,
        names=names,
        weights=weights,
        add_intercept=check_flag(add_intercept, "add_intercept"),
        copy=None if copy is None else check_flag(copy, "copy"),
    )
    return RegressionResult(fit_data(data, method, ridge), cov)
