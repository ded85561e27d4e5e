"""Changes by deletion and variance inflation against their definitions and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import SAVINGS

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
