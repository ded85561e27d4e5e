"""Elementwise functions: values, derivatives and limits."""

from __future__ import annotations

import math

import exact
import numpy as np
import pytest

import fastnn.functional as F
from fastnn import activations
from fastnn.program import ACTIVATIONS

INF, NAN = math.inf, math.nan
ALPHAS = {"leaky_relu": [0.01, 0.3], "swish": [1.0, 0.25, 3.0, -1.5, 0.0], "elu": [1.0, 0.7]}
CASES = [(name, alpha) for name in ACTIVATIONS for alpha in ALPHAS.get(name, [None])]
EACH_CASE = pytest.mark.parametrize(("name", "alpha"), CASES)
EACH = pytest.mark.parametrize("name", ACTIVATIONS)


def call(name, z, alpha=None, out=None):
    return getattr(F, name)(z, **{} if alpha is None else parameter(name, alpha), out=out)


def parameter(name, alpha):
    return {"beta" if name.startswith("swish") else "alpha": alpha}


def arguments(dtype, limit=85, n=40):
    """Random arguments: tiny, moderate and in the tails, none at a kink."""
    rng = np.random.default_rng(0)
    parts = [scale * rng.standard_normal(n) for scale in (1e-30, 1e-5, 0.1, 1, 5)]
    z = np.concatenate([*parts, rng.uniform(-limit, limit, n)]).astype(dtype)
    return z[(z != 0) & (np.abs(z) < limit)]


def expansions(name, z, alpha=None):
    """f, f' and f'' at each argument, with alpha rounded as the kernels round it."""
    a = float(z.dtype.type(1.0 if alpha is None else alpha))
    return list(zip(*(exact.taylor(name, float(x), a) for x in z), strict=True))


def one_rounding(z, slope):
    """What rounding the argument of a function with this slope may do to its value."""
    return np.finfo(z.dtype).eps * np.abs(z.astype(float) * np.array(slope, dtype=float))


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p"])
def test_exponentials_and_logarithms_are_within_two_ulp(backend, dtype, name):
    z = arguments(dtype)
    if name.startswith("log"):
        z = np.abs(z) if name == "log" else z[z > -1]
    around_1 = np.nextafter(np.ones(2, dtype), np.array([0, 2], dtype))
    z = np.concatenate([z, around_1])
    expected = [exact.VALUES[name](exact.mpf(float(x))) for x in z]
    assert exact.ulps(getattr(F, name)(z), expected) <= 2


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "swish"])
def test_smooth_activations_are_within_two_ulp(backend, dtype, name):
    z = arguments(dtype, limit=20)
    assert exact.ulps(call(name, z), expansions(name, z)[0]) <= 2


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus"])
def test_smooth_derivatives_are_within_two_ulp(backend, dtype, name):
    z = arguments(dtype, limit=20)
    assert exact.ulps(call(f"{name}_derivative", z), expansions(name, z)[1]) <= 2


@EACH_CASE
def test_value_equals_the_formula(backend, dtype, name, alpha):
    z = arguments(dtype)
    f, slope, _ = expansions(name, z, alpha)
    assert exact.ulps(call(name, z, alpha), f, one_rounding(z, slope)) <= 3


@EACH_CASE
def test_derivative_equals_the_limit_of_differences(backend, dtype, name, alpha):
    z = arguments(dtype)
    z = z[np.abs(np.abs(z) - 3) > 1e-3]
    _, slope, curvature = expansions(name, z, alpha)
    # Its terms are of order 1 where it changes sign, within 4 of the origin.
    cancellation = np.finfo(dtype).eps * (np.abs(z.astype(float)) < 4)
    slack = cancellation + one_rounding(z, curvature)
    assert exact.ulps(call(f"{name}_derivative", z, alpha), slope, slack) <= 3


@EACH_CASE
def test_derivative_equals_central_differences(backend, name, alpha):
    z = np.linspace(-6, 6, 97) + 0.013
    h = 1e-6
    difference = (call(name, z + h, alpha) - call(name, z - h, alpha)) / (2 * h)
    np.testing.assert_allclose(call(f"{name}_derivative", z, alpha), difference, atol=2e-9)


def limits(name):
    """Values at -inf and inf, and derivatives there."""
    alpha = activations.get(name).default_alpha or 1.0
    ends = [exact.taylor(name, z, alpha) for z in (-1e30, 1e30)]
    return [limit(float(end[order])) for order in (0, 1) for end in ends]


def limit(number):
    """What a number at 1e30 tends to."""
    return math.copysign(INF, number) if abs(number) > 1e25 else round(number, 25)


@EACH
def test_limits_at_infinity(backend, dtype, name):
    ends = np.array([-INF, INF], dtype)
    got = [*call(name, ends), *call(f"{name}_derivative", ends)]
    np.testing.assert_allclose(got, np.array(limits(name), dtype), rtol=np.finfo(dtype).eps)


@EACH
def test_largest_arguments_have_the_values_of_the_limits(backend, dtype, name):
    largest = np.array([-1, 1], dtype) * np.finfo(dtype).max
    low, high = call(name, largest)
    at_minus_inf, at_inf, *_ = limits(name)
    if math.isfinite(at_minus_inf):
        assert low == pytest.approx(at_minus_inf, rel=1e-6)
    else:
        assert low < -1e30
    scale = 1.0507009873554805 if name == "selu" else 1.0
    expected = largest[1] if at_inf == INF else at_inf
    assert high == (expected if scale == 1 else INF)


