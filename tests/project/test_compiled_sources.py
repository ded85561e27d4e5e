"""The two units of the compiled core agree on the functions that one calls in the other."""

import re
from pathlib import Path

import pytest

import fastnn

SOURCES = Path(fastnn.__file__).parent / "backend" / "compiled"
DECLARATIONS = [SOURCES / "engine" / "passes.pxd", SOURCES / "kernels" / "entries.pxd"]
UNITS = [
    *(path for path in SOURCES.glob("*.pyx") if path.stem not in ("core", "calls")),
    SOURCES / "products" / "halves.pxi",
]
"""Sources of the units that core.pyx is linked with."""

pytestmark = pytest.mark.skipif(
    not DECLARATIONS[0].exists(), reason="looks at the compiled core's sources"
)


def signatures(text: str, kind: str) -> set[str]:
    """Signatures of the functions that are ``cdef KIND``, on one line each."""
    found = re.findall(rf"^cdef {kind} (.*?(?:nogil|noexcept|except -1)):?$", text, re.M | re.S)
    return {re.sub(r"\s+", " ", signature) for signature in found}


def test_declarations_for_calls_are_those_of_the_definitions():
    parts = [SOURCES / "core.pyx", *SOURCES.rglob("*.pxi")]
    parts = [path for path in parts if path not in UNITS]
    defined = set().union(*(signatures(path.read_text(), "public") for path in parts))
    declared = set().union(*(signatures(path.read_text(), "extern") for path in DECLARATIONS))
    assert declared == defined


def test_declarations_for_core_are_those_of_the_units_linked_with_it():
    defined = set().union(*(signatures(path.read_text(), "public") for path in UNITS))
    text = (SOURCES / "products" / "units.pxd").read_text()
    declared = re.findall(r"^    (void [^;]*? nogil)$", text, re.M)
    assert {re.sub(r"\s+", " ", signature) for signature in declared} == defined


@pytest.mark.parametrize("path", DECLARATIONS, ids=lambda path: path.name)
def test_each_declaration_stands_below_the_name_of_its_file(path):
    sections = re.split(r"^# (\S+\.p[xy][ix])$", path.read_text(), flags=re.M)
    for name, section in zip(sections[1::2], sections[2::2], strict=True):
        defined = signatures((SOURCES / name).read_text(), "public")
        assert signatures(section, "extern") == defined, name
