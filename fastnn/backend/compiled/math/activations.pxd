# cython: cdivision=True
"""Activation functions and their derivatives on vectors.

The formula of a row of fastnn/facts/activations.py has the row's name, and its first argument
is the parameter if there is one.  It returns the value and writes the derivative to `slope`; the
compiler drops the one that is not used.  `<name>_from_output` is the derivative from the value.
Errors are in ULP where the function is well conditioned; docs/accuracy.md has them as measured.

`code` is the position of the row.  Every function with a code is inlined and is meant to be
called with a constant, so that only one branch remains; `apply_value`, `apply_derivative` and
`apply_both` choose the branch once for many elements.  `apply_both` has branches only where the
backward pass cannot take the derivative from the output.
"""

from fastnn.backend.compiled.math.gates cimport gate_open, gate_slope, gate_value, gated
from fastnn.backend.compiled.simd.simd cimport (
    GAUSSIAN_HIGH, GAUSSIAN_LOW, GELU_CUBIC_HIGH, GELU_CUBIC_LOW, GELU_LINEAR_HIGH,
    GELU_LINEAR_LOW, HAS_FMA, HAS_LOOKUP, LARGEST_GAUSSIAN, MILLS_DEGREE, MILLS_FIRST_LOW,
    MILLS_POLYNOMIAL, SELU_ALPHA_HIGH, SELU_ALPHA_LOW, SELU_SCALE_HIGH, TANH_SMALL, VL, abs_,
    at_least, at_most, copy_sign, equal, fma_, less, less_equal, load, load_part, mask,
    polynomial, power_of_two, product_error, real, scale, scale_down, select, splat, store,
    store_part, vec, with_sign,
)
from fastnn.backend.compiled.math.vmath cimport (
    add_error, excess_product, exp_lowest, exp_reduced, exp_reduced_pair, exp_reduced_sum,
    expm1_from, largest_number, log_pair, mantissa_pair, pair_product, pair_sum, quotient,
    small_error, tanh_by_pieces, tanh_near_zero,
)

include "../generated/activations.pxi"  # the codes, and the choice of the formula by the code

cdef enum:
    GROUP = 4  # vectors worked on together


# ------------------------------------------------------------- sigmoid and its relatives

cdef inline vec logistic_tail(vec p, vec s) noexcept nogil:
    """sigmoid(-a) = s / (1 + p + s), where exp(a) = (1 + p) / s and a >= 0; 2 ULP."""
    # Adding the small numbers first loses least.
    return s / (splat(1) + (p + s))


cdef inline vec logistic_slope(vec p, vec s, vec numerator) noexcept nogil:
    """(1 + p) * numerator / (1 + p + s)**2: with numerator = s, sigmoid'(a); 2 ULP."""
    cdef vec m, total, total_low, square, square_low
    # The rounding of m moves the terms of the fraction together.
    m = splat(1) + p
    total = m + s
    total_low = small_error(m, s, total)
    square = pair_product(total, total_low, total, total_low, &square_low)
    return numerator * quotient(m, splat(0), square, square_low)


cdef inline vec sigmoid(vec z, vec* slope) noexcept nogil:
    """1 / (1 + exp(-z)) and its derivative; 2 ULP."""
    cdef vec n, s, tail
    cdef vec p = exp_reduced(at_most(abs_(z), -exp_lowest()), &n)
    s = scale_down(splat(1), -n)
    slope[0] = logistic_slope(p, s, s)
    tail = logistic_tail(p, s)
    return select(less(z, splat(0)), tail, splat(1) - tail)


cdef inline vec tanh(vec z, vec* slope) noexcept nogil:
    """tanh(z), 1 - 2 sigmoid(-2 |z|) beyond small z if not by pieces, and its derivative; 2 ULP."""
    cdef vec n, p, s, a, far
    a = abs_(z)
    p = exp_reduced(at_most(a + a, -exp_lowest()), &n)
    # Beyond 2**-100 it makes no difference.
    s = power_of_two(at_least(-n, splat(-100)))
    slope[0] = logistic_slope(p, s, scale_down(splat(4), -n))
    if HAS_LOOKUP:
        return tanh_by_pieces(z)
    far = fma_(splat(-2), logistic_tail(p, s), splat(1))
    return with_sign(select(less(a, splat(TANH_SMALL)), tanh_near_zero(a), far), z)


