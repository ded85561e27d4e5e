"""The parameters and the training state of a network, read and set as vectors and dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn._shared.arrays import as_real, check_shape, converted
from fastnn._shared.numbers import check_integer
from fastnn._shared.views import Views
from fastnn.network._core import Core
from fastnn.training.state import TrainingState

_MAX_STEPS = 1 << 53
"""Largest number of steps and epochs: up to here a float64 holds every integer."""


def gradients(core: Core) -> Views:
    """Live views of the engine's gradients by parameter name."""
    with core.lock:
        values = core.engine.gradients
        return Views({p.name: p.view(values) for p in core.program.parameters})


def get_flat(core: Core) -> np.ndarray:
    """All parameters as one new vector."""
    with core.lock:
        return core.program.flatten(core.storage)


def set_flat(core: Core, values: object) -> None:
    """Set all parameters from a vector."""
    flat = _vector(core, values, "values")
    with core.lock:
        core.program.unflatten(flat, core.storage)


def get_state(core: Core) -> dict[str, Any]:
    """A copy of everything that training changes."""
    with core.lock:
        return {
            "parameters": core.program.flatten(core.storage),
            "slots": {name: core.program.flatten(slot) for name, slot in core.slots.items()},
            "training": core.state.to_dict(),
        }


def set_state(core: Core, state: Any) -> None:
    """Go back to what `get_state` copied; an error leaves everything as it is."""
    with core.lock:
        _check_keys(state, "state", ("parameters", "slots", "training"))
        _check_keys(state["slots"], "state['slots']", tuple(core.slots))
        parameters = _vector(core, state["parameters"], "state['parameters']")
        slots = {
            name: _vector(core, values, f"state['slots'][{name!r}]")
            for name, values in state["slots"].items()
        }
        training = training_state(state["training"])
        core.program.unflatten(parameters, core.storage)
        for name, slot in slots.items():
            core.program.unflatten(slot, core.slots[name])
        core.state.replace(training)  # in place: a `fit` that is running counts on it


def training_state(data: object) -> TrainingState:
    """The training state that a file or a caller describes.

    Raises
    ------
    ValueError
        If `data` does not describe one, or its counters are too large to count on from.
    """
    state = TrainingState.from_dict(data)
    for name in ("epoch", "step"):
        check_integer(getattr(state, name), name, 0, _MAX_STEPS)
    return state


def _vector(core: Core, values: object, name: str) -> np.ndarray:
    """A vector of the network's dtype with a number for each parameter."""
    flat = as_real(values, name)
    check_shape(flat, name, (core.program.n_parameters,))
    return converted(flat, name, core.dtype)


def _check_keys(values: object, name: str, expected: Sequence[str]) -> None:
    """Raise TypeError or ValueError unless `values` is a mapping with exactly these keys."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must be a dict, got {type(values).__name__}")
    if set(values) != set(expected):
        raise ValueError(
            f"{name} has {_listed(values)}, expected {_listed(expected)}: "
            "it belongs to another network or optimizer, or is no state"
        )


def _listed(keys: Iterable[object]) -> str:
    return ", ".join(map(repr, keys)) or "nothing"
