"""Bounds of the Durbin-Watson statistic of panels with fixed effects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quadratic_forms import imhof

from fastnn.stats import (
    durbin_watson_bounds,
    durbin_watson_panel_bounds,
    durbin_watson_test,
)
from fastnn.stats.diagnostics.durbin_watson.quadratic_forms import path_eigenvalues

ENTITIES = (50, 100, 150, 250, 500, 1000)

# Bhargava, Franzini & Narendranathan (1982), tables I and II: five per cent points of d_PL and
# d_PU for each number of entities, as transcribed in the file dwpaneltest.R of a thesis (2014).
SIX_PERIODS = {
    1: "1.8091 1.8231 1.8660 1.8731 1.8907 1.8958 1.9158 1.9183 1.9409 1.9413 1.9579 1.9586",
    3: "1.7954 1.8376 1.8592 1.8799 1.8859 1.8998 1.9135 1.9217 1.9393 1.9427 1.9573 1.9593",
    5: "1.7805 1.8517 1.8523 1.8867 1.8819 1.9046 1.9100 1.9240 1.9378 1.9441 1.9567 1.9560",
    7: "1.7665 1.8657 1.8444 1.8937 1.8770 1.9094 1.9070 1.9265 1.9363 1.9455 1.9551 1.9606",
    9: "1.7523 1.8812 1.8386 1.9018 1.8720 1.9145 1.9044 1.9296 1.9349 1.9468 1.9544 1.9614",
    11: "1.7380 1.8956 1.8304 1.9086 1.8671 1.9185 1.9021 1.9321 1.9333 1.9482 1.9538 1.9621",
    13: "1.7211 1.9118 1.8283 1.9158 1.8631 1.9233 1.8987 1.9354 1.9319 1.9497 1.9531 1.9628",
    15: "1.7063 1.9267 1.8163 1.9227 1.8580 1.9284 1.8956 1.9379 1.9304 1.9511 1.9524 1.9630",
}
TEN_PERIODS = {
    1: "1.8512 1.8596 1.8953 1.8991 1.9156 1.9160 1.9336 1.9354 1.9528 1.9536 1.9668 1.9677",
    3: "1.8421 1.8688 1.8907 1.9037 1.9117 1.9206 1.9321 1.9370 1.9520 1.9544 1.9667 1.9679",
    5: "1.8338 1.8769 1.8862 1.9081 1.9076 1.9244 1.9303 1.9390 1.9509 1.9552 1.9663 1.9682",
    7: "1.8258 1.8851 1.8826 1.9118 1.9059 1.9245 1.9286 1.9405 1.9501 1.9561 1.9657 1.9686",
    9: "1.8164 1.8945 1.8780 1.9164 1.9047 1.9284 1.9270 1.9421 1.9492 1.9572 1.9652 1.9700",
    11: "1.8072 1.9029 1.8734 1.9209 1.9003 1.9318 1.9255 1.9445 1.9484 1.9580 1.9648 1.9705",
    13: "1.7999 1.9126 1.8698 1.9275 1.8971 1.9341 1.9241 1.9459 1.9476 1.9588 1.9642 1.9710",
    15: "1.7903 1.9209 1.8651 1.9294 1.8946 1.9375 1.9217 1.9474 1.9468 1.9569 1.9639 1.9712",
}
PRINTED = [
    (entities, periods, k, (float(lower), float(upper)))
    for periods, table in ((6, SIX_PERIODS), (10, TEN_PERIODS))
    for k, text in table.items()
    for entities, lower, upper in zip(ENTITIES, text.split()[::2], text.split()[1::2], strict=True)
]
MISPRINTED = {(1000, 6, 5), (100, 6, 13), (500, 10, 15)}
"""One of the two numbers breaks the order of its neighbours, such as d_PL > d_PU."""


@pytest.mark.parametrize(("entities", "periods", "k", "printed"), PRINTED)
def test_bounds_are_near_the_printed_ones(entities, periods, k, printed):
    """The printed numbers are approximations, whose levels are between 4.6 and 5.6 per cent."""
    bounds = durbin_watson_panel_bounds(entities, periods, k)
    tolerance = 0.006 if (entities, periods, k) in MISPRINTED else 0.003
    np.testing.assert_allclose(bounds, printed, rtol=0, atol=tolerance)


def eigenvalues(entities, periods, k):
    """Of the bounding variables: without the k largest and without the k smallest."""
    values = path_eigenvalues(periods, np.repeat(np.arange(1, periods), entities))
    return values[: len(values) - k], values[k:]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(3, 12), st.integers(0, 6), st.floats(0.001, 0.6))
def test_bounds_are_quantiles_of_the_bounding_laws(entities, periods, k, alpha):
    if entities * (periods - 1) - k < 3:
        return
    bounds = durbin_watson_panel_bounds(entities, periods, k, alpha)
    for bound, values in zip(bounds, eigenvalues(entities, periods, k), strict=True):
        if np.ptp(values):
            assert imhof(values, bound) == pytest.approx(alpha, abs=1e-7)
        else:
            assert bound == values[0]


@pytest.mark.parametrize("entities", [50, 1000])
@pytest.mark.parametrize("k", [1, 15])
def test_bounds_of_the_tables_have_their_level(entities, k):
    bounds = durbin_watson_panel_bounds(entities, 6, k)
    for bound, values in zip(bounds, eigenvalues(entities, 6, k), strict=True):
        assert imhof(values, bound) == pytest.approx(0.05, abs=1e-8)


@pytest.mark.parametrize(("n", "k"), [(10, 1), (25, 3), (100, 0)])
def test_one_entity_has_the_bounds_of_a_series(n, k):
    expected = durbin_watson_bounds(n, k)
    assert durbin_watson_panel_bounds(1, n, k) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_exact_p_values_agree_with_the_bounds(seed):
    rng = np.random.default_rng(seed)
    entities, periods, k = 12, 5, 3
    groups = np.repeat(np.arange(entities), periods)
    X, y = rng.normal(size=(entities * periods, k)), rng.normal(size=entities * periods)
    y += 0.15 * seed * np.cumsum(y) ** 2
    exact = durbin_watson_test(X, y, groups=groups, fixed_effects=True)
    for alpha in (0.01, 0.05, exact.p_positive * 0.999, exact.p_positive * 1.001):
        lower, upper = durbin_watson_panel_bounds(entities, periods, k, alpha)
        if exact.p_positive < alpha:
            assert exact.statistic < upper
        else:
            assert exact.statistic > lower


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5, 1), "n_groups must be an integer >= 1"),
        ((5, 2, 1), "n_periods must be an integer >= 3"),
        ((5, 3, -1), "k must be an integer >= 0"),
        ((5, 3, 9), r"n_groups \* \(n_periods - 1\) must be at least k \+ 2 = 11, got 10"),
        ((5, 3, 1, 1.0), "alpha"),
    ],
)
def test_bad_numbers_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        durbin_watson_panel_bounds(*arguments)
