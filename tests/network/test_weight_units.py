"""Weights have no unit: a common factor of them changes nothing, or is refused."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn as fnn
from fastnn.losses import BinaryCrossEntropy, CrossEntropy, MeanAbsoluteError, MeanSquaredError

FACTORS = {"float32": [1e-300, 1e-45, 1e-38, 1e38, 1e300], "float64": [1e-320, 1e-300, 1e300]}
EACH_FACTOR = pytest.mark.parametrize(
    ("dtype", "factor"), [(dtype, factor) for dtype, parts in FACTORS.items() for factor in parts]
)


def data(n=60):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    return X, X @ [1.0, -2.0, 0.5] + 1, rng.uniform(0.5, 2, n) * (np.arange(n) % 5 > 0)


def powers(factor):
    """A power of two near a factor: weights times it have the same bits."""
    return 2.0 ** np.round(np.log2(factor))


def network(loss="mean_squared_error", dtype="float64", n_out=1, optimizer=None):
    net = fnn.Sequential([fnn.Dense(3, n_out)], dtype=dtype)
    net.compile(loss, optimizer or fnn.Adam(0.05))
    return net


@EACH_FACTOR
@pytest.mark.parametrize("rule", ["data", "batch"])
def test_common_factor_changes_no_bit_of_a_training(backend, dtype, factor, rule):
    X, y, weights = data()
    results = []
    for w in (weights.round(2), weights.round(2) * powers(factor)):
        net = network(dtype=dtype)
        history = net.fit(X, y, epochs=3, sample_weight=w, weights_mean=rule)
        results.append((net.get_flat(), history["loss"], net.evaluate(X, y, w), net.score(X, y, w)))
    if factor > 1e-310:  # beyond, the weights themselves lose bits
        assert np.array_equal(results[0][0], results[1][0])
        assert results[0][1:] == results[1][1:]
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-2)


@EACH_FACTOR
def test_common_factor_changes_no_step(backend, dtype, factor):
    X, y, weights = data()
    nets = [network(dtype=dtype) for _ in range(2)]
    first = nets[0].train_step(X, y, weights), nets[0].loss_and_gradients(X, y, weights)
    w = weights * powers(factor)
    second = nets[1].train_step(X, y, w), nets[1].loss_and_gradients(X, y, w)
    assert second[0] == pytest.approx(first[0], rel=1e-2)
    for name, gradient in first[1][1].items():
        np.testing.assert_allclose(second[1][1][name], gradient, rtol=1e-2)


@pytest.mark.parametrize("array", [np.float32, np.float64])
@pytest.mark.parametrize("factor", [1e-42, 1e-38, 1e-30, 1e30])
def test_weights_of_both_types_train_in_float32(backend, array, factor):
    X, y, weights = data()
    net = network(dtype="float32")
    before = net.get_flat()
    net.train_step(
        X.astype(np.float32), y[:, None].astype(np.float32), (weights * factor).astype(array)
    )
    assert np.abs(net.get_flat() - before).min() > 0.01


@pytest.mark.parametrize("solver", ["lbfgs", "levenberg_marquardt"])
def test_common_factor_changes_nothing_of_a_solver(backend, solver):
    X, y, weights = data()
    y = y + np.random.default_rng(3).normal(size=len(y))
    parameters = []
    for factor in (1.0, 1e-40, 1e40):
        net = network(optimizer=solver, dtype="float32")
        net.fit(X, y, sample_weight=factor * weights)
        parameters.append(net.get_flat())
    np.testing.assert_allclose(parameters[1:], parameters[:1] * 2, rtol=1e-4)


def test_ensemble_scores_out_of_bag_in_any_units(backend):
    X, y, weights = data()
    scores = []
    for factor in (1.0, 2.0**-140):
        ensemble = fnn.Ensemble(network(dtype="float32"), 3, bootstrap=True)
        ensemble.fit(X, y, epochs=2, sample_weight=factor * weights)
        scores.append(ensemble.oob_score)
    assert scores[0] == scores[1]


# --------------------------------------------------------------- what is not divided by


@pytest.mark.parametrize("loss", [MeanSquaredError, MeanAbsoluteError])
@pytest.mark.parametrize(
    ("weight", "limit"), [(1e-40, "at least 1.18e-38"), (1e39, "the range of")]
)
def test_weights_of_a_sum_that_float32_cannot_hold_are_refused(backend, loss, weight, limit):
    X, y, _ = data()
    net = network(loss(reduction="sum"), "float32")
    before = net.get_flat()
    weights = np.full(len(X), weight)
    for call in (net.fit, net.train_step, net.loss_and_gradients, net.evaluate):
        with pytest.raises(ValueError, match=f"sample_weight must be .*{limit}"):
            call(X, y, sample_weight=weights)
    assert np.array_equal(net.get_flat(), before)


def test_weights_whose_sum_overflows_are_refused():
    X, y, weights = data()
    with pytest.raises(ValueError, match="sample_weight must have a finite sum"):
        network(MeanSquaredError(reduction="sum")).fit(X, y, sample_weight=1e307 * (1 + weights))


def test_weights_of_a_sum_keep_their_size(backend):
    X, y, weights = data()
    net = network(MeanSquaredError(reduction="sum"))
    small = net.evaluate(X, y, 2.0**-100 * weights)["loss"]
    assert small == 2.0**-100 * net.evaluate(X, y, weights)["loss"]


def test_weights_of_a_count_keep_their_size(backend):
    X, y, weights = data()
    nets = [network(optimizer=fnn.GradientDescent(rate)) for rate in (0.01, 0.01 * 2.0**30)]
    for net, factor in zip(nets, (1.0, 2.0**-30), strict=True):
        net.fit(X, y, epochs=3, sample_weight=factor * weights, weights_mean="count")
    np.testing.assert_array_equal(nets[0].get_flat(), nets[1].get_flat())


def test_weight_too_small_beside_the_largest_is_refused():
    X, y, weights = data()
    weights[3] = 1e-45
    with pytest.raises(
        ValueError, match=r"1.18e-38 times the largest.* sample_weight\[3\] = 1e-45"
    ):
        network(dtype="float32").fit(X, y, sample_weight=weights)


def test_custom_loss_receives_the_weights_as_they_are():
    X, y, weights = data()
    received = []

    def loss(output, target, w):
        received.append(w)
        return 0.0, np.zeros_like(output)

    network(fnn.CustomLoss(loss, weighted=True)).evaluate(X, y, 2.0**-90 * weights)
    assert np.array_equal(np.concatenate(received), 2.0**-90 * weights)


# -------------------------------------------------------------------- class weights


@pytest.mark.parametrize("factor", [1e-300, 1e-39, 3e37, 1e39, 1e300])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_of_fit_have_no_unit(backend, factor, weighted):
    X, y, weights = data()
    labels, factor = (y > 0).astype(int), powers(factor)
    parameters = []
    for f in (1.0, factor):
        net = network("cross_entropy", "float32", 2)
        net.fit(X, labels, epochs=3, class_weight={0: f, 1: 3 * f},
                sample_weight=weights if weighted else None)  # fmt: skip
        parameters.append(net.get_flat())
    assert np.array_equal(*parameters)


@pytest.mark.parametrize("factor", [1e-300, 1e-39, 3e37, 1e39, 1e300])
def test_class_weights_of_a_mean_of_elements_have_no_unit(backend, factor):
    X, y, _ = data()
    labels, results = (y > 0).astype(float), []
    for f in (1.0, powers(factor)):
        net = network(BinaryCrossEntropy(class_weight=(f, 3 * f)), "float32")
        history = net.fit(X, labels, epochs=3)
        results.append((net.get_flat().tolist(), history["loss"], net.evaluate(X, labels)))
    assert results[0] == results[1]


@pytest.mark.parametrize("weight", [1e39, 3e37, 1e-39])
@pytest.mark.parametrize(
    "loss",
    [CrossEntropy, lambda **options: BinaryCrossEntropy(reduction="sum", **options)],
    ids=["cross_entropy", "binary_cross_entropy"],
)
def test_class_weights_that_float32_cannot_hold_are_refused(loss, weight):
    name = r"class_weight of .* float32"
    width = 2 if loss is CrossEntropy else 1
    with pytest.raises(ValueError, match=name):
        network(loss(class_weight=(weight, 1.0)), "float32", width)
    network(loss(class_weight=(weight, 1.0)), "float64", width)


def test_class_weights_of_fit_that_a_sum_cannot_hold_are_refused():
    X, y, _ = data()
    net = network(CrossEntropy(reduction="sum"), "float32", 2)
    with pytest.raises(ValueError, match=r"class_weight, by sample, must be 0 or from 1.18e-38"):
        net.fit(X, (y > 0).astype(int), class_weight={0: 1e39, 1: 1.0})


def test_class_weights_too_different_for_float32_are_refused():
    X, y, _ = data()
    with pytest.raises(
        ValueError, match=r"class_weight, by sample, must be 0 or at least 1.18e-38"
    ):
        network("cross_entropy", "float32", 2).fit(
            X, (y > 0).astype(int), class_weight={0: 1e-45, 1: 1.0}
        )
