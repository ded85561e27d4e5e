"""Functions of elements and losses take arrays of any shape: scalars, n dimensions, empty ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastnn.functional as F
from fastnn.facts.losses import ROWS
from fastnn.program import ACTIVATIONS

HYPOTHESIS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
OF_SCIPY = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": scipy.special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "gelu": lambda x: x * scipy.special.ndtr(x),
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid_derivative": lambda x: scipy.special.expit(x) * scipy.special.expit(-x),
    "tanh_derivative": lambda x: 1 / np.cosh(x) ** 2,
}
ELEMENTWISE = sorted({*OF_SCIPY, *ACTIVATIONS, *(f"{name}_derivative" for name in ACTIVATIONS)})
BY_ELEMENT = [row for row in ROWS if row.is_elementwise]
SUMS = {"mean": np.mean, "sum": np.sum, "half_sum": lambda terms: np.sum(terms) / 2}


def numbers(rng, shape, dtype):
    return np.asarray(rng.uniform(0.05, 0.95, shape)).astype(dtype)


def terms_of(row, a, y):
    parameter = row.parameter.default if row.parameter else 0.0
    return row.formula(np, a.astype(float), y.astype(float), parameter)


@pytest.mark.parametrize("name", OF_SCIPY)
@HYPOTHESIS
@given(shape=SHAPES)
def test_functions_of_elements_equal_those_of_numpy_and_scipy(backend, dtype, name, shape):
    x = numbers(np.random.default_rng(1), shape, dtype)
    got = getattr(F, name)(x)
    assert got.shape == shape
    np.testing.assert_allclose(got, OF_SCIPY[name](x.astype(float)), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("x", [0.5, np.float32(0.5), np.array(0.5), np.array(0.5, "f4"), 1, True])
def test_a_scalar_gives_a_scalar(backend, name, x):
    got = getattr(F, name)(x)
    kind = np.float32 if getattr(x, "dtype", None) == np.float32 else np.float64
    assert type(got) is kind
    np.testing.assert_array_equal(got, getattr(F, name)(np.array([x], kind))[0])


@pytest.mark.parametrize("name", ["relu", "tanh_derivative", "leaky_relu", "log1p", "softmax"])
def test_a_scalar_goes_into_out(backend, name):
    x, out = np.array(0.5), np.empty(())
    assert getattr(F, name)(x, out=out) is out
    assert out == getattr(F, name)(0.5)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (0, 3), (2, 3, 4)])
def test_dropout_takes_any_shape(backend, dtype, shape):
    x = np.ones(shape, dtype)
    got = F.dropout(x, 0.5, key=1, step=2)
    assert got.shape == shape
    assert np.isin(got, [0, 2]).all()


@pytest.mark.parametrize("row", BY_ELEMENT, ids=lambda row: row.name)
@HYPOTHESIS
@given(shape=SHAPES, by_element=st.booleans())
def test_losses_of_elements_have_any_shape(backend, dtype, row, shape, by_element):
    rng = np.random.default_rng(2)
    a, y = numbers(rng, shape, dtype), numbers(rng, shape, dtype)
    w = numbers(rng, shape if by_element or len(shape) < 2 else shape[:-1], dtype)
    c = w if w.ndim == a.ndim else w[..., None]
    terms, slopes = terms_of(row, a, y)
    tolerance = 20 * float(np.finfo(dtype).eps)
    losses, gradient = getattr(F, row.name)(a, y, sample_weight=w, reduction="none", gradient=True)
    assert losses.shape == gradient.shape == shape
    assert losses.dtype == gradient.dtype == dtype
    np.testing.assert_allclose(losses, c * terms, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gradient, c * slopes, rtol=tolerance, atol=tolerance)
    total, gradient = getattr(F, row.name)(a, y, sample_weight=w, reduction="sum", gradient=True)
    assert total == pytest.approx(np.sum(c * terms), rel=tolerance, abs=tolerance)
    assert gradient.shape == shape


@pytest.mark.parametrize("row", BY_ELEMENT, ids=lambda row: row.name)
@pytest.mark.parametrize("reduction", SUMS)
def test_losses_of_scalars_are_those_of_one_sample(backend, row, reduction):
    loss, gradient = getattr(F, row.name)(0.25, 0.75, reduction=reduction, gradient=True)
    expected = getattr(F, row.name)([0.25], [0.75], reduction=reduction, gradient=True)
    assert loss == expected[0]
    assert type(gradient) is np.float64
    assert gradient == expected[1][0]
    assert type(getattr(F, row.name)(0.25, 0.75, reduction="none")) is np.float64


def test_huber_of_any_shape_equals_that_of_scipy(backend, rng):
    a, y = rng.standard_normal((2, 3, 4, 5))
    np.testing.assert_allclose(
        F.huber(a, y, delta=0.7, reduction="none"), scipy.special.huber(0.7, a - y), rtol=1e-14
    )


@HYPOTHESIS
@given(shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
def test_cross_entropy_has_the_shape_of_the_labels(backend, dtype, shape):
    rng = np.random.default_rng(3)
    z = numbers(rng, (*shape, 5), dtype)
    labels = rng.integers(0, 5, shape)
    w = numbers(rng, shape, dtype)
    log_p = scipy.special.log_softmax(z.astype(float), axis=-1)
    expected = -np.take_along_axis(log_p, np.expand_dims(labels, -1), -1)[..., 0] * w
    losses, gradient = F.cross_entropy(z, labels, sample_weight=w, reduction="none", gradient=True)
    assert losses.shape == shape
    assert losses.dtype == dtype
    np.testing.assert_allclose(losses, expected, rtol=30 * float(np.finfo(dtype).eps))
    _, of_sum = F.cross_entropy(z, labels, sample_weight=w, reduction="sum", gradient=True)
    np.testing.assert_array_equal(gradient, of_sum)
    rows = np.eye(5, dtype=dtype)[labels]
    np.testing.assert_allclose(
        F.cross_entropy(z, rows, sample_weight=w, reduction="none"), expected,
        rtol=30 * float(np.finfo(dtype).eps),
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0), (2, 0, 4)])
@pytest.mark.parametrize("row", BY_ELEMENT, ids=lambda row: row.name)
def test_losses_over_nothing(backend, dtype, row, shape):
    nothing = np.empty(shape, dtype)
    loss = getattr(F, row.name)
    assert math.isnan(loss(nothing, nothing))
    assert loss(nothing, nothing, reduction="sum") == 0
    value, gradient = loss(nothing, nothing, reduction="half_sum", gradient=True)
    assert value == 0
    assert gradient.shape == shape
    assert loss(nothing, nothing, reduction="none").shape == shape


def test_cross_entropy_over_no_samples(backend, dtype):
    z, labels = np.empty((0, 4), dtype), np.empty(0, int)
    assert math.isnan(F.cross_entropy(z, labels))
    assert F.cross_entropy(z, z, reduction="sum") == 0
    value, gradient = F.cross_entropy(z, labels, reduction="none", gradient=True)
    assert value.shape == (0,)
    assert gradient.shape == (0, 4)
    with pytest.raises(ValueError, match="logits must have at least 1 element along its last axis"):
        F.cross_entropy(np.empty((3, 0)), np.zeros(3, int), reduction="sum")


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_updates_take_any_shape(backend, dtype, shape):
    p, g, v = np.ones(shape, dtype), np.full(shape, 0.5, dtype), np.zeros(shape, dtype)
    F.momentum_update(p, g, v, learning_rate=0.5)
    np.testing.assert_array_equal(p, np.full(shape, 0.75))
    assert F.l2_penalty(p, 2.0) == pytest.approx(np.sum(p**2))
    assert F.clip_by_norm(g, 0.25) == pytest.approx(np.sqrt(0.25 * p.size))
