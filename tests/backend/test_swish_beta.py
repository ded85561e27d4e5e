"""Swish with a trainable beta: gradients, limits, files, what freezes it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from networks import gradient_error
from programs import data_for, initial_storage, set_optimizer, single_operation
from scipy.special import expit

import fastnn as fnn
import fastnn.functional as F
from fastnn import backend as backends


def net_with_beta(dtype="float64", beta=0.8, **options):
    """3-7-2 with a trained beta between the layers."""
    layers = [fnn.Dense(3, 7), fnn.Swish(beta, True, name="swish", **options), fnn.Dense(7, 2)]
    net = fnn.Sequential(layers, dtype=dtype, seed=1)
    net.compile("mean_squared_error", fnn.AdamW(0.05, weight_decay=0.5), l2=0.1)
    return net


def test_gradient_is_that_of_the_formula(backend, dtype, rng):
    swish = fnn.Swish(0.7, trainable_beta=True, dtype=dtype)
    z, dy = rng.normal(size=(2, 5, 19)).astype(dtype) * 3
    np.testing.assert_allclose(swish(z), z * expit(0.7 * z), rtol=1e-5)
    dz = swish.backward(dy)
    s = expit(0.7 * z.astype("float64"))
    slopes = s + 0.7 * z * s * (1 - s)
    expected = np.sum(dy.astype("float64") * z.astype("float64") ** 2 * s * (1 - s))
    tolerance = 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(dz, dy * slopes, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(swish.gradients["beta"], [expected], rtol=tolerance)


@pytest.mark.parametrize("beta", [-1.5, 0.0, 0.8, 6.0])
def test_gradients_of_a_network_are_central_differences(backend, rng, beta):
    net = net_with_beta(beta=beta)
    assert gradient_error(net, rng.normal(size=(11, 3)), rng.normal(size=(11, 2))) < 1e-8


def test_two_uses_of_one_beta_add_their_gradients(backend, rng):
    x = fnn.Input(4)
    swish = fnn.Swish(1.3, True, name="swish")
    y = fnn.Dense(4, 1)(swish(fnn.Dense(4, 4)(swish(x))))
    net = fnn.Network(x, y, dtype="float64")
    net.compile("mean_squared_error")
    assert len([name for name in net.parameters if name.endswith(".beta")]) == 1
    assert gradient_error(net, rng.normal(size=(6, 4)), rng.normal(size=6)) < 1e-8


def test_rows_wider_than_a_chunk_are_summed_whole(backend, rng):
    swish = fnn.Swish(trainable_beta=True, dtype="float64")
    z = rng.normal(size=(2, 2500))
    swish(z)
    swish.backward(np.ones_like(z))
    s = expit(z)
    np.testing.assert_allclose(swish.gradients["beta"], [np.sum(z**2 * s * (1 - s))], rtol=1e-13)


@pytest.mark.parametrize("rows_at_once", [1, 32, 96])
def test_a_batch_taken_in_parts_has_the_same_bits(dtype, rows_at_once):
    if "compiled" not in backends.available():
        pytest.skip("a promise of the compiled engine")
    program = single_operation("trained_swish", dtype)
    inputs, targets = data_for(program, 117)
    storages = []
    for rows in (rows_at_once, 128):
        with backends.use("compiled"):
            engine = backends.new_engine(program, initial_storage(program))
        set_optimizer(engine, "adam")
        engine.rows_at_once = rows
        engine.train(inputs, targets, None, 117, np.full(1, 1e-2), 1, np.zeros(1))
        storages.append(engine.storage)
    np.testing.assert_array_equal(*storages)


def test_huge_arguments_have_gradient_zero(backend, dtype):
    swish = fnn.Swish(trainable_beta=True, dtype=dtype)
    swish(np.array([[-1e30, 1e30, 200.0, -200.0]]))
    swish.backward(np.ones((1, 4)))
    assert abs(swish.gradients["beta"][0]) < 1e-30


def test_training_finds_the_beta_that_made_the_data(backend, dtype, rng):
    z = rng.normal(size=(256, 1)) * 2
    net = fnn.Sequential([fnn.Input(1), fnn.Swish(1.0, True, name="swish")], dtype=dtype)
    net.compile("mean_squared_error", fnn.Adam(0.05))
    net.fit(z, z * expit(3 * z), epochs=60)
    assert net.layer("swish").beta == pytest.approx(3, abs=0.02)


def test_weight_decay_and_penalty_leave_beta_alone(backend, dtype):
    net = net_with_beta(dtype)
    net.parameters["dense_2.weight"][...] = 0  # no gradient reaches beta
    before = net.layer("swish").beta
    net.train_step(np.ones((4, 3)), np.zeros((4, 2)))
    assert net.layer("swish").beta == before


def test_a_frozen_beta_stays_and_the_rest_learns(backend, dtype, rng):
    net = net_with_beta(dtype, trainable=False)
    before = net.get_flat()
    net.fit(rng.normal(size=(32, 3)), rng.normal(size=(32, 2)), epochs=2)
    assert net.layer("swish").beta == pytest.approx(0.8)
    assert np.mean(net.get_flat() != before) > 0.9


def test_saved_pickled_and_copied_layers_keep_beta(backend, dtype, rng, tmp_path):
    net = net_with_beta(dtype)
    X, y = rng.normal(size=(32, 3)), rng.normal(size=(32, 2))
    net.fit(X, y, epochs=3)
    net.save(tmp_path / "net.fnn")
    twin = fnn.load(tmp_path / "net.fnn")
    assert twin.layer("swish").trainable_beta
    for other in (twin, pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other.predict(X), net.predict(X))
    assert net.layer("swish").copy().beta == net.layer("swish").beta != 0.8
    net.fit(X, y, epochs=2)
    twin.fit(X, y, epochs=2)
    np.testing.assert_array_equal(twin.get_flat(), net.get_flat())


def test_predictor_has_the_trained_beta(backend, dtype, rng):
    net = net_with_beta(dtype)
    X = rng.normal(size=(20, 3)).astype(dtype)
    net.fit(X, rng.normal(size=(20, 2)), epochs=3)
    np.testing.assert_array_equal(net.predictor()(X), net.predict(X))


def test_a_new_beta_acts_at_once(backend, dtype):
    swish = fnn.Swish(1.0, True, dtype=dtype)
    swish.parameters["beta"] = [0.0]
    assert swish.beta == 0
    np.testing.assert_array_equal(swish(np.array([[3.0, -5.0]])), [[1.5, -2.5]])


@pytest.mark.parametrize("trained", [False, True])
def test_beta_to_zero_gives_half_the_argument(backend, dtype, trained):
    z = np.linspace(-4, 4, 33).astype(dtype)[None]
    for beta in (1e-2, 1e-4, 1e-6, 0.0):
        swish = fnn.Swish(beta, trained, dtype=dtype)
        slack = beta * np.max(z) ** 2 / 2 + 4 * np.finfo(dtype).eps
        np.testing.assert_allclose(swish(z), z / 2, atol=slack)
        np.testing.assert_allclose(
            swish.backward(np.ones_like(z)), np.full_like(z, 0.5), atol=slack
        )


@pytest.mark.parametrize("trained", [False, True])
def test_beta_to_infinity_gives_relu(backend, dtype, trained):
    z = np.linspace(-4, 4, 32).astype(dtype)[None]  # 0 is not among them
    for beta in (1e2, 1e4, 1e8, 1e30):
        swish = fnn.Swish(beta, trained, dtype=dtype)
        # |z sigmoid(beta z) - relu(z)| is |z| sigmoid(-beta |z|), at most 0.2785 / beta
        np.testing.assert_allclose(swish(z), F.relu(z), atol=0.2785 / beta)
        distance = np.abs(swish.backward(np.ones_like(z)) - F.relu_derivative(z))
        t = beta * np.abs(z.astype("float64"))
        assert np.all(distance <= (1 + t) * expit(-t) + 4 * np.finfo(dtype).eps)


def test_at_zero_the_derivative_is_a_half_for_every_beta(backend, dtype):
    for beta in (0.0, 1.0, 1e30):
        swish = fnn.Swish(beta, dtype=dtype)
        swish(np.zeros((1, 1)))
        assert swish.backward(np.ones((1, 1))) == 0.5


def test_dense_refuses_an_activation_with_parameters():
    with pytest.raises(ValueError, match="trainable parameters, which Dense cannot have"):
        fnn.Dense(2, 2, fnn.Swish(trainable_beta=True))


def test_freezing_a_fixed_beta_is_refused():
    with pytest.raises(ValueError, match="without trainable_beta nothing is trained"):
        fnn.Swish(trainable=False)


def test_repr_and_summary_say_that_beta_is_trained():
    net = net_with_beta()
    assert repr(net.layer("swish")) == "Swish(beta=0.8, trainable_beta=True)"
    assert "activation(dense_1.Z, swish.beta, function='swish')" in str(net.program)
