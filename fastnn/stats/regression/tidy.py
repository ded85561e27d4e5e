"""The result of a regression as pandas tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.stats.regression.estimates import Estimates
from fastnn.stats.tables.frames import table

_FIGURES = (
    "r_squared", "adjusted_r_squared", "residual_standard_deviation", "fvalue", "f_pvalue",
    "log_likelihood", "aic", "bic", "residual_sum_of_squares",
)  # fmt: skip


def coefficients_table(result: Estimates, level: float) -> Any:
    """The body of `RegressionResult.to_frame`, which documents it."""
    lower, upper = map(result.law.shown, result.law.interval(level))
    terms, responses = result.names, result.response_names
    columns: dict[str, Any] = {}
    if len(responses) > 1:
        columns["response"] = np.repeat(responses, len(terms))
    columns["term"] = list(terms) * len(responses)
    figures = {
        "estimate": result.coefficients,
        "std_error": result.standard_errors,
        "statistic": result.tvalues,
        "p_value": result.pvalues,
        "lower": lower,
        "upper": upper,
    }
    for name, values in figures.items():
        columns[name] = np.ravel(np.asarray(values), order="F")
    return table(columns)


def figures_table(result: Estimates) -> Any:
    """The body of `RegressionResult.glance`, which documents it."""
    columns: dict[str, Any] = {name: np.ravel(getattr(result, name)) for name in _FIGURES}
    for name in ("df_model", "df_residual", "n_observations"):
        columns[name] = np.repeat(getattr(result, name), len(result.response_names))
    return table(columns, list(result.response_names))
