"""Rows of Parquet files, read one piece of a row group at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_integer
from fastnn.training.sources import BUFFER_ROWS, Chunk, Source, SourceError

__all__ = ["ParquetRows"]

_CHUNK_ROWS = 1 << 15
"""Rows that are decoded at a time."""

Path = str | os.PathLike[str]


class ParquetRows(Source):
    """Rows of Parquet files, as training or validation data of `Network.fit`.

    Memory holds the shuffle buffer and a piece of a row group, however long the files are.

    Parameters
    ----------
    paths : path, or sequence of paths
        Files with the same columns; their rows follow each other.
    target : str or sequence of str
        The column of y: numbers, or labels as integers; several columns are the rows of y.
    features : sequence of str, optional
        The columns of X, numbers or flags; by default all others.
    weight : str, optional
        The column of sample weights.
    buffer_rows : int, default 65536
        The shuffle buffer: so many rows are in memory, and a row is shuffled among them.

    Attributes
    ----------
    features, targets : tuple of str
    n_rows : int
        Rows of all files.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    OSError
        If a file cannot be opened.
    SourceError
        If a file is no Parquet file, has no such column, or a column of another type, or no rows.

    Notes
    -----
    The shuffle buffer makes the results independent of the sizes of row groups and of the cut
    between files.  It cannot mix rows that lie much farther apart than `buffer_rows`: shuffle
    files that are sorted by the target before.
    """

    n_rows: int

    def __init__(
        self,
        paths: Path | Sequence[Path],
        target: str | Sequence[str],
        *,
        features: Sequence[str] | None = None,
        weight: str | None = None,
        buffer_rows: int = BUFFER_ROWS,
    ) -> None:
        several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        self._paths = [os.fspath(path) for path in several]
        if not self._paths:
            raise ValueError("paths must name a file, got none")
        self.targets = (target,) if isinstance(target, str) else tuple(target)
        self.buffer_rows = check_integer(buffer_rows, "buffer_rows", 1)
        self._weight = weight
        others = {*self.targets} | ({weight} if weight else set())
        self._stamps = [_stamp(path) for path in self._paths]
        self.n_rows = 0
        for i, path in enumerate(self._paths):
            with _opened(path) as file:
                schema = file.schema_arrow
                if i == 0:
                    chosen = features if features is not None else schema.names
                    self.features = tuple(n for n in chosen if features or n not in others)
                for name in self._columns:
                    _check_column(schema, name, path)
                self.n_rows += file.metadata.num_rows
        if not self.n_rows:
            raise SourceError(f"{self._paths[0]} has no rows")

    @property
    def _columns(self) -> list[str]:
        return [*self.features, *self.targets, *([self._weight] if self._weight else [])]

    def chunks(self) -> Iterator[Chunk]:
        """The chunks of one pass; `SourceError` for a file that has changed or ends early."""
        yield from self._between(0, self.n_rows)

    def part(self, rank: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The rows of one of several processes, in memory: whole row groups, each read once.

        A row group belongs to the process in whose part of the rows it starts, when all rows are
        cut into parts of equal size.  The parts of all processes, one after the other, are all
        rows in their order; they are meant for `Network.fit` with ``partitioned=True``.

        Parameters
        ----------
        rank : int
            Number of the process, from 0.
        size : int
            Number of processes.

        Returns
        -------
        X : (n, n_features) array
            Without rows where there are fewer row groups than processes.
        y : (n,) or (n, n_targets) array
        sample_weight : (n,) array or None
            None if the source has no column of weights.

        Raises
        ------
        SourceError
            If a file has changed, is damaged or ends early.
        ValueError
            If rank is not below size.

        Examples
        --------
        >>> import tempfile, pyarrow as pa, pyarrow.parquet as pq, fastnn as fnn
        >>> path = f"{tempfile.mkdtemp()}/rows.parquet"
        >>> table = pa.table({"a": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0]})
        >>> pq.write_table(table, path, row_group_size=1)
        >>> X, y, sample_weight = fnn.ParquetRows(path, "y").part(1, 2)
        >>> y
        array([5., 6.])
        """
        size = check_integer(size, "size", 1)
        rank = check_integer(rank, "rank", 0)
        if rank >= size:
            raise ValueError(f"rank must be below size, {size}, got {rank}")
        first, end = self.n_rows * rank // size, self.n_rows * (rank + 1) // size
        pieces = list(self._between(first, end))
        if not pieces:
            width = () if len(self.targets) == 1 else (len(self.targets),)
            nothing = np.empty((0, len(self.features))), np.empty((0, *width))
            return *nothing, np.empty(0) if self._weight else None
        weight = np.concatenate([p.sample_weight for p in pieces]) if self._weight else None
        return np.concatenate([p.X for p in pieces]), np.concatenate([p.y for p in pieces]), weight

    def _between(self, first: int, end: int) -> Iterator[Chunk]:
        """The chunks of the row groups that start at these rows."""
        start = 0
        for path, stamp in zip(self._paths, self._stamps, strict=True):
            if _stamp(path) != stamp:
                raise SourceError(f"{path} has changed since the training began")
            with _opened(path) as file:
                for group in range(file.num_row_groups):
                    if first <= start < end:
                        yield from self._group(file, path, group)
                    start += file.metadata.row_group(group).num_rows

    def _group(self, file: Any, path: str, group: int) -> Iterator[Chunk]:
        """The chunks of a row group."""
        where = f"{path}, row group {group}"
        batches = file.iter_batches(
            _CHUNK_ROWS, row_groups=[group], columns=self._columns, use_threads=False
        )
        expected, rows = file.metadata.row_group(group).num_rows, 0
        while True:
            try:
                batch = next(batches, None)
            except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
                raise SourceError(f"{where} cannot be read: {error}") from error
            if batch is None:
                break
            rows += len(batch)
            X = _matrix(batch, self.features, where)
            y = _matrix(batch, self.targets, where, may_be_missing=True)
            weight = _matrix(batch, [self._weight], where)[:, 0] if self._weight else None
            yield Chunk(X, y[:, 0] if y.shape[1] == 1 else y, weight, where, self.features)
        if rows != expected:
            raise SourceError(f"{where} ends after {rows} of {expected} rows")

    def identity(self) -> str:
        """Sizes of the files, columns and buffer."""
        sizes = [size for size, _ in self._stamps]
        return f"parquet {sizes} {self._columns} {self.n_rows}, buffer of {self.buffer_rows} rows"


