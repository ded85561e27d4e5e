# Least squares in twice the working precision, behind fastnn.stats;
# fastnn.backend.reference.refinement specifies both kernels, calls/least_squares.pxi has the
# functions of Python.
#
# A number is an unevaluated sum of two doubles, and of three while it is summed up.  Products are
# split exactly by a fused multiply-add, sums by Knuth's two-sum; the errors of both are summed
# beside them, and the errors of that sum (Ogita, Rump & Oishi 2005, "Accurate sum and dot
# product").  Inner loops run along rows, for vectors.

cdef enum:
    CORRECTIONS = 8

cdef double OF_USE = 1e-2   # corrections that have shrunk by this much have been of use
cdef double RIGHT = 1e-24   # share of a next correction that is not made any more


cdef inline void add_split_products(sz n, double a, const double* b, double* high, double* low,
                                    double* last) noexcept nogil:
    """high + low + last += a b, n elements: the sums of errors keep an error of their own."""
    cdef double product, total, part, error, rest
    cdef sz j
    for j in range(n):
        product = a * b[j]
        rest = fma(a, b[j], -product)
        total = high[j] + product
        part = total - high[j]
        error = (high[j] - (total - part)) + (product - part)
        high[j] = total
        total = low[j] + error
        part = total - low[j]
        last[j] += ((low[j] - (total - part)) + (error - part)) + rest
        low[j] = total


cdef inline void join(sz n, double* high, double* low, const double* last) noexcept nogil:
    """Round high + low + last to high + low."""
    cdef double total, part
    cdef sz j
    for j in range(n):
        total = high[j] + low[j]
        part = total - high[j]
        low[j] = ((high[j] - (total - part)) + (low[j] - part)) + last[j]
        high[j] = total


cdef inline double add_double(double a, double b, double* error) noexcept nogil:
    """a + b, and what rounding takes from it added to the error."""
    cdef double total = a + b, part
    part = total - a
    error[0] += (a - (total - part)) + (b - part)
    return total


cdef public void add_gram_rows(Py_ssize_t n, Py_ssize_t q, const double* rows, double* high,
                               double* low, double* last) noexcept nogil:
    """Add rows' rows to high + low for `rows` of shape (n, q); `last`, (q, q), has zeros."""
    cdef sz i, j, k, at
    for i in range(n):
        for j in range(q):
            at = j * q + j
            add_split_products(q - j, rows[i * q + j], rows + i * q + j, high + at, low + at,
                               last + at)
    for j in range(q):
        at = j * q + j
        join(q - j, high + at, low + at, last + at)
    for j in range(q):
        for k in range(j):
            high[j * q + k], low[j * q + k] = high[k * q + j], low[k * q + j]


cdef public Py_ssize_t equation_size(Py_ssize_t p, Py_ssize_t m, Py_ssize_t r) noexcept nogil:
    """Doubles that the arrays take."""
    return 2 * (p + m) * (p + m) + (p + m) + p * r + p + (5 * p + r) * (m + p)


cdef void set_places(Equations* e, double* memory) noexcept nogil:
    cdef sz q = e.p + e.m, unknowns = e.p * e.s
    e.high = memory
    e.low = e.high + q * q
    e.factor = e.low + q * q
    e.root = e.factor + q
    e.spread = e.root + e.p * e.r
    e.x = e.spread + e.p
    e.x_low = e.x + unknowns
    e.left = e.x_low + unknowns
    e.left_low = e.left + unknowns
    e.left_last = e.left_low + unknowns
    e.turned = e.left_last + unknowns


cdef void scale_equations(Equations* e, const double* high, const double* low,
                          const double* root, const double* coefficients) noexcept nogil:
    """Copy all that is given in the scale of the equations; x is what it starts from."""
    cdef sz i, j, k, q = e.p + e.m
    cdef int exponent
    for i in range(q):
        frexp(sqrt(high[i * q + i]), &exponent)
        e.factor[i] = ldexp(1.0, -exponent)
    for i in range(q):
        for j in range(q):
            e.high[i * q + j] = high[i * q + j] * (e.factor[i] * e.factor[j])
            e.low[i * q + j] = low[i * q + j] * (e.factor[i] * e.factor[j])
    for i in range(e.p):
        e.spread[i] = 0
        for j in range(e.r):
            e.root[i * e.r + j] = root[i * e.r + j] / e.factor[i]
            e.spread[i] += e.root[i * e.r + j] * e.root[i * e.r + j]
        e.spread[i] = sqrt(e.spread[i])
    memset(e.x, 0, 2 * e.p * e.s * sizeof(double))
    for i in range(e.p):
        for j in range(e.m):
            e.x[i * e.s + j] = coefficients[i * e.m + j] / e.factor[i] * e.factor[e.p + j]
        for k in range(e.p):
            for j in range(e.r):
                e.x[i * e.s + e.m + k] += e.root[i * e.r + j] * e.root[k * e.r + j]


