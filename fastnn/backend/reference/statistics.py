"""What the Durbin-Watson statistic and its exact law are computed from, in NumPy.

A is the matrix of e' A e = sum (e[t] - e[t - lag])^2.
"""

from __future__ import annotations

import numpy as np


def squared_differences(x: np.ndarray, lag: int, out: np.ndarray) -> None:
    """out[0] = sum over j of (x[:, j] - x[:, j - lag])^2 and out[1] = sum of x[:, j]^2.

    x has shape (outer, n, inner) and any strides; the sums are of float64 in either dtype.
    """
    with np.errstate(all="ignore"):
        # Rows to the end, where NumPy adds pairwise.
        rows = np.moveaxis(x, 1, 2).astype(np.float64, order="C")
        np.square(rows[..., lag:] - rows[..., :-lag]).sum(axis=2, out=out[0])
        np.square(rows).sum(axis=2, out=out[1])


def difference_resolvent(
    columns: np.ndarray, lag: int, shifts: np.ndarray, out: np.ndarray
) -> None:
    """out[s] = Q' (x I - A)^-1 Q for Q = columns and the complex number x = shifts[s].

    Complex numbers are pairs along a last axis.  The elements of each of A's chains are put
    side by side, which makes x I - A one tridiagonal system for LAPACK.
    """
    from scipy.linalg import solve_banded

    n = len(columns)
    order = np.argsort(np.arange(n) % lag, kind="stable")
    joined = (order[1:] == order[:-1] + lag).astype(np.float64)  # both of the same chain?
    q = columns[order].astype(np.complex128)
    banded = np.zeros((3, n), np.complex128)
    banded[0, 1:] = banded[2, :-1] = joined
    degree = np.concatenate([[0], joined]) + np.concatenate([joined, [0]])
    for (re, im), result in zip(shifts.astype(np.float64), out, strict=True):
        banded[1] = complex(re, im) - degree
        product = q.T @ solve_banded((1, 1), banded, q, check_finite=False)
        result[...] = np.stack([product.real, product.imag], axis=-1)
