"""Tests of residuals against statsmodels, SciPy, enumeration and their formulas."""

import itertools
import warnings

import numpy as np
import pytest
from scipy import stats as scipy_stats

from fastnn import stats

statsmodels = pytest.importorskip("statsmodels.api")
diagnostic = pytest.importorskip("statsmodels.stats.diagnostic")


@pytest.fixture
def data():
    rng = np.random.default_rng(7)
    n = 60
    X = rng.normal(size=(n, 3)) * [1, 100, 1e-3]
    errors = np.zeros(n)
    for t in range(1, n):
        errors[t] = 0.5 * errors[t - 1] + rng.normal() * (1 + 0.5 * X[t, 0] ** 2)
    return X, 2 + X @ [1.0, 0.03, -400.0] + errors


@pytest.fixture
def regression(data):
    return stats.linear_regression(*data)


@pytest.fixture
def ols(data):
    X, y = data
    return statsmodels.OLS(y, statsmodels.add_constant(X)).fit()


# -------------------------------------------------------------- autocorrelation


@pytest.mark.parametrize("lags", [1, 2, 7])
def test_breusch_godfrey_agrees_with_statsmodels(regression, ols, lags):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of another kind of tuple to come
        expected = diagnostic.acorr_breusch_godfrey(ols, nlags=lags)
    np.testing.assert_allclose([*stats.breusch_godfrey(regression, lags)], expected[:2], rtol=1e-8)
    found = [*stats.breusch_godfrey(regression, lags, form="f")]
    np.testing.assert_allclose(found, expected[2:], rtol=1e-8)


@pytest.mark.parametrize("function", ["ljung_box", "box_pierce"])
def test_portmanteau_tests_agree_with_statsmodels(regression, ols, function):
    frame = diagnostic.acorr_ljungbox(ols.resid, lags=[1, 4, 10], boxpierce=True, model_df=0)
    columns = {"ljung_box": ["lb_stat", "lb_pvalue"], "box_pierce": ["bp_stat", "bp_pvalue"]}
    found = getattr(stats, function)(regression, [1, 4, 10])
    np.testing.assert_allclose([*found], frame[columns[function]].to_numpy().T, rtol=1e-9)


def test_one_lag_gives_numbers_rather_than_arrays(regression):
    found = stats.ljung_box(regression, 4)
    assert isinstance(found.statistic, float)
    assert found.statistic == stats.ljung_box(regression, [2, 4]).statistic[1]


def test_fitted_parameters_reduce_the_degrees_of_freedom(regression):
    found = stats.ljung_box(regression, 5, fitted_parameters=2)
    assert found.pvalue == pytest.approx(scipy_stats.chi2.sf(found.statistic, 3), rel=1e-12)


def test_autocorrelation_agrees_with_statsmodels(regression):
    from statsmodels.tsa.stattools import acf

    np.testing.assert_allclose(
        stats.autocorrelation(regression, 12), acf(regression.residuals, nlags=12), atol=1e-14
    )


def lagged_response(rng, n, rho):
    y = np.zeros(n + 1)
    x, error = rng.normal(size=n + 1), 0.0
    for t in range(1, n + 1):
        error = rho * error + rng.normal()
        y[t] = 1 + 0.5 * y[t - 1] + x[t] + error
    return np.column_stack([y[:-1], x[1:]]), y[1:]


def test_durbin_h_follows_its_formula():
    X, y = lagged_response(np.random.default_rng(3), 80, 0.3)
    found = stats.durbin_h(stats.linear_regression(X, y, names=["before", "x"]), "before")
    fit = statsmodels.OLS(y, statsmodels.add_constant(X)).fit()
    d = np.sum(np.diff(fit.resid) ** 2) / np.sum(fit.resid**2)
    h = (1 - d / 2) * np.sqrt(80 / (1 - 80 * fit.cov_params()[1, 1]))
    assert found.statistic == pytest.approx(h, rel=1e-9)
    assert found.pvalue == pytest.approx(2 * scipy_stats.norm.sf(abs(h)), rel=1e-9)


def test_durbin_h_has_its_level_where_durbin_watson_has_not():
    """In 200 simulations without autocorrelation about 5 % are rejected."""
    rng = np.random.default_rng(11)
    rejected = 0
    for _ in range(200):
        X, y = lagged_response(rng, 100, 0.0)
        rejected += stats.durbin_h(stats.linear_regression(X, y), 1).pvalue < 0.05
    assert (
        6 <= rejected <= 40
    )  # beyond 4 standard deviations of a binomial(400, 0.05) on either side


