# Losses of a batch with their gradients; calls/losses.pxi has the functions of Python.
#
# The total is summed in double, in the order of the rows.  A row whose weight is 0 has no
# influence on it, whatever its predictions.

from libc.stdint cimport int64_t
from libc.string cimport memset

from fastnn.backend.compiled.kernels.structures cimport *
from fastnn.backend.compiled.rows.columns cimport cross_entropy_label_columns
from fastnn.backend.compiled.rows.losses cimport ElementRule, target_weight_row


cdef inline real* gradient_row(const LossOutputs* out, Py_ssize_t start,
                               double weight) noexcept nogil:
    """Where the gradient of the row at element `start` goes: nowhere if it has no weight."""
    return out.gradient + start if out.gradient != NULL and weight != 0 else NULL


cdef inline void finish_row(LossOutputs* out, Py_ssize_t i, Py_ssize_t start, Py_ssize_t n,
                            double weight, real loss) noexcept nogil:
    """Note the loss of row i, n elements from `start`; without weight its gradient is zero."""
    if out.losses != NULL:
        out.losses[i] = loss
    add_row(out, start, n, weight, loss)


cdef inline void add_row(LossOutputs* out, Py_ssize_t start, Py_ssize_t n, double weight,
                         real loss) noexcept nogil:
    """Add the loss of the n elements from `start`; without weight their gradient is zero."""
    if weight != 0:
        out.total += weight * loss
    elif out.gradient != NULL:
        memset(out.gradient + start, 0, n * sizeof(real))


# ------------------------------------------------------------------------ cross-entropy


cdef public void label_losses(const LabelBatch* batch, LossOutputs* out) noexcept nogil:
    """Losses and gradients of a batch with labels: short rows without weights VL at a time."""
    cdef Py_ssize_t i = 0, K = batch.K
    cdef int64_t label
    cdef double weight
    cdef real loss
    # With smoothing, class weights are factors of the terms of a row; else of the row.
    cdef const real* terms = batch.class_weights if batch.smoothing != 0 else NULL
    if K <= BLOCK and batch.weights == NULL and batch.class_weights == NULL and not batch.ignores:
        while i + VL <= batch.n:
            label_columns(batch, i, out)
            i += VL
    while i < batch.n:
        loss = 0
        label = batch.labels[i]
        if terms == NULL:
            weight = label_weight(batch, i, label)
        else:
            weight = sample_weight(batch, i, label)
        if counts(batch, label):
            loss = label_loss(
                K, batch.logits + i * K, label, terms, batch.smoothing,
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


cdef public void target_losses(const TargetBatch* batch, LossOutputs* out) noexcept nogil:
    """Losses and gradients of a batch with rows of targets."""
    cdef Py_ssize_t i, start, K = batch.K
    cdef double weight = 1
    cdef real loss
    for i in range(batch.n):
        start = i * K
        if batch.weights != NULL:
            weight = batch.weights[i]
        loss = target_loss(
            K, batch.predictions + start, batch.targets + start, batch.class_weights,
            batch.parameter, <real>(weight * out.factor), gradient_row(out, start, weight), False)
        finish_row(out, i, start, K, weight, loss)


# -------------------------------------------------------------------- elementwise losses


cdef inline ElementRule rule_of(const TargetBatch* batch) noexcept nogil:
    cdef ElementRule rule
    rule.parameter, rule.class_weights = batch.parameter, batch.class_weights
    rule.columns = batch.columns
    rule.ignores, rule.ignore_value = batch.ignores, batch.ignored
    rule.weights, rule.losses = NULL, NULL
    return rule


cdef public void element_losses(const TargetBatch* batch, LossOutputs* out) noexcept nogil:
    """Losses and gradients of a loss that is a sum over elements, which `out.losses` are of."""
    cdef Py_ssize_t i = 0, start = 0, n = batch.K, size = batch.n * batch.K
    cdef double weight = 1
    cdef real loss
    cdef ElementRule rule = rule_of(batch)
    if batch.weights == NULL and batch.columns == NULL:
        n = 256  # rows do not matter: narrow ones go together
    while start < size:
        n = min(n, size - start)
        if batch.weights != NULL:
            weight = batch.weights[i]
        if batch.element_weights != NULL:
            rule.weights = batch.element_weights + start
        if out.losses != NULL:
            rule.losses = out.losses + start
        loss = element_loss_row(
            batch.code, &rule, n, batch.predictions + start, batch.targets + start,
            <real>(weight * out.factor), gradient_row(out, start, weight), False)
        add_row(out, start, n, weight, loss)
        i += 1
        start += n


cdef public double element_weights(const TargetBatch* batch) noexcept nogil:
    """Sum of the weights of all elements, where they differ within a row."""
    cdef Py_ssize_t i, start
    cdef double total = 0, share
    cdef ElementRule rule = rule_of(batch)
    for i in range(batch.n):
        start = i * batch.K
        if batch.element_weights != NULL:
            rule.weights = batch.element_weights + start
        share = target_weight_row(&rule, batch.K, batch.targets + start)
        total += batch.weights[i] * share if batch.weights != NULL else share
    return total
