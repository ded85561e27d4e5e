"""The networks of an ensemble: their common interface, and the training of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn.network import Network
from fastnn.network._checkpoint import CheckpointFile, check_checkpoint, with_checkpoint
from fastnn.network._fit import Extras
from fastnn.training.callbacks import Context, FunctionCallback, History, as_callbacks
from fastnn.training.data import Data, Samples, Selection
from fastnn.training.session import Plan


def check_alike(members: Sequence[Network]) -> None:
    """Raise ValueError unless all take the same data and predict the same quantities."""
    first = _interface(members[0])
    for i, member in enumerate(members):
        for what, value in _interface(member).items():
            if value != first[what]:
                raise ValueError(
                    f"the networks of an ensemble must have the same {what}, but member {i} has "
                    f"{value}, member 0 {first[what]}"
                )


def _interface(network: Network) -> dict[str, Any]:
    """What must be equal for all members; their layers may differ."""
    outputs = zip(network.output_names, network.graph.outputs, strict=True)
    return {
        "dtype": network.dtype,
        "inputs": {buffer.name: buffer.width for buffer in network.core.feed.inputs},
        "outputs": {name: tensor.width for name, tensor in outputs},
        "losses": {name: (loss.name, loss.activation) for name, loss in network.losses.items()},
    }


@dataclass(frozen=True)
class AllBut:
    """All rows of data but some.

    Attributes
    ----------
    rows : (N,) array of int
        Those that are left out.
    """

    rows: np.ndarray

    def of(self, n: int) -> np.ndarray:
        """The others of `n` rows, in ascending order."""
        return np.delete(np.arange(n, dtype=np.min_scalar_type(-n)), self.rows)


@dataclass(frozen=True)
class Member:
    """A network, and how it is trained.

    Attributes
    ----------
    network : Network
    data : Data
        Checked data of the ensemble.
    rows : (N,) array, AllBut or None
        The rows that the member is trained on; None for all.
    plan : Plan
        With callbacks of the member's own.
    extras : Extras
        Class weights and the split for validation.
    validation : Data or (M,) array of int, optional
        Checked validation data, or rows of `data`; where `extras` has no split for validation.
    file : CheckpointFile, optional
        Of this member's training.
    """

    network: Network
    data: Data
    rows: np.ndarray | AllBut | None
    plan: Plan
    extras: Extras
    validation: Data | np.ndarray | None
    file: CheckpointFile | None = None

    def check(self) -> None:
        """Raise what the checkpoint of the training would raise, before others are trained."""
        if self.file is not None:
            data, validation = self._parts()
            plan = self._ending_plan(lambda: False)
            check_checkpoint(self.network, plan, self.file, data, validation)

    def train(self, has_to_end: Callable[[], bool]) -> History:
        """Train until the end; an epoch for which `has_to_end` is true interrupts the training."""
        core = self.network.core
        data, validation = self._parts()
        with core.lock:
            plan = self._ending_plan(has_to_end)
            plan = with_checkpoint(self.network, plan, self.file, data, validation)
            return core.fit(data, plan, validation, self.network)

    def _parts(self) -> tuple[Samples, Samples | None]:
        """The data to train on, and to validate on."""
        data: Samples = self.data
        if self.rows is not None:
            rows = self.rows.of(len(data)) if isinstance(self.rows, AllBut) else self.rows
            data = Selection(self.data, rows)
        data, held_out = self.extras.prepared(self.network.core, data, self.plan)
        if held_out is not None:
            return data, held_out
        if isinstance(self.validation, np.ndarray):
            return data, Selection(self.data, self.validation)
        return data, self.validation

    def _ending_plan(self, has_to_end: Callable[[], bool]) -> Plan:
        """The plan with a callback that interrupts the training."""

        def end(context: Context) -> None:
            if has_to_end():  # no stop: a checkpoint would take it for the end
                raise KeyboardInterrupt

        callbacks = [*as_callbacks(self.plan.callbacks), FunctionCallback(end)]
        return replace(self.plan, callbacks=callbacks)


@dataclass(frozen=True)
class Outcome:
    """What a training has come to.

    Attributes
    ----------
    history : History
    plan : Plan
        Its callbacks and early stopping are those that have watched the training.
    error : Exception, optional
        What ended the training.
    """

    history: History
    plan: Plan
    error: Exception | None = None


def outcome_of(member: Member, has_to_end: Callable[[], bool]) -> Outcome:
    """Train a member as `Member.train` does; an error is a part of the outcome."""
    try:
        return Outcome(member.train(has_to_end), member.plan)
    except Exception as error:  # of callbacks too, which may raise anything
        return Outcome(member.network.history, member.plan, error)
