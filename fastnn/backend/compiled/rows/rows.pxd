"""Sums, maxima and softmax of one row of K elements.

Every function takes pointers to K >= 1 contiguous elements and touches nothing beyond
them.  Sums have one order of addition whatever the vector length of the build: element j
goes to lane j % 16 of its chunk of 1024 elements, chunks are added lane by lane, and
the 16 lanes in the tree of lanes.h.  Sums inside a chunk stay short, so that the error
grows with K / 1024 rather than with K.

Limits.  A row that holds +inf has softmax 1/m at its m infinite elements and 0 elsewhere.
A row of -inf has no softmax (nan), and its logsumexp is -inf.  A nan makes all results nan.
"""

from libc.math cimport INFINITY, NAN

from fastnn.backend.compiled.simd.simd cimport (
    VL, add_where, at_least, equal, fma_, lane, less, load, mask, not_, prefetch, real, select,
    splat, store, store_part, vec
)
from fastnn.backend.compiled.math.vmath cimport exp_below, vexp, vlog1p

cdef extern from "lanes.h" nogil:
    enum:
        BLOCK
        VECTORS
        COMPANY
    real sum_lanes(vec v) noexcept
    real max_lanes(vec v) noexcept
    vec load_part_or(const real* p, int n, real fill) noexcept
    vec lane_numbers(int first) noexcept

cdef enum:
    CHUNK = 1024
    LONG = 8192    # elements of a row that leave the first cache
    NEAR = 262144  # bytes of a row of which two, and their results, fit the second cache

    SUMMED_ROWS = 32  # rows of a block of a sum over rows

cdef enum Term:
    # What `reduce_row` sums.
    ELEMENT
    PRODUCT
    DISTANCE

cdef struct ExpSum:
    # The sum of exp(z - max) over a row, its largest terms (each is 1) kept apart.
    real ties
    real others


# --------------------------------------------------------------------------- blocks


cdef inline vec add_compensated(vec total, vec part, vec* lost) noexcept nogil:
    """total + part; what rounding took from the sum so far is in `lost` (Kahan's summation).

    A sum that is not finite stays what it is: nothing is taken from it.
    """
    cdef vec y = part - lost[0]
    cdef vec result = total + y
    cdef vec rest = (result - total) - y
    lost[0] = select(equal(rest - rest, splat(0)), rest, splat(0))
    return result


cdef inline vec take(const real* p, Py_ssize_t n, real fill) noexcept nogil:
    """The vector at p; where fewer than VL of its elements are left, `fill` in their place."""
    return load(p) if n >= VL else load_part_or(p, <int>n, fill)


cdef inline void put(real* p, Py_ssize_t n, vec v, bint accumulate) noexcept nogil:
    """Store (or add) the first n lanes of v at p."""
    if accumulate:
        v = take(p, n, 0) + v
    if n >= VL:
        store(p, v)
    elif n > 0:
        store_part(p, v, <int>n)


cdef inline vec within(vec v, int first, Py_ssize_t n) noexcept nogil:
    """v, whose lanes have the numbers `first` and up, with zeros from lane number n on."""
    if n >= first + VL:
        return v
    return select(less(lane_numbers(first), splat(<real>n)), v, splat(0))


cdef inline void clear(vec* block) noexcept nogil:
    cdef int i
    for i in range(VECTORS):
        block[i] = splat(0)


cdef inline void add(vec* total, const vec* block) noexcept nogil:
    cdef int i
    for i in range(VECTORS):
        total[i] = total[i] + block[i]


cdef inline real sum_block(vec* a) noexcept nogil:
    """The sum of 16 lanes: j and j ^ 8, then ^ 4, ^ 2, ^ 1.  The block is used up."""
    cdef int i
    if VECTORS >= 16:
        for i in range(8):
            a[i] = a[i] + a[i + 8]
    if VECTORS >= 8:
        for i in range(4):
            a[i] = a[i] + a[i + 4]
    if VECTORS >= 4:
        for i in range(2):
            a[i] = a[i] + a[i + 2]
    if VECTORS >= 2:
        a[0] = a[0] + a[1]
    return sum_lanes(a[0])


cdef inline real max_block(vec* a) noexcept nogil:
    """The largest of 16 lanes.  The block is used up."""
    cdef int i
    for i in range(1, VECTORS):
        a[0] = at_least(a[0], a[i])
    return max_lanes(a[0])


