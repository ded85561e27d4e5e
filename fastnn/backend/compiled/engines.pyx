"""The engines of the compiled core for one dtype: what Python holds and calls.

Nothing here depends on the instruction set.  This unit is therefore compiled once per dtype, and
linked with every core.pyx of that dtype into one shared object: calls from here to there
(engine/passes.pxd) are direct.  The parts, all in engine/ and in this order:

    lowering.pxi       a Program read into the structures of structures.pxd
    arguments.pxi      the arrays callers give, as the engine reads them
    reader.pxi         the arguments of a call
    calling.pxi        passes cut at calls of Python: custom losses and layers
    guard.pxi          the lock of a network
    engine.pxi         the Engine class
    predictor.pxi      predictions of a frozen program, from several threads at once
"""

cimport numpy as cnp
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from fastnn.backend.compiled.engine.passes cimport (
    enter_plain_floats, leave_floats,
    batch_cost, copy_outputs, gradient_team, norms_read_targets, ordered_sum, penalty,
    prepare_targets, prepare_update, rows_are_finite, rows_per_block, set_norms, span_team,
    stream_team, summed_penalty, team_for, train_team, update_alone,
)
from fastnn.backend.compiled.engine.structures cimport *
from fastnn.backend.compiled.math.activations cimport IDENTITY, from_output
from fastnn.backend.compiled.rows.random cimport dropout_threshold
from fastnn.backend.compiled.rows.updates cimport Update, set_steps
from fastnn.backend.compiled.simd.simd cimport real

cnp.import_array()

include "engine/lowering.pxi"
include "engine/arguments.pxi"
include "engine/reader.pxi"
include "engine/calling.pxi"
include "engine/guard.pxi"
include "engine/engine.pxi"
include "engine/predictor.pxi"
