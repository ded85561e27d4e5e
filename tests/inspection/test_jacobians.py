"""Jacobians of outputs by inputs and by parameters: against formulas and central differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn as fnn
from fastnn.inspection import _jacobian

STEP = {"float32": 1e-2, "float64": 1e-5}
ERROR = {"float32": 3e-3, "float64": 1e-8}


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def everything(dtype="float64"):
    """Shared layers, merges, a shortcut, layer normalisation, dropout, softmax; two inputs."""
    a, b = fnn.Input(3, name="a"), fnn.Input(3, name="b")
    shared = fnn.Dense(3, 4, activation="tanh", name="shared")
    left, right = shared(a), shared(b)
    norm = fnn.LayerNorm(4, epsilon=0.1, name="norm")
    h = fnn.Concatenate()([norm(fnn.Subtract()([left, right])), fnn.Multiply()([left, right])])
    h = fnn.Dropout(0.5)(fnn.Dense(8, 5, activation="swish", name="middle")(h))
    y = fnn.Add()([fnn.Dense(5, 2, name="top")(h), fnn.Dense(3, 2, use_bias=False)(a)])
    z = fnn.Softmax()(fnn.Dense(4, 3, name="soft")(norm(right)))
    return fnn.Network([a, b], {"y": y, "z": z}, dtype=dtype, seed=1)


def differences(predict, values, step):
    """Central differences of predict() by each of `values`, which it reads, along a last axis."""
    columns = []
    for index in np.ndindex(values.shape):
        kept = values[index]
        values[index] = kept + step
        above = predict()
        values[index] = kept - step
        columns.append((above - predict()) / (2 * step))
        values[index] = kept
    return np.stack(columns, axis=-1)


def close(found, expected, dtype):
    assert found.dtype == dtype
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error < ERROR[dtype]


def test_jacobian_of_a_linear_net_is_its_weight(backend, dtype, rng):
    net = fnn.Sequential([fnn.Dense(3, 2)], dtype=dtype)
    jacobian = net.input_gradients(rng.normal(size=(5, 3)))
    expected = np.broadcast_to(net.parameters["dense_1.weight"].T, (5, 2, 3))
    np.testing.assert_array_equal(jacobian, expected)


def test_parameter_jacobian_of_a_linear_net_is_its_input(backend, dtype, rng):
    net = fnn.Sequential([fnn.Dense(3, 2)], dtype=dtype)
    X = rng.normal(size=(5, 3)).astype(dtype)
    expected = np.zeros((5, 2, 8), dtype)
    for j in range(2):
        expected[:, j, j:6:2] = X
        expected[:, j, 6 + j] = 1
    np.testing.assert_array_equal(net.parameter_jacobian(X), expected.reshape(10, 8))


@pytest.mark.parametrize("output", ["y", "z"])
def test_input_gradients_are_the_central_differences(backend, dtype, rng, output):
    net = everything(dtype)
    X = {name: rng.normal(size=(4, 3)).astype(dtype) for name in "ab"}
    parts = [
        differences(lambda: net.predict(X)[output], X[name], STEP[dtype]).reshape(4, -1, 4, 3)
        for name in "ab"
    ]
    whole = np.concatenate(parts, axis=-1)
    expected = np.stack([whole[i, :, i] for i in range(4)])
    found = net.input_gradients(X, output=output)
    close(np.concatenate([found["a"], found["b"]], axis=-1), expected, dtype)


@pytest.mark.parametrize("output", ["y", "z"])
def test_parameter_jacobian_is_the_central_differences(backend, dtype, rng, output):
    net = everything(dtype)
    X = [rng.normal(size=(4, 3)) for _ in "ab"]
    parts = [
        differences(lambda: net.predict(X)[output].ravel(), view, STEP[dtype])
        for view in net.parameters.values()
    ]
    close(net.parameter_jacobian(X, output=output), np.concatenate(parts, axis=-1), dtype)


def test_parameters_of_a_kind_without_a_short_way_get_the_same_jacobian(
    backend, dtype, rng, monkeypatch
):
    X = [rng.normal(size=(3, 3)) for _ in "ab"]
    expected = everything(dtype).parameter_jacobian(X)
    monkeypatch.setattr(_jacobian, "_ROLES", ())
    found = everything(dtype).parameter_jacobian(X)
    for name in "yz":
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_blocks_of_rows_make_no_difference(backend, dtype, rng, monkeypatch):
    X = [rng.normal(size=(40, 3)) for _ in "ab"]
    inputs, parameters = everything(dtype).input_gradients(X), everything(dtype)
    whole = parameters.parameter_jacobian(X)
    monkeypatch.setattr(_jacobian, "_BLOCK_NUMBERS", 700)
    net = everything(dtype)
    for name in "yz":
        parts = net.input_gradients(X)[name]
        for part, expected in zip(parts, inputs[name], strict=True):
            np.testing.assert_allclose(part, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(net.parameter_jacobian(X)[name], whole[name], 1e-4, 1e-6)


def test_jacobian_follows_the_parameters(backend, rng):
    net = fnn.Sequential([fnn.Dense(3, 2)], dtype="float64")
    X = rng.normal(size=(5, 3))
    net.input_gradients(X)
    net.compile(loss="mean_squared_error")
    net.train_step(X, np.ones((5, 2)))
    assert (net.input_gradients(X)[4] == net.parameters["dense_1.weight"].T).all()


def test_frozen_parameters_have_zeros(backend, rng):
    net = fnn.Sequential(
        [fnn.Dense(3, 4, activation="tanh", trainable=False), fnn.Dense(4, 1)], dtype="float64"
    )
    jacobian = net.parameter_jacobian(rng.normal(size=(6, 3)))
    assert (jacobian[:, :16] == 0).all()
    assert (jacobian[:, 16:] != 0).all()


def test_jacobian_leaves_the_net_as_it_was(backend, rng):
    net = everything()
    net.compile(loss=["mean_squared_error", None])
    X, y = [rng.normal(size=(4, 3)) for _ in "ab"], np.zeros((4, 2))
    _, before = net.loss_and_gradients(X, y)
    net.input_gradients(X)
    net.parameter_jacobian(X)
    assert all((net.gradients[name] == before[name]).all() for name in before)


# ------------------------------------------------------------------ arguments


def test_a_single_sample_has_no_axis_of_samples(backend, rng):
    net = fnn.Sequential([fnn.Dense(3, 2, activation="tanh")], dtype="float64")
    x = rng.normal(size=3)
    np.testing.assert_array_equal(net.input_gradients(x), net.input_gradients(x[None])[0])


@given(
    n=st.integers(1, 7),
    width=st.integers(1, 20),
    n_out=st.integers(1, 18),
    layout=st.sampled_from(["C", "F", "strided", "reversed", "list", "integers", "float16"]),
)
@settings(max_examples=40, deadline=None)
def test_any_layout_and_type_of_samples_gives_the_same(n, width, n_out, layout):
    net = fnn.Sequential([fnn.Dense(width, n_out, "tanh"), fnn.LayerNorm(n_out)], dtype="float64")
    whole = np.random.default_rng(n).integers(-4, 5, (n, width)).astype(float)
    X = {
        "C": whole,
        "F": np.asfortranarray(whole),
        "strided": np.repeat(np.repeat(whole, 2, axis=0), 3, axis=1)[::2, ::3],
        "reversed": np.ascontiguousarray(whole[::-1])[::-1],
        "list": whole.tolist(),
        "integers": whole.astype(np.int16),
        "float16": whole.astype(np.float16),
    }[layout]
    jacobian = net.input_gradients(X)
    assert jacobian.shape == (n, n_out, width)
    np.testing.assert_array_equal(jacobian, net.input_gradients(whole))
    np.testing.assert_array_equal(net.parameter_jacobian(X), net.parameter_jacobian(whole))


def test_column_takes_one_column(backend, rng):
    net, X = fnn.Sequential([fnn.Dense(3, 2, activation="tanh")]), rng.normal(size=(4, 3))
    np.testing.assert_array_equal(net.input_gradients(X, column=1), net.input_gradients(X)[:, 1])
    np.testing.assert_array_equal(
        net.parameter_jacobian(X, column=1), net.parameter_jacobian(X)[1::2]
    )


def test_several_inputs_and_outputs_come_as_lists(backend, rng):
    a, b = fnn.Input(2), fnn.Input(3)
    h = fnn.Concatenate()([a, b])
    net = fnn.Network([a, b], [fnn.Dense(5, 1)(h), fnn.Dense(5, 4)(h)])
    X = [rng.normal(size=(6, 2)), rng.normal(size=(6, 3))]
    shapes = [[part.shape for part in parts] for parts in net.input_gradients(X)]
    assert shapes == [[(6, 1, 2), (6, 1, 3)], [(6, 4, 2), (6, 4, 3)]]
    assert [part.shape for part in net.parameter_jacobian(X)] == [(6, 30), (24, 30)]


@pytest.mark.parametrize("method", ["input_gradients", "parameter_jacobian"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "q"}, "output is 'q', but the network has 'y', 'z'"),
        ({"column": 0}, "column needs an output"),
        ({"output": "y", "column": 2}, "column must be an integer from 0 to 1, got 2"),
    ],
)
def test_a_choice_that_there_is_not_is_named(backend, method, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(everything(), method)([np.ones((2, 3)), np.ones((2, 3))], **options)


@pytest.mark.parametrize("method", ["input_gradients", "parameter_jacobian"])
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            [np.ones((2, 3)), [[1, 1, 1], [1, 1, np.nan]]],
            r"X\['b'\] must be finite, got X\['b'\]\[1, 2\] = nan",
        ),
        ([np.ones((0, 3)), np.ones((0, 3))], "must have at least one row"),
        ([np.ones((2, 4)), np.ones((2, 3))], r"X\['a'\] must have shape \(N, 3\), got \(2, 4\)"),
    ],
    ids=["nan", "empty", "width"],
)
def test_bad_input_is_named(backend, method, X, message):
    with pytest.raises(ValueError, match=message):
        getattr(everything(), method)(X)


def test_infinities_pass_where_they_are_not_checked(backend):
    net = fnn.Sequential([fnn.Dense(2, 1)])
    assert np.isfinite(net.input_gradients([[np.inf, 1.0]], check_finite=False)).all()
