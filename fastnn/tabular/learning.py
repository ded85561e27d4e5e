"""Learning from a table: the split, the preprocessing, the network and its measures."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.network._checkpoint import CheckpointFile, with_checkpoint
from fastnn.network._together import Sharing, train_together
from fastnn.tabular.bags import Limits
from fastnn.tabular.dense import DenseLearner, measure
from fastnn.tabular.frames import as_table
from fastnn.tabular.learner import Examples, Learner
from fastnn.tabular.model import Model
from fastnn.tabular.objectives import Classification, Objective
from fastnn.tabular.preprocessing import Preprocessor
from fastnn.tabular.preset import Options, build
from fastnn.tabular.recipe import Recipe
from fastnn.tabular.recipe import get as get_recipe
from fastnn.tabular.splitting import split_rows
from fastnn.tabular.table import DataError, Table
from fastnn.tabular.targets import Target, with_target
from fastnn.training.callbacks import History
from fastnn.training.session import Plan

__all__ = ["PARTS", "Training", "fit", "split_and_blend", "split_and_fit"]

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
    seconds : float
        Time of the training.
    recipe : Recipe or None
        The recipe of a blend; None for one dense network.
    """

    model: Model
    options: Options
    table: Table
    rows: dict[str, np.ndarray]
    seconds: float
    recipe: Recipe | None = None

    @property
    def history(self) -> History:
        """The measures of each epoch of the only network."""
        return self.model.network.history

    @property
    def is_interrupted(self) -> bool:
        """Whether Ctrl-C has ended the training."""
        learner = self.model.learner
        if isinstance(learner, DenseLearner):
            return learner.network.history.interrupted
        return learner.blend.is_partial


def fit(
    table: Any,
    target: str,
    options: Options | None = None,
    *,
    preset: str | Recipe | None = None,
    columns: Mapping[str, str] | None = None,
    task: str = "auto",
    loss: str | None = None,
    quantiles: float | Sequence[float] | None = None,
    test: float = 0.15,
    time_limit: float | None = None,
    n_jobs: int | None = None,
    seed: int = 0,
    dtype: str = "float32",
    verbose: int = 0,
) -> Model:
    """Train a model on a table.

    The role of each column is decided as by `decide`; values may be missing.  Rows without a
    target are dropped.  A part of the rows, `test`, is held out for the results of the model.

    Parameters
    ----------
    table : Table, frame, array, or mapping of str to (N,) array_like
        Columns of numbers, truth values, text or dates; see `as_table`.
    target : str
        Name of the column to predict.
    options : Options, optional
        Train one dense network with these options, which have the parameters `task`, `test`,
        `seed` and `dtype` too; its loss is the squared error.
    preset : {"fast", "balanced", "best", "network"} or Recipe, optional
        How networks are built and trained; see `TabularClassifier`.  "network" is one dense
        network with ``Options()``.  By default "balanced", and with `options` "network".
    columns : mapping of str to str, optional
        Roles of columns, such as ``{"zip": "category", "id": "drop"}``; see `decide`.
    task : {"auto", "classification", "regression"}, default "auto"
        For "auto", text and a few whole numbers that repeat are classes.
    loss : {"squared_error", "absolute_error", "huber", "poisson", "quantile"}, optional
        The loss of a regression; see `TabularRegressor`.  With ``task="auto"`` it implies a
        regression.  By default the squared error.
    quantiles : float or sequence of float, optional
        Levels in (0, 1) of ``loss="quantile"``, in ascending order; 0.05, 0.5 and 0.95 by default.
    test : float, default 0.15
        Share of the rows that are held out for the test, in [0, 1).  With 0, the model learns
        from all rows.
    time_limit : float, optional
        Seconds that the training may take; results then depend on the speed of the computer.
    n_jobs : int, optional
        Number of networks that are trained at the same time; by default the number of threads.
    seed : int, default 0
        Seed of the split, the initial values and the batches.
    dtype : {"float32", "float64"}, default "float32"
        Precision of the parameters and computations.
    verbose : {0, 1, 2}, default 0
        Nothing, a progress bar, or a line for each epoch or network.

    Returns
    -------
    Model
        Its `results` have the measures of each part: ``"test"``; and for a preset ``"held out"``,
        where each row is predicted by networks that have not seen it.

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
    >>> model = tabular.fit(houses, "price", preset="fast")
    >>> model.task, model.results["test"]["r2"] > 0.99
    ('regression', True)
    >>> model.predict({"area": [100.0], "city": ["Rom"]}).shape
    (1,)
    """
    table = as_table(table)
    if options is not None and preset not in (None, "network"):
        raise ValueError(f"options are for preset='network', got preset={preset!r}")
    common = {"task": task, "test": test, "seed": seed, "dtype": dtype}
    common |= {"loss": loss, "quantiles": quantiles}
    if options is not None or preset == "network":
        if time_limit is not None:
            raise ValueError("time_limit does not go with one dense network")
        if loss not in (None, "squared_error") or quantiles is not None:
            raise ValueError(f"loss={loss!r} does not go with one dense network")
        chosen = Options(**common) if options is None else options  # type: ignore[arg-type]
        return split_and_fit(table, target, chosen, verbose, columns=columns).model
    recipe = get_recipe("balanced" if preset is None else preset)
    chosen = Options(**common)  # type: ignore[arg-type]
    limits = Limits(time_limit, n_jobs)
    return split_and_blend(table, target, recipe, chosen, limits, verbose, columns).model


