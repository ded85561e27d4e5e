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

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fastnn._shared.numbers import check_choice, check_flag, check_integer
from fastnn._shared.warnings import warn, warn_if_unsorted
from fastnn.stats.regression.clustered import (
    CLUSTERED,
    Clusters,
    orthonormal_rows,
    weighted_residuals,
    without_negative_part,
)
from fastnn.stats.regression.fit import Fit
from fastnn.stats.regression.groups import Groups
from fastnn.stats.regression.hac import (
    KERNELS,
    RULES,
    andrews_bandwidth,
    kernel_values,
    newey_west_bandwidth,
    prewhitened,
    weighted_products,
    weights_of_lags,
)

COVARIANCES = ("classical", "HC0", "HC1", "HC2", "HC3", "HAC", *CLUSTERED)
_CERTAIN = 1e-12  # 1 - leverage below this: the row alone determines a coefficient
_INVOLVED = 1e-7  # share of an estimate that comes from a row
_INFINITE_KERNEL = "quadratic-spectral"  # has weights at all lags


@dataclass(frozen=True)
class CovarianceType:
    """Estimator of the covariance, with checked options.

    Attributes
    ----------
    kind : str
        One of `COVARIANCES`.
    lags : int, str or None
        Number of lags of HAC, or one of `RULES`; None for the rule of `default_lags`.
    kernel : str
        Weights of the lags of HAC.
    prewhiten : int
        Order of the autoregression that HAC fits to the scores first.
    small_sample : bool
        Whether HAC is multiplied by n / (n - p).
    groups : Groups or None
        Clusters of the rows.
    """

    kind: str
    lags: int | str | None = None
    kernel: str = "bartlett"
    prewhiten: int = 0
    small_sample: bool = False
    groups: Groups | None = None

    @classmethod
    def checked(cls, kind: object, lags: object = None, kernel: object = None,
                prewhiten: object = 0, small_sample: object = False) -> CovarianceType:  # fmt: skip
        """From the arguments of a caller, without groups."""
        kind = check_choice(kind, "cov_type", COVARIANCES)
        is_plain = lags is kernel is None and small_sample is False
        if kind == "classical" and is_plain and type(prewhiten) is int and not prewhiten:
            return _CLASSICAL  # spares small problems some time
        prewhiten = check_integer(prewhiten, "prewhiten", 0)
        small_sample = check_flag(small_sample, "small_sample")
        if kind != "HAC" and (lags is not None or kernel is not None or prewhiten or small_sample):
            raise ValueError(
                "lags, kernel, prewhiten and small_sample belong to cov_type='HAC', got "
                f"cov_type={kind!r}"
            )
        if isinstance(lags, str):
            check_choice(lags, "lags", RULES)
        elif lags is not None:
            lags = check_integer(lags, "lags", 0)
        kernel = "bartlett" if kernel is None else check_choice(kernel, "kernel", KERNELS)
        if lags == "newey-west" and kernel in ("uniform", "tukey-hanning"):
            raise ValueError(
                f"lags='newey-west' is not defined for kernel={kernel!r}; use lags='andrews'"
            )
        return cls(kind, lags, kernel, prewhiten, small_sample)

    def with_groups(self, groups: object, n: int, index: object) -> CovarianceType:
        """The same for rows in these groups; n and index are those of the data."""
        if self.is_clustered != (groups is not None):
            raise ValueError(
                f"groups belong to cov_type={', '.join(CLUSTERED)}, which need them; got "
                f"cov_type={self.kind!r} and groups={'None' if groups is None else 'labels'}"
            )
        if groups is None:
            return self
        read = Groups.read(groups, n, index)
        if self.kind == "CR2" and read.is_two_way:
            raise ValueError("cov_type='CR2' takes one grouping, got two; use 'CR1S'")
        return replace(self, groups=read)

    @property
    def is_clustered(self) -> bool:
        """Whether the covariance needs groups."""
        return self.kind in CLUSTERED

    @property
    def needs_scores(self) -> bool:
        """Whether HAC needs the scores of all rows at once."""
        return isinstance(self.lags, str) or self.prewhiten > 0 or self.kernel == _INFINITE_KERNEL

    def lags_for(self, n: int) -> int:
        """The lags used for n observations, where they do not depend on the data."""
        if self.lags is None:
            return min(default_lags(n), n - 1)
        assert not isinstance(self.lags, str)
        if self.lags >= n:
            raise ValueError(f"lags must be at most n - 1 = {n - 1}, got {self.lags}")
        return self.lags

    def described(self, n: int, bandwidth: float | None = None) -> str:
        """Text for the summary."""
        if self.groups is not None:
            return f"{self.kind} ({' and '.join(map(str, self.groups.counts))} clusters)"
        if self.kind != "HAC":
            return self.kind
        text = f"{self.lags_for(n)} lags" if bandwidth is None else f"bandwidth {bandwidth:.4g}"
        white = ", prewhitened" if self.prewhiten else ""
        return f"HAC ({self.kernel}, {text}{white})"


