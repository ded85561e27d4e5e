# The compiled engine: executes a lowered Program without Python.
# What its calls mean is said once, in fastnn.reference.engine.


cdef int check_order(const int64_t[::1] order, sz n_rows) except -1:
    cdef sz i
    for i in range(order.shape[0]):
        if not 0 <= order[i] < n_rows:
            raise IndexError(f"order[{i}] is {order[i]}, expected 0 <= index < {n_rows}")
    return 0


cdef Update read_update(kind, hyper) except *:
    """An optimizer's constants; the first decay is momentum or beta1, the second rho or beta2."""
    cdef Update update
    memset(&update, 0, sizeof(Update))
    update.kind = <Optimizer><int>("gradient_descent", "momentum", "rmsprop", "adam").index(kind)
    update.nesterov = bool(hyper.get("nesterov", False))
    update.bias_correction = bool(hyper.get("bias_correction", False))
    update.first_decay = hyper.get("momentum", hyper.get("beta1", 0.0))
    update.second_decay = hyper.get("rho", hyper.get("beta2", 0.0))
    update.weight_decay = hyper.get("weight_decay", 0.0)
    update.epsilon = hyper.get("epsilon", 0.0)
    return update


cdef class Engine(Lowered):
    """Executes one program on one storage of parameters; see `fastnn.reference.engine`."""

    cdef Update recipe[2]     # for penalized parameters (weights), and for the others
    cdef bint has_optimizer
    cdef list slots
    cdef sz n_rows            # of the last call that filled the training workspace
    cdef Workspace inference  # blocks of rows, one for each thread
    cdef sz inference_block
    cdef list inference_arrays

    cdef int _set_streams(self, int threads) except -1:
        """Room for one block of rows per thread in prediction."""
        cdef sz block = rows_per_block(&self.plan)
        if self.inference.capacity >= threads * block:
            return 0
        if self.inference.values == NULL:
            self.inference.values = <Matrix*>self.take(self.plan.n_buffers * sizeof(Matrix))
        self.inference_arrays = []
        for i, buffer in enumerate(self.program.buffers):
            self.point(&self.inference.values[i], threads * block, buffer.width,
                       self.inference_arrays)
        self.inference.capacity = threads * block
        self.inference_block = block
        return 0

    cdef int team(self, double work) noexcept:
        """Threads for `work` multiply-adds: one for every 4 million, a share of about 20 us."""
        cdef int limit = min(_max_threads, TEAM_LIMIT())
        if limit <= 1 or IN_PARALLEL():
            return 1
        return <int>min(<double>limit, 1 + work / 4e6)

    # --------------------------------------------------------------- calls

    def set_optimizer(self, kind, hyper, slots):
        """Choose the update `train` applies; see `fastnn.reference.engine`."""
        cdef real[::1] slot
        self.plan.clip_norm = hyper.get("clip_norm", 0.0)
        self.recipe[0] = read_update(kind, hyper)
        self.recipe[1] = self.recipe[0]
        self.recipe[1].weight_decay = 0
        self.plan.n_slots = len(slots)
        for i, array in enumerate(slots):
            slot = array
            if slot.shape[0] != self.program.storage_size:
                raise ValueError(f"slots[{i}] has {slot.shape[0]} elements, "
                                 f"expected {self.program.storage_size}")
            self.plan.slots[i] = &slot[0] if slot.shape[0] else NULL
        self.slots = list(slots)
        self.has_optimizer = True

    cdef sz _read_inputs(self, inputs, const real** pointers) except -1:
        """Pointers to the inputs, checked; returns the number of rows."""
        cdef const real[:, ::1] x
        cdef sz n_rows = -1
        if len(inputs) != self.plan.n_inputs:
            raise ValueError(f"got {len(inputs)} inputs, expected {self.plan.n_inputs}")
        for i in range(self.plan.n_inputs):
            x = inputs[i]
            buffer = self.program.buffers[self.plan.inputs[i]]
            if x.shape[1] != buffer.width:
                raise ValueError(f"input {buffer.name!r} has {x.shape[1]} columns, "
                                 f"expected {buffer.width}")
            if n_rows >= 0 and x.shape[0] != n_rows:
                raise ValueError(f"input {buffer.name!r} has {x.shape[0]} rows, expected {n_rows}")
            if x.shape[0] < 1:
                raise ValueError(f"input {buffer.name!r} has no rows")
            n_rows = x.shape[0]
            pointers[i] = &x[0, 0]
        return n_rows

    cdef int _read_targets(self, targets, sz n_rows, Target* out) except -1:
        cdef const int64_t[::1] labels
        cdef const real[:, ::1] rows
        cdef const real[::1] weights
        cdef HeadSpec* head
        cdef Target* target
        if len(targets) != self.plan.n_heads:
            raise ValueError(f"got {len(targets)} targets, expected {self.plan.n_heads}")
        for i in range(self.plan.n_heads):
            head = &self.plan.heads[i]
            target = &out[i]
            target.labels = NULL
            target.rows = NULL
            target.weights = NULL
            target.width = self.plan.work.values[head.output].width
            values, row_weights = targets[i]
            if head.loss == 0 and values.dtype == _np.int64:
                labels = values
                if labels.shape[0] != n_rows:
                    raise ValueError(f"targets[{i}] has {labels.shape[0]} rows, expected {n_rows}")
                check_labels(labels, target.width, head.ignores, head.ignore_index)
                target.labels = &labels[0]
            else:
                rows = values
                if rows.shape[0] != n_rows or rows.shape[1] != target.width:
                    raise ValueError(f"targets[{i}] has shape {(rows.shape[0], rows.shape[1])}, "
                                     f"expected {(n_rows, target.width)}")
                target.rows = &rows[0, 0]
            if row_weights is not None:
                weights = row_weights
                if weights.shape[0] != n_rows:
                    raise ValueError(f"the weights of targets[{i}] have {weights.shape[0]} rows, "
                                     f"expected {n_rows}")
                target.weights = &weights[0]
        return 0

    def forward(self, inputs, training=False, step=0):
        """Run the operations; returns a new array for each output of the program."""
        cdef Stream stream
        cdef bint whole = training
        pointers = _np.empty(self.plan.n_inputs + 1, _np.intp)
        cdef Py_ssize_t[::1] addresses = pointers
        stream.batch.inputs = <const real**>&addresses[0]
        stream.batch.order = NULL
        stream.batch.start = 0
        stream.batch.n_rows = self._read_inputs(inputs, stream.batch.inputs)
        cdef sz n_rows = stream.batch.n_rows
        outputs = [
            _np.empty((n_rows, self.program.buffers[i].width), self.program.dtype)
            for i in self.program.outputs
        ]
        cdef Py_ssize_t[::1] out = _np.array([y.ctypes.data for y in outputs], _np.intp)
        stream.outputs = <real**>&out[0]
        stream.row_losses = NULL
        cdef int threads = self.team(self.work_per_row * n_rows)
        self.plan.training = training
        self.plan.step = step
        if whole:
            self.set_capacity(n_rows)
            self.n_rows = n_rows
            self.plan.keep = True
            stream.work = &self.plan.work
            stream.block = (n_rows + threads - 1) // threads
        else:
            self._set_streams(threads)
            stream.work = &self.inference
            stream.block = min(self.inference_block, (n_rows + threads - 1) // threads)
        with nogil:
            stream_team(&self.plan, &stream, threads)
        return outputs

    def evaluate(self, inputs, targets):
        """The cost and the loss of each head, without dropout."""
        cdef Stream stream
        cdef sz n_rows, r
        cdef int h
        cdef double total
        cdef Py_ssize_t[::1] addresses = _np.empty(self.plan.n_inputs + 1, _np.intp)
        cdef unsigned char[::1] target_memory = _np.zeros(
            (self.plan.n_heads + 1) * sizeof(Target), _np.uint8)
        cdef double[::1] norms = _np.empty(self.plan.n_heads + 1)
        stream.batch.inputs = <const real**>&addresses[0]
        stream.batch.targets = <Target*>&target_memory[0]
        stream.batch.norms = &norms[0]
        stream.batch.order = NULL
        stream.batch.start = 0
        n_rows = stream.batch.n_rows = self._read_inputs(inputs, stream.batch.inputs)
        self._read_targets(targets, n_rows, stream.batch.targets)
        cdef double[:, ::1] row_losses = _np.empty((self.plan.n_heads + 1, n_rows))
        cdef int threads = self.team(self.work_per_row * n_rows)
        stream.outputs = NULL
        stream.row_losses = &row_losses[0, 0]
        stream.work = &self.inference
        self.plan.training = False
        self._set_streams(threads)
        stream.block = min(self.inference_block, (n_rows + threads - 1) // threads)
        losses = []
        with nogil:
            set_norms(&self.plan, &stream.batch)
            stream_team(&self.plan, &stream, threads)
        for h in range(self.plan.n_heads):
            total = 0
            for r in range(n_rows):
                total += row_losses[h, r]
            losses.append(total)
        cost = sum(head.weight * loss for head, loss in zip(self.program.heads, losses))
        return cost + penalty(&self.plan), losses

    def loss_and_gradients(self, inputs, targets, training=False, step=0):
        """The cost; its gradients are left in `gradients` and the buffers'."""
        cdef Batch batch
        cdef Py_ssize_t[::1] addresses = _np.empty(self.plan.n_inputs + 1, _np.intp)
        cdef unsigned char[::1] target_memory = _np.zeros(
            (self.plan.n_heads + 1) * sizeof(Target), _np.uint8)
        batch.inputs = <const real**>&addresses[0]
        batch.targets = <Target*>&target_memory[0]
        batch.order = NULL
        batch.start = 0
        batch.n_rows = self._read_inputs(inputs, batch.inputs)
        self._read_targets(targets, batch.n_rows, batch.targets)
        cdef double[:, ::1] row_losses = _np.empty((self.plan.n_heads + 1, batch.n_rows))
        cdef double[::1] norms = _np.empty(self.plan.n_heads + 1)
        batch.norms = &norms[0]
        self.set_capacity(batch.n_rows)
        self.n_rows = batch.n_rows
        self.plan.training = training
        self.plan.step = step
        self.plan.keep = True
        cdef int threads = self.team(3 * self.work_per_row * batch.n_rows)
        cdef double cost
        with nogil:
            set_norms(&self.plan, &batch)
            gradient_team(&self.plan, FROM_LOSSES, &batch, &row_losses[0, 0], threads)
            cost = batch_cost(&self.plan, &row_losses[0, 0], batch.n_rows, batch.n_rows)
            cost += 0.5 * self.plan.l2 * ordered_sum(self.plan.penalties, self.plan.n_tasks)
        return cost

    def backward(self, output_gradients, input_gradients=True):
        """Gradients of the last training forward, from those of the outputs."""
        cdef const real[:, ::1] dy
        cdef Matrix* dx
        cdef Batch batch
        cdef sz r, n_rows = -1
        cdef set written = set()
        if len(output_gradients) != self.plan.n_outputs:
            raise ValueError(f"got {len(output_gradients)} output gradients, "
                             f"expected {self.plan.n_outputs}")
        for gradient in output_gradients:
            if gradient is not None:
                n_rows = gradient.shape[0]
        if n_rows != self.n_rows:
            raise RuntimeError("backward needs the gradient of an output of the last "
                               "forward(training=True)")
        for i, gradient in zip(self.program.outputs, output_gradients):
            if gradient is None:
                gradient = _np.zeros((n_rows, self.program.buffers[i].width), self.program.dtype)
            dy = gradient
            dx = &self.plan.work.gradients[i]
            if dy.shape[0] != n_rows or dy.shape[1] != dx.width:
                raise ValueError(f"the gradient of {self.program.buffers[i].name!r} has shape "
                                 f"{(dy.shape[0], dy.shape[1])}, expected {(n_rows, dx.width)}")
            for r in range(n_rows):
                if i in written:
                    for j in range(dx.width):
                        row_of(dx, r)[j] += dy[r, j]
                else:
                    memcpy(row_of(dx, r), &dy[r, 0], dx.width * sizeof(real))
            written.add(i)
        batch.n_rows = n_rows
        cdef int threads = self.team(2 * self.work_per_row * n_rows)
        with nogil:
            gradient_team(&self.plan, FROM_OUTPUTS, &batch, NULL, threads)
        if not input_gradients:
            return []
        return [self.gradient_arrays[i][:n_rows, : self.program.buffers[i].width].copy()
                for i in self.program.inputs]

    def train(self, inputs, targets, order, sz batch_size, const double[::1] learning_rates,
              sz first_step, double[::1] losses, active=None):
        """One optimizer step per batch; see `fastnn.reference.engine`."""
        cdef Run run
        cdef const int64_t[::1] indices
        cdef Py_ssize_t[::1] addresses = _np.empty(self.plan.n_inputs + 1, _np.intp)
        cdef unsigned char[::1] target_memory = _np.zeros(
            (self.plan.n_heads + 1) * sizeof(Target), _np.uint8)
        if not self.has_optimizer:
            raise RuntimeError("set_optimizer has not been called")
        run.inputs = <const real**>&addresses[0]
        run.targets = <Target*>&target_memory[0]
        cdef sz n_rows = self._read_inputs(inputs, run.inputs)
        self._read_targets(targets, n_rows, run.targets)
        run.order = NULL
        run.n_samples = n_rows
        if order is not None:
            indices = order
            check_order(indices, n_rows)
            run.order = &indices[0] if indices.shape[0] else NULL
            run.n_samples = indices.shape[0]
        run.n_steps = learning_rates.shape[0]
        run.batch_size = min(batch_size, run.n_samples)
        if batch_size < 1 or run.n_steps < 1 or (run.n_steps - 1) * batch_size >= run.n_samples:
            raise ValueError(f"{run.n_steps} steps of batch_size {batch_size} do not fit "
                             f"{run.n_samples} samples")
        if losses.shape[0] < run.n_steps:
            raise ValueError(f"losses has {losses.shape[0]} elements, expected {run.n_steps}")
        run.first_step = first_step
        run.learning_rates = &learning_rates[0]
        run.losses = &losses[0]
        run.steps_done = 0
        self.set_capacity(run.batch_size)
        self.n_rows = run.batch_size
        self.plan.training = True
        self.plan.keep = False
        cdef int threads = self.team(3 * self.work_per_row * run.batch_size)
        cdef double[:, ::1] row_losses = _np.empty((self.plan.n_heads + 1, run.batch_size))
        cdef double[:, ::1] norms = _np.empty((threads, self.plan.n_heads + 1))
        run.row_losses = &row_losses[0, 0]
        run.norms = &norms[0, 0]
        with nogil:
            train_team(&self.plan, &run, self.recipe, threads)
        return run.steps_done

    # --------------------------------------------------------------- reading back

    def value(self, name):
        """The named buffer as the last training forward left it."""
        i = self.program.buffer_index(name)
        return self.value_arrays[i][: self.n_rows, : self.program.buffers[i].width]

    def gradient(self, name):
        """Gradient of the cost with respect to the named buffer."""
        i = self.program.buffer_index(name)
        return self.gradient_arrays[i][: self.n_rows, : self.program.buffers[i].width]
