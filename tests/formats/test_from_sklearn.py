"""Networks of scikit-learn's perceptrons predict as these do, and train on as they would."""

import numpy as np
import pytest

from fastnn.formats import from_sklearn

perceptrons = pytest.importorskip("sklearn.neural_network")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def scores(dtype, n=80):
    """Inputs, and three numbers for each that depend on them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 5)).astype(dtype)
    return X, (X @ rng.normal(size=(5, 3))).astype(dtype)


TASKS = {
    "several classes": ("MLPClassifier", lambda z: z.argmax(axis=1), {}),
    "two classes": ("MLPClassifier", lambda z: np.where(z[:, 0] > 0, "yes", "no"), {}),
    "labels": ("MLPClassifier", lambda z: (z > 0).astype(int), {}),
    "a number": ("MLPRegressor", lambda z: z[:, 0], {}),
    "numbers": ("MLPRegressor", lambda z: z, {}),
    "counts": ("MLPRegressor", lambda z: np.exp(z[:, 0] / 9).round(), {"loss": "poisson"}),
}


def fitted(task, dtype, **options):
    """A model of scikit-learn with its inputs and targets."""
    name, target, more = TASKS[task]
    X, z = scores(dtype)
    y = target(z)
    options = {"hidden_layer_sizes": (7, 6), "max_iter": 3, "random_state": 0} | more | options
    return getattr(perceptrons, name)(**options).fit(X, y), X, y


def predictions(model, net, X):
    """What both say of X, in one form."""
    if not hasattr(model, "predict_proba"):
        expected = model.predict(X)
        return expected.reshape(len(X), -1), net.predict_mean(X)
    expected, found = model.predict_proba(X), net.predict_proba(X)
    return expected if expected.shape == found.shape else expected[:, 1:], found


def error(expected, found):
    """The largest difference, relative to the largest number."""
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_predictions_are_equal(task, activation, dtype, backend):
    model, X, _ = fitted(task, dtype, activation=activation)
    expected, found = predictions(model, from_sklearn(model), X)
    assert found.dtype == dtype
    assert error(expected, found) < TOLERANCE[dtype]


def codes(task, model, y):
    """Targets as a network takes them."""
    return np.searchsorted(model.classes_, y) if "classes" in task else y


@pytest.mark.parametrize("task", TASKS)
def test_training_goes_on_as_in_the_model(task, backend):
    """Gradient descent has no state: three more steps are the same here and there."""
    options = {"solver": "sgd", "momentum": 0, "alpha": 0.1, "learning_rate_init": 0.05}
    model, X, y = fitted(task, "float64", **options)
    net = from_sklearn(model)
    for _ in range(3):
        model.partial_fit(X, y)
        net.train_step(X, codes(task, model, y))
    for layer, weight, bias in zip(
        net.core.graph.layers, model.coefs_, model.intercepts_, strict=True
    ):
        np.testing.assert_allclose(layer.weight, weight, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(layer.bias, bias, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_fit_lowers_the_loss(solver, dtype):
    model, X, y = fitted("several classes", dtype, solver=solver)
    history = from_sklearn(model).fit(X, y, epochs=5)
    assert history["loss"][-1] < history["loss"][0]


def test_classes_are_in_the_metadata():
    assert from_sklearn(fitted("two classes", "float64")[0]).metadata == {"classes": ["no", "yes"]}


def test_optimizer_has_the_options_of_the_model():
    model, _, _ = fitted("a number", "float64", beta_1=0.8, beta_2=0.99, epsilon=1e-6)
    optimizer = from_sklearn(model).core.optimizer
    assert (optimizer.beta1, optimizer.beta2, optimizer.epsilon) == (0.8, 0.99, 1e-6)


def test_a_model_that_is_not_fitted_is_refused():
    with pytest.raises(ValueError, match="MLPClassifier is not fitted"):
        from_sklearn(perceptrons.MLPClassifier())


def test_other_models_are_refused():
    from sklearn.linear_model import LinearRegression

    with pytest.raises(TypeError, match=r"MLPClassifier or MLPRegressor.*got LinearRegression"):
        from_sklearn(LinearRegression())


@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
def test_parameters_that_are_not_finite_are_refused(name):
    model, _, _ = fitted("a number", "float64")
    getattr(model, name)[1][0] = np.nan
    with pytest.raises(ValueError, match=rf"{name}\[1\] of the MLPRegressor is not finite"):
        from_sklearn(model)
