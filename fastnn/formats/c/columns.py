"""The columns of a table in C: what networks read of them, and rows for the self-test.

A row has a double for each column: a number, 0 or 1, the number of a level, or the days since
1970.  NAN stands for a missing value.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.formats._fitted import CategoryColumn, Column, DateColumn, NumberColumn, SignColumn

__all__ = ["Step", "levels_of", "rows_of", "steps_of", "table_of", "values_of"]

_N_ROWS = 8
_SEED = 1234
_MISSING = 0.15
"""Share of missing values in the rows of the self-test."""


@dataclass(frozen=True)
class Step:
    """What the networks read of one column: `width` of their inputs.

    Attributes
    ----------
    column : int
    function : str
        The function of the library that computes it.
    numbers : tuple of float or int
        Its arguments after the value of the column; integers stay integers.
    edges : tuple of float
        The edges of bins, for `position`.
    width : int
        More than 1 for the inputs of a category that `one_hot` writes.
    """

    column: int
    function: str
    numbers: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    width: int = 1


def values_of(column: Column) -> str:
    """What the numbers of a column are, for a comment."""
    if isinstance(column, DateColumn):
        return "days since 1970-01-01"
    if isinstance(column, NumberColumn):
        return "a number"
    return "one of its levels" if column.texts else "0 for false, 1 for true"


def levels_of(column: Column) -> tuple[str, ...]:
    """The levels of a category; empty for other columns."""
    return column.texts if isinstance(column, CategoryColumn | SignColumn) else ()


# -------------------------------------------------------------------------- steps


def steps_of(
    columns: Sequence[Column], is_one_hot: bool
) -> tuple[tuple[Step, ...], Mapping[str, int] | None]:
    """What the networks read, in its order; and where each of their inputs begins in it, by name.

    With `is_one_hot` they have one input, and there are no such places.
    """
    if is_one_hot:
        return tuple(step for i, column in enumerate(columns) for step in _dense(i, column)), None
    parts: dict[str, list[Step]] = {"numbers": [], "positions": [], "codes": []}
    for i, column in enumerate(columns):
        if isinstance(column, CategoryColumn):
            parts["codes"].append(Step(i, "code", (len(column.texts),)))
            continue
        parts["numbers"] += _numbers(i, column)
        if not isinstance(column, SignColumn) and column.edges:
            parts["positions"].append(Step(i, "position", (column.center,), edges=column.edges))
    starts = itertools.accumulate(map(len, parts.values()), initial=0)
    steps = tuple(step for part in parts.values() for step in part)
    return steps, dict(zip(parts, starts, strict=False))


def _dense(i: int, column: Column) -> Iterator[Step]:
    """The inputs of a dense network for one column: as numbers, or one for each level."""
    if isinstance(column, CategoryColumn):
        n = len(column.texts)
        yield Step(i, "one_hot", (n,), width=n + column.indicates)
    else:
        yield from _numbers(i, column)


def _numbers(i: int, column: NumberColumn | DateColumn | SignColumn) -> Iterator[Step]:
    """The inputs that are numbers."""
    if isinstance(column, SignColumn):
        yield Step(i, "sign" if column.texts else "truth")
    elif column.scale == 0:
        yield Step(i, "nothing")
    else:
        yield Step(i, "clipped" if column.clips else "scaled", (column.center, column.scale))
    if isinstance(column, DateColumn):
        for steps in column.cycles:
            yield Step(i, "sine", (steps,))
            yield Step(i, "cosine", (steps,))
    if column.indicates:
        yield Step(i, "missing")


# --------------------------------------------------------------------------- rows


def rows_of(columns: Sequence[Column]) -> np.ndarray:
    """Rows (N, n_columns) that resemble those of the training, with missing values."""
    rng = np.random.default_rng(_SEED)
    rows = np.empty((_N_ROWS, len(columns)))
    for i, column in enumerate(columns):
        if isinstance(column, NumberColumn | DateColumn):
            rows[:, i] = column.center + column.scale * rng.standard_normal(_N_ROWS)
            if isinstance(column, DateColumn):
                rows[:, i] = np.round(rows[:, i] * 24) / 24
        else:
            levels = len(column.texts) + 1 if column.texts else 2
            rows[:, i] = rng.integers(0, levels, _N_ROWS)
    rows[rng.random(rows.shape) < _MISSING] = np.nan
    return rows


def table_of(columns: Sequence[Column], rows: np.ndarray) -> dict[str, Any]:
    """The same rows as a table."""
    return {column.name: _cells(column, rows[:, i]) for i, column in enumerate(columns)}


def _cells(column: Column, numbers: np.ndarray) -> Any:
    """The cells of a column."""
    if isinstance(column, NumberColumn):
        return numbers
    missing = np.isnan(numbers)
    if isinstance(column, DateColumn):
        hours = np.round(np.nan_to_num(numbers) * 24).astype("timedelta64[h]")
        return np.where(missing, np.datetime64("NaT", "h"), np.datetime64(0, "h") + hours)
    if not column.texts:
        return numbers
    other = max(column.texts, key=len) + "?"
    texts = [*column.texts, other]
    return [None if gone else texts[int(n)] for n, gone in zip(numbers, missing, strict=True)]
