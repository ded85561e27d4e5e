"""Tables of text for the terminal."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from fastnn._shared.text import aligned


def tabulated(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines of aligned columns, all but the first to the right."""
    return "\n".join(aligned(rows, right=range(1, len(rows[0]))))


def pairs(entries: Iterable[tuple[str, str]]) -> str:
    """Names and values, one pair a line."""
    return "\n".join(aligned(list(entries)))


def number(value: float, digits: int = 4) -> str:
    """A measured number; a dash if it is undefined."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them, with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def ratio(value: float) -> str:
    """How many times as much, with three digits at most."""
    rounded = float(f"{value:.3g}")
    decimals = 2 if rounded < 1 else 1 if rounded < 100 else 0
    return f"{rounded:,.{decimals}f}x"


def note(message: str) -> None:
    """Say something on stderr, apart from the results."""
    print(message, file=sys.stderr, flush=True)


def write_csv(file: TextIO, header: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    """Columns of text as CSV."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))


def can_print(text: str, file: TextIO) -> bool:
    """Whether a stream's encoding has these characters."""
    try:
        text.encode(file.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
