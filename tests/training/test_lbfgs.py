"""Training by L-BFGS: minima that are known, and everything `fit` promises."""

from __future__ import annotations

import os
import pickle
import signal

import numpy as np
import pytest
from networks import classifier, flowers

import fastnn as fnn
from fastnn import optimizers

LBFGS = fnn.LBFGS
TIGHT = LBFGS(max_iterations=500, tolerance=1e-9, loss_tolerance=0.0)


def wave(n=60):
    X = np.linspace(-2, 2, n)[:, None]
    return X, np.sin(2 * X[:, 0])


def curve(dtype="float64", optimizer=TIGHT, seed=0, **options):
    layers = [fnn.Dense(1, 8, activation="tanh"), fnn.Dense(8, 1)]
    net = fnn.Sequential(layers, dtype=dtype, seed=seed)
    net.compile("mean_squared_error", optimizer, **options)
    return net


def linear(rng, optimizer=TIGHT, n_out=2, **options):
    """A net without hidden layers, and data that it fits by least squares."""
    X = rng.normal(size=(40, 3))
    y = X @ rng.normal(size=(3, n_out)) + rng.normal(size=(40, n_out))
    net = fnn.Sequential([fnn.Dense(3, n_out)], dtype="float64")
    net.compile("mean_squared_error", optimizer, **options)
    return net, X, y


def norm_of_gradient(net, X, y, **options):
    _, gradients = net.loss_and_gradients(X, y, **options)
    return max(np.abs(g).max() for g in gradients.values())


# ------------------------------------------------------------------ known minima


def test_linear_net_reaches_the_least_squares_solution(backend):
    net, X, y = linear(np.random.default_rng(0))
    net.fit(X, y)
    exact = np.linalg.lstsq(np.column_stack([X, np.ones(40)]), y)[0]
    assert net.parameters["dense_1.weight"] == pytest.approx(exact[:3], rel=1e-6)
    assert net.parameters["dense_1.bias"] == pytest.approx(exact[3], rel=1e-6)


def test_penalty_gives_ridge_regression(backend):
    l2, (net, X, y) = 0.3, linear(np.random.default_rng(1), n_out=1, l2=0.3)
    net.fit(X, y)
    design = np.column_stack([X, np.ones(40)])
    penalty = np.diag([l2, l2, l2, 0]) / 2  # of the mean of squares + l2 / 2 |w|^2; not of the bias
    exact = np.linalg.solve(design.T @ design / 40 + penalty, design.T @ y / 40)
    assert net.get_flat() == pytest.approx(exact[:, 0], rel=1e-6)


def test_weighted_samples_count_by_their_weights(backend):
    net, X, y = linear(np.random.default_rng(2), n_out=1)
    weights = np.random.default_rng(3).uniform(0, 2, 40)
    net.fit(X, y, sample_weight=weights)
    root, design = np.sqrt(weights)[:, None], np.column_stack([X, np.ones(40)])
    exact = np.linalg.lstsq(root * design, root * y)[0]
    assert net.get_flat() == pytest.approx(exact[:, 0], rel=1e-6)


def test_logistic_regression_is_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = flowers(np.random.default_rng(0), 150)
    y = np.where(np.random.default_rng(1).random(150) < 0.2, (y + 1) % 3, y)
    net = fnn.Sequential([fnn.Dense(4, 3)], dtype="float64")
    net.compile("cross_entropy", TIGHT, l2=1 / 150)  # C = 1 weighs the sum of the losses
    net.fit(X, y)
    model = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(X, y)
    assert net.predict_proba(X) == pytest.approx(model.predict_proba(X), abs=1e-5)


def test_gradient_vanishes_at_the_end(backend):
    X, y = wave()
    net = curve(optimizer=LBFGS(2000, tolerance=1e-4, loss_tolerance=0.0))
    history = net.fit(X, y)
    assert norm_of_gradient(net, X, y) <= 1e-4
    assert history["gradient"][-1] <= 1e-4
    assert history.message == "converged: the gradient is within tolerance"


def test_float32_net_gets_as_far_as_its_precision(backend):
    X, y = wave()
    net = curve("float32", LBFGS(1000))
    net.fit(X, y)
    assert net.evaluate(X, y)["loss"] < 1e-3
    assert net.get_flat().dtype == np.float32


def test_backends_agree_on_the_minimum():
    X, y = wave()
    found = []
    for name in fnn.backend.available():
        with fnn.backend.use(name):
            net = curve(optimizer=LBFGS(20))
        found.append(net.fit(X, y)["loss"])
    assert all(losses == pytest.approx(found[0], rel=1e-6) for losses in found)


# ----------------------------------------------------------------- what fit promises


def test_epochs_are_iterations(backend):
    X, y = wave()
    history = curve().fit(X, y, epochs=7)
    assert history.epochs == 7
    assert history.message == "reached the limit of 7 iterations"


def test_iterations_are_the_solvers_unless_epochs_are_given():
    X, y = wave()
    assert curve(optimizer=LBFGS(max_iterations=4)).fit(X, y).epochs == 4