# ------------------------------------------------------------------- maxima and sums


cdef inline real max_row(Py_ssize_t K, const real* x) noexcept nogil:
    """The largest element that is not a nan; -inf if there is none."""
    cdef vec largest[COMPANY]
    cdef Py_ssize_t j = 0
    cdef int i
    for i in range(COMPANY):
        largest[i] = splat(-INFINITY)
    while j + COMPANY * VL <= K:
        for i in range(COMPANY):
            largest[i] = at_least(largest[i], load(x + j + i * VL))
        j += COMPANY * VL
    for i in range(VECTORS, COMPANY):
        largest[i % VECTORS] = at_least(largest[i % VECTORS], largest[i])
    while j + BLOCK <= K:
        for i in range(VECTORS):
            largest[i] = at_least(largest[i], load(x + j + i * VL))
        j += BLOCK
    if j < K:
        for i in range(VECTORS):
            largest[i] = at_least(largest[i], take(x + j + i * VL, K - j - i * VL, -INFINITY))
    return max_block(largest)


cdef inline void reduce_block(Term term, Py_ssize_t n, const real* x, const real* y, real top,
                              vec* total) noexcept nogil:
    cdef int i
    cdef vec v
    for i in range(VECTORS):
        v = take(x + i * VL, n - i * VL, 0)
        if term == PRODUCT:
            total[i] = fma_(v, take(y + i * VL, n - i * VL, 0), total[i])
        elif term == DISTANCE:
            total[i] = total[i] + within(distance(v, splat(top)), i * VL, n)
        else:
            total[i] = total[i] + v


cdef inline real reduce_row(Term term, Py_ssize_t K, const real* x, const real* y,
                            real top) noexcept nogil:
    """The sum of a term over the row; `term` is a constant at every call."""
    cdef vec total[VECTORS]
    cdef vec part[VECTORS]
    cdef Py_ssize_t j = 0, stop
    clear(total)
    while j < K:
        stop = min(j + CHUNK, K)
        clear(part)
        while j + BLOCK <= stop:
            reduce_block(term, BLOCK, x + j, y + j, top, part)
            j += BLOCK
        if j < stop:
            reduce_block(term, stop - j, x + j, y + j, top, part)
            j = stop
        add(total, part)
    return sum_block(total)


cdef inline real sum_row(Py_ssize_t K, const real* x) noexcept nogil:
    """sum(x)."""
    return reduce_row(ELEMENT, K, x, x, 0)


cdef inline real dot_row(Py_ssize_t K, const real* x, const real* y) noexcept nogil:
    """sum(x * y)."""
    return reduce_row(PRODUCT, K, x, y, 0)


# --------------------------------------------------------------- exp(z - max) of a row


cdef inline real top_row(Py_ssize_t K, const real* z) noexcept nogil:
    """What softmax subtracts: the largest element, or nan for a row of -inf."""
    cdef real top = max_row(K, z)
    return top if top != -INFINITY else <real>NAN


cdef inline vec distance(vec z, vec top) noexcept nogil:
    """z - top, and 0 where both are +inf."""
    return select(equal(z, top), splat(0), z - top)


cdef inline real distance_at(const real* z, Py_ssize_t index, real top) noexcept nogil:
    return lane(distance(splat(z[index]), splat(top)), 0)


cdef inline vec exp_step(vec z, vec top, vec* others, vec* ties) noexcept nogil:
    """exp(z - top), added to the sum of the others or counted among the largest."""
    cdef mask largest = equal(z, top)
    cdef vec e = exp_below(z - top)
    others[0] = add_where(not_(largest), others[0], e)
    ties[0] = add_where(largest, ties[0], splat(1))
    return select(largest, splat(1), e)  # also where both are +inf


cdef inline void exp_block(Py_ssize_t K, const real* z, real top, vec* e,
                           ExpSum* s) noexcept nogil:
    """e = exp(z - top) of a row of at most 16 elements, and its sum."""
    cdef vec others[VECTORS]
    cdef vec ties[VECTORS]
    cdef int i
    clear(others)
    clear(ties)
    for i in range(VECTORS):
        e[i] = exp_step(take(z + i * VL, K - i * VL, -INFINITY), splat(top), &others[i], &ties[i])
    s.others = sum_block(others)
    s.ties = sum_block(ties)


