# Spans: what a team does of a pass between two calls of Python; calling.pxi makes the calls.


cdef void span_worker(const Plan* plan, const Span* span, int part, int parts) noexcept nogil:
    """This thread's share of a span: rows, block by block, or tasks of phase 2."""
    cdef sz row = share_of_rows(span.n_rows, part, parts)
    cdef sz last = share_of_rows(span.n_rows, part + 1, parts), stop
    if span.stage > BACKWARD:
        span_tasks(plan, span, part, parts)
        return
    while row < last:
        stop = row + next_block(last - row, plan.block)
        span_rows(plan, span, row, stop)
        row = stop


cdef void span_rows(const Plan* plan, const Span* span, sz row, sz stop) noexcept nogil:
    if span.stage == FORWARD:
        if span.load:
            load_rows(plan, span.work, span.batch, span.start + row, span.start + stop, row)
        forward_some(plan, span.begin, span.end, span.work, row, stop)
    elif span.stage == LOSSES:
        loss_rows(plan, span.work, span.batch, span.row_losses, span.row_stride, row, stop, row)
    else:
        backward_some(plan, span.begin, span.end, span.seeds, span.work, row, stop)


cdef void span_tasks(const Plan* plan, const Span* span, int part, int parts) noexcept nogil:
    """Phase 2: this thread's gradients, and in a training step their updates."""
    cdef sz i
    cdef bint stored = span.stage == GRADIENTS or plan.clip_norm > 0
    if sort_columns(plan, span.n_rows, part, parts):
        meet(parts)
    for i in range(task_bound(plan, part, parts), task_bound(plan, part + 1, parts)):
        if not stored:
            train_task(plan, span.weights, span.vectors, i, span.n_rows)
            continue
        store_gradient_task(plan, span.seeds, i, span.n_rows, False)
        if span.stage == GRADIENTS and span.seeds == FROM_LOSSES:
            penalize_stored_task(plan, i)
    if stored and span.stage == UPDATES:
        meet(parts)
        update_stored(plan, span.weights, span.vectors, part, parts)


cdef void span_member(const Plan* plan, const Span* span, int part, int parts) noexcept nogil:
    """`span_worker` with subnormal numbers flushed to zero, if asked; user code runs without."""
    cdef unsigned wanted = FLUSH_DENORMALS if span.flush else PLAIN_FLOATS
    cdef unsigned mode = enter_float_mode(wanted)
    span_worker(plan, span, part, parts)
    leave_float_mode(mode, wanted)


cdef public void span_team(const Plan* plan, const Span* span, int parts) noexcept nogil:
    if span.stage == FORWARD and span.load:
        renew_edges(plan, FLUSH_DENORMALS if span.flush else PLAIN_FLOATS)
        if plan.halves and not plan.halves_are_made:
            pack_weights(plan, FOR_ALL if span.work.gradients != NULL else FOR_FORWARD, 0, 1)
    if parts == 1:
        span_member(plan, span, 0, 1)
        return
    with parallel(num_threads=parts):
        span_member(plan, span, threadid(), TEAM_SIZE())
