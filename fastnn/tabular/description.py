"""Models for tables in the terms of `fastnn.formats`, which write them for other programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.formats._fitted import (
    Bag,
    CategoryColumn,
    Classes,
    Column,
    DateColumn,
    Fitted,
    Number,
    NumberColumn,
    SignColumn,
)
from fastnn.tabular.columns import (
    CYCLES,
    CategoryEncoder,
    ColumnEncoder,
    NumberEncoder,
    SignEncoder,
)
from fastnn.tabular.dense import DenseLearner
from fastnn.tabular.frames import as_table
from fastnn.tabular.learner import Learner
from fastnn.tabular.objectives import Regression

__all__ = ["describe"]


def describe(
    learner: DenseLearner | Learner, names: Sequence[str], labels: np.ndarray | None = None
) -> Fitted:
    """A learner as formats write it.

    Parameters
    ----------
    learner : DenseLearner or Learner
    names : sequence of str
        Names of all columns of the table, in their order.
    labels : (K,) array, optional
        The classes of a classification.
    """

    def predict(table: Mapping[str, Any]) -> np.ndarray:
        values, _ = learner.apply(as_table(table))
        return learner.numbers(values) if labels is None else learner.probabilities(values)

    columns = tuple(map(_column, learner.encoder.columns))
    is_dense = isinstance(learner, DenseLearner)
    meaning = _number(learner) if labels is None else Classes(labels, "softmax")
    return Fitted(columns, _bags(learner), meaning, tuple(names), is_dense, predict)


def _bags(learner: DenseLearner | Learner) -> tuple[Bag, ...]:
    if isinstance(learner, DenseLearner):
        return (Bag((learner.network,)),)
    blend = learner.blend
    return tuple(
        Bag(tuple(bag.networks), bag.factor, weight)
        for bag, weight in zip(blend.bags, blend.weights, strict=True)
    )


def _column(column: ColumnEncoder) -> Column:
    """The encoding of a column."""
    if isinstance(column, SignEncoder):
        return SignColumn(column.name, column.texts, column.indicates)
    if isinstance(column, CategoryEncoder):
        return CategoryColumn(column.name, column.texts, column.indicates)
    scaled = column.scaled
    numbers = scaled.center, scaled.scale, scaled.clips, scaled.edges, column.indicates
    if isinstance(column, NumberEncoder):
        return NumberColumn(column.name, *numbers)
    return DateColumn(column.name, *numbers, tuple(CYCLES[part] for part in column.cycles))


def _number(learner: DenseLearner | Learner) -> Number:
    """The unit and the range of a target."""
    if isinstance(learner, DenseLearner):
        unit = learner.preprocessor
        return Number(False, unit.target_mean, unit.target_scale)
    objective = learner.objective
    assert isinstance(objective, Regression)
    rate = objective.name == "poisson"
    top = math.log(objective.high / objective.scale) if rate else math.inf
    centre = 0.0 if rate else objective.centre
    levels = len(objective.quantiles)
    return Number(rate, centre, objective.scale, top, objective.low, objective.high, levels)
