"""Measure the errors of the elementwise kernels and write the tables in docs/accuracy.md.

``python docs/measure_accuracy.py`` measures every backend and instruction set that is
installed and runs here on hard and random arguments, against mpmath (minutes).  With
``--exhaustive`` it measures the compiled builds on all float32 arguments instead, against
NumPy and SciPy in float64 (two minutes a function).  The rows of each function are written as soon
as they are measured, between the markers of their table; other rows and the other table stay.
Needs ``pip install -e ".[test]"``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np

from fastnn import backend
from fastnn.backend import compiled

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "accuracy.md"
sys.path.insert(0, str(ROOT / "tests"))

import accuracy  # noqa: E402
from accuracy_float32 import Worst, measure  # noqa: E402


def builds(dtype: str) -> dict[str, ModuleType]:
    """The kernels of every instruction set that is installed and runs here, by name."""
    names = [isa for isa in compiled.built() if compiled.runs_here(isa)]
    return {isa: backend.load(isa, dtype) for isa in names}


def sample(function: str, dtype: str, n: int) -> dict[str, Worst]:
    """Errors of all builds on hard and n random arguments."""
    z = np.concatenate(
        [
            accuracy.hard_arguments(function, dtype),
            accuracy.random_arguments(function, dtype, n, seed=1),
        ]
    )
    expected = [accuracy.exact_value(function, x) for x in z.tolist()]
    found = {}
    modules = builds(dtype) | {"reference": backend.load(None, dtype)}
    for name, kernels in modules.items():
        low = accuracy.promised(function, name, dtype)
        results = accuracy.evaluate(kernels, function, z)
        error = accuracy.errors(function, z, results, expected)
        found[name] = Worst()
        found[name].update(z[z >= low], error[z >= low])
    return found


def rows(function: str, dtype: str, found: dict[str, Worst]) -> Iterable[str]:
    """Lines of a table; builds with the same errors share one."""
    groups: dict[tuple[float, float], list[str]] = {}
    for name, worst in found.items():
        groups.setdefault((worst.largest, worst.argument), []).append(name)
    for (largest, argument), names in groups.items():
        worst = found[names[0]]
        low = accuracy.promised(function, names[0], dtype)
        label = f"`{function}`" + (f", z >= {low:g}" if np.isfinite(low) else "")
        limit = accuracy.bound(function, names[0], dtype)
        yield (
            f"| {label} | {dtype} | {', '.join(names)} | {largest:.3f} | {limit:g} "
            f"| {argument!r} | {worst.mean:.3f} |"
        )


def write(marker: str, key: tuple[str, str], new: list[str]) -> None:
    """Put the rows of a dtype and function in the place of those that a table has."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {marker}: begin -->\n", f"<!-- {marker}: end -->"
    before, rest = text.split(begin)
    old, after = rest.split(end)
    heading, line, *lines = old.splitlines()
    found: dict[tuple[str, str], list[str]] = {}
    for row in lines:
        label, dtype = row.split("|")[1:3]
        found.setdefault((dtype.strip(), label.split("`")[1]), []).append(row)
    found[key] = new
    order = [(dtype, name) for dtype in ("float32", "float64") for name in accuracy.FUNCTIONS]
    table = [heading, line, *(row for key in order for row in found.get(key, []))]
    PAGE.write_text(before + begin + "\n".join(table) + "\n" + end + after, encoding="utf-8")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--exhaustive", action="store_true", help="all float32 arguments")
    parser.add_argument("--random", type=int, default=20_000, help="random arguments each")
    parser.add_argument("--stride", type=int, default=1, help="with --exhaustive: one in so many")
    parser.add_argument(
        "--only", nargs="+", choices=accuracy.FUNCTIONS, default=accuracy.FUNCTIONS, metavar="NAME"
    )
    options = parser.parse_args()
    for dtype in ("float32",) if options.exhaustive else ("float32", "float64"):
        for function in options.only:
            if options.exhaustive:
                found = measure(function, builds(dtype), options.stride)
            else:
                found = sample(function, dtype, options.random)
            lines = list(rows(function, dtype, found))
            print(*lines, sep="\n", flush=True)
            write("exhaustive" if options.exhaustive else "sampled", (dtype, function), lines)


if __name__ == "__main__":
    main()
