"""Layers: declarations of shapes, parameters and the operations they contribute.

A layer called on a tensor (`Input`, or what another layer returned) builds a
graph; called on an array it computes at once.
"""

from __future__ import annotations

from fastnn.layers import _activations
from fastnn.layers._activations import *
from fastnn.layers._base import Layer
from fastnn.layers._custom import CustomLayer
from fastnn.layers._dense import Dense
from fastnn.layers._dropout import Dropout
from fastnn.layers._layer_norm import LayerNorm
from fastnn.layers._merges import (
    AbsDifference,
    Add,
    Average,
    Concatenate,
    Merge,
    Multiply,
    Subtract,
)
from fastnn.layers._tensor import Input, Tensor

CLASSES: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        Dense, Dropout, LayerNorm, AbsDifference, Add, Average, Concatenate, Multiply, Subtract,
        *(getattr(_activations, name) for name in _activations.__all__),
    )
}  # fmt: skip
"""The layers a saved network may hold, by class name."""

__all__ = [
    "CLASSES",
    "AbsDifference",
    "Add",
    "Average",
    "Concatenate",
    "CustomLayer",
    "Dense",
    "Dropout",
    "Input",
    "Layer",
    "LayerNorm",
    "Merge",
    "Multiply",
    "Subtract",
    "Tensor",
]
__all__ += _activations.__all__
