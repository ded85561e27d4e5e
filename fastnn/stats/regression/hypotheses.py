"""The grammar of linear hypotheses: ``x1 = x2, 2*x3 - "body mass" = 1`` as a matrix.

hypotheses = equation {"," equation}
equation   = sum {"=" sum}            a sum alone is compared with 0
sum        = ["+" | "-"] term {("+" | "-") term}
term       = factor {("*" | "/") factor}
factor     = number | name | quoted name | "(" sum ")"

A name of a term of a formula, such as ``C(group)[T.b]`` or ``x:z``, needs no quotation marks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>[^\W\d][\w.]*)
    |(?P<quoted>`[^`]+`|"[^"]+"|'[^']+')
    |(?P<sign>[-+*/=,()]))""",
    re.VERBOSE,
)
_TERM = re.compile(r"[^\W\d][\w.]*[(\[:]")  # how names of terms of a formula begin


def parsed(text: str, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Linear hypotheses R b = r about coefficients.

    Parameters
    ----------
    text : str
    names : sequence of str
        Names of the p coefficients.

    Returns
    -------
    R : (q, p) array
    r : (q,) array
    texts : tuple of str
        The text of each hypothesis.

    Raises
    ------
    ValueError
        For text outside the grammar and unknown names, with the position.
    """
    return _Parser(text, names).hypotheses()


class _Parser:
    """Recursive descent; a value is a (p + 1,) array of coefficients, the number last."""

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self._text, self._names = text, list(names)
        terms = sorted(filter(_TERM.match, self._names), key=len, reverse=True)
        self._terms = re.compile(rf"\s*({'|'.join(map(re.escape, terms)) or '(?!)'})")
        self._tokens = self._split()
        self._next = 0

    def hypotheses(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        rows: list[np.ndarray] = []
        texts: list[str] = []
        while True:
            start = self._place()
            sides = [self._sum()]
            while self._takes("="):
                sides.append(self._sum())
            if len(sides) == 1:
                sides.append(np.zeros_like(sides[0]))
            equation = self._text[start : self._place()].strip()
            for i in range(len(sides) - 1):
                row = sides[i] - sides[i + 1]
                if not row[:-1].any():
                    raise self._error("an equation with a coefficient", start)
                rows.append(row)
                texts.append(equation if len(sides) == 2 else f"{equation} [{i + 1}]")
            if not self._takes(","):
                break
        if self._kind() != "end":
            raise self._error("an operator, '=' or ','", self._place())
        matrix = np.array(rows)
        return matrix[:, :-1], -matrix[:, -1], tuple(texts)

    def _split(self) -> list[tuple[str, str, int]]:
        """(kind, text, position) of each token; the last one is the end."""
        tokens = []
        place = 0
        stop = len(self._text.rstrip())
        while place < stop:
            term = self._terms.match(self._text, place)
            if term is not None:
                tokens.append(("name", term[1], term.start(1)))
                place = term.end()
                continue
            match = _TOKEN.match(self._text, place)
            if match is None:
                raise self._error("a name, a number or one of + - * / = , ( )", place)
            kind = str(match.lastgroup)
            tokens.append((kind, match[kind], match.start(kind)))
            place = match.end()
        return [*tokens, ("end", "", stop)]

    def _kind(self) -> str:
        return self._tokens[self._next][0]

    def _place(self) -> int:
        return self._tokens[self._next][2]

    def _takes(self, sign: str) -> bool:
        """Whether the next token is this sign, which is then consumed."""
        matches = self._tokens[self._next][:2] == ("sign", sign)
        self._next += matches
        return matches

    def _sum(self) -> np.ndarray:
        negative = self._takes("-")
        if not negative:
            self._takes("+")
        total = -self._term() if negative else self._term()
        while True:
            if self._takes("+"):
                total = total + self._term()
            elif self._takes("-"):
                total = total - self._term()
            else:
                return total

    def _term(self) -> np.ndarray:
        product = self._factor()
        while True:
            place = self._place()
            if self._takes("*"):
                factor = self._factor()
                if product[:-1].any() and factor[:-1].any():
                    raise self._error("a linear hypothesis without products of names", place)
                product = product * factor[-1] if product[:-1].any() else factor * product[-1]
            elif self._takes("/"):
                factor = self._factor()
                if factor[:-1].any() or not factor[-1]:
                    raise self._error("division by a number other than 0", place)
                product = product / factor[-1]
            else:
                return product

    def _factor(self) -> np.ndarray:
        kind, token, place = self._tokens[self._next]
        if self._takes("("):
            inner = self._sum()
            if not self._takes(")"):
                raise self._error("')'", self._place())
            return inner
        value = np.zeros(len(self._names) + 1)
        if kind == "number":
            value[-1] = float(token)
        elif kind in ("name", "quoted"):
            value[self._column(token if kind == "name" else token[1:-1], place)] = 1.0
        else:
            raise self._error("a name or a number", place)
        self._next += 1
        return value

    def _column(self, name: str, place: int) -> int:
        if self._names.count(name) != 1:
            which = "one of the names" if name not in self._names else "a name of one column among"
            raise self._error(f"{which} {', '.join(self._names)}", place)
        return self._names.index(name)

    def _error(self, expected: str, place: int) -> ValueError:
        rest = self._text[place:].strip() or "the end"
        return ValueError(
            f"hypotheses must have {expected} at position {place}, got {rest!r} in {self._text!r}"
        )
