"""Ctrl-C while a network trains: what it waits for, what is kept, and whose handler it was."""

import signal
import threading

from recorder import Recorder, interrupt_at, run

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
