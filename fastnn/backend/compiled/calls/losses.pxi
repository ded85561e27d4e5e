# Losses of a batch with their gradients.


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


cdef double total_weight(Py_ssize_t n, const real* weights) noexcept nogil:
    """Sum of the sample weights, which are 1 where there are none."""
    cdef double total = 0
    cdef Py_ssize_t i
    if weights == NULL:
        return <double>n
    for i in range(n):
        total += weights[i]
    return total


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


cdef double reduced(const LossOutputs* out) noexcept:
    """The loss of the batch; 0 where all of its weights are."""
    return out.total * out.factor if out.factor != 0 else 0.0


# ------------------------------------------------------------------------ cross-entropy


cdef void plain_batch(LabelBatch* batch, Py_ssize_t n, Py_ssize_t K, const real* logits,
                      const int64_t* labels) noexcept:
    """A batch without weights, smoothing and ignored labels."""
    batch.n, batch.K, batch.logits, batch.labels = n, K, logits, labels
    batch.weights, batch.class_weights = NULL, NULL
    batch.smoothing = 0
    batch.ignores, batch.ignore_index = False, -1


def cross_entropy_labels(const real[:, ::1] logits, const int64_t[::1] labels,
                         const real[::1] weights, const real[::1] class_weights,
                         double label_smoothing, ignore_index, reduction, real[::1] losses,
                         real[:, ::1] gradient):
    """Softmax cross-entropy with integer labels; returns the reduced loss.

    l_i = -sum_k q_ik log(softmax(logits_i))_k with q_i = (1 - s) onehot(labels_i) + s / K, the
    terms times the class weights.  `losses` receives l_i without sample weights (and without the
    class weight, where there is no smoothing), and `gradient` the derivative of the returned loss.
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
    return reduced(&out)


cdef TargetBatch target_batch(const real[:, ::1] predictions, const real[:, ::1] targets,
                              const real[::1] weights, const real[::1] class_weights) noexcept:
    """A batch with rows of targets, none of them ignored."""
    cdef TargetBatch batch
    batch.n, batch.K = predictions.shape[0], predictions.shape[1]
    batch.predictions, batch.targets = &predictions[0, 0], &targets[0, 0]
    batch.weights, batch.class_weights = pointer_to(weights), pointer_to(class_weights)
    batch.element_weights, batch.columns = NULL, NULL
    batch.code, batch.parameter = 0, 0
    batch.ignores, batch.ignored = False, 0
    return batch


def cross_entropy_rows(const real[:, ::1] logits, const real[:, ::1] targets,
                       const real[::1] weights, const real[::1] class_weights,
                       double label_smoothing, reduction, real[::1] losses,
                       real[:, ::1] gradient):
    """Softmax cross-entropy with rows of targets, which need not sum to 1.

    l_i = -sum_k u_k y_ik log(softmax(logits_i))_k with y_i = (1 - s) t_i + s / K sum(t_i) and
    class weights u.  A logit of -inf contributes nothing where y is 0.
    """
    cdef TargetBatch batch = target_batch(logits, targets, weights, class_weights)
    cdef LossOutputs out = loss_outputs(reduction, total_weight(batch.n, batch.weights), losses,
                                        gradient)
    batch.parameter = <real>label_smoothing
    with nogil:
        target_losses(&batch, &out)
    return reduced(&out)


# -------------------------------------------------------------------- elementwise losses


def elementwise_loss(name, const real[:, ::1] prediction, const real[:, ::1] target, weights,
                     options, reduction, real[:, ::1] losses, real[:, ::1] gradient):
    """A loss that is a sum over elements; returns the reduced loss.

    `name` is that of a row of `fastnn.facts.losses`, and `options` its `ElementOptions`.
    `weights` are of the rows (n,), of the elements (n, K) or None.  `losses` receives the loss of
    each element before these weights.
    """
    cdef bint by_element = weights is not None and weights.ndim == 2
    cdef const real[:, ::1] element_weights_ = weights if by_element else None
    cdef const real[::1] class_weights = options.class_weights
    cdef const real[::1] columns = options.columns
    cdef TargetBatch batch = target_batch(prediction, target, None if by_element else weights,
                                          class_weights)
    cdef LossOutputs out
    cdef double weight
    batch.code, batch.parameter = loss_code(name), <real><double>options.parameter
    batch.columns = pointer_to(columns)
    if by_element:
        batch.element_weights = &element_weights_[0, 0]
    if options.ignore_value is not None:
        batch.ignores, batch.ignored = True, options.ignore_value
    if batch.ignores or batch.class_weights != NULL or by_element:
        weight = element_weights(&batch)
    else:
        weight = batch.K * total_weight(batch.n, batch.weights)
    out = loss_outputs(reduction, weight, None, gradient)
    if losses is not None:
        out.losses = &losses[0, 0]
    with nogil:
        element_losses(&batch, &out)
    return reduced(&out)


cdef int loss_code(name) except -1:
    """The code of an elementwise loss; ValueError if it is none."""
    _losses.formula_of(name)
    return _loss_codes[name]
