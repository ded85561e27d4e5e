"""Plots of networks, trainings and predictions, drawn with matplotlib.

Figures are made without pyplot, so that they need no display and change no global state.  Each
function returns its `Figure`, and saves it if a path is given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._shared.arrays import as_real
from fastnn._shared.figures import (
    BLUE,
    ORANGE,
    SKY,
    axes_or_new,
    finished,
    panels,
    require_matplotlib,
)
from fastnn.inspection import CallStatistics, LayerMonitor, LayerStatistics
from fastnn.metrics import expected_calibration_error, reliability_curve
from fastnn.network import Network
from fastnn.plot.drawing import draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "confusion_matrix",
    "graph",
    "layer_statistics",
    "learning_curve",
    "reliability",
]

_LOG_RANGE = 10  # a loss whose largest and smallest value differ by a larger factor has a log axis
_FEW_DECADES = 100  # a log axis whose limits have a smaller ratio is labelled at 1, 2 and 5
_MARKED_EPOCHS = 30  # largest number of epochs for which each point has a marker
_COUNTED_CLASSES = 25  # largest number of classes for which each cell shows its number
_SMALLEST = 1e-12  # smallest value on a logarithmic axis, relative to the largest
_SCORES = {"accuracy": "accuracy", "r2": "R²", "d2": "D²"}


def learning_curve(
    history: Mapping[str, Sequence[float]],
    path: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot the loss, and in a second panel the validation score, against the epoch.

    Parameters
    ----------
    history : History or mapping of str to sequence of float
        It has ``loss``, and optionally ``val_loss``, ``val_accuracy`` and ``val_r2``.
    path : str or path-like, optional
        File for the figure; the suffix determines the format.
    ax : matplotlib Axes, optional
        Axes for the loss; then the score is not drawn.  By default a new figure is made.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError
        If the history is not a mapping.
    ValueError
        If the history has no ``loss`` or no epoch.
    ImportError
        If matplotlib is not installed.
    """
    if not isinstance(history, Mapping):
        raise TypeError(f"history must be a mapping, got {type(history).__name__}")
    if "loss" not in history:
        raise ValueError(f"history must have 'loss', got {', '.join(history) or 'nothing'}")
    if not len(history["loss"]):
        raise ValueError("history has no epochs to draw")
    scores = {title: history[f"val_{k}"] for k, title in _SCORES.items() if f"val_{k}" in history}
    best = getattr(history, "best_epoch", None)
    if ax is None:
        axes = panels(1, 1 + len(scores), 4.8, 4.0)[0]
        for panel, (title, values) in zip(axes[1:], scores.items(), strict=True):
            _draw_curves(panel, {"validation": values}, title, best)
        ax = axes[0]
    losses = {"training": history["loss"]}
    if "val_loss" in history:
        losses["validation"] = history["val_loss"]
    _draw_curves(ax, losses, "loss", best)
    if _spans_decades(losses.values()):
        _logarithmic(ax)
    return finished(ax.figure, path)


