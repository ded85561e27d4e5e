"""Losses of single elements; `fastnn.functional._loss_common` states the conventions."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Literal, Protocol, cast, overload

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import (
    as_columns,
    as_floating,
    as_real,
    as_weights,
    check_class_weights,
    check_interval,
    check_shape,
    contiguous,
    weighted,
)
from fastnn._shared.numbers import check_number
from fastnn.facts.losses import LOSSES, ElementOptions
from fastnn.functional._documentation import with_sections
from fastnn.functional._loss_common import (
    SECTIONS,
    AnyReduction,
    LossCall,
    Reduction,
    check_reduction,
    gradient_array,
    of_nothing,
)
from fastnn.functional._shapes import as_rows, plain

__all__ = [
    "binary_cross_entropy",
    "huber",
    "mean_absolute_error",
    "mean_squared_error",
    "poisson",
    "quantile",
]

_PREDICTIONS = """predictions, targets : (...,) or (..., K) array_like of float32 or float64
    Of one shape.  One dimension is N samples of one output, else rows are samples; a scalar is
    one sample."""

_WEIGHTS = """(...) or (..., K) array_like, optional
    One non-negative weight per sample, or for each element; 1 by default."""

_IGNORE_VALUE = """ignore_value : float, optional
    Targets equal to it are ignored; nan means those that are nan."""


def _notes(name: str, factor: str = "") -> str:
    """What the weights and the gradient of a loss are."""
    return (
        f"c is the sample weight of an element or its row{factor}, and 0 where the target\n"
        "is ignored; the mean is over all elements, that is over samples and outputs.  The\n"
        f"gradient of l is {LOSSES[name].slope}."
    )


_NO_OPTIONS = ElementOptions()

_COLUMNS = {"binary_cross_entropy": "pos_weight", "quantile": "quantile"}
"""What users call the numbers of the columns."""

_INTERVALS = {
    row.name: (row.targets.low, row.targets.high)
    for row in LOSSES.values()
    if row.targets.is_bounded
}


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
        reduction: Literal["none"],
        gradient: Literal[False] = ...,
        out: None = ...,
    ) -> np.ndarray: ...
    @overload
    def __call__(
        self,
        predictions: ArrayLike,
        targets: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        ignore_value: float | None = ...,
        reduction: AnyReduction = ...,
        gradient: Literal[True],
        out: np.ndarray | None = ...,
    ) -> tuple[Any, np.ndarray]: ...


def elementwise_loss(name: str) -> ElementwiseLoss:
    """The function of a loss whose row in `fastnn.facts.losses` has no parameter."""
    row = LOSSES[name]

    def loss(
        predictions: ArrayLike,
        targets: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        ignore_value: float | None = None,
        reduction: AnyReduction = "mean",
        gradient: bool = False,
        out: np.ndarray | None = None,
    ) -> Any:
        call = LossCall(
            predictions, "predictions", targets, sample_weight, reduction, gradient, out
        )
        if ignore_value is None:
            return _elementwise(name, call, _NO_OPTIONS)
        return _elementwise(name, call, ElementOptions(ignore_value=ignore_value))

    loss.__name__ = loss.__qualname__ = name
    loss.__doc__ = f"{row.title}, l = {row.value} per element."
    documented = with_sections(
        SECTIONS,
        first="predictions",
        weights=_WEIGHTS,
        each="an ndarray of the shape of the predictions",
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
    pos_weight: ArrayLike | None = ...,
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
    pos_weight: ArrayLike | None = ...,
    label_smoothing: float = ...,
    ignore_value: float | None = ...,
    reduction: Literal["none"],
    gradient: Literal[False] = ...,
    out: None = ...,
) -> np.ndarray: ...
@overload
def binary_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    sample_weight: ArrayLike | None = ...,
    class_weight: ArrayLike | None = ...,
    pos_weight: ArrayLike | None = ...,
    label_smoothing: float = ...,
    ignore_value: float | None = ...,
    reduction: AnyReduction = ...,
    gradient: Literal[True],
    out: np.ndarray | None = ...,
) -> tuple[Any, np.ndarray]: ...
@with_sections(
    SECTIONS,
    first="logits",
    weights=_WEIGHTS,
    each="an ndarray of the shape of the logits",
    inputs="""logits, targets : (...,) or (..., K) array_like of float32 or float64
    Of one shape; targets from 0 to 1.  One dimension is N samples of one output, else rows
    are samples; a scalar is one sample.  The sigmoid is part of the loss.""",
    options="""class_weight : (2,) array_like, optional
    Non-negative factors u0 and u1 for the classes 0 and 1, which count in the mean.
