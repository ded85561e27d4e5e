"""The units in which a solver sees targets and outputs, and targets that a dtype cannot hold.

A solver's steps and tolerances are numbers.  They fit every network alike where outputs are of the
size 1 and the cost of a constant prediction is about 1.  Affine layers behind an output make this
possible without a change of the function: z = origin + scale z' for outputs, parameters divided by
the scale, and likewise for targets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import as_columns
from fastnn._shared.warnings import warn
from fastnn.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    CustomLoss,
    Huber,
    Loss,
    Poisson,
)
from fastnn.losses._base import EngineLoss
from fastnn.losses._elementwise import Elementwise
from fastnn.network._affine import AffinePart, affine_part
from fastnn.network._heads import LossOnOutput
from fastnn.program import Program
from fastnn.training.data import Target

_EXPLAINED = 0.01
"""A network that explains this share of the cost of a constant has been trained."""

_SMALL = 0.1
"""Outputs of less than this size do no harm where a training starts."""

_TINY = np.finfo(np.float64).tiny

_STEPS = 100
"""A dtype holds targets whose standard deviation is this many times the distance of its numbers."""

_SAMPLE = 1 << 16
"""Number of targets whose spread is looked at before a training."""


@dataclass(frozen=True)
class Units:
    """The units of one head: loss(y, z) = factor loss'(y', z') + constant.

    Attributes
    ----------
    targets : array
        y', in float64 where they differ from the targets.
    loss : Loss
        loss'.
    size : float
        About the loss of a constant prediction, times the weight of the head.
    affine : AffinePart or None
        The layers that absorb the units; None where none do, and they are those of the user.
    origin, scale : (K,) array and float
        z = origin + scale z'.
    center, spread : (K,) array
        Mean and standard deviation of the targets of each column, as outputs.
    factor, constant : float
    """

    targets: np.ndarray
    loss: Loss
    size: float
    affine: AffinePart | None = None
    origin: np.ndarray | float = 0.0
    scale: float = 1.0
    center: np.ndarray | float = 0.0
    spread: np.ndarray | float = 1.0
    factor: float = 1.0
    constant: float = 0.0

    @property
    def gradient_size(self) -> float:
        """The unit of the gradient: without a layer that absorbs units, at most 1."""
        by_differences = isinstance(self.loss, CustomLoss) or _degree(self.loss) > 0
        return min(self.size, 1.0) if by_differences and self.affine is None else self.size

    def enlarge(self, affine: AffinePart, storage: np.ndarray) -> None:
        """Make outputs of size 1, in place, outputs of the size of the targets."""
        affine.scale(storage, np.asarray(self.spread))
        affine.shift(storage, np.asarray(self.center))


def coordinates(program: Program, units: Sequence[Units]) -> tuple[np.ndarray, np.ndarray]:
    """Origin and scale of each element of the storage: element = origin + scale element'."""
    origins, scales = np.zeros(program.storage_size), np.ones(program.storage_size)
    for unit in units:
        if unit.affine is not None:
            unit.affine.fill(scales, unit.scale)
            unit.affine.shift(origins, np.asarray(unit.origin))
    return origins, scales


def units_of(head: LossOnOutput, target: Target, program: Program, outputs: np.ndarray) -> Units:
    """The units of a head by its targets, and by what the layers behind its output can absorb.

    Parameters
    ----------
    head : LossOnOutput
    target : (array, weights or None)
    program : Program
    outputs : (N, K) array
        Of the parameters where the training starts.
    """
    affine = affine_part(program, head.output)
    if isinstance(head.loss, Elementwise) and _degree(head.loss):
        return _of_numbers(head.weight, head.loss, target, affine)
    if isinstance(head.loss, Poisson):
        return _of_counts(head.weight, head.loss, target, affine)
    if isinstance(head.loss, CrossEntropy | BinaryCrossEntropy):
        even = _loss(head, target, np.zeros(outputs.shape))
        classes = head.width if isinstance(head.loss, CrossEntropy) else 2
        return Units(target[0], head.loss, head.weight * even / math.log(classes))
    return Units(target[0], head.loss, head.weight * abs(_loss(head, target, outputs)))


def _degree(loss: Loss) -> int:
    """The power of the targets' unit in a loss of differences; 0 for other losses."""
    return loss.row.degree if isinstance(loss, EngineLoss) else 0


def _of_numbers(
    weight: float, loss: Elementwise, target: Target, affine: AffinePart | None
) -> Units:
    """Units of a loss of differences between outputs and targets."""
    weights = _element_weights(loss, target)
    values = target[0].astype(np.float64)
    shifts = affine is not None and affine.shifts is not None
    center, spread, scale = _moments(values, weights, shifts)
    factor = scale if _degree(loss) == 1 else scale * scale
    unit = scale * min(scale, loss.delta) if isinstance(loss, Huber) else factor
    if not 0 < unit < math.inf:
        raise ValueError(
            f"y must have a spread whose square float64 holds, got {scale:.3g} as the standard "
            f"deviation of targets of {loss.name}: multiply the targets by a number"
        )
    size = weight * unit * _normaliser(loss, weights)
    if affine is None:
        return Units(target[0], loss, size)
    values = (values - center) / scale
    if loss.ignore_value is not None:
        values[~loss.observed(target[0])] = np.nan
        loss = replace(loss, ignore_value=math.nan)
    if isinstance(loss, Huber):
        loss = replace(loss, delta=loss.delta / scale)
    spread = np.where(spread > 0, spread, scale)
    return Units(values, loss, size, affine, center, scale, center, spread, factor)


