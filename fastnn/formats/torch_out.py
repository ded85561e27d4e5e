"""Networks as modules of PyTorch."""

from __future__ import annotations

import io
import keyword
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from fastnn._shared.safetensors import File, path_of
from fastnn._shared.writing import check_destination, is_file_object, write_file
from fastnn.formats._program import Portable, read
from fastnn.formats.torch_names import Place, module_names, places
from fastnn.network import Network
from fastnn.program import Operation

SOFTPLUS_THRESHOLD = 40.0
"""Beyond it PyTorch takes softplus(x) for x; exp(-40) is below every rounding of x."""


def to_torch(net: Network, path: File | None = None) -> Any:
    """A module of PyTorch that computes what a network computes.

    Parameters
    ----------
    net : Network
    path : str, path-like or binary file object, optional
        Where to write the module as well, as a program of `torch.export` for any number of rows:
        ``torch.export.load(path).module()`` computes it (a name in .pt2).

    Returns
    -------
    torch.nn.Module
        A `torch.nn.Sequential` if the network is a chain.  For every other graph a
        `torch.fx.GraphModule`, whose `forward` takes the inputs in their order and returns the
        output, a tuple of several outputs, or a dict if the outputs have names.  Its `code` is
        readable, and neither needs fastnn.  The module is in evaluation mode; call ``train()``
        before training it.  Frozen layers do not require gradients.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError, ValueError
        If it is no network, has a custom layer, or has a parameter that is not finite.
    OSError
        If the file cannot be written.

    Notes
    -----
    Modules of a chain are numbered, those of other networks have the names of layers; a chain
    whose layers the user named has these names too.  The weight of a dense layer is (n_out, n_in)
    in PyTorch.  The parameters are copies.

    Examples
    --------
    >>> net = fastnn.Sequential([fastnn.Dense(4, 8, activation="relu"), fastnn.Dense(8, 2)])
    >>> module = fastnn.formats.to_torch(net)  # doctest: +SKIP
    >>> [name for name, _ in module.named_parameters()]  # doctest: +SKIP
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """
    from fastnn.formats.torch_modules import WIDTHS, torch

    portable = read(net, "PyTorch")
    names = module_names(portable)
    maker = _Maker(torch, portable)
    modules = {
        name: maker.module(operation)
        for name, operation in zip(names, portable.program.operations, strict=True)
        if operation.kind not in _FUNCTIONS
    }
    if portable.is_chain and len(modules) == len(names):
        whole = torch.nn.Sequential()
        for name, module in modules.items():
            whole.add_module(name, module)
    else:
        keys = portable.outputs if net.core.outputs_are_named else None
        graph = _graph(torch, portable, names, keys)
        whole = torch.fx.GraphModule(modules, graph, class_name=net.kind)
        names_of_inputs = [n.target for n in graph.nodes if n.op == "placeholder"]
        columns = [portable.program.buffers[i].width for i in portable.program.inputs]
        whole.meta[WIDTHS] = dict(zip(names_of_inputs, columns, strict=True))
    whole.train(False)
    if path is not None:
        _write(torch, whole, portable, path)
    return whole


def _write(torch: Any, module: Any, portable: Portable, path: File) -> None:
    """Write a module as a program of `torch.export`."""
    if not is_file_object(path):
        check_destination(path_of(path))
    program = portable.program
    rows, kind = torch.export.Dim("rows"), getattr(torch, program.dtype.name)
    examples = tuple(torch.zeros(2, program.buffers[i].width, dtype=kind) for i in program.inputs)
    exported = torch.export.export(
        module, examples, dynamic_shapes=tuple({0: rows} for _ in examples)
    )
    contents = io.BytesIO()
    torch.export.save(exported, contents)
    write_file(path, [contents.getvalue()])


def _graph(
    torch: Any, portable: Portable, names: tuple[str, ...], keys: tuple[str, ...] | None
) -> Any:
    """The graph of a program: calls of modules, and of functions for merges."""
    graph, program = torch.fx.Graph(), portable.program
    nodes: dict[int, Any] = {}
    for index, name in zip(program.inputs, _identifiers(portable.inputs), strict=True):
        nodes[index] = graph.placeholder(name)
    for name, operation in zip(names, program.operations, strict=True):
        sources = [nodes[i] for i in operation.inputs]
        merge = _FUNCTIONS.get(operation.kind)
        if merge is None:
            node = graph.call_module(name, tuple(sources))
        else:
            node = merge(torch, graph, sources)
        nodes[operation.output] = node
    outputs = [nodes[i] for i in program.outputs]
    if keys is not None:
        graph.output(dict(zip(keys, outputs, strict=True)))
    else:
        graph.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
    return graph


