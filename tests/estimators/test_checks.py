"""The estimators under scikit-learn's own checks, in many settings."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

EQUIVALENCES = (
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
)
PARTIAL_FITS = (
    "check_fit_score_takes_y",
    "check_n_features_in_after_fitting",
    "check_estimators_partial_fit_n_features",
)

SETTINGS = {
    "default": {},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3},
    "lbfgs": {"solver": "lbfgs"},
    "dropout": {"dropout": 0.1},
    "float32": {"dtype": "float32"},
    "float64": {"dtype": "float64"},
    "warm start": {"warm_start": True},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive"},
    "activations": {"hidden_layer_sizes": "20,20", "activation": ("relu", "tanh")},
    "optimizer": {"solver": "adamw"},
    "class weights": {"class_weight": "balanced"},
}

REASONS = {
    "early stopping": {
        **dict.fromkeys(PARTIAL_FITS, "partial_fit needs X_val and y_val for early stopping"),
        **dict.fromkeys(EQUIVALENCES, "copies of a sample may be trained on and held out"),
        "check_class_weight_classifiers": "a class of no weight does not count in the best score",
    },
    "dropout": dict.fromkeys(EQUIVALENCES, "each copy of a sample has a dropout of its own"),
    "float32": {
        **dict.fromkeys(EQUIVALENCES, "the tolerance, 1e-7, is that of float64"),
        "check_regressor_multioutput": "predictions have the dtype that was asked for",
    },
    "warm start": dict.fromkeys(
        ("check_supervised_y_2d", "check_classifiers_multilabel_representation_invariance"),
        "the second of two fits begins where the first one ended",
    ),
    "class weights": dict.fromkeys(
        PARTIAL_FITS, "a part of the data does not have the counts of all classes"
    ),
}
"""Why a check does not hold in a setting."""

QUICK = ("default", "early stopping", "lbfgs")


def models(settings):
    """Both estimators in some settings, and what may fail there."""
    return {
        Estimator(max_iter=40, **SETTINGS[setting]): REASONS.get(setting, {})
        for setting in settings
        for Estimator in (MLPClassifier, MLPRegressor)
        if Estimator is MLPClassifier or "class_weight" not in SETTINGS[setting]
    }


USUAL, OTHERS = models(QUICK), models(SETTINGS.keys() - set(QUICK))


@parametrize_with_checks(list(USUAL), expected_failed_checks=USUAL.get)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.exhaustive
@parametrize_with_checks(list(OTHERS), expected_failed_checks=OTHERS.get)
def test_scikit_learn_check_in_other_settings(estimator, check):
    check(estimator)
