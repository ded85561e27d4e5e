"""``fastnn bench``: how long the same work takes on each backend here."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from fastnn import backend
from fastnn.cli._text import aligned, duration, note
from fastnn.layers import Dense, Layer
from fastnn.network import Sequential

_SECONDS = 1.0  # for each measurement
_QUICK_SECONDS = 0.05
_BUSY = 0.3  # load of each processor that disturbs a measurement
_SETTLING_SECONDS = 0.2  # idle threads of what ran before go to sleep
_SAMPLE_SECONDS = 2e-3  # a sample repeats short work for this long

_ELEMENTS = (1_000, 1_000_000)
_DENSE = ((32, 64), (256, 512))
_NETWORKS = (((4, 64, 64, 2), 32), ((64, 256, 128, 10), 64), ((784, 512, 512, 10), 256))
_PREDICTED = (1, 10_000)


@dataclass(frozen=True)
class Case:
    """Some work: `prepare`, called outside the clock, gives the function to time."""

    name: str
    prepare: Callable[[], Callable[[], object]]


def run(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn bench``."""
    names = backend.available()
    _warn_of_load()
    seconds = _QUICK_SECONDS if arguments.quick else _SECONDS
    work = list(cases(np.dtype(arguments.dtype)))
    # One backend after the other: the idle threads of two thread pools, OpenMP's and that
    # of NumPy's BLAS, would take the processor from each other.
    times = [_times(work, name, seconds) for name in names]
    rows = [["", *names] + ["ratio"] * (len(names) > 1)]
    for case, *of_case in zip(work, *times, strict=True):
        ratio = [f"{of_case[1] / of_case[0]:.3g}"] if len(names) > 1 else []
        rows.append([case.name, *map(duration, of_case), *ratio])
    print(aligned(rows))
    print(f"\n{arguments.dtype}, time of one call, the least of many; {_setting()}")
    if "compiled" not in names:
        note("the compiled backend is not installed here: only the reference was timed")
    return 0


def _warn_of_load() -> None:
    """Threads that wait for one another stand still while another program has a processor."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > _BUSY * (os.cpu_count() or 1):
        note(f"other programs are at work here (load {load:.1f}): these times will be too long")


def _times(work: Sequence[Case], name: str, seconds: float) -> list[float]:
    """Seconds of one call of each case on a backend."""
    time.sleep(_SETTLING_SECONDS)
    times = []
    for i, case in enumerate(work, start=1):
        if sys.stderr.isatty():
            print(f"\r{name}: {i} of {len(work)} ", end="\r", file=sys.stderr, flush=True)
        times.append(measure(case, name, seconds))
    return times


def _setting() -> str:
    if "compiled" not in backend.available():
        return "reference: NumPy"
    with backend.use("compiled"):
        isa, threads = backend.instruction_set(), backend.get_num_threads()
    return f"compiled: {isa}, up to {threads} thread{'s' * (threads != 1)}; reference: NumPy"


def measure(case: Case, name: str, seconds: float) -> float:
    """Seconds of one call on a backend: the least over samples that take about `seconds`."""
    with backend.use(name):
        work = case.prepare()
        work()
        start = time.perf_counter()
        work()
        once = max(time.perf_counter() - start, 1e-9)
        repeats = max(1, round(_SAMPLE_SECONDS / once))
        best, end = once, start + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            for _ in range(repeats):
                work()
            best = min(best, (time.perf_counter() - start) / repeats)
    return best


def cases(dtype: np.dtype) -> Iterator[Case]:
    """The work to time: kernels, training steps and predictions of several sizes."""
    for function in ("tanh", "gelu"):
        for n in _ELEMENTS:
            yield Case(f"{function}, {n:,} elements", partial(_elementwise, function, n, dtype))
    yield Case("softmax, 10,000 x 10", partial(_softmax, 10_000, 10, dtype))
    for n, width in _DENSE:
        yield Case(f"dense and relu, {n} x {width} -> {width}", partial(_dense, n, width, dtype))
    for widths, batch in _NETWORKS:
        name = f"training step, {_shape(widths)}, batch of {batch}"
        yield Case(name, partial(_training_step, widths, batch, dtype))
    widths = _NETWORKS[1][0]
    for n in _PREDICTED:
        name = f"predict, {_shape(widths)}, {n:,} row{'s' * (n != 1)}"
        yield Case(name, partial(_predict, widths, n, dtype))


def _shape(widths: tuple[int, ...]) -> str:
    return "-".join(map(str, widths))


def _random(shape: int | tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def _elementwise(function: str, n: int, dtype: np.dtype) -> Callable[[], object]:
    kernel, z = backend.kernels(dtype).activation, _random(n, dtype)
    out = np.empty_like(z)
    return lambda: kernel(function, z, 1.0, out)


def _softmax(n: int, k: int, dtype: np.dtype) -> Callable[[], object]:
    kernel, z = backend.kernels(dtype).softmax, _random((n, k), dtype)
    out = np.empty_like(z)
    return lambda: kernel(z, out)


def _dense(n: int, width: int, dtype: np.dtype) -> Callable[[], object]:
    kernel = backend.kernels(dtype).dense_forward
    x, weight = _random((n, width), dtype), _random((width, width), dtype)
    bias, out = _random(width, dtype), np.empty((n, width), dtype)
    return lambda: kernel(x, weight, bias, "relu", 1.0, None, out)


def _network(widths: tuple[int, ...], dtype: np.dtype) -> Sequential:
    *hidden, (last, n_out) = pairwise(widths)
    layers: list[Layer] = [Dense(n_in, n, "relu") for n_in, n in hidden]
    network = Sequential([*layers, Dense(last, n_out)], dtype=dtype)
    network.compile("cross_entropy", "adam")
    return network


def _training_step(widths: tuple[int, ...], batch: int, dtype: np.dtype) -> Callable[[], object]:
    network, X = _network(widths, dtype), _random((batch, widths[0]), dtype)
    y = np.random.default_rng(1).integers(widths[-1], size=batch)
    return lambda: network.train_step(X, y)


def _predict(widths: tuple[int, ...], n: int, dtype: np.dtype) -> Callable[[], object]:
    network, X = _network(widths, dtype), _random((n, widths[0]), dtype)
    return lambda: network.predict(X)
