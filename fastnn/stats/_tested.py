"""What a test of autocorrelation looks at: residuals in their order, and the regressors' space."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import qr

from fastnn._data import real_array
from fastnn.stats._inputs import is_table, read_data, refuse_not_finite
from fastnn.stats._solvers import tolerance

_TIME_INDEXES = ("DatetimeIndex", "PeriodIndex", "TimedeltaIndex")
_LONGEST_LAG = 12  # at which a regressor is looked at as a lagged response
_CONSTANT_LEFT = 1e-18  # of the squared length of a vector of ones


@dataclass(frozen=True)
class Tested:
    """A fitted regression in the order of its observations.

    Attributes
    ----------
    residuals : (n,) array
        Multiplied by the square roots of the weights, if there are any, as the columns are.
    basis : (n, rank) array, C-contiguous
        Orthonormal; its columns span those of the design.
    has_intercept : bool
        Whether a constant is in the span.
    """

    residuals: np.ndarray
    basis: np.ndarray
    has_intercept: bool

    @property
    def n_regressors(self) -> int:
        """The rank, less one for an intercept."""
        return self.basis.shape[1] - self.has_intercept


def is_result(value: Any) -> bool:
    """Whether `value` is a fitted regression, not a matrix."""
    return hasattr(value, "residuals") and hasattr(value, "design")


def of_result(result: Any, order_by: Any, allow_lagged_response: bool) -> Tested:
    """What is tested of a `RegressionResult`."""
    if result.design is None:
        raise ValueError(
            "the result was computed from streamed rows and keeps no design, which the law of "
            "the statistic depends on; fit from arrays, or use durbin_watson_bounds"
        )
    if getattr(result, "ridge", 0):
        raise ValueError(
            "the result is of ridge regression, whose residuals are not a projection of y: "
            "the law of the statistic is not known; fit without ridge"
        )
    residuals = np.asarray(result.residuals, np.float64)
    if residuals.ndim != 1:
        raise ValueError(
            f"the result must have one response, got residuals of shape {residuals.shape}; "
            "fit each response by itself"
        )
    index = getattr(result.residuals, "index", None)
    design, response = np.asarray(result.design), np.asarray(result.response, np.float64)
    order = _order(order_by, len(residuals), index, None)
    if order is not None:
        residuals, design, response = residuals[order], design[order], response[order]
    if not allow_lagged_response:
        _refuse_lagged_response(design, response, result.names)
    weights = result.weights
    if weights is not None:
        root = np.sqrt(np.asarray(weights, np.float64))
        root = root if order is None else root[order]
        residuals, response = residuals * root, response * root
        design = design * root[:, np.newaxis]
    basis = orthonormal_basis(design)
    _refuse_perfect_fit(residuals, response, basis.shape[1])
    return Tested(residuals, basis, has_constant(basis))


def of_arrays(
    X: Any, y: Any, add_intercept: bool, order_by: Any, allow_lagged_response: bool
) -> Tested:
    """What is tested of the regression of y on X."""
    data = read_data(X, y, names=None, weights=None, add_intercept=add_intercept, copy=True)
    design, response = data.design.matrix, data.response
    if response.shape[1] != 1:
        raise ValueError(f"y must have one column, got {response.shape[1]}")
    if not (np.isfinite(design).all() and np.isfinite(response).all()):
        refuse_not_finite(data)
    response = response[:, 0]
    order = _order(order_by, len(response), _index(X, y), X)
    if order is not None:
        design, response = design[order], response[order]
    if not allow_lagged_response:
        _refuse_lagged_response(design, response, data.labels.columns)
    basis = orthonormal_basis(design)
    residuals = response - basis @ (basis.T @ response)
    residuals -= basis @ (basis.T @ residuals)  # what rounding left of the regressors
    _refuse_perfect_fit(residuals, response, basis.shape[1])
    return Tested(residuals, basis, has_constant(basis))


def of_design(X: Any, add_intercept: bool) -> np.ndarray:
    """The basis alone, where there is no response."""
    n = X.shape[0] if hasattr(X, "shape") and len(X.shape) else np.asarray(X).shape[0]
    data = read_data(
        X, np.zeros(n), names=None, weights=None, add_intercept=add_intercept, copy=True
    )
    if not np.isfinite(data.design.matrix).all():
        refuse_not_finite(data)
    return orthonormal_basis(data.design.matrix)


def orthonormal_basis(design: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span those of the design, as many as its rank.

    Raises
    ------
    ValueError
        If fewer than two directions are left to the residuals.
    """
    n, p = design.shape
    largest = np.abs(design).max(axis=0)
    # By powers of two, which round nothing; then to about unit length.
    scaled = design * np.exp2(-np.frexp(np.where(largest > 0, largest, 1.0))[1])
    length = np.linalg.norm(scaled, axis=0)
    scaled /= np.where(length > 0, length, 1.0)
    Q, R, _ = qr(scaled, mode="economic", pivoting=True, overwrite_a=True, check_finite=False)
    rank = int(np.sum(np.abs(np.diag(R)) > tolerance(n, p)))
    if n - rank < 2:
        raise ValueError(
            f"X must have at least two rows more than independent columns (the intercept "
            f"included), got {n} rows and rank {rank}: the statistic has no distribution"
        )
    if rank == 0:
        raise ValueError("X must have a column that is not zero, got none")
    return np.ascontiguousarray(Q[:, :rank])


