"""Searches of scikit-learn over the estimators, in one process and in several."""

import joblib
import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, HalvingRandomSearchCV

import fastnn
from fastnn import estimators as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)
OPTIONS = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0}
GRID = {"alpha": [1e-4, 1.0], "learning_rate_init": [1e-3, 1e-2]}
SEARCHES = {
    "grid": lambda model, jobs: GridSearchCV(model, GRID, cv=3, n_jobs=jobs),
    "halving grid": lambda model, jobs: HalvingGridSearchCV(
        model, GRID, cv=3, n_jobs=jobs, random_state=0, min_resources=60
    ),
    "halving random": lambda model, jobs: HalvingRandomSearchCV(
        model, GRID, cv=3, n_jobs=jobs, random_state=0, n_candidates=4, min_resources=60
    ),
}


def scores(search):
    return search.cv_results_["mean_test_score"]


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_scores_are_those_of_scikit_learn(name, solver):
    one, other = (
        SEARCHES[name](room.MLPClassifier(**OPTIONS, solver=solver), None).fit(X, y)
        for room in (theirs, ours)
    )
    np.testing.assert_allclose(scores(other), scores(one))
    assert other.best_params_ == one.best_params_


@pytest.mark.parametrize("name", ["grid", "halving random"])
def test_two_processes_give_the_scores_of_one(name):
    one, other = (SEARCHES[name](ours.MLPClassifier(**OPTIONS), jobs).fit(X, y) for jobs in (1, 2))
    np.testing.assert_array_equal(scores(other), scores(one))
    np.testing.assert_array_equal(other.predict_proba(X), one.predict_proba(X))


def threads():
    return fastnn.get_num_threads()


def test_processes_share_the_cores():
    counts = joblib.Parallel(2)(joblib.delayed(threads)() for _ in range(2))
    assert max(counts) <= max(1, joblib.cpu_count() // 2)


@pytest.mark.parametrize("n_jobs", [1, 2, -1, None])
def test_a_training_has_at_most_n_jobs_threads(n_jobs):
    seen = []
    model = ours.MLPRegressor(max_iter=1, n_jobs=n_jobs, callbacks=lambda c: seen.append(threads()))
    model.fit(X, y)
    available = threads()
    assert seen == [min(n_jobs, available) if n_jobs and n_jobs > 0 else available]


def test_a_fitted_estimator_goes_to_another_process_and_back(tmp_path):
    model = ours.MLPClassifier(**OPTIONS).fit(X, y)
    (expected,) = joblib.Parallel(1)([joblib.delayed(model.predict_proba)(X)])
    came = joblib.Parallel(2)(joblib.delayed(model.predict_proba)(X) for _ in range(2))
    joblib.dump(model, tmp_path / "model")
    for probabilities in (*came, joblib.load(tmp_path / "model").predict_proba(X)):
        np.testing.assert_array_equal(probabilities, expected)
