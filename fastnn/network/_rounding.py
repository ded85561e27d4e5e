"""Options of a network that must keep their meaning when they are rounded to its dtype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_rounded
from fastnn.facts.losses import LOSSES
from fastnn.network._heads import LossOnOutput
from fastnn.optimizers import Optimizer
from fastnn.program import Program
from fastnn.solvers import Solver

_RATE_UNIT = 2.0**-32
"""Engines round the rate of a dropout to a multiple of it; masks come from words of 32 bits."""


def check_layers(program: Program) -> None:
    """Raise ValueError if a number of a layer becomes 0 or infinite where the engines use it."""
    for operation in program.operations:
        of_layer = f" of layer {program.buffers[operation.output].name.rpartition('.')[0]!r}"
        _check(operation.attributes, of_layer, program.dtype)
        rate = operation.attributes.get("rate", 0.0)
        if rate and not round(rate / _RATE_UNIT):
            raise ValueError(f"rate{of_layer} is {rate!r}, which becomes 0 in units of 2**-32")


def check_options(
    dtype: np.dtype, heads: Sequence[LossOnOutput], optimizer: Optimizer | Solver, l2: float
) -> None:
    """Raise ValueError if a number of `Network.compile` becomes 0, infinite or 1 in the dtype."""
    if isinstance(optimizer, Optimizer):
        optimizer.check_dtype(dtype)
    check_rounded(l2, "l2", dtype)
    for head in heads:
        check_rounded(head.weight, f"loss_weights[{head.name!r}]", dtype)
        described = head.loss.head(head.output, head.width)
        of_loss = f" of loss {head.loss.name}"
        row = LOSSES.get(described.loss)
        attributes = dict(described.attributes)
        if row is not None and row.is_elementwise and attributes.get("reduction", "mean") == "mean":
            # Only the ratios of these weights matter: they are scaled before they are rounded.
            scaled = f"a class_weight{of_loss}, divided by about the largest of them,"
            for weight in attributes.pop("class_weights", ()):
                check_rounded(weight, scaled, dtype)
        _check(attributes, of_loss, dtype)
        if row is not None and row.parameter is not None:
            parameter = row.parameter
            numbers = [described.parameter]
            if parameter.by_column:
                numbers += attributes.get(row.columns, ())
            for number in numbers:
                option = _OPTIONS.get(parameter.name, parameter.name)
                check_rounded(number, option + of_loss, dtype, parameter.below)


_OPTIONS = {
    "class_weights": "class_weight",
    "pos_weights": "pos_weight",
    "quantile": "quantiles",
}
"""What users call an attribute, where it is not its key."""


def _check(attributes: Mapping[str, Any], of: str, dtype: np.dtype) -> None:
    for key, value in attributes.items():
        for number in value if isinstance(value, tuple | list) else [value]:
            if isinstance(number, float):
                check_rounded(number, _OPTIONS.get(key, key) + of, dtype)
