"""Layers that merge several branches into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn.facts import operations
from fastnn.layers._base import Layer
from fastnn.layers._tensor import Tensor
from fastnn.program import ProgramBuilder


def call_on_list(layer: Layer, x: object, training: bool) -> Any:
    """Apply a layer with several inputs to a list of tensors or to a list of arrays.

    Raises
    ------
    TypeError, ValueError
        If x is not a list, mixes tensors and arrays, or does not fit the layer.
    """
    name = type(layer).__name__
    if not isinstance(x, (list, tuple)):
        raise TypeError(f"{name} takes a list of inputs, got {type(x).__name__}")
    symbolic = [isinstance(part, Tensor) for part in x]
    if x and all(symbolic):
        return layer.connect(x)
    if any(symbolic):
        others = {type(part).__name__ for part in x if not isinstance(part, Tensor)}
        raise TypeError(
            f"layer {layer.label} takes tensors or arrays, "
            f"got tensors and {', '.join(sorted(others))} in one list"
        )
    layer.check_count(len(x))
    for part in x:
        layer._refuse_symbols(part)
    return layer._compute(x, [f"x[{i}]" for i in range(len(x))], training)


class Merge(Layer):
    """Base class of the layers that take a list of inputs.

    Parameters
    ----------
    name, dtype
        See `Layer`.
    """

    def __init__(self, *, name: str | None = None, dtype: DTypeLike | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def __call__(self, x: object, training: bool = True) -> Any:
        """Merge a list of tensors, or a list of arrays.

        Parameters
        ----------
        x : sequence of Tensor, or sequence of (N, width) array_like
        training : bool, default True
            For arrays: True keeps the values that `backward` needs.

        Returns
        -------
        Tensor or array
            A tensor for tensors; for arrays, a new array.

        Raises
        ------
        TypeError, ValueError
            If x is not a list of at least two inputs (exactly two for differences)
            whose widths fit, or mixes tensors and arrays.
        """
        return call_on_list(self, x, training)

    def backward(self, dy: object) -> tuple[np.ndarray, ...]:
        """Gradients of the last call on arrays: one for each input.

        Parameters
        ----------
        dy : (N, n_out) or (n_out,) array_like

        Returns
        -------
        tuple of array

        Raises
        ------
        RuntimeError
            If the layer has not been called on arrays with training=True.
        """
        return tuple(self._backward(dy))

    def output_width(self, widths: Sequence[int], labels: Sequence[str]) -> int:
        """The common width of all inputs; ValueError if widths differ."""
        if len(set(widths)) > 1:
            listed = ", ".join(f"{w} from {label}" for w, label in zip(widths, labels, strict=True))
            raise ValueError(f"layer {self.label} takes inputs of equal width, got {listed}")
        return widths[0]

    def emit(
        self,
        builder: ProgramBuilder,
        name: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
    ) -> int:
        """Append the merge; its output is the buffer ``<name>.A``."""
        return builder.add(self.kind, inputs, f"{name}.A")

    def check_count(self, n: int) -> None:
        """Raise ValueError if the layer does not accept `n` inputs."""
        operations.get(self.kind).check_count(n, f"layer {self.label}")


class Add(Merge):
    """The sum of the inputs."""

    kind = "add"


class Subtract(Merge):
    """The first input minus the second."""

    kind = "subtract"


class Multiply(Merge):
    """The product of the inputs, element by element."""

    kind = "multiply"


class Average(Merge):
    """The mean of the inputs."""

    kind = "average"


class AbsDifference(Merge):
    """|a - b|, the absolute difference; the derivative at a = b is defined as 0."""

    kind = "absolute_difference"


class Concatenate(Merge):
    """The inputs side by side; their widths may differ."""

    kind = "concatenate"

    def output_width(self, widths: Sequence[int], labels: Sequence[str]) -> int:
        """The sum of the widths."""
        return sum(widths)
