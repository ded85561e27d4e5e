"""Numbers, comments and identifiers as C writes them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["Names", "check_name", "comment", "literal", "literals", "table", "word", "wrapped"]

KEYWORDS = frozenset((
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
    "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
    "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef",
    "union", "unsigned", "void", "volatile", "while", "and", "asm", "bool", "catch", "class",
    "delete", "explicit", "export", "false", "friend", "main", "mutable", "namespace", "new",
    "not", "operator", "or", "private", "protected", "public", "template", "this", "throw",
    "true", "try", "typename", "using", "virtual", "xor",
))  # fmt: skip
"""Keywords of C and words of C++ that name nothing else; `main` is the self-test's."""

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LONGEST = 40


def check_name(name: object) -> str:
    """The name of a model, which all names in its file begin with.

    Raises
    ------
    TypeError, ValueError
        If it is no identifier of C that a program may use.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {type(name).__name__}")
    if not _IDENTIFIER.fullmatch(name) or len(name) > _LONGEST:
        raise ValueError(
            f"name must be an identifier of C, a letter and then at most {_LONGEST - 1} letters, "
            f"digits and underscores, got {name!r:.60}"
        )
    if name in KEYWORDS:
        raise ValueError(f"name must be no keyword of C or C++, got {name!r}")
    return name


def literal(value: float, ctype: str) -> str:
    """A number that is finite or nan, hexadecimal in C, so that no digit is lost."""
    number = float(value)
    if number != number:
        return "NAN"
    if number == 0:
        text = "-0.0" if np.signbit(number) else "0.0"
    else:
        digits, _, exponent = number.hex().partition("p")
        text = f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}p{exponent}"
    return text + "f" if ctype == "float" else text


def literals(values: Iterable[float], ctype: str) -> list[str]:
    """Each number of a vector as `literal` writes it."""
    return [literal(value, ctype) for value in values]


def wrapped(items: Sequence[str], indent: str = "    ", width: int = 99) -> str:
    """Items with commas between them, in lines of at most `width` characters."""
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) + 1 > width and line != indent:
            lines.append(line.rstrip())
            line = indent
        line += item + ", "
    return "\n".join([*lines, line.rstrip()])


def table(name: str, values: np.ndarray, ctype: str) -> str:
    """A constant array of C with the elements of an array, of floats or of integers."""
    flat = np.ravel(values)
    items = (
        list(map(str, flat.tolist())) if flat.dtype.kind in "iu" else literals(flat.tolist(), ctype)
    )
    return f"static const {ctype} {name}[{len(flat)}] = {{\n{wrapped(items)}\n}};"


def comment(text: str) -> str:
    """Text that may stand in a comment: one line of ASCII that neither ends nor begins one."""
    text = text.encode("ascii", "backslashreplace").decode("ascii")
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    for pair in ("*/", "/*", "??"):
        while pair in text:
            text = text.replace(pair, f"{pair[0]} {pair[1]}")
    return text


def word(text: str, fallback: str) -> str:
    """The ASCII letters and digits of a text as part of an identifier; `fallback` if none."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    plain = re.sub(r"[^A-Za-z0-9]+", "_", re.sub(r"[\u0300-\u036f]", "", plain)).strip("_")
    return plain[:_LONGEST].strip("_") or fallback


class Names:
    """Identifiers of one file, all different; each begins with the name of the model."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._taken: set[str] = set()

    def reserve(self, *names: str) -> None:
        """Keep names, without the prefix, from being given to anything else."""
        self._taken.update(name.upper() for name in names)

    def variable(self, text: str) -> str:
        """An identifier for text in small letters."""
        return f"{self.prefix}_{self._free(text).lower()}"

    def constant(self, *texts: str) -> str:
        """An identifier for texts in capitals."""
        return f"{self.prefix.upper()}_{self._free('_'.join(texts))}"

    def _free(self, text: str) -> str:
        own = word(text, "other").upper()
        candidate, n = own, 1
        while candidate in self._taken:
            n += 1
            candidate = f"{own}_{n}"
        self._taken.add(candidate)
        return candidate
