"""A sheet as LaTeX, with the rules of the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from fastnn._shared.text import printable
from fastnn.stats.tables.sheet import Facts, Grid, Pairs, Part, Sheet, Strip

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "[": "{[}",  # after \\ a bracket would begin an optional argument
    "]": "{]}",
    "*": "{*}",  # and so would a star
    **{character: f"\\{character}" for character in "&%$#_"},
}
_NUMBER = re.compile(r"(\(?)(-?)([\d.,]+)(?:e([+-]\d+))?(\**)(\)?)")


def as_latex(sheet: Sheet) -> str:
    """Paragraphs and environments ``tabular``; text from outside is escaped."""
    blocks = [_sentence(line) for line in sheet.lead]
    if sheet.title:
        blocks.append(rf"\textbf{{{escaped(sheet.title)}}}")
    for section in sheet.sections:
        blocks += ["\n".join(_tabular(part)) for part in section]
    blocks += [rf"{{\footnotesize {_sentence(line)}\par}}" for line in sheet.notes]
    return "\n\n".join(blocks)


def escaped(text: str) -> str:
    """Text whose characters LaTeX prints as they are."""
    whole = "".join(_ESCAPES.get(character, character) for character in printable(text))
    return re.sub("-(?=-)", "-{}", whole)  # two hyphens would become a dash


def _sentence(text: str) -> str:
    return escaped(" ".join(text.split()))


def _cell(text: str) -> str:
    """A number in mathematical notation, or escaped text."""
    number = _NUMBER.fullmatch(text)
    if number is None:
        return escaped(text)
    opening, sign, digits, exponent, stars, closing = number.groups()
    power = "" if exponent is None else rf" \cdot 10^{{{int(exponent)}}}"
    marks = f"^{{{stars}}}" if stars else ""
    value = f"{sign}{digits.replace(',', '{,}')}{power}{marks}"
    return f"{opening}{digits if value == digits else f'${value}$'}{closing}"


def _tabular(part: Part) -> list[str]:
    """The environment of a part."""
    if isinstance(part, Grid):
        columns = "".join("l" if j in part.left else "r" for j in range(len(part.titles)))
        body = [_row(part.titles), r"\midrule"]
        for place, row in enumerate(part.rows):
            rule = [r"\midrule"] if place in part.rules else []
            body += [*rule, _row(row, part.left)]
    elif isinstance(part, Pairs):
        columns = "lrlr"
        body = [_row([*a, *b], {0, 2}) for a, b in zip(part.left, part.right, strict=True)]
    elif isinstance(part, Strip):
        names, values = zip(*part.entries, strict=True)
        columns = "l" + "r" * len(names)
        body = [_row([part.label, *names]), _row(["", *values], {0})]
    else:
        assert isinstance(part, Facts)
        columns = "lll"
        body = [_row(row, {0, 2}) for row in part.rows]
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *body, r"\bottomrule"]
    return [*lines, r"\end{tabular}"]


def _row(cells: Sequence[str], left: Collection[int] | None = None) -> str:
    """A row of cells: names in the columns `left`, or everywhere, and numbers elsewhere."""
    written = (
        escaped(cell) if left is None or j in left else _cell(cell) for j, cell in enumerate(cells)
    )
    return " & ".join(written) + r" \\"
