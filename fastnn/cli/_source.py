"""The data and the files that a command line names."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from importlib import util
from pathlib import Path
from typing import Any

from fastnn._shared.figures import FORMATS, require_matplotlib
from fastnn._shared.writing import check_destination, is_same_file
from fastnn.cli._text import note
from fastnn.network import Network
from fastnn.tabular import datasets
from fastnn.tabular.cells import Notation
from fastnn.tabular.delimited import CsvFormat, DelimitedFile
from fastnn.tabular.files import TableFile, in_memory, kind_of, open_table, read_npz
from fastnn.tabular.model import Model
from fastnn.tabular.table import DataError, Table, listing

_NOTATION = ("decimal", "thousands", "percent", "currency")
_TABS = {"\\t": "\t", "tab": "\t"}  # names of a tab on a command line
_CSV_OPTIONS = ("delimiter", "header", "encoding", "missing", *_NOTATION)
_COLUMN_OPTIONS = {"numeric": "number", "category": "category", "date": "date", "drop": "drop"}
"""Options that choose the role of a column."""


def training_table(arguments: argparse.Namespace) -> tuple[Table, str]:
    """The table to train on, and its target column.

    Raises
    ------
    ValueError
        If an option does not fit the kind of data.
    DataError, OSError
        If the data cannot be read.
    """
    if arguments.dataset is not None:
        _refuse(arguments, ("target", *_COLUMN_OPTIONS, *_CSV_OPTIONS), "--dataset")
        return datasets.load(arguments.dataset).table(), "target"
    if kind_of(arguments.file) != "CSV":
        _refuse(arguments, _CSV_OPTIONS, f"{kind_of(arguments.file)} files")
    text = [
        name for name, role in chosen_roles(arguments).items() if role not in ("number", "drop")
    ]
    file = open_table(arguments.file, csv_format(arguments, {}, text))
    table = file.table()
    return table, _target(table, arguments.target)


def chosen_roles(arguments: argparse.Namespace) -> dict[str, str]:
    """The roles that a command line chooses, by column, as in `fastnn.tabular.decide`.

    Raises
    ------
    ValueError
        If one column has two roles.
    """
    roles: dict[str, str] = {}
    for option, role in _COLUMN_OPTIONS.items():
        for name in getattr(arguments, option) or ():
            pattern = ""
            if role == "date":
                name, _, pattern = name.partition("=")
            if name in roles:
                raise ValueError(f"column {name!r} has two roles, {roles[name]} and {role}")
            roles[name] = f"{role}:{pattern}" if pattern else role
    return roles


def reading_facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """How cells were read, for the file of the model: predict reads cells in the same way."""
    return {
        name: value
        for name in ("missing", *_NOTATION)
        if (value := getattr(arguments, name, None)) is not None
    }


def csv_format(
    arguments: argparse.Namespace, facts: Mapping[str, Any], text: Iterable[str]
) -> CsvFormat:
    """How the cells of a CSV file are written: by the options, and else as for the training."""

    def option(name: str, default: Any) -> Any:
        value = getattr(arguments, name)
        return facts.get(name, default) if value is None else value

    thousands = option("thousands", "")
    notation = Notation(
        option("decimal", "."),
        thousands,
        bool(option("percent", False)),
        bool(option("currency", False)),
    )
    return CsvFormat(
        _TABS.get(arguments.delimiter, arguments.delimiter),
        arguments.header,
        arguments.encoding or "utf-8",
        notation,
        tuple(option("missing", ())),
        frozenset(text),
    )


def prediction_file(
    arguments: argparse.Namespace, item: Model | Network, with_target: bool
) -> tuple[TableFile, list[str] | None]:
    """The file whose rows a model is applied to, and the columns that it takes.

    Raises
    ------
    ValueError
        If an option does not fit the kind of data.
    DataError, OSError
        If the data cannot be read, or a column is absent.
    """
    kind = kind_of(arguments.file)
    if kind != "CSV":
        _refuse(arguments, _CSV_OPTIONS, f"{kind} files")
    if isinstance(item, Network):
        if kind == "NPZ":
            return in_memory(read_npz(arguments.file, target=False)), None
        return open_table(arguments.file, csv_format(arguments, {}, ())), None
    columns = [*item.decisions.names, *([item.target] if with_target else [])]
    text = [row.column for row in item.decisions.used if row.role in ("category", "date")]
    if kind == "NPZ":
        return in_memory(_npz(arguments.file, item, text, with_target)), columns
    if with_target and any(isinstance(label, str) for label in item.classes):
        text.append(item.target)
    facts = item.facts.get("reading")
    form = csv_format(arguments, facts if isinstance(facts, dict) else {}, ())
    file = open_table(arguments.file, form)
    absent = [name for name in columns if name not in set(file.names)]
    if absent:
        raise DataError(
            f"{file.name} has no column {listing(map(repr, absent))}; it has {listing(file.names)}"
        )
    if isinstance(file, DelimitedFile):
        file.keep_text(text)
    return file, columns


def _npz(path: str, model: Model, text: list[str], with_target: bool) -> Table:
    """The table of an NPZ file, whose columns have the names of the model."""
    if text:
        raise DataError(
            f"the model takes columns of text ({listing(text)}), which an NPZ file does not have"
        )
    table = read_npz(path, feature_names=model.decisions.names, target=with_target)
    if not with_target:
        return table
    columns = {
        model.target if name == "y" else name: column for name, column in table.columns.items()
    }
    return Table(table.name, columns)


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], data: str) -> None:
    for name in names:
        if getattr(arguments, name, None) is not None:
            raise ValueError(f"--{name} is for CSV files, not for {data}")


def _target(table: Table, name: str | None) -> str:
    """The name of the target column, given by name or by number from 1; by default the last."""
    names = list(table.columns)
    if name is None:
        return names[-1]
    if name not in names and name.isdecimal() and 1 <= int(name) <= len(names):
        return names[int(name) - 1]
    table.column(name)
    return name


def check_output(path: str, inputs: Iterable[str | None]) -> None:
    """Check an output before a long computation.

    Parameters
    ----------
    path : str
    inputs : iterable of str or None
        The files that the command reads; None stands for no file.

    Raises
    ------
    OSError
        If no file can be written to `path`.
    ValueError
        If `path` is one of the inputs.
    """
    check_destination(path)
    for name in inputs:
        if name is not None and is_same_file(path, name):
            raise ValueError(f"{path} is both an input and an output")


def curve_path(wanted: str | None, output: Path) -> Path | None:
    """The path of the learning curve, by default beside the model; None for no curve.

    Parameters
    ----------
    wanted : str or None
        A path, or "none"; None stands for the default.
    output : Path
        Path of the model.

    Raises
    ------
    ImportError
        If a path is given and matplotlib is not installed.
    ValueError
        If the path is that of the model, or does not end as the name of an image does.
    """
    if wanted == "none":
        return None
    if wanted is not None:
        require_matplotlib()
        if is_same_file(wanted, output):
            raise ValueError(f"--output and --plot both name {wanted}")
        if Path(wanted).suffix.lower().removeprefix(".") not in FORMATS:
            endings = ", ".join(f".{ending}" for ending in FORMATS)
            raise ValueError(f"--plot must be none or end in one of {endings}, got {wanted!r}")
        return Path(wanted)
    if output.suffix.lower() == ".png":
        raise ValueError(f"--output is the model's file, got the name of an image, {output}")
    if output.exists() and not output.is_file():  # a pipe or a device has no files beside it
        return None
    if util.find_spec("matplotlib") is None:
        note('no learning curve without matplotlib: pip install "fastnn[plot]"')
        return None
    return output.with_suffix(".png")
