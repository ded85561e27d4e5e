"""The layout of a layered graph: coordinates of its nodes, and routes of its edges.

The algorithm has four steps (Sugiyama, Tagawa & Toda, 1981, "Methods for visual understanding of
hierarchical system structures"):

1. Nodes are assigned to rows.  The row of a node is the length of its longest path from a source.
2. An edge that passes rows gets a *bend* in each of them: a node without a size, for which the
   row has a place.
3. Each row is sorted by the barycentres of the neighbours of its nodes, which leaves few crossings.
4. Nodes and bends are moved towards their neighbours, as far as the order and the gaps allow.

All lengths have one unit.  y increases downwards.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_GAP = 0.3  # distance of adjacent nodes in a row, inches
_ROW_GAP = 0.42  # distance of adjacent rows
_BEND_WIDTH = 0.1
_SORTING_SWEEPS = 12  # largest number of passes that sort the rows
_MOVING_SWEEPS = 40  # number of passes that move nodes towards their neighbours
_BEND_WEIGHT = 1e-3  # weight of a bend in the least squares of a row; that of a node is 1


class Layout(NamedTuple):
    """The centres of the nodes, the routes of the edges, and the extent of the picture.

    Attributes
    ----------
    x, y : list of float
        Centres of the nodes.
    routes : list of list of (float, float, float)
        For each edge, its vertical segments from the source to the target: x, the smallest y and
        the largest y.
    left, right, bottom : float
        Extent; the top is at 0.
    """

    x: list[float]
    y: list[float]
    routes: list[list[tuple[float, float, float]]]
    left: float
    right: float
    bottom: float


class _Rows:
    """Nodes and bends in rows, with the neighbours above and below each of them.

    Bends have the indices from `n` on.
    """

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
        """The bends of an edge.  Edges from one node share a bend in each row that both pass."""
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

    def sort(self) -> None:
        """Sort the rows by barycentres, down and up; keep the order with the fewest crossings."""
        best = [list(row) for row in self.rows]
        fewest = self.crossings()
        for _ in range(_SORTING_SWEEPS):
            positions = self._positions()
            for rows, neighbours in ((self.rows[1:], self.above), (self.rows[-2::-1], self.below)):
                for row in rows:
                    _sort(row, neighbours, positions)
                crossings = self.crossings()
                if crossings < fewest:
                    best, fewest = [list(row) for row in self.rows], crossings
            if fewest == 0:
                break
        self.rows = best

    def _positions(self) -> dict[int, int]:
        """The position of each node in its row."""
        return {node: i for row in self.rows for i, node in enumerate(row)}

    def crossings(self) -> int:
        """The number of pairs of edges between adjacent rows that cross."""
        positions = self._positions()
        total = 0
        for row in self.rows:
            ends: list[int] = []
            for node in row:
                targets = sorted(positions[i] for i in self.below[node])
                total += sum(len(ends) - bisect_right(ends, target) for target in targets)
                for target in targets:
                    insort(ends, target)
        return total

    # --------------------------------------------------------------- coordinates

    def coordinates(self) -> list[float]:
        """The x of each node and bend: near its neighbours, in the order of its row, with gaps."""
        x = [0.0] * len(self.widths)
        for row in self.rows:
            self._place(row, x, dict.fromkeys(row, 0.0))
        for sweep in range(_MOVING_SWEEPS):
            for row in self.rows if sweep % 2 == 0 else reversed(self.rows):
                self._place(row, x, {node: self._ideal(node, x) for node in row})
        return x

    def _ideal(self, node: int, x: list[float]) -> float:
        """The mean x of the neighbours of a node, without bends if it has other neighbours."""
        neighbours = self.above[node] + self.below[node]
        if node < self.n:
            neighbours = [i for i in neighbours if i < self.n] or neighbours
        return sum(x[i] for i in neighbours) / len(neighbours) if neighbours else x[node]

    def _place(self, row: list[int], x: list[float], ideals: dict[int, float]) -> None:
        """Set the x of a row to the least-squares approximation of the ideal ones.

        The constraints are the order and the gaps.  After subtracting from each x the smallest
        distance from the first node, the constraint is that the differences ascend.  This is
        isotonic regression, which pooling of adjacent violators solves.
        """
        offsets, offset = [0.0], 0.0
        for left, right in pairwise(row):
            offset += (self.widths[left] + self.widths[right]) / 2 + _GAP
            offsets.append(offset)
        pools: list[list[float]] = []  # weight, mean, number of members
        for node, offset in zip(row, offsets, strict=True):
            pools.append([1.0 if node < self.n else _BEND_WEIGHT, ideals[node] - offset, 1])
            while len(pools) > 1 and pools[-2][1] >= pools[-1][1]:
                weight, mean, members = pools.pop()
                pool = pools[-1]
                pool[1] = (pool[0] * pool[1] + weight * mean) / (pool[0] + weight)
                pool[0] += weight
                pool[2] += members
        means = [mean for _, mean, members in pools for _ in range(int(members))]
        for node, offset, mean in zip(row, offsets, means, strict=True):
            x[node] = mean + offset


def layout(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """Lay out a graph: centres for its nodes, and routes for its edges.

    Parameters
    ----------
    sizes : sequence of (width, height)
        Size of each node, in a topological order of the graph.
    edges : sequence of (source, target)
        Indices of nodes, source < target.

    Returns
    -------
    Layout
        No node overlaps another, and no edge passes through a node.
    """
    rows = _Rows([width for width, _ in sizes], edges)
    rows.sort()
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
    """The row of each node: below all its sources.

    A node without sources is in the row above its first target.
    """
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


def _sort(row: list[int], neighbours: list[list[int]], positions: dict[int, int]) -> None:
    """Sort a row by the mean position of each node's neighbours, and update the positions."""
    means = {
        node: sum(positions[i] for i in neighbours[node]) / len(neighbours[node])
        if neighbours[node]
        else positions[node]
        for node in row
    }
    row.sort(key=means.__getitem__)
    positions.update((node, i) for i, node in enumerate(row))
