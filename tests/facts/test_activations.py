"""The facts about activations, checked against the functions themselves."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import activations, program
from fastnn.facts.activations import corners

Z = np.linspace(-40, 40, 160_001)
FAR = 1e6
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


def number(name, text):
    """A number of the table, with alpha or beta its default."""
    default = activations.get(name).default_alpha
    return eval(text, {"inf": math.inf, "alpha": default, "beta": default})


@EACH
def test_range_is_that_of_the_values(name):
    text = activations.get(name).output_range
    low, high = (number(name, bound) for bound in text.strip("()[]{}").split(", "))
    values = value(name, np.concatenate([Z, [-FAR, FAR]]))
    lowest, highest = values.min(), values.max()
    assert lowest == pytest.approx(low, abs=1e-4) if math.isfinite(low) else lowest < -0.1
    assert highest == pytest.approx(high, abs=1e-4) if math.isfinite(high) else highest > 39


@EACH
def test_saturates_where_the_derivative_vanishes(name):
    slopes = {z: abs(float(derivative(name, np.float64(z)))) for z in (-FAR, FAR)}
    text = activations.get(name).saturates
    if text.startswith(("both", "everywhere")):
        assert max(slopes.values()) < 1e-10
    elif text == "nowhere":
        assert min(slopes.values()) > 0.005
    else:
        assert text.startswith(("z < 0", "z <= -3", "z -> -inf"))
        assert slopes[-FAR] < 1e-10
        assert slopes[FAR] > 0.9


def stated_slopes(name):
    """The derivatives that the table states for points without one, by these points."""
    text = activations.get(name).not_differentiable
    matches = re.findall(r"z = (-?\d+)[^;]*; uses ([^ ]*\w)", text)
    return {float(z): number(name, slope) for z, slope in matches}


@EACH
def test_corners_are_where_the_function_is_not_differentiable(name):
    row = activations.get(name)
    assert set(row.corners) == set(stated_slopes(name))
    assert (row.not_differentiable == "nowhere") == (not row.corners)


@EACH
def test_derivative_at_a_corner_is_the_one_stated(name):
    for z, slope in stated_slopes(name).items():
        assert float(derivative(name, np.float64(z))) == pytest.approx(slope, rel=3e-5)


@EACH
def test_step_means_a_derivative_of_zero(name):
    assert activations.get(name).is_step == (not derivative(name, Z).any())


@EACH
def test_initial_weights_are_of_a_known_family(name):
    assert activations.get(name).initial_weights in ("glorot", "he", "he_with_slope", "lecun")


@EACH
def test_activation_is_described_without_a_full_stop(name):
    row = activations.get(name)
    assert row.title
    assert not row.title.endswith(".")


@pytest.mark.parametrize(("alpha", "expected"), [(None, (0.0,)), (0.3, (0.0,)), (1.0, ())])
def test_leaky_relu_of_slope_1_has_no_corner(alpha, expected):
    assert corners("leaky_relu", alpha) == expected


@pytest.mark.parametrize(("beta", "expected"), [(None, ()), (2.0, ()), (math.inf, (0.0,))])
def test_swish_of_infinite_beta_has_the_corner_of_relu(beta, expected):
    assert corners("swish", beta) == expected


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