def test_durbin_h_refuses_a_column_that_is_not_the_lagged_response(regression):
    with pytest.raises(ValueError, match="does not hold the response one step before"):
        stats.durbin_h(regression, 1)


def test_durbin_h_says_where_it_is_undefined():
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.normal(size=30))
    X = np.column_stack([y[:-1], y[:-1] + 1e-3 * rng.normal(size=29)])
    with pytest.raises(ValueError, match=r"h is undefined.*use breusch_godfrey"):
        stats.durbin_h(stats.linear_regression(X, y[1:]), 1)


def test_durbin_h_names_an_unknown_column(regression):
    with pytest.raises(ValueError, match="no column 'nothing'"):
        stats.durbin_h(regression, "nothing")


# ------------------------------------------------------------ unequal variance


@pytest.mark.parametrize("studentize", [True, False])
def test_breusch_pagan_agrees_with_statsmodels(regression, ols, studentize):
    expected = diagnostic.het_breuschpagan(ols.resid, ols.model.exog, robust=studentize)
    found = stats.breusch_pagan(regression, studentize=studentize)
    np.testing.assert_allclose([*found], expected[:2], rtol=1e-8)


def test_breusch_pagan_takes_other_variables(regression, ols, data):
    Z = data[0][:, :1] ** 2
    expected = diagnostic.het_breuschpagan(ols.resid, statsmodels.add_constant(Z))
    np.testing.assert_allclose([*stats.breusch_pagan(regression, Z)], expected[:2], rtol=1e-8)
    np.testing.assert_allclose([*stats.breusch_pagan(regression, Z[:, 0])], expected[:2], rtol=1e-8)


def test_white_agrees_with_statsmodels(regression, ols):
    expected = diagnostic.het_white(ols.resid, ols.model.exog)
    np.testing.assert_allclose([*stats.white(regression)], expected[:2], rtol=1e-7)


def test_white_does_not_depend_on_the_units(data):
    X, y = data
    expected = stats.white(stats.linear_regression(X, y)).statistic
    found = stats.white(stats.linear_regression(X * [1e80, 1e-90, 1.0], y)).statistic
    assert found == pytest.approx(expected, rel=1e-6)


def test_residuals_of_one_size_have_one_variance():
    X = np.arange(8.0)
    y = np.array([1.0, -1, -1, 1, 1, -1, -1, 1])
    found = stats.breusch_pagan(stats.linear_regression(X, y))
    assert found.statistic == pytest.approx(0, abs=1e-9)
    assert found.pvalue == pytest.approx(1)


# ----------------------------------------------------------- normality and order


def test_jarque_bera_agrees_with_statsmodels(regression):
    from statsmodels.stats.stattools import jarque_bera

    expected = jarque_bera(regression.residuals)[:2]
    np.testing.assert_allclose([*stats.jarque_bera(regression)], expected, rtol=1e-10)


@pytest.mark.parametrize(("above", "below"), [(1, 2), (1, 4), (3, 3), (2, 6), (5, 4)])
def test_exact_law_of_runs_is_that_of_all_orders(above, below):
    n = above + below
    counts = []
    for places in itertools.combinations(range(n), above):
        signs = np.full(n, -1.0)
        signs[list(places)] = 1
        counts.append(1 + np.count_nonzero(np.diff(signs)))
    counts = np.array(counts)
    for runs in np.unique(counts):
        signs = signs_with(runs, above, below)
        found = stats.runs_test(signs, alternative="positive")
        assert found.statistic == runs
        assert found.pvalue == pytest.approx(np.mean(counts <= runs), rel=1e-12)
        other = stats.runs_test(signs, alternative="negative").pvalue
        assert other == pytest.approx(np.mean(counts >= runs), rel=1e-12)


def signs_with(runs, above, below):
    """Some order of signs with this many runs."""
    for places in itertools.combinations(range(above + below), above):
        signs = np.full(above + below, -1.0)
        signs[list(places)] = 1
        if 1 + np.count_nonzero(np.diff(signs)) == runs:
            return signs
    raise AssertionError("no such order")


def test_normal_runs_test_agrees_with_statsmodels(regression):
    from statsmodels.sandbox.stats.runs import runstest_1samp

    expected = runstest_1samp(regression.residuals, cutoff=0, correction=False)
    np.testing.assert_allclose([*stats.runs_test(regression, method="normal")], expected)


def test_two_sided_exact_p_value_is_at_most_1():
    assert stats.runs_test([1.0, -1, 1, -1, -1, 1]).pvalue <= 1


