"""Networks as files of C: their self-tests under every compiler, links, names and errors."""

import ctypes
import io
import re
import shutil

import numpy as np
import pytest
from c_code import COMPILERS, compiled, run
from custom_layers import Centering

import fastnn as fnn
from fastnn import formats

pytestmark = pytest.mark.skipif(not COMPILERS, reason="needs a C compiler")

SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
CROSS = {
    "aarch64": ("aarch64-linux-gnu-gcc", "qemu-aarch64"),
    "arm32": ("arm-linux-gnueabihf-gcc", "qemu-arm"),
}


def branched(dtype="float32"):
    """Two inputs, codes and numbers; shared layers, merges, normalisation; two heads."""
    codes, numbers = fnn.Input(2, name="codes"), fnn.Input(5, name="numbers")
    shared = fnn.Dense(7, 7, activation="gelu", name="shared")
    first = fnn.Dense(5, 7, activation="mish")(numbers)
    table = fnn.Dense(6, 7, activation="swish")(fnn.Embedding([3, 4], 3)(codes))
    joined = fnn.Concatenate()([shared(first), shared(table)])
    hidden = fnn.Dense(14, 90, activation="selu")(fnn.LayerNorm(14)(joined))
    hidden = fnn.Dropout(0.2)(hidden)
    outputs = {
        "kind": fnn.Dense(90, 3)(hidden),
        "rate": fnn.Dense(90, 1)(hidden),
        "free": fnn.Dense(90, 2)(hidden),
    }
    net = fnn.Network([codes, numbers], outputs, dtype=dtype, seed=3)
    net.compile({"kind": "cross_entropy", "rate": "poisson", "free": None})
    return net


@pytest.fixture
def net(dtype):
    return branched(dtype)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("options", [SANITIZED, ("-O3", "-march=native"), ("-Os",)])
def test_self_test_passes(net, tmp_path, compiler, options):
    formats.to_c(net, tmp_path / "m.c")
    printed = run(compiled(tmp_path / "m.c", "-DMODEL_TEST", *options, compiler=compiler))
    assert re.fullmatch(
        r"model: 0 of 48 outputs differ; largest error \S+, 0\.\d+ of the tolerance\n", printed
    )


@pytest.mark.parametrize("machine", CROSS)
def test_self_test_passes_on_other_processors(net, tmp_path, machine):
    compiler, emulator = CROSS[machine]
    if not (shutil.which(compiler) and shutil.which(emulator)):
        pytest.skip(f"needs {compiler} and {emulator}")
    formats.to_c(net, tmp_path / "m.c")
    options = ("-DMODEL_TEST", "-O2", "-static")
    run(compiled(tmp_path / "m.c", *options, compiler=compiler), emulator)


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
def test_file_is_valid_cpp(net, tmp_path):
    formats.to_c(net, tmp_path / "m.c")
    options = ("-x", "c++", "-std=c++17", "-DMODEL_TEST")
    run(compiled(tmp_path / "m.c", *options, compiler="g++", standard=False))


def test_self_test_finds_a_changed_weight(net, tmp_path):
    formats.to_c(net, tmp_path / "m.c")
    text = (tmp_path / "m.c").read_text()
    start = text.index("_bias[")
    broken = text[:start] + text[start:].replace("0.0", "0.125", 1)
    (tmp_path / "m.c").write_text(broken)
    program = compiled(tmp_path / "m.c", "-DMODEL_TEST")
    with pytest.raises(AssertionError, match="differ"):
        run(program)


def test_probabilities_and_means_are_those_of_the_network(net, tmp_path, rng):
    formats.to_c(net, tmp_path / "m.c", test=False)
    functions = ctypes.CDLL(str(compiled(tmp_path / "m.c", "-shared", "-fPIC", "-O2")))
    codes = rng.integers(0, 3, (6, 2)).astype(net.dtype)
    numbers = rng.normal(size=(6, 5)).astype(net.dtype)
    rows, out = np.concatenate([codes, numbers], axis=1), np.empty((6, 6), net.dtype)
    X = {"codes": codes, "numbers": numbers}
    tolerance = 1e-5 if net.dtype == np.float32 else 1e-12
    for name, expected in (("proba", net.predict_proba(X)), ("mean", net.predict_mean(X))):
        for x, y in zip(rows, out, strict=True):
            predict = getattr(functions, f"model_predict_{name}")
            predict(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data))
        for key, columns in {"kind": slice(0, 3), "rate": slice(3, 4)}.items():
            if expected[key] is not None:
                assert np.allclose(out[:, columns], expected[key], rtol=tolerance, atol=0)


