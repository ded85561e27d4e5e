"""The checks of imports find what they look for: on invented packages."""

from __future__ import annotations

import pytest
from imports import Imports, circle, upward


@pytest.fixture
def package(tmp_path):
    """Writes the files of an invented package `pkg` and returns its imports."""

    def write(texts):
        for name, text in texts.items():
            file = tmp_path / "pkg" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return Imports(tmp_path / "pkg")

    return write


BACK = "from pkg import a"
CIRCLES = {
    "at the top": {"a.py": "import pkg.b", "b.py": BACK},
    "in a function": {"a.py": "def f():\n    from pkg.b import g", "b.py": BACK},
    "through a face": {"r/__init__.py": "from pkg.r.a import f", "r/a.py": "from pkg.r import g"},
    "through the face of the package": {"__init__.py": BACK, "a.py": "from pkg import Name"},
    "by import_module": {
        "a.py": "import importlib\nimportlib.import_module('pkg.b')",
        "b.py": BACK,
    },
    "by a composed name": {
        "a.py": "from importlib import import_module\nimport_module(f'pkg.b.{x}')",
        "b/__init__.py": BACK,
    },
    "of cimports": {
        "a.pxd": "from pkg.b cimport (\n    f, g\n)",
        "b.pxd": "from pkg cimport c",
        "c.pxd": "cimport pkg.a",
    },
    "of includes": {"a.pyx": 'include "r/b.pxi"', "r/b.pxi": "from pkg.a cimport f"},
    "of headers": {"a.h": '#include "b.h"', "r/b.h": '# include "a.h"'},
}


@pytest.mark.parametrize("how", CIRCLES)
def test_a_circle_is_found(package, how):
    assert circle(package(CIRCLES[how]).links_at_run_time)


def test_a_chain_is_no_circle(package):
    texts = {"a.py": "from pkg.r import g", "r/__init__.py": "from pkg.r.b import g", "r/b.py": ""}
    assert circle(package(texts).links_at_run_time) is None


def test_imports_for_type_checkers_are_links_but_close_no_circle(package):
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pkg.b import B"
    imports = package({"a.py": guarded, "b.py": BACK})
    assert circle(imports.links_at_run_time) is None
    assert imports.links["pkg.a"] == {"pkg.b"}


def test_a_header_is_found_in_any_folder(package):
    imports = package({"a.pxd": 'cdef extern from "b.h" nogil:\n    pass', "simd/b.h": ""})
    assert imports.links["pkg.a"] == {"pkg.simd.b.h"}


def test_a_link_to_a_higher_room_is_found(package):
    imports = package(
        {"low/a.py": "import pkg.high.b", "high/b.py": "import pkg.low.c", "low/c.py": ""}
    )
    order = ("low", "high").index
    found = upward(imports.links, lambda name: name.split(".")[1], order)
    assert found == {"pkg.low.a -> pkg.high.b"}


def test_names_that_an_included_file_uses_are_found(package):
    imports = package(
        {
            "low/a.pxi": "cdef int f() noexcept nogil:\n    return g()",
            "high/b.pxi": "cdef inline int g() noexcept nogil:\n    return 1  # not f",
        }
    )
    assert imports.used_names() == {
        "pkg.low.a.pxi": {"pkg.high.b.pxi": {"g"}},
        "pkg.high.b.pxi": {},
    }
