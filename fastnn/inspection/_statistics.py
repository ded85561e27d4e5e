"""Sizes of activations, gradients and updates, layer by layer: why training may fail."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._shared.config import as_json
from fastnn._shared.numbers import check_integer
from fastnn._shared.text import titled
from fastnn.facts import activations
from fastnn.graph import Graph, last_function
from fastnn.inspection._records import ParameterTrace
from fastnn.inspection._trace import Trace
from fastnn.program import ROW_FUNCTIONS
from fastnn.training.callbacks import Callback, Context

if TYPE_CHECKING:
    from fastnn.backend.protocol import Kernels

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
        """Root mean square, which does not grow with the size of the array."""
        return self.norm / math.sqrt(self.size)

    @staticmethod
    def of(array: Array) -> Moments:
        """Moments of all numbers of an array, summed in float64."""
        numbers = array.astype(np.float64)
        return Moments(
            float(numbers.mean()), float(numbers.std()), float(np.linalg.norm(numbers)), array.size
        )


@dataclass(frozen=True)
class CallStatistics:
    """Statistics of one call of a layer.

    Attributes
    ----------
    name : str
        Name of the call.
    function : str or None
        Elementwise activation of the layer.
    n_units : int
        Number of units.
    A, dA : Moments
        Moments of the activations and of the sensitivities.
    saturated : float or None
        Fraction of the pre-activations at which the activation is saturated, as
        `activations.flat_range` defines it; None without an activation.
    dead : int or None
        Number of units whose activation has derivative 0 for every sample: no gradient passes
        through them.  None without an activation.
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
        """Norm of the gradient / norm of the parameter; None if frozen, inf for a zero norm."""
        return None if self.gradient is None else _ratio(self.gradient, self.norm)

    @property
    def update_ratio(self) -> float:
        """Norm of the update / norm of the parameter: about 0.001 in a healthy training."""
        return _ratio(self.update, self.norm)


class LayerStatistics(Mapping[str, CallStatistics]):
    """Statistics of one training step, by calls of layers; prints as two tables.

    `Network.layer_statistics` returns it.  It is a mapping from names of calls to
    `CallStatistics`.

    Parameters
    ----------
    calls : mapping of str to CallStatistics
        Statistics of the inputs and of the calls of layers, in forward order.
    parameters : mapping of str to ParameterStatistics
        Statistics of the parameters by name.
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
        """The statistics as JSON-able data; nan and infinities become text."""
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
    """A callback that records the statistics of the layers during training.

    Parameters
    ----------
    X, y : array_like
        Samples for the statistics, as in `Network.fit`; a few hundred are enough.
    every : int, default 1
        Number of epochs between two records.

    Attributes
    ----------
    epochs : list of int
        Epochs of the records, counted from 1.
    records : list of LayerStatistics
        Statistics at the end of each of these epochs.

    Notes
    -----
    Further calls of `fit` append records.  When the count of epochs restarts, the records are
    deleted.
    """

    def __init__(self, X: object, y: object, every: int = 1) -> None:
        self.X, self.y = X, y
        self.every = check_integer(every, "every", 1)
        self.epochs: list[int] = []
        self.records: list[LayerStatistics] = []

    def on_train_begin(self, context: Context) -> None:
        """Delete the records of another training; raise if the samples do not fit."""
        if self.epochs and self.epochs[-1] > context.history.epochs:
            self.epochs, self.records = [], []
        context.network.layer_statistics(
            self.X, self.y
        )  # raises an error now if the samples do not fit

    def on_epoch_end(self, context: Context) -> None:
        """Record the statistics in every `every`-th epoch."""
        if context.epoch % self.every == 0:
            self.epochs.append(context.epoch)
            self.records.append(context.network.layer_statistics(self.X, self.y))

    def __repr__(self) -> str:
        return f"<LayerMonitor of {len(self.records)} records>"


def layer_statistics(graph: Graph, trace: Trace, kernels: Kernels) -> LayerStatistics:
    """Statistics of each call of a layer and of each parameter in a trace.

    Parameters
    ----------
    graph : Graph
    trace : Trace
        Trace of a step of the graph's network.
    kernels : module
        Kernels of a backend for the dtype of the trace.
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


def _parameter(layer: object) -> float | None:
    """The current parameter of a layer's activation, or None."""
    alpha: float | None = getattr(layer, "beta", getattr(layer, "alpha", None))
    return alpha


def _saturated(function: str, alpha: float | None, z: Array) -> float:
    low, high = activations.flat_range(function, alpha)
    return float(np.mean((z <= low) | (z >= high)))


def _dead(function: str, alpha: float | None, z: Array, kernels: Kernels) -> int:
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