cdef inline vec softplus(vec z, vec* slope) noexcept nogil:
    """log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), and sigmoid(z); 2 ULP."""
    cdef vec n, e, total, total_low
    cdef mask negative = less(z, splat(0))
    cdef vec p = exp_reduced(at_least(-abs_(z), exp_lowest()), &n)
    e = scale_down(splat(1) + p, n)
    total = splat(1) + e
    total_low = small_error(splat(1), e, total)
    slope[0] = quotient(select(negative, e, splat(1)), splat(0), total, total_low)
    return at_least(z, splat(0)) + log_pair(total, total_low)


cdef inline vec swish(vec beta, vec z, vec* slope) noexcept nogil:
    """z sigmoid(beta z) and its derivative; 2 ULP."""
    cdef vec bound = at_most(-exp_lowest() / abs_(beta), largest_number())
    cdef vec bounded = at_most(at_least(z, -bound), bound)
    cdef vec w = beta * bounded
    cdef vec w_low = product_error(beta, bounded, w)
    slope[0] = gate_slope(w, w_low, w, w_low)
    return select(less(beta * z, exp_lowest()), copy_sign(splat(0), z), gate_value(z, w, w_low))


cdef inline vec silu(vec z, vec* slope) noexcept nogil:
    """`swish` with beta = 1, where nothing overflows or is rounded."""
    cdef vec zero = splat(0), n, p
    cdef vec w = at_least(z, exp_lowest())  # below, the value is -0
    slope[0] = gate_slope(at_most(w, -exp_lowest()), zero, at_most(w, -exp_lowest()), zero)
    p = exp_reduced(-at_most(w, gate_open()), &n)
    return gated(w, p, n)


# ------------------------------------------------------------------------ GELU and mish

cdef inline vec mills_ratio(vec a, vec* low) noexcept nogil:
    """Phi(-a) exp(a**2 / 2) as a pair, for 0 <= a <= LARGEST_GAUSSIAN; Phi is normal.

    a + 4 times it is a polynomial in (a - 4) / (a + 4) (the map of Shepherd and
    Laframboise 1981).
    """
    cdef vec above, above_low, below, q, top, top_low, ratio
    above = a + splat(4)
    above_low = add_error(a, splat(4), above)
    below = a - splat(4)
    q = quotient(below, add_error(a, splat(-4), below), above, above_low)
    # The first terms weigh most: Horner's rule with pairs.
    top = polynomial(q, MILLS_POLYNOMIAL + 2, MILLS_DEGREE - 2)
    top = pair_product(top, splat(0), q, splat(0), &top_low)
    top = pair_sum(splat(MILLS_POLYNOMIAL[1]), splat(0), top, top_low, &top_low)
    top = pair_product(top, top_low, q, splat(0), &top_low)
    top = pair_sum(splat(MILLS_POLYNOMIAL[0]), splat(MILLS_FIRST_LOW), top, top_low, &top_low)
    ratio = quotient(top, top_low, above, above_low)
    low[0] = -excess_product(top, top_low, above, above_low, ratio) * (splat(1) / above)
    return ratio


