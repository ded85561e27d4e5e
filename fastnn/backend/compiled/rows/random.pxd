"""The random bits of dropout: Threefry2x32 with 13 rounds, a function of position and step.

A mask is never stored.  The word for element (row, j) depends on the layer's key, the step, the
row and j alone, so that the backward pass, the other backend and any number of threads
draw the same bits.

Salmon, Moraes, Dror & Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", SC '11.
"""

from libc.math cimport rint
from libc.stdint cimport uint32_t

from fastnn.backend.compiled.rows.rows cimport put, take
from fastnn.backend.compiled.simd.simd cimport VL, mask, real, select, splat

cdef extern from "threefry.h" nogil:
    ctypedef unsigned int words
    const int WORDS
    void store_words(uint32_t* p, words w) noexcept
    words splat_word(uint32_t s) noexcept
    words rotate_left(words w, int n) noexcept
    words count_from(uint32_t first) noexcept
    mask words_reach(const uint32_t* p, uint32_t threshold) noexcept


cdef inline void four_rounds(words* a, words* b, int r0, int r1, int r2, int r3) noexcept nogil:
    """Add, rotate, exclusive or: four times, by four rotations."""
    a[0] = a[0] + b[0]
    b[0] = rotate_left(b[0], r0) ^ a[0]
    a[0] = a[0] + b[0]
    b[0] = rotate_left(b[0], r1) ^ a[0]
    a[0] = a[0] + b[0]
    b[0] = rotate_left(b[0], r2) ^ a[0]
    a[0] = a[0] + b[0]
    b[0] = rotate_left(b[0], r3) ^ a[0]


cdef inline void threefry(words* a, words* b, uint32_t key0, uint32_t key1) noexcept nogil:
    """Encrypt the counter (a, b) in place: 13 rounds, a part of the key added after every 4."""
    cdef uint32_t parity = 0x1BD11BDAU ^ key0 ^ key1
    a[0] = a[0] + splat_word(key0)
    b[0] = b[0] + splat_word(key1)
    four_rounds(a, b, 13, 15, 26, 6)
    a[0] = a[0] + splat_word(key1)
    b[0] = b[0] + splat_word(parity + 1U)
    four_rounds(a, b, 17, 29, 16, 24)
    a[0] = a[0] + splat_word(parity)
    b[0] = b[0] + splat_word(key0 + 2U)
    four_rounds(a, b, 13, 15, 26, 6)
    a[0] = a[0] + splat_word(key0)
    b[0] = b[0] + splat_word(key1 + 3U)
    a[0] = a[0] + b[0]
    b[0] = rotate_left(b[0], 17) ^ a[0]


cdef inline void random_block(uint32_t block, uint32_t row, uint32_t key, uint32_t step,
                              uint32_t* word) noexcept nogil:
    """The words of columns 32 block to 32 block + 31 of a row.

    Counter (16 block + i, row) gives the words of columns i and 16 + i of the block.
    """
    cdef words a, b
    cdef int i
    for i in range(16 // WORDS):
        a = count_from(16 * block + <uint32_t>(i * WORDS))
        b = splat_word(row)
        threefry(&a, &b, key, step)
        store_words(word + i * WORDS, a)
        store_words(word + 16 + i * WORDS, b)


cdef inline void drop_row(Py_ssize_t K, uint32_t row, uint32_t key, uint32_t step,
                          uint32_t threshold, real scale, const real* x, real* out,
                          bint accumulate) noexcept nogil:
    """out (+)= scale * x where the element's word is at least `threshold`; out may be x.

    The same call on dy is the backward pass.
    """
    cdef uint32_t word[32]
    cdef Py_ssize_t j = 0, n
    cdef int i
    while j < K:
        random_block(<uint32_t>(j // 32), row, key, step, word)
        if j + 32 <= K:
            for i in range(32 // VL):
                drop_vector(word + i * VL, threshold, scale, VL, x + j + i * VL,
                            out + j + i * VL, accumulate)
        else:
            i = 0
            n = K - j
            while i < n:
                drop_vector(word + i, threshold, scale, n - i, x + j + i, out + j + i,
                            accumulate)
                i += VL
        j += 32


cdef inline void drop_vector(const uint32_t* word, uint32_t threshold, real scale, Py_ssize_t n,
                             const real* x, real* out, bint accumulate) noexcept nogil:
    """At most VL of the n elements that are left."""
    put(out, n, select(words_reach(word, threshold), splat(scale) * take(x, n, 0), splat(0)),
        accumulate)


cdef inline uint32_t dropout_threshold(double rate) noexcept nogil:
    """round(rate * 2**32), at most 2**32 - 1: the share of words below it is `rate`."""
    cdef double threshold = rint(rate * 4294967296.0)
    return <uint32_t>min(threshold, 4294967295.0)
