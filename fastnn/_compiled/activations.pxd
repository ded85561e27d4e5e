# cython: cdivision=True
"""Activation functions and their derivatives on vectors.

`code` is the index in fastnn.program.ACTIVATIONS.  Every function here is inlined and is
meant to be called with a constant code, so that only one branch remains; `apply_value`,
`apply_derivative` and `apply_both` choose the branch once for a whole row.  `alpha` is the
slope of leaky_relu, beta of swish, alpha of elu.  Errors are in ULP where the function is
well conditioned; docs/accuracy.md has them as measured.
"""

from fastnn._compiled.simd cimport (
    EXPONENT_BIAS, GELU_CUBIC_HIGH, GELU_CUBIC_LOW, GELU_LINEAR_HIGH, GELU_LINEAR_LOW,
    MILLS_DEGREE, MILLS_POLYNOMIAL, VL, abs_, at_least, at_most, copy_sign, equal, fma_,
    less, less_equal, load, load_part, mask, polynomial, product_error, real, scale, select, splat, store,
    store_part, vec,
)
from fastnn._compiled.vmath cimport (
    add_error, exp_lowest, exp_mantissa, exp_reduced, expm1_from, log_pair, quotient, small_error,
)

cdef enum:
    IDENTITY = 0
    BINARY_STEP = 1
    SIGMOID = 2
    TANH = 3
    RELU = 4
    LEAKY_RELU = 5
    SWISH = 6
    HARD_SWISH = 7
    ELU = 8
    SELU = 9
    SOFTPLUS = 10
    GELU = 11
    GELU_TANH = 12
    MISH = 13


cdef inline vec selu_scale() noexcept nogil:
    return splat(<real>1.0507009873554805)


cdef inline vec selu_alpha() noexcept nogil:
    """Scale times alpha of selu."""
    return splat(<real>(1.0507009873554805 * 1.6732632423543772))


# ------------------------------------------------------------- sigmoid and its relatives

cdef inline vec sigmoid(vec z, vec* slope) noexcept nogil:
    """1 / (1 + exp(-z)) and its derivative e / (1 + e)**2 with e = exp(-|z|); 1 ULP."""
    cdef vec e, e_low, n, total, total_low, square, square_low
    e = exp_mantissa(at_least(-abs_(z), exp_lowest()), splat(0), &e_low, &n)
    e = scale(e, n)
    e_low = scale(e_low, n)
    total = splat(1) + e
    total_low = small_error(splat(1), e, total) + e_low
    square = total * total
    square_low = product_error(total, total, square) + splat(2) * total * total_low
    slope[0] = quotient(e, e_low, square, square_low)
    cdef mask negative = less(z, splat(0))
    return quotient(select(negative, e, splat(1)), select(negative, e_low, splat(0)),
                    total, total_low)


cdef inline vec tanh_(vec z, vec* slope) noexcept nogil:
    """-E / (2 + E) with E = exp(-2 |z|) - 1, and 4 (1 + E) / (2 + E)**2; 1 ULP."""
    cdef vec r, tail, n, power, rest, low, minus, minus_low
    cdef vec total, total_low, square, square_low, e
    r = exp_reduced(at_least(splat(-2) * abs_(z), exp_lowest()), splat(0), &n, &tail)
    power = scale(splat(1), n)
    rest = power - splat(1)
    total = rest + power * r
    low = small_error(rest, power * r, total) + power * tail
    minus = total + low
    minus_low = small_error(total, low, minus)
    total = splat(2) + minus
    total_low = small_error(splat(2), minus, total) + minus_low
    square = total * total
    square_low = product_error(total, total, square) + splat(2) * total * total_low
    e = splat(1) + r
    low = small_error(splat(1), r, e) + tail
    slope[0] = quotient(scale(splat(4) * e, n), scale(splat(4) * low, n), square, square_low)
    return copy_sign(quotient(minus, minus_low, total, total_low), z)


cdef inline vec softplus(vec z, vec* slope) noexcept nogil:
    """log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), and sigmoid(z); 1 ULP."""
    cdef vec e, e_low, n, total, total_low
    e = exp_mantissa(at_least(-abs_(z), exp_lowest()), splat(0), &e_low, &n)
    e = scale(e, n)
    e_low = scale(e_low, n)
    total = splat(1) + e
    total_low = small_error(splat(1), e, total) + e_low
    cdef mask negative = less(z, splat(0))
    slope[0] = quotient(select(negative, e, splat(1)), select(negative, e_low, splat(0)),
                        total, total_low)
    return at_least(z, splat(0)) + log_pair(total, total_low)


