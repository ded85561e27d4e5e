"""Factors of the learning rate and of the weight decay for single parameters."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from programs import OPTIMIZERS, chain, data_for, initial_storage, set_optimizer

import fastnn as fnn
from fastnn import backend as backends

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def network(dtype="float64", **options):
    layers = [fnn.Scale(4), fnn.Dense(4, 6, "tanh"), fnn.Dense(6, 3)]
    net = fnn.Sequential(layers, dtype=dtype, seed=1)
    net.compile("cross_entropy", **{"optimizer": fnn.AdamW(0.01, weight_decay=0.1), **options})
    return net


def data(n=20):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)), rng.integers(0, 3, n)


def with_factors(program, rates, decays):
    parameters = tuple(
        dataclasses.replace(p, rate_factor=rates.get(p.name, 1), decay_factor=decays.get(p.name, 1))
        for p in program.parameters
    )
    return dataclasses.replace(program, parameters=parameters)


def trained(program, name, rate, n=30, clip_norm=0.0, apart=False):
    """The storage after four steps of training, or of gradients and update."""
    engine = backends.new_engine(program, initial_storage(program))
    slots = set_optimizer(engine, name, clip_norm)
    inputs, targets = data_for(program, n)
    for number in range(1, 5):
        if apart:
            engine.loss_and_gradients(inputs, targets, True, number)
            engine.update(rate, number)
        else:
            engine.train(inputs, targets, None, n, np.array([rate]), number, np.zeros(1))
    return engine.storage, slots


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("n", [1, 30])
def test_factor_on_all_parameters_is_that_of_the_learning_rate(backend, dtype, name, n):
    program = chain([5, 9, 3], dtype=dtype)
    halved = with_factors(program, {p.name: 0.5 for p in program.parameters}, {})
    expected, _ = trained(program, name, 0.01, n)
    np.testing.assert_array_equal(trained(halved, name, 0.02, n)[0], expected)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("n", "clip_norm"), [(1, 0.0), (30, 0.0), (30, 0.1)])
def test_gradients_and_update_have_the_bits_of_a_step(backend, dtype, name, n, clip_norm):
    program = chain([5, 70, 3], dtype=dtype, l2=0.01)
    rates, decays = {"dense_1.weight": 3.7, "dense_2.bias": 0.1}, {"dense_1.weight": 0.3}
    program = with_factors(program, rates, decays)
    step, own = trained(program, name, 0.01, n, clip_norm)
    apart, other = trained(program, name, 0.01, n, clip_norm, apart=True)
    np.testing.assert_array_equal(step, apart)
    for a, b in zip(own, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_first_step_of_one_parameter_is_that_of_its_learning_rate(backend, dtype, name):
    program = chain([5, 9, 3], dtype=dtype)
    inputs, targets = data_for(program, 30)
    storages = {}
    for rate, factor in ((0.01, 1.0), (0.03, 1.0), (0.01, 3.0)):
        own = with_factors(program, {"dense_1.weight": factor}, {})
        engine = backends.new_engine(own, initial_storage(own))
        set_optimizer(engine, name)
        engine.train(inputs, targets, None, 30, np.array([rate]), 1, np.zeros(1))
        storages[rate, factor] = engine.storage
    for i, parameter in enumerate(program.parameters):
        expected = storages[0.03, 1.0] if i == 0 else storages[0.01, 1.0]
        found = parameter.view(storages[0.01, 3.0])
        np.testing.assert_allclose(found, parameter.view(expected), atol=TOLERANCE[dtype])


@pytest.mark.parametrize("decay", [0.0, 0.5, 4.0])
def test_decay_of_one_parameter_is_that_of_its_weight_decay(backend, dtype, decay):
    program = chain([5, 9, 3], dtype=dtype)
    inputs, targets = data_for(program, 30)
    storages = []
    for weight_decay, factor in ((0.25, decay), (0.25 * decay, 1.0)):
        own = with_factors(program, {}, {"dense_1.weight": factor})
        engine = backends.new_engine(own, initial_storage(own))
        slots = [own.allocate() for _ in range(2)]
        numbers = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "bias_correction": 1.0}
        engine.set_optimizer("adam", {**numbers, "weight_decay": weight_decay}, slots)
        engine.train(inputs, targets, None, 30, np.array([0.125]), 1, np.zeros(1))
        storages.append(engine.storage)
    weight = program.parameters[0]
    np.testing.assert_array_equal(weight.view(storages[0]), weight.view(storages[1]))


def test_engines_agree(dtype):
    if "compiled" not in backends.available():
        pytest.skip("there is one engine")
    program = with_factors(
        chain([5, 9, 3], dtype=dtype, l2=0.01),
        {"dense_1.weight": 6.0, "dense_2.bias": 0.1}, {"dense_2.weight": 0.0},
    )  # fmt: skip
    storages = []
    for name in ("compiled", "reference"):
        with backends.use(name):
            storages.append(trained(program, "adam with decay", 0.01)[0])
    np.testing.assert_allclose(*storages, rtol=0, atol=TOLERANCE[dtype])


def mean_of_squares(prediction, target):
    difference = prediction - target
    return np.mean(np.square(difference)), 2 * difference / difference.size


def test_step_of_a_custom_loss_has_the_factors(backend):
    factors = {"learning_rates": {"dense_1": 0.0625}, "weight_decays": {"dense_2": 0.0}}
    X, y = np.random.default_rng(0).normal(size=(2, 40, 3))
    results = []
    for loss in (mean_of_squares, "mean_squared_error"):
        net = fnn.Sequential([fnn.Dense(3, 5, "tanh"), fnn.Dense(5, 3)], dtype="float64", seed=0)
        net.compile(loss, fnn.AdamW(0.01, weight_decay=0.5), **factors)
        for _ in range(3):
            net.train_step(X, y)
        results.append(net.get_flat())
    np.testing.assert_allclose(*results, atol=1e-8)


def test_names_are_those_of_layers_and_parameters():
    net = network(
        learning_rates={"scale_1": 6.0, "dense_1": 0.5, "dense_1.bias": 0.1},
        weight_decays={"dense_2": 0.0, "dense_1.weight": 2},
    )
    factors = {p.name: (p.rate_factor, p.decay_factor) for p in net.program.parameters}
    assert factors == {
        "scale_1.scale": (6.0, 1.0),
        "dense_1.weight": (0.5, 2.0),
        "dense_1.bias": (0.1, 1.0),
        "dense_2.weight": (1.0, 0.0),
        "dense_2.bias": (1.0, 1.0),
    }


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"learning_rates": {"dense": 2.0}}, ValueError,
            "learning_rates has 'dense', expected a layer with parameters or a parameter: "
            "scale_1, scale_1.scale, dense_1, dense_1.weight, dense_1.bias, dense_2,",
        ),
        ({"learning_rates": {"dense_1": 0.0}}, ValueError,
         "learning_rates['dense_1'] must be a finite number > 0, got 0.0"),
        ({"learning_rates": {"dense_1": np.inf}}, ValueError, "must be a finite number > 0"),
        ({"learning_rates": {"dense_1": "2"}}, TypeError, "must be a real number, got str"),
        ({"learning_rates": [2.0]}, TypeError, "must be a dict of factors by layer or parameter"),
        ({"learning_rates": {"dense_1": 1e-40}, "dtype": "float32"}, ValueError, "becomes 0 in"),
        ({"learning_rates": {"dense_1": 1e-37}, "dtype": "float32"}, ValueError,
         "the learning rate of 'dense_1.weight' is 1.0000000000000001e-39, which becomes 0"),
        ({"weight_decays": {"dense_1": -1.0}}, ValueError, "must be a finite number >= 0"),
        ({"weight_decays": {"dense_1.bias": 1.0}}, ValueError,
         "weight_decays has 'dense_1.bias', but weight decay acts on weights only"),
        ({"weight_decays": {"scale_1": 1.0}}, ValueError, "weight decay acts on weights only"),
        ({"weight_decays": {"dense_1": 1.0}, "optimizer": "adam"}, ValueError,
         "weight_decays needs an optimizer with weight decay, got Adam("),
        ({"weight_decays": {"dense_1": 1.0}, "optimizer": "rmsprop"}, ValueError,
         "weight_decays needs an optimizer with weight decay, got RMSprop("),
        ({"learning_rates": {"dense_1": 1.0}, "optimizer": "lbfgs"}, ValueError,
         "learning_rates needs an optimizer with steps, got LBFGS("),
    ],
)  # fmt: skip
def test_factors_that_do_not_fit_are_refused(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        network(**options)


def test_saved_training_continues_to_the_same_bits(backend, dtype, tmp_path):
    X, y = data()
    factors = {"learning_rates": {"scale_1": 6.0}, "weight_decays": {"dense_1": 0.25}}
    net = network(dtype, **factors)
    net.train_step(X, y)
    net.save(tmp_path / "net.fastnn")
    again = fnn.load(tmp_path / "net.fastnn")
    assert again.program.parameters == net.program.parameters
    for one in (net, again):
        one.fit(X, y, epochs=2, batch_size=7, verbose=0)
    np.testing.assert_array_equal(net.get_flat(), again.get_flat())


def test_trace_has_the_bits_of_a_step(backend):
    X, y = data()
    net = network("float32", learning_rates={"scale_1": 6.0}, weight_decays={"dense_1": 0.25})
    trace = net.trace(X, y)
    net.train_step(X, y)
    for name, update in trace.parameters.items():
        np.testing.assert_array_equal(update.after, net.parameters[name])


def test_summary_shows_the_factors():
    net = network(
        learning_rates={"scale_1": 6.0, "dense_2.bias": 0.1}, weight_decays={"dense_1": 0}
    )
    lines = net.summary().splitlines()[-2:]
    assert lines == [
        "learning rate times 6 for scale_1.scale, 0.1 for dense_2.bias",
        "weight decay times 0 for dense_1.weight",
    ]


def test_compile_without_factors_forgets_them():
    net = network(learning_rates={"scale_1": 6.0})
    net.compile("cross_entropy")
    assert all(p.rate_factor == 1 for p in net.program.parameters)
