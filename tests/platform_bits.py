"""Hashes of kernels and of trained networks, to compare processors, compilers and systems.

What goes in is exact everywhere: no logarithm or power of a mathematical library is in it.
`python tests/platform_bits.py` prints the hashes of the instruction set in use, and
`python tests/platform_bits.py --write` makes them those that every platform must have: for a
change that means to compute other bits.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from kernel_calls import CALLS, least_squares
from programs import OPTIMIZERS, chain, data_for, random_graph, set_optimizer

import fastnn as fnn
from fastnn import backend as backends
from fastnn.facts.losses import LOSSES
from fastnn.program import ACTIVATIONS

STORED = Path(__file__).parent / "backend" / "platform_bits.json"
DTYPES = ("float32", "float64")
WIDTHS = (1, 7, 16, 33, 100)
STEPS, ROWS, BATCH = 12, 90, 37


class Exact:
    """The methods of NumPy's Generator that the tests use, by exact arithmetic of raw words."""

    def __init__(self, seed: int):
        self.words = np.random.PCG64(seed)

    def random(self, shape):
        """Multiples of 2**-24 in [0, 1)."""
        words = self.words.random_raw(int(np.prod(shape))) >> np.uint64(40)
        return (words * 2.0**-24).reshape(shape)

    def standard_normal(self, shape):
        """Sums of four, with mean 0 and variance 1 or so."""
        shape = (shape,) if np.isscalar(shape) else tuple(shape)
        return (self.random((4, *shape)).sum(axis=0) - 2) * 1.75

    def normal(self, size, scale=1.0):
        return self.standard_normal(size) * scale

    def integers(self, low, high, shape):
        return low + (self.random(shape) * (high - low)).astype(np.int64)

    def permutation(self, n):
        return np.argsort(self.words.random_raw(n), kind="stable")


def digest(results) -> str:
    """A hash of numbers and arrays, in which all nans are one."""
    total = hashlib.sha256()
    for result in results:
        array = np.array(result)
        if array.dtype.kind == "f":
            array[np.isnan(array)] = np.nan
        total.update(array.tobytes())
    return total.hexdigest()[:16]


def of_kernels(isa, dtype) -> dict[str, str]:
    """Every kernel, in rows of several widths."""
    kernels = backends.load(isa, dtype)
    calls = [call for call in CALLS if call is not least_squares]  # which takes LAPACK's factors
    return {
        f"{dtype} {call.__name__}": digest(
            result
            for width in WIDTHS
            for result in call(kernels, Exact(width), width, np.dtype(dtype))
        )
        for call in calls
    }


def programs(dtype):
    """Every activation, loss and update, dropout, penalties and merges, by name."""
    sizes = (13, 29, 18, 3)
    for name in ACTIVATIONS:
        yield f"activation {name}", chain(sizes, name, dtype=dtype, dropout=0.2), "adam"
    for name in LOSSES:
        yield f"loss {name}", chain(sizes, "tanh", name, dtype), "momentum"
    for name in OPTIMIZERS:
        yield f"optimizer {name}", chain(sizes, "gelu", dtype=dtype, l2=0.01), name
    for seed in range(8):
        yield f"graph {seed}", random_graph(seed, dtype), "rmsprop"


def trained(isa, program, optimizer) -> str:
    """Parameters, losses and outputs after some steps of shuffled batches."""
    exact = Exact(5)
    storage = program.allocate()
    flat = exact.normal(program.n_parameters, 0.3).astype(program.dtype)
    program.unflatten(flat, storage)
    engine = backends.load(isa, program.dtype).Engine(program, storage, False)
    set_optimizer(engine, optimizer, clip_norm=0.5)
    inputs, targets = data_for(program, ROWS, rng=exact)
    losses: list[float] = []
    while len(losses) < STEPS:
        rates = np.full(min(STEPS - len(losses), -(-ROWS // BATCH)), 2.0**-7)
        epoch = np.zeros(len(rates))
        order = exact.permutation(ROWS)
        engine.train(inputs, targets, order, BATCH, rates, len(losses) + 1, epoch)
        losses += epoch.tolist()
    return digest([engine.storage, losses, *engine.forward(inputs)])


def of_programs(isa, dtype) -> dict[str, str]:
    return {
        f"{dtype} {name}": trained(isa, program, optimizer)
        for name, program, optimizer in programs(dtype)
    }


def of_wide_program(isa, dtype) -> dict[str, str]:
    """A network with enough work for two threads."""
    program = chain((64, 200, 200, 10), "gelu", dtype=dtype, dropout=0.1)
    return {f"{dtype} wide program": trained(isa, program, "adam")}


def of_networks(dtype) -> dict[str, str]:
    """Networks that are built, trained and asked as users do it, on the instruction set in use."""
    exact = Exact(7)
    X, labels = exact.normal((200, 11)).astype(dtype), exact.integers(0, 3, 200)
    hashes = {}
    for rule in ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"):
        first = fnn.Dense(11, 24, activation="tanh", weight=rule)
        layers = [first, fnn.LayerNorm(24), fnn.Dropout(0.1), fnn.Dense(24, 3)]
        net = fnn.Sequential(layers, seed=1, dtype=dtype)
        net.compile(loss="cross_entropy", optimizer=fnn.Adam(learning_rate=0.01))
        history = net.fit(X, labels, epochs=2, batch_size=32, validation_split=0.2)
        results = [net.get_flat(), history["loss"], history["val_loss"], net.predict_proba(X)]
        hashes[f"{dtype} network {rule}"] = digest(results)
    return hashes


def hashes(isa) -> dict[str, str]:
    """All of them; networks too where the instruction set is the one in use."""
    found: dict[str, str] = {}
    for dtype in DTYPES:
        found |= of_kernels(isa, dtype) | of_programs(isa, dtype) | of_wide_program(isa, dtype)
        if isa == backends.instruction_set():
            found |= of_networks(dtype)
    return found


def main():
    text = json.dumps(hashes(backends.instruction_set()), indent=1) + "\n"
    if sys.argv[1:] == ["--write"]:
        STORED.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
