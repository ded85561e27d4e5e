"""Monte-Carlo dropout: predictions under sampled masks, and their mean and spread."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import backend
from fastnn._checks import check_integer
from fastnn._data import readable
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
        self._engine = backend.new_engine(masked, storage)
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
        for step, (rows, group) in enumerate(self._calls(len(arrays[0]))):
            block = [readable(array[rows], self._program.dtype) for array in arrays]
            n = len(block[0])
            repeated = [np.repeat(array, group, axis=0) for array in block]
            outputs = self._engine.forward(repeated, training=True, step=step, check=check)
            for i, output in enumerate(outputs):
                values = rule(i, output)
                found[i].add(None if values is None else values.reshape(n, group, -1), rows)
        return [moments.result(self._program.dtype) for moments in found]

    def _calls(self, n: int) -> Iterator[tuple[slice, int]]:
        """The rows and the number of passes of each call; passes of one row stay together."""
        for start in range(0, n, self._rows):
            for done in range(0, self.passes, self._group):
                group = min(self._group, self.passes - done)
                yield slice(start, min(start + self._rows, n)), group


def with_sampled_masks(program: Program, seed: int) -> Program:
    """The program without losses, its dropout keyed by `seed` and by none of its own keys.

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
    operations = tuple(
        _with_key(o, seed, taken) if o.kind == "dropout" else o for o in program.operations
    )
    return dataclasses.replace(program, operations=operations, heads=(), l2=0.0)


def _with_key(operation: Operation, seed: int, taken: set[int]) -> Operation:
    """The dropout with a key drawn from its own and the seed that is not `taken`, and takes it."""
    own = operation.attributes["key"]
    for attempt in itertools.count():
        key = int(np.random.SeedSequence([seed, own, attempt, 2]).generate_state(1)[0])
        if key not in taken:
            taken.add(key)
            break
    return dataclasses.replace(operation, attributes={**operation.attributes, "key": key})


class _Moments:
    """Mean and sum of squared deviations in float64, of samples that come in groups.

    Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance", eq. 2.1:
    Welford's update for a group in place of a number.
    """

    def __init__(self, keep: bool) -> None:
        self._blocks: list[list[Any]] = []  # of rows: start, count, mean, squares, samples
        self._keep = keep

    def add(self, values: np.ndarray | None, rows: slice) -> None:
        """Take (n, group, width) samples of these rows."""
        if values is None:
            return
        count = values.shape[1]
        with np.errstate(all="ignore"):  # overflow is a result like any other
            mean = values.mean(axis=1, dtype=np.float64)
            squares = np.square(values - mean[:, None]).sum(axis=1)
        if not self._blocks or self._blocks[-1][0] != rows.start:
            self._blocks.append([rows.start, 0, np.zeros_like(mean), np.zeros_like(mean), []])
        block = self._blocks[-1]
        total = block[1] + count
        with np.errstate(all="ignore"):
            shift = mean - block[2]
            block[3] += squares + np.square(shift) * (block[1] * count / total)
            block[2] += shift * (count / total)
        block[1] = total
        if self._keep:
            block[4].append(np.moveaxis(values, 1, 0))

    def result(self, dtype: np.dtype) -> Prediction | None:
        """The moments of all rows, in the network's dtype."""
        if not self._blocks:
            return None
        with np.errstate(all="ignore"):
            mean = np.concatenate([block[2] for block in self._blocks])
            std = np.concatenate([np.sqrt(block[3] / (block[1] - 1)) for block in self._blocks])
            mean, std = mean.astype(dtype), std.astype(dtype)
        if not self._keep:
            return Prediction(mean, std)
        samples = [np.concatenate(block[4]) for block in self._blocks]
        return Prediction(mean, std, np.concatenate(samples, axis=1))
