"""The Durbin-Watson statistic and its test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from quadratic_forms import difference_matrix, imhof, residual_eigenvalues

from fastnn.stats import (
    durbin_watson,
    durbin_watson_pvalue,
    durbin_watson_test,
    linear_regression,
)
from fastnn.stats.diagnostics.durbin_watson.quadratic_forms import ResidualLaw
from fastnn.stats.diagnostics.durbin_watson.tail import tail

# A published example whose own residuals are not those of least squares.
X10 = np.array([48.9, 50.4, 52.9, 55, 56.8, 58.8, 61.2, 62.5, 64.7, 68])
Y10 = np.array([40.8, 42.5, 44.9, 46.1, 47.4, 49.1, 51.5, 53.5, 54.2, 57.3])
E10 = np.array([0.172, 0.392, 0.27, -0.28, -0.73, -0.99, -0.93, -0.2, -0.64, 0.9])

# Population of the United States in millions, 1790 to 2000, as in SAS/STAT's example.
POPULATION = np.array(
    [3.929, 5.308, 7.239, 9.638, 12.866, 17.069, 23.191, 31.443, 39.818, 50.155, 62.947,
     75.994, 91.972, 105.710, 122.775, 131.669, 151.325, 179.323, 203.211, 226.542, 248.710,
     281.422]
)  # fmt: skip
YEAR = 1790 + 10 * np.arange(22.0)


def by_hand(e, axis=0, lag=1):
    e = np.moveaxis(np.asarray(e, np.longdouble), axis, 0)
    return (np.square(e[lag:] - e[:-lag]).sum(0) / np.square(e).sum(0)).astype(float)


# ----------------------------------------------------------------------------- statistic


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_statistic_of_any_shape_layout_axis_and_lag(data):
    dtype = data.draw(st.sampled_from([np.float32, np.float64]), "dtype")
    shape = tuple(data.draw(st.lists(st.integers(3, 5), min_size=1, max_size=4), "shape"))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1), "axis")
    lag = data.draw(st.integers(1, shape[axis] - 1), "lag")
    numbers = st.floats(0.5, 8, width=16)
    e = data.draw(arrays(dtype, shape, elements=numbers), "e")
    for view in (e, np.asfortranarray(e), np.repeat(e, 2, axis=0)[::2], e[::-1], e.T.copy().T):
        np.testing.assert_allclose(
            durbin_watson(view, axis, lag), by_hand(view, axis, lag), rtol=1e-13
        )


@pytest.mark.parametrize("n", [2, 15, 16, 17, 33, 2047, 2048, 2049, 5000, 100_001])
def test_statistic_of_any_length(backend, dtype, n):
    e = np.random.default_rng(n).standard_normal(n).astype(dtype)
    for lag in {1, min(3, n - 1), n // 2}:
        assert durbin_watson(e, lag=lag) == pytest.approx(by_hand(e, lag=lag), rel=2e-15)


def test_statistic_of_columns_in_one_call(backend, dtype):
    e = np.random.default_rng(0).standard_normal((3000, 7)).astype(dtype)
    np.testing.assert_allclose(durbin_watson(e), by_hand(e), rtol=2e-15)
    np.testing.assert_allclose(durbin_watson(e.T, axis=1), by_hand(e), rtol=2e-15)


def test_statistic_is_that_of_statsmodels(backend):
    stattools = pytest.importorskip("statsmodels.stats.stattools")
    e = np.random.default_rng(0).standard_normal((50, 3))
    np.testing.assert_allclose(durbin_watson(e), stattools.durbin_watson(e), rtol=1e-14)


def test_large_offset_costs_no_digits(backend):
    """Differences of numbers that are nearly equal are exact; sums of squares do not cancel."""
    e = 1e8 + np.random.default_rng(0).standard_normal(10_000)
    assert durbin_watson(e) == pytest.approx(by_hand(e), rel=1e-14)


@pytest.mark.parametrize("factor", [1e-300, 1e-170, 1e170, 1e300])
def test_size_of_residuals_does_not_matter(backend, factor):
    assert durbin_watson(E10 * factor) == pytest.approx(durbin_watson(E10), rel=1e-14)


def test_integers_lists_and_series_are_taken(backend):
    pandas = pytest.importorskip("pandas")
    for e in ([1, -1, 1, -1], np.array([1, -1, 1, -1], np.int8), pandas.Series([1, -1, 1, -1.0])):
        assert durbin_watson(e) == 3.0


def test_residuals_are_not_changed(backend):
    e = E10 * 1e200
    before = e.copy()
    durbin_watson(e)
    np.testing.assert_array_equal(e, before)


@pytest.mark.parametrize(
    ("residuals", "options", "message"),
    [
        (np.zeros(5), {}, "all zero: the Durbin-Watson statistic, 0 / 0, is undefined"),
        (np.eye(3)[:, :2] * [1, 0], {}, r"all zero at \(0, 1\)"),
        ([1.0, np.nan, 2.0], {}, r"residuals must be finite, got residuals\[1\] = nan"),
        ([1.0, np.inf, 2.0], {}, r"residuals must be finite, got residuals\[1\] = inf"),
        ([1.0], {}, "more than lag = 1 elements along axis 0, got 1"),
        ([1.0, 2.0, 3.0], {"lag": 3}, "more than lag = 3 elements"),
        ([1.0, 2.0], {"lag": 0}, "lag must be an integer >= 1"),
        ([1.0, 2.0], {"axis": 1}, "axis must be an integer from -1 to 0, got 1"),
        (3.0, {}, "at least 1 dimension"),
    ],
)
def test_bad_residuals_are_refused(backend, residuals, options, message):
    with pytest.raises(ValueError, match=message):
        durbin_watson(residuals, **options)


def test_residuals_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError, match="residuals must hold real numbers"):
        durbin_watson(["a", "b"])


# ------------------------------------------------------------------- published examples


def test_published_example_of_ten_observations(backend):
    fit = linear_regression(X10, Y10)
    result = durbin_watson_test(X10, Y10)
    np.testing.assert_allclose(fit.coefficients, [-0.74394, 0.85418], atol=5e-6)
    assert fit.residual_sum_of_squares == pytest.approx(1.44320, abs=5e-6)
    assert result.statistic == pytest.approx(2.10488, abs=5e-6)
    assert durbin_watson(E10) == pytest.approx(0.94097, abs=5e-6)


def test_sas_example_of_the_population_of_the_united_states(backend):
    """SAS/STAT 9.2 User's Guide, PROC REG, DWPROB: d = 1.191, Pr < DW = 0.0050."""
    result = durbin_watson_test(
        np.column_stack([YEAR, YEAR**2]), POPULATION, alternative="positive"
    )
    assert result.statistic == pytest.approx(1.191, abs=5e-4)
    assert result.pvalue == pytest.approx(0.0050, abs=5e-5)


