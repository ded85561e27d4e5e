"""Which file of a package imports which: what the rules of the architecture are checked on.

A file is named by its dotted path, the face of a folder (its `__init__.py`) by the folder, and a
file of Cython that is no module by its path with dots: ``pkg.core.rows.losses``.
"""

from __future__ import annotations

import ast
import graphlib
import re
from pathlib import Path

CYTHON = {".pyx", ".pxd", ".pxi"}
MODULES = {".py", ".pyx", ".pxd"}
SUFFIXES = {".py", ".h", *CYTHON}
WRITTEN = {"__pycache__", "generated"}
"""Folders that Python and the build write."""


class Imports:
    """The files of a package, and what each of them imports.

    Parameters
    ----------
    package : Path
        Folder of the package.

    Attributes
    ----------
    files : dict of str to list of Path
        Files by name; a `.pyx` and its `.pxd` are one.
    links : dict of str to set of str
        Names of the files that a file imports or includes, in functions and for type checkers too.
    links_at_run_time : dict of str to set of str
        The same without what is imported for type checkers alone.
    """

    def __init__(self, package: Path) -> None:
        self.package = package
        self.files: dict[str, list[Path]] = {}
        for path in sorted(package.rglob("*")):
            if path.suffix in SUFFIXES and not WRITTEN & {*path.parts}:
                self.files.setdefault(self.name_of(path), []).append(path)
        self.links = self._all_links(for_types=True)
        self.links_at_run_time = self._all_links(for_types=False)

    def _all_links(self, for_types: bool) -> dict[str, set[str]]:
        return {
            name: {other for path in paths for other in self._links_of(path, for_types)} - {name}
            for name, paths in self.files.items()
        }

    def name_of(self, path: Path) -> str:
        """Dotted name of a file; headers and included files keep their suffix as its last part."""
        parts = [self.package.name, *path.relative_to(self.package).with_suffix("").parts]
        if path.suffix not in MODULES:
            parts.append(path.suffix[1:])
        return ".".join(part for part in parts if part != "__init__")

    def _links_of(self, path: Path, for_types: bool):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            names = python_imports(text, for_types)
        elif path.suffix == ".h":
            names = ()
        else:
            names = cython_imports(text)
        for name in names:
            while name:
                if name in self.files:
                    yield name
                    break
                name = name.rpartition(".")[0]
        if path.suffix in {".h", *CYTHON}:
            yield from self._included(path, text)

    def _included(self, path: Path, text: str):
        """Files that Cython or C includes; headers may lie in any folder of the package."""
        pattern = r'^\s*(?:#\s*)?include "([^"]+)"|\bextern from "([^"]+)"'
        for match in re.finditer(pattern, text, re.MULTILINE):
            target = Path(match[1] or match[2])
            is_header = target.suffix == ".h"
            places = [path.parent / target, *(self.package.rglob(target.name) if is_header else [])]
            names = [self.name_of(p.resolve()) for p in places if p.exists()]
            yield from [name for name in names if name in self.files][:1]

    def used_names(self) -> dict[str, dict[str, set[str]]]:
        """What a `.pxi` file uses of others: functions and types by file.

        Included files are one module for Cython, which therefore needs no import between them.
        """
        included = {name: paths[0] for name, paths in self.files.items() if name.endswith(".pxi")}
        texts = {name: code_of(path.read_text(encoding="utf-8")) for name, path in included.items()}
        owners = {item: name for name, text in texts.items() for item in defined_names(text)}
        uses: dict[str, dict[str, set[str]]] = {name: {} for name in texts}
        for name, text in texts.items():
            own = {*defined_names(text)}
            for item in {*re.findall(r"(?<![.\w])\w+", text)} & {*owners} - own:
                uses[name].setdefault(owners[item], set()).add(item)
        return uses


def circle(links) -> list[str] | None:
    """Files that import each other in a circle, the first one twice; None without circles."""
    try:
        graphlib.TopologicalSorter(links).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def upward(links, room_of, order) -> set[str]:
    """Links from a room to one that is not lower, as ``a -> b``; files without a room are free."""
    ends = [(a, b, room_of(a), room_of(b)) for a, others in links.items() for b in others]
    return {
        f"{a} -> {b}"
        for a, b, own, other in ends
        if None not in (own, other) and own != other and order(other) >= order(own)
    }


def code_of(text: str) -> str:
    """Cython code without comments and docstrings."""
    return re.sub(r'"""[\s\S]*?"""|#.*', "", text)


def defined_names(text: str):
    """Functions and types that Cython code defines at its top."""
    for match in re.finditer(
        r"^c(?:def|typedef) (?:packed )?(?:struct|enum|class|union) (\w+)"
        r"|^cdef (?!extern|class|struct|enum|packed|union)[^=\n(]*?\b(\w+)\(",
        text,
        re.MULTILINE,
    ):
        yield match[1] or match[2]


def python_imports(text: str, for_types: bool = True):
    """Dotted names that Python code imports, in functions and by `import_module` too."""
    tree = ast.parse(text)
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
        if not for_types
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import: {ast.unparse(node)}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = ast.unparse(node.func)
            if function.rpartition(".")[2] in {"import_module", "__import__"}:
                yield beginning(node.args[0])


def beginning(node: ast.expr) -> str:
    """The text with which a string starts, as far as it is known."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    if isinstance(node, ast.BinOp):
        return beginning(node.left)
    return node.value.rstrip(".") if isinstance(node, ast.Constant) else ""


def cython_imports(text: str):
    """Dotted names that Cython code imports or cimports."""
    names = r"\(([^)]*)\)|([^\n(]*)"
    for match in re.finditer(rf"^\s*from +([\w.]+) +c?import +(?:{names})", text, re.MULTILINE):
        for item in (match[2] or match[3]).split(","):
            if item.split("#")[0].split():
                yield f"{match[1]}.{item.split()[0]}"
    for match in re.finditer(r"^\s*c?import +([\w., ]+)", text, re.MULTILINE):
        yield from (item.split()[0] for item in match[1].split(",") if item.split())