pos_weight : float or (K,) array_like, optional
    Non-negative factors p of the share of class 1, one for all outputs or one for each, which
    do not count in the mean: l = p y softplus(-z) + (1 - y) softplus(z).
label_smoothing : float
    0 <= s <= 1: replaces y by (1 - s) y + s / 2, before `pos_weight` is applied.
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
    pos_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_value: float | None = None,
    reduction: AnyReduction = "mean",
    gradient: bool = False,
    out: np.ndarray | None = None,
) -> Any:
    """Cross-entropy of sigmoid(logits) and targets, l = softplus(z) - y z per element."""
    call = LossCall(logits, "logits", targets, sample_weight, reduction, gradient, out)
    smoothing = check_number(label_smoothing, "label_smoothing", 0.0, 1.0)
    options = ElementOptions(smoothing, ignore_value, class_weight, pos_weight)
    return _elementwise("binary_cross_entropy", call, options)


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
    reduction: Literal["none"],
    gradient: Literal[False] = ...,
    out: None = ...,
) -> np.ndarray: ...
@overload
def huber(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: float = ...,
    sample_weight: ArrayLike | None = ...,
    ignore_value: float | None = ...,
    reduction: AnyReduction = ...,
    gradient: Literal[True],
    out: np.ndarray | None = ...,
) -> tuple[Any, np.ndarray]: ...
@with_sections(
    SECTIONS,
    first="predictions",
    weights=_WEIGHTS,
    each="an ndarray of the shape of the predictions",
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
    reduction: AnyReduction = "mean",
    gradient: bool = False,
    out: np.ndarray | None = None,
) -> Any:
    """Huber's loss, with r = a - y: r^2 / 2 if abs(r) <= delta, else delta (abs(r) - delta / 2).

    Source: Huber (1964), "Robust estimation of a location parameter", Annals of
    Mathematical Statistics 35.
    """
    call = LossCall(predictions, "predictions", targets, sample_weight, reduction, gradient, out)
    options = ElementOptions(check_number(delta, "delta", above=0.0), ignore_value)
    return _elementwise("huber", call, options)


@overload
def quantile(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    quantile: ArrayLike = ...,
    sample_weight: ArrayLike | None = ...,
    ignore_value: float | None = ...,
    reduction: Reduction = ...,
    gradient: Literal[False] = ...,
    out: None = ...,
) -> float: ...
@overload
def quantile(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    quantile: ArrayLike = ...,
    sample_weight: ArrayLike | None = ...,
    ignore_value: float | None = ...,
    reduction: Literal["none"],
    gradient: Literal[False] = ...,
    out: None = ...,
) -> np.ndarray: ...
@overload
def quantile(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    quantile: ArrayLike = ...,
    sample_weight: ArrayLike | None = ...,
    ignore_value: float | None = ...,
    reduction: AnyReduction = ...,
    gradient: Literal[True],
    out: np.ndarray | None = ...,
) -> tuple[Any, np.ndarray]: ...
@with_sections(
    SECTIONS,
    first="predictions",
    weights=_WEIGHTS,
    each="an ndarray of the shape of the predictions",
    inputs=_PREDICTIONS,
    options="quantile : float or (K,) array_like\n    Levels q, 0 < q < 1: one for all outputs or "
    "one for each.\n" + _IGNORE_VALUE,
    errors="or a level or a weight is out of range",
    notes=_notes("quantile"),
)
def quantile(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    quantile: ArrayLike = 0.5,
    sample_weight: ArrayLike | None = None,
    ignore_value: float | None = None,
    reduction: AnyReduction = "mean",
    gradient: bool = False,
    out: np.ndarray | None = None,
) -> Any:
    """Pinball loss of quantiles: q (y - a) if y > a, else (1 - q) (a - y).

    Source: Koenker & Bassett (1978), "Regression quantiles", Econometrica 46.
    """
    call = LossCall(predictions, "predictions", targets, sample_weight, reduction, gradient, out)
    if np.ndim(quantile):
        levels = [check_number(q, "quantile", above=0.0, below=1.0) for q in np.ravel(quantile)]
        options = ElementOptions(ignore_value=ignore_value, columns=np.asarray(levels))
    else:
        options = ElementOptions(
            check_number(quantile, "quantile", above=0.0, below=1.0), ignore_value
        )
    return _elementwise("quantile", call, options)


