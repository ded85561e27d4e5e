"""The checks of gradients: right ones pass, wrong ones do not, kinks are told from errors."""

import math
import sys

import numpy as np
import pytest
from networks import multitask, multitask_data, siamese
from programs import OPERATIONS

import fastnn as fnn
from fastnn.facts.activations import ROWS
from fastnn.facts.losses import LOSSES
from fastnn.inspection import Shadow
from fastnn.program import ACTIVATIONS


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def chain(activation="tanh", dtype="float64", loss="cross_entropy", **options):
    net = fnn.Sequential(
        [fnn.Dense(4, 6, activation), fnn.Dropout(0.4), fnn.Dense(6, 3)], dtype=dtype, seed=3
    )
    net.compile(loss, **options)
    return net


def flowers(rng, n=20):
    return rng.normal(size=(n, 4)), rng.integers(0, 3, n)


def wrong(monkeypatch, factor=1 + 1e-5):
    """Make the gradient of one number wrong by a factor."""
    right = Shadow.gradients

    def gradients(self):
        found = right(self)
        found["dense_1.weight"][2, 1] *= factor
        return found

    monkeypatch.setattr(Shadow, "gradients", gradients)


# ----------------------------------------------------------------------- networks


STEPS = tuple(row.name for row in ROWS if row.is_step)
"""Activations whose derivative is 0: `compile` warns of them."""


@pytest.mark.parametrize("activation", [a for a in ACTIVATIONS if a not in STEPS])
def test_every_activation_passes(backend, rng, activation):
    result = fnn.check_gradients(chain(activation), *flowers(rng))
    assert result.ok, result
    assert result.relative_error < 1e-8
    assert result.n_checked == result.n_numbers == 51


@pytest.mark.parametrize("loss", [name for name, row in LOSSES.items() if row.is_elementwise])
def test_every_loss_passes(backend, rng, loss):
    X, y = rng.normal(size=(20, 4)), rng.random((20, 3))
    result = fnn.check_gradients(chain(loss=loss, l2=0.1), X, y, rng.random(20))
    assert result.ok, result
    assert result.relative_error < 1e-8


def test_graphs_pass(backend, rng):
    X = [rng.normal(size=(4, 3)) for _ in "ab"]
    result = fnn.check_gradients(siamese(), X, [0, 1, 1, 0])
    assert result.ok, result
    result = fnn.check_gradients(multitask(), *multitask_data(rng))
    assert result.ok, result


@pytest.mark.parametrize("layer", [fnn.LayerNorm(6), fnn.Softmax(), fnn.LogSoftmax()])
def test_functions_of_rows_pass(backend, rng, layer):
    net = fnn.Sequential([fnn.Dense(4, 6), layer.copy(), fnn.Dense(6, 3)])
    net.compile("cross_entropy")
    result = fnn.check_gradients(net, *flowers(rng))
    assert result.ok, result
    assert {kind for kind, _ in OPERATIONS} >= {"softmax", "log_softmax", "layer_norm"}


def test_dropout_passes_with_fixed_masks(backend, rng):
    net, (X, y) = chain(), flowers(rng)
    with_masks = fnn.check_gradients(net, X, y, dropout=True)
    assert with_masks.ok, with_masks
    without = fnn.check_gradients(net, X, y)
    name = "dense_2.bias"
    assert with_masks.arrays[name].gradient != without.arrays[name].gradient


def test_saturated_network_passes(backend, rng):
    """Gradients of 1e-9 beside a cost of 1: the differences resolve few of their digits."""
    net, (X, y) = chain("sigmoid"), flowers(rng)
    net.parameters["dense_1.bias"][...] = 25.0
    result = fnn.check_gradients(net, X, y)
    assert result.ok, result


def test_parameters_of_all_sizes_pass(backend, rng):
    net, (X, y) = chain("tanh"), flowers(rng)
    net.parameters["dense_1.weight"] = net.parameters["dense_1.weight"] * 1e-6
    result = fnn.check_gradients(net, X * 1e6, y)
    assert result.ok, result