def test_no_epochs_change_nothing():
    X, y = wave()
    net = curve()
    before = net.get_flat()
    assert net.fit(X, y, epochs=0).epochs == 0
    assert np.array_equal(net.get_flat(), before)


def test_losses_never_rise(backend):
    X, y = wave()
    losses = curve().fit(X, y, epochs=60)["loss"]
    assert np.all(np.diff(losses) <= 0)


def test_last_loss_is_that_of_the_parameters(backend):
    X, y = wave()
    net = curve(l2=1e-3)
    assert net.fit(X, y, epochs=9)["loss"][-1] == pytest.approx(net.evaluate(X, y)["loss"])


def test_frozen_parameters_stay(backend):
    X, y = wave()
    net = curve()
    net.layers[0].trainable = False
    net.compile("mean_squared_error", TIGHT)
    before = {name: np.array(value) for name, value in net.parameters.items()}
    net.fit(X, y)
    changed = {n for n, value in net.parameters.items() if not np.array_equal(value, before[n])}
    assert changed == {"dense_2.weight", "dense_2.bias"}
    assert norm_of_gradient(net, X, y) < 1e-4


def test_validation_is_measured_after_each_iteration():
    X, y = wave()
    net = curve()
    history = net.fit(X, y, epochs=5, validation_data=(X[:9], y[:9]))
    assert len(history["val_loss"]) == 5
    assert history["val_loss"][-1] == pytest.approx(net.evaluate(X[:9], y[:9])["loss"])


def test_early_stopping_puts_the_best_parameters_back():
    rng = np.random.default_rng(0)
    X, y = wave(12)
    noisy = y + 0.5 * rng.normal(size=12)
    net = curve(optimizer=LBFGS(2000, tolerance=0.0, loss_tolerance=0.0))
    dense = wave(50)
    history = net.fit(X, noisy, validation_data=dense, early_stopping=5)
    assert history.stopped_early
    assert history.message == "stopped by a callback"
    assert net.evaluate(*dense)["loss"] == pytest.approx(min(history["val_loss"]))


def test_callbacks_see_each_iteration():
    X, y = wave()
    seen = []
    net = curve()
    net.fit(X, y, epochs=4, callbacks=lambda c: seen.append((c.epoch, c.step, c.logs["loss"])))
    assert [entry[:2] for entry in seen] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert [entry[2] for entry in seen] == net.history["loss"]


def test_error_of_a_callback_leaves_the_last_iteration(backend):
    X, y = wave()
    net = curve()

    def fail(context):
        if context.epoch == 3:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        net.fit(X, y, callbacks=fail)
    assert net.evaluate(X, y)["loss"] == pytest.approx(net.history["loss"][-1])


def test_ctrl_c_keeps_the_last_iteration(backend):
    X, y = wave()
    net = curve(optimizer=LBFGS(10_000, tolerance=0.0, loss_tolerance=0.0))

    def interrupt(context):
        if context.epoch == 5:
            os.kill(os.getpid(), signal.SIGINT)

    history = net.fit(X, y, callbacks=interrupt)
    assert history.interrupted
    assert net.evaluate(X, y)["loss"] == pytest.approx(history["loss"][-1])


def test_progress_is_told_in_lines(capsys):
    X, y = wave()
    curve().fit(X, y, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1/2"], ["epoch", "2/2"]]


def test_history_goes_on_over_several_fits():
    X, y = wave()
    net = curve()
    net.fit(X, y, epochs=3)
    assert net.fit(X, y, epochs=4).epochs == 7


def test_bits_do_not_depend_on_threads(dtype):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 20)), rng.integers(0, 3, 2000)
    before, found = fnn.get_num_threads(), []
    try:
        for threads in (1, 2):
            fnn.set_num_threads(threads)
            layers = [fnn.Dense(20, 64, activation="tanh"), fnn.Dense(64, 3)]
            net = fnn.Sequential(layers, dtype=dtype)
            net.compile("cross_entropy", "lbfgs")
            net.fit(X, y, epochs=5)
            found.append(net.get_flat())
    finally:
        fnn.set_num_threads(before)
    assert np.array_equal(*found)


def threads_of_blas():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    info = threadpoolctl.threadpool_info()
    return {lib["filepath"]: lib["num_threads"] for lib in info if lib["user_api"] == "blas"}


def test_blas_keeps_to_one_thread_meanwhile_and_gets_its_own_back():
    X, y = wave()
    curve().fit(X, y, epochs=1)  # loads what SciPy brings
    before, inside = threads_of_blas(), []
    curve().fit(X, y, epochs=1, callbacks=lambda context: inside.append(threads_of_blas()))
    assert set(inside[0].values()) <= {1}
    assert threads_of_blas() == before


def test_trainings_in_threads_leave_blas_its_threads():
    X, y = wave()
    ensemble = fnn.Ensemble(curve(), 4)
    ensemble.fit(X, y, epochs=1)
    before = threads_of_blas()
    ensemble.fit(X, y, epochs=20, n_jobs=3)
    assert threads_of_blas() == before


