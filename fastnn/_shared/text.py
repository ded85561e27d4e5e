"""Tables of text, and text that is safe to print."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def printable(text: str, keep: str = "") -> str:
    r"""Text in which a terminal finds no commands: other characters are written as escapes.

    Parameters
    ----------
    text : str
        Text that may come from outside, such as a name in a file.
    keep : str, default ""
        Characters that stay although they do not print, such as line breaks.

    Examples
    --------
    >>> printable("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Rows as lines of aligned columns; see `printable` for the characters of cells.

    Parameters
    ----------
    rows : sequence of sequence of str
    right : collection of int
        Columns that are aligned to the right.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
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
