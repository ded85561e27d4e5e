"""Layer normalisation over the last axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import as_floating, as_matching, check_last_axis, check_out, check_shape
from fastnn._shared.numbers import check_number
from fastnn.functional._shapes import as_rows


def layer_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    epsilon: float = 1e-5,
    *,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """(x - mean) / sqrt(variance + epsilon) * scale + shift, statistics over the last axis.

    Layer normalisation: the variance is the mean of the squared deviations.  A large mean costs
    no accuracy.

    Parameters
    ----------
    x : (..., K) array_like of float32 or float64
        K >= 1; integers and booleans are converted to float64.
    scale : (K,) array_like, optional
        Of the dtype of `x`; 1 by default.
    shift : (K,) array_like, optional
        Of the dtype of `x`; 0 by default.
    epsilon : float, default 1e-5
        Positive.
    out : (..., K) ndarray, optional
        Receives the result.  C-contiguous, of the dtype of the result; `x` itself, or an array
        that shares no memory with any argument.

    Returns
    -------
    (..., K) ndarray
        Of the dtype of `x`.  A row with an infinity or a nan is nan, and so is a row whose
        standard deviation is beyond 8e37 in float32, or 4e307 in float64.

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If `x` has no last axis or one of length 0, another shape is wrong, `epsilon` is not a
        positive number, or `out` does not fit.

    References
    ----------
    Ba, Kiros & Hinton (2016), "Layer normalization", arXiv:1607.06450.
    """
    rows = as_floating(x, "x")
    check_last_axis(rows, "x")
    factors = _vector(scale, "scale", rows)
    offsets = _vector(shift, "shift", rows)
    epsilon = check_number(epsilon, "epsilon", above=0.0)
    if out is None:
        out = np.empty(rows.shape, rows.dtype)
    else:
        check_out(out, rows.shape, rows.dtype, {"x": x, "scale": scale, "shift": shift})
    if rows.size:
        backend.kernels(rows.dtype).layer_norm(
            as_rows(rows), factors, offsets, epsilon, as_rows(out)
        )
    return out


def _vector(values: ArrayLike | None, name: str, rows: np.ndarray) -> np.ndarray | None:
    if values is None:
        return None
    vector = as_matching(values, name, rows, "x")
    check_shape(vector, name, rows.shape[-1:])
    return vector
