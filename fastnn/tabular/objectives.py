"""Objectives: what the networks of a model learn, and what their outputs mean together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import functional
from fastnn._shared.numbers import check_choice, check_integer
from fastnn.losses import (
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    Quantile,
)
from fastnn.losses._elementwise import quantile_levels
from fastnn.tabular import stored

__all__ = ["LOSSES", "QUANTILES", "Classification", "Objective", "Regression", "from_state"]

LOSSES = ("squared_error", "absolute_error", "huber", "poisson", "quantile")
"""The losses of regression."""

QUANTILES = (0.05, 0.5, 0.95)
"""The levels of the loss "quantile" by default."""

_ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Classification:
    """Probabilities of classes, from the cross-entropy of softmax.

    Attributes
    ----------
    n_outputs : int
        Number of classes, and of outputs of a network.
    name : str
        The loss.
    """

    n_outputs: int
    name: str = field(default="cross_entropy", init=False)

    @property
    def loss(self) -> Loss:
        """The loss of a network."""
        return CrossEntropy()

    def combine(self, outputs: Sequence[np.ndarray], factor: float = 1.0) -> np.ndarray:
        """The mean of the probabilities of several networks: (N, K) float64.

        Parameters
        ----------
        outputs : sequence of (N, K) array
            Logits of each network.
        factor : float, default 1
            Factor of the logits: the reciprocal of the temperature.
        """
        total = np.empty(outputs[0].shape)
        for rows in _blocks(len(total)):
            part = functional.softmax(factor * outputs[0][rows].astype(np.float64))
            for logits in outputs[1:]:
                part += functional.softmax(factor * logits[rows].astype(np.float64))
            total[rows] = part
        total /= len(outputs)
        return total

    def losses(self, combined: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The log loss (N,) of probabilities; `y` has indices of classes."""
        likelihoods: np.ndarray = combined[np.arange(len(y)), y]
        np.maximum(likelihoods, np.finfo(np.float32).tiny, out=likelihoods)
        np.log(likelihoods, out=likelihoods)
        return np.negative(likelihoods, out=likelihoods)

    def to_state(self) -> dict[str, Any]:
        """The objective as data for JSON."""
        return {"kind": "classification", "n_outputs": self.n_outputs}


