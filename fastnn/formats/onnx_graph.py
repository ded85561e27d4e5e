"""A graph of ONNX as its readers see it: constants computed, and what means nothing left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.formats.onnx_model import End, Model, Node
from fastnn.formats.onnx_shapes import BATCH, Shape, shape_of
from fastnn.serialization import FormatError

FLOATS = {"FLOAT": "float32", "DOUBLE": "float64"}
"""Types of inputs and outputs, with the dtype of their network."""

CODES = ("INT64", "INT32")
"""Types of inputs that are codes of an embedding."""

_LOGICAL = ("Not", "Less", "Greater", "GreaterOrEqual", "LessOrEqual", "Equal")
_FLOAT_CODES = (1, 11)
"""FLOAT and DOUBLE as the numbers of ONNX."""

MOST_MADE = 1 << 24
"""Largest number of constants that a node makes of others."""


class ReadGraph:
    """A model with constants, aliases and shapes of its values.

    Parameters
    ----------
    model : Model

    Attributes
    ----------
    model : Model
    constants : dict of str to array
        Initializers, and what nodes make of constants by moving numbers alone.
    aliases : dict of str to str
        A value by another one that is the same: dropout, casts and shapes mean nothing.
    made : dict of str to Node
        The node that makes a value.

    Raises
    ------
    FormatError
        If an input has no number of columns, or a type that no network has.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.constants = dict(model.constants)
        self.aliases: dict[str, str] = {}
        self.made = {name: node for node in model.nodes for name in node.outputs if name}
        self._shapes = {end.name: _shape_of(end) for end in model.inputs}
        self._batches = {end.shape[0] for end in model.inputs if end.shape and end.shape[0]}
        self._lengths: dict[str, np.ndarray] = {}  # constants made of the shape of a value
        for node in model.nodes:
            try:
                self._visit(node)
            except (ValueError, IndexError, TypeError) as error:
                if isinstance(error, FormatError):
                    raise
                raise FormatError(f"{node.label} has inputs that do not fit: {error}") from error

    def producer(self, name: str) -> Node | None:
        """The node that makes a value."""
        return self.made.get(name)

    def resolve(self, name: str) -> str:
        """The value that a value is the same as."""
        return self.aliases.get(name, name)

    def shape(self, name: str) -> Shape | None:
        """The lengths of a value, with `BATCH` for the number of rows; None if unknown."""
        array = self.constants.get(name, self._lengths.get(name))
        return self._shapes.get(name) if array is None else array.shape

    def row_shape(self, name: str) -> Shape | None:
        """The lengths of a row of a value; None if unknown, or if the value has no rows."""
        shape = self.shape(name)
        return shape[1:] if shape is not None and shape[:1] == (BATCH,) else None

    # ------------------------------------------------------------------ a node

    def _visit(self, node: Node) -> None:
        """Note what a node makes: a constant, the same value, or a value of some shape."""
        output = node.outputs[0] if node.outputs else ""
        if not output:
            return
        inputs = [self.resolve(name) for name in node.inputs if name]
        if all(name in self.constants for name in inputs):
            array = self._folded(node, inputs)
            if array is not None:
                self.constants[output] = array
            return
        if self._note_lengths(node, output):
            return
        shape = self._shape(node)
        if shape is not None:
            self._shapes[output] = shape
        if self._means_nothing(node, shape):
            self.aliases[output] = inputs[0]

    def _folded(self, node: Node, inputs: Sequence[str]) -> np.ndarray | None:
        """What a node makes of constants, if it only moves them."""
        arrays = [self.constants[name] for name in inputs]
        if node.operator == "Constant":
            return _constant(node)
        if node.operator not in _MOVES or not arrays:
            return None
        return _MOVES[node.operator](node, arrays)

    def _note_lengths(self, node: Node, output: str) -> bool:
        """Note what exporters compute of the shape of a value for a later `Reshape`."""
        inputs = [self.resolve(name) for name in node.inputs if name]
        shape = self.shape(node.inputs[0]) if node.operator == "Shape" else None
        if shape is not None:
            lengths = np.array(shape, np.int64)  # in which 0 stands for the rows
        elif node.operator in _MOVES and all(
            name in self._lengths or name in self.constants for name in inputs
        ):
            arrays = [self._lengths.get(name, self.constants.get(name)) for name in inputs]
            lengths = _MOVES[node.operator](node, [a for a in arrays if a is not None])
        else:
            return False
        self._lengths[output] = lengths
        return True

    def _shape(self, node: Node) -> Shape | None:
        """The shape of what a node makes; None if it is unknown."""
        shapes = [self.shape(name) for name in node.inputs if name]
        arrays = [self._lengths.get(name, self.constants.get(name))
                  for name in map(self.resolve, filter(None, node.inputs))]  # fmt: skip
        if not shapes or None in shapes:
            return None
        return shape_of(node, [s for s in shapes if s is not None], arrays, self._batches)

    def _means_nothing(self, node: Node, shape: Shape | None) -> bool:
        """Whether a node makes the numbers it reads, in the same order for each row."""
        operator = node.operator
        if operator in ("Identity", "ai.onnx.ml.ZipMap"):
            return True
        if operator == "Dropout":
            mode = node.inputs[2] if len(node.inputs) > 2 else ""
            training = self.constants.get(self.resolve(mode), np.array(False)) if mode else False
            return not np.any(training)
        if operator == "Cast":
            source = self.producer(self.resolve(node.inputs[0]))
            logical = source is not None and source.operator in _LOGICAL
            return node.attributes.get("to") in _FLOAT_CODES and not logical
        moves = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
        has_rows = self.row_shape(node.inputs[0]) is not None
        return operator in moves and shape is not None and shape[:1] == (BATCH,) and has_rows


