"""How large activations, gradients and updates are, layer by layer: what training suffers from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.arrays import as_json
from fastnn._shared.numbers import check_integer
from fastnn._shared.text import titled
from fastnn.facts import activations
from fastnn.graph import Graph, last_function
from fastnn.inspection._trace import ParameterTrace, Trace
from fastnn.program import ROW_FUNCTIONS
from fastnn.training.callbacks import Callback, Context

Array = np.ndarray

_CALL_TITLES: Sequence[str] = (
    "call", "activation", "units", "mean A", "std A", "rms dA", "saturated", "dead",
)  # fmt: skip
_PARAMETER_TITLES: Sequence[str] = (
    "parameter", "norm", "gradient", "update", "gradient/norm", "update/norm",
)  # fmt: skip


@dataclass(frozen=True)
class Moments:
    """Mean, standard deviation and Euclidean norm of the numbers of an array."""

    mean: float
    std: float
    norm: float
    size: int

    @property
    def rms(self) -> float:
        """Root mean square: a norm that does not grow with the number of numbers."""
        return self.norm / math.sqrt(self.size)

    @staticmethod
    def of(array: Array) -> Moments:
        """Of all numbers of an array, summed in float64."""
        numbers = array.astype(np.float64)
        return Moments(
            float(numbers.mean()), float(numbers.std()), float(np.linalg.norm(numbers)), array.size
        )


@dataclass(frozen=True)
class CallStatistics:
    """Of one call of a layer.

    Attributes
    ----------
    name : str
    function : str or None
        Its elementwise activation.
    n_units : int
    A, dA : Moments
        Of the activations, and of the sensitivities.
    saturated : float or None
        Share of the pre-activations at which the activation is saturated, as
        `activations.flat_range` says; None without an activation.
    dead : int or None
        Units whose activation has derivative 0 for every sample: they pass no gradient.
    """

    name: str
    function: str | None
    n_units: int
    A: Moments
    dA: Moments
    saturated: float | None
    dead: int | None


@dataclass(frozen=True)
class ParameterStatistics:
    """Euclidean norms of one parameter, its gradient and its update; see `ParameterTrace`.

    Attributes
    ----------
    name : str
    norm, update : float
    gradient : float or None
        None for a frozen parameter.
    """

    name: str
    norm: float
    gradient: float | None
    update: float

    @property
    def gradient_ratio(self) -> float | None:
        """Gradient to parameter; None for a frozen one, infinite for one that is 0."""
        return None if self.gradient is None else _ratio(self.gradient, self.norm)

    @property
    def update_ratio(self) -> float:
        """Update to parameter: about 0.001 where training goes well, 0 where it stands."""
        return _ratio(self.update, self.norm)


class LayerStatistics(Mapping[str, CallStatistics]):
    """Statistics of one training step, by calls of layers; prints as two tables.

    `Network.layer_statistics` makes it.  It is a mapping from the names of calls.

    Parameters
    ----------
    calls : mapping of str to CallStatistics
        From the inputs on.
    parameters : mapping of str to ParameterStatistics
    loss : float
        The cost.
    """

    def __init__(
        self,
        calls: Mapping[str, CallStatistics],
        parameters: Mapping[str, ParameterStatistics],
        loss: float,
    ) -> None:
        self._calls = dict(calls)
        self.parameters = dict(parameters)
        self.loss = loss

    def __getitem__(self, name: str) -> CallStatistics:
        try:
            return self._calls[name]
        except KeyError:
            names = ", ".join(map(repr, self._calls))
            raise KeyError(f"no call {name!r} in the statistics; they have {names}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers and text, fit for JSON: nan and infinities are text."""
        return as_json({
            "loss": self.loss,
            "calls": {name: dataclasses.asdict(call) for name, call in self.items()},
            "parameters": {
                name: dataclasses.asdict(parameter) for name, parameter in self.parameters.items()
            },
        })  # fmt: skip

    def __str__(self) -> str:
        rows = [_CALL_TITLES, *map(_call_row, self.values())]
        lines = [f"loss {self.loss:.6g}", "", *titled(rows, right=range(2, 8))]
        if self.parameters:
            rows = [_PARAMETER_TITLES, *map(_parameter_row, self.parameters.values())]
            lines += ["", *titled(rows, right=range(1, 6))]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<LayerStatistics of {len(self)} calls, loss {self.loss:.6g}>"


