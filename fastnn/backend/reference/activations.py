"""The elementwise activations and their derivatives in plain NumPy.

Each function takes an array `z` and the parameter `alpha` (slope, beta or
scale; most ignore it) and returns a new array.  Two rules hold for all:

- the value at an infinity is the mathematical limit, and nan gives nan (but a
  derivative that is the same number everywhere is so at nan too);
- no formula subtracts nearly equal numbers where another one does not.

All but the piecewise-rational ones are evaluated in float64 whatever the
dtype, and rounded once: NumPy's own float32 exp is off by 2.5 ULP, its log by 3.8.
Sources of the formulas are listed in `fastnn.activations`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastnn.facts import activations

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772
"""Klambauer et al. (2017): the values that make mean 0, variance 1 a fixed point."""

_GELU_CUBIC = 0.044715
_SQRT_2_OVER_PI = 0.7978845608028654
_SQRT_2_PI = 2.5066282746310002

_DEEP = -700.0
"""Below it exp approaches the subnormal numbers; products with exp start to lose bits."""


def activation(name: str, z: np.ndarray, alpha: float, out: np.ndarray) -> None:
    """Write f(z) into `out`, f being the activation called `name`."""
    _evaluate(_FUNCTIONS[name][0], name, z, alpha, out)


def activation_derivative(name: str, z: np.ndarray, alpha: float, out: np.ndarray) -> None:
    """Write f'(z) into `out`, f being the activation called `name`."""
    _evaluate(_FUNCTIONS[name][1], name, z, alpha, out)


def swish_beta_derivative(z: np.ndarray, beta: float) -> np.ndarray:
    """The derivative of z sigmoid(beta z) along beta, z^2 s (1 - s): a new array like z."""
    out = np.empty_like(z)
    with np.errstate(all="ignore"):
        t = beta * z.astype(np.float64, copy=False)
        # In this order a large z meets a vanished derivative before it can overflow.
        out[...] = z * (z * _sigmoid_derivative(t, 1.0))
    return out


def _evaluate(
    function: Callable[[np.ndarray, float], np.ndarray],
    name: str,
    z: np.ndarray,
    alpha: float,
    out: np.ndarray,
) -> None:
    alpha = float(z.dtype.type(alpha))
    if name not in _RATIONAL:
        z = z.astype(np.float64, copy=False)
    with np.errstate(all="ignore"):
        out[...] = function(z, alpha)


def _product(z: np.ndarray, factor: np.ndarray | float) -> np.ndarray:
    """Return z * factor; a factor that has vanished wins over an infinite z."""
    return np.where((factor == 0) & ~np.isnan(z), 0.0, z * factor)


def _step(condition: np.ndarray, z: np.ndarray) -> np.ndarray:
    """1 where the condition on z holds, 0 elsewhere, nan where z is nan."""
    return np.where(np.isnan(z), z, condition.astype(z.dtype))


def _logistic(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)); only e = exp(-|z|) is taken, which cannot overflow.

    With q = e / (1 + e) the two sides are 1 - q and q.  The latter is written
    e - e q, where the roundings inside q weigh less: 1.7 ULP instead of 2.4.
    """
    e = np.exp(-np.abs(z))
    q = e / (1 + e)
    return np.where(z >= 0, 1 - q, e - e * q)


def _identity(z: np.ndarray, alpha: float) -> np.ndarray:
    return z


def _identity_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.ones_like(z)


def _binary_step(z: np.ndarray, alpha: float) -> np.ndarray:
    return _step(z >= 0, z)


def _binary_step_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.zeros_like(z)


def _zero_indicator(z: np.ndarray, alpha: float) -> np.ndarray:
    return _step(z == 0, z)


def _zero_indicator_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.zeros_like(z)


def _relu(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.maximum(z, 0)


def _relu_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    return _step(z > 0, z)


def _leaky_relu(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(z > 0, z, _product(z, alpha)).astype(z.dtype, copy=False)


def _leaky_relu_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(np.isnan(z), z, np.where(z > 0, 1.0, alpha))


def _hard_swish(z: np.ndarray, alpha: float) -> np.ndarray:
    # Dividing before the product keeps large z from overflowing.
    return _product(z, np.clip(z + 3, 0, 6) / 6)


def _hard_swish_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    inside = (2 * z + 3) / 6
    return np.where(z <= -3, 0.0, np.where(z >= 3, 1.0, inside))


def _sigmoid(z: np.ndarray, alpha: float) -> np.ndarray:
    return _logistic(z)


def _sigmoid_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    # q (1 - q) with q = e / (1 + e) the smaller of s and 1 - s.  The same number is
    # e - e q (2 - q); each form is the more accurate one on its side of |z| = 1.6.
    e = np.exp(-np.abs(z))
    q = e / (1 + e)
    return np.where(e > 0.2, q - q * q, e - e * (q * (2 - q)))


def _tanh(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.tanh(z)


def _tanh_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    # 1 - tanh(z)^2 cancels for large |z|; tanh(z) = 2 s(2z) - 1, so it is 4 s'(2z).
    return 4 * _sigmoid_derivative(2 * z, alpha)


def _softplus(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def _swish(z: np.ndarray, beta: float) -> np.ndarray:
    t = _product(z, beta)
    result = np.where(t == -np.inf, 0.0, z / (1 + np.exp(-t)))
    deep = (t < _DEEP) & np.isfinite(t)
    if deep.any():
        result[deep] = _times_exp(z[deep], t[deep])
    return result


def _swish_derivative(z: np.ndarray, beta: float) -> np.ndarray:
    # s + t s (1 - s) is r = q - t q (1 - q), q = sigmoid(-|t|), for t < 0 and 1 - r for t >= 0.
    t = _product(z, beta)
    q = _logistic(-np.abs(t))
    r = q - _product(np.abs(t), q) * (1 - q)
    deep = (t < _DEEP) & np.isfinite(t)
    if deep.any():
        r[deep] = _times_exp(1 + t[deep], t[deep])
    return np.where(t >= 0, 1 - r, r)


def _times_exp(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return z exp(t) for t < -700, where exp(t) alone would be subnormal."""
    return (z * np.exp(t + 64)) * np.exp(-64.0)


