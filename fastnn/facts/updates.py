"""One row for each optimizer update: its state, its numbers and its formula.

Both engines, `fastnn.optimizers` and `fastnn.functional` read the rows; `setup.py` writes the
dispatch of the compiled engine from them.  This file imports the standard library alone, so that
`setup.py` can load it before anything is built.

Notation: `p` parameters, `g` gradient with the L2 penalty, `lr` learning rate, `t` step, from 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Numbers = Mapping[str, float]
Formula = Callable[[Any, Any, Any, Sequence[Any], float, Numbers, int], None]
"""From (numpy, p, g, slots, lr, numbers, t): changes the arrays p and slots in place."""


@dataclass(frozen=True)
class Number:
    """A number that an update takes, with its default and its interval.

    The interval is ``low <= x <= high``; `above` and `below` are open bounds in their place.
    Engines round the number to the dtype of the parameters unless it is `in_double`.
    """

    name: str
    default: float
    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    is_flag: bool = False
    in_double: bool = False


@dataclass(frozen=True, eq=False)
class Update:
    """An update of parameters, as the engines apply it.

    `slots` are the arrays of state, which start as zeros and are laid out like the parameters.
    """

    name: str
    formula: Formula = field(repr=False)
    slots: tuple[str, ...] = ()
    numbers: tuple[Number, ...] = ()

    @property
    def decays(self) -> bool:
        """Whether it has a decoupled weight decay, which acts where the L2 penalty would."""
        return "weight_decay" in self.defaults

    def check(self, numbers: Numbers, n_slots: int) -> None:
        """Raise ValueError unless these are the numbers and as many slots as the row names."""
        if numbers.keys() != self.defaults.keys():
            raise ValueError(
                f"{self.name} takes the numbers {', '.join(self.defaults) or 'none'}, "
                f"got {', '.join(numbers) or 'none'}"
            )
        if n_slots != len(self.slots):
            raise ValueError(f"{self.name} has {len(self.slots)} slots, got {n_slots}")

    @property
    def defaults(self) -> dict[str, float]:
        """The default of each number, in the order of the row."""
        return {number.name: float(number.default) for number in self.numbers}


def _share(name: str, default: float) -> Number:
    """The share of a moving average that survives a step."""
    return Number(name, default, low=0.0, below=1.0)


def _flag(name: str, default: bool) -> Number:
    return Number(name, default, is_flag=True)


_EPSILON = Number("epsilon", 1e-8, above=0.0)
_DAMPENING = Number("dampening", 0.0, low=0.0, below=1.0, in_double=True)
_WEIGHT_DECAY = Number("weight_decay", 0.0, low=0.0)
_ADAM_NUMBERS = (
    _share("beta1", 0.9),
    _share("beta2", 0.999),
    _EPSILON,
    _WEIGHT_DECAY,
    _flag("bias_correction", True),
)


def _keep(slot: Any, share: float) -> None:
    """Multiply a slot by the share that survives; by 0 it is 0, even where it is not finite."""
    if share == 0:
        slot[...] = 0
    else:
        slot *= share


def _gradient_descent(
    np: Any, p: Any, g: Any, slots: Sequence[Any], lr: float, n: Numbers, t: int
) -> None:
    """Gradient descent: p -= lr g."""
    p -= lr * g


def _momentum(np: Any, p: Any, g: Any, slots: Sequence[Any], lr: float, n: Numbers, t: int) -> None:
    """Momentum: v = momentum v - lr (1 - dampening) g; p += v.

    The first step has no dampening.  With Nesterov's look ahead, which has none at all,
    p += momentum v - lr g, with the new v.
    """
    (velocity,) = slots
    step = (lr * (1 - n["dampening"]) if t > 1 else lr) * g
    _keep(velocity, n["momentum"])
    velocity -= step
    p += n["momentum"] * velocity - step if n["nesterov"] else velocity


def _rmsprop(np: Any, p: Any, g: Any, slots: Sequence[Any], lr: float, n: Numbers, t: int) -> None:
    """RMSprop: s = rho s + (1 - rho) g^2; p -= lr g / (sqrt(s) + epsilon)."""
    (square,) = slots
    _keep(square, n["rho"])
    square += (1 - n["rho"]) * g * g
    p -= lr * g / (np.sqrt(square) + n["epsilon"])


def _centered_rmsprop(
    np: Any, p: Any, g: Any, slots: Sequence[Any], lr: float, n: Numbers, t: int
) -> None:
    """Centered RMSprop: p -= lr g / (sqrt(max(s - m^2, 0)) + epsilon).

    s = rho s + (1 - rho) g^2 and m = rho m + (1 - rho) g: s - m^2 is the variance of g.
    Rounding can make it negative.
    """
    square, mean = slots
    _keep(square, n["rho"])
    square += (1 - n["rho"]) * g * g
    _keep(mean, n["rho"])
    mean += (1 - n["rho"]) * g
    variance = np.maximum(square - mean * mean, 0)
    p -= lr * g / (np.sqrt(variance) + n["epsilon"])


def _adam(np: Any, p: Any, g: Any, slots: Sequence[Any], lr: float, n: Numbers, t: int) -> None:
    """Adam: moving means m of g and v of g^2; p -= lr m' / (sqrt(v') + epsilon).

    m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2; m' = m / (1 - beta1^t) and
    v' = v / (1 - beta2^t) with `bias_correction`, else m and v.  The weight decay takes
    lr weight_decay p from p first.
    """
    first, second = slots
    _move_moments(first, second, g, n)
    _adam_step(np, p, first, second, lr, n, t)


def _amsgrad(np: Any, p: Any, g: Any, slots: Sequence[Any], lr: float, n: Numbers, t: int) -> None:
    """AMSGrad: Adam with w = max(w, v), the largest v so far, in place of v.

    The correction of the bias follows: w' = w / (1 - beta2^t).
    """
    first, second, largest = slots
    _move_moments(first, second, g, n)
    np.maximum(largest, second, out=largest)
    _adam_step(np, p, first, largest, lr, n, t)


def _move_moments(first: Any, second: Any, g: Any, n: Numbers) -> None:
    """The moving means of g and g^2."""
    _keep(first, n["beta1"])
    first += (1 - n["beta1"]) * g
    _keep(second, n["beta2"])
    second += (1 - n["beta2"]) * g * g


def _adam_step(np: Any, p: Any, first: Any, second: Any, lr: float, n: Numbers, t: int) -> None:
    """The step of Adam from its moments."""
    if n["weight_decay"]:
        p *= 1 - lr * n["weight_decay"]
    corrected = n["bias_correction"]
    first_correction = 1 - n["beta1"] ** t if corrected else 1.0
    second_correction = 1 - n["beta2"] ** t if corrected else 1.0
    p -= lr / first_correction * first / (np.sqrt(second / second_correction) + n["epsilon"])


def _lion(np: Any, p: Any, g: Any, slots: Sequence[Any], lr: float, n: Numbers, t: int) -> None:
    """Lion: c = beta1 m + (1 - beta1) g; p -= lr (sign(c) + weight_decay p).

    Then m = beta2 m + (1 - beta2) g.
    """
    (mean,) = slots
    if n["beta1"] == n["beta2"] == 0:
        _keep(mean, 0)
    direction = np.sign(n["beta1"] * mean + (1 - n["beta1"]) * g)
    if n["weight_decay"]:
        p *= 1 - lr * n["weight_decay"]
    p -= lr * direction
    _keep(mean, n["beta2"])
    mean += (1 - n["beta2"]) * g


ROWS = (
    Update("gradient_descent", _gradient_descent),
    Update(
        "momentum",
        _momentum,
        slots=("velocity",),
        numbers=(_share("momentum", 0.9), _flag("nesterov", False), _DAMPENING),
    ),
    Update("rmsprop", _rmsprop, slots=("square",), numbers=(_share("rho", 0.9), _EPSILON)),
    Update(
        "adam",
        _adam,
        slots=("first", "second"),
        numbers=_ADAM_NUMBERS,
    ),
    Update(
        "lion",
        _lion,
        slots=("mean",),
        numbers=(_share("beta1", 0.9), _share("beta2", 0.99), _WEIGHT_DECAY),
    ),
    Update(
        "centered_rmsprop",
        _centered_rmsprop,
        slots=("square", "mean"),
        numbers=(_share("rho", 0.9), _EPSILON),
    ),
    Update(
        "amsgrad",
        _amsgrad,
        slots=("first", "second", "largest"),
        numbers=_ADAM_NUMBERS,
    ),
)
"""The position of a row is its code in the compiled engine."""

UPDATES = {row.name: row for row in ROWS}


def known(name: str) -> Update:
    """The row of an update.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in UPDATES:
        raise ValueError(f"unknown optimizer {name!r}; known are {', '.join(UPDATES)}")
    return UPDATES[name]
