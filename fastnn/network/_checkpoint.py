"""The file of a training under way: a network's file with the state of the training."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn import serialization
from fastnn._shared.fields import entry
from fastnn._shared.numbers import check_integer
from fastnn._shared.sparse import Rows, SparseRows
from fastnn._shared.spread import SpreadRows
from fastnn._shared.writing import check_destination, is_file_object
from fastnn.network._core import Core
from fastnn.network._save import CHECKPOINT, DEFECTS, SLOT, Saved, arrays, save_with, structure
from fastnn.network._state import training_state
from fastnn.serialization import FormatError
from fastnn.solvers import Solver
from fastnn.training.callbacks import Callback, EarlyStopping
from fastnn.training.checkpoints import Checkpoint, Every, Frozen, check_every, options
from fastnn.training.data import Samples, Selection
from fastnn.training.plateau import ReduceOnPlateau
from fastnn.training.session import Plan
from fastnn.training.state import TrainingState
from fastnn.training.stream import Stream

__all__ = ["CheckpointFile", "check_checkpoint", "digest_of_data", "with_checkpoint"]

TrainingRows = Samples | Stream
"""The rows of a training, in memory or from a source."""

_ROWS = 1000  # rows of each array that identify the data
_WHAT = "a checkpoint"

_LABELS = {
    "network": "the network (layers, losses, optimizer, dtype or seed)",
    "data": "the training data or their weights",
    "validation": "the validation data",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "shuffle": "shuffle",
    "weights_mean": "weights_mean",
    "callbacks": "the callbacks or early_stopping",
    "shards": "shards",
}


@dataclass(frozen=True)
class CheckpointFile:
    """What `fit` takes as `checkpoint` and `checkpoint_every`, checked."""

    path: str
    every: Every

    @classmethod
    def of(cls, path: object, every: object) -> CheckpointFile | None:
        """None for no path.

        Raises
        ------
        TypeError, ValueError, OSError
            If there can be no such file.
        """
        every = check_every(every)
        if path is None:
            return None
        if is_file_object(path) or not isinstance(path, str | bytes | os.PathLike):
            raise TypeError(f"checkpoint must be a path, got {type(path).__name__}")
        text = os.fsdecode(path)
        check_destination(text)
        if os.path.exists(text) and not os.path.isfile(text):
            raise ValueError(f"checkpoint must be a regular file, and {text} is none")
        return cls(text, every)

    @classmethod
    def of_members(
        cls, path: object, every: object, numbers: Sequence[int]
    ) -> list[CheckpointFile | None]:
        """The files of networks that are trained side by side: ``"run.0.fastnn"`` and so on.

        Raises
        ------
        TypeError, ValueError, OSError
            As in `of`.
        """
        shared = cls.of(path, every)
        if shared is None:
            return [None] * len(numbers)
        stem, ending = os.path.splitext(shared.path)
        return [cls.of(f"{stem}.{i}{ending}", every) for i in numbers]


def with_checkpoint(
    network: Saved,
    plan: Plan,
    file: CheckpointFile | None,
    data: TrainingRows,
    validation: TrainingRows | None,
    digest: str | None = None,
) -> Plan:
    """A plan that writes a file, and starts where an existing file ends.

    Parameters
    ----------
    network : Network
        Receives the parameters and the state of the training that the file has.
    plan : Plan
    file : CheckpointFile or None
        With None, the plan does not change.
    data, validation : Data, Selection or Stream
        As the training takes them.
    digest : str, optional
        The digest of the data, if it has been computed.

    Raises
    ------
    ValueError
        If the file belongs to another training, or the optimizer is a solver.
    FormatError
        If the file is damaged.
    """
    if file is None:
        return plan
    core = network.core
    identity = _identity(network, plan, digest or digest_of_data(data), validation)
    start, begun = _start(core), _read(core, file.path, identity)
    if begun is not None:
        start = begun.start  # later files of this training have the same start

    def write(described: Mapping[str, object], values: Mapping[str, np.ndarray]) -> None:
        more = {**described, "identity": identity, "start": start}
        save_with(network, file.path, more, values)

    checkpoint = Checkpoint(write, file.every)
    if begun is not None:
        begun.resume(core, checkpoint)
    return replace(plan, checkpoint=checkpoint)


def check_checkpoint(
    network: Saved,
    plan: Plan,
    file: CheckpointFile,
    data: TrainingRows,
    validation: TrainingRows | None,
) -> None:
    """Raise what `with_checkpoint` would raise, and change nothing."""
    _read(network.core, file.path, _identity(network, plan, digest_of_data(data), validation))


class _OtherTraining(ValueError):
    """A file belongs to another training."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"checkpoint {path} belongs to another training: {reason}. "
            "Repeat the call that wrote it, name another file, or remove this one"
        )


