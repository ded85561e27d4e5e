"""The scale layer: a gain for each column."""

from __future__ import annotations

import numpy as np
import pytest
from programs import data_for, initial_storage, set_optimizer

import fastnn as fnn
from fastnn import backend as backends
from fastnn.program import Head, ProgramBuilder

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}


@pytest.mark.parametrize("n", [1, 16, 37])
def test_output_and_gradients(backend, dtype, n, rng):
    gains, x = rng.normal(size=n).astype(dtype), rng.normal(size=(40, n)).astype(dtype)
    layer = fnn.Scale(n, scale=gains, dtype=dtype)
    np.testing.assert_array_equal(layer(x), x * gains)
    dy = rng.normal(size=(40, n)).astype(dtype)
    np.testing.assert_array_equal(layer.backward(dy), dy * gains)
    np.testing.assert_allclose(
        layer.gradients["scale"], (dy * x).sum(axis=0), rtol=0, atol=20 * TOLERANCE[dtype]
    )


def test_initial_gains_are_one():
    np.testing.assert_array_equal(fnn.Scale(3).parameters["scale"], [1, 1, 1])


def test_jacobian_agrees_with_gradients(backend, rng):
    x, scale = fnn.Input(4), fnn.Scale(4, scale=[1.0, 2.0, -1.0, 0.5], name="scale")
    net = fnn.Network(x, fnn.Dense(4, 2)(scale(fnn.Tanh()(scale(x)))), dtype="float64")
    net.compile("mean_squared_error", "adam")
    X = rng.normal(size=(5, 4))
    jacobian = net.parameter_jacobian(X, column=1)
    target = net.predict(X)
    target[:, 1] -= 1  # so that the gradient is 2 / size in one column
    net.loss_and_gradients(X, target)
    flat = np.concatenate([g.ravel() for g in net.gradients.values()])
    np.testing.assert_allclose(jacobian.sum(axis=0) * 2 / target.size, flat, atol=1e-12)
    assert fnn.check_gradients(net, X, target).ok


@pytest.mark.parametrize("clip_norm", [0.0, 0.1])
def test_gradients_and_update_have_the_bits_of_a_step(backend, dtype, clip_norm):
    builder = ProgramBuilder(dtype)
    x = builder.input("x", 37)
    gain = builder.parameter("gain", (37,), penalized=False)
    y = builder.add("scale", [builder.add("scale", [x], "a", [gain])], "b", [gain])
    program = builder.build([y]).with_heads([Head(y, "mean_squared_error")])
    inputs, targets = data_for(program, 30)
    step, apart = (backends.new_engine(program, initial_storage(program)) for _ in range(2))
    for engine in (step, apart):
        set_optimizer(engine, "adam", clip_norm)
    step.train(inputs, targets, None, 30, np.array([0.01]), 1, np.zeros(1))
    apart.loss_and_gradients(inputs, targets, True, 1)
    apart.update(0.01, 1)
    np.testing.assert_array_equal(step.storage, apart.storage)


def test_saved_network_predicts_the_same(backend, rng, tmp_path):
    net = fnn.Sequential([fnn.Scale(3, scale=[1.0, 2.0, 3.0]), fnn.Dense(3, 2)])
    X = rng.normal(size=(5, 3)).astype("f4")
    net.save(tmp_path / "net.fastnn")
    np.testing.assert_array_equal(fnn.load(tmp_path / "net.fastnn").predict(X), net.predict(X))
    np.testing.assert_array_equal(net.predictor()(X), net.predict(X))


def test_repr_and_errors():
    assert repr(fnn.Scale(3)) == "Scale(3)"
    assert repr(fnn.Scale(2, scale=[1, 2], trainable=False)) == (
        "Scale(2, scale=Explicit(...), trainable=False)"
    )
    with pytest.raises(ValueError, match="n must be an integer >= 1"):
        fnn.Scale(0)
    with pytest.raises(ValueError, match="width 3, but x has width 1"):
        fnn.Scale(3)([[1.0]])