@pytest.mark.parametrize(("d", "p"), [(1.9762, 0.4924), (1.9101, 0.3621)])
def test_example_of_lmtest(backend, d, p):
    """dwtest(y ~ rep(c(-1, 1), 50)), in lmtest's reference output, by a normal approximation."""
    x = np.tile([-1.0, 1.0], 50)
    result = durbin_watson_pvalue(d, x, alternative="positive")
    assert result.pvalue == pytest.approx(p, abs=1.5e-3)


# ---------------------------------------------------------------------------------- test


def test_alternatives_are_the_two_tails_and_twice_the_smaller(backend):
    results = {
        a: durbin_watson_test(X10, Y10, alternative=a)
        for a in ("positive", "negative", "two-sided")
    }
    expected = imhof(
        residual_eigenvalues(np.column_stack([np.ones(10), X10])), results["positive"].statistic
    )
    assert results["positive"].pvalue == pytest.approx(expected, abs=1e-12)
    assert results["positive"].pvalue + results["negative"].pvalue == 1.0
    assert results["two-sided"].pvalue == 2 * min(
        results["positive"].pvalue, results["negative"].pvalue
    )


def test_result_has_scipys_fields_and_unpacks(backend):
    result = durbin_watson_test(X10, Y10)
    statistic, pvalue = result
    assert (statistic, pvalue) == (result.statistic, result.pvalue)


