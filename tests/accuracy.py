"""Errors of the elementwise kernels in units of the last place: functions, arguments, bounds.

A function is named as in `fastnn.functional`, with a prime for a derivative: "exp", "tanh",
"tanh'".  Its exact value comes from mpmath.  The error is the distance of a result from the
exact value, in units of the spacing of floating-point numbers there (2**-149 or 2**-1074
among the subnormal ones); half a unit is the best a rounded result can do.

Near the zero of a derivative no rounded argument has a relatively accurate one; there, up to
`NEAR` away, the unit is that of 1/8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType

import exact
import mpmath
import numpy as np
from mpmath import mpf

from fastnn.activations import get, names

ELEMENTARY = ("exp", "expm1", "log", "log1p")
ROUND_ONCE = {"identity", "binary_step", "relu", "leaky_relu", "zero_indicator"}
FUNCTIONS = (
    *ELEMENTARY,
    *(name + prime for name in names() if name not in ROUND_ONCE for prime in ("", "'")),
)

ZEROS = {
    "swish'": -1.2784645427610738,
    "gelu'": -0.7517915246935645,
    "gelu_tanh'": -0.7524614220710163,
    "mish'": -1.1924559012350836,
}
NEAR = 0.25

BOUNDS = {"gelu": 4, "gelu'": 5, "mish": 4, "mish'": 5}
"""Errors promised, in ULP, where they are not 2."""

REFERENCE_BOUNDS = {
    "sigmoid'": 3,
    "tanh'": 3,
    "softsign'": 5,
    "swish": 3,
    "swish'": 8,
    "selu": 3,
    "selu'": 3,
    "gelu": 64,
    "gelu'": 64,
    "gelu_tanh": 64,
    "gelu_tanh'": 64,
    "mish": 4,
    "mish'": 16,
}
"""The same for the NumPy reference in float64; in float32 it computes in float64."""

REFERENCE_FROM = {
    "gelu": -5,
    "gelu'": -5,
    "gelu_tanh": -5,
    "gelu_tanh'": -5,
    "mish": -700,
    "mish'": -700,
}
"""Where they begin to hold; below, the reference loses digits in float64."""


def bound(function: str, backend: str, dtype: str) -> float:
    """The largest error promised, in ULP."""
    if backend == "reference" and dtype == "float64":
        return REFERENCE_BOUNDS.get(function, 2)
    return BOUNDS.get(function, 2)


def promised(function: str, backend: str, dtype: str) -> float:
    """The argument from which on `bound` holds."""
    if backend == "reference" and dtype == "float64":
        return REFERENCE_FROM.get(function, -math.inf)
    return -math.inf


def evaluate(kernels: ModuleType, function: str, z: np.ndarray) -> np.ndarray:
    """The function at each z, alpha and beta being 1, from a module of kernels."""
    out = np.empty_like(z)
    if function in ELEMENTARY:
        getattr(kernels, function)(z, out)
    elif function.endswith("'"):
        kernels.activation_derivative(function[:-1], z, 1.0, out)
    else:
        kernels.activation(function, z, 1.0, out)
    return out


# ------------------------------------------------------------------- exact values


def exact_value(function: str, z: float) -> mpf:
    """The function at z to 30 digits or more."""
    if function.endswith("'"):
        far = mpmath.inf if get(function[:-1]).cost == "arithmetic" else FAR
        return mpf(DERIVATIVES[function[:-1]](min(max(mpf(z), -far), far)))
    if function == "gelu" and abs(z) > FAR:
        return mpf(max(z, 0.0))
    if function in ELEMENTARY:
        return exact.VALUES[function](mpf(z))
    return exact.value(function, mpf(z), 1.0)


def _sigmoid(z: mpf) -> mpf:
    return 1 / (1 + mpmath.exp(-z))


def _gate_derivative(z: mpf, w: mpf, slope: mpf) -> mpf:
    """Derivative of z sigmoid(w(z)), w' = slope."""
    return _sigmoid(w) * (1 + z * slope * _sigmoid(-w))


