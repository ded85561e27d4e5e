"""The bounds of the Durbin-Watson test, and the verdicts by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quadratic_forms import imhof

from fastnn.stats import (
    decide,
    durbin_watson_bounds,
    durbin_watson_pvalue,
    durbin_watson_test,
    plot_bounds,
)
from fastnn.stats.diagnostics.durbin_watson.quadratic_forms import path_eigenvalues

# Savin & White (1977), Econometrica 45, tables II and III: n, then d_L and d_U.
SAVIN_WHITE_5 = {
    1: "6 .610 1.400  10 .879 1.320  15 1.077 1.361  20 1.201 1.411  30 1.352 1.489 "
    "50 1.503 1.585  100 1.654 1.694  200 1.758 1.778",
    2: "10 .697 1.641  15 .946 1.543  20 1.100 1.537  30 1.284 1.567  50 1.462 1.628 "
    "100 1.634 1.715",
    3: "15 .814 1.750  20 .998 1.676  50 1.421 1.674  100 1.613 1.736",
    4: "15 .685 1.977  20 .894 1.828  50 1.378 1.721  100 1.592 1.758",
    5: "15 .562 2.220  20 .792 1.991  50 1.335 1.771  100 1.571 1.780  200 1.718 1.820",
    20: "200 1.554 1.991",
}
SAVIN_WHITE_1 = {
    1: "15 .811 1.070  20 .952 1.147  50 1.324 1.403  100 1.522 1.562",
    2: "15 .700 1.252  20 .863 1.271  50 1.285 1.446",
    5: "100 1.441 1.647",
}


# Ramanathan, Introductory Econometrics, five per cent, as in plugin/stats_tables.c of gretl: d_L
# and d_U of 1, 2, 3, 4, 5 and 10 regressors.  40 of the 454 numbers are not rounded to nearest.
TEXTBOOK = {
    15: "1.08 1.36 0.95 1.54 0.82 1.75 0.69 1.97 0.56 2.21",
    16: "1.10 1.37 0.98 1.54 0.86 1.73 0.74 1.93 0.62 2.15 0.16 3.30",
    17: "1.13 1.38 1.02 1.54 0.90 1.71 0.78 1.90 0.67 2.10 0.20 3.18",
    18: "1.16 1.39 1.05 1.53 0.93 1.69 0.82 1.87 0.71 2.06 0.24 3.07",
    19: "1.18 1.40 1.08 1.53 0.97 1.68 0.86 1.85 0.75 2.02 0.29 2.97",
    20: "1.20 1.41 1.10 1.54 1.00 1.68 0.90 1.83 0.79 1.99 0.34 2.89",
    21: "1.22 1.42 1.13 1.54 1.03 1.67 0.93 1.81 0.83 1.96 0.38 2.81",
    22: "1.24 1.43 1.15 1.54 1.05 1.66 0.96 1.80 0.86 1.94 0.42 2.73",
    23: "1.26 1.44 1.17 1.54 1.08 1.66 0.99 1.79 0.90 1.92 0.47 2.67",
    24: "1.27 1.45 1.19 1.55 1.10 1.66 1.01 1.78 0.93 1.90 0.51 2.61",
    25: "1.29 1.45 1.21 1.55 1.12 1.66 1.04 1.77 0.95 1.89 0.54 2.57",
    26: "1.30 1.46 1.22 1.55 1.14 1.65 1.06 1.76 0.98 1.88 0.58 2.51",
    27: "1.32 1.47 1.24 1.56 1.16 1.65 1.08 1.76 1.01 1.86 0.62 2.47",
    28: "1.33 1.48 1.26 1.56 1.18 1.65 1.10 1.75 1.03 1.85 0.65 2.43",
    29: "1.34 1.48 1.27 1.56 1.20 1.65 1.12 1.74 1.05 1.84 0.68 2.40",
    30: "1.35 1.49 1.28 1.57 1.21 1.65 1.14 1.74 1.07 1.83 0.71 2.36",
    31: "1.36 1.50 1.30 1.57 1.23 1.65 1.16 1.74 1.09 1.83 0.74 2.33",
    32: "1.37 1.50 1.31 1.57 1.24 1.65 1.18 1.73 1.11 1.82 0.77 2.31",
    33: "1.38 1.51 1.32 1.58 1.26 1.65 1.19 1.73 1.13 1.81 0.80 2.28",
    34: "1.39 1.51 1.33 1.58 1.27 1.65 1.21 1.73 1.15 1.81 0.82 2.26",
    35: "1.40 1.52 1.34 1.53 1.28 1.65 1.22 1.73 1.16 1.80 0.85 2.24",
    36: "1.41 1.52 1.35 1.59 1.29 1.65 1.24 1.73 1.18 1.80 0.87 2.22",
    37: "1.42 1.53 1.36 1.59 1.31 1.66 1.25 1.72 1.19 1.80 0.89 2.20",
    38: "1.43 1.54 1.37 1.59 1.32 1.66 1.26 1.72 1.21 1.79 0.91 2.18",
    39: "1.43 1.54 1.38 1.60 1.33 1.66 1.27 1.72 1.22 1.79 0.93 2.16",
    40: "1.44 1.54 1.39 1.60 1.34 1.66 1.29 1.72 1.23 1.79 0.95 2.15",
    45: "1.48 1.57 1.43 1.62 1.38 1.67 1.34 1.72 1.29 1.78 1.04 2.09",
    50: "1.50 1.59 1.46 1.63 1.42 1.67 1.38 1.72 1.34 1.77 1.11 2.04",
    55: "1.53 1.60 1.49 1.64 1.45 1.68 1.41 1.72 1.38 1.77 1.17 2.01",
    60: "1.55 1.62 1.51 1.65 1.48 1.69 1.44 1.73 1.41 1.77 1.22 1.98",
    65: "1.57 1.63 1.54 1.66 1.50 1.70 1.47 1.73 1.44 1.77 1.27 1.96",
    70: "1.58 1.64 1.55 1.67 1.52 1.70 1.49 1.74 1.46 1.77 1.30 1.95",
    75: "1.60 1.65 1.57 1.68 1.54 1.71 1.51 1.74 1.49 1.77 1.34 1.94",
    80: "1.61 1.66 1.59 1.69 1.56 1.72 1.53 1.74 1.51 1.77 1.37 1.93",
    85: "1.62 1.67 1.60 1.70 1.57 1.72 1.55 1.75 1.52 1.77 1.40 1.92",
    90: "1.63 1.68 1.61 1.70 1.59 1.73 1.57 1.75 1.54 1.78 1.42 1.91",
    95: "1.64 1.69 1.62 1.71 1.60 1.73 1.58 1.75 1.56 1.78 1.44 1.90",
    100: "1.65 1.69 1.63 1.72 1.61 1.74 1.59 1.76 1.57 1.78 1.46 1.90",
}


def rows(table):
    for k, text in table.items():
        cells = text.split()
        for n, lower, upper in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
            yield int(n), k, float(lower), float(upper)


@pytest.mark.parametrize(("n", "k", "lower", "upper"), list(rows(SAVIN_WHITE_5)))
def test_bounds_at_5_percent_are_savin_and_whites(n, k, lower, upper):
    np.testing.assert_allclose(durbin_watson_bounds(n, k), (lower, upper), rtol=0, atol=6e-4)


@pytest.mark.parametrize("n", TEXTBOOK)
def test_bounds_at_5_percent_are_those_of_a_textbook(n):
    printed = np.array(TEXTBOOK[n].split(), float).reshape(-1, 2)
    bounds = np.array([durbin_watson_bounds(n, k) for k in (1, 2, 3, 4, 5, 10)[: len(printed)]])
    if n == 35:
        printed[1, 1] = 1.58  # a misprint: 1.53, between 1.58 and 1.59 of the neighbours
    np.testing.assert_allclose(bounds, printed, rtol=0, atol=0.01)


@pytest.mark.parametrize(("n", "k", "lower", "upper"), list(rows(SAVIN_WHITE_1)))
def test_bounds_at_1_percent_are_savin_and_whites(n, k, lower, upper):
    # Their fourth digit is a rounding here and there: up to 0.0008 by others' count as well.
    found = durbin_watson_bounds(n, k, alpha=0.01)
    np.testing.assert_allclose(found, (lower, upper), rtol=0, atol=6e-4)


def eigenvalues(n, columns, intercept):
    """Of the bounding variables: the smallest and the largest that can be left."""
    values = path_eigenvalues(n, np.arange(n))
    first = 1 if intercept else 0
    return values[first : first + n - columns], values[columns:]


@settings(max_examples=20, deadline=None)
@given(st.integers(8, 40), st.integers(1, 4), st.floats(0.001, 0.6), st.booleans())
def test_bounds_are_quantiles_of_the_bounding_laws(n, k, alpha, intercept):
    bounds = durbin_watson_bounds(n, k, alpha, intercept)
    for bound, values in zip(bounds, eigenvalues(n, k + intercept, intercept), strict=True):
        assert imhof(values, bound) == pytest.approx(alpha, abs=1e-8)


def test_without_intercept_the_upper_bound_is_that_of_one_regressor_less():
    assert durbin_watson_bounds(20, 3, intercept=False).upper == pytest.approx(
        durbin_watson_bounds(20, 2).upper, abs=1e-9
    )


def test_without_intercept_the_lower_bound_is_below_that_of_as_many_columns():
    assert durbin_watson_bounds(20, 3, intercept=False).lower < durbin_watson_bounds(20, 2).lower


def test_an_intercept_alone_leaves_nothing_open():
    lower, upper = durbin_watson_bounds(12, 0)
    assert lower == upper
    p = durbin_watson_pvalue(lower, np.ones(12), add_intercept=False, alternative="positive")
    assert p.pvalue == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("intercept", [True, False])
def test_exact_critical_value_lies_between_the_bounds(intercept):
    rng = np.random.default_rng(0)
    lower, upper = durbin_watson_bounds(25, 3, intercept=intercept)
    for _ in range(10):
        X = rng.standard_normal((25, 3))
        options = {"alternative": "positive", "add_intercept": intercept}
        assert durbin_watson_pvalue(lower, X, **options).pvalue <= 0.05
        assert durbin_watson_pvalue(upper, X, **options).pvalue >= 0.05


def test_bounds_of_a_million_observations():
    lower, upper = durbin_watson_bounds(1_000_000, 5)
    # 1.645 standard deviations 2 / sqrt(n) below 2.
    assert lower == pytest.approx(2 - 3.29e-3, abs=2e-5)
    assert 0 < upper - lower < 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 0), "n must be an integer >= 3, got 2"),
        ((6, 4), "n must be at least k \\+ 3 = 7 with an intercept, got 6"),
        ((10, -1), "k must be an integer >= 0, got -1"),
        ((10, 1, 0.0), "alpha must be a finite number > 0 and < 1, got 0.0"),
        ((10, 1, 1.0), "alpha must be a finite number > 0 and < 1"),
        ((10, 0, 0.05, False), "k must be an integer >= 1, got 0"),
    ],
)
def test_bad_numbers_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        durbin_watson_bounds(*arguments)


# ------------------------------------------------------------------------------ verdicts


@pytest.mark.parametrize(
    ("d", "positive", "negative"),
    [
        (0.5, "reject", "do not reject"),
        (0.94097, "inconclusive", "do not reject"),
        (2.10488, "do not reject", "do not reject"),
        (2.9, "do not reject", "inconclusive"),
        (3.2, "do not reject", "reject"),
    ],
)
def test_verdicts_of_ten_observations_and_one_regressor(d, positive, negative):
    verdict = decide(d, n=10, k=1)
    assert (verdict.positive, verdict.negative) == (positive, negative)


X10 = np.array([48.9, 50.4, 52.9, 55, 56.8, 58.8, 61.2, 62.5, 64.7, 68])


def test_exact_p_value_settles_what_the_bounds_leave_open():
    verdict = decide(durbin_watson_pvalue(0.94097, X10))
    assert verdict.positive == "inconclusive"
    assert verdict.positive_settled == "reject"
    assert verdict.p_positive == pytest.approx(0.0069, abs=1e-4)
    assert "settles it: reject" in str(verdict)


def test_verdict_without_regressors_says_what_would_settle_it():
    verdict = decide(0.94097, n=10, k=1)
    assert verdict.positive_settled == "inconclusive"
    assert "durbin_watson_test would settle it" in str(verdict)


def test_exact_verdicts_agree_with_the_bounds_where_these_decide():
    rng = np.random.default_rng(3)
    for _ in range(30):
        X, errors = rng.standard_normal((20, 2)), rng.standard_normal(20)
        verdict = decide(durbin_watson_test(X, np.cumsum(errors) if rng.random() < 0.5 else errors))
        for by_bounds, settled in (
            (verdict.positive, verdict.positive_settled),
            (verdict.negative, verdict.negative_settled),
        ):
            assert by_bounds in ("inconclusive", settled)


def test_verdicts_without_intercept_mirror_the_law_of_4_minus_d():
    n, k, alpha = 15, 2, 0.05
    verdict = decide(2.0, n=n, k=k, intercept=False)
    least, largest = eigenvalues(n, k, False)
    assert imhof(4 - largest, verdict.mirrored.lower) == pytest.approx(alpha, abs=1e-9)
    assert imhof(4 - least, verdict.mirrored.upper) == pytest.approx(alpha, abs=1e-9)


def test_decide_refuses_a_result_of_another_lag():
    result = durbin_watson_pvalue(2.0, X10, lag=2)
    with pytest.raises(ValueError, match="those of lag 1, got a result of lag 2"):
        decide(result)


def test_decide_needs_n_and_k_with_a_number():
    with pytest.raises(TypeError, match="n and k must be given"):
        decide(1.5)
    with pytest.raises(TypeError, match="must be left out"):
        decide(durbin_watson_pvalue(2.0, X10), n=10, k=1)


# ------------------------------------------------------------------------------- picture


@pytest.fixture
def axes():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot.subplots()[1]
    pyplot.close("all")


def test_bar_of_zones_ends_at_the_bounds(axes):
    plot_bounds(10, 1, statistic=0.94, ax=axes)
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    lower, upper = durbin_watson_bounds(10, 1)
    np.testing.assert_allclose(ends, [lower, upper, 4 - upper, 4 - lower, 4])
    assert axes.lines[0].get_xdata()[0] == 0.94


def test_bands_of_zones_cover_the_sizes(axes):
    plot_bounds(range(10, 31, 10), 2, ax=axes)
    assert axes.get_xlim() == (10, 30)
    assert len(axes.collections) == 5


def test_picture_without_intercept_has_one_side(axes):
    plot_bounds(10, 1, intercept=False, ax=axes)
    assert len(axes.patches) == 3