cdef inline vec gelu(vec z, vec* slope) noexcept nogil:
    """z Phi(z) and Phi(z) + z phi(z), phi and Phi of the normal distribution; 4, 5 ULP.

    With a = |z| and M Mills' ratio, Phi(-a) is exp(-a**2 / 2) M, and
    Phi(-a) - a phi(a) is exp(-a**2 / 2) (M - a / sqrt(2 pi)).
    """
    cdef vec a, square, r, low, m, m_low, n, ratio, ratio_low, excess, tail, tail_low
    cdef vec limit = splat(LARGEST_GAUSSIAN)
    cdef mask negative = less(z, splat(0))
    a = at_most(abs_(z), limit)
    square = a * a
    r = exp_reduced_pair(splat(<real>-0.5) * square,
                         splat(<real>-0.5) * product_error(a, a, square), &low, &n)
    m = mantissa_pair(r, low, &m_low)
    ratio = mills_ratio(a, &ratio_low)
    excess = pair_product(a, splat(0), splat(GAUSSIAN_HIGH), splat(GAUSSIAN_LOW), &low)
    excess = (ratio - excess) - (low - ratio_low)
    excess = scale(fma_(m, excess, m_low * excess), n)
    slope[0] = select(negative, excess, splat(1) - excess)
    tail = pair_product(m, m_low, ratio, splat(0), &tail_low)
    a = at_least(z, -limit)
    return select(negative, scale(fma_(a, tail, a * tail_low), n),
                  z * (splat(1) - scale(tail, n)))


cdef inline vec gelu_tanh(vec z, vec* slope) noexcept nogil:
    """z sigmoid(w), w = 2 sqrt(2 / pi) (z + 0.044715 z**3), and its derivative; 2 ULP."""
    cdef vec square, square_low, cubic, cubic_low, inner, inner_low, w, w_low, v, v_low, p, n
    cdef vec limit = splat(LARGEST_GAUSSIAN)
    cdef vec bounded = at_most(at_least(z, -limit), limit)
    square = pair_product(bounded, splat(0), bounded, splat(0), &square_low)
    cubic = pair_product(square, square_low, splat(GELU_CUBIC_HIGH), splat(GELU_CUBIC_LOW),
                         &cubic_low)
    inner = pair_sum(splat(GELU_LINEAR_HIGH), splat(GELU_LINEAR_LOW), cubic, cubic_low, &inner_low)
    w = pair_product(bounded, splat(0), inner, inner_low, &w_low)
    # z dw/dz is w + 2 z cubic.
    square = splat(2) * bounded
    v = pair_product(square, splat(0), cubic, cubic_low, &v_low)
    v = pair_sum(w, w_low, v, v_low, &v_low)
    w = at_most(at_least(w, exp_lowest()), -exp_lowest())
    slope[0] = gate_slope(w, w_low, v, v_low)
    p = exp_reduced_sum(-at_most(w, gate_open()), -w_low, &n)
    return gated(select(less(z, splat(0)), bounded, z), p, n)


cdef inline vec mish(vec z, vec* slope) noexcept nogil:
    """z tanh(log(1 + exp(z))) and its derivative, both rational in e = exp(-|z|); 4, 5 ULP.

    z < 0: z e (2 + e) / (2 + e (2 + e)); else z (1 + 2 e) / (1 + 2 e + 2 e**2).
    """
    cdef vec r, low, n, m, e, two_e, top, top_low, total, total_low, square, square_low
    cdef vec share, omega, bounded, steep, flat
    cdef mask negative = less(z, splat(0))
    r = exp_reduced_pair(at_least(-abs_(z), exp_lowest()), splat(0), &low, &n)
    m = splat(1) + (r + low)
    e = scale_down(m, n)
    two_e = splat(2) * e
    top = pair_sum(select(negative, splat(2), splat(1)), splat(0),
                   select(negative, e, two_e), splat(0), &top_low)
    total = pair_product(e, splat(0), select(negative, top, two_e),
                         select(negative, top_low, splat(0)), &total_low)
    total = pair_sum(select(negative, splat(2), top), select(negative, splat(0), top_low),
                     total, total_low, &total_low)
    share = select(negative, m, splat(1))
    n = select(negative, n, splat(0))
    # The derivative is e w / d**2 with w = 4 (z + 1) + e (4 z + 6) + 4 e**2 + e**3, e = exp(z);
    # for z > 0 numerator and denominator are divided by exp(4 z).
    bounded = at_most(at_least(z, exp_lowest()), -exp_lowest())
    flat = splat(4) * (bounded + splat(1))
    steep = fma_(bounded, splat(4), splat(6))
    omega = select(negative,
                   fma_(e, fma_(e, splat(4) + e, steep), flat),
                   fma_(e, fma_(e, fma_(e, flat, steep), splat(4)), splat(1)))
    square = pair_product(total, total_low, total, total_low, &square_low)
    slope[0] = scale(share * quotient(omega, splat(0), square, square_low), n)
    share = share * quotient(top, top_low, total, total_low)
    return scale(select(negative, bounded, z) * share, n)


