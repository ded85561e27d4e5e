# The Durbin-Watson statistic and what its exact law is computed from, behind fastnn.stats;
# fastnn.backend.reference.statistics specifies both kernels, calls/statistics.pxi has the
# functions of Python.
#
# A is the matrix of e' A e = sum (e[t] - e[t - lag])^2.  It couples only elements `lag` apart:
# it is `lag` interleaved chains, each tridiagonal with -1 beside the diagonal and, on it, 1 at
# both ends and 2 between (0 for a chain of a single element).

cdef enum:
    STATISTIC_LANES = 16     # partial sums, in one order whatever the instruction set
    STATISTIC_CHUNK = 2048   # elements before these are added up
    STATISTIC_COLUMNS = 64   # whose sums are on the stack
    RESOLVENT_ROWS = 16      # rows that wait for their turn in the sum of products


# ------------------------------------------------------------------- sums of squares

cdef struct Neumaier:
    # A sum and the rounding errors it has made so far.
    double total
    double error


cdef inline void add_term(Neumaier* s, double term) noexcept nogil:
    """Neumaier's compensated addition."""
    cdef double total = s.total + term
    if fabs(s.total) >= fabs(term):
        s.error += (s.total - total) + term
    else:
        s.error += (term - total) + s.total
    s.total = total


cdef inline double compensated(const Neumaier* s) noexcept nogil:
    """The sum; an overflow stays infinite, though its error term is a nan."""
    return s.total + s.error if isfinite(s.total) else s.total


cdef inline double chunk_of_squares(sz n, const real* x, const real* before,
                                    sz step) noexcept nogil:
    """sum (x[i step] - before[i step])^2 for i below n, or of x^2 where before is NULL."""
    cdef double lanes[STATISTIC_LANES]
    cdef double e, total = 0
    cdef sz i = 0
    cdef int j
    for j in range(STATISTIC_LANES):
        lanes[j] = 0
    while i + STATISTIC_LANES <= n:
        for j in range(STATISTIC_LANES):
            e = x[(i + j) * step]
            if before != NULL:
                e = e - before[(i + j) * step]
            lanes[j] = lanes[j] + e * e
        i += STATISTIC_LANES
    for j in range(<int>(n - i)):
        e = x[(i + j) * step]
        if before != NULL:
            e = e - before[(i + j) * step]
        lanes[j] = lanes[j] + e * e
    for j in range(STATISTIC_LANES):
        total += lanes[j]
    return total


cdef inline double chunk(sz n, const real* x, const real* before, sz step) noexcept nogil:
    """`chunk_of_squares`, in vectors where elements are contiguous."""
    if before == NULL:
        if step == 1:
            return chunk_of_squares(n, x, NULL, 1)
        return chunk_of_squares(n, x, NULL, step)
    if step == 1:
        return chunk_of_squares(n, x, before, 1)
    return chunk_of_squares(n, x, before, step)


cdef public void sum_differences(const Differences* work) noexcept nogil:
    """out[0] = sum over j of (x[:, j] - x[:, j - lag])^2 and out[1] = sum of x[:, j]^2."""
    cdef sz i, j, start, stop, first, n = work.n, inner = work.inner, lag = work.lag
    cdef sz step = work.strides[1], squares_at = work.outer * inner
    cdef const real* column
    cdef Neumaier few[2 * STATISTIC_COLUMNS]
    cdef Neumaier* differences = few
    cdef Neumaier* squares
    if inner > STATISTIC_COLUMNS:
        differences = <Neumaier*>work.scratch
    squares = differences + inner
    for i in range(work.outer):
        memset(differences, 0, 2 * inner * sizeof(Neumaier))
        start = 0
        while start < n:  # all columns of some rows, which share cache lines
            stop = min(start + STATISTIC_CHUNK, n)
            first = max(start, lag)
            for j in range(inner):
                column = work.x + i * work.strides[0] + j * work.strides[2]
                add_term(&squares[j], chunk(stop - start, column + start * step, NULL, step))
                if first < stop:
                    add_term(&differences[j], chunk(stop - first, column + first * step,
                                                    column + (first - lag) * step, step))
            start = stop
        for j in range(inner):
            work.out[i * inner + j] = compensated(&differences[j])
            work.out[squares_at + i * inner + j] = compensated(&squares[j])


