"""Networks from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fastnn import serialization
from fastnn.network._network import Network, rebuild
from fastnn.network._save import DEFECTS, by_name
from fastnn.serialization import File, FormatError, name_of

TABULAR_MODEL = "TabularModel"
"""Class of the file of a model for tables that has several networks."""

_OTHERS = {
    "Ensemble": "an ensemble: fastnn.Ensemble.load",
    TABULAR_MODEL: "a model for tables: fastnn.tabular.load",
}


def load(path: File, custom: Sequence[object] | Mapping[str, object] = ()) -> Network:
    """Read a network that `Network.save` wrote.

    Training continues from there as if it had not been interrupted.  Reading a
    file never runs code from it.

    Parameters
    ----------
    path : str, path-like or binary file object
    custom : sequence of classes, functions and CustomLoss objects, or mapping by name
        The `CustomLayer` classes and the functions of the custom losses of the network: a file
        has their names and options, but no code.

    Returns
    -------
    Network
        A `Sequential` if it was one.

    Raises
    ------
    FormatError
        If the file is no fastnn network, is damaged, or was written by a newer version, or if
        a class or function is missing in `custom`.
    OSError
        If the file cannot be read.
    MemoryError
        If the memory does not suffice for the network.
    """
    classes = by_name(custom)  # before the file, which may be large, is read
    described, values = serialization.load(path)
    return from_file(described, values, path, classes)


def from_file(
    described: Mapping[str, object],
    values: Mapping[str, np.ndarray],
    path: File,
    custom: Mapping[str, object] | None = None,
) -> Network:
    """The network from the contents of the file `path`; `custom` is what `by_name` returned."""
    for kind, hint in _OTHERS.items():
        if described.get("class") == kind:
            raise FormatError(f"{name_of(path)} holds {hint} reads it")
    try:
        return rebuild(described, values, custom)
    except FormatError:
        raise
    except DEFECTS as error:
        raise FormatError(f"{name_of(path)} does not describe a network: {error!r}") from error
