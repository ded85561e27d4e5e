"""The kernel functions in plain NumPy: what the compiled kernels must agree with.

Arguments arrive checked: C-contiguous, aligned, of one native dtype (float32 or
float64), with writable outputs; elementwise kernels and updates take vectors, the
rest matrices with one sample per row.  `out` may be the first input itself and
overlaps nothing else.  Nothing here warns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fastnn.backend.reference.activations import activation, activation_derivative
from fastnn.backend.reference.halves import product_bfloat16
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
    signed_logsumexp,
    softmax,
    softmax_backward,
)
from fastnn.backend.reference.random import dropout
from fastnn.backend.reference.refinement import add_gram, correct_least_squares
from fastnn.backend.reference.statistics import difference_resolvent, squared_differences
from fastnn.facts.updates import known

__all__ = [
    "activation",
    "activation_derivative",
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
    "layer_norm",
    "log",
    "log1p",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "product_bfloat16",
    "signed_logsumexp",
    "softmax",
    "softmax_backward",
    "squared_differences",
    "update",
]

_NORM_UNIT = 2.0**-600
"""Brings the square of any float64 within range."""

_LEAST_FACTOR = 2.0**-64
"""Smaller factors of a gradient are applied in two steps."""


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
    """Gradients of dense_forward, given the gradient dy of its result.

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
            dbias[...] = dz.sum(axis=0, dtype=np.float64)


def update(
    name: str,
    parameters: np.ndarray,
    gradient: np.ndarray,
    slots: Sequence[np.ndarray],
    step: int,
    learning_rate: float,
    numbers: Mapping[str, float],
    l2: float,
) -> None:
    """One step of an optimizer, in place; `fastnn.facts.updates` has the formulas.

    The gradient of the formulas includes that of the penalty, l2 p; steps count from 1.
    """
    formula = known(name).formula
    with np.errstate(all="ignore"):
        g = gradient + l2 * parameters if l2 else gradient
        formula(np, parameters, g, slots, learning_rate, numbers, step)


def clip_by_norm(g: np.ndarray, max_norm: float) -> float:
    """Scale g to a Euclidean norm of at most max_norm; returns the norm before.

    The squares are summed in float64; where they overflow, those of the scaled gradient are.  If g
    is not finite, it is left alone.
    """
    unit = 1.0
    with np.errstate(all="ignore"):
        norm = math.sqrt(float(np.sum(np.square(g, dtype=np.float64))))
        if not math.isfinite(norm):
            unit = _NORM_UNIT
            norm = math.sqrt(float(np.sum(np.square(g * np.float64(unit), dtype=np.float64))))
    if max_norm * unit < norm < math.inf:
        factor = max_norm * unit / norm
        if factor < _LEAST_FACTOR:  # in two steps: it may be no normal number
            g *= g.dtype.type(_LEAST_FACTOR)
            factor /= _LEAST_FACTOR
        g *= factor
    return norm / unit


def direct(function: str, x: object, alpha: float, out: object) -> np.ndarray | None:
    """A function of `fastnn.functional`; a direct call, which these kernels always decline."""
    return None


def direct_cross_entropy(
    logits: object, labels: object, reduction: str, gradient: object, out: object
) -> float | tuple[float, np.ndarray] | None:
    """`cross_entropy` without options; a direct call, which these kernels always decline."""
    return None
