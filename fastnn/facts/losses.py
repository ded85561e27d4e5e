"""One row for each loss that the engines compute: its targets, its link, its mean, its formula.

Both engines, `fastnn.losses`, `fastnn.functional` and the gradient check read the rows;
`setup.py` writes the dispatch of the compiled engine from them.  This file imports the standard
library alone, so that `setup.py` can load it before anything is built.

A row composes what a loss is made of, after the example of scikit-learn's `_loss`: the pointwise
loss, the link between outputs and predictions, and the interval of the targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Link = Literal["none", "log", "sigmoid", "softmax"]
"""How outputs relate to expected targets: the name of the link (log) or of its inverse."""
Formula = Callable[..., tuple[Any, Any]]
"""From (numpy, outputs, targets, parameter) to losses and their derivatives by the outputs.

Where a row has `columns`, an array of one number for each column may follow.
"""


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`, both included where they are finite."""

    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        """What a target must be, for messages: ``within [0, 1]``."""
        if not self.is_bounded:
            return "finite"
        if math.isinf(self.high):
            return f">= {self.low:g}"
        if math.isinf(self.low):
            return f"<= {self.high:g}"
        return f"within [{self.low:g}, {self.high:g}]"

    @property
    def is_bounded(self) -> bool:
        """Whether it leaves out a finite number."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    def excludes(self, targets: Any) -> Any:
        """Where an array of targets lies outside; nan does not."""
        return (targets < self.low) | (targets > self.high)

    def contains(self, targets: Any) -> Any:
        """Where an array of targets lies inside; infinities and nan do not."""
        return (targets >= self.low) & (targets <= self.high) & (abs(targets) < math.inf)


@dataclass(frozen=True)
class Parameter:
    """The one number that a loss takes besides the arrays; `below` is its strict bound.

    With `by_column` each column may have its own, by the option `columns` of the loss.
    """

    name: str
    default: float
    below: float = math.inf
    by_column: bool = False


class ElementOptions(NamedTuple):
    """What an elementwise loss depends on beside outputs, targets and their weights.

    Attributes
    ----------
    parameter : float
        That of its row.
    ignore_value : float or None
        Targets equal to it are ignored; nan means those that are nan.
    class_weights : (2,) array or None
        Weights u of losses whose targets y are shares of classes, y u[1] + (1 - y) u[0]; they
        count in the mean.
    columns : (K,) array or None
        One number for each column: the option `columns` of the row.
    """

    parameter: float = 0.0
    ignore_value: float | None = None
    class_weights: Any = None
    columns: Any = None


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss as the engines compute it.

    Attributes
    ----------
    name : str
    targets : Interval
        What targets in rows may be; those that are ignored may be anything.
    link : {"none", "log", "sigmoid", "softmax"}
        What outputs are: expected targets, or their logarithms; or logits, which this function
        turns into probabilities.
    formula : callable or None
        The loss of single elements; None for a loss of whole rows, whose kernels have names of
        their own.
    takes_labels : bool
        Whether targets may be integer labels (N,), which `ignore_index` ignores; other targets
        are ignored by `ignore_value`.
    parameter : Parameter or None
    columns : str
        Name of the option that has one number for each column; empty if there is none.
    degree : int
        The power of the unit of the targets in the loss, where this is a loss of differences:
        with targets, outputs and the parameter in another unit it is multiplied by this power.
        0 for other losses.
    corners : callable
        From the parameter to the values of output - target at which one formula follows another.
    deviance : callable or None
        From (numpy, outputs, targets) to twice the loss above the least that a target allows.
    metric : {"accuracy", "r2", "d2"}
        The score of predictions: their accuracy, the share of the squared deviations from the
        mean that they explain, or the share of the deviance.
    title, value, slope, inputs : str
        For the documentation: what the loss is called, its formula, its derivative by the output,
        and what outputs and targets are, where this is not plain.
    """

    name: str
    targets: Interval = Interval()
    link: Link = "none"
    formula: Formula | None = field(default=None, repr=False)
    takes_labels: bool = False
    parameter: Parameter | None = None
    columns: str = ""
    degree: int = 0
    corners: Callable[[float], tuple[float, ...]] = field(default=lambda p: (), repr=False)
    deviance: Callable[[Any, Any, Any], Any] | None = field(default=None, repr=False)
    metric: Literal["accuracy", "r2", "d2"] = "r2"
    title: str = ""
    value: str = ""
    slope: str = ""
    inputs: str = ""

    @property
    def has_classes(self) -> bool:
        """Whether targets are shares of classes, which may have weights."""
        return self.metric == "accuracy"

    @property
    def is_elementwise(self) -> bool:
        """Whether elements count by themselves: a mean divides by their weights, not by rows'."""
        return self.formula is not None


def _times(np: Any, weight: Any, term: Any) -> Any:
    """Return weight * term, and 0 where the weight is 0, whatever the term."""
    return np.where(weight == 0, 0, weight * term)


