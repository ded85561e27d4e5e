"""The command: errors, each in one line that gives the reason."""

import sys

import numpy as np
import pytest
from commands import refusal, run, train, write_csv

import fastnn
from fastnn import serialization

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sing"], "invalid choice: 'sing'"),
        (["train"], "FILE --dataset is required"),
        (["train", "none.csv"], "none.csv: No such file"),
        (["train", "none.npz"], "none.npz: No such file"),
        (["train", "--dataset", "mnist"], "invalid choice: 'mnist'"),
        (["train", "--dataset", "iris", "--target", "x"], "--target is for CSV files"),
        (["train", "--dataset", "iris", "--drop", "x"], "--drop is for CSV files"),
        (["train", "--dataset", "iris", "--no-header"], "--header is for CSV files"),
        (["train", "--dataset", "iris", "--hidden", "9,x"], "'9,x' is no list of widths"),
        (["train", "--dataset", "iris", "--hidden", "0"], "a width must be at least 1"),
        (["train", "--dataset", "iris", "--activation", "x"], "invalid choice: 'x'"),
        (
            ["train", "--dataset", "iris", "--epochs", "0"],
            "--epochs must be an integer >= 1, got 0",
        ),
        (["train", "--dataset", "iris", "--category", "x"], "--category is for CSV files"),
        (["train", "--dataset", "iris", "--batch-size", "0"], "--batch-size must be"),
        (
            ["train", "--dataset", "iris", "--dropout", "2"],
            "--dropout must be a finite number >= 0 and < 1, got 2",
        ),
        (["train", "--dataset", "iris", "--l2", "-1"], "--l2 must be"),
        (["train", "--dataset", "iris", "--learning-rate", "-1"], "--learning-rate must be"),
        (["train", "--dataset", "iris", "--validation", "1.5"], "--validation must be"),
        (["train", "--dataset", "iris", "--validation", "0.6", "--test", "0.6"], "leave none"),
        (["train", "--dataset", "iris", "--validation", "0", "--patience", "3"], "--patience"),
        (["train", "--dataset", "iris", "--hidden", "none", "--dropout", "0.5"], "--dropout needs"),
        (["train", "--dataset", "iris", "--seed", "-1"], "--seed must be"),
        (
            ["train", "--dataset", "iris", "--output", "no/m"],
            "no/m: the folder of the file does not",
        ),
        (["train", "--dataset", "iris", "--output", "."], "is a folder, expected a file"),
        (["train", "--dataset", "iris", "--output", "m.png"], "--output is the model's file"),
        (["train", "--dataset", "iris", "--output", "m", "--plot", "m"], "both name m"),
        (["train", "--dataset", "iris", "--plot", "x.txt"], "--plot must be none or end in one of"),
        (["train", "--dataset", "iris", "--plot", "x"], "got 'x'"),
        (["predict", "none.fastnn", "none.csv"], "none.fastnn: No such file"),
        (["info", "none.fastnn"], "none.fastnn: No such file"),
    ],
)
def test_unfit_words_are_refused_in_one_line(words, message, capsys):
    assert message in refusal(capsys, *words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "data.csv is empty"),
        (b"a,b\n1,2\n3,inf\n4,5\n6,7\n", "data.csv, line 3, column 'b': inf, expected a finite"),
        (b"a,b\n1,2\n3\n", "line 3: 1 columns, expected 2"),
        (b"a,\xff\n1,2\n", "not utf-8 text"),
        (b"\x89PNG\r\n\x1a\n\x00", "not utf-8 text"),
        (b"a\n1\n2\n3\n4\n", "no column besides the target"),
        (b"a,b\n1,x\n2,x\n3,x\n4,x\n", "one class only, 'x'"),
        (b"a,b\n1,1\n2,1\n3,1\n4,1\n", "one class only, 1\n"),
    ],
)
def test_unfit_files_are_refused_in_one_line(text, message, capsys):
    with open("data.csv", "wb") as file:
        file.write(text)
    assert message in refusal(capsys, "train", "data.csv")


@pytest.mark.parametrize("slip", ["abc", "-", "0x10", "1,5"])
def test_a_slip_in_a_column_of_numbers_is_refused_with_the_way_out(slip, capsys):
    ages = [*map(str, range(20, 70))] * 4
    ages[7] = slip
    write_csv("data.csv", ("age", "label"), ages, ["yes", "no"] * 100)
    said = refusal(capsys, "train", "data.csv")
    assert f"line 9, column 'age': '{slip}', expected a number" in said
    assert "--category age" in said


