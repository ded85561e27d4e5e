"""The estimators for scikit-learn: what scikit-learn's own tests do not look at."""

import importlib
import pickle
import sys
import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

import fastnn as fnn
from fastnn import ReduceOnPlateau
from fastnn.estimators import MLPClassifier, MLPRegressor
from fastnn.optimizers import Adam, GradientDescent
from fastnn.schedules import Cosine
from fastnn.training.callbacks import Callback, EarlyStopping

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [MLPClassifier, MLPRegressor]


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def test_classifier_learns(backend):
    X, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=30, random_state=0))
    assert cross_val_score(model, X, y, cv=3).mean() > 0.95


def test_regressor_learns(backend):
    X, y = load_diabetes(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    model = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", random_state=0)
    assert cross_val_score(model, X, y, cv=3).mean() > 0.4  # linear least squares: 0.49


def test_labels_may_be_text(iris):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = MLPClassifier(solver="lbfgs", random_state=0).fit(X, names)
    assert model.score(X, names) > 0.9
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]


def test_several_targets_are_learnt_at_once():
    X = np.linspace(-2, 2, 200)[:, None]
    Y = np.column_stack([X[:, 0], X[:, 0] ** 2])
    model = MLPRegressor(
        hidden_layer_sizes=(32,), activation="tanh", solver="lbfgs", random_state=0
    )
    assert model.fit(X, Y).score(X, Y) > 0.95
    assert model.predict(X).shape == Y.shape


def test_probabilities_belong_to_the_predicted_class(iris):
    X, y = iris
    model = MLPClassifier(max_iter=5, random_state=0).fit(X, y)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), model.predict(X))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logarithms_are_those_of_the_probabilities(iris, n_classes):
    X, y = iris
    model = MLPClassifier(max_iter=2, random_state=0).fit(X[y < n_classes], y[y < n_classes])
    far = 1e6 * X
    probabilities, logarithms = model.predict_proba(far), model.predict_log_proba(far)
    assert (probabilities == 0).any()
    np.testing.assert_array_equal(logarithms == -np.inf, probabilities == 0)
    np.testing.assert_allclose(np.exp(logarithms), probabilities)


def test_one_class_is_certain():
    X = np.ones((5, 2))
    model = MLPClassifier(max_iter=2).fit(X, np.full(5, 7))
    np.testing.assert_array_equal(model.predict(X), 7)
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((5, 1)))


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
    model = MLPClassifier(max_iter=1, dtype=dtype).fit(X.astype(given), y)
    assert model.network_.dtype == expected
    assert model.predict_proba(X).dtype == expected


def test_one_random_state_gives_one_network(iris):
    fits = [MLPClassifier(max_iter=3, dropout=0.2, random_state=7).fit(*iris) for _ in range(2)]
    np.testing.assert_array_equal(*(fit.network_.get_flat() for fit in fits))


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_early_stopping_keeps_the_best_epoch(Estimator, iris):
    X, y = iris
    model = Estimator(
        early_stopping=True, validation_fraction=0.3, n_iter_no_change=3, max_iter=300,
        learning_rate_init=0.01, random_state=0,
    ).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])  # fmt: skip
    assert model.history_.stopped_early
    assert model.n_iter_ < 300
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.score(X[1::2], y[1::2]) == pytest.approx(model.best_validation_score_)


def test_hidden_layers_may_be_absent_one_number_or_text(iris):
    for hidden, widths in (((), []), (8, [8]), ([8, 4], [8, 4]), ("8, 4", [8, 4]), ("", [])):
        model = MLPClassifier(hidden, max_iter=1).fit(*iris)
        assert [len(bias) for bias in model.intercepts_[:-1]] == widths


def test_each_layer_may_have_an_activation_of_its_own(iris):
    functions = ("gelu", fnn.Activation("leaky_relu", alpha=0.2), "logistic")
    model = MLPClassifier((5, 4, 3), functions, max_iter=1).fit(*iris)
    assert [layer.activation for layer in model.network_.layers] == [
        "gelu", "leaky_relu", "sigmoid", None,
    ]  # fmt: skip
    assert model.network_.layers[1].alpha == 0.2


