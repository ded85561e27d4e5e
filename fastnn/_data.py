"""Checking and preparing the arrays that networks and layers are given.

Errors name the argument, what was expected and what came; see `real_array` for
the types that are taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_REAL_KINDS = "buif"  # bool, signed, unsigned, floating
_CHECKED_ROWS = 65536  # rows a value check looks at in one go: bounds its memory


def real_array(values: Any, name: str) -> np.ndarray:
    """`values` as an array of real numbers, not copied where it is one already.

    Booleans, integers and floating types of any width are taken, in arrays,
    memory maps, lists and whatever NumPy can convert (a pandas DataFrame).

    Raises
    ------
    TypeError
        For complex numbers, strings, dates, objects, sparse matrices and masked arrays.
    ValueError
        For rows of unequal length.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array; fill or drop the masked values first")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} does not form an array: {error}") from None
    if array.dtype.kind not in _REAL_KINDS:
        came = f"dtype {array.dtype}" if array.ndim else type(values).__name__
        raise TypeError(f"{name} must hold real numbers, got {came}{_hint(values, array)}")
    return array


def _hint(values: Any, array: np.ndarray) -> str:
    if hasattr(values, "toarray"):
        return "; convert a sparse matrix with .toarray()"
    if array.dtype.kind in "OUST" and array.ndim:
        return "; encode text and missing values as numbers first"
    return ""


def matrix(values: Any, width: int, name: str) -> np.ndarray:
    """`values` as an (N, width) array of real numbers with at least one row.

    Raises
    ------
    TypeError, ValueError
        If it is not one; see `real_array`.
    """
    array = real_array(values, name)
    if array.ndim != 2 or array.shape[1] != width:
        hint = ""
        if array.ndim == 1 and width == 1:
            hint = f"; use {name}.reshape(-1, 1) for {array.shape[0]} samples of one feature"
        elif array.ndim == 1 and len(array) == width:
            hint = f"; use {name}[None, :] for a single sample"
        raise ValueError(f"{name} has shape {array.shape}, expected (N, {width}){hint}")
    if array.shape[0] == 0:
        raise ValueError(f"{name} has no rows, expected at least one")
    return array


def sample_weights(values: Any, n: int, name: str = "sample_weight") -> np.ndarray:
    """`values` as (n,) float64 weights, finite and not negative.

    Raises
    ------
    TypeError, ValueError
        If they are not.
    """
    weights = real_array(values, name)
    if weights.shape != (n,):
        raise ValueError(f"{name} has shape {weights.shape}, expected ({n},)")
    weights = weights.astype(np.float64)
    check_finite(weights, name, "weights must be finite")
    check_range(weights, weights < 0, name, "weight >= 0")
    return weights


def contiguous(array: np.ndarray, dtype: Any) -> np.ndarray:
    """The array as the engines take it: C order, aligned, of dtype; a copy only if need be."""
    with np.errstate(over="ignore"):  # a value out of range becomes inf; `check_finite` finds it
        return np.require(array, dtype, ["C", "A", "E"])


def check_finite(
    array: np.ndarray,
    name: str,
    expected: str = "pass check_finite=False to allow it",
    dtype: Any = None,
) -> None:
    """Raise ValueError naming the first element that is nan, inf or too large for dtype.

    Parameters
    ----------
    array : array
        Integers and booleans are always fine.
    name : str
        Of the argument.
    expected : str
        End of the message.
    dtype : dtype, optional
        What the array is going to be converted to.
    """
    if array.dtype.kind != "f":
        return
    limit = np.finfo(array.dtype if dtype is None else dtype).max
    for start in range(0, len(array), _CHECKED_ROWS):
        block = array[start : start + _CHECKED_ROWS]
        finite = np.abs(block) <= limit  # False for nan
        if not finite.all():
            first = np.argwhere(~finite)[0]
            first[0] += start
            beyond = f", too large for {dtype}" if np.isfinite(array[tuple(first)]) else ""
            _complain(array, first, name, f"{beyond}; {expected}")


def check_range(array: np.ndarray, wrong: np.ndarray, name: str, expected: str) -> None:
    """Raise ValueError naming the first element of `array` where `wrong` holds, if any."""
    if wrong.any():
        _complain(array, np.argwhere(wrong)[0], name, f", expected {expected}")


def _complain(array: np.ndarray, index: np.ndarray, name: str, rest: str) -> None:
    place = tuple(int(i) for i in index)
    raise ValueError(f"{name}[{', '.join(map(str, place))}] is {array[place].item()}{rest}")
