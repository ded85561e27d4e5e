"""Elementwise functions: exp and log, the activations and their derivatives.

Values at infinities are the mathematical limits and nan gives nan, in functions and
derivatives alike, except where a derivative is constant.  `fastnn.activations` has the
properties and sources of the activations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.numbers import as_floating, check_number, check_out
from fastnn.backend.direct import direct
from fastnn.functional._documentation import Function, with_sections

_ELEMENTARY = ("exp", "expm1", "log", "log1p")

_SECTIONS = """
Parameters
----------
x : (...) array_like of float32 or float64
    Integers and booleans are converted to float64.
{parameter}out : (...) ndarray, optional
    Receives the result: C-contiguous, of its dtype; `x` itself or sharing no memory with it.

Returns
-------
(...) ndarray
    Of the dtype of `x`.

Raises
------
TypeError
    If `x` has another dtype, or `out` has not that of the result.
ValueError
    If `out` has the wrong shape or layout, is read-only or overlaps `x`{error}.
"""

_documented = with_sections(_SECTIONS, parameter="", error="")


def _documented_with(name: str, default: float, text: str) -> Callable[[Function], Function]:
    """The same for a function with one more parameter, which must be finite."""
    parameter = f"{name} : float, default {default:g}\n    {text}\n"
    return with_sections(_SECTIONS, parameter=parameter, error=f",\n    or `{name}` is not finite")


def _flat(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 1 else array.reshape(-1)


def _apply(function: str, x: Any, alpha: float, out: Any) -> np.ndarray:
    result = direct(function, x, alpha, out)
    return _convert_and_apply(function, x, alpha, out) if result is None else result


def _convert_and_apply(function: str, x: Any, alpha: float, out: Any) -> np.ndarray:
    z = as_floating(x, "x")
    result = np.empty(z.shape, z.dtype) if out is None else check_out(out, z.shape, z.dtype, x)
    if z.size:
        kernels = backend.kernels(z.dtype)
        if function in _ELEMENTARY:
            getattr(kernels, function)(_flat(z), _flat(result))
        elif function.endswith("_derivative"):
            name = function.removesuffix("_derivative")
            kernels.activation_derivative(name, _flat(z), alpha, _flat(result))
        else:
            kernels.activation(function, _flat(z), alpha, _flat(result))
    return result


# Exponentials and logarithms


@_documented
def exp(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """The exponential: inf where it overflows, 0 where it underflows."""
    return _apply("exp", x, 1.0, out)


@_documented
def expm1(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """The exponential less 1, exp(x) - 1, without cancellation for x near 0."""
    return _apply("expm1", x, 1.0, out)


@_documented
def log(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """The natural logarithm: -inf at 0, nan below 0."""
    return _apply("log", x, 1.0, out)


@_documented
def log1p(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """The logarithm of 1 + x, without cancellation for x near 0: -inf at -1, nan below -1."""
    return _apply("log1p", x, 1.0, out)


# Activations and their derivatives


@_documented
def identity(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Identity: x itself, as a new array."""
    return _apply("identity", x, 1.0, out)


@_documented
def identity_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of the identity: 1."""
    return _apply("identity_derivative", x, 1.0, out)


@_documented
def binary_step(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Binary step: 1 where x >= 0, else 0."""
    return _apply("binary_step", x, 1.0, out)


@_documented
def binary_step_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of the binary step: 0, so nothing can be trained through a binary step.

    The exact derivative is a Dirac impulse at 0, which no number represents.
    """
    return _apply("binary_step_derivative", x, 1.0, out)


@_documented
def zero_indicator(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Zero indicator: 1 where x == 0, else 0."""
    return _apply("zero_indicator", x, 1.0, out)


@_documented
def zero_indicator_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of the zero indicator: 0, also at 0, where it has none."""
    return _apply("zero_indicator_derivative", x, 1.0, out)


@_documented
def sigmoid(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Logistic function: 1 / (1 + exp(-x)), without overflow."""
    return _apply("sigmoid", x, 1.0, out)


@_documented
def sigmoid_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of sigmoid: s (1 - s), s = sigmoid(x), accurate where s is near 1 as well."""
    return _apply("sigmoid_derivative", x, 1.0, out)


@_documented
def tanh(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Hyperbolic tangent."""
    return _apply("tanh", x, 1.0, out)


@_documented
def tanh_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of tanh: 1 - tanh(x)^2, without cancellation for large |x|."""
    return _apply("tanh_derivative", x, 1.0, out)


@_documented
def relu(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Rectified linear unit: max(0, x)."""
    return _apply("relu", x, 1.0, out)


