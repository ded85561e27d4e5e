"""Cross-entropy: value, gradient, weights, smoothing and what is ignored."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from row_losses import EACH_REDUCTION, TOLERANCE, check_gradient

import fastnn.functional as F

INF, NAN = math.inf, math.nan


def one_hot(labels, n_classes):
    return np.eye(n_classes)[labels]


def test_cross_entropy_is_logsumexp_less_the_logit(backend, dtype, rng):
    z = (3 * rng.standard_normal((9, 6))).astype(dtype)
    labels = rng.integers(0, 6, 9)
    expected = scipy.special.logsumexp(z.astype(float), axis=1) - z[np.arange(9), labels]
    assert F.cross_entropy(z, labels) == pytest.approx(expected.mean(), rel=TOLERANCE[dtype])


def test_gradient_for_unnormalised_rows_is_sum_y_softmax_less_y(backend, dtype, rng):
    z = rng.standard_normal((5, 4)).astype(dtype)
    y = rng.uniform(0, 3, (5, 4)).astype(dtype)
    _, gradient = F.cross_entropy(z, y, reduction="sum", gradient=True)
    expected = y.sum(axis=1, keepdims=True) * scipy.special.softmax(z, axis=1) - y
    np.testing.assert_allclose(gradient, expected, atol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("width", [1, 2, 16, 17, 100])
def test_labels_equal_one_hot_rows(backend, dtype, rng, width):
    z = (3 * rng.standard_normal((6, width))).astype(dtype)
    labels = rng.integers(0, width, 6)
    by_label = F.cross_entropy(z, labels, label_smoothing=0.1, gradient=True)
    by_row = F.cross_entropy(z, one_hot(labels, width), label_smoothing=0.1, gradient=True)
    assert by_label[0] == pytest.approx(by_row[0], rel=TOLERANCE[dtype], abs=TOLERANCE[dtype])
    np.testing.assert_allclose(by_label[1], by_row[1], atol=TOLERANCE[dtype])


@EACH_REDUCTION
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_of_cross_entropy_with_labels(backend, rng, reduction, smoothing, weighted):
    options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": -1}
    if weighted:
        options["sample_weight"] = rng.uniform(0, 2, 5)
        options["class_weight"] = rng.uniform(0, 2, 4)
    labels = np.array([0, 3, -1, 2, 2])

    def loss(z, **more):
        return F.cross_entropy(z, labels, **options, **more)

    check_gradient(loss, rng.standard_normal((5, 4)))


@EACH_REDUCTION
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_of_cross_entropy_with_rows(backend, rng, reduction, smoothing, weighted):
    options = {"reduction": reduction, "label_smoothing": smoothing}
    if weighted:
        options["sample_weight"] = rng.uniform(0, 2, 5)
        options["class_weight"] = rng.uniform(0, 2, 4)
    rows = rng.uniform(0, 2, (5, 4))

    def loss(z, **more):
        return F.cross_entropy(z, rows, **options, **more)

    check_gradient(loss, rng.standard_normal((5, 4)))


@pytest.mark.parametrize("width", [2, 5, 16, 17, 100])
@pytest.mark.parametrize("smoothing", [0.0, 1e-3, 0.3, 1.0])
def test_weighted_labels_equal_one_hot_rows(backend, dtype, rng, width, smoothing):
    z = (3 * rng.standard_normal((6, width))).astype(dtype)
    labels = rng.integers(0, width, 6)
    options = {
        "class_weight": rng.uniform(0, 3, width), "sample_weight": rng.uniform(0, 2, 6),
        "label_smoothing": smoothing, "reduction": "sum", "gradient": True,
    }  # fmt: skip
    value, gradient = F.cross_entropy(z, labels, **options)
    expected = F.cross_entropy(z, one_hot(labels, width), **options)
    assert value == pytest.approx(expected[0], rel=10 * TOLERANCE[dtype])
    np.testing.assert_allclose(gradient, expected[1], atol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_smoothing_with_class_weights_is_pytorchs_formula(backend, rng, reduction):
    """As ATen's cross_entropy_loss_label_smoothing computes it (aten/src/ATen/native/LossNLL.cpp):
    (1 - s) nll_loss + s / K times the weighted sum of all terms, over the weights of the labels.
    """
    z, labels, s = rng.standard_normal((8, 5)), rng.integers(0, 5, 8), 0.2
    u = rng.uniform(0.5, 2, 5)
    terms = -scipy.special.log_softmax(z, axis=1)
    counted = labels != 1
    nll = (u[labels] * terms[np.arange(8), labels])[counted].sum()
    smooth = (terms @ u)[counted].sum()
    norm = u[labels][counted].sum() if reduction == "mean" else 1.0
    expected = (1 - s) * nll / norm + s / 5 * smooth / norm
    value = F.cross_entropy(
        z, labels, class_weight=u, label_smoothing=s, ignore_index=1, reduction=reduction
    )
    assert value == pytest.approx(expected, rel=1e-13)


def test_class_of_weight_0_keeps_the_smoothed_terms_of_other_classes(backend, dtype):
    z = np.array([[0.0, 1.0, -np.inf]], dtype)
    options = {"class_weight": [0.0, 2.0, 0.0], "label_smoothing": 0.3}
    value, gradient = F.cross_entropy(z, [0], **options, reduction="sum", gradient=True)
    p = 1 / (1 + math.exp(-1))
    assert value == pytest.approx(-0.1 * 2 * math.log(p), rel=10 * TOLERANCE[dtype])
    np.testing.assert_allclose(
        gradient[0], [0.2 * (1 - p), 0.2 * (p - 1), 0], atol=TOLERANCE[dtype]
    )


@pytest.mark.parametrize("weight", [1e39, 3e37, 1e-39])
def test_class_weight_that_float32_cannot_hold_is_refused(backend, weight):
    z = np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match=r"class_weight must be 0 or from 1.18e-38 to 7.92e\+28"):
        F.cross_entropy(z, [0, 1], class_weight=[weight, 1.0])
    with pytest.raises(ValueError, match=r"class_weight must be 0 or from 1.18e-38 to 7.92e\+28"):
        F.binary_cross_entropy(z[:, 0], z[:, 1], class_weight=[weight, 1.0])


@pytest.mark.parametrize("ignored", [None, 1])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_with_labels_equals_pytorch(
    backend, rng, ignored, smoothing, weighted, reduction
):
    torch = pytest.importorskip("torch")
    z, labels = rng.standard_normal((8, 5)), rng.integers(0, 5, 8)
    weight = rng.uniform(0.5, 2, 5) if weighted else None
    logits = torch.tensor(z, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(
        logits, torch.tensor(labels), None if weight is None else torch.tensor(weight),
        ignore_index=-100 if ignored is None else ignored, label_smoothing=smoothing,
        reduction=reduction,
    )  # fmt: skip
    expected.backward()
    value, gradient = F.cross_entropy(
        z, labels, class_weight=weight, ignore_index=ignored, label_smoothing=smoothing,
        reduction=reduction, gradient=True,
    )  # fmt: skip
    assert value == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(gradient, logits.grad.numpy(), atol=1e-14)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_with_rows_equals_pytorch(backend, rng, smoothing):
    torch = pytest.importorskip("torch")
    z, weight = rng.standard_normal((8, 5)), rng.uniform(0.5, 2, 5)
    rows = rng.dirichlet(np.ones(5), 8)
    logits = torch.tensor(z, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(
        logits, torch.tensor(rows), torch.tensor(weight), label_smoothing=smoothing
    )
    expected.backward()
    value, gradient = F.cross_entropy(
        z, rows, class_weight=weight, label_smoothing=smoothing, gradient=True
    )
    assert value == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(gradient, logits.grad.numpy(), atol=1e-14)


def test_mean_divides_by_the_weights_of_the_labels(backend):
    z, labels = np.zeros((3, 2)), [0, 1, 1]
    z[0, 0] = 5
    losses = [math.log1p(math.exp(-5)), math.log(2), math.log(2)]
    weights = [1 * 3, 2 * 0.5, 4 * 0.5]  # of the sample times of its class
    expected = np.dot(weights, losses) / sum(weights)
    got = F.cross_entropy(z, labels, sample_weight=[1, 2, 4], class_weight=[3, 0.5])
    assert got == pytest.approx(expected, rel=1e-14)


def test_mean_with_rows_divides_by_the_sample_weights(backend):
    z, rows = np.zeros((2, 2)), [[2.0, 0.0], [0.0, 3.0]]
    expected = (1 * 2 * 5 + 3 * 3 * 7) * math.log(2) / (1 + 3)
    got = F.cross_entropy(z, rows, sample_weight=[1, 3], class_weight=[5, 7])
    assert got == pytest.approx(expected, rel=1e-14)


@EACH_REDUCTION
def test_everything_ignored_gives_zero(backend, dtype, reduction):
    z = np.full((3, 4), NAN, dtype)
    value, gradient = F.cross_entropy(
        z, [2, 2, 2], ignore_index=2, reduction=reduction, gradient=True
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_ignored_rows_have_no_influence_even_as_nan(backend, dtype, rng):
    z = rng.standard_normal((4, 3)).astype(dtype)
    z[1] = NAN
    value, gradient = F.cross_entropy(z, [0, 9, 2, 1], ignore_index=9, gradient=True)
    kept = [0, 2, 3]
    expected = F.cross_entropy(z[kept], [0, 2, 1], gradient=True)
    assert value == pytest.approx(expected[0], rel=TOLERANCE[dtype])
    np.testing.assert_allclose(gradient[kept], expected[1], rtol=TOLERANCE[dtype])
    np.testing.assert_array_equal(gradient[1], 0)


def test_samples_of_weight_zero_have_no_influence(backend, dtype):
    z = np.array([[0, 0], [INF, NAN]], dtype)
    value, gradient = F.cross_entropy(z, [0, 0], sample_weight=[1, 0], gradient=True)
    assert value == pytest.approx(math.log(2), rel=1e-6)
    np.testing.assert_array_equal(gradient, [[-0.5, 0.5], [0, 0]])


def test_all_weights_zero_give_zero(backend, dtype):
    value, gradient = F.cross_entropy(
        np.ones((2, 3), dtype), [0, 1], sample_weight=[0, 0], gradient=True
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_logit_of_minus_infinity_with_target_zero_adds_nothing(backend, dtype):
    z = np.array([[0, -INF, 0]], dtype)
    value, gradient = F.cross_entropy(z, [[0.5, 0.0, 0.5]], gradient=True)
    assert value == pytest.approx(math.log(2), rel=1e-6)
    np.testing.assert_allclose(gradient, [[0, 0, 0]], atol=1e-7)


def test_impossible_label_costs_infinity(backend, dtype):
    assert F.cross_entropy(np.array([[0, -INF]], dtype), [1]) == INF


def test_label_of_an_infinite_logit_costs_nothing(backend, dtype):
    z = np.array([[0, INF]], dtype)
    value, gradient = F.cross_entropy(z, [1], gradient=True)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_small_loss_keeps_its_digits(backend, dtype):
    z = np.array([[60, 0]], dtype)
    value, gradient = F.cross_entropy(z, [0], gradient=True)
    assert value == pytest.approx(math.exp(-60), rel=1e-6)
    np.testing.assert_allclose(gradient, [[-math.exp(-60), math.exp(-60)]], rtol=1e-6)


def test_labels_of_any_leading_shape(backend, dtype, rng):
    z = rng.standard_normal((2, 3, 4)).astype(dtype)
    labels = rng.integers(0, 4, (2, 3))
    value, gradient = F.cross_entropy(z, labels, gradient=True)
    flat = F.cross_entropy(z.reshape(6, 4), labels.reshape(6), gradient=True)
    assert value == flat[0]
    np.testing.assert_array_equal(gradient, flat[1].reshape(z.shape))


def test_single_sample_without_leading_axis(backend):
    assert F.cross_entropy([0.0, 0.0], 1) == pytest.approx(math.log(2))


@pytest.mark.parametrize("integer", [np.int8, np.uint16, np.int32, np.uint64])
def test_labels_of_any_integer_type(backend, rng, integer):
    z = rng.standard_normal((4, 3))
    labels = np.array([0, 1, 2, 1])
    assert F.cross_entropy(z, labels.astype(integer)) == F.cross_entropy(z, labels)


def test_gradient_may_replace_the_logits(backend, dtype, rng):
    for width in (3, 40):
        z = rng.standard_normal((5, width)).astype(dtype)
        labels = rng.integers(0, 3, 5)
        rows = rng.uniform(0, 1, (5, width)).astype(dtype)
        for targets in (labels, rows):
            value, expected = F.cross_entropy(z, targets, label_smoothing=0.1, gradient=True)
            out = z.copy()
            got, gradient = F.cross_entropy(
                out, targets, label_smoothing=0.1, gradient=True, out=out
            )
            assert gradient is out
            assert got == value
            np.testing.assert_allclose(out, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_shifting_all_logits_changes_nothing(backend, data):
    n, k = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 40)))
    z = np.random.default_rng(n * 41 + k).standard_normal((n, k))
    labels = np.arange(n) % k
    shift = data.draw(st.floats(-100, 100))
    assert F.cross_entropy(z + shift, labels) == pytest.approx(
        F.cross_entropy(z, labels), rel=1e-10, abs=1e-12
    )
