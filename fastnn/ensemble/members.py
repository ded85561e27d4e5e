"""The networks of an ensemble: their common interface, and their training."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn import backend
from fastnn._shared.numbers import check_integer
from fastnn.network import Network
from fastnn.network._checkpoint import CheckpointFile, check_checkpoint, with_checkpoint
from fastnn.network._fit import Extras
from fastnn.solvers import Solver
from fastnn.training.callbacks import Context, FunctionCallback, History, as_callbacks
from fastnn.training.data import Data
from fastnn.training.progress import check_verbose, new_bar, say
from fastnn.training.session import Plan
from fastnn.training.solving import one_blas_thread


def check_alike(members: Sequence[Network]) -> None:
    """Raise ValueError unless all take the same data and predict the same quantities."""
    first = _interface(members[0])
    for i, member in enumerate(members):
        for what, value in _interface(member).items():
            if value != first[what]:
                raise ValueError(
                    f"the networks of an ensemble must have the same {what}, but member {i} has "
                    f"{value}, member 0 {first[what]}"
                )


def _interface(network: Network) -> dict[str, Any]:
    """What must be equal for all members; their layers may differ."""
    outputs = zip(network.output_names, network.graph.outputs, strict=True)
    return {
        "dtype": network.dtype,
        "inputs": {buffer.name: buffer.width for buffer in network.core.feed.inputs},
        "outputs": {name: tensor.width for name, tensor in outputs},
        "losses": {name: (loss.name, loss.activation) for name, loss in network.losses.items()},
    }


@dataclass(frozen=True)
class Member:
    """A network, and how it is trained.

    Attributes
    ----------
    network : Network
    data : Data
        Checked data of the ensemble.
    rows : (N,) array, or None
        The rows that the member is trained on; None for all.
    plan : Plan
        With callbacks of the member's own.
    extras : Extras
        Class weights and the split for validation.
    validation : Data, optional
        Checked validation data, where they are no part of `data`.
    file : CheckpointFile, optional
        Of this member's training.
    """

    network: Network
    data: Data
    rows: np.ndarray | None
    plan: Plan
    extras: Extras
    validation: Data | None
    file: CheckpointFile | None = None

    def check(self) -> None:
        """Raise what the checkpoint of the training would raise, before others are trained."""
        if self.file is not None:
            data, validation = self._parts()
            plan = self._ending_plan(lambda: False)
            check_checkpoint(self.network, plan, self.file, data, validation)

    def train(self, has_to_end: Callable[[], bool]) -> History:
        """Train until the end; an epoch for which `has_to_end` is true interrupts the training."""
        core = self.network.core
        data, validation = self._parts()
        with core.lock:
            plan = self._ending_plan(has_to_end)
            plan = with_checkpoint(self.network, plan, self.file, data, validation)
            return core.fit(data, plan, validation, self.network)

    def _parts(self) -> tuple[Data, Data | None]:
        """The data to train on, and to validate on."""
        data = self.data if self.rows is None else self.data.rows(self.rows)
        data, held_out = self.extras.prepared(self.network.core, data, self.plan)
        return data, self.validation if held_out is None else held_out

    def _ending_plan(self, has_to_end: Callable[[], bool]) -> Plan:
        """The plan with a callback that interrupts the training."""

        def end(context: Context) -> None:
            if has_to_end():  # no stop: a checkpoint would take it for the end
                raise KeyboardInterrupt

        callbacks = [*as_callbacks(self.plan.callbacks), FunctionCallback(end)]
        return replace(self.plan, callbacks=callbacks)


_WORKER = threading.local()
"""In a thread that trains members beside others: `members`, the networks of all of them."""


def trains_one_of(networks: Sequence[Network]) -> bool:
    """Whether the calling thread is one of several that train these networks."""
    members = getattr(_WORKER, "members", ())
    return any(network is member for network in networks for member in members)


def train_members(members: Sequence[Member], verbose: int, n_jobs: int) -> list[History]:
    """Train all; the first error, or Ctrl-C, ends the training of the others and is raised."""
    verbose = check_verbose(verbose)
    jobs = _cores() if n_jobs == -1 else check_integer(n_jobs, "n_jobs", 1)
    for member in members:
        member.check()
    with _report(verbose, len(members)) as report:
        if min(jobs, len(members)) > 1:
            return _in_threads(members, min(jobs, len(members)), report)
        histories = []
        for member in members:
            start = time.perf_counter()
            histories.append(member.train(lambda: False))
            if histories[-1].interrupted:
                raise KeyboardInterrupt
            report(histories[-1], time.perf_counter() - start)
        return histories


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_threads(
    members: Sequence[Member], jobs: int, report: Callable[[History, float], None]
) -> list[History]:
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    ended = threading.Event()
    lock = threading.Lock()

    def train(member: Member) -> History:
        start = time.perf_counter()
        if ended.is_set():
            return member.network.history
        with backend.at_most_threads(share):  # of this thread's calls
            history = member.train(ended.is_set)
        with lock:
            report(history, time.perf_counter() - start)
        return history

    networks = [member.network for member in members]
    share = max(1, backend.get_num_threads() // jobs)
    solved = any(isinstance(member.network.optimizer, Solver) for member in members)
    with (
        one_blas_thread() if solved else nullcontext(),
        ThreadPoolExecutor(jobs, "fastnn-member", _mark_thread, (networks,)) as pool,
    ):
        try:
            futures = [pool.submit(train, member) for member in members]
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            ended.set()  # leaving the block waits for the threads that still train
    return [future.result() for future in futures]


def _mark_thread(networks: Sequence[Network]) -> None:
    """Note in a new thread that it trains members beside others."""
    _WORKER.members = networks


@contextmanager
def _report(verbose: int, n: int) -> Iterator[Callable[[History, float], None]]:
    """What reports a trained member: a function (history, seconds) -> None."""
    if verbose == 0:
        yield lambda history, seconds: None
    elif verbose == 2:
        done = 0

        def line(history: History, seconds: float) -> None:
            nonlocal done
            done += 1
            say(f"member {done}/{n}  {history!r}  {seconds:.2f} s")

        yield line
    else:
        with new_bar(n, "member", ", or use verbose=2") as bar:

            def advance(history: History, seconds: float) -> None:
                if "loss" in history:
                    bar.set_postfix(loss=f"{history['loss'][-1]:.4g}", refresh=False)
                bar.update(1)

            yield advance
