"""Rows of which each of several processes holds a part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class SpreadRows:
    """Rows (N, width) that several processes hold together; all see the same ones.

    Attributes
    ----------
    own : (n, width) array
        The rows of this process.
    starts : (processes + 1,) array of int64
        Number of the first row of each process among all rows, and the number of all rows.
    gather : callable
        From these rows and some of their numbers to an array, which all processes must call at
        once.
    index : (N,) array of int64, optional
        Which of all rows, in their order; by default all.
    """

    own: np.ndarray
    starts: np.ndarray
    gather: Callable[[SpreadRows, np.ndarray], np.ndarray]
    index: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self.starts[-1]) if self.index is None else len(self.index)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of all rows, and their width."""
        return len(self), self.own.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the rows."""
        return self.own.dtype

    def numbers(self, rows: Any) -> np.ndarray:
        """Numbers among all rows of the given ones: a slice or indices."""
        if self.index is not None:
            return self.index[rows]
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)), dtype=np.int64)
        return np.asarray(rows, np.int64)

    def __getitem__(self, rows: Any) -> SpreadRows:
        if isinstance(rows, slice) and rows == slice(None):
            return self
        return replace(self, index=self.numbers(rows))

    def gathered(self, rows: np.ndarray) -> np.ndarray:
        """The given rows, in every process."""
        return self.gather(self, rows)
