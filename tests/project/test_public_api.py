"""The public names and signatures are those of public_api.txt, which a command writes."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="fastnn.estimators is public too")

ROOT = Path(__file__).parents[2]
FROZEN = Path(__file__).with_name("public_api.txt")


@pytest.fixture(scope="module")
def tool():
    path = ROOT / "tools" / "public_api.py"
    specification = importlib.util.spec_from_file_location("public_api", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_names_and_signatures_are_the_frozen_ones(tool):
    frozen = FROZEN.read_text(encoding="utf-8").splitlines()
    lines = difflib.unified_diff(frozen, tool.listing().splitlines(), "frozen", "now", "", "", 0)
    changes = "\n".join(lines)
    assert not changes, (
        f"The public names changed:\n{changes}\nIf this is meant, read 'Public names' in "
        "CONTRIBUTING.md and run `tools/public_api.py --write`."
    )


def test_names_come_from_the_page_of_the_api(tool):
    assert {"fastnn", "fastnn.functional", "fastnn.stats", "fastnn.tabular"} <= {*tool.modules()}


def example(x, /, y=None, *more, z: float = 0.5, f=len, **options):
    pass


def test_a_signature_has_kinds_and_defaults_and_no_types(tool):
    assert tool.signature_text(example) == "(x, /, y=None, *more, z=0.5, f=len, **options)"
    assert tool.signature_text(lambda: 0) == "()"


def test_a_class_has_its_public_bases_and_the_members_they_do_not_have(tool):
    @dataclasses.dataclass
    class Base:
        size: int = 3

        def area(self):
            pass

    class Square(Base):
        def side(self, scale=1):
            pass

    class Refused(ValueError):
        pass

    for cls in (Base, Square, Refused):
        cls.__module__ = "fastnn.shapes"
    homes = {Base: "fastnn.Base", Square: "fastnn.Square", Refused: "fastnn.Refused"}
    lines = list(tool.class_lines("fastnn.Square", Square, homes))
    assert lines == ["fastnn.Square(size=3) is fastnn.Base", "fastnn.Square.side(self, scale=1)"]
    assert "fastnn.Base.area(self)" in tool.class_lines("fastnn.Base", Base, homes)
    assert list(tool.class_lines("fastnn.Refused", Refused, homes)) == [
        "fastnn.Refused is ValueError"
    ]


def test_a_default_without_a_literal_is_its_type(tool):
    assert tool.value_text(object()) == "object"
    assert tool.value_text(float) == "float"
    assert tool.value_text("a") == "'a'"
