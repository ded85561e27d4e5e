"""Sparse matrices of a caller, read and checked once, as rows of numbers that are not zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

if TYPE_CHECKING:
    import scipy.sparse

_REAL_KINDS = "buif"  # bool, signed, unsigned, floating


class SparseRows:
    """Rows of a sparse matrix, which may be chosen like the rows of an array.

    The numbers of row r are ``values[starts[r] : starts[r + 1]]``, in the columns
    ``columns[starts[r] : starts[r + 1]]``, which rise.

    Parameters
    ----------
    values : (n,) array
        Any real dtype.
    columns : (n,) array of int32
    starts : (N + 1,) array of int64
        Not falling, within 0 to n.
    width : int
        Columns of the matrix.

    Attributes
    ----------
    values, columns, starts
        The arrays; other objects may share them.
    shape : (int, int)
    """

    __slots__ = ("columns", "shape", "starts", "values")

    def __init__(
        self, values: np.ndarray, columns: np.ndarray, starts: np.ndarray, width: int
    ) -> None:
        self.values = values
        self.columns = columns
        self.starts = starts
        self.shape = (len(starts) - 1, width)

    ndim = 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        return self.values.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> SparseRows:
        """Some of the rows, chosen by a slice (views) or by indices or flags (copies)."""
        if isinstance(rows, slice) and rows.step in (None, 1):
            start, stop, _ = rows.indices(len(self))
            starts = self.starts[start : max(start, stop) + 1]
            return SparseRows(self.values, self.columns, starts, self.shape[1])
        index = np.arange(len(self))[rows]
        first = self.starts[index]
        counts = self.starts[index + 1] - first
        starts = np.zeros(len(index) + 1, np.int64)
        np.cumsum(counts, out=starts[1:])
        places = np.repeat(first - starts[:-1], counts) + np.arange(starts[-1])
        return SparseRows(self.values[places], self.columns[places], starts, self.shape[1])

    def astype(self, dtype: DTypeLike) -> SparseRows:
        """The rows with numbers of `dtype`; without a copy where they are of it already."""
        first, last = self.starts[0], self.starts[-1]
        if self.values.dtype == dtype and self.values.flags.carray:
            return self
        with np.errstate(over="ignore"):  # beyond the dtype: inf, which `check_finite` reports
            values = self.values[first:last].astype(dtype)
        return SparseRows(values, self.columns[first:last], self.starts - first, self.shape[1])

    def matrix(self) -> scipy.sparse.csr_array:
        """The same as an object of SciPy, which shares the numbers."""
        from scipy.sparse import csr_array

        first, last = self.starts[0], self.starts[-1]
        parts = self.values[first:last], self.columns[first:last], self.starts - first
        return csr_array(parts, shape=self.shape)

    def check_finite(self, name: str, hint: str, dtype: DTypeLike) -> None:
        """Raise ValueError naming the first number that is nan, inf or too large for `dtype`.

        Parameters
        ----------
        name : str
            Name of the argument.
        hint : str
            End of the message.
        dtype : dtype
            The dtype that the numbers will be converted to.
        """
        if self.values.dtype.kind != "f":
            return
        first, last = self.starts[0], self.starts[-1]
        used = self.values[first:last]
        bad = ~(np.abs(used) <= np.finfo(dtype).max)  # True for nan
        if not bad.any():
            return
        place = int(bad.argmax()) + int(first)
        row = int(np.searchsorted(self.starts, place, side="right")) - 1
        number = self.values[place]
        expected = f"finite in {np.dtype(dtype)}" if np.isfinite(number) else "finite"
        end = f"; {hint}" if hint else ""
        raise ValueError(
            f"{name} must be {expected}, got {name}[{row}, {self.columns[place]}] = {number}{end}"
        )


Rows = np.ndarray | SparseRows
"""Rows of numbers, with or without their zeros."""

RowsT = TypeVar("RowsT", np.ndarray, SparseRows, "np.ndarray | SparseRows")
"""One of these types, for what a function returns as it came."""


def is_sparse(values: object) -> bool:
    """Whether `values` is a sparse matrix or array of SciPy."""
    if not hasattr(values, "tocsr"):
        return False
    from scipy.sparse import issparse

    return bool(issparse(values))


def as_sparse_rows(matrix: Any, name: str, width: int) -> SparseRows:
    """A sparse matrix of any format of SciPy as rows, which were checked.

    A matrix in CSR form whose columns rise in each row is not copied, but indices other than
    int32 are.  Of other matrices a sparse copy is made, in which the numbers of one place are
    added.

    Parameters
    ----------
    matrix : sparse matrix or array
        (N, width), with at least one row, of a real dtype.
    name : str
        Name of the argument in error messages.
    width : int

    Raises
    ------
    TypeError
        If the dtype is not real.
    ValueError
        If the shape does not fit, or the arrays of the matrix do not belong together.
    """
    if matrix.dtype.kind not in _REAL_KINDS:
        raise TypeError(f"{name} must hold real numbers, got dtype {matrix.dtype}")
    shape = tuple(matrix.shape)
    if len(shape) != 2 or shape[1] != width:
        raise ValueError(f"{name} must have shape (N, {width}), got {shape}")
    if shape[0] == 0:
        raise ValueError(f"{name} must have at least one row, got none")
    try:
        csr = _in_csr_form(matrix)
        starts = _part(csr.indptr, np.int64, "indptr")
        columns, values = _part(csr.indices, None, "indices"), _part(csr.data, None, "data")
        _check_starts(starts, shape[0], min(len(columns), len(values)))
        columns, values = columns[: starts[-1]], values[: starts[-1]]
        _check_indices(columns, width, "indices")
    except ValueError as error:
        kind = type(matrix).__name__
        raise ValueError(f"{name} must be a valid {kind}, but {error}") from None
    if values.dtype.itemsize == 2 and values.dtype.kind == "f":
        values = values.astype(np.float32)  # SciPy has no sums of float16
    columns = np.require(columns, np.int32, ["C", "A"])
    if not _are_rising(columns, starts):
        starts, columns, values = _summed(values, columns, starts, width)
    return SparseRows(values, columns, starts, width)


def _in_csr_form(matrix: Any) -> Any:
    """The matrix in CSR form; SciPy converts only what was checked: its loops trust indices."""
    if matrix.format == "csr":
        return matrix
    if matrix.format in ("csc", "bsr"):
        matrix.check_format(full_check=True)
        return matrix.tocsr()
    matrix = matrix.tocoo()
    for axis, (indices, size) in enumerate(
        zip((matrix.row, matrix.col), matrix.shape, strict=True)
    ):
        _check_indices(indices, size, ("row", "col")[axis])
        if len(indices) != len(matrix.data):
            raise ValueError(f"{len(matrix.data)} numbers have {len(indices)} indices")
    return matrix.tocsr()


def _part(array: Any, dtype: DTypeLike | None, part: str) -> np.ndarray:
    """One of the arrays of a matrix: a vector in native byte order, side by side."""
    array = np.asarray(array)
    if array.ndim != 1:
        raise ValueError(f"its {part} has {array.ndim} dimensions instead of 1")
    if part != "data" and array.dtype.kind not in "iu":
        raise ValueError(f"its {part} holds {array.dtype} instead of integers")
    native = array.dtype.newbyteorder("=") if dtype is None else dtype
    return np.require(array, native, ["C", "A"])


def _check_starts(starts: np.ndarray, n_rows: int, n_numbers: int) -> None:
    if len(starts) != n_rows + 1:
        raise ValueError(f"its indptr has {len(starts)} entries instead of {n_rows + 1}")
    if starts[0] != 0:
        raise ValueError(f"its indptr starts with {starts[0]} instead of 0")
    falls = starts[1:] < starts[:-1]
    if falls.any():
        row = int(falls.argmax())
        raise ValueError(
            f"its indptr falls: indptr[{row}] = {starts[row]}, indptr[{row + 1}] = "
            f"{starts[row + 1]}"
        )
    if starts[-1] > n_numbers:
        raise ValueError(
            f"its indptr ends with {starts[-1]}, more than the {n_numbers} numbers in indices "
            "and data"
        )


def _check_indices(indices: np.ndarray, size: int, part: str) -> None:
    if len(indices) and (indices.min() < 0 or indices.max() >= size):
        place = int(((indices < 0) | (indices >= size)).argmax())
        raise ValueError(
            f"its {part} must be from 0 to {size - 1}, got {part}[{place}] = {indices[place]}"
        )


def _are_rising(columns: np.ndarray, starts: np.ndarray) -> bool:
    """Whether columns rise within each row."""
    rising = columns[1:] > columns[:-1]
    between = starts[1:-1]
    rising[between[(between > 0) & (between < len(columns))] - 1] = True
    return bool(rising.all())


def _summed(
    values: np.ndarray, columns: np.ndarray, starts: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, columns and values with rising columns; numbers of one place are added."""
    from scipy.sparse import csr_array

    matrix = csr_array((values, columns, starts), shape=(len(starts) - 1, width), copy=True)
    matrix.sum_duplicates()
    return (
        matrix.indptr.astype(np.int64, copy=False),
        matrix.indices.astype(np.int32, copy=False),
        matrix.data,
    )
