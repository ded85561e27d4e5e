"""Checks of single numbers, flags and choices.

Errors name the argument, what was expected and what came.  Wrong types raise TypeError,
wrong values ValueError.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike


def check_number(
    value: object,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """A finite real number as a float, with low <= value <= high and above < value < below."""
    if type(value) is not float:
        value = _real(value, name)
    # A chain of comparisons is false for nan; the strict bounds refuse the infinities.
    if low <= value <= high and above < value < below:
        return value
    limits = [
        text
        for bound, text in (
            (low, f">= {low:g}"),
            (above, f"> {above:g}"),
            (high, f"<= {high:g}"),
            (below, f"< {below:g}"),
        )
        if math.isfinite(bound)
    ]
    expected = " ".join(["a finite number", " and ".join(limits)]).rstrip()
    raise ValueError(f"{name} must be {expected}, got {value!r}")


def _real(value: object, name: str) -> float:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {type(value).__name__}")
    return float(value)


def check_rounded(value: float, name: str, dtype: DTypeLike, below: float = math.inf) -> None:
    """Raise ValueError if a number changes its meaning when it is rounded to a dtype.

    A number other than 0 must not become 0, a finite one not infinite, and one below a strict
    bound must stay below.  Subnormal numbers count as 0, which training flushes them to.
    """
    limits = np.finfo(dtype)
    with np.errstate(over="ignore"):
        rounded = float(limits.dtype.type(value))
    if value and abs(value) < float(limits.tiny):
        meaning = f"0 in {limits.dtype}, whose smallest number is {limits.tiny:.3g}"
    elif math.isfinite(value) and not math.isfinite(rounded):
        meaning = f"{rounded} in {limits.dtype}, whose largest number is {limits.max:.3g}"
    elif value < below <= rounded:
        largest = np.nextafter(limits.dtype.type(below), limits.dtype.type(-math.inf))
        meaning = f"{below:g} in {limits.dtype}, whose largest number below is {largest}"
    else:
        return
    raise ValueError(f"{name} is {value!r}, which becomes {meaning}")


def check_integer(value: object, name: str, low: int | None = None, high: int | None = None) -> int:
    """An integer as an int, with low <= value <= high; booleans and floats are refused."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
    if (low is not None and number < low) or (high is not None and number > high):
        if high is None:
            expected = f">= {low}"
        elif low is None:
            expected = f"<= {high}"
        else:
            expected = f"from {low} to {high}"
        raise ValueError(f"{name} must be an integer {expected}, got {number}")
    return number


def check_seed(value: object, name: str = "seed") -> int:
    """A seed as an int, below 2**64: a file can hold no larger one."""
    seed = check_integer(value, name, 0)
    if seed >= 2**64:
        raise ValueError(f"{name} must be an integer below 2**64, got {seed}")
    return seed


def check_flag(value: object, name: str) -> bool:
    """True or False as a bool: text such as "no", which counts as true, is refused."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_choice(value: object, name: str, choices: Sequence[str]) -> str:
    """A string that is one of `choices`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return value
