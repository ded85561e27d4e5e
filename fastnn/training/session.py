"""A training from its first callback to its last: what the loop and the solvers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from fastnn._shared.numbers import check_choice, check_flag
from fastnn.optimizers import Optimizer
from fastnn.solvers import Solver
from fastnn.training.callbacks import (
    Callback,
    Callbacks,
    Context,
    EarlyStopping,
    History,
    as_callbacks,
    as_early_stopping,
)
from fastnn.training.checkpoints import Checkpoint
from fastnn.training.data import Target
from fastnn.training.interrupts import Interrupts
from fastnn.training.progress import new_report
from fastnn.training.state import TrainingState

if TYPE_CHECKING:
    from fastnn.backend.protocol import Engine


WEIGHTS_MEANS = ("data", "batch", "count")
"""What `weights_mean` may be; see `Network.fit`."""


class Trainee(Protocol):
    """What is trained: a network's core, or anything else with an engine and a state.

    Attributes
    ----------
    engine : Engine
        Its optimizer is set.
    optimizer : Optimizer or Solver
        Gives the learning rate of each step.
    state : TrainingState
        Updated in place as the training continues.
    seed : int
        Seed of the order of the rows.
    """

    engine: Engine
    state: TrainingState
    seed: int

    @property
    def optimizer(self) -> Optimizer | Solver | None:
        """The optimizer or solver; None where none has been chosen yet."""

    def snapshot(self) -> np.ndarray:
        """A copy of the parameters, for `restore`."""

    def restore(self, copy: np.ndarray) -> None:
        """Set the parameters back to a copy that `snapshot` made."""

    def measure(self, data: Any) -> Mapping[str, float]:
        """The cost and the scores on some data; the history calls them ``val_...``."""


class Steps(Protocol):
    """What takes the steps of a training together with other processes."""

    @property
    def shards(self) -> int:
        """Parts of a batch whose gradients are summed one by one; the bits depend on it."""

    def start(self, interrupts: Interrupts) -> None:
        """Before the first epoch; asks `interrupts` for Ctrl-C from now on."""

    def end_epoch(self, stop: bool) -> bool:
        """After an epoch, at the end of which this process asks to stop: whether all stop."""

    def train(
        self,
        batches: tuple[Sequence[Any], Sequence[Target], np.ndarray | None, int],
        learning_rates: np.ndarray,
        first_step: int,
        losses: np.ndarray,
        mean_weights: np.ndarray | None,
        penalties: np.ndarray | None,
    ) -> int:
        """One step for each learning rate: `Engine.train`, with its first arguments as one."""


@dataclass(frozen=True)
class Plan:
    """How a training is to run.

    Attributes
    ----------
    epochs : int, optional
        Epochs to train now, 10 by default; for a solver, iterations, by default its
        `max_iterations`.
    batch_size : int, optional
        Rows of a batch, 32 by default.  A solver takes all rows at once and no batch size.
    shuffle : bool, default True
        Visit the rows of each epoch in a new random order.
    early_stopping : EarlyStopping or int, optional
        An int is the patience of an `EarlyStopping` on ``val_loss``.
    callbacks : Callback, function, or several of them, optional
    verbose : {0, 1, 2}, default 0
        Nothing, a progress bar on stderr, or one line for each epoch.
    weights_mean : {"data", "batch", "count"}, default "data"
        Whose weights the mean of a batch's losses is taken by; see `Network.fit`.
    checkpoint : Checkpoint, optional
        The file of this training, which counts the epochs that are done already.
    order : function, optional
        From an epoch, counted from 0 over all trainings, to the order of its rows: an int64 array.
        It takes the place of the random order of `row_order`.
    penalty_weights : (N,) array, optional
        The L2 penalty of a batch is then divided by the sum of these numbers over its rows, and
        batches count by their rows in the loss of an epoch.  Not for a solver.
    steps : Steps, optional
        What takes the optimizer steps, in place of the engine alone.  Not for a solver.
    """

    epochs: int | None = None
    batch_size: int | None = None
    shuffle: bool = True
    early_stopping: EarlyStopping | int | None = None
    callbacks: Callbacks = None
    verbose: int = 0
    weights_mean: Literal["data", "batch", "count"] = "data"
    checkpoint: Checkpoint | None = None
    order: Callable[[int], np.ndarray] | None = None
    penalty_weights: np.ndarray | None = None
    steps: Steps | None = None

    def __post_init__(self) -> None:
        check_flag(self.shuffle, "shuffle")
        check_choice(self.weights_mean, "weights_mean", WEIGHTS_MEANS)

    def watchers(self, validated: bool) -> list[Callback]:
        """All callbacks, early stopping last.

        Raises
        ------
        TypeError
            If a callback is neither a Callback nor a function; if early stopping is neither an
            EarlyStopping nor an int.
        ValueError
            If early stopping needs validation data, and there are none.
        """
        callbacks = as_callbacks(self.callbacks)
        stopping = as_early_stopping(self.early_stopping)
        if stopping is None:
            return callbacks
        if stopping.monitor.startswith("val_") and not validated:
            raise ValueError(
                f"early_stopping watches {stopping.monitor}: "
                "pass validation_data or validation_split"
            )
        return [*callbacks, stopping]


class Session:
    """One training: it counts epochs, validates, reports, and calls the callbacks.

    Parameters
    ----------
    trainee : Trainee
    plan : Plan
    epochs : int
        Epochs or iterations of this training, at most.
    n_batches : int
        Batches of this training, for the progress bar.
    validation : Data or Stream, optional
        What the trainee measures.
    network : object, optional
        What callbacks see as `context.network`.
    """

    def __init__(
        self,
        trainee: Trainee,
        plan: Plan,
        epochs: int,
        n_batches: int,
        validation: object,
        network: object,
    ) -> None:
        self.state = trainee.state
        self.interrupts = Interrupts()
        self._trainee = trainee
        self._validation = validation
        self._watchers = plan.watchers(validation is not None)
        self._checkpoint = plan.checkpoint
        self._context = Context(
            self.state.history, network, trainee.snapshot, trainee.restore,
            self.state.scale_learning_rate,
        )  # fmt: skip
        self.report = new_report(plan.verbose, self.state.epoch + epochs, n_batches)

    def run(self, body: Callable[[], None]) -> None:
        """The training from its first callback to its last; Ctrl-C ends it without an error.

        Parameters
        ----------
        body : callable
            What happens after `on_train_begin` and before `on_train_end`.  Ctrl-C takes effect
            where `interrupts` says.
        """
        context, history = self._context, self.state.history
        with self.interrupts:
            history.interrupted = history.stopped_early = False
            history.message = ""
            self._count()
            try:
                with self.report:
                    for watcher in self._watchers:
                        self._tell(watcher, watcher.on_train_begin)
                        self.interrupts.check()
                    if self._checkpoint is not None:
                        self._checkpoint.resume(self._watchers)
                    body()
                self.interrupts.check()
                context.status = "stopped" if context.stop_requested else "finished"
            except KeyboardInterrupt:
                context.status = "interrupted"
            except BaseException:
                context.status = "failed"
                raise
            finally:
                history.interrupted = context.status == "interrupted"
                history.stopped_early = context.status == "stopped"
                self._count()
                with ExitStack() as stack:  # an error of one callback does not keep it from others
                    for watcher in reversed(self._watchers):
                        stack.callback(self._tell, watcher, watcher.on_train_end)
            if self._checkpoint is not None and context.status in ("finished", "stopped"):
                self._checkpoint.finish(self._watchers)

    def _tell(self, watcher: Callback, method: Callable[[Context], bool | None]) -> bool | None:
        """Call a method of a callback; Ctrl-C waits for an atomic one."""
        if watcher.is_atomic:
            return method(self._context)
        answer: bool | None = self.interrupts.call(method, self._context)
        return answer

    def _ask(self, watcher: Callback) -> None:
        """Show an epoch to a callback, which may end the training."""
        if self._tell(watcher, watcher.on_epoch_end):
            self._context.stop()

    def end_epoch(self, logs: dict[str, float], steps: int = 0) -> bool:
        """Validate, count and report an epoch; whether a callback asks to stop.

        The optimizer has finished its work: the epoch counts even if its validation fails.

        Parameters
        ----------
        logs : dict of float
            The measures of the epoch; receives those of the validation.
        steps : int, default 0
            Optimizer steps to count with the epoch.
        """
        state = self.state
        try:
            if self._validation is not None:
                measures = self.interrupts.call(self._trainee.measure, self._validation)
                logs |= {f"val_{name}": float(value) for name, value in measures.items()}
        finally:
            state.epoch += 1
            state.step += steps
            state.history.append(logs)
        self.report.end(state.epoch, logs)
        self._context.logs = logs
        self._count()
        with ExitStack() as stack:  # early stopping knows the epoch whatever others do
            for watcher in reversed(self._watchers):
                stack.callback(self._ask, watcher)
        # A training that stops is written when it has ended: until then, the file before it holds.
        if self._checkpoint is not None and not self._context.stop_requested:
            self._checkpoint.end_epoch(self._watchers)
        self.interrupts.check()
        return self._context.stop_requested

    def _count(self) -> None:
        """Show the counters to the callbacks."""
        self._context.epoch, self._context.step = self.state.epoch, self.state.step

    def history(self) -> History:
        """A copy of the history of all epochs, those of earlier trainings included."""
        return self.state.history.copy()


def row_order(n_rows: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the rows in an epoch, counted from 0: it depends on these numbers alone."""
    bits = np.random.PCG64(np.random.SeedSequence([seed, epoch]))
    return np.random.Generator(bits).permutation(n_rows).astype(np.int64, copy=False)
