/* The functions that exported files are made of.
 *
 * library.py copies a function, and those that it calls, into a file that needs it. It puts the
 * name of the model in the place of NAME, float or double in that of `real`, int32_t or int64_t in
 * that of `word`, and constants of that type in those of REAL() and the names in capitals. HORNER
 * becomes the steps of Horner's rule.
 *
 * Loops are written for compilers that make vector instructions of them without permission to
 * change results: sums have lanes of their own, and choices are made by masks, not by branches.
 * Errors are in units in the last place (ULP), with and without fused multiply-add.
 */

/* ------------------------------------------------------------------- bits of numbers */

/* The bits of a number. */
static inline word NAME_bits(real x)
{
    union { real number; word bits; } u;
    u.number = x;
    return u.bits;
}

/* The number with these bits. */
static inline real NAME_number(word bits)
{
    union { real number; word bits; } u;
    u.bits = bits;
    return u.number;
}

/* a if the condition holds, which is 0 or 1, and b if not; without a branch. */
static inline real NAME_choose(int condition, real a, real b)
{
    const word mask = -(word)condition;
    return NAME_number((NAME_bits(a) & mask) | (NAME_bits(b) & ~mask));
}

/* A magnitude that is not negative, with the sign of another number. */
static inline real NAME_with_sign(real magnitude, real sign)
{
    return NAME_number(NAME_bits(magnitude) | (NAME_bits(sign) & SIGN_BIT));
}

/* a, but at least low and at most high; low for a nan. */
static inline real NAME_clamp(real a, real low, real high)
{
    const real above = NAME_choose(a > low, a, low);
    return NAME_choose(above < high, above, high);
}

/* a, but at least low; a nan stays. */
static inline real NAME_at_least(real a, real low)
{
    return NAME_choose(a < low, low, a);
}

/* 2 to the power n, in the normal range. */
static inline real NAME_power(int32_t n)
{
    return NAME_number((word)(n + EXPONENT_BIAS) << MANTISSA_BITS);
}

/* a times 2 to the power n, for |n| up to twice the range of exponents. */
static inline real NAME_scale(real a, int32_t n)
{
    const int32_t half = n / 2;
    return a * NAME_power(half) * NAME_power(n - half);
}

/* ------------------------------------------------- numbers as sums of two numbers */

/* a + b - total, exact, for total = a + b rounded and |a| >= |b| or a = 0. */
static inline real NAME_small_error(real a, real b, real total)
{
    return (a - total) + b;
}

/* a + b - total, exact, for total = a + b rounded (Knuth). */
static inline real NAME_add_error(real a, real b, real total)
{
    const real used = total - a;
    return (a - (total - used)) + (b - used);
}

/* a * b - product, exact, for product = a * b rounded (Dekker). */
static inline real NAME_product_error(real a, real b, real product)
{
    const word top = -((word)1 << HALF_MANTISSA);
    const real a_high = NAME_number(NAME_bits(a) & top), a_low = a - a_high;
    const real b_high = NAME_number(NAME_bits(b) & top), b_low = b - b_high;
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
}

/* (a + a_low) + (b + b_low); what the sum is short of goes to low. */
static inline real NAME_pair_sum(real a, real a_low, real b, real b_low, real *low)
{
    const real total = a + b;
    *low = NAME_add_error(a, b, total) + (a_low + b_low);
    return total;
}

/* (a + a_low) * (b + b_low); what the product is short of goes to low. */
static inline real NAME_pair_product(real a, real a_low, real b, real b_low, real *low)
{
    const real product = a * b;
    *low = NAME_product_error(a, b, product) + (a * b_low + a_low * b);
    return product;
}

/* q * (b + b_low) - (a + a_low), for q nearly the quotient. */
static inline real NAME_excess(real a, real a_low, real b, real b_low, real q)
{
    return NAME_product_error(q, b, a) + (q * b_low - a_low);
}

/* (a + a_low) / (b + b_low), within 0.51 ULP. */
static inline real NAME_quotient(real a, real a_low, real b, real b_low)
{
    const real reciprocal = REAL(1) / b;
    const real q = a * reciprocal;
    return q - NAME_excess(a, a_low, b, b_low, q) * reciprocal;
}

