# Operations that look up rows of a weight: by codes, and by positions between the edges of bins.
#
# Column j of X has a part of the table, whose rows W_0, W_1, ... its numbers choose.  A code reads
# its row.  A position u = b + t, a fraction t within bin b, reads the two rows of
#
#     V_m = sum_{k < m} W_k - sum_{k >= m} W_k,     (1 - t) V_b + t V_{b+1},
#
# the values at the edges of its bin, which are made from the weight once for each change of it.
# This is sum_k (2 clip(u - k, 0, 1) - 1) W_k.  With the sums G_k of the gradients dy of the samples
# in bin k, and H_k of (2 t - 1) dy,
#
#     dW_k = H_k + sum_{b > k} G_b - sum_{b < k} G_b.
#
# Each sum goes through the samples in their order: a task of phase 2 has whole columns of X.  It
# sorts the samples by the row that they read, so that a row stays in registers while its samples
# pass; rows of many codes, which few samples share, take them one by one, with the same bits.
# A number out of range reads the nearest row, whatever the caller has checked; a code that is nan
# reads the first.


cdef struct Found:
    # The rows that columns of some samples read, and for positions the shares of the rows after
    # them: numbers of a sample side by side.
    int rows[FOUND]
    real shares[FOUND]


cdef struct Reading:
    # What is read, by which samples; rows of a table are ld apart.
    const real* table
    sz ld
    sz n_samples
    sz n_columns           # of X, of each sample
    Found* found


cdef struct Sorted:
    # Some samples by the row that a column of X reads, those of one row in their order.
    int ends[SORTED_ROWS]      # where those of each row end
    int samples[SORTED]
    real factors[SORTED]       # 2 t - 1


cdef struct Summing:
    # A run of samples that read the same row, and the rows of their gradients and of sums.
    const real* dy
    sz ld_dy
    sz ld
    sz width                   # columns of the task's tile that count
    bint accumulate            # or the sums start here
    sz n_samples
    const int* samples
    const real* factors


cdef inline void locate(const Table* table, sz column, sz n, const real* x, int* rows,
                        real* shares) noexcept nogil:
    """Rows and shares of n columns of a sample from `column` on; x and results start there."""
    cdef const real* limits = table.limits + column
    cdef const int* last = table.last + column
    cdef const int* first_rows = table.first_rows + column
    cdef real u
    cdef int row
    cdef sz j
    for j in range(n):
        u = x[j]
        u = <real>0 if u < 0 else u
        u = limits[j] if u > limits[j] else u
        row = <int>(u if u == u else <real>0)
        row = last[j] if row > last[j] else row
        rows[j] = first_rows[j] + row
        shares[j] = u - <real>row


cdef inline void locate_samples(const Table* table, sz column, sz n, const Matrix* x, sz first,
                                sz n_samples, Found* found) noexcept nogil:
    cdef sz r
    for r in range(n_samples):
        locate(table, column, n, row_of(x, first + r) + column, found.rows + r * n,
               found.shares + r * n)


# ------------------------------------------------------------------ forward


