"""The measures of predictions for known targets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn.facts import losses as facts
from fastnn.losses._tallies import ExplainedDeviance, ExplainedPinball
from fastnn.tabular.objectives import Classification, Objective, Regression

__all__ = ["explained", "of_classes", "of_numbers", "of_predictions"]


def of_predictions(objective: Objective, values: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The measures of predictions as `Objective.combine` returns them; see `Model.evaluate`.

    Parameters
    ----------
    objective : Objective
    values : (N, K) array of probabilities, or (N,) or (N, Q) array in the unit of the target
    y : (N,) array
        Indices of classes, or numbers in their unit.
    """
    if isinstance(objective, Classification):
        return of_classes(values, y)
    measures = {"loss": float(objective.losses(values, objective.encode(y)).mean())}
    if objective.name == "quantile":
        measures["pinball"] = measures["loss"] * objective.scale
        measures["d2"] = explained(objective, values, y)
        if objective.n_outputs > 1:
            inside = (values[:, 0] <= y) & (y <= values[:, -1])
            measures["coverage"] = float(inside.mean())
        return measures
    if objective.name == "absolute_error":
        measures["mae"] = measures["loss"] * objective.scale
    if objective.name == "poisson":
        with np.errstate(all="ignore"):  # of the logarithm of a count of 0, which is not used
            measures["deviance"] = float(_deviance_of_counts(np, np.log(values), y).mean())
        measures["d2"] = explained(objective, values, y)
    return measures | of_numbers(values, y, objective.scale)


def explained(
    objective: Regression, values: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """D^2 of quantiles or rates: the share of the loss of a constant that they avoid.

    That of several quantiles is the mean.

    Parameters
    ----------
    objective : Regression
        With the loss "quantile" or "poisson".
    values : (N,) or (N, Q) array
    y : (N,) array
    weights : (N,) array, optional
    """
    weights = np.ones(len(y)) if weights is None else weights
    if objective.name == "poisson":
        tally = ExplainedDeviance(_deviance_of_counts, math.log)
        tally.add(np.log(values), y, weights)
        return tally.score()
    scores = []
    for level, column in zip(objective.quantiles, values.reshape(len(y), -1).T, strict=True):
        pinball = ExplainedPinball(level)
        pinball.add(column, y, weights)
        scores.append(pinball.score())
    return float(np.mean(scores))


def _deviance_of_counts(np: Any, logarithms: Any, y: Any) -> Any:
    """The unit deviances of counts from rates whose logarithms are known."""
    deviance = facts.LOSSES["poisson"].deviance
    assert deviance is not None
    return deviance(np, logarithms, y)


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