# ----------------------------------------------------------------- piecewise functions

cdef inline vec times(vec factor, vec z) noexcept nogil:
    """factor * z, with 0 * inf = 0."""
    return select(equal(factor, splat(0)), select(equal(z, z), splat(0), z), factor * z)


cdef inline vec times_pair(vec high, vec low, vec factor) noexcept nogil:
    """(high + low) * factor, rounded little more than once; the product must not overflow."""
    cdef vec product, rest
    if HAS_FMA:
        return fma_(high, factor, low * factor)
    product = high * factor
    rest = product_error(high, factor, product) + low * factor
    return select(equal(rest, splat(0)), product, product + rest)  # -0 stays -0


cdef inline vec exponential_part(vec alpha, vec alpha_low, vec z, vec* slope) noexcept nogil:
    """alpha (exp(z) - 1) and alpha exp(z) for z <= 0, with alpha a pair; 2 ULP."""
    cdef vec n, r, low, m, e
    r = exp_reduced_pair(at_least(at_most(z, splat(0)), exp_lowest()), splat(0), &low, &n)
    m = splat(1) + (r + low)
    slope[0] = scale(fma_(alpha, m, alpha_low * m), n)
    # Below 2**-100 nothing is left of the exponential.
    e = copy_sign(expm1_from(r, low, at_least(n, splat(-100))), z)
    return times_pair(alpha, alpha_low, e)


cdef inline vec elu(vec alpha, vec z, vec* slope) noexcept nogil:
    """z or alpha (exp(z) - 1), and 1 or alpha exp(z), for positive z or not; 2 ULP."""
    cdef mask positive = less(splat(0), z)
    cdef vec below = exponential_part(alpha, splat(0), z, slope)
    slope[0] = select(positive, splat(1), slope[0])
    return select(positive, z, below)


cdef inline vec selu(vec z, vec* slope) noexcept nogil:
    """`elu` times a constant, with the constants of Klambauer et al. (2017); 2 ULP."""
    cdef mask positive = less(splat(0), z)
    cdef vec below = exponential_part(splat(SELU_ALPHA_HIGH), splat(SELU_ALPHA_LOW), z, slope)
    slope[0] = select(positive, splat(SELU_SCALE_HIGH), slope[0])
    return copy_sign(select(positive, z * SELU_SCALE_HIGH, below), z)


cdef inline vec hard_swish(vec z, vec* slope) noexcept nogil:
    """z min(max(z + 3, 0), 6) / 6; the derivative is 0 at -3 and 1 at 3; 2 ULP."""
    cdef vec gate = at_most(at_least(z + splat(3), splat(0)), splat(6)) / splat(6)
    cdef vec inside = (splat(2) * z + splat(3)) / splat(6)
    slope[0] = select(less_equal(z, splat(-3)), splat(0),
                      select(less_equal(splat(3), z), splat(1), inside))
    return at_least(z, splat(-3)) * gate


cdef inline vec identity(vec z, vec* slope) noexcept nogil:
    """z and 1."""
    slope[0] = select(equal(z, z), splat(1), z)
    return z


cdef inline vec relu(vec z, vec* slope) noexcept nogil:
    """max(z, 0), and 1 or 0, for positive z or not."""
    slope[0] = select(less(splat(0), z), splat(1), select(equal(z, z), splat(0), z))
    return at_least(z, splat(0))


