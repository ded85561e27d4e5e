"""Factors of the learning rate and of the weight decay for single parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from fastnn._shared.numbers import check_number, check_rounded
from fastnn.optimizers import Optimizer
from fastnn.program import Parameter, Program
from fastnn.solvers import Solver

Factors: TypeAlias = Sequence[tuple[float, float]]
"""For each parameter, those of the learning rate and of the weight decay."""


def factors_of(
    program: Program,
    optimizer: Optimizer | Solver,
    learning_rates: Mapping[str, float] | None,
    weight_decays: Mapping[str, float] | None,
) -> Factors:
    """The factors of all parameters; see `Network.compile`.

    Raises
    ------
    TypeError, ValueError
        If a name or a factor does not fit, or if the optimizer has no use for the factors.
    """
    rates = _resolved(program, learning_rates, "learning_rates")
    decays = _resolved(program, weight_decays, "weight_decays")
    if learning_rates:
        _check_rates(program, optimizer, rates)
    if weight_decays:
        _check_decays(program, optimizer, weight_decays)
    return list(zip(rates, decays, strict=True))


def described(program: Program) -> dict[str, dict[str, float]]:
    """The arguments of `factors_of` that have an effect, for a file."""
    rates = {p.name: p.rate_factor for p in program.parameters if p.rate_factor != 1}
    decays = {p.name: p.decay_factor for p in program.parameters if p.decay_factor != 1}
    both = {"learning_rates": rates, "weight_decays": decays}
    return {name: factors for name, factors in both.items() if factors}


def shown(program: Program) -> list[str]:
    """Lines of a summary."""
    titles = {"learning_rates": "learning rate", "weight_decays": "weight decay"}
    return [
        f"{titles[name]} times " + ", ".join(f"{v:g} for {key}" for key, v in factors.items())
        for name, factors in described(program).items()
    ]


def _resolved(program: Program, factors: Mapping[str, float] | None, argument: str) -> list[float]:
    """The factor of each parameter: by its own name, that of its layer, or 1."""
    if factors is None:
        return [1.0] * len(program.parameters)
    if not isinstance(factors, Mapping):
        raise TypeError(
            f"{argument} must be a dict of factors by layer or parameter, "
            f"got {type(factors).__name__}"
        )
    names = {name: None for p in program.parameters for name in (_layer(p), p.name)}
    for key in factors:
        if key not in names:
            known = ", ".join(names) or "no parameters"
            raise ValueError(
                f"{argument} has {key!r}, expected a layer with parameters or a parameter: {known}"
            )
    of_rates = argument == "learning_rates"
    least = {"above": 0.0} if of_rates else {"low": 0.0}
    checked = {
        key: check_number(factor, f"{argument}[{key!r}]", **least)
        for key, factor in factors.items()
    }
    for key, factor in checked.items():
        check_rounded(factor, f"{argument}[{key!r}]", program.dtype)
    return [
        checked.get(p.name, checked.get(_layer(p), 1.0)) if of_rates or p.penalized else 1.0
        for p in program.parameters
    ]


def _layer(parameter: Parameter) -> str:
    return parameter.name.rpartition(".")[0]


def _check_rates(program: Program, optimizer: Optimizer | Solver, rates: Sequence[float]) -> None:
    """Raise ValueError unless an optimizer has the rates, which must not become 0 or infinite."""
    if isinstance(optimizer, Solver):
        raise ValueError(f"learning_rates needs an optimizer with steps, got {optimizer!r}")
    rate = optimizer.learning_rate
    if type(rate) is float:
        for parameter, factor in zip(program.parameters, rates, strict=True):
            check_rounded(rate * factor, f"the learning rate of {parameter.name!r}", program.dtype)


def _check_decays(
    program: Program, optimizer: Optimizer | Solver, weight_decays: Mapping[str, float]
) -> None:
    """Raise ValueError where there is no decay that a factor could change."""
    if isinstance(optimizer, Solver) or not optimizer.hyper.get("weight_decay"):
        raise ValueError(f"weight_decays needs an optimizer with weight decay, got {optimizer!r}")
    decaying = {name for p in program.parameters if p.penalized for name in (_layer(p), p.name)}
    for key in weight_decays:
        if key not in decaying:
            raise ValueError(f"weight_decays has {key!r}, but weight decay acts on weights only")
