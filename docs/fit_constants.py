"""Compute the polynomials of the compiled vector mathematics.

Writes `fastnn/backend/compiled/simd/constants.h`: minimax polynomials found with the Remez
exchange in 40-digit arithmetic, coefficients rounded to the element type and
then moved by single units in the last place as long as that lowers the largest
error.  The comment above each polynomial states its share in the relative
error of the result, measured with the rounded coefficients.

Run ``python docs/fit_constants.py`` from the root of the repository (needs
mpmath; some minutes).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

HEADER = Path(__file__).parent.parent / "fastnn" / "backend" / "compiled" / "simd" / "constants.h"
Function = Callable[[Any], Any]

mp.mp.dps = 40
SQRT2 = mp.sqrt(2)
MILLS_SHIFT = 4
"""Centre of the map q = (a - shift) / (a + shift) from [0, inf) to [-1, 1)."""

DEGREES = {
    "float": {"EXP": 5, "LOG": 2, "TANH": 4, "MILLS": 9},
    "double": {"EXP": 10, "LOG": 6, "TANH": 10, "MILLS": 23},
}
TANH_SMALL = mp.mpf("0.55")
"""Up to here tanh is a polynomial; above, tanh >= 1/2, it is 1 - 2 sigmoid(-2 x)."""
TANH_START, TANH_END, TANH_PIECES = mp.mpf("0.625"), mp.mpf("9.25"), 16
"""Pieces of tanh in float32: x + TANH_START runs through quarters of octaves up to TANH_END."""
LOG_REACH = (SQRT2 - 1) / (SQRT2 + 1)
"""Largest s = f / (2 + f) of log(1 + f): 1 + f reaches from sqrt(1/2) to sqrt(2)."""
LARGEST_GAUSSIAN = {"float": 15, "double": 40}
"""Where Phi(-a) * a is below half the smallest subnormal number."""


def exp_tail(r: Any) -> Any:
    """q(r) of exp(r) = 1 + r + r**2 * q(r)."""
    if abs(r) < mp.mpf("1e-3"):
        return mp.fsum(r**k / mp.factorial(k + 2) for k in range(12))
    return (mp.exp(r) - 1 - r) / r**2


def exp_weight(r: Any) -> Any:
    """Share of r**2 * q in expm1(r), the smaller of the two results."""
    return r / (mp.expm1(r) / r) if r else mp.mpf(0)


def log_tail(t: Any) -> Any:
    """P(t) of log((1 + s) / (1 - s)) = 2 s + s**3 * P(s**2), t = s**2."""
    if t < mp.mpf("1e-5"):
        return mp.fsum(2 * t**k / (2 * k + 3) for k in range(9))
    s = mp.sqrt(t)
    return (2 * mp.atanh(s) - 2 * s) / s**3


def log_weight(t: Any) -> Any:
    """Share of s**3 * P in the logarithm."""
    s = mp.sqrt(t)
    return t / (2 * mp.atanh(s) / s) if t else mp.mpf(0)


def tanh_tail(t: Any) -> Any:
    """P(t) of tanh(x) = x + x**3 * P(x**2), t = x**2."""
    if t < mp.mpf("1e-3"):
        # Coefficients 2**(2 k) (2**(2 k) - 1) B(2 k) / (2 k)! of x**(2 k - 1).
        return mp.fsum(
            4**k * (4**k - 1) * mp.bernoulli(2 * k) / mp.factorial(2 * k) * t ** (k - 2)
            for k in range(2, 16)
        )
    x = mp.sqrt(t)
    return (mp.tanh(x) - x) / x**3


def tanh_weight(t: Any) -> Any:
    """Share of x**3 * P in tanh(x)."""
    return t / (mp.tanh(mp.sqrt(t)) / mp.sqrt(t)) if t else mp.mpf(0)


def tanh_factor(centre: Any) -> Function:
    """q of tanh(c + d) = tanh(c) + d q(d), as sinh(d) / (cosh(c) cosh(c + d)) over d."""
    return lambda d: (mp.sinh(d) / d if d else 1) / (mp.cosh(centre) * mp.cosh(centre + d))


def tanh_centre(low: Any, high: Any) -> Any:
    """A number near the middle of an interval where tanh and its slope are nearly float32.

    Rounding the first two coefficients then costs nothing.  Multiples of 2**-18 within 4 % of
    the half width are tried.
    """
    middle, half = (low + high) / 2, (high - low) / 2
    best = (mp.inf, middle)
    for i in range(-1000, 1001):
        c = mp.nint((middle + half * i / 25_000) * 2**18) / 2**18
        value, slope = mp.tanh(c), mp.sech(c) ** 2
        loss = abs(value - np.float32(float(value)).item())
        loss += half * abs(slope - np.float32(float(slope)).item())
        best = min(best, (loss, c))
    return best[1]


def tanh_piece(low: Any, high: Any) -> tuple[list[Any], float]:
    """Centre c, tanh(c) and the six coefficients of q on an interval, and the relative error.

    From 0 on, q is that of tanh(d) = d + d q(d), with d**2 as a factor.
    """
    if not low:
        tail, error = rounded_fit(
            lambda x: tanh_tail(x * x), lambda x: tanh_weight(x * x), low, high, 3, 24, 24
        )
        return [mp.mpf(0)] * 4 + tail, error
    c = tanh_centre(low, high)
    q, error = rounded_fit(
        tanh_factor(c), lambda d: d / mp.tanh(c + d), low - c, high - c, 5, 24, 24
    )
    return [c, mp.tanh(c), *q], error


def tanh_table() -> list[str]:
    """Lines of the header for the pieces of tanh, each coefficient's sixteen values together."""
    quarters = [mp.ldexp(m, e) for e in range(-3, 2) for m in (4, 5, 6, 7)]
    first = quarters.index(TANH_START)
    edges = [t - TANH_START for t in quarters[first : first + TANH_PIECES]] + [TANH_END]
    columns: list[Any] = [None] * TANH_PIECES
    largest = 0.0
    for i in range(TANH_PIECES):
        # frexp(t) = m, e with 1/2 <= m < 1: the float has the exponent e + 126.
        m, e = mp.frexp(quarters[first + i])
        place = (4 * (int(e) + 126) + int(8 * m) - 4) % TANH_PIECES
        columns[place], error = tanh_piece(edges[i], edges[i + 1])
        largest = max(largest, error)
    print("float TANH_PIECES", f"{largest:.2e} {largest * 2.0**24:.3f} ULP", flush=True)
    literals = [[literal(np.float32(float(v))) for v in column] for column in columns]
    rows = zip(*literals, strict=True)
    return [
        "/* tanh(x) = max(v, d) + d q(d) for x >= 0 and d = min(x, TANH_END) - c.  Tables of c, v",
        " * and the coefficients of q, by the quarter octave of x + TANH_START, relative error",
        f" * {largest:.1e} ({largest * 2.0**24:.2f} ULP at most). */",
        "static const real TANH_PIECES[] ALIGNED = {",
        *[f"    {', '.join(row[i : i + 4])}," for row in rows for i in range(0, TANH_PIECES, 4)],
        "};",
    ]


