"""Networks of threshold units whose weights are set by hand: they decide, they do not learn.

Layer 1, ``pairs``, has one unit for each pair of numbers of a list of length n, n (n - 1) / 2
of them, with the weights +1 and -1 on the pair: its pre-activation is their difference.  Layer
2, ``verdict``, has one unit, which is 1 where no unit of layer 1 objects.

>>> from fastnn import threshold
>>> net = threshold.all_distinct(4)
>>> net.predict([[3.0, 1.0, 2.0, 5.0], [3.0, 1.0, 2.0, 3.0]])
array([[1.],
       [0.]])

The weights are whole numbers and the answers exact: the difference of two floating-point
numbers rounds to zero only if they are equal, subnormal numbers included.  Numbers are compared
as the network's dtype holds them, so float64 is the default; integers beyond 2**53 round.

All layers are frozen.  Nothing could be learned through them: the derivative of a step is 0
wherever it has one, and `compile` warns where layers that are to learn lie below one.

References
----------
McCulloch & Pitts (1943), "A logical calculus of the ideas immanent in nervous activity",
Bulletin of Mathematical Biophysics 5.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import DTypeLike

from fastnn._shared.numbers import check_integer
from fastnn.layers import Dense
from fastnn.network import Sequential

__all__ = ["all_distinct", "pair_weights", "strictly_ascending"]


def all_distinct(n: int, dtype: DTypeLike = "float64") -> Sequential:
    """A network that says whether the n numbers of a list all differ.

    Parameters
    ----------
    n : int
        Length of the lists, 1 or more.
    dtype : {"float64", "float32"}, default "float64"
        In which numbers are compared.

    Returns
    -------
    Sequential
        Its output (N, 1) is 1 for a list of distinct numbers, else 0.  A unit of layer
        ``pairs`` is 1 where its two numbers are equal (`ZeroIndicator`).

    Raises
    ------
    TypeError, ValueError
        If n is no positive integer.
    """
    return _decider(n, "zero_indicator", dtype, "all_distinct")


def strictly_ascending(n: int, dtype: DTypeLike = "float64") -> Sequential:
    """A network that says whether each of the n numbers of a list exceeds those before it.

    Parameters
    ----------
    n, dtype
        As in `all_distinct`.

    Returns
    -------
    Sequential
        Its output (N, 1) is 1 for a strictly ascending list, else 0.  A unit of layer
        ``pairs`` is 1 where the earlier number is not below the later one (`BinaryStep`).

    Raises
    ------
    TypeError, ValueError
        If n is no positive integer.
    """
    return _decider(n, "binary_step", dtype, "strictly_ascending")


def pair_weights(n: int) -> np.ndarray:
    """The weights of layer ``pairs``: +1 on the earlier and -1 on the later of two numbers.

    Parameters
    ----------
    n : int
        Length of the lists, 2 or more.

    Returns
    -------
    (n, n (n - 1) / 2) float64 array
        A column for each pair, in the order of `itertools.combinations`.
    """
    first, second = np.array(list(combinations(range(check_integer(n, "n", 2)), 2))).T
    units = np.arange(len(first))
    weight = np.zeros((n, len(first)))
    weight[first, units] = 1
    weight[second, units] = -1
    return weight


def _decider(n: int, objection: str, dtype: DTypeLike, name: str) -> Sequential:
    """Layer 1 objects to pairs, layer 2 is 1 where the number of objections is 0."""
    layers = []
    width = n = check_integer(n, "n", 1)
    if n > 1:
        weight = pair_weights(n)
        width = weight.shape[1]
        pairs = Dense(n, width, objection, weight=weight, trainable=False, name="pairs")
        layers.append(pairs)
    # Without pairs the verdict reads nothing of its one input.
    weight = np.full((width, 1), -1.0 if n > 1 else 0.0)
    layers.append(Dense(width, 1, "binary_step", weight=weight, trainable=False, name="verdict"))
    return Sequential(layers, dtype=dtype, name=name)
