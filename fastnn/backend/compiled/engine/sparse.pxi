# Inputs of which callers give the numbers that are not zero: rows of a CSR matrix.
#
# Only dense operations read such an input.  Nothing is copied: a row of the workspace points to the
# numbers of its sample, where the caller has them.  X W is a sum over these numbers of rows of W.
# For dW, the numbers of a batch are sorted by column between the phases: a row of dW is then a sum
# over the numbers of one column, in the order of the samples.  Both sums are chains of fused
# multiply-adds in the order of the dense products, without terms that are zero: the bits are those
# of the same numbers in a dense array.

cdef enum:
    SPARSE_ROWS = 8    # rows of X W that are finished together, in the first cache
    NUMBERS_AHEAD = 4  # rows of W are fetched so many numbers before their turn


cdef bint point_row(const Source* source, sz row, bint check, SparseRow* out) noexcept nogil:
    """Let `out` be a row of a source; whether it is fit.  A row out of bounds becomes empty."""
    cdef sz n = numbers_of_row(source, row), start = source.starts[row], e
    cdef const int32_t* columns = source.columns + start
    cdef int strays = 0
    out.n = 0
    if n == 0:
        return start == source.starts[row + 1]
    for e in range(n):
        strays += not (0 <= columns[e] < source.width)
    if strays > 0:
        return False
    out.n, out.columns, out.values = n, columns, <const real*>source.data + start
    return not check or finite_row(n, out.values)


# ------------------------------------------------------------------ forward


cdef void sparse_block(const SparseRow* rows, sz n_rows, sz columns, const Product* product,
                       const Finish* finish) noexcept nogil:
    """`dense_block` for rows of X without their zeros; a, lda and K of the product have no use."""
    cdef sz row = 0, count, r
    while row < n_rows:
        count = min(n_rows - row, <sz>SPARSE_ROWS)
        for r in range(row, row + count):
            sparse_row(rows + r, columns, product, product.c + r * product.ldc)
        finish_tile(count, columns, finish, row, 0, product.c + row * product.ldc, product.ldc)
        row += count


cdef void sparse_row(const SparseRow* x, sz columns, const Product* product,
                     real* y) noexcept nogil:
    """y = start + x W."""
    cdef sz n = 0
    while n + 8 * VL <= columns:
        add_weights(8, x, n, product, y)
        n += 8 * VL
    while n + 4 * VL <= columns:
        add_weights(4, x, n, product, y)
        n += 4 * VL
    while n < columns:
        add_weights(1, x, n, product, y)
        n += VL


cdef inline void add_weights(int vectors, const SparseRow* x, sz n, const Product* product,
                             real* y) noexcept nogil:
    """`sparse_row` of a constant number of vectors from column n on."""
    cdef const int32_t* columns = x.columns
    cdef const real* values = x.values
    cdef const real* w = product.b + n
    cdef const real* p
    cdef sz ldw = product.ldb, e, count = x.n
    cdef vec total[8]
    cdef vec factor
    cdef int i
    for i in range(vectors):
        total[i] = load(product.start + n + i * VL) if product.start != NULL else splat(0)
    for e in range(count):
        if e + NUMBERS_AHEAD < count:
            PREFETCH(w + columns[e + NUMBERS_AHEAD] * ldw)
        p = w + columns[e] * ldw
        factor = splat(values[e])
        for i in range(vectors):
            total[i] = fma_(factor, load(p + i * VL), total[i])
    for i in range(vectors):
        store(y + n + i * VL, total[i])


# ------------------------------------------------------------------ phase 2


cdef void sort_some_columns(Sparse* x, sz n_rows, sz first, sz last) noexcept nogil:
    """The rows and numbers of columns first to `last`, by a counting sort."""
    cdef const int32_t* columns
    cdef sz r, e, column, count, at, before = 0
    memset(x.ends + first, 0, (last - first) * sizeof(sz))
    for r in range(n_rows):
        columns = x.rows[r].columns
        for e in range(x.rows[r].n):
            column = columns[e]
            if column < first:
                before += 1
            elif column < last:
                x.ends[column] += 1
    for column in range(first, last):
        count = x.ends[column]
        x.ends[column] = before
        before += count
    CHECK(before <= x.capacity)
    for r in range(n_rows):
        columns = x.rows[r].columns
        for e in range(x.rows[r].n):
            column = columns[e]
            if first <= column < last:
                at = x.ends[column]
                x.ends[column] = at + 1
                x.samples[at] = <int32_t>r
                x.factors[at] = x.rows[r].values[e]


cdef inline bint sort_columns(const Plan* plan, sz n_rows, int part, int parts) noexcept nogil:
    """This thread's columns of the sparse inputs of a batch; whether there are any."""
    cdef Matrix* x
    cdef int i
    if not plan.work.has_sparse:
        return False
    for i in range(plan.n_inputs):
        x = &plan.work.values[plan.inputs[i]]
        if x.sparse != NULL:
            sort_some_columns(x.sparse, n_rows, x.width * part // parts,
                              x.width * (part + 1) // parts)
    return True


cdef void sparse_gradient(const Task* task, const Sparse* x, const Matrix* dz, bint accumulate,
                          real* g, sz ldg) noexcept nogil:
    """g (+)= the tile of X' dZ of a task, over the rows whose columns are sorted."""
    cdef sz k, start, n
    for k in range(task.k, task.k + task.n_rows):
        start = x.ends[k - 1] if k > 0 else 0
        n = 0
        while n + 4 * VL <= task.n_columns:
            add_samples(4, x, start, x.ends[k], dz, task.n + n, accumulate, g + n)
            n += 4 * VL
        while n + 2 * VL <= task.n_columns:
            add_samples(2, x, start, x.ends[k], dz, task.n + n, accumulate, g + n)
            n += 2 * VL
        while n < task.n_columns:
            add_samples(1, x, start, x.ends[k], dz, task.n + n, accumulate, g + n)
            n += VL
        g += ldg


cdef inline void add_samples(int vectors, const Sparse* x, sz start, sz end, const Matrix* dz,
                             sz n, bint accumulate, real* g) noexcept nogil:
    """g (+)= the rows of dZ times the numbers of a column, for a constant number of vectors."""
    cdef const int32_t* samples = x.samples
    cdef const real* factors = x.factors
    cdef const real* rows = dz.data + n
    cdef const real* p
    cdef sz ld = dz.ld, e
    cdef vec total[4]
    cdef vec factor
    cdef int i
    for i in range(vectors):
        total[i] = load(g + i * VL) if accumulate else splat(0)
    for e in range(start, end):
        p = rows + samples[e] * ld
        factor = splat(factors[e])
        for i in range(vectors):
            total[i] = fma_(factor, load(p + i * VL), total[i])
    for i in range(vectors):
        store(g + i * VL, total[i])


cdef vec sparse_squares(const Sparse* x, sz first, sz last) noexcept nogil:
    """Sums of the squares of the numbers of rows first to `last`, in the lanes of a vector."""
    cdef vec v, total = splat(0)
    cdef sz r, e
    for r in range(first, last):
        e = 0
        while e < x.rows[r].n:
            v = take(x.rows[r].values + e, x.rows[r].n - e, 0)
            total = fma_(v, v, total)
            e += VL
    return total
