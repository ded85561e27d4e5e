"""What networks can have, against what can be done with them: the pairs work together."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from custom_layers import Bilinear, Centering, RadialBasis

import fastnn as fnn


def squares(output, target):
    """Half the mean square over the rows, a row with a missing target counting for nothing."""
    error = np.where(np.isnan(target), 0, output - target)
    return 0.5 * np.sum(error**2) / len(output), error / len(output)


def weighted_squares(output, target, weights):
    """Half the mean of weighted squares."""
    error = output - target
    gradient = weights[:, None] * error / len(output)
    return 0.5 * np.sum(gradient * error), gradient


MISSING = fnn.CustomLoss(squares, allow_nan=True)
WEIGHTED = fnn.CustomLoss(weighted_squares, weighted=True)
CUSTOM = [Bilinear, Centering, RadialBasis, MISSING, WEIGHTED]


def compiled(inputs, outputs, loss, dtype, optimizer="adam", **options):
    net = fnn.Network(inputs, outputs, dtype=dtype, seed=5)
    net.compile(loss, optimizer, **options)
    return net


def swish(dtype, **how):
    x = fnn.Input(3)
    hidden = fnn.Swish(beta=1.5, trainable_beta=True)(fnn.Dense(3, 4)(x))
    return compiled(x, fnn.Dense(4, 2)(hidden), "mean_squared_error", dtype, **how)


def custom_layers(dtype, **how):
    x = fnn.Input(3)
    a, b = RadialBasis(3, 4)(x), fnn.Dense(3, 4, activation="tanh")(Centering()(x))
    out = fnn.Dense(4, 2)(Bilinear(4)([a, b]))
    return compiled(x, out, "mean_squared_error", dtype, **how)


def custom_loss(dtype, **how):
    x = fnn.Input(3)
    hidden = fnn.Dense(3, 4, activation="tanh")(x)
    return compiled(x, fnn.Dense(4, 2)(hidden), WEIGHTED, dtype, **how)


def missing(dtype, **how):
    x = fnn.Input(3)
    trunk = fnn.Dense(3, 4, activation="tanh")(x)
    outputs = {"a": fnn.Dense(4, 2)(trunk), "b": fnn.Dense(4, 1)(trunk)}
    return compiled(x, outputs, dict.fromkeys("ab", "mean_squared_error"), dtype,
                    missing="nan", loss_weights={"b": 0.5}, **how)  # fmt: skip


def shared(dtype, **how):
    a, b = fnn.Input(3, name="a"), fnn.Input(3, name="b")
    layer = fnn.Dense(3, 4, activation="softplus")
    out = fnn.Dense(4, 2)(fnn.Subtract()([layer(a), layer(b)]))
    return compiled([a, b], out, "mean_squared_error", dtype, l2=0.01, **how)


def frozen(dtype, **how):
    x = fnn.Input(3)
    hidden = fnn.LayerNorm(4)(fnn.Dense(3, 4, activation="sigmoid", trainable=False)(x))
    return compiled(x, fnn.Dense(4, 2)(hidden), "mean_squared_error", dtype, l2=0.01, **how)


def everything(dtype, **how):
    """All of these at once, but for dropout."""
    a, b = fnn.Input(3, name="a"), fnn.Input(3, name="b")
    layer = fnn.Dense(3, 4)
    swish = fnn.Swish(trainable_beta=True)
    still = fnn.Dense(4, 4, activation="tanh", trainable=False)
    trunk = Bilinear(4)([swish(layer(a)), still(fnn.LayerNorm(4)(swish(layer(b))))])
    trunk = fnn.Add()([trunk, RadialBasis(3, 4)(a)])
    outputs = {"a": fnn.Dense(4, 2)(trunk), "b": fnn.Dense(4, 1)(Centering()(trunk))}
    return compiled([a, b], outputs, {"a": MISSING, "b": "mean_squared_error"}, dtype,
                    missing="nan", l2=0.01, **how)  # fmt: skip


NETWORKS = {
    build.__name__: build
    for build in (swish, custom_layers, custom_loss, missing, shared, frozen, everything)
}
SQUARES = ["swish", "custom_layers", "missing", "shared", "frozen"]
each_network = pytest.mark.parametrize("name", NETWORKS)


def data(net, n=12):
    """Inputs, targets, of which some are missing where there are several heads, and weights."""
    rng = np.random.default_rng(1)
    X = {name: rng.normal(size=(n, 3)) for name in net.input_names}
    widths = zip(net.output_names, net.graph.outputs, strict=True)
    y = {name: rng.normal(size=(n, tensor.width)) for name, tensor in widths}
    weights = rng.uniform(0.5, 2, n)
    if len(y) > 1:
        y["a"][::3] = np.nan
        y["b"][1:] = np.nan  # one observed target
        return X, y, {"b": weights}
    return X, next(iter(y.values())), weights


def assert_same(one, other):
    """Nested lists and dicts of arrays are equal to the last bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------- watching


