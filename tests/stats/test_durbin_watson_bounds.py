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


def rows(table):
    for k, text in table.items():
        cells = text.split()
        for n, lower, upper in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
            yield int(n), k, float(lower), float(upper)


@pytest.mark.parametrize(("n", "k", "lower", "upper"), list(rows(SAVIN_WHITE_5)))
def test_bounds_at_5_percent_are_savin_and_whites(n, k, lower, upper):
    np.testing.assert_allclose(durbin_watson_bounds(n, k), (lower, upper), rtol=0, atol=6e-4)


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
