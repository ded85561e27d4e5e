"""Networks: a graph of layers, its parameters, its engine, and what users do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn._shared.lazy import importer
from fastnn.network._load import load
from fastnn.network._monte_carlo import Prediction
from fastnn.network._network import CLASSES, Network
from fastnn.network._precision import PrecisionReport
from fastnn.network._predictor import Predictor
from fastnn.network._sequential import Sequential

if TYPE_CHECKING:
    from fastnn.network._check import check_gradients
else:
    __getattr__ = importer(__name__, {"check_gradients": "fastnn.network._check"})

__all__ = [
    "CLASSES",
    "Network",
    "PrecisionReport",
    "Prediction",
    "Predictor",
    "Sequential",
    "check_gradients",
    "load",
]
