"""A training that its checkpoint continues has the bits of a training without interruption."""

import datetime
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn

TRAINING = """
import os, sys, time
import numpy as np
import fastnn as fnn
path, pause, epochs = sys.argv[1], float(sys.argv[2]), 12
rng = np.random.default_rng(0)
X = rng.standard_normal((120, 4))
y = X[:, 0] ** 2
net = fnn.Sequential(
    [fnn.Dense(4, 16, activation="tanh"), fnn.Dropout(0.1), fnn.Dense(16, 1)], seed=3
)
net.compile(loss="mean_squared_error", optimizer=fnn.Adam(fnn.schedules.Cosine(0.01, 60)))
def wait(context):
    time.sleep(pause)
stopping = fnn.EarlyStopping(patience=4)
print("begins", flush=True)
net.fit(X, y, epochs=epochs, validation_split=0.2, early_stopping=stopping, callbacks=wait,
        checkpoint=path or None)
print(net.get_flat().tobytes().hex(), net.history.epochs, stopping.best_epoch, flush=True)
"""


def command(path, pause):
    return [sys.executable, "-c", TRAINING, str(path), str(pause)]


def environment(backend):
    return {**os.environ, "FASTNN_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}


def result(backend, path=""):
    done = subprocess.run(
        command(path, 0), env=environment(backend), capture_output=True, text=True, check=True
    )
    return done.stdout


def kill_at_random(backend, path, seconds):
    """Start the training, and kill it some time after its first epoch could begin."""
    process = subprocess.Popen(
        command(path, 0.01), env=environment(backend), stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def check_kills(backend, folder, kills):
    path = folder / "run.fastnn"
    moments = random.Random(0)
    for _ in range(kills):
        kill_at_random(backend, path, moments.uniform(0, 0.12))
        if path.exists():
            fnn.load(path)  # complete at any moment
    assert result(backend, path) == result(backend)
    assert [file.name for file in folder.iterdir()] == ["run.fastnn"]


@pytest.mark.skipif(os.name != "posix", reason="kills processes the POSIX way")
def test_killed_trainings_end_with_the_bits_of_one_without_a_kill(backend, tmp_path):
    check_kills(backend, tmp_path, 3)


@pytest.mark.exhaustive
@pytest.mark.parametrize("run", range(20))
def test_many_kills(backend, tmp_path, run):
    check_kills(backend, tmp_path, 25)


class Stop(Exception):
    pass


def data(n=60):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, 3))
    return X, (X[:, 0] > 0).astype(int)


def network(optimizer="adam", width=8, seed=0):
    net = fnn.Sequential([fnn.Dense(3, width, activation="relu"), fnn.Dense(width, 2)], seed=seed)
    net.compile(loss="cross_entropy", optimizer=optimizer)
    return net


def stop_after(epoch):
    def callback(context):
        if context.epoch == epoch:
            raise Stop

    return callback


def started(path, **options):
    """A checkpoint of a training that an error ended in its fourth epoch."""
    options = {"epochs": 8, "checkpoint": path} | options
    with pytest.raises(Stop):
        network().fit(*data(), callbacks=stop_after(4), **options)


def go_on(net, path, X_y=None, **options):
    options = {"epochs": 8, "checkpoint": path, "callbacks": stop_after(None)} | options
    return net.fit(*(X_y or data()), **options)


def bits(net):
    return hashlib.sha256(net.get_flat().tobytes()).hexdigest()


@pytest.mark.parametrize("optimizer", fnn.optimizers.names())
def test_every_optimizer_continues_with_the_same_bits(backend, optimizer, tmp_path):
    path = tmp_path / "run.fastnn"
    with pytest.raises(Stop):
        network(optimizer).fit(*data(), epochs=8, checkpoint=path, callbacks=stop_after(4))
    resumed, whole = network(optimizer), network(optimizer)
    go_on(resumed, path)
    whole.fit(*data(), epochs=8)
    assert bits(resumed) == bits(whole)
    assert resumed.history["loss"] == whole.history["loss"]


def test_a_checkpoint_is_a_network_of_its_epoch(tmp_path):
    started(tmp_path / "run.fastnn")
    three = network()
    three.fit(*data(), epochs=3)
    assert bits(fnn.load(tmp_path / "run.fastnn")) == bits(three)


def test_a_loaded_checkpoint_continues(tmp_path):
    started(tmp_path / "run.fastnn")
    net, whole = fnn.load(tmp_path / "run.fastnn"), network()
    go_on(net, tmp_path / "run.fastnn")
    whole.fit(*data(), epochs=8)
    assert bits(net) == bits(whole)


def test_a_finished_training_is_not_repeated(tmp_path):
    first, again, epochs = network(), network(), []
    options = {"epochs": 3, "checkpoint": tmp_path / "run.fastnn"}
    first.fit(*data(), callbacks=lambda context: epochs.append(context.epoch), **options)
    history = again.fit(*data(), callbacks=lambda context: epochs.append(context.epoch), **options)
    assert bits(again) == bits(first)
    assert history == first.history
    assert epochs == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 9}, "different are epochs"),
        ({"batch_size": 7}, "different are batch_size"),
        ({"shuffle": False}, "different are shuffle"),
        ({"X_y": data(50)}, "different are the training data"),
        ({"early_stopping": fnn.EarlyStopping("loss")}, "different are the callbacks"),
        ({"validation_data": data(9)}, "different are the validation data"),
        ({"class_weight": [1.0, 2.0]}, "different are the training data or their weights"),
    ],
)
def test_another_training_is_refused_by_name(tmp_path, change, message):
    started(tmp_path / "run.fastnn")
    net = network()
    before = bits(net)
    with pytest.raises(ValueError, match=message):
        go_on(net, tmp_path / "run.fastnn", **change)
    assert bits(net) == before


