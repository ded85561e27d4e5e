"""Frozen dataclasses as plain data: made from a description, and filled with checked values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from fastnn._shared.numbers import check_flag, check_number


def build(what: str, classes: Mapping[str, type], config: Mapping[str, object]) -> Any:
    """The instance that ``{"name": ..., **arguments}`` describes."""
    arguments = dict(config)
    name = arguments.pop("name", None)
    if not isinstance(name, str) or name not in classes:
        raise ValueError(f"unknown {what} {name!r}; known are {', '.join(classes)}")
    known = [f.name for f in fields(classes[name]) if f.init]
    for key in arguments:
        if key not in known:
            raise ValueError(f"{what} {name} has no argument {key!r}, only {', '.join(known)}")
    return classes[name](**arguments)


def replace_fields(instance: object, **values: Any) -> None:
    """Store checked values in a frozen dataclass; for `__post_init__` only."""
    for key, value in values.items():
        object.__setattr__(instance, key, value)


def restore_fields(instance: object, state: object) -> None:
    """The ``__setstate__`` of frozen dataclasses: pickles, copies and skops files are checked.

    Parameters
    ----------
    instance : object
        New and empty.  A subclass that is no dataclass receives all attributes unchecked.
    state : mapping of str to value
        Its attributes; `__post_init__` checks them as it checks the constructor's arguments.

    Raises
    ------
    ValueError
        If they are not the attributes of such an instance.
    """
    what = f"the state of a {type(instance).__name__}"
    if not isinstance(state, Mapping):
        raise ValueError(f"{what} must be a dict, got {type(state).__name__}")
    names = [f.name for f in fields(instance) if f.init] if is_dataclass(instance) else []
    for name in names:
        if name not in state:
            raise ValueError(f"{what} has no {name!r}")
    vars(instance).update(state)
    try:
        getattr(instance, "__post_init__", lambda: None)()
    except (TypeError, ValueError, OverflowError) as error:
        vars(instance).clear()
        raise ValueError(f"{what} is damaged: {error}") from error


def check_as(number: Any, value: Any) -> float:
    """The value of a number that a row of `fastnn.facts` describes, as a float or a bool.

    Raises
    ------
    TypeError
        If it is no real number, or no flag where the row says so.
    ValueError
        If it is outside the interval of the row.
    """
    if number.is_flag:
        return check_flag(value, number.name)
    return check_number(
        value, number.name, number.low, number.high, above=number.above, below=number.below
    )


def as_json(data: Any) -> Any:
    """Numbers, text, lists and mappings as JSON has them: "nan", "inf" and "-inf" become text."""
    if isinstance(data, Mapping):
        return {key: as_json(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [as_json(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return str(float(data))
    return data