cdef inline vec gated(vec z, vec w, vec w_low, vec v, vec v_low, vec* slope) noexcept nogil:
    """z s and s (1 + v (1 - s)), where s = sigmoid(w + w_low); 2 ULP.

    With v = z dw/dz the second is the derivative of the first.  The power of two in s is
    applied last, so that nothing is lost where s alone would be subnormal.
    """
    cdef vec m, m_low, n, e, e_low, total, total_low, q, share, share_low
    cdef vec sum_, sum_low, product, product_low, square, square_low
    cdef mask negative = less(w, splat(0))
    m = exp_mantissa(at_least(-abs_(w), exp_lowest()), select(negative, w_low, -w_low), &m_low, &n)
    e = scale(m, n)
    e_low = scale(m_low, n)
    total = splat(1) + e
    total_low = small_error(splat(1), e, total) + e_low
    # s = 2**(n + 1) q; half of m, because z * m could overflow where z * s does not.
    share = select(negative, m, splat(1)) * splat(<real>0.5)
    share_low = select(negative, m_low, splat(0)) * splat(<real>0.5)
    n = select(negative, n, splat(0)) + splat(1)
    q = quotient(share, share_low, total, total_low)
    # 1 + v (1 - s) = (1 + e + v) / (1 + e) for negative w, else (1 + e + v e) / (1 + e).
    v = at_most(at_least(v, exp_lowest()), -exp_lowest())
    product = v * e
    product_low = product_error(v, e, product) + (v * e_low + v_low * e)
    product = select(negative, v, product)
    product_low = select(negative, v_low, product_low)
    sum_ = total + product
    sum_low = add_error(total, product, sum_) + (total_low + product_low)
    square = total * total
    square_low = product_error(total, total, square) + splat(2) * total * total_low
    product = sum_ * share
    product_low = product_error(sum_, share, product) + (sum_low * share + sum_ * share_low)
    slope[0] = scale(quotient(product, product_low, square, square_low), n)
    return select(less(w, exp_lowest()), copy_sign(splat(0), z), scale(z * q, n))


cdef inline vec swish(vec beta, vec z, vec* slope) noexcept nogil:
    """z sigmoid(beta z) and its derivative; 2 ULP."""
    cdef vec w = select(equal(beta, splat(0)), splat(0), beta * z)
    cdef vec bounded = at_most(at_least(w, exp_lowest()), -exp_lowest())
    cdef vec w_low = select(equal(bounded, w), product_error(beta, z, w), splat(0))
    return gated(z, w, w_low, w, w_low, slope)


# ------------------------------------------------------------------------ GELU and mish

cdef inline vec largest_gaussian() noexcept nogil:
    """Phi(-a) a is below half the smallest subnormal number from here on."""
    return splat(<real>(15 if EXPONENT_BIAS == 127 else 40))


cdef inline vec gelu(vec z, vec* slope) noexcept nogil:
    """z Phi(z) and Phi(z) + z phi(z), phi and Phi of the normal distribution; 4 ULP.

    Phi(-a) = exp(-a**2 / 2) M(a), where M is Mills' ratio over sqrt(2 pi); (a + 4) M(a) is
    a polynomial in (a - 4) / (a + 4) (the map of Shepherd and Laframboise 1981).
    """
    cdef vec a, square, m, m_low, n, above, above_low, below, q, ratio, excess
    cdef vec limit = largest_gaussian()
    a = at_most(abs_(z), limit)
    square = a * a
    m = exp_mantissa(splat(<real>-0.5) * square,
                     splat(<real>-0.5) * product_error(a, a, square), &m_low, &n)
    above = a + splat(4)
    above_low = add_error(a, splat(4), above)
    below = a - splat(4)
    q = quotient(below, add_error(a, splat(-4), below), above, above_low)
    ratio = polynomial(q, MILLS_POLYNOMIAL, MILLS_DEGREE) / above
    cdef mask negative = less(z, splat(0))
    # Phi(-a) - a phi(a) is exp(-a**2 / 2) (M(a) - a / sqrt(2 pi)).
    excess = fma_(a, splat(<real>-0.3989422804014327), ratio) * m
    slope[0] = select(negative, scale(excess, n), splat(1) - scale(excess, n))
    ratio = ratio * m
    return select(negative, scale(at_least(z, -limit) * ratio, n),
                  z * (splat(1) - scale(ratio, n)))


