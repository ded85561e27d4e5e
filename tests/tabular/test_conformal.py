"""Conformal intervals and sets: their coverage, their definition, small samples and files."""

import json
import math
import pickle

import numpy as np
import pytest
from scipy.stats import binom

from fastnn import tabular
from fastnn.tabular import Recipe, TabularClassifier, TabularRegressor, conformal
from fastnn.tabular.conformal import Calibration
from fastnn.tabular.objectives import Classification, Regression

SQUARED = Regression(0.0, 1.0, -math.inf, math.inf)
COUNTS = Regression(0.0, 1.0, 0.0, math.inf, "poisson")
BANDS = Regression(0.0, 1.0, -math.inf, math.inf, "quantile", (0.1, 0.5, 0.9))
QUICK = {"hidden": (16, 16), "epochs": 12, "dropout": 0.0}


def assert_share(hits, trials, share):
    """The count is a likely one of so many independent trials with this probability."""
    low, high = binom.interval(1 - 1e-6, trials, share)
    assert low <= hits <= high


def inside(ends, y):
    return (ends[:, 0] <= y) & (y <= ends[:, 1])


# ------------------------------------------------------------------------ coverage


@pytest.mark.parametrize("n", [9, 20, 99])
@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_split_intervals_cover_with_the_probability_of_the_theory(rng, n, coverage):
    repeats, hits = 3000, 0
    for _ in range(repeats):
        y = rng.standard_t(2, n + 1)
        calibration = Calibration.of_predictions(SQUARED, np.zeros(n), y[:n])
        ends = calibration.intervals(SQUARED, np.zeros((1, 1)), coverage)
        hits += int(inside(ends, y[n:])[0])
    assert_share(hits, repeats, math.ceil(coverage * (n + 1)) / (n + 1))


def least_squares(X, y):
    return np.linalg.lstsq(X, y, rcond=None)[0]


def cv_plus(rng, n=40, folds=5, coverage=0.8, n_new=20):
    """Hits of CV+ around lines of least squares, each without a fifth of the rows."""
    X, coefficients = rng.normal(size=(n + n_new, 4)), rng.normal(size=4)
    y = X @ coefficients + rng.standard_t(3, n + n_new)
    fold_of = rng.permutation(np.arange(n) % folds)
    lines = [least_squares(X[:n][fold_of != k], y[:n][fold_of != k]) for k in range(folds)]
    held_out = np.array([X[i] @ lines[fold_of[i]] for i in range(n)])
    calibration = Calibration.of_held_out(SQUARED, held_out, y[:n], fold_of[:, None])
    new = np.array([X[n:] @ lines[choice[0]] for choice in calibration.predictors])
    return inside(calibration.intervals(SQUARED, new, coverage), y[n:]).mean()


def test_intervals_of_folds_cover_as_the_theory_of_cv_plus_has_it(rng):
    shares = np.array([cv_plus(rng) for _ in range(300)])
    error = shares.std() / math.sqrt(len(shares))
    assert shares.mean() > 1 - 2 * 0.2  # the bound of the theorem
    assert abs(shares.mean() - 0.8) < 0.02 + 4 * error


def test_quantiles_that_are_wrong_still_give_the_coverage(rng):
    repeats, n, hits, width = 2000, 39, 0, []
    for _ in range(repeats):
        x = rng.uniform(0, 3, n + 1)
        y = x * rng.normal(size=n + 1)
        bands = x[:, None] * [-0.4, 0.0, 0.4]  # far too narrow
        calibration = Calibration.of_predictions(BANDS, bands[:n], y[:n])
        ends = calibration.intervals(BANDS, bands[n:][None], 0.8)
        hits += int(inside(ends, y[n:])[0])
        width.append(ends[0, 1] - ends[0, 0] - 0.8 * x[n])
    assert_share(hits, repeats, 32 / 40)
    assert np.mean(width) > 0


def test_bands_that_are_too_wide_become_narrower(rng):
    y = rng.normal(size=2000)
    bands = np.tile([-9.0, 0.0, 9.0], (2000, 1))
    ends = Calibration.of_predictions(BANDS, bands, y).intervals(BANDS, bands[:1][None], 0.8)
    np.testing.assert_allclose(ends[0], [-1.28, 1.28], atol=0.15)


