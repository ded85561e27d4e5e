"""The command: its output, files and exit codes; `test_cli_refusals` has the errors."""

import csv
import importlib.util
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
from commands import run, train
from threadpoolctl import threadpool_info, threadpool_limits

import fastnn
from fastnn import optimizers, serialization
from fastnn.cli import OPTIMIZERS, _bench, _demo, _text, main
from fastnn.tabular.datasets import load
from fastnn.tabular.files import read_csv
from fastnn.tabular.preprocessing import Preprocessor
from fastnn.tabular.splitting import split_rows

pytestmark = pytest.mark.usefixtures("elsewhere")


def predictions(text):
    return list(csv.DictReader(io.StringIO(text)))


def blas_pools():
    """The thread pools of linear algebra libraries in this process."""
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]


def cells(text, first):
    """The cells of the line of a table that begins with a word."""
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [first]]
    return line.split()[1:]


# --------------------------------------------------------------------------- train


def test_train_writes_a_model_and_its_learning_curve(backend, capsys):
    assert run("train", "--dataset", "iris", "--epochs", 5) == 0
    assert isinstance(fastnn.load("model.fastnn"), fastnn.Sequential)
    with open("model.png", "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    out, err = capsys.readouterr()
    assert "model.fastnn" in out
    assert "epoch 5/5" in err  # the progress bar


def test_quiet_leaves_the_bar_out(capsys):
    train("--dataset", "iris", "--epochs", 2)
    assert not capsys.readouterr().err


def test_train_learns_a_table_with_text(backend, people, capsys):
    train(people, "--epochs", 60, "--learning-rate", 0.01)
    assert float(cells(capsys.readouterr().out, "test")[-1]) > 0.9


def test_train_learns_regression(backend, houses, capsys):
    train(houses, "--epochs", 60, "--learning-rate", 0.01)
    assert float(cells(capsys.readouterr().out, "test")[-1]) > 0.9


def test_the_table_holds_what_the_network_scores(capsys):
    train("--dataset", "wine", "--epochs", 8, "--seed", 3)
    out = capsys.readouterr().out
    table = load("wine").table()
    y = Preprocessor.fit(table, "target").targets(table)
    for part, rows in zip(
        ("train", "validation", "test"), split_rows(len(y), 0.15, 0.15, 3, y), strict=True
    ):
        preprocessor = Preprocessor.fit(
            table, "target", rows=split_rows(len(y), 0.15, 0.15, 3, y)[0]
        )
        scores = fastnn.load("model.fastnn").evaluate(preprocessor.features(table)[rows], y[rows])
        expected = [f"{len(rows)}", f"{scores['loss']:.4f}", f"{scores['accuracy']:.4f}"]
        assert cells(out, part) == expected


def test_regression_is_reported_standardised_and_in_the_unit_of_the_target(houses, capsys):
    train(houses, "--epochs", 20, "--l2", 0.1, "--validation", 0, "--test", 0)
    out = capsys.readouterr().out
    assert re.search(r"rows +MSE \(standardised\) +RMSE \(units of target\) +R2$", out, re.M)
    assert run("predict", "model.fastnn", houses, "--output", "out.csv", "--score") == 0
    price = read_csv(houses).column("price").values
    errors = read_csv("out.csv").column("prediction").values - price
    mse, rmse = np.mean(errors**2) / price.var(), np.sqrt(np.mean(errors**2))
    shown = [float(cell) for cell in cells(out, "train")[1:3]]
    assert shown == pytest.approx([mse, rmse], rel=1e-3)
    assert f"RMSE (units of target) {cells(out, 'train')[2]}" in capsys.readouterr().err
    assert run("info", "model.fastnn") == 0
    assert cells(capsys.readouterr().out, "train") == cells(out, "train")


def test_the_options_build_the_network():
    train(
        "--dataset", "iris", "--hidden", "7,5", "--activation", "tanh", "--dropout", 0.25,
        "--optimizer", "momentum", "--learning-rate", 0.125, "--l2", 0.5, "--dtype", "float64",
        "--seed", 9, "--epochs", 3, "--patience", 0, "--batch-size", 20,
    )  # fmt: skip
    net = fastnn.load("model.fastnn")
    assert [repr(layer) for layer in net.layers] == [
        "Dense(4, 7, activation='tanh')", "Dropout(rate=0.25)",
        "Dense(7, 5, activation='tanh')", "Dropout(rate=0.25)", "Dense(5, 3)",
    ]  # fmt: skip
    assert net.optimizer == optimizers.Momentum(0.125)
    assert (net.program.l2, net.dtype, net.seed, net.history.epochs) == (0.5, np.float64, 9, 3)


@pytest.mark.parametrize(
    ("name", "schedule", "words"),
    [
        ("cosine", fastnn.Cosine, "learning rate 0.001 to 0"),
        ("flat_cosine", fastnn.FlatCosine, "learning rate 0.001 to 0"),
        ("cosine_log", fastnn.CosineLog, "learning rate 0.001 in 4 waves to 0"),
    ],
)
def test_falling_schedule_ends_with_the_last_epoch(name, schedule, words, capsys):
    train("--dataset", "iris", "--epochs", 4, "--schedule", name, "--batch-size", 53)
    steps = 4 * 2  # of 106 rows
    assert fastnn.load("model.fastnn").optimizer == optimizers.Adam(schedule(1e-3, steps))
    assert words in capsys.readouterr().out


def test_plateau_schedule_decreases_the_rate(capsys):
    train(
        "--dataset", "wine", "--epochs", 60, "--schedule", "plateau", "--learning-rate", 0.5,
        "--plateau-patience", 1, "--plateau-factor", 0.5,
    )  # fmt: skip
    rates = fastnn.load("model.fastnn").history["learning_rate"]
    assert rates[-1] < 0.5
    assert f"learning rate 0.5 to {rates[-1]:g}, batches of 32" in capsys.readouterr().out


def test_class_weights_and_their_mean_are_options(capsys):
    words = ("--dataset", "wine", "--epochs", 2, "--class-weight", "balanced")
    parameters = {}
    for mean in ("data", "batch", "count"):
        train(*words, "--weights-mean", mean)
        parameters[mean] = fastnn.load("model.fastnn").get_flat()
    # The mean of balanced weights over all rows is 1: "data" and "count" differ by rounding alone.
    np.testing.assert_allclose(parameters["data"], parameters["count"], rtol=1e-3, atol=1e-5)
    assert not np.allclose(parameters["data"], parameters["batch"], rtol=1e-3, atol=1e-5)
    assert "balanced classes" in capsys.readouterr().out


def test_hidden_none_is_a_linear_model():
    train("--dataset", "iris", "--epochs", 1, "--hidden", "none")
    assert len(fastnn.load("model.fastnn").layers) == 1


def test_patience_ends_the_training(capsys):
    train("--dataset", "wine", "--epochs", 500, "--patience", 2, "--learning-rate", 0.05)
    assert "stopped early" in capsys.readouterr().out
    assert fastnn.load("model.fastnn").history.epochs < 500


def test_without_validation_there_is_no_early_stopping(capsys):
    train("--dataset", "iris", "--epochs", 30, "--validation", 0, "--test", 0)
    out = capsys.readouterr().out
    assert cells(out, "train")[0] == "150"
    assert "validation" not in out
    assert "30 of 30" in out


def test_the_same_seed_gives_the_same_model():
    for name in ("a", "b"):
        train("--dataset", "iris", "--epochs", 3, "--output", name)
    np.testing.assert_array_equal(*(fastnn.load(name).get_flat() for name in ("a", "b")))


@pytest.mark.parametrize("target", ["city", "2"])
def test_the_target_may_be_any_column(people, target, capsys):
    train(people, "--target", target, "--epochs", 1)
    assert "target 'city' (3 classes)" in capsys.readouterr().out


@pytest.mark.parametrize("delimiter", ["\t", r"\t", "tab"])
def test_a_tab_can_be_named(delimiter, capsys):
    with open("data.txt", "w", encoding="utf-8") as file:
        file.write("a,1\tb\n" + "1\t2\n3\t4\n" * 10)
    train("data.txt", "--epochs", 1, "--header", "--delimiter", delimiter)
    assert "target 'b'" in capsys.readouterr().out


def test_a_dropped_column_is_not_looked_at(people, capsys):
    train(people, "--drop", "city", "--epochs", 1)
    assert "240 rows, 1 columns, target 'label'" in capsys.readouterr().out


def test_columns_of_numbers_can_be_taken_for_text(houses):
    train(houses, "--text", "rooms", "--epochs", 1)
    assert fastnn.load("model.fastnn").layers[0].n_in == 1 + 6  # the area and six numbers of rooms


def test_the_task_can_be_set(houses, capsys):
    train(houses, "--target", "rooms", "--epochs", 1)
    assert "(6 classes)" in capsys.readouterr().out
    train(houses, "--target", "rooms", "--task", "regression", "--epochs", 1)
    assert "(regression)" in capsys.readouterr().out


def test_train_and_predict_take_npz(capsys):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    np.savez("data.npz", X=X, y=np.where(X[:, 0] > 0, "up", "down"))
    train("data.npz", "--epochs", 40, "--learning-rate", 0.01)
    capsys.readouterr()
    assert run("predict", "model.fastnn", "data.npz", "--score") == 0
    out, err = capsys.readouterr()
    right = [row["prediction"] for row in predictions(out)] == np.where(X[:, 0] > 0, "up", "down")
    assert f"accuracy {right.mean():.4f}" in err
    assert right.mean() > 0.9


def test_every_optimizer_of_the_command_is_known():
    assert {optimizers.get(name).name for name in OPTIMIZERS} == set(OPTIMIZERS)


def test_the_curve_is_written_to_the_path_of_the_option():
    assert run("train", "--dataset", "iris", "--epochs", 2, "--quiet", "--plot", "c.svg") == 0
    with open("c.svg", encoding="utf-8") as file:
        assert "<svg" in file.read()


def test_without_matplotlib_the_model_is_written_all_the_same(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    assert run("train", "--dataset", "iris", "--epochs", 1, "--quiet") == 0
    assert "fastnn[plot]" in capsys.readouterr().err
    assert sorted(os.listdir()) == ["model.fastnn"]


def test_the_model_file_is_text_and_numbers(people):
    train(people, "--epochs", 1)
    with open("model.fastnn", "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    assert header["__metadata__"]["format"] == "fastnn"


# ------------------------------------------------------------------------- predict


def test_predict_names_the_classes_of_each_row(people, capsys):
    train(people, "--epochs", 60, "--learning-rate", 0.01)
    capsys.readouterr()
    assert run("predict", "model.fastnn", people) == 0
    labels = [row["prediction"] for row in predictions(capsys.readouterr().out)]
    assert np.mean(labels == read_csv(people).column("label").to_numpy()) > 0.9


def test_predict_is_that_of_the_network(people, capsys):
    train(people, "--epochs", 2)
    capsys.readouterr()
    assert run("predict", "model.fastnn", people, "--proba") == 0
    rows = predictions(capsys.readouterr().out)
    table = read_csv(people)
    structure, _ = serialization.load("model.fastnn")
    preprocessor = Preprocessor.from_dict(structure["metadata"]["model"]["preprocessing"])
    expected = fastnn.load("model.fastnn").predict_proba(preprocessor.features(table))
    shown = [[float(row["probability_no"]), float(row["probability_yes"])] for row in rows]
    np.testing.assert_allclose(shown, expected, rtol=1e-5)


def test_predict_gives_regression_in_the_units_of_the_data(houses, capsys):
    train(houses, "--epochs", 60, "--learning-rate", 0.01)
    assert run("predict", "model.fastnn", houses, "--output", "out.csv") == 0
    prices = read_csv("out.csv").column("prediction").values
    true = read_csv(houses).column("price").values
    assert np.corrcoef(prices, true)[0, 1] > 0.95
    assert abs(prices.mean() / true.mean() - 1) < 0.05


def test_predict_needs_no_target_and_ignores_further_columns(people, capsys):
    train(people, "--epochs", 2)
    with open("new.csv", "w", encoding="utf-8") as file:
        file.write("city,note,age\nUlm,,30\nRom,NA,50\n")
    capsys.readouterr()
    assert run("predict", "model.fastnn", "new.csv") == 0
    assert len(predictions(capsys.readouterr().out)) == 2


def test_predict_takes_text_that_looks_like_a_number(capsys):
    with open("sizes.csv", "w", encoding="utf-8") as file:
        file.write("size,y\n" + "1,a\n2,b\nmany,b\n" * 10)
    train("sizes.csv", "--text", "size", "--epochs", 2)
    with open("new.csv", "w", encoding="utf-8") as file:
        file.write("size\n1\n2\n")
    capsys.readouterr()
    assert run("predict", "model.fastnn", "new.csv") == 0


def test_predict_takes_a_network_saved_from_python(capsys):
    net = fastnn.Sequential([fastnn.Dense(2, 3)])
    net.compile("cross_entropy")
    net.save("plain.fastnn")
    with open("data.csv", "w", encoding="utf-8") as file:
        file.write("a,b\n1,2\n3,-4\n")
    assert run("predict", "plain.fastnn", "data.csv") == 0
    labels = [int(row["prediction"]) for row in predictions(capsys.readouterr().out)]
    assert labels == net.predict_classes([[1, 2], [3, -4]]).tolist()


# ------------------------------------------------------------------- info and others


def test_info_shows_network_preprocessing_and_history(people, capsys):
    train(people, "--epochs", 7)
    test_line = cells(capsys.readouterr().out, "test")
    assert run("info", "model.fastnn") == 0
    out = capsys.readouterr().out
    assert "Dense(100, 2)" in out
    assert "one of 3 levels: 'Bonn', 'Rom', 'Ulm'" in out
    assert cells(out, "test") == test_line
    assert cells(out, "7")[0] == f"{fastnn.load('model.fastnn').history['loss'][-1]:.4g}"


def test_info_shows_a_network_saved_from_python(capsys):
    fastnn.Sequential([fastnn.Dense(2, 3)]).save("plain.fastnn")
    assert run("info", "plain.fastnn") == 0
    assert "Dense(2, 3)" in capsys.readouterr().out


def test_demo_reads_97_percent_of_its_test_digits(backend, capsys):
    with threadpool_limits(1, "blas"):  # NumPy's threads crawl on a busy machine
        assert run("demo", "--quiet") == 0
    out = capsys.readouterr().out
    assert float(cells(out, "test")[-1]) >= 0.97
    assert sorted(os.listdir()) == ["digits.fastnn", "digits.png"]
    assert "fastnn train data.csv" in out


def test_demo_does_without_characters_the_terminal_lacks(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(_demo, "OPTIONS", _demo.Options(epochs=3, hidden=(20,)))
    assert run("demo", "--quiet") == 0
    out.flush()
    assert b"##" in out.buffer.getvalue()


def test_bench_times_the_backends_that_are_there(capsys, monkeypatch):
    monkeypatch.setattr(_bench, "_QUICK_SECONDS", 1e-3)
    assert run("bench", "--quick") == 0
    out = capsys.readouterr().out
    names = fastnn.backend.available()
    assert out.split()[: len(names)] == list(names)
    assert "training step, 64-256-128-10, batch of 64" in out


@pytest.mark.parametrize(
    ("value", "text"),
    [(6.83, "6.8x"), (1083.4, "1,080x"), (0.456, "0.46x"), (99.96, "100x"), (2e6, "2,000,000x")],
)
def test_ratios_have_no_exponent(value, text):
    assert _text.ratio(value) == text


@pytest.mark.skipif("compiled" not in fastnn.backend.available(), reason="one backend only")
@pytest.mark.parametrize("threads", [1, 2])
def test_bench_gives_both_backends_the_same_threads(threads, capsys, monkeypatch):
    seen = []

    def case(name):
        return _bench.Case(
            name, lambda: seen.append({p["num_threads"] for p in blas_pools()}) or int
        )

    monkeypatch.setattr(_bench, "cases", lambda dtype: iter([case("nothing")]))
    monkeypatch.setattr(_bench, "_QUICK_SECONDS", 1e-3)
    monkeypatch.setattr(fastnn.backend, "get_num_threads", lambda: threads)
    if not blas_pools():
        pytest.skip("NumPy's BLAS tells no threads")
    assert run("bench", "--quick") == 0
    assert seen == [{threads}] * len(seen)
    assert f"up to {threads} thread" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "getloadavg"), reason="the system tells no load")
@pytest.mark.parametrize(("load", "said"), [(0.0, False), (1000.0, True)])
def test_bench_warns_of_a_busy_machine(load, said, capsys, monkeypatch):
    monkeypatch.setattr(_bench, "cases", lambda dtype: iter([_bench.Case("nothing", lambda: int)]))
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    assert run("bench", "--quick") == 0
    out, err = capsys.readouterr()
    assert ("other programs are at work" in err) == said
    assert ("other programs are at work" in out.splitlines()[-1]) == said


@pytest.mark.parametrize("pinned", [False, True])
def test_bench_says_when_numpy_does_not_choose_its_kernels(pinned, capsys, monkeypatch):
    monkeypatch.setattr(_bench, "cases", lambda dtype: iter([_bench.Case("nothing", lambda: int)]))
    for name in _bench._KERNEL_CHOICES:
        monkeypatch.delenv(name, raising=False)
    if pinned:
        monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert run("bench", "--quick") == 0
    assert ("OPENBLAS_CORETYPE set" in capsys.readouterr().err) == pinned


def test_config_says_what_is_in_use(capsys):
    assert run("config") == 0
    assert cells(capsys.readouterr().out, "fastnn") == [fastnn.__version__]


def test_the_bare_command_prints_its_help(capsys):
    assert run() == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("usage: fastnn")
    assert "train a network on a table" in err


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["train", "--help"]])
def test_help_and_version_end_well(words, capsys):
    with pytest.raises(SystemExit) as ending:
        main(words)
    assert ending.value.code == 0
    assert "fastnn" in capsys.readouterr().out


