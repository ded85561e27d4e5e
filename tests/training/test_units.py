"""Trainings by solvers do not depend on the units and the origin of the targets."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastnn as fnn
from fastnn.losses import Huber, MeanAbsoluteError, MeanSquaredError, Poisson

UNITS = [(1e-6, 0.0), (1e-3, 7.0), (1e10, -1e12), (20.0, 1.7e9)]
"""Factors and offsets of targets, which float64 holds."""
SOLVERS = ["lbfgs", "levenberg_marquardt"]


def smooth(n=120):
    """Inputs, and targets of mean 0 and variance 1."""
    X = np.random.default_rng(0).normal(size=(n, 2))
    y = np.sin(2 * X[:, 0]) + 0.5 * X[:, 0] * X[:, 1]
    return X, (y - y.mean()) / y.std()


def network(loss, optimizer="lbfgs", n_out=1, dtype="float64", **options):
    layers = [fnn.Dense(2, 6, activation="tanh"), fnn.Dense(6, n_out)]
    net = fnn.Sequential(layers, dtype=dtype)
    net.compile(loss, optimizer, **options)
    return net


def trained(y, loss="mean_squared_error", optimizer="lbfgs", epochs=60, **options):
    X = smooth(len(y))[0]
    net = network(loss, optimizer, 1 if y.ndim == 1 else y.shape[1], **options)
    net.fit(X, y, epochs=epochs)
    return net


def r2(net, y):
    return net.score(smooth(len(y))[0], y)


# ------------------------------------------------------------------- squared errors


@pytest.mark.parametrize("optimizer", SOLVERS)
@pytest.mark.parametrize(("factor", "offset"), UNITS)
def test_score_does_not_depend_on_units(backend, optimizer, factor, offset):
    _, y = smooth()
    expected = r2(trained(y, optimizer=optimizer), y)
    changed = factor * y + offset
    assert r2(trained(changed, optimizer=optimizer), changed) == pytest.approx(expected, abs=5e-3)
    assert expected > 0.98


def test_score_does_not_depend_on_any_units():
    """Factors from 1e-150 to 1e150, and offsets up to a million standard deviations."""
    rng, (_, y) = np.random.default_rng(1), smooth()
    expected = r2(trained(y, epochs=40), y)
    for _ in range(12):
        factor = 10.0 ** rng.uniform(-150, 150)
        changed = factor * (y + rng.choice([-1, 1]) * 10.0 ** rng.uniform(-3, 6))
        assert r2(trained(changed, epochs=40), changed) == pytest.approx(expected, abs=0.02), factor


@pytest.mark.parametrize("optimizer", SOLVERS)
@pytest.mark.parametrize("factor", [1e-12, 1e-6, 1e10, 1e30])
def test_float32_network_does_not_depend_on_units(backend, optimizer, factor):
    _, y = smooth()
    net = trained(factor * y, optimizer=optimizer, dtype="float32")
    assert r2(net, factor * y) > 0.98


@pytest.mark.parametrize("optimizer", SOLVERS)
@pytest.mark.parametrize(("factor", "offset"), [(1.0, 0.0), (1e10, 3e10), (1e-6, 1.0)])
def test_losses_of_the_history_are_in_the_users_units(backend, optimizer, factor, offset):
    X, y = smooth()
    net = network("mean_squared_error", optimizer, l2=1e-3 * factor**2)
    history = net.fit(X, factor * y + offset, epochs=10)
    measured = net.evaluate(X, factor * y + offset)["loss"]
    assert history["loss"][-1] == pytest.approx(measured, rel=1e-6)


@pytest.mark.parametrize("optimizer", SOLVERS)
def test_training_goes_on_from_the_present_parameters(backend, optimizer):
    X, y = smooth()
    y = 1e6 * y + 1e7
    net = network("mean_squared_error", optimizer)
    first = net.fit(X, y, epochs=25)["loss"][-1]
    assert net.fit(X, y, epochs=1)["loss"][-1] <= first


@pytest.mark.parametrize("weighted", [False, True])
def test_known_minimum_is_reached_in_any_units(weighted):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = 1e8 * (X @ [1.0, -2.0] + rng.normal(size=60)) + 1e11
    weights = rng.uniform(0, 2, 60) if weighted else None
    net = fnn.Sequential([fnn.Dense(2, 1)], dtype="float64")
    net.compile("mean_squared_error", fnn.LBFGS(tolerance=1e-9, loss_tolerance=0.0))
    net.fit(X, y, sample_weight=weights)
    design, root = np.column_stack([X, np.ones(60)]), np.sqrt(1.0 if weights is None else weights)
    exact = np.linalg.lstsq((root * design.T).T, root * y)[0]
    assert net.get_flat() == pytest.approx(exact, rel=1e-7)


def test_ridge_penalty_keeps_its_meaning_in_any_units():
    rng = np.random.default_rng(1)
    X, l2 = rng.normal(size=(50, 2)), 0.3
    y = 1e7 * (X @ [1.0, -2.0] + rng.normal(size=50)) + 1e8
    design, penalty = np.column_stack([X, np.ones(50)]), np.diag([l2, l2, 0]) / 2
    exact = np.linalg.solve(design.T @ design / 50 + penalty, design.T @ y / 50)
    for solver in (fnn.LBFGS(tolerance=1e-9, loss_tolerance=0.0), "levenberg_marquardt"):
        net = fnn.Sequential([fnn.Dense(2, 1)], dtype="float64")
        net.compile("mean_squared_error", solver, l2=l2)
        net.fit(X, y)
        assert net.get_flat() == pytest.approx(exact, rel=1e-6)


def test_columns_keep_their_weights_in_the_cost():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 2))
    y = np.column_stack([X[:, 0] + rng.normal(size=60), 1e3 * (X[:, 1] + rng.normal(size=60))])
    net = fnn.Sequential([fnn.Dense(2, 1), fnn.Dense(1, 2)], dtype="float64")
    net.compile("mean_squared_error", fnn.LBFGS(1000, tolerance=1e-9, loss_tolerance=0.0))
    net.fit(X, y)
    # Reduced-rank regression: the projection of the least-squares fit on its first component.
    design = np.column_stack([X, np.ones(60)])
    fit = design @ np.linalg.lstsq(design, y)[0]
    center = fit.mean(axis=0)
    direction = np.linalg.svd(fit - center)[2][0]
    best = center + np.outer((fit - center) @ direction, direction)
    assert net.evaluate(X, y)["loss"] == pytest.approx(np.mean((best - y) ** 2), rel=1e-6)


@pytest.mark.parametrize("frozen", ["bias", "weight"])
def test_frozen_parts_of_the_last_layer_stay(frozen):
    X, y = smooth()
    layers = [fnn.Dense(2, 6, activation="tanh"), fnn.Dense(6, 1, use_bias=frozen != "bias")]
    net = fnn.Sequential(layers, dtype="float64")
    layers[1].trainable = frozen != "weight"
    net.compile("mean_squared_error", "lbfgs")
    before = np.array(net.parameters["dense_2.weight"])
    history = net.fit(X, 1e5 * y)
    assert np.array_equal(net.parameters["dense_2.weight"], before) == (frozen == "weight")
    if frozen == "bias":
        assert r2(net, 1e5 * y) > 0.9
    assert history["loss"][-1] == pytest.approx(net.evaluate(X, 1e5 * y)["loss"])


@pytest.mark.parametrize("value", [0.0, 3.0, 1e-9, 1e12])
def test_constant_targets_are_predicted(value):
    net = trained(np.full(120, value))
    error = np.abs(net.predict(smooth()[0])[:, 0] - value).max()
    assert error < 1e-2 * (value or 1.0)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
@pytest.mark.parametrize("optimizer", SOLVERS)
def test_targets_whose_squares_float64_cannot_hold_are_refused(optimizer, factor):
    with pytest.raises(ValueError, match="y must have a spread whose square float64 holds"):
        trained(factor * smooth()[1], optimizer=optimizer)


# -------------------------------------------------------------------- other losses


@pytest.mark.parametrize("factor", [1e-6, 1e10])
def test_absolute_errors_do_not_depend_on_units(backend, factor):
    _, y = smooth()
    changed = factor * y + 3 * factor
    expected = r2(trained(y, MeanAbsoluteError()), y)
    assert r2(trained(changed, MeanAbsoluteError()), changed) == pytest.approx(expected, abs=0.05)
    assert expected > 0.9


@pytest.mark.parametrize("factor", [1e-6, 1e10])
@pytest.mark.parametrize("delta", [0.1, 10.0])
def test_huber_errors_do_not_depend_on_units(backend, factor, delta):
    _, y = smooth()
    changed = factor * y + 3 * factor
    expected = r2(trained(y, Huber(delta=delta)), y)
    found = r2(trained(changed, Huber(delta=delta * factor)), changed)
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e10])
def test_counts_do_not_depend_on_units(backend, factor):
    X, y = smooth()
    rates = factor * np.exp(y)
    net = trained(rates, Poisson())
    assert net.evaluate(X, rates)["d2"] > 0.97
    assert net.history["loss"][-1] == pytest.approx(net.evaluate(X, rates)["loss"], rel=1e-9)


@pytest.mark.parametrize("loss", [MeanSquaredError, Huber, Poisson])
@pytest.mark.parametrize("missing", [np.nan, 0.25])
def test_missing_targets_count_for_nothing_in_any_units(loss, missing):
    X, y = smooth()
    y = np.round(np.exp(y), 3) if loss is Poisson else 1e4 * y
    holes = np.arange(120) % 3 == 0
    spoiled = np.where(holes, missing, y)
    net = network(loss(ignore_value=missing))
    net.fit(X, spoiled, epochs=30)
    other = network(loss())
    other.fit(X[~holes], y[~holes], epochs=30)
    assert net.history["loss"] == pytest.approx(other.history["loss"], rel=1e-3)


@pytest.mark.parametrize("reduction", ["sum", "half_sum"])
def test_reductions_reach_the_minimum_of_the_mean(reduction):
    _, y = smooth()
    expected = r2(trained(y), y)
    assert r2(trained(y, MeanSquaredError(reduction=reduction)), y) == pytest.approx(
        expected, abs=5e-3
    )


@pytest.mark.parametrize("weight", [1e-8, 1e8])
def test_weight_of_the_only_loss_changes_nothing(weight):
    X, y = smooth()
    losses = []
    for w in (1.0, weight):
        x = fnn.Input(2)
        kind = fnn.Dense(6, 2)(fnn.Dense(2, 6, activation="tanh")(x))
        net = fnn.Network(x, {"kind": kind}, dtype="float64")
        net.compile("cross_entropy", "lbfgs", loss_weights={"kind": w})
        losses.append(net.fit(X, {"kind": (y > 0).astype(int)})["loss"][-1] / w)
    assert losses[1] == pytest.approx(losses[0], rel=0.05, abs=1e-6)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_custom_loss_is_minimised_relative_to_its_start(factor):
    X, y = smooth()

    def squared(output, target):
        error = output - target
        return factor * float(np.mean(error**2)), factor * 2 * error / error.size

    net = trained(y, fnn.CustomLoss(squared, target="rows"))
    expected = trained(y).evaluate(X, y)["loss"]
    assert net.history["loss"][-1] / factor == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("large", [1.0, 1e8])
def test_several_outputs_are_trained_in_units_of_their_own(large):
    X, y = smooth()
    x = fnn.Input(2)
    trunk = fnn.Dense(2, 6, activation="tanh")(x)
    outputs = {"kind": fnn.Dense(6, 2)(trunk), "size": fnn.Dense(6, 1)(trunk)}
    net = fnn.Network(x, outputs, dtype="float64")
    net.compile({"kind": "cross_entropy", "size": "mean_squared_error"}, "lbfgs")
    net.fit(X, {"kind": (y > 0).astype(int), "size": large * y})
    assert net.evaluate(X, {"kind": (y > 0).astype(int), "size": large * y})["size_r2"] > 0.95


# --------------------------------------------------- targets that a dtype cannot hold


def lost(y, dtype="float32", optimizer="adam", **options):
    """The warnings of a training."""
    net = network("mean_squared_error", optimizer, dtype=dtype)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(smooth(len(y))[0], y, epochs=1, **options)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "levenberg_marquardt"])
def test_targets_that_float32_cannot_hold_are_named(optimizer):
    _, y = smooth()
    (message,) = lost(20 * y + 1.7e9, optimizer=optimizer)
    assert "output 'dense_2' have mean 1.7e+09 and standard deviation 20" in message
    assert "numbers of float32 are 128 apart" in message
    assert 'dtype="float64"' in message


@pytest.mark.parametrize(
    ("y", "dtype"),
    [
        (20 * smooth()[1] + 1.7e9, "float64"),
        (1e4 * smooth()[1] + 1.7e6, "float32"),
        (np.full(120, 1.7e9), "float32"),
        (1e-30 * smooth()[1], "float32"),
        (np.arange(120) % 2, "float32"),
    ],
)
def test_targets_that_the_dtype_holds_give_no_warning(y, dtype):
    assert lost(y, dtype) == []


def test_missing_and_unweighted_targets_do_not_hide_a_lost_spread():
    _, y = smooth()
    y = 20 * y + 1.7e9
    y[0] = 0.0
    assert lost(y, sample_weight=np.arange(120) > 0)


def test_ensemble_warns_once():
    X, y = smooth()
    ensemble = fnn.Ensemble(network("mean_squared_error", "adam", dtype="float32"), 2)
    with pytest.warns(UserWarning, match="numbers of float32 are 128 apart") as caught:
        ensemble.fit(X, 20 * y + 1.7e9, epochs=1)
    assert len(caught) == 1


# -------------------------------------------------------------- outputs of several layers


def two_branches(merge):
    x = fnn.Input(2)
    hidden = fnn.Dense(2, 6, activation="tanh")(x)
    return fnn.Network(x, merge([fnn.Dense(6, 1)(hidden), fnn.Dense(2, 1)(x)]), dtype="float64")


def through(function, **options):
    layers = [fnn.Dense(2, 6, activation="tanh"), fnn.Dense(6, 1, **options), function]
    return fnn.Sequential(layers, dtype="float64")


STRUCTURES = {
    "sum": lambda: two_branches(fnn.Add()),
    "difference": lambda: two_branches(fnn.Subtract()),
    "mean": lambda: two_branches(fnn.Average()),
    "row": lambda: two_branches(fnn.Concatenate()),
    "identity": lambda: through(fnn.Identity()),
    "relu": lambda: through(fnn.Activation("relu")),
    "no bias": lambda: through(fnn.Identity(), use_bias=False),
}


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("optimizer", SOLVERS)
def test_outputs_of_several_layers_do_not_depend_on_units(structure, optimizer):
    X, y = smooth()
    y = y - y.min()
    y = np.column_stack([y, 2 * y]) if structure == "row" else y
    offsets = 0.0 if structure in ("relu", "no bias") else 1e4
    scores = []
    for factor, offset in ((1.0, 0.0), (1e-6, offsets * 1e-6), (1e10, offsets * 1e10)):
        net = STRUCTURES[structure]()
        net.compile("mean_squared_error", optimizer)
        history = net.fit(X, factor * y + offset, epochs=60)
        measured = net.evaluate(X, factor * y + offset)
        assert history["loss"][-1] == pytest.approx(measured["loss"], rel=1e-4)
        scores.append(measured["r2"])
    assert scores[1:] == pytest.approx(scores[:1] * 2, abs=0.02)
    assert min(scores) > 0.5


def test_layers_that_are_used_elsewhere_keep_their_units():
    X, y = smooth()
    x = fnn.Input(2)
    level = fnn.Dense(2, 1)(x)
    net = fnn.Network(x, {"level": level, "bent": fnn.Activation("tanh")(level)}, dtype="float64")
    net.compile({"level": "mean_squared_error", "bent": "mean_squared_error"}, "lbfgs")
    targets = {"level": y, "bent": np.tanh(y)}
    history = net.fit(X, targets)
    _, gradients = net.loss_and_gradients(X, targets)
    assert max(np.abs(g).max() for g in gradients.values()) < 1e-4
    assert history["loss"][-1] == pytest.approx(net.evaluate(X, targets)["loss"])
