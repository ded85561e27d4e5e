"""The role of each column of a table: what a network learns from it, and why.

The rules, in the order in which they are tried; a user's choice comes before all of them.

1. A column without a value, or with one value in every row, is constant and is left out.
2. Numbers are numbers, also a few different whole numbers.  The exceptions are identifiers, which
   are left out: whole numbers that all differ in at least 20 rows, if the column is called id,
   index or rownames, or its name ends in ``_id`` or ``Id``; and a count of at least 20 rows (from
   0 or 1, in their order) in a column of a file that has no name.
3. Truth values are boolean.
4. Dates and times are dates, and so is text that has dates of ISO 8601 only.
5. Text is a category, with these exceptions.  Cells of a file that are numbers for more than half
   of the different values are refused, because one of them is likely to be a slip; at most 20
   different values, each of which occurs in three rows on average, are a category nevertheless.
   Text that differs in more than half of at least 20 rows is left out: it is free text where the
   average is at least three words, an identifier otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, get_args

import numpy as np

from fastnn._shared.text import titled
from fastnn.tabular import cells, stored
from fastnn.tabular.conversion import booleans_of, has_times, numbers_of, texts_of, times_of
from fastnn.tabular.table import (
    Booleans,
    Column,
    DataError,
    MixedColumnError,
    Numbers,
    Table,
    Texts,
    Times,
    listing,
)

__all__ = ["CHOICES", "USED", "Decision", "Decisions", "Role", "decide", "refuse_slip"]

Role = Literal["number", "boolean", "category", "date", "identifier", "text", "constant", "drop"]

USED = ("number", "boolean", "category", "date")
"""Roles of the columns that a network learns from."""

CHOICES = (*USED, "drop")
"""Roles that a user can choose; "date:" may be followed by a pattern of `datetime.strptime`."""

_MANY_ROWS = 20  # fewer rows tell nothing about identifiers
_FEW_LEVELS = 20
_ROWS_OF_LEVEL = 3
_WORDS_OF_TEXT = 3
_SHOWN = 40

_UNNAMED = re.compile(r"column_\d+|Unnamed: \d+")
_IDENTIFIER = re.compile(r"\s*((?i:.*[_ .-]id|id|index|uuid|guid|rownames)|.*[a-z]Id|.*[a-z]ID)\s*")


@dataclass(frozen=True)
class Decision:
    """The role of one column.

    Attributes
    ----------
    column : str
        Name of the column.
    role : {"number", "boolean", "category", "date", "identifier", "text", "constant", "drop"}
        The last four are left out.
    reason : str
        Why, as a phrase.
    pattern : str or None
        For a date, the pattern of `datetime.strptime`; None stands for ISO 8601.
    """

    column: str
    role: Role
    reason: str
    pattern: str | None = None

    @property
    def is_used(self) -> bool:
        """Whether a network learns from the column."""
        return self.role in USED

    def convert(self, table: Table) -> Column:
        """The column of a later table as the kind that its role takes.

        Raises
        ------
        DataError
            If the column is absent or has other values; the message names the cell.
        """
        if self.role == "number":
            return numbers_of(table, self.column)
        if self.role == "boolean":
            return booleans_of(table, self.column)
        if self.role == "date":
            return times_of(table, self.column, self.pattern)
        return texts_of(table, self.column)


@dataclass(frozen=True)
class Decisions:
    """The roles of all columns of a table; ``str()`` gives a table to read.

    Attributes
    ----------
    rows : tuple of Decision
        In the order of the columns.
    """

    rows: tuple[Decision, ...]

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> Decision:
        return {decision.column: decision for decision in self.rows}[column]

    @property
    def used(self) -> tuple[Decision, ...]:
        """The columns that a network learns from."""
        return tuple(decision for decision in self.rows if decision.is_used)

    @property
    def left_out(self) -> tuple[Decision, ...]:
        """The other columns."""
        return tuple(decision for decision in self.rows if not decision.is_used)

    @property
    def names(self) -> list[str]:
        """Names of the columns that a network learns from."""
        return [decision.column for decision in self.used]

    def __str__(self) -> str:
        groups = [
            (role, reason, [row.column for row in rows])
            for (role, reason), rows in groupby(self.rows, lambda row: (_words(row), row.reason))
        ]
        lines = [("column", "role", "why")]
        for role, reason, names in groups[:_SHOWN]:
            name = names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]} ({len(names):,})"
            lines.append((name, role, reason))
        text = "\n".join(titled(lines))
        more = sum(len(names) for _, _, names in groups[_SHOWN:])
        return f"{text}\n... and {more:,} columns more" if more else text

    def to_state(self) -> list[dict[str, Any]]:
        """The decisions as data for JSON; `from_state` makes equal decisions from them."""
        return [
            {"column": row.column, "role": row.role, "reason": row.reason, "pattern": row.pattern}
            for row in self.rows
        ]

    @classmethod
    def from_state(cls, state: Any) -> Decisions:
        """Decisions from data that `to_state` has returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the data do not describe decisions.
        """
        rows = []
        for entry in state:
            if entry["role"] not in get_args(Role):
                raise ValueError(f"{entry['role']!r:.60} is no role of a column")
            pattern = entry["pattern"]
            rows.append(
                Decision(
                    stored.text(entry["column"]),
                    entry["role"],
                    stored.text(entry["reason"]),
                    None if pattern is None else stored.text(pattern),
                )
            )
        names = [row.column for row in rows]
        if len(set(names)) < len(names):
            raise ValueError("two columns have one name")
        return cls(tuple(rows))


def _words(decision: Decision) -> str:
    return decision.role if decision.is_used else f"{decision.role} (left out)"


# --------------------------------------------------------------------- deciding


def decide(
    table: Table, columns: Mapping[str, str] | None = None, rows: np.ndarray | None = None
) -> Decisions:
    """Decide the role of each column by the rules of this file.

    Parameters
    ----------
    table : Table
        Without the target.
    columns : mapping of str to str, optional
        Roles that the user chooses, by name of column: "number", "boolean", "category", "date",
        "drop", or "date:" and a pattern of `datetime.strptime` such as "date:%d.%m.%Y".
    rows : (n,) array of int, optional
        Rows that decide; by default all.

    Raises
    ------
    DataError
        If a name in `columns` is absent from the table, or a column does not fit the chosen role.
    MixedColumnError
        If most values of a column of a file are numbers, but not all; it is a `DataError`.
    TypeError, ValueError
        If a role is unknown.
    """
    choices = dict(columns or {})
    absent = [name for name in choices if name not in table.columns]
    if absent:
        raise DataError(
            f"{table.name} has no column {listing(map(repr, absent))}; it has "
            f"{listing(table.columns)}"
        )
    decisions = []
    for name in table.columns:  # the rows of one column at a time
        part = table if rows is None else table.select([name]).take(rows)
        is_chosen = name in choices
        decisions.append(_chosen(part, name, choices[name]) if is_chosen else _decided(part, name))
    return Decisions(tuple(decisions))


def _chosen(table: Table, name: str, choice: object) -> Decision:
    if not isinstance(choice, str):
        raise TypeError(f"columns[{name!r}] must be a string, got {type(choice).__name__}")
    role, colon, pattern = choice.partition(":")
    if role not in CHOICES or (colon and role != "date"):
        raise ValueError(
            f"columns[{name!r}] must be one of {', '.join(CHOICES)}, or date: with a pattern, got "
            f"{choice!r}"
        )
    decision = Decision(name, role, "chosen", pattern or None)  # type: ignore[arg-type]
    if decision.is_used:
        column = decision.convert(table)
        if not isinstance(column, Texts) and column.missing().all():
            return Decision(name, "constant", "chosen, but no value in any row")
    return decision


def _decided(table: Table, name: str) -> Decision:
    column = table.columns[name]
    if isinstance(column, Texts):
        return _decided_text(table, name, column)
    missing = column.missing()
    n_missing = int(np.count_nonzero(missing))
    if n_missing == len(column):
        return Decision(name, "constant", "no value in any row")
    values = column.codes if isinstance(column, Booleans) else column.values
    first = values[int(np.argmin(missing))]
    is_one = not bool(((values != first) & ~missing).any())
    if is_one and not n_missing:
        return Decision(name, "constant", f"the same value in all rows, {_shown(column)}")
    note = f", {n_missing:,} missing" if n_missing else ""
    if isinstance(column, Booleans):
        return Decision(name, "boolean", f"truth values{note}")
    if isinstance(column, Times):
        return Decision(name, "date", f"dates{note}")
    return _decided_numbers(name, column.values, n_missing, note)


def _shown(column: Numbers | Booleans | Times) -> str:
    value = column.to_numpy()[0]
    return f"{value:g}" if isinstance(column, Numbers) else str(value)


def _decided_numbers(name: str, values: np.ndarray, n_missing: int, note: str) -> Decision:
    if len(values) >= _MANY_ROWS and not n_missing:
        if _UNNAMED.fullmatch(name) and values[0] in (0, 1) and (np.diff(values) == 1).all():
            return Decision(name, "identifier", "a count of the rows")
        is_whole = _IDENTIFIER.fullmatch(name) and (values == np.floor(values)).all()
        if is_whole and len(np.unique(values)) == len(values):
            return Decision(name, "identifier", "a different whole number in each row")
    return Decision(name, "number", f"numbers{note}")


def _decided_text(table: Table, name: str, column: Texts) -> Decision:
    counts = column.counts()
    levels = np.flatnonzero(counts)
    n_rows = len(column)
    n_missing = n_rows - int(counts.sum())
    note = f", {n_missing:,} missing" if n_missing else ""
    if not len(levels):
        return Decision(name, "constant", "no value in any row")
    if len(levels) == 1 and not n_missing:
        only = column.levels[levels[0]]
        return Decision(name, "constant", f"the same value in all rows, {only!r:.40}")
    if column.origin == "categories":
        return Decision(name, "category", f"{_values(len(levels))}{note}")
    if has_times(column):
        return Decision(name, "date", f"text with dates{note}")
    refuse_slip(table, name, column)
    if n_rows >= _MANY_ROWS and 2 * len(levels) > n_rows - n_missing:
        texts = column.levels[levels]
        words = sum(len(text.split()) for text in texts) / len(texts)
        different = f"{len(levels):,} different values in {n_rows:,} rows"
        if words >= _WORDS_OF_TEXT:
            return Decision(name, "text", f"free text, {different}")
        return Decision(name, "identifier", different)
    return Decision(name, "category", f"text, {_values(len(levels))}{note}")


def _values(n: int) -> str:
    return f"{n:,} different value{'s' * (n != 1)}"


def refuse_slip(table: Table, name: str, column: Texts) -> None:
    """Raise MixedColumnError if a text among numbers is likely to be a slip; see rule 5."""
    if column.origin != "cells":
        return
    levels = np.flatnonzero(column.counts())
    texts = [(i, column.levels[i]) for i in levels.tolist()]
    texts = [(i, text) for i, text in texts if not cells.is_missing(text)]
    if len(texts) <= _FEW_LEVELS and len(column) >= _ROWS_OF_LEVEL * len(texts):
        return
    notation = column.notation
    if 2 * sum(cells.resembles_number(text, notation) for _, text in texts) <= len(texts):
        return
    wrong = {i for i, text in texts if notation.number(text) is None}
    row = next(i for i, code in enumerate(column.codes.tolist()) if code in wrong)
    text = column.levels[column.codes[row]]
    cell = cells.not_a_number(text, notation)
    raise MixedColumnError(f"{table.where(row, name)}: {cell}", name)
