"""Statistics of layers: what they count, where activations are saturated, records of training."""

import json
import math

import exact
import mpmath
import numpy as np
import pytest

import fastnn as fnn
from fastnn.facts import activations

SATURATED = [
    row.name
    for row in activations.ROWS
    if row.name not in ("relu", "hard_swish")  # whose slope falls to 0 at a corner
    and (math.isfinite(row.flat_below) or math.isfinite(row.flat_above))
]


@pytest.fixture
def rng():
    return np.random.default_rng(2)


# ----------------------------------------------------------- where f' is flat


@pytest.mark.parametrize("name", SATURATED)
def test_saturation_begins_where_the_slope_is_a_twentieth_of_its_largest(name):
    def slope(z):
        return abs(mpmath.diff(lambda x: exact.value(name, x, 1.0), z))

    low, high = activations.flat_range(name)
    largest = max(slope(z) for z in (-1e-6, *(i / 20 + 1e-4 for i in range(-80, 400))))
    for bound in (low, high):
        if math.isfinite(bound):
            assert float(slope(bound) / largest) == pytest.approx(1 / 20, rel=1e-3)
            assert all(slope(bound * (1 + i / 10)) < largest / 20 for i in range(1, 30))


def test_piecewise_activations_are_flat_where_their_slope_is_0():
    assert activations.flat_range("relu") == (0, math.inf)
    assert activations.flat_range("hard_swish") == (-3, math.inf)
    assert activations.flat_range("binary_step") == (math.inf, math.inf)
    assert activations.flat_range("zero_indicator") == (math.inf, math.inf)
    assert activations.flat_range("identity") == (-math.inf, math.inf)


@pytest.mark.parametrize("name", activations.names())
def test_table_says_the_same(name):
    low, high = activations.flat_range(name)
    nowhere = activations.get(name).saturates == "nowhere"
    assert nowhere == (math.isinf(low) and low < 0 and math.isinf(high))


@pytest.mark.parametrize(
    ("name", "alpha", "expected"),
    [
        ("swish", 2.0, (-3.9299 / 2, math.inf)),
        ("swish", -1.0, (-math.inf, 3.9299)),
        ("swish", 0.0, (-math.inf, math.inf)),
        ("elu", 2.0, (math.log(1 / 20), math.inf)),
        ("elu", 0.5, (math.log(1 / 10), math.inf)),
        ("elu", 0.01, (0.0, math.inf)),
        ("elu", 0.0, (0.0, math.inf)),
        ("leaky_relu", 0.0, (0.0, math.inf)),
        ("leaky_relu", 0.3, (-math.inf, math.inf)),
    ],
)
def test_parameter_moves_the_range(name, alpha, expected):
    assert activations.flat_range(name, alpha) == pytest.approx(expected, rel=1e-4)


# ------------------------------------------------------------------ statistics


def test_moments_are_those_of_the_trace(backend, dtype, rng):
    net = fnn.Sequential([fnn.Dense(4, 5, "tanh"), fnn.Dense(5, 3)], dtype=dtype)
    net.compile("cross_entropy")
    X, y = rng.normal(size=(9, 4)), rng.integers(0, 3, 9)
    call, trace = net.layer_statistics(X, y)["dense_1"], net.trace(X, y)["dense_1"]
    for moments, array in ((call.A, trace.A), (call.dA, trace.dA)):
        numbers = array.astype(float)
        assert moments.mean == pytest.approx(numbers.mean())
        assert moments.std == pytest.approx(numbers.std())
        assert moments.norm == pytest.approx(math.sqrt((numbers**2).sum()))
        assert moments.rms == pytest.approx(math.sqrt((numbers**2).mean()))


