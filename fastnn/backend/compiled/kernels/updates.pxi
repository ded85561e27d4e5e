# One optimizer step over flat arrays, in place; calls/updates.pxi has the functions of Python.

from libc.math cimport isfinite, sqrt

from fastnn.backend.compiled.rows.updates cimport (
    State, Update, apply_update, scale_row, sum_of_squares
)


cdef public void update_arrays(const Update* update, Py_ssize_t n, const real* gradient,
                               const State* state) noexcept nogil:
    """One step of n parameters."""
    apply_update(update, n, gradient, state)


cdef public double clip_array(Py_ssize_t n, real* g, double max_norm) noexcept nogil:
    """Scale g so that its Euclidean norm is at most max_norm; returns the norm before."""
    cdef double norm = sqrt(sum_of_squares(n, g))
    if norm > max_norm and isfinite(norm):
        scale_row(n, <real>(max_norm / norm), g)
    return norm