def _check_identity(path: str, begun: Mapping[str, Any], identity: Mapping[str, object]) -> None:
    stored = entry(begun, "identity", dict, _WHAT)
    changed = [
        label for key, label in _LABELS.items() if not _are_same(stored.get(key), identity[key])
    ]
    if changed:
        raise _OtherTraining(path, f"different are {', '.join(changed)}")


@dataclass(frozen=True)
class _Begun:
    """A training that a file holds, checked."""

    start: dict[str, Any]
    state: TrainingState
    values: Mapping[str, np.ndarray]
    epochs: int
    finished: bool
    callbacks: Frozen

    def resume(self, core: Core, checkpoint: Checkpoint) -> None:
        """Set a core and its checkpoint to what the file holds."""
        checkpoint.epochs, checkpoint.finished = self.epochs, self.finished
        checkpoint.callbacks = self.callbacks
        for name, view in core.views.items():
            view[...] = self.values[name]
        for slot, storage in core.slots.items():
            for parameter in core.program.parameters:
                parameter.view(storage)[...] = self.values[f"{SLOT}{slot}.{parameter.name}"]
        core.state.replace(self.state)


def _read(core: Core, path: str, identity: Mapping[str, object]) -> _Begun | None:
    """The training that a file holds, None where there is no file.

    Raises
    ------
    ValueError
        If it is another training than that of the core, or the optimizer is a solver.
    FormatError
        If the file is damaged.
    """
    optimizer = core.compiled()
    if isinstance(optimizer, Solver):
        raise ValueError(
            f"checkpoint does not go with {optimizer.name}: the solver runs inside SciPy, which "
            "does not give out its state (the curvature, the length of the step)"
        )
    if not os.path.exists(path):
        return None
    described, values = serialization.load(path)
    try:
        _check_identity(path, entry(described, "checkpoint", dict, _WHAT), identity)
        begun = _begun(described, values)
        _check_start(core, path, begun)
        for name, array in arrays(core).items():
            if name not in values or values[name].shape != array.shape:
                raise ValueError(f"the array {name!r} is missing or has another shape")
    except _OtherTraining:
        raise
    except DEFECTS as error:
        raise FormatError(f"{path} is no checkpoint of a training: {error}") from error
    return begun


