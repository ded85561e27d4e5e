"""The training loop over a stream of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn._shared.numbers import check_integer
from fastnn.training.callbacks import History
from fastnn.training.data import Block, Data
from fastnn.training.loop import DEFAULT_BATCH_SIZE, DEFAULT_EPOCHS, Loop, Weighing
from fastnn.training.session import Plan, Session, Trainee
from fastnn.training.stream import Stream

__all__ = ["fit"]


def fit(
    trainee: Trainee,
    stream: Stream,
    plan: Plan,
    validation: Data | Stream | None,
    network: object,
    weighing: Weighing,
) -> History:
    """Train on the rows of a stream, as `fastnn.training.loop.fit` does on data in memory.

    Parameters
    ----------
    trainee : Trainee
    stream : Stream
    plan : Plan
    validation : Data or Stream, optional
    network : object
        What callbacks see as `context.network`.
    weighing : Weighing
        Without weights of single rows.

    Raises
    ------
    ValueError
        If the buffer of the source is smaller than a batch.
    SourceError, TrainingError
        As the passes over the source and the steps raise them; the parameters are those before
        the step that was not taken.
    """
    epochs = check_integer(DEFAULT_EPOCHS if plan.epochs is None else plan.epochs, "epochs", 0)
    size = DEFAULT_BATCH_SIZE if plan.batch_size is None else plan.batch_size
    size = check_integer(size, "batch_size", 1)
    if stream.source.buffer_rows < size:
        raise ValueError(
            f"buffer_rows must be at least batch_size, got {stream.source.buffer_rows} < {size}"
        )
    if plan.checkpoint is not None:
        if plan.checkpoint.finished:
            plan.checkpoint.resume(plan.watchers(validation is not None))
            return trainee.state.history.copy()
        epochs -= plan.checkpoint.epochs
    n_batches = -(-(stream.source.n_rows or 0) // size)
    session = Session(trainee, plan, epochs, epochs * n_batches, validation, network)
    seed = check_integer(trainee.seed, "seed", 0)

    def blocks() -> Iterator[Block]:
        """The blocks of the next epoch."""
        if plan.shuffle:
            for data, order in stream.shuffled(size, seed, session.state.epoch):
                yield Block(data, order, size)
        else:
            rows = stream.source.buffer_rows // size * size
            for data in stream.blocks(rows):
                yield Block(data, np.arange(len(data)), size)

    loop = Loop(trainee, None, session, weighing, None)

    def train() -> None:
        for _ in range(epochs):
            if session.end_epoch(loop.epoch_of_blocks(blocks())):
                break

    session.run(train)
    return session.history()
