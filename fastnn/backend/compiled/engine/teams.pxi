# What each thread of a team does in one call.
#
# Without OpenMP, or with one thread, the same functions run with no parallel region at all.


cdef void train_worker(const Plan* shared, Run* run, const Update* recipe, int part,
                       int parts) noexcept nogil:
    """The steps of a run that are left; every thread of the team executes this function."""
    cdef real room[3 * 16]
    cdef Plan plan = shared[0]
    cdef Batch batch = run.batch
    cdef Update weights = recipe[0], vectors = recipe[1]
    cdef sz step, i
    cdef sz begin = task_bound(&plan, part, parts), end = task_bound(&plan, part + 1, parts)
    cdef bint stored
    cdef double cost
    batch.norms += part * plan.n_heads
    if plan.halves:
        pack_weights(&plan, FOR_STEPS, part, parts)
        meet(parts)
    plan.factor_squares[0] = aligned(room)
    plan.factor_squares[1] = plan.factor_squares[0] + VL
    for step in range(run.steps_done, run.n_steps):
        plan.step = <uint32_t>(run.first_step + step)
        plan.step_follows = step + 1 < run.n_steps
        if run.penalties != NULL:
            plan.l2 = run.penalties[step]
        batch.start = step * run.batch_size
        batch.n_rows = min(run.batch_size, run.n_samples - batch.start)
        stored = plan.clip_norm > 0 or batch.n_rows > run.rows_at_once
        prepare_targets(&plan, &batch, part, parts)
        if run.norms_read_targets or batch.n_rows > run.rows_at_once:
            meet(parts)  # threads read targets that others prepared
        set_norms(&plan, &batch)
        run_rows(&plan, run, &batch, stored, part, parts)
        if is_raised(batch.bad):
            return
        cost = batch_cost(&plan, run.row_losses, run.batch_size, batch.n_rows)
        if not isfinite(cost):
            if part == 0:
                run.losses[step] = cost
            return
        if is_raised(&run.suspect) or not rate_is_moderate(&plan, recipe,
                                                           run.learning_rates[step]):
            if part == 0:
                run.halted = True
                run.cost = cost
            return
        set_steps(&weights, &vectors, run.learning_rates[step], run.first_step + step)
        if stored:
            update_stored(&plan, &weights, &vectors, part, parts)
        else:
            for i in range(begin, end):
                train_task(&plan, &weights, &vectors, i, batch.n_rows)
        meet(parts)
        if part == 0:
            run.losses[step] = cost + summed_penalty(&plan)
            if run.sums != NULL:
                run.sums[step] = summed_cost(&plan, run.row_losses, run.batch_size, batch.n_rows)
            run.steps_done = step + 1


cdef void run_rows(Plan* plan, Run* run, const Batch* batch, bint stored, int part,
                   int parts) noexcept nogil:
    """Phase 1 of a step, and where the gradient is to be `stored` also the sums of phase 2.

    A batch that would fill too much memory passes in parts, whose gradients are added in the
    order of the rows.  The bits are those of the batch in one piece, but for layers used more
    than once: the uses of a part are added together.
    """
    cdef sz n_rows, i
    plan.first_row = 0
    while plan.first_row < batch.n_rows:
        n_rows = min(run.rows_at_once, batch.n_rows - plan.first_row)
        phase_one(plan, batch, run.row_losses, run.batch_size, n_rows, part, parts,
                  &run.suspect)
        meet(parts)
        if sort_columns(plan, n_rows, part, parts):
            meet(parts)
        if stored:
            for i in range(task_bound(plan, part, parts), task_bound(plan, part + 1, parts)):
                store_gradient_task(plan, FROM_LOSSES, i, n_rows, plan.first_row > 0)
            if plan.first_row + n_rows < batch.n_rows:
                meet(parts)  # the next part overwrites what others may still read
        plan.first_row += n_rows


cdef void update_stored(const Plan* plan, const Update* weights, const Update* vectors, int part,
                        int parts) noexcept nogil:
    """The updates of a step whose whole gradient is there, clipped to its norm."""
    cdef sz begin = task_bound(plan, part, parts), end = task_bound(plan, part + 1, parts), i
    cdef double factor
    for i in range(begin, end):
        penalize_stored_task(plan, i)
    meet(parts)
    factor = clip_factor(plan, 1)
    if factor == 0:  # the squares overflow, as every thread has seen
        meet(parts)
        for i in range(begin, end):
            measure_scaled_task(plan, i)
        meet(parts)
        factor = clip_factor(plan, NORM_UNIT)
    for i in range(begin, end):
        clipped_task(plan, weights, vectors, i, factor)


