"""Numbers and dates from the text of cells."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

__all__ = [
    "MISSING",
    "PLAIN",
    "Notation",
    "is_missing",
    "not_a_number",
    "number",
    "resembles_number",
    "time",
]

MISSING = frozenset(("", "?", "na", "n/a", "#n/a", "nan", "null", "none", "-nan"))
"""Texts, in lower case, that stand for a missing value in a column of numbers."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?(\d*|\d{1,3}(\.\d{3})+),\d+(e[+-]?\d+)?", re.IGNORECASE)
_CURRENCY = re.compile(r"^([+-]?)\s*[$€£¥₹]\s*|\s*[$€£¥₹]$")


@dataclass(frozen=True)
class Notation:
    """How numbers are written in the cells of a file.

    Parameters
    ----------
    decimal : {".", ","}, default "."
        The decimal point.
    thousands : str, default ""
        The character between groups of three digits; "" for none.
    percent : bool, default False
        Whether ``12 %`` is the number 0.12.
    currency : bool, default False
        Whether a sign of a currency before or after a number is ignored: $, €, £, ¥ and ₹.

    Raises
    ------
    ValueError
        If the decimal point and the character between groups are no two different characters.
    """

    decimal: str = "."
    thousands: str = ""
    percent: bool = False
    currency: bool = False

    def __post_init__(self) -> None:
        if self.decimal not in (".", ","):
            raise ValueError(f"decimal must be '.' or ',', got {self.decimal!r}")
        if len(self.thousands) > 1 or self.thousands.isalnum() or self.thousands in ("+", "-"):
            raise ValueError(f"thousands must be one sign such as ',', got {self.thousands!r}")
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as in programs, with a decimal point alone."""
        return self == PLAIN

    def number(self, cell: str) -> float | None:
        """The number that a cell has, or None.

        >>> Notation(",", ".", percent=True).number("1.234,5 %")
        12.345
        """
        if self.is_plain:
            return number(cell)
        cell = cell.strip()
        if self.currency:
            cell = _CURRENCY.sub(r"\1", cell)
        is_share = self.percent and cell.endswith("%")
        if is_share:
            cell = cell[:-1].rstrip()
        if self.thousands and self.thousands in cell:
            groups, point, rest = cell.partition(self.decimal)
            sign = re.escape(self.thousands)
            if not re.fullmatch(rf"[+-]?\d{{1,3}}({sign}\d{{3}})+", groups):
                return None
            cell = groups.replace(self.thousands, "") + point + rest
        if self.decimal != ".":
            if "." in cell:
                return None
            cell = cell.replace(self.decimal, ".")
        value = number(cell)
        return value / 100 if is_share and value is not None else value


PLAIN = Notation()
"""Numbers as programs write them."""


def number(cell: str) -> float | None:
    """The number that a cell has, with a decimal point, or None; ``1_000`` is no number."""
    cell = cell.strip()
    if _NUMBER.fullmatch(cell) or _INFINITE.fullmatch(cell):
        return float(cell)
    return None


def is_missing(cell: str) -> bool:
    """Whether a cell in a column of numbers stands for a missing value."""
    return cell.strip().lower() in MISSING


def numbers(cells: Iterable[str], notation: Notation) -> tuple[np.ndarray, int | None]:
    """The numbers of cells in float64, nan for marks of missing values.

    Returns
    -------
    values : array of float64
    slip : int or None
        Index of the first cell that is neither a number nor such a mark; the values from there
        on are undefined.
    """
    cells = list(cells)
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        value = notation.number(cell)
        if value is None:
            if not is_missing(cell):
                return values, i
            value = math.nan
        values[i] = value
    return values, None


def resembles_number(cell: str, notation: Notation = PLAIN) -> bool:
    """Whether a cell has a number, or in the plain notation one with a decimal comma."""
    return notation.number(cell) is not None or (notation.is_plain and _has_decimal_comma(cell))


def _has_decimal_comma(cell: str) -> bool:
    return _DECIMAL_COMMA.fullmatch(cell.strip()) is not None


def not_a_number(cell: str, notation: Notation = PLAIN) -> str:
    """The part of an error message about a cell that should have a number."""
    has_comma = notation.decimal == "." and _has_decimal_comma(cell)
    hint = " with a decimal point, not a comma" if has_comma else ""
    return f"{str(cell)!r:.80}, expected a number{hint}"


def time(cell: str, pattern: str | None = None) -> tuple[np.datetime64, bool] | None:
    """The date or time that a cell has, in UTC, and whether the cell names a zone; or None.

    Parameters
    ----------
    cell : str
    pattern : str, optional
        As in `datetime.strptime`; by default a date of ISO 8601, such as ``2024-05-01`` or
        ``2024-05-01T12:30:00+02:00``.
    """
    cell = cell.strip()
    try:
        if pattern is not None:
            moment = datetime.strptime(cell, pattern)
        elif len(cell) >= 10 and cell[4] == "-" and cell[7] == "-":
            moment = datetime.fromisoformat(cell)
        else:
            return None
        if moment.tzinfo is None:
            return np.datetime64(moment, "us"), False
        return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us"), True
    except (ValueError, OverflowError):
        return None
