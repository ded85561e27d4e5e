"""The cost of a network over all samples as a function of one vector, for the solvers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import contiguous, readable
from fastnn.facts.losses import ElementOptions
from fastnn.losses import MeanSquaredError
from fastnn.network._feed import dense
from fastnn.network._heads import LossOnOutput
from fastnn.network._units import Units, coordinates, is_fresh, units_of
from fastnn.program import Program
from fastnn.solvers import LevenbergMarquardt, Solver
from fastnn.training.data import Data, Target

if TYPE_CHECKING:
    from fastnn.backend.protocol import Engine, Kernels

MAX_PARAMETERS = 5000
"""Largest number n of trainable parameters for Levenberg-Marquardt: a step costs rows * n^2."""


def check_solver(solver: Solver, program: Program, heads: Sequence[LossOnOutput]) -> None:
    """Raise ValueError unless the solver can train this program with these losses."""
    for operation in program.operations:
        if operation.kind == "dropout" and operation.attributes["rate"]:
            raise ValueError(
                f"{solver.name} needs the same cost in every evaluation, but "
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

    The vector has the trainable parameters; frozen parameters keep their values.  The problem is
    solved in the units of `fastnn.network._units`: on a program, parameters and targets of its
    own.  Those of the network change in `accept` alone.

    Parameters
    ----------
    solver : Solver
    engine : Engine
        Of a network compiled with this solver; the caller holds its guard.
    heads : sequence of LossOnOutput
    data : Data

    Attributes
    ----------
    gradient_share, loss_share : float
        What a tolerance of the gradient and of the cost is multiplied by: with several losses, the
        share of the smallest one.

    Raises
    ------
    ValueError
        If no parameter is trainable, or there are too many for the solver.
    """

    def __init__(
        self, solver: Solver, engine: Engine, heads: Sequence[LossOnOutput], data: Data
    ) -> None:
        program: Program = engine.program
        self._storage = engine.storage
        self._inputs = [readable(x, program.dtype) for x in data.inputs]
        flags = [np.full(p.size, p.trainable) for p in program.parameters]
        self._trainable = np.concatenate([np.zeros(0, bool), *flags])
        if not self._trainable.any():
            raise ValueError(f"{solver.name} has nothing to train: every parameter is frozen")
        places = program.flatten(np.arange(program.storage_size))
        self._places = places[self._trainable]  # of the vector in the padded storage
        in_penalty = [np.full(p.size, p.in_penalty and program.l2 > 0) for p in program.parameters]
        self._penalized = np.flatnonzero(np.concatenate(in_penalty)[self._trainable])
        if isinstance(solver, LevenbergMarquardt):
            n_rows = len(self._inputs[0]) * sum(head.width for head in heads)
            self._check_size(solver, n_rows + len(self._penalized))
        self._solve_in_units(engine, heads, data)
        if isinstance(solver, LevenbergMarquardt):
            self._prepare_residuals()

    def _solve_in_units(self, engine: Engine, heads: Sequence[LossOnOutput], data: Data) -> None:
        """Make the program, the engine and the start of the problem in its own units."""
        program = engine.program
        outputs = engine.forward(self._inputs)
        units = [
            units_of(head, target, program, outputs[head.output])
            for head, target in zip(heads, data.targets, strict=True)
        ]
        self._size, self.loss_share, self.gradient_share = _sizes(units)
        self._l2 = program.l2 / self._size
        triples = list(zip(heads, data.targets, units, strict=True))
        self._constant = sum(head.weight * unit.constant for head, _, unit in triples)
        self._heads = [
            replace(head, loss=unit.loss, weight=head.weight * unit.factor / self._size)
            for head, _, unit in triples
        ]
        self._targets: list[Target] = [(unit.targets, weights) for _, (_, weights), unit in triples]
        start = engine.storage.astype(np.float64)
        for head, target, unit in triples:
            if unit.affine is not None and is_fresh(head, target, unit, outputs[head.output]):
                unit.enlarge(unit.affine, start)
        origins, scales = coordinates(program, units)
        self._origins, self._scales = origins[self._places], scales[self._places]
        start = (start - origins) / scales
        self._start = start[self._places]
        losses = [h.loss.head(program.outputs[h.output], h.width, h.weight) for h in self._heads]
        self._program = replace(program, heads=tuple(losses), l2=0.0)
        own = program.allocate()
        own[...] = start
        self._engine = backend.new_engine(self._program, own)
        self._engine.guard = engine.guard

    # ------------------------------------------------------------------ cost

    def start(self) -> np.ndarray:
        """The vector where the training starts."""
        return self._start.copy()

    def accept(self, x: np.ndarray) -> None:
        """Set the parameters of the network, rounded to its dtype."""
        with np.errstate(over="ignore"):
            self._storage[self._places] = self._origins + self._scales * x

    def loss(self, cost: float) -> float:
        """The cost in the units of the user."""
        return cost * self._size + self._constant

    def cost(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The cost, L2 penalty included, and its gradient: the engine's, in its dtype."""
        self._set(x)
        cost = float(self._engine.loss_and_gradients(self._inputs, self._targets))
        gradient = self._engine.gradients[self._places].astype(np.float64)
        if len(self._penalized):
            scales = self._scales[self._penalized]
            weights = scales * x[self._penalized]
            cost += self._l2 / 2 * float(weights @ weights)
            gradient[self._penalized] += self._l2 * scales * weights
        return cost, gradient

    def _set(self, x: np.ndarray) -> None:
        with np.errstate(over="ignore"):
            self._engine.storage[self._places] = x

    # ------------------------------------------------------------- residuals

    def _prepare_residuals(self) -> None:
        self._penalty_scale = math.sqrt(self._l2 / 2) * self._scales[self._penalized]
        from fastnn.inspection import Linearization

        self._arrays = dense(self._inputs, "Levenberg-Marquardt")
        kernels = backend.kernels(np.float64)
        self._row_scales = [
            _scale(head, contiguous(target, np.float64), weights, kernels)
            for head, (target, weights) in self._pairs()
        ]
        self._linearization = Linearization(self._program, self._engine.storage)

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

    def _pairs(self) -> Iterator[tuple[LossOnOutput, Target]]:
        return zip(self._heads, self._targets, strict=True)

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """Scaled errors of all outputs, then scaled weights for the penalty: the cost is r'r."""
        self._set(x)
        outputs = self._engine.forward(self._inputs)
        parts = []
        for (head, (target, _)), scale in zip(self._pairs(), self._row_scales, strict=True):
            error = outputs[head.output].astype(np.float64) - target
            parts.append(np.where(scale > 0, scale * error, 0.0).ravel())  # nan: not observed
        return np.concatenate([*parts, self._penalty_scale * x[self._penalized]])

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The derivatives of the residuals by the trainable parameters."""
        self._set(x)
        trainable = [parameter.trainable for parameter in self._program.parameters]
        parts = []
        for (head, _), scale in zip(self._pairs(), self._row_scales, strict=True):
            jacobian = self._linearization.by_parameters(
                self._arrays, head.output, range(head.width), trainable
            ).reshape(-1, self._program.n_parameters)
            parts.append(jacobian[:, self._trainable] * scale.reshape(-1, 1))
        rows = np.zeros((len(self._penalized), len(x)))
        rows[np.arange(len(rows)), self._penalized] = self._penalty_scale
        return np.concatenate([*parts, rows])


def _sizes(units: Sequence[Units]) -> tuple[float, float, float]:
    """The size of the cost, and the shares of the smallest loss in it and in its gradient.

    A size is 1 where it is nothing that numbers can be divided by.
    """
    sizes = [unit.size for unit in units if unit.size != 0]
    total = sum(sizes)
    if not sizes or not np.isfinite([total, *sizes]).all():
        return 1.0, 1.0, 1.0
    gradient = min(unit.gradient_size for unit in units if unit.size != 0)
    return total, min(sizes) / total, gradient / total


def _scale(
    head: LossOnOutput, target: np.ndarray, weights: np.ndarray | None, kernels: Kernels
) -> np.ndarray:
    """The factor of each error (N, K), so that the sum of the squares is the head's cost.

    The loss itself has the weight of each error (reduction, sample weights, ignored targets):
    where all errors are 1, its gradient is twice that weight.
    """
    loss = head.loss
    assert isinstance(loss, MeanSquaredError)
    observed = loss.observed(target)
    value = 0.0 if loss.ignore_value != 0 else 1.0
    target = np.where(observed, value, target)
    gradient = np.empty_like(target)
    kernels.elementwise_loss(
        loss.name, target + 1.0, target,
        None if weights is None else contiguous(weights, np.float64),
        ElementOptions(ignore_value=loss.ignore_value), loss.reduction, None, gradient,
    )  # fmt: skip
    return np.sqrt(head.weight * gradient / 2)