cdef public void update_alone(const Plan* plan, const Update* recipe, double learning_rate,
                              Py_ssize_t step) noexcept nogil:
    """The updates of a step whose gradient, penalty included, is in the array of gradients."""
    cdef Update weights = recipe[0], vectors = recipe[1]
    cdef unsigned mode = enter_float_mode(FLUSH_DENORMALS)
    cdef double factor
    cdef sz i
    set_steps(&weights, &vectors, learning_rate, step)
    for i in range(plan.n_tasks):
        measure_stored_task(plan, i)
    factor = clip_factor(plan, 1)
    if factor == 0:
        for i in range(plan.n_tasks):
            measure_scaled_task(plan, i)
        factor = clip_factor(plan, NORM_UNIT)
    for i in range(plan.n_tasks):
        clipped_task(plan, &weights, &vectors, i, factor)
    leave_float_mode(mode, FLUSH_DENORMALS)


cdef public void finish_gradients(const Plan* plan, Py_ssize_t n_rows, bint stored) noexcept nogil:
    """Phase 2 without updates; sums over the rows may be `stored` already."""
    cdef unsigned mode = enter_float_mode(FLUSH_DENORMALS)
    cdef sz i
    for i in range(plan.n_tasks):
        if not stored:
            store_gradient_task(plan, FROM_LOSSES, i, n_rows, False)
        penalize_stored_task(plan, i)
    leave_float_mode(mode, FLUSH_DENORMALS)


cdef inline void meet(int parts) noexcept nogil:
    """Wait until all threads of the team are here."""
    if parts > 1:
        BARRIER()


cdef double clip_factor(const Plan* plan, double unit) noexcept nogil:
    """What brings the norm of the whole gradient down to clip_norm; 1 where it is below.

    The squares are those of the gradient times `unit`.  0 where they overflow for unit 1; a
    gradient that is not finite is not scaled.
    """
    cdef double norm = sqrt(ordered_sum(plan.squares, plan.n_tasks))
    if plan.clip_norm <= 0:
        return 1
    if not isfinite(norm):
        return 0 if unit == 1 else 1
    return plan.clip_norm * unit / norm if norm > plan.clip_norm * unit else 1


cdef public void train_team(const Plan* plan, Run* run, const Update* recipe,
                            int parts) noexcept nogil:
    """Run `train_worker` on each thread, subnormal numbers flushed to zero inside.

    Optimizer state decays into subnormal numbers, which cost a hundred times an ordinary one.
    """
    renew_edges(plan, FLUSH_DENORMALS)
    if parts == 1:
        train_member(plan, run, recipe, 0, 1)
        return
    with parallel(num_threads=parts):
        train_member(plan, run, recipe, threadid(), TEAM_SIZE())


cdef void train_member(const Plan* plan, Run* run, const Update* recipe, int part,
                       int parts) noexcept nogil:
    cdef unsigned mode = enter_float_mode(FLUSH_DENORMALS)
    train_worker(plan, run, recipe, part, parts)
    leave_float_mode(mode, FLUSH_DENORMALS)


cdef void gradient_worker(const Plan* plan, Seeds seeds, Batch* batch, double* row_losses,
                          int part, int parts) noexcept nogil:
    """Both phases once, without an update."""
    cdef sz i, row, last
    if plan.halves:
        pack_weights(plan, FOR_STEPS if seeds == FROM_LOSSES else FOR_ALL, part, parts)
        meet(parts)
    if seeds == FROM_LOSSES:
        phase_one(plan, batch, row_losses, batch.n_rows, batch.n_rows, part, parts, NULL)
    else:
        row = share_of_rows(batch.n_rows, part, parts)
        last = share_of_rows(batch.n_rows, part + 1, parts)
        backward_rows(plan, seeds, &plan.work, row, last)
    meet(parts)
    if sort_columns(plan, batch.n_rows, part, parts):
        meet(parts)
    for i in range(task_bound(plan, part, parts), task_bound(plan, part + 1, parts)):
        store_gradient_task(plan, seeds, i, batch.n_rows, False)
        if seeds == FROM_LOSSES:  # the penalty is part of the cost, not of the outputs
            penalize_stored_task(plan, i)


cdef public void gradient_team(const Plan* plan, int seeds, Batch* batch, double* row_losses,
                               int parts) noexcept nogil:
    if seeds == FROM_LOSSES:
        renew_edges(plan, mode_of_gradients(plan, <Seeds>seeds))
    if parts == 1:
        gradient_member(plan, <Seeds>seeds, batch, row_losses, 0, 1)
        return
    with parallel(num_threads=parts):
        gradient_member(plan, <Seeds>seeds, batch, row_losses, threadid(), TEAM_SIZE())


