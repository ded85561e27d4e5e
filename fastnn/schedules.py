"""Learning-rate schedules: the learning rate as a function of the optimizer step.

Steps count from 1.  A schedule is an immutable specification.  Called with one
step or an array of steps, it returns the learning rates in float64.  A learning
rate may be a number, a schedule or a function of one step (an int); `rates`
evaluates all three.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn._shared.config import build, replace_fields, restore_fields
from fastnn._shared.numbers import check_integer, check_number, check_rounded

__all__ = [
    "BiasCorrection",
    "Constant",
    "Cosine",
    "CosineLog",
    "Exponential",
    "FlatCosine",
    "Schedule",
    "Step",
    "WarmUp",
]


_MAX_STEP = 2**63 - 1


class Schedule(ABC):
    """Base class of the schedules.

    Attributes
    ----------
    name : str
        Name of the class in `config`.
    """

    name: ClassVar[str]
    rate_fields: ClassVar[tuple[str, ...]] = ()
    """The fields that are learning rates themselves."""

    __setstate__ = restore_fields

    def __call__(self, steps: ArrayLike) -> Any:
        """Learning rates of the given steps.

        Parameters
        ----------
        steps : int or array of int
            Optimizer steps, counted from 1.

        Returns
        -------
        float64 scalar or array shaped like `steps`

        Raises
        ------
        ValueError
            If a step is less than 1.
        TypeError
            If the steps are not integers.
        """
        steps = np.asarray(steps)
        if steps.dtype.kind not in "iu":
            raise TypeError(f"steps must be integers, got {steps.dtype}")
        if steps.size and steps.min() < 1:
            raise ValueError(f"steps count from 1, got {steps.min()}")
        return self._rates(steps.astype(np.int64, copy=False))

    @abstractmethod
    def _rates(self, steps: np.ndarray) -> Any:
        """Learning rates of checked int64 steps."""

    @property
    def config(self) -> dict[str, Any]:
        """The schedule as JSON-able data, from which `from_config` makes an equal schedule."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"name": self.name} | {key: to_config(value) for key, value in values.items()}


LearningRate: TypeAlias = float | Schedule | Callable[[int], float]
"""A number, a schedule, or a function of the step."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The same learning rate at every step.

    Parameters
    ----------
    value : float
    """

    name: ClassVar[str] = "constant"
    rate_fields: ClassVar[tuple[str, ...]] = ("value",)

    value: float

    def __post_init__(self) -> None:
        replace_fields(self, value=check_number(self.value, "value", 0.0))

    def _rates(self, steps: np.ndarray) -> Any:
        return np.full(steps.shape, self.value)[()]


@dataclass(frozen=True)
class _Decay(Schedule):
    """A schedule that multiplies its learning rate by `factor` in every `every` steps."""

    rate_fields: ClassVar[tuple[str, ...]] = ("initial",)

    initial: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        replace_fields(
            self,
            initial=check_number(self.initial, "initial", 0.0),
            factor=check_number(self.factor, "factor", 0.0),
            every=check_integer(self.every, "every", 1, _MAX_STEP),
        )


