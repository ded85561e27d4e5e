"""log(abs(sum(b exp(z)))) of one row of K elements, and the sign of the sum.

Sums have the order of rows.pxd.  Elements with b = 0 are ignored, whatever z is there.
"""

from libc.math cimport INFINITY, NAN, exp, fabs, isfinite, log

from fastnn.backend.compiled.math.vmath cimport exp_below, vlog, vlog1p
from fastnn.backend.compiled.rows.rows cimport (
    BLOCK, CHUNK, VECTORS, add, clear, max_block, sum_block, take
)
from fastnn.backend.compiled.simd.simd cimport (
    VL, add_where, at_least, equal, lane, less, mask, not_, real, select, splat, vec
)

cdef struct SignedSum:
    # The sum of b exp(z - top), its terms with z = top kept apart.
    real top      # the largest z that counts; -inf if none does
    real ties
    real others


cdef inline vec counted(vec z, vec b, real limit) noexcept nogil:
    """z, and -inf where b is 0 or z is not below the limit (which is inf for all z)."""
    cdef vec result = select(equal(b, splat(0)), splat(-INFINITY), z)
    if limit < <real>INFINITY:
        result = select(less(result, splat(limit)), result, splat(-INFINITY))
    return result


cdef inline real counted_top(Py_ssize_t K, const real* z, const real* b,
                             real limit) noexcept nogil:
    """The largest z that counts and is not a nan."""
    cdef vec largest[VECTORS]
    cdef Py_ssize_t j = 0
    cdef int i
    for i in range(VECTORS):
        largest[i] = splat(-INFINITY)
    while j < K:
        for i in range(VECTORS):
            largest[i] = at_least(largest[i], counted(
                take(z + j + i * VL, K - j - i * VL, 0), take(b + j + i * VL, K - j - i * VL, 0),
                limit))
        j += BLOCK
    return max_block(largest)


cdef inline SignedSum signed_sum(Py_ssize_t K, const real* z, const real* b,
                                 real limit) noexcept nogil:
    cdef SignedSum s
    cdef vec ties[VECTORS]
    cdef vec others[VECTORS]
    cdef vec part[VECTORS]
    cdef vec v, w
    cdef mask largest
    cdef Py_ssize_t j = 0, stop
    cdef int i
    s.top = counted_top(K, z, b, limit)
    clear(ties)
    clear(others)
    while j < K:
        stop = min(j + CHUNK, K)
        clear(part)
        while j < stop:
            for i in range(VECTORS):
                w = take(b + j + i * VL, stop - j - i * VL, 0)
                v = counted(take(z + j + i * VL, stop - j - i * VL, 0), w, limit)
                largest = equal(v, splat(s.top))
                ties[i] = add_where(largest, ties[i], w)
                part[i] = add_where(not_(largest), part[i], w * exp_below(v - splat(s.top)))
            j += BLOCK
        add(others, part)
    s.ties = sum_block(ties)
    s.others = sum_block(others)
    return s


cdef inline double plain_sum(Py_ssize_t K, const real* z, const real* b, real limit) noexcept nogil:
    """sum(b exp(z)) of what counts, term by term: for infinities and nan alone."""
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(K):
        if b[j] != 0 and not (limit < <real>INFINITY and z[j] >= limit):
            total += b[j] * exp(<double>z[j])
    return total


cdef inline real signed_logsumexp_row(Py_ssize_t K, const real* z, const real* b,
                                      real* sign) noexcept nogil:
    """log(abs(sum(b exp(z)))); `sign` receives that of the sum: 1, -1, 0 or nan.

    Largest terms that cancel exactly are left out, and the next ones take their place.
    """
    cdef real limit = <real>INFINITY
    cdef SignedSum s = signed_sum(K, z, b, limit)
    cdef real value
    cdef double total
    while s.ties == 0 and isfinite(s.top) and s.others == s.others:
        limit = s.top
        s = signed_sum(K, z, b, limit)
    total = <double>s.ties + <double>s.others
    if fabs(s.others) < fabs(s.ties):
        value = lane(vlog1p(splat(s.others / s.ties)), 0) + lane(vlog(splat(<real>fabs(s.ties))), 0)
    else:
        value = lane(vlog(splat(<real>fabs(total))), 0)
    value = value + s.top
    if not isfinite(value) and (total != 0 or not isfinite(s.top)):
        total = plain_sum(K, z, b, limit)
        value = <real>log(fabs(total))
    sign[0] = <real>((total > 0) - (total < 0)) if total == total else <real>NAN
    return value
