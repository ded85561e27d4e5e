"""The runs test: whether the signs of residuals come in random order."""

from __future__ import annotations

import numpy as np

from fastnn._shared.numbers import check_choice
from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.residuals import ALTERNATIVES, residual_series


def runs_test(
    residuals: object, *, alternative: str = "two-sided", method: str = "exact"
) -> TestResult:
    """The Wald-Wolfowitz test of random order, by the number of runs of equal signs.

    Few runs indicate positive autocorrelation, many runs negative autocorrelation.  Residuals that
    are exactly 0 have no sign and are ignored.

    Parameters
    ----------
    residuals : (n,) array_like or RegressionResult
    alternative : {"two-sided", "positive", "negative"}
        Sign of the autocorrelation under the alternative hypothesis.  The two-sided p-value is
        twice the smaller tail, at most 1.
    method : {"exact", "normal"}
        "exact" is the distribution of the number of runs, conditional on the number of residuals
        of each sign.  "normal" is its normal approximation without continuity correction, as in
        ``randtests::runs.test`` of R.

    Returns
    -------
    TestResult
        The statistic is the number of runs, or its standardised value for "normal".

    Raises
    ------
    TypeError, ValueError
        If the residuals are not a series, or all have the same sign.

    References
    ----------
    Wald & Wolfowitz (1940), "On a test whether two samples are from the same population".
    """
    from scipy import stats

    series = residual_series(residuals, in_order=True)
    check_choice(alternative, "alternative", ALTERNATIVES)
    check_choice(method, "method", ("exact", "normal"))
    signs = series[series != 0] > 0
    n, above = len(signs), int(np.count_nonzero(signs))
    below = n - above
    if not above or not below:
        raise ValueError("residuals all have one sign: there is only one run")
    runs = 1 + int(np.count_nonzero(signs[1:] != signs[:-1]))
    if method == "exact":
        weights = _law_of_runs(above, below)
        fewer, more = float(weights[: runs + 1].sum()), float(weights[runs:].sum())
        statistic: float = runs
        law = f"exact, {above} above and {below} below 0"
    else:
        mean = 1 + 2 * above * below / n
        variance = (mean - 1) * (mean - 2) / (n - 1)
        if variance <= 0:
            raise ValueError('method="normal" needs more than one residual of some sign')
        statistic = (runs - mean) / variance**0.5
        fewer, more = float(stats.norm.cdf(statistic)), float(stats.norm.sf(statistic))
        law = "normal"
    tails = {"positive": fewer, "negative": more, "two-sided": 2 * min(fewer, more)}
    return TestResult(
        statistic, min(tails[alternative], 1.0), "runs test", law,
        "residuals of either sign come in random order", alternative,
    )  # fmt: skip


def _law_of_runs(above: int, below: int) -> np.ndarray:
    """Probability of 0, 1, 2, ... runs of `above` and `below` signs in random order."""
    from scipy import special

    def log_choose(n: int, k: np.ndarray) -> np.ndarray:
        chosen: np.ndarray = (
            special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
        )
        return chosen

    few = min(above, below)
    law = np.zeros(2 * few + 2)
    total = log_choose(above + below, np.array(float(above)))
    k = np.arange(1.0, few + 1)  # 2 k runs: k of each sign, beginning with either
    even = log_choose(above - 1, k - 1) + log_choose(below - 1, k - 1)
    law[2 : 2 * few + 1 : 2] = 2 * np.exp(even - total)
    with np.errstate(invalid="ignore"):  # 2 k + 1 runs: one more of the sign it begins with
        for a, b in ((above, below), (below, above)):
            fits = k <= a - 1
            odd = log_choose(a - 1, k[fits]) + log_choose(b - 1, k[fits] - 1)
            law[3 : 2 * few + 2 : 2][: len(odd)] += np.exp(odd - total)
    return law