def mills(q: Any) -> Any:
    """(a + 4) * Phi(-a) * exp(a**2 / 2) as a function of q = (a - 4) / (a + 4)."""
    a = MILLS_SHIFT * (1 + q) / (1 - q)
    return mp.erfc(a / SQRT2) * mp.exp(a * a / 2) / 2 * (a + MILLS_SHIFT)


def remez(f: Function, weight: Function, low: Any, high: Any, degree: int) -> list[Any]:
    """Polynomial p of that degree with the smallest maximum of |weight * (p - f)|."""
    n = degree + 2
    middle, half = (low + high) / 2, (high - low) / 2
    nodes = [middle - half * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / n) for i in range(n)]
    grid = [middle - half * mp.cos(mp.pi * i / mp.mpf(24 * n)) for i in range(24 * n + 1)]
    values = [f(x) for x in grid]
    weights = [abs(weight(x)) for x in grid]
    coefficients: list[Any] = []
    for _ in range(12):
        matrix = mp.matrix(n, n)
        for i, x in enumerate(nodes):
            for k in range(degree + 1):
                matrix[i, k] = x**k
            w = abs(weight(x))
            matrix[i, degree + 1] = (-1) ** i / max(w, mp.mpf("1e-9"))
        solution = mp.lu_solve(matrix, mp.matrix([f(x) for x in nodes]))
        coefficients = list(solution[: degree + 1])
        level = abs(solution[degree + 1])
        errors = [
            w * (mp.polyval(coefficients[::-1], x) - v)
            for x, v, w in zip(grid, values, weights, strict=True)
        ]
        extrema = alternating_extrema(errors, n)
        if len(extrema) < n:
            break
        nodes = [grid[i] for i in extrema]
        if max(abs(e) for e in errors) < level * mp.mpf("1.01"):
            break
    return coefficients


