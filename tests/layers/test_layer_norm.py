"""Layer normalisation: as a function, as a layer, and inside networks."""

from __future__ import annotations

import copy
import pickle

import mpmath
import numpy as np
import pytest
from networks import gradient_error
from programs import dense, initial_storage

import fastnn as fnn
import fastnn.functional as F
from fastnn import backend as backends
from fastnn.program import Head, ProgramBuilder

TOLERANCE = {"float32": 1e-6, "float64": 2e-15}
WIDTHS = pytest.mark.parametrize("width", [1, 2, 3, 15, 16, 17, 33, 100, 1000, 1025, 2500])


def exact(row, epsilon):
    """(x - mean) / sqrt(variance + epsilon) to 50 digits, rounded once."""
    with mpmath.workdps(50):
        x = [mpmath.mpf(float(value)) for value in row]
        mean = sum(x) / len(x)
        spread = mpmath.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + mpmath.mpf(epsilon))
        return np.array([float((v - mean) / spread) for v in x])


# ------------------------------------------------------------------- values


@WIDTHS
@pytest.mark.parametrize("mean", [0, 1e4])
def test_rows_have_the_exact_values_wherever_their_mean_is(backend, dtype, rng, width, mean):
    x = (mean + rng.standard_normal((2, width))).astype(dtype)
    expected = [exact(row, 1e-5) for row in x]
    np.testing.assert_allclose(F.layer_norm(x), expected, rtol=0, atol=2 * TOLERANCE[dtype])


@WIDTHS
def test_scale_and_shift_come_last(backend, dtype, rng, width):
    x, scale, shift = rng.standard_normal((3, width)).astype(dtype)
    plain = F.layer_norm(x)
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    np.testing.assert_allclose(F.layer_norm(x, scale), plain * scale, **tolerance)
    np.testing.assert_allclose(F.layer_norm(x, None, shift), plain + shift, **tolerance)
    np.testing.assert_allclose(F.layer_norm(x, scale, shift), plain * scale + shift, **tolerance)


@pytest.mark.parametrize("width", [3, 100, 3000])
def test_rows_that_differ_in_their_last_place_keep_their_digits(backend, dtype, rng, width):
    """The variance is then far below the square of the mean's rounding error."""
    for share in (0.5, 1 / width):
        x = np.full(width, 12345.678, dtype)
        x += np.spacing(x) * (rng.random(width) < share)
        x[-1] += np.spacing(x[-1])
        expected = exact(x, 1e-30)
        np.testing.assert_allclose(F.layer_norm(x, epsilon=1e-30), expected, rtol=1e-5)


def test_tiny_deviations_are_kept_apart_from_epsilon(backend, dtype):
    x = np.array([1, 1, 1 + 4 * np.finfo(dtype).eps], dtype)
    expected = exact(x, 1e-30)
    np.testing.assert_allclose(F.layer_norm(x, epsilon=1e-30), expected, rtol=TOLERANCE[dtype])


def test_a_row_of_one_element_is_the_shift(backend, dtype):
    x = np.array([[5], [-1e30]], dtype)
    shift = np.array([3], dtype)
    np.testing.assert_array_equal(F.layer_norm(x, shift, shift), [[3], [3]])


def test_a_constant_row_is_zero(backend, dtype):
    np.testing.assert_array_equal(F.layer_norm(np.full(37, 0.1, dtype)), np.zeros(37))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@WIDTHS
def test_a_row_that_is_not_finite_is_nan_and_the_others_are_not(backend, dtype, rng, width, bad):
    x = rng.standard_normal((3, width)).astype(dtype)
    x[1, width // 2] = bad
    y = F.layer_norm(x)
    assert np.isnan(y[1]).all()
    assert np.isfinite(y[[0, 2]]).all()


def test_rows_whose_squares_overflow_are_normalised(backend, dtype):
    large = 4 * np.sqrt(np.finfo(dtype).max)
    result = F.layer_norm(np.array([large, -large, 0], dtype))
    np.testing.assert_allclose(result, [1.5**0.5, -(1.5**0.5), 0], rtol=1e-6)


def test_rows_whose_spread_has_no_reciprocal_are_nan(backend, dtype):
    largest = np.finfo(dtype).max
    assert np.isnan(F.layer_norm(np.array([largest, -largest, 0], dtype))).all()


def test_rows_of_any_leading_shape(backend, dtype, rng):
    x = rng.standard_normal((2, 3, 4, 5)).astype(dtype)
    np.testing.assert_array_equal(F.layer_norm(x)[1, 2], F.layer_norm(x[1, 2]))
    assert F.layer_norm(x[:0]).shape == (0, 3, 4, 5)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda x: F.layer_norm(x, [1.0, 2.0]), ValueError, r"scale must have shape \(3,\)"),
        (lambda x: F.layer_norm(x, None, [1.0]), ValueError, r"shift must have shape \(3,\)"),
        (lambda x: F.layer_norm(x, np.ones(3, "f")), TypeError, "scale must be float64 as x is"),
        (lambda x: F.layer_norm(x, epsilon=0), ValueError, "epsilon must be a finite number > 0"),
        (lambda x: F.layer_norm(x, epsilon="tiny"), TypeError, "epsilon must be a real number"),
        (lambda x: F.layer_norm(x, x[0], out=x), ValueError, "share no memory with scale"),
        (lambda x: F.layer_norm(3.0), ValueError, "at least 1 dimension"),
    ],
)
def test_mistakes_are_named(backend, act, error, message):
    with pytest.raises(error, match=message):
        act(np.ones((2, 3)))


