"""Every page of the gallery runs on every backend, and what it asserts of its numbers holds."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
PAGES = sorted(GALLERY.glob("*/*.py"))

pytest.importorskip("sklearn")
matplotlib = pytest.importorskip("matplotlib")


def name(page):
    return f"{page.parent.name}/{page.stem}"


def check_labels(figure):
    """What is drawn along an axis says what it is."""
    if any(ax.axison for ax in figure.axes):
        assert figure.get_supxlabel() or any(ax.get_xlabel() for ax in figure.axes)


@pytest.fixture
def _off_screen(monkeypatch):
    """Figures are drawn, as a reader would see them, but on no display."""
    import matplotlib.pyplot as plt
    from threadpoolctl import threadpool_limits

    def draw(*args, **kwargs):
        for figure in map(plt.figure, plt.get_fignums()):
            figure.canvas.draw()
            check_labels(figure)
        plt.close("all")

    with matplotlib.rc_context(), threadpool_limits(1, "blas"):  # small matrices, many tests
        plt.switch_backend("agg")
        monkeypatch.setattr(plt, "show", draw)
        yield
        plt.close("all")


@pytest.mark.usefixtures("_off_screen")
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_runs_and_its_assertions_hold(page, backend):
    runpy.run_path(str(page), run_name="__main__")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_ends_with_assertions(page):
    last = ast.parse(page.read_text(encoding="utf-8")).body[-1]
    held = last.body[-1] if isinstance(last, ast.For) else last
    assert isinstance(held, ast.Assert)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_says_what_to_see_in_its_pictures(page):
    text = page.read_text(encoding="utf-8").replace("\n# ", " ")
    assert "plt.show()" not in text or "**What to see.**" in text


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_figure_is_shown(page):
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"plt\.(?:subplots|figure)\(", text)) == text.count("plt.show()")


def test_order_names_every_page(monkeypatch):
    monkeypatch.syspath_prepend(GALLERY.parent)
    sys.modules.pop("course_order", None)
    from course_order import PAGES as ordered

    listed = [f"{section}/{page}" for section, pages in ordered.items() for page in pages]
    assert sorted(listed) == [name(page) for page in PAGES]
