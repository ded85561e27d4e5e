"""Estimators from scikit-learn's fitted networks."""

import numpy as np
import pytest
import sklearn
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.utils.fixes import parse_version

from fastnn.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(230, 5))
TARGETS = {
    "two classes": np.where(X[:, 0] > 0, "yes", "no"),
    "more classes": RNG.integers(0, 4, len(X)),
    "several labels": (X[:, :3] > 0).astype(int),
    "one target": X[:, 0] ** 2,
    "several targets": X[:, :2] ** 2,
    "counts": RNG.poisson(np.exp(X[:, 0])).astype(float),
}
each_kind = pytest.mark.parametrize("kind", TARGETS)


def fitted(kind, dtype=np.float64, **options):
    """A fitted model of scikit-learn, and the class that it becomes."""
    options = {"hidden_layer_sizes": (9, 4), "max_iter": 7, "random_state": 0} | options
    names = ("labels", "classes")
    if kind.endswith(names):
        model, Ours = theirs.MLPClassifier(**options), MLPClassifier
    else:
        loss = "poisson" if kind == "counts" else "squared_error"
        model, Ours = theirs.MLPRegressor(loss, **options), MLPRegressor
    return model.fit(X.astype(dtype), TARGETS[kind]), Ours


@each_kind
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("activation", ["relu", "logistic", "tanh", "identity"])
def test_predictions_are_equal(kind, solver, activation):
    model, Ours = fitted(kind, solver=solver, activation=activation)
    ours = Ours.from_sklearn(model)
    if Ours is MLPRegressor:
        np.testing.assert_allclose(ours.predict(X), model.predict(X), rtol=1e-12, atol=1e-12)
        return
    np.testing.assert_array_equal(ours.predict(X), model.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), model.predict_proba(X), atol=1e-12)


@each_kind
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "sgd"},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 0.5},
    ],
    ids=str,
)
def test_training_goes_on_as_the_model_would(kind, options):
    model, Ours = fitted(kind, **options)
    ours = Ours.from_sklearn(model)
    for estimator in (model, ours):
        for part in (slice(0, 60), slice(60, 230)):
            estimator.set_params(batch_size=50).partial_fit(X[part], TARGETS[kind][part])
    for expected, value in zip(model.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12)
    assert ours.t_ == model.t_
    if kind != "several targets":
        np.testing.assert_allclose(ours.loss_curve_, model.loss_curve_, rtol=1e-12)


@each_kind
def test_attributes_are_equal(kind):
    if kind == "two classes" and parse_version(sklearn.__version__) < parse_version("1.9"):
        pytest.skip("scikit-learn 1.8 cannot score two classes with names for early stopping")
    model, Ours = fitted(kind, early_stopping=True)
    ours = Ours.from_sklearn(model)
    for name in (
        "n_iter_", "n_layers_", "n_outputs_", "out_activation_", "loss_", "loss_curve_", "t_",
        "best_loss_", "best_validation_score_", "validation_scores_", "n_features_in_",
    ):  # fmt: skip
        assert getattr(ours, name) == getattr(model, name), name
    assert model.get_params().items() <= ours.get_params().items()


def test_names_of_features_are_kept():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abcde"))
    model = theirs.MLPRegressor(max_iter=2).fit(table, X[:, 0])
    assert MLPRegressor.from_sklearn(model).feature_names_in_.tolist() == list("abcde")


def test_float32_stays():
    model, Ours = fitted("more classes", np.float32)
    ours = Ours.from_sklearn(model)
    assert ours.network_.dtype == np.float32
    np.testing.assert_allclose(ours.predict_proba(X), model.predict_proba(X), atol=1e-5)


def test_the_model_and_its_copy_are_apart():
    model, Ours = fitted("one target")
    before = model.predict(X)
    Ours.from_sklearn(model).partial_fit(X, TARGETS["one target"])
    np.testing.assert_array_equal(model.predict(X), before)


def test_a_clone_fits_as_the_model_did():
    model, Ours = fitted("more classes")
    again = clone(Ours.from_sklearn(model)).fit(X, TARGETS["more classes"])
    np.testing.assert_allclose(again.coefs_[0], model.coefs_[0], atol=1e-12)


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="model must be a sklearn MLPRegressor, got MLPClassifier"):
        MLPRegressor.from_sklearn(theirs.MLPClassifier())
    with pytest.raises(ValueError, match="model must be fitted"):
        MLPClassifier.from_sklearn(theirs.MLPClassifier())
