"""`compare`: several regressions side by side."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import stats

RNG = np.random.default_rng(1)
N = 60
X = RNG.normal(size=(N, 2))
Y = 1 + X[:, 0] + RNG.normal(size=N)
SMALL = stats.linear_regression(X[:, 0], Y, names=["a"])
LARGE = stats.linear_regression(X, Y, names=["a", "b"], cov_type="HC3")
REMEDY = stats.prais_winsten(LARGE.with_covariance("classical"))
EXACT = stats.autoregressive_regression(SMALL)


def rows_of(comparison):
    """Cells of the lines of the text, by their first word."""
    return {line.split()[0]: line.split()[1:] for line in str(comparison).splitlines() if line}


def test_rows_have_the_coefficients_of_each_model():
    rows = rows_of(stats.compare(SMALL, LARGE))
    assert [float(cell) for cell in rows["a"]] == pytest.approx(
        [SMALL.coefficients[1], LARGE.coefficients[1]], abs=5e-5
    )
    assert [float(cell) for cell in rows["b"]] == pytest.approx([LARGE.coefficients[2]], rel=1e-3)


def test_standard_errors_are_below_in_parentheses_or_beside():
    lines = str(stats.compare(SMALL, errors="below")).splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("a "))
    assert float(lines[place + 1].strip(" ()")) == pytest.approx(SMALL.standard_errors[1], abs=5e-5)
    beside = rows_of(stats.compare(SMALL, errors="beside"))["a"]
    assert float(beside[1]) == pytest.approx(SMALL.standard_errors[1], abs=5e-5)


def test_stars_are_off_by_default_and_follow_the_p_values():
    assert "*" not in str(stats.compare(SMALL))
    marked = stats.compare(SMALL, LARGE, stars=True)
    frame = marked.to_frame().set_index(["model", "term"])
    rows = rows_of(marked)
    for j, model in enumerate(marked.names):
        p = frame.loc[(model, "a"), "p_value"]
        assert rows["a"][j].count("*") == sum(p < level for level in (0.05, 0.01, 0.001))


def test_measures_are_those_of_the_results():
    table = stats.compare(SMALL, LARGE).glance()
    for key in ("n_observations", "r_squared", "adjusted_r_squared", "residual_standard_deviation"):
        np.testing.assert_array_equal(table[key], [getattr(SMALL, key), getattr(LARGE, key)])
    expected = [stats.durbin_watson(model.residuals) for model in (SMALL, LARGE)]
    np.testing.assert_array_equal(table["durbin_watson"], expected)


def test_a_row_of_the_frame_is_a_term_of_a_model():
    frame = stats.compare(SMALL, LARGE, names=["one", "two"]).to_frame()
    assert list(frame["model"]) == ["one"] * 2 + ["two"] * 3
    second = frame[frame["model"] == "two"]
    expected = LARGE.to_frame()
    for name in ("term", "estimate", "std_error", "statistic", "p_value"):
        assert list(second[name]) == list(expected[name])


def test_the_covariance_is_shown_where_one_is_robust():
    assert rows_of(stats.compare(SMALL, LARGE))["Covariance"] == ["classical", "HC3"]
    assert "Covariance" not in rows_of(stats.compare(SMALL))


def test_remedies_show_rho_and_no_r_squared_of_transformed_data():
    comparison = stats.compare(SMALL, REMEDY, EXACT)
    table = comparison.glance()
    assert table["rho"].iloc[1] == REMEDY.rho
    assert np.isnan(table["r_squared"].iloc[1:]).all()
    assert list(table["n_observations"]) == [N, N, N]
    assert list(table["method"]) == ["least squares", "Prais-Winsten", "AR(1)"]
    ar = comparison.to_frame().query("term == 'ar1'")
    np.testing.assert_allclose(ar["estimate"], EXACT.ar)
    assert table["durbin_watson"].iloc[1] == stats.durbin_watson(REMEDY.innovations)


def test_a_model_without_a_constant_has_an_uncentred_r_squared():
    bare = stats.linear_regression(X, Y, add_intercept=False)
    assert "uncentred: (2)" in str(stats.compare(SMALL, bare))
    assert "uncentred" not in str(stats.compare(SMALL))


def test_rows_that_are_not_stored_have_no_durbin_watson_statistic():
    streamed = stats.linear_regression_blocks([(X, Y)])
    assert np.isnan(stats.compare(streamed).glance()["durbin_watson"].iloc[0])


def test_weighted_residuals_give_the_statistic():
    weights = RNG.uniform(0.5, 2, N)
    result = stats.linear_regression(X, Y, weights=weights)
    expected = stats.durbin_watson(result.residuals * np.sqrt(weights))
    assert stats.compare(result).glance()["durbin_watson"].iloc[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stats.compare(), "at least one model"),
        (lambda: stats.compare(SMALL, names=["a", "b"]), "1 different names"),
        (lambda: stats.compare(SMALL, LARGE, names=["a", "a"]), "2 different names"),
        (lambda: stats.compare(SMALL, names="a"), "sequence of str"),
        (lambda: stats.compare(SMALL, Y), r"model \(2\) must be the result of a regression"),
        (lambda: stats.compare(stats.linear_regression(X, X)), "one response, got 2"),
        (lambda: stats.compare(SMALL, errors="above"), "errors"),
    ],
)
def test_other_arguments_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
