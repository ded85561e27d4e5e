"""A linear model beside which the measures of a model are read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastnn.tabular.dense import DenseLearner
from fastnn.tabular.preprocessing import Preprocessor
from fastnn.tabular.preset import Options, build
from fastnn.tabular.table import Table
from fastnn.tabular.targets import Target
from fastnn.training.session import Plan

__all__ = ["linear_measures"]

_ROWS = 50_000
_ITERATIONS = 50
_PENALTY = 1e-4


def linear_measures(
    table: Table,
    aim: Target,
    rows: np.ndarray,
    test_rows: np.ndarray,
    columns: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """The measures of a linear model: least squares, or the logistic regression of classes.

    Parameters
    ----------
    table : Table
        With the target.
    aim : Target
    rows : (n,) array of int
        Rows to train on, of which at most 50,000 are used.
    test_rows : (m,) array of int
        Rows for the measures.
    columns : mapping of str to str, optional
        Roles that the user chose.
    """
    rows = rows[:: -(-len(rows) // _ROWS)]
    preprocessor = Preprocessor.fit(table, aim.name, aim.task, rows, "columns", columns)
    options = Options(hidden=(), optimizer="lbfgs", l2=_PENALTY, validation=0.0)
    network = build(preprocessor, options, len(rows))
    part = table.take(rows)
    data = network.core.feed.data(
        preprocessor.features(part), preprocessor.targets(part), None, True, hint=""
    )
    network.core.fit(data, Plan(epochs=_ITERATIONS, batch_size=None), None, network)
    learner = DenseLearner(network, preprocessor)
    test = table.take(test_rows)
    return learner.measures(learner.apply(test)[0], aim.encode(test))
