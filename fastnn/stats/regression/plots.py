"""The four plots of the residuals of a regression."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from fastnn._shared.figures import BLUE, ORANGE, finished, panels
from fastnn.stats.regression.influence import Influence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_DRAWN = 5000  # largest number of points in a panel; the extreme points are always drawn
_NAMED = 3  # extreme points that each panel labels
_SPAN = 2 / 3  # share of the points in each local regression
_POINTS, _LINE, _GUIDE = BLUE, ORANGE, "0.55"


@dataclass(frozen=True)
class _Rows:
    """Data of the panels: (n,) arrays, and the rows to draw.

    Attributes
    ----------
    fitted, residuals, standardized : (n,) array
        Residuals are multiplied by the square roots of the weights.
    defined, extreme : array of int
        Rows with a defined standardised residual, in order of the data and of decreasing size.
    names : (n,) array or None
    """

    fitted: np.ndarray
    residuals: np.ndarray
    standardized: np.ndarray
    defined: np.ndarray
    extreme: np.ndarray
    names: np.ndarray | None

    @staticmethod
    def of(result: Influence) -> _Rows:
        """From a regression of one response."""
        standardized = np.ravel(result.standardized_residuals)
        defined = np.flatnonzero(np.isfinite(standardized))  # not where leverage is 1
        if not len(defined):
            raise ValueError(
                "residuals are zero or undefined in every row: there is nothing to draw"
            )
        return _Rows(
            result.problem.rows.fitted[:, 0],
            result.problem.rows.weighted_residuals[:, 0],
            standardized,
            defined,
            defined[np.argsort(-np.abs(standardized[defined]))],
            None if result.problem.labels.rows is None else np.asarray(result.problem.labels.rows),
        )

    @cached_property
    def shown(self) -> np.ndarray:
        """The rows to draw."""
        return _thinned(self.defined, self.extreme)


def residual_plots(result: Influence, path: str | os.PathLike[str] | None) -> Figure:
    """Draw `RegressionResult.plot`."""
    rows = _Rows.of(result)
    (fit, normal), (scale, influence) = panels(2, 2, 5.0, 4.25)
    _residuals_and_fitted(fit, rows)
    _normal_quantiles(normal, rows)
    _scale_and_location(scale, rows)
    _residuals_and_leverage(influence, rows, result)
    figure = fit.figure
    figure.suptitle(f"Residuals of {result.response_names[0]}")
    return finished(figure, path)


def _residuals_and_fitted(ax: Axes, rows: _Rows) -> None:
    _scatter(ax, rows.fitted[rows.shown], rows.residuals[rows.shown])
    ax.axhline(0, color=_GUIDE, linestyle=":")
    _smooth(ax, rows.fitted[rows.shown], rows.residuals[rows.shown])
    _name(ax, rows.fitted, rows.residuals, rows.extreme, rows.names)
    _titles(ax, "Residuals and fitted values", "fitted value", "residual")


def _normal_quantiles(ax: Axes, rows: _Rows) -> None:
    standardized = rows.standardized
    order = rows.defined[np.argsort(standardized[rows.defined])]
    n = len(order)
    offset = 0.375 if n <= 10 else 0.5  # Blom's plotting positions for short samples, as R has
    theory = np.full(len(standardized), np.nan)
    theory[order] = special.ndtri((np.arange(1, n + 1) - offset) / (n + 1 - 2 * offset))
    shown = _thinned(order, rows.extreme)
    _scatter(ax, theory[shown], standardized[shown])
    # A line through the quartiles is robust against outliers.
    low, high = np.quantile(standardized[rows.defined], [0.25, 0.75])
    slope = (high - low) / (2 * special.ndtri(0.75))
    ax.axline((0, (low + high) / 2), slope=slope, color=_GUIDE, linestyle="--")
    _name(ax, theory, standardized, rows.extreme, rows.names)
    _titles(ax, "Normal quantiles", "quantile of a normal distribution", "standardised residual")


def _scale_and_location(ax: Axes, rows: _Rows) -> None:
    spread = np.sqrt(np.abs(rows.standardized))
    _scatter(ax, rows.fitted[rows.shown], spread[rows.shown])
    _smooth(ax, rows.fitted[rows.shown], spread[rows.shown])
    _name(ax, rows.fitted, spread, rows.extreme, rows.names)
    ax.set_ylim(bottom=0)
    _titles(ax, "Scale and location", "fitted value", "√ |standardised residual|")


def _residuals_and_leverage(ax: Axes, rows: _Rows, result: Influence) -> None:
    """Residuals with contours of Cook's distance, which determines the rows to label."""
    from matplotlib.ticker import MaxNLocator

    leverage, standardized, defined = np.asarray(result.leverage), rows.standardized, rows.defined
    extreme = defined[np.argsort(-np.ravel(result.cooks_distance)[defined])]
    shown = _thinned(defined, extreme)
    _scatter(ax, leverage[shown], standardized[shown])
    ax.axhline(0, color=_GUIDE, linestyle=":")
    _smooth(ax, leverage[shown], standardized[shown])
    _name(ax, leverage, standardized, extreme, rows.names)
    right = 1.08 * float(leverage[defined].max(initial=0.0)) or 1.0
    low, high = ax.get_ylim()
    ax.set_xlim(0, right)
    _draw_contours(ax, result.effective_parameters, right)
    ax.set_ylim(low, high)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    # The contours are closest to the points at the right end.
    if _contour(0.5, result.effective_parameters, _largest_leverage(right)) < max(high, -low):
        ax.legend(fontsize="small")
    _titles(ax, "Residuals and leverage", "leverage", "standardised residual")


