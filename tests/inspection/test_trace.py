"""What a trace shows: the numbers of the step itself, to the last bit, and right ones."""

import math

import numpy as np
import pytest
from networks import siamese
from scipy.special import log_softmax

import fastnn as fnn

OPTIMIZERS = {
    "gradient_descent": fnn.GradientDescent(0.1),
    "clipped": fnn.GradientDescent(0.1, clip_norm=0.05),
    "momentum": fnn.Momentum(0.1),
    "nesterov": fnn.Nesterov(0.1, clip_norm=0.05),
    "rmsprop": fnn.RMSprop(0.01),
    "centered_rmsprop": fnn.CenteredRMSprop(0.01),
    "adam": fnn.Adam(0.01),
    "amsgrad": fnn.AMSGrad(0.01, weight_decay=0.1),
    "adamw": fnn.AdamW(0.01, weight_decay=0.1),
}


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def chain(dtype="float64", optimizer="adam", n_in=4, **options):
    """Activations of all sorts one after another, layer normalisation, dropout; 3 classes."""
    layers = [
        fnn.Dense(n_in, 8, "sigmoid"),
        fnn.LayerNorm(8),
        fnn.Dense(8, 8, "swish"),
        fnn.Dropout(0.3),
        fnn.Dense(8, 40, "relu"),
        fnn.Dense(40, 3),
    ]
    net = fnn.Sequential(layers, dtype=dtype, seed=2)
    net.compile(loss="cross_entropy", optimizer=optimizer, **options)
    return net


def forked(dtype="float64", optimizer="adam"):
    """A shared layer, a shortcut, two heads, a frozen layer, a penalty."""
    a, b = fnn.Input(3, name="a"), fnn.Input(3, name="b")
    frozen = fnn.Dense(3, 4, "tanh", name="frozen", trainable=False)
    shared = fnn.Dense(4, 4, "softplus", name="shared")
    left, right = shared(frozen(a)), shared(frozen(b))
    h = fnn.Concatenate()([fnn.AbsDifference()([left, right]), a])
    heads = {"kind": fnn.Dense(7, 3)(h), "size": fnn.Dense(4, 2)(fnn.ReLU()(left))}
    net = fnn.Network([a, b], heads, dtype=dtype, seed=4)
    net.compile(
        {"kind": "cross_entropy", "size": "huber"}, optimizer, loss_weights={"size": 0.3}, l2=0.01
    )
    return net


def flowers(rng, n=7):
    return rng.normal(size=(n, 4)), rng.integers(0, 3, n)


def fork_data(rng, n=7):
    X = [rng.normal(size=(n, 3)) for _ in "ab"]
    return X, {"kind": rng.integers(0, 3, n), "size": rng.normal(size=(n, 2))}


# --------------------------------------------------------------- the same bits


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("n", [1, 3, 50])
def test_parameters_after_the_step_are_those_of_train_step(backend, dtype, rng, optimizer, n):
    net = chain(dtype, OPTIMIZERS[optimizer], l2=0.01 if n == 50 else 0.0)
    X, y = flowers(rng, n)
    net.train_step(X, y)
    trace = net.trace(X, y)
    assert trace.loss == net.train_step(X, y)
    for name, values in net.parameters.items():
        np.testing.assert_array_equal(trace.parameters[name].after, values)


def test_forked_network_with_weights_takes_the_same_step(backend, dtype, rng):
    net, (X, y) = forked(dtype), fork_data(rng)
    weights = {"kind": rng.random(7), "size": None}
    trace = net.trace(X, y, weights)
    assert trace.loss == net.train_step(X, y, weights)
    for name, values in net.parameters.items():
        np.testing.assert_array_equal(trace.parameters[name].after, values)