def _shape_of(end: End) -> Shape:
    """The shape of an input; FormatError if a length after the first is free."""
    if end.type not in FLOATS and end.type not in CODES:
        raise FormatError(
            f"input {end.name!r} has the type {end.type}; float32, float64 and codes are read"
        )
    if end.shape is None or not end.shape or None in end.shape[1:]:
        raise FormatError(
            f"input {end.name!r} has the shape {end.shape}: the lengths after the first, which is "
            "the number of rows, must be known"
        )
    return (BATCH, *(n for n in end.shape[1:] if n is not None))


# -------------------------------------------------------------------- constants


def _constant(node: Node) -> np.ndarray | None:
    """The array of a `Constant` node."""
    for name, dtype in (
        ("value", None), ("value_float", np.float32), ("value_floats", np.float32),
        ("value_int", np.int64), ("value_ints", np.int64),
    ):  # fmt: skip
        if name in node.attributes:
            return np.asarray(node.attributes[name], dtype)
    return None


def _axes(node: Node, arrays: Sequence[np.ndarray]) -> tuple[int, ...] | None:
    if "axes" in node.attributes:
        return tuple(node.attributes["axes"])
    return tuple(arrays[1].tolist()) if len(arrays) > 1 else None


def _cast(node: Node, arrays: Sequence[np.ndarray]) -> np.ndarray:
    kinds: dict[Any, Any] = {1: np.float32, 6: np.int32, 7: np.int64, 11: np.float64}
    if node.attributes.get("to") not in kinds:
        raise ValueError(f"a cast to the type {node.attributes.get('to')}")
    return arrays[0].astype(kinds[node.attributes["to"]])


def _concat(node: Node, arrays: Sequence[np.ndarray]) -> np.ndarray:
    _check_size(sum(array.size for array in arrays))
    return np.concatenate(arrays, node.attributes.get("axis", 0))


def _gather(node: Node, arrays: Sequence[np.ndarray]) -> np.ndarray:
    source, indices = arrays
    axis = node.attributes.get("axis", 0)
    _check_size(indices.size * source.size // max(source.shape[axis], 1))
    return np.take(source, indices, axis=axis)


def _check_size(size: int) -> None:
    """Raise ValueError beyond a limit: a hostile file could double its constants many times."""
    if size > MOST_MADE:
        raise ValueError(f"{size:,} constants made of others; at most {MOST_MADE:,} are")


_MOVES: dict[str, Callable[[Node, Sequence[np.ndarray]], np.ndarray]] = {
    "Identity": lambda node, arrays: arrays[0],
    "Cast": _cast,
    "Transpose": lambda node, arrays: np.transpose(arrays[0], node.attributes.get("perm")),
    "Reshape": lambda node, arrays: arrays[0].reshape(arrays[1].tolist()),
    "Squeeze": lambda node, arrays: np.squeeze(arrays[0], _axes(node, arrays)),
    "Unsqueeze": lambda node, arrays: np.expand_dims(arrays[0], _axes(node, arrays) or ()),
    "Concat": _concat,
    "Gather": _gather,
}
"""What is computed of constants: nodes that move numbers and compute none."""
