"""Networks from files of ONNX.

The graph is read twice.  From its outputs to its inputs, each value that is needed gets its
meaning: a layer and the values that the layer reads.  From the inputs to the outputs, the layers
are then made and called.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from fastnn.formats._program import activation_layer, assemble, free_name
from fastnn.formats.onnx_graph import FLOATS, ReadGraph
from fastnn.formats.onnx_meanings import OPERATORS, Meaning, Unreadable
from fastnn.formats.onnx_model import End, Model, load
from fastnn.formats.onnx_patterns import matches
from fastnn.formats.onnx_rules import rules
from fastnn.layers import Input, Layer, Tensor
from fastnn.network import Network
from fastnn.serialization import FormatError

MOST_COLUMNS = 1 << 24
"""A width beyond it is refused: concatenations of a hostile file could double it many times."""


def from_onnx(path_or_bytes: Any) -> Network:
    """The network of a model of ONNX (the extra `onnx`).

    It reads graphs of dense layers as PyTorch, Keras (by tf2onnx), scikit-learn (by skl2onnx) and
    fastnn export them: products with constant matrices, activations, sums, differences, products
    and means of branches, concatenations, layer normalisation and embeddings.  Several primitive
    nodes that stand for one layer become this layer.  Dropout is ignored, and so are casts and
    changes of the shape that keep the numbers of a row.  Nodes that no output needs are not read.

    Parameters
    ----------
    path_or_bytes : str, path-like, bytes or onnx.ModelProto
        Constants in other files are read if these are in the folder of the model.

    Returns
    -------
    Network
        A `Sequential` if the graph is a chain, in the dtype of the inputs.  It predicts what the
        model computes, and it is not compiled.  An input with several axes after that of the batch
        becomes one row.  Layers have the names of their parameters where these have names such as
        ``fc1.weight``; a letter that no name of a layer may have becomes ``_``.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    TypeError
        If it is none of these.
    FormatError
        If the model is damaged; if a node is none of the above, with the name of the node.
    OSError
        If the file cannot be read.

    Notes
    -----
    No code of the file is executed.  A node that adds constants, and follows no product with a
    matrix, becomes a frozen `Dense` with the identity as its weight; one that multiplies by
    constants becomes a `Scale`.

    Examples
    --------
    >>> net = fastnn.formats.from_onnx("model.onnx")  # doctest: +SKIP
    """
    model = load(path_or_bytes)
    graph = ReadGraph(model)
    outputs = _outputs(model)
    meanings = _meanings(graph, [graph.resolve(end.name) for end in outputs])
    return _Builder(graph, meanings, outputs).network()


def _outputs(model: Model) -> list[End]:
    """The outputs with numbers: a classifier's labels beside its probabilities are left out."""
    outputs = [end for end in model.outputs if end.type in FLOATS or end.type == "sequence_type"]
    if not outputs:
        kinds = ", ".join(f"{end.name!r} ({end.type})" for end in model.outputs)
        raise FormatError(f"no output of the graph has float32 or float64 numbers: {kinds}")
    return outputs


def _meanings(graph: ReadGraph, outputs: list[str]) -> dict[str, Meaning]:
    """The meaning of each value that the outputs need, in topological order."""
    needed = set(outputs)
    meanings: dict[str, Meaning] = {}
    for node in reversed(graph.model.nodes):
        for value in node.outputs[:1]:
            if value in needed and value not in graph.aliases:
                meanings[value] = _meaning(graph, value)
                needed.update(meanings[value].inputs)
    unknown = needed - meanings.keys() - {end.name for end in graph.model.inputs}
    for value in unknown:
        maker = graph.made.get(value)
        what = "is constant" if maker is None else f"is another output of {maker.label}"
        raise FormatError(f"value {value!r}, which the network needs, {what}")
    return dict(reversed(meanings.items()))


def _meaning(graph: ReadGraph, value: str) -> Meaning:
    """The meaning of a value: by a rule for several nodes, or by its node alone."""
    node = graph.made[value]
    try:
        for rule in rules():
            for bound in matches(rule.pattern, value, graph, {}):
                return rule.build(graph, bound)
        if node.operator not in OPERATORS:
            raise Unreadable("has an operator that no layer of a dense network has")
        return OPERATORS[node.operator](graph, node)
    except Unreadable as error:
        raise FormatError(f"{node.label} {error}") from None
    except (IndexError, ValueError, TypeError) as error:
        raise FormatError(f"{node.label} has inputs that do not fit: {error}") from error


