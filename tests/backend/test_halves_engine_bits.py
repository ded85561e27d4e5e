"""Engines whose dense layers multiply in bfloat16: what is rounded, and the same bits always."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from programs import data_for, dense, initial_storage, set_optimizer
from teams import team

import fastnn as fnn
from fastnn import backend as backends
from fastnn.backend import compiled
from fastnn.backend.reference.halves import chain, rounded
from fastnn.facts import precisions
from fastnn.program import Head, ProgramBuilder

ROW = precisions.get("bfloat16")
FUSED = [isa for isa in ("v3", "v4", "v4b") if isa in compiled.built() and compiled.runs_here(isa)]
ROWS, BATCH, STEPS = 300, 117, 9
BACKENDS = pytest.mark.parametrize("backend", backends.available())


def program_with_everything(width=101):
    """Products of odd widths, a shared layer, dropout, a frozen layer, merges and two heads."""
    builder = ProgramBuilder("float32")
    x = builder.input("x", 67)
    shared = [
        builder.parameter("shared.weight", (width, width)),
        builder.parameter("shared.bias", (width,), penalized=False),
    ]
    h = dense(builder, x, width, "in")
    for i in range(2):
        z = builder.add("dense", [h], f"shared_{i}.Z", shared)
        a = builder.add("activation", [z], f"gelu_{i}.A", function="gelu")
        d = builder.add("dropout", [a], f"dropout_{i}.A", rate=0.3, key=100 + i)
        h = builder.add("add", [h, d], f"sum_{i}.A")
    h = builder.add("activation", [dense(builder, h, 65, "low")], "relu.A", function="relu")
    h = builder.add(
        "activation", [dense(builder, h, 130, "frozen", trainable=False)], "tanh.A", function="tanh"
    )
    heads = [dense(builder, h, 70, "classes"), dense(builder, h, 3, "values")]
    losses = [Head(heads[0], "cross_entropy"), Head(heads[1], "huber", 0.3)]
    program = builder.build(heads).with_heads(losses, l2=1e-3)
    return dataclasses.replace(program, precision="bfloat16")


def digest(engine_class, clip_norm=0.5):
    """A hash of losses, parameters, gradients and predictions after some steps."""
    program = program_with_everything()
    engine = engine_class(program, initial_storage(program, scale=0.1))
    set_optimizer(engine, "adam", clip_norm=clip_norm)
    inputs, targets = data_for(program, ROWS)
    order = np.random.default_rng(0).permutation(ROWS)
    losses = np.zeros((STEPS // 3, 3))
    for i in range(STEPS // 3):
        first = 3 * i + 1
        engine.train(inputs, targets, order, BATCH, np.full(3, 1e-3), first, losses[i])
    outputs = engine.forward(inputs)
    engine.loss_and_gradients(inputs, targets, True, 7)
    few = engine.forward([x[:5] for x in inputs])
    arrays = [losses, engine.storage, engine.gradients, *outputs, *few]
    assert np.isfinite(losses).all()
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.mark.skipif(len(FUSED) < 2, reason="needs several instruction sets with FMA")
@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_instruction_sets_give_the_same_bits(clip_norm):
    classes = [backends.load(isa, np.float32).Engine for isa in FUSED]
    assert len({digest(engine_class, clip_norm) for engine_class in classes}) == 1


@pytest.mark.skipif(not FUSED, reason="a promise of the compiled engine")
@pytest.mark.parametrize("n", [2, 3, 7])
def test_any_number_of_threads_gives_the_same_bits(n, monkeypatch):
    results = []
    for threads in (1, n):
        with team(threads):
            results.append(digest(backends.load(FUSED[-1], np.float32).Engine))
    assert results[0] == results[1]


def network(layers, backend, precision="bfloat16", seed=3):
    with backends.use(backend):
        net = fnn.Sequential(layers, seed=seed)
        net.compile("mean_squared_error", fnn.GradientDescent(0.1), precision=precision)
    return net


def samples(n, width, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


@BACKENDS
def test_forward_product_has_the_bits_of_its_definition(backend):
    net = network([fnn.Dense(75, 133)], backend)
    X, (weight, bias) = samples(41, 75), net.parameters.values()
    bias[...] = samples(1, 133, 1)[0]
    np.testing.assert_array_equal(net.predict(X), chain(rounded(X), rounded(weight), bias))


@BACKENDS
def test_products_of_gradients_have_the_bits_of_their_definition(backend):
    net = network([fnn.Dense(70, 90), fnn.Dense(90, 65)], backend)
    X, Y = samples(45, 70), samples(45, 65, 1)
    trace = net.core.engine
    net.core.engine.loss_and_gradients([X], [(Y, None)])
    values = {key: np.array(trace.value(key)) for key in ("dense_1.Z",)}
    gradients = {key: np.array(trace.gradient(key)) for key in ("dense_1.Z", "dense_2.Z")}
    dweight = {p.name: p.view(trace.gradients) for p in trace.program.parameters}
    dz2, weight = rounded(gradients["dense_2.Z"]), net.parameters["dense_2.weight"]
    np.testing.assert_array_equal(gradients["dense_1.Z"], chain(dz2, rounded(weight).T))
    np.testing.assert_array_equal(
        dweight["dense_2.weight"], chain(rounded(values["dense_1.Z"]).T, dz2)
    )
    np.testing.assert_array_equal(
        dweight["dense_1.weight"], chain(rounded(X).T, rounded(gradients["dense_1.Z"]))
    )


@BACKENDS
def test_steps_follow_the_parameters_of_each_update(backend):
    layers = [fnn.Dense(70, 80, activation="relu"), fnn.Dense(80, 64)]
    X, Y = samples(200, 70), samples(200, 64, 1)
    one, many = network(layers, backend), network([la.copy() for la in layers], backend)
    many.core.storage[...] = one.core.storage
    losses = [one.train_step(X[i : i + 40], Y[i : i + 40]) for i in range(0, 200, 40)]
    run = np.empty(5)
    many.core.engine.train([X], [(Y, None)], None, 40, np.full(5, 0.1), 1, run)
    np.testing.assert_array_equal(run, losses)
    np.testing.assert_array_equal(one.core.storage, many.core.storage)


@BACKENDS
def test_gradient_is_that_of_float32_within_the_rounding_of_operands(backend):
    def gradients(precision):
        layers = [fnn.Dense(80, 96, activation="tanh"), fnn.Dense(96, 64)]
        net = network(layers, backend, precision)
        net.core.engine.loss_and_gradients([samples(64, 80)], [(samples(64, 64, 1), None)])
        return net.core.program.flatten(net.core.engine.gradients)

    exact = gradients("float32")
    error = np.linalg.norm(gradients("bfloat16") - exact) / np.linalg.norm(exact)
    assert 2**-14 < error < 2**-7


@BACKENDS
@pytest.mark.parametrize(("n", "width"), [(ROW.least_rows - 1, 128), (100, ROW.least_width - 1)])
def test_small_products_have_the_bits_of_float32(backend, n, width):
    def loss(precision):
        net = network([fnn.Dense(128, width), fnn.Dense(width, 128)], backend, precision)
        X = samples(n, 128)
        return [net.train_step(X, X) for _ in range(3)], net.predict(X).tobytes()

    assert loss("float32") == loss("bfloat16")


@BACKENDS
def test_sums_of_values_near_the_limits_overflow_to_infinity(backend):
    net = network([fnn.Dense(64, 64)], backend)
    net.parameters["dense_1.weight"][...] = 3.4e38
    outputs = net.predict(np.ones((40, 64), np.float32))
    np.testing.assert_array_equal(outputs, np.full((40, 64), np.inf, np.float32))


@BACKENDS
def test_custom_layers_see_float32(backend):
    seen = []

    class Doubled(fnn.CustomLayer):
        def forward_pass(self, x, parameters, training):
            seen.append(x.copy())
            return 2 * x

        def backward_pass(self, dy, x, y, parameters):
            return 2 * dy, {}

    net = network([fnn.Dense(70, 80), Doubled(), fnn.Dense(80, 64)], backend)
    X = samples(50, 70)
    net.predict(X)
    assert seen[-1].dtype == np.float32
    assert (seen[-1] != rounded(seen[-1])).any()
    losses = [net.train_step(X, samples(50, 64, 1)) for _ in range(20)]
    assert losses[-1] < losses[0]
