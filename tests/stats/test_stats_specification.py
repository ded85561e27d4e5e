"""Tests of form, stability and variance against lmtest, FinTS, statsmodels and their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import stats

diagnostic = pytest.importorskip("statsmodels.stats.diagnostic")


@pytest.fixture(scope="module")
def growth():
    """The regression of investment growth for which statsmodels prints R's values.

    Their source is statsmodels/stats/tests/test_diagnostic.py, computed by lmtest and FinTS.
    """
    from statsmodels.datasets import macrodata

    d = macrodata.load_pandas().data
    y = 400 * np.diff(np.log(d["realinv"].to_numpy()))
    x = 400 * np.diff(np.log(d["realgdp"].to_numpy()))
    return stats.linear_regression(np.column_stack([x, d["realint"].to_numpy()[:-1]]), y)


def simulated(seed=0, n=60):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.arange(float(n)), rng.normal(size=n)])
    return X, 1 + 0.5 * X[:, 0] + X[:, 1] ** 2 + rng.normal(size=n)


PRINTED_BY_R = {
    "gqtest(fm)": (lambda r: stats.goldfeld_quandt(r), 0.5313259064778423, 0.9990217851193723),
    'gqtest(fm, alternative = "less")': (
        lambda r: stats.goldfeld_quandt(r, alternative="less"),
        0.5313259064778423, 0.000978214880627621,
    ),
    'gqtest(fm, fraction = 0.1, alternative = "two.sided")': (
        lambda r: stats.goldfeld_quandt(r, fraction=0.1, alternative="two-sided"),
        0.5006976835928314, 0.001387126702579789,
    ),
    "harvtest(fm)": (lambda r: stats.harvey_collier(r), 0.494432160939874, 0.6215491310408242),
    "raintest(fm)": (lambda r: stats.rainbow(r), 0.6809600116739604, 0.971832843583418),
    "raintest(fm, fraction = 0.4)": (
        lambda r: stats.rainbow(r, fraction=0.4), 0.565551237772662, 0.997592305968473,
    ),
    "ArchTest(residuals(fm), lags = 4)": (
        lambda r: stats.arch_lm(r, 4), 3.43473400836259, 0.487871315392619,
    ),
    "ArchTest(residuals(fm), lags = 12)": (
        lambda r: stats.arch_lm(r, 12), 8.648320999014171, 0.732638635007718,
    ),
}  # fmt: skip


@pytest.mark.parametrize("call", PRINTED_BY_R)
def test_values_are_those_of_r(growth, call):
    function, statistic, pvalue = PRINTED_BY_R[call]
    assert [*function(growth)] == pytest.approx([statistic, pvalue], rel=1e-9)


@pytest.mark.parametrize(("kind", "name"), [("fitted", "fitted"), ("regressors", "exog")])
def test_reset_agrees_with_statsmodels(kind, name):
    import statsmodels.api as sm

    X, y = simulated()
    fit = sm.OLS(y, sm.add_constant(X)).fit()
    expected = diagnostic.linear_reset(fit, power=3, test_type=name, use_f=True)
    found = stats.reset(stats.linear_regression(X, y), kind=kind)
    assert [*found] == pytest.approx([float(expected.fvalue), float(expected.pvalue)], rel=1e-7)


def test_reset_of_the_principal_component_is_the_f_test_of_its_powers():
    X, y = simulated()
    component = X @ np.linalg.eigh(np.cov(X.T))[1][:, -1]
    small = stats.linear_regression(X, y)
    large = stats.linear_regression(np.c_[X, component**2, component**3], y)
    rest = large.residual_sum_of_squares
    expected = (small.residual_sum_of_squares - rest) / 2 / (rest / large.df_residual)
    assert stats.reset(small, kind="princomp").statistic == pytest.approx(expected, rel=1e-7)


def test_cusum_of_ols_residuals_agrees_with_statsmodels(growth):
    expected = diagnostic.breaks_cusumolsresid(np.asarray(growth.residuals), ddof=3)
    assert [*stats.cusum(growth, kind="ols")] == pytest.approx([*expected[:2]], rel=1e-9)


def test_recursive_residuals_in_cusum_agree_with_statsmodels(growth):
    import statsmodels.api as sm

    fit = sm.OLS(growth.response, growth.design).fit()
    scaled = diagnostic.recursive_olsresiduals(fit)[3][3:]
    process = np.cumsum(scaled) / np.std(scaled, ddof=1) / len(scaled) ** 0.5
    np.testing.assert_allclose(stats.cusum(growth).process, process, rtol=1e-6, atol=1e-9)


def test_the_boundary_of_cusum_has_level_5_percent():
    from fastnn.stats.diagnostics.stability import _crossing

    assert _crossing(0.947898) == pytest.approx(0.05, abs=1e-5)


@pytest.mark.parametrize("form", ["break", "forecast"])
def test_chow_is_the_f_test_of_dummies(form):
    X, y = simulated(3)
    after = (np.arange(60) >= 40)[:, None]
    dummies = np.eye(60)[:, 40:] if form == "forecast" else np.c_[after, X * after]
    small, large = stats.linear_regression(X, y), stats.linear_regression(np.c_[X, dummies], y)
    rest = large.residual_sum_of_squares
    extra = large.rank - small.rank
    expected = (small.residual_sum_of_squares - rest) / extra / (rest / large.df_residual)
    assert stats.chow(small, 40, form=form).statistic == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("cross", [True, False])
def test_white_in_f_form_is_that_of_the_auxiliary_regression(cross):
    X, y = simulated(4)
    result = stats.linear_regression(X, y)
    columns = [X, X**2, X[:, :1] * X[:, 1:]] if cross else [X, X**2]
    auxiliary = stats.linear_regression(np.column_stack(columns), result.residuals**2)
    found = stats.white(result, cross_terms=cross, form="f")
    assert [*found] == pytest.approx([auxiliary.fvalue, auxiliary.f_pvalue], rel=1e-8)


TESTS = {
    "reset": stats.reset,
    "reset of regressors": lambda r: stats.reset(r, kind="regressors"),
    "rainbow": stats.rainbow,
    "harvey_collier": stats.harvey_collier,
    "goldfeld_quandt": stats.goldfeld_quandt,
    "cusum": stats.cusum,
    "cusum of ols": lambda r: stats.cusum(r, kind="ols"),
    "chow": stats.chow,
    "chow forecast": lambda r: stats.chow(r, form="forecast"),
    "white f": lambda r: stats.white(r, cross_terms=False, form="f"),
    "arch_lm": lambda r: stats.arch_lm(r, 2),
    "shapiro_wilk": stats.shapiro_wilk,
    "anderson_darling": stats.anderson_darling,
}


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize("seed", range(3))
def test_tests_do_not_depend_on_units_and_origins(name, seed):
    X, y = simulated(seed)
    rng = np.random.default_rng(100 + seed)
    a, c = 10.0 ** rng.uniform(-6, 6, 2), 10.0 ** rng.uniform(-6, 6)
    moved = stats.linear_regression(a * (X + np.array([1e5, 1e3])), c * (y + 1e3))
    expected = [*TESTS[name](stats.linear_regression(X, y))]
    assert [*TESTS[name](moved)] == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", TESTS)
def test_a_perfect_fit_is_refused(name):
    x = np.arange(60.0)
    with pytest.raises(ValueError, match=r"perfect|zero"):
        TESTS[name](stats.linear_regression(x, 3 * x + 1))


@pytest.mark.parametrize(
    "test", [stats.rainbow, stats.harvey_collier, stats.goldfeld_quandt, stats.cusum, stats.chow]
)
def test_order_by_is_the_order_of_the_rows(test):
    X, y = simulated(5)
    shuffle = np.random.default_rng(0).permutation(60)
    result = stats.linear_regression(X[shuffle], y[shuffle])
    expected = [*test(stats.linear_regression(X, y))]
    assert [*test(result, order_by=X[shuffle, 0])] == pytest.approx(expected, rel=1e-9)


def test_order_by_with_another_index_is_refused():
    pandas = pytest.importorskip("pandas")
    X, y = simulated(5)
    result = stats.linear_regression(pandas.DataFrame(X, columns=["a", "b"]), y)
    other = pandas.Series(np.arange(60), index=np.arange(60)[::-1])
    with pytest.raises(ValueError, match="same index"):
        stats.goldfeld_quandt(result, order_by=other)


def test_parts_with_too_few_rows_are_refused():
    result = stats.linear_regression(*simulated(5))
    for test in (stats.chow, stats.goldfeld_quandt):
        with pytest.raises(ValueError, match="expected more than the 3 coefficients"):
            test(result, point=3)


def test_reset_of_dummies_has_nothing_to_test():
    dummy = np.arange(60) % 2
    y = dummy + np.random.default_rng(0).normal(size=60)
    with pytest.raises(ValueError, match="nothing to test"):
        stats.reset(stats.linear_regression(dummy, y))


def test_normality_tests_agree_with_scipy_and_statsmodels():
    from scipy.stats import shapiro

    e = np.random.default_rng(1).exponential(size=80)
    assert [*stats.shapiro_wilk(e)] == pytest.approx([*shapiro(e)])
    assert [*stats.anderson_darling(e)] == pytest.approx([*diagnostic.normal_ad(e)], rel=1e-6)


@pytest.mark.parametrize(("test", "n"), [(stats.shapiro_wilk, 5001), (stats.anderson_darling, 7)])
def test_normality_tests_say_their_limits(test, n):
    with pytest.raises(ValueError, match=f"residuals has {n} elements"):
        test(np.random.default_rng(0).normal(size=n))