def test_result_knows_what_was_tested(backend):
    result = durbin_watson_test(X10, Y10)
    assert (result.alternative, result.lag, result.n, result.k) == ("two-sided", 1, 10, 1)
    assert result.has_intercept


def test_result_bounds_its_error(backend):
    assert 0 < durbin_watson_test(X10, Y10).error < 1e-12


def test_result_prints_statistic_and_sizes(backend):
    text = str(durbin_watson_test(X10, Y10))
    assert "d = 2.10488" in text
    assert "10 observations, 1 regressor and an intercept" in text


def test_fitted_regression_gives_the_same_test(backend):
    of_arrays = durbin_watson_test(X10, Y10)
    of_result = durbin_watson_test(linear_regression(X10, Y10))
    assert of_result.statistic == pytest.approx(of_arrays.statistic, rel=1e-10)
    assert of_result.pvalue == pytest.approx(of_arrays.pvalue, rel=1e-9)


@pytest.mark.parametrize("lag", [2, 4, 5])
def test_generalised_statistic_has_its_own_law(backend, lag):
    rng = np.random.default_rng(lag)
    X, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    result = durbin_watson_test(X, y, lag=lag, alternative="positive")
    design = np.column_stack([np.ones(20), X])
    e = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    d = e @ difference_matrix(20, lag) @ e / (e @ e)
    assert result.statistic == pytest.approx(d, rel=1e-12)
    assert result.pvalue == pytest.approx(imhof(residual_eigenvalues(design, lag), d), abs=1e-10)


def test_weights_are_those_of_the_transformed_regression(backend):
    rng = np.random.default_rng(0)
    X, y, w = rng.standard_normal((15, 2)), rng.standard_normal(15), rng.uniform(0.5, 2, 15)
    weighted = durbin_watson_test(linear_regression(X, y, weights=w))
    root = np.sqrt(w)
    plain = durbin_watson_test(
        np.column_stack([root, X * root[:, None]]), y * root, add_intercept=False
    )
    assert weighted.statistic == pytest.approx(plain.statistic, rel=1e-12)
    assert weighted.pvalue == pytest.approx(plain.pvalue, rel=1e-10)
    assert not weighted.has_intercept


def test_dependent_columns_do_no_harm(backend):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    dependent = np.column_stack([X, X[:, 0] - X[:, 1], np.full(20, 3.0), np.zeros(20)])
    expected, result = durbin_watson_test(X, y), durbin_watson_test(dependent, y)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert result.pvalue == pytest.approx(expected.pvalue, rel=1e-10)
    assert (result.k, result.has_intercept) == (2, True)


def test_units_of_columns_do_not_matter(backend):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    scaled = durbin_watson_test(X * [1e-200, 1.0, 1e200], y)
    assert scaled.pvalue == pytest.approx(durbin_watson_test(X, y).pvalue, rel=1e-10)


def test_integer_and_boolean_columns_are_taken(backend):
    X = np.column_stack([np.arange(12), np.arange(12) % 3 == 0])
    y = np.random.default_rng(0).integers(0, 100, 12)
    result = durbin_watson_test(X, y)
    assert result.pvalue == durbin_watson_test(X.astype(float), y.astype(float)).pvalue
    assert durbin_watson_test(X[:, 1] > 0, y).k == 1


