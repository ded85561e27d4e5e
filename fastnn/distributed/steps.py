"""Optimizer steps that several processes take together.

Each process computes the gradients of its shards, one exchange adds them, and each makes the same
update.  The exchange has two parts.  In the first, process q receives slice q of the gradients of
all others, and adds them in the order of the tree; in the second, all receive the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._shared.arrays import readable
from fastnn._shared.spread import SpreadRows
from fastnn.backend.finite import NotFiniteError
from fastnn.distributed.communicator import Communicator
from fastnn.distributed.faults import as_shared, as_text, raise_first
from fastnn.distributed.messages import as_bytes, gather
from fastnn.distributed.rows import fetch
from fastnn.distributed.shards import Node, children, cover, cuts, shards_of, total
from fastnn.training.data import Target
from fastnn.training.interrupts import Interrupts

if TYPE_CHECKING:
    from fastnn.backend.protocol import Engine

_FETCHED_BYTES = 1 << 26
"""Rows of other processes are fetched for so many bytes of steps at a time, at least for one."""

_FINE, _INTERRUPTED, _FAILED = 0, 1, 2
"""How a process comes to an exchange."""

BatchesOfCall = tuple[Sequence[Any], Sequence[Target], np.ndarray | None, int]
"""Inputs, targets, the order of their rows or None, and the rows of a batch."""

NormWeights = Sequence[float | np.ndarray | None]
"""For each head, what a row weighs in its mean: all the same, each its own, or None for 1 a row."""


@dataclass
class _Report:
    """What a process says of a step beside its gradients."""

    costs: dict[Node, np.ndarray] = field(default_factory=dict)
    status: int = _FINE
    row: int = -1

    def packed(self, nodes: Sequence[Node]) -> np.ndarray:
        numbers = [[self.status, self.row], *(self.costs.get(node, (0, 0)) for node in nodes)]
        return np.array(numbers, np.float64).reshape(-1)

    @classmethod
    def unpacked(cls, numbers: np.ndarray, nodes: Sequence[Node]) -> _Report:
        (status, row), *costs = numbers.reshape(-1, 2)
        return cls(dict(zip(nodes, costs, strict=True)), int(status), int(row))


@dataclass
class _Batch:
    """The rows of one step that this process reads."""

    inputs: Sequence[Any]
    targets: Sequence[Target]
    rows: np.ndarray
    numbers: np.ndarray
    norms: np.ndarray
    l2: float
    step: int


class SharedSteps:
    """Takes the steps of a training in place of `Engine.train`, together with other processes.

    Parameters
    ----------
    communicator : Communicator
    engine : Engine
        With its optimizer; that of every process has the same program and parameters.
    n_shards : int or None
        Shards of a batch, at least as many as processes.  None: one for each process, added in
        an order of MPI's choice.
    norm_weights : sequence
        See `NormWeights`.
    synchronize : callable
        `SharedState.synchronize`.
    """

    def __init__(
        self,
        communicator: Communicator,
        engine: Engine,
        n_shards: int | None,
        norm_weights: NormWeights,
        synchronize: Callable[[bool, Interrupts], bool],
    ) -> None:
        self._communicator = communicator
        self._engine = engine
        self._is_plain = n_shards is None
        size = communicator.size
        self._n_shards = size if n_shards is None else n_shards
        self._parts = [shards_of(r, size, self._n_shards) for r in range(size)]
        self._root = (0, self._n_shards)
        self._norm_weights = norm_weights
        self._synchronize = synchronize
        self._interrupts = Interrupts()
        n = len(engine.gradients)
        bounds = [n * r // size for r in range(size + 1)]
        self._slices = [slice(a, b) for a, b in pairwise(bounds)]
        self._rooms: list[np.ndarray] = []

    @property
    def shards(self) -> int:
        """Shards of a batch, on which the bits depend; 0 where they depend on the processes too."""
        return 0 if self._is_plain else self._n_shards

    def start(self, interrupts: Interrupts) -> None:
        """Before the first epoch: from now on Ctrl-C ends all processes at the same step."""
        self._interrupts = interrupts
        interrupts.defers = True
        self._synchronize(False, interrupts)

    def end_epoch(self, stop: bool) -> bool:
        """After an epoch: whether to stop, for all processes."""
        return self._synchronize(stop, self._interrupts)

    def train(
        self,
        batches: BatchesOfCall,
        learning_rates: np.ndarray,
        first_step: int,
        losses: np.ndarray,
        mean_weights: np.ndarray | None,
        penalties: np.ndarray | None,
    ) -> int:
        """One step for each learning rate; see `Engine.train`, whose arguments these are."""
        l2 = self._engine.program.l2
        reader = _Reader(self._communicator, batches, self._engine.program.dtype, self._bounds)
        for i, rate in enumerate(learning_rates):
            inputs, targets, rows, numbers = reader.batch(i, len(learning_rates))
            batch = _Batch(
                inputs, targets, rows, numbers, self._norms(numbers, mean_weights),
                l2 if penalties is None else float(penalties[i]), first_step + i,
            )  # fmt: skip
            cost, summed = self._gradients(batch)
            try:
                self._engine.update(float(rate), first_step + i)
            except NotFiniteError as error:  # of equal numbers: in all processes
                error.loss = cost
                raise as_shared(error) from None
            losses[..., i] = (cost, summed) if losses.ndim == 2 else cost
        return len(learning_rates)

    def _bounds(self, n_rows: int) -> list[tuple[int, int]]:
        """The rows of a batch that each process reads."""
        ends = cuts(n_rows, self._n_shards)
        return [(ends[first], ends[last]) for first, last in self._parts]

    def _norms(self, numbers: np.ndarray, mean_weights: np.ndarray | None) -> np.ndarray:
        """What the means of a batch divide by, one number for each head."""
        norms = np.empty(len(self._norm_weights))
        for h, weights in enumerate(self._norm_weights):
            if weights is None:
                norms[h] = len(numbers)
            elif mean_weights is not None and not np.isnan(mean_weights[h]):
                norms[h] = len(numbers) * mean_weights[h]
            elif isinstance(weights, np.ndarray):
                norms[h] = np.cumsum(weights[numbers])[-1]  # one after the other, as the engine
            else:
                norms[h] = len(numbers) * weights
        return norms

    # ------------------------------------------------------------- gradients

    def _gradients(self, batch: _Batch) -> tuple[float, float]:
        """The cost and the part of losses that are sums; leaves the gradients in the engine."""
        n_filled = min(len(batch.numbers), self._n_shards)
        nodes = [list(cover(part, self._root, n_filled)) for part in self._parts]
        report, gradients, error = self._own(batch, nodes[self._communicator.rank], n_filled)
        sums: np.ndarray | None = None
        if self._communicator.size == 1:
            reports = [report]
        else:
            reports, sums = self._exchange(report, gradients, nodes, n_filled, batch.step)
        self._check(reports, error, f"step {batch.step}")
        costs = {node: cost for report in reports for node, cost in report.costs.items()}
        pair = total(self._root, n_filled, costs, _add)
        cost, summed = float(pair[0]), float(pair[1])
        if not np.isfinite(cost):
            raise as_shared(NotFiniteError(_place(reports), cost))
        if self._communicator.size > 1:
            self._distribute(sums, batch.step)
        self._rooms += gradients
        return cost, summed

    def _own(
        self, batch: _Batch, nodes: Sequence[Node], n_filled: int
    ) -> tuple[_Report, list[np.ndarray], Exception | None]:
        """What this process says of a step, and its gradients of the nodes that it has.

        The gradients of a single node are those in the engine, if nothing has to be copied.
        """
        report, gradients = _Report(), []
        error: Exception | None = None
        is_alone = self._communicator.size == 1 or self._is_plain
        if not nodes:
            self._engine.gradients[...] = 0
        try:
            for node in nodes:
                report.costs[node] = self._descend(batch, node, n_filled, report)
                if not is_alone:
                    gradients.append(self._copy())
        except Exception as caught:  # of a custom loss or layer: all processes end with it
            report.status, error = _FAILED, caught
        if self._interrupts.is_pending:
            report.status = report.status or _INTERRUPTED
        return report, gradients, error

    def _descend(self, batch: _Batch, node: Node, n_filled: int, report: _Report) -> np.ndarray:
        """The cost of a node; leaves its gradients in the engine."""
        if node[1] - node[0] == 1:
            return self._leaf(batch, node[0], report)
        left, right = children(node)
        cost = self._descend(batch, left, n_filled, report)
        if right[0] >= n_filled:
            return cost
        room = self._copy()
        cost = cost + self._descend(batch, right, n_filled, report)
        with np.errstate(all="ignore"):
            np.add(room, self._engine.gradients, out=self._engine.gradients)
        self._rooms.append(room)
        return cost

    def _leaf(self, batch: _Batch, shard: int, report: _Report) -> np.ndarray:
        ends = cuts(len(batch.numbers), self._n_shards)
        first, last = ends[shard], ends[shard + 1]
        costs = self._engine.shard_gradients(
            batch.inputs, batch.targets, batch.rows[first:last], first, batch.norms,
            batch.l2 if shard == 0 else 0.0, batch.step,
        )  # fmt: skip
        if report.row < 0 and not np.isfinite(costs[0]):
            parts = self._engine.sample_losses().sum(axis=0)
            bad = np.flatnonzero(~np.isfinite(parts))
            if bad.size:
                report.row = int(batch.numbers[first + bad[0]])
        return np.array(costs)

    def _copy(self) -> np.ndarray:
        """A copy of the gradients in the engine, in memory that is used again."""
        room = self._rooms.pop() if self._rooms else np.empty_like(self._engine.gradients)
        room[...] = self._engine.gradients
        return room

    # -------------------------------------------------------------- exchange

    def _exchange(
        self,
        report: _Report,
        gradients: Sequence[np.ndarray],
        nodes: Sequence[Sequence[Node]],
        n_filled: int,
        step: int,
    ) -> tuple[list[_Report], np.ndarray | None]:
        """The reports of all processes, and the sum of this process's slice of the gradients.

        The sum is None where a process has failed, or the order is MPI's choice.
        """
        rank, own = self._communicator.rank, nodes[self._communicator.rank]
        head = report.packed(own)
        blocks = [] if self._is_plain or report.status == _FAILED else gradients
        missing = 0 if self._is_plain else len(own) - len(blocks)
        itemsize = self._engine.gradients.itemsize
        outgoing, incoming = [], []
        for part in self._slices:
            length = part.stop - part.start
            pieces = [as_bytes(head), *(as_bytes(block[part]) for block in blocks)]
            pieces.append(np.zeros(missing * length * itemsize, np.uint8))
            outgoing.append(np.concatenate(pieces))
        length = self._slices[rank].stop - self._slices[rank].start
        for there in nodes:
            n_blocks = 0 if self._is_plain else len(there)
            size = 16 * (1 + len(there)) + n_blocks * length * itemsize
            incoming.append(np.empty(size, np.uint8))
        self._communicator.exchange(outgoing, incoming, f"the gradients of step {step}")
        reports: list[_Report] = []
        values: dict[Node, np.ndarray] = {}
        for data, there in zip(incoming, nodes, strict=True):
            end = 16 * (1 + len(there))
            reports.append(_Report.unpacked(data[:end].view(np.float64), there))
            slices = data[end:].view(self._engine.gradients.dtype).reshape(-1, length)
            values |= dict(zip(there, slices, strict=False))
        if self._is_plain:
            return reports, None
        with np.errstate(all="ignore"):
            return reports, total(self._root, n_filled, values, _add)

    def _distribute(self, sums: np.ndarray | None, step: int) -> None:
        """Leave the sums of all slices in the engine of every process."""
        gradients, communicator = self._engine.gradients, self._communicator
        if sums is None:
            communicator.allreduce(gradients, f"the sums of step {step}")
            return
        outgoing = [as_bytes(np.ascontiguousarray(sums))] * communicator.size
        incoming = [as_bytes(gradients[part]) for part in self._slices]
        communicator.exchange(outgoing, incoming, f"the sums of step {step}")

    def _check(self, reports: Sequence[_Report], error: Exception | None, act: str) -> None:
        """Raise in all processes what one of them has met."""
        if any(report.status == _FAILED for report in reports):
            texts = gather(self._communicator, as_text(error), f"the errors of {act}")
            raise_first(texts, error, act)
        if any(report.status == _INTERRUPTED for report in reports):
            self._interrupts.take()
            raise as_shared(KeyboardInterrupt())


def _add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


def _place(reports: Sequence[_Report]) -> str:
    """The first row whose loss is not finite, and the process that has met it."""
    for rank, report in enumerate(reports):
        if report.row >= 0:
            return f"in row {report.row}, on rank {rank}"
    return ""


class _Reader:
    """The rows of the batches of one call, those of other processes fetched some steps at a time.

    Parameters
    ----------
    communicator : Communicator
    batches : BatchesOfCall
    dtype : dtype
        Of the engine.
    bounds : callable
        From the number of rows of a batch to the rows that each process reads.
    """

    def __init__(
        self,
        communicator: Communicator,
        batches: BatchesOfCall,
        dtype: np.dtype,
        bounds: Callable[[int], list[tuple[int, int]]],
    ) -> None:
        self._communicator = communicator
        self._inputs, self._targets, order, self._size = batches
        self._order = np.arange(len(self._inputs[0])) if order is None else order
        self._dtype = dtype
        self._bounds = bounds
        row_bytes = sum(
            x.shape[1] * x.dtype.itemsize for x in self._inputs if isinstance(x, SpreadRows)
        )
        self._are_here = not row_bytes
        self._window = max(1, _FETCHED_BYTES // max(1, row_bytes * self._size))
        self._fetched: tuple[list[Any], list[Target]] = [], []
        self._place = 0

    def batch(
        self, i: int, n_steps: int
    ) -> tuple[Sequence[Any], Sequence[Target], np.ndarray, np.ndarray]:
        """Arrays, the places in them of the rows of batch i, and the numbers of these rows.

        Of rows that come from other processes, those that this process does not read have no place.
        """
        numbers = self._numbers(i)
        if self._are_here:
            return self._inputs, self._targets, numbers, numbers
        if i % self._window == 0:
            self._fetch(range(i, min(i + self._window, n_steps)))
        places = np.full(len(numbers), -1)
        first, last = self._bounds(len(numbers))[self._communicator.rank]
        places[first:last] = np.arange(self._place, self._place + last - first)
        self._place += last - first
        return *self._fetched, places, numbers

    def _numbers(self, i: int) -> np.ndarray:
        return self._order[i * self._size : (i + 1) * self._size]

    def _fetch(self, steps: range) -> None:
        """The rows of some steps; a process that reads none has one row, which no step uses."""
        wanted: list[list[np.ndarray]] = [[] for _ in range(self._communicator.size)]
        for numbers in map(self._numbers, steps):
            for rows, (first, last) in zip(wanted, self._bounds(len(numbers)), strict=True):
                rows.append(numbers[first:last])
        joined = list(map(np.concatenate, wanted))
        own, act = joined[self._communicator.rank], f"the rows of {len(steps)} steps"
        inputs = [
            readable(fetch(self._communicator, x, joined, act), self._dtype)
            if isinstance(x, SpreadRows)
            else x[own]
            for x in self._inputs
        ]
        targets = [(t[own], None if w is None else w[own]) for t, w in self._targets]
        self._fetched, self._place = (inputs, targets), 0
