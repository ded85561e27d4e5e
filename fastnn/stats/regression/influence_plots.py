"""The influence plot and added-variable plots of a regression."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import numpy as np

from fastnn._shared.figures import ORANGE, finished, panels
from fastnn.stats.regression.influence import Influence
from fastnn.stats.regression.plots import (
    _GUIDE,
    _POINTS,
    _name,
    _Rows,
    _scatter,
    _thinned,
    _titles,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGEST_AREA = 900.0  # of a circle, in square points
_COLUMNS = 3  # largest number of panels side by side


def influence_plot(result: Influence, path: str | os.PathLike[str] | None) -> Figure:
    """Draw `RegressionResult.plot_influence`."""
    rows = _Rows.of(result)
    leverage, cook = np.asarray(result.leverage), np.ravel(result.cooks_distance)
    residuals = np.ravel(result.studentized_residuals)
    defined = rows.defined[np.isfinite(residuals[rows.defined])]
    if not len(defined):
        raise ValueError("studentised residuals are undefined in every row: nothing to draw")
    extreme = defined[np.argsort(-cook[defined])]
    shown = _thinned(defined, extreme)
    ax = panels(1, 1, 6.5, 4.5)[0, 0]
    ax.axhline(0, color=_GUIDE, linestyle=":")
    for height in (-2, 2):
        ax.axhline(height, color=_GUIDE, linestyle="--", linewidth=1)
    mean = result.effective_parameters / result.n_observations
    right = 1.12 * float(leverage[shown].max())
    for multiple in (2, 3):
        if multiple * mean < right:
            ax.axvline(multiple * mean, color=_GUIDE, linestyle="--", linewidth=1)
    area = _LARGEST_AREA * cook[shown] / (cook[extreme[0]] or 1.0)
    ax.scatter(leverage[shown], residuals[shown], s=np.maximum(area, 4.0), color=_POINTS,
               alpha=0.5, linewidths=0.5, edgecolors="white")  # fmt: skip
    _name(ax, leverage, residuals, extreme, rows.names)
    ax.margins(y=0.15)
    ax.set_xlim(0, right)
    _titles(ax, f"Influence on {result.response_names[0]}: area is Cook's distance", "leverage",
            "studentised residual")  # fmt: skip
    return finished(ax.figure, path)


def added_variable_plots(result: Influence, path: str | os.PathLike[str] | None) -> Figure:
    """Draw `RegressionResult.plot_added_variables`.

    The residuals of column j regressed on the others are row j of (X'X)^-1 X' divided by its
    squared length; those of the response are the residuals plus the coefficient times these.
    """
    if result.ridge:
        raise ValueError("plot_added_variables needs least squares, got a ridge penalty")
    columns = np.flatnonzero(np.isfinite(np.asarray(result.variance_inflation)))
    if not len(columns):
        raise ValueError("plot_added_variables needs a column that is not constant, got none")
    stored, solution = result.problem.rows, result.problem.solution
    pulls, coefficients = stored.pulls(solution.root), solution.coefficients[:, 0]
    residuals = stored.weighted_residuals[:, 0]
    labels = result.problem.labels
    names = None if labels.rows is None else np.asarray(labels.rows)
    wide = min(_COLUMNS, len(columns))
    axes = panels(math.ceil(len(columns) / wide), wide, 4.2, 3.6).ravel()
    for ax, j in zip(axes, columns, strict=False):
        x = pulls[:, j] / (pulls[:, j] @ pulls[:, j])
        y = residuals + coefficients[j] * x
        extreme = np.argsort(-np.abs(residuals))
        shown = _thinned(np.arange(len(x)), extreme)
        _scatter(ax, x[shown], y[shown])
        ax.axline((0, 0), slope=coefficients[j], color=ORANGE, linewidth=1.5)
        _name(ax, x, y, extreme, names)
        _titles(ax, result.names[j], f"{result.names[j]} | others",
                f"{result.response_names[0]} | others")  # fmt: skip
    for ax in axes[len(columns) :]:
        ax.remove()
    return finished(axes[0].figure, path)
