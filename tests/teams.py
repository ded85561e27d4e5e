"""Teams of threads of a given size, on any machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastnn import backend as backends

TASKS = Path("/proc/self/task")
"""A folder for each thread of this process, on Linux."""


def n_tasks() -> int:
    """Number of threads of this process, whoever started them; 0 where it is not known."""
    return len(list(TASKS.iterdir())) if TASKS.exists() else 0


@contextlib.contextmanager
def team(n: int) -> Iterator[None]:
    """Teams of n threads where there is work for them, however many processors there are."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before = backends.get_num_threads()
    with threadpoolctl.threadpool_limits(n, user_api="openmp"):
        backends.set_num_threads(n)
        try:
            yield
        finally:
            backends.set_num_threads(before)
