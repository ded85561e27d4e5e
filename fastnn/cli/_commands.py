"""The commands train, predict, info and config."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import fields
from itertools import groupby
from pathlib import Path

import numpy as np

from fastnn import backend, plot
from fastnn.cli import INTERRUPTED
from fastnn.cli._source import check_writable, curve_path, prediction_table, training_table
from fastnn.cli._text import note, pairs, write_csv
from fastnn.cli._train import (
    MEASURES,
    Options,
    Training,
    fit,
    measure,
    measured,
    report,
    score_table,
)
from fastnn.network import Network
from fastnn.tabular import model as _model
from fastnn.tabular.files import Table, listing
from fastnn.tabular.model import Model
from fastnn.tabular.preprocessing import Number, Preprocessor

_SHOWN_COLUMNS = 40


def train(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn train``."""
    options = Options(**{field.name: getattr(arguments, field.name) for field in fields(Options)})
    output = Path(arguments.output)
    check_writable(output)
    curve = curve_path(arguments.plot, output)
    if curve is not None:
        check_writable(curve)
    table, target = training_table(arguments)
    training = fit(table, target, options)
    finish(training, output, curve)
    return INTERRUPTED if training.history.interrupted else 0


def finish(training: Training, output: Path, curve: Path | None) -> None:
    """Write the model and its learning curve, and print the result."""
    _model.save(output, training.model)
    files = [("model", str(output))]
    if curve is not None and training.history.epochs:
        plot.learning_curve(training.history, curve)
        files.append(("learning curve", str(curve)))
    print(report(training, files))


# --------------------------------------------------------------------------- predict


def predict(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn predict``."""
    model = _model.load(arguments.model)
    if arguments.output is not None:
        check_writable(Path(arguments.output))
    if arguments.score and model.preprocessor is None:
        raise ValueError("--score needs a model that train has written")
    table = prediction_table(arguments, model.preprocessor, arguments.score)
    preprocessor = model.preprocessor or _plain(model.network, table)
    if arguments.proba and preprocessor.task == "regression":
        raise ValueError("--proba needs a model for classification; this one is for regression")
    X = preprocessor.features(table, model.network.dtype)
    header, columns = _predictions(model.network, preprocessor, X, arguments.proba)
    if arguments.output is None:
        write_csv(sys.stdout, header, columns)
    else:
        with open(arguments.output, "w", encoding="utf-8", newline="") as file:
            write_csv(file, header, columns)
    if arguments.score:
        y = preprocessor.targets(table, model.network.dtype)
        measures = measure(model.network, preprocessor, X, y)
        titles = MEASURES[preprocessor.task].items()
        shown = [f"{title} {measured(name, measures[name])}" for name, title in titles]
        note("  ".join([f"{len(y):,} rows", *shown]))
    return 0


def _plain(network: Network, table: Table) -> Preprocessor:
    """A preprocessor that changes nothing, for a network that was saved without one."""
    inputs, outputs = network.graph.inputs, network.graph.outputs
    losses = [loss.name for loss in network.losses.values()]
    classes = tuple(range(outputs[0].width)) if losses == ["cross_entropy"] else ()
    if len(inputs) > 1 or len(outputs) > 1 or not (classes or outputs[0].width == 1):
        raise ValueError(
            "predict takes networks of one input, and one output that is for classes "
            "(cross_entropy) or one column wide; use fastnn.load in Python for this one"
        )
    if len(table.columns) != inputs[0].width:
        raise ValueError(
            f"{table.name} has {len(table.columns)} columns, but the network takes "
            f"{inputs[0].width}"
        )
    columns = tuple(Number(name, 0.0, 1.0) for name in table.columns)
    return Preprocessor("classification" if classes else "regression", "", columns, classes)


def _predictions(
    network: Network, preprocessor: Preprocessor, X: np.ndarray, proba: bool
) -> tuple[list[str], list[list[str]]]:
    """Names and cells of the columns that `predict` writes."""
    if preprocessor.task == "regression":
        values = preprocessor.units(network.predict(X))
        digits = 9 if network.dtype == np.float32 else 17
        return ["prediction"], [[f"{value:.{digits}g}" for value in values]]
    labels = preprocessor.labels(network.predict_classes(X))
    header, columns = ["prediction"], [[str(label) for label in labels]]
    if proba:
        header += [f"probability_{label}" for label in preprocessor.classes]
        probabilities = network.predict_proba(X).T
        columns += [[f"{value:.6g}" for value in column] for column in probabilities]
    return header, columns


# ------------------------------------------------------------------------------ info


def info(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn info``."""
    model = _model.load(arguments.model)
    print(model.network.summary())
    if model.preprocessor is not None:
        print(f"\n{_described(model)}")
        print(f"\n{pairs(_column_lines(model.preprocessor))}")
    if model.network.history.epochs:
        print(f"\n{model.network.history}")
    return 0


def _described(model: Model) -> str:
    preprocessor = model.preprocessor
    assert preprocessor is not None
    target = f"target {preprocessor.target!r}"
    if preprocessor.classes:
        names = listing(preprocessor.classes)
        line = f"{target}, {len(preprocessor.classes)} classes: {names}"
    else:
        scaling = Number(preprocessor.target, preprocessor.target_mean, preprocessor.target_scale)
        line = f"{target}, regression, standardised as {scaling.describe()}"
    results = model.facts.get("results")
    if not isinstance(results, dict):
        return line
    data = str(model.facts.get("data", ""))
    return f"{line}\n\n{score_table(data, preprocessor.task, results)}"


def _column_lines(preprocessor: Preprocessor) -> Iterator[tuple[str, str]]:
    """What becomes of the columns; neighbours of one fate share a line."""
    yield "column", "becomes"
    groups = [
        (description, [column.name for column in group])
        for description, group in groupby(preprocessor.columns, lambda column: column.describe())
    ]
    for description, names in groups[:_SHOWN_COLUMNS]:
        yield names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}", description
    if len(groups) > _SHOWN_COLUMNS:
        yield "...", f"and {sum(len(names) for _, names in groups[_SHOWN_COLUMNS:])} columns more"


def config(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn config``."""
    backend.show_config()
    return 0
