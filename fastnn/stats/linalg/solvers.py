"""The solution of a least-squares problem, from its factor.

All matrices have p rows, whatever the number of rows of the design.

References
----------
Golub & Van Loan (2013), Matrix Computations, 4th ed., sections 5.3 to 5.5.
Björck (1996), Numerical Methods for Least Squares Problems.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import lapack, solve_triangular

from fastnn.stats.linalg.blocks import COLUMNS, Factor, upper_triangle

METHODS = ("qr", "svd", "cholesky")
PERFECT = 1e-15
"""Root mean square of residuals, relative to that of the response, that rounding causes."""
_EPS = float(np.finfo(np.float64).eps)
_LARGEST_GRAM_ERROR = 1e-8
"""Largest relative error of coefficients that the normal equations may have."""


class RankDeficiencyWarning(UserWarning):
    """Columns of X are linearly dependent, so the data do not determine every coefficient."""


@dataclass(frozen=True)
class Dependency:
    """A column that is a linear combination of others.

    Attributes
    ----------
    column : int
        Index of the column in the design.
    combination : dict of int to float
        Columns that it depends on, with their coefficients; empty for a column of zeros.
    """

    column: int
    combination: dict[int, float]


@dataclass(frozen=True)
class Solution:
    """A solved least-squares problem.

    Attributes
    ----------
    coefficients : (p, m) array
        0 for a column that is left out.
    root : (p, r) array
        T with T T' = (A'A + penalty)^-1 on the independent columns: the leverage of a row x is
        the square of |x T|.
    covariance : (p, p) array
        Covariance of the coefficients for errors of variance 1.
    rank : int
    left_out : tuple of int
        Columns whose coefficients are not determined; empty for a solution of minimum norm.
    dependencies : tuple of Dependency
        Empty at full rank.
    effective_parameters : float
        Trace of the hat matrix; the rank without a penalty.
    R : (p, p) array
        Triangular factor of the design.
    residual_squares : (m,) array, optional
        Sums of squared residuals, where they are more accurate than from the factor.
    middle : (r, r) array, optional
        M with covariance T M T'; None for the identity.
    """

    coefficients: np.ndarray
    root: np.ndarray
    covariance: np.ndarray
    rank: int
    left_out: tuple[int, ...]
    dependencies: tuple[Dependency, ...]
    effective_parameters: float
    R: np.ndarray
    residual_squares: np.ndarray | None = None
    middle: np.ndarray | None = None

    def corrected(
        self, coefficients: np.ndarray, covariance: np.ndarray, squares: np.ndarray
    ) -> Solution:
        """A copy of the solution with these values."""
        return replace(
            self, coefficients=coefficients, covariance=covariance, residual_squares=squares
        )

    @cached_property
    def condition(self) -> float:
        """Ratio of the extreme singular values of the design."""
        return _condition(self.R)

    @cached_property
    def scaled_condition(self) -> float:
        """The same of columns of unit length, which does not depend on units."""
        return _condition(self.R / column_scale(self.R))


def solve(factor: Factor, n: int, method: str, penalty: np.ndarray | None) -> Solution:
    """The solution by a method of `METHODS`.

    Parameters
    ----------
    factor : Factor
        Of the weighted design and responses.
    n : int
        Rows of the design: rounding errors, and so the tolerance of the rank, grow with it.
    method : str
    penalty : (p,) array, optional
        Added to the diagonal of A'A.

    Raises
    ------
    ValueError
        If the normal equations are too ill-conditioned for ``"cholesky"``.
    """
    R, Z = factor.R, factor.Z
    if penalty is not None:
        return _solve_penalised(R, Z, penalty, n, method)
    scale = column_scale(R)
    scaled = R / scale
    pivoted = _Pivoted.of(scaled, n)
    independent, dependencies = _dependencies(scaled, scale, pivoted)
    left_out = tuple(d.column for d in dependencies)
    if method == "cholesky":
        _refuse_ill_conditioned(_condition(scaled))
        root = solve_triangular(scaled, np.eye(len(R))) / scale[:, None]
        coefficients = root @ Z
    elif method == "svd":
        coefficients, root = _minimum_norm(R, Z, scale, pivoted.rank)
        left_out = ()
    else:
        if dependencies:
            pivoted = _Pivoted.of(R[:, independent] / scale[independent], n)
        coefficients, root = _basic(pivoted, Z, scale, independent)
    return Solution(
        coefficients=coefficients,
        root=root,
        covariance=root @ root.T,
        rank=pivoted.rank,
        left_out=left_out,
        dependencies=dependencies,
        effective_parameters=float(pivoted.rank),
        R=R,
    )


def column_scale(R: np.ndarray) -> np.ndarray:
    """Lengths of the columns, 1 for those of zeros."""
    scale: np.ndarray = np.sqrt(np.einsum("ij,ij->j", R, R))
    return np.where(scale > 0, scale, 1.0)


def tolerance(n: int, p: int) -> float:
    """Largest rest of a dependent column of unit length, which rounding errors leave."""
    return 10 * _EPS * max(p, np.sqrt(n))


def _condition(R: np.ndarray) -> float:
    singular = np.linalg.svd(R, compute_uv=False)
    if not len(singular):
        return 1.0
    return float(singular[0] / singular[-1]) if singular[-1] > 0 else np.inf


@dataclass(frozen=True)
class _Pivoted:
    """QR with column pivoting, in the packed form of LAPACK's dgeqp3, and its numerical rank."""

    packed: np.ndarray
    tau: np.ndarray
    pivots: np.ndarray
    rank: int

    @classmethod
    def of(cls, scaled: np.ndarray, n: int) -> _Pivoted:
        """Factorise columns of unit length of a design of n rows."""
        if not scaled.size:
            return cls(scaled, np.zeros(0), np.zeros(0, int), 0)
        packed, pivots, tau, _, _ = lapack.dgeqp3(scaled, COLUMNS * (scaled.shape[1] + 1))
        least = tolerance(n, scaled.shape[1])
        rank = int(np.count_nonzero(np.abs(packed.diagonal()) > least))
        return cls(packed, tau, pivots - 1, rank)


