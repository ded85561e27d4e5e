"""Members that are trained in the workers of joblib: processes of this machine, and Dask."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastnn as fnn
from fastnn import tabular
from fastnn.ensemble import workers
from fastnn.training.data import Data

joblib = pytest.importorskip("joblib")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6)).astype(np.float32)
LABELS = (X[:, 0] > X[:, 1]).astype(np.int64)
LARGE = np.zeros((1 << 18, 2))  # bytes beyond joblib's limit for arrays in messages

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def ensemble(n=3, **options):
    net = fnn.Sequential([fnn.Dense(6, 8, activation="tanh"), fnn.Dropout(0.1), fnn.Dense(8, 2)])
    net.compile("cross_entropy", "adam")
    return fnn.Ensemble(net, n, **options)


def results(made):
    return [
        (m.get_flat().tobytes(), m.get_state()["training"]["step"], m.history["loss"])
        for m in made.members
    ]


class Counting(fnn.Callback):
    """Counts epochs, and notes the threads and the process of the training."""

    def __init__(self):
        self.epochs, self.threads, self.process = 0, 0, 0

    def on_epoch_end(self, context):
        self.epochs += 1
        self.threads, self.process = fnn.get_num_threads(), os.getpid()


def failing(seed, act):
    """A function of a training that acts in the member of a seed."""

    def watch(context):
        if context.network.seed == seed:
            act()

    return watch


def lookup_error():
    raise LookupError("mine")


@pytest.fixture(scope="module")
def dask():
    """A cluster of two processes on this machine."""
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(params=["threading", "loky", "dask"])
def kind(request):
    """The name of a backend of joblib that can be used."""
    if request.param == "dask":
        request.getfixturevalue("dask")
    return request.param


# ------------------------------------------------------------------------- the same results


def test_results_are_those_of_one_process(backend, kind):
    options = {"epochs": 3, "validation_split": 0.2, "early_stopping": 1, "class_weight": [1, 2]}
    one, other = ensemble(), ensemble()
    histories = one.fit(X, LABELS, **options)
    others = other.fit(X, LABELS, n_jobs=2, backend=kind, **options)
    assert results(other) == results(one)
    assert [h["val_loss"] for h in others] == [h["val_loss"] for h in histories]
    assert [m.backend for m in other.members] == [backend] * 3


def test_bootstrap_has_the_score_of_one_process(kind):
    one, other = ensemble(bootstrap=True), ensemble(bootstrap=True)
    for made, name in ((one, None), (other, kind)):
        made.fit(X, LABELS, epochs=2, sample_weight=np.arange(400.0), n_jobs=2, backend=name)
    assert other.oob_score == one.oob_score
    assert results(other) == results(one)


def test_training_goes_on_where_it_ended_in_a_worker(kind):
    one, other = ensemble(), ensemble()
    for _ in range(2):
        one.fit(X, LABELS, epochs=1)
        other.fit(X, LABELS, epochs=1, n_jobs=2, backend=kind)
    assert results(other) == results(one)


@pytest.mark.parametrize("name", ["threading", "loky", "multiprocessing"])
def test_a_context_of_joblib_chooses_the_backend(name):
    made = ensemble(2)
    with joblib.parallel_config(name, n_jobs=2):
        made.fit(X, LABELS, epochs=1, callbacks=Counting())
    processes = {counting.process for (counting,) in made.callbacks}
    assert (os.getpid() in processes) == (name == "threading")


def test_a_context_of_dask_chooses_the_cluster(dask):
    made = ensemble(2)
    with joblib.parallel_config("dask"):
        made.fit(X, LABELS, epochs=1, callbacks=Counting())
    workers = set(dask.run(os.getpid).values())
    assert {counting.process for (counting,) in made.callbacks} <= workers


def test_outside_a_context_the_training_stays_in_this_process():
    for options in ({}, {"n_jobs": 2}, {"n_jobs": -1}):
        made = ensemble(2)
        made.fit(X, LABELS, epochs=1, callbacks=Counting(), **options)
        assert {counting.process for (counting,) in made.callbacks} == {os.getpid()}


def test_models_for_tables_spread_over_a_context(kind):
    table = {"a": X[:, 0], "b": X[:, 1], "y": np.where(LABELS, "yes", "no")}
    one = tabular.fit(table, "y", preset="fast", seed=1)
    with joblib.parallel_config(kind, n_jobs=2):
        other = tabular.fit(table, "y", preset="fast", seed=1)
    np.testing.assert_array_equal(other.predict_proba(table), one.predict_proba(table))


def test_a_checkpoint_of_a_worker_continues_in_this_process(tmp_path, kind):
    options = {"epochs": 4, "checkpoint": tmp_path / "run.fastnn"}
    made, again, whole = ensemble(), ensemble(), ensemble()
    with pytest.raises(LookupError):
        made.fit(
            X, LABELS, n_jobs=2, backend=kind, **options,
            callbacks=failing(made.members[1].seed, lookup_error),
        )  # fmt: skip
    again.fit(X, LABELS, **options, callbacks=lambda context: None)
    whole.fit(X, LABELS, epochs=4)
    assert results(again) == results(whole)


# ------------------------------------------------------------------- callbacks and failures


def test_callbacks_come_back_with_what_they_have_seen(kind):
    made = ensemble()
    given = Counting()
    made.fit(X, LABELS, epochs=2, callbacks=given, n_jobs=2, backend=kind)
    assert [counting.epochs for (counting,) in made.callbacks] == [2, 2, 2]
    assert given.epochs == 0


def test_the_error_of_a_member_has_its_number(kind):
    made = ensemble(4)
    watch = failing(made.members[2].seed, lookup_error)
    with pytest.raises(LookupError, match="mine") as raised:
        made.fit(X, LABELS, epochs=2, callbacks=watch, n_jobs=2, backend=kind)
    assert raised.value.__notes__[-1] == "raised by the training of member 2 of 4"
    if kind != "threading":
        assert [m.history.epochs for m in made.members] == [2, 2, 1, 2]


@pytest.mark.parametrize("name", [None, "threading", "loky"])
def test_the_others_go_on_without_a_member_that_fails(name):
    made, whole = ensemble(4), ensemble(4)
    watch = failing(made.members[1].seed, lookup_error)
    with pytest.warns(RuntimeWarning, match="without 1 of 4 members.*member 1: LookupError: mine"):
        made.fit(X, LABELS, epochs=2, callbacks=watch, n_jobs=2, backend=name, on_error="drop")
    whole.fit(X, LABELS, epochs=2)
    assert results(made) == [r for i, r in enumerate(results(whole)) if i != 1]
    assert made.numbers == (0, 2, 3)
    assert list(made.errors) == [1]


def test_a_dropped_member_shifts_no_sample_of_the_others(tmp_path):
    made, whole = ensemble(4, bootstrap=True), ensemble(4, bootstrap=True)
    watch = failing(made.members[0].seed, lookup_error)
    with pytest.warns(RuntimeWarning, match="member 0"):
        made.fit(X, LABELS, epochs=1, callbacks=watch, on_error="drop")
    made.save(tmp_path / "e")
    made = fnn.Ensemble.load(tmp_path / "e")
    made.fit(X, LABELS, epochs=1)
    whole.fit(X, LABELS, epochs=1)
    whole.fit(X, LABELS, epochs=1)
    assert results(made) == results(whole)[1:]


def test_an_ensemble_keeps_two_members_at_least():
    made = ensemble(3)
    with pytest.raises(LookupError, match="mine"):
        made.fit(X, LABELS, callbacks=lambda context: lookup_error(), on_error="drop")
    assert len(made) == 3


@pytest.mark.parametrize("name", ["loky", "dask"])
def test_a_worker_that_dies_takes_no_other_member_with_it(name, request):
    if name == "dask":
        request.getfixturevalue("dask")
    made = ensemble(4)
    watch = failing(made.members[1].seed, lambda: os._exit(9))
    with pytest.warns(RuntimeWarning, match="without 1 of 4 members"):
        made.fit(X, LABELS, epochs=1, callbacks=watch, n_jobs=2, backend=name, on_error="drop")
    assert made.numbers == (0, 2, 3)


def test_a_callback_that_cannot_be_sent_is_an_error():
    made = ensemble(2)
    with pytest.raises(pickle.PicklingError, match="send it to the workers") as raised:
        made.fit(X, LABELS, callbacks=lambda c, f=sys.stdout: None, n_jobs=2, backend="loky")
    assert "member 0 of 2" in raised.value.__notes__[-1]


# ------------------------------------------------------------------------ arrays and threads


def kinds(data):
    """How a worker has the arrays of its data."""
    return [(type(x), getattr(x, "filename", None)) for x in data.inputs]


def test_arrays_are_mapped_once_into_the_processes_of_this_machine():
    data = Data([LARGE], [])
    who = workers.workers(2, "loky")
    maps = list(who.run(kinds, [(data,)] * 3))
    assert {cls for ((cls, _),) in maps} == {np.memmap}
    assert len({name for ((_, name),) in maps}) == 1


def test_the_arrays_of_a_large_network_are_mapped():
    net = fnn.Sequential([fnn.Dense(600, 600)])
    assert all(type(a) is np.ndarray for a in net.__getstate__()["core"]["arrays"].values())
    (classes,) = workers.workers(2, "loky").run(arrays_of, [(net.__getstate__(),)])
    assert "memmap" in classes


def arrays_of(state):
    return [type(a).__name__ for a in state["core"]["arrays"].values()]


def test_arrays_are_sent_once_to_a_cluster(dask, monkeypatch):
    sent = []
    monkeypatch.setattr(Data, "__getstate__", lambda self: sent.append(1) or vars(self), False)
    who = workers.workers(None, "dask")
    list(who.run(len, [(Data([LARGE], []),)] * 4))
    assert len(sent) == 1


def test_processes_share_the_cores():
    made = ensemble(2)
    made.fit(X, LABELS, epochs=1, callbacks=Counting(), n_jobs=2, backend="loky")
    share = max(1, fnn.get_num_threads() // 2)
    assert all(counting.threads <= share for (counting,) in made.callbacks)


def test_the_threads_of_a_worker_of_dask_share_its_process():
    distributed = pytest.importorskip("dask.distributed")
    made = ensemble(2)
    with distributed.Client(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ):
        made.fit(X, LABELS, epochs=1, callbacks=Counting(), backend="dask")
    share = max(1, fnn.get_num_threads() // 2)
    assert all(counting.threads == share for (counting,) in made.callbacks)


# ------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"backend": 3}, TypeError, "backend must be the name of a backend of joblib, got 3"),
        ({"backend": "none such"}, ValueError, "backend='none such' cannot be used"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be"),
        ({"on_error": "ignore"}, ValueError, "on_error must be"),
    ],
)
def test_bad_arguments_are_refused_before_any_training(options, error, words):
    made = ensemble(2)
    before = made.members[0].get_flat()
    with pytest.raises(error, match=words):
        made.fit(X, LABELS, **options)
    np.testing.assert_array_equal(made.members[0].get_flat(), before)


def test_without_joblib_threads_go_on_and_a_backend_names_the_extra():
    text = """
import sys
sys.modules["joblib"] = None
import numpy as np, fastnn as fnn
net = fnn.Sequential([fnn.Dense(2, 2)])
net.compile("cross_entropy", "adam")
made = fnn.Ensemble(net, 2)
made.fit(np.eye(2), [0, 1], epochs=1, n_jobs=2)
try:
    made.fit(np.eye(2), [0, 1], epochs=1, backend="loky")
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert 'pip install "fastnn[joblib]"' in done.stdout
