"""Layers by themselves: values and gradients on arrays, tensors, copies, errors."""

import copy
import math
import pickle
from functools import partial

import exact
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from fastnn import activations, layers
from fastnn.facts.activations import ROWS
from fastnn.initializers import HeNormal
from fastnn.layers import (
    AbsDifference,
    Activation,
    Add,
    Average,
    Concatenate,
    Dense,
    Dropout,
    Input,
    Layer,
    LayerNorm,
    LeakyReLU,
    Multiply,
    ReLU,
    Subtract,
    Tensor,
)
from fastnn.network import Sequential

FORMULAS = {name: partial(exact.values, name) for name in activations.names()} | {
    "softmax": lambda z: softmax(z, axis=-1),
    "log_softmax": lambda z: log_softmax(z, axis=-1),
}
MERGES = {
    Add: lambda a, b: a + b,
    Subtract: lambda a, b: a - b,
    Multiply: lambda a, b: a * b,
    Average: lambda a, b: (a + b) / 2,
    AbsDifference: lambda a, b: np.abs(a - b),
    Concatenate: lambda a, b: np.concatenate([a, b], axis=1),
}
NAMED = [
    *(layers.CLASSES[name]() for name in sorted({row.layer for row in ROWS})),
    layers.GELU(approximate=True), layers.Softmax(), layers.LogSoftmax(),
]  # fmt: skip


def difference_quotients(f, x, dy, h=1e-6):
    """d sum(dy * f) / dx by central differences; x is changed in place and put back."""
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        start = x[index]
        x[index] = start + h
        above = np.sum(dy * f())
        x[index] = start - h
        below = np.sum(dy * f())
        x[index] = start
        gradient[index] = (above - below) / (2 * h)
    return gradient


# ------------------------------------------------------------------- dense


@pytest.mark.parametrize("name", FORMULAS)
def test_dense_computes_f_of_xw_plus_b(backend, dtype, rng, name):
    layer = Dense(3, 4, activation=name, bias=rng.normal(size=4), dtype=dtype, seed=0)
    x = rng.normal(size=(6, 3))
    weight, bias = layer.parameters["weight"], layer.parameters["bias"]
    expected = FORMULAS[name](x @ weight.astype(float) + bias)
    y = layer(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_dense_gradients_are_difference_quotients(backend, rng, name):
    layer = Dense(3, 4, activation=name, bias=rng.normal(size=4), dtype="float64", seed=0)
    x, dy = rng.normal(size=(5, 3)), rng.normal(size=(5, 4))
    layer(x)
    dx = layer.backward(dy)
    found = {key: value.copy() for key, value in layer.gradients.items()}
    np.testing.assert_allclose(dx, difference_quotients(lambda: layer(x), x, dy), atol=1e-7)
    for key, parameter in layer.parameters.items():
        expected = difference_quotients(lambda: layer(x), parameter, dy)
        np.testing.assert_allclose(found[key], expected, atol=1e-7, err_msg=key)


def test_dense_without_activation_has_the_matrix_gradients(backend, rng):
    layer = Dense(3, 2, dtype="float64", seed=1)
    x, dy = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    layer(x)
    np.testing.assert_allclose(layer.backward(dy), dy @ layer.parameters["weight"].T, rtol=1e-13)
    np.testing.assert_allclose(layer.gradients["weight"], x.T @ dy, rtol=1e-13)
    np.testing.assert_allclose(layer.gradients["bias"], dy.sum(axis=0), rtol=1e-13)


def test_dense_without_bias_has_no_bias(backend):
    layer = Dense(2, 3, use_bias=False)
    assert list(layer.parameters) == ["weight"]
    np.testing.assert_array_equal(layer([[0.0, 0.0]]), [[0, 0, 0]])


def test_backward_uses_the_values_x_had_when_the_layer_was_called(backend):
    layer = Dense(2, 1, weight=[[1.0], [1.0]], dtype="float64")
    x = np.array([[1.0, 2.0]])
    layer(x)
    x[...] = 100
    layer.backward([[1.0]])
    np.testing.assert_array_equal(layer.gradients["weight"], [[1], [2]])


def test_parameters_are_live(backend):
    layer = Dense(2, 1, dtype="float64")
    layer.parameters["weight"][...] = [[1], [2]]
    np.testing.assert_array_equal(layer([[3.0, 4.0]]), [[11.0]])


def test_a_single_row_gives_a_single_row(backend):
    layer = Dense(2, 3, dtype="float64", seed=0)
    y = layer([1.0, 2.0])
    np.testing.assert_array_equal(y, layer([[1.0, 2.0]])[0])
    assert layer([1.0, 2.0]).shape == (3,)
    assert layer.backward([1.0, 1.0, 1.0]).shape == (2,)


@pytest.mark.parametrize(
    "x", [[[1, 2]], np.array([[1, 2]], np.int8), np.array([[1.0, 2.0]], np.float16), [[True, True]]]
)
def test_any_real_numbers_are_taken(backend, x):
    layer = Dense(2, 1, weight=[[1.0], [1.0]])
    y = layer(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, [[np.sum(np.asarray(x, float))]])


def test_arrays_in_any_layout_give_the_same(backend, rng):
    layer = Dense(3, 2, dtype="float64", seed=0)
    x = rng.normal(size=(4, 3))
    for same in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x.astype(">f8")):
        np.testing.assert_array_equal(layer(same), layer(x))


