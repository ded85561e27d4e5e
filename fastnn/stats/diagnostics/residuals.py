"""What the tests of residuals take: a regression, or a series of residuals by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._shared.arrays import real_array
from fastnn._shared.warnings import warn_if_unsorted
from fastnn.stats.linalg.solvers import tolerance
from fastnn.stats.regression.influence import Influence

NO_AUTOCORRELATION = "the errors are not autocorrelated"
ALTERNATIVES = ("two-sided", "positive", "negative")
_LEAST = 3  # elements of a series
_MODERATE = 300  # powers of two up to which fourth powers neither over- nor underflow


def residual_series(residuals: Any, *, in_order: bool = False) -> np.ndarray:
    """Residuals as a float64 vector, of a regression of one response or given as they are.

    Those of a weighted regression are multiplied by the roots of its weights, which gives them
    one variance.

    Parameters
    ----------
    residuals : (n,) or (n, 1) array_like or RegressionResult
    in_order : bool
        Whether the order of the rows matters, so that one that is not that of time is
        warned of.

    Raises
    ------
    TypeError, ValueError
        If they are no vector of at least three finite real numbers, or are zero.
    """
    if isinstance(residuals, Influence):
        residuals = weighted_residuals(residuals, in_order=in_order)
    elif hasattr(residuals, "innovations"):
        raise TypeError(
            f"residuals must be a series or a RegressionResult, got {type(residuals).__name__}; "
            "give its innovations, which the remedy is to leave uncorrelated"
        )
    elif in_order:
        warn_if_unsorted(getattr(residuals, "index", None))
    series = real_array(residuals, "residuals").astype(np.float64)
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
    """The series times the power of two that keeps its squares from over- or underflowing.

    For statistics that do not depend on its unit; series of usual sizes come back as they are.
    """
    exponent = int(np.frexp(np.abs(series).max())[1])
    return series if abs(exponent) < _MODERATE // 2 else np.ldexp(series, -exponent)


def is_fitted(X: Any, y: Any, *, named: bool = False, add_intercept: bool = True) -> bool:
    """Whether a test or remedy is given a fitted regression for `X`, or else data.

    Parameters
    ----------
    X, y
        A RegressionResult and None, or data and response.
    named : bool
        Whether names were given, which belong to data.
    add_intercept : bool
        False belongs to data, too.

    Raises
    ------
    TypeError
        If something is given that belongs to data, or data without a response.
    """
    if not isinstance(X, Influence):
        if y is None:
            raise TypeError("y must be given unless X is a fitted regression")
        return False
    given = {"y": y is not None, "names": named, "add_intercept": not add_intercept}
    surplus = [name for name, is_given in given.items() if is_given]
    if surplus:
        raise TypeError(f"{', '.join(surplus)} must be left out where X is a fitted regression")
    return True


def least_squares(result: Any, *, in_order: bool = False, weighted: bool = True) -> Influence:
    """A regression of one response that keeps its rows and has no penalty.

    Parameters
    ----------
    result : RegressionResult
    in_order : bool
        Whether the order of the rows matters, so that one that is not that of time is
        warned of.
    weighted : bool
        Whether it may have weights.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    if not isinstance(result, Influence):
        raise TypeError(
            f"result must be what linear_regression returns, got {type(result).__name__}"
        )
    if len(result.response_names) != 1:
        raise ValueError(
            f"result has {len(result.response_names)} responses, expected one: take "
            "result.for_response(name)"
        )
    if result._fit.design is None:
        raise ValueError(
            "result was computed from streamed rows and keeps no design; fit it from arrays"
        )
    if result.ridge:
        raise ValueError(
            "result is of ridge regression, whose residuals are not a projection of the "
            "response: the law of the test is not known; fit without ridge"
        )
    if result.weights is not None and not weighted:
        raise ValueError("result is a weighted regression, expected one of equal weights")
    if in_order:
        warn_if_unsorted(result._labels.rows)
    return result


def weighted_residuals(result: Influence, *, in_order: bool = False) -> np.ndarray:
    """(n,) residuals of one response, of equal variance where the weights are right."""
    if len(result.response_names) != 1 or result._fit.design is None:
        least_squares(result)  # says what is wrong
    if in_order:
        warn_if_unsorted(result._labels.rows)
    residuals: np.ndarray = result._weighted_residuals[:, 0]
    response = result._response[:, 0] * result._root_weights
    refuse_perfect_fit(residuals, response, result.rank)
    return residuals


def regression_parts(result: Any, *, in_order: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (n,) and design (n, p) of an ordinary regression of one response.

    Raises
    ------
    TypeError, ValueError
        If it is no such regression.
    """
    result = least_squares(result, in_order=in_order, weighted=False)
    return residual_series(result), result._design.matrix


def refuse_perfect_fit(residuals: np.ndarray, response: np.ndarray, rank: int) -> None:
    """Raise ValueError where residuals are rounding errors of the response alone."""
    largest = float(np.abs(response).max())
    if float(np.abs(residuals).max()) <= tolerance(len(response), rank) * largest:
        raise ValueError(
            "the residuals are zero to rounding: the fit is perfect, which leaves nothing to "
            "test (the Durbin-Watson statistic, 0 / 0, is undefined)"
        )


def shifted(series: np.ndarray, lag: int) -> np.ndarray:
    """The series `lag` steps before, with zeros where there was nothing yet."""
    before = np.zeros_like(series)
    before[lag:] = series[:-lag]
    return before
