"""The one way in which the package reads and checks arrays of a caller.

Data of networks and of regressions may have any real type: `as_real`.  Operands of
`fastnn.functional` keep float32 and float64, and other floating types are refused:
`as_floating`.  Both copy nothing where the array can be used as it is.

Errors name the argument, what was expected and what came.  Wrong types and dtypes raise
TypeError, wrong shapes and values ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn._shared.exchange import from_arrow, is_narrow_float, to_numpy
from fastnn._shared.sparse import Rows, RowsT, SparseRows

Arrays = ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike]
"""One array, or several in order or by name."""

Weights = ArrayLike | Sequence[ArrayLike | None] | Mapping[str, ArrayLike | None] | None
"""Weights of samples for all outputs, or some for each output in order or by name."""

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)

CAN_BE_ALLOWED = "pass check_finite=False to allow it"
"""End of the message of `check_finite` where the caller has that argument."""

_LIMITS: dict[np.dtype[Any], tuple[float, float]] = {
    dtype: (float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)) for dtype in (FLOAT32, FLOAT64)
}
"""The smallest normal and the largest number of each dtype."""

LIGHTEST, HEAVIEST = 2.0**-20, 2.0**20
"""The largest weight of a mean is between these, or else all weights are scaled."""

_REAL_KINDS = "buif"  # bool, signed, unsigned, floating
_CHECKED_ROWS = 65536  # rows that a check of values reads at a time: bounds its memory


# Reading


def as_real(values: object, name: str) -> np.ndarray:
    """`values` as an array of real numbers, not copied where it is one already.

    Booleans, integers and floating types of any width are accepted, in arrays, memory
    maps, lists and everything else that NumPy can convert, and in objects that offer their
    memory by DLPack or Arrow (`fastnn._shared.exchange`).  Columns of a table of pandas,
    polars or pyarrow may have different real types, nullable ones included: they become
    float64, and missing values nan.

    Raises
    ------
    TypeError
        For complex numbers, strings, dates, objects, sparse matrices, and memory of other
        devices than the CPU.
    ValueError
        For rows of unequal length and for masked elements.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} must have no masked elements; fill or drop them first")
    if type(values) is np.ndarray:
        array = values
    else:
        values = from_arrow(values, name)
        array = to_numpy(values, name)
    if array.dtype.kind not in _REAL_KINDS and not isinstance(values, np.ndarray):
        array = _of_table(values, name, array)
    if array.dtype.kind not in _REAL_KINDS:
        came = f"dtype {array.dtype}" if array.ndim else type(values).__name__
        raise TypeError(f"{name} must hold real numbers, got {came}{_hint(values, array)}")
    return array


def _of_table(values: Any, name: str, array: np.ndarray) -> np.ndarray:
    """A table or a column of several or of nullable real types, in float64.

    `array` is what NumPy makes of it.  TypeError names the first column of another type.
    """
    from fastnn._shared.frames import local

    values = local(values)
    if not hasattr(values, "to_numpy"):
        return array
    if not hasattr(values, "columns"):
        return _of_column(values) if _is_real(values) else array
    columns = []
    for label, column in values.items():
        if not _is_real(column):
            raise TypeError(
                f"{name} must hold real numbers, got column {label!r} of type "
                f"{getattr(column, 'kind', column.dtype)}; "
                "encode text and missing values as numbers first"
            )
        columns.append(_of_column(column))
    return np.column_stack(columns)


def _is_real(column: Any) -> bool:
    return getattr(column.dtype, "kind", "O") in _REAL_KINDS


def _of_column(column: Any) -> np.ndarray:
    """A column of a real type in float64; missing values are nan."""
    if isinstance(column.dtype, np.dtype):
        return np.asarray(column, FLOAT64)
    result: np.ndarray = column.to_numpy(dtype=FLOAT64, na_value=np.nan)
    return result


