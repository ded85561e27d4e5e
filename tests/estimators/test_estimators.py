"""The scikit-learn estimators: its own checks, and what those do not look at."""

import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import ReduceOnPlateau
from fastnn.estimators import NetworkClassifier, NetworkRegressor
from fastnn.optimizers import Adam, GradientDescent
from fastnn.schedules import Cosine
from fastnn.training.callbacks import Callback, EarlyStopping

ESTIMATORS = [NetworkClassifier, NetworkRegressor]


@parametrize_with_checks([NetworkClassifier(epochs=40), NetworkRegressor(epochs=40)])
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def test_classifier_learns(backend):
    X, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), NetworkClassifier(epochs=30, random_state=0))
    assert cross_val_score(model, X, y, cv=3).mean() > 0.95


def test_regressor_learns(backend):
    X, y = load_diabetes(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    model = NetworkRegressor((), epochs=60, random_state=0)
    assert cross_val_score(model, X, y, cv=3).mean() > 0.4  # linear least squares: 0.49


def test_labels_may_be_text(iris):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = NetworkClassifier(epochs=30, random_state=0).fit(X, names)
    assert model.score(X, names) > 0.9
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]


def test_several_targets_are_learnt_at_once():
    X = np.linspace(-2, 2, 200)[:, None]
    Y = np.column_stack([X[:, 0], X[:, 0] ** 2])
    model = NetworkRegressor((32,), "tanh", epochs=150, learning_rate=0.01, random_state=0)
    assert model.fit(X, Y).score(X, Y) > 0.95
    assert model.predict(X).shape == Y.shape


def test_probabilities_belong_to_the_predicted_class(iris):
    X, y = iris
    model = NetworkClassifier(epochs=5, random_state=0).fit(X, y)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), model.predict(X))


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        (np.float32, None, np.float32),
        (np.float64, None, np.float64),
        (np.int32, None, np.float64),
        (np.float64, "float32", np.float32),
    ],
)
def test_dtype_follows_X_unless_chosen(iris, given, dtype, expected):
    X, y = iris
    model = NetworkClassifier(epochs=1, dtype=dtype).fit(X.astype(given), y)
    assert model.network_.dtype == expected
    assert model.predict_proba(X).dtype == expected


def test_one_random_state_gives_one_network(iris):
    fits = [NetworkClassifier(epochs=3, dropout=0.2, random_state=7).fit(*iris) for _ in range(2)]
    np.testing.assert_array_equal(*(fit.network_.get_flat() for fit in fits))


def test_early_stopping_keeps_the_best_epoch(iris):
    X, y = iris
    model = NetworkClassifier(
        (64, 64), epochs=300, early_stopping=True, validation_fraction=0.3, patience=3,
        learning_rate=0.01, random_state=0,
    ).fit(X, y)  # fmt: skip
    history = model.history_
    assert history.stopped_early
    assert model.n_iter_ < 300
    assert history.best_epoch == 1 + int(np.argmin(history["val_loss"]))


def test_hidden_may_be_empty_or_one_number(iris):
    for hidden, layers in (((), 1), (8, 2), ([8, 4], 3)):
        assert len(NetworkClassifier(hidden, epochs=1).fit(*iris).network_.layers) == layers


def test_learning_rate_replaces_that_of_the_optimizer(iris):
    schedule = Cosine(0.1, 100)
    model = NetworkClassifier(optimizer=Adam(1.0), learning_rate=schedule, epochs=1).fit(*iris)
    assert model.network_.optimizer == Adam(schedule)


def test_alpha_is_the_penalty_of_the_mean_loss(iris):
    X, y = iris
    plain, penalised = (
        NetworkClassifier(alpha=alpha, epochs=0, random_state=0).fit(X, y).network_
        for alpha in (0.0, 0.5)
    )
    squares = sum((v**2).sum() for k, v in plain.parameters.items() if k.endswith("weight"))
    difference = penalised.evaluate(X, y)["loss"] - plain.evaluate(X, y)["loss"]
    assert difference == pytest.approx(0.25 * squares)


