"""Tests of the normal distribution of residuals."""

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


_MOST = 5000  # residuals up to which the p-value of Shapiro and Wilk is known
_NORMAL = "the errors are normal"


def shapiro_wilk(residuals: object) -> TestResult:
    """The Shapiro-Wilk test of normal residuals, by ``scipy.stats.shapiro``.

    Parameters
    ----------
    residuals : (n,) array_like or RegressionResult
        From 3 to 5000 residuals, the range of Royston's approximation.

    Returns
    -------
    TestResult
        Small statistics reject.

    Raises
    ------
    TypeError, ValueError
        If the residuals are not a series, are constant, or are more than 5000.

    References
    ----------
    Royston (1995), "Remark AS R94: a remark on algorithm AS 181", Applied Statistics 44.
    """
    from scipy import stats

    series = _varying(residuals)
    if len(series) > _MOST:
        raise ValueError(
            f"residuals has {len(series)} elements, expected at most {_MOST} by the Shapiro-Wilk "
            "test; use anderson_darling"
        )
    statistic, pvalue = stats.shapiro(series)
    law = f"Royston's approximation, n = {len(series)}"
    return TestResult(float(statistic), float(pvalue), "Shapiro-Wilk test", law, _NORMAL, "less")


def anderson_darling(residuals: object) -> TestResult:
    """The Anderson-Darling test of normal residuals of unknown mean and variance.

    Parameters
    ----------
    residuals : (n,) array_like or RegressionResult
        At least 8 residuals.

    Returns
    -------
    TestResult
        The p-value is that of ``nortest::ad.test`` of R and ``normal_ad`` of statsmodels.

    Raises
    ------
    TypeError, ValueError
        If the residuals are not a series, are constant, or are fewer than 8.

    References
    ----------
    Stephens (1986), in D'Agostino & Stephens, "Goodness-of-fit techniques", table 4.9.
    """
    series = _varying(residuals)
    n = len(series)
    if n < 8:
        raise ValueError(f"residuals has {n} elements, expected at least 8")
    z = np.sort(series - series.mean()) / np.std(series, ddof=1)
    weights = 2 * np.arange(1, n + 1) - 1
    logs = special.log_ndtr(z) + special.log_ndtr(-z[::-1])
    statistic = float(-n - weights @ logs / n)
    pvalue = _anderson_tail(statistic * (1 + 0.75 / n + 2.25 / n**2))
    return TestResult(
        statistic, pvalue, "Anderson-Darling test", f"Stephens's approximation, n = {n}", _NORMAL
    )


def _anderson_tail(a: float) -> float:
    """The p-value of the statistic adjusted for n."""
    if a < 0.2:
        return float(1 - np.exp(-13.436 + 101.14 * a - 223.73 * a * a))
    if a < 0.34:
        return float(1 - np.exp(-8.318 + 42.796 * a - 59.938 * a * a))
    if a < 0.6:
        return float(np.exp(0.9177 - 4.279 * a - 1.38 * a * a))
    a = min(a, 10.0)  # the parabola would rise again
    return float(np.exp(1.2937 - 5.709 * a + 0.0186 * a * a))


def _varying(residuals: object) -> np.ndarray:
    """A series that is not constant, scaled so that squares neither over- nor underflow."""
    series = moderate(residual_series(residuals))
    if np.ptp(series) <= len(series) * np.finfo(float).eps * np.abs(series).max():
        raise ValueError("residuals are constant: they have no distribution to compare")
    return series
