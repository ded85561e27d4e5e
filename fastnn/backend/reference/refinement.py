"""Least squares in twice the working precision, in plain NumPy.

Products in twice the precision come from ordinary matrix products: operands are cut into
slices of so few bits that every sum is exact.

References
----------
Ozaki, Ogita, Oishi & Rump (2012), "Error-free transformations of matrix multiplication by
using fast routines of matrix multiplication", Numerical Algorithms 59.
"""

from __future__ import annotations

import math

import numpy as np

_BITS = 20  # of a slice
_ROWS = 2048  # of products summed at once: 2^(11 + 2) of 2 * 20 bits fit in the 53 of a double
_SLICES = 4  # the last takes what is left and need not be exact
_CORRECTIONS = 8
_OF_USE = 1e-2  # corrections that have shrunk by this much have improved the solution
_LEAST_EXPONENT = -1000  # smaller numbers keep fewer digits
_RIGHT = 1e-24  # of the largest coefficient in standard errors: small ones are right too
_SPLITTER = 2.0**27 + 1.0
_EXACT = 3  # orders of products that are added with their rounding errors

# Products of slices i and j are of the order i + j, in units of 2^(-20 (i + j + 2)).  Those of
# one order are summed, exactly; of the last order, 2^-140, nothing would be left.
_ORDERS = np.arange(2 * _SLICES - 2)
_ALIKE = (np.add.outer(range(_SLICES), range(_SLICES)).ravel() == _ORDERS[:, None]).astype(float)
_SCALES = _BITS * (_ORDERS[:, None, None] + 2)


class Double2:
    """An array as an unevaluated sum of two doubles, ``high + low``."""

    def __init__(self, high: np.ndarray, low: np.ndarray | None = None) -> None:
        self.high = high
        self.low = np.zeros_like(high) if low is None else low

    def add(self, other: np.ndarray) -> None:
        """Add doubles in place (Knuth's two-sum)."""
        total = self.high + other
        part = total - self.high
        self.low = self.low + ((self.high - (total - part)) + (other - part))
        self.high = total

    def part(self, rows: int, first: int, end: int | None) -> Double2:
        """The first rows of some columns."""
        return Double2(self.high[:rows, first:end], self.low[:rows, first:end])

    def scaled(self, exponents: np.ndarray) -> Double2:
        """Times two to the exponents."""
        return Double2(np.ldexp(self.high, exponents), np.ldexp(self.low, exponents))

    def beside(self, columns: np.ndarray) -> Double2:
        """With more columns, of doubles, to the right."""
        high = np.hstack([self.high, columns])
        return Double2(high, np.hstack([self.low, np.zeros_like(columns)]))

    def rounded(self) -> np.ndarray:
        """The nearest doubles."""
        return self.high + self.low


def product(A: np.ndarray, B: np.ndarray) -> Double2:
    """A B in twice the working precision, relative to the greatest terms of each element."""
    result = Double2(np.zeros((A.shape[0], B.shape[1])))
    for start in range(0, A.shape[1], _ROWS):
        part = slice(start, start + _ROWS)
        _add_product(result, _sliced(A[:, part]), _sliced(B[part].T))
    return result


def add_gram(rows: np.ndarray, high: np.ndarray, low: np.ndarray) -> None:
    """Add rows' rows to high + low; rows has shape (n, q), the others (q, q)."""
    total = Double2(high.copy(), low.copy())
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(rows), _ROWS):
            sliced = _sliced(rows[start : start + _ROWS].T)
            _add_product(total, sliced, sliced)
    high[...], low[...] = total.high, total.low


def _add_product(
    result: Double2, left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]
) -> None:
    """Add A B', both sliced by rows of at most `_ROWS` elements."""
    (rows, A), (columns, B) = left, right
    products = A.reshape(-1, A.shape[2]) @ B.reshape(-1, B.shape[2]).T
    products = products.reshape(_SLICES, A.shape[1], _SLICES, B.shape[1]).transpose(0, 2, 1, 3)
    shape = products.shape[2:]
    alike = (_ALIKE @ products.reshape(_SLICES**2, -1)).reshape(-1, *shape)
    alike = np.ldexp(alike, (rows[:, None] + columns) - _SCALES)
    for part in alike[:_EXACT]:
        result.add(part)
    result.add(alike[_EXACT:].sum(axis=0))  # 2^-100 of the largest: rounding is negligible here


