"""A network with a loss: it knows what its outputs mean and how good they are."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import backend, optimizers
from fastnn._shared.arrays import MUST_BE_FINITE, Arrays, Weights
from fastnn._shared.numbers import check_number
from fastnn.graph import untrainable
from fastnn.losses import Loss
from fastnn.network._assembled import AssembledGraph
from fastnn.network._feed import Data, Feed
from fastnn.network._full_batch import check_solver
from fastnn.network._heads import LossOnOutput, make_heads
from fastnn.network._measures import Measures
from fastnn.optimizers import Optimizer
from fastnn.program import Program
from fastnn.solvers import Solver
from fastnn.training.loop import TrainingState

AnyLoss = str | Loss | Callable[..., Any]


class JudgedGraph(AssembledGraph):
    """What a network is once `compile` has chosen a loss: its outputs have a cost and a score."""

    # ------------------------------------------------------------- compile

    def compile(
        self,
        loss: AnyLoss | Sequence[AnyLoss | None] | Mapping[str, AnyLoss | None],
        optimizer: str | Optimizer | Solver = "adam",
        *,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        l2: float = 0.0,
        missing: str | None = None,
    ) -> None:
        """Choose what training minimises, and how.

        Starts training afresh: optimizer state, counters and history are reset;
        parameters stay.  Call it again after a change of a layer's `trainable`.

        Parameters
        ----------
        loss : str, Loss, function, or for several outputs a list or dict of them
            Names: cross_entropy, binary_cross_entropy, mean_squared_error,
            mean_absolute_error, huber.  A function makes a `CustomLoss`.  None gives
            an output no loss.
        optimizer : str, Optimizer or Solver, default "adam"
            Names: gradient_descent or sgd, momentum, nesterov, rmsprop, adam, adamw;
            of solvers, which train on all samples at once: lbfgs, levenberg_marquardt.
        loss_weights : list or dict of float, optional
            Factor of each output's loss; 1 unless given.
        l2 : float, default 0
            Adds l2 / 2 times the sum of the squared trainable weights (not biases) to the cost.
        missing : {None, "nan"}, default None
            "nan": targets that are nan are missing, of every loss.  They count for nothing, and
            means are over what is left: an output with nothing observed in a batch adds 0 to
            the cost and to the gradients.  The losses' own options (ignore_value, ignore_index,
            ignore_nan) say so for one output.

        Raises
        ------
        ValueError
            If a loss is missing, unknown, or does not fit its output or the solver;
            if the network has dropout, and the optimizer is a solver.
        RuntimeError
            If a callback of `fit` calls it.

        Warns
        -----
        UserWarning
            Once, if trainable layers lie below a binary step or a zero indicator, whose
            derivative is 0; it names them.
        """
        with self._lock:
            if self._is_fitting:
                raise RuntimeError("compile cannot be called while fit runs")
            heads = make_heads(self.graph.outputs, self.output_names, loss, loss_weights, missing)
            optimizer = optimizers.get(optimizer)
            if isinstance(optimizer, Solver):
                check_solver(optimizer, self.program, heads)
            l2 = check_number(l2, "l2", 0.0)
            self._warn_of_steps()
            trainable = [layer.trainable for layer in self._graph.layers for _ in layer.shapes]
            self._set_heads(heads, optimizer, l2, trainable)

    def _set_heads(
        self,
        heads: Sequence[LossOnOutput],
        optimizer: Optimizer | Solver,
        l2: float,
        trainable: Sequence[bool],
    ) -> None:
        program = self._program_with(heads, l2, trainable)
        with backend.use(self._backend):
            engine = backend.new_engine(program, self._storage)
        slots = {name: program.allocate() for name in optimizer.slot_names}
        if isinstance(optimizer, Optimizer):
            engine.set_optimizer(optimizer.kind, optimizer.hyper, list(slots.values()))
        engine.guard = self._lock
        self._engine, self._slots, self._optimizer = engine, slots, optimizer
        self._feed = Feed(self._feed.inputs, heads, self._dtype, engine)
        self._state = TrainingState()

    def _program_with(
        self, heads: Sequence[LossOnOutput], l2: float, trainable: Sequence[bool]
    ) -> Program:
        """The program with heads; `trainable` has a flag for each parameter."""
        old = self.program
        parameters = tuple(
            dataclasses.replace(parameter, trainable=flag)
            for parameter, flag in zip(old.parameters, trainable, strict=True)
        )
        made = [h.loss.head(old.outputs[h.output], h.width, h.weight) for h in heads]
        return dataclasses.replace(old, parameters=parameters, heads=tuple(made), l2=l2)

    def _warn_of_steps(self) -> None:
        steps, cut = untrainable(self._graph)
        if steps:
            warnings.warn(
                f"the derivative of the step in layer{'s' if len(steps) > 1 else ''} "
                f"{', '.join(map(repr, steps))} is 0: no gradient reaches {', '.join(cut)}, "
                "whose parameters training will not change",
                UserWarning,
                stacklevel=3,
            )

    def _compiled(self) -> Optimizer | Solver:
        if self._optimizer is None:
            raise RuntimeError("call compile(loss=..., optimizer=...) first")
        return self._optimizer

    # ------------------------------------------------ probabilities and classes

    def predict_proba(
        self,
        X: Arrays,
        batch_size: int | None = None,
        check_finite: bool = True,
        mc_dropout: int | None = None,
        seed: int | None = None,
        return_samples: bool = False,
    ) -> Any:
        """Probabilities: softmax of the outputs for cross-entropy, sigmoid for binary.

        Parameters
        ----------
        X, batch_size, check_finite
            As in `predict`.
        mc_dropout, seed, return_samples
            As in `predict`; what is averaged are the probabilities of each pass,
            so that the mean is a distribution too, not the softmax of the mean output.

        Returns
        -------
        (N, n_out) array, or (n_out,) for a single sample
            For several outputs a list or dict, with None where a loss implies no
            probabilities.  With `mc_dropout` a `Prediction` of these.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        ValueError
            If no loss implies probabilities, or `mc_dropout` is asked of a network
            without dropout.
        """
        if mc_dropout is not None or seed is not None or return_samples:
            self._check_classification()
            losses = {head.output: head.loss for head in self._feed.heads}
            return self._sampled(
                X, batch_size, check_finite, mc_dropout, seed, return_samples,
                lambda i, z: losses[i].probabilities(z, self._kernels) if i in losses else None,
            )  # fmt: skip
        return self._transformed(
            X, batch_size, check_finite, lambda loss, z: loss.probabilities(z, self._kernels)
        )

    def predict_classes(
        self, X: Arrays, batch_size: int | None = None, check_finite: bool = True
    ) -> Any:
        """Predicted classes: the largest logit for cross-entropy; probability >= 1/2 for binary.

        Parameters
        ----------
        X, batch_size, check_finite
            As in `predict`.

        Returns
        -------
        (N,) int64 array, or (N, n_out) for binary cross-entropy with several columns
            One dimension less for a single sample; for several outputs a list or
            dict, with None where a loss knows no classes.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        ValueError
            If no loss knows classes.
        """
        return self._transformed(X, batch_size, check_finite, lambda loss, z: loss.classes(z))

    def _transformed(self, X: Arrays, batch_size: int | None, check: bool, rule: Any) -> Any:
        """Apply a rule of each output's loss, (loss, outputs) -> array or None, to a prediction."""
        self._check_classification()
        outputs, single = self._all_outputs(X, batch_size, check)
        results: list[Any] = [None] * len(outputs)
        for head in self._feed.heads:
            result = rule(head.loss, outputs[head.output])
            results[head.output] = result[0] if single and result is not None else result
        return self._arrange(results)

    def _check_classification(self) -> None:
        """Raise unless the network is compiled and a loss knows probabilities and classes."""
        self._compiled()
        if all(head.loss.activation is None for head in self._feed.heads):
            raise ValueError(
                "probabilities and classes need a classification loss, but the losses are "
                + ", ".join(head.loss.name for head in self._feed.heads)
            )

    # ------------------------------------------------------------ evaluate

    def evaluate(
        self,
        X: Arrays,
        y: Arrays,
        sample_weight: Weights = None,
        batch_size: int | None = None,
        check_finite: bool = True,
    ) -> dict[str, float]:
        """The cost and the scores on some data, without dropout.

        Rows are predicted in blocks, over which losses and scores are added up in order, so
        that memory does not grow with their number; custom losses alone are given all outputs.
        The blocks depend on the widths of the outputs only, not on `batch_size` or threads.

        Parameters
        ----------
        X, batch_size, check_finite
            As in `predict`, of N samples.
        y, sample_weight
            As in `fit`.

        Returns
        -------
        dict of float
            ``loss``, the cost with the L2 penalty, and ``accuracy`` for
            classification or ``r2`` for regression; with several losses also
            ``<output>_loss`` and ``<output>_accuracy`` or ``<output>_r2`` of each.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        TypeError, ValueError
            If the data do not fit.
        """
        self._compiled()
        with self._lock:
            data = self._feed.data(X, y, sample_weight, check_finite)
            return self._metrics(data, batch_size)

    def score(self, X: Arrays, y: Arrays, sample_weight: Weights = None) -> float:
        """Accuracy for classification, R^2 for regression.

        Parameters
        ----------
        X, y, sample_weight
            As in `evaluate`.

        Raises
        ------
        ValueError
            If the network has several losses: `evaluate` gives a score for each.  If its
            loss is a custom one without an activation, which knows no score.
        """
        metric = self._metric()
        with self._lock:
            data = self._feed.data(X, y, sample_weight, True, hint=MUST_BE_FINITE)
            return self._metrics(data, None)[metric]

    def _metric(self) -> str:
        """What `evaluate` calls the one score; ValueError where there is none, or several."""
        self._compiled()
        if len(self._feed.heads) > 1:
            raise ValueError("score needs a network with one loss; use evaluate")
        loss = self._feed.heads[0].loss
        if not loss.metric:
            raise ValueError(f"loss {loss.name} has no score: give CustomLoss an activation")
        return loss.metric

    def _metrics(self, data: Data, batch_size: int | None) -> dict[str, float]:
        """Cost and scores for checked data, from one forward pass in blocks of rows."""
        measures = Measures(self._feed.heads, data.targets, self._dtype, self._kernels)
        for rows in measures.blocks():
            inputs = [array[rows] for array in data.inputs]
            measures.add(self._outputs(inputs, batch_size, False), rows)
        return measures.result(self._penalty())

    def _measured(self, outputs: Sequence[np.ndarray], data: Data) -> dict[str, float]:
        """Cost, without a penalty, and scores of outputs for checked data."""
        measures = Measures(self._feed.heads, data.targets, self._dtype, self._kernels)
        measures.add(outputs)
        return measures.result(0.0)

    def _penalty(self) -> float:
        """l2 / 2 times the sum of the squared trainable weights."""
        program = self.program
        if not program.l2:
            return 0.0
        views = [self._views[p.name] for p in program.parameters if p.penalized and p.trainable]
        squares = sum(float(np.sum(np.square(view, dtype=np.float64))) for view in views)
        return 0.5 * program.l2 * squares
