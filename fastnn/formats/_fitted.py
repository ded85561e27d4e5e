"""Fitted models around networks, as formats write them: columns, networks, and what they mean.

The estimators and the models for tables describe themselves in these terms; no format knows their
classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.network import Network


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers.

    t = (x - center) / scale, or 0 for a scale of 0; with `clips`, t / sqrt(1 + (t / 3)^2).  A
    missing number has t = 0.  With `edges` also a position among bins: the index of the bin plus
    the fraction in it, that of `center` for a missing number.  With `indicates` also whether the
    number is missing, 1 or 0.
    """

    name: str
    center: float
    scale: float
    clips: bool
    edges: tuple[float, ...]
    indicates: bool


@dataclass(frozen=True)
class DateColumn:
    """A column of dates: their days since 1970 are encoded as a `NumberColumn` encodes numbers.

    Attributes
    ----------
    cycles : tuple of int
        Numbers of steps of the parts of a date that repeat: 12 months, 7 weekdays, 24 hours.  Each
        gives the sine and the cosine of its turn, or 0 for a missing date, in front of the
        indicator.
    """

    name: str
    center: float
    scale: float
    clips: bool
    edges: tuple[float, ...]
    indicates: bool
    cycles: tuple[int, ...]


@dataclass(frozen=True)
class SignColumn:
    """Truth values, or a category of the two levels `texts`: -1, 1, and 0 for anything else.

    With `indicates` also whether the value is missing, 1 or 0.
    """

    name: str
    texts: tuple[str, ...]
    indicates: bool


@dataclass(frozen=True)
class CategoryColumn:
    """A category: the index of the level in `texts`, K if it is missing, K + 1 if it is another.

    Where it is one-hot, `indicates` says whether K has an input.
    """

    name: str
    texts: tuple[str, ...]
    indicates: bool


Column = NumberColumn | DateColumn | SignColumn | CategoryColumn


@dataclass(frozen=True)
class Bag:
    """Networks whose predictions are averaged; their logits are multiplied by `factor` first."""

    networks: tuple[Network, ...]
    factor: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True)
class Classes:
    """The outputs are logits of classes.

    Attributes
    ----------
    labels : (K,) array
    link : {"softmax", "sigmoid", "labels"}
        One class of several by softmax; the second of two by the sigmoid of one output; or each
        output the logit of a label that a row has or has not.
    """

    labels: np.ndarray
    link: str


@dataclass(frozen=True)
class Number:
    """The outputs are numbers: ``scale * f(output) + centre``, the means limited to a range.

    Attributes
    ----------
    is_rate : bool
        Whether f is exp of at most `top`; otherwise the identity.
    levels : int
        Number of quantiles of each target, columns that are sorted in each row; 0 for none.
    """

    is_rate: bool = False
    centre: float = 0.0
    scale: float = 1.0
    top: float = np.inf
    low: float = -np.inf
    high: float = np.inf
    levels: int = 0


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes
    ----------
    columns : tuple of Column, or None
        How the columns of a table become the inputs "numbers", "positions" and "codes" of the
        networks, in this order of the columns; None for networks that read the rows of X.
    bags : tuple of Bag
        Their predictions are added, each times the weight of its bag.
    meaning : Classes or Number
    names : tuple of str
        Names of all columns of X, in their order.
    is_one_hot : bool
        Whether the networks have one input instead, in the order of the columns, with one number
        for each level of a category.
    predict : callable, optional
        From a table, a mapping of names to cells, to the predictions: (N, K) or (N,).
    """

    columns: tuple[Column, ...] | None
    bags: tuple[Bag, ...]
    meaning: Classes | Number
    names: tuple[str, ...] = ()
    is_one_hot: bool = False
    predict: Callable[[Mapping[str, Any]], np.ndarray] | None = None

    @property
    def n_outputs(self) -> int:
        """Number of outputs of each network."""
        return int(self.bags[0].networks[0].core.graph.outputs[0].width)
