"""Programs and calls at the edge of what the engines take, which once went wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import chain, data_for, dense, initial_storage, set_optimizer

from fastnn import backend as backends
from fastnn.program import Head, ProgramBuilder


def make(backend, program):
    with backends.use(backend):
        return backends.new_engine(program, initial_storage(program))


TRAINED_IN_PARTS = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one thread of the team after another
import numpy as np
from programs import chain, data_for, initial_storage, set_optimizer
from teams import team
from fastnn import backend

program = chain((37, 211, 211, 5))
inputs, targets = data_for(program, 6400)
found = []
for threads in (1, 2, 3):
    engine = backend.new_engine(program, initial_storage(program))
    set_optimizer(engine, "gradient_descent")
    engine.rows_at_once = 64
    losses = np.zeros(10)
    with team(threads):
        engine.train(inputs, targets, None, 640, np.full(10, 1e-2), 1, losses)
    found.append((losses.tobytes(), engine.storage.tobytes()))
print(len(set(found)))
"""


@pytest.mark.skipif(
    "compiled" not in backends.available() or not hasattr(os, "sched_setaffinity"),
    reason="a promise of the compiled engine; pins threads to a processor",
)
def test_a_team_takes_a_batch_in_parts_only_when_all_targets_are_ready():
    folder = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, *sys.path])}
    arguments = [sys.executable, "-c", TRAINED_IN_PARTS]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize("batch", [2, 5])
def test_weight_decay_leaves_a_matrix_alone_that_is_not_penalized(backend, dtype, batch):
    builder = ProgramBuilder(dtype)
    x = builder.input("x", 6)
    weight = builder.parameter("w", (6, 5), penalized=False)
    y = builder.add("dense", [x], "y", [weight])
    program = builder.build([y]).with_heads([Head(y, "mean_squared_error", 0.0)])
    engine = make(backend, program)
    set_optimizer(engine, "adam with decay")
    before = engine.storage.copy()
    inputs, targets = data_for(program, batch)
    engine.train(inputs, targets, None, batch, np.full(1, 0.1), 1, np.zeros(1))
    np.testing.assert_array_equal(engine.storage, before)


def test_the_buffer_before_an_identity_has_its_value(backend, dtype):
    program = chain((4, 6, 3), "identity", dtype=dtype)
    engine = make(backend, program)
    engine.loss_and_gradients(*data_for(program, 5))
    np.testing.assert_array_equal(engine.value("dense_1.Z"), engine.value("dense_1.A"))


def test_the_derivative_of_an_identity_is_1_whatever_its_alpha(backend, dtype):
    builder = ProgramBuilder(dtype)
    x = builder.input("x", 4)
    hidden = dense(builder, x, 6, "dense_1")
    hidden = builder.add("activation", [hidden], "A", function="identity", alpha=-1.0)
    y = dense(builder, hidden, 3, "dense_2")
    program = builder.build([y]).with_heads([Head(y, "mean_squared_error")])
    engine = make(backend, program)
    engine.loss_and_gradients(*data_for(program, 5))
    assert np.abs(engine.gradient("A")).min() > 0
    np.testing.assert_array_equal(engine.gradient("dense_1.Z"), engine.gradient("A"))


def test_backward_knows_no_penalty(backend, dtype):
    gradients = []
    for l2 in (0.0, 0.5):
        engine = make(backend, chain((4, 6, 3), dtype=dtype, l2=l2))
        inputs, _ = data_for(engine.program, 5)
        (y,) = engine.forward(inputs, training=True)
        engine.backward([np.ones_like(y)])
        gradients.append(engine.gradients.copy())
    np.testing.assert_array_equal(*gradients)


def test_a_label_too_large_for_int64_is_not_one_to_ignore(backend):
    builder = ProgramBuilder("float32")
    y = dense(builder, builder.input("x", 3), 4, "dense")
    head = Head(y, "cross_entropy", 1.0, {"ignore_index": -100})
    engine = make(backend, builder.build([y]).with_heads([head]))
    labels = np.array([0, 2**64 - 100, 3], np.uint64)
    with pytest.raises(ValueError, match="label"):
        engine.evaluate([np.zeros((3, 3), np.float32)], [(labels, None)])


def test_targets_are_as_many_as_inputs(backend):
    program = chain((3, 4), loss="mean_squared_error")
    engine = make(backend, program)
    inputs, [(target, _)] = data_for(program, 5)
    for call in (engine.loss_and_gradients, engine.evaluate):
        with pytest.raises(ValueError, match="rows"):
            call(inputs, [(target[:1], None)])
