"""The cost and the scores of outputs, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._shared.arrays import contiguous, scaled_weights
from fastnn.losses import CustomLoss
from fastnn.losses._tallies import LossTally
from fastnn.network._heads import LossOnOutput
from fastnn.program import total_loss

if TYPE_CHECKING:
    from fastnn.backend.protocol import Kernels

    KernelsByType = Mapping[np.dtype, Kernels]
    Targets = Sequence[tuple[np.ndarray, np.ndarray | None]]

_BLOCK_BYTES = 1 << 22
_BLOCK_ROWS = 256, 1 << 16
"""Bytes of the outputs of a block, about, and bounds of its number of rows."""


class Measures:
    """The cost and the scores of outputs, summed over blocks of rows.

    Parameters
    ----------
    heads : sequence of LossOnOutput
    targets : sequence of (array, weights or None)
        Checked targets of all rows, for each loss.
    dtype : dtype
        Of the network.
    kernels : mapping from dtype to module
        The functions of the backend, for `dtype` and float64.

    Notes
    -----
    Targets that `dtype` cannot hold exactly are compared in float64, as outputs in float64 are:
    rounding would change the spread of the targets, which the scores depend on.  A custom loss
    receives rounded outputs and targets.
    """

    def __init__(
        self,
        heads: Sequence[LossOnOutput],
        targets: Targets,
        dtype: np.dtype,
        kernels: KernelsByType,
    ) -> None:
        self._heads = heads
        self._targets = targets
        self._score_weights = [None if w is None else scaled_weights(w) for _, w in targets]
        self._dtype = dtype
        self._losses = [_loss_of(head, kernels) for head in heads]
        self._scorers = [head.loss.scorer() if head.loss.metric else None for head in heads]

    @property
    def block_rows(self) -> int:
        """Rows of a block."""
        row_bytes = self._dtype.itemsize * sum(head.width for head in self._heads)
        low, high = _BLOCK_ROWS
        return min(max(_BLOCK_BYTES // row_bytes, low), high)

    def blocks(self) -> Iterator[slice]:
        """Slices of the rows, to be added in this order."""
        n_rows, step = len(self._targets[0][0]), self.block_rows
        for start in range(0, n_rows, step):
            yield slice(start, min(start + step, n_rows))

    def add(self, outputs: Sequence[np.ndarray], rows: slice = slice(None)) -> None:
        """Add a block: the network's outputs for these rows, or outputs in float64."""
        targets = [(t[rows], None if w is None else w[rows]) for t, w in self._targets]
        self.add_block(outputs, targets, [w if w is None else w[rows] for w in self._score_weights])

    def add_block(
        self,
        outputs: Sequence[np.ndarray],
        targets: Targets,
        score_weights: Sequence[np.ndarray | None],
    ) -> None:
        """Add a block of rows with these targets, and with these weights in the scores."""
        parts = zip(self._heads, self._losses, self._scorers, targets, score_weights, strict=True)
        for head, loss, scorer, (target, weights), of_score in parts:
            output = outputs[head.output]
            rounded = contiguous(target, np.int64 if target.ndim == 1 else self._dtype)
            block = _unrounded(output, target, rounded, weights)
            if isinstance(loss, _AllRows):
                loss.add(contiguous(output, self._dtype), rounded, weights)
            else:
                loss.add(*block)
            if scorer is not None:
                scorer.add(*block[:2], of_score)

    def result(self, penalty: float) -> dict[str, float]:
        """The cost, with the L2 penalty, and the scores of all rows.

        The measures of a loss for which no row counts are nan, and the cost is that of the other
        losses; where no row counts for any loss, the cost is nan.
        """
        values = [loss.value for loss in self._losses]
        parts = zip(self._heads, self._losses, values, strict=True)
        counted = [(head.weight, value) for head, loss, value in parts if loss.has_weight]
        weights, costs = [weight for weight, _ in counted], [cost for _, cost in counted]
        metrics = {"loss": total_loss(weights, costs, penalty) if counted else math.nan}
        for head, value, scorer in zip(self._heads, values, self._scorers, strict=True):
            prefix = ""
            if len(self._heads) > 1:
                prefix = f"{head.name}_"
                metrics[f"{prefix}loss"] = value
            if scorer is not None:
                metrics[f"{prefix}{head.loss.metric}"] = scorer.value
        return metrics


def _unrounded(
    output: np.ndarray, target: np.ndarray, rounded: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Outputs, targets and weights in the dtype of the outputs, or in float64 if targets need it.

    Parameters
    ----------
    target, rounded : array
        The targets, and the same in the dtype of the outputs, or labels in int64.
    """
    double = np.dtype(np.float64)
    is_exact = target.ndim == 1 or rounded.dtype in (target.dtype, double)
    if is_exact or np.array_equal(target, rounded, equal_nan=target.dtype.kind == "f"):
        target = rounded
    else:
        output = contiguous(output, double)
    if target.ndim > 1:
        target = contiguous(target, output.dtype)
    return output, target, None if weights is None else contiguous(weights, output.dtype)


def _loss_of(head: LossOnOutput, kernels: KernelsByType) -> LossTally | _AllRows:
    if isinstance(head.loss, CustomLoss):
        return _AllRows(head.loss)
    return LossTally(head.loss, kernels)


class _AllRows:
    """A custom loss, whose function receives all rows at once: it need not be a sum over rows."""

    def __init__(self, loss: CustomLoss) -> None:
        self._loss = loss
        self._blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []

    def add(self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None) -> None:
        """Keep a block."""
        self._blocks.append((output, target, weights))

    @property
    def has_weight(self) -> bool:
        """Whether any row has a weight."""
        return any(weights is None or weights.any() for _, _, weights in self._blocks)

    @property
    def value(self) -> float:
        """The loss of all rows; nan where all weights are 0."""
        if not self.has_weight:
            return math.nan
        outputs, targets, weights = zip(*self._blocks, strict=True)
        output, target, weight = map(_joined, (outputs, targets, weights))
        return self._loss.value_and_gradient(output, target, weight)[0]


def _joined(parts: Sequence[Any]) -> Any:
    """The blocks as one array; None where they are None."""
    return parts[0] if len(parts) == 1 or parts[0] is None else np.concatenate(parts)