def test_intermediates_are_those_of_train_step(backend, dtype, rng):
    net, (X, y) = chain(dtype), flowers(rng)
    trace = net.trace(X, y)
    net.train_step(X, y)
    for name in ("dense_1", "dense_2", "dropout_1", "dense_3", "layer_norm_1"):
        for symbol, read in (("A", net.core.engine.value), ("dA", net.core.engine.gradient)):
            np.testing.assert_array_equal(getattr(trace[name], symbol), read(f"{name}.A"))
    np.testing.assert_array_equal(trace["dense_2"].dZ, net.core.engine.gradient("dense_2.Z"))


def test_subnormal_numbers_are_flushed_as_in_train_step(backend, rng):
    net = fnn.Sequential([fnn.Dense(1, 1, "sigmoid", weight=[[1.0]]), fnn.Dense(1, 1)], seed=1)
    net.compile("mean_squared_error", fnn.GradientDescent(1e38))
    X, y = [[-95.0]], [0.5]
    trace = net.trace(X, y)
    net.train_step(X, y)
    for name, values in net.parameters.items():
        np.testing.assert_array_equal(trace.parameters[name].after, values)


def test_number_of_threads_makes_no_difference(rng):
    net, (X, y) = chain(n_in=300), (rng.normal(size=(3000, 300)), rng.integers(0, 3, 3000))
    before = fnn.get_num_threads()
    try:
        fnn.set_num_threads(1)
        alone = net.trace(X, y)
        fnn.set_num_threads(2)
        together = net.trace(X, y)
    finally:
        fnn.set_num_threads(before)
    for name, parameter in alone.parameters.items():
        np.testing.assert_array_equal(together.parameters[name].after, parameter.after)


def test_trace_changes_nothing(backend, dtype, rng):
    net, (X, y) = chain(dtype), flowers(rng)
    net.train_step(X, y)
    _, gradients = net.loss_and_gradients(X, y)
    before = net.get_state()
    net.trace(X, y)
    after = net.get_state()
    assert after["training"] == before["training"]
    np.testing.assert_array_equal(after["parameters"], before["parameters"])
    for name, slot in before["slots"].items():
        np.testing.assert_array_equal(after["slots"][name], slot)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(net.gradients[name], gradient)


def test_trace_that_is_applied_is_a_train_step(backend, dtype, rng):
    traced, trained, (X, y) = chain(dtype), chain(dtype), flowers(rng)
    for _ in range(3):
        loss = trained.train_step(X, y)
        assert traced.trace(X, y, apply=True).loss == loss
    for name, values in trained.get_state().items():
        np.testing.assert_equal(traced.get_state()[name], values)


# ----------------------------------------------------------- worked by formula


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def test_worked_example_of_a_2_2_1_net_to_1e_12(backend):
    """Every number of the step by the chain rule, in Python's own floats."""
    net = fnn.Sequential(
        [
            fnn.Dense(2, 2, "sigmoid", weight=[[1, -1], [1, -1]], bias=[1, 0.5]),
            fnn.Dense(2, 1, weight=[[0.8], [-1]], bias=[-1]),
        ],
        dtype="float64",
    )
    net.compile("binary_cross_entropy", fnn.GradientDescent(0.1))
    trace = net.trace([[0.5, 1.0]], [1])

    x, y, w2 = (0.5, 1.0), 1.0, (0.8, -1.0)
    z1 = (0.5 * 1 + 1.0 * 1 + 1, 0.5 * -1 + 1.0 * -1 + 0.5)
    a1 = tuple(map(sigmoid, z1))
    z2 = a1[0] * w2[0] + a1[1] * w2[1] - 1
    p = sigmoid(z2)
    dz2 = p - y
    da1 = (dz2 * w2[0], dz2 * w2[1])
    dz1 = tuple(da * a * (1 - a) for da, a in zip(da1, a1, strict=True))
    dw1 = [[xi * dz for dz in dz1] for xi in x]
    dw2 = [[a * dz2] for a in a1]

    def same(found, expected):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)

    hidden, out = trace["dense_1"], trace["dense_2"]
    same(hidden.Z, [z1])
    same(hidden.A, [a1])
    same(hidden.dA, [da1])
    same(hidden.dZ, [dz1])
    same(hidden.dW, dw1)
    same(hidden.db, dz1)
    same(out.Z, [[z2]])
    same(out.dZ, [[dz2]])
    same(out.dW, dw2)
    same(out.db, [dz2])
    same(trace.losses, [-math.log(p)])
    same(trace.loss, -math.log(p))
    same(trace.heads["dense_2"].probabilities, [[p]])
    same(trace["input_1"].dA, [[dz1[0] - dz1[1], dz1[0] - dz1[1]]])
    same(trace.parameters["dense_1.weight"].after, [[1, -1], [1, -1]] - 0.1 * np.array(dw1))
    same(trace.parameters["dense_1.bias"].after, [1 - 0.1 * dz1[0], 0.5 - 0.1 * dz1[1]])
    same(trace.parameters["dense_2.weight"].after, [[0.8], [-1]] - 0.1 * np.array(dw2))
    same(trace.parameters["dense_2.bias"].after, [-1 - 0.1 * dz2])
    assert abs(p - 0.370604) < 5e-7


