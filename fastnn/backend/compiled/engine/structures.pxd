# What a Program becomes inside the compiled engine: plain C structures, no Python objects.
#
# Both units of a core read this file: core.pyx, which computes, and calls.pyx, which is called
# by Python.  Nothing here depends on the length of a vector.

from libc.stdint cimport int32_t, int64_t, uint32_t

from fastnn.backend.compiled.rows.updates cimport MAX_SLOTS, Update
from fastnn.backend.compiled.simd.simd cimport real

ctypedef Py_ssize_t sz

cdef extern from *:
    """
    #ifdef FASTNN_ASSERT
    #undef NDEBUG
    #include <assert.h>
    #define CHECK(condition) assert(condition)
    #else
    #define CHECK(condition) ((void)0)
    #endif
    #if defined(__GNUC__)
    #define raise_flag(place) __atomic_store_n(place, 1, __ATOMIC_RELAXED)
    #define is_raised(place) __atomic_load_n(place, __ATOMIC_RELAXED)
    #else
    #define raise_flag(place) (*(volatile int *)(place) = 1)
    #define is_raised(place) (*(volatile int *)(place))
    #endif
    """
    void CHECK(bint condition) noexcept nogil
    void raise_flag(int* place) noexcept nogil
    int is_raised(const int* place) noexcept nogil

include "../generated/operations.pxi"  # the codes of the kinds of operations

cdef enum Seeds:
    # Where a backward pass starts: at the losses, or at gradients of the outputs.
    FROM_LOSSES
    FROM_OUTPUTS

cdef enum Reduction:
    MEAN
    SUM
    HALF_SUM

cdef enum:
    STORED_SLOPE = -1        # in place of an activation's code: its derivative is at hand

cdef enum:
    WORKSPACE_BYTES = 40 << 20  # what the rows of a training step may take ...
    HALF_WORKSPACE_BYTES = 160 << 20  # ... or with products in bfloat16, which are done sooner
                                      # than gradients that are added up part by part
    NEAR_BYTES = 1 << 19        # half of a 1 MiB L2
    LARGE_BYTES = 4 << 20       # parameters and state from here on are fetched ahead
    MEMORY_PIECE = 4096         # bytes of the engine's own tables that are allocated at once
    UPDATE_WORK = 25            # multiply-adds in the time of one parameter's update
    TILE_ROWS = 42        # a task of phase 2 is a tile of a weight of at most this size ...
    PAIR_TILE_ROWS = 48   # ... of a weight in bfloat16: whole vectors of rows
    TILE_COLUMNS = 32
    VECTOR_COLUMNS = 256  # ... or so much of a vector of parameters
    MAX_THREADS = 256     # of a team
    TABLE_ROWS = 16       # about so many rows of a table, whole columns of it, are a task ...
    TABLE_COLUMNS = 128   # ... of so many columns of the output
    LOCATED = 64          # columns of X whose rows of a table are located together ...
    FOUND = 2048          # ... for about so many numbers
    SORTED = 512          # samples that are sorted by the rows they read ...
    SORTED_ROWS = 256     # ... where a column has fewer than that and one
    FEW_SAMPLES = 4       # up to here a gradient is cheaper to make again than to store


cdef struct SparseRow:
    # The numbers of a row that are not zero, where the caller has them; columns rise.
    sz n
    const int32_t* columns
    const real* values


cdef struct Sparse:
    # An input given without its zeros: its rows, and in training also its columns (sparse.pxi).
    SparseRow* rows
    sz* ends           # by column: where its numbers end ...
    int32_t* samples   # ... of which these are the rows, rising in each column ...
    real* factors      # ... and these the numbers
    sz capacity        # for so many numbers


cdef struct Matrix:
    # One row per sample; rows start `ld` apart and are writable up to `columns`.
    Sparse* sparse     # in the place of data, which is then NULL
    real* data
    sz rows
    sz width
    sz columns
    sz ld
    real* half_rows    # the same in bfloat16, pairs along the rows, ld / 2 words apart ...
    real* half_columns # ... and along the columns: rows 2 r and 2 r + 1, ld words apart; or NULL


cdef struct Flow:
    # One operation's part in a backward pass.
    bint active
    bint* wanted      # per input: whether its gradient is needed
    bint* accumulate  # per input: whether something was written there before


