"""The training loop: what it asks of an engine, and what it makes of the answers."""

import json
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from programs import chain, data_for, initial_storage
from recorder import Recorder, Trainee, example_history, rows, run

from fastnn import backend as backends
from fastnn._shared.arrays import is_readable
from fastnn.optimizers import Adam, GradientDescent
from fastnn.schedules import Step
from fastnn.training import data as training_data
from fastnn.training import loop
from fastnn.training.callbacks import EarlyStopping
from fastnn.training.state import TrainingError, TrainingState

# --------------------------------------------------------------------- real engines


class Net:
    """A small network as `fit` sees one: engine, optimizer, slots, state."""

    def __init__(self, optimizer, dtype="float32", storage=None, slots=None, state=None):
        program = chain([5, 8, 3], dtype=dtype, dropout=0.2)
        storage = initial_storage(program) if storage is None else storage
        self.engine = backends.new_engine(program, storage)
        self.slots = slots or [program.allocate() for _ in optimizer.slot_names]
        self.engine.set_optimizer(optimizer.kind, optimizer.hyper, self.slots)
        self.optimizer = optimizer
        self.state = state or TrainingState()
        self.data = data_for(program, 50)

    def fit(self, **options):
        options = {"batch_size": 8, "seed": 3} | options
        return Trainee(self.engine, self.optimizer, self.state).fit(self.data, **options)

    def copy(self):
        """As if saved to a file and loaded."""
        state = TrainingState.from_dict(json.loads(json.dumps(self.state.to_dict())))
        slots = [slot.copy() for slot in self.slots]
        return Net(self.optimizer, "float32", self.engine.storage.copy(), slots, state)


@pytest.fixture(params=backends.available())
def backend(request):
    with backends.use(request.param):
        yield request.param


SCHEDULED_ADAM = Adam(Step(0.02, 0.5, every=10))


def test_training_lowers_the_loss(backend):
    history = Net(Adam(0.02)).fit(epochs=30)
    assert history["loss"][-1] < 0.8 * history["loss"][0]


def test_same_seed_gives_the_same_bits(backend):
    one, two = Net(SCHEDULED_ADAM), Net(SCHEDULED_ADAM)
    assert one.fit(epochs=3)["loss"] == two.fit(epochs=3)["loss"]
    np.testing.assert_array_equal(one.engine.storage, two.engine.storage)


def test_another_seed_gives_another_order(backend):
    one, two = Net(SCHEDULED_ADAM), Net(SCHEDULED_ADAM)
    one.fit(epochs=1)
    two.fit(epochs=1, seed=4)
    assert not np.array_equal(one.engine.storage, two.engine.storage)


def test_resumed_training_equals_uninterrupted_bit_for_bit(backend):
    whole = Net(SCHEDULED_ADAM)
    expected = whole.fit(epochs=5)
    half = Net(SCHEDULED_ADAM)
    half.fit(epochs=2)
    resumed = half.copy()
    history = resumed.fit(epochs=3)
    np.testing.assert_array_equal(resumed.engine.storage, whole.engine.storage)
    assert history["loss"] == expected["loss"]
    assert history["learning_rate"] == expected["learning_rate"]


@pytest.mark.parametrize("seconds", [0.0, 1e-4, 1e3])
def test_results_do_not_depend_on_the_length_of_calls(backend, monkeypatch, seconds):
    expected = Net(SCHEDULED_ADAM)
    losses = expected.fit(epochs=3)["loss"]
    monkeypatch.setattr(loop, "_CALL_SECONDS", seconds)
    net = Net(SCHEDULED_ADAM)
    assert net.fit(epochs=3)["loss"] == losses
    np.testing.assert_array_equal(net.engine.storage, expected.engine.storage)


def test_converted_data_trains_to_the_same_bits(backend):
    expected = Net(SCHEDULED_ADAM)
    expected.fit(epochs=2)
    net = Net(SCHEDULED_ADAM)
    (x,), ((labels, _),) = net.data
    net.data = [np.asfortranarray(x.astype(">f8"))], [(labels.astype(np.uint8), None)]
    net.fit(epochs=2)
    np.testing.assert_array_equal(net.engine.storage, expected.engine.storage)


