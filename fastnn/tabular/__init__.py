"""Learning from tables: networks for named columns of numbers and text.

>>> from fastnn import tabular
>>> table = tabular.read_csv("houses.csv")  # doctest: +SKIP
>>> model = tabular.fit(table, "price", tabular.Options(hidden=(64, 64)))  # doctest: +SKIP
>>> model.results["test"]["r2"]  # doctest: +SKIP
0.97
>>> model.save("houses.fastnn")  # doctest: +SKIP

The command line, ``fastnn train``, calls the same functions and reads the same files.
`TabularClassifier` and `TabularRegressor` are estimators for scikit-learn, which they need.
"""

from fastnn._shared import lazy
from fastnn.tabular.encoders import Encoded, TableEncoder
from fastnn.tabular.files import read_csv, read_npz, read_table
from fastnn.tabular.frames import as_table
from fastnn.tabular.learning import fit
from fastnn.tabular.model import Model, load
from fastnn.tabular.preset import Options
from fastnn.tabular.recipe import PRESETS, Recipe
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

__getattr__ = lazy.importer(
    __name__,
    {
        "TabularClassifier": "fastnn.tabular.estimators",
        "TabularRegressor": "fastnn.tabular.estimators",
    },
)

__all__ = [
    "PRESETS",
    "Booleans",
    "DataError",
    "Decision",
    "Decisions",
    "Encoded",
    "MixedColumnError",
    "Model",
    "Numbers",
    "Options",
    "Recipe",
    "Table",
    "TableEncoder",
    "TabularClassifier",
    "TabularRegressor",
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
