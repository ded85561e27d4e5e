"""Arrays of any shape as the matrices that kernels take."""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

Axis = int | tuple[int, ...] | None
"""One axis, several, or all for None; negative ones count from the last."""


def as_rows(array: np.ndarray) -> np.ndarray:
    """The array as a matrix, whose rows are its last axis; a scalar is one row of one element."""
    if array.ndim == 2:
        return array
    width = array.shape[-1] if array.ndim else 1
    return array.reshape(array.size // width if width else 0, width)


def plain(result: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """The result as callers get it: without dimensions and `out`, a scalar."""
    return result[()] if result.ndim == 0 and out is None else result


class Along(NamedTuple):
    """How an array becomes a matrix whose rows run along some of its axes.

    Attributes
    ----------
    shape : tuple of int
        Of the array; that of a scalar is (1,).
    axes : tuple of int
        The axes of a row, ascending.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def others(self) -> tuple[int, ...]:
        """The axes that rows do not run along."""
        return tuple(i for i in range(len(self.shape)) if i not in self.axes)

    @property
    def in_place(self) -> bool:
        """Whether the rows of a C-contiguous array need no copy: their axes are the last."""
        return self.axes == tuple(range(len(self.others), len(self.shape)))

    @property
    def n_columns(self) -> int:
        """Number of elements of a row."""
        return math.prod(self.shape[i] for i in self.axes)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return math.prod(self.shape[i] for i in self.others)

    def rows(self, array: np.ndarray) -> np.ndarray:
        """The rows of an array of this shape, a C-contiguous matrix."""
        moved = array.reshape(self.shape).transpose(self.others + self.axes)
        return np.ascontiguousarray(moved).reshape(self.n_rows, self.n_columns)

    def put(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Write the rows to where they belong in an array of this shape."""
        order = self.others + self.axes
        moved = rows.reshape([self.shape[i] for i in order])
        out.reshape(self.shape).transpose(order)[...] = moved

    def check_columns(self, name: str) -> None:
        """Raise ValueError if a row has no elements."""
        if self.n_columns == 0:
            axes = ", ".join(map(str, self.axes))
            raise ValueError(
                f"{name} must have at least 1 element along axis {axes}, got shape {self.shape}"
            )


def along(array: np.ndarray, axis: Any, name: str) -> Along:
    """The rows of an array along one axis, several or all; a scalar has one axis.

    Raises
    ------
    TypeError
        If an axis is no integer.
    AxisError, ValueError
        If the array has no such axis, or an axis is repeated.
    """
    shape = array.shape or (1,)
    if axis is None:
        return Along(shape, tuple(range(len(shape))))
    axes = tuple(_axis(i, array, name) for i in (axis if isinstance(axis, tuple) else (axis,)))
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis must not be repeated, got {axis}")
    return Along(shape, tuple(sorted(axes)))


def _axis(axis: Any, array: np.ndarray, name: str) -> int:
    """An axis counted from 0."""
    n = max(array.ndim, 1)
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(
            f"axis must be an integer, a tuple of integers or None, got {axis!r}"
        ) from None
    if not -n <= index < n:
        raise np.exceptions.AxisError(
            f"axis must be from {-n} to {n - 1} for {name} of {array.ndim} dimensions, got {index}"
        )
    return index % n
