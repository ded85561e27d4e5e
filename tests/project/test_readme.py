"""Everything the README and these pages show is run, and prints what they say it prints."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/coming-from.md",
    "docs/conventions.md",
    "docs/coming-from-scikit-learn.md",
    "docs/distributed.md",
    "docs/extending.md",
    "docs/formats.md",
    "docs/formulas.md",
    "docs/graphs.md",
    "docs/optimizers.md",
    "docs/precision.md",
    "docs/quickstart.md",
    "docs/reading-tables.md",
    "docs/reference-values.md",
    "docs/residuals.md",
    "docs/statistics.md",
    "docs/tables.md",
    "docs/watching.md",
)
REQUIRED = {
    "docs/coming-from-scikit-learn.md": ("sklearn",),
    "docs/formats.md": ("onnx", "skl2onnx"),
    "docs/formulas.md": ("pandas", "polars", "narwhals", "formulaic"),
    "docs/reading-tables.md": ("pyarrow",),
    "docs/tables.md": ("pandas", "sklearn"),
}
HAS_TORCH = importlib.util.find_spec("torch") is not None
SKIPPED = "an example that needs PyTorch"
SET_UP = ['pip install ".[cli]" && fastnn demo', 'pip install -e ".[test]" && pytest']
WITHOUT_A_TEST = ("pip ", "pytest", "python -m", "FASTNN_", "cd ", "make ", "asv ", ".ci/run")
"""Beginnings of commands that install, test or measure: `.ci/run` runs those of the README."""


class Block(NamedTuple):
    """A fenced block of a page, and the number of the line it starts on."""

    language: str
    text: str
    line: int


def blocks(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def commands(page):
    return [
        line
        for block in blocks(page)
        if block.language == "console"
        for line in block.text.splitlines()
    ]


def run_python(block, page, namespace):
    """What a block prints; errors point to its lines on the page."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * block.line + block.text, page, "exec"), namespace)
    return printed.getvalue()


def run_fastnn(block):
    from fastnn.cli import main

    for command in (part for line in block.text.splitlines() for part in line.split(" && ")):
        if command.startswith("fastnn "):
            assert main(shlex.split(command)[1:]) == 0, command


@pytest.mark.parametrize("page", PAGES)
def test_examples_run_in_order_and_print_what_follows_them(page, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    for library in REQUIRED.get(page, ()):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    printed = None
    for block in blocks(page):
        if block.language == "python":
            can_run = HAS_TORCH or "torch" not in block.text
            printed = run_python(block, page, namespace) if can_run else SKIPPED
        elif block.language == "console":
            run_fastnn(block)
        elif block.language == "text" and printed != SKIPPED:
            assert block.text == printed, f"{page}, line {block.line}"


@pytest.mark.parametrize("page", PAGES)
def test_no_command_escapes_these_tests(page):
    for command in commands(page):
        assert command.startswith(("fastnn ", *WITHOUT_A_TEST)), command


def test_set_up_takes_two_commands():
    assert [c for c in commands("README.md") if not c.startswith("fastnn ")] == SET_UP


def test_ci_runs_the_two_commands_as_the_readme_has_them():
    pattern = re.search(r"grep -E '(.*?)' \"\$root/README.md\"", (ROOT / ".ci/run").read_text())
    assert pattern is not None
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in readme if re.match(pattern[1], line)] == SET_UP


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
