"""Cython's view of simd.h: what the functions do is written there.

Cython believes that a `vec` is a float, which makes `+`, `-`, `*` and `/` work; the C
compiler decides what it is.  Comparisons go through `less` and `equal`, numbers become
vectors through `splat`, and every literal is cast: `a * <real>0.1`.
"""

cdef extern from "simd.h" nogil:
    ctypedef float real
    ctypedef float vec
    ctypedef int ireal
    ctypedef int ivec
    ctypedef int mask
    ctypedef void apart "APART void"  # returned by functions that GCC must not copy into callers

    const int VL
    const int MANTISSA_BITS
    const int EXPONENT_BIAS
    const bint HAS_FMA
    const bint HAS_LOOKUP
    const real SHIFTER

    vec load(const real* p) noexcept
    void store(real* p, vec v) noexcept
    void prefetch(const real* p) noexcept
    vec load_part(const real* p, int n) noexcept
    void store_part(real* p, vec v, int n) noexcept
    vec splat(real s) noexcept
    real lane(vec v, int i) noexcept

    ivec as_int(vec v) noexcept
    vec as_real(ivec v) noexcept
    ivec isplat(ireal s) noexcept

    mask less(vec a, vec b) noexcept
    mask less_equal(vec a, vec b) noexcept
    mask equal(vec a, vec b) noexcept
    mask both(mask a, mask b) noexcept
    mask not_(mask a) noexcept
    bint any(mask m) noexcept
    vec select "select_"(mask m, vec a, vec b) noexcept  # POSIX has the bare name

    vec add_where(mask m, vec a, vec b) noexcept
    vec at_most(vec a, vec bound) noexcept
    vec at_least(vec a, vec bound) noexcept
    vec abs_(vec a) noexcept
    vec sign_bit(vec a) noexcept
    vec with_sign(vec magnitude, vec sign) noexcept
    vec copy_sign(vec a, vec sign) noexcept
    vec sqrt_(vec a) noexcept
    vec fma_(vec a, vec b, vec c) noexcept
    vec product_error(vec a, vec b, vec p) noexcept

    vec round_(vec a) noexcept
    vec power_of_two(vec n) noexcept
    vec scale(vec a, vec n) noexcept
    vec scale_down(vec a, vec n) noexcept
    vec times_power_of_two(vec a, vec n) noexcept
    vec log_limits(vec x, vec result) noexcept
    vec split_exponent(vec x, vec* e) noexcept
    vec polynomial(vec x, const real* c, int degree) noexcept
    vec lookup(const real* table, ivec index) noexcept
    vec lookup_polynomial(vec x, const real* tables, int degree, ivec index) noexcept
    ivec quarter_octave(vec a) noexcept

    # constants.h
    const real* EXP_POLYNOMIAL
    const real* LOG_POLYNOMIAL
    const real* TANH_POLYNOMIAL
    const real* TANH_PIECES
    const real* MILLS_POLYNOMIAL
    const int EXP_DEGREE
    const int LOG_DEGREE
    const int TANH_DEGREE
    const int MILLS_DEGREE
    const real MILLS_FIRST_LOW
    const real TANH_SMALL, TANH_START, TANH_END
    const real LARGEST_GAUSSIAN
    const real LOG2_HIGH, LOG2_LOW
    const real GELU_LINEAR_HIGH, GELU_LINEAR_LOW
    const real GELU_CUBIC_HIGH, GELU_CUBIC_LOW
    const real GAUSSIAN_HIGH, GAUSSIAN_LOW
    const real SELU_SCALE_HIGH, SELU_SCALE_LOW
    const real SELU_ALPHA_HIGH, SELU_ALPHA_LOW