# -------------------------------------------------------------- derivatives


def torch_gradients(torch, x, scale, shift, dy):
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, scale, shift)]
    y = torch.nn.functional.layer_norm(tensors[0], x.shape[1:], *tensors[1:])
    gradients = torch.autograd.grad(y, tensors, torch.tensor(dy))
    return [a.detach().numpy() for a in (y, *gradients)]


@pytest.mark.parametrize("width", [2, 15, 16, 17, 100, 1025])
def test_layer_and_its_gradients_equal_those_of_pytorch(backend, dtype, rng, width):
    torch = pytest.importorskip("torch")
    x, dy = rng.standard_normal((2, 6, width)).astype(dtype)
    scale, shift = rng.standard_normal((2, width)).astype(dtype)
    layer = fnn.LayerNorm(width, scale=scale, shift=shift, dtype=dtype)
    found = layer(x), layer.backward(dy), layer.gradients["scale"], layer.gradients["shift"]
    expected = torch_gradients(torch, *(a.astype(float) for a in (x, scale, shift, dy)))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=20 * TOLERANCE[dtype])


def test_nothing_reaches_the_input_of_a_layer_of_width_one(backend, rng):
    layer = fnn.LayerNorm(1, dtype="float64")
    x, dy = rng.standard_normal((2, 5, 1))
    layer(x)
    np.testing.assert_array_equal(layer.backward(dy), np.zeros((5, 1)))
    np.testing.assert_allclose(layer.gradients["shift"], dy.sum(axis=0), rtol=1e-15)
    np.testing.assert_array_equal(layer.gradients["scale"], [0])


def test_the_gradient_has_no_component_that_normalising_removes(backend, rng):
    x, dy = rng.standard_normal((2, 4, 50))
    layer = fnn.LayerNorm(50, epsilon=1e-300, dtype="float64")
    y = layer(x)
    dx = layer.backward(dy)
    np.testing.assert_allclose(dx.sum(axis=1), 0, atol=1e-13)
    np.testing.assert_allclose((dx * y).sum(axis=1), 0, atol=1e-13)


def networks_with_layer_norm(**options):
    shared = fnn.LayerNorm(5, epsilon=0.01, name="norm")
    x = fnn.Input(3)
    first = shared(fnn.Dense(3, 5)(x))
    second = shared(fnn.Dense(5, 5, activation="tanh")(first))
    net = fnn.Network(x, fnn.Dense(5, 2)(fnn.Add()([first, second])), dtype="float64", seed=3)
    net.compile(loss="mean_squared_error", optimizer="adam", **options)
    return net


def test_gradients_of_a_layer_used_twice_equal_central_differences(backend, rng):
    net = networks_with_layer_norm(l2=0.1)
    assert gradient_error(net, rng.normal(size=(7, 3)), rng.normal(size=(7, 2))) < 1e-7


def test_backward_twice_gives_the_same(backend, rng):
    layer = fnn.LayerNorm(20, dtype="float64")
    dy = layer(rng.normal(size=(5, 20)))
    first = layer.backward(dy), layer.gradients["scale"].copy()
    second = layer.backward(dy), layer.gradients["scale"]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_layer_passes_the_gradient_and_stays(backend, rng):
    net = fnn.Sequential([fnn.Dense(3, 4), fnn.LayerNorm(4, trainable=False), fnn.Dense(4, 1)])
    net.compile(loss="mean_squared_error")
    before = {name: values.copy() for name, values in net.parameters.items()}
    net.train_step(rng.normal(size=(8, 3)), rng.normal(size=(8, 1)))
    for name, values in net.parameters.items():
        frozen = name.startswith("layer_norm_1.")
        assert np.array_equal(values, before[name]) == frozen, name


def test_neither_penalty_nor_decay_reach_scale_and_shift(backend, rng):
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    gradients = []
    for l2 in (0.0, 10.0):
        net = networks_with_layer_norm(l2=l2)
        gradients.append(net.loss_and_gradients(x, y)[1])
    for name in ("norm.scale", "norm.shift"):
        np.testing.assert_array_equal(gradients[0][name], gradients[1][name])
    assert not any(p.penalized for p in net.program.parameters if p.name.startswith("norm."))


