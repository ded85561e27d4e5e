"""Least squares, and tests of what it leaves over.

>>> from fastnn.stats import linear_regression
>>> result = linear_regression(X, y)
>>> print(result)
"""

from fastnn.stats._bounds import (
    Decision,
    DurbinWatsonBounds,
    decide,
    durbin_watson_bounds,
)
from fastnn.stats._durbin_watson import (
    DurbinWatsonResult,
    durbin_watson,
    durbin_watson_pvalue,
    durbin_watson_test,
)
from fastnn.stats._prediction import Prediction
from fastnn.stats._regression import linear_regression
from fastnn.stats._result import ConfidenceIntervals, RegressionResult
from fastnn.stats._solvers import RankDeficiencyWarning
from fastnn.stats._streamed import linear_regression_blocks
from fastnn.stats._zones import plot_bounds

__all__ = [
    "ConfidenceIntervals",
    "Decision",
    "DurbinWatsonBounds",
    "DurbinWatsonResult",
    "Prediction",
    "RankDeficiencyWarning",
    "RegressionResult",
    "decide",
    "durbin_watson",
    "durbin_watson_bounds",
    "durbin_watson_pvalue",
    "durbin_watson_test",
    "linear_regression",
    "linear_regression_blocks",
    "plot_bounds",
]
