# Limits: whether a training step stays far from overflow, before it changes any parameter.
#
# An element of a weight's gradient is a sum of products of X and dZ over the rows.  By Cauchy and
# Schwarz it is at most sqrt(sum X^2 sum dZ^2), and so is every partial sum.  One pass over X and
# dZ therefore tells that gradients, moving means of their squares and updates are finite, at a
# small part of the cost of the products.  A step that may overflow is not refused for that: it
# halts, and its update is made with care (`Engine._step_carefully`).

cdef extern from *:
    """
    #define SQUARES_LIMIT (sizeof(real) == 4 ? 0x1p100 : 0x1p800)
    #define ORDINARY_X 0x1p54   /* in each of 16 lanes at most: within the limit of either dtype */
    #define ORDINARY_DZ 0x1p38
    #define LARGEST_RATE 0x1p40
    """
    const double SQUARES_LIMIT  # for a block of rows: the square of a gradient summed over blocks
                                # is then a number of `real`
    const real ORDINARY_X
    const real ORDINARY_DZ
    const double LARGEST_RATE   # the learning rate times what it multiplies in an update


cdef bint rows_are_moderate(const Plan* plan, sz first, sz last) noexcept nogil:
    """Whether gradients over rows first to last of the training workspace are within the limit."""
    cdef vec xx = splat(0), zz = splat(0), sums  # of the squares of X and slopes, of dZ and terms
    cdef const Factor* factor
    cdef int i, n = plan.n_factors
    if plan.factor_squares[0] != NULL:
        xx, zz = load(plan.factor_squares[0]), load(plan.factor_squares[1])
        n = plan.n_unsummed
    for i in range(n):
        factor = &plan.factors[i]
        if factor.matrix.sparse != NULL:
            sums = sparse_squares(factor.matrix.sparse, first, last)
        else:
            sums = squares_of((last - first) * factor.matrix.ld, row_of(factor.matrix, first))
        if factor.is_dz:
            zz = zz + sums
        else:
            xx = xx + sums
    if not any_lane(not_(both(less_equal(xx, splat(ORDINARY_X)),
                              less_equal(zz, splat(ORDINARY_DZ))))):
        return True
    return ((last - first) * (1 + plan.bounded_squares) + sum_lanes(xx)) * sum_lanes(
        zz) <= SQUARES_LIMIT


cdef inline vec squares_of(sz n, const real* x) noexcept nogil:
    """Sums of x^2 over n elements, a multiple of 16; padding is finite where its row is."""
    cdef vec v
    cdef vec total[4]
    cdef sz j = 0
    cdef int i
    for i in range(4):
        total[i] = splat(0)
    while j + 4 * VL <= n:
        for i in range(4):
            v = load(x + j + i * VL)
            total[i] = fma_(v, v, total[i])
        j += 4 * VL
    while j < n:
        v = load(x + j)
        total[0] = fma_(v, v, total[0])
        j += VL
    return (total[0] + total[1]) + (total[2] + total[3])


cdef inline void begin_sums(const Plan* plan) noexcept nogil:
    """From here on, operations sum the squares of a block of rows."""
    if plan.factor_squares[0] != NULL:
        store(plan.factor_squares[0], splat(0))
        store(plan.factor_squares[1], splat(0))


cdef inline bint rate_is_moderate(const Plan* plan, const Update* recipe,
                                  double learning_rate) noexcept nogil:
    """Whether a learning rate, and what it shrinks parameters by, is within the limit."""
    learning_rate = learning_rate * plan.rate_factor
    return learning_rate * (1 + recipe.numbers.weight_decay * plan.decay_factor
                            + plan.l2) <= LARGEST_RATE


cdef public bint step_is_moderate(const Plan* plan, const Update* recipe, double learning_rate,
                                  Py_ssize_t n_rows) noexcept nogil:
    """Whether a step over n_rows rows of the training workspace can be taken without care."""
    return rate_is_moderate(plan, recipe, learning_rate) and rows_are_moderate(plan, 0, n_rows)
