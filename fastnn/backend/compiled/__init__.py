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

INSTRUCTION_SETS = ("v4b", "v4", "v3", "v2", "baseline")
"""Best first; ``v2`` to ``v4`` are the x86-64 levels of the System V ABI, ``v4b`` is ``v4`` with
AVX512_BF16 and AVX512_VNNI."""

_LEVELS = {"v2": 2, "v3": 3, "v4": 4, "v4b": 5}


@cache
def built() -> tuple[str, ...]:
    """Instruction sets this installation was compiled for, best first."""
    folder = Path(__file__).parent
    suffixes = importlib.machinery.EXTENSION_SUFFIXES

    def has(isa: str, dtype: str) -> bool:
        return any((folder / f"{isa}_{dtype}" / f"core{suffix}").exists() for suffix in suffixes)

    return tuple(
        isa
        for isa in INSTRUCTION_SETS
        if all(has(_build(isa, dtype), dtype) for dtype in ("float32", "float64"))
    )


def _build(isa: str, dtype: str) -> str:
    """The instruction set whose build of a dtype is used: ``v4b`` is a build of float32 alone."""
    return "v4" if isa == "v4b" and dtype == "float64" else isa


@cache
def runs_here(isa: str) -> bool:
    """Whether this processor (and its operating system) can run `isa`."""
    if isa == "baseline":
        return True
    try:
        processor: Any = importlib.import_module("fastnn.backend.compiled.processor")
    except ImportError:
        return False
    return bool(processor.supports(_LEVELS[isa]))


def load(isa: str, dtype: str) -> Any:
    """Import the calls of one instruction set and dtype."""
    package = f"fastnn.backend.compiled.{_build(isa, dtype)}_{dtype}"
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
