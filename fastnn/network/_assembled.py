"""A graph with its program, its parameters and its engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn import backend
from fastnn._shared.arrays import Arrays, Views, converted, is_readable, readable, real_array
from fastnn._shared.numbers import check_flag, check_integer
from fastnn.graph import Graph, build_program
from fastnn.layers import Layer
from fastnn.layers._tensor import check_dtype, check_name
from fastnn.losses import Loss
from fastnn.network._feed import Feed
from fastnn.network._monte_carlo import Prediction, Rule, Sampler
from fastnn.network._predictor import Predictor
from fastnn.network._summary import ends, table
from fastnn.optimizers import Optimizer
from fastnn.program import Program
from fastnn.solvers import Solver
from fastnn.training.callbacks import History
from fastnn.training.loop import TrainingState

_MAX_STEPS = 1 << 53
"""Optimizer steps and epochs that are counted: up to here a float64 holds every integer."""

_CONVERTED_ROWS = 1 << 16
"""Rows at a time of arrays that the engines cannot read as they are."""


class AssembledGraph:
    """What a network is before a loss is chosen: it predicts, shows and changes its parameters.

    Subclasses build a graph and call `_assemble`.
    """

    def _assemble(
        self,
        traced: Graph,
        output_names: Sequence[Any] | None,
        dtype: DTypeLike,
        seed: int,
        name: str | None,
        values: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Build program, storage and engine; parameters get `values` or initial ones."""
        self.name = check_name(name)
        self.metadata: dict[str, Any] = {}
        self.seed = check_integer(seed, "seed", 0)
        self._dtype = check_dtype(dtype)
        self._graph = traced
        program, extents = build_program(traced, self._dtype, self.seed)
        self._named_outputs = output_names is not None
        self._output_names = _names_of_outputs(traced, output_names)
        if values is not None:  # a file may claim any size: compare before allocating it
            check_parameters(program, values)
        self._storage = program.allocate()
        self._views = {p.name: p.view(self._storage) for p in program.parameters}
        for key, value in (values or self._initial_values(program)).items():
            self._views[key][...] = value
        label = f"network {self.name!r}" if self.name else f"a {type(self).__name__}"
        for layer, extent in zip(traced.layers, extents, strict=True):
            layer.attach(label, traced.names[id(layer)], self._storage[extent])
        self._backend = backend.name()
        self._kernels = backend.kernels(self._dtype)
        self._optimizer: Optimizer | Solver | None = None
        self._slots: dict[str, np.ndarray] = {}
        self._state = TrainingState()
        self._is_fitting = False
        self._engine = backend.new_engine(program, self._storage)
        self._lock = self._engine.guard
        inputs = [program.buffers[i] for i in program.inputs]
        self._feed = Feed(inputs, [], self._dtype, self._engine)

    def _initial_values(self, program: Program) -> dict[str, np.ndarray]:
        """Initial values by parameter name; layers that stood alone keep the values they have."""
        values: list[np.ndarray] = []
        for layer in self._graph.layers:
            own = layer.has_values
            drawn = layer.parameters if own else layer.initial_values(self.seed, len(values))
            values += drawn.values()
        return {p.name: value for p, value in zip(program.parameters, values, strict=True)}

    # ------------------------------------------------------------- predict

    def predict(
        self,
        X: Arrays,
        batch_size: int | None = None,
        check_finite: bool = True,
        mc_dropout: int | None = None,
        seed: int | None = None,
        return_samples: bool = False,
    ) -> Any:
        """The outputs of the network: logits where a loss of classification is used.

        Parameters
        ----------
        X : (N, n_in) array_like, or (n_in,) for a single sample
            For several inputs a list of these, or a dict by name.  Any real
            dtype; memory maps are read in blocks.
        batch_size : int, optional
            Rows computed at a time; by default as many as fit the cache.
        check_finite : bool, default True
            Refuse nan, inf and numbers beyond the network's dtype.
        mc_dropout : int, optional
            Monte-Carlo dropout: predict this often, at least twice, each time and
            for each row with other masks of the dropout layers, and return mean
            and spread.  Memory does not grow with it, except for the samples.
        seed : int, optional
            Of these masks, 0 unless given.  A row's masks depend on the seed, on
            its place in X and on `mc_dropout` alone, and are none of training's.
        return_samples : bool, default False
            Return the samples of `mc_dropout` as well.

        Returns
        -------
        (N, n_out) array, or (n_out,) for a single sample
            For several outputs a list, or a dict if the outputs were named by one.
            With `mc_dropout` a named tuple `Prediction` of ``mean``, ``std`` and
            ``samples``, each of them of that kind.

        Raises
        ------
        TypeError, ValueError
            If X does not hold real numbers, is empty, has the wrong width, or is
            not finite; if `mc_dropout` is asked of a network without dropout.

        References
        ----------
        Gal & Ghahramani (2016), "Dropout as a Bayesian approximation: representing model
        uncertainty in deep learning".
        """
        if mc_dropout is not None or seed is not None or return_samples:
            return self._sampled(X, batch_size, check_finite, mc_dropout, seed, return_samples)
        if batch_size is None and not self._named_outputs:
            output = self._engine.predict(X, check_finite)
            if output is not None:
                return output
        outputs, single = self._all_outputs(X, batch_size, check_finite)
        return self._arrange([output[0] for output in outputs] if single else outputs)

    def _all_outputs(
        self, X: Arrays, batch_size: int | None, check: bool
    ) -> tuple[list[np.ndarray], bool]:
        """Every output as (N, width), and whether X was a single sample."""
        check = check_flag(check, "check_finite")
        with self._lock:
            arrays, single = self._feed.rows(X)
            return self._outputs(arrays, batch_size, check), single

    def _sampled(
        self,
        X: Arrays,
        batch_size: int | None,
        check: bool,
        passes: int | None,
        seed: int | None,
        keep: bool,
        rule: Rule = lambda i, output: output,
    ) -> Prediction:
        """Mean and spread of what `rule` makes of the outputs, over sampled dropout masks."""
        if passes is None:
            raise ValueError("seed and return_samples belong to mc_dropout, which was not given")
        if batch_size is not None:
            raise ValueError(
                "batch_size does not go with mc_dropout, which takes blocks of its own"
            )
        keep, check = check_flag(keep, "return_samples"), check_flag(check, "check_finite")
        with self._lock, backend.use(self._backend):
            arrays, single = self._feed.rows(X)
            sampler = Sampler(self.program, self._storage, passes, 0 if seed is None else seed)
            try:
                found = sampler.run(arrays, rule, keep, check)
            except ValueError:
                if check:
                    self._feed.check(arrays)  # names the number the engine stumbled over
                raise
        means, stds, samples = zip(*(f or (None, None, None) for f in found), strict=True)
        if single:
            means, stds = (tuple(v if v is None else v[0] for v in part) for part in (means, stds))
            samples = tuple(v if v is None else v[:, 0] for v in samples)
        return Prediction(
            self._arrange(means), self._arrange(stds), self._arrange(samples) if keep else None
        )

    def predictor(self) -> Predictor:
        """A frozen copy of the network for predictions of low latency, from any thread."""
        with self._lock, backend.use(self._backend):
            names = self._output_names if self._named_outputs else None
            return Predictor(self.program, self._storage, names)

    def _outputs(
        self, arrays: Sequence[np.ndarray], batch_size: int | None, check: bool
    ) -> list[np.ndarray]:
        """All outputs for inputs of any real dtype, computed in blocks of rows."""
        rows = n = len(arrays[0])
        if batch_size is not None:
            rows = check_integer(batch_size, "batch_size", 1)
        elif not all(map(is_readable, arrays)):
            rows = _CONVERTED_ROWS
        try:
            if rows >= n:
                return self._forward(arrays, check)
            outputs = [np.empty((n, t.width), self._dtype) for t in self._graph.outputs]
            for start in range(0, n, rows):
                block = slice(start, start + rows)
                parts = self._forward([array[block] for array in arrays], check)
                for output, part in zip(outputs, parts, strict=True):
                    output[block] = part
            return outputs
        except ValueError:
            if check:
                self._feed.check(arrays)  # names the number the engine stumbled over
            raise

    def _forward(self, arrays: Sequence[np.ndarray], check: bool) -> list[np.ndarray]:
        ready = [readable(array, self._dtype) for array in arrays]
        return list(self._engine.forward(ready, check=check))

    def _arrange(self, outputs: Sequence[Any]) -> Any:
        """One output by itself; several as a list, or as a dict if they were named."""
        if self._named_outputs:
            return dict(zip(self._output_names, outputs, strict=True))
        return outputs[0] if len(outputs) == 1 else list(outputs)

    # ---------------------------------------------------------- parameters

    @property
    def parameters(self) -> Views:
        """Live views of the parameters by name, such as ``"dense_1.weight"``.

        ``net.parameters["dense_1.weight"] = w`` copies `w` into the network; so does
        writing into the view.
        """
        return Views(self._views)

    @property
    def gradients(self) -> Views:
        """Live views of the gradients that the last `loss_and_gradients` left."""
        with self._lock:
            gradients = self._engine.gradients
            return Views({p.name: p.view(gradients) for p in self.program.parameters})

    @property
    def n_parameters(self) -> int:
        """Number of parameters, frozen ones included."""
        return self.program.n_parameters

    def get_flat(self) -> np.ndarray:
        """All parameters as one new vector (n_parameters,), in the order of `parameters`."""
        with self._lock:
            return self.program.flatten(self._storage)

    def set_flat(self, values: ArrayLike) -> None:
        """Set all parameters from a vector (n_parameters,).

        The numbers are taken as they are, nan and infinities too.

        Raises
        ------
        TypeError, ValueError
            If it is not a vector of real numbers of that length, or a finite one is too
            large for the network's dtype.
        """
        flat = self._flat(values, "values")
        with self._lock:
            self.program.unflatten(flat, self._storage)

    def get_state(self) -> dict[str, Any]:
        """A copy of everything training changes, for `set_state`."""
        with self._lock:
            return {
                "parameters": self.get_flat(),
                "slots": {name: self.program.flatten(slot) for name, slot in self._slots.items()},
                "training": self._state.to_dict(),
            }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `get_state` copied, so that training goes on from there.

        Raises
        ------
        TypeError, ValueError
            If it is no such state, or that of another network or optimizer; nothing
            is changed then.
        """
        with self._lock:
            _check_keys(state, "state", ("parameters", "slots", "training"))
            _check_keys(state["slots"], "state['slots']", tuple(self._slots))
            parameters = self._flat(state["parameters"], "state['parameters']")
            slots = {
                name: self._flat(values, f"state['slots'][{name!r}]")
                for name, values in state["slots"].items()
            }
            training = training_state(state["training"])
            self.program.unflatten(parameters, self._storage)
            for name, slot in slots.items():
                self.program.unflatten(slot, self._slots[name])
            self._state.replace(training)  # in place: a `fit` that is running counts on it

    def _flat(self, values: Any, name: str) -> np.ndarray:
        """A vector of the network's dtype with a number for each parameter."""
        flat = real_array(values, name)
        if flat.shape != (self.n_parameters,):
            raise ValueError(
                f"{name} has shape {flat.shape} and dtype {flat.dtype}, "
                f"expected ({self.n_parameters},) real numbers"
            )
        return converted(flat, self._dtype, name)

    # -------------------------------------------------------- descriptions

    @property
    def program(self) -> Program:
        """What the network compiles to; prints as a listing."""
        program: Program = self._engine.program
        return program

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self._dtype

    @property
    def backend(self) -> str:
        """The backend that executes the network: ``"compiled"`` or ``"reference"``."""
        return self._backend

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order of first appearance; a shared layer once."""
        return self._graph.layers

    @property
    def graph(self) -> Graph:
        """The graph of layer calls between inputs and outputs."""
        return self._graph

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return [buffer.name for buffer in self._feed.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return list(self._output_names)

    @property
    def losses(self) -> dict[str, Loss]:
        """Loss of each output that has one; empty before `compile`."""
        return {head.name: head.loss for head in self._feed.heads}

    @property
    def optimizer(self) -> Optimizer | Solver | None:
        """The optimizer or solver; None before `compile`."""
        return self._optimizer

    @property
    def history(self) -> History:
        """What each epoch since `compile` measured."""
        return self._state.history

    def layer(self, name: str) -> Layer:
        """The layer of this name.

        Raises
        ------
        KeyError
            If there is none; the error lists those there are.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(str(layer.name) for layer in self.layers)
        raise KeyError(f"no layer {name!r}; the network has {names}")

    def summary(self) -> str:
        """A table of the graph: each call of a layer, its inputs, width and parameters.

        It says which parameters are shared, frozen, or out of reach of every gradient; below
        it stand the outputs with their losses.  `fastnn.plot.graph` draws the same.
        """
        program = self.program
        trainable = sum(p.size for p in program.parameters if p.trainable)
        lines = [*table(self._graph), f"{self!r}, backend {self._backend}"]
        lines.append(f"{program.n_parameters:,} parameters, {trainable:,} of them trainable")
        lines += ends(self._graph, self._output_names, self._feed.heads)
        if self._optimizer is not None:
            penalty = f", l2={program.l2:g}" if program.l2 else ""
            lines.append(f"optimizer {self._optimizer!r}{penalty}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        widths = (
            [str(b.width) for b in self._feed.inputs],
            [str(t.width) for t in self.graph.outputs],
        )
        ends = " -> ".join(", ".join(part) for part in widths)
        return f"<{type(self).__name__} {name}{ends}, {self._dtype}, seed {self.seed}>"