def _gelu_derivative(z: mpf) -> mpf:
    density = mpmath.exp(-(z**2) / 2) / mpmath.sqrt(2 * mpmath.pi)
    return mpmath.erfc(-z / mpmath.sqrt(2)) / 2 + z * density


def _gelu_tanh_derivative(z: mpf) -> mpf:
    outer, cubic = 2 * mpmath.sqrt(2 / mpmath.pi), mpf("0.044715")
    return _gate_derivative(z, outer * (z + cubic * z**3), outer * (1 + 3 * cubic * z**2))


def _mish_derivative(z: mpf) -> mpf:
    softplus = mpmath.log1p(mpmath.exp(z))
    return mpmath.tanh(softplus) + z * _sigmoid(z) / mpmath.cosh(softplus) ** 2


FAR = 10**5
"""Derivatives made of exponentials change by less than 10**-40000 beyond."""

DERIVATIVES = {
    "sigmoid": lambda z: 1 / (2 + 2 * mpmath.cosh(z)),
    "tanh": lambda z: 1 / mpmath.cosh(z) ** 2,
    "softplus": _sigmoid,
    "swish": lambda z: _gate_derivative(z, z, 1),
    "elu": lambda z: 1 if z > 0 else mpmath.exp(z),
    "selu": lambda z: exact.SELU_SCALE * (1 if z > 0 else exact.SELU_ALPHA * mpmath.exp(z)),
    "gelu": _gelu_derivative,
    "gelu_tanh": _gelu_tanh_derivative,
    "mish": _mish_derivative,
    "hard_swish": lambda z: (2 * z + 3) / 6 if abs(z) < 3 else mpf(z > 0),
    "softsign": lambda z: 1 / (1 + abs(z)) ** 2,
}


# ------------------------------------------------------------------------- errors


def unit(magnitude: mpf, information: np.finfo) -> mpf:
    """Spacing of the numbers of a dtype at an exact magnitude."""
    exponent = mpmath.frexp(magnitude)[1] if magnitude else information.minexp
    return mpf(2) ** (max(exponent, information.minexp + 1) - information.nmant - 1)


def error(result: float, expected: mpf, smallest_unit: mpf, information: np.finfo) -> float:
    """Error of one finite argument's result in ULP, the unit being at least `smallest_unit`."""
    if math.isnan(result):
        return math.inf
    overflow = mpf(2) ** information.maxexp
    if math.isinf(result):
        # Infinity stands for the next power of two and everything beyond.
        reached = mpf(math.copysign(1, result)) * overflow
        if expected / reached >= 1:
            return 0.0
        return float(abs(reached - expected) / unit(overflow / 2, information))
    size = min(abs(expected), overflow / 2)
    return float(abs(mpf(result) - expected) / max(unit(size, information), smallest_unit))


def errors(
    function: str, z: np.ndarray, results: np.ndarray, expected: Sequence[mpf]
) -> np.ndarray:
    """Errors in ULP of results in the dtype of z."""
    information = np.finfo(z.dtype)
    eighth = unit(mpf(1) / 8, information)
    zero = ZEROS.get(function, math.inf)
    return np.array(
        [
            error(float(y), e, eighth if abs(x - zero) < NEAR else mpf(0), information)
            for x, y, e in zip(z.tolist(), results.tolist(), expected, strict=True)
        ]
    )


# ---------------------------------------------------------------------- arguments


def in_domain(function: str, z: np.ndarray) -> np.ndarray:
    """The arguments that are finite and where the function is."""
    low = {"log": 0, "log1p": -1}.get(function, -math.inf)
    return z[np.isfinite(z) & (z > low)]


