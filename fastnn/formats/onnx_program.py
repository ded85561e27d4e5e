"""Programs as nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.formats._program import Portable
from fastnn.formats.onnx_nodes import Nodes
from fastnn.formats.onnx_operations import Call, lowest_opset, write_operation


def lowest_opset_of(source: Portable) -> int:
    """The lowest opset that has the operators of a program."""
    double = source.program.dtype == np.float64
    return max(
        lowest_opset(operation.kind, operation.attributes, len(operation.parameters), double)
        for operation in source.program.operations
    )


def add_program(
    nodes: Nodes,
    source: Portable,
    inputs: Sequence[str],
    outputs: Sequence[str | None],
    prefix: str = "",
) -> list[str]:
    """Add the nodes and parameters of a program.

    Parameters
    ----------
    nodes : Nodes
    source : Portable
    inputs : sequence of str
        Names of the values that the program reads.
    outputs : sequence of str or None
        Names of the values that it is to make; None for any name.
    prefix : str, default ""
        Begins the names of its parameters.

    Returns
    -------
    list of str
        Names of the values of the outputs.
    """
    program = source.program
    values = dict(zip(program.inputs, inputs, strict=True))
    own = dict(zip(program.outputs, outputs, strict=True))
    for operation in program.operations:
        if operation.kind == "dropout":
            values[operation.output] = values[operation.inputs[0]]
            continue
        buffer = operation.output
        values[buffer] = own.get(buffer) or nodes.free(program.buffers[buffer].name)
        parameters = source.parameter_names(operation)
        names = {
            role: nodes.parameter(prefix + name, source.values[name])
            for role, name in parameters.items()
        }
        shapes = {role: source.values[name].shape for role, name in parameters.items()}
        read_values = [values[i] for i in operation.inputs]
        call = Call(read_values, values[buffer], names, shapes, operation.attributes)
        write_operation(nodes, operation.kind, call)
    for buffer, output in own.items():
        if output is not None and values[buffer] != output:  # that of a dropout
            values[buffer] = nodes.add("Identity", [values[buffer]], output)
    return [values[buffer] for buffer in program.outputs]