def _hint(values: object, array: np.ndarray) -> str:
    if hasattr(values, "toarray"):
        return "; convert a sparse matrix with .toarray()"
    if is_narrow_float(values):
        return "; convert it to float32 first"
    if isinstance(values, int):
        return " beyond 64 bits; use a float"
    if array.dtype.kind in "OUST" and array.ndim:
        hint = "; encode text and missing values as numbers first"
        if not isinstance(values, np.ndarray) and hasattr(values, "astype"):
            hint += ", and convert nullable columns of a table with .astype(float)"
        return hint
    return ""


def as_matrix(values: object, name: str, width: int) -> np.ndarray:
    """`values` as an (N, width) array of real numbers with at least one row.

    Raises
    ------
    TypeError, ValueError
        If it is not one; see `as_real`.
    """
    array = as_real(values, name)
    if array.ndim != 2 or array.shape[1] != width:
        hint = ""
        if array.ndim == 1 and width == 1:
            hint = f"; use {name}.reshape(-1, 1) for {array.shape[0]} samples of one feature"
        elif array.ndim == 1 and len(array) == width:
            hint = f"; use {name}[None, :] for a single sample"
        raise ValueError(f"{name} must have shape (N, {width}), got {array.shape}{hint}")
    if array.shape[0] == 0:
        raise ValueError(f"{name} must have at least one row, got none")
    return array


def as_floating(x: object, name: str, dtype: np.dtype | None = None) -> np.ndarray:
    """`x` as a C-contiguous, aligned, native array of float32 or float64.

    Integers and booleans become float64.  Non-contiguous, unaligned and byte-swapped
    arrays are copied.

    Parameters
    ----------
    x : array_like
        Real numbers.
    name : str
        Name of the argument in error messages.
    dtype : float32 or float64, optional
        Convert to this dtype; by default floating inputs keep theirs.

    Returns
    -------
    ndarray
        `x` itself where it already is such an array.

    Raises
    ------
    TypeError
        For other floating types (float16, long double) and for what `as_real` refuses.
    """
    if type(x) is np.ndarray:
        have = x.dtype
        # Built-in dtypes are singletons; `is` tells native float32 and float64 at once.
        if (have is FLOAT32 or have is FLOAT64) and (dtype is None or have == dtype):
            flags = x.flags
            if flags.c_contiguous and flags.aligned:
                return x
    array = as_real(x, name)
    native = array.dtype.newbyteorder("=") if array.dtype.kind == "f" else FLOAT64
    if native not in (FLOAT32, FLOAT64):
        raise TypeError(
            f"{name} must be float32 or float64 (integers and booleans are converted), "
            f"got {array.dtype}"
        )
    return contiguous(array, native if dtype is None else dtype)


def as_matching(x: object, name: str, like: np.ndarray, like_name: str) -> np.ndarray:
    """`x` as `as_floating` returns it, which must have the dtype of `like`.

    For arrays of one computation (weights, gradients, state): a second dtype among
    them is a mistake of the caller, and a silent conversion would hide it.
    """
    array = as_floating(x, name)
    if array.dtype != like.dtype:
        raise TypeError(f"{name} must be {like.dtype} as {like_name} is, got {array.dtype}")
    return array


