"""The commands predict and evaluate: a model applied to a table in parts.

A part of the table is in memory at a time, so that the file may be larger than the memory.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

import numpy as np

from fastnn._shared.config import as_json
from fastnn._shared.numbers import check_number
from fastnn._shared.writing import check_destination, write_file
from fastnn.cli._report import MEASURES, measured, score_table
from fastnn.cli._source import check_output, prediction_file
from fastnn.cli._text import note, show
from fastnn.cli._writers import Columns, csv_lines, csv_parts, is_parquet, parquet_parts
from fastnn.network import Network
from fastnn.tabular.dense import DenseLearner
from fastnn.tabular.files import TableFile
from fastnn.tabular.model import Model, Outputs, Tally, load_any, remarks
from fastnn.tabular.preprocessing import identity
from fastnn.tabular.splitting import Task
from fastnn.tabular.targets import Target


def predict(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn predict``."""
    item = load_any(arguments.model)
    if arguments.output is not None:
        check_output(arguments.output, [arguments.model, arguments.file])
    if isinstance(item, Network) and arguments.score:
        raise ValueError("--score needs a model that train has written")
    file, columns = prediction_file(arguments, item, arguments.score)
    model = _of_network(item, file) if isinstance(item, Network) else item
    if arguments.proba and model.task == "regression":
        raise ValueError("--proba needs a model for classification; this one is for regression")
    if arguments.interval is not None:
        check_number(arguments.interval, "--interval", above=0.0, below=1.0)
    parts = _Parts(model, file, columns, Tally(model) if arguments.score else None)
    chosen = (
        _columns(outputs, arguments.proba) | _bounds(outputs, arguments.interval)
        for outputs in parts
    )
    _write(arguments.output, chosen)
    parts.note_remarks()
    if parts.tally is not None:
        measures = parts.tally.measures()
        titles = MEASURES[model.loss].items()
        words = [f"{title} {measured(name, measures[name])}" for name, title in titles]
        note("  ".join([f"{parts.tally.rows:,} rows", *words]))
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn evaluate``."""
    model = load_any(arguments.model)
    if isinstance(model, Network):
        raise ValueError("evaluate needs a model that train has written, this is a network alone")
    file, columns = prediction_file(arguments, model, True)
    tally = Tally(model)
    parts = _Parts(model, file, columns, tally)
    for _ in parts:
        pass
    parts.note_remarks()
    result = {"rows": tally.rows, **tally.measures()}
    if arguments.json:
        print(json.dumps(as_json({"data": file.name, **result})))
    else:
        show("\n".join(score_table("", model.loss, {file.name: result})))
    return 0


class _Parts:
    """The outputs of a model for the parts of a file; counts what a user should know."""

    def __init__(
        self, model: Model, file: TableFile, columns: list[str] | None, tally: Tally | None
    ) -> None:
        self._model = model
        self._file = file
        self._columns = columns
        self._unseen: dict[str, int] = {}
        self.tally = tally

    def __iter__(self) -> Iterator[Outputs]:
        for table in self._file.batches(self._columns):
            outputs = self._model.outputs_of(table)
            for name, count in outputs.unseen.items():
                self._unseen[name] = self._unseen.get(name, 0) + count
            if self.tally is not None:
                self.tally.add(outputs)
            yield outputs

    def note_remarks(self) -> None:
        """Tell of columns that were ignored and categories that are unknown."""
        extra = [] if self._columns is None else self._model.unknown_columns(self._file.names)
        for remark in remarks(self._file.name, extra, self._unseen):
            note(remark)


def _of_network(network: Network, file: TableFile) -> Model:
    """A model that changes no number, for a network that was saved without a preprocessing."""
    inputs, outputs = network.graph.inputs, network.graph.outputs
    losses = [loss.name for loss in network.losses.values()]
    classes = tuple(range(outputs[0].width)) if losses == ["cross_entropy"] else ()
    if len(inputs) > 1 or len(outputs) > 1 or not (classes or outputs[0].width == 1):
        raise ValueError(
            "predict takes networks of one input, and one output that is for classes "
            "(cross_entropy) or one column wide; use fastnn.load in Python for this one"
        )
    if len(file.names) != inputs[0].width:
        raise ValueError(
            f"{file.name} has {len(file.names)} columns, but the network takes {inputs[0].width}"
        )
    task: Task = "classification" if classes else "regression"
    aim = Target("", task, classes)
    return Model(aim, DenseLearner(network, identity(file.names, aim)))


def _columns(outputs: Outputs, proba: bool) -> Columns:
    """The columns that `predict` writes, by name."""
    if outputs.model.task == "regression":
        dtype = outputs.model.learner.networks[0].dtype
        digits = 9 if dtype == np.float32 else 17
        names = ["prediction"]
        levels = outputs.model.quantiles
        if len(levels) > 1:
            names = [f"quantile_{level:g}" for level in levels]
        predictions = outputs.predictions().reshape(-1, len(names))
        named = zip(names, predictions.T, strict=True)
        return {name: (column, f".{digits}g") for name, column in named}
    columns: Columns = {"prediction": (outputs.predictions(), "")}
    if proba:
        probabilities = outputs.probabilities().T
        for label, column in zip(outputs.model.classes, probabilities, strict=True):
            columns[f"probability_{label}"] = (column, ".6g")
    return columns


def _bounds(outputs: Outputs, coverage: float | None) -> Columns:
    """The columns of an interval for numbers, and of a set for classes."""
    if coverage is None:
        return {}
    model, learner = outputs.model, outputs.model.conformal
    if model.task == "regression":
        low, high = learner.intervals(outputs.table, coverage)[0].T
        return {"lower": (low, ".9g"), "upper": (high, ".9g")}
    sets = learner.sets(outputs.table, coverage)[0].T
    return {
        f"in_set_{label}": (column.astype(int), "")
        for label, column in zip(model.classes, sets, strict=True)
    }


def _write(path: str | None, parts: Iterator[Columns]) -> None:
    """Write predictions part by part: to a file, or to standard output as CSV."""
    if path is None:
        if sys.stdout is None:
            raise ValueError("standard output is closed; write to a file with --output")
        csv_lines(sys.stdout, parts)
    else:
        check_destination(path)
        write_file(path, parquet_parts(parts) if is_parquet(path) else csv_parts(parts))
