"""The compiled core of fastnn for one instruction set and one dtype.

One source, compiled once per instruction set and dtype: `real` is float or double,
`vec` a vector of it at the native length (simd.h).  The parts, in order:

    kernels*.pxi       stateless operations on arrays, behind fastnn.functional
    tiles.pxi          the micro-kernel: a tile of a product in registers
    transpose.pxi      transposition in registers
    gemm.pxi           matrix products and the dense layer's fused epilogue
    structures.pxi     what a Program becomes: plain C structures
    gather.pxi         rows of what callers give, converted and checked
    operations.pxi     forward and backward of each kind of operation
    heads.pxi          losses of a batch and their gradients
    phases.pxi         the two phases of a training step
    teams.pxi          what each thread does: training, gradients, prediction in blocks
    statistics.pxi     the Durbin-Watson statistic and its law, behind fastnn.stats
    least_squares.pxi  normal equations in twice the precision, behind fastnn.stats
    lowering.pxi       reads a Program into those structures
    arguments.pxi      the arrays callers give, as the engine reads them
    reader.pxi         the arguments of a call
    spans.pxi          passes cut at calls of Python: custom losses and layers
    guard.pxi          the lock of a network
    engine.pxi         the Engine class
    predictor.pxi      predictions of a frozen program, from several threads at once
"""

cimport numpy as cnp
from cython.parallel cimport parallel, threadid
from libc.math cimport fabs, fma, fmax, frexp, isfinite, ldexp, sqrt
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy, memset

from fastnn.backend.compiled.math.activations cimport (
    IDENTITY, apply_both, apply_derivative, apply_value, derivative_from_output, from_output
)
from fastnn.backend.compiled.rows.losses cimport (
    cross_entropy_label_row, cross_entropy_target_row, elementwise_loss_row, target_weight_row
)
from fastnn.backend.compiled.rows.normalization cimport layer_norm_backward_row, layer_norm_row
from fastnn.backend.compiled.math.random cimport drop_row, dropout_threshold
from fastnn.backend.compiled.rows.rows cimport (
    log_softmax_backward_row, log_softmax_row, logsumexp_row, softmax_backward_row, softmax_row,
    within,
)
from fastnn.backend.compiled.simd.simd cimport (
    VL, abs_, fma_, less, load, real, select, splat, store, vec
)
from fastnn.backend.compiled.math.swish cimport swish_beta_row
from fastnn.backend.compiled.rows.updates cimport (
    Outer, Update, set_steps, sum_of_squares, update_outer, update_tile
)

ctypedef Py_ssize_t sz

cdef extern from *:
    """
    #ifdef FASTNN_ASSERT
    #undef NDEBUG
    #include <assert.h>
    #define DEBUG_BUILD 1
    #define CHECK(condition) assert(condition)
    #else
    #define DEBUG_BUILD 0
    #define CHECK(condition) ((void)0)
    #endif
    """
    const int DEBUG_BUILD
    void CHECK(bint condition) noexcept nogil

cnp.import_array()

DEBUG = bool(DEBUG_BUILD)
VECTOR_LENGTH = VL


cdef void activate(int code, real alpha, sz n, const real* z, real* out) noexcept nogil:
    """out = f(z); one copy of the code for all callers."""
    apply_value(code, alpha, 1, n, z, 0, out, 0)


cdef void activate_derivative(int code, real alpha, sz n, const real* z, real* out) noexcept nogil:
    """out = f'(z)."""
    apply_derivative(code, alpha, n, z, out)


cdef void activate_rows(int code, real alpha, sz rows, sz n, const real* z, sz ldz, real* out,
                        sz ldo) noexcept nogil:
    """out = f(z) for rows of n elements, ldz and ldo apart; `out` may be z."""
    apply_value(code, alpha, rows, n, z, ldz, out, ldo)


cdef void activate_both_rows(int code, real alpha, sz rows, sz n, const real* z, sz ldz,
                             real* out, sz ldo, real* slope, sz lds) noexcept nogil:
    """`activate_rows`, and slope = f'(z)."""
    apply_both(code, alpha, rows, n, z, ldz, out, ldo, slope, lds)


include "products/tiles.pxi"
include "products/transpose.pxi"
include "products/gemm.pxi"
include "kernels/kernels.pxi"
include "engine/structures.pxi"
include "engine/gather.pxi"
include "engine/operations.pxi"
include "engine/heads.pxi"
include "engine/phases.pxi"
include "engine/teams.pxi"
include "kernels/statistics.pxi"
include "kernels/least_squares.pxi"
include "engine/lowering.pxi"
include "engine/arguments.pxi"
include "engine/reader.pxi"
include "engine/spans.pxi"
include "engine/guard.pxi"
include "engine/engine.pxi"
include "engine/predictor.pxi"
