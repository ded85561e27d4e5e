"""What the tests of residuals take: a regression, or a series of residuals by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._data import real_array

NO_AUTOCORRELATION = "the errors are not autocorrelated"
ALTERNATIVES = ("two-sided", "positive", "negative")


def residual_series(residuals: Any, name: str = "residuals", least: int = 3) -> np.ndarray:
    """Residuals as a float64 vector: of a regression of one response, or given as they are.

    Raises
    ------
    TypeError, ValueError
        If they are no vector of at least `least` finite real numbers, or all are zero.
    """
    values = getattr(residuals, "residuals", residuals)
    series = real_array(values, name).astype(np.float64)
    if series.ndim == 2 and series.shape[1] == 1:
        series = series[:, 0]
    if series.ndim != 1:
        raise ValueError(f"{name} must be one series, got an array of shape {series.shape}")
    if len(series) < least:
        raise ValueError(f"{name} has {len(series)} elements, expected at least {least}")
    if not np.isfinite(series).all():
        bad = int(np.count_nonzero(~np.isfinite(series)))
        raise ValueError(f"{name} has {bad} elements that are not finite")
    if not series.any():
        raise ValueError(f"{name} are all zero: a perfect fit leaves nothing to test")
    return series


def regression_parts(result: Any) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (n,) and design (n, p) of an ordinary regression of one response.

    Raises
    ------
    TypeError, ValueError
        If it is no such regression.
    """
    if not hasattr(result, "design") or not hasattr(result, "residuals"):
        raise TypeError(
            f"result must be what linear_regression returns, got {type(result).__name__}"
        )
    if result.design is None:
        raise ValueError("result was fitted from blocks of rows and does not hold its design")
    if getattr(result, "weights", None) is not None:
        raise ValueError("result is a weighted regression; this test needs equal weights")
    if result.ridge:
        raise ValueError("result is a ridge regression; this test needs ordinary least squares")
    residuals = residual_series(result)
    return residuals, np.asarray(result.design, np.float64)


def auxiliary(y: np.ndarray, X: np.ndarray) -> tuple[float, int]:
    """The residual sum of squares of y regressed on X, and the rank of X.

    Columns are scaled to unit length first, so that the rank does not depend on units.
    """
    from scipy import linalg

    norms = np.linalg.norm(X, axis=0)
    X = X / np.where(norms > 0, norms, 1.0)
    tolerance = max(X.shape) * np.finfo(np.float64).eps
    solution, _, rank, _ = linalg.lstsq(X, y, cond=tolerance, lapack_driver="gelsy")
    residuals = y - X @ solution
    return float(residuals @ residuals), int(rank)


def lagged(series: np.ndarray, lag: int) -> np.ndarray:
    """The series `lag` steps before, with zeros where there was nothing yet."""
    before = np.zeros_like(series)
    before[lag:] = series[:-lag]
    return before


def check_alternative(alternative: str) -> str:
    """Raise ValueError unless it is one of `ALTERNATIVES`."""
    if alternative not in ALTERNATIVES:
        raise ValueError(f"alternative must be one of {ALTERNATIVES}, got {alternative!r}")
    return alternative