def test_saturated_and_dead_units_are_counted(backend):
    """Pre-activations are x, x - 2 and x - 10 for x = -1, 1, 3, 5."""
    weight, bias = np.ones((1, 3)), [0.0, -2.0, -10.0]
    X, y = [[-1.0], [1.0], [3.0], [5.0]], np.zeros(4)
    counts = {}
    for function in ("relu", "tanh", "hard_swish", "identity"):
        net = fnn.Sequential([fnn.Dense(1, 3, function, weight=weight, bias=bias), fnn.Dense(3, 1)])
        net.compile("mean_squared_error")
        call = net.layer_statistics(X, y)["dense_1"]
        counts[function] = (call.saturated, call.dead)
    assert counts["relu"] == ((1 + 2 + 4) / 12, 1)
    assert counts["tanh"] == ((2 + 2 + 4) / 12, 0)
    assert counts["hard_swish"] == ((0 + 1 + 4) / 12, 1)
    assert counts["identity"] == (None, None)


def test_activation_layers_are_judged_by_their_input(backend):
    net = fnn.Sequential([fnn.Dense(1, 2, weight=[[1, -1]]), fnn.ReLU(), fnn.Dense(2, 1)])
    net.compile("mean_squared_error")
    statistics = net.layer_statistics([[1.0], [2.0]], [0.0, 0.0])
    assert statistics["dense_1"].saturated is None
    assert (statistics["relu_1"].saturated, statistics["relu_1"].dead) == (0.5, 1)


def test_vanishing_gradient_is_seen(backend, rng):
    layers = [fnn.Dense(4, 20, "sigmoid"), *(fnn.Dense(20, 20, "sigmoid") for _ in range(5))]
    net = fnn.Sequential([*layers, fnn.Dense(20, 3)])
    net.compile("cross_entropy")
    statistics = net.layer_statistics(rng.normal(size=(50, 4)), rng.integers(0, 3, 50))
    slopes = [statistics[f"dense_{i}"].dA.rms for i in range(1, 8)]
    assert slopes == sorted(slopes)
    assert slopes[0] < slopes[-1] / 300


def test_norms_and_ratios_of_parameters(backend):
    net = fnn.Sequential([fnn.Dense(1, 2, weight=[[3, 4]]), fnn.Dense(2, 1, trainable=False)])
    net.compile("mean_squared_error", fnn.GradientDescent(0.5))
    statistics, trace = net.layer_statistics([[1.0]], [0.0]), net.trace([[1.0]], [0.0])
    gradient = np.linalg.norm(trace.parameters["dense_1.weight"].gradient)
    weight = statistics.parameters["dense_1.weight"]
    assert weight.norm == 5
    assert weight.gradient == pytest.approx(gradient)
    assert weight.gradient_ratio == pytest.approx(gradient / 5)
    assert weight.update_ratio == pytest.approx(gradient / 10, rel=1e-6)
    assert statistics.parameters["dense_1.bias"].update_ratio == math.inf
    frozen = statistics.parameters["dense_2.weight"]
    assert (frozen.gradient, frozen.gradient_ratio, frozen.update_ratio) == (None, None, 0.0)


def test_tables_show_calls_and_parameters(backend):
    net = fnn.Sequential([fnn.Dense(1, 2, "relu", weight=[[1, -1]]), fnn.Dense(2, 1)])
    net.compile("mean_squared_error")
    rows = [line.split() for line in str(net.layer_statistics([[1.0]], [0.0])).splitlines()]
    row = next(row for row in rows if row[:2] == ["dense_1", "relu"])
    assert row[2:5] == ["2", "0.5", "0.5"]
    assert row[6:] == ["50.0%", "1"]
    assert any(row[:2] == ["dense_1.weight", "1.41"] for row in rows)


def test_statistics_survive_json(backend):
    net = fnn.Sequential([fnn.Dense(1, 1, "tanh")])
    net.compile("mean_squared_error")
    data = json.loads(json.dumps(net.layer_statistics([[1.0]], [0.0]).to_dict()))
    assert data["calls"]["dense_1"]["function"] == "tanh"
    assert set(data["parameters"]) == {"dense_1.weight", "dense_1.bias"}


