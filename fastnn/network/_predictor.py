"""A frozen copy of a network, for predictions of low latency."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from types import DynamicClassAttribute
from typing import Any

import numpy as np

from fastnn import backend
from fastnn._shared.fields import entry
from fastnn.backend.choice import use_where_installed
from fastnn.network._named import called, split
from fastnn.network._precision import PrecisionReport
from fastnn.program import Program


class Predictor:
    """A frozen copy of a network, for predictions of low latency.

    Made by `Network.predictor` and called like a function, ``predictor(X)`` or
    ``predictor(X, out)``.  It keeps the parameters that the network had when it was made,
    and cannot be changed.  Dropout is not active.

    X is an (N, n_in) array of the network's dtype, or (n_in,) for a single sample, with any
    strides; for several inputs a list of arrays, or a dict by name.  The result is (N, n_out),
    or (n_out,) for a single sample; for several outputs a list, or a dict if a dict named the
    outputs.  Unless products run in lower precision, it has the same bits as from
    `Network.predict`.  The result is written to `out` if that is given: an array of the same
    dtype, in C order, that shares no memory with X; for several outputs a list or dict of such
    arrays, which share no memory with each other.  Arguments that do not fit raise TypeError or
    ValueError.

    Parameters
    ----------
    program : Program
    storage : array
        The parameters; copied.
    output_names : sequence of str, optional
        Names of the outputs, which are then returned as a dict.
    report : PrecisionReport, optional
        What lower precision changes.

    Attributes
    ----------
    report : PrecisionReport or None
        What lower precision changes, measured when the predictor was made; None in float32 and
        float64.

    Notes
    -----
    A call checks types, shapes and overlaps, but no values: nan and inf are allowed; in a product
    of whole numbers they make the whole row nan.  It
    takes no lock: any number of threads may call one predictor at once.  Each call works in
    memory of its own, which is kept for later calls.  The first call of a thread, and the first
    call with more rows than before, allocate that memory; a later call allocates only its
    result, and with `out` nothing.

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
                 "_storage", "report")  # fmt: skip
    __call__: Callable[..., Any]

    def __init__(
        self,
        program: Program,
        storage: np.ndarray,
        output_names: Sequence[str] | None = None,
        report: PrecisionReport | None = None,
    ) -> None:
        self.report = report
        self._program = dataclasses.replace(program, heads=())
        self._storage = program.allocate()
        self._storage[...] = storage
        self._output_names = None if output_names is None else list(output_names)
        self._input_names = [program.buffers[i].name for i in program.inputs]
        self._backend = backend.name()
        self._frozen = backend.new_frozen(self._program, self._storage)
        is_plain = len(program.inputs) == len(program.outputs) == 1 and output_names is None
        self.__call__ = self._frozen.one if is_plain else self._several

    def _several(self, X: object, out: object = None) -> Any:
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

    def __getstate__(self) -> dict[str, Any]:
        return {
            "backend": self._backend,
            "program": self._program,
            "parameters": self._program.flatten(self._storage),
            "output_names": self._output_names,
            "report": None if self.report is None else self.report.as_dict(),
        }

    def __setstate__(self, state: object) -> None:
        """Make the predictor again, on its backend where that is installed.

        Raises
        ------
        ValueError
            If it is no state of a predictor.
        """
        what = "the state of a predictor"
        program = entry(state, "program", Program, what)
        values = entry(state, "parameters", np.ndarray, what)
        names = entry(state, "output_names", (list, type(None)), what)
        described = state.get("report") if isinstance(state, dict) else None
        report = None if described is None else PrecisionReport.from_dict(described)
        if values.shape != (program.n_parameters,) or values.dtype != program.dtype:
            raise ValueError(
                f"{what}: the parameters must be {program.n_parameters} numbers of "
                f"{program.dtype}, got {values.shape} of {values.dtype}"
            )
        if names is not None and len(names) != len(program.outputs):
            raise ValueError(f"{what}: {len(names)} names for {len(program.outputs)} outputs")
        storage = program.allocate()
        program.unflatten(values, storage)
        with use_where_installed(entry(state, "backend", str, what)):
            Predictor.__init__(self, program, storage, names, report)

    def __repr__(self) -> str:
        widths = [
            ", ".join(str(self._program.buffers[i].width) for i in ends)
            for ends in (self._program.inputs, self._program.outputs)
        ]
        precision = self._program.dtype if self.report is None else self.report.precision
        return f"<Predictor {' -> '.join(widths)}, {precision}>"
