"""One training step with all its intermediates, read from the buffers of the engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import read_only
from fastnn._shared.config import as_json
from fastnn.backend.finite import FinitenessCheck, GradientError
from fastnn.graph import Graph
from fastnn.inspection import _rendering
from fastnn.inspection._records import Array, CallTrace, HeadTrace, ParameterTrace
from fastnn.layers import Layer, Tensor
from fastnn.optimizers import Optimizer
from fastnn.program import Parameter, Program, ProgramBuilder
from fastnn.solvers import Solver


class Trace(Mapping[str, CallTrace]):
    """Every intermediate of one training step, by the name of the layer; prints as a table.

    `Network.trace` returns a trace.  It is a mapping: a key is the name of an input or of a
    call of a layer, a value is the `CallTrace` with its arrays.  All other results of the step
    are attributes.

    Parameters
    ----------
    calls : mapping of str to CallTrace
        Inputs and calls of layers, by name.
    parameters : mapping of str to ParameterTrace
        Parameters by name, such as ``"dense_1.weight"``.
    heads : mapping of str to HeadTrace
        Losses by the name of their output.
    loss : float
        The cost: the sum of all losses times their weights, plus the L2 penalty.
    step : int
        Number of the optimizer step, counted from 1.
    learning_rate : float or None
        Learning rate of the step.  None for a solver: it takes no single steps, and the
        parameters do not change.
    optimizer : str
        The optimizer as text.
    """

    def __init__(
        self,
        calls: Mapping[str, CallTrace],
        parameters: Mapping[str, ParameterTrace],
        heads: Mapping[str, HeadTrace],
        loss: float,
        step: int,
        learning_rate: float | None,
        optimizer: str,
    ) -> None:
        self._calls = dict(calls)
        self.parameters = dict(parameters)
        self.heads = dict(heads)
        self.loss = loss
        self.step = step
        self.learning_rate = learning_rate
        self.optimizer = optimizer

    def __getitem__(self, name: str) -> CallTrace:
        try:
            return self._calls[name]
        except KeyError:
            names = ", ".join(map(repr, self._calls))
            raise KeyError(f"no call {name!r} in the trace; it has {names}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def losses(self) -> Any:
        """Loss of each sample, (N,) float64; with several losses, a dict by output.

        The loss of the batch is their mean, or their sum if the reduction is a sum.
        """
        by_head = {name: head.losses for name, head in self.heads.items()}
        return by_head if len(by_head) > 1 else next(iter(by_head.values()))

    @property
    def n_samples(self) -> int:
        """Number of samples of the batch."""
        return len(next(iter(self._calls.values())).A)

    @property
    def is_finite(self) -> bool:
        """Whether the loss is finite.  If not, the optimizer makes no update."""
        return math.isfinite(self.loss)

    def to_dict(self) -> dict[str, Any]:
        """The trace as JSON-able data: lists, numbers and text; nan and infinities become text."""
        return as_json(_rendering.as_data(self))

    def to_latex(self) -> str:
        """The step as LaTeX, for documents that load amsmath and amssymb.

        Small matrices are written in full, large ones as their shape and norm.
        """
        return _rendering.as_latex(self)

    def __str__(self) -> str:
        return _rendering.as_text(self)

    def __repr__(self) -> str:
        return f"<Trace of step {self.step}: N = {self.n_samples}, loss {self.loss:.6g}>"


class TracedStep:
    """A training step on copies of a network's parameters and optimizer state.

    Its engine keeps all intermediates and computes the same bits as the network's engine.

    Parameters
    ----------
    graph : Graph
    program : Program
        Program of the graph, with its losses.
    storage, slots
        Parameters and optimizer state; copied.
    optimizer : Optimizer or Solver
        A solver takes no steps: the trace then has gradients, but no update.
    """

    def __init__(
        self,
        graph: Graph,
        program: Program,
        storage: Array,
        slots: Mapping[str, Array],
        optimizer: Optimizer | Solver,
    ) -> None:
        self._graph, self._program = graph, program
        self.refusal: GradientError | None = None
        self._before = storage.copy()
        self.storage = _copy(program, storage)
        self.slots = {name: _copy(program, slot) for name, slot in slots.items()}
        self._engine = backend.new_engine(program, self.storage, keep_all=True)
        if isinstance(optimizer, Optimizer):
            self._engine.set_optimizer(optimizer.kind, optimizer.hyper, list(self.slots.values()))

    def run(
        self, inputs: Sequence[Array], targets: Sequence[Any], step: int, rate: float | None
    ) -> float:
        """Compute the gradients, make the update, and return the cost.

        There is no update if the cost is not finite, or if `rate` is None.  Nor is there one if a
        gradient or the update is not finite; `refusal` then holds the error.
        """
        cost = float(self._engine.loss_and_gradients(inputs, targets, True, step))
        self._gradients = self._engine.gradients.copy()  # before clipping scales them
        self._calls = self._trace_calls(step)
        if rate is not None and math.isfinite(cost):
            try:
                self._check(cost)
                self._engine.update(rate, step)
            except GradientError as error:
                error.loss = cost
                self.refusal = error
        return cost

    def _check(self, cost: float) -> None:
        """Raise GradientError unless the gradients of custom losses and layers are finite."""
        parameters = [p.view(self._gradients) for p in self._program.parameters]
        buffers = self._program.buffers
        FinitenessCheck(self._program).all(
            lambda i: self._gradient(buffers[i].name), lambda i: parameters[i], cost
        )

    @property
    def calls(self) -> dict[str, CallTrace]:
        """The arrays of each input and of each call of a layer."""
        return self._calls

    @property
    def sample_losses(self) -> Array:
        """(heads, N) array: contribution of each sample to the loss of each head."""
        return np.asarray(self._engine.sample_losses())

    @property
    def outputs(self) -> list[Array]:
        """The network's outputs."""
        return [self._value(self._program.buffers[i].name) for i in self._program.outputs]

    def parameters(self) -> dict[str, ParameterTrace]:
        """Each parameter before and after the step, by name."""
        return {
            p.name: ParameterTrace(
                read_only(p.view(self._before)),
                read_only(p.view(self._gradients)) if p.trainable else None,
                read_only(p.view(self.storage)),
            )
            for p in self._program.parameters
        }

    # ---------------------------------------------------------------- internals

    def _value(self, buffer: str) -> Array:
        return read_only(self._engine.value(buffer))

    def _gradient(self, buffer: str) -> Array:
        return read_only(self._engine.gradient(buffer))

    def _trace_calls(self, step: int) -> dict[str, CallTrace]:
        names = self._graph.call_names()  # also prefixes of the names of buffers
        uses = [id(call.layer) for call in self._graph.calls]
        traced = {}
        for tensor in self._graph.inputs:
            name = names[id(tensor)]
            value, gradient = self._value(name), self._gradient(name)
            traced[name] = CallTrace(name, "Input", (), None, value, None, gradient, {})
        for call in self._graph.calls:
            layer, name = call.layer, names[id(call)]
            assert layer is not None
            sources = tuple(names[id(tensor)] for tensor in call.inputs)
            Z, A, dZ, dA = self._arrays(name)
            gradients = {}
            if layer.shapes and self._is_trained(layer):
                if uses.count(id(layer)) == 1:
                    gradients = self._layer_gradients(layer)
                else:
                    gradients = self._replayed(call, [traced[s].A for s in sources], dA, step)
            traced[name] = CallTrace(name, repr(layer), sources, Z, A, dZ, dA, gradients)
        return traced

    def _arrays(self, call: str) -> tuple[Array | None, Array, Array | None, Array]:
        """Z, A, dZ and dA of a call: A is its last buffer, Z the buffer with that name."""
        own = [b.name for b in self._program.buffers if b.name.startswith(f"{call}.")]
        A, dA = self._value(own[-1]), self._gradient(own[-1])
        if f"{call}.Z" not in own:
            return None, A, None, dA
        if own == [f"{call}.Z"]:
            return A, A, dA, dA
        return self._value(f"{call}.Z"), A, self._gradient(f"{call}.Z"), dA

    def _is_trained(self, layer: Layer) -> bool:
        return any(p.trainable for p in self._parameters_of(layer).values())

    def _layer_gradients(self, layer: Layer) -> dict[str, Array]:
        return {
            key: read_only(p.view(self._gradients)) for key, p in self._parameters_of(layer).items()
        }

    def _parameters_of(self, layer: Layer) -> dict[str, Parameter]:
        """The layer's parameters in the program, by their names in the layer."""
        by_name = {p.name: p for p in self._program.parameters}
        return {key: by_name[f"{self._graph.names[id(layer)]}.{key}"] for key in layer.shapes}

    def _replayed(
        self, call: Tensor, values: Sequence[Array], gradient: Array, step: int
    ) -> dict[str, Array]:
        """Contribution of one call to the gradients of a shared layer.

        The engine has only the sum over all calls, so this runs the backward pass of the single
        layer on the values of the engine.
        """
        layer = call.layer
        assert layer is not None
        builder = ProgramBuilder(self._program.dtype, self._program.seed)
        inputs = [builder.input(f"input {i}", x.shape[1]) for i, x in enumerate(values)]
        output = layer.emit(builder, "call", inputs, layer.declare(builder, "layer"))
        program = builder.build([output])
        storage = program.allocate()
        engine = backend.new_engine(program, storage)
        for p, original in zip(
            program.parameters, self._parameters_of(layer).values(), strict=True
        ):
            p.view(storage)[...] = original.view(self._before)
        engine.forward([np.ascontiguousarray(x) for x in values], training=True, step=step)
        engine.backward([np.ascontiguousarray(gradient)], input_gradients=False)
        return {
            key: read_only(p.view(engine.gradients))
            for key, p in zip(layer.shapes, program.parameters, strict=True)
        }


def _copy(program: Program, storage: Array) -> Array:
    """A copy of a storage array with the alignment that engines need."""
    copy = program.allocate()
    copy[...] = storage
    return copy
