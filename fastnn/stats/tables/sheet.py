"""The parts of a sheet, which text, HTML and LaTeX are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Entries = Sequence[tuple[str, str]]
"""Names and values."""


@dataclass(frozen=True)
class Grid:
    """Rows of cells under a row of titles.

    Attributes
    ----------
    titles : tuple of str
    rows : tuple of tuples of str
    left : frozenset of int
        Columns that are aligned to the left; the others have numbers.
    least : tuple of int
        Smallest widths of the columns in text, the two blanks between columns included.
    rules : frozenset of int
        Rows above which there is a rule.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[int] = frozenset({0})
    least: tuple[int, ...] = ()
    rules: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Pairs:
    """Names and values in two columns of entries, row by row."""

    left: Entries
    right: Entries

    @classmethod
    def in_turn(cls, entries: Entries) -> Pairs:
        """From entries of the left and of the right column in turn."""
        return cls(entries[::2], entries[1::2])


@dataclass(frozen=True)
class Strip:
    """Names above values, spread over the width of the sheet."""

    label: str
    entries: Entries


@dataclass(frozen=True)
class Facts:
    """Names with values and remarks: ``(name, value, remark)``."""

    rows: tuple[tuple[str, str, str], ...]


Part = Grid | Pairs | Strip | Facts


@dataclass(frozen=True)
class Sheet:
    """What a result shows.

    Attributes
    ----------
    sections : tuple of tuples of parts
        A sheet of several sections has rules between them.
    title : str
    lead, notes : tuple of str
        Sentences above and below the sections.
    """

    sections: tuple[tuple[Part, ...], ...]
    title: str = ""
    lead: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