def as_labels(x: object, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Integer labels as a C-contiguous int64 array; the kernels check the range.

    Any integer dtype is accepted; booleans and floating-point labels are refused.
    """
    array = as_real(x, name)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got {array.dtype}")
    if shape is not None:
        check_shape(array, name, shape)
    if array.dtype is INT64 and array.flags.carray:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 8:
        # Converted as they are, labels from 2^63 on would become negative.
        check_range(array, name, array > np.iinfo(np.int64).max, "below 2**63")
    return contiguous(array, INT64)


def as_weights(
    values: object, name: str, shape: tuple[int, ...], dtype: DTypeLike = FLOAT64
) -> np.ndarray:
    """Weights of this shape as a contiguous array of `dtype`: finite and not negative.

    Raises
    ------
    TypeError, ValueError
        If they are not, or if `dtype` cannot hold them; see `check_weights`.
    """
    weights = as_real(values, name)
    check_shape(weights, name, shape)
    smallest, largest = _LIMITS[np.dtype(dtype)]
    if weights.size and smallest <= float(weights.min()) and float(weights.max()) <= largest:
        return contiguous(weights, dtype)
    check_interval(weights, name, 0.0, math.inf)
    return check_weights(weights, name, dtype)


def check_weights(weights: np.ndarray, name: str, dtype: DTypeLike) -> np.ndarray:
    """The weights in `dtype`; ValueError if one becomes infinite or, though not 0, subnormal.

    The engines take subnormal numbers for 0.
    """
    result = converted(weights, name, dtype)
    smallest, _ = _LIMITS[result.dtype]
    lost = (weights != 0) & (np.abs(result) < smallest)
    check_range(weights, name, lost, f"0 or at least {smallest:.3g}, as {result.dtype} holds it")
    return result


def check_class_weights(weights: ArrayLike, name: str, dtype: DTypeLike) -> None:
    """Raise ValueError unless `dtype` holds class weights, with room for losses to multiply.

    Parameters
    ----------
    weights : array_like
        Not negative.
    name : str
        What error messages call them.
    dtype : dtype
        Of the network.
    """
    low, largest = _LIMITS[np.dtype(dtype)]
    high = largest * 2.0**-32
    values = np.asarray(weights, np.float64)
    if values.size == 0 or (values.min() >= low and values.max() <= high):
        return
    wrong = (values != 0) & ~((values >= low) & (values <= high))
    if wrong.any():
        raise ValueError(
            f"{name} must be 0 or from {low:.3g} to {high:.3g} in {np.dtype(dtype)}, "
            f"got {values[wrong][0]:g}; divide all class weights by the largest"
        )


def scaled_weights(weights: np.ndarray) -> np.ndarray:
    """Weights of a mean in float64, times a power of two if the largest is not of the size 1.

    Of weights that are not negative; the mean stays what it is, to the last bit.
    """
    largest = float(weights.max(initial=0.0))
    if largest == 0 or LIGHTEST <= largest <= HEAVIEST:
        return weights
    return np.ldexp(weights, 1 - math.frexp(largest)[1])


def as_columns(weights: np.ndarray) -> np.ndarray:
    """Weights of rows (N,) or of elements (N, K) as an array that broadcasts with (N, K)."""
    return weights[:, np.newaxis] if weights.ndim == 1 else weights


def weighted(values: np.ndarray, *weights: np.ndarray | None) -> np.ndarray:
    """The values times weights that broadcast with them; 0 where a weight is 0, even times inf."""
    for weight in weights:
        if weight is not None:
            values = np.multiply(values, weight, out=np.zeros_like(values), where=weight != 0)
    return values


# Conversion


def contiguous(array: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """The array as the engines read it: C order, aligned, of `dtype`; a copy only if needed."""
    with np.errstate(over="ignore"):  # a value out of range becomes inf; `check_finite` reports it
        return np.require(array, dtype, ["C", "A", "E"])


def converted(array: np.ndarray, name: str, dtype: DTypeLike) -> np.ndarray:
    """The array in `dtype`; ValueError names the first finite number too large for it."""
    result = contiguous(array, dtype)
    lost = np.isfinite(array) & ~np.isfinite(result)
    check_range(array, name, lost, f"within the range of {np.dtype(dtype)}")
    return result


def is_readable(array: Rows) -> bool:
    """Whether the engines read the array as it is: a native type of at most 64 bits, aligned.

    Sparse rows are converted together.
    """
    if isinstance(array, SparseRows):
        return True
    dtype = array.dtype
    return (
        dtype.kind in _REAL_KINDS and dtype.isnative and dtype.itemsize <= 8 and array.flags.aligned
    )


def readable(array: RowsT, dtype: DTypeLike) -> RowsT:
    """The array if the engines can read it, or else a copy in `dtype`.

    Engines read sparse rows in `dtype` alone.
    """
    if isinstance(array, SparseRows):
        return array.astype(dtype)
    return array if is_readable(array) else contiguous(array, dtype)


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written to: how user code sees the engines' own arrays."""
    view = array.view()
    view.flags.writeable = False
    return view


# Shapes and values


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


def check_finite(
    array: np.ndarray, name: str, hint: str = "", dtype: DTypeLike | None = None
) -> None:
    """Raise ValueError naming the first element that is nan, inf or too large for `dtype`.

    Parameters
    ----------
    array : array
        Integers and booleans always pass.
    name : str
        Name of the argument.
    hint : str
        End of the message.
    dtype : dtype, optional
        The dtype that the array will be converted to.
    """
    if array.dtype.kind != "f":
        return
    limit = np.finfo(array.dtype if dtype is None else dtype).max
    for start in range(0, len(array), _CHECKED_ROWS):
        block = array[start : start + _CHECKED_ROWS]
        bad = ~(np.abs(block) <= limit)  # True for nan
        if bad.any():
            index = _first(bad)
            too_large = np.isfinite(block[index])
            expected = f"finite in {np.dtype(dtype)}" if too_large else "finite"
            index = (index[0] + start, *index[1:])
            end = f"; {hint}" if hint else ""
            raise ValueError(f"{name} must be {expected}, got {_element(array, index, name)}{end}")


def check_codes(array: np.ndarray, name: str, sizes: Sequence[int], hint: str = "") -> None:
    """Raise ValueError naming the first element that is no code of its column.

    Parameters
    ----------
    array : (N, c) array
    name : str
        Name of the argument.
    sizes : sequence of int
        Number of codes of each column: they are the integers from 0 to below it.
    hint : str
        End of the message.
    """
    limits = np.array(sizes)
    for start in range(0, len(array), _CHECKED_ROWS):
        block = array[start : start + _CHECKED_ROWS]
        bad = ~((block >= 0) & (block < limits) & (block == np.floor(block)))  # True for nan
        if bad.any():
            row, column = _first(bad)
            end = f"; {hint}" if hint else ""
            raise ValueError(
                f"column {column} of {name} must hold codes, integers from 0 to "
                f"{sizes[column] - 1}, got {_element(array, (row + start, column), name)}{end}"
            )


def check_range(array: np.ndarray, name: str, wrong: np.ndarray, expected: str) -> None:
    """Raise ValueError naming the first element of `array` where `wrong` holds, if any."""
    if wrong.any():
        raise ValueError(f"{name} must be {expected}, got {_element(array, _first(wrong), name)}")


def check_interval(
    x: np.ndarray,
    name: str,
    low: float,
    high: float,
    ignored: np.ndarray | None = None,
) -> None:
    """Raise ValueError at the first element outside [low, high], at nan or at an infinity.

    Elements where `ignored` holds are not checked.
    """
    if ignored is not None:
        bad = ~ignored & ~((x >= low) & (x <= high) & np.isfinite(x))
    elif x.size == 0 or (low <= x.min() and x.max() <= high and x.max() < math.inf):
        return
    else:
        bad = ~((x >= low) & (x <= high) & np.isfinite(x))
    bounds = f">= {low:g}" if high == math.inf else f"within [{low:g}, {high:g}]"
    check_range(x, name, bad, f"finite and {bounds}")


def _first(wrong: np.ndarray) -> tuple[int, ...]:
    """The index of the first element that is True."""
    return tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))


