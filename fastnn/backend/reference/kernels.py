"""The kernel functions in plain NumPy: what the compiled kernels must agree with.

Arguments arrive checked: C-contiguous, aligned, of one native dtype (float32 or
float64), with writable outputs; elementwise kernels and updates take vectors, the
rest matrices with one sample per row.  `out` may be the first input itself and
overlaps nothing else.  Nothing here warns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn.backend.reference.activations import activation, activation_derivative
from fastnn.backend.reference.losses import (
    cross_entropy_labels,
    cross_entropy_rows,
    elementwise_loss,
)
from fastnn.backend.reference.normalizers import (
    layer_norm,
    log_softmax,
    log_softmax_backward,
    logsumexp,
    softmax,
    softmax_backward,
)
from fastnn.backend.reference.random import dropout
from fastnn.backend.reference.refinement import add_gram, correct_least_squares
from fastnn.backend.reference.statistics import difference_resolvent, squared_differences

__all__ = [
    "activation",
    "activation_derivative",
    "adam",
    "add_gram",
    "clip_by_norm",
    "correct_least_squares",
    "cross_entropy_labels",
    "cross_entropy_rows",
    "dense_backward",
    "dense_forward",
    "difference_resolvent",
    "direct",
    "direct_cross_entropy",
    "dropout",
    "elementwise_loss",
    "exp",
    "expm1",
    "gradient_descent",
    "layer_norm",
    "log",
    "log1p",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "momentum",
    "rmsprop",
    "softmax",
    "softmax_backward",
    "squared_differences",
]


def exp(x: np.ndarray, out: np.ndarray) -> None:
    """Write exp(x) into out."""
    _in_float64(np.exp, x, out)


def expm1(x: np.ndarray, out: np.ndarray) -> None:
    """Write exp(x) - 1 into out, accurate near 0."""
    _in_float64(np.expm1, x, out)


def log(x: np.ndarray, out: np.ndarray) -> None:
    """Write log(x) into out; -inf at 0, nan below."""
    _in_float64(np.log, x, out)


def log1p(x: np.ndarray, out: np.ndarray) -> None:
    """Write log(1 + x) into out, accurate near 0; -inf at -1, nan below."""
    _in_float64(np.log1p, x, out)


def _in_float64(function: np.ufunc, x: np.ndarray, out: np.ndarray) -> None:
    """Evaluate in float64 and round once; NumPy's float32 log is off by up to 3.8 ULP."""
    with np.errstate(all="ignore"):
        function(x, out=out, dtype=np.float64, casting="same_kind")


def dense_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    name: str,
    alpha: float,
    z: np.ndarray | None,
    out: np.ndarray,
) -> None:
    """Dense layer: out = f(x weight + bias), f being the activation `name`.

    z, if given, receives the argument of f.
    """
    if z is None:
        z = out
    with np.errstate(all="ignore"):
        np.matmul(x, weight, out=z)
        if bias is not None:
            z += bias
    if name != "identity" or z is not out:
        activation(name, z.reshape(-1), alpha, out.reshape(-1))


def dense_backward(
    x: np.ndarray,
    weight: np.ndarray,
    z: np.ndarray,
    dy: np.ndarray,
    name: str,
    alpha: float,
    dz: np.ndarray,
    dx: np.ndarray | None,
    dweight: np.ndarray,
    dbias: np.ndarray | None,
) -> None:
    """Gradients of dense_forward, given dy, that of its result.

    dz = dy f'(z), dx = dz weight', dweight = x' dz, dbias = sum of the rows of dz.
    """
    with np.errstate(all="ignore"):
        if name == "identity":
            dz[...] = dy
        else:
            slope = np.empty_like(z)
            activation_derivative(name, z.reshape(-1), alpha, slope.reshape(-1))
            np.multiply(dy, slope, out=dz)
        if dx is not None:
            np.matmul(dz, weight.T, out=dx)
        np.matmul(x.T, dz, out=dweight)
        if dbias is not None:
            dz.sum(axis=0, out=dbias)


def gradient_descent(p: np.ndarray, g: np.ndarray, learning_rate: float, l2: float) -> None:
    """Gradient descent: p -= learning_rate g; here and below g includes the penalty's l2 p."""
    with np.errstate(all="ignore"):
        p -= learning_rate * _penalized(p, g, l2)


def momentum(
    p: np.ndarray,
    g: np.ndarray,
    velocity: np.ndarray,
    learning_rate: float,
    momentum: float,
    nesterov: bool,
    l2: float,
) -> None:
    """Momentum: v = momentum v - learning_rate g; p += v.

    With Nesterov, p += momentum v - learning_rate g, with the new v.
    """
    with np.errstate(all="ignore"):
        step = learning_rate * _penalized(p, g, l2)
        velocity *= momentum
        velocity -= step
        p += momentum * velocity - step if nesterov else velocity


def rmsprop(
    p: np.ndarray,
    g: np.ndarray,
    square: np.ndarray,
    learning_rate: float,
    rho: float,
    epsilon: float,
    l2: float,
) -> None:
    """RMSprop: s = rho s + (1 - rho) g^2; p -= learning_rate g / (sqrt(s) + epsilon)."""
    with np.errstate(all="ignore"):
        g = _penalized(p, g, l2)
        square *= rho
        square += (1 - rho) * g * g
        p -= learning_rate * g / (np.sqrt(square) + epsilon)


def adam(
    p: np.ndarray,
    g: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    bias_correction: bool,
    l2: float,
) -> None:
    """Adam: moving means m of g and v of g^2; p -= learning_rate m / (sqrt(v) + epsilon).

    m and v are divided by 1 - beta^step first where `bias_correction` holds; `step`
    counts from 1.  `weight_decay` shrinks p by learning_rate weight_decay p (AdamW).
    """
    correction1 = 1 - beta1**step if bias_correction else 1.0
    correction2 = 1 - beta2**step if bias_correction else 1.0
    with np.errstate(all="ignore"):
        g = _penalized(p, g, l2)
        first *= beta1
        first += (1 - beta1) * g
        second *= beta2
        second += (1 - beta2) * g * g
        if weight_decay:
            p *= 1 - learning_rate * weight_decay
        p -= learning_rate / correction1 * first / (np.sqrt(second / correction2) + epsilon)


def _penalized(p: np.ndarray, g: np.ndarray, l2: float) -> np.ndarray:
    """The gradient of the cost with its penalty l2/2 sum(p^2)."""
    return g + l2 * p if l2 else g


def clip_by_norm(g: np.ndarray, max_norm: float) -> float:
    """Scale g to a Euclidean norm of at most max_norm; returns the norm before.

    The squares are summed in float64.  If the sum is not finite, g is left alone.
    """
    with np.errstate(all="ignore"):
        norm = math.sqrt(float(np.sum(np.square(g, dtype=np.float64))))
    if max_norm < norm < math.inf:
        g *= max_norm / norm
    return norm


def direct(function: str, x: Any, alpha: float, out: Any) -> np.ndarray | None:
    """A function of `fastnn.functional`; a direct call, which these kernels always decline."""
    return None


def direct_cross_entropy(
    logits: Any, labels: Any, reduction: str, gradient: Any, out: Any
) -> float | tuple[float, np.ndarray] | None:
    """`cross_entropy` without options; a direct call, which these kernels always decline."""
    return None
