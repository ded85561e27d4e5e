"""Pictures of what the embeddings of a model for tables have learnt."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from fastnn._shared.figures import BLUE, ORANGE, SKY, axes_or_new, finished
from fastnn.layers import PiecewiseLinear
from fastnn.layers._tables import TableLayer
from fastnn.network import Network
from fastnn.tabular.blends import Blend
from fastnn.tabular.columns import CategoryEncoder, NumberEncoder, SignEncoder
from fastnn.tabular.encoders import TableEncoder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["category_vectors", "draw_embedding", "number_vectors", "principal"]

_POINTS = 400
_CURVES = 3
_NAMED_LEVELS = 60


def draw_embedding(
    encoder: TableEncoder,
    blend: Blend,
    column: str,
    path: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the vectors that the first layer has learnt for one column of a table.

    See `TabularClassifier.plot_embedding`.

    Raises
    ------
    ValueError
        If the model has no such column, or it has dates.
    ImportError
        If matplotlib is not installed.
    """
    by_name = {part.name: part for part in encoder.columns}
    part = by_name.get(column)
    if part is None:
        names = ", ".join(map(repr, by_name))
        raise ValueError(f"the model does not use a column {column!r}; it uses {names}")
    networks = [net for bag in blend.bags if bag.kind == "network" for net in bag.networks]
    networks = networks or blend.networks
    if isinstance(part, NumberEncoder):
        edges = np.array(part.scaled.edges)
        center, scale = part.scaled.center, part.scaled.scale or 1.0
        low, high = center - 3 * scale, center + 3 * scale
        if len(edges):
            low, high = float(edges[0]), float(edges[-1])
        values = np.union1d(np.linspace(low, high, _POINTS), edges)
        axes = axes_or_new(ax)
        _draw_number(axes, column, values, edges, number_vectors(encoder, networks, part, values))
    elif isinstance(part, CategoryEncoder | SignEncoder):
        axes = axes_or_new(ax)
        _draw_category(axes, column, *category_vectors(encoder, networks, part))
    else:
        raise ValueError(f"column {column!r} has dates, which have no picture of one embedding")
    return finished(axes.figure, path)


def number_vectors(
    encoder: TableEncoder, networks: list[Network], part: NumberEncoder, values: np.ndarray
) -> np.ndarray:
    """What a number adds to the pre-activations of the first layer: (N, units of all networks)."""
    positions = part.scaled.bind_positions(len(values))(values) if part.scaled.bins else None
    vectors = []
    for network in networks:
        total = np.zeros((len(values), 1))
        for layer in network.layers:
            if layer.name == "scaled":
                row = layer.parameters["weight"][encoder.number_names.index(part.name)]
                total = total + part.scaled.apply(values)[:, np.newaxis] * row
            elif isinstance(layer, PiecewiseLinear) and positions is not None:
                rows = layer.rows_of(encoder.position_names.index(part.name))
                inside = np.clip(positions[:, np.newaxis] - np.arange(len(rows)), 0, 1)
                total = total + (2 * inside - 1) @ rows
        vectors.append(total)
    return np.concatenate(vectors, axis=1)


def category_vectors(
    encoder: TableEncoder, networks: list[Network], part: CategoryEncoder | SignEncoder
) -> tuple[list[str], np.ndarray]:
    """The levels of a category, and what each adds to the pre-activations: (levels, units)."""
    if isinstance(part, SignEncoder):
        place, signs = encoder.number_names.index(part.names[0]), np.array([[-1.0], [1.0]])
        rows = [signs * net.layer("scaled").parameters["weight"][place] for net in networks]
        return list(part.texts) or ["False", "True"], np.concatenate(rows, axis=1)
    names = [*part.texts, *(["(missing)"] if part.indicates else [])]
    tables = [net.layer("levels") for net in networks]
    place = encoder.code_names.index(part.name)
    rows = [table.rows_of(place) for table in tables if isinstance(table, TableLayer)]
    return names, np.concatenate(rows, axis=1)[: len(names)]


def principal(vectors: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first principal components (N, n) of vectors, and their shares of the variance (n,).

    The last row of a component is not less than its first one; missing components are 0.
    """
    centred = vectors - vectors.mean(axis=0)
    U, s, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    components = np.zeros((len(vectors), n))
    shares = np.zeros(n)
    used = min(n, len(s))
    components[:, :used] = U[:, :used] * s[:used]
    if s.any():
        shares[:used] = s[:used] ** 2 / (s**2).sum()
    components *= np.where(components[-1] < components[0], -1, 1)
    return components, shares


def _draw_number(
    ax: Axes, column: str, values: np.ndarray, edges: np.ndarray, vectors: np.ndarray
) -> None:
    components, shares = principal(vectors, _CURVES)
    for edge in edges:
        ax.axvline(edge, color="0.88", linewidth=0.8, zorder=0)
    for k, colour in enumerate((BLUE, ORANGE, SKY)):
        if shares[k] > 0.005:
            label = f"component {k + 1} ({shares[k]:.0%})"
            ax.plot(values, components[:, k], color=colour, linewidth=2 - 0.4 * k, label=label)
    ax.set_xlabel(column)
    ax.set_ylabel("part of the first pre-activations")
    ax.set_title("what the network has learnt of a number, and its bins", fontsize=10)
    ax.legend(frameon=False, fontsize=9)


def _draw_category(ax: Axes, column: str, names: list[str], vectors: np.ndarray) -> None:
    components, shares = principal(vectors, 2)
    ax.scatter(components[:, 0], components[:, 1], s=18, color=BLUE)
    if len(names) <= _NAMED_LEVELS:
        for name, point in zip(names, components, strict=True):
            ax.annotate(name, point, xytext=(4, 3), textcoords="offset points", fontsize=8)
    ax.margins(0.15)
    ax.axhline(0, color="0.88", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.88", linewidth=0.8, zorder=0)
    ax.set_xlabel(f"component 1 ({shares[0]:.0%})")
    ax.set_ylabel(f"component 2 ({shares[1]:.0%})")
    ax.set_title(f"positions of the levels of {column}", fontsize=10)
