"""Names on the page for people who come from R and statsmodels exist, with their arguments."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import re
from pathlib import Path

import pytest

from fastnn import stats

PAGE = Path(__file__).parents[2] / "docs" / "coming-from.md"


def cells(title):
    """Pieces of code in the columns with this title."""
    column = None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        parts = [part.strip() for part in line.strip("|").split("|")]
        if not line.startswith("|"):
            column = None
        elif column is None:
            column = parts.index(title) if title in parts else -1
        elif column >= 0:
            yield from re.findall(r"`([^`]+)`", parts[column])


def faults_of(node):
    """Names of a piece of code that fastnn.stats or a fitted regression do not have."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            if not hasattr(stats.RegressionResult, part.attr):
                yield part.attr
        elif isinstance(part, ast.Call):
            owner = part.func
            name = owner.attr if isinstance(owner, ast.Attribute) else owner.id
            place = stats.RegressionResult if isinstance(owner, ast.Attribute) else stats
            if not hasattr(place, name):
                yield name
                continue
            parameters = inspect.signature(getattr(place, name)).parameters
            yield from (key.arg for key in part.keywords if key.arg not in parameters)


FASTNN = list(cells("fastnn"))
STATSMODELS = list(cells("statsmodels"))


@pytest.mark.parametrize("code", FASTNN)
def test_names_of_fastnn_exist_and_take_their_arguments(code):
    assert not [*faults_of(ast.parse(code, mode="eval"))]


def test_the_check_of_names_finds_faults():
    code = "nothing(m), m.absent, m.predict(new, margin=1), linear_regression(X, y, lag=2)"
    faults = {*faults_of(ast.parse(code, mode="eval"))}
    assert faults == {"nothing", "absent", "margin", "lag"}


def test_functions_of_fastnn_are_on_the_page():
    names = {node.id for code in FASTNN for node in ast.walk(ast.parse(code, mode="eval"))
             if isinstance(node, ast.Name)}  # fmt: skip
    own = {"durbin_watson", "durbin_watson_bounds", "durbin_watson_panel_bounds", "decide",
           "durbin_watson_pvalue", "plot_bounds", "residual_report", "durbin_h"}  # fmt: skip
    functions = {name for name in stats.__all__ if inspect.isfunction(getattr(stats, name))}
    assert functions - names == own


def resolved(path):
    """The object of statsmodels with this path; attributes of results are those of a fit."""
    sm = pytest.importorskip("statsmodels.api")
    fit = sm.OLS([1.0, 2.0, 4.0, 3.0], sm.add_constant([0.0, 1.0, 2.0, 3.0])).fit()
    roots = {"sm": sm, "RegressionResults": fit, "OLSInfluence": fit.get_influence()}
    first, *rest = path.split(".")
    if first in roots:
        return reached(roots[first], rest)
    for length in range(len(rest), -1, -1):
        with contextlib.suppress(ModuleNotFoundError):
            module = importlib.import_module(".".join([first, *rest[:length]]))
            return reached(module, rest[length:])
    raise AssertionError(f"{path} has no module")


def reached(item, names):
    for name in names:
        item = getattr(item, name)
    return item


@pytest.mark.parametrize("path", sorted(set(STATSMODELS)))
def test_names_of_statsmodels_exist(path):
    assert resolved(path) is not None


def test_absent_names_of_statsmodels_are_found():
    for path in ("sm.Nothing", "RegressionResults.nothing", "statsmodels.nothing.at.all"):
        with pytest.raises((AttributeError, AssertionError)):
            resolved(path)
