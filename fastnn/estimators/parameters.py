"""The parameters of the estimators: what they may be, and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastnn import optimizers
from fastnn.facts import activations
from fastnn.facts.precisions import PRECISIONS
from fastnn.layers import Activation
from fastnn.losses import Loss
from fastnn.optimizers import Adam, Momentum, Optimizer
from fastnn.program import ROW_FUNCTIONS
from fastnn.schedules import BiasCorrection, Schedule
from fastnn.solvers import CLASSES as SOLVERS
from fastnn.solvers import LBFGS, Solver
from fastnn.training.session import WEIGHTS_MEANS

LEARNING_RATES = ("constant", "invscaling", "adaptive")

_FUNCTIONS = {
    *activations.names(),
    *(alias for name in activations.names() for alias in activations.get(name).aliases),
    *ROW_FUNCTIONS,
}
_FLAG = ["boolean"]
_COUNT = Interval(Integral, 1, None, closed="left")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_POSITIVE = Interval(Real, 0, None, closed="neither")
_SHARE = Interval(Real, 0, 1, closed="left")

CONSTRAINTS: dict[str, Any] = {
    "hidden_layer_sizes": ["array-like", _COUNT, str],
    "activation": [StrOptions(_FUNCTIONS), Activation, "array-like"],
    "solver": [StrOptions({"sgd", *optimizers.names(), *SOLVERS}), Optimizer, Solver],
    "alpha": [_NOT_NEGATIVE],
    "batch_size": [StrOptions({"auto"}), _COUNT],
    "learning_rate": [StrOptions(set(LEARNING_RATES)), Schedule],
    "learning_rate_init": [_POSITIVE],
    "power_t": [_NOT_NEGATIVE],
    "max_iter": [_COUNT],
    "shuffle": _FLAG,
    "random_state": ["random_state"],
    "tol": [_NOT_NEGATIVE],
    "verbose": ["verbose"],
    "warm_start": _FLAG,
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": _FLAG,
    "early_stopping": _FLAG,
    "validation_fraction": [_SHARE],
    "beta_1": [_SHARE],
    "beta_2": [_SHARE],
    "epsilon": [_POSITIVE],
    "n_iter_no_change": [_COUNT, Options(Real, {np.inf})],
    "max_fun": [_COUNT],
    "loss": [str, Mapping, Loss, callable],
    "dropout": [_SHARE],
    "weights_mean": [StrOptions(set(WEIGHTS_MEANS))],
    "callbacks": "no_validation",
    "dtype": [None, StrOptions({"float32", "float64"}), type, np.dtype],
    "precision": [StrOptions(set(PRECISIONS))],
    "n_jobs": [None, Integral],
}
"""What scikit-learn checks of each parameter, in the words of its own networks."""

STRUCTURE = ("hidden_layer_sizes", "activation", "loss", "dropout", "dtype")
"""The parameters that a trained network cannot change."""


def widths(hidden_layer_sizes: Any) -> tuple[int, ...]:
    """The widths of the hidden layers, from a sequence, one number or text such as "64,32".

    Raises
    ------
    ValueError
        If a width is not a positive integer.
    """
    sizes = hidden_layer_sizes
    if isinstance(sizes, str):
        sizes = _read_widths(sizes)
    elif not hasattr(sizes, "__iter__"):
        sizes = [sizes]
    sizes = list(sizes)
    for size in sizes:
        if not isinstance(size, Integral) or isinstance(size, bool | np.bool_):
            raise ValueError(f"hidden_layer_sizes must be integers, got {sizes}")
        if size <= 0:
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return tuple(int(size) for size in sizes)


def _read_widths(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text.strip() else []
    except ValueError:
        raise ValueError(
            f"hidden_layer_sizes as text must be integers between commas, such as '64,32', "
            f"got {text!r}"
        ) from None


def layer_activations(activation: Any, n_hidden: int) -> list[Any]:
    """The activation of each hidden layer.

    Raises
    ------
    ValueError
        If a sequence has another length.
    """
    if isinstance(activation, str | Activation):
        return [activation] * n_hidden
    chosen = list(activation)
    if len(chosen) != n_hidden:
        raise ValueError(
            f"activation has {len(chosen)} functions for {n_hidden} hidden layers: "
            "hidden_layer_sizes and activation must have the same length"
        )
    return chosen


def function_of(activation: Any) -> str:
    """The name of an activation's function, without aliases."""
    if isinstance(activation, Activation):
        return activation.function
    return activation if activation in ROW_FUNCTIONS else activations.get(activation).name


def optimizer_of(parameters: Any) -> Optimizer | Solver:
    """The optimizer or solver that the parameters of an estimator describe.

    "sgd" and "adam" are those of scikit-learn, "adam" with its place of epsilon.  Other names
    take `learning_rate_init`; an object has a learning rate of its own.

    Raises
    ------
    ValueError
        If a number does not fit the optimizer.
    """
    solver, schedule = parameters.solver, parameters.learning_rate
    rate = schedule if isinstance(schedule, Schedule) else float(parameters.learning_rate_init)
    if solver == "sgd":
        return Momentum(
            rate, float(parameters.momentum), nesterov=bool(parameters.nesterovs_momentum)
        )
    if solver == "adam":
        beta1, beta2 = float(parameters.beta_1), float(parameters.beta_2)
        return Adam(
            BiasCorrection(rate, beta1, beta2), beta1, beta2, float(parameters.epsilon),
            bias_correction=False,
        )  # fmt: skip
    if solver == "lbfgs":
        return LBFGS(
            max_iterations=int(parameters.max_iter),
            tolerance=float(parameters.tol),
            max_evaluations=int(parameters.max_fun),
        )
    chosen = optimizers.get(solver)
    takes_rate = isinstance(solver, str) or isinstance(schedule, Schedule)
    if takes_rate and isinstance(chosen, Optimizer):
        return replace(chosen, learning_rate=rate)
    return chosen


def is_stochastic(solver: Any) -> bool:
    """Whether a solver takes steps on batches."""
    return not (isinstance(solver, Solver) or (isinstance(solver, str) and solver in SOLVERS))


def dtypes(dtype: Any) -> Sequence[Any]:
    """The dtypes that X may keep; any other dtype becomes the first of these.

    Raises
    ------
    ValueError
        If the dtype is neither float32 nor float64.
    """
    if dtype is None:
        return [np.float64, np.float32]
    chosen = np.dtype(dtype)
    if chosen not in (np.float32, np.float64):
        raise ValueError(f"dtype must be 'float32', 'float64' or None, got {dtype!r}")
    return [chosen]