def _elementwise(
    name: str, call: LossCall, options: ElementOptions
) -> float | np.ndarray | tuple[float | np.ndarray, np.ndarray]:
    """A loss of single elements, with options as the caller passed them."""
    a = as_floating(call.first, call.first_name)
    y = as_floating(call.targets, "targets", a.dtype)
    check_shape(y, "targets", a.shape)
    checked = _checked(name, options, a)
    if name in _INTERVALS:
        low, high = _INTERVALS[name]
        check_interval(y, "targets", low, high, _is_ignored(y, checked.ignore_value))
    weights = None if call.sample_weight is None else _weights(call.sample_weight, a)
    reduction = check_reduction(call.reduction)
    slope = None
    if call.gradient is not False or call.out is not None:
        slope = _gradient_array(name, a, call, options)
    if a.size == 0:
        loss = of_nothing(call.reduction, a.shape, a.dtype)
        return loss if slope is None else (loss, slope)
    losses = np.empty(a.shape, a.dtype) if call.reduction == "none" else None
    loss = backend.kernels(a.dtype).elementwise_loss(
        name, _samples(a), _samples(y), weights, checked, reduction,
        None if losses is None else _samples(losses),
        None if slope is None else _samples(slope),
    )  # fmt: skip
    if losses is not None:
        if weights is not None:
            losses = weighted(_samples(losses), as_columns(weights)).reshape(a.shape)
        loss = losses[()]
    return loss if slope is None else (loss, plain(slope, call.out))


def _gradient_array(
    name: str, a: np.ndarray, call: LossCall, options: ElementOptions
) -> np.ndarray | None:
    """Where the gradient goes; `options` are as the caller passed them."""
    inputs = {
        "targets": call.targets,
        "sample_weight": call.sample_weight,
        "class_weight": options.class_weights,
    }
    if options.columns is not None:
        inputs[_COLUMNS[name]] = options.columns
    return gradient_array(a, (call.first, call.first_name), inputs, call.gradient, call.out)


def _samples(array: np.ndarray) -> np.ndarray:
    """Rows of samples; an array of one dimension holds samples of one output."""
    return array.reshape(-1, 1) if array.ndim == 1 else as_rows(array)


def _checked(name: str, options: ElementOptions, a: np.ndarray) -> ElementOptions:
    """The options as kernels take them, for predictions a."""
    if options.ignore_value is options.class_weights is options.columns is None:
        return options
    class_weights = columns = None
    if options.class_weights is not None:
        factors = as_weights(options.class_weights, "class_weight", (2,))
        check_class_weights(factors, "class_weight", a.dtype)
        class_weights = contiguous(factors, a.dtype)
    if options.columns is not None:
        width = a.shape[-1] if a.ndim > 1 else 1
        shape = (width,) if np.ndim(options.columns) else ()
        numbers = as_weights(options.columns, _COLUMNS[name], shape)
        check_class_weights(numbers, _COLUMNS[name], a.dtype)
        columns = contiguous(np.broadcast_to(numbers, (width,)), a.dtype)
    ignore_value = _check_ignore_value(options.ignore_value)
    return ElementOptions(options.parameter, ignore_value, class_weights, columns)


def _weights(sample_weight: Any, a: np.ndarray) -> np.ndarray:
    """Weights (N,) of the samples or (N, K) of the elements."""
    given = as_real(sample_weight, "sample_weight")
    if a.ndim < 2:
        return as_weights(given, "sample_weight", a.shape, a.dtype).reshape(-1)
    if given.shape not in (a.shape, a.shape[:-1]):
        raise ValueError(
            f"sample_weight must have shape {a.shape[:-1]} or {a.shape}, got {given.shape}"
        )
    weights = as_weights(given, "sample_weight", given.shape, a.dtype)
    return as_rows(weights) if given.ndim == a.ndim else weights.reshape(-1)


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
