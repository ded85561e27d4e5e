"""The lock of a reference engine."""

from __future__ import annotations

import threading


class Guard:
    """``threading.RLock``, and what frees it in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> Guard:
        self._lock.acquire()
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def begin_child(self) -> None:
        """To be called by the thread that was forked, the only one in the child.

        What it holds it keeps; what another thread held would stay locked for ever.
        """
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = threading.RLock()