def test_learning_rate_belongs_to_names_and_not_to_objects(iris):
    def optimizer(**options):
        return MLPClassifier(max_iter=1, **options).fit(*iris).network_.optimizer

    schedule = Cosine(0.1, 100)
    assert optimizer(solver="rmsprop", learning_rate_init=0.2) == fnn.RMSprop(0.2)
    assert optimizer(solver=Adam(0.3), learning_rate_init=0.2) == Adam(0.3)
    assert optimizer(solver=Adam(0.3), learning_rate=schedule) == Adam(schedule)
    assert optimizer(solver="gradient_descent", learning_rate=schedule) == GradientDescent(schedule)


def test_alpha_is_divided_by_the_number_of_samples(iris):
    X, y = iris
    model = MLPClassifier(alpha=0.5, solver="lbfgs", max_iter=1, random_state=0).fit(X, y)
    plain = clone(model).set_params(alpha=0.0).fit(X, y).network_
    plain.set_flat(model.network_.get_flat())
    squares = sum((weight**2).sum() for weight in model.coefs_)
    difference = model.network_.evaluate(X, y)["loss"] - plain.evaluate(X, y)["loss"]
    assert difference == pytest.approx(0.25 * squares / len(X))


def test_sample_weights_count_as_repetitions(iris):
    X, y = iris
    weights = np.random.default_rng(0).integers(1, 4, len(y))
    settings = {"max_iter": 20, "batch_size": 400, "random_state": 0}
    settings["solver"] = GradientDescent(0.1)
    with pytest.warns(UserWarning, match="batch_size"):
        weighted = MLPClassifier(**settings).fit(X, y, weights)
    with pytest.warns(UserWarning, match="batch_size"):
        repeated = MLPClassifier(**settings).fit(np.repeat(X, weights, 0), np.repeat(y, weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9)


def test_partial_fit_goes_on_where_it_stopped(iris):
    X, y = iris
    model = MLPClassifier(random_state=0)
    for _ in range(100):
        model.partial_fit(X[::2], y[::2], classes=[0, 1, 2])
        model.partial_fit(X[1::2], y[1::2])
    assert model.t_ == 100 * len(X)
    assert len(model.loss_curve_) == 200
    assert model.score(X, y) > 0.9


def test_partial_fit_of_regression_goes_on_where_it_stopped():
    X = np.linspace(-2, 2, 64)[:, None]
    model = MLPRegressor(random_state=0, learning_rate_init=0.01)
    scores = [model.partial_fit(X, X[:, 0]).score(X, X[:, 0]) for _ in range(100)]
    assert scores[-1] > 0.95 > scores[0]


def test_partial_fit_needs_the_classes_first(iris):
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(*iris)


def test_partial_fit_refuses_other_classes(iris):
    X, y = iris
    model = MLPClassifier().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="`y` has classes not in"):
        model.partial_fit(X, y + 5 * (y == 2))


def test_partial_fit_refuses_another_number_of_targets():
    X = np.ones((5, 2))
    model = MLPRegressor().partial_fit(X, np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"y must have 2 targets, .*\(5,\)"):
        model.partial_fit(X, np.ones(5))


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_partial_fit_stops_early_by_the_callers_data(Estimator, iris):
    X, y = iris
    model = Estimator(
        early_stopping=True, n_iter_no_change=2, tol=10.0, learning_rate_init=0.1, random_state=0
    )
    extra = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    for _ in range(4):
        model.partial_fit(X, y, X_val=X[::3], y_val=y[::3], **extra)
    assert len(model.validation_scores_) == 4
    assert model.score(X[::3], y[::3]) == pytest.approx(max(model.validation_scores_))
    with pytest.raises(ValueError, match="without validation data: pass X_val and y_val"):
        model.partial_fit(X, y)


def test_zero_weights_are_refused(iris):
    X, y = iris
    with pytest.raises(ValueError, match="zero for every sample"):
        MLPClassifier().fit(X, y, np.zeros(len(y)))


