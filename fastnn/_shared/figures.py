"""Figures of matplotlib: their axes, and what becomes of them.

They are made without pyplot: nothing depends on a display or changes global state.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from fastnn._shared.writing import check_destination, write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg", "jpg", "jpeg", "webp", "eps", "tif", "tiff")
"""Endings of the files a figure can be saved in."""

BLUE, ORANGE, SKY = "#0072B2", "#D55E00", "#56B4E9"
"""Of the palette of Okabe and Ito, which colour-blind eyes can tell apart."""

_DPI = 110


def require_matplotlib() -> None:
    """Raise ImportError, with what to install, unless matplotlib is there."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "fastnn[plot]"') from error


def panels(rows: int, columns: int, width: float = 4.2, height: float = 3.4) -> Any:
    """The axes of a new figure, an array (rows, columns).

    Parameters
    ----------
    rows, columns : int
    width, height : float
        Of each panel, inches.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    return figure.subplots(rows, columns, squeeze=False)


def axes_or_new(ax: Axes | None, width: float = 6.4, height: float = 4.0) -> Axes:
    """`ax`, or the axes of a new figure of this size in inches."""
    return panels(1, 1, width, height)[0, 0] if ax is None else ax


def finished(figure: Any, path: str | os.PathLike[str] | None) -> Figure:
    """The figure, saved where a path is given."""
    if isinstance(path, (str, os.PathLike)):
        _save(figure, os.fspath(path))
    elif path is not None:  # a file object
        figure.savefig(path, dpi=_DPI)
    drawn: Figure = figure  # of axes, matplotlib may call it a SubFigure
    return drawn


def _save(figure: Any, path: str) -> None:
    """Write the figure to a file in the format of its suffix, PNG if it has none."""
    check_destination(path)
    suffix = os.path.splitext(path)[1].removeprefix(".")
    if not suffix and (os.path.isfile(path) or not os.path.exists(path)):
        suffix, path = "png", f"{path.rstrip('.')}.png"
    image = io.BytesIO()
    figure.savefig(image, dpi=_DPI, format=suffix.lower() or "png")
    write_file(path, [image.getbuffer()])
