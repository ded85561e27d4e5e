"""The exact law of a ratio of quadratic forms such as the Durbin-Watson statistic.

With nu_i the eigenvalues of the difference matrix A compressed to the complement of the
regressors, m of them, and xi_i independent standard normal,

    P(D < d) = P(Q < 0),    Q = sum (nu_i - d) xi_i^2,
    E exp(s Q) = det(s)^(-1/2),    det(s) = prod (1 - 2 s (nu_i - d)),

and for a real c on the side of the tail, left of 0 for P(Q < 0) and right for P(Q > 0),

    P = 1/(2 pi i) times the integral of det(s)^(-1/2) / |s| ds along c + i R.

`tail` places c at the saddle point, where the integrand on the real line is least.  So nothing
cancels, and a probability of 1e-30 has as many digits as one of 0.3.  On s = c + i b sinh(u)
the integrand falls off exponentially where it is a power of s (few eigenvalues) and like a
normal density where there are many; the trapezoidal rule converges geometrically for both.
A pole at s = 0 close to c would slow the convergence, so its known contribution is subtracted.

References
----------
Imhof (1961), "Computing the distribution of quadratic forms in normal variables", Biometrika 48.
Helstrom & Ritcey (1985), "Evaluation of the noncentral F-distribution by numerical contour
integration", SIAM J. Sci. Stat. Comput. 6, for the contour through the saddle point.
Trefethen & Weideman (2014), "The exponentially convergent trapezoidal rule", SIAM Review 56;
Hunter & Regan (1972), Math. Comp. 26, for the pole.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np

_EPSILON = float(np.finfo(np.float64).eps)
_TILT = 1e-8  # relative distance from the real line at which functions on it are evaluated
_BATCH = 8  # points evaluated together while searching: the lanes of a vector
_NODES = 4 * _BATCH  # sufficient for a nearly normal distribution
_AGREEMENT = 1e-10  # relative difference of the two rules whose mean is the result
_EDGE = 1e-12  # relative to the support: d within this distance of the end counts as the end
_NEGLIGIBLE = 1e-19  # terms of the sum, relative to the largest
_MAX_ROUNDS = 400
_MAX_HALVINGS = 6


class Law(Protocol):
    """The distribution of a quadratic form, given by functions of its eigenvalues."""

    size: int
    """Number m of eigenvalues."""
    trace: float
    square: float
    """Approximate sum of squared eigenvalues; it only starts a search."""
    low: float
    high: float
    """No eigenvalue is below `low` or above `high`."""

    def log_det(self, s: np.ndarray, d: float) -> np.ndarray:
        """Sum of the principal logarithms of 1 - 2 s (nu_i - d), for Im s > 0."""


class Tail(NamedTuple):
    """One tail of the distribution of D, usually the smaller one."""

    is_lower: bool
    probability: float
    error: float

    @property
    def below(self) -> float:
        """P(D < d)."""
        return self.probability if self.is_lower else 1.0 - self.probability

    @property
    def above(self) -> float:
        """P(D > d)."""
        return 1.0 - self.probability if self.is_lower else self.probability


def tail(law: Law, d: float) -> Tail:
    """The probability of the tail of D at `d` that does not contain the mean.

    Returns
    -------
    Tail
        Its `error` is a bound of the absolute error.  The bound is the sum of the difference of
        two trapezoidal rules, the truncated end of the integral, and the rounding of d and of
        the basis.  The error of the mean of both rules is about the square of their difference.
        The probability is exactly 0 where d is at or beyond the end of the support.

    Raises
    ------
    ArithmeticError
        If the two rules do not converge to each other.
    """
    is_lower = bool(law.trace > law.size * d)
    if not law.low < d < law.high:
        return Tail(is_lower, 0.0, 0.0)
    side = -1.0 if is_lower else 1.0
    contour = _find_contour(law, d, side)
    if contour is not None:
        probability, error = _integrate(law, d, contour)
        return Tail(is_lower, min(float(probability), 1.0), min(float(error), 1.0))
    # d is at the end of the support to rounding.  The probability of a tail that starts slightly
    # inside the support bounds the error.
    inside = d - side * _EDGE * (law.high - law.low)
    contour = _find_contour(law, inside, side)
    if contour is None:
        return Tail(is_lower, 0.0, 0.0)
    return Tail(is_lower, 0.0, float(sum(_integrate(law, inside, contour))))


class _Contour(NamedTuple):
    side: float  # -1 for the lower tail, 1 for the upper
    saddle: float  # its distance from 0
    spread: float  # the standard deviation, if the integrand is a normal density
    scale: float  # b in c + i b sinh(u)


# -------------------------------------------------------------------------- saddle point


def _find_contour(law: Law, d: float, side: float) -> _Contour | None:
    """Through the saddle point, in steps of the logarithm of t = |s|; None without a tail.

    phi(t) = log(det(s)^(-1/2) / t) is convex between 0 and the nearest singularity, and decreases
    without bound where there is no singularity.
    """
    grid = _first_guess(law, d) * 2.0 ** np.arange(-3, _BATCH - 3)
    width = max(law.high - d, d - law.low)
    nearest, farthest = 1 / (64 * (law.size + 2) * width), 10 / (_EDGE * width)
    phi, valid = _on_real_line(law, d, side, grid)
    reach = 0.0
    for _ in range(_MAX_ROUNDS):
        if valid.any():
            reach = max(reach, float(grid[valid].max()))
        best = int(np.argmin(np.where(valid, phi, np.inf)))
        last = len(grid) - 1
        if not valid[best] or best == 0:
            if grid[0] < nearest:  # phi falls up to 1 / ((m + 2) width) at least
                break
            grid = grid[0] * 2.0 ** np.arange(2 - _BATCH, 2)
        elif best == last:
            if grid[last] > farthest:
                return None  # no eigenvalue is on this side of d
            grid = grid[last] * 2.0 ** np.arange(-1, _BATCH - 1)
        else:
            inside = slice(best - 1, best + 2)
            if valid[inside].all() and np.ptp(phi[inside]) < 1:
                strip = max(1 / (2 * (law.high - d if side > 0 else d - law.low)), reach)
                return _contour_at(side, np.log(grid[inside]), phi[inside], strip)
            grid = np.geomspace(grid[best - 1], grid[best + 1], _BATCH)
        phi, valid = _on_real_line(law, d, side, grid)
    raise ArithmeticError(f"no saddle point was found at d = {d!r}")


def _first_guess(law: Law, d: float) -> float:
    """The saddle point of a normal Q with the same mean and variance."""
    mean = abs(law.trace - law.size * d)
    variance = 2 * max(law.square - 2 * d * law.trace + law.size * d * d, 1e-3)
    return (mean + math.sqrt(mean * mean + 4 * variance)) / (2 * variance)


def _on_real_line(law: Law, d: float, side: float, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of phi at t, and whether no singularity lies between 0 and t.

    Each eigenvalue with a negative factor adds pi to the argument of the determinant.
    """
    log_det = law.log_det(side * t + 1j * _TILT * t, d)
    return -0.5 * log_det.real - np.log(t), np.abs(log_det.imag) < 1


