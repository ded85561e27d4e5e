"""Trained networks in scikit-learn's tools."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fastnn as fnn
from fastnn.ensemble import Ensemble

pytest.importorskip("sklearn")

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, log_loss
from sklearn.model_selection import cross_val_score
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from fastnn.estimators import TrainedClassifier, TrainedRegressor, as_estimator

X, INDEX = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[INDEX]


def trained(loss="cross_entropy", width=3, y=INDEX, network=None):
    """A network of the irises after a few epochs."""
    if network is None:
        network = fnn.Sequential([fnn.Dense(4, 8, activation="tanh"), fnn.Dense(8, width)])
    network.compile(loss, fnn.Adam(0.05))
    network.fit(X, y, epochs=15, verbose=0)
    return network


def test_labels_and_probabilities_are_those_of_the_network(backend):
    net = trained()
    model = as_estimator(net, classes=["setosa", "versicolor", "virginica"])
    assert is_classifier(model)
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    np.testing.assert_array_equal(model.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(model.predict(X), model.classes_[net.predict_classes(X)])
    assert model.score(X, NAMES) == net.score(X, INDEX)


def test_classes_in_another_order_are_sorted_with_their_columns():
    net = trained()
    model = as_estimator(net, classes=["setosa", "virginica", "versicolor"])
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    np.testing.assert_array_equal(model.predict_proba(X), net.predict_proba(X)[:, [0, 2, 1]])
    best = model.classes_[model.predict_proba(X).argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(X), best)


def test_one_sigmoid_is_two_classes(backend):
    net = trained("binary_cross_entropy", 1, (INDEX == 2).astype(float))
    model = as_estimator(net, classes=[False, True])
    p = model.predict_proba(X)
    np.testing.assert_array_equal(p[:, 1:], net.predict_proba(X))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(X), net.predict_classes(X) == 1)
    assert get_tags(model).classifier_tags.multi_class is False


def test_several_sigmoids_are_labels_of_0_and_1():
    Y = (X[:, :2] > X[:, :2].mean(axis=0)).astype(float)
    net = trained("binary_cross_entropy", 2, Y)
    model = as_estimator(net)
    np.testing.assert_array_equal(model.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(model.predict(X), net.predict_classes(X))
    assert get_tags(model).classifier_tags.multi_label
    assert 0 < model.score(X, Y.astype(int)) <= 1


def test_a_regressor_predicts_what_the_loss_expects(backend):
    one, two = trained("huber", 1, X[:, 0]), trained("mean_squared_error", 2, X[:, :2])
    counts = trained("poisson", 1, INDEX.astype(float))
    assert is_regressor(as_estimator(one))
    np.testing.assert_array_equal(as_estimator(one).predict(X), one.predict(X)[:, 0])
    np.testing.assert_array_equal(as_estimator(two).predict(X), two.predict(X))
    np.testing.assert_array_equal(as_estimator(counts).predict(X), counts.predict_mean(X)[:, 0])
    assert get_tags(as_estimator(two)).target_tags.multi_output


def test_an_ensemble_and_a_graph_with_a_name_are_estimators_too():
    a = fnn.Input(4)
    graph = trained(network=fnn.Network(a, {"kind": fnn.Dense(4, 3)(a)}), y={"kind": INDEX})
    np.testing.assert_array_equal(
        as_estimator(graph).predict_proba(X), graph.predict_proba(X)["kind"]
    )
    members = Ensemble(trained(), 2)
    members.fit(X, INDEX, epochs=3, verbose=0)
    np.testing.assert_array_equal(as_estimator(members).predict(X), members.predict_classes(X))
    numbers = Ensemble(trained("mean_squared_error", 1, X[:, 0]), 2)
    numbers.fit(X, X[:, 0], epochs=3, verbose=0)
    np.testing.assert_allclose(
        as_estimator(numbers).predict(X), numbers.predict(X).mean[:, 0], rtol=1e-6
    )


def test_it_follows_the_network_when_that_trains_on():
    net = trained()
    model = as_estimator(net)
    net.fit(X, INDEX, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.predict_proba(X), net.predict_proba(X))


# ------------------------------------------------------------------------ scikit-learn's tools


def test_permutation_importance_finds_the_petals():
    found = permutation_importance(as_estimator(trained()), X, INDEX, n_repeats=3, random_state=0)
    assert set(np.argsort(found.importances_mean)[-2:]) == {2, 3}


def test_partial_dependence_is_the_mean_over_the_rows():
    model = as_estimator(trained("mean_squared_error", 1, X[:, 0]))
    found = partial_dependence(model, X, [2], grid_resolution=4)
    expected = []
    for value in found["grid_values"][0]:
        moved = X.copy()
        moved[:, 2] = value
        expected.append(model.predict(moved).mean())
    np.testing.assert_allclose(found["average"][0], expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration_of_a_frozen_network(method):
    model = as_estimator(trained(), classes=["setosa", "versicolor", "virginica"])
    calibrated = CalibratedClassifierCV(FrozenEstimator(model), method=method).fit(X, NAMES)
    assert calibrated.classes_.tolist() == model.classes_.tolist()
    assert log_loss(NAMES, calibrated.predict_proba(X)) < 1


def test_stacking_and_voting_take_it_as_it_is():
    model = as_estimator(trained(), classes=["setosa", "versicolor", "virginica"])
    stack = StackingClassifier([("net", model)], LogisticRegression(), cv="prefit")
    assert stack.fit(X, NAMES).score(X, NAMES) > 0.9
    numbers = as_estimator(trained("mean_squared_error", 1, X[:, 0]))
    assert StackingRegressor([("net", numbers)], cv="prefit").fit(X, X[:, 0]).score(X, X[:, 0]) > 0
    frozen = FrozenEstimator(model)
    voting = VotingClassifier([("a", frozen), ("b", frozen)], voting="soft").fit(X, NAMES)
    np.testing.assert_array_equal(voting.predict(X), model.predict(X))


def test_scorers_read_it():
    model = as_estimator(trained())
    assert get_scorer("neg_log_loss")(model, X, INDEX) > -1
    assert get_scorer("roc_auc_ovr")(model, X, INDEX) > 0.9
    assert cross_val_score(FrozenEstimator(model), X, INDEX, cv=3).min() > 0.5


def test_it_is_fitted_and_so_is_its_clone():
    model = as_estimator(trained())
    check_is_fitted(model)
    twin = clone(model)
    check_is_fitted(twin)
    assert twin.network is model.network
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))


def test_pickles_predict_the_same():
    model = as_estimator(trained(), classes=["setosa", "virginica", "versicolor"])
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict_proba(X), model.predict_proba(X)
    )


def test_tables_with_names_are_read_without_a_warning(recwarn):
    pandas = pytest.importorskip("pandas")
    model = as_estimator(trained())
    frame = pandas.DataFrame(X, columns=list("abcd"))
    np.testing.assert_array_equal(model.predict(frame), model.predict(X))
    assert not recwarn.list


def test_html_names_the_class():
    assert "TrainedClassifier" in as_estimator(trained())._repr_html_()


# ------------------------------------------------------------------------------- refusals


def two_inputs():
    a, b = fnn.Input(2), fnn.Input(2)
    network = fnn.Network([a, b], fnn.Dense(4, 1)(fnn.Concatenate()([a, b])))
    network.compile("huber", "adam")
    return network


def two_outputs():
    a = fnn.Input(2)
    network = fnn.Network(a, [fnn.Dense(2, 1)(a), fnn.Dense(2, 1)(a)])
    network.compile(["huber", "huber"], "adam")
    return network


REFUSALS = [
    (lambda: as_estimator("net"), TypeError, "network must be a Network or an Ensemble, got str"),
    (lambda: as_estimator(two_inputs()), ValueError, "the network has 2 inputs"),
    (lambda: as_estimator(two_outputs()), ValueError, "the network has 2 outputs"),
    (lambda: as_estimator(fnn.Sequential([fnn.Dense(2, 1)])), ValueError, "is not compiled"),
    (lambda: as_estimator(trained(), ["a", "b"]), ValueError, "classes must be 3 different labels"),
    (lambda: as_estimator(trained(), ["a", "b", "a"]), ValueError, "3 different labels"),
    (
        lambda: as_estimator(trained("huber", 1, X[:, 0]), [0, 1]),
        ValueError,
        "the loss .* is huber",
    ),
    (lambda: TrainedClassifier(trained("huber", 1, X[:, 0])), ValueError, "knows no classes"),
    (lambda: TrainedRegressor(trained()), ValueError, "as_estimator makes a classifier"),
    (lambda: as_estimator(trained()).fit(X, INDEX), TypeError, "FrozenEstimator"),
    (lambda: as_estimator(trained()).predict(X[:, :3]), ValueError, "X has 3 features, but"),
    (lambda: as_estimator(trained()).predict(X * np.nan), ValueError, "X contains NaN"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSALS)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()
