"""Tests of linear hypotheses about the coefficients of one regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from fastnn.stats.regression.estimates import Estimates
from fastnn.stats.regression.hypotheses import parsed
from fastnn.stats.regression.tails import f_pvalue, t_pvalue
from fastnn.stats.tables.frames import table
from fastnn.stats.tables.sheet import Grid, Sheet
from fastnn.stats.tables.shown import Shown

_DEPENDENT = 1e-10  # share of a row of R that earlier rows leave, below which it is redundant
_UNDETERMINED = 1e-9  # share of a row of R along dependent columns


@dataclass(frozen=True)
class HypothesisTest(Shown):
    """Test of q linear hypotheses R b = r about coefficients; `print` shows a table.

    Attributes
    ----------
    hypotheses : tuple of str
    estimates, standard_errors : (q,) array
        R b - r and its standard errors.
    tvalues, pvalues, df : (q,) array
        t statistic of each hypothesis alone, its two-sided p-value and degrees of freedom.
    fvalue, f_pvalue : float
        F test of all hypotheses together.
    df_f : tuple of two numbers
        Numerator and denominator degrees of freedom of F.
    chi_squared, chi_squared_pvalue : float
        Wald statistic (R b - r)' (R V R')^-1 (R b - r) and its p-value from the chi-squared
        distribution with q degrees of freedom.
    """

    hypotheses: tuple[str, ...]
    estimates: np.ndarray
    standard_errors: np.ndarray
    tvalues: np.ndarray
    pvalues: np.ndarray
    df: np.ndarray
    fvalue: float
    f_pvalue: float
    df_f: tuple[float, float]
    chi_squared: float
    chi_squared_pvalue: float

    def _sheets(self) -> tuple[Sheet, ...]:
        numbers = zip(self.estimates, self.standard_errors, self.tvalues, self.pvalues, strict=True)
        titles = ("hypothesis", "difference", "std error", "t", "p")
        rows = [
            (name, *(f"{figure:.5g}" for figure in figures))
            for name, figures in zip(self.hypotheses, numbers, strict=True)
        ]
        q = len(self.hypotheses)
        notes = (
            f"F({q}, {self.df_f[1]:.6g}) = {self.fvalue:.5g}, p = {self.f_pvalue:.4g}",
            f"chi2({q}) = {self.chi_squared:.5g}, p = {self.chi_squared_pvalue:.4g}",
        )
        return (Sheet(((Grid(titles, tuple(rows)),),), notes=notes),)

    def to_frame(self) -> Any:
        """A pandas DataFrame with one row for each hypothesis.

        Returns
        -------
        DataFrame
            Columns ``estimate``, ``std_error``, ``statistic``, ``p_value`` and ``df``.
        """
        columns = {
            "estimate": self.estimates,
            "std_error": self.standard_errors,
            "statistic": self.tvalues,
            "p_value": self.pvalues,
            "df": self.df,
        }
        return table(columns, list(self.hypotheses))

    def glance(self) -> Any:
        """The tests of all hypotheses together as a pandas DataFrame with one row.

        Returns
        -------
        DataFrame
            Columns ``statistic``, ``p_value``, ``df`` and ``df_residual`` of the F test;
            ``chi_squared`` and ``chi_squared_p_value`` of the Wald test.
        """
        columns = {
            "statistic": [self.fvalue],
            "p_value": [self.f_pvalue],
            "df": [self.df_f[0]],
            "df_residual": [self.df_f[1]],
            "chi_squared": [self.chi_squared],
            "chi_squared_p_value": [self.chi_squared_pvalue],
        }
        return table(columns)


def hypothesis_test(result: Estimates, hypotheses: object, values: object) -> HypothesisTest:
    """The body of `RegressionResult.test`, which documents it."""
    if len(result.response_names) > 1:
        raise ValueError(
            f"test takes one response, and there are {len(result.response_names)}; use "
            "result.for_response(name).test(...)"
        )
    if result.ridge:
        raise ValueError("test needs unbiased coefficients, got a fit with a ridge penalty")
    if isinstance(hypotheses, str):
        if values is not None:
            raise ValueError("values must be None where hypotheses are text, which has its own")
        R, r, texts = parsed(hypotheses, result.names)
    else:
        R, r = _checked(hypotheses, values, result.n_parameters)
        texts = tuple(f"row {i}" for i in range(len(R)))
    _refuse_undetermined(R, result)
    return tested(result, R, r, texts)


def _checked(R: object, r: object, p: int) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.atleast_2d(np.array(R, dtype=float))
    if matrix.ndim != 2 or matrix.shape[1] != p or not len(matrix):
        raise ValueError(f"hypotheses must be text or a (q, {p}) matrix, got {matrix.shape}")
    values = np.zeros(len(matrix)) if r is None else np.atleast_1d(np.array(r, dtype=float))
    if values.shape != (len(matrix),):
        raise ValueError(f"values must have shape ({len(matrix)},), got {values.shape}")
    if not (np.isfinite(matrix).all() and np.isfinite(values).all()):
        raise ValueError("hypotheses and values must be finite, got nan or an infinite number")
    return matrix, values


def _refuse_undetermined(R: np.ndarray, result: Estimates) -> None:
    """Raise ValueError for coefficients that dependent columns leave undetermined."""
    solution = result.problem.solution
    touched = [k for k in solution.left_out if R[:, k].any()]
    names = [result.names[k] for k in touched]
    if not solution.left_out:
        for dependency in solution.dependencies:
            null = np.zeros(R.shape[1])
            null[dependency.column] = -1.0
            for k, share in dependency.combination.items():
                null[k] = share
            if (np.abs(R @ null) > _UNDETERMINED * (np.abs(R) @ np.abs(null))).any():
                names.append(result.names[dependency.column])
    if names:
        raise ValueError(
            f"hypotheses must be about coefficients that the data determine, got {', '.join(names)}"
            ", which depends linearly on other columns"
        )


def tested(
    result: Estimates, R: np.ndarray, r: np.ndarray, texts: tuple[str, ...]
) -> HypothesisTest:
    """All tests, where the rows of the design are orthonormal: they do not depend on units."""
    root = result.problem.solution.root
    directions = R @ root
    lengths = np.linalg.norm(directions, axis=1)
    # A row of R is measured beside its terms: x - x has the length of a rounding error.
    sizes = np.abs(R) @ np.linalg.norm(root, axis=1)
    unit, triangle = np.linalg.qr((directions / np.where(sizes > 0, sizes, 1.0)[:, None]).T)
    rest = np.abs(np.diagonal(triangle))
    if len(rest) < len(R) or (rest <= _DEPENDENT).any():
        place = int(np.argmax(rest <= _DEPENDENT)) if (rest <= _DEPENDENT).any() else len(rest)
        raise ValueError(
            f"hypotheses must not follow from each other, got {texts[place]!r}, which depends "
            "linearly on the ones before it, or restricts nothing"
        )
    differences = R @ result.problem.solution.coefficients[:, 0] - r
    middle = result.law.middles[0]
    contrasts = unit.T
    factor, df_within = 1 / len(R), result.df_residual
    spread = contrasts @ middle @ contrasts.T
    if result.law.is_unknown(contrasts).any():
        spread = np.full_like(spread, np.nan)
    elif result.law.clusters is not None:
        factor, df_within = result.law.clusters.f_law(contrasts)
    scaled = np.linalg.solve(triangle.T, differences / sizes)
    wald = float("nan")
    if np.isfinite(spread).all():
        wald = float(scaled @ np.linalg.pinv(spread, hermitian=True) @ scaled)
    variances = np.einsum("ij,jk,ik->i", directions, middle, directions)
    variances = np.where(result.law.is_unknown(directions), np.nan, variances)
    errors = np.sqrt(variances)
    df = np.broadcast_to(np.ravel(result.law.df_of(directions / lengths[:, None])), len(R))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = differences / errors
    return HypothesisTest(
        hypotheses=texts,
        estimates=differences,
        standard_errors=errors,
        tvalues=t,
        pvalues=t_pvalue(t, df if result.law.clusters is not None else result.df_residual),
        df=df,
        fvalue=wald * factor,
        f_pvalue=float(f_pvalue(np.array(wald * factor), len(R), df_within)),
        df_f=(len(R), df_within),
        chi_squared=wald,
        chi_squared_pvalue=float(special.chdtrc(len(R), wald)),
    )
