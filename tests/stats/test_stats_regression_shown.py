"""The summary, the plots and the memory of linear regression."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from memory import peak_of
from nist import REFERENCES
from regressions import simulated

from fastnn.stats import linear_regression, linear_regression_blocks
from fastnn.stats.diagnostics import summary as diagnostics_summary
from fastnn.stats.diagnostics.normality import normality
from fastnn.stats.regression.plots import smoothed
from fastnn.stats.tables.cells import p_text

X, Y, WEIGHTS = simulated()
LONGLEY = REFERENCES["Longley"]


@pytest.fixture(scope="module")
def longley():
    names = ["GNPDEFL", "GNP", "UNEMP", "ARMED", "POP", "YEAR"]
    return linear_regression(LONGLEY.X, LONGLEY.response, names=names)


# ------------------------------------------------------------------------------- summary


def test_the_summary_has_what_a_reader_looks_for(longley):
    text = str(longley)
    for part in ("R-squared", "0.9955", "Adjusted R-squared", "0.9925", "F(6, 9)", "330.285",
                 "p = 4.98e-10", "Log-likelihood", "-109.617", "AIC", "233.235", "BIC", "238.643",
                 "304.854", "Durbin-Watson", "2.559", "Jarque-Bera", "Condition number 4.86e+09",
                 "[0.025", "0.975]", "P>|t|", "Ordinary least squares (QR)"):  # fmt: skip
        assert part in text


def test_the_summary_has_a_row_for_each_coefficient(longley):
    row = next(line for line in str(longley).splitlines() if line.startswith("UNEMP"))
    assert row.split() == ["UNEMP", "-2.0202", "0.4884", "-4.136", "0.003", "-3.1251", "-0.9154"]


def test_lines_of_the_summary_are_of_one_width(longley):
    lines = str(longley).splitlines()
    width = max(len(line) for line in lines if line.startswith("==="))
    assert max(map(len, lines)) <= width
    assert width <= 100


def test_the_summary_takes_a_level(longley):
    assert "[0.005" in longley.summary(level=0.99)
    with pytest.raises(ValueError, match="level must be"):
        longley.summary(level=99)


def test_the_summary_has_the_p_value_of_durbin_watson(longley):
    test = longley.durbin_watson()
    assert test.statistic == pytest.approx(2.559488, abs=1e-6)
    assert f"2.559, p = {p_text(test.pvalue)}" in str(longley)


def test_where_its_law_is_unknown_durbin_watson_has_no_p_value():
    assert "no p-value" in str(linear_regression(X, Y, ridge=1.0))


def test_a_perfect_fit_has_a_summary():
    text = str(linear_regression(np.arange(10.0), np.arange(10.0)))
    assert "Durbin-Watson:" in text
    assert "undefined" in text


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_a_response_that_does_not_vary_explains_nothing(value):
    result = linear_regression(X, np.full(len(X), value))
    assert np.isnan([result.r_squared, result.adjusted_r_squared, result.fvalue]).all()
    assert "undefined" in str(result)


def test_of_much_data_the_summary_has_the_statistic_alone(monkeypatch):
    monkeypatch.setattr(diagnostics_summary, "_SECONDS_OF_WORK", 0)
    line = next(line for line in str(linear_regression(X, Y)).splitlines() if "Durbin" in line)
    assert " p " not in line.partition("Durbin")[2]


def test_each_response_has_its_table():
    text = str(linear_regression(X, np.column_stack([Y, Y**2])))
    assert text.count("Linear regression") == 2
    assert "y2" in text


def test_the_summary_says_what_ridge_errors_do_not_tell():
    text = str(linear_regression(X, Y, ridge=2.0))
    assert "biased towards zero" in text
    assert "undefined" in text  # its F


def test_the_summary_names_the_covariance():
    assert "HAC (parzen, 3 lags)" in str(
        linear_regression(X, Y, cov_type="HAC", kernel="parzen", lags=3)
    )


def test_the_summary_of_streamed_rows_says_so():
    text = str(linear_regression_blocks([(X, Y, WEIGHTS)]))
    assert "Rows were streamed" in text
    assert "Weighted least squares" in text


@pytest.mark.parametrize("name", ["residuals", "fitted", "leverage", "cooks_distance", "response"])
def test_streamed_rows_leave_no_arrays(name):
    result = linear_regression_blocks([(X, Y)])
    with pytest.raises(AttributeError, match="the rows were streamed"):
        getattr(result, name)


def test_streamed_rows_have_no_robust_covariance():
    with pytest.raises(ValueError, match="cov_type='HC1' needs the rows again"):
        linear_regression_blocks([(X, Y)]).with_covariance("HC1")


def test_normality_agrees_with_statsmodels():
    tools = pytest.importorskip("statsmodels.stats.stattools")
    e = linear_regression(X, Y).residuals
    statistic, p, skew, kurtosis = tools.jarque_bera(e)
    np.testing.assert_allclose(normality(e), [skew, kurtosis, statistic, p], rtol=1e-12)


def test_another_covariance_is_one_call_away():
    one = linear_regression(X, Y).with_covariance("HC3")
    np.testing.assert_array_equal(one.pvalues, linear_regression(X, Y, cov_type="HC3").pvalues)


def test_a_response_is_taken_by_name_or_place():
    result = linear_regression(X, np.column_stack([Y, Y**2]))
    assert result.for_response("y2").response_names == ("y2",)
    with pytest.raises(ValueError, match="response must be one of y1, y2, got 'y3'"):
        result.for_response("y3")
    with pytest.raises(IndexError, match="from 0 to 1, got 2"):
        result.for_response(2)


# --------------------------------------------------------------------------------- plots


@pytest.fixture
def figure(longley):
    pytest.importorskip("matplotlib")
    return longley.plot()


def points(axes):
    return np.asarray(axes.collections[0].get_offsets())


def test_the_four_plots_show_their_quantities(figure, longley):
    fit, normal, scale, influence = figure.axes
    np.testing.assert_allclose(points(fit), np.c_[longley.fitted, longley.residuals])
    np.testing.assert_allclose(np.sort(longley.standardized_residuals), points(normal)[:, 1])
    roots = np.sqrt(np.abs(longley.standardized_residuals))
    np.testing.assert_allclose(points(scale), np.c_[longley.fitted, roots])
    np.testing.assert_allclose(
        points(influence), np.c_[longley.leverage, longley.standardized_residuals]
    )


def test_contours_are_of_cooks_distance(figure, longley):
    curves = [line for line in figure.axes[3].lines if len(line.get_xdata()) == 400]
    for line, distance in zip(curves, (0.5, 0.5, 1.0, 1.0), strict=True):
        h, r = line.get_xdata(), line.get_ydata()
        np.testing.assert_allclose(r**2 * h / (1 - h) / longley.n_parameters, distance)


def test_the_most_extreme_rows_are_named(figure, longley):
    named = {int(text.get_text()) for text in figure.axes[0].texts}
    assert named == set(np.argsort(-np.abs(longley.standardized_residuals))[:3])


def test_of_many_rows_the_extreme_ones_are_drawn():
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(50_000), rng.standard_normal(50_000)
    y[12_345] = 100.0
    drawn = points(linear_regression(x, y).plot().axes[0])
    assert len(drawn) < 6000
    assert drawn[:, 1].max() > 99


def test_a_plot_is_saved(longley, tmp_path):
    pytest.importorskip("matplotlib")
    longley.plot(tmp_path / "residuals.png")
    assert (tmp_path / "residuals.png").stat().st_size > 10_000


def test_a_plot_is_of_one_response():
    with pytest.raises(ValueError, match=r"result.for_response\(name\)"):
        linear_regression(X, np.column_stack([Y, Y])).plot()


def test_without_matplotlib_the_error_names_the_extra(longley, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "fastnn\[plot\]"'):
        longley.plot()


def test_a_smooth_line_follows_a_line():
    x = np.random.default_rng(0).uniform(size=100)
    at, values = smoothed(x, 3 * x - 1)
    np.testing.assert_allclose(values, 3 * at - 1)


# --------------------------------------------------------------------- memory and imports


def peak(call):
    call()  # what is imported at the first call is not counted
    return peak_of(call)[0]


def test_memory_is_one_design_and_two_vectors():
    X, y, _ = simulated(n=100_000, k=20)
    design = 8 * len(y) * 21
    assert peak(lambda: linear_regression(X, y)) < design + 2 * y.nbytes + 3_000_000


@pytest.mark.parametrize("cov_type", ["classical", "HC3", "HAC"])
def test_without_a_copy_memory_is_some_vectors(cov_type):
    X, y, _ = simulated(n=100_000, k=20)
    found = peak(lambda: linear_regression(X, y, copy=False, cov_type=cov_type))
    assert found < 2 * y.nbytes + 4_000_000 < X.nbytes / 2


def test_streamed_rows_are_not_kept():
    X, y, _ = simulated(n=20_000, k=20)
    found = peak(lambda: linear_regression_blocks((X, y) for _ in range(20)))
    assert found < 2 * y.nbytes + 4_000_000


def test_statistics_are_loaded_when_they_are_used():
    code = (
        "import sys, fastnn\n"
        "assert 'stats' in dir(fastnn) and 'fastnn.stats' not in sys.modules\n"
        "fastnn.stats.linear_regression([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.0])\n"
        "assert not {'pandas', 'matplotlib', 'scipy.stats'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_has_no_other_names_made_up():
    import fastnn

    with pytest.raises(AttributeError, match="has no attribute 'statistics'"):
        fastnn.statistics  # noqa: B018
