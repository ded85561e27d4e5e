"""Ensembles in one and in several workers: how much sooner are they trained?

    python -m benchmarks.spread

The same ensemble in turn, in threads, in processes of loky and, where Dask is installed, on a local
cluster of it.  Workers start before the clock does, as they stay for later trainings.  The table
has the least of several times, the ratio to the training in turn on one thread, the threads of each
training, and whether all parameters are those of that training, bit for bit.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from contextlib import nullcontext

import joblib
import numpy as np

import fastnn as fnn


class Threads(fnn.Callback):
    """Notes the number of threads that a training has."""

    def __init__(self):
        self.number = 0

    def on_epoch_end(self, context):
        self.number = fnn.get_num_threads()


def ensemble(width, members):
    net = fnn.Sequential(
        [fnn.Dense(50, width, activation="relu"), fnn.Dense(width, width), fnn.Dense(width, 3)]
    )
    net.compile("cross_entropy", "adam")
    return fnn.Ensemble(net, members)


def task(rows):
    draw = np.random.default_rng(0)
    X = draw.normal(size=(rows, 50)).astype(np.float32)
    return X, np.argmax(X[:, :3] + X[:, 3:6] ** 2, axis=1)


def cluster(jobs):
    """A client of a local cluster of Dask, or None where it is not installed."""
    if importlib.util.find_spec("distributed") is None:
        return nullcontext()
    from distributed import Client

    return Client(n_workers=jobs, threads_per_worker=1, dashboard_address=":0")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spread", description=__doc__)
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count(), help="workers")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    X, y = task(options.rows)
    cores = fnn.get_num_threads()
    with cluster(options.jobs) as client:
        ways = {"in turn": {}, "threading": {}, "loky": {"backend": "loky"}}
        if client is not None:
            ways["dask"] = {"backend": "dask"}
        made = {}
        for name, way in ways.items():  # starts the workers
            made[name] = ensemble(options.width, options.members)
            jobs = 1 if name == "in turn" else options.jobs
            way |= {"n_jobs": jobs, "batch_size": 32, "callbacks": Threads()}
            made[name].fit(X, y, epochs=1, **way)
        times = {name: [] for name in ways}
        for _ in range(options.repeats):
            for name, way in ways.items():
                fnn.set_num_threads(1 if name == "in turn" else cores)
                start = time.perf_counter()
                made[name].fit(X, y, epochs=options.epochs, **way)
                times[name].append(time.perf_counter() - start)
        fnn.set_num_threads(cores)
    expected = [member.get_flat() for member in made["in turn"].members]
    print(f"{options.members} members, {options.jobs} workers")
    print(f"{'':12}{'seconds':>10}{'ratio':>8}{'threads':>9}  same bits")
    for name, seconds in times.items():
        flat = [member.get_flat() for member in made[name].members]
        same = all(map(np.array_equal, flat, expected))
        threads = max(watcher.number for (watcher,) in made[name].callbacks)
        ratio = min(times["in turn"]) / min(seconds)
        print(f"{name:12}{min(seconds):10.3f}{ratio:8.2f}{threads:9}  {'yes' if same else 'NO'}")


if __name__ == "__main__":
    main()
