"""Preprocessing: the columns of a table become the inputs and targets of a network.

A `Preprocessor` is fitted once, to the rows on which the network is trained.  The file of the
model contains it, so that later data go through the same transformation.  It also turns the
outputs of the network into labels, or into the unit of the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice
from fastnn.tabular import stored
from fastnn.tabular.encoders import (
    MAX_CATEGORIES,
    SCALINGS,
    Category,
    Encoder,
    Number,
    column_moments,
    encoder_from_dict,
    fit_encoders,
    mean_and_scale,
    positions,
)
from fastnn.tabular.splitting import Task, choose_task
from fastnn.tabular.table import DataError, Table, is_numeric, listing

__all__ = ["Label", "Preprocessor"]

Label = str | int | float
"""The name of a class in the data."""


@dataclass(frozen=True)
class Preprocessor:
    """The transformation of a table's columns into inputs and targets of a network.

    Attributes
    ----------
    task : {"classification", "regression"}
    target : str
        Name of the target column.
    columns : tuple of Number and Category
        Encoders of all other columns, in the order of their inputs.
    classes : tuple of labels
        The classes in the order of the network's outputs; empty for regression.
    target_mean, target_scale : float
        For regression, the output of the network is (target - mean) / scale.
    """

    task: Task
    target: str
    columns: tuple[Encoder, ...]
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
        columns = fit_encoders(features, used, scaling)
        if choose_task(values, task) == "classification":
            return cls("classification", target, columns, _classes(table, target, values))
        if not is_numeric(values):
            raise DataError(
                f"{table.name}: the target column {target!r} holds text ({values[0].item()!r}), "
                "expected numbers for regression"
            )
        mean, scale = mean_and_scale(*column_moments(table, target, values[used]))
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
            column.write(table, out[:, start : start + column.width])
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
            return number.encode(table).astype(dtype)
        labels = np.array(self.classes)
        if is_numeric(values) != is_numeric(labels):
            kind = "text" if is_numeric(labels) else "numbers"
            raise DataError(
                f"{table.name}: the target column {self.target!r} holds {kind}, but the model's "
                f"classes are {listing(map(str, self.classes), 6)}"
            )
        return positions(table, self.target, values, labels, "class")

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
            "columns": [column.to_dict() for column in self.columns],
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
                stored.text(data["target"]),
                tuple(encoder_from_dict(entry) for entry in data["columns"]),
                stored.ascending(data["classes"], Label) if classification else (),
                stored.finite(data["target_mean"]),
                stored.positive(data["target_scale"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a preprocessing: {error!r}") from error


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