def test_early_stopping_restores_real_parameters(backend):
    net = Net(Adam(0.05))
    storage, kept = net.engine.storage, []
    values = iter([3.0, 1.0, 2.0, 2.0])

    def validate():
        kept.append(storage.copy())
        return {"loss": next(values)}

    net.fit(
        epochs=4, validate=validate, callbacks=EarlyStopping(patience=2),
        snapshot=storage.copy, restore=lambda copy: np.copyto(storage, copy),
    )  # fmt: skip
    np.testing.assert_array_equal(storage, kept[1])


# ---------------------------------------------------------------------------- batches


def test_batches_follow_the_rows_and_the_last_one_is_short():
    engine = Recorder()
    run(engine, n=10, batch_size=4)
    assert engine.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_batch_larger_than_the_data_is_one_batch():
    engine = Recorder()
    run(engine, n=3, batch_size=100)
    assert engine.batches == [[0, 1, 2]]


def test_shuffled_epoch_visits_every_row_once():
    engine = Recorder()
    run(engine, n=103, batch_size=10, shuffle=True)
    visited = [row for batch in engine.batches for row in batch]
    assert visited != sorted(visited)
    assert sorted(visited) == list(range(103))


def test_epochs_have_the_documented_orders():
    engine = Recorder()
    state = TrainingState(epoch=7)
    run(engine, state, n=50, batch_size=50, shuffle=True, seed=11, epochs=2)
    for epoch, batch in zip((7, 8), engine.batches, strict=True):
        bits = np.random.PCG64(np.random.SeedSequence([11, epoch]))
        assert batch == np.random.Generator(bits).permutation(50).tolist()


def test_targets_stay_beside_their_inputs():
    engine = Recorder()
    run(engine, n=30, shuffle=True, epochs=2)
    assert [[[[x] for x in batch]] for batch in engine.batches] == engine.targets


def test_steps_are_counted_from_one_across_epochs_and_calls():
    engine, state = Recorder(), TrainingState()
    run(engine, state, epochs=2)
    run(engine, state, epochs=1)
    assert engine.steps == list(range(1, 10))
    assert (state.epoch, state.step) == (3, 9)


def test_every_step_gets_its_learning_rate():
    engine = Recorder()
    run(engine, optimizer=GradientDescent(Step(1.0, 0.5, every=2)), epochs=2)
    assert engine.rates == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_ready_arrays_reach_the_engine_uncopied():
    engine = Recorder()
    inputs, targets = rows(20)
    run(engine, data=(inputs, targets), shuffle=True)
    for (x,), ((t, _),), order in engine.calls:
        assert np.shares_memory(x, inputs[0])
        assert np.shares_memory(t, targets[0][0])
        assert order.dtype == np.int64


def test_unshuffled_ready_arrays_are_sliced_not_copied():
    engine = Recorder()
    inputs, targets = rows(20)
    run(engine, data=(inputs, targets))
    assert all(np.shares_memory(x, inputs[0]) for (x,), _, _ in engine.calls)


READABLE = {
    "float32": lambda x: x.astype(np.float32),
    "int16": lambda x: x.astype(np.int16),
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "column of a wider array": lambda x: np.hstack([x, x])[:, :1],
}
CONVERTED = {
    "big-endian": lambda x: x.astype(">f8"),
    "long double": lambda x: x.astype(np.longdouble),
    "not aligned": lambda x: np.frombuffer(b" " + x.tobytes(), x.dtype, len(x), 1)[:, None],
}


@pytest.mark.parametrize("name", READABLE | CONVERTED)
@pytest.mark.parametrize("shuffle", [False, True])
def test_arrays_of_other_types_arrive_in_the_same_order(name, shuffle):
    expected, engine = Recorder(), Recorder()
    inputs, targets = rows(40)
    run(expected, data=(inputs, targets), shuffle=shuffle, epochs=2)
    other = (READABLE | CONVERTED)[name](inputs[0])
    run(engine, data=([other], targets), shuffle=shuffle, epochs=2)
    assert engine.batches == expected.batches
    assert engine.targets == expected.targets


@pytest.mark.parametrize("name", READABLE)
def test_arrays_that_engines_read_arrive_uncopied(name):
    engine = Recorder()
    inputs, targets = rows(40)
    other = READABLE[name](inputs[0])
    run(engine, data=([other], targets), shuffle=True)
    assert all(x.dtype == other.dtype for (x,), _, _ in engine.calls)
    assert all(np.shares_memory(x, other) for (x,), _, _ in engine.calls)


