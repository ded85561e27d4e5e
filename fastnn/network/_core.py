"""What a network has: its program, its parameters, its engine, and the state of its training.

Inside the package, the attributes and methods of a `Core` are public: ensembles, estimators,
tables, plots and the functions behind the methods of `Network` work with them.  They take checked
data (`Data`); the methods of `Network` check what users pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn import backend
from fastnn._shared.arrays import check_class_weights, converted, is_readable, readable
from fastnn._shared.numbers import check_integer, check_seed
from fastnn._shared.sparse import Rows
from fastnn.graph import Graph, build_program
from fastnn.layers._tensor import check_dtype, check_name
from fastnn.network._factors import Factors
from fastnn.network._feed import Feed
from fastnn.network._full_batch import FullBatch
from fastnn.network._heads import LossOnOutput
from fastnn.network._measures import Measures
from fastnn.network._weights import is_sum, mean_weights, mean_weights_of, row_weights
from fastnn.optimizers import Optimizer
from fastnn.program import Program
from fastnn.solvers import Solver
from fastnn.training import loop, streaming
from fastnn.training.callbacks import History
from fastnn.training.data import Data, Samples, Selection
from fastnn.training.session import Plan
from fastnn.training.solving import solve
from fastnn.training.state import TrainingError, TrainingState
from fastnn.training.stream import Stream

_CONVERTED_ROWS = 1 << 16
"""Rows converted at a time, of arrays that the engines cannot read as they are."""

if TYPE_CHECKING:
    from fastnn.inspection import Linearization


class Core:
    """A graph with its program, storage and engine, and after `set_heads` with losses.

    Parameters
    ----------
    graph : Graph
    output_names : sequence of str, or None
        Names that the user gave the outputs, in a dict.
    dtype : {"float32", "float64"}
    seed : int
    label : str, default "a network"
        What error messages call the owner of the layers.
    values : mapping of str to array, optional
        Initial values by parameter; by default those of the layers' initializers.

    Attributes
    ----------
    graph : Graph
    dtype : dtype
    seed : int
        Seed of initial values, shuffling and dropout.
    backend : str
        Name of the backend, and `kernels` its functions for the dtype.
    storage : (program.storage_size,) array
        All parameters; `views` has a view of each by name.
    engine : Engine
        Its `program` is the network's; `lock`, its guard, stays when another engine comes.
    feed : Feed
        Checks and names the arrays of users.
    heads : list of LossOnOutput
        Empty before `set_heads`.
    optimizer : Optimizer, Solver or None
    slots : dict of str to array
        State of the optimizer, arrays like `storage`.
    constant_rate : float or None
        The learning rate of an optimizer whose rate is one number.
    state : TrainingState
    is_fitting : bool
        Whether a training is running; its engine must not be replaced.
    output_names : list of str
        And `outputs_are_named`: whether users receive outputs as a dict.
    """

    def __init__(
        self,
        graph: Graph,
        output_names: Sequence[str] | None,
        dtype: DTypeLike,
        seed: int,
        label: str = "a network",
        values: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.graph = graph
        self.seed = check_seed(seed)
        self.dtype = check_dtype(dtype)
        program, extents = build_program(graph, self.dtype, self.seed)
        self.outputs_are_named = output_names is not None
        self.output_names = _names_of_outputs(graph, output_names)
        if values is None:
            values = _initial_values(graph, program, self.seed)
        else:  # a file may claim any size: compare before allocating it
            check_parameters(program, values)
        self.storage = program.allocate()
        self.views = {p.name: p.view(self.storage) for p in program.parameters}
        for key, value in values.items():
            self.views[key][...] = value
        for layer, extent in zip(graph.layers, extents, strict=True):
            layer.attach(label, graph.names[id(layer)], self.storage[extent])
        self.backend = backend.name()
        self.kernels = backend.kernels(self.dtype)
        self.optimizer: Optimizer | Solver | None = None
        self.constant_rate: float | None = None
        self.slots: dict[str, np.ndarray] = {}
        self.state = TrainingState()
        self.is_fitting = False
        self.engine = backend.new_engine(program, self.storage)
        self.lock = self.engine.guard
        inputs = [program.buffers[i] for i in program.inputs]
        self.feed = Feed(inputs, [], self.dtype, self.engine)
        self._linearization: Linearization | None = None

    # ---------------------------------------------------------- descriptions

    @property
    def program(self) -> Program:
        """The program that the engine executes."""
        program: Program = self.engine.program
        return program

    @property
    def heads(self) -> list[LossOnOutput]:
        """The losses on the outputs."""
        return self.feed.heads

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return [buffer.name for buffer in self.feed.inputs]

    @property
    def linearization(self) -> Linearization:
        """The derivatives of the outputs; made at first use, on the backend in use.

        It lasts: `set_heads` changes neither the operations nor the storage.
        """
        if self._linearization is None:
            from fastnn.inspection import Linearization

            self._linearization = Linearization(self.program, self.storage)
        return self._linearization

    # ---------------------------------------------------------------- losses

    def set_heads(
        self,
        heads: Sequence[LossOnOutput],
        optimizer: Optimizer | Solver,
        l2: float,
        trainable: Sequence[bool],
        factors: Factors,
        precision: str = "float32",
    ) -> None:
        """Start training afresh, with other losses and another optimizer.

        Parameters
        ----------
        heads : sequence of LossOnOutput
        optimizer : Optimizer or Solver
        l2 : float
        trainable : sequence of bool
            One flag for each parameter.
        factors : sequence of (float, float)
            Those of the learning rate and of the weight decay, for each parameter.
        precision : str
            Of the products of dense layers.
        """
        program = self._program_with(heads, l2, trainable, factors)
        program = dataclasses.replace(program, precision=precision)
        with backend.use(self.backend):
            engine = backend.new_engine(program, self.storage)
        slots = {name: program.allocate() for name in optimizer.slot_names}
        if isinstance(optimizer, Optimizer):
            engine.set_optimizer(optimizer.kind, optimizer.hyper, list(slots.values()))
        engine.guard = self.lock
        self.engine, self.slots, self.optimizer = engine, slots, optimizer
        rate = optimizer.learning_rate
        self.constant_rate = rate if type(rate) is float else None
        self.feed = Feed(self.feed.inputs, heads, self.dtype, engine)
        self.state = TrainingState()

    def _program_with(
        self,
        heads: Sequence[LossOnOutput],
        l2: float,
        trainable: Sequence[bool],
        factors: Factors,
    ) -> Program:
        old = self.program
        parameters = tuple(
            dataclasses.replace(p, trainable=flag, rate_factor=rate, decay_factor=decay)
            for p, flag, (rate, decay) in zip(old.parameters, trainable, factors, strict=True)
        )
        losses = tuple(h.loss.head(old.outputs[h.output], h.width, h.weight) for h in heads)
        for h, loss in zip(heads, losses, strict=True):
            class_weights = loss.attributes.get("class_weights", ())
            check_class_weights(class_weights, f"class_weight of output {h.name!r}", self.dtype)
        return dataclasses.replace(old, parameters=parameters, heads=losses, l2=l2)

    def compiled(self) -> Optimizer | Solver:
        """The optimizer or solver; RuntimeError before `set_heads`."""
        if self.optimizer is None:
            raise RuntimeError("call compile(loss=..., optimizer=...) first")
        return self.optimizer

    # --------------------------------------------------------------- outputs

    def readable(self, arrays: Sequence[Rows]) -> list[Rows]:
        """Arrays that the engine reads; only those of other types are converted."""
        return [readable(array, self.dtype) for array in arrays]

    def outputs(
        self, arrays: Sequence[Rows], batch_size: int | None = None, check: bool = False
    ) -> list[np.ndarray]:
        """All outputs (N, width) for inputs of any real dtype, computed in blocks of rows.

        Parameters
        ----------
        arrays : sequence of (N, width) array or SparseRows
        batch_size : int, optional
            Rows of a block.
        check : bool, default False
            Raise ValueError where an input is not finite.
        """
        rows = n = len(arrays[0])
        if batch_size is not None:
            rows = check_integer(batch_size, "batch_size", 1)
        elif not all(map(is_readable, arrays)):
            rows = _CONVERTED_ROWS
        try:
            if rows >= n:
                return list(self.engine.forward(self.readable(arrays), check=check))
            outputs = [np.empty((n, t.width), self.dtype) for t in self.graph.outputs]
            for start in range(0, n, rows):
                block = slice(start, start + rows)
                ready = self.readable([array[block] for array in arrays])
                parts = self.engine.forward(ready, check=check)
                for output, part in zip(outputs, parts, strict=True):
                    output[block] = part
            return outputs
        except ValueError:
            if check:
                self.feed.check(arrays)  # names the number that the engine refused
            raise

    def arrange(self, outputs: Sequence[object]) -> Any:
        """One output by itself; several as a list, or as a dict if the user named them."""
        if self.outputs_are_named:
            return dict(zip(self.output_names, outputs, strict=True))
        return outputs[0] if len(outputs) == 1 else list(outputs)

    # ----------------------------------------------------------------- train

    def fit(
        self,
        data: Samples,
        plan: Plan | None = None,
        validation: Samples | None = None,
        network: Any = None,
    ) -> History:
        """Train on checked data: the inner door, behind `Network.fit`, `Ensemble` and others.

        Parameters
        ----------
        data : Data or Selection
            What `feed.data` returned, or a core with the same inputs, losses and dtype.
        plan : Plan, optional
            Epochs, batch size, order of the rows, callbacks, early stopping, report.
        validation : Data or Selection, optional
            Measured after each epoch.
        network : Network, optional
            What callbacks see as `context.network`.

        Returns
        -------
        History
            Of all epochs, those of earlier trainings included.

        Raises
        ------
        RuntimeError
            Before `set_heads`.
        TrainingError
            As in `Network.fit`.
        """
        plan = Plan() if plan is None else plan
        with self.lock:
            optimizer = self.compiled()
            before, self.is_fitting = self.is_fitting, True
            try:
                if isinstance(optimizer, Solver):
                    if plan.weights_mean == "count":
                        raise ValueError(
                            'weights_mean must be "data" or "batch" for a solver, got "count"'
                        )
                    if isinstance(data, Selection):
                        data = data.gathered()
                    with backend.use(self.backend):
                        problem = FullBatch(optimizer, self.engine, self.heads, data)
                    return solve(self, problem, plan, validation, network)
                means = mean_weights(self.heads, data, plan.weights_mean)
                by_rows = plan.weights_mean == "count" or plan.penalty_weights is not None
                weights = None if by_rows else row_weights(self.heads, data, means)
                has_sums = any(map(is_sum, self.heads))
                weighing = loop.Weighing(weights, means, has_sums, plan.penalty_weights)
                return loop.fit(self, data, plan, validation, network, weighing)
            finally:
                self.is_fitting = before

    def fit_stream(
        self,
        stream: Stream,
        plan: Plan,
        validation: Data | Stream | None = None,
        network: Any = None,
    ) -> History:
        """Train on checked rows that do not fit into memory, as `fit` does on others.

        Raises
        ------
        ValueError
            If the optimizer is a solver, or `plan.weights_mean` is "batch".
        SourceError, TrainingError
            As in `Network.fit`.
        """
        with self.lock:
            optimizer = self.compiled()
            if isinstance(optimizer, Solver):
                raise ValueError(
                    f"{optimizer.name} takes all rows at once, and a source gives some at a time: "
                    "choose an optimizer"
                )
            if plan.weights_mean == "batch":
                raise ValueError('weights_mean must be "data" or "count" for a source, got "batch"')
            before, self.is_fitting = self.is_fitting, True
            try:
                means = mean_weights_of(self.heads, stream, plan.weights_mean)
                weighing = loop.Weighing(None, means, any(map(is_sum, self.heads)))
                return streaming.fit(self, stream, plan, validation, network, weighing)
            finally:
                self.is_fitting = before

    def step(self, data: Data, rate: float, rule: str = "batch") -> float:
        """The next optimizer step, on one batch of checked data; returns its cost.

        The caller counts the step.  `rule` is the `weights_mean` of `Network.train_step`.

        Raises
        ------
        TrainingError
            If the cost is not finite; the step is not taken.
        """
        losses = np.empty(1)
        inputs, step = self.readable(data.inputs), self.state.step + 1
        done = self.engine.train(
            inputs, data.targets, None, len(data), np.full(1, rate), step, losses, False,
            mean_weights(self.heads, data, rule),
        )  # fmt: skip
        if not done:
            raise TrainingError(self.state.epoch + 1, 1, step, float(losses[0]), rate)
        return float(losses[0])

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, counted from 1.

        Raises
        ------
        RuntimeError
            Before `set_heads`, or if the optimizer is a solver.
        """
        return loop.learning_rate(self.compiled(), step, self.state.rate_factor)

    def snapshot(self) -> np.ndarray:
        """A copy of the parameters, for `restore`."""
        return self.storage.copy()

    def restore(self, copy: np.ndarray) -> None:
        """Set the parameters back to a copy that `snapshot` made."""
        self.storage[...] = copy

    # --------------------------------------------------------------- measure

    def measure(self, data: Samples | Stream, batch_size: int | None = None) -> dict[str, float]:
        """The cost and the scores on checked data, from one forward pass in blocks of rows."""
        if isinstance(data, Stream):
            measures = self._measures(Data([], []))
            for block in data.blocks(measures.block_rows):
                outputs = self.outputs(block.inputs, batch_size)
                measures.add_block(outputs, block.targets, [w for _, w in block.targets])
            return measures.result(self.program.penalty(self.storage))
        measures = self._measures(data)
        for rows in measures.blocks():
            measures.add(self.outputs(data.input_rows(rows), batch_size), rows)
        return measures.result(self.program.penalty(self.storage))

    def measure_outputs(self, outputs: Sequence[np.ndarray], data: Data) -> dict[str, float]:
        """The cost, without the L2 penalty, and the scores of these outputs."""
        measures = self._measures(data)
        measures.add(outputs)
        return measures.result(0.0)

    def _measures(self, data: Samples) -> Measures:
        double = np.dtype(np.float64)
        with backend.use(self.backend):
            kernels = {double: backend.kernels(double), self.dtype: self.kernels}
        return Measures(self.heads, data.targets, self.dtype, kernels)


