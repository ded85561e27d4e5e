"""Distributions of the Durbin-Watson statistic, represented by determinants.

The difference matrix A of lag 1 is the Laplacian of a path of n vertices: its eigenvalues are
2 - 2 cos(pi i / n), i = 0, ..., n - 1.  At lag L it is L such paths, interleaved.  With
Q an orthonormal basis of the regressors' space and T = I - 2 s (A - d I), the determinant of T
compressed to the complement of that space is

    det(T) det(Q' T^-1 Q).

The first factor has a closed form, and the second is a determinant of as many rows as Q has
columns.  So the determinant for a million residuals needs neither eigenvalues nor an n x n matrix.

Branches: with z = 1 / (2 s), T = 2 s ((d + z) I - A), and the pivots of (d + z) I - A and of
-Q' ((d + z) I - A)^-1 Q lie in the same half plane as z.  Each pivot of T and of Q' T^-1 Q thus
has an argument below pi: sums of principal logarithms are continuous for s off the real line,
and are 0 at s = 0.
"""

from __future__ import annotations

import numpy as np

from fastnn import backend

_ROUNDING = 1e-17
_EQUAL = 1e-12  # largest variance of eigenvalues that differ by rounding only


def path_eigenvalues(n: int, indices: np.ndarray) -> np.ndarray:
    """2 - 2 cos(pi i / n), without cancellation for small i."""
    return 4 * np.sin(np.pi / 2 * indices / n) ** 2


def log1p(w: np.ndarray) -> np.ndarray:
    """Principal log(1 + w) of complex numbers, accurate near w = 0 and near w = -1."""
    a, b = w.real, w.imag
    square = a * (2 + a) + b * b  # |1 + w|^2 - 1
    # At w = -1, the modulus of 1 + w is limited from below by rounding.
    near = np.log(np.maximum(np.hypot(1 + a, b), _ROUNDING))
    real = np.where(square < -0.5, near, 0.5 * np.log1p(np.maximum(square, -0.5)))
    return real + 1j * np.arctan2(b, 1 + a)


def path_log_det(n: int, s: np.ndarray, d: float) -> np.ndarray:
    """The sum of log(1 - 2 s (lambda_i - d)) over the eigenvalues of a path except the first, 0.

    T is tridiagonal; away from the ends its pivots approach rho, the larger root of
    rho^2 - (1 + 2 s (d - 2)) rho + (2 s)^2 = 0, and with kappa = 2 s / rho

        det(T) = (1 + 2 s d) rho^(n - 1) (1 - kappa^(2 n)) / (1 - kappa^2).
    """
    g = 2 * s
    u, v = np.sqrt(1 + g * d), np.sqrt(1 + g * (d - 4))
    # rho = ((u + v) / 2)^2; its logarithm is small for small s, and is multiplied by n.
    log_rho = 2 * log1p(0.5 * (g * d / (1 + u) + g * (d - 4) / (1 + v)))
    kappa_squared = ((u - v) / (u + v)) ** 2
    with np.errstate(under="ignore"):
        power = kappa_squared**n
    return (n - 1) * log_rho + log1p(-power) - log1p(-kappa_squared)


class PathLaw:
    """The eigenvalues of a path from number `first` to number `last`, both included."""

    def __init__(self, n: int, first: int, last: int) -> None:
        removed = np.concatenate([np.arange(1, first), np.arange(last + 1, n)])
        self._n, self._has_zero = n, first == 0
        self._removed = path_eigenvalues(n, removed)
        self._eigenvalues = None
        if len(removed) > last - first:
            self._eigenvalues = path_eigenvalues(n, np.arange(first, last + 1))
        self.size = last - first + 1
        self.trace = 2.0 * (n - 1) - float(self._removed.sum())
        self.square = 6.0 * n - 8 - float(np.square(self._removed).sum())
        self.low, self.high = path_eigenvalues(n, np.array([first, last])).tolist()

    def log_det(self, s: np.ndarray, d: float) -> np.ndarray:
        """Sum of the principal logarithms of 1 - 2 s (nu_i - d)."""
        if self._eigenvalues is not None:
            return _sum_of_logs(s, self._eigenvalues - d)
        result = path_log_det(self._n, s, d) - _sum_of_logs(s, self._removed - d)
        return result + log1p(2 * s * d) if self._has_zero else result


class RepeatedLaw:
    """Eigenvalues that are listed, each with the number of its repetitions.

    Parameters
    ----------
    eigenvalues : (m,) array
        In ascending order.
    counts : (m,) array of int
        At least 1.
    """

    def __init__(self, eigenvalues: np.ndarray, counts: np.ndarray) -> None:
        self._eigenvalues, self._counts = eigenvalues, counts
        self.size = int(counts.sum())
        self.trace = float(counts @ eigenvalues)
        self.square = float(counts @ np.square(eigenvalues))
        self.low, self.high = float(eigenvalues[0]), float(eigenvalues[-1])

    def log_det(self, s: np.ndarray, d: float) -> np.ndarray:
        """Sum of the principal logarithms of 1 - 2 s (nu_i - d)."""
        logs = log1p(-2 * np.multiply.outer(s, self._eigenvalues - d))
        return np.asarray(logs @ self._counts)


