"""Networks: a graph of layers, its parameters, its engine, and what users do with them."""

from __future__ import annotations

from fastnn.network._check import check_gradients
from fastnn.network._monte_carlo import Prediction
from fastnn.network._network import Network
from fastnn.network._predictor import Predictor
from fastnn.network._save import load
from fastnn.network._sequential import Sequential

CLASSES: dict[str, type[Network]] = {"Network": Network, "Sequential": Sequential}
"""The networks a file may hold, by class name."""

__all__ = [
    "CLASSES",
    "Network",
    "Prediction",
    "Predictor",
    "Sequential",
    "check_gradients",
    "load",
]
