"""Optimizer updates of parameters, in place; the L2 penalty; clipping of gradients by norm.

Every update uses the gradient g + l2 p, which is that of the cost with the penalty
``l2 / 2 * sum(p**2)``; below, g is this sum and lr the learning rate.

Arrays that are changed must be writable and of native float32 or float64; strided ones, such
as the parameters of a network, are fine.  Parameter, gradient and state have
one shape and dtype and share no memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import as_floating, as_matching, check_in_place, check_shape
from fastnn._shared.config import check_as
from fastnn._shared.numbers import check_flag, check_integer, check_number
from fastnn.facts.updates import UPDATES

__all__ = [
    "adam_update",
    "adamw_update",
    "amsgrad_update",
    "centered_rmsprop_update",
    "clip_by_norm",
    "gradient_descent_update",
    "l2_penalty",
    "lion_update",
    "momentum_update",
    "nesterov_update",
    "rmsprop_update",
]


def gradient_descent_update(
    parameter: np.ndarray, gradient: ArrayLike, *, learning_rate: float, l2: float = 0.0
) -> None:
    """Gradient descent: p -= lr g.

    Parameters
    ----------
    parameter : (...) ndarray of float32 or float64
        Changed in place.
    gradient : (...) array_like
        Of the shape and dtype of `parameter`.
    learning_rate : float
        >= 0.
    l2 : float
        Factor of the penalty, >= 0.

    Raises
    ------
    TypeError
        If an array is not one, or has another dtype than the parameter, or the type of a
        number is wrong.
    ValueError
        If a shape differs, arrays overlap, an array is read-only, or a number is out of range.
    """
    _update("gradient_descent", parameter, gradient, (), 1, learning_rate, l2, {})


def momentum_update(
    parameter: np.ndarray,
    gradient: ArrayLike,
    velocity: np.ndarray,
    *,
    learning_rate: float,
    momentum: float = 0.9,
    dampening: float = 0.0,
    step: int | None = None,
    l2: float = 0.0,
) -> None:
    """Momentum: v = momentum v - lr (1 - dampening) g; p += v.

    The first step has no dampening, as in PyTorch.

    Parameters
    ----------
    parameter, velocity : (...) ndarray of float32 or float64
        Changed in place; `velocity` starts as zeros.
    gradient : (...) array_like
        Of the shape and dtype of `parameter`.
    learning_rate : float
        >= 0.
    momentum : float
        0 <= momentum < 1.
    dampening : float
        0 <= dampening < 1.
    step : int, optional
        Number of this update, counted from 1.  A dampening needs it.
    l2 : float
        Factor of the penalty, >= 0.

    Raises
    ------
    TypeError, ValueError
        As `gradient_descent_update` does; ValueError for a dampening without `step`.

    References
    ----------
    Polyak (1964), "Some methods of speeding up the convergence of iteration methods".
    """
    numbers = {"momentum": momentum, "dampening": dampening}
    if step is None and dampening != 0:
        raise ValueError(f"dampening needs the number of the step, got dampening {dampening!r}")
    step = 1 if step is None else check_integer(step, "step", 1)
    _update("momentum", parameter, gradient, (velocity,), step, learning_rate, l2, numbers)


def nesterov_update(
    parameter: np.ndarray,
    gradient: ArrayLike,
    velocity: np.ndarray,
    *,
    learning_rate: float,
    momentum: float = 0.9,
    l2: float = 0.0,
) -> None:
    """Nesterov momentum: v = momentum v - lr g; p += momentum v - lr g, with the new v.

    Parameters
    ----------
    parameter, gradient, velocity, learning_rate, momentum, l2
        As in `momentum_update`.

    Raises
    ------
    TypeError, ValueError
        As `gradient_descent_update` does.

    References
    ----------
    Sutskever, Martens, Dahl & Hinton (2013), "On the importance of initialization and
    momentum in deep learning", in the form of Bengio, Boulanger-Lewandowski & Pascanu (2013),
    "Advances in optimizing recurrent networks", whose parameters are those looked ahead to.
    """
    numbers = {"momentum": momentum, "nesterov": True}
    _update("momentum", parameter, gradient, (velocity,), 1, learning_rate, l2, numbers)


def rmsprop_update(
    parameter: np.ndarray,
    gradient: ArrayLike,
    square: np.ndarray,
    *,
    learning_rate: float = 1e-3,
    rho: float = 0.9,
    epsilon: float = 1e-8,
    l2: float = 0.0,
) -> None:
    """RMSprop: s = rho s + (1 - rho) g^2; p -= lr g / (sqrt(s) + epsilon).

    Parameters
    ----------
    parameter, square : (...) ndarray of float32 or float64
        Changed in place; `square` starts as zeros.
    gradient : (...) array_like
        Of the shape and dtype of `parameter`.
    learning_rate : float
        >= 0.
    rho : float
        0 <= rho < 1.
    epsilon : float
        > 0.
    l2 : float
        Factor of the penalty, >= 0.

    Raises
    ------
    TypeError, ValueError
        As `gradient_descent_update` does.

    References
    ----------
    Tieleman & Hinton (2012), lecture 6.5 of "Neural networks for machine learning".
    """
    numbers = {"rho": rho, "epsilon": epsilon}
    _update("rmsprop", parameter, gradient, (square,), 1, learning_rate, l2, numbers)


def centered_rmsprop_update(
    parameter: np.ndarray,
    gradient: ArrayLike,
    square: np.ndarray,
    mean: np.ndarray,
    *,
    learning_rate: float = 1e-3,
    rho: float = 0.9,
    epsilon: float = 1e-8,
    l2: float = 0.0,
) -> None:
    """Centered RMSprop: p -= lr g / (sqrt(max(s - m^2, 0)) + epsilon).

    s = rho s + (1 - rho) g^2 and m = rho m + (1 - rho) g.

    Parameters
    ----------
    parameter, square, mean : (...) ndarray of float32 or float64
        Changed in place; `square` (s) and `mean` (m) start as zeros.
    gradient, learning_rate, rho, epsilon, l2
        As in `rmsprop_update`.

    Raises
    ------
    TypeError, ValueError
        As `gradient_descent_update` does.

    References
    ----------
    Graves (2013), "Generating sequences with recurrent neural networks", eq. 38-40.
    """
    numbers = {"rho": rho, "epsilon": epsilon}
    slots = (square, mean)
    _update("centered_rmsprop", parameter, gradient, slots, 1, learning_rate, l2, numbers)


def adam_update(
    parameter: np.ndarray,
    gradient: ArrayLike,
    first: np.ndarray,
    second: np.ndarray,
    *,
    step: int,
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    bias_correction: bool = True,
    l2: float = 0.0,
) -> None:
    """Adam: moving means m of g and v of g^2; p -= lr m' / (sqrt(v') + epsilon).

    m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2;
    m' = m / (1 - beta1^step) and v' = v / (1 - beta2^step) with bias correction, else m and v.

    Parameters
    ----------
    parameter, first, second : (...) ndarray of float32 or float64
        Changed in place; the moments `first` (m) and `second` (v) start as zeros.
    gradient : (...) array_like
        Of the shape and dtype of `parameter`.
    step : int
        Number of this update, counted from 1.
    learning_rate : float
        >= 0.
    beta1, beta2 : float
        0 <= beta < 1.
    epsilon : float
        > 0.
    bias_correction : bool
        Whether to correct the moments for their start at zero.
    l2 : float
        Factor of the penalty, >= 0.

    Raises
    ------
    TypeError, ValueError
        As `gradient_descent_update` does.

    References
    ----------
    Kingma & Ba (2015), "Adam: a method for stochastic optimization", ICLR.
    """
    numbers = {
        "beta1": beta1, "beta2": beta2, "epsilon": epsilon, "bias_correction": bias_correction
    }  # fmt: skip
    step = check_integer(step, "step", 1)
    _update("adam", parameter, gradient, (first, second), step, learning_rate, l2, numbers)


def adamw_update(
    parameter: np.ndarray,
    gradient: ArrayLike,
    first: np.ndarray,
    second: np.ndarray,
    *,
    step: int,
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
    bias_correction: bool = True,
) -> None:
    """AdamW: `adam_update` with decoupled weight decay, which takes lr weight_decay p from p.

    Parameters
    ----------
    parameter, gradient, first, second
        As in `adam_update`.
    step, learning_rate, beta1, beta2, epsilon, bias_correction
        As in `adam_update`.
    weight_decay : float
        >= 0.

    Raises
    ------
    TypeError, ValueError
        As `gradient_descent_update` does.

    References
    ----------
    Loshchilov & Hutter (2019), "Decoupled weight decay regularization", ICLR.
    """
    numbers = {
        "beta1": beta1, "beta2": beta2, "epsilon": epsilon, "bias_correction": bias_correction,
        "weight_decay": weight_decay,
    }  # fmt: skip
    step = check_integer(step, "step", 1)
    _update("adam", parameter, gradient, (first, second), step, learning_rate, 0.0, numbers)


def amsgrad_update(
    parameter: np.ndarray,
    gradient: ArrayLike,
    first: np.ndarray,
    second: np.ndarray,
    largest: np.ndarray,
    *,
    step: int,
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    bias_correction: bool = True,
    weight_decay: float = 0.0,
    l2: float = 0.0,
) -> None:
    """AMSGrad: `adam_update` with w = max(w, v), the largest v so far, in place of v.

    The correction of the bias follows: w' = w / (1 - beta2^step).

    Parameters
    ----------
    parameter, first, second, largest : (...) ndarray of float32 or float64
        Changed in place; `first` (m), `second` (v) and `largest` (w) start as zeros.
    gradient, step, learning_rate, beta1, beta2, epsilon, bias_correction, l2
        As in `adam_update`.
    weight_decay : float
        Decoupled, as in `adamw_update`; >= 0.

    Raises
    ------
    TypeError, ValueError
        As `gradient_descent_update` does.

    References
    ----------
    Reddi, Kale & Kumar (2018), "On the convergence of Adam and beyond", ICLR, with the
    correction of the bias that PyTorch and Keras apply.
    """
    numbers = {
        "beta1": beta1, "beta2": beta2, "epsilon": epsilon, "bias_correction": bias_correction,
        "weight_decay": weight_decay,
    }  # fmt: skip
    step = check_integer(step, "step", 1)
    slots = (first, second, largest)
    _update("amsgrad", parameter, gradient, slots, step, learning_rate, l2, numbers)


def lion_update(
    parameter: np.ndarray,
    gradient: ArrayLike,
    mean: np.ndarray,
    *,
    learning_rate: float = 1e-4,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    l2: float = 0.0,
) -> None:
    """Lion: p -= lr (sign(c) + weight_decay p) with c = beta1 m + (1 - beta1) g.

    Then m = beta2 m + (1 - beta2) g.  The sign of 0 is 0, that of nan is nan.

    Parameters
    ----------
    parameter, mean : (...) ndarray of float32 or float64
        Changed in place; the average `mean` (m) starts as zeros.
    gradient : (...) array_like
        Of the shape and dtype of `parameter`.
    learning_rate : float
        >= 0.
    beta1, beta2 : float
        0 <= beta < 1.
    weight_decay : float
        >= 0.
    l2 : float
        Factor of the penalty, >= 0.

    Raises
    ------
    TypeError, ValueError
        As `gradient_descent_update` does.

    References
    ----------
    Chen et al. (2023), "Symbolic discovery of optimization algorithms", algorithm 2.
    """
    numbers = {"beta1": beta1, "beta2": beta2, "weight_decay": weight_decay}
    _update("lion", parameter, gradient, (mean,), 1, learning_rate, l2, numbers)


def clip_by_norm(gradient: np.ndarray, max_norm: float) -> float:
    """Scale a gradient in place so that its Euclidean norm is at most `max_norm`.

    Parameters
    ----------
    gradient : (...) ndarray of float32 or float64
        Changed in place if its norm is larger and finite.  The squares are summed in
        float64; above 1e308 the sum counts as infinite.
    max_norm : float
        > 0.

    Returns
    -------
    float
        The norm before; 0 for an empty gradient.

    Raises
    ------
    TypeError
        If `gradient` is not an array of float32 or float64, or `max_norm` no real number.
    ValueError
        If `gradient` is read-only, or `max_norm` is not finite and positive.

    References
    ----------
    Pascanu, Mikolov & Bengio (2013), "On the difficulty of training recurrent neural
    networks", ICML.
    """
    check_in_place({"gradient": gradient})
    max_norm = check_number(max_norm, "max_norm", above=0.0)
    if gradient.size == 0:
        return 0.0
    work = _work(gradient)
    norm: float = backend.kernels(gradient.dtype).clip_by_norm(work, max_norm)
    _write_back(work, gradient)
    return norm


@overload
def l2_penalty(weight: ArrayLike, l2: float, gradient: Literal[False] = ...) -> float: ...
@overload
def l2_penalty(
    weight: ArrayLike, l2: float, gradient: Literal[True]
) -> tuple[float, np.ndarray]: ...
def l2_penalty(
    weight: ArrayLike, l2: float, gradient: bool = False
) -> float | tuple[float, np.ndarray]:
    """The penalty l2 / 2 * sum(weight**2), whose gradient is l2 * weight.

    Parameters
    ----------
    weight : (...) array_like of float32 or float64
        Integers and booleans are converted to float64.
    l2 : float
        >= 0.
    gradient : bool
        Whether to return the gradient as well.

    Returns
    -------
    penalty : float
        0 for an empty weight.
    gradient : (...) ndarray
        Only with ``gradient=True``: of the dtype of `weight`.

    Raises
    ------
    TypeError
        If a dtype or the type of a number is wrong.
    ValueError
        If `l2` is negative or not finite.
    """
    w = as_floating(weight, "weight")
    factor = check_number(l2, "l2", 0.0)
    wanted = check_flag(gradient, "gradient")
    with np.errstate(all="ignore"):
        penalty = 0.5 * factor * float(np.sum(np.square(w, dtype=np.float64)))
        return (penalty, np.asarray(factor * w)) if wanted else penalty


def _update(
    name: str,
    parameter: np.ndarray,
    gradient: Any,
    slots: Sequence[np.ndarray],
    step: int,
    learning_rate: float,
    l2: float,
    numbers: Mapping[str, float],
) -> None:
    """Check the arguments as the row of an update says, and run its kernel on vectors.

    Numbers that are not given are the row's defaults.
    """
    row = UPDATES[name]
    arrays = {"parameter": parameter, **dict(zip(row.slots, slots, strict=True))}
    check_in_place(arrays, gradient)
    g = as_matching(gradient, "gradient", parameter, "parameter")
    check_shape(g, "gradient", parameter.shape)
    learning_rate = check_number(learning_rate, "learning_rate", 0.0)
    checked = {
        number.name: check_as(number, numbers.get(number.name, number.default))
        for number in row.numbers
    }
    l2 = check_number(l2, "l2", 0.0)
    if parameter.size == 0:
        return
    work = [_work(array) for array in arrays.values()]
    backend.kernels(parameter.dtype).update(
        name, work[0], g.reshape(-1), work[1:], step, learning_rate, checked, l2
    )
    for vector, array in zip(work, arrays.values(), strict=True):
        _write_back(vector, array)


def _work(array: np.ndarray) -> np.ndarray:
    """The array as a vector that kernels can work on: a view if its layout allows, else a copy."""
    if _is_plain(array):
        return array.reshape(-1)
    return np.require(array, requirements=["C", "A"]).reshape(-1)


def _write_back(work: np.ndarray, array: np.ndarray) -> None:
    """Bring what a kernel did to a copy back into the caller's array."""
    if not _is_plain(array):
        array[...] = work.reshape(array.shape)


def _is_plain(array: np.ndarray) -> bool:
    flags = array.flags
    return bool(flags.c_contiguous and flags.aligned)
