"""Every instruction set computes the same bits, in place, and only where it should.

Fused multiply-add is part of x86-64-v3 and v4, so these two agree to the last bit; v2 has
other roundings, but the same random numbers.
"""

from __future__ import annotations

import numpy as np
import pytest
from kernel_calls import CALLS, N_ROWS, logits

from fastnn import backend as backends
from fastnn.backend import compiled
from fastnn.backend.reference import kernels as reference
from fastnn.facts.losses import ElementOptions
from fastnn.facts.updates import UPDATES

VARIANTS = [isa for isa in compiled.built() if compiled.runs_here(isa)]
FUSED = [isa for isa in VARIANTS if isa in ("v3", "v4")]
WIDTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 64, 65, 1000, 1024, 1025, 3000, 9001)

variant = pytest.mark.parametrize(
    "isa",
    VARIANTS
    or [pytest.param(None, marks=pytest.mark.skip(reason="nothing compiled for this processor"))],
)


def run(case, isa, width, dtype):
    return case(backends.load(isa, dtype), np.random.default_rng(width), width, np.dtype(dtype))


def assert_same_bits(results, others):
    for a, b in zip(results, others, strict=True):
        np.testing.assert_array_equal(a, b)
        signs = [np.signbit(np.where(np.isnan(values), 1, values)) for values in (a, b)]
        np.testing.assert_array_equal(*signs)  # -0 is not 0


@pytest.mark.skipif(len(FUSED) < 2, reason="needs x86-64-v3 and v4 builds and processor")
@pytest.mark.parametrize("case", CALLS)
def test_v3_and_v4_give_the_same_bits(case, dtype):
    for width in WIDTHS:
        assert_same_bits(run(case, "v3", width, dtype), run(case, "v4", width, dtype))


@pytest.mark.skipif(len(FUSED) < 2, reason="needs x86-64-v3 and v4 builds and processor")
def test_tanh_has_the_same_bits_on_v3_and_v4_in_all_its_pieces():
    # A prime stride through all float32 numbers, nans among them.
    z = np.arange(0, 2**32, 4001, dtype=np.uint32).view(np.float32)
    results = np.empty((2, z.size), np.float32)
    for isa, out in zip(("v3", "v4"), results, strict=True):
        backends.load(isa, "float32").activation("tanh", z, 1.0, out)
    assert_same_bits(*results[:, np.newaxis])


@variant
def test_dropout_draws_the_bits_of_the_reference(isa, dtype):
    kernels = backends.load(isa, dtype)
    for width in WIDTHS:
        for rate in (0.0, 0.25, 1 - 2**-20):
            ours, theirs = np.empty((2, 5, width), dtype)
            x = np.random.default_rng(width).standard_normal((5, width)).astype(dtype)
            kernels.dropout(x, rate, 2**32 - 1, 2**31 + 1, ours)
            reference.dropout(x, rate, 2**32 - 1, 2**31 + 1, theirs)
            np.testing.assert_array_equal(ours, theirs)


def row_functions(kernels, z, labels):
    """Everything that acts on rows, of rows and labels."""
    total, p, log_p = np.empty(len(z), z.dtype), np.empty_like(z), np.empty_like(z)
    kernels.logsumexp(z, total)
    kernels.softmax(z, p)
    kernels.log_softmax(z, log_p)
    results = [total, p, log_p]
    for smoothing in (0.0, 0.1, 1.0):
        losses, gradient = np.empty_like(total), np.empty_like(z)
        kernels.cross_entropy_labels(
            z, labels, None, None, smoothing, None, "sum", losses, gradient
        )
        results += [losses, gradient]
    return results


@variant
def test_row_alone_gives_the_bits_it_has_in_a_batch(isa, dtype):
    kernels = backends.load(isa, dtype)
    for width in WIDTHS:
        rng = np.random.default_rng(width)
        z, labels = logits(rng, (N_ROWS, width), dtype), rng.integers(0, width, N_ROWS)
        z[3] = -np.inf
        z[4, -1] = np.nan
        z[5, 0] = np.inf
        together = row_functions(kernels, z, labels)
        for i in range(N_ROWS):
            alone = row_functions(kernels, z[i : i + 1], labels[i : i + 1])
            assert_same_bits(alone, [result[i : i + 1] for result in together])


