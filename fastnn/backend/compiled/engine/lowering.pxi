# Lowering: a Program becomes a Plan of C structures, once, when an engine is made.

import itertools as _itertools

from fastnn.backend import finite as _gradients
from fastnn.backend import quantization as _quantization
from fastnn.backend import support as _support
from fastnn import program as _program


# A Python number becomes a `real` by way of `<double>`: Cython takes `real` for a float.


def backward_flow(program, seeds, trainable, inputs_wanted):
    """Which operations take part in a backward pass, and which gradients they add to.

    Returns, per operation, None or a list of (wanted, accumulate) per input.
    """
    needs = [False] * len(program.buffers)
    for i in program.inputs:
        needs[i] = inputs_wanted
    for operation in program.operations:
        needs[operation.output] = True in (
            [needs[i] for i in operation.inputs] + [trainable[i] for i in operation.parameters]
        )
    written = [False] * len(program.buffers)
    for i in seeds:
        written[i] = True
    flow = []
    for operation in reversed(program.operations):
        if not (written[operation.output] and needs[operation.output]):
            flow.append(None)
            continue
        parts = []
        for i in operation.inputs:
            parts.append((needs[i], written[i]))
            written[i] = written[i] or needs[i]
        flow.append(parts)
    flow.reverse()
    return flow


def fused_activations(program):
    """Indices of the activations that the dense operation before them computes as well.

    The pre-activation must be used by nothing else, and the activation have no parameter.
    """
    operations = program.operations
    return {
        index: user for index, user in only_users(program).items()
        if operations[index].kind == "dense" and operations[user].kind == "activation"
        and not operations[user].parameters
    }


def fused_slopes(program, activations):
    """Of these activations, the backward that the dense operation after them does as well.

    By the index of the dense operation.  The activation's output must be used by nothing else.
    """
    users = only_users(program)
    return {
        users[index]: index for index in activations
        if index in users and program.operations[users[index]].kind == "dense"
    }


def only_users(program):
    """The operation that uses an operation's output, for outputs used by just one and no head."""
    uses = {}
    for index, operation in enumerate(program.operations):
        for i in operation.inputs:
            uses.setdefault(i, []).append(index)
    elsewhere = set(program.outputs) | {head.output for head in program.heads}
    return {
        index: uses[operation.output][0] for index, operation in enumerate(program.operations)
        if operation.output not in elsewhere and len(uses.get(operation.output, [])) == 1
    }


