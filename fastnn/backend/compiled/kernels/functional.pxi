# The stateless operations behind fastnn.functional, which
# fastnn.backend.reference.kernels specifies.
#
# Arguments arrive checked: C-contiguous arrays of this build's dtype, at least one row, no
# overlap, except that `out` may be the first input itself.  Losses, updates and dense layers
# have files of their own.

cimport numpy as cnp
from libc.stdint cimport uint32_t

from fastnn.backend.compiled.rows.columns cimport (
    log_softmax_columns, logsumexp_columns, softmax_columns
)
from fastnn.backend.compiled.rows.normalization cimport layer_norm_row
from fastnn.backend.compiled.rows.random cimport drop_row, dropout_threshold
from fastnn.backend.compiled.rows.rows cimport (
    BLOCK, log_softmax_backward_row, log_softmax_row, logsumexp_row, put, softmax_backward_row,
    softmax_row, take,
)
from fastnn.backend.compiled.simd.simd cimport (
    VL, any as any_lane, equal, load, not_, real, splat, vec
)
from fastnn.backend.compiled.math.vmath cimport vexp, vexpm1, vlog, vlog1p

from fastnn import program as _program

include "losses.pxi"
include "updates.pxi"
include "dense.pxi"

include "../generated/activation_codes.pxi"  # _activation_codes


cdef int activation_code(name) except -1:
    """The code of an activation in `activate`."""
    if name not in _activation_codes:
        raise ValueError(f"unknown activation {name!r}; known are {', '.join(_activation_codes)}")
    return _activation_codes[name]


# --------------------------------------------------------------------- elementwise


def activation(name, const real[::1] z, double alpha, real[::1] out):
    """out = f(z); `alpha` is leaky_relu's slope, swish's beta, elu's alpha."""
    cdef int code = activation_code(name)
    with nogil:
        activate(code, <real>alpha, z.shape[0], &z[0], &out[0])


def activation_derivative(name, const real[::1] z, double alpha, real[::1] out):
    """out = f'(z)."""
    cdef int code = activation_code(name)
    with nogil:
        activate_derivative(code, <real>alpha, z.shape[0], &z[0], &out[0])


cdef enum Elementary:
    EXP
    EXPM1
    LOG
    LOG1P


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


def exp(const real[::1] x, real[::1] out):
    """out = exp(x)."""
    with nogil:
        apply_elementary(EXP, x.shape[0], &x[0], &out[0])


def expm1(const real[::1] x, real[::1] out):
    """out = exp(x) - 1."""
    with nogil:
        apply_elementary(EXPM1, x.shape[0], &x[0], &out[0])


def log(const real[::1] x, real[::1] out):
    """out = log(x)."""
    with nogil:
        apply_elementary(LOG, x.shape[0], &x[0], &out[0])


def log1p(const real[::1] x, real[::1] out):
    """out = log(1 + x)."""
    with nogil:
        apply_elementary(LOG1P, x.shape[0], &x[0], &out[0])


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
        softmax_row(K, z + i * K, out + i * K)


cdef void log_softmax_rows(Py_ssize_t n, Py_ssize_t K, const real* z, real* out) noexcept nogil:
    cdef Py_ssize_t i = 0
    while K <= BLOCK and i + VL <= n:
        log_softmax_columns(K, z + i * K, out + i * K)
        i += VL
    for i in range(i, n):
        log_softmax_row(K, z + i * K, out + i * K)


def logsumexp(const real[:, ::1] z, real[::1] out):
    """out[i] = log(sum(exp(z[i])))."""
    with nogil:
        logsumexp_rows(z.shape[0], z.shape[1], &z[0, 0], &out[0])


def softmax(const real[:, ::1] z, real[:, ::1] out):
    """out[i] = exp(z[i]) / sum(exp(z[i]))."""
    with nogil:
        softmax_rows(z.shape[0], z.shape[1], &z[0, 0], &out[0, 0])


def log_softmax(const real[:, ::1] z, real[:, ::1] out):
    """out[i] = z[i] - log(sum(exp(z[i])))."""
    with nogil:
        log_softmax_rows(z.shape[0], z.shape[1], &z[0, 0], &out[0, 0])


def softmax_backward(const real[:, ::1] p, const real[:, ::1] dp, real[:, ::1] out):
    """out[i] = p[i] (dp[i] - sum(dp[i] p[i])), for p the output of softmax."""
    cdef Py_ssize_t i, K = p.shape[1]
    with nogil:
        for i in range(p.shape[0]):
            softmax_backward_row(K, &p[i, 0], &dp[i, 0], &out[i, 0], False)


def log_softmax_backward(const real[:, ::1] logp, const real[:, ::1] dlogp, real[:, ::1] out):
    """out[i] = dlogp[i] - exp(logp[i]) sum(dlogp[i]), for logp the output of log_softmax."""
    cdef Py_ssize_t i, K = logp.shape[1]
    with nogil:
        for i in range(logp.shape[0]):
            log_softmax_backward_row(K, &logp[i, 0], &dlogp[i, 0], &out[i, 0], False)


def layer_norm(const real[:, ::1] x, const real[::1] scale, const real[::1] shift, double epsilon,
               real[:, ::1] out):
    """out[i] = (x[i] - mean) / sqrt(variance + epsilon) scale + shift, None being 1 and 0."""
    cdef Py_ssize_t i, K = x.shape[1]
    cdef const real* factors = &scale[0] if scale is not None else NULL
    cdef const real* offsets = &shift[0] if shift is not None else NULL
    with nogil:
        for i in range(x.shape[0]):
            layer_norm_row(K, &x[i, 0], factors, offsets, <real>epsilon, NULL, &out[i, 0])


def dropout(const real[:, ::1] x, double rate, uint32_t key, uint32_t step, real[:, ::1] out):
    """out = x / (1 - rate) where an element is kept, else 0; the same call is its derivative.

    Which elements are kept follows from key, step and position alone (random.pxd).
    """
    cdef Py_ssize_t i, K = x.shape[1]
    cdef uint32_t threshold = dropout_threshold(rate)
    cdef real kept_scale = <real>(1 / (1 - rate))
    with nogil:
        for i in range(x.shape[0]):
            drop_row(K, <uint32_t>i, key, step, threshold, kept_scale, &x[i, 0], &out[i, 0],
                     False)


include "direct.pxi"
