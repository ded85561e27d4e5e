"""Predict how well one model trains in many processes, from measurements on this machine.

    python -m benchmarks.scaling                       measure, and print the table
    python -m benchmarks.scaling --figure FILE.png     draw it too
    python -m benchmarks.scaling --shards              what shards cost in one process

Measured are the time of a step's gradients by its rows, on one core; the update; and, where mpi4py
is installed, the exchange between two processes for messages of several sizes.

The model.  A step of R processes takes

    T(R) = compute(rows / R) + exchange(R) + update

The exchange has two parts, in each of which a process sends a share 1 / R of the gradients to every
other one.  With latency a, overhead o for each further message, and bandwidth b in bytes a second,
for G bytes of gradients:

    exchange(R) = 2 (a + (R - 2) o + G (R - 1) / (R b))

A tree of sends to one process and back would take 2 ceil(log2 R) (a + G / b) instead; it is shown
beside it.  Efficiency is T(1) / (R T(R)), for one batch of the size that R processes share.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

import fastnn as fnn

Exchange = Callable[[int, int], float]
"""From the number of processes and of bytes to seconds."""

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
NETWORKS = {"32-64-1": (32, 64, 1), "100-256-256-10": (100, 256, 256, 10),
            "784-1024-1024-10": (784, 1024, 1024, 10)}  # fmt: skip
BATCHES = (1024, 8192, 65536)
LINKS = {"shared memory": None, "25 Gbit Ethernet": (20e-6, 1e-6, 2.8e9)}
"""Latency, overhead and bandwidth; None stands for what is measured here."""

SIZES = (64, 4096, 65536, 1 << 20, 1 << 23)
"""Bytes of the messages whose exchange is measured."""


@dataclass
class Link:
    """What an exchange of messages costs: seconds, seconds, and bytes a second."""

    latency: float
    overhead: float
    bandwidth: float

    def exchange(self, ranks: int, n_bytes: int) -> float:
        """Seconds for the sum of gradients, in slices."""
        if ranks == 1:
            return 0.0
        share = n_bytes * (ranks - 1) / ranks
        return 2 * (self.latency + (ranks - 2) * self.overhead + share / self.bandwidth)

    def tree(self, ranks: int, n_bytes: int) -> float:
        """Seconds for the sum of gradients along a tree, and back."""
        return 2 * math.ceil(math.log2(ranks)) * (self.latency + n_bytes / self.bandwidth)


@dataclass
class Step:
    """Seconds of a step's compute: for each row, for each call, and for the update."""

    per_row: float
    per_call: float
    update: float
    n_bytes: int

    def seconds(self, rows: float, ranks: int, exchange: Exchange) -> float:
        """One step of some rows in some processes, each on one core."""
        compute = self.per_call + self.per_row * rows / ranks
        return compute + self.update + exchange(ranks, self.n_bytes)


def efficiency(step: Step, rows: int, ranks: int, exchange: Exchange) -> float:
    """T(1) / (R T(R))."""
    return step.seconds(rows, 1, exchange) / (ranks * step.seconds(rows, ranks, exchange))


def network(widths: tuple[int, ...]) -> fnn.Network:
    layers = [fnn.Dense(a, b, activation="relu")
              for a, b in pairwise(widths[:-1])]  # fmt: skip
    net = fnn.Sequential([*layers, fnn.Dense(widths[-2], widths[-1])], seed=0)
    net.compile(loss="mean_squared_error", optimizer="adam")
    return net