def _dependencies(
    scaled: np.ndarray, scale: np.ndarray, pivoted: _Pivoted
) -> tuple[np.ndarray, tuple[Dependency, ...]]:
    """The independent columns in order, and the others as combinations of them.

    Of dependent columns the leftmost count as independent, so that the later column is named.
    """
    p, rank = scaled.shape[1], pivoted.rank
    if rank == p:
        return np.arange(p), ()
    independent = _leftmost(scaled, rank)
    if len(independent) != rank:
        independent = np.sort(pivoted.pivots[:rank])
    others = np.setdiff1d(np.arange(p), independent)
    within = np.linalg.lstsq(scaled[:, independent], scaled[:, others], rcond=None)[0]
    dependencies = []
    for j, shares in zip(others, within.T, strict=True):
        combination = {
            int(k): float(share * scale[j] / scale[k])
            for k, share in zip(independent, shares, strict=True)
            if abs(share) > 1e-9
        }
        dependencies.append(Dependency(int(j), combination))
    return independent, tuple(dependencies)


def _leftmost(scaled: np.ndarray, rank: int) -> np.ndarray:
    """The first columns that are independent of the columns to their left (Gram-Schmidt, twice)."""
    p = scaled.shape[1]
    basis = np.zeros((len(scaled), 0))
    independent: list[int] = []
    for j in range(p):
        rest = scaled[:, j]
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        length = np.linalg.norm(rest)
        if length > 1e-11 and len(independent) < rank:
            independent.append(j)
            basis = np.column_stack([basis, rest / length])
    return np.array(independent, dtype=int)


def _basic(
    pivoted: _Pivoted, Z: np.ndarray, scale: np.ndarray, independent: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and root on the independent columns."""
    p, rank = len(scale), len(independent)
    root, coefficients = np.zeros((p, rank)), np.zeros((p, Z.shape[1]))
    if rank:
        columns = independent[pivoted.pivots]
        inverse, _ = lapack.dtrtri(pivoted.packed[:rank])
        root[columns] = upper_triangle(inverse) / scale[columns, None]
        work = COLUMNS * max(Z.shape[1], 1)
        rotated, _, _ = lapack.dormqr("L", "T", pivoted.packed, pivoted.tau, Z, work)
        coefficients = root @ rotated[:rank]
    return coefficients, root


def _refuse_ill_conditioned(condition: float) -> None:
    if condition**2 * _EPS > _LARGEST_GRAM_ERROR:
        digits = max(0, int(-np.log10(min(1.0, condition**2 * _EPS))))
        raise ValueError(
            f"method='cholesky' would be wrong: the condition number of X with columns of unit "
            f"length is {condition:.2g}, X'X squares it to {condition**2:.2g}, and at most "
            f"{digits} digits of the coefficients would be right; use method='qr' or 'svd'"
        )


def _minimum_norm(
    R: np.ndarray, Z: np.ndarray, scale: np.ndarray, rank: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of least norm and root by the singular value decomposition.

    The rank and the null space come from columns of unit length, so that they do not depend
    on units; the norm is that of the coefficients in the units of the data.
    """
    U, singular, Vt = np.linalg.svd(R / scale)
    root = Vt[:rank].T / singular[:rank] / scale[:, None]
    if rank < len(scale):
        null, _ = np.linalg.qr(Vt[rank:].T / scale[:, None])
        root = root - null @ (null.T @ root)
    return root @ (U[:, :rank].T @ Z), root


def _solve_penalised(
    R: np.ndarray, Z: np.ndarray, penalty: np.ndarray, n: int, method: str
) -> Solution:
    """Ridge: least squares with the rows sqrt(penalty) appended, whose responses are zero.

    The covariance is that of the estimator, (G + P)^-1 G (G + P)^-1 with G = A'A.
    """
    p = len(R)
    penalised = np.linalg.qr(np.vstack([R, np.diag(np.sqrt(penalty))]))
    Q, triangle = penalised.Q, penalised.R
    plain = solve(Factor(triangle, Q[:p].T @ Z, np.zeros(Z.shape[1])), n + p, method, None)
    spread = R @ plain.root
    middle = spread.T @ spread
    return replace(
        plain,
        covariance=plain.root @ middle @ plain.root.T,
        effective_parameters=float(np.trace(middle)),
        R=R,
        middle=middle,
    )
