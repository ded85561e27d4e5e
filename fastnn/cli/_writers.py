"""Predictions as CSV and as Parquet, part by part."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np

from fastnn._shared.text import printable
from fastnn.tabular.sources import lacks

Columns = dict[str, tuple[np.ndarray, str]]
"""Columns by name: values, and the format of a number as text, "" for classes."""


def is_parquet(path: str) -> bool:
    """Whether predictions are written as Parquet, by the ending of a path."""
    return path.lower().endswith((".parquet", ".pq"))


def csv_parts(parts: Iterator[Columns]) -> Iterator[bytes]:
    """The bytes of a CSV file in UTF-8."""
    for i, columns in enumerate(parts):
        text = io.StringIO(newline="")
        _write_rows(text, columns, has_header=i == 0)
        yield text.getvalue().encode()


def csv_lines(file: TextIO, parts: Iterator[Columns]) -> None:
    """Write CSV to a stream; a terminal gets escapes for what it would obey."""
    for i, columns in enumerate(parts):
        _write_rows(file, columns, has_header=i == 0, escapes=file.isatty())


def _write_rows(file: TextIO, columns: Columns, has_header: bool, escapes: bool = False) -> None:
    names = list(columns)
    cells = [
        [format(value, form) for value in values.tolist()]
        if form
        else list(map(str, values.tolist()))
        for values, form in columns.values()
    ]
    if escapes:
        names = [printable(name) for name in names]
        cells = [[printable(cell) for cell in column] for column in cells]
    writer = csv.writer(file, lineterminator="\n")
    if has_header:
        writer.writerow(names)
    writer.writerows(zip(*cells, strict=True))


class _Sink(io.RawIOBase):
    """A file whose bytes are taken out as they are written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def take(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        return parts


def parquet_parts(parts: Iterator[Columns]) -> Iterator[bytes]:
    """The bytes of a Parquet file, with a group of rows for each part.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise lacks("Parquet files", error) from error
    sink = _Sink()
    writer = None
    for columns in parts:
        table = pa.table({name: pa.array(values) for name, (values, _) in columns.items()})
        if writer is None:
            writer = parquet.ParquetWriter(sink, table.schema)
        writer.write_table(table)
        yield from sink.take()
    if writer is not None:
        writer.close()
    yield from sink.take()