def _elu(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def _elu_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0)))


def _selu(z: np.ndarray, alpha: float) -> np.ndarray:
    return SELU_SCALE * _elu(z, SELU_ALPHA)


def _selu_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    return SELU_SCALE * _elu_derivative(z, SELU_ALPHA)


def _gelu(z: np.ndarray, alpha: float) -> np.ndarray:
    from scipy.special import ndtr

    return _product(z, ndtr(z))


def _gelu_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    from scipy.special import ndtr

    density = np.exp(-0.5 * z * z) / _SQRT_2_PI
    return ndtr(z) + _product(z, density)


def _gelu_tanh(z: np.ndarray, alpha: float) -> np.ndarray:
    # (1 + tanh(u)) / 2 cancels for negative u; it equals sigmoid(2 u).
    return _product(z, _logistic(2 * _gelu_argument(z)))


def _gelu_tanh_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    u = _gelu_argument(z)
    slope = 2 * _SQRT_2_OVER_PI * (1 + 3 * _GELU_CUBIC * z * z)
    return _logistic(2 * u) + _product(z * slope, _sigmoid_derivative(2 * u, alpha))


def _gelu_argument(z: np.ndarray) -> np.ndarray:
    return _SQRT_2_OVER_PI * z * (1 + _GELU_CUBIC * z * z)


def _mish(z: np.ndarray, alpha: float) -> np.ndarray:
    return _product(z, np.tanh(_softplus(z, alpha)))


def _mish_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    s = _softplus(z, alpha)
    return np.tanh(s) + _product(z, _tanh_derivative(s, alpha) * _logistic(z))


def _softplus_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    return _logistic(z)


def _softsign(z: np.ndarray, alpha: float) -> np.ndarray:
    z = np.clip(z, -np.finfo(z.dtype).max, np.finfo(z.dtype).max)  # inf / inf would be nan
    return z / (1 + np.abs(z))


def _softsign_derivative(z: np.ndarray, alpha: float) -> np.ndarray:
    # The square of the quotient cannot overflow; in float32 it would round three times.
    q = 1 / (1 + np.abs(z.astype(np.float64, copy=False)))
    return q * q


_FUNCTIONS = {
    "identity": (_identity, _identity_derivative),
    "binary_step": (_binary_step, _binary_step_derivative),
    "sigmoid": (_sigmoid, _sigmoid_derivative),
    "tanh": (_tanh, _tanh_derivative),
    "relu": (_relu, _relu_derivative),
    "leaky_relu": (_leaky_relu, _leaky_relu_derivative),
    "swish": (_swish, _swish_derivative),
    "hard_swish": (_hard_swish, _hard_swish_derivative),
    "elu": (_elu, _elu_derivative),
    "selu": (_selu, _selu_derivative),
    "softplus": (_softplus, _softplus_derivative),
    "gelu": (_gelu, _gelu_derivative),
    "gelu_tanh": (_gelu_tanh, _gelu_tanh_derivative),
    "mish": (_mish, _mish_derivative),
    "zero_indicator": (_zero_indicator, _zero_indicator_derivative),
    "softsign": (_softsign, _softsign_derivative),
}

_RATIONAL = {row.name for row in activations.ROWS if row.cost in ("copy", "arithmetic")}
