"""Monte-Carlo dropout: predictions under sampled masks, and their mean and spread."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import readable
from fastnn._shared.numbers import check_integer
from fastnn.layers import CustomLayer
from fastnn.program import Operation, Program

_CALL_NUMBERS = 1 << 20
_CALL_ROWS = 1 << 12
"""A call computes at most so many rows, and about so many numbers: they bound the memory.

Which masks a row gets follows from these, so they are constants.
"""


class Prediction(NamedTuple):
    """Mean and spread of several predictions of the same rows.

    What `Network.predict` with `mc_dropout` and `Ensemble.predict` return.  Each field is an
    array, or for several outputs a list or dict of them, as `Network.predict` returns it.

    Attributes
    ----------
    mean : (N, n_out) array
        Mean over the T predictions: of sampled masks, or of the members of an ensemble.
    std : (N, n_out) array
        Their standard deviation, from the unbiased variance (divided by T - 1).
    samples : (T, N, n_out) array or None
        The predictions themselves, where they were asked for.
    """

    mean: Any
    std: Any
    samples: Any = None


Rule = Callable[[int, np.ndarray], "np.ndarray | None"]
"""What is averaged, from the position of an output and its values (rows, width)."""


class Sampler:
    """Runs a program under sampled dropout masks.

    The masks of row r and pass t depend on the seed, r, t and the number of passes, on
    nothing else: not on the other rows, the threads or the backend.  Training of the same network
    never draws them, since its keys are others.

    Parameters
    ----------
    program : Program
    storage : (storage_size,) array
        Its parameters; read, not kept up to date.
    passes : int
        Samples of each row, at least 2.
    seed : int
        Of the masks.

    Raises
    ------
    TypeError, ValueError
        If the program has no dropout, or a number does not fit.
    """

    def __init__(self, program: Program, storage: np.ndarray, passes: int, seed: int) -> None:
        self.passes = check_integer(passes, "mc_dropout", 2)
        masked = with_sampled_masks(program, check_integer(seed, "seed", 0))
        self._program = masked
        self._fixed, self._random = split_at_dropout(masked)
        self._fixed_engine = backend.new_engine(self._fixed, storage)
        self._random_engine = backend.new_engine(self._random, storage)
        width = sum(buffer.width for buffer in program.buffers)
        call_rows = min(max(_CALL_NUMBERS // width, 1), _CALL_ROWS)
        self._rows = max(call_rows // self.passes, 1)
        self._group = min(call_rows, self.passes)

    def run(
        self, arrays: Sequence[np.ndarray], rule: Rule, keep: bool, check: bool
    ) -> list[Prediction | None]:
        """Mean and spread for each output; None where the rule gives nothing to average.

        Parameters
        ----------
        arrays : sequence of (N, width) array
        rule : Rule
        keep : bool
            Whether to return the samples as well.
        check : bool
            Raise ValueError where an input is not finite.
        """
        found = [_Moments(keep) for _ in self._program.outputs]
        known: dict[int, np.ndarray] = {}
        for step, (rows, group) in enumerate(self._calls(len(arrays[0]))):
            if not found[0].has(rows):
                known = self._computed_once(arrays, rows, check)
            outputs = self._passes(known, group, step)
            for i, output in enumerate(outputs):
                values = rule(i, output)
                shape = (len(output) // group, group, -1)
                found[i].add(rows, None if values is None else values.reshape(shape))
        return [moments.result(self._program.dtype) for moments in found]

    def _computed_once(
        self, arrays: Sequence[np.ndarray], rows: slice, check: bool
    ) -> dict[int, np.ndarray]:
        """What no mask changes, by buffer: the inputs, and what follows from them alone."""
        block = [readable(array[rows], self._program.dtype) for array in arrays]
        outputs = self._fixed_engine.forward(block, check=check)
        known = dict(zip(self._program.inputs, block, strict=True))
        return known | dict(zip(self._fixed.outputs, outputs, strict=True))

    def _passes(self, known: dict[int, np.ndarray], group: int, step: int) -> list[np.ndarray]:
        """Outputs of `group` passes of each row, side by side, under the masks of a step."""
        inputs = [np.repeat(known[i], group, axis=0) for i in self._random.inputs]
        outputs = self._random_engine.forward(inputs, training=True, step=step)
        drawn = dict(zip(self._random.outputs, outputs, strict=True))
        return [
            drawn[i] if i in drawn else np.repeat(known[i], group, axis=0)
            for i in self._program.outputs
        ]

    def _calls(self, n: int) -> Iterator[tuple[slice, int]]:
        """The rows and the number of passes of each call; passes of one row stay together."""
        for start in range(0, n, self._rows):
            for done in range(0, self.passes, self._group):
                group = min(self._group, self.passes - done)
                yield slice(start, min(start + self._rows, n)), group


def with_sampled_masks(program: Program, seed: int) -> Program:
    """The program without losses, its dropout keyed by `seed` and by none of its own keys.

    Of what differs between training and prediction, dropout alone is as in training: custom
    layers are told that they predict.

    Raises
    ------
    ValueError
        If no operation of the program drops anything.
    """
    dropouts = [o for o in program.operations if o.kind == "dropout"]
    if not any(o.attributes["rate"] for o in dropouts):
        raise ValueError(
            "mc_dropout needs a network with a Dropout layer of a rate above 0; "
            "this one predicts the same in every pass"
        )
    taken = {o.attributes["key"] for o in dropouts}
    changes = {"dropout": lambda o: _with_key(o, seed, taken), "python": _predicting}
    operations = tuple(changes[o.kind](o) if o.kind in changes else o for o in program.operations)
    return dataclasses.replace(program, operations=operations, heads=(), l2=0.0)


def split_at_dropout(program: Program) -> tuple[Program, Program]:
    """What comes before all dropout, and what depends on it, as programs on one storage.

    The inputs of the second are inputs of the program and outputs of the first.
    """
    fixed, before, after = set(program.inputs), [], []
    for o in program.operations:
        drops = o.kind == "dropout" and o.attributes["rate"] > 0
        if drops or not fixed.issuperset(o.inputs):
            after.append(o)
        else:
            before.append(o)
            fixed.add(o.output)
    read = {i for o in after for i in o.inputs} & fixed
    made = {o.output for o in before}
    first = dataclasses.replace(
        program,
        operations=tuple(before),
        outputs=tuple(sorted(made & (read | set(program.outputs)))),
    )
    second = dataclasses.replace(
        program,
        operations=tuple(after),
        inputs=tuple(sorted(read)),
        outputs=tuple(i for i in dict.fromkeys(program.outputs) if i not in fixed),
    )
    return first, second


def _with_key(operation: Operation, seed: int, taken: set[int]) -> Operation:
    """The dropout with a key drawn from its own and the seed that is not `taken`, and takes it."""
    own = operation.attributes["key"]
    for attempt in itertools.count():
        key = int(np.random.SeedSequence([seed, own, attempt, 2]).generate_state(1)[0])
        if key not in taken:
            taken.add(key)
            break
    return dataclasses.replace(operation, attributes={**operation.attributes, "key": key})


class _Predicting:
    """A custom layer that engines run as in prediction, whatever else they do."""

    def __init__(self, layer: CustomLayer) -> None:
        self._layer = layer

    def run_forward(
        self, inputs: Any, parameters: Any, training: bool, shape: tuple[int, int]
    ) -> np.ndarray:
        """See `CustomLayer.run_forward`."""
        return self._layer.run_forward(inputs, parameters, False, shape)


def _predicting(operation: Operation) -> Operation:
    layer = _Predicting(operation.attributes["layer"])
    return dataclasses.replace(operation, attributes={**operation.attributes, "layer": layer})


@dataclasses.dataclass
class _Block:
    """Samples of some rows so far: how many, their mean and sum of squared deviations."""

    rows: slice
    mean: np.ndarray
    squares: np.ndarray
    count: int = 0
    samples: list[np.ndarray] = dataclasses.field(default_factory=list)

    def add(self, values: np.ndarray) -> None:
        """Take (n, group, width) samples more.

        Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance", eq. 2.1:
        Welford's update for a group in place of a number.
        """
        count = values.shape[1]
        total = self.count + count
        first = values[:, :1].astype(np.float64)
        centred = values - first  # samples that are all alike must have no spread at all
        mean = centred.mean(axis=1)
        self.squares += np.square(centred - mean[:, None]).sum(axis=1)
        shift = mean + first[:, 0] - self.mean
        self.squares += np.square(shift) * (self.count * count / total)
        self.mean += shift * (count / total)
        self.count = total


class _Moments:
    """Mean and spread of one output, in float64, from samples that come block by block."""

    def __init__(self, keep: bool) -> None:
        self._blocks: list[_Block] = []
        self._keep = keep
        self._rows: slice | None = None

    def has(self, rows: slice) -> bool:
        """Whether samples of these rows have come."""
        return self._rows == rows

    def add(self, rows: slice, values: np.ndarray | None) -> None:
        """Take (n, group, width) samples of these rows, which follow those before."""
        self._rows = rows
        if values is None:
            return
        if not self._blocks or self._blocks[-1].rows != rows:
            zeros = np.zeros((len(values), values.shape[2]))
            self._blocks.append(_Block(rows, zeros, zeros.copy()))
        with np.errstate(all="ignore"):  # overflow is a result like any other
            self._blocks[-1].add(values)
        if self._keep:
            self._blocks[-1].samples.append(np.moveaxis(values, 1, 0))

    def result(self, dtype: np.dtype) -> Prediction | None:
        """The moments of all rows, in the network's dtype."""
        if not self._blocks:
            return None
        with np.errstate(all="ignore"):
            mean = np.concatenate([b.mean for b in self._blocks]).astype(dtype)
            variances = [b.squares / (b.count - 1) for b in self._blocks]
            std = np.sqrt(np.concatenate(variances)).astype(dtype)
        if not self._keep:
            return Prediction(mean, std)
        samples = [np.concatenate(b.samples) for b in self._blocks]
        return Prediction(mean, std, np.concatenate(samples, axis=1))
