"""Estimators from the fitted networks of scikit-learn."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from fastnn.estimators import construction
from fastnn.estimators.parameters import layer_activations, optimizer_of
from fastnn.estimators.progress import Progress
from fastnn.estimators.rates import rate_of
from fastnn.network import Sequential

_SLOTS = {"AdamOptimizer": ("ms", "vs"), "SGDOptimizer": ("velocities",)}
"""Where scikit-learn's optimizers keep the state that the slots of ours have."""

_COPIED = ("n_features_in_", "feature_names_in_", "n_iter_", "loss_", "classes_")


def parameters_of(model: Any, theirs: Any, ours: type) -> dict[str, Any]:
    """The parameters of a fitted model, which are parameters of ours too.

    Parameters
    ----------
    model : estimator
    theirs, ours : type
        The class that the model must have, and the one that it becomes.

    Raises
    ------
    TypeError
        If the model is of another class.
    ValueError
        If it is not fitted.
    """
    if not isinstance(model, theirs):
        raise TypeError(
            f"model must be a {theirs.__module__.partition('.')[0]} {theirs.__name__}, got "
            f"{type(model).__name__}"
        )
    if not hasattr(model, "coefs_"):
        raise ValueError(f"model must be fitted, got {model!r} before its fit")
    known = inspect.signature(ours).parameters
    parameters: dict[str, Any] = model.get_params()
    return {name: value for name, value in parameters.items() if name in known}


def network_of(model: Any) -> Sequential:
    """A network with the coefficients of a fitted model, in their dtype."""
    values = list(zip(model.coefs_, model.intercepts_, strict=True))
    activations = layer_activations(model.activation, len(values) - 1)
    return construction.assemble(values, activations, 0.0, np.result_type(*model.coefs_))


def copy_measures(estimator: Any, model: Any) -> None:
    """Set the attributes of an estimator that tell of the training of a model."""
    for name in _COPIED:
        if hasattr(model, name):
            setattr(estimator, name, getattr(model, name))
    scores = getattr(model, "validation_scores_", None)
    best_loss = getattr(model, "best_loss_", None)
    best_score = getattr(model, "best_validation_score_", None)
    estimator._progress = Progress(
        loss_curve=list(getattr(model, "loss_curve_", [])),
        best_loss=np.inf if best_loss is None else float(best_loss),
        scores=[] if scores is None else list(scores),
        best_score=-np.inf if best_score is None else float(best_score),
        no_improvement=getattr(model, "_no_improvement_count", 0),
        n_samples=int(model.t_),
    )


def copy_optimizer(estimator: Any, model: Any) -> None:
    """Give the network of an estimator the state of a model's optimizer, if it has one.

    The network is compiled.  Training then goes on as the model's would.
    """
    theirs = getattr(model, "_optimizer", None)
    if theirs is None:
        return
    network = estimator.network_
    state = network.get_state()
    names = _SLOTS[type(theirs).__name__]
    state["slots"] = {
        slot: _flat(getattr(theirs, name), network.dtype)
        for slot, name in zip(optimizer_of(estimator).slot_names, names, strict=True)
    }
    rate = rate_of(estimator)
    if rate.kind != "constant":
        rate.learning_rate = float(theirs.learning_rate)
    state["training"]["rate_factor"] = rate.learning_rate / rate.initial
    state["training"]["step"] = int(getattr(theirs, "t", 0))
    network.set_state(state)
    estimator._optimizer = rate


def _flat(arrays: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """Arrays of all weights and then of all biases as one vector, layer by layer."""
    half = len(arrays) // 2
    pairs = zip(arrays[:half], arrays[half:], strict=True)
    parts = [part.ravel() for pair in pairs for part in pair]
    return np.concatenate(parts).astype(dtype, copy=False)
