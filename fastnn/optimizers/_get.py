"""Optimizers and solvers by name."""

from __future__ import annotations

from typing import Any

from fastnn import solvers
from fastnn._shared.config import build
from fastnn.optimizers import _updates
from fastnn.optimizers._base import Optimizer
from fastnn.schedules import from_config
from fastnn.solvers import Solver

_CLASSES: dict[str, type[Optimizer | Solver]] = {
    **{cls.name: cls for cls in (getattr(_updates, cls) for cls in _updates.__all__)},
    **solvers.CLASSES,
}
_ALIASES = {"sgd": "gradient_descent"}


def names() -> list[str]:
    """The names of the optimizers, those of solvers and aliases left out."""
    return [getattr(_updates, name).name for name in _updates.__all__]


def get(optimizer: str | dict[str, Any] | Optimizer | Solver) -> Optimizer | Solver:
    """An optimizer or solver from its name, its `config`, or itself.

    Parameters
    ----------
    optimizer : str, dict, Optimizer or Solver
        A name in `names()`, "sgd" for "gradient_descent", or that of a solver ("lbfgs",
        "levenberg_marquardt") gives it with its default settings.

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
