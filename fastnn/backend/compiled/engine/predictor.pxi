# Predictions of a frozen program, from several threads at once.


cdef class Frozen:
    """A program and a copy of its parameters; see `fastnn.backend.protocol`.

    Everything is read alone, except the rooms: each call under way has one of its own.
    """

    cdef Engine engine
    cdef list rooms        # grows to the number of calls that were ever under way together

    def __init__(self, program, storage):
        self.engine = Engine(program, storage)
        self.engine.plan.training = False
        make_edges(&self.engine.plan)
        self.engine.plan.edges_are_made = True  # threads that predict only read them
        self.engine.plan.halves = self.engine.plan.has_halves  # of any number of rows
        make_halves(&self.engine.plan)
        self.engine.plan.halves_are_made = True
        self.rooms = [self.engine.room]

    cdef Room claim(self):
        """A room that no other call has."""
        cdef Room room
        for room in self.rooms:
            if not exchange(&room.busy, 1):
                return room
        room = self.engine.new_room()
        room.busy = 1
        self.rooms.append(room)
        return room

    def one(self, X, out=None):
        """The output for (N, n_in) or (n_in,); of a program with one input and one output."""
        cdef Room room = self.claim()
        try:
            return self._one(room, X, out)
        finally:
            exchange(&room.busy, 0)

    cdef _one(self, Room room, X, out):
        cdef Plan* plan = &self.engine.plan
        cdef sz width = plan.work.values[plan.outputs[0]].width
        cdef bint single = self._describe(room, 0, X, "X")
        cdef sz n_rows = room.inputs.n_rows
        if out is None:
            out = new_output(width, n_rows, single, room.outputs)
        else:
            check_output(out, width, n_rows, single, "out", room.outputs)
            check_apart(out, "out", X, "X")
        self._stream(room, n_rows)
        return out

    def several(self, inputs, outs, names):
        """The outputs for a list of inputs, into a list of arrays where `outs` is one."""
        cdef Plan* plan = &self.engine.plan
        cdef Room room = self.claim()
        cdef bint single = False
        cdef sz width
        cdef int i
        try:
            for i in range(plan.n_inputs):
                if self._describe(room, i, inputs[i], names[i]) != single and i > 0:
                    raise ValueError("some inputs are single rows, others are not")
                single = cnp.PyArray_NDIM(inputs[i]) == 1
                if room.inputs[i].n_rows != room.inputs.n_rows:
                    raise ValueError(f"{names[i]} must have {room.inputs.n_rows} rows as "
                                     f"{names[0]} has, got {room.inputs[i].n_rows}")
            results = []
            for i in range(plan.n_outputs):
                width = plan.work.values[plan.outputs[i]].width
                if outs is None:
                    results.append(new_output(width, room.inputs.n_rows, single,
                                              room.outputs + i))
                else:
                    check_output(outs[i], width, room.inputs.n_rows, single, f"out[{i}]",
                                 room.outputs + i)
                    results.append(outs[i])
            if outs is not None:
                check_all_apart(outs, inputs, names)
            self._stream(room, room.inputs.n_rows)
            return results
        finally:
            exchange(&room.busy, 0)

    cdef int _describe(self, Room room, int i, X, name) except -1:
        """Describe input i; whether it is a single row."""
        cdef sz width = self.engine.plan.work.values[self.engine.plan.inputs[i]].width
        cdef Source* source = room.inputs + i
        if not cnp.PyArray_Check(X) or source_type(X) != REAL_SOURCE:
            raise TypeError(f"{name} must be an array of {REAL_DTYPE}, got {kind_of(X)}")
        if describe_row(X, width, source):
            return 1
        if cnp.PyArray_NDIM(X) == 2 and describe(X, width, source):
            return 0
        raise ValueError(f"{name} must have shape (N, {width}) or ({width},), got {X.shape}")

    cdef int _stream(self, Room room, sz n_rows) except -1:
        cdef Batch batch
        cdef int bad = 0
        batch.n_rows = n_rows
        batch.start = 0
        batch.order = NULL
        batch.inputs = room.inputs
        batch.targets = NULL
        batch.norms = NULL
        batch.mean_weights = batch.whole_norms = NULL
        batch.check = False
        batch.bad = &bad
        self.engine._stream(room, &batch, NULL)
        return 0


cdef int check_output(out, sz width, sz n_rows, bint single, name, real** place) except -1:
    """Note the address of an array to write to; errors say why it does not do."""
    if (not cnp.PyArray_Check(out) or cnp.PyArray_TYPE(out) != REAL_TYPE
            or not cnp.PyArray_ISNOTSWAPPED(out)):
        raise TypeError(f"{name} must be an array of {REAL_DTYPE}, got {kind_of(out)}")
    if (cnp.PyArray_NDIM(out) != 2 - single or cnp.PyArray_DIM(out, 1 - single) != width
            or (not single and cnp.PyArray_DIM(out, 0) != n_rows)):
        raise ValueError(f"{name} must have shape {(n_rows, width)[single:]}, got {out.shape}")
    if not cnp.PyArray_ISCARRAY(out):
        raise ValueError(f"{name} must be writable, C-contiguous and aligned")
    place[0] = <real*>cnp.PyArray_DATA(out)
    return 0


cdef kind_of(x):
    """What came instead of an array of the right type, for error messages."""
    if not cnp.PyArray_Check(x):
        return type(x).__name__
    return f"{x.dtype}" if cnp.PyArray_ISALIGNED(x) else f"{x.dtype} that is not aligned"


cdef int check_all_apart(outs, inputs, names) except -1:
    """Refuse to write over what is still to be read, or over another result."""
    for i, out in enumerate(outs):
        for x, name in zip(inputs, names):
            check_apart(out, f"out[{i}]", x, name)
        for j in range(i):
            check_apart(out, f"out[{i}]", outs[j], f"out[{j}]")
    return 0


cdef int check_apart(cnp.ndarray out, name, cnp.ndarray other, other_name) except -1:
    """Refuse arrays that share memory; where they begin and end almost always decides."""
    cdef (char*, char*) a = extent(out)
    cdef (char*, char*) b = extent(other)
    if a[0] < b[1] and b[0] < a[1] and _np.shares_memory(out, other):
        raise ValueError(f"{name} must share no memory with {other_name}, got an overlap")
    return 0


cdef (char*, char*) extent(cnp.ndarray x) noexcept:
    """The memory of an array, from its first byte to past its last."""
    cdef char* first = <char*>cnp.PyArray_DATA(x)
    cdef char* last = first
    cdef sz reach
    cdef int i
    for i in range(cnp.PyArray_NDIM(x)):
        reach = (cnp.PyArray_DIM(x, i) - 1) * cnp.PyArray_STRIDE(x, i)
        if reach < 0:
            first += reach
        else:
            last += reach
    return first, last + cnp.PyArray_ITEMSIZE(x)
