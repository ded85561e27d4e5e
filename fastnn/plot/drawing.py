"""The picture of a network's graph: boxes in rows, with arrows between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from fastnn.graph import Graph, last_function
from fastnn.layers import Dense, Layer, Merge, Tensor
from fastnn.plot.layout import Layout, layout

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastnn.network import Network

_SIZE = 9.0  # size of the text, points
_POINT = 1 / 72  # inches
_LINE = 1.35 * _SIZE * _POINT
_PADDING = 0.1
_MARGIN = 0.15
_LONGEST = 120.0  # largest width and height, inches; larger pictures are scaled down
_FILLS = {"input": "#DCEBF7", "layer": "#F4F4F4", "merge": "#FFFFFF", "output": "#EADCF4"}
_SHARED = ("#FBE3B5", "#BFE6D8", "#F7CFE2", "#CFE0F7", "#F4F0A6", "#F6CDB9")
"""Colours of shared layers, used in turn; black text is legible on them."""


@dataclass
class _Box:
    """A node of the picture.

    Attributes
    ----------
    lines : list of str
        Text; the first line is bold.
    fill : str
        Colour.
    frozen : bool
        Whether the border is dashed.
    inputs : list of int
        Indices of the boxes from which edges arrive.
    """

    lines: list[str]
    fill: str
    frozen: bool = False
    inputs: list[int] = field(default_factory=list)

    @cached_property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        widths = [_text_width(line, bold=i == 0) for i, line in enumerate(self.lines)]
        return max(*widths, 0.4) + 2 * _PADDING, len(self.lines) * _LINE + _PADDING


def draw(net: Network) -> Figure:
    """The figure of a network's graph; see `fastnn.plot.graph`."""
    from matplotlib.figure import Figure

    boxes = _boxes(net)
    edges = [(source, i) for i, box in enumerate(boxes) for source in box.inputs]
    places = layout([box.size for box in boxes], edges)
    width = places.right - places.left + 2 * _MARGIN
    height = places.bottom + 2 * _MARGIN
    scale = min(1.0, _LONGEST / max(width, height))
    figure = Figure(figsize=(scale * width, scale * height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_xlim(places.left - _MARGIN, places.right + _MARGIN)
    ax.set_ylim(places.bottom + _MARGIN, -_MARGIN)
    _draw_edges(ax, boxes, edges, places, scale)
    for box, x, y in zip(boxes, places.x, places.y, strict=True):
        _draw_box(ax, box, x, y, scale)
    return figure


# ---------------------------------------------------------------------- contents of boxes


def _boxes(net: Network) -> list[_Box]:
    """A box for each input, call of a layer and output, in topological order."""
    graph = net.graph
    names = graph.call_names()
    number = {id(tensor): i for i, tensor in enumerate((*graph.inputs, *graph.calls))}
    colours = _shared_colours(graph)
    boxes = [_Box([names[id(t)], f"input, {t.width}"], _FILLS["input"]) for t in graph.inputs]
    seen: set[int] = set()
    for call in graph.calls:
        layer = call.layer
        assert layer is not None
        kind = "merge" if isinstance(layer, Merge) else "layer"
        lines = [names[id(call)], _described(call, names)]
        count = _counted(layer, graph, id(layer) in seen)
        seen.add(id(layer))
        boxes.append(
            _Box(
                lines + ([count] if count else []),
                fill=colours.get(id(layer), _FILLS[kind]),
                frozen=bool(layer.shapes) and not layer.trainable,
                inputs=[number[id(tensor)] for tensor in call.inputs],
            )
        )
    for i, (name, tensor) in enumerate(zip(net.output_names, graph.outputs, strict=True)):
        lines = [name if name != names[id(tensor)] else "output", *_loss(net, i)]
        boxes.append(_Box(lines, _FILLS["output"], inputs=[number[id(tensor)]]))
    return boxes


def _shared_colours(graph: Graph) -> dict[int, str]:
    """A colour for each layer with parameters that is called more than once, by its id."""
    counts: dict[int, int] = {}
    for call in graph.calls:
        if call.layer is not None and call.layer.shapes:
            counts[id(call.layer)] = counts.get(id(call.layer), 0) + 1
    shared = [layer for layer, count in counts.items() if count > 1]
    return {layer: _SHARED[i % len(_SHARED)] for i, layer in enumerate(shared)}


def _described(call: Tensor, names: dict[int, str]) -> str:
    """The kind of the layer of a call, with its widths and its function."""
    layer = call.layer
    if isinstance(layer, Dense):
        function = last_function(layer)
        return f"Dense {layer.n_in} → {layer.n_out}" + (f", {function}" if function else "")
    kind = type(layer).__name__
    if kind == "Activation":
        kind = last_function(layer) or kind
    if kind == "Subtract":
        kind = " − ".join(names[id(tensor)] for tensor in call.inputs)
    if kind == "Dropout":
        kind += f" {layer.rate:g}"  # type: ignore[union-attr]
    return f"{kind}, {call.width}"


def _counted(layer: Layer, graph: Graph, again: bool) -> str:
    """The number of parameters of a layer as text; `again` for a call after the first."""
    if not layer.n_parameters:
        return ""
    if again:
        return f"shared with {graph.names[id(layer)]}"
    count = f"{layer.n_parameters:,} parameter{'s' if layer.n_parameters > 1 else ''}"
    return count if layer.trainable else f"{count}, frozen"


def _loss(net: Network, output: int) -> list[str]:
    """Lines for the loss on an output and for its weight; no lines before `compile`."""
    for head in net.core.heads:
        if head.output == output:
            weight = [] if head.weight == 1 else [f"times {head.weight:g}"]
            return [str(head.loss), *weight]
    return [] if net.optimizer is None else ["no loss"]


# ---------------------------------------------------------------------- drawing of boxes


@cache
def _text_width(text: str, bold: bool) -> float:
    """Width of a line of text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=_SIZE, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) * _POINT


def _draw_box(ax: Any, box: _Box, x: float, y: float, scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    width, height = box.size
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height,
            boxstyle="round,pad=0,rounding_size=0.06", facecolor=box.fill, edgecolor="0.35",
            linewidth=scale, linestyle="--" if box.frozen else "-", zorder=2,
        )
    )  # fmt: skip
    top = y - (len(box.lines) - 1) / 2 * _LINE
    for i, line in enumerate(box.lines):
        ax.text(
            x, top + i * _LINE, line, ha="center", va="center", fontsize=scale * _SIZE,
            fontweight="bold" if i == 0 else "normal", color="black" if i == 0 else "0.25",
            parse_math=False, zorder=3,
        )  # fmt: skip


def _draw_edges(
    ax: Any, boxes: Sequence[_Box], edges: Sequence[tuple[int, int]], places: Layout, scale: float
) -> None:
    from matplotlib.patches import FancyArrowPatch

    ports = _ports(boxes, edges, places)
    for (source, target), route, port in zip(edges, places.routes, ports, strict=True):
        start = places.x[source], places.y[source] + boxes[source].size[1] / 2
        end = port, places.y[target] - boxes[target].size[1] / 2
        ax.add_patch(
            FancyArrowPatch(
                path=_curve(start, route, end), arrowstyle="-|>", mutation_scale=scale * 9,
                color="0.35", linewidth=scale, zorder=1, shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip


def _ports(boxes: Sequence[_Box], edges: Sequence[tuple[int, int]], places: Layout) -> list[float]:
    """The x at which each edge arrives at the top of its target; edges arrive side by side."""
    ports = [0.0] * len(edges)
    arriving: dict[int, list[int]] = {}
    for i, (_, target) in enumerate(edges):
        arriving.setdefault(target, []).append(i)
    for target, ends in arriving.items():
        step = min(0.3, 0.7 * boxes[target].size[0] / len(ends))
        ends.sort(
            key=lambda i: places.routes[i][-1][0] if places.routes[i] else places.x[edges[i][0]]
        )
        for position, i in enumerate(ends):
            ports[i] = places.x[target] + (position - (len(ends) - 1) / 2) * step
    return ports


def _curve(
    start: tuple[float, float],
    route: Sequence[tuple[float, float, float]],
    end: tuple[float, float],
) -> Any:
    """A path whose ends are vertical, with a straight vertical line for each segment of a route."""
    from matplotlib.path import Path

    points, codes = [start], [Path.MOVETO]
    stops = [((x, top), (x, bottom)) for x, top, bottom in route]
    for arrival, departure in [*stops, (end, end)]:
        x, y = points[-1]
        middle = (y + arrival[1]) / 2
        points += [(x, middle), (arrival[0], middle), arrival]
        codes += [Path.CURVE4] * 3
        if departure != arrival:
            points.append(departure)
            codes.append(Path.LINETO)
    return Path(points, codes)