def split_and_blend(
    table: Table,
    target: str,
    recipe: Recipe,
    options: Options,
    limits: Limits,
    verbose: int = 0,
    columns: Mapping[str, str] | None = None,
) -> Training:
    """Train the networks of a recipe on a table, as `fit` does.

    Parameters
    ----------
    table : Table
    target : str
    recipe : Recipe
    options : Options
        Its `task`, `loss`, `quantiles`, `test`, `seed` and `dtype` are used.
    limits : Limits
    verbose : {0, 1, 2}, default 0
    columns : mapping of str to str, optional
        As in `fit`.
    """
    start = time.monotonic()
    setting = limits.setting(options.seed, options.dtype, verbose)
    table, n_dropped = with_target(table, target)
    aim = Target.of(table, target, options.task_of_loss)
    _check_columns(table, target)
    y = aim.encode(table)
    rows = _rows(table, aim, y, 0.0, options)
    train = rows["train"]
    objective: Objective = Classification(max(len(aim.classes), 2))
    encoded = y
    if aim.task == "regression":
        objective = options.objective_of_numbers(y[train])
        encoded = objective.encode(y)
    examples = Examples(table.without(target), encoded[train], rows=train)
    learner = Learner.fit(examples, objective, recipe, setting, columns)
    results = {}
    held_out = learner.held_out_measures(y[train])
    if held_out is not None:
        results["held out"] = held_out
    if "test" in rows:
        values, _ = learner.apply(table.take(rows["test"]))
        measures = learner.measures(values, y[rows["test"]])
        results["test"] = {"rows": len(values), **measures}
    facts = {"data": table.name, "rows_without_target": n_dropped, "results": _for_json(results)}
    model = Model(aim, learner, facts)
    return Training(model, options, table, rows, time.monotonic() - start, recipe)


def split_and_fit(
    table: Table,
    target: str,
    options: Options,
    verbose: int = 0,
    checkpoint: CheckpointFile | None = None,
    columns: Mapping[str, str] | None = None,
    sharing: Sharing | None = None,
) -> Training:
    """Train a dense network on a table, as `fit` does.

    Numbers are standardised, columns of text are one-hot encoded.  The parameters of the epoch
    with the lowest validation loss are kept.

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
    sharing : Sharing, optional
        The processes that train the network together; each has read the table.
    """
    start = time.monotonic()
    if options.loss not in (None, "squared_error"):
        raise ValueError(f"loss={options.loss!r} does not go with one dense network")
    table, n_dropped = with_target(table, target)
    _check_columns(table, target)
    aim = Target.of(table, target, options.task)
    rows = _rows(table, aim, aim.encode(table), options.validation, options)
    preprocessor = Preprocessor.fit(
        table, target, aim.task, rows["train"], options.scaling, columns
    )
    network = build(preprocessor, options, len(rows["train"]))
    core = network.core
    data = core.feed.data(
        preprocessor.features(table, options.dtype),
        preprocessor.targets(table, options.dtype),
        None,
        True,
        hint="",
    )
    data_of = {part: data.rows(indices) for part, indices in rows.items()}
    del data  # the parts are copies
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
    if sharing is not None:
        train_together(core, train, plan, validation, network, sharing, checkpoint)
    else:
        plan = with_checkpoint(network, plan, checkpoint, train, validation)
        core.fit(train, plan, validation, network)
    results = {
        part: {"rows": len(samples), **measure(core, preprocessor, samples)}
        for part, samples in data_of.items()
    }
    facts = {"data": table.name, "rows_without_target": n_dropped, "results": _for_json(results)}
    model = Model(preprocessor.aim, DenseLearner(network, preprocessor), facts)
    return Training(model, options, table, rows, time.monotonic() - start)


def _check_columns(table: Table, target: str) -> None:
    if len(table.columns) < 2:
        raise DataError(f"{table.name} has no column besides the target {target!r}")


def _rows(
    table: Table, aim: Target, y: np.ndarray, validation: float, options: Options
) -> dict[str, np.ndarray]:
    """The rows of each part that is not empty."""
    labels = y if aim.task == "classification" else None
    parts = split_rows(len(table), validation, options.test, options.seed, labels)
    return {part: indices for part, indices in zip(PARTS, parts, strict=True) if len(indices)}


def _for_json(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The results with None for each number that is not finite, which JSON cannot hold."""
    return {
        part: {name: value if math.isfinite(value) else None for name, value in measures.items()}
        for part, measures in results.items()
    }