def test_unknown_call_lists_those_there_are(backend):
    net = fnn.Sequential([fnn.Dense(1, 1)])
    with pytest.raises(RuntimeError, match="call compile"):
        net.layer_statistics([[1.0]], [0.0])
    net.compile("mean_squared_error")
    with pytest.raises(KeyError, match="no call 'x' in the statistics; they have 'input_1'"):
        net.layer_statistics([[1.0]], [0.0])["x"]


# --------------------------------------------------------------------- records


X, Y = np.linspace(-1, 1, 8)[:, None], np.zeros(8)


def trained(monitor=None):
    net = fnn.Sequential([fnn.Dense(1, 3, "tanh"), fnn.Dense(3, 1)])
    net.compile("mean_squared_error")
    net.fit(X, Y, epochs=4, callbacks=monitor)
    return net


def test_monitor_records_every_epoch(backend):
    monitor = fnn.LayerMonitor(X, Y)
    net = trained(monitor)
    assert monitor.epochs == [1, 2, 3, 4]
    assert monitor.records[-1].loss == net.layer_statistics(X, Y).loss
    assert monitor.records[0].loss > monitor.records[-1].loss


def test_monitor_does_not_disturb_training(backend):
    watched, alone = trained(fnn.LayerMonitor(X, Y)), trained()
    np.testing.assert_array_equal(watched.get_flat(), alone.get_flat())


def test_records_go_on_until_epochs_start_again(backend):
    monitor = fnn.LayerMonitor(X, Y, every=2)
    net = trained(monitor)
    net.fit(X, Y, epochs=3, callbacks=monitor)
    assert monitor.epochs == [2, 4, 6]
    net.compile("mean_squared_error")
    net.fit(X, Y, epochs=2, callbacks=monitor)
    assert monitor.epochs == [2]


def test_monitor_refuses_unfit_samples_before_the_first_epoch(backend):
    net = fnn.Sequential([fnn.Dense(1, 1)])
    net.compile("mean_squared_error")
    with pytest.raises(ValueError, match=r"X must have shape \(N, 1\), got \(8, 2\)"):
        net.fit(X, Y, callbacks=fnn.LayerMonitor(np.ones((8, 2)), Y))
    assert net.history.epochs == 0


def test_monitor_takes_whole_epochs():
    with pytest.raises(ValueError, match="every must be an integer >= 1, got 0"):
        fnn.LayerMonitor([[1.0]], [1.0], every=0)


# -------------------------------------------------------------------- pictures


def test_picture_of_a_step_has_a_bar_for_each_call(backend):
    plot = pytest.importorskip("fastnn.plot")
    pytest.importorskip("matplotlib")
    statistics = trained().layer_statistics(X, Y)
    slopes = plot.layer_statistics(statistics).axes[1]
    assert [tick.get_text() for tick in slopes.get_xticklabels()] == list(statistics)
    heights = [bar.get_height() for bar in slopes.patches]
    assert heights == pytest.approx([call.dA.rms for call in statistics.values()])
    assert slopes.get_yscale() == "log"


def test_picture_of_a_training_has_a_line_for_each_activation(backend, tmp_path):
    plot = pytest.importorskip("fastnn.plot")
    pytest.importorskip("matplotlib")
    monitor = fnn.LayerMonitor(X, Y)
    trained(monitor)
    figure = plot.layer_statistics(monitor, tmp_path / "layers.png")
    line = figure.axes[1].lines[0]
    assert line.get_label() == "dense_1"
    assert list(line.get_xdata()) == [1, 2, 3, 4]
    assert list(line.get_ydata()) == [record["dense_1"].dA.rms for record in monitor.records]
    assert (tmp_path / "layers.png").stat().st_size > 0


def test_picture_needs_something_to_show():
    plot = pytest.importorskip("fastnn.plot")
    pytest.importorskip("matplotlib")
    with pytest.raises(TypeError, match="must be LayerStatistics or a LayerMonitor, got dict"):
        plot.layer_statistics({})
    with pytest.raises(ValueError, match="have no records"):
        plot.layer_statistics(fnn.LayerMonitor([[1.0]], [1.0]))
