"""How a call is timed."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from itertools import repeat

import numpy as np

Call = Callable[[], object]

_SAMPLE_SECONDS = 2e-3  # a sample repeats short work for this long


def least_time(run: Call, seconds: float) -> float:
    """Seconds of one call: the least over samples that take about `seconds`, two at least."""
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        best = min(_sample(run, 1), _sample(run, 1))  # the first fills caches
        repeats = max(1, math.ceil(_SAMPLE_SECONDS / best))
        while time.perf_counter() < end:
            best = min(best, _sample(run, repeats))
    finally:
        gc.enable()
    return best


def _sample(run: Call, repeats: int) -> float:
    clock = time.perf_counter
    start = clock()
    for _ in repeat(None, repeats):
        run()
    return (clock() - start) / repeats


def single_calls(run: Call, n: int = 20_000) -> np.ndarray:
    """Seconds of each of many calls, less those the clock itself takes."""
    clock = time.perf_counter_ns
    times = np.empty(n)
    overhead = min(-(clock() - clock()) for _ in range(1000))
    gc.disable()
    try:
        for i in range(n):
            start = clock()
            run()
            times[i] = clock() - start
    finally:
        gc.enable()
    return (times - overhead) * 1e-9
