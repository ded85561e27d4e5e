"""Choosing what training minimises, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import optimizers
from fastnn._shared.numbers import check_number
from fastnn._shared.warnings import warn
from fastnn.facts import precisions
from fastnn.graph import Graph, untrainable
from fastnn.losses import Loss
from fastnn.network._core import Core
from fastnn.network._factors import factors_of
from fastnn.network._full_batch import check_solver
from fastnn.network._heads import make_heads
from fastnn.network._rounding import check_options
from fastnn.optimizers import Optimizer
from fastnn.solvers import Solver

AnyLoss = str | Loss | Callable[..., Any]


@dataclass(frozen=True)
class Options:
    """The options of `Network.compile`, as users pass them."""

    loss_weights: object
    l2: float
    missing: str | None
    learning_rates: Mapping[str, float] | None
    weight_decays: Mapping[str, float] | None
    precision: str


def compile_core(
    core: Core, loss: object, optimizer: str | Optimizer | Solver, options: Options
) -> None:
    """Give a core losses and an optimizer; see `Network.compile`."""
    with core.lock:
        if core.is_fitting:
            raise RuntimeError("compile cannot be called while fit runs")
        heads = make_heads(
            core.graph.outputs, core.output_names, loss, options.loss_weights, options.missing
        )
        optimizer = optimizers.get(optimizer)
        check_precision(options.precision, core.dtype, optimizer)
        if isinstance(optimizer, Solver):
            check_solver(optimizer, core.program, heads)
        l2 = check_number(options.l2, "l2", 0.0)
        check_options(core.dtype, heads, optimizer, l2)
        _warn_of_steps(core.graph)
        trainable = [layer.trainable for layer in core.graph.layers for _ in layer.shapes]
        factors = factors_of(core.program, optimizer, options.learning_rates, options.weight_decays)
        core.set_heads(heads, optimizer, l2, trainable, factors, options.precision)


def check_precision(precision: object, dtype: np.dtype, optimizer: Optimizer | Solver) -> None:
    """Raise ValueError unless networks of a dtype can be trained in this precision."""
    row = precisions.get(precision)
    if row.dtype and row.dtype != dtype:
        raise ValueError(
            f"precision={row.name!r} keeps the parameters in {row.dtype}: it is for networks of "
            f"{row.dtype}, got {dtype}"
        )
    if row.multiplicand and isinstance(optimizer, Solver):
        raise ValueError(
            f"{optimizer.name} compares costs that differ in their last digits: precision must be "
            f"'float32', got {row.name!r}"
        )


def _warn_of_steps(graph: Graph) -> None:
    """Warn of trainable layers that no gradient reaches, because of a step above them."""
    steps, cut = untrainable(graph)
    if steps:
        warn(
            f"the derivative of the step in layer{'s' if len(steps) > 1 else ''} "
            f"{', '.join(map(repr, steps))} is 0: no gradient reaches {', '.join(cut)}, "
            "whose parameters training will not change"
        )
