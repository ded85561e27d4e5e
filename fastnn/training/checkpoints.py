"""Checkpoints: the state of a training in a file, from which it continues after its process ended.

What a file holds of a network is decided in `fastnn.network`; this module decides when a file is
written, and holds the state of the callbacks.
"""

from __future__ import annotations

import datetime
import inspect
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np

from fastnn._shared.fields import check_kind
from fastnn._shared.numbers import check_integer
from fastnn.training.callbacks import Callback

__all__ = ["Checkpoint", "Every", "Frozen", "check_every", "options"]

Every = int | datetime.timedelta
"""Epochs between two checkpoints, or a time."""

Write = Callable[[Mapping[str, object], Mapping[str, np.ndarray]], None]
"""Writes a file from a description and arrays that go with the network."""


def check_every(every: object) -> Every:
    """The argument `checkpoint_every`.

    Raises
    ------
    TypeError, ValueError
        If it is neither a positive integer nor a positive timedelta.
    """
    if isinstance(every, datetime.timedelta):
        if every <= datetime.timedelta(0):
            raise ValueError(f"checkpoint_every must be positive, got {every}")
        return every
    return check_integer(every, "checkpoint_every", 1)


@dataclass(frozen=True)
class Frozen:
    """The state of the callbacks in a file.

    Attributes
    ----------
    states : sequence of dict or None
        One for each callback, as `Callback.get_state` returned it, without its arrays.
    arrays : mapping of str to array
        The arrays of these dicts, as ``"INDEX.KEY"``.
    """

    states: Sequence[Any]
    arrays: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, watchers: Sequence[Callback]) -> Frozen:
        """The state of some callbacks."""
        states: list[dict[str, Any] | None] = []
        arrays = {}
        for i, watcher in enumerate(watchers):
            state = watcher.get_state()
            if state is None:
                states.append(None)
                continue
            check_kind(state, dict, f"the state of {type(watcher).__name__}")
            own = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
            arrays.update({f"{i}.{key}": value for key, value in own.items()})
            states.append({key: value for key, value in state.items() if key not in own})
        return cls(states, arrays)

    def apply(self, watchers: Sequence[Callback]) -> None:
        """Set the state of some callbacks.

        Raises
        ------
        ValueError
            If the number of callbacks differs, or a callback refuses its state.
        """
        if len(self.states) != len(watchers):
            raise ValueError(f"{len(self.states)} states for {len(watchers)} callbacks")
        for i, (watcher, state) in enumerate(zip(watchers, self.states, strict=True)):
            if state is None:
                continue
            check_kind(state, dict, f"the state of {type(watcher).__name__}")
            prefix = f"{i}."
            own = {
                name.removeprefix(prefix): array.copy()
                for name, array in self.arrays.items()
                if name.startswith(prefix)
            }
            watcher.set_state({**state, **own})


def options(callback: Callback) -> dict[str, str]:
    """The options of a callback that can be compared, as text.

    These are the arguments of its class that it has as attributes of the same name, where they
    are plain data or arrays: functions and other objects look the same whatever they do.
    """
    try:
        names = inspect.signature(type(callback)).parameters
    except (TypeError, ValueError):  # a class of an extension module
        return {}
    values = {name: vars(callback)[name] for name in names if name in vars(callback)}
    return {name: _text(value) for name, value in values.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, np.ndarray):
        return value.dtype != object
    return value is None or isinstance(value, (bool, int, float, str, bytes, np.generic, PurePath))


def _text(value: Any) -> str:
    """Plain data as text that is the same in every process, arrays with all their numbers."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_text(k)}: {_text(v)}' for k, v in value.items())}}}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_text, value)))}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}:{zlib.crc32(value.tobytes()):08x}"
    return repr(value.item() if isinstance(value, np.generic) else value)


@dataclass
class Checkpoint:
    """The file of a training under way.

    Attributes
    ----------
    write : callable
    every : int or timedelta
    epochs : int, default 0
        Epochs of this training that the file has already.
    finished : bool, default False
        Whether the file holds the end of this training.
    callbacks : Frozen, optional
        The state of the callbacks in the file.
    """

    write: Write
    every: Every
    epochs: int = 0
    finished: bool = False
    callbacks: Frozen | None = None
    _time: float = field(default_factory=time.monotonic)

    def resume(self, watchers: Sequence[Callback]) -> None:
        """Give the callbacks the state that the file has of them."""
        if self.callbacks is not None:
            self.callbacks.apply(watchers)

    def end_epoch(self, watchers: Sequence[Callback]) -> None:
        """Count an epoch, and write the file when it is due."""
        self.epochs += 1
        if isinstance(self.every, datetime.timedelta):
            due = time.monotonic() - self._time >= self.every.total_seconds()
        else:
            due = self.epochs % self.every == 0
        if due:
            self._write(watchers)

    def finish(self, watchers: Sequence[Callback]) -> None:
        """Write the file of the finished training."""
        self.finished = True
        self._write(watchers)

    def _write(self, watchers: Sequence[Callback]) -> None:
        state = Frozen.of(watchers)
        described = {
            "epochs": self.epochs,
            "finished": self.finished,
            "callbacks": list(state.states),
        }
        self.write(described, state.arrays)
        self._time = time.monotonic()
