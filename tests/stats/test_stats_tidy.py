"""Results as tables: `to_frame` and `glance`."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fastnn import stats

pytest.importorskip("pandas")
RNG = np.random.default_rng(5)
X = RNG.normal(size=(30, 2))
Y = X @ [1.0, -1.0] + RNG.normal(size=30)


def test_rows_of_terms_have_estimates_tests_and_intervals():
    result = stats.linear_regression(X, Y, cov_type="HC3")
    frame = result.to_frame(level=0.9)
    assert list(frame["term"]) == list(result.names)
    np.testing.assert_array_equal(frame["estimate"], result.coefficients)
    np.testing.assert_array_equal(frame["std_error"], result.standard_errors)
    np.testing.assert_array_equal(frame["statistic"], result.tvalues)
    np.testing.assert_array_equal(frame["p_value"], result.pvalues)
    np.testing.assert_array_equal(frame["upper"], result.confidence_intervals(0.9).upper)


def test_several_responses_follow_each_other():
    result = stats.linear_regression(X, np.c_[Y, Y**2])
    frame = result.to_frame()
    second = frame[frame["response"] == result.response_names[1]]
    np.testing.assert_array_equal(second["estimate"], result.coefficients[:, 1])
    np.testing.assert_array_equal(result.glance()["r_squared"], result.r_squared)


def test_glance_is_a_row_of_the_attributes():
    result = stats.linear_regression(X, Y)
    frame = result.glance()
    assert len(frame) == 1
    for name in frame:
        assert frame[name].iloc[0] == getattr(result, name)


def test_absent_pandas_is_named(monkeypatch):
    result = stats.linear_regression(X, Y)
    monkeypatch.setitem(sys.modules, "pandas", None)
    for make in (result.to_frame, result.glance, result.test("x1").to_frame):
        with pytest.raises(ImportError, match="pip install pandas"):
            make()
