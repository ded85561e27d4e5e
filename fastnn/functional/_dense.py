"""The dense layer and dropout as functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import as_floating, as_matching, check_last_axis, check_out, check_shape
from fastnn._shared.numbers import check_integer, check_number
from fastnn.facts import activations
from fastnn.functional._shapes import as_rows, plain


def dense(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    alpha: float | None = None,
    *,
    z: np.ndarray | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """A dense layer: f(x @ weight + bias), with bias and activation fused into the matrix product.

    Parameters
    ----------
    x : (..., K) array_like of float32 or float64
        Samples as rows; integers and booleans are converted to float64.
    weight : (K, M) array_like
        Of the dtype of `x`.
    bias : (M,) array_like, optional
        Of the dtype of `x`.
    activation : str, optional
        Name of f, an elementwise activation (see `fastnn.activations`); identity by default.
    alpha : float, optional
        Parameter of f: slope of leaky_relu, beta of swish, alpha of elu.
    z : (..., M) ndarray, optional
        Receives the pre-activation x @ weight + bias, which `dense_backward` needs.
    out : (..., M) ndarray, optional
        Receives the result.  Like `z`: C-contiguous, of the dtype of `x`, sharing no
        memory with any other argument.

    Returns
    -------
    (..., M) ndarray
        Of the dtype of `x`.

    Raises
    ------
    TypeError
        If a dtype is wrong, or `activation` is not a string.
    ValueError
        If a shape is wrong, the activation unknown, `alpha` given to one without parameter
        or not finite, or `z` or `out` does not fit.
    """
    rows = as_floating(x, "x")
    w = _weight(weight, rows)
    b = None
    if bias is not None:
        b = as_matching(bias, "bias", rows, "x")
        check_shape(b, "bias", w.shape[1:])
    name, parameter = _function(activation, alpha)
    shape = (*rows.shape[:-1], w.shape[1])
    inputs = {"x": x, "weight": weight, "bias": bias}
    if z is not None:
        _check_result(z, "z", shape, rows.dtype, inputs)
    if out is None:
        out = np.empty(shape, rows.dtype)
    else:
        _check_result(out, "out", shape, rows.dtype, inputs | {"z": z})
    if rows.size:
        backend.kernels(rows.dtype).dense_forward(
            as_rows(rows), w, b, name, parameter, None if z is None else as_rows(z), as_rows(out)
        )
    return out


def dense_backward(
    x: ArrayLike,
    weight: ArrayLike,
    z: ArrayLike | None,
    dy: ArrayLike,
    activation: str | None = None,
    alpha: float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of a cost with respect to the arguments of `dense`, from that of the result.

    With dz = dy f'(z) they are dx = dz @ weight.T, dweight = x.T @ dz and the sum
    of the rows of dz.

    Parameters
    ----------
    x : (..., K) array_like of float32 or float64
        The samples that `dense` was given.
    weight : (K, M) array_like
        Of the dtype of `x`.
    z : (..., M) array_like or None
        The pre-activation x @ weight + bias.  None will do without an activation.
    dy : (..., M) array_like
        The gradient of the cost with respect to the result of `dense`.
    activation, alpha
        As given to `dense`.

    Returns
    -------
    dx : (..., K) ndarray
    dweight : (K, M) ndarray
    dbias : (M,) ndarray
        All of the dtype of `x`; the last two are 0 if there are no samples.

    Raises
    ------
    TypeError
        If a dtype is wrong, or `activation` is not a string.
    ValueError
        If a shape is wrong, the activation unknown, `alpha` given to one without parameter
        or not finite, or `z` missing.
    """
    rows = as_floating(x, "x")
    w = _weight(weight, rows)
    shape = (*rows.shape[:-1], w.shape[1])
    upstream = as_matching(dy, "dy", rows, "x")
    check_shape(upstream, "dy", shape)
    name, parameter = _function(activation, alpha)
    if z is None:
        if name != "identity":
            raise ValueError(f"z must be given for activation {name!r}, got None")
        argument = upstream  # the derivative of the identity does not look at it
    else:
        argument = as_matching(z, "z", rows, "x")
        check_shape(argument, "z", shape)
    dx = np.empty(rows.shape, rows.dtype)
    dweight = np.empty(w.shape, rows.dtype)
    dbias = np.zeros(w.shape[1:], rows.dtype)
    if not rows.size:
        dweight.fill(0)
    else:
        dz = np.empty(as_rows(upstream).shape, rows.dtype)
        backend.kernels(rows.dtype).dense_backward(
            as_rows(rows), w, as_rows(argument), as_rows(upstream), name, parameter,
            dz, as_rows(dx), dweight, dbias,
        )  # fmt: skip
    return dx, dweight, dbias


