# cython: cdivision=True
"""Exponential, logarithm and tanh on vectors, and the arithmetic they are made of.

Errors are in units of the last place (ULP) and hold for float and double, with and without
fused multiply-add; docs/accuracy.md has them as measured.  A number may come as a pair
`x + x_low` with x_low no larger than rounding errors of x.  Subnormal numbers, infinities
and nans are treated as mathematics says, by selection: there are no branches.
"""

from libc.float cimport DBL_MAX, FLT_MAX

from fastnn.backend.compiled.simd.simd cimport (
    EXPONENT_BIAS, EXP_DEGREE, EXP_POLYNOMIAL, LOG2_HIGH, LOG2_LOW, LOG_DEGREE, LOG_POLYNOMIAL,
    SHIFTER, TANH_DEGREE, TANH_END, TANH_PIECES, TANH_POLYNOMIAL, TANH_START, abs_, at_least,
    at_most, copy_sign, fma_, ivec, log_limits, lookup, lookup_polynomial, polynomial,
    power_of_two, product_error, quarter_octave, real, scale, splat, split_exponent,
    times_power_of_two, vec, with_sign,
)


# ------------------------------------------------------------------------------ pairs

cdef inline vec small_error(vec a, vec b, vec total) noexcept nogil:
    """a + b - total, exact, for total = a + b rounded and |a| >= |b| or a = 0."""
    return (a - total) + b


cdef inline vec add_error(vec a, vec b, vec total) noexcept nogil:
    """a + b - total, exact, for total = a + b rounded, whichever is larger (Knuth)."""
    cdef vec b_used = total - a
    return (a - (total - b_used)) + (b - b_used)


cdef inline vec pair_sum(vec a, vec a_low, vec b, vec b_low, vec* low) noexcept nogil:
    """a + a_low + b + b_low as a pair."""
    cdef vec total = a + b
    low[0] = add_error(a, b, total) + (a_low + b_low)
    return total


cdef inline vec pair_product(vec a, vec a_low, vec b, vec b_low, vec* low) noexcept nogil:
    """(a + a_low) * (b + b_low) as a pair."""
    cdef vec product = a * b
    low[0] = product_error(a, b, product) + fma_(a, b_low, a_low * b)
    return product


cdef inline vec excess_product(vec a, vec a_low, vec b, vec b_low, vec q) noexcept nogil:
    """q (b + b_low) - (a + a_low), for q nearly the quotient."""
    return product_error(q, b, a) + fma_(q, b_low, -a_low)


cdef inline vec quotient(vec a, vec a_low, vec b, vec b_low) noexcept nogil:
    """(a + a_low) / (b + b_low), within 0.51 ULP for results in the normal range."""
    cdef vec reciprocal = splat(1) / b
    cdef vec q = a * reciprocal
    return fma_(-excess_product(a, a_low, b, b_low, q), reciprocal, q)


# ------------------------------------------------------------------------ exponential

cdef inline vec exp_lowest() noexcept nogil:
    """Lower bound of the arguments of `exp_reduced`; exp is 0 long before."""
    return splat(<real>((2 - 2 * EXPONENT_BIAS) * 0.6931471805599453))


cdef inline vec exp_highest() noexcept nogil:
    """An argument for which exp overflows, small enough for `scale`."""
    return splat(<real>((EXPONENT_BIAS + 2) * 0.6931471805599453))


cdef inline vec largest_number() noexcept nogil:
    """The largest finite number."""
    return splat(<real>(FLT_MAX if sizeof(real) == sizeof(float) else DBL_MAX))


cdef inline vec exp_reduced(vec x, vec* n) noexcept nogil:
    """p and whole n with exp(x) = 2**n (1 + p), p from -0.3 to 0.42; absolute error 0.5 ULP of p.

    For |x| <= -exp_lowest(); n is round(x / log(2)).
    """
    cdef vec whole = fma_(x, splat(<real>1.4426950408889634), splat(SHIFTER)) - splat(SHIFTER)
    cdef vec r = fma_(whole, splat(-LOG2_LOW), fma_(whole, splat(-LOG2_HIGH), x))
    n[0] = whole
    return fma_(r * r, polynomial(r, EXP_POLYNOMIAL, EXP_DEGREE), r)


cdef inline vec exp_reduced_sum(vec x, vec x_low, vec* n) noexcept nogil:
    """`exp_reduced` of x + x_low."""
    cdef vec whole = fma_(x, splat(<real>1.4426950408889634), splat(SHIFTER)) - splat(SHIFTER)
    cdef vec r = fma_(whole, splat(-LOG2_HIGH), x) + fma_(whole, splat(-LOG2_LOW), x_low)
    n[0] = whole
    return fma_(r * r, polynomial(r, EXP_POLYNOMIAL, EXP_DEGREE), r)


cdef inline vec exp_reduced_pair(vec x, vec x_low, vec* low, vec* n) noexcept nogil:
    """r, low and whole n with exp(x + x_low) = 2**n (1 + r + low); as `exp_reduced`, but r is
    x less n log(2) and low carries the rest to well below a rounding error of the sum."""
    cdef vec whole = fma_(x, splat(<real>1.4426950408889634), splat(SHIFTER)) - splat(SHIFTER)
    cdef vec high = fma_(whole, splat(-LOG2_HIGH), x)  # exact
    cdef vec rest = fma_(whole, splat(-LOG2_LOW), x_low)
    cdef vec r = high + rest
    n[0] = whole
    low[0] = fma_(r * r, polynomial(r, EXP_POLYNOMIAL, EXP_DEGREE), small_error(high, rest, r))
    return r


