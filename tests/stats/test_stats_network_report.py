"""A regression network beside its least-squares baseline."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import stats


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    X = rng.uniform(-2, 2, (300, 2))
    return X, np.sin(2 * X[:, 0]) + 0.3 * X[:, 1] + 0.05 * rng.normal(size=300)


@pytest.fixture
def net(data, backend):
    net = fnn.Sequential([fnn.Dense(2, 24, activation="tanh"), fnn.Dense(24, 1)], seed=1)
    net.compile(loss="mean_squared_error", optimizer=fnn.Adam(learning_rate=0.02))
    net.fit(*data, epochs=60, batch_size=50)
    return net


def test_report_compares_network_and_least_squares(net, data):
    X, y = data
    report = stats.residual_report(net, X, y)
    e = y - net.predict(X)[:, 0].astype(float)
    assert report.network.rmse == pytest.approx(np.sqrt(np.mean(e**2)), rel=1e-12)
    assert report.network.r2 == pytest.approx(1 - np.mean(e**2) / np.var(y), rel=1e-10)
    assert report.network.mean == pytest.approx(e.mean(), rel=1e-9)
    assert report.network.mae == pytest.approx(np.abs(e).mean(), rel=1e-12)
    b = np.linalg.lstsq(np.column_stack([np.ones(300), X]), y, rcond=None)[0]
    residuals = y - b[0] - X @ b[1:]
    np.testing.assert_allclose(report.baseline.residuals, residuals, atol=1e-12)
    expected = 1 - np.mean(e**2) / np.mean(residuals**2)
    assert report.gain == pytest.approx(expected, rel=1e-9)
    assert report.gain > 0.5


def test_exact_durbin_watson_p_value_stands_beside_the_baseline_only(net, data):
    report = stats.residual_report(net, *data)
    expected = stats.durbin_watson_test(report.regression)
    assert report.baseline.tests["Durbin-Watson"].pvalue == expected.pvalue
    assert "Durbin-Watson" not in report.network.tests
    d = np.sum(np.diff(report.network.residuals) ** 2) / np.sum(report.network.residuals**2)
    assert report.network.durbin_watson == pytest.approx(d, rel=1e-12)


def test_tests_are_those_of_the_residuals(net, data):
    report = stats.residual_report(net, *data, lags=7)
    for part in (report.network, report.baseline):
        assert [*part.tests["Ljung-Box"]] == [*stats.ljung_box(part.residuals, 7)]
        assert [*part.tests["runs"]] == [*stats.runs_test(part.residuals)]
        assert [*part.tests["Jarque-Bera"]] == [*stats.jarque_bera(part.residuals)]
    expected = stats.breusch_pagan(report.regression)
    np.testing.assert_allclose([*report.baseline.tests["Breusch-Pagan"]], [*expected], rtol=1e-9)


def test_a_baseline_of_other_rows_is_judged_on_these(net, data):
    X, y = data
    baseline = stats.linear_regression(X[:200], y[:200])
    report = stats.residual_report(net, X[200:], y[200:], baseline=baseline)
    np.testing.assert_allclose(
        report.baseline.predictions, baseline.coefficients[0] + X[200:] @ baseline.coefficients[1:]
    )
    assert not report.is_in_sample
    assert "Durbin-Watson" not in report.baseline.tests
    assert "fitted to these rows" not in str(report)


def test_report_prints_a_table_and_a_verdict(net, data):
    text = str(stats.residual_report(net, *data))
    assert "least squares" in text
    assert "Ljung-Box" in text
    assert "The network removes" in text
    assert "baseline was fitted to these rows" in text


def test_a_worse_network_is_told_so(data):
    X = data[0]
    net = fnn.Sequential([fnn.Dense(2, 4), fnn.Dense(4, 1)])
    y = 100 + X @ [1.0, 2.0] + 0.1 * np.random.default_rng(0).normal(size=300)
    report = stats.residual_report(net, X, y)
    assert "Least squares is better" in str(report)
    assert "runs" not in report.network.tests  # all residuals are positive


def test_plot_shows_both_models_on_the_same_scales(net, data):
    figure = stats.residual_report(net, *data).plot()
    axes = np.array(figure.axes).reshape(2, 4)
    for upper, lower in axes.T:
        assert upper.get_ylim() == lower.get_ylim()
        assert upper.get_xlabel()
        assert upper.get_ylabel()


def test_one_of_several_outputs_can_be_chosen(data):
    X, y = data
    net = fnn.Sequential([fnn.Dense(2, 3, activation="tanh"), fnn.Dense(3, 2)])
    report = stats.residual_report(net, X, np.column_stack([y, -y]), output=1)
    np.testing.assert_allclose(report.network.residuals, -y - net.predict(X)[:, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones(5), np.ones(5), "X must have shape"),
        (np.ones((5, 2)), np.ones(4), "y must have shape"),
        (np.ones((5, 2)), np.full(5, np.nan), "y must be finite, got 5"),
    ],
)
def test_bad_data_are_refused(X, y, message):
    net = fnn.Sequential([fnn.Dense(2, 1)])
    with pytest.raises(ValueError, match=message):
        stats.residual_report(net, X, y)


def test_a_network_with_several_outputs_is_refused():
    x = fnn.Input(2)
    net = fnn.Network(x, [fnn.Dense(2, 1)(x), fnn.Dense(2, 1)(x)])
    with pytest.raises(TypeError, match="single output"):
        stats.residual_report(net, np.eye(4, 2), np.ones(4))
