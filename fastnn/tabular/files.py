"""Reading tables from CSV and NPZ files.

No value is changed or guessed: a missing value, a row of another length or a byte that cannot
be decoded raises an error that names the line and, where there is one, the column.
"""

from __future__ import annotations

import csv
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import TextIO

import numpy as np

from fastnn.tabular.cells import Notation, numbers, resembles_number
from fastnn.tabular.frames import as_column, merged, unique_names
from fastnn.tabular.table import Column, DataError, Numbers, Table, Texts, listing

__all__ = ["read_csv", "read_npz"]

_DELIMITERS = ",;\t|"
_LARGEST_EXACT = 2**53  # integers up to here are exact in float64


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
    """Read a table from a text file of separated values.

    A column becomes float64 if all its cells are numbers; otherwise it stays text.  A column in
    which more than half of the distinct values are numbers (with a decimal point or a decimal
    comma), but not all, raises an error.  Blank lines are skipped.  Space around a cell is
    removed.  A cell that contains a delimiter or a line break must be quoted with ``"``.

    Parameters
    ----------
    path : str or path-like
    columns : sequence of str, optional
        Columns to read, in the order of the table; by default all.
    drop : sequence of str
        Columns to ignore; their values are not checked.
    text : sequence of str
        Columns that stay text even if all their cells are numbers.
    delimiter : str, optional
        One character; by default the one of ``, ; tab |`` that occurs most often in the
        first line.
    header : bool, optional
        Whether the first line has the names of the columns; by default it has if none of its
        cells is a number.  Without a header the names are column_1, column_2...
    encoding : str, default "utf-8"

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If the file is empty, a row differs from the first one in its number of cells, a value
        is missing or infinite, two columns have one name, or the text cannot be decoded.
    MixedColumnError
        If most values of a column are numbers, but not all; it is a `DataError`.
    OSError
        If the file cannot be read.
    """
    name = os.path.basename(os.fspath(path))
    names, cells, lines = _read_cells(path, name, delimiter, header, encoding)
    selected = names if columns is None else list(columns)
    for column in [*selected, *drop, *text]:
        if column not in names:
            raise DataError(f"{name} has no column {column!r}; it has {listing(names)}")
    selected = [column for column in selected if column not in drop]
    if not selected:
        raise DataError(f"{name} has no columns left")
    typed = {column: _typed(cells[names.index(column)], column in text) for column in selected}
    return Table(name, typed, lambda row: int(lines[row]))


def _read_cells(
    path: str | os.PathLike[str],
    name: str,
    delimiter: str | None,
    header: bool | None,
    encoding: str,
) -> tuple[list[str], list[list[str]], np.ndarray]:
    """The names of the columns, their cells as text, and the last line of each row."""
    if delimiter is not None and len(delimiter) != 1:
        raise DataError(f"delimiter must be one character, got {delimiter!r}")
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"  # UTF-8 that ignores a byte order mark
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


def _guess_delimiter(file: TextIO) -> str:
    """The delimiter that occurs most often in the first line, quoted cells ignored."""
    line = next((line for line in file if line.strip()), "")
    bare = re.sub('"[^"]*"', "", line)
    if any(delimiter in bare for delimiter in _DELIMITERS.replace(",", "")):
        bare = re.sub(r"(?<=\d),(?=\d)", "", bare)  # decimal commas, not delimiters
    return max(_DELIMITERS, key=bare.count)


def _rows(file: TextIO, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line number and the cells of each row that is not blank; all rows have one length."""
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
    return any(cell.strip() for cell in row) and not any(map(resembles_number, row))


def _column_names(row: Sequence[str], has_header: bool, table: str) -> list[str]:
    names = [f"column_{i}" for i in range(1, len(row) + 1)]
    if has_header:
        names = [cell.strip() or name for cell, name in zip(row, names, strict=True)]
    return unique_names(names, table)


def _typed(cells: list[str], is_text: bool) -> Column:
    """Cells as numbers if all are numbers or missing; otherwise as text."""
    texts = as_column(cells, "")
    assert isinstance(texts, Texts)
    if not is_text:
        values, slip = numbers(texts.levels, Notation())
        if slip is None:
            return Numbers(values[texts.codes])
    levels = [level.strip() or None for level in texts.levels]
    return merged(texts.codes, levels, "text" if is_text else "cells")


# ------------------------------------------------------------------- NPZ files


def read_npz(
    path: str | os.PathLike[str],
    *,
    feature_names: Sequence[str] | None = None,
    target: bool = True,
) -> Table:
    """Read a table from the arrays ``X`` and ``y`` of an NPZ file.

    Parameters
    ----------
    path : str or path-like
    feature_names : sequence of str, optional
        Names of the columns of X; by default x_1, x_2...
    target : bool, default True
        Whether to read ``y``, an (N,) array of numbers or text, as the last column, ``y``.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If the file is not an NPZ file, an array is absent or has Python objects, or an array
        has another shape or a number that is not finite.
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
    columns = {feature: as_column(X[:, j], name) for j, feature in enumerate(names)}
    if target:
        columns["y"] = as_column(_target_values(arrays["y"], len(X), name), name)
    return Table(name, columns)


def _read_arrays(
    path: str | os.PathLike[str], name: str, keys: Sequence[str]
) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataError(f"{name} is not an NPZ file (numpy.savez makes them)")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as archive:
                for key in keys:
                    if key not in archive.files:
                        raise DataError(
                            f"{name} has no array {key!r}; it has {listing(archive.files)}"
                        )
                return {key: archive[key] for key in keys}
        except DataError:
            raise
        except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{name} cannot be read: {error}") from error


def _target_values(y: np.ndarray, n: int, name: str) -> np.ndarray:
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.shape != (n,):
        raise DataError(f"{name}: y must have shape ({n},) as X has {n} rows, got {y.shape}")
    if y.dtype.kind == "S":
        return np.char.decode(y, "utf-8")
    if y.dtype.kind not in "biufU":
        raise DataError(f"{name}: y is {y.dtype}, expected numbers or text")
    if y.dtype.kind in "iu" and (np.abs(y.astype(np.float64)) > _LARGEST_EXACT).any():
        raise DataError(f"{name}: y has integers beyond 2**53; store them as text")
    return y
