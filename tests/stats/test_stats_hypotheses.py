"""Linear hypotheses: the grammar, and tests against statsmodels and sums of squares."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import stats
from fastnn.stats.regression.hypotheses import parsed

pd = pytest.importorskip("pandas")
RNG = np.random.default_rng(4)
X = pd.DataFrame(RNG.normal(size=(40, 3)), columns=["x1", "x2", "body mass"])
Y = 1 + X.to_numpy() @ [1.0, 0.8, 0.1] + RNG.normal(size=40)
W = RNG.uniform(0.3, 3, 40)
TEXT = "x1 = x2, `body mass` = 0.2"
R = [[0, 1, -1, 0], [0, 0, 0, 1]]
NAMES = ["a", "b", "c d"]


@pytest.mark.parametrize(
    ("text", "rows", "values"),
    [
        ("a", [[1, 0, 0]], [0]),
        ("a = b = 2", [[1, -1, 0], [0, 1, 0]], [0, 2]),
        ("2*a - b/4 = 3 + 'c d'", [[2, -0.25, -1]], [3]),
        ('-(a + b)*2 = 1e1, "c d" = -.5', [[-2, -2, 0], [0, 0, 1]], [10, -0.5]),
    ],
)
def test_text_becomes_a_matrix(text, rows, values):
    matrix, numbers, _ = parsed(text, NAMES)
    np.testing.assert_array_equal(matrix, rows)
    np.testing.assert_array_equal(numbers, values)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("a = e", 4),
        ("a +", 3),
        ("a b", 2),
        ("a = 1,", 6),
        ("a*b", 1),
        ("a/0", 1),
        ("(a", 2),
        ("a ? b", 1),
        ("1 = 2", 0),
        ("", 0),
        ("a = a", 0),
    ],
)
def test_errors_name_the_position(text, position):
    with pytest.raises(ValueError, match=f"at position {position}, got"):
        parsed(text, NAMES)


@pytest.mark.parametrize("weights", [None, W], ids=["ordinary", "weighted"])
@pytest.mark.parametrize("kind", ["classical", "HC0", "HC1", "HC2", "HC3"])
def test_tests_are_those_of_statsmodels(kind, weights):
    sm = pytest.importorskip("statsmodels.api")
    test = stats.linear_regression(X, Y, weights=weights, cov_type=kind).test(TEXT)
    cov = "nonrobust" if kind == "classical" else kind
    model = sm.WLS(Y, sm.add_constant(X.to_numpy()), weights=1.0 if weights is None else weights)
    other = model.fit(cov_type=cov, use_t=True)
    joint, single = other.f_test((R, [0, 0.2])), other.t_test((R, [0, 0.2]))
    wald = other.wald_test((R, [0, 0.2]), use_f=False, scalar=True)
    assert test.fvalue == pytest.approx(float(joint.fvalue), rel=1e-10)
    assert test.f_pvalue == pytest.approx(float(joint.pvalue), rel=1e-9)
    assert test.chi_squared == pytest.approx(float(wald.statistic), rel=1e-10)
    assert test.chi_squared_pvalue == pytest.approx(float(wald.pvalue), rel=1e-9)
    np.testing.assert_allclose(test.tvalues, np.ravel(single.tvalue), rtol=1e-9)
    np.testing.assert_allclose(test.pvalues, np.ravel(single.pvalue), rtol=1e-9)


def test_f_is_that_of_the_sums_of_squares_of_the_nested_model():
    large, small = stats.linear_regression(X, Y), stats.linear_regression(X[["x1"]], Y)
    extra = small.residual_sum_of_squares - large.residual_sum_of_squares
    expected = extra / 2 / large.residual_standard_deviation**2
    assert large.test("x2, `body mass`").fvalue == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("kind", ["classical", "HC3", "CR1", "CR2"])
def test_all_slopes_give_the_f_test_of_the_result(kind):
    groups = np.arange(40) % 10 if kind.startswith("CR") else None
    result = stats.linear_regression(X, Y, cov_type=kind, groups=groups)
    test = result.test("x1, x2, `body mass`")
    assert test.fvalue == pytest.approx(result.fvalue, rel=1e-9)
    assert test.f_pvalue == pytest.approx(result.f_pvalue, rel=1e-8)
    np.testing.assert_allclose(test.pvalues, result.pvalues.to_numpy()[1:], rtol=1e-9)


def test_tests_do_not_depend_on_units_and_origin():
    moved = stats.linear_regression(X * [1e6, 1e6, 1e-6] + [1e9, 1e9, 1e-3], Y, cov_type="HC1")
    test = stats.linear_regression(X, Y, cov_type="HC1").test("x1 = x2, `body mass`")
    assert moved.test("x1 = x2, `body mass`").fvalue == pytest.approx(test.fvalue, rel=1e-8)


def test_a_matrix_gives_the_test_of_the_text():
    result = stats.linear_regression(X, Y)
    assert result.test(R, [0, 0.2]).fvalue == pytest.approx(result.test(TEXT).fvalue, rel=1e-14)


@pytest.mark.parametrize(
    ("hypotheses", "message"),
    [
        ("x1 = x2, 2*x1 - 2*x2 = 1", "follow from"),
        (np.zeros((1, 4)), "restricts nothing"),
        (np.ones((1, 3)), "matrix"),
        ([[np.nan] * 4], "finite"),
    ],
)
def test_hypotheses_without_a_test_are_refused(hypotheses, message):
    with pytest.raises(ValueError, match=message):
        stats.linear_regression(X, Y).test(hypotheses)


@pytest.mark.parametrize("method", ["qr", "svd"])
def test_coefficients_that_the_data_do_not_determine_are_refused(method):
    with pytest.warns(stats.RankDeficiencyWarning):
        result = stats.linear_regression(X.assign(x4=X.x1 + X.x2), Y, method=method)
    with pytest.raises(ValueError, match="x4, which depends linearly"):
        result.test("x4 = 0")
    assert np.isfinite(result.test("`body mass`").fvalue)


def test_several_responses_and_ridge_are_refused():
    with pytest.raises(ValueError, match="one response"):
        stats.linear_regression(X, np.c_[Y, Y**2]).test("x1")
    with pytest.raises(ValueError, match="ridge"):
        stats.linear_regression(X, Y, ridge=1.0).test("x1")


def test_the_table_has_a_row_for_each_hypothesis():
    test = stats.linear_regression(X, Y).test(TEXT)
    assert list(test.to_frame().index) == ["x1 = x2", "`body mass` = 0.2"]
    assert str(test).splitlines()[-2].startswith("F(2, 36) = ")
