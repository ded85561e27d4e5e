"""Input nobody should give to the tests of residuals, and results given to the wrong function."""

import warnings

import numpy as np
import pytest

from fastnn import stats

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
Y = X @ [1.0, 2.0, 3.0] + RNG.normal(size=30)
WEIGHTS = RNG.uniform(0.5, 2, 30)

OF_REGRESSIONS = {
    "durbin_watson_test": stats.durbin_watson_test,
    "breusch_godfrey": stats.breusch_godfrey,
    "breusch_pagan": stats.breusch_pagan,
    "white": stats.white,
    "durbin_h": lambda result: stats.durbin_h(result, 1),
    "prais_winsten": stats.prais_winsten,
    "cochrane_orcutt": stats.cochrane_orcutt,
}
OF_SERIES = {
    "ljung_box": stats.ljung_box,
    "box_pierce": stats.box_pierce,
    "jarque_bera": stats.jarque_bera,
    "runs_test": stats.runs_test,
    "autocorrelation": stats.autocorrelation,
}
ALL = OF_REGRESSIONS | OF_SERIES
SCALE_FREE = {
    "ljung_box": lambda e: [*stats.ljung_box(e, 2)],
    "jarque_bera": lambda e: [*stats.jarque_bera(e)],
    "autocorrelation": lambda e: stats.autocorrelation(e, 3),
    "durbin_watson": stats.durbin_watson,
}

# ------------------------------------------------------------ results in the wrong place


@pytest.mark.parametrize("name", ALL)
def test_a_result_of_streamed_rows_is_named_as_such(name):
    streamed = stats.linear_regression_blocks([(X, Y)])
    with pytest.raises(ValueError, match="streamed rows"):
        ALL[name](streamed)


@pytest.mark.parametrize("name", ALL)
def test_a_result_of_several_responses_is_refused(name):
    both = stats.linear_regression(X, np.column_stack([Y, Y**2]))
    with pytest.raises(ValueError, match="has 2 responses, expected one"):
        ALL[name](both)


@pytest.mark.parametrize("name", ALL)
def test_rounding_errors_of_a_perfect_fit_are_not_tested(name):
    with pytest.raises(ValueError, match="the fit is perfect"):
        ALL[name](stats.linear_regression(X, X @ [1.0, 2.0, 3.0] + 1))


@pytest.mark.parametrize("name", OF_REGRESSIONS)
def test_a_ridge_regression_is_refused(name):
    with pytest.raises(ValueError, match="ridge regression"):
        OF_REGRESSIONS[name](stats.linear_regression(X, Y, ridge=1.0))


@pytest.mark.parametrize("name", OF_SERIES)
def test_a_remedy_is_not_a_series(name):
    with pytest.raises(TypeError, match="pass its innovations"):
        OF_SERIES[name](stats.prais_winsten(X, Y))


@pytest.mark.parametrize("name", OF_SERIES)
def test_residuals_of_a_weighted_regression_are_weighted(name):
    result = stats.linear_regression(X, Y, weights=WEIGHTS)
    expected = OF_SERIES[name](result.residuals * np.sqrt(WEIGHTS))
    found = OF_SERIES[name](result)
    np.testing.assert_array_equal([*found], [*expected])


@pytest.mark.parametrize("name", ["durbin_watson_test", "breusch_godfrey", "white"])
def test_one_response_may_be_a_column(name):
    column = ALL[name](stats.linear_regression(X, Y[:, None]))
    assert [*column] == pytest.approx([*ALL[name](stats.linear_regression(X, Y))], rel=1e-12)


@pytest.mark.parametrize("options", [{"names": ["a", "b", "c"]}, {"add_intercept": False}])
def test_a_remedy_ignores_no_option(options):
    with pytest.raises(TypeError, match="must be left out"):
        stats.prais_winsten(stats.linear_regression(X, Y), **options)


def test_a_perfect_fit_has_no_plot():
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="there is nothing to draw"):
        stats.linear_regression(X, np.zeros(30)).plot()


# --------------------------------------------------------------------- numbers and sizes


@pytest.mark.parametrize("factor", [2.0**-1000, 2.0**-520, 2.0**520, 2.0**1000])
@pytest.mark.parametrize("name", SCALE_FREE)
def test_units_of_residuals_do_not_matter(name, factor):
    found = SCALE_FREE[name](Y * factor)
    np.testing.assert_allclose(found, SCALE_FREE[name](Y), rtol=1e-12)


@pytest.mark.parametrize("factor", [5e-310, 1e-150, 1e150, 1e300])
def test_units_of_regressors_do_not_matter_to_the_exact_test(factor):
    rounded = X * factor / factor  # subnormal numbers have fewer digits
    expected = stats.durbin_watson_test(rounded, Y)
    found = stats.durbin_watson_test(X * factor, Y)
    assert [*found] == pytest.approx([*expected], rel=1e-10)


def test_variables_of_any_size_explain_the_variance():
    result = stats.linear_regression(X, Y)
    found = stats.breusch_pagan(result, X * 1e200)
    assert [*found] == pytest.approx([*stats.breusch_pagan(result, X)], rel=1e-9)


def test_a_column_of_zeros_does_not_disturb_whites_test():
    with pytest.warns(stats.RankDeficiencyWarning):
        result = stats.linear_regression(np.column_stack([X, np.zeros(30)]), Y)
    expected = stats.white(stats.linear_regression(X, Y))
    assert [*stats.white(result)] == pytest.approx([*expected], rel=1e-9)


