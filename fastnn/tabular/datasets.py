"""Data to train on: scikit-learn's bundled sets, the kind of a task, and the split of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fastnn._shared.numbers import check_choice, check_integer, check_number
from fastnn.tabular.files import DataError, Table

__all__ = ["NAMES", "Dataset", "Task", "guess_task", "load", "split_rows"]

NAMES = ("digits", "breast_cancer", "wine", "iris", "diabetes")
"""The bundled data sets `load` knows."""

Task = Literal["classification", "regression"]

_MAX_GUESSED_CLASSES = 20


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples with their targets.

    Attributes
    ----------
    name : str
    X : (N, n) array of real numbers
    y : (N,) array
        Integer labels, indices into `class_names`; or real numbers.
    feature_names : tuple of n str
    class_names : tuple of str or None
        None for regression.
    task : {"classification", "regression"}
    common_unit : bool
        Whether all features measure one thing, as the pixels of digits do.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...] | None
    task: Task
    common_unit: bool = False

    def table(self) -> Table:
        """The samples as a table whose last column, ``target``, holds class names or numbers."""
        columns = {name: self.X[:, j] for j, name in enumerate(self.feature_names)}
        columns["target"] = (
            self.y if self.class_names is None else np.array(self.class_names)[self.y]
        )
        return Table(self.name, columns, common_unit=self.common_unit)


def load(name: str) -> Dataset:
    """One of the data sets that come with scikit-learn.

    Parameters
    ----------
    name : {"digits", "breast_cancer", "wine", "iris", "diabetes"}
        `diabetes` is regression, the others are classification.

    Returns
    -------
    Dataset
        With float64 features as they are published, not scaled.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    """
    name = check_choice(name, "name", NAMES)
    try:
        from sklearn import datasets as bundled
    except ImportError as error:
        raise ImportError(
            'the bundled data sets come with scikit-learn: pip install "fastnn[sklearn]"'
        ) from error
    loader: Callable[..., Any] = getattr(bundled, f"load_{name}")
    data = loader(scaled=False) if name == "diabetes" else loader()
    X = np.asarray(data.data, np.float64)
    names = tuple(str(feature) for feature in data.feature_names)
    if name == "diabetes":
        return Dataset(name, X, np.asarray(data.target, np.float64), names, None, "regression")
    labels = np.asarray(data.target, np.int64)
    classes = tuple(str(label) for label in data.target_names)
    return Dataset(name, X, labels, names, classes, "classification", name == "digits")


def guess_task(y: np.ndarray) -> Task:
    """Classification for text, and for a few whole numbers that repeat; else regression.

    A few are at most 20, each three times on average or more.
    """
    if y.dtype.kind not in "iuf":
        return "classification"
    values = np.unique(y)
    few = len(values) <= min(_MAX_GUESSED_CLASSES, len(y) // 3)
    return "classification" if few and bool((values == np.floor(values)).all()) else "regression"


def split_rows(
    n: int,
    validation: float,
    test: float,
    seed: int = 0,
    labels: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows to train on, to validate on and to test on, drawn at random.

    Parameters
    ----------
    n : int
        Number of rows.
    validation, test : float
        Shares of the rows, in [0, 1), together below 1.  A share above 0 gives at
        least one row.
    seed : int, default 0
    labels : (n,) array, optional
        Every part gets its share of each label, as nearly as whole rows allow.

    Returns
    -------
    train, validation, test : arrays of int
        In ascending order; together every row once.

    Raises
    ------
    ValueError
        If a share is out of range.
    DataError
        If no row is left to train on.
    """
    n = check_integer(n, "n", 1)
    shares = {
        "validation": check_number(validation, "validation", 0.0, below=1.0),
        "test": check_number(test, "test", 0.0, below=1.0),
    }
    n_validation, n_test = (max(1, round(share * n)) if share else 0 for share in shares.values())
    if n_validation + n_test >= n:
        raise DataError(
            f"{n} rows with {n_validation} for validation and {n_test} for test leave none "
            "to train on"
        )
    order = np.random.default_rng(check_integer(seed, "seed", 0)).permutation(n)
    if labels is not None:
        order = order[np.argsort(_spread(labels[order]), kind="stable")]
    parts = np.split(order, [n_test, n_test + n_validation])
    test_rows, validation_rows, train_rows = (np.sort(part) for part in parts)
    return train_rows, validation_rows, test_rows


def _spread(labels: np.ndarray) -> np.ndarray:
    """Where each row stands among the rows of its label, in (0, 1).

    In the order of these numbers, every stretch of rows has all labels in proportion.
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    grouped = np.argsort(codes, kind="stable")
    starts = np.cumsum(counts) - counts
    ranks = np.empty(len(labels))
    ranks[grouped] = np.arange(len(labels)) - starts[codes[grouped]]
    position: np.ndarray = (ranks + 0.5) / counts[codes]
    return position