cdef inline void exp_row(Py_ssize_t K, const real* z, real top, real* e, ExpSum* s) noexcept nogil:
    """e = exp(z - top), unless e is NULL, and its sum.

    The next row, most often K elements ahead, comes from memory meanwhile.
    """
    cdef vec others[VECTORS]
    cdef vec ties[VECTORS]
    cdef vec part[VECTORS]
    cdef Py_ssize_t j = 0, n
    cdef Py_ssize_t ahead = K if K * <Py_ssize_t>sizeof(real) <= NEAR else 0
    clear(others)
    clear(ties)
    while j < K:
        n = min(K - j, CHUNK)
        clear(part)
        exp_chunk(n, z + j, top, e + j if e != NULL else NULL, ahead, part, ties)
        add(others, part)
        j += n
    s.others = sum_block(others)
    s.ties = sum_block(ties)


cdef inline void exp_chunk(Py_ssize_t n, const real* z, real top, real* e, Py_ssize_t ahead,
                           vec* others, vec* ties) noexcept nogil:
    """`exp_row` of at most CHUNK elements, added to `others` and `ties`.

    What stands `ahead` of them is asked for from memory.
    """
    cdef Py_ssize_t j = 0
    while j + COMPANY * VL <= n:
        exp_vectors(COMPANY, z + j, top, e + j if e != NULL else NULL, ahead, others, ties)
        j += COMPANY * VL
    while j + BLOCK <= n:
        exp_vectors(VECTORS, z + j, top, e + j if e != NULL else NULL, ahead, others, ties)
        j += BLOCK
    if j < n:
        exp_rest(n - j, z + j, top, e + j if e != NULL else NULL, others, ties)


cdef inline void exp_vectors(int count, const real* z, real top, real* e, Py_ssize_t ahead,
                             vec* others, vec* ties) noexcept nogil:
    """A constant number of whole vectors."""
    cdef vec v[COMPANY]
    cdef int i
    # All are loaded first: e may be z, and a store would keep the loads behind it.
    for i in range(count):
        v[i] = load(z + i * VL)
        prefetch(z + ahead + i * VL)
    for i in range(count):
        v[i] = exp_step(v[i], splat(top), &others[i % VECTORS], &ties[i % VECTORS])
    if e != NULL:
        for i in range(count):
            store(e + i * VL, v[i])


cdef inline void exp_rest(Py_ssize_t n, const real* z, real top, real* e, vec* others,
                          vec* ties) noexcept nogil:
    """Fewer than BLOCK elements."""
    cdef vec v
    cdef int i
    for i in range(VECTORS):
        v = exp_step(take(z + i * VL, n - i * VL, -INFINITY), splat(top), &others[i], &ties[i])
        if e != NULL:
            put(e + i * VL, n - i * VL, v, False)


cdef inline real exp_total(const ExpSum* s) noexcept nogil:
    """sum(exp(z - top)), at least 1."""
    return s.ties + s.others


cdef inline real exp_excess(const ExpSum* s) noexcept nogil:
    """sum(exp(z - top)) - 1, without cancellation."""
    return (s.ties - 1) + s.others


cdef inline real log_total(const ExpSum* s) noexcept nogil:
    """log(sum(exp(z - top))), with small relative error even when it is near 0.

    Blanchard, Higham & Higham (2021), "Accurately computing the log-sum-exp and softmax
    functions", IMA J. Numer. Anal. 41(4).
    """
    return lane(vlog1p(splat(exp_excess(s))), 0)


# ------------------------------------------------------------------- softmax and its kin


cdef inline real logsumexp_long_row(Py_ssize_t K, const real* z) noexcept nogil:
    """`logsumexp_row` reading memory once, for rows that leave the first cache.

    A chunk is read for its maximum and, while it is near, for its terms.  Where it raises the
    maximum, what was summed before is scaled down.
    """
    cdef real top = -INFINITY, highest, scale
    cdef vec others[VECTORS]
    cdef vec ties[VECTORS]
    cdef vec part[VECTORS]
    cdef Py_ssize_t j = 0, n
    cdef int i
    cdef ExpSum s
    clear(others)
    clear(ties)
    while j < K:
        n = min(K - j, CHUNK)
        highest = max_row(n, z + j)
        if highest > top:
            scale = lane(vexp(splat(top - highest)), 0)
            for i in range(VECTORS):
                others[i] = (others[i] + ties[i]) * splat(scale)
            clear(ties)
            top = highest
        if top == -INFINITY:
            highest = sum_row(n, z + j)  # -inf, or nan where there is one
            if highest != highest:
                return highest
        else:
            clear(part)
            exp_chunk(n, z + j, top, NULL, CHUNK, part, ties)
            add(others, part)
        j += n
    if top == -INFINITY:
        return top
    s.others = sum_block(others)
    s.ties = sum_block(ties)
    return top + log_total(&s)


