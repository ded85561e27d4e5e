"""A linear model beside which the measures of a model are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fastnn.optimizers import Adam
from fastnn.schedules import Cosine
from fastnn.solvers import LBFGS
from fastnn.tabular import scores
from fastnn.tabular.objectives import Objective, Regression
from fastnn.tabular.preprocessing import Preprocessor
from fastnn.tabular.preset import dense_network
from fastnn.tabular.table import Table
from fastnn.tabular.targets import Target
from fastnn.training.session import Plan

__all__ = ["linear_measures"]

_ROWS = 50_000
_ITERATIONS = 50
_PENALTY = 1e-4
_BATCHES = 3000
_ROWS_OF_BATCH = 64
_LEARNING_RATE = 0.03


def linear_measures(
    table: Table,
    aim: Target,
    objective: Objective,
    rows: np.ndarray,
    test_rows: np.ndarray,
    columns: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """The measures of a linear model with the loss of the objective.

    Parameters
    ----------
    table : Table
        With the target.
    aim : Target
    objective : Objective
    rows : (n,) array of int
        Rows to train on, of which at most 50,000 are used.
    test_rows : (m,) array of int
        Rows for the measures.
    columns : mapping of str to str, optional
        Roles that the user chose.
    """
    rows = rows[:: -(-len(rows) // _ROWS)]
    if isinstance(objective, Regression) and objective.name != "poisson":
        objective = replace(objective, low=-math.inf, high=math.inf)  # a line has no limits
    preprocessor = Preprocessor.fit(table, aim.name, aim.task, rows, "columns", columns)
    network = dense_network(
        preprocessor.width, objective.n_outputs, (), "relu", 0.0, "float32", seed=0
    )
    part = table.take(rows)
    if objective.loss.name in ("mean_absolute_error", "quantile"):
        # A line search stops at the corners of these losses; small steps do not.
        epochs = -(-_BATCHES * _ROWS_OF_BATCH // len(rows))
        batches = epochs * -(-len(rows) // _ROWS_OF_BATCH)
        network.compile(objective.loss, Adam(Cosine(_LEARNING_RATE, batches)))
        plan = Plan(epochs, _ROWS_OF_BATCH)
    else:
        network.compile(objective.loss, LBFGS(), l2=_PENALTY)
        plan = Plan(_ITERATIONS, batch_size=None)
    y = aim.encode(part)
    if isinstance(objective, Regression):
        y = objective.encode(y)[:, np.newaxis]
    data = network.core.feed.data(preprocessor.features(part), y, None, True, hint="")
    network.core.fit(data, plan, None, network)
    test = table.take(test_rows)
    outputs = network.core.outputs([preprocessor.features(test)])
    return scores.of_predictions(objective, objective.combine(outputs), aim.encode(test))