@pytest.mark.parametrize(
    ("unfit", "message"),
    [
        ({"hidden_layer_sizes": (0,)}, r"hidden_layer_sizes must be > 0, got \[0\]"),
        ({"hidden_layer_sizes": (2.5,)}, "hidden_layer_sizes must be integers"),
        ({"hidden_layer_sizes": "8;4"}, "hidden_layer_sizes as text"),
        ({"activation": "poetry"}, "The 'activation' parameter of MLPClassifier must be"),
        ({"activation": ["relu", "tanh"]}, "activation has 2 functions for 1 hidden layers"),
        ({"dropout": 1.0}, "The 'dropout' parameter"),
        ({"solver": "poetry"}, "The 'solver' parameter"),
        ({"learning_rate_init": -1.0}, "The 'learning_rate_init' parameter"),
        ({"alpha": -1.0}, "The 'alpha' parameter"),
        ({"batch_size": 0}, "The 'batch_size' parameter"),
        ({"max_iter": 0}, "The 'max_iter' parameter"),
        ({"early_stopping": "soon"}, "The 'early_stopping' parameter"),
        ({"early_stopping": True, "validation_fraction": 1.0}, "The 'validation_fraction'"),
        ({"solver": "sgd", "momentum": 1.0}, "momentum must be"),
        ({"dtype": int}, "dtype must be 'float32', 'float64' or None"),
        ({"n_jobs": 0}, "n_jobs must not be 0"),
        ({"loss": "huber"}, "loss must be 'log_loss' or a loss with probabilities"),
        ({"loss": "binary_cross_entropy"}, "is for two classes or several labels"),
        ({"weights_mean": "rows"}, "The 'weights_mean' parameter"),
    ],
)
def test_unfit_parameters_are_refused_by_fit(unfit, message, iris):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**unfit).fit(*iris)


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"batch_size": 999}], ids=str)
def test_warnings_name_the_line_that_calls_fit(options, iris):
    with warnings.catch_warnings(record=True, action="always") as caught:
        MLPClassifier(max_iter=2, **options).fit(*iris)
    assert caught
    if hasattr(MLPClassifier, "set_callbacks"):  # its decorator is one frame
        assert {warning.filename for warning in caught} == {__file__}


