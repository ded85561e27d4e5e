"""Data that the tests of linear regression share."""

from __future__ import annotations

import numpy as np


def simulated(n=40, k=3, seed=0, responses=None):
    """X (n, k), y (n,) or (n, responses) and weights, with errors that grow along the rows."""
    rng = np.random.default_rng(seed)
    X = rng.normal(2.0, 1.0, (n, k))
    shape = (n,) if responses is None else (n, responses)
    slopes = rng.normal(size=(k, *shape[1:]))
    spread = np.linspace(0.5, 2.0, n).reshape(-1, *[1] * (len(shape) - 1))
    y = 1.0 + X @ slopes + spread * rng.standard_normal(shape)
    return X, y, rng.uniform(0.5, 2.0, n)


def solved(X, y, weights=None):
    """Coefficients with intercept by NumPy, an independent way."""
    A = np.column_stack([np.ones(len(X)), X])
    roots = np.ones(len(X)) if weights is None else np.sqrt(weights)
    return np.linalg.lstsq(A * roots[:, None], (y.T * roots).T, rcond=None)[0]
