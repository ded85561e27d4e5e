"""A process of its own for each contender, which obeys one command at a time.

Thread pools of different libraries disturb each other within a process, and none may work while
another is timed: every child but one is blocked, reading its pipe.
"""

from __future__ import annotations

import gc
import multiprocessing
import traceback
from typing import Any

import numpy as np

from benchmarks import contenders
from benchmarks.clock import least_time, single_calls
from benchmarks.contenders import Job, Setting
from benchmarks.works import Work

_TRIAL_SECONDS = 0.02  # of each way of doing some work, to choose among them
_PERCENTILES = (50, 99, 99.9)


class ChildError(RuntimeError):
    """A contender failed; the message is its traceback or how it ended."""


class Child:
    """The parent's side: a contender in a process of its own."""

    def __init__(self, name: str, setting: Setting) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_obey, args=(theirs, name, setting), daemon=True)
        self._process.start()
        theirs.close()
        self.version: str
        self.isa: str
        self.version, self.isa = self._answer()

    def prepare(self, work: Work) -> list[tuple[str, list[np.ndarray]]]:
        """Ready for `time`; what each way of doing the work gave. Empty if there is none."""
        return self._ask("prepare", work)

    def time(self, seconds: float) -> float:
        """Seconds of the prepared work, the least of some samples."""
        return self._ask("time", seconds)

    def chosen(self) -> str:
        """The way that was fastest."""
        return self._ask("chosen")

    def latencies(self) -> list[float]:
        """Percentiles 50, 99 and 99.9 of the seconds of single calls."""
        return self._ask("latencies")

    def release(self) -> None:
        """Forget the prepared work."""
        self._ask("release")

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def _ask(self, *command: Any) -> Any:
        try:
            self._pipe.send(command)
        except OSError as error:
            raise ChildError(f"its process has ended: {error}") from error
        return self._answer()

    def _answer(self) -> Any:
        try:
            succeeded, answer = self._pipe.recv()
        except EOFError as error:
            self._process.join(10)
            raise ChildError(f"its process ended with {self._process.exitcode}") from error
        if not succeeded:
            raise ChildError(answer)
        return answer


def _obey(pipe: Any, name: str, setting: Setting) -> None:
    """The child's side: answer commands until the parent closes the pipe."""
    try:
        worker = _Worker(name, setting)
        pipe.send((True, (worker.contender.version, worker.contender.isa)))
    except Exception:
        pipe.send((False, traceback.format_exc()))
        return
    while True:
        try:
            command, *arguments = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            pipe.send((True, getattr(worker, command)(*arguments)))
        except Exception:
            pipe.send((False, traceback.format_exc()))


class _Worker:
    """One contender and the work it has prepared."""

    def __init__(self, name: str, setting: Setting) -> None:
        self.contender = contenders.make(name, setting)
        self._job: Job | None = None

    def prepare(self, work: Work) -> list[tuple[str, list[np.ndarray]]]:
        checked = work.to_check()
        results = [(job.label, job.results(checked)) for job in self.contender.jobs(checked)]
        if results:
            jobs = self.contender.jobs(work)
            self._job = min(jobs, key=lambda job: least_time(job.run, _TRIAL_SECONDS))
        return results

    def chosen(self) -> str:
        assert self._job is not None
        return self._job.label

    def time(self, seconds: float) -> float:
        assert self._job is not None
        return least_time(self._job.run, seconds)

    def latencies(self) -> list[float]:
        assert self._job is not None
        return [float(p) for p in np.percentile(single_calls(self._job.run), _PERCENTILES)]

    def release(self) -> None:
        self._job = None
        gc.collect()
