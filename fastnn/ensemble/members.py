"""The networks of an ensemble: what they have in common, and their training."""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pickle import PicklingError
from typing import Any

import numpy as np

from fastnn import backend
from fastnn._shared.numbers import check_integer
from fastnn.network import Network
from fastnn.network._feed import Data
from fastnn.solvers import Solver
from fastnn.training.callbacks import Callback, Callbacks, FunctionCallback, History, as_callbacks
from fastnn.training.progress import check_verbose, new_bar
from fastnn.training.solving import one_blas_thread


def check_alike(members: Sequence[Network]) -> None:
    """Raise ValueError unless all take the same data and predict the same quantities."""
    first = _interface(members[0])
    for i, member in enumerate(members):
        for what, found in _interface(member).items():
            if found != first[what]:
                raise ValueError(
                    f"the networks of an ensemble must have the same {what}, but member {i} has "
                    f"{found}, member 0 {first[what]}"
                )


def _interface(network: Network) -> dict[str, Any]:
    """What is to be one for all members; their layers may differ."""
    outputs = zip(network.output_names, network.graph.outputs, strict=True)
    return {
        "dtype": network.dtype,
        "inputs": {buffer.name: buffer.width for buffer in network._feed.inputs},
        "outputs": {name: tensor.width for name, tensor in outputs},
        "losses": {name: (loss.name, loss.activation) for name, loss in network.losses.items()},
    }


def own_callbacks(callbacks: Callbacks, n: int) -> list[list[Callback]]:
    """Callbacks for each of n members: functions are shared, of objects they get copies."""
    given = as_callbacks(callbacks)  # once: an iterator is empty afterwards
    try:
        return [[c if is_function(c) else copy.deepcopy(c) for c in given] for _ in range(n)]
    except (TypeError, PicklingError) as error:
        raise TypeError(
            f"callbacks must be functions, or such that each member can have a copy: {error}"
        ) from error


def is_function(callback: Callback) -> bool:
    """Whether a callback was given as a plain function."""
    return isinstance(callback, FunctionCallback)


@dataclass(frozen=True)
class Member:
    """A network with the rows it is trained on, or all for None, callbacks, options of `fit`."""

    network: Network
    data: Data
    rows: np.ndarray | None
    callbacks: Sequence[Callback]
    options: dict[str, Any]

    def train(self, given_up: Callable[[], bool]) -> History:
        """Train until the end, or after an epoch for which `given_up` holds."""
        data = self.data if self.rows is None else self.data.rows(self.rows)
        targets = [target for target, _ in data.targets]
        weights: Any = [weight for _, weight in data.targets]
        if all(weight is None for weight in weights):
            weights = None
        elif len(weights) == 1:
            weights = weights[0]
        return self.network.fit(
            data.inputs[0] if len(data.inputs) == 1 else data.inputs,
            targets[0] if len(targets) == 1 else targets,
            sample_weight=weights, callbacks=[*self.callbacks, lambda context: given_up()],
            **self.options,
        )  # fmt: skip


def train_members(members: Sequence[Member], verbose: int, n_jobs: int) -> list[History]:
    """Train all; the first error, or Ctrl-C, ends the training of the others and is raised."""
    verbose = check_verbose(verbose)
    jobs = _cores() if n_jobs == -1 else check_integer(n_jobs, "n_jobs", 1)
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

    given_up = threading.Event()
    lock = threading.Lock()

    def train(member: Member) -> History:
        start = time.perf_counter()
        if given_up.is_set():
            return member.network.history
        history = member.train(given_up.is_set)
        with lock:
            report(history, time.perf_counter() - start)
        return history

    share = max(1, backend.get_num_threads() // jobs)
    solved = any(isinstance(member.network.optimizer, Solver) for member in members)
    with (
        backend.at_most_threads(share),
        one_blas_thread() if solved else nullcontext(),
        ThreadPoolExecutor(jobs, "fastnn-member") as pool,
    ):
        try:
            futures = [pool.submit(train, member) for member in members]
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            given_up.set()  # leaving the block waits for the threads that still train
    return [future.result() for future in futures]


@contextmanager
def _report(verbose: int, n: int) -> Iterator[Callable[[History, float], None]]:
    """What tells of members that are done: (history, seconds) -> None."""
    if verbose == 0:
        yield lambda history, seconds: None
    elif verbose == 2:
        done = 0

        def line(history: History, seconds: float) -> None:
            nonlocal done
            done += 1
            print(f"member {done}/{n}  {history!r}  {seconds:.2f} s", flush=True)

        yield line
    else:
        with new_bar(n, "member", ", or use verbose=2") as bar:

            def advance(history: History, seconds: float) -> None:
                if "loss" in history:
                    bar.set_postfix(loss=f"{history['loss'][-1]:.4g}", refresh=False)
                bar.update(1)

            yield advance