cdef void find_left(Equations* e) noexcept nogil:
    """left = sides - G x, rounded."""
    cdef sz i, j, t, q = e.p + e.m
    cdef double g, g_low
    cdef double* left
    cdef double* low
    cdef double* last
    memset(e.left, 0, 3 * e.p * e.s * sizeof(double))
    for i in range(e.p):
        left, low, last = e.left + i * e.s, e.left_low + i * e.s, e.left_last + i * e.s
        for j in range(e.m):
            left[j], low[j] = e.high[i * q + e.p + j], e.low[i * q + e.p + j]
        left[e.m + i] = 1
        for t in range(e.p):
            g, g_low = -e.high[i * q + t], e.low[i * q + t]
            add_split_products(e.s, g, e.x + t * e.s, left, low, last)
            add_split_products(e.s, g, e.x_low + t * e.s, left, low, last)
            add_split_products(e.s, -g_low, e.x + t * e.s, left, low, last)
        for j in range(e.s):
            left[j] = left[j] + (low[j] + last[j])


cdef double find_correction(Equations* e) noexcept nogil:
    """root root' left, in the place of left_low; returns its size as a share of x."""
    cdef sz i, j, k
    cdef double c, size, largest = 0, share
    for k in range(e.r):
        for j in range(e.s):
            e.turned[k * e.s + j] = 0
    for i in range(e.p):
        for k in range(e.r):
            for j in range(e.s):
                e.turned[k * e.s + j] += e.root[i * e.r + k] * e.left[i * e.s + j]
    for j in range(e.s):
        size, share = 0, 0
        for i in range(e.p):
            c = 0
            for k in range(e.r):
                c += e.root[i * e.r + k] * e.turned[k * e.s + j]
            e.left_low[i * e.s + j] = c
            size = fmax(size, fabs(e.x[i * e.s + j]) / e.spread[i])
            if not fabs(c) / e.spread[i] <= share:  # nan stays
                share = fabs(c) / e.spread[i]
        share = share / (size if size > 0 else 1)
        if not share <= largest:
            largest = share
    return largest


cdef void add_correction(Equations* e) noexcept nogil:
    """Add to x what `find_correction` has found."""
    cdef sz i
    for i in range(e.p * e.s):
        e.x[i] = add_double(e.x[i], e.left_low[i], &e.x_low[i])


cdef bint solve_equations(Equations* e) noexcept nogil:
    """x corrected until nothing is left to correct; False where corrections do not shrink."""
    cdef double first = 0, before = 1, size
    cdef int step
    cdef sz i
    for step in range(CORRECTIONS):
        find_left(e)
        size = find_correction(e)
        if not size < before / 2:
            # As small as they get; of use if that is smaller than what was wrong at first.
            if step == 0 or not before < OF_USE * first:
                return False
            break
        if step == 0:
            first = size
        add_correction(e)
        if size * size / before < RIGHT:  # the size the next one would have
            break
        before = size
    for i in range(e.p * e.s):
        e.x[i] = e.x[i] + e.x_low[i]
    memset(e.x_low, 0, e.p * e.s * sizeof(double))
    find_left(e)
    return True


cdef double squares_left(Equations* e, sz response) noexcept nogil:
    """|y - X b|^2 = y'y - b'X'y - b'(X'y - X'X b), of which the last part is small."""
    cdef sz i, q = e.p + e.m, y = e.p + response
    cdef double b, total = e.high[y * q + y], error = e.low[y * q + y], last = 0
    for i in range(e.p):
        b = -e.x[i * e.s + response]
        add_split_products(1, b, &e.high[i * q + y], &total, &error, &last)
        add_split_products(1, b, &e.low[i * q + y], &total, &error, &last)
        add_split_products(1, b, &e.left[i * e.s + response], &total, &error, &last)
    return fmax(total + (error + last), 0.0)


cdef public bint correct_equations(Equations* e, double* memory, const double* high,
                                   const double* low, const double* root, double* coefficients,
                                   double* covariance, double* squares) noexcept nogil:
    """Correct coefficients and covariance; see `correct_least_squares` in calls/."""
    cdef sz i, j
    e.s = e.m + e.p
    set_places(e, memory)
    scale_equations(e, high, low, root, coefficients)
    if not solve_equations(e):
        return False
    for i in range(e.p):
        for j in range(e.m):
            coefficients[i * e.m + j] = e.x[i * e.s + j] * e.factor[i] / e.factor[e.p + j]
        for j in range(e.p):
            covariance[i * e.p + j] = ((e.x[i * e.s + e.m + j] + e.x[j * e.s + e.m + i]) / 2
                                       * e.factor[i] * e.factor[j])
    for j in range(e.m):
        squares[j] = squares_left(e, j) / e.factor[e.p + j] / e.factor[e.p + j]
    return True
