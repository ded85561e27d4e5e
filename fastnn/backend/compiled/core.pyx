"""The compiled core of fastnn for one instruction set and one dtype.

One source, compiled once per instruction set and dtype: `real` is float or double,
`vec` a vector of it at the native length (simd/simd.h).  What does not depend on the instruction
set, and all that Python calls, is in calls.pyx, beside this file.  The parts, in order:

    products/tiles.pxi          the micro-kernel: a tile of a product in registers
    products/transpose.pxi      transposition in registers
    products/quads.pxi          whole numbers of eight bits, and what their sums become
    products/gemm.pxi           matrix products and the dense layer's fused epilogue
    rows/instances.pxi          the larger functions of a row, once for all that call them
    kernels/functional.pxi      stateless operations on arrays, behind fastnn.functional
    engine/structures.pxd       what a Program becomes: plain C structures
    engine/sparse.pxi           inputs given without their zeros
    engine/gather.pxi           rows of what callers give, converted and checked
    engine/tables.pxi           operations that look up rows of a weight
    engine/halves.pxi           what the engine keeps in bfloat16
    engine/operations.pxi       forward and backward of each kind of operation
    engine/heads.pxi            losses of a batch and their gradients
    engine/limits.pxi           whether a step stays far from overflow
    engine/phases.pxi           the two phases of a training step
    engine/teams.pxi            what each thread does: training, gradients, prediction in blocks
    engine/spans.pxi            what each thread does of a pass that is cut at calls of Python
    kernels/halves.pxi          a product in bfloat16, on arrays
    kernels/statistics.pxi      the Durbin-Watson statistic and its law, behind fastnn.stats
    kernels/least_squares.pxi   normal equations in twice the precision, behind fastnn.stats

Formulas of single elements, rows and updates come from math/ and rows/.
"""

from cython.parallel cimport parallel, threadid
from libc.math cimport fabs, fma, fmax, frexp, isfinite, isnan, ldexp, sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcpy, memset

from fastnn.backend.compiled.engine.structures cimport *
from fastnn.backend.compiled.math.activations cimport (
    IDENTITY, apply_both, apply_derivative, apply_value, derivative_from_output
)
from fastnn.backend.compiled.products.units cimport (
    pack_columns, pack_rows, round_row, round_tile, tile_pairs, tile_quads
)
from fastnn.backend.compiled.products.words cimport (
    NUMBERS, PAIRS, QUADS, Halves, Product, pairs
)
from fastnn.backend.compiled.rows.losses cimport ElementRule, target_weight_row
from fastnn.backend.compiled.rows.normalization cimport layer_norm_backward_row, layer_norm_row
from fastnn.backend.compiled.rows.random cimport drop_row
from fastnn.backend.compiled.rows.rows cimport (
    SUMMED_ROWS, add_compensated, dot_row, log_softmax_backward_row, logsumexp_row, max_lanes, put,
    softmax_backward_row, sum_lanes, take, within,
)
from fastnn.backend.compiled.simd.simd cimport (
    VL, abs_, apart, at_least, at_most, both, fma_, lane, less, less_equal, load, real, round_,
    select, splat, store, vec
)
from fastnn.backend.compiled.rows.swish cimport swish_beta_row
from fastnn.backend.compiled.rows.updates cimport (
    LEAST_FACTOR, NORM_UNIT, Outer, State, Update, scaled_sum_of_squares, set_steps,
    sum_of_squares, update_outer, update_tile, with_factors,
)
from fastnn.backend.compiled.simd.threads cimport (
    BARRIER, FLUSH_DENORMALS, PLAIN_FLOATS, TEAM_SIZE, enter_float_mode, leave_float_mode
)

cdef extern from *:
    """
    #ifdef FASTNN_ASSERT
    #define DEBUG_BUILD 1
    #else
    #define DEBUG_BUILD 0
    #endif
    """
    const int DEBUG_BUILD


cdef public bint is_debug_build() noexcept nogil:
    return DEBUG_BUILD


cdef public int vector_length() noexcept nogil:
    """Elements of a vector."""
    return VL


cdef void activate(int code, real alpha, sz n, const real* z, real* out) noexcept nogil:
    """out = f(z)."""
    activate_rows(code, alpha, 1, n, z, 0, out, 0)


cdef void activate_derivative(int code, real alpha, sz n, const real* z, real* out) noexcept nogil:
    """out = f'(z)."""
    apply_derivative(code, alpha, n, z, out)


cdef void activate_rows(int code, real alpha, sz rows, sz n, const real* z, sz ldz, real* out,
                        sz ldo) noexcept nogil:
    """out = f(z) for rows of n elements, ldz and ldo apart; `out` may be z."""
    apply_value(code, alpha, rows, n, z, ldz, out, ldo)


cdef void activate_both_rows(int code, real alpha, sz rows, sz n, const real* z, sz ldz,
                             real* out, sz ldo, real* slope, sz lds) noexcept nogil:
    """`activate_rows`, and slope = f'(z), for codes whose derivative has to be stored."""
    cdef bint is_done = apply_both(code, alpha, rows, n, z, ldz, out, ldo, slope, lds)
    CHECK(is_done)


include "products/tiles.pxi"
include "products/transpose.pxi"
include "products/quads.pxi"
include "products/gemm.pxi"
include "rows/instances.pxi"
include "kernels/functional.pxi"
include "engine/sparse.pxi"
include "engine/gather.pxi"
include "engine/tables.pxi"
include "engine/halves.pxi"
include "engine/operations.pxi"
include "engine/heads.pxi"
include "engine/limits.pxi"
include "engine/phases.pxi"
include "engine/teams.pxi"
include "engine/spans.pxi"
include "kernels/halves.pxi"
include "kernels/statistics.pxi"
include "kernels/least_squares.pxi"
