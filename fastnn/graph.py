"""The graph of a network: its tensors and layers, their names, and its program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastnn._shared.fields import entry
from fastnn.facts import activations
from fastnn.layers import CLASSES, Activation, CustomLayer, Dense, Embedding, Input, Layer, Tensor
from fastnn.program import Program, ProgramBuilder
from fastnn.serialization import FormatError

_MAX_LOADED_WIDTH = 1 << 24
_STEPS = {row.name for row in activations.ROWS if row.is_step}

_GRAPH, _CALL = "a graph", "a call of a layer"


@dataclass(frozen=True)
class Graph:
    """The calls of layers between inputs and outputs.

    Attributes
    ----------
    inputs : tuple of Input
    outputs : tuple of Tensor
    calls : tuple of Tensor
        Every call of a layer, in the order they were made, which is topological.
    layers : tuple of Layer
        In order of first appearance; a shared layer once.
    names : dict
        Name of each input and layer, by ``id``.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Tensor, ...]
    calls: tuple[Tensor, ...]
    layers: tuple[Layer, ...]
    names: dict[int, str]

    def call_names(self) -> dict[int, str]:
        """Name of each tensor by ``id``; the second call of layer "a" is "a:2"."""
        names = {id(tensor): self.names[id(tensor)] for tensor in self.inputs}
        counts: dict[int, int] = {}
        for call in self.calls:
            counts[id(call.layer)] = n = counts.get(id(call.layer), 0) + 1
            name = self.names[id(call.layer)]
            names[id(call)] = name if n == 1 else f"{name}:{n}"
        return names


def trace(inputs: Sequence[Any], outputs: Sequence[Any]) -> Graph:
    """The graph between inputs and outputs, checked.

    Raises
    ------
    TypeError
        If an input is no `Input` or an output no tensor.
    ValueError
        If an input is unused, an output is an input or does not depend on the
        inputs alone, something appears twice, two things have one name, or a
        layer belongs to a network already.
    """
    _check_ends(inputs, outputs)
    calls = _calls_behind(outputs)
    used = {id(tensor) for tensor in calls if tensor.layer is None}
    declared = {id(tensor) for tensor in inputs}
    for tensor in calls:
        if tensor.layer is None and id(tensor) not in declared:
            raise ValueError(
                f"the outputs depend on {tensor.label}, which is not among the network's inputs"
            )
    for tensor in inputs:
        if id(tensor) not in used:
            raise ValueError(f"input {tensor.label} is not used by any output")
    calls = [tensor for tensor in calls if tensor.layer is not None]
    layers = tuple({id(call.layer): call.layer for call in calls if call.layer}.values())
    for layer in layers:
        layer.check_free()
    return Graph(tuple(inputs), tuple(outputs), tuple(calls), layers, _names(inputs, layers))