_CLASSICAL = CovarianceType("classical")


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
        Rows of leverage 1, or directions that one cluster alone determines: the residuals contain
        no information about their variance.
    rows : list of int
        Their indices; empty for clusters.
    bandwidths : (m,) array or None
        Bandwidths of HAC that depend on the data.
    """

    matrices: np.ndarray
    undetermined: np.ndarray
    rows: list[int]
    bandwidths: np.ndarray | None = None

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
    if cov.groups is not None:
        return _clustered(Clusters(fit, cov.groups, cov.kind))
    if cov.kind == "HAC":
        warn_if_unsorted(fit.labels.rows)
        if cov.needs_scores:
            return _autocorrelated(fit, cov, df_residual)
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
    corrected = cov.kind == "HC1" or cov.small_sample
    factor = _small_sample_factor(fit.n, df_residual) if corrected else 1.0
    directions = np.array(undetermined).reshape(len(indices), root.shape[1]).T
    return Meats(factor * np.array(sums), directions, indices)


def _small_sample_factor(n: int, df_residual: float) -> float:
    return n / df_residual if df_residual > 0 else np.nan


def _clustered(clusters: Clusters) -> Meats:
    """Meats of clusters; those of two groupings are made positive semi-definite."""
    matrices, undetermined = clusters.meats()
    if clusters.groups.is_two_way:
        matrices, is_changed = without_negative_part(matrices)
        if is_changed:
            warn(
                "the covariance of two groupings is not positive semi-definite; its negative "
                "eigenvalues are replaced by 0, in coordinates where the design is orthonormal"
            )
    return Meats(matrices, undetermined, [])


def _autocorrelated(fit: Fit, cov: CovarianceType, df_residual: float) -> Meats:
    """Meats of HAC from the scores of all rows: prewhitening, and bandwidths from the data."""
    factor = _small_sample_factor(fit.n, df_residual) if cov.small_sample else 1.0
    rows = orthonormal_rows(fit)
    matrices, bandwidths = [], []
    for residuals in weighted_residuals(fit).T:
        scores, gain = rows * residuals[:, None], None
        if cov.prewhiten:
            scores, gain = prewhitened(scores, cov.prewhiten)
        bandwidth = _bandwidth(fit, cov, scores)
        weights = weights_of_lags(cov.kernel, bandwidth, len(scores))
        meat = factor * weighted_products(scores, weights)
        matrices.append(meat if gain is None else gain @ meat @ gain.T)
        bandwidths.append(bandwidth)
    nothing = np.zeros((rows.shape[1], 0))
    return Meats(np.array(matrices), nothing, [], np.array(bandwidths))


def _bandwidth(fit: Fit, cov: CovarianceType, scores: np.ndarray) -> float:
    """The bandwidth for scores in the coordinates of orthonormal rows.

    The rules are defined for the columns of the caller's design without the constant.
    """
    if not isinstance(cov.lags, str):
        return cov.lags_for(fit.n) + 1.0
    solution = fit.solution
    columns = (solution.R @ solution.root).T @ solution.R
    selection = np.ones(columns.shape[1], bool)
    selection[list(solution.left_out)] = False
    if fit.constant is not None and np.count_nonzero(fit.constant) == 1:
        selection[np.flatnonzero(fit.constant)] = False
    own = scores @ (columns[:, selection] if selection.any() else columns)
    if cov.lags == "andrews":
        return andrews_bandwidth(own, cov.kernel)
    bandwidth = newey_west_bandwidth(own, cov.kernel, fit.n, cov.prewhiten > 0)
    return float(int(bandwidth)) + 1 if cov.kernel == "bartlett" else bandwidth


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
    return kernel_values(cov.kernel, np.arange(lags + 1) / (lags + 1))
