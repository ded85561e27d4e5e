"""Reading of regression data: arrays, lists and tables become a design and a response.

Tables are recognised by their methods, not by their class, so that pandas is never imported
before the caller imports it.  Functions that users call pass tables and columns of other libraries
through `local` first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.arrays import as_real
from fastnn._shared.frames import local
from fastnn.stats.linalg.design import Design, spans
from fastnn.stats.regression.labels import Labels

INTERCEPT = "intercept"
_NAMED = 6  # largest number of columns that an error message lists


@dataclass(frozen=True)
class Data:
    """Checked data of a regression."""

    design: Design
    response: np.ndarray  # (n, m) float64
    weights: np.ndarray | None  # (n,) float64, positive
    labels: Labels


def read_data(
    X: Any,
    y: Any,
    *,
    names: Sequence[str] | None,
    weights: Any,
    add_intercept: bool,
    copy: bool | None,
) -> Data:
    """Read and check data; the fit looks for nan and infinities while it reads the design."""
    if y is None:
        raise TypeError("y must be given unless X is a formula, got None")
    X, y, weights = local(X), local(y), local(weights)
    columns, matrix = read_matrix(X, "X")
    responses, response = read_matrix(y, "y", prefix="y")
    n = len(matrix)
    if len(response) != n:
        raise ValueError(f"X and y must have as many rows, got {n} and {len(response)}")
    if not n:
        raise ValueError("X must have at least one row, got none")
    if not response.shape[1]:
        raise ValueError("y must have at least one column, got none")
    index = index_of(X)
    check_alignment(index, y, "y")
    if weights is not None:
        check_alignment(index_of(X, y), weights, "weights")
    if names is not None:
        columns = _checked_names(names, matrix.shape[1])
    labels = Labels(
        columns=tuple([INTERCEPT, *columns] if add_intercept else columns),
        responses=tuple(responses),
        single=np.ndim(y) == 1,
        rows=index,
        named=is_table(X),
        pandas=index is not None,
    )
    _refuse_repeated(labels.columns)
    if not labels.columns:
        raise ValueError("X must have at least one column where there is no intercept, got none")
    if copy is None:
        copy = not isinstance(X, np.memmap)
    return Data(
        Design(matrix, add_intercept, copy),
        response.astype(np.float64),
        None if weights is None else checked_weights(weights, n),
        labels,
    )


def checked_formula(X: Any, y: Any, data: Any, names: Any, add_intercept: bool) -> bool:
    """Whether X is a formula; TypeError for arguments that do not go together."""
    if not isinstance(X, str):
        if data is not None:
            raise TypeError(
                f"data belongs to a formula, such as 'y ~ x', got X of type {type(X).__name__}"
            )
        return False
    if data is None:
        raise TypeError(f"data must be the table that the formula {X!r} is about, got None")
    surplus = {"y": y is not None, "names": names is not None, "add_intercept": not add_intercept}
    present = [name for name, is_present in surplus.items() if is_present]
    if present:
        raise TypeError(
            f"{', '.join(present)} must be left out where X is a formula, which names the "
            "response and the columns; '- 1' leaves out the constant"
        )
    return True


def is_table(values: object) -> bool:
    """Whether `values` has named columns: a DataFrame of pandas, or a `Table`."""
    return hasattr(values, "columns") and hasattr(values, "to_numpy")


def index_of(*values: object) -> Any:
    """The index of the first pandas object among the values; None if there is none.

    Subclasses and proxies of DataFrame and Series, such as model matrices, are recognised.
    """
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return None
    for value in values:
        if isinstance(value, (pandas.DataFrame, pandas.Series)):
            return value.index
    return None


def check_alignment(index: Any, other: Any, name: str) -> None:
    """Raise ValueError if `other` is a pandas object with another index: rows are not aligned."""
    own = index_of(other)
    if index is not None and own is not None and not index.equals(own):
        raise ValueError(
            f"X and {name} must have the same index; align them first (X.align or join)"
        )


def read_matrix(values: Any, name: str, prefix: str = "x") -> tuple[list[str], np.ndarray]:
    """Names of the columns, and the (n, k) array; a vector becomes one column."""
    values = local(values)
    array = as_real(values, name)
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must have shape (n,) or (n, k), got {array.shape}")
    if is_table(values):
        return [str(label) for label in values.columns], array
    if array.ndim == 1:
        own_name = getattr(values, "name", None)  # of a Series
        only = prefix if prefix == "y" else f"{prefix}1"
        return [only if own_name is None else str(own_name)], array[:, None]
    return [f"{prefix}{j + 1}" for j in range(array.shape[1])], array


def _checked_names(names: Sequence[str], n_columns: int) -> list[str]:
    if isinstance(names, str):
        raise TypeError("names must be a sequence of str, one for each column of X, got a str")
    checked = list(names)
    if not all(isinstance(name, str) for name in checked):
        raise TypeError(f"names must be strings, got {checked!r}")
    if len(checked) != n_columns:
        raise ValueError(
            f"names must have one name for each of the {n_columns} columns of X "
            f"(the intercept's is added), got {len(checked)}"
        )
    return checked


def _refuse_repeated(columns: tuple[str, ...]) -> None:
    if len(set(columns)) == len(columns):
        return
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    hint = f"; with add_intercept=True {INTERCEPT!r} is taken" if INTERCEPT in repeated else ""
    raise ValueError(f"names of columns must differ, got {', '.join(repeated)} twice{hint}")


def checked_weights(weights: object, n: int) -> np.ndarray:
    """(n,) weights in float64; raises ValueError unless all are positive and finite."""
    array = as_real(weights, "weights")
    if array.shape != (n,):
        raise ValueError(f"weights must have shape ({n},), got {array.shape}")
    array = array.astype(np.float64)
    bad = ~(array > 0) | ~np.isfinite(array)
    if bad.any():
        first = int(bad.argmax())
        raise ValueError(
            f"weights must be positive and finite, got {bad.sum()} that are not, first "
            f"weights[{first}] = {array[first]:g}; drop rows of weight 0 first"
        )
    return array


def refuse_not_finite(data: Data) -> None:
    """Raise ValueError with the number of nan and infinite values in each column."""
    counts, rows = _not_finite(data)
    total = sum(counts.values())
    if not total:
        raise ValueError("X and y hold numbers too large to compute with; scale them first")
    named = [f"{name} ({count})" for name, count in counts.items() if count]
    more = f" and {len(named) - _NAMED} more columns" if len(named) > _NAMED else ""
    raise ValueError(
        f"X and y must be finite, got {total} nan or infinite values in {len(rows)} of "
        f"{len(data.response)} rows, first in row {rows[0]}: {', '.join(named[:_NAMED])}{more}; "
        "drop or fill them first"
    )


def refuse_bad_values(matrix: np.ndarray, name: str) -> None:
    """Raise ValueError with the number of nan and infinite values."""
    bad = ~np.isfinite(matrix)
    if bad.any():
        raise ValueError(
            f"{name} must be finite, got {bad.sum()} nan or infinite values in "
            f"{bad.any(axis=1).sum()} of {len(matrix)} rows"
        )


def read_columns(values: object, name: str, n: int) -> np.ndarray:
    """`values` as (n, k) float64 numbers, k at least 1; a vector is one column.

    Raises
    ------
    TypeError, ValueError
        If the values are not real numbers of such a shape.
    """
    columns = read_matrix(values, name)[1].astype(np.float64)
    if len(columns) != n or columns.shape[1] == 0:
        raise ValueError(f"{name} must have shape ({n},) or ({n}, k), got {columns.shape}")
    return columns


def _not_finite(data: Data) -> tuple[dict[str, int], np.ndarray]:
    """Number of values of each column that are not finite, and the rows that have them."""
    labels, p = data.labels, data.design.shape[1]
    counts, rows = np.zeros(p + len(labels.responses), int), []
    for start, stop in spans(*data.design.shape):
        block = np.hstack([data.design.rows(start, stop), data.response[start:stop]])
        bad = ~np.isfinite(block)
        counts += bad.sum(axis=0)
        rows.append(start + np.flatnonzero(bad.any(axis=1)))
    names = [*labels.columns, *(f"response {name}" for name in labels.responses)]
    return dict(zip(names, map(int, counts), strict=True)), np.concatenate(rows)
