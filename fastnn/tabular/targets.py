"""The target of a table: its task, its classes, and its rows as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.tabular import stored
from fastnn.tabular.cells import number
from fastnn.tabular.conversion import numbers_of, refuse_infinite
from fastnn.tabular.roles import refuse_slip
from fastnn.tabular.splitting import Task, choose_task
from fastnn.tabular.table import Booleans, Column, DataError, Numbers, Table, Texts, Times, listing

__all__ = ["Label", "Target", "with_target"]

Label = str | int | float
"""The name of a class in the data; a truth value is an int."""

_MANY_CLASSES = 100


def with_target(table: Table, target: str) -> tuple[Table, int]:
    """The rows of a table whose target is not missing, and the number of the other rows.

    Raises
    ------
    DataError
        If the column is absent, or has no value in any row.
    """
    missing = table.column(target).missing()
    n_missing = int(np.count_nonzero(missing))
    if not n_missing:
        return table, 0
    if n_missing == len(table):
        raise DataError(f"{table.name}: the target column {target!r} has no value in any row")
    return table.take(~missing), n_missing


@dataclass(frozen=True)
class Target:
    """The target column of a model.

    Attributes
    ----------
    name : str
        Name of the column.
    task : {"classification", "regression"}
    classes : tuple of str, int or float
        The classes in ascending order; empty for regression.
    """

    name: str
    task: Task
    classes: tuple[Label, ...] = ()

    @classmethod
    def of(cls, table: Table, name: str, task: str = "auto") -> Target:
        """The target of a table.

        Parameters
        ----------
        table : Table
        name : str
            Name of the target column, which has no missing value.
        task : {"auto", "classification", "regression"}
            For "auto", `fastnn.tabular.splitting.guess_task` chooses by the values.

        Raises
        ------
        DataError
            If the column does not fit the task, has an infinite number, has one class only, or
            has too many classes to learn.
        TypeError, ValueError
            If `task` is unknown.
        """
        column = table.column(name)
        place = f"{table.name}: the target column {name!r}"
        if isinstance(column, Times):
            raise DataError(f"{place} has dates, expected numbers or classes")
        if isinstance(column, Numbers):
            refuse_infinite(table, name, column.values)
        if choose_task(column, task) == "regression":
            numbers_of(table, name)
            return cls(name, "regression")
        if isinstance(column, Texts):
            refuse_slip(table, name, column)
        classes = _classes(column)
        if len(classes) < 2:
            raise DataError(f"{place} has one class only, {listing(map(repr, classes))}")
        if len(classes) > max(_MANY_CLASSES, len(table) // 2):
            raise DataError(
                f"{place} has {len(classes)} classes in {len(table)} rows, too many to learn"
            )
        return cls(name, "classification", classes)

    def indices(self, table: Table) -> np.ndarray:
        """The index (N,) of the class of each row, in int64.

        Raises
        ------
        DataError
            If the column is absent, or has a missing value or an unknown class.
        """
        column = table.column(self.name)
        known: dict[Any, int] = {label: i for i, label in enumerate(self.classes)}
        if isinstance(column, Texts):
            levels = [known.get(level, known.get(number(level), -2)) for level in column.levels]
            if levels and max(levels) < 0 and not isinstance(self.classes[0], str):
                raise DataError(
                    f"{table.name}: the target column {self.name!r} holds text, but the model's "
                    f"classes are {listing(self.classes, 6)}"
                )
            indices = np.array([*levels, -1], np.int64)[column.codes]
        else:
            values, inverse = np.unique(numbers_of(table, self.name).values, return_inverse=True)
            found = [-1 if value != value else known.get(value, -2) for value in values.tolist()]
            if isinstance(self.classes[0], str):
                found = [
                    -1 if value != value else known.get(_number_label(value), -2)
                    for value in values.tolist()
                ]
            indices = np.array(found, np.int64)[inverse]
        if len(indices) and indices.min() < 0:
            row = int(np.argmin(indices))
            value = column.to_numpy()[row]
            what = f"unknown class {_plain(value)!r:.80}" if indices[row] == -2 else "no value"
            raise DataError(
                f"{table.where(row, self.name)}: {what}; the model knows {listing(self.classes, 6)}"
            )
        return indices

    def numbers(self, table: Table) -> np.ndarray:
        """The target (N,) of a regression in its unit, in float64.

        Raises
        ------
        DataError
            If the column is absent, or has text or a value that is missing or not finite.
        """
        values = numbers_of(table, self.name).values
        refuse_infinite(table, self.name, values)
        if np.isnan(values).any():
            row = int(np.argmax(np.isnan(values)))
            raise DataError(f"{table.where(row, self.name)}: no value, expected a number")
        return values

    def encode(self, table: Table) -> np.ndarray:
        """`indices` for classification, `numbers` for regression."""
        return self.numbers(table) if self.task == "regression" else self.indices(table)

    def labels(self, indices: np.ndarray) -> np.ndarray:
        """The classes (N,) with these indices."""
        return np.array(self.classes)[indices]

    def to_state(self) -> dict[str, Any]:
        """The target as data for JSON; `from_state` makes an equal target from them."""
        return {"name": self.name, "task": self.task, "classes": list(self.classes)}

    @classmethod
    def from_state(cls, state: Any) -> Target:
        """A target from data that `to_state` has returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the data do not describe a target.
        """
        task = state["task"]
        if task not in ("classification", "regression"):
            raise ValueError(f"the task is {task!r:.60}")
        classes: Sequence[Any] = state["classes"]
        return cls(
            stored.text(state["name"]),
            task,
            stored.ascending(classes, Label) if task == "classification" else (),
        )


def _classes(column: Column) -> tuple[Label, ...]:
    if isinstance(column, Texts):
        return tuple(sorted(column.levels[np.flatnonzero(column.counts())].tolist()))
    if isinstance(column, Booleans):
        return tuple(bool(code) for code in np.unique(column.codes))
    assert isinstance(column, Numbers)
    return tuple(_number_label(value) for value in np.unique(column.values).tolist())


def _number_label(value: float) -> Label:
    return int(value) if value.is_integer() else value


def _plain(value: Any) -> Any:
    """A number without a decimal point if it is whole, as labels are written."""
    value = value.item() if isinstance(value, np.generic) else value
    return _number_label(value) if isinstance(value, float) else value
