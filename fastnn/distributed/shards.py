"""A batch cut into shards, and the one tree in which what they give is added.

Neither the cuts nor the tree depend on the number of processes: so the sums have the same bits
whichever process holds a shard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

Node = tuple[int, int]
"""A node of the tree: the shards from the first number up to the second, which is left out."""

_T = TypeVar("_T")


def cuts(n_rows: int, n_shards: int) -> list[int]:
    """Where the shards of a batch start, and its end.

    Sizes differ by one row at most, the larger ones first; a batch that has fewer rows than shards
    leaves the last ones empty.
    """
    size, larger = divmod(n_rows, n_shards)
    return [shard * size + min(shard, larger) for shard in range(n_shards + 1)]


def shards_of(rank: int, n_ranks: int, n_shards: int) -> Node:
    """The shards that a process holds."""
    return n_shards * rank // n_ranks, n_shards * (rank + 1) // n_ranks


def children(node: Node) -> tuple[Node, Node]:
    """The two halves of a node of several shards."""
    first, last = node
    middle = (first + last + 1) // 2
    return (first, middle), (middle, last)


def cover(part: Node, node: Node, n_filled: int) -> Iterator[Node]:
    """The largest nodes below `node` of which a process with the shards of `part` has everything.

    Shards from number `n_filled` on are empty; nodes of such shards alone are left out.
    """
    first, last = max(part[0], node[0]), min(part[1], node[1])
    if first >= last or node[0] >= n_filled:
        return
    if (first, last) == node:
        yield node
        return
    for child in children(node):
        yield from cover(part, child, n_filled)


def total(node: Node, n_filled: int, values: Mapping[Node, _T], add: Callable[[_T, _T], _T]) -> _T:
    """The value of a node from those of some nodes below it, which cover its filled shards."""
    if node in values:
        return values[node]
    left, right = children(node)
    value = total(left, n_filled, values, add)
    return value if right[0] >= n_filled else add(value, total(right, n_filled, values, add))
