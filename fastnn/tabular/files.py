"""Tables of numbers and text, read from CSV and NPZ files.

Nothing here changes or guesses values: a file with a missing value, a ragged
row or a broken character is refused with its line and column.
"""

from __future__ import annotations

import csv
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

__all__ = ["DataError", "MixedColumnError", "Table", "read_csv", "read_npz"]

_MISSING = frozenset(("", "?", "na", "n/a", "#n/a", "nan", "null", "none", "-nan"))
_DELIMITERS = ",;\t|"
_DECIMAL_COMMA = re.compile(r"[+-]?(\d*|\d{1,3}(\.\d{3})+),\d+(e[+-]?\d+)?", re.IGNORECASE)
_LARGEST_EXACT = 2**53  # integers up to here are exact in float64


class DataError(ValueError):
    """A file or a table cannot be used as data; the message says where and why."""


class MixedColumnError(DataError):
    """A column is mostly numbers, but not all of it is; `column` is its name."""

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of equal length, each of real numbers or of text.

    Attributes
    ----------
    name : str
        What error messages call the table: the name of its file.
    columns : dict of str to (N,) array
    lines : (N,) array of int, optional
        Line of its file on which each row ends, counted from 1.
    common_unit : bool, default False
        Whether all numbers but the target measure one thing, as the pixels of images do.
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

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> np.ndarray:
        """One column.

        Raises
        ------
        DataError
            If there is none of this name.
        """
        if name not in self.columns:
            raise DataError(f"{self.name} has no column {name!r}; it has {listing(self.columns)}")
        return self.columns[name]

    def without(self, name: str) -> Table:
        """The table without one column."""
        return replace(self, columns={k: v for k, v in self.columns.items() if k != name})

    def take(self, rows: np.ndarray) -> Table:
        """The table of some rows, given by index."""
        lines = None if self.lines is None else self.lines[rows]
        return replace(self, columns={k: v[rows] for k, v in self.columns.items()}, lines=lines)

    def where(self, row: int, column: str) -> str:
        """A cell's place as error messages give it."""
        place = f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"
        return f"{self.name}, {place}, column {column!r}"


