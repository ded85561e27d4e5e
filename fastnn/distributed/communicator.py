"""What the processes of one training say to each other, and the communicator of a single one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

Buffer = np.ndarray
"""A C-contiguous array whose bytes are sent or filled."""


class RankError(RuntimeError):
    """A process of the training died, hangs or raised an error; all others end with this error.

    Attributes
    ----------
    rank : int or None
        Number of that process, None where it is not known.
    """

    def __init__(self, message: str, rank: int | None = None) -> None:
        super().__init__(message)
        self.rank = rank

    def __reduce__(self) -> tuple[type[RankError], tuple[str, int | None]]:
        return type(self), (str(self), self.rank)


class Communicator(Protocol):
    """How the processes of one training exchange arrays.

    All processes call the same methods in the same order, with buffers of the same sizes.  `act`
    says in errors what is exchanged, such as "the gradients of step 7"; it is the same everywhere.
    Each method raises `RankError` when another process does not answer within `time_limit`, or
    has called `fail`.
    """

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def size(self) -> int:
        """Number of processes."""

    @property
    def time_limit(self) -> float:
        """Seconds that this process waits for another one."""

    def exchange(self, outgoing: Sequence[Buffer], incoming: Sequence[Buffer], act: str) -> None:
        """Send ``outgoing[r]`` to process r, and fill ``incoming[r]`` with what r sends here.

        The element of this process itself is copied.  Empty arrays are not sent.
        """

    def allreduce(self, buffer: Buffer, act: str) -> None:
        """Replace a buffer of floats by the sum over all processes, in an order of MPI's choice."""

    def broadcast(self, buffer: Buffer, root: int, act: str) -> None:
        """Fill the buffers of all processes with that of `root`."""

    def barrier(self, act: str) -> None:
        """Wait until all processes are here."""

    def fail(self, error: BaseException) -> None:
        """Tell all others that this process leaves the training with an error; waits for no one."""


class _Single:
    """The communicator of one process."""

    rank = 0
    size = 1
    time_limit = np.inf

    def exchange(self, outgoing: Sequence[Buffer], incoming: Sequence[Buffer], act: str) -> None:
        """Copy the one element."""
        incoming[0][...] = outgoing[0]

    def allreduce(self, buffer: Buffer, act: str) -> None:
        """Nothing: the buffer is the sum."""

    def broadcast(self, buffer: Buffer, root: int, act: str) -> None:
        """Nothing: the buffer is that of the root."""

    def barrier(self, act: str) -> None:
        """Nothing: all are here."""

    def fail(self, error: BaseException) -> None:
        """Nothing: there is no one to tell."""


def single() -> Communicator:
    """The communicator of one process, which needs no MPI.

    A training with it has the bits of the same training in many processes.

    Examples
    --------
    >>> import fastnn as fnn
    >>> communicator = fnn.distributed.single()
    >>> communicator.rank, communicator.size
    (0, 1)
    """
    return _Single()


class Patience:
    """The time that a wait has left.

    A stretch in which this process itself stood still, because the machine was suspended or
    overloaded, counts one second at most: it says nothing about the others.

    Parameters
    ----------
    seconds : float
    """

    _LONGEST_STRETCH = 1.0

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._last = time.monotonic()

    def is_over(self) -> bool:
        """Whether the time is over; to be called several times a second."""
        now = time.monotonic()
        self._left -= min(now - self._last, self._LONGEST_STRETCH)
        self._last = now
        return self._left <= 0
