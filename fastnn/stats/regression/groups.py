"""Labels of clusters: one or two groupings of the rows."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.frames import local
from fastnn.stats.regression.inputs import check_alignment, is_table

_WAYS = 2  # largest number of groupings


@dataclass(frozen=True)
class Groups:
    """One or two groupings of the rows.

    Attributes
    ----------
    codes : tuple of (n,) int arrays
        Number of the cluster of each row, from 0.
    counts : tuple of int
        Number of clusters of each grouping.
    """

    codes: tuple[np.ndarray, ...]
    counts: tuple[int, ...]

    @classmethod
    def read(cls, groups: Any, n: int, index: Any) -> Groups:
        """From the argument of a caller.

        Parameters
        ----------
        groups : (n,) or (n, 2) array_like, table of one or two columns, or pair of (n,) arrays
        n : int
            Number of rows of the fit.
        index : pandas.Index or None
            Index of the data of the fit.

        Raises
        ------
        ValueError
            If the shape or the index is another one, labels are missing, or there is one cluster.
        """
        groups = tuple(map(local, groups)) if isinstance(groups, tuple) else local(groups)
        columns = _columns(groups)
        for column in (groups, *columns):
            check_alignment(index, column, "groups")
        if not 1 <= len(columns) <= _WAYS:
            raise ValueError(f"groups must be one or two groupings, got {len(columns)}")
        coded = [_coded(np.asarray(column), n) for column in columns]
        return cls(tuple(codes for codes, _ in coded), tuple(count for _, count in coded))

    @property
    def is_two_way(self) -> bool:
        """Whether there are two groupings."""
        return len(self.codes) > 1

    @property
    def smallest(self) -> int:
        """The smaller number of clusters."""
        return min(self.counts)

    def intersection(self) -> tuple[np.ndarray, int]:
        """Codes and number of the clusters of rows that share both labels."""
        pairs = self.codes[0] * self.counts[1] + self.codes[1]
        labels, codes = np.unique(pairs, return_inverse=True)
        return codes.reshape(-1), len(labels)


def _columns(groups: Any) -> list[Any]:
    """The groupings, one by one."""
    if is_table(groups):
        return [groups[label] for label in groups.columns]
    if isinstance(groups, tuple) and len(groups) == _WAYS and all(map(np.ndim, groups)):
        return list(groups)
    if np.ndim(groups) == _WAYS:
        return list(np.asarray(groups).T)
    return [groups]


def _coded(labels: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """Codes of the labels from 0, and the number of different labels."""
    if labels.shape != (n,):
        raise ValueError(f"groups must have a label for each of the {n} rows, got {labels.shape}")
    missing = _missing(labels)
    if missing.any():
        raise ValueError(
            f"groups must not have missing labels, got {missing.sum()}, first in row "
            f"{int(missing.argmax())}; drop these rows or give them a label first"
        )
    if labels.dtype == object:  # labels of several types cannot be sorted
        places: dict[Any, int] = {}
        codes = np.fromiter((places.setdefault(label, len(places)) for label in labels), int, n)
        count = len(places)
    else:
        unique, codes = np.unique(labels, return_inverse=True)
        codes, count = codes.reshape(-1), len(unique)
    if count < 2:
        raise ValueError("groups must have at least two clusters, got one label in all rows")
    return codes, count


def _missing(labels: np.ndarray) -> np.ndarray:
    """Whether labels are nan, NaT or None."""
    if labels.dtype.kind in "biuSU":
        return np.zeros(labels.shape, bool)
    pandas = sys.modules.get("pandas")
    if labels.dtype == object and pandas is not None:
        return np.asarray(pandas.isna(labels))
    missing = labels != labels  # nan and NaT alone differ from themselves
    if labels.dtype == object:
        missing = np.array([label is None for label in labels]) | missing.astype(bool)
    return missing
