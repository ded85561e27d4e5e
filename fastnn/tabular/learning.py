"""Learning from a table: the split, the preprocessing, the network and its measures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.network._checkpoint import CheckpointFile, with_checkpoint
from fastnn.tabular.dense import DenseLearner, measure
from fastnn.tabular.frames import as_table
from fastnn.tabular.model import Model
from fastnn.tabular.preprocessing import Preprocessor
from fastnn.tabular.preset import Options, build
from fastnn.tabular.splitting import choose_task, split_rows
from fastnn.tabular.table import Table
from fastnn.tabular.targets import Target, with_target
from fastnn.training.callbacks import History
from fastnn.training.session import Plan

__all__ = ["PARTS", "Training", "fit", "split_and_fit"]

PARTS = ("train", "validation", "test")
"""Names of the parts of a table."""


@dataclass(frozen=True, eq=False)
class Training:
    """A finished training on a table.

    Attributes
    ----------
    model : Model
    options : Options
    table : Table
        All rows, of all parts.
    rows : dict of str to array of int
        Indices of the rows of each part; an empty part is absent.
    """

    model: Model
    options: Options
    table: Table
    rows: dict[str, np.ndarray]

    @property
    def history(self) -> History:
        """The measures of each epoch."""
        return self.model.network.history


def fit(
    table: Any,
    target: str,
    options: Options | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    verbose: int = 0,
) -> Model:
    """Train a network on a table.

    The rows are split into parts for training, validation and test; rows without a target are
    dropped.  The role of each column is decided as by `decide`.  Numbers are standardised,
    columns of text are one-hot encoded.  The parameters of the epoch with the lowest validation
    loss are kept.

    Parameters
    ----------
    table : Table, frame, array, or mapping of str to (N,) array_like
        Columns of numbers, truth values, text or dates; see `as_table`.
    target : str
        Name of the column to predict.
    options : Options, optional
        The shares of the parts, the network and the optimizer; by default ``Options()``.
    columns : mapping of str to str, optional
        Roles of columns, such as ``{"zip": "category", "id": "drop"}``; see `decide`.
    verbose : {0, 1, 2}, default 0
        Nothing, a progress bar, or a line for each epoch.

    Returns
    -------
    Model
        Its `results` have the measures of each part.

    Raises
    ------
    DataError
        If a column does not fit its role, or no row remains for training.
    TypeError, ValueError
        If a parameter is wrong, or does not fit the task; the message names it.
    TrainingError
        If the loss is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import tabular
    >>> rng = np.random.default_rng(0)
    >>> area, city = rng.uniform(30, 200, 400), rng.choice(["Rom", "Ulm"], 400)
    >>> houses = {"area": area, "city": city, "price": 3 * area + 50 * (city == "Rom")}
    >>> model = tabular.fit(houses, "price", tabular.Options(hidden=(16,), learning_rate=0.01))
    >>> model.task, model.results["test"]["r2"] > 0.99
    ('regression', True)
    >>> model.predict({"area": [100.0], "city": ["Rom"]}).shape
    (1,)
    """
    return split_and_fit(
        as_table(table), target, options or Options(), verbose, columns=columns
    ).model


def split_and_fit(
    table: Table,
    target: str,
    options: Options,
    verbose: int = 0,
    checkpoint: CheckpointFile | None = None,
    columns: Mapping[str, str] | None = None,
) -> Training:
    """Train a network on a table, as `fit` does, and return the parts and options with the model.

    Parameters
    ----------
    table : Table
    target : str
    options : Options
    verbose : {0, 1, 2}, default 0
    checkpoint : CheckpointFile, optional
        File from which the training continues, and that receives its state.
    columns : mapping of str to str, optional
        As in `fit`.
    """
    table, n_dropped = with_target(table, target)
    task = choose_task(table.column(target), options.task)
    labels = Target.of(table, target, task).indices(table) if task == "classification" else None
    parts = split_rows(len(table), options.validation, options.test, options.seed, labels)
    rows = {part: indices for part, indices in zip(PARTS, parts, strict=True) if len(indices)}
    preprocessor = Preprocessor.fit(table, target, task, rows["train"], options.scaling, columns)
    network = build(preprocessor, options, len(rows["train"]))
    core = network.core
    X = preprocessor.features(table, options.dtype)
    y = preprocessor.targets(table, options.dtype)
    data = core.feed.data(X, y, None, True, hint="")
    data_of = {part: data.rows(indices) for part, indices in rows.items()}
    plan = Plan(
        epochs=options.epochs,
        batch_size=None if options.has_solver else options.rows_of_batch,
        early_stopping=options.early_stopping,
        callbacks=options.callbacks,
        verbose=verbose,
        weights_mean=options.weights_mean,
    )
    train, validation = data_of["train"], data_of.get("validation")
    if options.class_weight is not None:
        train = core.feed.weigh_classes(train, options.class_weight, plan.weights_mean)
    core.fit(
        train, with_checkpoint(network, plan, checkpoint, train, validation), validation, network
    )
    results = {
        part: {"rows": len(samples), **measure(core, preprocessor, samples)}
        for part, samples in data_of.items()
    }
    facts = {"data": table.name, "rows_without_target": n_dropped, "results": _for_json(results)}
    model = Model(preprocessor.aim, DenseLearner(network, preprocessor), facts)
    return Training(model, options, table, rows)


def _for_json(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The results with None for each number that is not finite, which JSON cannot hold."""
    return {
        part: {name: value if math.isfinite(value) else None for name, value in measures.items()}
        for part, measures in results.items()
    }