def test_reference_and_compiled_agree():
    from fastnn import backend as backends

    if len(backends.available()) < 2:
        pytest.skip("nothing compiled here")
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((500, 4)), rng.standard_normal(500)
    results = []
    for name in backends.available():
        with backends.use(name):
            results.append(durbin_watson_test(X, y).pvalue)
    assert results[0] == pytest.approx(results[1], rel=1e-12)


def test_statistic_at_the_end_of_its_support(backend):
    """Residuals -1, 0, 1 have d = 1, the least there is: p = 0, or a rounding error from it."""
    result = durbin_watson_test(np.ones((3, 1)), [0.0, 1.0, 2.0], alternative="positive")
    assert result.statistic == pytest.approx(1.0)
    assert result.pvalue <= result.error < 1e-5


def test_elimination_that_loses_digits_gives_way_to_eigenvalues(backend):
    """Dummies for all but eight observations, and a statistic next to the end of its support."""
    order = [26, 37, 2, 32, 18, 14, 22, 6, 4, 36, 33, 12, 24, 1, 27, 23, 3, 5, 17, 35, 19, 13, 20]
    order += [21, 29, 8, 31, 28, 9, 15]
    X, d = np.ascontiguousarray(np.eye(38)[:, order]), 1.9999999691318069
    with pytest.raises(ArithmeticError, match="did not converge"):
        tail(ResidualLaw(X, 2), d)
    result = durbin_watson_pvalue(d, X, lag=2, add_intercept=False, alternative="negative")
    expected = 1 - imhof(residual_eigenvalues(X, 2), d)
    assert result.pvalue == pytest.approx(expected, rel=1e-9)
    assert result.error < 1e-9


# --------------------------------------------------------------------------------- order


def test_order_by_puts_observations_in_order(backend):
    shuffled = np.random.default_rng(0).permutation(10)
    result = durbin_watson_test(X10[shuffled], Y10[shuffled], order_by=shuffled)
    assert result.pvalue == pytest.approx(durbin_watson_test(X10, Y10).pvalue, rel=1e-10)


def test_order_by_holds_for_a_fitted_regression(backend):
    shuffled = np.random.default_rng(0).permutation(10)
    fit = linear_regression(X10[shuffled], Y10[shuffled], weights=X10[shuffled])
    expected = durbin_watson_test(linear_regression(X10, Y10, weights=X10))
    result = durbin_watson_test(fit, order_by=shuffled)
    assert result.pvalue == pytest.approx(expected.pvalue, rel=1e-10)


def test_order_by_takes_times_and_names_of_columns(backend):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"x": X10, "year": np.arange(10)})
    shuffled = table.sample(frac=1, random_state=0)
    y = pandas.Series(Y10)[shuffled.index]
    expected = durbin_watson_test(table, Y10).pvalue
    by_name = durbin_watson_test(shuffled, y, order_by="year")
    times = np.datetime64("2020-01-01") + shuffled.index.to_numpy()
    by_time = durbin_watson_test(shuffled, y, order_by=times)
    assert by_name.pvalue == pytest.approx(expected, rel=1e-10)
    assert by_time.pvalue == pytest.approx(expected, rel=1e-10)


def test_ties_in_order_by_are_warned_about(backend):
    with pytest.warns(UserWarning, match="order_by has 2 ties"):
        durbin_watson_test(X10, Y10, order_by=[0, 0, 1, 2, 3, 4, 5, 6, 7, 7])


def test_unsorted_time_index_is_warned_about(backend):
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2020", periods=10)[::-1]
    X, y = pandas.DataFrame({"x": X10}, index), pandas.Series(Y10, index)
    with pytest.warns(UserWarning, match="time index of the data is not sorted"):
        durbin_watson_test(X, y)
    with pytest.warns(UserWarning, match="time index of the data is not sorted"):
        durbin_watson_test(linear_regression(X, y))
    durbin_watson_test(X, y, order_by=index)  # says its order, and is not warned


