"""Training by Levenberg-Marquardt: least squares that are known, and what it refuses."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from networks import classifier

import fastnn as fnn
from fastnn.losses import Huber, MeanSquaredError

LM = fnn.LevenbergMarquardt
METHODS = ("lm", "trf")


def wave(n=60):
    X = np.linspace(-2, 2, n)[:, None]
    return X, np.sin(2 * X[:, 0])


def curve(dtype="float64", optimizer="levenberg_marquardt", seed=0, loss=None, **options):
    layers = [fnn.Dense(1, 5, activation="tanh"), fnn.Dense(5, 1)]
    net = fnn.Sequential(layers, dtype=dtype, seed=seed)
    net.compile(loss or "mean_squared_error", optimizer, **options)
    return net


def two_bends():
    """Two units and noise, so that the minimum is a point and is not 0."""
    X = np.linspace(-3, 3, 80)[:, None]
    y = 2 * np.tanh(1.5 * X - 1.5) - np.tanh(2 * X + 3) + 0.3
    return X, y[:, 0] + 0.1 * np.random.default_rng(0).normal(size=80)


def tiny(optimizer):
    net = fnn.Sequential([fnn.Dense(1, 2, activation="tanh"), fnn.Dense(2, 1)], dtype="float64")
    net.compile("mean_squared_error", optimizer)
    return net


def linear(rng, n_out=2, loss="mean_squared_error", method="lm", **options):
    X = rng.normal(size=(40, 3))
    y = X @ rng.normal(size=(3, n_out)) + rng.normal(size=(40, n_out))
    net = fnn.Sequential([fnn.Dense(3, n_out)], dtype="float64")
    net.compile(loss, LM(method=method), **options)
    return net, X, y


def design(X):
    return np.column_stack([X, np.ones(len(X))])


def as_columns(net):
    return np.vstack([net.parameters["dense_1.weight"], net.parameters["dense_1.bias"]])


# ------------------------------------------------------------------- known minima


def test_linear_net_reaches_the_least_squares_solution_at_once(backend):
    net, X, y = linear(np.random.default_rng(0))
    net.fit(X, y, epochs=2)
    assert as_columns(net) == pytest.approx(np.linalg.lstsq(design(X), y)[0], rel=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_penalty_gives_ridge_regression(backend, method):
    l2, (net, X, y) = 0.3, linear(np.random.default_rng(1), method=method, l2=0.3)
    net.fit(X, y)
    penalty = np.diag([l2, l2, l2, 0]) / 2
    # The mean is over samples and columns: 80 squares.
    exact = np.linalg.solve(design(X).T @ design(X) / 80 + penalty, design(X).T @ y / 80)
    assert as_columns(net) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "half_sum"])
def test_weighted_samples_count_by_their_weights(backend, reduction):
    loss = MeanSquaredError(reduction=reduction)
    net, X, y = linear(np.random.default_rng(2), loss=loss)
    weights = np.random.default_rng(3).uniform(0, 2, 40)
    net.fit(X, y, sample_weight=weights)
    root = np.sqrt(weights)[:, None]
    exact = np.linalg.lstsq(root * design(X), root * y)[0]
    assert as_columns(net) == pytest.approx(exact, rel=1e-7)


@pytest.mark.parametrize("missing", [np.nan, 0.0, -99.0])
def test_missing_targets_count_for_nothing(backend, missing):
    net, X, y = linear(np.random.default_rng(4), loss=MeanSquaredError(ignore_value=missing))
    y[::3, 0] = missing
    y[::4, 1] = missing
    net.fit(X, y)
    for k in range(2):
        seen = ~(np.isnan(y[:, k]) | (y[:, k] == missing))
        exact = np.linalg.lstsq(design(X)[seen], y[seen, k])[0]
        assert as_columns(net)[:, k] == pytest.approx(exact, rel=1e-7)


def test_tiny_net_ends_where_curve_fit_ends(backend):
    optimize = pytest.importorskip("scipy.optimize")
    X, y = two_bends()
    net = tiny(LM(tolerance=1e-12))

    def model(x, w1, w2, b1, b2, v1, v2, c):
        return v1 * np.tanh(w1 * x + b1) + v2 * np.tanh(w2 * x + b2) + c

    exact, _ = optimize.curve_fit(model, X[:, 0], y, p0=net.get_flat(), ftol=1e-12, xtol=1e-12)
    net.fit(X, y)
    assert net.get_flat() == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_gradient_vanishes_at_the_end(backend, method):
    X, y = two_bends()
    net = tiny(LM(tolerance=1e-12, method=method))
    net.fit(X, y)
    _, gradients = net.loss_and_gradients(X, y)
    assert max(np.abs(g).max() for g in gradients.values()) < 1e-6


def test_heads_add_up_by_their_weights(backend):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    x = fnn.Input(2)
    shared = fnn.Dense(2, 1, name="shared")(x)
    outputs = {"a": fnn.Identity(name="first")(shared), "b": fnn.Identity(name="second")(shared)}
    net = fnn.Network(x, outputs, dtype="float64")
    loss = dict.fromkeys("ab", "mean_squared_error")
    net.compile(loss, "levenberg_marquardt", loss_weights={"a": 3.0, "b": 1.0})
    net.fit(X, {"a": y[:, 0], "b": y[:, 1]})
    # One function for both targets: the best one follows their weighted mean.
    exact = np.linalg.lstsq(design(X), (3 * y[:, 0] + y[:, 1]) / 4)[0]
    assert net.get_flat() == pytest.approx(exact, rel=1e-7)


def test_float32_net_learns_too(backend):
    X, y = wave()
    net = curve("float32")
    net.fit(X, y)
    assert net.evaluate(X, y)["loss"] < 1e-3


# ----------------------------------------------------------------- what fit promises


@pytest.mark.parametrize("method", METHODS)
def test_last_loss_is_that_of_the_parameters(backend, method):
    X, y = wave()
    net = curve(optimizer=LM(method=method), l2=1e-4)
    history = net.fit(X, y, epochs=12)
    assert history["loss"][-1] == pytest.approx(net.evaluate(X, y)["loss"], rel=1e-9)
    assert history.epochs == 12
    assert history.message == "reached the limit of 12 iterations"


@pytest.mark.parametrize("method", METHODS)
def test_losses_never_rise(backend, method):
    X, y = wave()
    losses = curve(optimizer=LM(method=method)).fit(X, y, epochs=40)["loss"]
    assert np.all(np.diff(losses) <= 0)


@pytest.mark.parametrize("method", METHODS)
def test_convergence_is_told(method):
    net, X, y = linear(np.random.default_rng(0), method=method)
    history = net.fit(X, y)
    assert history.epochs < 10
    assert "satisfied" in history.message or "tolerance" in history.message


def test_frozen_parameters_stay(backend):
    X, y = wave()
    net = curve()
    net.layers[0].trainable = False
    net.compile("mean_squared_error", "levenberg_marquardt")
    before = {name: np.array(value) for name, value in net.parameters.items()}
    net.fit(X, y)
    hidden = np.tanh(X * before["dense_1.weight"] + before["dense_1.bias"])
    exact = np.linalg.lstsq(design(hidden), y)[0]
    assert np.array_equal(net.parameters["dense_1.weight"], before["dense_1.weight"])
    assert net.predict(X)[:, 0] == pytest.approx(design(hidden) @ exact, abs=1e-5)


def test_early_stopping_puts_the_best_parameters_back():
    rng = np.random.default_rng(0)
    X, y = wave(20)
    dense = wave(50)
    net = curve(optimizer=LM(500, tolerance=1e-15))
    history = net.fit(X, y + 0.3 * rng.normal(size=20), validation_data=dense, early_stopping=5)
    assert history.stopped_early
    assert net.evaluate(*dense)["loss"] == pytest.approx(min(history["val_loss"]))


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_keeps_the_last_iteration(backend, method):
    X, y = wave()
    net = curve(optimizer=LM(method=method))

    def interrupt(context):
        if context.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    history = net.fit(X, y, callbacks=interrupt)
    assert history.interrupted
    assert history.epochs == 3
    assert net.evaluate(X, y)["loss"] == pytest.approx(history["loss"][-1])


def test_file_keeps_the_solver(tmp_path):
    X, y = wave()
    net = curve(optimizer=LM(40, method="trf"))
    net.fit(X, y, epochs=3)
    net.save(tmp_path / "net.fastnn")
    loaded = fnn.load(tmp_path / "net.fastnn")
    assert loaded.optimizer == LM(40, method="trf")
    assert np.array_equal(loaded.fit(X, y, epochs=5)["loss"], net.fit(X, y, epochs=5)["loss"])


# ------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("loss", ["mean_absolute_error", Huber(delta=1.0)])
def test_other_losses_are_refused_by_name(loss):
    with pytest.raises(ValueError, match="loss must be mean_squared_error"):
        curve(loss=loss)


def test_classification_is_refused():
    net = classifier()
    with pytest.raises(ValueError, match="that of output 'dense_2' is cross_entropy"):
        net.compile("cross_entropy", "levenberg_marquardt")


def test_dropout_is_refused():
    net = fnn.Sequential([fnn.Dense(2, 4), fnn.Dropout(0.5), fnn.Dense(4, 1)])
    with pytest.raises(ValueError, match="'dropout_1' drops units at random"):
        net.compile("mean_squared_error", "levenberg_marquardt")


def test_net_that_is_too_large_is_refused_with_its_size():
    net = fnn.Sequential([fnn.Dense(100, 60), fnn.Dense(60, 1)])
    net.compile("mean_squared_error", "levenberg_marquardt")
    with pytest.raises(ValueError, match="at most 5,000 trainable parameters; this one has 6,121"):
        net.fit(np.ones((7000, 100)), np.ones(7000))


def test_jacobian_that_is_too_large_is_refused_with_its_size():
    X, y = wave(2**18)
    with pytest.raises(ValueError, match="262,144 residuals by 16 parameters takes 32 MiB"):
        curve(optimizer=LM(memory_limit=2.0**24)).fit(X, y)


def test_fewer_residuals_than_parameters_need_the_other_method():
    X, y = wave(10)
    with pytest.raises(ValueError, match=r"there are 10 for 16; .*method='trf'"):
        curve().fit(X, y)
    assert curve(optimizer=LM(method="trf")).fit(X, y)["loss"][-1] < 1e-4


def test_single_steps_are_refused():
    X, y = wave()
    with pytest.raises(RuntimeError, match="levenberg_marquardt takes no single steps"):
        curve().train_step(X, y)


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_iterations", 0), ("tolerance", 1e-17), ("method", "newton"), ("memory_limit", 0.0)],
)
def test_option_out_of_range_is_named(option, value):
    with pytest.raises((TypeError, ValueError), match=option):
        LM(**{option: value})
