"""What the weighted losses of a batch are divided by: the weights of all data, or the batch's."""

import numpy as np
import pytest

import fastnn as fnn

SIZES = (1, 4, 7, 32, 100)


def fitted(data, size, loss="mean_squared_error", rate=0.0, epochs=1, n_out=1, **options):
    """A linear network after some epochs with batches of a size."""
    net = fnn.Sequential([fnn.Dense(1, n_out)], dtype="float64", seed=0)
    net.compile(loss, fnn.GradientDescent(rate))
    net.fit(*data, batch_size=size, epochs=epochs, **options)
    return net


@pytest.fixture
def shares(backend):
    """Rows that are all alike but for their targets: 90 zeros of weight 1, 10 ones of weight 9."""
    y = np.r_[np.zeros(90), np.ones(10)]
    return np.zeros((100, 1)), y, np.where(y == 1, 9.0, 1.0)


@pytest.mark.parametrize("size", [1, 4, 10, 25, 100])
def test_minimum_does_not_depend_on_the_size_of_batches(shares, size):
    X, y, weights = shares
    rate = 0.02 * size / 100  # so small that an epoch is nearly a step on all rows
    net = fitted((X, y), size, rate=rate, epochs=200, sample_weight=weights)
    assert net.predict(X[:1]).item() == pytest.approx(0.5, abs=0.01)


def test_means_of_batches_can_be_chosen(shares):
    X, y, weights = shares
    net = fitted((X, y), 1, rate=0.003, epochs=60, sample_weight=weights, weights_mean="batch")
    assert net.predict(X[:1]).item() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("size", SIZES)
def test_class_weights_are_divided_by_their_mean(shares, size):
    X, y, weights = shares
    by_class = fitted((X, y.astype(int)), size, "cross_entropy", 0.1, 3, 2, class_weight=[1, 9])
    by_row = fitted((X, y.astype(int)), size, "cross_entropy", 0.1, 3, 2, sample_weight=weights)
    np.testing.assert_allclose(by_class.get_flat(), by_row.get_flat(), rtol=1e-12, atol=1e-15)


