"""Least squares in twice the working precision, against rational numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp

from fastnn import backend as backends


@pytest.fixture
def kernels(backend):
    return backends.kernels(np.float64)


def formed(kernels, rows):
    q = rows.shape[1]
    high, low = np.zeros((q, q)), np.zeros((q, q))
    kernels.add_gram(np.ascontiguousarray(rows), high, low)
    return high, low


def hard_rows(seed=0, n=60):
    """Columns of very different sizes that are nearly dependent, and a response."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(1, 2, n)
    columns = [np.ones(n), x, x**2, 1e-30 * x**3, 1e40 * rng.normal(size=n)]
    return np.column_stack([*columns, 3 + x + rng.normal(scale=1e-3, size=n)])


def solved(kernels, rows, m=1):
    """What the kernel makes of the solution that a factorisation in double precision gives."""
    p = rows.shape[1] - m
    X, y = rows[:, :p], rows[:, p:]
    scale = np.linalg.norm(X, axis=0)
    Q, R = np.linalg.qr(X / scale)
    root = np.ascontiguousarray(np.linalg.inv(R) / scale[:, None])
    b = np.ascontiguousarray(root @ (Q.T @ y))
    covariance, squares = np.empty((p, p)), np.empty(m)
    done = kernels.correct_least_squares(*formed(kernels, rows), root, b, covariance, squares)
    return done, b, covariance, squares


def exact(rows, m=1):
    p = rows.shape[1] - m
    with mp.workdps(120):
        X, y = mp.matrix(rows[:, :p].tolist()), mp.matrix(rows[:, p:].tolist())
        inverse = (X.T * X) ** -1
        b = inverse * (X.T * y)
        left = y - X * b
        squares = [sum(left[i, j] ** 2 for i in range(len(rows))) for j in range(m)]
        return [np.array(a.tolist(), float) for a in (b, inverse)], np.array(squares, float)


def test_the_gram_matrix_is_right_to_twice_the_precision(kernels):
    rows = hard_rows(n=30)[:, [0, 1, 2, 5]]
    high, low = formed(kernels, rows)
    for i in range(4):
        for j in range(4):
            terms = [Fraction(a) * Fraction(b) for a, b in zip(rows[:, i], rows[:, j], strict=True)]
            found = Fraction(high[i, j]) + Fraction(low[i, j])
            assert abs(found - sum(terms)) < Fraction(2) ** -95 * sum(map(abs, terms))


def test_the_gram_matrix_adds_to_what_is_there(kernels):
    rows = hard_rows(n=40)[:, :3]
    whole = formed(kernels, rows)
    high, low = formed(kernels, rows[:25])
    kernels.add_gram(rows[25:].copy(), high, low)
    np.testing.assert_allclose(high + low, whole[0] + whole[1], rtol=1e-16)
    np.testing.assert_array_equal(high, high.T)


@pytest.mark.parametrize("m", [1, 2])
def test_solution_covariance_and_squares_are_right_to_the_last_digits(kernels, m):
    rows = hard_rows(seed=m)
    if m == 2:
        rows = np.column_stack([rows, np.cos(rows[:, 1])])
    done, b, covariance, squares = solved(kernels, rows, m)
    (coefficients, inverse), left = exact(rows, m)
    assert done
    np.testing.assert_allclose(b, coefficients, rtol=1e-15)
    np.testing.assert_allclose(covariance, inverse, rtol=1e-15)
    np.testing.assert_allclose(squares, left, rtol=1e-15)


def test_a_perfect_fit_leaves_nothing(kernels):
    rows = np.array([[1.0, 1.0, 3.0], [1.0, 2.0, 5.0], [1.0, 4.0, 9.0]])
    done, b, _, squares = solved(kernels, rows)
    assert done
    np.testing.assert_array_equal(b[:, 0], [1, 2])
    assert squares[0] == 0


def test_where_corrections_do_not_shrink_nothing_is_changed(kernels):
    rows = hard_rows()
    high, low = formed(kernels, rows)
    root = np.random.default_rng(1).normal(size=(5, 5))  # has nothing to do with the problem
    given = np.ones((5, 1)), np.full((5, 5), 2.0), np.full(1, 3.0)
    arrays = [a.copy() for a in given]
    assert kernels.correct_least_squares(high, low, root, *arrays) is False
    for before, after in zip(given, arrays, strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_numbers_that_overflow_change_nothing(kernels, value):
    rows = hard_rows()[:, [0, 1, 5]]
    rows[3, 1] = value
    high, low = formed(kernels, rows)
    b = np.ones((2, 1))
    done = kernels.correct_least_squares(high, low, np.eye(2), b, np.empty((2, 2)), np.empty(1))
    assert done is False
    np.testing.assert_array_equal(b, 1)
