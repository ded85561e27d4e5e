"""Patterns of nodes: what several primitive nodes of ONNX mean together.

A pattern is a small tree.  `matches` yields every way in which the value of a graph is one; it
binds the names of the pattern to values and numbers of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.formats.onnx_graph import ReadGraph
from fastnn.formats.onnx_model import shortest

Bindings = dict[str, Any]


@dataclass(frozen=True)
class Any_:
    """Any value that is not constant, bound to a name; the same value wherever the name stands."""

    name: str


@dataclass(frozen=True)
class Number:
    """A constant with one element: a certain number, or any number bound to a name."""

    value: float | None = None
    name: str = ""


@dataclass(frozen=True)
class Array:
    """Any constant, bound to a name as its name in the graph."""

    name: str


@dataclass(frozen=True)
class Op:
    """The first output of a node of an operator, with patterns for its inputs."""

    operator: str
    inputs: tuple[Pattern, ...]
    name: str = ""
    """What the node is bound to, if anything."""


@dataclass(frozen=True)
class Either:
    """One of several patterns."""

    patterns: tuple[Pattern, ...]


Pattern = Any_ | Number | Array | Op | Either

_READ = "read "

_COMMUTATIVE = ("Add", "Mul", "Sum", "Max", "Min")
_RELATIVE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-7}
"""Relative tolerance of numbers: some programs write float32 numbers into float64 graphs."""


def op(operator: str, *inputs: Pattern | float, name: str = "") -> Op:
    """An `Op`; numbers stand for constants with one element."""
    patterns = tuple(Number(float(p)) if isinstance(p, int | float) else p for p in inputs)
    return Op(operator, patterns, name)


def either(*patterns: Pattern) -> Either:
    """An `Either`."""
    return Either(patterns)


def matches(pattern: Pattern, value: str, graph: ReadGraph, bound: Bindings) -> Iterator[Bindings]:
    """Every way in which a value of the graph is a pattern.

    Parameters
    ----------
    pattern : Pattern
    value : str
    graph : ReadGraph
    bound : dict
        Names that are bound already.

    Yields
    ------
    dict
        A new one, with all names of the pattern.  That of an `Any_` is bound to the value without
        changes of its shape, and with "read " before it to the value as it is read first.
    """
    read, value = value, graph.resolve(value)
    if isinstance(pattern, Either):
        for one in pattern.patterns:
            yield from matches(one, read, graph, bound)
    elif isinstance(pattern, Op):
        yield from _match_node(pattern, value, graph, bound)
    elif isinstance(pattern, Any_):
        if value not in graph.constants and bound.get(pattern.name, value) == value:
            yield {_READ + pattern.name: read} | bound | {pattern.name: value}
    elif value in graph.constants:
        if isinstance(pattern, Array):
            yield bound | {pattern.name: value}
        else:
            yield from _match_number(pattern, graph.constants[value], bound)


def _match_number(pattern: Number, array: np.ndarray, bound: Bindings) -> Iterator[Bindings]:
    if array.size != 1 or array.dtype.kind not in "fiu":
        return
    number = shortest(array.flat[0])
    if pattern.value is None:
        yield bound | {pattern.name: number}
    elif abs(number - pattern.value) <= _RELATIVE.get(array.dtype, 0.0) * abs(pattern.value):
        yield bound


def _match_node(pattern: Op, value: str, graph: ReadGraph, bound: Bindings) -> Iterator[Bindings]:
    node = graph.producer(value)
    if node is None or node.operator != pattern.operator or node.outputs[0] != value:
        return
    inputs = [name for name in node.inputs if name]
    if len(inputs) != len(pattern.inputs):
        return
    orders = [inputs]
    if node.operator in _COMMUTATIVE and len(inputs) == 2:
        orders.append(inputs[::-1])
    if pattern.name:
        bound = bound | {pattern.name: node}
    for order in orders:
        yield from _match_all(list(zip(pattern.inputs, order, strict=True)), graph, bound)


def _match_all(
    pairs: list[tuple[Pattern, str]], graph: ReadGraph, bound: Bindings
) -> Iterator[Bindings]:
    if not pairs:
        yield bound
        return
    (pattern, value), *rest = pairs
    for more in matches(pattern, value, graph, bound):
        yield from _match_all(rest, graph, more)