class LayerMonitor(Callback):
    """A callback that records the statistics of the layers as a network learns.

    Parameters
    ----------
    X, y : array_like
        Samples to look at, as in `Network.fit`; some hundred will do.
    every : int, default 1
        Epochs from one record to the next.

    Attributes
    ----------
    epochs : list of int
        Epochs at whose ends it was recorded, counted from 1.
    records : list of LayerStatistics

    Notes
    -----
    Records go on over several calls of `fit`; they start again when epochs do.
    """

    def __init__(self, X: Any, y: Any, every: int = 1) -> None:
        self.X, self.y = X, y
        self.every = check_integer(every, "every", 1)
        self.epochs: list[int] = []
        self.records: list[LayerStatistics] = []

    def on_train_begin(self, context: Context) -> None:
        """Forget the records of another training; refuse samples that do not fit."""
        if self.epochs and self.epochs[-1] > context.history.epochs:
            self.epochs, self.records = [], []
        context.network.layer_statistics(self.X, self.y)  # raises now if the samples do not fit

    def on_epoch_end(self, context: Context) -> None:
        """Record, where it is time to."""
        if context.epoch % self.every == 0:
            self.epochs.append(context.epoch)
            self.records.append(context.network.layer_statistics(self.X, self.y))

    def __repr__(self) -> str:
        return f"<LayerMonitor of {len(self.records)} records>"


def layer_statistics(graph: Graph, trace: Trace, kernels: Any) -> LayerStatistics:
    """What a trace says about each call of a layer and each parameter.

    Parameters
    ----------
    graph : Graph
    trace : Trace
        Of a step of its network.
    kernels : module
        Of a backend, for the trace's dtype.
    """
    names = graph.call_names()
    calls = {}
    for tensor in (*graph.inputs, *graph.calls):
        call = trace[names[id(tensor)]]
        function = last_function(tensor.layer)
        if function in ROW_FUNCTIONS:
            function = None
        saturated, dead = None, None
        if function is not None:
            z = trace[call.inputs[0]].A if call.Z is None else call.Z
            alpha = _parameter(tensor.layer)
            saturated = _saturated(function, alpha, z)
            dead = _dead(function, alpha, z, kernels)
        A, dA = Moments.of(call.A), Moments.of(call.dA)
        calls[call.name] = CallStatistics(
            call.name, function, call.A.shape[1], A, dA, saturated, dead
        )
    parameters = {name: _norms(name, p) for name, p in trace.parameters.items()}
    return LayerStatistics(calls, parameters, trace.loss)


def _parameter(layer: Any) -> float | None:
    """The parameter of a layer's activation, as it is now where it is trained."""
    alpha: float | None = getattr(layer, "beta", getattr(layer, "alpha", None))
    return alpha


def _saturated(function: str, alpha: float | None, z: Array) -> float:
    low, high = activations.flat_range(function, alpha)
    return float(np.mean((z <= low) | (z >= high)))


def _dead(function: str, alpha: float | None, z: Array, kernels: Any) -> int:
    slopes = np.empty(z.shape, z.dtype)
    factor = 1.0 if alpha is None else alpha
    kernels.activation_derivative(function, np.ravel(z), factor, slopes.reshape(-1))
    return int((slopes == 0).all(axis=0).sum())


def _norms(name: str, parameter: ParameterTrace) -> ParameterStatistics:
    gradient = None if parameter.gradient is None else Moments.of(parameter.gradient).norm
    norm, update = Moments.of(parameter.before).norm, Moments.of(parameter.update).norm
    return ParameterStatistics(name, norm, gradient, update)


def _ratio(part: float, whole: float) -> float:
    if whole:
        return part / whole
    return math.inf if part else 0.0


def _call_row(call: CallStatistics) -> Sequence[str]:
    share = "" if call.saturated is None else f"{call.saturated:.1%}"
    dead = "" if call.dead is None else str(call.dead)
    moments = (f"{x:.3g}" for x in (call.A.mean, call.A.std, call.dA.rms))
    return call.name, call.function or "", str(call.n_units), *moments, share, dead


def _parameter_row(parameter: ParameterStatistics) -> Sequence[str]:
    numbers = (parameter.norm, parameter.gradient, parameter.update,
               parameter.gradient_ratio, parameter.update_ratio)  # fmt: skip
    return parameter.name, *("frozen" if x is None else f"{x:.3g}" for x in numbers)
