"""Ctrl-C at random moments: parameters, counters, history and the handler always agree."""

import signal
import time

import numpy as np
import pytest

import fastnn as fnn
from fastnn.training import EarlyStopping

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")

BATCHES, EPOCHS = 4, 5
RNG = np.random.default_rng(0)
X, Y, W = RNG.normal(size=(8 * BATCHES, 3)), RNG.normal(size=(8 * BATCHES, 1)), RNG.uniform(size=8)


def interrupted(action, delay):
    """Whether Ctrl-C after `delay` seconds came out of the action as KeyboardInterrupt."""
    previous = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    raised = False
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, delay)
            action()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        raised = True
        signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)
    return raised


def network():
    net = fnn.Sequential([fnn.Dense(3, 4), fnn.Tanh(), fnn.Dense(4, 1)], seed=0, dtype="float64")
    net.compile(loss="mean_squared_error", optimizer="adam")
    return net


def fit(net, callbacks=None):
    net.fit(X, Y, batch_size=8, epochs=EPOCHS, shuffle=False, callbacks=callbacks)


def steps(net, convert=lambda x: x, weights=None):
    for i in range(BATCHES * EPOCHS):
        rows = slice(8 * (i % BATCHES), 8 * (i % BATCHES) + 8)
        net.train_step(convert(X[rows]), Y[rows], weights)


def trajectory(weights=None):
    """The parameters after each number of steps."""
    net = network()
    result = [net.get_flat()]
    for i in range(BATCHES * EPOCHS):
        rows = slice(8 * (i % BATCHES), 8 * (i % BATCHES) + 8)
        net.train_step(X[rows], Y[rows], weights)
        result.append(net.get_flat())
    return result


def moments(action, n):
    """Seconds that are spread over an action and a little beyond it."""
    action()  # the first call is slower
    start = time.perf_counter()
    action()
    return np.random.default_rng(1).uniform(1e-6, 1.2 * (time.perf_counter() - start), n)


def storm_of_fits(n):
    net, path = network(), trajectory()
    initial = net.get_state()
    for number, moment in enumerate(moments(lambda: fit(net), n)):
        net.set_state(initial)
        stopping = EarlyStopping("loss", patience=2, mode="max") if number % 2 else None
        interrupted(lambda stopping=stopping: fit(net, stopping), moment)
        state = net.core.state
        step = state.step
        if stopping is not None and state.history.best_epoch is not None:
            step = BATCHES * state.history.best_epoch
        np.testing.assert_array_equal(net.get_flat(), path[step])
        assert state.history.epochs == state.epoch == len(state.history.get("loss", ()))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def storm_of_steps(n, convert=lambda x: x, weights=None):
    net, path = network(), trajectory(weights)
    initial = net.get_state()
    for moment in moments(lambda: steps(net, convert, weights), n):
        net.set_state(initial)
        interrupted(lambda: steps(net, convert, weights), moment)
        np.testing.assert_array_equal(net.get_flat(), path[net.core.state.step])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_at_any_moment_of_fit(backend):
    storm_of_fits(60)


@pytest.mark.parametrize("weights", [None, W], ids=["plain", "weighted"])
@pytest.mark.parametrize("convert", [lambda x: x, np.ndarray.tolist], ids=["direct", "prepared"])
def test_ctrl_c_at_any_moment_of_train_step(backend, convert, weights):
    storm_of_steps(40, convert, weights)


@pytest.mark.exhaustive
def test_two_thousand_signals(backend):
    storm_of_fits(1000)
    storm_of_steps(500)
    storm_of_steps(500, np.ndarray.tolist, W)


def press(context):
    signal.raise_signal(signal.SIGINT)


class PressAtBegin(fnn.Callback):
    def on_train_begin(self, context):
        press(context)


class PressAtEnd(fnn.Callback):
    def on_train_end(self, context):
        press(context)


def test_ctrl_c_at_the_start_of_fit_is_no_error(backend):
    net = network()
    history = net.fit(X, Y, callbacks=PressAtBegin())
    assert history.interrupted
    assert history.epochs == 0


def test_ctrl_c_in_the_last_callback_is_passed_on_after_early_stopping(backend):
    net, path = network(), trajectory()
    with pytest.raises(KeyboardInterrupt):
        fit(net, [PressAtEnd(), EarlyStopping("loss", mode="max")])
    np.testing.assert_array_equal(net.get_flat(), path[BATCHES])


def test_ctrl_c_in_a_training_within_a_callback_ends_that_training_only(backend):
    inner, histories = network(), []

    def train_another(context):
        histories.append(inner.fit(X, Y, epochs=3, callbacks=press))

    outer = network().fit(X, Y, epochs=2, callbacks=train_another)
    assert [h.interrupted for h in histories] == [True, True]
    assert (outer.interrupted, outer.epochs) == (False, 2)


def test_early_stopping_knows_an_epoch_whose_callback_is_interrupted(backend):
    net = network()
    net.fit(X, Y, epochs=3, early_stopping=EarlyStopping("loss"), callbacks=press)
    assert net.history.best_epoch == 1


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_best_parameters_are_restored_however_training_ends(backend, status):
    def end(context):
        if context.epoch == 3:
            raise KeyboardInterrupt if status == "interrupted" else ValueError

    net, path = network(), trajectory()
    stopping = EarlyStopping("loss", mode="max")
    try:
        fit(net, [stopping, end])
    except ValueError:
        assert status == "failed"
    np.testing.assert_array_equal(net.get_flat(), path[BATCHES])
