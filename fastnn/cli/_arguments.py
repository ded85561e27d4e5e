"""From the words of a command line to the parameters of `fastnn.tabular`, and back in errors."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

from fastnn.tabular import DataError, Options

_FLAGS = {field.name: f"--{field.name.replace('_', '-')}" for field in fields(Options)}
"""The flag of each parameter."""

_PARAMETER = "|".join(_FLAGS)
_SUBJECT = re.compile(rf"^({_PARAMETER})(?= )")
_SETTING = re.compile(rf"\b({_PARAMETER})=(\(\)|'[^']*'|[\w.]+)")


def options_of(arguments: argparse.Namespace) -> Options:
    """The options that a command line sets.

    Raises
    ------
    ValueError
        If an option is wrong, or contradicts another one; the message names flags.
    """
    with naming_flags():
        return Options(**{name: getattr(arguments, name) for name in _FLAGS})


@contextmanager
def naming_flags() -> Iterator[None]:
    """Name flags, not parameters, in the messages of errors about parameters."""
    try:
        yield
    except DataError:
        raise
    except ValueError as error:
        message = in_flags(str(error))
        if message == str(error):
            raise
        raise ValueError(message) from error


def in_flags(message: str) -> str:
    """An error message that begins with a parameter, in the words of the command line.

    ``batch_size must be...`` becomes ``--batch-size must be...``, and ``validation=0`` later in
    such a message ``--validation 0``.  Other messages do not change.

    >>> in_flags("patience needs validation data, but validation=0")
    '--patience needs validation data, but --validation 0'
    """
    message = _SUBJECT.sub(lambda match: _FLAGS[match[1]], message, count=1)
    return _SETTING.sub(lambda match: f"{_FLAGS[match[1]]} {_word(match[2])}", message)


def _word(value: str) -> str:
    """The value of a parameter as it is written on a command line."""
    return "none" if value == "()" else value.strip("'")
