"""Threads that use networks, optimizers and settings at once: the bits of one alone."""

from __future__ import annotations

import contextvars
import copy
import itertools
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from networks import classifier, flowers

import fastnn as fnn
from fastnn.layers import Dense
from fastnn.network import Sequential

THREADS, ROUNDS = 6, 8


def at_once(*works):
    """The results of functions that start together, each in a thread with the backend of this."""
    start = threading.Barrier(len(works))

    def run(work):
        start.wait(60)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(contextvars.copy_context().run, run, work) for work in works]
        return [future.result(120) for future in futures]


FIRST_USE = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
import fastnn as fnn
sys.setswitchinterval(1e-5)
start = threading.Barrier(6)
def build(dtype):
    start.wait(60)
    return fnn.Sequential([fnn.Dense(4, 3)], dtype=dtype).n_parameters
with ThreadPoolExecutor(6) as pool:
    print(*pool.map(build, ["float32", "float64"] * 3))
"""


def test_threads_may_be_the_first_that_use_the_backend():
    """The compiled core is loaded by one of them, and by the others after it."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USE], capture_output=True, text=True, timeout=120
    )
    assert (done.stdout.split(), done.stderr) == (["15"] * 6, "")


@pytest.fixture
def limit():
    """Gives the number of threads back that a test changes."""
    before = fnn.get_num_threads()
    yield
    fnn.set_num_threads(before)


def trained(X, y, seed, optimizer):
    net = Sequential([Dense(4, 32, activation="tanh"), Dense(32, 3)], seed=seed)
    net.compile("cross_entropy", optimizer)
    net.fit(X, y, epochs=3, batch_size=16)
    return net.get_flat()


@pytest.mark.parametrize("rule", [fnn.Adam, fnn.Momentum, fnn.GradientDescent])
def test_networks_that_share_an_optimizer_train_to_their_own_bits(backend, rng, rule):
    X, y = flowers(rng)
    shared = rule(0.01)
    together = at_once(*(lambda i=i: trained(X, y, i, shared) for i in range(THREADS)))
    for i, found in enumerate(together):
        np.testing.assert_array_equal(found, trained(X, y, i, rule(0.01)))


def test_predictions_stay_while_others_save_and_set_the_number_of_threads(
    backend, rng, tmp_path, limit
):
    net = Sequential([Dense(64, 256, activation="gelu"), Dense(256, 10)], seed=0)
    x = rng.normal(size=(2000, 64)).astype(np.float32)
    expected, predict = net.predict(x), net.predictor()

    def by(function):
        return lambda: [np.array_equal(function(x), expected) for _ in range(ROUNDS)]

    def saved():
        results = []
        for i in range(ROUNDS):
            net.save(tmp_path / f"{i}.fastnn")
            results.append(np.array_equal(fnn.load(tmp_path / f"{i}.fastnn").predict(x), expected))
        return results

    def set_threads():
        for i in range(40 * ROUNDS):
            fnn.set_num_threads(1 + i % 3)
        return [True]

    assert all(map(all, at_once(by(net.predict), by(predict), by(net.predict), saved, set_threads)))


def test_what_is_read_of_a_network_in_training_is_of_one_step(backend, rng, tmp_path):
    """A file, a copy and the parameters hold the state between two steps, never within one."""
    X, y = flowers(rng)
    steps, net, alone = 40, classifier(), classifier()
    states = {alone.get_flat().tobytes()}
    for _ in range(steps):
        alone.train_step(X, y)
        states.add(alone.get_flat().tobytes())

    def train():
        for _ in range(steps):
            net.train_step(X, y)
        return []

    def files():
        flats = []
        for i in range(ROUNDS):
            net.save(tmp_path / f"{i}.fastnn")
            flats.append(fnn.load(tmp_path / f"{i}.fastnn").get_flat())
        return flats

    def flats():
        return [net.get_flat() for _ in range(4 * ROUNDS)]

    def copies():
        return [copy.deepcopy(net).get_flat() for _ in range(ROUNDS)]

    for flat in itertools.chain(*at_once(train, files, flats, copies)):
        assert flat.tobytes() in states
    np.testing.assert_array_equal(net.get_flat(), alone.get_flat())


def test_compiling_anew_beside_steps_is_a_whole_step_or_an_error(backend, rng):
    """`compile` replaces loss, optimizer and engine: a step runs before it or after it."""
    X, y = flowers(rng)
    net = classifier("float32")

    def step():
        return [net.train_step(X, y) for _ in range(10 * ROUNDS)]

    def compile_again():
        for i in range(ROUNDS):
            net.compile("cross_entropy", fnn.Adam(0.01) if i % 2 else fnn.Momentum(0.01))
        return []

    losses = [*itertools.chain(*at_once(step, compile_again, step))]
    assert np.isfinite(losses).all()
    assert np.isfinite(net.get_flat()).all()
