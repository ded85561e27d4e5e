"""Comparison of a regression network with least squares, by fit and tests of residuals."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._shared.arrays import check_finite
from fastnn._shared.figures import BLUE, ORANGE, finished, panels
from fastnn._shared.frames import local
from fastnn._shared.numbers import check_integer
from fastnn.stats.diagnostics.autocorrelation import ljung_box, plot_autocorrelation
from fastnn.stats.diagnostics.durbin_watson.statistic_and_test import (
    durbin_watson,
    durbin_watson_test,
)
from fastnn.stats.diagnostics.normality import anderson_darling, jarque_bera, shapiro_wilk
from fastnn.stats.diagnostics.outcome import TestResult
from fastnn.stats.diagnostics.runs import runs_test
from fastnn.stats.diagnostics.variance import variance_test
from fastnn.stats.least_squares import linear_regression
from fastnn.stats.regression.inputs import (
    check_alignment,
    index_of,
    read_columns,
    read_matrix,
    refuse_bad_values,
)
from fastnn.stats.result import RegressionResult
from fastnn.stats.tables.frames import table
from fastnn.stats.tables.sheet import Grid, Sheet
from fastnn.stats.tables.shown import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FitReport:
    """Accuracy of one model, and tests of its residuals.

    Attributes
    ----------
    predictions, residuals : (n,) arrays
        ``residuals = y - predictions``.
    rmse, mae, mean, r2 : float
        Root mean squared residual, mean absolute residual, mean residual, and coefficient of
        determination about the mean of y.
    durbin_watson : float
        The statistic.
    tests : dict of str to TestResult
        Ljung-Box, runs, Breusch-Pagan, Jarque-Bera, Shapiro-Wilk (up to 5000 rows) and
        Anderson-Darling (from 8 rows on), by name.  Durbin-Watson is present only
        for least squares fitted to these rows, where the exact distribution is known, unless X
        holds the response of earlier rows.  Undefined tests are omitted: all tests of a perfect
        fit, the runs test of residuals of one sign.
    """

    predictions: np.ndarray
    residuals: np.ndarray
    rmse: float
    mae: float
    mean: float
    r2: float
    durbin_watson: float
    tests: dict[str, Any]


_MEASURES = {
    "root mean square": "rmse",
    "mean absolute": "mae",
    "mean": "mean",
    "R^2": "r2",
    "Durbin-Watson d": "durbin_watson",
}
"""Rows of the text of a report, and the attributes of `FitReport` that they show."""


@dataclass(frozen=True)
class ResidualReport(Shown):
    """A network and a least-squares baseline on the same rows; prints as a table.

    Attributes
    ----------
    network, baseline : FitReport
    regression : RegressionResult
        The fitted baseline.
    is_in_sample : bool
        Whether the baseline was fitted to the rows of the report.
    """

    network: FitReport
    baseline: FitReport
    regression: RegressionResult
    is_in_sample: bool

    @property
    def gain(self) -> float:
        """Relative reduction of the baseline's mean squared residual by the network."""
        if not self.baseline.rmse:
            return float("-inf") if self.network.rmse else float("nan")
        return 1 - (self.network.rmse / self.baseline.rmse) ** 2

    def _sheets(self) -> tuple[Sheet, ...]:
        reports = self.network, self.baseline
        fit = [
            (label, *(f"{getattr(report, key):.6g}" for report in reports))
            for label, key in _MEASURES.items()
        ]
        tests = [
            (name, *(
                f"{report.tests[name].pvalue:.4g}" if name in report.tests else "-"
                for report in reports
            ))
            for name in self.baseline.tests | self.network.tests
        ]  # fmt: skip
        grids = [
            Grid((title, "network", "least squares"), tuple(rows), least=(24, 14, 16))
            for title, rows in (("residuals", fit), ("p-values of tests", tests))
        ]
        lead = f"{len(self.network.residuals)} samples"
        return (Sheet((tuple(grids),), lead=(lead,), notes=tuple(self._verdict())),)

    def to_frame(self) -> Any:
        """Measures and tests of both models as a pandas DataFrame.

        Returns
        -------
        DataFrame
            Rows ``network`` and ``least squares``; a column for each measure of `FitReport`, and
            for the p-value of each test, nan where the test is undefined.
        """
        reports = self.network, self.baseline
        columns = {key: [getattr(report, key) for report in reports] for key in _MEASURES.values()}
        for name in self.baseline.tests | self.network.tests:
            columns[f"p_value {name}"] = [
                report.tests[name].pvalue if name in report.tests else float("nan")
                for report in reports
            ]
        return table(columns, ["network", "least squares"])

    def glance(self) -> Any:
        """The comparison as a pandas DataFrame with one row.

        Returns
        -------
        DataFrame
            Columns ``gain``, ``n_observations`` and ``is_in_sample``.
        """
        return table({
            "gain": [self.gain],
            "n_observations": [len(self.network.residuals)],
            "is_in_sample": [self.is_in_sample],
        })  # fmt: skip

    def _verdict(self) -> list[str]:
        gain = self.gain
        if gain > 0:
            lines = [f"The network removes {gain:.1%} of the baseline's mean squared residual."]
        else:
            lines = [f"Least squares is better: its mean squared residual is {-gain:.1%} smaller."]
            if self.baseline.r2 == 1:
                lines = ["Least squares fits exactly."]
        if self.is_in_sample:
            lines.append(
                "The baseline was fitted to these rows.  If the network was trained on them too, "
                "its residuals\nare smaller than those of new data: prefer a report on held-out "
                "rows, with a baseline that was\nfitted to the training rows."
            )
        return lines

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw both models: predictions, residuals, their quantiles and autocorrelations.

        Parameters
        ----------
        path : str or path-like, optional
            File to save the figure to; the suffix determines the format.

        Returns
        -------
        Figure
            It has a row of four panels for each model.
        """
        axes = panels(2, 4)
        titles = "network", "least squares"
        for row, report, title in zip(axes, (self.network, self.baseline), titles, strict=True):
            _draw(row, report, title)
        _share_limits(axes)
        return finished(axes[0, 0].figure, path)


def residual_report(
    net: Any,
    X: Any,
    y: Any,
    *,
    baseline: RegressionResult | None = None,
    output: int = 0,
    lags: int | None = None,
    names: Any = None,
) -> ResidualReport:
    """Compare a regression network with least squares, with tests of the residuals of both.

    Parameters
    ----------
    net : Network, or anything with ``predict``
        Network with one input; the report is about one column of its output.
    X : (n, k) array_like
        Rows in the order of time, or in another order that autocorrelation refers to.
    y : (n,) or (n, n_out) array_like
        Responses.
    baseline : RegressionResult, optional
        Least squares fitted to other rows, such as the training rows of the network; by default
        it is fitted to X and y.
    output : int, default 0
        Column of y and of the output of the network.
    lags : int, optional
        Number of lags of the Ljung-Box test; by default min(10, n // 5).
    names : sequence of str, optional
        Names of the columns of X.

    Returns
    -------
    ResidualReport

    Raises
    ------
    TypeError, ValueError
        If shapes do not match, or the network has several inputs or outputs.

    Notes
    -----
    The exact distribution of the Durbin-Watson statistic holds for least squares only.  For the
    network, the report has the statistic without a p-value.
    """
    inputs, X, y = X, local(X), local(y)
    features = read_matrix(X, "X")[1].astype(np.float64)
    if np.ndim(X) != 2 or len(features) < 3:
        raise ValueError(f"X must have shape (n, k) with n at least 3, got {np.shape(X)}")
    check_finite(features, "X")
    check_alignment(index_of(X), y, "y")
    response = _column(y, "y", output, len(features))
    has_one_type = np.asarray(X).dtype.kind in "biuf"
    predicted = net.predict(inputs if has_one_type else features)
    if not isinstance(predicted, np.ndarray):
        raise TypeError("net must have a single output, got a network with several")
    predicted = _column(predicted, "the output of net", output, len(features))
    in_sample = baseline is None
    if baseline is None:
        baseline = linear_regression(X, response, names=names)
    fitted = np.asarray(baseline.predict(X), np.float64).reshape(len(features), -1)[:, 0]
    lags = min(10, max(len(features) // 5, 1)) if lags is None else check_integer(lags, "lags", 1)
    network = _fit_report(features, response, predicted, lags)
    least = _fit_report(features, response, fitted, lags)
    if in_sample:
        with suppress(ValueError):  # of a perfect fit, or where X holds the lagged response
            least.tests["Durbin-Watson"] = durbin_watson_test(baseline)
    return ResidualReport(network, least, baseline, in_sample)


def _column(values: object, name: str, output: int, n: int) -> np.ndarray:
    columns = read_columns(values, name, n)
    i = check_integer(output, "output", 0, columns.shape[1] - 1)
    refuse_bad_values(columns[:, i : i + 1], name)
    return columns[:, i]


def _fit_report(X: np.ndarray, y: np.ndarray, predictions: np.ndarray, lags: int) -> FitReport:
    residuals = y - predictions
    spread = float(np.sum((y - y.mean()) ** 2))
    squares = float(residuals @ residuals)
    return FitReport(
        predictions=predictions,
        residuals=residuals,
        rmse=(squares / len(y)) ** 0.5,
        mae=float(np.abs(residuals).mean()),
        mean=float(residuals.mean()),
        r2=1 - squares / spread if spread else float("nan"),
        durbin_watson=float(durbin_watson(residuals)) if squares else float("nan"),
        tests=_tests(X, residuals, lags) if squares else {},
    )


def _tests(X: np.ndarray, residuals: np.ndarray, lags: int) -> dict[str, TestResult]:
    """The defined tests; constant residuals and residuals of one sign leave out some tests."""
    candidates = {
        "Ljung-Box": lambda: ljung_box(residuals, lags),
        "runs": lambda: runs_test(residuals),
        "Breusch-Pagan": lambda: variance_test("Breusch-Pagan test", residuals, X, True),
        "Jarque-Bera": lambda: jarque_bera(residuals),
        "Shapiro-Wilk": lambda: shapiro_wilk(residuals),  # up to 5000 rows
        "Anderson-Darling": lambda: anderson_darling(residuals),
    }
    tests = {}
    for name, test in candidates.items():
        with suppress(ValueError):
            tests[name] = test()
    return tests


def _draw(row: Any, report: FitReport, title: str) -> None:
    """The four panels of one model."""
    from scipy import stats

    fit, spread, quantiles, lags = row
    y = report.predictions + report.residuals
    style = {"marker": ".", "linestyle": "", "color": BLUE, "alpha": 0.6}
    fit.plot(report.predictions, y, **style)
    ends = [min(y.min(), report.predictions.min()), max(y.max(), report.predictions.max())]
    fit.plot(ends, ends, color=ORANGE, linewidth=1)
    fit.set(xlabel="predicted", ylabel="observed", title=f"{title}: R² = {report.r2:.4f}")
    spread.plot(report.predictions, report.residuals, **style)
    spread.axhline(0, color=ORANGE, linewidth=1)
    spread.set(xlabel="predicted", ylabel="residual", title="residuals")
    (theory, ordered), (slope, intercept, _) = stats.probplot(report.residuals)
    quantiles.plot(theory, ordered, **style)
    quantiles.plot(theory, intercept + slope * theory, color=ORANGE, linewidth=1)
    quantiles.set(xlabel="normal quantile", ylabel="residual", title="normal Q-Q")
    plot_autocorrelation(report.residuals, ax=lags)
    lags.set_title(f"d = {report.durbin_watson:.3f}")


def _share_limits(axes: Any) -> None:
    """Set equal limits in each column, so that the two rows can be compared."""
    for column in axes.T:
        low = min(ax.get_ylim()[0] for ax in column)
        high = max(ax.get_ylim()[1] for ax in column)
        for ax in column:
            ax.set_ylim(low, high)
