"""What calls of the stateless kernels hand over: codes of functions, and batches as C structures.

Both units of a core read this file: core.pyx, which computes, and calls.pyx, which is called by
Python.  Nothing here depends on the length of a vector.
"""

from libc.stdint cimport int64_t

from fastnn.backend.compiled.simd.simd cimport real

cdef enum:
    # A function of one array is the code of an activation, for its value or its derivative, or
    # one of these.
    DERIVATIVE = 32
    ELEMENTARY = 64
    ROWWISE = 96
    LOGSUMEXP_ROWS = 96
    SOFTMAX_ROWS
    LOG_SOFTMAX_ROWS

cdef enum Elementary:
    EXP
    EXPM1
    LOG
    LOG1P


cdef struct LossOutputs:
    # Where a batch of losses goes; pointers are NULL for what is not wanted.
    double factor      # of the weighted sum: 1 over the sum of weights for a mean
    double total
    real* losses       # of the rows, or for an elementwise loss of the elements; before weights
    real* gradient


cdef struct LabelBatch:
    Py_ssize_t n
    Py_ssize_t K
    const real* logits
    const int64_t* labels
    real smoothing
    const real* weights
    const real* class_weights
    bint ignores
    int64_t ignore_index


cdef struct TargetBatch:
    # Rows of targets, for the cross-entropy or for an elementwise loss.
    Py_ssize_t n
    Py_ssize_t K
    const real* predictions    # or logits
    const real* targets
    int code                   # of an elementwise loss ...
    real parameter             # ... and its parameter, or the smoothing of the cross-entropy
    const real* weights         # of the rows
    const real* element_weights # of the elements of an elementwise loss, (n, K)
    const real* class_weights
    const real* columns         # of an elementwise loss, (K): one number of each
    bint ignores
    real ignored


cdef struct DenseCall:
    # The arrays of a dense layer; NULL for what is not wanted or not needed.
    Py_ssize_t N
    Py_ssize_t K
    Py_ssize_t M
    int code                # of the activation
    real alpha
    const real* x
    const real* weight
    const real* bias
    real* z                 # forward: X W + b.  backward: read alone
    real* out
    const real* dy
    real* dz
    real* dx
    real* dweight
    real* dbias
    Py_ssize_t sizes[3]     # of the rooms
    real* rooms[3]          # for rows of samples, for the weight or samples, for a panel


cdef struct Resolvent:
    # What the threads share: Q' (x I - A)^-1 Q is wanted for each of `n_shifts` numbers x.
    const real* columns      # Q, (n, k)
    Py_ssize_t n
    Py_ssize_t k
    Py_ssize_t lag
    const real* shifts       # (n_shifts, 2): real and imaginary part
    Py_ssize_t n_shifts
    real* out                # (n_shifts, k, k, 2)
    real* scratch            # of all threads
    Py_ssize_t scratch_size  # of one


cdef struct Differences:
    # Sums of squares of x, (outer, n, inner) with strides in elements, and of its differences.
    const real* x
    Py_ssize_t outer
    Py_ssize_t n
    Py_ssize_t inner
    Py_ssize_t strides[3]
    Py_ssize_t lag
    double* out              # (2, outer, inner)
    double* scratch          # of 4 inner numbers


cdef struct Equations:
    # G x = [X'y, I], columns scaled to about unit length by powers of two, and their solution.
    Py_ssize_t p     # unknowns
    Py_ssize_t m     # responses
    Py_ssize_t r     # columns of the root
    Py_ssize_t s     # m + p, sides
    double* high     # (p + m, p + m)
    double* low
    double* factor   # (p + m) which the columns were multiplied by
    double* root     # (p, r)
    double* spread   # (p) lengths of its rows
    double* x        # (p, s)
    double* x_low
    double* left     # (p, s) of the sides
    double* left_low
    double* left_last
    double* turned   # (r, s)


cdef inline bint counts(const LabelBatch* batch, int64_t label) noexcept nogil:
    """Whether a label is a class.  Labels were checked, but other threads may write to them."""
    return 0 <= label < batch.K and not (batch.ignores and label == batch.ignore_index)


cdef inline double sample_weight(const LabelBatch* batch, Py_ssize_t i,
                                 int64_t label) noexcept nogil:
    """The weight of row i without that of its class, 0 where it is ignored."""
    if not counts(batch, label):
        return 0
    return batch.weights[i] if batch.weights != NULL else 1


cdef inline double label_weight(const LabelBatch* batch, Py_ssize_t i,
                                int64_t label) noexcept nogil:
    """The effective weight of row i: its own times its class's, 0 where it is ignored."""
    cdef double weight = sample_weight(batch, i, label)
    if weight != 0 and batch.class_weights != NULL:
        weight *= batch.class_weights[label]
    return weight


cdef struct HalfProduct:
    # C += A B in bfloat16, where A is (N, K) and B (K, M), or where `transposed` given as their
    # transposes.  Rows are zeros up to a multiple of 32 elements; the rooms take the pairs.
    Py_ssize_t N
    Py_ssize_t K
    Py_ssize_t M
    bint a_transposed
    bint b_transposed
    const real* a
    Py_ssize_t lda
    const real* b
    Py_ssize_t ldb
    real* a_room       # (N, lda / 2), or transposed (K / 2, lda)
    real* b_room       # (K / 2, ldc)
    real* c
    Py_ssize_t ldc
