"""Programs: what a network compiles to, and what both engines execute.

A `Program` is a flat list of operations in topological order on named buffers.
Every buffer is a matrix with one row per sample; only its width is fixed.
Operations name their kind, their input and output buffers, their parameters
and their attributes.  Backward operations are not listed: each kind has one
derivative, which the engines run in reverse order.

All parameters live in one flat *storage* array.  Rows of a matrix start at a
multiple of 16 elements, so that compiled loops use whole vectors; the elements
between the rows are padding, always zero, and no public array shows them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from fastnn._shared.text import aligned
from fastnn.facts import activations, losses, operations, precisions

LANES = 16
"""Rows are padded to a multiple of this many elements in both dtypes."""

ACTIVATIONS = activations.names()
"""Elementwise activations, in the order of the codes the compiled engine uses."""

KINDS = operations.names()
"""The kinds of operations, in the order of the codes the compiled engine uses."""

ROW_FUNCTIONS = tuple(row.name for row in operations.ROWS if row.is_row_function)
MERGES = tuple(row.name for row in operations.ROWS if row.is_merge)
LOSSES = tuple(losses.LOSSES)
"""The losses that the engines compute themselves, in the order of their codes."""

REDUCTIONS = ("mean", "sum", "half_sum")
"""What becomes of the losses of single samples."""

CUSTOM_LOSS = "custom"
"""The loss of a head that calls Python; its attribute `loss` is the `CustomLoss`."""


def padded(width: int) -> int:
    """Row stride, in elements, of a matrix with `width` columns.

    A multiple of 16; strides that are large multiples of 128 get 16 more,
    because rows a power of two apart compete for the same cache sets.
    """
    stride = -(-width // LANES) * LANES
    return stride + LANES if stride % 128 == 0 else stride


@dataclass(frozen=True)
class Buffer:
    """A named matrix with one row per sample and `width` columns."""

    name: str
    width: int


@dataclass(frozen=True)
class Parameter:
    """A named array inside the flat storage.

    `shape` is (n_in, n_out) for a weight and (n_out,) for a vector; `stride`
    is the distance between rows in the storage, in elements.  `penalized`
    parameters enter the L2 penalty (weights do, biases do not).  The optimizer's
    learning rate and weight decay are multiplied by `rate_factor` and
    `decay_factor` for this parameter.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    stride: int
    trainable: bool = True
    penalized: bool = True
    rate_factor: float = 1.0
    decay_factor: float = 1.0

    @property
    def size(self) -> int:
        """Number of elements, padding not counted."""
        return math.prod(self.shape)

    @property
    def stored(self) -> int:
        """Number of elements the parameter takes in the storage, padding included."""
        return self.stride * (self.shape[0] if len(self.shape) == 2 else 1)

    @property
    def in_penalty(self) -> bool:
        """Whether the L2 penalty has this parameter: a penalized one that is trained."""
        return self.penalized and self.trainable

    def view(self, storage: np.ndarray) -> np.ndarray:
        """The live view of this parameter in a flat storage array."""
        block = storage[self.offset : self.offset + self.stored]
        if len(self.shape) == 1:
            return block[: self.shape[0]]
        return block.reshape(self.shape[0], self.stride)[:, : self.shape[1]]


