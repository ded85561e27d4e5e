# The one copy of each of the larger functions of a row, which kernels and the engine both call.
#
# Functions in a .pxd file are inlined wherever they are called.  A call costs a nanosecond, a
# second copy of these several kilobytes and their compile time.

from fastnn.backend.compiled.rows.losses cimport (
    ElementRule, choose_element_row, cross_entropy_label_row, cross_entropy_target_row,
    weighted_label_row,
)
from fastnn.backend.compiled.rows.rows cimport log_softmax_row, softmax_row


cdef void softmax_of(sz K, const real* z, real* out) noexcept nogil:
    softmax_row(K, z, out)


cdef void log_softmax_of(sz K, const real* z, real* out) noexcept nogil:
    log_softmax_row(K, z, out)


cdef real label_loss(sz K, const real* z, sz label, const real* class_weights, real smoothing,
                     real coefficient, real* gradient, bint accumulate) noexcept nogil:
    """`weighted_label_row`, or `cross_entropy_label_row` where class_weights is NULL."""
    if class_weights != NULL:
        return weighted_label_row(K, z, label, class_weights, smoothing, coefficient, gradient,
                                  accumulate)
    return cross_entropy_label_row(K, z, label, smoothing, coefficient, gradient, accumulate)


cdef real target_loss(sz K, const real* z, const real* target, const real* class_weights,
                      real smoothing, real coefficient, real* gradient,
                      bint accumulate) noexcept nogil:
    """`cross_entropy_target_row`."""
    return cross_entropy_target_row(K, z, target, class_weights, smoothing, coefficient, gradient,
                                    accumulate)


cdef real element_loss_row(int code, const ElementRule* rule, sz K, const real* prediction,
                           const real* target, real coefficient, real* gradient,
                           bint accumulate) noexcept nogil:
    """The sum of an elementwise loss over the row."""
    return choose_element_row(code, rule, K, prediction, target, coefficient, gradient, accumulate)
