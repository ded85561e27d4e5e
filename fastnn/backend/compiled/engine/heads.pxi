# Losses of a batch: each head's normaliser, its rows' losses and their gradients.


cdef inline const real* element_weights_of(const Target* target, sz s) noexcept nogil:
    """The weights of the elements of target s; NULL where rows have weights, or none."""
    return target.weights + s * target.width if target.by_element else NULL


cdef inline double target_weight_of(const Target* target, sz s) noexcept nogil:
    """The weight of target s as a whole."""
    return target.weights[s] if target.weights != NULL and not target.by_element else 1


cdef inline ElementRule rule_of_head(const HeadSpec* head, const real* weights) noexcept nogil:
    cdef ElementRule rule
    rule.parameter, rule.class_weights = head.parameter, head.class_weights
    rule.columns = head.columns
    rule.ignores, rule.ignore_value = head.ignores, head.ignore_value
    rule.weights, rule.losses = weights, NULL
    return rule


cdef inline double row_loss(const HeadSpec* head, sz width, const real* z, const real* y,
                            const real* weights, real factor, real* gradient) noexcept nogil:
    cdef ElementRule rule
    if not head.is_elementwise:
        return target_loss(width, z, y, head.class_weights, head.parameter, factor, gradient,
                           head.accumulate)
    rule = rule_of_head(head, weights)
    return element_loss_row(head.loss, &rule, width, z, y, factor, gradient, head.accumulate)


cdef double target_weight(const HeadSpec* head, sz width, const real* y,
                          const real* weights) noexcept nogil:
    cdef ElementRule rule = rule_of_head(head, weights)
    return target_weight_row(&rule, width, y)


cdef inline bint has_mean_weight(const Batch* batch, int h) noexcept nogil:
    return batch.mean_weights != NULL and not isnan(batch.mean_weights[h])


cdef double normaliser(const HeadSpec* head, const Target* target, const Batch* batch, int h,
                       sz width) noexcept nogil:
    """What the sum of weighted losses is divided by: 1 for sums, the weights' sum for means.

    With the mean weight of all data it is what the weights of so many rows sum to on average.
    """
    cdef double total = 0
    cdef sz r
    if head.reduction == SUM:
        return 1
    if head.reduction == HALF_SUM:
        return 2
    if batch.whole_norms != NULL:
        return batch.whole_norms[h]
    if has_mean_weight(batch, h):
        return <double>batch.n_rows * batch.mean_weights[h]
    if batch.counts_targets:
        return <double>batch.n_rows * counted_mean(head, target, batch, width)
    if target.weights == NULL and head.class_weights == NULL and not head.ignores:
        return <double>batch.n_rows * (width if head.is_elementwise else 1)
    for r in range(batch.n_rows):
        total += row_weight(head, target, target_row(batch, target, r), width)
    return total


cdef double counted_mean(const HeadSpec* head, const Target* target, const Batch* batch,
                         sz width) noexcept nogil:
    """What a row of the batch weighs on average without its sample weights."""
    cdef Target bare
    cdef double total = 0
    cdef sz r
    if head.class_weights == NULL and not head.ignores:
        return <double>(width if head.is_elementwise else 1)
    bare = target[0]
    bare.weights = NULL
    bare.by_element = False
    for r in range(batch.n_rows):
        total += row_weight(head, &bare, target_row(batch, target, r), width)
    return total / batch.n_rows


cdef public bint norms_read_targets(const Plan* plan, const Batch* batch) noexcept nogil:
    """Whether a normaliser depends on the targets of the whole batch, not on their number."""
    cdef HeadSpec* head
    cdef int h
    for h in range(plan.n_heads):
        head = &plan.heads[h]
        if has_mean_weight(batch, h):
            continue
        if head.reduction == MEAN and (batch.targets[h].weights != NULL or head.ignores
                                       or head.class_weights != NULL):
            return True
    return False


cdef public void set_norms(const Plan* plan, Batch* batch) noexcept nogil:
    """The normaliser of every head: the same on every thread, each computes its own."""
    cdef int h
    for h in range(plan.n_heads):
        batch.norms[h] = normaliser(&plan.heads[h], &batch.targets[h], batch, h,
                                    plan.work.values[plan.heads[h].output].width)


cdef double row_weight(const HeadSpec* head, const Target* target, sz s, sz width) noexcept nogil:
    """The weight of target s in the normaliser, all its outputs together."""
    cdef double weight = target_weight_of(target, s)
    cdef int64_t label
    cdef bint missing
    if target.labels != NULL:
        label = target.labels[s]
        if head.ignores and label == head.ignore_index:
            return 0
        return weight * head.class_weights[label] if head.class_weights != NULL else weight
    if not head.is_elementwise:
        missing = head.ignores_nan and has_nan(width, target.rows + s * width)
        return 0 if missing else weight
    return weight * target_weight(head, width, target.rows + s * width,
                                  element_weights_of(target, s))


