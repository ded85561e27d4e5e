"""Names and layout of parameters in PyTorch, without PyTorch.

A module stands for each operation of a program.  A chain of layers that have automatic names is
numbered, as `torch.nn.Sequential` does it; in every other network modules have the names of
layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastnn.formats._program import Portable
from fastnn.program import Operation

KEYS = {
    "dense": {"weight": "weight", "bias": "bias"},
    "layer_norm": {"scale": "weight", "shift": "bias"},
    "embedding": {"table": "weight"},
    "piecewise_linear": {"table": "weight"},
    "scale": {"gain": "scale"},
    "activation": {"parameter": "beta"},
}
"""What PyTorch calls the parameters of an operation, by their roles."""

RESERVED = frozenset({
    "T_destination", "add_module", "add_submodule", "append", "apply", "bfloat16", "bind",
    "buffers", "call_super_init", "children", "code", "compile", "cpu", "cuda",
    "delete_all_unused_submodules", "delete_submodule", "double", "dump_patches", "eval",
    "extend", "extra_repr", "float", "forward", "get_buffer", "get_extra_state",
    "get_parameter", "get_submodule", "graph", "half", "insert", "ipu", "load_state_dict",
    "meta", "modules", "mtia", "named_buffers", "named_children", "named_modules",
    "named_parameters", "parameters", "pop", "print_readable", "recompile",
    "register_backward_hook", "register_buffer", "register_forward_hook",
    "register_forward_pre_hook", "register_full_backward_hook",
    "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter",
    "register_state_dict_post_hook", "register_state_dict_pre_hook", "requires_grad_",
    "set_extra_state", "set_submodule", "shape_env", "share_memory", "state_dict", "to",
    "to_empty", "to_folder", "train", "training", "type", "xpu", "zero_grad",
})  # fmt: skip
"""Attributes of the modules of PyTorch, which no module inside them may be called."""


@dataclass(frozen=True)
class Place:
    """Where PyTorch has a parameter.

    Attributes
    ----------
    name : str
        Its name in a state dict, such as ``0.weight``.
    is_transposed : bool
        Whether its layout is (n_out, n_in): that of the weights of dense layers.
    """

    name: str
    is_transposed: bool

    def outside(self, values: np.ndarray) -> np.ndarray:
        """The values in the layout of PyTorch, C-contiguous."""
        return np.ascontiguousarray(values.T if self.is_transposed else values)

    def inside(self, values: np.ndarray) -> np.ndarray:
        """The values in the layout of fastnn; a view."""
        return values.T if self.is_transposed else values


def module_names(portable: Portable) -> tuple[str, ...]:
    """The name of the module of each operation; calls of one layer share theirs."""
    names = list(_names_by_layer(portable))
    is_chain = portable.is_chain and len(set(names)) == len(names)
    if is_chain and all(map(_is_automatic, names, portable.program.operations)):
        return tuple(map(str, range(len(names))))
    return tuple(map(_allowed, names))


def places(portable: Portable) -> dict[str, Place]:
    """Where PyTorch has each parameter of the program, by name."""
    result: dict[str, Place] = {}
    operations = portable.program.operations
    for operation, module in zip(operations, module_names(portable), strict=True):
        for role, name in portable.parameter_names(operation).items():
            place = Place(f"{module}.{KEYS[operation.kind][role]}", role == "weight")
            result.setdefault(name, place)
    return result


def _names_by_layer(portable: Portable) -> Iterator[str]:
    """The name of the layer of each operation, with that of the function it ends in."""
    buffers = portable.program.buffers
    dense: set[str] = set()
    for operation in portable.program.operations:
        layer, _, role = buffers[operation.output].name.rpartition(".")
        layer = layer.partition(":")[0]
        if role == "Z":
            dense.add(layer)
        yield f"{layer}_{function_of(operation)}" if role == "A" and layer in dense else layer


def function_of(operation: Operation) -> str:
    """The name of the function that an operation computes."""
    return str(operation.attributes.get("function", operation.kind))


def _is_automatic(name: str, operation: Operation) -> bool:
    """Whether a network named the layer of an operation."""
    kind = function_of(operation)
    return re.fullmatch(rf"{kind}_\d+|dense_\d+_{kind}", name) is not None


def _allowed(name: str) -> str:
    """A name that a module of PyTorch may have."""
    if name.startswith("_"):
        name = f"layer{name}"
    return f"{name}_" if name in RESERVED else name