def _of_counts(
    weight: float, loss: Elementwise, target: Target, affine: AffinePart | None
) -> Units:
    """Units of Poisson's loss, whose outputs are logarithms: the mean count is their origin."""
    weights = _element_weights(loss, target)
    values = np.where(weights > 0, target[0], 0).astype(np.float64)
    sums, total = (weights * values).sum(axis=0), weights.sum(axis=0)
    mean = float(sums.sum() / total.sum()) if sums.any() else 1.0
    means = np.divide(sums, total, out=np.full(len(sums), mean), where=sums > 0)
    normaliser = _normaliser(loss, weights)
    size = weight * mean * normaliser
    if affine is None or affine.shifts is None:
        return Units(target[0], loss, size)
    values /= mean
    if loss.ignore_value is not None:
        values[~loss.observed(target[0])] = np.nan
        loss = replace(loss, ignore_value=math.nan)
    origin = np.full(len(sums), math.log(mean))
    constant = -mean * math.log(mean) * normaliser
    return Units(
        values, loss, size, affine, origin, 1.0, np.log(means), np.ones(len(sums)), mean, constant
    )


def _element_weights(loss: Elementwise, target: Target) -> np.ndarray:
    """What each element (N, K) weighs, 0 where its target is ignored."""
    values, weights = target
    observed: np.ndarray = loss.observed(values).astype(np.float64)
    return observed if weights is None else observed * as_columns(weights)


def _normaliser(loss: Elementwise, weights: np.ndarray) -> float:
    """A loss of 1 for each element gives this after the reduction."""
    if loss.reduction == "mean":
        return 1.0
    return float(weights.sum()) / (2.0 if loss.reduction == "half_sum" else 1.0)


def _moments(
    y: np.ndarray, weights: np.ndarray, centered: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and standard deviation of each column, and the deviation of all columns.

    Where not `centered`, zeros in place of means.  Numbers are divided by the largest and counted
    from one of their column: squares do not overflow, and equal numbers have no deviation.
    """
    counted = weights > 0
    y = np.where(counted, y, 0)
    peak, zeros = float(np.abs(y).max(initial=0.0)), np.zeros(y.shape[1])
    if not 0 < peak < math.inf:
        return zeros, zeros, 1.0
    y = y / peak
    total = np.maximum(weights.sum(axis=0), _TINY)
    center = zeros
    if centered:
        first = y[counted.argmax(axis=0), np.arange(y.shape[1])]
        center = first + (weights * (y - first)).sum(axis=0) / total
    squares = (weights * (y - center) ** 2).sum(axis=0)
    scale = peak * math.sqrt(squares.sum() / weights.sum())
    return center * peak, np.sqrt(squares / total) * peak, scale if scale > 0 else peak


def _loss(head: LossOnOutput, target: Target, outputs: np.ndarray) -> float:
    """The loss of these outputs, in their dtype; it may be nan or infinite."""
    values, weights = target
    dtype = outputs.dtype
    values = values.astype(np.int64 if values.ndim == 1 else dtype)
    weights = None if weights is None else weights.astype(dtype)
    with np.errstate(all="ignore"):
        return float(head.loss.value(outputs, values, weights, backend.kernels(dtype)))


def is_fresh(head: LossOnOutput, target: Target, units: Units, outputs: np.ndarray) -> bool:
    """Whether outputs explain nothing of the targets yet, and have the size 1 rather than theirs.

    Parameters
    ----------
    head, target, units
        Of a head with affine layers.
    outputs : (N, K) array
        Of the parameters where the training starts.
    """
    z = outputs.astype(np.float64)
    constant = _loss(head, target, np.broadcast_to(units.center, z.shape).copy())
    explained = head.weight * (constant - _loss(head, target, z))
    if explained > _EXPLAINED * units.size:
        return False
    return _misfit(z) < _misfit((z - units.center) / units.spread)


def _misfit(z: np.ndarray) -> float:
    """How far outputs are from the size 1, as a logarithm; small ones do no harm."""
    with np.errstate(all="ignore"):
        size = float(np.sqrt(np.mean(z * z)))
    return abs(math.log(max(size, _SMALL))) if math.isfinite(size) else math.inf


def warn_of_lost_spread(
    heads: Sequence[LossOnOutput], targets: Sequence[Target], dtype: np.dtype
) -> None:
    """Warn where numbers of the dtype lie too far apart for the differences between targets.

    Of many targets, some that lie evenly among them are looked at.
    """
    for head, (values, weights) in zip(heads, targets, strict=True):
        if not (isinstance(head.loss, Elementwise) and _degree(head.loss)):
            continue
        rows = slice(None, None, -(-len(values) // _SAMPLE))
        seen = head.loss.observed(values[rows])
        if weights is not None:
            seen &= as_columns(weights[rows]) != 0
        center, spread, _ = _moments(values[rows].astype(np.float64), seen * 1.0, True)
        step = np.spacing(np.abs(center).astype(dtype)).astype(np.float64)
        lost = (spread > 0) & (spread < _STEPS * step)
        if lost.any():
            k = int(lost.argmax())
            where = f"column {k} of " if head.width > 1 else ""
            warn(
                f"the targets of {where}output {head.name!r} have mean {center[k]:.6g} and "
                f"standard deviation {spread[k]:.3g}, but numbers of {dtype} are {step[k]:.3g} "
                "apart there: the network cannot predict such differences. Subtract the mean "
                "from the targets before fit and add it to the predictions, or build the network "
                'with dtype="float64"'
            )
