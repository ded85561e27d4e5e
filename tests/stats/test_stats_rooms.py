"""Files of fastnn.stats read the named attributes of results, and no private ones."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from fastnn import stats

ROOM = Path(stats.__file__).parent


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def private_reads(text):
    """Private attributes of other objects that the text does not define itself."""
    tree = ast.parse(text)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and is_private(node.attr)
        and node.attr not in own
        and ast.unparse(node.value) not in ("self", "cls")
    ]


FILES = sorted(ROOM.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOM)))
def test_no_file_reads_private_attributes_of_others(file):
    assert not private_reads(file.read_text(encoding="utf-8"))


def test_the_check_finds_private_reads():
    assert private_reads("def f(self, x): return x._fit + self._own + x.__len__()") == ["x._fit"]