cdef void loss_rows(const Plan* plan, const Workspace* work, const Batch* batch, double* row_losses,
                    sz row_stride, sz first, sz last, sz to) noexcept nogil:
    """Each head's loss of samples first to last (rows `to` on) and, in training, its gradient.

    row_losses[head * row_stride + r] receives the share of sample r in the head's loss.
    """
    cdef HeadSpec* head
    cdef Target* target
    cdef sz width, r, s
    cdef double norm, share
    cdef real* gradient
    cdef int h
    for h in range(plan.n_heads):
        head = &plan.heads[h]
        if head.is_custom:
            continue
        target = &batch.targets[h]
        width = work.values[head.output].width
        norm = batch.norms[h]
        for r in range(loss_columns(head, target, work, batch, norm, row_losses + h * row_stride,
                                    first, last, to), last):
            s = target_row(batch, target, r)
            share = target_weight_of(target, s) / norm if norm != 0 else 0
            gradient = row_of(&work.gradients[head.output], to + r - first) \
                if work.gradients != NULL else NULL
            row_losses[h * row_stride + r] = head_row(
                head, target, width, s, share, row_of(&work.values[head.output], to + r - first),
                gradient)


cdef sz loss_columns(const HeadSpec* head, const Target* target, const Workspace* work,
                     const Batch* batch, double norm, double* row_losses, sz first, sz last,
                     sz to) noexcept nogil:
    """`loss_rows` for as many samples as whole vectors take: labels of few classes, all alike.

    Returns the first sample that is left, with which the rows go on one by one to the same bits.
    """
    cdef Matrix* z = &work.values[head.output]
    cdef Matrix* dz = NULL
    cdef real labels[BLOCK]
    cdef real losses[BLOCK]
    cdef real factor = <real>(1 / norm * head.weight) if norm != 0 else 0
    cdef int i
    if (target.labels == NULL or z.width > BLOCK or target.weights != NULL or head.ignores
            or head.class_weights != NULL or head.accumulate or factor == 0):
        return first
    if work.gradients != NULL:
        dz = &work.gradients[head.output]
    while first + VL <= last:
        for i in range(VL):
            labels[i] = <real>target.labels[target_row(batch, target, first + i)]
        cross_entropy_label_columns(z.width, row_of(z, to), z.ld, load(labels), head.parameter,
                                    factor, losses, row_of(dz, to) if dz != NULL else NULL,
                                    dz.ld if dz != NULL else 0)
        for i in range(VL):
            row_losses[first + i] = 1 / norm * losses[i]
        first += VL
        to += VL
    return first


cdef double head_row(const HeadSpec* head, const Target* target, sz width, sz s, double share,
                     const real* z, real* gradient) noexcept nogil:
    """`share` times the loss of sample s; `gradient` (where given) also times the head's weight.

    A sample of weight 0, or ignored, has no influence, whatever its outputs are.
    """
    cdef int64_t label = 0
    cdef real factor
    # With smoothing, class weights are factors of the terms of a row; else of the row.
    cdef const real* terms = head.class_weights if head.parameter != 0 else NULL
    if target.labels != NULL:
        label = target.labels[s]
        if head.ignores and label == head.ignore_index:
            share = 0
        elif head.class_weights != NULL and terms == NULL:
            share *= head.class_weights[label]
    elif head.ignores_nan and has_nan(width, target.rows + s * width):
        share = 0
    factor = <real>(share * head.weight)
    if factor == 0 and gradient != NULL:
        if not head.accumulate:
            memset(gradient, 0, width * sizeof(real))
        gradient = NULL
    if share == 0:
        return 0
    if target.labels != NULL:
        return share * label_loss(width, z, label, terms, head.parameter, factor, gradient,
                                  head.accumulate)
    return share * row_loss(head, width, z, target.rows + s * width,
                            element_weights_of(target, s), factor, gradient)


cdef public double batch_cost(const Plan* plan, const double* row_losses, Py_ssize_t row_stride,
                              Py_ssize_t n_rows) noexcept nogil:
    """The heads' losses, weighted and summed in the order of the rows."""
    cdef double cost = 0
    cdef int h
    for h in range(plan.n_heads):
        cost += plan.heads[h].weight * rows_in_order(row_losses + h * row_stride, n_rows)
    return cost


cdef inline double rows_in_order(const double* row_losses, sz n_rows) noexcept nogil:
    cdef double loss = 0
    cdef sz r
    for r in range(n_rows):
        loss += row_losses[r]
    return loss


cdef public double summed_cost(const Plan* plan, const double* row_losses, Py_ssize_t row_stride,
                               Py_ssize_t n_rows) noexcept nogil:
    """`batch_cost` of the heads whose losses are sums over the rows."""
    cdef double cost = 0
    cdef int h
    for h in range(plan.n_heads):
        if plan.heads[h].reduction != MEAN and not plan.heads[h].is_custom:
            cost += plan.heads[h].weight * rows_in_order(row_losses + h * row_stride, n_rows)
    return cost