def test_frozen_parameters_have_zero_gradients(backend):
    layer = Dense(2, 1, trainable=False)
    layer([[1.0, 2.0]])
    layer.backward([[1.0]])
    np.testing.assert_array_equal(layer.gradients["weight"], [[0], [0]])


def test_an_activation_layer_brings_its_parameter():
    layer = Dense(2, 1, activation=LeakyReLU(0.3))
    assert (layer.activation, layer.alpha) == ("leaky_relu", 0.3)


def test_one_seed_gives_one_layer():
    first, second = (Dense(3, 3, seed=5).parameters["weight"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_without_a_seed_layers_differ():
    first, second = (Dense(3, 3).parameters["weight"] for _ in range(2))
    assert not np.array_equal(first, second)


# -------------------------------------------------------------- activations


@pytest.mark.parametrize("layer", NAMED, ids=lambda layer: layer.function)
def test_activation_layers_compute_their_formula(backend, rng, layer):
    z = rng.normal(size=(6, 5))
    np.testing.assert_allclose(layer.copy()(z), FORMULAS[layer.function](z), atol=1e-13)


@pytest.mark.parametrize("layer", NAMED, ids=lambda layer: layer.function)
def test_activation_layers_pass_gradients_back(backend, rng, layer):
    layer = layer.copy()
    z, dy = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    layer(z)
    dz = layer.backward(dy)
    np.testing.assert_allclose(dz, difference_quotients(lambda: layer(z), z, dy), atol=1e-7)


@pytest.mark.parametrize(
    ("layer", "z", "expected"),
    [
        (layers.LeakyReLU(0.5), -2.0, -1.0),
        (layers.ELU(2.0), -1.0, 2 * math.expm1(-1)),
        (layers.Swish(beta=3.0), 1.0, expit(3.0)),
        (Activation("swish", 3.0), 1.0, expit(3.0)),
    ],
)
def test_activation_parameters_have_effect(backend, layer, z, expected):
    assert layer.copy()(np.array([[z]]))[0, 0] == pytest.approx(expected, rel=1e-14)


def test_an_unknown_activation_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"known are identity, .*, mish, .*softmax, log_softmax"):
        Activation("rely")


def test_aliases_of_activations_are_taken():
    assert Dense(2, 1, activation="silu").activation == "swish"
    assert Activation("linear").function == "identity"


def test_layers_without_parameters_follow_the_dtype_of_the_array(backend):
    assert ReLU()(np.ones((1, 2))).dtype == np.float64
    assert ReLU()(np.ones((1, 2), np.float32)).dtype == np.float32
    assert ReLU()([[1, 2]]).dtype == np.float32
    assert ReLU(dtype="float32")(np.ones((1, 2))).dtype == np.float32


# ------------------------------------------------------------------ dropout


def test_dropout_drops_its_share_and_scales_the_rest(backend):
    y = Dropout(0.25, seed=0)(np.ones((400, 50)))
    assert set(np.unique(y)) == {0, 1 / 0.75}
    # 20000 draws: five standard deviations are 0.0153.
    assert abs((y == 0).mean() - 0.25) < 0.0153


def test_dropout_is_the_identity_outside_training(backend, rng):
    x = rng.normal(size=(3, 4))
    np.testing.assert_array_equal(Dropout(0.5)(x, training=False), x)


def test_dropout_masks_the_gradient_alike(backend):
    layer = Dropout(0.5, seed=0)
    y = layer(np.ones((20, 10)))
    np.testing.assert_array_equal(layer.backward(np.ones((20, 10))), y)


def test_dropout_draws_a_new_mask_each_call(backend):
    layer = Dropout(0.5, seed=0)
    assert not np.array_equal(layer(np.ones((9, 9))), layer(np.ones((9, 9))))


def test_dropout_of_one_seed_repeats_its_masks(backend):
    x = np.ones((9, 9))
    np.testing.assert_array_equal(Dropout(0.5, seed=3)(x), Dropout(0.5, seed=3)(x))


def test_dropout_layers_of_different_seeds_differ(backend):
    x = np.ones((9, 9))
    assert not np.array_equal(Dropout(0.5, seed=3)(x), Dropout(0.5, seed=4)(x))


# ------------------------------------------------------------------- merges


@pytest.mark.parametrize("kind", MERGES)
def test_merges_compute_their_formula(backend, rng, kind):
    a, b = rng.normal(size=(2, 4, 3))
    np.testing.assert_allclose(kind()([a, b]), MERGES[kind](a, b), rtol=1e-14)


@pytest.mark.parametrize("kind", MERGES)
def test_merges_pass_gradients_back_to_every_input(backend, rng, kind):
    layer = kind()
    a, b = rng.normal(size=(2, 4, 3))
    dy = rng.normal(size=layer([a, b]).shape)
    da, db = layer.backward(dy)
    np.testing.assert_allclose(da, difference_quotients(lambda: layer([a, b]), a, dy), atol=1e-7)
    np.testing.assert_allclose(db, difference_quotients(lambda: layer([a, b]), b, dy), atol=1e-7)


def test_merges_take_many_inputs(backend, rng):
    parts = list(rng.normal(size=(4, 2, 3)))
    np.testing.assert_allclose(Average()(parts), np.mean(parts, axis=0), rtol=1e-14)
    np.testing.assert_allclose(Multiply()(parts), np.prod(parts, axis=0), rtol=1e-14)


def test_concatenation_takes_different_widths(backend):
    y = Concatenate()([[[1.0]], [[2.0, 3.0]]])
    np.testing.assert_array_equal(y, [[1, 2, 3]])


# ------------------------------------------------------------------ tensors


def test_a_layer_called_on_a_tensor_gives_a_tensor():
    x = Input(3)
    y = Dense(3, 5)(x)
    assert isinstance(y, Tensor)
    assert (y.width, y.inputs) == (5, (x,))


def test_concatenated_tensors_are_as_wide_as_all_together():
    assert Concatenate()([Input(2), Input(3)]).width == 5


# ---------------------------------------------------- copies, names, networks


def test_a_copy_has_the_same_values_of_its_own():
    layer = Dense(2, 2, activation="tanh")
    layer.parameters["bias"][...] = 1
    twin = layer.copy()
    np.testing.assert_array_equal(twin([[1.0, 2.0]]), layer([[1.0, 2.0]]))
    layer.parameters["weight"][...] = 0
    assert twin.parameters["weight"].any()


def test_a_copy_of_a_layer_without_values_yet_draws_its_own():
    layer = Dense(3, 3)
    twin = layer.copy()
    assert not np.array_equal(twin.parameters["weight"], layer.parameters["weight"])


def test_a_copy_of_explicit_values_keeps_them():
    layer = Dense(1, 2, weight=[[3.0, 4.0]])
    np.testing.assert_array_equal(layer.copy().parameters["weight"], [[3, 4]])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_pickles_and_deep_copies_keep_values_and_options(duplicate):
    layer = Dense(2, 3, activation=LeakyReLU(0.2), name="first", trainable=False, dtype="float64")
    expected = layer([[1.0, 2.0]])
    twin = duplicate(layer)
    assert twin.config == layer.config
    np.testing.assert_array_equal(twin([[1.0, 2.0]]), expected)


@pytest.mark.parametrize(
    "layer", [
        *NAMED, Dropout(0.3), Add(), Concatenate(), Dense(2, 3, "elu", alpha=2.0),
        LayerNorm(3, epsilon=0.1, use_shift=False, scale="zeros"),
    ],
    ids=repr,
)  # fmt: skip
def test_config_makes_such_a_layer_again(layer):
    assert type(layer)(**layer.config).config == layer.config


def test_a_layer_in_a_network_shares_its_parameters(backend):
    layer = Dense(2, 2)
    net = Sequential([layer])
    net.parameters["dense_1.weight"][...] = [[1, 2], [3, 4]]
    np.testing.assert_array_equal(layer.parameters["weight"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(layer([[1.0, 1.0]]), net.predict([[1.0, 1.0]]))


def test_a_layer_that_stood_alone_keeps_its_values_in_a_network():
    layer = Dense(3, 3, seed=9)
    before = layer.parameters["weight"].copy()
    net = Sequential([layer], seed=1)
    np.testing.assert_array_equal(net.parameters["dense_1.weight"], before)


def test_a_layer_seed_replaces_the_networks():
    alone = Dense(3, 3, seed=9).parameters["weight"]
    net = Sequential([Dense(3, 3), Dense(3, 3, seed=9)], seed=1)
    np.testing.assert_array_equal(net.parameters["dense_2.weight"], alone)


def test_repr_shows_how_the_layer_was_made():
    assert repr(Dense(2, 3, "relu", use_bias=False)) == (
        "Dense(2, 3, activation='relu', use_bias=False)"
    )
    assert repr(LeakyReLU(0.2)) == "LeakyReLU(alpha=0.2)"
    assert repr(Dropout(0.1)) == "Dropout(rate=0.1)"


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Dense(2, 3, "swish", alpha=2.0), "Dense(2, 3, activation='swish', alpha=2.0)"),
        (Dense(2, 3, "swish", alpha=1.0), "Dense(2, 3, activation='swish')"),
        (Dense(2, 3, LeakyReLU(0.2)), "Dense(2, 3, activation='leaky_relu', alpha=0.2)"),
        (Dense(2, 3, weight="ones", bias="ones"), "Dense(2, 3, weight=Ones(), bias=Ones())"),
        (Dense(2, 1, weight=[[1.0], [2.0]]), "Dense(2, 1, weight=Explicit(...))"),
        (Dense(2, 3, trainable=False, seed=4), "Dense(2, 3, trainable=False, seed=4)"),
        (Dropout(0.1, seed=3), "Dropout(rate=0.1, seed=3)"),
        (LayerNorm(3), "LayerNorm(3)"),
        (
            LayerNorm(3, epsilon=0.1, scale="zeros", shift=[1, 2, 3]),
            "LayerNorm(3, epsilon=0.1, scale=Zeros(), shift=Explicit(...))",
        ),
        (
            LayerNorm(3, use_scale=False, use_shift=False, trainable=False),
            "LayerNorm(3, use_scale=False, use_shift=False, trainable=False)",
        ),
    ],
    ids=repr,
)
def test_repr_shows_arguments_that_are_not_the_defaults(layer, text):
    assert repr(layer) == text


def test_every_layer_class_is_listed_for_loading():
    def subclasses(cls):
        for sub in cls.__subclasses__():
            yield sub
            yield from subclasses(sub)

    public = {cls for cls in subclasses(Layer) if cls.__module__.startswith("fastnn.")}
    abstract = {layers.CustomLayer, layers.Merge, layers._activations.FixedActivation}
    abstract.add(layers._tables.TableLayer)
    assert public - abstract == set(layers.CLASSES.values())


def test_he_scheme_of_the_leaky_layer_uses_its_slope():
    assert Dense(2, 1, "leaky_relu", alpha=0.7).initializers["weight"] == HeNormal(alpha=0.7)


def test_every_layer_is_exported_by_name():
    assert set(layers.CLASSES) < set(layers.__all__)
    assert all(hasattr(layers, name) for name in layers.__all__)


def test_every_activation_has_a_layer():
    assert {row.layer for row in ROWS} <= set(layers.CLASSES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_layer_of_an_activation_computes_it(row):
    function = getattr(layers, row.layer)().function
    assert function == ("gelu" if row.name == "gelu_tanh" else row.name)


def test_users_may_subclass_an_activation():
    class Own(ReLU):
        """A layer of a user."""

    assert Own().function == "relu"