cdef struct Function:
    # What an activation computes, on its own or fused into a dense operation.
    int code
    real alpha
    int beta           # the parameter that takes the place of alpha, or -1
    bint from_output   # f'(z) is cheap from f(z): no slope is stored


cdef struct QuadWeight:
    # A weight in whole numbers of eight bits, four of a column in a word; see products/quads.pxi.
    const real* codes  # words
    Py_ssize_t words   # of a column, and so of a row of activations
    Py_ssize_t ld
    const real* scales # of the columns
    const real* sums   # of the whole numbers of the columns: integers of 32 bits
    bint by_row        # the range of activations is that of each row, else there is one:
    real scale
    real inverse
    real zero


cdef struct Dense:
    int weight         # parameters ...
    int bias           # ... or -1
    Function function  # what is applied to Z; IDENTITY without a fused activation
    int fused          # that activation's number among the operations, or -1
    int below          # the activation whose backward it does as well, or -1
    bint sums_squares  # of its result, which is a factor of a gradient
    QuadWeight* quads  # or NULL
    bint has_rounded_x   # what makes X has rounded it to bfloat16 as well ...
    bint has_rounded_dz  # ... or what makes dZ


cdef struct Activation:
    Function function
    bint is_fused      # computed by the dense operation before it
    bint is_below      # its backward is done by the dense operation after it
    bint sums_squares  # of dZ, which its backward leaves complete
    bint rounds        # dZ to bfloat16


cdef struct LayerNorm:
    int scale          # parameters, or -1
    int shift
    real epsilon


cdef struct Table:
    # Rows of a weight that the numbers of X choose: column j has those from starts[j] to
    # starts[j + 1].  A position between the edges of bins reads `edges` in their place, which has
    # one row more for each column (see tables.pxi).
    int weight
    int n_columns      # of X
    bint is_sum        # of the columns' rows; else they stand side by side
    bint is_linear     # between the edges of bins
    int* starts
    int* first_rows    # of each column: starts, or where its rows of `edges` start
    int* last          # largest code, or number of the last bin
    real* limits       # largest number within range
    real* edges        # made of the weight; NULL for codes
    real* sums         # two of gradients for each row of the weight; NULL for codes
    real* term         # of the weight's gradient, where there are several; else NULL


cdef struct Dropout:
    uint32_t key
    uint32_t threshold
    real scale         # 1 / (1 - rate)


cdef struct Op:
    # An operation: what all kinds have, and below it the structure of its own kind.
    int kind
    int n_inputs
    int* inputs
    int output
    Flow flow[2]       # by Seeds
    Dense dense
    Activation activation
    LayerNorm norm
    Table* table       # NULL for operations without one
    int gain           # scale: the parameter
    Dropout dropout
    real share         # average: 1 / n


cdef struct Contribution:
    # A term of a parameter's gradient: one for each use of a shared layer.  For a weight it is
    # X' dZ, for a vector the column sums of dZ, or of dZ times the slopes of an operation.  For
    # a beta it is the sum of the terms of an operation, one per row.
    int x
    int dz
    int slopes         # index of the operation whose slopes are a factor, or -1
    bint times_input   # X itself is a factor
    int terms          # index of the operation whose terms are summed, or -1
    int table          # index of the operation that reads a table, or -1
    const real* given  # of a custom layer: the gradient that Python returned, as in storage


cdef struct Factor:
    # A matrix that the gradient of some parameter is made of; see limits.pxi.
    Matrix* matrix     # of the training workspace
    bint is_dz         # dZ or terms; else X or slopes, of which each goes with a dZ


cdef struct Param:
    sz offset
    sz rows            # 1 for a vector
    sz width
    sz columns         # width rounded up to 16
    sz ld
    bint trainable
    bint penalized
    bint is_matrix
    double* factors    # of the learning rate and the weight decay; NULL where both are 1
    bint is_outer      # its gradient is one X' dZ
    bint is_table      # its gradient is summed in the array of gradients, not in tiles
    real* by_columns   # in bfloat16, pairs along the columns, rows `ld` words apart ...
    real* by_rows      # ... and along the rows, turned, `ld_rows` words apart; or NULL
    sz ld_rows
    bint is_turned     # a training step reads the latter
    int n_edged        # operations that read it between edges of bins ...
    int* edged         # ... and their indices
    int n_contributions[2]
    Contribution* contributions[2]


