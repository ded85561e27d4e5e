"""Initial values of parameters.

Values are drawn in float64 and then rounded to the dtype of the parameter, so that
a float32 and a float64 network with the same seed start from the same numbers.
Every parameter has a separate generator, `generator(seed, index)`: a change of
one layer does not change the initial values of the others.

For a weight of shape (n_in, n_out), ``fan_in`` is n_in and ``fan_out`` is n_out.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from fastnn._shared.arrays import as_real, check_shape
from fastnn._shared.config import replace_fields, restore_fields
from fastnn._shared.numbers import check_number

Shape = tuple[int, ...]


def generator(seed: int | None, index: int) -> np.random.Generator:
    """The generator of parameter number `index` in a network with this seed.

    Parameters
    ----------
    seed : int or None
        None takes fresh entropy from the operating system.
    index : int
    """
    entropy = None if seed is None else [seed, index]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


@dataclass(frozen=True)
class Initializer(ABC):
    """Base class of initializers: a rule for the initial values of a parameter."""

    name: ClassVar[str] = ""

    __setstate__ = restore_fields

    @abstractmethod
    def __call__(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Initial values: a new float64 array of `shape`."""

    @property
    def config(self) -> dict[str, Any]:
        """The initializer as JSON-able data, from which `get` makes an equal one."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class Constant(Initializer):
    """Every element is `value`."""

    name: ClassVar[str] = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        replace_fields(self, value=check_number(self.value, "value"))

    def __call__(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Initial values: a new float64 array of `shape`."""
        return np.full(shape, self.value, np.float64)


