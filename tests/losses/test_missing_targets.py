"""Missing targets: what is not observed counts for nothing, in every loss and both engines."""

from __future__ import annotations

import math

import numpy as np
import pytest
from networks import gradient_error

import fastnn as fnn
from fastnn.facts.losses import LOSSES as ROWS
from fastnn.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    CustomLoss,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
)

NAN = math.nan


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def two_heads(loss, dtype="float64", **options):
    """A trunk with an output of three columns, "a", and one of two, "b"."""
    x = fnn.Input(4)
    trunk = fnn.Dense(4, 6, activation="tanh", name="trunk")(x)
    outputs = {"a": fnn.Dense(6, 3, name="a")(trunk), "b": fnn.Dense(6, 2, name="b")(trunk)}
    net = fnn.Network(x, outputs, dtype=dtype)
    net.compile(loss, **{"missing": "nan", **options})
    return net


LOSSES = {
    **{
        name: (name, lambda rng: rng.uniform(0, 1, size=(24, 3)))
        for name, row in ROWS.items()
        if row.is_elementwise
    },
    "labels": ("cross_entropy", lambda rng: rng.integers(0, 3, 24).astype(float)),
    "shares": ("cross_entropy", lambda rng: rng.dirichlet(np.ones(3), 24)),
    "smoothed": (CrossEntropy(0.1, {1: 2.0}), lambda rng: rng.integers(0, 3, 24).astype(float)),
    "binary": ("binary_cross_entropy", lambda rng: rng.integers(0, 2, (24, 3)).astype(float)),
    "squared": ("mean_squared_error", lambda rng: rng.normal(size=(24, 3))),
    "absolute": (MeanAbsoluteError(reduction="sum"), lambda rng: rng.normal(size=(24, 3))),
    "huber": (Huber(0.5, reduction="half_sum"), lambda rng: rng.normal(size=(24, 3))),
}
EACH_LOSS = pytest.mark.parametrize("kind", LOSSES)


def case(kind, rng, missing=slice(0, None, 3)):
    """A network, inputs and targets of which the rows `missing` are nan for output a."""
    loss, make = LOSSES[kind]
    net = two_heads({"a": loss, "b": "mean_squared_error"})
    a = make(rng)
    a[missing] = NAN
    return net, rng.normal(size=(24, 4)), {"a": a, "b": rng.normal(size=(24, 2))}


# ------------------------------------------------------------------- mathematics


@EACH_LOSS
def test_gradients_with_missing_targets_are_difference_quotients(backend, rng, kind):
    assert gradient_error(*case(kind, rng)) < 1e-7


