"""Bad input, read from Python and by the command: handled, or refused with the cell or column."""

import io
import time
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest
from commands import refusal, run

from fastnn import tabular
from fastnn.tabular import DataError
from fastnn.tabular.files import read_table

SMALL = tabular.Recipe(hidden=(4,), folds=1, epochs=1, refit=False, simple_models=False)

pytestmark = pytest.mark.usefixtures("elsewhere")


@dataclass(frozen=True)
class Case:
    """A file with the target y: its lines, and the start of the message; "" for a model."""

    header: str
    lines: list[str]
    message: str = ""

    def write(self, name="data.csv"):
        with open(name, "w", encoding="utf-8") as file:
            file.write("\n".join([self.header, *self.lines]) + "\n")
        return name


def case(cells, message="", header="a,b,y", rows=40, **others):
    """A case of rows ``cells(i)``; ``row_3="x"`` is another row number 3, counted from 0."""
    lines = [cells(i) for i in range(rows)]
    for name, line in others.items():
        lines[int(name.removeprefix("row_"))] = line
    return Case(header, lines, message)


def plain(i):
    return f"{i / 3},{i % 5},{i / 4}"


def empty_target(i):
    return f"{i / 3},{i % 5},"


CASES = {
    "a long row": case(plain, "data.csv, line 8: 4 columns, expected 3", row_6="1,2,3,4"),
    "a short row": case(plain, "data.csv, line 8: 2 columns, expected 3", row_6="1,2"),
    "an open quote": case(plain, "data.csv, line 41: ", row_39='"1,2,3'),
    "text among numbers": case(plain, "data.csv, line 8, column 'a': 'oops'", row_6="oops,1,2"),
    "text among numbers of the target": case(
        plain, "data.csv, line 8, column 'y': 'oops'", row_6="1,1,oops"
    ),
    "an infinite number": case(plain, "data.csv, line 8, column 'a': inf", row_6="inf,1,2"),
    "an infinite target": case(plain, "data.csv, line 8, column 'y': inf", row_6="1,1,inf"),
    "huge numbers": case(
        lambda i: f"{'-' * (i % 2)}1e308,{i % 5},{i / 4}", "data.csv, column 'a': the numbers are"
    ),
    "targets missing": case(lambda i: plain(i) if i % 4 else empty_target(i)),
    "no target": case(empty_target, "data.csv: the target column 'y' has no value in any row"),
    "one class": case(
        lambda i: f"{i / 3},{i % 5},x", "data.csv: the target column 'y' has one class only, 'x'"
    ),
    "a class for each row": case(lambda i: f"{i / 3},{i % 5},x{i}"),
    "a column without values": case(lambda i: f",{i % 5},{i / 4}"),
    "a constant column": case(lambda i: f"3,{i % 5},{i / 4}"),
    "constant columns alone": case(
        lambda i: f"3,,{i / 4}", "data.csv has no column to learn from: column role why"
    ),
    "two columns of one name": case(plain, "data.csv has 2 columns called 'a'", "a,a,y"),
    "a target of two columns": case(plain, "data.csv has 2 columns called 'y'", "a,y,y"),
    "10,000 categories": case(lambda i: f"c{i % 10_000},{i % 5},{i / 4}", rows=12_000),
    "one row": case(plain, "1 row with 0 for validation and 1 for test leaves none", rows=1),
    "a header alone": case(plain, "data.csv has a header but no rows", rows=0),
    "dates before 1678": case(lambda i: f"{1000 + 20 * i}-01-02,{i % 5},{i / 4}"),
    "several time zones": case(
        lambda i: f"2024-01-{i % 28 + 1:02}T10:00{('Z', '+02:00')[i % 2]},{i % 5},{i / 4}"
    ),
    "a time without a zone": case(
        lambda i: f"2024-01-01T12:{i:02}Z,{i % 5},{i / 4}",
        "data.csv, line 8, column 'a': '2024-01-01T06:00' has no time zone, unlike '2024-01-01T12",
        row_6="2024-01-01T06:00,1,2",
    ),
    "a long cell": case(lambda i: f"k{i % 3},{i % 5},{i / 4}", row_6=f"{'z' * 3_000_000},1,2"),
}


def trained(table):
    return tabular.fit(table, "y", preset=SMALL, test=0.2)


@pytest.mark.filterwarnings("ignore:.*that the training did not have")
@pytest.mark.parametrize("name", CASES)
def test_python_handles_or_refuses_it(name):
    chosen = CASES[name]
    path = chosen.write()
    if chosen.message:
        with pytest.raises(DataError) as caught:
            trained(read_table(path))
        assert " ".join(str(caught.value).split()).startswith(chosen.message)
    else:
        assert len(trained(read_table(path)).predict(read_table(path))) == len(chosen.lines)


@pytest.mark.parametrize("name", CASES)
def test_the_command_handles_or_refuses_it(name, capsys):
    chosen = CASES[name]
    words = ("train", chosen.write(), "--preset", "fast", "--time-limit", "0.3", "--plot", "none")
    if chosen.message:
        assert refusal(capsys, *words).startswith(f"fastnn: error: {chosen.message}")
    else:
        assert run(*words, "--quiet") == 0
        capsys.readouterr()
        assert run("predict", "model.fastnn", "data.csv") == 0
        assert capsys.readouterr().out.count("\n") == len(chosen.lines) + 1


def test_rows_without_a_target_are_counted(capsys):
    path = CASES["targets missing"].write()
    assert trained(read_table(path)).facts["rows_without_target"] == 10
    assert run("train", path, "--preset", "fast", "--time-limit", "0.3", "--plot", "none") == 0
    assert "10 without a target dropped" in " ".join(capsys.readouterr().out.split())


def test_npz_of_lzma_is_read():
    X = np.arange(80.0).reshape(40, 2) % 7
    with zipfile.ZipFile("data.npz", "w", zipfile.ZIP_LZMA) as archive:
        for name, array in {"X": X, "y": X[:, 0] / 3}.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{name}.npy", buffer.getvalue())
    assert len(trained(read_table("data.npz")).predict(read_table("data.npz"))) == 40
    assert run("train", "data.npz", "--preset", "fast", "--time-limit", "0.3", "--quiet") == 0


def seconds_of_training(n_columns):
    """CPU seconds from the file to the model; the smaller of two runs."""
    names = [f"c{i}" for i in range(n_columns)]
    lines = [",".join([*(str(i * j % 7) for i in range(n_columns)), str(j)]) for j in range(1, 9)]
    path = Case(",".join([*names, "y"]), lines).write("wide.csv")
    times = []
    for _ in range(2):
        start = time.process_time()
        trained(read_table(path))
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.exhaustive
def test_50_000_columns_take_linear_time():
    assert seconds_of_training(50_000) < 20 * seconds_of_training(5_000)
