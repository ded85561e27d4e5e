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
import platform
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
    return _processor() >= _LEVELS[isa]


def _processor() -> int:
    """The level of this processor, as in `_LEVELS`; lower ones are no level."""
    processor: Any = importlib.import_module("fastnn.backend.compiled.processor")
    return max((level for level in _LEVELS.values() if processor.supports(level)), default=0)


@cache
def unusable() -> str:
    """Why compiled files of this installation cannot be used here; empty if there are none."""
    files = sorted(p for p in Path(__file__).parent.glob("*_float*/core*") if p.is_file())
    if not files:
        return ""
    python = f"{sys.implementation.cache_tag} on {platform.machine()}"
    if not built():
        return f"{files[0].name} was built for another Python or processor than {python}"
    levels = ", ".join(isa for isa in _LEVELS if runs_here(isa))
    has = f"has less: {levels}" if levels else "is older than v2, below which there is no core"
    return f"the core was built for {', '.join(built())}, and this processor {has}"


def load(isa: str, dtype: str) -> Any:
    """Import the calls of one instruction set and dtype."""
    package = f"fastnn.backend.compiled.{_build(isa, dtype)}_{dtype}"
    name = f"{package}.calls"
    if name not in sys.modules:
        with _short_spinning():
            core: Any = importlib.import_module(f"{package}.core")
            calls = _second_module(name, core.__file__)
            calls.max_threads()  # LLVM's library reads the environment at the first call
        sys.modules[name] = calls
    return sys.modules[name]


def _second_module(name: str, file: str) -> Any:
    """A module from the file of another."""
    loader = importlib.machinery.ExtensionFileLoader(name, file)
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None:
        raise ImportError(f"{file} has no module {name}")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@contextmanager
def _short_spinning() -> Iterator[None]:
    """Let OpenMP, which reads the environment when it is loaded, spin only briefly.

    By default threads spin at each barrier before they sleep, for about a millisecond in GCC's
    library and 200 in LLVM's.  Where another program has taken the core of one of them, the others
    then burn the time it waits for, and a step takes many times as long as on one thread.  A
    user's own setting stands; child processes do not see these.
    """
    brief = {"GOMP_SPINCOUNT": "2000", "KMP_BLOCKTIME": "1"}
    if "OMP_WAIT_POLICY" in os.environ:
        brief = {}
    brief = {key: value for key, value in brief.items() if key not in os.environ}
    os.environ.update(brief)
    try:
        yield
    finally:
        for key in brief:
            os.environ.pop(key, None)
