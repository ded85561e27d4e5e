"""The compiled core: one source, built per instruction set and dtype.

Each build is a file ``<isa>_<dtype>/core`` with two modules: ``core``, which computes and which
nobody calls from Python, and ``calls``, with the engines and functions of the dtype.  This file
knows which builds the installation has and which the processor can run.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

INSTRUCTION_SETS = ("v4", "v3", "v2", "baseline")
"""Best first; ``v2`` to ``v4`` are the x86-64 levels of the System V ABI."""


@cache
def built() -> tuple[str, ...]:
    """Instruction sets this installation was compiled for, best first."""
    folder = Path(__file__).parent
    suffixes = importlib.machinery.EXTENSION_SUFFIXES

    def has(isa: str, dtype: str) -> bool:
        return any((folder / f"{isa}_{dtype}" / f"core{suffix}").exists() for suffix in suffixes)

    return tuple(
        isa for isa in INSTRUCTION_SETS if all(has(isa, t) for t in ("float32", "float64"))
    )


@cache
def runs_here(isa: str) -> bool:
    """Whether this processor (and its operating system) can run `isa`."""
    if isa == "baseline":
        return True
    try:
        processor: Any = importlib.import_module("fastnn.backend.compiled.processor")
    except ImportError:
        return False
    return bool(processor.supports(int(isa[1:])))


def load(isa: str, dtype: str) -> Any:
    """Import the calls of one instruction set and dtype."""
    package = f"fastnn.backend.compiled.{isa}_{dtype}"
    name = f"{package}.calls"
    if name not in sys.modules:
        with _short_spinning():
            core: Any = importlib.import_module(f"{package}.core")
        _second_module(name, core.__file__)
    return sys.modules[name]


def _second_module(name: str, file: str) -> None:
    """Import a module from the file of another."""
    loader = importlib.machinery.ExtensionFileLoader(name, file)
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None:
        raise ImportError(f"{file} has no module {name}")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[name] = module


@contextmanager
def _short_spinning() -> Iterator[None]:
    """Let GCC's OpenMP, which reads the environment when it is loaded, spin only briefly.

    By default its threads spin for about a millisecond at each barrier before they sleep.
    Where another program has taken the core of one of them, the others then burn the
    time it waits for, and a step takes many times as long as on one thread.  A user's own
    setting stands; child processes do not see this one.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = "2000"
    try:
        yield
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)
