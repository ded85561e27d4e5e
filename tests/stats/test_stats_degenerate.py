"""Degenerate distributions and fits are reported, and never shown as ordinary numbers."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import stats

X = np.random.default_rng(1).normal(size=60)
Y = X + np.random.default_rng(2).normal(size=60)
SEVENTH = np.arange(60) == 7


@pytest.mark.parametrize(
    ("regressors", "lag", "statistic"),
    [
        (np.tile(np.eye(12), (2, 1))[:, 1:], 12, "2"),
        (np.array([[0, 0], [0, 0], [1, 0], [0, 1], [0, 1]]), 1, "2.5"),
    ],
)
def test_a_statistic_that_is_the_same_for_every_response_is_refused(regressors, lag, statistic):
    y = np.random.default_rng(0).normal(size=len(regressors))
    with pytest.raises(ValueError, match=f"the statistic is {statistic} for every response"):
        stats.durbin_watson_test(regressors, y, lag=lag)


def test_a_statistic_at_the_mean_of_its_distribution_has_a_p_value():
    x = np.column_stack([np.ones(12), np.arange(12.0)])
    basis = np.linalg.qr(x).Q
    differences = np.diff(basis, axis=0)
    mean = (2 * 11 - np.sum(differences**2)) / (12 - 2)
    assert 0.8 < stats.durbin_watson_pvalue(mean, np.arange(12.0)).pvalue <= 1


def test_p_values_of_a_perfect_fit_warn():
    result = stats.linear_regression(np.column_stack([X, Y]), 0.3 * X + 0.1)
    with pytest.warns(UserWarning, match="the fit is essentially perfect") as caught:
        _ = result.pvalues
    assert caught[0].filename == __file__


def test_the_summary_of_a_perfect_fit_says_so():
    text = str(stats.linear_regression(np.column_stack([X, Y]), 0.3 * X + 0.1))
    assert "The fit is essentially perfect" in text
    assert text.count("undefined") == 4  # skewness, kurtosis, Jarque-Bera, Durbin-Watson


def test_a_saturated_fit_is_not_called_perfect():
    result = stats.linear_regression([1.0, 2.0], [1.0, 3.0])
    assert "perfect" not in str(result)


@pytest.mark.parametrize("cov_type", ["HC2", "HC3"])
def test_a_row_of_leverage_1_leaves_the_other_coefficients_their_errors(cov_type):
    columns = np.column_stack([X, SEVENTH])
    with pytest.warns(UserWarning, match=r"leverage 1 \(row 7\): standard errors of x2 are nan"):
        result = stats.linear_regression(columns, Y, cov_type=cov_type)
    others = stats.linear_regression(X[~SEVENTH], Y[~SEVENTH], cov_type=cov_type)
    np.testing.assert_allclose(result.standard_errors[:2], others.standard_errors, rtol=1e-10)
    assert np.isnan(result.standard_errors[2])
    assert np.isnan(result.fvalue)


def test_predictions_that_use_a_row_of_leverage_1_have_no_robust_error():
    with pytest.warns(UserWarning, match="leverage 1"):
        result = stats.linear_regression(np.column_stack([X, SEVENTH]), Y, cov_type="HC3")
    others = stats.linear_regression(X[~SEVENTH], Y[~SEVENTH], cov_type="HC3")
    new = result.predict(np.array([[1.0, 0.0], [1.0, 1.0]]), interval="confidence")
    expected = others.predict(np.array([[1.0]]), interval="confidence").standard_error
    assert new.standard_error[0] == pytest.approx(expected[0], rel=1e-10)
    assert np.isnan(new.standard_error[1])
