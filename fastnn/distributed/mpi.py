"""The communicator on MPI: non-blocking messages, polled against a time limit.

Once all processes have met, no call of MPI blocks.  A process that leaves with an error says so to
all others.  The end of a process of the same machine is seen in the list of processes.
MPI_Finalize would wait for processes that are gone: then `Abort` ends MPI itself.
"""

from __future__ import annotations

import atexit
import faulthandler
import json
import os
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from fastnn.distributed.communicator import Buffer, Patience, RankError
from fastnn.distributed.messages import as_bytes, gather
from fastnn.distributed.neighbours import Neighbours, place_of

_NOTICE = 1
"""Tag of the messages that say that a process has left with an error."""

_FIRST_TAG = 16
_TAGS = 32_000
"""Tags that every MPI has: up to 32,767."""

_SPIN = 5e-4
"""Seconds of polls before a wait sleeps between them: most messages are there by then."""

_SHORTEST_SLEEP, _LONGEST_SLEEP = 2e-5, 2e-3

_LOOK = 0.1
"""Seconds between two looks whether the processes of this machine are alive."""

_FAREWELL = 10.0
"""Seconds in which all processes print their errors before the first one ends them."""


class MPICommunicator:
    """The processes that ``mpiexec`` started.

    Parameters
    ----------
    time_limit : float
        Seconds that this process waits for another one.
    """

    def __init__(self, time_limit: float) -> None:
        with _ended_after(time_limit):  # these calls wait for all processes
            from mpi4py import MPI

            # Of its own: messages of the caller's program cannot be taken for those of a training.
            self._comm = MPI.COMM_WORLD.Dup()
            self._farewell = MPI.COMM_WORLD.Dup()
        self._mpi = MPI
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()
        self.time_limit = time_limit
        self._act = "the start"
        self._heard = ["nothing yet"] * self.size
        self._end: RankError | None = None
        self._is_told = False
        self._unfinished: list[Any] = []
        self._neighbours = Neighbours([[]] * self.size, self.rank)
        self._next_look = 0.0
        _watch_errors(self)
        places = gather(self, place_of(os.getpid()), "the places of the processes")
        self._neighbours = Neighbours(places, self.rank)

    # ---------------------------------------------------------------- messages

    def exchange(self, outgoing: Sequence[Buffer], incoming: Sequence[Buffer], act: str) -> None:
        """See `Communicator`."""
        incoming[self.rank][...] = outgoing[self.rank]
        tag = _FIRST_TAG + zlib.crc32(act.encode()) % _TAGS
        receives = {
            r: self._comm.Irecv([as_bytes(buffer), self._mpi.BYTE], r, tag)
            for r, buffer in enumerate(incoming)
            if r != self.rank and buffer.size
        }
        sends = [
            self._comm.Isend([as_bytes(buffer), self._mpi.BYTE], r, tag)
            for r, buffer in enumerate(outgoing)
            if r != self.rank and buffer.size
        ]
        self._wait(receives, sends, act)

    def allreduce(self, buffer: Buffer, act: str) -> None:
        """See `Communicator`."""
        self._wait({}, [self._comm.Iallreduce(self._mpi.IN_PLACE, buffer)], act)

    def broadcast(self, buffer: Buffer, root: int, act: str) -> None:
        """See `Communicator`; the root sends to each process, so that errors name the right one."""
        nothing = np.empty(0, np.uint8)
        data = as_bytes(buffer)
        if self.rank == root:
            outgoing = [data if r != root else nothing for r in range(self.size)]
            incoming = [nothing] * self.size
        else:
            outgoing = [nothing] * self.size
            incoming = [data if r == root else nothing for r in range(self.size)]
        self.exchange(outgoing, incoming, act)

    def barrier(self, act: str) -> None:
        """See `Communicator`."""
        places = np.zeros((self.size, 1), np.uint8)
        self.exchange([places[0]] * self.size, list(places), act)

    # ------------------------------------------------------------------- waits

    def _wait(self, receives: Mapping[int, Any], sends: Sequence[Any], act: str) -> None:
        """Until all messages have arrived; RankError where another process fails to take part."""
        if self._end is not None:
            raise RankError(str(self._end), self._end.rank)
        self._act = act
        requests = [*receives.values(), *sends]
        patience = Patience(self.time_limit)
        spin_end, pause = time.monotonic() + _SPIN, _SHORTEST_SLEEP
        try:
            while not self._mpi.Request.Testall(requests):
                if time.monotonic() < spin_end:
                    os.sched_yield()
                    continue
                self._read_notice()
                self._look_around(lambda: self._mpi.Request.Testall(requests))
                if patience.is_over():
                    self._give_up(receives, act)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_SLEEP)
        except BaseException:  # the buffers of messages under way must live on
            self._unfinished += [*requests]
            raise
        for rank in receives:
            self._heard[rank] = act

    def _give_up(self, receives: Mapping[int, Any], act: str) -> None:
        missing = [rank for rank, request in receives.items() if not request.Test()]
        waited = f"rank {self.rank} has waited {self.time_limit:g} s for {act}"
        if not missing:
            raise self._ended(f"{waited}, and no process is known to be missing", None)
        names = ", ".join(
            f"rank {rank} did not answer; the last that came from it was {self._heard[rank]}"
            for rank in missing
        )
        self._is_told = True  # all others wait for it too
        raise self._ended(f"{waited}: {names}", missing[0])

    def _look_around(self, is_done: Callable[[], bool]) -> None:
        """Raise RankError if a process of this machine has ended before it sent all."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK
        dead = self._neighbours.ended()
        if not dead or is_done():
            return
        self._read_notice()
        names = ", ".join(
            f"rank {rank} has ended; the last that came from it was {self._heard[rank]}"
            for rank in dead
        )
        raise self._ended(f"rank {self.rank}, waiting for {self._act}: {names}", dead[0])

    def _read_notice(self) -> None:
        """Raise RankError if another process has left with an error."""
        status = self._mpi.Status()
        if not self._comm.Iprobe(self._mpi.ANY_SOURCE, _NOTICE, status):
            return
        data = bytearray(status.Get_count(self._mpi.BYTE))
        self._comm.Recv([data, self._mpi.BYTE], status.Get_source(), _NOTICE)
        rank, message = json.loads(bytes(data))
        self._is_told = True
        raise self._ended(message, rank)

    def _ended(self, message: str, rank: int | None) -> RankError:
        self._end = RankError(message, rank)
        return self._end

    # ------------------------------------------------------------------ the end

    def fail(self, error: BaseException) -> None:
        """See `Communicator`."""
        if self._is_told:
            return
        self._is_told = True
        if self._end is None:
            text = f"{type(error).__name__}: {error}"[:4000]
            last = f"the last it took part in was {self._act}"
            self._end = RankError(f"rank {self.rank} raised {text}; {last}", self.rank)
        data = bytearray(json.dumps([self._end.rank, str(self._end)]).encode())
        dead = self._neighbours.ended()
        requests = [
            self._comm.Isend([data, self._mpi.BYTE], r, _NOTICE)
            for r in range(self.size)
            if r != self.rank and r not in dead
        ]
        self._unfinished += [data, requests]
        self._poll(lambda: self._mpi.Request.Testall(requests), _FAREWELL)

    def leave(self) -> None:
        """At the end of a process: wait for all others, or end them after an error of one."""
        if self._mpi.Is_finalized():
            return
        sys.stdout.flush()
        sys.stderr.flush()
        self._act = "the end of the program"
        farewell = self._farewell.Ibarrier()
        while self._end is None and not farewell.Test():
            time.sleep(_LONGEST_SLEEP)
            try:
                self._read_notice()
                self._look_around(farewell.Test)
            except RankError as error:
                print(f"RankError: {error}", file=sys.stderr, flush=True)
        if self._end is None:
            return
        if not self._poll(farewell.Test, min(_FAREWELL, self.time_limit)):
            self._mpi.COMM_WORLD.Abort(1)

    @staticmethod
    def _poll(is_done: Callable[[], bool], seconds: float) -> bool:
        patience = Patience(seconds)
        while not is_done():
            if patience.is_over():
                return False
            time.sleep(_LONGEST_SLEEP)
        return True


@contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    """A block that ends this process if it takes longer, even inside a call of MPI."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _watch_errors(communicator: MPICommunicator) -> None:
    """An error that ends this process ends all of them, wherever it is raised."""
    before = sys.excepthook

    def hook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        before(kind, error, traceback)
        communicator.fail(error)

    sys.excepthook = hook
    # MPICH sends SIGUSR1 when a process has been killed; unless handled, it kills the others too.
    if (
        hasattr(signal, "SIGUSR1")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    atexit.register(communicator.leave)