def test_file_keeps_the_solver(tmp_path):
    X, y = wave()
    net = curve(optimizer=LBFGS(50, memory=7))
    net.fit(X, y)
    net.save(tmp_path / "net.fastnn")
    loaded = fnn.load(tmp_path / "net.fastnn")
    assert loaded.optimizer == LBFGS(50, memory=7)
    assert loaded.history == net.history
    assert np.array_equal(
        loaded.fit(X, y, epochs=5)["loss"],
        pickle.loads(pickle.dumps(net)).fit(X, y, epochs=5)["loss"],
    )


def test_several_heads_are_trained_together(backend):
    rng = np.random.default_rng(0)
    X, kind = flowers(rng)
    size = X @ rng.normal(size=4)
    x = fnn.Input(4)
    trunk = fnn.Dense(4, 8, activation="tanh")(x)
    net = fnn.Network(x, {"kind": fnn.Dense(8, 3)(trunk), "size": fnn.Dense(8, 1)(trunk)})
    net.compile({"kind": "cross_entropy", "size": "mean_squared_error"}, "lbfgs")
    net.fit(X, {"kind": kind, "size": size})
    measured = net.evaluate(X, {"kind": kind, "size": size})
    assert measured["kind_accuracy"] > 0.95
    assert measured["size_r2"] > 0.95


# ----------------------------------------------------------------------- bad input


def test_dropout_is_refused_by_name():
    layers = [fnn.Dense(2, 4), fnn.Dropout(0.5, name="noise"), fnn.Dense(4, 1)]
    net = fnn.Sequential(layers)
    with pytest.raises(ValueError, match="'noise' drops units at random"):
        net.compile("mean_squared_error", "lbfgs")


def test_batch_size_is_refused():
    X, y = wave()
    with pytest.raises(ValueError, match="batch_size does not go with lbfgs"):
        curve().fit(X, y, batch_size=32)


def test_single_steps_are_refused():
    X, y = wave()
    with pytest.raises(RuntimeError, match="lbfgs takes no single steps"):
        curve().train_step(X, y)


def test_net_that_is_all_frozen_is_refused():
    X, y = wave()
    net = curve()
    for layer in net.layers:
        layer.trainable = False
    net.compile("mean_squared_error", "lbfgs")
    with pytest.raises(ValueError, match="every parameter is frozen"):
        net.fit(X, y)


def test_cost_that_is_not_finite_at_the_start_is_an_error(backend):
    X, y = wave()
    net = curve()
    flat = net.get_flat()
    flat[-1] = np.inf
    net.set_flat(flat)
    with pytest.raises(fnn.TrainingError, match="Look for nan, inf"):
        net.fit(X, y)
    assert np.array_equal(net.get_flat(), flat)


def test_minimize_of_a_function_is_for_optimizers():
    with pytest.raises(TypeError, match="lbfgs is a solver"):
        optimizers.minimize(lambda x: (x @ x, 2 * x), [1.0], "lbfgs", steps=3)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_iterations", 0), ("memory", 0), ("tolerance", -1.0), ("tolerance", np.nan),
        ("loss_tolerance", -1e-9), ("line_search_steps", 0), ("memory", 2.5),
    ],
)  # fmt: skip
def test_option_out_of_range_is_named(option, value):
    with pytest.raises((TypeError, ValueError), match=option):
        LBFGS(**{option: value})


def test_verbose_is_checked():
    X, y = wave()
    with pytest.raises(ValueError, match="verbose must be 0, 1 or 2"):
        curve().fit(X, y, verbose=3)


@pytest.mark.parametrize("name", ["lbfgs", "levenberg_marquardt"])
def test_config_makes_an_equal_solver(name):
    solver = optimizers.get(name)
    assert optimizers.get(solver.config) == solver


def test_estimator_trains_by_lbfgs():
    pytest.importorskip("sklearn")
    from fastnn import estimators

    X, y = flowers(np.random.default_rng(0))
    model = estimators.MLPClassifier((8,), solver="lbfgs", random_state=0)
    assert model.fit(X, y).score(X, y) > 0.95


@pytest.mark.parametrize("limit", [1, 4])
def test_evaluations_have_a_limit(limit, backend):
    calls = []

    def squared(output, target):
        calls.append(1)
        return float(np.mean((output - target) ** 2)), 2 * (output - target) / output.size

    X, y = flowers(np.random.default_rng(0))
    net = fnn.Sequential([fnn.Dense(X.shape[1], 3, "tanh"), fnn.Dense(3, 1)], seed=0)
    net.compile(squared, fnn.LBFGS(max_evaluations=limit, line_search_steps=3))
    history = net.fit(X, y.astype(float))
    assert history.message == "reached the limit of evaluations"
    assert len(calls) <= 2 + limit + 3  # a line search ends what it began


def test_net_can_be_compiled_again_for_steps():
    net, (X, y) = classifier(), flowers(np.random.default_rng(0))
    net.compile("cross_entropy", "lbfgs")
    net.fit(X, y, epochs=3)
    net.compile("cross_entropy", "adam")
    assert np.isfinite(net.train_step(X, y))
