"""Least squares, and tests of what it leaves over.

>>> from fastnn.stats import linear_regression
>>> result = linear_regression(X, y)
>>> print(result)
"""

from fastnn.stats._autocorrelation import (
    autocorrelation,
    box_pierce,
    breusch_godfrey,
    durbin_h,
    ljung_box,
    plot_autocorrelation,
)
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
from fastnn.stats._network_report import FitReport, ResidualReport, residual_report
from fastnn.stats._prediction import Prediction
from fastnn.stats._regression import linear_regression
from fastnn.stats._remedies import AutoregressiveResult, cochrane_orcutt, prais_winsten
from fastnn.stats._residual_tests import breusch_pagan, jarque_bera, runs_test, white
from fastnn.stats._result import ConfidenceIntervals, RegressionResult
from fastnn.stats._solvers import RankDeficiencyWarning
from fastnn.stats._streamed import linear_regression_blocks
from fastnn.stats._test_result import TestResult
from fastnn.stats._zones import plot_bounds

__all__ = [
    "AutoregressiveResult",
    "ConfidenceIntervals",
    "Decision",
    "DurbinWatsonBounds",
    "DurbinWatsonResult",
    "FitReport",
    "Prediction",
    "RankDeficiencyWarning",
    "RegressionResult",
    "ResidualReport",
    "TestResult",
    "autocorrelation",
    "box_pierce",
    "breusch_godfrey",
    "breusch_pagan",
    "cochrane_orcutt",
    "decide",
    "durbin_h",
    "durbin_watson",
    "durbin_watson_bounds",
    "durbin_watson_pvalue",
    "durbin_watson_test",
    "jarque_bera",
    "linear_regression",
    "linear_regression_blocks",
    "ljung_box",
    "plot_autocorrelation",
    "plot_bounds",
    "prais_winsten",
    "residual_report",
    "runs_test",
    "white",
]
