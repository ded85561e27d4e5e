"""A network's cost over all samples as a function of one vector, for the solvers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import contiguous, readable
from fastnn.losses import MeanSquaredError
from fastnn.network._feed import Data
from fastnn.network._heads import LossOnOutput
from fastnn.program import Program
from fastnn.solvers import LevenbergMarquardt, Solver

MAX_PARAMETERS = 5000
"""Trainable parameters that Levenberg-Marquardt takes: a step costs rows times their square."""


def check_solver(solver: Solver, program: Program, heads: Sequence[LossOnOutput]) -> None:
    """Raise ValueError unless the solver can train this program with these losses."""
    for operation in program.operations:
        if operation.kind == "dropout" and operation.attributes["rate"]:
            raise ValueError(
                f"{solver.name} needs the same cost whenever it looks, but "
                f"{program.buffers[operation.output].name.removesuffix('.A')!r} drops units at "
                "random; leave the dropout out, or take another optimizer"
            )
    if isinstance(solver, LevenbergMarquardt):
        for head in heads:
            if type(head.loss) is not MeanSquaredError:
                raise ValueError(
                    f"{solver.name} minimises a sum of squares: the loss must be "
                    f"mean_squared_error, but that of output {head.name!r} is {head.loss.name}"
                )


class FullBatch:
    """The problem that a solver gets; see `fastnn.training.solving.Problem`.

    Frozen parameters are no part of the vector and keep their values.

    Parameters
    ----------
    network : Network
        Compiled with a solver, its lock held.
    data : Data

    Raises
    ------
    ValueError
        If there is nothing to train, or too much for the solver.
    """

    def __init__(self, network: Any, data: Data) -> None:
        self._network = network
        self._program: Program = network.program
        self._inputs = [readable(x, network.dtype) for x in data.inputs]
        self._targets = data.targets
        flags = [np.full(p.size, p.trainable) for p in self._program.parameters]
        self._trainable = np.concatenate([np.zeros(0, bool), *flags])
        solver = network.optimizer
        if not self._trainable.any():
            raise ValueError(f"{solver.name} has nothing to train: every parameter is frozen")
        places = self._program.flatten(np.arange(self._program.storage_size))
        self._places = places[self._trainable]  # of the vector in the padded storage
        if isinstance(solver, LevenbergMarquardt):
            self._prepare_residuals(solver)

    # ------------------------------------------------------------------ cost

    def start(self) -> np.ndarray:
        """The parameters as they are."""
        return self._network._storage[self._places].astype(np.float64)

    def accept(self, x: np.ndarray) -> None:
        """Set the parameters, rounded to the network's dtype."""
        with np.errstate(over="ignore"):
            self._network._storage[self._places] = x

    def cost(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The cost, L2 penalty included, and its gradient, as the engine computes them."""
        self.accept(x)
        engine = self._network._engine
        cost = engine.loss_and_gradients(self._inputs, self._targets)
        return float(cost), engine.gradients[self._places].astype(np.float64)

    # ------------------------------------------------------------- residuals

    def _prepare_residuals(self, solver: LevenbergMarquardt) -> None:
        penalties = [np.full(p.size, p.penalized and p.trainable) for p in self._program.parameters]
        l2 = self._program.l2
        penalized = np.concatenate(penalties)[self._trainable] if l2 else np.zeros(0, bool)
        self._penalized = np.flatnonzero(penalized)
        self._penalty = math.sqrt(l2 / 2)
        n_rows = len(self._inputs[0]) * sum(head.width for head in self._network._feed.heads)
        self._check_size(solver, n_rows + len(self._penalized))
        self._scales = [
            _scale(head, contiguous(target, np.float64), weights, self._network.backend)
            for head, (target, weights) in self._pairs()
        ]

    def _check_size(self, solver: LevenbergMarquardt, n_rows: int) -> None:
        n = int(self._trainable.sum())
        if n > MAX_PARAMETERS:
            raise ValueError(
                f"{solver.name} is for small networks, of at most {MAX_PARAMETERS:,} trainable "
                f"parameters; this one has {n:,}. lbfgs takes any number"
            )
        if 8 * n_rows * n > solver.memory_limit:
            raise ValueError(
                f"the Jacobian of {n_rows:,} residuals by {n:,} parameters takes "
                f"{8 * n_rows * n / 2**20:,.0f} MiB, more than memory_limit, "
                f"{solver.memory_limit / 2**20:,.0f} MiB. Take fewer samples, or lbfgs"
            )
        if solver.method == "lm" and n_rows < n:
            raise ValueError(
                f"method 'lm' needs as many residuals as parameters, but there are {n_rows:,} "
                f"for {n:,}; LevenbergMarquardt(method='trf') needs no such number, and an l2 "
                "penalty adds a residual for each weight"
            )

    def _pairs(self) -> Any:
        return zip(self._network._feed.heads, self._targets, strict=True)

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """Scaled errors of all outputs, then scaled weights for the penalty: the cost is r'r."""
        self.accept(x)
        outputs = self._network._outputs(self._inputs, None, False)
        parts = []
        for (head, (target, _)), scale in zip(self._pairs(), self._scales, strict=True):
            error = outputs[head.output].astype(np.float64) - target
            parts.append(np.where(scale > 0, scale * error, 0.0).ravel())  # nan: not observed
        return np.concatenate([*parts, self._penalty * x[self._penalized]])

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The derivatives of the residuals by the trainable parameters."""
        self.accept(x)
        network = self._network
        inputs = dict(zip(network.input_names, self._inputs, strict=True))
        parts = []
        for (head, _), scale in zip(self._pairs(), self._scales, strict=True):
            jacobian = network.parameter_jacobian(inputs, head.name, check_finite=False)
            parts.append(jacobian[:, self._trainable] * scale.reshape(-1, 1))
        rows = np.zeros((len(self._penalized), len(x)))
        rows[np.arange(len(rows)), self._penalized] = self._penalty
        return np.concatenate([*parts, rows])


def _scale(
    head: LossOnOutput, target: np.ndarray, weights: np.ndarray | None, backend_name: str
) -> np.ndarray:
    """The factor of each error (N, K), so that the sum of the squares is the head's cost.

    The loss says itself what each error counts (reduction, sample weights, ignored
    targets): its gradient where all errors are 1 is twice that.
    """
    loss = head.loss
    assert isinstance(loss, MeanSquaredError)
    observed = loss._observed(target)
    value = 0.0 if loss.ignore_value != 0 else 1.0
    target = np.where(observed, value, target)
    gradient = np.empty_like(target)
    with backend.use(backend_name):
        kernels = backend.kernels(np.float64)
    kernels.elementwise_loss(
        loss.name, target + 1.0, target,
        None if weights is None else contiguous(weights, np.float64),
        None, 0.0, loss.ignore_value, loss.reduction, None, gradient,
    )  # fmt: skip
    return np.sqrt(head.weight * gradient / 2)
