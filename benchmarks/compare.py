"""Every benchmark of the suite on both backends, without asv: is compiled faster everywhere?

    python -m benchmarks.compare

Prints the cases where it is not, or all with --all; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import TOO_LATE
from benchmarks.clock import least_time
from benchmarks.common import BACKENDS, OnBackend
from benchmarks.report import duration

_ROUNDS = 3
_ROUND_SECONDS = 0.03  # of each backend
_BIT = 1.02  # two times closer than this are the same


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.compare", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose names match")
    parser.add_argument("--all", action="store_true", help="print every case")
    options = parser.parse_args(arguments)
    if TOO_LATE:
        print(f"NumPy was loaded under {', '.join(TOO_LATE)}: its times may be others'")
    slower = total = 0
    for suite, method, parameters in cases():
        name = f"{suite.__name__}.{method}({', '.join(map(str, parameters))})"
        if not re.search(options.only, name):
            continue
        compiled, reference = (
            min(times)
            for times in zip(
                *(_round(suite, method, parameters) for _ in range(_ROUNDS)), strict=True
            )
        )
        total += 1
        is_slower = compiled * _BIT >= reference
        slower += is_slower
        if is_slower or options.all:
            times = f"{duration(compiled)}, reference {duration(reference)}"
            print(f"{reference / compiled:6.2f}  {name}: {times}", flush=True)
    print(f"{total} cases; compiled is not faster in {slower}")
    return 1 if slower else 0


def cases() -> Iterator[tuple[type[OnBackend], str, tuple[Any, ...]]]:
    """Suite, method and parameters but the backend, for everything that is timed on both."""
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        module = import_module(f"benchmarks.{path.stem}")
        for suite in vars(module).values():
            if not (isinstance(suite, type) and issubclass(suite, OnBackend)):
                continue
            for method in (name for name in dir(suite) if name.startswith("time_")):
                for parameters in product(*suite.params[1:]):
                    yield suite, method, parameters


def _round(suite: type[OnBackend], method: str, parameters: tuple[Any, ...]) -> list[float]:
    """Seconds of one call on each backend."""
    return [_time(suite, method, (name, *parameters)) for name in BACKENDS]


def _time(suite: type[OnBackend], method: str, parameters: tuple[Any, ...]) -> float:
    instance = suite()
    instance.setup(*parameters)
    try:
        call = getattr(instance, method)
        return least_time(lambda: call(*parameters), _ROUND_SECONDS)
    finally:
        instance.teardown(*parameters)


if __name__ == "__main__":
    sys.exit(main())