class _Builder:
    """Makes the layers of meanings and calls them, from the inputs to the outputs."""

    def __init__(self, graph: ReadGraph, meanings: dict[str, Meaning], ends: list[End]) -> None:
        self.graph, self.meanings, self.ends = graph, meanings, ends
        self.outputs = [graph.resolve(end.name) for end in ends]
        self.readers = Counter([*self.outputs, *(v for m in meanings.values() for v in m.inputs)])
        self.names: set[str] = set()
        self.layers: dict[Any, Layer] = {}
        self.tensors: dict[str, Tensor] = {}

    def network(self) -> Network:
        """The network; errors about a layer name the node."""
        if len(set(self.outputs)) < len(self.outputs):
            raise FormatError("two outputs of the graph are the same value")
        inputs = [self._input(end) for end in self.graph.model.inputs]
        followers = self._followers()
        for value, meaning in self.meanings.items():
            if value not in self.tensors:
                tensor = self._call(value, meaning, followers.get(value))
                self.tensors[value] = tensor
                if value in followers:
                    self.tensors[followers[value]] = tensor
        names: list[str] = []
        for end in self.ends:
            names.append(free_name(end.name, names))
        outputs = dict(zip(names, (self.tensors[value] for value in self.outputs), strict=True))
        name = self.graph.model.name
        try:
            return assemble(inputs, outputs, self._dtype(), free_name(name, ()) if name else None)
        except (ValueError, TypeError) as error:
            raise FormatError(f"the graph is no network: {error}") from error

    def _input(self, end: End) -> Input:
        width = math.prod(self.graph.row_shape(end.name) or ())
        self._check_width(width, f"input {end.name!r}")
        source = Input(width, self._free(end.name))
        self.tensors[end.name] = source
        return source

    def _followers(self) -> dict[str, str]:
        """The activation of a dense layer whose output nothing else reads, by this output."""
        return {
            meaning.inputs[0]: value
            for value, meaning in self.meanings.items()
            if meaning.activation is not None
            and self.readers[meaning.inputs[0]] == 1
            and meaning.inputs[0] in self.meanings
            and self.meanings[meaning.inputs[0]].is_dense
        }

    def _call(self, value: str, meaning: Meaning, follower: str | None) -> Tensor:
        """The output of the layer of a value, which is made at its first call."""
        function = None if follower is None else self.meanings[follower].activation
        key = None if meaning.key is None else (meaning.key, function)
        label = self.graph.made[value].label
        try:
            layer = self.layers.get(key) if key is not None else None
            if layer is None:
                name = self._free(self._name(value, meaning))
                if function is None:
                    layer = meaning.make(name)
                else:
                    layer = meaning.make(name, activation_layer(*function))
                if key is not None:
                    self.layers[key] = layer
            tensor = layer.connect([self.tensors[source] for source in meaning.inputs])
        except (ValueError, TypeError) as error:
            raise FormatError(f"{label} does not fit: {error}") from error
        self._check_width(tensor.width, label)
        return tensor

    def _name(self, value: str, meaning: Meaning) -> str | None:
        """The name of a layer: that before the last dot of a parameter, or of its own value."""
        if meaning.parameter is not None and "." in meaning.parameter.strip("."):
            return meaning.parameter.rpartition(".")[0]
        is_own = self.graph.model.producer == "fastnn"
        if is_own and value.endswith((".A", ".Z")) and not meaning.is_dense:
            return value[:-2]
        return None

    def _free(self, name: str | None) -> str | None:
        if name is None:
            return None
        name = free_name(name, self.names)
        self.names.add(name)
        return name

    def _check_width(self, width: int, label: str) -> None:
        if not 1 <= width <= MOST_COLUMNS:
            raise FormatError(f"{label} has {width:,} columns; from 1 to {MOST_COLUMNS:,} are read")

    def _dtype(self) -> str:
        """That of the first input of floating numbers, or of the first output."""
        kinds = [end.type for end in (*self.graph.model.inputs, *self.ends) if end.type in FLOATS]
        return FLOATS[kinds[0]] if kinds else "float32"
