"""Derivatives by differences, at steps that fit the function, and signs that there is none.

A central difference D(h) = (f(h) - f(-h)) / 2h errs by a series in h^2, so three steps h, h/2,
h/4 give, extrapolated twice (Richardson), an estimate with an error of order h^6, and the two
extrapolations differ by about the error of the worse one.  Rounding of f adds eps |f| / h.
Ladders of steps descend until both are small, or no step is left.

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
"""Ends of the ladder, relative to the size of what is varied."""

_EPSILON = 2.0**-52
_ROUNDING = 4  # roundings of f, in eps |f|, that a difference is allowed to show
_SETTLED = 1e-10  # relative error that is good enough to stop at
_UNSETTLED = 1e-3  # relative error of the best estimate beyond which f is not smooth there
_SKIPPED = 8  # how much the step shrinks where f is another formula at its ends
_GAP = 1e-3  # of one-sided derivatives, relative, from which on they count as different
_CONTINUED = 1e-6  # relative gap at the smallest step up to which two formulas have one slope
_LASTING = 0.75  # a gap that shrinks by less than this when the step is halved lasts


@dataclass(frozen=True)
class Point:
    """A value of the function, and where it is defined piecewise, which pieces it came from.

    `pieces` are compared by `differ`; () stands for a function of one formula.
    """

    value: float
    pieces: Sequence[bytes] = ()

    def differ(self, other: Point) -> list[int]:
        """Positions of the pieces that are not those of the other point."""
        pairs = zip(self.pieces, other.pieces, strict=True)
        return [i for i, (own, theirs) in enumerate(pairs) if own != theirs]


@dataclass(frozen=True)
class Slope:
    """A derivative found by differences.

    Attributes
    ----------
    value : float
    error : float
        What truncation and rounding may have added.
    step : float
        The smallest step.
    left, right : float
        One-sided derivatives at that step.
    is_kink : bool
        Whether the function has no derivative there, as far as differences can tell.
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
        At 0; finite.
    size : float
        Of what is displaced: the steps are relative to it.
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
            found = _extrapolated(ladder[-3:])
            if best is None or found.error < best.error:
                best = found
            if best.error <= _SETTLED * abs(best.value) or found.error > 100 * best.error:
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
            # Of the values, and of what is displaced, so that the step is not quite the step.
            _EPSILON * (_ROUNDING * largest + size * abs(central)) / step,
            tuple(sorted(changed)),
            is_finite and not changed,
        )

    @property
    def gap(self) -> float:
        return abs(self.right - self.left)


def _at_corner(rung: _Rung, changed: tuple[int, ...]) -> Slope:
    """What the smallest step tells where another formula begins at every step.

    Both may have one slope there, as those of a Huber loss have; then the differences from
    the two sides agree but for the step.
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
    settled = truncation <= max(_UNSETTLED * abs(finest), 100 * last.noise)
    lasting = last.gap > _LASTING * rungs[-2].gap
    visible = last.gap > max(_GAP * abs(finest), 100 * last.noise)
    is_kink = not settled or (lasting and visible)
    error = truncation + last.noise
    return Slope(finest, error, last.step, last.left, last.right, is_kink)
