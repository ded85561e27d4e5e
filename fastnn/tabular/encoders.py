"""Encoders: the transformation of one column of a table into inputs of a network.

An encoder is fitted once.  It has the `name` of its column, the number of its inputs (`width`), and
methods to encode the column of a later table, to describe itself and to store itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.tabular import stored
from fastnn.tabular.table import (
    DataError,
    Table,
    is_number,
    is_numeric,
    listing,
    not_a_number,
    refuse_infinite,
)

__all__ = ["MAX_CATEGORIES", "SCALINGS", "Category", "Encoder", "Number", "fit_encoders"]

MAX_CATEGORIES = 100
"""Largest number of distinct texts of a column; each becomes an input of the network."""

SCALINGS = ("auto", "columns", "common", "none")
"""Values of the parameter `scaling`."""

_RELATIVE_ROUNDING = 1e-14  # a smaller standard deviation, relative to the mean, is rounding error


@dataclass(frozen=True)
class Number:
    """A column of numbers; its input is (x - mean) / scale."""

    name: str
    mean: float
    scale: float

    @property
    def width(self) -> int:
        """Number of the inputs that stand for the column."""
        return 1

    def encode(self, table: Table) -> np.ndarray:
        """The scaled numbers (N,) of the column in float64.

        Raises
        ------
        DataError
            If the column is absent or has text.
        """
        values = table.column(self.name)
        if not is_numeric(values):
            row = next((i for i, text in enumerate(values) if not is_number(text)), 0)
            raise DataError(
                f"{table.where(row, self.name)}: {not_a_number(values[row])}, as in the data of "
                "the training"
            )
        scaled: np.ndarray = (values - self.mean) / self.scale
        return scaled

    def write(self, table: Table, out: np.ndarray) -> None:
        """Write the inputs of the column into `out` (N, 1)."""
        out[:, 0] = self.encode(table)

    def describe(self) -> str:
        """The transformation of the column as text."""
        return f"(x - {self.mean:.6g}) / {self.scale:.6g}"

    def to_dict(self) -> dict[str, Any]:
        """The encoder as data for JSON."""
        return {"name": self.name, "mean": self.mean, "scale": self.scale}


@dataclass(frozen=True)
class Category:
    """A column of text, one-hot encoded: one input for each category, in ascending order."""

    name: str
    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of the inputs that stand for the column."""
        return len(self.categories)

    def encode(self, table: Table) -> np.ndarray:
        """The index (N,) of the category of each row.

        Raises
        ------
        DataError
            If the column is absent, has numbers, or has an unknown category.
        """
        values = table.column(self.name)
        if is_numeric(values):
            raise DataError(
                f"{table.name}: column {self.name!r} holds numbers, expected text as in the data "
                "of the training"
            )
        return positions(table, self.name, values, np.array(self.categories), "category")

    def write(self, table: Table, out: np.ndarray) -> None:
        """Write the inputs of the column into `out` (N, width), which has zeros."""
        out[np.arange(len(table)), self.encode(table)] = 1

    def describe(self) -> str:
        """The transformation of the column as text."""
        return f"one-hot: {listing(map(repr, self.categories), 6)}"

    def to_dict(self) -> dict[str, Any]:
        """The encoder as data for JSON."""
        return {"name": self.name, "categories": list(self.categories)}


Encoder = Number | Category


def encoder_from_dict(entry: Mapping[str, Any]) -> Encoder:
    """The encoder from data that `to_dict` of an encoder has returned.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the data do not describe an encoder.
    """
    name = stored.text(entry["name"])
    if "categories" in entry:
        return Category(name, stored.ascending(entry["categories"], str))
    return Number(name, stored.finite(entry["mean"]), stored.positive(entry["scale"]))


def positions(
    table: Table, name: str, values: np.ndarray, labels: np.ndarray, what: str
) -> np.ndarray:
    """The index of each value in the ascending array `labels`, as int64.

    Raises
    ------
    DataError
        If a value is not among the labels; the message calls it an unknown `what`.
    """
    indices = np.minimum(np.searchsorted(labels, values), len(labels) - 1)
    is_unknown = labels[indices] != values
    if is_unknown.any():
        row = int(np.argmax(is_unknown))
        raise DataError(
            f"{table.where(row, name)}: unknown {what} {values[row].item()!r}; the model knows "
            f"{listing(labels.tolist(), 6)}"
        )
    return indices.astype(np.int64, copy=False)


# ------------------------------------------------------------------------- fitting


def fit_encoders(
    features: Table, rows: np.ndarray | slice = slice(None), scaling: str = "columns"
) -> tuple[Encoder, ...]:
    """An encoder for each column of a table, which has no target.

    Parameters
    ----------
    features : Table
    rows : (n,) array of int, or slice
        Rows from which means and standard deviations are computed.  Categories come from all rows.
    scaling : {"columns", "common", "none"}
        As in `Preprocessor.fit`.

    Raises
    ------
    DataError
        If numbers are not finite or too large, or a column of text has too many categories.
    """
    moments = {
        name: column_moments(features, name, values[rows])
        for name, values in features.columns.items()
        if is_numeric(values)
    }
    if scaling == "none":
        moments = dict.fromkeys(moments, (0.0, 1.0))
    elif scaling == "common" and moments:
        moments = dict.fromkeys(moments, _pooled(list(moments.values())))
    return tuple(
        Number(name, *mean_and_scale(*moments[name]))
        if name in moments
        else _category(features, name, values)
        for name, values in features.columns.items()
    )


def column_moments(table: Table, name: str, values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of some values of a column.

    Raises
    ------
    DataError
        If one of them is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.mean(values, dtype=np.float64))
        deviation = float(np.std(values, dtype=np.float64))
    if not (math.isfinite(mean) and math.isfinite(deviation)):
        refuse_infinite(table)
        raise DataError(f"{table.name}: the numbers of column {name!r} are too large to scale")
    return mean, deviation


def mean_and_scale(mean: float, deviation: float) -> tuple[float, float]:
    """Mean and scale of a column; the scale of a constant column is 1.

    The standard deviation of a constant is not always 0, because its mean is rounded.
    """
    return mean, deviation if deviation > _RELATIVE_ROUNDING * abs(mean) else 1.0


def _pooled(moments: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean and standard deviation of all values of several columns of one length."""
    means, deviations = np.array(moments).T
    return float(means.mean()), math.sqrt(float(np.mean(deviations**2) + means.var()))


def _category(table: Table, name: str, values: np.ndarray) -> Category:
    categories = np.unique(values)
    if len(categories) > MAX_CATEGORIES:
        raise DataError(
            f"{table.name}: column {name!r} has {_counted(categories.tolist())}; "
            f"at most {MAX_CATEGORIES} can be one-hot encoded: leave the column out, or correct it"
        )
    return Category(name, tuple(categories.tolist()))


def _counted(categories: Sequence[str]) -> str:
    """The number of categories and, if some are numbers, how many are not."""
    texts = [category for category in categories if not is_number(category)]
    if len(texts) == len(categories):
        return f"{len(texts)} different texts"
    example = f", {texts[0]!r} for one" if texts else ""
    return f"{len(categories)} different values ({len(texts)} not numbers{example})"
