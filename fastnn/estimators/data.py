"""Rows, weights and held-out rows, as a network reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import validate_data

from fastnn._shared.arrays import as_weights

SPARSE_FORMAT = "csr"
"""Sparse X stays sparse; scikit-learn converts other formats to this one."""


@dataclass(frozen=True)
class Rows:
    """Checked samples: X, the targets of a network, and the weights of the samples.

    Attributes
    ----------
    X : (N, n) array or CSR matrix
    targets : (N,) or (N, K) array
    weights : (N,) float64 array or None
    """

    X: Any
    targets: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: np.ndarray) -> Rows:
        """Some of the rows, as copies."""
        weights = None if self.weights is None else self.weights[index]
        return Rows(self.X[index], self.targets[index], weights)

    def weighed(self, factor: np.ndarray | None) -> Rows:
        """The rows with their weights times a factor (N,)."""
        if factor is None:
            return self
        return replace(self, weights=factor if self.weights is None else self.weights * factor)

    @property
    def total(self) -> float:
        """The sum of the weights, N without weights."""
        return float(len(self)) if self.weights is None else float(self.weights.sum())

    @property
    def counts(self) -> np.ndarray:
        """The weights (N,), ones without weights."""
        return np.ones(len(self)) if self.weights is None else self.weights


def read_inputs(estimator: Any, X: Any, dtype: Any) -> Any:
    """X of a prediction as scikit-learn checks it: an array or a CSR matrix."""
    return validate_data(
        estimator, X, dtype=dtype, order="C", accept_sparse=SPARSE_FORMAT, reset=False
    )


def read_samples(
    estimator: Any, X: Any, y: Any, dtype: Any, reset: bool = False, y_numeric: bool = False
) -> tuple[Any, Any]:
    """X and y as scikit-learn checks them; X is an array or a CSR matrix."""
    checked: tuple[Any, Any] = validate_data(
        estimator, X, y, dtype=dtype, order="C", accept_sparse=SPARSE_FORMAT, reset=reset,
        multi_output=True, y_numeric=y_numeric,
    )  # fmt: skip
    return checked


def read_weights(
    sample_weight: Any, n: int, name: str = "sample_weight", use: str = ""
) -> np.ndarray | None:
    """Weights of n samples, in float64.

    Raises
    ------
    TypeError, ValueError
        If they are not n numbers >= 0, or all of them are 0.
    """
    if sample_weight is None:
        return None
    weights = as_weights(sample_weight, name, (n,))
    if not weights.any():
        raise ValueError(f"{name} is zero for every sample{use}, expected a positive weight")
    return weights


def hold_out(
    rows: Rows, share: float, random_state: np.random.RandomState, strata: Any
) -> tuple[Rows, Rows]:
    """The rows to train on, and a share of them to validate on, as scikit-learn draws them.

    Parameters
    ----------
    rows : Rows
    share : float
    random_state : RandomState
    strata : (N,) array or None
        Groups that have the same share of both parts.

    Raises
    ------
    ValueError
        If a part is too small, or the weights of a part are all zero.
    """
    kept, held = train_test_split(
        np.arange(len(rows)), random_state=random_state, test_size=share, stratify=strata
    )
    if len(held) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    parts = rows.take(kept), rows.take(held)
    for part, use in zip(parts, ("train", "validate"), strict=True):
        if part.weights is not None and not part.weights.any():
            raise ValueError(
                f"validation_fraction leaves nothing to {use} on: sample_weight is zero for every "
                "one of these rows"
            )
    return parts


class Shuffling:
    """The orders of the rows in successive epochs, each drawn from the one before it.

    Parameters
    ----------
    n : int
        Number of rows.
    random_state : RandomState
        Draws what ``sklearn.utils.shuffle`` draws.
    """

    def __init__(self, n: int, random_state: np.random.RandomState) -> None:
        self._order = np.arange(n)
        self._random_state = random_state

    def __call__(self, epoch: int) -> np.ndarray:
        """The order of the next epoch."""
        places = np.arange(len(self._order))
        self._random_state.shuffle(places)
        self._order = self._order[places]
        return self._order


def batch_rows(batch_size: Any, n: int) -> tuple[int, bool]:
    """The number of rows of a batch, and whether `batch_size` was larger than n."""
    if isinstance(batch_size, str):
        return min(200, n), False
    return min(int(batch_size), n), batch_size > n


def validation_of(X: Any, y: Any, sample_weight: Any) -> Sequence[Any] | None:
    """The caller's own validation data as (X, y, weights), None where there are none.

    Raises
    ------
    ValueError
        If only a part of them was passed.
    """
    if X is None and y is None and sample_weight is None:
        return None
    if X is None or y is None:
        raise ValueError("X_val and y_val must be passed together")
    return X, y, sample_weight
