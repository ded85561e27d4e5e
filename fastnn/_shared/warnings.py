"""Warnings that point at the line of the caller, however deep in the package they arise."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from typing import Any

_TIME_INDEXES = ("DatetimeIndex", "PeriodIndex", "TimedeltaIndex")
_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_NOT_CALLERS = (_PACKAGE, functools.__file__)  # a cached property is called through functools


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line that is not the package's own."""
    level = 2  # that of the function which warns
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_CALLERS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def warn_if_unsorted(index: Any) -> None:
    """Warn of a time index of pandas whose rows are not in the order of time."""
    if type(index).__name__ in _TIME_INDEXES and not index.is_monotonic_increasing:
        warn(
            "the time index of the data is not sorted, and rows are taken in the order they "
            "have; sort them first (X.sort_index()), or pass order_by=X.index to "
            "durbin_watson_test"
        )
