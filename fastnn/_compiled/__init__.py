"""The compiled core: one source, built per instruction set and dtype.

Each build is a module ``fastnn._compiled.<isa>_<dtype>.core``.  This file knows
which ones the installation has and which the processor can run.
"""

from __future__ import annotations

import importlib
import importlib.machinery
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
        processor: Any = importlib.import_module("fastnn._compiled.processor")
    except ImportError:
        return False
    return bool(processor.supports(int(isa[1:])))


def load(isa: str, dtype: str) -> Any:
    """Import the core of one instruction set and dtype."""
    return importlib.import_module(f"fastnn._compiled.{isa}_{dtype}.core")
