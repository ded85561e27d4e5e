"""A loss that is a function of the caller's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._shared.arrays import (
    as_real,
    check_finite,
    check_range,
    contiguous,
    read_only,
    readable,
)
from fastnn._shared.numbers import check_choice, check_flag, check_integer
from fastnn.losses._base import ClassWeight, Loss
from fastnn.losses._cross_entropy import CrossEntropy
from fastnn.losses._elementwise import BinaryCrossEntropy
from fastnn.losses._tallies import Scorer
from fastnn.program import CUSTOM_LOSS, Head

if TYPE_CHECKING:
    from fastnn.backend.protocol import Kernels

_JUDGES: dict[str | None, Loss] = {"softmax": CrossEntropy(), "sigmoid": BinaryCrossEntropy()}
"""Losses whose probabilities, classes and scores a custom one borrows, by its activation."""

_OPTIONS = ("target", "weighted", "allow_nan", "activation", "name")


class CustomLoss(Loss):
    """A loss that a Python function computes, value and gradient, once per batch.

    ``function(output, target)`` returns ``(value, gradient)``: the loss of the batch as one
    number, and its derivative with respect to each element of `output`, an array of its shape.
    `output` is a read-only view (N, K) of the engine's own buffer, strided because the padding
    of its rows is left out; `target` is read-only too, of the network's dtype or int64 labels.
    Both are valid only during the call.  The function averages over the samples itself: its
    value is the loss.  A value or a gradient that is not finite ends the training with
    `TrainingError`.  An exception of the function reaches the caller with a note that names the
    loss.  In all these cases the step is not taken.

    ``compile(loss=function)`` is short for ``compile(loss=CustomLoss(function))``.

    Parameters
    ----------
    function : callable
    target : {"rows", "labels"} or int, default "rows"
        What the targets are: rows as wide as the output, rows of another width, or integer
        labels (N,) of any value.
    weighted : bool, default False
        Whether the function takes sample weights as its third argument: an (N,) array in the
        network's dtype, of ones where none were given.  Without it, sample weights are refused.
    allow_nan : bool, default False
        Whether targets in rows may hold nan, which the function then takes as missing.
    activation : {None, "softmax", "sigmoid"}, default None
        What turns outputs into probabilities.  It gives the network `predict_proba`,
        `predict_classes` and the accuracy as its score; without it there is the loss alone.
    name : str, optional
        What messages and files call the loss; the name of the function unless given.

    See Also
    --------
    fastnn.CustomLayer : a layer computed in Python.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> def absolute(output, target):
    ...     difference = output - target
    ...     return np.abs(difference).mean(), np.sign(difference) / difference.size
    >>> net = fnn.Sequential([fnn.Dense(3, 1)])
    >>> net.compile(loss=absolute)
    >>> net.losses
    {'dense_1': CustomLoss(absolute)}
    """

    def __init__(
        self,
        function: Callable[..., tuple[Any, np.ndarray]],
        target: str | int = "rows",
        *,
        weighted: bool = False,
        allow_nan: bool = False,
        activation: str | None = None,
        name: str | None = None,
    ) -> None:
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"function must be callable, got {function!r}")
        if name is None:
            name = getattr(function, "__name__", type(function).__name__)
        self._function = function
        self._target = _target_kind(target)
        self._weighted = check_flag(weighted, "weighted")
        self._allow_nan = check_flag(allow_nan, "allow_nan")
        self._name = str(name)
        if activation is not None:
            check_choice(activation, "activation", [key for key in _JUDGES if key])
        self._activation = activation
        self._judge = _JUDGES.get(activation)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_judge"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        try:
            options = {key: state[f"_{key}"] for key in _OPTIONS}
            fresh = CustomLoss(state["_function"], **options)
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"the state of a CustomLoss is damaged: {error!r}") from error
        vars(self).update({**state, **vars(fresh)})

    @property
    def name(self) -> str:
        """What messages and files call the loss."""
        return self._name

    @property
    def activation(self) -> str | None:
        """Function from outputs to probabilities: ``"softmax"``, ``"sigmoid"`` or None."""
        return self._activation

    @property
    def metric(self) -> str:
        """Name of the score in reports; empty without an activation."""
        return "" if self._judge is None else self._judge.metric

    @property
    def function(self) -> Callable[..., tuple[Any, np.ndarray]]:
        """What computes value and gradient."""
        return self._function

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the constructor besides the function; fit for JSON."""
        return {
            "target": self._target,
            "weighted": self._weighted,
            "allow_nan": self._allow_nan,
            "activation": self.activation,
            "name": self.name,
        }

    @property
    def config(self) -> dict[str, Any]:
        """What a file holds of the loss: its options, and the function by name alone."""
        return {**self.options, "name": CUSTOM_LOSS, "function": self.name}

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        defaults = {"target": "rows", "weighted": False, "allow_nan": False, "activation": None}
        shown = [f"{k}={self.options[k]!r}" for k, v in defaults.items() if self.options[k] != v]
        return f"CustomLoss({', '.join([self.name, *shown])})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CustomLoss):
            return NotImplemented
        return self._function == other._function and self.options == other.options

    def __hash__(self) -> int:
        return hash((CustomLoss, self.name, self._target))

    # ------------------------------------------------------- for networks

    def attributes(self, width: int) -> dict[str, Any]:
        """What the engines need to know, for an output of `width` columns."""
        if self.activation == "softmax":
            self._judge_fits(width, labels=True)
        elif self.activation == "sigmoid":
            self._judge_fits(width, labels=False)
        return {"loss": self}

    def _judge_fits(self, width: int, labels: bool) -> None:
        """Raise ValueError unless predictions can be compared with the targets."""
        if self._target not in ("rows", width) and not (labels and self._target == "labels"):
            can = " or labels" if labels else ""
            raise ValueError(
                f"activation={self.activation!r} needs targets in rows of width {width}{can}, "
                f"but loss {self.name} has target={self._target!r}"
            )

    def head(self, output: int, width: int, weight: float = 1.0) -> Head:
        """The head that puts this loss, times `weight`, on buffer `output`."""
        return Head(output, CUSTOM_LOSS, weight, self.attributes(width))

    def accepting_nan(self) -> CustomLoss:
        """The same loss with `allow_nan`: its function takes nan as missing."""
        return CustomLoss(self._function, **{**self.options, "allow_nan": True})

    def target(
        self, y: Any, width: int, dtype: np.dtype, name: str = "y", check: bool = True
    ) -> np.ndarray:
        """Labels (N,) or rows; see `Loss.target`."""
        y = as_real(y, name)
        if self._target == "labels":
            return _labels(y, name)
        columns = width if self._target == "rows" else int(self._target)
        if y.ndim == 1 and columns == 1:
            y = y[:, None]
        if y.ndim != 2 or y.shape[1] != columns:
            raise ValueError(f"{name} must have shape (N, {columns}), got {y.shape}")
        if check:
            seen = np.where(np.isnan(y), 0, y) if self._allow_nan and y.dtype.kind == "f" else y
            check_finite(seen, name, "allow_nan=True accepts nan", dtype)
        return readable(y, dtype)

    def value(
        self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None, kernels: Kernels
    ) -> float:
        """The loss of outputs (N, K) against prepared targets."""
        return self.value_and_gradient(output, target, weights)[0]

    def scorer(self) -> Scorer:
        """Accuracy, where there is an activation; else there is no score."""
        if self._judge is None:
            raise ValueError(f"loss {self.name} has no score: give CustomLoss an activation")
        return self._judge.scorer()

    def probabilities(self, output: np.ndarray, kernels: Kernels) -> np.ndarray | None:
        """Outputs (N, K) as probabilities (N, K), by the activation."""
        return None if self._judge is None else self._judge.probabilities(output, kernels)

    def classes(self, output: np.ndarray) -> np.ndarray | None:
        """Predicted classes as int64, by the activation."""
        return None if self._judge is None else self._judge.classes(output)

    def sample_weights(
        self, target: np.ndarray, class_weight: ClassWeight, width: int
    ) -> np.ndarray:
        """Weight of each sample by the class of its target, by the activation."""
        if self._judge is None:
            return super().sample_weights(target, class_weight, width)
        return self._judge.sample_weights(target, class_weight, width)

    def class_counts(self, target: np.ndarray, width: int) -> np.ndarray:
        """Number of samples of each class, by the activation."""
        if self._judge is None:
            return super().class_counts(target, width)
        return self._judge.class_counts(target, width)

    # -------------------------------------------------------- for engines

    def read(
        self, target: Any, weights: Any, n_rows: int, width: int, dtype: np.dtype, check: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Targets and weights of a call as `value_and_gradient` takes them.

        Parameters
        ----------
        target, weights : array, and array or None
        n_rows : int
            How many both must be.
        width : int
            Of the output.
        dtype : dtype
            Of the network.
        check : bool
            Whether to look for nan and inf.

        Raises
        ------
        TypeError, ValueError
            If they are not fit.
        """
        target = self.target(target, width, dtype, "targets", check)
        for array, name in ((target, "targets"), (weights, "weights")):
            if array is not None and len(array) != n_rows:
                raise ValueError(f"{name} must have {n_rows} rows, got {len(array)}")
        self._check_weights(weights)
        return target, weights

    def value_and_gradient(
        self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        """Call the function on a batch and check what it returns.

        Parameters
        ----------
        output : (N, K) array
        target : (N,) array of labels or (N, width) array
            Of any real type.
        weights : (N,) array or None

        Returns
        -------
        value : float
        gradient : (N, K) array of real numbers

        Raises
        ------
        TypeError, ValueError
            If the function does not return a number and such an array.
        """
        self._check_weights(weights)
        dtype = np.dtype(np.int64) if target.ndim == 1 else output.dtype
        arguments = [read_only(output), read_only(target.astype(dtype, copy=False))]
        if self._weighted:
            sample_weights = np.ones(len(output), output.dtype) if weights is None else weights
            arguments.append(read_only(sample_weights))
        try:
            result = self._function(*arguments)
            return self._checked(result, output.shape)
        except Exception as error:
            error.add_note(f"in the custom loss {self.name!r}")
            raise

    def _check_weights(self, weights: Any) -> None:
        if weights is not None and not self._weighted:
            raise ValueError(
                f"loss {self.name} takes no sample weights; "
                "make it CustomLoss(function, weighted=True) with a third argument"
            )

    def _checked(self, result: Any, shape: tuple[int, ...]) -> tuple[float, np.ndarray]:
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"loss {self.name} must return (value, gradient), got {type(result).__name__}"
            )
        value, gradient = result
        if np.ndim(value) != 0 or isinstance(value, (complex, str, bytes)) or value is None:
            came = f"shape {np.shape(value)}" if np.ndim(value) else type(value).__name__
            raise TypeError(f"the value of loss {self.name} must be one real number, got {came}")
        if not isinstance(gradient, np.ndarray) or gradient.dtype.kind not in "fiub":
            came = str(getattr(gradient, "dtype", type(gradient).__name__))
            raise TypeError(
                f"the gradient of loss {self.name} must be an array of real numbers, got {came}"
            )
        if gradient.shape != shape:
            raise ValueError(
                f"the gradient of loss {self.name} must have the output's shape "
                f"{shape}, got {gradient.shape}"
            )
        return float(value), gradient


def _target_kind(target: Any) -> str | int:
    if isinstance(target, str):
        return check_choice(target, "target", ("rows", "labels"))
    return check_integer(target, "target", 1)


def _labels(y: np.ndarray, name: str) -> np.ndarray:
    """Integer labels (N,): of any value, since only the function knows what they mean."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ValueError(f"{name} must have shape (N,) for labels, got {y.shape}")
    if y.dtype.kind == "f":
        check_finite(y, name)
        check_range(y, name, y != np.floor(y), "integer labels")
        return contiguous(y, np.int64)
    return readable(y, np.dtype(np.int64))