def _contour_at(side: float, x: np.ndarray, phi: np.ndarray, strip: float) -> _Contour:
    """From phi at three points x = log(t) that enclose its minimum."""
    slopes = np.diff(phi) / np.diff(x)
    curvature = 2 * (slopes[1] - slopes[0]) / (x[2] - x[0])
    middle = (x[0] + x[1]) / 2 - slopes[0] / curvature
    saddle = math.exp(min(max(middle, x[0]), x[2]))
    spread = saddle / math.sqrt(curvature)
    # At the saddle point no singularity of det is nearer than spread / sqrt(2).
    gap = max(strip - saddle, spread / math.sqrt(2))
    return _Contour(side, saddle, spread, min(gap, 8 * spread))


# ------------------------------------------------------------------------------ integral


class _Sum:
    """Terms f(j h) of the even integrand, for j = 0, 1, 2, ... or for odd j alone."""

    def __init__(self, law: Law, d: float, contour: _Contour) -> None:
        self.law, self.d, self.contour = law, d, contour
        self.log_scale = 0.0
        self.first: float | None = None

    def terms(self, h: float, start: int, stride: int) -> np.ndarray:
        """Values at j h for j = start, start + stride, ... until the terms are negligible."""
        values: list[np.ndarray] = []
        j, largest = start, self.first or 0.0
        while True:
            values.append(self._at(h * (j + stride * np.arange(_NODES))))
            largest = max(largest, float(np.abs(values[-1]).max()))
            j += stride * _NODES
            if np.abs(values[-1][-3:]).max() <= _NEGLIGIBLE * largest or h * j > 700:
                return np.concatenate(values)

    def _at(self, u: np.ndarray) -> np.ndarray:
        """The integrand at u, divided by exp(log_scale)."""
        side, saddle, _, scale = self.contour
        # At u = 0 itself a pivot might vanish.
        s = side * saddle + 1j * scale * np.sinh(np.maximum(u, _TILT))
        log_m = -0.5 * self.law.log_det(s, self.d)
        if self.first is None:
            self.log_scale = float(log_m[0].real)
        m = np.exp(log_m - self.log_scale)
        values = side / math.pi * (m * (scale * np.cosh(u) / s)).real
        if self.first is None:
            self.first = float(abs(values[0]))
        return values


