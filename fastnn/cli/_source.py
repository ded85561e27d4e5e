"""The data and the files that a command line names."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from importlib import util
from pathlib import Path

from fastnn._shared.figures import FORMATS, require_matplotlib
from fastnn._shared.writing import check_destination, is_same_file
from fastnn.cli._text import note
from fastnn.tabular import datasets
from fastnn.tabular.files import read_csv, read_npz
from fastnn.tabular.preprocessing import Preprocessor
from fastnn.tabular.table import DataError, Table, listing

_TABS = {"\\t": "\t", "tab": "\t"}  # names of a tab on a command line
_CSV_OPTIONS = ("delimiter", "header", "encoding")
_COLUMN_OPTIONS = ("target", "drop", "text")


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
        _refuse(arguments, (*_COLUMN_OPTIONS, *_CSV_OPTIONS), "--dataset")
        return datasets.load(arguments.dataset).table(), "target"
    if _is_npz(arguments.file):
        _refuse(arguments, (*_COLUMN_OPTIONS, *_CSV_OPTIONS), "NPZ files")
        return read_npz(arguments.file), "y"
    table = _csv(arguments, text=arguments.text)
    return table, _target(table, arguments.target)


def prediction_table(
    arguments: argparse.Namespace, preprocessor: Preprocessor | None, with_target: bool
) -> Table:
    """The table whose target is to be predicted, with the columns of the preprocessor.

    Raises
    ------
    ValueError
        If an option does not fit the kind of data.
    DataError, OSError
        If the data cannot be read, or a column is absent.
    """
    if _is_npz(arguments.file):
        _refuse(arguments, _CSV_OPTIONS, "NPZ files")
        if preprocessor is None:
            return read_npz(arguments.file, target=False)
        text = _text_columns(preprocessor)
        if text:
            raise DataError(
                f"the model takes columns of text ({listing(text)}), which an NPZ file does not "
                "have"
            )
        table = read_npz(arguments.file, feature_names=preprocessor.names, target=with_target)
        return table if not with_target else _renamed(table, "y", preprocessor.target)
    if preprocessor is None:
        return _csv(arguments)
    columns = [*preprocessor.names, *([preprocessor.target] if with_target else [])]
    text = _text_columns(preprocessor)
    if with_target and any(isinstance(label, str) for label in preprocessor.classes):
        text.append(preprocessor.target)
    return _csv(arguments, columns, text)


def _text_columns(preprocessor: Preprocessor) -> list[str]:
    """Names of the columns that are read as text."""
    return [row.column for row in preprocessor.encoder.decisions.used if row.role == "category"]


def _csv(
    arguments: argparse.Namespace, columns: list[str] | None = None, text: list[str] | None = None
) -> Table:
    return read_csv(
        arguments.file,
        columns=columns,
        drop=getattr(arguments, "drop", None) or (),
        text=text or (),
        delimiter=_TABS.get(arguments.delimiter, arguments.delimiter),
        header=arguments.header,
        encoding=arguments.encoding or "utf-8",
    )


def _is_npz(path: str) -> bool:
    return path.lower().endswith(".npz")


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], data: str) -> None:
    for name in names:
        if getattr(arguments, name, None) is not None:
            raise ValueError(f"--{name} is for CSV files, not for {data}")


def _renamed(table: Table, old: str, new: str) -> Table:
    columns = {new if name == old else name: v for name, v in table.columns.items()}
    return Table(table.name, columns, table.line)


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
