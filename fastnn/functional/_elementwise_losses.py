"""Losses of single elements; `fastnn.functional._loss_common` states the conventions."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Literal, Protocol, cast, overload

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import (
    as_floating,
    as_weights,
    check_class_weights,
    check_interval,
    check_shape,
    contiguous,
)
from fastnn._shared.numbers import check_choice, check_number
from fastnn.facts.losses import LOSSES
from fastnn.functional._documentation import with_sections
from fastnn.functional._loss_common import (
    SECTIONS,
    Reduction,
    check_samples,
    gradient_array,
    sample_weights,
)
from fastnn.program import REDUCTIONS

__all__ = [
    "binary_cross_entropy",
    "huber",
    "mean_absolute_error",
    "mean_squared_error",
    "poisson",
]

_PREDICTIONS = """predictions, targets : (...,) or (..., K) array_like of float32 or float64
    Of one shape.  One dimension is N samples of one output, else rows are samples."""

_IGNORE_VALUE = """ignore_value : float, optional
    Targets equal to it are ignored; nan means those that are nan."""


def _notes(name: str, factor: str = "") -> str:
    """What the weights and the gradient of a loss are."""
    return (
        f"c is the sample weight of an element's row{factor}, and 0 where the target\n"
        "is ignored; the mean is over all elements, that is over samples and outputs.  The\n"
        f"gradient of l is {LOSSES[name].slope}."
    )


class ElementwiseLoss(Protocol):
    """A loss of single elements without options of its own."""

    @overload
    def __call__(
        self,
        predictions: ArrayLike,
        targets: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        ignore_value: float | None = ...,
        reduction: Reduction = ...,
        gradient: Literal[False] = ...,
        out: None = ...,
    ) -> float: ...
    @overload
    def __call__(
        self,
        predictions: ArrayLike,
        targets: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        ignore_value: float | None = ...,
        reduction: Reduction = ...,
        gradient: Literal[True],
        out: np.ndarray | None = ...,
    ) -> tuple[float, np.ndarray]: ...


def elementwise_loss(name: str) -> ElementwiseLoss:
    """The function of a loss whose row in `fastnn.facts.losses` has no parameter."""
    row = LOSSES[name]

    def loss(
        predictions: ArrayLike,
        targets: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        ignore_value: float | None = None,
        reduction: Reduction = "mean",
        gradient: bool = False,
        out: np.ndarray | None = None,
    ) -> float | tuple[float, np.ndarray]:
        return _elementwise(
            name, (predictions, "predictions"), targets, sample_weight, None,
            0.0, ignore_value, reduction, gradient, out,
        )  # fmt: skip

    loss.__name__ = loss.__qualname__ = name
    loss.__doc__ = f"{row.title}, l = {row.value} per element."
    documented = with_sections(
        SECTIONS,
        first="predictions",
        inputs=_PREDICTIONS if not row.inputs else f"{_PREDICTIONS}\n    {row.inputs}",
        options=_IGNORE_VALUE,
        errors="or a weight is out of range",
        notes=_notes(name),
    )
    return cast(ElementwiseLoss, documented(loss))


mean_squared_error: ElementwiseLoss = elementwise_loss("mean_squared_error")
mean_absolute_error: ElementwiseLoss = elementwise_loss("mean_absolute_error")
poisson: ElementwiseLoss = elementwise_loss("poisson")


@overload
def binary_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    sample_weight: ArrayLike | None = ...,
    class_weight: ArrayLike | None = ...,
    label_smoothing: float = ...,
    ignore_value: float | None = ...,
    reduction: Reduction = ...,
    gradient: Literal[False] = ...,
    out: None = ...,
) -> float: ...
@overload
def binary_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    sample_weight: ArrayLike | None = ...,
    class_weight: ArrayLike | None = ...,
    label_smoothing: float = ...,
    ignore_value: float | None = ...,
    reduction: Reduction = ...,
    gradient: Literal[True],
    out: np.ndarray | None = ...,
) -> tuple[float, np.ndarray]: ...
@with_sections(
    SECTIONS,
    first="logits",
    inputs="""logits, targets : (...,) or (..., K) array_like of float32 or float64
    Of one shape; targets from 0 to 1.  One dimension is N samples of one output, else rows
    are samples.  The sigmoid is part of the loss.""",
    options="""class_weight : (2,) array_like, optional
    Non-negative factors u0 and u1 for the classes 0 and 1.
label_smoothing : float
    0 <= s <= 1: replaces y by (1 - s) y + s / 2.
