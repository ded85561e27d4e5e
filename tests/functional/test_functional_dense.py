"""The dense layer as a function, and dropout with its random numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastnn.functional as F
from fastnn.backend.reference.random import threefry2x32
from fastnn.program import ACTIVATIONS

TOLERANCE = {"float32": 2e-6, "float64": 1e-14}
SHAPES = pytest.mark.parametrize(
    ("n", "k", "m"), [(1, 1, 1), (5, 3, 2), (7, 16, 16), (33, 20, 17), (64, 100, 10), (2, 300, 65)]
)


def layer(rng, n, k, m, dtype="float64"):
    """Samples, weight and bias."""
    x, weight = rng.standard_normal((n, k)), rng.standard_normal((k, m)) / math.sqrt(k)
    return tuple(a.astype(dtype) for a in (x, weight, rng.standard_normal(m)))


# Dense


@SHAPES
def test_dense_is_x_times_weight_plus_bias(backend, dtype, rng, n, k, m):
    x, weight, bias = layer(rng, n, k, m, dtype)
    expected = x.astype(float) @ weight.astype(float) + bias
    np.testing.assert_allclose(F.dense(x, weight, bias), expected, atol=4 * TOLERANCE[dtype])
    np.testing.assert_allclose(F.dense(x, weight), expected - bias, atol=4 * TOLERANCE[dtype])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dense_applies_the_activation(backend, dtype, rng, name):
    x, weight, bias = layer(rng, 6, 5, 19, dtype)
    z = np.empty((6, 19), dtype)
    y = F.dense(x, weight, bias, name, z=z)
    np.testing.assert_allclose(z, F.dense(x, weight, bias), rtol=1e-6)
    np.testing.assert_allclose(y, getattr(F, name)(z), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "alpha", "function"),
    [
        ("leaky_relu", 0.2, lambda z: F.leaky_relu(z, 0.2)),
        ("leaky_relu", None, lambda z: F.leaky_relu(z, 0.01)),
        ("silu", 2.0, lambda z: F.swish(z, 2.0)),
        ("elu", 0.5, lambda z: F.elu(z, 0.5)),
    ],
)
def test_dense_hands_alpha_to_the_activation(backend, rng, name, alpha, function):
    x, weight, bias = layer(rng, 4, 3, 5)
    z = F.dense(x, weight, bias)
    np.testing.assert_allclose(F.dense(x, weight, bias, name, alpha), function(z), rtol=1e-14)


def test_dense_on_any_leading_shape(backend, dtype, rng):
    x, weight, bias = layer(rng, 24, 5, 3, dtype)
    y = F.dense(x.reshape(2, 3, 4, 5), weight, bias, "tanh")
    np.testing.assert_array_equal(y, F.dense(x, weight, bias, "tanh").reshape(2, 3, 4, 3))
    assert F.dense(x[0], weight, bias).shape == (3,)


def test_dense_on_no_samples(backend, dtype):
    x, weight = np.empty((0, 4), dtype), np.ones((4, 3), dtype)
    assert F.dense(x, weight).shape == (0, 3)
    dx, dweight, dbias = F.dense_backward(x, weight, None, np.empty((0, 3), dtype))
    assert dx.shape == (0, 4)
    np.testing.assert_array_equal(dweight, np.zeros((4, 3)))
    np.testing.assert_array_equal(dbias, np.zeros(3))


def test_dense_into_out(backend, dtype, rng):
    x, weight, bias = layer(rng, 4, 3, 5, dtype)
    out = np.empty((4, 5), dtype)
    assert F.dense(x, weight, bias, "relu", out=out) is out
    np.testing.assert_array_equal(out, F.dense(x, weight, bias, "relu"))


@SHAPES
def test_dense_backward_is_the_matrix_form(backend, dtype, rng, n, k, m):
    x, weight, bias = layer(rng, n, k, m, dtype)
    z = F.dense(x, weight, bias)
    dy = rng.standard_normal((n, m)).astype(dtype)
    dx, dweight, dbias = F.dense_backward(x, weight, z, dy, "sigmoid")
    dz = dy.astype(float) * F.sigmoid_derivative(z.astype(float))
    scale = math.sqrt(max(n, m))
    np.testing.assert_allclose(dx, dz @ weight.T.astype(float), atol=scale * TOLERANCE[dtype])
    np.testing.assert_allclose(dweight, x.T.astype(float) @ dz, atol=scale * TOLERANCE[dtype])
    np.testing.assert_allclose(dbias, dz.sum(axis=0), atol=scale * TOLERANCE[dtype])


@pytest.mark.parametrize("name", [None, *ACTIVATIONS])
def test_dense_backward_equals_central_differences(backend, rng, name):
    arrays = layer(rng, 3, 4, 5)
    z = F.dense(*arrays)
    z += 1e-3 * (np.abs(z) < 1e-3)  # away from the kinks
    dy = rng.standard_normal(z.shape)
    gradients = F.dense_backward(arrays[0], arrays[1], z, dy, name)
    if name in ("binary_step", "zero_indicator"):
        assert not any(gradient.any() for gradient in gradients)
        return
    for i, gradient in enumerate(gradients):
        for index in np.ndindex(arrays[i].shape):
            costs = []
            for h in (1e-6, -1e-6):
                moved = [array.copy() for array in arrays]
                moved[i][index] += h
                costs.append(np.sum(F.dense(*moved, name) * dy))
            assert gradient[index] == pytest.approx((costs[0] - costs[1]) / 2e-6, abs=1e-7)


def test_dense_backward_leaves_its_arguments_alone(backend, rng):
    x, weight, bias = layer(rng, 3, 4, 5)
    arguments = [x, weight, F.dense(x, weight, bias), rng.standard_normal((3, 5))]
    copies = [a.copy() for a in arguments]
    F.dense_backward(*arguments, "tanh")
    for argument, copy in zip(arguments, copies, strict=True):
        np.testing.assert_array_equal(argument, copy)


X, W, B = np.ones((3, 4)), np.ones((4, 2)), np.ones(2)
SQUARE = np.ones((4, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: F.dense(X, np.ones((3, 2))),
            ValueError,
            r"weight must have shape \(4, M\).*\(3, 2\)",
        ),
        (lambda: F.dense(X, np.ones(4)), ValueError, r"weight must have shape .* got \(4,\)"),
        (lambda: F.dense(X, np.ones((4, 0))), ValueError, r"with M >= 1 .* got \(4, 0\)"),
        (
            lambda: F.dense(X, W.astype("f4")),
            TypeError,
            "weight must be float64 as x is, got float32",
        ),
        (lambda: F.dense(X, W, np.ones(3)), ValueError, r"bias must have shape \(2,\), got \(3,\)"),
        (
            lambda: F.dense(X, W, B.astype("f4")),
            TypeError,
            "bias must be float64 as x is, got float32",
        ),
        (
            lambda: F.dense(X, W, B, "softmax"),
            ValueError,
            "unknown activation 'softmax'; known are",
        ),
        (lambda: F.dense(X, W, B, 3), TypeError, "activation must be a string, got int"),
        (
            lambda: F.dense(X, W, B, "relu", 1.0),
            ValueError,
            "alpha must be None, relu has no param",
        ),
        (
            lambda: F.dense(X, W, B, "elu", math.nan),
            ValueError,
            "alpha must be a finite number, got nan",
        ),
        (lambda: F.dense(1.0, W), ValueError, "x must have at least 1 dimension, got a scalar"),
        (
            lambda: F.dense(SQUARE, SQUARE.copy(), out=SQUARE),
            ValueError,
            "out must share no memory with x",
        ),
        (
            lambda: F.dense(X, SQUARE, out=SQUARE[:3]),
            ValueError,
            "out must share no memory with weight",
        ),
        (lambda: F.dense(X, W, out=np.empty((3, 3))), ValueError, r"out must have shape \(3, 2\)"),
        (lambda: F.dense(X, W, z=np.empty((3, 3))), ValueError, r"z must have shape \(3, 2\)"),
        (
            lambda: F.dense_backward(X, W, None, np.ones((3, 2)), "relu"),
            ValueError,
            "z must be given",
        ),
        (
            lambda: F.dense_backward(X, W, None, np.ones((2, 2))),
            ValueError,
            r"dy must have shape \(3, 2\)",
        ),
        (
            lambda: F.dense_backward(X, W, np.ones((3, 1)), np.ones((3, 2)), "relu"),
            ValueError,
            r"z must have shape \(3, 2\), got \(3, 1\)",
        ),
    ],
)
def test_dense_refuses(backend, call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_out_and_z_must_differ(backend):
    both = np.empty((3, 2))
    with pytest.raises(ValueError, match="out must share no memory with z, got the same array"):
        F.dense(X, W, z=both, out=both)


# Dropout


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0xFD36D048, 0x2D17272C)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xBA3E4725, 0xF27D669E)),
    ],
)
def test_threefry_gives_the_known_answers_of_random123(counter, key, words):
    got = threefry2x32(key, *(np.array([c], np.uint32) for c in counter))
    assert tuple(int(word[0]) for word in got) == words


def threefry_of_one_counter(key, counter):
    """Threefry2x32-13 in Python integers."""
    mask = 0xFFFFFFFF
    schedule = [*key, 0x1BD11BDA ^ key[0] ^ key[1]]
    x = [(counter[i] + schedule[i]) & mask for i in (0, 1)]
    for i, rotation in enumerate([13, 15, 26, 6, 17, 29, 16, 24, 13, 15, 26, 6, 17]):
        x[0] = (x[0] + x[1]) & mask
        x[1] = (x[1] << rotation | x[1] >> (32 - rotation)) & mask ^ x[0]
        if i % 4 == 3:
            j = i // 4 + 1
            x[0] = (x[0] + schedule[j % 3]) & mask
            x[1] = (x[1] + schedule[(j + 1) % 3] + j) & mask
    return x


@pytest.mark.parametrize("width", [1, 15, 16, 17, 32, 50, 70])
def test_dropout_keeps_what_its_random_words_say(backend, dtype, width):
    rate, key, step = 0.3, 12345, 2**32 - 1
    got = F.dropout(np.ones((3, width), dtype), rate, key=key, step=step)
    for r, j in np.ndindex(got.shape):
        word = threefry_of_one_counter((key, step), (j // 32 * 16 + j % 16, r))[j // 16 % 2]
        assert (got[r, j] != 0) == (word >= round(rate * 2**32))


def test_backends_drop_the_same_elements(dtype, rng):
    from fastnn import backend as backends

    x = rng.standard_normal((37, 101)).astype(dtype)
    results = []
    for name in backends.available():
        with backends.use(name):
            results.append(F.dropout(x, 0.37, key=1, step=2))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_dropout_scales_what_it_keeps(backend, dtype, rng):
    x = 1 + rng.uniform(0, 1, (50, 60)).astype(dtype)
    y = F.dropout(x, 0.25, key=7, step=1)
    kept = y != 0
    factor = np.dtype(dtype).type(1 / 0.75)
    np.testing.assert_array_equal(y[kept], (x * factor)[kept])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share(backend, dtype, rate):
    n = 400 * 500
    kept = np.count_nonzero(F.dropout(np.ones((400, 500), dtype), rate, key=3, step=4))
    assert abs(kept - n * (1 - rate)) < 4 * math.sqrt(n * rate * (1 - rate))


def test_dropout_masks_are_independent_of_row_column_key_and_step(backend):
    x = np.ones((200, 320))
    masks = [F.dropout(x, 0.5, key=k, step=s) != 0 for k, s in ((1, 1), (2, 1), (1, 2))]
    base = masks[0]
    pairs = [(base, masks[1]), (base, masks[2]), (base[1:], base[:-1]), (base[:, 1:], base[:, :-1])]
    pairs += [(base[:, 16:], base[:, :-16]), (base[:, 32:], base[:, :-32])]
    for a, b in pairs:
        assert abs(np.mean(a == b) - 0.5) < 4 * 0.5 / math.sqrt(a.size)


def test_dropout_repeats_itself(backend):
    x = np.ones((5, 40))
    first, second = (F.dropout(x, 0.5, key=9, step=9) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_dropout_of_a_row_does_not_depend_on_the_rows_below(backend):
    x = np.ones((8, 40))
    np.testing.assert_array_equal(
        F.dropout(x, 0.5, key=1, step=1)[:3], F.dropout(x[:3], 0.5, key=1, step=1)
    )


def test_dropout_of_rate_zero_is_the_identity(backend, dtype, rng):
    x = rng.standard_normal((4, 33)).astype(dtype)
    np.testing.assert_array_equal(F.dropout(x, 0, key=1, step=1), x)


def test_dropped_nan_is_zero(backend):
    y = F.dropout(np.full((20, 20), np.nan), 0.5, key=1, step=1)
    assert set(np.unique(np.isnan(y))) == {False, True}
    np.testing.assert_array_equal(y[~np.isnan(y)], 0)


def test_dropout_in_place(backend, dtype, rng):
    x = rng.standard_normal((4, 33)).astype(dtype)
    expected = F.dropout(x, 0.5, key=1, step=1)
    assert F.dropout(x, 0.5, key=1, step=1, out=x) is x
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rate": 1.0}, ValueError, "rate must be a finite number >= 0 and < 1, got 1.0"),
        ({"rate": -0.1}, ValueError, "rate must be a finite number >= 0 and < 1, got -0.1"),
        ({"rate": None}, TypeError, "rate must be a real number, got NoneType"),
        ({"key": -1}, ValueError, "key must be an integer from 0 to 4294967295, got -1"),
        ({"key": 1.0}, TypeError, "key must be an integer, got float"),
        ({"step": 2**32}, ValueError, "step must be an integer from 0 to 4294967295"),
    ],
)
def test_dropout_refuses(backend, options, error, message):
    with pytest.raises(error, match=message):
        F.dropout(np.ones(3), **({"rate": 0.5, "key": 1, "step": 1} | options))
