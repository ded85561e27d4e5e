# A training step in two phases.
#
# Phase 1 is parallel over the rows of the batch: a thread takes its rows through every
# operation forward, the losses, and every operation backward, with no barrier inside.
# Phase 2 is parallel over parameters: tiles of dW, each a sum over the whole batch in one
# order, followed by the update of the tile.  A barrier follows each phase.  Clipping by
# norm needs the whole gradient: that is stored, with a barrier more before the update.
#
# No sum is ever split between threads: results do not depend on how many there are.


# ------------------------------------------------------------------ phase 1


cdef public Py_ssize_t rows_per_block(const Plan* plan) noexcept nogil:
    """Rows that stream through all operations together: their buffers fit half of a 1 MiB L2.

    But up to 128, since each block reads all weights again.
    """
    cdef sz bytes_per_row = 0
    cdef sz rows
    cdef int i
    for i in range(plan.n_buffers):
        bytes_per_row += 2 * plan.work.values[i].ld * sizeof(real)
    rows = NEAR_BYTES // bytes_per_row // MAX_ROWS * MAX_ROWS
    return min(max(rows, <sz>128), 512)


cdef void phase_one(const Plan* plan, const Batch* batch, double* row_losses, sz row_stride,
                    sz n_rows, int part, int parts, int* suspect) noexcept nogil:
    """This thread's share of n_rows rows from plan.first_row on.

    Gather, forward, loss, backward, block by block.  `suspect`, where it is not NULL, is raised if
    a gradient may overflow.
    """
    cdef sz row = share_of_rows(n_rows, part, parts)
    cdef sz last = share_of_rows(n_rows, part + 1, parts)
    cdef sz base = plan.first_row
    cdef sz stop
    while row < last:
        stop = row + next_block(last - row, plan.block)
        begin_sums(plan)
        load_rows(plan, &plan.work, batch, base + row, base + stop, row)
        forward_rows(plan, &plan.work, row, stop)
        loss_rows(plan, &plan.work, batch, row_losses, row_stride, base + row, base + stop, row)
        backward_rows(plan, FROM_LOSSES, &plan.work, row, stop)
        if suspect != NULL and not rows_are_moderate(plan, row, stop):
            raise_flag(suspect)
        row = stop


# ------------------------------------------------------------------ phase 2


cdef sz task_bound(const Plan* plan, int part, int parts) noexcept nogil:
    """First task of thread `part`: tasks in order, shared out by cost."""
    cdef double cost
    cdef sz low = 0, high = plan.n_tasks, middle
    if part == 0 or plan.n_tasks == 0:
        return 0
    if part == parts:
        return plan.n_tasks
    cost = plan.task_ends[plan.n_tasks - 1] * part / parts
    while low < high:
        middle = (low + high) // 2
        if plan.task_ends[middle] <= cost:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline sz task_offset(const Plan* plan, sz index) noexcept nogil:
    """Where the tile of a task starts in the storage."""
    cdef const Task* task = &plan.tasks[index]
    cdef const Param* parameter = &plan.parameters[task.parameter]
    return parameter.offset + task.k * parameter.ld + task.n


cdef void gradient_task(const Plan* plan, Seeds seeds, const Task* task, sz n_rows,
                        bint accumulate, real* g, sz ldg) noexcept nogil:
    """g (+)= the gradient of one tile of a parameter, over the rows in the workspace.

    What several uses contribute is summed over the rows for each use by itself, and added.
    """
    cdef real memory[PAIR_TILE_ROWS * TILE_COLUMNS + 16]
    cdef real* term = aligned(memory)
    cdef const Param* parameter = &plan.parameters[task.parameter]
    cdef const Contribution* uses = parameter.contributions[<int>seeds]
    cdef sz i
    cdef int c, n_uses = parameter.n_contributions[<int>seeds]
    if n_uses == 0 and not accumulate:
        for i in range(task.n_rows):
            memset(g + i * ldg, 0, task.n_columns * sizeof(real))
    if parameter.is_table:
        sum_table_gradients(plan, task, uses, n_uses, n_rows, accumulate, g)
        clear_padding(task, parameter.width, g, ldg)
        return
    CHECK(task.n_rows * task.n_columns <= PAIR_TILE_ROWS * TILE_COLUMNS)
    for c in range(n_uses):
        if c == 0:
            contribution(plan, task, &uses[c], n_rows, accumulate, g, ldg)
            continue
        contribution(plan, task, &uses[c], n_rows, False, term, task.n_columns)
        for i in range(task.n_rows):
            add_scaled(task.n_columns, 1, term + i * task.n_columns, g + i * ldg)
    clear_padding(task, parameter.width, g, ldg)


