"""Analysis of variance of nested regressions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from fastnn import stats

RNG = np.random.default_rng(8)
X = RNG.normal(size=(50, 4))
Y = X @ [1.0, 0.5, 0.2, 0.0] + RNG.normal(size=50)
W = RNG.uniform(0.3, 3, 50)


def fit(k, **options):
    return stats.linear_regression(X[:, :k], Y, **options)


@pytest.mark.parametrize("weights", [None, W], ids=["ordinary", "weighted"])
def test_tables_are_those_of_statsmodels(weights):
    sm = pytest.importorskip("statsmodels.api")
    anova_lm = pytest.importorskip("statsmodels.stats.anova").anova_lm
    table = stats.anova(*(fit(k, weights=weights) for k in (1, 2, 4)))
    w = 1.0 if weights is None else weights
    models = [sm.WLS(Y, sm.add_constant(X[:, :k]), weights=w).fit() for k in (1, 2, 4)]
    expected = anova_lm(*models)
    np.testing.assert_allclose(table.fvalues, expected["F"], rtol=1e-9)
    assert table.pvalues[-1] == pytest.approx(expected["Pr(>F)"].iloc[-1], rel=1e-9)
    np.testing.assert_allclose(table.sums_of_squares, expected["ss_diff"], rtol=1e-9)


def test_the_denominator_has_the_degrees_of_freedom_of_the_largest_model():
    # As R's anova (values: tests/reference_values.py).  statsmodels takes those of each row,
    # although its scale is that of the largest model.
    table = stats.anova(fit(1), fit(2), fit(4))
    expected = special.fdtrc([1, 2], 45, table.fvalues[1:])
    np.testing.assert_allclose(table.pvalues[1:], expected, rtol=1e-10)


def test_f_is_that_of_the_hypothesis():
    table = stats.anova(fit(2), fit(4))
    assert table.fvalues[1] == pytest.approx(fit(4).test("x3, x4").fvalue, rel=1e-10)


def test_nesting_is_of_spans_and_does_not_depend_on_origins():
    small = stats.linear_regression(X[:, :1] - X[:, 1:2] + 1e6, Y)
    large = stats.linear_regression(X[:, :2] * 1e-3 + 1e3, Y)
    assert stats.anova(small, large).df[1] == 1


@pytest.mark.parametrize(
    ("small", "large", "message"),
    [
        (stats.linear_regression(X[:, 3], Y), fit(2), "nested in model 2, got x1 outside"),
        (stats.linear_regression(X[:, 3] * 1e-9, Y), fit(2), "nested"),
        (fit(1), stats.linear_regression(X, Y + 1), "same rows and response"),
        (stats.linear_regression(X[:40, :1], Y[:40]), fit(2), "same rows"),
        (fit(1), fit(2, weights=W), "same weights"),
        (fit(2), fit(1), "more parameters"),
        (fit(1, cov_type="HC1"), fit(2), "classical covariance"),
        (fit(1), fit(2, ridge=1.0), "ridge"),
    ],
)
def test_models_that_cannot_be_compared_are_refused(small, large, message):
    with pytest.raises(ValueError, match=message):
        stats.anova(small, large)


def test_one_model_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        stats.anova(fit(1))


def test_the_table_is_text_and_a_frame():
    pytest.importorskip("pandas")
    table = stats.anova(fit(1), fit(2))
    assert list(table.to_frame()["df_residual"]) == [48, 47]
    assert len(str(table).splitlines()) == 4
