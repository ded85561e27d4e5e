"""Class weights with label smoothing: labels and their one-hot rows train alike."""

from __future__ import annotations

import numpy as np
import pytest
from networks import gradient_error

import fastnn as fnn
from fastnn.losses import CrossEntropy

CLASSES = pytest.mark.parametrize("n_classes", [3, 17])


def data(n_classes, n=23):
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(n, 4)), rng.integers(0, n_classes, n)
    return X, labels, np.eye(n_classes)[labels]


def network(n_classes, dtype="float64", smoothing=0.2, reduction="sum", **options):
    weights = np.random.default_rng(1).uniform(0, 3, n_classes)
    net = fnn.Sequential([fnn.Dense(4, 6, activation="tanh"), fnn.Dense(6, n_classes)], dtype=dtype)
    loss = CrossEntropy(
        class_weight=weights, label_smoothing=smoothing, reduction=reduction, **options
    )
    net.compile(loss, fnn.GradientDescent(0.01))
    return net


@CLASSES
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_of_labels_are_those_of_their_rows(backend, dtype, n_classes, weighted):
    X, labels, rows = data(n_classes)
    weights = np.random.default_rng(2).uniform(0, 2, len(X)) if weighted else None
    net, tolerance = network(n_classes, dtype), 1e-12 if dtype == np.float64 else 2e-5
    loss, gradients = net.loss_and_gradients(X, labels, weights)
    expected_loss, expected = net.loss_and_gradients(X, rows, weights)
    assert loss == pytest.approx(expected_loss, rel=tolerance)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], atol=tolerance * 30)


@CLASSES
def test_evaluation_of_labels_is_that_of_their_rows(backend, n_classes):
    X, labels, rows = data(n_classes)
    net = network(n_classes)
    assert net.evaluate(X, labels)["loss"] == pytest.approx(net.evaluate(X, rows)["loss"])


@CLASSES
@pytest.mark.parametrize("reduction", ["mean", "sum", "half_sum"])
def test_gradient_is_that_of_central_differences(backend, n_classes, reduction):
    X, labels, _ = data(n_classes)
    labels = np.where(np.arange(len(X)) % 4 == 0, -1, labels)
    net = network(n_classes, reduction=reduction, ignore_index=-1)
    weights = np.random.default_rng(2).uniform(0, 2, len(X))
    assert gradient_error(net, X, labels, sample_weight=weights) < 1e-7


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cost_is_that_of_the_evaluation(backend, reduction):
    X, labels, _ = data(3)
    net = network(3, reduction=reduction)
    measured = net.evaluate(X, labels)["loss"]
    assert net.loss_and_gradients(X, labels)[0] == pytest.approx(measured, rel=1e-12)


def test_backends_take_the_same_steps(dtype):
    X, labels, _ = data(5)
    steps = []
    for name in fnn.backend.available():
        with fnn.backend.use(name):
            net = network(5, dtype, reduction="mean")
        net.fit(X, labels, epochs=3, batch_size=8)
        steps.append(net.get_flat())
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(steps[-1], steps[0], atol=tolerance)


def test_losses_of_the_samples_sum_to_the_loss(backend):
    X, labels, _ = data(3)
    net = network(3)
    loss, _ = net.loss_and_gradients(X, labels)
    assert net.core.engine.sample_losses().sum() == pytest.approx(loss, rel=1e-12)
