"""Networks: a graph of layers, its parameters, its engine, and what users do with them."""

from __future__ import annotations

from fastnn.network._check import check_gradients
from fastnn.network._load import load
from fastnn.network._monte_carlo import Prediction
from fastnn.network._network import CLASSES, Network
from fastnn.network._predictor import Predictor
from fastnn.network._sequential import Sequential

__all__ = [
    "CLASSES",
    "Network",
    "Prediction",
    "Predictor",
    "Sequential",
    "check_gradients",
    "load",
]
