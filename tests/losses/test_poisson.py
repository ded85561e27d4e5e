"""Poisson's loss with its log link: values, extremes, the score and the rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import poisson
from sklearn._loss import HalfPoissonLoss
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import d2_tweedie_score

import fastnn as fnn
import fastnn.functional as F

EPS = {"float32": 1.2e-7, "float64": 2.3e-16}


def counts(rng, n=200, columns=1):
    """Logarithms of rates and counts drawn from them."""
    z = rng.normal(size=(n, columns))
    return z, rng.poisson(np.exp(z)).astype(float)


def test_loss_is_the_negative_log_likelihood_without_its_constant(backend, rng):
    z, y = counts(rng, columns=3)
    constant = np.array([[math.lgamma(count + 1) for count in row] for row in y])
    expected = -poisson.logpmf(y, np.exp(z)) - constant
    assert F.poisson(z, y, reduction="sum") == pytest.approx(expected.sum(), rel=1e-13)


def test_loss_and_gradient_are_those_of_sklearn(backend, rng):
    z, y = counts(rng)
    value, gradient = F.poisson(z[:, 0], y[:, 0], reduction="sum", gradient=True)
    losses, slopes = HalfPoissonLoss().loss_gradient(y[:, 0].copy(), z[:, 0].copy())
    # scikit-learn may or may not leave out the constant y log(y) - y, which no output changes.
    least = np.where(y[:, 0] > 0, y[:, 0] - y[:, 0] * np.log(np.maximum(y[:, 0], 1)), 0)
    assert min(abs(value - losses.sum()), abs(value - (losses + least).sum())) < 1e-10
    np.testing.assert_allclose(gradient, slopes, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("z", [-87.0, -20.0, -1e-3, 0.0, 0.7, 11.0, 88.0])
@pytest.mark.parametrize("y", [0.0, 0.5, 3.0, 1e4])
def test_values_are_those_of_mpmath(backend, dtype, z, y):
    mpmath = pytest.importorskip("mpmath")
    a, target = np.array([z], dtype), np.array([y], dtype)
    value, gradient = F.poisson(a, target, gradient=True)
    rate = mpmath.exp(mpmath.mpf(float(a[0])))
    product = mpmath.mpf(float(a[0])) * mpmath.mpf(float(target[0]))
    size = float(rate + abs(product))
    assert abs(value - float(rate - product)) <= 4 * EPS[dtype] * size
    assert abs(gradient[0] - float(rate - target[0])) <= 4 * EPS[dtype] * float(rate + target[0])


def test_rate_that_overflows_is_an_infinite_loss(backend, dtype):
    value, gradient = F.poisson(np.array([800], dtype), [2.0], gradient=True)
    assert value == math.inf
    assert gradient[0] == math.inf


def test_no_count_at_a_rate_of_zero_costs_nothing(backend, dtype):
    value, gradient = F.poisson(np.array([-math.inf], dtype), [0.0], gradient=True)
    assert value == 0
    assert gradient[0] == 0


def test_training_stops_where_a_rate_overflows(backend, dtype):
    net = fnn.Sequential([fnn.Dense(1, 1, weight="zeros")], dtype=dtype)
    net.parameters["dense_1.bias"][...] = 1000
    net.compile("poisson", "sgd")
    before = net.get_flat().copy()
    with pytest.raises(fnn.TrainingError):
        net.fit(np.ones((4, 1)), np.ones(4), epochs=1)
    np.testing.assert_array_equal(net.get_flat(), before)


def test_network_without_hidden_layers_is_the_poisson_regression_of_sklearn(backend, rng):
    X = rng.normal(size=(300, 2))
    y = rng.poisson(np.exp(0.3 + X @ [0.5, -0.8])).astype(float)
    net = fnn.Sequential([fnn.Dense(2, 1)], dtype="float64", seed=0)
    net.compile("poisson", fnn.LBFGS(max_iterations=200))
    net.fit(X, y)
    peer = PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(net.parameters["dense_1.weight"][:, 0], peer.coef_, atol=1e-4)
    np.testing.assert_allclose(net.predict_mean(X)[:, 0], peer.predict(X), rtol=1e-3)
    assert net.score(X, y) == pytest.approx(peer.score(X, y), abs=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_score_is_the_explained_deviance_of_sklearn(backend, rng, weighted):
    z, y = counts(rng)
    w = rng.uniform(size=200) if weighted else None
    expected = d2_tweedie_score(y[:, 0], np.exp(z[:, 0]), sample_weight=w, power=1)
    assert fnn.Poisson().score(z, y, w) == pytest.approx(expected, rel=1e-12)


def test_evaluate_reports_the_explained_deviance(backend, rng):
    net = fnn.Sequential([fnn.Dense(2, 1)], seed=1)
    net.compile("poisson")
    metrics = net.evaluate(rng.normal(size=(20, 2)), rng.poisson(1.0, 20))
    assert set(metrics) == {"loss", "d2"}


def test_rates_are_exp_of_the_outputs(backend, dtype, rng):
    net = fnn.Sequential([fnn.Dense(2, 3)], dtype=dtype, seed=1)
    net.compile("poisson")
    X = rng.normal(size=(20, 2)).astype(dtype)
    np.testing.assert_allclose(net.predict_mean(X), np.exp(net.predict(X)), rtol=4 * EPS[dtype])
    assert net.predict_mean(X[0]).shape == (3,)


@pytest.mark.parametrize("wrong", [-1.0, -1e-30, math.inf, math.nan])
def test_targets_below_zero_are_refused(backend, wrong):
    net = fnn.Sequential([fnn.Dense(2, 1)])
    net.compile("poisson")
    with pytest.raises(ValueError, match=r"y must be .*, got y\["):
        net.fit(np.ones((3, 2)), [1.0, 0.0, wrong], epochs=1)


def test_a_file_keeps_the_loss(backend, tmp_path):
    net = fnn.Sequential([fnn.Dense(2, 1)])
    net.compile(fnn.Poisson(reduction="sum", ignore_value=math.nan))
    net.save(tmp_path / "net.fastnn")
    (loss,) = fnn.load(tmp_path / "net.fastnn").losses.values()
    assert str(loss) == "poisson(reduction='sum', ignore_value=nan)"
