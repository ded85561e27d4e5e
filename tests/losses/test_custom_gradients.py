"""Gradients of custom losses and layers that are not finite: no step is taken with them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import fastnn as fnn
from fastnn import backend as backends


@pytest.fixture
def data():
    rng = np.random.default_rng(8)
    return rng.normal(size=(40, 4)), rng.normal(size=(40, 3))


def squared(output, target):
    difference = output - target
    return np.mean(difference**2), 2 * difference / difference.size


def spoiled(value, since=1):
    """The squared error; from call `since` on its gradient has `value` at [2, 1]."""
    calls = []

    def loss(output, target):
        calls.append(1)
        cost, gradient = squared(output, target)
        if len(calls) >= since:
            gradient = gradient.astype(np.float64)
            gradient[2, 1] = value
        return cost, gradient

    return loss


class Scaling(fnn.CustomLayer):
    """x times a trainable scale; of its gradients the one called `bad` is infinite."""

    def __init__(self, bad, **options):
        super().__init__(**options)
        self.bad = bad
        self.add_parameter("scale", (4,), "ones")

    def forward_pass(self, x, parameters, training):
        return x * parameters["scale"]

    def backward_pass(self, dy, x, y, parameters):
        dx, scale = dy * parameters["scale"], (dy * x).sum(axis=0)
        if self.bad == "dx":
            dx[3, 0] = np.inf
        if self.bad == "scale":
            scale[2] = np.inf
        return dx, {"scale": scale}


def network(loss, *layers, dtype="float64", optimizer="adam", **options):
    net = fnn.Sequential([*(layers or [fnn.Dense(4, 4)]), fnn.Dense(4, 3)], dtype=dtype)
    net.compile(loss, optimizer, **options)
    return net


CALLS = {
    "train_step": lambda net, X, y: net.train_step(X, y),
    "train_step of a list": lambda net, X, y: net.train_step(X.tolist(), y),
    "fit": lambda net, X, y: net.fit(X, y, batch_size=20),
    "trace": lambda net, X, y: net.trace(X, y, apply=True),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("value", "optimizer"), [(np.nan, "adam"), (-np.inf, fnn.Momentum(0.1, clip_norm=1))]
)
def test_a_loss_with_a_gradient_that_is_not_finite_takes_no_step(
    backend, data, call, value, optimizer
):
    net = network(spoiled(value), optimizer=optimizer, l2=0.1)
    before = net.get_state()
    with pytest.raises(fnn.TrainingError, match=rf"gradient of loss loss is {value} at \[2, 1\]"):
        call(net, *data)
    after = net.get_state()
    assert after["training"]["step"] == 0
    np.testing.assert_array_equal(after["parameters"], before["parameters"])


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("dx", r"dx of layer 'odd' is inf at \[3, 0\]"),
        ("scale", r"'scale' of layer 'odd' is inf at \[2\]"),
    ],
)
def test_a_layer_with_a_gradient_that_is_not_finite_takes_no_step(
    backend, data, dtype, call, bad, message
):
    net = network("mean_squared_error", fnn.Dense(4, 4), Scaling(bad, name="odd"), dtype=dtype)
    before = net.get_flat()
    with pytest.raises(fnn.TrainingError, match=message):
        call(net, *data)
    np.testing.assert_array_equal(net.get_flat(), before)


def test_gradients_that_no_step_takes_may_be_infinite_after_a_step(backend, data):
    layer = Scaling(None)
    net = network("mean_squared_error", fnn.Dense(4, 4), layer, optimizer="gradient_descent")
    engine = backends.new_engine(net.program, net.core.storage)
    engine.set_optimizer("gradient_descent", {}, [])
    X, y = data
    assert engine.train([X], [(y, None)], None, len(X), np.array([0.1]), 1, np.zeros(1)) == 1
    layer.bad = "dx"
    engine.forward([X], training=True)
    (dx,) = engine.backward([np.ones_like(y)])
    assert not np.isfinite(dx[3]).any()
    assert np.isfinite(dx[:3]).all()


def test_the_error_tells_the_loss_the_place_and_what_to_look_for(backend, data):
    net = network(spoiled(np.nan, since=4))
    expected = network(squared)
    with pytest.raises(fnn.TrainingError, match="0 / 0") as caught:
        net.fit(*data, batch_size=10, epochs=2, shuffle=False)
    error = caught.value
    assert (error.epoch, error.batch, error.step) == (1, 4, 4)
    for start in (0, 10, 20):
        expected.train_step(data[0][start : start + 10], data[1][start : start + 10])
    np.testing.assert_array_equal(net.get_flat(), expected.get_flat())
    assert net.get_state()["training"]["step"] == 3
    assert error.loss == pytest.approx(expected.loss_and_gradients(data[0][30:], data[1][30:])[0])


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("bad", ["loss", "scale"])
def test_the_loss_of_the_error_has_its_penalty(backend, data, call, bad):
    loss = spoiled(np.nan, since=2) if bad == "loss" else squared
    net = network(loss, Scaling(bad), l2=0.3)
    data = [array[:20] for array in data]  # of one batch
    cost, _ = net.loss_and_gradients(*data)
    with pytest.raises(fnn.TrainingError) as caught:
        call(net, *data)
    assert caught.value.loss == pytest.approx(cost, rel=1e-12)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_gradient_must_be_finite_in_the_dtype_of_the_network(backend, data, dtype):
    net = network(spoiled(1e300), dtype=dtype, optimizer=fnn.Adam(1e-3, clip_norm=1.0))
    if dtype == "float64":
        net.train_step(*data)
        assert np.isfinite(net.get_flat()).all()
    else:
        with pytest.raises(fnn.TrainingError, match="is inf"):
            net.train_step(*data)


def test_a_gradient_that_no_trainable_parameter_needs_may_be_anything(backend, data):
    frozen = fnn.Dense(4, 4, trainable=False)
    net = network("mean_squared_error", frozen, Scaling("dx"))
    net.train_step(*data)
    net = network("mean_squared_error", fnn.Dense(4, 4), Scaling("scale", trainable=False))
    net.train_step(*data)
    assert np.isfinite(net.get_flat()).all()


def test_gradients_that_are_only_asked_for_are_given_as_they_are(backend, data):
    _, gradients = network(spoiled(np.nan)).loss_and_gradients(*data)
    assert np.isnan(gradients["dense_2.bias"][1])


def test_a_backward_pass_after_a_step_may_give_anything(backend, data):
    layer = Scaling("")
    net = network("mean_squared_error", layer)
    net.train_step(*data)
    layer.bad = "scale"
    engine = net.core.engine
    engine.forward([data[0]], training=True)
    engine.backward([np.ones((40, 3))])
    assert np.isinf(engine.gradients).any()


def test_a_value_that_is_not_finite_is_told_before_its_gradient(backend, data):
    net = network(lambda output, target: (np.nan, np.full_like(output, np.nan)))
    with pytest.raises(fnn.TrainingError, match="the loss became nan"):
        net.train_step(*data)


def test_the_network_trains_on_with_another_loss(backend, data):
    net = network(spoiled(np.nan, since=2))
    with pytest.raises(fnn.TrainingError):
        net.fit(*data)
    net.compile(squared)
    assert np.isfinite(net.fit(*data)["loss"]).all()


def test_lbfgs_refuses_a_gradient_that_is_not_finite_at_the_start(backend, data):
    net = network(spoiled(np.nan), optimizer="lbfgs")
    before = net.get_flat()
    with pytest.raises(fnn.TrainingError, match="the gradient of the cost is not finite"):
        net.fit(*data)
    np.testing.assert_array_equal(net.get_flat(), before)


@pytest.mark.parametrize("since", [4, 7])
def test_lbfgs_does_not_go_where_the_gradient_is_not_finite(backend, data, since):
    net = network(spoiled(np.nan, since=since), optimizer="lbfgs")
    before = net.evaluate(*data)["loss"]
    net.fit(*data, epochs=30)
    assert np.isfinite(net.get_flat()).all()
    assert net.evaluate(*data)["loss"] <= before


def test_levenberg_marquardt_refuses_a_jacobian_that_is_not_finite_at_the_start(backend, data):
    net = network("mean_squared_error", Scaling("scale"), optimizer="levenberg_marquardt")
    before = net.get_flat()
    with pytest.raises(fnn.TrainingError, match="the Jacobian of the residuals is not finite"):
        net.fit(*data)
    np.testing.assert_array_equal(net.get_flat(), before)


@pytest.mark.parametrize("method", ["trf", "lm"])
def test_levenberg_marquardt_ends_at_a_jacobian_that_is_not_finite(backend, data, method):
    layer = Scaling("")
    optimizer = fnn.LevenbergMarquardt(method=method)
    net = network("mean_squared_error", fnn.Dense(4, 4, activation="tanh"), layer,
                  optimizer=optimizer)  # fmt: skip
    seen = []

    def spoil(context):
        seen.append(net.get_flat())
        layer.bad = "scale" if context.epoch == 2 else ""

    with pytest.raises(fnn.TrainingError, match="Jacobian") as caught:
        net.fit(*data, epochs=9, callbacks=spoil)
    assert caught.value.epoch == 3
    assert net.history.epochs == 2
    np.testing.assert_array_equal(net.get_flat(), seen[-1])


# -------------------------------------------------------------- what is kept


@pytest.mark.parametrize("name", ["train_step", "fit", "loss_and_gradients", "evaluate"])
def test_targets_are_let_go_when_a_loss_raises(backend, data, name):
    def failing(output, target):
        raise LookupError

    net = network(failing)
    target = data[1].copy()
    kept = weakref.ref(target)
    with pytest.raises(LookupError):
        getattr(net, name)(data[0], target)
    del target
    gc.collect()
    assert kept() is None


def test_targets_are_let_go_when_those_of_another_output_do_not_fit(backend, data):
    x = fnn.Input(4)
    net = fnn.Network(x, [fnn.Dense(4, 3)(x), fnn.Dense(4, 3)(x)], dtype="float64")
    net.compile([squared, "mean_squared_error"])
    target = data[1].copy()
    kept = weakref.ref(target)
    bad = np.full_like(target, np.nan)
    with pytest.raises(ValueError, match="nan"):
        net.loss_and_gradients(data[0], [target, bad])
    del target
    gc.collect()
    assert kept() is None
