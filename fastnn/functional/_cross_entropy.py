"""Cross-entropy from logits; `fastnn.functional._loss_common` states the conventions."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import (
    as_floating,
    as_labels,
    as_real,
    as_weights,
    check_class_weights,
    check_interval,
    check_last_axis,
    contiguous,
    weighted,
)
from fastnn._shared.numbers import check_integer, check_number
from fastnn.backend.direct import direct_cross_entropy
from fastnn.facts.losses import LOSSES
from fastnn.functional._documentation import with_sections
from fastnn.functional._loss_common import (
    SECTIONS,
    AnyReduction,
    Reduction,
    check_reduction,
    gradient_array,
    of_nothing,
    sample_weights,
)
from fastnn.functional._shapes import as_rows


@overload
def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    sample_weight: ArrayLike | None = ...,
    class_weight: ArrayLike | None = ...,
    label_smoothing: float = ...,
    ignore_index: int | None = ...,
    reduction: Reduction = ...,
    gradient: Literal[False] = ...,
    out: None = ...,
) -> float: ...
@overload
def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    sample_weight: ArrayLike | None = ...,
    class_weight: ArrayLike | None = ...,
    label_smoothing: float = ...,
    ignore_index: int | None = ...,
    reduction: Literal["none"],
    gradient: Literal[False] = ...,
    out: None = ...,
) -> np.ndarray: ...
@overload
def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    sample_weight: ArrayLike | None = ...,
    class_weight: ArrayLike | None = ...,
    label_smoothing: float = ...,
    ignore_index: int | None = ...,
    reduction: AnyReduction = ...,
    gradient: Literal[True],
    out: np.ndarray | None = ...,
) -> tuple[Any, np.ndarray]: ...
@with_sections(
    SECTIONS,
    first="logits",
    weights="(...) array_like, optional\n    One non-negative weight per sample; 1 by default.",
    each="(...) ndarray",
    inputs="""logits : (..., K) array_like of float32 or float64
    One row of K logits per sample; softmax is part of the loss.
targets : (...) array_like of integers, or (..., K) array_like
    The label of each sample, from 0 to K - 1, or a row of non-negative numbers y,
    which need not sum to 1.""",
    options="""class_weight : (K,) array_like, optional
    A non-negative factor u per class; 1 by default.
label_smoothing : float
    0 <= s <= 1: replaces y by (1 - s) y + s sum(y) / K.
ignore_index : int, optional
    Samples with this label have weight 0.  For labels only.""",
    errors="""a label is out of range, or a target, a weight
    or the smoothing is""",
    notes="""l = -sum_k u_k y_k log softmax(z)_k and c = sample_weight, y being the row, or with
labels the one-hot row, after smoothing: labels and their one-hot rows have the same sum.  "mean"
divides with labels by the sum of sample_weight * class_weight[label], with rows by that of
sample_weight, as PyTorch does.
The gradient of l is sum(u y) softmax(z) - u y.  A logit of -inf with target 0 adds nothing.""",
)
def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: AnyReduction = "mean",
    gradient: bool = False,
    out: np.ndarray | None = None,
) -> float | np.ndarray | tuple[float | np.ndarray, np.ndarray]:
    """Cross-entropy of softmax(logits) and targets."""
    unweighted = sample_weight is None and class_weight is None and ignore_index is None
    if unweighted and type(label_smoothing) is float and label_smoothing == 0:
        result = direct_cross_entropy(logits, targets, reduction, gradient, out)
        if result is not None:
            return result
    z = as_floating(logits, "logits")
    check_last_axis(z, "logits")
    target = _checked_targets(targets, z)
    has_rows = target.ndim == z.ndim
    weights = sample_weights(sample_weight, z.shape[:-1], z.dtype)
    factors = None
    if class_weight is not None:
        factors = as_weights(class_weight, "class_weight", z.shape[-1:])
        check_class_weights(factors, "class_weight", z.dtype)
        factors = contiguous(factors, z.dtype)
    smoothing = check_number(label_smoothing, "label_smoothing", 0.0, 1.0)
    reduced = check_reduction(reduction)
    ignored = _checked_ignore_index(ignore_index, has_rows)
    slope = None
    if gradient is not False or out is not None:
        inputs = {"targets": targets, "sample_weight": sample_weight, "class_weight": class_weight}
        slope = gradient_array(z, (logits, "logits"), inputs, gradient, out)
    if z.size == 0:
        loss = of_nothing(reduction, z.shape[:-1], z.dtype)
        return loss if slope is None else (loss, slope)
    flat = None if slope is None else as_rows(slope)
    losses = np.empty(z.size // z.shape[-1], z.dtype) if reduction == "none" else None
    kernels = backend.kernels(z.dtype)
    if has_rows:
        loss = kernels.cross_entropy_rows(
            as_rows(z), as_rows(target), weights, factors, smoothing, reduced, losses, flat
        )
    else:
        target = target.reshape(-1)
        try:
            loss = kernels.cross_entropy_labels(
                as_rows(z), target, weights, factors, smoothing, ignored, reduced, losses, flat
            )
        except ValueError:
            _check_labels(target.reshape(z.shape[:-1]), z.shape[-1], ignored)
            raise
    if losses is not None:
        by_class = None
        if not has_rows and factors is not None and not smoothing:
            by_class = _class_weights(target, factors, ignored)
        loss = weighted(losses, weights, by_class).reshape(z.shape[:-1])[()]
    return loss if slope is None else (loss, slope)


def _class_weights(labels: np.ndarray, factors: np.ndarray, ignored: int | None) -> np.ndarray:
    """The weight of each label by its class; an ignored one, whose loss is 0, has any."""
    weights: np.ndarray = factors[np.where(labels == ignored, 0, labels)]
    return weights


def _checked_targets(targets: ArrayLike, logits: np.ndarray) -> np.ndarray:
    """Rows of the logits' dtype and shape, or int64 labels, whose range the kernels check."""
    values = as_real(targets, "targets")
    shape = logits.shape
    if values.shape == shape:
        rows = as_floating(values, "targets", logits.dtype)
        interval = LOSSES["cross_entropy"].targets
        check_interval(rows, "targets", interval.low, interval.high)
        return rows
    if values.shape != shape[:-1]:
        raise ValueError(
            f"targets must have shape {shape[:-1]} (labels) or {shape} (rows) "
            f"to fit logits of shape {shape}, got {values.shape}"
        )
    return as_labels(values, "targets")


def _checked_ignore_index(ignore_index: int | None, has_rows: bool) -> int | None:
    if ignore_index is None:
        return None
    ignored = check_integer(ignore_index, "ignore_index", -(2**63), 2**63 - 1)
    if has_rows:
        raise ValueError(
            f"ignore_index must be None with target rows, it is for labels; got {ignored}"
        )
    return ignored


def _check_labels(labels: np.ndarray, n_classes: int, ignore_index: int | None) -> None:
    """Raise ValueError at the first label out of range, by its index in the caller's array."""
    bad = (labels < 0) | (labels >= n_classes)
    if ignore_index is not None:
        bad &= labels != ignore_index
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f"[{', '.join(map(str, index))}]" if index else ""
        raise ValueError(
            f"targets must be integers from 0 to {n_classes - 1}, "
            f"got targets{where} = {labels[index]}"
        ) from None
