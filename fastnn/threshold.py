"""Networks of threshold units with constant weights, which test properties of a list of numbers.

For lists of length n, layer 1, ``pairs``, has n (n - 1) / 2 units: one for each pair of numbers.
The weights of a unit are +1 and -1 for the two numbers, so that its pre-activation is their
difference.  Its output is 1 if the pair violates the property.  Layer 2, ``verdict``, has one unit,
whose output is 1 if all outputs of layer 1 are 0.

>>> from fastnn import threshold
>>> net = threshold.all_distinct(4)
>>> net.predict([[3.0, 1.0, 2.0, 5.0], [3.0, 1.0, 2.0, 3.0]])
array([[1.],
       [0.]])

The weights are integers and the outputs are exact: the rounded difference of two floating-point
numbers is zero only if the numbers are equal, and this includes subnormal numbers.  Numbers are
converted to the network's dtype before the comparison.  The default is float64, in which integers
beyond 2**53 are rounded.

All layers are frozen.  No gradient passes through them, because the derivative of a step is 0
wherever it exists.  `compile` warns if there are trainable layers below a step.

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
    """A network that tests whether the n numbers of a list are all different.

    Parameters
    ----------
    n : int
        Length of the lists, at least 1.
    dtype : {"float64", "float32"}, default "float64"
        Precision of the comparison.

    Returns
    -------
    Sequential
        Its output (N, 1) is 1 for a list of distinct numbers, otherwise 0.  The output of a unit
        of layer ``pairs`` is 1 if its two numbers are equal (`ZeroIndicator`).

    Raises
    ------
    TypeError, ValueError
        If n is not a positive integer.
    """
    return _tester(n, "zero_indicator", dtype, "all_distinct")


def strictly_ascending(n: int, dtype: DTypeLike = "float64") -> Sequential:
    """A network that tests whether the n numbers of a list are in strictly ascending order.

    Parameters
    ----------
    n, dtype
        As in `all_distinct`.

    Returns
    -------
    Sequential
        Its output (N, 1) is 1 for a strictly ascending list, otherwise 0.  The output of a unit
        of layer ``pairs`` is 1 if the first number of its pair is greater than or equal to the
        second one (`BinaryStep`).

    Raises
    ------
    TypeError, ValueError
        If n is not a positive integer.
    """
    return _tester(n, "binary_step", dtype, "strictly_ascending")


def pair_weights(n: int) -> np.ndarray:
    """The weights of layer ``pairs``: +1 for the first and -1 for the second number of a pair.

    Parameters
    ----------
    n : int
        Length of the lists, at least 2.

    Returns
    -------
    (n, n (n - 1) / 2) float64 array
        A column for each pair, in the order of `itertools.combinations`.

    Raises
    ------
    TypeError, ValueError
        If n is not an integer of at least 2.
    """
    first, second = np.array(list(combinations(range(check_integer(n, "n", 2)), 2))).T
    units = np.arange(len(first))
    weight = np.zeros((n, len(first)))
    weight[first, units] = 1
    weight[second, units] = -1
    return weight


def _tester(n: int, violation: str, dtype: DTypeLike, name: str) -> Sequential:
    """A network whose layer 1 applies the activation `violation`, and layer 2 counts its ones."""
    layers = []
    width = n = check_integer(n, "n", 1)
    if n > 1:
        weight = pair_weights(n)
        width = weight.shape[1]
        pairs = Dense(n, width, violation, weight=weight, trainable=False, name="pairs")
        layers.append(pairs)
    # A list of one number has no pairs: weight 0 ignores the number.
    weight = np.full((width, 1), -1.0 if n > 1 else 0.0)
    layers.append(Dense(width, 1, "binary_step", weight=weight, trainable=False, name="verdict"))
    return Sequential(layers, dtype=dtype, name=name)
