"""Losses of one row of K outputs, with their gradients.

Each function returns the unweighted loss l of the row.  Where `gradient` is not NULL it
receives coefficient * dl/dz, or has it added where `accumulate` is true; the coefficient is
the row's weight over what the total is divided by.  Without `accumulate`, gradient may be the
row of predictions itself, and never the targets.
"""

from fastnn.backend.compiled.rows.rows cimport (
    BLOCK, CHUNK, DISTANCE, VECTORS, ExpSum, add, clear, distance, distance_at, exp_block,
    exp_excess, exp_row, exp_total, log_total, put, reduce_row, sum_block, sum_row, take, top_row,
    within,
)
from fastnn.backend.compiled.simd.simd cimport (
    VL, abs_, at_least, copy_sign, equal, fma_, lane, less, mask, not_, real, select, splat, vec
)
from fastnn.backend.compiled.math.vmath cimport vexp, vlog1p

cdef struct SoftTarget:
    # q = (keep * y + base) * u, where y and u are 1 if they are NULL.
    const real* y
    const real* u
    real keep
    real base
    real mass          # sum(q)
    real cost          # sum(q * (max(z) - z))

cdef struct ElementRule:
    # What an elementwise loss depends on beside the predictions and targets.
    real parameter              # that of its row of fastnn/facts/losses.py
    const real* class_weights   # of targets 0 and 1, or NULL
    const real* columns         # one number of each column, or NULL
    const real* weights         # of the elements of the row, or NULL
    real* losses                # receives those of the elements before `weights`, or NULL
    bint ignores                # whether targets equal to `ignore_value` (nan: those that are ...
    real ignore_value           # ... nan) are ignored

include "../generated/losses.pxi"  # the codes, and the formula by the code


# ----------------------------------------------------------------------- cross-entropy


cdef inline real cross_entropy_label_row(Py_ssize_t K, const real* z, Py_ssize_t label,
                                         real smoothing, real coefficient, real* gradient,
                                         bint accumulate) noexcept nogil:
    """l = -sum(q log(softmax(z))), q = (1 - smoothing) onehot(label) + smoothing / K.

    dl/dz = softmax(z) - q.
    """
    cdef real top = top_row(K, z)
    cdef real logit = distance_at(z, label, top)
    cdef real before = gradient[label] if gradient != NULL and accumulate else 0
    cdef real spread = 0
    cdef SoftTarget q
    cdef ExpSum s
    q.y, q.u, q.keep, q.base, q.mass = NULL, NULL, 0, smoothing / K, 1
    if smoothing != 0:
        spread = q.base * reduce_row(DISTANCE, K, z, z, top)
    softmax_minus(K, z, top, &q, coefficient, gradient, accumulate, &s)
    if gradient != NULL:
        gradient[label] = before + coefficient * (
            complement(lane(vexp(splat(logit)), 0), &s) + (smoothing - q.base))
    if smoothing == 1:
        logit = 0
    return log_total(&s) - (<real>1 - smoothing) * logit - spread


cdef inline real weighted_label_row(Py_ssize_t K, const real* z, Py_ssize_t label,
                                    const real* class_weights, real smoothing, real coefficient,
                                    real* gradient, bint accumulate) noexcept nogil:
    """l = -sum(q log(softmax(z))), q = u ((1 - smoothing) onehot(label) + smoothing / K).

    u are class weights.  dl/dz = sum(q) softmax(z) - q, at the label without cancellation.
    """
    cdef real top = top_row(K, z)
    cdef real logit = distance_at(z, label, top)
    cdef real before = gradient[label] if gradient != NULL and accumulate else 0
    cdef real own = (1 - smoothing) * class_weights[label]
    cdef real others
    cdef SoftTarget q
    cdef ExpSum s
    q.y, q.u, q.keep, q.base = NULL, class_weights, 0, smoothing / K
    measure_target(K, z, top, &q)
    others = q.mass - q.base * class_weights[label]
    q.mass = q.mass + own
    if own != 0:
        q.cost = q.cost - own * logit
    softmax_minus(K, z, top, &q, coefficient, gradient, accumulate, &s)
    if gradient != NULL:
        gradient[label] = before + coefficient * (
            q.mass * complement(lane(vexp(splat(logit)), 0), &s) + others)
    return (q.mass * log_total(&s) if q.mass != 0 else 0) + q.cost


cdef inline real complement(real e, const ExpSum* s) noexcept nogil:
    """e / total - 1; where e is the largest term, from the others, without cancellation."""
    cdef vec rest = select(equal(splat(e), splat(1)), splat(-exp_excess(s)),
                           splat(e - exp_total(s)))
    return lane(rest, 0) / exp_total(s)


