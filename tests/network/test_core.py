"""The inner door: checked data reach a network's core, and nobody checks them again."""

from __future__ import annotations

import numpy as np
import pytest
from networks import classifier, flowers

import fastnn as fnn
from fastnn.network._feed import Feed
from fastnn.training.session import Plan

X, LABELS = flowers(np.random.default_rng(0), 60)


@pytest.fixture
def checks(monkeypatch):
    """The number of times that data of users are checked."""
    counts = []
    check = Feed.data

    def counted(self, *arguments, **options):
        counts.append(1)
        return check(self, *arguments, **options)

    monkeypatch.setattr(Feed, "data", counted)
    return counts


def test_core_trains_as_the_network_does(backend, dtype):
    one, two = classifier(dtype), classifier(dtype)
    expected = one.fit(X, LABELS, epochs=3, batch_size=16)
    data = two.core.feed.data(X, LABELS, None, True)
    history = two.core.fit(data, Plan(epochs=3, batch_size=16))
    assert history["loss"] == expected["loss"]
    np.testing.assert_array_equal(two.get_flat(), one.get_flat())


def test_core_measures_what_evaluate_does(backend):
    net = classifier(l2=0.1)
    data = net.core.feed.data(X, LABELS, None, True)
    assert net.core.measure(data) == net.evaluate(X, LABELS)


def test_core_that_is_not_compiled_refuses_to_train():
    core = fnn.Sequential([fnn.Dense(4, 3)]).core
    with pytest.raises(RuntimeError, match="call compile"):
        core.fit(core.feed.data(X, (), None, False))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ensemble_checks_its_data_once(checks, n_jobs):
    fnn.Ensemble(classifier(), 4).fit(X, LABELS, epochs=1, n_jobs=n_jobs)
    assert len(checks) == 1


def test_ensemble_checks_its_validation_data_once(checks):
    fnn.Ensemble(classifier(), 3).fit(X, LABELS, epochs=1, validation_data=(X, LABELS))
    assert len(checks) == 2


def test_members_whose_losses_differ_check_the_data_themselves(checks):
    def member(seed):
        net = classifier(seed=seed)
        net.compile(fnn.CrossEntropy(ignore_index=-1 - seed % 2), "adam")
        return net

    ensemble = fnn.Ensemble(member, 4)
    differing = sum(m.losses != ensemble.members[0].losses for m in ensemble.members)
    ensemble.fit(X, LABELS, epochs=1)
    assert len(checks) == 1 + differing


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimator_checks_its_data_once(checks):
    estimators = pytest.importorskip("fastnn.estimators")
    estimators.MLPClassifier((4,), max_iter=2).fit(X, LABELS)
    assert len(checks) == 1


@pytest.mark.parametrize("solver", ["lbfgs", "levenberg_marquardt"])
def test_solver_checks_its_data_once(checks, solver):
    net = fnn.Sequential([fnn.Dense(4, 1)])
    net.compile("mean_squared_error", solver)
    net.fit(X, X[:, 0], epochs=3)
    assert len(checks) == 1


def test_core_can_go_back_to_a_snapshot():
    net = classifier()
    before, copy = net.get_flat(), net.core.snapshot()
    net.train_step(X, LABELS)
    assert not np.array_equal(net.get_flat(), before)
    net.core.restore(copy)
    np.testing.assert_array_equal(net.get_flat(), before)


def test_network_has_a_core_and_nothing_private():
    net = classifier()
    assert vars(net).keys() == {"core", "name", "metadata"}
