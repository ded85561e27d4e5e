"""The Jarque-Bera test of the skewness and kurtosis of residuals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.residuals import moderate, residual_series


class Normality(NamedTuple):
    """Skewness, kurtosis (3 for a normal distribution), and the Jarque-Bera test of both."""

    skewness: float
    kurtosis: float
    statistic: float
    pvalue: float


def normality(residuals: np.ndarray) -> Normality:
    """The moments of an (n,) array and their test; nan where all elements are equal."""
    residuals = moderate(residuals)
    centred = moderate(residuals - residuals.mean())
    variance = np.mean(centred**2)
    if not variance > 0:
        return Normality(np.nan, np.nan, np.nan, np.nan)
    skewness = float(np.mean(centred**3) / variance**1.5)
    kurtosis = float(np.mean(centred**4) / variance**2)
    statistic = len(residuals) / 6 * (skewness**2 + (kurtosis - 3) ** 2 / 4)
    return Normality(skewness, kurtosis, statistic, float(special.chdtrc(2, statistic)))


def jarque_bera(residuals: object) -> TestResult:
    """Test residuals for the skewness and kurtosis of a normal distribution.

    Parameters
    ----------
    residuals : (n,) array_like or RegressionResult

    Returns
    -------
    TestResult
        The chi-squared distribution is asymptotic: with fewer than some hundred residuals, the
        test rejects less often than its level.

    Raises
    ------
    TypeError, ValueError
        If the residuals are not a series, or are constant.

    References
    ----------
    Jarque & Bera (1987), "A test for normality of observations and regression residuals".
    """
    series = residual_series(residuals)
    if np.ptp(series) <= len(series) * np.finfo(float).eps * np.abs(series).max():
        raise ValueError("residuals are constant: their skewness and kurtosis are undefined")
    shape = normality(series)
    return TestResult(
        shape.statistic, shape.pvalue, "Jarque-Bera test", "chi2(2)",
        "the errors have the skewness and kurtosis of a normal distribution",
    )  # fmt: skip
