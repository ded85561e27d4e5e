"""Reading the structure of a file: each entry is checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAMES = {int: "an integer", float: "a number", str: "text", bool: "a bool", list: "a list"}
_NAMES |= {dict: "a dict", type(None): "null"}

Kinds = type | tuple[type, ...]


def entry(structure: object, key: str, kinds: Kinds, what: str) -> Any:
    """The entry `key` of a mapping from a file or a caller.

    Parameters
    ----------
    structure : object
        What is expected to be a mapping.
    key : str
    kinds : type or tuple of types
        The types that the entry may have; `dict` stands for every mapping, `list` for every list
        and tuple, `float` for integers too, and `int` for no bool.
    what : str
        The noun that error messages call the structure, such as "a training state".

    Raises
    ------
    ValueError
        If it is no mapping, has no such entry, or the entry has another type.
    """
    if not isinstance(structure, Mapping):
        raise ValueError(f"not {what}: expected a dict, got {type(structure).__name__}")
    if key not in structure:
        raise ValueError(f"not {what}: it has no {key!r}")
    value = structure[key]
    check_kind(value, kinds, f"not {what}: {key!r}")
    return value


def check_kind(value: object, kinds: Kinds, name: str) -> None:
    """Raise ValueError unless a value of a structure has one of the types; see `entry`."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if any(_is(value, kind) for kind in kinds):
        return
    expected = " or ".join(_NAMES.get(kind, kind.__name__) for kind in kinds)
    raise ValueError(f"{name} must be {expected}, got {value!r:.80}")


def _is(value: object, kind: type) -> bool:
    if kind is dict:
        return isinstance(value, Mapping)
    if kind is list:
        return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def real(value: Any, name: str) -> float:
    """A number of a structure, in which text stands for the numbers that JSON lacks.

    Raises
    ------
    ValueError
        If it is no number and none of "nan", "inf" and "-inf".
    """
    if not (isinstance(value, str) and value in ("nan", "inf", "-inf")):
        check_kind(value, float, name)
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is an integer too large for a float") from None
