"""From the columns of a table to three arrays: numbers, positions in bins, and codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn.tabular import stored
from fastnn.tabular.columns import (
    KINDS,
    ColumnEncoder,
    Encoded,
    Unseen,
    Write,
    Writer,
    fit_column,
    with_common_scale,
)
from fastnn.tabular.roles import Decision, Decisions
from fastnn.tabular.scaling import Settings
from fastnn.tabular.table import Table

__all__ = ["BoundTable", "Encoded", "TableEncoder"]

_ROWS_AT_ONCE = 4096
"""Rows whose temporary arrays fit into the cache of a core."""


@dataclass(frozen=True, eq=False)
class BoundTable:
    """A table whose columns are converted and whose categories are codes; see `TableEncoder.bind`.

    Attributes
    ----------
    rows : int
        Number of rows.
    widths : (int, int, int)
        Numbers of columns of the three arrays of `Encoded`.
    writers : sequence of callable
        Those of the columns.
    unseen : dict of str to int
        As in `Encoded`, for all rows of the table.
    indices : (rows,) array of int, optional
        The rows of the table; by default all.
    """

    rows: int
    widths: tuple[int, int, int]
    writers: Sequence[Write]
    unseen: Unseen
    indices: np.ndarray | None = None

    def encode(self, start: int, stop: int, dtype: DTypeLike) -> Encoded:
        """The rows from `start` to `stop` as arrays, without counts of unseen levels.

        Raises
        ------
        DataError
            If a number is infinite; the message names the cell.
        """
        n = stop - start
        numbers, positions, codes = self.widths
        encoded = Encoded(
            np.empty((n, numbers), dtype),
            np.empty((n, positions), dtype),
            np.empty((n, codes), np.int32),
        )
        for first in range(start, stop, _ROWS_AT_ONCE):
            last = min(first + _ROWS_AT_ONCE, stop)
            out = Writer(encoded, slice(first - start, last - start))
            rows = slice(first, last) if self.indices is None else self.indices[first:last]
            for write in self.writers:
                write(rows, out)
        return encoded


class TableEncoder:
    """Encoders for all columns of a table that a network learns from.

    Parameters
    ----------
    decisions : Decisions
        Roles of the columns, from `decide`.
    settings : Settings, optional
    **options
        Parameters of `Settings`, such as ``bins=48``, instead of `settings`.

    Attributes
    ----------
    columns : tuple of encoders
        One for each column that is used, after `fit`.

    Notes
    -----
    Scaling: Holzmueller, Grinsztajn & Steinwart (2024), "Better by default: strong pre-tuned MLPs
    and boosted trees on tabular data".  Bins: Gorishniy, Rubachev & Babenko (2022), "On embeddings
    for numerical features in tabular deep learning"; edges that equal values make coincide are
    spent on the other rows.
    """

    def __init__(
        self, decisions: Decisions, settings: Settings | None = None, **options: Any
    ) -> None:
        if settings is not None and options:
            raise TypeError("settings and its parameters exclude each other")
        self.decisions = decisions
        self.settings = Settings(**options) if settings is None else settings
        self.columns: tuple[ColumnEncoder, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TableEncoder):
            return NotImplemented
        return (self.decisions, self.columns) == (other.decisions, other.columns)

    __hash__ = None  # type: ignore[assignment]

    def fit(self, table: Table, rows: np.ndarray | None = None) -> TableEncoder:
        """Fit the encoders to a table, and return this object.

        Parameters
        ----------
        table : Table
        rows : (n,) array of int, optional
            Rows to fit to; by default all.

        Raises
        ------
        DataError
            If a column is absent or does not fit its role, or a number is infinite or too large;
            the message names the column or the cell.
        """
        used = table.select(self.decisions.names)
        masks: set[bytes] = set()
        columns = []
        for decision in self.decisions.used:  # the rows of one column at a time
            part = used.select([decision.column])
            part = part if rows is None else part.take(rows)
            columns.append(self._fit_column(part, decision, masks))
        if self.settings.scaling == "common":
            columns = with_common_scale(columns)
        self.columns = tuple(columns)
        return self

    def _fit_column(self, table: Table, decision: Decision, masks: set[bytes]) -> ColumnEncoder:
        """The encoder of one column; `masks` has the missing values of the columns before it."""
        column = decision.convert(table)
        missing = column.missing()
        mask = np.packbits(missing).tobytes()
        is_often = self.settings.min_rows <= int(missing.sum()) < len(missing)
        indicates = is_often and mask not in masks
        masks.add(mask)
        return fit_column(table, decision.column, column, self.settings, indicates)

    # ------------------------------------------------------------------ shapes

    @property
    def number_names(self) -> list[str]:
        """Names of the d columns of `Encoded.numbers`."""
        return [name for column in self.columns for name in column.names]

    @property
    def position_names(self) -> list[str]:
        """Names of the q columns of `Encoded.positions`, which are among `number_names`."""
        return [name for column in self.columns for name, _ in column.bins]

    @property
    def bins(self) -> tuple[int, ...]:
        """Number of bins of each column of `Encoded.positions`."""
        return tuple(bins for column in self.columns for _, bins in column.bins)

    @property
    def code_names(self) -> list[str]:
        """Names of the c columns of `Encoded.codes`."""
        return [column.name for column in self.columns if column.levels]

    @property
    def levels(self) -> tuple[int, ...]:
        """Number of codes of each column of `Encoded.codes`: its levels, missing, and other."""
        return tuple(column.levels for column in self.columns if column.levels)

    # ------------------------------------------------------------- application

    def transform(
        self, table: Table, dtype: DTypeLike = np.float32, rows: np.ndarray | None = None
    ) -> Encoded:
        """The rows of a table as arrays.

        Parameters
        ----------
        table : Table
            The columns may have any order; columns that no encoder needs are ignored.
        dtype : dtype, default float32
            Of `numbers` and `positions`.
        rows : (n,) array of int, optional
            Rows of the table; by default all.

        Raises
        ------
        DataError
            If a column is absent or does not fit its role, or a number is infinite; the message
            names the column or the cell.
        """
        bound = self.bind(table, rows)
        encoded = bound.encode(0, bound.rows, dtype)
        encoded.unseen.update(bound.unseen)
        return encoded

    def bind(self, table: Table, rows: np.ndarray | None = None) -> BoundTable:
        """A table of which `BoundTable.encode` writes rows as arrays, some at a time.

        Raises
        ------
        DataError
            As in `transform`; infinite numbers are refused when their rows are encoded.
        """
        used = table.select(self.decisions.names)
        unseen: Unseen = {}
        writers = [
            column.bind(used, decision.convert(used), unseen)  # type: ignore[arg-type]
            for decision, column in zip(self.decisions.used, self.columns, strict=True)
        ]
        widths = len(self.number_names), len(self.position_names), len(self.code_names)
        n_rows = len(table) if rows is None else len(rows)
        return BoundTable(n_rows, widths, writers, unseen, rows)

    def unseen(self, table: Table) -> dict[str, int]:
        """For each category with such rows, the number of rows whose level is "other"."""
        return self.bind(table).unseen

    def describe(self) -> list[tuple[str, str]]:
        """The name and the transformation of each column."""
        return [(column.name, column.describe()) for column in self.columns]

    # ------------------------------------------------------------------- files

    def to_state(self) -> dict[str, Any]:
        """The encoder as data for JSON; `from_state` makes an equal encoder from them."""
        return {
            "decisions": self.decisions.to_state(),
            "columns": [
                {
                    "kind": column.kind,
                    "name": column.name,
                    "indicates": column.indicates,
                    **column.to_state(),
                }
                for column in self.columns
            ],
        }

    @classmethod
    def from_state(cls, state: Any) -> TableEncoder:
        """An encoder from data that `to_state` has returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the data do not describe an encoder.
        """
        encoder = cls(Decisions.from_state(state["decisions"]))
        columns = []
        for entry in state["columns"]:
            if entry["kind"] not in KINDS:
                raise ValueError(f"{entry['kind']!r:.60} is no kind of encoder")
            kind = KINDS[entry["kind"]]
            columns.append(
                kind.from_state(stored.text(entry["name"]), stored.flag(entry["indicates"]), entry)
            )
        if [column.name for column in columns] != encoder.decisions.names:
            raise ValueError("the encoders are not those of the columns")
        for decision, column in zip(encoder.decisions.used, columns, strict=True):
            if column.kind not in _KINDS_OF[decision.role]:
                raise ValueError(f"{decision.column!r:.60} has another encoder than its role")
        encoder.columns = tuple(columns)
        return encoder


_KINDS_OF = {
    "number": ("number",),
    "boolean": ("sign",),
    "category": ("category", "sign"),
    "date": ("date",),
}
