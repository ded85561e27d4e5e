"""Layers: declarations of shapes, parameters and the operations they contribute.

A layer called on a tensor (`Input`, or what another layer returned) builds a
graph; called on an array it computes at once.
"""

from __future__ import annotations

from fastnn.layers._activations import (
    ELU,
    GELU,
    SELU,
    Activation,
    BinaryStep,
    HardSwish,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    ReLU,
    Sigmoid,
    Softmax,
    Softplus,
    Swish,
    Tanh,
    ZeroIndicator,
)
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
        Dense, Dropout, LayerNorm, Activation, BinaryStep, ELU, GELU, HardSwish, Identity,
        LeakyReLU, LogSoftmax, Mish, ReLU, SELU, Sigmoid, Softmax, Softplus, Swish, Tanh,
        ZeroIndicator, AbsDifference, Add, Average, Concatenate, Multiply, Subtract,
    )
}  # fmt: skip
"""The layers a saved network may hold, by class name."""

__all__ = [
    "CLASSES",
    "ELU",
    "GELU",
    "SELU",
    "AbsDifference",
    "Activation",
    "Add",
    "Average",
    "BinaryStep",
    "Concatenate",
    "CustomLayer",
    "Dense",
    "Dropout",
    "HardSwish",
    "Identity",
    "Input",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LogSoftmax",
    "Merge",
    "Mish",
    "Multiply",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Subtract",
    "Swish",
    "Tanh",
    "Tensor",
    "ZeroIndicator",
]
