"""Log-sum-exp, softmax and log-softmax over the last axis, and their derivatives.

References
----------
Blanchard, Higham & Higham (2021), "Accurately computing the log-sum-exp and softmax
functions", IMA Journal of Numerical Analysis 41.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import backend
from fastnn._shared.arrays import as_floating, as_matching, check_last_axis, check_out, check_shape
from fastnn.backend.direct import direct
from fastnn.functional._shapes import as_rows


def logsumexp(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """The logarithm of sum(exp(x), axis=-1), computed without overflow.

    The derivative with respect to `x` is ``softmax(x)``.

    Parameters
    ----------
    x : (..., K) array_like of float32 or float64
        K >= 1; integers and booleans are converted to float64.
    out : (...) ndarray, optional
        Receives the result.  C-contiguous, of the dtype of the result; shares no memory with `x`.

    Returns
    -------
    (...) ndarray
        Of the dtype of `x`.  -inf for a row of -inf, inf for a row with an inf and no nan,
        nan for a row with a nan.

    Raises
    ------
    TypeError
        If `x` has another dtype, or `out` has not that of the result.
    ValueError
        If `x` has no last axis or one of length 0, or `out` does not fit.
    """
    result = direct("logsumexp", x, 0.0, out)
    if result is not None:
        return result
    z = as_floating(x, "x")
    check_last_axis(z, "x")
    shape = z.shape[:-1]
    if out is None:
        out = np.empty(shape, z.dtype)
    else:
        check_out(out, shape, z.dtype, {"x": x}, in_place=False)
    if z.size:
        backend.kernels(z.dtype).logsumexp(as_rows(z), out.reshape(-1))
    return out


def softmax(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """The softmax exp(x) / sum(exp(x), axis=-1), computed without overflow.

    Parameters
    ----------
    x : (..., K) array_like of float32 or float64
        K >= 1; integers and booleans are converted to float64.
    out : (..., K) ndarray, optional
        Receives the result.  C-contiguous, of the dtype of the result; `x` itself, or an array
        that shares no memory with `x`.

    Returns
    -------
    (..., K) ndarray
        Of the dtype of `x`.  A row with m entries inf has 1/m there and 0 elsewhere; a
        row of -inf (0 / 0) and a row with a nan are nan.

    Raises
    ------
    TypeError
        If `x` has another dtype, or `out` has not that of the result.
    ValueError
        If `x` has no last axis or one of length 0, or `out` does not fit.
    """
    return _normalize("softmax", x, out)


def log_softmax(x: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
    """The logarithm of softmax, x - logsumexp(x), with full accuracy where it is near 0.

    Parameters
    ----------
    x, out
        As in `softmax`.

    Returns
    -------
    (..., K) ndarray
        Of the dtype of `x`.  Infinite and nan rows as in `softmax`.

    Raises
    ------
    TypeError, ValueError
        As `softmax` does.
    """
    return _normalize("log_softmax", x, out)


def softmax_backward(
    p: ArrayLike, dp: ArrayLike, out: np.ndarray | None = None
) -> np.ndarray:  # fmt: skip
    """The gradient p (dp - sum(dp p, axis=-1)) of a cost with respect to x, p = softmax(x).

    Parameters
    ----------
    p : (..., K) array_like of float32 or float64
        What `softmax` returned.
    dp : (..., K) array_like
        The gradient of the cost with respect to `p`; of the same dtype.
    out : (..., K) ndarray, optional
        Receives the result.  C-contiguous; `p` itself, or an array that shares no memory with
        `p` and `dp`.

    Returns
    -------
    (..., K) ndarray
        Of the dtype of `p`.

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If a shape is wrong, or `out` does not fit.
    """
    return _backward("softmax_backward", (p, "p"), (dp, "dp"), out)


def log_softmax_backward(
    logp: ArrayLike, dlogp: ArrayLike, out: np.ndarray | None = None
) -> np.ndarray:
    """The gradient dlogp - exp(logp) sum(dlogp, axis=-1) for x, logp = log_softmax(x).

    Parameters
    ----------
    logp : (..., K) array_like of float32 or float64
        What `log_softmax` returned.
    dlogp : (..., K) array_like
        The gradient of the cost with respect to `logp`; of the same dtype.
    out : (..., K) ndarray, optional
        Receives the result.  C-contiguous; `logp` itself, or an array that shares no memory with
        `logp` and `dlogp`.

    Returns
    -------
    (..., K) ndarray
        Of the dtype of `logp`.

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If a shape is wrong, or `out` does not fit.
    """
    return _backward("log_softmax_backward", (logp, "logp"), (dlogp, "dlogp"), out)


def _normalize(kernel: str, x: Any, out: Any) -> np.ndarray:
    result = direct(kernel, x, 0.0, out)
    if result is not None:
        return result
    z = as_floating(x, "x")
    check_last_axis(z, "x")
    if out is None:
        out = np.empty(z.shape, z.dtype)
    else:
        check_out(out, z.shape, z.dtype, {"x": x})
    if z.size:
        getattr(backend.kernels(z.dtype), kernel)(as_rows(z), as_rows(out))
    return out


def _backward(
    kernel: str, output: tuple[object, str], upstream: tuple[object, str], out: Any
) -> np.ndarray:
    p = as_floating(*output)
    check_last_axis(p, output[1])
    dp = as_matching(*upstream, p, output[1])
    check_shape(dp, upstream[1], p.shape)
    if out is None:
        out = np.empty(p.shape, p.dtype)
    else:
        check_out(out, p.shape, p.dtype, {output[1]: output[0], upstream[1]: upstream[0]})
    if p.size:
        getattr(backend.kernels(p.dtype), kernel)(as_rows(p), as_rows(dp), as_rows(out))
    return out