@dataclass(frozen=True)
class Operation:
    """One step of a program; buffers and parameters are given by index."""

    kind: str
    inputs: tuple[int, ...]
    output: int
    parameters: tuple[int, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def roles(self) -> tuple[str, ...]:
        """What each of the parameters does; `fastnn.facts.operations` has the list."""
        return operations.get(self.kind).roles(len(self.parameters), self.attributes)

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle, which does not know read-only mappings."""
        attributes = dict(self.attributes)
        return Operation, (self.kind, self.inputs, self.output, self.parameters, attributes)


@dataclass(frozen=True)
class Head:
    """A loss on one output buffer.

    The cost of a program is the sum of its heads' losses, each times `weight`.
    """

    output: int
    loss: str
    weight: float = 1.0
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameter(self) -> float:
        """The one number that the loss takes, by the name its row has for it; 0 if it has none."""
        row = losses.LOSSES.get(self.loss)
        if row is None or row.parameter is None:
            return 0.0
        return float(self.attributes.get(row.parameter.name, row.parameter.default))


@dataclass(frozen=True)
class Program:
    """Operations in topological order on named buffers, with parameters and heads.

    Made by `ProgramBuilder.build`.

    Parameters
    ----------
    dtype : dtype
        float32 or float64.
    buffers : tuple of Buffer
    operations : tuple of Operation
        In an order in which every input is computed before it is used.
    parameters : tuple of Parameter
        In the order of their offsets in the storage.
    inputs, outputs : tuple of int
        Indices of the buffers that callers give and receive.
    heads : tuple of Head
        The losses, in the order of their targets.
    seed : int
        What the keys of the dropout operations were made from.
    l2 : float
        The cost has l2 / 2 times the sum of the squared penalized, trainable parameters.
    precision : str
        What dense operations multiply: a row of `fastnn.facts.precisions`.
    """

    dtype: np.dtype
    buffers: tuple[Buffer, ...]
    operations: tuple[Operation, ...]
    parameters: tuple[Parameter, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    heads: tuple[Head, ...] = ()
    seed: int = 0
    l2: float = 0.0
    precision: str = "float32"
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {buffer.name: i for i, buffer in enumerate(self.buffers)}
        object.__setattr__(self, "_index", index)
        row = precisions.get(self.precision)
        if row.dtype and row.dtype != self.dtype:
            raise ValueError(
                f"precision {row.name!r} is for networks of {row.dtype}, got {self.dtype}"
            )

    def __getstate__(self) -> dict[str, Any]:
        """The program in plain data, for pickles, copies and skops."""
        return {
            "dtype": self.dtype.name,
            "seed": self.seed,
            "buffers": [(buffer.name, buffer.width) for buffer in self.buffers],
            "operations": [
                (step.kind, step.inputs, step.output, step.parameters, dict(step.attributes))
                for step in self.operations
            ],
            "parameters": [
                (p.name, p.shape, p.trainable, p.penalized, p.rate_factor, p.decay_factor)
                for p in self.parameters
            ],
            "inputs": self.inputs,
            "outputs": self.outputs,
            "heads": [(h.output, h.loss, h.weight, dict(h.attributes)) for h in self.heads],
            "l2": self.l2,
            "precision": self.precision,
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Build the program again, with the checks of the builder.

        Raises
        ------
        ValueError
            If the state does not describe a program.
        """
        try:
            program = _rebuilt(state)
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"the state of a program is damaged: {error!r}") from error
        vars(self).update(vars(program))

    @cached_property
    def storage_size(self) -> int:
        """Number of elements of the flat storage, padding included."""
        return sum(parameter.stored for parameter in self.parameters)

    @cached_property
    def n_parameters(self) -> int:
        """Number of parameters, padding not counted."""
        return sum(parameter.size for parameter in self.parameters)

    def allocate(self) -> np.ndarray:
        """A new storage array of zeros, aligned to 64 bytes."""
        return aligned_zeros(self.storage_size, self.dtype)

    def buffer_index(self, name: str) -> int:
        """Index of the buffer called `name`; KeyError lists the names there are."""
        if name not in self._index:
            raise KeyError(f"no buffer {name!r}; the program has {', '.join(self._index)}")
        return self._index[name]

    @cached_property
    def code_sizes(self) -> tuple[tuple[int, ...] | None, ...]:
        """For each input, how many codes each of its columns has; None where numbers are free."""
        sizes: dict[int, tuple[int, ...]] = {}
        for operation in self.operations:
            if operations.get(operation.kind).codes:
                (source,), own = operation.inputs, operation.attributes["sizes"]
                sizes[source] = tuple(map(min, own, sizes.get(source, own)))
        return tuple(sizes.get(i) for i in self.inputs)

    @cached_property
    def narrow_products(self) -> frozenset[int]:
        """Indices of the dense operations that multiply in `precision`, given rows enough."""
        row = precisions.get(self.precision)
        shapes = {
            i: self.parameters[operation.parameters[0]].shape
            for i, operation in enumerate(self.operations)
            if operation.kind == "dense" and "precision" not in operation.attributes
        }
        return frozenset(i for i, shape in shapes.items() if row.takes(shape))

    @cached_property
    def sparse_inputs(self) -> tuple[bool, ...]:
        """For each input, whether it may be sparse rows: dense operations alone read it."""
        others = {i for o in self.operations if o.kind != "dense" for i in o.inputs}
        others.update(self.outputs, (head.output for head in self.heads))
        return tuple(i not in others for i in self.inputs)

    def with_heads(self, heads: Sequence[Head], l2: float = 0.0) -> Program:
        """The same program with other heads and L2 penalty.

        Parameters
        ----------
        heads : sequence of Head
        l2 : float
        """
        return Program(
            self.dtype, self.buffers, self.operations, self.parameters,
            self.inputs, self.outputs, tuple(heads), self.seed, l2, self.precision,
        )  # fmt: skip

    def flatten(self, storage: np.ndarray) -> np.ndarray:
        """All parameters of a storage array as one new vector without padding."""
        parts = [parameter.view(storage).ravel() for parameter in self.parameters]
        return np.concatenate(parts) if parts else np.zeros(0, self.dtype)

    def unflatten(self, flat: np.ndarray, storage: np.ndarray) -> None:
        """Write a vector without padding into a storage array; padding becomes zero.

        Parameters
        ----------
        flat : (n_parameters,) array
        storage : (storage_size,) array
        """
        storage[...] = 0
        start = 0
        for parameter in self.parameters:
            part = flat[start : start + parameter.size]
            parameter.view(storage)[...] = part.reshape(parameter.shape)
            start += parameter.size

    def penalty(self, storage: np.ndarray, l2: float | None = None) -> float:
        """l2 / 2 times the sum of the squared penalized, trainable parameters, in float64.

        Parameters
        ----------
        storage : (storage_size,) array
        l2 : float, optional
            The factor, by default that of the program.
        """
        l2 = self.l2 if l2 is None else l2
        if not l2:
            return 0.0
        views = [p.view(storage) for p in self.parameters if p.in_penalty]
        squares = sum(float(np.sum(np.square(view, dtype=np.float64))) for view in views)
        return 0.5 * l2 * squares

    def __str__(self) -> str:
        return "\n".join(_listing(self))


