"""An orthonormal basis of the columns of a design, in little more memory than its own.

A tall design is processed by blocks of rows: its QR factorisation gives the triangle R, and
X R^-1 is written block by block.  R is as accurate as in a Householder factorisation, but X R^-1 is
orthonormal only as far as X is well-conditioned.  A second pass over X R^-1, whose condition number
is about 1, makes the basis orthonormal to rounding.

References
----------
Yamamoto, Nakatsukasa, Yanagisawa & Fukaya (2015), "Roundoff error analysis of the CholeskyQR2
algorithm", Electronic Transactions on Numerical Analysis 44: why two passes suffice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import lstsq, qr, solve_triangular

from fastnn.stats.linalg.design import block_rows, spans
from fastnn.stats.linalg.solvers import tolerance

_CONSTANT_REST = 1e-18  # of the squared length of a vector of ones


def orthonormal_basis(design: np.ndarray, overwrite: bool = False) -> np.ndarray:
    """Orthonormal columns with the span of the design; their number is its rank.

    Parameters
    ----------
    design : (n, p) array of float64
    overwrite : bool
        Whether the basis may be written into the memory of the design.

    Raises
    ------
    ValueError
        If the space of the residuals has fewer than two dimensions.
    """
    n, p = design.shape
    if n <= block_rows(p):
        columns = _origin_free(design)
        Q, R, _ = qr(columns, mode="economic", pivoting=True, overwrite_a=True, check_finite=False)
        return np.ascontiguousarray(Q[:, : _rank(R, n, p)])
    exponents, shift = _exponents_and_means(design)
    triangle = _triangle(design, exponents, shift)
    length = np.sqrt(np.einsum("ij,ij->j", triangle, triangle))
    triangle[:, length <= tolerance(n, p) * np.hypot(length, np.sqrt(n) * shift)] = 0.0
    triangle /= np.where(length > 0, length, 1.0)
    R, pivots = qr(triangle, mode="r", pivoting=True, check_finite=False)
    rank = _rank(R, n, p)
    independent = pivots[:rank]
    inverse = solve_triangular(R[:rank, :rank], np.eye(rank)) / length[independent, None]
    basis = design if overwrite and rank == p and design.flags.c_contiguous else np.empty((n, rank))
    for start, stop in spans(n, p):
        block = np.ldexp(design[start:stop], -exponents) - shift
        basis[start:stop] = block[:, independent] @ inverse
    unscaled = _triangle(basis, np.zeros(rank, int), np.zeros(rank))
    again = solve_triangular(unscaled, np.eye(rank))
    for start, stop in spans(n, rank):
        basis[start:stop] = basis[start:stop] @ again
    return basis


def _origin_free(design: np.ndarray) -> np.ndarray:
    """Columns of unit length, centred if one of the columns is constant."""
    scaled = unit_columns(design)
    constant = (scaled[0] != 0) & (np.ptp(scaled, axis=0) == 0)
    if constant.any():
        scaled[:, ~constant] = centred_columns(scaled[:, ~constant])
    return scaled


def has_constant(basis: np.ndarray) -> bool:
    """Whether a vector of ones is in the span of an orthonormal basis."""
    rest = 1.0 - basis @ basis.sum(axis=0)
    return bool(rest @ rest <= _CONSTANT_REST * len(basis))


def _rank(R: np.ndarray, n: int, p: int) -> int:
    """Number of independent columns of unit length, from their pivoted factor."""
    rank = int(np.sum(np.abs(np.diag(R)) > tolerance(n, p)))
    if n - rank < 2:
        raise ValueError(
            f"X must have at least two rows more than independent columns (the intercept "
            f"included), got {n} rows and rank {rank}: the statistic has no distribution"
        )
    if rank == 0:
        raise ValueError("X must have a column that is not zero, got none")
    return rank


def _exponents_and_means(design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exponents of powers of two that scale the columns exactly, and means to centre them.

    The scaled columns have sizes below 1, so that squares do not overflow.  The means are those
    of scaled columns, and zero for constant columns or if no column is constant.
    """
    n, p = design.shape
    low, high, mean = design[0].copy(), design[0].copy(), np.zeros(p)
    for start, stop in spans(n, p):
        np.minimum(low, design[start:stop].min(axis=0), out=low)
        np.maximum(high, design[start:stop].max(axis=0), out=high)
    exponents = np.frexp(np.maximum(np.abs(low), np.abs(high)))[1]
    constant = (low == high) & (low != 0)
    if constant.any():
        for start, stop in spans(n, p):
            mean += np.ldexp(design[start:stop], -exponents).sum(axis=0) / n
        mean[constant] = 0.0
    return exponents, mean


def _triangle(matrix: np.ndarray, exponents: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """R of the QR factorisation of a matrix divided by powers of two, less a shift."""
    p = matrix.shape[1]
    triangle = np.zeros((0, p))
    stacked: list[np.ndarray] = []
    rows = 0
    for start, stop in spans(*matrix.shape):
        stacked.append(_factor(np.ldexp(matrix[start:stop], -exponents) - shift))
        rows += len(stacked[-1])
        if rows >= block_rows(p):
            triangle = _factor(np.vstack([triangle, *stacked]))
            stacked, rows = [], 0
    return _factor(np.vstack([triangle, *stacked]))


def _factor(matrix: np.ndarray) -> np.ndarray:
    triangle: Any = np.linalg.qr(matrix, mode="r")
    return np.asarray(triangle)


def auxiliary(y: np.ndarray, X: np.ndarray) -> tuple[float, int]:
    """The residual sum of squares of y regressed on X, and the rank of X.

    Columns are first scaled to unit length, so that the rank does not depend on units.
    """
    X = unit_columns(X)
    least = max(X.shape) * np.finfo(np.float64).eps
    solution, _, rank, _ = lstsq(X, y, cond=least, lapack_driver="gelsy")
    residuals = y - X @ solution
    return float(residuals @ residuals), int(rank)


def centred_columns(X: np.ndarray) -> np.ndarray:
    """A copy with columns of mean zero and unit length; constant columns become zero.

    With a constant, the span is that of X, and it is computed accurately for columns that are far
    from their origin.
    """
    scaled = unit_columns(X)
    centred: np.ndarray = scaled - scaled.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    constant = length <= tolerance(*X.shape)  # the scaled columns have unit length
    centred[:, constant] = 0.0
    centred /= np.where(constant, 1.0, length)
    return centred


def unit_columns(X: np.ndarray) -> np.ndarray:
    """A copy with columns of unit length; columns of zeros stay.

    Columns are first divided by powers of two, without rounding, so that squares do not overflow.
    """
    largest = np.abs(X).max(axis=0)
    scaled: np.ndarray = np.ldexp(X, -np.frexp(largest)[1], order="F")  # as LAPACK wants it
    length = np.linalg.norm(scaled, axis=0)
    scaled /= np.where(length > 0, length, 1.0)
    return scaled