def has_constant(basis: np.ndarray) -> bool:
    """Whether a vector of ones is in the span of the basis."""
    rest = 1.0 - basis @ basis.sum(axis=0)
    return bool(rest @ rest <= _CONSTANT_LEFT * len(basis))


# --------------------------------------------------------------------------------- order


def _index(X: Any, y: Any) -> Any:
    """The index of the first of the two that has one."""
    for values in (X, y):
        if hasattr(values, "to_numpy") and hasattr(values, "index"):
            return values.index
    return None


def _order(order_by: Any, n: int, index: Any, X: Any) -> np.ndarray | None:
    """The order to bring observations into; None where they are to stay as they are."""
    if order_by is None:
        if type(index).__name__ in _TIME_INDEXES and not index.is_monotonic_increasing:
            warnings.warn(
                "the time index of the data is not sorted, and the test takes rows in the order "
                "they have; sort them (X.sort_index()) or pass order_by=X.index",
                UserWarning,
                stacklevel=4,
            )
        return None
    keys = _keys(order_by, X)
    if keys.shape != (n,):
        raise ValueError(f"order_by must have shape ({n},), got {keys.shape}")
    if np.isnat(keys).any() if keys.dtype.kind in "mM" else np.isnan(keys).any():
        raise ValueError("order_by must not hold missing values")
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    ties = int(np.sum(ordered[1:] == ordered[:-1]))
    if ties:
        warnings.warn(
            f"order_by has {ties} ties; the statistic depends on the order of tied rows, which "
            "is taken as it is",
            UserWarning,
            stacklevel=4,
        )
    return order


def _keys(order_by: Any, X: Any) -> np.ndarray:
    """Numbers or times to sort by: an array, or a column of X by its name."""
    if isinstance(order_by, str):
        if not is_table(X):
            raise TypeError("order_by must be an array where X has no named columns, got a name")
        if order_by not in X.columns:
            raise ValueError(f"order_by must name a column of X, got {order_by!r}")
        order_by = X[order_by]
    if type(order_by).__name__ == "PeriodIndex":
        order_by = order_by.to_timestamp()
    keys = np.asarray(order_by)
    return keys if keys.dtype.kind in "mM" else real_array(keys, "order_by")


# ------------------------------------------------------------------------------ refusals


def _refuse_lagged_response(design: np.ndarray, response: np.ndarray, names: Any) -> None:
    """Raise ValueError if a column is the response of an earlier row."""
    n = len(response)
    for lag in range(1, min(_LONGEST_LAG, n // 2) + 1):
        earlier = response[: n - lag]
        alike = np.flatnonzero((design[lag : lag + 3] == earlier[:3, np.newaxis]).all(axis=0))
        for j in alike:
            if np.array_equal(design[lag:, j], earlier) and np.ptp(earlier) > 0:
                raise ValueError(
                    f"column {names[j]!r} of X is the response of {lag} "
                    f"row{'s' if lag > 1 else ''} earlier: the Durbin-Watson statistic is then "
                    "biased towards 2 and its law another; use durbin_h, or pass "
                    "allow_lagged_response=True to see the test nevertheless"
                )


def _refuse_perfect_fit(residuals: np.ndarray, response: np.ndarray, rank: int) -> None:
    """Raise ValueError where residuals are rounding errors of the response alone."""
    largest = float(np.abs(response).max())
    n = len(response)
    if float(np.abs(residuals).max()) <= tolerance(n, rank) * largest:
        raise ValueError(
            "the residuals are zero to rounding: the fit is perfect, and the Durbin-Watson "
            "statistic, 0 / 0, is undefined"
        )
