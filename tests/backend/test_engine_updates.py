"""A step in two calls, gradients then update, and what an engine keeps of it."""

import numpy as np
import pytest
from programs import OPTIMIZERS, data_for, initial_storage, random_graph, set_optimizer

from fastnn import backend as backends

SEEDS = range(6)


def engine_for(program, optimizer=None, clip_norm=0.0, **options):
    engine = backends.new_engine(program, initial_storage(program), **options)
    return engine, set_optimizer(engine, optimizer, clip_norm) if optimizer else []


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clip_norm", [0.0, 0.1])
def test_gradients_then_update_are_a_step_to_the_last_bit(backend, dtype, optimizer, clip_norm):
    for seed in SEEDS:
        program = random_graph(seed, dtype)
        inputs, targets = data_for(program, 7)
        fused, fused_slots = engine_for(program, optimizer, clip_norm)
        apart, slots = engine_for(program, optimizer, clip_norm)
        for step in (1, 2):
            losses = np.empty(1)
            fused.train(inputs, targets, None, 7, np.array([0.01]), step, losses)
            assert apart.loss_and_gradients(inputs, targets, True, step) == losses[0]
            apart.update(0.01, step)
        for one, other in zip([fused.storage, *fused_slots], [apart.storage, *slots], strict=True):
            np.testing.assert_array_equal(one, other)


def test_update_takes_the_gradients_that_are_there(backend, dtype):
    program = random_graph(1, dtype)
    inputs, targets = data_for(program, 5)
    engine, _ = engine_for(program, "gradient_descent")
    engine.loss_and_gradients(inputs, targets)
    before = engine.storage.copy()
    engine.gradients[...] = 0.5 * (engine.gradients != 0)
    moved = engine.gradients != 0
    engine.update(0.25, 1)
    np.testing.assert_array_equal(engine.storage[~moved], before[~moved])
    np.testing.assert_allclose(engine.storage[moved], before[moved] - 0.125, rtol=1e-5, atol=1e-6)


def test_update_needs_an_optimizer(backend, dtype):
    engine, _ = engine_for(random_graph(0, dtype))
    with pytest.raises(RuntimeError, match="set_optimizer has not been called"):
        engine.update(0.1, 1)


def test_engine_that_keeps_all_has_the_gradient_of_every_buffer(backend):
    for seed in SEEDS:
        program = random_graph(seed, "float64")
        inputs, targets = data_for(program, 4)
        engine, _ = engine_for(program, keep_all=True)
        cost = engine.loss_and_gradients(inputs, targets)
        for position, i in enumerate(program.inputs):
            found = engine.gradient(program.buffers[i].name).copy()
            direction = np.random.default_rng(seed).normal(size=found.shape)
            moved = [
                [x + sign * 1e-6 * direction if p == position else x for p, x in enumerate(inputs)]
                for sign in (1, -1)
            ]
            above, below = (engine.loss_and_gradients(x, targets) for x in moved)
            expected = (above - below) / 2e-6
            assert np.sum(found * direction) == pytest.approx(expected, rel=1e-4, abs=1e-7)
            engine.loss_and_gradients(inputs, targets)
        assert cost == engine.loss_and_gradients(inputs, targets)


def test_engine_that_keeps_all_has_the_same_gradients(backend, dtype):
    for seed in SEEDS:
        program = random_graph(seed, dtype)
        inputs, targets = data_for(program, 7)
        gradients = []
        for keep_all in (False, True):
            engine, _ = engine_for(program, keep_all=keep_all)
            engine.loss_and_gradients(inputs, targets)
            gradients.append(engine.gradients.copy())
        np.testing.assert_array_equal(*gradients)


def test_losses_of_samples_add_up_to_those_of_the_heads(backend, dtype):
    for seed in SEEDS:
        program = random_graph(seed, dtype)
        inputs, targets = data_for(program, 9)
        engine, _ = engine_for(program)
        engine.loss_and_gradients(inputs, targets)
        rows = engine.sample_losses()
        _, losses = engine.evaluate(inputs, targets)
        assert rows.shape == (2, 9)
        np.testing.assert_allclose(rows.sum(axis=1), losses, rtol=1e-5)


def test_engines_agree_on_the_losses_of_samples(dtype):
    if "compiled" not in backends.available():
        pytest.skip("nothing compiled here")
    for seed in SEEDS:
        program = random_graph(seed, dtype)
        inputs, targets = data_for(program, 9)
        weights = np.random.default_rng(seed).random(9).astype(dtype)
        targets = [(values, weights) for values, _ in targets]
        rows = []
        for name in ("compiled", "reference"):
            with backends.use(name):
                engine, _ = engine_for(program)
            engine.loss_and_gradients(inputs, targets)
            rows.append(engine.sample_losses())
        np.testing.assert_allclose(*rows, rtol=1e-4 if dtype == "float32" else 1e-10, atol=1e-7)
