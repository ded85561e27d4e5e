"""What the machine can do at most: multiply-adds of a core, and bytes copied in memory."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_COPIED = 1 << 27  # bytes of each thread's array: beyond every cache
_VECTOR_BYTES = {"v4b": 64, "v4": 64, "v3": 32}


@dataclass(frozen=True)
class Peaks:
    """Of all threads together; 0 for what could not be measured.

    Attributes
    ----------
    flops : float
        Floating-point operations per second.
    bandwidth : float
        Bytes per second, read and written.
    bfloat16, int8 : float
        Operations per second of the instructions that multiply pairs and fours.
    """

    flops: float
    bandwidth: float
    bfloat16: float = 0.0
    int8: float = 0.0


def measure(threads: int, dtype: str, isa: str) -> Peaks:
    """The peaks of this many threads, for vectors of this instruction set."""
    peaks = [threads * _core_flops(dtype, isa)]
    for words in ("PAIRS", "QUADS") if isa == "v4b" and dtype == "float32" else ():
        peaks.append(
            threads * _core_flops(dtype, isa, f"-D{words}", "-mavx512bf16", "-mavx512vnni")
        )
    return Peaks(peaks[0], _bandwidth(threads), *peaks[1:])


def _core_flops(dtype: str, isa: str, *options: str) -> float:
    """Operations per second of one core in a loop of multiply-adds, compiled here."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or isa not in _VECTOR_BYTES or platform.system() == "Windows":
        return 0.0
    real = {"float32": "float", "float64": "double"}[dtype]
    source = Path(__file__).with_name("fma_peak.c")
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder, "fma_peak"))
        command = [compiler, "-O3", f"-march=x86-64-{isa[:2]}", "-mprefer-vector-width=512"]
        command += [f"-DREAL={real}", f"-DBYTES={_VECTOR_BYTES[isa]}", str(source), "-o", program]
        command += options
        if subprocess.run(command, capture_output=True).returncode:
            return 0.0
        return float(subprocess.run([program], capture_output=True, check=True).stdout)


def _bandwidth(threads: int) -> float:
    """Bytes per second read and written while each thread copies an array of its own."""
    pairs = [(np.ones(_COPIED, np.uint8), np.zeros(_COPIED, np.uint8)) for _ in range(threads)]
    best = np.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(7):
            start = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            best = min(best, time.perf_counter() - start)
    return 2 * _COPIED * threads / best
