"""Tables from files: CSV, TSV, Parquet, Feather and NPZ, whole or in parts.

Nothing is guessed silently: a row of another length or a byte that cannot be decoded raises an
error that names the line and, where there is one, the column.
"""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from fastnn.tabular.cells import Notation
from fastnn.tabular.delimited import CsvFormat, DelimitedFile
from fastnn.tabular.frames import as_column, as_table, from_arrow, unique_names
from fastnn.tabular.sources import Source, display_name, lacks, refuse_url
from fastnn.tabular.table import DataError, Table, listing

__all__ = ["TableFile", "in_memory", "kind_of", "open_table", "read_csv", "read_npz", "read_table"]

_KINDS = {
    ".npz": "NPZ",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".feather": "Feather",
    ".arrow": "Feather",
    ".ipc": "Feather",
}
_INDEX = "__index_level_"  # columns that pandas writes for an index


class TableFile(Protocol):
    """A file that has a table: `name`, the `names` of its columns, and its rows."""

    name: str
    names: list[str]

    def table(self, columns: Sequence[str] | None = None) -> Table:
        """The table of some columns, by default of all."""

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Table]:
        """The rows in parts."""


def kind_of(path: str | os.PathLike[str]) -> str:
    """The kind of a file by its ending: "NPZ", "Parquet" or "Feather", otherwise "CSV"."""
    return _KINDS.get(os.path.splitext(os.fspath(path).lower())[1], "CSV")


def open_table(path: str | os.PathLike[str], form: CsvFormat | None = None) -> TableFile:
    """A file of any kind, whose rows have not been read yet.

    Parameters
    ----------
    path : str or path-like
        ``-`` is standard input, for CSV.
    form : CsvFormat, optional
        How the cells of a CSV file are written.

    Raises
    ------
    DataError
        If the file is damaged or is none of its kind.
    ImportError
        If it is a Parquet or Feather file, and pyarrow is not installed.
    OSError
        If the file cannot be read.
    """
    refuse_url(path)
    kind = kind_of(path)
    if kind == "CSV":
        return DelimitedFile(Source(path), form or CsvFormat())
    if kind == "NPZ":
        return in_memory(read_npz(path, target=None))
    return _ArrowFile(path, kind)


def read_table(
    path: str | os.PathLike[str], *, columns: Sequence[str] | None = None, **options: Any
) -> Table:
    """Read a table from a file: CSV, TSV, Parquet (.parquet), Feather (.feather) or NPZ (.npz).

    Parameters
    ----------
    path : str or path-like
        ``-`` is standard input.  CSV files may be compressed by gzip, Zstandard, bzip2 or xz.
    columns : sequence of str, optional
        Columns to read, in the order of the table; by default all.
    **options
        Parameters of `read_csv`, for CSV files.

    Returns
    -------
    Table

    Raises
    ------
    TypeError
        If there are options, and the file is no CSV file.
    DataError, ImportError, OSError
        As in `read_csv`, and if pyarrow is absent for Parquet and Feather.
    """
    if kind_of(path) == "CSV":
        return read_csv(path, columns=columns, **options)
    if options:
        raise TypeError(f"{next(iter(options))} is for CSV files, got {display_name(path)}")
    return open_table(path).table(columns)


# ------------------------------------------------------------------- CSV files


def read_csv(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    text: Iterable[str] = (),
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
    missing: Sequence[str] = (),
    decimal: str = ".",
    thousands: str = "",
    percent: bool = False,
    currency: bool = False,
) -> Table:
    """Read a table from a text file of separated values.

    A column has numbers if all its cells are numbers or stand for a missing value (empty, NA, N/A,
    nan, null, None and ?); otherwise it has text, in which only an empty cell is missing.  Blank
    lines are skipped.  Space around a cell is removed.  A cell that contains a delimiter or a line
    break must be quoted with ``"``.  Whole numbers that float64 does not hold exactly are text.

    pyarrow reads the file if it is installed, otherwise Python's csv module, several times slower.

    Parameters
    ----------
    path : str or path-like
        ``-`` is standard input.  The file may be compressed by gzip, Zstandard, bzip2 or xz.
    columns : sequence of str, optional
        Columns to read, in the order of the table; by default all.
    drop : sequence of str
        Columns to ignore; their values are not checked.
    text : iterable of str
        Columns that stay text even if all their cells are numbers.
    delimiter : str, optional
        One character; by default the one of ``, ; tab |`` that occurs most often in the
        first line.
    header : bool, optional
        Whether the first line has the names of the columns; by default it has if none of its
        cells is a number.  Without a header the names are column_1, column_2...
    encoding : str, default "utf-8"
    missing : sequence of str
        Cells that stand for a missing value in every column, also among text.
    decimal : {".", ","}, default "."
        The decimal point.
    thousands : str, default ""
        The character between groups of three digits.
    percent : bool, default False
        Whether ``12 %`` is the number 0.12.
    currency : bool, default False
        Whether a sign of a currency (one of $, €, £, ¥ and ₹) beside a number is ignored.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If the file is empty, a row differs from the first one in its number of cells, two columns
        have one name, or the text cannot be decoded.
    ValueError
        If `decimal` or `thousands` is wrong.
    OSError
        If the file cannot be read.
    """
    notation = Notation(decimal, thousands, percent, currency)
    form = CsvFormat(delimiter, header, encoding, notation, tuple(missing), frozenset(text))
    file = DelimitedFile(Source(path), form)
    return file.table(_selected(file, columns, drop))


