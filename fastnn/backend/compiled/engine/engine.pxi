# The compiled engine: executes a lowered Program without Python.
# What its calls mean is said once, in fastnn.backend.protocol.


cdef extern from *:
    """
    #if !defined(Py_GIL_DISABLED)  /* callers hold the GIL */
    static int exchange(int *place, int value) { int old = *place; *place = value; return old; }
    #elif defined(_MSC_VER)
    #include <intrin.h>
    #define exchange(place, value) (int)_InterlockedExchange((volatile long *)(place), value)
    #else
    #define exchange(place, value) __atomic_exchange_n(place, value, __ATOMIC_ACQ_REL)
    #endif
    """
    int exchange(int* place, int value)


cdef double BRIEF_WORK = 1e5   # multiply-adds that take microseconds: less than the GIL is worth
cdef sz BRIEF_ROWS = 1024
cdef double SMALLEST = 2.2250738585072014e-308 if sizeof(real) == 8 else 1.1754943508222875e-38
cdef double LIGHTEST = 2.0**-20, HEAVIEST = 2.0**20   # of the largest weight of a direct call
cdef double LIVELY_WORK = 5e9  # multiply-adds after which Ctrl-C is looked for: a tenth of a second


cdef class Engine(Caller):
    """Executes one program on one storage of parameters; see `fastnn.backend.protocol`."""

    cdef public Guard guard
    cdef Update recipe[2]     # for penalized parameters (weights), and for the others
    cdef bint has_optimizer
    cdef list slots
    cdef object slot_names
    cdef object converted_weights   # the last float64 weights of a direct call, in float32
    cdef int busy             # a call is under way: its thread has let go of the GIL
    cdef unsigned long generation   # of the process that made it busy ...
    cdef unsigned long caller       # ... and its thread
    cdef object lost                # see `_keep_lost`
    cdef unsigned float_mode        # of that thread, outside of the call

    def __init__(self, program, storage, keep_all=False):
        super().__init__(program, storage, keep_all)
        self.guard = Guard()

    cdef int _enter(self) except -1:
        """Begin a call in the floating-point mode of the engine."""
        self._claim(<unsigned long>PyThread_get_thread_ident())
        self.float_mode = enter_float_mode(PLAIN_FLOATS)
        return 0

    cdef void _leave(self) noexcept:
        """The call is over: the mode of the caller again."""
        leave_float_mode(self.float_mode, PLAIN_FLOATS)
        self._release()

    cdef int _claim(self, unsigned long thread) except -1:
        """Refuse a second thread: buffers and parameters belong to the call under way."""
        if exchange(&self.busy, 1) and (self.generation == _generation
                                        or self.caller == _survivor):
            raise RuntimeError("another thread is using this layer or network (or a custom loss or "
                               "layer calls the network it is part of); give each thread its own "
                               "copy")
        self.generation = _generation
        self.caller = thread
        return 0

    cdef void _release(self) noexcept:
        """Another call may begin."""
        if self.calls:
            self._let_go()
        exchange(&self.busy, 0)  # what was written is seen by whoever takes it

    # --------------------------------------------------------------- calls

    @staticmethod
    def supports(program):
        """Whether this engine can run the program, and why not."""
        return _support.support(program, f"the compiled engine of {REAL_DTYPE}", (REAL_DTYPE,),
                                 _program.KINDS, _program.ACTIVATIONS, _program.LOSSES)

    def set_optimizer(self, kind, hyper, slots):
        """Choose the update `train` applies; see `fastnn.backend.protocol`."""
        cdef int i
        hyper = dict(hyper)
        self.plan.clip_norm = hyper.pop("clip_norm", 0.0)
        prepare_update(&self.recipe[0], kind, hyper, len(slots))
        self.recipe[1] = self.recipe[0]
        self.recipe[1].numbers.weight_decay = 0
        self.plan.n_slots = len(slots)
        for i in range(self.plan.n_slots):
            if self.program.storage_size:
                self.plan.slots[i] = <real*>elements(
                    slots[i], REAL_TYPE, 1, self.program.storage_size, -1, "slots", i)
        self.plan.is_large = (
            self.program.storage_size * (1 + len(slots)) * sizeof(real) > LARGE_BYTES)
        self.slots = list(slots)
        self.slot_names = _updates.known(kind).slots
        self.has_optimizer = True

    def forward(self, inputs, training=False, step=0, check=False):
        """Run the operations; returns a new array for each output of the program."""
        self._enter()
        try:
            self._read_inputs(inputs, check)
            self.plan.training = training
            self.plan.step = <uint32_t>(step & 0xFFFFFFFF)
            self.choose_words(self.batch.n_rows)
            outputs = self._new_outputs(self.room, self.batch.n_rows)
            if training:
                self._forward_kept()
            else:
                self._stream(self.room, &self.batch, NULL)
            self._check_found(0)
            return outputs
        finally:
            self._leave()

    def direct_predict(self, X, check=True):
        """The output for X as it is; a direct call, see `fastnn.backend.direct`."""
        cdef Room room = self.room
        if self.plan.n_inputs != 1 or self.plan.n_outputs != 1 or not cnp.PyArray_CheckExact(X):
            return None
        if not isinstance(check, bool):  # for Python to refuse
            return None
        self.guard.enter()
        try:
            # Each worker sets the floating-point mode: once is enough here.
            self._claim(self.guard.owner)
            try:
                return self._predict(room, X, check)
            finally:
                self._release()
        finally:
            self.guard.leave()

    cdef _predict(self, Room room, cnp.ndarray X, bint check):
        cdef sz width = self.plan.work.values[self.plan.inputs[0]].width
        cdef bint single = describe_row(X, width, room.inputs)
        if not single and not (cnp.PyArray_NDIM(X) == 2 and describe(X, width, room.inputs)):
            return None
        self._begin_batch(room.inputs.n_rows, check)
        self.plan.training = False
        self.choose_words(room.inputs.n_rows)
        output = new_output(self.plan.work.values[self.plan.outputs[0]].width,
                            room.inputs.n_rows, single, room.outputs)
        self._stream(room, &self.batch, NULL)
        return None if self.bad else output

    cdef list _new_outputs(self, Room room, sz n_rows):
        cdef int i
        return [new_output(self.plan.work.values[self.plan.outputs[i]].width, n_rows, False,
                           room.outputs + i) for i in range(self.plan.n_outputs)]

    cdef int _forward_kept(self) except -1:
        """All rows at once into the training workspace, for `backward` and `value`."""
        cdef Stream stream
        cdef int threads = team_for(self.work_per_row * self.batch.n_rows)
        self.set_capacity(self.batch.n_rows)
        self.n_rows = self.batch.n_rows
        self.plan.keep = True
        stream.batch = &self.batch
        stream.outputs = self.room.outputs
        stream.row_losses = NULL
        stream.work = &self.plan.work
        stream.first, stream.last, stream.block = 0, self.batch.n_rows, 0
        if self.python_operations:
            self._forward_calling(&self.plan.work, self.value_arrays, &self.batch,
                                  self.plan.training, threads)
            copy_outputs(&self.plan, &self.plan.work, 0, self.n_rows, self.room.outputs, 0)
            return 0
        with nogil:
            stream_team(&self.plan, &stream, threads)
        return 0

    cdef int _stream(self, Room room, const Batch* batch, double* row_losses) except -1:
        """Rows in blocks through all operations, to the outputs of the room or to their losses."""
        cdef Stream stream
        cdef double work = self.work_per_row * batch.n_rows
        cdef int threads = team_for(work)
        cdef sz block = self.plan.block, rows
        if self.python_operations:
            self._stream_calling(room, batch)
            return 0
        self.furnish(room, threads * block)
        stream.batch = batch
        stream.outputs = room.outputs if row_losses == NULL else NULL
        stream.row_losses = row_losses
        stream.work = &room.work
        stream.block = block if threads == 1 else min(
            block, (batch.n_rows + threads - 1) // threads)
        stream.first, stream.last = 0, batch.n_rows
        if work < BRIEF_WORK and batch.n_rows < BRIEF_ROWS:
            stream_team(&self.plan, &stream, threads)
            return 0
        rows = max(block, <sz>(LIVELY_WORK / (1 + self.work_per_row)))
        while stream.first < batch.n_rows:
            stream.last = min(stream.first + threads * rows, batch.n_rows)
            with nogil:
                stream_team(&self.plan, &stream, threads)
            stream.first = stream.last
            PyErr_CheckSignals()
        return 0

    def evaluate(self, inputs, targets):
        """The cost and the loss of each head, without dropout."""
        self._enter()
        try:
            return self._evaluate(inputs, targets)
        finally:
            self._leave()

    cdef _evaluate(self, inputs, targets):
        cdef sz n_rows
        cdef int h
        self._read_inputs(inputs, False)
        self._read_targets(targets)
        n_rows = self.batch.n_rows
        self._set_row_losses(n_rows)
        self._set_target_rooms(n_rows)
        self.plan.training = False
        self.choose_words(n_rows)
        with nogil:
            prepare_targets(&self.plan, &self.batch, 0, 1)
            set_norms(&self.plan, &self.batch)
        self._check_found(0)
        if self.calls:
            self._losses_calling(self.room)
        else:
            self._stream(self.room, &self.batch, self.row_losses)
        losses = [ordered_sum(self.row_losses + h * n_rows, n_rows)
                  for h in range(self.plan.n_heads)]
        return (batch_cost(&self.plan, self.row_losses, n_rows, n_rows) + penalty(&self.plan),
                losses)

    def loss_and_gradients(self, inputs, targets, training=False, step=0, check=False):
        """The cost; its gradients are left in `gradients` and the buffers'."""
        self._enter()
        try:
            self._read_inputs(inputs, check)
            self._read_targets(targets)
            return self._loss_and_gradients(training, step, None)
        finally:
            self._leave()

    def shard_gradients(self, inputs, targets, rows, sz first_row, norms, double l2, step):
        """What some rows add to the cost and gradients of their batch; see the protocol."""
        cdef const int64_t[::1] order = rows
        cdef double cost
        self._enter()
        try:
            self._read_inputs(inputs, False)
            self._read_targets(targets)
            check_order(order, self.batch.n_rows)
            if not order.shape[0]:
                raise ValueError("a shard has at least one row")
            self.batch.order = &order[0]
            self.batch.n_rows = order.shape[0]
            self.batch.whole_norms = <double*>elements(
                norms, cnp.NPY_FLOAT64, 1, self.plan.n_heads, -1, "arguments", "norms")
            self.plan.batch_row = first_row
            self.plan.l2 = l2
            cost = self._loss_and_gradients(True, step, rows)
            return cost, summed_cost(&self.plan, self.row_losses, self.batch.n_rows,
                                     self.batch.n_rows)
        finally:
            self.batch.order = NULL
            self.batch.whole_norms = NULL
            self.plan.batch_row = 0
            self.plan.l2 = self.program.l2
            self._leave()

    cdef _loss_and_gradients(self, bint training, step, rows):
        cdef double cost
        cdef sz n_rows = self.batch.n_rows
        cdef int threads = team_for(3 * self.work_per_row * n_rows)
        self._set_row_losses(n_rows)
        self._set_target_rooms(n_rows)
        self.choose_words(n_rows)
        self.set_capacity(n_rows)
        if self.has_sparse:
            self._set_columns(self.batch.order, n_rows, n_rows)
        self.n_rows = n_rows
        self.plan.training = training
        self.plan.step = <uint32_t>(step & 0xFFFFFFFF)
        self.plan.keep = True
        if self.calls:
            return self._gradients_calling(rows, threads)
        with nogil:
            prepare_targets(&self.plan, &self.batch, 0, 1)
            set_norms(&self.plan, &self.batch)
            gradient_team(&self.plan, FROM_LOSSES, &self.batch, self.row_losses, threads)
            cost = batch_cost(&self.plan, self.row_losses, n_rows, n_rows)
            cost += summed_penalty(&self.plan)
        self._check_found(0)
        return cost

    def backward(self, output_gradients, input_gradients=True):
        """Gradients of the last training forward, from those of the outputs."""
        self._enter()
        try:
            return self._backward(output_gradients, input_gradients)
        finally:
            self._leave()

    cdef _backward(self, output_gradients, bint input_gradients):
        cdef int i, threads = team_for(2 * self.work_per_row * self.n_rows)
        if self.n_rows == 0:
            raise RuntimeError("backward comes after forward(training=True)")
        for i in self.program.inputs:
            self._dense_buffer(self.program.buffers[i].name)
        if len(output_gradients) != self.plan.n_outputs:
            raise ValueError(f"got {len(output_gradients)} output gradients, "
                             f"expected {self.plan.n_outputs}")
        seen = set()
        for i in range(self.plan.n_outputs):
            self._seed(i, output_gradients[i], self.plan.outputs[i] in seen)
            seen.add(self.plan.outputs[i])
        self.batch.n_rows = self.n_rows
        self.choose_words(self.n_rows)
        if self.python_operations:
            self._backward_calling(FROM_OUTPUTS, &self.batch, threads)
            self._sum_gradients(FROM_OUTPUTS, &self.batch, threads)
        else:
            with nogil:
                gradient_team(&self.plan, FROM_OUTPUTS, &self.batch, NULL, threads)
        if not input_gradients:
            return []
        return [self.gradient(self.program.buffers[i].name).copy() for i in self.program.inputs]

    cdef int _seed(self, int i, gradient, bint accumulate) except -1:
        """Set (or add) the gradient of output i; None is zero."""
        cdef Matrix* dy = &self.plan.work.gradients[self.plan.outputs[i]]
        cdef const real* given = NULL
        cdef sz r, j
        if gradient is not None:
            given = <const real*>elements(gradient, REAL_TYPE, 2, self.n_rows, dy.width,
                                          "output_gradients", i)
        for r in range(self.n_rows):
            for j in range(dy.width):
                row_of(dy, r)[j] = ((row_of(dy, r)[j] if accumulate else 0)
                                    + (given[r * dy.width + j] if given != NULL else 0))
        return 0

    def train(self, inputs, targets, order, sz batch_size, learning_rates, sz first_step, losses,
              check=False, mean_weights=None, penalties=None):
        """One optimizer step per batch; see `fastnn.backend.protocol`."""
        self._enter()
        try:
            self._read_inputs(inputs, check)
            self._read_targets(targets)
            if mean_weights is not None:
                self.batch.mean_weights = <double*>elements(
                    mean_weights, cnp.NPY_FLOAT64, 1, self.plan.n_heads, -1, "arguments",
                    "mean_weights")
            return self._train(order, batch_size, learning_rates, first_step, losses, penalties)
        finally:
            self.batch.mean_weights = NULL
            if penalties is not None:
                self.plan.l2 = self.program.l2
            self._leave()

    cdef _train(self, order, sz batch_size, learning_rates, sz first_step, losses, penalties):
        cdef Run run
        cdef const int64_t[::1] indices
        run.n_samples = self.batch.n_rows
        if order is not None:
            indices = order
            check_order(indices, self.batch.n_rows)
            run.n_samples = indices.shape[0]
            self.batch.order = &indices[0] if run.n_samples else NULL
        run.n_steps = len(learning_rates)
        if batch_size < 1 or (run.n_steps - 1) * batch_size >= run.n_samples:
            raise ValueError(f"{run.n_steps} steps of batch_size {batch_size} do not fit "
                             f"{run.n_samples} samples")
        run.learning_rates = <double*>elements(
            learning_rates, cnp.NPY_FLOAT64, 1, -1, -1, "arguments", "learning_rates")
        run.penalties = NULL
        if penalties is not None:
            run.penalties = <double*>elements(
                penalties, cnp.NPY_FLOAT64, 1, run.n_steps, -1, "arguments", "penalties")
        run.sums = NULL
        if _np.ndim(losses) == 2:
            losses, sums = losses
            run.sums = <double*>elements(
                sums, cnp.NPY_FLOAT64, 1, run.n_steps, -1, "arguments", "losses")
        run.losses = <double*>elements(
            losses, cnp.NPY_FLOAT64, 1, run.n_steps, -1, "arguments", "losses")
        run.batch_size = min(batch_size, run.n_samples)
        run.first_step = first_step
        self.order = order if self.calls else None
        self._run(&run)
        self._check_found(run.steps_done)
        if self.bad:
            run.losses[run.steps_done] = _np.nan
        return run.steps_done

    def direct_step(self, X, y, double learning_rate, sz number, check=True, state=None,
                    weights=None):
        """One optimizer step on X and y as they are; a direct call, see `fastnn.backend.direct`.

        `state.step` is set with the parameters, before Python can see a Ctrl-C.
        NotFiniteError if the loss or the update is not finite: then no step was taken.
        """
        cdef Run run
        run.first_step = number
        run.learning_rates = &learning_rate
        run.penalties = NULL
        return self._step_directly(&run, X, y, check, state, weights, False)

    def direct_counting_step(self, X, y, double learning_rate, sz number, check=True, state=None,
                             weights=None):
        """`direct_step` whose means leave the sample weights out, which may be negative."""
        cdef Run run
        if self.plan.n_heads and self.plan.heads[0].class_weights != NULL:
            return None  # NumPy adds these up in another order
        run.first_step = number
        run.learning_rates = &learning_rate
        run.penalties = NULL
        return self._step_directly(&run, X, y, check, state, weights, True)

    cdef _step_directly(self, Run* run, X, y, check, state, weights, bint counts):
        cdef double loss = 0
        if not self._may_be_direct(X, y, check):
            return None
        self._enter()
        try:
            if not self._read_directly(X, y, check, weights, counts):
                return None
            self.batch.counts_targets = counts
            self.order = None
            run.n_samples = run.batch_size = self.batch.n_rows
            run.n_steps = 1
            run.losses = &loss
            run.sums = NULL
            self._run(run)
            if run.steps_done:
                if state is not None:
                    state.step = run.first_step
                return loss
            if self.bad:
                return None
            raise _gradients.NotFiniteError("", loss)
        finally:
            self._leave()

    def direct_gradients(self, X, y, training=False, step=0, check=True, weights=None):
        """`loss_and_gradients` on X and y as they are; a direct call, see `fastnn.backend.direct`.

        An exception of a custom loss or layer passes on.
        """
        if not self._may_be_direct(X, y, check):
            return None
        self._enter()
        try:
            if not self._read_directly(X, y, check, weights, False):
                return None
            try:
                return self._loss_and_gradients(training, step, None)
            except ValueError:
                if self.bad:
                    return None
                raise
        finally:
            self._leave()

    cdef bint _may_be_direct(self, X, y, check) noexcept:
        """Whether a direct call may look at these arguments: arrays, and a bool for `check`."""
        return (self.plan.n_inputs == 1 and self.plan.n_heads == 1
                and cnp.PyArray_CheckExact(X) and cnp.PyArray_CheckExact(y)
                and isinstance(check, bool))

    cdef bint _read_directly(self, cnp.ndarray X, cnp.ndarray y, bint check, weights,
                             bint signed_) except -1:
        """Describe the arguments to the batch; False if they must be prepared, or do not fit."""
        cdef Target* target = self.batch.targets
        cdef Source* x = self.room.inputs
        cdef bint has_labels = self.plan.heads[0].takes_labels and cnp.PyArray_NDIM(y) == 1
        if (cnp.PyArray_NDIM(X) != 2
                or not describe(X, self.plan.work.values[self.plan.inputs[0]].width, x)):
            return False
        if self.python_heads:
            if weights is not None:
                return False
            self._begin_batch(x.n_rows, check)
            try:
                self._read_targets([(y, None)])
            except (TypeError, ValueError):
                return False
            return True
        if (not describe(y, 1 if has_labels else target.width, &target.source)
                or target.source.n_rows != x.n_rows
                or (has_labels and target.source.type <= LAST_FLOAT)):
            return False
        target.given_weights = NULL
        target.by_element = False
        if weights is not None and not self._read_weights(weights, x.n_rows, target, signed_):
            return False
        self._settle(target, has_labels)
        self._begin_batch(x.n_rows, check)
        return True

    cdef bint _read_weights(self, weights, sz n_rows, Target* target, bint signed_) except -1:
        """Describe weights of rows or elements, the largest about 1; False for others.

        They may be negative where `signed_`.  float64 weights of a float32 program are converted to
        a room of the engine's own.
        """
        cdef cnp.ndarray given
        cdef const double* wide
        cdef real[::1] room
        cdef const real* numbers
        cdef double size, largest = 0
        cdef sz i, n = n_rows
        if not cnp.PyArray_CheckExact(weights):
            return False
        given = weights
        if not cnp.PyArray_ISCARRAY_RO(given) or cnp.PyArray_NDIM(given) < 1:
            return False
        if cnp.PyArray_NDIM(given) == 2 and self.plan.heads[0].is_elementwise:
            if cnp.PyArray_DIM(given, 1) != target.width:
                return False
            target.by_element = True
            n *= target.width
        elif cnp.PyArray_NDIM(given) != 1:
            return False
        if cnp.PyArray_DIM(given, 0) != n_rows:
            return False
        if cnp.PyArray_TYPE(given) == REAL_TYPE:
            numbers = <const real*>cnp.PyArray_DATA(given)
            for i in range(n):
                size = fabs(numbers[i]) if signed_ else numbers[i]
                if not (size == 0 or size >= SMALLEST):
                    return False
                largest = max(largest, size)
        elif cnp.PyArray_TYPE(given) == cnp.NPY_FLOAT64:
            wide = <const double*>cnp.PyArray_DATA(given)
            if self.converted_weights is None or self.converted_weights.shape[0] < n:
                self.converted_weights = _np.empty(n, REAL_DTYPE)
            room = self.converted_weights
            numbers = &room[0]
            for i in range(n):
                room[i] = <real>wide[i]
                size = fabs(room[i]) if signed_ else room[i]
                if not (wide[i] == 0 or size >= SMALLEST):
                    return False
                largest = max(largest, fabs(wide[i]))
        else:
            return False
        target.given_weights = numbers
        return LIGHTEST <= largest <= HEAVIEST

    def update(self, double learning_rate, sz number):
        """Step `number` of the optimizer, with the gradients in `gradients`."""
        if not self.has_optimizer:
            raise RuntimeError("set_optimizer has not been called")
        self._enter()
        try:
            self._update_carefully(learning_rate, number, NAN)
        finally:
            self._leave()

    cdef int _update_carefully(self, double learning_rate, sz number, double cost) except -1:
        def update():
            with nogil:
                update_alone(&self.plan, self.recipe, learning_rate, number)

        slots = dict(zip(self.slot_names, self.slots))
        _gradients.update_carefully(self.program, self.gradients, self.storage, slots, update, cost)
        return 0

    cdef int _step_carefully(self, Run* run) except -1:
        """The step at which a run has halted; the rest of the run may go on behind it."""
        cdef sz step = run.steps_done
        cdef sz n_rows = min(run.batch_size, run.n_samples - step * run.batch_size)
        cdef double cost
        cdef bint stored = not self.calls and (self.plan.clip_norm > 0
                                               or n_rows > run.rows_at_once)
        if run.penalties != NULL:
            self.plan.l2 = run.penalties[step]
        with nogil:
            finish_gradients(&self.plan, n_rows, stored)
            cost = run.cost + summed_penalty(&self.plan)
        self._update_carefully(run.learning_rates[step], run.first_step + step, cost)
        run.losses[step] = cost
        if run.sums != NULL:
            run.sums[step] = summed_cost(&self.plan, self.row_losses, run.batch_size, n_rows)
        run.steps_done = step + 1
        run.suspect = run.halted = False
        return 0

    cdef int _run(self, Run* run) except -1:
        """The steps of a run on the engine's batch, which describes all samples."""
        if not self.has_optimizer:
            raise RuntimeError("set_optimizer has not been called")
        self.choose_words(run.batch_size)
        run.steps_done = 0
        run.suspect = run.halted = False
        self._prepare_run(run)
        try:
            self._go_on(run)
            while run.halted:
                self._step_carefully(run)
                self._go_on(run)
        finally:
            self.plan.lost = NULL
        return 0

    cdef int _prepare_run(self, Run* run) except -1:
        """Memory for the steps of a run, unless they call Python."""
        if self.calls:
            return 0
        self._set_row_losses(run.batch_size)
        self._set_target_rooms(run.batch_size)
        run.rows_at_once = min(run.batch_size, self._rows_of_part())
        self._keep_lost(run.rows_at_once < run.batch_size)
        self.set_capacity(run.rows_at_once)
        if self.has_sparse:
            self._set_columns(self.batch.order, run.n_samples, run.batch_size)
        self.n_rows = run.rows_at_once
        run.batch = self.batch
        run.norms_read_targets = norms_read_targets(&self.plan, &self.batch)
        run.row_losses = self.row_losses
        self.plan.training = True
        self.plan.keep = False
        return 0

    cdef int _go_on(self, Run* run) except -1:
        """The steps of a run that are left, until it halts."""
        cdef double work = 3 * self.work_per_row * run.batch_size + self.update_work
        cdef int threads = team_for(work)
        if self.calls:
            self._run_calling(run, self.recipe, threads)
        elif work * run.n_steps < BRIEF_WORK and run.batch_size < BRIEF_ROWS:
            train_team(&self.plan, run, self.recipe, threads)
        else:
            with nogil:
                train_team(&self.plan, run, self.recipe, threads)
        return 0

    cdef sz _rows_of_part(self):
        """Rows of a part of a batch: whole blocks of sums over rows, for the bits of one piece."""
        return (self.rows_together() + SUMMED_ROWS - 1) // SUMMED_ROWS * SUMMED_ROWS

    cdef int _keep_lost(self, bint in_parts) except -1:
        """Memory for what the sums of a batch in parts lose by rounding."""
        cdef real[::1] lost
        if in_parts and self.lost is None:
            self.lost = _program.aligned_zeros(self.program.storage_size, self.program.dtype)
        self.plan.lost = NULL
        if in_parts:
            lost = self.lost
            self.plan.lost = &lost[0]
        return 0

    def all_finite(self, x):
        """Whether every number of an (N, width) array is finite in the program's dtype."""
        cdef Source source
        cdef bint finite = True
        read_source(x, -1, x.shape[1], "arguments", "x", &source)
        cdef real[::1] scratch = _np.empty(up(source.width), REAL_DTYPE)
        with nogil:
            finite = source.type > LAST_FLOAT or rows_are_finite(&source, &scratch[0])
        return finite

    # --------------------------------------------------------------- reading back

    cdef int _dense_buffer(self, name) except -1:
        """Index of a buffer; ValueError if it is an input that the last call had as sparse rows."""
        cdef int i = self.program.buffer_index(name)
        if self.value_arrays[i] is None:
            raise ValueError(f"input {name!r} is sparse: the engine has no array of it")
        return i

    def value(self, name):
        """The named buffer as the last training forward left it."""
        i = self._dense_buffer(name)
        return self.value_arrays[i][: self.n_rows, : self.program.buffers[i].width]

    def gradient(self, name):
        """Gradient of the cost with respect to the named buffer.

        Only what a trainable parameter (or, after `backward` or with `keep_all`, an input)
        needs is computed; the rest is zero.
        """
        i = self._dense_buffer(name)
        return self.gradient_arrays[i][: self.n_rows, : self.program.buffers[i].width]

    def sample_losses(self):
        """What each sample adds to each head's loss in the last `loss_and_gradients`."""
        size = self.plan.n_heads * self.n_rows
        return self.row_loss_array[:size].reshape(self.plan.n_heads, self.n_rows).copy()