@EACH
def test_nan_gives_nan(backend, dtype, name):
    z = np.array([1, NAN, -1], dtype)
    results = [call(name, z)]
    if name != "identity" and not activations.get(name).is_step:  # their derivatives are constant
        results.append(call(f"{name}_derivative", z))
    for result in results:
        np.testing.assert_array_equal(np.isnan(result), [False, True, False])


@pytest.mark.parametrize(
    ("name", "z", "expected"),
    [
        ("relu_derivative", 0.0, 0.0),
        ("leaky_relu_derivative", 0.0, 0.01),
        ("elu_derivative", 0.0, 1.0),
        ("selu_derivative", 0.0, 1.0507009873554805 * 1.6732632423543772),
        ("hard_swish_derivative", -3.0, 0.0),
        ("hard_swish_derivative", 3.0, 1.0),
        ("binary_step", 0.0, 1.0),
        ("binary_step_derivative", 0.0, 0.0),
        ("zero_indicator", 0.0, 1.0),
        ("zero_indicator", 1e-30, 0.0),
        ("zero_indicator_derivative", 0.0, 0.0),
        ("softplus", 0.0, math.log(2)),
        ("sigmoid_derivative", 0.0, 0.25),
        ("gelu_derivative", 0.0, 0.5),
    ],
)
def test_value_at_a_special_point(backend, dtype, name, z, expected):
    got = getattr(F, name)(np.array([z, -z], dtype) if z == 0 else np.array([z], dtype))
    np.testing.assert_allclose(got, expected, rtol=np.finfo(dtype).eps)


@pytest.mark.parametrize("kink", [-3.0, 0.0, 3.0])
@EACH
def test_next_to_a_kink_the_side_decides(backend, dtype, name, kink):
    point = np.array([kink], dtype)
    sides = np.concatenate(
        [np.nextafter(point, -np.array(INF, dtype)), np.nextafter(point, np.array(INF, dtype))]
    )
    h = 1e-3
    z = kink + np.array([-h, h])
    middle = (call(name, z + h / 2) - call(name, z - h / 2)) / h
    if activations.get(name).is_step:
        middle = np.zeros(2)
    np.testing.assert_allclose(call(f"{name}_derivative", sides), middle, atol=2 * h)


def test_exponentials_at_their_limits(backend, dtype):
    z = np.array([-INF, -1e4, 0, 1e4, INF, NAN], dtype)
    np.testing.assert_array_equal(F.exp(z), np.array([0, 0, 1, INF, INF, NAN]))
    np.testing.assert_array_equal(F.expm1(z), np.array([-1, -1, 0, INF, INF, NAN]))


def test_logarithms_at_their_limits(backend, dtype):
    z = np.array([0, -0.0, -2, INF, 1, NAN], dtype)
    np.testing.assert_array_equal(F.log(z), np.array([-INF, -INF, NAN, INF, 0, NAN]))
    z = np.array([-1, -3, INF, 0, NAN], dtype)
    np.testing.assert_array_equal(F.log1p(z), np.array([-INF, NAN, INF, 0, NAN]))


def test_logarithm_of_subnormal_numbers(backend, dtype):
    smallest = np.finfo(dtype).smallest_subnormal
    assert F.log(np.array([smallest]))[0] == pytest.approx(math.log(smallest), rel=1e-6)


@pytest.mark.parametrize("beta", [0.0, 1e-300, 50.0])
def test_swish_tends_to_half_of_x_and_to_relu(backend, beta):
    z = np.linspace(-5, 5, 11)
    expected = z / 2 if beta < 1 else np.maximum(z, 0)
    np.testing.assert_allclose(F.swish(z, beta), expected, atol=1e-15 if beta < 1 else 1e-20)


@pytest.mark.parametrize(
    ("beta", "at_minus_inf", "at_inf"), [(0.0, -INF, INF), (2.0, 0, INF), (-2.0, -INF, 0)]
)
def test_swish_at_infinity_for_any_beta(backend, dtype, beta, at_minus_inf, at_inf):
    got = F.swish(np.array([-INF, INF], dtype), beta)
    np.testing.assert_array_equal(got, [at_minus_inf, at_inf])


def test_leaky_relu_without_leak_is_relu_at_minus_infinity(backend, dtype):
    z = np.array([-INF, NAN], dtype)
    np.testing.assert_array_equal(F.leaky_relu(z, 0.0), [0, NAN])


def test_gelu_tanh_approximates_gelu(backend):
    z = np.linspace(-8, 8, 2001)
    assert np.max(np.abs(F.gelu_tanh(z) - F.gelu(z))) < 5e-4


@pytest.mark.parametrize(
    ("name", "torch_name", "options"),
    [
        ("gelu", "gelu", {}),
        ("gelu_tanh", "gelu", {"approximate": "tanh"}),
        ("mish", "mish", {}),
        ("selu", "selu", {}),
        ("elu", "elu", {}),
        ("hard_swish", "hardswish", {}),
        ("swish", "silu", {}),
        ("softplus", "softplus", {"threshold": 1000.0}),
    ],
)
def test_activation_equals_that_of_pytorch(backend, name, torch_name, options):
    torch = pytest.importorskip("torch")
    z = torch.linspace(-10, 10, 401, dtype=torch.float64, requires_grad=True)
    expected = getattr(torch.nn.functional, torch_name)(z, **options)
    expected.sum().backward()
    array = z.detach().numpy()
    kinks = np.isin(array, [-3.0, 0.0, 3.0])
    np.testing.assert_allclose(call(name, array), expected.detach().numpy(), atol=1e-14)
    np.testing.assert_allclose(
        call(f"{name}_derivative", array)[~kinks], z.grad.numpy()[~kinks], atol=1e-14
    )