"""
    + _IGNORE_VALUE,
    errors="""or a target, a weight or the smoothing is
    out of range""",
    notes=_notes("binary_cross_entropy", factor=" times u1 y + u0 (1 - y)"),
)
def binary_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_value: float | None = None,
    reduction: Reduction = "mean",
    gradient: bool = False,
    out: np.ndarray | None = None,
) -> float | tuple[float, np.ndarray]:
    """Cross-entropy of sigmoid(logits) and targets, l = softplus(z) - y z per element."""
    smoothing = check_number(label_smoothing, "label_smoothing", 0.0, 1.0)
    return _elementwise(
        "binary_cross_entropy", (logits, "logits"), targets, sample_weight, class_weight,
        smoothing, ignore_value, reduction, gradient, out,
    )  # fmt: skip


@overload
def huber(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: float = ...,
    sample_weight: ArrayLike | None = ...,
    ignore_value: float | None = ...,
    reduction: Reduction = ...,
    gradient: Literal[False] = ...,
    out: None = ...,
) -> float: ...
@overload
def huber(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: float = ...,
    sample_weight: ArrayLike | None = ...,
    ignore_value: float | None = ...,
    reduction: Reduction = ...,
    gradient: Literal[True],
    out: np.ndarray | None = ...,
) -> tuple[float, np.ndarray]: ...
@with_sections(
    SECTIONS,
    first="predictions",
    inputs=_PREDICTIONS,
    options="delta : float\n    > 0: errors up to it count squared, larger ones linearly.\n"
    + _IGNORE_VALUE,
    errors="or delta or a weight is out of range",
    notes=_notes("huber"),
)
def huber(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: float = 1.0,
    sample_weight: ArrayLike | None = None,
    ignore_value: float | None = None,
    reduction: Reduction = "mean",
    gradient: bool = False,
    out: np.ndarray | None = None,
) -> float | tuple[float, np.ndarray]:
    """Huber's loss, with r = a - y: r^2 / 2 if abs(r) <= delta, else delta (abs(r) - delta / 2).

    Source: Huber (1964), "Robust estimation of a location parameter", Annals of
    Mathematical Statistics 35.
    """
    return _elementwise(
        "huber", (predictions, "predictions"), targets, sample_weight, None,
        check_number(delta, "delta", above=0.0), ignore_value, reduction, gradient, out,
    )  # fmt: skip


def _elementwise(
    name: str,
    prediction: tuple[Any, str],
    targets: Any,
    sample_weight: Any,
    class_weight: Any,
    parameter: float,
    ignore_value: float | None,
    reduction: str,
    gradient: bool,
    out: np.ndarray | None,
) -> float | tuple[float, np.ndarray]:
    a = as_floating(*prediction)
    check_samples(a, prediction[1])
    y = as_floating(targets, "targets", a.dtype)
    check_shape(y, "targets", a.shape)
    ignored = _check_ignore_value(ignore_value)
    interval = LOSSES[name].targets
    if interval.is_bounded:
        check_interval(y, "targets", interval.low, interval.high, _is_ignored(y, ignored))
    leading = a.shape if a.ndim == 1 else a.shape[:-1]
    weights = sample_weights(sample_weight, leading, a.dtype)
    factors = None
    if class_weight is not None:
        factors = as_weights(class_weight, "class_weight", (2,))
        check_class_weights(factors, "class_weight", a.dtype)
        factors = contiguous(factors, a.dtype)
    check_choice(reduction, "reduction", REDUCTIONS)
    inputs = {"targets": targets, "sample_weight": sample_weight, "class_weight": class_weight}
    result = gradient_array(a, prediction, inputs, gradient, out)
    shape = (a.size, 1) if a.ndim == 1 else (-1, a.shape[-1])
    loss: float = backend.kernels(a.dtype).elementwise_loss(
        name, a.reshape(shape), y.reshape(shape), weights, factors, parameter, ignored, reduction,
        None, None if result is None else result.reshape(shape),
    )  # fmt: skip
    return loss if result is None else (loss, result)


def _check_ignore_value(value: Any) -> float | None:
    """The value as a float; unlike other numbers it may be nan."""
    if value is None:
        return None
    if isinstance(value, Real) and math.isnan(value):
        return math.nan
    return check_number(value, "ignore_value")


def _is_ignored(targets: np.ndarray, ignore_value: float | None) -> np.ndarray | None:
    if ignore_value is None:
        return None
    return np.isnan(targets) if math.isnan(ignore_value) else targets == ignore_value
