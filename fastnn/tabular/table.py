"""Tables: named columns of four kinds, and the errors that name their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from fastnn.tabular.cells import PLAIN, Notation

__all__ = [
    "Booleans",
    "Column",
    "DataError",
    "MixedColumnError",
    "Numbers",
    "Table",
    "Texts",
    "Times",
    "listing",
]


class DataError(ValueError):
    """A file or a table cannot be used as data; the message says where and why."""


class MixedColumnError(DataError):
    """Most values of a column are numbers, but not all.

    Attributes
    ----------
    column : str
        Name of the column.
    """

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


# ---------------------------------------------------------------------- columns


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column of real numbers.

    Attributes
    ----------
    values : (N,) array of float64
        nan is a missing value.
    """

    values: np.ndarray
    kind: Literal["numbers"] = field(default="numbers", init=False)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray | slice) -> Numbers:
        """The column of some rows."""
        return Numbers(self.values[rows])

    def missing(self) -> np.ndarray:
        """Whether each value is missing: (N,) bool."""
        return np.isnan(self.values)

    def to_numpy(self) -> np.ndarray:
        """The values (N,) in float64."""
        return self.values


@dataclass(frozen=True, eq=False)
class Booleans:
    """A column of truth values.

    Attributes
    ----------
    codes : (N,) array of int8
        1 is true, 0 is false, -1 is a missing value.
    """

    codes: np.ndarray
    kind: Literal["booleans"] = field(default="booleans", init=False)

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: np.ndarray | slice) -> Booleans:
        """The column of some rows."""
        return Booleans(self.codes[rows])

    def missing(self) -> np.ndarray:
        """Whether each value is missing: (N,) bool."""
        return self.codes < 0

    def to_numpy(self) -> np.ndarray:
        """The values (N,): bool, or float64 with nan where one is missing."""
        if (self.codes < 0).any():
            return np.where(self.codes < 0, np.nan, self.codes)
        return self.codes == 1


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of text.

    Attributes
    ----------
    codes : (N,) array of int32
        Index of each text in `levels`; -1 is a missing value.
    levels : (K,) array of objects
        Different strings in any order; some may occur in no row.
    origin : {"text", "cells", "categories"}
        "cells" are those of a file, or of several types: numbers among them may be a slip.
        "categories" is a type of the frame that the column comes from.
    notation : Notation
        How numbers among the texts are written.
    """

    codes: np.ndarray
    levels: np.ndarray
    origin: Literal["text", "cells", "categories"] = "text"
    notation: Notation = PLAIN
    kind: Literal["text"] = field(default="text", init=False)

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: np.ndarray | slice) -> Texts:
        """The column of some rows, with all levels."""
        return replace(self, codes=self.codes[rows])

    def missing(self) -> np.ndarray:
        """Whether each value is missing: (N,) bool."""
        return self.codes < 0

    def counts(self) -> np.ndarray:
        """The number of rows of each level: (K,) int."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.levels))

    def to_numpy(self) -> np.ndarray:
        """The texts (N,) as objects; None where one is missing."""
        levels = np.empty(len(self.levels) + 1, dtype=object)
        levels[:-1] = self.levels
        return levels[self.codes]


@dataclass(frozen=True, eq=False)
class Times:
    """A column of dates and times.

    Attributes
    ----------
    values : (N,) array of datetime64[us]
        Times of a zone are in UTC.  NaT is a missing value.
    """

    values: np.ndarray
    kind: Literal["times"] = field(default="times", init=False)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray | slice) -> Times:
        """The column of some rows."""
        return Times(self.values[rows])

    def missing(self) -> np.ndarray:
        """Whether each value is missing: (N,) bool."""
        return np.isnat(self.values)

    def to_numpy(self) -> np.ndarray:
        """The values (N,) in datetime64[us]."""
        return self.values


Column = Numbers | Booleans | Texts | Times


# ------------------------------------------------------------------------ table


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of one length; `as_table` makes tables of frames, arrays and dicts.

    Parameters
    ----------
    name : str
        Name of the table in error messages; for a file, the name of the file.
    columns : mapping of str to Numbers, Booleans, Texts or Times
    line : callable, optional
        From the index of a row to the number of the line of its file, counted from 1.
    common_unit : bool, default False
        Whether all columns of numbers except the target have one unit, as the pixels of an
        image do.

    Raises
    ------
    DataError
        If the columns differ in length.
    """

    name: str
    columns: Mapping[str, Column]
    line: Callable[[int], int | None] | None = None
    common_unit: bool = False

    def __post_init__(self) -> None:
        lengths = sorted({len(column) for column in self.columns.values()})
        if len(lengths) > 1:
            raise DataError(
                f"the columns of {self.name} must have one length, got {listing(lengths)} rows"
            )

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __repr__(self) -> str:
        return f"<Table {self.name!r}: {len(self):,} rows, {listing(self.columns)}>"

    def column(self, name: str) -> Column:
        """One column.

        Raises
        ------
        DataError
            If the table has no column of this name.
        """
        if name not in self.columns:
            raise DataError(f"{self.name} has no column {name!r}; it has {listing(self.columns)}")
        return self.columns[name]

    def select(self, names: Sequence[str]) -> Table:
        """The table of some columns, in the order of their names.

        Raises
        ------
        DataError
            If columns are absent; the message names them.
        """
        absent = [name for name in names if name not in self.columns]
        if absent:
            raise DataError(
                f"{self.name} lacks {len(absent)} of the {len(names)} columns that are expected: "
                f"{listing(absent)}"
            )
        return replace(self, columns={name: self.columns[name] for name in names})

    def without(self, *names: str) -> Table:
        """The table without some columns."""
        return replace(self, columns={k: v for k, v in self.columns.items() if k not in names})

    def take(self, rows: np.ndarray | slice) -> Table:
        """The table of some rows.

        Parameters
        ----------
        rows : (n,) array of int or bool, or slice
        """
        line = self.line
        if line is not None:
            old = np.arange(len(self))[rows]
            whole = line

            def line(row: int) -> int | None:
                return whole(int(old[row]))

        columns = {name: column.take(rows) for name, column in self.columns.items()}
        return replace(self, columns=columns, line=line)

    def where(self, row: int, column: str) -> str:
        """The place of a cell, as error messages write it."""
        line = None if self.line is None else self.line(int(row))
        place = f"row {int(row) + 1}" if line is None else f"line {line}"
        return f"{self.name}, {place}, column {column!r}"


def listing(names: Iterable[object], limit: int = 12) -> str:
    """Names joined by commas; of a long list the first `limit`, and the number of the others."""
    names = list(names)
    shown = ", ".join(map(str, names[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
