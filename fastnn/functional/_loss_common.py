"""What the losses share: conventions, documentation and checks.

Every loss is a weighted reduction of terms l with weights c:

========== ========================
reduction  loss
========== ========================
"mean"     sum(c l) / sum(c)
"sum"      sum(c l)
"half_sum" sum(c l) / 2
========== ========================

The gradient is that of the returned number.  Terms of weight 0 have no influence,
whatever the logits or predictions are there; where all weights are 0 (everything
ignored), the loss is 0 and so is the gradient.  Sums are accumulated in float64.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from fastnn._shared.arrays import as_weights, check_last_axis, check_out
from fastnn._shared.numbers import check_flag

Reduction = Literal["mean", "sum", "half_sum"]

SECTIONS = """
Parameters
----------
{inputs}
sample_weight : (...) array_like, optional
    One non-negative weight per sample; 1 by default.
{options}
reduction : {{"mean", "sum", "half_sum"}}
    sum(c l) / sum(c), sum(c l) or sum(c l) / 2 over the terms l with their weights c, as
    defined in the notes.  If all weights are 0 (everything ignored), loss and gradient are 0.
gradient : bool
    Whether to return the gradient as well.
out : (..., K) ndarray, optional
    With ``gradient=True``: receives the gradient.  C-contiguous, of the dtype of the
    gradient; the first argument itself, or an array that shares no memory with any argument.

Returns
-------
loss : float
gradient : (..., K) ndarray
    Only with ``gradient=True``: d loss / d {first}, of the dtype of `{first}`.

Raises
------
TypeError
    If a dtype or the type of a number is wrong.
ValueError
    If a shape does not fit, there are no samples, {errors}.

Notes
-----
{notes}
"""


def check_samples(x: np.ndarray, name: str) -> None:
    """Raise ValueError unless `x` has at least one row with at least one element."""
    check_last_axis(x, name)
    if x.size == 0:
        raise ValueError(f"{name} must have at least one sample, got shape {x.shape}")


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
