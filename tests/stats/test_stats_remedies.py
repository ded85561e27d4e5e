"""Regressions with autoregressive errors, against generalised least squares written out."""

import numpy as np
import pytest
from scipy import linalg

from fastnn import stats


def autoregressive(rng, n, rho):
    X = np.column_stack([np.linspace(0, 5, n), rng.normal(size=n)])
    errors = np.zeros(n)
    errors[0] = rng.normal() / np.sqrt(1 - rho**2)
    for t in range(1, n):
        errors[t] = rho * errors[t - 1] + rng.normal()
    return X, 3 + X @ [2.0, -1.0] + errors


@pytest.fixture
def data():
    return autoregressive(np.random.default_rng(5), 80, 0.6)


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.4, 0.95])
def test_prais_winsten_is_generalised_least_squares(data, rho):
    X, y = data
    design = np.column_stack([np.ones(len(y)), X])
    covariance = linalg.toeplitz(rho ** np.arange(len(y))) / (1 - rho**2)
    root = linalg.cholesky(covariance, lower=True)
    A, b = (
        linalg.solve_triangular(root, design, lower=True),
        linalg.solve_triangular(root, y, lower=True),
    )
    expected, squares, *_ = np.linalg.lstsq(A, b, rcond=None)
    errors = np.sqrt(np.diag(np.linalg.inv(A.T @ A)) * squares[0] / (len(y) - 3))
    found = stats.prais_winsten(X, y, rho=rho)
    np.testing.assert_allclose(found.coefficients, expected, rtol=1e-9)
    np.testing.assert_allclose(found.standard_errors, errors, rtol=1e-8)
    assert (found.rho, found.iterations, found.converged) == (rho, 0, True)


@pytest.mark.parametrize("method", [stats.prais_winsten, stats.cochrane_orcutt])
def test_estimated_rho_is_that_of_its_own_residuals(data, method):
    found = method(*data, tolerance=1e-12)
    e = found.residuals
    assert found.converged
    assert found.rho == pytest.approx(e[1:] @ e[:-1] / (e[:-1] @ e[:-1]), abs=1e-10)


def test_cochrane_orcutt_minimises_the_squares_of_the_innovations(data):
    """Its fixed point is the least-squares solution of the model in differences."""
    from scipy.optimize import least_squares

    X, y = data
    design = np.column_stack([np.ones(len(y)), X])

    def innovations(p):
        u = y - design @ p[1:]
        return u[1:] - p[0] * u[:-1]

    expected = least_squares(innovations, [0.5, 3, 2, -1], xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    found = stats.cochrane_orcutt(X, y, tolerance=1e-13)
    np.testing.assert_allclose([found.rho, *found.coefficients], expected, rtol=1e-6)


def test_statsmodels_agrees(data):
    sm = pytest.importorskip("statsmodels.api")
    X, y = data
    found = stats.prais_winsten(X, y, rho=0.5)
    expected = sm.GLS(y, sm.add_constant(X), sigma=linalg.toeplitz(0.5 ** np.arange(80))).fit()
    np.testing.assert_allclose(found.coefficients, expected.params, rtol=1e-9)
    np.testing.assert_allclose(found.standard_errors, expected.bse, rtol=1e-8)


@pytest.mark.parametrize("method", [stats.prais_winsten, stats.cochrane_orcutt])
def test_the_remedy_removes_the_autocorrelation(method):
    X, y = autoregressive(np.random.default_rng(1), 400, 0.8)
    assert stats.durbin_watson(stats.linear_regression(X, y).residuals) < 1
    found = method(X, y)
    assert found.rho == pytest.approx(0.8, abs=0.1)
    assert stats.durbin_watson(found.innovations) == pytest.approx(2, abs=0.2)


def test_a_regression_gives_what_its_data_give(data):
    direct = stats.prais_winsten(*data)
    again = stats.prais_winsten(stats.linear_regression(*data))
    np.testing.assert_array_equal(direct.coefficients, again.coefficients)


def test_cochrane_orcutt_loses_the_first_observation(data):
    assert len(stats.cochrane_orcutt(*data).innovations) == 79
    assert len(stats.prais_winsten(*data).innovations) == 80


def test_names_are_kept_and_printed(data):
    found = stats.prais_winsten(*data, names=["trend", "noise"])
    assert list(found.names)[1:] == ["trend", "noise"]
    text = str(found)
    assert text.startswith("Prais-Winsten: rho = 0.")
    assert "trend" in text


def test_too_few_rounds_are_warned_of(data):
    with pytest.warns(UserWarning, match="rho still changes"):
        found = stats.prais_winsten(*data, max_iterations=1, tolerance=0.0)
    assert not found.converged
    assert "NOT converged" in str(found)


def test_no_warning_where_it_converges(data):
    assert stats.prais_winsten(*data).converged  # a warning would be an error


@pytest.mark.parametrize("rho", [1.0, -1.0, 1.5])
def test_a_rho_that_never_dies_out_is_refused(data, rho):
    with pytest.raises(ValueError, match="expected between -1 and 1"):
        stats.prais_winsten(*data, rho=rho)


def test_a_response_is_needed(data):
    with pytest.raises(TypeError, match="y must be given"):
        stats.prais_winsten(data[0])


@pytest.mark.parametrize(
    ("options", "surplus"),
    [({"names": ["a"]}, "names"), ({"add_intercept": False}, "add_intercept"), ({"y": 1}, "y")],
)
def test_what_belongs_to_data_is_refused_with_a_regression(data, options, surplus):
    with pytest.raises(TypeError, match=f"^{surplus} must be left out"):
        stats.prais_winsten(stats.linear_regression(*data), **options)


def test_a_weighted_regression_is_refused(data):
    with pytest.raises(ValueError, match="weighted"):
        stats.prais_winsten(stats.linear_regression(*data, weights=np.arange(1.0, 81)))


def test_the_data_are_not_changed(data):
    X, y = data[0].copy(), data[1].copy()
    stats.prais_winsten(*data)
    np.testing.assert_array_equal(data[0], X)
    np.testing.assert_array_equal(data[1], y)


def test_tables_give_tables(data):
    pandas = pytest.importorskip("pandas")
    X, y = data
    index = pandas.date_range("2020", periods=len(y))
    table = pandas.DataFrame(X, index, columns=["trend", "price"])
    found = stats.cochrane_orcutt(table, pandas.Series(y, index, name="sales"))
    assert list(found.coefficients.index) == ["intercept", "trend", "price"]
    assert found.residuals.index.equals(index)
    assert found.regression.residuals.index.equals(index[1:])
    np.testing.assert_array_equal(found.coefficients, stats.cochrane_orcutt(X, y).coefficients)