def _begun(described: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> _Begun:
    """The training that the contents of a file describe."""
    stored = entry(described, "checkpoint", dict, _WHAT)
    of_callbacks = {
        name.removeprefix(CHECKPOINT): value
        for name, value in values.items()
        if name.startswith(CHECKPOINT)
    }
    return _Begun(
        start=dict(entry(stored, "start", dict, _WHAT)),
        state=training_state(entry(described, "training", dict, _WHAT)),
        values=values,
        epochs=check_integer(entry(stored, "epochs", int, _WHAT), "epochs", 0),
        finished=entry(stored, "finished", bool, _WHAT),
        callbacks=Frozen(entry(stored, "callbacks", list, _WHAT), of_callbacks),
    )


def _start(core: Core) -> dict[str, Any]:
    """Where a core is: the start of a training, or the present state of one."""
    return {"epoch": core.state.epoch, "step": core.state.step, "values": _digest(core)}


def _check_start(core: Core, path: str, begun: _Begun) -> None:
    """Raise unless a core is at the start of a training, or, before its end, where its file is."""
    start, began, state = _start(core), begun.start, begun.state
    present = {"epoch": state.epoch, "step": state.step, "values": _digest_of(begun.values)}
    if start != began and (begun.finished or start != present):
        raise _OtherTraining(
            path,
            f"the network has other values or counters (epoch {start['epoch']}, step "
            f"{start['step']}) than that training had at its start (epoch {began.get('epoch')}, "
            f"step {began.get('step')}) or in the file",
        )


# ------------------------------------------------------------------- what is compared


def _identity(
    network: Saved, plan: Plan, digest: str, validation: TrainingRows | None
) -> dict[str, object]:
    """What two calls of one training have in common, as JSON-able data."""
    described = structure(network)
    for key in ("metadata", "training", "name"):
        del described[key]
    text = json.dumps(described, sort_keys=True)
    return {
        "network": f"{zlib.crc32(text.encode()):08x}",
        "data": digest,
        "validation": None if validation is None else digest_of_data(validation),
        "epochs": None if plan.epochs is None else int(plan.epochs),
        "batch_size": None if plan.batch_size is None else int(plan.batch_size),
        "shuffle": bool(plan.shuffle),
        "weights_mean": plan.weights_mean,
        "callbacks": [_described(watcher) for watcher in plan.watchers(validation is not None)],
        "shards": None if plan.steps is None else plan.steps.shards,
    }


def _described(callback: Callback) -> str:
    """The class of a callback, with the options that can be compared."""
    if isinstance(callback, EarlyStopping | ReduceOnPlateau):
        return repr(callback)
    name = type(callback).__qualname__
    shown = ", ".join(f"{key}={value}" for key, value in options(callback).items())
    return f"{name}({shown})" if shown else name


def _are_same(stored: object, described: object) -> bool:
    """Whether descriptions of callbacks agree; older files have classes without options."""
    if not isinstance(stored, list) or not isinstance(described, list):
        return stored == described
    return len(stored) == len(described) and all(
        one in (other, other.partition("(")[0])
        for one, other in zip(stored, described, strict=True)
    )


def digest_of_data(data: TrainingRows) -> str:
    """A digest of the shapes, the dtypes, and of rows spread evenly over the data."""
    if isinstance(data, Stream):
        return data.source.identity()
    n = len(data)
    rows = np.unique(np.linspace(0, n - 1, min(n, _ROWS)).astype(np.int64))
    if isinstance(data, Selection):  # the digest is that of a copy
        rows, data = data.index[rows], data.data
    columns = [*data.inputs, *(column for pair in data.targets for column in pair)]
    return _crc(part for column in columns for part in _parts_of(column, rows, n))


def _parts_of(
    column: Rows | None, rows: np.ndarray, n_rows: int
) -> list[tuple[np.ndarray | None, object]]:
    """Some rows of a column of data as arrays, and what to call them: the shape of `n_rows`."""
    if column is None:
        return [(None, None)]
    shape = n_rows, *column.shape[1:]
    if isinstance(column, SparseRows):
        part = column[rows]
        return [(part.values, shape), (part.columns, ""), (part.starts, "")]
    if isinstance(column, SpreadRows):
        return [(column.gathered(rows), shape)]
    return [(np.asarray(column)[rows], shape)]


def _digest(core: Core) -> str:
    return _digest_of(arrays(core))


def _digest_of(values: Mapping[str, np.ndarray]) -> str:
    """A digest of the parameters and the state of the optimizer."""
    names = sorted(name for name in values if not name.startswith(CHECKPOINT))
    return _crc((values[name], name) for name in names)


def _crc(parts: Iterable[tuple[np.ndarray | None, object]]) -> str:
    crc = 0
    for array, label in parts:
        crc = zlib.crc32(repr(label).encode(), crc)
        if array is not None:
            crc = zlib.crc32(array.dtype.str.encode(), crc)
            crc = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"
