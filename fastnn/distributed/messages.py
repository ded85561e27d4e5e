"""Plain data and arrays of any size between processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.distributed.communicator import Communicator


def as_bytes(array: np.ndarray) -> np.ndarray:
    """The bytes of a C-contiguous array: a view."""
    return array.reshape(-1).view(np.uint8)


def _encoded(value: object) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _decoded(data: np.ndarray) -> Any:
    return json.loads(data.tobytes())


def gather(communicator: Communicator, value: object, act: str) -> list[Any]:
    """What every process passed, in the order of their numbers: JSON-able data."""
    own = _encoded(value)
    size = communicator.size
    length = as_bytes(np.array([len(own)], np.int64))
    lengths = np.zeros((size, 8), np.uint8)
    communicator.exchange([length] * size, list(lengths), f"the length of {act}")
    parts = [np.empty(n, np.uint8) for n in lengths.reshape(-1).view(np.int64)]
    communicator.exchange([own] * size, parts, act)
    return [_decoded(part) for part in parts]


def share(communicator: Communicator, value: object, act: str) -> Any:
    """What process 0 passed: JSON-able data."""
    data = _encoded(value if communicator.rank == 0 else None)
    length = np.array([len(data)], np.int64)
    communicator.broadcast(length, 0, f"the length of {act}")
    if communicator.rank:
        data = np.empty(length[0], np.uint8)
    communicator.broadcast(data, 0, act)
    return _decoded(data)


def gather_arrays(communicator: Communicator, array: np.ndarray, act: str) -> list[np.ndarray]:
    """The arrays of all processes, of one dtype and of equal rows but of any number of rows."""
    rows: Sequence[int] = gather(communicator, len(array), f"the number of rows of {act}")
    parts = [np.empty((n, *array.shape[1:]), array.dtype) for n in rows]
    own = as_bytes(np.ascontiguousarray(array))
    communicator.exchange([own] * communicator.size, [as_bytes(part) for part in parts], act)
    return parts
