"""NIST's reference regressions: as many right digits as the data determine, and how many."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from nist import REFERENCES, log_relative_error

from fastnn.stats import linear_regression

DIGITS = {
    "Norris": (13.9, 13.8),
    "Pontius": (13.4, 13.7),
    "NoInt1": (14.6, 14.9),
    "NoInt2": (14.9, 14.8),
    "Filip": (7.5, 7.5),
    "Longley": (14.5, 14.8),
    "Wampler1": (14.9, 14.9),
    "Wampler2": (13.1, 14.5),
    "Wampler3": (14.9, 14.4),
    "Wampler4": (14.9, 14.4),
    "Wampler5": (14.9, 14.3),
}
"""Right digits of coefficients and of standard errors.

NIST prints 15, and decimals are rounded to float64 before anybody computes with them: that
alone costs Filip all but about 7.6.
"""


def weights_of(name):
    """Weights whose square roots are not numbers of float64."""
    return 0.1 + np.arange(len(REFERENCES[name].response)) % 7


@cache
def exact(name, decimal, weighted=False):
    """Coefficients and variances in rational numbers, of decimal data or of float64."""
    reference = REFERENCES[name]
    if decimal:
        rows = [[Fraction(value) for value in row] for row in reference.x]
        if reference.degree > 1:
            rows = [[row[0] ** k for k in range(1, reference.degree + 1)] for row in rows]
        y = [Fraction(value) for value in reference.y]
    else:
        rows = [[Fraction(float(value)) for value in row] for row in reference.X]
        y = [Fraction(float(value)) for value in reference.response]
    if reference.intercept:
        rows = [[Fraction(1), *row] for row in rows]
    p = len(rows[0])
    w = [Fraction(float(weight)) for weight in weights_of(name)] if weighted else [1] * len(y)
    scaled = [[weight * value for value in row] for weight, row in zip(w, rows, strict=True)]
    gram = [
        [sum(a[i] * b[j] for a, b in zip(scaled, rows, strict=True)) for j in range(p)]
        for i in range(p)
    ]
    sides = [sum(row[i] * value for row, value in zip(scaled, y, strict=True)) for i in range(p)]
    solution = solve([[*g, s, *(Fraction(i == j) for j in range(p))]
                      for i, (g, s) in enumerate(zip(gram, sides, strict=True))])  # fmt: skip
    b = [row[p] for row in solution]
    fits = (sum(c * v for c, v in zip(b, row, strict=True)) for row in rows)
    squares = sum(u * (value - fit) ** 2 for u, value, fit in zip(w, y, fits, strict=True))
    variances = [solution[i][p + 1 + i] * squares / (len(y) - p) for i in range(p)]
    return [float(c) for c in b], [float(v) ** 0.5 for v in variances]


def solve(rows):
    """Gauss-Jordan elimination of a positive definite system and its right sides."""
    p = len(rows)
    for k in range(p):
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(p):
            if i != k and rows[i][k]:
                factor = rows[i][k]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    return rows


def fit(name, **options):
    reference = REFERENCES[name]
    return linear_regression(
        reference.X, reference.response, add_intercept=reference.intercept, **options
    )


def digits(coefficients, standard_errors, reference):
    return (
        log_relative_error(coefficients, reference.coefficients),
        log_relative_error(standard_errors, reference.standard_errors),
    )


@pytest.mark.parametrize("name", REFERENCES)
def test_the_certified_values_are_those_of_the_data(name):
    assert min(digits(*exact(name, decimal=True), REFERENCES[name])) > 13.9


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("method", ["qr", "svd"])
def test_refined_solutions_are_exact_for_the_data_in_float64(name, method):
    result = fit(name, method=method)
    coefficients, errors = exact(name, decimal=False)
    rtol = 2e-15 + 2.0**-106 * result.scaled_condition_number**2
    np.testing.assert_allclose(result.coefficients, coefficients, rtol=rtol)
    if name in ("Wampler1", "Wampler2"):  # nothing is left but the rounding of y, squared
        length = np.linalg.norm(REFERENCES[name].response)
        assert result.residual_standard_deviation < 1e-15 * length
    else:
        np.testing.assert_allclose(result.standard_errors, errors, rtol=rtol)


@pytest.mark.parametrize("name", ["Norris", "Pontius", "Longley", "Wampler3", "Wampler5", "Filip"])
def test_weighted_solutions_are_exact_for_the_data_in_float64(name):
    result = fit(name, weights=weights_of(name))
    coefficients, errors = exact(name, decimal=False, weighted=True)
    rtol = 4e-15 + 2.0**-104 * result.scaled_condition_number**2
    np.testing.assert_allclose(result.coefficients, coefficients, rtol=rtol)
    np.testing.assert_allclose(result.standard_errors, errors, rtol=rtol)


def test_proportional_weights_give_the_same_digits():
    X = np.vander(np.linspace(1, 2, 40), 9)[:, :-1]
    rng = np.random.default_rng(0)
    y = X @ rng.normal(size=8) + rng.normal(size=40)
    weights = rng.integers(1, 2**40, 40).astype(float)  # three times which is exact
    one, three = (linear_regression(X, y, weights=k * weights) for k in (1, 3))
    np.testing.assert_allclose(one.coefficients, three.coefficients, rtol=4e-15)
    np.testing.assert_allclose(one.standard_errors, three.standard_errors, rtol=4e-15)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("method", ["qr", "svd"])
def test_right_digits(name, method):
    result, reference = fit(name, method=method), REFERENCES[name]
    found = digits(result.coefficients, result.standard_errors, reference)
    assert found[0] >= DIGITS[name][0]
    assert found[1] >= DIGITS[name][1]


@pytest.mark.parametrize("name", REFERENCES)
def test_the_quality_of_the_fit_is_certified_too(name):
    result, reference = fit(name), REFERENCES[name]
    rtol = 3e-8 if name == "Filip" else 1e-12
    expected = [reference.residual_sd, reference.r_squared]
    found = [result.residual_standard_deviation, result.r_squared]
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-13)
    if np.isfinite(reference.f):
        assert result.fvalue == pytest.approx(reference.f, rel=max(rtol, 2e-12))


@pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")  # of Filip's
@pytest.mark.parametrize("name", REFERENCES)
def test_at_least_as_many_right_digits_as_statsmodels(name):
    """By its default method; where rounding of the data decides, by no more than they allow."""
    statsmodels = pytest.importorskip("statsmodels.api")
    reference = REFERENCES[name]
    X = statsmodels.add_constant(reference.X) if reference.intercept else reference.X
    theirs = statsmodels.OLS(reference.response, X).fit()
    result = fit(name)
    ours = digits(result.coefficients, result.standard_errors, reference)
    others = digits(theirs.params, theirs.bse, reference)
    possible = digits(*exact(name, decimal=False), reference)
    for own, other, most in zip(ours, others, possible, strict=True):
        assert own >= min(other, most) - 0.05


def test_without_refinement_filip_keeps_seven_digits():
    result = fit("Filip", refine=False)
    assert min(digits(result.coefficients, result.standard_errors, REFERENCES["Filip"])) >= 7


def test_the_normal_equations_refuse_filip():
    with pytest.raises(ValueError, match="method='cholesky' would be wrong"):
        fit("Filip", method="cholesky")


@pytest.mark.parametrize("name", ["Norris", "Wampler3"])
def test_the_normal_equations_can_be_refined(name):
    result = fit(name, method="cholesky", refine=True)
    np.testing.assert_allclose(result.coefficients, exact(name, decimal=False)[0], rtol=1e-15)
