"""Axes to draw statistics on, and what becomes of the figure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110


def panels(rows: int, columns: int, width: float = 4.2, height: float = 3.4) -> Any:
    """A new figure's axes, (rows, columns); no display and no global state is touched.

    Raises
    ------
    ImportError
        If matplotlib is not there: it says what to install.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "fastnn[plot]"') from error
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    return figure.subplots(rows, columns, squeeze=False)


def figure_of(ax: Axes | None, width: float = 6.4, height: float = 4.0) -> Axes:
    """`ax`, or the axes of a new figure."""
    return panels(1, 1, width, height)[0, 0] if ax is None else ax


def finished(figure: Any, path: str | os.PathLike[str] | None) -> Figure:
    """The figure, saved where a path is given."""
    if path is not None:
        figure.savefig(path, dpi=_DPI)
    drawn: Figure = figure
    return drawn