/* --------------------------------------------------------- exponential and logarithm */

/* The whole number next to x / log(2). */
static inline int32_t NAME_octaves(real x)
{
    return (int32_t)(x * LOG2_RECIPROCAL + NAME_with_sign(REAL(0.5), x));
}

/* p and n with exp(x + x_low) = 2^n (1 + p); the error of p is half an ULP of p. */
static inline real NAME_exp_reduced(real x, real x_low, int32_t *n)
{
    const int32_t whole = NAME_octaves(x);
    const real high = x - (real)whole * LOG2_HIGH; /* exact */
    const real r = high + (x_low - (real)whole * LOG2_LOW);
    real q;
    HORNER(q, EXP, r);
    *n = whole;
    return r * r * q + r;
}

/* r, low and n with exp(x + x_low) = 2^n (1 + r + low), more exact than one number can be. */
static inline real NAME_exp_pair(real x, real x_low, real *low, int32_t *n)
{
    const int32_t whole = NAME_octaves(x);
    const real high = x - (real)whole * LOG2_HIGH; /* exact */
    const real rest = x_low - (real)whole * LOG2_LOW;
    const real r = high + rest;
    real q;
    HORNER(q, EXP, r);
    *n = whole;
    *low = r * r * q + NAME_small_error(high, rest, r);
    return r;
}

/* 1 + r + low as a pair. */
static inline real NAME_mantissa(real r, real low, real *m_low)
{
    const real one = REAL(1) + r;
    const real rest = low + NAME_small_error(REAL(1), r, one);
    const real m = one + rest;
    *m_low = NAME_small_error(one, rest, m);
    return m;
}

/* exp(x) for x <= 0, or a nan; 1.1 ULP. */
static inline real NAME_exp_below(real x)
{
    int32_t n;
    const real p = NAME_exp_reduced(NAME_clamp(x, -LIMIT, REAL(0)), REAL(0), &n);
    return NAME_choose(x == x, NAME_scale(REAL(1) + p, n), x);
}

/* log(total + low), for total = 1 + e rounded with 0 <= e <= 1, and low = 1 + e - total; 1 ULP.
 *
 * With s = f / (2 + f), log(1 + f) = f - f^2 / 2 + s (f^2 / 2 + s^2 p(s^2)). */
static inline real NAME_log_above_one(real total, real low)
{
    const int halved = total > REAL(1.4142135623730951);
    const real factor = NAME_choose(halved, REAL(0.5), REAL(1));
    const real e = NAME_choose(halved, REAL(1), REAL(0));
    const real m = total * factor - REAL(1), step = low * factor;
    const real f = m + step, f_low = NAME_small_error(m, step, f);
    const real s = f / (REAL(2) + f), t = s * s, half_square = REAL(0.5) * f * f;
    const real whole = e * LOG2_HIGH, high = whole + f;
    real p, tail;
    HORNER(p, LOG, t);
    tail = s * (t * p + half_square) + ((f_low - f * f_low) - half_square);
    return high + (NAME_small_error(whole, f, high) + (e * LOG2_LOW + tail));
}

/* exp(x) of each number; 1.1 ULP. */
static void NAME_exp(size_t n, real *x)
{
    for (size_t i = 0; i < n; i++) {
        int32_t octaves;
        const real p = NAME_exp_reduced(NAME_clamp(x[i], -LIMIT, LARGEST_EXPONENT), REAL(0), &octaves);
        x[i] = NAME_choose(x[i] == x[i], NAME_scale(REAL(1) + p, octaves), x[i]);
    }
}

/* ------------------------------------------------------------------------ activations */

/* The logistic function 1 / (1 + exp(-z)); 2 ULP. */
static void NAME_sigmoid(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real a = NAME_clamp(fabs(z[i]), REAL(0), LIMIT);
        int32_t octaves;
        const real p = NAME_exp_reduced(a, REAL(0), &octaves);
        const real s = NAME_scale(REAL(1), -octaves);
        const real tail = s / (REAL(1) + (p + s)); /* of -|z| */
        const real y = NAME_choose(z[i] < REAL(0), tail, REAL(1) - tail);
        z[i] = NAME_choose(z[i] == z[i], y, z[i]);
    }
}