def _integrate(law: Law, d: float, contour: _Contour) -> tuple[float, float]:
    """The probability and a bound of its error."""
    h = min(0.33 * contour.spread / contour.scale, 0.14)  # of the two rules together
    total = _Sum(law, d, contour)
    terms = total.terms(h, 0, 1)
    even, odd = terms[::2].copy(), terms[1::2]
    even[0] /= 2
    factor = math.exp(total.log_scale)
    at_nodes = _less_pole(2 * h * float(even.sum()), factor, contour, 2 * h, 1)
    between = _less_pole(2 * h * float(odd.sum()), factor, contour, 2 * h, -1)
    absolute = 2 * h * float(np.abs(even).sum() + np.abs(odd).sum())
    rounding = factor * absolute * _rounding(law, d, contour)
    for _ in range(_MAX_HALVINGS):
        mean = 0.5 * (at_nodes + between)
        difference = abs(at_nodes - between)
        if difference <= max(_AGREEMENT * mean, rounding):
            break
        h /= 2
        odd = total.terms(h, 1, 2)
        at_nodes = mean
        between = _less_pole(2 * h * float(odd.sum()), factor, contour, 2 * h, -1)
    else:
        raise ArithmeticError(
            f"the integral at d = {d!r} did not converge: rules differ by {difference:.1e}"
        )
    end = 10 * float(np.abs(odd[-2:]).max()) * factor
    return mean, difference + end + rounding


def _less_pole(rule: float, factor: float, contour: _Contour, h: float, sign: int) -> float:
    """A rule of step h, at integer (sign 1) or half-integer multiples of h, without the pole.

    The residue at s = 0 is that of 1 / s, and by Poisson's summation formula the rule is off
    by the sum of (sign e^-a)^k, k = 1, 2, ..., for a = 2 pi / h times the pole's height.
    """
    rule *= factor
    if contour.saddle >= contour.scale:
        return rule
    decay = sign * math.exp(-2 * math.pi / h * math.asin(contour.saddle / contour.scale))
    return rule - decay / (1 - decay)


def _rounding(law: Law, d: float, contour: _Contour) -> float:
    """Relative error of the integrand: d log det / d nu sums to about 2 m c at the saddle."""
    width = max(law.high - d, d - law.low, 1.0)
    return _EPSILON * (32 + 8 * law.size * contour.saddle * width)