def test_zeros_have_no_sign():
    series = np.array([1.0, 0, 2, -1, 0, -3, 4])
    assert [*stats.runs_test(series)] == [*stats.runs_test(series[series != 0])]


def test_runs_of_a_million_residuals_have_an_exact_law():
    series = np.random.default_rng(0).normal(size=1_000_000)
    exact, normal = stats.runs_test(series), stats.runs_test(series, method="normal")
    assert exact.pvalue == pytest.approx(normal.pvalue, rel=0.01)


# -------------------------------------------------------------------- bad input

ON_SERIES = [stats.ljung_box, stats.box_pierce, stats.jarque_bera, stats.runs_test]


@pytest.mark.parametrize("test", [*ON_SERIES, stats.autocorrelation])
@pytest.mark.parametrize(
    ("residuals", "error", "message"),
    [
        ([1.0, np.nan, 2.0, np.inf], ValueError, "2 elements that are not finite"),
        (np.zeros(9), ValueError, "all zero"),
        ([1.0, 2.0], ValueError, "expected at least 3"),
        (np.ones((3, 2)), ValueError, "one series"),
        (["a", "b", "c"], TypeError, "real numbers"),
    ],
)
def test_bad_residuals_are_refused(test, residuals, error, message):
    with pytest.raises(error, match=message):
        test(residuals)


@pytest.mark.parametrize("test", [stats.breusch_godfrey, stats.breusch_pagan, stats.white])
def test_tests_of_a_regression_refuse_anything_else(test):
    with pytest.raises(TypeError, match="linear_regression"):
        test(np.arange(9.0))


@pytest.mark.parametrize("test", [stats.breusch_godfrey, stats.breusch_pagan, stats.white])
def test_tests_of_a_regression_refuse_weights(test, data):
    with pytest.raises(ValueError, match="weighted"):
        test(stats.linear_regression(*data, weights=np.linspace(1, 2, len(data[1]))))


@pytest.mark.parametrize(
    ("test", "lags", "options", "message"),
    [
        (stats.breusch_godfrey, 56, {}, "allow at most 55"),
        (stats.ljung_box, 60, {}, "lags must be an integer"),
        (stats.ljung_box, 3, {"fitted_parameters": 3}, "more than the 3 fitted_parameters"),
    ],
)
def test_too_many_lags_are_refused(regression, test, lags, options, message):
    with pytest.raises(ValueError, match=message):
        test(regression, lags, **options)


def test_residuals_of_one_sign_have_no_runs():
    with pytest.raises(ValueError, match="one sign"):
        stats.runs_test([1.0, 2.0, 3.0])


def test_constant_residuals_have_no_autocorrelation():
    with pytest.raises(ValueError, match="constant"):
        stats.autocorrelation(np.full(5, 0.1))


def test_variables_of_the_wrong_length_are_refused(regression):
    with pytest.raises(ValueError, match=r"Z must have shape \(60,\) or \(60, k\), got \(5, 1\)"):
        stats.breusch_pagan(regression, np.arange(5.0))


def test_constant_variables_are_refused(regression):
    with pytest.raises(ValueError, match="constant"):
        stats.breusch_pagan(regression, np.ones(60))


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda r: stats.breusch_godfrey(r, form="z"), "form"),
        (lambda r: stats.runs_test(r, method="z"), "method"),
        (lambda r: stats.runs_test(r, alternative="less"), "alternative"),
        (lambda r: stats.plot_autocorrelation(r, level=1.0), "level"),
    ],
)
def test_unknown_options_are_refused_by_name(regression, call, argument):
    with pytest.raises(ValueError, match=argument):
        call(regression)


# ---------------------------------------------------------------------- display


def test_results_print_statistic_p_value_and_hypothesis(regression):
    text = str(stats.breusch_godfrey(regression, 2))
    assert "Breusch-Godfrey test, lags 1 to 2" in text
    assert "chi2(2)" in text
    assert "null hypothesis: the errors are not autocorrelated" in text


def test_results_of_several_lags_print_a_line_for_each(regression):
    lines = str(stats.ljung_box(regression, [1, 5])).splitlines()
    assert [line.split()[0] for line in lines[3:5]] == ["chi2(1)", "chi2(5)"]


def test_plot_draws_the_autocorrelations_and_their_band(regression):
    figure = stats.plot_autocorrelation(regression, 8)
    (ax,) = figure.axes
    heights = ax.get_lines()[0].get_ydata()
    np.testing.assert_allclose(heights, stats.autocorrelation(regression, 8)[1:])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("lag", "autocorrelation")
