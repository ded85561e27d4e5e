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

_FLAGS_OF_LIMITS = {"time_limit": "--time-limit", "candidates": "--search"}
_ALL_FLAGS = _FLAGS | _FLAGS_OF_LIMITS
_PARAMETER = "|".join(_ALL_FLAGS)
_SUBJECT = re.compile(rf"^({_PARAMETER})(?= )")
_SETTING = re.compile(rf"\b({_PARAMETER})=(\(\)|'[^']*'|[\w.]+)")


COMMON = ("task", "loss", "quantiles", "test", "seed", "dtype")
"""Parameters of `Options` that every preset takes."""

_OF_NETWORK = (*(name for name in _FLAGS if name not in COMMON), "checkpoint")


def preset_of(arguments: argparse.Namespace) -> str:
    """The preset that a command line chooses: "network" where it has options of the network.

    Raises
    ------
    ValueError
        If an option does not go with the preset.
    """
    of_network = [name for name in _OF_NETWORK if getattr(arguments, name) is not None]
    if arguments.plot not in (None, "none"):
        of_network.append("plot")
    preset: str = arguments.preset or ("network" if of_network else "balanced")
    if preset != "network" and of_network:
        flag = f"--{of_network[0].replace('_', '-')}"
        raise ValueError(f"{flag} goes with --preset network, not with --preset {preset}")
    for option in ("time_limit", "search"):
        if preset == "network" and getattr(arguments, option) is not None:
            why = "" if arguments.preset else f", which --{of_network[0].replace('_', '-')} implies"
            flag = f"--{option.replace('_', '-')}"
            raise ValueError(f"{flag} does not go with --preset network{why}")
    return preset


def options_of(arguments: argparse.Namespace) -> Options:
    """The options that a command line sets.

    Raises
    ------
    ValueError
        If an option is wrong, or contradicts another one; the message names flags.
    """
    values = {name: getattr(arguments, name) for name in _FLAGS}
    with naming_flags():
        return Options(**{name: value for name, value in values.items() if value is not None})


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
    message = _SUBJECT.sub(lambda match: _ALL_FLAGS[match[1]], message, count=1)
    return _SETTING.sub(lambda match: f"{_ALL_FLAGS[match[1]]} {_word(match[2])}", message)


def _word(value: str) -> str:
    """The value of a parameter as it is written on a command line."""
    return "none" if value == "()" else value.strip("'")
