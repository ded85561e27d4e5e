"""Training a model on a table, and what there is to say about it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn import backend, optimizers
from fastnn.cli._text import duration, number, pairs, tabulated
from fastnn.layers import Dense, Dropout, Layer
from fastnn.network import Network, Sequential
from fastnn.schedules import Cosine
from fastnn.solvers import LevenbergMarquardt, Solver
from fastnn.tabular.datasets import guess_task, split_rows
from fastnn.tabular.files import Table
from fastnn.tabular.model import Model
from fastnn.tabular.preprocessing import Preprocessor
from fastnn.training.callbacks import EarlyStopping, History

DEFAULT_PATIENCE = 15
DEFAULT_BATCH_SIZE = 32
PARTS = ("train", "validation", "test")
MEASURES = {
    "classification": {"loss": "loss", "accuracy": "accuracy"},
    "regression": {"mse": "MSE (standardised)", "rmse": "RMSE (units of target)", "r2": "R2"},
}
"""What tells the quality of a model, by task, with the titles of a table."""


@dataclass(frozen=True)
class Options:
    """How to split the data, what to build, and how to train it; 32 rows to a batch if None."""

    hidden: tuple[int, ...] = (100,)
    activation: str = "relu"
    dropout: float = 0.0
    optimizer: str = "adam"
    learning_rate: float | None = None
    schedule: str = "constant"
    l2: float = 0.0
    epochs: int = 100
    batch_size: int | None = None
    validation: float = 0.15
    test: float = 0.15
    patience: int | None = None
    seed: int = 0
    dtype: str = "float32"
    task: str = "auto"
    scaling: str = "auto"
    quiet: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"--epochs must be at least 1, got {self.epochs}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"--dropout must be at least 0 and below 1, got {self.dropout:g}")
        if self.patience and not self.validation:
            raise ValueError("--patience needs validation data, but --validation is 0")
        if self.dropout and not self.hidden:
            raise ValueError("--dropout needs hidden layers, but --hidden is none")
        if self.has_solver:
            self._refuse_options_of_steps()

    def _refuse_options_of_steps(self) -> None:
        """A solver has no batches and no learning rate, and needs one cost, not a random one."""
        given = {
            "--batch-size": self.batch_size is not None,
            "--learning-rate": self.learning_rate is not None,
            "--schedule": self.schedule != "constant",
            "--dropout": self.dropout > 0,
        }
        for name, is_given in given.items():
            if is_given:
                raise ValueError(
                    f"{name} does not go with --optimizer {self.optimizer}, which takes no steps "
                    "on batches but solves for all rows at once"
                )

    @property
    def has_solver(self) -> bool:
        """Whether all rows are trained on at once."""
        return isinstance(optimizers.get(self.optimizer), Solver)

    @property
    def rows_of_batch(self) -> int:
        """Rows of a batch, where there are batches."""
        return DEFAULT_BATCH_SIZE if self.batch_size is None else self.batch_size

    @property
    def early_stopping(self) -> EarlyStopping | None:
        """What ends the training before the last epoch, if anything."""
        patience = DEFAULT_PATIENCE if self.patience is None else self.patience
        return EarlyStopping(patience=patience) if patience and self.validation else None


@dataclass(frozen=True)
class Training:
    """A finished training.

    Attributes
    ----------
    network : Sequential
    preprocessor : Preprocessor
    history : History
    options : Options
    table : Table
        The data.
    rows : dict of str to array of int
        Rows of the table in each part of the data.
    results : dict of str to dict of str to float
        ``rows``, and what `measure` gives, of each part.
    """

    network: Sequential
    preprocessor: Preprocessor
    history: History
    options: Options
    table: Table
    rows: dict[str, np.ndarray]
    results: dict[str, dict[str, float]]

    @property
    def model(self) -> Model:
        """What goes into the file."""
        results = {
            part: {name: value if math.isfinite(value) else None for name, value in result.items()}
            for part, result in self.results.items()
        }
        facts = {"data": self.table.name, "results": results}
        return Model(self.network, self.preprocessor, facts)


def fit(table: Table, target: str, options: Options) -> Training:
    """Split a table, fit the preprocessing and a network to it, and measure the result.

    Parameters
    ----------
    table : Table
    target : str
        Name of the column to predict.
    options : Options

    Raises
    ------
    ValueError
        If the data or the options are unfit; `DataError` where it is the data.
    TrainingError
        If the loss is not finite.
    """
    values = table.column(target)
    task = guess_task(values) if options.task == "auto" else options.task
    labels = values if task == "classification" else None
    parts = split_rows(len(table), options.validation, options.test, options.seed, labels)
    rows = {part: indices for part, indices in zip(PARTS, parts, strict=True) if len(indices)}
    preprocessor = Preprocessor.fit(table, target, task, rows["train"], options.scaling)
    network = build(preprocessor, options, len(rows["train"]))
    X = preprocessor.features(table, options.dtype)
    y = preprocessor.targets(table, options.dtype)
    data = {part: (X[indices], y[indices]) for part, indices in rows.items()}
    history = network.fit(
        *data["train"],
        epochs=options.epochs,
        batch_size=None if options.has_solver else options.rows_of_batch,
        validation_data=data.get("validation"),
        early_stopping=options.early_stopping,
        verbose=0 if options.quiet else 1,
    )
    results = {
        part: {"rows": len(d[1]), **measure(network, preprocessor, *d)} for part, d in data.items()
    }
    return Training(network, preprocessor, history, options, table, rows, results)


def measure(
    network: Network, preprocessor: Preprocessor, X: np.ndarray, y: np.ndarray
) -> dict[str, float]:
    """Loss and scores of a network on some data that the preprocessor has made.

    Returns
    -------
    dict of str to float
        ``loss`` with the L2 penalty, and ``accuracy``; or for regression ``r2``, ``mse`` of
        the standardised target, and ``rmse`` in units of the target.
    """
    measures = network.evaluate(X, y)
    if preprocessor.task == "regression":
        errors = network.predict(X)[:, 0].astype(np.float64) - y
        measures["mse"] = float(np.mean(errors**2))
        measures["rmse"] = math.sqrt(measures["mse"]) * preprocessor.target_scale
    return measures


def build(preprocessor: Preprocessor, options: Options, n_rows: int) -> Sequential:
    """The network for some data, ready to train on `n_rows` rows."""
    if options.optimizer == LevenbergMarquardt.name and preprocessor.classes:
        raise ValueError(
            f"--optimizer {options.optimizer} is for regression, but the target "
            f"{preprocessor.target!r} has {len(preprocessor.classes)} classes; lbfgs takes any"
        )
    layers: list[Layer] = []
    width = preprocessor.width
    for hidden in options.hidden:
        layers.append(Dense(width, hidden, options.activation))
        if options.dropout:
            layers.append(Dropout(options.dropout))
        width = hidden
    layers.append(Dense(width, preprocessor.n_outputs))
    network = Sequential(layers, dtype=options.dtype, seed=options.seed)
    loss = "cross_entropy" if preprocessor.classes else "mean_squared_error"
    network.compile(loss, _optimizer(options, n_rows), l2=options.l2)
    return network


def _optimizer(options: Options, n_rows: int) -> optimizers.Optimizer | Solver:
    optimizer = optimizers.get(options.optimizer)
    if isinstance(optimizer, Solver):
        return optimizer
    if options.learning_rate is not None:
        optimizer = replace(optimizer, learning_rate=options.learning_rate)
    if options.schedule == "cosine":
        steps = options.epochs * math.ceil(n_rows / options.rows_of_batch)
        assert isinstance(optimizer.learning_rate, float)
        optimizer = replace(optimizer, learning_rate=Cosine(optimizer.learning_rate, max(steps, 1)))
    return optimizer


# --------------------------------------------------------------------- the report


def report(training: Training, files: Iterable[tuple[str, str]] = ()) -> str:
    """The result of a training as tables; `files` are what it wrote, by kind."""
    circumstances = pairs([*_circumstances(training), *files])
    return "\n\n".join([_data_line(training), _scores(training), circumstances])


def _data_line(training: Training) -> str:
    preprocessor = training.preprocessor
    kind = f"{len(preprocessor.classes)} classes" if preprocessor.classes else "regression"
    columns = len(preprocessor.columns)
    inputs = "" if columns == preprocessor.width else f" ({preprocessor.width} inputs)"
    return (
        f"{training.table.name}: {len(training.table):,} rows, {columns} columns{inputs}, "
        f"target {preprocessor.target!r} ({kind})"
    )


def _scores(training: Training) -> str:
    return score_table("", training.preprocessor.task, training.results)


def score_table(title: str, task: str, results: Mapping[str, Any]) -> str:
    """The results of each part of the data as a table; a dash for what is no number."""
    titles = {"rows": "rows", **MEASURES[task]}
    rows = [[title, *titles.values()]]
    for part, result in results.items():
        values = result if isinstance(result, dict) else {}
        rows.append([part, *(measured(name, values.get(name)) for name in titles)])
    return tabulated(rows)


def measured(name: str, value: Any) -> str:
    """A measure as text: counts whole, RMSE with six digits as its unit may be any."""
    if not isinstance(value, int | float):
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if name == "rmse" and math.isfinite(value) else number(value)


def _circumstances(training: Training) -> Iterator[tuple[str, str]]:
    options, network, history = training.options, training.network, training.history
    widths = [training.preprocessor.width, *options.hidden, training.preprocessor.n_outputs]
    shape = " -> ".join(map(str, widths))
    extras = [options.activation] * bool(options.hidden)
    extras += [f"dropout {options.dropout:g}"] * bool(options.dropout)
    extras += [f"{network.n_parameters:,} parameters", options.dtype]
    yield "network", ", ".join([shape, *extras])
    yield "training", ", ".join(_settings(training))
    yield "iterations" if options.has_solver else "epochs", _epochs(training)
    seconds = sum(history.get("seconds", ()))
    samples = history.epochs * len(training.rows["train"])
    if seconds and options.has_solver:  # an iteration looks at a sample more than once
        yield "time", duration(seconds)
    elif seconds:
        yield "time", f"{duration(seconds)}, {samples / seconds:,.0f} samples a second"
    yield "backend", _backend()


def _settings(training: Training) -> Iterator[str]:
    options, optimizer = training.options, training.network.optimizer
    assert optimizer is not None
    yield optimizer.name
    if isinstance(optimizer, optimizers.Optimizer):
        rate: Any = optimizer.learning_rate
        cosine = isinstance(rate, Cosine)
        yield f"learning rate {rate.initial:g} to 0" if cosine else f"learning rate {rate:g}"
        yield f"batches of {options.rows_of_batch}"
    else:
        yield "all rows at once"
    if options.l2:
        yield f"l2 {options.l2:g}"
    yield f"seed {options.seed}"


def _epochs(training: Training) -> str:
    history = training.history
    notes = []
    if history.interrupted:
        notes.append("interrupted")
    if history.stopped_early:
        notes.append("stopped early")
    if history.message and not history.stopped_early and history.epochs < training.options.epochs:
        notes.append(history.message)
    if history.best_epoch is not None and not history.interrupted:
        notes.append(f"best epoch {history.best_epoch}, kept")
    return ", ".join([f"{history.epochs} of {training.options.epochs}", *notes])


def _backend() -> str:
    isa = backend.instruction_set()
    if isa is None:
        return backend.name()
    threads = backend.get_num_threads()
    return f"{backend.name()} for {isa}, up to {threads} thread{'s' * (threads != 1)}"
