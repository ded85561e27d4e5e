"""``fastnn bench``: the time of the same work on each backend."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import import_module, util
from itertools import pairwise

import numpy as np

from fastnn import backend
from fastnn._shared.text import aligned
from fastnn.cli._text import duration, note, ratio
from fastnn.layers import Dense, Layer
from fastnn.network import Sequential

_ROUNDS = 3  # number of measurements of each case, which are not consecutive
_SECONDS = 0.7  # duration of one measurement
_QUICK_SECONDS = 0.07  # the same for --quick
_BUSY = 0.3  # load for each processor above which other programs disturb a measurement
_SETTLING_SECONDS = 0.2  # time after which the idle threads of earlier work sleep
_SAMPLE_SECONDS = 2e-3  # duration of a sample; short work is repeated
_LEAST_SAMPLES = 5  # smallest number of samples of long work

_KERNEL_CHOICES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_DEBUG_CPU_TYPE",
                   "MKL_ENABLE_INSTRUCTIONS", "NVPL_BLAS_DEBUG_CPU_TYPE", "BLIS_ARCH_TYPE",
                   "NPY_DISABLE_CPU_FEATURES")  # fmt: skip

_ELEMENTS = (1_000, 1_000_000)
_DENSE = ((32, 64), (256, 512))
_NETWORKS = (((4, 64, 64, 2), 32), ((64, 256, 128, 10), 64), ((784, 512, 512, 10), 256))
_PREDICTED = (1, 10_000)


@dataclass(frozen=True)
class Case:
    """A case to time: `prepare`, which is not timed, returns the function to time."""

    name: str
    prepare: Callable[[], Callable[[], object]]


def run(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn bench``."""
    names = backend.available()
    warning = _load_warning()
    pinned = _pinned_warning()
    for text in filter(None, (warning, pinned)):
        note(text)
    seconds = _QUICK_SECONDS if arguments.quick else _SECONDS
    work = list(cases(np.dtype(arguments.dtype)))
    threads = _threads()
    with _same_threads(threads):
        times = _least_times(work, names, seconds)
    rows = [["", *names] + ["ratio"] * (len(names) > 1)]
    for case, of_case in zip(work, times, strict=True):
        ratios = [ratio(of_case[1] / of_case[0])] if len(names) > 1 else []
        rows.append([case.name, *map(duration, of_case), *ratios])
    print("\n".join(aligned(rows, right=range(1, len(rows[0])))))
    print(f"\n{arguments.dtype}, time of one call, the least of many; {_setting(threads)}")
    if warning:
        print(f"\n{warning}")
    if "compiled" not in names:
        note("the compiled backend is not installed here: only the reference was timed")
    return 0


def _load_warning() -> str:
    """A warning if the machine is busy, because threads that wait for each other then stop."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > _BUSY * (os.cpu_count() or 1):
        return f"other programs are at work here (load {load:.1f}): these times are too long"
    return ""


def _pinned_warning() -> str:
    """A warning if environment variables, and not NumPy, choose the kernels of NumPy."""
    names = [name for name in _KERNEL_CHOICES if name in os.environ]
    if names:
        return f"{' and '.join(names)} set: NumPy may not use the kernels it would choose here"
    return ""


def _threads() -> int | None:
    """The number of threads for both backends; None if it cannot be the same for both."""
    if "compiled" not in backend.available() or util.find_spec("threadpoolctl") is None:
        return None
    with backend.use("compiled"):
        return backend.get_num_threads()


def _same_threads(threads: int | None) -> AbstractContextManager[object]:
    """A context in which NumPy's BLAS has as many threads as the compiled backend."""
    if threads is None:
        return nullcontext()
    threadpoolctl = import_module("threadpoolctl")
    limits: AbstractContextManager[object] = threadpoolctl.threadpool_limits(threads, "blas")
    return limits


def _least_times(
    work: Sequence[Case], names: Sequence[str], seconds: float
) -> list[tuple[float, ...]]:
    """Seconds of one call of each case on each backend: the minimum over all rounds.

    A round times all cases on one backend and then all on the next one, because the idle threads
    of OpenMP and those of NumPy's BLAS take the processor from each other.  Because there are
    several rounds, a short load of the machine is unlikely to affect one backend only.
    """
    rounds = [[_times(work, name, seconds) for name in names] for _ in range(_ROUNDS)]
    least = np.min(rounds, axis=0)
    return [tuple(map(float, of_case)) for of_case in least.T]


def _times(work: Sequence[Case], name: str, seconds: float) -> list[float]:
    """Seconds of one call of each case on one backend."""
    time.sleep(_SETTLING_SECONDS)
    times = []
    for i, case in enumerate(work, start=1):
        if sys.stderr is not None and sys.stderr.isatty():
            print(f"\r{name}: {i} of {len(work)} ", end="\r", file=sys.stderr, flush=True)
        times.append(measure(case, name, seconds))
    return times


def _setting(threads: int | None) -> str:
    if "compiled" not in backend.available():
        return "reference: NumPy"
    with backend.use("compiled"):
        isa, compiled_threads = backend.instruction_set(), backend.get_num_threads()
    if threads is None:
        return (
            f"compiled: {isa}, up to {_counted(compiled_threads)}; reference: NumPy with as many "
            "threads as its BLAS likes (threadpoolctl is not installed)"
        )
    return f"compiled: {isa}; reference: NumPy; up to {_counted(threads)} each"


def _counted(threads: int) -> str:
    return f"{threads} thread{'s' * (threads != 1)}"


def measure(case: Case, name: str, seconds: float) -> float:
    """Seconds of one call on a backend: the minimum over samples for about `seconds`."""
    with backend.use(name):
        work = case.prepare()
        work()
        start = time.perf_counter()
        work()
        once = max(time.perf_counter() - start, 1e-9)
        repeats = max(1, round(_SAMPLE_SECONDS / once))
        best, end, samples = once, start + seconds, 0
        while samples < _LEAST_SAMPLES or time.perf_counter() < end:
            samples += 1
            start = time.perf_counter()
            for _ in range(repeats):
                work()
            best = min(best, (time.perf_counter() - start) / repeats)
    return best


def cases(dtype: np.dtype) -> Iterator[Case]:
    """The cases: kernels, training steps and predictions of several sizes."""
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
