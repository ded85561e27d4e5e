"""What a test of autocorrelation looks at: residuals in their order, and the regressors' space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.arrays import real_array
from fastnn._shared.warnings import warn, warn_if_unsorted
from fastnn.stats.diagnostics.residuals import least_squares, refuse_perfect_fit
from fastnn.stats.linalg.basis import orthonormal_basis
from fastnn.stats.regression.influence import Influence
from fastnn.stats.regression.inputs import is_table, read_data, read_matrix, refuse_not_finite

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


def of_result(result: Influence, order_by: Any, allow_lagged_response: bool) -> Tested:
    """What is tested of a fitted regression."""
    result = least_squares(result)
    design, residuals, response = (
        result._design.matrix, result._rows_residuals[:, 0], result._response[:, 0]
    )  # fmt: skip
    root = result._root_weights
    order = _order(order_by, result._labels.rows, design, result.names)
    if order is not None:
        design, residuals, response, root = (
            rows[order] for rows in (design, residuals, response, root)
        )
    if not allow_lagged_response:
        _refuse_lagged_response(design, response, result.names)
    if result.weights is not None:
        residuals, response, design = residuals * root, response * root, design * root[:, None]
    basis = orthonormal_basis(design)
    refuse_perfect_fit(residuals, response, basis.shape[1])
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
    order = _order(order_by, _index(X, y), design, data.labels.columns, X)
    if order is not None:
        design, response = design[order], response[order]
    if not allow_lagged_response:
        _refuse_lagged_response(design, response, data.labels.columns)
    basis = orthonormal_basis(design, overwrite=True)  # it is a copy of what was given
    residuals = response - basis @ (basis.T @ response)
    residuals -= basis @ (basis.T @ residuals)  # what rounding left of the regressors
    refuse_perfect_fit(residuals, response, basis.shape[1])
    return Tested(residuals, basis, has_constant(basis))


def of_design(X: Any, add_intercept: bool) -> np.ndarray:
    """The basis alone, where there is no response."""
    n = len(read_matrix(X, "X")[1])
    data = read_data(
        X, np.zeros(n), names=None, weights=None, add_intercept=add_intercept, copy=True
    )
    if not np.isfinite(data.design.matrix).all():
        refuse_not_finite(data)
    return orthonormal_basis(data.design.matrix, overwrite=True)


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


def _order(
    order_by: Any, index: Any, design: np.ndarray, names: Sequence[str], table: Any = None
) -> np.ndarray | None:
    """The order to bring observations into; None where they are to stay as they are."""
    if order_by is None:
        warn_if_unsorted(index)
        return None
    n = len(design)
    keys = _keys(order_by, design, names, table)
    if keys.shape != (n,):
        raise ValueError(f"order_by must have shape ({n},), got {keys.shape}")
    if np.isnat(keys).any() if keys.dtype.kind in "mM" else np.isnan(keys).any():
        raise ValueError("order_by must not hold missing values")
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    ties = int(np.sum(ordered[1:] == ordered[:-1]))
    if ties:
        warn(
            f"order_by has {ties} ties; the statistic depends on the order of tied rows, which "
            "is taken as it is"
        )
    return order


def _keys(order_by: Any, design: np.ndarray, names: Sequence[str], table: Any) -> np.ndarray:
    """Numbers or times to sort by: an array, or a column of the regressors by its name."""
    if isinstance(order_by, str):
        if is_table(table) and order_by in table.columns:
            order_by = table[order_by]
        elif order_by in names:
            order_by = design[:, list(names).index(order_by)]
        else:
            raise ValueError(
                f"order_by must be an array or name one of {', '.join(names)}, got {order_by!r}"
            )
    order_by = _without_zone(order_by)
    keys = np.asarray(order_by)
    return keys if keys.dtype.kind in "mM" else real_array(order_by, "order_by")


def _without_zone(times: Any) -> Any:
    """Periods and times of a time zone as NumPy has them; everything else as it is."""
    dtype, own = getattr(times, "dtype", None), getattr(times, "dt", times)  # a Series has dt
    if hasattr(dtype, "freq"):
        return own.to_timestamp()
    if getattr(dtype, "tz", None) is not None:
        return own.tz_convert(None)
    return times


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