@pytest.mark.parametrize("name", CONVERTED)
def test_conversion_takes_only_the_rows_of_a_call(name):
    engine = Recorder()
    inputs, targets = rows(40)
    run(engine, data=([CONVERTED[name](inputs[0])], targets), shuffle=True)
    assert all(is_readable(x) for (x,), _, _ in engine.calls)
    assert sum(len(x) for (x,), _, _ in engine.calls) == 40


def test_memory_map_trains_like_its_array(tmp_path):
    inputs, targets = rows(40, "float32")
    np.save(tmp_path / "x.npy", inputs[0])
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected, engine = Recorder("float32"), Recorder("float32")
    run(expected, data=(inputs, targets), shuffle=True)
    run(engine, data=([mapped], targets), shuffle=True)
    assert engine.batches == expected.batches


def test_conversion_gathers_a_bounded_number_of_rows(monkeypatch):
    monkeypatch.setattr(training_data, "_GATHERED_BYTES", 1000)
    engine = Recorder("float32")
    (inputs,), targets = rows(500)
    run(engine, data=([inputs.astype(">f4")], targets), batch_size=10, epochs=3, shuffle=True)
    assert max(x.nbytes for (x,), _, _ in engine.calls) <= 1000
    assert len(engine.batches) == 150


def test_weights_arrive_in_the_dtype_of_the_program():
    engine = Recorder("float32")
    inputs, ((target, _),) = rows(4)
    run(engine, data=(inputs, [(target, np.arange(4))]))
    weights = engine.calls[0][1][0][1]
    assert weights.dtype == np.float32
    assert weights.tolist() == [0, 1, 2, 3]


# ---------------------------------------------------------------------------- history


def test_epoch_loss_is_the_mean_over_rows_not_over_batches():
    history = run(Recorder(), n=10, batch_size=4)
    assert history["loss"] == [4.5]


def test_history_names_the_validation_metrics():
    history = run(Recorder(), validate=lambda: {"loss": np.float32(0.5), "accuracy": 1})
    assert history["val_loss"] == [0.5]
    assert history["val_accuracy"] == [1.0]
    assert list(history) == ["loss", "learning_rate", "seconds", "val_loss", "val_accuracy"]


def test_history_holds_the_learning_rate_of_the_last_step_of_each_epoch():
    history = run(Recorder(), optimizer=GradientDescent(Step(1.0, 0.5, every=2)), epochs=2)
    assert history["learning_rate"] == [0.5, 0.25]


def test_history_goes_on_over_calls_and_is_a_copy():
    engine, state = Recorder(), TrainingState()
    first = run(engine, state, epochs=2)
    second = run(engine, state, epochs=1)
    assert (first.epochs, second.epochs) == (2, 3)


def test_what_an_epoch_did_not_measure_is_nan():
    engine, state = Recorder(), TrainingState()
    run(engine, state)
    run(engine, state, validate=lambda: {"loss": 0.5})
    history = run(engine, state)
    np.testing.assert_array_equal(history["val_loss"], [np.nan, 0.5, np.nan])


def test_no_epochs_change_nothing():
    state = TrainingState()
    assert run(Recorder(), state, epochs=0).epochs == 0
    assert state == TrainingState()


def test_state_survives_json():
    state = TrainingState(3, 21, example_history())
    assert TrainingState.from_dict(json.loads(json.dumps(state.to_dict()))) == state


@pytest.mark.parametrize(
    "damage",
    [
        {"epoch": -1},
        {"step": 1.5},
        {"history": None},
        {"history": {}},
        {"history": {"columns": [], "epochs": 0}},
        {"history": example_history().to_dict() | {"epochs": 3}},
        {"history": example_history().to_dict() | {"columns": {"loss": [{}, 1]}}},
        {"history": example_history().to_dict() | {"columns": {"loss": ["x", 1]}}},
        {"history": example_history().to_dict() | {"best_epoch": "x"}},
    ],
    ids=str,
)
def test_damaged_state_raises_value_error(damage):
    data = TrainingState(3, 21, example_history()).to_dict()
    with pytest.raises(ValueError, match=r"not a training|must be"):
        TrainingState.from_dict(data | damage)


