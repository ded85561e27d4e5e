"""Columns as the kind that their role takes: numbers, truth values, text or times.

A column is converted where its values allow it without a guess; otherwise the error names the cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.tabular import cells
from fastnn.tabular.frames import merged
from fastnn.tabular.table import Booleans, DataError, Numbers, Table, Texts, Times

__all__ = ["booleans_of", "numbers_of", "refuse_infinite", "texts_of", "times_of"]

_TRUE = frozenset(("true", "t", "yes", "y", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "0"))


def numbers_of(table: Table, name: str) -> Numbers:
    """The numbers of a column; truth values are 1 and 0.

    Raises
    ------
    DataError
        If it has dates, or text that is neither a number nor a mark of a missing value.
    """
    column = table.column(name)
    if isinstance(column, Numbers):
        return column
    if isinstance(column, Booleans):
        return Numbers(np.where(column.codes < 0, np.nan, column.codes))
    if isinstance(column, Times):
        raise DataError(f"{table.name}: column {name!r} has dates, expected numbers")
    values, slip = cells.numbers(column.levels, column.notation)
    row = None if slip is None else _first_row(column, slip)
    while slip is not None and row is None:  # a level that occurs in no row
        column = _without_level(column, slip)
        values, slip = cells.numbers(column.levels, column.notation)
        row = None if slip is None else _first_row(column, slip)
    if slip is not None and row is not None:
        cell = cells.not_a_number(column.levels[slip], column.notation)
        raise DataError(f"{table.where(row, name)}: {cell}")
    return Numbers(np.append(values, np.nan)[column.codes])


def _first_row(column: Texts, level: int) -> int | None:
    rows = column.codes == level
    return int(np.argmax(rows)) if rows.any() else None


def _without_level(column: Texts, level: int) -> Texts:
    levels: list[Any] = column.levels.tolist()
    levels[level] = None
    return merged(column.codes, levels, column.origin, column.notation)


def refuse_infinite(
    table: Table, name: str, values: np.ndarray, rows: np.ndarray | slice = slice(0, None)
) -> None:
    """Raise DataError if a number is infinite; the message names its cell.

    `values` are those of `rows`: indices, or a slice with a start.
    """
    is_infinite = np.isinf(values)
    if is_infinite.any():
        row = int(np.argmax(is_infinite))
        place = rows.start + row if isinstance(rows, slice) else rows[row]
        raise DataError(f"{table.where(place, name)}: {values[row]}, expected a finite number")


def booleans_of(table: Table, name: str) -> Booleans:
    """The truth values of a column: also 1 and 0, or words such as true, no and y.

    Raises
    ------
    DataError
        If it has other values.
    """
    column = table.column(name)
    if isinstance(column, Booleans):
        return column
    if isinstance(column, Numbers):
        codes = np.where(np.isnan(column.values), -1, column.values)
        wrong = (codes != 0) & (codes != 1) & (codes != -1) | (column.values == -1)
        codes = np.where(wrong, -1, codes).astype(np.int8)
    elif isinstance(column, Texts):
        truth = [_truth(level) for level in column.levels]
        codes = np.array([*truth, -1], np.int8)[column.codes]
        wrong = codes == 2
    else:
        raise DataError(f"{table.name}: column {name!r} has dates, expected truth values")
    if wrong.any():
        row = int(np.argmax(wrong))
        value = column.to_numpy()[row : row + 1].tolist()[0]
        raise DataError(f"{table.where(row, name)}: {value!r:.80}, expected a truth value")
    return Booleans(codes)


def _truth(cell: str) -> int:
    word = cell.strip().lower()
    if word in _TRUE:
        return 1
    if word in _FALSE:
        return 0
    return -1 if cells.is_missing(cell) else 2


def texts_of(table: Table, name: str) -> Texts:
    """The values of a column as text: a whole number has no decimal point, a date is ISO 8601."""
    column = table.column(name)
    if isinstance(column, Texts):
        return column
    missing = column.missing()
    if isinstance(column, Booleans):
        return Texts(column.codes.astype(np.int32), np.array(["False", "True"], dtype=object))
    values, codes = np.unique(column.values[~missing], return_inverse=True)
    write: Callable[[Any], str] = _number_text if isinstance(column, Numbers) else str
    all_codes = np.full(len(column), -1, np.int32)
    all_codes[~missing] = codes
    return merged(all_codes, [write(value) for value in values.tolist()], "text")


def _number_text(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


@dataclass(frozen=True)
class _Parsed:
    """Levels of text as times; `slip` and `zones` are indices of levels."""

    values: np.ndarray
    slip: int | None
    with_zone: int | None
    without_zone: int | None


def _parse(column: Texts, pattern: str | None) -> _Parsed:
    values = np.full(len(column.levels) + 1, np.datetime64("NaT", "us"), "datetime64[us]")
    zones: dict[bool, int] = {}
    for i in np.flatnonzero(column.counts()).tolist():
        cell = column.levels[i]
        moment = cells.time(cell, pattern)
        if moment is None:
            if not cells.is_missing(cell):
                return _Parsed(values, i, zones.get(True), zones.get(False))
        else:
            values[i], has_zone = moment
            zones.setdefault(has_zone, i)
    return _Parsed(values, None, zones.get(True), zones.get(False))


def has_times(column: Texts) -> bool:
    """Whether all texts of a column are dates or times of ISO 8601, and there is one."""
    parsed = _parse(column, None)
    return parsed.slip is None and not (parsed.with_zone is None and parsed.without_zone is None)


def times_of(table: Table, name: str, pattern: str | None = None) -> Times:
    """The dates or times of a column, in UTC where they name a zone.

    Parameters
    ----------
    table : Table
    name : str
        Name of the column.
    pattern : str, optional
        As in `datetime.strptime`; by default the dates are of ISO 8601.

    Raises
    ------
    DataError
        If it has numbers, other text, or times of a zone beside times of none.
    """
    column = table.column(name)
    if isinstance(column, Times):
        return column
    if not isinstance(column, Texts):
        if column.missing().all():
            return Times(np.full(len(column), np.datetime64("NaT", "us"), "datetime64[us]"))
        if pattern is None:
            raise DataError(f"{table.name}: column {name!r} has {column.kind}, expected dates")
        column = texts_of(table, name)
    parsed = _parse(column, pattern)
    if parsed.slip is not None:
        expected = "of ISO 8601 such as 2024-05-01" if pattern is None else f"such as {pattern}"
        row = _first_row(column, parsed.slip)
        raise DataError(
            f"{table.where(row or 0, name)}: {column.levels[parsed.slip]!r:.80}, expected a date "
            f"{expected}"
        )
    if parsed.with_zone is not None and parsed.without_zone is not None:
        rows = [_first_row(column, level) or 0 for level in (parsed.with_zone, parsed.without_zone)]
        raise DataError(
            f"{table.where(rows[1], name)}: {column.levels[parsed.without_zone]!r:.80} has no time "
            f"zone, unlike {column.levels[parsed.with_zone]!r:.80}"
        )
    return Times(parsed.values[column.codes])
