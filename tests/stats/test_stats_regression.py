"""Linear regression against statsmodels, scikit-learn, SciPy and mathematics."""

from __future__ import annotations

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from regressions import simulated, solved
from scipy import stats as scipy_stats

from fastnn.stats import linear_regression, linear_regression_blocks
from fastnn.stats.linalg.design import block_rows
from fastnn.stats.regression.tails import f_pvalue, t_pvalue, t_quantile

METHODS = ("qr", "svd", "cholesky")


def pair(weighted, intercept, **options):
    """Our result and statsmodels' on the same data."""
    statsmodels = pytest.importorskip("statsmodels.api")
    X, y, weights = simulated()
    A = statsmodels.add_constant(X) if intercept else X
    if weighted:
        theirs = statsmodels.WLS(y, A, weights=weights).fit()
        return linear_regression(X, y, weights=weights, add_intercept=intercept, **options), theirs
    return linear_regression(X, y, add_intercept=intercept, **options), statsmodels.OLS(y, A).fit()


NAMES = {
    "coefficients": "params",
    "standard_errors": "bse",
    "tvalues": "tvalues",
    "pvalues": "pvalues",
    "residuals": "resid",
    "fitted": "fittedvalues",
    "r_squared": "rsquared",
    "adjusted_r_squared": "rsquared_adj",
    "fvalue": "fvalue",
    "f_pvalue": "f_pvalue",
    "log_likelihood": "llf",
    "aic": "aic",
    "bic": "bic",
    "residual_sum_of_squares": "ssr",
    "df_model": "df_model",
    "df_residual": "df_resid",
    "condition_number": "condition_number",
}