def test_an_unknown_column_of_text_is_refused(people, capsys):
    assert "no column 'town'" in refusal(capsys, "train", people, "--text", "town")


def test_predict_refuses_a_slip_without_an_option_it_lacks(people, capsys):
    train(people, "--epochs", 1)
    capsys.readouterr()
    write_csv("new.csv", ("age", "city"), [30, 31, "3z"], ["Rom", "Ulm", "Rom"])
    said = refusal(capsys, "predict", "model.fastnn", "new.csv")
    assert "line 4, column 'age': '3z', expected a number" in said
    assert "--category" not in said


def test_a_loss_that_is_not_finite_is_reported(houses, capsys):
    words = ("--optimizer", "gradient_descent", "--learning-rate", 1e30, "--quiet")
    assert "Lower the learning rate" in refusal(capsys, "train", houses, *words)


@pytest.mark.parametrize("extra", ["sklearn", "matplotlib"])
def test_missing_extras_are_named(extra, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, extra, None)
    assert 'pip install "fastnn[' in refusal(
        capsys, "train", "--dataset", "iris", "--plot", "curve.png"
    )


def test_probabilities_of_a_regression_are_refused(houses, capsys):
    train(houses, "--epochs", 1)
    capsys.readouterr()
    assert "--proba needs a model for classification" in refusal(
        capsys, "predict", "model.fastnn", houses, "--proba"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age\n3\n", "no column 'city'"),
        ("age,city\nold,Rom\n", "line 2, column 'age': 'old', expected a number"),
        ("age,city\ninf,Rom\n", "line 2, column 'age': inf, expected a finite number"),
    ],
)
def test_data_unfit_for_the_model_are_refused(people, text, message, capsys):
    train(people, "--epochs", 1)
    capsys.readouterr()
    with open("new.csv", "w", encoding="utf-8") as file:
        file.write(text)
    assert message in refusal(capsys, "predict", "model.fastnn", "new.csv")


def test_npz_is_refused_for_a_model_of_text(people, capsys):
    train(people, "--epochs", 1)
    capsys.readouterr()
    np.savez("new.npz", X=np.ones((2, 2)))
    assert "columns of text (city)" in refusal(capsys, "predict", "model.fastnn", "new.npz")


def test_networks_the_command_cannot_serve_are_refused(capsys):
    net = fastnn.Sequential([fastnn.Dense(2, 3)])
    net.compile("mean_squared_error")
    net.save("plain.fastnn")
    np.savez("new.npz", X=np.ones((2, 2)))
    assert "use fastnn.load in Python" in refusal(capsys, "predict", "plain.fastnn", "new.npz")


@pytest.mark.parametrize("command", ["info", "predict"])
@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_truncated_models_are_refused(command, size, people, capsys):
    train(people, "--epochs", 1)
    capsys.readouterr()
    with open("model.fastnn", "rb") as file:
        data = file.read()
    with open("cut.fastnn", "wb") as file:
        file.write(data[:size])
    assert "cut.fastnn" in refusal(
        capsys, command, "cut.fastnn", *([people] if command == "predict" else [])
    )


@pytest.mark.parametrize(
    "damage",
    [3, {}, {"preprocessing": 3}, {"preprocessing": {"task": "regression"}}, "swapped columns"],
)
def test_models_with_a_damaged_preprocessing_are_refused(damage, people, capsys):
    train(people, "--epochs", 1)
    capsys.readouterr()
    structure, arrays = serialization.load("model.fastnn")
    if damage == "swapped columns":
        structure["metadata"]["model"]["preprocessing"]["encoder"]["columns"].pop()
    else:
        structure["metadata"]["model"] = damage
    serialization.save("hostile.fastnn", structure, arrays)
    assert "hostile.fastnn: damaged" in refusal(capsys, "info", "hostile.fastnn")


def test_facts_of_the_wrong_kind_do_no_harm(people, capsys):
    train(people, "--epochs", 1)
    structure, arrays = serialization.load("model.fastnn")
    structure["metadata"]["model"] |= {"data": [1], "results": {"train": 3, "test": {"loss": "x"}}}
    serialization.save("odd.fastnn", structure, arrays)
    assert run("info", "odd.fastnn") == 0


def test_debug_shows_the_traceback():
    with pytest.raises(FileNotFoundError):
        run("--debug", "train", "none.csv")
