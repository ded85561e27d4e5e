"""A sheet as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from fastnn._shared.text import printable
from fastnn.stats.tables.sheet import Facts, Grid, Pairs, Part, Sheet, Strip

_RULE = "border-top: 1px solid"
_TABLE = '<table style="border-collapse: collapse; margin: 0.5em 0">'


def as_html(sheet: Sheet) -> str:
    """One ``div`` with a table for each part; text from outside is escaped."""
    lines = ['<div class="fastnn-result">', *map(_paragraph, sheet.lead)]
    if sheet.title:
        lines.append(f"<p><strong>{_safe(sheet.title)}</strong></p>")
    for section in sheet.sections:
        for part in section:
            lines += [_TABLE, *_rows(part), "</table>"]
    return "\n".join([*lines, *map(_paragraph, sheet.notes), "</div>"])


def _safe(text: str) -> str:
    return escape(printable(text))


def _paragraph(text: str) -> str:
    return f"<p>{_safe(' '.join(text.split()))}</p>"


def _rows(part: Part) -> list[str]:
    """The rows of the table of a part."""
    if isinstance(part, Grid):
        return _grid(part)
    if isinstance(part, Pairs):
        pairs = zip(part.left, part.right, strict=True)
        return [_row([*a, *b], {0, 2}, heads={0, 2}) for a, b in pairs]
    if isinstance(part, Strip):
        names, values = zip(*part.entries, strict=True)
        return [_row([part.label, *names], {0}, heads=range(len(names) + 1)),
                _row(["", *values], {0})]  # fmt: skip
    assert isinstance(part, Facts)
    return [_row(row, {0, 1, 2}, heads={0}) for row in part.rows]


def _grid(grid: Grid) -> list[str]:
    everything = range(len(grid.titles))
    lines = ["<thead>", _row(grid.titles, grid.left, heads=everything), "</thead>", "<tbody>"]
    for place, row in enumerate(grid.rows):
        style = _RULE if place in grid.rules or not place else ""
        lines.append(_row(row, grid.left, heads={0}, style=style))
    return [*lines, "</tbody>"]


def _row(
    cells: Sequence[str], left: Iterable[int], heads: Iterable[int] = (), style: str = ""
) -> str:
    """A row of cells, aligned to the left or to the right; cells in `heads` are headings."""
    left, heads = set(left), set(heads)
    parts = []
    for j, cell in enumerate(cells):
        name = "th" if j in heads else "td"
        align = f"text-align: {'left' if j in left else 'right'}; padding: 0.1em 0.7em"
        parts.append(f'<{name} style="{align}">{_safe(cell)}</{name}>')
    return f"<tr{f' style={chr(34)}{style}{chr(34)}' if style else ''}>{''.join(parts)}</tr>"
