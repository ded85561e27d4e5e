# Losses of a batch with their gradients.
#
# The total is summed in double, in the order of the rows.  A row whose weight is 0 has no
# influence on it, whatever its predictions.

from libc.stdint cimport int64_t
from libc.string cimport memset

from fastnn.backend.compiled.rows.columns cimport cross_entropy_label_columns
from fastnn.backend.compiled.rows.losses cimport (
    cross_entropy_label_row, cross_entropy_target_row, elementwise_loss_row, target_weight_row
)
from fastnn.facts import losses as _losses

include "../generated/loss_codes.pxi"  # _loss_codes


cdef struct LossOutputs:
    # Where a batch of losses goes; pointers are NULL for what is not wanted.
    double factor      # of the weighted sum: 1 over the sum of weights for a mean
    double total
    real* losses
    real* gradient


cdef const real* pointer_to(const real[::1] values) noexcept:
    """The first element of an array, or NULL for None."""
    if values is None:
        return NULL
    return &values[0]


cdef tuple _reductions = ("mean", "sum", "half_sum")


cdef LossOutputs loss_outputs(reduction, double weight, real[::1] losses,
                              real[:, ::1] gradient) except *:
    """`weight` is the sum of the weights of all terms."""
    cdef LossOutputs out
    if reduction == "mean":
        out.factor = 1 / weight if weight != 0 else 0
    elif reduction == "sum":
        out.factor = 1
    elif reduction == "half_sum":
        out.factor = 0.5
    else:
        raise ValueError(f"reduction is {reduction!r}, expected one of {', '.join(_reductions)}")
    out.total = 0
    out.losses = NULL if losses is None else &losses[0]
    out.gradient = NULL if gradient is None else &gradient[0, 0]
    return out


cdef inline double total_weight(Py_ssize_t n, const real* weights) noexcept nogil:
    """Sum of the sample weights, which are 1 where there are none."""
    cdef double total = 0
    cdef Py_ssize_t i
    if weights == NULL:
        return <double>n
    for i in range(n):
        total += weights[i]
    return total


cdef inline real* gradient_row(const LossOutputs* out, Py_ssize_t start,
                               double weight) noexcept nogil:
    """Where the gradient of the row at element `start` goes: nowhere if it has no weight."""
    return out.gradient + start if out.gradient != NULL and weight != 0 else NULL


cdef inline void finish_row(LossOutputs* out, Py_ssize_t i, Py_ssize_t start, Py_ssize_t n,
                            double weight, real loss) noexcept nogil:
    """Note the loss of row i, n elements from `start`; without weight its gradient is zero."""
    if out.losses != NULL:
        out.losses[i] = loss
    if weight != 0:
        out.total += weight * loss
    elif out.gradient != NULL:
        memset(out.gradient + start, 0, n * sizeof(real))


cdef Py_ssize_t first_wrong_label(Py_ssize_t n, const int64_t* labels, Py_ssize_t n_classes,
                                  bint ignores, int64_t ignore_index) noexcept nogil:
    """The first label that is neither a class nor ignored; n if there is none."""
    cdef Py_ssize_t i
    for i in range(n):
        if not 0 <= labels[i] < n_classes and not (ignores and labels[i] == ignore_index):
            return i
    return n


cdef int check_labels(const int64_t[::1] labels, Py_ssize_t n_classes, bint ignores,
                      int64_t ignore_index) except -1:
    """Raise ValueError for the first label that is neither a class nor ignored."""
    cdef Py_ssize_t n = labels.shape[0]
    cdef Py_ssize_t i = n
    if n > 0:
        i = first_wrong_label(n, &labels[0], n_classes, ignores, ignore_index)
    if i < n:
        raise ValueError(f"labels must be integers from 0 to {n_classes - 1}, "
                         f"got labels[{i}] = {labels[i]}")
    return 0


# ------------------------------------------------------------------------ cross-entropy


cdef struct LabelBatch:
    Py_ssize_t n
    Py_ssize_t K
    const real* logits
    const int64_t* labels
    real smoothing
    const real* weights
    const real* class_weights
    bint ignores
    int64_t ignore_index


