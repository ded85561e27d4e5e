"""Models of ONNX compute in onnxruntime what their networks predict."""

import collections

import numpy as np
import pytest
from custom_layers import Centering
from random_networks import FUNCTIONS, network

import fastnn as fnn
from fastnn.formats import to_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
runtime.set_default_logger_severity(4)

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
SEEDS = range(200)


def run(model, X):
    """The outputs of a model for arrays, one for each input."""
    session = runtime.InferenceSession(model.SerializeToString())
    names = [end.name for end in session.get_inputs()]
    return session.run(None, dict(zip(names, X, strict=True)))


def predict(net, X):
    """The outputs of a network as a list."""
    output = net.predict(X if len(X) > 1 else X[0])
    return list(output.values()) if isinstance(output, dict) else [output]


def error(found, expected):
    """The largest difference of two lists of arrays, relative to the largest number of each."""
    return max(
        float(np.abs(a - b).max() / max(np.abs(b).max(), np.finfo(b.dtype).tiny))
        for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_two_hundred_random_graphs_agree(dtype):
    """Prints the table of what was run: `pytest -s` shows it."""
    kinds, errors = collections.Counter(), []
    for seed in SEEDS:
        net, X = network(seed, dtype)
        errors.append(error(run(to_onnx(net), X), predict(net, X)))
        for operation in net.program.operations:
            kinds[operation.attributes.get("function", operation.kind)] += 1
    table = [f"{len(errors)} graphs in {dtype}, largest relative error {max(errors):.1e}"]
    table += [f"{kind:>20} {count:4}" for kind, count in sorted(kinds.items())]
    print("", *table, sep="\n")
    assert max(errors) < TOLERANCE[dtype]
    expected = {*FUNCTIONS, *(row.name for row in fnn.facts.operations.ROWS)}
    assert kinds.keys() == expected - {"activation", "python"}


def every_function(dtype):
    """A network with each activation on one input, and rows on both sides of their corners."""
    x = fnn.Input(3, name="x")
    outputs = {name: fnn.layers.Activation(name, name=name)(x) for name in FUNCTIONS}
    steps = np.array([[-30.0, -3, -1], [-0.5, 0, 1e-3], [0.5, 3, 30]])
    return fnn.Network(x, outputs, dtype=dtype), steps.astype(dtype)


@pytest.mark.parametrize("opset", range(9, 23))
def test_every_activation_agrees_in_every_opset(opset, dtype):
    net, X = every_function(dtype)
    found = run(to_onnx(net, opset=opset), [X])
    for name, output, expected in zip(FUNCTIONS, found, predict(net, [X]), strict=True):
        assert error([output], [expected]) < TOLERANCE[dtype], name


@pytest.mark.parametrize("opset", [9, 13, 17, 18, 20, 22])
@pytest.mark.parametrize("seed", range(12))
def test_every_layer_agrees_in_every_opset(seed, opset, dtype):
    net, X = network(seed, dtype)
    assert error(run(to_onnx(net, opset=opset), X), predict(net, X)) < TOLERANCE[dtype]


def lowest(*layers, dtype="float32"):
    """The opset of a chain of layers."""
    return to_onnx(fnn.Sequential([fnn.Input(4), *layers], dtype=dtype)).opset_import[0].version


@pytest.mark.parametrize(
    ("layer", "opset"),
    [
        (fnn.ReLU, 9), (fnn.HardSwish, 14), (fnn.Mish, 18), (fnn.GELU, 20), (fnn.Swish, 9),
        (lambda: fnn.LayerNorm(4), 17), (lambda: fnn.LayerNorm(4, use_scale=False), 9),
    ],
)  # fmt: skip
def test_opset_is_the_lowest_that_has_the_operators(layer, opset):
    assert lowest(layer()) == opset
    assert lowest(layer(), dtype="float64") == 9


def test_swish_is_one_operator_where_its_opset_is_asked_for():
    net = fnn.Sequential([fnn.Input(4), fnn.Swish(0.5)])
    assert [node.op_type for node in to_onnx(net, opset=24).graph.node] == ["Swish"]


def test_swish_with_an_infinite_factor_is_relu(dtype):
    net = fnn.Sequential([fnn.Input(2), fnn.Swish(1e30)], dtype=dtype)
    X = np.array([[-2.0, 3]], dtype)
    assert error(run(to_onnx(net), [X]), predict(net, [X])) == 0


def test_names_are_those_of_the_network():
    a, b = fnn.Input(3, name="left"), fnn.Input(3, name="right")
    shared = fnn.Dense(3, 4, "tanh", name="shared")
    top = fnn.Subtract(name="difference")([shared(a), shared(b)])
    net = fnn.Network([a, b], {"score": fnn.Dense(4, 1, name="last")(top)}, name="pairs")
    graph = to_onnx(net).graph
    assert [end.name for end in graph.input] == ["left", "right"]
    assert [end.name for end in graph.output] == ["score"]
    assert [array.name for array in graph.initializer] == [*net.parameters]
    assert graph.name == "pairs"


def test_the_number_of_rows_is_free():
    net, _ = every_function("float32")
    for end in (*to_onnx(net).graph.input, *to_onnx(net).graph.output):
        assert [d.dim_param or d.dim_value for d in end.type.tensor_type.shape.dim] == ["batch", 3]


def test_a_row_alone_and_a_batch_have_one_result():
    net, X = network(3)
    model = to_onnx(net)
    whole = run(model, X)
    for i in range(len(X[0])):
        assert error(run(model, [x[i : i + 1] for x in X]), [w[i : i + 1] for w in whole]) < 1e-6


def test_an_output_called_like_an_input_has_another_name():
    x = fnn.Input(2, name="x")
    net = fnn.Network(x, {"x": fnn.Dense(2, 2)(x), "x_output": fnn.Dense(2, 1)(x)})
    names = [end.name for end in to_onnx(net).graph.output]
    assert names == ["x_output", "x_output_output"] or len({*names, "x"}) == 3


def test_dropout_is_left_out():
    net = fnn.Sequential([fnn.Dense(4, 3), fnn.Dropout(0.5, name="last")])
    model = to_onnx(net)
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Identity"]
    assert model.graph.output[0].name == "last"


def test_codes_out_of_range_have_the_vector_of_the_nearest(dtype):
    net = fnn.Sequential([fnn.Embedding([2, 3], 2)], dtype=dtype)
    X = np.array([[-1, 7], [5, 0]], dtype)
    assert error(run(to_onnx(net), [X]), [net.predict(X, check_finite=False)]) == 0


def test_outputs_are_those_of_predict_or_probabilities(rng):
    X = rng.normal(size=(5, 4)).astype("float32")
    for loss, width in (("cross_entropy", 3), ("binary_cross_entropy", 1)):
        net = fnn.Sequential([fnn.Dense(4, width)])
        net.compile(loss)
        assert error(run(to_onnx(net), [X]), [net.predict(X)]) < 2e-6
        found = run(to_onnx(net, probabilities=True), [X])
        assert error(found, [net.predict_proba(X)]) < 2e-6


def test_probabilities_need_a_loss_that_implies_them():
    net = fnn.Sequential([fnn.Dense(4, 1)])
    net.compile("mean_squared_error")
    with pytest.raises(ValueError, match=r"need a classification loss.*mean_squared_error"):
        to_onnx(net, probabilities=True)


def test_file_is_the_model(tmp_path):
    net, _ = network(1)
    model = to_onnx(net, tmp_path / "net.onnx")
    assert onnx.load(tmp_path / "net.onnx") == model
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


def test_custom_layers_are_refused_by_name(tmp_path):
    net = fnn.Sequential([fnn.Dense(3, 3), Centering(name="centre")])
    with pytest.raises(ValueError, match="layer 'centre' is the custom layer Centering"):
        to_onnx(net, tmp_path / "net.onnx")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("opset", [8, 1000])
def test_an_opset_that_is_not_written_is_refused(opset):
    with pytest.raises(ValueError, match=rf"opset must be an integer from 9 to \d+, got {opset}"):
        to_onnx(fnn.Sequential([fnn.Dense(1, 1)]), opset=opset)


def test_something_else_than_a_network_is_refused():
    with pytest.raises(TypeError, match="net must be a Network or Sequential, got list"):
        to_onnx([])


def test_parameters_that_are_not_finite_are_refused():
    net = fnn.Sequential([fnn.Dense(2, 2, name="one")])
    net.parameters["one.weight"][0, 1] = np.inf
    with pytest.raises(ValueError, match=r"'one.weight' is not finite"):
        to_onnx(net)
