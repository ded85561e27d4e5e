"""What is known about each kind of operation of a program: one row for each.

A row says how many inputs an operation takes, how wide its output is, which parameters it has and
what they do.  `fastnn.program` builds and checks programs by these rows; both engines find the
parameters by their roles; the compiled core has its codes and its dispatch from them.

The roles of parameters, by the gradient of the cost that a parameter receives from dy, that of the
output:

=========  ===========================================================
role       gradient
=========  ===========================================================
weight     x' dy, with the input x
bias       the sum of dy over the samples
shift      the same
scale      the sum of dy n over the samples, with the normalised input n
gain       the sum of dy x over the samples
parameter  of an activation: the sum of dy df/dparameter
table      each row receives the sum of dy over the samples that read it, times their shares
custom     what the function of a custom layer returns
=========  ===========================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastnn.facts import activations

__all__ = ["ROWS", "OperationInfo", "get", "names"]

Widths = Sequence[int]
Shapes = Sequence[tuple[int, ...]]
Attributes = Mapping[str, Any]

COMBINATIONS = ("concatenate", "sum")
"""What becomes of the rows that the columns of an input read from a table."""


def _one_width(widths: Widths, shapes: Shapes, attributes: Attributes) -> int:
    """The width of the inputs, which all have the same."""
    if len(set(widths)) > 1:
        raise ValueError(f"takes inputs of one width, got {list(widths)}")
    return widths[0]


def _sum_of_widths(widths: Widths, shapes: Shapes, attributes: Attributes) -> int:
    return sum(widths)


def _dense_width(widths: Widths, shapes: Shapes, attributes: Attributes) -> int:
    """The number of columns of the weight, which must fit the input and the bias."""
    weight, *bias = shapes
    _check_precision(attributes)
    if weight[0] != widths[0]:
        raise ValueError(f"weight {weight} does not fit an input of width {widths[0]}")
    if bias and bias[0] != (weight[1],):
        raise ValueError(f"bias {bias[0]} does not fit weight {weight}")
    return weight[1]


def _check_precision(attributes: Attributes) -> None:
    """Raise ValueError unless the precision of a product is known, and its range one of numbers."""
    precision = attributes.get("precision", "float32")
    if precision not in ("float32", "int8"):
        raise ValueError(f"precision must be 'float32' or 'int8', got {precision!r}")
    low, high = attributes.get("low", 0.0), attributes.get("high", 0.0)
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"low and high must be a finite range, got {low!r} and {high!r}")


def _activation_width(widths: Widths, shapes: Shapes, attributes: Attributes) -> int:
    """The width of the input; the function is known, and its parameter may be trained."""
    function = attributes.get("function")
    if function not in activations.names():
        names = ", ".join(activations.names())
        raise ValueError(f"unknown activation {function!r}; known are {names}")
    allowed = [(1,)] if activations.get(function).trainable_parameter else []
    if shapes and list(shapes) != allowed:
        raise ValueError(f"parameters of shapes {list(shapes)} do not fit {function}")
    return widths[0]


def _layer_norm_width(widths: Widths, shapes: Shapes, attributes: Attributes) -> int:
    """The width of the input; scale and shift are there if the attributes say so."""
    if not {"epsilon", "scale", "shift"} <= set(attributes) or not attributes["epsilon"] > 0:
        raise ValueError("needs an epsilon > 0, and whether there are scale and shift")
    expected = _scale_and_shift(0, attributes)
    if list(shapes) != [(widths[0],)] * len(expected):
        raise ValueError(
            f"parameters of shapes {list(shapes)} do not fit {' and '.join(expected) or 'none'} "
            f"for an input of width {widths[0]}"
        )
    return widths[0]


def _scale_width(widths: Widths, shapes: Shapes, attributes: Attributes) -> int:
    """The width of the input, which the gains must fit."""
    if list(shapes) != [(widths[0],)]:
        raise ValueError(f"parameters {list(shapes)} do not fit an input of width {widths[0]}")
    return widths[0]


def _table_width(widths: Widths, shapes: Shapes, attributes: Attributes) -> int:
    """The width of the table, or as often as the input has columns; one table, a row a code."""
    sizes, combine = attributes.get("sizes", ()), attributes.get("combine")
    if combine not in COMBINATIONS:
        raise ValueError(f"combine must be one of {', '.join(COMBINATIONS)}, got {combine!r}")
    if not sizes or min(sizes) < 1:
        raise ValueError(f"needs a size of at least 1 for each column, got {list(sizes)}")
    if widths[0] != len(sizes):
        raise ValueError(f"{len(sizes)} sizes do not fit an input of width {widths[0]}")
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][0] != sum(sizes):
        raise ValueError(f"a table of {sum(sizes)} rows does not fit parameters {list(shapes)}")
    width = shapes[0][1]
    return width if combine == "sum" else width * len(sizes)


def _custom_width(widths: Widths, shapes: Shapes, attributes: Attributes) -> int:
    """The width that the custom layer states; it checks its inputs itself."""
    return int(attributes["width"])


def _no_roles(n: int, attributes: Attributes) -> tuple[str, ...]:
    return ()


def _gain(n: int, attributes: Attributes) -> tuple[str, ...]:
    return ("gain",)[:n]


def _table(n: int, attributes: Attributes) -> tuple[str, ...]:
    return ("table",)[:n]


def _weight_and_bias(n: int, attributes: Attributes) -> tuple[str, ...]:
    return ("weight", "bias")[:n]


def _scale_and_shift(n: int, attributes: Attributes) -> tuple[str, ...]:
    return tuple(role for role in ("scale", "shift") if attributes[role])


@dataclass(frozen=True, eq=False)
class OperationInfo:
    """The facts about one kind of operation."""

    name: str
    formula: str
    compiled: str | None
    """What the functions of the compiled core that run it are called after ``forward_`` and
    ``backward_``; None if the core calls Python."""
    least_inputs: int = 1
    most_inputs: float = 1
    width: Callable[[Widths, Shapes, Attributes], int] = _one_width
    """The width of the output from the widths of the inputs, the shapes of the parameters and the
    attributes; it raises ValueError if these do not fit."""
    roles: Callable[[int, Attributes], tuple[str, ...]] = _no_roles
    """The roles of the parameters from their number and the attributes."""
    is_row_function: bool = False
    """Whether it is a function of whole rows that users name as they name an activation."""
    is_merge: bool = False
    """Whether it makes one output of several inputs."""
    has_corner_at_equal_inputs: bool = False
    """Whether it passes from one formula to another where its two inputs are equal."""
    codes: bool = False
    """Whether the numbers of its input are codes: integers from 0 to below the size of a column."""
    onnx: str | None = None
    """The operator of ONNX, where there is one."""

    def output_width(self, widths: Widths, shapes: Shapes, attributes: Attributes) -> int:
        """The width of the output.

        Raises
        ------
        ValueError
            If the number or widths of the inputs, the parameters or the attributes do not fit.
        """
        self.check_count(len(widths), self.name)
        try:
            width = self.width(widths, shapes, attributes)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        if len(self.roles(len(shapes), attributes)) != len(shapes):
            raise ValueError(f"{self.name}: parameters of shapes {list(shapes)} do not fit")
        return width

    def check_count(self, n: int, subject: str) -> None:
        """Raise ValueError, about a subject, if the operation does not take `n` inputs."""
        if self.least_inputs <= n <= self.most_inputs:
            return
        number = {1: "one input", 2: "two inputs"}[self.least_inputs]
        if self.most_inputs == math.inf:
            number = f"at least {number}"
        elif self.most_inputs > 1:
            number = f"exactly {number}"
        raise ValueError(f"{subject} takes {number}, got {n}")


ROWS: tuple[OperationInfo, ...] = (
    OperationInfo(
        name="dense",
        formula="X W + b",
        compiled="dense",
        width=_dense_width,
        roles=_weight_and_bias,
        onnx="Gemm",
    ),
    OperationInfo(
        name="activation",
        formula="f(X), element by element",
        compiled="activation",
        width=_activation_width,
        roles=lambda n, attributes: ("parameter",)[:n],
    ),
    OperationInfo(
        name="softmax",
        formula="exp(x_k) / sum_j exp(x_j) in each row",
        compiled="softmax",
        is_row_function=True,
        onnx="Softmax",
    ),
    OperationInfo(
        name="log_softmax",
        formula="x_k - log(sum_j exp(x_j)) in each row",
        compiled="log_softmax",
        is_row_function=True,
        onnx="LogSoftmax",
    ),
    OperationInfo(
        name="dropout",
        formula="X M / (1 - rate) in training, with random M of 0 and 1; X in prediction",
        compiled="dropout",
        onnx="Dropout",
    ),
    OperationInfo(
        name="add",
        formula="X1 + X2 + ...",
        compiled="merge",
        least_inputs=2,
        most_inputs=math.inf,
        is_merge=True,
        onnx="Sum",
    ),
    OperationInfo(
        name="subtract",
        formula="X1 - X2",
        compiled="merge",
        least_inputs=2,
        most_inputs=2,
        is_merge=True,
        onnx="Sub",
    ),
    OperationInfo(
        name="multiply",
        formula="X1 X2 ..., element by element",
        compiled="merge",
        least_inputs=2,
        most_inputs=math.inf,
        is_merge=True,
        onnx="Mul",
    ),
    OperationInfo(
        name="average",
        formula="(X1 + X2 + ... + Xn) / n",
        compiled="merge",
        least_inputs=2,
        most_inputs=math.inf,
        is_merge=True,
        onnx="Mean",
    ),
    OperationInfo(
        name="absolute_difference",
        formula="|X1 - X2|; the derivative is 0 where they are equal",
        compiled="merge",
        least_inputs=2,
        most_inputs=2,
        is_merge=True,
        has_corner_at_equal_inputs=True,
    ),
    OperationInfo(
        name="concatenate",
        formula="X1, X2, ... side by side",
        compiled="concatenate",
        least_inputs=2,
        most_inputs=math.inf,
        width=_sum_of_widths,
        is_merge=True,
        onnx="Concat",
    ),
    OperationInfo(
        name="layer_norm",
        formula="scale n + shift, n being each row with mean 0 and variance 1",
        compiled="layer_norm",
        width=_layer_norm_width,
        roles=_scale_and_shift,
        onnx="LayerNormalization",
    ),
    OperationInfo(
        name="python",
        formula="what a custom layer returns",
        compiled=None,
        most_inputs=math.inf,
        width=_custom_width,
        roles=lambda n, attributes: ("custom",) * n,
    ),
    OperationInfo(
        name="embedding",
        formula="for each column j, row x_j of its part of a table; side by side, or their sum",
        compiled="table",
        width=_table_width,
        roles=_table,
        codes=True,
    ),
    OperationInfo(
        name="piecewise_linear",
        formula=(
            "for each column j, sum_k (2 min(max(x_j - k, 0), 1) - 1) W_k, with the rows W_k of "
            "its part of a table; side by side, or their sum"
        ),
        compiled="table",
        width=_table_width,
        roles=_table,
    ),
    OperationInfo(
        name="scale",
        formula="x s, each column with a gain of its own",
        compiled="scale",
        width=_scale_width,
        roles=_gain,
        onnx="Mul",
    ),
)
"""In the order of the codes that the compiled core uses."""

_BY_NAME = {row.name: row for row in ROWS}


def names() -> tuple[str, ...]:
    """The names of all kinds of operations."""
    return tuple(_BY_NAME)


def get(name: str) -> OperationInfo:
    """The facts about a kind of operation; ValueError lists the names there are."""
    if name not in _BY_NAME:
        raise ValueError(f"unknown operation {name!r}; known are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]
