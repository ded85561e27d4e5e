"""History, callbacks and early stopping."""

import json
import math

import numpy as np
import pytest
from recorder import Recorder, example_history, interrupt_at, run

from fastnn.training import TrainingError, TrainingState
from fastnn.training.callbacks import Callback, EarlyStopping, History

# ------------------------------------------------------------------------------ history


def test_history_survives_json_with_nan_and_inf():
    history = example_history()
    assert History.from_dict(json.loads(json.dumps(history.to_dict(), allow_nan=False))) == history


def test_history_reads_as_one_line_and_prints_as_a_table():
    history = example_history()
    assert repr(history) == "History(2 epochs, loss 0.25, val_r2 -inf, best epoch 2, stopped early)"
    lines = str(history).splitlines()
    assert lines[0].split() == ["epoch", "loss", "val_r2"]
    assert lines[2].split() == ["2", "0.25", "-inf"]


def test_table_of_a_long_history_shows_first_and_last_epoch():
    history = History()
    for i in range(1000):
        history.append({"loss": 1 / (1 + i)})
    lines = str(history).splitlines()
    assert len(lines) < 20
    assert [int(lines[1].split()[0]), int(lines[-3].split()[0])] == [1, 1000]


class Full(list):
    """A list that cannot grow."""

    def append(self, value):
        super().append(value)
        raise MemoryError


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, TypeError])
def test_history_stays_as_it_is_if_an_epoch_cannot_be_added(error):
    history = example_history()
    before = history.copy()

    class Refused:
        def __float__(self):
            raise error

    with pytest.raises(error):
        history.append({"loss": 1.0, "new": 2.0, "seconds": Refused()})
    assert history == before
    assert list(history) == list(before)


def test_history_stays_as_it_is_if_a_column_cannot_grow():
    history = example_history()
    before = history.copy()
    name = list(history)[-1]
    history._columns[name] = Full(history[name])
    with pytest.raises(MemoryError):
        history.append({"loss": 1.0, "new": 2.0})
    assert history == before


def test_missing_measure_lists_what_there_is():
    with pytest.raises(KeyError, match=r"no 'accuracy'.*loss, val_r2"):
        example_history()["accuracy"]


# ---------------------------------------------------------------------------- callbacks


class Log(Callback):
    def __init__(self):
        self.events = []

    def on_train_begin(self, context):
        self.events.append(("begin", context.epoch, context.status))

    def on_epoch_end(self, context):
        self.events.append(("epoch", context.epoch, context.step, context.logs["loss"]))

    def on_train_end(self, context):
        self.events.append(("end", context.epoch, context.status))


def test_callback_sees_begin_every_epoch_and_end():
    log = Log()
    run(Recorder(), epochs=2, callbacks=[log])
    assert log.events == [
        ("begin", 0, "running"),
        ("epoch", 1, 3, 4.5),
        ("epoch", 2, 6, 4.5),
        ("end", 2, "finished"),
    ]


def test_callback_sees_network_and_history():
    seen = []
    run(Recorder(), callbacks=lambda c: seen.append((c.network, c.history["loss"])), network="net")
    assert seen == [("net", [4.5])]


@pytest.mark.parametrize("stop", [lambda c: c.epoch == 2, lambda c: np.bool_(c.epoch == 2)])
def test_true_from_a_function_stops(stop):
    history = run(Recorder(), epochs=5, callbacks=stop)
    assert (history.epochs, history.stopped_early) == (2, True)


def test_other_results_of_a_function_do_not_stop():
    assert run(Recorder(), epochs=3, callbacks=lambda c: 1).epochs == 3


def test_context_stop_stops_after_all_callbacks_saw_the_epoch():
    log = Log()
    history = run(Recorder(), epochs=5, callbacks=[lambda c: c.stop(), log])
    assert (history.epochs, history.stopped_early) == (1, True)
    assert log.events[-2:] == [("epoch", 1, 3, 4.5), ("end", 1, "stopped")]


def test_end_is_called_after_an_error_too():
    log = Log()
    with pytest.raises(TrainingError):
        run(Recorder(diverges_at=4), epochs=5, callbacks=log)
    assert log.events[-1] == ("end", 1, "failed")


