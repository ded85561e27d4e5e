"""Activations as nodes of ONNX: by the operator of their row, or by primitive operators.

Primitive operators stand for an activation that has no operator, or none in the opset, and in
float64 for all but the oldest operators: runtimes have the others in float32 alone, and the
numbers of their attributes are float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.facts import activations
from fastnn.formats.onnx_nodes import Nodes, since

IN_DOUBLE = ("Identity", "Relu", "Sigmoid", "Tanh")
"""Operators that are written in float64 too."""

WITH_NUMBER = {"LeakyRelu": "alpha", "Elu": "alpha", "Swish": "alpha"}
"""Operators whose attribute is the parameter of the activation."""

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
GELU_CUBIC, GELU_SCALE = 0.044715, math.sqrt(2 / math.pi)
ERF_LIMIT = 6.0
"""Beyond it erf is 1 in float64."""
ERF_POINTS = 48
"""Points of the quadrature of erf: its error is below 1e-15."""


def operator_of(function: str, alpha: float, is_double: bool) -> str | None:
    """The operator that computes an activation, whatever its opset; None if there is none.

    Parameters
    ----------
    function : str
        A name in ``fastnn.activations.names()``.
    alpha : float
        Its parameter; swish of an infinite one is relu.
    is_double : bool
        Whether the graph is float64.
    """
    operator = activations.get(function).onnx
    if operator == "Swish" and math.isinf(alpha):
        operator = "Relu"
    return operator if not is_double or operator in IN_DOUBLE else None


def write_activation(
    nodes: Nodes, function: str, x: str, alpha: float | str | None, output: str
) -> None:
    """Add the nodes of an activation.

    Parameters
    ----------
    nodes : Nodes
    function : str
    x, output : str
        Names of the values.
    alpha : float, str or None
        The parameter, or the name of the value that holds it.
    """
    if not isinstance(alpha, str):
        number = alpha if alpha is not None else 0.0
        operator = operator_of(function, number, nodes.is_double)
        if operator is not None and since(operator) <= nodes.opset:
            attributes: dict[str, Any] = (
                {WITH_NUMBER[operator]: number} if operator in WITH_NUMBER else {}
            )
            if function == "gelu_tanh":
                attributes = {"approximate": "tanh"}
            nodes.add(operator, [x], output, **attributes)
            return
        alpha = "" if alpha is None else nodes.number(number)
    PRIMITIVES[function](nodes, x, alpha, output)


def _below(nodes: Nodes, x: str) -> str:
    """min(x, 0)."""
    return nodes.add("Min", [x, nodes.number(0.0)])


def _binary_step(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """1 if x >= 0, else 0."""
    less = nodes.add("Less", [x, nodes.number(0.0)])
    _cast(nodes, nodes.add("Not", [less]), output)


def _zero_indicator(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """1 - |sign(x)|."""
    sign = nodes.add("Abs", [nodes.add("Sign", [x])])
    nodes.add("Sub", [nodes.number(1.0), sign], output)


def _leaky_relu(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """max(x, 0) + alpha min(x, 0)."""
    below = nodes.add("Mul", [alpha, _below(nodes, x)])
    nodes.add("Add", [nodes.add("Relu", [x]), below], output)


def _swish(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """Swish: x sigmoid(beta x)."""
    inner = x if alpha == nodes.number(1.0) else nodes.add("Mul", [alpha, x])
    nodes.add("Mul", [x, nodes.add("Sigmoid", [inner])], output)


def _hard_swish(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """Hard swish: x min(max(x + 3, 0), 6) / 6."""
    ramp = nodes.add("Relu", [nodes.add("Add", [x, nodes.number(3.0)])])
    ramp = nodes.add("Min", [ramp, nodes.number(6.0)])
    nodes.add("Div", [nodes.add("Mul", [x, ramp]), nodes.number(6.0)], output)


def _expm1_below(nodes: Nodes, x: str) -> str:
    """exp(z) - 1 for z = min(x, 0), as tanh(z / 2) (exp(z) + 1): nothing cancels near 0."""
    z = _below(nodes, x)
    half = nodes.add("Tanh", [nodes.add("Mul", [z, nodes.number(0.5)])])
    return nodes.add("Mul", [half, nodes.add("Add", [nodes.add("Exp", [z]), nodes.number(1.0)])])


def _elu(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """max(x, 0) + alpha (exp(min(x, 0)) - 1)."""
    below = nodes.add("Mul", [alpha, _expm1_below(nodes, x)])
    nodes.add("Add", [nodes.add("Relu", [x]), below], output)


def _selu(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """Elu times a scale."""
    elu = nodes.free(f"{nodes.owner}/Elu")
    _elu(nodes, x, nodes.number(SELU_ALPHA), elu)
    nodes.add("Mul", [elu, nodes.number(SELU_SCALE)], output)


def _softplus(nodes: Nodes, x: str, alpha: str, output: str | None) -> str:
    """max(x, 0) + log(1 + exp(-|x|))."""
    small = nodes.add("Exp", [nodes.add("Neg", [nodes.add("Abs", [x])])])
    log = nodes.add("Log", [nodes.add("Add", [small, nodes.number(1.0)])])
    return nodes.add("Add", [nodes.add("Relu", [x]), log], output)


def _mish(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """Mish: x tanh(softplus(x))."""
    plus = _softplus(nodes, x, alpha, None) if nodes.is_double else nodes.add("Softplus", [x])
    nodes.add("Mul", [x, nodes.add("Tanh", [plus])], output)


def _gelu(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """Gelu: x (1 + erf(x / sqrt(2))) / 2."""
    z = nodes.add("Mul", [x, nodes.number(math.sqrt(0.5))])
    erf = _erf_double(nodes, z) if nodes.is_double else nodes.add("Erf", [z])
    _half_of(nodes, x, erf, output)


def _gelu_tanh(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """Gelu: x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2."""
    square = nodes.add("Mul", [x, x])
    cubic = nodes.add("Mul", [nodes.add("Mul", [square, x]), nodes.number(GELU_CUBIC)])
    u = nodes.add("Mul", [nodes.add("Add", [x, cubic]), nodes.number(GELU_SCALE)])
    _half_of(nodes, x, nodes.add("Tanh", [u]), output)


def _half_of(nodes: Nodes, x: str, odd: str, output: str) -> None:
    """Half of x (1 + odd)."""
    twice = nodes.add("Mul", [x, nodes.add("Add", [odd, nodes.number(1.0)])])
    nodes.add("Mul", [twice, nodes.number(0.5)], output)


def _erf_double(nodes: Nodes, x: str) -> str:
    """erf(x) = 2 x / sqrt(pi) times the integral of exp(-(x t)^2) over t from 0 to 1.

    By Gauss-Legendre quadrature, a matrix product of the exponentials and the weights.
    """
    points, weights = np.polynomial.legendre.leggauss(ERF_POINTS)
    points, weights = (points + 1) / 2, weights / np.sqrt(np.pi)  # the half of [0, 1], times 2
    low, high = nodes.number(-ERF_LIMIT), nodes.number(ERF_LIMIT)
    x = nodes.add("Min", [nodes.add("Max", [x, low]), high])
    t = nodes.constant("points", points)
    arguments = nodes.add("Mul", [nodes.reshape(x, [0, -1, 1]), t])
    squares = nodes.add("Neg", [nodes.add("Mul", [arguments, arguments])])
    columns = nodes.constant("weights", weights[:, None])
    integral = nodes.add("MatMul", [nodes.add("Exp", [squares]), columns])
    return nodes.add("Mul", [x, nodes.reshape(integral, [0, -1])])


def _softsign(nodes: Nodes, x: str, alpha: str, output: str) -> None:
    """Softsign: x / (1 + |x|)."""
    size = nodes.add("Add", [nodes.add("Abs", [x]), nodes.number(1.0)])
    nodes.add("Div", [x, size], output)


def _cast(nodes: Nodes, x: str, output: str) -> None:
    """The values in the dtype of the graph."""
    nodes.add("Cast", [x], output, to=nodes.onnx.helper.np_dtype_to_tensor_dtype(nodes.dtype))


PRIMITIVES: dict[str, Callable[[Nodes, str, str, str], object]] = {
    "binary_step": _binary_step,
    "zero_indicator": _zero_indicator,
    "leaky_relu": _leaky_relu,
    "swish": _swish,
    "hard_swish": _hard_swish,
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
    "mish": _mish,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "softsign": _softsign,
}
"""Of x, the name of the parameter's value if there is one, and the name of the output."""
