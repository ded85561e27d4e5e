"""The rules of docs/architecture.md: who imports whom, what an import costs, docstrings."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn
import fastnn.functional
import fastnn.stats

ROOT = Path(__file__).parent.parent
PACKAGE = Path(importlib.util.find_spec("fastnn").origin).parent

ROWS = [
    {"cli"},
    {
        "_drawing",
        "_layout",
        "datasets",
        "estimators",
        "plot",
        "preprocessing",
        "tables",
        "threshold",
        "ensemble",
        "metrics",
        "_members",
    },
    {"network"},
    {"stats"},
    {"inspection"},
    {"callbacks", "graph", "serialization", "training", "_progress", "_solving"},
    {"layers", "losses", "optimizers", "solvers", "schedules", "initializers"},
    {"functional"},
    {"activations"},
    {"backend"},
    {"reference", "_compiled"},
    {
        "program",
        "_checks",
        "_data",
        "_figures",
        "_gradients",
        "_interrupts",
        "_text",
        "_updates",
        "_version",
    },
]
"""Modules import from rows below their own, or from their own row without circles."""

NOT_IMPORTED = {"scipy", "tqdm", "safetensors", "sklearn", "matplotlib", "pandas"}


# ---------------------------------------------------------------------- imports


def module_of(file):
    """`layers` for fastnn/layers/_dense.py, `network` for fastnn/network.py."""
    first = file.relative_to(PACKAGE).parts[0]
    return first.partition(".")[0]


def python_imports(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def cython_imports(file):
    text = file.read_text(encoding="utf-8")
    for match in re.finditer(
        r"^(?:from|c?import) +fastnn(?:\.| +c?import +)(\w+)", text, re.MULTILINE
    ):
        yield f"fastnn.{match[1]}"


def imports():
    """For each module of the package the other modules it imports."""
    found = {}
    for suffix, names in (
        ("py", python_imports),
        ("pyx", cython_imports),
        ("pxd", cython_imports),
        ("pxi", cython_imports),
    ):
        for file in PACKAGE.rglob(f"*.{suffix}"):
            if file == PACKAGE / "__init__.py":
                continue
            others = found.setdefault(module_of(file), set())
            others |= {name.split(".")[1] for name in names(file) if name.startswith("fastnn.")}
    return {module: others - {module} for module, others in found.items()}


IMPORTS = imports()
ROW_OF = {module: i for i, row in enumerate(ROWS) for module in row}


def test_every_module_has_its_row():
    assert set(IMPORTS) <= set(ROW_OF)


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_module_imports_nothing_above_it(module):
    above = {name for name in IMPORTS[module] if ROW_OF[name] < ROW_OF[module]}
    assert not above


def test_no_imports_in_a_circle():
    graphlib.TopologicalSorter(IMPORTS).prepare()


def test_architecture_page_shows_the_rows():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| [a-z ]+ \| ((?:`\w+`(?:, )?)+) \|", page, re.MULTILINE)
    assert [set(re.findall(r"\w+", row)) for row in table] == ROWS


def modules_loaded_by(statement):
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "tests"
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_import_brings_in_nothing_slow_or_optional():
    assert not modules_loaded_by("import fastnn, fastnn.functional") & NOT_IMPORTED


def test_prediction_brings_in_nothing_slow_or_optional():
    predict = "import fastnn as f; f.Sequential([f.Dense(2, 1)]).predict([[1.0, 2.0]])"
    assert not modules_loaded_by(predict) & NOT_IMPORTED


# ------------------------------------------------------------------------- text

FORBIDDEN = {
    "unfinished work": r"\b(TODO|FIXME|XXX)\b",
    "a path of somebody's machine": r"(?<![\w.$}])/(home|Users|root|work)/\w",
    "numbers that depend on the machine of the build": r"march=native|ffast-math|Ofast",
}
SUFFIXES = {".py", ".pyx", ".pxd", ".pxi", ".h", ".c", ".md", ".toml", ".json"}


def texts():
    folders = [PACKAGE, *(ROOT / name for name in ("tests", "benchmarks", "docs"))]
    files = [*ROOT.iterdir(), *(file for folder in folders for file in folder.rglob("*"))]
    built = {"_build", "course"}
    ours = [f for f in files if f.suffix in SUFFIXES and not built & {*f.parts} and f.is_file()]
    return [*(f for f in ours if f != Path(__file__)), ROOT / ".ci" / "run"]


def files_named_by(page):
    """Those in backquotes that are not part of a command; `kernels*.pxi` stands for several."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return set(re.findall(r"`([\w/*]+\.(?:pyx|pxd|pxi|py|h|c))`", text))


