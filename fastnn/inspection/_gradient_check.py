"""Gradients compared with differences, and what there is to say about the outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fastnn._shared.arrays import real_array
from fastnn._shared.numbers import check_number
from fastnn._shared.text import titled
from fastnn.inspection._differences import Point, Slope, slope

Array = np.ndarray

TOLERANCE = 1e-7
_SHOWN_KINKS = 5


@dataclass(frozen=True)
class Kink:
    """A number at which the cost has no derivative, or none that differences can find.

    Attributes
    ----------
    name, index
        Of the number: the array and the place in it.
    where : tuple of str
        Layers and losses with a unit that changes its branch within the smallest step;
        empty where only the differences tell.
    left, right : float
        One-sided derivatives at the smallest step.
    gradient : float
        The gradient that is used.
    """

    name: str
    index: tuple[int, ...]
    where: tuple[str, ...]
    left: float
    right: float
    gradient: float

    def __str__(self) -> str:
        place = f" in {', '.join(self.where)}" if self.where else ""
        return (
            f"{_place(self.name, self.index)}: a kink{place}; slopes {self.left:.6g} to the left "
            f"and {self.right:.6g} to the right, gradient {self.gradient:.6g}"
        )


@dataclass(frozen=True)
class ArrayCheck:
    """The comparison for one array; `index`, `gradient` and `difference` are of its worst number.

    Attributes
    ----------
    name : str
    size, checked, kinks : int
        Numbers in the array, those compared, and those left out because of a kink.
    relative_error : float
        Largest |gradient - difference|, divided by the largest gradient of the array, or by
        the smallest that differences resolve to the tolerance where that is larger; nan
        where nothing was compared.
    index : tuple of int
    gradient, difference : float
    """

    name: str
    size: int
    checked: int
    kinks: int
    relative_error: float
    index: tuple[int, ...]
    gradient: float
    difference: float


@dataclass(frozen=True)
class GradientCheck:
    """The outcome of comparing gradients with differences; prints as a table.

    `check_gradients` and `check_gradient` return one.

    Parameters
    ----------
    arrays : dict of ArrayCheck
        By name.
    kinks : list of Kink
        Numbers that were left out because the cost has no derivative there.
    tolerance : float
        Relative error that is borne.
    float32_error : float or None
        Of a float32 network: how far its own gradients are from those of float64, relative
        to the largest of the array.  It is rounding, and not judged.
    """

    arrays: dict[str, ArrayCheck]
    kinks: list[Kink]
    tolerance: float
    float32_error: float | None = None

    @property
    def relative_error(self) -> float:
        """The largest of all arrays; nan where nothing could be compared."""
        return math.nan if self.worst is None else self.worst.relative_error

    @property
    def worst(self) -> ArrayCheck | None:
        """The array with the largest relative error; None where nothing could be compared."""
        compared = [array for array in self.arrays.values() if array.checked]
        return max(compared, key=_badness, default=None)

    @property
    def ok(self) -> bool:
        """Whether something was compared, and no relative error is above the tolerance."""
        return self.relative_error <= self.tolerance

    @property
    def n_checked(self) -> int:
        """How many numbers were compared."""
        return sum(array.checked for array in self.arrays.values())

    @property
    def n_numbers(self) -> int:
        """How many there are."""
        return sum(array.size for array in self.arrays.values())

    def __str__(self) -> str:
        rows = [("array", "checked", "kinks", "relative error", "worst at")]
        for array in self.arrays.values():
            error = f"{array.relative_error:.2e}" if array.checked else "not compared"
            at = _place("", array.index) if array.checked else ""
            checked = f"{array.checked} of {array.size}"
            rows.append((array.name, checked, str(array.kinks), error, at))
        return "\n".join([self._verdict(), "", *titled(rows, right=(1, 2, 3)), *self._notes()])

    def _verdict(self) -> str:
        counts = f"{self.n_checked} of {self.n_numbers} numbers compared with central differences"
        if self.worst is None:
            return f"NOT CHECKED: {counts}"
        if self.ok:
            return f"ok: {counts}, relative error at most {self.relative_error:.2e}"
        worst = self.worst
        return (
            f"WRONG: {_place(worst.name, worst.index)} has gradient {worst.gradient:.9g}, but the "
            f"difference is {worst.difference:.9g}; {counts}, "
            f"relative error {worst.relative_error:.2e} above {self.tolerance:g}"
        )

    def _notes(self) -> list[str]:
        notes = []
        if self.kinks:
            notes += ["", f"{len(self.kinks)} left out, since the cost has no derivative there:"]
            notes += [f"  {kink}" for kink in self.kinks[:_SHOWN_KINKS]]
            if len(self.kinks) > _SHOWN_KINKS:
                notes.append(f"  and {len(self.kinks) - _SHOWN_KINKS} more")
        if self.float32_error is not None:
            notes += ["", f"float32 gradients differ from float64 by {self.float32_error:.1e}"]
        return notes


def check_gradient(
    function: Callable[[Array], Any],
    x: Any,
    gradient: Any = None,
    *,
    tolerance: float = TOLERANCE,
) -> GradientCheck:
    """Compare the gradient of a function of your own with central differences.

    For a kernel, a custom loss, an objective: anything that returns one number.

    Parameters
    ----------
    function : callable
        From an array like `x`, in float64, to ``(value, gradient)``; or to the value
        alone, where `gradient` is given.
    x : array_like
        Where to look, of any shape.
    gradient : array_like or callable, optional
        The gradient at `x`, or a function of an array like `x` that returns it.
    tolerance : float, default 1e-7
        Relative error that is borne.

    Returns
    -------
    GradientCheck
        With one array, ``"x"``.

    Raises
    ------
    TypeError, ValueError
        If x is empty or not finite, a value is not one finite number, or the gradient has
        not the shape of x.

    Notes
    -----
    Steps are relative to |x_i| or, where that is small, to the root mean square of x, and
    shrink until Richardson's extrapolations agree.  A derivative whose one-sided
    differences go on differing is reported as a kink, not as an error.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> def quartic(x):
    ...     return np.sum(x**4), 4 * x**3
    >>> fnn.check_gradient(quartic, [1.0, -2.0]).ok
    True
    """
    if not callable(function):
        raise TypeError(f"function must be callable, got {type(function).__name__}")
    x = _finite(x, "x")
    if not x.size:
        raise ValueError("x is empty, expected at least one number")
    tolerance = check_number(tolerance, "tolerance", above=0.0)
    pair = gradient is None
    value = function(x.copy())
    if pair:
        if not isinstance(value, tuple) or len(value) != 2:
            raise TypeError(
                "function must return (value, gradient), or its gradient must be given; "
                f"it returned {type(value).__name__}"
            )
        value, gradient = value
    elif callable(gradient):
        gradient = gradient(x.copy())
    given = _finite(gradient, "gradient")
    if given.shape != x.shape:
        raise ValueError(f"gradient has shape {given.shape}, expected {x.shape} as x")

    def at(moved: Array) -> Point:
        found = function(moved.copy())
        return Point(_one_number(found[0] if pair else found))

    here = Point(_one_number(value))
    if not math.isfinite(here.value):
        raise ValueError(f"function is {here.value} at x, expected a finite value")
    return compare({"x": x}, {"x": given}, {"x": None}, at_array(x, at), here, tolerance)


def at_array(x: Array, at: Callable[[Array], Point]) -> Callable[..., Point]:
    """What `compare` wants of a function of one array."""

    def moved(name: str, index: tuple[int, ...], step: float) -> Point:
        x_moved = x.copy()
        x_moved[index] += step
        return at(x_moved)

    return moved


def compare(
    arrays: Mapping[str, Array],
    gradients: Mapping[str, Array],
    chosen: Mapping[str, Sequence[tuple[int, ...]] | None],
    at: Callable[[str, tuple[int, ...], float], Point],
    here: Point,
    tolerance: float,
    where: Sequence[str] = (),
    advance: Callable[[], object] = lambda: None,
) -> GradientCheck:
    """Compare gradients with differences, number by number.

    Parameters
    ----------
    arrays, gradients : mapping of str to array
    chosen : mapping of str to sequence of indices or None
        Which numbers of each array; None is all of them.
    at : callable
        ``at(name, index, step)`` is the `Point` of the function with one number moved.
    here : Point
        With none moved.
    tolerance : float
    where : sequence of str
        What the pieces of a `Point` belong to.
    advance : callable
        Called after each number.
    """
    results, kinks = {}, []
    for name, array in arrays.items():
        slopes: dict[tuple[int, ...], Slope] = {}
        spread = float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) or 1.0
        indices = chosen[name]
        for index in np.ndindex(array.shape) if indices is None else indices:
            size = max(abs(float(array[index])), spread)
            found = slope(partial(at, name, index), here, size)
            if found.is_kink:
                places = tuple(dict.fromkeys(where[i] for i in found.pieces))
                gradient = float(gradients[name][index])
                kinks.append(Kink(name, index, places, found.left, found.right, gradient))
            slopes[index] = found
            advance()
        results[name] = _array_check(name, array.size, slopes, gradients[name], tolerance)
    return GradientCheck(results, kinks, tolerance)


def _array_check(
    name: str,
    size: int,
    slopes: Mapping[tuple[int, ...], Slope],
    gradient: Array,
    tolerance: float,
) -> ArrayCheck:
    smooth = {index: found for index, found in slopes.items() if not found.is_kink}
    n_kinks = len(slopes) - len(smooth)
    if not smooth:
        return ArrayCheck(name, size, 0, n_kinks, math.nan, (), math.nan, math.nan)
    scale = max(max(abs(gradient[i]), abs(found.value)) for i, found in smooth.items())
    errors = {
        index: _relative(gradient[index] - found.value, max(scale, found.error / tolerance))
        for index, found in smooth.items()
    }
    worst = max(errors, key=lambda index: _order(errors[index]))
    return ArrayCheck(
        name, size, len(smooth), n_kinks, float(errors[worst]), worst,
        float(gradient[worst]), smooth[worst].value,
    )  # fmt: skip


def _relative(difference: float, scale: float) -> float:
    return abs(difference) / scale if difference != 0 else 0.0


def _badness(array: ArrayCheck) -> float:
    return _order(array.relative_error)


def _order(error: float) -> float:
    """For comparisons: a gradient that is nan is the worst of all."""
    return math.inf if math.isnan(error) else float(error)


def _place(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def _finite(values: Any, name: str) -> Array:
    """A new float64 array; TypeError or ValueError unless it holds finite real numbers."""
    array = real_array(values, name).astype(np.float64)
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{_place(name, place)} is {array[place]}, expected finite numbers")
    return array


def _one_number(value: Any) -> float:
    if np.size(value) != 1 or np.asarray(value).dtype.kind not in "buif":
        raise TypeError(f"function must return one real number, got {value!r}")
    return float(np.asarray(value).reshape(()))