def owner(name: str | None, kind: str) -> str:
    """What error messages call the network that layers belong to."""
    return f"network {name!r}" if name else f"a {kind}"


def _initial_values(graph: Graph, program: Program, seed: int) -> dict[str, np.ndarray]:
    """Initial values by parameter name; layers that stood alone keep the values they have."""
    values: list[np.ndarray] = []
    for layer in graph.layers:
        drawn = layer.parameters if layer.has_values else layer.initial_values(seed, len(values))
        values += drawn.values()
    return {
        p.name: converted(value, f"the initial value of {p.name!r}", program.dtype)
        for p, value in zip(program.parameters, values, strict=True)
    }


def _names_of_outputs(graph: Graph, names: Sequence[str] | None) -> list[str]:
    """The names that the user gave the outputs, checked, or else those of their layers."""
    if names is None:
        calls = graph.call_names()
        return [calls[id(tensor)] for tensor in graph.outputs]
    for name in names:
        if check_name(name) is None:
            raise TypeError("the name of an output must be a string, got None")
    if len(set(names)) != len(names):
        raise ValueError(f"the names of the outputs are repeated: {', '.join(names)}")
    if len(names) != len(graph.outputs):
        raise ValueError(f"{len(names)} names for {len(graph.outputs)} outputs")
    return list(names)


def check_parameters(program: Program, values: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless there is a value of the right shape and dtype for each parameter."""
    if set(values) != {parameter.name for parameter in program.parameters}:
        raise ValueError("the parameters are not those of the layers")
    for parameter in program.parameters:
        value = values[parameter.name]
        if value.shape != parameter.shape or value.dtype != program.dtype:
            raise ValueError(
                f"parameter {parameter.name!r} must be {program.dtype} of shape "
                f"{parameter.shape}, got {value.dtype} of shape {value.shape}"
            )
