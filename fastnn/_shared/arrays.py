"""Checking and preparing the arrays that networks and layers are given.

Errors name the argument, what was expected and what came; see `real_array` for
the types that are taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Arrays = ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike]
"""One array, or several in order or by name."""

Weights = ArrayLike | Sequence[ArrayLike | None] | Mapping[str, ArrayLike | None] | None
"""Weights of samples for all outputs, or some for each output in order or by name."""

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
        hint = "; encode text and missing values as numbers first"
        if not isinstance(values, np.ndarray) and hasattr(values, "astype"):
            hint += ", and convert nullable columns of a table with .astype(float)"
        return hint
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


def sample_weights(
    values: Any, n: int, name: str = "sample_weight", dtype: Any = np.float64
) -> np.ndarray:
    """`values` as (n,) float64 weights, finite and not negative.

    Raises
    ------
    TypeError, ValueError
        If they are not, or `dtype` cannot hold them; see `check_weights`.
    """
    weights = real_array(values, name)
    if weights.shape != (n,):
        raise ValueError(f"{name} has shape {weights.shape}, expected ({n},)")
    weights = weights.astype(np.float64)
    check_finite(weights, name, "weights must be finite")
    check_range(weights, weights < 0, name, "weight >= 0")
    check_weights(weights, dtype, name)
    return weights


def check_weights(weights: np.ndarray, dtype: Any, name: str) -> None:
    """Raise ValueError if a weight would become infinite or, though positive, 0 in dtype."""
    lost = (weights > 0) & (converted(weights, dtype, name) == 0)
    check_range(weights, lost, name, f"0 or a weight that is not 0 in {np.dtype(dtype)}")


def converted(array: np.ndarray, dtype: Any, name: str) -> np.ndarray:
    """`array` in dtype; ValueError naming the first finite number that is too large for it."""
    result = contiguous(array, dtype)
    lost = np.isfinite(array) & ~np.isfinite(result)
    check_range(array, lost, name, f"a number within the range of {np.dtype(dtype)}")
    return result


def contiguous(array: np.ndarray, dtype: Any) -> np.ndarray:
    """The array as the engines take it: C order, aligned, of dtype; a copy only if need be."""
    with np.errstate(over="ignore"):  # a value out of range becomes inf; `check_finite` finds it
        return np.require(array, dtype, ["C", "A", "E"])


def is_readable(array: np.ndarray) -> bool:
    """Whether the engines read the array as it is: a native type of at most 64 bits, aligned."""
    dtype = array.dtype
    return (
        dtype.kind in _REAL_KINDS and dtype.isnative and dtype.itemsize <= 8 and array.flags.aligned
    )


def readable(array: np.ndarray, dtype: Any) -> np.ndarray:
    """The array if the engines can read it, or else a copy in dtype that they can."""
    return array if is_readable(array) else contiguous(array, dtype)


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written to: what user code is given of the engines' own arrays."""
    view = array.view()
    view.flags.writeable = False
    return view


CAN_BE_ALLOWED = "pass check_finite=False to allow it"
MUST_BE_FINITE = "inputs must be finite"
"""What callers with and without an argument `check_finite` say of a number that is not finite."""


def check_finite(
    array: np.ndarray,
    name: str,
    expected: str = CAN_BE_ALLOWED,
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


class Views(Mapping[str, np.ndarray]):
    """Live views of arrays by name: reading gives a view, assigning copies into it.

    Names can be neither added nor removed.

    Parameters
    ----------
    views : mapping of str to array
    """

    __slots__ = ("_views",)

    def __init__(self, views: Mapping[str, np.ndarray]) -> None:
        self._views = dict(views)

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self._views[name]
        except KeyError:
            names = ", ".join(map(repr, self._views)) or "nothing"
            raise KeyError(f"no {name!r}; there is {names}") from None

    def __setitem__(self, name: str, values: Any) -> None:
        """Copy real numbers of exactly the view's shape, converted to its dtype.

        Raises
        ------
        KeyError
            If there is no such name.
        TypeError, ValueError
            If the values are not real numbers of that shape, or a finite one is too
            large for the view's dtype.
        """
        view = self[name]
        array = real_array(values, name)
        if array.shape != view.shape:
            raise ValueError(f"{name} has shape {view.shape}, got values of shape {array.shape}")
        view[...] = converted(array, view.dtype, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        shown = (f"{name} {view.dtype}{list(view.shape)}" for name, view in self._views.items())
        return f"<Views: {', '.join(shown)}>"


def as_json(data: Any) -> Any:
    """Numbers, text, lists and mappings as JSON has them: "nan", "inf" and "-inf" become text."""
    if isinstance(data, Mapping):
        return {key: as_json(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [as_json(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return str(float(data))
    return data
