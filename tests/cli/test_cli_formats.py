"""The commands export and import, and what info shows of files of other programs."""

import json

import numpy as np
import pytest
from commands import refusal, run, train
from safetensors.numpy import load_file, save_file

import fastnn as fnn
from fastnn import formats

pytestmark = pytest.mark.usefixtures("elsewhere")

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


@pytest.fixture
def net(elsewhere):
    """A network that is saved as net.fastnn."""
    net = fnn.Sequential([fnn.Dense(4, 8, "gelu"), fnn.Dense(8, 2)], seed=0)
    net.save("net.fastnn")
    return net


def test_export_to_safetensors_and_import(net, capsys):
    assert run("export", "net.fastnn", "net.safetensors") == 0
    assert capsys.readouterr().out.split("\n")[0].split() == [
        "model", "4", "->", "2,", "58", "parameters,", "float32",
    ]  # fmt: skip
    assert load_file("net.safetensors").keys() == formats.to_state_dict(net).keys()
    assert run("import", "net.safetensors", "--to", "again.fastnn") == 0
    np.testing.assert_array_equal(fnn.load("again.fastnn").predict(X), net.predict(X))


def test_import_of_parameters_without_layers(net, capsys):
    tensors = formats.to_state_dict(
        fnn.Sequential([fnn.Dense(4, 8, "gelu"), fnn.Dense(8, 2)], seed=1)
    )
    save_file(tensors, "other.safetensors")
    message = refusal(capsys, "import", "other.safetensors")
    assert "other.safetensors has parameters and no layers" in message
    assert run("import", "other.safetensors", "--like", "net.fastnn") == 0
    np.testing.assert_array_equal(
        fnn.load("model.fastnn").parameters["dense_1.weight"], tensors["0.weight"].T
    )


def test_export_to_c_by_its_name_and_by_the_option(net):
    assert run("export", "net.fastnn", "net.c") == 0
    assert run("export", "net.fastnn", "--to", "c", "net.txt") == 0
    with open("net.c", "rb") as one, open("net.txt", "rb") as other:
        assert one.read() == other.read()


def test_export_to_onnx_and_import(net, capsys):
    pytest.importorskip("onnx")
    assert run("export", "net.fastnn", "net.onnx") == 0
    assert run("import", "net.onnx", "--to", "again.fastnn") == 0
    np.testing.assert_array_equal(fnn.load("again.fastnn").predict(X), net.predict(X))
    capsys.readouterr()
    assert run("info", "net.onnx") == 0
    shown = capsys.readouterr().out
    assert "ONNX" in shown
    assert "58" in shown
    assert "N x 4" in shown
    assert run("info", "net.onnx", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["parameters"] == 58
    assert facts["nodes"]["Gemm"] == 2


def test_export_to_pytorch(net):
    torch = pytest.importorskip("torch")
    assert run("export", "net.fastnn", "net.pt2") == 0
    found = torch.export.load("net.pt2").module()(torch.from_numpy(X))
    np.testing.assert_allclose(found.detach().numpy(), net.predict(X), rtol=0, atol=2e-6)


def test_info_of_safetensors(net, capsys):
    formats.to_safetensors(net, "net.safetensors")
    assert run("info", "net.safetensors") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["parameters", "58"] in lines
    assert ["0.weight", "8", "x", "4"] in [line[-4:] for line in lines]
    assert run("info", "net.safetensors", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["tensors"]["0.weight"] == [8, 4]
    assert facts["layers"] == "described"


def test_info_of_a_network_that_is_saved_under_that_ending(net, capsys):
    net.save("net.safetensors")
    assert run("info", "net.safetensors") == 0
    assert "dense_1" in capsys.readouterr().out


@pytest.mark.parametrize("out", ["model.pt2", "model.safetensors"])
def test_preparation_of_a_table_is_not_dropped_unasked(people, capsys, out):
    train(people, "--preset", "network", "--hidden", "4", "--epochs", "1")
    capsys.readouterr()
    message = refusal(capsys, "export", "model.fastnn", out)
    assert "prepares the columns of a table" in message
    assert "--network-only" in message


def test_network_of_a_model_for_tables(people):
    train(people, "--preset", "network", "--hidden", "4", "--epochs", "1")
    assert run("export", "model.fastnn", "net.safetensors", "--network-only") == 0
    assert load_file("net.safetensors")["0.weight"].shape[0] == 4


def test_files_are_replaced(net):
    with open("net.safetensors", "w", encoding="utf-8") as file:
        file.write("old")
    assert run("export", "net.fastnn", "net.safetensors") == 0
    assert load_file("net.safetensors")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["export", "net.fastnn", "net.txt"],
            "OUT must end in .onnx, .c, .pt2 or .safetensors, or",
        ),
        (["export", "net.fastnn", "net.pt"], "OUT must end in .onnx"),
        (["export", "net.fastnn", "no/net.c"], "the folder of the file does not"),
        (["export", "none.fastnn", "net.c"], "none.fastnn: No such file"),
        (["export", "net.fastnn", "net.fastnn", "--to", "c"], "both an input and an output"),
        (["export", "net.fastnn", "net.c", "--to", "keras"], "invalid choice: 'keras'"),
        (["import", "net.h5"], "FILE must end in .onnx or .safetensors, got 'net.h5'"),
        (["import", "net.pt"], "weights_only=True"),
        (["import", "net.pth"], "net.pth is a file of PyTorch"),
        (["import", "none.safetensors"], "none.safetensors: No such file"),
        (["import", "x.safetensors", "--to", "x.safetensors"], "both an input and an output"),
        (["import", "x.onnx", "--like", "net.fastnn"], "--like is for files of safetensors"),
        (["info", "damaged.safetensors"], "not a safetensors file, or damaged"),
    ],
)
def test_refusals(net, capsys, words, message):
    for name in ("x.safetensors", "x.onnx", "damaged.safetensors"):
        with open(name, "w", encoding="utf-8") as file:
            file.write("not a model")
    assert message in refusal(capsys, *words)


def test_a_file_of_torch_save_is_refused_by_its_contents(net, capsys):
    with open("net.safetensors", "wb") as file:
        file.write(b"PK\x03\x04\x00\x00\x08\x08" + bytes(100))
    assert "weights_only=True" in refusal(capsys, "import", "net.safetensors")


def test_a_model_for_tables_is_exported_to_c_whole(people):
    train(people, "--preset", "network", "--hidden", "4", "--epochs", "1")
    assert run("export", "model.fastnn", "model.c") == 0
    with open("model.c", encoding="utf-8") as file:
        text = file.read()
    assert "age" in text
    assert "city" in text