def confusion_matrix(
    y_true: object,
    y_pred: object,
    class_names: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot the confusion matrix: the number of samples for each true and predicted class.

    Parameters
    ----------
    y_true, y_pred : (N,) array_like of labels
        Integers or text.
    class_names : sequence of str, optional
        Names of the labels 0, 1...; by default the names are the labels that occur.
    path, ax
        As in `learning_curve`.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there are no labels, the lengths differ, or a label is not an index of `class_names`.
    ImportError
        If matplotlib is not installed.
    """
    true, predicted, names = _class_indices(y_true, y_pred, class_names)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (true, predicted), 1)
    side = max(4.0, 1.5 + 0.42 * len(names))
    ax = axes_or_new(ax, side, side)
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
    return finished(ax.figure, path)


def reliability(
    probabilities: Any,
    labels: Any,
    bins: int = 15,
    path: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot a reliability diagram: the accuracy of predictions against their confidence.

    Bars show the accuracy in each bin of confidence.  For a calibrated classifier they end at the
    diagonal.  The difference between accuracy and mean confidence is hatched: the classifier is
    overconfident where the hatched part is above the accuracy, and underconfident where it is
    below.

    Parameters
    ----------
    probabilities, labels, bins
        As in `fastnn.metrics.reliability_curve`.
    path, ax
        As in `learning_curve`.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If `probabilities` or `labels` have wrong values, dtypes or shapes.
    ImportError
        If matplotlib is not installed.

    References
    ----------
    DeGroot & Fienberg (1983), "The comparison and evaluation of forecasters"; Guo, Pleiss, Sun &
    Weinberger (2017), "On calibration of modern neural networks", figure 1.
    """
    curve = reliability_curve(probabilities, labels, bins)
    error = expected_calibration_error(probabilities, labels, bins)
    ax = axes_or_new(ax, 4.6, 4.4)
    seen = curve.counts > 0
    left, width = curve.edges[:-1][seen], np.diff(curve.edges)[seen]
    accuracy, gap = curve.accuracy[seen], (curve.confidence - curve.accuracy)[seen]
    options: dict[str, Any] = {"width": width, "align": "edge"}
    ax.bar(left, accuracy, color=SKY, edgecolor="white", label="accuracy", **options)
    ax.bar(
        left, gap, bottom=accuracy, color="none", edgecolor=ORANGE, hatch="///", linewidth=0.8,
        label="gap to the confidence", **options,
    )  # fmt: skip
    ax.plot([0, 1], [0, 1], color="0.3", linestyle="--", linewidth=1, label="calibrated")
    is_binary = np.ndim(probabilities) == 1 or np.shape(probabilities)[1] == 1
    ax.set_xlabel("predicted probability of 1" if is_binary else "confidence")
    ax.set_ylabel("share of 1" if is_binary else "accuracy")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_title(f"calibration error {error:.3f} ({curve.counts.sum():,} samples)")
    ax.legend(loc="upper left")
    return finished(ax.figure, path)


def layer_statistics(
    statistics: LayerStatistics | LayerMonitor, path: str | os.PathLike[str] | None = None
) -> Figure:
    """Plot the statistics of layers, which show vanishing gradients and saturated units.

    Parameters
    ----------
    statistics : LayerStatistics or LayerMonitor
        Statistics of one step, drawn as a bar for each call of a layer; or records of a training,
        drawn as a line for each call over the epochs.
    path
        As in `learning_curve`.

    Returns
    -------
    Figure
        Three panels: activations (mean and standard deviation; over the epochs the standard
        deviation only), sensitivities (root mean square of dA, on a logarithmic axis), and
        the share of saturated units.

    Raises
    ------
    TypeError
        If `statistics` has another type.
    ValueError
        If a monitor has no records.
    ImportError
        If matplotlib is not installed.
    """
    if isinstance(statistics, LayerStatistics):
        axes = panels(1, 3, 1.6 + 0.45 * len(statistics), 4.2)[0]
        _draw_layers(axes, list(statistics.values()))
    elif isinstance(statistics, LayerMonitor):
        if not statistics.records:
            raise ValueError("statistics have no records: pass the monitor to fit as a callback")
        axes = panels(1, 3, 5.0, 4.2)[0]
        _draw_layers_over_epochs(axes, statistics)
    else:
        raise TypeError(
            f"statistics must be LayerStatistics or a LayerMonitor, got {type(statistics).__name__}"
        )
    return finished(axes[0].figure, path)


def _draw_layers(axes: Sequence[Axes], calls: Sequence[CallStatistics]) -> None:
    places = np.arange(len(calls))
    values, slopes, shares = axes
    values.errorbar(
        places, [c.A.mean for c in calls], [c.A.std for c in calls], fmt="o", color=BLUE, capsize=4
    )
    values.set_ylabel("activations: mean ± standard deviation")
    slopes.bar(places, [c.dA.rms for c in calls], color=BLUE)
    _logarithmic_from(slopes, [c.dA.rms for c in calls])
    slopes.set_ylabel("sensitivities: root mean square of dA")
    kinds = {
        "saturated": [c.saturated or 0.0 for c in calls],
        "dead units": [(c.dead or 0) / c.n_units for c in calls],
    }
    for (label, heights), shift, color in zip(
        kinds.items(), (-0.2, 0.2), (BLUE, ORANGE), strict=True
    ):
        shares.bar(places + shift, heights, 0.4, label=label, color=color)
    shares.set_ylabel("share")
    shares.set_ylim(0, 1)
    shares.legend()
    for ax in axes:
        ax.set_xticks(places, [c.name for c in calls], rotation=60, ha="right")
        ax.grid(axis="y", alpha=0.3)
        ax.set_axisbelow(True)


def _draw_layers_over_epochs(axes: Sequence[Axes], monitor: LayerMonitor) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    names = [name for name in monitor.records[0] if monitor.records[0][name].function is not None]
    names = names or list(monitor.records[0])
    marker = "." if len(monitor.epochs) <= _MARKED_EPOCHS else None
    quantities = (
        ("activations: standard deviation", lambda call: call.A.std),
        ("sensitivities: root mean square of dA", lambda call: call.dA.rms),
        ("share of saturated units", lambda call: call.saturated or 0.0),
    )
    for ax, (title, read) in zip(axes, quantities, strict=True):
        curves = [[read(record[name]) for record in monitor.records] for name in names]
        for i, (name, curve) in enumerate(zip(names, curves, strict=True)):
            color = colormaps["viridis"](0.9 * i / max(1, len(names) - 1))
            ax.plot(monitor.epochs, curve, label=name, color=color, marker=marker)
        if "dA" in title:
            _logarithmic_from(ax, np.ravel(curves))
        ax.set_xlabel("epoch")
        ax.set_ylabel(title)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(alpha=0.3)
    axes[2].set_ylim(-0.02, 1.02)
    axes[2].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.02, 1.0))


