"""Training a network in several processes at once."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._shared.arrays import as_real
from fastnn._shared.numbers import check_flag, check_integer
from fastnn._shared.spread import SpreadRows
from fastnn._version import __version__
from fastnn.network._checkpoint import CheckpointFile, digest_of_data, with_checkpoint
from fastnn.network._core import Core
from fastnn.network._feed import prepare_inputs
from fastnn.network._named import called, split
from fastnn.network._save import Saved
from fastnn.network._weights import norm_weights
from fastnn.optimizers import Optimizer
from fastnn.solvers import Solver
from fastnn.training.callbacks import History
from fastnn.training.checkpoints import Checkpoint
from fastnn.training.data import Data
from fastnn.training.session import Plan
from fastnn.training.state import TrainingError

if TYPE_CHECKING:
    from fastnn.distributed.communicator import Communicator
    from fastnn.network._fit import Extras

DEFAULT_SHARDS = 8


class Given(NamedTuple):
    """What a user passed to `fit` as data."""

    X: Any
    y: Any
    sample_weight: Any


@dataclass(frozen=True)
class Sharing:
    """How processes share one training.

    Attributes
    ----------
    communicator : Communicator
    shards : int or None
    partitioned : bool
        Whether each process passes a part of the rows.
    """

    communicator: Communicator
    shards: int | None
    partitioned: bool

    @classmethod
    def of(cls, communicator: Any, shards: object, partitioned: object) -> Sharing | None:
        """The arguments of `fit`, checked; None without a communicator.

        Raises
        ------
        TypeError, ValueError
            If they do not fit together.
        """
        partitioned = check_flag(partitioned, "partitioned")
        if communicator is None:
            if partitioned or shards != DEFAULT_SHARDS:
                raise ValueError(
                    "shards and partitioned need a communicator: pass "
                    "communicator=fastnn.distributed.world(), or single() for one process"
                )
            return None
        if not all(hasattr(communicator, name) for name in ("rank", "size", "exchange", "fail")):
            raise TypeError(
                "communicator must be one, such as fastnn.distributed.world(), got "
                f"{type(communicator).__name__}"
            )
        if shards is not None:
            shards = check_integer(shards, "shards", 1)
            if shards < communicator.size:
                raise ValueError(
                    f"shards must be at least the number of processes, {communicator.size}, "
                    f"got {shards}"
                )
        return cls(communicator, shards, partitioned)


def fit_together(
    core: Core, given: Given, plan: Plan, extras: Extras, network: Saved, sharing: Sharing
) -> History:
    """Train with other processes, which make the same call; see `Network.fit`."""
    from fastnn.distributed.faults import agreed, telling

    communicator = sharing.communicator
    with telling(communicator):
        _compare(core, plan, sharing)
        data = _data(core, given, extras, plan, sharing)
        data, validation = agreed(
            communicator, "preparing the data", lambda: _prepared(core, data, plan, extras, sharing)
        )
        if sharing.partitioned:
            validation = _at_first(validation, communicator)
        return _train(core, data, plan, validation, network, sharing, extras.checkpoint)


def train_together(
    core: Core,
    data: Data,
    plan: Plan,
    validation: Data | None,
    network: Saved,
    sharing: Sharing,
    file: CheckpointFile | None,
) -> History:
    """`Core.fit` with other processes, which have the same data."""
    from fastnn.distributed.faults import compare, telling

    with telling(sharing.communicator):
        _compare(core, plan, sharing)
        compare(sharing.communicator, {"data": digest_of_data(data)})
        return _train(core, data, plan, validation, network, sharing, file)


def _compare(core: Core, plan: Plan, sharing: Sharing) -> None:
    """Raise unless all processes make the same call, with an optimizer that takes steps."""
    from fastnn.distributed.faults import compare

    if isinstance(core.compiled(), Solver):
        raise ValueError("communicator needs an optimizer that takes steps, no solver")
    compare(sharing.communicator, _facts(core, plan, sharing))


def _train(
    core: Core,
    data: Data,
    plan: Plan,
    validation: Data | None,
    network: Saved,
    sharing: Sharing,
    file: CheckpointFile | None,
) -> History:
    """The training of data that are ready."""
    from fastnn.distributed.faults import is_shared
    from fastnn.distributed.state import SharedState
    from fastnn.distributed.steps import SharedSteps

    communicator = sharing.communicator
    shared = SharedState(communicator, [core.storage, *core.slots.values()], core.state)
    steps = SharedSteps(
        communicator, core.engine, sharing.shards,
        norm_weights(core.heads, data, plan.weights_mean), shared.synchronize,
    )  # fmt: skip
    plan = replace(plan, steps=steps)
    if file is not None:
        plan = _with_checkpoint(plan, file, communicator, network, data, validation)
    if communicator.rank:
        plan = replace(plan, early_stopping=None, callbacks=None, verbose=0)
        validation = None
    try:
        core.fit(data, plan, validation, network)
    except TrainingError as error:
        if is_shared(error):  # process 0 may have restored its best epoch
            shared.finish()
        raise
    shared.finish()
    return core.state.history.copy()


def _facts(core: Core, plan: Plan, sharing: Sharing) -> dict[str, object]:
    """What must be equal in all processes, as JSON-able data."""
    optimizer = core.compiled()
    assert isinstance(optimizer, Optimizer)
    described = [str(core.program), core.dtype.name, core.seed, optimizer.kind, optimizer.hyper]
    return {
        "version of fastnn": __version__,
        "backend": core.backend,
        "network (layers, losses, optimizer, dtype, seed)": _crc(described),
        "epochs": None if plan.epochs is None else int(plan.epochs),
        "batch_size": None if plan.batch_size is None else int(plan.batch_size),
        "shuffle": plan.shuffle,
        "weights_mean": plan.weights_mean,
        "shards": sharing.shards,
        "partitioned": sharing.partitioned,
    }


def _crc(described: object) -> str:
    return f"{zlib.crc32(repr(described).encode()):08x}"


def _data(core: Core, given: Given, extras: Extras, plan: Plan, sharing: Sharing) -> Data:
    """The data of all processes, checked; inputs stay where they are."""
    from fastnn.distributed.faults import agreed, compare

    communicator, feed, rule = sharing.communicator, core.feed, plan.weights_mean
    if sharing.partitioned:
        given = _joined(core, given, extras.check_finite, communicator)

    def checked() -> Data:
        return feed.data(given.X, given.y, given.sample_weight, extras.check_finite, rule=rule)

    data = agreed(communicator, "checking the data", checked)
    compare(communicator, {"data": digest_of_data(data)})
    return data


def _joined(core: Core, given: Given, check: bool, communicator: Communicator) -> Given:
    """Inputs spread over the processes; targets and weights of all rows in each of them."""
    from fastnn.distributed.faults import agreed, compare
    from fastnn.distributed.rows import joined, spread

    own = agreed(communicator, "checking its rows", lambda: _own_rows(core, given, check))
    inputs = {
        buffer.name: spread(communicator, rows, f"input {buffer.name!r}")
        for buffer, rows in zip(core.feed.inputs, own.X, strict=True)
    }
    names = [head.name for head in core.heads]
    y = {
        name: joined(communicator, rows, called("y", name, names))
        for name, rows in zip(names, own.y, strict=True)
    }
    weights = own.sample_weight
    compare(communicator, {"sample_weight": [name for name in weights]})
    joint = {name: joined(communicator, rows, "sample_weight") for name, rows in weights.items()}
    if not joint:
        return Given(inputs, y, None)
    return Given(inputs, y, joint.get("", joint))


def _own_rows(core: Core, given: Given, check: bool) -> Given:
    """The rows of this process as lists of arrays, and weights by output, or for all as ""."""
    buffers, names = core.feed.inputs, [head.name for head in core.heads]
    X = split(given.X, [buffer.name for buffer in buffers], "X")
    parts = [as_real(part, "X") for part in X]
    if all(len(part) == 0 for part in parts):
        inputs = [
            part.reshape(0, buffer.width) for part, buffer in zip(parts, buffers, strict=True)
        ]
    else:
        sparse = [False] * len(buffers)
        inputs = [np.asarray(rows) for rows in prepare_inputs(given.X, buffers, sparse)]
        if check:
            core.feed.check(inputs)
    y = [as_real(part, called("y", name, names))
         for name, part in zip(names, split(given.y, names, "y"), strict=True)]  # fmt: skip
    weights = _own_weights(given.sample_weight, names)
    for name, part in [*zip(names, y, strict=True), *weights.items()]:
        if len(part) != len(inputs[0]):
            raise ValueError(
                f"X, y and sample_weight of one process must have the same number of rows, got "
                f"{len(inputs[0])} of X and {len(part)} of {name or 'sample_weight'}"
            )
    return Given(inputs, y, weights)


def _own_weights(weights: Any, names: list[str]) -> dict[str, np.ndarray]:
    """Sample weights by output; "" for those of all outputs."""
    if weights is None:
        return {}
    if isinstance(weights, (list, tuple)) and len(names) > 1 and len(weights) == len(names):
        weights = dict(zip(names, weights, strict=True))
    if not isinstance(weights, Mapping):
        return {"": as_real(weights, "sample_weight")}
    return {name: as_real(part, "sample_weight") for name, part in weights.items()
            if part is not None}  # fmt: skip


def _prepared(
    core: Core, data: Data, plan: Plan, extras: Extras, sharing: Sharing
) -> tuple[Data, Data | None]:
    """The data to train on, and those to validate on: given ones are those of process 0."""
    validation = extras.validation(core.feed) if sharing.communicator.rank == 0 else None
    data, held_out = extras.prepared(core, data, plan)
    return data, validation if held_out is None else held_out


def _at_first(data: Data | None, communicator: Communicator) -> Data | None:
    """Data whose rows are all in process 0."""
    from fastnn.distributed.rows import fetch

    if data is None:
        return None
    rows = np.arange(len(data))
    wanted = [rows, *[rows[:0]] * (communicator.size - 1)]
    inputs = [
        fetch(communicator, x, wanted, "the rows to validate on")
        if isinstance(x, SpreadRows) else x
        for x in data.inputs
    ]  # fmt: skip
    return Data(inputs, data.targets)


def _with_checkpoint(
    plan: Plan,
    file: CheckpointFile,
    communicator: Communicator,
    network: Saved,
    data: Data,
    validation: Data | None,
) -> Plan:
    """`with_checkpoint` in process 0, which alone reads and writes; the others follow it."""
    from fastnn.distributed.faults import agreed
    from fastnn.distributed.messages import share

    digest = digest_of_data(data)

    def read() -> Plan:
        if communicator.rank:
            return plan
        return with_checkpoint(network, plan, file, data, validation, digest)

    begun = agreed(communicator, "reading the checkpoint", read).checkpoint
    facts = None if begun is None else [begun.epochs, begun.finished]
    epochs, finished = share(communicator, facts, "the progress of the checkpoint")
    if begun is None:
        begun = Checkpoint(lambda described, values: None, file.every, epochs, finished)
    return replace(plan, checkpoint=begun)
