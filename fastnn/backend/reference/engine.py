"""The reference engine: a program executed operation by operation in plain NumPy.

It specifies what the compiled engine computes; operations.py holds the operations.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fastnn._shared.sparse import Rows, SparseRows
from fastnn.backend.finite import update_carefully
from fastnn.backend.reference import kernels
from fastnn.backend.reference.buffers import Buffers
from fastnn.backend.reference.guard import Guard
from fastnn.backend.reference.operations import BACKWARD, FORWARD
from fastnn.backend.reference.tables import are_codes
from fastnn.backend.support import Support, support
from fastnn.facts import precisions
from fastnn.facts.losses import LOSSES, ElementOptions
from fastnn.facts.updates import known
from fastnn.program import ACTIVATIONS, CUSTOM_LOSS, Head, Parameter, Program, total_loss

if TYPE_CHECKING:
    from fastnn.backend.protocol import Array, Target

_BLOCK = 1 << 16
"""Rows that a prediction computes at a time: bounds its memory."""

# Overflow is a result like any other (a diverging loss is reported), as in the compiled engine.
_quiet = np.errstate(all="ignore")

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def engine_for_any_rows(program: Program, storage: Array) -> Engine:
    """An engine that multiplies in the program's precision in calls with few rows too."""
    engine = Engine(program, storage)
    engine._least_rows = 0
    return engine


