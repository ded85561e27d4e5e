"""Tables from files of every kind: compression, pipes, notations, parts, and damage."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import sys
import threading
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from fastnn.tabular import DataError, Numbers, Texts, Times, as_table, decide, read_table
from fastnn.tabular.cells import Notation
from fastnn.tabular.delimited import CsvFormat, DelimitedFile
from fastnn.tabular.files import open_table
from fastnn.tabular.sources import Source

TEXT = b"a,b\n1,x\n,y\n3,\n"
FRAME = pd.DataFrame({"a": [1.0, None, 3.0], "b": ["x", "y", None]})


@pytest.fixture
def write(tmp_path):
    """Writes bytes or text to a file and returns its path."""

    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(params=["pyarrow", "csv"])
def reader(request, monkeypatch):
    """Both readers of CSV files."""
    if request.param == "csv":
        monkeypatch.setattr("fastnn.tabular.delimited.util.find_spec", lambda name: None)
    return request.param


def content(table):
    """Names, kinds and values, as nan-proof text."""
    return {name: (type(c), c.to_numpy().tolist().__repr__()) for name, c in table.columns.items()}


EXPECTED = {"a": (Numbers, "[1.0, nan, 3.0]"), "b": (Texts, "['x', 'y', None]")}


def zstandard(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as file:
        file.write(data)
    return sink.getvalue().to_pybytes()


COMPRESSIONS = [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard]


@pytest.mark.parametrize("compress", COMPRESSIONS, ids=lambda f: f.__module__ + f.__name__)
def test_compressed_files_are_read(write, reader, compress):
    assert content(read_table(write(compress(TEXT)))) == EXPECTED


@pytest.mark.parametrize("compress", COMPRESSIONS[1:], ids=lambda f: f.__module__ + f.__name__)
def test_damaged_compressed_files_are_refused_by_name(write, compress):
    damaged = compress(TEXT * 10_000)
    damaged = damaged[: len(damaged) // 2]
    with pytest.raises((DataError, OSError), match=r"data\.csv|"):
        read_table(write(damaged))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("compress", COMPRESSIONS, ids=lambda f: f.__module__ + f.__name__)
def test_pipes_are_read(tmp_path, reader, compress):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(compress(TEXT),))
    thread.start()
    table = read_table(path)
    thread.join()
    assert content(table) == EXPECTED
    assert table.where(1, "a") == "pipe, row 2, column 'a'"


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_standard_input_is_read(tmp_path, monkeypatch, reader, compress):
    path = tmp_path / "data"
    path.write_bytes(compress(TEXT))
    with open(path) as file:
        monkeypatch.setattr(sys, "stdin", file)
        table = read_table("-")
    assert content(table) == EXPECTED
    assert table.name == "standard input"


def test_closed_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match="standard input is closed"):
        read_table("-")


@pytest.mark.parametrize("url", ["https://example.org/a.csv", "s3://bucket/a.parquet", "FTP://x/y"])
def test_urls_are_refused_with_the_way_out(url):
    with pytest.raises(DataError, match="is a URL; download the file first"):
        read_table(url)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_file_names_need_not_be_utf_8(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"n\xff.csv")
    with open(path, "wb") as file:
        file.write(TEXT)
    table = read_table(os.fsdecode(path))
    assert table.name == "n\\xff.csv"
    table.name.encode("utf-8")


# --------------------------------------------------------------- Parquet, Feather


def test_parquet_and_feather_are_read(tmp_path):
    FRAME.to_parquet(tmp_path / "d.parquet")
    FRAME.to_feather(tmp_path / "d.feather")
    for name in ("d.parquet", "d.feather"):
        assert content(read_table(tmp_path / name)) == EXPECTED
        assert list(read_table(tmp_path / name, columns=["b"])) == ["b"]


def test_the_index_in_a_parquet_file_is_ignored(tmp_path):
    FRAME.set_index(pd.Index([5, 6, 7])).to_parquet(tmp_path / "d.parquet")
    assert content(read_table(tmp_path / "d.parquet")) == EXPECTED


@pytest.mark.parametrize("name", ["d.parquet", "d.feather", "d.npz"])
def test_other_contents_than_the_ending_says_are_refused(write, name):
    with pytest.raises(DataError, match=rf"{name} is (no|not an) "):
        read_table(write(TEXT, name))


@pytest.mark.parametrize("name", ["d.parquet", "d.feather"])
def test_without_pyarrow_the_extra_is_named(write, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"fastnn\[tables\]"):
        read_table(write(TEXT, name))


def test_dates_of_parquet_may_be_before_1678(tmp_path):
    parquet.write_table(
        pa.table({"t": pa.array([-(10**9), 10**9], pa.timestamp("s"))}), tmp_path / "d.parquet"
    )
    table = read_table(tmp_path / "d.parquet")
    assert isinstance(table.column("t"), Times)
    assert table.column("t").values[0] == np.datetime64("1938-04-24T22:13:20")


def test_options_of_csv_files_are_refused_for_others(tmp_path):
    FRAME.to_parquet(tmp_path / "d.parquet")
    with pytest.raises(TypeError, match=r"decimal is for CSV files, got d\.parquet"):
        read_table(tmp_path / "d.parquet", decimal=",")


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_an_absent_column_is_named(tmp_path, kind):
    write_file = parquet.write_table if kind == "parquet" else feather.write_feather
    write_file(pa.table(FRAME), str(tmp_path / f"d.{kind}"))
    with pytest.raises(DataError, match=r"has no column 'c'; it has a, b"):
        read_table(tmp_path / f"d.{kind}", columns=["c"])


# ----------------------------------------------------------------------- notation


@pytest.mark.parametrize(
    ("notation", "cell", "expected"),
    [
        (Notation(","), "1,5", 1.5),
        (Notation(","), "-1,5e3", -1500),
        (Notation(","), "1.5", None),
        (Notation(thousands=","), "1,234.5", 1234.5),
        (Notation(thousands=","), "12,34", None),
        (Notation(thousands=","), "1234", 1234),
        (Notation(",", "."), "1.234.567,5", 1234567.5),
        (Notation(thousands=" "), "1 234", 1234),
        (Notation(thousands="'"), "1'234", 1234),
        (Notation(percent=True), "12.5 %", 0.125),
        (Notation(), "12%", None),
        (Notation(currency=True), "$ 12", 12),
        (Notation(currency=True), "-€12.5", -12.5),
        (Notation(currency=True), "12 £", 12),
        (Notation(), "$12", None),
        (Notation(), "1_11", None),
        (Notation(), "١٢", None),
    ],
    ids=str,
)
def test_numbers_are_read_in_their_notation(notation, cell, expected):
    assert notation.number(cell) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decimal": ";"}, "decimal must be"),
        ({"thousands": "ab"}, "thousands must be one sign"),
        ({"thousands": "0"}, "thousands must be one sign"),
        ({"thousands": "."}, "decimal and thousands are both"),
    ],
)
def test_unfit_notations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Notation(**options)


def test_columns_of_a_notation_are_numbers(write, reader):
    path = write('price;share\n"1.234,5 €";12 %\n"NA";7,5%\n')
    options = {"decimal": ",", "thousands": ".", "percent": True, "currency": True}
    table = read_table(path, **options)
    np.testing.assert_array_equal(table.column("price").values, [1234.5, np.nan])
    np.testing.assert_allclose(table.column("share").values, [0.12, 0.075])
    assert isinstance(read_table(path).column("share"), Texts)


def test_a_slip_in_a_notation_is_the_cell_that_is_named(write, reader):
    rows = "".join(f'"{i},5"\n' for i in range(40))
    table = read_table(write(f"a\n{rows}4o\n"), decimal=",")
    with pytest.raises(DataError, match="line 42, column 'a': '4o', expected a number"):
        decide(table)


def test_marks_of_missing_values_can_be_added(write, reader):
    path = write("a,b\n-999,x\n1,none\n2,y\n")
    table = read_table(path, missing=["-999", "none"])
    assert content(table) == {
        "a": (Numbers, "[nan, 1.0, 2.0]"), "b": (Texts, "['x', None, 'y']")
    }  # fmt: skip


@pytest.mark.parametrize("cell", ["9007199254740993", " -9007199254740995 "])
def test_integers_beyond_float64_are_text(write, reader, cell):
    table = read_table(write(f"a\n1\n{cell}\n"))
    assert table.column("a").to_numpy().tolist() == ["1", cell.strip()]
    assert isinstance(read_table(write("a\n1e300\n2\n")).column("a"), Numbers)


# ----------------------------------------------------------------- the two readers

CELL = st.one_of(
    st.sampled_from(["", " ", "NA", "nan", "1", "-2.5", "+3", "1e3", " 7 ", "0x10", "1_1", "inf"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=4),
)


@settings(max_examples=100, deadline=None)
@given(columns=st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=2, max_size=3))
def test_both_readers_give_the_same_table(tmp_path_factory, columns):
    frame = pd.DataFrame({f"c{i}": cells for i, cells in enumerate(columns)})
    path = tmp_path_factory.getbasetemp() / "both.csv"
    frame.to_csv(path, index=False, quoting=1)
    tables = []
    for takes_pyarrow in (True, False):
        file = DelimitedFile(Source(path), CsvFormat(delimiter=",", header=True))
        file._takes_pyarrow = takes_pyarrow
        tables.append(content(file.table()))
    assert tables[0] == tables[1]


def test_quotes_behind_a_space_are_quotes(write):
    assert content(read_table(write('a, b\n1, "x, y"\n2, "z"\n')))["b"][1] == "['x, y', 'z']"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_encodings_are_read(write, reader, encoding):
    path = write("ä,b\nö,1\nü,2\n".encode(encoding))
    table = read_table(path, encoding=encoding)
    assert content(table)["ä"][1] == "['ö', 'ü']"


# -------------------------------------------------------------------------- parts


def test_parts_are_the_rows_of_the_whole(write, reader, monkeypatch):
    monkeypatch.setattr("fastnn.tabular.delimited._BATCH", 7)
    monkeypatch.setattr("fastnn.tabular.delimited._BLOCK", 64)
    monkeypatch.setattr("fastnn.tabular.delimited._ROWS_OF_BLOCK", 1)
    rows = "".join(f"{i},t{i % 5}\n" for i in range(500))
    path = write(f"a,b\n{rows}")
    parts = list(open_table(path).batches())
    assert len(parts) > 3
    values = np.concatenate([part.column("a").values for part in parts])
    np.testing.assert_array_equal(values, np.arange(500))
    assert parts[-1].where(len(parts[-1]) - 1, "a") == "data.csv, line 501, column 'a'"


def test_parts_of_parquet_and_npz(tmp_path):
    FRAME.to_parquet(tmp_path / "d.parquet")
    np.savez(tmp_path / "d.npz", X=np.eye(3))
    for name, rows in (("d.parquet", 3), ("d.npz", 3)):
        assert sum(map(len, open_table(tmp_path / name).batches())) == rows


# ---------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data.csv is empty"),
        ("\n \n", "data.csv is empty"),
        ("a,b\n", "has a header but no rows"),
        ("a,b\n1,2\n3\n", "data.csv, line 3: 1 columns, expected 2 as in the first line"),
        ("a,b\n\n1,2\n3,4,5\n", "data.csv, line 4: 3 columns, expected 2"),
        ('a,b\n1,"x\ny"\n3\n', "data.csv, line 4: 1 columns, expected 2"),
        ("a,a\n1,2\n", "data.csv has 2 columns called 'a'"),
        (b"a,b\nx\xff,1\n", "data.csv is not utf-8 text"),
        (b"\x89PNG\r\n\x1a\n", "data.csv is not utf-8 text"),
    ],
)
def test_malformed_files_are_refused(write, reader, text, message):
    path = write(text)
    with pytest.raises(DataError, match=message):
        read_table(path)
    with pytest.raises(DataError, match=message):
        list(open_table(path).batches())


def test_a_long_cell_is_read(write):
    table = read_table(write("a,b\n1,x\n2," + "y" * 3_000_000 + "\n3,z\n"))
    assert len(table.column("b").levels[1]) == 3_000_000


def test_wide_files_are_read(write):
    names = ",".join(f"c{i}" for i in range(5000))
    row = ",".join(["1.5"] * 5000)
    table = read_table(write(f"{names}\n{row}\n{row}\n"))
    assert len(list(table)) == 5000


def test_npz_files_may_be_compressed_by_lzma(tmp_path):
    path = tmp_path / "d.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        buffer = io.BytesIO()
        np.save(buffer, np.eye(50))
        archive.writestr("X.npy", buffer.getvalue())
    assert len(read_table(path)) == 50
    data = bytearray(path.read_bytes())
    data[60:120] = b"\xff" * 60
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"d\.npz cannot be read"):
        read_table(path)


def test_dates_before_1678_and_of_several_zones_are_dates(write, reader):
    text = "day,moment\n1500-01-02,2024-01-01T10:00Z\n2024-05-01,2024-01-01T10:00+02:00\n"
    table = read_table(write(text))
    assert [row.role for row in decide(table)] == ["date", "date"]


def test_one_row_is_a_table_of_constants(write, reader):
    assert [row.role for row in decide(read_table(write("a,b\n1,x\n")))] == ["constant"] * 2


def test_a_column_without_cells_is_constant(write, reader):
    assert decide(read_table(write("a,b\n,1\n,2\n")))["a"].role == "constant"


def test_files_are_equal_to_the_frames_they_were_written_from(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "c": rng.choice(["a", "b", "NA"], 200)})
    frame.to_csv(tmp_path / "d.csv", index=False)
    frame.to_parquet(tmp_path / "d.parquet")
    expected = content(as_table(frame))
    assert content(read_table(tmp_path / "d.csv")) == expected
    assert content(read_table(tmp_path / "d.parquet")) == expected


LATE_CELLS = ["x", "9007199254740993", "+4", " 5 ", "nA", "NaN", "1_000", "inf", "", "2024-05-01"]


@pytest.mark.parametrize("cell", LATE_CELLS)
def test_a_cell_behind_many_numbers_is_read_as_in_front_of_them(cell, write):
    rows = [f"{i},{i / 4}" for i in range(400)]
    late = read_table(write("\n".join(["a,b", *rows, f"{cell},1"])))
    early = read_table(write("\n".join(["a,b", f"{cell},1", *rows])))
    for name in "ab":
        first, last = early.column(name).to_numpy().tolist(), late.column(name).to_numpy().tolist()
        assert type(early.column(name)) is type(late.column(name))
        assert repr(first[1:] + first[:1]) == repr(last)


def test_many_columns_with_a_late_text_are_text(write):
    rows = [",".join(["1"] * 6)] * 300 + [",".join(["x"] * 6)]
    table = read_table(write("\n".join(["a,b,c,d,e,f", *rows])))
    assert {type(column) for column in table.columns.values()} == {Texts}


@pytest.mark.parametrize("kind", ["feather", "parquet"])
def test_files_with_changed_bytes_are_read_or_refused(kind, tmp_path):
    path = tmp_path / f"data.{kind}"
    frame = pd.DataFrame({"a": [1.0, None, 3.0] * 20, "b": ["x", "y", None] * 20})
    getattr(frame, f"to_{kind}")(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 5):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        with contextlib.suppress(DataError, OSError, MemoryError):
            read_table(path)


def test_numbers_are_recognised_in_rows_that_are_longer_than_the_head(tmp_path):
    path, names = tmp_path / "wide.csv", [f"column_{i}" for i in range(20_000)]
    path.write_text(",".join(names) + "\n" + ",".join(["0.25"] * len(names)) + "\n")
    file = DelimitedFile(Source(path), CsvFormat())
    assert file._numbers_of_head(file.names) == set(names)
