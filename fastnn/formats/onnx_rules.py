"""What several nodes of ONNX mean together as layers, by patterns of them.

fastnn writes some of these patterns; exporters of other programs write others where the opset lacks
an operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from fastnn.formats.onnx_activations import (
    ERF_LIMIT,
    GELU_CUBIC,
    GELU_SCALE,
    SELU_ALPHA,
    SELU_SCALE,
)
from fastnn.formats.onnx_graph import ReadGraph as Graph
from fastnn.formats.onnx_meanings import (
    Meaning,
    Unreadable,
    activation,
    dense,
    merge,
    normalised,
    one_length,
    vector,
)
from fastnn.formats.onnx_model import Node
from fastnn.formats.onnx_patterns import Any_, Array, Bindings, Number, Op, Pattern, either, op
from fastnn.layers import AbsDifference, Embedding, PiecewiseLinear, Swish

Build = Callable[[Graph, Bindings], Meaning]


@dataclass(frozen=True)
class Rule:
    """A pattern and what it means."""

    pattern: Pattern
    build: Build


@cache
def rules() -> tuple[Rule, ...]:
    """The rules, those of larger patterns before those of their parts."""
    return (*_activations(), *_normalisations(), *_others(), *_tables())


# ------------------------------------------------------------------ activations

X, ALPHA, EPSILON = Any_("x"), Number(name="alpha"), Number(name="epsilon")


def _means(function: str) -> Build:
    """An activation of x, with the number alpha as its parameter if it is bound."""
    return lambda graph, bound: activation(bound["x"], function, bound.get("alpha"))


def _times(a: Pattern | float, b: Pattern | float, c: Pattern | float) -> Pattern:
    """A product of three factors in any order."""
    return either(
        op("Mul", op("Mul", a, b), c), op("Mul", op("Mul", a, c), b), op("Mul", op("Mul", b, c), a)
    )


def _activations() -> Iterator[Rule]:
    below = either(op("Min", X, 0.0), op("Clip", X, Array("_"), 0.0))
    expm1 = op("Mul", op("Tanh", op("Mul", below, 0.5)), op("Add", op("Exp", below), 1.0))
    relu = op("Relu", X)
    small = op("Exp", op("Neg", op("Abs", X)))
    stable = op("Add", relu, op("Log", op("Add", small, 1.0)))
    plain = op("Log", op("Add", op("Exp", X), 1.0))
    softplus = either(op("Softplus", X), stable, plain)
    above = op("Add", X, 3.0)
    ramp = either(op("Min", op("Relu", above), 6.0), op("Clip", above, 0.0, 6.0))
    elu = op("Add", relu, op("Mul", expm1, ALPHA))
    for function, pattern in (
        ("selu", op("Mul", op("Add", relu, op("Mul", expm1, SELU_ALPHA)), SELU_SCALE)),
        ("elu", elu),
        ("leaky_relu", op("Add", relu, op("Mul", below, ALPHA))),
        ("hard_swish", op("Div", op("Mul", X, ramp), 6.0)),
        ("hard_swish", op("Mul", X, op("Div", ramp, 6.0))),
        ("mish", op("Mul", X, op("Tanh", softplus))),
        ("gelu", _gelu()),
        ("gelu_tanh", _gelu_tanh()),
        ("swish", op("Mul", X, op("Sigmoid", X))),
        ("softplus", stable),
        ("softplus", plain),
        ("softplus", op("Where", op("Greater", X, 20.0), X, op("Softplus", X))),
        ("softsign", op("Div", X, op("Add", op("Abs", X), 1.0))),
        ("zero_indicator", op("Sub", Number(1.0), op("Abs", op("Sign", X)))),
        ("binary_step", op("Cast", op("Not", op("Less", X, 0.0)))),
        ("binary_step", op("Cast", op("GreaterOrEqual", X, 0.0))),
    ):
        yield Rule(pattern, _means(function))
    yield Rule(op("Mul", X, op("Sigmoid", op("Mul", X, Array("beta")))), _swish)
    yield Rule(op("Mul", X, op("HardSigmoid", X, name="ramp")), _hard_swish)


def _gelu() -> Pattern:
    """Gelu by erf, or by the quadrature of erf that fastnn writes in float64."""
    z = either(op("Mul", X, np.sqrt(0.5)), op("Div", X, np.sqrt(2.0)))
    inside = op("Min", op("Max", z, -ERF_LIMIT), ERF_LIMIT)
    arguments = op("Mul", inside, Array("points"))
    exponentials = op("Exp", op("Neg", op("Mul", arguments, arguments)))
    quadrature = op("Mul", inside, op("MatMul", exponentials, Array("weights")))
    return _times(X, op("Add", either(op("Erf", z), quadrature), 1.0), 0.5)


def _gelu_tanh() -> Pattern:
    square = op("Mul", X, X)
    cube = either(op("Mul", square, X), op("Mul", X, square), op("Pow", X, 3.0))
    u = op("Mul", op("Add", X, op("Mul", cube, GELU_CUBIC)), GELU_SCALE)
    return _times(X, op("Add", op("Tanh", u), 1.0), 0.5)


def _swish(graph: Graph, bound: Bindings) -> Meaning:
    """Swish; its factor is a parameter where fastnn wrote it as one."""
    name = bound["beta"]
    beta = float(vector(graph.constants[name], 1)[0])
    if not name.endswith(".beta"):
        return activation(bound["x"], "swish", beta)
    return Meaning(
        (bound["x"],),
        lambda layer: Swish(beta, trainable_beta=True, name=layer),
        ("swish", name),
        name,
    )


def _hard_swish(graph: Graph, bound: Bindings) -> Meaning:
    attributes = bound["ramp"].attributes
    numbers = [attributes.get("alpha", 0.2), attributes.get("beta", 0.5)]
    if not np.allclose(numbers, [1 / 6, 0.5], rtol=1e-6, atol=0):
        raise Unreadable(f"multiplies by a hard sigmoid with the numbers {numbers}")
    return activation(bound["x"], "hard_swish")


# --------------------------------------------------------------- normalisations


def _normalisations() -> Iterator[Rule]:
    mean = either(op("ReduceMean", X, name="mean"), op("ReduceMean", X, Array("_"), name="mean"))
    d = op("Sub", X, mean)
    square = either(op("Mul", d, d), op("Pow", d, 2.0))
    variance = either(
        op("ReduceMean", square, name="variance"),
        op("ReduceMean", square, Array("_"), name="variance"),
    )
    root = op("Sqrt", op("Add", variance, EPSILON))
    for normal in (op("Div", d, root), op("Mul", d, op("Reciprocal", root))):
        scaled = op("Mul", normal, Array("scale"))
        shift = Array("shift")
        for pattern in (op("Add", scaled, shift), scaled, op("Add", normal, shift), normal):
            yield Rule(pattern, _normalisation)


def _normalisation(graph: Graph, bound: Bindings) -> Meaning:
    width = one_length(graph, bound["read x"])
    for node in (bound["mean"], bound["variance"]):
        _check_columns(graph, node)
    names: dict[str, str] = {role: bound[role] for role in ("scale", "shift") if role in bound}
    return normalised(graph, bound["x"], width, bound["epsilon"], names)


def _check_columns(graph: Graph, node: Node, keeps: int = 1) -> None:
    """Raise Unreadable unless a node reduces axis 1, and keeps it or not."""
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:
        axes = graph.constants[graph.resolve(node.inputs[1])].tolist()
    last = [[1], [-1]] if keeps else [[1]]
    if axes not in last or node.attributes.get("keepdims", 1) != keeps:
        raise Unreadable(f"reduces the axes {axes}, not the columns")


# ----------------------------------------------------------------------- others


def _others() -> Iterator[Rule]:
    product = op("MatMul", X, Array("weight"), name="product")
    yield Rule(op("Add", product, Array("bias")), _dense_with_bias)
    difference = op("Sub", Any_("a"), Any_("b"), name="difference")
    yield Rule(op("Abs", difference), _absolute_difference)


def _dense_with_bias(graph: Graph, bound: Bindings) -> Meaning:
    return dense(graph, bound["product"].inputs[0], (bound["weight"], bound["bias"]), {})


def _absolute_difference(graph: Graph, bound: Bindings) -> Meaning:
    return merge(graph, bound["difference"].inputs, AbsDifference)


# ----------------------------------------------------------------------- tables


def _tables() -> Iterator[Rule]:
    table = Array("table")
    inside = op("Min", op("Max", X, 0.0), Array("last"))
    codes = op("Cast", inside)
    own = either(op("Add", codes, Array("starts")), codes)
    for rows in (
        op("Gather", table, own, name="rows"),
        op("Gather", table, op("Cast", X), name="rows"),
        op("Gather", table, X, name="rows"),
    ):
        yield from _combined(rows, _embedding)
    position = op("Min", op("Relu", op("Sub", X, Array("bins"))), 1.0)
    position = op("Sub", op("Mul", position, Array("factor")), Array("offset"))
    tables = op("Gather", table, Array("rows"))
    product = op("MatMul", op("Transpose", position), tables)
    yield from _combined(op("Transpose", product), _piecewise_linear)


def _combined(vectors: Op, build: Build) -> Iterator[Rule]:
    """Vectors of columns side by side, or their sum."""
    yield Rule(op("ReduceSum", vectors, name="reduced"), build)
    yield Rule(op("ReduceSum", vectors, Array("_"), name="reduced"), build)
    yield Rule(vectors, build)


def _how_combined(graph: Graph, bound: Bindings) -> str:
    if "reduced" in bound:
        _check_columns(graph, bound["reduced"], keeps=0)
        return "sum"
    return "concatenate"


def _embedding(graph: Graph, bound: Bindings) -> Meaning:
    table = graph.constants[bound["table"]]
    if table.ndim != 2 or table.dtype.kind != "f" or bound["rows"].attributes.get("axis", 0) != 0:
        raise Unreadable("looks up something else than rows of a table")
    if "last" in bound:
        sizes = (graph.constants[bound["last"]].reshape(-1) + 1).astype(int).tolist()
    elif graph.row_shape(bound["read x"]) in ((), (1,)):
        sizes = [len(table)]
    else:
        raise Unreadable("looks up the codes of several columns in one table")
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    written = graph.constants[bound["starts"]].reshape(-1).tolist() if "starts" in bound else [0]
    if not sizes or min(sizes) < 1 or sum(sizes) != len(table) or starts != written:
        raise Unreadable(f"looks up codes of the sizes {sizes} in a table of {len(table)} rows")
    combine = _how_combined(graph, bound)
    return Meaning(
        (bound["x"],),
        lambda name: Embedding(sizes, table.shape[1], combine, weight=table, name=name),
        ("embedding", bound["table"], combine),
        bound["table"],
    )


def _piecewise_linear(graph: Graph, bound: Bindings) -> Meaning:
    names = ("table", "rows", "bins", "factor", "offset")
    table, rows, bins, factor, offset = (graph.constants[bound[name]] for name in names)
    if table.ndim != 2 or factor.ndim != 2:
        raise Unreadable("is part of a piecewise-linear embedding without bins")
    counts = np.count_nonzero(factor, axis=1)
    every = np.arange(factor.shape[1])
    is_own = every < counts[:, None]
    starts = np.cumsum([0, *counts[:-1]])[:, None]
    expected = (2 * is_own, is_own, every, np.where(is_own, starts + every, 0))
    same = map(np.array_equal, (factor, offset, bins, rows), expected)
    if counts.min() < 1 or counts.sum() != len(table) or not all(same):
        raise Unreadable("is part of a piecewise-linear embedding with other bins")
    sizes, combine = counts.tolist(), _how_combined(graph, bound)
    return Meaning(
        (bound["x"],),
        lambda name: PiecewiseLinear(sizes, table.shape[1], combine, weight=table, name=name),
        ("piecewise_linear", bound["table"], combine),
        bound["table"],
    )
