"""Tail probabilities and quantiles of Student's t and of the F distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special


def t_pvalue(t: np.ndarray, df: Any) -> np.ndarray:
    """Two-sided p-values of Student's t, accurate in the far tails."""
    return f_pvalue(t * t, 1, df)


def t_quantile(level: float, df: Any) -> Any:
    """Quantile of Student's t: half the width of an interval, in standard errors."""
    if isinstance(df, np.ndarray):
        return special.stdtrit(df, 0.5 + level / 2)
    return float(special.stdtrit(df, 0.5 + level / 2)) if df > 0 else np.nan


def f_pvalue(f: np.ndarray, df_model: float, df_residual: Any) -> np.ndarray:
    """Upper tail of the F distribution, by the incomplete beta function.

    Of the two shares, whose sum is 1, the smaller one is computed: it loses no digits.
    Denominator degrees of freedom may be an array; nan gives nan.
    """
    if df_model <= 0 or (not isinstance(df_residual, np.ndarray) and not df_residual > 0):
        return np.full_like(f, np.nan)
    a, b = df_model / 2, df_residual / 2
    with np.errstate(invalid="ignore", over="ignore"):
        odds = f * (df_model / df_residual)
        near = special.betaincc(a, b, odds / (1 + odds))
        far = special.betainc(b, a, 1 / (1 + odds))
    return np.where(odds < 1, near, far)
