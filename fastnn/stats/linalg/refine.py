"""Least squares to nearly full precision, for problems of moderate size.

The normal equations G b = c are formed in twice the working precision, and so are their
residuals.  The triangular factor from double precision is accurate enough to correct b by these
residuals until the corrections vanish.  The remaining relative error is about 2^-106 times the
squared condition number.

References
----------
Björck (1996), Numerical Methods for Least Squares Problems, section 6.6.
Dekker (1971), "A floating-point technique for extending the available precision", Numerische
Mathematik 18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import backend
from fastnn.backend.reference import refinement
from fastnn.stats.linalg.design import Design
from fastnn.stats.linalg.solvers import Solution

if TYPE_CHECKING:
    from fastnn.backend.protocol import Kernels

_COLUMNS = 64  # with more columns, BLAS is faster than the compiled kernels of twofold sums
_SPLIT = 2.0**27 + 1  # splits the 53 bits of a float64


def refined(
    solution: Solution, design: Design, response: np.ndarray, weights: np.ndarray | None
) -> Solution:
    """The solution with coefficients, covariance and residual sums of squares corrected.

    The solution is returned unchanged where the corrections do not shrink: the factor was then too
    inaccurate, or squares of the numbers overflow.
    """
    n_columns, m = design.shape[1], response.shape[1]
    kernels: Any = refinement
    if n_columns + m <= _COLUMNS:
        kernels = backend.kernels(np.float64)
    high, low = _gram(kernels, design, response, weights)
    included: Any = slice(None)
    square: Any = ...
    if solution.left_out:
        included = np.delete(np.arange(n_columns), solution.left_out)
        square = np.ix_(included, included)
        places = np.append(included, np.arange(n_columns, n_columns + m))
        high, low = high[np.ix_(places, places)], low[np.ix_(places, places)]
    root = np.ascontiguousarray(solution.root[included])
    coefficients = np.array(solution.coefficients[included], order="C")
    covariance, squares = np.empty((len(root),) * 2), np.empty(m)
    if not kernels.correct_least_squares(high, low, root, coefficients, covariance, squares):
        return solution
    if solution.left_out:
        whole, spread = solution.coefficients.copy(), solution.covariance.copy()
        whole[included], spread[square] = coefficients, covariance
        coefficients, covariance = whole, spread
    return solution.corrected(coefficients, covariance, squares)


def _gram(
    kernels: Kernels, design: Design, response: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """[X y]'W[X y] as a sum of two matrices."""
    p = design.shape[1]
    high, low = np.zeros((2, *(p + response.shape[1],) * 2))
    for place, block in design.blocks():
        rows = np.empty((len(block), len(high)))
        rows[:, :p] = block
        rows[:, p:] = response[place]
        if weights is None:
            kernels.add_gram(rows, high, low)
            continue
        rows, rounding = _times_roots(rows, weights[place])
        kernels.add_gram(rows, high, low)
        cross = rows.T @ rounding
        low += cross + cross.T
    return high, low


def _times_roots(rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows times the square roots of weights, in twice the working precision.

    As a sum of two matrices: the rounded product, and its rounding error with that of the roots.
    """
    roots = np.sqrt(weights)
    squares, errors = _product(roots, roots)
    remainders = ((weights - squares) - errors) / (2 * roots)  # of the roots, by Newton's step
    products, errors = _product(rows, roots[:, None])
    return products, errors + rows * remainders[:, None]


def _product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The product a * b and its rounding error (Dekker 1971), for numbers below 1e290."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _halves(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two summands of 26 bits each."""
    shifted = _SPLIT * values
    high = shifted - (shifted - values)
    return high, values - high