def _element(array: np.ndarray, index: tuple[int, ...], name: str) -> str:
    where = f"{name}[{', '.join(map(str, index))}]" if index else name
    return f"{where} = {array[index]}"


# Arrays that results are written into


def check_out(
    out: object,
    shape: tuple[int, ...],
    dtype: np.dtype,
    inputs: Mapping[str, object],
    name: str = "out",
    in_place: bool = True,
) -> np.ndarray:
    """`out` itself, if results can be written into it.

    Parameters
    ----------
    out : ndarray
        It must be writable and C-contiguous.
    shape, dtype : tuple of int, dtype
        What `out` must have.
    inputs : mapping of str to array_like
        By name, as the caller passed them, before any conversion.  `out` may share memory
        with none of them, unless `in_place` holds: then it may be the first one itself.
    name : str
        Name of the argument in error messages.
    in_place : bool

    Raises
    ------
    TypeError
        If `out` is no ndarray of this dtype.
    ValueError
        If its shape, layout or memory does not fit.
    """
    result = _as_ndarray(out, name)
    if result.dtype != dtype or not result.dtype.isnative:
        raise TypeError(f"{name} must be {dtype}, got {result.dtype}")
    check_shape(result, name, shape)
    flags = result.flags
    if not (flags.c_contiguous and flags.aligned):
        raise ValueError(f"{name} must be C-contiguous and aligned, got strides {result.strides}")
    if not flags.writeable:
        raise ValueError(f"{name} must be writable, got a read-only array")
    for other_name, other in inputs.items():
        if in_place:  # of the first input only
            in_place = False
            if _overlaps(other, result) and not _same(result, other):
                raise ValueError(
                    f"{name} must be {other_name} itself or share no memory with it, got an overlap"
                )
            continue
        _refuse_overlap(result, name, other, other_name)
    return result


