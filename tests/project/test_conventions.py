"""What docs/conventions.md says of other libraries, by those that are installed."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn.network._feed import balanced

G, RATE, EPSILON = 0.02, 0.1, 0.01
OUTSIDE = RATE * G / (np.sqrt(0.1) * G + EPSILON)
CORRECTED = RATE * G / (G + EPSILON)
UNCORRECTED = RATE * np.sqrt(0.001) * G / (np.sqrt(0.001) * G + EPSILON)
Z, Y = np.array([[1.0, -1.0, 0.5]]), np.array([[0.2, 0.4, 0.0]])


def test_adam_and_momentum_of_scikit_learn():
    optimizers = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")
    p = [np.zeros(1)]
    adam = optimizers.AdamOptimizer(p, learning_rate_init=RATE, epsilon=EPSILON)
    adam.update_params(p, [np.full(1, G)])
    assert p[0] == pytest.approx(-UNCORRECTED)
    p = [np.zeros(1)]
    sgd = optimizers.SGDOptimizer(p, learning_rate_init=RATE, momentum=0.9, nesterov=False)
    for _ in range(2):
        sgd.update_params(p, [np.full(1, G)])
    assert p[0] == pytest.approx(-RATE * G * (1 + 1.9))


def test_weights_batches_and_penalty_of_scikit_learn(rng):
    neural_network = pytest.importorskip("sklearn.neural_network")
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    model = neural_network.MLPRegressor(
        hidden_layer_sizes=(200,), alpha=0.5, max_iter=1, learning_rate_init=1e-12, random_state=0
    )
    with pytest.warns(match="Maximum iterations"):
        model.fit(X, y)
    for weight, bias in zip(model.coefs_, model.intercepts_, strict=True):
        bound = np.sqrt(6 / sum(weight.shape))
        assert 0.9 * bound < abs(weight).max() <= bound or weight.size < 100
        assert bias.any()
        assert abs(bias).max() <= bound
    assert model.learning_rate_init == 1e-12
    assert neural_network.MLPRegressor().epsilon == 1e-8
    assert neural_network.MLPRegressor().learning_rate_init == 1e-3
    penalty = 0.5 / (2 * 40) * sum((weight**2).sum() for weight in model.coefs_)
    squares = ((model.predict(X) - y) ** 2).mean() / 2
    assert model.loss_ == pytest.approx(squares + penalty, rel=1e-6)


def test_balanced_weights_are_those_of_scikit_learn():
    class_weight = pytest.importorskip("sklearn.utils.class_weight")
    labels = np.repeat([0, 1, 2], [6, 2, 4])
    expected = class_weight.compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced(np.array([6.0, 2.0, 4.0])), expected)


def test_steps_of_pytorch():
    torch = pytest.importorskip("torch")

    def moved(optimizer, steps=1, **options):
        p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        chosen = optimizer([p], lr=RATE, **options)
        for _ in range(steps):
            p.grad = torch.full_like(p, G)
            chosen.step()
        return -p.item()

    assert moved(torch.optim.Adam, eps=EPSILON) == pytest.approx(CORRECTED)
    assert moved(torch.optim.RMSprop, alpha=0.9, eps=EPSILON) == pytest.approx(OUTSIDE)
    damped = moved(torch.optim.SGD, momentum=0.9, dampening=0.5)
    assert damped == pytest.approx(RATE * G)
    p = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=0.3)
    torch.optim.lr_scheduler.LinearLR(optimizer)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
    assert torch.optim.RMSprop([p]).defaults["alpha"] == 0.99
    assert torch.nn.LayerNorm(3).eps == 1e-5


def test_losses_of_pytorch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    z, y = torch.tensor(Z), torch.tensor(Y)
    smoothed = -((0.9 * Y + 0.1 / 3) * F.log_softmax(Z)).sum()
    assert functional.cross_entropy(z, y, label_smoothing=0.1).item() == pytest.approx(smoothed)
    weights = torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.float64)
    terms = F.binary_cross_entropy(Z, Y, reduction="none")
    weighted = functional.binary_cross_entropy_with_logits(z, y, weight=weights).item()
    assert weighted == pytest.approx((weights.numpy() * terms).sum() / 3)


def test_steps_and_losses_of_keras():
    keras = pytest.importorskip("keras")

    def moved(optimizer):
        p = keras.Variable(np.zeros(1, "float32"))
        optimizer.build([p])
        optimizer.apply([np.full(1, G, "float32")], [p])
        return -float(np.asarray(p)[0])

    adam, rmsprop = keras.optimizers.Adam, keras.optimizers.RMSprop
    assert moved(adam(RATE, epsilon=EPSILON)) == pytest.approx(UNCORRECTED, rel=1e-5)
    inside = RATE * G / np.sqrt(0.1 * G * G + EPSILON)
    assert moved(rmsprop(RATE, epsilon=EPSILON)) == pytest.approx(inside, rel=1e-5)
    assert adam().epsilon == rmsprop().epsilon == 1e-7
    assert keras.layers.LayerNormalization().epsilon == 1e-3
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    smoothed = -((0.9 * Y + 0.1 / 3) * F.log_softmax(Z)).sum()
    assert float(loss(Y, Z)) == pytest.approx(smoothed, rel=1e-5)


def test_penalty_is_of_weights_alone():
    net = fnn.Sequential([fnn.Dense(1, 1, weight=[[3.0]], bias=[2.0])], dtype="float64")
    net.compile("mean_squared_error", fnn.GradientDescent(0.1), l2=0.5)
    cost, gradients = net.loss_and_gradients([[0.0]], [[2.0]])
    assert cost == 0.5 / 2 * 9
    assert gradients["dense_1.weight"] == 0.5 * 3
    assert gradients["dense_1.bias"] == 0


@pytest.mark.parametrize("optimizer", [fnn.AdamW, fnn.Lion])
def test_decoupled_decay_is_of_weights_alone(optimizer):
    net = fnn.Sequential([fnn.Dense(1, 1, weight=[[3.0]], bias=[2.0])], dtype="float64")
    net.compile("mean_squared_error", optimizer(0.1, weight_decay=0.5))
    net.train_step([[0.0]], [[2.0]])
    assert net.parameters["dense_1.weight"] == pytest.approx(3 * (1 - 0.1 * 0.5))
    assert net.parameters["dense_1.bias"] == 2