# ---------------------------------------------------------------------- bits


def program_with_layer_norm(dtype):
    """Wide enough for padding, chunks of sums and several tasks of a vector."""
    builder = ProgramBuilder(dtype)
    x = dense(builder, builder.input("x", 30), 1100, "dense_1")
    vectors = [builder.parameter(key, (1100,), penalized=False) for key in ("scale", "shift")]
    x = builder.add("layer_norm", [x], "norm.A", vectors, epsilon=1e-5, scale=True, shift=True)
    x = dense(builder, x, 3, "dense_2")
    return builder.build([x]).with_heads([Head(x, "mean_squared_error")])


def test_a_row_alone_has_the_bits_it_has_in_a_batch(dtype, rng):
    if "compiled" not in backends.available():
        pytest.skip("a promise of the compiled engine")
    program = program_with_layer_norm(dtype)
    with backends.use("compiled"):
        engine = backends.new_engine(program, initial_storage(program))
    x = rng.normal(size=(40, 30)).astype(dtype)
    (together,) = engine.forward([x])
    for i in (0, 7, 39):
        np.testing.assert_array_equal(engine.forward([x[i : i + 1]])[0][0], together[i])


def test_training_and_prediction_compute_the_same_bits(backend, dtype, rng):
    layer = fnn.LayerNorm(45, dtype=dtype)
    x = rng.normal(size=(4, 45)).astype(dtype)
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))
    np.testing.assert_array_equal(layer(x), F.layer_norm(x, np.ones(45, dtype)))


# --------------------------------------------------------------- as a layer


def test_initial_scale_is_one_and_shift_zero():
    layer = fnn.LayerNorm(3)
    np.testing.assert_array_equal(layer.parameters["scale"], [1, 1, 1])
    np.testing.assert_array_equal(layer.parameters["shift"], [0, 0, 0])


@pytest.mark.parametrize("use_scale", [True, False])
@pytest.mark.parametrize("use_shift", [True, False])
def test_scale_and_shift_can_be_left_out(backend, rng, use_scale, use_shift):
    layer = fnn.LayerNorm(6, use_scale=use_scale, use_shift=use_shift, dtype="float64")
    wanted = {"scale": use_scale, "shift": use_shift}
    assert list(layer.parameters) == [key for key, used in wanted.items() if used]
    x = rng.normal(size=(3, 6))
    np.testing.assert_allclose(layer(x), F.layer_norm(x), rtol=1e-14)
    layer.backward(x)
    assert list(layer.gradients) == list(layer.parameters)


def test_summary_lists_it(backend):
    net = fnn.Sequential([fnn.Dense(4, 6), fnn.LayerNorm(6), fnn.Dense(6, 2)])
    (line,) = [line for line in net.summary().splitlines() if "LayerNorm(6)" in line]
    assert "layer_norm_1" in line
    assert "12" in line.split()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_pickles_and_copies_keep_values_and_options(backend, rng, duplicate):
    layer = fnn.LayerNorm(3, epsilon=0.1, use_shift=False, dtype="float64")
    layer.parameters["scale"][...] = [1, 2, 3]
    x = rng.normal(size=(2, 3))
    twin = duplicate(layer)
    assert twin.config == layer.config
    np.testing.assert_array_equal(twin(x), layer(x))


def test_a_saved_network_trains_on_as_if_not_interrupted(backend, dtype, rng, tmp_path):
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 2))
    net = fnn.Sequential([fnn.Dense(4, 9), fnn.LayerNorm(9), fnn.Dense(9, 2)], dtype=dtype)
    net.compile(loss="mean_squared_error", optimizer="adam")
    net.fit(x, y, epochs=2)
    net.save(tmp_path / "net.fastnn")
    loaded = fnn.load(tmp_path / "net.fastnn")
    for one in (net, loaded):
        one.fit(x, y, epochs=2)
    np.testing.assert_array_equal(loaded.get_flat(), net.get_flat())


# ------------------------------------------------------------------- program


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0, "scale": True, "shift": True}, "epsilon > 0"),
        ({"epsilon": 0.1, "scale": True, "shift": False}, "do not fit scale for an input"),
        ({"epsilon": 0.1, "scale": False, "shift": False}, "do not fit none for an input"),
        ({"epsilon": 0.1}, "whether there are scale and shift"),
    ],
)
def test_the_builder_refuses_what_does_not_fit(options, message):
    builder = ProgramBuilder()
    x = builder.input("x", 3)
    vectors = [builder.parameter(key, (3,)) for key in ("scale", "shift")]
    with pytest.raises(ValueError, match=message):
        builder.add("layer_norm", [x], "norm.A", vectors, **options)
