"""Linear regression by least squares, and tests of its residuals.

>>> from fastnn.stats import linear_regression
>>> result = linear_regression(X, y)
>>> print(result)
"""

from typing import TYPE_CHECKING

from fastnn._shared.lazy import importer
from fastnn.stats.autoregressive import AutoregressiveRegression, autoregressive_regression
from fastnn.stats.diagnostics.autocorrelation import (
    autocorrelation,
    box_pierce,
    breusch_godfrey,
    durbin_h,
    ljung_box,
    plot_autocorrelation,
)
from fastnn.stats.diagnostics.durbin_watson.bounds import (
    Decision,
    DurbinWatsonBounds,
    decide,
    durbin_watson_bounds,
    durbin_watson_panel_bounds,
)
from fastnn.stats.diagnostics.durbin_watson.statistic_and_test import (
    DurbinWatsonResult,
    durbin_watson,
    durbin_watson_pvalue,
    durbin_watson_test,
)
from fastnn.stats.diagnostics.durbin_watson.zones import plot_bounds
from fastnn.stats.diagnostics.normality import (
    anderson_darling,
    jarque_bera,
    shapiro_wilk,
)
from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.runs import runs_test
from fastnn.stats.diagnostics.specification import harvey_collier, rainbow, reset
from fastnn.stats.diagnostics.stability import CusumResult, chow, cusum
from fastnn.stats.diagnostics.variance import arch_lm, breusch_pagan, goldfeld_quandt, white
from fastnn.stats.least_squares import linear_regression
from fastnn.stats.linalg.solvers import RankDeficiencyWarning
from fastnn.stats.nested import AnovaTable, anova
from fastnn.stats.network_report import FitReport, ResidualReport, residual_report
from fastnn.stats.regression.contrasts import HypothesisTest
from fastnn.stats.regression.prediction import Prediction
from fastnn.stats.remedies import AutoregressiveResult, cochrane_orcutt, prais_winsten
from fastnn.stats.result import ConfidenceIntervals, RegressionResult
from fastnn.stats.streamed import linear_regression_blocks

if TYPE_CHECKING:
    from fastnn.stats.comparison import Comparison, compare
    from fastnn.stats.regression.terms import TermTable
else:
    __getattr__ = importer(
        "fastnn.stats",
        {
            "Comparison": "fastnn.stats.comparison",
            "TermTable": "fastnn.stats.regression.terms",
            "compare": "fastnn.stats.comparison",
        },
    )

__all__ = [
    "AnovaTable",
    "AutoregressiveRegression",
    "AutoregressiveResult",
    "Comparison",
    "ConfidenceIntervals",
    "CusumResult",
    "Decision",
    "DurbinWatsonBounds",
    "DurbinWatsonResult",
    "FitReport",
    "HypothesisTest",
    "Prediction",
    "RankDeficiencyWarning",
    "RegressionResult",
    "ResidualReport",
    "TermTable",
    "TestResult",
    "anderson_darling",
    "anova",
    "arch_lm",
    "autocorrelation",
    "autoregressive_regression",
    "box_pierce",
    "breusch_godfrey",
    "breusch_pagan",
    "chow",
    "cochrane_orcutt",
    "compare",
    "cusum",
    "decide",
    "durbin_h",
    "durbin_watson",
    "durbin_watson_bounds",
    "durbin_watson_panel_bounds",
    "durbin_watson_pvalue",
    "durbin_watson_test",
    "goldfeld_quandt",
    "harvey_collier",
    "jarque_bera",
    "linear_regression",
    "linear_regression_blocks",
    "ljung_box",
    "plot_autocorrelation",
    "plot_bounds",
    "prais_winsten",
    "rainbow",
    "reset",
    "residual_report",
    "runs_test",
    "shapiro_wilk",
    "white",
]
