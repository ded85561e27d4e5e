"""What networks compute, and its gradients: against formulas and central differences."""

import math

import numpy as np
import pytest
from networks import classifier, flowers, gradient_error, multitask, multitask_data, siamese
from scipy.special import expit

from fastnn.layers import (
    AbsDifference,
    Add,
    Average,
    Concatenate,
    Dense,
    Input,
    Multiply,
    ReLU,
    Softmax,
    Subtract,
)
from fastnn.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanSquaredError
from fastnn.network import Network, Sequential
from fastnn.optimizers import GradientDescent


def test_predict_computes_the_chain_of_layers(backend, dtype, rng):
    net = Sequential([Dense(4, 8, activation="tanh"), Dense(8, 3)], dtype=dtype, seed=0)
    p = {name: value.astype(float) for name, value in net.parameters.items()}
    X = rng.normal(size=(7, 4))
    hidden = np.tanh(X @ p["dense_1.weight"] + p["dense_1.bias"])
    expected = hidden @ p["dense_2.weight"] + p["dense_2.bias"]
    out = net.predict(X)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, expected, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-6)


def test_worked_example_of_a_2_2_1_sigmoid_net(backend):
    net = Sequential(
        [
            Dense(2, 2, "sigmoid", weight=[[1, -1], [1, -1]], bias=[1, 0.5]),
            Dense(2, 1, weight=[[0.8], [-1]], bias=[-1]),
        ],
        dtype="float64",
    )
    net.compile(loss="binary_cross_entropy", optimizer=GradientDescent(0.1))
    x, y = np.array([[0.5, 1.0]]), [1]
    assert net.predict_proba(x)[0, 0] == pytest.approx(0.370604, abs=5e-7)
    dz = expit(-0.5296275) - 1
    _, gradients = net.loss_and_gradients(x, y)
    expected = dz * np.array([[0.924142], [0.268941]])
    np.testing.assert_allclose(gradients["dense_2.weight"], expected, rtol=2e-6)
    before = net.parameters["dense_2.bias"].copy()
    assert net.train_step(x, y) == pytest.approx(-math.log(0.370604), rel=2e-6)
    np.testing.assert_allclose(net.parameters["dense_2.bias"], before - 0.1 * dz, rtol=1e-6)


def test_hand_set_relu_net_computes_xor(backend):
    net = Sequential(
        [
            Dense(2, 2, "relu", weight=np.ones((2, 2)), bias=[0, -1]),
            Dense(2, 1, weight=[[1], [-2]]),
        ]
    )
    X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    np.testing.assert_array_equal(net.predict(X)[:, 0], [0, 1, 1, 0])


def shortcut():
    """The output layer also sees the input: Z2 = A1 W2 + X W21 + b."""
    x = Input(4)
    hidden = Dense(4, 5, activation="tanh")(x)
    return Network(x, Add()([Dense(5, 3)(hidden), Dense(4, 3, use_bias=False)(x)]), dtype="float64")


def test_a_shortcut_adds_its_path(backend, rng):
    net = shortcut()
    p = net.parameters
    X = rng.normal(size=(6, 4))
    hidden = np.tanh(X @ p["dense_1.weight"] + p["dense_1.bias"])
    expected = hidden @ p["dense_2.weight"] + p["dense_2.bias"] + X @ p["dense_3.weight"]
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-12)


def test_gradients_of_a_shared_layer_are_the_sum_over_its_uses(backend, rng):
    net = siamese()
    left, right = rng.normal(size=(2, 8, 3))
    y = rng.integers(0, 2, 8)
    p = net.parameters
    a, b = (np.tanh(x @ p["shared.weight"] + p["shared.bias"]) for x in (left, right))
    z = (a - b) @ p["out.weight"] + p["out.bias"]
    dz = (expit(z) - y[:, None]) / 8
    d_hidden = dz @ p["out.weight"].T
    da, db = d_hidden * (1 - a**2), -d_hidden * (1 - b**2)
    _, gradients = net.loss_and_gradients([left, right], y)
    np.testing.assert_allclose(gradients["out.weight"], (a - b).T @ dz, rtol=1e-11)
    np.testing.assert_allclose(gradients["shared.weight"], left.T @ da + right.T @ db, rtol=1e-11)
    np.testing.assert_allclose(gradients["shared.bias"], (da + db).sum(axis=0), atol=1e-15)


def merged(kind):
    x = Input(4)
    branches = [Dense(4, 3, activation="tanh")(x), Dense(4, 3, activation="sigmoid")(x)]
    tensor = kind()(branches)
    net = Network(x, Dense(tensor.width, 3)(tensor), dtype="float64")
    net.compile(loss="cross_entropy")
    return net


