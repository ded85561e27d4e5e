"""Reports of the progress of a training: none, a bar, or lines."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO

import numpy as np


def new_bar(total: int, unit: str, otherwise: str = "") -> Any:
    """A progress bar of tqdm's on stderr, or in a notebook.

    Raises
    ------
    ImportError
        If tqdm is not installed; the message ends with `otherwise`, an alternative.
    """
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            f"verbose=1 draws its bar with tqdm: pip install tqdm{otherwise}"
        ) from error
    return tqdm(total=total, unit=unit, file=Tolerant(sys.stderr))


class Tolerant:
    """A stream to report on, whose errors do not end what is reported.

    A pipe whose reader has gone, a full disk, a closed file, or no stream at all (`sys.stderr` is
    None without a console): the report is lost, the training is not.

    Parameters
    ----------
    stream : text file, or None
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, if the stream can."""
        if self._stream is not None:
            with suppress(OSError, ValueError):  # ValueError: closed, or not in its encoding
                self._stream.write(text)

    def flush(self) -> None:
        """Flush, if the stream can."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """What else the stream has, such as its encoding."""
        return getattr(self.__dict__.get("_stream"), name)


def say(line: str) -> None:
    """Print a line of a report on stdout."""
    print(line, file=Tolerant(sys.stdout), flush=True)


class Silence:
    """No report; the base class of the reports.

    Parameters
    ----------
    last_epoch : int
        Epoch after which this training ends.
    n_batches : int
        Batches of the whole training.
    """

    def __init__(self, last_epoch: int, n_batches: int) -> None:
        self.last_epoch = last_epoch
        self.n_batches = n_batches

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *exception: object) -> None:
        """Training has ended in some way."""

    def begin(self, epoch: int) -> None:
        """An epoch begins."""

    def advance(self, n: int, losses: np.ndarray) -> None:
        """`n` more batches are done; `losses` are those of the epoch so far."""

    def end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """An epoch and its validation are done."""


class Lines(Silence):
    """One line on stdout for each epoch."""

    def end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Print the measures of the epoch."""
        head = f"epoch {epoch:>{len(str(self.last_epoch))}}/{self.last_epoch}"
        measures = [f"{name} {value:.4g}" for name, value in logs.items() if name != "seconds"]
        say("  ".join([head, *measures, f"{logs['seconds']:.2f} s"]))


class Bar(Silence):
    """A progress bar on stderr, or in a notebook, over all batches."""

    _bar: Any

    def __enter__(self) -> Bar:
        self._bar = new_bar(self.n_batches, "batch", ", or use verbose=2")
        self._measures: dict[str, str] = {}
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def begin(self, epoch: int) -> None:
        """Name the epoch beside the bar."""
        self._bar.set_description(f"epoch {epoch}/{self.last_epoch}", refresh=False)

    def advance(self, n: int, losses: np.ndarray) -> None:
        """Move the bar; show the mean loss of the epoch so far."""
        loss = float(np.mean(losses))
        if math.isfinite(loss):
            self._measures["loss"] = f"{loss:.4g}"
        self._bar.set_postfix(self._measures, refresh=False)
        self._bar.update(n)

    def end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Show the measures of the epoch until the next one begins."""
        self._measures = {
            name: f"{value:.4g}"
            for name, value in logs.items()
            if name not in ("learning_rate", "seconds")
        }
        self._bar.set_postfix(self._measures, refresh=epoch == self.last_epoch)


def new_report(verbose: int, last_epoch: int, n_batches: int) -> Silence:
    """The report of a training: none (0), a bar (1) or lines (2); see `Silence`.

    Raises
    ------
    ValueError
        If `verbose` is something else.
    """
    return (Silence, Bar, Lines)[check_verbose(verbose)](last_epoch, n_batches)


def check_verbose(verbose: int) -> int:
    """0, 1 or 2; ValueError for anything else."""
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1 or 2, got {verbose!r}")
    return int(verbose)
