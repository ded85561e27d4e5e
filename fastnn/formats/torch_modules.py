"""Operations that no module of PyTorch computes, as modules.

`as_module` returns their traces, which are modules of PyTorch alone: who loads them needs no
fastnn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    import torch
    import torch.fx
    from torch.nn import functional
except ImportError as error:
    raise ImportError("this needs PyTorch 2.2 or newer: pip install 'fastnn[torch]'") from error

from fastnn.program import Operation

MARK = "fastnn"
"""The entry of the `meta` of a module that says which operation it is."""

WIDTHS = "fastnn.widths"
"""The entry of the `meta` of a graph that has the numbers of columns of its inputs."""


class Swish(torch.nn.Module):
    """x sigmoid(beta x); `beta` is a number or a parameter."""

    def __init__(self, operation: Operation, parameter: Any = None) -> None:
        super().__init__()
        self.beta = operation.attributes["alpha"] if parameter is None else parameter

    def forward(self, x: Any) -> Any:
        """The output."""
        return x * torch.sigmoid(self.beta * x)


class BinaryStep(torch.nn.Module):
    """1 where x >= 0, else 0."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """The output."""
        return torch.ge(x, 0).type_as(x)


class ZeroIndicator(torch.nn.Module):
    """1 where x is 0, else 0."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """The output."""
        return torch.eq(x, 0).type_as(x)


class Shifted(torch.nn.Module):
    """Layer normalisation with a shift and without a scale."""

    def __init__(self, operation: Operation, shift: Any) -> None:
        super().__init__()
        self.epsilon = operation.attributes["epsilon"]
        self.width = len(shift)
        self.bias = shift

    def forward(self, x: Any) -> Any:
        """The output."""
        return functional.layer_norm(x, (self.width,), None, self.bias, self.epsilon)


class Scale(torch.nn.Module):
    """x times a gain for each column."""

    def __init__(self, operation: Operation, gain: Any) -> None:
        super().__init__()
        self.scale = gain

    def forward(self, x: Any) -> Any:
        """The output."""
        return x * self.scale


class Embedding(torch.nn.Module):
    """The vectors of codes; a number out of range has the vector of the nearest code."""

    def __init__(self, operation: Operation, table: Any) -> None:
        super().__init__()
        self.sizes = list(operation.attributes["sizes"])
        self.is_sum = operation.attributes["combine"] == "sum"
        self.weight = table

    def forward(self, x: Any) -> Any:
        """The output."""
        codes = x.long()
        last = codes.new_tensor([size - 1 for size in self.sizes])
        codes = torch.minimum(codes.clamp(min=0), last)
        vectors = functional.embedding(codes + codes.new_tensor(_starts(self.sizes)), self.weight)
        return vectors.sum(1) if self.is_sum else vectors.flatten(1)


class PiecewiseLinear(torch.nn.Module):
    """The sum over k of (2 min(max(x - k, 0), 1) - 1) W_k for each column."""

    def __init__(self, operation: Operation, table: Any) -> None:
        super().__init__()
        self.bins = list(operation.attributes["sizes"])
        self.is_sum = operation.attributes["combine"] == "sum"
        self.weight = table

    def forward(self, x: Any) -> Any:
        """The output."""
        tables = torch.split(self.weight, self.bins)
        vectors = []
        for j, n in enumerate(self.bins):
            within = x[:, j : j + 1] - x.new_tensor(list(range(n)))
            vectors.append((2 * within.clamp(0, 1) - 1) @ tables[j])
        return sum(vectors[1:], vectors[0]) if self.is_sum else torch.cat(vectors, 1)


class AbsoluteDifference(torch.nn.Module):
    """|a - b|."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()

    def forward(self, a: Any, b: Any) -> Any:
        """The output."""
        return torch.abs(a - b)


_OF_ACTIVATIONS = {"swish": Swish, "binary_step": BinaryStep, "zero_indicator": ZeroIndicator}
_OF_KINDS = {
    "layer_norm": Shifted,
    "scale": Scale,
    "embedding": Embedding,
    "piecewise_linear": PiecewiseLinear,
    "absolute_difference": AbsoluteDifference,
}


def as_module(operation: Operation, parameters: Mapping[str, Any]) -> Any:
    """A module of an operation, which says in its `meta` which operation it is.

    Parameters
    ----------
    operation : Operation
    parameters : mapping of str to torch.nn.Parameter
        By role.
    """
    kinds: Mapping[str, Any] = _OF_KINDS
    if operation.kind == "activation":
        kinds, name = _OF_ACTIVATIONS, operation.attributes["function"]
    else:
        name = operation.kind
    module = torch.fx.symbolic_trace(kinds[name](operation, **parameters))
    module.meta[MARK] = {"kind": operation.kind, **operation.attributes}
    return module


def _starts(sizes: list[int]) -> list[int]:
    """Where the rows of each column begin in a table."""
    starts = [0]
    for size in sizes[:-1]:
        starts.append(starts[-1] + size)
    return starts