/* The hyperbolic tangent: a polynomial near 0, 1 - 2 / (1 + exp(2 |z|)) elsewhere; 1.4 ULP. */
static void NAME_tanh(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real a = NAME_clamp(fabs(z[i]), REAL(0), TANH_ONE); /* beyond, it is 1 */
        int32_t octaves;
        const real p = NAME_exp_reduced(a + a, REAL(0), &octaves);
        const real s = NAME_power(-octaves);
        const real far = REAL(1) - REAL(2) * (s / (REAL(1) + (p + s)));
        const real square = a * a;
        real q, y;
        HORNER(q, TANH, square);
        y = NAME_choose(a < REAL(0.55), a * square * q + a, far);
        z[i] = NAME_choose(z[i] == z[i], NAME_with_sign(y, z[i]), z[i]);
    }
}

/* log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)); 2 ULP. */
static void NAME_softplus(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real e = NAME_exp_below(-fabs(z[i]));
        const real total = REAL(1) + e;
        const real low = NAME_small_error(REAL(1), e, total);
        const real y = NAME_at_least(z[i], REAL(0)) + NAME_log_above_one(total, low);
        z[i] = NAME_choose(z[i] == z[i], y, z[i]);
    }
}

/* z / (1 + exp(-w - w_low)); 2 ULP. */
static inline real NAME_gate(real z, real w, real w_low)
{
    int32_t n;
    const real p = NAME_exp_reduced(-w, -w_low, &n);
    const int32_t above = n > 0 ? n : 0, below = n < 0 ? n : 0;
    const int32_t distance = above - below, near = distance < 100 ? distance : 100;
    /* Numerator and denominator over 2^max(n, 0): the larger term of the denominator is 1. */
    const real smaller = NAME_power(-near);
    const real share = NAME_power(below > -100 ? below : -100) * p + smaller;
    return NAME_scale(z, -above) / (REAL(1) + share);
}

/* z sigmoid(z), also called SiLU; 2 ULP. */
static void NAME_silu(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real bounded = NAME_at_least(z[i], -LIMIT); /* where it is -0 */
        z[i] = NAME_gate(bounded, NAME_clamp(z[i], -LIMIT, LIMIT), REAL(0));
    }
}

/* z sigmoid(beta z), beta not 0; 2 ULP. */
static void NAME_swish(size_t n, real beta, real *z)
{
    const real limit = LIMIT / fabs(beta);
    const real bound = limit < LARGEST ? limit : LARGEST;
    for (size_t i = 0; i < n; i++) {
        const real bounded = NAME_clamp(z[i], -bound, bound);
        const real w = beta * bounded;
        const real factor = NAME_choose(beta * z[i] > REAL(0), z[i], bounded);
        const real y = NAME_gate(factor, w, NAME_product_error(beta, bounded, w));
        z[i] = NAME_choose(z[i] == z[i], y, z[i]);
    }
}

/* z sigmoid(w), w = 2 sqrt(2 / pi) (z + 0.044715 z^3): GELU in its tanh form; 2 ULP. */
static void NAME_gelu_tanh(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real bounded = NAME_clamp(z[i], -LARGEST_GAUSSIAN, LARGEST_GAUSSIAN);
        real square_low, cubic_low, inner_low, w_low;
        const real square = NAME_pair_product(bounded, REAL(0), bounded, REAL(0), &square_low);
        const real cubic = NAME_pair_product(
            square, square_low, GELU_CUBIC_HIGH, GELU_CUBIC_LOW, &cubic_low);
        const real inner = NAME_pair_sum(
            GELU_LINEAR_HIGH, GELU_LINEAR_LOW, cubic, cubic_low, &inner_low);
        const real w = NAME_pair_product(bounded, REAL(0), inner, inner_low, &w_low);
        const real factor = NAME_choose(z[i] < REAL(0), bounded, z[i]);
        z[i] = NAME_gate(factor, NAME_clamp(w, -LIMIT, LIMIT), w_low);
    }
}

