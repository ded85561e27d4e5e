"""Covariances of clusters and of autocorrelated errors against R, Stata and their definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import INVESTMENT
from scipy import stats as laws

from fastnn import stats


def investment_equation():
    gnp, investment, price, interest = INVESTMENT.T
    real_rate = interest[1:] - 100 * np.diff(price) / price[:-1]
    return stats.linear_regression(
        np.column_stack([(gnp / price)[1:], real_rate]), (investment / price)[1:]
    )


# Printed by the examples of sandwich 3.0 in R 4.0.4 (tests/Examples/sandwich-Ex.Rout.save).
SANDWICH = {
    "NeweyWest(fm)": (
        {"lags": "newey-west", "prewhiten": 1},
        (594.1004817, 0.0005563172, 13.24912546, -0.5617817294),
    ),
    "NeweyWest(fm, lag = 4, prewhite = FALSE)": (
        {"lags": 4},
        (359.4170681, 0.0002805888, 11.171472998, -0.3115505035),
    ),
    "kernHAC(fm, bw = bwNeweyWest)": (
        {"lags": "newey-west", "kernel": "quadratic-spectral", "prewhiten": 1,
         "small_sample": True},
        (794.986166, 0.0007537517, 17.58798679, -0.7562570101),
    ),
    "kernHAC(fm)": (
        {"lags": "andrews", "kernel": "quadratic-spectral", "prewhiten": 1,
         "small_sample": True},
        (788.6120652, 0.0007483977, 17.71735491, -0.7502080996),
    ),
    'kernHAC(fm, kernel = "Parzen", prewhite = 2, adjust = FALSE, bw = bwNeweyWest)': (
        {"lags": "newey-west", "kernel": "parzen", "prewhiten": 2},
        (608.3101258, 0.0004340803, 15.58251456, -0.5089107386),
    ),
}  # fmt: skip


@pytest.mark.parametrize("call", SANDWICH)
def test_hac_is_that_of_sandwich(call):
    options, expected = SANDWICH[call]
    covariance = investment_equation().with_covariance("HAC", **options).covariance
    np.testing.assert_allclose([*np.diag(covariance), covariance[0, 1]], expected, rtol=2e-6)


def test_bandwidths_are_those_of_sandwich():
    result = investment_equation()
    andrews = result.with_covariance(
        "HAC", lags="andrews", kernel="quadratic-spectral", prewhiten=1
    )
    parzen = result.with_covariance("HAC", lags="newey-west", kernel="parzen", prewhiten=2)
    assert andrews.bandwidth == pytest.approx(1.744749, abs=5e-7)
    assert parzen.bandwidth == pytest.approx(2.814444, abs=5e-7)
    assert "bandwidth 1.745" in str(andrews)


def test_a_small_sample_factor_of_hac():
    result = investment_equation()
    plain, scaled = (
        result.with_covariance("HAC", lags=3, small_sample=flag).covariance
        for flag in (False, True)
    )
    np.testing.assert_allclose(scaled, 19 / 16 * plain, rtol=1e-14)


@pytest.mark.parametrize("kernel", ["bartlett", "parzen", "uniform", "tukey-hanning",
                                    "quadratic-spectral"])  # fmt: skip
def test_hac_is_the_sum_of_its_definition(kernel):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(150, 2)), rng.normal(size=150)
    result = stats.linear_regression(x, y, cov_type="HAC", lags=90, kernel=kernel)
    design = np.column_stack([np.ones(150), x])
    scores = design * np.asarray(result.residuals)[:, None]
    lag = np.abs(np.subtract.outer(np.arange(150), np.arange(150))) / 91
    z = 6 * np.pi * np.where(lag > 0, lag, 1) / 5
    weights = {
        "bartlett": np.maximum(1 - lag, 0),
        "parzen": np.where(lag < 0.5, 1 - 6 * lag**2 + 6 * lag**3,
                           2 * np.maximum(1 - lag, 0) ** 3),
        "uniform": 1.0 * (lag < 1),
        "tukey-hanning": np.where(lag < 1, (1 + np.cos(np.pi * lag)) / 2, 0),
        "quadratic-spectral": np.where(lag > 0, 3 / z**2 * (np.sin(z) / z - np.cos(z)), 1),
    }[kernel]  # fmt: skip
    bread = np.linalg.inv(design.T @ design)
    expected = bread @ scores.T @ weights @ scores @ bread
    np.testing.assert_allclose(result.covariance, expected, rtol=1e-9, atol=1e-12)


# Petersen's simulated panel of 500 firms and 10 years. Values printed by tests/vcovCL.Rout.save
# of sandwich 3.0; "CR1S" by firm is also what `regress y x, vce(cluster firm)` of Stata/MP 12
# gives there.
PETERSEN = {
    ("CR0", False): (4.480825e-03, 2.554297e-03, -6.459277e-05),
    ("CR1", False): (4.489804e-03, 2.559415e-03, -6.472222e-05),
    ("CR1S", False): (4.490702e-03, 2.559927e-03, -6.473517e-05),
    ("CR0", True): (4.168965e-03, 2.751471e-03, -3.079638e-05),
    ("CR1", True): (4.232467e-03, 2.867888e-03, -2.844774e-05),
    ("CR1S", True): (4.233313e-03, 2.868462e-03, -2.845344e-05),
}


@pytest.fixture(scope="module")
def petersen():
    statsmodels = pytest.importorskip("statsmodels")
    path = Path(statsmodels.__file__).parent / "stats" / "tests" / "test_data.txt"
    if not path.exists():
        pytest.skip("statsmodels is installed without the data of its tests")
    return np.loadtxt(path).T


@pytest.mark.parametrize(("kind", "two_way"), PETERSEN)
def test_clusters_are_those_of_sandwich_and_stata(petersen, kind, two_way):
    firm, year, x, y = petersen
    groups = (firm, year) if two_way else firm
    result = stats.linear_regression(x, y, cov_type=kind, groups=groups)
    covariance = result.covariance
    np.testing.assert_allclose(
        [*np.diag(covariance), covariance[0, 1]], PETERSEN[kind, two_way], rtol=2e-6
    )
    df = 9 if two_way else 499
    assert result.df_f == (1, df)
    assert (result.df_coefficients == df).all()


def test_cr2_is_the_bell_mccaffrey_covariance_of_bmlmse(petersen):
    """BMlmSE of Imbens & Kolesar (2016), as quoted by tests/vcovCL.Rout.save of sandwich."""
    firm, _, x, y = petersen
    covariance = stats.linear_regression(x, y, cov_type="CR2", groups=firm).covariance
    expected = [0.0044944872570532, -6.59291186924326e-05, 0.00256823604178553]
    np.testing.assert_allclose(covariance.ravel()[[0, 1, 3]], expected, rtol=1e-6)


def clustered_data(seed=0, n=48, n_groups=9):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, n_groups, n)
    x = rng.normal(size=(n, 2)) + rng.normal(size=n_groups)[groups, None]
    y = x @ [1.0, -0.5] + rng.normal(size=n_groups)[groups] + rng.normal(size=n)
    return x, y, groups, rng.uniform(0.5, 2, n)


def bell_mccaffrey(design, e, groups):
    """Covariance, and the rows (p_gi) of the estimate sum_g (p_g'e)^2 of each coefficient."""
    bread = np.linalg.inv(design.T @ design)
    residual_maker = np.eye(len(e)) - design @ bread @ design.T
    labels = np.unique(groups)
    rows = np.zeros((design.shape[1], len(labels), len(e)))
    for g, label in enumerate(labels):
        inside = groups == label
        values, vectors = np.linalg.eigh(residual_maker[np.ix_(inside, inside)])
        root = np.where(values > 1e-10, 1 / np.sqrt(np.maximum(values, 1e-10)), 0)
        adjustment = (vectors * root) @ vectors.T
        rows[:, g] = bread @ design[inside].T @ adjustment @ residual_maker[inside]
    scores = rows @ e
    return scores @ scores.T, rows


@pytest.mark.parametrize("weighted", [False, True])
def test_cr2_and_its_degrees_of_freedom_are_those_of_n_by_n_matrices(weighted):
    x, y, groups, weights = clustered_data()
    result = stats.linear_regression(
        x, y, cov_type="CR2", groups=groups, weights=weights if weighted else None
    )
    root = np.sqrt(weights) if weighted else np.ones(len(y))
    design = np.column_stack([np.ones(len(y)), x]) * root[:, None]
    covariance, rows = bell_mccaffrey(design, np.asarray(result.residuals) * root, groups)
    np.testing.assert_allclose(result.covariance, covariance, rtol=1e-10)
    products = rows @ rows.transpose(0, 2, 1)
    df = np.trace(products, axis1=1, axis2=2) ** 2 / np.sum(products**2, axis=(1, 2))
    np.testing.assert_allclose(result.df_coefficients, df, rtol=1e-10)
    lower, upper = result.confidence_intervals()
    np.testing.assert_allclose(
        upper - lower, 2 * laws.t.ppf(0.975, df) * result.standard_errors, rtol=1e-10
    )
    np.testing.assert_allclose(result.pvalues, 2 * laws.t.sf(np.abs(result.tvalues), df), rtol=1e-9)


def test_f_of_cr2_is_the_htz_approximation():
    """Denominator q (q + 1) / sum of var(D_st) - q + 1 (Pustejovsky & Tipton 2018)."""
    x, y, groups, _ = clustered_data()
    result = stats.linear_regression(x, y, cov_type="CR2", groups=groups)
    design = np.column_stack([np.ones(len(y)), x])
    covariance, rows = bell_mccaffrey(design, np.asarray(result.residuals), groups)
    known = np.linalg.inv(design.T @ design)[1:, 1:]
    values, vectors = np.linalg.eigh(known)
    standard = np.tensordot((vectors / np.sqrt(values)) @ vectors.T, rows[1:], 1)
    total = 0.0
    for g in range(standard.shape[1]):
        for h in range(standard.shape[1]):
            M = standard[:, g] @ standard[:, h].T
            total += np.trace(M) ** 2 + np.trace(M @ M)
    eta = 2 * 3 / total
    b = np.asarray(result.coefficients)[1:]
    wald = b @ np.linalg.solve(covariance[1:, 1:], b)
    assert result.df_f == pytest.approx((2, eta - 1), rel=1e-9)
    assert result.fvalue == pytest.approx(wald * (eta - 1) / (2 * eta), rel=1e-9)
    assert result.f_pvalue == pytest.approx(laws.f.sf(result.fvalue, 2, eta - 1), rel=1e-8)


def test_the_degrees_of_freedom_of_one_f_test_are_those_of_its_t_test():
    x, y, groups, _ = clustered_data()
    result = stats.linear_regression(x[:, 0], y, cov_type="CR2", groups=groups)
    assert result.fvalue == pytest.approx(result.tvalues[1] ** 2, rel=1e-10)
    assert result.f_pvalue == pytest.approx(result.pvalues[1], rel=1e-8)


def test_intervals_of_predictions_have_the_degrees_of_freedom_of_their_row():
    x, y, groups, _ = clustered_data()
    result = stats.linear_regression(x - [0.3, -0.2], y, cov_type="CR2", groups=groups)
    new = result.predict(np.zeros((1, 2)), interval="confidence")
    lower, upper = result.confidence_intervals()
    assert (new.lower[0], new.upper[0]) == pytest.approx((lower[0], upper[0]), rel=1e-10)


@pytest.mark.parametrize(("kind", "other"), [("CR0", "HC0"), ("CR2", "HC2")])
def test_as_many_clusters_as_rows_give_the_covariance_of_rows(kind, other):
    x, y, _, weights = clustered_data()
    plain = stats.linear_regression(x, y, weights=weights)
    result = plain.with_covariance(kind, groups=np.arange(len(y)))
    np.testing.assert_allclose(
        result.covariance, plain.with_covariance(other).covariance, rtol=1e-11
    )


def test_the_same_grouping_twice_is_one_grouping():
    x, y, groups, _ = clustered_data()
    plain = stats.linear_regression(x, y)
    one = plain.with_covariance("CR1S", groups=groups).covariance
    two = plain.with_covariance("CR1S", groups=np.column_stack([groups, groups])).covariance
    np.testing.assert_allclose(two, one, rtol=1e-12)


def test_an_indefinite_covariance_of_two_groupings_is_said():
    rng = np.random.default_rng(5)
    groups = np.arange(4).repeat(2), np.tile([0, 1], 4)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=8)
    with pytest.warns(UserWarning, match="not positive semi-definite"):
        result = stats.linear_regression(x, y, cov_type="CR0", groups=groups)
    assert np.linalg.eigvalsh(result.covariance).min() > -1e-12


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR1S", "CR2"])
def test_labels_of_clusters_may_be_of_any_type(kind):
    pandas = pytest.importorskip("pandas")
    x, y, groups, _ = clustered_data()
    plain = stats.linear_regression(x, y)
    expected = plain.with_covariance(kind, groups=groups).covariance
    names = np.array(list("abcdefghi"))[groups]
    mixed = [int(g) if g % 2 else str(g) for g in groups]
    for labels in (names, names.astype(object), mixed, groups / 2, pandas.Categorical(names),
                   pandas.Series(names), pandas.DataFrame({"g": names})):  # fmt: skip
        np.testing.assert_allclose(
            plain.with_covariance(kind, groups=labels).covariance, expected, rtol=1e-12
        )


