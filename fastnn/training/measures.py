"""The measure that a callback monitors: its name, its direction and what counts as better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fastnn._shared.numbers import check_choice, check_number

__all__ = ["Measure", "Mode"]

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
