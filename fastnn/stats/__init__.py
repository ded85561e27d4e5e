"""Least squares, and tests of what it leaves over.

>>> from fastnn.stats import linear_regression
>>> result = linear_regression(X, y)
>>> print(result)
"""

from fastnn.stats._prediction import Prediction
from fastnn.stats._regression import linear_regression
from fastnn.stats._result import ConfidenceIntervals, RegressionResult
from fastnn.stats._solvers import RankDeficiencyWarning
from fastnn.stats._streamed import linear_regression_blocks

__all__ = [
    "ConfidenceIntervals",
    "Prediction",
    "RankDeficiencyWarning",
    "RegressionResult",
    "linear_regression",
    "linear_regression_blocks",
]
