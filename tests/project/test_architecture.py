"""The rules of docs/architecture.md: who imports whom, what an import costs, docstrings."""

from __future__ import annotations

import fnmatch
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from imports import WRITTEN, Imports, circle, upward

import fastnn
import fastnn.formats
import fastnn.functional
import fastnn.stats

ROOT = Path(__file__).parents[2]
PACKAGE = Path(importlib.util.find_spec("fastnn").origin).parent

FLOORS = (
    {"_shared", "facts", "_version"},
    {"program", "initializers", "schedules", "serialization", "solvers", "metrics"},
    {"backend"},
    {"activations", "functional", "layers", "losses", "optimizers", "stats"},
    {"graph", "training"},
    {"distributed", "inspection"},
    {"network"},
    {"ensemble", "formats", "plot", "threshold"},
    {"tabular"},
    {"cli", "estimators"},
)
"""Rooms of the package, the ground floor first.  A file imports from lower floors and its room."""

FLOORS_OF_STATS = ({"tables", "linalg"}, {"regression"}, {"diagnostics"})
"""Rooms of fastnn.stats, the ground floor first; the functions users call stand above them."""

NOT_IMPORTED = {
    "scipy", "tqdm", "safetensors", "sklearn", "matplotlib", "pandas", "onnx", "skl2onnx", "torch",
    "mpi4py",
}  # fmt: skip


# ---------------------------------------------------------------------- imports


IMPORTS = Imports(PACKAGE)
ROOMED = {name: others - {"fastnn"} for name, others in IMPORTS.links.items() if name != "fastnn"}
FLOOR_OF = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
CORE_ROOMS = ("simd", "math", "rows", "products", "kernels", "engine")
"""Rooms of the compiled core, the lowest first."""


def room_of(name):
    """`layers` for fastnn.layers._dense and for fastnn.layers."""
    return name.split(".")[1]


def stats_room_of(name):
    """`linalg` for fastnn.stats.linalg.blocks; None for files above the rooms and outside."""
    match = re.match(r"fastnn\.stats\.(\w+)\.", name)
    return match[1] if match else None


def core_room_of(name):
    """`rows` for fastnn.backend.compiled.rows.losses; None for files outside such rooms."""
    match = re.match(r"fastnn\.backend\.compiled\.(\w+)\.", name)
    return match[1] if match and match[1] in CORE_ROOMS else None


def test_every_room_has_its_floor():
    assert {room_of(name) for name in ROOMED} == set(FLOOR_OF)


@pytest.mark.parametrize("room", sorted(FLOOR_OF))
def test_files_import_from_lower_floors_and_their_own_room(room):
    own = {name: others for name, others in ROOMED.items() if room_of(name) == room}
    assert not upward(own, room_of, FLOOR_OF.get)


def test_no_files_import_each_other_in_a_circle():
    """Nor through a face, the `__init__` of a folder, where a file imports from it by name."""
    assert circle(IMPORTS.links_at_run_time) is None


FLOOR_OF_STATS = {room: i for i, rooms in enumerate(FLOORS_OF_STATS) for room in rooms}


def test_rooms_of_stats_import_from_lower_ones():
    assert {stats_room_of(name) for name in ROOMED} - {None} == set(FLOOR_OF_STATS)
    assert not upward(ROOMED, stats_room_of, FLOOR_OF_STATS.get)


def test_rooms_of_stats_do_not_import_the_files_above_them():
    above = {name for name in ROOMED if re.fullmatch(r"fastnn\.stats\.\w+", name)}
    inside = {name: others for name, others in IMPORTS.links_at_run_time.items()
              if stats_room_of(name) is not None}  # fmt: skip
    assert not {name: others & above for name, others in inside.items() if others & above}


def test_files_of_the_compiled_core_use_lower_rooms_and_their_own():
    assert not upward(ROOMED, core_room_of, CORE_ROOMS.index)
    assert not upward(IMPORTS.used_names(), core_room_of, CORE_ROOMS.index)


def test_included_files_of_the_compiled_core_use_each_other_in_no_circle():
    assert circle(IMPORTS.used_names()) is None


def test_nothing_private_stands_at_the_top():
    assert {room for room in FLOOR_OF if room.startswith("_")} == {"_shared", "_version"}


def test_architecture_page_shows_the_floors():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| \d+ \| ((?:`\w+`(?:, )?)+) \|", page, re.MULTILINE)
    assert [set(re.findall(r"\w+", floor)) for floor in table] == [*FLOORS]


def modules_loaded_by(statement):
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "tests"
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_import_brings_in_nothing_slow_or_optional():
    assert not modules_loaded_by("import fastnn, fastnn.formats, fastnn.functional") & NOT_IMPORTED


def test_prediction_brings_in_nothing_slow_or_optional():
    predict = "import fastnn as f; f.Sequential([f.Dense(2, 1)]).predict([[1.0, 2.0]])"
    assert not modules_loaded_by(predict) & NOT_IMPORTED


# ---------------------------------------------------------------------- READMEs

LINES_OF_A_README = 40
SOURCES = {".py", ".pyx", ".pxd", ".pxi", ".h", ".c"}


