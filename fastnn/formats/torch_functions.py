"""What the functions of PyTorch are in fastnn: layers for each of them.

A function is read from a module (`torch.nn.GELU`), a function (`torch.nn.functional.gelu`) or a
method (`x.relu()`); all three have the same options under the same names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.layers import Activation, Dropout, Layer, Scale

Options = Mapping[str, Any]
Make = Callable[[Options, int], list[Layer]]


@dataclass(frozen=True)
class Reading:
    """How a function of one tensor is read.

    Attributes
    ----------
    make : callable
        From the options and the width of the tensor to the layers, in their order.  It raises
        ValueError if an option has a value that no layer has.
    options : dict of str to object
        Names of the options after the tensor, in the order of the function, with defaults.
    """

    make: Make
    options: Mapping[str, Any]


def _named(function: str) -> Make:
    return lambda options, width: [Activation(function)]


def _scaled(factor: float, function: Layer, after: float, width: int) -> list[Layer]:
    """Layers of ``after * function(factor * x)``."""
    return [_times(factor, width), function, _times(after, width)]


def _times(factor: float, width: int) -> Layer:
    return Scale(width, scale=np.full(width, factor), trainable=False)


def _leaky_relu(options: Options, width: int) -> list[Layer]:
    return [Activation("leaky_relu", options["negative_slope"])]


def _elu(options: Options, width: int) -> list[Layer]:
    return [Activation("elu", options["alpha"])]


def _celu(options: Options, width: int) -> list[Layer]:
    alpha = float(options["alpha"])
    if alpha == 1:
        return [Activation("elu")]
    if not alpha:
        raise ValueError("alpha is 0")
    return _scaled(1 / alpha, Activation("elu"), alpha, width)


def _gelu(options: Options, width: int) -> list[Layer]:
    form = options["approximate"]
    if form not in ("none", "tanh"):
        raise ValueError(f"approximate is {form!r}, expected 'none' or 'tanh'")
    return [Activation("gelu" if form == "none" else "gelu_tanh")]


def _softplus(options: Options, width: int) -> list[Layer]:
    beta, threshold = float(options["beta"]), float(options["threshold"])
    if threshold < 20:
        raise ValueError(f"threshold is {threshold:g}, expected at least 20")
    if beta == 1:
        return [Activation("softplus")]
    if not beta:
        raise ValueError("beta is 0")
    return _scaled(beta, Activation("softplus"), 1 / beta, width)


def _log_sigmoid(options: Options, width: int) -> list[Layer]:
    return _scaled(-1.0, Activation("softplus"), -1.0, width)


def _dropout(options: Options, width: int) -> list[Layer]:
    rate = float(options["p"])
    if rate >= 1:
        raise ValueError(f"p is {rate:g}, expected less than 1")
    return [Dropout(rate)]


def _of_rows(function: str) -> Make:
    def make(options: Options, width: int) -> list[Layer]:
        if options["dim"] not in (-1, 1, None):
            raise ValueError(f"dim is {options['dim']!r}, expected -1 or 1: the columns of a row")
        if options.get("dtype") is not None:
            raise ValueError(f"dtype is {options['dtype']!r}, expected None")
        return [Activation(function)]

    return make


def _flatten(options: Options, width: int) -> list[Layer]:
    if options["start_dim"] != 1 or options["end_dim"] not in (-1, 1):
        raise ValueError(
            f"start_dim is {options['start_dim']!r} and end_dim {options['end_dim']!r}, "
            "expected 1 and -1: a sample is a row"
        )
    return []


_IN_PLACE = {"inplace": False}

READINGS: Mapping[str, Reading] = {
    "identity": Reading(lambda options, width: [], {}),
    "contiguous": Reading(lambda options, width: [], {}),
    "flatten": Reading(_flatten, {"start_dim": 0, "end_dim": -1}),
    "dropout": Reading(_dropout, {"p": 0.5, "training": True, **_IN_PLACE}),
    "relu": Reading(_named("relu"), _IN_PLACE),
    "relu_": Reading(_named("relu"), {"inplace": True}),
    "leaky_relu": Reading(_leaky_relu, {"negative_slope": 0.01, **_IN_PLACE}),
    "elu": Reading(_elu, {"alpha": 1.0, **_IN_PLACE}),
    "celu": Reading(_celu, {"alpha": 1.0, **_IN_PLACE}),
    "selu": Reading(_named("selu"), _IN_PLACE),
    "gelu": Reading(_gelu, {"approximate": "none"}),
    "silu": Reading(_named("swish"), _IN_PLACE),
    "mish": Reading(_named("mish"), _IN_PLACE),
    "hardswish": Reading(_named("hard_swish"), _IN_PLACE),
    "sigmoid": Reading(_named("sigmoid"), {}),
    "expit": Reading(_named("sigmoid"), {}),
    "tanh": Reading(_named("tanh"), {}),
    "softsign": Reading(_named("softsign"), {}),
    "softplus": Reading(_softplus, {"beta": 1.0, "threshold": 20.0}),
    "logsigmoid": Reading(_log_sigmoid, {}),
    "softmax": Reading(_of_rows("softmax"), {"dim": None, "dtype": None}),
    "log_softmax": Reading(_of_rows("log_softmax"), {"dim": None, "dtype": None}),
}
"""By the name of the function in `torch`, `torch.nn.functional`, `torch.special` or `Tensor`."""

MODULES = {
    "Identity": "identity",
    "Flatten": "flatten",
    "Dropout": "dropout",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "CELU": "celu",
    "SELU": "selu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Mish": "mish",
    "Hardswish": "hardswish",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softsign": "softsign",
    "Softplus": "softplus",
    "LogSigmoid": "logsigmoid",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
}
"""The function of each class of `torch.nn` whose modules have no parameters."""


def layers_of(function: str, options: Options, width: int) -> list[Layer]:
    """The layers of a function; ValueError names an option that no layer has."""
    try:
        return READINGS[function].make(options, width)
    except ValueError as error:
        raise ValueError(f"{function}: {error}") from None


def times(factor: Any, width: int) -> Layer:
    """The layer that multiplies by a number."""
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor):
        raise ValueError(f"a factor is {factor!r}, expected a finite number")
    return _times(float(factor), width)