@dataclass(frozen=True)
class Step(_Decay):
    """`initial * factor ** floor((step - 1) / every)`: a staircase.

    Parameters
    ----------
    initial : float
        Learning rate of the first `every` steps.
    factor : float
        Factor between the learning rates of two consecutive stairs.
    every : int
        Number of optimizer steps on each stair.
    """

    name: ClassVar[str] = "step"

    def _rates(self, steps: np.ndarray) -> Any:
        return self.initial * np.power(self.factor, (steps - 1) // self.every, dtype=np.float64)


@dataclass(frozen=True)
class Exponential(_Decay):
    """`initial * factor ** ((step - 1) / every)`: a smooth exponential decay.

    Parameters
    ----------
    initial : float
        Learning rate of the first step.
    factor : float
        Factor by which the learning rate changes in `every` steps.
    every : int, default 1
        Number of optimizer steps.
    """

    name: ClassVar[str] = "exponential"

    every: int = 1

    def _rates(self, steps: np.ndarray) -> Any:
        return self.initial * np.power(self.factor, (steps - 1) / self.every)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a period of a cosine from `initial` to `final`, then constant.

    With `p = min((step - 1) / steps, 1)` the learning rate is
    `final + (initial - final) * (1 + cos(pi p)) / 2`.

    Parameters
    ----------
    initial : float
        Learning rate of the first step.
    steps : int
        Number of optimizer steps until `final` is reached.
    final : float, default 0
        Learning rate after the decay.

    References
    ----------
    Loshchilov & Hutter (2017), "SGDR: stochastic gradient descent with warm restarts", eq. 5,
    without the restarts.
    """

    name: ClassVar[str] = "cosine"
    rate_fields: ClassVar[tuple[str, ...]] = ("initial", "final")

    initial: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        replace_fields(
            self,
            initial=check_number(self.initial, "initial", 0.0),
            steps=check_integer(self.steps, "steps", 1, _MAX_STEP),
            final=check_number(self.final, "final", 0.0),
        )

    def _rates(self, steps: np.ndarray) -> Any:
        return _falling(np.minimum((steps - 1) / self.steps, 1.0), self.initial, self.final)


@dataclass(frozen=True)
class FlatCosine(Schedule):
    """Constant at first, then half a period of a cosine from `initial` to `final`.

    With `p = (step - 1) / steps` the learning rate is `initial` up to `p = flat`, and after it
    `final + (initial - final) * (1 + cos(pi q)) / 2` with `q = min((p - flat) / (1 - flat), 1)`.

    Parameters
    ----------
    initial : float
        Learning rate of the first step.
    steps : int
        Number of optimizer steps until `final` is reached.
    final : float, default 0
        Learning rate after the decay.
    flat : float, default 0.5
        Share of the steps with the initial learning rate, at least 0 and below 1.

    References
    ----------
    Holzmueller, Grinsztajn & Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", arXiv:2407.04491, where it is called flat_cos.
    """

    name: ClassVar[str] = "flat_cosine"
    rate_fields: ClassVar[tuple[str, ...]] = ("initial", "final")

    initial: float
    steps: int
    final: float = 0.0
    flat: float = 0.5

    def __post_init__(self) -> None:
        replace_fields(
            self,
            initial=check_number(self.initial, "initial", 0.0),
            steps=check_integer(self.steps, "steps", 1, _MAX_STEP),
            final=check_number(self.final, "final", 0.0),
            flat=check_number(self.flat, "flat", 0.0, below=1.0),
        )

    def _rates(self, steps: np.ndarray) -> Any:
        progress = ((steps - 1) / self.steps - self.flat) / (1.0 - self.flat)
        return _falling(np.clip(progress, 0.0, 1.0), self.initial, self.final)


@dataclass(frozen=True)
class CosineLog(Schedule):
    """Waves of a cosine from 0 to `peak` and back, each about twice as long as the one before.

    With `t = min((step - 1/2) / steps, 1)` the learning rate is
    `peak / 2 * (1 - cos(2 pi log2(1 + (2 ** cycles - 1) t)))`.  It is 0 at both ends, at which
    there is no step.

    Parameters
    ----------
    peak : float
        Largest learning rate, which each wave reaches.
    steps : int
        Number of optimizer steps of all waves; the learning rate is about 0 after them.
    cycles : int, default 4
        Number of waves, from 1 to 32.

    References
    ----------
    Holzmueller, Grinsztajn & Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", arXiv:2407.04491, section 3, where it is called coslog_k.
    """

    name: ClassVar[str] = "cosine_log"
    rate_fields: ClassVar[tuple[str, ...]] = ("peak",)

    peak: float
    steps: int
    cycles: int = 4

    def __post_init__(self) -> None:
        replace_fields(
            self,
            peak=check_number(self.peak, "peak", 0.0),
            steps=check_integer(self.steps, "steps", 1, _MAX_STEP),
            cycles=check_integer(self.cycles, "cycles", 1, 32),
        )

    def _rates(self, steps: np.ndarray) -> Any:
        progress = np.minimum((steps - 0.5) / self.steps, 1.0)
        phase = np.log2(1.0 + (2.0**self.cycles - 1.0) * progress)
        return 0.5 * self.peak * (1.0 - np.cos(2.0 * np.pi * phase))


def _falling(progress: np.ndarray, initial: float, final: float) -> Any:
    """Half a period of a cosine from `initial` at progress 0 to `final` at 1."""
    share = 0.5 * (1.0 + np.cos(np.pi * progress))
    # A convex combination: both ends are exact.
    return share * initial + (1.0 - share) * final


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A linear rise from 0 during the first `steps` steps, then the schedule `then`.

    The learning rate is `then(1) * step / steps` up to step `steps`, and
    `then(step - steps + 1)` after it.

    Parameters
    ----------
    steps : int
        Number of optimizer steps of the rise.
    then : float, Schedule or function of the step
        Learning rate after the rise; step 1 of `then` is step `steps`.

    References
    ----------
    Goyal et al. (2017), "Accurate, large minibatch SGD: training ImageNet in 1 hour", section 2.2.
    """

    name: ClassVar[str] = "warm_up"
    rate_fields: ClassVar[tuple[str, ...]] = ("then",)

    steps: int
    then: LearningRate

    def __post_init__(self) -> None:
        replace_fields(
            self,
            steps=check_integer(self.steps, "steps", 1, _MAX_STEP),
            then=check_learning_rate("then", self.then),
        )

    def _rates(self, steps: np.ndarray) -> Any:
        after = np.maximum(steps - self.steps + 1, 1)
        return rates(self.then, after) * np.minimum(steps / self.steps, 1.0)


@dataclass(frozen=True)
class BiasCorrection(Schedule):
    """`rate * sqrt(1 - beta2 ** step) / (1 - beta1 ** step)`: the bias of Adam's averages.

    With ``Adam(BiasCorrection(rate), bias_correction=False)`` the correction is in the learning
    rate, and `epsilon` is added to the root of the average that is not corrected, as in
    scikit-learn and TensorFlow.  It has a larger effect in the first steps than in `Adam`.

    Parameters
    ----------
    rate : float, Schedule or function of the step
        Learning rate without the correction.
    beta1, beta2 : float, default 0.9 and 0.999
        Those of the optimizer, in [0, 1).

    References
    ----------
    Kingma & Ba (2015), "Adam: a method for stochastic optimization", the end of section 2, where
    this epsilon is called epsilon hat.
    """

    name: ClassVar[str] = "bias_correction"
    rate_fields: ClassVar[tuple[str, ...]] = ("rate",)

    rate: LearningRate
    beta1: float = 0.9
    beta2: float = 0.999

    def __post_init__(self) -> None:
        replace_fields(
            self,
            rate=check_learning_rate("rate", self.rate),
            beta1=check_number(self.beta1, "beta1", 0.0, below=1.0),
            beta2=check_number(self.beta2, "beta2", 0.0, below=1.0),
        )

    def _rates(self, steps: np.ndarray) -> Any:
        # NumPy may round a power of a scalar otherwise than that of an array.
        rows = np.atleast_1d(steps)
        first, second = (
            (1.0 - np.power(np.full(rows.shape, beta), rows)).reshape(steps.shape)[()]
            for beta in (self.beta1, self.beta2)
        )
        return rates(self.rate, steps) * np.sqrt(second) / first


_CLASSES: dict[str, type[Schedule]] = {
    cls.name: cls
    for cls in (
        Constant, Step, Exponential, Cosine, FlatCosine, CosineLog, WarmUp, BiasCorrection,
    )
}  # fmt: skip


def rates(learning_rate: LearningRate, steps: ArrayLike) -> np.ndarray:
    """Learning rates of the given steps, checked.

    Parameters
    ----------
    learning_rate : float, Schedule or function of the step
        A function is called once for each step with a Python int.
    steps : int or array of int
        Optimizer steps, counted from 1.

    Returns
    -------
    float64 array shaped like `steps`

    Raises
    ------
    ValueError
        If a rate is nan, infinite or negative.
    TypeError
        If the function returns something other than a number.
    """
    steps = np.asarray(steps)
    if isinstance(learning_rate, Schedule):
        values = np.asarray(learning_rate(steps), np.float64)
    elif callable(learning_rate):
        called = [_call(learning_rate, int(step)) for step in steps.flat]
        values = np.array(called, np.float64).reshape(steps.shape)
    else:
        values = np.full(steps.shape, learning_rate, np.float64)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        first = np.argmax(bad)
        raise ValueError(
            f"the learning rate at step {steps.flat[first]} is {values.flat[first]}, "
            "expected a finite number >= 0"
        )
    return values


def _call(function: Callable[[int], float], step: int) -> float:
    rate = function(step)
    if isinstance(rate, np.ndarray) and rate.ndim == 0:
        rate = rate.item()
    if not isinstance(rate, numbers.Real):
        raise TypeError(
            f"the learning-rate function returned {rate!r} for step {step}, expected a number"
        )
    return float(rate)


def check_learning_rate(name: str, value: object) -> LearningRate:
    """A checked learning rate, a number as a Python float; errors call it `name`."""
    if isinstance(value, type):
        raise TypeError(f"{name} is the class {value.__name__}, expected an instance of it")
    if callable(value):
        return value
    if not isinstance(value, numbers.Real):
        raise TypeError(
            f"{name} must be a number, a schedule or a function of the step, got {value!r}"
        )
    return check_number(value, name, 0.0)


def check_rates(learning_rate: LearningRate, name: str, dtype: DTypeLike) -> None:
    """Raise ValueError if a rate that the user chose changes its meaning in a dtype.

    A rate that a schedule has decayed to, or that a function returns, may become 0.
    """
    if isinstance(learning_rate, Schedule):
        for key in learning_rate.rate_fields:
            check_rates(getattr(learning_rate, key), f"{key} of {name}", dtype)
    elif not callable(learning_rate):
        check_rounded(learning_rate, name, dtype)


def to_config(value: object) -> Any:
    """A schedule or plain data as JSON-able data.

    Raises
    ------
    ValueError
        If `value` is a function, which cannot be written to a file.
    """
    if isinstance(value, Schedule):
        return value.config
    if callable(value):
        raise ValueError(
            f"the learning-rate function {value!r} cannot be written as data; "
            "use a class of fastnn.schedules instead"
        )
    return value


def from_config(config: object) -> float | Schedule:
    """The learning rate from which `to_config` made `config`.

    Raises
    ------
    TypeError, ValueError
        If `config` does not describe a learning rate.
    """
    if not isinstance(config, Mapping):
        return check_number(config, "learning_rate", 0.0)
    arguments = dict(config)
    for name in ("then", "rate"):
        if name in arguments:
            arguments[name] = from_config(arguments[name])
    return build("schedule", _CLASSES, arguments)