def test_sample_weights_count_as_repetitions(iris):
    X, y = iris
    weights = np.random.default_rng(0).integers(1, 4, len(y))
    settings = {"epochs": 20, "batch_size": 1000, "random_state": 0, "alpha": 0.0}
    settings["optimizer"] = GradientDescent(0.1)
    weighted = NetworkClassifier(**settings).fit(X, y, weights)
    repeated = NetworkClassifier(**settings).fit(np.repeat(X, weights, 0), np.repeat(y, weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9)


def test_partial_fit_goes_on_where_it_stopped(iris):
    X, y = iris
    model = NetworkClassifier(random_state=0)
    for _ in range(30):
        model.partial_fit(X[::2], y[::2], classes=[0, 1, 2])
        model.partial_fit(X[1::2], y[1::2])
    assert model.n_iter_ == 60
    assert model.score(X, y) > 0.9


def test_partial_fit_of_regression_goes_on_where_it_stopped():
    X = np.linspace(-2, 2, 64)[:, None]
    model = NetworkRegressor(random_state=0, learning_rate=0.01)
    scores = [model.partial_fit(X, X[:, 0]).score(X, X[:, 0]) for _ in range(60)]
    assert scores[-1] > 0.95 > scores[0]


def test_partial_fit_needs_the_classes_first(iris):
    with pytest.raises(ValueError, match="first call of partial_fit needs classes"):
        NetworkClassifier().partial_fit(*iris)


def test_partial_fit_refuses_other_classes(iris):
    X, y = iris
    model = NetworkClassifier().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="at first it was"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="class 7, which is not among"):
        model.partial_fit(X, y + 5 * (y == 2))


def test_partial_fit_refuses_another_number_of_targets():
    X = np.ones((5, 2))
    model = NetworkRegressor().partial_fit(X, np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"y must have shape .*, got \(5,\)"):
        model.partial_fit(X, np.ones(5))


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_partial_fit_refuses_early_stopping(Estimator, iris):
    with pytest.raises(ValueError, match="does not go with early_stopping"):
        Estimator(early_stopping=True).partial_fit(*iris)


def test_zero_weights_are_refused(iris):
    X, y = iris
    with pytest.raises(ValueError, match="zero for every sample"):
        NetworkClassifier().fit(X, y, np.zeros(len(y)))


@pytest.mark.parametrize(
    "unfit",
    [
        {"hidden": (0,)}, {"hidden": (2.5,)}, {"activation": "poetry"}, {"dropout": 1.0},
        {"optimizer": "poetry"}, {"learning_rate": -1.0}, {"alpha": -1.0}, {"batch_size": 0},
        {"epochs": -1}, {"early_stopping": True, "validation_fraction": 0.0},
        {"early_stopping": True, "patience": -1}, {"early_stopping": "soon"},
        {"early_stopping": 2.0}, {"early_stopping": -1},
    ],
)  # fmt: skip
def test_unfit_parameters_are_refused_by_fit(unfit, iris):
    with pytest.raises((TypeError, ValueError)):
        NetworkClassifier(**unfit).fit(*iris)


def test_search_over_parameters(iris):
    search = GridSearchCV(
        NetworkClassifier(epochs=5, random_state=0), {"hidden": [(), (20,)]}, cv=2
    ).fit(*iris)
    assert search.best_params_["hidden"] in ((), (20,))
    assert search.best_estimator_.predict(iris[0]).shape == iris[1].shape


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_fitted_estimator_survives_pickling(Estimator, iris):
    X, y = iris
    model = Estimator(epochs=2, optimizer=Adam(Cosine(0.1, 10)), random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_clone_keeps_parameters_and_no_network(iris):
    model = NetworkClassifier((5,), optimizer=Adam(0.1), epochs=1).fit(*iris)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "network_")


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_interruption_is_passed_on_and_what_was_learnt_stays(Estimator, iris, monkeypatch):
    X, y = iris

    def interrupt(self, context):
        raise KeyboardInterrupt

    monkeypatch.setattr(EarlyStopping, "on_epoch_end", interrupt)
    model = Estimator(early_stopping=True, validation_fraction=0.2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.predict(X).shape == y.shape


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    for name in ("fastnn.estimators", "fastnn.estimators.estimators"):
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"fastnn\[sklearn\]"):
        import fastnn.estimators  # noqa: F401


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_held_out_rows_of_no_weight_are_refused(Estimator, iris):
    X, y = iris
    weights = np.zeros(len(y))
    weights[7] = 1.0
    model = Estimator(early_stopping=True, random_state=0)
    with pytest.raises(ValueError, match="validation_fraction leaves nothing to validate on"):
        model.fit(X, y, weights)


@pytest.mark.parametrize("stopping", [2, EarlyStopping(patience=2)])
def test_early_stopping_is_what_fit_of_a_network_accepts(stopping, iris):
    options = {"epochs": 60, "learning_rate": 0.3, "random_state": 0}
    model = NetworkClassifier(early_stopping=stopping, **options).fit(*iris)
    twin = NetworkClassifier(early_stopping=True, patience=2, **options).fit(*iris)
    assert model.history_["val_loss"] == twin.history_["val_loss"]


