#!/usr/bin/env python
"""List the public names of fastnn with their signatures, or write them to the file of the freeze.

    tools/public_api.py           print the names
    tools/public_api.py --write   write tests/project/public_api.txt

Public are the names of the modules that `docs/api.md` shows, and the options of the command.
A line has the names, kinds and defaults of parameters, and no types: a type that admits more than
before breaks no caller.  Members that a class inherits from another library are that library's.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests" / "project" / "public_api.txt"
PAGE = ROOT / "docs" / "api.md"


def modules() -> list[str]:
    """Names of the modules on the page of the API, `fastnn` first."""
    directives = r"^\.\. (?:currentmodule|automodule):: ([\w.]+)$"
    return sorted(set(re.findall(directives, PAGE.read_text(encoding="utf-8"), re.MULTILINE)))


def names_of(module: types.ModuleType) -> list[str]:
    """What `__all__` names; where there is none, what the module itself defines."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    )


def value_text(value: object) -> str:
    """A default as Python writes it; the name alone of what has no literal."""
    if isinstance(value, type) or callable(value):
        return str(getattr(value, "__qualname__", type(value).__qualname__))
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text


def signature_text(item: Any) -> str:
    """Parameters with their kinds and defaults; empty where Python knows none."""
    try:
        signature = inspect.signature(item)
    except (TypeError, ValueError):
        return ""
    plain, empty = [], inspect.Parameter.empty
    for parameter in signature.parameters.values():
        plain.append(parameter.replace(annotation=empty, default=empty))
    parts = str(signature.replace(parameters=plain, return_annotation=empty))[1:-1].split(", ")
    for parameter in signature.parameters.values():
        if parameter.default is not empty:
            parts[parts.index(parameter.name)] += f"={value_text(parameter.default)}"
    return f"({', '.join(parts)})" if signature.parameters else "()"


def members_of(cls: type, homes: dict[type, str]) -> list[str]:
    """Public members that the class or a base without a home of its own defines.

    The methods for metadata that scikit-learn adds to estimators depend on its version.
    """
    names = set()
    for owner in cls.__mro__:
        if owner.__module__.partition(".")[0] == "fastnn" and (owner is cls or owner not in homes):
            names |= {name for name in vars(owner) if not name.startswith("_")}
    return sorted(name for name in names if not re.fullmatch(r"set_\w+_request", name))


def class_lines(name: str, cls: type, homes: dict[type, str]) -> Iterator[str]:
    """A class with its bases that are public too, and its members."""
    errors = [base.__name__ for base in cls.__bases__ if issubclass(base, BaseException)]
    bases = [homes[base] for base in cls.__mro__[1:] if base in homes] or errors
    yield name + signature_text(cls) * (not errors) + (f" is {', '.join(bases)}" if bases else "")
    for member in members_of(cls, homes):
        value = getattr(cls, member)
        yield f"{name}.{member}{signature_text(value) if inspect.isroutine(value) else ''}"


def lines_of(dotted: str, item: object, homes: dict[type, str]) -> Iterator[str]:
    """What a public name stands for, in one line; in several for a class."""
    if isinstance(item, types.ModuleType):
        yield f"{dotted}: module"
    elif isinstance(item, type):
        if homes[item] == dotted:
            yield from class_lines(dotted, item, homes)
        else:
            yield f"{dotted} = {homes[item]}"
    elif callable(item):
        yield dotted + signature_text(item)
    else:
        yield f"{dotted}: {type(item).__name__}"


def command_lines() -> Iterator[str]:
    """The commands of the command line with their arguments and options."""
    parser_of_all = importlib.import_module("fastnn.cli").parser_of_all
    (commands,) = (
        action
        for action in parser_of_all()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for name, parser in sorted(commands.choices.items()):
        arguments = [a for a in parser._actions if a.help != argparse.SUPPRESS]
        yield f"$ fastnn {name}"
        for text in sorted(", ".join(a.option_strings) or a.dest for a in arguments):
            yield f"$ fastnn {name} {text}"


def listing() -> str:
    """All lines, for the file and for the test that compares."""
    items = {
        f"{name}.{public}": getattr(importlib.import_module(name), public)
        for name in modules()
        for public in names_of(importlib.import_module(name))
        if not public.startswith("_")
    }
    homes: dict[type, str] = {}
    for dotted, item in items.items():
        if isinstance(item, type):
            homes.setdefault(item, dotted)
    lines = [line for dotted, item in items.items() for line in lines_of(dotted, item, homes)]
    return "\n".join([*lines, *command_lines()]) + "\n"


def main() -> None:
    """Print the listing or write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write {LIST.relative_to(ROOT)}")
    if parser.parse_args().write:
        LIST.write_text(listing(), encoding="utf-8")
    else:
        sys.stdout.write(listing())


if __name__ == "__main__":
    main()