def _logarithmic_from(ax: Axes, values: object) -> None:
    """Make the y axis logarithmic; its lower limit is below the smallest positive value."""
    values = np.asarray(values, float)
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return
    ax.set_yscale("log")
    lowest = positive[positive > _SMALLEST * positive.max()].min()
    ax.set_ylim(lowest / 3, positive.max() * 3)


def graph(net: Network, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw the graph of a network: a box for each input, call of a layer, and output.

    A box shows the name, the kind, the widths and the number of parameters.  All calls
    of a shared layer have the same colour.  Frozen layers have a dashed border.  After `compile`,
    an output shows its loss.

    Parameters
    ----------
    net : Network
    path : str or path-like, optional
        File for the figure; the suffix determines the format.

    Returns
    -------
    Figure
        Its size depends on the graph.  No edge passes through a box.

    Raises
    ------
    TypeError
        If `net` is not a network.
    ImportError
        If matplotlib is not installed.

    References
    ----------
    Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical system
    structures", IEEE Transactions on Systems, Man, and Cybernetics 11.
    """
    require_matplotlib()
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {type(net).__name__}")
    return finished(draw(net), path)


def _class_indices(
    y_true: object, y_pred: object, class_names: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """True and predicted labels as indices of classes, and the names of the classes."""
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
        as_real(labels, name)
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(class_names):
            raise ValueError(f"{name} must hold integers 0 <= label < {len(class_names)}")
    return true, predicted, [str(name) for name in class_names]


def _draw_curves(
    ax: Axes, curves: Mapping[str, Sequence[float]], title: str, best: int | None
) -> None:
    """Draw curves against the epoch, with a line at the best epoch."""
    from matplotlib.ticker import MaxNLocator

    for label, values in curves.items():
        epochs = np.arange(1, len(values) + 1)
        marker = "." if len(values) <= _MARKED_EPOCHS else None
        color = ORANGE if label == "validation" else BLUE
        ax.plot(epochs, values, label=label, marker=marker, color=color)
    if best is not None:
        ax.axvline(best, label=f"best epoch ({best})", color="0.5", linestyle=":")
    ax.set_xlabel("epoch")
    ax.set_ylabel(title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim(0, int(ax.dataLim.x1) + 1)
    ax.grid(alpha=0.3)
    ax.legend()


def _spans_decades(curves: Iterable[Sequence[float]]) -> bool:
    """Whether all values are positive, and their range is large enough for a logarithmic axis."""
    values = np.concatenate([np.asarray(curve, float) for curve in curves])
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > _LOG_RANGE * values.min())


def _logarithmic(ax: Axes) -> None:
    """Make the y axis logarithmic, with labels at 2 and 5 as well if it has few decades."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high < _FEW_DECADES * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