@each_network
def test_gradients_pass_the_check(backend, dtype, name):
    net = NETWORKS[name](dtype)
    result = fnn.check_gradients(net, *data(net))
    assert result.ok, result
    assert not result.kinks


@each_network
def test_trace_is_a_train_step(backend, dtype, name):
    net = NETWORKS[name](dtype)
    X, y, weights = data(net)
    trace = net.trace(X, y, weights)
    assert net.train_step(X, y, weights) == trace.loss
    assert_same({k: p.after for k, p in trace.parameters.items()}, dict(net.parameters))


@each_network
def test_trace_and_statistics_can_be_shown(backend, name):
    net = NETWORKS[name]("float32")
    trace, statistics = net.trace(*data(net)), net.layer_statistics(*data(net))
    assert set(statistics) == set(trace)
    assert "loss" in str(statistics)
    assert all(name in text for name in trace.parameters for text in (str(trace), str(statistics)))
    assert trace.to_latex().count(r"\begin{align*}") == trace.to_latex().count(r"\end{align*}")
    for shown in (trace, statistics):
        json.dumps(shown.to_dict(), allow_nan=False)


@each_network
def test_jacobians_are_those_of_the_cost(backend, name):
    """An output's gradient, summed over the rows, is that of a cost that is its sum."""
    net = NETWORKS[name]("float64")
    X, *_ = data(net)
    for output in net.output_names:
        flat, slopes = net.get_flat(), []
        for i in range(flat.size):
            ends = []
            for step in (1e-6, -1e-6):
                net.set_flat(flat + step * (np.arange(flat.size) == i))
                found = net.predict(X)
                ends.append(found[output] if isinstance(found, dict) else found)
            slopes.append((ends[0] - ends[1]).ravel() / 2e-6)
        net.set_flat(flat)
        learning = np.concatenate([np.full(p.size, p.trainable) for p in net.program.parameters])
        found = net.parameter_jacobian(X, output)
        np.testing.assert_allclose(found, np.transpose(slopes) * learning, atol=1e-7)


# ------------------------------------------------------------------- training


