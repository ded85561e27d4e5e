"""Optimizers: immutable specifications of how parameters follow their gradients.

An optimizer holds numbers, no state.  The engines apply its update to the flat
storage of parameters and keep its state in *slots*, flat arrays of the same
layout.  `minimize` runs any of them on a function of your own.

Notation: `p` parameters, `g` gradient, `lr` learning rate, `t` step (from 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend, solvers
from fastnn._shared.arrays import real_array
from fastnn._shared.config import build, replace_fields
from fastnn._shared.numbers import check_flag, check_integer, check_number
from fastnn.facts.updates import UPDATES
from fastnn.schedules import (
    LearningRate,
    check_learning_rate,
    from_config,
    rates,
    to_config,
)
from fastnn.solvers import Solver

__all__ = [
    "Adam",
    "AdamW",
    "GradientDescent",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RMSprop",
    "get",
    "minimize",
]


@dataclass(frozen=True)
class Optimizer:
    """Base class of the optimizers.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step
        Steps count from 1.
    clip_norm : float, optional
        Gradients of larger Euclidean norm, taken over all parameters together,
        are scaled down to this norm before each update.

    Attributes
    ----------
    name : str
        The name that stands for the class in `get` and `config`.
    kind : str
        The update the engines apply.
    slot_names : tuple of str
        The arrays of state the update keeps, each shaped like the parameters.
    """

    name: ClassVar[str]
    kind: ClassVar[str]
    slot_names: ClassVar[tuple[str, ...]] = ()

    learning_rate: LearningRate = 0.01
    clip_norm: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        replace_fields(self, learning_rate=check_learning_rate("learning_rate", self.learning_rate))
        if self.clip_norm is not None:
            replace_fields(self, clip_norm=check_number(self.clip_norm, "clip_norm", above=0.0))

    @property
    def hyper(self) -> dict[str, float]:
        """The numbers an engine's `set_optimizer` takes; `clip_norm` 0 stands for none."""
        return {"clip_norm": self.clip_norm or 0.0}

    @property
    def config(self) -> dict[str, Any]:
        """The optimizer as JSON-able data; ``get(config)`` makes an equal one of it.

        Raises
        ------
        ValueError
            If the learning rate is a function, which no file can hold.
        """
        values = {f.name: to_config(getattr(self, f.name)) for f in fields(self)}
        return {"name": self.name} | values


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
    """Gradient descent with momentum: ``v = momentum v - lr g; p += v``.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step, default 0.01
    momentum : float, default 0.9
        Share of the velocity `v` that survives a step, in [0, 1).
    nesterov : bool, default False
        Take the step from where the velocity leads; see `Nesterov`.
    clip_norm : float, optional
        Largest norm of the gradient; see `Optimizer`.

    References
    ----------
    Polyak (1964), "Some methods of speeding up the convergence of iteration methods".
    """

    name: ClassVar[str] = "momentum"
    kind: ClassVar[str] = "momentum"
    slot_names: ClassVar[tuple[str, ...]] = ("velocity",)

    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        replace_fields(
            self,
            momentum=check_number(self.momentum, "momentum", 0.0, below=1.0),
            nesterov=check_flag(self.nesterov, "nesterov"),
        )

    @property
    def hyper(self) -> dict[str, float]:
        """The numbers an engine's `set_optimizer` takes."""
        return super().hyper | {"momentum": self.momentum, "nesterov": float(self.nesterov)}


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
    slot_names: ClassVar[tuple[str, ...]] = ("velocity",)

    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        replace_fields(self, momentum=check_number(self.momentum, "momentum", 0.0, below=1.0))

    @property
    def hyper(self) -> dict[str, float]:
        """The numbers an engine's `set_optimizer` takes."""
        return super().hyper | {"momentum": self.momentum, "nesterov": 1.0}


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
    slot_names: ClassVar[tuple[str, ...]] = ("square",)

    learning_rate: LearningRate = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        replace_fields(
            self,
            rho=check_number(self.rho, "rho", 0.0, below=1.0),
            epsilon=check_number(self.epsilon, "epsilon", above=0.0),
        )

    @property
    def hyper(self) -> dict[str, float]:
        """The numbers an engine's `set_optimizer` takes."""
        return super().hyper | {"rho": self.rho, "epsilon": self.epsilon}


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
    slot_names: ClassVar[tuple[str, ...]] = ("first", "second")

    learning_rate: LearningRate = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    bias_correction: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        replace_fields(
            self,
            beta1=check_number(self.beta1, "beta1", 0.0, below=1.0),
            beta2=check_number(self.beta2, "beta2", 0.0, below=1.0),
            epsilon=check_number(self.epsilon, "epsilon", above=0.0),
            bias_correction=check_flag(self.bias_correction, "bias_correction"),
        )

    @property
    def hyper(self) -> dict[str, float]:
        """The numbers an engine's `set_optimizer` takes."""
        return super().hyper | {
            "beta1": self.beta1,
            "beta2": self.beta2,
            "epsilon": self.epsilon,
            "weight_decay": 0.0,
            "bias_correction": float(self.bias_correction),
        }


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: every step also takes ``p -= lr weight_decay p``.

    In a network the decay acts on weights and not on biases.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        replace_fields(self, weight_decay=check_number(self.weight_decay, "weight_decay", 0.0))

    @property
    def hyper(self) -> dict[str, float]:
        """The numbers an engine's `set_optimizer` takes."""
        return super().hyper | {"weight_decay": self.weight_decay}


