"""The measures of predictions for known targets."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["of_classes", "of_numbers"]


def of_classes(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Log loss and accuracy.

    Parameters
    ----------
    probabilities : (N, K) array
    y : (N,) array of int
        Indices of classes.
    """
    of_class = probabilities[np.arange(len(y)), y].astype(np.float64)
    tiny = np.finfo(np.float32).tiny
    return {
        "loss": float(-np.log(np.maximum(of_class, tiny)).mean()),
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == y)),
    }


def of_numbers(predictions: np.ndarray, y: np.ndarray, scale: float) -> dict[str, float]:
    """Squared errors, and the share of the variance that is explained; nan where undefined.

    Parameters
    ----------
    predictions, y : (N,) array
        In the unit of the target.
    scale : float
        Standard deviation of the target in the rows of the training.
    """
    squares = float(np.mean((predictions - y) ** 2))
    variance = float(np.var(y))
    return {
        "r2": 1 - squares / variance if variance > 0 else math.nan,
        "mse": squares / scale**2,
        "rmse": math.sqrt(squares),
    }