def test_error_in_a_callback_comes_through():
    def broken(context):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Recorder(), callbacks=broken)


def test_error_in_validation_keeps_the_epoch_that_was_trained():
    state = TrainingState()

    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Recorder(), state, validate=broken)
    assert (state.epoch, state.history.epochs) == (1, 1)


@pytest.mark.parametrize("callback", [3, "early", EarlyStopping])
def test_what_is_no_callback_is_refused(callback):
    with pytest.raises(TypeError, match="callbacks"):
        run(Recorder(), callbacks=[callback])


# ------------------------------------------------------------------------ early stopping


def stopped(values, monitor="loss", **options):
    """Train with given validation values; returns history, stopper and restored snapshot."""
    sequence = iter(values)
    clock, restored = [], []
    stopper = EarlyStopping(f"val_{monitor}", **options)

    def validate():
        clock.append(len(clock) + 1)
        return {monitor: next(sequence)}

    history = run(
        Recorder(), epochs=len(values), validate=validate, callbacks=stopper,
        snapshot=lambda: clock[-1], restore=restored.append,
    )  # fmt: skip
    return history, stopper, restored


def test_stops_after_patience_epochs_without_improvement():
    history, stopper, _ = stopped([3, 2, 1, 1.5, 1.2, 1.1, 0.5], patience=3)
    assert (history.epochs, history.stopped_early, history.best_epoch) == (6, True, 3)
    assert (stopper.best, stopper.best_epoch) == (1, 3)


def test_improvement_restarts_patience():
    history, _, _ = stopped([3, 4, 2, 4, 1, 4], patience=2)
    assert (history.epochs, history.stopped_early, history.best_epoch) == (6, False, 5)


def test_improvement_must_exceed_min_delta():
    history, _, _ = stopped([3, 2.9, 2.8, 2.7, 2.6], patience=2, min_delta=0.25)
    assert (history.epochs, history.best_epoch) == (3, 1)


@pytest.mark.parametrize("values", [[3, 1, 2, 2], [3, 1, 2]])
def test_best_parameters_come_back_however_training_ends(values):
    assert stopped(values, patience=2)[2] == [2]


def test_parameters_stay_without_restore_best():
    assert stopped([3, 1, 2, 2], patience=2, restore_best=False)[2] == []


def test_accuracy_is_maximised_on_its_own():
    history, _, _ = stopped([0.5, 0.9, 0.7, 0.8], monitor="accuracy", patience=2)
    assert (history.epochs, history.best_epoch) == (4, 2)


def test_mode_overrules_the_name():
    assert stopped([1, 2, 3], patience=3, mode="max")[0].best_epoch == 3


def test_nan_never_improves():
    with pytest.warns(UserWarning, match="val_loss was nan in every epoch"):
        history, stopper, restored = stopped([math.nan] * 5, patience=3)
    assert (history.epochs, stopper.best_epoch, restored) == (3, None, [])


def test_a_number_after_nan_is_the_best():
    assert stopped([math.nan, 2, math.nan], patience=3)[0].best_epoch == 2


@pytest.mark.parametrize("monitor", ["val_precision", "val_recall", "learning_rate", "val_xr2"])
def test_a_measure_of_unknown_direction_needs_a_mode(monitor):
    with pytest.raises(ValueError, match=f"{monitor}' are better: give mode='min' or mode='max'"):
        EarlyStopping(monitor)


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        ("val_loss", "min"), ("val_a_loss", "min"), ("val_rmse", "min"), ("brier_score", "min"),
        ("accuracy", "max"), ("val_b_r2", "max"), ("val_auc", "max"), ("val_f1", "max"),
    ],
)  # fmt: skip
def test_the_direction_of_common_measures_is_known(monitor, mode):
    assert EarlyStopping(monitor).mode == mode


def test_the_mode_of_any_measure_can_be_given():
    assert EarlyStopping("val_precision", mode="max").mode == "max"


def test_patience_0_ends_at_the_first_epoch_without_improvement():
    assert stopped([3, 2, 2, 1], patience=0)[0].epochs == 3