def test_float32_network_is_checked_in_float64_and_compared(backend, rng):
    result = fnn.check_gradients(chain(dtype="float32"), *flowers(rng))
    assert result.relative_error < 1e-8
    assert 0 < result.float32_error < 1e-5
    assert "float32 gradients differ" in str(result)
    assert fnn.check_gradients(chain(), *flowers(rng)).float32_error is None


def test_wrong_gradient_is_found_and_named(backend, rng, monkeypatch):
    wrong(monkeypatch)
    result = fnn.check_gradients(chain(), *flowers(rng))
    assert not result.ok
    assert (result.worst.name, result.worst.index) == ("dense_1.weight", (2, 1))
    assert result.worst.gradient == pytest.approx(result.worst.difference * (1 + 1e-5), rel=1e-7)
    assert str(result).startswith("WRONG: dense_1.weight[2, 1]")


def test_gradient_that_is_nan_is_wrong(backend, rng, monkeypatch):
    wrong(monkeypatch, math.nan)
    result = fnn.check_gradients(chain(), *flowers(rng))
    assert not result.ok
    assert result.worst.index == (2, 1)


def test_tolerance_is_what_is_borne(backend, rng, monkeypatch):
    wrong(monkeypatch)
    assert fnn.check_gradients(chain(), *flowers(rng), tolerance=1e-4).ok


# -------------------------------------------------------------------------- kinks


def test_relu_at_zero_is_a_kink_and_no_error(backend):
    net = fnn.Sequential([fnn.Dense(2, 1, "relu", weight=[[1], [-1]]), fnn.Dense(1, 1)])
    net.compile("mean_squared_error")
    result = fnn.check_gradients(net, [[1.0, 1.0]], [3.0])
    assert result.ok
    assert {kink.name for kink in result.kinks} == {"dense_1.weight", "dense_1.bias"}
    assert result.kinks[0].where == ("dense_1",)
    assert result.arrays["dense_1.weight"].checked == 0
    assert "dense_1.bias[0]: a kink in dense_1" in str(result)


def test_kink_near_by_is_stepped_around(backend):
    net = fnn.Sequential(
        [fnn.Dense(1, 1, "relu", weight=[[1]], bias=[1e-4]), fnn.Dense(1, 1)], dtype="float64"
    )
    net.compile("mean_squared_error")
    result = fnn.check_gradients(net, [[0.0]], [1.0])
    assert result.ok
    assert not result.kinks


@pytest.mark.parametrize(
    ("activation", "z"),
    [("leaky_relu", 0.0), ("selu", 0.0), ("hard_swish", 3.0), ("hard_swish", -3.0)],
)
def test_corners_of_activations_are_kinks(backend, activation, z):
    net = fnn.Sequential([fnn.Dense(1, 1, activation, weight=[[1]], bias=[z]), fnn.Dense(1, 1)])
    net.compile("mean_squared_error")
    result = fnn.check_gradients(net, [[0.0]], [3.0])
    assert [(k.name, k.where) for k in result.kinks] == [("dense_1.bias", ("dense_1",))]


@pytest.mark.parametrize(
    ("activation", "loss", "y"), [("elu", "mean_squared_error", 3.0), ("tanh", "huber", 1.0)]
)
def test_formulas_that_meet_with_one_slope_are_no_kink(backend, activation, loss, y):
    layers = [fnn.Dense(1, 1, activation), fnn.Dense(1, 1)]
    net = fnn.Sequential(layers, dtype="float64")
    net.compile(loss)  # a pre-activation of 0, an error of 1
    result = fnn.check_gradients(net, [[0.0]], [y])
    assert result.ok
    assert not result.kinks


def test_corner_of_a_loss_is_a_kink(backend):
    net = fnn.Sequential([fnn.Dense(1, 1, weight=[[2]])])
    net.compile("mean_absolute_error")
    result = fnn.check_gradients(net, [[1.0]], [2.0])
    assert [kink.where for kink in result.kinks] == [("the loss mean_absolute_error",)] * 2
    assert not result.ok  # nothing was compared
    assert str(result).startswith("NOT CHECKED: 0 of 2")


