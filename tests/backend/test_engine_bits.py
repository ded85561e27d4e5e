"""The compiled engine's bits: rows alone, threads, instruction sets, parts of a batch."""

from __future__ import annotations

import numpy as np
import pytest
from programs import chain, data_for, initial_storage, set_optimizer

from fastnn import backend as backends

pytestmark = pytest.mark.skipif(
    "compiled" not in backends.available(), reason="a promise of the compiled engine"
)


def compiled(program):
    with backends.use("compiled"):
        return backends.new_engine(program, initial_storage(program))


def test_rows_predicted_alone_and_in_a_batch_have_the_same_bits(dtype):
    program = chain((37, 129, 65, 10), "gelu", dtype=dtype)
    engine = compiled(program)
    (x,), _ = data_for(program, 131)
    (together,) = engine.forward([x])
    for rows in (slice(0, 1), slice(1, 4), slice(4, 60), slice(130, 131)):
        assert np.array_equal(engine.forward([np.ascontiguousarray(x[rows])])[0], together[rows])


@pytest.mark.parametrize("width", [2100, 5003])
def test_rows_too_wide_for_the_second_cache_have_the_same_bits_alone(dtype, width):
    program = chain((width, 48), "tanh", dtype=dtype)
    engine = compiled(program)
    (x,), _ = data_for(program, 200)
    (together,) = engine.forward([x])
    for row in (0, 57, 199):
        assert np.array_equal(engine.forward([x[row : row + 1].copy()])[0], together[row : row + 1])


@pytest.mark.parametrize("threads", [2, 3, 4, 8])
def test_training_has_the_same_bits_for_any_number_of_threads(dtype, threads, monkeypatch):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    program = chain((200, 301, 157, 10), "tanh", dtype=dtype, l2=1e-3, dropout=0.3)
    inputs, targets = data_for(program, 257)
    order = np.random.default_rng(0).permutation(np.tile(np.arange(257), 3))
    results = []
    before = backends.get_num_threads()
    try:
        for n in (1, threads):
            with threadpoolctl.threadpool_limits(n, user_api="openmp"):
                backends.set_num_threads(n)
                engine = compiled(program)
                set_optimizer(engine, "adam", clip_norm=0.5)
                losses = np.zeros(6)
                engine.train(inputs, targets, order, 129, np.full(6, 1e-2), 1, losses)
                results.append((losses, engine.storage, engine.forward(inputs)[0]))
    finally:
        backends.set_num_threads(before)
    for one, many in zip(*results, strict=True):
        assert np.array_equal(one, many)


def test_instruction_sets_with_fma_give_the_same_bits(dtype):
    from fastnn.backend import compiled

    isas = [isa for isa in ("v3", "v4") if isa in compiled.built() and compiled.runs_here(isa)]
    if len(isas) < 2:
        pytest.skip("needs the v3 and v4 builds on a processor that runs both")
    program = chain((30, 50, 41, 7), "gelu", dtype=dtype, l2=1e-3, dropout=0.3)
    inputs, targets = data_for(program, 64)
    results = []
    for isa in isas:
        engine = backends.load(isa, dtype).Engine(program, initial_storage(program))
        set_optimizer(engine, "adam", clip_norm=0.5)
        losses = np.zeros(8)
        order = np.tile(np.arange(64), 4)
        engine.train(inputs, targets, order, 32, np.full(8, 1e-2), 1, losses)
        results.append((losses, engine.storage.copy(), engine.forward(inputs)[0]))
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a, b)


def train_in_parts(program, rows_at_once, batch=50, **optimizer):
    """Storage and losses after three steps, the batch taken some rows at a time."""
    inputs, targets = data_for(program, 3 * batch)
    engine = compiled(program)
    set_optimizer(engine, "adam", **optimizer)
    engine.rows_at_once = rows_at_once or engine.rows_at_once
    losses = np.zeros(3)
    engine.train(inputs, targets, None, batch, np.full(3, 1e-2), 1, losses)
    return losses, engine.storage


@pytest.mark.parametrize("clip_norm", [0.0, 0.05])
@pytest.mark.parametrize("rows_at_once", [1, 32, 64, 96])
def test_a_batch_taken_in_parts_trains_to_the_same_bits(dtype, rows_at_once, clip_norm):
    program = chain((30, 50, 41, 7), "gelu", dtype=dtype, l2=1e-3, dropout=0.3)
    losses, storage = train_in_parts(program, rows_at_once, 117, clip_norm=clip_norm)
    expected_losses, expected = train_in_parts(program, None, 117, clip_norm=clip_norm)
    assert np.array_equal(losses, expected_losses)
    assert np.array_equal(storage, expected)


def test_a_batch_of_wide_outputs_is_taken_in_parts(dtype):
    program = chain((5, 50_000), dtype=dtype)
    engine = compiled(program)
    assert 0 < engine.rows_at_once * 2 * 50_000 * np.dtype(dtype).itemsize <= 40 << 20


@pytest.mark.parametrize("batch", [1, 2, 4, 5])
def test_few_samples_train_to_the_same_bits_with_and_without_stored_gradients(dtype, batch):
    program = chain((30, 50, 41, 7), "tanh", dtype=dtype)
    losses, storage = train_in_parts(program, None, batch)
    expected_losses, expected = train_in_parts(program, None, batch, clip_norm=1e30)
    assert np.array_equal(losses, expected_losses)
    assert np.array_equal(storage, expected)