cdef inline vec leaky_relu(vec alpha, vec z, vec* slope) noexcept nogil:
    """z or alpha z, and 1 or alpha, for positive z or not."""
    cdef mask positive = less(splat(0), z)
    slope[0] = select(positive, splat(1), select(equal(z, z), alpha, z))
    return select(positive, z, times(alpha, z))


cdef inline vec binary_step(vec z, vec* slope) noexcept nogil:
    """1 where z >= 0, else 0; the derivative is 0 everywhere."""
    slope[0] = select(equal(z, z), splat(0), z)
    return select(less(z, splat(0)), splat(0), select(equal(z, z), splat(1), z))


cdef inline vec zero_indicator(vec z, vec* slope) noexcept nogil:
    """1 where z == 0, else 0; the derivative is 0 everywhere."""
    slope[0] = select(equal(z, z), splat(0), z)
    return select(equal(z, splat(0)), splat(1), slope[0])


cdef inline vec softsign(vec z, vec* slope) noexcept nogil:
    """z / (1 + |z|) and 1 / (1 + |z|)**2; 2 ULP."""
    # The derivative of larger numbers is 0, and their square would overflow.
    cdef vec a = at_most(abs_(z), splat(<real>(1e30 if sizeof(real) == 4 else 1e200)))
    cdef vec total = splat(1) + a
    cdef vec low = add_error(splat(1), a, total)
    cdef vec q = quotient(splat(1), splat(0), total, low)
    cdef vec excess = excess_product(splat(1), splat(0), total, low, q)
    slope[0] = fma_(q, q, splat(-2) * q * (q * excess))
    a = at_most(abs_(z), largest_number())
    return copy_sign(a / (splat(1) + a), z)


# ------------------------------------------------------------ derivatives from the output

cdef inline vec identity_from_output(vec a) noexcept nogil:
    """1."""
    return splat(1)


cdef inline vec binary_step_from_output(vec a) noexcept nogil:
    """0."""
    return splat(0)


cdef inline vec zero_indicator_from_output(vec a) noexcept nogil:
    """0."""
    return splat(0)


cdef inline vec sigmoid_from_output(vec a) noexcept nogil:
    """a (1 - a)."""
    return a * (splat(1) - a)


cdef inline vec tanh_from_output(vec a) noexcept nogil:
    """1 - a**2."""
    return fma_(-a, a, splat(1))


cdef inline vec relu_from_output(vec a) noexcept nogil:
    """1 or 0, for positive a or not."""
    return select(less(splat(0), a), splat(1), select(equal(a, a), splat(0), a))


cdef inline vec leaky_relu_from_output(vec alpha, vec a) noexcept nogil:
    """1 or alpha, for positive a or not."""
    return select(less(splat(0), a), splat(1), select(equal(a, a), alpha, a))


cdef inline vec elu_from_output(vec alpha, vec a) noexcept nogil:
    """1 or a + alpha, for positive a or not."""
    return select(less(splat(0), a), splat(1), a + alpha)


cdef inline vec selu_from_output(vec a) noexcept nogil:
    """`elu_from_output`, with the constants of `selu`."""
    return select(less(splat(0), a), splat(SELU_SCALE_HIGH), a + splat(SELU_ALPHA_HIGH))


cdef inline vec softsign_from_output(vec a) noexcept nogil:
    """(1 - |a|)**2."""
    cdef vec rest = splat(1) - abs_(a)
    return rest * rest


# -------------------------------------------------------------------------------- rows

cdef inline void row(int code, real alpha, Py_ssize_t n, const real* z, real* values,
                     real* slopes) noexcept nogil:
    """f and f' of z[:n] for a constant code; `values` or `slopes` may be NULL."""
    cdef vec a = splat(alpha)
    cdef Py_ssize_t i = 0
    while is_grouped(code) and i + GROUP * VL <= n:
        group(code, a, z + i, moved(values, i), moved(slopes, i))
        i += GROUP * VL
    while i + VL <= n:
        one(code, a, VL, z + i, moved(values, i), moved(slopes, i))
        i += VL
    if i < n:
        one(code, a, <int>(n - i), z + i, moved(values, i), moved(slopes, i))


