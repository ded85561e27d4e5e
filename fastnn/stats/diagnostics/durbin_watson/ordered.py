"""Residuals and regressors in the order of the observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn._shared.frames import local
from fastnn._shared.warnings import warn_if_unsorted
from fastnn.stats.diagnostics.durbin_watson.order import order_of
from fastnn.stats.diagnostics.durbin_watson.series import Runs
from fastnn.stats.diagnostics.residuals import is_fitted, least_squares, refuse_perfect_fit
from fastnn.stats.linalg.basis import centred_columns, orthonormal_basis
from fastnn.stats.linalg.solvers import tolerance
from fastnn.stats.regression.influence import Influence
from fastnn.stats.regression.inputs import (
    Data,
    check_alignment,
    checked_formula,
    index_of,
    read_data,
    read_matrix,
    refuse_not_finite,
)
from fastnn.stats.regression.labels import Labels

_LONGEST_LAG = 12  # up to which a column is compared with the lagged response


@dataclass(frozen=True)
class OrderedRows:
    """Rows of a regression of one response, in the order of the observations.

    Attributes
    ----------
    residuals : (n,) array
        In a weighted regression multiplied by the square roots of the weights.
    basis : (n, rank) array, C-contiguous
        Orthonormal basis of the columns of the design, multiplied likewise.
    """

    residuals: np.ndarray
    basis: np.ndarray


@dataclass(frozen=True)
class SeriesOptions:
    """Arguments of `durbin_watson_test` about groups and times."""

    groups: Any
    time: Any
    fixed_effects: bool
    add_intercept: bool
    data: Any = None


@dataclass(frozen=True)
class _Rows:
    """Rows of a regression of one response, before the weights are applied.

    Attributes
    ----------
    design : (n, p) array
    response : (n,) array
    names : sequence of str
        Names of the columns of the design.
    residuals : (n,) array or None
        None where the regression has not been fitted.
    root_weights : (n,) array or None
    owned : bool
        Whether the design is a copy, which the basis may overwrite.
    """

    design: np.ndarray
    response: np.ndarray
    names: Sequence[str]
    residuals: np.ndarray | None = None
    root_weights: np.ndarray | None = None
    owned: bool = False

    def permuted(self, order: np.ndarray) -> _Rows:
        """Copies of the rows in another order."""
        return replace(
            self,
            design=self.design[order],
            response=self.response[order],
            residuals=None if self.residuals is None else self.residuals[order],
            root_weights=None if self.root_weights is None else self.root_weights[order],
            owned=True,
        )

    def weighted(self) -> _Rows:
        """The rows multiplied by the square roots of the weights."""
        root = self.root_weights
        if root is None:
            return self
        return replace(
            self,
            design=self.design * root[:, None],
            response=self.response * root,
            residuals=None if self.residuals is None else self.residuals * root,
            root_weights=None,
            owned=True,
        )

    def with_basis(self) -> OrderedRows:
        """The residuals beside the basis of the design; computed from it if need be."""
        basis = orthonormal_basis(self.design, overwrite=self.owned)
        residuals = self.residuals
        if residuals is None:
            residuals = self.response - basis @ (basis.T @ self.response)
            residuals -= basis @ (basis.T @ residuals)  # removes what rounding left
        refuse_perfect_fit(residuals, self.response)
        return OrderedRows(residuals, basis)


def ordered_rows(
    X: Any, y: Any, *, data: Any, add_intercept: bool, order_by: Any, allow_lagged_response: bool
) -> OrderedRows:
    """The rows that `durbin_watson_test` tests; its parameters are described there."""
    X, y = local(X), local(y)
    rows, labels, index = _rows_of(X, y, data, add_intercept)
    order_by, table = local(labels.key(order_by)), X
    if order_by is None:
        warn_if_unsorted(index)
    else:
        check_alignment(index, order_by, "order_by")
        rows = rows.permuted(order_of(order_by, rows.design, rows.names, table))
    if not allow_lagged_response:
        _refuse_lagged_response(rows)
    return rows.weighted().with_basis()


def rows_in_series(
    X: Any, y: Any, options: SeriesOptions, lag: int
) -> tuple[OrderedRows, Runs, int]:
    """Rows in the order of the data, their runs of successive times, and the fixed effects."""
    X, y = local(X), local(y)
    rows, labels, index = _rows_of(X, y, options.data, options.add_intercept)
    time = local(labels.by_name(options.time, "time"))
    groups = labels.by_name(options.groups, "groups")
    check_alignment(index, time, "time")
    n = len(rows.response)
    runs = Runs.read(groups, time, n, index, lag)
    if not options.fixed_effects:
        return rows.weighted().with_basis(), runs, 0
    if rows.root_weights is not None:
        raise ValueError("fixed_effects needs a regression of equal weights")
    effects = int(runs.codes.max()) + 1
    columns = runs.demeaned(centred_columns(rows.design))
    columns = columns[:, np.linalg.norm(columns, axis=0) > tolerance(*columns.shape)]
    if len(columns) - effects - columns.shape[1] < 2:
        raise ValueError(f"{n} rows are too few for {effects} fixed effects and the regressors")
    if not columns.shape[1]:
        raise ValueError("no regressor varies within a group")
    within = replace(
        rows,
        design=columns,
        response=runs.demeaned(rows.response[:, np.newaxis])[:, 0],
        residuals=None,
        owned=True,
    )
    return within.with_basis(), runs, effects


def basis_of_data(X: object, add_intercept: bool) -> np.ndarray:
    """(n, rank) orthonormal basis of the regressors, where no response is given."""
    X = local(X)
    n = len(read_matrix(X, "X")[1])
    return orthonormal_basis(_read(X, np.zeros(n), add_intercept).design.matrix, overwrite=True)


def _rows_of_fit(result: Influence) -> _Rows:
    least_squares(result)
    return _Rows(
        design=result.problem.rows.design.matrix,
        response=result.problem.rows.response[:, 0],
        names=result.names,
        residuals=result.problem.rows.residuals[:, 0],
        root_weights=None if result.weights is None else result.problem.rows.root_weights,
    )


def _rows_of(X: Any, y: Any, data: Any, add_intercept: bool) -> tuple[_Rows, Labels, Any]:
    """The rows of a fitted regression, of data or of a formula, their labels and their index."""
    if not isinstance(X, str) and data is None and is_fitted(X, y, add_intercept=add_intercept):
        return _rows_of_fit(X), X.problem.labels, X.problem.labels.rows
    read = _read(X, y, add_intercept, data)
    if read.response.shape[1] != 1:
        raise ValueError(f"y must have one column, got {read.response.shape[1]}")
    rows = _Rows(read.design.matrix, read.response[:, 0], read.labels.columns, owned=True)
    return rows, read.labels, read.labels.rows if isinstance(X, str) else index_of(X, y)


def _read(X: Any, y: Any, add_intercept: bool, table: Any = None) -> Data:
    """Data of finite numbers, whose design is a copy."""
    if checked_formula(X, y, table, None, add_intercept):
        from fastnn.stats.regression.formula import read_formula

        data = read_formula(X, table, {})[0]
    else:
        data = read_data(X, y, names=None, weights=None, add_intercept=add_intercept, copy=True)
    if not (np.isfinite(data.design.matrix).all() and np.isfinite(data.response).all()):
        refuse_not_finite(data)
    return data


def _refuse_lagged_response(rows: _Rows) -> None:
    """Raise ValueError if a column is the response of an earlier row."""
    design, response, n = rows.design, rows.response, len(rows.response)
    for lag in range(1, min(_LONGEST_LAG, n // 2) + 1):
        earlier = response[: n - lag]
        alike = np.flatnonzero((design[lag : lag + 3] == earlier[:3, np.newaxis]).all(axis=0))
        for j in alike.tolist():
            if np.array_equal(design[lag:, j], earlier) and np.ptp(earlier) > 0:
                raise ValueError(
                    f"column {rows.names[j]!r} of X is the response of {lag} "
                    f"row{'s' if lag > 1 else ''} earlier: the Durbin-Watson statistic is then "
                    "biased towards 2 and has another distribution; use durbin_h, or pass "
                    "allow_lagged_response=True to compute the test nevertheless"
                )