def check_in_place(arrays: Mapping[str, object], gradient: object = None) -> None:
    """Check arrays that an update changes in place; the first one sets dtype and shape.

    Each must be a writable ndarray of native float32 or float64, in any memory layout;
    none may share memory with another or with the gradient.
    """
    first: np.ndarray | None = None
    seen = {"gradient": gradient}
    for name, values in arrays.items():
        array = _as_ndarray(values, name)
        first = array if first is None else first
        dtype = array.dtype
        if dtype is not FLOAT32 and dtype is not FLOAT64 and dtype not in (FLOAT32, FLOAT64):
            raise TypeError(f"{name} must be float32 or float64, got {dtype}")
        if dtype != first.dtype:
            raise TypeError(f"{name} must be {first.dtype} as {next(iter(arrays))} is, got {dtype}")
        check_shape(array, name, first.shape)
        if not array.flags.writeable:
            raise ValueError(f"{name} must be writable, got a read-only array")
        for other_name, other in seen.items():
            _refuse_overlap(array, name, other, other_name)
        seen[name] = array


def _as_ndarray(array: object, name: str) -> np.ndarray:
    """`array` itself; TypeError unless results can be written into it as into any ndarray."""
    if type(array) is np.ndarray:
        return array
    if not isinstance(array, np.ndarray) or isinstance(array, (np.matrix, np.ma.MaskedArray)):
        raise TypeError(
            f"{name} is written to, so it must be a numpy.ndarray, got {type(array).__name__}"
        )
    return array


def _refuse_overlap(array: np.ndarray, name: str, other: object, other_name: str) -> None:
    if _overlaps(other, array):
        came = "the same array" if array is other else "an overlap"
        raise ValueError(f"{name} must share no memory with {other_name}, got {came}")


def _overlaps(other: object, array: np.ndarray) -> TypeGuard[np.ndarray]:
    """Whether `other` is an array that shares memory with `array`."""
    if not isinstance(other, np.ndarray):
        return False
    # may_share_memory compares bounds only: cheap, and almost always decides.
    return other is array or (np.may_share_memory(array, other) and np.shares_memory(array, other))


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same elements in the same order."""
    return (
        a.shape == b.shape
        and a.strides == b.strides
        and a.dtype == b.dtype
        and a.ctypes.data == b.ctypes.data
    )
