"""The file of a training under way: a network's file with the state of the training."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn import serialization
from fastnn._shared.fields import entry
from fastnn._shared.numbers import check_integer
from fastnn._shared.writing import check_destination, is_file_object
from fastnn.network._core import Core
from fastnn.network._save import CHECKPOINT, DEFECTS, SLOT, Saved, arrays, save_with, structure
from fastnn.network._state import training_state
from fastnn.serialization import FormatError
from fastnn.solvers import Solver
from fastnn.training.callbacks import Callback, EarlyStopping
from fastnn.training.checkpoints import Checkpoint, Every, Frozen, check_every
from fastnn.training.data import Data
from fastnn.training.plateau import ReduceOnPlateau
from fastnn.training.session import Plan

__all__ = ["CheckpointFile", "with_checkpoint"]

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


def with_checkpoint(
    network: Saved, plan: Plan, file: CheckpointFile | None, data: Data, validation: Data | None
) -> Plan:
    """A plan that writes a file, and starts where an existing file ends.

    Parameters
    ----------
    network : Network
        Receives the parameters and the state of the training that the file has.
    plan : Plan
    file : CheckpointFile or None
        With None, the plan does not change.
    data, validation : Data
        As the training takes them.

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
    optimizer = core.compiled()
    if isinstance(optimizer, Solver):
        raise ValueError(
            f"checkpoint does not go with {optimizer.name}: the curvature that the solver has "
            "estimated cannot be stored"
        )
    identity = _identity(network, plan, data, validation)
    start = {"epoch": core.state.epoch, "step": core.state.step, "values": _digest(core)}

    def write(described: Mapping[str, object], values: Mapping[str, np.ndarray]) -> None:
        more = {**described, "identity": identity, "start": start}
        save_with(network, file.path, more, values)

    checkpoint = Checkpoint(write, file.every)
    if os.path.exists(file.path):
        described, values = serialization.load(file.path)
        try:
            begun = entry(described, "checkpoint", dict, _WHAT)
            _check_identity(file.path, begun, identity)
            # Later files of this training have the same start.
            start = _resume(core, checkpoint, file.path, described, values, start)
        except _OtherTraining:
            raise
        except DEFECTS as error:
            raise FormatError(f"{file.path} is no checkpoint of a training: {error}") from error
    return replace(plan, checkpoint=checkpoint)


class _OtherTraining(ValueError):
    """A file belongs to another training."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"checkpoint {path} belongs to another training: {reason}. "
            "Repeat the call that wrote it, name another file, or remove this one"
        )


def _check_identity(path: str, begun: Mapping[str, Any], identity: Mapping[str, object]) -> None:
    stored = entry(begun, "identity", dict, _WHAT)
    changed = [label for key, label in _LABELS.items() if stored.get(key) != identity[key]]
    if changed:
        raise _OtherTraining(path, f"different are {', '.join(changed)}")


def _resume(
    core: Core,
    checkpoint: Checkpoint,
    path: str,
    described: Mapping[str, Any],
    values: Mapping[str, np.ndarray],
    start: dict[str, Any],
) -> dict[str, Any]:
    """Set a core and its checkpoint to what a file holds; the start of the training."""
    begun = described["checkpoint"]
    began = dict(entry(begun, "start", dict, _WHAT))
    finished = entry(begun, "finished", bool, _WHAT)
    state = training_state(entry(described, "training", dict, _WHAT))
    present = {"epoch": state.epoch, "step": state.step, "values": _digest_of(values)}
    if start != began and (finished or start != present):
        raise _OtherTraining(
            path,
            f"the network has other values or counters (epoch {start['epoch']}, step "
            f"{start['step']}) than that training had at its start (epoch {began.get('epoch')}, "
            f"step {began.get('step')}) or in the file",
        )
    expected = arrays(core)
    for name, array in expected.items():
        if name not in values or values[name].shape != array.shape:
            raise ValueError(f"the array {name!r} is missing or has another shape")
    checkpoint.epochs = check_integer(entry(begun, "epochs", int, _WHAT), "epochs", 0)
    checkpoint.finished = finished
    checkpoint.callbacks = Frozen(
        entry(begun, "callbacks", list, _WHAT),
        {
            name.removeprefix(CHECKPOINT): value
            for name, value in values.items()
            if name.startswith(CHECKPOINT)
        },
    )
    for name, view in core.views.items():
        view[...] = values[name]
    for slot, storage in core.slots.items():
        for parameter in core.program.parameters:
            parameter.view(storage)[...] = values[f"{SLOT}{slot}.{parameter.name}"]
    core.state.replace(state)
    return began


# ------------------------------------------------------------------- what is compared


def _identity(network: Saved, plan: Plan, data: Data, validation: Data | None) -> dict[str, object]:
    """What two calls of one training have in common, as JSON-able data."""
    described = structure(network)
    for key in ("metadata", "training", "name"):
        del described[key]
    text = json.dumps(described, sort_keys=True)
    return {
        "network": f"{zlib.crc32(text.encode()):08x}",
        "data": _digest_of_data(data),
        "validation": None if validation is None else _digest_of_data(validation),
        "epochs": None if plan.epochs is None else int(plan.epochs),
        "batch_size": None if plan.batch_size is None else int(plan.batch_size),
        "shuffle": bool(plan.shuffle),
        "weights_mean": plan.weights_mean,
        "callbacks": [_described(watcher) for watcher in plan.watchers(validation is not None)],
    }


def _described(callback: Callback) -> str:
    """The class of a callback, with its options where these are known to last."""
    has_options = isinstance(callback, EarlyStopping | ReduceOnPlateau)
    return repr(callback) if has_options else type(callback).__qualname__


def _digest_of_data(data: Data) -> str:
    """A digest of the shapes, the dtypes, and of rows spread evenly over the data."""
    n = len(data)
    rows = np.unique(np.linspace(0, n - 1, min(n, _ROWS)).astype(np.int64))
    columns = [*data.inputs, *(column for pair in data.targets for column in pair)]
    return _crc((None, None) if c is None else (np.asarray(c)[rows], c.shape) for c in columns)


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
