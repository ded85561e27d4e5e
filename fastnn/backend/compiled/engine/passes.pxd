# What calls.pyx calls in core.pyx: direct calls between two units of one shared object.
#
# Each of these functions is `cdef public` in the file named above it.  The C compiler sees one
# unit at a time, so that a test compares the signatures (tests/project/test_compiled_sources.py).

from fastnn.backend.compiled.engine.structures cimport (
    Batch, Plan, Run, Source, Span, Stream, Workspace
)
from fastnn.backend.compiled.rows.updates cimport Update
from fastnn.backend.compiled.simd.simd cimport real

# engine/gather.pxi
cdef extern bint rows_are_finite(const Source* source, real* scratch) noexcept nogil
cdef extern void prepare_targets(const Plan* plan, const Batch* batch, int part,
                                 int parts) noexcept nogil

# engine/halves.pxi
cdef extern void make_halves(const Plan* plan) noexcept nogil

# engine/tables.pxi
cdef extern void make_edges(const Plan* plan) noexcept nogil

# engine/heads.pxi
cdef extern bint norms_read_targets(const Plan* plan, const Batch* batch) noexcept nogil
cdef extern void set_norms(const Plan* plan, Batch* batch) noexcept nogil
cdef extern double batch_cost(const Plan* plan, const double* row_losses, Py_ssize_t row_stride,
                              Py_ssize_t n_rows) noexcept nogil
cdef extern double summed_cost(const Plan* plan, const double* row_losses, Py_ssize_t row_stride,
                               Py_ssize_t n_rows) noexcept nogil

# engine/limits.pxi
cdef extern bint step_is_moderate(const Plan* plan, const Update* recipe, double learning_rate,
                                  Py_ssize_t n_rows) noexcept nogil

# engine/phases.pxi
cdef extern Py_ssize_t rows_per_block(const Plan* plan) noexcept nogil
cdef extern double ordered_sum(const double* values, Py_ssize_t n) noexcept nogil

# engine/teams.pxi
cdef extern void finish_gradients(const Plan* plan, Py_ssize_t n_rows, bint stored) noexcept nogil
cdef extern void update_alone(const Plan* plan, const Update* recipe, double learning_rate,
                              Py_ssize_t step) noexcept nogil
cdef extern void train_team(const Plan* plan, Run* run, const Update* recipe,
                            int parts) noexcept nogil
cdef extern void gradient_team(const Plan* plan, int seeds, Batch* batch, double* row_losses,
                               int parts) noexcept nogil
cdef extern double summed_penalty(const Plan* plan) noexcept nogil
cdef extern double penalty(const Plan* plan) noexcept nogil
cdef extern void stream_team(const Plan* plan, Stream* stream, int parts) noexcept nogil
cdef extern void copy_outputs(const Plan* plan, const Workspace* work, Py_ssize_t first,
                              Py_ssize_t last, real** outputs, Py_ssize_t to) noexcept nogil

# engine/spans.pxi
cdef extern void span_team(const Plan* plan, const Span* span, int parts) noexcept nogil