@pytest.mark.parametrize("data", [None, [], {}, 3])
def test_other_data_is_no_state(data):
    with pytest.raises(ValueError, match="not a training state"):
        TrainingState.from_dict(data)


# ----------------------------------------------------------------- a loss that is nan


def test_nan_loss_names_epoch_and_batch_counted_from_one():
    engine = Recorder(diverges_at=6)
    with pytest.raises(TrainingError, match=r"became nan at epoch 2, batch 3 \(optimizer step 6\)"):
        run(engine, n=10, batch_size=4, epochs=5)


def test_nan_loss_keeps_finished_steps_and_epochs():
    state = TrainingState()
    with pytest.raises(FloatingPointError):
        run(Recorder(diverges_at=6), state, epochs=5)
    assert (state.epoch, state.step, state.history.epochs) == (1, 5, 1)


def test_error_has_the_place_and_survives_pickling():
    with pytest.raises(TrainingError) as caught:
        run(Recorder(diverges_at=6), epochs=5, optimizer=GradientDescent(0.125))
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.epoch, error.batch, error.step) == (2, 3, 6)
    assert math.isnan(error.loss)
    assert "0.125" in str(error)
    assert str(error) == str(caught.value)


def test_parameters_are_those_before_the_step_that_diverged(backend):
    """A step before the nan, uninterrupted, gives the same parameters."""
    expected, net = Net(SCHEDULED_ADAM), Net(SCHEDULED_ADAM)
    (x,), targets = expected.data
    expected.data = [x[:16]], [(targets[0][0][:16], None)]
    expected.fit(epochs=1, shuffle=False)
    poisoned = x.copy()
    poisoned[16:] = np.nan
    net.data = [poisoned], targets
    with pytest.raises(TrainingError, match="batch 3"):
        net.fit(epochs=1, shuffle=False)
    np.testing.assert_array_equal(net.engine.storage, expected.engine.storage)


def test_bad_rate_in_the_middle_stops_with_its_step():
    state = TrainingState()
    bad = GradientDescent(lambda step: -1.0 if step == 5 else 0.1)
    with pytest.raises(ValueError, match="learning rate at step 5"):
        run(Recorder(), state, optimizer=bad, epochs=5)
    assert state.step <= 4


# -------------------------------------------------------------------------- verbosity


def test_silent_training_prints_nothing(capsys):
    run(Recorder(), verbose=0)
    assert capsys.readouterr() == ("", "")


def test_lines_tell_epoch_loss_and_validation(capsys):
    run(Recorder(), TrainingState(epoch=8), epochs=2, verbose=2, validate=lambda: {"loss": 0.5})
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("epoch  9/10  loss 4.5  learning_rate 0.1  val_loss 0.5  ")
    assert lines[1].startswith("epoch 10/10  ")
    assert len(lines) == 2
    assert err == ""


def test_bar_goes_to_stderr_and_shows_loss_and_validation(capsys):
    run(Recorder(), epochs=2, verbose=1, validate=lambda: {"loss": 0.25})
    out, err = capsys.readouterr()
    assert out == ""
    last = err.split("\r")[-1]
    assert "epoch 2/2" in last
    assert "6/6" in last
    assert "loss=4.5" in last
    assert "val_loss=0.25" in last


def test_training_does_not_import_tqdm_unless_it_draws():
    program = "import sys, fastnn.training; print('tqdm' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"


# ------------------------------------------------------------------------ bad arguments


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"epochs": -1}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"seed": -1, "shuffle": True}, "seed"),
        ({"verbose": 3}, "verbose"),
        ({"n": 0}, "number of rows"),
        ({"data": (rows(3)[0], rows(4)[1])}, "number of rows"),
        ({"data": (rows(3)[0], [(np.ones((3, 1)), np.ones(2))])}, "number of rows"),
        ({"data": ([], rows(4)[1])}, "number of rows"),
    ],
)
def test_bad_argument_of_fit_is_named(options, name):
    with pytest.raises((TypeError, ValueError), match=name):
        run(Recorder(), **options)


def test_learning_rate_of_a_step():
    optimizer = GradientDescent(Step(1.0, 0.5, every=2))
    assert [loop.learning_rate(optimizer, step) for step in (1, 2, 3)] == [1, 1, 0.5]
    with pytest.raises(ValueError, match="step"):
        loop.learning_rate(optimizer, 0)