cdef inline real logsumexp_row(Py_ssize_t K, const real* z) noexcept nogil:
    """log(sum(exp(z)))."""
    cdef real top
    cdef vec e[VECTORS]
    cdef ExpSum s
    if K > LONG:
        return logsumexp_long_row(K, z)
    top = max_row(K, z)
    if top == -INFINITY:
        return sum_row(K, z)  # -inf, or nan where there is one
    if K <= BLOCK:
        exp_block(K, z, top, e, &s)
    else:
        exp_row(K, z, top, NULL, &s)
    return top + log_total(&s)


cdef inline void softmax_row(Py_ssize_t K, const real* z, real* out) noexcept nogil:
    """out = exp(z) / sum(exp(z)); out may be z."""
    cdef real top = top_row(K, z)
    cdef vec e[VECTORS]
    cdef ExpSum s
    cdef int i
    if K <= BLOCK:
        exp_block(K, z, top, e, &s)
        for i in range(VECTORS):
            put(out + i * VL, K - i * VL, e[i] * splat(1 / exp_total(&s)), False)
    else:
        exp_row(K, z, top, out, &s)
        affine_row(K, out, 1 / exp_total(&s), 0, out, False)


cdef inline void affine_row(Py_ssize_t K, const real* x, real factor, real offset, real* out,
                            bint accumulate) noexcept nogil:
    """out (+)= factor x + offset."""
    cdef Py_ssize_t j = 0
    while j + VL <= K:
        put(out + j, VL, fma_(splat(factor), load(x + j), splat(offset)), accumulate)
        j += VL
    if j < K:
        put(out + j, K - j, fma_(splat(factor), take(x + j, K - j, 0), splat(offset)), accumulate)


cdef inline void log_softmax_row(Py_ssize_t K, const real* z, real* out) noexcept nogil:
    """out = z - log(sum(exp(z))); out may be z."""
    cdef real top = top_row(K, z)
    cdef vec e[VECTORS]
    cdef ExpSum s
    cdef vec shift
    cdef Py_ssize_t j = 0
    if K <= BLOCK:
        exp_block(K, z, top, e, &s)
    else:
        exp_row(K, z, top, NULL, &s)
    shift = splat(log_total(&s))
    while j + VL <= K:
        store(out + j, distance(load(z + j), splat(top)) - shift)
        j += VL
    if j < K:
        put(out + j, K - j, distance(take(z + j, K - j, 0), splat(top)) - shift, False)


cdef inline void softmax_backward_row(Py_ssize_t K, const real* p, const real* dp, real* out,
                                      bint accumulate) noexcept nogil:
    """out (+)= p (dp - sum(dp p)); without `accumulate`, out may be dp or p."""
    cdef vec mean = splat(dot_row(K, p, dp))
    cdef Py_ssize_t j = 0
    while j + VL <= K:
        put(out + j, VL, load(p + j) * (load(dp + j) - mean), accumulate)
        j += VL
    if j < K:
        put(out + j, K - j, take(p + j, K - j, 0) * (take(dp + j, K - j, 0) - mean), accumulate)


cdef inline void log_softmax_backward_row(Py_ssize_t K, const real* logp, const real* dlogp,
                                          real* out, bint accumulate) noexcept nogil:
    """out (+)= dlogp - exp(logp) sum(dlogp); without `accumulate`, out may be dlogp or logp."""
    cdef vec total = splat(sum_row(K, dlogp))
    cdef Py_ssize_t j = 0
    while j + VL <= K:
        put(out + j, VL, load(dlogp + j) - vexp(load(logp + j)) * total, accumulate)
        j += VL
    if j < K:
        put(out + j, K - j, take(dlogp + j, K - j, 0) - vexp(take(logp + j, K - j, 0)) * total,
            accumulate)
