"""Rows that processes exchange, when each holds a part of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn._shared.spread import SpreadRows
from fastnn.distributed.communicator import Communicator
from fastnn.distributed.messages import as_bytes, gather, gather_arrays


def spread(communicator: Communicator, own: np.ndarray, name: str) -> SpreadRows:
    """The rows of all processes, those of the first one first.

    Raises
    ------
    ValueError
        If no process has a row, or they have rows of several dtypes.
    """
    facts = gather(communicator, [len(own), own.dtype.str], f"the size of {name}")
    sizes = [n for n, _ in facts]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    own = own.astype(_common_dtype(facts, name), copy=False)

    def everywhere(rows: SpreadRows, wanted: np.ndarray) -> np.ndarray:
        return fetch(communicator, rows, [wanted] * communicator.size, f"some rows of {name}")

    return SpreadRows(own, starts, everywhere)


def joined(communicator: Communicator, own: np.ndarray, name: str) -> np.ndarray:
    """The rows of all processes as one array in each of them.

    Raises
    ------
    ValueError
        If no process has a row, or the arrays have several dtypes or shapes of a row.
    """
    facts = gather(communicator, [len(own), own.dtype.str, own.shape[1:]], f"the size of {name}")
    dtype = _common_dtype([fact[:2] for fact in facts], name)
    shapes = {tuple(shape) for n, _, shape in facts if n}
    if len(shapes) > 1:
        raise ValueError(f"the processes have {name} with rows of several shapes: {shapes}")
    own = own.astype(dtype, copy=False).reshape(len(own), *shapes.pop())
    return np.concatenate(gather_arrays(communicator, own, name))


def _common_dtype(facts: Sequence[Sequence[object]], name: str) -> np.dtype:
    """The dtype of all processes that have rows."""
    dtypes = {str(dtype): rank for rank, (n, dtype) in enumerate(facts) if n}
    if not dtypes:
        raise ValueError(f"{name} has no row in any process")
    if len(dtypes) > 1:
        listed = ", ".join(f"{np.dtype(text)} on rank {rank}" for text, rank in dtypes.items())
        raise ValueError(f"{name} must have one dtype on all ranks, got {listed}")
    return np.dtype(next(iter(dtypes)))


def fetch(
    communicator: Communicator, rows: SpreadRows, wanted: Sequence[np.ndarray], act: str
) -> np.ndarray:
    """The rows that this process wants; all processes know what each of them wants.

    Parameters
    ----------
    rows : SpreadRows
    wanted : sequence of array of int64
        Which of `rows`, for each process.
    """
    rank, starts = communicator.rank, rows.starts
    outgoing = []
    for wants in wanted:
        numbers = rows.numbers(wants)
        mine = numbers[(numbers >= starts[rank]) & (numbers < starts[rank + 1])]
        outgoing.append(np.ascontiguousarray(rows.own[mine - starts[rank]]))
    owners = np.searchsorted(starts, rows.numbers(wanted[rank]), "right") - 1
    counts = np.bincount(owners, minlength=communicator.size)
    incoming = [np.empty((n, rows.shape[1]), rows.dtype) for n in counts]
    communicator.exchange(list(map(as_bytes, outgoing)), list(map(as_bytes, incoming)), act)
    result = np.empty((len(owners), rows.shape[1]), rows.dtype)
    for owner, part in enumerate(incoming):
        result[owners == owner] = part
    return result
