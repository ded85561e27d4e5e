"""Networks in a forked child, whatever the threads of its parent were doing with them."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_threads import fork_beside_threads, in_child, needs_fork

import fastnn as fnn

pytestmark = [needs_fork, fork_beside_threads, pytest.mark.usefixtures("backend")]

X, Y = np.ones((4, 3)), np.zeros((4, 2))


def network(loss="mean_squared_error"):
    net = fnn.Sequential([fnn.Dense(3, 2)], seed=0)
    net.compile(loss, fnn.GradientDescent(0.1))
    return net


@contextlib.contextmanager
def another_thread(call):
    """Another thread is inside `call(wait)`, in its `wait()`, for as long as the block lasts."""
    inside, done = threading.Event(), threading.Event()

    def wait():
        inside.set()
        done.wait(60)

    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(call, wait)
        inside.wait(60)
        try:
            yield
        finally:
            done.set()
            result.result(60)


def is_held(guard):
    """Whether another thread cannot have a lock of this thread's."""

    def take():
        with guard:
            pass

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take)
        time.sleep(0.05)
        held = not waiting.done()
        guard.__exit__(None, None, None)
        waiting.result(10)
    return held


def test_a_child_may_use_a_network_whose_lock_another_thread_held():
    net = network()
    expected = net.predict(X)

    def hold(wait):
        with net.core.lock:
            wait()

    with another_thread(hold):
        child = in_child("fork", lambda: net.predict(X))
    np.testing.assert_array_equal(child, expected)


def waiting_loss(wait):
    """Squared errors whose function waits at its first call."""
    calls = []

    def loss(output, target):
        if not calls:
            calls.append(None)
            wait()
        return np.mean((output - target) ** 2), 2 * (output - target) / output.size

    return loss


def test_a_child_may_use_a_network_that_another_thread_was_training():
    expected = network().train_step(X, Y)
    found = []

    def train(wait):
        net = network(waiting_loss(wait))
        found.append(net)
        net.train_step(X, Y)

    with another_thread(train):
        child = in_child("fork", lambda: found[0].train_step(X, Y))
    assert child == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("predicts_first", [True, False])
def test_a_thread_that_forks_keeps_the_lock_it_holds(predicts_first):
    net = network()

    def held():
        if predicts_first:
            net.predict(X)
        return is_held(net.core.lock)

    with net.core.lock:
        assert in_child("fork", held)


def test_a_child_forked_by_a_custom_loss_may_not_call_the_network_under_way():
    messages = []

    def refused():
        with pytest.raises(RuntimeError, match="custom loss or layer call"):
            net.predict(X)
        return True

    def loss(output, target):
        messages.append(in_child("fork", refused))
        return 0.0, np.zeros_like(output)

    net = network(loss)
    net.train_step(X, Y)
    assert messages == [True]
