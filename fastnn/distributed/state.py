"""The state of a training, which process 0 decides and all others follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.distributed.communicator import Communicator
from fastnn.distributed.faults import as_shared
from fastnn.distributed.messages import share
from fastnn.training.interrupts import Interrupts
from fastnn.training.state import TrainingState

_ACT = "the state of the training, after what rank 0 does alone"


class SharedState:
    """Makes parameters, optimizer state and counters of all processes those of process 0.

    Only process 0 validates, calls callbacks and writes files; what these change (the learning
    rate, the parameters) holds in all processes from the next epoch on.

    Parameters
    ----------
    communicator : Communicator
    arrays : sequence of array
        Parameters and optimizer state.
    state : TrainingState
    """

    def __init__(
        self, communicator: Communicator, arrays: Sequence[np.ndarray], state: TrainingState
    ) -> None:
        self._communicator = communicator
        self._arrays = arrays
        self._state = state
        self._is_over = False

    def synchronize(self, stop: bool, interrupts: Interrupts) -> bool:
        """Between epochs: whether process 0 asks to stop.

        Raises
        ------
        KeyboardInterrupt
            If process 0 has ended the training because of a Ctrl-C.
        """
        message = self._follow("stop" if stop else "go on")
        if message == "end":
            interrupts.take()
            raise as_shared(KeyboardInterrupt())
        return message == "stop"

    def finish(self) -> None:
        """After the last callbacks of process 0."""
        if not self._is_over:
            self._follow("end")

    def _follow(self, own: str) -> str:
        message, training = share(self._communicator, [own, self._state.to_dict()], _ACT)
        if self._communicator.rank:
            self._state.replace(TrainingState.from_dict(training))
        for array in self._arrays:
            self._communicator.broadcast(array, 0, _ACT)
        self._is_over = message == "end"
        return str(message)
