"""Checks of arguments, shared by everything that takes arrays or numbers from a caller.

Each check names the argument, says what was expected and what came.  Wrong types
and dtypes raise TypeError, wrong shapes and values ValueError.

Arrays follow the rule of `fastnn.functional`: float32 and float64 keep their dtype,
integers and booleans become float64, anything else is refused (float16, long double,
complex, strings, dates, objects).  Non-contiguous, unaligned and byte-swapped arrays
are copied; a contiguous native one is used as it is.  What networks take, data of any
real type, is checked by `fastnn._shared.arrays`.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)


# Arrays


def as_floating(x: Any, name: str, dtype: Any = None) -> np.ndarray:
    """`x` as a C-contiguous, aligned, native array of float32 or float64.

    Parameters
    ----------
    x : array_like
        Real numbers.
    name : str
        What error messages call it.
    dtype : float32 or float64, optional
        Convert to this dtype; by default floating inputs keep theirs.

    Returns
    -------
    ndarray
        `x` itself where it already is such an array.
    """
    if type(x) is np.ndarray:
        have = x.dtype
        # Built-in dtypes are singletons; `is` tells native float32 and float64 at once.
        if (have is FLOAT32 or have is FLOAT64) and (dtype is None or have == dtype):
            flags = x.flags
            if flags.c_contiguous and flags.aligned:
                return x
    return _convert(x, name, dtype)


def _convert(x: Any, name: str, dtype: Any) -> np.ndarray:
    array = as_array(x, name)
    have = array.dtype
    if have.kind in "biu":
        target = FLOAT64
    elif have.kind == "f" and have.newbyteorder("=") in (FLOAT32, FLOAT64):
        target = have.newbyteorder("=")
    else:
        raise TypeError(
            f"{name} must be float32 or float64 (integers and booleans are converted), "
            f"got {_dtype_name(array)}"
        )
    # A value too large for float32 becomes inf, which the caller may check for.
    with np.errstate(over="ignore"):
        return np.require(array, target if dtype is None else np.dtype(dtype), ["C", "A"])


def as_array(x: Any, name: str) -> np.ndarray:
    """`x` as an array of whatever dtype, with an error that names it if it is ragged."""
    if type(x) is np.ndarray:
        return x
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise ValueError(f"{name} must have no masked elements; fill or drop them first")
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array of numbers: {error}") from None


def _dtype_name(array: np.ndarray) -> str:
    if array.dtype == object and array.ndim == 0:
        return type(array.item()).__name__
    return str(array.dtype)


def as_matching(x: Any, name: str, like: np.ndarray, like_name: str) -> np.ndarray:
    """`x` as `as_floating` gives it, which must have the dtype of `like`.

    For arrays of one computation (weights, gradients, state): a second dtype among
    them is a slip, and converting it silently would hide one.
    """
    if type(x) is np.ndarray and x.dtype is like.dtype:
        return as_floating(x, name)
    array = _convert(x, name, None)
    if array.dtype != like.dtype:
        raise TypeError(f"{name} must be {like.dtype} as {like_name} is, got {array.dtype}")
    return array


def check_shape(x: np.ndarray, name: str, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `x` has this shape."""
    if x.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {x.shape}")


def check_last_axis(x: np.ndarray, name: str) -> None:
    """Raise ValueError unless `x` has a last axis with at least one element."""
    if x.ndim == 0:
        raise ValueError(f"{name} must have at least 1 dimension, got a scalar")
    if x.shape[-1] == 0:
        raise ValueError(
            f"{name} must have at least 1 element along its last axis, got shape {x.shape}"
        )


def check_out(
    out: Any,
    shape: tuple[int, ...],
    dtype: np.dtype,
    first: Any,
    others: Mapping[str, Any] | None = None,
    *,
    name: str = "out",
    first_name: str = "x",
    in_place: bool = True,
) -> np.ndarray:
    """`out` itself, if results can be written into it.

    It must be a writable C-contiguous ndarray of the given shape and dtype.  It may be
    `first` itself where `in_place` holds, and may share no memory with an input otherwise.
    The inputs are compared as the caller gave them, before any conversion.
    """
    _check_ndarray(out, name)
    if out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"{name} must be {dtype}, got {out.dtype}")
    check_shape(out, name, shape)
    flags = out.flags
    if not (flags.c_contiguous and flags.aligned):
        raise ValueError(f"{name} must be C-contiguous and aligned, got strides {out.strides}")
    if not flags.writeable:
        raise ValueError(f"{name} must be writable, got a read-only array")
    if first is not out and _share_memory(out, first) and not (in_place and _same(out, first)):
        allowed = f"{first_name} itself or an array that" if in_place else "an array that"
        raise ValueError(f"{name} must be {allowed} shares no memory with it, got an overlap")
    if first is out and not in_place:
        raise ValueError(f"{name} must share no memory with {first_name}, got the same array")
    for other_name, other in (others or {}).items():
        if _share_memory(out, other):
            raise ValueError(f"{name} must share no memory with {other_name}, got an overlap")
    return out


