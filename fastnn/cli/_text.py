"""Text for the terminal: numbers and notes."""

from __future__ import annotations

import math
import sys
from typing import TextIO

from fastnn._shared.text import printable
from fastnn.training.progress import Tolerant


def number(value: float, digits: int = 4) -> str:
    """A number with a fixed number of decimals; a dash for nan."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds with three digits, in the largest unit that gives a number of at least 1."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def ratio(value: float) -> str:
    """A factor with at most three digits."""
    rounded = float(f"{value:.3g}")
    decimals = 2 if rounded < 1 else 1 if rounded < 100 else 0
    return f"{rounded:,.{decimals}f}x"


def note(message: str) -> None:
    """Print a message on standard error, apart from the results; nothing if nobody can read it."""
    print(printable(message, keep="\n"), file=Tolerant(sys.stderr), flush=True)


def show(text: str) -> None:
    """Print a result, in which names from files may occur."""
    print(printable(text, keep="\n"))


def can_print(text: str, file: TextIO | None) -> bool:
    """Whether the encoding of a stream has all characters of a text."""
    try:
        text.encode((file and file.encoding) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
