"""Sample weights of the shape of the targets: a weight for each output of each row."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from teams import team

import fastnn as fnn
import fastnn.functional as F

LOSSES = [
    fnn.MeanSquaredError(),
    fnn.Huber(0.5, reduction="sum"),
    fnn.BinaryCrossEntropy(label_smoothing=0.1, class_weight=[1, 3], pos_weight=[1.0, 2.0, 0.5]),
    fnn.Poisson(reduction="half_sum"),
    fnn.MeanSquaredError(ignore_value=np.nan),
]
EACH = pytest.mark.parametrize("loss", LOSSES, ids=str)


def network(loss, optimizer=None, dtype="float64", **options):
    net = fnn.Sequential([fnn.Dense(4, 5, "tanh"), fnn.Dense(5, 3)], dtype=dtype, seed=1)
    net.compile(loss, optimizer or fnn.GradientDescent(0.05), **options)
    return net


@pytest.fixture
def data(rng):
    X, y = rng.normal(size=(30, 4)), rng.uniform(size=(30, 3))
    return X, y, rng.uniform(0, 2, y.shape) * (rng.uniform(size=y.shape) < 0.8)


def with_missing(loss, y):
    y = y.copy()
    if loss.ignore_value is not None:
        y[::4, 1] = np.nan
    return y


@EACH
def test_cost_is_that_of_the_function(backend, data, loss):
    X, y, w = data
    y = with_missing(loss, y)
    net = network(loss)
    options = {k: v for k, v in loss.config.items() if k not in ("name", "ignore_value")}
    expected, slope = getattr(F, loss.name)(
        net.predict(X), y, sample_weight=w, ignore_value=loss.ignore_value, gradient=True, **options
    )
    cost, gradients = net.loss_and_gradients(X, y, w)
    assert cost == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradients["dense_2.bias"], slope.sum(axis=0), rtol=1e-11, atol=1e-14)
    assert net.evaluate(X, y, w)["loss"] == pytest.approx(expected, rel=1e-12)
    assert net.train_step(X, y, w) == pytest.approx(expected, rel=1e-12)


@EACH
@pytest.mark.parametrize("rule", ["data", "batch", "count"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_equal_weights_in_a_row_are_the_weight_of_the_row(backend, data, loss, rule, shuffle):
    X, y, w = data
    y = with_missing(loss, y)
    options = {"epochs": 3, "batch_size": 7, "weights_mean": rule, "shuffle": shuffle}
    by_row, by_element = network(loss), network(loss)
    by_row.fit(X, y, sample_weight=w[:, 0], **options)
    by_element.fit(X, y, sample_weight=np.repeat(w[:, :1], 3, axis=1), **options)
    np.testing.assert_allclose(by_element.get_flat(), by_row.get_flat(), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(by_element.history["loss"], by_row.history["loss"], rtol=1e-11)


@pytest.mark.parametrize("convert", [False, True])
def test_weights_of_0_and_1_are_observed_and_missing_targets(backend, dtype, data, convert):
    X, y, w = data
    observed = w > 0.5
    missing = np.where(observed, y, np.nan)
    options = {"epochs": 3, "batch_size": 7}
    targets = [y, missing]
    if convert:  # a type that the engine has to gather
        targets = [t.astype(np.float16) for t in targets]
    by_weight, by_target = (
        network("mean_squared_error", dtype=dtype),
        network(LOSSES[-1], dtype=dtype),
    )
    by_weight.fit(X, targets[0], sample_weight=observed, **options)
    by_target.fit(X, targets[1], **options)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(
        by_weight.get_flat(), by_target.get_flat(), rtol=tolerance, atol=tolerance
    )


@EACH
@pytest.mark.parametrize("size", [1, 7, 30])
def test_history_is_the_loss_of_evaluate(backend, data, loss, size):
    X, y, w = data
    y = with_missing(loss, y)
    net = network(loss, fnn.GradientDescent(0.0), l2=0.1)
    net.fit(X, y, sample_weight=w, epochs=1, batch_size=size)
    expected = net.evaluate(X, y, sample_weight=w)["loss"]
    assert net.history["loss"][0] == pytest.approx(expected, rel=1e-12)


def test_backends_agree(data, dtype):
    X, y, w = data
    results = []
    for name in fnn.backend.available():
        with fnn.backend.use(name):
            net = network("huber", dtype=dtype)
            net.fit(X, y, sample_weight=w, epochs=3, batch_size=7)
            results.append(net.get_flat())
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for other in results[1:]:
        np.testing.assert_allclose(results[0], other, rtol=tolerance, atol=tolerance)


def test_bits_do_not_depend_on_threads(data):
    X, y, w = (np.tile(part, (40, 1)) for part in data)
    results = []
    for n in (1, 3):
        net = network("mean_squared_error", dtype="float32")
        with team(n):
            net.fit(X, y, sample_weight=w, epochs=1, batch_size=600)
        results.append(net.get_flat())
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("rule", ["batch", "count"])
@pytest.mark.parametrize("call", ["train_step", "loss_and_gradients"])
def test_quick_calls_give_the_bits_of_prepared_ones(data, dtype, kind, rule, call):
    X, y, w = (part.astype(kind) for part in data)
    nets = [network("mean_squared_error", dtype=dtype) for _ in range(2)]
    for net, weights in zip(nets, (w, w.tolist()), strict=True):  # a list has to be prepared
        if call == "train_step":
            net.train_step(X, y, weights, weights_mean=rule)
        else:
            gradients = net.loss_and_gradients(X, y, weights)[1]
            net.set_flat(np.concatenate([part.ravel() for part in gradients.values()]))
    np.testing.assert_array_equal(nets[0].get_flat(), nets[1].get_flat())


def test_signed_weights_of_elements_follow_the_formula(backend, data):
    X, y, w = data
    w = w - w.mean(axis=1, keepdims=True)  # those of a row sum to about 0
    net = network("mean_squared_error", fnn.GradientDescent(1.0))
    before, z = net.parameters["dense_2.bias"].copy(), net.predict(X)
    net.fit(X, y, sample_weight=w, epochs=1, batch_size=30, weights_mean="count")
    slope = (2 * w * (z - y)).sum(axis=0) / y.size
    np.testing.assert_allclose(net.parameters["dense_2.bias"], before - slope, rtol=1e-10)


def test_weights_of_rows_that_cancel_are_something_to_train_on(backend, data):
    X, y, _ = data
    w = np.tile([1.0, -1.0, 0.0], (30, 1))
    net = network("mean_squared_error")
    before = net.get_flat().copy()
    net.fit(X, y, sample_weight=w, epochs=1, weights_mean="count")
    assert not np.array_equal(net.get_flat(), before)


def test_scores_weigh_each_column_by_its_weights(backend, data):
    X, y, w = data
    net = network("mean_squared_error")
    expected = np.mean(
        [
            sklearn.metrics.r2_score(y[:, k], net.predict(X)[:, k], sample_weight=w[:, k])
            for k in range(3)
        ]
    )
    assert net.evaluate(X, y, w)["r2"] == pytest.approx(expected, rel=1e-12)
    labels = (y > 0.5).astype(float)
    net = network("binary_cross_entropy")
    right = (net.predict(X) >= 0) == labels
    accuracy = net.evaluate(X, labels, w)["accuracy"]
    assert accuracy == pytest.approx((right * w).sum() / w.sum(), rel=1e-12)


@pytest.mark.parametrize(
    "optimizer", [fnn.LBFGS(tolerance=1e-9, loss_tolerance=0.0), "levenberg_marquardt"]
)
def test_solvers_minimise_the_weighted_loss(backend, data, optimizer):
    X, y, w = data
    net = fnn.Sequential([fnn.Dense(4, 3)], dtype="float64", seed=0)
    net.compile("mean_squared_error", optimizer)
    net.fit(X, y, sample_weight=w, epochs=500)
    A = np.column_stack([X, np.ones(len(X))])
    for k in range(3):
        root = np.sqrt(w[:, k])
        exact = np.linalg.lstsq(root[:, None] * A, root * y[:, k])[0]
        got = [*net.parameters["dense_1.weight"][:, k], net.parameters["dense_1.bias"][k]]
        np.testing.assert_allclose(got, exact, atol=1e-5)


def test_several_losses_have_weights_of_their_own_shapes(backend, data, rng):
    X, y, w = data
    labels = rng.integers(0, 2, 30)
    x = fnn.Input(4)
    net = fnn.Network(x, {"size": fnn.Dense(4, 3)(x), "kind": fnn.Dense(4, 2)(x)}, dtype="float64")
    net.compile({"size": "mean_squared_error", "kind": "cross_entropy"})
    targets = {"size": y, "kind": labels}
    v = rng.uniform(size=30)
    metrics = net.evaluate(X, targets, {"size": w, "kind": v})
    outputs = net.predict(X)
    size = F.mean_squared_error(outputs["size"], y, sample_weight=w)
    kind = F.cross_entropy(outputs["kind"], labels, sample_weight=v)
    assert metrics["size_loss"] == pytest.approx(size, rel=1e-12)
    assert metrics["kind_loss"] == pytest.approx(kind, rel=1e-12)
    assert net.evaluate(X, targets, [w, v]) == metrics
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(30,\), got \(30, 3\)"):
        net.evaluate(X, targets, w)


def test_class_weights_multiply_weights_of_elements(backend, rng):
    X, y = rng.normal(size=(30, 4)), rng.integers(0, 2, (30, 1)).astype(float)
    w = rng.uniform(size=(30, 1))
    nets = []
    for weights in (w, w[:, 0]):
        net = fnn.Sequential([fnn.Dense(4, 1)], dtype="float64", seed=0)
        net.compile("binary_cross_entropy", fnn.GradientDescent(0.1))
        net.fit(X, y, sample_weight=weights, class_weight="balanced", epochs=2, batch_size=7)
        nets.append(net.get_flat())
    np.testing.assert_array_equal(*nets)


def test_validation_data_may_have_weights_of_elements(backend, data):
    X, y, w = data
    net = network("mean_squared_error")
    net.fit(X, y, epochs=2, validation_data=(X, y, w))
    assert net.history["val_loss"][-1] == net.evaluate(X, y, w)["loss"]


def test_a_checkpoint_belongs_to_its_weights(backend, data, tmp_path):
    X, y, w = data
    file = tmp_path / "run.fastnn"
    network("mean_squared_error").fit(X, y, sample_weight=w, epochs=2, checkpoint=file)
    with pytest.raises(ValueError, match="the training data or their weights"):
        network("mean_squared_error").fit(X, y, sample_weight=w + 1, epochs=2, checkpoint=file)


def test_a_trace_has_the_weighted_losses(backend, data):
    X, y, w = data
    trace = network("mean_squared_error").trace(X, y, w)
    z = network("mean_squared_error").predict(X)
    expected = (w * (z - y) ** 2).sum(axis=1) / w.sum() * 30
    np.testing.assert_allclose(trace.losses, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("cross_entropy", r"must have shape \(30,\), got \(30, 3\): cross_entropy has one loss"),
        (
            fnn.CustomLoss(lambda z, y, w: (0.0, 0 * z), weighted=True, name="mine"),
            r"must have shape \(30,\), got \(30, 3\): mine has one loss for a whole row",
        ),
    ],
)
@pytest.mark.parametrize("call", ["fit", "evaluate", "train_step", "loss_and_gradients"])
def test_losses_of_whole_rows_refuse_weights_of_elements(backend, data, loss, message, call):
    X, y, w = data
    with pytest.raises(ValueError, match=message):
        getattr(network(loss), call)(X, y, sample_weight=w)


@pytest.mark.parametrize("shape", [(30, 2), (3, 30), (30, 1), (30, 3, 1), (29, 3)])
def test_weights_of_another_shape_are_refused(backend, data, shape):
    X, y, _ = data
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(30(, 3|,)\), got"):
        network("mean_squared_error").evaluate(X, y, np.ones(shape))


def test_negative_weights_of_elements_are_refused(backend, data):
    X, y, w = data
    with pytest.raises(ValueError, match=r"sample_weight must be finite and >= 0"):
        network("mean_squared_error").train_step(X, y, w - 1)
