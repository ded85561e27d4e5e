"""Counts what a training step costs on many threads, and prints the table of engine.md.

``python docs/simulate_threads.py``: no threads run.  Rows and tasks are shared out as the engine
does it; the processor is a model of a few numbers, measured on two cores or stated as assumptions.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

THREADS = (1, 8, 16, 64)
NETWORKS = (
    ((784, 512, 512, 10), 128),
    ((784, 512, 512, 10), 1024),
    ((1024, 1024, 1024, 1024), 512),
    ((2048, 2048, 2048, 2048), 1024),
)
LANES, VECTORS, MOST_ROWS, LINE = 16, 2, 14, 64
CLOCK = 3.7e9  # of Zen 4, which starts one multiply-add of 16 lanes a cycle: 118 GFLOP/s
LATENCY = 4  # cycles from a multiply-add to the next of its chain
SHARED_CACHE = 16.0  # bytes a cycle that each core reads of weights: assumed
BARRIER = {1: 0.0, 8: 1e-6, 16: 1.5e-6, 64: 4e-6}  # 0.2 us for 2 threads; these are assumed
BARRIERS = 2
MEMORY = (20e9, 200e9)  # bytes a second of one core, measured, and of a socket, assumed
CACHE = 32e6 / 8  # bytes of shared cache for each core: 32 MB for eight
UPDATE_BYTES = 24  # a parameter: Adam reads and writes it, its mean and its mean square


def padded(width: int) -> int:
    """Row stride of `fastnn.program.padded`."""
    stride = -(-width // LANES) * LANES
    return stride + LANES if stride % 128 == 0 else stride


def share(n: int, threads: int) -> list[int]:
    """Rows of each thread."""
    return [n * (t + 1) // threads - n * t // threads for t in range(threads)]


def product_cycles(rows: int, n_in: int, n_out: int) -> float:
    """Cycles of rows times a weight: register tiles, or the weight's way from the shared cache."""
    tiles = -(-n_out // (LANES * VECTORS))
    blocks = -(-rows // MOST_ROWS) if rows else 0
    height = -(-rows // max(blocks, 1))
    multiplying = tiles * n_in * blocks * max(VECTORS * height, LATENCY)
    return max(multiplying, 4.0 * n_in * n_out / SHARED_CACHE)


def phase_one(widths: tuple[int, ...], rows: int) -> float:
    """Seconds of one thread: forward and, but for the first layer, backward."""
    cycles = 0.0
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        cycles += product_cycles(rows, n_in, n_out)
        cycles += product_cycles(rows, n_out, n_in) if i else 0.0
    return cycles / CLOCK


def tasks(widths: tuple[int, ...]) -> np.ndarray:
    """Elements of each task of phase 2: tiles of 42 by 32 of a weight, 256 of a bias."""
    sizes = []
    for n_in, n_out in pairwise(widths):
        parts = -(-n_in // 42)
        height = -(-n_in // parts // 6) * 6
        for _ in range(0, padded(n_out), 32):
            sizes += [min(height, n_in - k) * 32 for k in range(0, n_in, height)]
        sizes += [256] * -(-n_out // 256)
    return np.array(sizes)


def phase_two(widths: tuple[int, ...], rows: int, threads: int) -> float:
    """Seconds of the thread with most work, or of memory where the caches are too small.

    Threads take contiguous runs of tasks of equal cost.
    """
    ends = np.cumsum(tasks(widths))
    bounds = np.searchsorted(ends, ends[-1] * np.arange(threads + 1) / threads)
    work = np.diff(np.concatenate([[0], ends])[bounds])
    size = UPDATE_BYTES * float(ends[-1])
    moved = size / min(threads * MEMORY[0], MEMORY[1]) if size > threads * CACHE else 0.0
    return max(float(work.max()) * rows / LANES / CLOCK, moved)


def shared_lines(widths: tuple[int, ...], threads: int) -> int:
    """Lines of the cache to which two threads write in one phase: losses of rows alone.

    Rows of buffers and of parameters are whole lines, and so are tasks; each row has one loss of 8
    bytes.
    """
    assert all(4 * padded(width) % LINE == 0 for width in widths)
    return threads - 1


def main() -> None:
    """Print the table."""
    print("| network, batch | threads | rows of a thread | tasks of a thread | phase 1 | phase 2 "
          "| barriers | speed-up | lines written by two |")  # fmt: skip
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for widths, n in NETWORKS:
        whole = math.nan
        for threads in THREADS:
            first = phase_one(widths, max(share(n, threads)))
            second = phase_two(widths, n, threads)
            barriers = BARRIERS * BARRIER[threads]
            total = first + second + barriers
            whole = total if threads == 1 else whole
            name = f"{'-'.join(map(str, widths))}, {n}" if threads == 1 else ""
            cells = [name, threads, max(share(n, threads)), len(tasks(widths)) // threads]
            cells += [f"{1e6 * part:,.0f} us" for part in (first, second, barriers)]
            cells += [f"{whole / total:.1f}", shared_lines(widths, threads)]
            print("|", " | ".join(map(str, cells)), "|")


if __name__ == "__main__":
    main()
