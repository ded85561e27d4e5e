# The compiled engine: executes a lowered Program without Python.
# What its calls mean is said once, in fastnn.reference.engine.


cdef int check_order(const int64_t[::1] order, sz n_rows) except -1:
    cdef sz i
    for i in range(order.shape[0]):
        if not 0 <= order[i] < n_rows:
            raise IndexError(f"order[{i}] is {order[i]}, expected 0 <= index < {n_rows}")
    return 0


cdef extern from *:
    """
    #if defined(__GNUC__)
    #define exchange(place, value) __atomic_exchange_n(place, value, __ATOMIC_ACQ_REL)
    #else
    static int exchange(int *place, int value) { int old = *place; *place = value; return old; }
    #endif
    """
    int exchange(int* place, int value)


cdef int REAL_TYPE = cnp.NPY_FLOAT64 if sizeof(real) == 8 else cnp.NPY_FLOAT32


cdef void* elements(array, int dtype, int ndim, sz n_rows, sz width, what, index) except NULL:
    """Address of the elements of a C-contiguous array; n_rows or width -1 allows any.

    Array flags, not a memoryview: a tenth of the time, which counts for small networks.
    """
    cdef cnp.ndarray x
    if not isinstance(array, cnp.ndarray):
        raise TypeError(f"{what}[{index}] must be an array, got {type(array).__name__}")
    x = array
    if (cnp.PyArray_TYPE(x) != dtype or cnp.PyArray_NDIM(x) != ndim
            or not cnp.PyArray_ISCARRAY_RO(x)):
        raise TypeError(f"{what}[{index}] must be a C-contiguous {ndim}-D array of "
                        f"{cnp.PyArray_DescrFromType(dtype)}, got a {array.ndim}-D array "
                        f"of {array.dtype} with strides {array.strides}")
    if (n_rows >= 0 and cnp.PyArray_DIM(x, 0) != n_rows) or cnp.PyArray_DIM(x, 0) < 1:
        raise ValueError(f"{what}[{index}] has {array.shape[0]} rows, expected "
                         f"{n_rows if n_rows >= 0 else 'at least 1'}")
    if ndim == 2 and cnp.PyArray_DIM(x, 1) != width:
        raise ValueError(f"{what}[{index}] has {array.shape[1]} columns, expected {width}")
    return cnp.PyArray_DATA(x)


