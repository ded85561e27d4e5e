"""Plots of the zones of the Durbin-Watson bounds test."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._shared.figures import axes_or_new, finished
from fastnn._shared.numbers import check_flag, check_integer, check_number
from fastnn.stats.diagnostics.durbin_watson.bounds import durbin_watson_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ZONES = (
    ("#e69f00", "positive autocorrelation"),
    ("#dddddd", "inconclusive"),
    ("#a6d4f2", "no evidence"),
    ("#dddddd", "inconclusive"),
    ("#cc79a7", "negative autocorrelation"),
)
"""Zones from 0 to 4, in colours that are distinct for colour-blind readers."""


def plot_bounds(
    n: int | Sequence[int],
    k: int,
    alpha: float = 0.05,
    *,
    statistic: float | None = None,
    intercept: bool = True,
    path: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the zones of the Durbin-Watson bounds test: the verdict for each d from 0 to 4.

    Parameters
    ----------
    n : int or sequence of int
        Numbers of observations.  One number gives a bar of zones, several numbers give the zones
        as functions of n.
    k : int
        Number of regressors, the intercept excluded.
    alpha : float
        Level of each one-sided test.
    statistic : float, optional
        Statistic to mark in the plot.
    intercept : bool
        Whether a constant is among the regressors.  Without a constant the zones are not
        symmetric, and only the side of positive autocorrelation is drawn.
    path : str or path-like, optional
        File to save the figure to; the suffix determines the format.
    ax : matplotlib Axes, optional
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install "fastnn[plot]"``.

    Examples
    --------
    >>> figure = plot_bounds(10, 1, statistic=0.94097)
    >>> figure = plot_bounds(range(10, 101), 2)
    """
    check_flag(intercept, "intercept")
    if not isinstance(n, Iterable):
        sizes = [check_integer(n, "n")]
    else:
        sizes = sorted(check_integer(size, "n") for size in n)
    if not sizes:
        raise ValueError("n must have at least one number, got none")
    edges = np.array([_edges(size, k, alpha, intercept) for size in sizes])
    ax = axes_or_new(ax, *((8.0, 1.6) if len(sizes) == 1 else (6.0, 4.5)))
    if len(sizes) == 1:
        _draw_bar(ax, edges[0], sizes[0], k, alpha)
    else:
        _draw_band(ax, np.array(sizes), edges, k, alpha)
    if statistic is not None:
        statistic = check_number(statistic, "statistic", low=0.0, high=4.0)
        mark = ax.axvline if len(sizes) == 1 else ax.axhline
        mark(statistic, color="black", linewidth=1.5)
    return finished(ax.figure, path)


def _edges(n: int, k: int, alpha: float, intercept: bool) -> list[float]:
    """Limits of the zones, from 0 to 4."""
    lower, upper = durbin_watson_bounds(n, k, alpha, intercept)
    if not intercept:
        return [0.0, lower, upper, 4.0]
    return [0.0, lower, upper, 4 - upper, 4 - lower, 4.0]


def _draw_bar(ax: Any, edges: np.ndarray, n: int, k: int, alpha: float) -> None:
    for (color, label), left, right in zip(_ZONES, edges[:-1], edges[1:], strict=False):
        ax.barh(0, right - left, left=left, height=1, color=color)
        ax.text((left + right) / 2, 0, label.replace(" ", "\n"), ha="center", va="center", size=8)
    ax.set(xlim=(0, 4), ylim=(-0.5, 0.5), yticks=[], title=_title(k, alpha, n))
    ax.set_xlabel("Durbin-Watson statistic d")
    ax.set_xticks(edges, [f"{edge:.3g}" for edge in edges])


def _draw_band(ax: Any, sizes: np.ndarray, edges: np.ndarray, k: int, alpha: float) -> None:
    for i, (color, label) in enumerate(_ZONES[: edges.shape[1] - 1]):
        ax.fill_between(
            sizes,
            edges[:, i],
            edges[:, i + 1],
            color=color,
            label=label if i != 3 else None,
        )
    ax.set(xlim=(sizes.min(), sizes.max()), ylim=(0, 4), title=_title(k, alpha))
    ax.set(xlabel="observations n", ylabel="Durbin-Watson statistic d")
    ax.legend(loc="upper right", fontsize=8)


def _title(k: int, alpha: float, n: int | None = None) -> str:
    regressors = f"{k} regressor{'' if k == 1 else 's'}"
    size = "" if n is None else f"n = {n}, "
    return f"Durbin-Watson bounds: {size}{regressors}, level {alpha:g}"
