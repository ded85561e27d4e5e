"""The losses of regression on tables: what each estimates, its scores, errors and files."""

import numpy as np
import pytest
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import (
    d2_pinball_score,
    d2_tweedie_score,
    mean_absolute_error,
    mean_pinball_loss,
    mean_poisson_deviance,
)

from fastnn import tabular
from fastnn.tabular import Recipe, TabularRegressor
from fastnn.tabular.baseline import linear_measures
from fastnn.tabular.frames import as_table
from fastnn.tabular.objectives import LOSSES, Regression
from fastnn.tabular.targets import Target

QUICK = Recipe(hidden=(24, 24), folds=1, refit=False, epochs=24, dropout=0.0)
LEVELS = (0.1, 0.5, 0.9)


def skewed(n=1500, seed=0):
    """Numbers x, targets sin(2 x) + s(x) e with exponential e, and the functions sin and s."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, n)
    y = np.sin(2 * x) + (0.3 + 0.2 * np.abs(x)) * rng.exponential(size=n)
    at = np.linspace(-1.8, 1.8, 41)
    return x, y, at, np.sin(2 * at), 0.3 + 0.2 * np.abs(at)


@pytest.fixture(scope="module")
def quantiles():
    """A model of three quantiles, and the data."""
    data = skewed()
    model = TabularRegressor(QUICK, loss="quantile", quantiles=LEVELS, random_state=0)
    return model.fit({"x": data[0]}, data[1]), data


@pytest.mark.parametrize(("loss", "share"), [("squared_error", 1.0), ("absolute_error", np.log(2))])
def test_a_mean_or_a_median_is_estimated(loss, share):
    x, y, at, centre, spread = skewed()
    model = TabularRegressor(QUICK, loss=loss, random_state=0).fit({"x": x}, y)
    errors = model.predict({"x": at}) - (centre + share * spread)
    other = model.predict({"x": at}) - (centre + (1 + np.log(2) - share) * spread)
    assert np.abs(errors).mean() < 0.09
    assert np.abs(errors).mean() < 0.7 * np.abs(other).mean()


def test_an_estimate_of_huber_lies_between_median_and_mean():
    x, y, at, centre, spread = skewed(3000)
    model = TabularRegressor(QUICK, loss="huber", random_state=0).fit({"x": x}, y)
    share = ((model.predict({"x": at}) - centre) / spread).mean()
    assert np.log(2) - 0.05 < share < 1.05


def test_the_rate_of_counts_is_estimated():
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, 1500)
    counts = rng.poisson(np.exp(0.5 + np.sin(2 * x)))
    model = TabularRegressor(QUICK, loss="poisson", random_state=0).fit({"x": x}, counts)
    at = np.linspace(-1.8, 1.8, 41)
    ratio = model.predict({"x": at}) / np.exp(0.5 + np.sin(2 * at))
    assert np.abs(np.log(ratio)).mean() < 0.15


def test_quantiles_are_estimated(quantiles):
    model, (_, _, at, centre, spread) = quantiles
    truth = centre[:, None] - spread[:, None] * np.log1p(-np.array(LEVELS))
    assert (np.abs(model.predict({"x": at}) - truth).mean(axis=0) < [0.06, 0.1, 0.25]).all()


def test_a_share_of_new_targets_as_large_as_the_level_lies_below_a_quantile(quantiles):
    model, _ = quantiles
    x, y, *_ = skewed(4000, seed=7)
    shares = (y[:, None] <= model.predict({"x": x})).mean(axis=0)
    np.testing.assert_allclose(shares, LEVELS, atol=0.04)


def test_one_quantile_has_one_dimension(quantiles):
    x, y, *_ = skewed(200)
    one = TabularRegressor(QUICK, loss="quantile", quantiles=0.9, random_state=0).fit({"x": x}, y)
    assert one.predict({"x": x}).shape == (200,)
    assert one.held_out_predictions_.shape == (200,)
    assert quantiles[0].held_out_predictions_.shape == (1500, 3)


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_quantiles_never_cross_even_after_little_training(backend, seed, epochs):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(60, 2)), rng.standard_t(1.5, size=60)
    recipe = Recipe(hidden=(8,), folds=2, epochs=epochs, rate_factor=6.0)
    levels = tuple(np.linspace(0.02, 0.98, 25))
    model = TabularRegressor(recipe, loss="quantile", quantiles=levels, random_state=seed)
    values = model.fit(x, y).predict(rng.normal(0, 5, (500, 2)))
    assert (np.diff(values, axis=1) >= 0).all()


def test_score_of_quantiles_is_that_of_sklearn(quantiles, rng):
    model, (x, y, *_) = quantiles
    w = rng.uniform(size=len(y))
    values = model.predict({"x": x})
    expected = np.mean([
        d2_pinball_score(y, values[:, k], alpha=q, sample_weight=w) for k, q in enumerate(LEVELS)
    ])  # fmt: skip
    assert model.score({"x": x}, y, w) == pytest.approx(expected, rel=1e-10)


def test_measures_of_quantiles():
    x, y, *_ = skewed(300)
    table = {"x": x, "y": y}
    model = tabular.fit(table, "y", preset=QUICK, loss="quantile", quantiles=LEVELS, test=0)
    measures, values = model.evaluate(table), model.predict(table)
    assert (model.loss, model.quantiles) == ("quantile", LEVELS)
    pinball = [mean_pinball_loss(y, values[:, k], alpha=q) for k, q in enumerate(LEVELS)]
    assert measures["pinball"] == pytest.approx(np.mean(pinball), rel=1e-10)
    assert measures["coverage"] == np.mean((values[:, 0] <= y) & (y <= values[:, 2]))


def test_measures_of_counts_and_of_absolute_errors(rng):
    table = {"x": rng.normal(size=200), "y": rng.poisson(3.0, 200)}
    counts = tabular.fit(table, "y", preset=QUICK, loss="poisson")
    measures, values = counts.evaluate(table), counts.predict(table)
    assert counts.task == "regression"
    assert measures["deviance"] == pytest.approx(mean_poisson_deviance(table["y"], values))
    assert measures["d2"] == pytest.approx(d2_tweedie_score(table["y"], values, power=1))
    absolute = tabular.fit(table, "y", preset=QUICK, loss="absolute_error")
    expected = mean_absolute_error(table["y"], absolute.predict(table))
    assert absolute.evaluate(table)["mae"] == pytest.approx(expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_file_keeps_the_loss(loss, tmp_path):
    x, y, *_ = skewed(100)
    table = {"x": x, "y": y - y.min()}
    recipe = Recipe(hidden=(8,), folds=2, epochs=2)
    model = tabular.fit(table, "y", preset=recipe, loss=loss)
    model.save(tmp_path / "model.fastnn")
    again = tabular.load(tmp_path / "model.fastnn")
    assert (again.loss, again.quantiles) == (model.loss, model.quantiles)
    np.testing.assert_array_equal(again.predict(table), model.predict(table))


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_the_linear_model_has_the_loss_of_the_model(rng, loss):
    X = rng.normal(size=(600, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.exponential(size=600)
    table = as_table({**{f"x{j}": X[:, j] for j in range(3)}, "y": y})
    rows, test = np.arange(400), np.arange(400, 600)
    objective = Regression.fit(y[rows], loss, LEVELS)
    measures = linear_measures(table, Target("y", "regression"), objective, rows, test)
    expected = []
    for q in (0.5,) if loss == "absolute_error" else LEVELS:
        peer = QuantileRegressor(quantile=q, alpha=0).fit(X[rows], y[rows])
        expected.append(mean_pinball_loss(y[test], peer.predict(X[test]), alpha=q))
    value = measures["mae"] / 2 if loss == "absolute_error" else measures["pinball"]
    assert value == pytest.approx(np.mean(expected), rel=0.03)


def test_the_linear_model_of_counts_has_a_logarithmic_link(rng):
    x = rng.normal(size=800)
    y = rng.poisson(np.exp(1 + x)).astype(float)
    table, rows, test = as_table({"x": x, "y": y}), np.arange(500), np.arange(500, 800)
    objective = Regression.fit(y[rows], "poisson")
    measures = linear_measures(table, Target("y", "regression"), objective, rows, test)
    assert measures["d2"] == pytest.approx(
        d2_tweedie_score(y[test], np.exp(1 + x[test]), power=1), abs=0.03
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "poisson"}, "loss='poisson' needs targets >= 0"),
        ({"loss": "pinball"}, "loss must be"),
        ({"loss": "huber", "preset": "network"}, "does not go with one dense network"),
        ({"loss": "huber", "task": "classification"}, "loss='huber' is for regression"),
        ({"quantiles": 0.5}, "quantiles need loss='quantile'$"),
        ({"loss": "huber", "quantiles": 0.5}, "but loss='huber'"),
        ({"loss": "quantile", "quantiles": (0.5, 0.2)}, "quantiles must be levels in ascending"),
        ({"loss": "quantile", "quantiles": 1.5}, "quantiles must be a finite number"),
    ],
)
def test_a_wrong_loss_is_refused(options, message):
    x, y, *_ = skewed(50)
    with pytest.raises(ValueError, match=message):
        tabular.fit({"x": x, "y": y - 1}, "y", **{"preset": QUICK, **options})


def test_a_loss_makes_few_counts_a_regression(rng):
    table = {"x": rng.normal(size=90), "y": rng.integers(0, 3, 90)}
    recipe = Recipe(hidden=(4,), folds=1, epochs=1)
    assert tabular.fit(table, "y", preset=recipe).task == "classification"
    assert tabular.fit(table, "y", preset=recipe, loss="quantile").task == "regression"
