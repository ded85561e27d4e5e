"""A network as a function of C: its tables, and a call for each operation.

The numbers between two calls stand in one scratch array on the stack. Each keeps its place until
the last operation that reads it; an operation that changes numbers one by one does so in place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fastnn.formats._program import Portable
from fastnn.formats.c.constants import BLOCKS
from fastnn.formats.c.text import Names, comment, literal, table
from fastnn.program import Operation

__all__ = ["File", "add_network", "moved"]

IN_PLACE = ("activation", "softmax", "log_softmax", "layer_norm", "scale")
"""Operations that write over their input; merges write over their first one."""

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@dataclass
class File:
    """What has been collected for a file.

    Attributes
    ----------
    names : Names
    ctype : {"float", "double"}
        The type of the networks' numbers.
    tables : dict of str to str
        The text of each constant array by name.
    functions : list of str
        Text of functions in the order of their definitions.
    needed : set of str
        Functions of the library that they call.
    table_bytes, scratch_bytes : int
        Size of all tables, and of the largest scratch array.
    """

    names: Names
    ctype: str
    tables: dict[str, str] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    needed: set[str] = field(default_factory=set)
    table_bytes: int = 0
    scratch_bytes: int = 0

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the networks' numbers."""
        return np.dtype(np.float32 if self.ctype == "float" else np.float64)

    def add_table(self, text: str, values: np.ndarray, ctype: str | None = None) -> str:
        """Add a constant array; returns its name.

        Raises
        ------
        ValueError
            If a number is too large for the type.
        """
        name = self.names.variable(text)
        if ctype is None:
            ctype = self.ctype
            with np.errstate(over="ignore"):
                values = np.asarray(values, self.dtype)
            if not np.isfinite(values).all():
                raise ValueError(f"{text} has a number that is too large for {ctype}")
        self.tables[name] = table(name, values, ctype)
        sizes = {"float": 4, "double": 8, "int32_t": 4}
        self.table_bytes += sizes[ctype] * values.size
        return name

    def call(self, function: str, *arguments: object) -> str:
        """The text of a call of a library function."""
        self.needed.add(function)
        return f"{self.names.prefix}_{function}({', '.join(map(str, arguments))});"


def add_network(
    file: File,
    net: Portable,
    function: str,
    *,
    is_static: bool = False,
    lines: str = "",
    places: Mapping[str, int] | None = None,
) -> None:
    """Add the function that computes the outputs of a network, and its tables.

    The outputs stand side by side in `y`.

    Parameters
    ----------
    file : File
    net : Portable
    function : str
        Name of the function.
    is_static : bool
        Whether only the file itself calls it.
    lines : str, optional
        The comment above the function.
    places : mapping of str to int, optional
        Where each input by name begins in `x`; by default they stand side by side.
    """
    body, size = _Body(file, net).write(places or _side_by_side(net))
    file.scratch_bytes = max(file.scratch_bytes, size * file.dtype.itemsize)
    scratch = [f"    {file.ctype} scratch[{size}];"] * bool(size)
    head = f"{'static ' * is_static}void {function}(const {file.ctype} *x, {file.ctype} *y)"
    text = "\n".join([head, "{", *scratch, *(f"    {line}" for line in body), "}"])
    file.functions.append(f"{lines}\n{text}" if lines else text)


def _side_by_side(net: Portable) -> dict[str, int]:
    """Where each input begins if they stand side by side."""
    widths = [net.program.buffers[i].width for i in net.program.inputs]
    return dict(zip(net.inputs, itertools.accumulate(widths, initial=0), strict=False))


@dataclass
class _Group:
    """Buffers that have one place, one after the other."""

    first: int
    last: int
    width: int
    place: str = ""