/* Phi(-a) exp(a^2 / 2) for 0 <= a <= LARGEST_GAUSSIAN, Phi of the normal distribution.
 *
 * a + 4 times it is a polynomial in (a - 4) / (a + 4) (Shepherd and Laframboise 1981). */
static inline real NAME_mills_ratio(real a)
{
    const real above = a + REAL(4), above_low = NAME_add_error(a, REAL(4), above);
    const real below = a - REAL(4), below_low = NAME_add_error(a, -REAL(4), below);
    const real q = NAME_quotient(below, below_low, above, above_low);
    real top, low;
    HORNER(top, MILLS_REST, q);
    top = NAME_pair_product(top, REAL(0), q, REAL(0), &low);
    top = NAME_pair_sum(MILLS_SECOND, REAL(0), top, low, &low);
    top = NAME_pair_product(top, low, q, REAL(0), &low);
    top = NAME_pair_sum(MILLS_FIRST, MILLS_FIRST_LOW, top, low, &low);
    return NAME_quotient(top, low, above, above_low);
}

/* z Phi(z), Phi of the normal distribution: GELU; 4 ULP. */
static void NAME_gelu(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real a = NAME_clamp(fabs(z[i]), REAL(0), LARGEST_GAUSSIAN);
        const real square = a * a, error = NAME_product_error(a, a, square);
        real low, m_low, tail_low;
        int32_t octaves;
        const real r = NAME_exp_pair(-REAL(0.5) * square, -REAL(0.5) * error, &low, &octaves);
        const real m = NAME_mantissa(r, low, &m_low);
        const real tail = NAME_pair_product(m, m_low, NAME_mills_ratio(a), REAL(0), &tail_low);
        const real negative = NAME_scale(-a * tail - a * tail_low, octaves);
        const real positive = z[i] * (REAL(1) - NAME_scale(tail, octaves));
        z[i] = NAME_choose(z[i] < REAL(0), negative, positive);
    }
}

/* z tanh(log(1 + exp(z))): mish; 4 ULP.  With e = exp(-|z|) it is
 * z e (2 + e) / (2 + e (2 + e)) for z < 0, else z (1 + 2 e) / (1 + 2 e + 2 e^2). */
static void NAME_mish(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const int is_negative = z[i] < REAL(0);
        real low, top_low, product_low, total_low;
        int32_t octaves;
        const real r = NAME_exp_pair(
            NAME_clamp(-fabs(z[i]), -LIMIT, REAL(0)), REAL(0), &low, &octaves);
        const real m = REAL(1) + (r + low);
        const real e = NAME_scale(m, octaves), twice = REAL(2) * e;
        const real first = NAME_choose(is_negative, REAL(2), REAL(1));
        const real second = NAME_choose(is_negative, e, twice);
        const real top = NAME_pair_sum(first, REAL(0), second, REAL(0), &top_low);
        const real factor = NAME_choose(is_negative, top, twice);
        const real factor_low = NAME_choose(is_negative, top_low, REAL(0));
        const real product = NAME_pair_product(e, REAL(0), factor, factor_low, &product_low);
        const real start = NAME_choose(is_negative, REAL(2), top);
        const real start_low = NAME_choose(is_negative, REAL(0), top_low);
        const real total = NAME_pair_sum(start, start_low, product, product_low, &total_low);
        const real share = NAME_choose(is_negative, m, REAL(1)) *
            NAME_quotient(top, top_low, total, total_low);
        const real bounded = NAME_at_least(z[i], -LIMIT);
        z[i] = NAME_scale(bounded * share, octaves & -(int32_t)is_negative);
    }
}

/* gain z for z > 0, else scale (exp(z) - 1): ELU and SELU; 2 ULP. */
static void NAME_elu(size_t n, real gain, real scale, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real bounded = NAME_clamp(z[i], -LIMIT, REAL(0));
        real low;
        int32_t octaves;
        const real r = NAME_exp_pair(bounded, REAL(0), &low, &octaves);
        const int32_t near = octaves > -100 ? octaves : -100; /* below, nothing is left of exp */
        const real one = NAME_power(-near); /* exp(z) - 1 is 2^near (1 - one + r + low) */
        const real rest = REAL(1) - one, high = rest + r;
        const real error = NAME_small_error(REAL(1), -one, rest) + NAME_small_error(rest, r, high);
        const real below = scale * ((high + (low + error)) * NAME_power(near));
        const real y = NAME_choose(z[i] > REAL(0), gain * z[i], below);
        z[i] = NAME_choose(z[i] == z[i], y, z[i]);
    }
}

