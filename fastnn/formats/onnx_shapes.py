"""Shapes of the values of an ONNX graph whose number of rows is unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from fastnn.formats.onnx_model import Node

Shape = tuple[int, ...]

BATCH = 0
"""Stands for the number of rows in a shape: `Reshape` and broadcasting treat 0 as it needs."""


def shape_of(
    node: Node,
    shapes: Sequence[Shape],
    arrays: Sequence[np.ndarray | None],
    batches: Collection[int],
) -> Shape | None:
    """The shape of what a node makes, or None if it is unknown.

    Parameters
    ----------
    node : Node
    shapes : sequence of tuple of int
        Those of its inputs.
    arrays : sequence of array or None
        Its inputs that are constant.
    batches : collection of int
        Numbers of rows that the inputs of the graph state, if they state one.
    """
    if node.operator in _ELEMENTWISE:
        return np.broadcast_shapes(*shapes)
    if node.operator in _KEEPING:
        return shapes[0]
    if node.operator == "Reshape":
        return _reshaped(shapes[0], arrays[1], batches)
    rule = _RULES.get(node.operator)
    return None if rule is None else rule(node, shapes, arrays)


def _gemm(node: Node, shapes: Sequence[Shape], arrays: Any) -> Shape | None:
    rows, columns = shapes[0][0], shapes[1][0 if node.attributes.get("transB") else -1]
    return None if node.attributes.get("transA") else (rows, columns)


def _matmul(node: Node, shapes: Sequence[Shape], arrays: Any) -> Shape | None:
    a, b = shapes
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        return None
    return (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])


def _concat(node: Node, shapes: Sequence[Shape], arrays: Any) -> Shape | None:
    axis = node.attributes.get("axis", 1) % len(shapes[0])
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(others) > 1 or BATCH in (shape[axis] for shape in shapes):
        return None
    length = sum(shape[axis] for shape in shapes)
    return (*shapes[0][:axis], length, *shapes[0][axis + 1 :])


def _flatten(node: Node, shapes: Sequence[Shape], arrays: Any) -> Shape | None:
    shape = shapes[0]
    if node.attributes.get("axis", 1) != 1 or shape[:1] != (BATCH,):
        return None
    return (BATCH, math.prod(shape[1:]))


def _gather(node: Node, shapes: Sequence[Shape], arrays: Any) -> Shape | None:
    return (*shapes[1], *shapes[0][1:]) if node.attributes.get("axis", 0) == 0 else None


def _transpose(node: Node, shapes: Sequence[Shape], arrays: Any) -> Shape | None:
    order = node.attributes.get("perm", range(len(shapes[0]))[::-1])
    return tuple(shapes[0][axis] for axis in order)


def _axes(node: Node, arrays: Sequence[np.ndarray | None], rank: int) -> list[int] | None:
    """The axes of a node, an attribute in older opsets, without negative ones."""
    axes = node.attributes.get("axes")
    if axes is None and len(arrays) > 1 and arrays[1] is not None:
        axes = arrays[1].reshape(-1).tolist()
    return None if axes is None else sorted(axis % rank for axis in axes)


def _reduced(node: Node, shapes: Sequence[Shape], arrays: Any) -> Shape | None:
    shape = shapes[0]
    axes = _axes(node, arrays, len(shape))
    if axes is None:
        return None
    if node.attributes.get("keepdims", 1):
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def _squeezed(node: Node, shapes: Sequence[Shape], arrays: Any) -> Shape | None:
    shape = shapes[0]
    axes = _axes(node, arrays, len(shape))
    if axes is None or any(shape[axis] != 1 for axis in axes):
        return None
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def _unsqueezed(node: Node, shapes: Sequence[Shape], arrays: Any) -> Shape | None:
    shape = list(shapes[0])
    attribute = node.attributes.get("axes", arrays[1] if len(arrays) > 1 else None)
    if attribute is None:
        return None
    axes = _axes(node, arrays, len(shape) + len(attribute)) or []
    for axis in axes:
        shape.insert(axis, 1)
    return tuple(shape)


def _reshaped(shape: Shape, target: np.ndarray | None, batches: Collection[int]) -> Shape | None:
    """The shape after `Reshape`, if the first axis stays that of the rows."""
    if target is None or target.ndim != 1 or len(target) < 1 or shape[:1] != (BATCH,):
        return None
    rows, *lengths = (int(n) for n in target)
    if rows not in (BATCH, -1) and rows not in batches:
        return None
    lengths = [shape[i] if n == 0 and i < len(shape) else n for i, n in enumerate(lengths, 1)]
    total, stated = math.prod(shape[1:]), math.prod(n for n in lengths if n != -1)
    if lengths.count(-1) == 1 and rows != -1 and stated > 0:
        lengths = [total // stated if n == -1 else n for n in lengths]
    return (BATCH, *lengths) if math.prod(lengths) == total else None


_RULES: dict[str, Callable[[Node, Sequence[Shape], Any], Shape | None]] = {
    "Concat": _concat,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "ReduceMean": _reduced,
    "ReduceSum": _reduced,
    "Squeeze": _squeezed,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueezed,
}

_ELEMENTWISE = (
    "Add", "Div", "Greater", "GreaterOrEqual", "Less", "Max", "Mean", "Min", "Mul", "Pow", "Sub",
    "Sum", "Where",
)  # fmt: skip

_KEEPING = (
    "Abs", "Cast", "Clip", "Dropout", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish",
    "Identity", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "Mish", "Neg", "Not",
    "PRelu", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sign", "Softmax", "Softplus", "Softsign",
    "Sqrt", "Swish", "Tanh", "ai.onnx.ml.Normalizer", "ai.onnx.ml.ZipMap",
)  # fmt: skip
"""Operators whose output has the shape of their first input."""
