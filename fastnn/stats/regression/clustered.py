"""Covariance of coefficients where errors are dependent within clusters of rows.

In the coordinates of orthonormal rows q_i, the cluster g has the matrix S_g = sum q_i q_i' and the
score s_g = sum q_i e_i; the meat is the sum of s_g s_g'.  CR2 multiplies the score by
(I - S_g)^(-1/2).  The n_g by n_g matrices of Bell & McCaffrey have the same effect for errors that
are independent and of equal variance (with weights: of variance 1/w).  Only matrices of the size
of the coefficients are needed.

References
----------
Cameron, Gelbach & Miller (2011), "Robust inference with multiway clustering", J. Business &
Economic Statistics 29: two groupings.
Bell & McCaffrey (2002), "Bias reduction in standard errors for linear regression with multi-stage
samples", Survey Methodology 28: CR2 and its degrees of freedom.
Pustejovsky & Tipton (2018), "Small-sample methods for cluster-robust variance estimation and
hypothesis testing in fixed effects models", J. Business & Economic Statistics 36: singular
I - S_g, and the approximation of F.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fastnn.stats.regression.fit import Fit
from fastnn.stats.regression.groups import Groups

CLUSTERED = ("CR0", "CR1", "CR1S", "CR2")
_CERTAIN = 1e-12  # 1 - eigenvalue of S_g below this: one cluster alone determines a direction
_CHUNK = 1 << 21  # elements of the matrices that are processed at a time
_INDEFINITE = 1e-10  # share of the trace that rounding may make negative


class _Part(NamedTuple):
    """Matrices of successive clusters; (c, r, r) arrays.

    Attributes
    ----------
    place : slice
        Numbers of the clusters.
    adjustment : array
        (I - S_g)^(-1/2), zero in the directions that the cluster alone determines.
    share : array
        S_g without these directions.
    spread : array
        The product of S_g and the adjustment.
    certain : (r, k) array
        These directions, of all clusters of the part.
    """

    place: slice
    adjustment: np.ndarray
    share: np.ndarray
    spread: np.ndarray
    certain: np.ndarray


@dataclass(frozen=True)
class Clusters:
    """Clusters of the rows of a fit, for one kind of covariance.

    Attributes
    ----------
    fit : Fit
    groups : Groups
    kind : str
        One of `CLUSTERED`.
    """

    fit: Fit
    groups: Groups
    kind: str

    def meats(self) -> tuple[np.ndarray, np.ndarray]:
        """The (m, r, r) meats, and the (r, k) directions that CR2 has no variance for.

        With two groupings, the meats of both are added, and that of their intersections is
        subtracted.  Each has the factor of its own number of clusters.
        """
        codes, counts = self.groups.codes, self.groups.counts
        if self.kind == "CR2":
            return self._reduced_bias()
        sums = sum(self._products(*one) for one in zip(codes, counts, strict=True))
        if self.groups.is_two_way:
            sums = sums - self._products(*self.groups.intersection())
        size = self.fit.solution.root.shape[1]
        return np.asarray(sums), np.zeros((size, 0))

    def degrees_of_freedom(self, directions: np.ndarray) -> np.ndarray:
        """(k,) degrees of freedom of the t statistics of (k, r) directions.

        The smallest number of clusters less one; for CR2 the approximation of Satterthwaite,
        2 E(V)^2 / var(V) for independent errors of equal variance.
        """
        if self.kind != "CR2":
            return np.full(len(directions), float(self.groups.smallest - 1))
        size = max(1, _CHUNK // (8 * directions.shape[1] * min(self.groups.smallest, 1 << 12)))
        starts = range(0, len(directions), size)
        return np.concatenate([self._satterthwaite(directions[i : i + size]) for i in starts])

    def f_law(self, contrasts: np.ndarray) -> tuple[float, float]:
        """Factor of a Wald statistic, and the denominator degrees of freedom of its F law.

        For CR2 the approximation of Hotelling's T^2 by Pustejovsky & Tipton.

        Parameters
        ----------
        contrasts : (q, r) array with orthonormal rows
        """
        q = len(contrasts)
        if self.kind != "CR2":
            df = float(self.groups.smallest - 1)
            return (1 / q, df) if df >= q else (np.nan, np.nan)
        eta = q * (q + 1) / self._total_variance(contrasts)
        df = eta - q + 1
        return (df / (eta * q), df) if df > 0 else (np.nan, np.nan)

    def _products(self, codes: np.ndarray, count: int) -> np.ndarray:
        """(m, r, r) sums of the products of scores, with the factor of the kind."""
        scores = self._scores(codes, count)
        n, parameters = self.fit.n, self.fit.solution.effective_parameters
        factor = 1.0
        if self.kind in ("CR1", "CR1S"):
            factor = count / (count - 1)
        if self.kind == "CR1S":
            factor *= (n - 1) / (n - parameters) if n > parameters else np.nan
        return factor * (scores.transpose(0, 2, 1) @ scores)

    def _scores(self, codes: np.ndarray, count: int) -> np.ndarray:
        """(m, count, r) sums of the scores of each cluster."""
        residuals = weighted_residuals(self.fit)
        scores = np.empty((residuals.shape[1], count, self._rows.shape[1]))
        for j, response in enumerate(residuals.T):
            for k, column in enumerate(self._rows.T):
                scores[j, :, k] = np.bincount(codes, weights=column * response, minlength=count)
        return scores

    @cached_property
    def _rows(self) -> np.ndarray:
        return orthonormal_rows(self.fit)

    def _reduced_bias(self) -> tuple[np.ndarray, np.ndarray]:
        """`meats` of CR2."""
        scores = self._scores(self.groups.codes[0], self.groups.counts[0])
        meats, certain = np.zeros((len(scores), *[scores.shape[2]] * 2)), []
        for part in self._parts():
            for meat, response in zip(meats, scores, strict=True):
                adjusted = np.einsum("grs,gs->gr", part.adjustment, response[part.place])
                meat += adjusted.T @ adjusted
            certain.append(part.certain)
        return meats, np.hstack(certain)

    def _parts(self) -> Iterator[_Part]:
        codes, count = self.groups.codes[0], self.groups.counts[0]
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=count))
        size = self._rows.shape[1]
        step = max(1, _CHUNK // (size * size))
        for start in range(0, count, step):
            stop = min(start + step, count)
            shares = np.empty((stop - start, size, size))
            for g in range(start, stop):
                rows = self._rows[order[ends[g - 1] if g else 0 : ends[g]]]
                shares[g - start] = rows.T @ rows
            values, vectors = np.linalg.eigh(shares)
            is_certain = 1.0 - values <= _CERTAIN
            free = np.where(is_certain, 1.0, 1.0 - values)
            scale = np.where(is_certain, 0.0, 1.0 / np.sqrt(free))
            values = np.where(is_certain, 0.0, values)
            yield _Part(
                slice(start, stop),
                _from_eigen(vectors, scale),
                _from_eigen(vectors, values),
                _from_eigen(vectors, values * scale),
                vectors.transpose(1, 0, 2)[:, is_certain],
            )

    def _satterthwaite(self, directions: np.ndarray) -> np.ndarray:
        """Degrees of freedom of (k, r) directions.

        The variance estimate is the sum of (p_g'e)^2 over the clusters; products p_g'p_h have
        the form of `_Part.share` for g = h, and of the products of `_Part.spread` else.
        """
        k, r = directions.shape
        mean, squares, products = np.zeros(k), np.zeros(k), np.zeros((k, r, r))
        for part in self._parts():
            spread = np.einsum("grs,ks->kgr", part.spread, directions, optimize=True)
            own = np.einsum("grs,kr,ks->kg", part.share, directions, directions, optimize=True)
            mean += own.sum(axis=1)
            squares += np.sum(own**2 - np.einsum("kgr,kgr->kg", spread, spread) ** 2, axis=1)
            products += spread.transpose(0, 2, 1) @ spread
        with np.errstate(divide="ignore", invalid="ignore"):
            return mean**2 / (squares + np.einsum("krs,krs->k", products, products))

    def _total_variance(self, contrasts: np.ndarray) -> float:
        """Sum of the variances of all elements of the covariance of contrasts, where it is I.

        The sum of tr(M_gh)^2 + tr(M_gh M_gh) over all pairs of clusters, where M_gh is the
        (q, q) matrix of the products p_g'p_h of the contrasts.
        """
        q, r = contrasts.shape
        own, tensor = 0.0, np.zeros((r * q, r * q))
        for part in self._parts():
            spread = part.spread @ contrasts.T
            within = contrasts @ part.share @ contrasts.T
            crossed = spread.transpose(0, 2, 1) @ spread
            own += _pair_terms(within) - _pair_terms(crossed)
            flat = spread.reshape(len(spread), -1)
            tensor += flat.T @ flat
        pairs = tensor.reshape(r, q, r, q)
        swapped = pairs.transpose(0, 3, 2, 1)
        return own + float(np.sum(tensor**2) + np.sum(pairs * swapped))


def orthonormal_rows(fit: Fit) -> np.ndarray:
    """(n, r) rows of the (weighted) design in coordinates where its columns are orthonormal."""
    assert fit.design is not None
    rows = np.empty((fit.n, fit.solution.root.shape[1]), order="F")
    for place, block in fit.design.blocks():
        rows[place] = block @ fit.solution.root
    if fit.weights is not None:
        rows *= np.sqrt(fit.weights)[:, None]
    return rows


def weighted_residuals(fit: Fit) -> np.ndarray:
    """(n, m) residuals times the roots of the weights."""
    assert fit.residuals is not None
    return fit.residuals if fit.weights is None else fit.residuals * np.sqrt(fit.weights)[:, None]


def _from_eigen(vectors: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Symmetric matrices from eigenvectors and eigenvalues."""
    return (vectors * values[:, None, :]) @ vectors.transpose(0, 2, 1)


def _pair_terms(matrices: np.ndarray) -> float:
    """Sum of tr(M)^2 + tr(M M) over symmetric matrices."""
    traces = np.einsum("gss->g", matrices)
    return float(traces @ traces + np.einsum("gst,gst->", matrices, matrices))


def without_negative_part(meats: np.ndarray) -> tuple[np.ndarray, bool]:
    """Meats with negative eigenvalues replaced by 0, and whether there were any.

    The difference of meats of two groupings may have them (Cameron, Gelbach & Miller, section
    2.3).
    """
    values, vectors = np.linalg.eigh(meats)
    negative = values < -_INDEFINITE * np.abs(values).sum(axis=1, keepdims=True)
    if not negative.any():
        return meats, False
    return _from_eigen(vectors, np.maximum(values, 0.0)), True
