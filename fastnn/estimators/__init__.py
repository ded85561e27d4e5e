"""Networks as scikit-learn estimators."""

from fastnn.estimators.estimators import NetworkClassifier, NetworkRegressor
from fastnn.estimators.trained import TrainedClassifier, TrainedRegressor, as_estimator

__all__ = [
    "NetworkClassifier",
    "NetworkRegressor",
    "TrainedClassifier",
    "TrainedRegressor",
    "as_estimator",
]
