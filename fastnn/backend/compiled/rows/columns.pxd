"""Softmax, its kin and cross-entropy of VL short rows at once.

A row of at most 16 elements fills one block, mostly with nothing, and its sums and maxima run
across lanes.  Here VL rows are transposed instead: lane i of vector j is element j of row i,
and what rows.pxd does across the lanes of one row is done between vectors, in the same order.
So the results are those of rows.pxd to the last bit, whichever rows stand beside each other.

`z` and `out` are VL rows of K <= BLOCK elements, contiguous or `ld` apart, touched nowhere
else; `out` may be z.  Limits are those of rows.pxd.
"""

from libc.math cimport INFINITY, NAN

from fastnn.backend.compiled.rows.rows cimport BLOCK, distance, put, take
from fastnn.backend.compiled.simd.simd cimport (
    VL, add_where, at_least, equal, mask, real, select, splat, store, vec
)
from fastnn.backend.compiled.math.vmath cimport exp_below, vexp, vlog1p

cdef extern from "lanes.h" nogil:
    void transpose(vec* t) noexcept

cdef struct ColumnSums:
    # For each row: the sum of exp(z - max), as `ExpSum` in rows.pxd.
    vec ties
    vec others


cdef inline void load_columns(Py_ssize_t K, const real* z, Py_ssize_t ld,
                              vec* columns) noexcept nogil:
    cdef Py_ssize_t j = 0
    cdef int i
    while j < K:
        for i in range(VL):
            columns[j + i] = take(z + i * ld + j, K - j, 0)
        transpose(columns + j)
        j += VL


cdef inline void store_columns(Py_ssize_t K, vec* columns, real* out,
                               Py_ssize_t ld) noexcept nogil:
    """The columns are used up."""
    cdef Py_ssize_t j = 0
    cdef int i
    while j < K:
        transpose(columns + j)
        for i in range(VL):
            put(out + i * ld + j, K - j, columns[j + i], False)
        j += VL


cdef inline vec largest_of(Py_ssize_t K, const vec* z) noexcept nogil:
    """The largest element of each row that is not a nan; -inf if there is none."""
    cdef vec largest = splat(-INFINITY)
    cdef Py_ssize_t j
    for j in range(K):
        largest = at_least(largest, z[j])
    return largest


cdef inline vec top_of(Py_ssize_t K, const vec* z) noexcept nogil:
    """What softmax subtracts: the largest element, or nan for a row of -inf."""
    cdef vec largest = largest_of(K, z)
    return select(equal(largest, splat(-INFINITY)), splat(<real>NAN), largest)


cdef inline vec sum_of(Py_ssize_t K, vec* terms) noexcept nogil:
    """The sum of K <= 16 terms in the tree of lanes.h, where the missing ones are zeros.

    The terms are used up.
    """
    cdef Py_ssize_t j, step = 8
    while step > 0:
        for j in range(min(step, K - step)):
            terms[j] = terms[j] + terms[j + step]
        step //= 2
    return terms[0]


cdef inline void exp_columns(Py_ssize_t K, const vec* z, vec top, vec* e,
                             ColumnSums* s) noexcept nogil:
    """e = exp(z - top), and its sum: `exp_step` of each column.

    The step itself adds to a sum; to set the terms instead is 3 to 5 % faster.
    """
    cdef vec others[BLOCK]
    cdef vec term
    cdef mask largest
    cdef Py_ssize_t j
    s.ties = splat(0)
    for j in range(K):
        largest = equal(z[j], top)
        term = exp_below(z[j] - top)
        others[j] = select(largest, splat(0), term)
        s.ties = add_where(largest, s.ties, splat(1))
        e[j] = select(largest, splat(1), term)
    s.others = sum_of(K, others)


cdef inline vec total_of(const ColumnSums* s) noexcept nogil:
    return s.ties + s.others


cdef inline vec excess_of(const ColumnSums* s) noexcept nogil:
    return (s.ties - splat(1)) + s.others


cdef inline void logsumexp_columns(Py_ssize_t K, const real* z, real* out) noexcept nogil:
    """out[i] = log(sum(exp(z[i])))."""
    cdef vec columns[BLOCK]
    cdef vec e[BLOCK]
    cdef vec largest
    cdef ColumnSums s
    load_columns(K, z, K, columns)
    largest = largest_of(K, columns)
    exp_columns(K, columns, largest, e, &s)
    store(out, largest + vlog1p(excess_of(&s)))


cdef inline void softmax_columns(Py_ssize_t K, const real* z, real* out) noexcept nogil:
    """out[i] = exp(z[i]) / sum(exp(z[i]))."""
    cdef vec e[BLOCK]
    cdef vec factor
    cdef ColumnSums s
    cdef Py_ssize_t j
    load_columns(K, z, K, e)
    exp_columns(K, e, top_of(K, e), e, &s)
    factor = splat(1) / total_of(&s)
    for j in range(K):
        e[j] = e[j] * factor
    store_columns(K, e, out, K)


cdef inline void log_softmax_columns(Py_ssize_t K, const real* z, real* out) noexcept nogil:
    """out[i] = z[i] - log(sum(exp(z[i])))."""
    cdef vec columns[BLOCK]
    cdef vec e[BLOCK]
    cdef vec top, shift
    cdef ColumnSums s
    cdef Py_ssize_t j
    load_columns(K, z, K, columns)
    top = top_of(K, columns)
    exp_columns(K, columns, top, e, &s)
    shift = vlog1p(excess_of(&s))
    for j in range(K):
        columns[j] = distance(columns[j], top) - shift
    store_columns(K, columns, out, K)


cdef inline void cross_entropy_label_columns(Py_ssize_t K, const real* z, Py_ssize_t ld,
                                             vec labels, real smoothing, real coefficient,
                                             real* losses, real* gradient,
                                             Py_ssize_t ld_gradient) noexcept nogil:
    """`cross_entropy_label_row` of each row; `gradient` may be NULL, and is overwritten."""
    cdef vec columns[BLOCK]
    cdef vec e[BLOCK]
    cdef vec top, logit, total, spread = splat(0), factor, at_label
    cdef real base = smoothing / K
    cdef ColumnSums s
    cdef Py_ssize_t j
    load_columns(K, z, ld, columns)
    top = top_of(K, columns)
    exp_columns(K, columns, top, e, &s)
    total = total_of(&s)
    logit = splat(0)
    for j in range(K):
        columns[j] = distance(columns[j], top)
        logit = select(equal(labels, splat(<real>j)), columns[j], logit)
    if gradient != NULL:
        factor = splat(coefficient) / total
        at_label = vexp(logit)
        at_label = select(equal(at_label, splat(1)), -excess_of(&s), at_label - total) / total
        at_label = splat(coefficient) * (at_label + splat(smoothing - base))
        for j in range(K):
            e[j] = select(equal(labels, splat(<real>j)), at_label,
                          factor * e[j] - splat(coefficient) * splat(base))
        store_columns(K, e, gradient, ld_gradient)
    if smoothing != 0:
        spread = splat(base) * sum_of(K, columns)
    if smoothing == 1:
        logit = splat(0)
    store(losses, vlog1p(excess_of(&s)) - splat(<real>1 - smoothing) * logit - spread)
