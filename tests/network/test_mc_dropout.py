"""Dropout as a sampled ensemble: what masks do on average, and Monte-Carlo predictions."""

from __future__ import annotations

import math
import pickle
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import peak_of
from networks import classifier, flowers

import fastnn as fnn
from fastnn import backend as backends
from fastnn.network import _monte_carlo
from fastnn.network._monte_carlo import with_sampled_masks

RATE = 0.3
SIGMAS = 5  # a bound that one test in a million breaks by chance; seeds are fixed


def only_dropout(width, dtype, rate=RATE):
    return fnn.Sequential([fnn.Input(width), fnn.Dropout(rate)], dtype=dtype)


def linear(dtype="float64", rate=RATE):
    """Dropout of the inputs, then one linear unit."""
    net = fnn.Sequential([fnn.Input(5), fnn.Dropout(rate), fnn.Dense(5, 1)], dtype=dtype)
    net.set_flat([0.5, -1.0, 2.0, 0.25, -0.75, 0.1])
    return net


def deep(dtype="float64", seed=0):
    layers = [
        fnn.Dense(4, 16, activation="tanh"), fnn.Dropout(0.5),
        fnn.Dense(16, 16, activation="relu"), fnn.Dropout(0.2), fnn.Dense(16, 3),
    ]  # fmt: skip
    net = fnn.Sequential(layers, dtype=dtype, seed=seed)
    net.compile("cross_entropy", fnn.Adam(0.01))
    return net


# ------------------------------------------------------- the law of the masks


def test_expectation_of_inverted_dropout_is_the_unit(backend, dtype):
    x = np.linspace(-2, 3, 40)
    found = only_dropout(40, dtype).predict_samples(x, n_samples=4000)
    error = SIGMAS * np.abs(x) * math.sqrt(RATE / (1 - RATE) / 4000)
    assert np.all(np.abs(found.mean - x) <= error + 1e-6)


def test_kept_units_have_the_variance_of_a_bernoulli_variable(backend):
    samples = only_dropout(200, "float64").predict_samples(
        np.ones(200), n_samples=2000, return_samples=True
    ).samples  # fmt: skip
    keep, n = 1 - RATE, samples.size
    kept = samples != 0
    # The variance of the estimate p(1-p) from n draws is (1 - 2p)^2 p (1 - p) / n.
    bound = SIGMAS * abs(1 - 2 * keep) * math.sqrt(keep * (1 - keep) / n)
    assert abs(kept.var() - keep * (1 - keep)) <= bound


def test_kept_units_are_scaled_by_one_over_the_share_kept(backend, dtype):
    samples = only_dropout(50, dtype).predict_samples(
        np.ones(50), n_samples=20, return_samples=True
    ).samples  # fmt: skip
    assert set(np.unique(samples)) == {0, np.dtype(dtype).type(1 / (1 - RATE))}


def test_units_of_a_mask_are_uncorrelated(backend):
    samples = only_dropout(8, "float64").predict_samples(
        np.ones(8), n_samples=20_000, return_samples=True
    ).samples  # fmt: skip
    correlations = np.corrcoef(samples.T)[np.triu_indices(8, 1)]
    assert np.abs(correlations).max() <= SIGMAS / math.sqrt(20_000)


def test_mean_of_a_linear_layer_converges_to_its_prediction(backend, dtype):
    net, x = linear(dtype), np.array([1.0, 2.0, -1.0, 0.5, 3.0])
    passes = 20_000
    found = net.predict_samples(x, n_samples=passes)
    assert abs(found.mean - net.predict(x)) <= SIGMAS * found.std / math.sqrt(passes)


def test_spread_of_a_linear_layer_is_the_analytic_one(backend):
    net, x = linear(), np.array([1.0, 2.0, -1.0, 0.5, 3.0])
    weight = net.parameters["dense_1.weight"][:, 0]
    exact = math.sqrt(np.square(weight * x).sum() * RATE / (1 - RATE))
    assert net.predict_samples(x, n_samples=20_000).std == pytest.approx(exact, rel=0.03)


# -------------------------------------------------------------- reproducibility


def test_prediction_is_a_function_of_the_seed(backend):
    net, X = deep(), flowers(np.random.default_rng(0))[0]
    once = net.predict_samples(X, n_samples=10, seed=3)
    again = pickle.loads(pickle.dumps(net)).predict_samples(X, n_samples=10, seed=3)
    other = net.predict_samples(X, n_samples=10, seed=4)
    assert np.array_equal(once.mean, again.mean)
    assert np.array_equal(once.std, again.std)
    assert not np.array_equal(once.mean, other.mean)


def test_bits_do_not_depend_on_threads(dtype):
    net, X = deep(dtype), np.random.default_rng(0).normal(size=(800, 4))
    before = fnn.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            fnn.set_num_threads(threads)
            found.append(net.predict_samples(X, n_samples=50))
    finally:
        fnn.set_num_threads(before)
    for other in found[1:]:
        assert np.array_equal(found[0].mean, other.mean)
        assert np.array_equal(found[0].std, other.std)