/* z / (1 + |z|); 2 ULP. */
static void NAME_softsign(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real a = NAME_clamp(fabs(z[i]), REAL(0), LARGEST);
        const real y = NAME_with_sign(a / (REAL(1) + a), z[i]);
        z[i] = NAME_choose(z[i] == z[i], y, z[i]);
    }
}

/* z min(max(z + 3, 0), 6) / 6; 2 ULP. */
static void NAME_hard_swish(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real gate = NAME_clamp(z[i] + REAL(3), REAL(0), REAL(6)) / REAL(6);
        z[i] = NAME_at_least(z[i], -REAL(3)) * gate;
    }
}

/* max(z, 0). */
static void NAME_relu(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) z[i] = NAME_at_least(z[i], REAL(0));
}

/* z for z > 0, else slope z. */
static void NAME_leaky_relu(size_t n, real slope, real *z)
{
    for (size_t i = 0; i < n; i++) z[i] = NAME_choose(z[i] > REAL(0), z[i], slope * z[i]);
}

/* 1 for z >= 0, else 0. */
static void NAME_binary_step(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real y = NAME_choose(z[i] >= REAL(0), REAL(1), REAL(0));
        z[i] = NAME_choose(z[i] == z[i], y, z[i]);
    }
}

/* 1 for z = 0, else 0. */
static void NAME_zero_indicator(size_t n, real *z)
{
    for (size_t i = 0; i < n; i++) {
        const real y = NAME_choose(z[i] == REAL(0), REAL(1), REAL(0));
        z[i] = NAME_choose(z[i] == z[i], y, z[i]);
    }
}

/* ------------------------------------------------------------------ functions of rows */

/* The sum of PANEL numbers, of halves. */
static inline real NAME_sum_of_lanes(real *lanes)
{
    for (size_t half = PANEL / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) lanes[l] += lanes[l + half];
    }
    return lanes[0];
}

/* The sum of n numbers. */
static real NAME_sum(size_t n, const real *x)
{
    const size_t whole = n - n % PANEL;
    real lanes[PANEL], rest = REAL(0);
    for (size_t l = 0; l < PANEL; l++) lanes[l] = REAL(0);
    for (size_t i = 0; i < whole; i += PANEL) {
        for (size_t l = 0; l < PANEL; l++) lanes[l] += x[i + l];
    }
    for (size_t i = whole; i < n; i++) rest += x[i];
    return NAME_sum_of_lanes(lanes) + rest;
}

/* The sum of n products. */
static inline real NAME_dot(size_t n, const real *x, const real *y)
{
    const size_t whole = n - n % PANEL;
    real lanes[PANEL], rest = REAL(0);
    for (size_t l = 0; l < PANEL; l++) lanes[l] = REAL(0);
    for (size_t i = 0; i < whole; i += PANEL) {
        for (size_t l = 0; l < PANEL; l++) lanes[l] += x[i + l] * y[i + l];
    }
    for (size_t i = whole; i < n; i++) rest += x[i] * y[i];
    return NAME_sum_of_lanes(lanes) + rest;
}

/* Subtract the largest of n numbers from all, and return its place; all become nan by a nan. */
static size_t NAME_shift(size_t n, real *z)
{
    size_t largest = 0;
    for (size_t i = 1; i < n; i++) {
        if (z[i] > z[largest] || z[i] != z[i]) largest = i;
    }
    const real top = z[largest];
    const int is_infinite = top > LARGEST;
    for (size_t i = 0; i < n; i++) {
        /* inf - inf is nan, but equal logits have equal shares. */
        z[i] = is_infinite && z[i] == top ? REAL(0) : z[i] - top;
    }
    return largest;
}

