"""Checked data of a training, and its batches as an engine reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.arrays import contiguous, is_readable, readable
from fastnn._shared.numbers import check_integer, check_number
from fastnn._shared.sparse import Rows, SparseRows
from fastnn._shared.spread import SpreadRows

Target = tuple[np.ndarray, np.ndarray | None]

_GATHERED_BYTES = 1 << 26
"""Rows that need conversion are gathered this many bytes at a time."""


@dataclass(frozen=True)
class Data:
    """Checked data of N samples: what the inner functions of the package hand to each other.

    Attributes
    ----------
    inputs : sequence of (N, width) array or SparseRows
        One for each input of the program, of any real dtype.
    targets : sequence of (array, weights or None)
        One pair for each loss: (N,) labels or (N, K) rows of any real dtype, and (N,) sample
        weights in the dtype of the program.
    """

    inputs: Sequence[Rows]
    targets: Sequence[Target]

    def __len__(self) -> int:
        return len(self.inputs[0])

    def __sizeof__(self) -> int:
        """Bytes with those of the arrays: schedulers send large arguments once, not by task."""
        columns = [*self.inputs, *(part for pair in self.targets for part in pair)]
        return object.__sizeof__(self) + sum(map(_bytes, columns))

    def rows(self, index: Any) -> Data:
        """Some of the samples, chosen by a slice (views) or by indices (copies)."""
        return Data(
            self.input_rows(index),
            [(t[index], None if w is None else w[index]) for t, w in self.targets],
        )

    def input_rows(self, index: Any) -> list[Rows]:
        """The inputs of some of the samples, as `rows` chooses them."""
        return [x[index] for x in self.inputs]

    def split(self, share: float, shuffle: bool, seed: int) -> tuple[Data, Data]:
        """Data to train on and data for validation; each keeps the order of the rows.

        Parameters
        ----------
        share : float
            Share of the rows for validation, 0 < share < 1; at least one row, and not all.
        shuffle : bool
            True: draw the rows for validation; both parts are copies.  False: take the last
            rows; both parts are views.
        seed : int
            Seed of that draw.

        Raises
        ------
        ValueError
            If the share is out of range, or there is only one row.
        """
        share = check_number(share, "validation_split", above=0.0, below=1.0)
        n = len(self)
        if n < 2:
            raise ValueError(f"validation_split needs at least 2 rows, X has {n}")
        held_out = min(max(round(share * n), 1), n - 1)
        if not shuffle:
            return self.rows(slice(None, n - held_out)), self.rows(slice(n - held_out, None))
        sequence = np.random.SeedSequence(seed, spawn_key=(1,))
        order = np.random.Generator(np.random.PCG64(sequence)).permutation(n)
        return self.rows(np.sort(order[held_out:])), self.rows(np.sort(order[:held_out]))


@dataclass(frozen=True)
class Selection:
    """Some samples of data, which are read where they are: a training on them takes no copy.

    Attributes
    ----------
    data : Data
    index : (n,) array of int
        The samples in their order; one may occur several times.
    """

    data: Data
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    @property
    def targets(self) -> Sequence[Target]:
        """A copy of the targets and weights; see `Data`."""
        index = self.index
        return [(t[index], None if w is None else w[index]) for t, w in self.data.targets]

    def input_rows(self, index: Any) -> list[Rows]:
        """A copy of the inputs of some of these samples, chosen by a slice or by indices."""
        return self.data.input_rows(self.index[index])

    def gathered(self) -> Data:
        """A copy of the samples."""
        return self.data.rows(self.index)


Samples = Data | Selection
"""What a network is trained on and measured on."""


class Batches:
    """The data of a training, cut into batches.

    The engine gathers and converts the rows of a batch itself.  Arrays of types that it cannot
    read are converted here, some batches at a time, and sparse rows once.

    Parameters
    ----------
    data : Data or Selection
    dtype : dtype
        Of the program.
    batch_size : int
        Rows of a batch; the last batch of an epoch takes the rest.

    Raises
    ------
    ValueError
        If the arrays have no common number of rows.
    """

    def __init__(self, data: Samples, dtype: np.dtype, batch_size: int) -> None:
        batch_size = check_integer(batch_size, "batch_size", 1)
        self._index: np.ndarray | None = None
        if isinstance(data, Selection):
            self._index, data = data.index, data.data
        self._inputs = [_column(x, dtype) for x in data.inputs]
        self._targets = [
            (
                _column(t, _target_dtype(t, dtype)),
                None if w is None else _column(contiguous(np.asarray(w), dtype), dtype),
            )
            for t, w in data.targets
        ]
        columns = self._inputs + [c for pair in self._targets for c in pair if c is not None]
        lengths = [len(column.array) for column in columns]
        if not self._inputs or min(lengths) < 1 or len(set(lengths)) > 1:
            raise ValueError(
                "inputs, targets and weights must have one common number of rows, at least 1; "
                f"they have {lengths}"
            )
        self.n_rows = lengths[0] if self._index is None else len(self._index)
        self.batch_size = batch_size = min(batch_size, self.n_rows)  # fits the engine's integers
        self.n_batches = -(-self.n_rows // batch_size)
        self.batch_rows = np.full(self.n_batches, batch_size)
        self.batch_rows[-1] = self.n_rows - batch_size * (self.n_batches - 1)
        self._ready = all(column.ready for column in columns)
        row_bytes = sum(column.row_bytes for column in columns)
        self.max_batches = (
            self.n_batches
            if self._ready
            else max(1, _GATHERED_BYTES // max(1, row_bytes * batch_size))
        )

    def take(
        self, order: np.ndarray | None, first: int, n: int
    ) -> tuple[list[Rows], list[Target], np.ndarray | None]:
        """Inputs, targets and order of `n` batches, counted from batch `first` of the epoch."""
        start = first * self.batch_size
        stop = min(start + n * self.batch_size, self.n_rows)
        rows = slice(start, stop) if order is None else order[start:stop]
        if self._index is not None:
            rows = self._index[rows].astype(np.int64, copy=False)
        if self._ready and isinstance(rows, np.ndarray):
            return *self._rows(slice(None)), rows
        return *self._rows(rows), None

    def _rows(self, rows: object) -> tuple[list[Rows], list[Target]]:
        inputs = [column.take(rows) for column in self._inputs]
        targets = [(t.take(rows), None if w is None else w.take(rows)) for t, w in self._targets]
        return inputs, targets


class Block:
    """Some batches of an epoch whose data come in blocks; see `Batches`.

    Parameters
    ----------
    data : Data
        Arrays that the engine reads as they are.
    order : (n,) array of int64
        The rows of them that the batches have.
    batch_size : int
    """

    def __init__(self, data: Data, order: np.ndarray, batch_size: int) -> None:
        self._data, self._order = data, order
        self.n_rows = len(order)
        self.batch_size = batch_size = min(batch_size, self.n_rows)
        self.n_batches = self.max_batches = -(-self.n_rows // batch_size)
        self.batch_rows = np.full(self.n_batches, batch_size)
        self.batch_rows[-1] = self.n_rows - batch_size * (self.n_batches - 1)

    def take(
        self, order: np.ndarray | None, first: int, n: int
    ) -> tuple[list[Rows], list[Target], np.ndarray | None]:
        """Inputs, targets and order of `n` batches, counted from batch `first` of the block."""
        start = first * self.batch_size
        rows = self._order[start : start + n * self.batch_size]
        return list(self._data.inputs), list(self._data.targets), rows


@dataclass(frozen=True)
class _Column:
    """One array of the data, and the dtype to convert it to if the engine cannot read it."""

    array: Any
    dtype: np.dtype

    @property
    def ready(self) -> bool:
        return isinstance(self.array, SpreadRows) or is_readable(self.array)

    @property
    def row_bytes(self) -> int:
        if isinstance(self.array, SparseRows | SpreadRows):
            return 0
        return self.dtype.itemsize * (self.array.size // max(1, len(self.array)))

    def take(self, rows: Any) -> Any:
        """The given rows as the engine reads them; a view where they are ready and a slice."""
        if isinstance(self.array, SpreadRows):  # which whoever takes the steps fetches
            return self.array[rows]
        return readable(self.array[rows], self.dtype)


def _column(array: Rows, dtype: Any) -> _Column:
    if isinstance(array, SparseRows):
        return _Column(array.astype(dtype), np.dtype(dtype))
    if isinstance(array, SpreadRows):
        return _Column(array, np.dtype(dtype))
    return _Column(np.asarray(array), np.dtype(dtype))


def _bytes(column: Rows | None) -> int:
    """The bytes of the numbers of a column."""
    if column is None:
        return 0
    if isinstance(column, SparseRows):
        return sum(part.nbytes for part in (column.values, column.columns, column.starts))
    return column.nbytes


def _target_dtype(target: np.ndarray, dtype: np.dtype) -> np.dtype:
    """int64 for labels, which are vectors of integers; the program's dtype for all other rows."""
    is_labels = target.ndim == 1 and target.dtype.kind in "iub"
    return np.dtype(np.int64) if is_labels else dtype
