"""Recursive residuals: standardised errors of the forecast of each row from the rows before."""

from __future__ import annotations

import math

import numpy as np

_NEW = 1e-13  # of the mean size of a row: smaller parts outside the span of earlier rows are zero
_FEWEST = 3


def recursive_residuals(residuals: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Recursive residuals, from least-squares residuals and a basis of the design.

    The triangle of a QR factorisation is extended row by row with rotations; the rotated response
    of a row is its recursive residual.  Rows that are outside the span of the rows before them
    have none.

    Parameters
    ----------
    residuals : (n,) array
    basis : (n, k) array
        Orthonormal columns.

    Returns
    -------
    (n - k,) array

    Raises
    ------
    ValueError
        If n - k is below 3.

    References
    ----------
    Brown, Durbin & Evans (1975), "Techniques for testing the constancy of regression relationships
    over time", Journal of the Royal Statistical Society B 37.
    """
    n, k = basis.shape
    if n - k < _FEWEST:
        raise ValueError(f"{n} rows and {k} coefficients have fewer than 3 recursive residuals")
    least = _NEW / math.sqrt(n)
    triangle = np.zeros((k, k + 1))
    recursive = []
    for row in np.column_stack([basis, residuals]):
        is_new = False
        for j in range(k):
            if abs(row[j]) <= least:
                continue
            pivot = triangle[j, j]
            if pivot == 0:
                triangle[j, j:] = row[j:] * math.copysign(1.0, row[j])
                is_new = True
                break
            length = math.hypot(pivot, row[j])
            c, s = pivot / length, row[j] / length
            earlier = triangle[j, j:].copy()
            triangle[j, j:] = c * earlier + s * row[j:]
            row[j:] = c * row[j:] - s * earlier
        if not is_new:
            recursive.append(row[k])
    return np.array(recursive)