def cases(rng):
    """Data, loss, number of outputs and weights by name, each with rows that weigh less."""
    X = rng.normal(size=(100, 1))
    labels, rows = rng.integers(0, 3, 100), rng.normal(size=(100, 2))
    some = np.where(rng.uniform(size=rows.shape) < 0.4, np.nan, rows)
    weights = rng.uniform(0, 3, 100) * (rng.uniform(size=100) < 0.7)
    ignoring = fnn.CrossEntropy(ignore_index=1)
    missing = fnn.MeanSquaredError(ignore_value=np.nan)
    return {
        "sample weights": (X, rows, "huber", 2, weights),
        "missing targets": (X, some, missing, 2, None),
        "missing targets and weights": (X, some, missing, 2, weights),
        "ignored labels": (X, labels, ignoring, 3, None),
        "ignored labels and weights": (X, labels, ignoring, 3, weights),
        "weights of the loss": (X, labels, fnn.CrossEntropy(class_weight=[1, 5, 0.1]), 3, None),
        "no weights": (X, labels, "cross_entropy", 3, None),
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", cases(np.random.default_rng(0)))
def test_history_is_the_loss_of_evaluate(backend, name, size):
    X, y, loss, n_out, weights = cases(np.random.default_rng(1))[name]
    net = fitted((X, y), size, loss, n_out=n_out, sample_weight=weights)
    expected = net.evaluate(X, y, sample_weight=weights)["loss"]
    assert net.history["loss"][0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", cases(np.random.default_rng(0)))
def test_one_batch_of_all_rows_has_one_mean(backend, name):
    X, y, loss, n_out, weights = cases(np.random.default_rng(2))[name]
    nets = [
        fitted((X, y), 100, loss, 0.1, 3, n_out, sample_weight=weights, weights_mean=rule)
        for rule in ("data", "batch")
    ]
    np.testing.assert_allclose(*(net.get_flat() for net in nets), rtol=1e-10)


def test_steps_are_those_of_the_formula(backend, rng):
    """The losses of n rows are divided by n times the mean weight of all rows."""
    X, y, weights = rng.normal(size=(20, 1)), rng.normal(size=20), rng.uniform(0, 5, 20)
    slope, offset = fitted((X, y), 20).get_flat()
    for start in (0, 7, 14):
        x, t, w = X[start : start + 7, 0], y[start : start + 7], weights[start : start + 7]
        pull = 2 * w * (slope * x + offset - t) / (len(x) * weights.mean())
        slope, offset = slope - 0.1 * (pull * x).sum(), offset - 0.1 * pull.sum()
    net = fitted((X, y), 7, rate=0.1, shuffle=False, sample_weight=weights)
    np.testing.assert_allclose(net.get_flat(), [slope, offset], rtol=1e-12)


def test_backends_agree(rng):
    results = []
    for name in fnn.backend.available():
        with fnn.backend.use(name):
            X, y, loss, n_out, weights = cases(np.random.default_rng(3))[
                "missing targets and weights"
            ]
            net = fitted((X, y), 9, loss, 0.1, 4, n_out, sample_weight=weights)
            results.append(net.get_flat())
    for other in results[1:]:
        np.testing.assert_allclose(results[0], other, rtol=1e-10)


def test_an_unknown_rule_is_refused(backend, shares):
    with pytest.raises(
        ValueError, match="weights_mean must be one of data, batch, count, got 'epoch'"
    ):
        fitted(shares[:2], 4, weights_mean="epoch")


def test_signed_weights_follow_the_policy_gradient(backend, rng):
    """A step adds the rate times the mean of advantage times the gradient of log softmax."""
    X, actions = rng.normal(size=(12, 3)), rng.integers(0, 2, 12)
    advantages = rng.normal(size=12)
    advantages -= advantages.mean()  # they sum to about 0
    stepped, fitted_net = (
        fnn.Sequential([fnn.Dense(3, 2)], dtype="float64", seed=0) for _ in range(2)
    )
    for net in (stepped, fitted_net):
        net.compile("cross_entropy", fnn.GradientDescent(0.5))
    before = stepped.parameters["dense_1.weight"].copy()
    z = stepped.predict(X)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    slope = X.T @ (advantages[:, None] * (np.eye(2)[actions] - p)) / 12
    stepped.train_step(X, actions, advantages, weights_mean="count")
    fitted_net.fit(X, actions, epochs=1, sample_weight=advantages, weights_mean="count")
    for net in (stepped, fitted_net):
        np.testing.assert_allclose(
            net.parameters["dense_1.weight"], before + 0.5 * slope, rtol=1e-12, atol=1e-15
        )


def test_the_count_is_of_observed_targets(backend, rng):
    X, y = rng.normal(size=(20, 1)), rng.normal(size=(20, 2))
    y[::3, 1] = np.nan
    loss = fnn.MeanSquaredError(ignore_value=np.nan)
    net = fitted((X, y), 20, loss, n_out=2, sample_weight=np.full(20, 3.0), weights_mean="count")
    plain = net.evaluate(X, y)["loss"]
    assert net.history["loss"][0] == pytest.approx(3 * plain, rel=1e-12)


@pytest.mark.parametrize("rule", ["data", "batch"])
def test_negative_weights_need_the_count(backend, shares, rule):
    with pytest.raises(ValueError, match="sample_weight"):
        fitted(shares[:2], 4, sample_weight=-shares[2], weights_mean=rule)


def test_weights_that_are_not_finite_are_refused_with_the_count(backend, shares):
    with pytest.raises(ValueError, match="sample_weight"):
        fitted(shares[:2], 4, sample_weight=np.full(100, np.inf), weights_mean="count")


def test_negative_weights_cannot_be_held_out(backend, shares):
    X, y, weights = shares
    with pytest.raises(ValueError, match="validation_split needs sample_weight >= 0"):
        fitted((X, y), 4, sample_weight=-weights, weights_mean="count", validation_split=0.2)


def test_solvers_refuse_the_count(backend, shares):
    net = fnn.Sequential([fnn.Dense(1, 1)], dtype="float64", seed=0)
    net.compile("mean_squared_error", fnn.LBFGS())
    with pytest.raises(ValueError, match="weights_mean must be"):
        net.fit(*shares[:2], weights_mean="count")


def test_members_take_signed_weights(backend, rng):
    X, y, weights = rng.normal(size=(12, 1)), rng.normal(size=12), rng.normal(size=12)
    net = fnn.Sequential([fnn.Dense(1, 1)], dtype="float64", seed=0)
    net.compile("mean_squared_error", fnn.GradientDescent(0.1))
    ensemble = fnn.Ensemble(net, 2)
    options = {"epochs": 1, "shuffle": False, "sample_weight": weights, "weights_mean": "count"}
    net.set_flat(ensemble.members[1].get_flat())
    ensemble.fit(X, y, **options)
    net.fit(X, y, **options)
    np.testing.assert_allclose(ensemble.members[1].get_flat(), net.get_flat(), rtol=1e-14)


COUNTED = {
    "labels": ("cross_entropy", lambda rng: rng.integers(0, 2, 9)),
    "ignored labels": (fnn.CrossEntropy(ignore_index=1), lambda rng: rng.integers(0, 2, 9)),
    "class weights": (fnn.CrossEntropy(class_weight=[1, 3]), lambda rng: rng.integers(0, 2, 9)),
    "rows": ("mean_squared_error", lambda rng: rng.normal(size=(9, 2))),
    "missing rows": (
        fnn.MeanSquaredError(ignore_value=np.nan),
        lambda rng: np.where(rng.uniform(size=(9, 2)) < 0.3, np.nan, rng.normal(size=(9, 2))),
    ),
    "sum": (fnn.MeanSquaredError(reduction="sum"), lambda rng: rng.normal(size=(9, 2))),
}


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_quick_steps_with_the_count_give_the_bits_of_prepared_ones(
    backend, dtype, rng, name, weighted, kind
):
    loss, targets = COUNTED[name]
    X, y = rng.normal(size=(9, 3)).astype(kind), targets(rng)
    w = rng.normal(size=9).astype(kind) if weighted else None
    results = []
    for prepared in (False, True):
        net = fnn.Sequential([fnn.Dense(3, 2)], dtype=dtype, seed=0)
        net.compile(loss, fnn.Adam(0.1))
        losses = [
            net.train_step(X.tolist() if prepared else X, y, w, weights_mean="count")
            for _ in range(3)
        ]
        results.append([*losses, *net.get_flat()])
    np.testing.assert_array_equal(*results)


@pytest.mark.skipif("compiled" not in fnn.backend.available(), reason="needs compiled code")
@pytest.mark.parametrize("loss", ["cross_entropy", fnn.CrossEntropy(ignore_index=1)])
def test_steps_with_the_count_are_quick(rng, loss):
    with fnn.backend.use("compiled"):
        net = fnn.Sequential([fnn.Dense(3, 2)], seed=0)
        net.compile(loss)
    X, y, w = rng.normal(size=(9, 3)), rng.integers(0, 2, 9), rng.normal(size=9)
    engine = net.core.engine
    assert engine.direct_counting_step(X, y, 0.1, 1, True, None, w) is not None
    assert engine.direct_step(X, y, 0.1, 2, True, None, w) is None
    assert engine.direct_step(X, y, 0.1, 2, True, None, np.abs(w)) is not None