class Engine:
    """Executes one program on one storage of parameters; see `fastnn.backend.protocol.Engine`.

    Parameters
    ----------
    program : Program
    storage : (program.storage_size,) array of program.dtype
    keep_all : bool, default False
        Accepted for the contract: this engine always has the gradient of every buffer.

    Attributes
    ----------
    program, storage, gradients, guard
        As the contract says.
    """

    def __init__(self, program: Program, storage: Array, keep_all: bool = False) -> None:
        self.program = program
        self.storage = storage
        self.gradients = np.zeros_like(storage)
        self._buffers = Buffers(program, storage, self.gradients)
        self._update: Callable[[int, float, float], None] | None = None
        self._row_losses: list[Array] = []
        self._is_stepping = False
        self._mean_weights: Array | None = None
        self._norms: Array | None = None
        self._l2 = program.l2
        self._least_rows = precisions.get(program.precision).least_rows
        self.guard: AbstractContextManager[object] = Guard()
        _engines.add(self)

    @staticmethod
    def supports(program: Program) -> Support:
        """Whether this engine can run the program, and why not."""
        dtypes = (np.float32, np.float64)
        return support(program, "the reference engine", dtypes, FORWARD, ACTIVATIONS, LOSSES)

    # ------------------------------------------------------------ public calls

    def set_optimizer(self, kind: str, hyper: dict[str, float], slots: Sequence[Array]) -> None:
        """Choose the update `train` applies; `fastnn.facts.updates` has the formulas."""
        hyper = dict(hyper)
        clip_norm = hyper.pop("clip_norm", 0.0)
        row = known(kind)
        row.check(hyper, len(slots))

        def update(step: int, learning_rate: float, cost: float) -> None:
            update_carefully(
                self.program, self.gradients, self.storage,
                dict(zip(row.slots, slots, strict=True)), lambda: change(step, learning_rate), cost,
            )  # fmt: skip

        def change(step: int, learning_rate: float) -> None:
            if clip_norm:
                kernels.clip_by_norm(self.gradients, clip_norm)
            for parameter in self.program.parameters:
                if parameter.trainable:
                    block = slice(parameter.offset, parameter.offset + parameter.stored)
                    numbers, rate = _numbers_of(parameter, hyper), parameter.rate_factor
                    kernels.update(
                        kind, self.storage[block], self.gradients[block],
                        [slot[block] for slot in slots], step, learning_rate * rate, numbers, 0.0,
                    )  # fmt: skip

        self._update = update

    @_quiet
    def forward(
        self, inputs: Sequence[Rows], training: bool = False, step: int = 0, check: bool = False
    ) -> list[Array]:
        """Run the operations; returns a new array for each output of the program."""
        self._buffers.training, self._buffers.step = training, step
        n = self._check_inputs(inputs)
        self._choose_words(n)
        if training or n <= _BLOCK:
            return self._forward(inputs, check)
        outputs = [
            np.empty((n, self._buffers.width(i)), self.program.dtype) for i in self.program.outputs
        ]
        for start in range(0, n, _BLOCK):
            rows = slice(start, start + _BLOCK)
            parts = self._forward([x[rows] for x in inputs], check)
            for output, part in zip(outputs, parts, strict=True):
                output[rows] = part
        return outputs

    def _forward(self, inputs: Sequence[Rows], check: bool) -> list[Array]:
        code_sizes = self.program.code_sizes
        for i, x, sizes in zip(self.program.inputs, inputs, code_sizes, strict=True):
            name = self.program.buffers[i].name
            if isinstance(x, SparseRows):
                self._buffers.set_value(i, x.astype(self.program.dtype).matrix())
                if check and not np.isfinite(x.values).all():
                    raise ValueError(f"input {name!r} is not finite")
                continue
            values = np.ascontiguousarray(x, self.program.dtype)
            self._buffers.set_value(i, values)
            if check and not np.isfinite(values).all():
                raise ValueError(f"input {name!r} is not finite")
            if check and sizes and not are_codes(values, sizes).all():
                raise ValueError(f"input {name!r} has numbers that are no codes")
        for operation in self.program.operations:
            arguments = [self._buffers.value(i) for i in operation.inputs]
            output = FORWARD[operation.kind](self._buffers, operation, arguments)
            self._buffers.set_value(operation.output, output)
        return [self._buffers.value(i).copy() for i in self.program.outputs]

    def direct_predict(self, X: object, check: bool = True) -> Array | None:
        """The output for X as it is; a direct call, which this engine always declines."""
        return None

    def direct_step(
        self,
        X: object,
        y: object,
        learning_rate: float,
        number: int,
        check: bool = True,
        state: object = None,
        weights: object = None,
    ) -> float | None:
        """One optimizer step on X and y as they are; a direct call, always declined."""
        return None

    direct_counting_step = direct_step

    def direct_gradients(
        self,
        X: object,
        y: object,
        training: bool = False,
        step: int = 0,
        check: bool = True,
        weights: object = None,
    ) -> float | None:
        """`loss_and_gradients` on X and y as they are; a direct call, always declined."""
        return None

    @_quiet
    def all_finite(self, x: Array) -> bool:
        """Whether every number of an (N, width) array is finite in the program's dtype."""
        blocks = (x[start : start + _BLOCK] for start in range(0, len(x), _BLOCK))
        return all(np.isfinite(block.astype(self.program.dtype)).all() for block in blocks)

    @_quiet
    def backward(
        self, output_gradients: Sequence[Array | None], input_gradients: bool = True
    ) -> list[Array]:
        """Gradients of the last training forward, from those of the outputs.

        Overwrites `gradients`; returns the gradients of the inputs.
        """
        for i in self.program.inputs:
            self._buffers.refuse_sparse(i)
        self._clear_gradients()
        for i, dy in zip(self.program.outputs, output_gradients, strict=True):
            if dy is not None:
                self._buffers.add_gradient(i, dy)
        self._backward()
        if not input_gradients:
            return []
        return [self._buffers.gradient(i).copy() for i in self.program.inputs]

    @_quiet
    def evaluate(
        self, inputs: Sequence[Rows], targets: Sequence[Target]
    ) -> tuple[float, list[float]]:
        """The cost and the loss of each head, without dropout."""
        self._buffers.training = False
        self._choose_words(self._check_inputs(inputs))
        self._forward(inputs, False)
        losses = [
            self._loss(head, target, None)
            for head, target in zip(self.program.heads, self._targets(targets, False), strict=True)
        ]
        return self._cost(losses), losses

    @_quiet
    def loss_and_gradients(
        self,
        inputs: Sequence[Rows],
        targets: Sequence[Target],
        training: bool = False,
        step: int = 0,
        check: bool = False,
    ) -> float:
        """The cost; its gradients are left in `gradients` and the buffers'."""
        self._buffers.training, self._buffers.step = training, step
        n = self._check_inputs(inputs)
        if not self._is_stepping:
            self._choose_words(n)
        self._forward(inputs, check)
        self._clear_gradients()
        losses = []
        self._row_losses = []
        for h, target in enumerate(self._targets(targets, check)):
            head = self.program.heads[h]
            gradient = np.empty_like(self._buffers.value(head.output))
            parts = np.ones(gradient.shape if _is_elementwise(head) else len(gradient))
            losses.append(self._mean_loss(h, target, gradient, parts))
            self._row_losses.append(_shares(losses[-1], head, target, parts))
            self._buffers.add_gradient(head.output, gradient * self.program.dtype.type(head.weight))
        cost = self._cost(losses)
        self._buffers.step_cost = cost if self._is_stepping and np.isfinite(cost) else None
        self._buffers.check_losses()
        self._backward()
        self._add_penalty_gradients()
        return cost

    @_quiet
    def shard_gradients(
        self,
        inputs: Sequence[Rows],
        targets: Sequence[Target],
        rows: Array,
        first_row: int,
        norms: Array,
        l2: float,
        step: int,
    ) -> tuple[float, float]:
        """What some rows of a batch add to its cost, and leave in `gradients` of its gradients."""
        if not len(rows):
            raise ValueError("a shard has at least one row")
        self._buffers.first_row, self._norms, self._l2 = first_row, norms, float(l2)
        try:
            part = [(t[rows], None if w is None else w[rows]) for t, w in targets]
            cost = self.loss_and_gradients([x[rows] for x in inputs], part, True, step)
            return cost, self._summed_cost()
        finally:
            self._buffers.first_row, self._norms, self._l2 = 0, None, self.program.l2

    @_quiet
    def train(
        self,
        inputs: Sequence[Rows],
        targets: Sequence[Target],
        order: Array | None,
        batch_size: int,
        learning_rates: Array,
        first_step: int,
        losses: Array,
        check: bool = False,
        mean_weights: Array | None = None,
        penalties: Array | None = None,
    ) -> int:
        """One optimizer step per batch; returns how many were done.

        Stops before the update of the first step whose loss is not finite, or, with nan
        for its loss, whose data are refused; ValueError if that is the first step of all.
        An exception of a custom loss or layer passes on, and a gradient or an update that is not
        finite raises GradientError: the steps before it are done, and theirs are the losses
        that have been written.
        """
        if self._update is None:
            raise RuntimeError("set_optimizer has not been called")
        n = len(inputs[0]) if order is None else len(order)
        costs = losses[0] if losses.ndim == 2 else losses
        self._choose_words(min(batch_size, n))
        for i, learning_rate in enumerate(learning_rates):
            rows: slice | Array = slice(i * batch_size, min((i + 1) * batch_size, n))
            if order is not None:
                rows = order[rows]
            batch_targets = [(t[rows], None if w is None else w[rows]) for t, w in targets]
            step = first_step + i
            try:
                with self._taking_a_step(mean_weights, None if penalties is None else penalties[i]):
                    cost = self.loss_and_gradients(
                        [x[rows] for x in inputs], batch_targets, True, step, check
                    )
            except ValueError:
                if i == 0 or self._buffers.user_code.failed:
                    raise
                cost = np.nan
            if not np.isfinite(cost):
                costs[i] = cost
                return i
            if losses.ndim == 2:
                losses[1, i] = self._summed_cost()
            self._update(step, float(learning_rate), cost)
            costs[i] = cost
        return len(learning_rates)

    @_quiet
    def update(self, learning_rate: float, number: int) -> None:
        """Step `number` of the optimizer, with the gradients in `gradients`.

        After `loss_and_gradients` in training it completes what `train` does in one step, to
        the same bits.  Clipping by norm changes the gradients in place.  GradientError leaves
        parameters and state as they were, where the update is not finite.
        """
        if self._update is None:
            raise RuntimeError("set_optimizer has not been called")
        self._update(number, learning_rate, np.nan)

    def value(self, name: str) -> Array:
        """The named buffer as the last forward left it."""
        i = self.program.buffer_index(name)
        self._buffers.refuse_sparse(i)
        value: Array = self._buffers.value(i)
        return value

    def gradient(self, name: str) -> Array:
        """Gradient of the cost with respect to the named buffer.

        The compiled engine computes only what a trainable parameter (or, after
        `backward` or with `keep_all`, an input) needs, and has zeros for the rest.
        """
        i = self.program.buffer_index(name)
        self._buffers.refuse_sparse(i)
        return self._buffers.gradient(i)

    def sample_losses(self) -> Array:
        """What each sample adds to each head's loss in the last `loss_and_gradients`.

        (heads, rows) of float64; the sum of a row is the loss of that head.
        """
        return np.array(self._row_losses)

    # ---------------------------------------------------------------- arguments

    def _choose_words(self, n_rows: int) -> None:
        """Settle whether products of a call with so many rows are made in `precision`."""
        self._buffers.narrow = n_rows >= self._least_rows

    def _check_inputs(self, inputs: Sequence[Rows]) -> int:
        """The number of rows; ValueError unless the inputs are as many as wide as they must be."""
        self._buffers.user_code.refuse_call()
        expected = [(len(inputs[0]), self._buffers.width(i)) for i in self.program.inputs]
        shapes = [x.shape for x in inputs]
        if shapes != expected or not len(inputs[0]):
            raise ValueError(f"inputs have shapes {shapes}, expected {expected} with rows")
        return len(inputs[0])

    @contextmanager
    def _taking_a_step(self, mean_weights: Array | None, l2: float | None) -> Iterator[None]:
        """Gradients of custom losses and layers must be finite in a training step."""
        self._is_stepping = True
        self._mean_weights = mean_weights
        self._l2 = self.program.l2 if l2 is None else float(l2)
        try:
            yield
        finally:
            self._is_stepping = False
            self._mean_weights = None
            self._l2 = self.program.l2
            self._buffers.step_cost = None

    def begin_child(self) -> None:
        """In a forked child, free what threads held that were not forked."""
        if isinstance(self.guard, Guard):  # that of the network, which outlives its engines
            self.guard.begin_child()
        self._buffers.user_code.begin_child()

    def _targets(self, targets: Sequence[Target], check: bool) -> list[Target]:
        """Labels as int64, rows as (N, width) of the program's dtype."""
        n_rows = self._buffers.value(self.program.inputs[0]).shape[0]
        prepared = []
        for head, (values, weights) in zip(self.program.heads, targets, strict=True):
            if len(values) != n_rows:
                raise ValueError(f"targets have {len(values)} rows, expected {n_rows}")
            width, dtype = self._buffers.width(head.output), self.program.dtype
            if head.loss == CUSTOM_LOSS:
                loss = head.attributes["loss"]
                prepared.append(loss.read(values, weights, n_rows, width, dtype, check))
            elif LOSSES[head.loss].takes_labels and values.ndim == 1:
                prepared.append((_labels(values), weights))
            else:
                rows = np.ascontiguousarray(values, dtype).reshape(n_rows, width)
                if check and not _are_fit(head, rows):
                    raise ValueError(f"targets of {head.loss} are not finite or out of range")
                prepared.append((rows, weights))
        return prepared

    # ---------------------------------------------------------------- internals

    def _clear_gradients(self) -> None:
        self._buffers.clear_gradients()
        self.gradients[...] = 0

    def _backward(self) -> None:
        for operation in reversed(self.program.operations):
            if self._buffers.has_gradient(operation.output):
                dy = self._buffers.gradient(operation.output)
                BACKWARD[operation.kind](self._buffers, operation, dy)

    def _loss(
        self, head: Head, target: Target, gradient: Array | None, losses: Array | None = None
    ) -> float:
        """The loss of a head; those of its rows or elements, before weights, go to `losses`."""
        output = self._buffers.value(head.output)
        values, weights = target
        options = head.attributes
        if head.loss == CUSTOM_LOSS:
            with self._buffers.user_code.running():
                value, slope = options["loss"].value_and_gradient(output, values, weights)
            if gradient is not None:
                gradient[...] = slope
            return float(value)
        class_weights = options.get("class_weights")
        if class_weights is not None:
            class_weights = np.asarray(class_weights, output.dtype)
        row = LOSSES[head.loss]
        if not row.is_elementwise:
            return _cross_entropy(head, output, target, class_weights, losses, gradient)
        columns = options.get(row.columns)
        if columns is not None:
            columns = np.asarray(columns, output.dtype)
        return kernels.elementwise_loss(
            head.loss, output, values, weights,
            ElementOptions(head.parameter, options.get("ignore_value"), class_weights, columns),
            options.get("reduction", "mean"), losses, gradient,
        )  # fmt: skip

    def _mean_loss(self, h: int, target: Target, gradient: Array, losses: Array) -> float:
        """`_loss` of head h, its mean taken by the mean weight of all data where that is known.

        Of a part of a batch, it is taken by what the losses of the whole batch are divided by; a
        custom loss counts by the share of the batch's rows.
        """
        head = self.program.heads[h]
        norm = np.nan
        if self._norms is not None:
            norm = self._norms[h]
        elif self._mean_weights is not None:
            norm = len(gradient) * self._mean_weights[h]
        if head.loss == CUSTOM_LOSS and self._norms is not None:
            share = len(gradient) / norm
            value = self._loss(head, target, gradient, losses)
            gradient *= gradient.dtype.type(share)
            return value * share
        is_mean = head.loss != CUSTOM_LOSS and head.attributes.get("reduction", "mean") == "mean"
        if not is_mean or np.isnan(norm):
            return self._loss(head, target, gradient, losses)
        summed = replace(head, attributes={**head.attributes, "reduction": "sum"})
        total = self._loss(summed, target, gradient, losses)
        factor = 1 / norm if norm > 0 else 0.0
        gradient *= gradient.dtype.type(factor)
        return total * factor if factor else 0.0

    def _cost(self, losses: Sequence[float]) -> float:
        weights = [head.weight for head in self.program.heads]
        return total_loss(weights, losses, self.program.penalty(self.storage, self._l2))

    def _summed_cost(self) -> float:
        """The part of the last cost whose losses are sums over the rows."""
        pairs = zip(self.program.heads, self._row_losses, strict=True)
        return sum(
            float(head.weight * parts.sum())
            for head, parts in pairs
            if head.loss != CUSTOM_LOSS and head.attributes.get("reduction", "mean") != "mean"
        )

    def _add_penalty_gradients(self) -> None:
        if self._l2:
            l2 = self.program.dtype.type(self._l2)
            for i, parameter in enumerate(self.program.parameters):
                if parameter.in_penalty:
                    self._buffers.parameter_gradients[i] += l2 * self._buffers.parameters[i]