cdef void plain_batch(LabelBatch* batch, Py_ssize_t n, Py_ssize_t K, const real* logits,
                      const int64_t* labels) noexcept:
    """A batch without weights, smoothing and ignored labels."""
    batch.n, batch.K, batch.logits, batch.labels = n, K, logits, labels
    batch.weights, batch.class_weights = NULL, NULL
    batch.smoothing = 0
    batch.ignores, batch.ignore_index = False, -1


cdef inline bint counts(const LabelBatch* batch, int64_t label) noexcept nogil:
    """Whether a label is a class.  Labels were checked, but other threads may write to them."""
    return 0 <= label < batch.K and not (batch.ignores and label == batch.ignore_index)


cdef inline double label_weight(const LabelBatch* batch, Py_ssize_t i,
                                int64_t label) noexcept nogil:
    """The effective weight of row i: its own times its class's, 0 where it is ignored."""
    cdef double weight = 1
    if not counts(batch, label):
        return 0
    if batch.weights != NULL:
        weight = batch.weights[i]
    if batch.class_weights != NULL:
        weight *= batch.class_weights[label]
    return weight


def cross_entropy_labels(const real[:, ::1] logits, const int64_t[::1] labels,
                         const real[::1] weights, const real[::1] class_weights,
                         double label_smoothing, ignore_index, reduction, real[::1] losses,
                         real[:, ::1] gradient):
    """Softmax cross-entropy with integer labels; returns the reduced loss.

    l_i = -sum_k q_ik log(softmax(logits_i))_k with q_i = (1 - s) onehot(labels_i) + s / K.
    `losses` receives l_i, unweighted, and `gradient` the derivative of the returned loss.
    Rows labelled `ignore_index` have no influence.  ValueError for any other label that is
    not a class, before anything is written.
    """
    cdef LabelBatch batch
    cdef LossOutputs out
    cdef Py_ssize_t i
    cdef double weight = 0
    plain_batch(&batch, logits.shape[0], logits.shape[1], &logits[0, 0], &labels[0])
    batch.weights = pointer_to(weights)
    batch.class_weights = pointer_to(class_weights)
    batch.smoothing = <real>label_smoothing
    batch.ignores = ignore_index is not None
    if batch.ignores:
        batch.ignore_index = ignore_index
    check_labels(labels, batch.K, batch.ignores, batch.ignore_index)
    for i in range(batch.n):
        weight += label_weight(&batch, i, labels[i])
    out = loss_outputs(reduction, weight, losses, gradient)
    with nogil:
        label_losses(&batch, &out)
    return out.total * out.factor if out.factor != 0 else 0.0


cdef void label_losses(const LabelBatch* batch, LossOutputs* out) noexcept nogil:
    """Losses and gradients of a batch with labels: short rows without weights VL at a time."""
    cdef Py_ssize_t i = 0, K = batch.K
    cdef int64_t label
    cdef double weight
    cdef real loss
    if K <= BLOCK and batch.weights == NULL and batch.class_weights == NULL and not batch.ignores:
        while i + VL <= batch.n:
            label_columns(batch, i, out)
            i += VL
    while i < batch.n:
        loss = 0
        label = batch.labels[i]
        weight = label_weight(batch, i, label)
        if counts(batch, label):
            loss = cross_entropy_label_row(
                K, batch.logits + i * K, label, batch.smoothing,
                <real>(weight * out.factor), gradient_row(out, i * K, weight), False)
        finish_row(out, i, i * K, K, weight, loss)
        i += 1


cdef inline void label_columns(const LabelBatch* batch, Py_ssize_t first,
                               LossOutputs* out) noexcept nogil:
    """VL rows from `first`, of weight 1."""
    cdef real labels[BLOCK]
    cdef real losses[BLOCK]
    cdef Py_ssize_t i, start = first * batch.K
    for i in range(VL):
        labels[i] = <real>batch.labels[first + i]
    cross_entropy_label_columns(batch.K, batch.logits + start, batch.K, load(labels),
                                batch.smoothing, <real>out.factor, losses,
                                gradient_row(out, start, 1), batch.K)
    for i in range(VL):
        finish_row(out, first + i, start + i * batch.K, batch.K, 1, losses[i])


