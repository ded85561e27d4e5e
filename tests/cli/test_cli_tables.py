"""The command on real tables: roles, notations, presets, parts, and results as JSON."""

import gzip
import json
import os
import sys

import numpy as np
import pytest
from commands import refusal, run
from pyarrow import parquet

from fastnn import backend, tabular
from fastnn.tabular.files import read_table

pytestmark = pytest.mark.usefixtures("elsewhere")

HEADER = "id;city;price;when;note"


@pytest.fixture
def flats():
    """A file with an identifier, missing values, prices in euros, dates and NA as a category."""
    rng = np.random.default_rng(0)
    lines = [HEADER]
    for i in range(200):
        city = rng.choice(["Rom", "Ulm", ""])
        price = "" if i % 20 == 0 else f"{1 + i % 3}.{rng.integers(100, 999)},50 €"
        when = f"{1 + i % 28:02}.{1 + i % 12:02}.2024"
        lines.append(f"{i + 1};{city};{price};{when};{rng.choice(['NA', 'None', 'x'])}")
    with open("flats.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return "flats.csv"


EUROS = ("--decimal", ",", "--thousands", ".", "--currency")
NETWORK = ("--epochs", 2, "--plot", "none", "--quiet")
ROLES = ("--target", "price", "--date", "when=%d.%m.%Y", "--drop", "note")


def result(capsys, *words):
    capsys.readouterr()
    assert run(*words) == 0
    return json.loads(capsys.readouterr().out)


def test_roles_and_notations_are_chosen_and_told(flats, capsys):
    said = result(capsys, "train", flats, *ROLES, *EUROS, *NETWORK, "--json")
    assert {row["column"]: row["role"] for row in said["columns"]} == {
        "id": "identifier", "city": "category", "when": "date", "note": "drop"
    }  # fmt: skip
    assert (said["rows"], said["rows_without_target"], said["task"]) == (190, 10, "regression")
    assert set(said["results"]) == {"train", "validation", "test"}
    assert said["baseline"]["rows"] == said["results"]["test"]["rows"]


def test_the_report_shows_roles_and_the_linear_model(flats, capsys):
    assert run("train", flats, *ROLES, *EUROS, *NETWORK) == 0
    out = capsys.readouterr().out
    assert "id      identifier (left out)  a different whole number in each row" in out
    assert "10 without a target dropped" in out
    assert "linear model, test" in out


def test_na_and_none_are_categories(flats, capsys):
    said = result(capsys, "train", flats, "--target", "note", *NETWORK, "--json")
    assert said["classes"] == ["NA", "None", "x"]
    words = ("--missing", "NA", "--json")
    said = result(capsys, "train", flats, "--target", "note", *NETWORK, *words)
    assert said["classes"] == ["None", "x"]


def test_predict_reads_cells_as_the_training_did(flats, capsys):
    assert run("train", flats, "--target", "note", "--drop", "when", *EUROS, *NETWORK) == 0
    capsys.readouterr()
    assert run("predict", "model.fastnn", flats) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 201
    assert not err


@pytest.mark.parametrize("preset", [(), ("--preset", "network", "--epochs", 2, "--plot", "none")])
def test_evaluate_is_that_of_python(flats, preset, capsys):
    assert run("train", flats, *ROLES, *EUROS, "--quiet", "--preset", "fast", *preset) == 0
    said = result(capsys, "evaluate", "model.fastnn", flats, "--json")
    options = {"decimal": ",", "thousands": ".", "currency": True, "text": ["when"]}
    expected = tabular.load("model.fastnn").evaluate(read_table(flats, **options))
    assert said == {"data": "flats.csv", "rows": 190, **expected}


def test_predictions_go_to_parquet_by_the_ending(flats):
    assert run("train", flats, *ROLES, *EUROS, *NETWORK) == 0
    assert run("predict", "model.fastnn", flats, "--output", "out.csv") == 0
    assert run("predict", "model.fastnn", flats, "--output", "out.parquet") == 0
    expected = read_table("out.csv").column("prediction").values
    prediction = parquet.read_table("out.parquet")["prediction"].to_numpy()
    np.testing.assert_allclose(prediction, expected, rtol=1e-8)


WRITTEN = ("whole.csv", "parts.csv")


def test_predictions_of_parts_are_those_of_the_whole(flats, monkeypatch):
    assert run("train", flats, *ROLES, *EUROS, *NETWORK) == 0
    assert run("predict", "model.fastnn", flats, "--output", "whole.csv") == 0
    monkeypatch.setattr("fastnn.tabular.delimited._BLOCK", 64)
    assert run("predict", "model.fastnn", flats, "--output", "parts.csv") == 0
    whole, parts = (read_table(name).column("prediction").values for name in WRITTEN)
    # The compiled backend gives the same bits for any number of rows; products of NumPy do not.
    tolerance = 0 if backend.name() == "compiled" else 1e-6
    np.testing.assert_allclose(parts, whole, rtol=tolerance)


def test_compressed_standard_input_is_predicted(flats, monkeypatch, capsys):
    assert run("train", flats, *ROLES, *EUROS, *NETWORK) == 0
    with open(flats, "rb") as file, open("flats.gz", "wb") as compressed:
        compressed.write(gzip.compress(file.read()))
    capsys.readouterr()
    with open("flats.gz") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert run("predict", "model.fastnn", "-") == 0
    assert len(capsys.readouterr().out.splitlines()) == 201


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_names_of_files_that_are_not_utf_8_cost_no_model(flats, capsys):
    os.rename(flats, "n\udcff.csv")
    words = ("--output", "m\udcff.fastnn")
    assert run("train", "n\udcff.csv", *ROLES, *EUROS, *NETWORK, *words) == 0
    assert run("evaluate", "m\udcff.fastnn", "n\udcff.csv") == 0
    assert "n\\xff.csv" in capsys.readouterr().out


def test_unknown_columns_and_categories_are_told_once(flats, capsys):
    assert run("train", flats, *ROLES, *EUROS, *NETWORK) == 0
    with open(flats, encoding="utf-8") as file:
        text = file.read().replace("Ulm", "Kiel")
    with open("new.csv", "w", encoding="utf-8") as file:
        file.write(text.replace("\n", ";1\n").replace(f"{HEADER};1", f"{HEADER};new"))
    capsys.readouterr()
    assert run("predict", "model.fastnn", "new.csv", "--output", "out.csv") == 0
    err = capsys.readouterr().err
    assert "new.csv: the model does not know 'new', ignored" in err
    assert err.count("with a category that the training did not have") == 1


def test_presets_are_trained_and_shown(flats, capsys):
    said = result(capsys, "train", flats, *ROLES, *EUROS, "--preset", "fast", "--json")
    assert (said["preset"], [*said["results"]]) == ("fast", ["held out", "test"])
    assert run("info", "model.fastnn") == 0
    assert "parameters" in capsys.readouterr().out
    facts = result(capsys, "info", "model.fastnn", "--json")
    assert (facts["preset"], facts["target"]) == ("fast", "price")
    assert 1 <= facts["networks"] <= 3  # a linear and an additive model may join the network


def test_balanced_is_the_preset_of_no_options(capsys):
    words = ("train", "--dataset", "iris", "--time-limit", 1, "--json")
    said = result(capsys, *words)
    assert said["preset"] == "balanced"
    assert not os.path.exists("model.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "fast", "--hidden", "9"), "--hidden goes with --preset network, not with"),
        (("--preset", "fast", "--plot", "x.png"), "--plot goes with --preset network"),
        (("--preset", "best", "--checkpoint", "c"), "--checkpoint goes with --preset network"),
        (("--preset", "network", "--time-limit", "3"), "--time-limit does not go with --preset n"),
        (("--epochs", "3", "--time-limit", "3"), "--preset network, which --epochs implies"),
        (("--time-limit", "-3"), "--time-limit must be"),
        (("--preset", "slow"), "invalid choice: 'slow'"),
        (("--decimal", ";"), "invalid choice: ';'"),
        (("--drop", "city", "--numeric", "city"), "column 'city' has two roles, number and drop"),
        (("--numeric", "city"), "line 2, column 'city': "),
        (("--numeric", "town"), "has no column 'town'"),
        (("--date", "town"), "has no column 'town'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(flats, words, message, capsys):
    with open(flats, encoding="utf-8") as file:
        text = file.read().replace(";;", ";Rom;")
    with open(flats, "w", encoding="utf-8") as file:
        file.write(text)
    assert message in refusal(capsys, "train", flats, "--target", "note", *words)


def test_csv_options_are_refused_for_parquet(flats, capsys):
    import pandas as pd

    pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]}).to_parquet("d.parquet")
    said = refusal(capsys, "train", "d.parquet", "--decimal", ",")
    assert "--decimal is for CSV files, not for Parquet files" in said


