# cython: cdivision=True
"""Exponential and logarithm on vectors, and the arithmetic they are made of.

Errors are in units of the last place (ULP) of the correctly rounded result; they hold for
float and double, with and without fused multiply-add.  A number may come as a pair
`x + x_low`, where x_low is about half a ULP of x or less.  Subnormal numbers, infinities
and nans are treated as mathematics says, by selection; there are no branches.
"""

from libc.math cimport INFINITY, NAN

from fastnn._compiled.simd cimport (
    EXP_DEGREE, EXP_POLYNOMIAL, EXPONENT_BIAS, LOG2_HIGH, LOG2_LOW, LOG_DEGREE, LOG_POLYNOMIAL,
    MANTISSA_BITS, SHIFTER, at_least, at_most, copy_sign, equal, fma_, less, polynomial, power_of_two,
    product_error, real, scale, select, splat, split_exponent, vec,
)


# ------------------------------------------------------------------------------ pairs

cdef inline vec small_error(vec a, vec b, vec total) noexcept nogil:
    """a + b - total, exact, for total = a + b rounded and |a| >= |b| or a = 0."""
    return (a - total) + b


cdef inline vec add_error(vec a, vec b, vec total) noexcept nogil:
    """a + b - total, exact, for total = a + b rounded, in any order of size (Knuth)."""
    cdef vec b_used = total - a
    return (a - (total - b_used)) + (b - b_used)


cdef inline vec quotient(vec a, vec a_low, vec b, vec b_low) noexcept nogil:
    """(a + a_low) / (b + b_low), within 0.51 ULP for results in the normal range."""
    cdef vec reciprocal = splat(1) / b
    cdef vec q = a * reciprocal
    cdef vec excess = product_error(q, b, a) + (q * b_low - a_low)
    return q - excess * reciprocal


# ------------------------------------------------------------------------ exponential

cdef inline vec exp_lowest() noexcept nogil:
    """The lower bound of arguments of `exp_reduced`; exp is far below any number there."""
    return splat(<real>((2 - 2 * EXPONENT_BIAS) * 0.6931471805599453))


cdef inline vec exp_highest() noexcept nogil:
    """An argument for which exp overflows, small enough for `scale`."""
    return splat(<real>((EXPONENT_BIAS + 2) * 0.6931471805599453))


cdef inline vec exp_reduced(vec x, vec x_low, vec* n, vec* tail) noexcept nogil:
    """r, whole n and tail with exp(x + x_low) = 2**n (1 + r + tail), |r| <= log(2) / 2.

    For x from exp_lowest() to exp_highest().  Relative error 0.25 ULP.
    """
    cdef vec whole = fma_(x, splat(<real>1.4426950408889634), splat(SHIFTER)) - splat(SHIFTER)
    cdef vec high = fma_(whole, splat(-LOG2_HIGH), x)  # exact
    cdef vec low = fma_(whole, splat(-LOG2_LOW), x_low)
    cdef vec r = high + low
    n[0] = whole
    tail[0] = fma_(r * r, polynomial(r, EXP_POLYNOMIAL, EXP_DEGREE), small_error(high, low, r))
    return r


cdef inline vec exp_mantissa(vec x, vec x_low, vec* low, vec* n) noexcept nogil:
    """m, low and whole n with exp(x + x_low) = 2**n (m + low), m about 0.7 to 1.42."""
    cdef vec tail, high, m
    cdef vec r = exp_reduced(x, x_low, n, &tail)
    high = splat(1) + r
    tail = tail + small_error(splat(1), r, high)
    m = high + tail
    low[0] = small_error(high, tail, m)
    return m


cdef inline vec vexp(vec x) noexcept nogil:
    """exp(x), within 1 ULP."""
    cdef vec n, tail, r
    x = at_least(at_most(x, exp_highest()), exp_lowest())
    r = exp_reduced(x, splat(0), &n, &tail)
    return scale(splat(1) + (r + tail), n)


cdef inline vec vexpm1(vec x) noexcept nogil:
    """exp(x) - 1, within 1 ULP; keeps the sign of zero."""
    cdef vec n, tail, r
    # Below -60 the result is -1 to the last bit.
    cdef vec bounded = at_least(at_most(x, exp_highest()), splat(-60))
    r = exp_reduced(bounded, splat(0), &n, &tail)
    return copy_sign(expm1_from(r, tail, n), x)


cdef inline vec expm1_from(vec r, vec tail, vec n) noexcept nogil:
    """2**n (1 + r + tail) - 1 = 2**n (1 - 2**-n + r + tail), for n >= -EXPONENT_BIAS."""
    cdef vec one = scale(splat(1), -n)
    cdef vec rest = splat(1) - one
    cdef vec high = rest + r
    cdef vec low = small_error(splat(1), -one, rest) + small_error(rest, r, high)
    return scale(high + (low + tail), n)


# -------------------------------------------------------------------------- logarithm

cdef inline vec log_sum(vec f, vec e) noexcept nogil:
    """log(1 + f) + e log(2), for f from sqrt(1/2) - 1 to sqrt(2) - 1 and whole e."""
    cdef vec p = polynomial(f, LOG_POLYNOMIAL, LOG_DEGREE)
    cdef vec tail = (f * f) * fma_(f, p, splat(<real>-0.5))
    cdef vec whole = e * LOG2_HIGH  # exact
    cdef vec high = whole + f
    return high + (small_error(whole, f, high) + fma_(e, splat(LOG2_LOW), tail))


cdef inline vec log_pair(vec x, vec x_low) noexcept nogil:
    """log(x + x_low), within 1 ULP, for positive normal x."""
    cdef vec e
    cdef vec m = split_exponent(x, &e)
    # Next to 1, where rounding would show, e is 0 and this sum exact.
    return log_sum((m - splat(1)) + scale(x_low, -e), e)


cdef inline vec log_limits(vec x, vec result) noexcept nogil:
    """`result` with the values of log at 0, infinity, nan and below 0 put in."""
    result = select(less(x, splat(INFINITY)), result, x)
    result = select(equal(x, splat(0)), splat(-INFINITY), result)
    return select(less(x, splat(0)), splat(NAN), result)


cdef inline vec vlog(vec x) noexcept nogil:
    """log(x), within 1 ULP; log(0) is -inf, log of a negative number nan."""
    cdef vec e, m
    cdef vec smallest = power_of_two(splat(1 - EXPONENT_BIAS))
    cdef vec shift = select(less(x, smallest), splat(MANTISSA_BITS + 1), splat(0))
    m = split_exponent(scale(x, shift), &e)
    return log_limits(x, log_sum(m - splat(1), e - shift))


cdef inline vec vlog1p(vec x) noexcept nogil:
    """log(1 + x), within 1 ULP; keeps the sign of zero."""
    cdef vec u = splat(1) + x
    cdef vec result = log_pair(u, add_error(splat(1), x, u))
    return copy_sign(log_limits(u, result), x)
