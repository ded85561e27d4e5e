"""Covariance of coefficients where errors are autocorrelated: kernels, bandwidths, prewhitening.

References
----------
Andrews (1991), "Heteroskedasticity and autocorrelation consistent covariance matrix
estimation", Econometrica 59.
Andrews & Monahan (1992), "An improved heteroskedasticity and autocorrelation consistent covariance
matrix estimator", Econometrica 60: prewhitening.
Newey & West (1994), "Automatic lag selection in covariance matrix estimation", Review of
Economic Studies 61.
Zeileis (2004), "Econometric computing with HC and HAC covariance matrix estimators", J.
Statistical Software 11(10): the conventions of R's sandwich, which are those of this module.
"""

from __future__ import annotations

from typing import Any

import numpy as np

KERNELS = ("bartlett", "parzen", "uniform", "tukey-hanning", "quadratic-spectral")
RULES = ("newey-west", "andrews")
_NEGLIGIBLE = 1e-7  # weights of lags below this are left out, as sandwich does
_DIRECT = 64  # largest number of lags that are added one by one
_ANDREWS = {  # factor, and the order at zero, of the bandwidth of each kernel
    "bartlett": (1.1447, 1),
    "parzen": (2.6614, 2),
    "uniform": (0.6611, 2),
    "tukey-hanning": (1.7462, 2),
    "quadratic-spectral": (1.3221, 2),
}
_RATES = {"bartlett": 2 / 9, "parzen": 4 / 25, "quadratic-spectral": 2 / 25}


def kernel_values(kernel: str, x: np.ndarray) -> np.ndarray:
    """The kernel at the ratios x >= 0 of lags to the bandwidth."""
    if kernel == "quadratic-spectral":
        z = 1.2 * np.pi * np.where(x > 0, x, 1.0)
        return np.where(x > 0, 3 / z**2 * (np.sin(z) / z - np.cos(z)), 1.0)
    if kernel == "bartlett":
        inside = 1 - x
    elif kernel == "parzen":
        inside = np.where(x <= 0.5, 1 - 6 * x**2 + 6 * x**3, 2 * (1 - x) ** 3)
    elif kernel == "tukey-hanning":
        inside = (1 + np.cos(np.pi * x)) / 2
    else:
        inside = np.ones_like(x)
    return np.where(x <= 1, inside, 0.0)


def weights_of_lags(kernel: str, bandwidth: float, n: int) -> np.ndarray:
    """Weights of the lags 0, 1, ...; the last one is not negligible."""
    if bandwidth <= 0:
        return np.ones(1)
    weights = kernel_values(kernel, np.arange(n) / bandwidth)
    return weights[: np.flatnonzero(np.abs(weights) > _NEGLIGIBLE)[-1] + 1]


def prewhitened(scores: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of a vector autoregression of the scores, and (I - sum of its matrices)^-1.

    Parameters
    ----------
    scores : (n, r) array
    order : int
        The autoregression is fitted by least squares without a constant.

    Raises
    ------
    ValueError
        If there are too few rows, or the scores do not return to zero.
    """
    n, r = scores.shape
    if n - order <= order * r:
        raise ValueError(
            f"prewhiten={order} needs more than {order * (r + 1)} rows for {r} coefficients, "
            f"got {n}"
        )
    before = np.hstack([scores[order - j : n - j] for j in range(1, order + 1)])
    transition = np.linalg.lstsq(before, scores[order:], rcond=None)[0]
    total = transition.reshape(order, r, r).sum(axis=0).T
    gap = np.eye(r) - total
    if np.linalg.cond(gap) > 1 / np.sqrt(np.finfo(float).eps):
        raise ValueError(
            f"prewhiten={order} is impossible: the products of residuals and columns have a unit "
            "root; use prewhiten=0"
        )
    return scores[order:] - before @ transition, np.linalg.inv(gap)


def newey_west_bandwidth(scores: np.ndarray, kernel: str, n: int, is_white: bool) -> float:
    """The bandwidth of Newey & West (1994), for the sum of the columns of the scores.

    Parameters
    ----------
    scores : (rows, k) array
        Products of residuals and columns of the design, without the constant; prewhitened where
        `is_white`.
    kernel : str
    n : int
        Number of observations before prewhitening.
    is_white : bool
    """
    lags = int((3 if is_white else 4) * (n / 100) ** _RATES[kernel])
    series = scores.sum(axis=1)
    products = [series[: len(series) - j] @ series[j:] for j in range(min(lags, n - 2) + 1)]
    factor, order = _ANDREWS[kernel]
    j = np.arange(len(products))
    level = products[0] + 2 * np.sum(products[1:])
    curvature = 2 * np.sum(j**order * np.array(products))
    return float(factor * ((curvature / level) ** 2 * n) ** (1 / (2 * order + 1)))


def andrews_bandwidth(scores: np.ndarray, kernel: str) -> float:
    """The bandwidth of Andrews (1991), from autoregressions of first order of the columns.

    Parameters
    ----------
    scores : (n, k) array
        As for `newey_west_bandwidth`.
    kernel : str
    """
    before, after = scores[:-1], scores[1:]
    before, after = before - before.mean(axis=0), after - after.mean(axis=0)
    rho = np.einsum("ij,ij->j", before, after) / np.einsum("ij,ij->j", before, before)
    variance = np.sum((after - rho * before) ** 2, axis=0)
    size = (variance / variance.max()) ** 2
    factor, order = _ANDREWS[kernel]
    powers = (1 - rho) ** 8 if order == 2 else (1 - rho) ** 6 * (1 + rho) ** 2
    alpha = np.sum(4 * rho**2 * size / powers) / np.sum(size / (1 - rho) ** 4)
    return float(factor * (len(scores) * alpha) ** (1 / (2 * order + 1)))


def weighted_products(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum over lags j of weights[j] (G_j + G_j'), where G_j = sum s_t s_{t-j}' and j = 0 once."""
    halved = weights.copy()
    halved[0] /= 2
    if len(weights) <= _DIRECT:
        smooth = halved[0] * scores
        for lag, weight in enumerate(halved[1:], 1):
            smooth[lag:] += weight * scores[:-lag]
    else:
        from scipy import fft

        size = fft.next_fast_len(len(scores) + len(weights), real=True)
        spectrum = fft.rfft(scores, size, axis=0) * fft.rfft(halved, size)[:, None]
        smooth = fft.irfft(spectrum, size, axis=0)[: len(scores)]
    products: Any = scores.T @ smooth
    return np.asarray(products + products.T)
