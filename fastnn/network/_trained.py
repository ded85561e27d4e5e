"""A network in training: epochs, single steps, gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from fastnn._shared.arrays import Arrays, Weights, is_readable, readable
from fastnn._shared.numbers import check_flag
from fastnn.backend.finite import GradientError
from fastnn.losses import ClassWeight
from fastnn.network._feed import Data
from fastnn.network._full_batch import FullBatch
from fastnn.network._judged import JudgedGraph
from fastnn.solvers import Solver
from fastnn.training import loop
from fastnn.training.callbacks import Callback, Callbacks, EarlyStopping, History, as_callbacks
from fastnn.training.loop import TrainingError
from fastnn.training.solving import solve


class TrainedGraph(JudgedGraph):
    """What a network is as it learns."""

    # --------------------------------------------------------------- train

    def fit(
        self,
        X: Arrays,
        y: Arrays,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
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
        epochs : int, optional
            Epochs to train now, 10 unless given.  For a solver (`LBFGS`,
            `LevenbergMarquardt`), iterations, at most its `max_iterations`
            unless given.
        batch_size : int, optional
            32 unless given.  A solver takes all samples at once and no batch_size.
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
            Visit the rows in a new order each epoch.  A solver visits all at
            once, so that this only says how validation_split draws.
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
            If the loss of a batch is not finite, or the gradient that a custom loss or
            layer returned, or what a solver starts from; it says where, and the parameters
            are those before that step.

        Notes
        -----
        Ctrl-C ends training between two steps; the history says `interrupted`.

        Iterations of a solver are reported as epochs: the history has the cost of all
        samples at their end, and its `message` says why the solver ended.  Callbacks
        watch and stop it; what they write into the parameters, it overwrites.  A
        later `fit` starts from the parameters, but learns curvature anew.
        """
        if validation_data is not None and validation_split is not None:
            raise ValueError("validation_data and validation_split cannot both be given")
        with self._lock, self._fitting():
            optimizer = self._compiled()
            shuffle = check_flag(shuffle, "shuffle")
            data = self._feed.data(X, y, sample_weight, check_finite)
            validation = None
            if validation_split is not None:
                data, validation = data.split(validation_split, shuffle, self.seed)
            elif validation_data is not None:
                validation = self._feed.validation(validation_data, check_finite)
            if class_weight is not None:
                data = self._feed.weigh_classes(data, class_weight)
            watchers = _all_callbacks(callbacks, early_stopping, validation is not None)
            validate = None if validation is None else lambda: self._metrics(validation, None)
            if isinstance(optimizer, Solver):
                if batch_size is not None:
                    raise ValueError(
                        f"batch_size does not go with {optimizer.name}, which takes all samples "
                        "at once"
                    )
                return solve(
                    optimizer, FullBatch(self, data), self._state, iterations=epochs,
                    validate=validate, callbacks=watchers, verbose=verbose,
                    snapshot=self._storage.copy, restore=self._restore, network=self,
                )  # fmt: skip
            return loop.fit(
                self._engine, optimizer, self._state, data.inputs, data.targets,
                epochs=10 if epochs is None else epochs,
                batch_size=32 if batch_size is None else batch_size,
                shuffle=shuffle, seed=self.seed, validate=validate, callbacks=watchers,
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
            If the network has not been compiled, or with a solver, which takes no steps.
        TypeError, ValueError
            If the data do not fit.
        TrainingError
            If the cost is not finite, or a gradient of a custom loss or layer; the step is
            not taken.
        """
        with self._lock:
            state = self._state
            step = state.step + 1
            rate = loop.learning_rate(self._optimizer or self._compiled(), step)
            loss: float | None = None
            try:
                if sample_weight is None:
                    loss = self._engine.step(X, y, rate, step, check_finite)
                if loss is None:
                    loss = self._step(self._feed.data(X, y, sample_weight, check_finite), rate)
            except GradientError as error:
                epoch = state.epoch + 1
                raise TrainingError(epoch, 1, step, error.loss, rate, str(error)) from error
            state.step = step
            return loss

    def _step(self, data: Data, rate: float) -> float:
        """One optimizer step on checked data; TrainingError if the cost is not finite."""
        losses = np.empty(1)
        inputs, step = self._readable(data.inputs), self._state.step + 1
        done = self._engine.train(
            inputs, data.targets, None, len(inputs[0]), np.full(1, rate), step, losses
        )
        if not done:
            raise TrainingError(self._state.epoch + 1, 1, step, float(losses[0]), rate)
        return float(losses[0])

    def _readable(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [readable(array, self._dtype) for array in arrays]

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
            step = self._state.step + 1
            loss = None
            if sample_weight is None:
                loss = self._ready_gradients(X, y, training, step, check_finite)
            if loss is None:
                data = self._feed.data(X, y, sample_weight, check_finite)
                inputs = self._readable(data.inputs)
                loss = self._engine.loss_and_gradients(inputs, data.targets, training, step)
            return float(loss), {name: np.array(g) for name, g in self.gradients.items()}

    def _ready_gradients(
        self, X: Any, y: Any, training: bool, step: int, check: bool
    ) -> float | None:
        """The cost on X and y as they are; None where they must be prepared, or are unfit."""
        if isinstance(check, bool) and all(
            type(array) is np.ndarray and is_readable(array) for array in (X, y)
        ):
            with suppress(TypeError, ValueError):
                return self._engine.loss_and_gradients([X], [(y, None)], training, step, check)
        return None


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
