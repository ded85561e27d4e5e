"""Steps that may overflow are taken with care: to the same bits, and no others are."""

import numpy as np
import pytest
from programs import (
    OPERATIONS,
    OPTIMIZERS,
    chain,
    data_for,
    initial_storage,
    random_graph,
    set_optimizer,
    single_operation,
)

import fastnn as fnn
from fastnn import backend as backends
from fastnn.backend import finite
from fastnn.facts.losses import LOSSES


@pytest.fixture
def careful(monkeypatch):
    """The calls of `update_carefully`, which are still made."""
    calls = []
    original = finite.update_carefully

    def counted(*arguments):
        calls.append(arguments)
        original(*arguments)

    monkeypatch.setattr(finite, "update_carefully", counted)
    return calls


@pytest.fixture
def compiled():
    if "compiled" not in backends.available():
        pytest.skip("the reference engine takes every step with care")
    with backends.use("compiled"):
        yield


def trained(program, inputs, targets, optimizer="adam", clip_norm=0.0, **settings):
    """Parameters and slots after a few steps."""
    engine = backends.new_engine(program, initial_storage(program, scale=0.1))
    for name, value in settings.items():
        setattr(engine, name, value)
    slots = set_optimizer(engine, optimizer, clip_norm)
    losses = np.empty(3)
    engine.train(inputs, targets, None, len(inputs[0]) // 3 + 1, np.full(3, 1e-3), 1, losses)
    return [engine.storage, *slots, losses]


@pytest.mark.parametrize(("kind", "attributes"), OPERATIONS)
def test_no_ordinary_step_of_an_operation_is_delayed(compiled, careful, dtype, kind, attributes):
    program = single_operation(kind, dtype, **attributes)
    trained(program, *data_for(program, 50))
    assert not careful


@pytest.mark.parametrize("loss", LOSSES)
def test_no_ordinary_step_of_a_loss_is_delayed(compiled, careful, dtype, loss):
    program = chain((6, 20, 3), "relu", loss, dtype)
    trained(program, *data_for(program, 50))
    assert not careful


@pytest.mark.parametrize("seed", range(8))
def test_no_ordinary_step_of_a_graph_is_delayed(compiled, careful, dtype, seed):
    program = random_graph(seed, dtype)
    trained(program, *data_for(program, 50))
    assert not careful


def large(dtype, program, n_rows):
    """Inputs whose gradients are finite, but not surely so."""
    inputs, targets = data_for(program, n_rows)
    inputs[0][:, 0] *= {"float32": 2.0**56, "float64": 2.0**406}[dtype]
    return inputs, targets


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clip_norm", [0.0, 0.1])
@pytest.mark.parametrize("rows_at_once", [101, 32])
def test_a_careful_step_is_gradients_then_update_to_the_last_bit(
    compiled, careful, dtype, optimizer, clip_norm, rows_at_once
):
    program = chain((5, 40, 3), "tanh", "cross_entropy", dtype, l2=0.01, dropout=0.2)
    inputs, targets = large(dtype, program, 303)
    apart = backends.new_engine(program, initial_storage(program, scale=0.1))
    slots = set_optimizer(apart, optimizer, clip_norm)
    losses = []
    for step in (1, 2, 3):
        rows = slice((step - 1) * 102, step * 102)
        batch = [(values[rows], weights) for values, weights in targets]
        losses.append(apart.loss_and_gradients([inputs[0][rows]], batch, True, step))
        apart.update(1e-3, step)
    careful.clear()
    found = trained(program, inputs, targets, optimizer, clip_norm, rows_at_once=rows_at_once)
    assert len(careful) == 3
    for one, other in zip(found, [apart.storage, *slots, losses], strict=True):
        np.testing.assert_array_equal(one, other)


def test_ordinary_steps_follow_a_careful_one_in_the_same_call(compiled, careful, dtype):
    program = chain((5, 40, 3), "tanh", "cross_entropy", dtype)
    inputs, targets = data_for(program, 303)
    inputs[0][150:, 0] *= 2.0 ** (56 if dtype == "float32" else 406)
    inputs[0][204:, 0] = 1
    trained(program, inputs, targets)
    assert len(careful) == 1


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_a_network_is_delayed_by_no_usual_unit(compiled, careful, rng, unit):
    net = fnn.Sequential([fnn.Dense(5, 64, activation="relu"), fnn.Dense(64, 1)])
    net.compile("mean_squared_error", fnn.Adam(1e-3))
    X, y = unit * rng.normal(size=(200, 5)), unit * rng.normal(size=(200, 1))
    net.fit(X, y, epochs=3)
    net.train_step(X, y)
    assert not careful
