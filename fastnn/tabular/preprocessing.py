"""Preprocessing: the columns of a table become the inputs and targets of a dense network.

A `Preprocessor` is fitted once, to the rows on which the network is trained.  The file of the
model contains it, so that later data go through the same transformation.  It also turns the
outputs of the network into labels, or into the unit of the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice
from fastnn.tabular import stored
from fastnn.tabular.columns import CategoryEncoder, Encoded, NumberEncoder
from fastnn.tabular.encoders import BoundTable, TableEncoder
from fastnn.tabular.roles import Decision, Decisions, decide
from fastnn.tabular.scaling import SCALINGS, Scaled, rounded_scale
from fastnn.tabular.splitting import Task
from fastnn.tabular.table import DataError, Table
from fastnn.tabular.targets import Label, Target

__all__ = ["MAX_LEVELS", "SCALINGS_OR_AUTO", "Preprocessor", "identity"]

MAX_LEVELS = 100
"""Largest number of levels of a category; each becomes an input of the network."""

_ROWS_AT_ONCE = 1 << 14

SCALINGS_OR_AUTO = ("auto", *SCALINGS)
"""Values of the parameter `scaling`."""


@dataclass(frozen=True)
class Preprocessor:
    """The transformation of a table's columns into inputs and targets of a dense network.

    A number is one input, a level of a category is one input (one-hot).  For a level that the
    training did not have, all inputs of the category are 0.

    Attributes
    ----------
    aim : Target
        The target column.
    encoder : TableEncoder
        Encoders of all other columns.
    target_mean, target_scale : float
        For regression, the output of the network is (target - mean) / scale.
    """

    aim: Target
    encoder: TableEncoder
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
        columns: Mapping[str, str] | None = None,
    ) -> Preprocessor:
        """Fit a preprocessor to a table.

        Parameters
        ----------
        table : Table
        target : str
            Name of the target column, which has no missing value.
        task : {"auto", "classification", "regression"}
            For "auto", `fastnn.tabular.splitting.guess_task` chooses by the target.
        rows : (n,) array of int, optional
            Rows for training, to which the encoders are fitted; by default all rows.  Roles and
            classes come from all rows in any case.
        scaling : {"auto", "robust", "columns", "common", "none"}
            Scaling of the columns of numbers.  "robust": (x - median) / IQR, smoothly clipped.
            "columns": each has its own mean and scale.  "common": all have one mean and one
            scale.  "none": numbers do not change.  "auto" is "common" for a table whose
            `common_unit` is True, otherwise "columns".  Among columns of one unit, a column of
            small variance matters little; a scale of its own would amplify its noise.
        columns : mapping of str to str, optional
            Roles that the user chooses, as in `fastnn.tabular.decide`.

        Raises
        ------
        DataError
            If a column does not fit its role.
        TypeError, ValueError
            If `task` or `scaling` is unknown.
        """
        if check_choice(scaling, "scaling", SCALINGS_OR_AUTO) == "auto":
            scaling = "common" if table.common_unit else "columns"
        table.column(target)
        features = table.without(target)
        if not features.columns:
            raise DataError(f"{table.name} has no column besides the target {target!r}")
        aim = Target.of(table, target, task)
        decisions = decide(features, columns)
        if not decisions.used:
            raise DataError(f"{table.name} has no column to learn from:\n{decisions}")
        encoder = TableEncoder(
            decisions, bins=0, scaling=scaling, min_rows=1, max_levels=MAX_LEVELS, signs=False
        )
        encoder.fit(table, rows)
        if aim.task == "classification":
            return cls(aim, encoder)
        values = aim.numbers(table.select([target]).take(slice(None) if rows is None else rows))
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = rounded_scale(float(values.mean()), float(values.std()))
        if not np.isfinite([mean, scale]).all():
            raise DataError(f"{table.name}, column {target!r}: the numbers are too large to scale")
        return cls(aim, encoder, mean, scale)

    # ------------------------------------------------------------- application

    @property
    def task(self) -> Task:
        """``"classification"`` or ``"regression"``."""
        return self.aim.task

    @property
    def target(self) -> str:
        """Name of the target column."""
        return self.aim.name

    @property
    def classes(self) -> tuple[Label, ...]:
        """The classes in the order of the network's outputs; empty for regression."""
        return self.aim.classes

    @property
    def width(self) -> int:
        """Number of inputs of the network."""
        return sum(map(_width, self.encoder.columns))

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the network: one for each class, or 1."""
        return len(self.classes) or 1

    @property
    def names(self) -> list[str]:
        """Names of the columns from which the inputs are made."""
        return self.encoder.decisions.names

    def features(self, table: Table, dtype: Any = np.float32) -> np.ndarray:
        """The inputs (N, width) of the network for a table, whose columns may have any order.

        Raises
        ------
        DataError
            If a column is absent or does not fit its role.
        """
        return self.bound_features(self.encoder.bind(table), dtype)

    def bound_features(self, bound: BoundTable, dtype: Any = np.float32) -> np.ndarray:
        """`features` of a table to which the encoder is bound, encoded block by block."""
        out = np.zeros((bound.rows, self.width), dtype)
        for start in range(0, bound.rows, _ROWS_AT_ONCE):
            stop = min(start + _ROWS_AT_ONCE, bound.rows)
            self._write(bound.encode(start, stop, dtype), out[start:stop])
        return out

    def _write(self, encoded: Encoded, out: np.ndarray) -> None:
        """Write the inputs of encoded rows to an array of zeros."""
        start = n_numbers = n_codes = 0
        for column in self.encoder.columns:
            stop = start + _width(column)
            if isinstance(column, CategoryEncoder):
                codes = encoded.codes[:, n_codes]
                rows = np.flatnonzero(codes < stop - start)
                out[rows, start + codes[rows]] = 1
                n_codes += 1
            else:
                width = stop - start
                out[:, start:stop] = encoded.numbers[:, n_numbers : n_numbers + width]
                n_numbers += width
            start = stop

    def targets(self, table: Table, dtype: Any = np.float32) -> np.ndarray:
        """The targets (N,) of a table: indices of classes in int64, or scaled numbers in `dtype`.

        Raises
        ------
        DataError
            If the target column is absent, or has a missing value, text instead of numbers, or
            an unknown class.
        """
        if self.task == "classification":
            return self.aim.indices(table)
        scaled = (self.aim.numbers(table) - self.target_mean) / self.target_scale
        return scaled.astype(dtype)

    def units(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs (N, 1) of a network for regression in the unit of the target: (N,) float64."""
        return outputs[:, 0].astype(np.float64) * self.target_scale + self.target_mean

    # ------------------------------------------------------------------- files

    def to_dict(self) -> dict[str, Any]:
        """The preprocessor as data for JSON; `from_dict` makes an equal preprocessor from them."""
        return {
            "target": self.aim.to_state(),
            "target_mean": self.target_mean,
            "target_scale": self.target_scale,
            "encoder": self.encoder.to_state(),
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
            if "columns" in data:
                data = _of_first_format(data)
            encoder = TableEncoder.from_state(data["encoder"])
            if not encoder.columns:
                raise ValueError("there are no columns")
            return cls(
                Target.from_state(data["target"]),
                encoder,
                stored.finite(data["target_mean"]),
                stored.positive(data["target_scale"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a preprocessing: {error!r}") from error


def _width(column: Any) -> int:
    """Number of inputs that stand for a column."""
    if isinstance(column, CategoryEncoder):
        return len(column.texts) + column.indicates
    return len(column.names)


def identity(names: list[str], target: Target) -> Preprocessor:
    """A preprocessor that changes no number, for a network that was saved without one."""
    reason = "the network has no preprocessing"
    encoder = TableEncoder(Decisions(tuple(Decision(name, "number", reason) for name in names)))
    encoder.columns = tuple(NumberEncoder(name, False, Scaled(0.0, 1.0, False)) for name in names)
    return Preprocessor(target, encoder)


def _of_first_format(data: Any) -> dict[str, Any]:
    """The data of a preprocessor from those of the first format, which had no roles."""
    columns, decisions = [], []
    for entry in data["columns"]:
        is_category = "categories" in entry
        role = "category" if is_category else "number"
        decisions.append(
            {"column": entry["name"], "role": role, "reason": "an earlier version", "pattern": None}
        )
        column = {"kind": role, "name": entry["name"], "indicates": False}
        if is_category:
            column["texts"] = list(stored.ascending(entry["categories"], str))
        else:
            column["scaled"] = {
                "center": entry["mean"],
                "scale": stored.positive(entry["scale"]),
                "clips": False,
                "edges": [],
            }
        columns.append(column)
    return {
        "target": {"name": data["target"], "task": data["task"], "classes": data["classes"]},
        "target_mean": data["target_mean"],
        "target_scale": data["target_scale"],
        "encoder": {"decisions": decisions, "columns": columns},
    }
