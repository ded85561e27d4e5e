"""Cross-entropy over exclusive classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._shared.arrays import (
    as_real,
    check_finite,
    check_range,
    contiguous,
    readable,
    weighted,
)
from fastnn._shared.config import replace_fields
from fastnn._shared.numbers import check_flag, check_integer, check_number
from fastnn.losses._base import (
    ClassWeight,
    EngineLoss,
    expand_class_weight,
    frozen_class_weight,
    in_use,
)
from fastnn.losses._tallies import Accuracy

if TYPE_CHECKING:
    from fastnn.backend.protocol import Kernels

_MISSING = -(2**63)
"""The label that replaces nan: it is no class, and too unusual to be a label of a user."""


@dataclass(frozen=True)
class CrossEntropy(EngineLoss):
    """Cross-entropy of softmax(outputs), computed stably from the logits.

    Targets are integer labels (N,) or rows (N, K) of non-negative numbers that
    need not sum to 1.

    Parameters
    ----------
    label_smoothing : float, default 0
        Share of each target spread evenly over the K classes; in [0, 1).
    class_weight : mapping of class to weight, or K weights, optional
        Factors of the terms of a row, those that smoothing adds included: labels and their one-hot
        rows have the same sum.  The network's dtype must hold them.
    ignore_index : int, optional
        Rows with this label are ignored.
    ignore_nan : bool, default False
        Whether nan means missing: labels that are nan, in a floating type, and target
        rows with a nan are ignored.
    reduction : {"mean", "sum", "half_sum", "none"}
        The mean divides by the sum of sample weight times class weight for
        labels, by the sum of sample weights for rows.

    See Also
    --------
    fastnn.functional.cross_entropy : the formula and its gradient.
    """

    name: ClassVar[str] = "cross_entropy"

    label_smoothing: float = 0.0
    class_weight: ClassWeight = None
    ignore_index: int | None = None
    ignore_nan: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        ignored = self.ignore_index
        replace_fields(
            self,
            label_smoothing=check_number(self.label_smoothing, "label_smoothing", 0.0, below=1.0),
            class_weight=frozen_class_weight(self.class_weight),
            ignore_index=ignored if ignored is None else check_integer(ignored, "ignore_index"),
            ignore_nan=check_flag(self.ignore_nan, "ignore_nan"),
        )

    def attributes(self, width: int) -> dict[str, Any]:
        """What the engines need to know, for an output of `width` columns."""
        if width < 2:
            raise ValueError(
                "cross_entropy needs an output of at least 2 columns, got 1; "
                "use binary_cross_entropy for two classes in one column"
            )
        return in_use(
            reduction=self.reduction,
            label_smoothing=self.parameter or None,
            ignore_index=self._ignored,
            ignore_nan=self.ignore_nan or None,
            class_weights=expand_class_weight(self.class_weight, width),
        )

    @property
    def _ignored(self) -> int | None:
        """The label that is ignored; labels that are nan are converted to it."""
        return _MISSING if self.ignore_nan and self.ignore_index is None else self.ignore_index

    def accepting_nan(self) -> CrossEntropy:
        """The same loss with `ignore_nan`."""
        return replace(self, ignore_nan=True)

    def target(
        self, y: Any, width: int, dtype: np.dtype, name: str = "y", check: bool = True
    ) -> np.ndarray:
        """Labels (N,), or rows (N, K); see `Loss.target`.

        A column (N, 1) and whole numbers in a floating type are taken as labels.
        """
        y = as_real(y, name)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim == 1:
            return self._labels(y, width, name)
        if y.ndim != 2 or y.shape[1] != width:
            raise ValueError(
                f"{name} must have shape (N,) for labels or (N, {width}) for rows, got {y.shape}"
            )
        if check:
            seen = np.where(np.isnan(y), 0, y) if self.ignore_nan else y
            hint = "ignore_nan=True ignores rows with nan"
            check_finite(seen, name, hint, dtype)
            check_range(y, name, self.row.targets.excludes(seen), str(self.row.targets))
        return readable(y, dtype)

    def _labels(self, y: np.ndarray, width: int, name: str) -> np.ndarray:
        if y.dtype.kind == "f":
            if self.ignore_nan and np.isnan(y).any():
                return self._labels_with_nan(y, width, name)
            check_finite(y, name, "ignore_nan=True ignores nan")
            check_range(y, name, y != np.floor(y), f"integer labels or rows (N, {width})")
        labels = readable(y, np.int64) if y.dtype.kind in "biu" else contiguous(y, np.int64)
        outside = (labels < 0) | (labels >= width)
        if self._ignored is not None:
            outside &= labels != self._ignored
        check_range(y, name, outside, f"integers from 0 to {width - 1}")
        return labels

    def _labels_with_nan(self, y: np.ndarray, width: int, name: str) -> np.ndarray:
        """Labels of which nan ones become the label that is ignored."""
        missing = np.isnan(y)
        labels = self._labels(np.where(missing, y.dtype.type(0), y), width, name)
        return np.where(missing, np.int64(self._ignored or 0), labels)

    def value(
        self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None, kernels: Kernels
    ) -> float:
        """The loss of logits (N, K) against prepared targets."""
        u = expand_class_weight(self.class_weight, output.shape[1])
        class_weights = None if u is None else np.asarray(u, output.dtype)
        if target.ndim == 1:
            return kernels.cross_entropy_labels(
                output, target, weights, class_weights, self.parameter,
                self._ignored, self.reduction, None, None,
            )  # fmt: skip
        if self.ignore_nan:
            weights = observed_weights(target, weights)
        return kernels.cross_entropy_rows(
            output, target, weights, class_weights, self.parameter,
            self.reduction, None, None,
        )  # fmt: skip

    def parts(
        self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None, kernels: Kernels
    ) -> np.ndarray:
        """The weighted losses (N,) of the rows."""
        # With smoothing, class weights are factors of the terms of a row; else of the row.
        counted = self._counted(target, weights)
        if not self.parameter:
            counted = self.row_weights(target, weights, output.shape[1])
        u = expand_class_weight(self.class_weight, output.shape[1])
        class_weights = None if u is None else np.asarray(u, output.dtype)
        losses = np.empty(len(output), output.dtype)
        if target.ndim == 1:
            kernels.cross_entropy_labels(
                output,
                target,
                None,
                class_weights,
                self.parameter,
                self._ignored,
                "sum",
                losses,
                None,
            )
        else:
            kernels.cross_entropy_rows(
                output, target, None, class_weights, self.parameter, "sum", losses, None
            )
        return weighted(losses, counted.astype(output.dtype))

    def row_weights(self, target: np.ndarray, weights: np.ndarray | None, width: int) -> np.ndarray:
        """Weight of each row in the mean; class weights do not apply to target rows there."""
        counted = self._counted(target, weights)
        u = expand_class_weight(self.class_weight, width)
        if u is not None and target.ndim == 1:
            counted = counted * np.asarray(u)[np.where(counted == 0, 0, target)]
        return counted

    def _counted(self, target: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        """Weights (N,) of the rows, 0 for ignored ones."""
        counted = np.ones(len(target)) if weights is None else weights.astype(np.float64)
        if self._ignored is not None and target.ndim == 1:
            return np.where(target == self._ignored, 0.0, counted)
        if self.ignore_nan and target.ndim == 2:
            return observed_weights(target, counted)
        return counted

    def scorer(self) -> Accuracy:
        """Share of rows whose largest logit is the target's class; ignored rows left out."""

        def judge(output: np.ndarray, target: np.ndarray, weights: Any) -> Any:
            truth = target if target.ndim == 1 else target.argmax(axis=1)
            return output.argmax(axis=1) == truth, self._counted(target, weights)

        return Accuracy(judge)

    def probabilities(self, output: np.ndarray, kernels: Kernels) -> np.ndarray:
        """The softmax of each row."""
        out = np.empty_like(output)
        kernels.softmax(output, out)
        return out

    def classes(self, output: np.ndarray) -> np.ndarray:
        """Column (N,) of the largest logit."""
        return output.argmax(axis=1)

    def sample_weights(
        self, target: np.ndarray, class_weight: ClassWeight, width: int
    ) -> np.ndarray:
        """Weight of each sample; for target rows, the mean weight by the row's shares."""
        u = np.asarray(expand_class_weight(class_weight, width))
        if target.ndim == 1:
            return u[np.where(target == self._ignored, 0, target)]
        if self.ignore_nan:
            target = np.where(np.isnan(target), 0, target)
        total = target.sum(axis=1, dtype=np.float64)
        return np.divide(target @ u, total, out=np.zeros(len(target)), where=total > 0)

    def class_counts(self, target: np.ndarray, width: int) -> np.ndarray:
        """Number of labels of each class, or the sums of the shares."""
        if target.ndim == 1:
            labels = target if self._ignored is None else target[target != self._ignored]
            return np.bincount(labels.astype(np.int64), minlength=width).astype(np.float64)
        if self.ignore_nan:
            target = target[~np.isnan(target).any(axis=1)]
        return target.sum(axis=0, dtype=np.float64)


def observed_weights(target: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """The weights of target rows (N, K), 0 for a row with a nan."""
    if weights is None:
        weights = np.ones(len(target), target.dtype)
    return np.where(np.isnan(target).any(axis=1), weights.dtype.type(0), weights)