def _sum_of_logs(s: np.ndarray, differences: np.ndarray) -> np.ndarray:
    return log1p(-2 * np.multiply.outer(s, differences)).sum(axis=-1)


class ResidualLaw:
    """The eigenvalues for residuals from the regression on the columns of `basis`.

    Parameters
    ----------
    basis : (n, k) array of float64, C-contiguous
        Orthonormal columns, at least one.
    lag : int
        Below n.
    """

    def __init__(self, basis: np.ndarray, lag: int) -> None:
        n, k = basis.shape
        self._basis, self._lag = basis, lag
        self._paths = [(n // lag + 1, n % lag), (n // lag, lag - n % lag)]  # length, number
        sums = np.empty((2, 1, k))
        backend.kernels(np.float64).squared_differences(basis[np.newaxis], lag, sums)
        self.size = n - k
        self.trace = 2.0 * (n - lag) - float(sums[0].sum())
        full = sum(count * (6.0 * length - 8) for length, count in self._paths if length > 1)
        self.square = full * self.size / n
        longest = max(length for length, count in self._paths if count)
        self.low, self.high = path_eigenvalues(longest, np.array([0, longest - 1])).tolist()

    def log_det(self, s: np.ndarray, d: float) -> np.ndarray:
        """Sum of the principal logarithms of 1 - 2 s (nu_i - d)."""
        result = self._lag * log1p(2 * s * d)
        for length, count in self._paths:
            if count and length > 1:
                result = result + count * path_log_det(length, s, d)
        return result + log_det_by_pivots(self._gram(s, d))

    def _gram(self, s: np.ndarray, d: float) -> np.ndarray:
        """Q' T^-1 Q for each s."""
        k = self._basis.shape[1]
        z = 1 / (2 * s)
        pairs = np.stack([d + z.real, z.imag], axis=1)
        out = np.empty((len(s), k, k, 2))
        backend.kernels(np.float64).difference_resolvent(self._basis, self._lag, pairs, out)
        return z[:, np.newaxis, np.newaxis] * out.view(np.complex128)[..., 0]


def has_one_eigenvalue(basis: np.ndarray, lag: int) -> bool:
    """Whether all eigenvalues of `ResidualLaw` are equal: the statistic is then a constant.

    By the variance of the eigenvalues, from traces of the compressed matrix and of its square.
    """
    n, k = basis.shape
    differences = basis[lag:] - basis[:-lag]
    product = np.zeros_like(basis)  # of the difference matrix and the basis
    product[lag:] += differences
    product[:-lag] -= differences
    within = basis.T @ product
    paths = [n // lag + (i < n % lag) for i in range(lag)]
    squares = sum(6.0 * length - 8 for length in paths if length > 1)
    squares += float(np.sum(within**2)) - 2 * float(np.sum(product**2))
    mean = (2.0 * (n - lag) - float(np.trace(within))) / (n - k)
    return bool(abs(squares / (n - k) - mean**2) <= _EQUAL)


class EigenvalueLaw:
    """The same distribution as `ResidualLaw`, from the eigenvalues of an n x n matrix.

    Elimination without pivoting loses digits where leading blocks of T are nearly singular.
    That happens for unusual regressors (most of them unit vectors) and a statistic close to the end
    of its support.  Eigenvalues are accurate there, but take O(n^3) operations.
    """

    def __init__(self, basis: np.ndarray, lag: int) -> None:
        n, k = basis.shape
        complement = np.linalg.qr(basis, mode="complete")[0][:, k:]
        differences = complement[lag:] - complement[:-lag]
        self._eigenvalues = np.linalg.eigvalsh(differences.T @ differences)
        self.size = n - k
        self.trace = float(self._eigenvalues.sum())
        self.square = float(np.square(self._eigenvalues).sum())
        self.low, self.high = float(self._eigenvalues[0]), float(self._eigenvalues[-1])

    def log_det(self, s: np.ndarray, d: float) -> np.ndarray:
        """Sum of the principal logarithms of 1 - 2 s (nu_i - d)."""
        return _sum_of_logs(s, self._eigenvalues - d)


def log_det_by_pivots(matrices: np.ndarray) -> np.ndarray:
    """Sum of the logarithms of the pivots of symmetric matrices, which are overwritten."""
    total = np.zeros(len(matrices), np.complex128)
    for j in range(matrices.shape[1]):
        pivot = matrices[:, j, j]
        total += np.log(pivot)
        row = matrices[:, j, j + 1 :]
        matrices[:, j + 1 :, j + 1 :] -= (
            row[:, :, np.newaxis] * (row / pivot[:, np.newaxis])[:, np.newaxis, :]
        )
    return total
