"""Plots of trainings and predictions, drawn with matplotlib.

Figures are made without pyplot: nothing depends on a display or changes global
state.  Each function returns its `Figure`, and saves it where a path is given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._data import real_array
from fastnn._drawing import draw
from fastnn.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix", "graph", "learning_curve"]

_LOG_RANGE = 10  # a loss that falls by more than this factor is drawn on a logarithmic axis
_FEW_DECADES = 100  # below this ratio of its ends, it is labelled at 1, 2 and 5
_MARKED_EPOCHS = 30  # up to this many epochs, every point gets a marker
_COUNTED_CLASSES = 25  # up to this many classes, every cell shows its number
_SCORES = {"accuracy": "accuracy", "r2": "R²"}
_DPI = 110
FORMATS = ("png", "pdf", "svg", "jpg", "jpeg", "webp", "eps", "tif", "tiff")
"""Endings of the files a figure can be saved in."""


def require() -> None:
    """Raise ImportError, with what to install, unless matplotlib is there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "fastnn[plot]"') from error


def learning_curve(
    history: Mapping[str, Sequence[float]],
    path: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Loss, and beside it the validation score, against the epoch.

    Parameters
    ----------
    history : History or mapping of str to sequence of float
        With ``loss``; ``val_loss``, ``val_accuracy`` and ``val_r2`` are drawn where
        they are.
    path : str or path-like, optional
        Where to save the figure; its ending chooses the format.
    ax : matplotlib Axes, optional
        Draw the loss alone, there; by default a new figure is made.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the history has no ``loss`` or no epoch.
    ImportError
        If matplotlib is not installed.
    """
    if "loss" not in history:
        raise ValueError(f"history must have 'loss', got {', '.join(history) or 'nothing'}")
    if not len(history["loss"]):
        raise ValueError("history has no epochs to draw")
    scores = {title: history[f"val_{k}"] for k, title in _SCORES.items() if f"val_{k}" in history}
    best = getattr(history, "best_epoch", None)
    if ax is None:
        axes = _panels(1 + len(scores), 4.8, 4.0)
        for panel, (title, values) in zip(axes[1:], scores.items(), strict=True):
            _draw(panel, {"validation": values}, title, best)
        ax = axes[0]
    losses = {"training": history["loss"]}
    if "val_loss" in history:
        losses["validation"] = history["val_loss"]
    _draw(ax, losses, "loss", best)
    if _spans_decades(losses.values()):
        _logarithmic(ax)
    return _finished(ax, path)


def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    class_names: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """How many samples of each class were taken for each class.

    Parameters
    ----------
    y_true, y_pred : (N,) array_like of labels
        Integers or text.
    class_names : sequence of str, optional
        Names of the labels 0, 1...; by default the labels that occur name themselves.
    path, ax
        As in `learning_curve`.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the labels are empty, not of one length, or outside `class_names`.
    ImportError
        If matplotlib is not installed.
    """
    true, predicted, names = _class_indices(y_true, y_pred, class_names)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (true, predicted), 1)
    if ax is None:
        side = max(4.0, 1.5 + 0.42 * len(names))
        ax = _panels(1, side, side)[0]
    ax.imshow(counts, cmap="Blues", vmin=0)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    ticks = np.arange(len(names))
    turned = max(map(len, names)) > 3 and len(names) > 4
    ax.set_xticks(ticks, names, rotation=90 if turned else 0)
    ax.set_yticks(ticks, names)
    ax.set_title(f"{np.trace(counts)} of {counts.sum()} right ({np.mean(true == predicted):.1%})")
    if len(names) <= _COUNTED_CLASSES:
        for i, j in np.argwhere(counts):
            color = "white" if counts[i, j] > counts.max() / 2 else "black"
            ax.text(j, i, str(counts[i, j]), ha="center", va="center", color=color)
    return _finished(ax, path)


def graph(net: Network, path: str | os.PathLike[str] | None = None) -> Figure:
    """The graph of a network: a box for each input, call of a layer, and output.

    A box shows the name, the kind and the widths, and how many parameters there are.  The
    calls of a shared layer have a colour of their own, layers that are frozen a dashed
    border; after `compile` an output shows its loss.

    Parameters
    ----------
    net : Network
    path : str or path-like, optional
        Where to save the figure; its ending chooses the format.

    Returns
    -------
    Figure
        As large as the graph needs; no edge passes through a box.

    Raises
    ------
    TypeError
        If `net` is no network.
    ImportError
        If matplotlib is not installed.

    References
    ----------
    Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical system
    structures", IEEE Transactions on Systems, Man, and Cybernetics 11.
    """
    require()
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {type(net).__name__}")
    return _saved(draw(net), path)


def _class_indices(
    y_true: Any, y_pred: Any, class_names: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """True and predicted labels as indices of the names of classes."""
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if true.ndim != 1 or true.shape != predicted.shape or not len(true):
        raise ValueError(
            "y_true and y_pred must have one shape (N,) with N > 0, "
            f"got {true.shape} and {predicted.shape}"
        )
    if class_names is None:
        labels, indices = np.unique(np.concatenate([true, predicted]), return_inverse=True)
        return indices[: len(true)], indices[len(true) :], [str(label) for label in labels]
    for labels, name in ((true, "y_true"), (predicted, "y_pred")):
        real_array(labels, name)
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(class_names):
            raise ValueError(f"{name} must hold integers 0 <= label < {len(class_names)}")
    return true, predicted, [str(name) for name in class_names]


def _panels(panels: int, width: float, height: float) -> Sequence[Axes]:
    """Axes side by side in a new figure."""
    require()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(panels * width, height), layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, panels, squeeze=False)[0]
    return axes


def _draw(
    ax: Axes, curves: Mapping[str, Sequence[float]], title: str, best: int | None
) -> None:  # fmt: skip
    from matplotlib.ticker import MaxNLocator

    for label, values in curves.items():
        epochs = np.arange(1, len(values) + 1)
        marker = "." if len(values) <= _MARKED_EPOCHS else None
        # Colours of the Okabe-Ito palette, which colour-blind eyes tell apart.
        color = "#D55E00" if label == "validation" else "#0072B2"
        ax.plot(epochs, values, label=label, marker=marker, color=color)
    if best is not None:
        ax.axvline(best, label=f"best epoch ({best})", color="0.5", linestyle=":")
    ax.set_xlabel("epoch")
    ax.set_ylabel(title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim(0, int(ax.dataLim.x1) + 1)
    ax.grid(alpha=0.3)
    ax.legend()


def _spans_decades(curves: Any) -> bool:
    values = np.concatenate([np.asarray(curve, float) for curve in curves])
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > _LOG_RANGE * values.min())


def _logarithmic(ax: Axes) -> None:
    """A logarithmic axis, labelled between the powers of ten where it has few of them."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high < _FEW_DECADES * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _finished(ax: Axes, path: str | os.PathLike[str] | None) -> Figure:
    figure: Figure = ax.figure  # type: ignore[assignment]
    return _saved(figure, path)


def _saved(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    if path is not None:
        figure.savefig(path, dpi=_DPI)
    return figure