# -------------------------------------------------------------------------- resolvent

cdef struct Lanes:
    # The state of one thread: a shift in each lane, complex numbers as two vectors.
    vec x_re
    vec x_im
    sz k
    sz k_even                # columns of `weighted` and `sums`: k and, if odd, one of zeros
    sz n_waiting             # rows in `solved` and `weighted`
    real* current            # (k, 2): the last row of L^-1 Q
    real* solved             # (k, RESOLVENT_ROWS, 2): rows y of L^-1 Q
    real* weighted           # (k_even, RESOLVENT_ROWS, 2): y / pivot
    real* sums               # (k, k_even, 2), of which the upper triangle counts


cdef inline sz even(sz k) noexcept nogil:
    return (k + 1) // 2 * 2


cdef inline sz lanes_size(sz k) noexcept nogil:
    """Elements of a thread's scratch, with room for alignment."""
    cdef sz rows = 2 * RESOLVENT_ROWS
    return (2 * k + rows * k + rows * even(k) + 2 * k * even(k)) * VL + 16


cdef void start_lanes(Lanes* lanes, const Resolvent* work, sz first, int part) noexcept nogil:
    """A thread's scratch, empty, for the shifts from `first` on; the last one fills the rest."""
    cdef real* memory = work.scratch + part * work.scratch_size
    cdef real re[16]
    cdef real im[16]
    cdef sz k = work.k, i
    cdef int lane_number
    for lane_number in range(VL):
        i = min(first + lane_number, work.n_shifts - 1)
        re[lane_number] = work.shifts[2 * i]
        im[lane_number] = work.shifts[2 * i + 1]
    lanes.x_re = load(re)
    lanes.x_im = load(im)
    lanes.k = k
    lanes.k_even = even(k)
    lanes.n_waiting = 0
    lanes.current = aligned(memory)
    lanes.solved = lanes.current + 2 * k * VL
    lanes.weighted = lanes.solved + 2 * RESOLVENT_ROWS * k * VL
    lanes.sums = lanes.weighted + 2 * RESOLVENT_ROWS * lanes.k_even * VL
    memset(memory, 0, work.scratch_size * sizeof(real))


cdef void eliminate_chain(Lanes* lanes, const Resolvent* work, sz chain) noexcept nogil:
    """Forward elimination of one chain of x I - A = L D L', row by row.

    With r the reciprocal of a pivot, the next pivot is x - a - r and the next row of L^-1 Q is
    q - r y: A has -1 beside its diagonal, so r is the multiplier as well.
    """
    cdef sz k = lanes.k, t, i, slot, length = (work.n - chain + work.lag - 1) // work.lag
    cdef const real* q = work.columns + chain * k
    cdef vec r_re = splat(0), r_im = splat(0), d_re, d_im, scale, y_re, y_im, old_re, old_im, a
    cdef real* y
    cdef real* place
    memset(lanes.current, 0, 2 * k * VL * sizeof(real))
    for t in range(length):
        a = splat(0 if length == 1 else 1 if t == 0 or t == length - 1 else 2)
        d_re = lanes.x_re - a - r_re
        d_im = lanes.x_im - r_im
        slot = lanes.n_waiting
        for i in range(k):
            y = lanes.current + 2 * i * VL
            old_re = load(y)
            old_im = load(y + VL)
            y_re = fma_(r_im, old_im, fma_(-r_re, old_re, splat(q[i])))
            y_im = -fma_(r_im, old_re, r_re * old_im)
            store(y, y_re)
            store(y + VL, y_im)
        scale = splat(1) / fma_(d_re, d_re, d_im * d_im)
        r_re = d_re * scale
        r_im = -d_im * scale
        for i in range(k):
            y = lanes.current + 2 * i * VL
            y_re = load(y)
            y_im = load(y + VL)
            place = lanes.solved + 2 * (i * RESOLVENT_ROWS + slot) * VL
            store(place, y_re)
            store(place + VL, y_im)
            place = lanes.weighted + 2 * (i * RESOLVENT_ROWS + slot) * VL
            store(place, fma_(-r_im, y_im, r_re * y_re))
            store(place + VL, fma_(r_im, y_re, r_re * y_im))
        lanes.n_waiting += 1
        if lanes.n_waiting == RESOLVENT_ROWS:
            add_waiting(lanes)
        q += work.lag * k


