"""Tables: other indexes are refused, and every function takes what linear_regression takes."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import stats

pd = pytest.importorskip("pandas")

N = 30
RNG = np.random.default_rng(3)
FRAME = pd.DataFrame(
    {"x": np.arange(float(N)), "b": RNG.integers(0, 2, N) == 1}, index=range(100, 100 + N)
)
Y = pd.Series(2 * FRAME.x + RNG.normal(size=N), name="y")
OTHER = Y.set_axis(range(N))  # the same values with another index


class Subclass(pd.DataFrame):
    @property
    def _constructor(self):
        return Subclass


class Plain:
    """A network whose output is the mean of its inputs."""

    def predict(self, X):
        return np.asarray(X, float).mean(axis=1)


MISALIGNED = {
    "y": lambda: stats.linear_regression(FRAME, OTHER),
    "y of a subclass": lambda: stats.linear_regression(Subclass(FRAME), OTHER),
    "weights": lambda: stats.linear_regression(FRAME, Y, weights=OTHER.abs() + 1),
    "weights beside an array": lambda: stats.linear_regression(
        FRAME.x.to_numpy(), Y, weights=OTHER.abs() + 1
    ),
    "order_by of data": lambda: stats.durbin_watson_test(FRAME, Y, order_by=OTHER),
    "order_by of a fit": lambda: stats.durbin_watson_test(
        stats.linear_regression(FRAME, Y), order_by=OTHER
    ),
    "Z": lambda: stats.breusch_pagan(stats.linear_regression(FRAME, Y), OTHER),
    "y of a report": lambda: stats.residual_report(Plain(), FRAME[["x"]], OTHER),
}


@pytest.mark.parametrize("what", MISALIGNED)
def test_another_index_is_refused(what):
    with pytest.raises(ValueError, match="must have the same index"):
        MISALIGNED[what]()


def test_a_key_with_the_same_index_orders_the_rows():
    shuffled = FRAME.sample(frac=1, random_state=0)
    y = Y.loc[shuffled.index]
    ordered = stats.durbin_watson_test(shuffled, y, order_by=shuffled.x)
    assert ordered.statistic == pytest.approx(stats.durbin_watson_test(FRAME, Y).statistic)


def test_a_subclass_of_data_frame_labels_the_results():
    result = stats.linear_regression(Subclass(FRAME), Y)
    assert list(result.coefficients.index) == ["intercept", "x", "b"]
    assert list(result.residuals.index) == list(FRAME.index)


def test_variables_of_a_variance_test_may_be_boolean_columns():
    result = stats.linear_regression(FRAME, Y)
    expected = stats.breusch_pagan(result, FRAME.to_numpy(float))
    assert stats.breusch_pagan(result, FRAME) == expected


def test_a_report_takes_boolean_columns():
    report = stats.residual_report(Plain(), FRAME, Y)
    expected = stats.residual_report(Plain(), FRAME.astype(float), Y)
    np.testing.assert_array_equal(report.network.residuals, expected.network.residuals)
    assert str(report) == str(expected)


def test_a_model_matrix_keeps_its_labels():
    formulaic = pytest.importorskip("formulaic")
    matrix = formulaic.model_matrix("x + b", FRAME)
    result = stats.linear_regression(matrix, Y, add_intercept=False)
    assert list(result.coefficients.index) == list(matrix.columns)
    assert list(result.residuals.index) == list(FRAME.index)
    expected = stats.linear_regression(FRAME, Y)
    np.testing.assert_allclose(result.coefficients, expected.coefficients, rtol=1e-12)
