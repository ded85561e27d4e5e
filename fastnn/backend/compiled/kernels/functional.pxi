# The stateless operations behind fastnn.functional, which
# fastnn.backend.reference.kernels specifies; calls/functional.pxi has the functions of Python.
#
# Arrays are C-contiguous, have at least one row and share no memory, except that `out` may be the
# first input itself.  Losses, updates and dense layers have files of their own.

from libc.stdint cimport uint32_t

from fastnn.backend.compiled.rows.columns cimport (
    log_softmax_columns, logsumexp_columns, softmax_columns
)
from fastnn.backend.compiled.rows.normalization cimport layer_norm_row
from fastnn.backend.compiled.rows.random cimport drop_row, dropout_threshold
from fastnn.backend.compiled.rows.rows cimport (
    BLOCK, log_softmax_backward_row, logsumexp_row, put, softmax_backward_row, take
)
from fastnn.backend.compiled.rows.signed cimport signed_logsumexp_row
from fastnn.backend.compiled.simd.simd cimport (
    VL, any as any_lane, equal, load, not_, real, splat, vec
)
from fastnn.backend.compiled.math.vmath cimport vexp, vexpm1, vlog, vlog1p

include "losses.pxi"
include "updates.pxi"
include "dense.pxi"


# --------------------------------------------------------------------- elementwise


cdef inline vec elementary(Elementary function, vec x) noexcept nogil:
    if function == EXP:
        return vexp(x)
    if function == EXPM1:
        return vexpm1(x)
    return vlog(x) if function == LOG else vlog1p(x)


cdef inline void elementary_row(Elementary function, Py_ssize_t n, const real* x,
                                real* out) noexcept nogil:
    """out = function(x) for a constant function."""
    cdef Py_ssize_t j = 0
    while j + 4 * VL <= n:
        elementary_group(function, x + j, out + j)
        j += 4 * VL
    while j + VL <= n:
        store(out + j, elementary(function, load(x + j)))
        j += VL
    if j < n:
        put(out + j, n - j, elementary(function, take(x + j, n - j, 0)), False)


cdef inline void elementary_group(Elementary function, const real* x, real* out) noexcept nogil:
    """Four vectors, whose independent instructions fill each other's waiting times."""
    cdef vec y0 = load(x), y1 = load(x + VL), y2 = load(x + 2 * VL), y3 = load(x + 3 * VL)
    y0 = elementary(function, y0)
    y1 = elementary(function, y1)
    y2 = elementary(function, y2)
    y3 = elementary(function, y3)
    store(out, y0)
    store(out + VL, y1)
    store(out + 2 * VL, y2)
    store(out + 3 * VL, y3)


cdef void apply_elementary(Elementary function, Py_ssize_t n, const real* x,
                           real* out) noexcept nogil:
    """out = function(x)."""
    if function == EXP: elementary_row(EXP, n, x, out)
    elif function == EXPM1: elementary_row(EXPM1, n, x, out)
    elif function == LOG: elementary_row(LOG, n, x, out)
    else: elementary_row(LOG1P, n, x, out)


cdef bint finite_row(Py_ssize_t n, const real* x) noexcept nogil:
    """x - x is 0 for finite numbers and nan for the rest, which then stays in the sum."""
    cdef Py_ssize_t j = 0, stop
    cdef vec total = splat(0)
    while j < n:
        stop = min(j + 4096, n)
        while j + VL <= stop:
            total = total + (load(x + j) - load(x + j))
            j += VL
        if j < stop:
            total = total + (take(x + j, stop - j, 0) - take(x + j, stop - j, 0))
            j = stop
        if any_lane(not_(equal(total, splat(0)))):
            return False
    return True


# ---------------------------------------------------------------------------- rows


cdef void logsumexp_rows(Py_ssize_t n, Py_ssize_t K, const real* z, real* out) noexcept nogil:
    cdef Py_ssize_t i = 0
    while K <= BLOCK and i + VL <= n:
        logsumexp_columns(K, z + i * K, out + i)
        i += VL
    for i in range(i, n):
        out[i] = logsumexp_row(K, z + i * K)


cdef void softmax_rows(Py_ssize_t n, Py_ssize_t K, const real* z, real* out) noexcept nogil:
    cdef Py_ssize_t i = 0
    while K <= BLOCK and i + VL <= n:
        softmax_columns(K, z + i * K, out + i * K)
        i += VL
    for i in range(i, n):
        softmax_of(K, z + i * K, out + i * K)


cdef void log_softmax_rows(Py_ssize_t n, Py_ssize_t K, const real* z, real* out) noexcept nogil:
    cdef Py_ssize_t i = 0
    while K <= BLOCK and i + VL <= n:
        log_softmax_columns(K, z + i * K, out + i * K)
        i += VL
    for i in range(i, n):
        log_softmax_of(K, z + i * K, out + i * K)


cdef public void compute(int code, real alpha, Py_ssize_t size, Py_ssize_t K, const real* x,
                         real* out) noexcept nogil:
    """The function of `size` elements; of rows of K elements where it acts on rows."""
    if code >= ROWWISE:
        compute_rows(code, size // K, K, x, out)
    elif code >= ELEMENTARY:
        apply_elementary(<Elementary>(code - ELEMENTARY), size, x, out)
    elif code >= DERIVATIVE:
        activate_derivative(code - DERIVATIVE, alpha, size, x, out)
    else:
        activate(code, alpha, size, x, out)


cdef void compute_rows(int code, Py_ssize_t n, Py_ssize_t K, const real* z,
                       real* out) noexcept nogil:
    if code == LOGSUMEXP_ROWS:
        logsumexp_rows(n, K, z, out)
    elif code == SOFTMAX_ROWS:
        softmax_rows(n, K, z, out)
    else:
        log_softmax_rows(n, K, z, out)


cdef public void signed_logsumexp_rows(Py_ssize_t n, Py_ssize_t K, const real* z, const real* b,
                                       real* out, real* sign) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = signed_logsumexp_row(K, z + i * K, b + i * K, sign + i)


cdef public void softmax_backward_rows(Py_ssize_t n, Py_ssize_t K, const real* p, const real* dp,
                                       real* out) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        softmax_backward_row(K, p + i * K, dp + i * K, out + i * K, False)


cdef public void log_softmax_backward_rows(Py_ssize_t n, Py_ssize_t K, const real* logp,
                                           const real* dlogp, real* out) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        log_softmax_backward_row(K, logp + i * K, dlogp + i * K, out + i * K, False)


cdef public void layer_norm_rows(Py_ssize_t n, Py_ssize_t K, const real* x, const real* scale,
                                 const real* shift, real epsilon, real* out) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        layer_norm_row(K, x + i * K, scale, shift, epsilon, NULL, out + i * K)


cdef public void drop_rows(Py_ssize_t n, Py_ssize_t K, double rate, uint32_t key, uint32_t step,
                           const real* x, real* out) noexcept nogil:
    """Dropout: which elements are kept follows from key, step and position alone (random.pxd)."""
    cdef Py_ssize_t i
    cdef uint32_t threshold = dropout_threshold(rate)
    cdef real kept_scale = <real>(1 / (1 - rate))
    for i in range(n):
        drop_row(K, <uint32_t>i, key, step, threshold, kept_scale, x + i * K, out + i * K, False)
