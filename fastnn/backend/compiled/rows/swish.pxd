"""The derivative of swish along its beta, over one row: what trains a beta."""

from fastnn.backend.compiled.math.activations cimport sigmoid
from fastnn.backend.compiled.rows.rows cimport BLOCK, CHUNK, VECTORS, add, clear, sum_block, take
from fastnn.backend.compiled.simd.simd cimport VL, fma_, real, splat, vec


cdef inline real swish_beta_row(Py_ssize_t K, real beta, const real* z,
                                const real* dy) noexcept nogil:
    """The sum of dy z^2 s (1 - s), s = sigmoid(beta z), in the order of rows.pxd.

    Touches nothing beyond the K elements.
    """
    cdef vec total[VECTORS]
    cdef vec part[VECTORS]
    cdef Py_ssize_t j = 0, stop
    clear(total)
    while j < K:
        stop = min(j + CHUNK, K)
        clear(part)
        while j < stop:
            swish_beta_block(min(stop - j, <Py_ssize_t>BLOCK), beta, z + j, dy + j, part)
            j += BLOCK
        add(total, part)
    return sum_block(total)


cdef inline void swish_beta_block(Py_ssize_t n, real beta, const real* z, const real* dy,
                                  vec* total) noexcept nogil:
    """Add the terms of up to 16 elements."""
    cdef int i
    cdef vec x, slope
    for i in range(VECTORS):
        x = take(z + i * VL, n - i * VL, 0)
        sigmoid(splat(beta) * x, &slope)
        # In this order a large x meets a vanished slope before it can overflow.
        total[i] = fma_(take(dy + i * VL, n - i * VL, 0), x * (x * slope), total[i])
