"""Processes of one training, played by threads: a communicator that needs no MPI."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections import defaultdict

import numpy as np

from fastnn.distributed import RankError


class ThreadCommunicator:
    """One of several threads; messages carry the name of what they are part of."""

    def __init__(self, rank, size, letters, limit=60.0):
        self.rank, self.size, self.time_limit = rank, size, limit
        self._letters = letters

    def exchange(self, outgoing, incoming, act):
        incoming[self.rank][...] = outgoing[self.rank]
        for other, data in enumerate(outgoing):
            if other != self.rank and data.size:
                self._letters[self.rank, other].put((act, data.copy()))
        for other, room in enumerate(incoming):
            if other != self.rank and room.size:
                self._receive(other, room, act)

    def _receive(self, other, room, act):
        try:
            name, data = self._letters[other, self.rank].get(timeout=self.time_limit)
        except queue.Empty:
            raise RankError(f"rank {other} did not send {act}", other) from None
        if isinstance(data, BaseException):
            raise RankError(f"rank {other} raised {data!r}", other)
        assert name == act
        room[...] = data

    def allreduce(self, buffer, act):
        rooms = np.empty((self.size, *buffer.shape), buffer.dtype)
        self.exchange([buffer] * self.size, list(rooms), act)
        buffer[...] = rooms.sum(axis=0)

    def broadcast(self, buffer, root, act):
        nothing = np.empty(0, buffer.dtype)
        is_root = self.rank == root
        outgoing = [buffer if is_root and r != root else nothing for r in range(self.size)]
        incoming = [buffer if r == root and not is_root else nothing for r in range(self.size)]
        self.exchange(outgoing, incoming, act)

    def barrier(self, act):
        places = np.zeros((self.size, 1))
        self.exchange([places[0]] * self.size, list(places), act)

    def fail(self, error):
        for other in range(self.size):
            if other != self.rank:
                self._letters[self.rank, other].put(("failure", error))


def run(size, function, limit=60.0):
    """What `function(communicator)` returns in each of `size` threads, or its exception."""
    letters = defaultdict(queue.Queue)
    for pair in np.ndindex(size, size):
        letters[pair]  # made before threads look for it
    outcomes = [None] * size

    def work(rank):
        try:
            outcomes[rank] = function(ThreadCommunicator(rank, size, letters, limit))
        except BaseException as error:
            outcomes[rank] = error

    # A new thread knows nothing of `backend.use` but by a copy of the context.
    contexts = [contextvars.copy_context() for _ in range(size)]
    threads = [
        threading.Thread(target=context.run, args=[work, rank])
        for rank, context in enumerate(contexts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def values(outcomes):
    """The outcomes, none of which may be an exception."""
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes
