"""Networks of models of ONNX predict what the models compute."""

import numpy as np
import pytest
from random_networks import network

import fastnn as fnn
from fastnn.formats import from_onnx, to_onnx

onnx = pytest.importorskip("onnx")
evaluation = pytest.importorskip("onnx.reference")


def predict(net, X):
    """The outputs of a network as a list."""
    output = net.predict(X if len(X) > 1 else X[0])
    return list(output.values()) if isinstance(output, dict) else [output]


def is_same(net, other, X):
    """Whether two networks predict the same bits."""
    pairs = zip(predict(net, X), predict(other, X), strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


@pytest.mark.parametrize("part", range(10))
def test_two_hundred_random_graphs_come_back_to_the_bit(part, dtype):
    for seed in range(20 * part, 20 * part + 20):
        net, X = network(seed, dtype)
        assert is_same(net, from_onnx(to_onnx(net).SerializeToString()), X), seed


@pytest.mark.parametrize("opset", range(9, onnx.defs.onnx_opset_version() + 1))
def test_every_opset_is_read(opset, dtype):
    for seed in (1, 6, 9, 14):
        net, X = network(seed, dtype)
        assert is_same(net, from_onnx(to_onnx(net, opset=opset)), X), seed


def test_names_layers_and_parameters_come_back(tmp_path):
    x = fnn.Input(4, name="x")
    h = fnn.Dense(4, 8, "gelu", name="hidden")(x)
    h = fnn.LayerNorm(8, epsilon=1e-3, name="normal")(h)
    h = fnn.Swish(0.3, trainable_beta=True, name="swish")(h)
    h = fnn.Scale(8, name="gains")(h)
    outputs = {"kind": fnn.Dense(8, 3, name="kinds")(h), "size": fnn.Dense(8, 1, name="sizes")(h)}
    net = fnn.Network(x, outputs, name="two heads")
    to_onnx(net, tmp_path / "net.onnx")
    other = from_onnx(tmp_path / "net.onnx")
    assert str(other.program) == str(net.program)
    assert (other.name, [*other.predict(np.zeros((1, 4)))]) == ("two heads", ["kind", "size"])


def test_a_chain_is_sequential_and_trains_on(rng):
    net = fnn.Sequential([fnn.Dense(4, 8, "relu"), fnn.Dropout(0.1), fnn.Dense(8, 2)])
    other = from_onnx(to_onnx(net))
    assert isinstance(other, fnn.Sequential)
    other.compile("mean_squared_error")
    history = other.fit(rng.normal(size=(50, 4)), rng.normal(size=(50, 2)), epochs=20)
    assert history["loss"][-1] < history["loss"][0]


def test_a_layer_that_is_called_twice_is_one_layer():
    a, b = fnn.Input(3), fnn.Input(3)
    shared = fnn.Dense(3, 4, "tanh")
    net = fnn.Network([a, b], fnn.AbsDifference()([shared(a), shared(b)]))
    assert from_onnx(to_onnx(net)).program.n_parameters == 16


# ---------------------------------------------------------------- models by hand

H, T = onnx.helper, onnx.TensorProto


def model(nodes, shapes=(("x", [None, 4]),), output="y", opset=17, kind=T.FLOAT, **arrays):
    """A model of a few nodes, each (operator, inputs, output, attributes...)."""
    nodes = [
        H.make_node(operator, inputs.split(), [made], name=f"n{i}", **dict(*rest))
        for i, (operator, inputs, made, *rest) in enumerate(nodes)
    ]
    inputs = [H.make_tensor_value_info(name, kind, shape) for name, shape in shapes]
    outputs = [H.make_tensor_value_info(name, kind, None) for name in output.split()]
    initializers = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in arrays.items()]
    graph = H.make_graph(nodes, "by hand", inputs, outputs, initializers)
    return H.make_model(graph, opset_imports=[H.make_opsetid("", opset)])


def evaluated(proto, *X):
    """What ONNX's own reference computes."""
    evaluator = evaluation.ReferenceEvaluator(proto)
    return evaluator.run(None, dict(zip(evaluator.input_names, X, strict=True)))


rng = np.random.default_rng(0)
W = rng.normal(size=(4, 3)).astype("float32")
B = rng.normal(size=3).astype("float32")
V = rng.uniform(0.5, 2, 4).astype("float32")
X = rng.normal(size=(5, 4)).astype("float32")
F = np.float32

READ = {
    "gemm": ([("Gemm", "x w b", "y")], {"w": W, "b": B}),
    "gemm, transposed and scaled": (
        [("Gemm", "x w b", "y", {"transB": 1, "alpha": 0.5, "beta": 2.0})],
        {"w": W.T.copy(), "b": B},
    ),
    "gemm without a bias": ([("Gemm", "x w", "y")], {"w": W}),
    "gemm, one number as bias": ([("Gemm", "x w b", "y")], {"w": W, "b": F(2)}),
    "gemm, a row as bias": ([("Gemm", "x w b", "y")], {"w": W, "b": B[None]}),
    "product and sum": ([("MatMul", "x w", "z"), ("Add", "b z", "y")], {"w": W, "b": B}),
    "scaling": ([("Sub", "x v", "d"), ("Div", "d v", "y")], {"v": V}),
    "shift": ([("Add", "x v", "y")], {"v": V}),
    "minus": ([("Sub", "v x", "d"), ("Neg", "d", "y")], {"v": V}),
    "one number": ([("Mul", "x c", "z"), ("Add", "z c", "y")], {"c": F(3)}),
    "relu as a clip": ([("Clip", "x low", "y")], {"low": F(0)}),
    "prelu": ([("PRelu", "x s", "y")], {"s": np.full(4, 0.2, F)}),
    "residual": (
        [("Gemm", "x q", "z"), ("Relu", "z", "a"), ("Add", "a x", "y")],
        {"q": rng.normal(size=(4, 4)).astype(F)},
    ),
    "mean of two": ([("Relu", "x", "a"), ("Add", "a x", "s"), ("Mul", "s h", "y")], {"h": F(0.5)}),
    "mean": ([("Relu", "x", "a"), ("Mean", "a x", "y")], {}),
    "silu": ([("Sigmoid", "x", "s"), ("Mul", "s x", "y")], {}),
    "gelu of tensorflow": (
        [("Mul", "x r", "z"), ("Erf", "z", "e"), ("Add", "e one", "p"), ("Mul", "half p", "q"),
         ("Mul", "x q", "y")],
        {"r": F(np.sqrt(0.5)), "one": F(1), "half": F(0.5)},
    ),
    "gelu of pytorch": (
        [("Div", "x r", "z"), ("Erf", "z", "e"), ("Add", "e one", "p"), ("Mul", "x p", "q"),
         ("Mul", "q half", "y")],
        {"r": F(np.sqrt(2)), "one": F(1), "half": F(0.5)},
    ),
    "normalisation of pytorch": (
        [("ReduceMean", "x", "m", {"axes": [-1]}), ("Sub", "x m", "d"), ("Pow", "d two", "s"),
         ("ReduceMean", "s", "v", {"axes": [-1]}), ("Add", "v e", "u"), ("Sqrt", "u", "r"),
         ("Div", "d r", "n"), ("Mul", "n g", "o"), ("Add", "o g", "y")],
        {"two": F(2), "e": F(1e-5), "g": V},
    ),
    "what means nothing": (
        [("Identity", "x", "i"), ("Dropout", "i", "d"), ("Cast", "d", "c", {"to": 1}),
         ("Flatten", "c", "f"), ("Reshape", "f to", "r"), ("Unsqueeze", "r axis", "u"),
         ("Squeeze", "u axis", "s"), ("Relu", "s", "y")],
        {"to": np.array([-1, 4]), "axis": np.array([1])},
    ),
    "a transposed constant": (
        [("Transpose", "w", "t"), ("Transpose", "t", "u", {"perm": [1, 0]}),
         ("MatMul", "x u", "y")],
        {"w": W},
    ),
    "a constant of a node": (
        [("Constant", "", "w", {"value": onnx.numpy_helper.from_array(W)}), ("MatMul", "x w", "y")],
        {},
    ),
    "the shape of a value": (
        [("Shape", "x", "l"), ("Gather", "l zero", "n"), ("Unsqueeze", "n axis", "k"),
         ("Concat", "k rest", "to", {"axis": 0}), ("Reshape", "x to", "r"), ("Tanh", "r", "y")],
        {"zero": np.array(0), "axis": np.array([0]), "rest": np.array([-1])},
    ),
    "softmax": ([("Softmax", "x", "y", {"axis": -1})], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_graph_by_hand_is_read(name, backend):
    nodes, arrays = READ[name]
    proto = model(nodes, **arrays)
    (expected,) = evaluated(proto, X)
    np.testing.assert_allclose(from_onnx(proto).predict(X), expected, rtol=2e-6, atol=1e-6)


def test_pictures_become_rows():
    nodes = [("Flatten", "x", "f"), ("MatMul", "f w", "y")]
    proto = model(nodes, [("x", ["N", 1, 2, 2])], w=W)
    pictures = X.reshape(5, 1, 2, 2)
    np.testing.assert_allclose(
        from_onnx(proto).predict(X), evaluated(proto, pictures)[0], rtol=1e-5
    )


def test_an_embedding_of_integers_is_read():
    table = rng.normal(size=(6, 3)).astype(F)
    nodes = [("Gather", "table x", "g"), ("Flatten", "g", "y")]
    proto = model(nodes, [("x", ["N", 1])], table=table)
    proto.graph.input[0].type.tensor_type.elem_type = T.INT64
    codes = np.array([[5], [0]])
    np.testing.assert_array_equal(from_onnx(proto).predict(codes), evaluated(proto, codes)[0])


def test_layers_have_the_names_of_their_parameters():
    nodes = [("Gemm", "x w b", "z"), ("Relu", "z", "y")]
    proto = model(nodes, w=W, b=B)
    for node, old, new in ((0, "w", "net.0.weight"), (0, "b", "net.0.bias")):
        inputs = proto.graph.node[node].input
        inputs[list(inputs).index(old)] = new
    for array, name in zip(proto.graph.initializer, ("net.0.weight", "net.0.bias"), strict=True):
        array.name = name
    assert [*from_onnx(proto).parameters] == ["net_0.weight", "net_0.bias"]


REFUSED = {
    "an operator": ([("Conv", "x x", "y")], r"node 'n0' \(Conv\) has an operator that no layer"),
    "a product of values": ([("MatMul", "x x", "y")], r"\(MatMul\) multiplies by a matrix that"),
    "a transposed input": (
        [("Gemm", "x w", "y", {"transA": 1})], r"'n0' \(Gemm\) transposes its input"
    ),
    "widths that do not fit": ([("Gemm", "x b3", "y")], r"'n0' \(Gemm\) multiplies"),
    "a clip": ([("Clip", "x one one", "y")], r"'n0' \(Clip\) clips to \[1.0, 1.0\]"),
    "a training dropout": (
        [("Dropout", "x one yes", "y")], r"'n0' \(Dropout\) has an operator that no layer"
    ),
    "a shape that mixes rows": (
        [("Reshape", "x pairs", "r"), ("Relu", "r", "y")], r"'n0' \(Reshape\) has an operator"
    ),
    "softmax over the rows": ([("Softmax", "x", "y", {"axis": 0})], r"\(Softmax\) is not along"),
    "another hard sigmoid": (
        [("HardSigmoid", "x", "h"), ("Mul", "h x", "y")], r"'n1' .* by a hard sigmoid"
    ),
    "a quotient of values": ([("Div", "x x", "y")], r"'n0' \(Div\) has two inputs that are not"),
    "a constant divided": ([("Div", "one x", "y")], r"'n0' \(Div\) divides a constant by a value"),
    "another domain": ([("Attention", "x", "y", {"domain": "com.microsoft"})],
                       r"'n0' \(com.microsoft.Attention\) has an operator"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_layer_does_is_refused_with_its_node(name):
    nodes, message = REFUSED[name]
    arrays = {"w": W, "b3": B, "one": F(1), "yes": np.array(True), "pairs": np.array([-1, 2])}
    with pytest.raises(fnn.FormatError, match=message):
        from_onnx(model(nodes, **arrays))
