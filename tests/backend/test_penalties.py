"""Steps whose L2 penalties differ: each is that of a network with this penalty."""

import numpy as np
import pytest
from networks import flowers

import fastnn as fnn
from fastnn.training.session import Plan

RNG = np.random.default_rng(0)
X, LABELS = flowers(RNG, 50)


def network(l2, dtype, optimizer=None):
    net = fnn.Sequential([fnn.Dense(4, 6, "tanh"), fnn.Dense(6, 3)], dtype=dtype, seed=0)
    net.compile("cross_entropy", optimizer or fnn.Adam(0.01), l2=l2)
    return net


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_penalty_of_a_batch_is_divided_by_what_its_rows_weigh(backend, dtype, clip_norm):
    weights = RNG.uniform(0.1, 2, 50)
    optimizer = fnn.GradientDescent(0.1, clip_norm=clip_norm)
    net = network(0.5, dtype, optimizer)
    data = net.core.feed.data(X, LABELS, None, True)
    history = net.core.fit(data, Plan(1, 20, False, penalty_weights=weights))
    flat, losses = network(0.5, dtype).get_flat(), []
    for rows in (slice(0, 20), slice(20, 40), slice(40, 50)):
        own = network(0.5 / weights[rows].sum(), dtype, optimizer)
        own.set_flat(flat)
        losses.append(own.train_step(X[rows], LABELS[rows]))
        flat = own.get_flat()
    np.testing.assert_allclose(net.get_flat(), flat, rtol=1e-6 if dtype == "float32" else 1e-13)
    assert history["loss"][-1] == pytest.approx(np.average(losses, weights=[20, 20, 10]))


def test_a_batch_of_no_weight_has_no_penalty(backend):
    net, plain = network(0.5, "float64"), network(0.0, "float64")
    data = net.core.feed.data(X, LABELS, None, True)
    for core in (net.core, plain.core):
        core.fit(data, Plan(1, 50, False, penalty_weights=np.zeros(50)))
    np.testing.assert_array_equal(net.get_flat(), plain.get_flat())


def test_the_penalty_of_the_network_stays(backend):
    net = network(0.5, "float64")
    before = net.evaluate(X, LABELS)["loss"]
    flat = net.get_flat()
    data = net.core.feed.data(X, LABELS, None, True)
    net.core.fit(data, Plan(1, 20, penalty_weights=np.full(50, 1e-3)))
    net.set_flat(flat)
    assert net.evaluate(X, LABELS)["loss"] == before
    assert net.train_step(X, LABELS) == pytest.approx(before)


def test_penalties_of_a_network_that_calls_python(backend):
    def squared(output, target):
        difference = output - target
        return float(np.mean(difference**2)), 2 * difference / difference.size

    nets = [network(0.5, "float64") for _ in "ab"]
    nets[0].compile(squared, "sgd", l2=0.5)
    nets[1].compile("mean_squared_error", "sgd", l2=0.5)
    for net in nets:
        data = net.core.feed.data(X, np.eye(3)[LABELS], None, True)
        net.core.fit(data, Plan(2, 20, False, penalty_weights=np.full(50, 0.1)))
    np.testing.assert_allclose(*(net.get_flat() for net in nets), rtol=1e-12)


def test_careful_steps_have_their_penalties(backend):
    """Inputs so large that the engine takes each step with care."""
    nets = [network(0.5, "float64", fnn.GradientDescent(1e-300)) for _ in "ab"]
    for net, large in zip(nets, (1e140, 1.0), strict=True):
        data = net.core.feed.data(np.full((50, 4), large), LABELS, None, True)
        history = net.core.fit(data, Plan(1, 20, False, penalty_weights=np.full(50, 0.01)))
        squares = sum((layer.weight**2).sum() for layer in net.layers)
        costs = [0.25 / (0.01 * n) * squares for n in (20, 20, 10)]
        plain = network(0.0, "float64", fnn.GradientDescent(1e-300))
        loss = plain.evaluate(np.full((50, 4), large), LABELS)["loss"]
        expected = loss + np.average(costs, weights=[20, 20, 10])
        assert history["loss"][-1] == pytest.approx(expected)


def test_orders_of_the_rows_may_be_the_callers(backend):
    orders = [np.random.default_rng(i).permutation(50) for i in range(3)]
    one, other = network(0.0, "float64"), network(0.0, "float64")
    data = one.core.feed.data(X, LABELS, None, True)
    one.core.fit(data, Plan(3, 20, order=orders.__getitem__))
    for order in orders:
        other.fit(X[order], LABELS[order], epochs=1, batch_size=20, shuffle=False)
    np.testing.assert_array_equal(one.get_flat(), other.get_flat())
