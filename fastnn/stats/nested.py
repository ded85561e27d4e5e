"""Comparison of nested regressions by an analysis of variance.

References
----------
Chambers & Hastie (1992), Statistical Models in S, chapter 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.stats.regression.tails import f_pvalue
from fastnn.stats.result import RegressionResult
from fastnn.stats.tables.frames import table
from fastnn.stats.tables.sheet import Grid, Sheet
from fastnn.stats.tables.shown import Shown

_NESTED = 1e-8  # share of a column, about its mean, that rounding may leave
_ROUNDING = 1e-12  # the same of the column itself


@dataclass(frozen=True)
class AnovaTable(Shown):
    """Analysis of variance of k nested regressions; `print` shows a table.

    Attributes
    ----------
    df_residual, residual_sums_of_squares : (k,) array
    df, sums_of_squares, fvalues, pvalues : (k,) array
        Each model against the one before it; nan for the first.
    """

    df_residual: np.ndarray
    residual_sums_of_squares: np.ndarray
    df: np.ndarray
    sums_of_squares: np.ndarray
    fvalues: np.ndarray
    pvalues: np.ndarray

    def _sheets(self) -> tuple[Sheet, ...]:
        titles = ("model", "res df", "RSS", "df", "sum of squares", "F", "p")
        figures_of_models = zip(
            self.df_residual, self.residual_sums_of_squares, self.df, self.sums_of_squares,
            self.fvalues, self.pvalues, strict=True,
        )  # fmt: skip
        rows = [
            (str(i), *("" if np.isnan(x) else f"{x:.6g}" for x in figures))
            for i, figures in enumerate(figures_of_models, start=1)
        ]
        return (Sheet(((Grid(titles, tuple(rows)),),)),)

    def to_frame(self) -> Any:
        """A pandas DataFrame with one row for each model.

        Returns
        -------
        DataFrame
            Columns ``df_residual``, ``rss``, ``df``, ``sumsq``, ``statistic`` and ``p_value``.
        """
        columns = {
            "df_residual": self.df_residual,
            "rss": self.residual_sums_of_squares,
            "df": self.df,
            "sumsq": self.sums_of_squares,
            "statistic": self.fvalues,
            "p_value": self.pvalues,
        }
        return table(columns, range(1, len(self.df) + 1))

    def glance(self) -> Any:
        """The largest model as a pandas DataFrame with one row.

        Returns
        -------
        DataFrame
            Columns ``deviance``, which is the residual sum of squares, and ``df_residual``.
        """
        return table({
            "deviance": self.residual_sums_of_squares[-1:], "df_residual": self.df_residual[-1:]
        })  # fmt: skip


def anova(*models: RegressionResult) -> AnovaTable:
    """Compare nested regressions of one response by F tests of sums of squares.

    Parameters
    ----------
    *models : RegressionResult
        From the smallest to the largest; every column of a model is a linear combination of the
        columns of the next one.

    Returns
    -------
    AnovaTable
        The variance of the errors is that of the largest model, as in R's ``anova``.

    Raises
    ------
    ValueError
        For fewer than two models, models that are not nested, other rows, responses or weights,
        several responses, streamed rows, a ridge penalty, or a robust covariance, for which
        `RegressionResult.test` gives the test.
    """
    if len(models) < 2:
        raise ValueError(
            f"anova needs at least two models, got {len(models)}; result.anova() has the table of "
            "the terms of one model"
        )
    for place, model in enumerate(models, start=1):
        _check_model(model, place)
    for place in range(1, len(models)):
        _check_pair(models[place - 1], models[place], place)
    df_residual = np.array([model.df_residual for model in models])
    squares = np.array([float(np.ravel(m.residual_sum_of_squares)[0]) for m in models])
    df = np.r_[np.nan, -np.diff(df_residual)]
    explained = np.r_[np.nan, -np.diff(squares)]
    with np.errstate(divide="ignore", invalid="ignore"):
        f = explained / df / (squares[-1] / df_residual[-1])
    p = [float(f_pvalue(f[i], df[i], df_residual[-1])) for i in range(1, len(f))]
    return AnovaTable(df_residual, squares, df, explained, f, np.r_[np.nan, p])


def _check_model(model: RegressionResult, place: int) -> None:
    if not isinstance(model, RegressionResult):
        raise TypeError(f"model {place} must be a RegressionResult, got {type(model).__name__}")
    faults = {
        "stored rows, got streamed ones": model.design is None,
        "one response": len(model.response_names) > 1,
        "no ridge penalty": bool(model.ridge),
        "residual degrees of freedom": model.df_residual <= 0,
        "the classical covariance; use result.test for a robust one": model.cov_type != "classical",
    }
    for expected, is_fault in faults.items():
        if is_fault:
            raise ValueError(f"model {place} must have {expected}")


def _check_pair(small: RegressionResult, large: RegressionResult, place: int) -> None:
    """Raise ValueError unless both models have the same rows and the columns are nested."""
    pair = f"models {place} and {place + 1}"
    ours, theirs = np.asarray(small.response), np.asarray(large.response)
    if not np.array_equal(np.ravel(ours), np.ravel(theirs)):
        raise ValueError(f"{pair} must have the same rows and response")
    one, other = (1.0 if m.weights is None else np.asarray(m.weights) for m in (small, large))
    if not np.array_equal(np.broadcast_to(one, len(ours)), np.broadcast_to(other, len(ours))):
        raise ValueError(f"{pair} must have the same weights")
    if large.df_residual >= small.df_residual:
        raise ValueError(f"model {place + 1} must have more parameters than model {place}")
    design, columns = np.asarray(large.design), np.asarray(small.design)
    centre = large.has_intercept
    inside = design[:, ~np.isnan(np.ravel(large.coefficients))]
    basis = np.linalg.qr(_reduced(inside, centre)).Q
    rest = _reduced(columns, centre)
    spread = np.linalg.norm(rest, axis=0)
    for _ in range(2):  # the second projection removes the rounding of the first
        rest = rest - basis @ (basis.T @ rest)
    allowed = _NESTED * spread + _ROUNDING * np.linalg.norm(columns, axis=0)
    outside = np.linalg.norm(rest, axis=0) > allowed
    if outside.any():
        names = ", ".join(np.array(small.names)[outside])
        raise ValueError(f"model {place} must be nested in model {place + 1}, got {names} outside")


def _reduced(columns: np.ndarray, centre: bool) -> np.ndarray:
    """Columns about their means where a constant is in the span."""
    return columns - columns.mean(axis=0) if centre else columns