cdef class Engine(Lowered):
    """Executes one program on one storage of parameters; see `fastnn.reference.engine`."""

    cdef Update recipe[2]     # for penalized parameters (weights), and for the others
    cdef bint has_optimizer
    cdef list slots
    cdef sz n_rows            # of the last call that filled the training workspace
    cdef Workspace inference  # blocks of rows, one for each thread
    cdef sz inference_block
    cdef list inference_arrays
    cdef Batch batch          # scratch of a call: pointers to its arrays ...
    cdef real** outputs
    cdef double* row_losses   # ... and the losses of (heads, rows)
    cdef object row_loss_array
    cdef int busy             # a call is under way: its thread has let go of the GIL

    def __init__(self, program, storage):
        super().__init__(program, storage)
        self.batch.inputs = <const real**>self.take(self.plan.n_inputs * sizeof(real*))
        self.batch.targets = <Target*>self.take(self.plan.n_heads * sizeof(Target))
        self.batch.norms = <double*>self.take(
            MAX_THREADS * self.plan.n_heads * sizeof(double))
        self.outputs = <real**>self.take(self.plan.n_outputs * sizeof(real*))

    cdef int _set_streams(self, int threads) except -1:
        """Room for one block of rows per thread in prediction."""
        cdef sz block = rows_per_block(&self.plan)
        if self.inference.capacity >= threads * block:
            return 0
        if self.inference.values == NULL:
            self.inference.values = <Matrix*>self.take(self.plan.n_buffers * sizeof(Matrix))
        arrays = self._arrays([b.width for b in self.program.buffers], threads * block)
        for i, buffer in enumerate(self.program.buffers):
            self.point(&self.inference.values[i], arrays[i], buffer.width)
        self.inference_arrays = arrays
        self.inference.capacity = threads * block
        self.inference_block = block
        return 0

    cdef int _set_row_losses(self, sz n_rows) except -1:
        cdef double[::1] losses
        n_rows *= self.plan.n_heads
        if self.row_losses == NULL or self.row_loss_array.shape[0] < n_rows:
            losses = self.row_loss_array = _np.empty(max(n_rows, 1))
            self.row_losses = &losses[0]
        return 0

    cdef int team(self, double work) noexcept:
        """Threads for `work` multiply-adds: one for every 4 million, a share of about 20 us."""
        cdef int limit = min(_max_threads, TEAM_LIMIT(), MAX_THREADS)
        if limit <= 1 or IN_PARALLEL():
            return 1
        return <int>min(<double>limit, 1 + work / 4e6)

    cdef int _enter(self) except -1:
        """Refuse a second thread: buffers and parameters belong to the call under way."""
        if exchange(&self.busy, 1):
            raise RuntimeError("another thread is using this layer or network; give each thread "
                               "its own copy")
        return 0

    # ----------------------------------------------------------- arguments

    cdef int _read_inputs(self, inputs) except -1:
        """Point the batch at the inputs, after checking them."""
        cdef sz n_rows = -1
        cdef int i
        if len(inputs) != self.plan.n_inputs:
            raise ValueError(f"got {len(inputs)} inputs, expected {self.plan.n_inputs}")
        for i in range(self.plan.n_inputs):
            self.batch.inputs[i] = <const real*>elements(
                inputs[i], REAL_TYPE, 2, n_rows,
                self.plan.work.values[self.plan.inputs[i]].width, "inputs", i)
            n_rows = inputs[i].shape[0]
        self.batch.n_rows = n_rows
        self.batch.start = 0
        self.batch.order = NULL
        return 0

    cdef int _read_targets(self, targets) except -1:
        """Point the batch at the targets, after checking them and every label."""
        cdef const int64_t[::1] labels
        cdef HeadSpec* head
        cdef Target* target
        cdef sz n_rows = self.batch.n_rows
        cdef int i
        if len(targets) != self.plan.n_heads:
            raise ValueError(f"got {len(targets)} targets, expected {self.plan.n_heads}")
        for i in range(self.plan.n_heads):
            head = &self.plan.heads[i]
            target = &self.batch.targets[i]
            target.width = self.plan.work.values[head.output].width
            target.labels = NULL
            target.rows = NULL
            target.weights = NULL
            values, weights = targets[i]
            if head.loss == 0 and cnp.PyArray_Check(values) and values.ndim == 1:
                target.labels = <const int64_t*>elements(
                    values, cnp.NPY_INT64, 1, n_rows, -1, "targets", i)
                labels = values
                check_labels(labels, target.width, head.ignores, head.ignore_index)
            else:
                target.rows = <const real*>elements(
                    values, REAL_TYPE, 2, n_rows, target.width, "targets", i)
            if weights is not None:
                target.weights = <const real*>elements(
                    weights, REAL_TYPE, 1, n_rows, -1, "weights", i)
        return 0

    # --------------------------------------------------------------- calls

    def set_optimizer(self, kind, hyper, slots):
        """Choose the update `train` applies; see `fastnn.reference.engine`."""
        cdef int i
        hyper = dict(hyper)
        decay = hyper.pop("weight_decay", 0.0)
        self.plan.clip_norm = hyper.pop("clip_norm", 0.0)
        prepare_update(&self.recipe[0], kind, hyper, decay)
        prepare_update(&self.recipe[1], kind, hyper, 0.0)
        self.plan.n_slots = len(slots)
        for i in range(self.plan.n_slots):
            if self.program.storage_size:
                self.plan.slots[i] = <real*>elements(
                    slots[i], REAL_TYPE, 1, self.program.storage_size, -1, "slots", i)
        self.slots = list(slots)
        self.has_optimizer = True

    def forward(self, inputs, training=False, step=0):
        """Run the operations; returns a new array for each output of the program."""
        self._enter()
        try:
            return self._forward(inputs, training, step)
        finally:
            self.busy = 0

    cdef _forward(self, inputs, bint training, step):
        cdef Stream stream
        cdef int i
        self._read_inputs(inputs)
        cdef sz n_rows = self.batch.n_rows
        cdef int threads = self.team(self.work_per_row * n_rows)
        cdef cnp.npy_intp shape[2]
        arrays = []
        for i in range(self.plan.n_outputs):
            shape[0] = n_rows
            shape[1] = self.plan.work.values[self.plan.outputs[i]].width
            array = cnp.PyArray_EMPTY(2, shape, REAL_TYPE, 0)
            self.outputs[i] = <real*>cnp.PyArray_DATA(<cnp.ndarray>array)
            arrays.append(array)
        self.plan.training = training
        self.plan.step = <uint32_t>(step & 0xFFFFFFFF)
        stream.batch = self.batch
        stream.outputs = self.outputs
        stream.row_losses = NULL
        if training:
            self.set_capacity(n_rows)
            self.n_rows = n_rows
            self.plan.keep = True
            stream.work = &self.plan.work
            stream.block = 0
        else:
            self._set_streams(threads)
            stream.work = &self.inference
            stream.block = min(self.inference_block, (n_rows + threads - 1) // threads)
        with nogil:
            stream_team(&self.plan, &stream, threads)
        return arrays

    def evaluate(self, inputs, targets):
        """The cost and the loss of each head, without dropout."""
        self._enter()
        try:
            return self._evaluate(inputs, targets)
        finally:
            self.busy = 0

    cdef _evaluate(self, inputs, targets):
        cdef Stream stream
        cdef sz n_rows
        self._read_inputs(inputs)
        self._read_targets(targets)
        n_rows = self.batch.n_rows
        cdef int h, threads = self.team(self.work_per_row * n_rows)
        self._set_row_losses(n_rows)
        self._set_streams(threads)
        self.plan.training = False
        stream.batch = self.batch
        stream.outputs = NULL
        stream.row_losses = self.row_losses
        stream.work = &self.inference
        stream.block = min(self.inference_block, (n_rows + threads - 1) // threads)
        with nogil:
            set_norms(&self.plan, &self.batch)
            stream_team(&self.plan, &stream, threads)
        losses = [ordered_sum(self.row_losses + h * n_rows, n_rows)
                  for h in range(self.plan.n_heads)]
        return (batch_cost(&self.plan, self.row_losses, n_rows, n_rows) + penalty(&self.plan),
                losses)

    def loss_and_gradients(self, inputs, targets, training=False, step=0):
        """The cost; its gradients are left in `gradients` and the buffers'."""
        self._enter()
        try:
            return self._loss_and_gradients(inputs, targets, training, step)
        finally:
            self.busy = 0

    cdef _loss_and_gradients(self, inputs, targets, bint training, step):
        cdef double cost
        cdef sz n_rows
        self._read_inputs(inputs)
        self._read_targets(targets)
        n_rows = self.batch.n_rows
        cdef int threads = self.team(3 * self.work_per_row * n_rows)
        self._set_row_losses(n_rows)
        self.set_capacity(n_rows)
        self.n_rows = n_rows
        self.plan.training = training
        self.plan.step = <uint32_t>(step & 0xFFFFFFFF)
        self.plan.keep = True
        with nogil:
            set_norms(&self.plan, &self.batch)
            gradient_team(&self.plan, FROM_LOSSES, &self.batch, self.row_losses, threads)
            cost = batch_cost(&self.plan, self.row_losses, n_rows, n_rows)
            cost += 0.5 * self.plan.l2 * ordered_sum(self.plan.penalties, self.plan.n_tasks)
        return cost

    def backward(self, output_gradients, input_gradients=True):
        """Gradients of the last training forward, from those of the outputs."""
        self._enter()
        try:
            return self._backward(output_gradients, input_gradients)
        finally:
            self.busy = 0

    cdef _backward(self, output_gradients, bint input_gradients):
        cdef int i, threads = self.team(2 * self.work_per_row * self.n_rows)
        if self.n_rows == 0:
            raise RuntimeError("backward comes after forward(training=True)")
        if len(output_gradients) != self.plan.n_outputs:
            raise ValueError(f"got {len(output_gradients)} output gradients, "
                             f"expected {self.plan.n_outputs}")
        seen = set()
        for i in range(self.plan.n_outputs):
            self._seed(i, output_gradients[i], self.plan.outputs[i] in seen)
            seen.add(self.plan.outputs[i])
        self.batch.n_rows = self.n_rows
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

    def train(self, inputs, targets, order, sz batch_size, learning_rates, sz first_step, losses):
        """One optimizer step per batch; see `fastnn.reference.engine`."""
        self._enter()
        try:
            return self._train(inputs, targets, order, batch_size, learning_rates, first_step, losses)
        finally:
            self.busy = 0

    cdef _train(self, inputs, targets, order, sz batch_size, learning_rates, sz first_step, losses):
        cdef Run run
        cdef const int64_t[::1] indices
        if not self.has_optimizer:
            raise RuntimeError("set_optimizer has not been called")
        self._read_inputs(inputs)
        self._read_targets(targets)
        run.order = NULL
        run.n_samples = self.batch.n_rows
        if order is not None:
            indices = order
            check_order(indices, self.batch.n_rows)
            run.n_samples = indices.shape[0]
            run.order = &indices[0] if run.n_samples else NULL
        run.n_steps = len(learning_rates)
        if batch_size < 1 or (run.n_steps - 1) * batch_size >= run.n_samples:
            raise ValueError(f"{run.n_steps} steps of batch_size {batch_size} do not fit "
                             f"{run.n_samples} samples")
        run.learning_rates = <double*>elements(
            learning_rates, cnp.NPY_FLOAT64, 1, -1, -1, "arguments", "learning_rates")
        run.losses = <double*>elements(
            losses, cnp.NPY_FLOAT64, 1, run.n_steps, -1, "arguments", "losses")
        run.batch_size = min(batch_size, run.n_samples)
        run.first_step = first_step
        run.steps_done = 0
        self._set_row_losses(run.batch_size)
        run.rows_at_once = min(run.batch_size, self.rows_at_once)
        self.set_capacity(run.rows_at_once)
        self.n_rows = run.rows_at_once
        run.inputs, run.targets, run.norms = self.batch.inputs, self.batch.targets, self.batch.norms
        run.row_losses = self.row_losses
        self.plan.training = True
        self.plan.keep = False
        cdef int threads = self.team(3 * self.work_per_row * run.batch_size)
        with nogil:
            train_team(&self.plan, &run, self.recipe, threads)
        return run.steps_done

    # --------------------------------------------------------------- reading back

    def value(self, name):
        """The named buffer as the last training forward left it."""
        i = self.program.buffer_index(name)
        return self.value_arrays[i][: self.n_rows, : self.program.buffers[i].width]

    def gradient(self, name):
        """Gradient of the cost with respect to the named buffer.

        Only what a trainable parameter (or, after `backward`, an input) needs is computed; the
        rest is zero.
        """
        i = self.program.buffer_index(name)
        return self.gradient_arrays[i][: self.n_rows, : self.program.buffers[i].width]
