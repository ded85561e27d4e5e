"""Names of columns, responses and rows, and pandas results that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Labels:
    """Names of rows and columns.

    Attributes
    ----------
    columns : tuple of str
        Columns of the design matrix, the intercept included.
    responses : tuple of str
    single : bool
        Whether the response was a vector: results then have no axis of responses.
    rows : pandas.Index or None
        Index of the table that the data were read from; None for arrays.
    named : bool
        Whether the data have names of columns, as tables do.
    pandas : bool
        Whether results are pandas objects.
    formula : ModelFormula or None
        The formula that the data were read by.
    """

    columns: tuple[str, ...]
    responses: tuple[str, ...]
    single: bool
    rows: Any = None
    named: bool = False
    pandas: bool = False
    formula: Any = None

    def select(self, response: int) -> Labels:
        """The labels of one response alone."""
        return replace(self, responses=(self.responses[response],), single=True)

    def without_rows(self) -> Labels:
        """The same without names of rows."""
        return replace(self, rows=None)

    @property
    def lead(self) -> tuple[str, ...]:
        """What results show of the formula: lines of text, none without a formula."""
        return () if self.formula is None else self.formula.shown()

    def by_name(self, values: Any, argument: str) -> Any:
        """The columns of the data of a formula that `values` names; other values unchanged."""
        if self.formula is None:
            return values
        if isinstance(values, str):
            return self.formula.column(values, argument)
        if are_names(values) and len(values) != len(self.formula.rows):
            return tuple(self.formula.column(name, argument) for name in values)
        return values

    def key(self, order_by: Any) -> Any:
        """`by_name` for an order of the rows, which may name a column of the design, too."""
        is_regressor = isinstance(order_by, str) and order_by in self.columns
        return order_by if is_regressor else self.by_name(order_by, "order_by")

    def scalar(self, values: np.ndarray) -> Any:
        """(m,) values of responses as a float, an array or a Series."""
        if self.single:
            return float(values[0])
        return self._frame(values, self.responses)

    def by_column(self, values: np.ndarray) -> Any:
        """(p, m) values of coefficients, (p,) for one response."""
        return self._table(values, self.columns)

    def by_row(self, values: np.ndarray) -> Any:
        """(n, m) values of observations, (n,) for one response."""
        return self._table(values, self.rows)

    def of_columns(self, values: np.ndarray) -> Any:
        """(p,) values that are common to all responses."""
        return self._frame(values, self.columns)

    def of_rows(self, values: np.ndarray) -> Any:
        """(n,) values that are common to all responses."""
        return self._frame(values, self.rows)

    def by_row_and_column(self, values: np.ndarray) -> Any:
        """(m, n, p) values; for one response (n, p), as a table where the data were tables."""
        return self._frame(values[0], self.rows, self.columns) if self.single else values

    def square(self, matrices: np.ndarray) -> Any:
        """(m, p, p) matrices; for one response (p, p), as a table where the data were tables."""
        if not self.single:
            return matrices
        return self._frame(matrices[0], self.columns, self.columns)

    def _table(self, values: np.ndarray, rows: object) -> Any:
        if self.single:
            return self._frame(values[:, 0], rows, name=self.responses[0])
        return self._frame(values, rows, self.responses)

    def _frame(
        self,
        values: np.ndarray,
        rows: object,
        columns: Sequence[str] | None = None,
        name: str | None = None,
    ) -> Any:
        return framed(values, rows, columns, name) if self.pandas else values


def are_names(values: object) -> bool:
    """Whether `values` is a list or tuple of names."""
    if not isinstance(values, list | tuple):
        return False
    return bool(values) and all(isinstance(name, str) for name in values)


def framed(
    values: np.ndarray, rows: object, columns: Sequence[str] | None = None, name: str | None = None
) -> Any:
    """A Series, or a DataFrame where there are columns."""
    import pandas

    index = list(rows) if isinstance(rows, tuple) else rows
    if values.ndim == 1:
        return pandas.Series(values, index=index, name=name)
    return pandas.DataFrame(values, index=index, columns=None if columns is None else list(columns))