def test_early_stopping_on_the_training_loss_holds_nothing_out(iris):
    model = NetworkClassifier(epochs=2, early_stopping=EarlyStopping("loss")).fit(*iris)
    assert "val_loss" not in model.history_


def test_training_leaves_the_early_stopping_of_the_options_alone(iris):
    stopping = EarlyStopping()
    NetworkClassifier(epochs=2, early_stopping=stopping).fit(*iris)
    assert stopping.best is None


def test_balanced_classes_are_those_of_a_dict(iris):
    X, y = iris[0][40:], iris[1][40:]
    weights = dict(enumerate(compute_class_weight("balanced", classes=np.unique(y), y=y)))
    models = [
        NetworkClassifier(epochs=2, random_state=0, class_weight=option).fit(X, y)
        for option in ("balanced", weights)
    ]
    np.testing.assert_allclose(*(m.network_.get_flat() for m in models), rtol=1e-9, atol=1e-12)


def test_class_weights_are_by_label(iris):
    X, y = iris
    names = np.array(["b", "c", "a"])[y]
    named = NetworkClassifier(epochs=20, random_state=0, class_weight={"c": 1000.0}).fit(X, names)
    assert np.mean(named.predict(X) == "c") > 0.9


@pytest.mark.parametrize("weights", [{7: 1.0}, "even", [1.0, 2.0, 3.0], {0: -1.0}])
def test_unfit_class_weights_are_refused(weights, iris):
    with pytest.raises(ValueError, match="class_weight"):
        NetworkClassifier(class_weight=weights).fit(*iris)


def test_partial_fit_refuses_balanced_classes(iris):
    with pytest.raises(ValueError, match="partial_fit does not go with class_weight='balanced'"):
        NetworkClassifier(class_weight="balanced").partial_fit(*iris, classes=[0, 1, 2])


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_rate_decreases_where_the_held_out_loss_has_stopped_falling(Estimator, iris, backend):
    plateau = ReduceOnPlateau(factor=0.5, patience=1, min_delta=100)
    model = Estimator(epochs=4, callbacks=plateau, learning_rate=0.08, random_state=0).fit(*iris)
    np.testing.assert_allclose(model.history_["learning_rate"], [0.08, 0.08, 0.04, 0.02])
    assert len(model.history_["val_loss"]) == 4


def test_each_training_has_callbacks_of_its_own(iris):
    plateau = ReduceOnPlateau("loss", factor=0.5, patience=1, min_delta=100)
    model = NetworkClassifier(epochs=3, callbacks=[plateau]).fit(*iris)
    assert (plateau.reductions, model.callbacks_[0].reductions) == (0, 2)
    assert "val_loss" not in model.history_


def test_functions_are_callbacks_of_estimators(iris):
    epochs = []
    NetworkRegressor(epochs=3, callbacks=lambda context: epochs.append(context.epoch)).fit(*iris)
    assert epochs == [1, 2, 3]


def test_a_callback_that_monitors_validation_holds_rows_out(iris):
    class Last(Callback):
        monitor = "val_accuracy"

        def on_epoch_end(self, context):
            self.value = context.logs[self.monitor]

    model = NetworkClassifier(epochs=2, callbacks=Last()).fit(*iris)
    assert model.callbacks_[0].value == model.history_["val_accuracy"][-1]


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_partial_fit_refuses_callbacks(Estimator, iris):
    model = Estimator(callbacks=ReduceOnPlateau("loss"))
    with pytest.raises(ValueError, match="partial_fit does not go with callbacks"):
        model.partial_fit(*iris, *([[0, 1, 2]] if Estimator is NetworkClassifier else []))


@pytest.mark.parametrize("rule", ["data", "batch", "count"])
def test_weighted_means_are_those_of_a_network(rule, iris):
    X, y = iris
    weights = np.random.default_rng(0).uniform(0, 3, len(y))
    options = {"epochs": 3, "batch_size": 20, "random_state": 0, "weights_mean": rule}
    model = NetworkClassifier(**options).fit(X, y, weights)
    net = NetworkClassifier(**options | {"epochs": 0}).fit(X, y).network_
    net.fit(X, y, epochs=3, batch_size=20, sample_weight=weights, weights_mean=rule)
    np.testing.assert_array_equal(model.network_.get_flat(), net.get_flat())


def test_an_unknown_weighted_mean_is_named(iris):
    with pytest.raises(ValueError, match="weights_mean must be one of data, batch, count"):
        NetworkRegressor(weights_mean="rows").fit(*iris)