cdef inline vec mantissa_pair(vec r, vec low, vec* m_low) noexcept nogil:
    """1 + r + low as a pair: the factor beside 2**n in `exp_reduced_pair`."""
    cdef vec one = splat(1) + r
    cdef vec rest = low + small_error(splat(1), r, one)
    cdef vec m = one + rest
    m_low[0] = small_error(one, rest, m)
    return m


cdef inline vec vexp(vec x) noexcept nogil:
    """exp(x); 1.1 ULP."""
    cdef vec n
    cdef vec p = exp_reduced(at_least(at_most(x, exp_highest()), exp_lowest()), &n)
    return scale(splat(1) + p, n)


cdef inline vec exp_below(vec x) noexcept nogil:
    """`vexp` for x <= 0."""
    cdef vec n
    cdef vec p = exp_reduced(at_least(x, exp_lowest()), &n)
    return scale(splat(1) + p, n)


cdef inline vec vexpm1(vec x) noexcept nogil:
    """exp(x) - 1, keeping the sign of zero; 1.3 ULP."""
    cdef vec n, low, r
    # Below -60 the result is -1 to the last bit.
    cdef vec bounded = at_least(at_most(x, exp_highest()), splat(-60))
    r = exp_reduced_pair(bounded, splat(0), &low, &n)
    return copy_sign(expm1_from(r, low, n), x)


cdef inline vec expm1_from(vec r, vec low, vec n) noexcept nogil:
    """2**n (1 + r + low) - 1 = 2**n (1 - 2**-n + r + low), for n > -EXPONENT_BIAS."""
    # For n > 100, 2**-n is far below rounding.
    cdef vec one = power_of_two(-at_most(n, splat(100)))
    cdef vec rest = splat(1) - one
    cdef vec high = rest + r
    low = low + (small_error(splat(1), -one, rest) + small_error(rest, r, high))
    return scale(high + low, n)


# -------------------------------------------------------------------------- logarithm

cdef inline vec log_sum(vec f, vec correction, vec e) noexcept nogil:
    """log(1 + f) + correction + e log(2), for f from sqrt(1/2) - 1 to sqrt(2) - 1 and whole e.

    With s = f / (2 + f), log(1 + f) = 2 s + s**3 p(s**2) = f - f**2 / 2 + s (f**2 / 2 +
    s**2 p(s**2)), whose first term is exact (as in fdlibm).
    """
    cdef vec s = f / (splat(2) + f)
    cdef vec t = s * s
    cdef vec half_square = splat(<real>0.5) * f * f
    cdef vec curve = fma_(t, polynomial(t, LOG_POLYNOMIAL, LOG_DEGREE), half_square)
    cdef vec tail = fma_(s, curve, correction - half_square)
    cdef vec whole = e * LOG2_HIGH  # exact
    cdef vec high = whole + f
    return high + (small_error(whole, f, high) + fma_(e, splat(LOG2_LOW), tail))


cdef inline vec log_pair(vec x, vec x_low) noexcept nogil:
    """log(x + x_low) for positive normal x and x_low a rounding error of it; 1 ULP.

    Next to 1, where x_low weighs most, e is 0 and f + f_low exact.
    """
    cdef vec e, m, step, f, f_low
    m = split_exponent(x, &e) - splat(1)
    # Where -e < -100, x_low is nothing beside x.
    step = times_power_of_two(x_low, at_least(-e, splat(-100)))
    f = m + step
    f_low = small_error(m, step, f)  # m is 0 or no smaller than step
    # f_low / (1 + f) is about f_low (1 - f).
    return log_sum(f, fma_(-f, f_low, f_low), e)


cdef inline vec vlog(vec x) noexcept nogil:
    """log(x), -inf at 0, nan below; 1 ULP."""
    cdef vec e
    cdef vec f = split_exponent(x, &e) - splat(1)
    return log_limits(x, log_sum(f, splat(0), e))


cdef inline vec vlog1p(vec x) noexcept nogil:
    """log(1 + x), keeping the sign of zero; 1 ULP."""
    cdef vec u = splat(1) + x
    cdef vec u_low = small_error(at_least(x, splat(1)), at_most(x, splat(1)), u)
    cdef vec result = log_pair(u, u_low)
    return copy_sign(log_limits(u, result), x)


# ------------------------------------------------------------------------------- tanh

cdef inline vec tanh_near_zero(vec a) noexcept nogil:
    """tanh(a), 0 <= a <= TANH_SMALL; 0.6 ULP."""
    cdef vec square = a * a
    return fma_(a * square, polynomial(square, TANH_POLYNOMIAL, TANH_DEGREE), a)


cdef inline vec tanh_by_pieces(vec z) noexcept nogil:
    """tanh(z) in float32, by a polynomial about the centre of each of 16 pieces of |z|; 0.8 ULP.

    Pieces short near 0 and long where tanh is flat are quarters of octaves of |z| + TANH_START.
    The centres are numbers at which tanh is nearly a float.  It never decreases.
    """
    cdef vec a = at_most(abs_(z), splat(TANH_END))  # from there on it is 1
    cdef ivec piece = quarter_octave(a + splat(TANH_START))
    cdef vec d = a - lookup(TANH_PIECES, piece)  # exact
    # The first piece is d + d q, whose value at its centre is 0; d is smaller in all others.
    cdef vec start = at_least(lookup(TANH_PIECES + 16, piece), d)
    return with_sign(fma_(d, lookup_polynomial(d, TANH_PIECES + 32, 5, piece), start), z)
