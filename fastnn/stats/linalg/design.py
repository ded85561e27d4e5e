"""The design matrix, read by blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_BLOCK_ELEMENTS = 1 << 16  # half a MiB of float64, about the size of a second-level cache
_LEAST_ROWS = 256


def block_rows(width: int) -> int:
    """Rows of a block that fits in the cache and is large enough to amortise overhead."""
    return max(_LEAST_ROWS, 8 * width, _BLOCK_ELEMENTS // max(width, 1))


def spans(n: int, width: int) -> Iterator[tuple[int, int]]:
    """Bounds of consecutive blocks of rows."""
    step = block_rows(width)
    return ((start, min(start + step, n)) for start in range(0, n, step))


class Design:
    """X in float64, with a column of ones in front if there is an intercept.

    Parameters
    ----------
    X : (n, k) array of real numbers
        Of any real dtype and any strides.
    intercept : bool
    copy : bool
        Whether to copy X at once, so that later changes of `X` have no effect.
        Without a copy, blocks are converted from `X` whenever they are needed.
    """

    def __init__(self, X: np.ndarray, intercept: bool, copy: bool) -> None:
        self.intercept = intercept
        self.shape = (X.shape[0], X.shape[1] + intercept)
        self._source = X
        self._matrix: np.ndarray | None = None
        if copy:
            self._matrix = self._rows(0, self.shape[0])
            del self._source

    @property
    def matrix(self) -> np.ndarray:
        """The (n, p) matrix; computed on each access if X was not copied."""
        return self.rows(0, self.shape[0])

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The rows start <= i < stop, which must not be written to."""
        if self._matrix is not None:
            return self._matrix[start:stop]
        return self._rows(start, stop)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows in order, in blocks that fit in the cache, each with its slice."""
        for start, stop in spans(*self.shape):
            yield slice(start, stop), self.rows(start, stop)

    def times(self, coefficients: np.ndarray) -> np.ndarray:
        """The (n, m) product with (p, m) coefficients."""
        if self._matrix is not None:
            return self._matrix @ coefficients
        product = np.empty((self.shape[0], coefficients.shape[1]))
        for place, block in self.blocks():
            np.matmul(block, coefficients, out=product[place])
        return product

    def _rows(self, start: int, stop: int) -> np.ndarray:
        rows = np.empty((stop - start, self.shape[1]))
        rows[:, : self.intercept] = 1.0
        # By blocks, so that the columns of a table are transposed within the cache.
        for first, last in spans(stop - start, self.shape[1]):
            rows[first:last, self.intercept :] = self._source[start + first : start + last]
        return rows
