"""Regression with autoregressive errors against dense normal laws, R's arima and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import LAKE_HURON
from scipy import linalg
from scipy import stats as laws

from fastnn import stats

YEAR = np.arange(1875.0, 1973.0) - 1920


def autocovariances(phi, n):
    """Of an autoregression with innovations of variance 1, from the moving average."""
    effects = np.zeros(4000)
    for h in range(4000):
        effects[h] = (h == 0) + sum(p * effects[h - j] for j, p in enumerate(phi, 1) if h >= j)
    return np.array([effects[: 4000 - h] @ effects[h:] for h in range(n)])


def simulated(seed, n=70, phi=(0.9, -0.4, 0.2)):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.arange(float(n)), rng.normal(size=n)])
    u = np.zeros(n + 100)
    for t in range(3, n + 100):
        u[t] = np.dot(phi, u[t - len(phi) : t][::-1]) + rng.normal()
    return X, 1 + X @ [0.1, 2.0] + u[100:]


def test_values_of_r():
    """``arima(LakeHuron, order = c(2,0,0), xreg = time(LakeHuron) - 1920)``, the help page of R."""
    fit = stats.autoregressive_regression(YEAR, LAKE_HURON, 2)
    np.testing.assert_allclose(fit.ar, [1.0048, -0.2913], atol=5e-5)
    np.testing.assert_allclose(fit.coefficients, [579.0993, -0.0216], atol=6e-5)
    np.testing.assert_allclose(fit.standard_errors, [0.2370, 0.0081], atol=6e-5)
    np.testing.assert_allclose(fit.ar_standard_errors, [0.0976, 0.1004], atol=2e-4)
    assert fit.innovation_variance == pytest.approx(0.4566, abs=5e-5)
    assert fit.log_likelihood == pytest.approx(-101.2, abs=0.05)
    assert fit.aic == pytest.approx(212.4, abs=0.05)


def test_values_of_r_without_regressors():
    """``arima(LakeHuron, order = c(2,0,0))``, as printed on R's mailing list on 21 April 2003."""
    fit = stats.autoregressive_regression(np.ones(98), LAKE_HURON, 2, add_intercept=False)
    np.testing.assert_allclose(fit.ar, [1.0436, -0.2495], atol=5e-5)
    np.testing.assert_allclose(fit.coefficients, [579.0473], atol=5e-5)
    np.testing.assert_allclose(fit.ar_standard_errors, [0.0983, 0.1008], atol=2e-4)
    assert fit.log_likelihood == pytest.approx(-103.63, abs=5e-3)
    assert fit.predict([1.0], following=True)[0] == pytest.approx(579.7896, abs=1e-4)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_likelihood_is_that_of_the_normal_law_and_its_maximum(order):
    X, y = simulated(order)
    fit = stats.autoregressive_regression(X, y, order, tolerance=1e-9)
    design = np.column_stack([np.ones(len(y)), X])

    def log_likelihood(beta, phi, variance):
        covariance = variance * linalg.toeplitz(autocovariances(phi, len(y)))
        return laws.multivariate_normal.logpdf(y, design @ beta, covariance)

    point = [np.asarray(fit.coefficients), fit.ar, fit.innovation_variance]
    top = log_likelihood(*point)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(top, rel=1e-9)
    errors = [fit.standard_errors, fit.ar_standard_errors, fit.innovation_variance / 6]
    for place in range(3):
        for unit in np.eye(np.size(point[place])):
            for sign in (-1e-2, 1e-2):
                moved = list(point)
                step = sign * unit * errors[place]
                moved[place] = point[place] + (step if place < 2 else step[0])
                assert log_likelihood(*moved) < top


def test_standard_errors_are_those_of_the_information():
    """The negative Hessian of the dense likelihood, by second differences."""
    X, y = simulated(4, n=60, phi=(0.6, -0.3))
    fit = stats.autoregressive_regression(X, y, 2, tolerance=1e-9)
    design = np.column_stack([np.ones(len(y)), X])
    errors = np.r_[fit.standard_errors, fit.ar_standard_errors, fit.innovation_variance / 6]
    top = np.r_[fit.coefficients, fit.ar, fit.innovation_variance]

    def log_likelihood(point):
        covariance = point[5] * linalg.toeplitz(autocovariances(point[3:5], len(y)))
        return laws.multivariate_normal.logpdf(y, design @ point[:3], covariance)

    steps = np.diag(2e-3 * errors)
    hessian = np.array([
        [(log_likelihood(top + a + b) - log_likelihood(top + a - b) - log_likelihood(top - a + b)
          + log_likelihood(top - a - b)) / 4 for b in steps] for a in steps
    ]) / np.outer(steps.sum(axis=0), steps.sum(axis=0))  # fmt: skip
    covariance = np.linalg.inv(-hessian)
    np.testing.assert_allclose(errors[:5], np.sqrt(np.diag(covariance))[:5], rtol=2e-4)
    np.testing.assert_allclose(fit.covariance, covariance[:3, :3], rtol=5e-3, atol=1e-6)


