"""Sections that many docstrings of `fastnn.functional` share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def with_sections(template: str, **fields: str) -> Callable[[Function], Function]:
    """Append a template, its fields filled in, to the docstring of the decorated function."""
    sections = inspect.cleandoc(template).format(**fields)

    def decorate(function: Function) -> Function:
        if function.__doc__:  # None under python -OO
            function.__doc__ = f"{inspect.cleandoc(function.__doc__)}\n\n{sections}\n"
        return function

    return decorate