def _sliced(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exponents e of the greatest element of each row, and slices of A.

    A = 2^e (S0 2^-20 + S1 2^-40 + S2 2^-60 + S3 2^-80): the S are integers of at most 20 bits,
    but for the last.
    """
    _, exponents = np.frexp(np.abs(A).max(axis=1))
    exponents = np.maximum(exponents, _LEAST_EXPONENT)
    slices = np.empty((_SLICES, *A.shape))
    rest = np.multiply(A, np.ldexp(1.0, _BITS - exponents)[:, None])
    for i in range(_SLICES - 1):
        np.rint(rest, out=slices[i])
        rest -= slices[i]
        rest *= 2.0**_BITS
    slices[-1] = rest
    return exponents, slices


def correct_least_squares(
    high: np.ndarray,
    low: np.ndarray,
    root: np.ndarray,
    coefficients: np.ndarray,
    covariance: np.ndarray,
    squares: np.ndarray,
) -> bool:
    """Correct coefficients and covariance, and set the residual sums of squares.

    high + low is [X y]'[X y], (p + m, p + m), and root (p, r) such that root root' is about
    (X'X)^-1.  False where corrections do not shrink: nothing has changed then.
    """
    p, m = coefficients.shape
    if p == 0 or m == 0:
        return False
    with np.errstate(all="ignore"):
        # Columns of about unit length, by powers of two: small and large get equal precision.
        _, exponents = np.frexp(np.sqrt(np.diag(high)))
        products = Double2(high, low).scaled(-exponents[:, None] - exponents)
        scale = np.ldexp(1.0, exponents)[:, None]
        root = scale[:p] * root
        before = scale[:p] / scale[p:].T * coefficients
        unknowns = np.hstack([before, root @ root.T])
        found = _corrected(products.part(p, 0, p), products.part(p, p, None), root, unknowns)
        if found is None:
            return False
        x, left = found
        coefficients[...] = x[:, :m] / scale[:p] * scale[p:].T
        covariance[...] = (x[:, m:] + x[:, m:].T) / 2 / scale[:p] / scale[:p].T
        for j in range(m):
            squares[j] = _squares(products, x[:, j], left[:, j], p + j) * scale[p + j, 0] ** 2
    return True


def _corrected(
    G: Double2, sides: Double2, root: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve G x = [sides, I] by corrections root root' ([sides, I] - G x).

    Returns x, rounded, and what is then left of the sides; None if corrections do not shrink.
    """
    sides = sides.beside(np.eye(len(root)))
    scale = np.linalg.norm(root, axis=1)[:, None]  # of coefficients, as their errors are
    x, sizes = Double2(start), [1.0]
    for _ in range(_CORRECTIONS):
        left = _residual(G, sides, x)
        correction = root @ (root.T @ left)
        sizes.append(float(np.max(np.abs(correction / scale) / _size(x.high / scale), initial=0.0)))
        if not sizes[-1] < sizes[-2] / 2:
            # Corrections shrink no more; x is useful if they became much smaller than the first.
            if len(sizes) == 2 or not sizes[-2] < _OF_USE * sizes[1]:
                return None
            break
        old = Double2(x.high, x.low)
        x.add(correction)
        if sizes[-1] ** 2 / sizes[-2] < _RIGHT:  # the size the next one would have
            break
    rounded = x.rounded()
    if len(sizes) > 2:
        return rounded, _residual(G, sides, Double2(rounded))
    # One step so small that its image needs no more than working precision.
    return rounded, left - G.high @ ((rounded - old.high) - old.low)


def _size(x: np.ndarray) -> np.ndarray:
    """Greatest element of each column, 1 for columns of zeros."""
    size = np.abs(x).max(axis=0, initial=0.0)
    return np.where(size > 0, size, 1.0)


def _residual(G: Double2, sides: Double2, x: Double2) -> np.ndarray:
    """What is left of the sides, sides - G x, from twice the precision."""
    image = product(G.high, x.high)
    difference = Double2(sides.high, sides.low - image.low)
    difference.add(-image.high)
    return difference.rounded() - G.high @ x.low - G.low @ x.high


def _squares(products: Double2, b: np.ndarray, left: np.ndarray, j: int) -> float:
    """|y - X b|^2 = y'y - b'X'y - b'(X'y - X'X b), of which the last part is small."""
    p = len(b)
    high, low = _two_product(b, products.high[:p, j])
    terms = [products.high[j, j], products.low[j, j], *-high, *-low]
    terms += [*-(b * products.low[:p, j]), *-(b * left)]
    return max(math.fsum(terms), 0.0)


def _two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounded products a b and their errors (Dekker and Veltkamp)."""
    a_high = _SPLITTER * a - (_SPLITTER * a - a)
    b_high = _SPLITTER * b - (_SPLITTER * b - b)
    a_low, b_low = a - a_high, b - b_high
    rounded = a * b
    error = ((a_high * b_high - rounded) + a_high * b_low + a_low * b_high) + a_low * b_low
    return rounded, error
