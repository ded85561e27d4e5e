"""Checks of values that were read from the file of a model.

Each check returns the value, or raises a ValueError that says what is wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any


def text(value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.60} is not text")
    return value


def finite(value: object) -> float:
    """A finite number as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.60} is not a finite number")
    return float(value)


def positive(value: object) -> float:
    """A positive, finite number as a float."""
    number = finite(value)
    if number <= 0:
        raise ValueError(f"{number} is not positive")
    return number


def ascending(values: Sequence[Any], kind: Any) -> tuple[Any, ...]:
    """A non-empty tuple of labels of one kind, in ascending order as the binary search needs."""
    kinds = (str,) if values and isinstance(values[0], str) else (int, float)
    if not values or not all(
        isinstance(value, kind) and isinstance(value, kinds) for value in values
    ):
        raise ValueError(f"{values!r:.60} are not labels of one kind")
    if any(a >= b for a, b in pairwise(values)):
        raise ValueError(f"{values!r:.60} are not in ascending order")
    return tuple(values)


def flag(value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{value!r:.60} is not true or false")
    return value


def different_texts(values: object) -> tuple[str, ...]:
    """A tuple of different strings."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{values!r:.60} is no list of texts")
    if len(set(values)) < len(values):
        raise ValueError(f"{values!r:.60} has one text twice")
    return tuple(values)
