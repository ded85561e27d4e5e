"""What the losses share: conventions, documentation and checks.

Every loss is a weighted reduction of terms l with weights c:

========== ========================
reduction  loss
========== ========================
"mean"     sum(c l) / sum(c)
"sum"      sum(c l)
"half_sum" sum(c l) / 2
"none"     c l, one by one
========== ========================

The gradient is that of the returned number, or of the sum of the numbers.  Terms of weight 0
have no influence, whatever the logits or predictions are there; where all weights are 0
(everything ignored), the loss is 0 and so is the gradient.  Sums are accumulated in float64.
Where there are no terms at all, sums are 0 and means nan.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from fastnn._shared.arrays import as_weights, check_out
from fastnn._shared.numbers import check_choice, check_flag
from fastnn.program import REDUCTIONS

Reduction = Literal["mean", "sum", "half_sum"]
AnyReduction = Literal["mean", "sum", "half_sum", "none"]

_REDUCED = {**{name: name for name in REDUCTIONS}, "none": "sum"}

SECTIONS = """
Parameters
----------
{inputs}
sample_weight : {weights}
{options}
reduction : {{"mean", "sum", "half_sum", "none"}}
    sum(c l) / sum(c), sum(c l) or sum(c l) / 2 over the terms l with their weights c, as
    defined in the notes; or c l, one for each term.  If all weights are 0 (everything ignored),
    loss and gradient are 0.
gradient : bool
    Whether to return the gradient as well, with "none" that of the sum of the losses.
out : (..., K) ndarray, optional
    With ``gradient=True``: receives the gradient.  C-contiguous, of the dtype of the
    gradient; the first argument itself, or an array that shares no memory with any argument.

Returns
-------
loss : float, or {each} with ``reduction="none"``
    No samples give 0 as a sum and nan as a mean.
gradient : (..., K) ndarray
    Only with ``gradient=True``: d loss / d {first}, of the dtype of `{first}`.

Raises
------
TypeError
    If a dtype or the type of a number is wrong.
ValueError
    If a shape does not fit, {errors}.

Notes
-----
{notes}
"""


class LossCall(NamedTuple):
    """The arguments that all losses share, as the caller passed them."""

    first: Any
    """Predictions or logits."""
    first_name: str
    targets: Any
    sample_weight: Any
    reduction: str
    gradient: bool
    out: np.ndarray | None


def check_reduction(reduction: str) -> str:
    """The reduction that kernels compute: the sum where losses are wanted one by one."""
    if type(reduction) is not str or reduction not in _REDUCED:
        check_choice(reduction, "reduction", tuple(_REDUCED))
    return _REDUCED[reduction]


def of_nothing(reduction: str, shape: tuple[int, ...], dtype: np.dtype) -> float | np.ndarray:
    """The loss over no terms: a sum of 0, a mean of nan, or an empty array."""
    if reduction == "none":
        return np.empty(shape, dtype)
    return math.nan if reduction == "mean" else 0.0


def sample_weights(x: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | None:
    """Sample weights as the kernels take them, or None."""
    return None if x is None else as_weights(x, "sample_weight", shape, dtype).reshape(-1)


def gradient_array(
    array: np.ndarray,
    first: tuple[Any, str],
    others: dict[str, Any],
    wanted: bool,
    out: np.ndarray | None,
) -> np.ndarray | None:
    """Where the gradient goes: nowhere, into `out` or into a new array."""
    if not check_flag(wanted, "gradient"):
        if out is not None:
            raise ValueError("out receives the gradient: it must be None without gradient=True")
        return None
    if out is None:
        return np.empty(array.shape, array.dtype)
    return check_out(out, array.shape, array.dtype, {first[1]: first[0], **others})