def _draw_contours(ax: Axes, parameters: float, right: float) -> None:
    """Draw the contours of Cook's distance 1/2 and 1."""
    h = np.linspace(right / 400, _largest_leverage(right), 400)
    for distance, style in ((0.5, "--"), (1.0, "-")):
        contour = _contour(distance, parameters, h)
        for sign in (1, -1):
            ax.plot(h, sign * contour, color=_GUIDE, linestyle=style, linewidth=1,
                    label=f"Cook's distance {distance:g}" if sign == 1 else None)  # fmt: skip


def _contour(distance: float, parameters: float, leverage: Any) -> Any:
    """Standardised residual of a row, from its leverage and Cook's distance."""
    return np.sqrt(distance * parameters * (1 - leverage) / leverage)


def _largest_leverage(right: float) -> float:
    """The right end of the axis, limited to leverages below 1."""
    return min(right, 1 - 1e-9)


def _thinned(places: np.ndarray, extreme: np.ndarray) -> np.ndarray:
    """An evenly spaced subset of the rows, with the extreme rows."""
    if len(places) <= _DRAWN:
        return places
    step = -(-len(places) // _DRAWN)
    return np.union1d(places[::step], extreme[: _DRAWN // 20])


def _scatter(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    alpha = float(np.clip(60 / np.sqrt(max(len(x), 1)) / 4, 0.25, 0.85))
    ax.scatter(x, y, s=14, color=_POINTS, alpha=alpha, linewidths=0)


def _name(
    ax: Axes, x: np.ndarray, y: np.ndarray, extreme: np.ndarray, names: np.ndarray | None
) -> None:
    """Label the extreme points with their names, or with row numbers from 0."""
    middle = np.nanmean(x)
    for i in extreme[:_NAMED]:
        right = x[i] > middle
        ax.annotate(str(i if names is None else names[i]), (x[i], y[i]), fontsize="small",
                    xytext=(-5 if right else 5, 0), textcoords="offset points",
                    ha="right" if right else "left", va="center")  # fmt: skip


def _titles(ax: Axes, title: str, x: str, y: str) -> None:
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(alpha=0.25)


def _smooth(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Draw a smooth line through at least five different x."""
    if len(np.unique(x)) >= 5:
        ax.plot(*smoothed(x, y), color=_LINE, linewidth=1.5)


def smoothed(x: np.ndarray, y: np.ndarray, n_points: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Local linear regression with tricube weights (Cleveland 1979, without robustness)."""
    at = np.unique(np.quantile(x, np.linspace(0, 1, n_points)))
    k = max(3, int(np.ceil(_SPAN * len(x))))
    values = np.empty_like(at)
    for i, centre in enumerate(at):
        d = x - centre
        width = np.partition(np.abs(d), k - 1)[k - 1]
        w = np.clip(1 - (np.abs(d) / (width * 1.0001 or 1.0)) ** 3, 0, None) ** 3
        total, mean = w.sum(), np.sum(w * d) / w.sum()
        spread = np.sum(w * (d - mean) ** 2)
        slope = np.sum(w * (d - mean) * y) / spread if spread > 0 else 0.0
        values[i] = np.sum(w * y) / total - slope * mean
    return at, values
