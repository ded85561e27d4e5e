"""The exact law of the Durbin-Watson statistic, against laws computed from eigenvalues."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quadratic_forms import (
    difference_matrix,
    imhof,
    imhof_in_many_digits,
    residual_eigenvalues,
)

import fastnn
from fastnn import backend as backends
from fastnn.backend import choice, compiled
from fastnn.stats.diagnostics.durbin_watson.quadratic_forms import (
    PathLaw,
    ResidualLaw,
    path_eigenvalues,
)
from fastnn.stats.diagnostics.durbin_watson.tail import tail
from fastnn.stats.linalg.basis import orthonormal_basis

SHIFTS = np.array([3 + 2j, 0.5 - 1j, -40 + 3j, 2 + 0.1j, 1000 + 1e3j, 5j, 7, 1 - 1j, 9 + 1e-3j])


def regressors(n, k, seed=0):
    """An intercept, a trend and normal columns."""
    X = np.random.default_rng(seed).standard_normal((n, k))
    X[:, 0] = 1
    if k > 1:
        X[:, 1] = np.arange(n)
    return X


def law_of(X, lag=1):
    return ResidualLaw(orthonormal_basis(X), lag)


def resolvent(kernels, Q, lag, shifts=SHIFTS):
    k = Q.shape[1]
    out = np.empty((len(shifts), k, k), np.complex128)
    pairs = np.ascontiguousarray(shifts, np.complex128).view(np.float64).reshape(-1, 2)
    kernels.difference_resolvent(Q, lag, pairs, out.view(np.float64).reshape(*out.shape, 2))
    return out


# ------------------------------------------------------------------------------ kernel


@pytest.mark.parametrize(
    ("n", "k", "lag"), [(2, 1, 1), (5, 2, 1), (50, 3, 1), (37, 4, 3), (40, 5, 30), (65, 8, 2)]
)
def test_resolvent_is_that_of_a_dense_solver(backend, n, k, lag):
    Q = np.random.default_rng(0).standard_normal((n, k))
    found = resolvent(backends.kernels(np.float64), Q, lag)
    for x, actual in zip(SHIFTS, found, strict=True):
        expected = Q.T @ np.linalg.solve(x * np.eye(n) - difference_matrix(n, lag), Q)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


needs_compiled = pytest.mark.skipif(not compiled.built(), reason="nothing compiled here")


@pytest.fixture
def four_threads():
    before = choice._threads
    yield 4
    fastnn.set_num_threads(before or choice._ANY_NUMBER)


@needs_compiled
def test_resolvent_has_the_same_bits_on_any_number_of_threads(four_threads):
    Q = np.random.default_rng(0).standard_normal((30_000, 5))
    shifts = 3 + 1j * np.arange(1, 41)
    results = []
    with backends.use("compiled"):
        for threads in (1, four_threads):
            fastnn.set_num_threads(threads)
            results.append(resolvent(backends.kernels(np.float64), Q, 1, shifts))
    np.testing.assert_array_equal(*results)


@needs_compiled
def test_resolvent_of_a_shift_alone_is_that_in_company():
    Q = np.random.default_rng(0).standard_normal((100, 3))
    with backends.use("compiled"):
        kernels = backends.kernels(np.float64)
        together = resolvent(kernels, Q, 2)
        for i in range(len(SHIFTS)):
            np.testing.assert_array_equal(
                resolvent(kernels, Q, 2, SHIFTS[i : i + 1])[0], together[i]
            )


# -------------------------------------------------------------------------- log det


@pytest.mark.parametrize(("first", "last"), [(0, 29), (1, 29), (1, 20), (5, 29), (3, 8)])
def test_determinant_of_a_path_is_that_of_its_eigenvalues(first, last):
    n, d = 30, 1.7
    s = np.array([0.1 + 0.2j, -0.3 + 0.1j, 1e-6 + 1e-6j, -8 + 3j, 2 + 50j, 1e-9j])
    factors = 1 - 2 * np.multiply.outer(s, path_eigenvalues(n, np.arange(first, last + 1)) - d)
    found = PathLaw(n, first, last).log_det(s, d)
    np.testing.assert_allclose(found, np.log(factors).sum(axis=1), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("lag", [1, 2, 7, 16, 29])
def test_determinant_of_residuals_is_that_of_their_eigenvalues(backend, lag):
    X = regressors(30, 4)
    d = 1.3
    # Far to the left of 0 the real parts of some factors, and of pivots, are negative.
    s = np.array([0.1 + 0.2j, -0.3 + 0.1j, -20 + 1j, 30 + 2j, 2 + 50j])
    factors = 1 - 2 * np.multiply.outer(s, residual_eigenvalues(X, lag) - d)
    np.testing.assert_allclose(
        law_of(X, lag).log_det(s, d), np.log(factors).sum(axis=1), rtol=1e-12
    )


def test_trace_and_size_are_those_of_the_eigenvalues(backend):
    X = regressors(25, 3)
    law, eigenvalues = law_of(X, 2), residual_eigenvalues(X, 2)
    assert law.size == len(eigenvalues)
    assert law.trace == pytest.approx(eigenvalues.sum(), rel=1e-13)
    assert law.low <= eigenvalues.min() + 1e-14
    assert eigenvalues.max() <= law.high + 1e-14


# ----------------------------------------------------------------------- probabilities


@pytest.mark.parametrize("n", [10, 11, 20, 50, 100])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_probability_is_imhofs(backend, n, k):
    X = regressors(n, k)
    law, eigenvalues = law_of(X), residual_eigenvalues(X)
    low, high = eigenvalues.min(), eigenvalues.max()
    for d in low + (high - low) * np.array([0.1, 0.3, 0.45, 0.5, 0.55, 0.8]):
        found = tail(law, float(d))
        assert found.below == pytest.approx(imhof(eigenvalues, d), rel=0, abs=1e-12)
        assert found.error < 1e-11


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_probability_is_imhofs_for_any_shape_and_lag(data):
    n = data.draw(st.integers(6, 30), "n")
    k = data.draw(st.integers(1, n - 4), "k")
    lag = data.draw(st.integers(1, n // 2), "lag")
    X = np.random.default_rng(data.draw(st.integers(0, 99), "seed")).standard_normal((n, k))
    eigenvalues = residual_eigenvalues(X, lag)
    share = data.draw(st.floats(0.02, 0.98), "share")
    d = eigenvalues.min() + share * np.ptp(eigenvalues)
    expected = imhof(eigenvalues, d)
    assert tail(law_of(X, lag), float(d)).below == pytest.approx(expected, rel=0, abs=1e-10)


def cosine_modes(n, numbers):
    """Columns that are eigenvectors of the difference matrix."""
    return np.cos(np.pi * np.multiply.outer(np.arange(n) + 0.5, numbers) / n)


@pytest.mark.parametrize(
    ("n", "modes", "d"),
    [
        (40, (0,), 0.0255),
        (40, (0, 1, 2, 3), 0.14),
        (60, (0, 5), 0.115),
        (40, (0,), 3.98),
        (60, (0, 1, 2, 58), 3.93),
    ],
)
def test_tiny_probability_keeps_ten_digits(backend, n, modes, d):
    with mpmath.workdps(60):
        eigenvalues = [2 - 2 * mpmath.cos(mpmath.pi * i / n) for i in range(n) if i not in modes]
        below = imhof_in_many_digits(eigenvalues, d)
        expected = min(below, 1 - below)
    found = tail(law_of(cosine_modes(n, modes)), d)
    assert 1e-42 < expected < 1e-25
    assert abs(found.probability / expected - 1) < 1e-10
    assert abs(found.probability - expected) <= found.error < 1e-9 * expected


@pytest.mark.parametrize("m", [2, 3, 4])
def test_few_degrees_of_freedom(backend, m):
    """The integrand falls off like a low power of s."""
    X = regressors(8, 8 - m)
    eigenvalues = residual_eigenvalues(X)
    d = eigenvalues.mean() - 0.05
    found = tail(law_of(X), float(d))
    if m == 2:  # xi_1 / xi_2 has Cauchy's law
        low, high = eigenvalues - d
        expected = 2 / np.pi * np.arctan(np.sqrt(-low / high))
    else:
        expected = imhof(eigenvalues, d)
    assert found.below == pytest.approx(expected, abs=1e-12 if m == 2 else 1e-10)


def test_outside_the_support_probabilities_are_exactly_0_and_1(backend):
    X = regressors(20, 3)
    law, eigenvalues = law_of(X), residual_eigenvalues(X)
    for d in (0.0, 1e-9, eigenvalues.min() - 1e-6):
        assert (tail(law, d).below, tail(law, d).above, tail(law, d).error) == (0.0, 1.0, 0.0)
    for d in (4.0, 4 - 1e-9, eigenvalues.max() + 1e-6):
        assert (tail(law, d).below, tail(law, d).above, tail(law, d).error) == (1.0, 0.0, 0.0)


def test_probability_grows_with_d(backend):
    law = law_of(regressors(15, 3))
    values = [tail(law, d).below for d in np.linspace(0.05, 3.95, 40)]
    assert (np.diff(values) >= 0).all()
    assert values[0] < 1e-6
    assert values[-1] > 1 - 1e-6


@needs_compiled
def test_a_hundred_thousand_observations():
    """Regressors that are eigenvectors leave eigenvalues that are known."""
    n, modes = 100_000, (0, 3, 1000, 99_000)
    law = law_of(cosine_modes(n, modes))
    eigenvalues = np.delete(path_eigenvalues(n, np.arange(n)), modes)
    for d in (2 - 0.01, 2 + 0.001):
        assert tail(law, d).below == pytest.approx(imhof(eigenvalues, d), rel=0, abs=1e-12)


def test_law_of_simulated_residuals(backend):
    n, lag = 12, 2
    X = regressors(n, 3)
    Q = orthonormal_basis(X)
    errors = np.random.default_rng(1).standard_normal((n, 100_000))
    residuals = errors - Q @ (Q.T @ errors)
    d = fastnn.stats.durbin_watson(residuals, lag=lag)
    law = law_of(X, lag)
    for point in (0.8, 1.5, 2.4):
        p = tail(law, point).below
        assert np.mean(d < point) == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / d.size))
