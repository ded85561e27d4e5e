"""The result of a test: statistic, p-value, and the distribution under the null hypothesis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Number = Any
"""A float, or an array for a test at several lags."""


@dataclass(frozen=True)
class TestResult:
    """The result of a hypothesis test; unpacks to ``statistic, pvalue`` as results of SciPy do.

    Attributes
    ----------
    statistic : float or array
    pvalue : float or array
        Probability of a statistic at least this extreme under the null hypothesis.
    name : str
        Name of the test.
    distribution : str
        Distribution of the statistic under the null hypothesis, such as ``"chi2(2)"``.
    null : str
        The null hypothesis in words.
    alternative : str
        ``"two-sided"``, ``"positive"`` or ``"negative"`` for autocorrelation; ``"greater"`` for
        tests that reject for large statistics only.
    """

    __test__ = False  # pytest: this is no test class

    statistic: Number
    pvalue: Number
    name: str
    distribution: str
    null: str
    alternative: str = "greater"

    def __iter__(self) -> Iterator[Number]:
        yield self.statistic
        yield self.pvalue

    def __str__(self) -> str:
        lines = [self.name]
        if hasattr(self.statistic, "__len__"):
            pairs = zip(self.statistic, self.pvalue, strict=True)
            laws = self.distribution.split("; ")
            for law, (statistic, pvalue) in zip(laws, pairs, strict=True):
                lines.append(f"  {law:<10} statistic = {statistic:.6g}, p-value = {pvalue:.4g}")
        else:
            lines.append(
                f"  statistic = {self.statistic:.6g}, p-value = {self.pvalue:.4g} "
                f"({self.distribution}, {self.alternative})"
            )
        lines.append(f"  null hypothesis: {self.null}")
        return "\n".join(lines)