def test_equal_branches_are_a_kink_of_their_distance(backend):
    a, b = fnn.Input(1, name="a"), fnn.Input(1, name="b")
    d = fnn.AbsDifference(name="distance")([fnn.Dense(1, 1, name="p")(a), b])
    net = fnn.Network([a, b], fnn.Dense(1, 1)(d))
    net.compile("mean_squared_error")
    net.parameters["p.weight"] = [[1.0]]
    result = fnn.check_gradients(net, [[[1.0]], [[1.0]]], [5.0])
    assert {kink.where for kink in result.kinks} == {("distance",)}


# ------------------------------------------------------------------------ options


def test_large_network_is_sampled_and_says_so(backend, rng):
    net = fnn.Sequential([fnn.Dense(30, 20, "tanh"), fnn.Dense(20, 3)])
    net.compile("cross_entropy")
    X, y = rng.normal(size=(5, 30)), rng.integers(0, 3, 5)
    result = fnn.check_gradients(net, X, y, max_numbers=100)
    counts = {name: array.checked for name, array in result.arrays.items()}
    assert list(counts.values()) == [87, 8, 8, 3]
    assert "106 of 683 numbers compared" in str(result)
    assert fnn.check_gradients(net, X, y, max_numbers=100) == result


def test_verbose_draws_a_bar(backend, rng, capsys):
    fnn.check_gradients(chain(), *flowers(rng), verbose=1)
    assert "51/51" in capsys.readouterr().err


def test_bar_without_tqdm_says_what_to_install(backend, rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        fnn.check_gradients(chain(), *flowers(rng), verbose=1)


def test_frozen_parameters_are_left_out(backend, rng):
    net = chain()
    net.layer("dense_1").trainable = False
    net.compile("cross_entropy")
    result = fnn.check_gradients(net, *flowers(rng))
    assert list(result.arrays) == ["dense_2.weight", "dense_2.bias"]


def test_check_changes_nothing(backend, dtype, rng):
    net, (X, y) = chain(dtype=dtype), flowers(rng)
    _, gradients = net.loss_and_gradients(X, y)
    before = net.get_flat()
    fnn.check_gradients(net, X, y)
    np.testing.assert_array_equal(net.get_flat(), before)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(net.gradients[name], gradient)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda net, X, y: ("net", X, y), TypeError, "net must be a Network, got str"),
        (lambda net, X, y: (net, X[:, :3], y), ValueError, r"X must have shape .*, got \(20, 3\)"),
        (lambda net, X, y: (net, X[:0], y[:0]), ValueError, "X must have at least one row"),
        (
            lambda net, X, y: (net, X * math.nan, y),
            ValueError,
            r"X must be finite, got X\[0, 0\] = nan",
        ),
    ],
    ids=["no network", "width", "empty", "nan"],
)
def test_unfit_data_are_named(backend, rng, change, error, message):
    with pytest.raises(error, match=message):
        fnn.check_gradients(*change(chain(), *flowers(rng)))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"tolerance": 0.0}, "tolerance must be a finite number > 0"),
        ({"verbose": 2}, "verbose must be an integer from 0 to 1"),
    ],
)
def test_unfit_options_are_named(rng, option, message):
    with pytest.raises(ValueError, match=message):
        fnn.check_gradients(chain(), *flowers(rng), **option)


def test_a_network_without_a_loss_is_refused(rng):
    with pytest.raises(RuntimeError, match="call compile"):
        fnn.check_gradients(fnn.Sequential([fnn.Dense(4, 3)]), *flowers(rng))


def test_a_frozen_network_is_refused(rng):
    net = chain()
    for layer in net.layers:
        layer.trainable = False
    net.compile("cross_entropy")
    with pytest.raises(ValueError, match="no trainable parameters"):
        fnn.check_gradients(net, *flowers(rng))


def test_cost_that_is_not_finite_is_refused(backend, rng):
    net, (X, y) = chain(), flowers(rng)
    net.parameters["dense_2.bias"][0] = math.nan
    with pytest.raises(ValueError, match="the cost is nan: its gradients cannot be checked"):
        fnn.check_gradients(net, X, y)


