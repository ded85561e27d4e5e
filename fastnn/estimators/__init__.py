"""Networks as scikit-learn estimators, with the parameters of scikit-learn's own networks.

The estimators do not scale the inputs: put a `StandardScaler` before them in a pipeline
unless the inputs have comparable scales of about 1.  The same holds for the targets
of regression (`TransformedTargetRegressor`).
"""

try:
    import sklearn.base  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fastnn.estimators needs scikit-learn 1.7 or newer: pip install "fastnn[sklearn]"'
    ) from error

from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor
from fastnn.estimators.trained import TrainedClassifier, TrainedRegressor, as_estimator
from fastnn.estimators.trusted import skops_types

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "TrainedClassifier",
    "TrainedRegressor",
    "as_estimator",
    "skops_types",
]