def sources_in(folder):
    return {file.name for file in folder.iterdir() if file.suffix in SOURCES}


def folders_with_sources():
    """Those of the package; of the project, the ones whose tree has a README at its top."""
    inside = [f for f in [PACKAGE, *PACKAGE.rglob("*")] if f.is_dir() and f.name not in WRITTEN]
    outside = [
        ROOT / name for name in ("benchmarks", "benchmarks/contenders", "tests", "docs", "tools")
    ]
    has_sources = (PACKAGE / "README.md").exists()
    return [f for f in inside if sources_in(f) and has_sources] + outside


def faults_of_readme(folder):
    """What is wrong with the README of a folder, as sentences that say what to do."""
    readme = folder / "README.md"
    if not readme.exists():
        return [f"write {readme}: one paragraph, and a line for each source file"]
    text = readme.read_text(encoding="utf-8")
    files = sources_in(folder)
    patterns = set(re.findall(r"`([\w*]+\.(?:pyx|pxd|pxi|py|h|c))`", text))
    unnamed = [f for f in files if not any(fnmatch.fnmatch(f, p) for p in patterns)]
    unknown = [p for p in patterns if not fnmatch.filter(files, p) and not (ROOT / p).exists()]
    faults = [
        f"{readme}: add a line for `{name}`" for name in sorted(unnamed) if name != "__init__.py"
    ]
    faults += [f"{readme}: remove `{name}`, there is no such file" for name in sorted(unknown)]
    if len(text.splitlines()) > LINES_OF_A_README:
        faults.append(f"{readme}: shorten it to {LINES_OF_A_README} lines")
    return faults


@pytest.mark.parametrize(
    "folder", folders_with_sources(), ids=lambda f: f"{f.parent.name}/{f.name}"
)
def test_readme_names_the_files_of_its_folder(folder):
    """Whoever adds, moves or removes a file updates the README of its folder in the same commit."""
    faults = faults_of_readme(folder)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "room", sorted(r for r in FLOOR_OF if (PACKAGE / r / "README.md").exists())
)
def test_readme_of_a_room_states_its_floor(room):
    text = (PACKAGE / room / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^Floor (\d+)\.", text, re.MULTILINE)[1] == str(FLOOR_OF[room] + 1)


def test_check_of_readmes_finds_every_fault(tmp_path):
    (tmp_path / "one.py").write_text("")
    (tmp_path / "two.pxd").write_text("")
    assert "write" in faults_of_readme(tmp_path)[0]
    (tmp_path / "README.md").write_text("`one.py` and `gone.py`")
    add, remove = faults_of_readme(tmp_path)
    assert "add a line for `two.pxd`" in add
    assert "remove `gone.py`" in remove
    (tmp_path / "README.md").write_text("`one.py`, `t*.pxd`" + "\n" * 50)
    (shorten,) = faults_of_readme(tmp_path)
    assert "shorten" in shorten


# ------------------------------------------------------------------------- text

FORBIDDEN = {
    "unfinished work": r"\b(TODO|FIXME|XXX)\b",
    "a path of somebody's machine": r"(?<![\w.$}])/(home|Users|root|work)/\w",
    "numbers that depend on the machine of the build": r"march=native|ffast-math|Ofast",
    "times without a unit": r"""datetime64\(["']NaT["']\)|timedelta64\([^(),]*\)""",
}
COMPILED_BY_USERS = {"parts.py", "formats.md", "test_c.py", "test_c_accuracy.py",
                     "test_portable.py"}  # fmt: skip
"""Files about exported C, which users compile for a processor of their own."""
SUFFIXES = {".py", ".pyx", ".pxd", ".pxi", ".h", ".c", ".md", ".toml", ".json"}


def texts():
    folders = [PACKAGE, *(ROOT / name for name in ("tests", "benchmarks", "docs", "tools"))]
    files = [*ROOT.iterdir(), *(file for folder in folders for file in folder.rglob("*"))]
    built = {"_build", "course"}
    ours = [f for f in files if f.suffix in SUFFIXES and not built & {*f.parts} and f.is_file()]
    return [
        *(f for f in ours if f != Path(__file__)),
        ROOT / ".ci" / "run",
        ROOT / "tools" / "sanitize",
    ]


def files_named_by(page):
    """Those in backquotes that are not part of a command; `kernels*.pxi` stands for several."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return set(re.findall(r"`([\w/*]+\.(?:pyx|pxd|pxi|py|h|c))`", text))


needs_sources = pytest.mark.skipif(
    not (PACKAGE / "backend" / "compiled" / "core.pyx").exists(),
    reason="looks at the compiled core's sources",
)


@needs_sources
@pytest.mark.parametrize("page", ["architecture.md", "benchmarks.md", "engine.md", "testing.md"])
def test_page_names_files_that_exist(page):
    names, files = files_named_by(page), [*texts(), Path(__file__)]
    assert names
    assert not {name for name in names if not any(file.match(name) for file in files)}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_has(what):
    found = []
    free = COMPILED_BY_USERS if what.startswith("numbers") else set()
    for file in (text for text in texts() if text.name not in free):
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
    for module in (fastnn, fastnn.formats, fastnn.functional, fastnn.stats):
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