@pytest.mark.parametrize("coverage", [0.6, 0.9])
def test_sets_cover_with_the_probability_of_the_theory(rng, coverage):
    repeats, n, hits, objective = 3000, 49, 0, Classification(4)
    for _ in range(repeats):
        p = rng.dirichlet(np.ones(4), n + 1) ** 2  # not what classes are drawn with
        y = (np.log(p) / 2 + rng.gumbel(size=p.shape)).argmax(axis=1)  # with the roots of p
        calibration = Calibration.of_predictions(objective, p[:n], y[:n])
        sets = calibration.sets(p[None, n:], coverage)
        hits += int(sets[0, y[n]])
    share = math.ceil(coverage * (n + 1)) / (n + 1)
    assert hits >= binom.ppf(1e-6, repeats, share)  # the most probable class comes on top
    assert hits <= binom.ppf(1 - 1e-6, repeats, min(share + 0.05, 1))


def test_counts_get_wider_intervals_where_the_rate_is_high(rng):
    rates = rng.choice([1.0, 100.0], 4000)
    y = rng.poisson(rates).astype(float)
    calibration = Calibration.of_predictions(COUNTS, rates[:2000], y[:2000])
    ends = calibration.intervals(COUNTS, rates[None, 2000:], 0.9)
    assert ends.min() >= 0
    assert abs(inside(ends, y[2000:]).mean() - 0.9) < 0.03
    widths = ends[:, 1] - rates[2000:]
    assert widths[rates[2000:] == 100].mean() == pytest.approx(10 * widths.min(), rel=1e-9)


# ---------------------------------------------------------------------- definition


def test_intervals_of_folds_are_those_of_the_definition(rng, monkeypatch):
    monkeypatch.setattr(conformal, "_NUMBERS_AT_ONCE", 100)  # several blocks
    groups, residuals = rng.integers(0, 3, 30), rng.normal(size=(30, 1))
    calibration = Calibration(residuals, groups, ((0,), (1,), (2,)))
    parts = rng.normal(size=(3, 11))
    ends = calibration.intervals(SQUARED, parts, 0.8)
    k = math.ceil(0.8 * 31)
    for row in range(11):
        upper = sorted(parts[groups, row] + np.abs(residuals[:, 0]))[k - 1]
        lower = sorted(parts[groups, row] - np.abs(residuals[:, 0]), reverse=True)[k - 1]
        assert ends[row].tolist() == [lower, upper]


def test_sets_of_folds_are_those_of_the_definition(rng):
    groups, residuals = rng.integers(0, 2, 25), rng.uniform(size=(25, 1))
    parts = rng.dirichlet(np.ones(3), size=(2, 9))
    sets = Calibration(residuals, groups, ((0,), (1,))).sets(parts, 0.8)
    for row in range(9):
        best = parts.mean(axis=0)[row].argmax()
        for label in range(3):
            smaller = np.sum(residuals[:, 0] < 1 - parts[groups, row, label])
            assert sets[row, label] == (smaller < 0.8 * 26 or label == best)


def test_few_rows_give_infinite_intervals_and_sets_of_all_classes():
    y = np.arange(8.0)
    calibration = Calibration.of_predictions(SQUARED, np.zeros(8), y)
    assert (
        calibration.intervals(SQUARED, np.zeros((1, 2)), 0.9).tolist()
        == [[-math.inf, math.inf]] * 2
    )
    assert np.isfinite(calibration.intervals(SQUARED, np.zeros((1, 2)), 8 / 9)).all()
    p = np.tile([0.9, 0.1], (8, 1))
    sets = Calibration.of_predictions(Classification(2), p, np.zeros(8, int)).sets(p[None], 0.9)
    assert sets.all()


def test_rows_that_all_networks_have_seen_are_left_out(rng):
    folds = np.array([[0, 1], [-1, 0], [1, 1], [0, 1]])
    calibration = Calibration.of_held_out(SQUARED, np.zeros(4), np.arange(4.0), folds)
    assert calibration.predictors == ((0, 1), (1, 1))
    assert calibration.residuals[:, 0].tolist() == [0, 2, 3]
    assert Calibration.of_held_out(SQUARED, np.zeros(2), np.zeros(2), folds[1:2][[0, 0]]) is None


def test_many_rows_are_sampled(rng):
    n = conformal.MOST_ROWS + 500
    calibration = Calibration.of_predictions(SQUARED, np.zeros(n), rng.normal(size=n))
    assert len(calibration.residuals) == conformal.MOST_ROWS


# -------------------------------------------------------------------------- models


def noisy(rng, n):
    x = rng.uniform(-2, 2, (n, 2))
    return x, np.sin(2 * x[:, 0]) + (0.2 + 0.3 * np.abs(x[:, 0])) * rng.normal(size=n)