def test_normal_runs_of_two_signs_are_refused():
    with pytest.raises(ValueError, match="more than one residual of some sign"):
        stats.runs_test([1.0, -1.0, 0.0], method="normal")


def test_constant_residuals_have_no_skewness():
    with pytest.raises(ValueError, match="constant"):
        stats.jarque_bera([1.0, 1.0, 1.0])


@pytest.mark.parametrize("bad", [3.0, None, {1, 2}, [[1, 2], [3]]])
def test_a_known_statistic_needs_a_matrix(bad):
    with pytest.raises((TypeError, ValueError), match=r"^X "):
        stats.durbin_watson_pvalue(1.5, bad)


@pytest.mark.parametrize(("n", "error"), [(10.0, TypeError), ("a", TypeError), ([], ValueError)])
def test_zones_need_whole_numbers(n, error):
    with pytest.raises(error, match=r"^n must"):
        stats.plot_bounds(n, 1)


def test_zones_mark_no_impossible_statistic():
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="statistic must be"):
        stats.plot_bounds(10, 1, statistic=4.5)


def test_dummies_at_the_end_of_the_support_raise_no_warning():
    dummies = np.eye(18)[:, [0, 1, 3, 6, 7, 8, 9, 12, 14, 16, 17]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = stats.durbin_watson_pvalue(1.000000002, dummies, add_intercept=False)
    assert 0 < found.p_positive < 1e-10


# ---------------------------------------------------------------------- time and tables


@pytest.fixture
def times():
    pandas = pytest.importorskip("pandas")
    return {
        "zone": pandas.date_range("2020", periods=30, tz="UTC"),
        "zone Series": pandas.Series(pandas.date_range("2020", periods=30, tz="UTC")),
        "periods": pandas.period_range("2020", periods=30, freq="M"),
        "period Series": pandas.Series(pandas.period_range("2020", periods=30, freq="M")),
        "nullable": pandas.Series(np.arange(30), dtype="Int64"),
    }


@pytest.mark.parametrize("kind", ["zone", "zone Series", "periods", "period Series", "nullable"])
def test_times_of_pandas_give_the_order(times, kind):
    order = np.random.default_rng(1).permutation(30)
    shuffled = times[kind].take(order)
    found = stats.durbin_watson_test(X[order], Y[order], order_by=shuffled)
    assert [*found] == pytest.approx([*stats.durbin_watson_test(X, Y)], rel=1e-9)


def test_a_column_of_a_fitted_regression_gives_the_order():
    result = stats.linear_regression(X, Y, names=["a", "b", "c"])
    expected = stats.durbin_watson_test(X, Y, order_by=X[:, 1])
    assert [*stats.durbin_watson_test(result, order_by="b")] == pytest.approx([*expected], rel=1e-9)


@pytest.mark.parametrize("name", ["breusch_godfrey", "prais_winsten", "ljung_box", "runs_test"])
def test_an_unsorted_time_index_is_warned_of_at_the_callers_line(times, name):
    pandas = pytest.importorskip("pandas")
    result = stats.linear_regression(pandas.DataFrame(X, index=times["zone"][::-1]), Y)
    with pytest.warns(UserWarning, match="time index of the data is not sorted") as caught:
        ALL[name](result)
    assert caught[0].filename == __file__


def test_an_unsorted_time_index_is_warned_of_where_the_covariance_depends_on_it(times):
    pandas = pytest.importorskip("pandas")
    result = stats.linear_regression(pandas.DataFrame(X, index=times["periods"][::-1]), Y)
    with pytest.warns(UserWarning, match="time index of the data is not sorted"):
        result.with_covariance("HAC")


def test_repeated_columns_of_mixed_types_are_named():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "a", "b"]).assign(c=True)
    with pytest.raises(ValueError, match="names of columns must differ, got a twice"):
        stats.linear_regression(table, Y)


def test_weights_of_other_rows_are_refused():
    pandas = pytest.importorskip("pandas")
    weights = pandas.Series(WEIGHTS)[::-1]
    with pytest.raises(ValueError, match="X and weights must have the same index"):
        stats.linear_regression(pandas.DataFrame(X), Y, weights=weights)


# ------------------------------------------------------------------------------- reports


class Oracle:
    """Predicts what it was told."""

    def __init__(self, predictions):
        self.predictions = predictions

    def predict(self, X):
        return self.predictions


def test_a_report_on_lagged_responses_leaves_durbin_and_watson_out():
    report = stats.residual_report(
        Oracle(0.9 * Y[1:]), np.column_stack([Y[:-1], X[1:, 0]]), Y[1:]
    )  # fmt: skip
    assert "Durbin-Watson" not in report.baseline.tests
    assert "Ljung-Box" in report.baseline.tests


def test_a_report_on_a_perfect_network_has_no_tests_of_it():
    report = stats.residual_report(Oracle(Y), X, Y)
    assert report.network.tests == {}
    assert report.network.rmse == 0
    assert "100.0%" in str(report)


def test_a_report_on_a_perfect_baseline_says_so():
    report = stats.residual_report(Oracle(Y), X, X @ [1.0, 2.0, 3.0] + 1)
    assert "Least squares fits exactly." in str(report)
