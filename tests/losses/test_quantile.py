"""The loss of quantiles: values, gradients, targets of several levels, the score, their order."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn._loss import PinballLoss
from sklearn.metrics import d2_pinball_score, mean_pinball_loss

import fastnn as fnn
import fastnn.functional as F
from fastnn import losses

EPS = {"float32": 1.2e-7, "float64": 2.3e-16}
LEVELS = (0.05, 0.5, 0.9)


def three_quantiles(rng, dtype="float64", **options):
    """A network with the outputs of three levels for each of two targets, and its data."""
    net = fnn.Sequential([fnn.Dense(2, 4, "tanh"), fnn.Dense(4, 6)], dtype=dtype, seed=1)
    net.compile(fnn.Quantile(LEVELS, **options), "sgd")
    return net, rng.normal(size=(30, 2)), rng.normal(size=(30, 2))


@pytest.mark.parametrize("level", [1e-3, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("as_columns", [False, True])
def test_loss_and_gradient_are_those_of_sklearn(backend, rng, level, as_columns):
    a, y = rng.normal(size=(2, 200))
    if as_columns:
        a, y, quantile = a[:, None], y[:, None], [level]
    else:
        quantile = level
    value, gradient = F.quantile(a, y, quantile=quantile, reduction="sum", gradient=True)
    expected, slopes = PinballLoss(quantile=level).loss_gradient(y.ravel(), a.ravel())
    assert value == pytest.approx(expected.sum(), rel=1e-13)
    np.testing.assert_allclose(gradient.ravel(), slopes, rtol=1e-14)


@pytest.mark.parametrize("level", [1e-4, 0.3, 0.5, 0.999])
@pytest.mark.parametrize("residual", [-1e30, -1.5, -1e-30, 0.0, 1e-30, 2.75, 1e30])
def test_values_are_exact_but_for_one_rounding_of_each_factor(backend, dtype, level, residual):
    real = np.dtype(dtype).type
    q, r = float(real(level)), float(real(residual))
    value, gradient = F.quantile(np.array([r], dtype), np.zeros(1), quantile=q, gradient=True)
    slope = 0.0 if r == 0 else (1 - q if r > 0 else -q)
    assert abs(gradient[0] - slope) <= EPS[dtype] * abs(slope)
    assert abs(value - slope * r) <= 2 * EPS[dtype] * abs(slope * r)


def test_nan_stays_nan(backend, dtype):
    value, gradient = F.quantile(np.array([math.nan], dtype), [1.0], gradient=True)
    assert math.isnan(value)
    assert math.isnan(gradient[0])


def test_each_column_has_its_level(backend, dtype, rng):
    a, y = rng.normal(size=(2, 40, 3)).astype(dtype)
    value, gradient = F.quantile(a, y, quantile=LEVELS, reduction="sum", gradient=True)
    single = [
        F.quantile(a[:, k], y[:, k], quantile=q, reduction="sum", gradient=True)
        for k, q in enumerate(LEVELS)
    ]
    assert value == pytest.approx(sum(part[0] for part in single), rel=4 * EPS[dtype])
    np.testing.assert_array_equal(gradient, np.stack([part[1] for part in single], axis=1))


@pytest.mark.parametrize("weights", [None, (30,), (30, 6)])
def test_a_target_counts_for_each_of_its_levels(backend, rng, weights):
    net, X, y = three_quantiles(rng)
    w = None if weights is None else rng.uniform(size=weights)
    outputs, expanded = net.predict(X), np.repeat(y, 3, axis=1)
    value = net.evaluate(X, y, sample_weight=w)["loss"]
    by_element = np.ones((30, 6)) if w is None else np.broadcast_to(w.reshape(30, -1), (30, 6))
    pinball = np.stack([
        F.quantile(outputs[:, k], expanded[:, k], quantile=LEVELS[k % 3], reduction="none")
        for k in range(6)
    ], axis=1)  # fmt: skip
    assert value == pytest.approx(np.average(pinball, weights=by_element), rel=1e-12)


def test_mean_pinball_loss_of_sklearn_is_the_loss_of_one_target(backend, rng):
    a, y = rng.normal(size=(25, 3)), rng.normal(size=25)
    value = fnn.Quantile(LEVELS)(a, y)
    expected = np.mean([mean_pinball_loss(y, a[:, k], alpha=q) for k, q in enumerate(LEVELS)])
    assert value == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum", "half_sum"])
def test_gradient_of_a_network_is_that_of_its_loss(backend, rng, reduction):
    net, X, y = three_quantiles(rng, reduction=reduction)
    assert fnn.check_gradients(net, X, y).ok


def test_trace_has_the_gradient_of_the_loss(backend, rng):
    net, X, y = three_quantiles(rng)
    outputs = net.predict(X)
    expected = np.where(np.repeat(y, 3, axis=1) > outputs, 0, 1.0) - np.array(LEVELS * 2)
    trace = net.trace(X, y)
    np.testing.assert_allclose(trace["dense_2"].dA, expected / 180, rtol=1e-12)
    assert trace.losses.mean() == pytest.approx(trace.loss, rel=1e-12)


def test_missing_targets_are_missing_for_all_levels(backend, rng):
    net, X, y = three_quantiles(rng, ignore_value=math.nan)
    y[:5, 0] = math.nan
    rows = np.arange(5, 30)
    first = 15 * 5 / (15 * 5)  # rows whose other target counts
    losses_of = fnn.Quantile(LEVELS, reduction="sum")
    outputs = net.predict(X)
    expected = losses_of(outputs[rows, :3], y[rows, 0]) + losses_of(outputs[:, 3:], y[:, 1])
    assert net.evaluate(X, y)["loss"] == pytest.approx(first * expected / 165, rel=1e-12)


def test_a_constant_learns_the_quantiles_of_the_targets(backend):
    y = np.arange(1001) / 1000
    net = fnn.Sequential([fnn.Dense(1, 3, weight="zeros")], dtype="float64")
    net.compile(fnn.Quantile(LEVELS), fnn.Adam(fnn.Cosine(0.05, 400)))
    net.fit(np.zeros((1001, 1)), y, epochs=400, batch_size=1001)
    np.testing.assert_allclose(net.predict([[0.0]])[0], LEVELS, atol=5e-3)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_a_solver_finds_the_median_line_in_any_unit(backend, rng, factor):
    x = rng.normal(size=(400, 1))
    y = factor * (x[:, 0] + rng.exponential(size=400))
    net = fnn.Sequential([fnn.Dense(1, 1)], dtype="float64", seed=0)
    net.compile("quantile", fnn.LBFGS(max_iterations=200))
    net.fit(x, y)
    assert net.parameters["dense_1.bias"][0] / factor == pytest.approx(math.log(2), abs=0.15)


def test_score_is_that_of_sklearn(backend, rng):
    a, y, w = rng.normal(size=(50, 3)), rng.normal(size=50), rng.uniform(size=50)
    loss = fnn.Quantile(LEVELS)
    expected = np.mean([
        d2_pinball_score(y, a[:, k], alpha=q, sample_weight=w) for k, q in enumerate(LEVELS)
    ])  # fmt: skip
    target = loss.target(y, 3, np.dtype(np.float64))
    assert loss.score(a, target, w) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("right", [True, False])
def test_score_of_equal_targets_is_1_or_0(right):
    y = np.full((5, 1), 2.0)
    assert fnn.Quantile(0.3).score(y if right else y + 1, y) == float(right)


def test_evaluate_reports_the_score(backend, rng):
    net, X, y = three_quantiles(rng)
    assert set(net.evaluate(X, y)) == {"loss", "d2"}


@settings(deadline=None)
@given(
    arrays.arrays(
        np.float64, (7, 6), elements=st.floats(-1e300, 1e300) | st.sampled_from([0.0, -0.0, 1.0])
    )
)
def test_rearranged_quantiles_never_cross_and_cost_no_more(outputs):
    loss, y = fnn.Quantile(LEVELS), np.zeros((7, 2))
    ordered = loss.expected(outputs, None)
    assert (np.diff(ordered.reshape(7, 2, 3)) >= 0).all()
    with np.errstate(over="ignore"):
        assert loss(ordered, y) <= loss(outputs, y) * (1 + 1e-12)


def test_means_of_predictions_are_in_ascending_order(backend, rng):
    net, X, _ = three_quantiles(rng)
    expected = np.sort(net.predict(X).reshape(30, 2, 3)).reshape(30, 6)
    np.testing.assert_array_equal(net.predict_mean(X), expected)


@pytest.mark.parametrize(
    ("quantiles", "error", "message"),
    [
        (0.0, ValueError, "quantiles must be a finite number > 0"),
        (1.0, ValueError, "quantiles must be a finite number"),
        ((0.5, 0.5), ValueError, "levels in ascending order"),
        ((0.9, 0.1), ValueError, "levels in ascending order"),
        ((), ValueError, "levels in ascending order"),
        ("0.5", TypeError, "quantiles must be a real number"),
    ],
)
def test_wrong_levels_are_refused(quantiles, error, message):
    with pytest.raises(error, match=message):
        fnn.Quantile(quantiles)


def test_an_output_needs_the_columns_of_all_levels():
    net = fnn.Sequential([fnn.Dense(2, 4)])
    with pytest.raises(ValueError, match="3 quantiles need an output with 3 columns for each"):
        net.compile(fnn.Quantile(LEVELS))


def test_targets_need_one_column_for_each_group(backend, rng):
    net, X, y = three_quantiles(rng)
    with pytest.raises(ValueError, match=r"y must have shape \(N, 2\), got \(30, 6\)"):
        net.fit(X, np.repeat(y, 3, axis=1))


def test_a_level_that_a_dtype_rounds_to_1_is_refused():
    net = fnn.Sequential([fnn.Dense(2, 2)], dtype="float32")
    with pytest.raises(ValueError, match=r"quantiles of loss quantile is .*, which becomes 1"):
        net.compile(fnn.Quantile((0.5, 1 - 1e-9)))


def test_a_file_keeps_the_levels(backend, rng, tmp_path):
    net, X, _ = three_quantiles(rng)
    net.save(tmp_path / "net.fastnn")
    again = fnn.load(tmp_path / "net.fastnn")
    (loss,) = again.losses.values()
    assert loss == fnn.Quantile(LEVELS)
    np.testing.assert_array_equal(again.predict(X), net.predict(X))


def test_config_is_fit_for_json():
    loss = fnn.Quantile(LEVELS)
    assert losses.get(json.loads(json.dumps(loss.config))) == loss
    assert str(fnn.Quantile()) == "quantile"
