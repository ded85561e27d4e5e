"""The facts about activations, checked against the functions themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import activations, program

Z = np.linspace(-40, 40, 160_001)
KINKS = {
    "binary_step": {0.0: 0.0},
    "zero_indicator": {0.0: 0.0},
    "relu": {0.0: 0.0},
    "leaky_relu": {0.0: 0.01},
    "hard_swish": {-3.0: 0.0, 3.0: 1.0},
    "elu": {0.0: 1.0},
    "selu": {0.0: 1.0507009873554805 * 1.6732632423543772},
}
RANGES = {  # infimum and supremum
    "identity": (-math.inf, math.inf),
    "binary_step": (0, 1),
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "relu": (0, math.inf),
    "leaky_relu": (-math.inf, math.inf),
    "swish": (-0.2785, math.inf),
    "hard_swish": (-0.375, math.inf),
    "elu": (-1, math.inf),
    "selu": (-1.7581, math.inf),
    "softplus": (0, math.inf),
    "gelu": (-0.1700, math.inf),
    "gelu_tanh": (-0.1700, math.inf),
    "mish": (-0.3088, math.inf),
    "zero_indicator": (0, 1),
}
EACH = pytest.mark.parametrize("name", activations.names())


def value(name, z):
    return getattr(F, name)(z)


def derivative(name, z):
    return getattr(F, f"{name}_derivative")(z)


def test_every_activation_of_programs_is_described():
    assert activations.names() == program.ACTIVATIONS


@EACH
def test_zero_centred_means_odd(name):
    odd = np.allclose(value(name, -Z), -value(name, Z))
    assert activations.get(name).zero_centred == odd


@EACH
def test_monotonic_means_never_decreasing(name):
    increasing = bool(np.all(np.diff(value(name, Z)) >= 0))
    assert activations.get(name).monotonic == increasing


@EACH
def test_range_is_that_of_the_values(name):
    low, high = RANGES[name]
    values = value(name, Z)
    lowest, highest = values.min(), values.max()
    assert lowest == pytest.approx(low, abs=1e-4) if math.isfinite(low) else lowest < -0.1
    assert highest == pytest.approx(high, abs=1e-4) if math.isfinite(high) else highest > 39


@EACH
def test_range_is_printed_as_checked_here(name):
    text = activations.get(name).output_range
    for bound in RANGES[name]:
        printed = {-0.375: "-3/8", -0.2785: "-0.2785", -0.17: "-0.1700"}.get(bound, f"{bound:g}")
        if name == "elu" and bound == -1:
            printed = "-alpha"
        assert printed in text


@EACH
def test_saturates_where_the_derivative_vanishes(name):
    slopes = {z: abs(float(derivative(name, np.float64(z)))) for z in (-40.0, 40.0)}
    text = activations.get(name).saturates
    if text.startswith(("both", "everywhere")):
        assert max(slopes.values()) < 1e-10
    elif text == "nowhere":
        assert min(slopes.values()) > 0.005
    else:
        assert text.startswith(("z < 0", "z <= -3", "z -> -inf"))
        assert slopes[-40.0] < 1e-10
        assert slopes[40.0] > 0.9


@EACH
def test_derivative_at_a_kink_is_the_one_stated(name):
    kinks = KINKS.get(name, {})
    assert (activations.get(name).not_differentiable == "nowhere") == (not kinks)
    for z, slope in kinks.items():
        assert float(derivative(name, np.float64(z))) == pytest.approx(slope, rel=1e-15)
        assert f"z = {z:g}" in activations.get(name).not_differentiable


@EACH
def test_default_alpha_is_the_default_of_the_function(name):
    default = activations.get(name).default_alpha
    if default is None:
        with pytest.raises(TypeError):
            getattr(F, name)(Z, alpha=1.0)
    else:
        np.testing.assert_array_equal(value(name, Z), getattr(F, name)(Z, default))


def test_alias_finds_the_activation():
    assert activations.get("silu") is activations.get("swish")


def test_aliases_are_unique():
    everything = [*activations.names()]
    for name in activations.names():
        everything += activations.get(name).aliases
    assert len(everything) == len(set(everything))


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown activation 'rleu'; known are identity, .*relu"):
        activations.get("rleu")


def test_name_of_wrong_type_is_refused():
    with pytest.raises(TypeError, match="activation must be a string, got int"):
        activations.get(3)


def test_table_has_a_line_per_activation():
    lines = activations.table().splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(activations.names())


def test_facts_print_line_by_line():
    text = str(activations.get("swish"))
    for part in ("sigmoid(beta z)", "s + beta z s (1 - s)", "silu", "beta ", "default 1"):
        assert part in text
