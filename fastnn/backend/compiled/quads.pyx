"""Tiles of products of whole numbers of eight bits, compiled once for each instruction set.

As pairs.pyx, with words of four bytes: those of A from 0 to 255, those of B from -128 to 127.
"""

from fastnn.backend.compiled.engine.structures cimport CHECK, NEAR_BYTES, sz
from fastnn.backend.compiled.products.words cimport NUMBERS, Product
from fastnn.backend.compiled.simd.simd cimport VL, load, real, splat, store, vec

include "products/tiles.pxi"


cdef public void tile_quads(int rows, Py_ssize_t columns, bint far, Py_ssize_t blocks,
                            const Product* product) noexcept nogil:
    """`tile_any` of words of four bytes; its sums are integers of 32 bits."""
    tile_any(rows, columns, False, far, blocks, product)
