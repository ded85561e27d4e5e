"""Rows that count for nothing, and losses and scores of rows that weigh different amounts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import r2_score

import fastnn as fnn
from fastnn.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanAbsoluteError

NAN = math.nan
N = 50


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def line(rng):
    X = rng.normal(size=(N, 3))
    return X, X @ [1.0, -2.0, 0.5]


def network(loss="mean_squared_error", n_out=1, dtype="float64", rate=0.1, **options):
    net = fnn.Sequential([fnn.Dense(3, n_out)], dtype=dtype)
    net.compile(loss, fnn.Adam(rate), **options)
    return net


# --------------------------------------------------------------------- nothing counts


@pytest.mark.parametrize("loss", ["mean_squared_error", Huber(reduction="sum")])
@pytest.mark.parametrize("call", ["evaluate", "score"])
def test_weights_that_are_all_zero_leave_nothing_to_evaluate(backend, line, loss, call):
    with pytest.raises(ValueError, match=r"sample_weight.*leaves nothing to evaluate"):
        getattr(network(loss), call)(*line, np.zeros(N))


@pytest.mark.parametrize("call", ["evaluate", "score"])
def test_targets_that_are_all_missing_leave_nothing_to_evaluate(backend, line, call):
    with pytest.raises(ValueError, match=r"missing targets of y.*leaves nothing to evaluate"):
        getattr(network(missing="nan"), call)(line[0], np.full(N, NAN))


def test_labels_that_are_all_ignored_leave_nothing_to_evaluate(backend, line):
    net = network(CrossEntropy(ignore_index=-1), 2)
    with pytest.raises(ValueError, match="leaves nothing to evaluate"):
        net.evaluate(line[0], np.full(N, -1))


def test_class_weights_that_leave_nothing_are_refused(backend, line):
    net = network(BinaryCrossEntropy(class_weight=(0.0, 1.0)))
    with pytest.raises(ValueError, match="leaves nothing to evaluate"):
        net.evaluate(line[0], np.zeros(N))


def test_validation_data_of_no_weight_are_refused(backend, line):
    X, y = line
    data = (X[:20], y[:20], np.zeros(20))
    with pytest.raises(ValueError, match="validation_data leaves nothing to validate on"):
        network().fit(X, y, validation_data=data, early_stopping=5)


def test_held_out_rows_of_no_weight_are_refused(backend, line):
    X, y = line
    weights = np.r_[np.ones(40), np.zeros(10)]
    with pytest.raises(ValueError, match="validation_split leaves nothing to validate on"):
        network().fit(X, y, sample_weight=weights, validation_split=0.2, shuffle=False)


def test_training_rows_of_no_weight_are_refused(backend, line):
    with pytest.raises(ValueError, match="leaves nothing to train on"):
        network().fit(*line, sample_weight=np.zeros(N))


def test_an_ensemble_refuses_to_evaluate_nothing(line):
    ensemble = fnn.Ensemble(network(), 2)
    with pytest.raises(ValueError, match="leaves nothing to evaluate"):
        ensemble.evaluate(*line, np.zeros(N))


def two_heads():
    x = fnn.Input(3)
    outputs = {name: fnn.Dense(3, 1, name=name)(x) for name in "ab"}
    net = fnn.Network(x, outputs, dtype="float64")
    net.compile(dict.fromkeys("ab", "mean_squared_error"))
    return net


def test_the_loss_of_a_head_without_weight_is_nan(backend, line):
    X, y = line
    measures = two_heads().evaluate(X, {"a": y, "b": y}, {"a": None, "b": np.zeros(N)})
    assert math.isnan(measures["b_loss"])


def test_the_cost_is_that_of_the_heads_that_have_weight(backend, line):
    X, y = line
    measures = two_heads().evaluate(X, {"a": y, "b": y}, {"a": None, "b": np.zeros(N)})
    assert measures["loss"] == measures["a_loss"]


# -------------------------------------------------------------- the loss of an epoch

CASES = {
    "weights": ("mean_squared_error", lambda y: y, True),
    "missing": (MeanAbsoluteError(ignore_value=NAN), lambda y: np.where(y > 0.5, NAN, y), False),
    "ignored": (CrossEntropy(ignore_index=-1), lambda y: np.sign(y).astype(int), False),
    "classes": (CrossEntropy(class_weight=(1.0, 9.0)), lambda y: (y > 1).astype(int), True),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_loss_of_an_epoch_is_what_evaluate_gives(backend, line, rng, dtype, case, shuffle):
    loss, targets, weighted = CASES[case]
    X, y = line[0], targets(line[1])
    weights = rng.uniform(size=N) * (np.arange(N) % 3 > 0) if weighted else None
    net = network(loss, 2 if case in ("ignored", "classes") else 1, dtype, rate=0.0, l2=0.1)
    history = net.fit(X, y, epochs=1, batch_size=7, shuffle=shuffle, sample_weight=weights)
    expected = net.evaluate(X, y, weights)["loss"]
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5 if dtype == "float32" else 1e-12)


# ----------------------------------------------- targets that float32 does not hold


@pytest.fixture
def years(rng):
    """Targets about 1.7e9, 20 apart: less than the spacing of float32 numbers there, 128."""
    return rng.normal(size=(N, 3)), 1.7e9 + 20 * rng.choice([-1.0, 1.0], size=N)


def constant(loss="mean_squared_error"):
    net = network(loss, dtype="float32")
    net.parameters["dense_1.weight"] = np.zeros((3, 1))
    net.parameters["dense_1.bias"] = np.full(1, 1.7e9)
    return net


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.longdouble, ">f8"])
def test_r2_is_of_the_targets_given(backend, years, kind):
    X, y = years[0], years[1].astype(kind)
    net = constant()
    expected = r2_score(y.astype(float), net.predict(X).astype(float)[:, 0])
    assert net.score(X, y) == pytest.approx(expected, rel=1e-9)


def test_losses_are_of_the_targets_given(backend, years):
    X, y = years
    net = constant(MeanAbsoluteError())
    expected = np.mean(np.abs(net.predict(X).astype(float)[:, 0] - y))
    assert net.evaluate(X, y)["loss"] == pytest.approx(expected, rel=1e-12)


def test_weights_go_with_the_targets_given(backend, years, rng):
    X, y = years
    w = rng.uniform(size=N).astype(np.float32)
    net = constant(MeanAbsoluteError())
    expected = np.average(np.abs(net.predict(X).astype(float)[:, 0] - y), weights=w)
    assert net.evaluate(X, y, w)["loss"] == pytest.approx(expected, rel=1e-7)


def test_validation_scores_are_of_the_targets_given(backend, years):
    X, y = years
    net = constant()
    net.compile("mean_squared_error", fnn.Adam(0.0))
    with pytest.warns(UserWarning, match="numbers of float32"):
        history = net.fit(X, y, epochs=1, validation_data=(X, y))
    assert history["val_r2"] == [net.score(X, y)]
    assert history["val_r2"][0] < 0.5