def alternating_extrema(errors: list[Any], n: int) -> list[int]:
    """Positions of n extrema of alternating sign, the largest such run."""
    peaks: list[int] = []
    for i, e in enumerate(errors):
        if peaks and (errors[peaks[-1]] > 0) == (e > 0):
            if abs(e) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        elif e:
            peaks.append(i)
    while len(peaks) > n:
        first, last = abs(errors[peaks[0]]), abs(errors[peaks[-1]])
        peaks.pop(0 if first < last else -1)
    return peaks


def rounded_fit(
    f: Function, weight: Function, low: Any, high: Any, degree: int, bits: int, first_bits: int
) -> tuple[list[Any], float]:
    """Coefficients (constant term first) and the largest weighted error.

    Coefficients have `bits` significant bits, the constant term `first_bits`.
    """
    low, high = mp.mpf(low), mp.mpf(high)
    coefficients, steps = [], []
    for k, c in enumerate(remez(f, weight, low, high, degree)):
        step = mp.mpf(2) ** (mp.frexp(c)[1] - (bits if k else first_bits))
        coefficients.append(mp.nint(c / step) * step)
        steps.append(step)
    grid = [low + (high - low) * i / mp.mpf(400) for i in range(401)]
    weights = [abs(weight(x)) for x in grid]
    errors = [mp.polyval(coefficients[::-1], x) - f(x) for x in grid]

    def largest(errors: list[Any]) -> Any:
        return max(w * abs(e) for w, e in zip(weights, errors, strict=True))

    best, improved = largest(errors), True
    while improved:
        improved = False
        for k, step in enumerate(steps):
            for move in (step, -step):
                moved = [e + move * x**k for e, x in zip(errors, grid, strict=True)]
                if largest(moved) < best:
                    coefficients[k] += move
                    errors, best, improved = moved, largest(moved), True
                    break
    return coefficients, float(best)


def split(value: Any, bits: int, dtype: type[np.floating]) -> tuple[Any, Any]:
    """`value` as high + low where high has `bits` significant bits."""
    scale = mp.mpf(2) ** (bits - mp.frexp(value)[1])
    high = mp.nint(value * scale) / scale
    return dtype(float(high)), dtype(float(value - high))


def literal(value: Any) -> str:
    """Shortest C literal that reads back as the same number."""
    text = np.format_float_scientific(value, unique=True, trim="0")
    return f"R_({text})"