class Guarded:
    """Arrays whose last element is followed by nan, which nothing may read or write."""

    def __init__(self, kernels):
        self.kernels = kernels
        self.arrays = []

    def __getattr__(self, name):
        function = getattr(self.kernels, name)

        def call(*arguments):
            guarded = [self.guard(a) if isinstance(a, np.ndarray) else a for a in arguments]
            result = function(*guarded)
            for original, copy in zip(arguments, guarded, strict=True):
                if isinstance(original, np.ndarray):
                    original[...] = copy
            return result

        return call

    def guard(self, array):
        filler = np.iinfo(array.dtype).min if array.dtype.kind == "i" else np.nan
        block = np.full(array.size + 2 * 64, filler, array.dtype)
        middle = block[64 : 64 + array.size].reshape(array.shape)
        middle[...] = array
        self.arrays.append((block, array.size, filler))
        return middle

    def intact(self):
        return all(
            np.array_equal(
                np.delete(block, np.s_[64 : 64 + size]),
                np.full(128, filler, block.dtype),
                equal_nan=block.dtype.kind == "f",
            )
            for block, size, filler in self.arrays
        )


@variant
@pytest.mark.parametrize("case", CALLS)
def test_nothing_beyond_the_arrays_is_read_or_written(case, isa, dtype):
    for width in WIDTHS[:-4]:
        guarded = Guarded(backends.load(isa, dtype))
        results = case(guarded, np.random.default_rng(width), width, np.dtype(dtype))
        assert_same_bits(results, run(case, isa, width, dtype))
        assert guarded.intact()


IN_PLACE = {
    "softmax": lambda kernels, z, out: kernels.softmax(z, out),
    "log_softmax": lambda kernels, z, out: kernels.log_softmax(z, out),
    "layer_norm": lambda kernels, z, out: kernels.layer_norm(z, z[0].copy(), None, 1e-5, out),
    "cross_entropy_labels": lambda kernels, z, out: kernels.cross_entropy_labels(
        z, np.arange(len(z)) % z.shape[1], None, None, 0.1, None, "mean", None, out
    ),
    "cross_entropy_rows": lambda kernels, z, out: kernels.cross_entropy_rows(
        z, np.ones_like(z), None, None, 0.1, "mean", None, out
    ),
    "elementwise_loss": lambda kernels, z, out: kernels.elementwise_loss(
        "huber", z, np.ones_like(z), None, ElementOptions(1.0), "mean", None, out
    ),
    "dropout": lambda kernels, z, out: kernels.dropout(z, 0.5, 1, 2, out),
}


@variant
@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_gives_the_same_bits(name, isa, dtype):
    kernels = backends.load(isa, dtype)
    for width in WIDTHS:
        z = logits(np.random.default_rng(width), (N_ROWS, width), dtype)
        beside, inside = np.empty_like(z), z.copy()
        IN_PLACE[name](kernels, z, beside)
        IN_PLACE[name](kernels, inside, inside)
        assert_same_bits([inside], [beside])


@variant
@pytest.mark.parametrize("row", UPDATES.values(), ids=lambda row: row.name)
def test_updating_in_pieces_gives_the_same_bits(row, isa, dtype):
    kernels = backends.load(isa, dtype)
    rng = np.random.default_rng(0)
    whole = [rng.random(100).astype(dtype) for _ in range(2 + len(row.slots))]
    pieces = [a.copy() for a in whole]
    kernels.update(row.name, *whole[:2], whole[2:], 1, 0.01, row.defaults, 0.0)
    for part in (np.s_[:1], np.s_[1:18], np.s_[18:50], np.s_[50:]):
        p, g, *slots = (a[part] for a in pieces)
        kernels.update(row.name, p, g, slots, 1, 0.01, row.defaults, 0.0)
    assert_same_bits(whole, pieces)


@variant
def test_probabilities_of_long_rows_sum_to_one(isa, dtype):
    z = np.random.default_rng(0).standard_normal((2, 100_000)).astype(dtype)
    p = np.empty_like(z)
    backends.load(isa, dtype).softmax(z, p)
    np.testing.assert_allclose(p.sum(axis=1, dtype=np.float64), 1, rtol=4 * np.finfo(dtype).eps)