# --------------------------------------------------------------------- as a process


def start(*words, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "fastnn.cli", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options,
    )  # fmt: skip


def test_the_command_runs_as_a_process():
    process = start("train", "--dataset", "iris", "--epochs", 2)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0
    assert cells(out, "train")[0] == "106"
    assert "Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_ctrl_c_saves_what_was_learnt():
    words = ("--patience", 0, "--epochs", 1_000_000, "--plot", "none")
    process = start("train", "--dataset", "iris", *words)
    shown = ""
    while not re.search(r"epoch (?!1/)\d+/", shown):  # the bar: an epoch has ended
        character = process.stderr.read(1)
        assert character, shown
        shown += character
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert "interrupted" in out
    assert "Traceback" not in err
    assert 0 < fastnn.load("model.fastnn").history.epochs < 1_000_000


@pytest.mark.skipif(os.name != "posix", reason="pipes break the POSIX way")
def test_a_reader_that_goes_away_is_no_error():
    np.savez("data.npz", X=np.ones((50_000, 4)))
    fastnn.Sequential([fastnn.Dense(4, 1)]).save("model.fastnn")
    process = start("predict", "model.fastnn", "data.npz")
    process.stdout.close()
    with process.stderr as errors:
        assert not errors.read()
    assert process.wait(timeout=600) == 0
