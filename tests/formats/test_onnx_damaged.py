"""Damaged and hostile models of ONNX give a sentence, and nothing outside their folder is read."""

import contextlib
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from random_networks import network

import fastnn as fnn
from fastnn.formats import from_onnx, to_onnx

onnx = pytest.importorskip("onnx")
H, T = onnx.helper, onnx.TensorProto


def small():
    """A model of two layers: 4 inputs, weights "a.weight" and "b.weight"."""
    layers = [fnn.Dense(4, 3, "relu", name="a"), fnn.Dense(3, 2, name="b")]
    return to_onnx(fnn.Sequential(layers))


def tensor(model, name):
    return next(array for array in model.graph.initializer if array.name == name)


@pytest.mark.parametrize("part", range(5))
def test_truncated_files_are_refused(part):
    contents = to_onnx(network(part)[0]).SerializeToString()
    for length in range(part, len(contents), max(1, len(contents) // 60)):
        with pytest.raises(fnn.FormatError):
            from_onnx(contents[:length])


@pytest.mark.parametrize("part", range(5))
def test_changed_bytes_are_read_or_refused(part):
    """Whatever one byte becomes: a network, or a FormatError."""
    rng = np.random.default_rng(part)
    contents = bytearray(to_onnx(network(part)[0]).SerializeToString())
    for _ in range(150):
        place = rng.integers(len(contents))
        old, contents[place] = contents[place], rng.integers(256)
        with contextlib.suppress(fnn.FormatError):
            from_onnx(bytes(contents))
        contents[place] = old


@pytest.mark.parametrize("implementation", ["python", "upb"])
def test_names_that_are_no_utf_8_are_read_or_refused_by_each_protobuf(implementation, tmp_path):
    """Protobuf in C gives bytes for such a name, protobuf in Python raises."""
    contents = small().SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(contents.replace(b"a.weight", b"\xa3.weight"))
    program = (
        "import sys, fastnn as fnn\n"
        "try: fnn.formats.from_onnx(sys.argv[1])\n"
        "except fnn.FormatError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True, text=True, check=False,
        env=os.environ | {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    if implementation == "python":
        assert "model.onnx is no model of ONNX, or it is damaged" in result.stdout


@pytest.mark.parametrize(
    "shape", [[1 << 20, 1 << 20], [1 << 62, 1 << 62], [-4, 3], [4], [0, 3], [1] * 9]
)
def test_shapes_that_the_bytes_do_not_fill_are_refused(shape):
    model = small()
    weight = tensor(model, "a.weight")
    del weight.dims[:]
    weight.dims.extend(shape)
    with pytest.raises(fnn.FormatError, match=r"'a\.(weight|Z)'"):
        from_onnx(model)


def test_listed_numbers_must_be_as_many_as_the_shape_says():
    model = small()
    weight = tensor(model, "a.weight")
    weight.ClearField("raw_data")
    weight.float_data.extend([1.0] * 11)
    with pytest.raises(fnn.FormatError, match=r"'a.weight' needs 12 elements, but has 11"):
        from_onnx(model)
    weight.float_data.append(1.0)
    np.testing.assert_array_equal(from_onnx(model).parameters["a.weight"], np.ones((4, 3)))


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(number):
    model = small()
    array = np.full((4, 3), number, np.float32)
    tensor(model, "a.weight").CopyFrom(onnx.numpy_helper.from_array(array, "a.weight"))
    with pytest.raises(
        fnn.FormatError, match=r"'a.Z' \(Gemm\) does not fit: initial values must be finite"
    ):
        from_onnx(model)


# ------------------------------------------------------------------ other files


def with_external(folder, location, **entries):
    """A model in a folder whose first weight is said to be in another file."""
    model = small()
    weight = tensor(model, "a.weight")
    data = weight.raw_data
    weight.data_location = T.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(value))
    weight.ClearField("raw_data")
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path, data


def test_constants_in_the_folder_of_the_model_are_read(tmp_path):
    path, data = with_external(tmp_path, "weights.bin", offset=8, length=48)
    (tmp_path / "weights.bin").write_bytes(b"12345678" + data)
    expected = np.frombuffer(data, np.float32).reshape(4, 3)
    np.testing.assert_array_equal(from_onnx(path).parameters["a.weight"], expected)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret", ".", "", "\0"])
def test_paths_that_leave_the_folder_are_refused(location, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(48))
    (tmp_path / "models").mkdir()
    path, _ = with_external(tmp_path / "models", location)
    with pytest.raises(fnn.FormatError, match="outside the folder of the model"):
        from_onnx(path)


def test_a_link_that_leaves_the_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(48))
    (tmp_path / "models").mkdir()
    os.symlink(tmp_path / "secret", tmp_path / "models" / "weights.bin")
    path, _ = with_external(tmp_path / "models", "weights.bin")
    with pytest.raises(fnn.FormatError, match="outside the folder of the model"):
        from_onnx(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"length": 1 << 45}, "needs 48 bytes"),
        ({"offset": 1, "length": 48}, "needs 48 bytes"),
        ({"offset": -8, "length": 48}, "needs 48 bytes"),
        ({"offset": "x"}, "no number as its place"),
    ],
)
def test_places_outside_the_other_file_are_refused(entries, message, tmp_path):
    path, data = with_external(tmp_path, "weights.bin", **entries)
    (tmp_path / "weights.bin").write_bytes(data)
    with pytest.raises(fnn.FormatError, match=message):
        from_onnx(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    path, _ = with_external(tmp_path, "gone.bin")
    with pytest.raises(fnn.FormatError, match=r"'gone.bin', which is no file"):
        from_onnx(path)


def test_bytes_have_no_folder(tmp_path):
    path, _ = with_external(tmp_path, "weights.bin")
    with pytest.raises(fnn.FormatError, match="give the path of the model, not its bytes"):
        from_onnx(path.read_bytes())


# ----------------------------------------------------------------------- graphs


def change(model, **changes):
    """The model with other inputs or outputs of its nodes, by name of the node."""
    for node in model.graph.node:
        for part, values in changes.get(node.name.replace(".", "_"), {}).items():
            del getattr(node, part)[:]
            getattr(node, part).extend(values)
    return model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a_Z": {"input": ["b", "a.weight", "a.bias"]}}, "has a cycle, or its nodes"),
        ({"a_Z": {"input": ["x", "a.weight", "a.bias"]}}, "reads 'x', which is no input"),
        ({"a_Z": {"input": ["input_1", "w", "a.bias"]}}, "reads 'w', which is no input, init"),
        ({"a_A": {"output": ["a.Z"]}}, "makes 'a.Z', which exists already"),
        ({"b": {"output": ["c"]}}, "output 'b' of the graph is made by no node"),
        ({"b": {"input": ["a.A", "a.weight", "b.bias"]}}, r"'b' \(Gemm\) .* of shape \(4, 3\)"),
        ({"b": {"input": []}}, r"'b' \(Gemm\) has inputs that do not fit"),
    ],
)
def test_graphs_that_are_no_graphs_are_refused(changes, message):
    with pytest.raises(fnn.FormatError, match=message):
        from_onnx(change(small(), **changes))


def test_two_initializers_of_one_name_are_refused():
    model = small()
    model.graph.initializer.append(tensor(model, "a.weight"))
    with pytest.raises(fnn.FormatError, match=r"two initializers are called 'a.weight'"):
        from_onnx(model)


def test_a_width_that_is_not_known_is_refused():
    model = small()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "features"
    with pytest.raises(fnn.FormatError, match=r"'input_1' has the shape \(None, None\)"):
        from_onnx(model)


def test_an_input_of_another_type_is_refused():
    model = small()
    model.graph.input[0].type.tensor_type.elem_type = T.FLOAT16
    with pytest.raises(fnn.FormatError, match="'input_1' has the type FLOAT16"):
        from_onnx(model)


def doubling(operator, kind):
    """A model in which each node joins a value with itself, 50 times."""
    inputs = [H.make_tensor_value_info("x", T.FLOAT, ["N", 4])]
    outputs = [H.make_tensor_value_info("y", T.FLOAT, None)]
    first = "x" if kind == "values" else "c0"
    names = [first, *(f"c{i}" for i in range(1, 50))]
    nodes = [H.make_node("Concat", [a, a], [b], axis=1) for a, b in itertools.pairwise(names)]
    nodes.append(H.make_node(operator, ["x", names[-1]], ["y"]))
    constant = onnx.numpy_helper.from_array(np.ones((4, 4), np.float32), "c0")
    return H.make_model(H.make_graph(nodes, "g", inputs, outputs, [constant]))


@pytest.mark.parametrize("kind", ["values", "constants"])
def test_graphs_that_double_their_memory_are_refused(kind):
    with pytest.raises(fnn.FormatError, match=r"Concat|Add|MatMul"):
        from_onnx(doubling("Add" if kind == "values" else "MatMul", kind))


def test_functions_of_the_model_are_refused():
    model = small()
    model.functions.append(H.make_function("own", "f", ["a"], ["b"], [], [H.make_opsetid("", 17)]))
    with pytest.raises(fnn.FormatError, match="functions of its own, which are not read: f"):
        from_onnx(model)


@pytest.mark.parametrize("source", [None, 3, ["model.onnx"]])
def test_other_sources_are_refused(source):
    with pytest.raises(TypeError, match="path_or_bytes must be a path, bytes or a ModelProto"):
        from_onnx(source)


def test_a_file_that_does_not_exist_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        from_onnx(tmp_path / "gone.onnx")


def test_a_model_of_fastnn_is_not_one_of_onnx(tmp_path):
    fnn.Sequential([fnn.Dense(2, 1)]).save(tmp_path / "net.fastnn")
    with pytest.raises(fnn.FormatError, match="is no model of ONNX"):
        from_onnx(tmp_path / "net.fastnn")
