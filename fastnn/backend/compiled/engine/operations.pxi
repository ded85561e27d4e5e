# Forward and backward of every kind of operation, on rows [first, last) of a workspace.
#
# A kind of operation whose row in fastnn/facts/operations.py says `compiled="name"` is run by
# forward_name and backward_name.
#
# Rows of buffers are padded to whole vectors.  What stands in the padding means nothing: sums run
# over true columns, and the gradient of a parameter is cleared there before it is used.


cdef void forward_rows(const Plan* plan, const Workspace* work, sz first, sz last) noexcept nogil:
    """Every operation in order, for some rows."""
    forward_some(plan, 0, plan.n_ops, work, first, last)


cdef inline void forward_some(const Plan* plan, int begin, int end, const Workspace* work,
                              sz first, sz last) noexcept nogil:
    """Operations begin to end."""
    cdef int i
    for i in range(begin, end):
        if not plan.ops[i].activation.is_fused:
            forward_op(plan, &plan.ops[i], i, work, first, last)


cdef void backward_rows(const Plan* plan, Seeds seeds, const Workspace* work,
                        sz first, sz last) noexcept nogil:
    """The derivative of every operation in reverse order, for some rows."""
    backward_some(plan, 0, plan.n_ops, seeds, work, first, last)


cdef inline void backward_some(const Plan* plan, int begin, int end, Seeds seeds,
                               const Workspace* work, sz first, sz last) noexcept nogil:
    """Those of operations begin to end."""
    cdef int i
    for i in range(end - 1, begin - 1, -1):
        if plan.ops[i].flow[<int>seeds].active and not plan.ops[i].activation.is_below:
            backward_op(plan, &plan.ops[i], i, &plan.ops[i].flow[<int>seeds], work, first, last)


include "../generated/operation_dispatch.pxi"  # forward_op and backward_op


