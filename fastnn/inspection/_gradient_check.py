"""Gradients compared with finite differences, and the report of the comparison."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fastnn._shared.arrays import as_real
from fastnn._shared.numbers import check_number
from fastnn._shared.text import titled
from fastnn.inspection._differences import Displacement, Point, Slope, slope

Array = np.ndarray

TOLERANCE = 1e-7
_SHOWN_KINKS = 5


@dataclass(frozen=True)
class Kink:
    """A parameter value at which finite differences find no derivative of the cost.

    Attributes
    ----------
    name, index
        Name of the array, and index of the number in it.
    where : tuple of str
        Layers and losses with a unit that changes its branch within the smallest step;
        empty if only the differences show the kink.
    left, right : float
        One-sided derivatives at the smallest step.
    gradient : float
        The gradient that backpropagation computes.
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
    """The comparison for one array.

    Attributes
    ----------
    name : str
    size, checked, kinks : int
        Number of elements of the array, of compared elements, and of elements ignored because
        of a kink.
    relative_error : float
        Largest |gradient - difference|, divided by the largest gradient of the array, or by
        the smallest gradient that differences resolve to the tolerance if that is larger; nan
        if nothing was compared.
    index : tuple of int
        Index of the element with the largest error.
    gradient, difference : float
        Gradient and finite difference of this element.
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
    """The comparison of gradients with finite differences; prints as a table.

    `check_gradients` and `check_gradient` return it.

    Parameters
    ----------
    arrays : dict of ArrayCheck
        Comparisons by the name of the array.
    kinks : list of Kink
        Elements that were ignored because the cost has no derivative there.
    tolerance : float
        Relative tolerance.
    float32_error : float or None
        For a float32 network: the largest difference between its gradients and the gradients in
        float64, relative to the largest gradient of the array.  This is rounding error; `ok`
        ignores it.
    """

    arrays: dict[str, ArrayCheck]
    kinks: list[Kink]
    tolerance: float
    float32_error: float | None = None

    @property
    def relative_error(self) -> float:
        """The largest relative error of all arrays; nan if nothing could be compared."""
        return math.nan if self.worst is None else self.worst.relative_error

    @property
    def worst(self) -> ArrayCheck | None:
        """The array with the largest relative error; None if nothing could be compared."""
        compared = [array for array in self.arrays.values() if array.checked]
        return max(compared, key=_badness, default=None)

    @property
    def ok(self) -> bool:
        """Whether something was compared and every relative error is within the tolerance."""
        return self.relative_error <= self.tolerance

    @property
    def n_checked(self) -> int:
        """Number of elements that were compared."""
        return sum(array.checked for array in self.arrays.values())

    @property
    def n_numbers(self) -> int:
        """Number of elements of all arrays."""
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
            notes += ["", f"{len(self.kinks)} ignored, because the cost has no derivative there:"]
            notes += [f"  {kink}" for kink in self.kinks[:_SHOWN_KINKS]]
            if len(self.kinks) > _SHOWN_KINKS:
                notes.append(f"  and {len(self.kinks) - _SHOWN_KINKS} more")
        if self.float32_error is not None:
            notes += ["", f"float32 gradients differ from float64 by {self.float32_error:.1e}"]
        return notes


def check_gradient(
    function: Callable[[Array], Any],
    x: object,
    gradient: object = None,
    *,
    tolerance: float = TOLERANCE,
) -> GradientCheck:
    """Compare the gradient of a user's function with central differences.

    The function may be a kernel, a custom loss, an objective: any function with one number
    as its value.

    Parameters
    ----------
    function : callable
        Takes a float64 array with the shape of `x` and returns ``(value, gradient)``, or the
        value alone if `gradient` is passed.
    x : array_like
        Point of the comparison, of any shape.
    gradient : array_like or callable, optional
        The gradient at `x`, or a function that takes an array like `x` and returns it.
    tolerance : float, default 1e-7
        Relative tolerance.

    Returns
    -------
    GradientCheck
        The comparison for one array, ``"x"``.

    Raises
    ------
    TypeError, ValueError
        If x is empty or not finite, if a value is not one finite number, or if the shape of
        the gradient is not the shape of x.

    Notes
    -----
    Steps are relative to |x_i| or, if that is small, to the root mean square of x.  They are
    reduced until the Richardson extrapolations agree.  If the one-sided differences do not
    converge to the same value, the element is reported as a kink, not as an error.

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
                "function must return (value, gradient), or gradient must be passed; "
                f"function returned {type(value).__name__}"
            )
        value, gradient = value
    elif callable(gradient):
        gradient = gradient(x.copy())
    slopes = _finite(gradient, "gradient")
    if slopes.shape != x.shape:
        raise ValueError(f"gradient must have shape {x.shape} as x has, got {slopes.shape}")

    def at(moved: Array) -> Point:
        result = function(moved.copy())
        return Point(_one_number(result[0] if pair else result))

    here = Point(_one_number(value))
    if not math.isfinite(here.value):
        raise ValueError(f"function is {here.value} at x, expected a finite value")
    displacement = Displacement(partial(_displaced, x, at), here)
    return compare({"x": x}, {"x": slopes}, {"x": None}, displacement, tolerance)


