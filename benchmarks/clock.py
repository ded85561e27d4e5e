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
_LEAST_SAMPLES = 3


def least_time(run: Call, seconds: float, least_samples: int = _LEAST_SAMPLES) -> float:
    """Seconds of one call: the least over samples that take about `seconds`."""
    run()
    gc.disable()
    try:
        once = _sample(run, 1)
        repeats = max(1, math.ceil(_SAMPLE_SECONDS / once))
        best, samples, end = once, 0, time.perf_counter() + seconds
        while samples < least_samples or time.perf_counter() < end:
            best = min(best, _sample(run, repeats))
            samples += 1
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