def _check_ndarray(array: Any, name: str) -> None:
    """Raise TypeError unless results can be written into `array` as into any ndarray."""
    if type(array) is np.ndarray:
        return
    if not isinstance(array, np.ndarray) or isinstance(array, (np.matrix, np.ma.MaskedArray)):
        raise TypeError(
            f"{name} is written to, so it must be a numpy.ndarray, got {type(array).__name__}"
        )


def _share_memory(a: np.ndarray, b: Any) -> bool:
    # may_share_memory compares bounds only: cheap, and almost always decides.
    return (
        isinstance(b, np.ndarray)
        and bool(np.may_share_memory(a, b))
        and bool(np.shares_memory(a, b))
    )


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same elements in the same order."""
    return (
        a.shape == b.shape
        and a.strides == b.strides
        and a.dtype == b.dtype
        and a.ctypes.data == b.ctypes.data
    )


def check_in_place(arrays: Mapping[str, Any], gradient: Any = None) -> None:
    """Check arrays that an update changes in place; the first one sets dtype and shape.

    Each must be a writable ndarray of native float32 or float64, in any memory layout;
    none may share memory with another or with the gradient.
    """
    head_name, head = next(iter(arrays.items()))
    seen = {"gradient": gradient}
    for name, array in arrays.items():
        _check_ndarray(array, name)
        dtype = array.dtype
        if dtype is not FLOAT32 and dtype is not FLOAT64 and dtype not in (FLOAT32, FLOAT64):
            raise TypeError(f"{name} must be float32 or float64, got {dtype}")
        if dtype != head.dtype:
            raise TypeError(f"{name} must be {head.dtype} as {head_name} is, got {dtype}")
        check_shape(array, name, head.shape)
        if not array.flags.writeable:
            raise ValueError(f"{name} must be writable, got a read-only array")
        for other_name, other in seen.items():
            if _share_memory(array, other):
                raise ValueError(f"{name} must share no memory with {other_name}, got an overlap")
        seen[name] = array


def _first(x: np.ndarray, bad: np.ndarray, name: str) -> str:
    """Name the first element where `bad` holds, for an error message."""
    index = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
    where = f"{name}[{', '.join(map(str, index))}]" if index else name
    return f"{where} = {x[index]}"


# Labels, weights and targets


def as_labels(x: Any, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Integer labels as a C-contiguous int64 array; the kernels check the range.

    Any integer dtype will do; booleans and floating-point labels are refused.
    """
    array = as_array(x, name)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got {_dtype_name(array)}")
    if shape is not None:
        check_shape(array, name, shape)
    if array.dtype is INT64 and array.flags.carray:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 8:
        # Converted as they are, labels from 2^63 up would turn negative.
        bad = array > np.iinfo(np.int64).max
        if bad.any():
            raise ValueError(f"{name} must be below 2**63, got {_first(array, bad, name)}")
    return np.require(array, np.int64, ["C", "A"])


def as_weights(x: Any, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Weights of this shape, converted to `dtype`: finite and not negative."""
    array = as_floating(x, name, dtype)
    check_shape(array, name, shape)
    check_interval(array, name, 0.0, math.inf)
    return array


def check_interval(
    x: np.ndarray,
    name: str,
    low: float,
    high: float,
    ignored: np.ndarray | None = None,
) -> None:
    """Raise ValueError at the first element outside [low, high], at nan or at an infinity.

    Elements where `ignored` holds are not looked at.
    """
    if ignored is not None:
        bad = ~ignored & ~((x >= low) & (x <= high) & np.isfinite(x))
    elif x.size == 0 or (low <= x.min() and x.max() <= high and x.max() < math.inf):
        return
    else:
        bad = ~((x >= low) & (x <= high) & np.isfinite(x))
    if bad.any():
        expected = f">= {low:g}" if high == math.inf else f"within [{low:g}, {high:g}]"
        raise ValueError(f"{name} must be finite and {expected}, got {_first(x, bad, name)}")


# Numbers and names


def check_number(
    value: Any,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """A finite real number as a float, with low <= value <= high and above < value < below."""
    if type(value) is not float:
        value = _real(value, name)
    # A chain of comparisons is false for nan; the strict bounds refuse the infinities.
    if low <= value <= high and above < value < below:
        return value
    limits = [
        text
        for bound, text in (
            (low, f">= {low:g}"),
            (above, f"> {above:g}"),
            (high, f"<= {high:g}"),
            (below, f"< {below:g}"),
        )
        if math.isfinite(bound)
    ]
    expected = " ".join(["a finite number", " and ".join(limits)]).rstrip()
    raise ValueError(f"{name} must be {expected}, got {value!r}")


def _real(value: Any, name: str) -> float:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {type(value).__name__}")
    return float(value)


def check_integer(value: Any, name: str, low: int | None = None, high: int | None = None) -> int:
    """An integer as an int, with low <= value <= high; booleans and floats are refused."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
    if (low is not None and number < low) or (high is not None and number > high):
        if high is None:
            expected = f">= {low}"
        elif low is None:
            expected = f"<= {high}"
        else:
            expected = f"from {low} to {high}"
        raise ValueError(f"{name} must be an integer {expected}, got {number}")
    return number


def check_flag(value: Any, name: str) -> bool:
    """True or False as a bool: text such as "no", which counts as true, is refused."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """A string that is one of `choices`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return value
