"""The operations of the reference engine, each forward beside its derivative.

A forward function returns the output for the inputs it is given.  A backward function
adds to the gradients of the inputs, so that a buffer used twice receives both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.backend.reference import kernels, normalizers
from fastnn.backend.reference.activations import swish_beta_derivative

if TYPE_CHECKING:
    from fastnn.backend.reference.engine import Engine

Array = np.ndarray


def _dense(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    """Z = X W + b."""
    weights = [engine._weights[i] for i in operation.parameters]
    z = arguments[0] @ weights[0]
    return z + weights[1] if len(weights) > 1 else z


def _dense_backward(engine: Engine, operation: Any, dz: Array) -> None:
    """DX = dZ W', dW = X' dZ, db = the column sums of dZ."""
    (source,) = operation.inputs
    weight = operation.parameters[0]
    engine._add_parameter_gradient(weight, engine._value(source).T @ dz)
    if len(operation.parameters) > 1:
        engine._add_parameter_gradient(operation.parameters[1], dz.sum(axis=0))
    engine._add(source, dz @ engine._weights[weight].T)


def _activation(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    """A = f(Z)."""
    return _elementwise(kernels.activation, engine, operation, arguments[0])


def _activation_backward(engine: Engine, operation: Any, dy: Array) -> None:
    """DZ = dA f'(Z); a beta that is a parameter receives the sum of dA df/dbeta."""
    (source,) = operation.inputs
    z = engine._value(source)
    if operation.parameters:
        along = swish_beta_derivative(z, _alpha(engine, operation))
        engine._add_parameter_gradient(
            operation.parameters[0], np.sum(dy * along, keepdims=True)[0]
        )
    slope = _elementwise(kernels.activation_derivative, engine, operation, z)
    engine._add(source, dy * slope)


def _alpha(engine: Engine, operation: Any) -> float:
    """The number an activation takes: a parameter of the program, or fixed."""
    if operation.parameters:
        return float(engine._weights[operation.parameters[0]][0])
    return float(operation.attributes.get("alpha", 1.0))


def _elementwise(kernel: Callable[..., None], engine: Engine, operation: Any, z: Array) -> Array:
    out = np.empty(z.shape, z.dtype)
    alpha = _alpha(engine, operation)
    kernel(operation.attributes["function"], np.ravel(z), alpha, out.reshape(-1))
    return out