cdef void contribution(const Plan* plan, const Task* task, const Contribution* use, sz n_rows,
                       bint accumulate, real* g, sz ldg) noexcept nogil:
    """g (+)= what one use of a parameter adds to a tile of its gradient."""
    cdef Matrix* x
    cdef Matrix* dz
    cdef Matrix* slopes
    cdef Matrix* terms
    cdef Product product
    cdef real* lost = NULL
    cdef sz row = 0
    if plan.lost != NULL:
        lost = plan.lost + plan.parameters[task.parameter].offset + task.n
    if use.given != NULL:
        take_given(task, plan.parameters[task.parameter].ld, use.given, accumulate, g, ldg)
        return
    if use.terms >= 0:
        terms = &plan.work.terms[use.terms]
        column_sums(task.n_columns, n_rows, terms.data, terms.ld, NULL, 0, accumulate, g, lost)
        return
    dz = &plan.work.gradients[use.dz]
    if plan.parameters[task.parameter].is_matrix:
        x = &plan.work.values[use.x]
        if x.sparse != NULL:
            sparse_gradient(task, x.sparse, dz, accumulate, g, ldg)
            return
        product = product_of(0, x.data + task.k, x.ld, dz.data + task.n, dz.ld, g, ldg)
        if multiplies_halves(plan, task.parameter, x):
            product.words = PAIRS
            product.a, product.b = x.half_columns + task.k, dz.half_columns + task.n
            n_rows = pairs(n_rows)
        if accumulate:
            product.start = g
        while row < n_rows:
            product.K = min(n_rows - row, <sz>GRADIENT_DEPTH)
            gemm_gradient(task.n_rows, task.n_columns, &product)
            product.a += product.K * x.ld
            product.b += product.K * dz.ld
            product.start = g
            row += GRADIENT_DEPTH
    elif use.slopes >= 0 or use.times_input:
        slopes = &plan.work.values[use.x] if use.times_input else &plan.work.slopes[use.slopes]
        column_sums(task.n_columns, n_rows, dz.data + task.n, dz.ld, slopes.data + task.n,
                    slopes.ld, accumulate, g, lost)
    else:
        column_sums(task.n_columns, n_rows, dz.data + task.n, dz.ld, NULL, 0, accumulate, g,
                    lost)


cdef void take_given(const Task* task, sz ld, const real* given, bint accumulate, real* g,
                     sz ldg) noexcept nogil:
    """g (+)= the tile of a task in a gradient that Python returned."""
    cdef sz i
    for i in range(task.n_rows):
        scale_into(task.n_columns, given + (task.k + i) * ld + task.n, 1, g + i * ldg, accumulate)


cdef void penalize_task(const Plan* plan, sz index, real* g, sz ldg) noexcept nogil:
    """Add the L2 penalty's gradient, and note the sums of squares of tile and gradient."""
    cdef const Task* task = &plan.tasks[index]
    cdef const Param* parameter = &plan.parameters[task.parameter]
    cdef const real* p = plan.storage + task_offset(plan, index)
    cdef sz i
    plan.penalties[index] = 0
    if plan.l2 != 0 and parameter.penalized:
        for i in range(task.n_rows):
            plan.penalties[index] += sum_of_squares(task.n_columns, p + i * parameter.ld)
            add_scaled(task.n_columns, <real>plan.l2, p + i * parameter.ld, g + i * ldg)
    measure_task(plan, index, g, ldg)


