"""Sparse matrices of SciPy, read as checked rows."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn._shared.sparse import SparseRows, as_sparse_rows, is_sparse

DENSE = np.array([[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [5.0, 0.0, -3.0, 0.0]])


def csr(values=(2.0, 1.0, 5.0, -3.0), columns=(1, 3, 0, 2), starts=(0, 2, 2, 4)):
    """`DENSE`, with arrays that SciPy does not check."""
    matrix = sp.csr_matrix(DENSE)
    matrix.data, matrix.indices, matrix.indptr = map(np.array, (values, columns, starts))
    return matrix


def dense(rows: SparseRows) -> np.ndarray:
    """The same numbers with their zeros."""
    result = np.zeros(rows.shape, rows.dtype)
    for r in range(len(rows)):
        part = slice(rows.starts[r], rows.starts[r + 1])
        result[r, rows.columns[part]] = rows.values[part]
    return result


@st.composite
def matrices(draw):
    """CSR matrices with empty rows, columns in any order, repeated places and zeros."""
    n_rows, width = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    row = st.lists(st.integers(0, width - 1), max_size=8)
    columns = draw(st.lists(row, min_size=n_rows, max_size=n_rows))
    starts = np.cumsum([0, *map(len, columns)])
    n = sum(map(len, columns))
    values = draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n))
    dtype = draw(st.sampled_from(["float32", "float64", "float16", "int8", "int64", "uint16"]))
    index = draw(st.sampled_from(["int32", "int64"]))
    matrix = sp.csr_matrix((n_rows, width), dtype=np.float64)
    matrix.data = np.abs(values).astype(dtype) if dtype == "uint16" else np.array(values, dtype)
    matrix.indices = np.array([column for own in columns for column in own], index)
    matrix.indptr = starts.astype(index)
    return matrix


@given(matrices())
@settings(max_examples=150, deadline=None)
def test_rows_are_those_of_the_dense_matrix(matrix):
    expected = matrix.astype(np.float64).toarray()
    rows = as_sparse_rows(matrix, "X", matrix.shape[1])
    np.testing.assert_array_equal(dense(rows), expected)
    for r in range(len(rows)):
        assert (np.diff(rows.columns[rows.starts[r] : rows.starts[r + 1]]) > 0).all()


@given(matrices(), st.data())
@settings(max_examples=100, deadline=None)
def test_rows_are_chosen_as_those_of_an_array(matrix, data):
    rows = as_sparse_rows(matrix, "X", matrix.shape[1])
    n = len(rows)
    array = dense(rows)
    index = data.draw(
        st.one_of(
            st.slices(n),
            st.lists(st.integers(-n, n - 1), max_size=8).map(lambda i: np.array(i, np.int64)),
            st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
        )
    )
    chosen = rows[index]
    assert chosen.shape == array[index].shape
    np.testing.assert_array_equal(dense(chosen), array[index])
    np.testing.assert_array_equal(chosen.matrix().toarray(), array[index])
    np.testing.assert_array_equal(dense(chosen.astype(np.float64)), array[index])


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_every_format_of_scipy_is_read(form, kind):
    matrix = getattr(sp, f"{form}_{kind}")(DENSE)
    assert is_sparse(matrix)
    np.testing.assert_array_equal(dense(as_sparse_rows(matrix, "X", 4)), DENSE)


@pytest.mark.parametrize("values", [DENSE, [[0.0]], None, "csr"])
def test_other_objects_are_not_sparse(values):
    assert not is_sparse(values)


def test_a_sorted_csr_matrix_is_not_copied():
    matrix = sp.csr_matrix(DENSE)
    assert np.shares_memory(as_sparse_rows(matrix, "X", 4).values, matrix.data)


def test_an_unsorted_csr_matrix_stays_as_it_is():
    matrix = csr(columns=(3, 1, 0, 2))
    as_sparse_rows(matrix, "X", 4)
    np.testing.assert_array_equal(matrix.indices, [3, 1, 0, 2])


def test_a_slice_is_a_view():
    rows = as_sparse_rows(sp.csr_matrix(DENSE), "X", 4)
    assert np.shares_memory(rows[1:].values, rows.values)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"starts": (0, 3, 2, 4)}, r"indptr falls: indptr\[1\] = 3, indptr\[2\] = 2"),
        ({"starts": (1, 2, 2, 4)}, "indptr starts with 1 instead of 0"),
        ({"starts": (-1, 2, 2, 4)}, "indptr starts with -1 instead of 0"),
        ({"starts": (0, 2, 4)}, "indptr has 3 entries instead of 4"),
        ({"starts": (0, 2, 2, 9)}, "indptr ends with 9, more than the 4 numbers"),
        ({"starts": (0.0, 2.0, 2.0, 4.0)}, "indptr holds float64 instead of integers"),
        ({"starts": ((0, 2), (2, 4))}, "indptr has 2 dimensions instead of 1"),
        ({"columns": (1, 4, 0, 2)}, r"indices must be from 0 to 3, got indices\[1\] = 4"),
        ({"columns": (1, -1, 0, 2)}, r"indices must be from 0 to 3, got indices\[1\] = -1"),
        ({"columns": (1, 3, 0)}, "indptr ends with 4, more than the 3 numbers"),
        ({"values": (1.0, 3.0)}, "indptr ends with 4, more than the 2 numbers"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(parts, message):
    with pytest.raises(ValueError, match=f"X must be a valid csr_matrix, but its {message}"):
        as_sparse_rows(csr(**parts), "X", 4)


def test_a_csc_matrix_with_bad_indices_is_refused():
    matrix = sp.csc_matrix(DENSE)
    matrix.indices[0] = 7
    with pytest.raises(ValueError, match="X must be a valid csc_matrix"):
        as_sparse_rows(matrix, "X", 4)


@pytest.mark.parametrize("part", ["row", "col"])
@pytest.mark.parametrize("index", [-1, 4])
def test_a_coo_matrix_with_bad_indices_is_refused(part, index):
    matrix = sp.coo_matrix(DENSE)
    getattr(matrix, part)[0] = index
    with pytest.raises(ValueError, match=rf"its {part} must be .* got {part}\[0\] = {index}"):
        as_sparse_rows(matrix, "X", 4)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_numbers_that_are_not_real_are_refused(dtype):
    with pytest.raises(TypeError, match=f"X must hold real numbers, got dtype {dtype}"):
        as_sparse_rows(sp.csr_matrix(DENSE.astype(dtype)), "X", 4)


def test_another_width_is_refused():
    with pytest.raises(ValueError, match=r"X must have shape \(N, 5\), got \(3, 4\)"):
        as_sparse_rows(sp.csr_matrix(DENSE), "X", 5)


def test_a_matrix_without_rows_is_refused():
    with pytest.raises(ValueError, match="X must have at least one row"):
        as_sparse_rows(sp.csr_matrix((0, 4)), "X", 4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named_by_its_cell(value):
    rows = as_sparse_rows(csr(values=(2.0, 1.0, 5.0, value)), "X", 4)
    with pytest.raises(ValueError, match=rf"X must be finite, got X\[2, 2\] = {value}; why"):
        rows.check_finite("X", "why", np.float64)
    with pytest.raises(ValueError, match=r"X\[1, 2\]"):
        rows[1:].check_finite("X", "", np.float64)
    rows[:2].check_finite("X", "", np.float64)


def test_a_number_beyond_the_dtype_is_named_by_its_cell():
    rows = as_sparse_rows(csr(values=(2.0, 1e300, 5.0, 1.0)), "X", 4)
    with pytest.raises(ValueError, match=r"finite in float32, got X\[0, 3\] = 1e\+300"):
        rows.check_finite("X", "", np.float32)
