"""The affine layers behind an output, by whose parameters it can be scaled and shifted exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastnn.program import Operation, Parameter, Program

_HOMOGENEOUS = ("identity", "relu", "leaky_relu")
"""Activations for which f(s z) = s f(z), s > 0."""


@dataclass(frozen=True)
class Affine:
    """An affine layer, and the columns of the output that it contributes to.

    Attributes
    ----------
    weight, bias : Parameter, and Parameter or None
    columns : slice
    """

    weight: Parameter
    bias: Parameter | None
    columns: slice


@dataclass(frozen=True)
class AffinePart:
    """Layers whose joint factor is a factor of an output.

    Attributes
    ----------
    layers : tuple of Affine
    shifts : tuple of Affine, or None
        Those whose trainable biases add a number to each column; None where no set does.
    """

    layers: tuple[Affine, ...]
    shifts: tuple[Affine, ...] | None

    def scale(self, storage: np.ndarray, factors: np.ndarray) -> None:
        """Multiply all trainable parameters in place by the factors (K,) of their columns."""
        for parameter, columns in self._parameters():
            if parameter.trainable:
                parameter.view(storage)[...] *= factors[columns]

    def shift(self, storage: np.ndarray, numbers: np.ndarray) -> None:
        """Add numbers (K,) to the columns, in place."""
        for layer in self.shifts or ():
            assert layer.bias is not None
            layer.bias.view(storage)[...] += numbers[layer.columns]

    def fill(self, storage: np.ndarray, number: float) -> None:
        """Set an array like the storage to a number, where the layers have parameters."""
        for parameter, _ in self._parameters():
            parameter.view(storage)[...] = number

    def _parameters(self) -> Iterator[tuple[Parameter, slice]]:
        for layer in self.layers:
            yield layer.weight, layer.columns
            if layer.bias is not None:
                yield layer.bias, layer.columns


def affine_part(program: Program, output: int) -> AffinePart | None:
    """The layers that an output is a sum, mean, difference or row of; None if it is no such thing.

    Their weights are trainable, and no other part of the program uses them or their results.

    Parameters
    ----------
    program : Program
    output : int
        Its position among the outputs.
    """
    buffer = program.outputs[output]
    if program.outputs.count(buffer) > 1:
        return None
    return _part(program, buffer, slice(0, program.buffers[buffer].width), None)


def _part(
    program: Program, buffer: int, columns: slice, user: Operation | None
) -> AffinePart | None:
    """`affine_part` of a buffer that only `user` may read, None for nothing."""
    readers = [o for o in program.operations for i in o.inputs if i == buffer]
    if readers != ([] if user is None else [user]):
        return None
    if user is not None and buffer in program.outputs:
        return None
    producer = next((o for o in program.operations if o.output == buffer), None)
    if producer is None:
        return None
    if producer.kind == "dense":
        return _layer(program, producer, columns)
    if producer.kind == "activation":
        function = producer.attributes["function"]
        if function not in _HOMOGENEOUS or producer.parameters:
            return None
        part = _part(program, producer.inputs[0], columns, producer)
        if part is None or function == "identity":
            return part
        return AffinePart(part.layers, None)
    if producer.kind in ("add", "subtract", "average", "concatenate"):
        return _merged(program, producer, columns)
    return None


def _layer(program: Program, operation: Operation, columns: slice) -> AffinePart | None:
    uses = [i for o in program.operations for i in o.parameters]
    if any(uses.count(i) > 1 for i in operation.parameters):
        return None
    weight, *bias = (program.parameters[i] for i in operation.parameters)
    if not weight.trainable:
        return None
    layer = Affine(weight, bias[0] if bias else None, columns)
    shifts = (layer,) if layer.bias is not None and layer.bias.trainable else None
    return AffinePart((layer,), shifts)


def _merged(program: Program, operation: Operation, columns: slice) -> AffinePart | None:
    parts, start = [], columns.start
    for buffer in operation.inputs:
        width = program.buffers[buffer].width
        own = columns
        if operation.kind == "concatenate":
            own = slice(start, start + width)
            start += width
        part = _part(program, buffer, own, operation)
        if part is None:
            return None
        parts.append(part)
    shifts: tuple[Affine, ...] | None = None
    if operation.kind in ("add", "subtract"):  # one branch adds the number
        branches = parts if operation.kind == "add" else parts[:1]
        shifts = next((part.shifts for part in branches if part.shifts is not None), None)
    elif all(part.shifts is not None for part in parts):  # each adds it
        shifts = tuple(layer for part in parts for layer in part.shifts or ())
    return AffinePart(tuple(layer for part in parts for layer in part.layers), shifts)
