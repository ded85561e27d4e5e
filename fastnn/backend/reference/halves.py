"""Products in bfloat16, to the last bit those of the compiled core.

A bfloat16 is the upper half of a float32.  Operands are rounded to the nearest, ties to even; a
product of two then has 16 significant bits, and a sum takes it in without rounding it first:

    c <- round(c + x[k + 1] y[k + 1]);  c <- round(c + x[k] y[k])        for k = 0, 2, 4, ...

in float32.  This is what the instruction VDPBF16PS of x86-64 does.  Subnormal numbers are zero, in
operands and in each sum.

Sums are computed here in float64 and rounded to float32, which is one rounding in effect.  Let c,
of 24 bits, and p, of 16, be the terms.  If their sum has at most 53 bits, float64 holds it, and
float32 rounds it.  Otherwise the larger term is more than 2**28 times the smaller one, which is
then below a quarter of the larger one's last place in float32: both roundings give the larger.
"""

from __future__ import annotations

import numpy as np

_SMALLEST = float(np.finfo(np.float32).tiny)
_TINY = _SMALLEST * (1 - 2.0**-25)
"""Sums below it are rounded to a number below the smallest normal one."""


def rounded(x: np.ndarray) -> np.ndarray:
    """The bfloat16 nearest to each number, ties to even, as float32; every nan as the same nan.

    Subnormal numbers become zero.
    """
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    upper = (bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) & np.uint32(0xFFFF0000)
    upper[np.abs(x) < _SMALLEST] &= 0x80000000
    upper[np.isnan(x)] = 0x7FC00000
    return upper.view(np.float32)


def chain(x: np.ndarray, y: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Sum `start` and x y, of bfloat16 numbers, in the order of the instruction.

    Parameters
    ----------
    x : (N, K) array of float32
        Values of bfloat16, as `rounded` returns them.
    y : (K, M) array of float32
        The same.
    start : (M,) or (N, M) array of float32, optional

    Returns
    -------
    (N, M) array of float32
    """
    n_terms = x.shape[1]
    # Overflow and nan are results, and nan that signal are nan.
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = (_flushed(a.astype(np.float64), _SMALLEST) for a in (x, y))
        total = np.zeros((x.shape[0], y.shape[1]))
        if start is not None:
            total += _flushed(start.astype(np.float64), _SMALLEST)
        for first in range(0, n_terms, 2):
            for k in (first + 1, first):
                # A pair without a second number has a zero there: -0 becomes 0.
                term = np.multiply.outer(x[:, k], y[k]) if k < n_terms else 0.0
                sums = _flushed(total + term, _TINY)
                total = sums.astype(np.float32).astype(np.float64)
        return total.astype(np.float32)


def _flushed(x: np.ndarray, least: float) -> np.ndarray:
    """Numbers of a magnitude below `least` replaced by zeros of their sign."""
    return np.where(np.abs(x) < least, np.copysign(0.0, x), x)


def matmul_halves(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of a and b, both rounded to bfloat16."""
    return chain(rounded(a), rounded(b))


def product_bfloat16(
    a: np.ndarray, b: np.ndarray, a_transposed: bool, b_transposed: bool, out: np.ndarray
) -> None:
    """Add a b, or with their transposes, of operands rounded to bfloat16 to `out`."""
    a, b = (m.T if turned else m for m, turned in ((a, a_transposed), (b, b_transposed)))
    out[...] = chain(rounded(a), rounded(b), out)
