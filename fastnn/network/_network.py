"""Networks: what users build, train, evaluate and save."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn import backend, optimizers, serialization, training
from fastnn._checks import check_flag, check_number
from fastnn._data import Arrays, Weights
from fastnn.callbacks import Callback, Callbacks, EarlyStopping, History, as_callbacks
from fastnn.graph import trace, untrainable
from fastnn.layers import Input, Tensor
from fastnn.losses import ClassWeight, Loss
from fastnn.network import _saved
from fastnn.network._assembled import AssembledGraph
from fastnn.network._feed import Data, Feed
from fastnn.network._heads import LossOnOutput, make_heads
from fastnn.optimizers import Optimizer
from fastnn.program import Program
from fastnn.training import TrainingError, TrainingState


class Network(AssembledGraph):
    """A network of layers between inputs and outputs.

    Parameters
    ----------
    inputs : Input or sequence of Input
    outputs : Tensor, sequence of Tensor, or dict from names to Tensor
        What `predict` returns.  Unless named by a dict, an output has the name of
        its layer.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and computations.
    seed : int, default 0
        Of initial values, shuffling and dropout.  The same seed on the same
        backend gives the same bits, whatever the number of threads.
    name : str, optional

    Raises
    ------
    ValueError
        If an input is unused, an output does not depend on the inputs alone, two
        inputs or layers have one name, or a layer belongs to a network already.

    Notes
    -----
    A network keeps the backend it was built with.  Calls from several threads
    are carried out one after another; during `fit`, other threads wait until
    it has ended.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.Input(4)
    >>> h = fnn.Dense(4, 8, activation="tanh")(x)
    >>> y = fnn.Add()([fnn.Dense(8, 2)(h), fnn.Dense(4, 2)(x)])  # a shortcut
    >>> net = fnn.Network(x, y)
    >>> net.predict([[1.0, 2.0, 3.0, 4.0]]).shape
    (1, 2)
    """

    def __init__(
        self,
        inputs: Input | Sequence[Input],
        outputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
        *,
        dtype: DTypeLike = "float32",
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        output_names = None
        if isinstance(outputs, Mapping):
            output_names = list(outputs)
            outputs = list(outputs.values())
        traced = trace(_as_list(inputs), _as_list(outputs))
        self._assemble(traced, output_names, dtype, seed, name)

    # ------------------------------------------------------------- compile

    def compile(
        self,
        loss: str | Loss | Sequence[str | Loss | None] | Mapping[str, str | Loss | None],
        optimizer: str | Optimizer = "adam",
        *,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        l2: float = 0.0,
    ) -> None:
        """Choose what training minimises, and how.

        Starts training afresh: optimizer state, counters and history are reset;
        parameters stay.  Call it again after a change of a layer's `trainable`.

        Parameters
        ----------
        loss : str, Loss, or for several outputs a list or dict of them
            Names: cross_entropy, binary_cross_entropy, mean_squared_error,
            mean_absolute_error, huber.  None gives an output no loss.
        optimizer : str or Optimizer, default "adam"
            Names: gradient_descent or sgd, momentum, nesterov, rmsprop, adam, adamw.
        loss_weights : list or dict of float, optional
            Factor of each output's loss; 1 unless given.
        l2 : float, default 0
            Adds l2 / 2 times the sum of the squared trainable weights (not biases) to the cost.

        Raises
        ------
        ValueError
            If a loss is missing, unknown, or does not fit its output.
        RuntimeError
            If a callback of `fit` calls it.

        Warns
        -----
        UserWarning
            If trainable layers lie below a binary step, whose derivative is 0.
        """
        with self._lock:
            if self._is_fitting:
                raise RuntimeError("compile cannot be called while fit runs")
            heads = make_heads(self.graph.outputs, self.output_names, loss, loss_weights)
            optimizer = optimizers.get(optimizer)
            l2 = check_number(l2, "l2", 0.0)
            self._warn_of_steps()
            trainable = [layer.trainable for layer in self._graph.layers for _ in layer.shapes]
            self._set_heads(heads, optimizer, l2, trainable)

    def _set_heads(
        self,
        heads: Sequence[LossOnOutput],
        optimizer: Optimizer,
        l2: float,
        trainable: Sequence[bool],
    ) -> None:
        program = self._program_with(heads, l2, trainable)
        with backend.use(self._backend):
            engine = backend.new_engine(program, self._storage)
        slots = {name: program.allocate() for name in optimizer.slot_names}
        engine.set_optimizer(optimizer.kind, optimizer.hyper, list(slots.values()))
        self._engine, self._slots, self._optimizer = engine, slots, optimizer
        self._feed = Feed(self._feed.inputs, heads, self._dtype)
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
        for step, cut in untrainable(self._graph).items():
            warnings.warn(
                f"the derivative of the binary step in layer {step!r} is 0: no gradient "
                f"reaches {', '.join(cut)}, whose parameters training will not change",
                UserWarning,
                stacklevel=3,
            )

    def _compiled(self) -> Optimizer:
        if self._optimizer is None:
            raise RuntimeError("call compile(loss=..., optimizer=...) first")
        return self._optimizer

    # ------------------------------------------------ probabilities and classes

    def predict_proba(
        self, X: Arrays, batch_size: int | None = None, check_finite: bool = True
    ) -> Any:
        """Probabilities: softmax of the outputs for cross-entropy, sigmoid for binary.

        Parameters
        ----------
        X, batch_size, check_finite
            As in `predict`.

        Returns
        -------
        (N, n_out) array, or (n_out,) for a single sample
            For several outputs a list or dict, with None where a loss implies no
            probabilities.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        ValueError
            If no loss implies probabilities.
        """
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
        self._compiled()
        if all(head.loss.activation is None for head in self._feed.heads):
            raise ValueError(
                "probabilities and classes need a classification loss, but the losses are "
                + ", ".join(head.loss.name for head in self._feed.heads)
            )
        with self._lock:
            arrays, single = self._feed.rows(X)
            outputs = self._outputs(arrays, batch_size, check)
        results: list[Any] = [None] * len(outputs)
        for head in self._feed.heads:
            result = rule(head.loss, outputs[head.output])
            results[head.output] = result[0] if single and result is not None else result
        return self._arrange(results)

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
            If the network has several losses: `evaluate` gives a score for each.
        """
        self._compiled()
        if len(self._feed.heads) > 1:
            raise ValueError("score needs a network with one loss; use evaluate")
        return self.evaluate(X, y, sample_weight)[self._feed.heads[0].loss.metric]

    def _metrics(self, data: Data, batch_size: int | None) -> dict[str, float]:
        """Cost and scores for checked data, from one forward pass."""
        outputs = self._outputs(data.inputs, batch_size, False)
        metrics = {"loss": self._penalty()}
        for head, (target, weights) in zip(self._feed.heads, data.targets, strict=True):
            output = outputs[head.output]
            value = head.loss.value(output, target, weights, self._kernels)
            score = head.loss.score(output, target, weights)
            metrics["loss"] += head.weight * value
            if len(self._feed.heads) == 1:
                metrics[head.loss.metric] = score
            else:
                metrics[f"{head.name}_loss"] = value
                metrics[f"{head.name}_{head.loss.metric}"] = score
        return metrics

    def _penalty(self) -> float:
        """l2 / 2 times the sum of the squared trainable weights."""
        program = self.program
        if not program.l2:
            return 0.0
        views = [self._views[p.name] for p in program.parameters if p.penalized and p.trainable]
        squares = sum(float(np.sum(np.square(view, dtype=np.float64))) for view in views)
        return 0.5 * program.l2 * squares

    # --------------------------------------------------------------- train

    def fit(
        self,
        X: Arrays,
        y: Arrays,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation_data: Sequence[Any] | None = None,
        validation_split: float | None = None,
        early_stopping: EarlyStopping | int | None = None,
        callbacks: Callbacks = None,
        class_weight: ClassWeight | Mapping[str, ClassWeight] = None,
        sample_weight: Weights = None,
        shuffle: bool = True,
        verbose: int = 0,
        check_finite: bool = True,
    ) -> History:
        """Train for some epochs more.

        Parameters
        ----------
        X : (N, n_in) array_like
            For several inputs a list of these, or a dict by name.  Any real
            dtype; memory maps are read some batches at a time.
        y : array_like
            Labels (N,) or rows (N, n_out) for cross-entropy, 0 and 1 for binary
            cross-entropy, numbers for the others; (N,) will do where n_out is 1.
            For several losses a list of these, or a dict by output.
        epochs : int, default 10
            Epochs to train now.
        batch_size : int, default 32
        validation_data : (X, y) or (X, y, sample_weight), optional
            Evaluated after each epoch; the history calls its metrics ``val_...``.
        validation_split : float, optional
            Share of the rows to hold out as validation data instead: drawn with
            the network's seed (the two parts are copies, so pass validation_data
            for memory maps), or the last rows if shuffle is False (no copies).
        early_stopping : EarlyStopping or int, optional
            An int is the patience of an `EarlyStopping` on ``val_loss``.
        callbacks : Callback, function, or several of them, optional
        class_weight : dict from class to weight, or one weight per class, optional
            Multiplies the weights of the training samples by their class.  For
            several losses a dict of these by output.
        sample_weight : (N,) array_like, optional
            Not negative.  For several losses also a list or dict by output.
        shuffle : bool, default True
            Visit the rows in a new order each epoch.
        verbose : {0, 1, 2}, default 0
            Nothing, a progress bar, or a line for each epoch.
        check_finite : bool, default True
            Refuse nan, inf and numbers beyond the network's dtype.

        Returns
        -------
        History
            Of all epochs of this network, those of earlier calls included.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        TypeError, ValueError
            If the data do not fit.
        TrainingError
            If the loss of a batch is not finite; it says where.

        Notes
        -----
        Ctrl-C ends training between two steps; the history says `interrupted`.
        """
        if validation_data is not None and validation_split is not None:
            raise ValueError("validation_data and validation_split cannot both be given")
        with self._lock, self._fitting():
            optimizer = self._compiled()
            shuffle = check_flag(shuffle, "shuffle")
            check_finite = check_flag(check_finite, "check_finite")
            data = self._feed.data(X, y, sample_weight, check_finite)
            validation = None
            if validation_split is not None:
                data, validation = data.split(validation_split, shuffle, self.seed)
            elif validation_data is not None:
                validation = self._feed.validation(validation_data, check_finite)
            if class_weight is not None:
                data = self._feed.weigh_classes(data, class_weight)
            return training.fit(
                self._engine, optimizer, self._state, data.inputs, data.targets,
                epochs=epochs, batch_size=batch_size, shuffle=shuffle, seed=self.seed,
                validate=None if validation is None else lambda: self._metrics(validation, None),
                callbacks=_all_callbacks(callbacks, early_stopping, validation is not None),
                verbose=verbose, snapshot=self._storage.copy, restore=self._restore, network=self,
            )  # fmt: skip

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """While `fit` runs, callbacks must not put another engine in the place of its own."""
        before, self._is_fitting = self._is_fitting, True
        try:
            yield
        finally:
            self._is_fitting = before

    def _restore(self, storage: np.ndarray) -> None:
        self._storage[...] = storage

    def train_step(
        self, X: Arrays, y: Arrays, sample_weight: Weights = None, check_finite: bool = True
    ) -> float:
        """One optimizer step on one batch.

        Parameters
        ----------
        X, y, sample_weight
            A batch, as in `fit`.
        check_finite : bool, default True
            Look for nan, inf and targets out of range first.

        Returns
        -------
        float
            The cost of the batch before the step.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        TypeError, ValueError
            If the data do not fit.
        TrainingError
            If the cost is not finite; the step is not taken.
        """
        with self._lock:
            optimizer = self._compiled()
            inputs, targets = self._feed.batch(X, y, sample_weight, check_finite, self._kernels)
            state = self._state
            step = state.step + 1
            rate = optimizer.learning_rate
            self._rate[0] = rate if type(rate) is float else training.learning_rate(optimizer, step)
            try:
                done = self._engine.train(
                    inputs, targets, None, len(inputs[0]), self._rate, step, self._loss
                )
            except ValueError:
                self._feed.explain(X, y)
                raise
            loss = float(self._loss[0])
            if not done:
                raise TrainingError(state.epoch + 1, 1, step, loss, float(self._rate[0]))
            state.step = step
            return loss

    def loss_and_gradients(
        self,
        X: Arrays,
        y: Arrays,
        sample_weight: Weights = None,
        training: bool = False,
        check_finite: bool = True,
    ) -> tuple[float, dict[str, np.ndarray]]:
        """The cost on some data and its gradient with respect to every parameter.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`, all in one batch.
        training : bool, default False
            Whether dropout is active, with the masks of the next step.
        check_finite : bool, default True
            Look for nan, inf and targets out of range first.

        Returns
        -------
        loss : float
            With the L2 penalty.
        gradients : dict of array
            New arrays by parameter name; frozen parameters have zeros.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        TypeError, ValueError
            If the data do not fit.
        """
        self._compiled()
        training = check_flag(training, "training")
        with self._lock:
            inputs, targets = self._feed.batch(X, y, sample_weight, check_finite, self._kernels)
            step = self._state.step + 1
            try:
                loss = self._engine.loss_and_gradients(inputs, targets, training, step)
            except ValueError:
                self._feed.explain(X, y)
                raise
            return float(loss), {name: np.array(g) for name, g in self.gradients.items()}

    # ------------------------------------------------------- save and load

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file that `load` reads: safetensors with a JSON structure.

        Parameters, graph, loss and optimizer with its state, counters and history
        are stored, so that training goes on exactly where it stopped.

        Raises
        ------
        ValueError
            If the learning rate is a function, which no file can hold.
        OSError
            If the file cannot be written: FileNotFoundError if its folder is not there.
        """
        with self._lock:
            serialization.save(path, _saved.structure(self), _saved.arrays(self))

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            parts = _saved.structure(self, as_data=False), _saved.arrays(self)
        return _saved.rebuild_on, (self._backend, *parts)


def _as_list(ends: Any) -> list[Any]:
    """Inputs or outputs as a list; what they are is checked later."""
    return list(ends) if isinstance(ends, (list, tuple)) else [ends]


def _all_callbacks(
    callbacks: Callbacks, early_stopping: EarlyStopping | int | None, validated: bool
) -> list[Callback]:
    """The callbacks, early stopping last."""
    found = as_callbacks(callbacks)
    if early_stopping is None:
        return found
    if not isinstance(early_stopping, EarlyStopping):
        early_stopping = EarlyStopping(patience=early_stopping)
    if early_stopping.monitor.startswith("val_") and not validated:
        raise ValueError(
            f"early_stopping watches {early_stopping.monitor}: "
            "pass validation_data or validation_split"
        )
    return [*found, early_stopping]
