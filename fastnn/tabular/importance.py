"""Importances of columns: how much the loss of held-out rows rises when a column is permuted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fastnn.tabular.encoders import TableEncoder

__all__ = ["permutation_importances", "places_of"]

Inputs = Mapping[str, np.ndarray]
Places = Mapping[str, Sequence[int]]


def places_of(encoder: TableEncoder) -> dict[str, Places]:
    """For each column of a table the columns that it fills in each array of `Encoded`."""
    starts = {"numbers": 0, "positions": 0, "codes": 0}
    result: dict[str, Places] = {}
    for part in encoder.columns:
        sizes = (len(part.names), len(part.bins), int(part.levels > 0))
        places = {}
        for name, size in zip(starts, sizes, strict=True):
            places[name] = range(starts[name], starts[name] + size)
            starts[name] += size
        result[part.name] = places
    return result


def permutation_importances(
    loss: Callable[[Inputs], float],
    inputs: Inputs,
    columns: Sequence[Places],
    repeats: int,
    jobs: int,
) -> np.ndarray:
    """The mean rise of a loss when one column of a table is permuted (Breiman 2001).

    The permutations follow from the positions of the columns: the result does not depend on `jobs`.

    Parameters
    ----------
    loss : callable
        From prepared inputs to the mean loss of their rows.
    inputs : mapping of str to (n, width) array
    columns : sequence of mapping of str to sequence of int
        For each column of the table the columns of the inputs, which are permuted together.
    repeats : int
        Permutations of each column.
    jobs : int
        Number of threads.

    Returns
    -------
    (len(columns),) array
        Negative where the permuted column happened to be better.

    References
    ----------
    Breiman (2001), "Random forests", section 10.
    """
    least = loss(inputs)
    n = len(next(iter(inputs.values())))

    def rise(j: int) -> float:
        draw = np.random.default_rng(j)
        total = 0.0
        for _ in range(repeats):
            order = draw.permutation(n)
            permuted = {name: array.copy() for name, array in inputs.items()}
            for name, places in columns[j].items():
                for k in places:
                    permuted[name][:, k] = inputs[name][order, k]
            total += loss(permuted) - least
        return total / repeats

    with ThreadPoolExecutor(jobs) as pool:
        return np.fromiter(pool.map(rise, range(len(columns))), float, len(columns))