def test_another_network_is_refused(tmp_path):
    started(tmp_path / "run.fastnn")
    with pytest.raises(ValueError, match="different are the network"):
        go_on(network(width=9), tmp_path / "run.fastnn")


def test_a_network_with_other_values_is_refused(tmp_path):
    started(tmp_path / "run.fastnn")
    net = network()
    net.set_flat(net.get_flat() + 1)
    with pytest.raises(ValueError, match="other values"):
        go_on(net, tmp_path / "run.fastnn")


def test_a_second_training_needs_another_file(tmp_path):
    net = network()
    net.fit(*data(), epochs=2, checkpoint=tmp_path / "run.fastnn")
    with pytest.raises(ValueError, match="another training"):
        net.fit(*data(), epochs=2, checkpoint=tmp_path / "run.fastnn")


def test_a_file_without_a_training_under_way_is_refused(tmp_path):
    network().save(tmp_path / "model.fastnn")
    with pytest.raises(fnn.FormatError, match="no checkpoint"):
        go_on(network(), tmp_path / "model.fastnn")


def test_solvers_have_no_checkpoint(tmp_path):
    net = network(fnn.LBFGS())
    with pytest.raises(ValueError, match="checkpoint does not go with"):
        net.fit(*data(), checkpoint=tmp_path / "run.fastnn")


@pytest.mark.parametrize(
    ("every", "error"),
    [(0, ValueError), (-1, ValueError), ("1", TypeError), (datetime.timedelta(0), ValueError)],
)
def test_intervals_are_checked(tmp_path, every, error):
    with pytest.raises(error, match="checkpoint_every"):
        go_on(network(), tmp_path / "run.fastnn", checkpoint_every=every)


@pytest.mark.parametrize(("every", "epochs"), [(2, 2), (3, 3), (datetime.timedelta(days=1), None)])
def test_files_are_written_at_the_interval(tmp_path, every, epochs):
    started(tmp_path / "run.fastnn", checkpoint_every=every)
    path = tmp_path / "run.fastnn"
    assert (fnn.load(path).history.epochs if path.exists() else None) == epochs


class Counter(fnn.Callback):
    """A callback with a state of its own."""

    def on_train_begin(self, context):
        self.count, self.sums = 0, np.zeros(2)

    def on_epoch_end(self, context):
        self.count += 1
        self.sums += context.logs["loss"]
        if self.count == 4 and getattr(self, "breaks", False):
            raise Stop

    def get_state(self):
        return {"count": self.count, "sums": self.sums}

    def set_state(self, state):
        self.count, self.sums = state["count"], state["sums"]


def test_callbacks_continue_from_their_state(tmp_path):
    first, second, whole = Counter(), Counter(), Counter()
    first.breaks = True
    with pytest.raises(Stop):
        network().fit(*data(), epochs=8, checkpoint=tmp_path / "run.fastnn", callbacks=first)
    network().fit(*data(), epochs=8, checkpoint=tmp_path / "run.fastnn", callbacks=second)
    network().fit(*data(), epochs=8, callbacks=whole)
    assert second.count == whole.count == 8
    assert (second.sums == whole.sums).all()


class Recorder(fnn.Callback):
    """A callback with options of every kind, and with a state in other attributes."""

    def __init__(self, every=2, names=("loss",), weights=None, function=None, folder=None):
        self.every, self.names, self.weights = every, names, weights
        self.function, self.folder = function, folder
        self.seen = 0

    def on_epoch_end(self, context):
        self.seen += 1
        if self.function is not None:
            self.function(context)


@pytest.mark.parametrize(
    "change",
    [
        {"every": 3},
        {"names": ("loss", "val_loss")},
        {"weights": np.array([1.0, 2.5])},
        {"weights": {"loss": [1, 2]}},
        {"folder": Path("elsewhere")},
    ],
    ids=str,
)
def test_other_options_of_a_callback_are_another_training(tmp_path, change):
    path = tmp_path / "run.fastnn"
    plain = {"weights": np.array([1.0, 2.0])}
    broken = Recorder(function=stop_after(4), **plain)
    with pytest.raises(Stop):
        network().fit(*data(), epochs=8, checkpoint=path, callbacks=broken)
    with pytest.raises(ValueError, match="different are the callbacks"):
        network().fit(*data(), epochs=8, checkpoint=path, callbacks=Recorder(**{**plain, **change}))
    # Functions cannot be compared, and what a training changed is no option.
    history = network().fit(*data(), epochs=8, checkpoint=path, callbacks=broken_again(plain))
    assert history.epochs == 8


def broken_again(options):
    """A recorder that has seen a training, and whose function does something else."""
    recorder = Recorder(function=lambda context: None, **options)
    recorder.seen = 7
    return recorder


def test_a_layer_monitor_of_another_interval_is_another_training(tmp_path):
    path = tmp_path / "run.fastnn"
    X, y = data()
    first = fnn.LayerMonitor(X, y, every=1)
    with pytest.raises(Stop):
        network().fit(X, y, epochs=8, checkpoint=path, callbacks=[first, stop_after(4)])
    with pytest.raises(ValueError, match="different are the callbacks"):
        network().fit(
            X,
            y,
            epochs=8,
            checkpoint=path,
            callbacks=[fnn.LayerMonitor(X, y, every=2), stop_after(0)],
        )
