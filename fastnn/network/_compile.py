"""Choosing what training minimises, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastnn import optimizers
from fastnn._shared.numbers import check_number
from fastnn._shared.warnings import warn
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


def compile_core(
    core: Core,
    loss: object,
    optimizer: str | Optimizer | Solver,
    loss_weights: object,
    l2: float,
    missing: str | None,
    factors: tuple[Mapping[str, float] | None, Mapping[str, float] | None] = (None, None),
) -> None:
    """Give a core losses and an optimizer; see `Network.compile`.

    `factors` are its `learning_rates` and `weight_decays`.
    """
    with core.lock:
        if core.is_fitting:
            raise RuntimeError("compile cannot be called while fit runs")
        heads = make_heads(core.graph.outputs, core.output_names, loss, loss_weights, missing)
        optimizer = optimizers.get(optimizer)
        if isinstance(optimizer, Solver):
            check_solver(optimizer, core.program, heads)
        l2 = check_number(l2, "l2", 0.0)
        check_options(core.dtype, heads, optimizer, l2)
        _warn_of_steps(core.graph)
        trainable = [layer.trainable for layer in core.graph.layers for _ in layer.shapes]
        core.set_heads(
            heads, optimizer, l2, trainable, factors_of(core.program, optimizer, *factors)
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