/* exp(z_k) / sum_j exp(z_j); exp cannot overflow. */
static void NAME_softmax(size_t n, real *z)
{
    const size_t largest = NAME_shift(n, z);
    for (size_t i = 0; i < n; i++) z[i] = NAME_exp_below(z[i]);
    const real one = z[largest];
    z[largest] = REAL(0); /* the small numbers are added first */
    const real total = NAME_sum(n, z) + one;
    z[largest] = one;
    for (size_t i = 0; i < n; i++) z[i] /= total;
}

/* z_k - log(sum_j exp(z_j)); the logarithm loses nothing where one number dominates. */
static void NAME_log_softmax(size_t n, real *z)
{
    const size_t largest = NAME_shift(n, z);
    real lanes[PANEL];
    for (size_t l = 0; l < PANEL; l++) lanes[l] = REAL(0);
    for (size_t i = 0; i < n; i++) {
        if (i != largest) lanes[i % PANEL] += NAME_exp_below(z[i]);
    }
    const real logarithm = log1p(NAME_sum_of_lanes(lanes));
    for (size_t i = 0; i < n; i++) z[i] -= logarithm;
}

/* Deviations of n numbers from their mean, with variance 1 but for epsilon. */
static void NAME_normalize(size_t n, real epsilon, real *z)
{
    real largest = REAL(0);
    for (size_t i = 0; i < n; i++) largest = fabs(z[i]) > largest ? fabs(z[i]) : largest;
    if (largest > SQUARE_OVERFLOWS) { /* beside such numbers epsilon is nothing */
        for (size_t i = 0; i < n; i++) z[i] *= SCALE_OF_SQUARES;
        epsilon = SMALLEST;
    }
    const real first = z[0];
    for (size_t i = 0; i < n; i++) z[i] -= first;
    for (int pass = 0; pass < 2; pass++) { /* the second corrects what the first has rounded */
        const real mean = NAME_sum(n, z) / (real)n;
        for (size_t i = 0; i < n; i++) z[i] -= mean;
    }
    const real variance = NAME_dot(n, z, z) / (real)n;
    const real inverse = REAL(1) / sqrt(variance + epsilon);
    for (size_t i = 0; i < n; i++) z[i] *= inverse;
}

/* ------------------------------------------------------------------------- arithmetic */

/* y = x W.
 *
 * W has blocks of BLOCK columns, then blocks of PANEL columns, then single columns; a block has a
 * row for each input. BLOCK sums are in work at a time, enough to hide the time of an addition. */
static void NAME_dense(const real *RESTRICT x, size_t n_in, const real *RESTRICT w, size_t n_out,
                       real *RESTRICT y)
{
    const size_t by_four = n_in - n_in % 4;
    size_t j = 0;
    for (; j < n_out - n_out % BLOCK; j += BLOCK, w += BLOCK * n_in) {
        real sum[BLOCK];
        for (size_t l = 0; l < BLOCK; l++) sum[l] = REAL(0);
        for (size_t k = 0; k < n_in; k++) {
            for (size_t l = 0; l < BLOCK; l++) sum[l] += x[k] * w[BLOCK * k + l];
        }
        for (size_t l = 0; l < BLOCK; l++) y[j + l] = sum[l];
    }
    for (; j < n_out - n_out % PANEL; j += PANEL, w += PANEL * n_in) {
        real sum[BLOCK]; /* of every fourth input, PANEL numbers each */
        for (size_t l = 0; l < BLOCK; l++) sum[l] = REAL(0);
        for (size_t k = 0; k < by_four; k += 4) {
            const real *RESTRICT v = w + PANEL * k;
            for (size_t l = 0; l < PANEL; l++) { /* one loop, too long for compilers to unroll */
                sum[l] += x[k] * v[l];
                sum[PANEL + l] += x[k + 1] * v[PANEL + l];
                sum[2 * PANEL + l] += x[k + 2] * v[2 * PANEL + l];
                sum[3 * PANEL + l] += x[k + 3] * v[3 * PANEL + l];
            }
        }
        for (size_t k = by_four; k < n_in; k++) {
            for (size_t l = 0; l < PANEL; l++) sum[l] += x[k] * w[PANEL * k + l];
        }
        for (size_t l = 0; l < PANEL; l++) {
            y[j + l] = (sum[l] + sum[PANEL + l]) + (sum[2 * PANEL + l] + sum[3 * PANEL + l]);
        }
    }
    for (; j < n_out; j++, w += n_in) y[j] = NAME_dot(n_in, x, w);
}

