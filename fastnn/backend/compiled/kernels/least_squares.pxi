# Least squares in twice the working precision, behind fastnn.stats;
# fastnn.backend.reference.refinement specifies both kernels.
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


def add_gram(const double[:, ::1] rows, double[:, ::1] high, double[:, ::1] low):
    """Add rows' rows to high + low; rows has shape (n, q), the others (q, q)."""
    cdef sz i, j, k, q = rows.shape[1]
    cdef double[:, ::1] last = _np.zeros((q, q))
    with nogil:
        for i in range(rows.shape[0]):
            for j in range(q):
                add_split_products(q - j, rows[i, j], &rows[i, j], &high[j, j], &low[j, j],
                                   &last[j, j])
        for j in range(q):
            join(q - j, &high[j, j], &low[j, j], &last[j, j])
        for j in range(q):
            for k in range(j):
                high[j, k], low[j, k] = high[k, j], low[k, j]


cdef struct Equations:
    # G x = [X'y, I], columns scaled to about unit length by powers of two, and their solution.
    sz p             # unknowns
    sz m             # responses
    sz r             # columns of the root
    sz s             # m + p, sides
    double* high     # (p + m, p + m)
    double* low
    double* factor   # (p + m) which the columns were multiplied by
    double* root     # (p, r)
    double* spread   # (p) lengths of its rows
    double* x        # (p, s)
    double* x_low
    double* left     # (p, s) of the sides
    double* left_low
    double* left_last
    double* turned   # (r, s)


cdef sz equation_size(sz p, sz m, sz r) noexcept nogil:
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


def correct_least_squares(const double[:, ::1] high, const double[:, ::1] low,
                          const double[:, ::1] root, double[:, ::1] coefficients,
                          double[:, ::1] covariance, double[::1] squares):
    """Correct coefficients and covariance, and set the residual sums of squares.

    high + low is [X y]'[X y], (p + m, p + m), and root (p, r) such that root root' is about
    (X'X)^-1.  False where corrections do not shrink: nothing has changed then.
    """
    cdef Equations e
    cdef sz i, j
    cdef double[::1] memory
    cdef bint solved
    e.p, e.m, e.r = root.shape[0], coefficients.shape[1], root.shape[1]
    e.s = e.m + e.p
    if e.p == 0 or e.m == 0:
        return False
    memory = _np.empty(equation_size(e.p, e.m, e.r))
    with nogil:
        set_places(&e, &memory[0])
        scale_equations(&e, &high[0, 0], &low[0, 0], &root[0, 0], &coefficients[0, 0])
        solved = solve_equations(&e)
        if solved:
            for i in range(e.p):
                for j in range(e.m):
                    coefficients[i, j] = e.x[i * e.s + j] * e.factor[i] / e.factor[e.p + j]
                for j in range(e.p):
                    covariance[i, j] = ((e.x[i * e.s + e.m + j] + e.x[j * e.s + e.m + i]) / 2
                                        * e.factor[i] * e.factor[j])
            for j in range(e.m):
                squares[j] = squares_left(&e, j) / e.factor[e.p + j] / e.factor[e.p + j]
    return bool(solved)
