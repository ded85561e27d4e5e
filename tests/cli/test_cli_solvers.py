"""``fastnn train --optimizer`` with solvers, which train on all rows at once."""

from __future__ import annotations

import re

import numpy as np
import pytest
from commands import refusal, run, write_csv

import fastnn
from fastnn import solvers
from fastnn.cli import SOLVERS


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def waves():
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, 120)
    write_csv("waves.csv", ("x", "y"), x, np.sin(x) + rng.normal(scale=0.05, size=120))
    return "waves.csv"


def train(*words):
    assert run("train", *words, "--quiet", "--plot", "none", "--seed", 1) == 0


def test_the_solvers_of_the_command_are_those_there_are():
    assert set(SOLVERS) == {cls.name for cls in (solvers.LBFGS, solvers.LevenbergMarquardt)}


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_fits_a_regression(waves, capsys, name):
    words = ("--hidden", 8, "--activation", "tanh", "--dtype", "float64", "--epochs", 60)
    train(waves, *words, "--optimizer", name)
    out = capsys.readouterr().out
    net = fastnn.load("model.fastnn")
    assert net.optimizer.name == name
    assert re.search(rf"^training +{name}, all rows at once, seed 1$", out, re.M)
    assert re.search(r"^iterations +\d+ of 60", out, re.M)
    assert "samples a second" not in out
    r2 = float(re.search(r"^train .* (\S+)$", out, re.M)[1])
    assert r2 > 0.98


def test_lbfgs_classifies(capsys):
    train("--dataset", "iris", "--optimizer", "lbfgs", "--epochs", 30, "--l2", 1e-3)
    accuracy = float(re.search(r"^train .* (\S+)$", capsys.readouterr().out, re.M)[1])
    assert accuracy > 0.95


def test_the_reason_why_a_solver_ended_is_reported(waves, capsys):
    train(waves, "--hidden", "none", "--optimizer", "lbfgs", "--dtype", "float64", "--patience", 0)
    assert re.search(r"^iterations +\d+ of 100, converged", capsys.readouterr().out, re.M)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(
    "words",
    [
        ("--batch-size", 32), ("--learning-rate", 0.1), ("--schedule", "cosine"),
        ("--dropout", 0.5),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_options_of_single_steps_are_refused(waves, capsys, name, words):
    said = refusal(capsys, "train", waves, "--optimizer", name, *words)
    assert f"{words[0]} does not go with --optimizer {name}" in said


def test_levenberg_marquardt_is_for_regression(capsys):
    said = refusal(capsys, "train", "--dataset", "iris", "--optimizer", "levenberg_marquardt")
    assert "levenberg_marquardt is for regression" in said
    assert "3 classes" in said


def test_levenberg_marquardt_says_when_a_network_is_too_large(waves, capsys):
    words = ("--optimizer", "levenberg_marquardt", "--hidden", "100,100", "--plot", "none")
    assert "at most 5,000 trainable" in refusal(capsys, "train", waves, *words)


def test_batches_have_32_rows_by_default(waves, capsys):
    train(waves, "--epochs", 1)
    assert "batches of 32" in capsys.readouterr().out
