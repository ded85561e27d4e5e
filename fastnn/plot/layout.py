"""Where the nodes of a layered graph go, and how its edges pass between them.

After Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical system
structures": nodes stand in rows, each as far down as its longest path from a source; an edge
over several rows gets a *bend*, a node without a size, in every row it passes, so that it goes
around what stands there; rows are ordered by the barycentres of neighbours, which leaves few
crossings; then everything moves towards its neighbours as far as the order and the gaps allow.

Lengths are in one unit throughout; y grows downwards.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_GAP = 0.3  # between neighbours in a row, inches
_ROW_GAP = 0.42  # between rows
_BEND_WIDTH = 0.1
_SWEEPS = 12  # that order the rows
_PULLS = 40  # that move nodes towards their neighbours
_PLIANT = 1e-3  # how much a bend's own wish counts against a node's in its row


class Layout(NamedTuple):
    """Centres of the nodes, and for each edge the stretches it goes straight down at."""

    x: list[float]
    y: list[float]
    routes: list[list[tuple[float, float, float]]]
    """Per edge the bends from source to target: x, and y from and to."""
    left: float
    right: float
    bottom: float


class _Rows:
    """Nodes and bends in rows, with their neighbours above and below."""

    def __init__(self, widths: Sequence[float], edges: Sequence[tuple[int, int]]) -> None:
        self.widths = list(widths)
        self.n = len(widths)
        self.row_of = _rows(self.n, edges)
        self.above: list[list[int]] = [[] for _ in widths]
        self.below: list[list[int]] = [[] for _ in widths]
        self.bends: dict[tuple[int, int], int] = {}
        self.routes = [self._route(source, target) for source, target in edges]
        self.rows: list[list[int]] = [[] for _ in range(max(self.row_of) + 1)]
        for node, row in enumerate(self.row_of):
            self.rows[row].append(node)

    def _route(self, source: int, target: int) -> list[int]:
        """The bends of an edge.  Edges from one node share them as long as they go together."""
        route = []
        last = source
        for row in range(self.row_of[source] + 1, self.row_of[target]):
            bend = self.bends.get((source, row))
            if bend is None:
                bend = self.bends[source, row] = len(self.widths)
                self.widths.append(_BEND_WIDTH)
                self.row_of.append(row)
                self.above.append([])
                self.below.append([])
                self._join(last, bend)
            route.append(bend)
            last = bend
        self._join(last, target)
        return route

    def _join(self, upper: int, lower: int) -> None:
        self.below[upper].append(lower)
        self.above[lower].append(upper)

    # ------------------------------------------------------------- order in rows

    def order(self) -> None:
        """Order the rows by barycentres, down and up, and keep the best order met."""
        best = [list(row) for row in self.rows]
        fewest = self.crossings()
        for _ in range(_SWEEPS):
            place = self._places()
            for rows, neighbours in ((self.rows[1:], self.above), (self.rows[-2::-1], self.below)):
                for row in rows:
                    _sort(row, neighbours, place)
                found = self.crossings()
                if found < fewest:
                    best, fewest = [list(row) for row in self.rows], found
            if fewest == 0:
                break
        self.rows = best

    def _places(self) -> dict[int, int]:
        return {node: i for row in self.rows for i, node in enumerate(row)}

    def crossings(self) -> int:
        """How many pairs of edges between neighbouring rows cross."""
        place = self._places()
        total = 0
        for row in self.rows:
            ends: list[int] = []
            for node in row:
                targets = sorted(place[i] for i in self.below[node])
                total += sum(len(ends) - bisect_right(ends, target) for target in targets)
                for target in targets:
                    insort(ends, target)
        return total

    # --------------------------------------------------------------- coordinates

    def coordinates(self) -> list[float]:
        """Centres along the rows: near the neighbours, in order, apart."""
        x = [0.0] * len(self.widths)
        for row in self.rows:
            self._place(row, x, dict.fromkeys(row, 0.0))
        for sweep in range(_PULLS):
            for row in self.rows if sweep % 2 == 0 else reversed(self.rows):
                self._place(row, x, {node: self._wish(node, x) for node in row})
        return x

    def _wish(self, node: int, x: list[float]) -> float:
        """The mean of a node's neighbours; bends count for nodes that have no others."""
        neighbours = self.above[node] + self.below[node]
        if node < self.n:
            neighbours = [i for i in neighbours if i < self.n] or neighbours
        return sum(x[i] for i in neighbours) / len(neighbours) if neighbours else x[node]

    def _place(self, row: list[int], x: list[float], wishes: dict[int, float]) -> None:
        """As near the wishes as order and gaps allow, in the sense of least squares.

        With each position less the room taken by those before it, the order is all that is
        left to keep: isotonic regression by pooling adjacent violators.
        """
        room, taken = [0.0], 0.0
        for left, right in pairwise(row):
            taken += (self.widths[left] + self.widths[right]) / 2 + _GAP
            room.append(taken)
        pools: list[list[float]] = []  # weight, mean, members
        for node, before in zip(row, room, strict=True):
            pools.append([1.0 if node < self.n else _PLIANT, wishes[node] - before, 1])
            while len(pools) > 1 and pools[-2][1] >= pools[-1][1]:
                weight, mean, members = pools.pop()
                pool = pools[-1]
                pool[1] = (pool[0] * pool[1] + weight * mean) / (pool[0] + weight)
                pool[0] += weight
                pool[2] += members
        means = [mean for _, mean, members in pools for _ in range(int(members))]
        for node, before, mean in zip(row, room, means, strict=True):
            x[node] = mean + before


