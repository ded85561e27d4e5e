"""Products in bfloat16: one definition, and the same bits from every build and the reference."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from fastnn import backend as backends
from fastnn.backend import compiled
from fastnn.backend.reference.halves import chain, rounded

VARIANTS = [isa for isa in compiled.built() if compiled.runs_here(isa)]
SMALLEST = Fraction(2) ** -126

# Halves of every kind: zeros, subnormal numbers, the smallest and largest normal ones, those whose
# squares are near the limits of float32, infinities and nan.
CORNERS = np.array(
    [0, 1, 0x40, 0x7F, 0x80, 0x81, 0xFF, 0x1FFF, 0x2000, 0x2080, 0x3F7F, 0x3F80, 0x3F81, 0x5F7F,
     0x5F80, 0x6000, 0x7F7F, 0x7F80, 0x7FC0],
    np.uint32,
)  # fmt: skip
CORNERS = np.concatenate([CORNERS, CORNERS | 0x8000])

variant = pytest.mark.parametrize(
    "isa",
    VARIANTS
    or [pytest.param(None, marks=pytest.mark.skip(reason="nothing compiled for this processor"))],
)


def halves(bits):
    return (np.asarray(bits, np.uint32) << 16).view(np.float32)


def random_halves(rng, shape, kind):
    """Values of bfloat16: any bits, corners, numbers about 1, or those whose products are tiny."""
    if kind == "corners":
        return halves(rng.choice(CORNERS, shape))
    if kind == "any":
        return halves(rng.integers(0, 1 << 16, shape))
    low, high = {"ordinary": (120, 134), "tiny": (58, 70), "large": (185, 195)}[kind]
    exponents = rng.integers(low, high, shape)
    return halves(rng.integers(0, 2, shape) << 15 | exponents << 7 | rng.integers(0, 128, shape))


def random_starts(rng, shape, kind):
    """float32 numbers of all bits, or of magnitudes that the products of a kind have."""
    bits = rng.integers(0, 1 << 32, shape, np.uint32)
    if kind in ("ordinary", "tiny", "large"):
        low, high = {"ordinary": (95, 160), "tiny": (0, 30), "large": (230, 255)}[kind]
        bits = bits & 0x807FFFFF | rng.integers(low, high, shape, np.uint32) << 23
    return bits.view(np.float32)


KINDS = ("ordinary", "any", "corners", "tiny", "large")


def same(a, b):
    """Equal bits, or nan in both."""
    return np.array_equal(np.where(np.isnan(a), 0, a.view(np.uint32)),
                          np.where(np.isnan(b), 0, b.view(np.uint32))) and np.array_equal(
        np.isnan(a), np.isnan(b)
    )  # fmt: skip


def nearest(exact, bits):
    """The number with so many bits of mantissa next to an exact one, ties to even; no range."""
    if exact == 0:
        return exact
    exponent = math.floor(math.log2(abs(exact)))
    while abs(exact) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(exact) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (exponent - bits + 1)
    return round(exact / unit) * unit  # Python rounds a tie to the even one


def flushed(exact):
    return exact if abs(exact) >= SMALLEST else Fraction(0)


def test_rounding_takes_the_nearest_of_eight_bits():
    rng = np.random.default_rng(1)
    bits = rng.integers(0x00800000, 0x7F000000, 500, np.uint32)
    bits[:100] = bits[:100] & 0xFFFF0000 | 0x8000  # ties
    x = bits.view(np.float32) * rng.choice(np.float32([-1, 1]), 500)
    assert [Fraction(float(v)) for v in rounded(x)] == [nearest(Fraction(float(v)), 8) for v in x]


def test_rounding_keeps_normal_halves_flushes_subnormal_ones_and_makes_every_nan_one():
    x = halves(np.arange(1 << 16))
    expected = np.where(np.abs(x) < float(SMALLEST), np.copysign(np.float32(0), x), x)
    expected[np.isnan(x)] = np.nan
    np.testing.assert_array_equal(rounded(x).view(np.uint32), expected.view(np.uint32))


def test_rounding_overflows_where_the_largest_number_is_not_the_nearest():
    x = np.array([0x7F7F0000, 0x7F7F7FFF, 0x7F7F8000, 0x7F7FFFFF], np.uint32).view(np.float32)
    np.testing.assert_array_equal(rounded(-x), [-x[0], -x[0], -np.inf, -np.inf])


@pytest.mark.parametrize("kind", ["ordinary", "tiny"])
def test_chain_rounds_each_sum_once_the_second_of_a_pair_first(kind):
    rng = np.random.default_rng(2)
    x, y = random_halves(rng, (2000, 2), kind), random_halves(rng, (2, 2000), kind)
    c = random_starts(rng, 2000, kind)
    for i in range(len(c)):
        total = flushed(Fraction(float(c[i])))
        for k in (1, 0):
            total += Fraction(float(x[i, k])) * Fraction(float(y[k, i]))
            total = flushed(nearest(total, 24))
        result = chain(x[i : i + 1], y[:, i : i + 1], c[i : i + 1])
        assert Fraction(float(result[0, 0])) == total


@variant
@pytest.mark.parametrize("kind", KINDS)
def test_every_build_has_the_bits_of_the_reference(isa, kind):
    rng = np.random.default_rng(3)
    product = backends.load(isa, np.float32).product_bfloat16
    for n, k, m in ((1, 2, 1), (1, 1, 300), (3, 7, 33), (29, 16, 65), (57, 131, 40), (18, 600, 16)):
        a, b = random_halves(rng, (n, k), kind), random_halves(rng, (k, m), kind)
        start = random_starts(rng, (n, m), kind)
        expected = chain(a, b, start)
        for a_transposed in (False, True):
            for b_transposed in (False, True):
                out = start.copy()
                product(
                    np.ascontiguousarray(a.T) if a_transposed else a,
                    np.ascontiguousarray(b.T) if b_transposed else b,
                    a_transposed, b_transposed, out,
                )  # fmt: skip
                assert same(out, expected), (n, k, m, a_transposed, b_transposed)


@variant
def test_every_build_rounds_operands_as_the_reference(isa):
    rng = np.random.default_rng(4)
    a, b = (
        rng.integers(0, 1 << 32, shape, np.uint32).view(np.float32)
        for shape in ((33, 90), (90, 70))
    )
    out = np.zeros((33, 70), np.float32)
    backends.load(isa, np.float32).product_bfloat16(a, b, False, False, out)
    assert same(out, chain(rounded(a), rounded(b)))


@variant
def test_products_of_float64_are_refused(isa):
    a = np.ones((2, 2))
    with pytest.raises(TypeError, match="float32"):
        backends.load(isa, np.float64).product_bfloat16(a, a, False, False, np.zeros((2, 2)))
