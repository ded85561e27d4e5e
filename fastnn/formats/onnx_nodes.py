"""The nodes of an ONNX graph that is written: names, constants and operators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

OLDEST = 9
"""The lowest opset that is written: `Erf` and `Sign` are as old, broadcasting is older."""


def library() -> Any:
    """The module `onnx`; ImportError names the extra to install."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError('ONNX needs the package onnx: pip install "fastnn[onnx]"') from error
    return onnx


@cache
def since(operator: str) -> int:
    """The lowest opset that has an operator."""
    versions = [
        schema.since_version
        for schema in library().defs.get_all_schemas_with_history()
        if schema.name == operator and not schema.domain
    ]
    return int(min(versions))


class Nodes:
    """Nodes in the order in which they are added, with their constants.

    Parameters
    ----------
    dtype : dtype
        float32 or float64: that of constants and of values.
    opset : int
    taken : iterable of str
        Names of values that nodes must not make.
    """

    def __init__(self, dtype: np.dtype, opset: int, taken: Iterable[str] = ()) -> None:
        self.onnx = library()
        self.dtype = dtype
        self.opset = opset
        self.nodes: list[Any] = []
        self.initializers: dict[str, np.ndarray] = {}
        self.owner = "graph"  # of what is added next: names begin with it
        self._taken = set(taken)
        self._numbers: dict[float, str] = {}

    @property
    def is_double(self) -> bool:
        """Whether values are float64, for which runtimes have fewer operators."""
        return self.dtype == np.float64

    def in_dtype(self, dtype: np.dtype | type) -> Nodes:
        """More nodes of the same graph, with constants of another dtype."""
        other = Nodes(np.dtype(dtype), self.opset)
        other.nodes, other.initializers = self.nodes, self.initializers
        other._taken = self._taken
        return other

    def free(self, name: str) -> str:
        """A name for a value that no other value has."""
        candidate, n = name, 1
        while candidate in self._taken:
            n += 1
            candidate = f"{name}_{n}"
        self._taken.add(candidate)
        return candidate

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str | None = None,
        outputs: int = 1,
        **attributes: Any,
    ) -> str:
        """Add a node; returns the name of its first output.

        Parameters
        ----------
        operator : str
        inputs : sequence of str
        output : str, optional
            A name that is reserved for it; by default a free one.
        outputs : int, default 1
            How many outputs the operator has.
        **attributes
            Of the node.
        """
        output = output if output is not None else self.free(f"{self.owner}/{operator}")
        made = [output, *(self.free(f"{output}/{i}") for i in range(1, outputs))]
        node = self.onnx.helper.make_node(operator, list(inputs), made, output, **attributes)
        self.nodes.append(node)
        return output

    def chain(self, operator: str, inputs: Sequence[str], output: str | None = None) -> str:
        """Add nodes of an operator with two inputs, from the first input to the last."""
        value = inputs[0]
        for i, other in enumerate(inputs[1:], 2):
            value = self.add(operator, [value, other], output if i == len(inputs) else None)
        return value

    def constant(self, name: str, values: np.ndarray) -> str:
        """Add an array of the operation that is written; returns its name."""
        name = self.free(f"{self.owner}/{name}")
        self.initializers[name] = values
        return name

    def parameter(self, name: str, values: np.ndarray) -> str:
        """The name of a parameter, added at its first use."""
        self._taken.add(name)
        self.initializers.setdefault(name, values)
        return name

    def number(self, value: float) -> str:
        """The name of a constant number, in the dtype of the graph; equal ones are one constant."""
        if value not in self._numbers:
            self._numbers[value] = self._add_number(value)
        return self._numbers[value]

    def _add_number(self, value: float) -> str:
        name = self.free(f"number_{value!r}")
        self.initializers[name] = np.array(value, self.dtype)
        return name

    def reshape(self, value: str, shape: Sequence[int], output: str | None = None) -> str:
        """Add a node that reshapes; 0 stands for the length there was, -1 for what remains."""
        target = self.constant("shape", np.array(shape, np.int64))
        return self.add("Reshape", [value, target], output)

    def reduce(self, operator: str, value: str, keep: bool, output: str | None = None) -> str:
        """Add ReduceSum or ReduceMean over the columns, axis 1."""
        if self.opset < (13 if operator == "ReduceSum" else 18):
            return self.add(operator, [value], output, axes=[1], keepdims=int(keep))
        axes = self.constant("axes", np.array([1], np.int64))
        return self.add(operator, [value, axes], output, keepdims=int(keep))