def tile_rows(rows, in_halves):
    """Rows of the tasks of a weight: about equal, and whole register tiles of 6 rows or of 14.

    Those of a weight that is multiplied in bfloat16 are whole vectors of rows.
    """
    if in_halves:
        parts = -(-rows // PAIR_TILE_ROWS)
        return -(-rows // parts // 16) * 16
    parts = -(-rows // TILE_ROWS)
    return -(-rows // parts // 6) * 6


def groups_of_rows(readers):
    """Tasks of a table as (first row, number of rows): whole columns, about TABLE_ROWS.

    All rows are one task where operations divide the table differently.
    """
    sizes = readers[0].attributes["sizes"]
    if any(reader.attributes["sizes"] != sizes for reader in readers):
        return [(0, sum(sizes))]
    groups, first, height = [], 0, 0
    for size in sizes:
        if height and height + size > TABLE_ROWS:
            groups.append((first, height))
            first, height = first + height, 0
        height += size
    return [*groups, (first, height)]


def readers_between_edges(program):
    """By the index of a table: those of the operations that read it between edges of bins."""
    readers = {}
    for index, operation in enumerate(program.operations):
        if operation.kind == "piecewise_linear":
            readers.setdefault(operation.parameters[0], []).append(index)
    return readers


def is_custom(head):
    """Whether a head's loss is a Python function."""
    return head.loss == _program.CUSTOM_LOSS


def first_and_second(operation):
    """Indices of the weight (or scale, gain, parameter) and of the bias (or shift), -1 for none."""
    parameters = dict(zip(operation.roles, operation.parameters))
    first = [parameters.get(role, -1) for role in ("weight", "scale", "gain", "parameter")]
    return max(first), max(parameters.get("bias", -1), parameters.get("shift", -1))


cdef class Lowered:
    """A Program as a Plan of C structures, with the memory they point into."""

    cdef readonly object program
    cdef readonly object storage
    cdef readonly object gradients
    cdef Plan plan
    cdef list memory          # arrays that C pointers of the plan point into
    cdef unsigned char* free  # the part of the last of them that `take` has not given away ...
    cdef size_t left          # ... and its bytes
    cdef list value_arrays    # the training workspace, one array per buffer
    cdef list gradient_arrays
    cdef list kept_arrays     # slopes and terms
    cdef dict returned        # by operation: the parameters' gradients that Python returned
    cdef dict quads           # by parameter: the words, scales and sums of weights in eight bits
    cdef sz code_words        # of the longest row of activations in eight bits, and what follows
    cdef double dense_work    # multiply-adds of a forward pass, of each row ...
    cdef double work_per_row  # ... and in the call under way: sparse rows need fewer
    cdef const Source* sources  # the inputs of the call under way; NULL before the first ...
    cdef bint has_sparse        # ... of which some are sparse
    cdef dict sparse_arrays   # by input: what sparse rows of the training workspace point into
    cdef double update_work   # those in the time of one update of all parameters
    cdef public sz rows_at_once  # rows of a batch that a training step takes through together ...
    cdef sz row_bytes            # ... of so many bytes each, where no input is sparse
    cdef set x_halves         # buffers whose values a training step has in bfloat16 ...
    cdef set dz_halves        # ... and those whose gradients it has
    cdef sz least_rows        # of a call that multiplies in bfloat16

    def __init__(self, program, storage, keep_all=False):
        self.program = program
        self.storage = storage
        self.gradients = _program.aligned_zeros(program.storage_size, program.dtype)
        self.memory = [storage, self.gradients]
        cdef real[::1] parameters = storage
        cdef real[::1] gradients = self.gradients
        if parameters.shape[0] != program.storage_size:
            raise ValueError(f"storage has {storage.size} elements, "
                             f"expected {program.storage_size}")
        self.plan.storage = &parameters[0] if storage.size else NULL
        self.plan.gradients = &gradients[0] if storage.size else NULL
        self.plan.l2 = program.l2
        self.least_rows = _precisions.get(program.precision).least_rows
        self.update_work = UPDATE_WORK * <double>program.storage_size
        self.returned = {}
        self.quads = {}
        self.sparse_arrays = {}
        self._read_parameters()
        self._read_operations()
        self._read_heads()
        self._read_flow(FROM_LOSSES, [head.output for head in program.heads], keep_all)
        self._read_flow(FROM_OUTPUTS, program.outputs, True)
        self._read_halves()
        self._make_tasks()
        self.row_bytes = self._bytes_per_row()
        room = HALF_WORKSPACE_BYTES if self.plan.has_halves else WORKSPACE_BYTES
        self.rows_at_once = max(1, room // self.row_bytes)
        self.set_capacity(1)
        self._read_factors()
        self.plan.block = rows_per_block(&self.plan)

    # -------------------------------------------------------------- reading

    cdef void* take(self, size_t size) except NULL:
        """Zeroed memory that lives as long as the engine, a piece of a larger array."""
        cdef unsigned char[::1] block
        cdef void* piece
        size = (size // 64 + 1) * 64
        if size > self.left:
            self.left = max(size, <size_t>MEMORY_PIECE)
            block = _program.aligned_zeros(self.left, _np.uint8)
            self.memory.append(block)
            self.free = &block[0]
        piece = self.free
        self.free += size
        self.left -= size
        return piece

    cdef int* indices(self, values) except NULL:
        cdef int* block = <int*>self.take(len(values) * sizeof(int))
        for i, value in enumerate(values):
            block[i] = value
        return block

    def _read_parameters(self):
        cdef Param* parameter
        specs = self.program.parameters
        self.plan.n_parameters = len(specs)
        self.plan.parameters = <Param*>self.take(len(specs) * sizeof(Param))
        for i, spec in enumerate(specs):
            parameter = &self.plan.parameters[i]
            parameter.offset = spec.offset
            parameter.rows = spec.shape[0] if len(spec.shape) == 2 else 1
            parameter.width = spec.shape[len(spec.shape) - 1]
            parameter.columns = up(parameter.width)
            parameter.ld = spec.stride
            parameter.trainable = spec.trainable
            parameter.penalized = spec.penalized
            parameter.is_matrix = len(spec.shape) == 2
            if (spec.rate_factor, spec.decay_factor) != (1, 1):
                parameter.factors = <double*>self.take(2 * sizeof(double))
                parameter.factors[0], parameter.factors[1] = spec.rate_factor, spec.decay_factor
        self.plan.rate_factor = max([1] + [spec.rate_factor for spec in specs])
        self.plan.decay_factor = max([1] + [spec.decay_factor for spec in specs])
        for index, operation in enumerate(self.program.operations):
            for role, i in zip(operation.roles, operation.parameters):
                self.plan.parameters[<int>i].is_table |= role == "table"
        for i, indices in readers_between_edges(self.program).items():
            self.plan.parameters[<int>i].n_edged = len(indices)
            self.plan.parameters[<int>i].edged = self.indices(indices)
            self.plan.has_edges = True

    def _read_operations(self):
        cdef Op* op
        program = self.program
        operations = program.operations
        fused = fused_activations(program)
        self.plan.n_buffers = len(program.buffers)
        self.plan.n_inputs = len(program.inputs)
        self.plan.inputs = self.indices(program.inputs)
        self.plan.n_outputs = len(program.outputs)
        self.plan.outputs = self.indices(program.outputs)
        self.plan.last_codes = <const real**>self.take(len(program.inputs) * sizeof(real*))
        for i, sizes in enumerate(program.code_sizes):
            if sizes:
                self.plan.last_codes[<int>i] = self.reals([size - 1 for size in sizes])
        self.plan.input_work = <double*>self.take(len(program.inputs) * sizeof(double))
        self.plan.may_be_sparse = <bint*>self.take(len(program.inputs) * sizeof(bint))
        self.plan.inputs_are_factors = <bint*>self.take(len(program.inputs) * sizeof(bint))
        for i, may_be_sparse in enumerate(program.sparse_inputs):
            self.plan.may_be_sparse[<int>i] = may_be_sparse
        self.plan.n_ops = len(operations)
        self.plan.ops = <Op*>self.take(len(operations) * sizeof(Op))
        for i, operation in enumerate(operations):
            op = &self.plan.ops[i]
            op.kind = _operation_codes[operation.kind]
            op.n_inputs = len(operation.inputs)
            op.inputs = self.indices(operation.inputs)
            op.output = operation.output
            op.share = 1 / <double>len(operation.inputs)
            self._read_attributes(op, operation)
            if op.kind == DENSE:
                parameter = program.parameters[op.dense.weight]
                self.dense_work += parameter.size / (4 if op.dense.quads != NULL else 1)
                if operation.inputs[0] in program.inputs:
                    place = program.inputs.index(operation.inputs[0])
                    self.plan.input_work[<int>place] += parameter.shape[1]
            elif op.kind == EMBEDDING or op.kind == PIECEWISE_LINEAR:
                self.dense_work += (op.table.n_columns * (1 + op.table.is_linear)
                                    * self.plan.parameters[op.table.weight].width)
        self.work_per_row = self.dense_work
        for dense, activation in fused.items():
            self.plan.ops[dense].dense.fused = activation
            self.plan.ops[dense].dense.function = self.plan.ops[activation].activation.function
            self.plan.ops[activation].activation.is_fused = True
        for dense, activation in fused_slopes(program, fused.values()).items():
            self.plan.ops[dense].dense.below = activation
            self.plan.ops[activation].activation.is_below = True

    cdef int _read_attributes(self, Op* op, operation) except -1:
        cdef Function* function = &op.activation.function
        attributes = operation.attributes
        first, second = first_and_second(operation)
        if operation.kind == "dense":
            op.dense.weight, op.dense.bias = first, second
            op.dense.function.code = IDENTITY
            op.dense.fused = op.dense.below = -1
            if attributes.get("precision") == "int8":
                op.dense.quads = self._read_quads(operation.parameters[0], attributes)
        elif operation.kind == "activation":
            function.code = _activation_codes[attributes["function"]]
            function.alpha = <double>attributes.get("alpha", 1.0)
            function.beta = first
            # From the output f' can be told only where f is one to one: not with alpha < 0.
            function.from_output = from_output(function.code, function.alpha)
        elif operation.kind == "dropout":
            op.dropout.key = attributes["key"]
            op.dropout.threshold = dropout_threshold(attributes["rate"])
            op.dropout.scale = 1 / (1 - <double>attributes["rate"])
        elif operation.kind == "layer_norm":
            op.norm.scale, op.norm.shift = first, second
            op.norm.epsilon = <double>attributes["epsilon"]
        elif operation.kind == "scale":
            op.gain = first
        elif operation.kind in ("embedding", "piecewise_linear"):
            op.table = <Table*>self.take(sizeof(Table))
            op.table.weight = operation.parameters[0]
            self._read_table(op.table, operation)
        return 0

    cdef QuadWeight* _read_quads(self, index, attributes) except NULL:
        """A weight in whole numbers of eight bits, whose arrays several operations may share."""
        cdef QuadWeight* weight = <QuadWeight*>self.take(sizeof(QuadWeight))
        cdef real[:, ::1] words
        cdef real[::1] scales, sums
        if sizeof(real) != 4:
            raise ValueError(f"products in int8 need a program in float32, got {REAL_DTYPE}")
        if index not in self.quads:
            parameter = self.program.parameters[index]
            codes = _quantization.quantized_weight(parameter.view(self.storage))
            self.quads[index] = _quantization.packed(codes, parameter.stride)
        words, scales, sums = self.quads[index]
        weight.codes, weight.scales, weight.sums = &words[0, 0], &scales[0], &sums[0]
        weight.words, weight.ld = words.shape[0], words.shape[1]
        weight.by_row = "low" not in attributes
        if not weight.by_row:
            grid = _quantization.grid(attributes["low"], attributes["high"])
            weight.scale, weight.inverse, weight.zero = [<double>float(x) for x in grid]
        # Words are written in whole vectors of numbers; scale and zero point stand behind them.
        self.code_words = max(self.code_words, weight.words + 16)
        return weight

    cdef int _read_table(self, Table* table, operation) except -1:
        """Where the rows of each column are, and memory for edges and sums of gradients."""
        cdef sz ld = self.plan.parameters[table.weight].ld
        cdef bint is_linear = operation.kind == "piecewise_linear"
        sizes = operation.attributes["sizes"]
        starts = [0, *_itertools.accumulate(sizes)]
        n_rows = starts[len(sizes)] + is_linear * len(sizes)
        table.n_columns = len(sizes)
        table.is_sum = operation.attributes["combine"] == "sum"
        table.is_linear = is_linear
        table.starts = self.indices(starts)
        table.first_rows = self.indices([s + is_linear * j for j, s in enumerate(starts)])
        table.last = self.indices([size - 1 for size in sizes])
        table.limits = self.reals([size - 1 + is_linear for size in sizes])
        if is_linear:
            table.edges = self.zeros(n_rows * ld)
            table.sums = self.zeros(2 * starts[len(sizes)] * ld)
        if len(self._readers(table.weight)) > 1:
            table.term = self.zeros(starts[len(sizes)] * ld)
        return 0

    def _readers(self, parameter):
        """The operations that have a parameter."""
        return [o for o in self.program.operations if parameter in o.parameters]

    cdef real* zeros(self, sz n) except NULL:
        """n numbers that live as long as the engine."""
        cdef real[::1] block = _program.aligned_zeros(n, REAL_DTYPE)
        self.memory.append(block)
        return &block[0]

    cdef real* reals(self, values) except NULL:
        cdef real* block = self.zeros(len(values))
        for i, value in enumerate(values):
            block[i] = <double>value
        return block

    def _read_heads(self):
        cdef HeadSpec* head
        specs = self.program.heads
        self.plan.n_heads = len(specs)
        self.plan.heads = <HeadSpec*>self.take(len(specs) * sizeof(HeadSpec))
        seen = set()
        # Custom losses are called when the others are done: theirs is added to what is there.
        for i, spec in sorted(enumerate(specs), key=lambda entry: is_custom(entry[1])):
            head = &self.plan.heads[i]
            options = spec.attributes
            head.output = spec.output
            head.weight = <double>spec.weight
            head.accumulate = spec.output in seen
            seen.add(spec.output)
            head.is_custom = is_custom(spec)
            if head.is_custom:
                head.loss = -1
                head.reduction = SUM
                continue
            row = _losses.LOSSES[spec.loss]
            head.loss = _loss_codes[spec.loss]
            head.takes_labels = row.takes_labels
            head.is_elementwise = row.is_elementwise
            head.reduction = ("mean", "sum", "half_sum").index(options.get("reduction", "mean"))
            head.parameter = <double>spec.parameter
            width = self.program.buffers[spec.output].width
            head.class_weights = self._numbers_of(
                options, "class_weights", 2 if head.is_elementwise else width)
            head.columns = self._numbers_of(options, row.columns, width)
            ignored = options.get("ignore_index" if head.takes_labels else "ignore_value")
            if ignored is not None:
                head.ignores = True
                if head.takes_labels:
                    head.ignore_index = ignored
                else:
                    head.ignore_value = <double>ignored
            head.ignores_nan = options.get("ignore_nan", False)
            largest = float(_np.finfo(self.program.dtype).max)
            head.highest = <double>min(row.targets.high, largest)
            head.lowest = <double>max(row.targets.low, -largest)

    cdef const real* _numbers_of(self, options, name, sz needed) except? NULL:
        """The numbers of an option, which must be so many; NULL if it is not in use."""
        cdef real[::1] numbers
        if options.get(name) is None:
            return NULL
        numbers = _np.array(options[name], self.program.dtype)
        if numbers.shape[0] != needed:
            raise ValueError(f"{name} has {numbers.shape[0]} entries, expected {needed}")
        self.memory.append(numbers)
        return &numbers[0]

    def _read_flow(self, Seeds seeds, starts, inputs_wanted):
        cdef Flow* flow
        cdef Param* parameter
        cdef Contribution* use
        cdef int kind = <int>seeds
        program = self.program
        flows = backward_flow(
            program, starts, [p.trainable for p in program.parameters], inputs_wanted
        )
        uses = [[] for _ in program.parameters]
        for i, (operation, parts) in enumerate(zip(program.operations, flows)):
            flow = &self.plan.ops[i].flow[kind]
            flow.active = parts is not None
            flow.wanted = <bint*>self.take(len(operation.inputs) * sizeof(bint))
            flow.accumulate = <bint*>self.take(len(operation.inputs) * sizeof(bint))
            for j, (wanted, accumulate) in enumerate(parts or ()):
                flow.wanted[j] = wanted
                flow.accumulate[j] = accumulate
            if parts is not None:
                for position, (role, p) in enumerate(zip(operation.roles, operation.parameters)):
                    slopes = i if role == "scale" else -1
                    beta_terms = i if role == "parameter" else -1
                    table = i if role == "table" else -1
                    given = position if role == "custom" else -1
                    uses[p].append((operation, slopes, beta_terms, table, i, given))
        for i, terms in enumerate(uses):
            terms.reverse()  # the order in which a backward pass meets them
            parameter = &self.plan.parameters[i]
            parameter.n_contributions[kind] = len(terms)
            parameter.contributions[kind] = <Contribution*>self.take(
                len(terms) * sizeof(Contribution))
            for j, (operation, slopes, beta_terms, table, index, given) in enumerate(terms):
                use = &parameter.contributions[kind][j]
                use.x = operation.inputs[0]
                use.dz = operation.output
                use.slopes = slopes
                use.times_input = operation.kind == "scale"
                use.terms = beta_terms
                use.table = table
                if given >= 0:
                    use.given = self._returned_gradient(index, given)
            if seeds == FROM_LOSSES:
                roles = [operation.roles[operation.parameters.index(i)] for operation, *_ in terms]
                parameter.is_outer = roles == ["weight"]

    cdef const real* _returned_gradient(self, index, position) except NULL:
        """Where Python's gradient of an operation's parameter goes, laid out like the storage."""
        operation = self.program.operations[index]
        cdef real[::1] block
        if index not in self.returned:
            self.returned[index] = [_program.aligned_zeros(self.program.parameters[p].stored,
                                                           REAL_DTYPE)
                                    for p in operation.parameters]
        block = self.returned[index][position]
        return &block[0]

    def _read_halves(self):
        """Which operations multiply in bfloat16, and room for their weights in it."""
        cdef Param* weight
        cdef Op* op
        program = self.program
        self.x_halves, self.dz_halves = set(), set()
        users, producers = only_users(program), set()
        for i, operation in enumerate(program.operations):
            if operation.kind == "dense":
                last = self.plan.ops[<int>i].dense.fused
                producers.add(program.operations[last].output if last >= 0 else operation.output)
        for i in sorted(program.narrow_products):
            op = &self.plan.ops[<int>i]
            weight = &self.plan.parameters[op.dense.weight]
            self.plan.has_halves = True
            self.x_halves.add(op.inputs[0])
            self.dz_halves.add(op.output)
            op.dense.has_rounded_x = op.inputs[0] in producers
            user = users.get(i, -1)
            if user >= 0 and self.plan.ops[<int>user].kind == ACTIVATION:
                self.plan.ops[<int>user].activation.rounds = True
                op.dense.has_rounded_dz = True
            if weight.by_columns == NULL:
                weight.ld_rows = _program.padded(weight.rows)
                weight.by_columns = self.zeros((weight.rows + 1) // 2 * weight.ld)
                weight.by_rows = self.zeros((weight.width + 1) // 2 * weight.ld_rows)
            weight.is_turned |= op.flow[<int>FROM_LOSSES].active and op.flow[
                <int>FROM_LOSSES].wanted[0]

    cdef bint choose_words(self, sz n_rows) noexcept:
        """Whether products of a call with so many rows are made in bfloat16."""
        self.plan.halves = self.plan.has_halves and n_rows >= self.least_rows
        return self.plan.halves

    def _make_tasks(self):
        cdef Param* parameter
        cdef Task* task
        cdef sz i
        tasks = []
        for p in range(self.plan.n_parameters):
            parameter = &self.plan.parameters[p]
            if parameter.trainable and parameter.is_table:
                for n in range(0, parameter.columns, TABLE_COLUMNS):
                    for k, height in groups_of_rows(self._readers(p)):
                        tasks.append((p, k, height, n, min(TABLE_COLUMNS, parameter.columns - n)))
            elif parameter.trainable:
                width = TILE_COLUMNS if parameter.is_matrix else VECTOR_COLUMNS
                height = tile_rows(parameter.rows, parameter.by_columns != NULL)
                for n in range(0, parameter.columns, width):
                    for k in range(0, parameter.rows, height):
                        tasks.append((p, k, min(height, parameter.rows - k),
                                      n, min(width, parameter.columns - n)))
        self.plan.n_tasks = len(tasks)
        self.plan.tasks = <Task*>self.take(len(tasks) * sizeof(Task))
        self.plan.task_ends = <double*>self.take(len(tasks) * sizeof(double))
        self.plan.squares = <double*>self.take(len(tasks) * sizeof(double))
        self.plan.penalties = <double*>self.take(len(tasks) * sizeof(double))
        for i in range(self.plan.n_tasks):
            task = &self.plan.tasks[i]
            task.parameter, task.k, task.n_rows, task.n, task.n_columns = tasks[i]
            self.plan.task_ends[i] = task.n_rows * task.n_columns
            if i > 0:
                self.plan.task_ends[i] += self.plan.task_ends[i - 1]

    def _read_factors(self):
        """What the gradients of trainable parameters are made of, each matrix once.

        Most are inputs, the result of a dense operation or of the derivative of an activation.
        Their squares are summed while the numbers are in registers or near.
        """
        cdef Factor* factor
        cdef int i
        factors = self._factors()
        factors -= self._bounded_factors(factors)
        summed = {}
        for i in range(self.plan.n_inputs):
            summed["x", self.plan.inputs[i]] = i
        for index, user in only_users(self.program).items():
            if self.plan.ops[<int>user].kind == ACTIVATION:
                summed["dz", self.plan.ops[<int>index].output] = user
        for i in range(self.plan.n_ops):
            if self.plan.ops[i].kind == DENSE:
                last = i if self.plan.ops[i].dense.fused < 0 else self.plan.ops[i].dense.fused
                summed["x", self.plan.ops[<int>last].output] = i
        for kind, index in factors & summed.keys():
            if index in self.program.inputs:
                self.plan.inputs_are_factors[<int>summed[kind, index]] = True
            elif kind == "x":
                self.plan.ops[<int>summed[kind, index]].dense.sums_squares = True
            else:
                self.plan.ops[<int>summed[kind, index]].activation.sums_squares = True
        self.plan.n_factors = len(factors)
        self.plan.n_unsummed = len(factors - summed.keys())
        self.plan.factors = <Factor*>self.take(len(factors) * sizeof(Factor))
        order = sorted(factors - summed.keys()) + sorted(factors & summed.keys())
        for i, (kind, index) in enumerate(order):
            factor = &self.plan.factors[i]
            factor.is_dz = kind in ("dz", "term")
            factor.matrix = self._matrix(kind, index)

    def _bounded_factors(self, factors):
        """Outputs of bounded activations, whose squares need no sum.

        An output that is nan makes the derivative nan, and so the gradient of the pre-activation:
        that must be a factor as well.
        """
        bounded = set()
        for operation in self.program.operations:
            bound = _np.inf
            if operation.kind == "activation":
                bound = _activations.get(operation.attributes["function"]).bound
            pair = {("x", operation.output), ("dz", operation.inputs[0])}
            if bound < _np.inf and pair <= factors:
                bounded.add(("x", operation.output))
                width = self.program.buffers[operation.output].width
                self.plan.bounded_squares += <double>(width * bound**2)
        return bounded

    cdef Matrix* _matrix(self, kind, int index) noexcept:
        """A matrix of the training workspace, which stays where it is when the workspace grows."""
        if kind == "x":
            return &self.plan.work.values[index]
        if kind == "dz":
            return &self.plan.work.gradients[index]
        if kind == "slope":
            return &self.plan.work.slopes[index]
        return &self.plan.work.terms[index]

    def _factors(self):
        """Kind and index of each factor: a buffer or, for slopes and terms, an operation."""
        cdef Param* parameter
        cdef Contribution* use
        factors = set()
        for p in range(self.plan.n_parameters):
            parameter = &self.plan.parameters[p]
            for c in range(parameter.n_contributions[<int>FROM_LOSSES] * parameter.trainable):
                use = &parameter.contributions[<int>FROM_LOSSES][<int>c]
                if use.given != NULL:  # looked at when Python returns it
                    continue
                if use.terms >= 0:
                    factors.add(("term", use.terms))
                    continue
                factors.add(("dz", use.dz))
                if parameter.is_matrix and not parameter.is_table:  # whose rows have shares below 1
                    factors.add(("x", use.x))
                elif use.times_input:
                    factors.add(("x", use.x))
                elif use.slopes >= 0:
                    factors.add(("slope", use.slopes))
        return factors

    # ------------------------------------------------------------ workspaces

    def _bytes_per_row(self):
        """What one row of a batch takes in the training workspace, sparse inputs not counted."""
        strides = sum(_program.padded(width) for width in self._widths() if width)
        slopes = sum(_program.padded(width) for width in self._slope_widths().values())
        terms = sum(_program.padded(1) for _ in self._operations_with_terms())
        halves = sum(_program.padded(self.program.buffers[i].width)
                     for i in [*self.x_halves, *self.dz_halves])
        return (2 * strides + slopes + terms + halves) * sizeof(real)

    cdef bint _is_sparse(self, int i) noexcept:
        """Whether input i of the call under way is."""
        return self.has_sparse and self.sources[i].columns != NULL

    def _widths(self):
        """The widths of all buffers, 0 for those of sparse inputs."""
        widths = [buffer.width for buffer in self.program.buffers]
        for i, index in enumerate(self.program.inputs):
            if self._is_sparse(i):
                widths[index] = 0
        return widths

    cdef bint has_room(self, const Workspace* work, sz n_rows) noexcept:
        """Whether a workspace has room for so many rows, of the inputs of this call."""
        cdef int i
        if work.capacity < n_rows or work.has_sparse != self.has_sparse:
            return False
        for i in range(self.plan.n_inputs):
            if (work.values[self.plan.inputs[i]].sparse != NULL) != self._is_sparse(i):
                return False
        return True

    cdef sz rows_together(self):
        """`rows_at_once` for the inputs of this call: sparse ones take next to no memory."""
        if self.has_sparse:
            return self.rows_at_once * self.row_bytes // <sz>self._bytes_per_row()
        return self.rows_at_once

    def _arrays(self, widths, sz n_rows):
        """Zeroed memory for n_rows rows of some widths, an array each; None for width 0."""
        arrays = []
        for width in widths:
            ld = _program.padded(width)
            arrays.append(_program.aligned_zeros(n_rows * ld, self.program.dtype)
                          .reshape(n_rows, ld) if width else None)
        return arrays

    def _half_arrays(self, indices, sz n_rows, bint by_columns):
        """Zeroed memory for copies in bfloat16 of buffers: by index pairs along rows or columns."""
        arrays = {}
        for i in indices:
            width = self.program.buffers[i].width
            if width and not (i in self.program.inputs
                              and self._is_sparse(self.program.inputs.index(i))):
                ld = _program.padded(width)
                n = (n_rows + 1) // 2 * ld if by_columns else n_rows * ld // 2
                arrays[i] = _program.aligned_zeros(n, self.program.dtype)
        return arrays

    cdef int point_halves(self, Matrix* matrices, rows, columns) except -1:
        """Let matrices have the arrays of `_half_arrays`, and others none."""
        cdef real[::1] words
        cdef int i
        for i in range(self.plan.n_buffers):
            matrices[i].half_rows = matrices[i].half_columns = NULL
            if i in rows:
                words = rows[i]
                matrices[i].half_rows = &words[0]
            if i in columns:
                words = columns[i]
                matrices[i].half_columns = &words[0]
        return 0

    cdef int point(self, Matrix* matrix, array, sz width) except -1:
        """Let a matrix have the rows of an array, or none where that is None."""
        cdef real[:, ::1] rows
        matrix.width = width
        matrix.columns = up(width)
        matrix.sparse = NULL
        matrix.data, matrix.rows, matrix.ld = NULL, 0, 0
        if array is not None:
            rows = array
            matrix.data = &rows[0, 0]
            matrix.rows = rows.shape[0]
            matrix.ld = rows.shape[1]
        return 0

    cdef dict point_sparse(self, Matrix* values, sz n_rows):
        """Let the inputs of this call that are sparse have n_rows rows; what they point into."""
        cdef unsigned char[::1] memory
        cdef Matrix* matrix
        cdef int i
        arrays = {}
        for i in range(self.plan.n_inputs):
            if self._is_sparse(i):
                memory = _program.aligned_zeros(sizeof(Sparse) + n_rows * sizeof(SparseRow),
                                                _np.uint8)
                arrays[i] = [memory]
                matrix = &values[self.plan.inputs[i]]
                matrix.rows = n_rows
                matrix.sparse = <Sparse*>&memory[0]
                matrix.sparse.rows = <SparseRow*>(matrix.sparse + 1)
        return arrays

    cdef list point_codes(self, Workspace* work, sz n_rows):
        """Let a workspace have rows for activations in eight bits; what it points into."""
        arrays = self._arrays([self.code_words], n_rows)
        self.point(&work.codes, arrays[0], self.code_words)
        return arrays

    def _slope_widths(self):
        """Row widths of what operations keep for their backward pass, by operation."""
        cdef Op* op
        widths = {}
        for i in range(self.plan.n_ops):
            op = &self.plan.ops[i]
            if op.kind == LAYER_NORM or (op.kind == ACTIVATION
                                         and not op.activation.function.from_output):
                widths[i] = self.program.buffers[op.output].width
        return widths

    def _operations_with_terms(self):
        """Those that keep a number for each row: a spread's inverse, a term of beta's gradient."""
        return [i for i in range(self.plan.n_ops)
                if self.plan.ops[<int>i].kind == LAYER_NORM
                or (self.plan.ops[<int>i].kind == ACTIVATION
                    and self.plan.ops[<int>i].activation.function.beta >= 0)]

    cdef int set_capacity(self, sz n_rows) except -1:
        """Make room for n_rows rows in training; what was there is gone when it grows.

        All memory is allocated before any pointer moves: without memory, nothing changes.
        """
        cdef Workspace* work = &self.plan.work
        cdef int i
        if n_rows <= work.capacity and not (work.has_sparse or self.has_sparse):
            return 0
        if self.has_room(work, n_rows):
            return 0
        if work.values == NULL:
            work.values = <Matrix*>self.take(self.plan.n_buffers * sizeof(Matrix))
            work.gradients = <Matrix*>self.take(self.plan.n_buffers * sizeof(Matrix))
            work.slopes = <Matrix*>self.take(self.plan.n_ops * sizeof(Matrix))
            work.terms = <Matrix*>self.take(self.plan.n_ops * sizeof(Matrix))
        widths = self._widths()
        slope_widths, with_terms = self._slope_widths(), self._operations_with_terms()
        values, gradients = self._arrays(widths, n_rows), self._arrays(widths, n_rows)
        slopes = self._arrays(slope_widths.values(), n_rows)
        terms = self._arrays([1] * len(with_terms), n_rows)
        halves = [self._half_arrays(indices, n_rows, by_columns)
                  for indices in (self.x_halves, self.dz_halves) for by_columns in (False, True)]
        for i, buffer in enumerate(self.program.buffers):
            self.point(&work.values[i], values[i], buffer.width)
            self.point(&work.gradients[i], gradients[i], buffer.width)
        for (i, width), slope in zip(slope_widths.items(), slopes):
            self.point(&work.slopes[i], slope, width)
        for i, term in zip(with_terms, terms):
            self.point(&work.terms[i], term, 1)
        self.sparse_arrays = self.point_sparse(work.values, n_rows)
        self.value_arrays, self.gradient_arrays = values, gradients
        self.point_halves(work.values, halves[0], halves[1])
        self.point_halves(work.gradients, halves[2], halves[3])
        self.kept_arrays = slopes + terms + halves + self.point_codes(work, n_rows)
        work.capacity, work.has_sparse = n_rows, self.has_sparse
        return 0
