"""Losses that compare outputs and targets element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._shared.arrays import (
    as_columns,
    as_real,
    check_finite,
    check_range,
    readable,
    scaled_weights,
    weighted,
)
from fastnn._shared.config import replace_fields
from fastnn._shared.numbers import check_number
from fastnn.facts.losses import ElementOptions
from fastnn.losses._base import (
    ClassWeight,
    EngineLoss,
    expand_class_weight,
    frozen_class_weight,
    in_use,
)
from fastnn.losses._tallies import (
    Accuracy,
    ByColumn,
    ExplainedDeviance,
    ExplainedPinball,
    RSquared,
    Scorer,
)

if TYPE_CHECKING:
    from fastnn.backend.protocol import Kernels

__all__ = [
    "BinaryCrossEntropy",
    "Huber",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Poisson",
    "Quantile",
]


@dataclass(frozen=True, kw_only=True)
class Elementwise(EngineLoss):
    """A loss that compares outputs and targets element by element."""

    ignore_value: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if _is_nan(self.ignore_value):
            replace_fields(self, ignore_value=math.nan)
        elif self.ignore_value is not None:
            replace_fields(self, ignore_value=check_number(self.ignore_value, "ignore_value"))

    @property
    def config(self) -> dict[str, Any]:
        """What `get` needs to make this loss again; a nan, which JSON lacks, becomes "nan"."""
        config = super().config
        return config | {"ignore_value": "nan"} if _is_nan(self.ignore_value) else config

    @property
    def weighs_elements(self) -> bool:
        """Whether sample weights may be of single elements."""
        return True

    def attributes(self, width: int) -> dict[str, Any]:
        """What the engines need to know, for an output of `width` columns."""
        options = in_use(reduction=self.reduction, ignore_value=self.ignore_value)
        if self.row.columns:
            options |= in_use(**{self.row.columns: self._columns(width)})
        if self.row.parameter is not None and self.parameter:
            options[self.row.parameter.name] = self.parameter
        return options

    def accepting_nan(self) -> Elementwise:
        """The same loss with ``ignore_value=nan``."""
        if self.ignore_value is not None and not _is_nan(self.ignore_value):
            raise ValueError(
                f"{self.name} ignores targets equal to {self.ignore_value:g}: it cannot take "
                "nan for missing as well"
            )
        return replace(self, ignore_value=math.nan)

    def _class_weights(self) -> tuple[float, ...] | None:
        return None

    def _columns(self, width: int) -> tuple[float, ...] | None:
        """One number for each column, where the loss has them."""
        return None

    def target(
        self, y: Any, width: int, dtype: np.dtype, name: str = "y", check: bool = True
    ) -> np.ndarray:
        """Targets as (N, width); (N,) is taken where width is 1."""
        y = as_real(y, name)
        if y.ndim == 1 and width == 1:
            y = y[:, None]
        if y.ndim != 2 or y.shape[1] != width:
            expected = "(N,) or (N, 1)" if width == 1 else f"(N, {width})"
            raise ValueError(f"{name} must have shape {expected}, got {y.shape}")
        if check:
            self._check_values(y, dtype, name)
        return readable(y, np.float64)

    def _check_values(self, y: np.ndarray, dtype: np.dtype, name: str) -> None:
        seen = np.where(np.isnan(y), 0, y) if _is_nan(self.ignore_value) else y
        hint = "ignore_value=nan ignores missing targets"
        check_finite(seen, name, hint, dtype)
        interval = self.row.targets
        if interval.is_bounded:
            check_range(y, name, interval.excludes(y) & self.observed(y), str(interval))

    def observed(self, target: np.ndarray) -> np.ndarray:
        """Where targets are not ignored: a bool array of their shape."""
        if self.ignore_value is None:
            return np.ones(target.shape, bool)
        if _is_nan(self.ignore_value):
            return ~np.isnan(target)
        return target != self.ignore_value

    def expected(self, output: np.ndarray, kernels: Kernels) -> np.ndarray:
        """Outputs (N, K) as expected targets (N, K), by the inverse of the link."""
        if self.row.link != "log":
            return super().expected(output, kernels)
        out = np.empty_like(output)
        kernels.exp(output.reshape(-1), out.reshape(-1))
        return out

    def value(
        self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None, kernels: Kernels
    ) -> float:
        """The loss of outputs (N, K) against prepared targets."""
        options = self._options(output.shape[1], output.dtype)
        return kernels.elementwise_loss(
            self.name, output, target, weights, options, self.reduction, None, None
        )

    def parts(
        self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None, kernels: Kernels
    ) -> np.ndarray:
        """The weighted losses (N, K) of the elements."""
        options = self._options(output.shape[1], output.dtype)
        losses = np.empty_like(output)
        kernels.elementwise_loss(self.name, output, target, None, options, "sum", losses, None)
        return losses if weights is None else weighted(losses, as_columns(weights))

    def _options(self, width: int, dtype: np.dtype) -> ElementOptions:
        """The options as the kernels take them, for outputs of `width` columns."""

        def array(numbers: tuple[float, ...] | None) -> np.ndarray | None:
            return None if numbers is None else np.asarray(numbers, dtype)

        return ElementOptions(
            self.parameter,
            self.ignore_value,
            array(self._class_weights()),
            array(self._columns(width)),
        )

    def row_weights(self, target: np.ndarray, weights: np.ndarray | None, width: int) -> np.ndarray:
        """Weight of each row in the mean: the sum over its elements that are not ignored."""
        counted = self._counted(target, weights)
        u = self._class_weights()
        if u is not None:
            share = np.where(self.observed(target), target, 0).astype(np.float64)
            counted *= share * u[1] + (1 - share) * u[0]
        return counted.sum(axis=1)

    def _counted(self, target: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        """Weights (N, K) of the elements, 0 for ignored ones."""
        counted = self.observed(target).astype(np.float64)
        if weights is not None:
            counted *= as_columns(weights)
        return counted

    def scorer(self) -> Scorer:
        """The score of each column, averaged over the columns that have targets."""
        deviance = self.row.deviance
        if deviance is None:
            return ByColumn(self.observed, RSquared)
        link = math.log if self.row.link == "log" else float
        return ByColumn(self.observed, lambda: ExplainedDeviance(deviance, link))


@dataclass(frozen=True)
class BinaryCrossEntropy(Elementwise):
    """Cross-entropy of sigmoid(outputs), each column a yes-or-no question of its own.

    Targets lie in [0, 1], of shape (N, K), or (N,) where K is 1.

    Parameters
    ----------
    label_smoothing : float, default 0
        Targets are drawn towards 1/2 by this share; in [0, 1).
    class_weight : {0: w0, 1: w1} or (w0, w1), optional
        Weights of targets 0 and 1, which count in the mean.
    pos_weight : float or K floats, optional
        Factor of the share of class 1, for all columns or for each, which does not count in the
        mean, as in PyTorch: ``pos_weight y softplus(-z) + (1 - y) softplus(z)``, y being the
        target after label smoothing.
    ignore_value : float, optional
        Targets equal to this value are ignored; nan ignores missing targets.
    reduction : {"mean", "sum", "half_sum", "none"}
        The mean is over all samples and columns, weighted.
    """

    name: ClassVar[str] = "binary_cross_entropy"

    label_smoothing: float = 0.0
    class_weight: ClassWeight = None
    pos_weight: float | Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        replace_fields(
            self,
            label_smoothing=check_number(self.label_smoothing, "label_smoothing", 0.0, below=1.0),
            class_weight=frozen_class_weight(self.class_weight),
            pos_weight=_frozen_pos_weight(self.pos_weight),
        )
        expand_class_weight(self.class_weight, 2)

    def attributes(self, width: int) -> dict[str, Any]:
        """What the engines need to know, for an output of `width` columns."""
        return super().attributes(width) | in_use(class_weights=self._class_weights())

    def _columns(self, width: int) -> tuple[float, ...] | None:
        weights = self.pos_weight
        if weights is None:
            return None
        if isinstance(weights, float):
            return (weights,) * width
        if len(weights) != width:
            raise ValueError(
                f"pos_weight must be one number or {width}, one for each column, got {len(weights)}"
            )
        return tuple(weights)

    def _class_weights(self) -> tuple[float, ...] | None:
        weights = expand_class_weight(self.class_weight, 2)
        if weights is None or self.reduction != "mean":
            return weights
        return tuple(scaled_weights(np.array(weights)).tolist())  # which the mean divides by

    def scorer(self) -> Accuracy:
        """Share of the elements on the right side of 1/2; ignored ones left out."""

        def judge(output: np.ndarray, target: np.ndarray, weights: Any) -> Any:
            return (output >= 0) == (target >= 0.5), self._counted(target, weights)

        return Accuracy(judge)

    def probabilities(self, output: np.ndarray, kernels: Kernels) -> np.ndarray:
        """The sigmoid of each element."""
        out = np.empty_like(output)
        kernels.activation("sigmoid", output.reshape(-1), 1.0, out.reshape(-1))
        return out

    def classes(self, output: np.ndarray) -> np.ndarray:
        """1 where the probability is at least 1/2, else 0: (N,) for one column, else (N, K)."""
        positive = (output >= 0).astype(np.int64)
        return positive[:, 0] if positive.shape[1] == 1 else positive

    def sample_weights(
        self, target: np.ndarray, class_weight: ClassWeight, width: int
    ) -> np.ndarray:
        """Weight of each sample by its target, which lies in the one column."""
        self._check_one_column(width)
        u = np.asarray(expand_class_weight(class_weight, 2))
        share = np.where(self.observed(target), target, 0)[:, 0].astype(np.float64)
        return (1 - share) * u[0] + share * u[1]

    def class_counts(self, target: np.ndarray, width: int) -> np.ndarray:
        """Number of zeros and of ones in the one column; a share counts for both."""
        self._check_one_column(width)
        shares = target[self.observed(target)].astype(np.float64)
        ones = shares.sum()
        return np.array([len(shares) - ones, ones])

    def _check_one_column(self, width: int) -> None:
        if width != 1:
            raise ValueError(
                "class_weight weighs whole samples, so it needs an output of one column; got "
                f"{width}: give class_weight to BinaryCrossEntropy instead"
            )


@dataclass(frozen=True)
class MeanSquaredError(Elementwise):
    """(output - target)^2.

    Parameters
    ----------
    reduction : {"mean", "sum", "half_sum", "none"}
        The mean is over all samples and columns, weighted; "half_sum" is the
        1/2 ||Y - Z||^2 of textbooks.
    ignore_value : float, optional
        Targets equal to this value are ignored; nan ignores missing targets.
    """

    name: ClassVar[str] = "mean_squared_error"


@dataclass(frozen=True)
class MeanAbsoluteError(Elementwise):
    """|output - target|, with gradient 0 where they are equal.

    Parameters
    ----------
    reduction : {"mean", "sum", "half_sum", "none"}
    ignore_value : float, optional
        Targets equal to this value are ignored; nan ignores missing targets.
    """

    name: ClassVar[str] = "mean_absolute_error"


@dataclass(frozen=True)
class Huber(Elementwise):
    """Half the squared error up to `delta`, growing linearly beyond.

    r^2 / 2 for |r| <= delta, delta (|r| - delta / 2) beyond, r = output - target.

    Parameters
    ----------
    delta : float, default 1
        Positive.
    reduction : {"mean", "sum", "half_sum", "none"}
    ignore_value : float, optional
        Targets equal to this value are ignored; nan ignores missing targets.

    References
    ----------
    Huber (1964), "Robust estimation of a location parameter".
    """

    name: ClassVar[str] = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        replace_fields(self, delta=check_number(self.delta, "delta", above=0.0))


@dataclass(frozen=True)
class Poisson(Elementwise):
    """exp(output) - target output: counts with a rate whose logarithm is the output.

    The negative log-likelihood of Poisson's distribution without log(target!), which no
    parameter changes.  Targets are counts or other numbers >= 0.  `Network.predict` returns the
    outputs, logarithms of rates; `Network.predict_mean` returns the rates.  The score is D^2, the
    share of the deviance that the rates explain.

    Parameters
    ----------
    reduction : {"mean", "sum", "half_sum", "none"}
        The mean is over all samples and columns, weighted.
    ignore_value : float, optional
        Targets equal to this value are ignored; nan ignores missing targets.

    References
    ----------
    McCullagh & Nelder (1989), "Generalized linear models", chapter 6.
    """

    name: ClassVar[str] = "poisson"


@dataclass(frozen=True)
class Quantile(Elementwise):
    """q (target - output) below the target and (1 - q) (output - target) above: quantiles.

    The mean of this loss, the pinball loss, is least where a share q of the targets lies below
    the outputs.  With Q levels, the output of a network has Q columns for each column of the
    targets: all levels of the first one, then those of the next.  `Network.predict` returns the
    outputs.  `Network.predict_mean` returns them in ascending order for each target, so that
    quantiles never cross; this rearrangement does not raise the loss (Chernozhukov et al. 2010).
    The score is D^2, the share of the loss of constant quantiles that the outputs avoid.

    Parameters
    ----------
    quantiles : float or sequence of float, default 0.5
        Levels in (0, 1), in ascending order.  0.5 is the median.
    reduction : {"mean", "sum", "half_sum", "none"}
        The mean is over all samples and columns, weighted.
    ignore_value : float, optional
        Targets equal to this value are ignored; nan ignores missing targets.

    References
    ----------
    Koenker & Bassett (1978), "Regression quantiles".
    Chernozhukov, Fernandez-Val & Galichon (2010), "Quantile and probability curves without
    crossing".
    """

    name: ClassVar[str] = "quantile"
    quantiles: float | Sequence[float] = (0.5,)

    def __post_init__(self) -> None:
        super().__post_init__()
        replace_fields(self, quantiles=quantile_levels(self.quantiles))

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels, as a tuple."""
        assert isinstance(self.quantiles, tuple)
        return self.quantiles

    @property
    def parameter(self) -> float:
        """The only level; 0 if there are several."""
        return self.levels[0] if len(self.levels) == 1 else 0.0

    def _columns(self, width: int) -> tuple[float, ...] | None:
        n = len(self.levels)
        if width % n:
            raise ValueError(
                f"{n} quantiles need an output with {n} columns for each target, got {width}"
            )
        return None if n == 1 else self.levels * (width // n)

    def target(
        self, y: Any, width: int, dtype: np.dtype, name: str = "y", check: bool = True
    ) -> np.ndarray:
        """Targets as (N, width): each column once for every level."""
        n = len(self.levels)
        targets = super().target(y, width // n, dtype, name, check)
        return targets if n == 1 else np.repeat(targets, n, axis=1)

    def expected(self, output: np.ndarray, kernels: Kernels) -> np.ndarray:
        """Outputs (N, K) with the quantiles of each target in ascending order."""
        by_target = output.reshape(len(output), -1, len(self.levels))
        return np.sort(by_target, axis=2).reshape(output.shape)

    def scorer(self) -> Scorer:
        """The score of each column, averaged over the columns that have targets."""
        levels = cycle(self.levels)
        return ByColumn(self.observed, lambda: ExplainedPinball(next(levels)))


def quantile_levels(quantiles: Any) -> tuple[float, ...]:
    """The levels of quantiles as a tuple.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers in (0, 1) in ascending order.
    """
    if isinstance(quantiles, str) or np.ndim(quantiles) == 0:
        quantiles = [quantiles]
    levels = tuple(check_number(q, "quantiles", above=0.0, below=1.0) for q in quantiles)
    if not levels or any(low >= high for low, high in pairwise(levels)):
        raise ValueError(f"quantiles must be levels in ascending order, got {levels}")
    return levels


def _frozen_pos_weight(value: Any) -> float | tuple[float, ...] | None:
    """None, a number, or a tuple of numbers: hashable, fit for JSON."""
    if value is None:
        return None
    if isinstance(value, str) or np.ndim(value) == 0:
        return check_number(value, "pos_weight", 0.0)
    weights = tuple(check_number(weight, "pos_weight", 0.0) for weight in value)
    if not weights:
        raise ValueError("pos_weight must be a number or one for each column, got none")
    return weights


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)