@pytest.mark.parametrize("reduction", ["half_sum", "mean"])
def test_tanh_tanh_sigmoid_net_by_both_paths(backend, rng, reduction):
    """s_i = the sum over ALL units above of s_k f'(z_k) w_ik, sample by sample."""
    layers = [fnn.Dense(2, 2, "tanh"), fnn.Dense(2, 2, "tanh"), fnn.Dense(2, 1, "sigmoid")]
    net = fnn.Sequential(layers, dtype="float64", seed=6)
    net.compile(fnn.MeanSquaredError(reduction=reduction), fnn.GradientDescent(0.5))
    X, y = rng.normal(size=(3, 2)), rng.random((3, 1))
    trace = net.trace(X, y)
    W2, W3 = (net.parameters[f"dense_{i}.weight"] for i in (2, 3))
    factor = 1.0 if reduction == "half_sum" else 2 / 3

    b1, dW2, dW3, s = np.zeros(2), np.zeros((2, 2)), np.zeros((2, 1)), np.zeros((3, 2))
    for n in range(3):
        a1, a2, a3 = (trace[f"dense_{i}"].A[n] for i in (1, 2, 3))
        s3 = factor * (a3[0] - y[n, 0])
        delta3 = s3 * a3[0] * (1 - a3[0])
        s2 = [delta3 * W3[k, 0] for k in range(2)]
        delta2 = [s2[k] * (1 - a2[k] ** 2) for k in range(2)]
        for i in range(2):
            s[n, i] = delta2[0] * W2[i, 0] + delta2[1] * W2[i, 1]  # both paths
            b1[i] += s[n, i] * (1 - a1[i] ** 2)
            dW3[i, 0] += delta3 * a2[i]
            for k in range(2):
                dW2[i, k] += delta2[k] * a1[i]

    np.testing.assert_allclose(trace["dense_1"].dA, s, rtol=1e-12)
    np.testing.assert_allclose(trace["dense_1"].db, b1, rtol=1e-12)
    np.testing.assert_allclose(trace["dense_2"].dW, dW2, rtol=1e-12)
    np.testing.assert_allclose(trace["dense_3"].dW, dW3, rtol=1e-12)
    np.testing.assert_allclose(
        trace.parameters["dense_1.bias"].update, -0.5 * b1, rtol=1e-10, atol=1e-16
    )


def test_sensitivity_of_the_input_is_the_slope_of_the_cost(backend, rng):
    net, (X, y) = forked(), fork_data(rng, 2)
    found = net.trace(X, y)["b"].dA
    for index in np.ndindex(X[1].shape):
        costs = []
        for step in (1e-6, -1e-6):
            moved = X[1].copy()
            moved[index] += step
            costs.append(net.loss_and_gradients([X[0], moved], y)[0])
        assert found[index] == pytest.approx((costs[0] - costs[1]) / 2e-6, rel=1e-6, abs=1e-9)


