"""Where independent trainings run: in threads of this process, or in the workers of joblib.

joblib (the extra `joblib`) is imported where a caller names a backend of it; a context
``joblib.parallel_config`` can only be active where the caller has imported joblib already.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from fastnn import backend as backends
from fastnn._shared.numbers import check_integer

__all__ = ["Workers", "threads_of_task", "workers"]

_SHARED_BYTES = 1 << 16
"""Arguments from this size on are sent to a cluster once, and not with each task."""


@dataclass(frozen=True)
class Workers:
    """Who runs independent trainings.

    Attributes
    ----------
    n_jobs : int
        Trainings at the same time.
    backend : str or None
        The backend of joblib: a name, "" for that of the active ``joblib.parallel_config``, or
        None for threads of this process, without joblib.
    """

    n_jobs: int = 1
    backend: str | None = None

    @property
    def threads_of_each(self) -> int:
        """The threads of each training, so that all together use the cores once."""
        return max(1, backends.get_num_threads() // self.n_jobs)

    def run(self, function: Callable[..., Any], tasks: Sequence[Sequence[Any]]) -> Iterator[Any]:
        """The results of a function for tasks (its arguments), in the order in which they end.

        Large arrays among the arguments are mapped into the memory of processes of this machine,
        and sent to a cluster once.
        """
        from joblib import Parallel, delayed
        from joblib.parallel import get_active_backend, parallel_config

        with parallel_config(backend=self.backend) if self.backend else nullcontext():
            active, _ = get_active_backend()
            if type(active).__name__ == "DaskDistributedBackend":
                return _in_dask(active.client, function, tasks)
            kind = "generator_unordered" if active.supports_return_generator else "list"
            parallel = Parallel(n_jobs=self.n_jobs, batch_size=1, return_as=kind)
            results: Iterator[Any] = iter(parallel(delayed(function)(*task) for task in tasks))
            return results


def _in_dask(
    client: Any, function: Callable[..., Any], tasks: Sequence[Sequence[Any]]
) -> Iterator[Any]:
    """`Workers.run` on the cluster of a client of Dask.

    joblib's own calls of Dask keep shared arrays on one worker, and wait without end for a task
    whose arrays are lost with that worker.  Here every worker has them, and a lost task is an
    error, which is raised after the results of the others.
    """
    from distributed import as_completed

    shared: dict[int, Any] = {}

    def sent(argument: object) -> Any:
        if argument is None or sys.getsizeof(argument) < _SHARED_BYTES:
            return argument
        if id(argument) not in shared:
            shared[id(argument)] = client.scatter(argument, broadcast=True, hash=False)
        return shared[id(argument)]

    futures = [client.submit(function, *map(sent, task), pure=False) for task in tasks]
    failure: Exception | None = None
    try:
        for future in as_completed(futures):
            try:
                result = future.result()
            except Exception as error:  # of Dask: those of trainings are parts of results
                failure = error
            else:
                yield result
    finally:
        client.cancel(futures)
    if failure is not None:
        raise failure


def workers(n_jobs: int | None, backend: str | None, default: int = 1) -> Workers:
    """Who runs trainings, by the arguments of a caller and the active context of joblib.

    Parameters
    ----------
    n_jobs : int or None
        -1 is one on each core.  None is the number of the active context, or -1 where the context
        names a backend alone; outside any context `default`.
    backend : str or None
        A backend of joblib by name; None is that of the active context, and threads outside any.
    default : int, default 1

    Raises
    ------
    ImportError
        If a backend is named, and joblib is not installed.
    TypeError, ValueError
        If an argument is out of range, or joblib knows no such backend.
    """
    if n_jobs is not None and n_jobs != -1:
        check_integer(n_jobs, "n_jobs", 1)
    if backend is not None and not isinstance(backend, str):
        raise TypeError(f"backend must be the name of a backend of joblib, got {backend!r}")
    if backend is None and sys.modules.get("joblib") is None:
        return Workers(_cores() if n_jobs == -1 else n_jobs or default)
    try:
        from joblib.parallel import get_active_backend, parallel_config
    except ImportError as error:
        raise ImportError(
            f'backend={backend!r} needs joblib: pip install "fastnn[joblib]"'
        ) from error
    if backend is not None:
        try:
            context = parallel_config(backend=backend)
        except ValueError as error:
            raise ValueError(f"backend={backend!r} cannot be used: {error}") from error
        with context:
            active, _ = get_active_backend()
            return _chosen(active, n_jobs or -1, backend)
    active, asked = get_active_backend()
    preferred, _ = get_active_backend(prefer="threads")
    is_chosen = type(active) is type(preferred) and not active.nesting_level
    if is_chosen and _dask_worker() is not None:  # what a worker does itself stays there
        return Workers(_cores() if n_jobs == -1 else n_jobs or default)
    n_jobs = n_jobs or asked
    return _chosen(preferred, n_jobs or (-1 if is_chosen else default), "")


def _chosen(active: Any, n_jobs: int, backend: str) -> Workers:
    """Who runs trainings on a backend of joblib."""
    if type(active).__name__ == "SequentialBackend":
        return Workers()
    if getattr(active, "supports_sharedmem", False):
        return Workers(_cores() if n_jobs == -1 else n_jobs)
    return Workers(max(1, active.effective_n_jobs(n_jobs)), backend)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_of_task(share: int) -> int:
    """The threads of a training in a worker: its share of the cores.

    Parameters
    ----------
    share : int
        What the process that sent the training reckons.  A worker of Dask, which may stand on
        another machine, divides the threads of its own process by its tasks at the same time.
    """
    worker = _dask_worker()
    if worker is None:
        return share
    return max(1, backends.get_num_threads() // worker.state.nthreads)


def _dask_worker() -> Any:
    """The worker of Dask that runs the calling task, or None."""
    workers = sys.modules.get("distributed.worker")  # a folder may be called distributed, too
    if workers is None:
        return None
    try:
        return workers.get_worker()
    except ValueError:  # not in a task
        return None
