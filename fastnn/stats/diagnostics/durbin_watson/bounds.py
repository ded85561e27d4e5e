"""Bounds of the critical value of the Durbin-Watson test, valid for all regressors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from fastnn._shared.numbers import check_flag, check_integer, check_number
from fastnn.stats.diagnostics.durbin_watson.quadratic_forms import (
    PathLaw,
    RepeatedLaw,
    path_eigenvalues,
)
from fastnn.stats.diagnostics.durbin_watson.statistic_and_test import DurbinWatsonResult
from fastnn.stats.diagnostics.durbin_watson.tail import Law, tail
from fastnn.stats.tables.frames import table

_BEYOND = 40.0  # above the normal quantile of every probability in float64

REJECT, KEEP, OPEN = "reject", "do not reject", "inconclusive"


class DurbinWatsonBounds(NamedTuple):
    """Bounds of the critical value of d."""

    lower: float
    upper: float


def durbin_watson_bounds(
    n: int, k: int, alpha: float = 0.05, intercept: bool = True
) -> DurbinWatsonBounds:
    """Durbin and Watson's bounds d_L and d_U of the critical value, for any n, k and alpha.

    In the test against positive autocorrelation at level `alpha`, every regression on k regressors
    rejects for d < d_L, and none rejects for d > d_U.  Between the bounds the result depends on the
    regressors (use `durbin_watson_test`).  Against negative autocorrelation, the same holds for
    4 - d.  The bounds are computed from the distributions of the bounding variables of Durbin and
    Watson, with errors below 1e-8.

    Parameters
    ----------
    n : int
        Number of observations.
    k : int
        Number of regressors, the intercept excluded; at least 1 without an intercept.
    alpha : float
        Level of the one-sided test, between 0 and 1.
    intercept : bool
        Whether a constant is among the regressors.  Without a constant, the lower bound is
        Farebrother's d_M, and the upper bound is that of k - 1 regressors and an intercept.

    Returns
    -------
    DurbinWatsonBounds
        Named tuple ``(lower, upper)``.

    Notes
    -----
    The difference matrix has the eigenvalues 2 - 2 cos(pi i / n), i = 0, ..., n - 1.  The bounds
    are quantiles of sum(lambda_i xi_i^2) / sum(xi_i^2) over the smallest and over the largest
    eigenvalues that the residuals can have; a constant removes the eigenvalue 0.

    References
    ----------
    Durbin & Watson (1951), "Testing for serial correlation in least squares regression II",
    Biometrika 38.  Savin & White (1977), Econometrica 45, tabulate them.  Farebrother (1980),
    "The Durbin-Watson test for serial correlation when there is no intercept in the regression",
    Econometrica 48.

    Examples
    --------
    >>> lower, upper = durbin_watson_bounds(10, 1)
    >>> print(f"{lower:.3f} {upper:.3f}")
    0.879 1.320
    """
    n = check_integer(n, "n", 3)
    intercept = check_flag(intercept, "intercept")
    k = check_integer(k, "k", 0 if intercept else 1)
    alpha = check_number(alpha, "alpha", above=0.0, below=1.0)
    columns = k + intercept
    if n - columns < 2:
        raise ValueError(
            f"n must be at least k + {2 + intercept} = {columns + 2}"
            f"{' with an intercept' if intercept else ''}, got {n}"
        )
    return _bounds(n, columns, alpha, intercept)


@lru_cache(maxsize=4096)
def _bounds(
    n: int, columns: int, alpha: float, intercept: bool, side: int = 1
) -> DurbinWatsonBounds:
    """The bounds of d for side 1, of 4 - d for side -1.

    With an intercept they are equal, because 4 - lambda_i is lambda_(n - i).
    """
    first = 1 if intercept else 0
    m = n - columns
    least = _critical(PathLaw(n, first, first + m - 1), alpha, side)
    largest = least
    if columns > first:
        largest = _critical(PathLaw(n, columns, n - 1), alpha, side)
    if side > 0:
        return DurbinWatsonBounds(least, largest)
    return DurbinWatsonBounds(4 - largest, 4 - least)


def durbin_watson_panel_bounds(
    n_groups: int, n_periods: int, k: int, alpha: float = 0.05
) -> DurbinWatsonBounds:
    """Bounds of the critical value of d in a balanced panel with fixed effects, for all regressors.

    They are the bounds of Bhargava, Franzini and Narendranathan for the statistic that
    `durbin_watson_test` gives with ``fixed_effects=True``: every regression on k regressors rejects
    independence against positive autocorrelation for d < d_PL, and none rejects for d > d_PU.
    Against negative autocorrelation, the same holds for 4 - d.  Errors are below 1e-8.

    Parameters
    ----------
    n_groups : int
        Number of entities.
    n_periods : int
        Number of periods, the same for each entity; at least 3.
    k : int
        Number of regressors, the fixed effects excluded.
    alpha : float
        Level of the one-sided test, between 0 and 1.

    Returns
    -------
    DurbinWatsonBounds
        Named tuple ``(lower, upper)``.

    Notes
    -----
    Fixed effects leave the eigenvalues 2 - 2 cos(pi j / T), j = 1, ..., T - 1, once for each
    entity.  k regressors remove the k largest ones for the lower bound, and the k smallest ones for
    the upper bound.

    References
    ----------
    Bhargava, Franzini & Narendranathan (1982), "Serial correlation and the fixed effects model",
    Review of Economic Studies 49, tables I and II.

    Examples
    --------
    >>> lower, upper = durbin_watson_panel_bounds(100, 6, 3)
    >>> print(f"{lower:.3f} {upper:.3f}")
    1.859 1.880
    """
    n_groups = check_integer(n_groups, "n_groups", 1)
    n_periods = check_integer(n_periods, "n_periods", 3)
    k = check_integer(k, "k", 0)
    alpha = check_number(alpha, "alpha", above=0.0, below=1.0)
    size = n_groups * (n_periods - 1)
    if size - k < 2:
        raise ValueError(f"n_groups * (n_periods - 1) must be at least k + 2 = {k + 2}, got {size}")
    return _panel_bounds(n_groups, n_periods, k, alpha)


@lru_cache(maxsize=4096)
def _panel_bounds(n_groups: int, n_periods: int, k: int, alpha: float) -> DurbinWatsonBounds:
    values = path_eigenvalues(n_periods, np.arange(1, n_periods))
    # Numbers of eigenvalues that are left where the first k are removed.
    left = np.clip(n_groups * np.arange(1, n_periods) - k, 0, n_groups)
    return DurbinWatsonBounds(*(
        _critical(RepeatedLaw(values[counts > 0], counts[counts > 0]), alpha, 1)
        for counts in (left[::-1], left)
    ))  # fmt: skip


def _critical(law: Law, alpha: float, side: int) -> float:
    """The d with P(D < d) = alpha for side 1, with P(D > d) = alpha for side -1."""
    from scipy.optimize import brentq  # slow to import

    if law.low == law.high:  # all eigenvalues are equal: D is a constant
        return law.low
    target = side * float(ndtri(alpha))

    def distance(d: float) -> float:
        # On the scale of normal quantiles the distribution function is almost linear.
        exact = tail(law, d)
        quantile = float(ndtri(exact.below) if exact.is_lower else -ndtri(exact.above))
        return min(max(quantile, -_BEYOND), _BEYOND) - target

    low, high = _bracket(law, target, distance)
    return float(brentq(distance, low, high, xtol=1e-11, rtol=1e-13))


def _bracket(law: Law, target: float, distance: Callable[[float], float]) -> tuple[float, float]:
    """Points around the quantile, from a normal approximation and growing steps."""
    mean = law.trace / law.size
    variance = 2 * (law.square / law.size - mean * mean) / (law.size + 2)
    step = 0.5 * math.sqrt(variance)
    low = high = min(max(mean + target * 2 * step, law.low), law.high)
    while distance(low) > 0 and low > law.low:
        low, step = max(low - step, law.low), 2 * step
    while distance(high) < 0 and high < law.high:
        high, step = min(high + step, law.high), 2 * step
    return low, high


# ------------------------------------------------------------------------------ decision


@dataclass(frozen=True)
class Decision:
    """The verdicts of a bounds test on both sides.

    Attributes
    ----------
    statistic, alpha : float
    bounds : DurbinWatsonBounds
        Bounds of d.
    mirrored : DurbinWatsonBounds
        Bounds of 4 - d; with an intercept the same as those of d.
    positive, negative : str
        Verdicts about independence against positive (by d) and negative (by 4 - d)
        autocorrelation: ``"reject"``, ``"do not reject"`` or ``"inconclusive"``.
    p_positive, p_negative : float or None
        Exact p-values of the two one-sided tests; None where the regressors are unknown.
    """

    statistic: float
    alpha: float
    bounds: DurbinWatsonBounds
    mirrored: DurbinWatsonBounds
    positive: str
    negative: str
    p_positive: float | None = None
    p_negative: float | None = None

    @property
    def positive_settled(self) -> str:
        """`positive`, or the verdict of the exact p-value where it is available."""
        return _settled(self.positive, self.p_positive, self.alpha)

    @property
    def negative_settled(self) -> str:
        """`negative`, or the verdict of the exact p-value where it is available."""
        return _settled(self.negative, self.p_negative, self.alpha)

    def to_frame(self) -> Any:
        """The verdicts as a pandas DataFrame.

        Returns
        -------
        DataFrame
            Rows ``positive`` and ``negative``; columns ``statistic`` (d and 4 - d), ``lower``,
            ``upper``, ``verdict``, ``p_value`` (None where the regressors are unknown) and
            ``settled``.
        """
        rows = self.bounds, self.mirrored
        columns = {
            "statistic": [self.statistic, 4 - self.statistic],
            "lower": [bounds.lower for bounds in rows],
            "upper": [bounds.upper for bounds in rows],
            "verdict": [self.positive, self.negative],
            "p_value": [self.p_positive, self.p_negative],
            "settled": [self.positive_settled, self.negative_settled],
        }
        return table(columns, ["positive", "negative"])

    def __str__(self) -> str:
        low, high = self.bounds
        other = self.mirrored
        level = f"Durbin-Watson bounds test at level {self.alpha:g}"
        lines = [f"{level}: d_L = {low:.3f}, d_U = {high:.3f}"]
        if other != self.bounds:
            lines[0] += f"; of 4 - d {other.lower:.3f} and {other.upper:.3f}"
        for sign, name, value, verdict, p in (
            ("positive", "d", self.statistic, self.positive, self.p_positive),
            ("negative", "4 - d", 4 - self.statistic, self.negative, self.p_negative),
        ):
            place = {
                REJECT: f"below d_L: reject independence for {sign} autocorrelation",
                KEEP: f"above d_U: no evidence of {sign} autocorrelation",
                OPEN: f"between the bounds: inconclusive about {sign} autocorrelation",
            }[verdict]
            line = f"  {name} = {value:.5f} is {place}"
            if p is not None:
                line += f" (exact p = {p:.4g}"
                if verdict == OPEN:
                    line += f" settles it: {_settled(verdict, p, self.alpha)}"
                line += ")"
            elif verdict == OPEN:
                line += " (the exact p-value of durbin_watson_test would settle it)"
            lines.append(line)
        return "\n".join(lines)


def decide(
    statistic: float | DurbinWatsonResult,
    n: int | None = None,
    k: int | None = None,
    alpha: float = 0.05,
    intercept: bool | None = None,
) -> Decision:
    """The verdicts of the bounds test against positive and negative autocorrelation.

    Parameters
    ----------
    statistic : float or DurbinWatsonResult
        The statistic d, or the result of a test.  A result contains n, k and the intercept, and
        its exact p-values settle inconclusive verdicts.
    n : int, optional
        Number of observations; required with a statistic.
    k : int, optional
        Number of regressors, the intercept excluded; required with a statistic.
    alpha : float
        Level of each one-sided test.
    intercept : bool, optional
        Whether there is an intercept; True by default with a statistic.

    Returns
    -------
    Decision
        Prints as sentences.

    Examples
    --------
    >>> print(decide(0.94097, n=10, k=1))
    Durbin-Watson bounds test at level 0.05: d_L = 0.879, d_U = 1.320
      d = 0.94097 is between the bounds: inconclusive about positive autocorrelation (the exact \
p-value of durbin_watson_test would settle it)
      4 - d = 3.05903 is above d_U: no evidence of negative autocorrelation
    """
    positive: float | None = None
    negative: float | None = None
    if isinstance(statistic, DurbinWatsonResult):
        result = statistic
        if result.differences is not None:
            raise ValueError("the bounds hold for one series without gaps; use the exact p-value")
        if (n, k, intercept) != (None, None, None):
            raise TypeError("n, k and intercept must be left out where a test's result is given")
        if result.lag != 1:
            raise ValueError(f"the bounds are those of lag 1, got a result of lag {result.lag}")
        d, n, k, intercept = result.statistic, result.n, result.k, result.has_intercept
        positive, negative = result.p_positive, result.p_negative
    else:
        d = check_number(statistic, "statistic", low=0.0, high=4.0)
        if n is None or k is None:
            raise TypeError("n and k must be given with a statistic alone")
        intercept = True if intercept is None else intercept
    bounds = durbin_watson_bounds(n, k, alpha, intercept)
    mirrored = bounds if intercept else _bounds(n, k, float(alpha), False, -1)
    return Decision(
        statistic=d,
        alpha=float(alpha),
        bounds=bounds,
        mirrored=mirrored,
        positive=_verdict(d, bounds),
        negative=_verdict(4 - d, mirrored),
        p_positive=positive,
        p_negative=negative,
    )


def _verdict(value: float, bounds: DurbinWatsonBounds) -> str:
    if value < bounds.lower:
        return REJECT
    return KEEP if value > bounds.upper else OPEN


def _settled(verdict: str, pvalue: float | None, alpha: float) -> str:
    """The verdict of the exact p-value, which agrees with conclusive bounds."""
    if pvalue is None:
        return verdict
    return REJECT if pvalue < alpha else KEEP
