"""A copy of a program in float64, for its cost with single parameters displaced."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import backend
from fastnn.facts import activations, operations
from fastnn.facts.losses import LOSSES
from fastnn.inspection._differences import Displacement, Point
from fastnn.program import Head, Operation, Program

if TYPE_CHECKING:
    from fastnn.backend.protocol import Engine

Array = np.ndarray


class Shadow:
    """A copy of a program and its parameters in float64.

    Parameters
    ----------
    program : Program
        Program with its losses.
    storage : (program.storage_size,) array
        Parameters of the program.
    step : int or None
        Number of the optimizer step that defines the dropout masks; None without dropout.
    """

    def __init__(self, program: Program, storage: Array, step: int | None) -> None:
        self.program = dataclasses.replace(program, dtype=np.dtype(np.float64), precision="float32")
        self._storage = self.program.allocate()
        self.program.unflatten(program.flatten(storage).astype(np.float64), self._storage)
        self.engine = backend.new_engine(self.program, self._storage)
        self._step = step
        self._pieces = list(_pieces(self.program))

    def set_data(self, inputs: Sequence[Array], targets: Sequence[Any]) -> None:
        """Set the inputs and targets of the cost."""
        self._inputs, self._targets = inputs, targets

    @property
    def parameters(self) -> dict[str, Array]:
        """Live views of the trainable parameters by name."""
        return {p.name: p.view(self._storage) for p in self.program.parameters if p.trainable}

    def gradients(self) -> dict[str, Array]:
        """Gradients of the trainable parameters by name, in new arrays."""
        self._cost_and_gradients()
        gradients = self.engine.gradients.copy()
        return {p.name: p.view(gradients) for p in self.program.parameters if p.trainable}

    def displacement(self) -> Displacement:
        """The cost as a function of the parameters, at their current values."""
        return Displacement(self.moved, self.point(), [name for name, _ in self._pieces])

    def point(self) -> Point:
        """The cost, and the branch of every unit in its computation."""
        if not self._pieces and self._step is None:
            return Point(self.engine.evaluate(self._inputs, self._targets)[0])
        cost = self._cost_and_gradients()
        return Point(cost, [read(self.engine, self._targets) for _, read in self._pieces])

    def moved(self, name: str, index: tuple[int, ...], step: float) -> Point:
        """`point` with one element of a parameter displaced by `step`."""
        view = self.parameters[name]
        original = view[index]
        view[index] = original + step
        try:
            return self.point()
        finally:
            view[index] = original

    def in_dtype(self, program: Program, storage: Array) -> dict[str, Array]:
        """Gradients of another program of the same graph on the same data, by name."""
        engine = backend.new_engine(program, storage)
        inputs = [np.ascontiguousarray(x, program.dtype) for x in self._inputs]
        targets = [
            (target, None if weights is None else weights.astype(program.dtype))
            for target, weights in self._targets
        ]
        engine.loss_and_gradients(inputs, targets, self._step is not None, self._step or 0)
        return {p.name: p.view(engine.gradients) for p in program.parameters if p.trainable}

    def _cost_and_gradients(self) -> float:
        is_training = self._step is not None
        return float(
            self.engine.loss_and_gradients(
                self._inputs, self._targets, is_training, self._step or 0
            )
        )


Reader = Callable[[Any, Sequence[Any]], bytes]
"""Function from an engine and targets to the branch of each unit."""


def _pieces(program: Program) -> Iterator[tuple[str, Reader]]:
    """Name and reader of each piecewise operation and loss of a program."""
    names = [buffer.name for buffer in program.buffers]
    for operation in program.operations:
        name = names[operation.output].rpartition(".")[0]
        inputs = [names[i] for i in operation.inputs]
        if operations.get(operation.kind).has_corner_at_equal_inputs:
            yield name, _difference_sides(*inputs)
        for corner in _corners(operation):
            yield name, _sides(inputs[0], corner)
    for position, head in enumerate(program.heads):
        corners = _loss_corners(head)
        if corners:
            yield f"the loss {head.loss}", _residual_sides(names[head.output], position, corners)


def _corners(operation: Operation) -> Sequence[float]:
    if operation.kind != "activation":
        return ()
    attributes = operation.attributes
    return activations.corners(attributes["function"], attributes.get("alpha"))


def _loss_corners(head: Head) -> Sequence[float]:
    """Residuals at which the formula of a loss changes."""
    row = LOSSES.get(head.loss)
    return () if row is None else row.corners(head.parameter)


def _sides(z: str, corner: float) -> Reader:
    """The side of a corner on which each unit is, or the corner itself."""
    return lambda engine, targets: _signs(engine.value(z) - corner)


def _difference_sides(a: str, b: str) -> Reader:
    return lambda engine, targets: _signs(engine.value(a) - engine.value(b))


def _signs(values: Array) -> bytes:
    with np.errstate(invalid="ignore"):  # nan is on no side; its cost is not used
        return np.sign(values).astype(np.int8).tobytes()


def _residual_sides(output: str, position: int, corners: Sequence[float]) -> Reader:
    def read(engine: Engine, targets: Sequence[Any]) -> bytes:
        prediction = engine.value(output)
        target = np.asarray(targets[position][0], np.float64).reshape(prediction.shape)
        return b"".join(_signs(prediction - target - corner) for corner in corners)

    return read
