"""The path of an optimizer on a function of the caller's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import as_real
from fastnn._shared.numbers import check_integer
from fastnn.optimizers._base import Optimizer
from fastnn.optimizers._get import get
from fastnn.schedules import rates
from fastnn.solvers import Solver


def minimize(
    function_with_gradient: Callable[[np.ndarray], tuple[float, ArrayLike]],
    x0: ArrayLike,
    optimizer: str | Optimizer,
    steps: int,
) -> np.ndarray:
    """The points an optimizer visits on a function of your own.

    The updates are the very kernels that train networks.

    Parameters
    ----------
    function_with_gradient : callable
        Called with a point (n,), returns its value and its gradient (n,).
    x0 : (n,) array
        The start.  float32 and float64 are kept, anything else becomes float64.
    optimizer : str or Optimizer
    steps : int
        Optimizer steps.

    Returns
    -------
    (steps + 1, n) array
        The start and the point after each step.

    Raises
    ------
    TypeError
        If the optimizer is a solver, which takes no single steps; if the function is none, or
        does not return such a pair.
    ValueError
        If `x0` is not a finite non-empty vector, or a gradient has another shape; if a number of
        the optimizer becomes 0, infinite or 1 in the dtype of `x0`.
    FloatingPointError
        If a gradient is not finite.

    Examples
    --------
    >>> def bowl(x):
    ...     return 0.5 * (x[0] ** 2 + 9 * x[1] ** 2), [x[0], 9 * x[1]]
    >>> from fastnn.optimizers import Momentum, minimize
    >>> path = minimize(bowl, [4.0, 1.0], Momentum(0.05, momentum=0.5), steps=100)
    >>> path.shape
    (101, 2)
    >>> bool(abs(path[-1]).max() < 1e-2)
    True
    """
    chosen = get(optimizer)
    if isinstance(chosen, Solver):
        raise TypeError(
            f"minimize takes single steps, but {chosen.name} is a solver: call "
            "scipy.optimize itself on a function of your own"
        )
    if not callable(function_with_gradient):
        raise TypeError(
            f"function_with_gradient must be callable, got {type(function_with_gradient).__name__}"
        )
    steps = check_integer(steps, "steps", 0)
    x = _start(x0)
    chosen.check_dtype(x.dtype)
    kernels = backend.kernels(x.dtype)
    numbers = {name: value for name, value in chosen.hyper.items() if name != "clip_norm"}
    slots = [np.zeros_like(x) for _ in chosen.slot_names]
    learning_rates = rates(chosen.learning_rate, np.arange(1, steps + 1))
    trajectory = np.empty((steps + 1, x.size), x.dtype)
    trajectory[0] = x
    for step, learning_rate in enumerate(learning_rates, start=1):
        g = _gradient(function_with_gradient(x.copy()), x, step)
        if chosen.clip_norm is not None:
            kernels.clip_by_norm(g, chosen.clip_norm)
        kernels.update(chosen.kind, x, g, slots, step, float(learning_rate), numbers, 0.0)
        trajectory[step] = x
    return trajectory


def _start(x0: ArrayLike) -> np.ndarray:
    x = np.array(x0)
    if x.dtype.kind not in "fiu":
        raise TypeError(f"x0 must be an array of real numbers, got {x.dtype}")
    x = x.astype(x.dtype if x.dtype in (np.float32, np.float64) else np.float64)
    if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"x0 must be a finite non-empty vector, got shape {x.shape}: {x}")
    return x


def _gradient(found: Any, x: np.ndarray, step: int) -> np.ndarray:
    """The gradient of the pair (value, gradient) that a function returned."""
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(
            f"function_with_gradient must return (value, gradient), got {type(found).__name__}"
        )
    g = as_real(found[1], "the gradient").astype(x.dtype)
    if g.shape != x.shape:
        raise ValueError(f"the gradient must have the shape of x0, {x.shape}, got {g.shape}")
    if not np.isfinite(g).all():
        raise FloatingPointError(f"the gradient at step {step} is not finite: {g} at x = {x}")
    return g