def test_sensitivities_reach_below_frozen_layers(backend):
    net = fnn.Sequential(
        [fnn.Dense(2, 2, weight=[[1, 2], [3, 4]], trainable=False), fnn.Dense(2, 1)]
    )
    net.compile("mean_squared_error", "sgd")
    trace = net.trace([[1.0, 1.0]], [[0.0]])
    frozen = trace["dense_1"]
    np.testing.assert_allclose(trace["input_1"].dA, frozen.dZ @ [[1, 3], [2, 4]], rtol=1e-5)
    assert frozen.dZ.any()
    assert frozen.dW is None
    assert trace.parameters["dense_1.weight"].gradient is None
    assert not trace.parameters["dense_1.weight"].update.any()


def test_network_of_frozen_layers_alone_has_a_trace(backend):
    net = fnn.Sequential([fnn.Dense(2, 1, weight=[[1], [2]], trainable=False)])
    net.compile("mean_squared_error", "sgd")
    trace = net.trace([[1.0, 1.0]], [[0.0]])
    assert (trace.loss, trace["dense_1"].dZ.item()) == (9.0, 6.0)


# ------------------------------------------------------------------ shared layers


def test_each_call_of_a_shared_layer_has_its_part_of_the_gradient(backend, rng):
    net = siamese()
    X, y = [rng.normal(size=(5, 3)) for _ in "ab"], rng.integers(0, 2, 5)
    trace = net.trace(X, y)
    for name, x in (("shared", X[0]), ("shared:2", X[1])):
        np.testing.assert_allclose(trace[name].dW, x.T @ trace[name].dZ, rtol=1e-12)
        np.testing.assert_allclose(trace[name].db, trace[name].dZ.sum(axis=0), rtol=1e-12)
    whole = trace.parameters["shared.weight"].gradient
    np.testing.assert_allclose(trace["shared"].dW + trace["shared:2"].dW, whole, rtol=1e-12)
    assert trace["shared:2"].inputs == ("right",)


def test_calls_of_a_shared_layer_norm_add_up(backend, rng):
    x, norm = fnn.Input(4), fnn.LayerNorm(4, name="norm")
    h = norm(fnn.Dense(4, 4, "tanh")(norm(x)))
    net = fnn.Network(x, fnn.Dense(4, 1)(h), dtype="float64")
    net.compile("mean_squared_error")
    trace = net.trace(rng.normal(size=(5, 4)), rng.normal(size=5))
    for key in ("scale", "shift"):
        parts = trace["norm"].gradients[key] + trace["norm:2"].gradients[key]
        np.testing.assert_allclose(trace.parameters[f"norm.{key}"].gradient, parts, rtol=1e-12)


# ------------------------------------------------------------------------- losses


def test_losses_are_those_of_the_samples(backend, dtype, rng):
    net, (X, y) = chain(dtype), flowers(rng)
    trace = net.trace(X, y)
    expected = -log_softmax(trace["dense_4"].Z.astype(float), axis=1)[np.arange(7), y]
    np.testing.assert_allclose(trace.losses, expected, rtol=1e-5 if dtype == "float32" else 1e-12)
    assert trace.losses.mean() == pytest.approx(trace.loss, rel=1e-6)


