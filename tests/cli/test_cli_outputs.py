"""The command: its files replace old ones as a whole, and never an input."""

import os
import stat
import threading
from pathlib import Path

import pytest
from commands import refusal, run, train

from fastnn import serialization

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def model(houses):
    train(houses, "--epochs", 1, "--plot", "none")
    return "model.fastnn"


@pytest.mark.parametrize("output", ["data", "link", "other/../data"])
def test_train_refuses_its_data_as_output(houses, output, capsys):
    os.rename(houses, "data")
    os.symlink("data", "link")
    os.mkdir("other")
    before = Path("data").read_text()
    assert "both an input and an output" in refusal(capsys, "train", "data", "--output", output)
    assert Path("data").read_text() == before


def test_train_refuses_its_data_as_plot(houses, capsys):
    os.rename(houses, "data.png")
    words = ("train", "data.png", "--plot", "./data.png", "--output", "m")
    assert "both an input and an output" in refusal(capsys, *words)


def test_train_refuses_one_file_for_model_and_plot_in_other_words(houses, capsys):
    words = ("train", houses, "--plot", "./m.png", "--output", os.path.abspath("m.png"))
    assert "both name" in refusal(capsys, *words)


@pytest.mark.parametrize("place", ["data", "model"])
def test_predict_refuses_its_inputs_as_output(houses, model, place, capsys):
    capsys.readouterr()
    output = houses if place == "data" else model
    with open(output, "rb") as file:
        before = file.read()
    said = refusal(capsys, "predict", model, houses, "--output", output)
    assert "both an input and an output" in said
    with open(output, "rb") as file:
        assert file.read() == before


def test_predictions_replace_a_file_with_its_permissions_only_when_complete(
    houses, model, monkeypatch
):
    with open("out.csv", "w") as file:
        file.write("old")
    os.chmod("out.csv", 0o600)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert run("predict", model, houses, "--output", "out.csv") == 2
    assert Path("out.csv").read_text() == "old"
    assert run("predict", model, houses, "--output", "out.csv") == 0
    assert Path("out.csv").read_text().startswith("prediction\n")
    assert stat.S_IMODE(os.stat("out.csv").st_mode) == 0o600


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_model_goes_to_a_pipe_without_a_learning_curve(houses):
    os.mkfifo("pipe")
    received = []

    def read():
        with open("pipe", "rb") as file:
            received.append(file.read())

    reader = threading.Thread(target=read)
    reader.start()
    train(houses, "--epochs", 1, "--output", "pipe")
    reader.join(10)
    with open("copy", "wb") as file:
        file.write(received[0])
    assert serialization.load("copy")[0]["class"] == "Sequential"
    assert not os.path.exists("pipe.png")


def test_learning_curve_keeps_the_permissions_of_the_old_one(houses):
    pytest.importorskip("matplotlib")
    with open("c.png", "wb"):
        pass
    os.chmod("c.png", 0o600)
    assert run("train", houses, "--epochs", 1, "--quiet", "--plot", "c.png") == 0
    assert stat.S_IMODE(os.stat("c.png").st_mode) == 0o600
    assert Path("c.png").read_bytes()[:4] == b"\x89PNG"


HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m"


@pytest.mark.parametrize("place", ["data", "target", "column", "class", "history"])
def test_info_prints_no_commands_for_the_terminal(people, place, capsys):
    train(people, "--epochs", 1, "--plot", "none")
    structure, arrays = serialization.load("model.fastnn")
    facts = structure["metadata"]["model"]
    preprocessing = facts["preprocessing"]
    if place == "data":
        facts["data"] = HOSTILE
    elif place == "target":
        preprocessing["target"]["name"] = HOSTILE
    elif place == "column":
        for part in ("columns", "decisions"):
            key = "name" if part == "columns" else "column"
            preprocessing["encoder"][part][0][key] = HOSTILE
    elif place == "class":
        preprocessing["target"]["classes"][0] = HOSTILE
    else:
        columns = structure["training"]["history"]["columns"]
        columns[HOSTILE] = columns["loss"]
    serialization.save("model.fastnn", structure, arrays)
    capsys.readouterr()
    assert run("info", "model.fastnn") == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\x9b" not in said
    assert "\\x1b" in said


def test_errors_print_no_commands_for_the_terminal(capsys):
    said = refusal(capsys, "info", "no\x1b[31m.fastnn")
    assert "\x1b" not in said


def test_error_of_a_file_has_no_commands_for_the_terminal():
    assert "\x1b" not in str(serialization.FormatError("class \x1b[31m"))