cdef void gradient_member(const Plan* plan, Seeds seeds, Batch* batch, double* row_losses,
                          int part, int parts) noexcept nogil:
    """`gradient_worker`, which in training flushes subnormal numbers just as a step does."""
    cdef unsigned wanted = mode_of_gradients(plan, seeds)
    cdef unsigned mode = enter_float_mode(wanted)
    gradient_worker(plan, seeds, batch, row_losses, part, parts)
    leave_float_mode(mode, wanted)


cdef inline unsigned mode_of_gradients(const Plan* plan, Seeds seeds) noexcept nogil:
    return FLUSH_DENORMALS if plan.training and seeds == FROM_LOSSES else PLAIN_FLOATS


cdef void renew_edges(const Plan* plan, unsigned wanted) noexcept nogil:
    """`make_edges` before a forward pass: parameters may have changed since the last one."""
    cdef unsigned mode
    if plan.has_edges and not plan.edges_are_made:
        mode = enter_float_mode(wanted)
        make_edges(plan)
        leave_float_mode(mode, wanted)


cdef public double summed_penalty(const Plan* plan) noexcept nogil:
    """l2 / 2 times the sum of squared weights, from the sums that phase 2 left for each tile."""
    return 0.5 * plan.l2 * ordered_sum(plan.penalties, plan.n_tasks)


cdef public double penalty(const Plan* plan) noexcept nogil:
    """l2 / 2 times the sum of squared weights, tile by tile as a training step sums it."""
    cdef const Param* parameter
    cdef const real* p
    cdef double total = 0, tile_total
    cdef sz i, k
    if plan.l2 == 0:
        return 0
    for i in range(plan.n_tasks):
        parameter = &plan.parameters[plan.tasks[i].parameter]
        if parameter.penalized:
            p = plan.storage + parameter.offset + plan.tasks[i].n
            tile_total = 0
            for k in range(plan.tasks[i].k, plan.tasks[i].k + plan.tasks[i].n_rows):
                tile_total += sum_of_squares(plan.tasks[i].n_columns, p + k * parameter.ld)
            total += tile_total
    return 0.5 * plan.l2 * total


cdef void stream_worker(const Plan* plan, Stream* stream, int part, int parts) noexcept nogil:
    """Every parts-th block of rows, through all operations and out."""
    cdef sz n_rows = stream.batch.n_rows, last = stream.last
    cdef sz block = stream.block if stream.block > 0 else (n_rows + 2 * parts - 1) // parts // 2 * 2
    cdef sz row = stream.first + part * block, stop, own = part * block
    if plan.halves and not plan.halves_are_made:
        pack_weights(plan, FOR_FORWARD, part, parts)
        meet(parts)
    while row < last and not is_raised(stream.batch.bad):
        stop = min(row + block, last)
        load_rows(plan, stream.work, stream.batch, row, stop, own)
        forward_rows(plan, stream.work, own, own + stop - row)
        if stream.outputs != NULL:
            copy_outputs(plan, stream.work, own, own + stop - row, stream.outputs, row)
        if stream.row_losses != NULL:
            loss_rows(plan, stream.work, stream.batch, stream.row_losses, n_rows, row, stop, own)
        row += parts * block


cdef public void stream_team(const Plan* plan, Stream* stream, int parts) noexcept nogil:
    renew_edges(plan, PLAIN_FLOATS)
    if parts == 1:
        stream_member(plan, stream, 0, 1)
        return
    with parallel(num_threads=parts):
        stream_member(plan, stream, threadid(), TEAM_SIZE())


cdef void stream_member(const Plan* plan, Stream* stream, int part, int parts) noexcept nogil:
    """`stream_worker`, which keeps subnormal numbers in every thread."""
    cdef unsigned mode = enter_float_mode(PLAIN_FLOATS)
    stream_worker(plan, stream, part, parts)
    leave_float_mode(mode, PLAIN_FLOATS)


cdef public void copy_outputs(const Plan* plan, const Workspace* work, Py_ssize_t first,
                              Py_ssize_t last, real** outputs, Py_ssize_t to) noexcept nogil:
    cdef Matrix* y
    cdef sz r
    cdef int i
    for i in range(plan.n_outputs):
        y = &work.values[plan.outputs[i]]
        for r in range(first, last):
            memcpy(outputs[i] + (to + r - first) * y.width, row_of(y, r), y.width * sizeof(real))
