"""Compilers of C, and exported files as functions of NumPy arrays."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastnn.formats._program import Portable
from fastnn.formats.c.network import File, add_network
from fastnn.formats.c.parts import assemble
from fastnn.formats.c.text import Names

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
COMPILERS = [compiler for compiler in ("gcc", "clang") if shutil.which(compiler)]
FIRST = COMPILERS[0] if COMPILERS else ""
CTYPES = {"float32": "float", "float64": "double"}


def compiled(source: Path, *options: str, compiler: str = FIRST, standard: bool = True) -> Path:
    """Compile a file, with errors for warnings; returns the program, or the library."""
    target = source.with_suffix(f".{compiler}.out")
    command = [compiler, *STRICT[not standard :], *options, str(source), "-o", str(target), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:5000]
    return target


def run(program: Path, *before: str) -> str:
    """What a program prints; it must end with 0."""
    done = subprocess.run([*before, program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[:5000]
    return done.stdout


def portable(program, storage) -> Portable:
    """What formats write of a program."""
    values = {p.name: np.ascontiguousarray(p.view(storage)) for p in program.parameters}
    names = tuple(
        tuple(program.buffers[i].name for i in ends) for ends in (program.inputs, program.outputs)
    )
    return Portable(program, values, *names)


class Library:
    """Many programs of one dtype in one file, which is compiled once.

    Parameters
    ----------
    folder : Path
    programs : mapping of str to Program
    storages : mapping of str to array
        The parameters of each program.
    *options : str
        Of the compiler.
    """

    def __init__(self, folder: Path, programs, storages, *options: str) -> None:
        self.programs = programs
        (ctype,) = {CTYPES[str(program.dtype)] for program in programs.values()}
        file = File(Names("many"), ctype)
        for name, program in programs.items():
            add_network(file, portable(program, storages[name]), f"run_{name}", is_static=False)
        self.source = folder / f"{ctype}.c"
        self.source.write_text(assemble(file, "programs", [], [], []), encoding="ascii")
        self._functions = ctypes.CDLL(str(compiled(self.source, "-shared", "-fPIC", *options)))

    def outputs(self, name: str, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The outputs (N, n_out) of a program, side by side, in its dtype."""
        program = self.programs[name]
        rows = np.ascontiguousarray(np.concatenate(inputs, axis=1), program.dtype)
        width = sum(program.buffers[i].width for i in program.outputs)
        out = np.full((len(rows), width), np.nan, program.dtype)
        for x, y in zip(rows, out, strict=True):
            getattr(self._functions, f"run_{name}")(
                *(ctypes.c_void_p(a.ctypes.data) for a in (x, y))
            )
        return out
