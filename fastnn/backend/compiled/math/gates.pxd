"""z sigmoid(w) and its derivative: what swish and GELU in its tanh form are made of."""

from fastnn.backend.compiled.simd.simd cimport (
    abs_, at_least, at_most, fma_, less, mask, product_error, scale, scale_down, select, splat, vec
)
from fastnn.backend.compiled.math.vmath cimport (
    excess_product, exp_reduced_pair, exp_reduced_sum, mantissa_pair, pair_product, small_error
)


cdef inline vec gate_value(vec z, vec w, vec w_low) noexcept nogil:
    """z sigmoid(w + w_low) = z / (1 + exp(-w - w_low)), for |w| <= -exp_lowest(); 2 ULP."""
    cdef vec n, p, below, smaller, total
    p = exp_reduced_sum(-w, -w_low, &n)
    below = at_most(n, splat(0))
    # With exp(-w) = 2**n (1 + p), the denominator over 2**max(n, 0): its larger term is 1.
    # z carries that power, because sigmoid alone may be subnormal where the product is not.
    smaller = scale_down(splat(1), -abs_(n))
    total = splat(1) + fma_(scale_down(splat(1), below), p, smaller)
    return scale(z, below - n) / total


cdef inline vec gate_open() noexcept nogil:
    """An argument of which the sigmoid is 1 to the last bit, as of any above it."""
    return splat(60)


cdef inline vec gated(vec z, vec p, vec n) noexcept nogil:
    """z / (1 + 2**n (1 + p)) for z not much nearer to 0 than n; 2 ULP."""
    # The denominator over 2**n is 1 + 2**-n + p: p meets the smaller of the two first.
    cdef vec power = scale(splat(1), -n)
    cdef vec total = at_least(power, splat(1)) + (p + at_most(power, splat(1)))
    return scale(z / total, -n)


cdef inline vec gate_slope(vec w, vec w_low, vec v, vec v_low) noexcept nogil:
    """s (1 + v (1 - s)), s = sigmoid(w + w_low): with v = z dw/dz the derivative of z s; 2 ULP.

    |w| <= -exp_lowest(), and v has the sign of w.  With k = sigmoid(|w|) it is
    u = (1 - k) (1 - |v| k) for negative w, else 1 - u.
    """
    cdef vec r, low, n, m, m_low, t, total, total_low, k, k_low, gain, gain_low, tail, tail_low, u
    cdef mask negative = less(w, splat(0))
    r = exp_reduced_pair(-abs_(w), select(negative, w_low, -w_low), &low, &n)
    m = mantissa_pair(r, low, &m_low)
    t = scale_down(splat(1), n)
    # k = 1 / (1 + m t), 1 - k = m t k
    total = splat(1) + m * t
    total_low = fma_(m_low, t, small_error(splat(1), m * t, total))
    k = splat(1) / total
    k_low = -k * excess_product(splat(1), splat(0), total, total_low, k)
    gain = pair_product(abs_(v), select(negative, -v_low, v_low), k, k_low, &gain_low)
    gain = (splat(1) - gain) - gain_low
    tail = pair_product(m, m_low, k, k_low, &tail_low)
    u = tail * gain
    u = scale(u + fma_(tail_low, gain, product_error(tail, gain, u)), n)
    return select(negative, u, splat(1) - u)
