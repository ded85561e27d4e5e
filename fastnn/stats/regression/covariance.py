"""Robust covariance of least-squares coefficients: unequal variances, autocorrelation.

All are sandwiches B M B with the bread B = (X'WX)^-1 and the meat M, an estimate of the
covariance of X'We.  With B = T T', the meat is computed as T' M T: in these coordinates the
rows are orthonormal, so that results do not depend on units and origins of the columns.  Rows are
read in blocks, without a second copy of the design.

References
----------
White (1980), "A heteroskedasticity-consistent covariance matrix estimator", Econometrica 48.
MacKinnon & White (1985), "Some heteroskedasticity-consistent covariance matrix estimators
with improved finite sample properties", J. Econometrics 29.
Newey & West (1987), "A simple, positive semi-definite, heteroskedasticity and
autocorrelation consistent covariance matrix", Econometrica 55.
Andrews (1991), "Heteroskedasticity and autocorrelation consistent covariance matrix
estimation", Econometrica 59.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastnn._shared.numbers import check_choice, check_integer
from fastnn._shared.warnings import warn_if_unsorted
from fastnn.stats.regression.fit import Fit

COVARIANCES = ("classical", "HC0", "HC1", "HC2", "HC3", "HAC")
_CERTAIN = 1e-12  # 1 - leverage below this: the row alone determines a coefficient
_INVOLVED = 1e-7  # share of an estimate that comes from a row
KERNELS = ("bartlett", "parzen", "uniform")


@dataclass(frozen=True)
class CovarianceType:
    """Estimator of the covariance, with checked options.

    Attributes
    ----------
    kind : str
        One of `COVARIANCES`.
    lags : int or None
        Number of lags of HAC; None for the rule of `default_lags`.
    kernel : str
        Weights of the lags of HAC.
    """

    kind: str
    lags: int | None
    kernel: str

    @classmethod
    def checked(cls, kind: object, lags: object, kernel: object) -> CovarianceType:
        """From the arguments of a caller."""
        kind = check_choice(kind, "cov_type", COVARIANCES)
        if kind != "HAC" and (lags is not None or kernel is not None):
            raise ValueError(f"lags and kernel belong to cov_type='HAC', got cov_type={kind!r}")
        if lags is not None:
            lags = check_integer(lags, "lags", 0)
        kernel = "bartlett" if kernel is None else check_choice(kernel, "kernel", KERNELS)
        return cls(kind, lags, kernel)

    def lags_for(self, n: int) -> int:
        """The lags used for n observations."""
        if self.lags is None:
            return min(default_lags(n), n - 1)
        if self.lags >= n:
            raise ValueError(f"lags must be at most n - 1 = {n - 1}, got {self.lags}")
        return self.lags

    def described(self, n: int) -> str:
        """Text for the summary."""
        if self.kind != "HAC":
            return self.kind
        return f"HAC ({self.kernel}, {self.lags_for(n)} lags)"


def default_lags(n: int) -> int:
    """The integer part of 4 (n/100)^(2/9), the rule of Newey & West (1994)."""
    return int(4 * (n / 100) ** (2 / 9))


class Meats(NamedTuple):
    """The meat of a robust covariance in the coordinates of orthonormal rows.

    Attributes
    ----------
    matrices : (m, r, r) array
        T' M T, one for each response.
    undetermined : (r, q) array
        Rows of leverage 1, whose residuals contain no information about their variance.
    rows : list of int
        Their indices.
    """

    matrices: np.ndarray
    undetermined: np.ndarray
    rows: list[int]

    def involves(self, directions: np.ndarray) -> np.ndarray:
        """(k,) whether estimates of (k, r) directions use rows of leverage 1."""
        shares = np.abs(directions @ self.undetermined)
        return (shares > _INVOLVED * np.linalg.norm(directions, axis=1)[:, None]).any(axis=1)


def meats(fit: Fit, cov: CovarianceType, df_residual: float) -> Meats:
    """The meat of a robust covariance.

    HC0 multiplies each row by its squared residual.  HC1 multiplies HC0 by n / (n - p).  HC2 and
    HC3 divide the squared residuals by 1 - h and (1 - h)^2, where h is the leverage.  HAC adds
    the products of residuals that are at most `lags` rows apart.  With HC2 and HC3, a row of
    leverage 1 has no estimate of its variance, and is left out of the sum.
    """
    if fit.design is None or fit.residuals is None:
        raise ValueError(
            f"cov_type={cov.kind!r} needs the rows again, which were streamed; "
            "use cov_type='classical'"
        )
    if cov.kind == "HAC":
        warn_if_unsorted(fit.labels.rows)
    root = fit.solution.root
    sums = [np.zeros((root.shape[1],) * 2) for _ in fit.labels.responses]
    tails: list[np.ndarray] = [np.zeros((0, root.shape[1])) for _ in fit.labels.responses]
    undetermined: list[np.ndarray] = []
    indices: list[int] = []
    weights = lag_weights(cov, fit.n) if cov.kind == "HAC" else np.ones(1)
    for place, block in fit.design.blocks():
        rows = block @ root
        residuals = fit.residuals[place]
        if fit.weights is not None:
            rows *= np.sqrt(fit.weights[place])[:, None]
            residuals = residuals * np.sqrt(fit.weights[place])[:, None]
        if cov.kind in ("HC2", "HC3"):
            free_share = 1.0 - np.einsum("ij,ij->i", rows, rows)
            certain = np.flatnonzero(free_share <= _CERTAIN)
            undetermined += [*rows[certain]]
            indices += (place.start + certain).tolist()
            free_share[certain] = np.inf
            residuals = residuals / free_share[:, None] ** (0.5 if cov.kind == "HC2" else 1.0)
        for j, meat in enumerate(sums):
            scores = rows * residuals[:, j : j + 1]
            tails[j] = _add_products(meat, tails[j], scores, weights)
    factor = fit.n / df_residual if cov.kind == "HC1" and df_residual > 0 else 1.0
    if cov.kind == "HC1" and df_residual <= 0:
        factor = np.nan
    directions = np.array(undetermined).reshape(len(indices), root.shape[1]).T
    return Meats(factor * np.array(sums), directions, indices)


def _add_products(
    meat: np.ndarray, before: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Add the weighted products of rows to `meat`; return the last rows, for the next block.

    `before` holds the last rows of the previous blocks.
    """
    joined = np.vstack([before, scores])
    first, n = len(before), len(scores)
    smooth = (weights[0] / 2) * scores
    for lag, weight in enumerate(weights[1:], 1):
        partners = joined[max(first - lag, 0) : max(first + n - lag, 0)]
        smooth[n - len(partners) :] += weight * partners
    products = scores.T @ smooth
    meat += products + products.T
    return joined[max(0, len(joined) - (len(weights) - 1)) :]


def lag_weights(cov: CovarianceType, n: int) -> np.ndarray:
    """Weights of the lags 0, 1, ..., `lags`."""
    lags = cov.lags_for(n)
    x = np.arange(lags + 1) / (lags + 1)
    if cov.kernel == "bartlett":
        return 1 - x
    if cov.kernel == "parzen":
        return np.where(x <= 0.5, 1 - 6 * x**2 + 6 * x**3, 2 * (1 - x) ** 3)
    return np.ones(lags + 1)
