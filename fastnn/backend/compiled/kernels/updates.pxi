# One optimizer step over flat arrays, in place; calls/updates.pxi has the functions of Python.

from libc.math cimport isfinite, sqrt

from fastnn.backend.compiled.rows.updates cimport (
    LEAST_FACTOR, MAX_SLOTS, NORM_UNIT, State, Update, scale_row, scaled_sum_of_squares,
    sum_of_squares, update_tile,
)

cdef enum:
    PENALIZED = 512  # parameters whose penalty is added to the gradient at a time


cdef public void update_arrays(const Update* update, Py_ssize_t n, real l2, const real* gradient,
                               const State* state) noexcept nogil:
    """One step of n parameters with the gradient g + l2 p."""
    cdef real penalized[PENALIZED]
    cdef State part = state[0]
    cdef Py_ssize_t start = 0, count
    cdef int i
    while start < n:
        # 0 times an infinite parameter is nan: without a penalty the gradient stays what it is.
        count = n if l2 == 0 else min(n - start, <Py_ssize_t>PENALIZED)
        if l2 != 0:
            add_penalty(count, l2, part.parameters, gradient + start, penalized)
        update_tile(update, 1, count, gradient if l2 == 0 else penalized, 0, &part, 0)
        start += count
        part.parameters += count
        for i in range(MAX_SLOTS):
            if part.slots[i] != NULL:
                part.slots[i] += count


cdef void add_penalty(Py_ssize_t n, real l2, const real* p, const real* g,
                      real* out) noexcept nogil:
    """out = g + l2 p."""
    cdef Py_ssize_t j = 0
    while j < n:
        put(out + j, n - j, fma_(splat(l2), take(p + j, n - j, 0), take(g + j, n - j, 0)), False)
        j += VL


cdef public double clip_array(Py_ssize_t n, real* g, double max_norm) noexcept nogil:
    """Scale g so that its Euclidean norm is at most max_norm; returns the norm before."""
    cdef double unit = 1, norm = sqrt(sum_of_squares(n, g)), factor
    if not isfinite(norm):
        unit, norm = NORM_UNIT, sqrt(scaled_sum_of_squares(n, g))
    if norm > max_norm * unit and isfinite(norm):
        factor = max_norm * unit / norm
        if factor < LEAST_FACTOR:  # in two steps: it may be no normal number
            scale_row(n, <real>LEAST_FACTOR, g)
            factor /= LEAST_FACTOR
        scale_row(n, <real>factor, g)
    return norm / unit
