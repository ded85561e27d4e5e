# What a matrix product is made of: the words that its operands hold, and where they are.
#
# Units of a core that multiply words of different kinds read this file: core.pyx, whose words are
# numbers, pairs.pyx and quads.pyx.

from fastnn.backend.compiled.simd.simd cimport real


cdef enum Words:
    # What stands in the place of a number in A and B, and what the numbers of C are:
    NUMBERS  # a `real`; sums of the same type
    PAIRS    # two bfloat16 that follow each other along k, the first in the low half; float32
    QUADS    # four bytes that follow each other along k, unsigned in A, signed in B; int32


cdef struct Product:
    # C = start + A B.  A is (rows, K) words; its rows are `lda` apart, or where the product takes
    # it `transposed`, the rows of its transpose are.
    Words words
    Py_ssize_t K
    const real* a
    Py_ssize_t lda
    const real* b
    Py_ssize_t ldb
    const real* start  # NULL for zero, a bias (ld_start = 0), or C itself to accumulate
    Py_ssize_t ld_start
    real* c
    Py_ssize_t ldc


cdef struct Halves:
    # Copies of a matrix in bfloat16, made tile by tile.
    real* rows      # pairs along rows, ld / 2 words apart ...
    real* columns   # ... and along columns, ld words apart; or NULL
    Py_ssize_t ld
    Py_ssize_t width


cdef inline Py_ssize_t pairs(Py_ssize_t n) noexcept nogil:
    """Words that hold n numbers in bfloat16."""
    return (n + 1) // 2