def test_loss_is_the_mean_of_weighted_losses(backend, rng):
    net, (X, y) = chain(), flowers(rng, 40)
    weights = rng.random(40)
    weights[3] = 0
    plain, weighted = net.trace(X, y).losses, net.trace(X, y, weights)
    np.testing.assert_allclose(weighted.losses, plain * weights / weights.mean(), rtol=1e-12)
    assert weighted.losses.mean() == pytest.approx(weighted.loss, rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "targets", "expected"),
    [
        (fnn.CrossEntropy(class_weight=[1, 2, 0]), [0, 1, 2], [1, 2, 0]),
        (fnn.CrossEntropy(ignore_index=1), [0, 1, 2], [1, 0, 1]),
        (fnn.CrossEntropy(reduction="sum"), np.eye(3), [1, 1, 1]),
        (fnn.MeanSquaredError(reduction="half_sum"), np.eye(3), [1, 1, 1]),
    ],
)
def test_weighted_ignored_and_summed_losses(backend, loss, targets, expected):
    """Outputs are all 0, so that the samples differ by their weights alone."""
    net = fnn.Sequential([fnn.Dense(1, 3, weight="zeros")], dtype="float64")
    net.compile(loss, "sgd")
    trace = net.trace([[1.0]] * 3, targets)
    share = np.array(expected) / sum(expected)
    total = trace.losses.mean() if loss.reduction == "mean" else trace.losses.sum()
    assert total == pytest.approx(trace.loss, rel=1e-12)
    np.testing.assert_allclose(trace.losses / trace.losses.sum(), share, rtol=1e-12)


def test_several_heads_have_losses_by_name(backend, rng):
    net, (X, y) = forked(), fork_data(rng)
    trace = net.trace(X, y)
    assert {name: rows.shape for name, rows in trace.losses.items()} == {
        "kind": (7,),
        "size": (7,),
    }
    penalty = trace.loss - trace.heads["kind"].loss - 0.3 * trace.heads["size"].loss
    weights = [p for name, p in net.parameters.items() if name.endswith("weight")]
    squares = sum((w**2).sum() for w in weights) - (net.parameters["frozen.weight"] ** 2).sum()
    assert penalty == pytest.approx(0.005 * squares, rel=1e-10)


# ------------------------------------------------------------------------- arguments


def test_arrays_cannot_be_written(backend, rng):
    net, (X, y) = chain(), flowers(rng)
    trace = net.trace(X, y)
    for array in (trace["dense_1"].Z, trace["dense_1"].dW, trace.parameters["dense_1.bias"].after):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_unknown_call_lists_those_there_are(backend, rng):
    trace = chain().trace(*flowers(rng))
    with pytest.raises(KeyError, match="no call 'dense_9' in the trace; it has 'input_1'"):
        trace["dense_9"]


def test_network_that_is_not_compiled_is_told_to(backend):
    with pytest.raises(RuntimeError, match="call compile"):
        fnn.Sequential([fnn.Dense(2, 1)]).trace([[1, 2]], [1])


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((2, 3)), [0, 1], r"X must have shape \(N, 4\), got \(2, 3\)"),
        (np.ones((0, 4)), [], "X must have at least one row"),
        (np.full((1, 4), np.nan), [0], r"X must be finite, got X\[0, 0\] = nan"),
        (np.ones((2, 4)), [0], "y must have 2 rows as X has, got 1"),
    ],
    ids=["width", "empty", "nan", "short"],
)
def test_bad_data_are_named(backend, X, y, message):
    with pytest.raises(ValueError, match=message):
        chain().trace(X, y)


def test_apply_is_a_flag():
    with pytest.raises(TypeError, match="apply must be True or False"):
        chain().trace(np.ones((2, 4)), [0, 1], apply="yes")


def test_step_that_is_not_finite_is_shown_and_not_taken(backend):
    net = fnn.Sequential([fnn.Dense(1, 1, weight=[[1e30]])])
    net.compile("mean_squared_error", "sgd")
    trace = net.trace([[1e30]], [0.0])
    assert not trace.is_finite
    assert not trace.parameters["dense_1.weight"].update.any()
    assert "not finite: the optimizer takes no step" in str(trace)
    with pytest.raises(fnn.TrainingError):
        net.trace([[1e30]], [0.0], apply=True)
    assert net.get_state()["training"]["step"] == 0
