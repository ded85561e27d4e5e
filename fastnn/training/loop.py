"""The training loop: an engine's optimizer steps over the batches of some epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from fastnn._shared.numbers import check_integer
from fastnn.backend.finite import GradientError, NotFiniteError
from fastnn.optimizers import Optimizer
from fastnn.schedules import rates
from fastnn.solvers import Solver
from fastnn.training.callbacks import History
from fastnn.training.data import Batches, Block, Samples
from fastnn.training.session import Plan, Session, Steps, Trainee, row_order
from fastnn.training.state import TrainingError

DEFAULT_EPOCHS = 10
DEFAULT_BATCH_SIZE = 32

_CALL_SECONDS = 0.05
"""An engine call lasts about this long, so that progress and Ctrl-C stay lively."""

_CALL_ROWS = 1 << 14
"""Rows of the batches of one call, where several processes take the steps."""


class Weighing(NamedTuple):
    """What the rows of a training weigh in its losses.

    Attributes
    ----------
    rows : (N,) array or None
        What each row weighs in the cost of all rows; None if all weigh the same.
    means : (heads,) array or None
        What a row of all data weighs on average in each loss; see `Engine.train`.
    has_sums : bool
        Whether a loss is a sum over the rows.
    penalty : (N,) array or None
        What each row counts in the number that the L2 penalty of a batch is divided by.
    """

    rows: np.ndarray | None = None
    means: np.ndarray | None = None
    has_sums: bool = False
    penalty: np.ndarray | None = None


def learning_rate(optimizer: Optimizer | Solver, step: int, factor: float = 1.0) -> float:
    """The learning rate an optimizer uses at a step, counted from 1, times a factor.

    Raises
    ------
    RuntimeError
        If it is a solver, which takes no steps.
    """
    if isinstance(optimizer, Solver):
        raise RuntimeError(f"{optimizer.name} takes no single steps: call fit")
    return factor * float(rates(optimizer.learning_rate, check_integer(step, "step", 1)))


def fit(
    trainee: Trainee,
    data: Samples,
    plan: Plan,
    validation: Samples | None = None,
    network: object = None,
    weighing: Weighing | None = None,
) -> History:
    """Train for some epochs more, with the trainee's optimizer.

    Epoch e of a network's life (from 0) visits the rows in an order that
    depends on `trainee.seed` and e alone, so that training that was saved and
    resumed equals training that was not interrupted, bit for bit.

    Parameters
    ----------
    trainee : Trainee
    data : Data or Selection
        The engine converts a batch at a time; memory maps stay on disk.
    plan : Plan
    validation : Data or Selection, optional
        `trainee.measure` is called with it after each epoch.
    network : object, optional
        What callbacks see as `context.network`.
    weighing : Weighing, optional
        What the rows weigh; by default all weigh the same.  The `loss` of an epoch is the mean of
        its batches' costs by these weights, nan if all are 0, but the sum of their losses that
        are sums over the rows: it is the cost of all rows, if parameters did not change.

    Returns
    -------
    History
        A copy of the history of all epochs, those of earlier calls included.

    Raises
    ------
    TrainingError
        If the loss of a batch, a gradient or the update is not finite; the parameters are those
        before its step.

    Notes
    -----
    Ctrl-C ends training between two optimizer steps and is not passed on; the
    history says `interrupted`.  The epoch it breaks counts as not finished: it is
    in no history, and the next training starts it anew, though the steps it has
    taken stay taken and counted.
    """
    epochs = check_integer(DEFAULT_EPOCHS if plan.epochs is None else plan.epochs, "epochs", 0)
    size = DEFAULT_BATCH_SIZE if plan.batch_size is None else plan.batch_size
    batches = Batches(data, trainee.engine.program.dtype, size)
    if plan.checkpoint is not None:
        if plan.checkpoint.finished:
            plan.checkpoint.resume(plan.watchers(validation is not None))
            return trainee.state.history.copy()
        epochs -= plan.checkpoint.epochs
    session = Session(trainee, plan, epochs, epochs * batches.n_batches, validation, network)
    loop = Loop(trainee, batches, session, weighing or Weighing(), plan.steps)
    seed = check_integer(trainee.seed, "seed", 0)

    def train() -> None:
        if plan.steps is not None:
            plan.steps.start(session.interrupts)
        for _ in range(epochs):
            epoch, order = session.state.epoch, None
            if plan.order is not None:
                order = plan.order(epoch)
            elif plan.shuffle:
                order = row_order(batches.n_rows, seed, epoch)
            stop = session.end_epoch(loop.epoch(order))
            if plan.steps is not None:
                stop = plan.steps.end_epoch(stop)
            if stop:
                break

    session.run(train)
    return session.history()


class Loop:
    """Runs single epochs and keeps the counters in step with the parameters."""

    def __init__(
        self,
        trainee: Trainee,
        batches: Batches | None,
        session: Session,
        weighing: Weighing,
        steps: Steps | None,
    ) -> None:
        assert isinstance(trainee.optimizer, Optimizer)
        self._engine = trainee.engine
        self._optimizer = trainee.optimizer
        self._batches: Any = batches
        self._session = session
        self._state = session.state
        self._weighing = weighing
        self._steps = steps
        # With other processes it is the same in all of them, whatever time they take.
        shared = 1 if batches is None else max(1, _CALL_ROWS // batches.batch_size)
        self._batches_per_call = 1 if steps is None else shared
        self._batches_before = 0
        self._epoch_penalties: np.ndarray | None = None

    def epoch(self, order: np.ndarray | None) -> dict[str, float]:
        """One pass over the data; returns its measures."""
        self._session.report.begin(self._state.epoch + 1)
        start = time.perf_counter()
        losses = self._pass(order)
        return self._measures(self._mean(losses, order), start)

    def epoch_of_blocks(self, blocks: Iterable[Block]) -> dict[str, float]:
        """One pass over data that come in blocks; returns its measures."""
        self._session.report.begin(self._state.epoch + 1)
        start = time.perf_counter()
        costs, sums, n_rows = 0.0, 0.0, 0
        self._batches_before = 0
        for block in blocks:
            self._batches = block
            losses = self._pass(None)
            if losses.ndim == 2:
                losses, of_sums = losses[0] - losses[1], losses[1]
                sums += float(of_sums.sum())
            costs += float((losses * block.batch_rows).sum())
            n_rows += block.n_rows
            self._batches_before += block.n_batches
        return self._measures(costs / n_rows + sums, start)

    def _measures(self, loss: float, start: float) -> dict[str, float]:
        """The measures of an epoch that began at a time of `time.perf_counter`."""
        state = self._state
        return {
            "loss": loss,
            "learning_rate": learning_rate(self._optimizer, state.step, state.rate_factor),
            "seconds": time.perf_counter() - start,
        }

    def _mean(self, losses: np.ndarray, order: np.ndarray | None) -> float:
        """The mean of the costs of an epoch's batches, by what the batches weigh.

        Losses that are sums over the rows, in a second row of `losses`, are added up instead.
        """
        if losses.ndim == 2:
            costs, sums = losses
            return self._mean(costs - sums, order) + float(sums.sum())
        batches, row_weights = self._batches, self._weighing.rows
        if row_weights is None:
            return float((losses * batches.batch_rows).sum() / batches.n_rows)
        weights = self._by_batch(row_weights, order)
        total = weights.sum()
        return float((losses * weights).sum() / total) if total > 0 else math.nan

    def _by_batch(self, numbers: np.ndarray, order: np.ndarray | None) -> np.ndarray:
        """The sums of numbers of the rows (N,) over each batch of an epoch."""
        rows = numbers if order is None else numbers[order]
        starts = np.arange(0, self._batches.n_rows, self._batches.batch_size)
        sums: np.ndarray = np.add.reduceat(rows, starts)
        return sums

    def _penalties(self, order: np.ndarray | None) -> np.ndarray | None:
        """The factor of the L2 penalty of each batch, 0 for one of no weight; None for one for all.

        The batches of an epoch are the same in each of its calls of the engine.
        """
        if self._weighing.penalty is None:
            return None
        sums = self._by_batch(self._weighing.penalty, order)
        l2 = self._engine.program.l2
        penalties: np.ndarray = np.divide(l2, sums, out=np.zeros(len(sums)), where=sums > 0)
        return penalties

    def _pass(self, order: np.ndarray | None) -> np.ndarray:
        """All batches of an epoch; returns their losses."""
        n_batches = self._batches.n_batches
        losses = np.full((2, n_batches) if self._weighing.has_sums else n_batches, np.nan)
        self._epoch_penalties = self._penalties(order)
        done = 0
        while done < n_batches:
            n = min(self._batches_per_call, self._batches.max_batches, n_batches - done)
            self._call(order, losses[..., done : done + n], done, n)
            done += n
            self._session.report.advance(n, np.atleast_2d(losses)[0, :done])
        return losses

    def _call(self, order: np.ndarray | None, losses: np.ndarray, done: int, n: int) -> None:
        """Batches done .. done + n - 1 in one call of the engine, which sets their losses."""
        state = self._state
        steps = np.arange(state.step + 1, state.step + 1 + n)
        learning_rates = state.rate_factor * rates(self._optimizer.learning_rate, steps)
        before = self._batches_before + done
        penalties = self._epoch_penalties
        if penalties is not None:
            penalties = penalties[done : done + n]
        start = time.perf_counter()
        inputs, targets, rows = self._batches.take(order, done, n)
        try:
            if self._steps is None:
                taken = self._engine.train(
                    inputs, targets, rows, self._batches.batch_size, learning_rates,
                    state.step + 1, losses, False, self._weighing.means, penalties,
                )  # fmt: skip
            else:
                batches = inputs, targets, rows, self._batches.batch_size
                taken = self._steps.train(
                    batches, learning_rates, state.step + 1, losses, self._weighing.means, penalties
                )
        except BaseException as error:  # the steps before it were taken
            taken = int(np.isfinite(np.atleast_2d(losses)[0]).sum())
            state.step += taken
            if not isinstance(error, NotFiniteError):
                raise
            texts = (str(error), "") if isinstance(error, GradientError) else ("", str(error))
            raise TrainingError(
                state.epoch + 1, before + taken + 1, state.step + 1, error.loss,
                float(learning_rates[taken]), *texts,
            ) from error  # fmt: skip
        state.step += taken
        self._session.interrupts.check()
        if taken < n:
            raise TrainingError(
                state.epoch + 1, before + taken + 1, state.step + 1,
                float(np.atleast_2d(losses)[0, taken]), float(learning_rates[taken]),
            )  # fmt: skip
        seconds = max(time.perf_counter() - start, 1e-9)
        if self._steps is not None:
            return
        # The number grows step by step: the first calls are slower than the rest.
        self._batches_per_call = max(1, min(4 * n, int(n * _CALL_SECONDS / seconds)))