def total_loss(weights: Iterable[float], losses: Iterable[float], penalty: float) -> float:
    """The cost: the losses of the heads, times their weights, and the L2 penalty."""
    return float(penalty + sum(w * loss for w, loss in zip(weights, losses, strict=True)))


def aligned_zeros(size: int, dtype: Any) -> np.ndarray:
    """A vector of zeros whose first element lies on a 64-byte boundary."""
    dtype = np.dtype(dtype)
    raw = np.zeros(size * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * dtype.itemsize].view(dtype)


class ProgramBuilder:
    """Collects buffers, parameters and operations; `build` returns the Program."""

    def __init__(self, dtype: Any = np.float32, seed: int = 0) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise TypeError(f"dtype must be float32 or float64, got {self.dtype}")
        self.seed = seed
        self.buffers: list[Buffer] = []
        self.parameters: list[Parameter] = []
        self.operations: list[Operation] = []
        self.inputs: list[int] = []
        self._names: set[str] = set()
        self._offset = 0
        self._is_table: dict[int, bool] = {}  # by parameter that an operation has

    def input(self, name: str, width: int) -> int:
        """Declare an input buffer; returns its index."""
        index = self._buffer(name, width)
        self.inputs.append(index)
        return index

    def parameter(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        trainable: bool = True,
        penalized: bool = True,
    ) -> int:
        """Declare a parameter of one or two dimensions; returns its index."""
        if len(shape) not in (1, 2) or min(shape) < 1:
            raise ValueError(
                f"parameter {name!r} must have 1 or 2 positive dimensions, got {shape}"
            )
        if any(parameter.name == name for parameter in self.parameters):
            raise ValueError(f"two parameters are called {name!r}")
        parameter = Parameter(
            name, tuple(shape), self._offset, padded(shape[-1]), trainable, penalized
        )
        self._offset += parameter.stored
        self.parameters.append(parameter)
        return len(self.parameters) - 1

    def add(
        self,
        kind: str,
        inputs: Sequence[int],
        name: str,
        parameters: Sequence[int] = (),
        **attributes: Any,
    ) -> int:
        """Append an operation; returns the index of its new output buffer.

        Raises
        ------
        ValueError
            If the widths of the inputs or parameters do not fit the kind.
        """
        widths = [self.buffers[i].width for i in inputs]
        shapes = [self.parameters[i].shape for i in parameters]
        try:
            width = operations.get(kind).output_width(widths, shapes, attributes)
            self._check_roles(kind, parameters, attributes)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        output = self._buffer(name, width)
        self.operations.append(
            Operation(
                kind, tuple(inputs), output, tuple(parameters), MappingProxyType(dict(attributes))
            )
        )
        return output

    def _check_roles(
        self, kind: str, parameters: Sequence[int], attributes: Mapping[str, Any]
    ) -> None:
        """Raise ValueError for a table that has another role too: gradients of tables are apart."""
        roles = operations.get(kind).roles(len(parameters), attributes)
        for i, role in zip(parameters, roles, strict=True):
            if self._is_table.setdefault(i, role == "table") != (role == "table"):
                raise ValueError(
                    f"parameter {self.parameters[i].name!r} cannot be a table in one operation "
                    "and something else in another"
                )

    def build(self, outputs: Sequence[int]) -> Program:
        """The finished program; `outputs` are the buffers `forward` returns."""
        return Program(
            self.dtype, tuple(self.buffers), tuple(self.operations), tuple(self.parameters),
            tuple(self.inputs), tuple(outputs), (), self.seed,
        )  # fmt: skip

    def _buffer(self, name: str, width: int) -> int:
        if name in self._names:
            raise ValueError(f"two buffers are called {name!r}")
        if width < 1:
            raise ValueError(f"buffer {name!r} must have a positive width, got {width}")
        self._names.add(name)
        self.buffers.append(Buffer(name, int(width)))
        return len(self.buffers) - 1