cdef inline real cross_entropy_target_row(Py_ssize_t K, const real* z, const real* target,
                                          const real* class_weights, real smoothing,
                                          real coefficient, real* gradient,
                                          bint accumulate) noexcept nogil:
    """l = -sum(q log(softmax(z))), q = u ((1 - smoothing) y + smoothing / K sum(y)).

    u are class weights, 1 where they are NULL; y are targets that need not sum to 1.
    dl/dz = sum(q) softmax(z) - q.  Where q is 0 the logit may be -inf.
    """
    cdef real top = top_row(K, z)
    cdef SoftTarget q
    cdef ExpSum s
    q.y, q.u, q.keep, q.base = target, class_weights, 1 - smoothing, 0
    if smoothing != 0:
        q.base = smoothing / K * sum_row(K, target)
    measure_target(K, z, top, &q)
    softmax_minus(K, z, top, &q, coefficient, gradient, accumulate, &s)
    return (q.mass * log_total(&s) if q.mass != 0 else 0) + q.cost


cdef inline vec soft_target(const SoftTarget* q, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    """q at element j and on, of which n are left; lanes beyond mean nothing."""
    cdef vec v = splat(q.base)
    if q.y != NULL:
        v = fma_(splat(q.keep), take(q.y + j, n, 0), v)
    if q.u != NULL:
        v = v * take(q.u + j, n, 0)
    return v


cdef inline void measure_target(Py_ssize_t K, const real* z, real top,
                                SoftTarget* q) noexcept nogil:
    """sum(q) and sum(q (top - z)), of terms that are never negative."""
    cdef vec mass[VECTORS]
    cdef vec cost[VECTORS]
    cdef vec mass_part[VECTORS]
    cdef vec cost_part[VECTORS]
    cdef Py_ssize_t j = 0, stop
    clear(mass)
    clear(cost)
    while j < K:
        stop = min(j + CHUNK, K)
        clear(mass_part)
        clear(cost_part)
        while j + BLOCK <= stop:
            measure_block(BLOCK, z, j, top, q, mass_part, cost_part)
            j += BLOCK
        if j < stop:
            measure_block(stop - j, z, j, top, q, mass_part, cost_part)
            j = stop
        add(mass, mass_part)
        add(cost, cost_part)
    q.mass = sum_block(mass)
    q.cost = sum_block(cost)


cdef inline void measure_block(Py_ssize_t n, const real* z, Py_ssize_t j, real top,
                               const SoftTarget* q, vec* mass, vec* cost) noexcept nogil:
    cdef vec v, below
    cdef int i
    for i in range(VECTORS):
        v = within(soft_target(q, j + i * VL, n - i * VL), i * VL, n)
        below = distance(take(z + j + i * VL, n - i * VL, 0), splat(top))
        mass[i] = mass[i] + v
        cost[i] = cost[i] - times(v, below)


cdef inline vec times(vec factor, vec x) noexcept nogil:
    """factor * x, and 0 where the factor is 0, whatever x is."""
    return select(equal(factor, splat(0)), splat(0), factor * x)


cdef inline void softmax_minus(Py_ssize_t K, const real* z, real top, const SoftTarget* q,
                               real coefficient, real* gradient, bint accumulate,
                               ExpSum* s) noexcept nogil:
    """gradient (+)= coefficient (sum(q) softmax(z) - q), and the sum of exp(z - top)."""
    cdef vec e[VECTORS]
    cdef real factor
    cdef Py_ssize_t j = 0
    cdef int i
    if K <= BLOCK:
        exp_block(K, z, top, e, s)
        if gradient != NULL:
            factor = coefficient * q.mass / exp_total(s)
            for i in range(VECTORS):
                put_gradient(K - i * VL, e[i], factor, q, i * VL, coefficient, gradient, accumulate)
        return
    exp_row(K, z, top, gradient if not accumulate else NULL, s)
    if gradient == NULL:
        return
    factor = coefficient * q.mass / exp_total(s)
    while j + VL <= K:
        put_gradient(VL, exp_again(VL, z + j, top, gradient + j, accumulate), factor, q, j,
                     coefficient, gradient, accumulate)
        j += VL
    if j < K:
        put_gradient(K - j, exp_again(K - j, z + j, top, gradient + j, accumulate), factor, q, j,
                     coefficient, gradient, accumulate)


cdef inline vec exp_again(Py_ssize_t n, const real* z, real top, const real* stored,
                          bint accumulate) noexcept nogil:
    """exp(z - top): from where `exp_row` stored it, which an accumulating call has no room for."""
    if accumulate:
        return vexp(distance(take(z, n, 0), splat(top)))
    return take(stored, n, 0)


cdef inline void put_gradient(Py_ssize_t n, vec e, real factor, const SoftTarget* q, Py_ssize_t j,
                              real coefficient, real* gradient, bint accumulate) noexcept nogil:
    """factor e - coefficient q at element j, of which n are left."""
    put(gradient + j, n, splat(factor) * e - splat(coefficient) * soft_target(q, j, n), accumulate)


# ------------------------------------------------------------------- elementwise losses


cdef inline real element_row(int code, const ElementRule* rule, Py_ssize_t K,
                             const real* a, const real* y, real coefficient, real* gradient,
                             bint accumulate) noexcept nogil:
    """The sum of an elementwise loss over the row, for one constant code."""
    if rule.weights == NULL and rule.losses == NULL:
        return element_sum(code, False, rule, K, a, y, coefficient, gradient, accumulate)
    return element_sum(code, True, rule, K, a, y, coefficient, gradient, accumulate)


cdef inline real element_sum(int code, bint detailed, const ElementRule* rule, Py_ssize_t K,
                             const real* a, const real* y, real coefficient, real* gradient,
                             bint accumulate) noexcept nogil:
    """`element_row`; constant `detailed` says whether single elements are weighed or stored."""
    cdef vec total[VECTORS]
    cdef vec part[VECTORS]
    cdef Py_ssize_t j = 0, stop
    clear(total)
    while j < K:
        stop = min(j + CHUNK, K)
        clear(part)
        while j + BLOCK <= stop:
            element_block(code, detailed, rule, BLOCK, a, y, j, coefficient, gradient, accumulate,
                          part)
            j += BLOCK
        if j < stop:
            element_block(code, detailed, rule, stop - j, a, y, j, coefficient, gradient,
                          accumulate, part)
            j = stop
        add(total, part)
    return sum_block(total)


cdef inline void element_block(int code, bint detailed, const ElementRule* rule, Py_ssize_t n,
                               const real* a, const real* y, Py_ssize_t j, real coefficient,
                               real* gradient, bint accumulate, vec* total) noexcept nogil:
    cdef vec goal, loss, slope, weight
    cdef mask ignored
    cdef int i
    for i in range(VECTORS):
        goal = take(y + j + i * VL, n - i * VL, 0)
        if has_columns(code) and rule.columns != NULL:
            loss = column_loss(
                code, rule.parameter, take(rule.columns + j + i * VL, n - i * VL, 0),
                take(a + j + i * VL, n - i * VL, 0), goal, &slope)
        else:
            loss = element_loss(code, rule.parameter, take(a + j + i * VL, n - i * VL, 0), goal,
                                &slope)
        if has_classes(code) and rule.class_weights != NULL:
            weight = class_weight(goal, rule.class_weights)
            loss = times(weight, loss)
            slope = times(weight, slope)
        if rule.ignores:
            ignored = is_ignored(goal, rule.ignore_value)
            loss = select(ignored, splat(0), loss)
            slope = select(ignored, splat(0), slope)
        if detailed and rule.losses != NULL:
            put(rule.losses + j + i * VL, n - i * VL, loss, False)
        if detailed and rule.weights != NULL:
            weight = take(rule.weights + j + i * VL, n - i * VL, 0)
            loss = times(weight, loss)
            slope = times(weight, slope)
        total[i] = total[i] + within(loss, i * VL, n)
        if gradient != NULL:
            put(gradient + j + i * VL, n - i * VL, splat(coefficient) * slope, accumulate)


cdef inline vec class_weight(vec y, const real* class_weights) noexcept nogil:
    """y u_1 + (1 - y) u_0."""
    return y * splat(class_weights[1]) + (splat(1) - y) * splat(class_weights[0])


cdef inline mask is_ignored(vec y, real ignore_value) noexcept nogil:
    if ignore_value == ignore_value:
        return equal(y, splat(ignore_value))
    return not_(equal(y, y))


# Each formula has the name of its row: l(a, y) for each element, and to `slope` its derivative
# with respect to a.  The parameter of the row, if it has one, is the first argument; the formulas
# called `.._of_column` have a number of each column too.


cdef inline vec mean_squared_error(vec a, vec y, vec* slope) noexcept nogil:
    """(a - y)^2."""
    cdef vec r = a - y
    slope[0] = r + r
    return r * r


cdef inline vec mean_absolute_error(vec a, vec y, vec* slope) noexcept nogil:
    """|a - y|."""
    cdef vec r = a - y
    slope[0] = select(less(splat(0), abs_(r)), copy_sign(splat(1), r), r)
    return abs_(r)


cdef inline vec huber(real delta, vec a, vec y, vec* slope) noexcept nogil:
    """r^2 / 2 up to delta, delta (|r| - delta / 2) beyond, r = a - y."""
    cdef vec r = a - y, size = abs_(r), limit = splat(delta)
    slope[0] = select(less(limit, size), copy_sign(limit, r), r)
    return select(less(limit, size), limit * (size - <real>0.5 * limit), <real>0.5 * r * r)


cdef inline vec quantile(real level, vec a, vec y, vec* slope) noexcept nogil:
    """max(q (y - a), (1 - q) (a - y)) with the level q."""
    return quantile_of_column(splat(level), a, y, slope)


cdef inline vec quantile_of_column(vec level, vec a, vec y, vec* slope) noexcept nogil:
    """`quantile` with one level for each column."""
    cdef vec r = a - y, zero = splat(0)
    slope[0] = select(less(r, zero), zero - level, select(less(zero, r), splat(1) - level, r))
    return slope[0] * r


cdef inline vec poisson(vec z, vec y, vec* slope) noexcept nogil:
    """exp(z) - y z, without its constant term log(y!)."""
    cdef vec rate = vexp(z)
    slope[0] = rate - y
    return rate - times(y, z)


cdef inline vec binary_cross_entropy(real smoothing, vec z, vec target,
                                     vec* slope) noexcept nogil:
    """y softplus(-z) + (1 - y) softplus(z), whose derivative is sigmoid(z) - y.

    y is the target, drawn towards 1/2 by the smoothing.  Both are sums of terms of one sign for
    y in [0, 1]: no cancellation at confident logits.
    """
    cdef vec y = fma_(splat(1 - smoothing), target, splat(<real>0.5 * smoothing))
    cdef vec decay = vexp(splat(0) - abs_(z))
    cdef vec likely = splat(1) / (splat(1) + decay)
    cdef vec unlikely = decay * likely
    cdef vec rest = splat(1) - y
    cdef mask negative = less(z, splat(0))
    slope[0] = rest * select(negative, unlikely, likely) - y * select(negative, likely, unlikely)
    return (vlog1p(decay) + times(y, at_least(splat(0) - z, splat(0)))
            + times(rest, at_least(z, splat(0))))


cdef inline vec binary_cross_entropy_of_column(real smoothing, vec pos_weight, vec z, vec target,
                                               vec* slope) noexcept nogil:
    """p y softplus(-z) + (1 - y) softplus(z), p being the weight of the share of class 1.

    y is the target, drawn towards 1/2 by the smoothing; see `binary_cross_entropy`.
    """
    cdef vec y = fma_(splat(1 - smoothing), target, splat(<real>0.5 * smoothing))
    cdef vec decay = vexp(splat(0) - abs_(z))
    cdef vec likely = splat(1) / (splat(1) + decay)
    cdef vec unlikely = decay * likely
    cdef vec share = pos_weight * y, rest = splat(1) - y
    cdef mask negative = less(z, splat(0))
    slope[0] = (rest * select(negative, unlikely, likely)
                - share * select(negative, likely, unlikely))
    return ((share + rest) * vlog1p(decay) + times(share, at_least(splat(0) - z, splat(0)))
            + times(rest, at_least(z, splat(0))))


cdef inline real target_weight_row(const ElementRule* rule, Py_ssize_t K,
                                   const real* target) noexcept nogil:
    """The weight of a row's elements in a mean: their own times their class's; 0 if ignored."""
    cdef vec total[VECTORS]
    cdef Py_ssize_t j = 0
    cdef vec y, weight
    cdef int i
    clear(total)
    while j < K:
        for i in range(VECTORS):
            y = take(target + j + i * VL, K - j - i * VL, 0)
            weight = splat(1)
            if rule.class_weights != NULL:
                weight = class_weight(y, rule.class_weights)
            if rule.weights != NULL:
                weight = weight * take(rule.weights + j + i * VL, K - j - i * VL, 0)
            if rule.ignores:
                weight = select(is_ignored(y, rule.ignore_value), splat(0), weight)
            total[i] = total[i] + within(weight, i * VL, K - j)
        j += BLOCK
    return sum_block(total)
