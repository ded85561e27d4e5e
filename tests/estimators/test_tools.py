"""The estimators in the tools of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    StackingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.inspection import (
    DecisionBoundaryDisplay,
    PartialDependenceDisplay,
    permutation_importance,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputRegressor, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils import get_tags
from sklearn.utils.fixes import parse_version

from fastnn.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::FutureWarning"
)

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
NUMBERS, TARGET = load_diabetes(return_X_y=True)


def classifier(**options):
    """A small network for the irises."""
    defaults = {"hidden_layer_sizes": (16,), "max_iter": 60, "learning_rate_init": 0.01}
    return MLPClassifier(**{**defaults, "random_state": 0, **options})


def regressor(**options):
    """A small network for the diabetes data."""
    defaults = {"hidden_layer_sizes": (16,), "max_iter": 60, "learning_rate_init": 0.01}
    return MLPRegressor(**{**defaults, "random_state": 0, **options})


def scaled(**options):
    """A regressor whose inputs and targets are standardised."""
    inputs = make_pipeline(StandardScaler(), regressor(**options))
    return TransformedTargetRegressor(inputs, transformer=StandardScaler())


# ---------------------------------------------------------------------------- inspection


def test_permutation_importance_finds_the_petals():
    found = permutation_importance(classifier().fit(X, Y), X, Y, n_repeats=3, random_state=0)
    assert set(np.argsort(found.importances_mean)[-2:]) == {2, 3}


@pytest.mark.parametrize("kind", ["average", "both"])
def test_partial_dependence_is_drawn(kind):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    model, options = scaled().fit(NUMBERS, TARGET), {"kind": kind, "grid_resolution": 5}
    display = PartialDependenceDisplay.from_estimator(model, NUMBERS, [2, 8], **options)
    assert display.pd_results[0]["average"].shape == (1, 5)
    display = PartialDependenceDisplay.from_estimator(
        classifier().fit(X, Y), X, [(2, 3)], target=1, grid_resolution=4
    )
    assert display.pd_results[0]["average"].shape[1:] == (4, 4)
    pyplot.close("all")


def test_decision_boundaries_are_drawn():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    model = classifier().fit(X[:, 2:], NAMES)
    display = DecisionBoundaryDisplay.from_estimator(model, X[:, 2:], grid_resolution=5)
    assert display.response.shape[:2] == (5, 5)
    pyplot.close("all")


def test_html_shows_the_parameters():
    page = make_pipeline(StandardScaler(), classifier())._repr_html_()
    assert "MLPClassifier" in page
    assert "hidden_layer_sizes" in page


# ------------------------------------------------------------------------ meta-estimators


@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration_trains_and_calibrates(ensemble):
    model = CalibratedClassifierCV(classifier(), cv=3, ensemble=ensemble).fit(X, NAMES)
    assert log_loss(NAMES, model.predict_proba(X)) < 0.8


def test_stacking_bagging_and_voting():
    parts = [("net", classifier()), ("linear", LogisticRegression())]
    assert StackingClassifier(parts, cv=3).fit(X, NAMES).score(X, NAMES) > 0.9
    bags = BaggingClassifier(classifier(), n_estimators=2, random_state=0).fit(X, NAMES)
    assert bags.score(X, NAMES) > 0.9
    voting = VotingRegressor([("a", scaled()), ("b", scaled(random_state=1))])
    assert voting.fit(NUMBERS, TARGET).score(NUMBERS, TARGET) > 0.3


def test_boosting_weighs_the_samples():
    model = AdaBoostClassifier(
        classifier(batch_size=16, max_iter=20), n_estimators=3, random_state=0
    )
    assert model.fit(X, NAMES).score(X, NAMES) > 0.8
    boosted = AdaBoostRegressor(scaled(max_iter=10), n_estimators=3, random_state=0)
    assert boosted.fit(NUMBERS, TARGET).score(NUMBERS, TARGET) > 0.2


def test_a_transformed_target_is_in_its_own_unit():
    model = scaled().fit(NUMBERS, TARGET)
    assert model.score(NUMBERS, TARGET) > 0.4
    assert abs(model.predict(NUMBERS).mean() - TARGET.mean()) < 20


def test_strategies_for_several_classes_and_targets():
    assert OneVsRestClassifier(classifier()).fit(X, NAMES).score(X, NAMES) > 0.8
    targets = np.column_stack([TARGET, NUMBERS[:, 0]])
    assert MultiOutputRegressor(regressor()).fit(NUMBERS, targets).predict(NUMBERS).shape == (
        len(TARGET),
        2,
    )
    chain = RegressorChain(regressor()).fit(NUMBERS, targets)
    assert chain.predict(NUMBERS).shape == targets.shape
    labels = (X[:, :2] > X[:, :2].mean(axis=0)).astype(int)
    assert ClassifierChain(classifier()).fit(X, labels).predict(X).shape == labels.shape


def test_self_training_and_tuned_thresholds():
    partly = np.where(np.arange(len(Y)) % 2, Y, -1)
    assert SelfTrainingClassifier(classifier(), max_iter=2).fit(X, partly).score(X, Y) > 0.8
    model = TunedThresholdClassifierCV(classifier(), cv=3).fit(X, NAMES == "virginica")
    assert model.score(X, NAMES == "virginica") > 0.8


# ------------------------------------------------------------------------------- searches


def test_grids_and_halving_find_the_better_setting():
    grid = {"hidden_layer_sizes": [(1,), (16,)], "max_iter": [1, 60]}
    best = {"hidden_layer_sizes": (16,), "max_iter": 60}
    assert GridSearchCV(classifier(), grid, cv=3).fit(X, Y).best_params_ == best
    halving = HalvingGridSearchCV(classifier(), grid, cv=3, random_state=0).fit(X, Y)
    assert halving.best_params_["max_iter"] == 60
    by_epochs = HalvingRandomSearchCV(
        classifier(), {"alpha": [1e-4, 1e-2, 1.0]}, resource="max_iter", max_resources=40, cv=3,
        n_candidates=3, random_state=0,
    )  # fmt: skip
    assert by_epochs.fit(X, Y).best_estimator_.max_iter <= 40


def test_curves_and_selections():
    sizes, train, _ = learning_curve(classifier(), X, Y, train_sizes=[0.5, 1.0], cv=3, shuffle=True,
                                     random_state=0)  # fmt: skip
    assert train.shape == (len(sizes), 3)
    _, held_out = validation_curve(classifier(), X, Y, param_name="alpha",
                                   param_range=[1e-4, 1e2], cv=3)  # fmt: skip
    assert held_out[0].mean() > held_out[1].mean()
    score, others, _ = permutation_test_score(classifier(max_iter=30), X, Y, cv=2,
                                              n_permutations=2, random_state=0)  # fmt: skip
    assert score > max(others)
    chosen = SequentialFeatureSelector(classifier(max_iter=20), n_features_to_select=1, cv=2)
    assert chosen.fit(X, Y).get_support().sum() == 1


def test_predictions_of_held_out_folds():
    p = cross_val_predict(classifier(), X, NAMES, cv=3, method="predict_proba")
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)


# ------------------------------------------------------------------------ names and metadata


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"),
    reason="scikit-learn 1.7 asks for a request of the scorer too",
)
def test_metadata_routing_brings_the_weights():
    weights, scaler = np.where(Y == 2, 0.0, 1.0), StandardScaler()
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        scaler.set_fit_request(sample_weight=False)
        folds = cross_validate(
            make_pipeline(scaler, model), X, Y, cv=3, return_estimator=True,
            params={"sample_weight": weights},
        )  # fmt: skip
        unweighed = cross_validate(make_pipeline(StandardScaler(), classifier()), X, Y, cv=3)
    assert folds["test_score"].min() > unweighed["test_score"].min() - 1e-9
    for fold in folds["estimator"]:
        assert not (fold.predict(X) == 2).any()  # which weighs nothing


def test_tables_go_through_a_pipeline_with_set_output():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    model = make_pipeline(StandardScaler(), classifier()).set_output(transform="pandas")
    model.fit(frame, NAMES)
    assert model[-1].feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names"):
        model[-1].predict(frame.rename(columns={"a": "e"}))


@pytest.mark.parametrize(
    "options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}, {"dropout": 0.2}]
)
def test_tags_are_true_in_each_setting(options):
    tags = get_tags(classifier(**options))
    assert tags.estimator_type == "classifier"
    assert tags.classifier_tags.multi_class
    assert tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    several = get_tags(regressor(**options)).target_tags
    assert several.multi_output
    targets = np.column_stack([TARGET, TARGET])
    made = clone(regressor(**options)).fit(NUMBERS, targets)
    assert made.predict(NUMBERS).shape == targets.shape