def layout(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """Places for the nodes of a graph, and routes for its edges.

    Parameters
    ----------
    sizes : sequence of (width, height)
        Of each node, in a topological order of the graph.
    edges : sequence of (source, target)
        Indices of nodes, source < target.

    Returns
    -------
    Layout
        No node overlaps another, and no edge passes through a node.
    """
    rows = _Rows([width for width, _ in sizes], edges)
    rows.order()
    x = rows.coordinates()
    tops, heights, y = [], [], 0.0
    for row in rows.rows:
        tops.append(y)
        heights.append(max((sizes[node][1] for node in row if node < rows.n), default=0.0))
        y += heights[-1] + _ROW_GAP
    middles = [top + height / 2 for top, height in zip(tops, heights, strict=True)]
    routes = [
        [(x[b], tops[r], tops[r] + heights[r]) for b in route for r in [rows.row_of[b]]]
        for route in rows.routes
    ]
    return Layout(
        x[: rows.n],
        [middles[rows.row_of[node]] for node in range(rows.n)],
        routes,
        min(xi - width / 2 for xi, width in zip(x, rows.widths, strict=True)),
        max(xi + width / 2 for xi, width in zip(x, rows.widths, strict=True)),
        y - _ROW_GAP,
    )


def _rows(n: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The row of each node: below all its sources; a node without sources right above its use."""
    row = [0] * n
    has_source = {target for _, target in edges}
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        row[target] = max(row[target], row[source] + 1)
    first_use: dict[int, int] = {}
    for source, target in edges:
        first_use[source] = min(first_use.get(source, row[target]), row[target])
    return [
        first_use[node] - 1 if node in first_use and node not in has_source else row[node]
        for node in range(n)
    ]


def _sort(row: list[int], neighbours: list[list[int]], place: dict[int, int]) -> None:
    """Order a row by the mean place of each node's neighbours, and note the new places."""
    means = {
        node: sum(place[i] for i in neighbours[node]) / len(neighbours[node])
        if neighbours[node]
        else place[node]
        for node in row
    }
    row.sort(key=means.__getitem__)
    place.update((node, i) for i, node in enumerate(row))
