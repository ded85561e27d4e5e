"""Measure the errors of the elementwise kernels and write the tables in docs/accuracy.md.

``python docs/measure_accuracy.py`` measures every backend and instruction set that is
installed and runs here on hard and random arguments, against mpmath (minutes).  With
``--exhaustive`` it measures the compiled builds on all float32 arguments instead, against
NumPy and SciPy in float64 (an hour or two).  Each table is written between its own markers and
leaves the other alone.  Needs ``pip install -e ".[test]"``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np

from fastnn import _compiled, backend

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "accuracy.md"
sys.path.insert(0, str(ROOT / "tests"))

import accuracy  # noqa: E402
from accuracy_float32 import Worst, measure  # noqa: E402


def builds(dtype: str) -> dict[str, ModuleType]:
    """The kernels of every instruction set that is installed and runs here, by name."""
    names = [isa for isa in _compiled.built() if _compiled.runs_here(isa)]
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


def write(marker: str, lines: list[str]) -> None:
    """Replace what stands between the markers of a table."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {marker}: begin -->\n", f"<!-- {marker}: end -->"
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    table = [
        "| function | dtype | build | largest error | promised | at | mean error |",
        "|---|---|---|---|---|---|---|",
        *lines,
    ]
    PAGE.write_text(before + begin + "\n".join(table) + "\n" + end + after, encoding="utf-8")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--exhaustive", action="store_true", help="all float32 arguments")
    parser.add_argument("--random", type=int, default=20_000, help="random arguments each")
    parser.add_argument("--stride", type=int, default=1, help="with --exhaustive: one in so many")
    options = parser.parse_args()
    lines: list[str] = []
    for dtype in ("float32",) if options.exhaustive else ("float32", "float64"):
        for function in accuracy.FUNCTIONS:
            if options.exhaustive:
                found = measure(function, builds(dtype), options.stride)
            else:
                found = sample(function, dtype, options.random)
            new = list(rows(function, dtype, found))
            print(*new, sep="\n", flush=True)
            lines += new
    write("exhaustive" if options.exhaustive else "sampled", lines)


if __name__ == "__main__":
    main()
