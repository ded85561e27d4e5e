"""TabularClassifier and TabularRegressor: raw tables in, predictions out."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn.tabular import DataError, TabularClassifier, TabularRegressor
from fastnn.tabular.recipe import Recipe

QUICK = Recipe(hidden=(16, 16), epochs=12, folds=2, bins=8)


WEIGHTS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "batches, folds and bins are of rows, and a "
    "row of weight 2 is in one of each"
    for kind in ("dense", "sparse")
}


@parametrize_with_checks(
    [TabularClassifier(QUICK, random_state=0), TabularRegressor(QUICK, random_state=0)],
    expected_failed_checks=lambda estimator: WEIGHTS,
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.fixture
def frame():
    """Numbers, text, truth values and dates, with missing values."""
    rng = np.random.default_rng(0)
    n = 300
    table = pd.DataFrame(
        {
            "size": rng.normal(size=n),
            "city": rng.choice(["Rom", "Ulm", "Bonn"], n),
            "new": rng.random(n) < 0.5,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, n), "D"),
        }
    )
    table.loc[::9, "size"] = np.nan
    table.loc[::11, "city"] = None
    return table


@pytest.fixture
def labels(frame):
    return np.where(frame["size"].fillna(1) + (frame["city"] == "Rom") > 0.5, "yes", "no")


@pytest.fixture
def numbers(frame):
    return 3 * frame["size"].fillna(2) + 5 * (frame["city"] == "Ulm") + frame["new"]


def test_a_classifier_learns_from_a_raw_table(backend, frame, labels):
    model = TabularClassifier("fast", random_state=0).fit(frame[:200], labels[:200])
    assert model.score(frame[200:], labels[200:]) > 0.9


def test_a_regressor_learns_from_a_raw_table(backend, frame, numbers):
    model = TabularRegressor("fast", random_state=0).fit(frame[:200], numbers[:200])
    assert model.score(frame[200:], numbers[200:]) > 0.9


def test_probabilities_sum_to_1_in_the_order_of_the_classes(frame, labels):
    model = TabularClassifier(QUICK, random_state=0).fit(frame, labels)
    probabilities = model.predict_proba(frame)
    assert model.classes_.tolist() == ["no", "yes"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert (model.classes_[probabilities.argmax(axis=1)] == model.predict(frame)).all()


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "dict"])
def test_tables_of_other_libraries_give_the_same_predictions(frame, numbers, kind):
    if kind == "polars":
        other = pytest.importorskip("polars").from_pandas(frame)
    elif kind == "pyarrow":
        other = pytest.importorskip("pyarrow").Table.from_pandas(frame)
    else:
        other = {name: frame[name] for name in frame}
    model = TabularRegressor(QUICK, random_state=0).fit(frame, numbers)
    again = TabularRegressor(QUICK, random_state=0).fit(other, numbers)
    assert np.array_equal(model.predict(frame), again.predict(other))


def test_a_level_that_the_training_had_not_is_predicted(frame, numbers):
    model = TabularRegressor(QUICK, random_state=0).fit(frame, numbers)
    frame.loc[0, "city"] = "Atlantis"
    assert np.isfinite(model.predict(frame)).all()


def test_columns_may_have_another_order(frame, numbers):
    model = TabularRegressor(QUICK, random_state=0).fit(dict(frame), numbers)
    other = dict(frame[frame.columns[::-1]])
    assert np.array_equal(model.predict(dict(frame)), model.predict(other))


def test_a_column_that_is_absent_is_named(frame, numbers):
    model = TabularRegressor(QUICK, random_state=0).fit(dict(frame), numbers)
    with pytest.raises(DataError, match="city"):
        model.predict({name: frame[name] for name in frame if name != "city"})


def test_a_role_may_be_chosen(frame, numbers):
    model = TabularRegressor(QUICK, columns={"city": "drop"}, random_state=0).fit(frame, numbers)
    assert model.decisions_["city"].role == "drop"
    assert "city" in str(model.decisions_)


def test_a_column_that_counts_the_rows_of_an_array_is_a_number():
    x = np.arange(60.0)[:, None]
    model = TabularRegressor(QUICK, random_state=0).fit(x, x[:, 0])
    assert model.decisions_["x_1"].role == "number"


def test_predictions_are_equal_for_equal_seeds(frame, numbers):
    first, second = (
        TabularRegressor(QUICK, random_state=5).fit(frame, numbers).predict(frame) for _ in "ab"
    )
    assert np.array_equal(first, second)


def test_a_pickle_predicts_the_same(frame, labels):
    model = TabularClassifier(QUICK, random_state=0).fit(frame, labels)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(model.predict_proba(frame), again.predict_proba(frame))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_networks_have_the_dtype(frame, numbers, dtype):
    model = TabularRegressor(QUICK, dtype=dtype, random_state=0).fit(frame, numbers)
    assert model.learner_.blend.networks[0].dtype == dtype


@pytest.mark.parametrize("factor", [1e-12, 1e10])
def test_predictions_of_a_regression_follow_its_unit(frame, numbers, factor):
    model = TabularRegressor(QUICK, random_state=0).fit(frame, numbers)
    scaled = TabularRegressor(QUICK, random_state=0).fit(frame, factor * numbers)
    np.testing.assert_allclose(scaled.predict(frame), factor * model.predict(frame), rtol=1e-3)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "poisson"])
def test_other_losses_learn_too(frame, numbers, loss):
    y = np.exp(numbers / 5)
    model = TabularRegressor("fast", loss=loss, random_state=0).fit(frame, y)
    assert model.score(frame, y) > 0.8


def test_balanced_classes_raise_the_probability_of_the_rare_one(frame):
    y = (np.random.default_rng(1).random(300) < 0.1).astype(int)
    plain, balanced = (
        TabularClassifier(QUICK, class_weight=weight, random_state=0).fit(frame, y)
        for weight in (None, "balanced")
    )
    mean = [model.predict_proba(frame)[:, 1].mean() for model in (plain, balanced)]
    assert mean[0] < 0.25 < mean[1]


def test_held_out_predictions_are_less_certain_than_those_of_seen_rows(frame, labels):
    y = np.random.default_rng(1).permutation(labels)  # nothing to learn
    model = TabularClassifier(QUICK, random_state=0).fit(frame, y)
    index = (y == "yes").astype(int)
    seen = model.predict_proba(frame)[np.arange(300), index]
    unseen = model.held_out_predictions_[np.arange(300), index]
    assert np.log(unseen).mean() < np.log(seen).mean()


# --------------------------------------------------------------- tools of scikit-learn


def test_cross_validation_and_searches_take_the_estimators(frame, labels):
    model = TabularClassifier(QUICK, random_state=0)
    assert cross_val_score(model, frame, labels, cv=2).min() > 0.7
    search = GridSearchCV(clone(model), {"preset": [QUICK, Recipe(hidden=(4,), epochs=2)]}, cv=2)
    assert search.fit(frame, labels).best_params_["preset"] == QUICK


def test_permutation_importance_finds_the_columns_that_matter(frame, numbers):
    model = TabularRegressor("fast", random_state=0).fit(frame, numbers)
    importances = permutation_importance(model, frame, numbers, random_state=0).importances_mean
    assert set(np.argsort(importances)[-2:]) == {0, 1}
    assert importances[3] < 0.05


def test_partial_dependence_takes_the_estimators(frame, numbers):
    frame["size"] = frame["size"].fillna(0)
    model = TabularRegressor("fast", random_state=0).fit(frame, 3 * frame["size"])
    result = partial_dependence(model, frame, ["size"], grid_resolution=5)
    (grid,), (mean,) = result["grid_values"], result["average"]
    assert (mean[-1] - mean[0]) / (grid[-1] - grid[0]) == pytest.approx(3, rel=0.2)


# --------------------------------------------------------------------------- refusals


def test_infinite_values_are_refused_with_their_cell(frame, numbers):
    frame.loc[7, "size"] = np.inf
    with pytest.raises(DataError, match="size"):
        TabularRegressor(QUICK).fit(frame, numbers)


def test_one_class_is_refused(frame):
    with pytest.raises(ValueError, match="one class only: 'a'"):
        TabularClassifier(QUICK).fit(frame, ["a"] * 300)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_target_that_is_not_finite_is_refused(frame, numbers, value):
    numbers[4] = value
    with pytest.raises(ValueError, match="row 4"):
        TabularRegressor(QUICK).fit(frame, numbers)


def test_another_number_of_targets_is_refused(frame, numbers):
    with pytest.raises(ValueError, match="X has 300 rows, but y has 299"):
        TabularRegressor(QUICK).fit(frame, numbers[1:])


@pytest.mark.parametrize(
    "change",
    [{"preset": "quick"}, {"time_limit": 0}, {"dtype": "float16"}, {"n_jobs": 0}, {"loss": "mse"}],
)
def test_a_wrong_parameter_is_named(frame, numbers, change):
    (name,) = change
    with pytest.raises((TypeError, ValueError), match=f"^{name}"):
        TabularRegressor(**{"preset": QUICK, **change}).fit(frame, numbers)


def test_rows_of_weight_0_are_left_out(frame, numbers):
    weights = np.where(np.arange(300) % 3, 2.0, 0.0)
    model = TabularRegressor(QUICK, random_state=0).fit(frame, numbers, weights)
    rest = TabularRegressor(QUICK, random_state=0).fit(
        frame[weights > 0], numbers[weights > 0], weights[weights > 0]
    )
    assert np.array_equal(model.predict(frame), rest.predict(frame))
    assert np.array_equal(np.isnan(model.held_out_predictions_), weights == 0)


def test_weights_that_are_all_0_are_refused(frame, numbers):
    with pytest.raises(ValueError, match="sample_weight is zero for every sample"):
        TabularRegressor(QUICK).fit(frame, numbers, np.zeros(300))


def test_an_array_of_one_dimension_is_refused(numbers):
    with pytest.raises(ValueError, match="Reshape your data"):
        TabularRegressor(QUICK).fit(np.arange(300.0), numbers)
