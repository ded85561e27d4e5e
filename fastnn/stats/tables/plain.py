"""A sheet as text."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn._shared.text import printable
from fastnn.stats.tables.sheet import Entries, Facts, Grid, Pairs, Part, Sheet, Strip

_LEAST_WIDTH = 80  # of a sheet of several sections
_LEAST_RIGHT = 31  # of the right column of entries
_LABEL = 12  # width of the label of a strip


def as_text(sheet: Sheet) -> str:
    """The text of a sheet; `printable` describes the characters of names."""
    lead = [printable(line, keep="\n") for line in sheet.lead]
    notes = [printable(line, keep="\n") for line in sheet.notes]
    if len(sheet.sections) > 1:
        return "\n".join([*lead, *_framed(sheet), *notes])
    lines = [line for part in sheet.sections[0] for line in ["", *_lines(part, 0)]][1:]
    if notes and not isinstance(sheet.sections[0][-1], Facts):
        lines.append("")
    lines += notes
    if sheet.title:
        lines = [printable(sheet.title), *(f"  {line}".rstrip() for line in lines)]
    return "\n".join([*lead, *lines])


def _framed(sheet: Sheet) -> list[str]:
    """Sections between rules of one width."""
    width = max(_LEAST_WIDTH, *(_width(part) for section in sheet.sections for part in section))
    rule = "=" * width
    lines = [printable(sheet.title).center(width).rstrip(), rule]
    for section in sheet.sections:
        lines += [line for part in section for line in _lines(part, width)]
        lines.append(rule)
    return lines


def _width(part: Part) -> int:
    """Smallest width of a part."""
    if isinstance(part, Grid):
        return len(_rows(part)[0])
    if isinstance(part, Pairs):
        # The least width of the right column only widens short values.
        sides = (max((len(name) + len(value) for name, value in side), default=0)
                 for side in (_safe(part.left), _safe(part.right)))  # fmt: skip
        return sum(sides) + 7
    return 0


def _lines(part: Part, width: int) -> list[str]:
    """The lines of a part; a width of 0 is that of the part."""
    if isinstance(part, Grid):
        return _grid(part, width)
    if isinstance(part, Pairs):
        return _pairs(_safe(part.left), _safe(part.right), width)
    if isinstance(part, Strip):
        return _strip(part, width)
    return [
        f"{printable(name)} = {printable(value)}{f'   ({printable(remark)})' if remark else ''}"
        for name, value, remark in part.rows
    ]


def _grid(grid: Grid, width: int) -> list[str]:
    titles, *rows = _rows(grid)
    stripped = [row.rstrip() for row in rows]
    thin = "-" * (width or max(map(len, [titles.rstrip(), *stripped])))
    lines = [titles.rstrip(), thin]
    for place, row in enumerate(stripped):
        lines += [thin, row] if place in grid.rules else [row]
    return lines


def _rows(grid: Grid) -> list[str]:
    """The titles and the rows as lines of aligned columns."""
    rows = [[printable(cell) for cell in row] for row in (grid.titles, *grid.rows)]
    least = grid.least or (0,) * len(grid.titles)
    widths = [
        max(floor, max(map(len, column)) + (2 if j else 0))
        for j, (floor, column) in enumerate(zip(least, zip(*rows, strict=True), strict=True))
    ]
    return ["".join(_cells(row, widths, grid.left)) for row in rows]


def _cells(row: Sequence[str], widths: Sequence[int], left: frozenset[int]) -> list[str]:
    return [
        f"{'  ' if j else ''}{cell}".ljust(width) if j in left else cell.rjust(width)
        for j, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _safe(entries: Entries) -> Entries:
    return [(printable(name), printable(value)) for name, value in entries]


def _pairs(left: Entries, right: Entries, width: int) -> list[str]:
    """Lines of two entries each; values are right-aligned."""
    lengths = (len(name) + len(value) + 3 for name, value in right)
    right_width = max(_LEAST_RIGHT, max(lengths, default=0))
    left_width = width - right_width - 2
    return [
        f"{_pair(*a, left_width)}  {_pair(*b, right_width)}"
        for a, b in zip(left, right, strict=True)
    ]


def _pair(name: str, value: str, width: int) -> str:
    return f"{name}:{value:>{width - len(name) - 1}}"


def _strip(strip: Strip, width: int) -> list[str]:
    cell = (width - _LABEL) // len(strip.entries)
    names = "".join(f"{name:>{cell}}" for name, _ in strip.entries)
    values = "".join(f"{value:>{cell}}" for _, value in strip.entries)
    return [f"{strip.label:<{_LABEL}}{names}", " " * _LABEL + values]