def section(name: str) -> list[str]:
    """Lines of the header for one element type."""
    dtype: type[np.floating] = np.float32 if name == "float" else np.float64
    bits = 24 if name == "float" else 53
    half_log2 = mp.log(2) / 2 * mp.mpf("1.0001")
    q_high = mp.mpf(LARGEST_GAUSSIAN[name] - MILLS_SHIFT) / (LARGEST_GAUSSIAN[name] + MILLS_SHIFT)
    fits = {
        "EXP": (exp_tail, exp_weight, -half_log2, half_log2, "exp(r) = 1 + r + r^2 p(r)"),
        "LOG": (log_tail, log_weight, 0, LOG_REACH**2, "log((1+s)/(1-s)) = 2 s + s^3 p(s^2)"),
        "TANH": (tanh_tail, tanh_weight, 0, TANH_SMALL**2, "tanh(x) = x + x^3 p(x^2)"),
        "MILLS": (
            mills,
            lambda q: 1 / mills(q),
            -1,
            q_high,
            "Phi(-a) exp(a^2/2) (a+4) = p((a-4)/(a+4))",
        ),
    }
    lines: list[str] = []
    for label, (f, weight, low, high, meaning) in fits.items():
        degree = DEGREES[name][label]
        # Rounding of the constant term would dominate the error of Mills' ratio.
        first_bits = bits + 6 if label == "MILLS" else bits
        coefficients, error = rounded_fit(f, weight, low, high, degree, bits, first_bits)
        lines += [
            f"/* {meaning}, relative error {error:.1e} ({error * 2.0**bits:.2f} ULP at most). */",
            f"#define {label}_DEGREE {degree}",
            f"static const real {label}_POLYNOMIAL[] = {{",
            *[f"    {literal(dtype(float(c)))}," for c in coefficients],
            "};",
        ]
        if first_bits > bits:
            lines.append(
                f"#define {label}_FIRST_LOW {literal(split(coefficients[0], bits, dtype)[1])}"
            )
        print(name, label, degree, f"{error:.2e} {error * 2.0**bits:.3f} ULP", flush=True)
    if name == "float":
        lines += tanh_table()
    else:
        lines += ["#define TANH_PIECES ((const real *)NULL) /* of float32 alone */"]
    # Steps of log(2) times |n| <= 2044 (252) must be exact without FMA.
    high, low = split(mp.log(2), 42 if name == "double" else 16, dtype)
    for label, value in (
        ("TANH_SMALL", TANH_SMALL),
        ("TANH_START", TANH_START),
        ("TANH_END", TANH_END),
    ):
        lines += [f"#define {label} {literal(dtype(float(value)))}"]
    lines += [f"#define LARGEST_GAUSSIAN {literal(dtype(LARGEST_GAUSSIAN[name]))}"]
    lines += [f"#define LOG2_HIGH {literal(high)}", f"#define LOG2_LOW {literal(low)}"]
    # In two parts: 2 sqrt(2 / pi) and 0.044715 times it (the tanh form of GELU), the height
    # of the normal density, and the constants of SELU (the second is scale times alpha).
    outer = 2 * mp.sqrt(2 / mp.pi)
    for label, value in (
        ("GELU_LINEAR", outer),
        ("GELU_CUBIC", outer * mp.mpf("0.044715")),
        ("GAUSSIAN", 1 / mp.sqrt(2 * mp.pi)),
        ("SELU_SCALE", mp.mpf("1.0507009873554805")),
        ("SELU_ALPHA", mp.mpf("1.0507009873554805") * mp.mpf("1.6732632423543772")),
    ):
        high, low = split(value, bits, dtype)
        lines += [f"#define {label}_HIGH {literal(high)}", f"#define {label}_LOW {literal(low)}"]
    return lines


def main() -> None:
    """Write the header."""
    text = [
        "/* Polynomials and constants of the vector mathematics, constant terms first.",
        " *",
        " * Written by docs/fit_constants.py; do not edit.  R_() gives a literal the type",
        " * `real`, so this file comes after simd.h's own definitions.",
        " */",
        "#ifndef FASTNN_CONSTANTS_H",
        "#define FASTNN_CONSTANTS_H",
        "",
        "#ifdef FASTNN_DOUBLE",
        *section("double"),
        "#else",
        *section("float"),
        "#endif",
        "",
        "#endif",
    ]
    HEADER.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