cdef inline void measure_task(const Plan* plan, sz index, const real* g, sz ldg) noexcept nogil:
    """Note the sum of squares of a tile's gradient, where clipping asks for it."""
    cdef const Task* task = &plan.tasks[index]
    cdef sz i
    if plan.clip_norm > 0:
        plan.squares[index] = 0
        for i in range(task.n_rows):
            plan.squares[index] += sum_of_squares(task.n_columns, g + i * ldg)


cdef void clear_padding(const Task* task, sz width, real* g, sz ldg) noexcept nogil:
    """Zero the columns past the parameter's width: an overflow leaves nan there (0 times inf)."""
    cdef sz valid = width - task.n, i, j
    if valid >= task.n_columns:
        return
    for i in range(task.n_rows):
        j = valid // VL * VL
        while j < task.n_columns:
            store(g + i * ldg + j, within(load(g + i * ldg + j), 0, valid - j))
            j += VL


cdef void store_gradient_task(const Plan* plan, Seeds seeds, sz index, sz n_rows,
                              bint accumulate) noexcept nogil:
    """`gradient_task` into the array of gradients."""
    gradient_task(plan, seeds, &plan.tasks[index], n_rows, accumulate,
                  plan.gradients + task_offset(plan, index),
                  plan.parameters[plan.tasks[index].parameter].ld)


cdef void penalize_stored_task(const Plan* plan, sz index) noexcept nogil:
    """`penalize_task` in the array of gradients."""
    penalize_task(plan, index, plan.gradients + task_offset(plan, index),
                  plan.parameters[plan.tasks[index].parameter].ld)


cdef void measure_stored_task(const Plan* plan, sz index) noexcept nogil:
    """`measure_task` in the array of gradients."""
    measure_task(plan, index, plan.gradients + task_offset(plan, index),
                 plan.parameters[plan.tasks[index].parameter].ld)


cdef void measure_scaled_task(const Plan* plan, sz index) noexcept nogil:
    """`measure_stored_task` of the gradient times NORM_UNIT, where squares overflow."""
    cdef const Task* task = &plan.tasks[index]
    cdef sz ld = plan.parameters[task.parameter].ld, i
    cdef const real* g = plan.gradients + task_offset(plan, index)
    plan.squares[index] = 0
    for i in range(task.n_rows):
        plan.squares[index] += scaled_sum_of_squares(task.n_columns, g + i * ld)


cdef void column_sums(sz columns, sz n_rows, const real* dz, sz ld, const real* slopes,
                      sz ld_slopes, bint accumulate, real* out, real* lost) noexcept nogil:
    """out (+)= the sum of the rows of dz, times `slopes` unless that is NULL.

    Rows are summed in blocks of SUMMED_ROWS, in order; what rounding takes from the sum of the
    blocks is summed as well (rows.pxd), so that the error does not grow with the number of rows.
    It is left in `lost`, unless that is NULL, for a sum that goes on.
    """
    cdef sz whole = columns // (4 * VL) * (4 * VL)
    sum_columns(4, 0, whole, n_rows, dz, ld, slopes, ld_slopes, accumulate, out,
                lost)
    sum_columns(1, whole, columns, n_rows, dz, ld, slopes, ld_slopes, accumulate, out, lost)


