"""The preset for tables: the options of a training, and the network that they describe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from fastnn import optimizers
from fastnn._shared.config import replace_fields
from fastnn._shared.numbers import check_choice, check_integer, check_number
from fastnn.facts.precisions import PRECISIONS
from fastnn.layers import Dense, Dropout, Layer
from fastnn.losses._elementwise import quantile_levels
from fastnn.network import Sequential
from fastnn.optimizers import Optimizer
from fastnn.program import ACTIVATIONS
from fastnn.schedules import Cosine, CosineLog, FlatCosine
from fastnn.solvers import LevenbergMarquardt, Solver
from fastnn.tabular.objectives import LOSSES, QUANTILES, Regression
from fastnn.tabular.preprocessing import SCALINGS_OR_AUTO, Preprocessor
from fastnn.tabular.splitting import TASKS
from fastnn.training.callbacks import Callback, EarlyStopping
from fastnn.training.plateau import ReduceOnPlateau
from fastnn.training.session import WEIGHTS_MEANS

__all__ = ["DTYPES", "SCHEDULES", "Options", "build", "choose_optimizer", "dense_network"]

DEFAULT_PATIENCE = 15
DEFAULT_BATCH_SIZE = 32
DEFAULT_PLATEAU_PATIENCE = 5
DEFAULT_PLATEAU_FACTOR = 0.1

_FALLING = {"cosine": Cosine, "flat_cosine": FlatCosine, "cosine_log": CosineLog}

SCHEDULES = ("constant", *_FALLING, "plateau")
"""Values of the parameter `schedule`."""

DTYPES = ("float32", "float64")
"""Values of the parameter `dtype`."""


@dataclass(frozen=True)
class Options:
    """The options of a training on a table: its parts, the network and the optimizer.

    Parameters
    ----------
    hidden : sequence of int, or int, default (100,)
        Widths of the hidden layers; an empty sequence gives a linear model.
    activation : str, default "relu"
        Activation of the hidden layers.
    dropout : float, default 0
        Rate of the dropout after each hidden layer, in [0, 1).
    optimizer : str, default "adam"
        Name of an optimizer, or of a solver, which trains on all rows at once and takes no
        `batch_size`, `learning_rate`, `schedule` or `dropout`.
    learning_rate : float, optional
        By default the learning rate of the optimizer.
    schedule : str, default "constant"
        One of `SCHEDULES`.  "cosine" decreases the learning rate to 0 over all epochs;
        "flat_cosine" does so after half of them, and "cosine_log" in four waves.  "plateau"
        multiplies it by `plateau_factor` after `plateau_patience` epochs without a lower
        validation loss; see `ReduceOnPlateau`.
    plateau_factor : float, optional
        In (0, 1); 0.1 by default.
    plateau_patience : int, optional
        5 by default; less than `patience`.
    l2 : float, default 0
        Factor of the penalty on the squared weights; see `Network.compile`.
    epochs : int, default 100
        Largest number of epochs; for a solver, of iterations.
    batch_size : int, optional
        Number of rows of a batch, 32 by default.
    validation, test : float, default 0.15
        Shares of the rows for validation and for the test, in [0, 1).
    patience : int, optional
        Number of successive epochs without a lower validation loss after which training ends;
        15 by default.  Training never ends early for 0, or without validation data.
    class_weight : {"balanced"}, optional
        For classification, "balanced" gives each row to train on the weight n / (K count), for n
        such rows, of K classes, count of them of the row's class.
    weights_mean : {"data", "batch", "count"}, default "data"
        What the weighted losses of a batch are divided by; see `Network.fit`.  It makes a
        difference with `class_weight`.
    seed : int, default 0
        Seed of the split, the initial values, the batches and the dropout.
    dtype : {"float32", "float64"}, default "float32"
        Precision of the parameters and computations.
    precision : {"float32", "bfloat16"}, default "float32"
        What the products of large layers multiply; see `Network.compile`.
    task : {"auto", "classification", "regression"}, default "auto"
        For "auto", text and a few whole numbers that repeat are classes.
    scaling : {"auto", "robust", "columns", "common", "none"}, default "auto"
        Scaling of the columns of numbers; see `Preprocessor.fit`.
    loss : {"squared_error", "absolute_error", "huber", "poisson", "quantile"}, optional
        The loss of a regression; with ``task="auto"`` it implies one.  By default the squared
        error, which is that of one dense network in any case.
    quantiles : float or sequence of float, optional
        Levels in (0, 1) of ``loss="quantile"``, in ascending order; 0.05, 0.5 and 0.95 by default.

    Raises
    ------
    TypeError, ValueError
        If a parameter has a wrong type or value, or two of them contradict each other.  The
        message begins with the name of the parameter.
    """

    hidden: Sequence[int] | int = (100,)
    activation: str = "relu"
    dropout: float = 0.0
    optimizer: str = "adam"
    learning_rate: float | None = None
    schedule: str = "constant"
    plateau_factor: float | None = None
    plateau_patience: int | None = None
    l2: float = 0.0
    epochs: int = 100
    batch_size: int | None = None
    validation: float = 0.15
    test: float = 0.15
    patience: int | None = None
    class_weight: Literal["balanced"] | None = None
    weights_mean: Literal["data", "batch", "count"] = "data"
    seed: int = 0
    dtype: str = "float32"
    precision: str = "float32"
    task: str = "auto"
    scaling: str = "auto"
    loss: str | None = None
    quantiles: float | Sequence[float] | None = None

    def __post_init__(self) -> None:
        replace_fields(self, hidden=hidden_widths(self.hidden))
        check_choice(self.activation, "activation", ACTIVATIONS)
        check_number(self.dropout, "dropout", 0.0, below=1.0)
        if self.learning_rate is not None:
            check_number(self.learning_rate, "learning_rate", 0.0)
        check_choice(self.schedule, "schedule", SCHEDULES)
        if self.plateau_factor is not None:
            check_number(self.plateau_factor, "plateau_factor", above=0.0, below=1.0)
        if self.plateau_patience is not None:
            check_integer(self.plateau_patience, "plateau_patience", 1)
        check_number(self.l2, "l2", 0.0)
        check_integer(self.epochs, "epochs", 1)
        if self.batch_size is not None:
            check_integer(self.batch_size, "batch_size", 1)
        check_number(self.validation, "validation", 0.0, below=1.0)
        check_number(self.test, "test", 0.0, below=1.0)
        if self.patience is not None:
            check_integer(self.patience, "patience", 0)
        if self.class_weight is not None:
            check_choice(self.class_weight, "class_weight", ("balanced",))
        check_choice(self.weights_mean, "weights_mean", WEIGHTS_MEANS)
        check_choice(self.precision, "precision", tuple(PRECISIONS))
        check_integer(self.seed, "seed", 0)
        check_choice(self.dtype, "dtype", DTYPES)
        check_choice(self.task, "task", TASKS)
        check_choice(self.scaling, "scaling", SCALINGS_OR_AUTO)
        if self.loss is not None:
            check_choice(self.loss, "loss", LOSSES)
        if self.quantiles is not None:
            replace_fields(self, quantiles=quantile_levels(self.quantiles))
        self._check_combinations()

    def _check_combinations(self) -> None:
        """Raise ValueError if two parameters contradict each other."""
        if self.patience and not self.validation:
            raise ValueError("patience needs validation data, but validation=0")
        if self.dropout and not self.hidden:
            raise ValueError("dropout needs hidden layers, but hidden=()")
        if self.weights_mean != "data" and self.class_weight is None:
            raise ValueError(
                f"weights_mean={self.weights_mean!r} needs class_weight='balanced': without it all "
                "rows weigh the same"
            )
        if self.quantiles is not None and self.loss != "quantile":
            other = "" if self.loss is None else f", but loss={self.loss!r}"
            raise ValueError(f"quantiles need loss='quantile'{other}")
        if self.loss is not None and self.task == "classification":
            raise ValueError(f"loss={self.loss!r} is for regression, but task={self.task!r}")
        needed = PRECISIONS[self.precision].dtype
        if needed and self.dtype != needed:
            raise ValueError(
                f"precision={self.precision!r} needs dtype={needed!r}, got {self.dtype!r}"
            )
        if self.has_solver:
            self._refuse_parameters_of_steps()
        self._check_plateau()
        choose_optimizer(self.optimizer, self.learning_rate)

    def _check_plateau(self) -> None:
        """The schedule "plateau" needs validation data, and epochs before the training ends."""
        if self.schedule != "plateau":
            for name in ("plateau_factor", "plateau_patience"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name} needs schedule='plateau', but schedule={self.schedule!r}"
                    )
            return
        if not self.validation:
            raise ValueError("schedule='plateau' needs validation data, but validation=0")
        waits, ends = self.epochs_of_plateau, self.epochs_of_stopping
        if ends and waits >= ends:
            raise ValueError(
                f"plateau_patience={waits} must be less than patience={ends}: training would end "
                "before the learning rate decreases"
            )

    def _refuse_parameters_of_steps(self) -> None:
        """A solver has no batches and no learning rate, and its cost must not be random."""
        is_set = {
            "batch_size": self.batch_size is not None,
            "learning_rate": self.learning_rate is not None,
            "schedule": self.schedule != "constant",
            "weights_mean": self.weights_mean != "data",
            "precision": self.precision != "float32",
            "dropout": self.dropout > 0,
        }
        for name, differs in is_set.items():
            if differs:
                raise ValueError(
                    f"{name} does not go with optimizer={self.optimizer!r}, which takes no steps "
                    "on batches but solves for all rows at once"
                )

    @property
    def task_of_loss(self) -> str:
        """The parameter `task`; "regression" where the loss implies it."""
        return self.task if self.loss is None or self.task != "auto" else "regression"

    def objective_of_numbers(self, y: np.ndarray) -> Regression:
        """The objective of a regression for the targets of the training."""
        levels = QUANTILES if self.quantiles is None else self.quantiles
        return Regression.fit(y, self.loss or "squared_error", levels)

    @property
    def has_solver(self) -> bool:
        """Whether the optimizer is a solver, which trains on all rows at once."""
        return isinstance(choose_optimizer(self.optimizer), Solver)

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of the hidden layers."""
        return hidden_widths(self.hidden)

    @property
    def rows_of_batch(self) -> int:
        """Number of rows of a batch, for an optimizer that takes batches."""
        return DEFAULT_BATCH_SIZE if self.batch_size is None else self.batch_size

    @property
    def epochs_of_stopping(self) -> int:
        """The patience of early stopping, 0 for none."""
        patience = DEFAULT_PATIENCE if self.patience is None else self.patience
        return patience if self.validation else 0

    @property
    def early_stopping(self) -> EarlyStopping | None:
        """The callback that ends training before the last epoch, or None."""
        patience = self.epochs_of_stopping
        return EarlyStopping(patience=patience) if patience else None

    @property
    def factor_of_plateau(self) -> float:
        """The factor of each reduction of the learning rate by the schedule "plateau"."""
        return DEFAULT_PLATEAU_FACTOR if self.plateau_factor is None else self.plateau_factor

    @property
    def epochs_of_plateau(self) -> int:
        """The patience of the schedule "plateau"."""
        return DEFAULT_PLATEAU_PATIENCE if self.plateau_patience is None else self.plateau_patience

    @property
    def callbacks(self) -> list[Callback]:
        """The callbacks of the training, without early stopping."""
        if self.schedule != "plateau":
            return []
        factor, patience = self.factor_of_plateau, self.epochs_of_plateau
        return [ReduceOnPlateau(factor=factor, patience=patience)]


