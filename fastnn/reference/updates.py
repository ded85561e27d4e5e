"""The optimizers' updates, as the reference engine applies them to each parameter."""

from __future__ import annotations

import numpy as np

from fastnn.reference import kernels

Array = np.ndarray

Hyper = dict[str, float]


def _gradient_descent(a: list[Array], step: int, lr: float, hyper: Hyper, decay: bool) -> None:
    kernels.gradient_descent(a[0], a[1], lr, 0.0)


def _momentum(a: list[Array], step: int, lr: float, hyper: Hyper, decay: bool) -> None:
    kernels.momentum(a[0], a[1], a[2], lr, hyper["momentum"], bool(hyper["nesterov"]), 0.0)


def _rmsprop(a: list[Array], step: int, lr: float, hyper: Hyper, decay: bool) -> None:
    kernels.rmsprop(a[0], a[1], a[2], lr, hyper["rho"], hyper["epsilon"], 0.0)


def _adam(a: list[Array], step: int, lr: float, hyper: Hyper, decay: bool) -> None:
    """Adam; decoupled weight decay acts on what the L2 penalty would: weights, not biases."""
    kernels.adam(
        a[0], a[1], a[2], a[3], step, lr, hyper["beta1"], hyper["beta2"], hyper["epsilon"],
        hyper["weight_decay"] if decay else 0.0, bool(hyper["bias_correction"]), 0.0,
    )  # fmt: skip


UPDATES = {
    "gradient_descent": _gradient_descent,
    "momentum": _momentum,
    "rmsprop": _rmsprop,
    "adam": _adam,
}
