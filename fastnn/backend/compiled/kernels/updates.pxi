# One optimizer step over flat arrays, in place; calls/updates.pxi has the functions of Python.

from libc.math cimport isfinite, sqrt

from fastnn.backend.compiled.rows.updates cimport (
    LEAST_FACTOR, NORM_UNIT, State, Update, apply_update, scale_row, scaled_sum_of_squares,
    sum_of_squares,
)


cdef public void update_arrays(const Update* update, Py_ssize_t n, const real* gradient,
                               const State* state) noexcept nogil:
    """One step of n parameters."""
    apply_update(update, n, gradient, state)


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