def test_file_names_the_places_of_inputs_and_outputs(net):
    text = exported(net, name="plant")
    enum = re.search(r"enum \{(.*?)\};", text, re.DOTALL)[1].split(",")
    assert [line.strip() for line in enum] == [
        "PLANT_INPUTS = 7", "PLANT_OUTPUTS = 6",
        "PLANT_INPUT_CODES = 0", "PLANT_INPUT_NUMBERS = 2",
        "PLANT_OUTPUT_KIND = 0", "PLANT_OUTPUT_RATE = 3", "PLANT_OUTPUT_FREE = 4",
    ]  # fmt: skip


def exported(net, **options):
    """The text of the file of a network."""
    file = io.BytesIO()
    formats.to_c(net, file, **options)
    return file.getvalue().decode("ascii")


def test_text_depends_on_the_model_alone(net, dtype):
    assert exported(net) == exported(net) == exported(branched(dtype))


def test_dtype_chooses_the_type(tmp_path):
    formats.to_c(branched("float64"), tmp_path / "m.c", dtype="float32")
    assert "void model_predict(const float *x, float *y)" in (tmp_path / "m.c").read_text()
    run(compiled(tmp_path / "m.c", "-DMODEL_TEST"))


def test_weights_are_exact():
    net = fnn.Sequential([fnn.Dense(3, 40)], dtype="float64", seed=5)
    text = exported(net, test=False)
    body = re.search(r"_weight\[120\] = \{(.*?)\}", text, re.DOTALL)[1]
    found = sorted(float.fromhex(number.strip()) for number in body.split(",") if number.strip())
    assert found == sorted(net.layers[0].weight.ravel().tolist())


def test_header_states_the_sizes(tmp_path):
    net = fnn.Sequential([fnn.Dense(4, 64, activation="tanh"), fnn.Dense(64, 32), fnn.Dense(32, 2)])
    text = exported(net, test=False)
    numbers = 4 * 64 + 64 + 64 * 32 + 32 + 32 * 2 + 2
    assert f"Tables: {4 * numbers:,} bytes" in text
    assert f"Stack: {4 * (64 + 32)} bytes of scratch" in text


@pytest.mark.parametrize(
    "name", ["", "2d", "my model", "größe", "int", "class", "main", "_x", "a;b"]
)
def test_names_that_c_cannot_use_are_refused(net, tmp_path, name):
    with pytest.raises(ValueError, match="name must be"):
        formats.to_c(net, tmp_path / "m.c", name)
    assert not any(tmp_path.iterdir())


def test_names_of_layers_may_be_anything(tmp_path):
    names = ["größe - x", "grosse", "GROSSE", "int", "日本", "1"]
    net = fnn.Sequential([fnn.Dense(3, 3, name=name) for name in names])
    formats.to_c(net, tmp_path / "m.c")
    run(compiled(tmp_path / "m.c", "-DMODEL_TEST"))


def test_custom_layers_are_refused_by_name(tmp_path):
    net = fnn.Sequential([fnn.Dense(3, 3), Centering(name="centre")])
    with pytest.raises(ValueError, match=r"'centre' is the custom layer Centering.*C cannot"):
        formats.to_c(net, tmp_path / "m.c")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_refused(net, tmp_path, value):
    net.parameters["shared.weight"][0, 0] = value
    (tmp_path / "m.c").write_text("before")
    with pytest.raises(ValueError, match=r"'shared\.weight' is not finite"):
        formats.to_c(net, tmp_path / "m.c")
    assert (tmp_path / "m.c").read_text() == "before"


def test_parameters_too_large_for_float_are_refused(tmp_path):
    net = fnn.Sequential([fnn.Dense(1, 1, name="a")], dtype="float64")
    net.parameters["a.weight"][...] = 1e300
    with pytest.raises(ValueError, match=r"a\.weight has a number that is too large for float"):
        formats.to_c(net, tmp_path / "m.c", dtype="float32")


def test_other_things_than_networks_are_refused(tmp_path):
    with pytest.raises(TypeError, match="must be a Network"):
        formats.to_c("net", tmp_path / "m.c")