@pytest.mark.parametrize(
    ("order_by", "error", "message"),
    [
        ([1, 2], ValueError, r"order_by must have shape \(10,\), got \(2,\)"),
        ([np.nan, *range(9)], ValueError, "order_by must not hold missing values"),
        ("year", ValueError, "order_by must be an array or name one of intercept, x1, got 'year'"),
        (list("abcdefghij"), TypeError, "order_by must hold real numbers"),
    ],
)
def test_bad_order_is_refused(order_by, error, message):
    with pytest.raises(error, match=message):
        durbin_watson_test(X10, Y10, order_by=order_by)


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("lag", [1, 2, 4])
def test_lagged_response_is_refused(backend, lag):
    series = np.cumsum(np.random.default_rng(0).standard_normal(40))
    X = np.column_stack([np.arange(40 - lag), series[:-lag]])
    with pytest.raises(ValueError, match=f"'x2' of X is the response of {lag} row.* durbin_h"):
        durbin_watson_test(X, series[lag:])
    with pytest.raises(ValueError, match="use durbin_h"):
        durbin_watson_test(linear_regression(X, series[lag:]))
    assert durbin_watson_test(X, series[lag:], allow_lagged_response=True).pvalue < 1


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.vander(range(4), 6), np.arange(4.0), "at least two rows more than independent col"),
        (np.arange(3.0), np.array([1.0, 0, 2]), "got 3 rows and rank 2"),
        (X10, 2 * X10 + 1, "residuals are zero to rounding: the fit is perfect"),
        (X10, np.full(10, 7.0), "residuals are zero to rounding"),
        (X10, np.zeros(10), "residuals are zero to rounding"),
        (X10, np.where(X10 > 60, np.nan, Y10), "must be finite, got 4 nan"),
        (np.where(X10 > 60, np.inf, X10), Y10, "must be finite"),
        (X10[:5], Y10, "as many rows, got 5 and 10"),
        (X10, np.column_stack([Y10, Y10]), "y must have one column, got 2"),
    ],
)
def test_bad_data_are_refused(backend, X, y, message):
    with pytest.raises(ValueError, match=message):
        durbin_watson_test(X, y)


def test_columns_of_zeros_alone_are_refused():
    with pytest.raises(ValueError, match="a column that is not zero"):
        durbin_watson_test(np.zeros((10, 2)), Y10, add_intercept=False)


def test_results_the_test_has_no_law_for_are_refused():
    with pytest.raises(ValueError, match="ridge regression"):
        durbin_watson_test(linear_regression(X10, Y10, ridge=1.0))
    with pytest.raises(ValueError, match="has 2 responses, expected one"):
        durbin_watson_test(linear_regression(X10, np.column_stack([Y10, X10**2])))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((X10,), {}, TypeError, "y must be given"),
        ((X10, Y10), {"alternative": "less"}, ValueError, "alternative must be one of two-sided"),
        ((X10, Y10), {"lag": 10}, ValueError, "lag"),
        ((X10, Y10), {"add_intercept": "no"}, TypeError, "add_intercept must be True or False"),
    ],
)
def test_bad_options_are_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        durbin_watson_test(*arguments, **options)


@pytest.mark.parametrize(
    ("options", "surplus"),
    [
        ({"y": Y10}, "y"),
        ({"add_intercept": False}, "add_intercept"),
        ({"y": Y10, "add_intercept": False}, "y, add_intercept"),
    ],
)
def test_what_belongs_to_arrays_is_refused_with_a_result(options, surplus):
    with pytest.raises(TypeError, match=f"^{surplus} must be left out"):
        durbin_watson_test(linear_regression(X10, Y10), **options)


@pytest.mark.parametrize("statistic", [-0.1, 4.1, np.nan])
def test_statistic_out_of_range_is_refused(statistic):
    with pytest.raises(ValueError, match="statistic must be a finite number >= 0 and <= 4"):
        durbin_watson_pvalue(statistic, X10)
