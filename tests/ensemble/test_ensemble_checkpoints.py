"""An ensemble that its checkpoints continue has the bits of one that was not interrupted."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import fastnn as fnn

TRAINING = """
import sys, time
import numpy as np
import fastnn as fnn
path, pause, jobs = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
X = np.random.default_rng(0).standard_normal((80, 3))
net = fnn.Sequential([fnn.Dense(3, 8, activation="tanh"), fnn.Dropout(0.1), fnn.Dense(8, 2)])
net.compile("cross_entropy", fnn.Adam(0.02))
ensemble = fnn.Ensemble(net, 3, bootstrap=True, seed=4)
print("begins", flush=True)
ensemble.fit(X, X[:, 0] > 0, epochs=5, callbacks=lambda context: time.sleep(pause), n_jobs=jobs,
             validation_data=(X, X[:, 0] > 0), early_stopping=fnn.EarlyStopping(patience=2),
             checkpoint=path or None)
for member in ensemble.members:
    print(member.get_flat().tobytes().hex(), member.history["loss"], member.history.best_epoch)
print(ensemble.oob_score, flush=True)
"""


def process(backend, path, pause, jobs):
    """A process that trains the ensemble, and has got so far that the training begins."""
    begun = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(path), str(pause), str(jobs)],
        env={**os.environ, "FASTNN_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert begun.stdout.readline() == "begins\n"
    return begun


def check_kills(backend, folder, jobs, kills):
    path, moments = folder / "run.fastnn", random.Random(jobs)
    for _ in range(kills):
        begun = process(backend, path, 0.02, jobs)
        time.sleep(moments.uniform(0, 0.25))
        begun.send_signal(signal.SIGKILL)
        begun.communicate()
        for file in folder.iterdir():
            if file.suffix == ".fastnn":
                fnn.load(file)  # complete at any moment
    results = [process(backend, path, 0, 1).communicate()[0] for path in (path, "")]
    assert results[0] == results[1]
    assert len(results[0].split()) > 6
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["run.0.fastnn", "run.1.fastnn", "run.2.fastnn"]


@pytest.mark.skipif(os.name != "posix", reason="kills processes the POSIX way")
def test_killed_ensembles_end_with_the_bits_of_one_without_a_kill(backend, tmp_path):
    check_kills(backend, tmp_path, jobs=2, kills=2)


@pytest.mark.exhaustive
@pytest.mark.parametrize("run", range(1, 9))
def test_many_kills(backend, tmp_path, run):
    check_kills(backend, tmp_path, run % 3 + 1, 25)


class Stop(Exception):
    pass


X = np.random.default_rng(1).standard_normal((60, 3))
DATA = X, (X[:, 0] > 0).astype(int)


def ensemble(n=3, optimizer="adam", **options):
    net = fnn.Sequential([fnn.Dense(3, 4, activation="tanh"), fnn.Dense(4, 2)])
    net.compile("cross_entropy", optimizer)
    return fnn.Ensemble(net, n, **options)


def bits(made):
    return [member.get_flat().tobytes() for member in made.members]


def stopping(made, i, epoch):
    """A callback that raises in an epoch of a member; other members go on at least as long."""
    lock = threading.Lock()
    epochs = []

    def callback(context):
        with lock:
            epochs.append((made.members.index(context.network), context.epoch))
        if epochs[-1] == (i, epoch):
            raise Stop

    callback.epochs = epochs
    return callback


def test_finished_members_are_not_trained_again(backend, tmp_path):
    path = tmp_path / "run.fastnn"
    made = ensemble()
    with pytest.raises(Stop):
        made.fit(*DATA, epochs=4, checkpoint=path, callbacks=stopping(made, 1, 3))
    again, whole = ensemble(), ensemble()
    watch = stopping(again, None, None)
    histories = again.fit(*DATA, epochs=4, checkpoint=path, callbacks=watch)
    assert watch.epochs == [(1, 3), (1, 4), (2, 1), (2, 2), (2, 3), (2, 4)]
    expected = whole.fit(*DATA, epochs=4)
    assert bits(again) == bits(whole)
    assert [h["loss"] for h in histories] == [h["loss"] for h in expected]


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_members_that_an_error_of_another_interrupts_continue(tmp_path, n_jobs):
    path = tmp_path / "run.fastnn"
    made = ensemble()
    with pytest.raises(Stop):
        made.fit(*DATA, epochs=60, n_jobs=n_jobs, checkpoint=path, callbacks=stopping(made, 0, 2))
    again, whole = ensemble(), ensemble()
    again.fit(*DATA, epochs=60, checkpoint=path, callbacks=lambda context: None)
    whole.fit(*DATA, epochs=60)
    assert bits(again) == bits(whole)
    assert [member.history.epochs for member in again.members] == [60, 60, 60]


def test_a_larger_ensemble_continues_the_files_of_a_smaller_one(tmp_path):
    path = tmp_path / "run.fastnn"
    ensemble(2).fit(*DATA, epochs=3, checkpoint=path)
    larger, whole = ensemble(4), ensemble(4)
    larger.fit(*DATA, epochs=3, checkpoint=path)
    whole.fit(*DATA, epochs=3)
    assert bits(larger) == bits(whole)


@pytest.mark.parametrize(
    ("construction", "options", "message"),
    [
        ({}, {"epochs": 5}, "run.0.fastnn belongs to another training: different are epochs"),
        ({"seed": 9}, {}, "run.0.fastnn belongs to another training: different are the network"),
        ({"bootstrap": True}, {}, "different are the training data"),
        ({}, {"weights_mean": "batch"}, "different are weights_mean"),
    ],
)
def test_checkpoints_of_another_ensemble_are_refused(tmp_path, construction, options, message):
    path = tmp_path / "run.fastnn"
    ensemble().fit(*DATA, epochs=3, checkpoint=path)
    other = ensemble(**construction)
    before = bits(other)
    with pytest.raises(ValueError, match=message):
        other.fit(*DATA, **{"epochs": 3, "checkpoint": path, **options})
    assert bits(other) == before


def test_a_damaged_file_of_the_last_member_is_found_before_the_first_is_trained(tmp_path):
    path = tmp_path / "run.fastnn"
    ensemble().fit(*DATA, epochs=3, checkpoint=path)
    (tmp_path / "run.2.fastnn").write_bytes(b"damaged")
    other = ensemble()
    before = bits(other)
    with pytest.raises(fnn.FormatError, match=r"run\.2\.fastnn"):
        other.fit(*DATA, epochs=3, checkpoint=path)
    assert bits(other) == before


def test_solvers_have_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="checkpoint does not go with lbfgs: the solver runs"):
        ensemble(optimizer="lbfgs").fit(*DATA, checkpoint=tmp_path / "run.fastnn")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("every", "error"), [(0, ValueError), ("1", TypeError)])
def test_intervals_are_checked(tmp_path, every, error):
    with pytest.raises(error, match="checkpoint_every"):
        ensemble().fit(*DATA, checkpoint=tmp_path / "run", checkpoint_every=every)


def test_a_name_without_an_ending_is_numbered_too(tmp_path):
    ensemble(2).fit(*DATA, epochs=1, checkpoint=tmp_path / "run")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.0", "run.1"]