cdef void add_waiting(Lanes* lanes) noexcept nogil:
    """Add y y' / pivot of the rows that wait to the sums, two columns at a time.

    Their sum is made first: a long sum in short pieces rounds like their number, not like n.
    """
    cdef sz i, j, slot, n = lanes.n_waiting
    cdef const real* y
    cdef const real* v
    cdef const real* w
    cdef vec y_re, y_im, w_re, w_im, a, b, c, d, e, f, g, h
    for i in range(lanes.k):
        j = i // 2 * 2
        while j < lanes.k:
            y = lanes.solved + 2 * i * RESOLVENT_ROWS * VL
            v = lanes.weighted + 2 * j * RESOLVENT_ROWS * VL
            w = v + 2 * RESOLVENT_ROWS * VL
            a = b = c = d = e = f = g = h = splat(0)
            for slot in range(n):
                y_re = load(y + 2 * slot * VL)
                y_im = load(y + (2 * slot + 1) * VL)
                w_re = load(v + 2 * slot * VL)
                w_im = load(v + (2 * slot + 1) * VL)
                a = fma_(y_re, w_re, a)
                b = fma_(y_im, w_im, b)
                c = fma_(y_re, w_im, c)
                d = fma_(y_im, w_re, d)
                w_re = load(w + 2 * slot * VL)
                w_im = load(w + (2 * slot + 1) * VL)
                e = fma_(y_re, w_re, e)
                f = fma_(y_im, w_im, f)
                g = fma_(y_re, w_im, g)
                h = fma_(y_im, w_re, h)
            add_complex(lanes.sums + 2 * (i * lanes.k_even + j) * VL, a - b, c + d)
            add_complex(lanes.sums + 2 * (i * lanes.k_even + j + 1) * VL, e - f, g + h)
            j += 2
    lanes.n_waiting = 0


cdef inline void add_complex(real* place, vec re, vec im) noexcept nogil:
    store(place, load(place) + re)
    store(place + VL, load(place + VL) + im)


cdef void put_lanes(const Lanes* lanes, const Resolvent* work, sz first) noexcept nogil:
    """The sums of each shift, both triangles, to `out`."""
    cdef sz i, j, k = lanes.k, s
    cdef int part
    cdef const real* total
    for s in range(first, min(first + VL, work.n_shifts)):
        for i in range(k):
            for j in range(i, k):
                total = lanes.sums + 2 * (i * lanes.k_even + j) * VL + (s - first)
                for part in range(2):
                    work.out[2 * ((s * k + i) * k + j) + part] = total[part * VL]
                    work.out[2 * ((s * k + j) * k + i) + part] = total[part * VL]


cdef void resolvent_worker(const Resolvent* work, int part, int parts) noexcept nogil:
    """Every parts-th group of shifts."""
    cdef Lanes lanes
    cdef sz first = part * VL, chain
    while first < work.n_shifts:
        start_lanes(&lanes, work, first, part)
        for chain in range(min(work.lag, work.n)):
            eliminate_chain(&lanes, work, chain)
        add_waiting(&lanes)
        put_lanes(&lanes, work, first)
        first += parts * VL


cdef void resolvent_member(const Resolvent* work, int part, int parts) noexcept nogil:
    """`resolvent_worker` in one mode of floating-point numbers in every thread."""
    cdef unsigned mode = enter_float_mode(PLAIN_FLOATS)
    resolvent_worker(work, part, parts)
    leave_float_mode(mode, PLAIN_FLOATS)


cdef public void set_scratch(Resolvent* work) noexcept nogil:
    """How many elements of scratch each thread needs."""
    work.scratch_size = lanes_size(work.k)


cdef public void resolvent_team(const Resolvent* work, int parts) noexcept nogil:
    if parts == 1:
        resolvent_member(work, 0, 1)
        return
    with parallel(num_threads=parts):
        resolvent_member(work, threadid(), TEAM_SIZE())