cdef void forward_dense(const Plan* plan, const Op* op, int index, const Workspace* work,
                        sz first, sz last) noexcept nogil:
    """Z = X W + b, and A = f(Z) where an activation was fused in."""
    cdef const Dense* dense = &op.dense
    cdef const Param* weight = &plan.parameters[dense.weight]
    cdef Matrix* x = &work.values[op.inputs[0]]
    cdef Matrix* z = &work.values[op.output]
    cdef Matrix* y = z
    cdef Matrix* slope
    cdef Finish finish = finish_of(dense.function.code, dense.function.alpha)
    cdef Product product = product_of(weight.rows, NULL, x.ld,
                                      plan.storage + weight.offset, weight.ld, NULL, 0)
    cdef Sums sums
    product.start, product.ld_start = vector_of(plan, dense.bias), 0
    if dense.fused >= 0:
        y = &work.values[plan.ops[dense.fused].output]
        if plan.keep and work.gradients != NULL:
            finish.z, finish.ldz = row_of(z, first), z.ld
        if work.slopes != NULL and not dense.function.from_output:
            slope = &work.slopes[dense.fused]
            finish.slope, finish.lds = row_of(slope, first), slope.ld
    if dense.sums_squares:
        finish.squares = plan.factor_squares[0]
    if plan.halves:
        finish.halves, finish.first = halves_of(y), first
    product.c, product.ldc = row_of(y, first), y.ld
    if x.sparse != NULL:
        sparse_block(x.sparse.rows + first, last - first, weight.columns, &product, &finish)
        return
    product.a = row_of(x, first)
    if dense.quads != NULL:
        set_quads(dense.quads, row_of(&work.codes, first), work.codes.ld, weight.rows,
                  last - first, &product, &sums)
        finish.sums = &sums
    elif multiplies_halves(plan, dense.weight, x):
        if not dense.has_rounded_x:
            round_matrix(x, first, last)
        product.words, product.K = PAIRS, pairs(weight.rows)
        product.a, product.lda = x.half_rows + first * (x.ld // 2), x.ld // 2
        product.b = weight.by_columns
    dense_block(last - first, weight.columns, &product, &finish)


cdef inline void set_quads(const QuadWeight* weight, real* words, sz ld, sz width, sz rows,
                           Product* product, Sums* sums) noexcept nogil:
    """Let a product take whole numbers: its rows of A are rounded to `words`, B has its own."""
    round_rows(rows, width, weight, product.a, product.lda, words, ld)
    sums.weight, sums.bias = weight, product.start
    sums.rows, sums.ld = words + weight.words, ld
    product.words, product.K, product.start = QUADS, weight.words, NULL
    product.a, product.lda = words, ld
    product.b, product.ldb = weight.codes, weight.ld


cdef void backward_dense(const Plan* plan, const Op* op, int index, const Flow* flow,
                         const Workspace* work, sz first, sz last) noexcept nogil:
    """dX (+)= dZ W', and at once dZ of the layer below where X is its activation's output."""
    cdef const Param* weight = &plan.parameters[op.dense.weight]
    cdef int below = op.dense.below
    cdef Matrix* dz = &work.gradients[op.output]
    cdef Matrix* dx = &work.gradients[op.inputs[0]]
    cdef sz n = 0, width
    cdef Product product
    cdef bint halves = multiplies_halves(plan, op.dense.weight, &work.values[op.inputs[0]])
    if halves and not op.dense.has_rounded_dz:
        round_matrix(dz, first, last)
    if not flow.wanted[0] or work.values[op.inputs[0]].sparse != NULL:
        return
    product = product_of(weight.width, row_of(dz, first), dz.ld, NULL, weight.ld, NULL, dx.ld)
    if halves:
        product = product_of(pairs(weight.width), dz.half_rows + first * (dz.ld // 2), dz.ld // 2,
                             NULL, weight.ld_rows, NULL, dx.ld)
        product.words = PAIRS
    while n < dx.columns:
        width = min(<sz>STRIP, dx.columns - n)
        product.c = row_of(dx, first) + n
        if flow.accumulate[0]:
            product.start = product.c
        if halves:
            product.b = weight.by_rows + n
            gemm_strip(last - first, width, dx.columns, &product)
        else:
            product.b = plan.storage + weight.offset + n * weight.ld
            gemm_transposed(last - first, width, weight.rows - n, &product)
        if below >= 0:
            activation_gradient(plan, &plan.ops[below], below, False, work, first, last, n,
                                width)
        n += width


cdef void forward_activation(const Plan* plan, const Op* op, int index, const Workspace* work,
                             sz first, sz last) noexcept nogil:
    """A = f(Z), and f'(Z) where the backward pass needs it stored."""
    cdef const Function* function = &op.activation.function
    cdef Matrix* x = &work.values[op.inputs[0]]
    cdef Matrix* y = &work.values[op.output]
    cdef Matrix* slope = &work.slopes[index] if work.slopes != NULL else NULL
    if slope != NULL and slope.data != NULL:
        activate_both_rows(function.code, alpha_of(plan, function), last - first, y.columns,
                           row_of(x, first), x.ld, row_of(y, first), y.ld,
                           row_of(slope, first), slope.ld)
    else:
        activate_rows(function.code, alpha_of(plan, function), last - first, y.columns,
                      row_of(x, first), x.ld, row_of(y, first), y.ld)


cdef void backward_activation(const Plan* plan, const Op* op, int index, const Flow* flow,
                              const Workspace* work, sz first, sz last) noexcept nogil:
    """dZ (+)= dA f'(Z), and the terms of the gradient of a trained parameter."""
    if is_trained(plan, op.activation.function.beta):
        backward_beta(plan, op, index, work, first, last)
    if flow.wanted[0]:
        activation_gradient(plan, op, index, flow.accumulate[0], work, first, last, 0,
                            work.values[op.output].columns)


cdef void activation_gradient(const Plan* plan, const Op* op, int index, bint accumulate,
                              const Workspace* work, sz first, sz last, sz start,
                              sz n) noexcept nogil:
    """dZ (+)= dA f'(Z) in n columns, with f' stored by the forward pass or taken from A."""
    cdef Matrix* dx = &work.gradients[op.inputs[0]]
    cdef Matrix* dy = &work.gradients[op.output]
    cdef const Function* function = &op.activation.function
    cdef Matrix* kept = &work.values[op.output] if function.from_output else &work.slopes[index]
    cdef Halves halves
    slope_rows(function.code if function.from_output else STORED_SLOPE, function.alpha,
               last - first, n,
               row_of(kept, first) + start, kept.ld, row_of(dy, first) + start, dy.ld,
               row_of(dx, first) + start, dx.ld, accumulate,
               plan.factor_squares[1] if op.activation.sums_squares else NULL)
    if plan.halves and op.activation.rounds:
        halves = halves_of(dx)
        round_tile(&halves, first, start, last - first, n, row_of(dx, first) + start, dx.ld)


cdef inline real alpha_of(const Plan* plan, const Function* function) noexcept nogil:
    """The number an activation takes: a parameter, or fixed."""
    if function.beta >= 0:
        return plan.storage[plan.parameters[function.beta].offset]
    return function.alpha


cdef inline bint is_trained(const Plan* plan, int parameter) noexcept nogil:
    return parameter >= 0 and plan.parameters[parameter].trainable


cdef void backward_beta(const Plan* plan, const Op* op, int index, const Workspace* work,
                        sz first, sz last) noexcept nogil:
    """Each row's term of the gradient of beta; phase 2 adds them up."""
    cdef Matrix* z = &work.values[op.inputs[0]]
    cdef Matrix* dy = &work.gradients[op.output]
    cdef sz r
    cdef real beta = alpha_of(plan, &op.activation.function)
    for r in range(first, last):
        row_of(&work.terms[index], r)[0] = swish_beta_row(z.width, beta, row_of(z, r),
                                                          row_of(dy, r))


include "../generated/slopes.pxi"  # slope_rows: `slope_block`, with one instance for every code


cdef inline void slope_block(int code, real alpha, sz rows, sz n, const real* a, sz lda,
                             const real* dy, sz ldy, real* dx, sz ldx,
                             bint accumulate, real* squares) noexcept nogil:
    """`slope_rows` for a constant code, or with f' itself in `a` (STORED_SLOPE)."""
    cdef sz r, j
    cdef vec slope, g, total = splat(0), other = splat(0), last
    for r in range(rows):
        j = 0
        while j < n:
            slope = load(a + r * lda + j)
            if code != STORED_SLOPE:
                slope = derivative_from_output(code, splat(alpha), slope)
            g = load(dy + r * ldy + j) * slope
            if accumulate:
                g = load(dx + r * ldx + j) + g
            store(dx + r * ldx + j, g)
            last = fma_(g, g, total)  # two sums in turn: neither waits for the other
            total, other = other, last
            j += VL
    if squares != NULL:
        store(squares, load(squares) + (total + other))


cdef void forward_softmax(const Plan* plan, const Op* op, int index, const Workspace* work,
                          sz first, sz last) noexcept nogil:
    cdef Matrix* y = &work.values[op.output]
    cdef sz r
    for r in range(first, last):
        softmax_of(y.width, row_of(&work.values[op.inputs[0]], r), row_of(y, r))


cdef void backward_softmax(const Plan* plan, const Op* op, int index, const Flow* flow,
                           const Workspace* work, sz first, sz last) noexcept nogil:
    cdef Matrix* y = &work.values[op.output]
    cdef sz r
    if flow.wanted[0]:
        for r in range(first, last):
            softmax_backward_row(y.width, row_of(y, r), row_of(&work.gradients[op.output], r),
                                 row_of(&work.gradients[op.inputs[0]], r), flow.accumulate[0])


cdef void forward_log_softmax(const Plan* plan, const Op* op, int index, const Workspace* work,
                              sz first, sz last) noexcept nogil:
    cdef Matrix* y = &work.values[op.output]
    cdef sz r
    for r in range(first, last):
        log_softmax_of(y.width, row_of(&work.values[op.inputs[0]], r), row_of(y, r))


cdef void backward_log_softmax(const Plan* plan, const Op* op, int index, const Flow* flow,
                               const Workspace* work, sz first, sz last) noexcept nogil:
    cdef Matrix* y = &work.values[op.output]
    cdef sz r
    if flow.wanted[0]:
        for r in range(first, last):
            log_softmax_backward_row(y.width, row_of(y, r), row_of(&work.gradients[op.output], r),
                                     row_of(&work.gradients[op.inputs[0]], r), flow.accumulate[0])


cdef inline uint32_t row_of_mask(const Plan* plan, sz r) noexcept nogil:
    """Which row of the whole batch is in row r of the workspace."""
    return <uint32_t>(plan.batch_row + plan.first_row + r)


cdef void forward_dropout(const Plan* plan, const Op* op, int index, const Workspace* work,
                          sz first, sz last) noexcept nogil:
    """In training a mask drawn from the row of the batch and the step; else X itself."""
    cdef Matrix* x = &work.values[op.inputs[0]]
    cdef Matrix* y = &work.values[op.output]
    cdef sz r
    for r in range(first, last):
        if plan.training:
            drop_row(y.width, row_of_mask(plan, r), op.dropout.key, plan.step,
                     op.dropout.threshold, op.dropout.scale, row_of(x, r), row_of(y, r), False)
        else:
            memcpy(row_of(y, r), row_of(x, r), y.columns * sizeof(real))


cdef void backward_dropout(const Plan* plan, const Op* op, int index, const Flow* flow,
                           const Workspace* work, sz first, sz last) noexcept nogil:
    """The gradient passes the same mask, drawn again."""
    cdef sz r
    if flow.wanted[0]:
        for r in range(first, last):
            backward_dropout_row(plan, op, flow.accumulate[0], work, r)


cdef void scale_into(sz n, const real* a, real factor, real* out, bint accumulate) noexcept nogil:
    """out (+)= factor a."""
    cdef sz j = 0
    cdef vec g
    while j < n:
        g = load(a + j) * splat(factor)
        store(out + j, load(out + j) + g if accumulate else g)
        j += VL


cdef void backward_dropout_row(const Plan* plan, const Op* op, bint accumulate,
                               const Workspace* work, sz r) noexcept nogil:
    cdef Matrix* dy = &work.gradients[op.output]
    cdef real* dx = row_of(&work.gradients[op.inputs[0]], r)
    if plan.training:
        drop_row(dy.width, row_of_mask(plan, r), op.dropout.key, plan.step,
                 op.dropout.threshold, op.dropout.scale, row_of(dy, r), dx, accumulate)
    else:
        scale_into(dy.columns, row_of(dy, r), 1, dx, accumulate)


cdef const real* vector_of(const Plan* plan, int parameter) noexcept nogil:
    """The elements of a parameter, NULL for none (-1)."""
    return plan.storage + plan.parameters[parameter].offset if parameter >= 0 else NULL


cdef void forward_layer_norm(const Plan* plan, const Op* op, int index, const Workspace* work,
                             sz first, sz last) noexcept nogil:
    cdef sz r
    for r in range(first, last):
        forward_layer_norm_row(plan, op, index, work, r)


cdef void backward_layer_norm(const Plan* plan, const Op* op, int index, const Flow* flow,
                              const Workspace* work, sz first, sz last) noexcept nogil:
    cdef sz r
    if flow.wanted[0]:
        for r in range(first, last):
            backward_layer_norm_row(plan, op, index, flow.accumulate[0], work, r)


cdef void forward_layer_norm_row(const Plan* plan, const Op* op, int index, const Workspace* work,
                                 sz r) noexcept nogil:
    """Y = X^ scale + shift; training keeps X^ (dY / dscale) and the inverse of the spread."""
    cdef const LayerNorm* norm = &op.norm
    cdef Matrix* y = &work.values[op.output]
    cdef real* normalized = row_of(&work.slopes[index], r) if work.slopes != NULL else NULL
    cdef real inverse = layer_norm_row(
        y.width, row_of(&work.values[op.inputs[0]], r), vector_of(plan, norm.scale),
        vector_of(plan, norm.shift), norm.epsilon, normalized, row_of(y, r))
    if normalized != NULL:
        row_of(&work.terms[index], r)[0] = inverse


cdef void backward_layer_norm_row(const Plan* plan, const Op* op, int index, bint accumulate,
                                  const Workspace* work, sz r) noexcept nogil:
    cdef Matrix* dy = &work.gradients[op.output]
    layer_norm_backward_row(dy.width, row_of(&work.slopes[index], r),
                            row_of(&work.terms[index], r)[0], vector_of(plan, op.norm.scale),
                            row_of(dy, r), row_of(&work.gradients[op.inputs[0]], r), accumulate)


cdef void forward_scale(const Plan* plan, const Op* op, int index, const Workspace* work,
                        sz first, sz last) noexcept nogil:
    """Y = X s."""
    cdef Matrix* y = &work.values[op.output]
    cdef sz r
    for r in range(first, last):
        multiply_into(y.columns, row_of(&work.values[op.inputs[0]], r), vector_of(plan, op.gain),
                      row_of(y, r), False)


cdef void backward_scale(const Plan* plan, const Op* op, int index, const Flow* flow,
                         const Workspace* work, sz first, sz last) noexcept nogil:
    """dX (+)= dY s."""
    cdef Matrix* dy = &work.gradients[op.output]
    cdef sz r
    if flow.wanted[0]:
        for r in range(first, last):
            multiply_into(dy.columns, row_of(dy, r), vector_of(plan, op.gain),
                          row_of(&work.gradients[op.inputs[0]], r), flow.accumulate[0])


cdef void multiply_into(sz n, const real* a, const real* b, real* out,
                        bint accumulate) noexcept nogil:
    """out (+)= a b, element by element."""
    cdef sz j = 0
    cdef vec product
    while j < n:
        product = load(a + j) * load(b + j)
        store(out + j, load(out + j) + product if accumulate else product)
        j += VL


cdef void forward_merge(const Plan* plan, const Op* op, int index, const Workspace* work,
                        sz first, sz last) noexcept nogil:
    cdef sz r
    for r in range(first, last):
        forward_merge_row(op, work, r)


cdef void backward_merge(const Plan* plan, const Op* op, int index, const Flow* flow,
                         const Workspace* work, sz first, sz last) noexcept nogil:
    cdef sz r
    for r in range(first, last):
        backward_merge_row(op, flow, work, r)


cdef void forward_merge_row(const Op* op, const Workspace* work, sz r) noexcept nogil:
    """Sum, difference, product, mean or absolute difference of the inputs' rows."""
    cdef Matrix* y = &work.values[op.output]
    cdef real* out = row_of(y, r)
    cdef const real* x
    cdef vec total
    cdef sz j = 0
    cdef int i
    while j < y.columns:
        total = load(row_of(&work.values[op.inputs[0]], r) + j)
        for i in range(1, op.n_inputs):
            x = row_of(&work.values[op.inputs[i]], r) + j
            if op.kind == SUBTRACT:
                total = total - load(x)
            elif op.kind == MULTIPLY:
                total = total * load(x)
            elif op.kind == ABSOLUTE_DIFFERENCE:
                total = abs_(total - load(x))
            else:
                total = total + load(x)
        if op.kind == AVERAGE:
            total = total * splat(op.share)
        store(out + j, total)
        j += VL


cdef void backward_merge_row(const Op* op, const Flow* flow, const Workspace* work,
                             sz r) noexcept nogil:
    cdef const real* dy = row_of(&work.gradients[op.output], r)
    cdef sz columns = work.values[op.output].columns
    cdef real* dx
    cdef int i
    for i in range(op.n_inputs):
        if not flow.wanted[i]:
            continue
        dx = row_of(&work.gradients[op.inputs[i]], r)
        if op.kind == MULTIPLY:
            backward_product_row(op, i, work, r, dy, dx, flow.accumulate[i])
        elif op.kind == ABSOLUTE_DIFFERENCE:
            backward_distance_row(columns, row_of(&work.values[op.inputs[i]], r),
                                  row_of(&work.values[op.inputs[1 - i]], r), dy, dx,
                                  flow.accumulate[i])
        else:
            scale_into(columns, dy, -1 if op.kind == SUBTRACT and i == 1
                       else op.share if op.kind == AVERAGE else 1, dx, flow.accumulate[i])


cdef void backward_product_row(const Op* op, int position, const Workspace* work, sz r,
                               const real* dy, real* dx, bint accumulate) noexcept nogil:
    """Each factor receives dy times the product of the others, in order."""
    cdef sz columns = work.values[op.output].columns
    cdef sz j = 0
    cdef vec g
    cdef int i
    while j < columns:
        g = load(dy + j)
        for i in range(op.n_inputs):
            if i != position:
                g = g * load(row_of(&work.values[op.inputs[i]], r) + j)
        store(dx + j, load(dx + j) + g if accumulate else g)
        j += VL


cdef void backward_distance_row(sz columns, const real* a, const real* b, const real* dy,
                                real* dx, bint accumulate) noexcept nogil:
    """d|a - b| / da = sign(a - b), 0 where they are equal."""
    cdef sz j = 0
    cdef vec difference, g
    while j < columns:
        difference = load(a + j) - load(b + j)
        g = load(dy + j)
        g = select(less(splat(0), difference), g,
                   select(less(difference, splat(0)), splat(0) - g, splat(0) * g))
        store(dx + j, load(dx + j) + g if accumulate else g)
        j += VL


cdef void forward_concatenate(const Plan* plan, const Op* op, int index, const Workspace* work,
                              sz first, sz last) noexcept nogil:
    cdef Matrix* x
    cdef Matrix* y = &work.values[op.output]
    cdef sz start = 0, r
    cdef int i
    for i in range(op.n_inputs):
        x = &work.values[op.inputs[i]]
        for r in range(first, last):
            memcpy(row_of(y, r) + start, row_of(x, r), x.width * sizeof(real))
        start += x.width


cdef void backward_concatenate(const Plan* plan, const Op* op, int index, const Flow* flow,
                               const Workspace* work, sz first, sz last) noexcept nogil:
    cdef Matrix* dx
    cdef const real* dy
    cdef sz start = 0, r, j
    cdef int i
    for i in range(op.n_inputs):
        dx = &work.gradients[op.inputs[i]]
        if flow.wanted[i]:
            for r in range(first, last):
                dy = row_of(&work.gradients[op.output], r) + start
                if flow.accumulate[i]:
                    for j in range(dx.width):
                        row_of(dx, r)[j] += dy[j]
                else:
                    memcpy(row_of(dx, r), dy, dx.width * sizeof(real))
        start += dx.width