@dataclass(frozen=True)
class Regression:
    """A number, or quantiles of its distribution, standardised for the networks.

    Attributes
    ----------
    centre, scale : float
        A network learns (y - centre) / scale; with the loss "poisson", y / scale.
    low, high : float
        Range of the targets of the training; predictions are limited to it.
    name : {"squared_error", "absolute_error", "huber", "poisson", "quantile"}
        The loss.
    quantiles : tuple of float
        The levels of the loss "quantile", in ascending order; empty for other losses.
    """

    centre: float
    scale: float
    low: float
    high: float
    name: str = "squared_error"
    quantiles: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls, y: np.ndarray, name: str = "squared_error", quantiles: Any = QUANTILES
    ) -> Regression:
        """The objective for the targets of the training.

        Parameters
        ----------
        y : (N,) array of float64
        name : str
            One of `LOSSES`.
        quantiles : float or sequence of float
            Levels in (0, 1) for the loss "quantile", in ascending order.

        Raises
        ------
        TypeError, ValueError
            If a level is wrong, or the loss is "poisson" and a target is negative, or all are 0.
        """
        levels = quantile_levels(quantiles) if name == "quantile" else ()
        low, high = float(y.min()), float(y.max())
        if name == "poisson":
            if low < 0 or high == 0:
                raise ValueError(
                    "loss='poisson' needs targets >= 0 that are not all 0, got "
                    f"values from {low:g} to {high:g}"
                )
            return cls(0.0, float(y.mean()), low, high, name)
        # Squares of extreme values overflow: standardise a copy between -1 and 1 first.
        unit = max(abs(low), abs(high)) or 1.0
        centre = float((y / unit).mean()) * unit
        scale = float((y / unit - centre / unit).std()) * unit
        return cls(centre, scale if scale > 0 else 1.0, low, high, name, levels)

    @property
    def n_outputs(self) -> int:
        """Number of outputs of a network: one for each quantile."""
        return max(len(self.quantiles), 1)

    @property
    def loss(self) -> Loss:
        """The loss of a network, for standardised targets."""
        if self.name == "quantile":
            return Quantile(self.quantiles)
        kinds = (MeanSquaredError(), MeanAbsoluteError(), Huber(), Poisson())
        return dict(zip(LOSSES[:-1], kinds, strict=True))[self.name]

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Standardised targets (N,) in float64."""
        return (y - self.centre) / self.scale

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Targets (N,) in their unit from standardised ones."""
        return y * self.scale + self.centre

    def combine(self, outputs: Sequence[np.ndarray], factor: float = 1.0) -> np.ndarray:
        """The mean of the predictions of several networks, in the unit of the target.

        Quantiles of a row are brought into ascending order, so that they never cross; this does
        not raise their loss (Chernozhukov, Fernandez-Val & Galichon 2010, "Quantile and
        probability curves without crossing").

        Parameters
        ----------
        outputs : sequence of (N, Q) array
            Q is `n_outputs`.
        factor : float
            Without effect.

        Returns
        -------
        (N,) array, or (N, Q) for several quantiles
        """
        parts = [self._predictions(values.astype(np.float64)) for values in outputs]
        mean: np.ndarray = np.clip(np.mean(parts, axis=0), self.low, self.high)
        return np.sort(mean, axis=1) if self.n_outputs > 1 else mean[:, 0]

    def _predictions(self, values: np.ndarray) -> np.ndarray:
        if self.name == "poisson":
            top = math.log(self.high / self.scale)
            return self.scale * np.exp(np.minimum(values, top))
        return self.scale * values + self.centre

    def columns_of(self, coverage: float) -> tuple[int, int]:
        """The columns of the predictions whose levels are nearest to the ends of an interval."""
        if self.n_outputs == 1:
            return 0, 0
        levels, tail = np.array(self.quantiles), (1 - coverage) / 2
        return int(np.abs(levels - tail).argmin()), int(np.abs(levels - (1 - tail)).argmin())

    def spread(self, values: np.ndarray) -> np.ndarray:
        """About what residuals are proportional to: the square root of a rate, otherwise 1."""
        if self.name != "poisson":
            return np.ones_like(values)
        return np.sqrt(np.maximum(values, np.finfo(np.float64).tiny))

    def losses(self, combined: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The loss (N,) of predictions in the unit of the target; `y` as `encode` returns it."""
        if self.name == "poisson":
            rate = np.maximum(combined / self.scale, np.finfo(np.float64).tiny)
            return rate - y * np.log(rate)
        if self.name == "quantile":
            residual = y[:, np.newaxis] - self.encode(combined).reshape(len(y), -1)
            levels = np.array(self.quantiles)
            pinball = np.maximum(levels * residual, (levels - 1) * residual)
            losses: np.ndarray = pinball.mean(axis=1)
            return losses
        residual = np.abs(self.encode(combined) - y)
        if self.name == "squared_error":
            return residual**2
        if self.name == "absolute_error":
            return residual
        return np.where(residual <= 1, 0.5 * residual**2, residual - 0.5)

    def to_state(self) -> dict[str, Any]:
        """The objective as data for JSON."""
        return {
            "kind": "regression",
            "centre": self.centre,
            "scale": self.scale,
            "low": self.low,
            "high": self.high,
            "loss": self.name,
            **({"quantiles": list(self.quantiles)} if self.quantiles else {}),
        }


Objective = Classification | Regression


def _blocks(n: int) -> Iterator[slice]:
    """The rows in blocks, whose temporary arrays take little memory."""
    for start in range(0, n, _ROWS_AT_ONCE):
        yield slice(start, min(start + _ROWS_AT_ONCE, n))


def from_state(state: Any) -> Objective:
    """The objective that `to_state` has described.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the data do not describe one.
    """
    if state["kind"] == "classification":
        return Classification(check_integer(state["n_outputs"], "n_outputs", 2))
    if state["kind"] != "regression":
        raise ValueError(f"the objective is {state['kind']!r:.60}")
    low, high = stored.finite(state["low"]), stored.finite(state["high"])
    centre, scale = stored.finite(state["centre"]), stored.positive(state["scale"])
    name = check_choice(state["loss"], "loss", LOSSES)
    levels = quantile_levels(state["quantiles"]) if name == "quantile" else ()
    return Regression(centre, scale, low, high, name, levels)
