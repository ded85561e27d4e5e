"""The orthonormal basis of a tall design: by blocks of rows, without copies of all of it."""

from __future__ import annotations

import numpy as np
import pytest
from memory import peak_of

from fastnn import backend
from fastnn.stats import durbin_watson_test
from fastnn.stats.linalg.basis import orthonormal_basis
from fastnn.stats.linalg.design import block_rows


def tall(k=4, n=None, seed=0):
    return np.random.default_rng(seed).normal(size=(n or 3 * block_rows(k) + 7, k))


def assert_is_basis(Q, X):
    rank = Q.shape[1]
    np.testing.assert_allclose(Q.T @ Q, np.eye(rank), atol=1e-14)
    lengths = np.linalg.norm(X, axis=0)
    lengths[lengths == 0] = 1
    scaled = X / lengths
    np.testing.assert_allclose(Q @ (Q.T @ scaled), scaled, atol=1e-13)


@pytest.mark.parametrize("n", [50, block_rows(4), block_rows(4) + 1, 3 * block_rows(4) + 7])
def test_columns_are_orthonormal_and_span_the_design(n):
    X = tall(n=n)
    assert_is_basis(orthonormal_basis(X), X)


def test_nearly_dependent_columns_of_any_size_give_an_orthonormal_basis():
    X = tall()
    X[:, 1] = X[:, 0] + 1e-10 * X[:, 1]
    X[:, 2] *= 1e-200
    X[:, 3] *= 1e200
    Q = orthonormal_basis(X)
    assert Q.shape[1] == 4
    np.testing.assert_allclose(Q.T @ Q, np.eye(4), atol=1e-14)


def test_dependent_columns_and_zeros_are_left_out():
    X = np.column_stack([tall(), np.zeros((len(tall()), 1))])
    X[:, 2] = X[:, 0] - 2 * X[:, 1]
    Q = orthonormal_basis(X)
    assert Q.shape[1] == 3
    assert_is_basis(Q, X)


def test_the_design_is_kept_unless_it_may_be_overwritten():
    X = tall()
    before = X.copy()
    Q = orthonormal_basis(X)
    np.testing.assert_array_equal(X, before)
    assert np.shares_memory(orthonormal_basis(X, overwrite=True), X)
    np.testing.assert_array_equal(X, Q)


def test_blocks_and_a_single_factorisation_span_the_same():
    X = tall()
    by_blocks = orthonormal_basis(X)
    whole = np.linalg.qr(X).Q
    np.testing.assert_allclose(by_blocks @ (by_blocks.T @ whole), whole, atol=1e-13)


def test_a_design_of_zeros_is_refused():
    with pytest.raises(ValueError, match="a column that is not zero"):
        orthonormal_basis(np.zeros((3 * block_rows(2), 2)))


def test_the_basis_takes_little_memory_beside_the_design():
    X = tall(k=10, n=100_000)
    peak, _ = peak_of(lambda: orthonormal_basis(X, overwrite=True))
    assert peak < 0.5 * X.nbytes


@pytest.mark.skipif(backend.name() == "reference", reason="its resolvents are complex copies")
def test_the_test_of_many_rows_takes_about_a_copy_of_them():
    X = tall(k=20, n=60_000)
    y = X.sum(axis=1) + np.random.default_rng(1).normal(size=len(X))
    peak, _ = peak_of(lambda: durbin_watson_test(X, y))
    assert peak < 2.2 * X.nbytes