/* y = x. */
static void NAME_copy(size_t n, const real *x, real *y)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i];
}

/* y = y + x. */
static void NAME_add(size_t n, const real *x, real *y)
{
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

/* y = y - x. */
static void NAME_subtract(size_t n, const real *x, real *y)
{
    for (size_t i = 0; i < n; i++) y[i] -= x[i];
}

/* y = y x, element by element. */
static void NAME_multiply(size_t n, const real *x, real *y)
{
    for (size_t i = 0; i < n; i++) y[i] *= x[i];
}

/* y = factor y. */
static void NAME_times(size_t n, real factor, real *y)
{
    for (size_t i = 0; i < n; i++) y[i] *= factor;
}

/* y = |y|. */
static void NAME_absolute(size_t n, real *y)
{
    for (size_t i = 0; i < n; i++) y[i] = fabs(y[i]);
}

/* ----------------------------------------------------------------------------- tables */

/* For each column j the row x_j of its part of a table, which has sizes[j] rows; the next
 * column's row goes `step` further: width for rows side by side, 0 for their sum. A number that
 * is no row is taken as the nearest one, a nan as 0. */
static void NAME_embedding(size_t columns, const int32_t *sizes, size_t width, size_t step,
                           const real *table, const real *x, real *y)
{
    for (size_t j = 0; j < columns; j++) {
        const int32_t row = (int32_t)NAME_clamp(x[j], REAL(0), (real)(sizes[j] - 1));
        const real *from = table + (size_t)row * width;
        for (size_t l = 0; l < width; l++) y[l] = j > 0 && step == 0 ? y[l] + from[l] : from[l];
        table += (size_t)sizes[j] * width;
        y += step;
    }
}

/* As `embedding`, between the rows next to x_j: a table has sizes[j] + 1 rows for a column. */
static void NAME_piecewise_linear(size_t columns, const int32_t *sizes, size_t width, size_t step,
                                  const real *table, const real *x, real *y)
{
    for (size_t j = 0; j < columns; j++) {
        const real place = NAME_clamp(x[j], REAL(0), (real)sizes[j]);
        const int32_t last = sizes[j] - 1, row = (int32_t)place < last ? (int32_t)place : last;
        const real share = x[j] == x[j] ? place - (real)row : x[j];
        const real *low = table + (size_t)row * width, *high = low + width;
        for (size_t l = 0; l < width; l++) {
            const real value = (REAL(1) - share) * low[l] + share * high[l];
            y[l] = j > 0 && step == 0 ? y[l] + value : value;
        }
        table += ((size_t)sizes[j] + 1) * width;
        y += step;
    }
}

/* ------------------------------------------------------ columns of a table, in double */

/* 1 for a nan, else 0; by its bits, because fast mathematics takes x == x for true. */
static inline int NAME_is_nan(double value)
{
    union { double number; uint64_t bits; } u;
    u.number = value;
    return u.bits << 1 > UINT64_C(0xffe) << 52;
}

/* (value - center) / scale; 0 for a nan. */
static inline double NAME_scaled(double value, double center, double scale)
{
    return NAME_is_nan(value) ? 0.0 : (value - center) / scale;
}

/* 0, for a column without spread. */
static inline double NAME_nothing(double value)
{
    (void)value;
    return 0.0;
}

/* t / sqrt(1 + (t / 3)^2) for t = (value - center) / scale, which is below 3; 0 for a nan. */
static double NAME_clipped(double value, double center, double scale)
{
    double t = NAME_scaled(value, center, scale) / 3.0;
    t = t < -1e8 ? -1e8 : t > 1e8 ? 1e8 : t; /* beyond, t * t could overflow */
    return t * (3.0 / hypot(1.0, t));
}

/* The number of the bin that has a value, and the fraction within it; center for a nan. */
static double NAME_position(double value, double center, const double *edges, int32_t bins)
{
    const double known = NAME_is_nan(value) ? center : value;
    const double bounded = known < edges[0] ? edges[0] : known > edges[bins] ? edges[bins] : known;
    int32_t bin = 0;
    while (bin < bins - 1 && edges[bin + 1] <= bounded) bin++;
    return (bounded - edges[bin]) / (edges[bin + 1] - edges[bin]) + (double)bin;
}

/* -1 for 0, 1 for every other number, 0 for a nan. */
static inline double NAME_truth(double value)
{
    if (NAME_is_nan(value)) return 0.0;
    return value == 0.0 ? -1.0 : 1.0;
}

/* -1 for the first of two levels, 1 for the second, 0 for a nan and for other numbers. */
static inline double NAME_sign(double level)
{
    if (NAME_is_nan(level)) return 0.0;
    return level == 0.0 ? -1.0 : level == 1.0 ? 1.0 : 0.0;
}

/* 1 for a nan, else 0. */
static inline double NAME_missing(double value)
{
    return (double)NAME_is_nan(value);
}

/* The number of a level; `levels` for a nan, and one more for what is no level. */
static int32_t NAME_code(double level, int32_t levels)
{
    if (NAME_is_nan(level)) return levels;
    if (!(level >= 0.0 && level < (double)levels)) return levels + 1;
    return level == (double)(int32_t)level ? (int32_t)level : levels + 1;
}

/* 1 in the place of a code, 0 elsewhere; a code may lie beyond. */
static void NAME_one_hot(int32_t code, int32_t width, real *y)
{
    for (int32_t l = 0; l < width; l++) y[l] = l == code ? REAL(1) : REAL(0);
}

/* The month of days since 1970, from 0; the calendar begins years in March (Hinnant 2013). */
static double NAME_month(double days)
{
    const double day = floor(days) + 719468.0;
    const double of_era = day - 146097.0 * floor(day / 146097.0);
    const double leaps = floor(of_era / 1460.0) - floor(of_era / 36524.0);
    const double year = floor((of_era - leaps + floor(of_era / 146096.0)) / 365.0);
    const double before = 365.0 * year + floor(year / 4.0) - floor(year / 100.0);
    const double month = floor((5.0 * (of_era - before) + 2.0) / 153.0);
    return month < 10.0 ? month + 2.0 : month - 10.0;
}

/* The part of a cycle of months, weekdays from Monday or hours, in turns, for days since 1970. */
static double NAME_turn(double days, int cycle)
{
    if (cycle == 12) return NAME_month(days) / 12.0;
    if (cycle == 7) {
        const double since_monday = floor(days) + 3.0;
        return (since_monday - 7.0 * floor(since_monday / 7.0)) / 7.0;
    }
    return days - floor(days);
}

/* The sine of a part of a date; 0 for a nan. */
static double NAME_sine(double days, int cycle)
{
    return NAME_is_nan(days) ? 0.0 : sin(NAME_turn(days, cycle) * 6.283185307179586);
}

/* The cosine of a part of a date; 0 for a nan. */
static double NAME_cosine(double days, int cycle)
{
    return NAME_is_nan(days) ? 0.0 : cos(NAME_turn(days, cycle) * 6.283185307179586);
}

/* ----------------------------------------------------- what outputs mean, in double */

/* Add share * softmax(factor * logits) to y. */
static void NAME_add_probabilities(size_t n, double factor, double share, const real *logits,
                                   double *y)
{
    double top = factor * (double)logits[0], total = 0.0;
    for (size_t k = 1; k < n; k++) {
        const double z = factor * (double)logits[k];
        top = z > top ? z : top;
    }
    for (size_t k = 0; k < n; k++) total += exp(factor * (double)logits[k] - top);
    for (size_t k = 0; k < n; k++) {
        y[k] += share * (exp(factor * (double)logits[k] - top) / total);
    }
}

/* a, but at least low and at most high. */
static inline double NAME_limited(double a, double low, double high)
{
    return a < low ? low : a > high ? high : a;
}

/* The n numbers of y in ascending order. */
static void NAME_sort_ascending(int n, double *y)
{
    for (int k = 1; k < n; k++) {
        double moved = y[k];
        int place = k;
        for (; place > 0 && y[place - 1] > moved; place--) y[place] = y[place - 1];
        y[place] = moved;
    }
}
