"""Networks: what users build, train, evaluate and save."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import DTypeLike

from fastnn import serialization
from fastnn.graph import trace
from fastnn.layers import Input, Tensor
from fastnn.network import _save as _saved
from fastnn.network._watched import WatchedGraph


class Network(WatchedGraph):
    """A network of layers between inputs and outputs.

    Parameters
    ----------
    inputs : Input or sequence of Input
    outputs : Tensor, sequence of Tensor, or dict from names to Tensor
        What `predict` returns.  Unless named by a dict, an output has the name of
        its layer.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and computations.
    seed : int, default 0
        Of initial values, shuffling and dropout.  The same seed on the same
        backend gives the same bits, whatever the number of threads.
    name : str, optional

    Attributes
    ----------
    metadata : dict
        What the caller wants files, copies and pickles to keep: text, numbers, None, and
        lists and dicts of these.  Empty at first; fastnn never reads it.

    Raises
    ------
    ValueError
        If an input is unused, an output does not depend on the inputs alone, two
        inputs or layers have one name, or a layer belongs to a network already.

    Notes
    -----
    A network keeps the backend it was built with.  Calls from several threads
    are carried out one after another; during `fit`, other threads wait until
    it has ended.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.Input(4)
    >>> h = fnn.Dense(4, 8, activation="tanh")(x)
    >>> y = fnn.Add()([fnn.Dense(8, 2)(h), fnn.Dense(4, 2)(x)])  # a shortcut
    >>> net = fnn.Network(x, y)
    >>> net.predict([[1.0, 2.0, 3.0, 4.0]]).shape
    (1, 2)
    """

    def __init__(
        self,
        inputs: Input | Sequence[Input],
        outputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
        *,
        dtype: DTypeLike = "float32",
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        output_names = None
        if isinstance(outputs, Mapping):
            output_names = list(outputs)
            outputs = list(outputs.values())
        traced = trace(_as_list(inputs), _as_list(outputs))
        self._assemble(traced, output_names, dtype, seed, name)

    # ------------------------------------------------------- save and load

    def save(self, path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None) -> None:
        """Write the network to a file that `load` reads: safetensors with a JSON structure.

        Parameters, graph, loss and optimizer with its state, counters and history
        are stored, so that training goes on exactly where it stopped.

        Parameters
        ----------
        path : str or path-like
        metadata : dict, optional
            Written in place of the network's own `metadata`, which `load` gives back.

        Raises
        ------
        TypeError, ValueError
            If the learning rate is a function, or the metadata have something else that no
            file can hold; nothing is written.
        OSError
            If the file cannot be written: FileNotFoundError if its folder is not there.
        """
        with self._lock:
            structure = _saved.structure(self)
            if metadata is not None:
                structure["metadata"] = metadata
            serialization.check_mapping(structure["metadata"], "metadata")
            serialization.save(path, structure, _saved.arrays(self))

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            parts = _saved.structure(self, as_data=False), _saved.arrays(self)
        return _saved.rebuild_on, (self._backend, *parts)


def _as_list(ends: Any) -> list[Any]:
    """Inputs or outputs as a list; what they are is checked later."""
    return list(ends) if isinstance(ends, (list, tuple)) else [ends]
