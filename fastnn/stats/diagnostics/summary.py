"""The tests of residuals that the summary of a regression shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastnn.stats.diagnostics.durbin_watson.statistic_and_test import (
    DurbinWatsonResult,
    durbin_watson,
)
from fastnn.stats.diagnostics.normality import normality
from fastnn.stats.diagnostics.residuals import weighted_residuals
from fastnn.stats.regression.influence import Influence
from fastnn.stats.tables.cells import number_text, p_text

_NAMES = ("Skewness", "Jarque-Bera", "Kurtosis", "Durbin-Watson")
_SECONDS_OF_WORK = 1e8  # n p^2 up to which an exact p-value takes a few seconds


def diagnostic_entries(
    result: Influence, durbin_watson_test: Callable[[], DurbinWatsonResult]
) -> list[tuple[str, str]]:
    """Names and values of moments and tests of the residuals of one response.

    Parameters
    ----------
    result : Influence
    durbin_watson_test : callable
        Returns the test of these residuals; called where its p-value takes a few seconds at most.
    """
    try:
        residuals = weighted_residuals(result)
    except ValueError:  # they are rounding errors
        return [(name, "undefined") for name in _NAMES]
    shape = normality(residuals)
    values = (
        f"{shape.skewness:.3f}",
        f"{number_text(shape.statistic)}, p = {p_text(shape.pvalue)}",
        f"{shape.kurtosis:.3f}",
        _durbin_watson_text(result, residuals, durbin_watson_test),
    )
    return [*zip(_NAMES, values, strict=True)]


def _durbin_watson_text(
    result: Influence, residuals: np.ndarray, test: Callable[[], DurbinWatsonResult]
) -> str:
    """The statistic, and its p-value where the distribution is known."""
    statistic = durbin_watson(residuals)
    if result.n_observations * result.n_parameters**2 > _SECONDS_OF_WORK:
        return f"{statistic:.3f}"
    try:
        return f"{statistic:.3f}, p = {p_text(test().pvalue)}"
    except ValueError:
        return f"{statistic:.3f}, no p-value"
