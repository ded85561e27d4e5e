"""The rows of a source as checked data: in order, or shuffled in a buffer of limited size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fastnn._shared.arrays import is_readable
from fastnn._shared.sparse import SparseRows
from fastnn.training.data import Data, Target
from fastnn.training.session import row_order
from fastnn.training.sources import Chunk, Source, SourceError

__all__ = ["Stream"]


class Stream:
    """Checked rows of a source, for several passes.

    Parameters
    ----------
    source : Source
    check : callable
        From a chunk to checked data; its ValueError and TypeError are completed with the place.
    dtype : dtype
        Of the network: floating-point inputs are kept in it.
    """

    def __init__(self, source: Source, check: Callable[[Chunk], Data], dtype: np.dtype) -> None:
        self.source = source
        self._check = check
        self._dtype = dtype
        self._layout: list[str] = []
        self._n_inputs = 0

    def _pieces(self) -> Iterator[list[np.ndarray | None]]:
        """The columns of each chunk: inputs, then targets and weights in turn."""
        empty = True
        for chunk in self.source.chunks():
            try:
                data = self._check(chunk)
            except (TypeError, ValueError) as error:
                raise SourceError(f"{chunk.where}: {error}{_named(chunk)}") from error
            inputs = [column for column in data.inputs if not isinstance(column, SparseRows)]
            if len(inputs) < len(data.inputs):
                raise SourceError(f"{chunk.where}: a source takes no sparse X")
            columns = [*inputs, *(part for pair in data.targets for part in pair)]
            self._check_layout(columns, chunk)
            empty = False
            self._n_inputs = len(inputs)
            yield [self._kept(c, i < len(inputs)) for i, c in enumerate(columns)]
        if empty:
            raise SourceError("the source has no rows")

    def _check_layout(self, columns: Sequence[np.ndarray | None], chunk: Chunk) -> None:
        """Raise SourceError if a chunk has other widths or dtypes than the first one."""
        layout = [
            "nothing" if c is None else f"{c.dtype} of width {c.shape[1] if c.ndim > 1 else 1}"
            for c in columns
        ]
        self._layout = self._layout or layout
        for before, now in zip(self._layout, layout, strict=True):
            if before != now:
                raise SourceError(
                    f"{chunk.where}: all chunks must have the same columns and dtypes, got {now} "
                    f"where the first chunk has {before}"
                )

    def _kept(self, column: np.ndarray | None, is_input: bool) -> np.ndarray | None:
        """A column as the engine reads it; inputs take no more memory than the network needs."""
        if column is None or (is_readable(column) and not (is_input and column.dtype.kind == "f")):
            return column
        return column.astype(self._dtype, copy=False)

    def blocks(self, rows: int) -> Iterator[Data]:
        """All rows in order, `rows` at a time, whatever the sizes of the chunks."""
        buffer = _Buffer(rows)
        for piece in self._pieces():
            start = 0
            while start < _length(piece):
                if buffer.is_full:
                    yield self._data(buffer.columns)
                    buffer.clear()
                start += buffer.put(piece, start)
        yield self._data([c if c is None else c[: buffer.filled] for c in buffer.columns])

    def shuffled(self, batch_size: int, seed: int, epoch: int) -> Iterator[tuple[Data, np.ndarray]]:
        """All rows of an epoch in random order.

        The buffer is filled; then about half of its rows, drawn at random, are given out, and
        the next rows of the source take their places; at the end the rest is given out.  The
        order depends on the seed, the epoch, the buffer and the size of batches alone.  Where the
        buffer holds all rows, it is the order of a training in memory.

        Yields
        ------
        data : Data
            The buffer, valid until the next block.
        order : array of int64
            The rows of it that are next; whole batches, but for the last block.
        """
        buffer = _Buffer(self.source.buffer_rows)
        given_out = max(1, buffer.size // 2 // batch_size) * batch_size
        turn = 0
        for piece in self._pieces():
            start = 0
            while start < _length(piece):
                if buffer.is_full:
                    order = _draw(seed, epoch, turn).permutation(buffer.size)[:given_out]
                    yield self._data(buffer.columns), order
                    buffer.free(order)
                    turn += 1
                start += buffer.put(piece, start)
        rest = buffer.occupied()
        order = row_order(len(rest), seed, epoch)
        if turn:
            order = rest[_draw(seed, epoch, turn).permutation(len(rest))]
        yield self._data(buffer.columns), order

    def _data(self, columns: Sequence[np.ndarray | None]) -> Data:
        inputs = [c for c in columns[: self._n_inputs] if c is not None]
        rest = columns[self._n_inputs :]
        targets: list[Target] = [
            (target, weights)
            for target, weights in zip(rest[::2], rest[1::2], strict=True)
            if target is not None
        ]
        return Data(inputs, targets)


class _Buffer:
    """Columns with a fixed number of rows, which are filled in an order of their places."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.columns: list[np.ndarray | None] = []
        self.clear()

    def clear(self) -> None:
        """Forget all rows."""
        self.free(np.arange(self.size))

    def free(self, places: np.ndarray) -> None:
        """Let the next rows take these places."""
        self._places, self.filled = places, 0

    @property
    def is_full(self) -> bool:
        return self.filled == len(self._places)

    def put(self, piece: Sequence[np.ndarray | None], start: int) -> int:
        """Take rows of a piece from `start` on; returns how many there was room for."""
        if not self.columns:
            self.columns = [
                None if c is None else np.empty((self.size, *c.shape[1:]), c.dtype) for c in piece
            ]
        n = min(len(self._places) - self.filled, _length(piece) - start)
        places = self._places[self.filled : self.filled + n]
        for column, values in zip(self.columns, piece, strict=True):
            if column is not None and values is not None:
                column[places] = values[start : start + n]
        self.filled += n
        return n

    def occupied(self) -> np.ndarray:
        """The places that hold a row, in rising order."""
        has_row = np.ones(self.size, bool)
        has_row[self._places[self.filled :]] = False
        return np.flatnonzero(has_row)


def _length(piece: Sequence[np.ndarray | None]) -> int:
    first = piece[0]
    assert first is not None
    return len(first)


def _draw(seed: int, epoch: int, turn: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch, turn])))


def _named(chunk: Chunk) -> str:
    """The name of the first column of X with a number that is not finite, for an error."""
    if not chunk.columns:
        return ""
    bad = np.flatnonzero(~np.isfinite(np.asarray(chunk.X)).all(axis=0))
    return f" (column {chunk.columns[bad[0]]!r})" if len(bad) else ""