class _Body:
    """The calls of one network."""

    def __init__(self, file: File, net: Portable) -> None:
        self.file, self.net, self.program = file, net, net.program
        self.alias = self._aliases()
        self.steps = [op for op in self.program.operations if op.output not in self.alias]
        self.outputs = [self._source(i) for i in self.program.outputs]
        self.parameters: dict[tuple[int, str], str] = {}
        self.groups: dict[int, _Group] = {}
        self.copied: set[int] = set()  # steps that copy their first input to change it

    def _aliases(self) -> dict[int, int]:
        """For each output of an operation that does nothing in predictions, its input."""
        return {
            op.output: op.inputs[0]
            for op in self.program.operations
            if op.kind == "dropout" or op.attributes.get("function") == "identity"
        }

    def _source(self, buffer: int) -> int:
        while buffer in self.alias:
            buffer = self.alias[buffer]
        return buffer

    def _inputs(self, op: Operation) -> list[int]:
        return [self._source(i) for i in op.inputs]

    def _width(self, buffer: int) -> int:
        return self.program.buffers[buffer].width

    # ------------------------------------------------------------------ places

    def write(self, places: Mapping[str, int]) -> tuple[list[str], int]:
        """The lines of the function, and the number of elements of its scratch array."""
        for name, buffer in zip(self.net.inputs, self.program.inputs, strict=True):
            self.groups[buffer] = _Group(-1, len(self.steps), 0, _at("x", places[name]))
        self._share()
        self._place_outputs()
        size = self._place_others()
        lines = [line for i, op in enumerate(self.steps) for line in self._lines(i, op)]
        return lines + self._last_copies(), size

    def _share(self) -> None:
        """Find the buffers that have one place, and from which step to which it is in use."""
        last = {}
        for i, op in enumerate(self.steps):
            last.update(dict.fromkeys(self._inputs(op), i))
        last.update(dict.fromkeys(self.outputs, len(self.steps)))
        for i, op in enumerate(self.steps):
            inputs, width = self._inputs(op), self._width(op.output)
            end = last.get(op.output, i)
            if op.kind in IN_PLACE or op.kind in _MERGES:
                first = inputs[0]
                is_free = last[first] == i and first not in self.program.inputs
                if is_free and inputs.count(first) == 1:
                    group = self.groups[op.output] = self.groups[first]
                    group.last = end
                    continue
                self.copied.add(i)
            self.groups[op.output] = _Group(i, end, width)

    def _place_outputs(self) -> None:
        """Give outputs their places in y."""
        start = 0
        for buffer in self.outputs:
            group = self.groups[buffer]
            if not group.place:
                group.place = _at("y", start)
            start += self._width(buffer)

    def _place_others(self) -> int:
        """Give each other group the first place that is free while it is in use."""
        placed: list[tuple[_Group, int]] = []
        size = 0
        for group in self.groups.values():
            if group.place:
                continue
            busy = sorted(
                (start, start + other.width)
                for other, start in placed
                if other.last >= group.first and group.last >= other.first
            )
            start = 0
            for low, high in busy:
                if start + group.width <= low:
                    break
                start = max(start, high)
            group.place = _at("scratch", start)
            placed.append((group, start))
            size = max(size, start + group.width)
        return size

    def _last_copies(self) -> list[str]:
        """Copies of outputs that another output, or an input, has the place of."""
        lines, start = [], 0
        for buffer in self.outputs:
            place, own = self.groups[buffer].place, _at("y", start)
            if place != own:
                lines.append(self.file.call("copy", self._width(buffer), place, own))
            start += self._width(buffer)
        return lines

    # ------------------------------------------------------------------- calls

    def _lines(self, i: int, op: Operation) -> list[str]:
        """The calls of an operation."""
        inputs = [self.groups[buffer].place for buffer in self._inputs(op)]
        out = self.groups[op.output].place
        lines = []
        if i in self.copied:
            lines.append(self.file.call("copy", self._width(op.output), inputs[0], out))
        lines += _WRITERS[op.kind](self, op, inputs, out)
        lines[0] += f" /* {comment(self.program.buffers[op.output].name)} */"
        return lines

    def _parameter(
        self, op: Operation, role: str, arrange: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> str:
        """The name of the table of a parameter."""
        index = op.parameters[op.roles.index(role)]
        key = index, op.kind
        if key not in self.parameters:
            name = self.program.parameters[index].name
            values = self.net.values[name]
            values = values if arrange is None else arrange(values)
            self.parameters[key] = self.file.add_table(name, values)
        return self.parameters[key]

    def _dense(self, op: Operation, inputs: Sequence[str], out: str) -> list[str]:
        n_in, n_out = self._width(op.inputs[0]), self._width(op.output)
        weight = self._parameter(op, "weight", lambda w: in_blocks(w, self.file.ctype))
        lines = [self.file.call("dense", inputs[0], n_in, weight, n_out, out)]
        if "bias" in op.roles:
            lines.append(self.file.call("add", n_out, self._parameter(op, "bias"), out))
        return lines

    def _activation(self, op: Operation, inputs: Sequence[str], out: str) -> list[str]:
        alpha = float(op.attributes.get("alpha", 1.0))
        if op.parameters:
            (alpha,) = self.net.roles(op)["parameter"].tolist()
        alpha = float(self.program.dtype.type(alpha))
        function, *numbers = activation(op.attributes["function"], alpha)
        width, ctype = self._width(op.output), self.file.ctype
        return [self.file.call(function, width, *(literal(v, ctype) for v in numbers), out)]

    def _of_row(self, op: Operation, inputs: Sequence[str], out: str) -> list[str]:
        return [self.file.call(op.kind, self._width(op.output), out)]

    def _layer_norm(self, op: Operation, inputs: Sequence[str], out: str) -> list[str]:
        width, call = self._width(op.output), self.file.call
        epsilon = literal(self.program.dtype.type(op.attributes["epsilon"]), self.file.ctype)
        lines = [call("normalize", width, epsilon, out)]
        if "scale" in op.roles:
            lines.append(call("multiply", width, self._parameter(op, "scale"), out))
        if "shift" in op.roles:
            lines.append(call("add", width, self._parameter(op, "shift"), out))
        return lines

    def _scale(self, op: Operation, inputs: Sequence[str], out: str) -> list[str]:
        return [
            self.file.call("multiply", self._width(op.output), self._parameter(op, "gain"), out)
        ]

    def _merge(self, op: Operation, inputs: Sequence[str], out: str) -> list[str]:
        width, call = self._width(op.output), self.file.call
        lines = [call(_MERGES[op.kind], width, place, out) for place in inputs[1:]]
        if op.kind == "average":
            share = literal(self.program.dtype.type(1 / len(inputs)), self.file.ctype)
            lines.append(call("times", width, share, out))
        if op.kind == "absolute_difference":
            lines.append(call("absolute", width, out))
        return lines

    def _concatenate(self, op: Operation, inputs: Sequence[str], out: str) -> list[str]:
        lines, start = [], 0
        for buffer, place in zip(op.inputs, inputs, strict=True):
            width = self._width(buffer)
            lines.append(self.file.call("copy", width, place, moved(out, start)))
            start += width
        return lines

    def _table(self, op: Operation, inputs: Sequence[str], out: str) -> list[str]:
        sizes = list(op.attributes["sizes"])
        arrange = None if op.kind == "embedding" else lambda w: _at_edges(w, sizes)
        weight = self._parameter(op, "table", arrange)
        (index,) = op.parameters
        width = self.program.parameters[index].shape[1]
        step = 0 if op.attributes["combine"] == "sum" else width
        name = f"{self.program.buffers[op.output].name}_sizes"
        rows = self.file.add_table(name, np.array(sizes, np.int32), "int32_t")
        return [self.file.call(op.kind, len(sizes), rows, width, step, weight, inputs[0], out)]


_MERGES = {
    "add": "add",
    "average": "add",
    "subtract": "subtract",
    "absolute_difference": "subtract",
    "multiply": "multiply",
}
"""For each merge the function that takes another input into the first."""

_Writer = Callable[[_Body, Operation, Sequence[str], str], list[str]]

_WRITERS: Mapping[str, _Writer] = {
    "dense": _Body._dense,
    "activation": _Body._activation,
    "softmax": _Body._of_row,
    "log_softmax": _Body._of_row,
    **dict.fromkeys(_MERGES, _Body._merge),
    "concatenate": _Body._concatenate,
    "layer_norm": _Body._layer_norm,
    "embedding": _Body._table,
    "piecewise_linear": _Body._table,
    "scale": _Body._scale,
}
"""What writes the calls of each kind of operation; dropout and custom layers have none."""


def activation(name: str, alpha: float) -> tuple[str, *tuple[float, ...]]:
    """The function of the library for an activation, and its numbers."""
    if name == "leaky_relu":
        return ("leaky_relu", alpha) if alpha else ("relu",)
    if name == "elu":
        return "elu", 1.0, alpha
    if name == "selu":
        return "elu", SELU_SCALE, SELU_SCALE * SELU_ALPHA
    if name == "swish":
        special = {0.0: ("times", 0.5), 1.0: ("silu",), np.inf: ("relu",)}
        return special.get(alpha, ("swish", alpha))  # type: ignore[return-value]
    return (name,)


def in_blocks(weight: np.ndarray, ctype: str) -> np.ndarray:
    """A weight (n_in, n_out) in the order in which `dense` of the library reads it."""
    n_out = weight.shape[1]
    parts, start = [], 0
    for width in (BLOCKS[ctype], BLOCKS[ctype] // 4, 1):
        while start + width <= n_out:
            parts.append(weight[:, start : start + width].ravel())
            start += width
    return np.concatenate(parts)


def _at_edges(weight: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """The values at the edges of the bins, from the rows of a table of piecewise-linear columns."""
    edges, start = [], 0
    for size in sizes:
        rows = weight[start : start + size].astype(np.float64)
        signs = np.where(np.arange(size) < np.arange(size + 1)[:, None], 1.0, -1.0)
        edges.append(signs @ rows)
        start += size
    return np.concatenate(edges)


def _at(array: str, start: int) -> str:
    return f"{array} + {start}" if start else array


def moved(place: str, step: int) -> str:
    """A place, some elements further."""
    array, _, start = place.partition(" + ")
    return _at(array, int(start or 0) + step)
