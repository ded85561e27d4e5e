"""Predictors with products of eight bits: what they compute, report and refuse."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from custom_layers import Centering
from scipy.sparse import csr_array

import fastnn as fnn
from fastnn import backend as backends
from fastnn.backend import quantization


def wide(activation="relu", seed=0, n_out=32):
    """A network whose products are all large enough."""
    layers = [fnn.Dense(64, 96, activation=activation), fnn.Dense(96, n_out)]
    return fnn.Sequential(layers, seed=seed)


def samples(n, width=64, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def branches():
    """Two inputs, a shared layer, merges, dropout, layer norm, two heads with names."""
    a, b = fnn.Input(64, name="a"), fnn.Input(64, name="b")
    shared = fnn.Dense(64, 64, activation="tanh", name="shared")
    left, right = shared(a), shared(b)
    joint = fnn.Concatenate()([fnn.Multiply()([left, right]), fnn.Dropout(0.3)(left)])
    normal = fnn.LayerNorm(128)(joint)
    heads = {
        "y": fnn.Dense(128, 40, name="first")(normal),
        "z": fnn.Dense(128, 2, name="second")(normal),
    }
    net = fnn.Network([a, b], heads)
    net.compile({"y": "mean_squared_error", "z": "cross_entropy"})
    return net


def two_inputs(n=50):
    return {"a": samples(n), "b": samples(n, seed=1)}


# ------------------------------------------------------------------ what it computes


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_it_is_near_the_network(backend, activation):
    net, x = wide(activation), samples(200)
    expected = net.predict(x)
    difference = np.abs(net.predictor("int8", calibrate=x)(x) - expected)
    assert 0 < difference.mean() < 0.02 * expected.std()


def test_the_formula_of_a_single_product(backend):
    net, x = fnn.Sequential([fnn.Dense(70, 33)]), samples(40, 70)
    net.layers[0].bias[...] = np.arange(33)
    predictor = net.predictor("int8", calibrate=x)
    product = predictor.report.products[0]
    rule = {"low": product.low, "high": product.high} if product.ranges == "tensor" else {}
    codes, scales = quantization.quantized_rows(x, rule)
    weights = quantization.quantized_weight(net.layers[0].weight)
    sums = codes.astype(np.int64) @ weights.codes.astype(np.int64)
    expected = sums.astype(np.float32) * (scales * weights.scales) + net.layers[0].bias
    np.testing.assert_array_equal(predictor(x), expected)


def test_all_backends_have_the_same_bits():
    net, x = wide(), samples(301)
    results = []
    for name in backends.available():
        with backends.use(name):
            copy = wide()
            copy.set_flat(net.get_flat())
            results.append(copy.predictor("int8", calibrate=x)(x))
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_a_row_alone_has_the_bits_of_the_batch(backend):
    net, x = wide("tanh"), samples(129)
    predictor = net.predictor("int8", calibrate=x)
    whole = predictor(x)
    for i in (0, 77, 128):
        np.testing.assert_array_equal(predictor(x[i]), whole[i])
    np.testing.assert_array_equal(predictor(x[5:22]), whole[5:22])


def test_the_number_of_threads_changes_no_bit(backend):
    net, x = wide(), samples(3000)
    predictor = net.predictor("int8", calibrate=x[:100])
    with backends.at_most_threads(1):
        alone = predictor(x)
    np.testing.assert_array_equal(predictor(x), alone)


def test_nan_and_inf_make_their_row_nan(backend):
    net, x = wide(), samples(20)
    predictor = net.predictor("int8", calibrate=x)
    expected = predictor(x)
    x[3, 5], x[17, 0] = np.nan, np.inf
    result = predictor(x)
    assert np.flatnonzero(np.isnan(result).all(axis=1)).tolist() == [3, 17]
    others = np.delete(np.arange(20), [3, 17])
    np.testing.assert_array_equal(result[others], expected[others])


def test_graphs_with_merges_dropout_norms_and_heads(backend):
    net, x = branches(), two_inputs()
    predictor = net.predictor("int8", calibrate=x)
    expected, result = net.predict(x), predictor(x)
    for name in ("y", "z"):
        assert np.abs(result[name] - expected[name]).mean() < 0.05 * expected[name].std()
    precisions = {p.name: p.precision for p in predictor.report.products}
    assert list(precisions.values()) == ["int8", "int8", "int8", "float32"]


def test_custom_layers_see_float32(backend):
    layers = [fnn.Dense(64, 64, activation="relu"), Centering(), fnn.Dense(64, 32)]
    net, x = fnn.Sequential(layers), samples(60)
    result, expected = net.predictor("int8", calibrate=x)(x), net.predict(x)
    assert np.abs(result - expected).mean() < 0.02 * expected.std()


def test_a_sparse_calibration(backend):
    x = samples(60)
    x[np.abs(x) < 1] = 0
    net = wide()
    dense, sparse = (net.predictor("int8", calibrate=rows) for rows in (x, csr_array(x)))
    np.testing.assert_array_equal(dense(x), sparse(x))


def test_training_on_changes_nothing(backend):
    net, x = wide(), samples(50)
    predictor = net.predictor("int8", calibrate=x)
    before = predictor(x)
    net.set_flat(np.zeros(net.n_parameters))
    np.testing.assert_array_equal(predictor(x), before)


def test_a_pickle_has_its_bits_and_its_report(backend):
    net, x = branches(), two_inputs()
    predictor = net.predictor("int8", calibrate=x)
    copy = pickle.loads(pickle.dumps(predictor))
    assert copy.report == predictor.report
    for name, output in predictor(x).items():
        np.testing.assert_array_equal(copy(x)[name], output)


# ------------------------------------------------------------------------- the report


def test_it_measures_the_change_of_the_outputs(backend):
    net, x = wide(), samples(5000)
    predictor = net.predictor("int8", calibrate=x)
    difference = np.abs(predictor(x).astype(float) - net.predict(x))
    (change,) = predictor.report.outputs
    assert predictor.report.n_rows == 5000
    assert change.largest == pytest.approx(difference.max(), rel=1e-6)
    assert change.mean == pytest.approx(difference.mean(), rel=1e-6)


def test_it_measures_the_change_of_the_scores(backend):
    net, x = wide(n_out=64), samples(300)
    net.compile("cross_entropy")
    labels = net.predict(x).argmax(axis=1)
    report = net.predictor("int8", calibrate=x, y=labels).report
    assert report.before == net.evaluate(x, labels)
    assert report.after["accuracy"] < 1 or report.after["loss"] != report.before["loss"]


def test_the_better_ranges_are_chosen(backend):
    rng = np.random.default_rng(0)
    rows = np.abs(samples(200)) * 10.0 ** rng.uniform(-3, 3, size=(200, 1)).astype(np.float32)
    net = fnn.Sequential([fnn.Dense(64, 64)])
    for product in net.predictor("int8", calibrate=rows).report.products:
        assert product.errors[product.ranges] == min(product.errors.values())
        assert set(product.errors) == {"row", "tensor"}
        assert (product.low, product.high) == (0, pytest.approx(rows.max()))


def test_it_says_what_stays_float32(backend):
    layers = [fnn.Dense(10, 64), fnn.Dense(64, 64), fnn.Dense(64, 64), fnn.Dense(64, 3)]
    net = fnn.Sequential(layers)
    report = net.predictor("int8", calibrate=samples(20, 10), keep=["dense_2"]).report
    assert [p.precision for p in report.products] == ["float32", "float32", "int8", "float32"]
    small = "small: no faster in int8"
    assert [p.reason for p in report.products] == [small, "kept", "", small]
    assert report.share == pytest.approx(64 * 64 / (64 * (10 + 64 + 64 + 3)))


def test_kept_layers_keep_their_bits(backend):
    net, x = wide(), samples(30)
    predictor = net.predictor("int8", calibrate=x, keep=[0, -1])
    np.testing.assert_array_equal(predictor(x), net.predict(x))


def test_it_is_text_and_data(backend):
    net, x = wide(n_out=64), samples(100)
    net.compile("cross_entropy")
    report = net.predictor("int8", calibrate=x, y=np.zeros(100, int)).report
    data = json.loads(json.dumps(report.as_dict()))
    assert fnn.PrecisionReport.from_dict(data) == report
    text = str(report)
    for part in ("int8 for 100.0%", "64 x 96", "largest change", "accuracy"):
        assert part in text


def test_a_predictor_without_precision_has_no_report(backend):
    assert wide().predictor().report is None


def test_the_predictor_names_its_precision(backend):
    predictor = wide().predictor("int8", calibrate=samples(9))
    assert repr(predictor) == "<Predictor 64 -> 32, int8>"


# -------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "needs calibrate"),
        (np.zeros((5, 63)), r"calibrate must have shape \(N, 64\)"),
        (np.zeros((0, 64)), "calibrate must have at least one row"),
        (np.full((5, 64), np.nan), "calibrate.*nan"),
        (np.full((5, 64), np.inf), "calibrate.*inf"),
        (np.full((5, 64), 1e39), "calibrate.*range of float32|calibrate.*1e"),
    ],
)
def test_calibrations_that_do_not_fit(backend, rows, message):
    with pytest.raises(ValueError, match=message):
        wide().predictor("int8", calibrate=rows)


@pytest.mark.parametrize(
    ("keep", "error", "message"),
    [
        (["dense_9"], ValueError, "keep has 'dense_9', but the layers with products are 'dense_1'"),
        ([2], ValueError, "a position in keep must be an integer from -2 to 1"),
        ("dense_1", TypeError, "keep must be a list"),
        ([1.5], TypeError, "a position in keep must be an integer"),
    ],
)
def test_layers_that_are_not_there(backend, keep, error, message):
    with pytest.raises(error, match=message):
        wide().predictor("int8", calibrate=samples(5), keep=keep)


def test_precisions_that_are_not_there(backend):
    with pytest.raises(ValueError, match="precision must be"):
        wide().predictor("int4", calibrate=samples(5))


def test_networks_in_float64(backend):
    net = fnn.Sequential([fnn.Dense(64, 64)], dtype="float64")
    with pytest.raises(ValueError, match="needs a network in float32, got float64"):
        net.predictor("int8", calibrate=samples(5))


@pytest.mark.parametrize("options", [{"calibrate": samples(5)}, {"y": [1]}, {"keep": [0]}])
def test_options_without_their_precision(backend, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} needs precision"):
        wide().predictor(**options)


def test_parameters_that_are_not_finite(backend):
    net = wide()
    net.layers[1].weight[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"'dense_2.weight' has nan or inf"):
        net.predictor("int8", calibrate=samples(5))


def test_activations_that_overflow(backend):
    net = wide()
    net.layers[0].weight[...] = 3e38
    with pytest.raises(ValueError, match="nan or inf in the inputs of 'dense_2'"):
        net.predictor("int8", calibrate=np.ones((5, 64)))


def test_targets_need_losses(backend):
    with pytest.raises(RuntimeError, match="compile"):
        wide().predictor("int8", calibrate=samples(5), y=np.zeros(5))


@pytest.mark.parametrize("key", ["products", "precision", "n_rows", "before"])
def test_reports_of_damaged_files(key):
    state = wide().predictor("int8", calibrate=samples(5)).report.as_dict()
    for value in (None, 1.5):
        with pytest.raises(ValueError, match="a report of precision"):
            fnn.PrecisionReport.from_dict(state | {key: value})


# -------------------------------------------------------------------------- bfloat16


def test_bfloat16_has_a_report_where_there_are_rows(backend):
    net, x = wide(n_out=64), samples(300)
    net.compile("cross_entropy")
    labels = net.predict(x).argmax(axis=1)
    predictor = net.predictor("bfloat16", calibrate=x, y=labels)
    assert [p.precision for p in predictor.report.products] == ["bfloat16", "bfloat16"]
    difference = np.abs(predictor(x).astype(float) - net.predict(x))
    assert predictor.report.outputs[0].largest == pytest.approx(difference.max(), rel=1e-6)
    assert predictor.report.before == net.evaluate(x, labels)
    assert "bfloat16 for 100.0%" in str(predictor.report)
    assert net.predictor("bfloat16").report is None


def test_a_network_in_bfloat16_is_measured_against_float32(backend):
    net, x = wide(), samples(100)
    plain = net.predict(x)
    net.compile("mean_squared_error", precision="bfloat16")
    predictor = net.predictor("int8", calibrate=x)
    difference = np.abs(predictor(x).astype(float) - plain)
    assert predictor.report.outputs[0].largest == pytest.approx(difference.max(), rel=1e-6)


def test_bfloat16_keeps_no_layers():
    with pytest.raises(ValueError, match='keep needs precision="int8"'):
        wide().predictor("bfloat16", calibrate=samples(5), keep=[0])


def test_the_report_says_whether_the_processor_has_the_instruction(backend):
    report = wide().predictor("int8", calibrate=samples(5)).report
    assert report.instruction_set == (backends.instruction_set() or "NumPy")
    assert report.has_instruction == (report.instruction_set == "v4b")
    assert ("no instruction" in str(report)) != report.has_instruction