def counts_csv():
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    lines = [f"{a:.4f},{n}" for a, n in zip(x, rng.poisson(np.exp(x)), strict=True)]
    with open("counts.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(["x,n", *lines]) + "\n")
    return "counts.csv"


def test_a_loss_is_chosen_and_its_measures_are_reported(capsys):
    data = counts_csv()
    said = result(capsys, "train", data, "--preset", "fast", "--loss", "poisson", "--json")
    assert said["task"] == "regression"
    assert {"deviance", "d2"} <= set(said["results"]["test"]) & set(said["baseline"])
    assert run("evaluate", "model.fastnn", data) == 0
    assert "Poisson deviance" in capsys.readouterr().out


def test_quantiles_are_columns_of_the_predictions(capsys):
    data = counts_csv()
    words = ("--loss", "quantile", "--quantiles", "0.1,0.5,0.95", "--quiet")
    assert run("train", data, "--preset", "fast", *words) == 0
    assert "pinball loss" in capsys.readouterr().out
    assert run("predict", "model.fastnn", data, "--output", "out.csv") == 0
    table = read_table("out.csv")
    assert list(table.columns) == ["quantile_0.1", "quantile_0.5", "quantile_0.95"]
    low, middle, high = (column.to_numpy() for column in table.columns.values())
    assert ((low <= middle) & (middle <= high)).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--quantiles", "0.5"), "--quantiles need --loss quantile"),
        (("--loss", "quantile", "--quantiles", "a,b"), "'a,b' is no list of levels"),
        (("--loss", "huber", "--epochs", "2"), "--loss huber does not go with one dense network"),
    ],
)
def test_a_wrong_loss_is_refused_in_flags(words, message, capsys):
    assert message in refusal(capsys, "train", counts_csv(), *words)


def test_intervals_are_columns_of_the_predictions(capsys):
    data = counts_csv()
    assert run("train", data, "--preset", "fast", "--task", "regression", "--quiet") == 0
    words = ("predict", "model.fastnn", data, "--output", "out.csv", "--interval")
    assert run(*words, 0.8) == 0
    columns = read_table("out.csv").columns
    assert list(columns) == ["prediction", "lower", "upper"]
    assert (columns["lower"].to_numpy() <= columns["upper"].to_numpy()).all()
    capsys.readouterr()
    assert "--interval must be" in refusal(capsys, *words, 1.5)


def test_sets_are_columns_of_the_predictions():
    data = counts_csv()
    assert run("train", data, "--preset", "fast", "--task", "classification", "--quiet") == 0
    words = ("predict", "model.fastnn", data, "--output", "out.csv", "--interval", 0.8)
    assert run(*words) == 0
    columns = read_table("out.csv").columns
    names = [name for name in columns if name.startswith("in_set_")]
    assert np.sum([columns[name].to_numpy() for name in names], axis=0).min() >= 1