cdef inline vec gelu_tanh(vec z, vec* slope) noexcept nogil:
    """z sigmoid(w), w = 2 sqrt(2 / pi) (z + 0.044715 z**3), and its derivative; 4 ULP."""
    cdef vec limit = largest_gaussian()
    cdef vec bounded = at_most(at_least(z, -limit), limit)
    cdef vec square, square_low, cubic, cubic_low, inner, inner_low, w, w_low, v, v_low, result
    square = bounded * bounded
    square_low = product_error(bounded, bounded, square)
    cubic = square * GELU_CUBIC_HIGH
    cubic_low = (product_error(square, splat(GELU_CUBIC_HIGH), cubic)
                 + (square_low * GELU_CUBIC_HIGH + square * GELU_CUBIC_LOW))
    inner = cubic + splat(GELU_LINEAR_HIGH)
    inner_low = (add_error(cubic, splat(GELU_LINEAR_HIGH), inner)
                 + (cubic_low + splat(GELU_LINEAR_LOW)))
    w = bounded * inner
    w_low = product_error(bounded, inner, w) + bounded * inner_low
    # z dw/dz = z (linear + 3 cubic).
    inner = fma_(cubic, splat(3), splat(GELU_LINEAR_HIGH))
    v = bounded * inner
    result = gated(select(less(z, splat(0)), bounded, z), w, w_low, v, splat(0), slope)
    return result


cdef inline vec mish(vec z, vec* slope) noexcept nogil:
    """z tanh(log(1 + exp(z))) and its derivative, both rational in e = exp(-|z|); 4 ULP.

    z < 0: z e (2 + e) / (2 + e (2 + e)); else z (1 + 2 e) / (1 + 2 e + 2 e**2).
    """
    cdef vec m, m_low, n, e, two_e, numerator, denominator, share, omega, bounded
    cdef mask negative = less(z, splat(0))
    m = exp_mantissa(at_least(-abs_(z), exp_lowest()), splat(0), &m_low, &n)
    e = scale(m, n)
    two_e = splat(2) * e
    numerator = select(negative, splat(2) + e, splat(1) + two_e)
    denominator = fma_(e, select(negative, numerator, two_e),
                       select(negative, splat(2), numerator))
    share = select(negative, m, splat(1))
    n = select(negative, n, splat(0))
    # Derivative: e w / d**2 with w = 4 (z + 1) + 4 e**2 + e**3 + e (4 z + 6), e = exp(z),
    # and for z > 0 numerator and denominator times exp(-4 z).
    bounded = at_most(at_least(z, exp_lowest()), -exp_lowest())
    omega = select(
        negative,
        fma_(e, fma_(e, splat(4) + e, fma_(bounded, splat(4), splat(6))),
             splat(4) * (bounded + splat(1))),
        fma_(e, fma_(e, fma_(e, splat(4) * (bounded + splat(1)),
                             fma_(bounded, splat(4), splat(6))), splat(4)), splat(1)))
    slope[0] = scale(omega * share / (denominator * denominator), n)
    return scale(select(negative, bounded, z) * (share * numerator / denominator), n)


# ----------------------------------------------------------------- piecewise functions

cdef inline vec elu(vec alpha, vec z, vec* slope) noexcept nogil:
    """alpha (exp(z) - 1) and alpha exp(z), for z <= 0; 2 ULP."""
    cdef vec n, tail, r
    r = exp_reduced(at_least(at_most(z, splat(0)), exp_lowest()), splat(0), &n, &tail)
    slope[0] = scale(alpha * (splat(1) + (r + tail)), n)
    return alpha * copy_sign(expm1_from(r, tail, at_least(n, splat(-100))), z)


cdef inline vec hard_swish(vec z, vec* slope) noexcept nogil:
    """z min(max(z + 3, 0), 6) / 6; the derivative is 0 at -3 and 1 at 3; 2 ULP."""
    cdef vec gate = at_most(at_least(z + splat(3), splat(0)), splat(6)) / splat(6)
    cdef vec inside = (splat(2) * z + splat(3)) / splat(6)
    slope[0] = select(less_equal(z, splat(-3)), splat(0),
                      select(less_equal(splat(3), z), splat(1), inside))
    return at_least(z, splat(-3)) * gate


# ---------------------------------------------------------------------------- by code

cdef inline vec value_and_derivative(int code, vec alpha, vec z, vec* slope) noexcept nogil:
    """f(z); f'(z) goes to `slope`.  What is not used afterwards is not computed."""
    cdef vec one = splat(1), zero = splat(0), low
    if code == IDENTITY:
        slope[0] = one
        return z
    if code == BINARY_STEP:
        slope[0] = zero
        return select(less(z, zero), zero, select(equal(z, z), one, z))
    if code == SIGMOID:
        return sigmoid(z, slope)
    if code == TANH:
        return tanh_(z, slope)
    if code == RELU:
        slope[0] = select(less(zero, z), one, select(less_equal(z, zero), zero, z))
        return at_least(z, zero)
    if code == LEAKY_RELU:
        slope[0] = select(less(zero, z), one, select(equal(z, z), alpha, z))
        return select(less(zero, z), z, alpha * z)
    if code == SWISH:
        return swish(alpha, z, slope)
    if code == HARD_SWISH:
        return hard_swish(z, slope)
    if code == ELU:
        low = elu(alpha, z, slope)
        slope[0] = select(less(zero, z), one, slope[0])
        return select(less(zero, z), z, low)
    if code == SELU:
        low = elu(selu_alpha(), z, slope)
        slope[0] = select(less(zero, z), selu_scale(), slope[0])
        return select(less(zero, z), selu_scale() * z, low)
    if code == SOFTPLUS:
        return softplus(z, slope)
    if code == GELU:
        return gelu(z, slope)
    if code == GELU_TANH:
        return gelu_tanh(z, slope)
    return mish(z, slope)