def _stamp(path: str) -> tuple[int, int]:
    """The size and the time of the last change of a file."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _opened(path: str) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ImportError(
            'Parquet files are read by pyarrow: pip install "fastnn[tables]"'
        ) from error
    try:
        # Without its own cache pyarrow holds one page of each column, and not the row group.
        return ParquetFile(path, buffer_size=1 << 16, pre_buffer=False, memory_map=False)
    except ValueError as error:
        raise SourceError(f"{path} is no Parquet file: {error}") from error


def _check_column(schema: Any, name: str, path: str) -> None:
    """Raise SourceError unless a file has such a column of numbers."""
    from pyarrow import types

    if name not in schema.names:
        raise SourceError(f"{path} has no column {name!r}")
    kind = schema.field(name).type
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise SourceError(f"{path}: column {name!r} must hold numbers, and it holds {kind}")


def _matrix(
    batch: Any, names: Sequence[str], where: str, may_be_missing: bool = False
) -> np.ndarray:
    """Columns of a batch as the columns of a matrix, in their common type."""
    columns = []
    for name in names:
        column = batch.column(batch.schema.names.index(name))
        floats = str(column.type) in ("float", "double", "halffloat")
        if column.null_count and not (may_be_missing and floats):
            raise SourceError(f"{where}: column {name!r} has {column.null_count} missing values")
        columns.append(column.to_numpy(zero_copy_only=False))
    dtype = np.result_type(*columns) if columns else np.dtype(np.float32)
    result = np.empty((len(batch), len(columns)), dtype)
    for j, column in enumerate(columns):
        result[:, j] = column
    return result
