"""Elementwise functions: exp and log, the activations and their derivatives.

Values at infinities are the mathematical limits and nan gives nan, in functions and
derivatives alike, except where a derivative is constant.  `fastnn.activations` has the
properties and sources of the activations.

The functions of an activation are one line, and their docstrings come from its row in
`fastnn.facts.activations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import as_floating, check_out
from fastnn._shared.numbers import check_number
from fastnn.backend.direct import direct
from fastnn.facts import activations
from fastnn.functional._documentation import with_sections
from fastnn.functional._shapes import plain

__all__ = [
    "binary_step",
    "binary_step_derivative",
    "elu",
    "elu_derivative",
    "exp",
    "expm1",
    "gelu",
    "gelu_derivative",
    "gelu_tanh",
    "gelu_tanh_derivative",
    "hard_swish",
    "hard_swish_derivative",
    "identity",
    "identity_derivative",
    "leaky_relu",
    "leaky_relu_derivative",
    "log",
    "log1p",
    "mish",
    "mish_derivative",
    "relu",
    "relu_derivative",
    "selu",
    "selu_derivative",
    "sigmoid",
    "sigmoid_derivative",
    "softplus",
    "softplus_derivative",
    "softsign",
    "softsign_derivative",
    "swish",
    "swish_derivative",
    "tanh",
    "tanh_derivative",
    "zero_indicator",
    "zero_indicator_derivative",
]

_ELEMENTARY = ("exp", "expm1", "log", "log1p")

_SECTIONS = """
Parameters
----------
x : (...) array_like of float32 or float64
    Integers and booleans are converted to float64.
{parameter}out : (...) ndarray, optional
    Receives the result.  C-contiguous, of the dtype of the result; `x` itself, or an array
    that shares no memory with `x`.

Returns
-------
(...) ndarray
    Of the dtype of `x`; a scalar if `x` is one.

Raises
------
TypeError
    If `x` has another dtype, or `out` has not that of the result.
ValueError
    If `out` has the wrong shape or layout, is read-only or overlaps `x`{error}.
"""

_documented = with_sections(_SECTIONS, parameter="", error="")


def _flat(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 1 else array.reshape(-1)


def _apply(function: str, x: object, alpha: float, out: object) -> np.ndarray:
    result = direct(function, x, alpha, out)
    return _convert_and_apply(function, x, alpha, out) if result is None else result


def _convert_and_apply(function: str, x: object, alpha: float, out: object) -> np.ndarray:
    z = as_floating(x, "x")
    result = (
        np.empty(z.shape, z.dtype) if out is None else check_out(out, z.shape, z.dtype, {"x": x})
    )
    if z.size:
        kernels = backend.kernels(z.dtype)
        if function in _ELEMENTARY:
            getattr(kernels, function)(_flat(z), _flat(result))
        elif function.endswith("_derivative"):
            name = function.removesuffix("_derivative")
            kernels.activation_derivative(name, _flat(z), alpha, _flat(result))
        else:
            kernels.activation(function, _flat(z), alpha, _flat(result))
    return plain(result, cast(np.ndarray | None, out))


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


class Elementwise(Protocol):
    """A function of every element of an array."""

    def __call__(self, x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
        """The values."""


class WithAlpha(Protocol):
    """A function of every element of an array, with a parameter alpha."""

    def __call__(
        self, x: ArrayLike, alpha: float = ..., out: np.ndarray | None = None
    ) -> np.ndarray:
        """The values."""


class WithBeta(Protocol):
    """A function of every element of an array, with a parameter beta."""

    def __call__(
        self, x: ArrayLike, beta: float = ..., out: np.ndarray | None = None
    ) -> np.ndarray:
        """The values."""


Function = TypeVar("Function", bound=Callable[..., Any])


def _elementwise(name: str) -> tuple[Elementwise, Elementwise]:
    """An activation without parameter and its derivative."""

    def make(kernel: str) -> Elementwise:
        def function(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
            return _apply(kernel, x, 1.0, out)

        return function

    return _named(make, name)


def _with_alpha(name: str) -> tuple[WithAlpha, WithAlpha]:
    """An activation with a parameter alpha and its derivative."""
    default = activations.get(name).default_alpha or 0.0

    def make(kernel: str) -> WithAlpha:
        def function(
            x: ArrayLike, alpha: float = default, out: np.ndarray | None = None
        ) -> np.ndarray:
            return _apply(kernel, x, check_number(alpha, "alpha"), out)

        return function

    return _named(make, name)


def _with_beta(name: str) -> tuple[WithBeta, WithBeta]:
    """An activation with a parameter beta and its derivative."""
    default = activations.get(name).default_alpha or 0.0

    def make(kernel: str) -> WithBeta:
        def function(
            x: ArrayLike, beta: float = default, out: np.ndarray | None = None
        ) -> np.ndarray:
            return _apply(kernel, x, check_number(beta, "beta"), out)

        return function

    return _named(make, name)


def _named(make: Callable[[str], Function], name: str) -> tuple[Function, Function]:
    """The function of an activation and of its derivative, with names and docstrings."""
    row = activations.get(name)
    texts = {
        name: [f"{row.title}: {row.formula}.", row.note],
        f"{name}_derivative": [f"Derivative of {name}: {row.derivative}.", row.derivative_note],
    }
    if row.not_differentiable != "nowhere":
        texts[f"{name}_derivative"].insert(1, f"Not differentiable at {row.not_differentiable}.")
    functions = []
    for kernel, paragraphs in texts.items():
        function = make(kernel)
        function.__name__ = function.__qualname__ = kernel
        function.__doc__ = _of_x("\n\n".join(filter(None, paragraphs)))
        functions.append(_document(row, function))
    return functions[0], functions[1]


def _of_x(text: str) -> str:
    """The text of a row with x for the argument, which the rows call z."""
    return re.sub(r"\bz\b", "x", text)


def _document(row: activations.ActivationInfo, function: Function) -> Function:
    """Append the sections that all elementwise functions have."""
    if row.parameter is None:
        return _documented(function)
    text = _of_x(row.parameter[0].upper() + row.parameter[1:])
    return with_sections(
        _SECTIONS,
        parameter=f"{row.symbol} : float, default {row.default_alpha:g}\n    {text}.\n",
        error=f",\n    or `{row.symbol}` is not finite",
    )(function)


identity, identity_derivative = _elementwise("identity")
binary_step, binary_step_derivative = _elementwise("binary_step")
zero_indicator, zero_indicator_derivative = _elementwise("zero_indicator")
sigmoid, sigmoid_derivative = _elementwise("sigmoid")
tanh, tanh_derivative = _elementwise("tanh")
relu, relu_derivative = _elementwise("relu")
leaky_relu, leaky_relu_derivative = _with_alpha("leaky_relu")
swish, swish_derivative = _with_beta("swish")
hard_swish, hard_swish_derivative = _elementwise("hard_swish")
elu, elu_derivative = _with_alpha("elu")
selu, selu_derivative = _elementwise("selu")
softplus, softplus_derivative = _elementwise("softplus")
gelu, gelu_derivative = _elementwise("gelu")
gelu_tanh, gelu_tanh_derivative = _elementwise("gelu_tanh")
mish, mish_derivative = _elementwise("mish")
softsign, softsign_derivative = _elementwise("softsign")