cdef void forward_table(const Plan* plan, const Op* op, int index, const Workspace* work,
                        sz first, sz last) noexcept nogil:
    """What the numbers of X read: side by side, or the sum over its columns in their order."""
    cdef const Table* table = op.table
    cdef Matrix* y = &work.values[op.output]
    cdef sz width = plan.parameters[table.weight].width
    cdef sz column = 0, row
    cdef Found found
    cdef Reading reading
    reading.table = what_is_read(plan, table)
    reading.ld = plan.parameters[table.weight].ld
    reading.found = &found
    while column < table.n_columns:
        reading.n_columns = min(<sz>LOCATED, table.n_columns - column)
        row = first
        while row < last:
            reading.n_samples = min(FOUND // reading.n_columns, last - row)
            locate_samples(table, column, reading.n_columns, &work.values[op.inputs[0]], row,
                           reading.n_samples, &found)
            if table.is_sum:
                add_rows(&reading, table.is_linear, y.columns, column > 0, row_of(y, row), y.ld)
            elif table.is_linear:
                copy_rows(True, &reading, width, row_of(y, row) + column * width, y.ld)
            else:
                copy_rows(False, &reading, width, row_of(y, row) + column * width, y.ld)
            row += reading.n_samples
        column += reading.n_columns


cdef inline const real* what_is_read(const Plan* plan, const Table* table) noexcept nogil:
    if table.is_linear:
        return table.edges
    return plan.storage + plan.parameters[table.weight].offset


cdef void add_rows(Reading* reading, bint is_linear, sz columns, bint accumulate, real* y,
                   sz ld) noexcept nogil:
    """y (+)= the sum of the rows that each sample reads; columns of the output are a few vectors
    at a time, so that their part of the table stays in the cache.
    """
    cdef sz n = 0
    cdef const real* table = reading.table
    while n < columns:
        reading.table = table + n
        if is_linear and n + 2 * VL <= columns:
            add_between_edges(2, reading, accumulate, y + n, ld)
            n += 2 * VL
        elif is_linear:
            add_between_edges(1, reading, accumulate, y + n, ld)
            n += VL
        elif n + 4 * VL <= columns:
            add_coded(4, reading, accumulate, y + n, ld)
            n += 4 * VL
        else:
            add_coded(1, reading, accumulate, y + n, ld)
            n += VL
    reading.table = table


cdef inline void add_between_edges(int vectors, const Reading* reading, bint accumulate, real* y,
                                   sz ld) noexcept nogil:
    """`add_rows` of a constant number of vectors, between edges of bins.

    The lower edges and the upper ones are summed apart: a chain of additions for each.
    """
    cdef int* rows = reading.found.rows
    cdef real* shares = reading.found.shares
    cdef const real* p
    cdef vec lower[2]
    cdef vec upper[2]
    cdef vec share, rest
    cdef sz r, j, stride = reading.ld, columns = reading.n_columns
    cdef int i
    for r in range(reading.n_samples):
        for i in range(vectors):
            lower[i] = load(y + i * VL) if accumulate else splat(0)
            upper[i] = splat(0)
        for j in range(columns):
            p = reading.table + rows[j] * stride
            share = splat(shares[j])
            rest = splat(1) - share
            for i in range(vectors):
                lower[i] = fma_(rest, load(p + i * VL), lower[i])
            for i in range(vectors):
                upper[i] = fma_(share, load(p + stride + i * VL), upper[i])
        for i in range(vectors):
            store(y + i * VL, lower[i] + upper[i])
        rows += columns
        shares += columns
        y += ld


cdef inline void add_coded(int vectors, const Reading* reading, bint accumulate, real* y,
                           sz ld) noexcept nogil:
    """`add_rows` of a constant number of vectors, of codes."""
    cdef int* rows = reading.found.rows
    cdef const real* p
    cdef vec total[4]
    cdef sz r, j, stride = reading.ld, columns = reading.n_columns
    cdef int i
    for r in range(reading.n_samples):
        for i in range(vectors):
            total[i] = load(y + i * VL) if accumulate else splat(0)
        for j in range(columns):
            p = reading.table + rows[j] * stride
            for i in range(vectors):
                total[i] = total[i] + load(p + i * VL)
        for i in range(vectors):
            store(y + i * VL, total[i])
        rows += columns
        y += ld


cdef inline void copy_rows(bint is_linear, const Reading* reading, sz width, real* y,
                           sz ld) noexcept nogil:
    """The rows that each sample reads, side by side from y on."""
    cdef int* rows = reading.found.rows
    cdef real* shares = reading.found.shares
    cdef const real* p
    cdef vec v
    cdef sz r, j, n
    for r in range(reading.n_samples):
        for j in range(reading.n_columns):
            p = reading.table + rows[j] * reading.ld
            n = 0
            while n < width:
                v = load(p + n)
                if is_linear:
                    v = fma_(splat(shares[j]), load(p + reading.ld + n),
                             (splat(1) - splat(shares[j])) * v)
                put(y + j * width + n, width - n, v, False)
                n += VL
        rows += reading.n_columns
        shares += reading.n_columns
        y += ld


# ----------------------------------------------------------------- backward


cdef void backward_table(const Plan* plan, const Op* op, int index, const Flow* flow,
                         const Workspace* work, sz first, sz last) noexcept nogil:
    """dX (+)= 2 dY W_b within bins; 0 beyond them, and of codes."""
    cdef const Table* table = op.table
    cdef Matrix* x = &work.values[op.inputs[0]]
    cdef Matrix* dx = &work.gradients[op.inputs[0]]
    cdef const real* dy
    cdef sz width = plan.parameters[table.weight].width, r, j
    cdef real slope
    if not flow.wanted[0]:
        return
    for r in range(first, last):
        for j in range(table.n_columns):
            slope = 0
            if table.is_linear:
                dy = row_of(&work.gradients[op.output], r)
                dy += 0 if table.is_sum else j * width
                slope = slope_between_edges(plan, table, j, row_of(x, r)[j], dy)
            if flow.accumulate[0]:
                slope += row_of(dx, r)[j]
            row_of(dx, r)[j] = slope


cdef real slope_between_edges(const Plan* plan, const Table* table, sz column, real u,
                              const real* dy) noexcept nogil:
    """2 dy W_b for a position within bin b; 0 outside the bins."""
    cdef const Param* weight = &plan.parameters[table.weight]
    cdef int row
    cdef real share
    if not 0 <= u <= table.limits[column]:
        return 0
    locate(table, column, 1, &u, &row, &share)
    return 2 * dot_row(weight.width, dy,
                       plan.storage + weight.offset + (row - column) * weight.ld)


# ------------------------------------------------------------------ phase 2


cdef void sum_table_gradients(const Plan* plan, const Task* task, const Contribution* uses,
                              int n_uses, sz n_rows, bint accumulate, real* g) noexcept nogil:
    """g (+)= the gradient of a task's rows of a table.

    Where a batch passes in parts, the sums of each use go on (`accumulate`): the bits are those
    of the batch in one piece.
    """
    cdef const Param* parameter = &plan.parameters[task.parameter]
    cdef const Table* table
    cdef sz first, last, column
    cdef real* sums
    cdef real* term
    cdef int c
    for c in range(n_uses):
        table = plan.ops[uses[c].table].table
        first = column_at(table, task.k)
        last = column_at(table, task.k + task.n_rows)
        term = g
        if table.term != NULL:
            term = table.term + task.k * parameter.ld + task.n
        sums = term
        if table.is_linear:
            sums = table.sums + 2 * task.k * parameter.ld + task.n
        for column in range(first, last):
            sum_over_samples(plan, task, &plan.ops[uses[c].table], column, n_rows, accumulate,
                             sums)
            sums += (table.last[column] + 1) * (1 + table.is_linear) * parameter.ld
        if table.is_linear:
            take_from_bins(table, first, last, task.n_columns,
                           table.sums + 2 * task.k * parameter.ld + task.n, parameter.ld, term)
        if term != g:
            take_term(task, term, parameter.ld, c > 0, g)


cdef sz column_at(const Table* table, sz row) noexcept nogil:
    """The column of X whose part of the table starts with a row."""
    cdef sz low = 0, high = table.n_columns, middle
    while low < high:
        middle = (low + high) // 2
        if table.starts[middle] < row:
            low = middle + 1
        else:
            high = middle
    return low


cdef void clear_rows(sz n_rows, sz n, real* g, sz ld) noexcept nogil:
    cdef sz i
    for i in range(n_rows):
        memset(g + i * ld, 0, n * sizeof(real))


cdef void take_term(const Task* task, const real* term, sz ld, bint accumulate,
                    real* g) noexcept nogil:
    """g (+)= the term of one use, in the columns of a task."""
    cdef sz i, n
    for i in range(task.n_rows):
        n = 0
        while n < task.n_columns:
            put(g + i * ld + n, VL, load(term + i * ld + n), accumulate)
            n += VL


cdef void sum_over_samples(const Plan* plan, const Task* task, const Op* op, sz column,
                           sz n_rows, bint accumulate, real* sums) noexcept nogil:
    """sums (+)= the gradients of what samples read in a column of X.

    A row of the table has one row of sums, and between edges two: those of dy and (2 t - 1) dy.
    """
    cdef const Table* table = op.table
    cdef Matrix* x = &plan.work.values[op.inputs[0]]
    cdef Matrix* dy = &plan.work.gradients[op.output]
    cdef const Param* weight = &plan.parameters[table.weight]
    cdef bint is_sorted = table.last[column] < SORTED_ROWS
    cdef sz row = 0
    cdef Sorted found
    cdef Summing run
    run.ld_dy, run.ld = dy.ld, weight.ld
    run.width = min(task.n_columns, weight.width - task.n)
    run.accumulate = accumulate
    if not (is_sorted or accumulate):
        clear_rows((table.last[column] + 1) * (1 + table.is_linear), task.n_columns, sums,
                   weight.ld)
        run.accumulate = True
    while row < n_rows:
        run.n_samples = min(<sz>SORTED, n_rows - row)
        run.dy = row_of(dy, row) + task.n
        run.dy += 0 if table.is_sum else column * weight.width
        if not is_sorted:
            sum_each(table, column, x, row, &run, sums)
        else:
            sort_samples(table, column, x, row, run.n_samples, &found)
            if table.is_linear:
                sum_runs(True, table.last[column], &found, &run, sums)
            else:
                sum_runs(False, table.last[column], &found, &run, sums)
        run.accumulate = True
        row += SORTED


cdef void sort_samples(const Table* table, sz column, const Matrix* x, sz first, sz n_samples,
                       Sorted* found) noexcept nogil:
    """The samples from `first` on by the row that they read."""
    cdef int rows[SORTED]
    cdef real shares[SORTED]
    cdef const real* u = row_of(x, first) + column
    cdef int start = 0, count
    cdef sz r, at
    memset(found.ends, 0, (table.last[column] + 1) * sizeof(int))
    for r in range(n_samples):
        locate(table, column, 1, u + r * x.ld, rows + r, shares + r)
        rows[r] -= table.first_rows[column]
        found.ends[rows[r]] += 1
    for r in range(table.last[column] + 1):
        count = found.ends[r]
        found.ends[r] = start
        start += count
    for r in range(n_samples):
        at = found.ends[rows[r]]
        found.ends[rows[r]] += 1
        found.samples[at] = <int>r
        found.factors[at] = <real>2 * shares[r] - <real>1


cdef inline void sum_runs(bint is_linear, sz last, const Sorted* found, Summing* run,
                          real* sums) noexcept nogil:
    """`sum_over_samples` of sorted samples."""
    cdef int start = 0
    cdef sz row
    for row in range(last + 1):
        run.samples = found.samples + start
        run.factors = found.factors + start
        run.n_samples = found.ends[row] - start
        if run.n_samples > 0 or not run.accumulate:
            sum_run(is_linear, run, sums + row * (1 + is_linear) * run.ld)
        start = found.ends[row]


cdef void sum_each(const Table* table, sz column, const Matrix* x, sz first,
                   const Summing* samples, real* sums) noexcept nogil:
    """`sum_over_samples` of one sample after the other."""
    cdef Summing run = samples[0]
    cdef sz r
    cdef int row, sample
    cdef real share, factor
    run.n_samples, run.samples, run.factors = 1, &sample, &factor
    for r in range(samples.n_samples):
        sample = <int>r
        locate(table, column, 1, row_of(x, first + r) + column, &row, &share)
        factor = <real>2 * share - <real>1
        row -= table.first_rows[column]
        if table.is_linear:
            sum_run(True, &run, sums + 2 * row * run.ld)
        else:
            sum_run(False, &run, sums + row * run.ld)


cdef inline void sum_run(bint is_linear, const Summing* run, real* sums) noexcept nogil:
    """sums (+)= the gradients of samples that read one row."""
    cdef sz n = 0
    while n + 4 * VL <= run.width:
        sum_vectors(is_linear, 4, run, n, sums + n)
        n += 4 * VL
    while n < run.width:
        sum_vectors(is_linear, 1, run, n, sums + n)
        n += VL


cdef inline void sum_vectors(bint is_linear, int vectors, const Summing* run, sz n,
                             real* sums) noexcept nogil:
    """`sum_run` of a constant number of vectors from column n on."""
    cdef const int* samples = run.samples
    cdef const real* factors = run.factors
    cdef const real* dy = run.dy + n
    cdef const real* p
    cdef vec plain[4]
    cdef vec weighted[4]
    cdef vec factor, g
    cdef sz s, count = run.n_samples, ld_dy = run.ld_dy, left = run.width - n
    cdef int i
    for i in range(vectors):
        plain[i] = load(sums + i * VL) if run.accumulate else splat(0)
        if is_linear:
            weighted[i] = load(sums + run.ld + i * VL) if run.accumulate else splat(0)
    for s in range(count):
        p = dy + samples[s] * ld_dy
        if is_linear:
            factor = splat(factors[s])
        for i in range(vectors):
            g = load(p + i * VL) if vectors > 1 else take(p, left, 0)
            plain[i] = plain[i] + g
            if is_linear:
                weighted[i] = fma_(factor, g, weighted[i])
    for i in range(vectors):
        store(sums + i * VL, plain[i])
        if is_linear:
            store(sums + run.ld + i * VL, weighted[i])


# -------------------------------------------------------------- edges of bins


cdef public void make_edges(const Plan* plan) noexcept nogil:
    """The values at the edges of all bins, from the weights."""
    cdef const Table* table
    cdef int i
    for i in range(plan.n_ops):
        table = plan.ops[i].table
        if table != NULL and table.is_linear:
            edges_of_columns(plan, table, 0, table.n_columns, 0,
                             plan.parameters[table.weight].columns)


cdef void update_edges(const Plan* plan, const Task* task) noexcept nogil:
    """The same after the update of a tile, for the next step of a run."""
    cdef const Param* parameter = &plan.parameters[task.parameter]
    cdef const Table* table
    cdef int i
    for i in range(parameter.n_edged):
        table = plan.ops[parameter.edged[i]].table
        edges_of_columns(plan, table, column_at(table, task.k),
                         column_at(table, task.k + task.n_rows), task.n, task.n + task.n_columns)


cdef void edges_of_columns(const Plan* plan, const Table* table, sz first, sz last, sz n,
                           sz end) noexcept nogil:
    """V of the bins of columns first to `last` of X, in columns n to `end` of the table."""
    cdef const Param* weight = &plan.parameters[table.weight]
    cdef sz ld = weight.ld, column, m
    cdef const real* w
    cdef real* v
    for column in range(first, last):
        w = plan.storage + weight.offset + table.starts[column] * ld
        v = table.edges + table.first_rows[column] * ld
        m = n
        while m < end:
            edges_of_bins(table.last[column] + 1, w + m, v + m, ld)
            m += VL


cdef inline void edges_of_bins(sz bins, const real* w, real* v, sz ld) noexcept nogil:
    """V_m = sum_{k < m} W_k - sum_{k >= m} W_k of one vector."""
    cdef vec total = splat(0)
    cdef sz m
    store(v + bins * ld, total)
    for m in range(bins - 1, -1, -1):
        total = total + load(w + m * ld)
        store(v + m * ld, total)
    total = splat(0)
    for m in range(bins):
        store(v + m * ld, total - load(v + m * ld))
        total = total + load(w + m * ld)
    store(v + bins * ld, total)


cdef void take_from_bins(const Table* table, sz first, sz last, sz n, const real* sums, sz ld,
                         real* g) noexcept nogil:
    """The gradients of the rows of columns first to `last`, from the sums of their samples."""
    cdef sz column, m, bins
    for column in range(first, last):
        bins = table.last[column] + 1
        m = 0
        while m < n:
            take_from_column(bins, sums + m, ld, g + m)
            m += VL
        g += bins * ld
        sums += 2 * bins * ld


cdef inline void take_from_column(sz bins, const real* sums, sz ld, real* g) noexcept nogil:
    """dW_k = H_k + sum_{b > k} G_b - sum_{b < k} G_b of one vector."""
    cdef vec total = splat(0)
    cdef sz k
    for k in range(bins - 1, -1, -1):
        store(g + k * ld, load(sums + (2 * k + 1) * ld) + total)
        total = total + load(sums + 2 * k * ld)
    total = splat(0)
    for k in range(bins):
        store(g + k * ld, load(g + k * ld) - total)
        total = total + load(sums + 2 * k * ld)