def test_likelihood_and_forecasts_are_those_of_statsmodels():
    sarimax = pytest.importorskip("statsmodels.tsa.statespace.sarimax")
    design = np.column_stack([np.ones(98), YEAR])
    model = sarimax.SARIMAX(LAKE_HURON, exog=design, order=(2, 0, 0))
    fit = stats.autoregressive_regression(YEAR, LAKE_HURON, 2)
    own = np.r_[fit.coefficients, fit.ar, fit.innovation_variance]
    other = model.smooth(own)
    assert fit.log_likelihood == pytest.approx(other.llf, rel=1e-10)
    forecast = other.get_forecast(5, exog=np.column_stack([np.ones(5), 53.0 + np.arange(5)]))
    new = fit.predict(53.0 + np.arange(5), "prediction", following=True)
    np.testing.assert_allclose(new.mean, forecast.predicted_mean, rtol=1e-10)
    half = (new.upper - new.lower) / 2 / laws.norm.ppf(0.975)
    np.testing.assert_allclose(
        half**2 - new.standard_error**2, forecast.se_mean**2, rtol=1e-8
    )  # statsmodels leaves out the errors of the coefficients


@pytest.mark.parametrize("following", [False, True])
def test_predictions_of_prais_winsten_are_the_best_linear_ones(following):
    X, y = simulated(8, phi=(0.7,))
    known, new = slice(0, 60), slice(60, 70)
    fit = stats.prais_winsten(X[known], y[known])
    design = np.column_stack([np.ones(70), X])
    gamma = linalg.toeplitz(fit.rho ** np.arange(70)) / (1 - fit.rho**2)
    inverse = np.linalg.inv(gamma[known, known])
    bread = np.linalg.inv(design[known].T @ inverse @ design[known])
    beta = bread @ design[known].T @ inverse @ y[known]
    pull = gamma[new, known] @ inverse if following else np.zeros((10, 60))
    e = y[known] - design[known] @ beta
    variance = e @ inverse @ e / 57
    rows = design[new] - pull @ design[known]
    mean = design[new] @ beta + pull @ e
    estimation = variance * np.einsum("ij,jk,ik->i", rows, bread, rows)
    spread = variance * np.diag(gamma[new, new] - pull @ gamma[known, new])
    found = fit.predict(X[new], "prediction", following=following)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(found.standard_error, np.sqrt(estimation), rtol=1e-8)
    half = laws.t.ppf(0.975, 57) * np.sqrt(estimation + spread)
    np.testing.assert_allclose(found.upper - found.mean, half, rtol=1e-8)


@pytest.mark.parametrize("method", [stats.prais_winsten, stats.cochrane_orcutt])
def test_remedies_have_the_inference_of_their_regression(method):
    fit = method(*simulated(9, phi=(0.5,)))
    np.testing.assert_array_equal(fit.pvalues, fit.regression.pvalues)
    np.testing.assert_array_equal(fit.covariance, fit.regression.covariance)
    np.testing.assert_array_equal(
        fit.confidence_intervals(0.9), fit.regression.confidence_intervals(0.9)
    )
    np.testing.assert_allclose(fit.tvalues, fit.coefficients / fit.standard_errors)


@pytest.mark.parametrize("seed", range(12))
def test_the_estimates_are_stationary_and_converge(seed):
    rng = np.random.default_rng(seed)
    phi = [(0.99,), (-0.9,), (1.2, -0.5), (0.1, 0.1, 0.7)][seed % 4]
    X, y = simulated(seed, n=int(rng.integers(30, 200)), phi=phi)
    fit = stats.autoregressive_regression(X, y, 1 + seed % 3)
    assert fit.converged
    assert np.abs(np.roots(np.r_[1, -fit.ar])).max() < 1


def test_units_and_origins_do_not_matter():
    X, y = simulated(3)
    plain = stats.autoregressive_regression(X, y, 2)
    far = stats.autoregressive_regression(-1e9 * X + 1e12, 1e-20 * y, 2)
    np.testing.assert_allclose(far.ar, plain.ar, rtol=1e-6)
    np.testing.assert_allclose(np.abs(far.tvalues)[1:], np.abs(plain.tvalues)[1:], rtol=1e-6)
    new = [fit.predict(x[-3:], "prediction", following=True)
           for fit, x in ((plain, X), (far, -1e9 * X + 1e12))]  # fmt: skip
    np.testing.assert_allclose(np.array(new[1]) * 1e20, np.array(new[0]), rtol=1e-6)


def test_labels_of_tables_are_kept():
    pandas = pytest.importorskip("pandas")
    X, y = simulated(2)
    frame = pandas.DataFrame(X, columns=["trend", "x"], index=range(100, 170))
    fit = stats.autoregressive_regression(frame, y, 1)
    assert list(fit.coefficients.index) == ["intercept", "trend", "x"]
    for values in (fit.residuals, fit.innovations):
        assert list(values.index) == list(frame.index)
    assert list(fit.predict(frame[-2:], following=True).index) == [168, 169]
    assert "trend" in str(fit)
    assert "ar1" in str(fit)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"order": 0}, "order"), ({"order": 34}, "needs at least 72 rows"),
     ({"tolerance": -1}, "tolerance")],
)  # fmt: skip
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        stats.autoregressive_regression(*simulated(1), **options)


def test_too_few_iterations_are_said():
    with pytest.warns(UserWarning, match="no maximum to the tolerance"):
        fit = stats.autoregressive_regression(*simulated(1), 3, max_iterations=1)
    assert not fit.converged
    assert "NOT converged" in str(fit)
