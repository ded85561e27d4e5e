"""Results as tables: `to_frame` and `glance`."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fastnn import stats

pytest.importorskip("pandas")
RNG = np.random.default_rng(5)
X = RNG.normal(size=(30, 2))
Y = X @ [1.0, -1.0] + RNG.normal(size=30)


def test_rows_of_terms_have_estimates_tests_and_intervals():
    result = stats.linear_regression(X, Y, cov_type="HC3")
    frame = result.to_frame(level=0.9)
    assert list(frame["term"]) == list(result.names)
    np.testing.assert_array_equal(frame["estimate"], result.coefficients)
    np.testing.assert_array_equal(frame["std_error"], result.standard_errors)
    np.testing.assert_array_equal(frame["statistic"], result.tvalues)
    np.testing.assert_array_equal(frame["p_value"], result.pvalues)
    np.testing.assert_array_equal(frame["upper"], result.confidence_intervals(0.9).upper)


def test_several_responses_follow_each_other():
    result = stats.linear_regression(X, np.c_[Y, Y**2])
    frame = result.to_frame()
    second = frame[frame["response"] == result.response_names[1]]
    np.testing.assert_array_equal(second["estimate"], result.coefficients[:, 1])
    np.testing.assert_array_equal(result.glance()["r_squared"], result.r_squared)


def test_glance_is_a_row_of_the_attributes():
    result = stats.linear_regression(X, Y)
    frame = result.glance()
    assert len(frame) == 1
    for name in frame:
        assert frame[name].iloc[0] == getattr(result, name)


TESTS = {
    "Breusch-Godfrey": lambda result: stats.breusch_godfrey(result, 2),
    "White": stats.white,
    "CUSUM": stats.cusum,
    "Durbin-Watson": lambda result: result.durbin_watson("positive"),
}


@pytest.mark.parametrize("name", TESTS)
def test_a_test_is_one_row_with_names_of_broom(name):
    test = TESTS[name](stats.linear_regression(X, Y))
    frame = test.to_frame()
    assert frame["statistic"].item() == test.statistic
    assert frame["p_value"].item() == test.pvalue
    assert name in frame["method"].item()
    assert frame["alternative"].item() == test.alternative
    assert test.glance().equals(frame)


def test_several_lags_are_several_rows():
    test = stats.ljung_box(stats.linear_regression(X, Y), [1, 5])
    frame = test.to_frame()
    np.testing.assert_array_equal(frame["statistic"], test.statistic)
    assert list(frame["distribution"]) == ["chi2(1)", "chi2(5)"]


def test_the_durbin_watson_test_has_both_p_values_and_the_number_of_differences():
    test = stats.durbin_watson_test(X, Y)
    frame = test.to_frame()
    assert frame["p_positive"].item() + frame["p_negative"].item() == pytest.approx(1)
    assert frame["differences"].item() == 29
    panel = stats.durbin_watson_test(X, Y, groups=np.repeat([0, 1, 2], 10))
    assert panel.to_frame()["differences"].item() == 27


def test_verdicts_are_two_rows():
    frame = stats.decide(0.94097, n=10, k=1).to_frame()
    assert list(frame.index) == ["positive", "negative"]
    assert frame["statistic"].tolist() == pytest.approx([0.94097, 3.05903])
    assert list(frame["verdict"]) == ["inconclusive", "do not reject"]


def test_a_remedy_has_the_terms_of_its_regression_and_rho():
    remedy = stats.prais_winsten(X, Y)
    assert remedy.to_frame(0.9).equals(remedy.regression.to_frame(0.9))
    row = remedy.glance().iloc[0]
    assert (row["rho"], row["n_observations"]) == (remedy.rho, 30)
    residuals = stats.linear_regression(X, Y).residuals
    assert row["durbin_watson_original"] == pytest.approx(stats.durbin_watson(residuals))
    assert row["durbin_watson_transformed"] == stats.durbin_watson(remedy.innovations)


def test_an_autoregression_has_its_own_terms():
    fit = stats.autoregressive_regression(X, Y, 2)
    frame = fit.to_frame(0.9).set_index("term")
    assert list(frame.index) == [*fit.names, "ar1", "ar2"]
    np.testing.assert_array_equal(frame["std_error"].iloc[-2:], fit.ar_standard_errors)
    np.testing.assert_allclose(frame["p_value"].iloc[:3], fit.pvalues)
    np.testing.assert_allclose(frame["lower"].iloc[:3], fit.confidence_intervals(0.9).lower)
    assert fit.glance()["aic"].item() == fit.aic


def test_hypotheses_together_are_one_row():
    test = stats.linear_regression(X, Y).test("x1 = 1, x2 = 0")
    row = test.glance().iloc[0]
    assert (row["statistic"], row["p_value"], row["df"]) == (test.fvalue, test.f_pvalue, 2)
    assert row["chi_squared"] == test.chi_squared


def test_an_anova_table_glances_at_its_largest_model():
    large = stats.linear_regression(X, Y)
    row = stats.anova(stats.linear_regression(X[:, 0], Y), large).glance().iloc[0]
    assert row["deviance"] == large.residual_sum_of_squares
    assert row["df_residual"] == large.df_residual


def test_a_report_has_a_row_for_each_model():
    class Mean:
        def predict(self, X):
            return X.mean(axis=1)

    report = stats.residual_report(Mean(), X, Y)
    frame = report.to_frame()
    assert list(frame.index) == ["network", "least squares"]
    assert frame.loc["network", "rmse"] == report.network.rmse
    expected = report.baseline.tests["Ljung-Box"].pvalue
    assert frame.loc["least squares", "p_value Ljung-Box"] == expected
    assert report.glance()["gain"].item() == report.gain


def test_absent_pandas_is_named(monkeypatch):
    result = stats.linear_regression(X, Y)
    monkeypatch.setitem(sys.modules, "pandas", None)
    results = (result.test("x1"), stats.white(result), stats.compare(result), stats.anova(
        stats.linear_regression(X[:, 0], Y), result
    ))  # fmt: skip
    for make in (result.to_frame, result.glance, *(r.to_frame for r in results)):
        with pytest.raises(ImportError, match="pip install pandas"):
            make()
