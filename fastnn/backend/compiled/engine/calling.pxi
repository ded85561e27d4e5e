# Programs that call Python: custom losses and custom layers.
#
# Rows cannot go through such a program in one pass without the GIL.  The pass is cut at each
# call into spans: a team takes all rows of the batch through the operations of a span; when all
# threads are done, the thread that holds the GIL calls Python on views of the buffers; then
# comes the next span.  What a span does is what it does in other programs, so the bits do not
# depend on the number of threads here either.  A batch always passes in one piece.

from functools import partial as _partial


cdef sz CALLED_ROWS = 4096  # of a prediction that a custom layer is called on together


cdef class Caller(Reader):
    """A Reader that takes rows through a program with calls of Python in it."""

    cdef sz n_rows                 # of the last call that filled the training workspace
    cdef bint calls                # whether the program has any
    cdef list python_operations    # their indices
    cdef list python_heads
    cdef bint flushes              # a training call is under way
    cdef bint steps                # ... and its gradients are those of optimizer steps
    cdef double cost               # of the step under way, without the penalty
    cdef object gradient_check     # of what Python returns in a step
    cdef object order              # of the samples of the training call under way, or None

    def __init__(self, program, storage, keep_all=False):
        super().__init__(program, storage, keep_all)
        self.python_operations = [i for i, operation in enumerate(program.operations)
                                  if operation.kind == "python"]
        self.python_heads = [i for i, head in enumerate(program.heads) if is_custom(head)]
        self.calls = bool(self.python_operations or self.python_heads)
        self.gradient_check = _gradients.FinitenessCheck(program) if self.calls else None

    cdef void _let_go(self) noexcept:
        """Keep no arrays of the caller's when a call is over, however it ended."""
        self.custom_targets.clear()
        self.order = None

    # -------------------------------------------------------------- passes

    cdef Span _span(self, const Workspace* work, const Batch* batch) noexcept:
        """A span of all rows of a batch, its stage to be filled in."""
        cdef Span span
        memset(&span, 0, sizeof(Span))
        span.work = work
        span.batch = batch
        span.n_rows = batch.n_rows
        span.seeds = FROM_LOSSES
        span.flush = self.flushes
        return span

    cdef void _go(self, const Span* span, int threads) noexcept:
        """Let a team do a span, unless there is nothing between two calls."""
        cdef bint passes = span.stage == FORWARD or span.stage == BACKWARD
        if passes and span.begin >= span.end and not span.load:
            return
        with nogil:
            span_team(&self.plan, span, threads)

    cdef int _forward_calling(self, const Workspace* work, list arrays, const Batch* batch,
                              bint training, int threads) except -1:
        """All rows of a batch into a workspace and forward; stops early where they are unfit."""
        cdef Span span = self._span(work, batch)
        return self._forward_rows(&span, arrays, training, threads)

    cdef int _forward_rows(self, Span* span, list arrays, bint training, int threads) except -1:
        span.stage = FORWARD
        span.load = True
        span.begin = 0
        for index in self.python_operations:
            span.end = index
            self._go(span, threads)
            span.load = False
            if is_raised(span.batch.bad):
                return 0
            self._call_forward(index, arrays, span.n_rows, training)
            span.begin = index + 1
        span.end = self.plan.n_ops
        self._go(span, threads)
        return 0

    cdef int _backward_calling(self, Seeds seeds, const Batch* batch, int threads) except -1:
        """Every operation backward for the rows in the training workspace."""
        cdef Span span = self._span(&self.plan.work, batch)
        span.stage = BACKWARD
        span.seeds = seeds
        span.end = self.plan.n_ops
        for index in reversed(self.python_operations):
            span.begin = index + 1
            self._go(&span, threads)
            if self.plan.ops[<int>index].flow[<int>seeds].active:
                self._call_backward(index, &self.plan.ops[<int>index].flow[<int>seeds],
                                    span.n_rows)
            span.end = index
        span.begin = 0
        self._go(&span, threads)
        return 0

    cdef int _stream_calling(self, Room room, const Batch* batch) except -1:
        """A prediction in blocks, of as many rows as a call of Python is worth."""
        cdef Span span = self._span(&room.work, batch)
        cdef sz rows = min(batch.n_rows, min(CALLED_ROWS, self.rows_together())), start = 0
        self.furnish(room, rows)
        while start < batch.n_rows and not is_raised(batch.bad):
            span.start = start
            span.n_rows = min(rows, batch.n_rows - start)
            self._forward_rows(&span, room.arrays, False,
                               team_for(self.work_per_row * span.n_rows))
            copy_outputs(&self.plan, &room.work, 0, span.n_rows, room.outputs, start)
            start += span.n_rows
        return 0

    # -------------------------------------------------------------- losses

    cdef int _losses_calling(self, Room room) except -1:
        """The losses of the call's batch, which passes through the room in one piece."""
        cdef int threads = team_for(self.work_per_row * self.batch.n_rows)
        self.furnish(room, self.batch.n_rows)
        self._forward_calling(&room.work, room.arrays, &self.batch, False, threads)
        self._all_losses(&room.work, room.arrays, None, &self.batch, self.batch.n_rows,
                         slice(None), threads)
        return 0

    cdef int _all_losses(self, const Workspace* work, list values, list gradients,
                         const Batch* batch, sz row_stride, rows, int threads) except -1:
        """Losses of a batch and, in training, their gradients: the engine's own, then Python's."""
        cdef Span span = self._span(work, batch)
        span.stage = LOSSES
        span.row_losses = self.row_losses
        span.row_stride = row_stride
        if len(self.python_heads) < self.plan.n_heads:
            self._go(&span, threads)
        for h in self.python_heads:
            self._call_loss(h, values, gradients, batch.n_rows,
                            self.row_losses + <int>h * row_stride, rows)
        return 0

    cdef double _cost_calling(self, Batch* batch, sz row_stride, rows, int threads) except? -1:
        """The batch forward, its losses and their gradients; 0 where its values are unfit."""
        with nogil:
            prepare_targets(&self.plan, batch, 0, 1)
            set_norms(&self.plan, batch)
        self._forward_calling(&self.plan.work, self.value_arrays, batch, self.plan.training,
                              threads)
        if is_raised(batch.bad):
            return 0
        self._all_losses(&self.plan.work, self.value_arrays, self.gradient_arrays, batch,
                         row_stride, rows, threads)
        return batch_cost(&self.plan, self.row_losses, row_stride, batch.n_rows)

    # --------------------------------------------------------------- steps

    cdef _gradients_calling(self, rows, int threads):
        """The cost of the call's batch; `loss_and_gradients` has made everything ready for it."""
        self.flushes = self.plan.training
        rows = slice(None) if rows is None else rows
        try:
            cost = self._cost_calling(&self.batch, self.batch.n_rows, rows, threads)
            self._check_found(0)
            self._backward_calling(FROM_LOSSES, &self.batch, threads)
            self._sum_gradients(FROM_LOSSES, &self.batch, threads)
        finally:
            self.flushes = False
        return cost + summed_penalty(&self.plan)

    cdef int _sum_gradients(self, Seeds seeds, const Batch* batch, int threads) except -1:
        """Phase 2 without updates."""
        cdef Span span = self._span(&self.plan.work, batch)
        span.stage = GRADIENTS
        span.seeds = seeds
        self._go(&span, threads)
        return 0

    cdef int _run_calling(self, Run* run, const Update* recipe, int threads) except -1:
        """The steps of a run that are left, until it halts.

        An exception leaves those before it done, their losses noted.
        """
        cdef Update updates[2]
        cdef sz step = run.steps_done
        self._set_row_losses(run.batch_size)
        self._set_target_rooms(run.batch_size)
        self.set_capacity(run.batch_size)
        if self.has_sparse:
            self._set_columns(self.batch.order, run.n_samples, run.batch_size)
        self.n_rows = run.batch_size
        self.plan.training = True
        self.plan.keep = False
        updates[0], updates[1] = recipe[0], recipe[1]
        self.flushes = self.steps = True
        try:
            while step < run.n_steps and self._step_calling(run, step, updates, threads):
                step += 1
                run.steps_done = step
        except _gradients.GradientError as error:  # which knows of the losses alone
            error.loss += penalty(&self.plan)
            raise
        finally:
            self.flushes = self.steps = False
        return 0

    cdef bint _step_calling(self, Run* run, sz step, Update* updates, int threads) except -1:
        """One optimizer step; False where it is not taken."""
        cdef Batch batch = self.batch
        cdef Span span
        cdef double cost
        self.plan.step = <uint32_t>(run.first_step + step)
        if run.penalties != NULL:
            self.plan.l2 = run.penalties[step]
        batch.start = step * run.batch_size
        batch.n_rows = min(run.batch_size, run.n_samples - batch.start)
        rows = slice(batch.start, batch.start + batch.n_rows)
        if self.order is not None:
            rows = self.order[rows]
        cost = self._cost_calling(&batch, run.batch_size, rows, threads)
        if is_raised(batch.bad):
            return False
        if not isfinite(cost):
            run.losses[step] = cost
            return False
        self.cost = cost
        self.gradient_check.losses(_partial(self._gradient_rows, batch.n_rows), cost)
        self._backward_calling(FROM_LOSSES, &batch, threads)
        if not step_is_moderate(&self.plan, &updates[0], run.learning_rates[step], batch.n_rows):
            run.halted = True
            run.cost = cost
            return False
        set_steps(&updates[0], &updates[1], run.learning_rates[step], run.first_step + step)
        span = self._span(&self.plan.work, &batch)
        span.stage = UPDATES
        span.weights, span.vectors = &updates[0], &updates[1]
        self._go(&span, threads)
        run.losses[step] = cost + summed_penalty(&self.plan)
        if run.sums != NULL:
            run.sums[step] = summed_cost(&self.plan, self.row_losses, run.batch_size,
                                         batch.n_rows)
        return True

    # --------------------------------------------------------- calls of Python

    def _rows(self, list arrays, sz buffer, sz n_rows):
        """The first rows of a buffer, without padding."""
        return arrays[buffer][:n_rows, :self.plan.work.values[buffer].width]

    def _gradient_rows(self, n_rows, buffer):
        return self._rows(self.gradient_arrays, buffer, n_rows)

    def _returned_gradients(self, index, operation):
        """Views of what Python returned for an operation's parameters, without padding."""
        blocks = self.returned.get(index, ())
        parameters = [self.program.parameters[p] for p in operation.parameters]
        return [block.reshape(-1, p.stride)[:, :p.shape[len(p.shape) - 1]].reshape(p.shape)
                for block, p in zip(blocks, parameters)]

    def _parameters_of(self, operation):
        return [self.program.parameters[p].view(self.storage) for p in operation.parameters]

    cdef int _call_forward(self, sz index, list arrays, sz n_rows, bint training) except -1:
        operation = self.program.operations[index]
        y = self._rows(arrays, operation.output, n_rows)
        y[...] = operation.attributes["layer"].run_forward(
            [self._rows(arrays, i, n_rows) for i in operation.inputs],
            self._parameters_of(operation), training, y.shape)
        return 0

    cdef int _call_backward(self, sz index, const Flow* flow, sz n_rows) except -1:
        cdef int j
        operation = self.program.operations[index]
        dx, gradients = operation.attributes["layer"].run_backward(
            self._rows(self.gradient_arrays, operation.output, n_rows),
            [self._rows(self.value_arrays, i, n_rows) for i in operation.inputs],
            self._rows(self.value_arrays, operation.output, n_rows),
            self._parameters_of(operation))
        for j, i in enumerate(operation.inputs):
            if flow.wanted[j]:
                self._put(self._rows(self.gradient_arrays, i, n_rows), dx[j], flow.accumulate[j])
        for position, p in enumerate(operation.parameters):
            place = self.returned[index][position].reshape(-1, self.program.parameters[p].stride)
            place[:, :self.plan.parameters[<int>p].width] = gradients[position]
        if self.steps:
            self.gradient_check.layer(operation, _partial(self._gradient_rows, n_rows),
                                      self._returned_gradients(index, operation), self.cost)
        return 0

    cdef int _call_loss(self, int h, list values, list gradients, sz n_rows, double* row_losses,
                        rows) except -1:
        """A custom loss; its value counts as that of the first row.

        Of a part of a batch, it counts by the share of the batch's rows.
        """
        cdef double share = 1
        if self.batch.whole_norms != NULL:
            share = n_rows / self.batch.whole_norms[h]
        head = self.program.heads[h]
        target, weights = self.custom_targets[h]
        value, gradient = head.attributes["loss"].value_and_gradient(
            self._rows(values, head.output, n_rows), target[rows],
            None if weights is None else weights[rows])
        memset(row_losses, 0, n_rows * sizeof(double))
        row_losses[0] = share * <double>value
        if gradients is not None:
            if head.weight * share != 1:
                gradient = gradient * REAL_DTYPE.type(head.weight * share)
            self._put(self._rows(gradients, head.output, n_rows), gradient,
                      self.plan.heads[h].accumulate)
        return 0

    cdef int _put(self, place, gradient, bint accumulate) except -1:
        if accumulate:
            place += gradient
        else:
            place[...] = gradient
        return 0
