"""Independent ways to the law of a ratio of quadratic forms, for comparison.

Everything here needs the eigenvalues, which the package does without.
"""

from __future__ import annotations

import mpmath
import numpy as np
from scipy.integrate import quad


def difference_matrix(n, lag=1):
    """A with e' A e = sum (e[t] - e[t - lag])^2."""
    D = np.eye(n)[lag:] - np.eye(n)[:-lag]
    return D.T @ D


def residual_eigenvalues(X, lag=1):
    """Eigenvalues of the difference matrix on the complement of the columns of X."""
    n = len(X)
    U, singular, _ = np.linalg.svd(X)
    rank = int(np.sum(singular > 1e-10 * singular[0]))
    complement = U[:, rank:]
    return np.linalg.eigvalsh(complement.T @ difference_matrix(n, lag) @ complement)


def imhof(eigenvalues, d):
    """P(D < d) by Imhof (1961), his integral along the imaginary axis."""
    c = np.asarray(eigenvalues) - d
    scale = 1 / np.sqrt(np.sum(c * c))

    def integrand(x):  # u = x / (1 - x) in units of the scale
        u = x / (1 - x) * scale
        theta = 0.5 * np.sum(np.arctan(c * u))
        log_rho = 0.25 * np.sum(np.log1p((c * u) ** 2))
        return np.sin(theta) * np.exp(-log_rho) / (x * (1 - x))

    integral = quad(integrand, 0, 1, epsabs=1e-14, epsrel=1e-13, limit=2000)[0]
    return 0.5 - integral / np.pi


def imhof_in_many_digits(eigenvalues, d, digits=60):
    """`imhof` in mpmath: so many digits that a tiny probability has many left."""
    with mpmath.workdps(digits):
        c = [mpmath.mpf(v) - mpmath.mpf(d) for v in eigenvalues]
        scale = 1 / mpmath.sqrt(sum(v * v for v in c))

        def term(x):  # u = scale sinh(x): the trapezoidal rule then converges geometrically
            u = scale * mpmath.sinh(x)
            if not u:
                return scale * sum(c) / 2
            theta = sum(mpmath.atan(v * u) for v in c) / 2
            square = mpmath.fprod(1 + (v * u) ** 2 for v in c)
            return mpmath.sin(theta) / square**0.25 / mpmath.tanh(x)

        h, last = mpmath.mpf(1) / 40, mpmath.mpf(10) ** -(digits - 10)
        total, j = term(mpmath.mpf(0)) / 2, 1
        while True:
            value = term(j * h)
            total += value
            if abs(value) < last and j > 40:
                return mpmath.mpf(1) / 2 - h * total / mpmath.pi
            j += 1
