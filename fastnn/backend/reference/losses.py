"""The losses, value and gradient in one pass, in plain NumPy.

Every loss is a weighted reduction of terms: "mean" divides the weighted sum by
the sum of the weights, "sum" does not, "half_sum" is half the sum.  Sums are
accumulated in float64.  A term of weight 0 has no influence, be it infinite or nan;
weights that sum to zero (everything ignored) give loss 0 and gradient 0.
"""

from __future__ import annotations

import numpy as np

from fastnn._shared.arrays import as_columns
from fastnn.backend.reference.normalizers import shift
from fastnn.facts.losses import ElementOptions, formula_of


def cross_entropy_labels(
    logits: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None,
    class_weights: np.ndarray | None,
    label_smoothing: float,
    ignore_index: int | None,
    reduction: str,
    losses: np.ndarray | None,
    gradient: np.ndarray | None,
) -> float:
    """Cross-entropy of rows of logits with integer labels.

    l = -sum_k q_k log_softmax(z)_k with q = (1 - s) onehot + s / K, the terms times the class
    weights; a mean divides by the sum of sample weights times class weights of the labels.  Ignored
    rows have weight 0.
    """
    n_rows, n_classes = logits.shape
    counted = np.ones(n_rows, bool) if ignore_index is None else labels != ignore_index
    _check_range(labels, counted, n_classes)
    labels = np.where(counted, labels, 0)
    weight = counted.astype(np.float64)
    if weights is not None:
        weight *= weights
    if class_weights is not None:
        norm = weight * class_weights[labels]
        if label_smoothing:
            one_hot = (labels[:, np.newaxis] == np.arange(n_classes)) & counted[:, np.newaxis]
            y = _smoothed(one_hot.astype(logits.dtype), label_smoothing) * class_weights
            return _rows(logits, y, weight, norm, reduction, losses, gradient)
        weight = norm

    rows = np.arange(n_rows)
    with np.errstate(all="ignore"):
        shifted = shift(logits)
        loss = shifted.log_total[:, 0] - shifted.z[rows, labels]
        if label_smoothing:
            mean = shifted.log_total[:, 0] - shifted.z.mean(axis=1)
            loss = _times(1 - label_smoothing, loss) + label_smoothing * mean
        loss = np.where(counted, loss, 0)
        if losses is not None:
            losses[...] = loss
        value, scale = _reduce(weight, loss, reduction)
        if gradient is not None:
            difference = shifted.probabilities
            # p - 1 at the label, without cancellation where it has the largest logit.
            own = shifted.e[rows, labels] - 1 - shifted.rest[:, 0]
            difference[rows, labels] = own / (1 + shifted.rest[:, 0]) + label_smoothing
            difference -= label_smoothing / n_classes
            _scale_into(gradient, difference, scale[:, np.newaxis])
    return value


def _check_range(labels: np.ndarray, counted: np.ndarray, n_classes: int) -> None:
    bad = counted & ((labels < 0) | (labels >= n_classes))
    if bad.any():
        i = int(bad.argmax())
        raise ValueError(
            f"labels must be integers from 0 to {n_classes - 1}, got labels[{i}] = {labels[i]}"
        )


def cross_entropy_rows(
    logits: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None,
    class_weights: np.ndarray | None,
    label_smoothing: float,
    reduction: str,
    losses: np.ndarray | None,
    gradient: np.ndarray | None,
) -> float:
    """Cross-entropy of rows of logits with rows of targets, which need not sum to 1.

    l = -sum_k u_k y_k log_softmax(z)_k with u the class weights and y the targets,
    of which smoothing spreads the share s evenly; the weight of a row is its sample weight.
    """
    y = _smoothed(targets, label_smoothing)
    if class_weights is not None:
        y = y * class_weights
    weight = np.ones(len(logits)) if weights is None else weights.astype(np.float64)
    return _rows(logits, y, weight, weight, reduction, losses, gradient)


def _smoothed(targets: np.ndarray, label_smoothing: float) -> np.ndarray:
    """Rows of targets, of which smoothing spreads its share evenly."""
    if not label_smoothing:
        return targets
    total = targets.sum(axis=1, keepdims=True)
    return (1 - label_smoothing) * targets + label_smoothing / targets.shape[1] * total


def _rows(
    logits: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    norm: np.ndarray,
    reduction: str,
    losses: np.ndarray | None,
    gradient: np.ndarray | None,
) -> float:
    """The loss of rows -sum_k y_k log_softmax(z)_k; a mean divides by the sum of `norm`."""
    with np.errstate(all="ignore"):
        shifted = shift(logits)
        loss = _times(y, shifted.log_total - shifted.z).sum(axis=1)
        if losses is not None:
            losses[...] = loss
        value, scale = _reduce(weight, loss, reduction, norm)
        if gradient is not None:
            difference = y.sum(axis=1, keepdims=True) * shifted.probabilities - y
            _scale_into(gradient, difference, scale[:, np.newaxis])
    return value


def elementwise_loss(
    name: str,
    prediction: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray | None,
    options: ElementOptions,
    reduction: str,
    losses: np.ndarray | None,
    gradient: np.ndarray | None,
) -> float:
    """Compare predictions and targets element by element.

    `name` is that of a row of `fastnn.facts.losses` which has the formula and says what the
    parameter is.
    The weight of an element is its own or its row's sample weight, times 0 if its target is
    ignored.
    """
    weight = np.ones(prediction.shape)
    if weights is not None:
        weight *= as_columns(weights)
    factor = np.ones(prediction.shape)
    ignored = options.ignore_value
    if ignored is not None:
        is_ignored = np.isnan(target) if np.isnan(ignored) else target == ignored
        factor[is_ignored] = 0
        target = np.where(is_ignored, 0, target)
    if options.class_weights is not None:
        factor *= target * options.class_weights[1] + (1 - target) * options.class_weights[0]
    columns = () if options.columns is None else (options.columns,)

    with np.errstate(all="ignore"):
        loss, slope = formula_of(name)(np, prediction, target, options.parameter, *columns)
        if losses is not None:
            losses[...] = _times(factor, loss)
        value, scale = _reduce(weight * factor, loss, reduction)
        if gradient is not None:
            _scale_into(gradient, slope, scale)
    return value


def _times(weight: np.ndarray | float, term: np.ndarray) -> np.ndarray:
    """Return weight * term, and 0 where the weight is 0, whatever the term."""
    return np.where(weight == 0, 0, weight * term)


def _reduce(
    weight: np.ndarray, loss: np.ndarray, reduction: str, norm: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """The reduced loss, and its derivative with respect to each term of `loss`.

    A mean divides by the sum of `norm`, by default that of the weights.
    """
    total = float((weight if norm is None else norm).sum())
    divisor = {"sum": 1.0, "half_sum": 2.0}.get(reduction, total)
    if divisor == 0:
        return 0.0, np.zeros_like(weight)
    return float(_times(weight, loss).sum()) / divisor, weight / divisor


def _scale_into(out: np.ndarray, slope: np.ndarray, scale: np.ndarray) -> None:
    """Write slope * scale into out, in its dtype."""
    out[...] = _times(scale, slope)