# Where a build had its largest error in a search over all float32 numbers and 2 million float64.
WORST = {
    "exp": [26.69040298461914, 5.229518890380859, 12.15288630235245],
    "expm1": [0.35959526896476746, 0.348723264542671, 0.3565513466851918],
    "log": [0.7066160440444946, 0.7049972637364936],
    "log1p": [-0.29338395595550537, -0.2943596368915209, 0.40969973783252245],
    "sigmoid": [-0.00034499180037528276, -3.432992781609426e-06],
    "sigmoid'": [280.04885339104385],
    "tanh": [0.5549423098564148, 0.5674647777144708, 0.12524530291557312, 0.5563105940818787],
    "tanh'": [326.47464596351205],
    "softplus": [-1.260459065437317, -2.0371268209609164],
    "softplus'": [-1.949148335954646, -12.781083334888763],
    "swish": [0.0038915923796594143, 1.9009732159529964e-06, -0.0004883407382294536],
    "swish'": [-715.293193114287, -0.5371375679969788],
    "elu": [-0.2867960035800934, -0.27100485238029304],
    "elu'": [-1.0224466349393602, -11.426713689275086],
    "selu": [
        -0.30665525794029236,
        -0.33213023854537216,
        -0.31530491187247867,
        -0.33107516169548035,
    ],
    "selu'": [-354.07832673833434, -323.571120126735],
    "gelu": [5.8950483113572106e-05, 7.404056044338025e-06],
    "gelu'": [-0.32604435267035115, -0.3311913632188146],
    "gelu_tanh": [3.7383172042377867e-06, -0.0019475123845040798],
    "gelu_tanh'": [-4.227290205970791, -0.3256205916404724],
    "mish": [-13.742189482061482],
    "mish'": [-0.8699624774148318, -0.8421235644534897, -0.15757927298545837, -0.8547500967979431],
    "hard_swish": [1.3714978694915771, 1.3565720720373586],
}


def hard_arguments(function: str, dtype: str) -> np.ndarray:
    """Both sides of where reductions and formulas change, the ends of the range, worst cases."""
    information = np.finfo(dtype)
    largest_exponent = -information.minexp + information.nmant + 3
    halves = np.arange(-2 * largest_exponent, 2 * largest_exponent + 1) / 2
    centres = np.concatenate(
        [
            halves[:: 8 if dtype == "float64" else 1] * math.log(2),
            halves[np.abs(halves) < 12] * math.log(2),
            [0.5, 1, 2, 3, 4, 6, 12, 0.5**0.5, 2**0.5, 0.55, 15, 40, 60],
            WORST.get(function, []),
        ]
    )
    centres = np.concatenate([centres, -centres, centres - 1]).astype(dtype)
    ends = np.array(
        [information.smallest_subnormal, information.tiny, information.eps, information.max], dtype
    )
    around = np.concatenate([centres, ends, -ends])
    with np.errstate(over="ignore"):
        sides = [np.nextafter(around, np.array(side, dtype)) for side in (-np.inf, np.inf)]
    return np.unique(in_domain(function, np.concatenate([around, *sides])))


def random_arguments(function: str, dtype: str, n: int, seed: int = 0) -> np.ndarray:
    """n arguments: all exponents, the range in which the function lives, the middle, and 0 to 1."""
    rng = np.random.default_rng(seed)
    information = np.finfo(dtype)
    n //= 5
    exponents = rng.uniform(information.minexp - information.nmant, information.maxexp, n)
    live = 105 if dtype == "float32" else 750
    parts = [
        rng.choice([-1, 1], n) * np.exp2(exponents),
        rng.uniform(-live, live, n),
        rng.uniform(-live, live, n) ** 2 / live / 12,
        rng.uniform(-5, 5, n),
        rng.uniform(-1, 1, n),
    ]
    parts[2] *= rng.choice([-1, 1], n)
    z = np.concatenate(parts).astype(dtype)
    return in_domain(function, np.abs(z) if function == "log" else z)
