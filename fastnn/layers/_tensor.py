"""Symbolic tensors: the edges of a graph."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._shared.numbers import check_integer

if TYPE_CHECKING:
    from fastnn.layers._base import Layer

_creation = itertools.count()


class Tensor:
    """A symbolic matrix in a graph: one row for each sample, and no values.

    A call of a layer on tensors returns a tensor; an `Input` is the start of a graph.  Tensors
    are immutable and are made from existing tensors, so a graph has no cycle.

    Attributes
    ----------
    width : int
        Number of columns.
    layer : Layer or None
        The layer whose output the tensor is; None for an `Input`.
    inputs : tuple of Tensor
        The inputs of this call of the layer.
    order : int
        Serial number: a tensor has a larger one than its inputs.
    """

    __slots__ = ("__weakref__", "inputs", "layer", "order", "width")
    inputs: tuple[Tensor, ...]
    layer: Layer | None
    order: int
    width: int

    def __init__(
        self, width: int, layer: Layer | None = None, inputs: tuple[Tensor, ...] = ()
    ) -> None:
        self._set(width=width, layer=layer, inputs=inputs, order=next(_creation))

    def _set(self, **attributes: Any) -> None:
        """Set attributes in the constructor."""
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"cannot set {name} of the tensor from {self.label}: tensors cannot be changed; "
            "call a layer to make a new one"
        )

    @property
    def label(self) -> str:
        """Name of the tensor in error messages."""
        return "an input" if self.layer is None else self.layer.label

    def __repr__(self) -> str:
        return f"<Tensor of width {self.width} from {self.label}>"


class Input(Tensor):
    """An input of a network.

    Parameters
    ----------
    width : int
        Number of features of a sample.
    name : str, optional
        Name of the input.  A network names unnamed inputs input_1, input_2...
    """

    __slots__ = ("name",)
    name: str | None

    def __init__(self, width: int, name: str | None = None) -> None:
        super().__init__(check_integer(width, "width", 1))
        self._set(name=check_name(name))

    @property
    def label(self) -> str:
        """Name of the tensor in error messages."""
        return repr(self.name) if self.name else repr(self)

    def __repr__(self) -> str:
        named = f", name={self.name!r}" if self.name else ""
        return f"Input({self.width}{named})"


def check_name(name: object) -> str | None:
    """A checked name of a layer, input or output, or None.

    Raises
    ------
    TypeError, ValueError
        If the name is not a string of letters, digits, underscores, hyphens and
        spaces (dots and colons separate the parts of buffer names).
    """
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    if not name or not all(c.isalnum() or c in "_- " for c in name):
        raise ValueError(
            f"name is {name!r}, expected letters, digits, underscores, hyphens and spaces"
        )
    return name


_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def check_dtype(dtype: Any) -> np.dtype:
    """float32 or float64 as a dtype in native byte order.

    Raises
    ------
    TypeError
        For any other dtype.
    """
    try:
        native = np.dtype(dtype)
    except TypeError:
        native = None
    # A dtype equals None if it is float64: only dtypes may be compared.
    if dtype is None or native is None or native not in _DTYPES:
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}")
    return native
