"""Networks as scikit-learn estimators."""

from fastnn.estimators.estimators import NetworkClassifier, NetworkRegressor

__all__ = ["NetworkClassifier", "NetworkRegressor"]
