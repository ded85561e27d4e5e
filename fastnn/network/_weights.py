"""What rows weigh: by their sample weights, and by their targets, which may be ignored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastnn.losses import CustomLoss
from fastnn.network._heads import LossOnOutput
from fastnn.training.data import Samples, Target
from fastnn.training.stream import Stream

_ROWS = 1 << 16
"""Rows whose weights are computed at a time."""

_WEIGHING = {"ignore_index", "ignore_nan", "ignore_value", "class_weights"}
"""Options of losses by which the target of a row decides what the row weighs."""


def check_weighed(heads: Sequence[LossOnOutput], data: Samples, source: str, use: str) -> None:
    """Raise ValueError if no row counts for any loss.

    Parameters
    ----------
    heads : sequence of LossOnOutput
    data : Data or Selection
        Checked data for these heads.
    source : str
        The argument that the data come from, for the error.
    use : str
        What the data are for, such as "to evaluate".
    """
    for head, (values, weights) in zip(heads, data.targets, strict=True):
        sizes = values, None if weights is None else np.abs(weights)
        if not _varies(head, sizes) or any(part.any() for part in _parts(head, sizes)):
            return
    raise ValueError(
        f"{source} leaves nothing {use}: for every row the weight is 0 or the target is missing"
    )


def row_weights(
    heads: Sequence[LossOnOutput], data: Samples, means: np.ndarray | None
) -> np.ndarray | None:
    """What each row (N,) weighs in the mean of the costs of batches; None where all weigh the same.

    For several losses, the mean of what the row weighs in each, by the weights of the losses; those
    that are sums over the rows have no share in it.  A batch whose losses are divided by the mean
    weights of all data, `means`, weighs as many as its rows are.
    """
    by_batch = np.ones(len(heads), bool) if means is None else np.isnan(means)
    chosen = [i for i, head in enumerate(heads) if not is_sum(head)]
    targets = data.targets
    pairs, by_batch = [(heads[i], targets[i]) for i in chosen], by_batch[chosen]
    if not any(
        _varies(head, target) and own for (head, target), own in zip(pairs, by_batch, strict=True)
    ):
        return None
    combined = np.zeros(len(data))
    for (head, target), own in zip(pairs, by_batch, strict=True):
        weights = np.concatenate(list(_parts(head, target))) if own else np.ones(len(data))
        if weights.any():
            combined += head.weight * (weights / weights.sum())
    return combined


def mean_weights(heads: Sequence[LossOnOutput], data: Samples, rule: str) -> np.ndarray | None:
    """What a row weighs on average in each head, all its outputs together: (heads,) float64.

    nan stands for heads in which all rows weigh the same, and for custom losses, which take their
    own means; None if it stood for all heads.

    Parameters
    ----------
    rule : {"data", "batch", "count"}
        As in `Network.fit`.  "batch" returns None; "count" leaves the sample weights out.
    """
    if rule == "batch":
        return None
    means = np.full(len(heads), np.nan)
    for h, (head, target) in enumerate(zip(heads, data.targets, strict=True)):
        if _varies(head, target) and not isinstance(head.loss, CustomLoss):
            target = (target[0], None) if rule == "count" else target
            means[h] = sum(float(part.sum()) for part in _parts(head, target)) / len(data)
    return None if np.isnan(means).all() else means


def norm_weights(
    heads: Sequence[LossOnOutput], data: Samples, rule: str
) -> list[float | np.ndarray | None]:
    """For each head, what a row weighs in the sum that the mean of a batch divides by.

    A number where all rows weigh the same, or the mean of all data is known (`mean_weights`);
    (N,) where each has its own; None for a custom loss, which takes its own mean.
    """
    weights: list[float | np.ndarray | None] = []
    for head, target in zip(heads, data.targets, strict=True):
        if isinstance(head.loss, CustomLoss):
            weights.append(None)
        elif _varies(head, target):
            own = np.concatenate(list(_parts(head, target))) if rule == "batch" else 1.0
            weights.append(own)
        else:
            first = target[0][:1]
            weights.append(float(head.loss.row_weights(first, None, head.width)[0]))
    return weights


def mean_weights_of(heads: Sequence[LossOnOutput], stream: Stream, rule: str) -> np.ndarray | None:
    """`mean_weights` of the rows of a source, in one pass over it where rows weigh differently.

    Raises
    ------
    ValueError
        If no row counts for any loss.
    """
    sums, n = np.zeros(len(heads)), 0
    varies = np.zeros(len(heads), bool)
    for block in stream.blocks(_ROWS):
        pairs = list(zip(heads, block.targets, strict=True))
        varies = np.array([_varies(head, target) for head, target in pairs])
        if not varies.any():
            return None
        n += len(block)
        for h, (head, target) in enumerate(pairs):
            target = (target[0], None) if rule == "count" else target
            sums[h] += sum(float(part.sum()) for part in _parts(head, target))
    if varies.all() and not sums.any():
        raise ValueError(
            "the source leaves nothing to train on: for every row the weight is 0 or the target is "
            "missing"
        )
    own = [isinstance(head.loss, CustomLoss) for head in heads]
    means = np.where(~varies | own, np.nan, sums / n)
    return None if np.isnan(means).all() else means


def is_sum(head: LossOnOutput) -> bool:
    """Whether the loss of some rows is a sum over them; custom losses take their own means."""
    return getattr(head.loss, "reduction", "mean") != "mean"


def _varies(head: LossOnOutput, target: Target) -> bool:
    """Whether rows may weigh different amounts for a head."""
    return target[1] is not None or not _WEIGHING.isdisjoint(head.loss.attributes(head.width))


def _parts(head: LossOnOutput, target: Target) -> Iterator[np.ndarray]:
    """What the rows weigh for a head, some rows at a time."""
    values, weights = target
    for start in range(0, len(values), _ROWS):
        rows = slice(start, start + _ROWS)
        yield head.loss.row_weights(
            values[rows], None if weights is None else weights[rows], head.width
        )
