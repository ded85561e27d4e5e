"""The base of all optimizers, which the rows of `fastnn.facts.updates` fill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from fastnn._shared.config import check_as, replace_fields, restore_fields
from fastnn._shared.numbers import check_number, check_rounded
from fastnn.facts.updates import UPDATES
from fastnn.schedules import LearningRate, check_learning_rate, check_rates, to_config


@dataclass(frozen=True)
class Optimizer:
    """Base class of the optimizers.

    A subclass names a row of `fastnn.facts.updates`.  Its fields are numbers of that row; a
    number that is not a field has the value in `fixed`, or the default of the row.

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
    fixed: ClassVar[Mapping[str, float]] = {}
    slot_names: ClassVar[tuple[str, ...]] = ()

    learning_rate: LearningRate = 0.01
    clip_norm: float | None = field(default=None, kw_only=True)

    def __init_subclass__(cls) -> None:
        cls.slot_names = UPDATES[cls.kind].slots

    __setstate__ = restore_fields

    def __post_init__(self) -> None:
        replace_fields(self, learning_rate=check_learning_rate("learning_rate", self.learning_rate))
        if self.clip_norm is not None:
            replace_fields(self, clip_norm=check_number(self.clip_norm, "clip_norm", above=0.0))
        own = {f.name for f in fields(self)}
        for number in UPDATES[self.kind].numbers:
            if number.name in own:
                checked = check_as(number, getattr(self, number.name))
                replace_fields(self, **{number.name: checked})

    @property
    def hyper(self) -> dict[str, float]:
        """The numbers an engine's `set_optimizer` takes; `clip_norm` 0 stands for none."""
        numbers = {**UPDATES[self.kind].defaults, **self.fixed}
        numbers |= {name: getattr(self, name) for name in numbers if hasattr(self, name)}
        numbers["clip_norm"] = self.clip_norm or 0.0
        return {name: float(value) for name, value in numbers.items()}

    def check_dtype(self, dtype: DTypeLike) -> None:
        """Raise ValueError if a number changes its meaning when it is rounded to a dtype.

        Parameters
        ----------
        dtype : {"float32", "float64"}
            Of the parameters.
        """
        check_rates(self.learning_rate, "learning_rate", dtype)
        if self.clip_norm is not None:
            check_rounded(self.clip_norm, "clip_norm", dtype)
        hyper = self.hyper
        for number in UPDATES[self.kind].numbers:
            if not number.in_double:
                check_rounded(hyper[number.name], number.name, dtype, number.below)

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
