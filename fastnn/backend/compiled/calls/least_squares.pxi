# Least squares in twice the working precision, behind fastnn.stats.


def add_gram(const double[:, ::1] rows, double[:, ::1] high, double[:, ::1] low):
    """Add rows' rows to high + low; rows has shape (n, q), the others (q, q)."""
    cdef Py_ssize_t q = rows.shape[1]
    cdef double[:, ::1] last = _np.zeros((q, q))
    with nogil:
        add_gram_rows(rows.shape[0], q, &rows[0, 0], &high[0, 0], &low[0, 0], &last[0, 0])


def correct_least_squares(const double[:, ::1] high, const double[:, ::1] low,
                          const double[:, ::1] root, double[:, ::1] coefficients,
                          double[:, ::1] covariance, double[::1] squares):
    """Correct coefficients and covariance, and set the residual sums of squares.

    high + low is [X y]'[X y], (p + m, p + m), and root (p, r) such that root root' is about
    (X'X)^-1.  False where corrections do not shrink: nothing has changed then.
    """
    cdef Equations e
    cdef double[::1] memory
    cdef bint solved
    e.p, e.m, e.r = root.shape[0], coefficients.shape[1], root.shape[1]
    if e.p == 0 or e.m == 0:
        return False
    memory = _np.empty(equation_size(e.p, e.m, e.r))
    with nogil:
        solved = correct_equations(&e, &memory[0], &high[0, 0], &low[0, 0], &root[0, 0],
                                   &coefficients[0, 0], &covariance[0, 0], &squares[0])
    return bool(solved)
