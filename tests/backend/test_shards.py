"""The gradients of a batch as a sum over shards of its rows."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn as fnn
from fastnn import backend as backends

N = 37


def half_of_squares(output, target):
    error = output - target
    return float((error**2).mean() / 2), error / error.size


LOSSES = {
    "labels": ("cross_entropy", 3),
    "squares": ("mean_squared_error", 2),
    "sum": (fnn.MeanSquaredError(reduction="sum"), 2),
    "custom": (fnn.CustomLoss(half_of_squares), 2),
}


@pytest.fixture(params=sorted(LOSSES))
def trained(request, backend, dtype):
    """An engine with dropout and a penalty, its data, and the norms of its losses."""
    loss, width = LOSSES[request.param]
    with backends.use(backend):
        net = fnn.Sequential(
            [fnn.Dense(5, 16, activation="tanh"), fnn.Dropout(0.3), fnn.Dense(16, width)],
            dtype=dtype,
            seed=1,
        )
    net.compile(loss=loss, optimizer="adam", l2=1e-3)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 5)).astype(dtype)
    y = rng.integers(0, 3, N) if width == 3 else rng.normal(size=(N, width)).astype(dtype)
    norm = N * width if request.param == "squares" else N
    return net, [X], [(y, None)], np.array([float(norm)])


def sums(net, inputs, targets, norms, n_shards):
    """The cost and the gradients of all rows, as sums over shards."""
    cost, gradients = 0.0, 0.0
    for shard in range(n_shards):
        rows = np.arange(N * shard // n_shards, N * (shard + 1) // n_shards)
        l2 = net.program.l2 if shard == 0 else 0.0
        part, _ = net.core.engine.shard_gradients(inputs, targets, rows, rows[0], norms, l2, 7)
        cost, gradients = cost + part, gradients + net.core.engine.gradients
    return cost, gradients


@pytest.mark.parametrize("n_shards", [2, 5, N])
def test_shards_sum_to_the_gradients_of_the_batch(trained, n_shards):
    net, inputs, targets, norms = trained
    cost = net.core.engine.loss_and_gradients(inputs, targets, True, 7)
    gradients = net.core.engine.gradients.copy()
    part, summed = sums(net, inputs, targets, norms, n_shards)
    tolerance = 200 * float(np.finfo(net.dtype).eps)
    assert part == pytest.approx(cost, rel=tolerance)
    np.testing.assert_allclose(summed, gradients, rtol=tolerance, atol=tolerance)


def test_one_shard_is_the_batch(trained):
    net, inputs, targets, norms = trained
    cost = net.core.engine.loss_and_gradients(inputs, targets, True, 7)
    gradients = net.core.engine.gradients.copy()
    part, summed = sums(net, inputs, targets, norms, 1)
    if net.backend == "compiled":
        assert part == cost
        assert np.array_equal(summed, gradients)
    else:
        assert part == pytest.approx(cost, rel=1e-5)
        np.testing.assert_allclose(summed, gradients, rtol=1e-5, atol=1e-6)


def test_order_of_rows_is_that_of_the_call(trained):
    net, inputs, targets, norms = trained
    order = np.random.default_rng(2).permutation(N)
    shuffled = [x[order] for x in inputs], [(y[order], w) for y, w in targets]
    engine = net.core.engine
    cost = engine.shard_gradients(*shuffled, np.arange(N), 0, norms, 0.0, 3)
    gradients = engine.gradients.copy()
    assert engine.shard_gradients(inputs, targets, order, 0, norms, 0.0, 3) == cost
    assert np.array_equal(engine.gradients, gradients)


def test_a_shard_has_rows_within_the_data(trained):
    net, inputs, targets, norms = trained
    with pytest.raises(ValueError, match="at least one row"):
        net.core.engine.shard_gradients(inputs, targets, np.empty(0, np.int64), 0, norms, 0.0, 1)
    with pytest.raises(IndexError):
        net.core.engine.shard_gradients(inputs, targets, np.array([N]), 0, norms, 0.0, 1)