def test_epochs_below_the_baseline_use_up_the_patience():
    assert stopped([5, 4, 3, 2, 1], patience=3, baseline=2.5)[0].epochs == 3


def test_epochs_beyond_the_baseline_restart_the_patience():
    assert stopped([5, 4, 2, 1, 0.5], patience=3, baseline=2.5)[0].epochs == 5


def test_the_best_epoch_below_the_baseline_is_restored():
    assert stopped([3, 4, 2, 5], patience=4, baseline=1)[2] == [3]


def test_epochs_before_the_start_are_ignored():
    history, _, _ = stopped([0, 5, 4, 6, 6], patience=2, start_from_epoch=1)
    assert (history.best_epoch, history.epochs) == (3, 5)


def test_the_start_counts_the_epochs_of_each_training():
    stopper, state = EarlyStopping("loss", restore_best=False, start_from_epoch=3), TrainingState()
    run(Recorder(), state, epochs=4, callbacks=stopper)
    run(Recorder(), state, epochs=2, callbacks=stopper)
    assert stopper.best_epoch is None


def test_a_training_error_is_a_value_error():
    assert issubclass(TrainingError, ValueError)


def test_interrupted_training_restores_its_best_parameters():
    restored = []
    run(
        Recorder(before_step=interrupt_at(8)), epochs=5, callbacks=EarlyStopping("loss"),
        snapshot=lambda: 1, restore=restored.append,
    )  # fmt: skip
    assert restored == [1]


def test_stopper_forgets_between_trainings():
    stopper, state = EarlyStopping("loss", patience=2, restore_best=False), TrainingState()
    for epochs in (3, 6):
        assert run(Recorder(), state, epochs=9, callbacks=stopper).epochs == epochs


def test_missing_measure_is_named_with_a_hint():
    with pytest.raises(ValueError, match=r"'val_loss'.*loss, learning_rate.*pass validation data"):
        run(Recorder(), callbacks=EarlyStopping())


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"patience": -1}, "patience"),
        ({"baseline": math.nan}, "baseline"),
        ({"start_from_epoch": -1}, "start_from_epoch"),
        ({"min_delta": -1}, "min_delta"),
        ({"mode": "best"}, "mode"),
        ({"monitor": 3}, "monitor"),
    ],
)
def test_bad_argument_of_early_stopping_is_named(arguments, name):
    with pytest.raises((TypeError, ValueError), match=name):
        EarlyStopping(**arguments)


# --------------------------------------------------------------- table of the history


def long_history(epochs=100, best=None):
    history = History()
    for i in range(epochs):
        history.append({"loss": 1 / (1 + i), "seconds": 0.01 * 1.5**i})
    history.best_epoch = best
    return history


def test_what_was_not_measured_is_a_dash_in_the_table():
    history = History()
    history.append({"loss": 2.0, "val_loss": 3.0})
    history.append({"loss": 1.0})
    assert str(history).splitlines()[2].split() == ["2", "1", "-"]


def test_what_was_not_measured_last_is_left_out_of_the_line():
    history = History()
    history.append({"loss": 2.0, "val_loss": 3.0})
    history.append({"loss": 1.0})
    assert repr(history) == "History(2 epochs, loss 1)"


def test_shortened_table_says_so():
    assert "(12 of 100 epochs shown)" in str(long_history()).splitlines()


def test_whole_table_does_not_speak_of_epochs_left_out():
    assert "shown" not in str(long_history(5))


@pytest.mark.parametrize("best", [1, 2, 57, 99, 100])
def test_shortened_table_has_the_best_epoch(best):
    rows = str(long_history(best=best)).splitlines()[1:-2]
    assert str(best) in [row.split()[0] for row in rows]


def test_decimals_of_the_seconds_stand_below_each_other():
    rows = str(long_history(40)).splitlines()[:-2]
    assert len({len(row) for row in rows}) == 1
    assert {len(row.split()[-1].partition(".")[2]) for row in rows[1:]} == {3}


def test_restore_best_must_be_a_flag():
    with pytest.raises(TypeError, match="restore_best must be True or False, got 'no'"):
        EarlyStopping(restore_best="no")