def test_backends_draw_the_same_masks():
    samples = []
    for name in backends.available():
        with backends.use(name):
            net = only_dropout(70, "float32")
        samples.append(
            net.predict_samples(np.ones((9, 70)), n_samples=30, return_samples=True).samples
        )
    assert all(np.array_equal(samples[0], other) for other in samples)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(2, 200))
def test_first_rows_are_the_same_alone(n, passes):
    net, X = deep(), np.random.default_rng(1).normal(size=(90, 4))
    whole, part = (
        net.predict_samples(X, n_samples=passes),
        net.predict_samples(X[:n], n_samples=passes),
    )
    # NumPy's BLAS has other kernels for few rows than for many: equal but for rounding there.
    tolerance = 0 if net.backend == "compiled" else 1e-5
    np.testing.assert_allclose(whole.mean[:n], part.mean, rtol=0, atol=tolerance)
    np.testing.assert_allclose(whole.std[:n], part.std, rtol=0, atol=tolerance)


def test_every_row_and_pass_has_a_mask_of_its_own(backend):
    samples = only_dropout(64, "float32").predict_samples(
        np.ones((50, 64)), n_samples=200, return_samples=True
    ).samples  # fmt: skip
    masks = (samples != 0).reshape(-1, 64)
    assert len(np.unique(masks, axis=0)) == len(masks)


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_masks_are_never_those_of_training(seed):
    program = deep().program
    own = {o.attributes["key"] for o in program.operations if o.kind == "dropout"}
    sampled = with_sampled_masks(program, seed).operations
    assert not own & {o.attributes["key"] for o in sampled if o.kind == "dropout"}


def test_a_key_that_is_taken_is_drawn_again():
    operation = next(o for o in deep().program.operations if o.kind == "dropout")
    first = _monte_carlo._with_key(operation, 0, set()).attributes["key"]
    second = _monte_carlo._with_key(operation, 0, {first}).attributes["key"]
    assert second != first


def test_training_goes_on_as_if_nothing_had_been_predicted(backend):
    X, y = flowers(np.random.default_rng(0))
    nets = deep(), deep()
    for net in nets:
        net.fit(X, y, epochs=2)
        if net is nets[0]:
            net.predict_samples(X, n_samples=20)
        net.fit(X, y, epochs=2)
    assert np.array_equal(nets[0].get_flat(), nets[1].get_flat())


# -------------------------------------------------- what no mask changes, computed once


def branched(dtype="float64"):
    """Dropout on one of two branches, a shortcut past it, and a head that no mask reaches."""
    x = fnn.Input(4)
    trunk = fnn.Dense(4, 8, activation="tanh")(fnn.Dropout(0.0)(x))
    noisy = fnn.Dense(8, 8, activation="relu")(fnn.Dropout(0.4)(trunk))
    merged = fnn.Concatenate()([noisy, trunk, x])
    outputs = {"noisy": fnn.Dense(20, 2)(merged), "sure": fnn.Dense(8, 3)(trunk)}
    return fnn.Network(x, outputs, dtype=dtype, seed=1)


def test_samples_are_those_of_the_whole_program(backend, dtype):
    net, X = branched(dtype), np.random.default_rng(0).normal(size=(30, 4))
    found = net.predict_samples(X, n_samples=7, seed=5, return_samples=True)
    engine = backends.new_engine(with_sampled_masks(net.program, 5), net.core.storage)
    whole = engine.forward([np.repeat(X, 7, axis=0)], training=True, step=0)
    for name, output in zip(("noisy", "sure"), whole, strict=True):
        expected = output.reshape(30, 7, -1).swapaxes(0, 1)
        assert np.array_equal(found.samples[name], expected)


def test_head_that_no_mask_reaches_has_no_spread(backend):
    net, X = branched(), np.random.default_rng(0).normal(size=(5, 4))
    found = net.predict_samples(X, n_samples=8)
    assert np.array_equal(found.mean["sure"], net.predict(X)["sure"])
    assert not found.std["sure"].any()
    assert found.std["noisy"].all()


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_layers_before_dropout_run_in_the_first_program(rate):
    layers = [fnn.Dense(4, 8), fnn.Dropout(rate), fnn.Dense(8, 8), fnn.Dropout(0.5)]
    net = fnn.Sequential([*layers, fnn.Dense(8, 1)])
    first, second = _monte_carlo.split_at_dropout(net.program)
    assert len(first.operations) == (1 if rate else 3)
    assert first.operations + second.operations == net.program.operations
    assert first.outputs == second.inputs


# ----------------------------------------------------------------- mean and spread


