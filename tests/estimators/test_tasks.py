"""Scikit-learn's own callbacks on the estimators."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn.estimators import MLPClassifier, MLPRegressor

callback = pytest.importorskip("sklearn.callback")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)


class Record:
    """Notes the hooks that are called; ends the fit after some epochs."""

    def __init__(self, epochs=None):
        self.epochs = epochs
        self.names = []
        self.scores = []

    def setup(self, estimator, context):
        self.names.append("setup")

    def teardown(self, estimator, context):
        self.names.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.names.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.names.append(f"end {context.task_name}")
        self.scores.append(fitted_estimator.score(X, y))
        return context.task_name == "epoch" and context.task_id + 1 == self.epochs


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_each_epoch_is_a_task(Estimator, solver):
    record = Record()
    model = Estimator(max_iter=3, solver=solver, random_state=0).set_callbacks(record)
    model.fit(X, y)
    assert record.names == [
        "setup", "begin fit", *["begin epoch", "end epoch"] * 3, "end fit", "teardown",
    ]  # fmt: skip
    assert record.scores[-1] == record.scores[-2] == model.score(X, y)


def test_a_callback_ends_the_training():
    record = Record(epochs=2)
    model = MLPClassifier(max_iter=9).set_callbacks(record).fit(X, y)
    assert model.n_iter_ == 2
    assert record.names.count("end epoch") == 2


def test_convergence_ends_the_tasks():
    record = Record()
    model = MLPClassifier(n_iter_no_change=1, tol=9.0).set_callbacks(record).fit(X, y)
    assert record.names.count("begin epoch") == record.names.count("end epoch") == model.n_iter_


def test_estimators_that_callbacks_keep_do_not_change():
    kept = []

    class Keep(Record):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            kept.append((fitted_estimator, fitted_estimator.predict_proba(X)))

    MLPClassifier(max_iter=3, random_state=0).set_callbacks(Keep()).fit(X, y)
    for model, probabilities in kept:
        np.testing.assert_array_equal(model.predict_proba(X), probabilities)


def test_monitor_of_scikit_learn_has_a_score_for_each_epoch():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(max_iter=4, random_state=0).set_callbacks(monitor).fit(X, y)
    log = monitor.get_logs()
    scores = [row["accuracy"] for row in log.data if row["task_name"] == "epoch"]
    assert len(scores) == 4
    assert scores[-1] == model.score(X, y)


def test_a_failed_fit_tears_callbacks_down():
    record = Record()
    with pytest.raises(ValueError, match="alpha"):
        MLPClassifier(alpha=-1.0).set_callbacks(record).fit(X, y)
    with pytest.raises(ValueError, match="solver"):
        MLPClassifier(solver="none").set_callbacks(record).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        MLPClassifier().set_callbacks(record).fit(X * np.nan, y)
    assert record.names == ["setup", "begin fit", "teardown"]


def test_callbacks_reach_estimators_in_pipelines_and_searches():
    record = Record()
    model = MLPClassifier(max_iter=2).set_callbacks(record)
    GridSearchCV(make_pipeline(StandardScaler(), model), {}, cv=2).fit(X, y)
    assert record.names.count("end epoch") == 2 * 3