cdef struct Task:
    # A tile of one parameter: rows k to k + n_rows, columns n to n + n_columns.
    int parameter
    sz k
    sz n_rows
    sz n
    sz n_columns


cdef enum Type:
    # Of the numbers callers give.  Those up to LAST_FLOAT may be nan or infinite.
    FLOAT16
    FLOAT32
    FLOAT64
    INT8
    INT16
    INT32
    INT64
    UINT8
    UINT16
    UINT32
    UINT64
    LAST_FLOAT = FLOAT64


cdef struct Source:
    # An array as a caller gave it; strides are in bytes.
    const char* data
    int type
    sz n_rows
    sz width
    sz row_stride
    sz stride
    bint plain         # each row holds `real` side by side
    # Of sparse rows, whose numbers in `data` are of the type `real`; else NULL:
    const int32_t* columns
    const int64_t* starts  # by row: where its numbers start
    sz n_numbers


cdef struct HeadSpec:
    int output
    bint is_custom     # computed by Python; the rest means nothing then, but output and weight
    int loss           # index in fastnn.facts.losses.ROWS, which say the next two
    bint takes_labels
    bint is_elementwise
    int reduction
    real weight
    real parameter     # that of the row
    const real* class_weights
    const real* columns  # one number of each, or NULL
    bint ignores
    int64_t ignore_index
    real ignore_value
    bint ignores_nan   # cross-entropy: rows of targets with a nan are missing
    real lowest        # bounds of the targets, where these are rows
    real highest
    bint accumulate    # the buffer's gradient was written by an earlier head


cdef struct Target:
    # Labels or rows, never both; weights may be NULL.  They are those of all samples, or where
    # `gathered` those of the batch, copied to the rooms; see `target_row`.  Weights are of the
    # rows, or `by_element` as wide as these.
    const int64_t* labels
    const real* rows
    const real* weights
    sz width
    bint by_element
    bint gathered
    Source source
    const real* given_weights
    int64_t* label_room
    real* row_room
    real* weight_room
    sz label_capacity  # rows that the rooms have
    sz row_capacity
    sz weight_capacity # ... and weights


cdef struct Batch:
    # Which samples: `order[start + i]`, or `start + i` where order is NULL.
    sz n_rows
    sz start
    const int64_t* order
    const Source* inputs
    Target* targets
    double* norms      # per head: what the weighted sum of the losses is divided by
    const double* mean_weights  # per head: of a row of all data, or nan; NULL for nan
    const double* whole_norms   # per head: the norm of the batch these rows are part of, or NULL
    bint counts_targets  # the norms of means leave the sample weights out
    bint check         # whether inputs and targets are to be looked at; labels are always
    int* bad           # raised when one of them is not fit


cdef struct Workspace:
    # Values and gradients of every buffer for some number of rows.  Inference has no gradients.
    sz capacity
    bint has_sparse    # some input's Matrix points to sparse rows
    Matrix* values
    Matrix* gradients
    Matrix* slopes     # per operation: derivatives its forward pass kept, else no data
    Matrix* terms      # per operation: a number for each row, for its backward pass or phase 2
    Matrix codes       # words of activations, of one operation at a time; no data where none has


cdef struct Plan:
    int n_buffers
    int n_inputs
    int n_ops
    int n_parameters
    int n_outputs
    int n_heads
    int* inputs
    int* outputs
    double* input_work       # per input: multiply-adds of dense operations for each number
    bint* may_be_sparse      # per input ...
    bint* inputs_are_factors # ... and whether it is a factor of a gradient
    const real** last_codes  # per input: the largest code of each column, or NULL
    Op* ops
    Param* parameters
    HeadSpec* heads
    Task* tasks
    sz n_tasks
    double* task_ends        # cumulated cost of the tasks, to share them out
    Factor* factors          # those whose squares are summed as they are made come last
    int n_factors
    int n_unsummed
    double bounded_squares   # of a row of the factors that are bounded, which are not listed
    real* factor_squares[2]         # a vector for those of X and one for those of dZ, or NULL
    double* squares          # per task: sum of squares of its gradient ...
    double* penalties        # ... and of its parameters
    real* storage
    real* gradients
    real* lost               # by rounding, of sums over rows; NULL for a batch in one piece
    real* slots[MAX_SLOTS]
    int n_slots
    double l2
    double clip_norm
    double rate_factor       # the largest of all parameters, at least 1
    double decay_factor
    bint is_large            # parameters and optimizer state take over LARGE_BYTES
    bint has_edges           # an operation reads a table between edges ...
    bint edges_are_made      # ... which never change
    bint has_halves          # dense operations multiply in bfloat16, given rows enough ...
    bint halves              # ... as the call under way does
    bint halves_are_made     # the weights in bfloat16 never change
    bint step_follows        # updates make edges and weights in bfloat16 again, for another step
    bint keep                # store Z of fused activations as well
    uint32_t step            # number of the optimizer step, for dropout
    sz first_row             # row of the batch that is in row 0 of the workspace
    sz batch_row             # place of these rows in a larger batch, for dropout
    bint training            # dropout is active
    sz block                 # rows that go through all operations together
    Workspace work


