"""From a table to what a network takes, and back from its outputs to labels and units.

A `Preprocessor` is fitted once, on the rows a network is trained on, and is
kept in the model's file, so that later data meet the same transformation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice
from fastnn.tabular.datasets import Task, guess_task
from fastnn.tabular.files import DataError, Table, is_number, listing, not_a_number

__all__ = ["Category", "Label", "Number", "Preprocessor"]

MAX_CATEGORIES = 100
"""Different texts one column may have: each becomes an input of the network."""

TASKS = ("auto", "classification", "regression")
SCALINGS = ("auto", "columns", "common", "none")

Label = str | int | float
"""A class as the data name it."""


@dataclass(frozen=True)
class Number:
    """A column of numbers, standardised: (x - mean) / scale."""

    name: str
    mean: float
    scale: float

    @property
    def width(self) -> int:
        """Number of inputs the column becomes."""
        return 1

    def describe(self) -> str:
        """What happens to the column, in words."""
        return f"(x - {self.mean:.6g}) / {self.scale:.6g}"


@dataclass(frozen=True)
class Category:
    """A column of text, one-hot: one input for each category, in ascending order."""

    name: str
    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of inputs the column becomes."""
        return len(self.categories)

    def describe(self) -> str:
        """What happens to the column, in words."""
        return f"one-hot: {listing(map(repr, self.categories), 6)}"


@dataclass(frozen=True)
class Preprocessor:
    """What turns a table's columns into inputs and targets of a network.

    Attributes
    ----------
    task : {"classification", "regression"}
    target : str
        Name of the target column.
    columns : tuple of Number and Category
        The other columns, in the order of the inputs they become.
    classes : tuple of labels
        In the order of the network's outputs; empty for regression.
    target_mean, target_scale : float
        For regression the network's output is (target - mean) / scale.
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
        """The preprocessor for a table.

        Parameters
        ----------
        table : Table
        target : str
            The column to predict.
        task : {"auto", "classification", "regression"}
            "auto" takes text and few whole numbers for classes; see
            `fastnn.tabular.datasets.guess_task`.
        rows : (n,) array of int, optional
            Rows whose mean and spread scale the numbers: those to train on.  The names
            of categories and classes come from all rows.
        scaling : {"auto", "columns", "common", "none"}
            Whether each column of numbers has a mean and scale of its own, all have
            one in common, or they stay as they are.  "auto" is "common" for a table whose
            `common_unit` is True: there a column of little spread matters little,
            and scaling it up would make noise of it.

        Raises
        ------
        DataError
            If a column does not suit its use.
        """
        values = table.column(target)
        features = table.without(target)
        if not features.columns:
            raise DataError(f"{table.name} has no column besides the target {target!r}")
        used = slice(None) if rows is None else rows
        if scaling == "auto":
            scaling = "common" if table.common_unit else "columns"
        columns = _fit_columns(features, used, check_choice(scaling, "scaling", SCALINGS))
        check_choice(task, "task", TASKS)
        if (guess_task(values) if task == "auto" else task) == "classification":
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
        """Names of the columns it takes, the target not among them."""
        return [column.name for column in self.columns]

    @property
    def text_columns(self) -> list[str]:
        """Names of the columns that must be read as text."""
        return [column.name for column in self.columns if isinstance(column, Category)]

    def features(self, table: Table, dtype: Any = np.float32) -> np.ndarray:
        """Inputs (N, width) of the network for a table that has the columns, in any order.

        Raises
        ------
        DataError
            If a column is missing or of the wrong kind, or has an unknown category.
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
        """Targets (N,) of a table: int64 class indices, or standardised numbers of `dtype`.

        Raises
        ------
        DataError
            If there is no target column, or it has an unknown class or the wrong kind.
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
        """The classes of these indices, as the data name them."""
        return [self.classes[i] for i in indices]

    def units(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs (N, 1) of a network for regression, as (N,) float64 in the target's units."""
        return outputs[:, 0].astype(np.float64) * self.target_scale + self.target_mean

    # ------------------------------------------------------------------- files

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able data; `from_dict` makes an equal preprocessor of it."""
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
        """The preprocessor that `to_dict` turned into `data`.

        Raises
        ------
        ValueError
            If `data` does not describe one.
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
        except (AttributeError, KeyError, TypeError, ValueError) as error:
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
    """Mean and standard deviation of a column."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.mean(values, dtype=np.float64))
        deviation = float(np.std(values, dtype=np.float64))
    if not (math.isfinite(mean) and math.isfinite(deviation)):
        raise DataError(f"{table.name}: the numbers of column {name!r} are too large to scale")
    return mean, deviation


def _pooled(moments: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean and standard deviation of several columns of one length taken together."""
    means, deviations = np.array(moments).T
    return float(means.mean()), math.sqrt(float(np.mean(deviations**2) + means.var()))


def _usable(mean: float, deviation: float) -> tuple[float, float]:
    """Mean and scale to standardise by: a constant has no spread but that of rounding."""
    return mean, deviation if deviation > 1e-14 * abs(mean) else 1.0


def _category(table: Table, name: str, values: np.ndarray) -> Category:
    categories = np.unique(values)
    if len(categories) > MAX_CATEGORIES:
        raise DataError(
            f"{table.name}: column {name!r} has {_counted(categories.tolist())}; "
            f"at most {MAX_CATEGORIES} can be one-hot encoded: leave the column out, or mend it"
        )
    return Category(name, tuple(categories.tolist()))


def _counted(categories: Sequence[str]) -> str:
    """How many categories there are, and how many of them are not numbers if some are."""
    odd = [text for text in categories if not is_number(text)]
    if len(odd) == len(categories):
        return f"{len(odd)} different texts"
    first = f", {odd[0]!r} for one" if odd else ""
    return f"{len(categories)} different values ({len(odd)} not numbers{first})"


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
    table: Table, name: str, values: np.ndarray, known: np.ndarray, what: str
) -> np.ndarray:
    """Index of each value in the ascending array `known`."""
    indices = np.minimum(np.searchsorted(known, values), len(known) - 1)
    wrong = known[indices] != values
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{table.where(row, name)}: unknown {what} {values[row].item()!r}; the model knows "
            f"{listing(known.tolist(), 6)}"
        )
    return indices.astype(np.int64, copy=False)


# -------------------------------------------------------------- reading `to_dict`


def _column(entry: Mapping[str, Any]) -> Number | Category:
    name = _text(entry["name"])
    if "categories" in entry:
        return Category(name, _ascending(entry["categories"], str))
    return Number(name, _finite(entry["mean"]), _positive(entry["scale"]))


def _ascending(values: Sequence[Any], kind: Any) -> tuple[Any, ...]:
    """A non-empty tuple of one kind in ascending order, as looking values up needs."""
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
