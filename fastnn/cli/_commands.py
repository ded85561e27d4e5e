"""The commands train, predict, info and config."""

from __future__ import annotations

import argparse
import io
import shlex
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from fastnn import backend, plot
from fastnn._shared.text import aligned
from fastnn._shared.writing import is_same_file, write_file
from fastnn.cli import INTERRUPTED
from fastnn.cli._arguments import naming_flags, options_of
from fastnn.cli._report import MEASURES, measured, report, score_table
from fastnn.cli._source import check_output, curve_path, prediction_table, training_table
from fastnn.cli._text import note, show, write_csv
from fastnn.network import Network
from fastnn.network._checkpoint import CheckpointFile
from fastnn.tabular.encoders import Scaled
from fastnn.tabular.learning import Training, split_and_fit
from fastnn.tabular.model import Model, Outputs, load_any
from fastnn.tabular.preprocessing import Preprocessor, identity
from fastnn.tabular.splitting import Task
from fastnn.tabular.table import DataError, MixedColumnError, Table, listing
from fastnn.tabular.targets import Target, with_target

_SHOWN_COLUMNS = 40


def train(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn train``."""
    options = options_of(arguments)
    output = Path(arguments.output)
    check_output(arguments.output, [arguments.file])
    curve = curve_path(arguments.plot, output)
    if curve is not None:
        check_output(str(curve), [arguments.file])
    checkpoint = _checkpoint(arguments, [arguments.file, arguments.output, curve])
    table, target = training_table(arguments)
    try:
        with naming_flags():
            training = split_and_fit(table, target, options, int(not arguments.quiet), checkpoint)
    except MixedColumnError as error:
        hint = f"correct it, or read the column as text with --text {shlex.quote(error.column)}"
        raise DataError(f"{error}; {hint}") from error
    finish(training, output, curve)
    return INTERRUPTED if training.history.interrupted else 0


def _checkpoint(
    arguments: argparse.Namespace, others: Sequence[str | Path | None]
) -> CheckpointFile | None:
    """The file of ``--checkpoint``, which must be none of the other files."""
    if arguments.checkpoint is None:
        return None
    for other in others:
        if other is not None and is_same_file(arguments.checkpoint, other):
            raise ValueError(f"--checkpoint names {other}, which is another file of this command")
    return CheckpointFile.of(arguments.checkpoint, arguments.checkpoint_every)


def finish(training: Training, output: Path, curve: Path | None) -> None:
    """Write the model and its learning curve, and print the report."""
    training.model.save(output)
    files = [("model", str(output))]
    if curve is not None and training.history.epochs:
        plot.learning_curve(training.history, curve)
        files.append(("learning curve", str(curve)))
    show(report(training, files))


# --------------------------------------------------------------------------- predict


def predict(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn predict``."""
    item = load_any(arguments.model)
    if arguments.output is not None:
        check_output(arguments.output, [arguments.model, arguments.file])
    if isinstance(item, Network):
        if arguments.score:
            raise ValueError("--score needs a model that train has written")
        table = prediction_table(arguments, None, False)
        model = Model(item, _identity(item, table))
    else:
        model = item
        table = prediction_table(arguments, model.preprocessor, arguments.score)
    if arguments.proba and model.task == "regression":
        raise ValueError("--proba needs a model for classification; this one is for regression")
    if arguments.score:
        table, _ = with_target(table, model.target)
    outputs = model.outputs_of(table)
    for remark in outputs.remarks:
        note(remark)
    header, columns = _columns(outputs, arguments.proba)
    if arguments.output is None:
        if sys.stdout is None:
            raise ValueError("standard output is closed; write to a file with --output")
        write_csv(sys.stdout, header, columns)
    else:
        text = io.StringIO(newline="")
        write_csv(text, header, columns)
        write_file(arguments.output, [text.getvalue().encode()])
    if arguments.score:
        measures = outputs.measures()
        titles = MEASURES[model.task].items()
        words = [f"{title} {measured(name, measures[name])}" for name, title in titles]
        note("  ".join([f"{len(table):,} rows", *words]))
    return 0


def _identity(network: Network, table: Table) -> Preprocessor:
    """A preprocessor that changes no number, for a network that was saved without one."""
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
    task: Task = "classification" if classes else "regression"
    return identity(list(table.columns), Target("", task, classes))


def _columns(outputs: Outputs, proba: bool) -> tuple[list[str], list[list[str]]]:
    """The names and the cells of the columns that `predict` writes."""
    if outputs.model.task == "regression":
        digits = 9 if outputs.values.dtype == np.float32 else 17
        return ["prediction"], [[f"{value:.{digits}g}" for value in outputs.predictions()]]
    classes = outputs.model.classes
    header, columns = ["prediction"], [[str(classes[i]) for i in outputs.class_indices()]]
    if proba:
        header += [f"probability_{label}" for label in classes]
        columns += [[f"{value:.6g}" for value in column] for column in outputs.probabilities().T]
    return header, columns


# ------------------------------------------------------------------------------ info


def info(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn info``."""
    item = load_any(arguments.model)
    network = item if isinstance(item, Network) else item.network
    show(network.summary())
    if isinstance(item, Model):
        show(f"\n{_description(item)}\n")
        show("\n".join(aligned([*_column_lines(item.preprocessor)])))
    if network.history.epochs:
        show(f"\n{network.history}")
    return 0


def _description(model: Model) -> str:
    preprocessor = model.preprocessor
    target = f"target {preprocessor.target!r}"
    if preprocessor.classes:
        names = listing(preprocessor.classes)
        line = f"{target}, {len(preprocessor.classes)} classes: {names}"
    else:
        scaling = Scaled(preprocessor.target_mean, preprocessor.target_scale, False).describe()
        line = f"{target}, regression, standardised as {scaling}"
    if not isinstance(model.results, dict):
        return line
    table = score_table(str(model.facts.get("data", "")), model.task, model.results)
    return "\n".join([line, "", *table])


def _column_lines(preprocessor: Preprocessor) -> Iterator[tuple[str, str]]:
    """The transformation of each column; adjacent columns with one transformation share a line."""
    yield "column", "becomes"
    groups = [
        (description, [name for name, _ in group])
        for description, group in groupby(preprocessor.encoder.describe(), lambda row: row[1])
    ]
    for description, names in groups[:_SHOWN_COLUMNS]:
        yield names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}", description
    if len(groups) > _SHOWN_COLUMNS:
        yield "...", f"and {sum(len(names) for _, names in groups[_SHOWN_COLUMNS:])} columns more"


def config(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn config``."""
    backend.show_config()
    return 0
