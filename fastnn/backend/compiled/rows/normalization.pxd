"""Layer normalisation of one row of K elements: mean 0, variance 1, then scale and shift.

Functions touch nothing beyond the K elements, and sum in the order of rows.pxd.

The mean of a row far from 0 may round by more than its elements differ, but the deviations
from that mean are exact or nearly so.  Their own mean, the `drift`, corrects them: results
are as accurate at mean 1e6 as at mean 0.

Limits.  A row with an element that is not finite is nan, and so is one whose standard deviation
is beyond 8e37 in float32 or 4e307 in float64: its reciprocal is no normal number.  Sums and squares
that overflow below these limits are computed anew from the scaled row.

Ba, Kiros & Hinton (2016), "Layer normalization", arXiv:1607.06450.
"""

from libc.math cimport NAN, fabs, fmax, frexp, isfinite, ldexp, sqrt

from fastnn.backend.compiled.rows.rows cimport (
    BLOCK, CHUNK, VECTORS, add, clear, put, sum_block, take, within
)
from fastnn.backend.compiled.simd.simd cimport VL, fma_, real, splat, vec

cdef extern from *:
    """
    #include <float.h>
    #ifdef FASTNN_DOUBLE
    #define LEAST_NORMAL DBL_MIN
    #else
    #define LEAST_NORMAL (double)FLT_MIN
    #endif
    """
    const double LEAST_NORMAL

cdef struct Spread:
    # Of a row: its rounded mean, the mean of its deviations, 1 / sqrt(variance + epsilon).
    real mean
    real drift
    real inverse


cdef inline void deviation_block(Py_ssize_t n, const real* x, vec centre, vec* sums,
                                 vec* squares) noexcept nogil:
    """Add x - centre for up to 16 elements, and the squares."""
    cdef int i
    cdef vec d
    for i in range(VECTORS):
        d = within(take(x + i * VL, n - i * VL, 0) - centre, i * VL, n)
        sums[i] = sums[i] + d
        squares[i] = fma_(d, d, squares[i])


cdef inline void deviations(Py_ssize_t K, const real* x, real centre, real* total,
                            real* total_square) noexcept nogil:
    """sum(x - centre) and sum((x - centre)^2)."""
    cdef vec sums[VECTORS]
    cdef vec squares[VECTORS]
    cdef vec part_sums[VECTORS]
    cdef vec part_squares[VECTORS]
    cdef Py_ssize_t j = 0, stop
    clear(sums)
    clear(squares)
    while j < K:
        stop = min(j + CHUNK, K)
        clear(part_sums)
        clear(part_squares)
        while j + BLOCK <= stop:
            deviation_block(BLOCK, x + j, splat(centre), part_sums, part_squares)
            j += BLOCK
        if j < stop:
            deviation_block(stop - j, x + j, splat(centre), part_sums, part_squares)
            j = stop
        add(sums, part_sums)
        add(squares, part_squares)
    total[0] = sum_block(sums)
    total_square[0] = sum_block(squares)


cdef inline Spread spread_row(Py_ssize_t K, const real* x, real epsilon) noexcept nogil:
    """Mean, drift and inverse spread, in two passes.

    Deviations from the first element give the mean to its last place.  The drift is then at
    most the distance of the mean from the nearest number, and no element is closer to the
    mean than that: the square of the drift is no larger than the variance it is taken from.
    """
    cdef Spread s
    cdef real total = 0, squares = 0, variance
    deviations(K, x, x[0], &total, &squares)
    s.mean = x[0] + total / K
    deviations(K, x, s.mean, &total, &squares)
    s.drift = total / K
    variance = (squares - s.drift * total) / K
    s.inverse = <real>(1 / sqrt(<double>variance + epsilon))
    if not isfinite(variance):
        spread_scaled_row(K, x, epsilon, &s)
    return s


