"""The data sets that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice
from fastnn.tabular.frames import as_table
from fastnn.tabular.splitting import Task
from fastnn.tabular.table import Table

__all__ = ["NAMES", "Dataset", "load"]

NAMES = ("digits", "breast_cancer", "wine", "iris", "diabetes")
"""Names of the data sets that `load` reads."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples with their targets.

    Attributes
    ----------
    name : str
    X : (N, n) array of real numbers
    y : (N,) array
        For classification, integer labels, which are indices into `class_names`; for
        regression, real numbers.
    feature_names : tuple of n str
    class_names : tuple of str or None
        None for regression.
    task : {"classification", "regression"}
    common_unit : bool
        Whether all features have one unit, as the pixels of digits do.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...] | None
    task: Task
    common_unit: bool = False

    def table(self) -> Table:
        """The samples as a table; its last column, ``target``, has class names or numbers."""
        columns = {name: self.X[:, j] for j, name in enumerate(self.feature_names)}
        columns["target"] = (
            self.y if self.class_names is None else np.array(self.class_names)[self.y]
        )
        return replace(as_table(columns, self.name), common_unit=self.common_unit)


def load(name: str) -> Dataset:
    """Read one of the data sets that come with scikit-learn.

    Parameters
    ----------
    name : {"digits", "breast_cancer", "wine", "iris", "diabetes"}
        `diabetes` is a data set for regression, the others are for classification.

    Returns
    -------
    Dataset
        With the published features in float64, which are not scaled.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    ValueError
        If there is no data set of this name.
    """
    name = check_choice(name, "name", NAMES)
    try:
        from sklearn import datasets as bundled
    except ImportError as error:
        raise ImportError(
            'the bundled data sets come with scikit-learn: pip install "fastnn[sklearn]"'
        ) from error
    read: Callable[..., Any] = getattr(bundled, f"load_{name}")
    data = read(scaled=False) if name == "diabetes" else read()
    X = np.asarray(data.data, np.float64)
    names = tuple(str(feature) for feature in data.feature_names)
    if name == "diabetes":
        return Dataset(name, X, np.asarray(data.target, np.float64), names, None, "regression")
    labels = np.asarray(data.target, np.int64)
    classes = tuple(str(label) for label in data.target_names)
    return Dataset(name, X, labels, names, classes, "classification", name == "digits")