# ---------------------------------------------------------------- the network


def hidden_widths(hidden: Sequence[int] | int) -> tuple[int, ...]:
    """The widths of the hidden layers as a tuple; an int is one width.

    Raises
    ------
    TypeError, ValueError
        If a width is not a positive integer.
    """
    return tuple(check_integer(width, "hidden", 1) for width in np.atleast_1d(hidden).tolist())


def dense_network(
    n_in: int,
    n_out: int,
    hidden: Sequence[int] | int,
    activation: Any,
    dropout: float,
    dtype: DTypeLike,
    seed: int,
) -> Sequential:
    """A multilayer perceptron: hidden layers with one activation, and a linear last layer.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of inputs and outputs.
    hidden : sequence of int, or int
        Widths of the hidden layers.
    activation : str or Activation
        Activation of the hidden layers.
    dropout : float
        Rate of the dropout after each hidden layer; 0 gives no layer of dropout.
    dtype, seed
        As in `Sequential`.

    Raises
    ------
    TypeError, ValueError
        If a parameter has a wrong type or value; the message names it.
    """
    layers: list[Layer] = []
    for width in hidden_widths(hidden):
        layers.append(Dense(n_in, width, activation))
        if check_number(dropout, "dropout", 0.0, below=1.0):
            layers.append(Dropout(dropout))
        n_in = width
    layers.append(Dense(n_in, n_out))
    return Sequential(layers, dtype=dtype, seed=seed)


