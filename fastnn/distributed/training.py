"""`fit`: a network trained by all processes, with a folder for its checkpoint."""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING, Any, Protocol

from fastnn.distributed.communicator import Communicator
from fastnn.distributed.launch import world

if TYPE_CHECKING:
    from fastnn.training.callbacks import History

FILE = "checkpoint.fastnn"
"""Name of the checkpoint in its folder."""


class Trainable(Protocol):
    """A network: anything with its method `fit`."""

    def fit(self, X: Any, y: Any, **options: Any) -> History:
        """Train for some epochs more."""


def fit(
    network: Trainable,
    X: Any,
    y: Any,
    *,
    communicator: Communicator | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int | datetime.timedelta = 1,
    **options: Any,
) -> History:
    """Train a network in all processes; the same as `Network.fit` with a communicator.

    Parameters
    ----------
    network : Network
        Compiled; all processes have the same layers, losses, optimizer and seed.
    X, y
        As in `Network.fit`.
    communicator : Communicator, optional
        By default `world`.
    checkpoint : path, optional
        A folder, which is made if it does not exist.  Process 0 keeps the state of the training
        there, in the file ``checkpoint.fastnn``, an ordinary model file.  If the file exists, the
        training continues from it, with any number of processes, to the same bits.
    every : int or datetime.timedelta, default 1
        Number of epochs between two writes of that file, or a time.
    **options
        Of `Network.fit`: `epochs`, `batch_size`, `shards`, `partitioned` and all others.

    Returns
    -------
    History
        The same in all processes.

    Raises
    ------
    RankError
        If another process dies, hangs or raises an error.
    TypeError, ValueError, TrainingError
        As `Network.fit` does; in all processes.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> net = fnn.Sequential([fnn.Dense(2, 8, activation="tanh"), fnn.Dense(8, 1)], seed=0)
    >>> net.compile(loss="binary_cross_entropy", optimizer=fnn.Adam(learning_rate=0.05))
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    >>> history = fnn.distributed.fit(net, X, [0, 1, 1, 0], epochs=3, batch_size=4)
    >>> history.epochs
    3
    """
    file = None
    if checkpoint is not None:
        os.makedirs(checkpoint, exist_ok=True)
        file = os.path.join(checkpoint, FILE)
    history: History = network.fit(
        X,
        y,
        communicator=world() if communicator is None else communicator,
        checkpoint=file,
        checkpoint_every=every,
        **options,
    )
    return history