@EACH_LOSS
def test_loss_and_gradients_are_those_of_the_observed_rows(backend, rng, kind):
    _, X, y = case(kind, rng)
    seen = np.isfinite(y["a"]).reshape(24, -1).all(axis=1)
    net = two_heads({"a": LOSSES[kind][0], "b": None})
    found = net.loss_and_gradients(X, y["a"])
    expected = net.loss_and_gradients(X[seen], y["a"][seen])
    assert found[0] == pytest.approx(expected[0], rel=1e-13)
    for name, gradient in expected[1].items():
        np.testing.assert_allclose(found[1][name], gradient, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("kind", ["binary", "squared", "absolute", "huber"])
def test_single_elements_may_be_missing(backend, rng, kind):
    net, X, y = case(kind, rng)
    y["a"][rng.uniform(size=(24, 3)) < 0.3] = NAN
    assert gradient_error(net, X, y) < 1e-7
    z = net.predict(X)["a"]
    seen = np.isfinite(y["a"])
    terms = {
        "binary": lambda z, t: np.logaddexp(0, z) - t * z,
        "squared": lambda z, t: (z - t) ** 2,
        "absolute": lambda z, t: np.abs(z - t),
        "huber": lambda z, t: np.where(
            np.abs(z - t) <= 0.5, (z - t) ** 2 / 2, 0.5 * (np.abs(z - t) - 0.25)
        ),
    }[kind](z, y["a"])[seen]
    norm = {"absolute": 1, "huber": 2}.get(kind, seen.sum())
    assert net.evaluate(X, y)["a_loss"] == pytest.approx(terms.sum() / norm, rel=1e-12)


@EACH_LOSS
def test_a_head_with_nothing_observed_contributes_nothing(backend, dtype, rng, kind):
    _, X, y = case(kind, rng, slice(None))
    losses = {"a": LOSSES[kind][0], "b": "mean_squared_error"}
    net, alone = two_heads(losses, dtype), two_heads({**losses, "a": None}, dtype)
    cost, gradients = net.loss_and_gradients(X, y)
    expected, others = alone.loss_and_gradients(X, y["b"])
    assert cost == expected
    for name, gradient in gradients.items():
        if name.startswith("a."):
            assert not gradient.any()
        np.testing.assert_array_equal(gradient, others[name])
    assert math.isnan(net.evaluate(X, y)["a_loss"])
    net.fit(X, y, epochs=2, batch_size=5, shuffle=False)
    alone.fit(X, y["b"], epochs=2, batch_size=5, shuffle=False)
    np.testing.assert_array_equal(net.get_flat(), alone.get_flat())


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_a_batch_without_any_target_costs_nothing_but_the_penalty(backend, rng, l2):
    _, X, y = case("labels", rng, slice(None))
    net = two_heads({"a": "cross_entropy", "b": "binary_cross_entropy"}, l2=l2)
    y["b"] = np.full((24, 2), NAN)
    cost, gradients = net.loss_and_gradients(X, y)
    squares = sum(np.sum(net.parameters[f"{name}.weight"] ** 2) for name in ("trunk", "a", "b"))
    assert cost == pytest.approx(l2 / 2 * squares, rel=1e-12)
    for name, gradient in gradients.items():
        expected = l2 * net.parameters[name] if name.endswith("weight") else 0
        np.testing.assert_allclose(gradient, np.broadcast_to(expected, gradient.shape), rtol=1e-12)
    assert net.train_step(X, y) == pytest.approx(cost, rel=1e-12)


@EACH_LOSS
def test_a_mask_of_sample_weights_does_the_same(backend, rng, kind):
    net, X, y = case(kind, rng)
    mask = np.isfinite(y["a"]).reshape(24, -1).all(axis=1)
    filled = {**y, "a": np.where(np.isnan(y["a"]), 0, y["a"])}
    found = net.loss_and_gradients(X, filled, sample_weight={"a": mask})
    expected = net.loss_and_gradients(X, y)
    assert found[0] == pytest.approx(expected[0], rel=1e-13)
    for name, gradient in expected[1].items():
        np.testing.assert_allclose(found[1][name], gradient, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("kind", ["labels", "shares"])
def test_missing_rows_and_sample_weights_go_together(backend, rng, kind):
    net, X, y = case(kind, rng)
    weights = rng.uniform(0.5, 2, size=24)
    seen = np.isfinite(y["a"]).reshape(24, -1).all(axis=1)
    found = net.evaluate(X, y, sample_weight={"a": weights})["a_loss"]
    rows = {"a": y["a"][seen], "b": y["b"][seen]}
    expected = net.evaluate(X[seen], rows, sample_weight={"a": weights[seen]})["a_loss"]
    assert found == pytest.approx(expected, rel=1e-12)
    assert net.loss_and_gradients(X, y, sample_weight={"a": weights, "b": np.zeros(24)})[
        0
    ] == pytest.approx(found, rel=1e-12)


# ------------------------------------------------------------------------ scores


@EACH_LOSS
def test_scores_are_over_what_is_observed(backend, rng, kind):
    net, X, y = case(kind, rng)
    seen = np.isfinite(y["a"]).reshape(24, -1).all(axis=1)
    found = net.evaluate(X, y)
    expected = net.evaluate(X[seen], {"a": y["a"][seen], "b": y["b"][seen]})
    for name in found:
        if name.startswith("a_"):
            assert found[name] == pytest.approx(expected[name], rel=1e-12)


@EACH_LOSS
def test_a_score_of_nothing_is_nan(backend, rng, kind):
    net, X, y = case(kind, rng, slice(None))
    metrics = net.evaluate(X, y)
    assert math.isnan(metrics[f"a_{net.losses['a'].metric}"])
    assert math.isfinite(metrics["loss"])


# ---------------------------------------------------------------------- training


@EACH_LOSS
@pytest.mark.parametrize("type", [np.float16, np.float32, np.float64])
def test_training_accepts_nan_in_each_floating_type_and_stays_finite(backend, rng, kind, type):
    net, X, y = case(kind, rng)
    y = {name: values.astype(type) for name, values in y.items()}
    history = net.fit(X.astype(type), y, epochs=3, batch_size=5, validation_split=0.25)
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(history["val_loss"]).all()
    net.train_step(X, y)
    assert np.isfinite(net.get_flat()).all()


@pytest.mark.parametrize("check", [True, False])
@EACH_LOSS
def test_single_steps_with_one_loss(backend, rng, kind, check):
    loss, make = LOSSES[kind]
    net, other = (fnn.Sequential([fnn.Dense(4, 3)], dtype="float64") for _ in range(2))
    for one in (net, other):
        one.compile(loss, missing="nan")
    X, y = rng.normal(size=(24, 4)), make(rng)
    y[5:] = NAN
    assert net.train_step(X, y, check_finite=check) == pytest.approx(
        other.train_step(X[:5], y[:5]), rel=1e-12
    )
    np.testing.assert_allclose(net.get_flat(), other.get_flat(), rtol=1e-9)


def test_class_weights_of_fit_leave_missing_rows_out(backend, rng):
    flats = []
    for kind in ("labels", "shares"):
        net, X, y = case(kind, rng)
        net.fit(X, y, epochs=2, class_weight={"a": {0: 3.0}})
        flats.append(net.get_flat())
    assert np.isfinite(flats).all()


def test_nan_is_refused_unless_it_means_missing(backend, rng):
    for kind in LOSSES:
        _, X, y = case(kind, rng)
        net = two_heads({"a": LOSSES[kind][0], "b": "mean_squared_error"}, missing=None)
        for call in (net.fit, net.train_step, net.evaluate, net.loss_and_gradients):
            with pytest.raises(
                ValueError, match=r"y\['a'\] must be finite, got y\['a'\]\[0.*\] = nan"
            ):
                call(X, y)


@EACH_LOSS
def test_infinity_is_refused_beside_nan(backend, rng, kind):
    net, X, y = case(kind, rng)
    y["a"][2] = math.inf
    for call in (net.fit, net.train_step, net.loss_and_gradients):
        with pytest.raises(ValueError, match=r"y\['a'\] must be finite, got y\['a'\]\[2.*\] = inf"):
            call(X, y)


# ----------------------------------------------------------------------- options


def test_nan_labels_join_those_of_ignore_index(backend, rng):
    X = rng.normal(size=(6, 4))
    net = fnn.Sequential([fnn.Dense(4, 3)], dtype="float64")
    net.compile(CrossEntropy(ignore_index=9, ignore_nan=True))
    value = net.evaluate(X, [0, NAN, 2, 9, 1, 9])["loss"]
    assert value == pytest.approx(net.evaluate(X[[0, 2, 4]], [0, 2, 1])["loss"], rel=1e-12)


def test_labels_out_of_range_are_no_missing_ones(backend, rng):
    net = fnn.Sequential([fnn.Dense(4, 3)])
    net.compile("cross_entropy", missing="nan")
    with pytest.raises(ValueError, match=r"y must be integers from 0 to 2, got y\[1\] = -1"):
        net.fit(rng.normal(size=(2, 4)), [0, -1])


def test_missing_turns_on_each_loss_s_own_option():
    net = two_heads({"a": CrossEntropy(0.1), "b": BinaryCrossEntropy()})
    assert net.losses["a"] == CrossEntropy(0.1, ignore_nan=True)
    assert math.isnan(net.losses["b"].ignore_value)


def test_a_custom_loss_is_handed_its_nan(backend, rng):
    def squared(output, target):
        seen = ~np.isnan(target)
        difference = np.where(seen, output - target, 0)
        n = max(seen.sum(), 1)
        return (difference**2).sum() / n, 2 * difference / n

    _, X, y = case("squared", rng)
    nets = [two_heads({"a": loss, "b": None}) for loss in (squared, "mean_squared_error")]
    costs = [net.loss_and_gradients(X, y["a"])[0] for net in nets]
    assert costs[0] == pytest.approx(costs[1], rel=1e-12)
    assert nets[0].losses["a"] == CustomLoss(squared, allow_nan=True)


def test_two_marks_of_missing_targets_are_refused():
    with pytest.raises(ValueError, match="mean_squared_error ignores targets equal to -1"):
        two_heads({"a": MeanSquaredError(ignore_value=-1.0), "b": None})


@pytest.mark.parametrize("missing", ["none", math.nan, True])
def test_other_marks_are_refused(missing):
    with pytest.raises((TypeError, ValueError), match="missing"):
        two_heads({"a": "mean_squared_error", "b": None}, missing=missing)


@EACH_LOSS
def test_a_saved_network_goes_on_with_missing_targets(backend, rng, kind, tmp_path):
    net, X, y = case(kind, rng)
    net.fit(X, y, epochs=1)
    net.save(tmp_path / "net")
    other = fnn.load(tmp_path / "net")
    assert str(other.losses) == str(net.losses)
    assert net.train_step(X, y) == other.train_step(X, y)