@_documented
def relu_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of relu: 1 where x > 0, else 0; at 0, where there is none, 0 is used."""
    return _apply("relu_derivative", x, 1.0, out)


@_documented_with("alpha", 0.01, "Slope for x <= 0.")
def leaky_relu(x: ArrayLike, alpha: float = 0.01, out: np.ndarray | None = None) -> np.ndarray:
    """Leaky rectified linear unit: x where x > 0, else alpha x."""
    return _apply("leaky_relu", x, check_number(alpha, "alpha"), out)


@_documented_with("alpha", 0.01, "Slope for x <= 0.")
def leaky_relu_derivative(
    x: ArrayLike, alpha: float = 0.01, out: np.ndarray | None = None
) -> np.ndarray:
    """Derivative of leaky_relu: 1 where x > 0, else alpha, which is used at 0 too."""
    return _apply("leaky_relu_derivative", x, check_number(alpha, "alpha"), out)


@_documented_with("beta", 1.0, "Factor inside the sigmoid.")
def swish(x: ArrayLike, beta: float = 1.0, out: np.ndarray | None = None) -> np.ndarray:
    """Swish: x sigmoid(beta x), also called SiLU for beta = 1.

    It is x / 2 for beta = 0 and tends to relu for large beta.
    """
    return _apply("swish", x, check_number(beta, "beta"), out)


@_documented_with("beta", 1.0, "Factor inside the sigmoid.")
def swish_derivative(x: ArrayLike, beta: float = 1.0, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of swish: s + beta x s (1 - s) with s = sigmoid(beta x)."""
    return _apply("swish_derivative", x, check_number(beta, "beta"), out)


@_documented
def hard_swish(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Hard swish: x min(max(x + 3, 0), 6) / 6."""
    return _apply("hard_swish", x, 1.0, out)


@_documented
def hard_swish_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of hard_swish: 0 where x <= -3, 1 where x >= 3, else (2 x + 3) / 6.

    The first two hold at the points -3 and 3 themselves, where there is no derivative.
    """
    return _apply("hard_swish_derivative", x, 1.0, out)


@_documented_with("alpha", 1.0, "Minus the limit at -inf.")
def elu(x: ArrayLike, alpha: float = 1.0, out: np.ndarray | None = None) -> np.ndarray:
    """Exponential linear unit: x where x > 0, else alpha (exp(x) - 1)."""
    return _apply("elu", x, check_number(alpha, "alpha"), out)


@_documented_with("alpha", 1.0, "Minus the limit at -inf.")
def elu_derivative(x: ArrayLike, alpha: float = 1.0, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of elu: 1 where x > 0, else alpha exp(x), which is used at 0 too."""
    return _apply("elu_derivative", x, check_number(alpha, "alpha"), out)


@_documented
def selu(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Self-normalising unit: scale (x where x > 0, else alpha (exp(x) - 1)).

    scale = 1.0507009873554805 and alpha = 1.6732632423543772 make mean 0 and variance 1
    a fixed point of a layer with LeCun-normal weights.
    """
    return _apply("selu", x, 1.0, out)


@_documented
def selu_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of selu: scale where x > 0, else scale alpha exp(x), which is used at 0 too."""
    return _apply("selu_derivative", x, 1.0, out)


@_documented
def softplus(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Softplus: log(1 + exp(x)), without overflow."""
    return _apply("softplus", x, 1.0, out)


@_documented
def softplus_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of softplus: sigmoid(x)."""
    return _apply("softplus_derivative", x, 1.0, out)


@_documented
def gelu(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Gaussian error linear unit: x Phi(x), Phi being the standard normal distribution function."""
    return _apply("gelu", x, 1.0, out)


@_documented
def gelu_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of gelu: Phi(x) + x phi(x), phi being the standard normal density."""
    return _apply("gelu_derivative", x, 1.0, out)


@_documented
def gelu_tanh(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Tanh form of gelu: x (1 + tanh(u)) / 2 with u = sqrt(2/pi) (x + 0.044715 x^3).

    An approximation of gelu, within 5e-4 of it.
    """
    return _apply("gelu_tanh", x, 1.0, out)


@_documented
def gelu_tanh_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of gelu_tanh, which approximates that of gelu."""
    return _apply("gelu_tanh_derivative", x, 1.0, out)


@_documented
def mish(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Mish: x tanh(softplus(x))."""
    return _apply("mish", x, 1.0, out)


@_documented
def mish_derivative(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """Derivative of mish: t + x (1 - t^2) sigmoid(x) with t = tanh(softplus(x))."""
    return _apply("mish_derivative", x, 1.0, out)
