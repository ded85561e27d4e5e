"""The result of a test: statistic, p-value, and the distribution under the null hypothesis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.stats.tables.frames import table
from fastnn.stats.tables.sheet import Facts, Grid, Sheet
from fastnn.stats.tables.shown import Shown

Number = Any
"""A float, or an array for a test at several lags."""


@dataclass(frozen=True)
class TestResult(Shown):
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

    def _sheets(self) -> tuple[Sheet, ...]:
        note = f"null hypothesis: {self.null}"
        if np.ndim(self.statistic):
            columns = zip(self._laws, self.statistic, self.pvalue, strict=True)
            rows = tuple((law, f"{value:.6g}", f"{p:.4g}") for law, value, p in columns)
            grid = Grid(("distribution", "statistic", "p-value"), rows)
            return (Sheet(((grid,),), self.name, notes=(note,)),)
        facts = Facts((
            ("statistic", f"{self.statistic:.6g}", self.distribution),
            ("p-value", f"{self.pvalue:.4g}", self.alternative),
        ))  # fmt: skip
        return (Sheet(((facts,),), self.name, notes=(note,)),)

    @property
    def _laws(self) -> list[str]:
        """The distribution of each statistic."""
        return self.distribution.split("; ")

    def to_frame(self) -> Any:
        """The test as a pandas DataFrame with one row, or with one row for each lag.

        Returns
        -------
        DataFrame
            Columns ``statistic``, ``p_value``, ``method``, ``distribution``, ``alternative`` and
            ``null``.
        """
        count = np.size(self.statistic)
        return table({
            "statistic": np.ravel(self.statistic),
            "p_value": np.ravel(self.pvalue),
            "method": [self.name] * count,
            "distribution": self._laws if np.ndim(self.statistic) else [self.distribution],
            "alternative": [self.alternative] * count,
            "null": [self.null] * count,
        })  # fmt: skip

    def glance(self) -> Any:
        """The same as `to_frame`, as for tests in R's broom.

        Returns
        -------
        DataFrame
        """
        return self.to_frame()
