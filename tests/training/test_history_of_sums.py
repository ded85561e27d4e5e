"""The loss of an epoch is what `evaluate` gives for parameters that do not change."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn as fnn

REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "half_sum"])
SIZES = pytest.mark.parametrize("size", [1, 7, 40, 100])


@pytest.fixture
def data(rng):
    return rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), rng.uniform(0, 3, 40)


def fitted(net, loss, X, y, size, **options):
    """A network after an epoch whose steps change nothing."""
    net.compile(loss, fnn.GradientDescent(0.0), l2=0.2, **options.pop("compiling", {}))
    net.fit(X, y, epochs=1, batch_size=size, **options)
    return net


@REDUCTIONS
@SIZES
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_of_an_epoch_is_that_of_evaluate(backend, dtype, data, reduction, size, weighted):
    X, y, w = data
    w = w if weighted else None
    net = fnn.Sequential([fnn.Dense(3, 2)], dtype=dtype, seed=0)
    fitted(net, fnn.Huber(reduction=reduction), X, y, size, sample_weight=w)
    expected = net.evaluate(X, y, w)["loss"]
    assert net.history["loss"][0] == pytest.approx(
        expected, rel=1e-5 if dtype == "float32" else 1e-12
    )


@REDUCTIONS
def test_ignored_labels_are_in_no_sum(backend, data, rng, reduction):
    X, labels = data[0], rng.integers(0, 3, 40)
    loss = fnn.CrossEntropy(ignore_index=1, class_weight=[1, 2, 3], reduction=reduction)
    net = fitted(fnn.Sequential([fnn.Dense(3, 3)], dtype="float64", seed=0), loss, X, labels, 7)
    assert net.history["loss"][0] == pytest.approx(net.evaluate(X, labels)["loss"], rel=1e-12)


def two_headed():
    x = fnn.Input(3)
    outputs = {"a": fnn.Dense(3, 2)(x), "b": fnn.Dense(3, 2)(x)}
    return fnn.Network(x, outputs, dtype="float64", seed=0)


@SIZES
@pytest.mark.parametrize("reductions", [("sum", "mean"), ("half_sum", "sum"), ("mean", "sum")])
def test_sums_and_means_of_several_losses(backend, data, size, reductions):
    X, y, w = data
    net = two_headed()
    loss = {k: fnn.MeanSquaredError(reduction=r) for k, r in zip("ab", reductions, strict=True)}
    compiling = {"loss_weights": {"a": 0.25, "b": 2.0}}
    targets = {"a": y, "b": y**2}
    fitted(net, loss, X, targets, size, sample_weight=w, compiling=compiling)
    expected = net.evaluate(X, targets, w)["loss"]
    assert net.history["loss"][0] == pytest.approx(expected, rel=1e-12)


def absolute(output, target):
    difference = output - target
    return np.abs(difference).mean(), np.sign(difference) / difference.size


@SIZES
def test_a_custom_loss_beside_a_sum(backend, data, size):
    X, y, _ = data
    net = two_headed()
    fitted(
        net, {"a": fnn.MeanSquaredError(reduction="sum"), "b": absolute}, X, {"a": y, "b": y}, size
    )
    assert net.history["loss"][0] == pytest.approx(
        net.evaluate(X, {"a": y, "b": y})["loss"], rel=1e-12
    )


def test_parameters_and_steps_are_those_of_single_steps(backend, data):
    X, y, _ = data
    nets = [fnn.Sequential([fnn.Dense(3, 2)], dtype="float64", seed=0) for _ in range(2)]
    for net in nets:
        net.compile(fnn.MeanSquaredError(reduction="sum"), fnn.Adam(0.01))
    nets[0].fit(X, y, epochs=1, batch_size=10, shuffle=False)
    costs = [nets[1].train_step(X[i : i + 10], y[i : i + 10]) for i in range(0, 40, 10)]
    np.testing.assert_array_equal(nets[0].get_flat(), nets[1].get_flat())
    assert nets[0].history["loss"][0] == pytest.approx(sum(costs), rel=1e-12)


def test_a_diverging_sum_is_reported_with_its_batch(backend, data):
    X, y, _ = data
    net = fnn.Sequential([fnn.Dense(3, 2)], dtype="float64", seed=0)
    net.compile(fnn.MeanSquaredError(reduction="sum"), fnn.GradientDescent(1e200))
    with pytest.raises(fnn.TrainingError, match="batch") as caught:
        net.fit(X, y, epochs=1, batch_size=10)
    assert not np.isfinite(caught.value.loss)
