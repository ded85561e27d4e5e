"""Preprocessing: the columns of a table become the inputs and targets of a network.

A `Preprocessor` is fitted once, to the rows on which the network is trained.  The file of the
model contains it, so that later data go through the same transformation.  It also turns the
outputs of the network into labels, or into the unit of the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice
from fastnn.tabular.splitting import Task, choose_task
from fastnn.tabular.table import DataError, Table, is_number, listing, not_a_number, refuse_infinite

__all__ = ["Category", "Label", "Number", "Preprocessor"]

MAX_CATEGORIES = 100
"""Largest number of distinct texts of a column; each becomes an input of the network."""

SCALINGS = ("auto", "columns", "common", "none")
"""Values of the parameter `scaling`."""

Label = str | int | float
"""The name of a class in the data."""


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

    def describe(self) -> str:
        """The transformation of the column as text."""
        return f"(x - {self.mean:.6g}) / {self.scale:.6g}"


@dataclass(frozen=True)
class Category:
    """A column of text, one-hot encoded: one input for each category, in ascending order."""

    name: str
    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of the inputs that stand for the column."""
        return len(self.categories)

    def describe(self) -> str:
        """The transformation of the column as text."""
        return f"one-hot: {listing(map(repr, self.categories), 6)}"


@dataclass(frozen=True)
class Preprocessor:
    """The transformation of a table's columns into inputs and targets of a network.

    Attributes
    ----------
    task : {"classification", "regression"}
    target : str
        Name of the target column.
    columns : tuple of Number and Category
        All other columns, in the order of the inputs that stand for them.
    classes : tuple of labels
        The classes in the order of the network's outputs; empty for regression.
    target_mean, target_scale : float
        For regression, the output of the network is (target - mean) / scale.
    """

    task: Task
    target: str
    columns: tuple[Number | Category, ...]
    classes: tuple[Label, ...] = ()
    target_mean: float = 0.0
    target_scale: float = 1.0

    @classmethod
    def fit(
        cls,
        table: Table,
        target: str,
        task: str = "auto",
        rows: np.ndarray | None = None,
        scaling: str = "auto",
    ) -> Preprocessor:
        """Fit a preprocessor to a table.

        Parameters
        ----------
        table : Table
        target : str
            Name of the target column.
        task : {"auto", "classification", "regression"}
            For "auto", `fastnn.tabular.splitting.guess_task` chooses by the target.
        rows : (n,) array of int, optional
            Rows for training, from which the means and standard deviations are computed; by
            default all rows.  Categories and classes come from all rows in any case.
        scaling : {"auto", "columns", "common", "none"}
            Scaling of the columns of numbers.  "columns": each has its own mean and scale.
            "common": all have one mean and one scale.  "none": numbers do not change.
            "auto" is "common" for a table whose `common_unit` is True, otherwise "columns".
            Among columns of one unit, a column of small variance matters little; a scale of
            its own would amplify its noise.

        Raises
        ------
        DataError
            If a column does not fit its role.
        TypeError, ValueError
            If `task` or `scaling` is unknown.
        """
        values = table.column(target)
        features = table.without(target)
        if not features.columns:
            raise DataError(f"{table.name} has no column besides the target {target!r}")
        used = slice(None) if rows is None else rows
        if check_choice(scaling, "scaling", SCALINGS) == "auto":
            scaling = "common" if table.common_unit else "columns"
        columns = _fit_columns(features, used, scaling)
        if choose_task(values, task) == "classification":
            return cls("classification", target, columns, _classes(table, target, values))
        if not _is_numeric(values):
            raise DataError(
                f"{table.name}: the target column {target!r} holds text ({values[0].item()!r}), "
                "expected numbers for regression"
            )
        mean, scale = _usable(*_moments(table, target, values[used]))
        return cls("regression", target, columns, (), mean, scale)

    # ------------------------------------------------------------- application

    @property
    def width(self) -> int:
        """Number of inputs of the network."""
        return sum(column.width for column in self.columns)

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the network: one for each class, or 1."""
        return len(self.classes) or 1

    @property
    def names(self) -> list[str]:
        """Names of all columns except the target."""
        return [column.name for column in self.columns]

    @property
    def text_columns(self) -> list[str]:
        """Names of the columns that must be read as text."""
        return [column.name for column in self.columns if isinstance(column, Category)]

    def features(self, table: Table, dtype: Any = np.float32) -> np.ndarray:
        """The inputs (N, width) of the network for a table, whose columns may have any order.

        Raises
        ------
        DataError
            If a column is absent, has text instead of numbers or numbers instead of text, or
            has an unknown category.
        """
        missing = [name for name in self.names if name not in table.columns]
        if missing:
            raise DataError(
                f"{table.name} lacks {len(missing)} of the {len(self.columns)} columns the model "
                f"takes: {listing(missing)}"
            )
        out = np.zeros((len(table), self.width), dtype)
        start = 0
        for column in self.columns:
            block = out[:, start : start + column.width]
            if isinstance(column, Number):
                block[:, 0] = _standardised(table, column)
            else:
                codes = _codes(table, column)
                block[np.arange(len(table)), codes] = 1
            start += column.width
        return out

    def targets(self, table: Table, dtype: Any = np.float32) -> np.ndarray:
        """The targets (N,) of a table: indices of classes in int64, or scaled numbers in `dtype`.

        Raises
        ------
        DataError
            If the target column is absent, has text instead of numbers or numbers instead of
            text, or has an unknown class.
        """
        values = table.column(self.target)
        if self.task == "regression":
            number = Number(self.target, self.target_mean, self.target_scale)
            return _standardised(table, number).astype(dtype)
        labels = np.array(self.classes)
        if _is_numeric(values) != _is_numeric(labels):
            kind = "text" if _is_numeric(labels) else "numbers"
            raise DataError(
                f"{table.name}: the target column {self.target!r} holds {kind}, but the model's "
                f"classes are {listing(map(str, self.classes), 6)}"
            )
        return _positions(table, self.target, values, labels, "class")

    def labels(self, indices: np.ndarray) -> list[Label]:
        """The names of the classes with these indices."""
        return [self.classes[i] for i in indices]

    def units(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs (N, 1) of a network for regression in the unit of the target: (N,) float64."""
        return outputs[:, 0].astype(np.float64) * self.target_scale + self.target_mean

    # ------------------------------------------------------------------- files

    def to_dict(self) -> dict[str, Any]:
        """The preprocessor as data for JSON; `from_dict` makes an equal preprocessor from them."""
        return {
            "task": self.task,
            "target": self.target,
            "classes": list(self.classes),
            "target_mean": self.target_mean,
            "target_scale": self.target_scale,
            "columns": [
                {"name": c.name, "mean": c.mean, "scale": c.scale}
                if isinstance(c, Number)
                else {"name": c.name, "categories": list(c.categories)}
                for c in self.columns
            ],
        }

    @classmethod
    def from_dict(cls, data: Any) -> Preprocessor:
        """Make a preprocessor from data that `to_dict` has returned.

        Raises
        ------
        ValueError
            If `data` do not describe a preprocessor.
        """
        try:
            if data["task"] not in ("classification", "regression"):
                raise ValueError(f"the task is {data['task']!r}")
            if not data["columns"]:
                raise ValueError("there are no columns")
            classification = data["task"] == "classification"
            return cls(
                data["task"],
                _text(data["target"]),
                tuple(_column(entry) for entry in data["columns"]),
                _ascending(data["classes"], Label) if classification else (),
                _finite(data["target_mean"]),
                _positive(data["target_scale"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a preprocessing: {error!r}") from error


def _is_numeric(values: np.ndarray) -> bool:
    return values.dtype.kind in "biuf"


# ------------------------------------------------------------------------- fitting


def _fit_columns(features: Table, used: Any, scaling: str) -> tuple[Number | Category, ...]:
    moments = {
        name: _moments(features, name, values[used])
        for name, values in features.columns.items()
        if _is_numeric(values)
    }
    if scaling == "none":
        moments = dict.fromkeys(moments, (0.0, 1.0))
    elif scaling == "common" and moments:
        moments = dict.fromkeys(moments, _pooled(list(moments.values())))
    return tuple(
        Number(name, *_usable(*moments[name]))
        if name in moments
        else _category(features, name, values)
        for name, values in features.columns.items()
    )


def _moments(table: Table, name: str, values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of a column.

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


def _pooled(moments: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean and standard deviation of all values of several columns of one length."""
    means, deviations = np.array(moments).T
    return float(means.mean()), math.sqrt(float(np.mean(deviations**2) + means.var()))


def _usable(mean: float, deviation: float) -> tuple[float, float]:
    """Mean and scale of a column; the scale of a constant column is 1.

    The standard deviation of a constant is not always 0, because its mean is rounded.
    """
    return mean, deviation if deviation > 1e-14 * abs(mean) else 1.0


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


def _classes(table: Table, target: str, values: np.ndarray) -> tuple[Label, ...]:
    labels = np.unique(values)
    if len(labels) < 2:
        only = _label(labels[0].item())
        raise DataError(f"{table.name}: the target column {target!r} has one class only, {only!r}")
    if len(labels) > max(MAX_CATEGORIES, len(values) // 2):
        raise DataError(
            f"{table.name}: the target column {target!r} has {len(labels)} classes in "
            f"{len(values)} rows, too many to learn"
        )
    return tuple(_label(value) for value in labels.tolist())


def _label(value: Any) -> Label:
    if isinstance(value, str):
        return value
    return int(value) if float(value).is_integer() else float(value)


# --------------------------------------------------------------------- application


def _standardised(table: Table, number: Number) -> np.ndarray:
    values = table.column(number.name)
    if not _is_numeric(values):
        row = next((i for i, text in enumerate(values) if not is_number(text)), 0)
        raise DataError(
            f"{table.where(row, number.name)}: {not_a_number(values[row])}, as in the data of the "
            "training"
        )
    result: np.ndarray = (values - number.mean) / number.scale
    return result


def _codes(table: Table, column: Category) -> np.ndarray:
    values = table.columns[column.name]
    if _is_numeric(values):
        raise DataError(
            f"{table.name}: column {column.name!r} holds numbers, expected text as in the data "
            "of the training"
        )
    return _positions(table, column.name, values, np.array(column.categories), "category")


def _positions(
    table: Table, name: str, values: np.ndarray, labels: np.ndarray, what: str
) -> np.ndarray:
    """The index of each value in the ascending array `labels`."""
    indices = np.minimum(np.searchsorted(labels, values), len(labels) - 1)
    is_unknown = labels[indices] != values
    if is_unknown.any():
        row = int(np.argmax(is_unknown))
        raise DataError(
            f"{table.where(row, name)}: unknown {what} {values[row].item()!r}; the model knows "
            f"{listing(labels.tolist(), 6)}"
        )
    return indices.astype(np.int64, copy=False)


# -------------------------------------------------------------- reading `to_dict`


def _column(entry: Mapping[str, Any]) -> Number | Category:
    name = _text(entry["name"])
    if "categories" in entry:
        return Category(name, _ascending(entry["categories"], str))
    return Number(name, _finite(entry["mean"]), _positive(entry["scale"]))


def _ascending(values: Sequence[Any], kind: Any) -> tuple[Any, ...]:
    """A non-empty tuple of labels of one kind, in ascending order as the binary search needs."""
    kinds = (str,) if values and isinstance(values[0], str) else (int, float)
    if not values or not all(
        isinstance(value, kind) and isinstance(value, kinds) for value in values
    ):
        raise ValueError(f"{values!r:.60} are not labels of one kind")
    if any(a >= b for a, b in pairwise(values)):
        raise ValueError(f"{values!r:.60} are not in ascending order")
    return tuple(values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.60} is not text")
    return value


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.60} is not a finite number")
    return float(value)


def _positive(value: Any) -> float:
    number = _finite(value)
    if number <= 0:
        raise ValueError(f"{number} is not positive")
    return number
