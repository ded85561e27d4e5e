"""Members that are trained in the workers of joblib, and what comes back from there."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn import backend
from fastnn.ensemble.members import AllBut, Member, Outcome, outcome_of
from fastnn.ensemble.workers import Workers, threads_of_task
from fastnn.network import Network
from fastnn.network._checkpoint import CheckpointFile
from fastnn.network._fit import Extras
from fastnn.training.callbacks import Callback, History, as_callbacks, is_function
from fastnn.training.data import Data
from fastnn.training.session import Plan

__all__ = ["Report", "in_workers"]

Report = Callable[[History, float], None]
"""What is told of each trained member: its history, and the seconds of its training."""


@dataclass(frozen=True)
class _Task:
    """A member without its data, which all tasks share and which travel beside them."""

    number: int
    network: Network
    rows: np.ndarray | AllBut | None
    plan: Plan
    extras: Extras
    file: CheckpointFile | None
    share: int

    @classmethod
    def of(cls, number: int, member: Member, share: int) -> _Task:
        """The task that trains a member with so many threads."""
        extras = replace(member.extras, validation_data=None)  # it has been read already
        file = member.file
        if file is not None:  # the worker may stand in another folder
            file = replace(file, path=os.path.abspath(file.path))
        return cls(number, member.network, member.rows, member.plan, extras, file, share)


@dataclass(frozen=True)
class _Result:
    """What a worker sends back."""

    number: int
    seconds: float
    state: dict[str, Any]
    plan: Plan
    error: Exception | None
    trace: str


def _train(task: _Task, data: Data, validation: Data | np.ndarray | None) -> _Result:
    """Train a member; runs in the worker."""
    start = time.perf_counter()
    network, trace = task.network, ""
    member = Member(network, data, task.rows, task.plan, task.extras, validation, task.file)
    with backend.at_most_threads(threads_of_task(task.share)):
        outcome = outcome_of(member, lambda: False)
    if outcome.error is not None:
        trace = "".join(traceback.format_exception(outcome.error))
    seconds = time.perf_counter() - start
    return _Result(task.number, seconds, network.get_state(), task.plan, outcome.error, trace)


def in_workers(members: Sequence[Member], who: Workers, report: Report) -> list[Outcome]:
    """Train members in workers; each then has the parameters and the state of its training.

    Members that give no result are sent once more, one at a time: a worker that dies takes others
    with it, and only what fails alone is at fault.  The outcome has the error of joblib then.
    """
    outcomes: dict[int, Outcome] = {}
    share = who.threads_of_each
    tasks = [
        (_Task.of(i, member, share), member.data, member.validation)
        for i, member in enumerate(members)
    ]

    def send(tasks: Sequence[tuple[_Task, Data, Data | np.ndarray | None]]) -> Exception | None:
        """Train some members; returns the error that kept others from giving a result."""
        try:
            for result in who.run(_train, tasks):
                member = members[result.number]
                outcomes[result.number] = _received(member, result)
                report(member.network.history, result.seconds)
        except Exception as error:  # whatever a backend raises for a worker that it has lost
            return error
        return None

    if send(tasks) is not None:
        for i, task in enumerate(tasks):
            if i not in outcomes and (error := send([task])) is not None:
                outcomes[i] = Outcome(members[i].network.history, members[i].plan, error)
    return [outcomes[i] for i in range(len(members))]


def _received(member: Member, result: _Result) -> Outcome:
    """Give a member what its copy in a worker has become."""
    member.network.set_state(result.state)
    originals, trained = as_callbacks(member.plan.callbacks), as_callbacks(result.plan.callbacks)
    watchers: list[Callback] = [
        one if is_function(one) else other for one, other in zip(originals, trained, strict=True)
    ]
    plan = replace(member.plan, callbacks=watchers, early_stopping=result.plan.early_stopping)
    if result.error is not None:
        result.error.add_note(f"in a worker:\n{result.trace}")
    return Outcome(member.network.history, plan, result.error)
