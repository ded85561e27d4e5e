"""The table that describes a network."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn import backend
from fastnn._shared.text import titled
from fastnn.facts import precisions
from fastnn.graph import Graph, untrainable
from fastnn.network._core import Core
from fastnn.network._factors import shown
from fastnn.network._heads import LossOnOutput


def summary(core: Core, title: str) -> str:
    """The table of the calls, then parameters, outputs with their losses, and the optimizer."""
    program = core.program
    trainable = sum(p.size for p in program.parameters if p.trainable)
    lines = [*table(core.graph), f"{title}, backend {core.backend}"]
    lines.append(f"{program.n_parameters:,} parameters, {trainable:,} of them trainable")
    lines += ends(core.graph, core.output_names, core.heads)
    if core.optimizer is not None:
        penalty = f", l2={program.l2:g}" if program.l2 else ""
        lines.append(f"optimizer {core.optimizer!r}{penalty}")
        lines += shown(program)
    lines += products(core)
    return "\n".join(lines)


def products(core: Core) -> list[str]:
    """Lines that say what is multiplied in which precision, where that is not the dtype."""
    program, row = core.program, precisions.get(core.program.precision)
    if not row.multiplicand:
        return []
    names: dict[bool, list[str]] = {True: [], False: []}
    for i, operation in enumerate(program.operations):
        if operation.kind == "dense":
            weight = program.parameters[operation.parameters[0]]
            shape = " x ".join(map(str, weight.shape))
            names[i in program.narrow_products].append(f"{weight.name} ({shape})")
    with backend.use(core.backend):
        isa = backend.instruction_set()
    lines = []
    if names[True]:
        how = "" if isa in row.instructions else ", without an instruction for it here: slower"
        lines.append(
            f"products in {row.name} from {row.least_rows} rows on: {', '.join(names[True])}{how}"
        )
    if names[False]:
        lines.append(
            f"products in {program.dtype}: {', '.join(names[False])} "
            f"(narrower than {row.least_width})"
        )
    return lines


def widths(core: Core) -> str:
    """The widths of inputs and outputs, such as ``4 -> 2``."""
    inputs = ", ".join(str(buffer.width) for buffer in core.feed.inputs)
    return f"{inputs} -> {', '.join(str(tensor.width) for tensor in core.graph.outputs)}"


def table(graph: Graph) -> list[str]:
    """Lines of a table with a row for each input and each call of a layer."""
    names = graph.call_names()
    _, cut = untrainable(graph)
    rows = [("name", "layer", "inputs", "width", "parameters")]
    for tensor in graph.inputs:
        rows.append((names[id(tensor)], "Input", "", str(tensor.width), ""))
    seen: set[int] = set()
    for call in graph.calls:
        layer = call.layer
        assert layer is not None
        inputs = ", ".join(names[id(tensor)] for tensor in call.inputs)
        count = ""
        if id(layer) in seen and layer.shapes:
            count = f"shared with {graph.names[id(layer)]}"
        elif layer.n_parameters:
            count = f"{layer.n_parameters:,}" + ("" if layer.trainable else " frozen")
            count += " without gradient" if graph.names[id(layer)] in cut else ""
        seen.add(id(layer))
        rows.append((names[id(call)], repr(layer), inputs, str(call.width), count))
    return titled(rows, right={rows[0].index("width")})


def ends(graph: Graph, names: Sequence[str], heads: Sequence[LossOnOutput]) -> list[str]:
    """Lines that name the layer of each output, and the loss on it after `compile`."""
    calls = graph.call_names()
    losses = {head.output: head for head in heads}
    lines = []
    for i, (name, tensor) in enumerate(zip(names, graph.outputs, strict=True)):
        line = f"output {name}" + (f" of {calls[id(tensor)]}" if calls[id(tensor)] != name else "")
        if i in losses:
            weight = losses[i].weight
            line += f": {losses[i].loss}" + ("" if weight == 1 else f" times {weight:g}")
        elif losses:
            line += ": no loss"
        lines.append(line)
    return lines
