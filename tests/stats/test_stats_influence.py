"""Changes by deletion and variance inflation against their definitions and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import stats

RNG = np.random.default_rng(11)
X = np.column_stack([RNG.normal(size=30), RNG.exponential(size=30)])
X = np.column_stack([X, X @ [1.0, 0.5] + 0.3 * RNG.normal(size=30)])
Y = X @ [1.0, -1.0, 0.3] + RNG.normal(size=30)
W = RNG.uniform(0.3, 3, 30)
WEIGHTS = pytest.mark.parametrize("weights", [None, W], ids=["ordinary", "weighted"])


def deleted(weights, i):
    """The fit without row i, on the same scale of weights."""
    kept = np.arange(30) != i
    return stats.linear_regression(
        X[kept], Y[kept], weights=None if weights is None else weights[kept]
    )


@WEIGHTS
def test_measures_are_those_of_the_fit_without_the_row(weights):
    result = stats.linear_regression(X, Y, weights=weights)
    spread = np.sqrt(np.diag(result.covariance)) / result.residual_standard_deviation
    for i in (0, 7, 29):
        other = deleted(weights, i)
        s = other.residual_standard_deviation
        change = np.asarray(result.coefficients) - other.coefficients
        np.testing.assert_allclose(result.dfbetas[i], change / (s * spread), rtol=1e-8)
        scale = s * np.sqrt(result.leverage[i] / (1 if weights is None else weights[i]))
        moved = result.fitted[i] - other.predict(X[i : i + 1])[0]
        assert result.dffits[i] == pytest.approx(moved / scale, rel=1e-9)
        ratio = np.linalg.det(other.covariance) / np.linalg.det(result.covariance)
        assert result.covariance_ratio[i] == pytest.approx(ratio, rel=1e-9)


def test_measures_are_those_of_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    design = api.add_constant(X)
    measures = api.OLS(Y, design).fit().get_influence()
    result = stats.linear_regression(X, Y)
    np.testing.assert_allclose(result.dfbetas, measures.dfbetas, rtol=1e-9)
    np.testing.assert_allclose(result.dffits, measures.dffits[0], rtol=1e-9)
    np.testing.assert_allclose(result.covariance_ratio, measures.cov_ratio, rtol=1e-9)
    expected = [variance_inflation_factor(design, j) for j in (1, 2, 3)]
    np.testing.assert_allclose(result.variance_inflation[1:], expected, rtol=1e-9)


@WEIGHTS
def test_variance_inflation_is_that_of_the_regression_of_the_column(weights):
    result = stats.linear_regression(X, Y, weights=weights)
    assert np.isnan(result.variance_inflation[0])
    for j in range(3):
        other = stats.linear_regression(np.delete(X, j, axis=1), X[:, j], weights=weights)
        expected = 1 / (1 - other.r_squared)
        assert result.variance_inflation[j + 1] == pytest.approx(expected, rel=1e-10)


def test_variance_inflation_without_a_constant_is_uncentred():
    result = stats.linear_regression(X, Y, add_intercept=False)
    other = stats.linear_regression(X[:, 1:], X[:, 0], add_intercept=False)
    expected = 1 / (1 - other.r_squared)
    assert result.variance_inflation[0] == pytest.approx(expected, rel=1e-10)


def test_a_row_of_leverage_1_has_no_measures():
    only = np.column_stack([X[:, 0], np.arange(30) == 4])
    result = stats.linear_regression(only, Y)
    for measure in (result.dffits, result.covariance_ratio, result.dfbetas[:, 0]):
        assert np.isnan(measure[4])
        assert np.isfinite(np.delete(measure, 4)).all()


def test_several_responses_have_the_measures_of_each():
    both = stats.linear_regression(X, np.column_stack([Y, Y**2]))
    for j, y in enumerate((Y, Y**2)):
        one = stats.linear_regression(X, y)
        np.testing.assert_allclose(both.dfbetas[j], one.dfbetas, rtol=1e-10)
        np.testing.assert_allclose(both.dffits[:, j], one.dffits, rtol=1e-10)


def test_measures_of_tables_have_labels():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abc"), index=range(5, 35))
    result = stats.linear_regression(frame, Y)
    assert list(result.dfbetas.columns) == ["intercept", "a", "b", "c"]
    assert list(result.dffits.index) == list(range(5, 35))
    assert list(result.variance_inflation.index) == ["intercept", "a", "b", "c"]


@WEIGHTS
def test_added_variable_plots_show_partial_regressions(weights):
    pytest.importorskip("matplotlib")
    result = stats.linear_regression(X, Y, weights=weights, names=["a", "b", "c"])
    figure = result.plot_added_variables()
    root = np.ones(30) if weights is None else np.sqrt(weights)
    for j, ax in enumerate(figure.axes):
        x, y = ax.collections[0].get_offsets().T
        others = np.delete(X, j, axis=1)
        for shown, column in ((x, X[:, j]), (y, Y)):
            expected = stats.linear_regression(others, column, weights=weights).residuals
            np.testing.assert_allclose(shown, expected * root, atol=1e-10)
        assert ax.get_xlabel() == f"{'abc'[j]} | others"


def test_circles_of_the_influence_plot_have_the_area_of_cooks_distance():
    pytest.importorskip("matplotlib")
    result = stats.linear_regression(X, Y)
    circles = result.plot_influence().axes[0].collections[0]
    points, area = circles.get_offsets(), circles.get_sizes()
    np.testing.assert_allclose(points[:, 0], result.leverage)
    np.testing.assert_allclose(points[:, 1], result.studentized_residuals)
    large = area > 4
    ratio = area[large] / result.cooks_distance[large]
    np.testing.assert_allclose(ratio, ratio[0])


def test_plots_refuse_what_they_cannot_draw():
    pytest.importorskip("matplotlib")
    both = stats.linear_regression(X, np.column_stack([Y, Y]))
    for method in ("plot_influence", "plot_added_variables"):
        with pytest.raises(ValueError, match=rf"for_response\(name\)\.{method}\(\)"):
            getattr(both, method)()
    with pytest.raises(ValueError, match="ridge penalty"):
        stats.linear_regression(X, Y, ridge=1.0).plot_added_variables()
    with pytest.raises(ValueError, match="not constant"):
        stats.linear_regression(np.ones(30), Y, add_intercept=False).plot_added_variables()


# R's LifeCycleSavings (Belsley, Kuh & Welsch 1980): sr, pop15, pop75, dpi, ddpi of 50 countries.
SAVINGS = np.array([
    11.43, 29.35, 2.87, 2329.68, 2.87, 12.07, 23.32, 4.41, 1507.99, 3.93, 13.17, 23.8, 4.43,
    2108.47, 3.82, 5.75, 41.89, 1.67, 189.13, 0.22, 12.88, 42.19, 0.83, 728.47, 4.56, 8.79, 31.72,
    2.85, 2982.88, 2.43, 0.6, 39.74, 1.34, 662.86, 2.67, 11.9, 44.75, 0.67, 289.52, 6.51, 4.98,
    46.64, 1.06, 276.65, 3.08, 10.78, 47.64, 1.14, 471.24, 2.8, 16.85, 24.42, 3.93, 2496.53, 3.99,
    3.59, 46.31, 1.19, 287.77, 2.19, 11.24, 27.84, 2.37, 1681.25, 4.32, 12.64, 25.06, 4.7, 2213.82,
    4.52, 12.55, 23.31, 3.35, 2457.12, 3.44, 10.67, 25.62, 3.1, 870.85, 6.28, 3.01, 46.05, 0.87,
    289.71, 1.48, 7.7, 47.32, 0.58, 232.44, 3.19, 1.27, 34.03, 3.08, 1900.1, 1.12, 9, 41.31, 0.96,
    88.94, 1.54, 11.34, 31.16, 4.19, 1139.95, 2.99, 14.28, 24.52, 3.48, 1390, 3.54, 21.1, 27.01,
    1.91, 1257.28, 8.21, 3.98, 41.74, 0.91, 207.68, 5.81, 10.35, 21.8, 3.73, 2449.39, 1.57, 15.48,
    32.54, 2.47, 601.05, 8.12, 10.25, 25.95, 3.67, 2231.03, 3.62, 14.65, 24.71, 3.25, 1740.7, 7.66,
    10.67, 32.61, 3.17, 1487.52, 1.76, 7.3, 45.04, 1.21, 325.54, 2.48, 4.44, 43.56, 1.2, 568.56,
    3.61, 2.02, 41.18, 1.05, 220.56, 1.03, 12.7, 44.19, 1.28, 400.06, 0.67, 12.78, 46.26, 1.12,
    152.01, 2, 12.49, 28.96, 2.85, 579.51, 7.48, 11.14, 31.94, 2.28, 651.11, 2.19, 13.3, 31.92,
    1.52, 250.96, 2, 11.77, 27.74, 2.87, 768.79, 4.35, 6.86, 21.44, 4.54, 3299.49, 3.01, 14.13,
    23.49, 3.73, 2630.96, 2.7, 5.13, 43.42, 1.08, 389.66, 2.96, 2.81, 46.12, 1.21, 249.87, 1.13,
    7.81, 23.27, 4.46, 1813.93, 2.01, 7.56, 29.81, 3.43, 4001.89, 2.45, 9.22, 46.4, 0.9, 813.39,
    0.53, 18.56, 45.25, 0.56, 138.33, 5.14, 7.72, 41.12, 1.73, 380.47, 10.23, 9.24, 28.13, 2.72,
    766.54, 1.88, 8.89, 43.69, 2.07, 123.58, 16.71, 4.71, 47.2, 0.66, 242.69, 5.08,
]).reshape(50, 5)  # fmt: skip

# Printed by R's influence.measures(lm(sr ~ pop15 + pop75 + dpi + ddpi, LifeCycleSavings)).
PRINTED = {  # row: DFBETAS, DFFITS, covariance ratio, Cook's distance, leverage
    22: (0.63987, -0.65614, -0.67390, 0.14610, 0.388603, 0.8597, 1.085, 0.143, 0.2233),
    48: (0.55074, -0.48324, -0.37974, -0.01937, -1.024477, -1.1601, 2.091, 0.268, 0.5315),
}


@pytest.mark.parametrize("row", PRINTED, ids=["Japan", "Libya"])
def test_measures_are_those_of_r(row):
    result = stats.linear_regression(SAVINGS[:, 1:], SAVINGS[:, 0])
    measures = [result.dffits, result.covariance_ratio, result.cooks_distance, result.leverage]
    values = [*result.dfbetas[row], *(measure[row] for measure in measures)]
    np.testing.assert_allclose(values, PRINTED[row], atol=6e-4, rtol=0)
    np.testing.assert_allclose(values[:6], PRINTED[row][:6], atol=6e-5, rtol=0)