def test_search_over_parameters(iris):
    search = GridSearchCV(
        MLPClassifier(max_iter=5, random_state=0), {"hidden_layer_sizes": [(), "20"]}, cv=2
    ).fit(*iris)
    assert search.best_params_["hidden_layer_sizes"] in ((), "20")
    assert search.best_estimator_.predict(iris[0]).shape == iris[1].shape


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_fitted_estimator_survives_pickling(Estimator, iris):
    X, y = iris
    model = Estimator(max_iter=2, solver=Adam(Cosine(0.1, 10)), random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(
        again.partial_fit(X, y).predict(X), model.partial_fit(X, y).predict(X)
    )


def test_clone_keeps_parameters_and_no_network(iris):
    model = MLPClassifier((5,), solver=Adam(0.1), max_iter=1).fit(*iris)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "network_")


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_interruption_is_passed_on_and_what_was_learnt_stays(Estimator, iris):
    X, y = iris

    def interrupt(context):
        raise KeyboardInterrupt

    model = Estimator(early_stopping=True, validation_fraction=0.2, callbacks=interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.predict(X).shape == y.shape


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fastnn.estimators")]:
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


def test_early_stopping_of_fastnn_is_a_callback(iris):
    stopping = EarlyStopping(patience=2)
    model = MLPClassifier(max_iter=60, learning_rate_init=0.3, callbacks=stopping).fit(*iris)
    assert len(model.history_["val_loss"]) < 60
    assert model.validation_scores_ is None
    assert stopping.best is None  # the training has a copy


def test_a_callback_on_the_training_loss_holds_nothing_out(iris):
    model = MLPClassifier(max_iter=2, callbacks=EarlyStopping("loss")).fit(*iris)
    assert "val_loss" not in model.history_


def test_own_validation_data_are_measured(iris):
    X, y = iris
    model = MLPClassifier(max_iter=3, random_state=0).fit(X, y, X_val=X[:9], y_val=y[:9])
    assert model.t_ == 3 * len(X)
    loss = model.network_.evaluate(X[:9], y[:9])["loss"]
    assert model.history_["val_loss"][-1] == pytest.approx(loss)


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_validation_data_reach_estimators_through_pipelines_and_searches(Estimator, iris):
    X, y = iris
    own = {"X_val": 100.0 * X[:20], "y_val": y[:20], "sample_weight_val": np.arange(20.0)}
    with config_context(enable_metadata_routing=True):
        model = Estimator(early_stopping=True, max_iter=3, random_state=0)
        model.set_fit_request(**dict.fromkeys(own, True))
        pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        search = GridSearchCV(pipeline, {}, cv=2).fit(100.0 * X, y, **own)
    fitted = search.best_estimator_[-1]
    expected = clone(model).fit(X, y, **own | {"X_val": X[:20]})
    np.testing.assert_allclose(fitted.validation_scores_, expected.validation_scores_)
    np.testing.assert_allclose(fitted.history_["val_loss"], expected.history_["val_loss"])


@pytest.mark.parametrize("missing", ["X_val", "y_val"])
def test_a_part_of_validation_data_is_refused(missing, iris):
    X, y = iris
    part = {"X_val": X, "y_val": y}
    del part[missing]
    with pytest.raises(ValueError, match="X_val and y_val must be passed together"):
        MLPClassifier().fit(X, y, **part)


def test_validation_data_of_other_classes_are_refused(iris):
    X, y = iris
    with pytest.raises(ValueError, match=r"y_val has classes that y does not have: \[2\]"):
        MLPClassifier().fit(X[:100], y[:100], X_val=X, y_val=y)


def test_balanced_classes_are_those_of_a_dict(iris):
    X, y = iris[0][40:], iris[1][40:]
    weights = dict(enumerate(compute_class_weight("balanced", classes=np.unique(y), y=y)))
    models = [
        MLPClassifier(max_iter=2, random_state=0, class_weight=option).fit(X, y)
        for option in ("balanced", weights)
    ]
    np.testing.assert_allclose(*(m.network_.get_flat() for m in models), rtol=1e-9, atol=1e-12)


def test_class_weights_are_weights_of_samples(iris):
    X, y = iris
    names = np.array(["b", "c", "a"])[y]
    options = {"max_iter": 3, "random_state": 0}
    named = MLPClassifier(**options, class_weight={"c": 5.0}).fit(X, names)
    weighted = MLPClassifier(**options).fit(X, names, np.where(names == "c", 5.0, 1.0))
    np.testing.assert_array_equal(named.network_.get_flat(), weighted.network_.get_flat())


@pytest.mark.parametrize(
    "weights", [{7: 1.0}, "even", [1.0, 2.0, 3.0], {0: -1.0}, {0: 0.0, 1: 0.0, 2: 0.0}]
)
def test_unfit_class_weights_are_refused(weights, iris):
    with pytest.raises(ValueError, match="class_weight"):
        MLPClassifier(class_weight=weights).fit(*iris)


def test_class_weights_of_several_labels_are_refused(iris):
    X, _ = iris
    with pytest.raises(ValueError, match=r"BinaryCrossEntropy\(pos_weight"):
        MLPClassifier(class_weight="balanced").fit(X, X[:, :2] > 0)


def test_balanced_classes_count_weights_as_repetitions(iris):
    X, y = iris[0][30:], iris[1][30:]
    weights = np.random.default_rng(0).integers(1, 4, len(y))
    model = MLPClassifier((3,), solver="lbfgs", tol=1e-9, class_weight="balanced", random_state=0)
    one = clone(model).fit(X, y, weights)
    other = clone(model).fit(np.repeat(X, weights, 0), np.repeat(y, weights))
    np.testing.assert_allclose(one.loss_curve_[:5], other.loss_curve_[:5], rtol=1e-9)


def test_class_weights_count_in_the_score_of_early_stopping(iris):
    X, y = iris
    model = MLPClassifier(early_stopping=True, max_iter=1, class_weight={0: 9.0}, random_state=0)
    model.fit(X, y, X_val=X, y_val=y)
    weights = np.where(y == 0, 9.0, 1.0)
    expected = np.average(model.predict(X) == y, weights=weights)
    assert model.validation_scores_ == [pytest.approx(expected)]


def test_partial_fit_refuses_balanced_classes(iris):
    with pytest.raises(ValueError, match="partial_fit does not go with class_weight='balanced'"):
        MLPClassifier(class_weight="balanced").partial_fit(*iris, classes=[0, 1, 2])


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_rate_decreases_where_the_held_out_loss_has_stopped_falling(Estimator, iris, backend):
    plateau = ReduceOnPlateau(factor=0.5, patience=1, min_delta=100)
    options = {"solver": "momentum", "learning_rate_init": 0.08, "random_state": 0}
    model = Estimator(max_iter=4, callbacks=plateau, **options).fit(*iris)
    np.testing.assert_allclose(model.history_["learning_rate"], [0.08, 0.08, 0.04, 0.02])
    assert len(model.history_["val_loss"]) == 4


def test_each_training_has_callbacks_of_its_own(iris):
    plateau = ReduceOnPlateau("loss", factor=0.5, patience=1, min_delta=100)
    model = MLPClassifier(max_iter=3, callbacks=[plateau]).fit(*iris)
    assert (plateau.reductions, model.callbacks_[0].reductions) == (0, 2)
    assert "val_loss" not in model.history_


def test_functions_are_callbacks_of_estimators(iris):
    epochs = []
    MLPRegressor(max_iter=3, callbacks=lambda context: epochs.append(context.epoch)).fit(*iris)
    assert epochs == [1, 2, 3]


def test_a_callback_that_monitors_validation_holds_rows_out(iris):
    class Last(Callback):
        monitor = "val_accuracy"

        def on_epoch_end(self, context):
            self.value = context.logs[self.monitor]

    model = MLPClassifier(max_iter=2, callbacks=Last()).fit(*iris)
    assert model.callbacks_[0].value == model.history_["val_accuracy"][-1]


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_partial_fit_refuses_callbacks(Estimator, iris):
    model = Estimator(callbacks=ReduceOnPlateau("loss"))
    with pytest.raises(ValueError, match="partial_fit does not go with callbacks"):
        model.partial_fit(*iris, **({"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}))


@pytest.mark.parametrize("rule", ["data", "batch", "count"])
def test_weighted_means_are_those_of_a_network(rule, iris):
    X, y = iris
    weights = np.random.default_rng(0).uniform(0, 3, len(y))
    options = {"batch_size": 20, "random_state": 0, "alpha": 0.0, "shuffle": False}
    options |= {"solver": GradientDescent(0.1), "weights_mean": rule}
    model = MLPClassifier(max_iter=3, **options).fit(X, y, weights)
    net = MLPClassifier(max_iter=1, **options).fit(X, y, weights).network_
    net.fit(X, y, epochs=2, batch_size=20, sample_weight=weights, weights_mean=rule, shuffle=False)
    np.testing.assert_array_equal(model.network_.get_flat(), net.get_flat())


def test_losses_of_fastnn_take_the_place_of_the_logarithmic_one(iris):
    X, y = iris
    smooth = fnn.CrossEntropy(label_smoothing=0.2)
    model = MLPClassifier(loss=smooth, solver="lbfgs", random_state=0).fit(X, y)
    assert model.network_.losses == {"dense_2": smooth}
    assert model.predict_proba(X).max() < 0.97  # the optimum is 1 - 0.2 + 0.2 / 3


def test_losses_of_fastnn_take_the_place_of_the_squared_error():
    X = np.linspace(-1, 1, 100)[:, None]
    y = X[:, 0] + 100.0 * (np.arange(100) == 50)
    model = MLPRegressor(fnn.MeanAbsoluteError(), (), solver="lbfgs", alpha=0.0, random_state=0)
    np.testing.assert_allclose(model.fit(X, y).predict(X), X[:, 0], atol=0.05)


def absolute(output, target):
    difference = output - target
    return float(np.abs(difference).mean()), np.sign(difference) / difference.size


def test_functions_are_losses_of_regression(iris):
    X, y = iris
    options = {"max_iter": 3, "random_state": 0, "alpha": 0.0}
    model = MLPRegressor(absolute, **options).fit(X, y)
    expected = MLPRegressor(fnn.MeanAbsoluteError(), **options).fit(X, y)
    np.testing.assert_allclose(model.predict(X), expected.predict(X))
    again = pickle.loads(pickle.dumps(model)).partial_fit(X, y)
    np.testing.assert_allclose(again.predict(X), expected.partial_fit(X, y).predict(X))


def test_counts_have_rates_as_predictions():
    X = np.linspace(0, 2, 200)[:, None]
    y = np.exp(X[:, 0])
    model = MLPRegressor(fnn.Poisson(), (), solver="lbfgs", alpha=0.0, random_state=0)
    np.testing.assert_allclose(model.fit(X, y).predict(X), y, rtol=1e-3)
    with pytest.raises(ValueError, match=">= 0"):
        model.fit(X, -y)


def test_a_loss_of_classes_is_refused_for_numbers(iris):
    with pytest.raises(ValueError, match="is for classification"):
        MLPRegressor("cross_entropy").fit(*iris)


def test_written_coefficients_take_effect(iris):
    X, y = iris
    model, other = (MLPClassifier(max_iter=1, random_state=i).fit(X, y) for i in (0, 1))
    model.coefs_ = other.coefs_
    model.intercepts_[0] = other.intercepts_[0]
    model.intercepts_[1][...] = other.intercepts_[1]
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))
    with pytest.raises(ValueError, match=r"must have shape \(4, 100\), got \(4, 99\)"):
        model.coefs_[0] = np.ones((4, 99))
    with pytest.raises(ValueError, match="coefs_ must have 2 arrays, got 1"):
        model.coefs_ = [np.ones((4, 100))]


def test_coefficients_before_the_first_training_are_initial_values(iris):
    X, y = iris
    model = MLPRegressor(warm_start=True, max_iter=1, learning_rate_init=1e-30)
    model.coefs_, model.intercepts_ = [np.ones((4, 3)), np.ones((3, 1))], [np.ones(3), np.ones(1)]
    model.set_params(hidden_layer_sizes=3).fit(X, y)
    np.testing.assert_allclose(model.coefs_[0], 1)
    np.testing.assert_allclose(model.intercepts_[1], 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden_layer_sizes", 5), ("activation", "tanh"), ("dropout", 0.5), ("dtype", "float32")],
)
def test_a_trained_network_keeps_its_structure(name, value, iris):
    X, y = iris
    model = MLPRegressor(warm_start=True, max_iter=1).fit(X, y).set_params(**{name: value})
    for train in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"{name} is {value!r}, but the trained network has"):
            train(X, y)
    model.set_params(warm_start=False).fit(X, y)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate_init": 0.02}, {"beta_1": 0.5}, {"epsilon": 0.1}, {"alpha": 5.0},
        {"alpha": 0.0}, {"batch_size": 10}, {"shuffle": False}, {"solver": "sgd"},
    ],
)  # fmt: skip
def test_changed_parameters_take_effect_in_partial_fit(change, iris):
    X, y = iris
    model, same = (MLPRegressor(random_state=0).partial_fit(X, y) for _ in "ab")
    model.set_params(**change).partial_fit(X, y)
    assert not np.array_equal(model.network_.get_flat(), same.partial_fit(X, y).network_.get_flat())


def test_changed_parameters_keep_the_state_of_the_optimizer(iris):
    X, y = iris
    model = MLPRegressor(random_state=0).partial_fit(X, y)
    model.set_params(learning_rate_init=0.01).partial_fit(X, y)
    assert model.network_.get_state()["training"]["step"] == 2


def test_estimators_need_no_callbacks_of_scikit_learn(monkeypatch, iris):
    """As before scikit-learn 1.9, which has none."""
    for name in [name for name in sys.modules if name.startswith("fastnn.estimators")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    estimators = importlib.import_module("fastnn.estimators")
    model = estimators.MLPClassifier(max_iter=2).fit(*iris)
    assert not hasattr(model, "set_callbacks")
    assert model.n_iter_ == 2