def dropout(
    x: ArrayLike, rate: float, *, key: int, step: int, out: np.ndarray | None = None
) -> np.ndarray:
    """Drop each element with probability `rate`, scale the others by 1 / (1 - rate).

    The elements dropped depend on `key`, `step` and the position (row, column) alone, so
    the derivative is the same call on the upstream gradient.

    Parameters
    ----------
    x : (...) array_like of float32 or float64
        Integers and booleans are converted to float64.  The last axis counts the columns.
    rate : float
        0 <= rate < 1.
    key, step : int
        From 0 to 2**32 - 1: a key per layer and a counter of training steps, say.
    out : (...) ndarray, optional
        Receives the result.  C-contiguous, of the dtype of the result; `x` itself, or an array
        that shares no memory with `x`.

    Returns
    -------
    (...) ndarray
        Of the dtype of `x`; a scalar if `x` is one.

    Raises
    ------
    TypeError
        If a dtype or the type of a number is wrong.
    ValueError
        If a number is out of range, or `out` does not fit.

    References
    ----------
    Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from
    overfitting", JMLR 15.  Salmon, Moraes, Dror & Shaw (2011), "Parallel random numbers: as
    easy as 1, 2, 3", for the generator, Threefry2x32 with 13 rounds.
    """
    rows = as_floating(x, "x")
    rate = check_number(rate, "rate", 0.0, below=1.0)
    key = check_integer(key, "key", 0, 2**32 - 1)
    step = check_integer(step, "step", 0, 2**32 - 1)
    if out is None:
        result = np.empty(rows.shape, rows.dtype)
    else:
        result = check_out(out, rows.shape, rows.dtype, {"x": x})
    if rows.size:
        backend.kernels(rows.dtype).dropout(as_rows(rows), rate, key, step, as_rows(result))
    return plain(result, out)


def _weight(weight: object, x: np.ndarray) -> np.ndarray:
    """The weight as an array that fits the rows of x."""
    check_last_axis(x, "x")
    w = as_matching(weight, "weight", x, "x")
    if w.ndim != 2 or w.shape[0] != x.shape[-1] or w.shape[1] == 0:
        raise ValueError(
            f"weight must have shape ({x.shape[-1]}, M) with M >= 1 to fit x of shape {x.shape}, "
            f"got {w.shape}"
        )
    return w


def _function(activation: str | None, alpha: float | None) -> tuple[str, float]:
    """The kernels' name of an activation, and its parameter."""
    if activation is None:
        activation = "identity"
    info = activations.get(activation)
    if alpha is None:
        return info.name, 1.0 if info.default_alpha is None else info.default_alpha
    if info.default_alpha is None:
        raise ValueError(f"alpha must be None, {info.name} has no parameter; got {alpha!r}")
    return info.name, check_number(alpha, "alpha")


def _check_result(
    array: object, name: str, shape: tuple[int, ...], dtype: np.dtype, inputs: dict[str, Any]
) -> None:
    check_out(array, shape, dtype, inputs, name, in_place=False)
