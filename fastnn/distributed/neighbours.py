"""Processes of the same machine, whose end is seen without a message from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Place = Sequence[Any]
"""The machine, the number and the start time of a process, as JSON has them; empty if unknown."""


def place_of(pid: int) -> Place:
    """Where a process runs and since when; empty on systems without ``/proc``.

    A number of a process may be given again: the start time makes the place unique.  Containers
    on one machine number their processes on their own.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        numbering = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return []
    started = _start_time(pid)
    return [] if started is None else [f"{boot} {numbering}", pid, started]


def _start_time(pid: int) -> str | None:
    """When a process started, in ticks since the boot; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


class Neighbours:
    """The other processes of a job that run on this machine.

    Parameters
    ----------
    places : sequence of Place
        What `place_of` returned in each process.
    rank : int
        Number of this process in the job.
    """

    def __init__(self, places: Sequence[Place], rank: int) -> None:
        self._started = {
            other: (place[1], place[2])
            for other, place in enumerate(places)
            if other != rank and place and place[:1] == places[rank][:1]
        }

    def ended(self) -> list[int]:
        """Numbers in the job of those that have ended, in any way."""
        return [rank for rank, (pid, time) in self._started.items() if _start_time(pid) != time]