def _softmax(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    out = np.empty_like(arguments[0])
    kernels.softmax(arguments[0], out)
    return out


def _softmax_backward(engine: Engine, operation: Any, dy: Array) -> None:
    out = np.empty_like(dy)
    kernels.softmax_backward(engine._value(operation.output), dy, out)
    engine._add(operation.inputs[0], out)


def _log_softmax(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    out = np.empty_like(arguments[0])
    kernels.log_softmax(arguments[0], out)
    return out


def _log_softmax_backward(engine: Engine, operation: Any, dy: Array) -> None:
    out = np.empty_like(dy)
    kernels.log_softmax_backward(engine._value(operation.output), dy, out)
    engine._add(operation.inputs[0], out)


def _dropout(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    """Zero with probability `rate`, scaled by 1 / (1 - rate); identity at prediction."""
    if not engine._training:
        return arguments[0]
    out = np.empty_like(arguments[0])
    attributes = operation.attributes
    kernels.dropout(arguments[0], attributes["rate"], attributes["key"], engine._step, out)
    return out


def _dropout_backward(engine: Engine, operation: Any, dy: Array) -> None:
    """The gradient passes the same mask; it is drawn again, not stored."""
    engine._add(operation.inputs[0], _dropout(engine, operation, [dy]))


def _add(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    total = arguments[0]
    for x in arguments[1:]:
        total = total + x
    return total


def _add_backward(engine: Engine, operation: Any, dy: Array) -> None:
    for i in operation.inputs:
        engine._add(i, dy)


def _subtract(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    return arguments[0] - arguments[1]


def _subtract_backward(engine: Engine, operation: Any, dy: Array) -> None:
    engine._add(operation.inputs[0], dy)
    engine._add(operation.inputs[1], -dy)


def _multiply(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    product = arguments[0]
    for x in arguments[1:]:
        product = product * x
    return product


def _multiply_backward(engine: Engine, operation: Any, dy: Array) -> None:
    """Each factor receives dy times the product of the others, in order."""
    values = [engine._value(i) for i in operation.inputs]
    for position, i in enumerate(operation.inputs):
        gradient = dy
        for other, x in enumerate(values):
            if other != position:
                gradient = gradient * x
        engine._add(i, gradient)


def _average(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    share = arguments[0].dtype.type(1 / len(arguments))
    return _add(engine, operation, arguments) * share


def _average_backward(engine: Engine, operation: Any, dy: Array) -> None:
    share = dy.dtype.type(1 / len(operation.inputs))
    for i in operation.inputs:
        engine._add(i, dy * share)


def _absolute_difference(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    return np.abs(arguments[0] - arguments[1])


def _absolute_difference_backward(engine: Engine, operation: Any, dy: Array) -> None:
    """The sign of a - b, 0 where they are equal."""
    first, second = operation.inputs
    gradient = dy * np.sign(engine._value(first) - engine._value(second))
    engine._add(first, gradient)
    engine._add(second, -gradient)


def _concatenate(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    return np.concatenate(arguments, axis=1)


def _concatenate_backward(engine: Engine, operation: Any, dy: Array) -> None:
    start = 0
    for i in operation.inputs:
        stop = start + engine.program.buffers[i].width
        engine._add(i, dy[:, start:stop])
        start = stop


def _layer_norm(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    """Y = X^ scale + shift, X^ being the rows of X with mean 0 and variance 1."""
    out = np.empty_like(arguments[0])
    scale, shift = (None if i is None else engine._weights[i] for i in _scale_and_shift(operation))
    kernels.layer_norm(arguments[0], scale, shift, operation.attributes["epsilon"], out)
    return out


def _layer_norm_backward(engine: Engine, operation: Any, dy: Array) -> None:
    """The scale receives the column sums of dY X^, the shift those of dY."""
    (source,) = operation.inputs
    scale, shift = _scale_and_shift(operation)
    normalized = normalizers.normalize(engine._value(source), operation.attributes["epsilon"])
    if shift is not None:
        engine._add_parameter_gradient(shift, dy.sum(axis=0))
    if scale is not None:
        engine._add_parameter_gradient(scale, (dy * normalized.rows).sum(axis=0))
        dy = dy * engine._weights[scale]
    engine._add(source, normalizers.normalize_backward(normalized, dy))


def _scale_and_shift(operation: Any) -> tuple[int | None, int | None]:
    """The parameters of a layer normalisation; None is one it does not have."""
    left = iter(operation.parameters)
    scale = next(left) if operation.attributes["scale"] else None
    return scale, next(left) if operation.attributes["shift"] else None


def _python(engine: Engine, operation: Any, arguments: list[Array]) -> Array:
    """What the layer's own function returns."""
    width = engine._width(operation.output)
    weights = [engine._weights[i] for i in operation.parameters]
    with engine._calling():
        y = operation.attributes["layer"].run_forward(
            arguments, weights, engine._training, (len(arguments[0]), width)
        )
    return np.array(y, engine.program.dtype, order="C")


def _python_backward(engine: Engine, operation: Any, dy: Array) -> None:
    """The gradients that the layer's own function returns."""
    inputs = [engine._value(i) for i in operation.inputs]
    weights = [engine._weights[i] for i in operation.parameters]
    with engine._calling():
        dx, gradients = operation.attributes["layer"].run_backward(
            dy, inputs, engine._value(operation.output), weights
        )
    for i, gradient in zip(operation.inputs, dx, strict=True):
        engine._add(i, np.array(gradient, engine.program.dtype, order="C"))
    for i, gradient in zip(operation.parameters, gradients, strict=True):
        engine._add_parameter_gradient(i, gradient)
    if engine._step_cost is not None:
        summed = [engine._weight_gradients[i] for i in operation.parameters]
        engine._gradient_check.layer(operation, engine._gradient, summed, engine._step_cost)


FORWARD: dict[str, Callable[[Engine, Any, list[Array]], Array]] = {
    "dense": _dense,
    "activation": _activation,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "dropout": _dropout,
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "average": _average,
    "absolute_difference": _absolute_difference,
    "concatenate": _concatenate,
    "layer_norm": _layer_norm,
    "python": _python,
}
BACKWARD: dict[str, Callable[[Engine, Any, Array], None]] = {
    "dense": _dense_backward,
    "activation": _activation_backward,
    "softmax": _softmax_backward,
    "log_softmax": _log_softmax_backward,
    "dropout": _dropout_backward,
    "add": _add_backward,
    "subtract": _subtract_backward,
    "multiply": _multiply_backward,
    "average": _average_backward,
    "absolute_difference": _absolute_difference_backward,
    "concatenate": _concatenate_backward,
    "layer_norm": _layer_norm_backward,
    "python": _python_backward,
}
