"""Optimizer updates as calls of a backend's kernels.

Each takes the kernels, the arrays [parameters, gradient, *slots], which it changes in place, the
step from 1, the learning rate, and the numbers that an engine's `set_optimizer` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Arrays = Sequence[np.ndarray]
Hyper = dict[str, float]


def _gradient_descent(
    kernels: Any, a: Arrays, step: int, lr: float, h: Hyper, decays: bool
) -> None:
    kernels.gradient_descent(*a, lr, 0.0)


def _momentum(kernels: Any, a: Arrays, step: int, lr: float, h: Hyper, decays: bool) -> None:
    kernels.momentum(*a, lr, h["momentum"], bool(h["nesterov"]), 0.0)


def _rmsprop(kernels: Any, a: Arrays, step: int, lr: float, h: Hyper, decays: bool) -> None:
    kernels.rmsprop(*a, lr, h["rho"], h["epsilon"], 0.0)


def _adam(kernels: Any, a: Arrays, step: int, lr: float, h: Hyper, decays: bool) -> None:
    """Adam; weight decay acts where `decays`: on what the L2 penalty would, weights, not biases."""
    kernels.adam(
        *a, step, lr, h["beta1"], h["beta2"], h["epsilon"],
        h["weight_decay"] if decays else 0.0, bool(h["bias_correction"]), 0.0,
    )  # fmt: skip


UPDATES: dict[str, Callable[[Any, Arrays, int, float, Hyper, bool], None]] = {
    "gradient_descent": _gradient_descent,
    "momentum": _momentum,
    "rmsprop": _rmsprop,
    "adam": _adam,
}
"""By the `kind` of an optimizer."""