def listing(names: Any, limit: int = 12) -> str:
    """Names joined by commas, the tail of a long list only counted."""
    names = list(names)
    shown = ", ".join(map(str, names[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def is_number(cell: str) -> bool:
    """Whether a cell's text reads as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def has_decimal_comma(cell: str) -> bool:
    """Whether a cell's text reads as a number with a comma for the decimal point."""
    return _DECIMAL_COMMA.fullmatch(cell.strip()) is not None


# ------------------------------------------------------------------- CSV files


def read_csv(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    text: Sequence[str] = (),
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
) -> Table:
    """A table from a text file of separated values.

    A column whose every cell is a number becomes float64, any other stays text.  One where
    most of the different cells are numbers, decimal commas included, but not all, is refused.
    Blank lines are skipped, cells are stripped of surrounding space, and cells
    with a separator or line break inside are quoted with ``"``.

    Parameters
    ----------
    path : str or path-like
    columns : sequence of str, optional
        Read these columns only, in this order.
    drop : sequence of str
        Columns to leave out; what they hold is not looked at.
    text : sequence of str
        Columns to keep as text even if they hold numbers.
    delimiter : str, optional
        One character; by default the one of ``, ; tab |`` that splits the first line
        into most parts.
    header : bool, optional
        Whether the first line names the columns; by default it does if none of its
        cells is a number.  Without names the columns are column_1, column_2...
    encoding : str, default "utf-8"

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If the file is empty, a row has another number of cells than the first, a
        value is missing or infinite, names repeat, or the text cannot be decoded.
    MixedColumnError
        If a column is mostly numbers but not all of it is; a `DataError`.
    OSError
        If the file cannot be read.
    """
    name = os.path.basename(os.fspath(path))
    names, cells, lines = _read_cells(path, name, delimiter, header, encoding)
    wanted = names if columns is None else list(columns)
    for column in [*wanted, *drop, *text]:
        if column not in names:
            raise DataError(f"{name} has no column {column!r}; it has {listing(names)}")
    wanted = [column for column in wanted if column not in drop]
    if not wanted:
        raise DataError(f"{name} has no columns left")
    typed = {column: _typed(cells[names.index(column)], column in text) for column in wanted}
    table = Table(name, typed, lines)
    _refuse_missing(table)
    _refuse_infinite(table)
    _refuse_mixed(table, text)
    return table


def _read_cells(
    path: str | os.PathLike[str],
    name: str,
    delimiter: str | None,
    header: bool | None,
    encoding: str,
) -> tuple[list[str], list[list[str]], np.ndarray]:
    """Names of the columns, their cells as text, and the line each row ends on."""
    if delimiter is not None and len(delimiter) != 1:
        raise DataError(f"delimiter must be one character, got {delimiter!r}")
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"  # the same, without the mark some programs put in front
    try:
        with open(path, encoding=encoding, newline="") as file:
            delimiter = delimiter or _guess_delimiter(file)
            file.seek(0)
            rows = _rows(file, name, delimiter)
            first = next(rows, None)
            if first is None:
                raise DataError(f"{name} is empty")
            has_header = _looks_like_header(first[1]) if header is None else header
            names = _column_names(first[1], has_header, name)
            body = list(rows) if has_header else [first, *rows]
    except LookupError as error:
        raise DataError(f"unknown encoding {encoding!r}") from error
    except UnicodeError as error:
        raise DataError(
            f"{name} is not {encoding.removesuffix('-sig')} text ({error}): save it as UTF-8, or "
            "name its encoding"
        ) from error
    if not body:
        raise DataError(f"{name} has a header but no rows")
    lines = np.array([line for line, _ in body])
    return names, [list(cells) for cells in zip(*(row for _, row in body), strict=True)], lines


def _guess_delimiter(file: Any) -> str:
    line = next((line for line in file if line.strip()), "")
    bare = re.sub('"[^"]*"', "", line)
    if any(delimiter in bare for delimiter in _DELIMITERS.replace(",", "")):
        bare = re.sub(r"(?<=\d),(?=\d)", "", bare)  # decimal commas, not delimiters
    return max(_DELIMITERS, key=bare.count)


def _rows(file: Any, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row that is not blank, all of one length."""
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    width = None
    try:
        for row in reader:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            width = width or len(row)
            if len(row) != width:
                raise DataError(
                    f"{name}, line {reader.line_num}: {len(row)} columns, expected {width} "
                    "as in the first line"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: {error}") from error


def _looks_like_header(row: Sequence[str]) -> bool:
    return any(cell.strip() for cell in row) and not any(map(_is_numeric_text, row))


def _is_numeric_text(cell: str) -> bool:
    return is_number(cell) or has_decimal_comma(cell)


def _column_names(row: Sequence[str], has_header: bool, table: str) -> list[str]:
    names = [f"column_{i}" for i in range(1, len(row) + 1)]
    if has_header:
        names = [cell.strip() or name for cell, name in zip(row, names, strict=True)]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{table} has {names.count(name)} columns called {name!r}")
    return names


def _typed(cells: list[str], is_text: bool) -> np.ndarray:
    """Cells as float64 if all are numbers, else as stripped text."""
    if not is_text:
        try:
            return np.array(cells, dtype=np.float64)
        except ValueError:
            pass
    return np.array([cell.strip() for cell in cells])


def _refuse_missing(table: Table) -> None:
    places = []
    for name, values in table.columns.items():
        if values.dtype.kind == "f":
            rows = np.flatnonzero(np.isnan(values))
        else:
            texts = [text for text in set(values.tolist()) if text.lower() in _MISSING]
            rows = np.flatnonzero(np.isin(values, texts)) if texts else np.empty(0, np.intp)
        places += [(int(row), name) for row in rows]
    if places:
        others = f" ({len(places)} in the whole table)" if len(places) > 1 else ""
        raise DataError(
            f"{table.where(*min(places))}: missing value{others}; fill it in, remove the row, "
            "or leave the column out"
        )


def _refuse_infinite(table: Table) -> None:
    for column, values in table.columns.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise DataError(f"{table.where(row, column)}: {values[row]}, expected a finite number")


def _refuse_mixed(table: Table, text: Sequence[str]) -> None:
    """Refuse columns of numbers with a slip in them, lest every number become a category."""
    for column, values in table.columns.items():
        if values.dtype.kind == "f" or column in text:
            continue
        different = set(values.tolist())
        if 2 * sum(map(_is_numeric_text, different)) > len(different):
            row = next((i for i, cell in enumerate(values.tolist()) if not is_number(cell)), 0)
            raise MixedColumnError(
                f"{table.where(row, column)}: {not_a_number(values[row])}", column
            )


def not_a_number(cell: str) -> str:
    """What error messages say of a cell that should be a number."""
    hint = " with a decimal point, not a comma" if has_decimal_comma(cell) else ""
    return f"{str(cell)!r}, expected a number{hint}"


# ------------------------------------------------------------------- NPZ files


def read_npz(
    path: str | os.PathLike[str],
    *,
    feature_names: Sequence[str] | None = None,
    target: bool = True,
) -> Table:
    """A table from the arrays ``X`` and ``y`` of an NPZ file.

    Parameters
    ----------
    path : str or path-like
    feature_names : sequence of str, optional
        Names of the columns of X; x_1, x_2... unless given.
    target : bool, default True
        Whether to read ``y``, an (N,) array of numbers or text, as the last column, y.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If the file is not an NPZ file, lacks an array, or holds Python objects, or an
        array has the wrong shape or a value that is not finite.
    OSError
        If the file cannot be read.
    """
    name = os.path.basename(os.fspath(path))
    arrays = _read_arrays(path, name, ("X", "y") if target else ("X",))
    X = arrays["X"]
    if X.ndim != 2 or X.dtype.kind not in "biuf" or X.size == 0:
        raise DataError(
            f"{name}: X is {X.dtype} of shape {X.shape}, expected real numbers of shape "
            "(samples, features)"
        )
    names = list(feature_names or (f"x_{j}" for j in range(1, X.shape[1] + 1)))
    if len(names) != X.shape[1]:
        raise DataError(f"{name}: X has {X.shape[1]} columns, expected {len(names)}")
    columns = {feature: X[:, j] for j, feature in enumerate(names)}
    if target:
        columns["y"] = _target_values(arrays["y"], len(X), name)
    table = Table(name, columns)
    _refuse_infinite(table)
    return table


def _read_arrays(
    path: str | os.PathLike[str], name: str, wanted: Sequence[str]
) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataError(f"{name} is not an NPZ file (numpy.savez makes them)")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as archive:
                for key in wanted:
                    if key not in archive.files:
                        raise DataError(
                            f"{name} has no array {key!r}; it has {listing(archive.files)}"
                        )
                return {key: archive[key] for key in wanted}
        except DataError:
            raise
        except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{name} cannot be read: {error}") from error


def _target_values(y: np.ndarray, n: int, name: str) -> np.ndarray:
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.shape != (n,):
        raise DataError(f"{name}: y has shape {y.shape}, expected ({n},) as X has {n} rows")
    if y.dtype.kind == "S":
        return np.char.decode(y, "utf-8")
    if y.dtype.kind not in "biufU":
        raise DataError(f"{name}: y is {y.dtype}, expected numbers or text")
    if y.dtype.kind in "iu" and (np.abs(y.astype(np.float64)) > _LARGEST_EXACT).any():
        raise DataError(f"{name}: y has integers beyond 2**53; store them as text")
    return y