@pytest.mark.parametrize("ours", NAMES)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_attribute_agrees_with_statsmodels(ours, intercept, weighted):
    result, theirs = pair(weighted, intercept)
    np.testing.assert_allclose(getattr(result, ours), getattr(theirs, NAMES[ours]), rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weighted", [False, True])
def test_methods_agree(method, weighted):
    X, y, weights = simulated()
    weights = weights if weighted else None
    result = linear_regression(X, y, weights=weights, method=method, refine=False)
    np.testing.assert_allclose(result.coefficients, solved(X, y, weights), rtol=1e-12)
    reference = linear_regression(X, y, weights=weights)
    np.testing.assert_allclose(result.covariance, reference.covariance, rtol=1e-11)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_confidence_intervals_agree_with_statsmodels(level):
    result, theirs = pair(False, True)
    expected = theirs.conf_int(1 - level)
    np.testing.assert_allclose(np.transpose(result.confidence_intervals(level)), expected)


@pytest.mark.parametrize("cov_type", ["HC0", "HC1", "HC2", "HC3"])
@pytest.mark.parametrize("weighted", [False, True])
def test_robust_covariance_agrees_with_statsmodels(cov_type, weighted):
    result, theirs = pair(weighted, True, cov_type=cov_type)
    robust = theirs.get_robustcov_results(cov_type, use_t=True)
    np.testing.assert_allclose(result.covariance, robust.cov_params(), rtol=1e-10)
    np.testing.assert_allclose(result.pvalues, robust.pvalues, rtol=1e-9)
    np.testing.assert_allclose(result.fvalue, robust.fvalue, rtol=1e-9)
    np.testing.assert_allclose(result.f_pvalue, robust.f_pvalue, rtol=1e-9)


@pytest.mark.parametrize("kernel", ["bartlett", "uniform"])
@pytest.mark.parametrize("lags", [0, 1, 7, 39])
def test_hac_agrees_with_statsmodels(kernel, lags):
    result, theirs = pair(False, True, cov_type="HAC", kernel=kernel, lags=lags)
    robust = theirs.get_robustcov_results("HAC", maxlags=lags, kernel=kernel)
    np.testing.assert_allclose(result.covariance, robust.cov_params(), rtol=1e-9, atol=1e-12)


def test_hac_takes_pairs_across_blocks(monkeypatch):
    from fastnn.stats.linalg import design as _design

    X, y, _ = simulated(n=100)
    lags = 30
    expected = linear_regression(X, y, cov_type="HAC", lags=lags).covariance
    monkeypatch.setattr(_design, "block_rows", lambda width: 7)
    found = linear_regression(X, y, cov_type="HAC", lags=lags).covariance
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_parzen_weights_are_those_of_gallant():
    X, y, _ = simulated()
    result = linear_regression(X, y, cov_type="HAC", lags=3, kernel="parzen")
    A, e = result.design, result.residuals
    weights = [1, 1 - 6 / 16 + 6 / 64, 2 * (1 / 2) ** 3, 2 * (1 / 4) ** 3]
    scores = A * e[:, None]
    meat = scores.T @ scores
    for lag, weight in enumerate(weights[1:], 1):
        gamma = scores[lag:].T @ scores[:-lag]
        meat += weight * (gamma + gamma.T)
    bread = np.linalg.inv(A.T @ A)
    np.testing.assert_allclose(result.covariance, bread @ meat @ bread, rtol=1e-10)


def test_the_default_of_lags_is_newey_and_wests():
    X, y, _ = simulated(n=100)
    default = linear_regression(X, y, cov_type="HAC").covariance
    np.testing.assert_array_equal(
        default, linear_regression(X, y, cov_type="HAC", lags=4).covariance
    )


@pytest.mark.parametrize("design", ["ones", "dummies"])
def test_a_constant_among_the_columns_counts_as_intercept(design):
    statsmodels = pytest.importorskip("statsmodels.api")
    X, y, _ = simulated()
    group = np.arange(len(y)) % 2
    columns = [np.full(len(y), 3.0)] if design == "ones" else [group == 0, group == 1]
    A = np.column_stack([*columns, X]).astype(float)
    for cov_type in ("classical", "HC1"):
        result = linear_regression(A, y, add_intercept=False, cov_type=cov_type)
        theirs = statsmodels.OLS(y, A).fit()
        if cov_type != "classical" and design == "ones":
            theirs = theirs.get_robustcov_results(cov_type, use_t=True)
        assert result.has_intercept
        assert result.r_squared == pytest.approx(theirs.rsquared)
        if cov_type == "classical" or design == "ones":
            assert result.fvalue == pytest.approx(theirs.fvalue)


def test_wald_test_does_not_depend_on_which_columns_make_the_constant():
    X, y, _ = simulated()
    group = np.arange(len(y)) % 2
    one = linear_regression(np.column_stack([group, X]), y, cov_type="HC2")
    other = linear_regression(
        np.column_stack([group == 0, group == 1, X]), y, add_intercept=False, cov_type="HC2"
    )
    assert other.fvalue == pytest.approx(one.fvalue, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_influence_by_leaving_rows_out(weighted):
    """Leverage, studentised residuals and Cook's distance, by their definitions."""
    X, y, weights = simulated(n=15, k=2)
    weights = weights if weighted else np.ones(len(y))
    result = linear_regression(X, y, weights=weights)
    s2 = result.residual_standard_deviation**2
    A = result.design * np.sqrt(weights)[:, None]
    hat = A @ np.linalg.inv(A.T @ A) @ A.T
    np.testing.assert_allclose(result.leverage, np.diag(hat), rtol=1e-11)
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        without = linear_regression(X[rest], y[rest], weights=weights[rest])
        moved = A @ (result.coefficients - without.coefficients)
        assert result.cooks_distance[i] == pytest.approx(moved @ moved / 3 / s2, rel=1e-9)
        scale = without.residual_standard_deviation * np.sqrt(1 - hat[i, i])
        outer = result.residuals[i] * np.sqrt(weights[i]) / scale
        assert result.studentized_residuals[i] == pytest.approx(outer, rel=1e-9)
        inner = result.residuals[i] * np.sqrt(weights[i] / s2 / (1 - hat[i, i]))
        assert result.standardized_residuals[i] == pytest.approx(inner, rel=1e-9)


def test_a_row_of_leverage_one_has_no_studentised_residual():
    X, y, _ = simulated(k=1)
    only = np.zeros(len(y))
    only[4] = 1.0
    result = linear_regression(np.column_stack([X, only]), y)
    assert result.leverage[4] == pytest.approx(1.0)
    assert np.flatnonzero(np.isnan(result.studentized_residuals)).tolist() == [4]
    assert np.flatnonzero(np.isnan(result.cooks_distance)).tolist() == [4]


@pytest.mark.parametrize("interval", ["confidence", "prediction"])
def test_predictions_agree_with_statsmodels(interval):
    result, theirs = pair(False, True)
    X = simulated(seed=5)[0]
    table = theirs.get_prediction(np.column_stack([np.ones(len(X)), X])).summary_frame(0.1)
    found = result.predict(X, interval, level=0.9)
    prefix = "mean_ci" if interval == "confidence" else "obs_ci"
    np.testing.assert_allclose(found.mean, table["mean"])
    np.testing.assert_allclose(found.standard_error, table["mean_se"])
    np.testing.assert_allclose(found.lower, table[f"{prefix}_lower"])
    np.testing.assert_allclose(found.upper, table[f"{prefix}_upper"])
    np.testing.assert_array_equal(result.predict(X), found.mean)


def test_several_responses_are_fitted_as_each_alone():
    X, Y, weights = simulated(responses=3)
    for options in ({}, {"cov_type": "HC3"}, {"cov_type": "HAC"}, {"ridge": 2.0}):
        together = linear_regression(X, Y, weights=weights, **options)
        for j in range(3):
            alone = linear_regression(X, Y[:, j], weights=weights, **options)
            one = together.for_response(j)
            for name in ("coefficients", "standard_errors", "pvalues", "residuals", "covariance",
                         "cooks_distance", "r_squared", "fvalue", "log_likelihood"):  # fmt: skip
                expected = getattr(alone, name)
                np.testing.assert_allclose(getattr(one, name), expected, rtol=1e-10, atol=1e-13)
                both = np.asarray(getattr(together, name))
                both = both[j] if name == "covariance" else both[..., j]
                np.testing.assert_allclose(both, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 1e4])
def test_ridge_agrees_with_scikit_learn(penalty):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y, weights = simulated()
    theirs = linear_model.Ridge(alpha=penalty, tol=1e-12).fit(X, y, sample_weight=weights)
    result = linear_regression(X, y, weights=weights, ridge=penalty)
    expected = [theirs.intercept_, *theirs.coef_]
    np.testing.assert_allclose(result.coefficients, expected, rtol=1e-9, atol=1e-12)


def test_effective_parameters_of_ridge_are_the_trace_of_the_hat_matrix():
    X, y, _ = simulated()
    result = linear_regression(X, y, ridge=3.0)
    A = result.design
    inverse = np.linalg.inv(A.T @ A + np.diag([0, 3.0, 3.0, 3.0]))
    assert result.effective_parameters == pytest.approx(np.trace(A @ inverse @ A.T), rel=1e-12)
    assert result.leverage.sum() == pytest.approx(result.effective_parameters, rel=1e-12)
    s2 = result.residual_sum_of_squares / (len(y) - result.effective_parameters)
    np.testing.assert_allclose(result.covariance, s2 * inverse @ A.T @ A @ inverse, rtol=1e-10)
    assert np.isnan(result.fvalue)


def test_no_ridge_is_the_limit_of_little_ridge():
    X, y, _ = simulated()
    plain, little = linear_regression(X, y), linear_regression(X, y, ridge=1e-9)
    np.testing.assert_allclose(little.standard_errors, plain.standard_errors, rtol=1e-8)
    assert little.aic == pytest.approx(plain.aic, rel=1e-8)


@pytest.mark.parametrize("method", ["qr", "svd"])
@pytest.mark.parametrize("weighted", [False, True])
def test_streamed_blocks_give_what_all_rows_give(method, weighted):
    n = 3 * block_rows(5) + 17
    X, y, weights = simulated(n=n)
    whole = linear_regression(X, y, weights=weights if weighted else None, method=method)
    ends = [0, 1, 3, 1000, 1001, 2 * block_rows(5), n]
    blocks = ((X[a:b], y[a:b], weights[a:b] if weighted else None) for a, b in pairwise(ends))
    streamed = linear_regression_blocks(blocks, method=method)
    for name in ("coefficients", "standard_errors", "pvalues", "r_squared", "fvalue",
                 "log_likelihood", "residual_sum_of_squares", "n_observations"):  # fmt: skip
        np.testing.assert_allclose(getattr(streamed, name), getattr(whole, name), rtol=1e-9)
    assert streamed.design is None


def test_residuals_are_orthogonal_to_the_design_of_many_rows():
    X, y, _ = simulated(n=100_000)
    result = linear_regression(X, y)
    cosine = result.design.T @ result.residuals / np.linalg.norm(result.design, axis=0)
    assert np.abs(cosine).max() < 1e-11 * np.linalg.norm(y)


@pytest.mark.parametrize("distance", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nearly_dependent_columns_cost_no_digits_where_refined(distance, seed):
    X, y, _ = simulated(n=12, k=3, seed=seed)
    X[:, 2] = X[:, 0] + distance * X[:, 2]
    result = linear_regression(X * [1.0, 1e8, 1e-8], y)
    with mpmath.workdps(80):
        A, b = mpmath.matrix(result.design.tolist()), mpmath.matrix(y.tolist())
        inverse = (A.T * A) ** -1
        coefficients = inverse * (A.T * b)
        left = b - A * coefficients
        s2 = (left.T * left)[0] / (12 - 4)
        expected = [float(value) for value in coefficients]
        errors = [float(mpmath.sqrt(inverse[j, j] * s2)) for j in range(4)]
    rtol = 1e-14 + 2.0**-104 * result.scaled_condition_number**2
    np.testing.assert_allclose(result.coefficients, expected, rtol=rtol)
    np.testing.assert_allclose(result.standard_errors, errors, rtol=rtol)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_squares_survive_a_large_mean_and_a_close_fit(method, weighted):
    X, y, weights = simulated()
    weights = weights if weighted else np.ones(len(y))
    offset, slope = 2.0**24, 2.0**12  # exact, so that the residuals keep their digits
    X, y = np.round(X * 2**20) / 2**20, np.round(y * 2**20) / 2**20
    plain = linear_regression(X, y, weights=weights)
    other = linear_regression(
        X, y + offset + slope * X[:, 0], weights=weights, method=method, refine=False
    )
    expected = plain.residual_sum_of_squares
    assert other.residual_sum_of_squares == pytest.approx(expected, rel=1e-7)
    far = linear_regression(X, y + offset, weights=weights, method=method, refine=False)
    assert far.total_sum_of_squares == pytest.approx(plain.total_sum_of_squares, rel=1e-7)
    assert far.r_squared == pytest.approx(plain.r_squared, rel=1e-7)


def test_a_perfect_fit_has_no_error():
    x = np.arange(10.0)
    result = linear_regression(x, 2 * x + 1)
    assert result.coefficients.tolist() == [1.0, 2.0]
    assert result.residual_sum_of_squares == 0.0
    with pytest.warns(UserWarning, match="essentially perfect"):
        assert result.pvalues.tolist() == [0.0, 0.0]
    assert result.r_squared == 1.0


def test_no_degrees_of_freedom_leave_errors_undefined():
    result = linear_regression(np.array([[1.0], [2.0]]), np.array([1.0, 3.0]))
    np.testing.assert_allclose(result.coefficients, [-1.0, 2.0])
    assert result.df_residual == 0
    assert np.isnan(result.standard_errors).all()
    assert np.isnan(result.pvalues).all()


def test_the_mean_is_a_regression_on_nothing():
    y = simulated()[1]
    result = linear_regression(np.zeros((len(y), 0)), y)
    assert result.coefficients[0] == pytest.approx(y.mean())
    assert result.standard_errors[0] == pytest.approx(scipy_stats.sem(y))


@pytest.mark.parametrize("df", [1, 2.5, 30, 1e6])
@pytest.mark.parametrize("t", [1e-8, 0.3, 2.0, 40.0])
def test_p_values_are_accurate_in_the_tails(df, t):
    mpmath.mp.dps = 40
    z = mpmath.mpf(df) / (mpmath.mpf(df) + mpmath.mpf(t) ** 2)
    two_sided = mpmath.betainc(mpmath.mpf(df) / 2, 0.5, 0, z, regularized=True)
    if two_sided > 1e-300:
        # SciPy 1.13 has an error of 3e-9 where the statistic is next to 0.
        expected = pytest.approx(float(two_sided), rel=1e-9 if t > 1e-6 else 1e-8)
        assert t_pvalue(np.array([t]), df)[0] == expected
        assert f_pvalue(np.array([t * t]), 1, df)[0] == expected


@pytest.mark.parametrize("level", [0.5, 0.95, 1 - 1e-9])
@pytest.mark.parametrize("df", [1, 9, 1e6])
def test_quantiles_invert_p_values(level, df):
    quantile = t_quantile(level, df)
    assert t_pvalue(np.array([quantile]), df)[0] == pytest.approx(1 - level, rel=1e-6)