def _selected(file: TableFile, columns: Sequence[str] | None, drop: Sequence[str]) -> Sequence[str]:
    """The columns to read; those to drop must exist."""
    known = set(file.names)
    for name in drop:
        if name not in known:
            raise DataError(f"{file.name} has no column {name!r}; it has {listing(file.names)}")
    selected = [name for name in columns or file.names if name not in set(drop)]
    if not selected:
        raise DataError(f"{file.name} has no columns left")
    return selected


# -------------------------------------------------------------- pyarrow's files


class _ArrowFile:
    """A Parquet or Feather file."""

    def __init__(self, path: str | os.PathLike[str], kind: str) -> None:
        try:
            import pyarrow as pa
            from pyarrow import ipc, parquet
        except ImportError as error:
            raise lacks(f"{kind} files", error) from error
        self.name = display_name(path)
        self._path = path
        self._damage = (pa.ArrowException, UnicodeDecodeError, OSError)
        self._open = parquet.ParquetFile if kind == "Parquet" else ipc.open_file
        with open(path, "rb") as file:
            try:
                opened = self._open(file)
                schema = opened.schema_arrow if kind == "Parquet" else opened.schema
                names = [name for name in schema.names if not name.startswith(_INDEX)]
            except self._damage as error:
                raise DataError(f"{self.name} is no {kind} file: {error}") from error
        self.names = unique_names(names, self.name)

    def table(self, columns: Sequence[str] | None = None) -> Table:
        import pyarrow as pa

        selected = self._selected(columns)
        try:
            batches = list(self._batches(selected))
        except self._damage as error:
            raise DataError(f"{self.name} is damaged: {error}") from error
        if not sum(batch.num_rows for batch in batches):
            raise DataError(f"{self.name} has no rows")
        return from_arrow(pa.Table.from_batches(batches).select(selected), self.name)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Table]:
        import pyarrow as pa

        selected = self._selected(columns)
        try:
            for batch in self._batches(selected):
                if batch.num_rows:
                    yield from_arrow(pa.table(batch).select(selected), self.name)
        except self._damage as error:
            raise DataError(f"{self.name} is damaged: {error}") from error

    def _batches(self, columns: list[str]) -> Iterator[Any]:
        """The batches of the file; offsets of damaged ones would lead out of their memory."""
        for batch in self._unchecked(columns):
            batch.validate(full=True)
            yield batch

    def _unchecked(self, columns: list[str]) -> Iterator[Any]:
        with open(self._path, "rb") as file:
            opened: Any = self._open(file)
            if hasattr(opened, "iter_batches"):
                yield from opened.iter_batches(columns=columns)
            else:
                for i in range(opened.num_record_batches):
                    yield opened.get_batch(i)

    def _selected(self, columns: Sequence[str] | None) -> list[str]:
        selected = self.names if columns is None else list(columns)
        for name in selected:
            if name not in self.names:
                raise DataError(f"{self.name} has no column {name!r}; it has {listing(self.names)}")
        return selected


# ------------------------------------------------------------------- NPZ files


class _InMemory:
    """A table that has been read."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.name = table.name
        self.names = list(table.columns)

    def table(self, columns: Sequence[str] | None = None) -> Table:
        return self._table if columns is None else self._table.select(columns)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Table]:
        yield self.table(columns)


def in_memory(table: Table) -> TableFile:
    """A table that has been read, as a file."""
    return _InMemory(table)


def read_npz(
    path: str | os.PathLike[str],
    *,
    feature_names: Sequence[str] | None = None,
    target: bool | None = True,
) -> Table:
    """Read a table from the arrays ``X`` and ``y`` of an NPZ file.

    Parameters
    ----------
    path : str or path-like
    feature_names : sequence of str, optional
        Names of the columns of X; by default x_1, x_2...
    target : bool or None, default True
        Whether to read ``y``, an (N,) array of numbers or text, as the last column, ``y``.  None:
        if the file has it.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If the file is not an NPZ file, an array is absent or has Python objects, or an array
        has another shape.
    OSError
        If the file cannot be read.
    """
    name = display_name(path)
    arrays = _read_arrays(path, name, target)
    X = arrays["X"]
    if X.ndim != 2 or X.dtype.kind not in "biuf" or X.size == 0:
        raise DataError(
            f"{name}: X is {X.dtype} of shape {X.shape}, expected real numbers of shape "
            "(samples, features)"
        )
    if feature_names is not None and len(feature_names) != X.shape[1]:
        raise DataError(f"{name}: X has {X.shape[1]} columns, expected {len(feature_names)}")
    columns = dict(as_table(X, name, feature_names).columns)
    if "y" in arrays:
        columns["y"] = as_column(_target_values(arrays["y"], len(X), name), name)
    return Table(name, columns)


def _read_arrays(
    path: str | os.PathLike[str], name: str, target: bool | None
) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataError(f"{name} is not an NPZ file (numpy.savez makes them)")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as archive:
                has_target = target is True or (target is None and "y" in archive.files)
                keys = ("X", "y") if has_target else ("X",)
                for key in keys:
                    if key not in archive.files:
                        raise DataError(
                            f"{name} has no array {key!r}; it has {listing(archive.files)}"
                        )
                return {key: archive[key] for key in keys}
        except DataError:
            raise
        except (
            ValueError,
            EOFError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
        ) as error:
            raise DataError(f"{name} cannot be read: {error}") from error


def _target_values(y: np.ndarray, n: int, name: str) -> np.ndarray:
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.shape != (n,):
        raise DataError(f"{name}: y must have shape ({n},) as X has {n} rows, got {y.shape}")
    if y.dtype.kind not in "biufUS":
        raise DataError(f"{name}: y is {y.dtype}, expected numbers or text")
    return y