def _numbers_of(parameter: Parameter, hyper: dict[str, float]) -> dict[str, float]:
    """The numbers of an update for one parameter, whose weight decay is its own."""
    if "weight_decay" not in hyper:
        return hyper
    factor = parameter.decay_factor if parameter.penalized else 0.0
    return {**hyper, "weight_decay": hyper["weight_decay"] * factor}


def _cross_entropy(
    head: Head,
    output: Array,
    target: Target,
    class_weights: Array | None,
    losses: Array | None,
    gradient: Array | None,
) -> float:
    """The loss of labels or of rows; a head that ignores nan ignores rows with a nan."""
    values, weights = target
    options = head.attributes
    reduction = options.get("reduction", "mean")
    if values.dtype == np.int64:
        return kernels.cross_entropy_labels(
            output, values, weights, class_weights, head.parameter,
            options.get("ignore_index"), reduction, losses, gradient,
        )  # fmt: skip
    if options.get("ignore_nan"):
        missing = np.isnan(values).any(axis=1)
        weights = np.where(missing, 0, np.ones(len(values)) if weights is None else weights)
    return kernels.cross_entropy_rows(
        output, values, weights, class_weights, head.parameter, reduction, losses, gradient
    )


def _is_elementwise(head: Head) -> bool:
    return head.loss != CUSTOM_LOSS and LOSSES[head.loss].is_elementwise


