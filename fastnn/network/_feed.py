"""Checking the arrays that users pass to a network, and preparing them for its engine.

`Feed` has the inputs and losses of one network; the functions above it check single arguments,
and name them in errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastnn._shared.arrays import (
    CAN_BE_ALLOWED,
    as_matrix,
    as_real,
    check_class_weights,
    check_codes,
    check_finite,
    check_interval,
    check_range,
    check_shape,
    check_weights,
    contiguous,
    is_readable,
    scaled_weights,
)
from fastnn._shared.numbers import check_flag
from fastnn._shared.sparse import Rows, SparseRows, as_sparse_rows, is_sparse
from fastnn._shared.spread import SpreadRows
from fastnn.losses._base import EngineLoss
from fastnn.network._heads import LossOnOutput
from fastnn.network._named import called, split
from fastnn.program import Buffer
from fastnn.training.data import Data, Target

if TYPE_CHECKING:
    from fastnn.backend.protocol import Engine


def prepare_inputs(
    X: object, buffers: Sequence[Buffer], may_be_sparse: Sequence[bool], argument: str = "X"
) -> list[Rows]:
    """Inputs as (N, width) arrays or sparse rows of one length, in the dtypes that they have.

    Parameters
    ----------
    X : object
        What a user passed.
    buffers : sequence of Buffer
        The inputs of a program, and `may_be_sparse` its `sparse_inputs`.
    argument : str, default "X"
        Name of the argument.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or lengths do not fit.
    """
    names = [buffer.name for buffer in buffers]
    arrays: list[Rows] = []
    parts = zip(split(X, names, argument), buffers, may_be_sparse, strict=True)
    for values, buffer, sparse in parts:
        name = called(argument, buffer.name, names)
        if isinstance(values, SparseRows | SpreadRows):
            arrays.append(cast(Rows, values))
        elif is_sparse(values):
            if not sparse:
                raise TypeError(
                    f"{name} may be sparse only where dense layers alone read it, got "
                    f"{type(values).__name__}; convert it with .toarray()"
                )
            arrays.append(as_sparse_rows(values, name, buffer.width))
        else:
            arrays.append(as_matrix(values, name, buffer.width))
        _check_length(arrays[-1], arrays[0], name, argument)
    return arrays


def dense(inputs: Sequence[Rows], use: str) -> list[np.ndarray]:
    """Inputs that are arrays; TypeError where one is sparse, which `use` does not take."""
    if any(isinstance(rows, SparseRows) for rows in inputs):
        raise TypeError(f"{use} takes no sparse X; convert some rows with .toarray()")
    return [rows for rows in inputs if isinstance(rows, np.ndarray)]


def prepare_targets(
    y: object,
    heads: Sequence[LossOnOutput],
    inputs: Sequence[Rows],
    dtype: np.dtype,
    check: bool = True,
    argument: str = "y",
) -> list[np.ndarray]:
    """Targets of each head as the engine reads them, as long as the inputs.

    Raises
    ------
    TypeError, ValueError
        If types, shapes, lengths or values do not fit.
    """
    names = [head.name for head in heads]
    targets = []
    for values, head in zip(split(y, names, argument), heads, strict=True):
        name = called(argument, head.name, names)
        target = head.loss.target(values, head.width, dtype, name, check)
        _check_length(target, inputs[0], name, "X")
        targets.append(target)
    return targets


def prepare_weights(
    weights: Any,
    heads: Sequence[LossOnOutput],
    n: int,
    dtype: np.dtype,
    argument: str = "sample_weight",
    rule: str = "data",
) -> list[np.ndarray | None]:
    """Sample weights of each head in `dtype`, or None.

    Parameters
    ----------
    weights : None, (n,) array_like, or one of these for each head
        In a mapping, heads may be missing: they have no weights.  Where the loss of a head
        compares single elements, its weights may be (n, width).
    dtype : dtype
        Of the network.
    rule : {"data", "batch", "count"}, default "data"
        Whose weights means divide by, as in `Network.fit`.  With "count" weights may be
        negative; otherwise those of a mean are times a power of two, which changes no mean.
    """
    names = [head.name for head in heads]
    if weights is None:
        return [None] * len(heads)
    if isinstance(weights, Mapping):
        parts = split({**dict.fromkeys(names), **weights}, names, argument)
    elif _is_per_head(weights, len(heads)):
        parts = list(weights)
    elif len(heads) > 1:
        shared = _weights(weights, argument, (n,), rule)
        return [weights_in(shared, head, dtype, argument, rule) for head in heads]
    else:
        parts = [weights]
    prepared: list[np.ndarray | None] = []
    for part, head in zip(parts, heads, strict=True):
        if part is None:
            prepared.append(None)
            continue
        name = called(argument, head.name, names)
        part = as_real(part, name)
        checked = _weights(part, name, _shape_of_weights(part, name, head, n), rule)
        checked = checked if checked.shape[1:] != (1,) else checked[:, 0]
        prepared.append(weights_in(checked, head, dtype, name, rule))
    return prepared


def _shape_of_weights(
    weights: np.ndarray, name: str, head: LossOnOutput, n: int
) -> tuple[int, ...]:
    """(n,), or the shape of the targets where the loss takes weights of single elements."""
    if weights.ndim != 2:
        return (n,)
    if not head.loss.weighs_elements:
        raise ValueError(
            f"{name} must have shape ({n},), got {weights.shape}: "
            f"{head.loss.name} has one loss for a whole row"
        )
    return (n, head.width)


def _weights(values: object, name: str, shape: tuple[int, ...], rule: str) -> np.ndarray:
    """Finite weights of this shape in float64."""
    weights = contiguous(as_real(values, name), np.float64)
    check_shape(weights, name, shape)
    if rule == "count":
        check_finite(weights, name)
    else:
        check_interval(weights, name, 0.0, math.inf)
    return weights


def weights_in(
    weights: np.ndarray, head: LossOnOutput, dtype: np.dtype, name: str, rule: str = "data"
) -> np.ndarray:
    """Weights as the engine takes them; see `prepare_weights`.

    Raises
    ------
    ValueError
        If `dtype` cannot hold them: if the loss is a sum and they are too large or too small, or
        if they are too small beside the largest of them.
    """
    if rule == "count" or not divides_by_weights(head):
        with np.errstate(over="ignore"):
            total = float(np.abs(weights).sum())
        if not math.isfinite(total):
            raise ValueError(f"{name} must have a finite sum, got weights up to {weights.max():g}")
        return check_weights(weights, name, dtype)
    result = contiguous(scaled_weights(weights), dtype)
    smallest = np.finfo(dtype).tiny
    lost = (weights != 0) & (result < smallest)
    expected = f"0 or at least {smallest:.3g} times the largest of them, as {dtype} holds it"
    check_range(weights, name, lost, expected)
    return result


def divides_by_weights(head: LossOnOutput) -> bool:
    """Whether a common factor of the weights changes nothing: the loss is their mean."""
    return isinstance(head.loss, EngineLoss) and head.loss.reduction == "mean"


def _is_per_head(weights: object, n_heads: int) -> bool:
    """Whether a list holds weights for each of several heads, rather than for each sample."""
    if n_heads == 1 or not isinstance(weights, (list, tuple)) or len(weights) != n_heads:
        return False
    return all(part is None or np.ndim(part) in (1, 2) for part in weights)


def _check_length(array: Rows, first: Rows, name: str, first_name: str) -> None:
    if len(array) != len(first):
        raise ValueError(
            f"{name} must have {len(first)} rows as {first_name} has, got {len(array)}"
        )


def balanced(counts: np.ndarray) -> list[float]:
    """Class weights (K,) by which all classes that occur weigh the same; 1 for the others.

    n / (K count) for n samples of K classes that occur, as scikit-learn has it.

    Parameters
    ----------
    counts : (K,) array
        Number of samples of each class.
    """
    occurs = counts > 0
    shares = np.divide(counts, counts.sum(), out=np.ones(len(counts)), where=occurs)
    weights: list[float] = np.where(occurs, 1 / (shares * max(occurs.sum(), 1)), 1.0).tolist()
    return weights


class Feed:
    """Checks and prepares data for one network.

    Parameters
    ----------
    inputs : sequence of Buffer
        The network's inputs.
    heads : sequence of LossOnOutput
    dtype : dtype
    engine : Engine
        The network's engine, which checks numbers fast.
    """

    def __init__(
        self,
        inputs: Sequence[Buffer],
        heads: Sequence[LossOnOutput],
        dtype: np.dtype,
        engine: Engine,
    ) -> None:
        self.inputs = list(inputs)
        self.heads = list(heads)
        self._dtype = dtype
        self._engine = engine

    def check(
        self, arrays: Sequence[Rows], argument: str = "X", hint: str = CAN_BE_ALLOWED
    ) -> None:
        """Raise ValueError if an input has nan, inf or numbers beyond the network's dtype.

        The inputs of embeddings must hold codes.  `hint` ends the message; callers without an
        argument `check_finite` pass their own.
        """
        names = [buffer.name for buffer in self.inputs]
        sizes = self._engine.program.code_sizes
        for array, name, codes in zip(arrays, names, sizes, strict=True):
            if isinstance(array, SpreadRows):  # each process has checked its own
                continue
            if isinstance(array, SparseRows):
                array.check_finite(called(argument, name, names), hint, self._dtype)
                continue
            if codes is not None:
                check_codes(array, called(argument, name, names), codes, hint)
            if is_readable(array) and self._engine.all_finite(array):
                continue
            check_finite(array, called(argument, name, names), hint, self._dtype)

    def rows(self, X: object) -> tuple[list[Rows], bool]:
        """Inputs as `data` has them, and whether X was a single sample."""
        names = [buffer.name for buffer in self.inputs]
        parts = [
            part if is_sparse(part) else as_real(part, called("X", name, names))
            for part, name in zip(split(X, names, "X"), names, strict=True)
        ]
        widths = [(buffer.width,) for buffer in self.inputs]
        single = [part.shape for part in parts] == widths and not any(map(is_sparse, parts))
        if single:
            parts = [part[None, :] for part in parts]
        sparse = self._engine.program.sparse_inputs
        return prepare_inputs(dict(zip(names, parts, strict=True)), self.inputs, sparse), single

    def arrays(self, X: object, use: str) -> tuple[list[np.ndarray], bool]:
        """`rows` for a use that needs arrays; TypeError where X is sparse."""
        rows, single = self.rows(X)
        return dense(rows, use), single

    def data(
        self,
        X: object,
        y: object,
        sample_weight: object,
        check: bool,
        suffix: str = "",
        hint: str = CAN_BE_ALLOWED,
        rule: str = "data",
    ) -> Data:
        """Checked data; in errors `suffix` follows the names of arguments, `hint` is last.

        `rule` is that of `prepare_weights`.
        """
        check = check_flag(check, "check_finite")
        sparse = self._engine.program.sparse_inputs
        inputs = prepare_inputs(X, self.inputs, sparse, f"X{suffix}")
        if check:
            self.check(inputs, f"X{suffix}", hint)
        targets = prepare_targets(y, self.heads, inputs, self._dtype, check, f"y{suffix}")
        weights = prepare_weights(
            sample_weight, self.heads, len(inputs[0]), self._dtype, f"sample_weight{suffix}", rule
        )
        return Data(inputs, list(zip(targets, weights, strict=True)))

    def validation(self, data: object, check: bool) -> Data:
        """Checked data from a tuple (X, y) or (X, y, sample_weight)."""
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError("validation_data must be (X, y) or (X, y, sample_weight)")
        X, y, *rest = data
        return self.data(X, y, rest[0] if rest else None, check, " of validation_data")

    def weigh_classes(self, data: Data, class_weight: Any, rule: str = "data") -> Data:
        """The data with sample weights multiplied by the weights of the samples' classes.

        Parameters
        ----------
        data : Data
        class_weight : mapping, sequence or "balanced", or for several losses a dict by output
            Outputs that are missing in the dict keep their weights.
        rule : {"data", "batch", "count"}, default "data"
            As in `prepare_weights`.

        Raises
        ------
        TypeError, ValueError
            If the class weights do not fit.
        """
        names = [head.name for head in self.heads]
        if len(names) == 1:
            by_head = [class_weight]
        elif isinstance(class_weight, Mapping):
            by_head = split({**dict.fromkeys(names), **class_weight}, names, "class_weight")
        else:
            raise TypeError(
                "class_weight of a network with several losses must be a dict by output, "
                f"got {type(class_weight).__name__}"
            )
        pairs: list[Target] = []
        for head, part, (target, weights) in zip(self.heads, by_head, data.targets, strict=True):
            if part is not None:
                if isinstance(part, str):
                    if part != "balanced":
                        raise ValueError(
                            "class_weight must be a dict, one weight per class or 'balanced', "
                            f"got {part!r}"
                        )
                    part = balanced(head.loss.class_counts(target, head.width))
                factor = head.loss.sample_weights(target, part, head.width)
                weights = self._product(head, factor, weights, rule)
            pairs.append((target, weights))
        return Data(data.inputs, pairs)

    def _product(
        self, head: LossOnOutput, factor: np.ndarray, weights: np.ndarray | None, rule: str
    ) -> np.ndarray:
        """Class weights (n,) of the samples times their sample weights or those of elements."""
        name = "class_weight, by sample," if weights is None else "class_weight * sample_weight"
        if rule != "count" and divides_by_weights(head):
            factor = scaled_weights(factor)
        else:
            check_class_weights(factor, "class_weight, by sample,", self._dtype)
        if weights is not None and weights.ndim == 2:
            factor = factor[:, None]
        product = factor if weights is None else factor * weights
        return weights_in(product, head, self._dtype, name, rule)