cdef inline bint is_grouped(int code) noexcept nogil:
    """Whether vectors gain by company, where the processor has the registers (32 with AVX-512).

    Without FMA the formulas are several times as long, and each copy costs compile time.
    """
    return HAS_FMA and (not needs_registers(code) or VL * sizeof(real) == 64)


cdef inline real* moved(real* p, Py_ssize_t i) noexcept nogil:
    """p + i, or NULL."""
    return p + i if p != NULL else NULL


cdef inline void one(int code, vec alpha, int n, const real* z, real* values,
                     real* slopes) noexcept nogil:
    """Up to VL elements."""
    cdef vec slope
    cdef vec y = value_and_derivative(code, alpha, load(z) if n == VL else load_part(z, n),
                                      &slope)
    if values != NULL:
        store_first(values, y, n)
    if slopes != NULL:
        store_first(slopes, slope, n)


cdef inline void store_first(real* out, vec v, int n) noexcept nogil:
    """The first n elements of v."""
    if n == VL:
        store(out, v)
    else:
        store_part(out, v, n)


cdef inline void group(int code, vec alpha, const real* z, real* values,
                       real* slopes) noexcept nogil:
    """GROUP vectors, whose independent instructions fill each other's waiting times."""
    cdef vec y0, y1, y2, y3, slope0, slope1, slope2, slope3
    # All are loaded first: `values` may be z, and a store would keep the loads behind it.
    y0 = load(z)
    y1 = load(z + VL)
    y2 = load(z + 2 * VL)
    y3 = load(z + 3 * VL)
    y0 = value_and_derivative(code, alpha, y0, &slope0)
    y1 = value_and_derivative(code, alpha, y1, &slope1)
    y2 = value_and_derivative(code, alpha, y2, &slope2)
    y3 = value_and_derivative(code, alpha, y3, &slope3)
    if values != NULL:
        store(values, y0)
        store(values + VL, y1)
        store(values + 2 * VL, y2)
        store(values + 3 * VL, y3)
    if slopes != NULL:
        store(slopes, slope0)
        store(slopes + VL, slope1)
        store(slopes + 2 * VL, slope2)
        store(slopes + 3 * VL, slope3)


cdef inline void block(int code, real alpha, Py_ssize_t rows, Py_ssize_t n, const real* z,
                       Py_ssize_t ldz, real* values, Py_ssize_t ldv, real* slopes,
                       Py_ssize_t lds) noexcept nogil:
    """`row` of some rows, which are ldz, ldv and lds apart."""
    cdef Py_ssize_t r
    for r in range(rows):
        row(code, alpha, n, z + r * ldz, values + r * ldv if values != NULL else NULL,
            slopes + r * lds if slopes != NULL else NULL)


cdef inline void apply_value(int code, real alpha, Py_ssize_t rows, Py_ssize_t n, const real* z,
                             Py_ssize_t ldz, real* out, Py_ssize_t ldo) noexcept nogil:
    """out = f(z) for rows of n elements, ldz and ldo apart; `out` may be z.

    Nothing beyond n elements is touched.
    """
    apply(code, alpha, rows, n, z, ldz, out, ldo, NULL, 0)


cdef inline void apply_derivative(int code, real alpha, Py_ssize_t n, const real* z,
                                  real* out) noexcept nogil:
    """out = f'(z[:n])."""
    apply(code, alpha, 1, n, z, 0, NULL, 0, out, 0)


cdef inline bint apply_both(int code, real alpha, Py_ssize_t rows, Py_ssize_t n, const real* z,
                            Py_ssize_t ldz, real* values, Py_ssize_t ldv, real* slopes,
                            Py_ssize_t lds) noexcept nogil:
    """values = f(z) and slopes = f'(z), as `apply_value`; False where the code has no branch."""
    return apply_stored(code, alpha, rows, n, z, ldz, values, ldv, slopes, lds)
