"""Initial values: their distributions, their seeds, and what they refuse."""

import math

import numpy as np
import pytest

from fastnn import initializers
from fastnn.initializers import (
    Constant,
    Explicit,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LeCunNormal,
    LeCunUniform,
    Ones,
    Zeros,
    generator,
)
from fastnn.layers import Dense, LeakyReLU
from fastnn.network import Sequential

SHAPE = (200, 300)
VARIANCES = [
    (GlorotNormal(), 2 / 500),
    (GlorotUniform(), 2 / 500),
    (HeNormal(), 2 / 200),
    (HeUniform(), 2 / 200),
    (HeNormal(alpha=0.5), 2 / (1.25 * 200)),
    (LeCunNormal(), 1 / 200),
    (LeCunUniform(), 1 / 200),
]
IDS = [repr(rule) for rule, _ in VARIANCES]


@pytest.mark.parametrize(("rule", "variance"), VARIANCES, ids=IDS)
def test_values_have_mean_zero_and_the_variance_of_the_formula(rule, variance):
    values = rule(SHAPE, generator(0, 0))
    n = values.size
    assert abs(values.mean()) < 5 * math.sqrt(variance / n)
    # The variance of n normal values deviates by variance * sqrt(2 / n), of uniform ones by less.
    assert abs(values.var() / variance - 1) < 5 * math.sqrt(2 / n)


@pytest.mark.parametrize(("rule", "variance"), VARIANCES, ids=IDS)
def test_uniform_values_stay_within_sqrt_3_deviations_and_normal_ones_do_not(rule, variance):
    largest = np.abs(rule(SHAPE, generator(0, 0))).max()
    limit = math.sqrt(3 * variance)
    assert largest <= limit if "Uniform" in repr(rule) else largest > limit


@pytest.mark.parametrize(("rule", "value"), [(Zeros(), 0), (Ones(), 1), (Constant(-2.5), -2.5)])
def test_constant_rules_fill_with_their_value(rule, value):
    np.testing.assert_array_equal(rule((3, 2), generator(0, 0)), np.full((3, 2), value))


def test_one_seed_and_index_give_the_same_values():
    first, second = (HeNormal()((4, 5), generator(7, 2)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("seed", "index"), [(8, 2), (7, 3)])
def test_another_seed_or_index_gives_other_values(seed, index):
    assert not np.array_equal(
        HeNormal()((4, 5), generator(7, 2)), HeNormal()((4, 5), generator(seed, index))
    )


def test_float32_and_float64_networks_start_from_the_same_numbers():
    nets = [Sequential([Dense(5, 7), Dense(7, 3)], dtype=t, seed=3) for t in ("float32", "float64")]
    for single, double in zip(
        nets[0].parameters.values(), nets[1].parameters.values(), strict=True
    ):
        np.testing.assert_array_equal(single, double.astype(np.float32))


def test_changing_one_layer_leaves_the_values_of_the_others():
    plain = Sequential([Dense(5, 7), Dense(7, 3)], seed=3)
    other = Sequential([Dense(5, 7, weight="zeros"), Dense(7, 3)], seed=3)
    np.testing.assert_array_equal(
        plain.parameters["dense_2.weight"], other.parameters["dense_2.weight"]
    )


@pytest.mark.parametrize(
    ("activation", "rule"),
    [
        (None, GlorotUniform()),
        ("tanh", GlorotUniform()),
        ("sigmoid", GlorotUniform()),
        ("softmax", GlorotUniform()),
        ("relu", HeNormal()),
        ("gelu", HeNormal()),
        ("swish", HeNormal()),
        (LeakyReLU(0.3), HeNormal(alpha=0.3)),
        ("selu", LeCunNormal()),
    ],
)
def test_automatic_weights_fit_the_activation(activation, rule):
    assert Dense(4, 3, activation=activation).initializers["weight"] == rule


def test_explicit_values_are_copied():
    values = np.ones((2, 3))
    rule = initializers.get(values)
    values[...] = 5
    np.testing.assert_array_equal(rule((2, 3), generator(0, 0)), np.ones((2, 3)))


def test_explicit_values_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3, 2\), got \(2, 3\)"):
        Explicit(np.ones((2, 3)))((3, 2), generator(0, 0))


@pytest.mark.parametrize(
    ("values", "error"),
    [([1 + 2j], TypeError), (["a"], TypeError), ([math.nan], ValueError), ([math.inf], ValueError)],
)
def test_explicit_values_that_are_not_finite_real_numbers_are_refused(values, error):
    with pytest.raises(error, match="initial values must"):
        initializers.get(values)


@pytest.mark.parametrize(
    "rule", [rule for rule, _ in VARIANCES] + [Zeros(), Ones(), Constant(0.5)], ids=repr
)
def test_config_gives_the_rule_back(rule):
    assert initializers.get(rule.config) == rule


def test_name_gives_the_rule():
    assert initializers.get("he_uniform") == HeUniform()


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"unknown initializer 'xavier'; known are .*glorot_normal"
    ):
        initializers.get("xavier")


def test_saved_explicit_rule_says_that_its_values_are_elsewhere():
    rule = initializers.get(Explicit(np.ones(2)).config)
    with pytest.raises(ValueError, match="are not saved with it"):
        rule((2,), generator(0, 0))
