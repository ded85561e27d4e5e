"""What the classifier and the regressor have in common: a training from data to attributes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastnn import backend
from fastnn.estimators import construction, conversion, copies, data
from fastnn.estimators.data import Rows
from fastnn.estimators.parameters import (
    CONSTRAINTS,
    STRUCTURE,
    dtypes,
    is_stochastic,
    layer_activations,
    optimizer_of,
    widths,
)
from fastnn.estimators.progress import Convergence, Progress, Rules
from fastnn.estimators.rates import rate_of
from fastnn.estimators.tasks import CallbackSupportMixin, Tasks, tasks_of, with_callbacks
from fastnn.facts.precisions import PRECISIONS
from fastnn.formats._fitted import Bag, Classes, Fitted, Number
from fastnn.formats.pipelines import Convertible
from fastnn.network import Sequential
from fastnn.optimizers import Optimizer
from fastnn.training.callbacks import Callback, History, is_function, own_callbacks
from fastnn.training.data import Data
from fastnn.training.session import Plan
from fastnn.training.state import TrainingError

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)
CALLER = 6
"""Frames from a warning of a training up to the call of `fit`, below scikit-learn's decorator."""

Validation = Sequence[Any] | None
"""X, y and sample weights of the caller's own rows to validate on."""


class Perceptron(CallbackSupportMixin, Convertible, BaseEstimator):
    """The base of the classifier and the regressor.

    Parameters
    ----------
    values : mapping
        The value of each parameter in the signature of the subclass's constructor.
    """

    _parameter_constraints: dict[str, Any] = CONSTRAINTS
    _settings: Any
    """The optimizer, alpha and the learning rate of the last training."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._set({name: values[name] for name in self._get_param_names()})

    def __getstate__(self) -> dict[str, Any]:
        return copies.described(super().__getstate__())

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(copies.attributes(state))

    # ------------------------------------------------- what a subclass has

    def _read(self, X: Any, y: Any, starts: bool, incremental: bool) -> tuple[np.ndarray, Any]:
        """X and the targets of the network, checked."""
        raise NotImplementedError

    def _read_validation(self, X: Any, y: Any) -> tuple[np.ndarray, Any]:
        """X and the targets of the caller's own rows to validate on, checked."""
        raise NotImplementedError

    def _outputs_for(self, targets: np.ndarray) -> int:
        """Number of outputs of a network with these targets."""
        raise NotImplementedError

    def _loss(self) -> Any:
        """The parameter `loss` as an object, or the name that stands for several losses."""
        raise NotImplementedError

    def _loss_and_weight(self) -> tuple[Any, float]:
        """The loss of the network and its weight."""
        raise NotImplementedError

    def _out_activation(self) -> str:
        """Name of the function from outputs to predictions."""
        raise NotImplementedError

    def _weighed(self, rows: Rows, own: Rows | None) -> tuple[Rows, Rows | None]:
        """Rows to train on, and the caller's own rows to validate on, with their final weights."""
        return rows, own

    def _strata(self, targets: np.ndarray) -> Any:
        """Groups that a part of the rows is to have in proportion, or None."""
        return None

    def _reported(self, rows: Rows) -> tuple[float, float]:
        """A factor of the network's loss, and what is then added to it, to report it."""
        return 1.0, 0.0

    def _scoring(self, rows: Rows) -> Callable[[dict[str, float]], float]:
        """The score of held-out rows, from the measures of an epoch."""
        raise NotImplementedError

    # ------------------------------------------------------------ training

    @with_callbacks
    def _fit(
        self, X: Any, y: Any, sample_weight: Any, validation: Validation, incremental: bool
    ) -> Self:
        """Train a network, or train it on."""
        if not (incremental and hasattr(self, "network_")):
            self._validate_params()
        self._check_increment(incremental, validation)
        tasks = None
        if not incremental:
            tasks = tasks_of(self, X, y, sample_weight, int(self.max_iter))
        continues = incremental or bool(self.warm_start)
        starts = not (continues and hasattr(self, "network_"))
        X, targets = self._read(X, y, starts, incremental)
        rows = Rows(X, targets, data.read_weights(sample_weight, len(targets)))
        random_state = check_random_state(self.random_state)
        if starts:
            self._begin(rows, random_state, continues)
        else:
            self._refuse_other_structure()
        own = None if validation is None else self._own_validation(validation)
        watchers = own_callbacks(self.callbacks, 1)[0]
        self.callbacks_ = [watcher for watcher in watchers if not is_function(watcher)]
        rows, own = self._weighed(rows, own)
        asked = self.early_stopping or any(w.monitor.startswith("val_") for w in watchers)
        rows, held_out = self._divide(rows, random_state) if asked and own is None else (rows, own)
        self._prepare(rows.total, starts or not incremental)
        with self._threads():
            self._train(rows, held_out, random_state, incremental, watchers, tasks)
        if tasks is not None:
            tasks.end()
        return self

    def _check_increment(self, incremental: bool, validation: Validation) -> None:
        """Raise ValueError if an option does not go with `partial_fit`."""
        if not incremental:
            return
        if self.early_stopping and validation is None:
            raise ValueError(
                "partial_fit does not support early_stopping=True without validation data: pass "
                "X_val and y_val"
            )
        if self.callbacks is not None:
            raise ValueError(
                "partial_fit does not go with callbacks: each call is a training of its own"
            )

    def _begin(self, rows: Rows, random_state: np.random.RandomState, continues: bool) -> None:
        """Make the network, untrained."""
        n_in, n_out = rows.X.shape[1], self._outputs_for(rows.targets)
        if continues and hasattr(self, "coefs_") and hasattr(self, "intercepts_"):
            values = list(zip(self.coefs_, self.intercepts_, strict=True))
            activations = layer_activations(self.activation, len(values) - 1)
            network = construction.assemble(values, activations, float(self.dropout), rows.X.dtype)
        else:
            network = construction.build(self, n_in, n_out, rows.X.dtype, random_state)
        self._adopt(network)

    def _adopt(self, network: Sequential) -> None:
        """Take a network as the one to train, and begin to count."""
        for name in ("_coefs", "_intercepts"):
            self.__dict__.pop(name, None)
        self.network_ = network
        self._structure = self._current_structure()
        self._progress = Progress()
        self.n_layers_ = len(self.coefs_) + 1
        self.n_outputs_ = int(self.intercepts_[-1].size)
        self.out_activation_ = self._out_activation()

    def _current_structure(self) -> dict[str, Any]:
        """The parameters that a trained network cannot change, such that they can be compared."""
        hidden = widths(self.hidden_layer_sizes)
        return {
            "hidden_layer_sizes": hidden,
            "activation": [repr(f) for f in layer_activations(self.activation, len(hidden))],
            "loss": repr(self._loss()),
            "dropout": float(self.dropout),
            "dtype": None if self.dtype is None else np.dtype(self.dtype).name,
        }

    def _refuse_other_structure(self) -> None:
        """Raise ValueError if a parameter has changed that a trained network cannot change."""
        now = self._current_structure()
        for name in STRUCTURE:
            if now[name] != self._structure[name]:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, but the trained network has "
                    f"{self._structure[name]}: a network cannot change its {name} in partial_fit "
                    "or with warm_start=True; call fit with warm_start=False"
                )

    def _own_validation(self, validation: Sequence[Any]) -> Rows:
        """The caller's own rows to validate on, checked."""
        X, y, sample_weight = validation
        X, targets = self._read_validation(X, y)
        return Rows(X, targets, data.read_weights(sample_weight, len(targets), "sample_weight_val"))

    def _divide(self, rows: Rows, random_state: np.random.RandomState) -> tuple[Rows, Rows]:
        """Rows to train on, and a part of them that is held out."""
        share, strata = float(self.validation_fraction), self._strata(rows.targets)
        return data.hold_out(rows, share, random_state, strata)

    def _prepare(self, total: float, afresh: bool) -> None:
        """Give the network its loss and its optimizer; keep their state unless `afresh`.

        `total` is the weight of the rows to train on, which the penalty is divided by.
        """
        optimizer, network = optimizer_of(self), self.network_
        rate = rate_of(self)
        shape = rate.initial, rate.kind, rate.power
        settings = optimizer, float(self.alpha), shape, self.precision
        if not afresh and settings == self._settings:
            return
        state = None if afresh else network.get_state()
        loss, weight = self._loss_and_weight()
        self._penalty_total = total
        network.compile(
            loss, optimizer, loss_weights=dict.fromkeys(network.output_names, weight),
            l2=float(self.alpha) / self._penalty_total, precision=self.precision,
        )  # fmt: skip
        if afresh or settings[2] != self._settings[2]:
            self._optimizer = rate
            if state is not None:
                state["training"]["rate_factor"] = 1.0
        if state is not None and type(optimizer) is type(self._settings[0]):
            network.set_state(state)
        self._settings = settings

    def _threads(self) -> AbstractContextManager[None]:
        """At most `n_jobs` threads, where it is given."""
        if self.n_jobs is None:
            return nullcontext()
        n = int(self.n_jobs)
        if n == 0:
            raise ValueError("n_jobs must not be 0")
        return backend.at_most_threads(n if n > 0 else max(1, backend.get_num_threads() + 1 + n))

    def _train(
        self,
        rows: Rows,
        held_out: Rows | None,
        random_state: np.random.RandomState,
        incremental: bool,
        watchers: list[Callback],
        tasks: Tasks | None,
    ) -> None:
        """Train the network on checked rows, and set the attributes."""
        core = self.network_.core
        rule = self.weights_mean if is_stochastic(self.solver) else "data"
        trained = self._feed(rows, rule, "y")
        validated = None if held_out is None else self._feed(held_out, "data", "y to validate on")
        convergence = self._convergence(rows, held_out, incremental)
        watchers = [*watchers, convergence]
        if tasks is not None:
            watchers.append(tasks)  # the last one, which sees whether another ends the training
        plan = self._plan(rows, watchers, rule, random_state, incremental)
        try:
            self.history_: History = core.fit(trained, plan, validated, self.network_)
        except TrainingError as error:
            self._publish(convergence)
            if not self.early_stopping or self._progress.best is None:
                raise ValueError(NOT_FINITE) from error
            self._diverged(error)
            return
        self._publish(convergence)
        if not (incremental or self.warm_start):
            self._progress.best = None  # no later training needs it
        if self.history_.interrupted:
            # The network stays usable, but a search over many fits must end.
            raise KeyboardInterrupt
        if not incremental:
            self._warn_unless_converged()

    def _feed(self, rows: Rows, rule: Any, name: str) -> Data:
        """Rows as the network reads them; scikit-learn has checked X."""
        core = self.network_.core
        for head in core.heads:
            head.loss.target(rows.targets, head.width, core.dtype, name)
        return core.feed.data(rows.X, rows.targets, rows.weights, False, rule=rule)

    def _plan(
        self,
        rows: Rows,
        watchers: list[Callback],
        rule: Any,
        random_state: np.random.RandomState,
        incremental: bool,
    ) -> Plan:
        """How the training is to run: in the batches of scikit-learn, or by a solver."""
        epochs = 1 if incremental else int(self.max_iter)
        if not isinstance(self.network_.optimizer, Optimizer):
            return Plan(epochs, callbacks=watchers)
        size, is_clipped = data.batch_rows(self.batch_size, len(rows))
        if is_clipped:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=CALLER,
            )
        return Plan(
            epochs, size, False, callbacks=watchers, weights_mean=rule,
            order=data.Shuffling(len(rows), random_state) if self.shuffle else None,
            penalty_weights=rows.counts / self._penalty_total,
        )  # fmt: skip

    def _convergence(self, rows: Rows, held_out: Rows | None, incremental: bool) -> Convergence:
        """What ends the training, and notes its measures."""
        score = None
        if self.early_stopping:
            assert held_out is not None
            score = self._scoring(held_out)
        rules = Rules(
            float(self.tol), float(self.n_iter_no_change), self._optimizer, score,
            ends=is_stochastic(self.solver) or score is not None,
            restores=not incremental, verbose=bool(self.verbose),
        )  # fmt: skip
        seen = len(rows) if is_stochastic(self.solver) else 0
        return Convergence(self._progress, rules, seen, *self._reported(rows))

    # ---------------------------------------------------------- attributes

    def _publish(self, convergence: Convergence) -> None:
        """Set the attributes that scikit-learn's networks have."""
        self.n_iter_ = convergence.epochs
        self._set(self.measured())

    def _set(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes by name."""
        for name, value in attributes.items():
            setattr(self, name, value)

    def measured(self) -> dict[str, Any]:
        """The attributes that tell of the training so far, but for its number of epochs."""
        progress, scored = self._progress, bool(self.early_stopping)
        attributes = {
            "t_": progress.n_samples,
            "loss_curve_": progress.loss_curve,
            "best_loss_": None if scored else progress.best_loss,
            "validation_scores_": progress.scores if scored else None,
            "best_validation_score_": progress.best_score if scored else None,
            "_no_improvement_count": progress.no_improvement,
        }
        return attributes | ({"loss_": progress.loss_curve[-1]} if progress.loss_curve else {})

    def _diverged(self, error: TrainingError) -> None:
        """Note an epoch that was broken off; the parameters are those of the best epoch."""
        self._progress.scores.append(np.nan)
        warnings.warn(
            f"The training diverged, and the parameters are those of the best epoch: {error}",
            ConvergenceWarning,
            stacklevel=CALLER,
        )

    def _warn_unless_converged(self) -> None:
        """Warn where the limit of iterations ended the training."""
        if self.history_.stopped_early or self.history_.message.startswith("converged"):
            return
        if is_stochastic(self.solver):
            message = (
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet."
            )
        else:
            message = (
                f"{optimizer_of(self).name} failed to converge after {self.n_iter_} "
                f"iteration(s): {self.history_.message}"
            )
        warnings.warn(message, ConvergenceWarning, stacklevel=CALLER)

    def _take(self, model: Any) -> Self:
        """Become what a fitted model of scikit-learn is; the parameters are those of the model."""
        self._adopt(conversion.network_of(model))
        conversion.copy_measures(self, model)
        rows = self._progress.n_samples // max(int(model.n_iter_), 1)
        self._prepare(max(float(rows), 1.0), True)
        conversion.copy_optimizer(self, model)
        self._set(self.measured())
        self.history_, self.callbacks_ = self.network_.history, []
        return self

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights (n_in, n_out) of each layer: live views, into which assignments copy.

        Assigned together with `intercepts_` before the first training, they are the initial
        values of `partial_fit` and of `fit` with ``warm_start=True``.
        """
        return self._arrays("_coefs", construction.coefficients)

    @coefs_.setter
    def coefs_(self, values: list[Any]) -> None:
        self._assign("_coefs", values, construction.coefficients)

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases (n_out,) of each layer: live views, into which assignments copy."""
        return self._arrays("_intercepts", construction.intercepts)

    @intercepts_.setter
    def intercepts_(self, values: list[Any]) -> None:
        self._assign("_intercepts", values, construction.intercepts)

    def _arrays(self, name: str, views: Callable[[Any], list[np.ndarray]]) -> list[np.ndarray]:
        if "network_" in self.__dict__:
            return views(self.network_)
        if name in self.__dict__:
            initial: list[np.ndarray] = self.__dict__[name]
            return initial
        raise AttributeError(f"{type(self).__name__} has no {name[1:]}_ before it is fitted")

    def _assign(
        self, name: str, values: list[Any], views: Callable[[Any], construction.LiveArrays]
    ) -> None:
        if "network_" in self.__dict__:
            construction.assign(views(self.network_), values, f"{name[1:]}_")
        else:
            self.__dict__[name] = values

    # ---------------------------------------------------------- prediction

    def _meaning(self) -> Classes | Number:
        """What the outputs of the network mean, for other programs."""
        raise NotImplementedError

    def _fitted_model(self) -> Fitted:
        check_is_fitted(self, "network_")
        return Fitted(None, (Bag((self.network_,)),), self._meaning())

    def _outputs(self, X: Any) -> np.ndarray:
        """The outputs (N, n_outputs) of the network."""
        check_is_fitted(self, "network_")
        inputs = data.read_inputs(self, X, self.network_.dtype)
        with self._threads():
            outputs: np.ndarray = self.network_.predict(inputs, check_finite=False)
        return outputs

    def _input_dtypes(self, starts: bool) -> Any:
        """The dtypes that X may keep."""
        if starts and self.dtype is None and PRECISIONS[self.precision].dtype:
            return dtypes(PRECISIONS[self.precision].dtype)
        return dtypes(self.dtype) if starts else self.network_.dtype

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def check_solver(estimator: Perceptron) -> bool:
    """Whether the solver takes steps, for `available_if`.

    Raises
    ------
    AttributeError
        If it does not: the estimator has no `partial_fit` then.
    """
    if not is_stochastic(estimator.solver):
        name = getattr(estimator.solver, "name", estimator.solver)
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {name} is not stochastic."
        )
    return True
