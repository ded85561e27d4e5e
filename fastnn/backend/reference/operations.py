"""The operations of the reference engine, each forward beside its derivative.

A forward function returns the output for the inputs it is given.  A backward function
adds to the gradients of the inputs, so that a buffer used twice receives both.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np

from fastnn.backend import quantization
from fastnn.backend.reference import kernels, normalizers, tables
from fastnn.backend.reference.activations import swish_beta_derivative
from fastnn.backend.reference.buffers import Buffers
from fastnn.backend.reference.halves import chain, matmul_halves, rounded
from fastnn.backend.reference.random import dropout_of_part
from fastnn.program import Operation

Array = np.ndarray


def column_sums(rows: Array) -> Array:
    """The sum of the rows (N, K): (K,), added in float64; a running sum would round like N."""
    return rows.sum(axis=0, dtype=np.float64).astype(rows.dtype)


def _dense(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    """Z = X W + b, in whole numbers where the operation says so.

    In bfloat16 the bias is where each sum starts.
    """
    weights = [buffers.parameters[i] for i in operation.parameters]
    if operation.attributes.get("precision") == "int8":
        weight = quantization.quantized_weight(weights[0])
        bias = weights[1] if len(weights) > 1 else None
        return quantization.product(arguments[0], weight, bias, operation.attributes)
    if buffers.has_halves(operation):
        return chain(rounded(arguments[0]), rounded(weights[0]), *weights[1:])
    z = arguments[0] @ weights[0]
    return z + weights[1] if len(weights) > 1 else z


def _dense_backward(buffers: Buffers, operation: Operation, dz: Array) -> None:
    """DX = dZ W', dW = X' dZ, db = the column sums of dZ; sparse inputs have no gradient."""
    (source,) = operation.inputs
    weight = operation.parameters[0]
    # The operator, and not the function of NumPy: inputs may be sparse.
    product = matmul_halves if buffers.has_halves(operation) else operator.matmul
    buffers.add_parameter_gradient(weight, product(buffers.value(source).T, dz))
    if len(operation.parameters) > 1:
        buffers.add_parameter_gradient(operation.parameters[1], column_sums(dz))
    if not buffers.is_sparse(source):
        buffers.add_gradient(source, product(dz, buffers.parameters[weight].T))


def _activation(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    """A = f(Z)."""
    return _elementwise(kernels.activation, buffers, operation, arguments[0])


def _activation_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    """DZ = dA f'(Z); a beta that is a parameter receives the sum of dA df/dbeta."""
    (source,) = operation.inputs
    z = buffers.value(source)
    if operation.parameters:
        along = swish_beta_derivative(z, _alpha(buffers, operation))
        terms = np.reshape(dy * along, (-1, 1))
        buffers.add_parameter_gradient(operation.parameters[0], column_sums(terms))
    slope = _elementwise(kernels.activation_derivative, buffers, operation, z)
    buffers.add_gradient(source, dy * slope)


def _alpha(buffers: Buffers, operation: Operation) -> float:
    """The number an activation takes: a parameter of the program, or fixed."""
    if operation.parameters:
        return float(buffers.parameters[operation.parameters[0]][0])
    return float(operation.attributes.get("alpha", 1.0))


def _elementwise(
    kernel: Callable[..., None], buffers: Buffers, operation: Operation, z: Array
) -> Array:
    out = np.empty(z.shape, z.dtype)
    alpha = _alpha(buffers, operation)
    kernel(operation.attributes["function"], np.ravel(z), alpha, out.reshape(-1))
    return out


