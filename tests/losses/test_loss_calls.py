"""Losses called on outputs: reductions, shapes, and the weight of the positive class."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import scipy.special

import fastnn as fnn
import fastnn.functional as F
from fastnn import losses
from fastnn.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanSquaredError, Poisson

EACH = pytest.mark.parametrize("reduction", ["mean", "sum", "half_sum", "none"])
BY_ELEMENT = ["mean_squared_error", "mean_absolute_error", "huber", "poisson"]
BY_ELEMENT += ["binary_cross_entropy"]


def arrays(rng, dtype, shape=(7, 3)):
    return rng.normal(size=shape).astype(dtype), rng.uniform(0, 1, shape).astype(dtype)


# Calls and reductions


@EACH
@pytest.mark.parametrize("name", BY_ELEMENT)
@pytest.mark.parametrize("weights", [None, (7,), (7, 3)])
def test_a_loss_of_elements_is_called_as_its_function(
    backend, dtype, rng, name, reduction, weights
):
    z, y = arrays(rng, dtype)
    w = None if weights is None else rng.uniform(size=weights).astype(dtype)
    got = losses.get({"name": name, "reduction": reduction})(z, y, w)
    expected = getattr(F, name)(z, y, sample_weight=w, reduction=reduction)
    np.testing.assert_array_equal(got, expected)
    assert np.shape(got) == ((7, 3) if reduction == "none" else ())


@EACH
@pytest.mark.parametrize("weights", [None, (7,)])
def test_cross_entropy_is_called_as_its_function(backend, dtype, rng, reduction, weights):
    z = rng.normal(size=(7, 3)).astype(dtype)
    labels = np.array([0, 1, 2, 0, -1, 2, 1])
    w = None if weights is None else rng.uniform(size=weights).astype(dtype)
    u = [1.0, 2.0, 0.5]
    options = {"class_weight": u, "ignore_index": -1, "reduction": reduction}
    got = CrossEntropy(**options)(z, labels, w)
    np.testing.assert_allclose(
        got, F.cross_entropy(z, labels, sample_weight=w, **options), rtol=1e-6
    )
    rows = rng.uniform(size=(7, 3)).astype(dtype)
    got = CrossEntropy(class_weight=u, reduction=reduction)(z, rows, w)
    expected = F.cross_entropy(z, rows, sample_weight=w, class_weight=u, reduction=reduction)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert np.shape(got) == ((7,) if reduction == "none" else ())


def test_losses_one_by_one_are_those_of_pytorch(backend, rng):
    torch = pytest.importorskip("torch")
    z, y = arrays(rng, "float64")
    labels = np.array([0, 1, 2, 0, -1, 2, 1])
    u = [1.0, 2.0, 0.5]
    of_torch = torch.nn.functional.cross_entropy(
        torch.tensor(z), torch.tensor(labels), torch.tensor(u, dtype=torch.float64),
        ignore_index=-1, reduction="none", label_smoothing=0.0,
    )  # fmt: skip
    ours = CrossEntropy(class_weight=u, ignore_index=-1, reduction="none")(z, labels)
    np.testing.assert_allclose(ours, of_torch, rtol=1e-12)
    p = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    of_torch = torch.nn.BCEWithLogitsLoss(pos_weight=p, reduction="none")(
        torch.tensor(z), torch.tensor(y)
    )
    ours = BinaryCrossEntropy(pos_weight=[0.5, 2, 3], reduction="none")(z, y)
    np.testing.assert_allclose(ours, of_torch, rtol=1e-12)


def test_rows_of_labels_one_by_one_with_missing_targets(backend):
    z = np.array([[0.0, 1.0], [2.0, 0.0], [math.inf, 0.0]])
    loss = CrossEntropy(ignore_nan=True, reduction="none")
    np.testing.assert_allclose(loss(z, [0.0, math.nan, math.nan]), [1.3132616875182228, 0, 0])
    rows = [[1.0, 0.0], [math.nan, 0.5], [math.nan, math.nan]]
    np.testing.assert_allclose(loss(z, rows), [1.3132616875182228, 0, 0])
    missing = MeanSquaredError(ignore_value=math.nan, reduction="none")
    np.testing.assert_array_equal(missing([[1.0, 2.0]], [[math.nan, 5.0]]), [[0, 9]])


def test_an_output_of_one_column_may_be_a_vector(backend):
    loss = Huber(0.5, reduction="none")
    np.testing.assert_array_equal(loss([1.0, 2.0], [1.0, 0.0]), [0, 0.875])
    np.testing.assert_array_equal(loss([[1.0], [2.0]], [1.0, 0.0]), [[0], [0.875]])
    assert MeanSquaredError()([1.0, 3.0], [0.0, 0.0]) == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Poisson()(1.0, 1.0), r"outputs must have shape \(N, K\) with elements, got \(\)"),
        (lambda: Poisson()([1.0], [-1.0]), r"targets must be >= 0, got targets\[0, 0\] = -1.0"),
        (lambda: Poisson()([1.0, 2.0], [1.0]), r"targets must have shape \(2, 1\), got \(1, 1\)"),
        (lambda: CrossEntropy()([1.0, 2.0], [0, 1]), "needs an output of at least 2 columns"),
        (
            lambda: CrossEntropy()(np.ones((2, 3)), [0, 1], np.ones((2, 3))),
            r"sample_weight must have shape \(2,\), got \(2, 3\)",
        ),
        (
            lambda: MeanSquaredError()(np.ones((2, 3)), np.ones((2, 3)), np.ones((3, 2))),
            r"sample_weight must have shape \(2, 3\), got \(3, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(backend, call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("loss", [MeanSquaredError, CrossEntropy, BinaryCrossEntropy])
def test_networks_refuse_losses_one_by_one(loss):
    net = fnn.Sequential([fnn.Dense(2, 2)])
    message = r"must have reduction 'mean', 'sum' or 'half_sum' .*call the loss itself"
    with pytest.raises(ValueError, match=message):
        net.compile(loss(reduction="none"))


def test_networks_refuse_an_unknown_reduction():
    with pytest.raises(ValueError, match="reduction must be one of mean, sum, half_sum, none"):
        MeanSquaredError(reduction="max")


# The weight of the positive class


def by_hand(z, y, p, smoothing=0.0):
    """PyTorch's definition, after smoothing: -(p y log s(z) + (1 - y) log(1 - s(z)))."""
    y = (1 - smoothing) * y + smoothing / 2
    return -(p * y * scipy.special.log_expit(z) + (1 - y) * scipy.special.log_expit(-z))


