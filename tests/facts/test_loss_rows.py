"""The rows of losses: their formulas, and that everything which reads a row agrees with it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from programs import chain, initial_storage

import fastnn.functional as F
from fastnn import backend as backends
from fastnn import losses
from fastnn.facts.losses import LOSSES, ROWS, ElementOptions, Interval, formula_of

BY_ELEMENT = [row for row in ROWS if row.is_elementwise]
BOUNDED = [row for row in ROWS if row.targets.is_bounded]
each_by_element = pytest.mark.parametrize("row", BY_ELEMENT, ids=lambda row: row.name)
each_bounded = pytest.mark.parametrize("row", BOUNDED, ids=lambda row: row.name)


def inside(row):
    """A target in the middle of the interval of a row, or above its lower bound."""
    low = row.targets.low if math.isfinite(row.targets.low) else -1.0
    return (low + min(row.targets.high, low + 2)) / 2


def outside(row):
    """Targets just outside the interval of a row."""
    bounds = [(row.targets.low, -math.inf), (row.targets.high, math.inf)]
    return [np.nextafter(np.float32(b), np.float32(d)) for b, d in bounds if math.isfinite(b)]


@each_by_element
def test_slope_is_the_derivative_of_the_formula(row):
    parameter = row.parameter.default if row.parameter else 0.0
    z, y, h = np.linspace(-2.9, 2.9, 24), np.full(24, inside(row)), 1e-6
    for corner in row.corners(parameter):
        assert np.abs(z - y - corner).min() > h
    slope = row.formula(np, z, y, parameter)[1]
    above, below = (row.formula(np, z + step, y, parameter)[0] for step in (h, -h))
    np.testing.assert_allclose(slope, (above - below) / (2 * h), atol=1e-8)


@each_by_element
def test_every_backend_computes_the_formula(row, backend, dtype):
    rng = np.random.default_rng(3)
    parameter = row.parameter.default if row.parameter else 0.0
    z, y = rng.normal(size=(2, 7, 5)).astype(dtype)
    y = np.clip(y, max(row.targets.low, -1), min(row.targets.high, 1))
    gradient = np.empty_like(z)
    kernels = backends.kernels(np.dtype(dtype))
    value = kernels.elementwise_loss(
        row.name, z, y, None, ElementOptions(parameter), "sum", None, gradient
    )
    loss, slope = row.formula(np, z.astype(float), y.astype(float), parameter)
    tolerance = 40 * float(np.finfo(dtype).eps)
    assert value == pytest.approx(loss.sum(), rel=tolerance)
    np.testing.assert_allclose(gradient, slope, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_has_its_class_and_its_function(row):
    loss = losses.get(row.name)
    assert loss.row is row
    assert row.name in F.__all__
    assert row.title
    assert row.value


def test_unknown_loss_of_elements_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown loss 'cross_entropy'; known are binary_cross"):
        formula_of("cross_entropy")


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(), "finite"),
        (Interval(0.0), ">= 0"),
        (Interval(high=3.0), "<= 3"),
        (Interval(0.0, 1.0), "within [0, 1]"),
    ],
)
def test_interval_says_what_a_target_must_be(interval, text):
    assert str(interval) == text


def test_interval_holds_its_bounds_and_no_infinity_or_nan():
    targets = np.array([-1, 0, 1, 2, math.inf, math.nan])
    np.testing.assert_array_equal(
        Interval(0.0, 1.0).contains(targets), [False, True, True, False, False, False]
    )
    assert Interval().contains(targets).sum() == 4


# ------------------------------------------- one interval, and all that check it


@each_bounded
def test_specification_refuses_targets_outside_the_interval(row):
    loss = losses.get(row.name)
    for wrong in outside(row):
        y = np.full((3, 2), inside(row))
        y[1, 1] = wrong
        with pytest.raises(
            ValueError, match=rf"y must be {re.escape(str(row.targets))}, got y\[1, 1\] ="
        ):
            loss.target(y, 2, np.dtype(np.float64))


@each_bounded
def test_function_refuses_targets_outside_the_interval(row, backend):
    for wrong in outside(row):
        y = np.full((3, 2), inside(row))
        y[1, 1] = wrong
        with pytest.raises(ValueError, match=r"targets must be finite and .*targets\[1, 1\]"):
            getattr(F, row.name)(np.zeros((3, 2)), y)


@each_bounded
def test_engine_refuses_targets_outside_the_interval(row, backend, dtype):
    program = chain((3, 2), loss=row.name, dtype=dtype)
    engine = backends.new_engine(program, initial_storage(program))
    x = np.zeros((3, 3), dtype)
    for value in {row.targets.low, row.targets.high, *outside(row)}:
        y = np.full((3, 2), inside(row), dtype)
        if math.isfinite(value):
            y[1, 1] = value
        if row.targets.contains(y).all():
            engine.loss_and_gradients([x], [(y, None)], check=True)
        else:
            with pytest.raises(ValueError, match=r"targets|batch"):
                engine.loss_and_gradients([x], [(y, None)], check=True)


def test_codes_are_the_positions_of_the_rows():
    assert list(LOSSES) == [row.name for row in ROWS]