def _check_ends(inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    for role, tensors, kind in (("input", inputs, Input), ("output", outputs, Tensor)):
        if not tensors:
            raise ValueError(f"a network needs at least one {role}, got none")
        for tensor in tensors:
            if not isinstance(tensor, kind):
                raise TypeError(
                    f"{role}s must be {kind.__name__} objects, got {type(tensor).__name__}"
                )
        if len({id(tensor) for tensor in tensors}) < len(tensors):
            raise ValueError(f"a tensor is given twice among the {role}s")
    for tensor in outputs:
        if tensor.layer is None:
            raise ValueError(f"output {tensor.label} is an input; apply a layer to it first")


def _calls_behind(outputs: Sequence[Tensor]) -> list[Tensor]:
    """The outputs and all tensors they depend on, in the order in which they were made."""
    tensors = {id(tensor): tensor for tensor in outputs}
    waiting = list(outputs)
    while waiting:
        for tensor in waiting.pop().inputs:
            if id(tensor) not in tensors:
                tensors[id(tensor)] = tensor
                waiting.append(tensor)
    return sorted(tensors.values(), key=lambda tensor: tensor.order)


def _names(inputs: Sequence[Input], layers: Sequence[Layer]) -> dict[int, str]:
    """Names of inputs and layers by id; unnamed ones are numbered by kind."""
    items: list[Input | Layer] = [*inputs, *layers]
    taken: set[str] = set()
    for item in items:
        if item.name in taken:
            raise ValueError(f"two inputs or layers are called {item.name!r}")
        if item.name is not None:
            taken.add(item.name)
    names: dict[int, str] = {}
    counts: dict[str, int] = {}
    for item in items:
        name = item.name
        while name is None:
            kind = item.kind if isinstance(item, Layer) else "input"
            counts[kind] = counts.get(kind, 0) + 1
            candidate = f"{kind}_{counts[kind]}"
            name = None if candidate in taken else candidate
        names[id(item)] = name
    return names


def build_program(graph: Graph, dtype: object, seed: int) -> tuple[Program, list[slice]]:
    """The program of a graph, and the part of its storage that each layer's parameters take."""
    builder = ProgramBuilder(dtype, seed)
    names = graph.call_names()
    buffers = {id(t): builder.input(names[id(t)], t.width) for t in graph.inputs}
    parameters: dict[int, list[int]] = {}
    for call in graph.calls:
        layer = call.layer
        assert layer is not None
        if id(layer) not in parameters:
            parameters[id(layer)] = layer.declare(builder, graph.names[id(layer)])
        inputs = [buffers[id(tensor)] for tensor in call.inputs]
        buffers[id(call)] = layer.emit(builder, names[id(call)], inputs, parameters[id(layer)])
    program = builder.build([buffers[id(tensor)] for tensor in graph.outputs])
    return program, [_extent(program, parameters[id(layer)]) for layer in graph.layers]


def _extent(program: Program, indices: Sequence[int]) -> slice:
    """The part of the storage that parameters declared in a row take."""
    if not indices:
        return slice(0, 0)
    first, last = program.parameters[indices[0]], program.parameters[indices[-1]]
    return slice(first.offset, last.offset + last.stored)


def untrainable(graph: Graph) -> tuple[list[str], list[str]]:
    """Layers that no gradient reaches, because every path to an output has a step.

    Returns
    -------
    steps : list of str
        Names of the layers on these paths whose derivative is 0 everywhere.
    cut : list of str
        Names of the trainable layers below them, and of those that end in a step themselves.
    """
    reached, steps = _reached(graph)
    cut = {
        id(layer): graph.names[id(layer)]
        for layer in graph.layers
        if layer.shapes and layer.trainable and id(layer) not in reached
    }
    names_of_steps = {
        graph.names[id(call.layer)]: None
        for call in steps
        if any(id(tensor.layer) in cut for tensor in _calls_behind([call]))
    }
    return list(names_of_steps), list(cut.values())


def _reached(graph: Graph) -> tuple[set[int], list[Tensor]]:
    """Ids of the layers that a gradient from the outputs reaches, and the steps that stop it."""
    reached: set[int] = set()
    steps: list[Tensor] = []
    live = {id(tensor) for tensor in graph.outputs}
    for call in reversed(graph.calls):
        if id(call) not in live or call.layer is None:
            continue
        if isinstance(call.layer, Embedding):
            reached.add(id(call.layer))
        if _is_step(call.layer):
            steps.insert(0, call)
        else:
            reached.add(id(call.layer))
            live.update(id(tensor) for tensor in call.inputs)
    return reached, steps


def _is_step(layer: Layer) -> bool:
    """Whether the derivative of a layer with respect to its input is 0 everywhere."""
    return isinstance(layer, Embedding) or last_function(layer) in _STEPS


def last_function(layer: Layer | None) -> str | None:
    """The activation a layer ends in, if it has one."""
    if isinstance(layer, Activation):
        return layer.function
    return layer.activation if isinstance(layer, Dense) else None


def to_structure(graph: Graph, as_data: bool = True) -> dict[str, Any]:
    """The graph as data; tensors are numbered, inputs first.

    Parameters
    ----------
    graph : Graph
    as_data : bool, default True
        Fit for JSON.  False leaves the classes of custom layers objects, for pickling.

    Raises
    ------
    ValueError
        If the class of a layer is unknown to `from_structure`, or if a custom layer was
        made from arguments that JSON cannot hold.
    """
    numbers = {id(t): i for i, t in enumerate((*graph.inputs, *graph.calls))}
    places = {id(layer): i for i, layer in enumerate(graph.layers)}
    return {
        "inputs": [{"name": graph.names[id(t)], "width": t.width} for t in graph.inputs],
        "layers": [
            _layer_structure(layer, graph.names[id(layer)], as_data) for layer in graph.layers
        ],
        "calls": [
            {"layer": places[id(c.layer)], "inputs": [numbers[id(t)] for t in c.inputs]}
            for c in graph.calls
        ],
        "outputs": [numbers[id(t)] for t in graph.outputs],
    }


def _layer_structure(layer: Layer, name: str, as_data: bool) -> dict[str, Any]:
    cls = type(layer)
    if isinstance(layer, CustomLayer):
        if not as_data:
            return {"class": cls, "config": layer.config}
        try:
            json.dumps(layer.options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"layer {name!r} was made from arguments that a file cannot hold: {error}"
            ) from None
        return {"class": cls.__name__, "config": layer.config, "custom": True}
    if CLASSES.get(cls.__name__) is not cls:
        raise ValueError(
            f"layer {name!r} is a {cls.__name__}, which is not among fastnn's own layers "
            "and no CustomLayer: it cannot be saved"
        )
    return {"class": cls.__name__, "config": layer.config}


def from_structure(
    structure: Mapping[str, object], custom: Mapping[str, object] | None = None
) -> Graph:
    """The graph `to_structure` described, of new layers.

    Parameters
    ----------
    structure : mapping
    custom : mapping of str to class, optional
        Custom layers by the names of their classes.

    Raises
    ------
    TypeError, ValueError
        If it does not describe a graph.
    """
    inputs = []
    for item in entry(structure, "inputs", list, _GRAPH):
        width = _width(entry(item, "width", int, "an input"))
        inputs.append(Input(width, entry(item, "name", (str, type(None)), "an input")))
    tensors: list[Tensor] = list(inputs)
    layers = [
        _class_of(item, custom or {}).from_config(entry(item, "config", dict, "a layer"))
        for item in entry(structure, "layers", list, _GRAPH)
    ]
    for call in entry(structure, "calls", list, _GRAPH):
        layer = layers[check_index(entry(call, "layer", int, _CALL), len(layers))]
        numbers = entry(call, "inputs", list, _CALL)
        sources = [tensors[_check_source(i, len(tensors), layer)] for i in numbers]
        tensors.append(layer.connect(sources))
        _width(tensors[-1].width)
    numbers = entry(structure, "outputs", list, _GRAPH)
    return trace(inputs, [tensors[check_index(i, len(tensors))] for i in numbers])


def _class_of(described: Any, custom: Mapping[str, object]) -> type[Layer]:
    """The class of a layer: one of fastnn's own, or a custom one that the caller gave."""
    cls = entry(described, "class", (str, type), "a layer")
    if isinstance(cls, type):  # of a pickle
        if not issubclass(cls, CustomLayer):
            raise TypeError(f"{cls.__name__} is no CustomLayer")
        return cls
    if not described.get("custom"):
        if cls not in CLASSES:
            raise ValueError(f"there is no layer {cls!r}")
        return CLASSES[cls]
    layer = custom.get(cls)
    if not (isinstance(layer, type) and issubclass(layer, CustomLayer)):
        raise FormatError(
            f"the network has the custom layer {cls}: give its class, load(path, custom=[{cls}])"
        )
    return layer


def _width(value: Any) -> Any:
    """A width from a file; without a limit, concatenations could double it beyond all memory."""
    if value > _MAX_LOADED_WIDTH:
        raise ValueError(f"a width is {value}, beyond {_MAX_LOADED_WIDTH}")
    return value


def _check_source(value: object, n: int, layer: Layer) -> int:
    """The number of a tensor that a call in a file reads: it must be below n."""
    if type(value) is int and value >= n:
        raise ValueError(
            f"layer {layer.label} reads tensor {value}, but only {n} come before it: "
            "the graph has a cycle or is cut off"
        )
    return check_index(value, n)


def check_index(value: object, n: int) -> int:
    """An index from a file: an integer, not negative, below n."""
    if type(value) is not int or not 0 <= value < n:
        raise ValueError(f"{value!r} is not an index below {n}")
    return value
