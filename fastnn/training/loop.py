"""The training loop over a prepared engine: batches, validation, callbacks, history."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn._shared.arrays import contiguous, is_readable, readable
from fastnn._shared.numbers import check_integer
from fastnn.backend.finite import GradientError
from fastnn.optimizers import Optimizer
from fastnn.schedules import rates
from fastnn.solvers import Solver
from fastnn.training.callbacks import Callback, Context, History, as_callbacks
from fastnn.training.interrupts import Interrupts
from fastnn.training.progress import Silence, new_report

__all__ = ["History", "TrainingError", "TrainingState", "fit", "learning_rate"]

Target = tuple[np.ndarray, np.ndarray | None]
Validate = Callable[[], Mapping[str, float]]

_CALL_SECONDS = 0.05  # an engine call lasts about this long: progress and Ctrl-C stay lively
_GATHERED_BYTES = 1 << 26  # rows that need conversion are gathered this many bytes at a time


class TrainingError(FloatingPointError):
    """The loss became nan or infinite, or the gradient that a custom loss or layer returned.

    Attributes
    ----------
    epoch, batch : int
        Where, counted from 1.
    step : int
        The optimizer step that was not taken.
    loss : float
        The loss of the batch; finite where only a gradient is not.
    """

    def __init__(
        self, epoch: int, batch: int, step: int, loss: float, rate: float | None, gradient: str = ""
    ) -> None:
        advice = "look for nan, inf and very large values in the data"
        found = f"the loss became {loss}"
        if gradient:
            found = f"{gradient}, though the loss is {loss:.6g},"
            advice = "look for 0 / 0, roots and logarithms of 0 in the derivative"
        if rate is not None:
            advice = (
                f"lower the learning rate (it was {rate:g}), "
                f"clip the gradients (clip_norm=1), or {advice}"
            )
        super().__init__(
            f"{found} at epoch {epoch}, batch {batch} (optimizer step {step}); "
            f"the parameters are those before that step. {advice[0].upper()}{advice[1:]}"
        )
        self.epoch = epoch
        self.batch = batch
        self.step = step
        self.loss = loss

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_error, (self.args[0], self.epoch, self.batch, self.step, self.loss))


def _rebuild_error(message: str, epoch: int, batch: int, step: int, loss: float) -> TrainingError:
    error = TrainingError(epoch, batch, step, loss, 0.0)
    error.args = (message,)
    return error


@dataclass
class TrainingState:
    """How far a network has been trained; with parameters and slots, all a resumption needs.

    Attributes
    ----------
    epoch : int
        Epochs finished.
    step : int
        Optimizer steps done, those of an unfinished epoch included.
    history : History
        What each finished epoch measured.
    """

    epoch: int = 0
    step: int = 0
    history: History = field(default_factory=History)

    def replace(self, other: TrainingState) -> None:
        """Become a copy of another state in place, so that a training under way goes on from it."""
        self.epoch, self.step = other.epoch, other.step
        self.history.replace(other.history)

    def to_dict(self) -> dict[str, Any]:
        """The state as JSON-able data; `from_dict` makes an equal one of it."""
        return {"epoch": self.epoch, "step": self.step, "history": self.history.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingState:
        """The state that `to_dict` turned into `data`.

        Raises
        ------
        ValueError
            If `data` does not describe a state.
        """
        try:
            return cls(
                check_integer(data["epoch"], "epoch", 0),
                check_integer(data["step"], "step", 0),
                History.from_dict(data["history"]),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a training state: {error!r}") from error


def learning_rate(optimizer: Optimizer | Solver, step: int) -> float:
    """The learning rate an optimizer uses at a step, counted from 1.

    Raises
    ------
    RuntimeError
        If it is a solver, which takes no steps.
    """
    if type(optimizer.learning_rate) is float:  # the quick way, for single steps
        return optimizer.learning_rate
    if isinstance(optimizer, Solver):
        raise RuntimeError(f"{optimizer.name} takes no single steps: call fit")
    return float(rates(optimizer.learning_rate, check_integer(step, "step", 1)))


def fit(
    engine: Any,
    optimizer: Optimizer,
    state: TrainingState,
    inputs: Sequence[np.ndarray],
    targets: Sequence[Target],
    *,
    epochs: int,
    batch_size: int,
    shuffle: bool = True,
    seed: int = 0,
    validate: Validate | None = None,
    callbacks: Iterable[Any] | Callback | Callable[..., Any] | None = None,
    verbose: int = 0,
    snapshot: Callable[[], Any] | None = None,
    restore: Callable[[Any], None] | None = None,
    network: Any = None,
) -> History:
    """Train an engine for some epochs more.

    Epoch e of a network's life (from 0) visits the rows in an order that
    depends on `seed` and e alone, so that training that was saved and
    resumed equals training that was not interrupted, bit for bit.

    Parameters
    ----------
    engine : Engine
        Its optimizer is set.
    optimizer : Optimizer
        Gives the learning rate of each step.
    state : TrainingState
        Updated in place as training goes on.
    inputs : sequence of (N, width) arrays
        One for each input of the program.  The engine converts a batch at a time;
        memory maps stay on disk.
    targets : sequence of (array, weights or None)
        One for each head: (N,) labels or (N, K) rows, and (N,) sample weights; labels
        and rows are converted like inputs.
    epochs : int
        Epochs to train now.
    batch_size : int
        Rows of a batch; the last batch of an epoch takes what is left.
    shuffle : bool, default True
        Visit the rows of each epoch in a new random order.
    seed : int, default 0
    validate : callable, optional
        Called after each epoch, returns the metrics that the history calls ``val_...``.
    callbacks : Callback, function, or several of them, optional
    verbose : {0, 1, 2}, default 0
        Nothing, a progress bar on stderr, or one line for each epoch.
    snapshot, restore : callables, optional
        Copy the parameters, and set them back to a copy.
    network : object, optional
        What callbacks see as `context.network`.

    Returns
    -------
    History
        A copy of the history of all epochs, those of earlier calls included.

    Raises
    ------
    TrainingError
        If the loss of a batch is not finite, or a gradient of a custom loss or layer; the
        parameters are those before its step.

    Notes
    -----
    Ctrl-C ends training between two optimizer steps and is not passed on; the
    history says `interrupted`.  The epoch it breaks counts as not finished: it is
    in no history, and the next training starts it anew, though the steps it has
    taken stay taken and counted.
    """
    epochs = check_integer(epochs, "epochs", 0)
    data = _Data(inputs, targets, engine.program.dtype, check_integer(batch_size, "batch_size", 1))
    watchers = as_callbacks(callbacks)
    context = Context(state.history, network, snapshot, restore)
    interrupts = Interrupts()
    report = new_report(verbose, state.epoch + epochs, epochs * data.n_batches)
    loop = _Loop(engine, optimizer, state, data, interrupts, report)
    permute = _permutation(data.n_rows, check_integer(seed, "seed", 0)) if shuffle else None
    with under_way(state, context, watchers, interrupts, report):
        for _ in range(epochs):
            context.logs = loop.epoch(permute, validate)
            if wants_stop(watchers, context, state):
                break
    return state.history.copy()


@contextmanager
def under_way(
    state: TrainingState,
    context: Context,
    watchers: Sequence[Callback],
    interrupts: Interrupts,
    report: Silence,
) -> Iterator[None]:
    """A training, from the first call of its callbacks to the last; Ctrl-C ends it quietly."""
    state.history.interrupted = state.history.stopped_early = False
    state.history.message = ""
    context.epoch, context.step = state.epoch, state.step
    try:
        with interrupts, report:
            for watcher in watchers:
                watcher.on_train_begin(context)
            yield
        context.status = "stopped" if context.stop_requested else "finished"
    except KeyboardInterrupt:
        context.status = "interrupted"
    except BaseException:
        context.status = "failed"
        raise
    finally:
        state.history.interrupted = context.status == "interrupted"
        state.history.stopped_early = context.status == "stopped"
        context.epoch, context.step = state.epoch, state.step
        for watcher in watchers:
            watcher.on_train_end(context)


def count_epoch(
    state: TrainingState,
    logs: dict[str, float],
    validate: Validate | None,
    interrupts: Interrupts,
    steps: int = 0,
) -> None:
    """Validate and count an epoch, and `steps` more; `logs` receives the metrics.

    The optimizer has done its work by now: the epoch counts even if its validation breaks off.
    """
    try:
        if validate is not None:
            logs |= {f"val_{name}": float(value) for name, value in validate().items()}
    finally:
        with interrupts.held():
            state.epoch += 1
            state.step += steps
            state.history.append(logs)


def wants_stop(watchers: Sequence[Callback], context: Context, state: TrainingState) -> bool:
    """Show the epoch to all callbacks; whether one of them asks to stop."""
    context.epoch, context.step = state.epoch, state.step
    for watcher in watchers:
        if watcher.on_epoch_end(context):
            context.stop()
    return context.stop_requested


def _permutation(n_rows: int, seed: int) -> Callable[[int], np.ndarray]:
    """The order of the rows as a function of the epoch, counted from 0."""

    def order(epoch: int) -> np.ndarray:
        bits = np.random.PCG64(np.random.SeedSequence([seed, epoch]))
        return np.random.Generator(bits).permutation(n_rows).astype(np.int64, copy=False)

    return order


class _Loop:
    """Runs single epochs and keeps the state in step with the parameters."""

    def __init__(
        self,
        engine: Any,
        optimizer: Optimizer,
        state: TrainingState,
        data: _Data,
        interrupts: Interrupts,
        report: Silence,
    ) -> None:
        self._engine = engine
        self._optimizer = optimizer
        self._state = state
        self._data = data
        self._interrupts = interrupts
        self._report = report
        self._batches_per_call = 1

    def epoch(
        self,
        permute: Callable[[int], np.ndarray] | None,
        validate: Validate | None,
    ) -> dict[str, float]:
        """One pass over the data and its validation; returns what they measured."""
        state = self._state
        self._report.begin(state.epoch + 1)
        start = time.perf_counter()
        losses = self._pass(None if permute is None else permute(state.epoch))
        logs = {
            "loss": float((losses * self._data.batch_rows).sum() / self._data.n_rows),
            "learning_rate": learning_rate(self._optimizer, state.step),
            "seconds": time.perf_counter() - start,
        }
        count_epoch(state, logs, validate, self._interrupts)
        self._report.end(state.epoch, logs)
        return logs

    def _pass(self, order: np.ndarray | None) -> np.ndarray:
        """All batches of an epoch; returns their losses."""
        losses = np.full(self._data.n_batches, np.nan)
        done = 0
        while done < len(losses):
            n = min(self._batches_per_call, self._data.max_batches, len(losses) - done)
            self._call(order, losses, done, n)
            done += n
            self._report.advance(n, losses[:done])
        return losses

    def _call(self, order: np.ndarray | None, losses: np.ndarray, done: int, n: int) -> None:
        """Batches done .. done + n - 1 in one call of the engine."""
        state = self._state
        steps = np.arange(state.step + 1, state.step + 1 + n)
        learning_rates = rates(self._optimizer.learning_rate, steps)
        start = time.perf_counter()
        inputs, targets, rows = self._data.batches(order, done, n)
        with self._interrupts.held():
            try:
                taken = self._engine.train(
                    inputs, targets, rows, self._data.batch_size, learning_rates,
                    state.step + 1, losses[done : done + n],
                )  # fmt: skip
            except BaseException as error:  # of custom code: the steps before it were taken
                taken = int(np.isfinite(losses[done : done + n]).sum())
                state.step += taken
                if not isinstance(error, GradientError):
                    raise
                raise TrainingError(
                    state.epoch + 1, done + taken + 1, state.step + 1, error.loss,
                    float(learning_rates[taken]), str(error),
                ) from error  # fmt: skip
            state.step += taken
        if taken < n:
            raise TrainingError(
                state.epoch + 1, done + taken + 1, state.step + 1,
                float(losses[done + taken]), float(learning_rates[taken]),
            )  # fmt: skip
        seconds = max(time.perf_counter() - start, 1e-9)
        # Grown step by step: the first calls are slower than the rest.
        self._batches_per_call = max(1, min(4 * n, int(n * _CALL_SECONDS / seconds)))


class _Data:
    """Inputs and targets as the engine reads them.

    It gathers and converts the rows of a batch itself; only of types it does not read are some
    batches at a time converted here.
    """

    def __init__(
        self,
        inputs: Sequence[np.ndarray],
        targets: Sequence[Target],
        dtype: np.dtype,
        batch_size: int,
    ) -> None:
        self._inputs = [_column(x, dtype) for x in inputs]
        self._targets = [
            (
                _column(t, _target_dtype(t, dtype)),
                None if w is None else _column(contiguous(np.asarray(w), dtype), dtype),
            )
            for t, w in targets
        ]
        columns = self._inputs + [c for pair in self._targets for c in pair if c is not None]
        lengths = [len(column.array) for column in columns]
        if not self._inputs or min(lengths) < 1 or len(set(lengths)) > 1:
            raise ValueError(
                "inputs, targets and weights must have one common number of rows, at least 1; "
                f"they have {lengths}"
            )
        self.n_rows = lengths[0]
        self.batch_size = batch_size = min(batch_size, self.n_rows)  # fits the engine's integers
        self.n_batches = -(-self.n_rows // batch_size)
        self.batch_rows = np.full(self.n_batches, batch_size)
        self.batch_rows[-1] = self.n_rows - batch_size * (self.n_batches - 1)
        self._ready = all(column.ready for column in columns)
        row_bytes = sum(column.row_bytes for column in columns)
        self.max_batches = (
            self.n_batches
            if self._ready
            else max(1, _GATHERED_BYTES // max(1, row_bytes * batch_size))
        )

    def batches(
        self, order: np.ndarray | None, first: int, n: int
    ) -> tuple[list[np.ndarray], list[Target], np.ndarray | None]:
        """Inputs, targets and order of `n` batches, counted from batch `first` of the epoch."""
        start = first * self.batch_size
        stop = min(start + n * self.batch_size, self.n_rows)
        if order is not None and self._ready:
            return *self._take(slice(None)), order[start:stop]
        return *self._take(slice(start, stop) if order is None else order[start:stop]), None

    def _take(self, rows: Any) -> tuple[list[np.ndarray], list[Target]]:
        inputs = [column.take(rows) for column in self._inputs]
        targets = [(t.take(rows), None if w is None else w.take(rows)) for t, w in self._targets]
        return inputs, targets


@dataclass(frozen=True)
class _Column:
    """One array of the data, and the dtype to convert it to if the engine cannot read it."""

    array: np.ndarray
    dtype: np.dtype

    @property
    def ready(self) -> bool:
        return is_readable(self.array)

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * (self.array.size // max(1, len(self.array)))

    def take(self, rows: Any) -> np.ndarray:
        """The given rows as the engine reads them; a view where they are ready and a slice."""
        return readable(self.array[rows], self.dtype)


def _column(array: np.ndarray, dtype: Any) -> _Column:
    return _Column(np.asarray(array), np.dtype(dtype))


def _target_dtype(target: np.ndarray, dtype: np.dtype) -> np.dtype:
    """Labels are vectors of integers; everything else is rows of real numbers."""
    is_labels = target.ndim == 1 and target.dtype.kind in "iub"
    return np.dtype(np.int64) if is_labels else dtype