cdef inline void sum_columns(int vectors, sz j, sz end, sz n_rows, const real* dz, sz ld,
                             const real* slopes, sz ld_slopes, bint accumulate, real* out,
                             real* kept) noexcept nogil:
    """`column_sums` of columns j to `end`, a constant number of vectors at a time."""
    cdef vec part[4]
    cdef vec total[4]
    cdef vec lost[4]
    cdef bint is_short = n_rows <= SUMMED_ROWS and kept == NULL  # nothing is added later
    cdef sz r, first
    cdef int i
    while j < end:
        for i in range(vectors):
            total[i] = load(out + j + i * VL) if accumulate else splat(0)
            lost[i] = load(kept + j + i * VL) if accumulate and kept != NULL else splat(0)
        first = 0
        while first < n_rows:
            for i in range(vectors):
                part[i] = splat(0)
            for r in range(first, min(first + SUMMED_ROWS, n_rows)):
                for i in range(vectors):
                    if slopes == NULL:
                        part[i] = part[i] + load(dz + r * ld + j + i * VL)
                    else:
                        part[i] = fma_(load(dz + r * ld + j + i * VL),
                                       load(slopes + r * ld_slopes + j + i * VL), part[i])
            for i in range(vectors):
                if is_short:
                    total[i] = total[i] + part[i]
                else:
                    total[i] = add_compensated(total[i], part[i], &lost[i])
            first += SUMMED_ROWS
        for i in range(vectors):
            store(out + j + i * VL, total[i])
            if kept != NULL:
                store(kept + j + i * VL, lost[i])
        j += vectors * VL


cdef void add_scaled(sz n, real factor, const real* x, real* out) noexcept nogil:
    """out += factor x."""
    cdef sz j = 0
    while j < n:
        store(out + j, fma_(splat(factor), load(x + j), load(out + j)))
        j += VL


cdef inline State state_at(const Plan* plan, sz at) noexcept nogil:
    """The parameters and the optimizer's state from an offset in the storage on."""
    cdef State state
    cdef int i
    state.parameters = plan.storage + at
    for i in range(MAX_SLOTS):
        state.slots[i] = plan.slots[i] + at if i < plan.n_slots else NULL
    return state


cdef inline const Update* update_of(const Param* parameter, const Update* weights,
                                    const Update* vectors, Update* own) noexcept nogil:
    """The update of a parameter; where it has factors, a copy in `own`."""
    cdef const Update* update = weights if parameter.penalized else vectors
    if parameter.factors == NULL:
        return update
    own[0] = with_factors(update, parameter.factors[0], parameter.factors[1])
    return own


cdef void update_task(const Plan* plan, const Update* weights, const Update* vectors, sz index,
                      const real* g, sz ldg) noexcept nogil:
    """The optimizer's update of one tile with the gradient g."""
    cdef const Task* task = &plan.tasks[index]
    cdef const Param* parameter = &plan.parameters[task.parameter]
    cdef State state = state_at(plan, task_offset(plan, index))
    cdef Update own
    update_tile(update_of(parameter, weights, vectors, &own), task.n_rows, task.n_columns, g, ldg,
                &state, parameter.ld)
    if plan.step_follows and parameter.n_edged > 0:
        update_edges(plan, task)
    if plan.step_follows and plan.halves and parameter.by_columns != NULL:
        pack_tile(plan, task, parameter.is_turned)


cdef void train_task(const Plan* plan, const Update* weights, const Update* vectors, sz index,
                     sz n_rows) noexcept nogil:
    """Gradient and update of one tile; the gradient never leaves the cache."""
    cdef real memory[PAIR_TILE_ROWS * TILE_COLUMNS + 16]
    cdef real* g = aligned(memory)
    cdef sz ldg = plan.tasks[index].n_columns
    if n_rows <= FEW_SAMPLES and train_outer(plan, weights, vectors, index, n_rows):
        return
    if plan.parameters[plan.tasks[index].parameter].is_table:
        g = plan.gradients + task_offset(plan, index)  # of any number of rows
        ldg = plan.parameters[plan.tasks[index].parameter].ld
    CHECK(g != aligned(memory)
          or plan.tasks[index].n_rows * ldg <= PAIR_TILE_ROWS * TILE_COLUMNS)
    if plan.is_large and g == aligned(memory):
        gradient_ahead(plan, &plan.tasks[index], n_rows, g, ldg)
    else:
        gradient_task(plan, FROM_LOSSES, &plan.tasks[index], n_rows, False, g, ldg)
    penalize_task(plan, index, g, ldg)
    update_task(plan, weights, vectors, index, g, ldg)


