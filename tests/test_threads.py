"""Networks in forked and spawned processes, and in several Python threads at once."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnn as fnn

# Large enough that a step is shared between OpenMP's threads where there are several.
ROWS, WIDTHS = 512, (64, 256, 256, 10)


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, WIDTHS[0])).astype(np.float32), rng.integers(0, 10, ROWS)


def trained(seed: int = 0) -> np.ndarray:
    """All parameters of a network after a few epochs."""
    net = fnn.Sequential(
        [
            fnn.Dense(n_in, n_out, activation="relu" if n_out != WIDTHS[-1] else None)
            for n_in, n_out in itertools.pairwise(WIDTHS)
        ],
        seed=seed,
    )
    net.compile(loss="cross_entropy", optimizer="adam")
    x, y = data()
    net.fit(x, y, epochs=3, batch_size=256)
    return net.get_flat()


def send_trained(connection) -> None:
    connection.send(trained())
    connection.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_child_process_trains_to_the_same_bits(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this platform")
    expected = trained()  # OpenMP's threads exist in the parent before it forks
    context = multiprocessing.get_context(method)
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=send_trained, args=(there,))
    child.start()
    try:
        assert here.poll(60), "the child process hangs"
        assert np.array_equal(here.recv(), expected)
    finally:
        child.join(10)
        if child.is_alive():
            child.kill()


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no fork on this platform")
def test_a_forked_child_uses_one_thread():
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(fnn.get_num_threads()))
    child.start()
    child.join(30)
    assert queue.get() == 1


def test_networks_train_side_by_side_in_python_threads():
    expected = [trained(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(trained, range(4)))
    for found, wanted in zip(results, expected, strict=True):
        assert np.array_equal(found, wanted)


def test_one_network_in_several_python_threads_predicts_the_same():
    x, _ = data()
    net = fnn.Sequential([fnn.Dense(64, 300, activation="tanh"), fnn.Dense(300, 10)])
    expected = net.predict(x)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: net.predict(x), range(40)):
            assert np.array_equal(found, expected)


def test_threadpoolctl_limits_the_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert fnn.get_num_threads() == 1


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_set_num_threads_refuses(n, error):
    with pytest.raises(error, match="n must be"):
        fnn.set_num_threads(n)
