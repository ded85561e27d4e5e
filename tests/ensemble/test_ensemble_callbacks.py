"""Callbacks of `Ensemble.fit`: those of `Network.fit`, for each member."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest

import fastnn as fnn


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 3))
    return X, (X[:, 0] > 0).astype(int)


def ensemble(n=3, **options):
    net = fnn.Sequential([fnn.Dense(3, 4, activation="tanh"), fnn.Dense(4, 2)])
    net.compile("cross_entropy")
    return fnn.Ensemble(net, n, **options)


class Counting(fnn.Callback):
    """Counts epochs, and stops after `last` of them."""

    def __init__(self, last=100):
        self.last, self.epochs, self.ended = last, 0, ""

    def on_epoch_end(self, context):
        self.epochs += 1
        return self.epochs >= self.last

    def on_train_end(self, context):
        self.ended = context.status


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_a_function_sees_every_epoch_of_every_member(backend, data, n_jobs):
    seen, lock = [], threading.Lock()
    made = ensemble()

    def watch(context):
        with lock:
            seen.append((made.members.index(context.network), context.epoch))

    made.fit(*data, epochs=2, n_jobs=n_jobs, callbacks=watch)
    assert sorted(seen) == [(i, epoch) for i in range(3) for epoch in (1, 2)]
    assert made.callbacks == [[], [], []]


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_each_member_has_a_copy_of_a_callback(data, n_jobs):
    given = Counting(last=2)
    made = ensemble()
    histories = made.fit(*data, epochs=5, n_jobs=n_jobs, callbacks=[given])
    assert [history.epochs for history in histories] == [2, 2, 2]
    assert [(c.epochs, c.ended) for (c,) in made.callbacks] == [(2, "stopped")] * 3
    assert given.epochs == 0


def test_a_monitor_of_layers_can_be_read_for_each_member(data):
    made = ensemble(2)
    made.fit(*data, epochs=2, callbacks=fnn.LayerMonitor(*data))
    first, second = (monitor for (monitor,) in made.callbacks)
    assert len(first.records) == len(second.records) == 2


def test_a_callback_that_stops_one_member_leaves_the_others(data):
    made = ensemble()
    histories = made.fit(
        *data, epochs=3, callbacks=lambda context: context.network is made.members[1]
    )
    assert [history.epochs for history in histories] == [3, 1, 3]
    assert [history.stopped_early for history in histories] == [False, True, False]


def test_members_with_callbacks_learn_the_same(backend, data):
    watched, alone = ensemble(), ensemble()
    watched.fit(*data, epochs=2, callbacks=Counting(), n_jobs=3)
    alone.fit(*data, epochs=2)
    for one, other in zip(watched.members, alone.members, strict=True):
        np.testing.assert_array_equal(one.get_flat(), other.get_flat())


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_an_error_of_a_callback_is_raised(data, n_jobs):
    def fail(context):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        ensemble().fit(*data, callbacks=fail, n_jobs=n_jobs)


def test_callbacks_that_cannot_be_copied_are_refused(data):
    class Locked(fnn.Callback):
        def __init__(self):
            self.lock = threading.Lock()

    made = ensemble()
    before = made.members[0].get_flat()
    with pytest.raises(TypeError, match="callbacks must be functions, or such that each training"):
        made.fit(*data, callbacks=Locked())
    np.testing.assert_array_equal(made.members[0].get_flat(), before)


def test_callbacks_that_come_from_an_iterator_are_those_of_every_member(data):
    made = ensemble()
    made.fit(*data, epochs=2, callbacks=iter([Counting()]))
    assert [counting.epochs for (counting,) in made.callbacks] == [2, 2, 2]


def test_what_is_no_callback_is_refused(data):
    with pytest.raises(TypeError, match=r"^callbacks must be Callback instances or functions"):
        ensemble().fit(*data, callbacks=[3])


def test_pickles_and_files_have_no_callbacks(data, tmp_path):
    class Local(Counting):
        """Of no module, so that no pickle can hold it."""

    made = ensemble(2)
    made.fit(*data, epochs=1, callbacks=Local())
    assert pickle.loads(pickle.dumps(made)).callbacks == []
    made.save(tmp_path / "ensemble")
    assert fnn.Ensemble.load(tmp_path / "ensemble").callbacks == []
