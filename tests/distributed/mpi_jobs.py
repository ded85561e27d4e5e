"""Programs that `mpiexec` starts several times: ``python mpi_jobs.py NAME ARGUMENTS``.

Each prints one line of JSON for each process.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time

import numpy as np

import fastnn as fnn
from fastnn import distributed

N = 120
RNG = np.random.default_rng(3)
X = RNG.normal(size=(N, 6))
LABELS = RNG.integers(0, 3, N)
WEIGHTS = RNG.uniform(0.5, 2, N)


def network(width=24, seed=2):
    net = fnn.Sequential(
        [fnn.Dense(6, width, activation="relu"), fnn.Dropout(0.2), fnn.Dense(width, 3)], seed=seed
    )
    net.compile(loss="cross_entropy", optimizer=fnn.Adam(clip_norm=1.0), l2=1e-4)
    return net


def digest(net, history):
    numbers = [net.get_flat(), np.array(history["loss"])]
    return hashlib.sha256(b"".join(part.tobytes() for part in numbers)).hexdigest()[:16]


def hashes(communicator):
    """Parameters after 3 epochs: of all rows, of parts, and of batches smaller than the shards."""
    part = distributed.partition(N, communicator)
    calls = {
        "all": ((X, LABELS, WEIGHTS), {"batch_size": 32}),
        "parts": ((X[part], LABELS[part], WEIGHTS[part]), {"batch_size": 32, "partitioned": True}),
        "small": ((X, LABELS, WEIGHTS), {"batch_size": 5}),
        "validated": ((X, LABELS, None), {"validation_split": 0.2, "early_stopping": 2}),
        "plain": ((X, LABELS, WEIGHTS), {"shards": None}),
    }
    results = {}
    for name, ((inputs, labels, weights), options) in calls.items():
        net = network()
        history = net.fit(
            inputs, labels, sample_weight=weights, epochs=3, communicator=communicator, **options
        )
        results[name] = digest(net, history)
    return results


def messages(communicator):
    """What processes say to each other."""
    total = np.full(3, 1.0 + communicator.rank)
    communicator.allreduce(total, "numbers")
    root = np.full(2, float(communicator.rank))
    communicator.broadcast(root, 1, "values")
    communicator.barrier("the end")
    return {"sum": total.tolist(), "root": root.tolist(), "threads": fnn.get_num_threads()}


def failing_callback(communicator):
    def fail(context):
        if context.epoch == 2:
            raise KeyError("in a callback")

    return fit_caught(communicator, callbacks=fail)


def missing(communicator):
    """The last process takes no part."""
    if communicator.rank == communicator.size - 1:
        time.sleep(3 * communicator.time_limit)
        return None
    return fit_caught(communicator)


def fit_caught(communicator, **options):
    try:
        network().fit(X, LABELS, epochs=3, communicator=communicator, **options)
    except (KeyError, distributed.RankError) as error:
        return {
            "error": f"{type(error).__name__}: {error}", "rank": getattr(error, "rank", None)
        }  # fmt: skip
    return {"error": None}


def killed(communicator):
    """kill -9 comes to process 1, once it has taken part in some steps."""
    network().fit(X, LABELS, epochs=1, communicator=communicator)
    if communicator.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return fit_caught(communicator)


def left(communicator):
    """Process 1 exits and tells no one."""
    if communicator.rank == 1:
        os._exit(3)
    return fit_caught(communicator)


def interrupted_by_hand(communicator):
    """A training that another process interrupts."""

    def say(context):
        if context.epoch == 2:
            print("ready", flush=True)

    network().fit(X, LABELS, epochs=100_000, communicator=communicator, callbacks=say)
    return None


def interrupted(communicator):
    """Ctrl-C comes to one process, once the training is under way."""

    def interrupt(context):
        if context.epoch == 2:
            threading.Timer(0.0, os.kill, [os.getpid(), signal.SIGINT]).start()

    signal.signal(signal.SIGINT, signal.default_int_handler)
    net = network()
    history = net.fit(X, LABELS, epochs=100_000, communicator=communicator, callbacks=interrupt)
    return {"interrupted": history.interrupted, "hash": digest(net, history)}


def long_training(communicator, folder, epochs):
    """A training that may be killed at any moment, and goes on from its checkpoint."""
    net = network(width=64)
    history = distributed.fit(
        net, X, LABELS, epochs=int(epochs), communicator=communicator, checkpoint=folder
    )
    return {"hash": digest(net, history)}


JOBS = {
    job.__name__: job
    for job in (
        hashes,
        messages,
        failing_callback,
        missing,
        killed,
        left,
        interrupted_by_hand,
        interrupted,
        long_training,
    )
}


def main(name, limit, *arguments):
    if (
        name == "absent"
        and os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK")) == "1"
    ):
        return
    communicator = distributed.world(time_limit=float(limit))
    result = JOBS[name](communicator, *arguments)
    # One write of a short line: lines of several processes do not mix.
    sys.stdout.write(json.dumps({"rank": communicator.rank, "result": result}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