cdef inline vec value(int code, vec alpha, vec z) noexcept nogil:
    """f(z)."""
    cdef vec slope
    return value_and_derivative(code, alpha, z, &slope)


cdef inline vec derivative(int code, vec alpha, vec z) noexcept nogil:
    """f'(z)."""
    cdef vec slope
    value_and_derivative(code, alpha, z, &slope)
    return slope


cdef inline bint from_output(int code) noexcept nogil:
    """Whether the derivative follows from the output alone (and alpha >= 0)."""
    return code <= LEAKY_RELU or code == ELU or code == SELU


cdef inline vec derivative_from_output(int code, vec alpha, vec a) noexcept nogil:
    """f'(z) from a = f(z), where `from_output` says so; absolute error about 1 ULP of 1."""
    cdef vec one = splat(1), zero = splat(0)
    if code == IDENTITY:
        return one
    if code == BINARY_STEP:
        return zero
    if code == SIGMOID:
        return a * (one - a)
    if code == TANH:
        return fma_(-a, a, one)
    if code == RELU:
        return select(less(zero, a), one, select(less_equal(a, zero), zero, a))
    if code == LEAKY_RELU:
        return select(less(zero, a), one, select(equal(a, a), alpha, a))
    if code == ELU:
        return select(less(zero, a), one, a + alpha)
    return select(less(zero, a), selu_scale(), a + selu_alpha())


# -------------------------------------------------------------------------------- rows

cdef inline void row(int code, real alpha, Py_ssize_t n, const real* z, real* values,
                     real* slopes) noexcept nogil:
    """f and f' of z[:n] for a constant code; `values` or `slopes` may be NULL."""
    cdef vec a = splat(alpha), y, slope
    cdef Py_ssize_t i = 0
    cdef int rest = <int>(n % VL)
    while i < n - rest:
        y = value_and_derivative(code, a, load(z + i), &slope)
        if values != NULL:
            store(values + i, y)
        if slopes != NULL:
            store(slopes + i, slope)
        i += VL
    if rest:
        y = value_and_derivative(code, a, load_part(z + i, rest), &slope)
        if values != NULL:
            store_part(values + i, y, rest)
        if slopes != NULL:
            store_part(slopes + i, slope, rest)


cdef inline void apply(int code, real alpha, Py_ssize_t n, const real* z, real* values,
                       real* slopes) noexcept nogil:
    """`row`, with one instance for every code."""
    if code == IDENTITY: row(IDENTITY, alpha, n, z, values, slopes)
    elif code == BINARY_STEP: row(BINARY_STEP, alpha, n, z, values, slopes)
    elif code == SIGMOID: row(SIGMOID, alpha, n, z, values, slopes)
    elif code == TANH: row(TANH, alpha, n, z, values, slopes)
    elif code == RELU: row(RELU, alpha, n, z, values, slopes)
    elif code == LEAKY_RELU: row(LEAKY_RELU, alpha, n, z, values, slopes)
    elif code == SWISH: row(SWISH, alpha, n, z, values, slopes)
    elif code == HARD_SWISH: row(HARD_SWISH, alpha, n, z, values, slopes)
    elif code == ELU: row(ELU, alpha, n, z, values, slopes)
    elif code == SELU: row(SELU, alpha, n, z, values, slopes)
    elif code == SOFTPLUS: row(SOFTPLUS, alpha, n, z, values, slopes)
    elif code == GELU: row(GELU, alpha, n, z, values, slopes)
    elif code == GELU_TANH: row(GELU_TANH, alpha, n, z, values, slopes)
    else: row(MISH, alpha, n, z, values, slopes)


cdef inline void apply_value(int code, real alpha, Py_ssize_t n, const real* z,
                             real* out) noexcept nogil:
    """out = f(z[:n]); nothing beyond n elements is touched; out may be z."""
    apply(code, alpha, n, z, out, NULL)


cdef inline void apply_derivative(int code, real alpha, Py_ssize_t n, const real* z,
                                  real* out) noexcept nogil:
    """out = f'(z[:n]), as `apply_value`."""
    apply(code, alpha, n, z, NULL, out)


cdef inline void apply_both(int code, real alpha, Py_ssize_t n, const real* z, real* values,
                            real* slopes) noexcept nogil:
    """values = f(z[:n]) and slopes = f'(z[:n]), as `apply_value`."""
    apply(code, alpha, n, z, values, slopes)
