"""The text of summaries for unusual sizes, names and options."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import stats

T = np.arange(50.0)
Y = 1 + 0.5 * T + np.random.default_rng(2).normal(size=50)
SLOW = ("y" * 90, "x" * 40)


def lines_of(result):
    return str(result).splitlines()


def test_columns_stay_apart_however_large_t_is():
    k = np.arange(1e3)
    result = stats.linear_regression(
        k, 5e-8 * k + 1e-17 * np.random.default_rng(0).normal(size=1000)
    )
    row = next(line for line in lines_of(result) if line.startswith("x1"))
    assert len(row.split()) == 7
    assert float(row.split()[3]) == pytest.approx(result.tvalues[1], rel=1e-3)


def test_long_names_are_not_cut():
    pd = pytest.importorskip("pandas")
    response, column = SLOW
    result = stats.linear_regression(pd.DataFrame({column: T}), pd.Series(Y, name=response))
    assert response in str(result)
    assert column in str(result)
    table = lines_of(result)
    rules = {len(line) for line in table if set(line) <= {"=", "-"}}
    assert len(rules) == 1
    assert max(map(len, table[:12])) == max(rules)


def test_without_an_intercept_r_squared_is_called_uncentred():
    assert "R-squared (uncentred)" in str(stats.linear_regression(T, Y, add_intercept=False))
    assert "uncentred" not in str(stats.linear_regression(T, Y))


def test_streamed_weights_are_weights_whatever_their_product():
    weights = np.where(T % 2, 2.0, 0.5)  # the sum of their logarithms is 0
    result = stats.linear_regression_blocks([(T, Y, weights)])
    assert "Weighted least squares" in str(result)


@pytest.mark.parametrize("test", [stats.ljung_box, stats.box_pierce])
def test_the_default_lags_fit_a_short_series(test):
    series = np.random.default_rng(0).normal(size=10)
    assert test(series) == test(series, 9)


@pytest.mark.parametrize("n", [11, 50])
def test_the_default_lags_of_longer_series_are_10(n):
    series = np.random.default_rng(0).normal(size=n)
    assert stats.ljung_box(series) == stats.ljung_box(series, 10)


def test_more_lags_than_rows_are_refused():
    with pytest.raises(ValueError, match="lags must be at most n - 1 = 49, got 50"):
        stats.linear_regression(T, Y, cov_type="HAC", lags=50)


def test_jitter_of_clock_stamps_is_no_perfect_fit():
    jitter = np.random.default_rng(5).normal(size=50)
    stamps = 1.7e18 + 1e9 * T + 1e4 * jitter  # nanoseconds
    d = stats.durbin_watson_test(T, stamps).statistic
    assert d == pytest.approx(stats.durbin_watson_test(T, jitter).statistic, abs=0.05)