cdef struct Run:
    # Many steps in one call: what the threads share.
    sz first_step
    sz n_steps
    sz batch_size
    sz rows_at_once           # of a batch, in the workspace
    sz n_samples
    const double* learning_rates
    const double* penalties   # the factor of the L2 penalty of each step, or NULL for the plan's
    double* losses
    double* sums              # of each step: the part of its loss that sums over rows, or NULL
    double* row_losses        # (heads, batch_size)
    Batch batch               # all samples; every thread's copy of it takes a step's
    bint norms_read_targets
    sz steps_done
    int suspect               # raised when numbers of the step under way may overflow ...
    bint halted               # ... and the step then awaits a careful update
    double cost               # of that step, without the penalty


cdef struct Stream:
    # A forward pass over many rows in blocks: each thread has `block` rows of the workspace.
    # With block 0 the workspace holds all rows, and each thread takes an equal part.
    const Workspace* work
    const Batch* batch
    sz first                # the rows of the batch to do now
    sz last
    sz block
    real** outputs          # per output of the program, or NULL
    double* row_losses      # (heads, rows) where the losses are wanted, or NULL


cdef enum Stage:
    # Those up to BACKWARD are shared out by rows, the others by tasks.
    FORWARD
    LOSSES
    BACKWARD
    GRADIENTS
    UPDATES


cdef struct Span:
    # What a team does between two calls of Python, and what it needs for that.
    Stage stage
    bint load             # FORWARD: gather the rows first ...
    sz start              # ... from this row of the batch on
    sz n_rows
    int begin             # FORWARD, BACKWARD: operations begin to end
    int end
    Seeds seeds           # BACKWARD, GRADIENTS
    const Workspace* work
    const Batch* batch
    double* row_losses    # LOSSES: (heads, row_stride)
    sz row_stride
    const Update* weights  # UPDATES
    const Update* vectors
    bint flush            # subnormal numbers to zero, as in every training step


cdef enum Packing:
    # Which weights in bfloat16 a call needs.
    FOR_FORWARD
    FOR_STEPS
    FOR_ALL       # the gradients of inputs as well


cdef inline sz share_of_rows(sz n, int part, int parts) noexcept nogil:
    """First row of thread `part`; even, since two rows of a matrix in bfloat16 share words."""
    return n * part // parts // 2 * 2 if part < parts else n


cdef inline sz up(sz n) noexcept nogil:
    """n rounded up to a multiple of 16."""
    return (n + 15) // 16 * 16


cdef inline sz sample(const Batch* batch, sz row) noexcept nogil:
    """Index of the sample in row `row` of the batch."""
    return batch.order[batch.start + row] if batch.order != NULL else batch.start + row


cdef inline sz numbers_of_row(const Source* source, sz row) noexcept nogil:
    """How many numbers a sparse row has; 0 where `starts` is no part of the array of numbers."""
    cdef int64_t start = source.starts[row], end = source.starts[row + 1]
    return end - start if 0 <= start and start <= end and end <= source.n_numbers else 0


cdef inline sz target_row(const Batch* batch, const Target* target, sz row) noexcept nogil:
    """Where the target of row `row` of the batch stands in its labels or rows."""
    return row if target.gathered else sample(batch, row)


cdef inline sz weights_of_row(const Target* target) noexcept nogil:
    """How many weights a row has, if any."""
    return target.width if target.by_element else 1


cdef inline real* row_of(const Matrix* matrix, sz row) noexcept nogil:
    CHECK(0 <= row < matrix.rows)
    return matrix.data + row * matrix.ld