def _displaced(
    x: Array, at: Callable[[Array], Point], name: str, index: tuple[int, ...], step: float
) -> Point:
    moved = x.copy()
    moved[index] += step
    return at(moved)


def compare(
    arrays: Mapping[str, Array],
    gradients: Mapping[str, Array],
    chosen: Mapping[str, Sequence[tuple[int, ...]] | None],
    function: Displacement,
    tolerance: float,
    advance: Callable[[], object] = lambda: None,
) -> GradientCheck:
    """Compare gradients with finite differences, element by element.

    Parameters
    ----------
    arrays, gradients : mapping of str to array
    chosen : mapping of str to sequence of indices or None
        Elements of each array to compare; None means all elements.
    function : Displacement
        The function of these arrays.
    tolerance : float
        Relative tolerance.
    advance : callable
        Called after each element.
    """
    results, kinks = {}, []
    for name, array in arrays.items():
        slopes: dict[tuple[int, ...], Slope] = {}
        spread = float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) or 1.0
        indices = chosen[name]
        for index in np.ndindex(array.shape) if indices is None else indices:
            size = max(abs(float(array[index])), spread)
            estimate = slope(partial(function.at, name, index), function.here, size)
            if estimate.is_kink:
                places = tuple(dict.fromkeys(function.where[i] for i in estimate.pieces))
                gradient = float(gradients[name][index])
                kinks.append(Kink(name, index, places, estimate.left, estimate.right, gradient))
            slopes[index] = estimate
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
    smooth = {index: slope for index, slope in slopes.items() if not slope.is_kink}
    n_kinks = len(slopes) - len(smooth)
    if not smooth:
        return ArrayCheck(name, size, 0, n_kinks, math.nan, (), math.nan, math.nan)
    scale = max(max(abs(gradient[i]), abs(slope.value)) for i, slope in smooth.items())
    errors = {
        index: _relative(gradient[index] - slope.value, max(scale, slope.error / tolerance))
        for index, slope in smooth.items()
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
    """A key for comparisons, in which nan is the largest error."""
    return math.inf if math.isnan(error) else float(error)


def _place(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def _finite(values: object, name: str) -> Array:
    """A new float64 array; TypeError or ValueError if it holds other than finite real numbers."""
    array = as_real(values, name).astype(np.float64)
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {_place(name, place)} = {array[place]}")
    return array


def _one_number(value: Any) -> float:
    if np.size(value) != 1 or np.asarray(value).dtype.kind not in "buif":
        raise TypeError(f"function must return one real number, got {value!r}")
    return float(np.asarray(value).reshape(()))
