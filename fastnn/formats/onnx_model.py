"""A model of ONNX from a file that nobody trusts: its graph, checked, and its constants."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastnn._shared.text import printable
from fastnn.formats.onnx_nodes import library
from fastnn.serialization import FormatError, name_of

_TYPES = {
    "FLOAT": np.float32, "DOUBLE": np.float64, "FLOAT16": np.float16, "INT8": np.int8,
    "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip
"""Elements of constants that are read, by the name that ONNX has for them."""


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Attributes
    ----------
    operator : str
        With its domain before it, unless that is the domain of ONNX itself.
    inputs, outputs : tuple of str
        Names of values; empty for an input that is left out.
    attributes : dict
        Numbers, text, lists of numbers, and arrays.
    label : str
        What errors call the node.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    label: str


@dataclass(frozen=True)
class End:
    """An input or output of a graph: its name, the name of its type, and its lengths.

    A length is None where it is free.
    """

    name: str
    type: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Model:
    """The graph of a model.

    Attributes
    ----------
    inputs, outputs : tuple of End
    nodes : tuple of Node
        Each reads only inputs, constants, and outputs of nodes before it.
    constants : dict of str to array
    name, producer : str
        The name of the graph, and of the program that wrote it.
    opset : int
    """

    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray] = field(repr=False)
    name: str = ""
    producer: str = ""
    opset: int = 0


def load(source: Any) -> Model:
    """The model in a file, in bytes, or in a ``ModelProto``.

    Raises
    ------
    TypeError
        If it is none of these.
    FormatError
        If it is damaged, or has parts that no dense network has.
    OSError
        If the file cannot be read.
    """
    onnx = library()
    folder = None
    if isinstance(source, onnx.ModelProto):
        return _checked(onnx, source, None)
    if isinstance(source, bytes | bytearray | memoryview):
        contents, called = bytes(source), "the model"
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        contents, folder, called = path.read_bytes(), path.resolve().parent, name_of(source)
    else:
        raise TypeError(f"path_or_bytes must be a path, bytes or a ModelProto, got {source!r:.200}")
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(contents)
    except (DecodeError, UnicodeDecodeError) as error:  # protobuf in Python refuses other text
        raise FormatError(f"{called} is no model of ONNX, or it is damaged: {error}") from None
    if not model.HasField("graph"):
        raise FormatError(f"{called} is no model of ONNX: it has no graph")
    return _checked(onnx, model, folder)


def _checked(onnx: Any, model: Any, folder: Path | None) -> Model:
    graph = model.graph
    if graph.sparse_initializer:
        raise FormatError("the graph has sparse initializers, which are not read")
    if model.functions:
        names = ", ".join(_text(function.name) for function in model.functions)
        raise FormatError(f"the model has functions of its own, which are not read: {names}")
    constants: dict[str, np.ndarray] = {}
    for tensor in graph.initializer:
        name = _text(tensor.name)
        if name in constants:
            raise FormatError(f"two initializers are called {name!r}")
        constants[name] = _array(onnx, tensor, f"initializer {name!r}", folder)
    inputs = tuple(_end(onnx, info) for info in graph.input if _text(info.name) not in constants)
    outputs = tuple(_end(onnx, info) for info in graph.output)
    nodes = tuple(_node(onnx, node, i, folder) for i, node in enumerate(graph.node))
    _check_order(nodes, [end.name for end in inputs], constants, outputs)
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    name, producer = _text(graph.name), _text(model.producer_name)
    return Model(inputs, outputs, nodes, constants, name, producer, opset)


def _check_order(
    nodes: tuple[Node, ...],
    inputs: list[str],
    constants: Mapping[str, np.ndarray],
    outputs: tuple[End, ...],
) -> None:
    """Raise FormatError unless each value is made once, before it is read."""
    made_by = {name: node.label for node in nodes for name in node.outputs if name}
    values = {*inputs, *constants}
    if len(set(inputs)) < len(inputs):
        raise FormatError("two inputs of the graph have one name")
    for node in nodes:
        for name in filter(None, node.inputs):
            if name in values:
                continue
            if name in made_by:
                raise FormatError(
                    f"{node.label} reads {name!r}, which {made_by[name]} makes only later: "
                    "the graph has a cycle, or its nodes are not in order"
                )
            raise FormatError(
                f"{node.label} reads {name!r}, which is no input, initializer or output of a node"
            )
        for name in filter(None, node.outputs):
            if name in values:
                raise FormatError(f"{node.label} makes {name!r}, which exists already")
            values.add(name)
    for end in outputs:
        if end.name not in values:
            raise FormatError(f"output {end.name!r} of the graph is made by no node")
    if not inputs or not outputs:
        raise FormatError("the graph has no inputs or no outputs")


def _end(onnx: Any, info: Any) -> End:
    """An input or output of the graph."""
    if not info.type.HasField("tensor_type"):
        return End(_text(info.name), info.type.WhichOneof("value") or "unknown", None)
    tensor = info.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        dims = tensor.shape.dim
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)
    return End(_text(info.name), _type_name(onnx, tensor.elem_type), shape)


def _type_name(onnx: Any, number: int) -> str:
    names = {value: name for name, value in onnx.TensorProto.DataType.items()}
    return str(names.get(number, f"type {number}"))


def _node(onnx: Any, node: Any, position: int, folder: Path | None) -> Node:
    """A node with its attributes as Python values."""
    domain, operator = _text(node.domain), printable(_text(node.op_type))
    operator = operator if domain in ("", "ai.onnx") else f"{printable(domain)}.{operator}"
    named = f" {_text(node.name)!r}" if node.name else f" {position}"
    label = f"node{named} ({operator})"
    attributes: dict[str, Any] = {}
    for attribute in node.attribute:
        name = _text(attribute.name)
        kind = onnx.AttributeProto.AttributeType.Name(attribute.type)
        if kind == "TENSOR":
            attributes[name] = _array(onnx, attribute.t, label, folder)
        elif kind == "FLOAT":
            attributes[name] = shortest(np.float32(attribute.f))
        elif kind == "INT":
            attributes[name] = attribute.i
        elif kind == "STRING":
            attributes[name] = attribute.s.decode("utf-8", "replace")
        elif kind in ("FLOATS", "INTS", "STRINGS"):
            attributes[name] = list(getattr(attribute, kind.lower()))
        else:
            raise FormatError(f"attribute {name!r} of {label} is of the kind {kind}")
    inputs, outputs = tuple(map(_text, node.input)), tuple(map(_text, node.output))
    return Node(operator, inputs, outputs, attributes, label)


def _text(text: str | bytes) -> str:
    """Text of a message, which is bytes where it is no UTF-8."""
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


def shortest(number: Any) -> float:
    """The float64 number of the fewest digits that is this float32 or float64 number."""
    return float(str(number))


# ---------------------------------------------------------------------- tensors


def _array(onnx: Any, tensor: Any, label: str, folder: Path | None) -> np.ndarray:
    """The array of a tensor; its size is compared with its bytes before memory is taken."""
    kind = _type_name(onnx, tensor.data_type)
    if kind == "STRING" and math.prod(tensor.dims) == len(tensor.string_data):
        texts = [text.decode("utf-8", "replace") for text in tensor.string_data]
        return np.array(texts).reshape(tuple(tensor.dims))
    if kind not in _TYPES:
        raise FormatError(f"{label} has elements of the type {kind}, which are not read")
    shape, dtype = tuple(tensor.dims), np.dtype(_TYPES[kind])
    if any(length < 0 for length in shape) or len(shape) > 8:
        raise FormatError(f"{label} has the shape {shape}")
    n = math.prod(shape)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        data = _external(tensor, label, folder, n * dtype.itemsize)
    elif tensor.HasField("raw_data"):
        data = tensor.raw_data
    else:
        return _listed(tensor, kind, dtype, n, label).reshape(shape)
    if len(data) != n * dtype.itemsize:
        raise FormatError(
            f"{label} of shape {shape} needs {n * dtype.itemsize:,} bytes, but has {len(data):,}"
        )
    array = np.frombuffer(data, dtype.newbyteorder("<"))
    return array.astype(dtype).reshape(shape)


def _listed(tensor: Any, kind: str, dtype: np.dtype, n: int, label: str) -> np.ndarray:
    """The elements of a tensor that lists them as numbers, not as bytes."""
    name = {"FLOAT": "float_data", "DOUBLE": "double_data", "INT64": "int64_data"}
    values = getattr(tensor, name.get(kind, "int32_data"))
    if len(values) != n:
        raise FormatError(f"{label} needs {n:,} elements, but has {len(values):,}")
    if kind == "FLOAT16":  # as bit patterns
        return np.array(values, np.uint16).view(np.float16)
    return np.array(values, dtype)


def _external(tensor: Any, label: str, folder: Path | None, n_bytes: int) -> bytes:
    """The bytes of a tensor in another file, which must be in the folder of the model."""
    entries = {_text(entry.key): _text(entry.value) for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise FormatError(
            f"{label} is in another file, {location!r}: give the path of the model, not its bytes"
        )
    file = (folder / location.replace("\0", "")).resolve()
    if not location or "\0" in location or not file.is_relative_to(folder) or file == folder:
        raise FormatError(f"{label} is in {location!r}, which is outside the folder of the model")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", n_bytes))
    except ValueError:
        raise FormatError(f"{label} has no number as its place in {location!r}") from None
    if not file.is_file():
        raise FormatError(f"{label} is in {location!r}, which is no file")
    size = file.stat().st_size
    if length != n_bytes or offset < 0 or offset + length > size:
        raise FormatError(
            f"{label} needs {n_bytes:,} bytes, but {location!r} of {size:,} bytes has "
            f"{length:,} for it at {offset:,}"
        )
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)
