"""Monte-Carlo dropout: predictions under sampled masks, and their mean and spread."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import readable
from fastnn.layers import CustomLayer
from fastnn.program import Operation, Program

_CALL_NUMBERS = 1 << 20
_CALL_ROWS = 1 << 12
"""A call computes at most so many rows, and about so many numbers: they bound the memory.

Which masks a row gets follows from these, so they are constants.
"""


class Prediction(NamedTuple):
    """Mean and spread of several predictions of the same rows.

    `Network.predict_samples` and `Ensemble.predict` return it.  Each field is an array, or for
    several outputs a list or dict of arrays, as `Network.predict` returns it.

    Attributes
    ----------
    mean : (N, n_out) array
        Mean over the T predictions, one for each sample of masks or each member of an ensemble.
    std : (N, n_out) array
        Their standard deviation, from the unbiased variance (divided by T - 1).
    samples : (T, N, n_out) array or None
        The predictions themselves, where `return_samples` is True.
    """

    mean: Any
    std: Any
    samples: Any = None


Rule = Callable[[int, np.ndarray], "np.ndarray | None"]
"""What is averaged, from the position of an output and its values (rows, width)."""


class Sampler:
    """Runs a program under sampled dropout masks.

    The masks of row r and sample t depend on the seed, r, t and the number of samples alone: not
    on the other rows, the threads or the backend.  The training of the network draws other masks,
    since it has other keys.

    Parameters
    ----------
    program : Program
    storage : (storage_size,) array
        The parameters of the program, which must not change during `run`.
    n_samples : int
        Samples of each row, at least 2.
    seed : int
        Of the masks.

    Raises
    ------
    ValueError
        If the program has no dropout.
    """

    def __init__(self, program: Program, storage: np.ndarray, n_samples: int, seed: int) -> None:
        self.n_samples = n_samples
        masked = with_sampled_masks(program, seed)
        self._program = masked
        self._fixed, self._random = split_at_dropout(masked)
        self._fixed_engine = backend.new_engine(self._fixed, storage)
        self._random_engine = backend.new_engine(self._random, storage)
        width = sum(buffer.width for buffer in program.buffers)
        call_rows = min(max(_CALL_NUMBERS // width, 1), _CALL_ROWS)
        self._rows = max(call_rows // self.n_samples, 1)
        self._group = min(call_rows, self.n_samples)

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
        moments = [_Moments(keep) for _ in self._program.outputs]
        fixed: dict[int, np.ndarray] = {}
        for step, (rows, group) in enumerate(self._calls(len(arrays[0]))):
            if not moments[0].has(rows):
                fixed = self._computed_once(arrays, rows, check)
            outputs = self._sampled(fixed, group, step)
            for i, output in enumerate(outputs):
                values = rule(i, output)
                shape = (len(output) // group, group, -1)
                moments[i].add(rows, None if values is None else values.reshape(shape))
        return [of_output.result(self._program.dtype) for of_output in moments]

    def _computed_once(
        self, arrays: Sequence[np.ndarray], rows: slice, check: bool
    ) -> dict[int, np.ndarray]:
        """The buffers that no mask changes: the inputs, and what depends on them alone."""
        block = [readable(array[rows], self._program.dtype) for array in arrays]
        outputs = self._fixed_engine.forward(block, check=check)
        fixed = dict(zip(self._program.inputs, block, strict=True))
        return fixed | dict(zip(self._fixed.outputs, outputs, strict=True))

    def _sampled(self, fixed: dict[int, np.ndarray], group: int, step: int) -> list[np.ndarray]:
        """Outputs of `group` samples of each row, side by side, under the masks of a step."""
        inputs = [np.repeat(fixed[i], group, axis=0) for i in self._random.inputs]
        outputs = self._random_engine.forward(inputs, training=True, step=step)
        drawn = dict(zip(self._random.outputs, outputs, strict=True))
        return [
            drawn[i] if i in drawn else np.repeat(fixed[i], group, axis=0)
            for i in self._program.outputs
        ]

    def _calls(self, n: int) -> Iterator[tuple[slice, int]]:
        """The rows and the number of samples of each call; the samples of a row are adjacent."""
        for start in range(0, n, self._rows):
            for done in range(0, self.n_samples, self._group):
                group = min(self._group, self.n_samples - done)
                yield slice(start, min(start + self._rows, n)), group


def with_sampled_masks(program: Program, seed: int) -> Program:
    """The program without losses, whose dropout has other keys, drawn with `seed`.

    Only dropout behaves as in training; custom layers run as in prediction.

    Raises
    ------
    ValueError
        If the program has no dropout of a rate above 0.
    """
    dropouts = [o for o in program.operations if o.kind == "dropout"]
    if not any(o.attributes["rate"] for o in dropouts):
        raise ValueError(
            "samples need a network with a Dropout layer of a rate above 0; "
            "without it, all samples are equal"
        )
    taken = {o.attributes["key"] for o in dropouts}
    changes = {"dropout": lambda o: _with_key(o, seed, taken), "python": _predicting}
    operations = tuple(changes[o.kind](o) if o.kind in changes else o for o in program.operations)
    return dataclasses.replace(program, operations=operations, heads=(), l2=0.0)


def split_at_dropout(program: Program) -> tuple[Program, Program]:
    """The operations before all dropout, and those that depend on it, as programs.

    Both have the storage of the program.  The inputs of the second are inputs of the program and
    outputs of the first.
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
    """The dropout with a new key, drawn from its own and the seed; adds the key to `taken`."""
    own = operation.attributes["key"]
    for attempt in itertools.count():
        key = int(np.random.SeedSequence([seed, own, attempt, 2]).generate_state(1)[0])
        if key not in taken:
            taken.add(key)
            break
    return dataclasses.replace(operation, attributes={**operation.attributes, "key": key})


class _Predicting:
    """A custom layer that engines always run as in prediction."""

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
    """Moments of the samples of some rows: their number, mean and sum of squared deviations."""

    rows: slice
    mean: np.ndarray
    squares: np.ndarray
    count: int = 0
    samples: list[np.ndarray] = dataclasses.field(default_factory=list)

    def add(self, values: np.ndarray) -> None:
        """Add (n, group, width) samples.

        Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance", eq. 2.1:
        Welford's update for a group in place of a number.
        """
        count = values.shape[1]
        total = self.count + count
        first = values[:, :1].astype(np.float64)
        centred = values - first  # equal samples must have a spread of exactly 0
        mean = centred.mean(axis=1)
        self.squares += np.square(centred - mean[:, None]).sum(axis=1)
        shift = mean + first[:, 0] - self.mean
        self.squares += np.square(shift) * (self.count * count / total)
        self.mean += shift * (count / total)
        self.count = total


class _Moments:
    """Mean and spread of one output, in float64, from blocks of samples."""

    def __init__(self, keep: bool) -> None:
        self._blocks: list[_Block] = []
        self._keep = keep
        self._rows: slice | None = None

    def has(self, rows: slice) -> bool:
        """Whether the last samples were of these rows."""
        return self._rows == rows

    def add(self, rows: slice, values: np.ndarray | None) -> None:
        """Add (n, group, width) samples of these rows; rows come in their order."""
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
