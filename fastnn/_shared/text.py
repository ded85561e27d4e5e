"""Tables of text."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Rows as lines of aligned columns.

    Parameters
    ----------
    rows : sequence of sequence of str
    right : collection of int
        Columns that are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def titled(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """`aligned`, with a rule under the first row, which has the titles."""
    titles, *rest = aligned(rows, right)
    return [titles, "-" * max(map(len, (titles, *rest))), *rest]
