"""Log-sum-exp, softmax and log-softmax along any axes, and their derivatives.

References
----------
Blanchard, Higham & Higham (2021), "Accurately computing the log-sum-exp and softmax
functions", IMA Journal of Numerical Analysis 41.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import as_floating, as_matching, check_out, check_shape
from fastnn._shared.numbers import check_flag
from fastnn.backend.direct import direct
from fastnn.functional._shapes import Along, Axis, along, plain


@overload
def logsumexp(
    x: ArrayLike,
    out: np.ndarray | None = ...,
    axis: Axis = ...,
    b: ArrayLike | None = ...,
    keepdims: bool = ...,
    return_sign: Literal[False] = ...,
) -> np.ndarray: ...
@overload
def logsumexp(
    x: ArrayLike,
    out: np.ndarray | None = ...,
    axis: Axis = ...,
    b: ArrayLike | None = ...,
    keepdims: bool = ...,
    *,
    return_sign: Literal[True],
) -> tuple[np.ndarray, np.ndarray]: ...
def logsumexp(
    x: ArrayLike,
    out: np.ndarray | None = None,
    axis: Axis = -1,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """The logarithm of sum(b exp(x)) along some axes, computed without overflow.

    The derivative with respect to `x` is ``softmax(x, axis=axis)`` without `b`.

    Parameters
    ----------
    x : (...) array_like of float32 or float64
        Integers and booleans are converted to float64.
    out : (...) ndarray, optional
        Receives the result.  C-contiguous, of the dtype of the result; shares no memory with `x`
        and `b`.
    axis : int, tuple of int or None, default -1
        The axes that the sum runs along; None for all.
    b : array_like, optional
        Weights of any sign, which broadcast with `x`; 1 by default.  Where b is 0, `x` is
        ignored, whatever it is.
    keepdims : bool, default False
        Whether the axes of the sum stay, with length 1.
    return_sign : bool, default False
        Whether to return the sign of the sum as well, and the logarithm of its absolute value.
        Without it, the result of a negative sum is nan.

    Returns
    -------
    result : (...) ndarray
        Of the dtype of `x`, or that which `x` and an array `b` have together; a scalar if it has
        no dimensions.  -inf for a sum of 0, which a sum of no terms is; inf or nan where
        infinities or nan in `x` or `b` make the sum so.
    sign : (...) ndarray
        Only with ``return_sign=True``: 1, 0, -1 or nan, of the dtype of the result.

    Raises
    ------
    TypeError
        If `x` or `b` has another dtype, or `out` has not that of the result, or an axis is no
        integer.
    ValueError
        If `b` does not broadcast with `x`, `x` has no such axis or `out` does not fit.

    Notes
    -----
    `scipy.special.logsumexp` means the same, with ``axis=None`` by default.
    """
    if axis == -1 and b is None and keepdims is False and return_sign is False:
        result = direct("logsumexp", x, 0.0, out)
        if result is not None:
            return result
    z, weights = _weighted(as_floating(x, "x"), b)
    where = along(z, axis, "x")
    keep, with_sign = check_flag(keepdims, "keepdims"), check_flag(return_sign, "return_sign")
    shape = _reduced(where, z.ndim, keep)
    if out is None:
        logs = np.empty(shape, z.dtype)
    else:
        logs = check_out(out, shape, z.dtype, {"x": x, "b": b}, in_place=False)
    signs = _sum_exponentials(where, z, weights, logs.reshape(-1))
    if with_sign:
        return plain(logs, out), signs.reshape(shape)[()]
    logs[signs.reshape(shape) < 0] = np.nan
    return plain(logs, out)


def _weighted(z: np.ndarray, b: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """The operand and its weights, of one shape and dtype."""
    if b is None:
        return z, None
    weights = as_floating(b, "b")
    dtype = z.dtype if type(b) in (bool, int, float) else np.result_type(z, weights)
    try:
        shape = np.broadcast_shapes(z.shape, weights.shape)
    except ValueError:
        raise ValueError(
            f"b must have a shape that broadcasts with that of x, {z.shape}, got {weights.shape}"
        ) from None
    z, weights = (
        np.ascontiguousarray(np.broadcast_to(part.astype(dtype, copy=False), shape)).reshape(shape)
        for part in (z, weights)
    )
    return z, weights


def _reduced(where: Along, ndim: int, keep: bool) -> tuple[int, ...]:
    """The shape of a sum of an array along its rows."""
    if keep and ndim:
        return tuple(1 if i in where.axes else n for i, n in enumerate(where.shape))
    return tuple(where.shape[i] for i in where.others) if ndim else ()


def _sum_exponentials(
    where: Along, z: np.ndarray, weights: np.ndarray | None, logs: np.ndarray
) -> np.ndarray:
    """Write the logarithms of the absolute sums of the rows into `logs`; returns the signs."""
    if weights is None:
        if where.n_columns == 0:
            logs.fill(-np.inf)
        elif where.n_rows:
            backend.kernels(z.dtype).logsumexp(where.rows(z), logs)
        return np.where(np.isnan(logs), logs, np.asarray(logs > -np.inf, z.dtype))
    signs = np.zeros(where.n_rows, z.dtype)
    if where.n_columns == 0:
        logs.fill(-np.inf)
    elif where.n_rows:
        kernels = backend.kernels(z.dtype)
        kernels.signed_logsumexp(where.rows(z), where.rows(weights), logs, signs)
    return signs


def softmax(x: ArrayLike, out: np.ndarray | None = None, axis: Axis = -1) -> np.ndarray:
    """The softmax exp(x) / sum(exp(x)) along some axes, computed without overflow.

    Parameters
    ----------
    x : (...) array_like of float32 or float64
        Integers and booleans are converted to float64.
    out : (...) ndarray, optional
        Receives the result.  C-contiguous, of the dtype of the result; `x` itself, or an array
        that shares no memory with `x`.
    axis : int, tuple of int or None, default -1
        The axes that the sum runs along, together at least 1 element; None for all.

    Returns
    -------
    (...) ndarray
        Of the dtype of `x`; a scalar if `x` is one.  Elements of which m are inf have 1/m there
        and 0 elsewhere; where all are -inf (0 / 0) and where one is nan, all are nan.

    Raises
    ------
    TypeError
        If `x` has another dtype, or `out` has not that of the result, or an axis is no integer.
    ValueError
        If `x` has no such axis or no elements along it, or `out` does not fit.

    Notes
    -----
    `scipy.special.softmax` means the same, with ``axis=None`` by default; where elements are inf
    it has nan.
    """
    return _normalize("softmax", x, axis, out)


def log_softmax(x: ArrayLike, out: np.ndarray | None = None, axis: Axis = -1) -> np.ndarray:
    """The logarithm of softmax, x - logsumexp(x), with full accuracy where it is near 0.

    Parameters
    ----------
    x, out, axis
        As in `softmax`.

    Returns
    -------
    (...) ndarray
        Of the dtype of `x`; a scalar if `x` is one.  With infinities and nan it is the logarithm
        of what `softmax` has there.

    Raises
    ------
    TypeError, ValueError
        As `softmax` does.
    """
    return _normalize("log_softmax", x, axis, out)


def softmax_backward(
    p: ArrayLike, dp: ArrayLike, out: np.ndarray | None = None, *, axis: Axis = -1
) -> np.ndarray:
    """The gradient p (dp - sum(dp p)) of a cost with respect to x, p = softmax(x).

    Parameters
    ----------
    p : (...) array_like of float32 or float64
        What `softmax` returned.
    dp : (...) array_like
        The gradient of the cost with respect to `p`; of the same dtype.
    out : (...) ndarray, optional
        Receives the result.  C-contiguous; `p` itself, or an array that shares no memory with
        `p` and `dp`.
    axis : int, tuple of int or None, default -1
        That of the softmax.

    Returns
    -------
    (...) ndarray
        Of the dtype of `p`; a scalar if `p` is one.

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If a shape is wrong, or `out` does not fit.
    """
    return _backward("softmax_backward", (p, "p"), (dp, "dp"), axis, out)


def log_softmax_backward(
    logp: ArrayLike, dlogp: ArrayLike, out: np.ndarray | None = None, *, axis: Axis = -1
) -> np.ndarray:
    """The gradient dlogp - exp(logp) sum(dlogp) for x, logp = log_softmax(x).

    Parameters
    ----------
    logp : (...) array_like of float32 or float64
        What `log_softmax` returned.
    dlogp : (...) array_like
        The gradient of the cost with respect to `logp`; of the same dtype.
    out : (...) ndarray, optional
        Receives the result.  C-contiguous; `logp` itself, or an array that shares no memory with
        `logp` and `dlogp`.
    axis : int, tuple of int or None, default -1
        That of the log-softmax.

    Returns
    -------
    (...) ndarray
        Of the dtype of `logp`; a scalar if `logp` is one.

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If a shape is wrong, or `out` does not fit.
    """
    return _backward("log_softmax_backward", (logp, "logp"), (dlogp, "dlogp"), axis, out)


def _normalize(kernel: str, x: Any, axis: Any, out: np.ndarray | None) -> np.ndarray:
    if axis == -1:
        result = direct(kernel, x, 0.0, out)
        if result is not None:
            return result
    z = as_floating(x, "x")
    where = along(z, axis, "x")
    where.check_columns("x")
    result = (
        np.empty(z.shape, z.dtype) if out is None else check_out(out, z.shape, z.dtype, {"x": x})
    )
    _apply_to_rows(getattr(backend.kernels(z.dtype), kernel), where, [z], result)
    return plain(result, out)


def _backward(
    kernel: str, output: tuple[Any, str], upstream: tuple[Any, str], axis: Any, out: Any
) -> np.ndarray:
    p = as_floating(*output)
    where = along(p, axis, output[1])
    where.check_columns(output[1])
    dp = as_matching(*upstream, p, output[1])
    check_shape(dp, upstream[1], p.shape)
    if out is None:
        result = np.empty(p.shape, p.dtype)
    else:
        inputs = {output[1]: output[0], upstream[1]: upstream[0]}
        result = check_out(out, p.shape, p.dtype, inputs)
    _apply_to_rows(getattr(backend.kernels(p.dtype), kernel), where, [p, dp], result)
    return plain(result, out)


def _apply_to_rows(
    kernel: Callable[..., None], where: Along, operands: Sequence[np.ndarray], out: np.ndarray
) -> None:
    """Apply a kernel of rows to arrays, whose rows may run along any axes."""
    if out.size == 0:
        return
    rows = [where.rows(operand) for operand in operands]
    if where.in_place:
        kernel(*rows, out.reshape(rows[0].shape))
        return
    result = np.empty_like(rows[0])
    kernel(*rows, result)
    where.put(result, out)