@pytest.mark.parametrize("kind", [Add, Subtract, Multiply, Average, AbsDifference, Concatenate])
def test_gradients_through_merges_are_difference_quotients(backend, rng, kind):
    assert gradient_error(merged(kind), *flowers(rng, 10)) < 1e-7


@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropy(label_smoothing=0.1, class_weight={1: 3.0}),
        CrossEntropy(reduction="sum", ignore_index=2),
    ],
    ids=repr,
)
def test_gradients_of_a_classifier_are_difference_quotients(backend, rng, loss):
    net = classifier()
    net.compile(loss, l2=0.3)
    assert gradient_error(net, *flowers(rng, 12), sample_weight=rng.uniform(size=12)) < 1e-7


@pytest.mark.parametrize(
    "loss",
    [
        MeanSquaredError(reduction="half_sum"),
        Huber(0.5),
        BinaryCrossEntropy(),
        "mean_absolute_error",
    ],
)
def test_gradients_of_elementwise_losses_are_difference_quotients(backend, rng, loss):
    net = classifier()
    net.compile(loss)
    assert gradient_error(net, rng.normal(size=(9, 4)), rng.uniform(size=(9, 3))) < 1e-7


def test_gradients_through_dropout_use_the_mask_of_the_forward_pass(backend, rng):
    net = classifier(dropout=0.4)
    assert gradient_error(net, *flowers(rng, 12), training=True) < 1e-7


def test_gradients_through_softmax_of_a_relu_output_are_difference_quotients(backend, rng):
    net = Sequential([Dense(4, 3), ReLU(), Softmax()], dtype="float64")
    net.compile("mean_squared_error")
    assert gradient_error(net, rng.normal(size=(9, 4)), rng.uniform(size=(9, 3))) < 1e-7


def test_cost_of_several_outputs_is_the_weighted_sum(backend, rng):
    net = multitask(loss_weights={"size": 0.25})
    X, y = multitask_data(rng)
    metrics = net.evaluate(X, y)
    expected = metrics["kind_loss"] + 0.25 * metrics["size_loss"]
    assert metrics["loss"] == pytest.approx(expected, rel=1e-12)
    assert net.loss_and_gradients(X, y)[0] == pytest.approx(expected, rel=1e-12)


def test_gradients_of_several_outputs_with_missing_targets_are_difference_quotients(backend, rng):
    net = multitask(loss_weights=[2.0, 0.25], l2=0.1)
    assert gradient_error(net, *multitask_data(rng)) < 1e-7


def test_an_output_without_targets_contributes_nothing(backend, rng):
    net = multitask()
    X, y = multitask_data(rng)
    y["size"][...] = math.nan
    _, gradients = net.loss_and_gradients(X, y)
    assert not gradients["dense_2.weight"].any()
    assert gradients["dense_1.weight"].any()


def test_frozen_layers_do_not_change_and_get_no_gradient(backend, rng):
    X, y = flowers(rng)
    net = classifier()
    net.layers[0].trainable = False
    net.compile("cross_entropy", l2=0.1)
    before = {name: value.copy() for name, value in net.parameters.items()}
    net.train_step(X, y)
    np.testing.assert_array_equal(net.parameters["dense_1.weight"], before["dense_1.weight"])
    assert not np.array_equal(net.parameters["dense_2.weight"], before["dense_2.weight"])
    assert not net.gradients["dense_1.weight"].any()


def test_l2_penalty_acts_on_weights_and_not_on_biases(backend, rng):
    X, y = flowers(rng)
    plain, penalized = classifier(), classifier(l2=0.5)
    for net in (plain, penalized):
        net.parameters["dense_1.bias"][...] = 1
    weights = [v for k, v in plain.parameters.items() if k.endswith("weight")]
    penalty = 0.25 * sum(np.sum(w**2) for w in weights)
    (loss, g), (cost, h) = (net.loss_and_gradients(X, y) for net in (plain, penalized))
    assert cost == pytest.approx(loss + penalty, rel=1e-12)
    np.testing.assert_array_equal(g["dense_1.bias"], h["dense_1.bias"])
    np.testing.assert_allclose(
        h["dense_1.weight"] - g["dense_1.weight"], 0.5 * plain.parameters["dense_1.weight"]
    )


def test_gradient_descent_step_is_w_minus_eta_dw(backend, rng):
    X, y = flowers(rng)
    net = classifier()
    net.compile("cross_entropy", GradientDescent(0.5))
    loss, gradients = net.loss_and_gradients(X, y)
    before = {name: value.copy() for name, value in net.parameters.items()}
    assert net.train_step(X, y) == pytest.approx(loss, rel=1e-12)
    for name, value in net.parameters.items():
        np.testing.assert_allclose(value, before[name] - 0.5 * gradients[name], atol=1e-15)