def _binary_cross_entropy(
    np: Any, z: Any, y: Any, label_smoothing: float, pos_weight: Any = None
) -> tuple[Any, Any]:
    """Return p y softplus(-z) + (1 - y) softplus(z), p being `pos_weight` or 1, and its slope.

    For p = 1 they are softplus(z) - y z and sigmoid(z) - y, without cancellation.
    """
    if label_smoothing:
        y = (1 - label_smoothing) * y + label_smoothing / 2
    share, total = (y, 1) if pos_weight is None else (pos_weight * y, pos_weight * y + (1 - y))
    # With the other side's share of the target, both are sums of non-negative terms:
    # softplus(z) - y z = log(1 + exp(-|z|)) + |z| (1 - y if z >= 0 else y), y weighted by p.
    e = np.exp(-np.abs(z))
    small, large = e / (1 + e), 1 / (1 + e)
    positive = z >= 0
    loss = total * np.log1p(e) + _times(np, np.where(positive, 1 - y, share), np.abs(z))
    sigmoid = np.where(positive, large, small)
    complement = np.where(positive, small, large)
    return loss, (1 - y) * sigmoid - share * complement


def _mean_squared_error(np: Any, a: Any, y: Any, unused: float) -> tuple[Any, Any]:
    residual = a - y
    return residual * residual, 2 * residual


def _mean_absolute_error(np: Any, a: Any, y: Any, unused: float) -> tuple[Any, Any]:
    residual = a - y
    return np.abs(residual), np.sign(residual)


def _huber(np: Any, a: Any, y: Any, delta: float) -> tuple[Any, Any]:
    residual = a - y
    size = np.abs(residual)
    loss = np.where(size <= delta, 0.5 * residual * residual, delta * (size - 0.5 * delta))
    return loss, np.clip(residual, -delta, delta)


def _quantile(np: Any, a: Any, y: Any, level: float, levels: Any = None) -> tuple[Any, Any]:
    """max(q (y - a), (1 - q) (a - y)) with the levels q of the columns, or one for all."""
    residual = a - y
    q = np.asarray(level, residual.dtype) if levels is None else levels
    slope = np.where(residual < 0, -q, np.where(residual > 0, 1 - q, residual))
    return slope * residual, slope


def _poisson(np: Any, z: Any, y: Any, unused: float) -> tuple[Any, Any]:
    rate = np.exp(z)
    return rate - _times(np, y, z), rate - y


def _poisson_deviance(np: Any, z: Any, y: Any) -> Any:
    """2 (y log(y / rate) - y + rate) with rate = exp(z), by the logarithm r of y / rate."""
    r = np.log(y) - z
    return 2 * np.where(y > 0, y * (np.expm1(-r) + r), np.exp(z))


_SMOOTHING = Parameter("label_smoothing", 0.0, below=1.0)

ROWS = (
    Loss(
        "cross_entropy",
        Interval(0.0),
        "softmax",
        takes_labels=True,
        parameter=_SMOOTHING,
        metric="accuracy",
        title="Cross-entropy of softmax",
        value="-sum(y log softmax(z))",
        slope="sum(y) softmax(z) - y",
    ),
    Loss(
        "binary_cross_entropy",
        Interval(0.0, 1.0),
        "sigmoid",
        _binary_cross_entropy,
        parameter=_SMOOTHING,
        columns="pos_weights",
        metric="accuracy",
        title="Cross-entropy of sigmoid",
        value="softplus(z) - y z",
        slope="sigmoid(z) - y, y being smoothed",
    ),
    Loss(
        "mean_squared_error",
        formula=_mean_squared_error,
        degree=2,
        title="Squared error",
        value="(a - y)^2",
        slope="2 (a - y)",
    ),
    Loss(
        "mean_absolute_error",
        formula=_mean_absolute_error,
        degree=1,
        corners=lambda unused: (0.0,),
        title="Absolute error",
        value="abs(a - y)",
        slope="sign(a - y), which is 0 at 0",
    ),
    Loss(
        "huber",
        formula=_huber,
        parameter=Parameter("delta", 1.0),
        degree=2,
        corners=lambda delta: (-delta, delta),
        title="Huber's loss",
        value="r^2 / 2 if abs(r) <= delta, else delta (abs(r) - delta / 2), r = a - y",
        slope="r, limited to [-delta, delta]",
    ),
    Loss(
        "poisson",
        Interval(0.0),
        "log",
        _poisson,
        deviance=_poisson_deviance,
        metric="d2",
        title="Negative log-likelihood of counts y with the rate exp(a), but for log(y!)",
        value="exp(a) - y a",
        slope="exp(a) - y",
        inputs="Predictions are logarithms of rates, targets are counts or other numbers >= 0.",
    ),
    Loss(
        "quantile",
        formula=_quantile,
        parameter=Parameter("quantile", 0.5, below=1.0, by_column=True),
        columns="quantiles",
        degree=1,
        corners=lambda unused: (0.0,),
        metric="d2",
        title="Loss of the quantile of level q, the pinball loss",
        value="q (y - a) if y > a, else (1 - q) (a - y)",
        slope="-q if y > a, 1 - q if y < a, and 0 where they are equal",
    ),
)
"""The position of a row is its code in the compiled engine."""

LOSSES = {row.name: row for row in ROWS}


def formula_of(name: str) -> Formula:
    """The formula of a loss of single elements.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    row = LOSSES.get(name)
    if row is None or row.formula is None:
        names = ", ".join(row.name for row in ROWS if row.is_elementwise)
        raise ValueError(f"unknown loss {name!r}; known are {names}")
    return row.formula
