"""The base of all losses, and what they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import as_floating, as_real, as_weights, check_shape, contiguous
from fastnn._shared.config import restore_fields
from fastnn._shared.numbers import check_choice, check_integer, check_number
from fastnn.facts import losses as facts
from fastnn.losses._tallies import Scorer
from fastnn.program import REDUCTIONS, Head

if TYPE_CHECKING:
    from fastnn.backend.protocol import Kernels

ClassWeight = Sequence[float] | Mapping[int, float] | None
SampleClassWeight = ClassWeight | Literal["balanced"]
"""The types that `fit` accepts as class weights."""


class Loss(ABC):
    """What a network needs of a loss: its targets, its value, its score."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages and files call the loss."""

    @property
    @abstractmethod
    def activation(self) -> str | None:
        """What turns outputs into predictions: ``"softmax"``, ``"sigmoid"`` or None."""

    @property
    @abstractmethod
    def metric(self) -> str:
        """Name of the score in reports, such as ``"accuracy"``; empty if there is none."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What `get` needs to make this loss again; fit for JSON."""

    @property
    def weighs_elements(self) -> bool:
        """Whether sample weights may be of single elements, (N, K), instead of rows."""
        return False

    @abstractmethod
    def attributes(self, width: int) -> dict[str, Any]:
        """What the engines need to know, for an output of `width` columns.

        Options that are not in use are left out.

        Raises
        ------
        ValueError
            If the loss does not fit an output of this width.
        """

    def head(self, output: int, width: int, weight: float = 1.0) -> Head:
        """The head that puts this loss, times `weight`, on buffer `output`."""
        return Head(output, self.name, weight, self.attributes(width))

    @abstractmethod
    def accepting_nan(self) -> Loss:
        """The same loss, which ignores targets that are nan.

        Raises
        ------
        ValueError
            If it marks missing targets in another way.
        """

    @abstractmethod
    def target(
        self, y: Any, width: int, dtype: np.dtype, name: str = "y", check: bool = True
    ) -> np.ndarray:
        """Targets as the engines take them.

        Parameters
        ----------
        y : array_like
        width : int
            Number of columns of the output the loss is on.
        dtype : dtype
            Of the network.
        name : str
            What error messages call `y`.
        check : bool
            Whether to look for nan, inf and numbers outside their range.  Types,
            shapes and labels are checked in any case.

        Returns
        -------
        (N,) array of integer labels, or (N, width) array
            Of a type the engines read: not converted unless it must be.
        """

    @abstractmethod
    def value(
        self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None, kernels: Kernels
    ) -> float:
        """The loss of outputs (N, K) against targets in int64 or the outputs' dtype.

        It is computed by a backend's kernels.
        """

    def row_weights(self, target: np.ndarray, weights: np.ndarray | None, width: int) -> np.ndarray:
        """Weight of each row of prepared targets in the mean: (N,) float64, 0 for an ignored row.

        Parameters
        ----------
        target : array
            As `target` returns it.
        weights : (N,) array, optional
            Sample weights.
        width : int
            Number of columns of the output.
        """
        return np.ones(len(target)) if weights is None else weights.astype(np.float64)

    @abstractmethod
    def scorer(self) -> Scorer:
        """What adds up the score over blocks of outputs, prepared targets and weights."""

    def score(
        self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        """The score of outputs (N, K) against prepared targets; nan if undefined."""
        scorer = self.scorer()
        scorer.add(output, target, weights)
        return scorer.value

    def expected(self, output: np.ndarray, kernels: Kernels) -> np.ndarray:
        """Outputs (N, K) as what the loss expects of targets: probabilities, or numbers (N, K)."""
        probabilities = self.probabilities(output, kernels)
        return output if probabilities is None else probabilities

    def probabilities(self, output: np.ndarray, kernels: Kernels) -> np.ndarray | None:
        """Outputs (N, K) as probabilities (N, K); None for a regression loss."""
        return None

    def classes(self, output: np.ndarray) -> np.ndarray | None:
        """Predicted classes as int64; None for a regression loss."""
        return None

    def sample_weights(
        self, target: np.ndarray, class_weight: ClassWeight, width: int
    ) -> np.ndarray:
        """Weight of each sample (N,) by the class of its target.

        Parameters
        ----------
        target : array
            As `target` returns it.
        class_weight : mapping of class to weight, or one weight per class
            Classes a mapping leaves out have weight 1.
        width : int
            Number of columns of the output.

        Raises
        ------
        ValueError
            If the loss knows no classes, or the weights do not fit them.
        """
        raise ValueError(f"class_weight needs a classification loss, but the loss is {self.name}")

    def class_counts(self, target: np.ndarray, width: int) -> np.ndarray:
        """Number of samples (K,) of each class, in float64; ignored targets are left out.

        Parameters
        ----------
        target : array
            As `target` returns it.  A row of shares counts by its shares.
        width : int
            Number of columns of the output.

        Raises
        ------
        ValueError
            If the loss knows no classes, or several questions have them.
        """
        raise ValueError(f"class_weight needs a classification loss, but the loss is {self.name}")


@dataclass(frozen=True, kw_only=True)
class EngineLoss(Loss):
    """A loss that the engines compute: a row of `fastnn.facts.losses`, with options.

    A subclass says which by its `name`; what the row knows is not said again.
    """

    name: ClassVar[str] = ""
    row: ClassVar[facts.Loss]

    __setstate__ = restore_fields

    reduction: str = "mean"

    def __call__(
        self, outputs: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float | np.ndarray:
        """The loss of outputs, such as `Network.predict` returns them, by the `reduction`.

        Parameters
        ----------
        outputs : (N, K) array_like of float32 or float64
            (N,) is taken as one column.
        targets : array_like
            As `Network.fit` takes them for this loss.
        sample_weight : (N,) array_like, optional
            For a loss of single elements also (N, K).

        Returns
        -------
        float or ndarray
            With ``reduction="none"`` an array of the outputs' dtype: the losses (N,) of the
            samples, or of the elements, of the shape of the outputs, if the loss compares single
            elements.

        Raises
        ------
        TypeError, ValueError
            If an array does not fit.
        """
        z = as_floating(outputs, "outputs")
        if z.ndim not in (1, 2) or z.size == 0:
            raise ValueError(f"outputs must have shape (N, K) with elements, got {z.shape}")
        columns = z.reshape(len(z), -1)
        self.attributes(columns.shape[1])  # refuses a width that does not fit
        target = self.target(targets, columns.shape[1], z.dtype, "targets")
        check_shape(target, "targets", columns.shape[: target.ndim])
        target = contiguous(target, np.int64 if target.ndim == 1 else z.dtype)
        weights = None
        if sample_weight is not None:
            values = as_real(sample_weight, "sample_weight")
            by_element = self.row.is_elementwise and values.ndim == 2
            shape = columns.shape if by_element else columns.shape[:1]
            weights = as_weights(values, "sample_weight", shape, z.dtype)
        kernels = backend.kernels(z.dtype)
        if self.reduction != "none":
            return self.value(columns, target, weights, kernels)
        losses = self.parts(columns, target, weights, kernels)
        return losses.reshape(z.shape) if self.row.is_elementwise else losses

    @abstractmethod
    def parts(
        self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None, kernels: Kernels
    ) -> np.ndarray:
        """The weighted losses (N,) of rows, or (N, K) of elements, before any reduction."""

    def __init_subclass__(cls) -> None:
        if cls.name:
            cls.row = facts.LOSSES[cls.name]

    def __post_init__(self) -> None:
        check_choice(self.reduction, "reduction", (*REDUCTIONS, "none"))

    def __str__(self) -> str:
        """The name, and the options that are not the defaults."""
        values = ((option, getattr(self, option.name)) for option in fields(self))
        shown = [
            f"{option.name}={_readable(value)}"
            for option, value in values
            if value != option.default
        ]
        return f"{self.name}({', '.join(shown)})" if shown else self.name

    @property
    def activation(self) -> str | None:
        """What turns outputs into predictions; None where they are predictions."""
        return self.row.link if self.row.link in ("sigmoid", "softmax") else None

    @property
    def metric(self) -> str:
        """Name of the score in reports."""
        return self.row.metric

    @property
    def config(self) -> dict[str, Any]:
        """What `get` needs to make this loss again; fit for JSON."""
        return {"name": self.name, **asdict(self)}

    @property
    def parameter(self) -> float:
        """The one number that kernels take besides the arrays; 0 if there is none."""
        parameter = self.row.parameter
        return 0.0 if parameter is None else float(getattr(self, parameter.name))


def in_use(**options: Any) -> dict[str, Any]:
    """The options that are not None, which engines take for those that are absent."""
    return {name: value for name, value in options.items() if value is not None}


def expand_class_weight(class_weight: Any, n_classes: int) -> tuple[float, ...] | None:
    """One weight per class, 1 for classes a mapping leaves out; None stays None.

    Raises
    ------
    ValueError
        If weights are negative, not finite, too many, too few or for unknown classes.
    """
    frozen = frozen_class_weight(class_weight)
    if not frozen:
        return None
    if not isinstance(frozen[0], tuple):
        if len(frozen) != n_classes:
            raise ValueError(f"class_weight has {len(frozen)} weights, expected {n_classes}")
        return frozen
    weights = [1.0] * n_classes
    for label, weight in frozen:
        if not 0 <= label < n_classes:
            raise ValueError(f"class_weight has class {label}, expected 0 <= class < {n_classes}")
        weights[label] = weight
    return tuple(weights)


def frozen_class_weight(class_weight: Any) -> Any:
    """None, a tuple of weights, or a tuple of (class, weight) pairs: hashable, fit for JSON."""
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        raise TypeError(f"class_weight must be numbers, got {class_weight!r}")
    if isinstance(class_weight, Mapping):
        weights: tuple[Any, ...] = tuple(sorted(map(_pair, class_weight.items())))
    elif len(class_weight) and np.ndim(class_weight[0]) == 1:
        weights = tuple(map(_pair, class_weight))
    else:
        weights = tuple(check_number(weight, "class_weight", 0.0) for weight in class_weight)
    if not weights:
        raise ValueError("class_weight is empty")
    return weights


def _readable(value: Any) -> str:
    """The value of an option; pairs that stand for a dict as a dict."""
    is_frozen = isinstance(value, tuple) and isinstance(value[0], tuple)
    return repr(dict(value) if is_frozen else value)


def _pair(item: Any) -> tuple[int, float]:
    label, weight = item
    return check_integer(label, "class"), check_number(weight, "class_weight", 0.0)
