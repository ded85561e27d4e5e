"""What linear regression takes, and how it refuses the rest."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regressions import simulated, solved

from fastnn.stats import (
    RankDeficiencyWarning,
    linear_regression,
    linear_regression_blocks,
)

X, Y, WEIGHTS = simulated()


# ---------------------------------------------------------------------- layouts and types


def layouts(X):
    """The same numbers in different memory."""
    wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]), X.dtype)
    wide[::2, ::3] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    swapped = X.astype(X.dtype.newbyteorder())
    backwards = X[::-1, ::-1].copy()[::-1, ::-1]
    return [X, np.asfortranarray(X), wide[::2, ::3], read_only, swapped, backwards, X.tolist()]


@pytest.mark.parametrize("which", range(7))
@pytest.mark.parametrize("copy", [True, False])
def test_any_layout_gives_the_same_bits(which, copy):
    expected = linear_regression(X, Y).covariance
    found = linear_regression(layouts(X)[which], Y, copy=copy).covariance
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "longdouble"])
def test_any_real_type_is_converted(dtype):
    A = (np.random.default_rng(3).integers(0, 2, (40, 3))).astype(dtype)
    expected = linear_regression(A.astype(float), Y).coefficients
    np.testing.assert_array_equal(linear_regression(A, Y).coefficients, expected)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), k=st.integers(0, 6), m=st.integers(1, 3), seed=st.integers(0, 99),
       ordered=st.booleans(), step=st.integers(1, 3))  # fmt: skip
def test_any_shape_agrees_with_numpy(n, k, m, seed, ordered, step):
    if n < k + 1:
        return
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n * step, k))[::step]
    X = np.asfortranarray(X) if ordered else X
    Y = rng.standard_normal((n, m))
    result = linear_regression(X, Y)
    expected = solved(X, Y)
    size = np.abs(expected).max()
    np.testing.assert_allclose(result.coefficients, expected, rtol=1e-7, atol=1e-9 * size)
    assert result.residuals.shape == (n, m)


def test_arguments_are_not_changed():
    before = [a.copy() for a in (X, Y, WEIGHTS)]
    linear_regression(X, Y, weights=WEIGHTS, cov_type="HC3").studentized_residuals  # noqa: B018
    for array, copy in zip((X, Y, WEIGHTS), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_result_does_not_notice_later_changes_of_its_data():
    A, y = X.copy(), Y.copy()
    result, expected = linear_regression(A, y), linear_regression(X, Y)
    A[:], y[:] = 0.0, 0.0
    np.testing.assert_array_equal(result.leverage, expected.leverage)
    np.testing.assert_array_equal(result.fitted, expected.fitted)


def test_a_memory_map_is_not_copied(tmp_path):
    stored = np.memmap(tmp_path / "x", np.float64, "w+", shape=X.shape)
    stored[:] = X
    result = linear_regression(stored, Y, cov_type="HC2")
    assert result._fit.design._matrix is None
    np.testing.assert_array_equal(
        result.covariance, linear_regression(X, Y, cov_type="HC2").covariance
    )
    np.testing.assert_array_equal(result.design[:, 1:], X)


# --------------------------------------------------------------------------------- pandas


def frame():
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2020-01-01", periods=len(X), freq="D")
    return pandas.DataFrame(X, columns=["a", "b", "c"], index=index), pandas.Series(
        Y, index=index, name="sales"
    )


def test_a_table_gives_tables():
    table, series = frame()
    result, plain = linear_regression(table, series), linear_regression(X, Y)
    assert list(result.coefficients.index) == ["intercept", "a", "b", "c"]
    assert result.residuals.index.equals(table.index)
    assert result.response_names == ("sales",)
    assert list(result.covariance.columns) == list(result.names)
    np.testing.assert_array_equal(result.pvalues, plain.pvalues)
    np.testing.assert_array_equal(result.cooks_distance, plain.cooks_distance)
    assert isinstance(result.design, np.ndarray)


def test_several_responses_of_a_table_are_columns():
    table, series = frame()
    both = series.to_frame().assign(costs=series**2)
    result = linear_regression(table, both)
    assert list(result.coefficients.columns) == ["sales", "costs"]
    assert list(result.r_squared.index) == ["sales", "costs"]
    assert result.for_response("costs").response_names == ("costs",)


def test_columns_of_several_types_are_numbers():
    table, series = frame()
    pandas = sys.modules["pandas"]
    flag = np.arange(len(table)) % 2 == 0
    mixed = table.assign(b=flag, c=pandas.array(np.arange(len(table)), dtype="Int64"))
    result = linear_regression(mixed, series)
    expected = linear_regression(np.column_stack([X[:, 0], flag, np.arange(len(X))]), Y)
    np.testing.assert_array_equal(result.coefficients, expected.coefficients)


def test_predictions_match_columns_by_name():
    table, series = frame()
    result = linear_regression(table, series)
    shuffled = table[["c", "a", "b"]].assign(other="text")
    found = result.predict(shuffled, "prediction")
    np.testing.assert_array_equal(found.mean, result.predict(X))
    assert found.lower.index.equals(table.index)


def test_predictions_say_which_column_is_missing():
    table, series = frame()
    with pytest.raises(ValueError, match="lacks b, c"):
        linear_regression(table, series).predict(table[["a"]])


@pytest.mark.parametrize("kind", ["str", "category", "datetime64[ns]"])
def test_a_column_that_is_no_number_is_named(kind):
    table, series = frame()
    bad = table.assign(b=np.arange(len(table)).astype(str) if kind != "datetime64[ns]" else 0)
    bad["b"] = bad["b"].astype(kind)
    with pytest.raises(TypeError, match="X must hold real numbers, got column 'b' of type"):
        linear_regression(bad, series)


def test_a_missing_value_of_a_nullable_column_is_counted():
    table, series = frame()
    pandas = sys.modules["pandas"]
    table["b"] = pandas.array([None, *range(len(table) - 1)], dtype="Int64")
    with pytest.raises(ValueError, match=r"1 nan or infinite values in 1 of 40 rows.*b \(1\)"):
        linear_regression(table, series)


def test_indexes_that_differ_are_refused():
    table, series = frame()
    with pytest.raises(ValueError, match="same index"):
        linear_regression(table, series.sort_index(ascending=False))


# ------------------------------------------------------------------------- rank deficiency


@pytest.fixture
def deficient():
    """A regression with three columns that depend on those to their left."""
    A = np.column_stack([X, X[:, 0] - 2 * X[:, 2], np.full(len(X), 3.0), np.zeros(len(X))])
    with pytest.warns(RankDeficiencyWarning, match="rank 4 of 7") as caught:
        result = linear_regression(A, Y, names=list("abcdef"))
    assert caught[0].filename == __file__
    return result


def test_dependent_columns_are_named(deficient):
    assert deficient.dependencies == ("d = a - 2*c", "e = 3*intercept", "f = 0")


def test_coefficients_of_dependent_columns_are_nan(deficient):
    np.testing.assert_array_equal(np.isnan(deficient.coefficients), [0, 0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("name", ["coefficients", "standard_errors", "fitted", "fvalue", "rank"])
def test_dependent_columns_change_nothing_else(deficient, name):
    found, expected = getattr(deficient, name), getattr(linear_regression(X, Y), name)
    np.testing.assert_allclose(found[:4] if np.size(found) == 7 else found, expected, rtol=1e-12)


@pytest.mark.parametrize("text", ["not determined", "d = a - 2*c"])
def test_the_summary_tells_of_dependent_columns(deficient, text):
    assert text in str(deficient)


def test_svd_gives_the_coefficients_of_least_norm():
    A = np.column_stack([X, X[:, 0] + X[:, 1]])
    with pytest.warns(RankDeficiencyWarning, match="least norm"):
        result = linear_regression(A, Y, method="svd")
    design = np.column_stack([np.ones(len(A)), A])
    np.testing.assert_allclose(result.coefficients, np.linalg.pinv(design) @ Y, rtol=1e-11)
    inverse = np.linalg.pinv(design.T @ design)
    np.testing.assert_allclose(
        result.covariance, result.residual_standard_deviation**2 * inverse, rtol=1e-9, atol=1e-12
    )


def test_the_rank_does_not_depend_on_units():
    scaled = X * [1e-12, 1.0, 1e12]
    result = linear_regression(scaled, Y)
    assert result.rank == 4
    expected = linear_regression(X, Y).coefficients[1:] / [1e-12, 1.0, 1e12]
    np.testing.assert_allclose(result.coefficients[1:], expected, rtol=1e-12)


@pytest.mark.parametrize("n", [20, 30_000])
def test_rounding_does_not_hide_a_dependence(n):
    A = simulated(n=n)[0]
    with pytest.warns(RankDeficiencyWarning, match="rank 4 of 5"):
        linear_regression(np.column_stack([A, A @ [0.1, -0.7, 1 / 3]]), np.arange(n))


def test_predictions_that_break_a_dependence_are_warned_of():
    A = np.column_stack([X, X[:, 0] + X[:, 1]])
    with pytest.warns(RankDeficiencyWarning):
        result = linear_regression(A, Y)
    np.testing.assert_allclose(result.predict(A), result.fitted)
    with pytest.warns(RankDeficiencyWarning, match="1 of 2 rows break the linear dependence"):
        result.predict([A[0], [1.0, 2.0, 3.0, 4.0]])


def test_ridge_determines_dependent_columns():
    A = np.column_stack([X, X[:, 0]])
    result = linear_regression(A, Y, ridge=0.5)
    assert result.coefficients[1] == pytest.approx(result.coefficients[4])


@pytest.mark.parametrize("options", [{"method": "svd"}, {"ridge": 1.0}])
def test_fewer_rows_than_columns_need_a_choice(options):
    if "ridge" in options:
        result = linear_regression(X[:3], Y[:3], **options)
    else:
        with pytest.warns(RankDeficiencyWarning):
            result = linear_regression(X[:3], Y[:3], **options)
        np.testing.assert_allclose(result.fitted, Y[:3])
    assert np.isfinite(result.coefficients).all()


# ------------------------------------------------------------------------------- refusals

BAD_VALUES = {
    "fewer rows than columns": (dict(X=X[:3], y=Y[:3]), "got 3 rows and 4 coefficients"),
    "rows that differ": (dict(X=X, y=Y[:-1]), "as many rows, got 40 and 39"),
    "no rows": (dict(X=X[:0], y=Y[:0]), "at least one row"),
    "no columns": (dict(X=X[:, :0], y=Y, add_intercept=False), "at least one column"),
    "no responses": (dict(X=X, y=np.zeros((40, 0))), "y must have at least one column"),
    "masked elements": (dict(X=np.ma.masked_less(X, 0), y=Y), "X must have no masked elements"),
    "three axes": (dict(X=X[None], y=Y), r"X must have shape \(n,\) or \(n, k\)"),
    "a scalar": (dict(X=X, y=1.0), "y must have shape"),
    "negative weights": (dict(X=X, y=Y, weights=-WEIGHTS), "weights must be positive.*got 40"),
    "zero weights": (dict(X=X, y=Y, weights=0 * WEIGHTS), r"first weights\[0\] = 0"),
    "weights of another length": (dict(X=X, y=Y, weights=WEIGHTS[1:]), r"shape \(40,\), got"),
    "an unknown method": (dict(X=X, y=Y, method="lu"), "method must be one of qr, svd, cholesky"),
    "too few names": (dict(X=X, y=Y, names=["a"]), "each of the 3 columns of X .*, got 1"),
    "a name twice": (dict(X=X, y=Y, names=["a", "b", "a"]), "must differ, got a twice"),
    "the intercept's name": (dict(X=X, y=Y, names=["a", "b", "intercept"]), "'intercept' is taken"),
    "an unknown covariance": (dict(X=X, y=Y, cov_type="HC4"), "cov_type must be one of"),
    "lags of another covariance": (dict(X=X, y=Y, lags=2), "belong to cov_type='HAC'"),
    "a kernel of another covariance": (dict(X=X, y=Y, kernel="parzen"), "belong to cov_type"),
    "an unknown kernel": (dict(X=X, y=Y, cov_type="HAC", kernel="tukey"), "kernel must be one of"),
    "negative lags": (dict(X=X, y=Y, cov_type="HAC", lags=-1), "lags must be an integer >= 0"),
    "a negative penalty": (dict(X=X, y=Y, ridge=-1.0), "ridge must be a finite number >= 0"),
    "ridge by cholesky": (dict(X=X, y=Y, ridge=1.0, method="cholesky"), "ridge needs"),
    "ridge to be refined": (dict(X=X, y=Y, ridge=1.0, refine=True), "refine must not be True"),
}  # fmt: skip
BAD_TYPES = {
    "text": (dict(X=X.astype(str), y=Y), "X must hold real numbers"),
    "complex numbers": (dict(X=X, y=Y + 1j), "y must hold real numbers"),
    "a flag of text": (dict(X=X, y=Y, add_intercept="no"), "add_intercept must be True or False"),
    "names in one string": (dict(X=X, y=Y, names="abc"), "names must be a sequence"),
    "names that are numbers": (dict(X=X, y=Y, names=[1, 2, 3]), "names must be strings"),
    "lags of half": (dict(X=X, y=Y, cov_type="HAC", lags=0.5), "lags must be an integer"),
}


@pytest.mark.parametrize("what", BAD_VALUES)
def test_bad_value_is_refused(what):
    arguments, message = BAD_VALUES[what]
    with pytest.raises(ValueError, match=message):
        linear_regression(**arguments)


@pytest.mark.parametrize("what", BAD_TYPES)
def test_bad_type_is_refused(what):
    arguments, message = BAD_TYPES[what]
    with pytest.raises(TypeError, match=message):
        linear_regression(**arguments)


@pytest.mark.parametrize("size", [1e-200, 1e200])
@pytest.mark.parametrize(
    ("of_X", "of_Y", "message"),
    [
        (1, 0, "for x1; choose other units"),
        (0, 1, "for y; choose other units|too large to compute with"),
        (0.4, -0.4, "est coefficient; choose other units"),
    ],
    ids=["column", "response", "coefficient"],
)
def test_numbers_whose_squares_are_lost_are_refused(size, of_X, of_Y, message):
    with pytest.raises(ValueError, match=message):
        linear_regression(X * size**of_X, Y * size**of_Y)


@pytest.mark.parametrize("size", [1e-60, 1e60])
def test_units_do_not_matter(size):
    found = linear_regression(X * size, Y / size)
    np.testing.assert_allclose(found.pvalues, linear_regression(X, Y).pvalues, rtol=1e-12)


@pytest.mark.parametrize("method", ["qr", "svd", "cholesky"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted_by_column(method, bad):
    A, y = X.copy(), Y.copy()
    A[[3, 7], 1] = bad
    y[3] = bad
    message = (
        r"3 nan or infinite values in 2 of 40 rows, first in row 3: x2 \(2\), response y \(1\)"
    )
    with pytest.raises(ValueError, match=message):
        linear_regression(A, y, method=method)


def test_cholesky_says_why_it_refuses():
    near = np.column_stack([X, X[:, 0] + 1e-6 * X[:, 1] ** 2])
    with pytest.raises(ValueError, match=r"squares it to .*use method='qr'"):
        linear_regression(near, Y, method="cholesky")
    assert linear_regression(near, Y).rank == 5


def test_cholesky_refuses_dependent_columns():
    with pytest.raises(ValueError, match="method='cholesky' would be wrong"):
        linear_regression(np.column_stack([X, X[:, 0]]), Y, method="cholesky")


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (X[0], {}, r"3 columns of the fit, got 1 \(use X\[None, :\]"),
        ([[1.0, np.nan, 2.0]], {}, "1 nan or infinite values in 1 of 1 rows"),
        (X, {"interval": "tolerance"}, "interval must be one of confidence, prediction"),
        (X, {"interval": "prediction", "level": 95}, "level must be a finite number > 0 and < 1"),
    ],
    ids=["columns", "nan", "interval", "level"],
)
def test_bad_rows_to_predict_are_named(rows, options, message):
    with pytest.raises(ValueError, match=message):
        linear_regression(X, Y).predict(rows, **options)


BAD_BLOCKS = {
    "none at all": ([], "at least one block"),
    "another number of columns": ([(X, Y), (X[:, :2], Y)], "block 1: must have the columns"),
    "another number of responses": ([(X, Y), (X, np.c_[Y, Y])], "block 1: must have the 1 resp"),
    "weights in some": ([(X, Y), (X, Y, WEIGHTS)], "block 1: must have weights if"),
    "nan": ([(X, Y), (X, Y * np.nan)], "block 1: X and y must be finite, got 40"),
}


@pytest.mark.parametrize("what", BAD_BLOCKS)
def test_bad_block_is_named(what):
    blocks, message = BAD_BLOCKS[what]
    with pytest.raises(ValueError, match=message):
        linear_regression_blocks(iter(blocks))


def test_a_block_must_be_a_pair():
    with pytest.raises(TypeError, match=r"block 0: must be \(X, y\)"):
        linear_regression_blocks([X])
