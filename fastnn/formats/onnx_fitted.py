"""Fitted models as nodes of ONNX: columns of tables, several networks, classes and units.

What happens to a table is computed in float64, as the models do it; networks compute in their
dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.formats._fitted import (
    Bag,
    Classes,
    Column,
    DateColumn,
    Fitted,
    Number,
    NumberColumn,
    SignColumn,
)
from fastnn.formats._program import read
from fastnn.formats.onnx_nodes import Nodes
from fastnn.formats.onnx_program import add_program

LABEL, PROBABILITIES = "label", "probabilities"
"""Names of the outputs of a classifier, as skl2onnx has them."""

CLIP, CLIP_INPUT = 3.0, 1e8
"""The smooth clip of `NumberColumn`, and the number beyond which it is 3 in float64."""

MISSING_TEXT = ""
"""Stands for a missing value of text, which ONNX does not have."""


@dataclass(frozen=True)
class Source:
    """A value of a graph with columns of the rows to predict.

    Attributes
    ----------
    name : str
        What its input is called.
    value : str
    kind : {"number", "integer", "boolean", "text"}
    width : int
        Number of columns.
    """

    name: str
    value: str
    kind: str
    width: int


def add_fitted(nodes: Nodes, model: Fitted, sources: Sequence[Source]) -> str:
    """Add a model to a graph; returns the value with its probabilities or numbers (N, K).

    Parameters
    ----------
    nodes : Nodes
        In the dtype of the networks.
    model : Fitted
    sources : sequence of Source

    Raises
    ------
    ValueError
        If a column is absent or has an encoding that ONNX cannot express; if a network has a
        custom layer.
    """
    if model.is_one_hot:
        raise ValueError(
            "this format cannot express the preprocessing of a model of one dense network: "
            "export its network alone (model.network, --network-only), or train a preset"
        )
    if model.columns is None:
        inputs = {"": _matrix(nodes, sources)}
        out = nodes
    else:
        out = nodes.in_dtype(np.float64)
        inputs = _Table(out, model.names, sources).inputs(model.columns)
        inputs = {key: _cast(nodes, value) for key, value in inputs.items()}
    total = ""
    for i, bag in enumerate(model.bags):
        part = _bag(nodes, out, bag, f"{i}/", model.meaning, inputs)
        if len(model.bags) > 1:
            part = out.add("Mul", [part, out.number(bag.weight)])
        total = out.add("Add", [total, part]) if total else part
    return total


def labels_of(meaning: Classes) -> np.ndarray:
    """The classes as int64, or as an array of bytes objects.

    Raises
    ------
    ValueError
        If they are neither whole numbers nor text.
    """
    labels = np.asarray(meaning.labels)
    if all(isinstance(label, str) for label in labels.tolist()):
        return np.array([label.encode() for label in labels.tolist()], object)
    whole = labels.astype(np.int64) if labels.dtype.kind in "biuf" else None
    if whole is None or not (whole == labels).all():
        raise ValueError(
            f"classes must be whole numbers or text in ONNX, got {labels.tolist()!r:.80}"
        )
    return whole


def add_label(
    nodes: Nodes, meaning: Classes, scores: str, label: str, probabilities: str, double: bool
) -> None:
    """Add the node that makes `label`: the most probable class, or each label a row has.

    Parameters
    ----------
    nodes : Nodes
    meaning : Classes
    scores : str
        The value of `add_fitted`.
    label : str
        Name of the value to make.
    probabilities : str
        The same scores in the type of the output, which several labels are read from.
    double : bool
        Whether this type is float64.
    """
    if meaning.link == "labels":
        half = nodes.constant("half", np.array(0.5, np.float64 if double else np.float32))
        above = nodes.add("Greater", [probabilities, half])
        nodes.add("Cast", [above], label, to=nodes.onnx.TensorProto.INT64)
    else:
        best = nodes.add("ArgMax", [scores], axis=1, keepdims=0)
        nodes.add("Gather", [nodes.constant("classes", labels_of(meaning)), best], label, axis=0)


def _cast(nodes: Nodes, value: str) -> str:
    """A value in the dtype of the nodes."""
    return nodes.add("Cast", [value], to=nodes.onnx.helper.np_dtype_to_tensor_dtype(nodes.dtype))


def _matrix(nodes: Nodes, sources: Sequence[Source]) -> str:
    """The rows of X as numbers."""
    for source in sources:
        if source.kind == "text":
            raise ValueError(f"input {source.name!r} has text, but the network takes numbers")
    parts = [_cast(nodes, source.value) for source in sources]
    return parts[0] if len(parts) == 1 else nodes.add("Concat", parts, axis=1)


# --------------------------------------------------------------------- networks


def _bag(
    nodes: Nodes,
    out: Nodes,
    bag: Bag,
    prefix: str,
    meaning: Classes | Number,
    inputs: dict[str, str],
) -> str:
    """The mean of the predictions of the networks of a bag."""
    parts = []
    for j, network in enumerate(bag.networks):
        source = read(network, "ONNX")
        values = [inputs[name if name in inputs else ""] for name in source.inputs]
        own = f"{prefix}{j}/"
        nodes.owner = own
        (output,) = add_program(nodes, source, values, [None], own)
        output = output if out is nodes else _cast(out, output)
        parts.append(_prediction(out, output, bag.factor, meaning))
    mean = parts[0]
    if len(parts) > 1:
        mean = out.add("Div", [out.chain("Add", parts), out.number(float(len(parts)))])
    if isinstance(meaning, Number):
        for operator, limit in (("Max", meaning.low), ("Min", meaning.high)):
            if np.isfinite(limit):
                mean = out.add(operator, [mean, out.number(limit)])
        if meaning.levels > 1:
            mean = _sorted(out, mean, meaning.levels)
    return mean


def _sorted(nodes: Nodes, value: str, levels: int) -> str:
    """Columns in ascending order, each `levels` of them together."""
    if nodes.opset < 11:
        raise ValueError(f"quantiles need opset 11 or newer, got {nodes.opset}")
    groups = nodes.reshape(value, [0, -1, levels])
    count = nodes.constant("count", np.array([levels], np.int64))
    ordered = nodes.add("TopK", [groups, count], outputs=2, axis=2, largest=0, sorted=1)
    return nodes.reshape(ordered, [0, -1])


def _prediction(out: Nodes, output: str, factor: float, meaning: Classes | Number) -> str:
    """What the outputs of one network mean."""
    if isinstance(meaning, Number):
        if meaning.is_rate:
            if np.isfinite(meaning.top):
                output = out.add("Min", [output, out.number(meaning.top)])
            output = out.add("Exp", [output])
        if meaning.scale != 1:
            output = out.add("Mul", [output, out.number(meaning.scale)])
        return (
            output if not meaning.centre else out.add("Add", [output, out.number(meaning.centre)])
        )
    if factor != 1:
        output = out.add("Mul", [output, out.number(factor)])
    if meaning.link == "softmax":
        return out.add("Softmax", [output], axis=1)
    if meaning.link == "sigmoid":
        output = out.add("Concat", [out.add("Neg", [output]), output], axis=1)
    return out.add("Sigmoid", [output])


# ---------------------------------------------------------------------- columns


class _Table:
    """The columns of X as the inputs of networks, in float64."""

    def __init__(self, nodes: Nodes, names: Sequence[str], sources: Sequence[Source]) -> None:
        self.nodes, self.names, self.sources = nodes, names, sources
        self.parts: dict[str, list[str]] = {"numbers": [], "positions": [], "codes": []}

    def inputs(self, columns: Sequence[Column]) -> dict[str, str]:
        """The inputs of the networks by name: those that have a column."""
        for column in columns:
            if isinstance(column, DateColumn):
                raise ValueError(
                    f"column {column.name!r} has dates, for which the format has no type"
                )
            self.nodes.owner = column.name
            source = self._source(column.name, [c.name for c in columns])
            if isinstance(column, NumberColumn):
                self._number(column, source)
            elif isinstance(column, SignColumn):
                self._sign(column, source)
            else:
                self.parts["codes"].append(self._codes(column.name, column.texts, source))
        return {
            name: parts[0] if len(parts) == 1 else self.nodes.add("Concat", parts, axis=1)
            for name, parts in self.parts.items()
            if parts
        }

    def _source(self, name: str, needed: Sequence[str]) -> Source:
        """The column of that name as (N, 1): an input of its own, or a column of an input."""
        own = {source.name: source for source in self.sources if source.width == 1}
        if set(needed) <= own.keys():
            return own[name]
        if sum(source.width for source in self.sources) != len(self.names):
            absent = [each for each in needed if each not in own]
            raise ValueError(
                f"the inputs are {', '.join(repr(s.name) for s in self.sources)}, which have "
                f"neither all {len(self.names)} columns of X nor one named {absent[0]!r}"
            )
        place = self.names.index(name)
        for source in self.sources:
            if place < source.width:
                break
            place -= source.width
        if source.width > 1:
            index = self.nodes.constant("place", np.array([place], np.int64))
            value = self.nodes.add("Gather", [source.value, index], axis=1)
            return Source(name, value, source.kind, 1)
        return source

    def _double(self, source: Source) -> str:
        if source.kind == "text":
            raise ValueError(f"column {source.name!r} has text, but the model takes its numbers")
        return _cast(self.nodes, source.value)

    def _is_missing(self, value: str) -> str:
        """Whether numbers are nan, asked in float32, of which every runtime knows."""
        nodes = self.nodes
        single = nodes.add("Cast", [value], to=nodes.onnx.TensorProto.FLOAT)
        return nodes.add("IsNaN", [single])

    def _number(self, column: NumberColumn, source: Source) -> None:
        nodes, x = self.nodes, self._double(source)
        missing = self._is_missing(x)
        known = nodes.add("Where", [missing, nodes.number(column.center), x])
        t = nodes.add("Sub", [known, nodes.number(column.center)])
        divisor, factor = (column.scale, 1.0) if column.scale else (1.0, 0.0)
        t = nodes.add("Div", [t, nodes.number(divisor)])
        if not factor:
            t = nodes.add("Mul", [t, nodes.number(0.0)])
        self.parts["numbers"].append(self._clipped(t) if column.clips else t)
        if column.indicates:
            self.parts["numbers"].append(_cast(nodes, missing))
        if column.edges:
            self.parts["positions"].append(self._position(known, np.array(column.edges)))

    def _clipped(self, t: str) -> str:
        """The smooth clip t / sqrt(1 + (t / 3)^2)."""
        nodes = self.nodes
        t = nodes.add("Div", [t, nodes.number(CLIP)])
        t = nodes.add("Min", [t, nodes.number(CLIP_INPUT)])
        t = nodes.add("Max", [t, nodes.number(-CLIP_INPUT)])
        root = nodes.add("Sqrt", [nodes.add("Add", [nodes.add("Mul", [t, t]), nodes.number(1.0)])])
        return nodes.add("Mul", [t, nodes.add("Div", [nodes.number(CLIP), root])])

    def _position(self, x: str, edges: np.ndarray) -> str:
        """The index of the bin of a number plus the fraction in it."""
        nodes = self.nodes
        x = nodes.add("Min", [x, nodes.number(float(edges[-1]))])
        x = nodes.add("Max", [x, nodes.number(float(edges[0]))])
        inner = nodes.constant("inner", edges[None, 1:-1])
        above = _cast(nodes, nodes.add("Not", [nodes.add("Less", [x, inner])]))
        bins = nodes.reduce("ReduceSum", above, True)
        index = nodes.add("Cast", [bins], to=nodes.onnx.TensorProto.INT64)
        start = nodes.add("Gather", [nodes.constant("edges", edges), index], axis=0)
        width = nodes.add("Gather", [nodes.constant("widths", np.diff(edges)), index], axis=0)
        return nodes.add("Add", [bins, nodes.add("Div", [nodes.add("Sub", [x, start]), width])])

    def _sign(self, column: SignColumn, source: Source) -> None:
        nodes = self.nodes
        if column.texts:
            codes = self._codes(column.name, column.texts, source)
            table = nodes.constant("signs", np.array([-1.0, 1.0, 0.0, 0.0]))
            index = nodes.add("Cast", [codes], to=nodes.onnx.TensorProto.INT64)
            self.parts["numbers"].append(nodes.add("Gather", [table, index], axis=0))
            away = nodes.add("Sub", [codes, nodes.number(2.0)])  # code 2 is a missing value
            missing = nodes.add("Sub", [nodes.number(1.0), nodes.add("Abs", [away])])
            missing = nodes.add("Relu", [missing])
        else:
            x = self._double(source)
            is_nan = self._is_missing(x)
            sign = nodes.add("Sub", [nodes.add("Mul", [x, nodes.number(2.0)]), nodes.number(1.0)])
            sign = nodes.add("Where", [is_nan, nodes.number(0.0), sign])
            self.parts["numbers"].append(sign)
            missing = _cast(nodes, is_nan)
        if column.indicates:
            self.parts["numbers"].append(missing)

    def _codes(self, name: str, texts: Sequence[str], source: Source) -> str:
        """The index of a level: K for a missing value, K + 1 for any other."""
        nodes, k = self.nodes, len(texts)
        if source.kind == "text":
            levels = {text: i for i, text in enumerate(texts)}
            levels.setdefault(MISSING_TEXT, k)
            codes = self._encoded(
                source.value, keys_strings=list(levels), values_int64s=list(levels.values()),
                default_int64=k + 1,
            )  # fmt: skip
            return _cast(nodes, codes)
        levels_of_numbers = self._numbers_of(name, texts, source.kind)
        x = self._double(source)
        missing = self._is_missing(x)
        whole = nodes.add("Cast", [x], to=nodes.onnx.TensorProto.FLOAT)
        codes = _cast(nodes, self._encoded(
            whole, keys_floats=list(levels_of_numbers), default_int64=k + 1,
            values_int64s=list(levels_of_numbers.values()),
        ))  # fmt: skip
        return nodes.add("Where", [missing, nodes.number(float(k)), codes])

    def _encoded(self, value: str, **attributes: Any) -> str:
        return self.nodes.add("LabelEncoder", [value], domain="ai.onnx.ml", **attributes)

    def _numbers_of(self, name: str, texts: Sequence[str], kind: str) -> dict[float, int]:
        """The levels of a category of numbers, which are text in the model."""
        words = {"False": 0.0, "True": 1.0} if kind == "boolean" else {}
        try:
            levels = {words[t] if t in words else float(t): i for i, t in enumerate(texts)}
        except ValueError:
            raise ValueError(f"column {name!r} has text in the model, but numbers here") from None
        if any(float(np.float32(value)) != value for value in levels):
            raise ValueError(f"column {name!r} has levels that float32 does not hold exactly")
        return levels