@pytest.mark.parametrize("passes", [2, 7, 5000])
def test_mean_and_spread_are_those_of_the_samples(backend, dtype, passes):
    X = np.random.default_rng(0).normal(size=(3, 4))
    found = deep(dtype).predict_samples(X, n_samples=passes, return_samples=True)
    exact = found.samples.astype(np.float64)
    tolerance = 20 * float(np.finfo(dtype).eps)
    assert found.mean == pytest.approx(exact.mean(axis=0), rel=tolerance, abs=tolerance)
    assert found.std == pytest.approx(exact.std(axis=0, ddof=1), rel=tolerance)


def test_results_have_the_dtype_of_the_network(dtype):
    found = deep(dtype).predict_samples(np.ones((2, 4)), n_samples=3, return_samples=True)
    assert {part.dtype for part in found} == {np.dtype(dtype)}


def test_samples_come_only_on_request():
    assert deep().predict_samples(np.ones((2, 4)), n_samples=3).samples is None


def test_single_sample_has_no_axis_of_rows(backend):
    found = deep().predict_samples(np.ones(4), n_samples=6, return_samples=True)
    assert (found.mean.shape, found.std.shape, found.samples.shape) == ((3,), (3,), (6, 3))


def test_probabilities_of_each_pass_are_averaged(backend):
    net, X = deep(), np.random.default_rng(0).normal(size=(5, 4))
    logits = net.predict_samples(X, n_samples=30, return_samples=True).samples
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares = powers / powers.sum(axis=-1, keepdims=True)
    found = net.predict_proba_samples(X, n_samples=30)
    assert found.mean == pytest.approx(shares.mean(axis=0), rel=1e-12)
    assert found.std == pytest.approx(shares.std(axis=0, ddof=1), rel=1e-10)
    assert found.mean.sum(axis=1) == pytest.approx(1)


def test_named_outputs_come_by_name(backend):
    x = fnn.Input(4)
    trunk = fnn.Dropout(0.5)(fnn.Dense(4, 8)(x))
    net = fnn.Network(x, {"kind": fnn.Dense(8, 3)(trunk), "size": fnn.Dense(8, 1)(trunk)})
    net.compile({"kind": "cross_entropy", "size": "mean_squared_error"})
    outputs = net.predict_samples(np.ones((2, 4)), n_samples=4)
    shares = net.predict_proba_samples(np.ones((2, 4)), n_samples=4)
    assert {name: mean.shape for name, mean in outputs.mean.items()} == {
        "kind": (2, 3),
        "size": (2, 1),
    }
    assert shares.mean["kind"].shape == (2, 3)
    assert shares.mean["size"] is None


def test_memory_does_not_grow_with_the_passes():
    net, X = deep("float32"), np.ones((1000, 4), np.float32)
    peaks = []
    for passes in (50, 1000):
        peaks.append(peak_of(partial(net.predict_samples, X, n_samples=passes))[0])
    assert peaks[1] < 2 * peaks[0] + 2**20


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize("method", ["predict_samples", "predict_proba_samples"])
def test_network_without_dropout_is_refused(backend, method):
    with pytest.raises(ValueError, match="Dropout layer of a rate above 0"):
        getattr(classifier(), method)(np.ones((2, 4)), n_samples=10)


def test_dropout_of_rate_zero_is_none():
    with pytest.raises(ValueError, match="Dropout layer of a rate above 0"):
        linear(rate=0.0).predict_samples(np.ones((2, 5)), n_samples=10)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_samples": 1}, ValueError, "n_samples must be an integer >= 2"),
        ({"n_samples": 2.5}, TypeError, "n_samples must be an integer"),
        ({"n_samples": True}, TypeError, "n_samples must be an integer"),
        ({"n_samples": 5, "seed": -1}, ValueError, "seed must be an integer >= 0"),
        ({"n_samples": 5, "return_samples": 1}, TypeError, "return_samples"),
        ({"n_samples": 5, "check_finite": 1}, TypeError, "check_finite"),
    ],
)
@pytest.mark.parametrize("method", ["predict_samples", "predict_proba_samples"])
def test_arguments_that_do_not_fit_are_refused(method, options, error, message):
    with pytest.raises(error, match=message):
        getattr(deep(), method)(np.ones((2, 4)), **options)


def test_number_that_is_not_finite_is_named(backend):
    X = np.ones((300, 4))
    X[250, 2] = np.nan
    with pytest.raises(ValueError, match=r"X must be finite, got X\[250, 2\] = nan"):
        deep().predict_samples(X, n_samples=100)
    assert deep().predict_samples(X, n_samples=100, check_finite=False).mean.shape == (300, 3)


def test_number_that_is_not_finite_is_named_where_dropout_comes_first(backend):
    with pytest.raises(ValueError, match=r"X must be finite in float32, got X\[1, 2\] = 1e\+39"):
        only_dropout(3, "float32").predict_samples([[1, 2, 3], [4, 5, 1e39]], n_samples=2)


def test_probabilities_need_a_classification_loss():
    net = linear()
    net.compile("mean_squared_error")
    with pytest.raises(ValueError, match="need a classification loss"):
        net.predict_proba_samples(np.ones((2, 5)), n_samples=10)
