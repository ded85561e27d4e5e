"""Functions are short and have few parameters.

A user's own signature may be longer, and the functions below have not been shortened yet.  Their
lists may only shrink: remove a function that keeps the rule now, and add none.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent
MAX_LINES = 59
MAX_PARAMETERS = 7

PUBLIC_MODULES = (
    "fastnn", "fastnn.functional", "fastnn.stats", "fastnn.estimators", "fastnn.plot",
    "fastnn.backend", "fastnn.activations", "fastnn.initializers", "fastnn.optimizers",
    "fastnn.metrics", "fastnn.tabular", "fastnn.threshold",
)  # fmt: skip

LONG_SIGNATURES = {
    "backend/protocol.py:Engine.train": 10,
    "backend/protocol.py:Kernels.cross_entropy_labels": 9,
    "backend/protocol.py:Kernels.cross_entropy_rows": 8,
    "backend/protocol.py:Kernels.dense_backward": 10,
    "backend/protocol.py:Kernels.elementwise_loss": 8,
    "backend/protocol.py:Kernels.update": 8,
    "backend/reference/engine.py:Engine.train": 10,
    "backend/reference/kernels.py:dense_backward": 10,
    "backend/reference/losses.py:cross_entropy_labels": 9,
    "backend/reference/losses.py:cross_entropy_rows": 8,
    "backend/reference/losses.py:elementwise_loss": 8,
    "backend/reference/kernels.py:update": 8,
    "functional/_updates.py:_update": 8,
}
"""Functions with more parameters, and how many; kernels have the signatures of their formulas."""

LONG_CYTHON_SIGNATURES = 46
LONGEST_CYTHON_SIGNATURE = 16


def functions(tree, prefix=""):
    """The functions of a syntax tree with their qualified names, those in functions too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.<locals>.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def lines_of(function):
    """Lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


def parameters_of(function):
    """Number of parameters without self and cls."""
    listed = function.args
    named = [*listed.posonlyargs, *listed.args, *listed.kwonlyargs]
    variadic = (listed.vararg is not None) + (listed.kwarg is not None)
    return len([a for a in named if a.arg not in ("self", "cls")]) + variadic


def places(item):
    """Where a public function, or a class with its methods, is defined, as `file:name`."""
    if inspect.isclass(item):
        for name, method in inspect.getmembers(item, callable):
            if name == "__init__" or not name.startswith("_"):
                yield from places(method)
        return
    code = getattr(inspect.unwrap(item), "__code__", None)
    if code and Path(code.co_filename).is_relative_to(PACKAGE):
        path = Path(code.co_filename).relative_to(PACKAGE)
        yield f"{path.as_posix()}:{code.co_qualname}"


def of_users():
    """The functions that users call."""
    for module in map(importlib.import_module, PUBLIC_MODULES):
        for name in getattr(module, "__all__", vars(module)):
            item = getattr(module, name)
            if not name.startswith("_") and callable(item):
                yield from places(item)


FUNCTIONS = [
    (f"{path.relative_to(PACKAGE).as_posix()}:{name}", function)
    for path in sorted(PACKAGE.rglob("*.py"))
    for name, function in functions(ast.parse(path.read_text(encoding="utf-8")))
]


def test_functions_are_short():
    too_long = {name: lines_of(f) for name, f in FUNCTIONS if lines_of(f) > MAX_LINES}
    assert not too_long, f"split these functions into parts of at most {MAX_LINES} lines"


def test_signatures_are_short():
    own = {*of_users()}
    long = {n: parameters_of(f) for n, f in FUNCTIONS if parameters_of(f) > MAX_PARAMETERS}
    new = {n: count for n, count in long.items() if count > LONG_SIGNATURES.get(n, 0)}
    wrong = {n: count for n, count in new.items() if n not in own}
    assert not wrong, f"give these functions at most {MAX_PARAMETERS} parameters"


def cython_signatures():
    """Names of the compiled core's functions and their numbers of parameters."""
    for path in sorted(PACKAGE.glob("backend/compiled/**/*.p[xy]*")):
        if path.suffix in {".pyx", ".pxd", ".pxi"} and "generated" not in path.parts:
            text = path.read_text(encoding="utf-8")
            pattern = r"^ *(?:cdef|cpdef|def) [^=\n(]*?\b(\w+)\(([^)]*)\)[^\n]*:"
            for match in re.finditer(pattern, text, re.MULTILINE):
                arguments = re.sub(r"\[[^\]]*\]", "", match[2]).split(",")
                names = [a.split()[-1] for a in arguments if a.strip()]
                yield f"{path.name}:{match[1]}", len([n for n in names if n != "self"])


def test_signatures_of_the_compiled_core_are_short():
    long = {name: n for name, n in cython_signatures() if n > MAX_PARAMETERS}
    if not long:
        pytest.skip("there are no sources of the compiled core beside an installed wheel")
    assert max(long.values()) <= LONGEST_CYTHON_SIGNATURE
    assert len(long) <= LONG_CYTHON_SIGNATURES, f"shorten some of these: {long}"


def test_counts_of_lines_and_parameters():
    text = 'def f(a, *b, c=1, **d):\n    """Text\n\n    of four lines.\n    """\n    return 1\n'
    text += "class A:\n    def g(self, x):\n        def h(): pass\n"
    counts = {n: (lines_of(f), parameters_of(f)) for n, f in functions(ast.parse(text))}
    assert counts == {"f": (2, 4), "A.g": (2, 1), "A.g.<locals>.h": (1, 0)}
