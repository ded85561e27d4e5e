"""The optimizers: each has the numbers of one row of `fastnn.facts.updates`, and its history.

Notation: `p` parameters, `g` gradient, `lr` learning rate, `t` step (from 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fastnn.optimizers._base import Optimizer
from fastnn.schedules import LearningRate

__all__ = [
    "AMSGrad",
    "Adam",
    "AdamW",
    "CenteredRMSprop",
    "GradientDescent",
    "Lion",
    "Momentum",
    "Nesterov",
    "RMSprop",
]


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """Gradient descent: ``p -= lr g``.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step, default 0.01
    clip_norm : float, optional
        Largest norm of the gradient; see `Optimizer`.
    """

    name: ClassVar[str] = "gradient_descent"
    kind: ClassVar[str] = "gradient_descent"


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum: ``v = momentum v - lr (1 - dampening) g; p += v``.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step, default 0.01
    momentum : float, default 0.9
        Share of the velocity `v` that survives a step, in [0, 1).
    nesterov : bool, default False
        Take the step from where the velocity leads; see `Nesterov`.
    dampening : float, default 0
        Share of the gradient, in [0, 1), that does not enter the velocity after the first step.
        It must be 0 with `nesterov`.
    clip_norm : float, optional
        Largest norm of the gradient; see `Optimizer`.

    References
    ----------
    Polyak (1964), "Some methods of speeding up the convergence of iteration methods".
    """

    name: ClassVar[str] = "momentum"
    kind: ClassVar[str] = "momentum"

    momentum: float = 0.9
    nesterov: bool = False
    dampening: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.dampening:
            raise ValueError(f"dampening must be 0 with nesterov=True, got {self.dampening}")


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """Nesterov's accelerated gradient: ``v = momentum v - lr g; p += momentum v - lr g``.

    In these variables, which are ahead of Nesterov's by `momentum v`, the
    gradient is taken at `p` itself.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step, default 0.01
    momentum : float, default 0.9
        Share of the velocity `v` that survives a step, in [0, 1).
    clip_norm : float, optional
        Largest norm of the gradient; see `Optimizer`.

    References
    ----------
    Nesterov (1983), "A method for solving the convex programming problem with convergence rate
    O(1/k^2)"; Sutskever, Martens, Dahl & Hinton (2013), "On the importance of initialization and
    momentum in deep learning", eq. 3-4.
    """

    name: ClassVar[str] = "nesterov"
    kind: ClassVar[str] = "momentum"
    fixed: ClassVar[Mapping[str, float]] = {"nesterov": True}

    momentum: float = 0.9


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop: ``s = rho s + (1 - rho) g^2; p -= lr g / (sqrt(s) + epsilon)``.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step, default 0.001
    rho : float, default 0.9
        Share of the mean square `s` that survives a step, in [0, 1).
    epsilon : float, default 1e-8
        Keeps the quotient finite where `s` is 0.
    clip_norm : float, optional
        Largest norm of the gradient; see `Optimizer`.

    References
    ----------
    Tieleman & Hinton (2012), "Lecture 6.5 - RMSprop", COURSERA: Neural networks for machine
    learning.
    """

    name: ClassVar[str] = "rmsprop"
    kind: ClassVar[str] = "rmsprop"

    learning_rate: LearningRate = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8


@dataclass(frozen=True)
class CenteredRMSprop(RMSprop):
    """RMSprop by the variance of the gradient in place of its mean square.

    ``s = rho s + (1 - rho) g^2``, ``m = rho m + (1 - rho) g``,
    ``p -= lr g / (sqrt(max(s - m^2, 0)) + epsilon)``.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step, default 0.001
    rho : float, default 0.9
        Share of both averages that survives a step, in [0, 1).
    epsilon : float, default 1e-8
        Keeps the quotient finite where the variance is 0.
    clip_norm : float, optional
        Largest norm of the gradient; see `Optimizer`.

    References
    ----------
    Graves (2013), "Generating sequences with recurrent neural networks", eq. 38-40.
    """

    name: ClassVar[str] = "centered_rmsprop"
    kind: ClassVar[str] = "centered_rmsprop"


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: moving averages of the gradient and its square, corrected for their bias.

    ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``,
    ``p -= lr m' / (sqrt(v') + epsilon)`` with ``m' = m / (1 - beta1^t)`` and
    ``v' = v / (1 - beta2^t)``.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
        Shares of the two averages that survive a step, in [0, 1).
    epsilon : float, default 1e-8
        Keeps the quotient finite where `v` is 0.
    bias_correction : bool, default True
        False takes ``m' = m`` and ``v' = v``.
    clip_norm : float, optional
        Largest norm of the gradient; see `Optimizer`.

    References
    ----------
    Kingma & Ba (2015), "Adam: a method for stochastic optimization", algorithm 1.
    """

    name: ClassVar[str] = "adam"
    kind: ClassVar[str] = "adam"

    learning_rate: LearningRate = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    bias_correction: bool = True


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: every step also takes ``p -= lr weight_decay p``.

    In a network the decay acts on weights and not on biases.  In float32 it has no effect where
    ``lr weight_decay`` is below 3e-8: then ``p - lr weight_decay p`` is rounded to ``p``.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step, default 0.001
    beta1, beta2, epsilon, bias_correction
        As in `Adam`.
    weight_decay : float, default 0.01
    clip_norm : float, optional
        Largest norm of the gradient; see `Optimizer`.

    References
    ----------
    Loshchilov & Hutter (2019), "Decoupled weight decay regularization", algorithm 2, with the
    decay scaled by the learning rate.
    """

    name: ClassVar[str] = "adamw"

    weight_decay: float = 0.01


@dataclass(frozen=True)
class AMSGrad(Adam):
    """Adam whose mean square never decreases: ``w = max(w, v)`` in place of ``v``.

    ``p -= lr m' / (sqrt(w') + epsilon)`` with ``w' = w / (1 - beta2^t)``.  With `weight_decay`
    every step also takes ``p -= lr weight_decay p``, in a network on weights and not on biases.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step, default 0.001
    beta1, beta2, epsilon, bias_correction
        As in `Adam`.
    weight_decay : float, default 0
    clip_norm : float, optional
        Largest norm of the gradient; see `Optimizer`.

    References
    ----------
    Reddi, Kale & Kumar (2018), "On the convergence of Adam and beyond", ICLR, with the
    correction of the bias that PyTorch and Keras apply.
    """

    name: ClassVar[str] = "amsgrad"
    kind: ClassVar[str] = "amsgrad"

    weight_decay: float = 0.0


@dataclass(frozen=True)
class Lion(Optimizer):
    """Lion: steps of one length, along the sign of a moving average of the gradient.

    ``c = beta1 m + (1 - beta1) g``, ``p -= lr (sign(c) + weight_decay p)``,
    ``m = beta2 m + (1 - beta2) g``.  Every parameter moves by the learning rate, so this is
    three to ten times smaller than Adam's, and the weight decay as many times larger.

    In a network the decay acts on weights and not on biases.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step, default 0.0001
    beta1 : float, default 0.9
        Share of the average `m` in the direction of the step, in [0, 1).
    beta2 : float, default 0.99
        Share of the average `m` that survives a step, in [0, 1).
    weight_decay : float, default 0
    clip_norm : float, optional
        Largest norm of the gradient; see `Optimizer`.

    References
    ----------
    Chen et al. (2023), "Symbolic discovery of optimization algorithms", algorithm 2.
    """

    name: ClassVar[str] = "lion"
    kind: ClassVar[str] = "lion"

    learning_rate: LearningRate = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