def choose_optimizer(optimizer: Any, learning_rate: Any = None) -> Optimizer | Solver:
    """The optimizer or solver, with another learning rate if one is given.

    Parameters
    ----------
    optimizer : str, dict, Optimizer or Solver
        As in `fastnn.optimizers.get`.
    learning_rate : float or Schedule, optional
        By default the learning rate of the optimizer.

    Raises
    ------
    ValueError
        If the optimizer is unknown, or if the learning rate is negative or is given for a
        solver.
    """
    chosen = optimizers.get(optimizer)
    if learning_rate is None:
        return chosen
    if isinstance(chosen, Solver):
        raise ValueError(
            f"learning_rate does not go with optimizer={chosen.name!r}, which has no learning rate"
        )
    return replace(chosen, learning_rate=learning_rate)


def build(preprocessor: Preprocessor, options: Options, n_rows: int) -> Sequential:
    """The network for preprocessed data, compiled for training on `n_rows` rows.

    Raises
    ------
    ValueError
        If the optimizer or `class_weight` does not fit the task.
    """
    optimizer = choose_optimizer(options.optimizer, options.learning_rate)
    if isinstance(optimizer, LevenbergMarquardt) and preprocessor.classes:
        raise ValueError(
            f"optimizer={options.optimizer!r} is for regression, but the target "
            f"{preprocessor.target!r} has {len(preprocessor.classes)} classes; lbfgs takes any"
        )
    if options.class_weight is not None and not preprocessor.classes:
        raise ValueError(
            f"class_weight={options.class_weight!r} is for classification, but the target "
            f"{preprocessor.target!r} has numbers for regression"
        )
    network = dense_network(
        preprocessor.width,
        preprocessor.n_outputs,
        options.hidden,
        options.activation,
        options.dropout,
        options.dtype,
        options.seed,
    )
    if options.schedule in _FALLING:
        optimizer = _with_schedule(optimizer, options, n_rows)
    loss = "cross_entropy" if preprocessor.classes else "mean_squared_error"
    network.compile(loss, optimizer, l2=options.l2, precision=options.precision)
    return network


def _with_schedule(optimizer: Optimizer | Solver, options: Options, n_rows: int) -> Optimizer:
    """The optimizer with a learning rate that is 0 after the last step of the last epoch."""
    assert isinstance(optimizer, Optimizer)
    assert isinstance(optimizer.learning_rate, float)
    steps = options.epochs * math.ceil(n_rows / options.rows_of_batch)
    schedule = _FALLING[options.schedule](optimizer.learning_rate, max(steps, 1))
    return replace(optimizer, learning_rate=schedule)
