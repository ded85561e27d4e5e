# What calls.pyx calls in core.pyx of the stateless kernels; see engine/passes.pxd.

from libc.stdint cimport uint32_t

from fastnn.backend.compiled.kernels.structures cimport (
    DenseCall, Differences, Equations, HalfProduct, LabelBatch, LossOutputs, Resolvent, TargetBatch
)
from fastnn.backend.compiled.rows.updates cimport State, Update
from fastnn.backend.compiled.simd.simd cimport real

# core.pyx
cdef extern bint is_debug_build() noexcept nogil
cdef extern int vector_length() noexcept nogil

# kernels/functional.pxi
cdef extern void compute(int code, real alpha, Py_ssize_t size, Py_ssize_t K, const real* x,
                         real* out) noexcept nogil
cdef extern void signed_logsumexp_rows(Py_ssize_t n, Py_ssize_t K, const real* z, const real* b,
                                       real* out, real* sign) noexcept nogil
cdef extern void softmax_backward_rows(Py_ssize_t n, Py_ssize_t K, const real* p, const real* dp,
                                       real* out) noexcept nogil
cdef extern void log_softmax_backward_rows(Py_ssize_t n, Py_ssize_t K, const real* logp,
                                           const real* dlogp, real* out) noexcept nogil
cdef extern void layer_norm_rows(Py_ssize_t n, Py_ssize_t K, const real* x, const real* scale,
                                 const real* shift, real epsilon, real* out) noexcept nogil
cdef extern void drop_rows(Py_ssize_t n, Py_ssize_t K, double rate, uint32_t key, uint32_t step,
                           const real* x, real* out) noexcept nogil

# kernels/losses.pxi
cdef extern void label_losses(const LabelBatch* batch, LossOutputs* out) noexcept nogil
cdef extern void target_losses(const TargetBatch* batch, LossOutputs* out) noexcept nogil
cdef extern void element_losses(const TargetBatch* batch, LossOutputs* out) noexcept nogil
cdef extern double element_weights(const TargetBatch* batch) noexcept nogil

# kernels/updates.pxi
cdef extern void update_arrays(const Update* update, Py_ssize_t n, real l2, const real* gradient,
                               const State* state) noexcept nogil
cdef extern double clip_array(Py_ssize_t n, real* g, double max_norm) noexcept nogil

# kernels/dense.pxi
cdef extern void set_forward_rooms(DenseCall* d) noexcept nogil
cdef extern void set_backward_rooms(DenseCall* d) noexcept nogil
cdef extern void dense_forward_batch(const DenseCall* d) noexcept nogil
cdef extern void dense_backward_batch(const DenseCall* d) noexcept nogil

# kernels/halves.pxi
cdef extern void multiply_halves(const HalfProduct* p) noexcept nogil

# kernels/statistics.pxi
cdef extern void sum_differences(const Differences* work) noexcept nogil
cdef extern void set_scratch(Resolvent* work) noexcept nogil
cdef extern void resolvent_team(const Resolvent* work, int parts) noexcept nogil

# kernels/least_squares.pxi
cdef extern void add_gram_rows(Py_ssize_t n, Py_ssize_t q, const double* rows, double* high,
                               double* low, double* last) noexcept nogil
cdef extern Py_ssize_t equation_size(Py_ssize_t p, Py_ssize_t m, Py_ssize_t r) noexcept nogil
cdef extern bint correct_equations(Equations* e, double* memory, const double* high,
                                   const double* low, const double* root, double* coefficients,
                                   double* covariance, double* squares) noexcept nogil
