"""Results as text, HTML and LaTeX: one layout, and names from outside are escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from fastnn import stats
from fastnn.stats.tables.latex import as_latex, escaped
from fastnn.stats.tables.sheet import Grid, Sheet

RNG = np.random.default_rng(7)
N = 40
X = RNG.normal(size=(N, 2))
Y = X @ [1.0, -1e-6] + RNG.normal(size=N)
HOSTILE = ("<script>alert(1)</script>&\x1b[31m", r"50% $x_1^2$ {#} ~\end{tabular}")
REGRESSION = stats.linear_regression(X, Y, names=HOSTILE)
SMALL = stats.linear_regression(X[:, 0], Y, names=HOSTILE[:1])

RESULTS = {
    "regression": REGRESSION,
    "several responses": stats.linear_regression(X, np.c_[Y, Y**2], names=HOSTILE),
    "streamed": stats.linear_regression_blocks([(X, Y)], names=HOSTILE),
    "remedy": stats.cochrane_orcutt(REGRESSION),
    "autoregression": stats.autoregressive_regression(REGRESSION),
    "hypotheses": REGRESSION.test(f'"{HOSTILE[0]}" = 0'),
    "anova": stats.anova(SMALL, REGRESSION),
    "terms": REGRESSION.anova(),
    "comparison": stats.compare(SMALL, REGRESSION, names=HOSTILE, stars=True),
    "comparison beside": stats.compare(SMALL, REGRESSION, errors="beside"),
    "test": stats.white(REGRESSION),
    "test of several lags": stats.ljung_box(REGRESSION, [1, 5]),
    "process": stats.cusum(REGRESSION),
    "Durbin-Watson": REGRESSION.durbin_watson(),
}
"""A result of each kind, with names that are commands in HTML, in LaTeX and in a terminal."""

every_result = pytest.mark.parametrize("kind", RESULTS)


class Tables(HTMLParser):
    """The text of the cells of tables, and the names of all elements."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.names, self.open = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def latex_rows(text):
    """The cells of the rows of all environments, as text without the commands of `escaped`."""
    rows = [line[: -len(r" \\")] for line in text.splitlines() if line.endswith(r" \\")]
    return [re.split(r"(?<!\\) & |^& | &$", row) for row in rows]


@every_result
def test_html_has_elements_of_tables_and_paragraphs_only(kind):
    tables = Tables(RESULTS[kind]._repr_html_())
    assert tables.names <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "td", "th"}
    assert not tables.open


@every_result
def test_html_and_latex_have_the_same_rows(kind):
    """Cells of LaTeX are compared by their number: their text is escaped."""
    html = Tables(RESULTS[kind]._repr_html_()).rows
    latex = latex_rows(RESULTS[kind].to_latex())
    assert html
    assert [len(row) for row in html] == [len(row) for row in latex]


@every_result
def test_text_has_the_cells_of_the_html(kind):
    text = str(RESULTS[kind])
    cells = [cell for row in Tables(RESULTS[kind]._repr_html_()).rows for cell in row]
    assert not [cell for cell in cells if cell not in text]


@every_result
def test_text_and_html_have_no_control_characters(kind):
    for text in (str(RESULTS[kind]), RESULTS[kind]._repr_html_(), RESULTS[kind].to_latex()):
        assert all(character.isprintable() or character == "\n" for character in text)


@every_result
def test_braces_and_environments_of_latex_are_closed(kind):
    text = RESULTS[kind].to_latex()
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    environments = re.findall(r"\\begin\{tabular\}", text), re.findall(r"\\end\{tabular\}", text)
    assert len(environments[0]) == len(environments[1]) > 0
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0


@every_result
def test_rules_are_those_of_booktabs(kind):
    text = RESULTS[kind].to_latex()
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\begin{tabular}")
    assert r"\hline" not in text


def test_names_keep_their_characters_in_html():
    cells = {cell for row in Tables(REGRESSION._repr_html_()).rows for cell in row}
    assert {r"<script>alert(1)</script>&\x1b[31m", HOSTILE[1]} <= cells


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b & c%", r"a\_b \& c\%"),
        ("$x^2$ #1 {y}", r"\$x\textasciicircum{}2\$ \#1 \{y\}"),
        ("~\\", r"\textasciitilde{}\textbackslash{}"),
        ("a < b | c > d", r"a \textless{} b \textbar{} c \textgreater{} d"),
        ("[0.025", "{[}0.025"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ("tab\t", r"tab\textbackslash{}t"),
    ],
)
def test_characters_of_latex_are_escaped(text, latex):
    assert escaped(text) == latex


@pytest.mark.parametrize(
    ("cell", "latex"),
    [
        ("12.5", "12.5"),
        ("-0.74", "$-0.74$"),
        ("1.5e-08", r"$1.5 \cdot 10^{-8}$"),
        ("(0.0226)", "(0.0226)"),
        ("(1e+20)", r"($1 \cdot 10^{20}$)"),
        ("-2.5**", "$-2.5^{**}$"),
        ("1,000", "$1{,}000$"),
        ("x-1", "x-1"),
    ],
)
def test_numbers_of_latex_are_in_mathematical_notation(cell, latex):
    assert as_latex(Sheet(((Grid(("", ""), (("", cell),)),),))).splitlines()[4] == rf" & {latex} \\"


def test_names_that_look_like_numbers_stay_as_they_are():
    result = stats.linear_regression(X, Y, names=["1e5", "-2"])
    assert [row[0] for row in latex_rows(result.to_latex()) if row[0] in ("1e5", "-2")]


def test_the_level_of_the_intervals_reaches_latex():
    assert "{[}0.05" in REGRESSION.to_latex(level=0.9)


def test_an_undetermined_coefficient_is_said():
    with pytest.warns(stats.RankDeficiencyWarning):
        result = stats.linear_regression(np.c_[X, X[:, 0]], Y)
    assert "not determined" in str(result)
    assert "not determined" in result._repr_html_()
    assert "not determined" in str(stats.compare(REGRESSION, result))
