"""The commands train, info and config."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from fastnn import backend, plot
from fastnn._shared.config import as_json
from fastnn._shared.text import aligned
from fastnn._shared.writing import is_same_file
from fastnn.cli import INTERRUPTED
from fastnn.cli._arguments import naming_flags, options_of
from fastnn.cli._report import description, report, score_table
from fastnn.cli._source import (
    check_output,
    chosen_roles,
    curve_path,
    reading_facts,
    training_table,
)
from fastnn.cli._text import show
from fastnn.network import Network
from fastnn.network._checkpoint import CheckpointFile
from fastnn.tabular.encoders import TableEncoder
from fastnn.tabular.learning import Training, split_and_fit
from fastnn.tabular.model import Model, load_any
from fastnn.tabular.table import DataError, MixedColumnError, listing

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
    columns = chosen_roles(arguments)
    verbose = int(not (arguments.quiet or arguments.json))
    try:
        with naming_flags():
            training = split_and_fit(table, target, options, verbose, checkpoint, columns)
    except MixedColumnError as error:
        hint = f"correct it, or take the column as text with --category {shlex.quote(error.column)}"
        raise DataError(f"{error}; {hint}") from error
    training.model.facts["reading"] = reading_facts(arguments)
    finish(training, output, curve, arguments.json)
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


def finish(training: Training, output: Path, curve: Path | None, in_json: bool = False) -> None:
    """Write the model and its learning curve, and print the report."""
    training.model.save(output)
    files = [("model", str(output))]
    if curve is not None and training.history.epochs:
        plot.learning_curve(training.history, curve)
        files.append(("learning curve", str(curve)))
    if in_json:
        print(json.dumps(description(training, dict(files))))
    else:
        show(report(training, files))


# ------------------------------------------------------------------------------ info


def info(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn info``."""
    item = load_any(arguments.model)
    if arguments.json:
        print(json.dumps(_facts(item)))
        return 0
    network = item if isinstance(item, Network) else item.network
    show(network.summary())
    if isinstance(item, Model):
        show(f"\n{_description(item)}\n")
        show(f"{item.decisions}\n")
        show("\n".join(aligned([*_column_lines(item.learner.encoder)])))
    if network.history.epochs:
        show(f"\n{network.history}")
    return 0


def _facts(item: Model | Network) -> dict[str, Any]:
    """What a file holds, as data for JSON."""
    network = item if isinstance(item, Network) else item.network
    facts: dict[str, Any] = {
        "parameters": network.n_parameters,
        "dtype": str(network.dtype),
        "epochs": network.history.epochs,
    }
    if isinstance(item, Model):
        facts |= {
            "task": item.task,
            "target": item.target,
            "classes": list(item.classes),
            "columns": item.decisions.to_state(),
            **as_json(item.facts),
        }
    return facts


def _description(model: Model) -> str:
    words = [f"target {model.target!r}"]
    if model.classes:
        words.append(f"{len(model.classes)} classes: {listing(model.classes)}")
    else:
        words.append("regression")
    line = ", ".join([*words, *model.learner.describe()])
    if not isinstance(model.results, dict):
        return line
    table = score_table(str(model.facts.get("data", "")), model.task, model.results)
    return "\n".join([line, "", *table])


def _column_lines(encoder: TableEncoder) -> Iterator[tuple[str, str]]:
    """The transformation of each column; adjacent columns with one transformation share a line."""
    yield "column", "becomes"
    groups = [
        (words, [name for name, _ in group])
        for words, group in groupby(encoder.describe(), lambda row: row[1])
    ]
    for words, names in groups[:_SHOWN_COLUMNS]:
        yield names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}", words
    if len(groups) > _SHOWN_COLUMNS:
        yield "...", f"and {sum(len(names) for _, names in groups[_SHOWN_COLUMNS:])} columns more"


def config(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn config``."""
    backend.show_config()
    return 0
