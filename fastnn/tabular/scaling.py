"""Numbers on a common scale: linear transformations, a smooth clip, and bins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice, check_integer
from fastnn.tabular import stored
from fastnn.tabular.quantiles import Bins, edges_of, median_and_scale

__all__ = ["SCALINGS", "Scaled", "Settings", "rounded_scale"]

SCALINGS = ("robust", "columns", "common", "none")
"""Values of the parameter `scaling`."""

_RELATIVE_ROUNDING = 1e-14  # a smaller standard deviation, relative to the mean, is rounding error
_CLIP = 3.0


@dataclass(frozen=True)
class Settings:
    """What the encoders of all columns have in common.

    Parameters
    ----------
    bins : int, default 16
        Largest number of bins of a column of numbers; 0 for no positions.
    whole : int, default 0
        Whole numbers with at most so many different values have a bin between each two of them,
        if `bins` is not 0.
    scaling : {"robust", "columns", "common", "none"}, default "robust"
        "robust": ``(x - median) / IQR`` with a smooth clip.  "columns": ``(x - mean) / deviation``.
        "common": the same with one mean and one deviation for all columns.  "none": no change.
    min_rows : int, default 2
        A level of a category that occurs in fewer rows is rare, and becomes the level "other".
    max_levels : int, default 10_000
        Largest number of levels of a category; the less frequent ones become "other" as well.
    signs : bool, default True
        Whether a category of two levels is one number, -1 or 1.
    """

    bins: int = 16
    whole: int = 0
    scaling: str = "robust"
    min_rows: int = 2
    max_levels: int = 10_000
    signs: bool = True

    def __post_init__(self) -> None:
        check_integer(self.bins, "bins", 0, 10_000)
        check_integer(self.whole, "whole", 0, 10_000)
        check_choice(self.scaling, "scaling", SCALINGS)
        check_integer(self.min_rows, "min_rows", 1)
        check_integer(self.max_levels, "max_levels", 1)


@dataclass(frozen=True)
class Scaled:
    """A linear transformation of numbers, with or without a smooth clip, and their bins.

    With a clip, t = (x - center) / scale becomes t / sqrt(1 + (t / 3)**2), which is near t for
    small t and below 3 for all t.  A scale of 0 stands for a column without spread: 0.
    """

    center: float
    scale: float
    clips: bool = True
    edges: tuple[float, ...] = ()

    @classmethod
    def fit(cls, values: np.ndarray, settings: Settings) -> Scaled:
        """The transformation of finite numbers (N,) in float64.

        Raises
        ------
        OverflowError
            If their range or their deviation is not finite in float64.
        """
        if not len(values):
            return cls(0.0, 0.0)
        is_robust = settings.scaling == "robust"
        ordered = np.sort(values) if is_robust or settings.bins else values
        with np.errstate(over="ignore", invalid="ignore"):
            width = float(ordered[-1]) - float(ordered[0])
            if is_robust:
                center, scale = median_and_scale(ordered)
            else:
                center, scale = _mean_and_deviation(values, settings.scaling)
        if not (math.isfinite(width) and math.isfinite(center) and math.isfinite(scale)):
            raise OverflowError("the numbers are too large to scale")
        return cls(center, scale, is_robust, edges_of(ordered, settings.bins, settings.whole))

    @property
    def bins(self) -> int:
        """Number of bins; 0 where there are no positions."""
        return max(len(self.edges) - 1, 0)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The transformed numbers (N,) in float64; 0 for nan."""
        if self.scale == 0:
            return np.zeros(len(values))
        with np.errstate(over="ignore"):
            t = values - self.center
            t /= self.scale
        if self.clips:
            t /= _CLIP
            np.clip(t, -1e8, 1e8, out=t)  # beyond, the result is 3 in float64, and t * t overflows
            root = t * t
            root += 1
            np.sqrt(root, out=root)
            np.divide(_CLIP, root, out=root)
            t *= root
        t[np.isnan(t)] = 0
        return t

    def bind_positions(self, n: int) -> Callable[[np.ndarray], np.ndarray]:
        """The function from numbers to their positions in float64; that of the center for nan.

        It is prepared for `n` numbers, which may come in parts.
        """
        return Bins(np.array(self.edges), self.center, n).positions

    def describe(self) -> str:
        """The transformation as text."""
        if self.scale == 0:
            return "0"
        text = f"(x - {self.center:.6g}) / {self.scale:.6g}"
        if self.center == 0 and self.scale == 1:
            text = "x"
        text += ", clipped" * self.clips
        return text + (f", and a position in {self.bins} bins" if self.bins else "")

    def to_state(self) -> dict[str, Any]:
        """The transformation as data for JSON."""
        return {
            "center": self.center,
            "scale": self.scale,
            "clips": self.clips,
            "edges": list(self.edges),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Scaled:
        """The transformation from data that `to_state` has returned."""
        edges = state["edges"]
        scale = stored.finite(state["scale"])
        if scale < 0:
            raise ValueError(f"the scale {scale} is negative")
        if edges and len(edges) < 3:
            raise ValueError("a column has one bin")
        return cls(
            stored.finite(state["center"]),
            scale,
            stored.flag(state["clips"]),
            tuple(map(float, stored.ascending(edges, int | float))) if edges else (),
        )


def _mean_and_deviation(values: np.ndarray, scaling: str) -> tuple[float, float]:
    if scaling == "none":
        return 0.0, 1.0
    mean, deviation = float(values.mean()), float(values.std())
    return (mean, deviation) if scaling == "common" else rounded_scale(mean, deviation)


def rounded_scale(mean: float, deviation: float) -> tuple[float, float]:
    """Mean and scale of a column; the scale of a constant column is 1.

    The standard deviation of a constant is not always 0, because its mean is rounded.
    """
    return mean, deviation if not deviation <= _RELATIVE_ROUNDING * abs(mean) else 1.0