def _names_of_outputs(graph: Graph, given: Sequence[Any] | None) -> list[str]:
    """The names given for the outputs, checked, or else those of their layers."""
    if given is None:
        names = graph.call_names()
        return [names[id(tensor)] for tensor in graph.outputs]
    for name in given:
        if check_name(name) is None:
            raise TypeError("the name of an output must be a string, got None")
    if len(set(given)) != len(graph.outputs):
        raise ValueError(f"{len(set(given))} names for {len(graph.outputs)} outputs")
    return list(given)


def check_parameters(program: Program, values: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless there is a value of the right shape and dtype for each parameter."""
    if set(values) != {parameter.name for parameter in program.parameters}:
        raise ValueError("the parameters are not those of the layers")
    for parameter in program.parameters:
        value = values[parameter.name]
        if value.shape != parameter.shape or value.dtype != program.dtype:
            raise ValueError(
                f"parameter {parameter.name!r} is {value.dtype} of shape {value.shape}, "
                f"expected {program.dtype} of shape {parameter.shape}"
            )


def training_state(data: Any) -> TrainingState:
    """The training state that a file or a caller describes.

    Raises
    ------
    ValueError
        If `data` does not describe one, or its counters are too large to count on from.
    """
    state = TrainingState.from_dict(data)
    for name in ("epoch", "step"):
        check_integer(getattr(state, name), name, 0, _MAX_STEPS)
    return state


def _check_keys(values: Any, name: str, expected: Sequence[str]) -> None:
    """Raise TypeError or ValueError unless `values` is a mapping with exactly these keys."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must be a dict, got {type(values).__name__}")
    if set(values) != set(expected):
        raise ValueError(
            f"{name} has {_listed(values)}, expected {_listed(expected)}: "
            "it belongs to another network or optimizer, or is no state"
        )


def _listed(keys: Iterable[Any]) -> str:
    return ", ".join(map(repr, keys)) or "nothing"
