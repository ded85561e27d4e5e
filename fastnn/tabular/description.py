"""Models for tables in the terms of `fastnn.formats`, which write them for other programs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastnn.formats._fitted import (
    Bag,
    CategoryColumn,
    Classes,
    Column,
    Fitted,
    Number,
    NumberColumn,
    SignColumn,
    UnknownColumn,
)
from fastnn.tabular.columns import CategoryEncoder, ColumnEncoder, NumberEncoder, SignEncoder
from fastnn.tabular.learner import Learner
from fastnn.tabular.objectives import Regression

__all__ = ["describe"]


def describe(learner: Learner, names: Sequence[str], labels: np.ndarray | None = None) -> Fitted:
    """A learner as formats write it.

    Parameters
    ----------
    learner : Learner
    names : sequence of str
        Names of all columns of the table, in their order.
    labels : (K,) array, optional
        The classes of a classification.
    """
    blend = learner.blend
    bags = tuple(
        Bag(tuple(bag.networks), bag.factor, weight)
        for bag, weight in zip(blend.bags, blend.weights, strict=True)
    )
    columns = tuple(_column(column) for column in learner.encoder.columns)
    if labels is not None:
        return Fitted(columns, bags, Classes(labels, "softmax"), tuple(names))
    assert isinstance(blend.objective, Regression)
    return Fitted(columns, bags, _number(blend.objective), tuple(names))


def _column(column: ColumnEncoder) -> Column:
    """The encoding of a column; dates have none that other programs know."""
    if isinstance(column, NumberEncoder):
        scaled = column.scaled
        return NumberColumn(
            column.name, scaled.center, scaled.scale, scaled.clips, scaled.edges, column.indicates
        )
    if isinstance(column, SignEncoder):
        return SignColumn(column.name, column.texts, column.indicates)
    if isinstance(column, CategoryEncoder):
        return CategoryColumn(column.name, column.texts)
    return UnknownColumn(column.name, "has dates, for which the format has no type")


def _number(objective: Regression) -> Number:
    """The unit and the range of a target."""
    rate = objective.name == "poisson"
    top = math.log(objective.high / objective.scale) if rate else math.inf
    centre = 0.0 if rate else objective.centre
    levels = len(objective.quantiles)
    return Number(rate, centre, objective.scale, top, objective.low, objective.high, levels)
