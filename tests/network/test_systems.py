"""Every system of the course in its formulas: what networks compute, and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from networks import gradient_error
from systems import MERGES, SYSTEMS, build_siamese, two_inputs

import fastnn as fnn

EACH = pytest.mark.parametrize("name", SYSTEMS)


def as_float64(net):
    return {name: view.astype("float64") for name, view in net.parameters.items()}


def assert_close(found, expected, dtype):
    scale = np.max(np.abs(expected)) + 1e-30
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


@EACH
def test_outputs_cost_and_gradients_are_those_of_the_formulas(backend, dtype, name, rng):
    system = SYSTEMS[name]
    net = system.build(dtype)
    X, y = system.data(rng)
    outputs, cost, gradients = system.formula(as_float64(net), X, y)
    found_cost, found = net.loss_and_gradients(X, y, training=system.training)
    predicted = net.predict(X)
    for key in outputs if isinstance(outputs, dict) else ():
        assert_close(predicted[key], outputs[key], dtype)
    if not isinstance(outputs, dict):
        assert_close(predicted, outputs, dtype)
    assert found_cost == pytest.approx(cost, rel=1e-13 if dtype == "float64" else 1e-5)
    assert set(found) == set(gradients)
    for key, gradient in gradients.items():
        assert_close(found[key], gradient, dtype)


@EACH
def test_gradients_are_central_differences(backend, name, rng):
    system = SYSTEMS[name]
    X, y = system.data(rng)
    assert gradient_error(system.build("float64"), X, y, training=system.training) < 1e-7


@EACH
def test_gradients_pass_the_check_that_users_have(backend, name, rng):
    system = SYSTEMS[name]
    net = system.build("float64")
    check = fnn.check_gradients(net, *system.data(rng), dropout=system.training, max_numbers=40)
    assert check.relative_error < 1e-8, check
    assert not check.kinks


@EACH
def test_a_step_of_gradient_descent_goes_against_the_gradient(backend, dtype, name, rng):
    system = SYSTEMS[name]
    net = system.build(dtype)
    X, y = system.data(rng)
    before = as_float64(net)
    gradients = net.loss_and_gradients(X, y, training=True)[1]
    net.train_step(X, y)
    for key, view in net.parameters.items():
        assert_close(view, before[key] - 0.1 * gradients[key].astype("float64"), dtype)


# --------------------------------------------------------------- B: exclusive or

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), np.array([0, 1, 1, 0], float)


def test_the_hand_set_solution_of_xor_is_exact(backend, dtype):
    layers = [
        fnn.Dense(2, 2, "relu", weight=np.ones((2, 2)), bias=[0, -1]),
        fnn.Dense(2, 1, weight=[[1], [-2]]),
    ]
    out = fnn.Sequential(layers, dtype=dtype).predict(XOR[0])
    np.testing.assert_array_equal(out[:, 0], [0, 1, 1, 0])


def solves_xor(seed, hidden=8):
    """Whether 2000 steps of gradient descent from the random start of this seed solve it."""
    net = fnn.Sequential([fnn.Dense(2, hidden, "relu"), fnn.Dense(hidden, 1)], seed=seed)
    net.compile("mean_squared_error", fnn.GradientDescent(0.1))
    net.fit(*XOR, epochs=2000, batch_size=4, shuffle=False)
    return np.abs(net.predict(XOR[0])[:, 0] - XOR[1]).max() < 0.1


def test_training_solves_xor_from_most_random_starts(backend):
    assert sum(solves_xor(seed) for seed in range(5)) >= 4


# ---------------------------------------------------- E: the gradients of both uses

TO_THE_BIT = pytest.mark.parametrize("merge", MERGES)


def untied(net, merge, dtype):
    """The same siamese net with a layer of its own for each input, of the same values."""
    left, right = fnn.Input(3, name="left"), fnn.Input(3, name="right")
    values = net.layer("shared").parameters
    layers = [
        fnn.Dense(3, 5, "relu", weight=values["weight"], bias=values["bias"], name=name)
        for name in ("first", "second")
    ]
    merge_layer = next(layer for layer in net.layers if layer.kind == merge)
    merged = merge_layer.copy()([layers[0](left), layers[1](right)])
    twin = fnn.Network([left, right], net.layer("out").copy()(merged), dtype=dtype)
    twin.compile("binary_cross_entropy")
    return twin


@TO_THE_BIT
def test_the_gradient_of_a_shared_layer_is_the_sum_of_its_branches_to_the_last_bit(
    backend, dtype, merge, rng
):
    net = build_siamese(dtype, merge)
    X, y = two_inputs(rng)
    X, y = [np.repeat(x, 30, axis=0) for x in X], np.repeat(y, 30, axis=0)
    X = [x + 0.1 * rng.normal(size=x.shape) for x in X]
    cost, shared = net.loss_and_gradients(X, y)
    twin_cost, apart = untied(net, merge, dtype).loss_and_gradients(X, y)
    assert cost == twin_cost
    for key in ("weight", "bias"):
        both = apart[f"first.{key}"] + apart[f"second.{key}"]
        np.testing.assert_array_equal(shared[f"shared.{key}"], both)


def recurrent(dtype, layers):
    """A chain of three layers of width 4, which may be one layer."""
    x = tensor = fnn.Input(4)
    for layer in layers:
        tensor = layer(tensor)
    net = fnn.Network(x, tensor, dtype=dtype)
    net.compile(fnn.MeanSquaredError(reduction="sum"))
    return net


def test_three_uses_add_in_the_order_of_the_backward_pass(backend, dtype, rng):
    weight = rng.normal(size=(4, 4))
    layer = fnn.Dense(4, 4, "tanh", weight=weight, name="d")
    apart = [fnn.Dense(4, 4, "tanh", weight=weight, name=f"d{i}") for i in (1, 2, 3)]
    X, y = rng.normal(size=(2, 50, 4))
    shared = recurrent(dtype, [layer] * 3).loss_and_gradients(X, y)[1]["d.weight"]
    g = recurrent(dtype, apart).loss_and_gradients(X, y)[1]
    expected = (g["d3.weight"] + g["d2.weight"]) + g["d1.weight"]
    np.testing.assert_array_equal(shared, expected)


def test_a_training_step_adds_the_branches_as_the_gradient_does(backend, dtype, rng):
    net = build_siamese(dtype, "subtract")
    X, y = two_inputs(rng)
    before = np.array(net.parameters["shared.weight"])
    gradient = net.loss_and_gradients(X, y)[1]["shared.weight"]
    rate = before.dtype.type(0.1)
    net.train_step(X, y)
    expected = before - rate * gradient
    np.testing.assert_array_max_ulp(net.parameters["shared.weight"], expected, 2, dtype)


# ------------------------------------------------------------- F: limits of log-sum-exp


def test_logits_beyond_the_reach_of_exp_train(backend, dtype):
    net = fnn.Sequential([fnn.Dense(1, 3, "relu", weight=[[900.0, 800.0, -5.0]])], dtype=dtype)
    net.compile("cross_entropy")
    cost, gradients = net.loss_and_gradients([[1.0]], [1])
    assert cost == 100
    np.testing.assert_array_equal(gradients["dense_1.weight"], [[1, -1, 0]])


# ------------------------------------------------------- L: numbers worked out by hand


def test_worked_example_to_twelve_digits(backend):
    layers = [
        fnn.Dense(2, 2, "sigmoid", weight=[[1, -1], [1, -1]], bias=[1, 0.5], name="one"),
        fnn.Dense(2, 1, weight=[[0.8], [-1]], bias=[-1], name="two"),
    ]
    net = fnn.Sequential(layers, dtype="float64")
    net.compile("binary_cross_entropy", fnn.GradientDescent(0.1))

    def sigmoid(z):
        return 1 / (1 + math.exp(-z))

    a = sigmoid(2.5), sigmoid(-1.0)
    z2 = 0.8 * a[0] - a[1] - 1
    dz2 = sigmoid(z2) - 1
    dz1 = [dz2 * 0.8 * a[0] * (1 - a[0]), dz2 * -1.0 * a[1] * (1 - a[1])]
    expected = {
        "one.weight": [[0.5 * dz1[0], 0.5 * dz1[1]], dz1],
        "one.bias": dz1,
        "two.weight": [[dz2 * a[0]], [dz2 * a[1]]],
        "two.bias": [dz2],
    }
    cost, gradients = net.loss_and_gradients([[0.5, 1.0]], [1])
    assert cost == pytest.approx(-math.log(sigmoid(z2)), abs=1e-12)
    before = as_float64(net)
    net.train_step([[0.5, 1.0]], [1])
    for key, gradient in expected.items():
        np.testing.assert_allclose(gradients[key], gradient, rtol=0, atol=1e-12)
        np.testing.assert_allclose(
            net.parameters[key], before[key] - 0.1 * np.array(gradient), rtol=0, atol=1e-12
        )
