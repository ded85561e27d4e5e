"""Tables read from CSV and NPZ files."""

import csv
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.tabular.files import read_csv, read_npz
from fastnn.tabular.table import DataError, Numbers, Texts


def values(table, name):
    return table.column(name).to_numpy().tolist()


@pytest.fixture
def write(tmp_path):
    """Writes text to a CSV file and returns its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path / "data.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


# --------------------------------------------------------------------------- CSV


def test_numbers_become_float64_and_the_rest_text(write):
    table = read_csv(write("age,city\n41,Rom\n1e2,Ulm\n"))
    assert values(table, "age") == [41, 100]
    assert values(table, "city") == ["Rom", "Ulm"]


def test_a_first_line_without_numbers_is_a_header(write):
    assert list(read_csv(write("a,b\n1,2\n")).columns) == ["a", "b"]


def test_a_first_line_with_a_number_is_data(write):
    table = read_csv(write("1,x\n2,y\n"))
    assert list(table.columns) == ["column_1", "column_2"]
    assert len(table) == 2


@pytest.mark.parametrize(("header", "rows"), [(True, 1), (False, 2)])
def test_header_can_be_set(write, header, rows):
    assert len(read_csv(write("1,2\n3,4\n"), header=header)) == rows


def test_a_column_without_a_name_is_named_by_its_number(write):
    assert list(read_csv(write(",a\n0,1\n1,2\n")).columns) == ["column_1", "a"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_detected(write, delimiter):
    table = read_csv(write(f'"a,;|\t"{delimiter}b{delimiter}c\n1{delimiter}2{delimiter}3\n'))
    assert list(table.columns)[1:] == ["b", "c"]


def test_delimiter_can_be_given(write):
    assert list(read_csv(write("a b\n1 2\n"), delimiter=" ").columns) == ["a", "b"]


def test_quoted_cells_may_hold_delimiters_quotes_and_line_breaks(write):
    table = read_csv(write('a,b\n1,"x, ""y""\nz"\n'))
    assert values(table, "b") == ['x, "y"\nz']


def test_blank_lines_and_surrounding_space_are_dropped(write):
    table = read_csv(write("\na, b\n\n 1 , x \n  \n"))
    assert values(table, "a") == [1.0]
    assert values(table, "b") == ["x"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(write):
    assert list(read_csv(write("a,b\n1,2\n", "utf-8-sig")).columns) == ["a", "b"]


def test_windows_and_old_mac_line_ends(write):
    for end in ("\r\n", "\r"):
        assert len(read_csv(write(f"a,b{end}1,2{end}3,4{end}"))) == 2


def test_columns_selects_and_orders(write):
    assert list(read_csv(write("a,b,c\n1,2,3\n"), columns=["c", "a"]).columns) == ["c", "a"]


def test_dropped_columns_may_lack_values(write):
    assert list(read_csv(write("a,b\n1,\n2,\n"), drop=["b"]).columns) == ["a"]


def test_text_keeps_numbers_as_they_are_written(write):
    table = read_csv(write("a,b\n01,2\n"), text=["a"])
    assert values(table, "a") == ["01"]


@pytest.mark.parametrize("missing", ["", "NA", "nan", "?", " null ", "N/A"])
def test_marks_of_missing_values_are_nan_among_numbers(write, missing):
    table = read_csv(write(f"a,b\n1,2\n2,{missing}\n"))
    np.testing.assert_array_equal(table.column("b").values, [2, np.nan])


def test_among_text_only_an_empty_cell_is_missing(write):
    table = read_csv(write('a,b\n1,x\n2,NA\n3,None\n4,\n5," "\n'))
    assert values(table, "b") == ["x", "NA", "None", None, None]


def test_lines_are_those_of_the_file(write):
    table = read_csv(write('a,b\n1,"x\ny"\n\n2,z\n,z\n'))
    assert [table.where(i, "a")[-18:] for i in range(3)] == [
        f"line {line}, column 'a'" for line in (3, 5, 6)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "has a header but no rows"),
        ("a,b\n1,2\n3\n", "line 3: 1 columns, expected 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3: 3 columns, expected 2"),
        ("a,a\n1,2\n", "2 columns called 'a'"),
        ('a,b\n"1,2\n', "line 2: "),
    ],
)
def test_a_malformed_file_is_refused(write, text, message):
    with pytest.raises(DataError, match=message):
        read_csv(write(text))


def test_another_encoding_is_refused_unless_named(write):
    path = write("a,ü\n1,2\n", "latin-1")
    with pytest.raises(DataError, match="not utf-8 text"):
        read_csv(path)
    assert list(read_csv(path, encoding="latin-1").columns) == ["a", "ü"]


def test_an_unknown_encoding_is_refused(write):
    with pytest.raises(DataError, match="unknown encoding 'klingon'"):
        read_csv(write("a\n1\n"), encoding="klingon")


def test_an_unknown_column_is_refused_with_those_there_are(write):
    with pytest.raises(DataError, match="no column 'c'; it has a, b"):
        read_csv(write("a,b\n1,2\n"), columns=["c"])


def test_a_table_needs_a_column(write):
    with pytest.raises(DataError, match="no columns left"):
        read_csv(write("a\n1\n"), drop=["a"])


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_csv(tmp_path / "none.csv")


@pytest.mark.parametrize("cell", ["abc", "-", "0x10", "1.5.0", "1_11", "1\0", "1,5", "1e", "１"])
def test_a_column_with_other_cells_than_numbers_is_text(write, cell):
    column = read_csv(write(f'age,b\n41,x\n"{cell}",y\n37,z\n')).column("age")
    assert isinstance(column, Texts)
    assert column.origin == "cells"
    assert column.to_numpy().tolist() == ["41", cell, "37"]


@pytest.mark.parametrize("cell", ["1", "-1", "+1", "1.", ".5", "1e3", "1E-3", " 7 ", "inf"])
def test_numbers_are_written_as_in_programs(write, cell):
    column = read_csv(write(f"age,b\n41,x\n{cell},y\n")).column("age")
    assert isinstance(column, Numbers)
    assert column.values[1] == float(cell)


def test_text_is_no_number_where_it_was_chosen(write):
    table = read_csv(write("a,b\n1,x\n02,y\n"), text=["a"])
    assert values(table, "a") == ["1", "02"]
    assert table.column("a").origin == "text"


def test_an_unknown_column_of_text_is_refused(write):
    with pytest.raises(DataError, match="no column 'c'; it has a, b"):
        read_csv(write("a,b\n1,2\n"), text=["c"])


_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_WORDS = st.text(st.characters(categories=["L", "P", "S"], codec="utf-8"), min_size=1)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(_FINITE, _WORDS), min_size=1))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    rows = [(x, f"w{word}") for x, word in rows]  # never a number, nor a sign of a missing value
    path = tmp_path_factory.mktemp("csv") / "data.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("x", "word"), *rows])
    table = read_csv(path)
    assert values(table, "x") == [x for x, _ in rows]
    assert values(table, "word") == [word for _, word in rows]


# --------------------------------------------------------------------------- NPZ


def save(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


def test_npz_columns_are_those_of_X_and_y(tmp_path):
    X, y = np.arange(6, dtype=np.float32).reshape(3, 2), np.array(["a", "b", "a"])
    table = read_npz(save(tmp_path, X=X, y=y))
    assert list(table.columns) == ["x_1", "x_2", "y"]
    np.testing.assert_array_equal(table.column("x_2").values, X[:, 1])
    assert values(table, "y") == y.tolist()


def test_npz_y_may_be_a_column(tmp_path):
    table = read_npz(save(tmp_path, X=np.ones((3, 2)), y=np.ones((3, 1))))
    assert len(table.column("y")) == 3


def test_npz_y_may_be_bytes(tmp_path):
    table = read_npz(save(tmp_path, X=np.ones((2, 2)), y=np.array([b"a", b"b"])))
    assert values(table, "y") == ["a", "b"]


def test_npz_without_y_is_read_for_prediction(tmp_path):
    table = read_npz(save(tmp_path, X=np.ones((3, 2))), feature_names=["p", "q"], target=False)
    assert list(table.columns) == ["p", "q"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.ones((3, 2))}, "no array 'y'; it has X"),
        ({"X": np.ones(3), "y": np.ones(3)}, r"X is float64 of shape \(3,\), expected"),
        ({"X": np.ones((0, 2)), "y": np.ones(0)}, r"X is float64 of shape \(0, 2\)"),
        ({"X": np.ones((3, 2), complex), "y": np.ones(3)}, "X is complex128"),
        ({"X": np.ones((3, 2)), "y": np.ones(4)}, r"y must have shape \(3,\) .*, got \(4,\)"),
        ({"X": np.ones((3, 2)), "y": np.ones(3, complex)}, "y is complex128"),
        ({"X": np.ones((2, 2)), "y": np.array([1, None])}, "allow_pickle"),
    ],
)
def test_unfit_arrays_are_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        read_npz(save(tmp_path, **arrays))


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(b"PK but nothing else")
    with pytest.raises(DataError, match="not an NPZ file"):
        read_npz(path)


def test_a_damaged_archive_is_refused(tmp_path):
    path = save(tmp_path, X=np.ones((30, 2)), y=np.ones(30))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[0].header_offset + 200
    data[start : start + 50] = b"\xff" * 50
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        read_npz(path)
