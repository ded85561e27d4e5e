# The Durbin-Watson statistic and what its exact law is computed from, behind fastnn.stats.


def squared_differences(const real[:, :, :] x, Py_ssize_t lag, double[:, :, ::1] out):
    """out[0] = sum over j of (x[:, j] - x[:, j - lag])^2 and out[1] = sum of x[:, j]^2.

    x has shape (outer, n, inner) and any strides; the sums are of float64 in either dtype.
    """
    cdef Differences work
    cdef double[::1] scratch = _np.empty(4 * x.shape[2])
    cdef int i
    for i in range(3):
        work.strides[i] = x.strides[i] // <Py_ssize_t>sizeof(real)
    work.x, work.lag = &x[0, 0, 0], lag
    work.outer, work.n, work.inner = x.shape[0], x.shape[1], x.shape[2]
    work.out, work.scratch = &out[0, 0, 0], &scratch[0]
    with nogil:
        sum_differences(&work)


cdef int resolvent_threads(Py_ssize_t n, Py_ssize_t k, Py_ssize_t groups) noexcept:
    """Threads: no more than groups of shifts, and one for every 4 million multiply-adds."""
    cdef int limit = most_threads()
    cdef double work = 2.0 * n * k * (k + 4) * groups * vector_length()
    if limit <= 1 or IN_PARALLEL():
        return 1
    return <int>min(<double>min(<Py_ssize_t>limit, groups), 1 + work / 4e6)


def difference_resolvent(const real[:, ::1] columns, Py_ssize_t lag, const real[:, ::1] shifts,
                         real[:, :, :, ::1] out):
    """out[s] = Q' (x I - A)^-1 Q for Q = columns and the complex number x = shifts[s].

    Complex numbers are pairs along a last axis.  Rows stream by once for each group of shifts.
    """
    cdef Resolvent work
    cdef Py_ssize_t together = vector_length()  # a shift in each lane
    cdef Py_ssize_t groups = (shifts.shape[0] + together - 1) // together
    cdef int parts = resolvent_threads(columns.shape[0], columns.shape[1], groups)
    cdef real[::1] scratch
    work.columns, work.n, work.k = &columns[0, 0], columns.shape[0], columns.shape[1]
    work.lag = lag
    work.shifts, work.n_shifts = &shifts[0, 0], shifts.shape[0]
    work.out = &out[0, 0, 0, 0]
    set_scratch(&work)
    scratch = _np.empty(parts * work.scratch_size, REAL_DTYPE)
    work.scratch = &scratch[0]
    with nogil:
        resolvent_team(&work, parts)