_CLASSES: dict[str, type[Optimizer | Solver]] = {
    **{cls.name: cls for cls in (GradientDescent, Momentum, Nesterov, RMSprop, Adam, AdamW)},
    **solvers.CLASSES,
}
_ALIASES = {"sgd": "gradient_descent"}


def get(optimizer: str | dict[str, Any] | Optimizer | Solver) -> Optimizer | Solver:
    """An optimizer or solver from its name, its `config`, or itself.

    Parameters
    ----------
    optimizer : str, dict, Optimizer or Solver
        A name ("gradient_descent" or "sgd", "momentum", "nesterov", "rmsprop", "adam",
        "adamw", "lbfgs", "levenberg_marquardt") gives it with its default settings.

    Returns
    -------
    Optimizer or Solver

    Raises
    ------
    ValueError
        If the name is unknown or the config does not describe an optimizer.
    TypeError
        If it is none of these.
    """
    if isinstance(optimizer, (Optimizer, Solver)):
        return optimizer
    if isinstance(optimizer, str):
        name = optimizer.strip().lower()
        return build("optimizer", _CLASSES, {"name": _ALIASES.get(name, name)})
    if isinstance(optimizer, dict):
        config = dict(optimizer)
        if "learning_rate" in config:
            config["learning_rate"] = from_config(config["learning_rate"])
        return build("optimizer", _CLASSES, config)
    if isinstance(optimizer, type):
        raise TypeError(f"optimizer is the class {optimizer.__name__}, expected an instance of it")
    raise TypeError(f"optimizer must be a name or an Optimizer, got {optimizer!r}")


def minimize(
    function_with_gradient: Callable[[np.ndarray], tuple[float, ArrayLike]],
    x0: ArrayLike,
    optimizer: str | Optimizer,
    steps: int,
) -> np.ndarray:
    """The points an optimizer visits on a function of your own.

    The updates are the very kernels that train networks.

    Parameters
    ----------
    function_with_gradient : callable
        Called with a point (n,), returns its value and its gradient (n,).
    x0 : (n,) array
        The start.  float32 and float64 are kept, anything else becomes float64.
    optimizer : str or Optimizer
    steps : int
        Optimizer steps.

    Returns
    -------
    (steps + 1, n) array
        The start and the point after each step.

    Raises
    ------
    TypeError
        If the optimizer is a solver, which takes no single steps; if the function is none, or
        does not return such a pair.
    ValueError
        If `x0` is not a finite non-empty vector, or a gradient has another shape.
    FloatingPointError
        If a gradient is not finite.

    Examples
    --------
    >>> def bowl(x):
    ...     return 0.5 * (x[0] ** 2 + 9 * x[1] ** 2), [x[0], 9 * x[1]]
    >>> path = minimize(bowl, [4.0, 1.0], Momentum(0.05, momentum=0.5), steps=100)
    >>> path.shape
    (101, 2)
    >>> bool(abs(path[-1]).max() < 1e-2)
    True
    """
    chosen = get(optimizer)
    if isinstance(chosen, Solver):
        raise TypeError(
            f"minimize takes single steps, but {chosen.name} is a solver: call "
            "scipy.optimize itself on a function of your own"
        )
    if not callable(function_with_gradient):
        raise TypeError(
            f"function_with_gradient must be callable, got {type(function_with_gradient).__name__}"
        )
    steps = check_integer(steps, "steps", 0)
    x = _start(x0)
    kernels, update = backend.kernels(x.dtype), UPDATES[chosen.kind]
    slots = [np.zeros_like(x) for _ in chosen.slot_names]
    learning_rates = rates(chosen.learning_rate, np.arange(1, steps + 1))
    trajectory = np.empty((steps + 1, x.size), x.dtype)
    trajectory[0] = x
    for step, learning_rate in enumerate(learning_rates, start=1):
        g = _gradient(function_with_gradient(x.copy()), x, step)
        if chosen.clip_norm is not None:
            kernels.clip_by_norm(g, chosen.clip_norm)
        update(kernels, (x, g, *slots), step, float(learning_rate), chosen.hyper, True)
        trajectory[step] = x
    return trajectory


def _start(x0: ArrayLike) -> np.ndarray:
    x = np.array(x0)
    if x.dtype.kind not in "fiu":
        raise TypeError(f"x0 must be an array of real numbers, got {x.dtype}")
    x = x.astype(x.dtype if x.dtype in (np.float32, np.float64) else np.float64)
    if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"x0 must be a finite non-empty vector, got shape {x.shape}: {x}")
    return x


def _gradient(found: Any, x: np.ndarray, step: int) -> np.ndarray:
    """The gradient of the pair (value, gradient) that a function returned."""
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(
            f"function_with_gradient must return (value, gradient), got {type(found).__name__}"
        )
    g = real_array(found[1], "the gradient").astype(x.dtype)
    if g.shape != x.shape:
        raise ValueError(f"the gradient must have the shape of x0, {x.shape}, got {g.shape}")
    if not np.isfinite(g).all():
        raise FloatingPointError(f"the gradient at step {step} is not finite: {g} at x = {x}")
    return g
