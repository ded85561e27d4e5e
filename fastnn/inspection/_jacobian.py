"""Derivatives of a program's outputs, sample by sample: Jacobians.

The rows of a batch do not depend on each other.  One backward pass that starts from a column
of ones for output j therefore computes, in every row of every buffer, the gradient of output j
of the same row.  A Jacobian needs one pass for each output, for any number of samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn import backend, functional
from fastnn.program import Operation, Program

if TYPE_CHECKING:
    from fastnn.backend.protocol import Engine

Array = np.ndarray

_ROLES = ("weight", "bias", "scale", "shift", "gain")
"""Roles of parameters whose gradient in one sample follows from the operation's buffers."""

_BLOCK_NUMBERS = 1 << 17
"""Numbers in all buffers of one block of rows: they fit into a near cache."""


class Linearization:
    """First derivatives of a program's outputs with respect to its inputs and parameters.

    Parameters
    ----------
    program : Program
        Executed as in prediction: dropout is inactive.
    storage : (program.storage_size,) array
        The parameters; referenced, not copied.
    """

    def __init__(self, program: Program, storage: Array) -> None:
        self._program = program
        self._storage = storage
        # Without trainable parameters a backward pass computes gradients of buffers only.
        still = _with_trainable(program, [False] * len(program.parameters))
        self._engine = backend.new_engine(still, storage)
        width = sum(buffer.width for buffer in program.buffers)
        self._rows = max(1, _BLOCK_NUMBERS // width)

    def by_inputs(
        self, inputs: Sequence[Array], output: int, columns: Sequence[int]
    ) -> list[Array]:
        """Derivatives of an output with respect to the inputs, for each sample.

        Parameters
        ----------
        inputs : sequence of (N, width) array
            Finite arrays, with types and strides that engines accept.
        output : int
            Position of the output among the program's outputs.
        columns : sequence of int
            Columns of the output.

        Returns
        -------
        list of (N, len(columns), width) array
            One array for each input.
        """
        n = len(inputs[0])
        buffers = [self._program.buffers[i] for i in self._program.inputs]
        dtype = self._program.dtype
        results = [np.empty((n, len(columns), buffer.width), dtype) for buffer in buffers]
        for rows in self._blocks(inputs):
            for j in self._backward_passes(rows, output, columns):
                for result, buffer in zip(results, buffers, strict=True):
                    result[rows, j] = self._engine.gradient(buffer.name)
        return results

    def by_parameters(
        self,
        inputs: Sequence[Array],
        output: int,
        columns: Sequence[int],
        trainable: Sequence[bool],
    ) -> Array:
        """Derivatives of an output with respect to the parameters, for each sample.

        Parameters
        ----------
        inputs, output, columns
            As in `by_inputs`.
        trainable : sequence of bool
            One flag for each parameter; the derivatives of the others are set to zero.

        Returns
        -------
        (N, len(columns), n_parameters) array
            Derivatives, with the parameters in flat order.
        """
        terms, unknown = _terms(self._program, trainable)
        shape = len(inputs[0]), len(columns), self._program.n_parameters
        result = np.zeros(shape, self._program.dtype)
        for rows in self._blocks(inputs):
            for j in self._backward_passes(rows, output, columns):
                for term in terms:
                    self._add_term(term, result[rows, j])
        if any(unknown):
            self._sample_by_sample(inputs, output, columns, unknown, result)
        return result

    # ---------------------------------------------------------------- internals

    def _blocks(self, inputs: Sequence[Array]) -> Iterator[slice]:
        """Slices of the rows; the engine's buffers then hold the values of the slice."""
        n = len(inputs[0])
        for start in range(0, n, self._rows):
            rows = slice(start, min(start + self._rows, n))
            _forward(self._engine, [x[rows] for x in inputs])
            yield rows

    def _backward_passes(self, rows: slice, output: int, columns: Sequence[int]) -> Iterator[int]:
        """Positions in `columns`; the engine's buffers then hold the gradients of the column."""
        seeds: list[Array | None] = [None] * len(self._program.outputs)
        width = self._program.buffers[self._program.outputs[output]].width
        seed = np.zeros((rows.stop - rows.start, width), self._program.dtype)
        seeds[output] = seed
        for j, column in enumerate(columns):
            seed[:, column] = 1
            self._engine.backward(seeds, input_gradients=False)
            yield j
            seed[:, column] = 0  # not earlier: an engine may use the seed without a copy

    def _add_term(self, term: _Term, rows: Array) -> None:
        """Add the contribution of one use of a parameter to its columns of the (n, P) rows."""
        operation, parameter = term.operation, self._program.parameters[term.parameter]
        dy = self._engine.gradient(self._program.buffers[operation.output].name)
        block = rows[:, term.start : term.start + parameter.size]
        if term.role in ("bias", "shift"):
            _put(block, dy, term.is_first)
            return
        x = self._engine.value(self._program.buffers[operation.inputs[0]].name)
        if term.role == "gain":
            _put(block, dy * x, term.is_first)
            return
        if term.role == "scale":
            normalized = functional.layer_norm(x, epsilon=operation.attributes["epsilon"])
            _put(block, dy * normalized, term.is_first)
            return
        matrices = block.reshape(len(block), *parameter.shape)  # a view: columns are contiguous
        if term.is_first:
            np.multiply(x[:, :, None], dy[:, None, :], out=matrices)
        else:
            matrices += x[:, :, None] * dy[:, None, :]

    def _sample_by_sample(
        self,
        inputs: Sequence[Array],
        output: int,
        columns: Sequence[int],
        unknown: Sequence[bool],
        result: Array,
    ) -> None:
        """Fill the columns of the other parameters, with one backward pass for each sample."""
        program = _with_trainable(self._program, unknown)
        engine = backend.new_engine(program, self._storage)
        width = program.buffers[program.outputs[output]].width
        seeds: list[Array | None] = [None] * len(program.outputs)
        for i in range(len(inputs[0])):
            _forward(engine, [x[i : i + 1] for x in inputs])
            for j, column in enumerate(columns):
                seeds[output] = np.eye(1, width, column, program.dtype)
                engine.backward(seeds, input_gradients=False)
                for start, parameter, is_missing in zip(
                    _starts(program), program.parameters, unknown, strict=True
                ):
                    if is_missing:
                        gradient = parameter.view(engine.gradients).ravel()
                        result[i, j, start : start + parameter.size] = gradient


def _forward(engine: Engine, inputs: Sequence[Array]) -> None:
    """A forward pass whose values stay in the engine's buffers: the cost without losses."""
    engine.loss_and_gradients(inputs, [])


@dataclasses.dataclass(frozen=True)
class _Term:
    """One use of a parameter; its role determines the formula of its gradient in one sample."""

    operation: Operation
    parameter: int
    start: int
    role: str
    is_first: bool


def _terms(program: Program, trainable: Sequence[bool]) -> tuple[list[_Term], list[bool]]:
    """The uses of trainable parameters, and flags of parameters without such a formula."""
    starts = _starts(program)
    unknown = [False] * len(program.parameters)
    used: set[int] = set()
    terms = []
    for operation in program.operations:
        for p, role in zip(operation.parameters, operation.roles, strict=True):
            if trainable[p] and role not in _ROLES:
                unknown[p] = True
            elif trainable[p]:
                terms.append(_Term(operation, p, starts[p], role, p not in used))
                used.add(p)
    return [term for term in terms if not unknown[term.parameter]], unknown


def _put(block: Array, values: Array, is_first: bool) -> None:
    if is_first:
        block[...] = values
    else:
        block += values


def _starts(program: Program) -> list[int]:
    """Where each parameter starts in the flat order."""
    sizes = [parameter.size for parameter in program.parameters]
    return [sum(sizes[:i]) for i in range(len(sizes))]


def _with_trainable(program: Program, flags: Sequence[bool]) -> Program:
    """The program without heads, with a flag for each parameter."""
    parameters = tuple(
        dataclasses.replace(parameter, trainable=flag)
        for parameter, flag in zip(program.parameters, flags, strict=True)
    )
    return dataclasses.replace(program, parameters=parameters, heads=(), l2=0.0)
