"""Dense layers on arrays as callers have them: rows of any length, ending where memory ends."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np
import pytest

from fastnn import backend as backends
from fastnn.backend import compiled

VARIANTS = [isa for isa in compiled.built() if compiled.runs_here(isa)]

# Samples, inputs and outputs: around the length of a vector, of a tile, of a piece of a panel;
# weights that no near cache holds, or no cache; rows 4096 bytes apart; sums over samples in
# several parts.
SHAPES = (
    (1, 1, 1), (3, 2, 1), (1, 17, 15), (5, 16, 17), (2, 15, 31), (19, 33, 3), (4, 31, 65),
    (15, 7, 129), (100, 300, 47), (90, 130, 1), (1, 300, 259), (3, 261, 520), (130, 7, 1024),
    (97, 1024, 130), (97, 520, 1024), (2100, 3, 17), (2100, 18, 5), (2, 1501, 1403),
)  # fmt: skip

variant = pytest.mark.parametrize(
    "isa",
    VARIANTS
    or [pytest.param(None, marks=pytest.mark.skip(reason="nothing compiled for this processor"))],
)


class AtTheEnd:
    """Arrays whose last element is followed by a page that may not be touched."""

    def __init__(self):
        self._memory = []
        self._protect = ctypes.CDLL(None, use_errno=True).mprotect
        self._protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

    def __call__(self, array):
        size = -(-max(array.nbytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = mmap.mmap(-1, size + mmap.PAGESIZE)
        self._memory.append(memory)
        first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        if self._protect(first + size, mmap.PAGESIZE, 0):  # PROT_NONE
            raise OSError(ctypes.get_errno(), "mprotect")
        copy = np.frombuffer(memory, array.dtype, array.size, size - array.nbytes)
        copy = copy.reshape(array.shape)
        copy[...] = array
        return copy


def layer(shape, dtype):
    """Samples, weight, bias and the gradient of the output: whole numbers, whose sums are exact."""
    n, k, m = shape
    rng = np.random.default_rng(sum(shape))
    return [rng.integers(-3, 4, s).astype(dtype) for s in ((n, k), (k, m), (m,), (n, m))]


def results(kernels, x, weight, bias, dy, place=lambda array: array):
    """Everything the kernels make: z, out, dz, dx, dweight, dbias."""
    made = [place(np.full_like(a, np.nan)) for a in (dy, dy, dy, x, weight, bias)]
    z, out, *gradients = made
    kernels.dense_forward(x, weight, bias, "relu", 0.0, z, out)
    kernels.dense_backward(x, weight, z, dy, "relu", 0.0, *gradients)
    return made


@variant
@pytest.mark.parametrize("shape", SHAPES)
def test_dense_is_exact_on_whole_numbers(isa, dtype, shape):
    x, weight, bias, dy = layer(shape, dtype)
    made = results(backends.load(isa, dtype), x, weight, bias, dy)
    x, weight, bias, dy = (a.astype(np.float64) for a in (x, weight, bias, dy))
    z = x @ weight + bias
    dz = dy * (z > 0)
    expected = (z, np.maximum(z, 0), dz, dz @ weight.T, x.T @ dz, dz.sum(axis=0))
    for actual, exact in zip(made, expected, strict=True):
        np.testing.assert_array_equal(actual, exact)


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect is called by its Linux signature")
@variant
@pytest.mark.parametrize("shape", SHAPES)
def test_dense_touches_nothing_beyond_its_arrays(isa, dtype, shape):
    at_the_end = AtTheEnd()
    arguments = layer(shape, dtype)
    kernels = backends.load(isa, dtype)
    there = results(kernels, *map(at_the_end, arguments), at_the_end)
    for ours, theirs in zip(there, results(kernels, *arguments), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@variant
@pytest.mark.parametrize("shape", SHAPES)
def test_row_alone_gives_the_bits_it_has_in_a_batch(isa, dtype, shape):
    kernels = backends.load(isa, dtype)
    rng = np.random.default_rng(sum(shape))
    x, weight, bias, dy = (rng.standard_normal(a.shape).astype(dtype) for a in layer(shape, dtype))
    z, out, dz, dx, *_ = results(kernels, x, weight, bias, dy)
    for i in (0, shape[0] // 2, shape[0] - 1):
        row = np.s_[i : i + 1]
        alone = results(kernels, x[row], weight, bias, dy[row])
        for one, all_rows in zip(alone[:4], (z, out, dz, dx), strict=True):
            np.testing.assert_array_equal(one, all_rows[row])


@pytest.mark.skipif(not {"v3", "v4"} <= set(VARIANTS), reason="needs x86-64-v3 and v4")
@pytest.mark.parametrize("shape", SHAPES)
def test_v3_and_v4_give_the_same_bits(dtype, shape):
    rng = np.random.default_rng(sum(shape))
    arguments = [rng.standard_normal(a.shape).astype(dtype) for a in layer(shape, dtype)]
    for a, b in zip(
        *(results(backends.load(isa, dtype), *arguments) for isa in ("v3", "v4")), strict=True
    ):
        np.testing.assert_array_equal(a, b)
