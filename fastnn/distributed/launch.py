"""The processes that were started together, and the rows of each."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastnn import backend
from fastnn._shared.numbers import check_integer, check_number
from fastnn.distributed.communicator import Communicator, single

if TYPE_CHECKING:
    from fastnn.distributed.mpi import MPICommunicator

_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where MPICH and Intel MPI, Open MPI, and MVAPICH tell a process how many there are."""

_LOCAL_SIZES = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE")

_SHELL = 'trap : USR1; "$@"; exit $?'
"""Runs a program.  MPICH sends SIGUSR1 to all when one has been killed: the shell must go on."""

_world: MPICommunicator | None = None


def world(time_limit: float = 300.0) -> Communicator:
    """All processes that ``mpiexec`` started with this one; `single` where it started none.

    Each process then uses its share of the processors of its machine, unless the environment
    variable ``OMP_NUM_THREADS`` sets the number of threads.  An error that ends one process ends
    all of them.

    Parameters
    ----------
    time_limit : float, default 300
        Seconds that a process waits for another one before it raises `RankError`.  It must be
        longer than what process 0 does alone: validation and callbacks.

    Raises
    ------
    ImportError
        If there are several processes, and mpi4py is not installed.
    RuntimeError
        If mpi4py belongs to another MPI than ``mpiexec``, whose processes it does not see.
    """
    global _world
    time_limit = check_number(time_limit, "time_limit", above=0.0)
    if _world is not None:
        _world.time_limit = time_limit
        return _world
    started = _number_from(_SIZES)
    if started == 1:
        return single()
    if importlib.util.find_spec("mpi4py") is None:
        raise ImportError(
            f"mpiexec started {started} processes, which exchange their gradients through mpi4py: "
            'install it with pip install "fastnn[mpi]"'
        )
    from fastnn.distributed.mpi import MPICommunicator

    _world = MPICommunicator(time_limit)
    if _world.size != started:
        raise RuntimeError(
            f"mpiexec started {started} processes, and mpi4py sees {_world.size}: they belong to "
            "different MPI libraries; start the program with the mpiexec of the same environment"
        )
    if "OMP_NUM_THREADS" not in os.environ:
        backend.set_num_threads(max(1, _processors() // _number_from(_LOCAL_SIZES)))
    return _world


def is_started() -> bool:
    """Whether ``mpiexec`` has started this process."""
    return any(os.environ.get(name) for name in _SIZES)


def start(n: int, words: Sequence[str]) -> int:
    """Start n processes of this Python by ``mpiexec``; the exit code of the job.

    Parameters
    ----------
    n : int
    words : sequence of str
        What follows ``python``.

    Raises
    ------
    ValueError, FileNotFoundError
        If n is below 1, or there is no ``mpiexec``.
    """
    n = check_integer(n, "processes", 1)
    folders = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ.get('PATH', '')}"
    mpiexec = shutil.which("mpiexec", path=folders)
    if mpiexec is None:
        raise FileNotFoundError(
            "mpiexec, which starts several processes, is not installed: "
            'pip install "fastnn[mpi]" brings one for this machine'
        )
    return subprocess.run(command_of(mpiexec, n, [sys.executable, *words])).returncode


def command_of(mpiexec: str, n: int, program: Sequence[str]) -> list[str]:
    """The command that starts n processes of a program, which outlive one that is killed.

    The others can then name it.  The ``mpiexec`` of MPICH needs an option for this, and ends all
    as soon as a signal ends a process that it has started itself: that is a shell here.
    """
    version = subprocess.run([mpiexec, "--version"], capture_output=True, text=True).stdout
    if "HYDRA" not in version:
        return [mpiexec, "-n", str(n), *program]
    return [mpiexec, "-disable-auto-cleanup", "-n", str(n), "sh", "-c", _SHELL, "sh", *program]


def _number_from(variables: tuple[str, ...]) -> int:
    """The number in the first of these environment variables that is set; 1 without any."""
    texts = [os.environ[name] for name in variables if os.environ.get(name, "").isdigit()]
    return int(texts[0]) if texts else 1


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def partition(n_rows: int, communicator: Communicator | None = None) -> slice:
    """The rows of this process, when all rows are cut into parts of equal size.

    Parameters
    ----------
    n_rows : int
        Number of all rows.
    communicator : Communicator, optional
        By default `world`.

    Returns
    -------
    slice
        Empty where there are more processes than rows.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.distributed.partition(1000, fnn.distributed.single())
    slice(0, 1000, None)
    """
    n_rows = check_integer(n_rows, "n_rows", 0)
    communicator = world() if communicator is None else communicator
    rank, size = communicator.rank, communicator.size
    return slice(n_rows * rank // size, n_rows * (rank + 1) // size)