def _rebuilt(state: Mapping[str, Any]) -> Program:
    """The program that `Program.__getstate__` described."""
    builder = ProgramBuilder(state["dtype"], state["seed"])
    for name, shape, trainable, penalized, rate, decay in state["parameters"]:
        i = builder.parameter(name, shape, trainable=trainable, penalized=penalized)
        builder.parameters[i] = replace(
            builder.parameters[i], rate_factor=float(rate), decay_factor=float(decay)
        )
    operations = iter(state["operations"])
    for i, (name, width) in enumerate(state["buffers"]):
        if i in state["inputs"]:
            builder.input(name, width)
            continue
        kind, inputs, output, parameters, attributes = next(operations)
        _check_indices(inputs, i)
        _check_indices(parameters, len(builder.parameters))
        builder.add(kind, inputs, name, parameters, **attributes)
        if output != i or builder.buffers[i].width != width:
            raise ValueError(f"{name!r} is not the output of its operation")
    if next(operations, None) is not None or tuple(builder.inputs) != tuple(state["inputs"]):
        raise ValueError("the operations and inputs do not fit the buffers")
    _check_indices(state["outputs"], len(builder.buffers))
    _check_indices([head[0] for head in state["heads"]], len(builder.buffers))
    heads = [Head(*head) for head in state["heads"]]
    program = builder.build(state["outputs"]).with_heads(heads, float(state["l2"]))
    return replace(program, precision=state.get("precision", "float32"))


def _check_indices(indices: Sequence[int], n: int) -> None:
    """Raise ValueError unless all are integers from 0 to n - 1."""
    for i in indices:
        if type(i) is not int or not 0 <= i < n:
            raise ValueError(f"{i!r} is not an index below {n}")


def _listing(program: Program) -> list[str]:
    """Lines of the readable listing that `print(program)` shows."""
    names = [buffer.name for buffer in program.buffers]
    rows = [("buffer", "width", "operation")]
    for i in program.inputs:
        rows.append((names[i], str(program.buffers[i].width), "input"))
    for operation in program.operations:
        arguments = [names[i] for i in operation.inputs]
        arguments += [program.parameters[i].name for i in operation.parameters]
        arguments += [f"{key}={value!r}" for key, value in operation.attributes.items()]
        call = f"{operation.kind}({', '.join(arguments)})"
        rows.append((names[operation.output], str(program.buffers[operation.output].width), call))
    for head in program.heads:
        attributes = "".join(f", {key}={value!r}" for key, value in head.attributes.items())
        rows.append(
            ("cost", "1", f"+= {head.weight:g} * {head.loss}({names[head.output]}{attributes})")
        )
    if program.l2:
        rows.append(("cost", "1", f"+= {program.l2:g}/2 * sum of squared weights"))
    return [
        *aligned(rows, right=(1,)),
        f"{len(program.operations)} operations, {program.n_parameters:,} parameters, "
        f"{program.dtype}"
        + (
            f", {len(program.narrow_products)} products in {program.precision}"
            if program.narrow_products
            else ""
        ),
    ]
