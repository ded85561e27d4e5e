"""Errors on every float32 argument, against NumPy and SciPy in float64.

Their relative errors, 1e-14 at most, are a ten-millionth of a float32 ULP.  Conventions are
those of `accuracy`.

Half of all numbers are larger than `FAR`, and two fifths are smaller than `TINY`.  An activation
that is made of exponentials equals its asymptote or its Taylor polynomial there, which cost much
less than the exponentials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import accuracy
import exact
import numpy as np
from scipy.special import expit, ndtr

from fastnn.activations import get

Array = np.ndarray
CHUNK = 1 << 15
"""Small enough for the cache; a divisor of 2**23, so that a chunk has one sign and exponent."""
FAR = 128.0
"""exp(-FAR) times FAR is less than a billionth of the smallest float32 number."""
TINY = 2.0**-24
"""The cube of a smaller number is less than 4e-15 times the number."""
SELU = 1.0507009873554805, 1.0507009873554805 * 1.6732632423543772
CUBIC, OUTER = 0.044715, 2 * math.sqrt(2 / math.pi)


def _gelu_tanh_argument(z: Array) -> Array:
    return OUTER * z * (1 + CUBIC * z * z)


def _gate_derivative(z: Array, w: Array, slope: Array | float) -> Array:
    other = expit(-w)
    return expit(w) * (1 + np.where(other == 0, 0, z * slope * other))


def _density(z: Array) -> Array:
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _mish_derivative(z: Array) -> Array:
    softplus = np.logaddexp(0, z)
    return np.tanh(softplus) + z * expit(z) / np.cosh(softplus) ** 2


def _exponential_part(z: Array, function: Callable[[Array], Array]) -> Array:
    return function(np.minimum(z, 0))


FORMULAS: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sigmoid": expit,
    "sigmoid'": lambda z: expit(z) * expit(-z),
    "tanh": np.tanh,
    "tanh'": lambda z: np.cosh(z) ** -2.0,
    "softplus": lambda z: np.logaddexp(0, z),
    "softplus'": expit,
    "swish": lambda z: z * expit(z),
    "swish'": lambda z: _gate_derivative(z, z, 1),
    "elu": lambda z: np.where(z > 0, z, _exponential_part(z, np.expm1)),
    "elu'": lambda z: _exponential_part(z, np.exp),
    "selu": lambda z: np.where(z > 0, SELU[0] * z, SELU[1] * _exponential_part(z, np.expm1)),
    "selu'": lambda z: np.where(z > 0, SELU[0], SELU[1] * _exponential_part(z, np.exp)),
    "gelu": lambda z: z * ndtr(z),
    "gelu'": lambda z: ndtr(z) + z * _density(z),
    "gelu_tanh": lambda z: z * expit(_gelu_tanh_argument(z)),
    "gelu_tanh'": lambda z: _gate_derivative(
        z, _gelu_tanh_argument(z), OUTER * (1 + 3 * CUBIC * z * z)
    ),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
    "mish'": _mish_derivative,
    "hard_swish": lambda z: z * np.clip(z + 3, 0, 6) / 6,
    "softsign": lambda z: z / (1 + np.abs(z)),
    "softsign'": lambda z: (1 + np.abs(z)) ** -2.0,
    "hard_swish'": lambda z: np.where(np.abs(z) < 3, (2 * z + 3) / 6, z > 0),
}


def expected_values(function: str, z: Array) -> Array:
    """The function of float32 arguments in float64."""
    z = z.astype(np.float64)
    name = function.removesuffix("'")
    low, high = float(z.min()), float(z.max())
    if name not in accuracy.ELEMENTARY and get(name).cost != "arithmetic":
        sign = 1 if low > 0 else -1
        if low >= FAR or high <= -FAR:
            value, slope = _asymptote(function, sign)
            return value + slope * (z - sign * FAR)
        if 0 < low <= high < TINY or -TINY < low <= high < 0:
            value, slope, curvature = _taylor(function, sign)
            return value + z * (slope + z * curvature)
    return np.asarray(FORMULAS[function](z), np.float64)


@cache
def _asymptote(function: str, sign: int) -> tuple[float, float]:
    """The value at sign * FAR and the slope from there to infinity."""
    end = np.float64(sign * FAR)
    slope = 0.0 if function.endswith("'") else float(FORMULAS[function + "'"](end))
    return float(FORMULAS[function](end)), slope if abs(slope) > 1e-40 else 0.0


@cache
def _taylor(function: str, sign: int) -> tuple[float, float, float]:
    """The coefficients of a parabola beside 0, on the side of a sign."""
    _, first, second = exact.taylor(function.removesuffix("'"), sign * 1e-20, 1.0)
    if function.endswith("'"):
        return float(first), float(second), 0.0
    return float(exact.value(function, exact.mpf(0), 1.0)), float(first), float(second) / 2


@dataclass
class Worst:
    """Largest and mean error in ULP, and the argument of the largest."""

    largest: float = 0.0
    argument: float = math.nan
    total: float = 0.0
    count: int = 0

    @property
    def mean(self) -> float:
        return self.total / max(self.count, 1)

    def update(self, z: Array, error: Array) -> None:
        i = int(np.argmax(error))
        if error[i] > self.largest:
            self.largest, self.argument = float(error[i]), float(z[i])
        self.total += float(error.sum())
        self.count += z.size


def errors(function: str, z: Array, results: Array, expected: Array) -> Array:
    """Errors in ULP of float32 results; `expected` is float64."""
    limit = 2.0**128
    # Exponents straight from the bits: frexp and ldexp would take most of the time.
    exponent = (np.abs(expected).view(np.int64) >> 52) - 1022
    exponent = np.clip(exponent, -125, 128) - 24
    if function in accuracy.ZEROS:
        near = np.abs(z - accuracy.ZEROS[function]) < accuracy.NEAR
        exponent[near] = np.maximum(exponent[near], -26)
    distance = np.clip(results, -limit, limit, dtype=np.float64)
    distance -= np.clip(expected, -limit, limit)
    error = np.abs(distance) * ((1023 - exponent) << 52).view(np.float64)
    error[np.isnan(error)] = math.inf
    return error


def all_arguments(function: str, stride: int = 1) -> Iterator[Array]:
    """Every float32 number in the domain of the function (or one in `stride`), in chunks."""
    for start in range(0, 1 << 32, CHUNK * stride):
        stop = min(start + CHUNK * stride, 1 << 32)
        z = np.arange(start, stop, stride, dtype=np.uint32).view(np.float32)
        z = accuracy.in_domain(function, z)
        if z.size:
            yield z


def measure(function: str, modules: dict[str, ModuleType], stride: int = 1) -> dict[str, Worst]:
    """Errors of several modules of float32 kernels on every argument."""
    worst = {name: Worst() for name in modules}
    with np.errstate(all="ignore"):
        for z in all_arguments(function, stride):
            expected = expected_values(function, z)
            before = error = np.empty(0)
            for name, kernels in modules.items():
                results = accuracy.evaluate(kernels, function, z)
                if not np.array_equal(results, before):
                    before, error = results, errors(function, z, results, expected)
                worst[name].update(z, error)
    return worst