@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
@pytest.mark.parametrize("change", [{"folds": 1}, {"folds": 4}, {"folds": 3, "candidates": 2}])
def test_intervals_of_a_model_cover_new_rows(rng, loss, change):
    model = TabularRegressor(Recipe(**QUICK, **change), loss=loss, random_state=0)
    model.fit(*noisy(rng, 1500 if change["folds"] == 1 else 400))
    X, y = noisy(rng, 3000)
    ends = model.predict_interval(X, 0.8)
    assert 0.7 < inside(ends, y).mean() < 0.9
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_interval(X, 0.8), ends)
    assert (model.predict_interval(X, 0.95) >= ends)[:, 1].all()


@pytest.mark.parametrize("folds", [1, 4])
def test_sets_of_a_model_cover_new_rows(rng, folds):
    def draw(n):
        x = rng.normal(size=(n, 3))
        return x, np.array(list("abc"))[(2 * x + rng.gumbel(size=(n, 3))).argmax(axis=1)]

    model = TabularClassifier(Recipe(**QUICK, folds=folds), random_state=0).fit(*draw(400))
    X, y = draw(3000)
    sets = model.predict_set(X, 0.9)
    assert 0.84 < sets[np.arange(3000), np.searchsorted(model.classes_, y)].mean() < 0.96
    assert sets[np.arange(3000), model.predict_proba(X).argmax(axis=1)].mean() > 0.97
    model.calibrate(*draw(300))
    sets = model.predict_set(X, 0.9)
    assert 0.84 < sets[np.arange(3000), np.searchsorted(model.classes_, y)].mean() < 0.96


def test_rows_of_their_own_calibrate_a_model(rng):
    model = TabularRegressor(Recipe(**QUICK, folds=2), random_state=0).fit(*noisy(rng, 200))
    X, y = noisy(rng, 300)
    expected = np.sort(np.abs(y - model.predict(X)))[math.ceil(0.9 * 301) - 1]
    at = noisy(rng, 50)[0]
    ends = model.calibrate(X, y).predict_interval(at, 0.9)
    middle = model.predict(at)
    np.testing.assert_allclose(ends, np.stack([middle - expected, middle + expected], axis=1))


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_file_keeps_the_calibration(rng, tmp_path, task):
    x, y = noisy(rng, 150)
    table = {"a": x[:, 0], "b": x[:, 1], "y": y if task == "regression" else (y > 0)}
    model = tabular.fit(table, "y", preset=Recipe(**QUICK, folds=3))
    ask = "predict_interval" if task == "regression" else "predict_set"
    for current in (model, model.calibrated(table)):
        current.save(tmp_path / "model.fastnn")
        again = tabular.load(tmp_path / "model.fastnn")
        np.testing.assert_array_equal(getattr(again, ask)(table), getattr(current, ask)(table))


@pytest.mark.parametrize(
    "change",
    [
        {"residuals": [[1.0, 2.0]]},
        {"residuals": [[math.nan]]},
        {"residuals": []},
        {"groups": [2]},
        {"groups": [0, 0]},
        {"predictors": [[0], [0, 1]]},
    ],
)
def test_a_damaged_calibration_is_refused(change):
    state = Calibration(np.ones((1, 1)), np.zeros(1, int), ((0,), (1,))).to_state()
    Calibration.from_state(json.loads(json.dumps(state)), SQUARED)
    with pytest.raises(ValueError, match=r"residuals|groups|must be|finite"):
        Calibration.from_state({**state, **change}, SQUARED)


def test_what_has_no_interval_is_refused(rng):
    x, y = noisy(rng, 100)
    regressor = TabularRegressor(Recipe(**QUICK, folds=2), random_state=0).fit(x, y)
    classifier = TabularClassifier(Recipe(**QUICK, folds=2), random_state=0).fit(x, y > 0)
    for coverage in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="coverage must be"):
            regressor.predict_interval(x, coverage)
    with pytest.raises(ValueError, match="intervals need a regression"):
        classifier.learner_.intervals(tabular.as_table({"a": x[:, 0]}), 0.9)
    with pytest.raises(ValueError, match=r"y has .*, which is not in classes_"):
        classifier.calibrate(x, np.full(100, 3))
    network = tabular.fit({"a": x[:, 0], "y": y}, "y", tabular.Options(epochs=1))
    with pytest.raises(ValueError, match="need a preset of networks"):
        network.predict_interval({"a": x[:, 0]})