cdef bint train_outer(const Plan* plan, const Update* weights, const Update* vectors, sz index,
                      sz n_rows) noexcept nogil:
    """`train_task` of a weight used once, for a few samples; False where it does not apply.

    The same bits: both add the products of a sample after another, from zero.
    """
    cdef const Task* task = &plan.tasks[index]
    cdef const Param* parameter = &plan.parameters[task.parameter]
    cdef Contribution* use
    cdef Matrix* dz
    cdef Outer outer
    cdef Update own
    cdef State state = state_at(plan, task_offset(plan, index))
    if not parameter.is_outer or plan.l2 != 0 or (plan.halves and parameter.by_columns != NULL):
        return False
    use = &parameter.contributions[0][0]
    if plan.work.values[use.x].sparse != NULL:
        return False
    dz = &plan.work.gradients[use.dz]
    outer.x = plan.work.values[use.x].data + task.k
    outer.ldx = plan.work.values[use.x].ld
    outer.dz = dz.data + task.n
    outer.ldz = dz.ld
    outer.n_samples = n_rows
    outer.width = parameter.width - task.n
    update_outer(update_of(parameter, weights, vectors, &own), &outer, task.n_rows,
                 task.n_columns, &state, parameter.ld)
    return True


cdef void gradient_ahead(const Plan* plan, const Task* task, sz n_rows, real* g,
                         sz ldg) noexcept nogil:
    """`gradient_task`, which fetches what the update will need.

    Row by row of register tiles: requests that leave one after the other, between products, take no
    time of their own.
    """
    cdef Task part = task[0]
    cdef sz first = 0
    while first < task.n_rows:
        part.k = task.k + first
        part.n_rows = next_block(task.n_rows - first, MAX_ROWS)
        prefetch_state(plan, &part)
        gradient_task(plan, FROM_LOSSES, &part, n_rows, False, g + first * ldg, ldg)
        first += part.n_rows


cdef inline void prefetch_state(const Plan* plan, const Task* task) noexcept nogil:
    """Fetch the parameters and the optimizer's state of a tile."""
    cdef sz ld = plan.parameters[task.parameter].ld
    cdef sz at = plan.parameters[task.parameter].offset + task.k * ld + task.n
    cdef sz line = 64 // sizeof(real), r, j
    cdef int i
    for r in range(task.n_rows):
        j = at + r * ld
        while j < at + r * ld + task.n_columns:
            PREFETCH_TO_WRITE(plan.storage + j)
            for i in range(plan.n_slots):
                PREFETCH_TO_WRITE(plan.slots[i] + j)
            j += line


cdef void clipped_task(const Plan* plan, const Update* weights, const Update* vectors, sz index,
                       double factor) noexcept nogil:
    """The update of one tile, its stored gradient scaled by `factor` first."""
    cdef const Task* task = &plan.tasks[index]
    cdef sz ld = plan.parameters[task.parameter].ld, i
    cdef real* g = plan.gradients + task_offset(plan, index)
    if factor < LEAST_FACTOR:  # in two steps: it may be no normal number
        for i in range(task.n_rows):
            scale_into(task.n_columns, g + i * ld, <real>LEAST_FACTOR, g + i * ld, False)
        factor /= LEAST_FACTOR
    if factor != 1:
        for i in range(task.n_rows):
            scale_into(task.n_columns, g + i * ld, <real>factor, g + i * ld, False)
    update_task(plan, weights, vectors, index, g, ld)


cdef public double ordered_sum(const double* values, Py_ssize_t n) noexcept nogil:
    cdef double total = 0
    cdef sz i
    for i in range(n):
        total += values[i]
    return total