@each_network
def test_lbfgs_lowers_the_cost(backend, dtype, name):
    net = NETWORKS[name](dtype, optimizer="lbfgs")
    X, y, weights = data(net)
    before = net.evaluate(X, y, weights)["loss"]
    loss = net.fit(X, y, sample_weight=weights, epochs=10)["loss"][-1]
    assert loss < before
    assert net.evaluate(X, y, weights)["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("name", SQUARES)
def test_levenberg_marquardt_lowers_the_cost(backend, dtype, name):
    net = NETWORKS[name](dtype, optimizer=fnn.LevenbergMarquardt(method="trf"))
    X, y, weights = data(net)
    before = net.evaluate(X, y, weights)["loss"]
    loss = net.fit(X, y, sample_weight=weights, epochs=10)["loss"][-1]
    assert loss < before
    assert net.evaluate(X, y, weights)["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["lbfgs", fnn.LevenbergMarquardt(method="trf")])
def test_solvers_can_be_watched(backend, optimizer):
    net = swish("float64", optimizer=optimizer)
    X, y, _ = data(net)
    monitor = fnn.LayerMonitor(X, y)
    net.fit(X, y, epochs=3, callbacks=monitor)
    assert monitor.epochs == [1, 2, 3]
    trace = net.trace(X, y)
    assert "takes no single steps" in str(trace)
    assert all(np.array_equal(p.before, p.after) for p in trace.parameters.values())
    assert_same(
        {key: p.gradient for key, p in trace.parameters.items()}, net.loss_and_gradients(X, y)[1]
    )


def test_trace_of_a_solver_cannot_be_applied(backend):
    net = swish("float64", optimizer="lbfgs")
    X, y, _ = data(net)
    with pytest.raises(RuntimeError, match="lbfgs takes no single steps: call fit"):
        net.trace(X, y, apply=True)


@pytest.mark.parametrize("bootstrap", [False, True])
@each_network
def test_ensemble_learns_and_is_kept(backend, name, bootstrap, tmp_path):
    net = NETWORKS[name]("float64")
    X, y, weights = data(net)
    ensemble = fnn.Ensemble(net, 2, bootstrap=bootstrap)
    ensemble.fit(X, y, sample_weight=weights, epochs=1)
    ensemble.save(tmp_path / "e.fastnn")
    loaded = fnn.Ensemble.load(tmp_path / "e.fastnn", custom=CUSTOM)
    np.testing.assert_equal(loaded.oob_score, ensemble.oob_score)  # nan where nothing was scored
    for one in (ensemble, loaded, pickle.loads(pickle.dumps(ensemble))):
        one.fit(X, y, sample_weight=weights, epochs=1, n_jobs=2)
        assert_same(one.predict(X).mean, ensemble.predict(X).mean)
        np.testing.assert_equal(one.evaluate(X, y, weights), ensemble.evaluate(X, y, weights))


def test_ensemble_file_names_what_custom_lacks(tmp_path):
    fnn.Ensemble(custom_loss("float64"), 2).save(tmp_path / "e.fastnn")
    with pytest.raises(fnn.FormatError, match="has the custom loss 'weighted_squares'"):
        fnn.Ensemble.load(tmp_path / "e.fastnn")


def test_ensemble_of_a_loss_without_score_has_none(backend):
    net = custom_loss("float64")
    X, y, weights = data(net)
    ensemble = fnn.Ensemble(net, 2, bootstrap=True)
    ensemble.fit(X, y, sample_weight=weights, epochs=1)
    assert ensemble.oob_score is None
    with pytest.raises(ValueError, match="loss weighted_squares has no score"):
        ensemble.score(X, y, weights)


# --------------------------------------------------------------------- keeping


@each_network
def test_files_pickles_and_copies_train_on_alike(backend, dtype, name, tmp_path):
    net = NETWORKS[name](dtype)
    X, y, weights = data(net)
    net.fit(X, y, sample_weight=weights, epochs=2)
    net.save(tmp_path / "net.fastnn")
    others = [
        fnn.load(tmp_path / "net.fastnn", custom=CUSTOM),
        pickle.loads(pickle.dumps(net)),
        copy.deepcopy(net),
    ]
    net.fit(X, y, sample_weight=weights, epochs=2)
    for other in others:
        other.fit(X, y, sample_weight=weights, epochs=2)
        assert_same(other.get_flat(), net.get_flat())


@each_network
def test_predictor_predicts_as_the_network_does(backend, dtype, name):
    net = NETWORKS[name](dtype)
    X = {key: x.astype(dtype) for key, x in data(net)[0].items()}
    only = next(iter(X.values()))
    assert_same(net.predictor()(X if len(X) > 1 else only), net.predict(X))


# --------------------------------------------------------------------- dropout


class Telling(fnn.CustomLayer):
    """Adds 1 in training."""

    def forward_pass(self, x, parameters, training):
        return x + training

    def backward_pass(self, dy, x, y, parameters):
        return dy, {}


@pytest.mark.parametrize("behind", [False, True])
def test_custom_layers_predict_under_sampled_masks(backend, behind):
    layers = [Telling(), fnn.Dropout(0.5)]
    net = fnn.Sequential([fnn.Input(3), *(layers[::-1] if behind else layers)])
    assert np.all(net.predict_samples(np.zeros((2, 3)), n_samples=5).mean == 0)


@pytest.mark.parametrize("loss", ["mean_squared_error", MISSING])
def test_dropout_goes_with_custom_layers_losses_and_trained_swish(backend, dtype, loss):
    x = fnn.Input(3)
    hidden = fnn.Dropout(0.5)(fnn.Swish(trainable_beta=True)(RadialBasis(3, 6)(x)))
    outputs = {"a": fnn.Dense(6, 2)(hidden), "b": fnn.Dense(6, 1)(Centering()(hidden))}
    net = compiled(x, outputs, dict.fromkeys("ab", loss), dtype, missing="nan", l2=0.01)
    X, y, _ = data(net)
    assert fnn.check_gradients(net, X, y, dropout=True).ok
    trace = net.trace(X, y)
    assert trace.loss == net.train_step(X, y)
    prediction = net.predict_samples(X, n_samples=20, return_samples=True)
    for name in "ab":
        samples = prediction.samples[name]
        assert len(samples) == 20
        assert prediction.std[name].min() > 0
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(prediction.mean[name], samples.mean(axis=0), atol=tolerance)
