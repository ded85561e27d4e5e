"""Run under the counter of allocations.c: prints what calls of the compiled backend allocate.

Python's own objects come from malloc as well (PYTHONMALLOC=malloc), so that nothing is missed.
Arguments: the number of threads.  Output: JSON, [calls, bytes] by what was called.
"""

from __future__ import annotations

import ctypes
import json
import sys

import numpy as np
from programs import chain

import fastnn as fnn
from fastnn import backend

_COUNTER = ctypes.CDLL(None)
_REPEATS = 7
STEPS = (1, 2, 10, 100)
BATCH = 64
PROGRAMS = {
    "plain": ({}, {}),
    "dropout, l2, clipped": ({"dropout": 0.3, "l2": 1e-3}, {"clip_norm": 1.0}),
}
BATCHES = (1, 128, 1024)


def allocated(call):
    """Calls and bytes of one call, the least of some, after a first one."""
    call()
    calls, sizes = [], []
    for _ in range(_REPEATS):
        n, size = _COUNTER.allocation_calls(), _COUNTER.allocation_bytes()
        call()
        calls.append(_COUNTER.allocation_calls() - n)
        sizes.append(_COUNTER.allocation_bytes() - size)
    return min(calls), min(sizes)


def steps_of_one_call(dtype, program_options, optimizer_options):
    """What `Engine.train` allocates, by its number of steps."""
    program = chain((64, 100, 50, 10), "relu", "cross_entropy", dtype, **program_options)
    engine = backend.new_engine(program, program.allocate())
    slots = [program.allocate(), program.allocate()]
    engine.set_optimizer("adam", fnn.Adam(**optimizer_options).hyper, slots)
    rng = np.random.default_rng(0)
    n = BATCH * max(STEPS)
    x, y = rng.standard_normal((n, 64)).astype(dtype), rng.integers(0, 10, n)
    results = []
    for steps in STEPS:
        order = rng.permutation(n)[: steps * BATCH]
        rates, losses = np.full(steps, 1e-3), np.zeros(steps)
        arguments = ([x], [(y, None)], order, BATCH, rates, 1, losses)
        results.append(allocated(lambda arguments=arguments: engine.train(*arguments)))
    return results


def calls_of_a_network(dtype):
    """What `train_step` and `predict` allocate, by the rows of the batch."""
    layers = [fnn.Dense(784, 256, activation="relu"), fnn.Dense(256, 10)]
    net = fnn.Sequential(layers, dtype=dtype)
    net.compile("cross_entropy", "adam")
    results = {}
    for rows in BATCHES:
        x, y = np.ones((rows, 784), dtype), np.zeros(rows, np.int64)
        results[f"train_step {rows}"] = allocated(lambda x=x, y=y: net.train_step(x, y))
        results[f"predict {rows}"] = allocated(lambda x=x: net.predict(x))
    return results


def main():
    fnn.set_num_threads(int(sys.argv[1]))
    results = {
        "objects": allocated(lambda: [object() for _ in range(100)]),
        "array": allocated(lambda: np.zeros(10_000)),
    }
    for dtype in ("float32", "float64"):
        for name, options in PROGRAMS.items():
            results[f"train {dtype} {name}"] = steps_of_one_call(dtype, *options)
        for name, counts in calls_of_a_network(dtype).items():
            results[f"{name} {dtype}"] = counts
    print(json.dumps(results))


if __name__ == "__main__":
    main()
