"""QR factorisation of tall matrices, block of rows by block of rows (TSQR).

Each block is factorised while it is in the cache, and then the stacked triangles of many blocks.
Rows outside the cache are read once.

References
----------
Demmel, Grigori, Hoemmen & Langou (2012), "Communication-optimal parallel and sequential
QR and LU factorizations", SIAM J. Sci. Comput. 34(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

import numpy as np
from scipy.linalg import lapack

from fastnn.stats.linalg.design import block_rows

COLUMNS = 64
"""Columns of LAPACK's workspace, its block size; SciPy's default workspace has room for 3."""

_SMALL = 1024  # elements of a matrix for which the overhead of np.triu dominates


@dataclass(frozen=True)
class Factor:
    """Factor of a design A (n, p) and responses B (n, q), sufficient for least squares.

    Attributes
    ----------
    R : (p, p) array
        Upper triangular, R'R = A'A.
    Z : (p, q) array
        Q'B, where A = QR.
    rest : (q,) array
        Sum of squares of the component of each response that is orthogonal to A.
    """

    R: np.ndarray
    Z: np.ndarray
    rest: np.ndarray


class BlockQR:
    """Accumulates the factor of blocks of rows.

    Parameters
    ----------
    n_columns, n_responses : int
        p and q: every block has p + q columns.

    Notes
    -----
    Triangles are merged in a tree, so that rounding errors grow with the height of the tree and
    not with the number of blocks.
    """

    def __init__(self, n_columns: int, n_responses: int) -> None:
        self._p, self._q = n_columns, n_responses
        self._capacity = block_rows(n_columns + n_responses)
        self._levels: list[list[np.ndarray]] = []
        self._rest = np.zeros(n_responses)

    def add(self, block: np.ndarray) -> None:
        """Add a (rows, p + q) Fortran-ordered array, which is overwritten."""
        self._push(self._reduce(block), 0)

    def factor(self) -> Factor:
        """The factor of all rows so far."""
        p = self._p
        stacked = [part for level in self._levels for part in level]
        if len(stacked) == 1 and len(stacked[0]) == p:
            return Factor(stacked[0][:, :p], stacked[0][:, p:], self._rest.copy())
        whole = np.zeros((p, p + self._q))
        if len(stacked) == 1:
            whole[: len(stacked[0])] = stacked[0]
        elif stacked:
            top = self._reduce(np.asfortranarray(np.vstack(stacked)))
            self._levels = [[top]]
            whole[: len(top)] = top
        return Factor(whole[:, :p], whole[:, p:], self._rest.copy())

    def is_finite(self) -> bool:
        """Whether all numbers so far are finite."""
        parts = [self._rest, *(part for level in self._levels for part in level)]
        return all(isfinite(part.sum()) or np.isfinite(part).all() for part in parts)

    def _push(self, part: np.ndarray, level: int) -> None:
        if level == len(self._levels):
            self._levels.append([])
        stack = self._levels[level]
        stack.append(part)
        if sum(map(len, stack)) >= self._capacity:
            self._levels[level] = []
            self._push(self._reduce(np.asfortranarray(np.vstack(stack))), level + 1)

    def _reduce(self, block: np.ndarray) -> np.ndarray:
        """The rows [R, Q'B] of a block, at most p; squares of the rest of B are summed."""
        p = self._p
        k = min(len(block), p)
        A, B = block[:, :p], block[:, p:]
        if p:
            A, tau, _, info = lapack.dgeqrf(A, COLUMNS * p, overwrite_a=1)
            _check(info, "dgeqrf")
            B, _, info = lapack.dormqr("L", "T", A[:, :k], tau, B, COLUMNS * self._q, overwrite_c=1)
            _check(info, "dormqr")
        self._rest += np.einsum("ij,ij->j", B[k:], B[k:])
        part = np.empty((k, p + self._q))
        part[:, :p] = upper_triangle(A[:k])
        part[:, p:] = B[:k]
        return part


def upper_triangle(A: np.ndarray) -> np.ndarray:
    """The same as `np.triu`; the masks of small matrices are cached."""
    if A.size > _SMALL:
        return np.triu(A)
    return np.where(_upper(*A.shape), A, 0.0)


@lru_cache(maxsize=64)
def _upper(rows: int, columns: int) -> np.ndarray:
    return np.arange(rows)[:, None] <= np.arange(columns)


def _check(info: int, routine: str) -> None:
    if info:
        raise RuntimeError(f"LAPACK's {routine} refused its argument {-info}")


class BlockGram:
    """The same factor by the normal equations: the Cholesky factor of the sum A'A.

    Faster, but its condition number is the square of that of the design.
    """

    def __init__(self, n_columns: int, n_responses: int) -> None:
        self._p = n_columns
        self._gram = np.zeros((n_columns + n_responses,) * 2)

    def add(self, block: np.ndarray) -> None:
        """Add a (rows, p + q) array."""
        self._gram += block.T @ block

    def is_finite(self) -> bool:
        """Whether all numbers so far are finite."""
        return bool(np.isfinite(self._gram).all())

    def factor(self) -> Factor:
        """The factor of all rows so far.

        Raises
        ------
        ValueError
            If A'A is singular to working precision.
        """
        p = self._p
        diagonal = np.sqrt(np.diag(self._gram)[:p])
        scale = np.where(diagonal > 0, diagonal, 1.0)
        R, info = lapack.dpotrf(self._gram[:p, :p] / scale / scale[:, None])
        if info:
            raise ValueError(
                "method='cholesky' would be wrong: X'X is singular to working precision, so "
                "columns of X are dependent or nearly so; method='qr' names them"
            )
        R = np.triu(R) * scale
        Z = np.linalg.solve(R.T, self._gram[:p, p:]) if p else self._gram[:p, p:]
        rest = np.diag(self._gram)[p:] - np.einsum("ij,ij->j", Z, Z)
        return Factor(R, Z, np.maximum(rest, 0.0))
