"""The trajectories of scikit-learn: one random state gives its numbers."""

import numpy as np
import pytest
import sklearn.neural_network as theirs

from fastnn import estimators as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 437  # no multiple of the rows of a batch
SETTINGS = [
    {},
    {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.5},
    {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "invscaling", "power_t": 0.3},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.01, "n_iter_no_change": 2,
     "learning_rate_init": 0.1, "max_iter": 200},
    {"early_stopping": True, "n_iter_no_change": 4, "learning_rate_init": 0.01},
    {"activation": "logistic", "alpha": 0.5},
    {"activation": "tanh", "shuffle": False, "batch_size": 50},
    {"activation": "identity", "epsilon": 1e-3, "beta_1": 0.8, "beta_2": 0.9},
    {"tol": 0.01, "n_iter_no_change": 3, "max_iter": 300},
]  # fmt: skip


def targets(kind, X, rng):
    """An estimator's name, its loss and targets for it."""
    return {
        "two classes": lambda: ("MLPClassifier", X[:, 0] > 0),
        "more classes": lambda: ("MLPClassifier", rng.integers(0, 4, N)),
        "several labels": lambda: ("MLPClassifier", (rng.random((N, 3)) > 0.5).astype(int)),
        "one target": lambda: ("MLPRegressor", X[:, 0] ** 2 - X[:, 1]),
        "several targets": lambda: ("MLPRegressor", np.c_[X[:, 0] ** 2, X[:, 1]]),
        "counts": lambda: ("MLPRegressor", rng.poisson(np.exp(X[:, 0])).astype(float)),
    }[kind]()


def pair(kind, options, rng):
    """The two estimators, and data for them."""
    X = rng.normal(size=(N, 7))
    name, y = targets(kind, X, rng)
    options = {"hidden_layer_sizes": (13, 5), "max_iter": 30, "random_state": 3} | options
    if kind == "counts":
        options["loss"] = "poisson"
    return (getattr(room, name)(**options) for room in (theirs, ours)), X, y


def assert_same(one, other, targets=1):
    arrays = zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True)
    for expected, value in arrays:
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12)
    assert other.n_iter_ == one.n_iter_
    assert other.t_ == one.t_
    # The penalty of several targets is divided by their number as the rest of the loss is.
    tolerance = 1e-12 if targets == 1 else 1e-2
    np.testing.assert_allclose(other.loss_curve_, one.loss_curve_, rtol=tolerance)
    if one.validation_scores_ is not None:
        np.testing.assert_allclose(other.validation_scores_, one.validation_scores_, rtol=1e-10)


@pytest.mark.parametrize("options", SETTINGS, ids=str)
@pytest.mark.parametrize(
    "kind",
    ["two classes", "more classes", "several labels", "one target", "several targets", "counts"],
)
def test_fit(kind, options):
    (one, other), X, y = pair(kind, options, np.random.default_rng(0))
    assert_same(one.fit(X, y), other.fit(X, y), 2 if kind == "several targets" else 1)


@pytest.mark.parametrize("options", SETTINGS[:5], ids=str)
@pytest.mark.parametrize("kind", ["two classes", "more classes", "one target"])
def test_weighted_fit(kind, options):
    rng = np.random.default_rng(0)
    (one, other), X, y = pair(kind, options, rng)
    weights = rng.uniform(0, 5, N)
    assert_same(one.fit(X, y, weights), other.fit(X, y, weights))


@pytest.mark.parametrize("options", [*SETTINGS[:4], SETTINGS[6]], ids=str)
@pytest.mark.parametrize("kind", ["two classes", "more classes", "one target", "counts"])
def test_partial_fit_by_parts_of_different_size(kind, options):
    (one, other), X, y = pair(kind, options, np.random.default_rng(0))
    extra = {"classes": np.unique(y)} if "classes" in kind else {}
    for _ in range(3):
        for part in (slice(0, 50), slice(50, N), slice(0, 7)):
            for model in (one, other):
                model.set_params(batch_size=min(50, len(y[part])))
                model.partial_fit(X[part], y[part], **extra)
    assert_same(one, other)


@pytest.mark.parametrize("options", SETTINGS[:4], ids=str)
def test_warm_start(options):
    (one, other), X, y = pair("more classes", options, np.random.default_rng(0))
    for _ in range(3):
        for model in (one, other):
            model.set_params(warm_start=True, max_iter=5).fit(X, y)
    assert_same(one, other)


def test_a_random_state_goes_on(backend):
    (one, other), X, y = pair("more classes", {"max_iter": 3}, np.random.default_rng(0))
    for model in (one, other):
        model.set_params(random_state=np.random.RandomState(5), early_stopping=True)
        model.fit(X, y).fit(X, y)
    assert_same(one, other)


@pytest.mark.parametrize("kind", ["more classes", "one target"])
def test_predictions(kind):
    (one, other), X, y = pair(kind, {"max_iter": 5}, np.random.default_rng(0))
    one.fit(X, y), other.fit(X, y)
    np.testing.assert_allclose(other.predict(X), one.predict(X), atol=1e-12)
    if kind == "more classes":
        np.testing.assert_allclose(other.predict_proba(X), one.predict_proba(X), atol=1e-12)
        np.testing.assert_allclose(other.predict_log_proba(X), one.predict_log_proba(X), rtol=1e-9)


def test_float32_follows_as_far_as_its_precision():
    (one, other), X, y = pair("more classes", {"max_iter": 5}, np.random.default_rng(0))
    X = X.astype(np.float32)
    for expected, value in zip(one.fit(X, y).coefs_, other.fit(X, y).coefs_, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)
