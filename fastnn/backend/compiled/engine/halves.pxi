# Products in bfloat16: what the engine keeps in it beside the float32 numbers.
#
# Weights are packed twice, for X W and for dZ W', by a call of the engine when it begins and by
# each update for the step that follows, tile by tile.  X and dZ are rounded once: by the epilogue
# of what makes them where that is a product or the derivative of an activation, else by the first
# operation that multiplies them.


cdef inline bint multiplies_halves(const Plan* plan, int weight, const Matrix* x) noexcept nogil:
    """Whether the products of a weight with X, and their gradients, are made in bfloat16."""
    return plan.halves and plan.parameters[weight].by_columns != NULL and x.half_rows != NULL


cdef inline Halves halves_of(const Matrix* matrix) noexcept nogil:
    """Where the copies of a matrix in bfloat16 are."""
    cdef Halves halves
    halves.rows, halves.columns = matrix.half_rows, matrix.half_columns
    halves.ld, halves.width = matrix.ld, matrix.width
    return halves


cdef void round_matrix(const Matrix* matrix, sz first, sz last) noexcept nogil:
    """Round some rows of a matrix."""
    cdef Halves halves = halves_of(matrix)
    round_tile(&halves, first, 0, last - first, matrix.columns, row_of(matrix, first), matrix.ld)


cdef void pack_part(const Plan* plan, const Param* weight, const Task* part,
                    bint turned) noexcept nogil:
    """Some rows and columns of a weight into its packed copies; rows from a multiple of 16."""
    cdef const real* w = plan.storage + weight.offset + part.k * weight.ld + part.n
    pack_columns(part.n_rows, part.n_columns, w, weight.ld,
                 weight.by_columns + part.k // 2 * weight.ld + part.n, weight.ld)
    if turned:
        pack_rows(part.n_rows, min(part.n_columns, weight.width - part.n), w, weight.ld,
                  weight.by_rows + part.n // 2 * weight.ld_rows + part.k, weight.ld_rows)


cdef void pack_tile(const Plan* plan, const Task* task, bint turned) noexcept nogil:
    """The tile of a task into the packed copies of its weight."""
    pack_part(plan, &plan.parameters[task.parameter], task, turned)


cdef public void make_halves(const Plan* plan) noexcept nogil:
    """The weights of a program that only predicts, in bfloat16."""
    if plan.halves:
        pack_weights(plan, FOR_FORWARD, 0, 1)


cdef void pack_weights(const Plan* plan, Packing packing, int part, int parts) noexcept nogil:
    """This thread's rows of all weights that are multiplied in bfloat16."""
    cdef const Param* weight
    cdef Task rows
    cdef sz groups, group
    cdef int i
    for i in range(plan.n_parameters):
        weight = &plan.parameters[i]
        if weight.by_columns == NULL:
            continue
        groups = (weight.rows + 15) // 16
        rows.n, rows.n_columns = 0, weight.columns
        for group in range(groups * part // parts, groups * (part + 1) // parts):
            rows.k = 16 * group
            rows.n_rows = min(weight.rows - rows.k, <sz>16)
            pack_part(plan, weight, &rows, packing == FOR_ALL
                      or (packing == FOR_STEPS and weight.is_turned))