def _shares(loss: float, head: Head, target: Target, parts: Array) -> Array:
    """What each row adds to the loss of a head, from the losses of its parts before weights.

    Parts are the rows (N,), or the elements (N, K) of an elementwise loss.
    """
    values, weights = target
    class_weights = head.attributes.get("class_weights")
    if np.isfinite(loss):  # then parts that are not finite are those without influence
        parts = np.where(np.isfinite(parts), parts, 0)
    if weights is not None:
        if weights.ndim < parts.ndim:
            weights = weights[:, np.newaxis]
        parts = np.where(weights == 0, 0, parts * weights)
    row_losses = parts if parts.ndim == 1 else parts.sum(axis=1)
    if class_weights is not None and values.dtype == np.int64 and not head.parameter:
        counted = values != head.attributes.get("ignore_index")
        row_losses = row_losses * np.asarray(class_weights)[np.where(counted, values, 0)]
    total = row_losses.sum()
    if not np.isfinite(total):  # its scale would make the other rows nan too
        return row_losses
    return np.zeros_like(row_losses) if total == 0 else row_losses * (loss / total)


def _labels(values: Array) -> Array:
    """Labels as int64; those that are too large for it must not become negative."""
    if values.dtype.kind not in "iub":
        raise TypeError(f"labels must be integers, got {values.dtype}")
    if values.dtype == np.uint64:
        values = np.minimum(values, np.uint64(2**63 - 1))
    return values.astype(np.int64)


def _are_fit(head: Head, rows: Array) -> bool:
    """Whether targets are within the interval of their loss, or ignored."""
    fit = LOSSES[head.loss].targets.contains(rows)
    if head.attributes.get("ignore_nan"):
        fit |= np.isnan(rows).any(axis=1, keepdims=True)
    ignored = head.attributes.get("ignore_value")
    if ignored is not None:
        fit |= np.isnan(rows) if np.isnan(ignored) else rows == rows.dtype.type(ignored)
    return bool(fit.all())


def _begin_child() -> None:
    for engine in list(_engines):
        engine.begin_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_child)
