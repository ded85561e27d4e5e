"""The command: errors of the library are sentences, and bugs are called bugs."""

import sys

import pytest
from commands import refusal, run

import fastnn

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def failing(monkeypatch):
    """Let the training of a table raise an error."""

    def failing(error):
        def fail(*arguments, **options):
            raise error

        monkeypatch.setattr("fastnn.cli._commands.training_table", fail)

    return failing


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("can't start new thread"),
        OverflowError("the numbers are too large"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        ImportError("no such library"),
        OSError(28, "No space left on device", "model.fastnn"),
        fastnn.FormatError("m.fastnn: damaged"),
    ],
)
def test_errors_of_the_library_are_one_line(error, failing, capsys):
    failing(error)
    assert str(error.args[-1 if isinstance(error, OSError) else 0]).split()[0] in refusal(
        capsys, "train", "--dataset", "iris"
    )


def test_lack_of_memory_is_one_line(failing, capsys):
    failing(MemoryError())
    assert refusal(capsys, "train", "--dataset", "iris") == "fastnn: error: not enough memory\n"


@pytest.mark.parametrize(
    "error", [KeyError("x"), AttributeError("x"), AssertionError(), IndexError()]
)
def test_a_bug_is_called_a_bug(error, failing, capsys):
    failing(error)
    assert run("train", "--dataset", "iris") == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert "this is a bug of fastnn" in said.splitlines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
@pytest.mark.parametrize("name", ["m\udcff.fastnn", "n\udc80.parquet", "o\udcfe.csv", "p\udcfe"])
def test_every_output_may_have_a_name_that_is_not_utf_8(name, capsys):
    words = ("--preset", "network", "--epochs", "1")
    assert run("train", "--dataset", "iris", *words, "--output", name) == 0
    assert "iris" in capsys.readouterr().out
    assert run("train", "--dataset", "iris", *words, "--output", name, "--json") == 0
    assert run("info", name) == 0
    assert run("info", name, "--json") == 0
    with open("data.csv", "w", encoding="utf-8") as file:
        names = fastnn.tabular.load(name).decisions.names
        print(",".join(names), ",".join(["1"] * len(names)), sep="\n", file=file)
    for output in ("out" + name, "out" + name + ".parquet"):
        assert run("predict", name, "data.csv", "--output", output) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_curve_and_checkpoint_may_have_names_that_are_not_utf_8():
    pytest.importorskip("matplotlib")
    words = ("--epochs", "2", "--plot", "c\udcff.png", "--checkpoint", "k\udcff")
    assert run("train", "--dataset", "iris", *words) == 0


def test_what_was_tried_is_shown(capsys):
    words = ("train", "--dataset", "iris", "--preset", "fast", "--search", "3")
    assert run(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(i for i, line in enumerate(lines) if "what was tried" in line)
    rows = [line for line in lines[first + 1 : lines.index("", first)]]
    assert sum(row.startswith("network") for row in rows) == 3


def test_the_weights_of_what_was_tried_have_the_sum_1(capsys):
    import json

    words = ("train", "--dataset", "iris", "--preset", "fast", "--search", "2", "--json", "--quiet")
    assert run(*words) == 0
    trials = json.loads(capsys.readouterr().out)["trials"]
    assert sum(trial["weight"] for trial in trials) == pytest.approx(1)
    assert all(trial["held_out_loss"] > 0 for trial in trials)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "network", "--search", "3"), "--search does not go with --preset network"),
        (("--preset", "fast", "--search", "0"), "--search must be an integer >= 1, got 0"),
        (("--epochs", "3", "--search", "3"), "--preset network, which --epochs implies"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(words, message, capsys):
    assert message in refusal(capsys, "train", "--dataset", "iris", *words)
