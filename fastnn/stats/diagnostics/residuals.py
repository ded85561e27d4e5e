"""Input of the tests of residuals: a fitted regression, or a series of residuals."""

from __future__ import annotations

import numpy as np

from fastnn._shared.arrays import as_real
from fastnn._shared.frames import local
from fastnn._shared.warnings import warn_if_unsorted
from fastnn.stats.linalg.basis import centred_columns
from fastnn.stats.linalg.solvers import PERFECT
from fastnn.stats.regression.influence import Influence

NO_AUTOCORRELATION = "the errors are not autocorrelated"
ALTERNATIVES = ("two-sided", "positive", "negative")
_LEAST = 3  # smallest number of elements of a series
_MODERATE = 300  # binary exponents up to which no square over- or underflows


def residual_series(residuals: object, *, in_order: bool = False) -> np.ndarray:
    """Residuals as a float64 vector, from a regression of one response or from an array.

    Residuals of a weighted regression are multiplied by the square roots of the weights, which
    gives them equal variances.

    Parameters
    ----------
    residuals : (n,) or (n, 1) array_like or RegressionResult
    in_order : bool
        Whether the order of the rows matters, so that an unsorted time index causes a warning.

    Raises
    ------
    TypeError, ValueError
        If they are not a vector of at least three finite real numbers, or are all zero.
    """
    if isinstance(residuals, Influence):
        residuals = weighted_residuals(residuals, in_order=in_order)
    elif hasattr(residuals, "innovations"):
        raise TypeError(
            f"residuals must be a series or a RegressionResult, got {type(residuals).__name__}; "
            "pass its innovations, which are uncorrelated if the remedy works"
        )
    else:
        residuals = local(residuals)
        if in_order:
            warn_if_unsorted(getattr(residuals, "index", None))
    series = as_real(residuals, "residuals").astype(np.float64)
    if series.ndim == 2 and series.shape[1] == 1:
        series = series[:, 0]
    if series.ndim != 1:
        raise ValueError(f"residuals must be one series, got an array of shape {series.shape}")
    if len(series) < _LEAST:
        raise ValueError(f"residuals has {len(series)} elements, expected at least {_LEAST}")
    if not np.isfinite(series).all():
        bad = int(np.count_nonzero(~np.isfinite(series)))
        raise ValueError(f"residuals has {bad} elements that are not finite")
    if not series.any():
        raise ValueError("residuals are all zero: a perfect fit leaves nothing to test")
    return series


def moderate(series: np.ndarray) -> np.ndarray:
    """The series multiplied by a power of two, so that squares neither over- nor underflow.

    For statistics that do not depend on units; a series of ordinary size is returned unchanged.
    """
    exponent = int(np.frexp(np.abs(series).max())[1])
    return series if abs(exponent) < _MODERATE // 2 else np.ldexp(series, -exponent)


def is_fitted(X: object, y: object, *, named: bool = False, add_intercept: bool = True) -> bool:
    """Whether `X` is a fitted regression, and not data.

    Parameters
    ----------
    X, y
        A RegressionResult and None, or regressors and response.
    named : bool
        Whether the caller passed names, which are for data only.
    add_intercept : bool
        False is for data only, too.

    Raises
    ------
    TypeError
        If an argument for data comes with a fitted regression, or data come without a response.
    """
    if not isinstance(X, Influence):
        if y is None:
            raise TypeError("y must be given unless X is a fitted regression")
        return False
    for_data = {"y": y is not None, "names": named, "add_intercept": not add_intercept}
    surplus = [name for name, is_present in for_data.items() if is_present]
    if surplus:
        raise TypeError(f"{', '.join(surplus)} must be left out where X is a fitted regression")
    return True


def least_squares(result: object, *, in_order: bool = False, weighted: bool = True) -> Influence:
    """Check for a regression of one response with stored rows and without a penalty.

    Parameters
    ----------
    result : RegressionResult
    in_order : bool
        Whether the order of the rows matters, so that an unsorted time index causes a warning.
    weighted : bool
        Whether weights are allowed.

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression.
    """
    if not isinstance(result, Influence):
        raise TypeError(
            f"result must be what linear_regression returns, got {type(result).__name__}"
        )
    if len(result.response_names) != 1:
        raise ValueError(
            f"result has {len(result.response_names)} responses, expected one: use "
            "result.for_response(name)"
        )
    if result.problem.design is None:
        raise ValueError(
            "result was computed from streamed rows and stores no design; fit it from arrays"
        )
    if result.ridge:
        raise ValueError(
            "result is a ridge regression, whose residuals are not a projection of the "
            "response: the distribution of the test is not known; fit without ridge"
        )
    if result.weights is not None and not weighted:
        raise ValueError("result is a weighted regression, expected one of equal weights")
    if in_order:
        warn_if_unsorted(result.problem.labels.rows)
    return result


def weighted_residuals(result: Influence, *, in_order: bool = False) -> np.ndarray:
    """(n,) residuals of one response, multiplied by the square roots of the weights."""
    if len(result.response_names) != 1 or result.problem.design is None:
        least_squares(result)  # raises the error
    if in_order:
        warn_if_unsorted(result.problem.labels.rows)
    residuals: np.ndarray = result.problem.rows.weighted_residuals[:, 0]
    response = result.problem.rows.response[:, 0] * result.problem.rows.root_weights
    refuse_perfect_fit(residuals, response)
    return residuals


def regression_parts(result: object, *, in_order: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (n,) and design (n, p) of an ordinary regression of one response.

    Raises
    ------
    TypeError, ValueError
        If `result` is no such regression.
    """
    result = least_squares(result, in_order=in_order, weighted=False)
    return residual_series(result), result.problem.rows.design.matrix


def centred_design(result: Influence) -> np.ndarray:
    """Columns with the span of the design; a constant and centred columns where it has one."""
    design = result.problem.rows.design.matrix
    if not result.has_intercept:
        return design
    return np.column_stack([np.ones(len(design)), centred_columns(design)])


def refuse_perfect_fit(residuals: np.ndarray, response: np.ndarray) -> None:
    """Raise ValueError if the residuals are rounding errors of the response."""
    largest = float(np.abs(response).max())
    size = np.linalg.norm(np.abs(residuals) / (largest or 1.0))
    if size <= PERFECT * np.linalg.norm(response / (largest or 1.0)):
        raise ValueError(
            "the residuals are zero to rounding: the fit is perfect, which leaves nothing to "
            "test (the Durbin-Watson statistic, 0 / 0, is undefined)"
        )


def shifted(series: np.ndarray, lag: int) -> np.ndarray:
    """The series delayed by `lag` steps; the first elements are zero."""
    before = np.zeros_like(series)
    before[lag:] = series[:-lag]
    return before
