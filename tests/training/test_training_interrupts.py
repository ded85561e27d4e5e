"""Ctrl-C while a network trains: what it waits for, what is kept, and whose handler it was."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from networks import classifier, flowers
from recorder import Recorder, interrupt_at, run

from fastnn.ensemble import Ensemble
from fastnn.training import TrainingState


def test_ctrl_c_ends_training_and_keeps_the_history():
    state = TrainingState()
    history = run(Recorder(before_step=interrupt_at(8)), state, epochs=5)
    assert history.interrupted
    assert history.epochs == state.epoch == 2


def test_ctrl_c_waits_for_the_engine_so_that_steps_and_parameters_agree():
    engine, state = Recorder(before_step=interrupt_at(5)), TrainingState()
    run(engine, state, n=100, epochs=5)
    assert state.step == len(engine.steps) >= 5
    assert len(engine.steps) < 125


def test_interrupted_epoch_starts_anew():
    engine, state = Recorder(before_step=interrupt_at(5)), TrainingState()
    run(engine, state, n=12, batch_size=4, epochs=2, shuffle=True)
    assert state.epoch == 1
    again, second_epoch = Recorder(), Recorder()
    run(again, state, n=12, batch_size=4, shuffle=True)
    run(second_epoch, TrainingState(epoch=1), n=12, batch_size=4, shuffle=True)
    assert again.batches == second_epoch.batches
    assert again.steps[0] == engine.steps[-1] + 1


def test_interrupted_flag_is_cleared_by_the_next_training():
    state = TrainingState()
    assert run(Recorder(before_step=interrupt_at(1)), state).interrupted
    assert not run(Recorder(), state).interrupted


def test_ctrl_c_during_validation_counts_the_epoch():
    state = TrainingState()
    history = run(
        Recorder(), state, epochs=5, validate=lambda: signal.raise_signal(signal.SIGINT) or {}
    )
    assert history.interrupted
    assert state.epoch == history.epochs == 1


def test_ctrl_c_in_a_callback_ends_training():
    def press(context):
        raise KeyboardInterrupt

    state = TrainingState()
    assert run(Recorder(), state, epochs=5, callbacks=press).interrupted
    assert state.epoch == 1


def test_handler_of_ctrl_c_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    run(Recorder(before_step=interrupt_at(2)))
    assert signal.getsignal(signal.SIGINT) is before


def test_handler_of_someone_else_is_left_alone():
    seen = []
    previous = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        history = run(Recorder(before_step=interrupt_at(2)), epochs=2)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert seen == [1]
    assert not history.interrupted
    assert history.epochs == 2


def test_training_works_outside_the_main_thread():
    histories = []
    thread = threading.Thread(target=lambda: histories.append(run(Recorder(), epochs=2)))
    thread.start()
    thread.join()
    assert histories[0].epochs == 2


# ------------------------------------------------------------------------ members


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_stops_all_members_and_is_passed_on(backend, n_jobs):
    ensemble = Ensemble(classifier(), 3)

    def press_when_an_epoch_has_ended():
        while not any(member.history.epochs for member in ensemble.members):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_when_an_epoch_has_ended, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        ensemble.fit(*flowers(np.random.default_rng(0)), epochs=10**6, n_jobs=n_jobs)
    epochs = [member.history.epochs for member in ensemble.members]
    assert 0 < max(epochs) < 10**6


def test_ctrl_c_before_all_members_have_started_stops_those_that_have(monkeypatch):
    submit, submitted = ThreadPoolExecutor.submit, []

    def interrupted(pool, *arguments):
        if submitted:
            raise KeyboardInterrupt
        submitted.append(submit(pool, *arguments))
        return submitted[0]

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    ensemble = Ensemble(classifier(), 2)
    with pytest.raises(KeyboardInterrupt):
        ensemble.fit(*flowers(np.random.default_rng(0)), epochs=10**4, n_jobs=2)
    assert ensemble.members[0].history.epochs < 10**4