def test_groups_align_with_the_index():
    pandas = pytest.importorskip("pandas")
    x, y, groups, _ = clustered_data()
    frame = pandas.DataFrame(x, columns=["a", "b"], index=np.arange(len(y)) + 7)
    labels = pandas.Series(groups, index=frame.index)
    result = stats.linear_regression(frame, y, cov_type="CR2", groups=labels)
    assert list(result.df_coefficients.index) == ["intercept", "a", "b"]
    with pytest.raises(ValueError, match="X and groups must have the same index"):
        result.with_covariance("CR1", groups=labels[::-1])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.zeros(48), "at least two clusters"),
        (np.r_[np.nan, np.arange(47.0)], "missing labels, got 1, first in row 0"),
        ([None, *"ab" * 23, "c"], "missing labels, got 1, first in row 0"),
        (np.arange(47), "a label for each of the 48 rows"),
        (np.zeros((48, 3)), "one or two groupings, got 3"),
        (None, "groups belong to"),
    ],
)
def test_bad_groups_are_refused(groups, message):
    x, y, _, _ = clustered_data()
    with pytest.raises(ValueError, match=message):
        stats.linear_regression(x, y, cov_type="CR1", groups=groups)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cov_type": "HC1", "groups": np.arange(48)}, "groups belong to"),
        ({"cov_type": "CR2", "groups": np.zeros((48, 2)) + np.arange(48)[:, None] % 4},
         "CR2' takes one grouping"),
        ({"cov_type": "HC1", "prewhiten": 1}, "belong to cov_type='HAC'"),
        ({"cov_type": "HAC", "lags": "newey-west", "kernel": "uniform"}, "is not defined"),
        ({"cov_type": "HAC", "lags": "bic"}, "lags"),
        ({"cov_type": "HAC", "prewhiten": 30}, "needs more than"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(options, message):
    x, y, _, _ = clustered_data()
    with pytest.raises(ValueError, match=message):
        stats.linear_regression(x, y, **options)


def test_a_coefficient_of_one_cluster_has_no_standard_error_under_cr2():
    """With a dummy of each cluster, CR2 of the slope is that of centred data."""
    x, y, groups, _ = clustered_data()
    dummies = np.eye(9)[groups]
    with pytest.warns(UserWarning, match="one cluster alone determines"):
        result = stats.linear_regression(
            np.column_stack([x, dummies]), y, add_intercept=False, cov_type="CR2", groups=groups
        )
    errors = np.asarray(result.standard_errors)
    covariance, _ = bell_mccaffrey(
        np.column_stack([x, dummies]), np.asarray(result.residuals), groups
    )
    assert np.isnan(errors[2:]).all()
    assert np.isnan(result.fvalue)
    np.testing.assert_allclose(errors[:2], np.sqrt(np.diag(covariance)[:2]), rtol=1e-9)


def test_prediction_intervals_take_the_weights_of_new_rows():
    x, y, _, weights = clustered_data()
    result = stats.linear_regression(x, y, weights=weights)
    new = result.predict(x[:3], interval="prediction", weights=[1.0, 4.0, 0.25])
    half = (new.upper - new.lower) / 2 / laws.t.ppf(0.975, result.df_residual)
    variance = result.residual_standard_deviation**2
    np.testing.assert_allclose(
        half**2 - new.standard_error**2, variance / np.array([1.0, 4.0, 0.25]), rtol=1e-10
    )
    with pytest.raises(ValueError, match="weights belong to"):
        result.predict(x[:3], weights=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="unweighted fit"):
        stats.linear_regression(x, y).predict(x[:1], interval="prediction", weights=[1.0])
    with pytest.raises(ValueError, match="positive and finite"):
        result.predict(x[:1], interval="prediction", weights=[0.0])
