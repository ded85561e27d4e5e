"""What nodes of ONNX mean as layers: single nodes by their operator, several by their pattern."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.formats._program import activation_layer
from fastnn.formats.onnx_activations import (
    SELU_ALPHA,
    SELU_SCALE,
)
from fastnn.formats.onnx_graph import ReadGraph as Graph
from fastnn.formats.onnx_model import Node
from fastnn.layers import (
    Activation,
    Add,
    Average,
    Concatenate,
    Dense,
    Layer,
    LayerNorm,
    Multiply,
    Scale,
    Subtract,
)

MOST_COLUMNS_SHIFTED = 4096
"""A shift by constants is a dense layer with the identity as its weight, of at most this width."""


@dataclass(frozen=True)
class Meaning:
    """The layer that a value of a graph is the output of.

    Attributes
    ----------
    inputs : tuple of str
        Values that the layer reads.
    make : function of a name (str or None)
        Makes the layer.  That of a dense layer takes the activation it ends in too.
    key : hashable or None
        Equal for two values of one layer that is called twice.
    parameter : str or None
        Name of a parameter, which has the name of the layer before its last dot.
    activation : (str, float or None), optional
        Function and parameter, if the layer is an activation.
    is_dense : bool
    """

    inputs: tuple[str, ...]
    make: Callable[..., Layer]
    key: Hashable = None
    parameter: str | None = None
    activation: tuple[str, float | None] | None = None
    is_dense: bool = False


class Unreadable(Exception):
    """Why a node has no meaning: the end of a sentence about it."""


def vector(array: np.ndarray, width: int) -> np.ndarray:
    """A constant that is broadcast along the columns, as (width,) float64 or its own dtype.

    Raises
    ------
    Unreadable
        If it is not.
    """
    if array.dtype.kind not in "fiu":
        raise Unreadable(f"has a constant of the type {array.dtype}")
    if array.size not in (1, width) or (array.ndim and array.shape[-1] != array.size):
        raise Unreadable(f"has a constant of shape {array.shape} for {width} columns")
    return np.broadcast_to(array.reshape(-1), (width,))


# ----------------------------------------------------------------- single nodes


def _plain(function: str) -> Callable[[Graph, Node], Meaning]:
    """The meaning of an operator that is an activation without a parameter."""
    return lambda graph, node: activation(graph.resolve(node.inputs[0]), function)


def activation(x: str, function: str, alpha: float | None = None) -> Meaning:
    """The meaning of an activation of a value."""
    return Meaning(
        (x,), lambda name: activation_layer(function, alpha, name), activation=(function, alpha)
    )


def _with_alpha(function: str, default: float) -> Callable[[Graph, Node], Meaning]:
    def read(graph: Graph, node: Node) -> Meaning:
        return activation(
            graph.resolve(node.inputs[0]), function, node.attributes.get("alpha", default)
        )

    return read


def _selu(graph: Graph, node: Node) -> Meaning:
    numbers = [node.attributes.get(k, v) for k, v in (("gamma", SELU_SCALE), ("alpha", SELU_ALPHA))]
    if not np.allclose(numbers, [SELU_SCALE, SELU_ALPHA], rtol=1e-6, atol=0):
        raise Unreadable(f"has the gamma and alpha {numbers}, not those of SELU")
    return activation(graph.resolve(node.inputs[0]), "selu")


def _gelu(graph: Graph, node: Node) -> Meaning:
    form = node.attributes.get("approximate", "none")
    return activation(graph.resolve(node.inputs[0]), "gelu_tanh" if form == "tanh" else "gelu")


def _prelu(graph: Graph, node: Node) -> Meaning:
    slope = graph.constants.get(graph.resolve(node.inputs[1]))
    if slope is None or not (slope == slope.flat[0]).all():
        raise Unreadable("has several slopes, or slopes that are not constant")
    return activation(graph.resolve(node.inputs[0]), "leaky_relu", float(slope.flat[0]))


def _clip(graph: Graph, node: Node) -> Meaning:
    """Relu written as a clip at 0."""
    bounds = [node.attributes.get(name) for name in ("min", "max")]
    for i, name in enumerate(node.inputs[1:3]):
        if name:
            bounds[i] = float(graph.constants.get(graph.resolve(name), np.array(np.nan)).flat[0])
    low, high = bounds
    if low != 0 or (high is not None and high < 3e38):
        raise Unreadable(f"clips to [{low}, {high}], which no layer does")
    return activation(graph.resolve(node.inputs[0]), "relu")


def _of_rows(function: str) -> Callable[[Graph, Node], Meaning]:
    def read(graph: Graph, node: Node) -> Meaning:
        one_length(graph, node.inputs[0])
        if node.attributes.get("axis", 1) not in (1, -1):
            raise Unreadable("is not along the columns of a matrix")
        return activation(graph.resolve(node.inputs[0]), function)

    return read


def dense(
    graph: Graph, x: str, names: tuple[str, str | None], numbers: Mapping[str, float]
) -> Meaning:
    """A dense layer of a Gemm or MatMul; `names` are those of the weight and the bias."""
    weight = graph.constants.get(names[0])
    if weight is None:
        raise Unreadable("multiplies by a matrix that is not constant")
    if weight.ndim != 2 or weight.dtype.kind != "f":
        raise Unreadable(
            f"multiplies by a constant of shape {weight.shape} and type {weight.dtype}"
        )
    if one_length(graph, x) != weight.shape[1 if numbers.get("transB") else 0]:
        raise Unreadable(
            f"multiplies rows of shape {graph.row_shape(x)} by a weight of shape {weight.shape}"
        )
    weight = weight.T if numbers.get("transB") else weight
    alpha, beta = numbers.get("alpha", 1.0), numbers.get("beta", 1.0)
    weight = weight if alpha == 1 else weight * weight.dtype.type(alpha)
    n_in, n_out = weight.shape
    options: dict[str, Any] = {"use_bias": False}
    if names[1] is not None:
        bias = vector(graph.constants[names[1]], n_out)
        options = {"bias": bias if beta == 1 else bias * bias.dtype.type(beta)}
    key = ("dense", names, bool(numbers.get("transB")), alpha, beta)

    def make(name: str | None, function: Activation | None = None) -> Layer:
        return Dense(n_in, n_out, function, weight=weight, name=name, **options)

    return Meaning((graph.resolve(x),), make, key, names[0], is_dense=True)


def _gemm(graph: Graph, node: Node) -> Meaning:
    if node.attributes.get("transA"):
        raise Unreadable("transposes its input, whose rows are samples")
    x, weight, *bias = node.inputs
    third = graph.resolve(bias[0]) if bias and bias[0] else None
    if third is not None and third not in graph.constants:
        raise Unreadable("adds a matrix that is not constant")
    return dense(graph, x, (graph.resolve(weight), third), node.attributes)


def _matmul(graph: Graph, node: Node) -> Meaning:
    x, weight = node.inputs
    return dense(graph, x, (graph.resolve(weight), None), {})


def _layer_norm(graph: Graph, node: Node) -> Meaning:
    width = one_length(graph, node.inputs[0])
    if node.attributes.get("axis", -1) not in (-1, 1):
        raise Unreadable("is not along the columns of a matrix")
    roles = zip(("scale", "shift"), node.inputs[1:], strict=False)
    names = {role: graph.resolve(name) for role, name in roles if name}
    epsilon = node.attributes.get("epsilon", 1e-5)
    return normalised(graph, node.inputs[0], width, epsilon, names)


def normalised(
    graph: Graph, x: str, width: int, epsilon: float, names: Mapping[str, str]
) -> Meaning:
    """A layer normalisation with constants for its scale and shift."""
    options: dict[str, Any] = {f"use_{role}": role in names for role in ("scale", "shift")}
    for role, name in names.items():
        if name not in graph.constants:
            raise Unreadable(f"has a {role} that is not constant")
        options[role] = vector(graph.constants[name], width)
    return Meaning(
        (graph.resolve(x),),
        lambda name: LayerNorm(width, epsilon=epsilon, name=name, **options),
        ("layer_norm", *names.values()) if _is_own(options.get("scale")) else None,
        next(iter(names.values()), None),
    )


def _is_own(array: np.ndarray | None) -> bool:
    """Whether a parameter tells its layer from others: exporters join arrays of ones to one."""
    return array is not None and not (array == array[0]).all()


def one_length(graph: Graph, name: str) -> int:
    """The number of columns of a value that is a matrix."""
    shape = graph.row_shape(name)
    if shape is None or len(shape) != 1:
        raise Unreadable(f"reads rows of shape {shape}, not the columns of a matrix")
    return shape[0]


def _concat(graph: Graph, node: Node) -> Meaning:
    for name in node.inputs:
        one_length(graph, name)
    if node.attributes.get("axis") not in (1, -1):
        raise Unreadable("does not join columns")
    return merge(graph, node.inputs, Concatenate)


def merge(graph: Graph, names: Sequence[str], layer: type[Layer]) -> Meaning:
    """A merge of values, or the value itself if it is one."""
    values = tuple(graph.resolve(name) for name in names)
    shapes = [graph.row_shape(name) for name in names]
    if layer is not Concatenate and (None in shapes or len(set(shapes)) > 1):
        raise Unreadable(f"merges rows of the shapes {shapes}")
    if any(value in graph.constants for value in values):
        raise Unreadable("merges several values with a constant")
    return Meaning(values, lambda name: layer(name=name))


def _sum(graph: Graph, node: Node) -> Meaning:
    return merge(graph, node.inputs, Add)


def _mean(graph: Graph, node: Node) -> Meaning:
    return merge(graph, node.inputs, Average)


def _binary(
    layer: type[Layer] | None, with_constant: Callable[[Graph, str, np.ndarray, bool, str], Meaning]
) -> Callable[[Graph, Node], Meaning]:
    """The meaning of a binary operator: a merge, or a scale or shift if one input is constant."""

    def read(graph: Graph, node: Node) -> Meaning:
        first, second = node.inputs
        for value, other, swapped in ((first, second, False), (second, first, True)):
            other = graph.resolve(other)
            if other in graph.constants:
                return with_constant(graph, value, graph.constants[other], swapped, other)
        if layer is None:
            raise Unreadable("has two inputs that are not constant")
        return merge(graph, node.inputs, layer)

    return read


def _scaled(
    graph: Graph, x: str, factor: np.ndarray, swapped: bool, parameter: str | None
) -> Meaning:
    terms = _terms(graph, x)
    if factor.size == 1 and abs(factor.flat[0] * len(terms) - 1) < 1e-7:
        return merge(graph, terms, Average)
    width = one_length(graph, x)
    gains = vector(factor, width)
    return Meaning(
        (graph.resolve(x),),
        lambda name: Scale(width, scale=gains, name=name),
        ("scale", parameter) if parameter and _is_own(gains) else None,
        parameter,
    )


def _terms(graph: Graph, x: str) -> Sequence[str]:
    """The values whose sum a value is, if it is a sum of several."""
    node = graph.producer(graph.resolve(x))
    if node is None or node.operator not in ("Add", "Sum"):
        return ()
    is_variable = [graph.resolve(name) not in graph.constants for name in node.inputs]
    return node.inputs if all(is_variable) and len(is_variable) > 1 else ()


def _divided(graph: Graph, x: str, divisor: np.ndarray, swapped: bool, parameter: str) -> Meaning:
    if swapped:
        raise Unreadable("divides a constant by a value")
    with np.errstate(divide="ignore", over="ignore"):
        return _scaled(graph, x, 1 / divisor, False, None)


def _shifted(graph: Graph, x: str, shift: np.ndarray, sign: float) -> Meaning:
    """A sum with constants: a dense layer with a frozen identity, or its negative, as weight."""
    width = one_length(graph, x)
    if width > MOST_COLUMNS_SHIFTED:
        raise Unreadable(f"shifts {width} columns; at most {MOST_COLUMNS_SHIFTED} are read")
    bias = vector(shift, width)
    weight = sign * np.eye(width)
    return Meaning(
        (graph.resolve(x),),
        lambda name: Dense(width, width, weight=weight, bias=bias, trainable=False, name=name),
    )


def _added(graph: Graph, x: str, shift: np.ndarray, swapped: bool, parameter: str) -> Meaning:
    return _shifted(graph, x, shift, 1.0)


def _subtracted(graph: Graph, x: str, shift: np.ndarray, swapped: bool, parameter: str) -> Meaning:
    return _shifted(graph, x, shift, -1.0) if swapped else _shifted(graph, x, -shift, 1.0)


def _negative(graph: Graph, node: Node) -> Meaning:
    return _scaled(graph, node.inputs[0], np.array(-1.0), False, None)


OPERATORS: dict[str, Callable[[Graph, Node], Meaning]] = {
    "Add": _binary(Add, _added),
    "Clip": _clip,
    "Concat": _concat,
    "Div": _binary(None, _divided),
    "Elu": _with_alpha("elu", 1.0),
    "Gelu": _gelu,
    "Gemm": _gemm,
    "HardSwish": _plain("hard_swish"),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _with_alpha("leaky_relu", 0.01),
    "LogSoftmax": _of_rows("log_softmax"),
    "MatMul": _matmul,
    "Mean": _mean,
    "Mish": _plain("mish"),
    "Mul": _binary(Multiply, _scaled),
    "Neg": _negative,
    "PRelu": _prelu,
    "Relu": _plain("relu"),
    "Selu": _selu,
    "Sigmoid": _plain("sigmoid"),
    "Softmax": _of_rows("softmax"),
    "Softplus": _plain("softplus"),
    "Softsign": _plain("softsign"),
    "Sub": _binary(Subtract, _subtracted),
    "Sum": _sum,
    "Swish": _with_alpha("swish", 1.0),
    "Tanh": _plain("tanh"),
}
"""The meanings of single nodes."""
