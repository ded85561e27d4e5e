"""What every format writes and reads: a program with its parameters, and a network of layers.

`read` is the way out: it copies what a format may write of a network.  `assemble` is the way
in: it makes a network of the layers that a format found.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import DTypeLike

from fastnn.facts import activations
from fastnn.graph import trace
from fastnn.layers import CustomLayer, Input, Layer, Merge, Tensor, _activations
from fastnn.layers._activations import GELU, LogSoftmax, Softmax
from fastnn.network import Network, Sequential
from fastnn.program import ROW_FUNCTIONS, Operation, Program


@dataclass(frozen=True)
class Portable:
    """What formats write: a program with copies of its parameters, and the names of its ends.

    Attributes
    ----------
    program : Program
        Its operations, in topological order, have no custom layers.
    values : mapping of str to array
        A C-contiguous copy of each parameter by name, in the dtype of the program.
    inputs, outputs : tuple of str
        Names of the inputs and outputs, in the order of ``program.inputs`` and
        ``program.outputs``.
    """

    program: Program
    values: Mapping[str, np.ndarray]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def is_chain(self) -> bool:
        """Whether each operation reads only the output of the one before it."""
        program = self.program
        ends = [*program.inputs, *(operation.output for operation in program.operations)]
        reads = [operation.inputs for operation in program.operations]
        return (
            len(program.inputs) == 1
            and reads == [(end,) for end in ends[:-1]]
            and program.outputs == (ends[-1],)
        )

    def roles(self, operation: Operation) -> dict[str, np.ndarray]:
        """The parameters of an operation by role, as `fastnn.facts.operations` has the roles."""
        names = [self.program.parameters[i].name for i in operation.parameters]
        return {role: self.values[name] for role, name in zip(operation.roles, names, strict=True)}

    def parameter_names(self, operation: Operation) -> dict[str, str]:
        """The names of the parameters of an operation by role."""
        names = [self.program.parameters[i].name for i in operation.parameters]
        return dict(zip(operation.roles, names, strict=True))


def read(net: Network, format_name: str) -> Portable:
    """What a format writes of a network.

    Parameters
    ----------
    net : Network
        Training in another thread waits until the parameters are copied.
    format_name : str
        The format, for error messages, such as "ONNX".

    Raises
    ------
    TypeError
        If it is no network.
    ValueError
        If the network has a custom layer, whose Python code no format has; if a parameter is
        not finite.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network or Sequential, got {type(net).__name__}")
    core = net.core
    for layer in core.graph.layers:
        if isinstance(layer, CustomLayer):
            raise ValueError(
                f"layer {core.graph.names[id(layer)]!r} is the custom layer "
                f"{type(layer).__name__}: {format_name} cannot hold its Python code"
            )
    with core.lock:
        values = {name: np.ascontiguousarray(view).copy() for name, view in core.views.items()}
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise ValueError(f"parameter {name!r} is not finite: {format_name} is not written")
    return Portable(
        core.program, MappingProxyType(values), tuple(core.input_names), tuple(core.output_names)
    )


def assemble(
    inputs: Sequence[Input],
    outputs: Sequence[Tensor] | Mapping[str, Tensor],
    dtype: DTypeLike = "float32",
    name: str | None = None,
) -> Network:
    """A network of the tensors that a format found: a `Sequential` where it is a chain.

    Parameters
    ----------
    inputs : sequence of Input
    outputs : sequence of Tensor, or mapping from names to Tensor
        Several outputs with names are the keys of what `Network.predict` returns.
    dtype : {"float32", "float64"}
    name : str, optional

    Raises
    ------
    ValueError
        As `Network` does.
    """
    ends = list(outputs.values()) if isinstance(outputs, Mapping) else list(outputs)
    graph = trace(inputs, ends)
    if len(inputs) == 1 and len(ends) == 1 and _is_chain([*graph.inputs, *graph.calls]):
        layers = [call.layer for call in graph.calls if call.layer is not None]
        return Sequential([inputs[0], *layers], dtype=dtype, name=name)
    whole = dict(outputs) if isinstance(outputs, Mapping) and len(ends) > 1 else ends
    return Network(list(inputs), whole, dtype=dtype, name=name)


def _is_chain(tensors: Sequence[Tensor]) -> bool:
    """Whether each tensor is made of the one before it alone, by a layer that is no merge."""
    pairs = itertools.pairwise(tensors)
    return all(
        after.inputs == (before,) and not isinstance(after.layer, Merge) for before, after in pairs
    )


def free_name(name: str, taken: Iterable[str]) -> str:
    """`name`, made of characters that a layer's name may have, and unlike the names in `taken`.

    Parameters
    ----------
    name : str
        Of another program: it may be empty and may have any character.
    taken : iterable of str
    """
    clean = "".join(c if c.isalnum() or c in "_- " else "_" for c in name).strip() or "layer"
    taken = set(taken)
    candidate, n = clean, 1
    while candidate in taken:
        n += 1
        candidate = f"{clean}_{n}"
    return candidate


def activation_layer(function: str, alpha: float | None = None, name: str | None = None) -> Layer:
    """The layer of an activation, of the class that users would write.

    Parameters
    ----------
    function : str
        A name in ``fastnn.activations.names()``, or softmax or log_softmax.
    alpha : float, optional
        The parameter of an activation that has one; its default if None.
    name : str, optional
    """
    if function in ROW_FUNCTIONS:
        row_function: Layer = {"softmax": Softmax, "log_softmax": LogSoftmax}[function](name=name)
        return row_function
    row = activations.get(function)
    if row.layer == "GELU":
        return GELU(approximate=function == "gelu_tanh", name=name)
    cls = getattr(_activations, row.layer)
    layer: Layer = cls(name=name) if alpha is None else cls(alpha, name=name)
    return layer