def _identifiers(names: Sequence[str]) -> list[str]:
    """Names of arguments in Python for inputs."""
    result: list[str] = []
    for name in names:
        clean = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
        if not clean.isidentifier() or keyword.iskeyword(clean) or clean in ("self", "torch"):
            clean = f"input_{clean}"
        while clean in result:
            clean += "_"
        result.append(clean)
    return result


Merge = Callable[[Any, Any, list[Any]], Any]


def _pairwise(function: str) -> Merge:
    """A merge that applies a function of two inputs to one after the other."""

    def merge(torch: Any, graph: Any, sources: list[Any]) -> Any:
        apply = getattr(torch, function)
        return reduce(lambda a, b: graph.call_function(apply, (a, b)), sources)

    return merge


def _average(torch: Any, graph: Any, sources: list[Any]) -> Any:
    total = _pairwise("add")(torch, graph, sources)
    return graph.call_function(torch.div, (total, len(sources)))


def _concatenate(torch: Any, graph: Any, sources: list[Any]) -> Any:
    return graph.call_function(torch.cat, (sources, 1))


_FUNCTIONS: Mapping[str, Merge] = {
    "add": _pairwise("add"),
    "subtract": _pairwise("sub"),
    "multiply": _pairwise("mul"),
    "average": _average,
    "concatenate": _concatenate,
}
"""The merges that PyTorch has as functions."""


class _Maker:
    """Makes the modules of a program's operations."""

    def __init__(self, torch: Any, portable: Portable) -> None:
        self._torch, self._portable = torch, portable
        self._places: Mapping[str, Place] = places(portable)
        self._trained = {p.name: p.trainable for p in portable.program.parameters}

    def module(self, operation: Operation) -> Any:
        """The module of an operation: one of PyTorch's where there is one."""
        from fastnn.formats.torch_modules import as_module

        parameters = {
            role: self._parameter(name)
            for role, name in self._portable.parameter_names(operation).items()
        }
        module = self._native(operation, parameters)
        return as_module(operation, parameters) if module is None else module

    def _parameter(self, name: str) -> Any:
        torch = self._torch
        values = self._places[name].outside(self._portable.values[name])
        tensor = torch.from_numpy(np.array(values))
        return torch.nn.Parameter(tensor, requires_grad=self._trained[name])

    def _native(self, operation: Operation, parameters: Mapping[str, Any]) -> Any:
        """The module of PyTorch for an operation, or None."""
        nn, attributes = self._torch.nn, operation.attributes
        if operation.kind == "activation":
            return self._activation(operation)
        if operation.kind in ("softmax", "log_softmax"):
            return nn.Softmax(-1) if operation.kind == "softmax" else nn.LogSoftmax(-1)
        if operation.kind == "dropout":
            return nn.Dropout(attributes["rate"])
        if operation.kind == "dense":
            weight, bias = parameters["weight"], parameters.get("bias")
            module = self._empty(nn.Linear, weight.shape[1], weight.shape[0], bias is not None)
            return _filled(module, weight=weight, bias=bias)
        if operation.kind != "layer_norm" or (attributes["shift"] and not attributes["scale"]):
            return None
        width = self._portable.program.buffers[operation.output].width
        module = self._empty(
            nn.LayerNorm, width, attributes["epsilon"], attributes["scale"], attributes["shift"]
        )
        return _filled(module, weight=parameters.get("scale"), bias=parameters.get("shift"))

    def _activation(self, operation: Operation) -> Any:
        """A module of an elementwise function, or None."""
        nn, attributes = self._torch.nn, operation.attributes
        function, alpha = attributes["function"], attributes.get("alpha")
        if function == "leaky_relu":
            return nn.LeakyReLU(alpha)
        if function == "elu":
            return nn.ELU(alpha)
        if function == "softplus":
            return nn.Softplus(1.0, SOFTPLUS_THRESHOLD)
        if function in ("gelu", "gelu_tanh"):
            return nn.GELU("none" if function == "gelu" else "tanh")
        if function == "swish" and alpha != 1:
            return None
        name = _MODULES.get(function)
        return None if name is None else getattr(nn, name)()

    def _empty(self, module: Any, *arguments: Any) -> Any:
        """A module whose parameters are not drawn, so that no random number is taken."""
        return self._torch.nn.utils.skip_init(module, *arguments)


_MODULES = {
    "identity": "Identity",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "ReLU",
    "swish": "SiLU",
    "hard_swish": "Hardswish",
    "selu": "SELU",
    "mish": "Mish",
    "softsign": "Softsign",
}
"""The modules of PyTorch for activations without parameters."""


def _filled(module: Any, **parameters: Any) -> Any:
    """The module with parameters in place of its own."""
    for name, parameter in parameters.items():
        if parameter is not None:
            setattr(module, name, parameter)
    return module
