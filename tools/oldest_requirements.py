#!/usr/bin/env python
"""Print the oldest versions that pyproject.toml admits, as constraints for pip.

tools/oldest_requirements.py test > oldest.txt && pip install -c oldest.txt ".[test]"

The words are extras; the requirements of fastnn itself are always there.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def requirements(project: dict, extra: str | None) -> Iterator[str]:
    """Those of the project or of an extra, with those of the extras that it names."""
    texts = project["optional-dependencies"][extra] if extra else project["dependencies"]
    for text in texts:
        own = re.fullmatch(rf"{project['name']}\[(.*)\]", text)
        if own:
            for name in own[1].split(","):
                yield from requirements(project, name)
        else:
            yield text


def constraints(project: dict, extras: list[str]) -> list[str]:
    """One line for each package: of several bounds the highest."""
    oldest: dict[str, tuple[int, ...]] = {}
    for extra in (None, *extras):
        for text in requirements(project, extra):
            name, version = re.fullmatch(r"([\w.-]+)>=([\d.]+)", text).groups()
            bound = tuple(map(int, version.split(".")))
            oldest[name] = max(bound, oldest.get(name, ()))
    return [f"{name}=={'.'.join(map(str, bound))}" for name, bound in sorted(oldest.items())]


def main() -> None:
    """Print the constraints of the extras on the command line."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    print("\n".join(constraints(tomllib.loads(text)["project"], sys.argv[1:])))


if __name__ == "__main__":
    main()