cdef inline void spread_scaled_row(Py_ssize_t K, const real* x, real epsilon,
                                   Spread* s) noexcept nogil:
    """`spread_row` for a row whose sums or squares overflow, scaled to numbers below 1."""
    cdef double top = 0, mean = 0, total = 0, squares = 0, d, unit
    cdef Py_ssize_t j
    cdef int exponent
    s.inverse = <real>NAN
    for j in range(K):
        if not isfinite(x[j]):
            return
        top = fmax(top, fabs(<double>x[j]))
    frexp(top, &exponent)
    unit = ldexp(1.0, -exponent)
    for j in range(K):
        mean += x[j] * unit / K
    s.mean = <real>(mean / unit)
    for j in range(K):
        d = x[j] * unit - s.mean * unit
        total += d
        squares += d * d
    s.drift = <real>(total / K / unit)
    d = sqrt((squares - total * total / K) / K + epsilon * unit * unit)
    if unit / d >= LEAST_NORMAL:
        s.inverse = <real>(unit / d)


cdef inline real layer_norm_row(Py_ssize_t K, const real* x, const real* scale, const real* shift,
                                real epsilon, real* normalized, real* out) noexcept nogil:
    """out = (x - mean) / sqrt(variance + epsilon) scale + shift; returns the inverse spread.

    scale and shift may be NULL (1 and 0), and so may `normalized`, which receives the row
    before them.  out may be x.
    """
    cdef Spread s = spread_row(K, x, epsilon)
    cdef Py_ssize_t j = 0, n
    cdef vec v, w
    while j < K:
        n = K - j
        v = ((take(x + j, n, 0) - splat(s.mean)) - splat(s.drift)) * splat(s.inverse)
        if normalized != NULL:
            put(normalized + j, n, v, False)
        w = take(shift + j, n, 0) if shift != NULL else splat(0)
        w = fma_(v, take(scale + j, n, 0), w) if scale != NULL else v + w
        put(out + j, n, w, False)
        j += VL
    return s.inverse


cdef inline void layer_norm_backward_row(Py_ssize_t K, const real* normalized, real inverse,
                                         const real* scale, const real* dy, real* dx,
                                         bint accumulate) noexcept nogil:
    """dx (+)= inverse (g - mean(g) - normalized mean(g normalized)), g = dy scale.

    Normalising removes what is common to a row and its length, so a change along the ones or
    along the normalised row has no effect, and the gradient has no component there.
    """
    cdef vec sums[VECTORS]
    cdef vec products[VECTORS]
    cdef vec part_sums[VECTORS]
    cdef vec part_products[VECTORS]
    cdef vec mean, along, g
    cdef Py_ssize_t j = 0, stop
    clear(sums)
    clear(products)
    while j < K:
        stop = min(j + CHUNK, K)
        clear(part_sums)
        clear(part_products)
        while j < stop:
            gradient_block(min(stop - j, BLOCK), normalized + j,
                           scale + j if scale != NULL else NULL, dy + j, part_sums, part_products)
            j += BLOCK
        add(sums, part_sums)
        add(products, part_products)
    mean = splat(sum_block(sums) / K)
    along = splat(sum_block(products) / K)
    j = 0
    while j < K:
        g = scaled(K - j, scale + j if scale != NULL else NULL, dy + j)
        g = (g - mean) - take(normalized + j, K - j, 0) * along
        put(dx + j, K - j, g * splat(inverse), accumulate)
        j += VL


cdef inline vec scaled(Py_ssize_t n, const real* scale, const real* dy) noexcept nogil:
    """The first n elements of dy, times those of scale unless it is NULL."""
    return take(dy, n, 0) * take(scale, n, 0) if scale != NULL else take(dy, n, 0)


cdef inline void gradient_block(Py_ssize_t n, const real* normalized, const real* scale,
                                const real* dy, vec* sums, vec* products) noexcept nogil:
    """Add g = dy scale of up to 16 elements, and g normalized."""
    cdef int i
    cdef vec g
    for i in range(VECTORS):
        g = scaled(n - i * VL, scale + i * VL if scale != NULL else NULL, dy + i * VL)
        sums[i] = sums[i] + g
        products[i] = fma_(g, take(normalized + i * VL, n - i * VL, 0), products[i])