# ---------------------------------------------------------------------- functions


def test_function_with_its_gradient_passes(rng):
    def function(x):
        return np.sum(np.exp(x) * np.sin(3 * x)), np.exp(x) * (np.sin(3 * x) + 3 * np.cos(3 * x))

    result = fnn.check_gradient(function, rng.normal(size=(3, 4)))
    assert result.ok
    assert result.relative_error < 1e-10
    assert result.n_checked == 12


def test_gradient_may_be_an_array_or_a_function():
    x = np.array([1.0, 2.0])
    assert fnn.check_gradient(lambda x: np.sum(x**3), x, 3 * x**2).ok
    assert fnn.check_gradient(lambda x: np.sum(x**3), x, lambda x: 3 * x**2).ok
    assert not fnn.check_gradient(lambda x: np.sum(x**3), x, x**2).ok


def test_kernels_of_losses_pass(backend, rng):
    y = rng.random((6, 3))
    for name in (name for name, row in LOSSES.items() if row.is_elementwise):
        loss = getattr(fnn.functional, name)
        result = fnn.check_gradient(
            lambda z, loss=loss: loss(z, y, gradient=True), rng.normal(size=(6, 3))
        )
        assert result.ok, (name, result)


@pytest.mark.parametrize("x", [1e-8, 1e-3, 1.0, 1e3, 1e8])
def test_steps_fit_the_size(x):
    assert fnn.check_gradient(lambda x: (np.log(x).sum(), 1 / x), [x]).ok
    assert fnn.check_gradient(lambda x: ((x**5).sum(), 5 * x**4), [x]).ok


def test_relative_error_of_a_wrong_gradient_is_measured():
    result = fnn.check_gradient(lambda x: (np.sum(x**3), 3 * x**2 * 1.01), [1.0, -3.0])
    assert result.relative_error == pytest.approx(0.01 / 1.01, rel=1e-6)
    assert result.worst.index == (1,)


@pytest.mark.parametrize("x", [[0.0], [0.0, 1.0]])
def test_kinks_of_a_function_are_found_by_its_sides(x):
    result = fnn.check_gradient(lambda x: (np.sum(np.maximum(x, 0.25 * x)), np.ones(len(x))), x)
    assert [kink.index for kink in result.kinks] == [(0,)]
    assert (result.kinks[0].left, result.kinks[0].right) == pytest.approx((0.25, 1.0))


def test_kink_of_a_function_that_is_near_is_stepped_around():
    result = fnn.check_gradient(lambda x: (np.abs(x - 1).sum(), np.sign(x - 1)), [1.0001])
    assert result.ok
    assert not result.kinks


def test_function_may_write_into_what_it_is_given():
    def careless(x):
        value = float(np.sum(x**2))
        gradient = 2 * x
        x[...] = 0
        return value, gradient

    x = np.array([1.0, 2.0])
    assert fnn.check_gradient(careless, x).ok
    np.testing.assert_array_equal(x, [1.0, 2.0])


@pytest.mark.parametrize(
    ("function", "x", "error", "message"),
    [
        (lambda x: (x.sum(), x), [], ValueError, "x is empty"),
        (lambda x: (x.sum(), x), [math.nan], ValueError, r"x must be finite, got x\[0\] = nan"),
        (lambda x: (x.sum(), x), ["a"], TypeError, "x must hold real numbers"),
        (lambda x: x.sum(), [1.0], TypeError, r"must return \(value, gradient\)"),
        (lambda x: (x, x), [1.0, 2.0], TypeError, "must return one real number"),
        (lambda x: (x.sum(), x[:1]), [1.0, 2.0], ValueError, r"shape \(2,\) as x has, got \(1,\)"),
        (lambda x: (math.inf, x), [1.0], ValueError, "function is inf at x"),
    ],
)
def test_bad_functions_are_told(function, x, error, message):
    with pytest.raises(error, match=message):
        fnn.check_gradient(function, x)
