"""Networks with products in bfloat16: who may have them, what they change, what stays float32."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
from fastnn import backend as backends
from fastnn.facts import precisions

BACKENDS = pytest.mark.parametrize("backend", backends.available())
LEAST = precisions.get("bfloat16").least_rows


def network(backend="reference", **options):
    with backends.use(backend):
        layers = [fnn.Dense(70, 90, activation="tanh"), fnn.Dense(90, 5)]
        net = fnn.Sequential(layers, seed=0, **options)
        net.compile("mean_squared_error", "adam", precision="bfloat16")
    return net


def samples(n=64, width=70, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def test_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, got 'half'"):
        network().compile("mean_squared_error", precision="half")


def test_networks_in_float64_are_refused():
    with pytest.raises(ValueError, match="networks of float32, got float64"):
        network(dtype="float64")


@pytest.mark.parametrize("solver", ["lbfgs", "levenberg_marquardt"])
def test_solvers_are_refused(solver):
    with pytest.raises(ValueError, match=f"{solver}.*precision must be 'float32'"):
        network().compile("mean_squared_error", solver, precision="bfloat16")


@BACKENDS
def test_parameters_and_state_stay_float32(backend):
    net = network(backend)
    net.train_step(samples(), samples(width=5))
    assert {a.dtype for a in net.parameters.values()} == {np.dtype(np.float32)}
    weight = net.parameters["dense_1.weight"]
    assert (weight.view(np.uint32) & 0xFFFF).any()


@BACKENDS
def test_gradients_are_checked_in_float64(backend):
    with backends.use(backend):
        net = network(backend)
        assert fnn.check_gradients(net, samples(), samples(width=5), max_numbers=40).ok


@pytest.mark.skipif("compiled" not in backends.available(), reason="a promise of compiled code")
def test_predictor_gives_a_row_alone_the_bits_it_has_among_others():
    predictor, X = network("compiled").predictor(), samples()
    together = predictor(X)
    for i in (0, 31, 63):
        np.testing.assert_array_equal(predictor(X[i]), together[i])


@BACKENDS
def test_predictor_of_a_large_batch_has_the_bits_of_predict(backend):
    net, X = network(backend), samples()
    np.testing.assert_array_equal(net.predictor()(X), net.predict(X))
    np.testing.assert_array_equal(net.predictor("bfloat16")(X), net.predict(X))
    assert (net.predictor("float32")(X) != net.predict(X)).any()


@BACKENDS
def test_predictor_in_bfloat16_of_a_network_in_float32(backend):
    net, X = network(backend), samples()
    expected = net.predict(X)
    net.compile("mean_squared_error", "adam")
    np.testing.assert_array_equal(net.predictor("bfloat16")(X), expected)


@BACKENDS
def test_predictions_follow_changed_parameters(backend):
    net, X = network(backend), samples()
    before = net.predict(X)
    net.parameters["dense_1.weight"][...] *= 2
    assert (net.predict(X) != before).mean() > 0.9


@BACKENDS
def test_files_pickles_and_copies_keep_the_precision(backend, tmp_path):
    net, X, Y = network(backend), samples(), samples(width=5)
    net.train_step(X, Y)
    net.save(tmp_path / "net")
    with backends.use(backend):
        others = [fnn.load(tmp_path / "net"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    loss = net.train_step(X, Y)
    for other in others:
        assert other.train_step(X, Y) == loss
        assert other.summary() == net.summary()


def test_summary_says_what_multiplies_what():
    lines = network().summary().splitlines()[-2:]
    assert lines == [
        f"products in bfloat16 from {LEAST} rows on: dense_1.weight (70 x 90), "
        "without an instruction for it here: slower",
        "products in float32: dense_2.weight (90 x 5) (narrower than 64)",
    ]


def test_summary_of_float32_says_nothing_of_it():
    net = network()
    net.compile("mean_squared_error")
    assert "products" not in net.summary()


@BACKENDS
def test_training_reaches_the_loss_of_float32(backend):
    X = samples(200)
    Y = np.tanh(X[:, :5] + X[:, 5:10])
    losses = []
    for precision in ("float32", "bfloat16"):
        net = network(backend)
        net.compile("mean_squared_error", fnn.Adam(0.01), precision=precision)
        losses.append(net.fit(X, Y, epochs=30, batch_size=50, verbose=0)["loss"][-1])
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators_take_the_precision():
    sklearn = pytest.importorskip("fastnn.estimators")
    X, y = samples(200), np.random.default_rng(1).integers(0, 3, 200)
    model = sklearn.MLPClassifier((80,), precision="bfloat16", max_iter=2, tol=0.0)
    model.fit(X.astype(np.float64), y)
    assert model.network_.dtype == np.float32
    assert model.network_.core.program.precision == "bfloat16"
    with pytest.raises(ValueError, match="networks of float32"):
        sklearn.MLPClassifier((80,), precision="bfloat16", dtype="float64").fit(X, y)
