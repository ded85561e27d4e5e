"""Ctrl-C during a training."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any


class Interrupts:
    """Delays Ctrl-C while parameters and counters change together.

    Within the ``with`` block, Ctrl-C is noted and raises nothing.  It takes effect, as a
    KeyboardInterrupt, in `check`, at once in `call`, and at the latest at the end of the block.

    It does so in the main thread only, and only if SIGINT has the handler of Python or that of an
    outer training, in whose callback this training runs.

    Attributes
    ----------
    defers : bool
        Whether `check` raises nothing: someone else asks `is_pending`, and raises.
    """

    def __init__(self) -> None:
        self.defers = False
        self._allowed = False
        self._pending = False
        self._previous: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            outer = isinstance(getattr(previous, "__self__", None), Interrupts)
            if outer or previous is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._receive)
                self._previous = previous
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
        self.defers = False
        self.check()

    def _receive(self, signum: int, frame: object) -> None:
        if not self._allowed:
            self._pending = True
            return
        self._allowed = False  # before the exception: its handlers are not interrupted
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was a Ctrl-C that has had no effect yet."""
        if self._pending and not self.defers:
            self._pending = False
            raise KeyboardInterrupt

    @property
    def is_pending(self) -> bool:
        """Whether there was a Ctrl-C that has had no effect yet."""
        return self._pending

    def take(self) -> None:
        """Forget a Ctrl-C: the caller raises KeyboardInterrupt."""
        self._pending = False

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Call a function that Ctrl-C ends at once; an earlier Ctrl-C waits for `check`."""
        self._allowed = True
        try:
            return function(*arguments)
        finally:
            self._allowed = False

    def hold(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Within `call`: call a function that delays Ctrl-C to its end."""
        before, self._allowed = self._allowed, False
        try:
            result = function(*arguments)
        finally:
            self._allowed = before
        self.check()
        return result