needs_sources = pytest.mark.skipif(
    not (PACKAGE / "_compiled" / "core.pyx").exists(), reason="looks at the compiled core's sources"
)


@needs_sources
@pytest.mark.parametrize("page", ["architecture.md", "benchmarks.md", "engine.md", "testing.md"])
def test_page_names_files_that_exist(page):
    names, files = files_named_by(page), [*texts(), Path(__file__)]
    assert names
    assert not {name for name in names if not any(file.match(name) for file in files)}


@needs_sources
def test_architecture_page_names_every_file_of_the_core():
    names = files_named_by("architecture.md")
    files = [f for f in (PACKAGE / "_compiled").iterdir() if f.suffix in SUFFIXES - {".py"}]
    assert not {f.name for f in files if not any(f.match(name) for name in names)}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_has(what):
    found = []
    for file in texts():
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(FORBIDDEN[what], line):
                found.append(f"{file.name}:{number}: {line.strip()}")
    assert not found


def test_lines_that_no_linter_reads_are_at_most_100_characters():
    files = [f for f in texts() if f.suffix in {".pyx", ".pxd", ".pxi", ".c"}]
    found = [
        f"{file.name}:{number}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 100
    ]
    assert not found


def test_package_reads_no_format_that_runs_code():
    pattern = r"\bimport (pickle|dill|joblib|marshal|shelve)\b|allow_pickle=True|\b(eval|exec)\("
    found = [
        file.name
        for file in PACKAGE.rglob("*.py")
        if re.search(pattern, file.read_text(encoding="utf-8"))
    ]
    assert not found


# ------------------------------------------------------------------- docstrings


def public():
    """Public functions, classes and methods by dotted name, with the arguments to describe."""
    for module in (fastnn, fastnn.functional, fastnn.stats):
        for name in module.__all__:
            item = getattr(module, name)
            if inspect.isclass(item):
                own = "__init__" in vars(item) and not issubclass(item, BaseException)
                yield name, item, arguments(item) if own else []
                yield from methods(name, item)
            elif callable(item):
                yield name, item, arguments(item)


def methods(owner, cls):
    """Those a base class does not describe; one argument may be described by the first line."""
    for name, item in vars(cls).items():
        if not name.startswith("_") and callable(item):
            names = arguments(item)[1:]
            inherited = any(hasattr(base, name) for base in cls.__bases__)
            yield f"{owner}.{name}", item, [] if inherited or len(names) == 1 else names


def arguments(item):
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(item).parameters.values()
    return [p.name for p in parameters if p.kind not in kinds]


def documented(docstring):
    """Names in the Parameters section of a numpydoc docstring, or a result's Attributes."""
    pattern = r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=^[A-Z][\w ]+\n-+\n|\Z)"
    section = re.search(pattern, docstring, re.M | re.S)
    heads = re.findall(r"^(\w[\w, ]*?)(?: :.*)?$", section[1], re.MULTILINE) if section else []
    return {name.strip() for head in heads for name in head.split(",")}


PUBLIC = {name: (item, names) for name, item, names in public()}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_a_docstring(name):
    assert inspect.getdoc(PUBLIC[name][0])


@pytest.mark.parametrize("name", [name for name, (_, names) in PUBLIC.items() if names])
def test_docstring_describes_every_parameter(name):
    item, names = PUBLIC[name]
    assert documented(inspect.getdoc(item)) == set(names)


def test_api_page_has_every_public_name():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    on_page = set(re.findall(r"^\.\. auto\w+:: (?:fastnn\.)?(\w+)$", page, re.MULTILINE))
    assert {name for name in fastnn.__all__ if not name.startswith("_")} <= on_page