def _softmax(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    out = np.empty_like(arguments[0])
    kernels.softmax(arguments[0], out)
    return out


def _softmax_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    out = np.empty_like(dy)
    kernels.softmax_backward(buffers.value(operation.output), dy, out)
    buffers.add_gradient(operation.inputs[0], out)


def _log_softmax(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    out = np.empty_like(arguments[0])
    kernels.log_softmax(arguments[0], out)
    return out


def _log_softmax_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    out = np.empty_like(dy)
    kernels.log_softmax_backward(buffers.value(operation.output), dy, out)
    buffers.add_gradient(operation.inputs[0], out)


def _dropout(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    """Zero with probability `rate`, scaled by 1 / (1 - rate); identity at prediction."""
    if not buffers.training:
        return arguments[0]
    out = np.empty_like(arguments[0])
    attributes = operation.attributes
    dropout_of_part(
        arguments[0], attributes["rate"], attributes["key"], buffers.step, out, buffers.first_row
    )
    return out


def _dropout_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    """The gradient passes the same mask; it is drawn again, not stored."""
    buffers.add_gradient(operation.inputs[0], _dropout(buffers, operation, [dy]))


def _add(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    total = arguments[0]
    for x in arguments[1:]:
        total = total + x
    return total


def _add_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    for i in operation.inputs:
        buffers.add_gradient(i, dy)


def _subtract(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    return arguments[0] - arguments[1]


def _subtract_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    buffers.add_gradient(operation.inputs[0], dy)
    buffers.add_gradient(operation.inputs[1], -dy)


def _multiply(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    product = arguments[0]
    for x in arguments[1:]:
        product = product * x
    return product


def _multiply_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    """Each factor receives dy times the product of the others, in order."""
    values = [buffers.value(i) for i in operation.inputs]
    for position, i in enumerate(operation.inputs):
        gradient = dy
        for other, x in enumerate(values):
            if other != position:
                gradient = gradient * x
        buffers.add_gradient(i, gradient)


def _average(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    share = arguments[0].dtype.type(1 / len(arguments))
    return _add(buffers, operation, arguments) * share


def _average_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    share = dy.dtype.type(1 / len(operation.inputs))
    for i in operation.inputs:
        buffers.add_gradient(i, dy * share)


def _absolute_difference(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    return np.abs(arguments[0] - arguments[1])


def _absolute_difference_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    """The sign of a - b, 0 where they are equal."""
    first, second = operation.inputs
    gradient = dy * np.sign(buffers.value(first) - buffers.value(second))
    buffers.add_gradient(first, gradient)
    buffers.add_gradient(second, -gradient)


def _concatenate(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    return np.concatenate(arguments, axis=1)


def _concatenate_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    start = 0
    for i in operation.inputs:
        stop = start + buffers.width(i)
        buffers.add_gradient(i, dy[:, start:stop])
        start = stop


def _layer_norm(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    """Y = X^ scale + shift, X^ being the rows of X with mean 0 and variance 1."""
    out = np.empty_like(arguments[0])
    scale, shift = (
        None if i is None else buffers.parameters[i] for i in _scale_and_shift(operation)
    )
    kernels.layer_norm(arguments[0], scale, shift, operation.attributes["epsilon"], out)
    return out


def _layer_norm_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    """The scale receives the column sums of dY X^, the shift those of dY."""
    (source,) = operation.inputs
    scale, shift = _scale_and_shift(operation)
    normalized = normalizers.normalize(buffers.value(source), operation.attributes["epsilon"])
    if shift is not None:
        buffers.add_parameter_gradient(shift, column_sums(dy))
    if scale is not None:
        buffers.add_parameter_gradient(scale, column_sums(dy * normalized.rows))
        dy = dy * buffers.parameters[scale]
    buffers.add_gradient(source, normalizers.normalize_backward(normalized, dy))


def _scale_and_shift(operation: Operation) -> tuple[int | None, int | None]:
    """The parameters of a layer normalisation; None is one it does not have."""
    parameters = iter(operation.parameters)
    scale = next(parameters) if operation.attributes["scale"] else None
    return scale, next(parameters) if operation.attributes["shift"] else None


def _python(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    """What the layer's own function returns."""
    width = buffers.width(operation.output)
    weights = [buffers.parameters[i] for i in operation.parameters]
    with buffers.user_code.running():
        y = operation.attributes["layer"].run_forward(
            arguments, weights, buffers.training, (len(arguments[0]), width)
        )
    return np.array(y, buffers.program.dtype, order="C")


def _python_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    """The gradients that the layer's own function returns."""
    inputs = [buffers.value(i) for i in operation.inputs]
    weights = [buffers.parameters[i] for i in operation.parameters]
    with buffers.user_code.running():
        dx, gradients = operation.attributes["layer"].run_backward(
            dy, inputs, buffers.value(operation.output), weights
        )
    for i, gradient in zip(operation.inputs, dx, strict=True):
        buffers.add_gradient(i, np.array(gradient, buffers.program.dtype, order="C"))
    for i, gradient in zip(operation.parameters, gradients, strict=True):
        buffers.add_parameter_gradient(i, gradient)
    buffers.check_layer(operation)


def _embedding(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    """The rows of the codes."""
    sizes = operation.attributes["sizes"]
    codes = tables.codes(arguments[0], sizes)
    weights = tables.parts(buffers.parameters[operation.parameters[0]], sizes)
    rows = [weight[codes[:, j]] for j, weight in enumerate(weights)]
    return tables.combine(rows, operation.attributes["combine"])


def _embedding_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    """Each row receives the sum of dY over the samples that read it; codes have no gradient."""
    (source,) = operation.inputs
    sizes, x = operation.attributes["sizes"], buffers.value(source)
    codes = tables.codes(x, sizes)
    gradient = np.zeros_like(buffers.parameters[operation.parameters[0]])
    parts = tables.split(dy, len(sizes), operation.attributes["combine"])
    for j, rows in enumerate(tables.parts(gradient, sizes)):
        np.add.at(rows, codes[:, j], parts[j])
    buffers.add_parameter_gradient(operation.parameters[0], gradient)
    buffers.add_gradient(source, np.zeros_like(x))


def _piecewise_linear(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    """Between the values at the edges of the bins."""
    sizes = operation.attributes["sizes"]
    found = tables.positions(arguments[0], sizes)
    values = []
    for j, weight in enumerate(tables.parts(buffers.parameters[operation.parameters[0]], sizes)):
        edges, share = tables.at_edges(weight), found.shares[:, j, None]
        below = found.bins[:, j]
        values.append((1 - share) * edges[below] + share * edges[below + 1])
    return tables.combine(values, operation.attributes["combine"])


def _piecewise_linear_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    """The edges of a bin share dY; dX = 2 dY W_b, and 0 outside the bins."""
    (source,) = operation.inputs
    sizes, x = operation.attributes["sizes"], buffers.value(source)
    found = tables.positions(x, sizes)
    weights = tables.parts(buffers.parameters[operation.parameters[0]], sizes)
    dx, gradients = np.empty_like(x), []
    for j, part in enumerate(tables.split(dy, len(sizes), operation.attributes["combine"])):
        edges = np.zeros((sizes[j] + 1, part.shape[1]), dy.dtype)
        below, share = found.bins[:, j], found.shares[:, j, None]
        np.add.at(edges, below, (1 - share) * part)
        np.add.at(edges, below + 1, share * part)
        gradients.append(tables.from_edges(edges))
        dx[:, j] = 2 * (part * weights[j][below]).sum(axis=1)
    buffers.add_parameter_gradient(operation.parameters[0], np.concatenate(gradients))
    buffers.add_gradient(source, np.where(found.are_inside, dx, 0))


def _scale(buffers: Buffers, operation: Operation, arguments: list[Array]) -> Array:
    """Y = X s."""
    return arguments[0] * buffers.parameters[operation.parameters[0]]


def _scale_backward(buffers: Buffers, operation: Operation, dy: Array) -> None:
    """The gains receive the column sums of dY X, and X receives dY s."""
    (source,), (gain,) = operation.inputs, operation.parameters
    buffers.add_parameter_gradient(gain, column_sums(dy * buffers.value(source)))
    buffers.add_gradient(source, dy * buffers.parameters[gain])


FORWARD: dict[str, Callable[[Buffers, Operation, list[Array]], Array]] = {
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
    "embedding": _embedding,
    "piecewise_linear": _piecewise_linear,
    "scale": _scale,
}
BACKWARD: dict[str, Callable[[Buffers, Operation, Array], None]] = {
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
    "embedding": _embedding_backward,
    "piecewise_linear": _piecewise_linear_backward,
    "scale": _scale_backward,
}
