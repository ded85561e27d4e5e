"""The training of all members: in turn, in threads of this process, or in workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from fastnn import backend
from fastnn.ensemble.members import Member, Outcome, outcome_of
from fastnn.ensemble.sending import Report, in_workers
from fastnn.ensemble.workers import Workers
from fastnn.network import Network
from fastnn.solvers import Solver
from fastnn.training.callbacks import History
from fastnn.training.progress import check_verbose, new_bar, say
from fastnn.training.solving import one_blas_thread

__all__ = ["train_members", "trains_one_of"]

_WORKER = threading.local()
"""In a thread that trains members beside others: `members`, the networks of all of them."""


def trains_one_of(networks: Sequence[Network]) -> bool:
    """Whether the calling thread is one of several that train these networks."""
    members = getattr(_WORKER, "members", ())
    return any(network is member for network in networks for member in members)


def train_members(
    members: Sequence[Member], verbose: int, who: Workers, drops: bool = False
) -> list[Outcome]:
    """Train all.

    Parameters
    ----------
    members : sequence of Member
    verbose : {0, 1, 2}
    who : Workers
    drops : bool, default False
        Whether members that fail leave the others alone: then no error of a training is raised.
        Otherwise the first one is, with the number of its member in a note; in this process it
        ends the training of the others, and in workers they end by themselves.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, when no member is trained any longer.
    """
    verbose = check_verbose(verbose)
    for member in members:
        member.check()
    with _report(verbose, len(members)) as report:
        jobs = min(who.n_jobs, len(members))
        if who.backend is not None:
            outcomes = in_workers(members, who, report)
        elif jobs > 1:
            outcomes = _in_threads(members, jobs, report, drops)
        else:
            outcomes = _in_turn(members, report, drops)
    for i, outcome in enumerate(outcomes):
        if outcome.error is not None:
            outcome.error.add_note(f"raised by the training of member {i} of {len(members)}")
            if not drops:
                raise outcome.error
    return outcomes


def _in_turn(members: Sequence[Member], report: Report, drops: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for member in members:
        start = time.perf_counter()
        outcomes.append(outcome_of(member, lambda: False))
        if outcomes[-1].history.interrupted:
            raise KeyboardInterrupt
        if outcomes[-1].error is not None and not drops:
            break  # it is raised
        report(outcomes[-1].history, time.perf_counter() - start)
    return outcomes


def _in_threads(members: Sequence[Member], jobs: int, report: Report, drops: bool) -> list[Outcome]:
    from concurrent.futures import ThreadPoolExecutor, wait

    ended = threading.Event()
    lock = threading.Lock()

    def train(member: Member) -> Outcome:
        start = time.perf_counter()
        if ended.is_set():
            return Outcome(member.network.history, member.plan)
        with backend.at_most_threads(share):  # of this thread's calls
            outcome = outcome_of(member, ended.is_set)
        if outcome.error is not None and not drops:
            ended.set()
        with lock:
            report(outcome.history, time.perf_counter() - start)
        return outcome

    networks = [member.network for member in members]
    share = Workers(jobs).threads_of_each
    solved = any(isinstance(member.network.optimizer, Solver) for member in members)
    with (
        one_blas_thread() if solved else nullcontext(),
        ThreadPoolExecutor(jobs, "fastnn-member", _mark_thread, (networks,)) as pool,
    ):
        try:
            futures = [pool.submit(train, member) for member in members]
            wait(futures)
        finally:
            ended.set()  # leaving the block waits for the threads that still train
    return [future.result() for future in futures]


def _mark_thread(networks: Sequence[Network]) -> None:
    """Note in a new thread that it trains members beside others."""
    _WORKER.members = networks


@contextmanager
def _report(verbose: int, n: int) -> Iterator[Report]:
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