@dataclass(frozen=True)
class Zeros(Initializer):
    """Every element is 0."""

    name: ClassVar[str] = "zeros"

    def __call__(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Initial values: a new float64 array of `shape`."""
        return np.zeros(shape)


@dataclass(frozen=True)
class Ones(Initializer):
    """Every element is 1."""

    name: ClassVar[str] = "ones"

    def __call__(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Initial values: a new float64 array of `shape`."""
        return np.ones(shape)


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal values with mean 0.

    Parameters
    ----------
    deviation : float, default 1
        Their standard deviation, at least 0.
    """

    name: ClassVar[str] = "normal"
    deviation: float = 1.0

    def __post_init__(self) -> None:
        replace_fields(self, deviation=check_number(self.deviation, "deviation", 0.0))

    def __call__(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Initial values: a new float64 array of `shape`."""
        return rng.normal(0.0, self.deviation, shape)


@dataclass(frozen=True)
class _Scaled(Initializer):
    """Random values with mean 0 and a variance that depends on the shape."""

    normal: ClassVar[bool] = True

    @abstractmethod
    def variance(self, fan_in: int, fan_out: int) -> float:
        """Variance of the elements of a (fan_in, fan_out) weight."""

    def __call__(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Initial values: a new float64 array of `shape`."""
        deviation = math.sqrt(self.variance(shape[0], shape[-1]))
        if self.normal:
            return rng.normal(0.0, deviation, shape)
        limit = math.sqrt(3.0) * deviation
        return rng.uniform(-limit, limit, shape)


@dataclass(frozen=True)
class GlorotNormal(_Scaled):
    """Normal values of variance 2 / (fan_in + fan_out).

    References
    ----------
    Glorot & Bengio (2010), "Understanding the difficulty of training deep
    feedforward neural networks", equation 12.
    """

    name: ClassVar[str] = "glorot_normal"

    def variance(self, fan_in: int, fan_out: int) -> float:
        """2 / (fan_in + fan_out)."""
        return 2.0 / (fan_in + fan_out)


@dataclass(frozen=True)
class GlorotUniform(GlorotNormal):
    """Uniform values in [-r, r] with r = sqrt(6 / (fan_in + fan_out)).

    References
    ----------
    Glorot & Bengio (2010), "Understanding the difficulty of training deep
    feedforward neural networks", equation 16.
    """

    name: ClassVar[str] = "glorot_uniform"
    normal: ClassVar[bool] = False


@dataclass(frozen=True)
class HeNormal(_Scaled):
    """Normal values of variance 2 / ((1 + alpha**2) fan_in), for ReLU-like units.

    Parameters
    ----------
    alpha : float, default 0
        Slope of the unit below zero (leaky ReLU).

    References
    ----------
    He, Zhang, Ren & Sun (2015), "Delving deep into rectifiers", equation 15.
    """

    name: ClassVar[str] = "he_normal"
    alpha: float = 0.0

    def __post_init__(self) -> None:
        replace_fields(self, alpha=check_number(self.alpha, "alpha"))

    def variance(self, fan_in: int, fan_out: int) -> float:
        """2 / ((1 + alpha**2) fan_in)."""
        return 2.0 / ((1.0 + self.alpha * self.alpha) * fan_in)


@dataclass(frozen=True)
class HeUniform(HeNormal):
    """Uniform values of variance 2 / ((1 + alpha**2) fan_in); see `HeNormal`."""

    name: ClassVar[str] = "he_uniform"
    normal: ClassVar[bool] = False


@dataclass(frozen=True)
class LeCunNormal(_Scaled):
    """Normal values of variance 1 / fan_in, as self-normalising nets (SELU) need.

    References
    ----------
    LeCun, Bottou, Orr & Mueller (1998), "Efficient BackProp", section 4.6;
    Klambauer et al. (2017), "Self-normalizing neural networks".
    """

    name: ClassVar[str] = "lecun_normal"

    def variance(self, fan_in: int, fan_out: int) -> float:
        """1 / fan_in."""
        return 1.0 / fan_in


@dataclass(frozen=True)
class LeCunUniform(LeCunNormal):
    """Uniform values of variance 1 / fan_in; see `LeCunNormal`."""

    name: ClassVar[str] = "lecun_uniform"
    normal: ClassVar[bool] = False


@dataclass(frozen=True, eq=False, repr=False)
class Explicit(Initializer):
    """The values of an array, such as one passed as `weight` or `bias`.

    The `config` of this initializer does not hold the values: a saved network stores
    them with its parameters.

    Parameters
    ----------
    values : array_like of real numbers
        Initial values; copied.
    """

    name: ClassVar[str] = "explicit"
    values: Any = None

    def __post_init__(self) -> None:
        if self.values is not None:
            values = as_real(self.values, "initial values").astype(np.float64)  # always a copy
            if not np.isfinite(values).all():
                raise ValueError("initial values must be finite, got nan or inf among them")
            object.__setattr__(self, "values", values)

    def __call__(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """A copy of the values; ValueError if their shape is not `shape`."""
        if self.values is None:
            raise ValueError(
                "the values of an Explicit initializer are not saved with it; "
                "a file holds them among the parameters"
            )
        if self.values.shape != shape:
            raise ValueError(f"initial values must have shape {shape}, got {self.values.shape}")
        return np.array(self.values)

    @property
    def config(self) -> dict[str, Any]:
        """The name alone."""
        return {"name": self.name}

    def __repr__(self) -> str:
        return f"Explicit(shape={None if self.values is None else self.values.shape})"


_CLASSES: dict[str, type[Initializer]] = {
    cls.name: cls
    for cls in (
        Constant, Zeros, Ones, Normal, GlorotNormal, GlorotUniform, HeNormal, HeUniform,
        LeCunNormal, LeCunUniform, Explicit,
    )
}  # fmt: skip


def get(initializer: object) -> Initializer:
    """The initializer for a name, an `Initializer`, a `config` or an array.

    Parameters
    ----------
    initializer : str, Initializer, mapping or array_like
        Names: zeros, ones, constant, normal, glorot_normal, glorot_uniform, he_normal,
        he_uniform, lecun_normal, lecun_uniform.

    Returns
    -------
    Initializer

    Raises
    ------
    ValueError
        If the name is unknown, or an array holds nan or inf.
    TypeError
        If an array does not hold real numbers.
    """
    if isinstance(initializer, Initializer):
        return initializer
    if isinstance(initializer, str):
        initializer = {"name": initializer}
    if not isinstance(initializer, Mapping):
        return Explicit(initializer)
    options = dict(initializer)
    name = options.pop("name", None)
    if name not in _CLASSES:
        raise ValueError(f"unknown initializer {name!r}; known are {', '.join(_CLASSES)}")
    return _CLASSES[name](**options)


def named(rule: Initializer) -> str:
    """An initializer in the repr of a layer, without the values of an array."""
    return "Explicit(...)" if isinstance(rule, Explicit) else repr(rule)


def fitting(rule: object, name: str, shape: tuple[int, ...]) -> Initializer:
    """The initializer for `rule`; explicit values must have the parameter's shape."""
    initializer = get(rule)
    values = initializer.values if isinstance(initializer, Explicit) else None
    if values is not None:
        check_shape(values, name, shape)
    return initializer
