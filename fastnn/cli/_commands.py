"""The commands train, info and config."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from fastnn import backend, plot
from fastnn._shared.config import as_json
from fastnn._shared.text import aligned
from fastnn._shared.writing import is_same_file
from fastnn.cli import INTERRUPTED
from fastnn.cli._arguments import naming_flags, options_of, preset_of
from fastnn.cli._export import is_foreign, show_foreign
from fastnn.cli._report import (
    baseline,
    description,
    report,
    results_of,
    score_table,
    trials_of,
)
from fastnn.cli._source import (
    check_output,
    chosen_roles,
    curve_path,
    reading_facts,
    training_table,
)
from fastnn.cli._text import show
from fastnn.distributed import launch
from fastnn.distributed.communicator import Communicator
from fastnn.distributed.faults import telling
from fastnn.network import Network
from fastnn.network._checkpoint import CheckpointFile
from fastnn.network._together import DEFAULT_SHARDS, Sharing
from fastnn.tabular.bags import Limits
from fastnn.tabular.encoders import TableEncoder
from fastnn.tabular.learner import Learner
from fastnn.tabular.learning import Training, split_and_blend, split_and_fit
from fastnn.tabular.model import Model, load_any
from fastnn.tabular.recipe import get as get_recipe
from fastnn.tabular.table import DataError, MixedColumnError, listing

_SHOWN_COLUMNS = 40


def train(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn train``, in each process that ``mpiexec`` starts."""
    if arguments.processes is not None and not launch.is_started():
        return launch.start(arguments.processes, ["-m", "fastnn.cli", *sys.argv[1:]])
    communicator = launch.world()
    with telling(communicator):
        return _train(arguments, communicator)


def _train(arguments: argparse.Namespace, communicator: Communicator) -> int:
    """Train together with the processes of a communicator; process 0 writes and prints."""
    preset = preset_of(arguments)
    is_first = communicator.rank == 0
    sharing = None
    if communicator.size > 1:
        sharing = Sharing.of(communicator, DEFAULT_SHARDS, False)
        if preset != "network":
            raise ValueError(
                "several processes train one network: add --preset network, or use --jobs"
            )
    options = options_of(arguments)
    output = Path(arguments.output)
    check_output(arguments.output, [arguments.file])
    curve = curve_path(arguments.plot, output)
    if preset != "network":
        curve = None
    if curve is not None:
        check_output(str(curve), [arguments.file])
    checkpoint = _checkpoint(arguments, [arguments.file, arguments.output, curve])
    table, target = training_table(arguments)
    columns = chosen_roles(arguments)
    verbose = int(is_first and not (arguments.quiet or arguments.json))
    try:
        with naming_flags():
            if preset == "network":
                training = split_and_fit(
                    table, target, options, verbose, checkpoint, columns, sharing
                )
            else:
                limits = Limits(arguments.time_limit)
                recipe = get_recipe(preset, candidates=arguments.search)
                training = split_and_blend(table, target, recipe, options, limits, verbose, columns)
    except MixedColumnError as error:
        hint = f"correct it, or take the column as text with --category {shlex.quote(error.column)}"
        raise DataError(f"{error}; {hint}") from error
    model = training.model
    model.facts["preset"] = preset
    if isinstance(model.learner, Learner):
        model.facts["trials"] = trials_of(model.learner)
    model.facts["reading"] = reading_facts(arguments)
    if "test" in training.rows and not training.is_interrupted:
        model.facts["baseline"] = baseline(training, columns)
    if is_first:
        finish(training, output, curve, arguments.json)
    return INTERRUPTED if training.is_interrupted else 0


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
    if curve is not None and training.recipe is None and training.history.epochs:
        plot.learning_curve(training.history, curve)
        files.append(("learning curve", str(curve)))
    if in_json:
        print(json.dumps(description(training, dict(files))))
    else:
        show(report(training, files))


# ------------------------------------------------------------------------------ info


def info(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn info``."""
    if is_foreign(arguments.model):
        show_foreign(arguments.model, arguments.json)
        return 0
    item = load_any(arguments.model)
    if arguments.json:
        print(json.dumps(_facts(item)))
        return 0
    networks = [item] if isinstance(item, Network) else item.learner.networks
    if len(networks) > 1:
        show(f"The first of {len(networks)} networks:\n")
    show(networks[0].summary())
    if isinstance(item, Model):
        show(f"\n{_description(item)}\n")
        show(f"{item.decisions}\n")
        show("\n".join(aligned([*_column_lines(item.learner.encoder)])))
    if len(networks) == 1 and networks[0].history.epochs:
        show(f"\n{networks[0].history}")
    return 0


def _facts(item: Model | Network) -> dict[str, Any]:
    """What a file holds, as data for JSON."""
    networks = [item] if isinstance(item, Network) else item.learner.networks
    facts: dict[str, Any] = {
        "networks": len(networks),
        "parameters": sum(network.n_parameters for network in networks),
        "dtype": str(networks[0].dtype),
        "epochs": [network.history.epochs for network in networks],
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
    table = score_table(str(model.facts.get("data", "")), model.loss, results_of(model))
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
