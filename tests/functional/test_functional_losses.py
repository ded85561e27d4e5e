"""Losses of single elements and the L2 penalty: value, gradient, weights, what is ignored."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
from row_losses import EACH_REDUCTION, TOLERANCE, check_gradient

import fastnn.functional as F
from fastnn import backend as backends
from fastnn.facts.losses import LOSSES, ElementOptions

INF, NAN = math.inf, math.nan
ELEMENTWISE = [name for name, row in LOSSES.items() if row.is_elementwise]
EACH_ELEMENTWISE = pytest.mark.parametrize("name", ELEMENTWISE)


def test_binary_cross_entropy_is_softplus_less_yz(backend, dtype, rng):
    z, y = rng.standard_normal((5, 3)).astype(dtype), rng.uniform(0, 1, (5, 3)).astype(dtype)
    expected = np.mean(np.log1p(np.exp(z.astype(float))) - y * z)
    assert F.binary_cross_entropy(z, y) == pytest.approx(expected, rel=TOLERANCE[dtype])


def test_squared_error_is_the_mean_over_samples_and_outputs(backend, dtype):
    a, y = np.array([[1, 2], [3, 4]], dtype), np.zeros((2, 2), dtype)
    assert F.mean_squared_error(a, y) == 30 / 4
    assert F.mean_squared_error(a, y, reduction="sum") == 30
    assert F.mean_squared_error(a, y, reduction="half_sum") == 15


def test_absolute_error_has_gradient_zero_at_zero(backend, dtype):
    value, gradient = F.mean_absolute_error(
        np.array([-2, 0, 3], dtype), np.zeros(3), reduction="sum", gradient=True
    )
    assert value == 5
    np.testing.assert_array_equal(gradient, [-1, 0, 1])


def test_huber_is_quadratic_up_to_delta_and_linear_beyond(backend, dtype):
    r = np.array([-3, -2, 1, 2, 5], dtype)
    value, gradient = F.huber(r, np.zeros(5), delta=2.0, reduction="sum", gradient=True)
    assert value == (2 * 3 - 2) + 2 + 0.5 + 2 + (2 * 5 - 2)
    np.testing.assert_array_equal(gradient, [-2, -2, 1, 2, 2])


@EACH_ELEMENTWISE
@EACH_REDUCTION
@pytest.mark.parametrize("ignore_value", [None, 0.25, NAN])
def test_gradient_of_elementwise_losses(backend, rng, name, reduction, ignore_value):
    y = rng.uniform(0, 1, (4, 3))
    if ignore_value is not None:
        y[[0, 2], [1, 2]] = ignore_value
    options = {"reduction": reduction, "ignore_value": ignore_value}
    options["sample_weight"] = rng.uniform(0, 2, 4)
    if name == "binary_cross_entropy":
        options |= {"class_weight": [0.5, 3.0], "label_smoothing": 0.2}
    if name == "huber":
        options["delta"] = 0.7
    if name == "quantile":
        options["quantile"] = [0.1, 0.5, 0.8]

    def loss(z, **more):
        return getattr(F, name)(z, y, **options, **more)

    check_gradient(loss, 2 * rng.standard_normal((4, 3)))


@pytest.mark.parametrize(
    "name", ["binary_cross_entropy", "mean_squared_error", "mean_absolute_error", "huber"]
)
def test_elementwise_losses_equal_pytorch(backend, rng, name):
    torch = pytest.importorskip("torch")
    functions = {
        "binary_cross_entropy": torch.nn.functional.binary_cross_entropy_with_logits,
        "mean_squared_error": torch.nn.functional.mse_loss,
        "mean_absolute_error": torch.nn.functional.l1_loss,
        "huber": torch.nn.functional.huber_loss,
    }
    z, y = 3 * rng.standard_normal((6, 4)), rng.uniform(0, 1, (6, 4))
    prediction = torch.tensor(z, requires_grad=True)
    expected = functions[name](prediction, torch.tensor(y))
    expected.backward()
    value, gradient = getattr(F, name)(z, y, gradient=True)
    assert value == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(gradient, prediction.grad.numpy(), atol=1e-15)


@EACH_ELEMENTWISE
def test_ignored_targets_have_no_influence(backend, dtype, rng, name):
    a, y = rng.uniform(0, 1, (2, 6, 1)).astype(dtype)
    with_gap, target = a.copy(), y.copy()
    with_gap[2], target[2] = NAN, -7
    kept = [0, 1, 3, 4, 5]
    value, gradient = getattr(F, name)(with_gap, target, ignore_value=-7, gradient=True)
    expected = getattr(F, name)(a[kept], y[kept], gradient=True)
    assert value == pytest.approx(expected[0], rel=TOLERANCE[dtype])
    np.testing.assert_allclose(gradient[kept], expected[1], rtol=TOLERANCE[dtype])
    assert gradient[2] == 0


@EACH_ELEMENTWISE
@EACH_REDUCTION
def test_all_targets_ignored_give_zero(backend, dtype, name, reduction):
    a = np.full((3, 2), 2, dtype)
    value, gradient = getattr(F, name)(
        a, np.full((3, 2), NAN, dtype), ignore_value=NAN, reduction=reduction, gradient=True
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_class_weights_of_binary_cross_entropy_weigh_its_mean(backend):
    z = np.array([0.0, 0.0, 2.0])
    losses = [math.log(2), math.log(2), math.log1p(math.exp(-2))]
    weights = [1, 3, 3]
    expected = np.dot(weights, losses) / sum(weights)
    got = F.binary_cross_entropy(z, [0, 1, 1], class_weight=[1, 3])
    assert got == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("z", "y", "loss", "slope"),
    [
        (INF, 1, 0, 0),
        (-INF, 0, 0, 0),
        (INF, 0, INF, 1),
        (-INF, 1, INF, -1),
        (500, 1, 0, 0),
        (-500, 1, 500, -1),
        (40, 1, math.exp(-40), -math.exp(-40)),
    ],
)
def test_binary_cross_entropy_far_out(backend, dtype, z, y, loss, slope):
    value, gradient = F.binary_cross_entropy(np.array([z], dtype), [y], gradient=True)
    assert value == pytest.approx(loss, rel=1e-6, abs=1e-200)
    assert gradient[0] == pytest.approx(slope, rel=1e-6, abs=1e-200)


def test_one_dimension_is_one_output_per_sample(backend, rng):
    a, y, w = rng.uniform(0, 1, (3, 5))
    flat = F.mean_squared_error(a, y, sample_weight=w)
    column = F.mean_squared_error(a[:, None], y[:, None], sample_weight=w)
    assert flat == column


def test_sample_weights_apply_to_whole_rows(backend):
    a, y = np.array([[1.0, 2.0], [5.0, 5.0]]), np.zeros((2, 2))
    assert F.mean_squared_error(a, y, sample_weight=[3, 0]) == pytest.approx(5 / 2)


def test_integer_targets_are_converted(backend, dtype):
    assert F.mean_squared_error(np.array([1.5, 2], dtype), [1, 4]) == pytest.approx(2.125)


def test_kernels_return_the_loss_of_each_sample(backend, dtype, rng):
    kernels = backends.kernels(np.dtype(dtype))
    z = rng.standard_normal((4, 3)).astype(dtype)
    labels, losses = np.array([0, 1, 2, -1]), np.empty(4, dtype)
    kernels.cross_entropy_labels(z, labels, None, None, 0.0, -1, "mean", losses, None)
    expected = scipy.special.logsumexp(z, axis=1) - z[np.arange(4), labels]
    np.testing.assert_allclose(losses[:3], expected[:3], rtol=1e-5)
    assert losses[3] == 0
    weights = np.array([0, 1, 2, 3], dtype)  # which do not enter the losses of the samples
    kernels.cross_entropy_rows(z, np.ones_like(z), weights, None, 0.0, "sum", losses, None)
    np.testing.assert_allclose(losses, -scipy.special.log_softmax(z, axis=1).sum(axis=1), rtol=1e-5)
    elements = np.empty_like(z)
    kernels.elementwise_loss(
        "mean_squared_error", z, np.zeros_like(z), weights, ElementOptions(), "mean", elements, None
    )
    np.testing.assert_allclose(elements, z * z, rtol=1e-5)


# The L2 penalty


def test_l2_penalty_and_its_gradient(backend, dtype):
    w = np.array([[1, -2], [3, 0]], dtype)
    value, gradient = F.l2_penalty(w, 0.5, gradient=True)
    assert value == 0.25 * 14
    np.testing.assert_array_equal(gradient, 0.5 * w)
    assert gradient.dtype == dtype
    assert F.l2_penalty(w, 0.5) == value


def test_l2_penalty_of_nothing_is_zero():
    assert F.l2_penalty(np.empty(0), 1.0) == 0
