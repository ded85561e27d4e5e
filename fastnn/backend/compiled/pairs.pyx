"""Products of bfloat16 and their operands, compiled once for each instruction set.

The micro-kernel is that of core.pyx, products/tiles.pxi; what a word holds and how two of them
are multiplied is in simd/words.h, for which setup.py defines FASTNN_WORDS.  A core of float32 is
linked with this unit; the one of v4b is that of v4, linked with a unit that has the instruction.
"""

from libc.string cimport memcpy

from fastnn.backend.compiled.engine.structures cimport CHECK, NEAR_BYTES, sz
from fastnn.backend.compiled.products.words cimport NUMBERS, Halves, Product, pairs
from fastnn.backend.compiled.rows.rows cimport take, within
from fastnn.backend.compiled.simd.simd cimport VL, load, real, splat, store, vec
from fastnn.backend.compiled.simd.threads cimport (
    FLUSH_DENORMALS, enter_float_mode, leave_float_mode
)

include "products/tiles.pxi"
include "products/transpose.pxi"
include "products/halves.pxi"

cdef extern from "words.h" nogil:
    const bint WORDS_FLUSH


cdef public void tile_pairs(int rows, Py_ssize_t columns, bint transposed, bint far,
                            Py_ssize_t blocks, const Product* product) noexcept nogil:
    """`tile_any` of pairs; subnormal numbers are zero, as they are for the instruction."""
    cdef unsigned mode = enter_float_mode(FLUSH_DENORMALS) if WORDS_FLUSH else 0
    if transposed:
        tile_any(rows, columns, True, far, blocks, product)
    else:
        tile_any(rows, columns, False, far, blocks, product)
    if WORDS_FLUSH:
        leave_float_mode(mode, FLUSH_DENORMALS)
