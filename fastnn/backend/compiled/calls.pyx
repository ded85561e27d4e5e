"""The calls of the compiled core for one dtype: the engines and functions that Python holds.

Nothing here depends on the instruction set.  This unit is therefore compiled once per dtype, and
linked with every core.pyx of that dtype into one shared object: calls from here to there
(engine/passes.pxd, kernels/entries.pxd) are direct.  The parts, in this order:

    calls/threads.pxi         the limit of threads
    calls/functional.pxi      stateless operations on arrays, behind fastnn.functional
    calls/direct.pxi          the quick entry for arrays that need no conversion
    calls/losses.pxi          losses of a batch with their gradients
    calls/updates.pxi         optimizer steps over flat arrays
    calls/dense.pxi           a dense layer on arrays with rows of any length
    calls/statistics.pxi      the Durbin-Watson statistic and its law, behind fastnn.stats
    calls/least_squares.pxi   normal equations in twice the precision, behind fastnn.stats
    engine/lowering.pxi       a Program read into the structures of structures.pxd
    engine/arguments.pxi      the arrays callers give, as the engine reads them
    engine/reader.pxi         the arguments of a call
    engine/calling.pxi        passes cut at calls of Python: custom losses and layers
    engine/guard.pxi          the lock of a network
    engine/engine.pxi         the Engine class
    engine/predictor.pxi      predictions of a frozen program, from several threads at once
"""

cimport numpy as cnp
from libc.math cimport INFINITY, NAN, fabs, isfinite
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memset

from fastnn.backend.compiled.engine.passes cimport (
    batch_cost, copy_outputs, finish_gradients, gradient_team, make_edges, make_halves,
    norms_read_targets, ordered_sum, penalty, prepare_targets, rows_are_finite, rows_per_block,
    set_norms, span_team, step_is_moderate, stream_team, summed_cost, summed_penalty,
    train_team, update_alone,
)
from fastnn.backend.compiled.engine.structures cimport *
from fastnn.backend.compiled.kernels.entries cimport (
    add_gram_rows, clip_array, compute, correct_equations, dense_backward_batch,
    dense_forward_batch, drop_rows, element_losses, element_weights, equation_size,
    is_debug_build, label_losses, layer_norm_rows, log_softmax_backward_rows, multiply_halves,
    resolvent_team, set_backward_rooms, set_forward_rooms, set_scratch, signed_logsumexp_rows,
    softmax_backward_rows, sum_differences, target_losses, update_arrays, vector_length,
)
from fastnn.backend.compiled.kernels.structures cimport *
from fastnn.backend.compiled.math.activations cimport IDENTITY, from_output
from fastnn.backend.compiled.rows.random cimport dropout_threshold
from fastnn.backend.compiled.rows.rows cimport SUMMED_ROWS
from fastnn.backend.compiled.rows.updates cimport State, Update, set_step, set_steps
from fastnn.backend.compiled.simd.simd cimport real
from fastnn.backend.compiled.simd.threads cimport (
    END_IDLE_THREADS, IN_PARALLEL, PLAIN_FLOATS, TEAM_LIMIT, enter_float_mode, leave_float_mode
)

import numpy as _np

from fastnn._shared.sparse import SparseRows as _SparseRows
from fastnn.facts import activations as _activations
from fastnn.facts import losses as _losses
from fastnn.facts import precisions as _precisions

cnp.import_array()

include "generated/activation_codes.pxi"  # _activation_codes
include "generated/loss_codes.pxi"        # _loss_codes
include "generated/operation_codes.pxi"   # _operation_codes

DEBUG = bool(is_debug_build())
VECTOR_LENGTH = vector_length()

include "calls/threads.pxi"
include "calls/functional.pxi"
include "calls/direct.pxi"
include "calls/losses.pxi"
include "calls/updates.pxi"
include "calls/dense.pxi"
include "calls/statistics.pxi"
include "calls/least_squares.pxi"
include "engine/lowering.pxi"
include "engine/arguments.pxi"
include "engine/reader.pxi"
include "engine/calling.pxi"
include "engine/guard.pxi"
include "engine/engine.pxi"
include "engine/predictor.pxi"
