"""A network one can look into: its sensitivities, and what a training step computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import Arrays, Weights, readable
from fastnn._shared.numbers import check_flag, check_integer
from fastnn.inspection import (
    HeadTrace,
    LayerStatistics,
    Linearization,
    Trace,
    TracedStep,
    layer_statistics,
)
from fastnn.network._feed import Data
from fastnn.network._trained import TrainedGraph
from fastnn.program import LOSSES
from fastnn.solvers import Solver
from fastnn.training import loop
from fastnn.training.loop import TrainingError


class _Chosen(NamedTuple):
    """What derivatives are asked for: of which columns of an output, and at which inputs."""

    inputs: list[np.ndarray]
    single: bool
    output: int
    columns: list[int]


class WatchedGraph(TrainedGraph):
    """What a network shows of its inside."""

    _linearization: Linearization | None = None

    # --------------------------------------------------------------- trace

    def trace(
        self,
        X: Arrays,
        y: Arrays,
        sample_weight: Weights = None,
        apply: bool = False,
        check_finite: bool = True,
    ) -> Trace:
        """What the next `train_step` on these data computes: every intermediate, by layer.

        The step is taken on copies of the parameters and of the optimizer's state, by an
        engine of its own that keeps all its buffers: the numbers are, to the last bit,
        those of `train_step`, and the network stays as it is.  Dropout has the masks of
        that step.

        Parameters
        ----------
        X, y, sample_weight
            A batch, as in `fit`.
        apply : bool, default False
            Whether the network takes the step: then it is `train_step` with a trace.
        check_finite : bool, default True
            Look for nan, inf and targets out of range first.

        Returns
        -------
        Trace
            ``trace["dense_1"]`` has Z, A, dA, dZ, dW and db; ``trace.parameters``,
            ``trace.loss`` and ``trace.losses`` the rest; ``print(trace)`` a table.

        Raises
        ------
        RuntimeError
            If the network has not been compiled; if `apply` is True with a solver, which
            takes no single steps.
        TypeError, ValueError
            If the data do not fit.
        TrainingError
            If `apply` is True and the cost is not finite, or a gradient of a custom loss or
            layer; the step is not taken.

        Notes
        -----
        All rows are kept at once.  Where `train_step` would take a batch in parts, because
        its buffers pass 40 MiB, gradients of layers used more than once may differ in
        the last bits.

        A solver takes no single steps: the trace has the gradients it would be told of, and
        parameters that stay.

        Examples
        --------
        >>> import numpy as np, fastnn as fnn
        >>> net = fnn.Sequential([fnn.Dense(2, 1, weight=[[1.0], [2.0]])])
        >>> net.compile(loss="mean_squared_error", optimizer=fnn.GradientDescent(0.1))
        >>> trace = net.trace([[1.0, 1.0]], [2.0])
        >>> trace["dense_1"].Z, trace["dense_1"].dZ, trace.loss
        (array([[3.]], dtype=float32), array([[2.]], dtype=float32), 1.0)
        >>> trace.parameters["dense_1.weight"].after
        array([[0.8],
               [1.8]], dtype=float32)
        """
        apply = check_flag(apply, "apply")
        with self._lock, backend.use(self._backend):
            optimizer = self._compiled()
            data = self._feed.data(X, y, sample_weight, check_finite)
            number = self._state.step + 1
            rate = None
            if apply or not isinstance(optimizer, Solver):
                rate = loop.learning_rate(optimizer, number)
            step = TracedStep(self._graph, self.program, self._storage, self._slots, optimizer)
            cost = step.run(self._readable(data.inputs), data.targets, number, rate)
            trace = Trace(
                step.calls, step.parameters(), self._traced_heads(step, data),
                cost, number, rate, repr(optimizer),
            )  # fmt: skip
            if rate is not None and apply:
                self._adopt(step, trace, rate)
            return trace

    def layer_statistics(
        self, X: Arrays, y: Arrays, sample_weight: Weights = None, check_finite: bool = True
    ) -> LayerStatistics:
        """How large activations, sensitivities, gradients and updates are in each layer.

        They are those of the `trace` of a step, which is not taken: where gradients vanish
        or explode, where units are saturated or dead, and how far the optimizer moves.

        Parameters
        ----------
        X, y, sample_weight, check_finite
            As in `trace`.

        Returns
        -------
        LayerStatistics
            By calls of layers and by parameters; ``print(statistics)`` shows tables,
            `fastnn.plot.layer_statistics` a picture, and a `LayerMonitor` records them
            in training.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        TypeError, ValueError
            If the data do not fit.
        """
        with self._lock:
            trace = self.trace(X, y, sample_weight, check_finite=check_finite)
            return layer_statistics(self._graph, trace, self._kernels)

    def _traced_heads(self, step: TracedStep, data: Data) -> dict[str, HeadTrace]:
        heads, outputs = {}, step.outputs
        for head, rows, (target, _) in zip(
            self._feed.heads, step.sample_losses, data.targets, strict=True
        ):
            losses = None
            if head.loss.name in LOSSES:  # the others give the engines one number for a batch
                losses = rows * len(rows) if head.loss.reduction == "mean" else rows
            output = np.ascontiguousarray(outputs[head.output])
            heads[head.name] = HeadTrace(
                head.name, head.loss.name, head.weight, float(rows.sum()), losses,
                np.array(target), head.loss.probabilities(output, self._kernels),
            )  # fmt: skip
        return heads

    def _adopt(self, step: TracedStep, trace: Trace, rate: float) -> None:
        """Take a traced step; TrainingError if its cost or a custom gradient is not finite."""
        if not trace.is_finite or step.refusal is not None:
            fault = str(step.refusal or "")
            raise TrainingError(self._state.epoch + 1, 1, trace.step, trace.loss, rate, fault)
        self._storage[...] = step.storage
        for name, slot in step.slots.items():
            self._slots[name][...] = slot
        self._state.step += 1

    # ----------------------------------------------------------- Jacobians

    def input_gradients(
        self,
        X: Arrays,
        output: str | None = None,
        column: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """The derivatives of the outputs by the inputs, for each sample: its Jacobian.

        They are those of `predict`: of logits where a loss of classification is used,
        and without dropout.

        Parameters
        ----------
        X, check_finite
            As in `predict`.
        output : str, optional
            Name of one output; by default all of them.
        column : int, optional
            One column of the output; needs `output` where there are several.

        Returns
        -------
        (N, n_out, n_in) array, or (N, n_in) for one column
            Entry [i, j, k] is d output[i, j] / d X[i, k].  For several inputs a list of
            these, or a dict if X is one; for several outputs a list of that, or a dict
            if the outputs were named by one.  A single sample has no N.

        Raises
        ------
        TypeError, ValueError
            If X does not fit, or there is no such output or column.

        Notes
        -----
        A backward pass of the engine for each column, started from ones: rows of a
        batch do not depend on each other, so a pass serves all samples.
        """

        def derive(chosen: _Chosen) -> Any:
            parts = self._linear().by_inputs(chosen.inputs, chosen.output, chosen.columns)
            trimmed = [_trimmed(part, chosen.single, column is not None) for part in parts]
            return self._like_inputs(trimmed, X)

        return self._by_output(X, output, column, check_finite, derive)

    def parameter_jacobian(
        self,
        X: Arrays,
        output: str | None = None,
        column: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """The derivatives of the outputs by the parameters, for each sample.

        Parameters
        ----------
        X, output, column, check_finite
            As in `input_gradients`.

        Returns
        -------
        (N * n_out, n_parameters) array, or (N, n_parameters) for one column
            Rows in the order of ``net.predict(X).ravel()``, columns in that of
            `get_flat`; frozen parameters have zeros.  For several outputs a list of
            these, or a dict if the outputs were named by one.

        Raises
        ------
        TypeError, ValueError
            If X does not fit, or there is no such output or column.

        Notes
        -----
        A backward pass for each column, then the outer product of a layer's input and
        dZ for each sample: what least-squares methods such as Levenberg-Marquardt need.
        """

        def derive(chosen: _Chosen) -> np.ndarray:
            trainable = [parameter.trainable for parameter in self.program.parameters]
            jacobian = self._linear().by_parameters(
                chosen.inputs, chosen.output, chosen.columns, trainable
            )
            return jacobian.reshape(-1, self.n_parameters)

        return self._by_output(X, output, column, check_finite, derive)

    def _by_output(
        self,
        X: Arrays,
        output: str | None,
        column: int | None,
        check: bool,
        derive: Callable[[_Chosen], Any],
    ) -> Any:
        """What `derive` gives for the output called `output`, or arranged for all of them."""
        with self._lock, backend.use(self._backend):
            inputs, single = self._ready_inputs(X, check)
            found = [
                derive(_Chosen(inputs, single, position, self._columns(position, column)))
                for position in self._chosen_outputs(output, column)
            ]
        return self._arrange(found) if output is None else found[0]

    def _linear(self) -> Linearization:
        """Made at first use; it lasts, since `compile` changes neither operations nor storage."""
        if self._linearization is None:
            self._linearization = Linearization(self.program, self._storage)
        return self._linearization

    def _ready_inputs(self, X: Arrays, check: bool) -> tuple[list[np.ndarray], bool]:
        """Inputs that an engine reads, and whether X was a single sample."""
        arrays, single = self._feed.rows(X)
        if check_flag(check, "check_finite"):
            self._feed.check(arrays)
        return [readable(array, self._dtype) for array in arrays], single

    def _chosen_outputs(self, output: str | None, column: int | None) -> list[int]:
        """Positions of the output called `output`, or of all."""
        names = self._output_names
        if output is None:
            if column is not None and len(names) > 1:
                raise ValueError(f"column needs an output: one of {', '.join(map(repr, names))}")
            return list(range(len(names)))
        if output not in names:
            known = ", ".join(map(repr, names))
            raise ValueError(f"output is {output!r}, but the network has {known}")
        return [names.index(output)]

    def _columns(self, position: int, column: int | None) -> list[int]:
        width = self._graph.outputs[position].width
        if column is None:
            return list(range(width))
        return [check_integer(column, "column", 0, width - 1)]

    def _like_inputs(self, parts: list[np.ndarray], X: Any) -> Any:
        """One array for each input, arranged as X is."""
        if isinstance(X, Mapping):
            return dict(zip(self.input_names, parts, strict=True))
        return parts[0] if len(parts) == 1 else parts


def _trimmed(jacobian: np.ndarray, single: bool, one_column: bool) -> np.ndarray:
    """Without the axes that the caller did not ask for."""
    if one_column:
        jacobian = jacobian[:, 0]
    return jacobian[0] if single else jacobian