@pytest.mark.parametrize("p", [3.0, 0.0, [0.5, 2.0, 1e3], np.array([1.0, 1.0, 4.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_pos_weight_weighs_the_share_of_class_1(backend, dtype, rng, p, smoothing):
    z, y = arrays(rng, dtype)
    y[::2] = y[::2] > 0.5
    expected = by_hand(z.astype(float), y.astype(float), np.asarray(p), smoothing)
    tolerance = 30 * float(np.finfo(dtype).eps)
    options = {"pos_weight": p, "label_smoothing": smoothing}
    got = F.binary_cross_entropy(z, y, reduction="none", **options)
    np.testing.assert_allclose(got, expected, rtol=tolerance)
    mean = F.binary_cross_entropy(z, y, **options)
    assert mean == pytest.approx(expected.mean(), rel=tolerance)
    assert BinaryCrossEntropy(**options)(z, y) == mean


def test_a_pos_weight_of_1_changes_nothing(backend, dtype, rng):
    z, y = arrays(rng, dtype)
    plain, slope = F.binary_cross_entropy(z, y, gradient=True)
    got, gradient = F.binary_cross_entropy(z, y, pos_weight=1.0, gradient=True)
    assert got == pytest.approx(plain, rel=8 * float(np.finfo(dtype).eps))
    np.testing.assert_array_equal(gradient, slope)


def test_pos_weight_keeps_its_digits_at_confident_logits(backend):
    got = F.binary_cross_entropy([40.0, -40.0], [1.0, 0.0], pos_weight=1e6, reduction="none")
    np.testing.assert_allclose(got, [1e6 * math.exp(-40), math.exp(-40)], rtol=1e-14)
    infinite = F.binary_cross_entropy(
        [math.inf, -math.inf], [1.0, 0.0], pos_weight=2.0, reduction="none"
    )
    np.testing.assert_array_equal(infinite, [0, 0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradient_with_pos_weight_is_the_difference_quotient(backend, rng, smoothing, reduction):
    z, y = arrays(rng, "float64")
    y[0, 1] = math.nan
    options = {
        "pos_weight": [0.5, 2.0, 7.0], "label_smoothing": smoothing, "reduction": reduction,
        "class_weight": [1.0, 3.0], "ignore_value": math.nan,
        "sample_weight": rng.uniform(size=z.shape),
    }  # fmt: skip
    _, gradient = F.binary_cross_entropy(z, y, gradient=True, **options)
    h = 1e-6
    for i in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[i] = h
        above, below = (F.binary_cross_entropy(z + s, y, **options) for s in (step, -step))
        assert gradient[i] == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-9)


def network(loss, dtype="float64"):
    net = fnn.Sequential([fnn.Dense(4, 5, "tanh"), fnn.Dense(5, 3)], dtype=dtype, seed=1)
    net.compile(loss, fnn.GradientDescent(0.1))
    return net


def test_networks_train_with_pos_weight(backend, rng):
    X, (z, y) = rng.normal(size=(20, 4)), arrays(rng, "float64", (20, 3))
    loss = BinaryCrossEntropy(pos_weight=[0.5, 2, 3], label_smoothing=0.1)
    net = network(loss)
    cost, gradients = net.loss_and_gradients(X, y)
    z = net.predict(X)
    expected, slope = F.binary_cross_entropy(
        z, y, pos_weight=[0.5, 2, 3], label_smoothing=0.1, gradient=True
    )
    assert cost == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradients["dense_2.bias"], slope.sum(axis=0), rtol=1e-12)
    assert net.evaluate(X, y)["loss"] == pytest.approx(expected, rel=1e-13)
    net.fit(X, y, epochs=30, batch_size=20)
    assert net.evaluate(X, y)["loss"] < expected


def test_backends_agree_on_pos_weight(rng, dtype):
    X, (_, y) = rng.normal(size=(20, 4)).astype(dtype), arrays(rng, dtype, (20, 3))
    results = []
    for name in fnn.backend.available():
        with fnn.backend.use(name):
            net = network(BinaryCrossEntropy(pos_weight=[0.5, 2, 3]), dtype)
            net.fit(X, y, epochs=3, batch_size=8)
            results.append(net.get_flat())
    for other in results[1:]:
        tolerance = 2e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(results[0], other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("p", [None, 2.0, [0.5, 2.0, 3.0], np.float32(2), np.array([1, 2, 3])])
def test_pos_weight_is_saved(p):
    loss = BinaryCrossEntropy(pos_weight=p)
    net = network(loss)
    file = io.BytesIO()
    net.save(file)
    file.seek(0)
    assert fnn.load(file).losses == {"dense_2": loss}
    assert losses.get(loss.config) == loss


def test_files_without_pos_weight_load():
    config = BinaryCrossEntropy(label_smoothing=0.1).config
    del config["pos_weight"]
    assert losses.get(config) == BinaryCrossEntropy(label_smoothing=0.1)


@pytest.mark.parametrize(
    ("p", "error", "message"),
    [
        (-1.0, ValueError, "pos_weight must be a finite number >= 0, got -1.0"),
        (math.inf, ValueError, "pos_weight must be a finite number >= 0, got inf"),
        ([1.0, -1.0], ValueError, "pos_weight must be a finite number >= 0, got -1.0"),
        ("balanced", TypeError, "pos_weight must be a real number, got str"),
        ([], ValueError, "pos_weight must be a number or one for each column, got none"),
    ],
)
def test_pos_weights_that_are_none_are_refused(p, error, message):
    with pytest.raises(error, match=message):
        BinaryCrossEntropy(pos_weight=p)


def test_pos_weights_of_another_number_of_columns_are_refused():
    with pytest.raises(ValueError, match="pos_weight must be one number or 3, one for each column"):
        network(BinaryCrossEntropy(pos_weight=[1, 2]))
