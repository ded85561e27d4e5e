"""The task that a target sets, and the split of a table's rows into parts."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fastnn._shared.numbers import check_choice, check_integer, check_number
from fastnn.tabular.table import Column, DataError, Numbers

__all__ = ["TASKS", "Task", "choose_task", "guess_task", "split_folds", "split_rows"]

Task = Literal["classification", "regression"]

TASKS = ("auto", "classification", "regression")
"""Values of the parameter `task`; "auto" calls `guess_task`."""

_MAX_GUESSED_CLASSES = 20
_ROWS_OF_GUESSED_CLASS = 3


def choose_task(y: Column, task: str = "auto") -> Task:
    """The task of the target `y`, a column: `task` itself, or for "auto" the guess of `guess_task`.

    Raises
    ------
    TypeError, ValueError
        If `task` is not one of `TASKS`.
    """
    if check_choice(task, "task", TASKS) == "auto":
        return guess_task(y)
    return "classification" if task == "classification" else "regression"


def guess_task(y: Column) -> Task:
    """Classification for text, truth values, and a few whole numbers that repeat.

    A few are at most 20 different numbers that occur three times on average, or more often.
    Other numbers are for regression.
    """
    if not isinstance(y, Numbers):
        return "classification"
    values = np.unique(y.values)
    are_few = len(values) <= min(_MAX_GUESSED_CLASSES, len(y) // _ROWS_OF_GUESSED_CLASS)
    are_whole = bool((values == np.floor(values)).all())
    return "classification" if are_few and are_whole else "regression"


def split_rows(
    n: int,
    validation: float,
    test: float,
    seed: int = 0,
    labels: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the rows for training, for validation and for the test at random.

    Parameters
    ----------
    n : int
        Number of rows.
    validation, test : float
        Shares of the rows, in [0, 1), with a sum below 1.  A share above 0 gives at
        least one row.
    seed : int, default 0
        Seed of the random numbers.
    labels : (n,) array, optional
        Label of each row.  Every part has the labels in the proportion of the whole, as nearly
        as whole rows allow (a stratified split).

    Returns
    -------
    train, validation, test : arrays of int
        Indices in ascending order.  Each row is in exactly one part.

    Raises
    ------
    TypeError, ValueError
        If a share is out of range.
    DataError
        If no row remains for training.
    """
    n = check_integer(n, "n", 1)
    shares = {
        "validation": check_number(validation, "validation", 0.0, below=1.0),
        "test": check_number(test, "test", 0.0, below=1.0),
    }
    sizes = [max(1, round(share * n)) if share else 0 for share in shares.values()]
    if sum(shares.values()) < 1 and max(sizes) > 1 and sum(sizes) == n:
        sizes[sizes.index(max(sizes))] -= 1  # rounding has taken the last row of the training
    n_validation, n_test = sizes
    if n_validation + n_test >= n:
        rows, leave = ("row", "leaves") if n == 1 else ("rows", "leave")
        raise DataError(
            f"{n} {rows} with {n_validation} for validation and {n_test} for test {leave} none "
            "to train on"
        )
    order = _permutation(n, seed)
    if labels is not None:
        order = order[np.argsort(_relative_ranks(labels[order]), kind="stable")]
    parts = np.split(order, [n_test, n_test + n_validation])
    test_rows, validation_rows, train_rows = (np.sort(part) for part in parts)
    return train_rows, validation_rows, test_rows


def split_folds(
    n: int, folds: int, seed: int = 0, labels: np.ndarray | None = None
) -> list[np.ndarray]:
    """Divide the rows at random into parts of nearly equal size.

    Parameters
    ----------
    n : int
        Number of rows.
    folds : int
        Number of parts, from 2 to `n`.
    seed : int, default 0
        Seed of the random numbers.
    labels : (n,) array, optional
        Label of each row.  Every part has the labels in the proportion of the whole, as nearly
        as whole rows allow.

    Returns
    -------
    list of arrays of int
        Indices in ascending order.  Each row is in exactly one part.
    """
    order = _permutation(n, seed)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    # Neighbours, which have equal labels, go to different parts.
    return [np.sort(order[i::folds]) for i in range(folds)]


def _permutation(n: int, seed: int) -> np.ndarray:
    """The rows at random, as narrow integers: there are as many of them as in a column."""
    order = np.random.default_rng(check_integer(seed, "seed", 0)).permutation(n)
    return order.astype(np.min_scalar_type(-n))


def _relative_ranks(labels: np.ndarray) -> np.ndarray:
    """The rank of each row among the rows of its label, scaled to (0, 1).

    In the order of these numbers, every contiguous stretch of rows has all labels in proportion.
    """
    grouped = np.argsort(labels, kind="stable")
    ascending = labels[grouped]
    relative = np.empty(len(labels))
    for rows in np.split(grouped, np.flatnonzero(ascending[1:] != ascending[:-1]) + 1):
        relative[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return relative