def cross_entropy_rows(const real[:, ::1] logits, const real[:, ::1] targets,
                       const real[::1] weights, const real[::1] class_weights,
                       double label_smoothing, reduction, real[::1] losses,
                       real[:, ::1] gradient):
    """Softmax cross-entropy with rows of targets, which need not sum to 1.

    l_i = -sum_k u_k y_ik log(softmax(logits_i))_k with y_i = (1 - s) t_i + s / K sum(t_i) and
    class weights u.  A logit of -inf contributes nothing where y is 0.
    """
    cdef const real* sample_weights = pointer_to(weights)
    cdef const real* u = pointer_to(class_weights)
    cdef Py_ssize_t i, K = logits.shape[1]
    cdef LossOutputs out = loss_outputs(
        reduction, total_weight(logits.shape[0], sample_weights), losses, gradient)
    cdef double weight = 1
    cdef real loss
    with nogil:
        for i in range(logits.shape[0]):
            if sample_weights != NULL:
                weight = sample_weights[i]
            loss = cross_entropy_target_row(
                K, &logits[i, 0], &targets[i, 0], u, <real>label_smoothing,
                <real>(weight * out.factor), gradient_row(&out, i * K, weight), False)
            finish_row(&out, i, i * K, K, weight, loss)
    return out.total * out.factor if out.factor != 0 else 0.0


# -------------------------------------------------------------------- elementwise losses


def elementwise_loss(name, const real[:, ::1] prediction, const real[:, ::1] target,
                     const real[::1] weights, const real[::1] class_weights, double parameter,
                     ignore_value, reduction, real[::1] losses, real[:, ::1] gradient):
    """A loss that is a sum over elements; returns the reduced loss.

    `name` is that of a row of `fastnn.facts.losses`, which says what `parameter` is.  Targets
    equal to `ignore_value` (nan: those that are nan) have no influence.
    """
    cdef int code = loss_code(name)
    cdef const real* sample_weights = pointer_to(weights)
    cdef const real* u = pointer_to(class_weights)
    cdef bint ignores = ignore_value is not None
    cdef real ignored = ignore_value if ignores else 0
    cdef Py_ssize_t size = prediction.shape[0] * prediction.shape[1]
    cdef Py_ssize_t i = 0, start = 0, n = prediction.shape[1]
    cdef double weight = element_weights(target, sample_weights, u, ignores, ignored)
    cdef LossOutputs out = loss_outputs(reduction, weight, losses, gradient)
    cdef real loss
    weight = 1
    if sample_weights == NULL and losses is None:
        n = 256  # rows do not matter: narrow ones go together
    with nogil:
        while start < size:
            n = min(n, size - start)
            if sample_weights != NULL:
                weight = sample_weights[i]
            loss = elementwise_loss_row(
                code, <real>parameter, u, ignores, ignored, n, &prediction[0, 0] + start,
                &target[0, 0] + start, <real>(weight * out.factor),
                gradient_row(&out, start, weight), False)
            finish_row(&out, i, start, n, weight, loss)
            i += 1
            start += n
    return out.total * out.factor if out.factor != 0 else 0.0


cdef int loss_code(name) except -1:
    """The code of an elementwise loss; ValueError if it is none."""
    _losses.formula_of(name)
    return _loss_codes[name]


cdef double element_weights(const real[:, ::1] target, const real* weights,
                            const real* class_weights, bint ignores,
                            real ignore_value) noexcept nogil:
    """Sum of the weights of all elements."""
    cdef Py_ssize_t i, K = target.shape[1]
    cdef double total = 0, share
    if class_weights == NULL and not ignores:
        return K * total_weight(target.shape[0], weights)
    for i in range(target.shape[0]):
        share = target_weight_row(class_weights, ignores, ignore_value, K, &target[i, 0])
        total += weights[i] * share if weights != NULL else share
    return total
