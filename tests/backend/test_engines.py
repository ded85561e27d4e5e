"""Both engines execute the same programs: against central differences, and each other."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from programs import (
    OPERATIONS,
    OPTIMIZERS,
    chain,
    data_for,
    dense,
    initial_storage,
    random_graph,
    set_optimizer,
    single_operation,
)

from fastnn import backend as backends
from fastnn import program as program_module
from fastnn.program import LOSSES, Head, ProgramBuilder

IDS = [attributes.get("function", kind) for kind, attributes in OPERATIONS]
TOLERANCE = {"float32": 2e-4, "float64": 1e-11}


def make(backend, program, seed=0):
    with backends.use(backend):
        return backends.new_engine(program, initial_storage(program, seed))


def compiled_and_reference(program):
    if "compiled" not in backends.available():
        pytest.skip("nothing compiled here")
    return make("compiled", program), make("reference", program)


def relative_difference(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    return np.max(np.abs(a - b)) / (1 + np.max(np.abs(b))) if a.size else 0.0


def central_differences(engine, inputs, targets, n_checked=40, h=1e-6, **options):
    """Relative error of some gradients against central differences."""
    program = engine.program
    engine.loss_and_gradients(inputs, targets, **options)
    gradient = program.flatten(engine.gradients)
    trainable = np.concatenate([np.full(p.size, p.trainable) for p in program.parameters])
    flat = program.flatten(engine.storage)
    rng = np.random.default_rng(0)
    worst = 0.0
    for i in rng.permutation(flat.size)[:n_checked]:
        costs = []
        for sign in (1, -1):
            moved = flat.copy()
            moved[i] += sign * h
            program.unflatten(moved, engine.storage)
            costs.append(engine.loss_and_gradients(inputs, targets, **options))
        program.unflatten(flat, engine.storage)
        expected = (costs[0] - costs[1]) / (2 * h) if trainable[i] else 0.0
        worst = max(worst, abs(gradient[i] - expected) / (1 + abs(expected)))
    return worst


@pytest.mark.parametrize(("kind", "attributes"), OPERATIONS, ids=IDS)
def test_gradient_of_each_operation_equals_central_differences(backend, kind, attributes):
    program = single_operation(kind, "float64", **attributes)
    engine = make(backend, program)
    inputs, targets = data_for(program, 6)
    assert central_differences(engine, inputs, targets, training=True, step=3) < 1e-7


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_of_each_loss_equals_central_differences(backend, loss):
    program = chain((4, 9, 3), loss=loss, dtype="float64", l2=0.1)
    inputs, targets = data_for(program, 11)
    assert central_differences(make(backend, program), inputs, targets) < 1e-7


@pytest.mark.parametrize("seed", range(12))
def test_gradient_of_random_graphs_equals_central_differences(backend, seed):
    program = random_graph(seed, "float64")
    inputs, targets = data_for(program, 5, seed)
    assert central_differences(make(backend, program), inputs, targets) < 2e-6


@pytest.mark.parametrize(("kind", "attributes"), OPERATIONS, ids=IDS)
def test_engines_agree_on_each_operation(dtype, kind, attributes):
    program = single_operation(kind, dtype, **attributes)
    compiled, reference = compiled_and_reference(program)
    inputs, targets = data_for(program, 33)
    costs = [e.loss_and_gradients(inputs, targets, True, 5) for e in (compiled, reference)]
    assert costs[0] == pytest.approx(costs[1], rel=TOLERANCE[dtype])
    for buffer in program.buffers:
        for read in ("value", "gradient"):
            a, b = (getattr(e, read)(buffer.name) for e in (compiled, reference))
            if read == "value" or buffer.name not in ("p", "q"):
                assert relative_difference(a, b) < TOLERANCE[dtype], (read, buffer.name)
    assert relative_difference(compiled.gradients, reference.gradients) < TOLERANCE[dtype]


@pytest.mark.parametrize("seed", range(40))
def test_engines_agree_on_random_graphs(dtype, seed):
    program = random_graph(seed, dtype)
    compiled, reference = compiled_and_reference(program)
    inputs, targets = data_for(program, 17 + seed, seed)
    for a, b in zip(compiled.forward(inputs), reference.forward(inputs), strict=True):
        assert relative_difference(a, b) < TOLERANCE[dtype]
    for e in (compiled, reference):
        e.loss_and_gradients(inputs, targets)
    assert relative_difference(compiled.gradients, reference.gradients) < TOLERANCE[dtype]


@pytest.mark.parametrize("clip_norm", [0.0, 0.05])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_engines_agree_after_training(dtype, name, clip_norm):
    program = chain((6, 17, 35, 4), "swish", dtype=dtype, l2=0.01, dropout=0.2)
    inputs, targets = data_for(program, 50)
    order = np.random.default_rng(3).permutation(np.repeat(np.arange(50), 2))
    losses = []
    engines = compiled_and_reference(program)
    for engine in engines:
        set_optimizer(engine, name, clip_norm)
        losses.append(np.zeros(10))
        done = engine.train(inputs, targets, order, 11, np.full(10, 1e-2), 1, losses[-1])
        assert done == 10
    scale = 20 if dtype == "float32" else 1e3
    assert relative_difference(*losses) < scale * TOLERANCE[dtype]
    assert relative_difference(*[e.storage for e in engines]) < scale * TOLERANCE[dtype]


def test_backward_from_output_gradients(backend, dtype):
    program = chain((5, 8, 3), dtype=dtype)
    engine = make(backend, program)
    inputs, _ = data_for(program, 7)
    (y,) = engine.forward(inputs, training=True)
    dy = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
    (dx,) = engine.backward([dy])
    w1, b1, w2, _ = (p.view(engine.storage).astype(float) for p in program.parameters)
    a = np.tanh(inputs[0].astype(float) @ w1 + b1)
    dz = (dy @ w2.T) * (1 - a * a)
    assert relative_difference(dx, dz @ w1.T) < 1e-5
    gradients = [p.view(engine.gradients) for p in program.parameters]
    for found, expected in zip(
        gradients, (inputs[0].T @ dz, dz.sum(0), a.T @ dy, dy.sum(0)), strict=True
    ):
        assert relative_difference(found, expected) < 1e-5


def test_shared_weights_receive_the_sum_of_both_uses(backend):
    builder = ProgramBuilder("float64")
    x1, x2 = builder.input("x1", 3), builder.input("x2", 3)
    w = builder.parameter("w", (3, 2))
    z1, z2 = (builder.add("dense", [x], f"z{i}", [w]) for i, x in enumerate((x1, x2)))
    out = builder.add("subtract", [z1, z2], "out")
    program = builder.build([out]).with_heads(
        [Head(out, "mean_squared_error", 1.0, {"reduction": "half_sum"})]
    )
    engine = make(backend, program)
    inputs, targets = data_for(program, 9)
    engine.loss_and_gradients(inputs, targets)
    weight = program.parameters[0].view(engine.storage)
    dz = (inputs[0] - inputs[1]) @ weight - targets[0][0]
    expected = inputs[0].T @ dz - inputs[1].T @ dz
    assert np.allclose(program.parameters[0].view(engine.gradients), expected, rtol=1e-13)


def test_frozen_parameters_do_not_move(backend, dtype):
    builder = ProgramBuilder(dtype)
    x = builder.input("x", 3)
    for i, trainable in enumerate((True, False, True)):
        x = dense(builder, x, 4, f"dense_{i}", trainable)
    program = builder.build([x]).with_heads([Head(x, "huber")])
    engine = make(backend, program)
    before = engine.storage.copy()
    set_optimizer(engine, "adam with decay")
    inputs, targets = data_for(program, 9, 1)
    engine.train(inputs, targets, None, 9, np.full(1, 0.1), 1, np.zeros(1))
    for p in program.parameters:
        assert np.array_equal(p.view(before), p.view(engine.storage)) == (not p.trainable)


def test_training_stops_before_the_update_that_a_nan_loss_asks_for(backend, dtype):
    program = chain((3, 4, 2), dtype=dtype)
    engine = make(backend, program)
    set_optimizer(engine, "adam")
    inputs, targets = data_for(program, 12)
    inputs[0][9, 1] = np.nan
    losses = np.zeros(3)
    engine.train(inputs, targets, None, 4, np.full(2, 0.1), 1, losses[:2].copy())
    after_two = engine.storage.copy()
    engine = make(backend, program)
    set_optimizer(engine, "adam")
    assert engine.train(inputs, targets, None, 4, np.full(3, 0.1), 1, losses) == 2
    assert np.isnan(losses[2])
    assert np.array_equal(engine.storage, after_two)


def test_padding_of_the_parameters_stays_zero(backend, dtype):
    program = chain((3, 5, 21, 2), "sigmoid", dtype=dtype, l2=0.1)
    engine = make(backend, program)
    set_optimizer(engine, "adam with decay")
    inputs, targets = data_for(program, 8)
    engine.train(inputs, targets, np.tile(np.arange(8), 5), 8, np.full(5, 0.1), 1, np.zeros(5))
    padding = engine.storage.copy()
    for p in program.parameters:
        p.view(padding)[...] = 0
    assert not padding.any()


def test_writes_to_live_parameters_are_seen_by_every_call(backend, dtype):
    program = chain((4, 6, 3), dtype=dtype)
    engine = make(backend, program)
    inputs, targets = data_for(program, 5)
    engine.loss_and_gradients(inputs, targets)
    program.unflatten(program.flatten(initial_storage(program, 9)), engine.storage)
    fresh = make(backend, program, 9)
    for e in (engine, fresh):
        e.loss_and_gradients(inputs, targets)
    assert np.array_equal(engine.gradients, fresh.gradients)


def test_ignored_and_weighted_samples_count_as_their_weight(backend, dtype):
    program = chain((4, 6, 3), dtype=dtype).with_heads(
        [Head(3, "cross_entropy", 1.0, {"ignore_index": -1, "class_weights": (1.0, 2.0, 0.5)})]
    )
    assert program.buffers[3].name == "dense_2.Z"
    engine = make(backend, program)
    inputs, [(labels, _)] = data_for(program, 10)
    labels[3] = -1
    weights = np.linspace(0.5, 1.5, 10).astype(dtype)
    cost, _ = engine.evaluate(inputs, [(labels, weights)])
    z = engine.forward(inputs)[0].astype(float)
    losses = np.log(np.exp(z).sum(1)) - z[np.arange(10), labels]
    c = np.where(labels < 0, 0, weights * np.array([1, 2, 0.5])[labels])
    assert cost == pytest.approx((c * losses).sum() / c.sum(), rel=1e-6)
    assert engine.loss_and_gradients(inputs, [(labels, weights)]) == pytest.approx(cost, rel=1e-6)


def test_nothing_observed_gives_zero_loss_and_gradient(backend, dtype):
    program = chain((4, 6, 3), dtype=dtype)
    program = program.with_heads(
        [Head(program.outputs[0], "cross_entropy", 1.0, {"ignore_index": -1})]
    )
    engine = make(backend, program)
    inputs, _ = data_for(program, 4)
    assert engine.loss_and_gradients(inputs, [(np.full(4, -1), None)]) == 0
    assert not engine.gradients.any()


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_labels_out_of_range_raise(backend, labels):
    program = chain((4, 6, 3))
    engine = make(backend, program)
    inputs, _ = data_for(program, 2)
    with pytest.raises(ValueError, match="label"):
        engine.loss_and_gradients(inputs, [(np.array(labels), None)])


def test_a_view_of_a_buffer_outlives_the_engine(backend):
    program = chain((4, 6, 3))
    engine = make(backend, program)
    inputs, targets = data_for(program, 5)
    engine.loss_and_gradients(inputs, targets)
    view = engine.value("dense_1.A")
    copy = view.copy()
    more, more_targets = data_for(program, 500)
    engine.loss_and_gradients(more, more_targets)
    del engine
    assert np.array_equal(view, copy)


def test_a_sample_of_weight_zero_has_no_influence(backend, dtype):
    program = chain((4, 6, 3), "relu", dtype=dtype)
    engine = make(backend, program)
    inputs, [(labels, _)] = data_for(program, 6)
    weights = np.array([1, 1, 0, 1, 1, 1], dtype)
    keep = weights > 0
    expected = engine.loss_and_gradients([inputs[0][keep]], [(labels[keep], None)])
    gradients = engine.gradients.copy()
    inputs[0][2] = np.inf  # its logits are inf or nan
    assert engine.loss_and_gradients(inputs, [(labels, weights)]) == pytest.approx(expected)
    assert np.isnan(gradients).sum() == 0


def test_dropout_beside_another_use_of_its_input(backend):
    builder = ProgramBuilder("float64")
    x = builder.input("x", 40)
    hidden = dense(builder, x, 40, "dense_1")
    dropped = builder.add("dropout", [hidden], "dropout_1.A", rate=0.5, key=5)
    out = dense(builder, builder.add("add", [hidden, dropped], "sum.A"), 2, "dense_2")
    program = builder.build([out]).with_heads([Head(out, "mean_squared_error")])
    inputs, targets = data_for(program, 5)
    engine = make(backend, program)
    assert central_differences(engine, inputs, targets, training=True, step=2) < 1e-7


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("allocations", range(0, 8))
def test_memory_that_is_not_there_leaves_the_engine_as_it_was(monkeypatch, training, allocations):
    if "compiled" not in backends.available():
        pytest.skip("the reference engine allocates as it goes")
    program = chain((3, 20, 2))
    engine = make("compiled", program)
    inputs, targets = data_for(program, 4)
    many, _ = data_for(program, 5000)
    before = engine.loss_and_gradients(inputs, targets), engine.forward(inputs)[0]
    allocate, left = program_module.aligned_zeros, [allocations]

    def fail_later(size, dtype):
        left[0] -= 1
        if left[0] < 0:
            raise MemoryError
        return allocate(size, dtype)

    monkeypatch.setattr(program_module, "aligned_zeros", fail_later)
    with contextlib.suppress(MemoryError):
        engine.forward(many, training=training)
    monkeypatch.undo()
    assert engine.loss_and_gradients(inputs, targets) == before[0]
    assert np.array_equal(engine.forward(inputs)[0], before[1])


def test_two_threads_on_one_engine_raise_or_wait_but_never_mix():
    program = chain((64, 256, 10))
    inputs, _ = data_for(program, 2000)
    if "compiled" not in backends.available():
        pytest.skip("nothing compiled here")
    engine = make("compiled", program)
    expected = engine.forward(inputs)[0]
    refused = []

    def work(_):
        try:
            return engine.forward(inputs, training=True)[0]
        except RuntimeError as error:
            refused.append(str(error))
            return expected

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(work, range(40)):
            assert np.array_equal(found, expected)
    assert all("another thread" in message for message in refused)


@pytest.mark.parametrize("function", ["gelu", "swish", "tanh", "softplus"])
def test_backward_twice_gives_the_same(backend, function):
    program = chain((3, 4, 2), function, dtype="float64")
    engine = make(backend, program)
    inputs, _ = data_for(program, 5)
    engine.forward(inputs, training=True)
    dy = np.ones((5, 2))
    first = engine.backward([dy])[0], engine.gradients.copy()
    second = engine.backward([dy])[0], engine.gradients
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("alpha", [-1.5, -0.5, 0.0, 0.3, 2.0])
@pytest.mark.parametrize("function", ["leaky_relu", "elu", "swish"])
def test_gradients_for_any_alpha(backend, function, alpha):
    program = single_operation("activation", "float64", function=function, alpha=alpha)
    inputs, targets = data_for(program, 6)
    assert central_differences(make(backend, program), inputs, targets) < 1e-7


def test_an_overflow_leaves_nothing_in_the_padding(backend):
    program = chain((3, 5, 5, 2), "relu", loss="mean_squared_error")
    engine = make(backend, program)
    set_optimizer(engine, "gradient_descent")
    inputs, targets = data_for(program, 4)
    with np.errstate(all="ignore"):
        for _ in range(6):
            engine.train(inputs, targets, None, 4, np.full(1, 1e12), 1, np.zeros(1))
    padding = engine.storage.copy()
    for p in program.parameters:
        p.view(padding)[...] = 0
    assert np.array_equal(padding, np.zeros_like(padding))


FEWER_THREADS = """
import numpy as np
from fastnn import backend
from programs import chain, data_for, initial_storage
backend.set_num_threads(2)
program = chain((300, 400, 300, 3), "tanh", dropout=0.5)
inputs, targets = data_for(program, 101)
results = []
for name in ("compiled", "reference"):
    with backend.use(name):
        engine = backend.new_engine(program, initial_storage(program, scale=0.05))
    y = engine.forward(inputs, training=True, step=3)[0]
    results.append((y, engine.backward([np.ones_like(y)])[0]))
for a, b in zip(*results):
    assert np.max(np.abs(a - b)) < 1e-3, np.max(np.abs(a - b))
"""


def test_openmp_may_give_fewer_threads_than_asked_for():
    if "compiled" not in backends.available():
        pytest.skip("nothing compiled here")
    environment = dict(os.environ, OMP_THREAD_LIMIT="1", PYTHONPATH=str(Path(__file__).parents[1]))
    environment["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    subprocess.run([sys.executable, "-c", FEWER_THREADS], env=environment, check=True)


def test_a_step_beyond_32_bits_wraps_in_the_dropout_key(backend):
    program = chain((4, 40, 3), dropout=0.5)
    engine = make(backend, program)
    inputs, _ = data_for(program, 5)
    far, near = (engine.forward(inputs, training=True, step=step)[0] for step in (2**32 + 3, 3))
    assert np.array_equal(far, near)