def least(call, repeats: int = 5) -> float:
    """The least time of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def measured_step(widths: tuple[int, ...]) -> Step:
    """Two sizes of a batch give the time of a row and of a call; one core computes."""
    net, (few, many) = network(widths), (64, 1024)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(many, widths[0])).astype(np.float32)
    y = rng.normal(size=(many, widths[-1])).astype(np.float32)
    engine = net.core.engine

    def gradients(n: int) -> float:
        arguments = [X[:n]], [(y[:n], None)], True, 1
        return least(lambda: engine.loss_and_gradients(*arguments))

    with fnn.backend.at_most_threads(1):
        slow, fast = gradients(many), gradients(few)
        update = least(lambda: engine.update(1e-3, 1))
    per_row = max(slow - fast, 0.0) / (many - few)
    return Step(per_row, max(fast - few * per_row, 0.0), update, engine.gradients.nbytes)


def measured_link() -> Link | None:
    """The exchange of two processes on this machine; None without mpi4py and mpiexec."""
    found = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    mpiexec = shutil.which("mpiexec", path=found)
    if mpiexec is None:
        return None
    command = [mpiexec, "-n", "2", sys.executable, "-m", "benchmarks.scaling", "--exchange"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return None
    times = {int(n): seconds for n, seconds in json.loads(lines[0]).items()}
    latency, largest = times[SIZES[0]], SIZES[-1]
    bandwidth = largest / max(times[largest] - latency, 1e-9)
    return Link(latency, latency / 4, bandwidth)


def exchange() -> None:
    """In each of two processes: the least time of an exchange, by its size."""
    communicator = fnn.distributed.world()
    times = {}
    for size in SIZES:
        outgoing, incoming = [np.zeros((2, size), np.uint8) for _ in range(2)]

        def swap(outgoing=outgoing, incoming=incoming) -> None:
            communicator.exchange(list(outgoing), list(incoming), "a benchmark")

        times[size] = least(swap, 300 if size <= 65536 else 30)
    if communicator.rank == 0:
        print(json.dumps(times))


def shards_cost() -> None:
    """Times of an epoch in one process, for several numbers of shards and the ordinary `fit`."""
    print("network            batch   fit      1        8        32     shards; ms a step")
    rng = np.random.default_rng(0)
    for name, widths in NETWORKS.items():
        for batch in (64, 1024):
            n = 4 * batch
            X = rng.normal(size=(n, widths[0])).astype(np.float32)
            y = rng.normal(size=(n, widths[-1])).astype(np.float32)
            row = []
            for shards in (None, 1, 8, 32):
                net = network(widths)
                options = {}
                if shards is not None:
                    options = {"communicator": fnn.distributed.single(), "shards": shards}

                def epoch(net=net, X=X, y=y, batch=batch, options=options) -> None:
                    net.fit(X, y, epochs=5, batch_size=batch, check_finite=False, **options)

                row.append(least(epoch, 4) / 20 * 1e3)
            print(f"{name:18} {batch:6}", *(f"{ms:8.3f}" for ms in row), flush=True)


def predictions(link: Link) -> dict[tuple[str, int, str], list[float]]:
    """Efficiencies by network, batch and link, one for each number of processes."""
    exchanges = {}
    for title, numbers in LINKS.items():
        chosen = link if numbers is None else Link(*numbers)
        exchanges |= {title: chosen.exchange, f"{title}, tree": chosen.tree}
    table = {}
    for name, widths in NETWORKS.items():
        step = measured_step(widths)
        print(
            f"{name}: {step.per_row * 1e6:.2f} us a row, {step.per_call * 1e6:.0f} us a call, "
            f"{step.update * 1e6:.0f} us an update, {step.n_bytes / 1e6:.2f} MB of gradients"
        )
        for batch in BATCHES:
            for title, exchange in exchanges.items():
                table[name, batch, title] = [efficiency(step, batch, r, exchange) for r in RANKS]
    return table


def draw(table: dict[tuple[str, int, str], list[float]], path: str) -> None:
    """The efficiencies as lines, a panel for each kind of link."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.8), layout="constrained")
    panels = figure.subplots(1, len(LINKS), sharey=True)
    styles = dict(zip(BATCHES, (":", "--", "-"), strict=True))
    for panel, title in zip(panels, LINKS, strict=True):
        for (name, batch, link), values in table.items():
            if link == title:
                color = f"C{list(NETWORKS).index(name)}"
                panel.plot(
                    RANKS, values, styles[batch], color=color, label=f"{name}, {batch:,} rows"
                )
        panel.set_xscale("log", base=2)
        panel.set_xticks(RANKS[::2], [str(r) for r in RANKS[::2]])
        panel.set(title=title, xlabel="processes", ylim=(0, 1.05))
    panels[0].set_ylabel("predicted efficiency")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", help="file of the figure")
    parser.add_argument("--shards", action="store_true", help="what shards cost in one process")
    parser.add_argument("--exchange", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.exchange:
        exchange()
        return
    if options.shards:
        shards_cost()
        return
    link = measured_link()
    if link is None:
        print("mpiexec or mpi4py is missing: the exchange is taken as 3 us and 5 GB/s")
        link = Link(3e-6, 1e-6, 5e9)
    else:
        print(
            f"exchange of 2 processes: {link.latency * 1e6:.1f} us, {link.bandwidth / 1e9:.1f} GB/s"
        )
    table = predictions(link)
    print(f"{'network':18} {'rows':>6} {'link':22}", *(f"{r:>5}" for r in RANKS))
    for (name, batch, title), values in table.items():
        print(f"{name:18} {batch:6} {title:22}", *(f"{value:5.2f}" for value in values))
    if options.figure:
        draw(table, options.figure)


if __name__ == "__main__":
    main()
