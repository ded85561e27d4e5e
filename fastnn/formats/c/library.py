"""The functions of library.h for one file: those that it needs, for its type and its name."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from importlib.resources import files

from fastnn.formats.c.constants import CONSTANTS, Value

__all__ = ["functions"]

_WORD = re.compile(r"\b(?:REAL\(([\d.e+-]+)\)|NAME_(\w+)|([A-Za-z]\w*))")
_HORNER = re.compile(r"^( *)HORNER\((\w+), (\w+), (\w+)\);", re.MULTILINE)
_DEFINED = re.compile(r"^static (?:inline )?\w+ NAME_(\w+)\(", re.MULTILINE)
_USED = re.compile(r"\bNAME_(\w+)")
_OF_MATH = ("fabs", "sqrt", "log1p")
_TYPES = {
    "float": {"real": "float", "word": "int32_t", "SIGN_BIT": "INT32_MIN"},
    "double": {"real": "double", "word": "int64_t", "SIGN_BIT": "INT64_MIN"},
}


@functools.cache
def _pieces() -> dict[str, str]:
    """The text of each function with its comment, by its name, in an order fit for C."""
    text = files("fastnn.formats.c").joinpath("library.h").read_text(encoding="utf-8")
    pieces = {}
    for piece in re.split(r"\n(?=/\* )", text):
        defined = _DEFINED.search(piece)
        if defined:
            pieces[defined[1]] = piece.strip()
    return pieces


def functions(needed: Iterable[str], prefix: str, ctype: str) -> str:
    """The text of some functions and of those that they call.

    Parameters
    ----------
    needed : iterable of str
        Names of functions without ``NAME_``.
    prefix : str
        Name of the model.
    ctype : {"float", "double"}
    """
    pieces = _pieces()
    wanted: set[str] = set()
    waiting = list(needed)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += set(_USED.findall(pieces[name])) - wanted
    chosen = [text for name, text in pieces.items() if name in wanted]
    return "\n\n".join(_fitted(text, prefix, ctype) for text in chosen)


def _fitted(text: str, prefix: str, ctype: str) -> str:
    """The text of a function with the type, the constants and the name of the model."""
    values, types = CONSTANTS[ctype], _TYPES[ctype]

    def steps(match: re.Match[str]) -> str:
        indent, target, polynomial, variable = match.groups()
        coefficients = values[polynomial]
        assert isinstance(coefficients, tuple)
        lines = [f"{target} = {_constant(coefficients[-1], ctype)};"]
        for c in reversed(coefficients[:-1]):
            sign = "-" if c < 0 else "+"
            lines.append(f"{target} = {target} * {variable} {sign} {_constant(abs(c), ctype)};")
        return "\n".join(indent + line for line in lines)

    def replaced(match: re.Match[str]) -> str:
        number, function, word = match.groups()
        if number:
            return _constant(float(number), ctype)
        if function:
            return f"{prefix}_{function}"
        if word in _OF_MATH:
            return word + "f" * (ctype == "float")
        if word == "RESTRICT":
            return f"{prefix.upper()}_RESTRICT"
        if word in values:
            return _constant(values[word], ctype)
        return types.get(word, word)

    return _WORD.sub(replaced, _HORNER.sub(steps, text))


def _constant(value: Value, ctype: str) -> str:
    """A number of the library in decimal digits, as many as its type needs."""
    assert not isinstance(value, tuple)
    return repr(value) + "f" * (ctype == "float" and isinstance(value, float))
