"""The measure that a callback monitors: its name, its direction and what counts as better."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fastnn._shared.fields import entry
from fastnn._shared.numbers import check_choice, check_number

__all__ = ["Measure", "Mode", "restore_monitor", "state_of_monitor"]

Mode = Literal["auto", "min", "max"]

_LARGE_IS_GOOD = {"accuracy", "score", "r2", "d2", "auc", "f1"}
_SMALL_IS_GOOD = {"loss", "cost", "error", "mse", "rmse", "mae", "deviance"}
"""Last words of the names of measures whose direction is known."""


@dataclass(frozen=True)
class Measure:
    """A measure of the history, and the tolerance of a comparison.

    Attributes
    ----------
    name : str
        Its name in the history.
    mode : {"min", "max"}
        Whether smaller or larger values are better.
    min_delta : float
        Only a larger change counts as an improvement.
    """

    name: str
    mode: Literal["min", "max"]
    min_delta: float

    @classmethod
    def of(cls, monitor: str, mode: Mode, min_delta: float) -> Measure:
        """The measure from the arguments of a callback, checked.

        Raises
        ------
        TypeError, ValueError
            If one of them is wrong, or the name does not give the direction.
        """
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be the name of a measure, got {monitor!r}")
        check_choice(mode, "mode", ("auto", "min", "max"))
        min_delta = check_number(min_delta, "min_delta", 0.0)
        return cls(monitor, _direction(monitor) if mode == "auto" else mode, min_delta)

    def value(self, logs: Mapping[str, float], callback: str) -> float:
        """The value in the measures of an epoch; ValueError if the epoch has none."""
        if self.name not in logs:
            hint = "; pass validation data" if self.name.startswith("val_") else ""
            raise ValueError(
                f"{callback} monitors {self.name!r}, but the epochs measure {', '.join(logs)}{hint}"
            )
        return logs[self.name]

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether a value is better than a reference; any number is better than None."""
        if math.isnan(value):
            return False
        if reference is None:
            return True
        gain = value - reference if self.mode == "max" else reference - value
        return gain > self.min_delta


def state_of_monitor(callback: Any) -> dict[str, Any]:
    """The attributes of a callback that monitors a measure, which stands there in plain data."""
    measure: Measure = callback._measure
    plain = {"mode": measure.mode, "min_delta": measure.min_delta}
    return {key: x for key, x in vars(callback).items() if key != "_measure"} | plain


def restore_monitor(callback: Any, cls: Any, state: Mapping[str, Any]) -> None:
    """Give a new callback the attributes that `state_of_monitor` returned.

    Parameters
    ----------
    callback : instance of cls
    cls : type
        Its constructor checks the options, and makes every attribute that a callback needs.
    state : mapping of str to value

    Raises
    ------
    ValueError
        If they do not describe such a callback.
    """
    what = f"a state of {cls.__name__}"
    options = list(inspect.signature(cls).parameters)
    try:
        fresh = cls(**{name: state[name] for name in options})
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"not {what}: {error!r}") from error
    for name, value in vars(fresh).items():
        if name not in options and name != "_measure":
            kinds = (int,) if isinstance(value, int) else (float, np.ndarray, type(None))
            entry(state, name, kinds, what)
    vars(callback).update(vars(fresh))
    vars(callback).update({key: x for key, x in state.items() if key not in options})


def _direction(monitor: str) -> Literal["min", "max"]:
    """Whether smaller ("min") or larger ("max") values of a measure are better, by its name."""
    word = monitor.rpartition("_")[2]
    if word in _SMALL_IS_GOOD or monitor.endswith("brier_score"):
        return "min"
    if word in _LARGE_IS_GOOD:
        return "max"
    raise ValueError(
        f"mode='auto' does not know whether small or large values of {monitor!r} are better: "
        "give mode='min' or mode='max'"
    )
