"""Learning from tables: networks for named columns of numbers and text.

>>> from fastnn import tabular
>>> table = tabular.read_csv("houses.csv")  # doctest: +SKIP
>>> model = tabular.fit(table, "price", tabular.Options(hidden=(64, 64)))  # doctest: +SKIP
>>> model.results["test"]["r2"]  # doctest: +SKIP
0.97
>>> model.save("houses.fastnn")  # doctest: +SKIP

The command line, ``fastnn train``, calls the same functions and reads the same files.
"""

from fastnn.tabular.encoders import Encoded, TableEncoder
from fastnn.tabular.files import read_csv, read_npz, read_table
from fastnn.tabular.frames import as_table
from fastnn.tabular.learning import fit
from fastnn.tabular.model import Model, load
from fastnn.tabular.preset import Options
from fastnn.tabular.roles import Decision, Decisions, decide
from fastnn.tabular.table import (
    Booleans,
    DataError,
    MixedColumnError,
    Numbers,
    Table,
    Texts,
    Times,
)

__all__ = [
    "Booleans",
    "DataError",
    "Decision",
    "Decisions",
    "Encoded",
    "MixedColumnError",
    "Model",
    "Numbers",
    "Options",
    "Table",
    "TableEncoder",
    "Texts",
    "Times",
    "as_table",
    "decide",
    "fit",
    "load",
    "read_csv",
    "read_npz",
    "read_table",
]
