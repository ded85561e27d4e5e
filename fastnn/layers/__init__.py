"""Layers: declarations of shapes, parameters and operations.

A layer that is called on a tensor (an `Input`, or the output of another layer) builds a
graph; a layer that is called on an array computes at once.
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
from fastnn.layers._scale import Scale
from fastnn.layers._tables import Embedding, PiecewiseLinear
from fastnn.layers._tensor import Input, Tensor

CLASSES: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        Dense, Dropout, Embedding, LayerNorm, PiecewiseLinear, Scale,
        AbsDifference, Add, Average, Concatenate, Multiply, Subtract,
        *(getattr(_activations, name) for name in _activations.__all__),
    )
}  # fmt: skip
"""The layers that a saved network may contain, by class name."""

__all__ = [
    "CLASSES",
    "AbsDifference",
    "Add",
    "Average",
    "Concatenate",
    "CustomLayer",
    "Dense",
    "Dropout",
    "Embedding",
    "Input",
    "Layer",
    "LayerNorm",
    "Merge",
    "Multiply",
    "PiecewiseLinear",
    "Scale",
    "Subtract",
    "Tensor",
]
__all__ += _activations.__all__
