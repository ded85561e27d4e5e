"""The operations of a program as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.facts import operations
from fastnn.formats.onnx_activations import operator_of, write_activation
from fastnn.formats.onnx_nodes import OLDEST, Nodes, since

NEWEST_UNASKED = 20
"""The newest opset that an operator brings about unasked; runtimes of 2024 have it.  Operators
that are newer are written by primitive ones, unless the user asks for their opset."""


@dataclass(frozen=True)
class Call:
    """An operation to be written.

    Attributes
    ----------
    inputs : sequence of str
        Names of the values.
    output : str
    parameters : mapping of str to str
        Names of the parameters' values by role.
    shapes : mapping of str to tuple
        Their shapes.
    attributes : mapping
        Those of the operation.
    """

    inputs: Sequence[str]
    output: str
    parameters: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    attributes: Mapping[str, Any]


def lowest_opset(kind: str, attributes: Mapping[str, Any], n_parameters: int, double: bool) -> int:
    """The lowest opset that has the operator of an operation, if runtimes commonly have it."""
    operator = operations.get(kind).onnx
    if kind == "activation":
        operator = operator_of(attributes["function"], attributes.get("alpha", 0.0), double)
        if n_parameters:
            operator = None
    elif kind == "layer_norm" and not has_operator(attributes, double):
        operator = None
    version = OLDEST if operator is None or kind == "dropout" else since(operator)
    return max(OLDEST, version if version <= NEWEST_UNASKED else OLDEST)


def has_operator(attributes: Mapping[str, Any], double: bool) -> bool:
    """Whether LayerNormalization is this normalisation: it has a scale, and a float32 epsilon."""
    return bool(attributes["scale"]) and not double


def write_operation(nodes: Nodes, kind: str, call: Call) -> None:
    """Add the nodes of an operation; dropout and custom layers have none."""
    nodes.owner = call.output
    if kind in _WRITERS:
        _WRITERS[kind](nodes, call)
    else:
        nodes.add(str(operations.get(kind).onnx), call.inputs, call.output)


def _dense(nodes: Nodes, call: Call) -> None:
    """Gemm, or without a bias MatMul."""
    inputs = [*call.inputs, *call.parameters.values()]
    nodes.add("Gemm" if "bias" in call.parameters else "MatMul", inputs, call.output)


def _activation(nodes: Nodes, call: Call) -> None:
    alpha = call.parameters.get("parameter", call.attributes.get("alpha"))
    write_activation(nodes, call.attributes["function"], call.inputs[0], alpha, call.output)


def _softmax(nodes: Nodes, call: Call) -> None:
    nodes.add("Softmax", call.inputs, call.output, axis=1)


def _log_softmax(nodes: Nodes, call: Call) -> None:
    nodes.add("LogSoftmax", call.inputs, call.output, axis=1)


def _multiply(nodes: Nodes, call: Call) -> None:
    nodes.chain("Mul", call.inputs, call.output)


def _average(nodes: Nodes, call: Call) -> None:
    """Mean, or in float64, where runtimes have no Mean, the sum divided by the number."""
    if not nodes.is_double:
        nodes.add("Mean", call.inputs, call.output)
        return
    total = nodes.add("Sum", call.inputs)
    nodes.add("Div", [total, nodes.number(float(len(call.inputs)))], call.output)


def _absolute_difference(nodes: Nodes, call: Call) -> None:
    nodes.add("Abs", [nodes.add("Sub", call.inputs)], call.output)


def _concatenate(nodes: Nodes, call: Call) -> None:
    nodes.add("Concat", call.inputs, call.output, axis=1)


def _scale(nodes: Nodes, call: Call) -> None:
    nodes.add("Mul", [*call.inputs, call.parameters["gain"]], call.output)


def _layer_norm(nodes: Nodes, call: Call) -> None:
    """LayerNormalization, or the mean and the variance of each row by primitive operators."""
    (x,), epsilon = call.inputs, float(call.attributes["epsilon"])
    factors = call.parameters
    if has_operator(call.attributes, nodes.is_double) and nodes.opset >= since(
        "LayerNormalization"
    ):
        inputs = [x, *factors.values()]
        nodes.add("LayerNormalization", inputs, call.output, axis=-1, epsilon=epsilon)
        return
    difference = nodes.add("Sub", [x, nodes.reduce("ReduceMean", x, True)])
    square = nodes.add("Mul", [difference, difference])
    variance = nodes.reduce("ReduceMean", square, True)
    deviation = nodes.add("Sqrt", [nodes.add("Add", [variance, nodes.number(epsilon)])])
    steps = [("Div", deviation)]
    steps += [("Mul", factors["scale"])] if "scale" in factors else []
    steps += [("Add", factors["shift"])] if "shift" in factors else []
    value = difference
    for i, (operator, other) in enumerate(steps, 1):
        value = nodes.add(operator, [value, other], call.output if i == len(steps) else None)


def _embedding(nodes: Nodes, call: Call) -> None:
    """Rows of the table; a code out of range has the row of the nearest code."""
    sizes, width = call.attributes["sizes"], call.shapes["table"][1]
    last = nodes.constant("last", np.array(sizes, nodes.dtype) - 1)
    codes = nodes.add("Max", [call.inputs[0], nodes.number(0.0)])
    codes = nodes.add("Min", [codes, last])
    codes = nodes.add("Cast", [codes], to=nodes.onnx.TensorProto.INT64)
    if len(sizes) > 1:
        starts = np.cumsum([0, *sizes[:-1]])
        codes = nodes.add("Add", [codes, nodes.constant("starts", starts)])
    rows = nodes.add("Gather", [call.parameters["table"], codes], axis=0)
    _combine(nodes, call, rows, len(sizes) * width)


def _piecewise_linear(nodes: Nodes, call: Call) -> None:
    """For each column the product of its position in each of its bins with its rows.

    The columns have room for as many bins as the largest; those beyond a column's own count 0.
    """
    sizes, width = call.attributes["sizes"], call.shapes["table"][1]
    n, most = len(sizes), max(sizes)
    bins = np.arange(most)
    is_own = bins < np.array(sizes)[:, None]
    rows = np.where(is_own, np.cumsum([0, *sizes[:-1]])[:, None] + bins, 0)
    factor, offset = (is_own * value for value in (2.0, 1.0))
    constants = {"bins": bins, "factor": factor, "offset": offset}
    own = {
        name: nodes.constant(name, values.astype(nodes.dtype)) for name, values in constants.items()
    }
    position = nodes.add("Sub", [nodes.reshape(call.inputs[0], [0, n, 1]), own["bins"]])
    position = nodes.add("Min", [nodes.add("Relu", [position]), nodes.number(1.0)])
    position = nodes.add("Sub", [nodes.add("Mul", [position, own["factor"]]), own["offset"]])
    indices = nodes.constant("rows", rows.astype(np.int64))
    tables = nodes.add("Gather", [call.parameters["table"], indices], axis=0)
    by_column = nodes.add("Transpose", [position], perm=[1, 0, 2])
    vectors = nodes.add("MatMul", [by_column, tables])
    _combine(nodes, call, nodes.add("Transpose", [vectors], perm=[1, 0, 2]), n * width)


def _combine(nodes: Nodes, call: Call, vectors: str, width: int) -> None:
    """The vectors of the columns (batch, columns, width) side by side, or their sum."""
    if call.attributes["combine"] == "sum":
        nodes.reduce("ReduceSum", vectors, False, call.output)
    else:
        nodes.reshape(vectors, [-1, width], call.output)


_WRITERS: dict[str, Callable[[Nodes, Call], None]] = {
    "dense": _dense,
    "activation": _activation,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "multiply": _multiply,
    "average": _average,
    "absolute_difference": _absolute_difference,
    "concatenate": _concatenate,
    "scale": _scale,
    "layer_norm": _layer_norm,
    "embedding": _embedding,
    "piecewise_linear": _piecewise_linear,
}
"""Those of operations that are more than one node of the operator of their row."""
