"""Statistics do not depend on units and origins, on the order of columns, or on dtypes."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import stats

N = 60
RNG = np.random.default_rng(7)
X = np.column_stack([np.arange(float(N)), RNG.integers(0, 9, N)])
Y = 1 + 0.5 * X[:, 0] - X[:, 1] + RNG.normal(size=N)

WEIGHTS = RNG.uniform(0.2, 3, N)


def lagged(x, y):
    """The regression of y on x and on its own lag."""
    return stats.linear_regression(np.column_stack([x[1:], y[:-1]]), y[1:])


def fit(x, y, **options):
    return stats.linear_regression(x, y, **options)


def groups_of(y):
    """Clusters of rows by the order of the response, which neither units nor origin change."""
    size = np.argsort(np.argsort(y))
    return np.minimum(size, N - 1 - size) // 4


def in_blocks(x, y):
    return stats.linear_regression_blocks([(x[:20], y[:20]), (x[20:], y[20:])])


def values_of(test):
    return [test.statistic, test.pvalue]


STATISTICS = {
    "r_squared": lambda x, y: [fit(x, y).r_squared, fit(x, y).adjusted_r_squared],
    "F": lambda x, y: [fit(x, y).fvalue, fit(x, y).f_pvalue],
    "t": lambda x, y: np.abs(fit(x, y).tvalues[1:]),
    "p": lambda x, y: fit(x, y).pvalues[1:],
    **{
        f"t and F, {kind}": lambda x, y, kind=kind: [
            *np.abs(fit(x, y, cov_type=kind).tvalues[1:]),
            fit(x, y, cov_type=kind).fvalue,
        ]
        for kind in ("HC0", "HC1", "HC2", "HC3", "HAC")
    },
    **{
        f"t and F, {kind}": lambda x, y, kind=kind: [
            *np.abs(fit(x, y, cov_type=kind, groups=groups_of(y)).tvalues[1:]),
            fit(x, y, cov_type=kind, groups=groups_of(y)).fvalue,
        ]
        for kind in ("CR0", "CR1S", "CR2")
    },
    "df of CR2": lambda x, y: [
        *fit(x, y, cov_type="CR2", groups=groups_of(y)).df_coefficients[1:],
        *fit(x, y, cov_type="CR2", groups=groups_of(y)).df_f,
    ],
    "t and F, prewhitened HAC": lambda x, y: [
        *np.abs(fit(x, y, cov_type="HAC", prewhiten=1).tvalues[1:]),
        fit(x, y, cov_type="HAC", prewhiten=1).fvalue,
    ],
    "leverage": lambda x, y: fit(x, y).leverage,
    "studentized": lambda x, y: np.abs(fit(x, y).studentized_residuals),
    "standardized": lambda x, y: np.abs(fit(x, y).standardized_residuals),
    "DFFITS": lambda x, y: np.abs(fit(x, y).dffits),
    "DFBETAS": lambda x, y: np.abs(fit(x, y).dfbetas[:, 1:]).ravel(),
    "covariance ratio": lambda x, y: fit(x, y).covariance_ratio,
    "variance inflation": lambda x, y: fit(x, y).variance_inflation[1:],
    "Cook": lambda x, y: fit(x, y).cooks_distance,
    "width of intervals": lambda x, y: (
        fit(x, y).predict(x, interval="prediction").standard_error
        / fit(x, y).residual_standard_deviation
    ),
    "width of robust intervals": lambda x, y: (
        fit(x, y, cov_type="HC3").predict(x, interval="confidence").standard_error
        / fit(x, y).residual_standard_deviation
    ),
    "Durbin-Watson of arrays": lambda x, y: values_of(stats.durbin_watson_test(x, y)),
    "Durbin-Watson of a fit": lambda x, y: values_of(fit(x, y).durbin_watson()),
    "white": lambda x, y: values_of(stats.white(fit(x, y))),
    "white's law": lambda x, y: [int(stats.white(fit(x, y)).distribution[5:-1])],
    "breusch_pagan": lambda x, y: values_of(stats.breusch_pagan(fit(x, y))),
    "breusch_pagan of Z": lambda x, y: values_of(stats.breusch_pagan(fit(X, y), x)),
    "breusch_godfrey": lambda x, y: values_of(stats.breusch_godfrey(fit(x, y), 2, form="f")),
    "durbin_h": lambda x, y: np.abs(values_of(stats.durbin_h(lagged(x, y), 3))),
    "ljung_box": lambda x, y: values_of(stats.ljung_box(fit(x, y), 5)),
    "box_pierce": lambda x, y: values_of(stats.box_pierce(fit(x, y), 5)),
    "jarque_bera": lambda x, y: values_of(stats.jarque_bera(fit(x, y))),
    "autocorrelation": lambda x, y: stats.autocorrelation(fit(x, y)),
    "runs_test": lambda x, y: [min(stats.runs_test(fit(x, y)).pvalue, 1.0)],
    "autoregressive_regression": lambda x, y: [
        *stats.autoregressive_regression(x, y, 2, tolerance=1e-8).ar,
        *stats.autoregressive_regression(x, y, 2, tolerance=1e-8).ar_standard_errors,
    ],
    "prais_winsten": lambda x, y: [stats.prais_winsten(x, y).rho],
    "cochrane_orcutt": lambda x, y: [stats.cochrane_orcutt(x, y).rho],
    "t of prais_winsten": lambda x, y: np.abs(stats.prais_winsten(x, y).tvalues[1:]),
    "weighted fit": lambda x, y: [
        *np.abs(fit(x, y, weights=WEIGHTS).tvalues[1:]),
        fit(x, y, weights=WEIGHTS).fvalue,
        fit(x, y, weights=WEIGHTS).r_squared,
    ],
    "weighted fit, HC3": lambda x, y: np.abs(
        fit(x, y, weights=WEIGHTS, cov_type="HC3").tvalues[1:]
    ),
    "blocks": lambda x, y: [
        *np.abs(in_blocks(x, y).tvalues[1:]),
        in_blocks(x, y).fvalue,
        in_blocks(x, y).r_squared,
    ],
    "type II": lambda x, y: fit(x, y).anova(type=2).fvalues,
    "anova": lambda x, y: stats.anova(fit(x[:, :1], y), fit(x, y)).fvalues[1:],
    "both coefficients are 0": lambda x, y: [
        fit(x, y).test(np.eye(3)[1:]).fvalue,
        fit(x, y).test(np.eye(3)[1:]).f_pvalue,
    ],
    "white without cross terms": lambda x, y: values_of(
        stats.white(fit(x, y), cross_terms=False, form="f")
    ),
    "reset": lambda x, y: values_of(stats.reset(fit(x, y))),
    "rainbow": lambda x, y: values_of(stats.rainbow(fit(x, y))),
    "harvey_collier": lambda x, y: np.abs(values_of(stats.harvey_collier(fit(x, y)))),
    "goldfeld_quandt": lambda x, y: values_of(stats.goldfeld_quandt(fit(x, y))),
    "chow": lambda x, y: values_of(stats.chow(fit(x, y))),
    "cusum": lambda x, y: values_of(stats.cusum(fit(x, y))),
    "arch_lm": lambda x, y: values_of(stats.arch_lm(fit(x, y), 2)),
    "shapiro_wilk": lambda x, y: values_of(stats.shapiro_wilk(fit(x, y))),
    "anderson_darling": lambda x, y: values_of(stats.anderson_darling(fit(x, y))),
    "Durbin-Watson of a panel": lambda x, y: values_of(
        stats.durbin_watson_test(x, y, groups=np.arange(N) // 15)
    ),
}

CHANGES = {  # of x and of y: factor and shift
    "nanoseconds": ((86400e9, 1.7e18), (1.0, 0.0)),
    "seconds since 1970": ((1.0, 1.7e9), (1.0, 0.0)),
    "a far origin": ((1.0, 1e11), (1.0, 0.0)),
    "small units": ((1e-12, 3e-7), (-1e-12, 0.0)),
    "large units": ((-1e12, 0.0), (1e12, 0.0)),
    "huge units of y": ((1.0, 0.0), (1e80, 0.0)),
    "tiny units of y": ((1.0, 0.0), (-1e-90, 0.0)),
    "a far origin of y": ((1.0, 0.0), (1.0, 2.0**40)),
}


def sensitive_to(x, y):
    """Relative error that rounding of the data causes: eps times their distance from zero."""
    far = max(np.abs(x[:, j]).max() / np.ptp(x[:, j]) for j in range(x.shape[1]))
    return 1e4 * np.finfo(float).eps * (far + np.abs(y).max() / np.ptp(y))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", STATISTICS)
def test_units_and_origins_do_not_matter(name, change):
    (a, b), (c, d) = CHANGES[change]
    statistic = STATISTICS[name]
    x, y = a * X + b, c * Y + d
    expected = statistic(X, (y - d) / c if d else Y)  # y as it is rounded
    np.testing.assert_allclose(
        statistic(x, y), expected, rtol=sensitive_to(x, y), atol=10 * sensitive_to(x, y)
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", STATISTICS)
def test_random_units_and_origins_do_not_matter(name, seed):
    """Each column and the response have units of their own, up to 1e12 apart."""
    rng = np.random.default_rng(seed)
    a, c = (rng.choice([-1.0, 1.0], k) * 10.0 ** rng.uniform(-6, 6, k) for k in (2, 1))
    b, d = a * 10.0 ** rng.uniform(-3, 10, 2), c * 10.0 ** rng.uniform(-3, 8)
    x, y = a * X + b, c * Y + d
    # What the numbers of float64 stand for is what is compared.
    expected = STATISTICS[name]((x - b) / a, (y - d) / c)
    tolerance = sensitive_to(x, y)
    np.testing.assert_allclose(
        STATISTICS[name](x, y), expected, rtol=tolerance, atol=10 * tolerance
    )


IN_THE_ORDER_OF_COLUMNS = {
    "t", "p", "breusch_pagan of Z", "df of CR2", "DFBETAS", "t of prais_winsten", "weighted fit",
    "weighted fit, HC3", "blocks", "type II", "anova",
    *(name for name in STATISTICS if name.startswith("t and F")),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(STATISTICS) - IN_THE_ORDER_OF_COLUMNS))
def test_the_order_of_columns_does_not_matter(name):
    statistic = STATISTICS[name]
    np.testing.assert_allclose(statistic(X[:, ::-1], Y), statistic(X, Y), rtol=1e-9, atol=1e-12)


ORDER_FREE = ["r_squared", "F", "t", "p", "t and F, HC0", "t and F, HC3", "t and F, CR1S",
              "t and F, CR2", "df of CR2", "white",
              "breusch_pagan", "jarque_bera"]  # fmt: skip


@pytest.mark.parametrize("name", ORDER_FREE)
def test_the_order_of_rows_does_not_matter_where_it_means_nothing(name):
    order = np.random.default_rng(1).permutation(N)
    statistic = STATISTICS[name]
    np.testing.assert_allclose(statistic(X[order], Y[order]), statistic(X, Y), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int64, np.uint8])
@pytest.mark.parametrize("name", STATISTICS)
def test_the_dtype_of_exact_copies_does_not_matter(name, dtype):
    y = Y.astype(np.float32)
    statistic = STATISTICS[name]
    expected = statistic(X, y.astype(float))
    np.testing.assert_array_equal(statistic(X.astype(dtype), y.astype(float)), expected)


def test_a_cubic_of_years_has_the_robust_f_of_small_numbers():
    t = np.arange(50.0)
    y = 1 + 0.3 * t - 0.005 * t * t + np.random.default_rng(0).normal(size=50)
    cubic = [np.column_stack([x, x**2, x**3]) for x in (t, t + 1970)]
    small, years = (fit(x, y, cov_type="HC1").fvalue for x in cubic)
    assert small == pytest.approx(78.33475908, rel=1e-9)
    assert years == pytest.approx(small, rel=1e-7)


def test_white_has_its_degrees_of_freedom_far_from_the_origin():
    t = np.arange(50.0)
    y = 1 + 0.5 * t + np.random.default_rng(2).normal(size=50)
    assert stats.white(fit(t + 1e8, y)).distribution == "chi2(2)"


def test_the_summary_and_the_test_agree_about_durbin_watson():
    k = np.arange(1e3)
    result = fit(k, 5 * k + 1e-4 * np.random.default_rng(0).normal(size=1000))
    assert f"{result.durbin_watson().statistic:.3f}, p" in str(result)


def test_r_squared_of_a_response_far_from_zero():
    t = np.arange(50.0)
    y = 1e13 + 0.5 * t + np.random.default_rng(3).normal(size=50)
    assert fit(t, y).r_squared == pytest.approx(fit(t, y - 1e13).r_squared, rel=1e-3)
