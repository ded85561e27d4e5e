"""Derivatives by finite differences with adaptive steps, and the detection of kinks.

The error of a central difference D(h) = (f(h) - f(-h)) / 2h is a series in h^2.  Two Richardson
extrapolations over the steps h, h/2, h/4 give an estimate with an error of order h^6; the two
extrapolations differ by about the error of the worse one.  Rounding of f adds eps |f| / h.
The step is reduced until both errors are small, or until the last step is reached.

References
----------
Ridders (1982), "Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering
Software 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FIRST_STEP = 2.0**-8
LAST_STEP = 2.0**-22
"""Largest and smallest step, relative to the size of the displaced number."""

_EPSILON = 2.0**-52
_ROUNDING = 4  # rounding error of f, in eps |f|, that a difference may have
_SETTLED = 1e-10  # relative error at which the search stops
_UNSETTLED = 1e-3  # relative error of the estimate above which f is not smooth
_SKIPPED = 8  # factor of the step where f changes its formula within the step
_GAP = 1e-3  # relative gap from which one-sided derivatives count as different
_CONTINUED = 1e-6  # relative gap at the smallest step up to which the slopes are equal
_LASTING = 0.75  # a gap persists if halving the step leaves more than this part


@dataclass(frozen=True)
class Point:
    """A value of the function; for a piecewise function also the pieces that were used.

    `differ` compares the pieces; () stands for a function with a single formula.
    """

    value: float
    pieces: Sequence[bytes] = ()

    def differ(self, other: Point) -> list[int]:
        """Positions of the pieces that differ from those of the other point."""
        pairs = zip(self.pieces, other.pieces, strict=True)
        return [i for i, (own, theirs) in enumerate(pairs) if own != theirs]


@dataclass(frozen=True)
class Displacement:
    """A function of named arrays, whose elements can be displaced one by one.

    Attributes
    ----------
    at : callable
        ``at(name, index, step)`` returns the `Point` of the function with one element displaced.
    here : Point
        The function without displacement.
    where : sequence of str
        Name of the layer or loss of each piece of a `Point`.
    """

    at: Callable[[str, tuple[int, ...], float], Point]
    here: Point
    where: Sequence[str] = ()


@dataclass(frozen=True)
class Slope:
    """A derivative estimated by finite differences.

    Attributes
    ----------
    value : float
    error : float
        Bound of the truncation and rounding errors.
    step : float
        The smallest step used.
    left, right : float
        One-sided derivatives at that step.
    is_kink : bool
        Whether the differences show that the function has no derivative.
    pieces : tuple of int
        The pieces that change within the smallest step.
    """

    value: float
    error: float
    step: float
    left: float
    right: float
    is_kink: bool
    pieces: tuple[int, ...] = ()


def slope(function: Callable[[float], Point], here: Point, size: float) -> Slope:
    """The derivative of a function at 0.

    Parameters
    ----------
    function : callable
        From a displacement to a `Point`.
    here : Point
        The function at displacement 0; finite.
    size : float
        Size of the displaced number: the steps are relative to it.
    """
    ladder: list[_Rung] = []
    best: Slope | None = None
    changed: tuple[int, ...] = ()
    rung, step = None, FIRST_STEP * size
    while step >= LAST_STEP * size:
        rung = _Rung.at(step, function, here, size)
        if not rung.is_smooth:
            changed, ladder = rung.changed, []
            step /= _SKIPPED
            continue
        ladder.append(rung)
        if len(ladder) >= 3:
            estimate = _extrapolated(ladder[-3:])
            if best is None or estimate.error < best.error:
                best = estimate
            if best.error <= _SETTLED * abs(best.value) or estimate.error > 100 * best.error:
                break
        step /= 2
    if best is None:
        assert rung is not None
        return _at_corner(rung, changed)
    return best


@dataclass(frozen=True)
class _Rung:
    """Differences at one step."""

    step: float
    central: float
    left: float
    right: float
    noise: float
    changed: tuple[int, ...]
    is_smooth: bool

    @staticmethod
    def at(step: float, function: Callable[[float], Point], here: Point, size: float) -> _Rung:
        above, below = function(step), function(-step)
        changed = {*above.differ(here), *below.differ(here)}
        is_finite = math.isfinite(above.value) and math.isfinite(below.value)
        largest = max(abs(above.value), abs(below.value), abs(here.value))
        central = (above.value - below.value) / (2 * step)
        return _Rung(
            step,
            central,
            (here.value - below.value) / step,
            (above.value - here.value) / step,
            # Rounding of the values, and of the displaced number, which changes the step.
            _EPSILON * (_ROUNDING * largest + size * abs(central)) / step,
            tuple(sorted(changed)),
            is_finite and not changed,
        )

    @property
    def gap(self) -> float:
        return abs(self.right - self.left)


def _at_corner(rung: _Rung, changed: tuple[int, ...]) -> Slope:
    """The slope at a point where the formula of the function changes within every step.

    Both formulas may have the same slope there, like those of a Huber loss; then the one-sided
    differences agree up to an error of the order of the step.
    """
    meets = rung.gap <= max(_CONTINUED * abs(rung.central), rung.noise)
    value, error = (rung.central, rung.gap + rung.noise) if meets else (math.nan, math.inf)
    return Slope(value, error, rung.step, rung.left, rung.right, not meets, changed)


def _extrapolated(rungs: Sequence[_Rung]) -> Slope:
    """Richardson's estimate from steps h, h/2, h/4."""
    first, second, third = (rung.central for rung in rungs)
    coarse = (4 * second - first) / 3
    fine = (4 * third - second) / 3
    finest = (16 * fine - coarse) / 15
    last = rungs[-1]
    truncation = abs(finest - fine)
    is_settled = truncation <= max(_UNSETTLED * abs(finest), 100 * last.noise)
    is_lasting = last.gap > _LASTING * rungs[-2].gap
    is_visible = last.gap > max(_GAP * abs(finest), 100 * last.noise)
    is_kink = not is_settled or (is_lasting and is_visible)
    error = truncation + last.noise
    return Slope(finest, error, last.step, last.left, last.right, is_kink)
