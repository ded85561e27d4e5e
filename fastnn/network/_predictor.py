"""A frozen network that does nothing but predict."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from types import DynamicClassAttribute
from typing import Any

import numpy as np

from fastnn import backend
from fastnn.network._named import called, split
from fastnn.program import Program


class Predictor:
    """A frozen copy of a network, for predictions of low latency.

    Made by `Network.predictor` and called like a function, ``predictor(X)`` or
    ``predictor(X, out)``.  It keeps the parameters the network has when it is made,
    whatever becomes of the network, and cannot be changed.  Dropout is not active.

    X is an (N, n_in) array of the network's dtype, or (n_in,) for a single sample, with any
    strides; for several inputs a list of these, or a dict by name.  The result is (N, n_out),
    or (n_out,) for a single sample, the same bits as from `Network.predict`; for several
    outputs a list, or a dict if the outputs were named by one.  It is written to `out` where
    that is given: of the same dtype, in C order, sharing no memory with X; for several
    outputs a list or dict, of arrays that share none either.  What does not fit raises TypeError
    or ValueError.

    Parameters
    ----------
    program : Program
    storage : array
        The parameters; copied.
    output_names : sequence of str, optional
        Where given, outputs are returned as a dict by these names.

    Notes
    -----
    A call checks types, shapes and overlaps and nothing else: nan and inf pass through.  It
    takes no lock: any number of threads may call one predictor at once, each call works in
    memory of its own, which is kept for the next one.  The first call of a thread and the first
    with more rows than before allocate that memory; afterwards a call allocates its result
    alone, and with `out` nothing.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> net = fnn.Sequential([fnn.Dense(4, 8, activation="tanh"), fnn.Dense(8, 2)])
    >>> predict = net.predictor()
    >>> predict(np.zeros(4, np.float32)).shape
    (2,)
    """

    # The call is an attribute, not a method: it goes to the compiled function with no Python
    # in between, which would take a quarter of the time of a small prediction.
    __slots__ = ("__call__", "_backend", "_frozen", "_input_names", "_output_names", "_program",
                 "_storage")  # fmt: skip
    __call__: Callable[..., Any]

    def __init__(
        self, program: Program, storage: np.ndarray, output_names: Sequence[str] | None = None
    ) -> None:
        self._program = dataclasses.replace(program, heads=())
        self._storage = program.allocate()
        self._storage[...] = storage
        self._output_names = None if output_names is None else list(output_names)
        self._input_names = [program.buffers[i].name for i in program.inputs]
        self._backend = backend.name()
        self._frozen = backend.new_frozen(self._program, self._storage)
        is_plain = len(program.inputs) == len(program.outputs) == 1 and output_names is None
        self.__call__ = self._frozen.one if is_plain else self._several

    def _several(self, X: Any, out: Any = None) -> Any:
        """Calls with several inputs or outputs, or with names."""
        names = self._input_names
        inputs = split(X, names, "X")
        if out is not None:
            positions = [str(i) for i in range(len(self._program.outputs))]
            out = split(out, self._output_names or positions, "out")
        outputs = self._frozen.several(inputs, out, [called("X", name, names) for name in names])
        if self._output_names is not None:
            return dict(zip(self._output_names, outputs, strict=True))
        return outputs[0] if len(outputs) == 1 else outputs

    @DynamicClassAttribute  # of objects alone: the class has the signature of its constructor
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._several)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._backend, self._program, self._storage, self._output_names)

    def __repr__(self) -> str:
        widths = [
            ", ".join(str(self._program.buffers[i].width) for i in ends)
            for ends in (self._program.inputs, self._program.outputs)
        ]
        return f"<Predictor {' -> '.join(widths)}, {self._program.dtype}>"


def _rebuild(
    backend_name: str, program: Program, storage: np.ndarray, output_names: list[str] | None
) -> Predictor:
    """Make a pickled predictor again, on its backend where that is installed."""
    if backend_name not in backend.available():
        return Predictor(program, storage, output_names)
    with backend.use(backend_name):
        return Predictor(program, storage, output_names)
