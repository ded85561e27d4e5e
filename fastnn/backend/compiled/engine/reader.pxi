# What a call is given, as C reads it: its batch, and room for what the call needs of its own.


cdef new_output(sz width, sz n_rows, bint single, real** place):
    """A new array (n_rows, width), or (width,) for a single row; `place` gets its address."""
    cdef cnp.npy_intp shape[2]
    shape[0] = n_rows
    shape[1] = width
    array = cnp.PyArray_EMPTY(1 if single else 2, shape + single, REAL_TYPE, 0)
    place[0] = <real*>cnp.PyArray_DATA(<cnp.ndarray>array)
    return array


cdef class Room:
    """What one prediction under way needs of its own: its arguments and blocks of rows."""

    cdef Workspace work    # for each thread of the team a block of rows
    cdef list arrays       # what the workspace points into ...
    cdef dict sparse_arrays  # ... and its sparse inputs
    cdef dict half_arrays
    cdef object memory     # of the two below
    cdef Source* inputs
    cdef real** outputs
    cdef int busy          # a prediction is under way


cdef class Reader(Lowered):
    """A lowered program and the arguments of the call under way."""

    cdef Room room            # of predictions
    cdef Batch batch          # of the call: its arguments ...
    cdef int bad              # ... whether one of them was found unfit ...
    cdef double* row_losses   # ... and the losses of (heads, rows)
    cdef sz row_loss_capacity
    cdef object row_loss_array
    cdef dict target_rooms
    cdef dict custom_targets  # by head: what a custom loss is given, (values, weights)

    def __init__(self, program, storage, keep_all=False):
        super().__init__(program, storage, keep_all)
        self.room = self.new_room()
        self.target_rooms = {}
        self.custom_targets = {}
        self.batch.inputs = self.sources = self.room.inputs
        self.batch.targets = <Target*>self.take(self.plan.n_heads * sizeof(Target))
        self.batch.norms = <double*>self.take(
            MAX_THREADS * self.plan.n_heads * sizeof(double))
        self.batch.bad = &self.bad
        for h in range(self.plan.n_heads):
            # Python picks the targets of its losses itself: there is nothing to gather.
            self.batch.targets[h].width = (
                0 if self.plan.heads[h].is_custom
                else self.plan.work.values[self.plan.heads[h].output].width)

    # ---------------------------------------------------------------- room

    cdef Room new_room(self):
        cdef Room room = Room()
        cdef sz n_inputs = self.plan.n_inputs, n_outputs = self.plan.n_outputs
        cdef unsigned char[::1] memory = _program.aligned_zeros(
            self.plan.n_buffers * sizeof(Matrix) + n_inputs * sizeof(Source)
            + n_outputs * sizeof(real*), _np.uint8)
        room.memory = memory
        room.work.values = <Matrix*>&memory[0]
        room.inputs = <Source*>(room.work.values + self.plan.n_buffers)
        room.outputs = <real**>(room.inputs + n_inputs)
        return room

    cdef int furnish(self, Room room, sz n_rows) except -1:
        """Room for so many rows."""
        if room.work.capacity >= n_rows and not (room.work.has_sparse or self.has_sparse):
            return 0
        if self.has_room(&room.work, n_rows):
            return 0
        arrays = self._arrays(self._widths(), n_rows)
        for i, buffer in enumerate(self.program.buffers):
            self.point(&room.work.values[i], arrays[i], buffer.width)
        halves = self._half_arrays(self.x_halves, n_rows, False)
        self.point_halves(room.work.values, halves, {})
        room.half_arrays = halves
        room.sparse_arrays = self.point_sparse(room.work.values, n_rows)
        room.arrays = arrays + self.point_codes(&room.work, n_rows)
        room.work.capacity, room.work.has_sparse = n_rows, self.has_sparse
        return 0

    cdef int _set_row_losses(self, sz n_rows) except -1:
        cdef double[::1] losses
        n_rows *= self.plan.n_heads
        if self.row_loss_capacity < n_rows:
            losses = self.row_loss_array = _np.empty(n_rows)
            self.row_losses = &losses[0]
            self.row_loss_capacity = n_rows
        return 0

    cdef int _set_target_rooms(self, sz n_rows) except -1:
        """Room for the gathered targets of n_rows rows, and where heads find them."""
        cdef Target* target
        cdef int h
        for h in range(self.plan.n_heads):
            target = &self.batch.targets[h]
            if target.gathered:
                self._make_target_rooms(h, n_rows)
                if target.labels == NULL:
                    target.rows = target.row_room
                else:
                    target.labels = target.label_room
                target.weights = target.weight_room if target.given_weights != NULL else NULL
        return 0

    cdef int _make_target_rooms(self, int h, sz n_rows) except -1:
        """Rooms for what this call gathers: rows of many classes only where rows are given."""
        cdef Target* target = &self.batch.targets[h]
        cdef int64_t[::1] labels
        cdef real[::1] numbers
        if target.labels != NULL and target.label_capacity < n_rows:
            labels = self.target_rooms[h, "labels"] = _np.empty(n_rows, _np.int64)
            target.label_room, target.label_capacity = &labels[0], n_rows
        if target.labels == NULL and target.row_capacity < n_rows:
            numbers = self.target_rooms[h, "rows"] = _np.empty(n_rows * target.width, REAL_DTYPE)
            target.row_room, target.row_capacity = &numbers[0], n_rows
        n_rows *= weights_of_row(target)
        if target.given_weights != NULL and target.weight_capacity < n_rows:
            numbers = self.target_rooms[h, "weights"] = _np.empty(n_rows, REAL_DTYPE)
            target.weight_room, target.weight_capacity = &numbers[0], n_rows
        return 0

    # ----------------------------------------------------------- arguments

    cdef int _read_inputs(self, inputs, bint check) except -1:
        """Describe the inputs to the batch, after checking their types and shapes."""
        cdef Room room = self.room
        cdef sz n_rows = -1, width
        cdef double numbers
        cdef int i
        if len(inputs) != self.plan.n_inputs:
            raise ValueError(f"got {len(inputs)} inputs, expected {self.plan.n_inputs}")
        for i in range(self.plan.n_inputs):
            width = self.plan.work.values[self.plan.inputs[i]].width
            if isinstance(inputs[i], _SparseRows):
                if not self.plan.may_be_sparse[i]:
                    raise TypeError(f"inputs[{i}] must be an array: an operation reads it that "
                                    "takes no sparse rows")
                read_sparse(inputs[i], n_rows, width, "inputs", i, &room.inputs[i])
            else:
                read_source(inputs[i], n_rows, width, "inputs", i, &room.inputs[i])
                if cnp.PyArray_NDIM(inputs[i]) != 2:
                    raise ValueError(f"inputs[{i}] must have shape (N, 1), got {inputs[i].shape}")
            n_rows = room.inputs[i].n_rows
        self._begin_batch(n_rows, check)
        for i in range(self.plan.n_inputs):
            if room.inputs[i].columns != NULL:
                self.has_sparse = True
                numbers = room.inputs[i].n_numbers / <double>n_rows
                self.work_per_row += (numbers - room.inputs[i].width) * self.plan.input_work[i]
        return 0

    cdef int _set_columns(self, const int64_t* order, sz n_samples, sz batch_size) except -1:
        """Room in the training workspace for the columns of sparse inputs, batch by batch."""
        cdef Sparse* sparse
        cdef const Source* source
        cdef sz n, largest, r
        cdef sz[::1] ends
        cdef int32_t[::1] samples
        cdef real[::1] factors
        cdef int i
        for i in range(self.plan.n_inputs):
            if not self._is_sparse(i):
                continue
            sparse = self.plan.work.values[self.plan.inputs[i]].sparse
            source = self.sources + i
            n = largest = 0
            for r in range(n_samples):
                n = 0 if r % batch_size == 0 else n
                n += numbers_of_row(source, order[r] if order != NULL else r)
                largest = max(largest, n)
            if sparse.ends == NULL:
                ends = _np.empty(source.width, _np.intp)
                sparse.ends = &ends[0]
                self.sparse_arrays[i].append(ends)
            if sparse.capacity < largest:
                samples, factors = _np.empty(largest, _np.int32), _np.empty(largest, REAL_DTYPE)
                sparse.samples, sparse.factors = &samples[0], &factors[0]
                sparse.capacity = largest
                self.sparse_arrays[i][2:] = [samples, factors]
        return 0

    cdef void _begin_batch(self, sz n_rows, bint check) noexcept:
        self.has_sparse = False
        self.work_per_row = self.dense_work
        self.batch.n_rows = n_rows
        self.batch.start = 0
        self.batch.order = NULL
        self.batch.check = check
        self.batch.counts_targets = False
        self.bad = 0

    cdef int _read_targets(self, targets) except -1:
        """Describe the targets to the batch, after checking their types and shapes."""
        cdef Target* target
        cdef sz n_rows = self.batch.n_rows
        cdef int i
        if len(targets) != self.plan.n_heads:
            raise ValueError(f"got {len(targets)} targets, expected {self.plan.n_heads}")
        for i in range(self.plan.n_heads):
            target = &self.batch.targets[i]
            values, weights = targets[i]
            if self.plan.heads[i].is_custom:
                self.custom_targets[i] = self.program.heads[i].attributes["loss"].read(
                    values, weights, n_rows, self._output_width(i), REAL_DTYPE,
                    self.batch.check)
                continue
            has_labels = self.plan.heads[i].takes_labels and _np.ndim(values) == 1
            read_source(values, n_rows, 1 if has_labels else target.width, "targets", i,
                        &target.source)
            if has_labels and target.source.type <= LAST_FLOAT:
                raise TypeError(f"targets[{i}] must hold integer labels, got {values.dtype}")
            target.given_weights = NULL
            target.by_element = (self.plan.heads[i].is_elementwise and weights is not None
                                 and _np.ndim(weights) == 2)
            if weights is not None:
                target.given_weights = <const real*>elements(
                    weights, REAL_TYPE, 1 + target.by_element, n_rows,
                    target.width, "weights", i)
            self._settle(target, has_labels)
        return 0

    cdef sz _output_width(self, int head) noexcept:
        return self.plan.work.values[self.plan.heads[head].output].width

    cdef void _settle(self, Target* target, bint has_labels) noexcept:
        """Labels are gathered; rows are read in place where they can be."""
        cdef Source* source = &target.source
        target.gathered = has_labels or not (
            source.plain and (source.row_stride == target.width * <sz>sizeof(real)
                              or source.n_rows == 1))
        target.labels = <const int64_t*>source.data if has_labels else NULL
        target.rows = <const real*>source.data if not has_labels else NULL
        target.weights = target.given_weights

    cdef int _check_found(self, sz n_done) except -1:
        """Raise ValueError if the first batch had a value that does not fit."""
        if self.bad and n_done == 0:
            raise ValueError("the batch has nan or infinite numbers, labels that are no classes, "
                             "or targets out of range")
        return 0
