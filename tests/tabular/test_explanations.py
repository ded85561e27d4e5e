"""Importances of columns, pictures of embeddings, and scikit-learn's displays on raw tables."""

import io
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import PartialDependenceDisplay

from fastnn import backend, tabular
from fastnn.tabular import Recipe, TabularClassifier, TabularRegressor
from fastnn.tabular.pictures import category_vectors, number_vectors, principal

QUICK = Recipe(hidden=(16, 16), folds=2, epochs=10)


@pytest.fixture(scope="module")
def houses():
    rng = np.random.default_rng(0)
    n = 600
    frame = pd.DataFrame({
        "area": rng.uniform(30, 200, n),
        "city": pd.Categorical(rng.choice(["Bonn", "Rom", "Ulm"], n)),
        "noise": rng.normal(size=n),
        "garden": rng.random(n) > 0.5,
        "constant": 1.0,
    })  # fmt: skip
    frame.loc[::9, "area"] = np.nan
    area, city = frame["area"].fillna(100), frame["city"].astype(str)
    return frame, 3 * np.abs(area - 120) + 80 * (city == "Rom") + rng.normal(0, 5, n)


@pytest.fixture(scope="module")
def model(houses):
    return TabularRegressor(QUICK, random_state=0).fit(*houses)


def test_importances_find_the_columns_that_matter(model, houses):
    importances = model.feature_importances_
    assert importances.shape == (5,)
    assert set(np.argsort(importances)[-2:]) == {0, 1}
    assert abs(importances[2]) < 0.1 * importances[1]
    assert importances[4] == 0


def test_importances_do_not_depend_on_the_number_of_threads(houses):
    results = []
    before = backend.get_num_threads()
    try:
        for threads in (1, 3):
            backend.set_num_threads(threads)
            model = TabularRegressor(QUICK, random_state=0).fit(*houses)
            results.append(model.feature_importances_)
    finally:
        backend.set_num_threads(before)
    np.testing.assert_array_equal(*results)


def test_importances_of_a_classifier_and_of_a_model(houses):
    frame, y = houses
    kind = (y > np.median(y)).astype(int)
    classifier = TabularClassifier(QUICK, random_state=0).fit(frame, kind)
    assert np.argmax(classifier.feature_importances_) == 0
    fitted = tabular.fit(frame.assign(price=y), "price", preset=QUICK)
    assert max(fitted.importances(), key=fitted.importances().get) == "area"


def test_a_pickle_has_no_rows_for_importances(model):
    again = pickle.loads(pickle.dumps(model))
    with pytest.raises(ValueError, match="importances need the rows that the training held out"):
        again.feature_importances_  # noqa: B018


def test_displays_of_sklearn_take_raw_tables(model, houses):
    pytest.importorskip("matplotlib")
    frame = houses[0].dropna()
    display = PartialDependenceDisplay.from_estimator(
        model, frame, ["area", "city"], categorical_features=["city"], kind="average",
        grid_resolution=5,
    )  # fmt: skip
    cities = display.pd_results[1]["average"][0]
    assert cities[1] - max(cities[0], cities[2]) == pytest.approx(80, rel=0.4)
    display = PartialDependenceDisplay.from_estimator(
        model, frame.head(20), ["area"], kind="both", grid_resolution=5
    )
    assert display.pd_results[0]["individual"].shape == (1, 20, 5)


@pytest.mark.parametrize("column", ["area", "city", "garden"])
def test_pictures_of_embeddings_are_drawn(model, column):
    pytest.importorskip("matplotlib")
    file = io.BytesIO()
    figure = model.plot_embedding(column, file)
    assert file.getvalue().startswith(b"\x89PNG")
    labels = {text.get_text() for text in figure.axes[0].texts}
    if column == "city":
        assert {"Bonn", "Rom", "Ulm"} <= labels
    if column == "area":
        assert figure.axes[0].get_xlabel() == "area"


def test_vectors_are_what_the_networks_add(model):
    learner = model.learner_
    part = next(part for part in learner.encoder.columns if part.name == "area")
    values = np.array([35.0, 90.0, 170.5])
    table = pd.DataFrame({"area": values, "city": "Rom", "noise": 0.0, "garden": True,
                          "constant": 1.0})  # fmt: skip
    encoded = learner.encoder.transform(tabular.as_table(table))
    network = next(net for bag in learner.blend.bags for net in bag.networks)
    sums = np.asarray(network.layer("scaled")(encoded.numbers)) + np.asarray(
        network.layer("bins")(encoded.positions)
    )
    vectors = number_vectors(learner.encoder, [network], part, values)
    np.testing.assert_allclose(vectors - vectors[0], sums - sums[0], atol=1e-5 * np.abs(sums).max())


def test_levels_are_rows_of_the_table(model):
    learner = model.learner_
    part = next(part for part in learner.encoder.columns if part.name == "city")
    network = learner.blend.bags[0].networks[0]
    names, vectors = category_vectors(learner.encoder, [network], part)
    assert names[:3] == ["Bonn", "Rom", "Ulm"]
    np.testing.assert_array_equal(vectors, network.layer("levels").rows_of(0)[: len(names)])


def test_components_explain_the_variance(rng):
    vectors = rng.normal(size=(9, 4)) * [5, 2, 1, 0.1] + 7
    components, shares = principal(vectors, 4)
    values = np.linalg.eigvalsh(np.cov(vectors.T))[::-1]
    np.testing.assert_allclose(shares, values / values.sum(), rtol=1e-9)
    assert (components[-1] >= components[0]).all()


@pytest.mark.parametrize("column", ["nothing", "constant"])
def test_columns_without_a_picture_are_named(model, column):
    with pytest.raises(ValueError, match=f"does not use a column '{column}'; it uses 'area'"):
        model.plot_embedding(column)
