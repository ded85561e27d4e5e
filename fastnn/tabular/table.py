"""Tables: named columns of numbers and of text, and the errors that name their cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["DataError", "MixedColumnError", "Table", "as_table"]

_DECIMAL_COMMA = re.compile(r"[+-]?(\d*|\d{1,3}(\.\d{3})+),\d+(e[+-]?\d+)?", re.IGNORECASE)


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


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of equal length, each of real numbers or of text.

    Parameters
    ----------
    name : str
        Name of the table in error messages; for a file, the name of the file.
    columns : mapping of str to (N,) array
        Arrays of real numbers, booleans or text.
    lines : (N,) array of int, optional
        For each row, the number of the line of its file on which the row ends, counted from 1.
    common_unit : bool, default False
        Whether all columns of numbers except the target have one unit, as the pixels of an
        image do.

    Raises
    ------
    DataError
        If the columns differ in length, or a column has another shape or dtype.
    """

    name: str
    columns: Mapping[str, np.ndarray]
    lines: np.ndarray | None = None
    common_unit: bool = False

    def __post_init__(self) -> None:
        shapes = {np.shape(values) for values in self.columns.values()}
        if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
            raise DataError(
                f"the columns of {self.name} must have one shape (N,), got {listing(shapes)}"
            )
        for name, values in self.columns.items():
            if values.dtype.kind not in "biufU":
                raise DataError(
                    f"{self.name}: column {name!r} has dtype {values.dtype}, expected real "
                    "numbers or text"
                )

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> np.ndarray:
        """One column.

        Raises
        ------
        DataError
            If the table has no column of this name.
        """
        if name not in self.columns:
            raise DataError(f"{self.name} has no column {name!r}; it has {listing(self.columns)}")
        return self.columns[name]

    def without(self, name: str) -> Table:
        """The table without one column."""
        return replace(self, columns={k: v for k, v in self.columns.items() if k != name})

    def take(self, rows: np.ndarray) -> Table:
        """The table of the rows with these indices."""
        lines = None if self.lines is None else self.lines[rows]
        return replace(self, columns={k: v[rows] for k, v in self.columns.items()}, lines=lines)

    def where(self, row: int, column: str) -> str:
        """The place of a cell, as error messages write it."""
        place = f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"
        return f"{self.name}, {place}, column {column!r}"


def as_table(data: Table | Mapping[str, object], name: str = "table") -> Table:
    """`data` as a table; a `Table` is returned as it is.

    Parameters
    ----------
    data : Table, or mapping of str to (N,) array_like
    name : str, default "table"
        Name of the new table in error messages.

    Raises
    ------
    TypeError
        If `data` is neither a table nor a mapping.
    DataError
        If a column has another shape or dtype, or a number that is not finite.
    """
    if isinstance(data, Table):
        return data
    if not isinstance(data, Mapping):
        raise TypeError(
            f"{name} must be a Table or a mapping of column names to arrays, "
            f"got {type(data).__name__}"
        )
    table = Table(name, {str(key): np.asarray(values) for key, values in data.items()})
    if not len(table):
        raise DataError(f"{name} has no rows")
    refuse_infinite(table)
    return table


def is_numeric(values: np.ndarray) -> bool:
    """Whether a column has numbers or booleans; otherwise it has text."""
    return values.dtype.kind in "biuf"


def refuse_infinite(table: Table) -> None:
    """Raise DataError if a number is nan or infinite."""
    for column, values in table.columns.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise DataError(f"{table.where(row, column)}: {values[row]}, expected a finite number")


# ------------------------------------------------------------- text in messages


def listing(names: Iterable[object], limit: int = 12) -> str:
    """Names joined by commas; of a long list the first `limit`, and the number of the others."""
    names = list(names)
    shown = ", ".join(map(str, names[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def is_number(cell: str) -> bool:
    """Whether the text of a cell reads as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def has_decimal_comma(cell: str) -> bool:
    """Whether the text of a cell reads as a number with a comma for the decimal point."""
    return _DECIMAL_COMMA.fullmatch(cell.strip()) is not None


def not_a_number(cell: str) -> str:
    """The part of an error message about a cell that should hold a number."""
    hint = " with a decimal point, not a comma" if has_decimal_comma(cell) else ""
    return f"{str(cell)!r}, expected a number{hint}"
