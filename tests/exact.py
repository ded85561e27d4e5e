"""Values of the elementwise functions to 40 digits, and errors in units in the last place."""

from __future__ import annotations

from functools import cache

import mpmath
import numpy as np
from mpmath import mpf

from fastnn import activations

mpmath.mp.dps = 40

SELU_SCALE, SELU_ALPHA = mpf("1.0507009873554805"), mpf("1.6732632423543772")


def _logistic(t):
    return 1 / (1 + mpmath.exp(-t))


def _softplus(z):
    return mpmath.log1p(mpmath.exp(z)) if z < 40 else z + mpmath.exp(-z)


def _elu(z, alpha):
    return z if z > 0 else alpha * mpmath.expm1(z)


def _gelu_tanh(z):
    u = mpmath.sqrt(2 / mpmath.pi) * (z + mpf("0.044715") * z**3)
    return z * _logistic(2 * u)


VALUES = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "identity": lambda z, a: z,
    "binary_step": lambda z, a: mpf(z >= 0),
    "sigmoid": lambda z, a: _logistic(z),
    "tanh": lambda z, a: mpmath.tanh(z),
    "relu": lambda z, a: max(z, mpf(0)),
    "leaky_relu": lambda z, a: z if z > 0 else a * z,
    "swish": lambda z, a: z * _logistic(a * z),
    "hard_swish": lambda z, a: z * min(max(z + 3, mpf(0)), mpf(6)) / 6,
    "elu": _elu,
    "selu": lambda z, a: SELU_SCALE * _elu(z, SELU_ALPHA),
    "softplus": lambda z, a: _softplus(z),
    "gelu": lambda z, a: z * mpmath.erfc(-z / mpmath.sqrt(2)) / 2,
    "gelu_tanh": lambda z, a: _gelu_tanh(z),
    "mish": lambda z, a: z * mpmath.tanh(_softplus(z)),
    "zero_indicator": lambda z, a: mpf(z == 0),
    "softsign": lambda z, a: z / (1 + abs(z)),
}


def value(name: str, z: mpf, alpha: float) -> mpf:
    """f(z) for an activation f."""
    return VALUES[name](z, mpf(alpha))


def values(name: str, z: np.ndarray) -> np.ndarray:
    """f(z) of an activation with its default parameter, for each z, rounded to float64."""
    alpha = activations.get(name).default_alpha or 1.0
    return np.reshape([float(value(name, mpf(float(x)), alpha)) for x in z.flat], z.shape)


@cache
def taylor(name: str, z: float, alpha: float) -> tuple[mpf, mpf, mpf]:
    """f(z), f'(z) and f''(z) by differences in 200 digits, so that no formula for f' is needed."""
    with mpmath.workdps(200):
        h = mpf(10) ** -60
        below, middle, above = (value(name, mpf(z) + i * h, alpha) for i in (-1, 0, 1))
        return middle, (above - below) / (2 * h), (above - 2 * middle + below) / h**2


def ulps(actual: np.ndarray, expected: list[mpf], slack: np.ndarray | float = 0.0) -> float:
    """The largest error in units in the last place of the exact number, above a slack.

    Below the smallest normal number the unit is that of the smallest normal number.
    """
    information = np.finfo(actual.dtype)
    worst = 0.0
    slacks = np.broadcast_to(slack, actual.shape)
    for a, e, allowed in zip(actual.ravel(), expected, slacks.ravel(), strict=True):
        size = max(abs(e), mpf(float(information.tiny)))
        unit = mpf(2) ** (int(mpmath.floor(mpmath.log(size, 2))) - information.nmant)
        error = abs(mpf(float(a)) - e)
        worst = max(worst, float((error - mpf(float(allowed))) / unit))
    return worst
