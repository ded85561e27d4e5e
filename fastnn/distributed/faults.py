"""Errors of one process that all processes must know of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from fastnn.distributed.communicator import Communicator, RankError
from fastnn.distributed.messages import gather

_T = TypeVar("_T")

_MARK = "_fastnn_is_shared"
"""Attribute of an exception that every process raises at the same place."""


def as_shared(error: BaseException) -> BaseException:
    """Mark an error that every process raises: no process has to be told of it."""
    setattr(error, _MARK, True)
    return error


def is_shared(error: BaseException | None) -> bool:
    """Whether every process raises this error, or the one that caused it."""
    while error is not None:
        if getattr(error, _MARK, False):
            return True
        error = error.__cause__
    return False


@contextmanager
def telling(communicator: Communicator) -> Iterator[None]:
    """A block in which an error that not every process raises ends them all."""
    try:
        yield
    except BaseException as error:
        if not is_shared(error):
            communicator.fail(error)
        raise


def raise_first(reports: Sequence[str | None], own: BaseException | None, act: str) -> None:
    """Raise the own error, or else RankError for the first process that reports one.

    Parameters
    ----------
    reports : sequence of str or None
        For each process its error as text.
    own : exception or None
        The error of this process.
    act : str
        What the processes were doing.
    """
    if own is not None:
        raise as_shared(own)
    for rank, report in enumerate(reports):
        if report is not None:
            raise as_shared(RankError(f"rank {rank}, {act}, raised {report}", rank))


def as_text(error: BaseException | None) -> str | None:
    """An error as one line of text."""
    return None if error is None else f"{type(error).__name__}: {error}"


def agreed(communicator: Communicator, act: str, function: Callable[[], _T]) -> _T:
    """What a function returns, if it does so in every process; else all processes raise."""
    own: Exception | None = None
    result: Any = None
    try:
        result = function()
    except Exception as error:  # whatever it is, all processes end with it
        own = error
    raise_first(gather(communicator, as_text(own), f"the outcome of {act}"), own, act)
    return result


def compare(communicator: Communicator, facts: Mapping[str, object]) -> None:
    """Raise unless all processes have the same facts.

    Parameters
    ----------
    communicator : Communicator
    facts : mapping of str to JSON-able data
        By what errors call them.

    Raises
    ------
    ValueError
        In all processes, if they differ.
    """
    everyone: list[dict[str, Any]] = gather(communicator, dict(facts), "the start of a training")
    first = everyone[0]
    for rank, others in enumerate(everyone):
        for name in first | others:
            one, other = first.get(name), others.get(name)
            if one != other:
                raise as_shared(
                    ValueError(
                        f"all ranks must have the same {name}, got {one} on rank 0 "
                        f"and {other} on rank {rank}"
                    )
                )
